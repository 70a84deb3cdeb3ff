"""Tables in text files: a line of names, then rows of as many words; what is not a row is counted, not guessed."""

import dataclasses
import datetime
from collections.abc import Sequence

import numpy as np

from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of words by name.

    Args:
        file: name of the file, for errors.
        names: of the columns, in order.
        words: (n, columns) text without outer blanks.
        skipped: how many lines below the names had another number of words.
    """

    file: str
    names: tuple[str, ...]
    words: np.ndarray
    skipped: int

    def __len__(self) -> int:
        return len(self.words)

    def text(self, name: str) -> np.ndarray:
        """(n,) words of one column.

        Raises:
            TanhengError: there is no such column, or there are two.
        """
        if self.names.count(name) != 1:
            raise TanhengError(
                f"{self.file} has {'no' if name not in self.names else 'more than one'} column {name}",
                got=", ".join(self.names[:40]), expected=name,
                remedy="use a file as its makers published it, or name the column that is meant",
            )  # fmt: skip
        return self.words[:, self.names.index(name)]

    def numbers(self, name: str) -> np.ndarray:
        """(n,) numbers of one column; NaN where the word is none or not finite."""
        values = np.array([_number(word) for word in self.text(name)], float)
        values[~np.isfinite(values)] = np.nan
        return values

    def times(self, name: str) -> np.ndarray:
        """(n,) datetime64[ns] in UTC of ISO 8601 words, with or without offset; NaT where the word is none."""
        return np.array([_time(word) for word in self.text(name)], dtype="datetime64[ns]")


def table(file: str, lines: Sequence[str], first: Sequence[str], separator: str = ",") -> Table:
    """The table whose line of names holds the names `first`.

    Args:
        file: name of the file, for errors.
        lines: of the file.
        first: names that the line of names must hold.
        separator: of the words.

    Raises:
        TanhengError: no line holds the names, rows stand above it, or there are no rows.
    """
    rows = [[" ".join(word.split()) for word in line.split(separator)] for line in lines if line.strip()]
    at = next((i for i, row in enumerate(rows) if set(first) <= set(row)), None)
    if at is None:
        raise TanhengError(
            f"{file} has no line of column names", got=lines[0][:120], expected=", ".join(first),
            remedy="use the reader of this format; words must be separated by " + repr(separator),
        )  # fmt: skip
    names = tuple(rows[at])
    if any(len(row) == len(names) for row in rows[:at]):
        raise TanhengError(
            f"{file} has rows above its column names", got=f"column names in line {at + 1}",
            expected="names, then rows", remedy="copy the file again",
        )  # fmt: skip
    whole = [row for row in rows[at + 1 :] if len(row) == len(names)]
    if not whole:
        raise TanhengError(
            f"{file} has no rows", got=f"{len(rows) - at - 1} lines below {len(names)} column names",
            expected="rows of as many words as names", remedy="copy the file again",
        )  # fmt: skip
    return Table(file, names, np.array(whole, dtype=str), len(rows) - at - 1 - len(whole))


def repeated(*keys: np.ndarray) -> np.ndarray:
    """(n,) True for rows whose keys already stood in an earlier row."""
    seen: set[tuple] = set()
    again = []
    for key in zip(*(k.tolist() for k in keys), strict=True):
        again.append(key in seen)
        seen.add(key)
    return np.array(again, bool)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


def _time(word: str) -> np.datetime64:
    try:
        time = datetime.datetime.fromisoformat(word)
        if time.tzinfo is not None:
            time = time.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return np.datetime64("NaT")
    # Beyond these years the words are damaged, and nanoseconds overflow.
    return np.datetime64(time, "ns") if 1900 <= time.year < 2200 else np.datetime64("NaT")

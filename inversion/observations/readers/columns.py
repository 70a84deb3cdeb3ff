"""Tables in text files: the header above them, their columns by name, and the dates in them."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import lines_of
from transport.errors import TanhengError

_MISSING_WORDS = ("", "NA", "NAN", "NULL", "NONE")
_KEY = re.compile(r"#\s*([\w.]+(?::\w+)?)\s*:\s*(.*)")


def headed_table(path: str | Path) -> tuple[dict[str, str], list[str], list[str], list[list[str]]]:
    """A blank-separated table below a header whose first line says how many lines it has (NOAA, WDCGG).

    Returns:
        header by key, its lines, names of the columns, and words of each line.

    Raises:
        TanhengError: the header does not end where it says.
    """
    lines, name = lines_of(path), Path(path).name
    match = re.fullmatch(r"#\s*(?:number_of_)?header_lines\s*:\s*(\d+)", lines[0].strip())
    count = int(match[1]) if match else 0
    if count < len(lines) and lines[count].split("#")[-1].split()[1:2] == ["year"]:
        count += 1  # some files do not count the line of names
    header, rows = lines[:count], [line for line in lines[count:] if line.strip()]
    names = header[-1].lstrip("# ").removeprefix("data_fields:").split() if header else []
    if (
        not any(n.endswith("year") for n in names)
        or not all(line.startswith("#") for line in header[:-1])
        or not rows
        or any(line.startswith("#") or line.split() == names for line in rows)
    ):
        raise TanhengError(
            f"{name} does not have the header that its first line announces", got=lines[0][:60],
            expected="# header_lines : N, and the names of the columns in line N", remedy="copy the file again",
        )  # fmt: skip
    keys: dict[str, str] = {}
    for line in header:
        said = _KEY.fullmatch(" ".join(line.split()))
        if said:
            keys.setdefault(said[1], said[2])
    return keys, header, names, [line.split() for line in rows]


def calendar(parts: Sequence[np.ndarray], what: str) -> np.ndarray:
    """(n,) datetime64[ns] of year, month, day and, where given, hour, minute, second.

    Raises:
        TanhengError: a date that does not exist.
    """
    full = np.stack([*parts, *(np.zeros_like(parts[0]) for _ in range(6 - len(parts)))])
    low, high = np.array([[1900, 1, 1, 0, 0, 0], [2199, 12, 31, 24, 59, 60]])
    with np.errstate(invalid="ignore"):
        good = ((full >= low[:, None]) & (full <= high[:, None])).all(axis=0) & (full[:5] % 1 == 0).all(axis=0)
    safe = np.where(good, full, low[:, None])
    months = (safe[0] - 1970).astype(int) * 12 + safe[1].astype(int) - 1
    day = months.astype("datetime64[M]").astype("datetime64[D]") + (safe[2].astype(int) - 1)
    good &= day.astype("datetime64[M]").astype(int) == months  # 31 February is in March
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise TanhengError(
            f"{what} has a date that does not exist", got=f"row {row + 1}: {full[:, row].tolist()}",
            expected="year, month, day, hour, minute, second", remedy="copy the file again, or leave this line out",
        )  # fmt: skip
    return day.astype("datetime64[ns]") + np.round(safe[3:].T @ [3600e9, 60e9, 1e9]).astype("timedelta64[ns]")


class Columns:
    """Columns by name of a table in a text file.

    Args:
        name: of the file.
        names: of the columns; a name that comes again gets "_2".
        rows: words of every line.

    Raises:
        TanhengError: no line, or a line with more or fewer words than names.
    """

    def __init__(self, name: str, names: Sequence[str], rows: Sequence[Sequence[str]]):
        self.name, self.names = name, []
        for word in names:
            again = sum(n == word or re.fullmatch(re.escape(word) + r"_\d", n) is not None for n in self.names)
            self.names.append(f"{word}_{again + 1}" if again else word)
        bad = [i for i, row in enumerate(rows) if len(row) != len(names)]
        if bad or not rows:
            raise TanhengError(
                f"the table of {name} is not whole",
                got=f"line {bad[0] + 1} of the table: {len(rows[bad[0]])} words" if bad else "no line",
                expected=f"{len(names)} words in each line", remedy="copy the file again",
            )  # fmt: skip
        self._columns = dict(zip(self.names, zip(*rows, strict=True), strict=True))
        self.length = len(rows)

    def has(self, name: str) -> bool:
        """True where there is such a column."""
        return name in self._columns

    def words(self, name: str) -> np.ndarray:
        """(n,) text of a column.

        Raises:
            TanhengError: there is none of this name.
        """
        if name not in self._columns:
            raise TanhengError(
                f"{self.name} has no column {name}", got=", ".join(self.names[:40]), expected=name,
                remedy="use the reader of this format and the file as its makers published it",
            )  # fmt: skip
        return np.array([w.strip() for w in self._columns[name]], dtype=str)

    def numbers(self, name: str) -> np.ndarray:
        """(n,) numbers of a column, NaN where it says nothing.

        Raises:
            TanhengError: no such column, or a word that is no number.
        """
        words = self.words(name)
        out = np.full(len(words), np.nan)
        for i, word in enumerate(words):
            if word.upper() not in _MISSING_WORDS:
                try:
                    out[i] = float(word)
                except ValueError as error:
                    raise TanhengError(
                        f"{name} of {self.name} is not a number", got=f"line {i + 1} of the table: {str(word)!r}",
                        expected="a number", remedy="copy the file again",
                    ) from error  # fmt: skip
        return out

    def optional(self, name: str) -> np.ndarray:
        """(n,) numbers of a column that may not be there: then NaN."""
        return self.numbers(name) if self.has(name) else np.full(self.length, np.nan)

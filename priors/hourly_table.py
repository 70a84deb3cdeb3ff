"""Hourly monitoring data of any system: plain CSV with a map that declares what its columns mean."""

import csv
import dataclasses
import datetime
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from inversion.observations.readers.columns import Columns
from inversion.observations.readers.files import content, source_of
from priors.series import RANGES, STATUS, Series
from transport.constants import ZERO_CELSIUS
from transport.errors import TanhengError

_SHARE = {"mol mol-1": (1.0, 0.0), "%": (0.01, 0.0)}
_VOLUME = {"m3 s-1": (1.0, 0.0), "m3 h-1": (1 / 3600, 0.0)}
_MASS = {"kg s-1": (1.0, 0.0), "kg h-1": (1 / 3600, 0.0), "t h-1": (1 / 3.6, 0.0)}
# quantity: unit to (factor, offset) into the unit of the house
UNITS: dict[str, dict[str, tuple[float, float]]] = {
    "concentration": _SHARE | {"ppm": (1e-6, 0.0)},
    "moisture": _SHARE,
    "flow": _VOLUME,
    "temperature": {"K": (1.0, 0.0), "degC": (1.0, ZERO_CELSIUS)},
    "pressure": {"Pa": (1.0, 0.0), "hPa": (100.0, 0.0), "kPa": (1000.0, 0.0)},
    "mass": _MASS,
    "fuel_mass": _MASS,
    "fuel_volume": _VOLUME,
    "power": {"W": (1.0, 0.0), "kW": (1e3, 0.0), "MW": (1e6, 0.0), "GJ h-1": (1e9 / 3600, 0.0)},
}
ENCODINGS = ("utf-8", "gbk", "gb18030", "latin-1")
LONGEST = 400 * 366 * 24  # hours that a series may span


@dataclasses.dataclass(frozen=True)
class SeriesMap:
    """What the columns of a file mean.

    Args:
        name: of the stack or meter.
        time: column of the times.
        utc_offset: hours that the clock of the file is ahead of UTC all year; summer time is not allowed.
        stamp: what times label: "start" or "end" of the hour.
        columns: quantity to {"column": name, "unit": unit}, see `UNITS`.
        time_format: of `datetime.strptime`, with the year, or "iso"; 24:00 is the end of its day.
        interval: length of a row in s.
        status: column that says how a row came about; none: rows with all values are measured.
        words: status of this house to the words of the file.
        labels: name to column of what rows with one error share.
        separator: between columns; texts that hold it stand in double quotes.
        decimal: "." or ",", the point of decimal fractions; there is no sign between thousands.
        encoding: of the file, one of `ENCODINGS`.
        attribution: licence and citation.

    Raises:
        TanhengError: a quantity, unit or status that is not known.
    """

    name: str
    time: str
    utc_offset: float
    stamp: str
    columns: Mapping[str, Mapping[str, str]]
    time_format: str = "iso"
    interval: float = 3600.0
    status: str = ""
    words: Mapping[str, list[str]] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    attribution: str = ""

    def __post_init__(self):
        whole = all(isinstance(c, Mapping) and set(c) == {"column", "unit"} for c in self.columns.values())
        bad = [f"{q} in {c['unit']}" for q, c in self.columns.items() if whole and c["unit"] not in UNITS.get(q, {})]
        said = [w for words in self.words.values() for w in words]
        rules = {
            f"quantities among {', '.join(UNITS)}, each with column and unit of `UNITS`": whole and not bad
            and bool(self.columns),
            "a time_format with a year, or iso": self.time_format == "iso" or "%y" in self.time_format.lower(),
            f"decimal . or , and an encoding among {', '.join(ENCODINGS)}": self.decimal in (".", ",")
            and self.encoding in ENCODINGS,
            "stamp start or end": self.stamp in ("start", "end"),
            f"words of {', '.join(STATUS)}, each once, with a column of status": set(self.words) <= set(STATUS)
            and len(set(said)) == len(said) and bool(said) == bool(self.status),
            "at most 14 h from UTC": abs(self.utc_offset) <= 14.0,
            "an interval of whole seconds, 60 s to a day": 60.0 <= self.interval <= 86400.0 and self.interval % 1 == 0,
            "a separator of one character, no quote": len(self.separator) == 1 and self.separator not in '"\r\n',
        }  # fmt: skip
        for rule, holds in rules.items():
            if not holds:
                raise TanhengError(
                    "a map of hourly columns cannot be used", got=repr(self)[:400],
                    expected=rule, remedy="correct the map; see docs/account.md",
                )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> "SeriesMap":
        """The map of a YAML file with the fields of this class.

        Raises:
            TanhengError: not YAML, a field that is missing, not known, or of another type.
        """
        try:
            given = yaml.safe_load(content(path))
        except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
            raise _bad_map(path, " ".join(str(error).split())[:200], "YAML text") from error
        fields = {f.name: f for f in dataclasses.fields(cls)}
        needed = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
        if not isinstance(given, dict) or set(given) - set(fields) or needed - set(given):
            names = sorted(map(str, given)) if isinstance(given, dict) else []
            raise _bad_map(path, ", ".join(names)[:200], f"fields of {', '.join(fields)}; {', '.join(sorted(needed))} "
                           "in any case")  # fmt: skip
        return cls(**{name: _typed(path, name, value) for name, value in given.items()})


def _bad_map(path: str | Path, got: str, expected: str) -> TanhengError:
    return TanhengError(f"{Path(path).name} is not a map of hourly columns", got=got, expected=expected,
                        remedy="write the map as in docs/account.md")  # fmt: skip


def _texts(value: Any, of: type = str) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, of) for k, v in value.items())


def _typed(path: str | Path, name: str, value: Any) -> Any:
    """A field of its type."""
    if name in ("utc_offset", "interval"):
        good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
        value = float(value) if good else value
    elif name == "columns":
        good = _texts(value, dict) and all(_texts(c) and set(c) == {"column", "unit"} for c in value.values())
    elif name == "words":
        good = _texts(value, list) and all(isinstance(w, str) for words in value.values() for w in words)
    else:
        good = _texts(value) if name == "labels" else isinstance(value, str)
    if not good:
        raise _bad_map(path, f"{name}: {value!r}"[:200], "a value of the kind that SeriesMap states; texts that look "
                       "like numbers or yes/no need quotes")  # fmt: skip
    return value


def read_series(path: str | Path, columns: SeriesMap) -> Series:
    """Hourly series of a CSV file whose first line names its columns; rows that are not there are missing hours.

    Args:
        path: of the file.
        columns: what it holds; see `SeriesMap.load`.

    Raises:
        TanhengError: a column is missing, a word cannot be read, times repeat or do not lie on the hour, values cannot
            be meant.
    """
    try:
        text = content(path).decode(columns.encoding.replace("utf-8", "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TanhengError(
            f"{Path(path).name} is not text in {columns.encoding}", got=f"byte {error.start} cannot be decoded",
            expected=f"an encoding among {', '.join(ENCODINGS)}", remedy="state `encoding` in the map, e.g. gbk",
        ) from error  # fmt: skip
    table = csv_table(path, text, columns.separator)
    starts = _starts(table, columns)
    values = {q: _values(table, q, c["column"], c["unit"], columns.decimal) for q, c in columns.columns.items()}
    status = _status(table, columns, np.all([np.isfinite(v) for v in values.values()], axis=0))
    step = np.timedelta64(int(columns.interval), "s")
    times, place = on_the_clock(starts, step, table.name)

    def spread(array, empty):
        out = np.full(len(times) - 1, empty, dtype=object if isinstance(empty, str) else float)
        out[place] = array
        return out.astype(str) if isinstance(empty, str) else out

    labels = {name: spread(table.words(c), "") for name, c in columns.labels.items()}
    said = f"declared: clock UTC{columns.utc_offset:+g} h, times at the {columns.stamp} of {columns.interval:g} s"
    source = source_of(path, "read_series", columns.stamp, columns.attribution, (said,))
    return Series(columns.name, times, {q: spread(v, np.nan) for q, v in values.items()}, spread(status, "missing"),
                  labels, (source,), columns.utc_offset)  # fmt: skip


def csv_table(path: str | Path, text: str, separator: str) -> Columns:
    """Columns of CSV text; texts may be quoted and hold the separator.

    Raises:
        TanhengError: quotes that do not end, or lines of unlike length.
    """
    try:
        found = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        rows = [row for row in found if any(w.strip() for w in row)]
    except csv.Error as error:
        raise TanhengError(
            f"{Path(path).name} is not a CSV file", got=str(error), expected=f"values between {separator!r}",
            remedy="copy the file again",
        ) from error  # fmt: skip
    return Columns(Path(path).name, [n.strip() for n in rows[0]] if rows else [], rows[1:])


def on_the_clock(starts: np.ndarray, step: np.timedelta64, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Edges (nt+1,) of all hours from the first to the last, and where each row (n,) belongs among them.

    Raises:
        TanhengError: times that repeat, or that do not lie whole steps apart, or span more than can be meant.
    """
    since = starts - starts.min()
    place = since // step
    if (since % step != np.timedelta64(0, "s")).any() or len(np.unique(place)) != len(place) or place.max() > LONGEST:
        raise TanhengError(
            f"the times of {what} are not hours that follow each other",
            got=f"{len(place)} rows, {len(np.unique(place))} different, {place.max() + 1} steps from first to last",
            expected=f"each at most once, whole steps of {step} apart",
            remedy="an hour twice in autumn is summer time: export in standard time; check interval and time_format",
        )  # fmt: skip
    return starts.min() + step * np.arange(place.max() + 2), place


def _values(table: Columns, quantity: str, column: str, unit: str, decimal: str) -> np.ndarray:
    """(n,) in the unit of the house.

    Raises:
        TanhengError: a value that cannot be meant.
    """
    factor, offset = UNITS[quantity][unit]
    low, high = RANGES[quantity]
    words = table.words(column).tolist()
    if decimal == ",":  # points and commas change places, so that a point between thousands is no number
        words = [w.translate(str.maketrans(",.", ".,")) for w in words]
    try:
        numbers = Columns(table.name, [column], [[w] for w in words]).numbers(column)
    except TanhengError as error:
        raise TanhengError(
            f"{column} of {table.name} is not a number", got=error.got, expected=f"numbers with decimal {decimal!r}, "
            "without signs between thousands", remedy="correct the row, or state `decimal` in the map",
        ) from error  # fmt: skip
    values = numbers * factor + offset
    bad = np.isfinite(values) & ~((values >= low) & (values <= high)) | np.isinf(values)
    if bad.any():
        raise TanhengError(
            f"{column} of {table.name} cannot be meant as {quantity}",
            got=f"{values[bad][0]:g} in row {bad.argmax() + 1}, {int(bad.sum())} such rows",
            expected=f"{low:g}…{high:g} in the unit of the house (unit {unit})",
            remedy="correct the unit in the map, or leave fills like -9999 empty",
        )  # fmt: skip
    return values


def _status(table: Columns, columns: SeriesMap, whole: np.ndarray) -> np.ndarray:
    """(n,) status of every row; one without all of its values is missing, unless it says that it is off."""
    if not columns.status:
        return np.where(whole, "measured", "missing")
    meaning = {w: s for s, words in columns.words.items() for w in words}
    said = table.words(columns.status)
    unknown = sorted(set(said.tolist()) - set(meaning))
    if unknown:
        raise TanhengError(
            f"{columns.status} of {table.name} has words without meaning", got=", ".join(map(repr, unknown[:10])),
            expected=", ".join(map(repr, meaning)), remedy="declare them in `words` of the map",
        )  # fmt: skip
    status = np.array([meaning[w] for w in said.tolist()])
    return np.where(whole | (status == "off"), status, "missing")


def _starts(table: Columns, columns: SeriesMap) -> np.ndarray:
    """(n,) datetime64[s] UTC, beginnings of the rows."""
    offset = datetime.timezone(datetime.timedelta(hours=columns.utc_offset))
    starts = np.empty(table.length, "datetime64[s]")
    for i, word in enumerate(table.words(columns.time).tolist()):
        end_of_day = re.search(r"(?<!\d)24(:00)+(?!\S)", word)
        if end_of_day:
            word = word[: end_of_day.start()] + "00" + word[end_of_day.start() + 2 :]
        try:
            if columns.time_format == "iso":
                when = datetime.datetime.fromisoformat(word)
            else:
                when = datetime.datetime.strptime(word, columns.time_format)
            when = when if when.tzinfo else when.replace(tzinfo=offset)
            if not 1900 <= when.year < 2200:
                raise ValueError(f"year {when.year}")
            when = when + datetime.timedelta(days=1) if end_of_day else when
            starts[i] = when.astimezone(datetime.UTC).replace(tzinfo=None)
        except (ValueError, OverflowError) as error:
            raise TanhengError(
                f"a time of {table.name} cannot be read", got=f"row {i + 1}: {word!r} ({error})",
                expected=f"{columns.time_format}, years 1900…2200", remedy="correct time_format, or the row",
            ) from error  # fmt: skip
    return starts - (np.timedelta64(int(columns.interval), "s") if columns.stamp == "end" else np.timedelta64(0, "s"))

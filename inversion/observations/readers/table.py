"""Tables of any network: plain CSV with a map that declares what the file itself does not say."""

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import yaml

from inversion.observations.component import CAUSES, Component
from inversion.observations.observations import KINDS, Observations
from inversion.observations.readers import insitu
from inversion.observations.readers.columns import Columns
from inversion.observations.readers.files import content, lines_of, source_of
from transport.errors import TanhengError

STAMPS = ("start", "middle", "end", "instant")


@dataclasses.dataclass(frozen=True)
class ColumnMap:
    """What the columns of a file mean. A name is a column, a number one value for all rows.

    Args:
        species: e.g. "CO2".
        unit: of the values and uncertainties, e.g. "ppm".
        air: "dry", or "wet" for mole fractions of moist air.
        scale: calibration scale, or "unknown".
        stamp: what times label: "start", "middle", "end", "instant".
        window: averaging length in s; 0 for instants.
        uncertainty: standard uncertainty by cause of error, as a column or a number; {} where nothing is known.
        value: column of the values.
        time: column of the times.
        time_format: of `datetime.strptime`, or "iso".
        utc_offset: hours that the times are ahead of UTC, where they do not say so themselves.
        group: name of the site.
        kind: of platform.
        lon, lat: degrees.
        height: m above ground of the inlet.
        altitude: m above sea level of the inlet.
        humidity: of wet air, mole fraction of water in moist air.
        humidity_unit: "1", "%" or a unit of mole fractions.
        instrument: column of the instrument.
        flag: column of a quality flag.
        keep: flags of good rows.
        separator: between columns.
        attribution: how the data may be used and must be cited.
        notes: what was assumed when this map was written.

    Raises:
        TanhengError: a word that is not allowed, or wet air without humidity.
    """

    species: str
    unit: str
    air: str
    scale: str
    stamp: str
    window: float
    uncertainty: Mapping[str, str | float]
    value: str
    time: str
    group: str
    kind: str
    time_format: str = "iso"
    utc_offset: float = 0.0
    lon: str | float = np.nan
    lat: str | float = np.nan
    height: str | float = np.nan
    altitude: str | float = np.nan
    humidity: str = ""
    humidity_unit: str = "1"
    instrument: str = ""
    flag: str = ""
    keep: tuple[str, ...] = ()
    separator: str = ","
    attribution: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        allowed = {"air": ("dry", "wet"), "stamp": STAMPS, "kind": KINDS}
        for name, words in allowed.items():
            _allow(name, getattr(self, name), words)
        for cause in self.uncertainty:
            _allow("cause of uncertainty", cause, CAUSES)
        rules = {
            "wet air has a humidity, and dry air is not dried again": (self.air == "wet") == bool(self.humidity),
            "an instant has no window, all else has one": (self.stamp == "instant") == (self.window == 0.0),
            "windows last from 0 s to a year": 0.0 <= self.window <= 366 * 86400.0,
            "a flag needs the values to keep": bool(self.flag) == bool(self.keep),
            "a separator is one character": len(self.separator) == 1,
            "times are at most 14 h from UTC": abs(self.utc_offset) <= 14.0,
        }  # fmt: skip
        for rule, holds in rules.items():
            if not holds:
                raise TanhengError(
                    "a column map contradicts itself",
                    got=f"air {self.air}, humidity {self.humidity!r}, stamp {self.stamp}, window {self.window:g}, flag "
                    f"{self.flag!r}, keep {self.keep}, separator {self.separator!r}, utc_offset {self.utc_offset:g}",
                    expected=rule, remedy="correct the map",
                )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> "ColumnMap":
        """The map of a YAML file with the fields of this class.

        Raises:
            TanhengError: not YAML, a field that is missing, not known, or of another type.
        """
        try:
            given = yaml.safe_load(content(path))
        except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
            raise _bad_map(path, " ".join(str(error).split())[:200], "YAML text") from error
        fields = dataclasses.fields(cls)
        needed = {f.name for f in fields if f.default is dataclasses.MISSING}
        if not isinstance(given, dict) or set(given) - {f.name for f in fields} or needed - set(given):
            names = set(map(str, given)) if isinstance(given, dict) else set()
            wrong = [f"not known: {n}" for n in sorted(names - {f.name for f in fields})]
            wrong += [f"missing: {n}" for n in sorted(needed - names)]
            raise _bad_map(path, "; ".join(wrong), "every file declares " + ", ".join(sorted(needed)))
        return cls(**{name: _typed(path, name, value) for name, value in given.items()})


def _allow(name: str, got: str, words: tuple[str, ...]) -> None:
    if got not in words:
        raise TanhengError(
            f"{name} of a column map is not known", got=repr(got), expected=", ".join(words), remedy="correct the map"
        )


def _bad_map(path: str | Path, got: str, expected: str) -> TanhengError:
    return TanhengError(
        f"{Path(path).name} is not a map of columns", got=got, expected=expected,
        remedy="write the map as in docs/observations_towers.md",
    )  # fmt: skip


def _typed(path: str | Path, name: str, value: Any) -> Any:
    """A field of the type that the class states; YAML reads 1 as a whole number and lists as lists."""
    if isinstance(value, list) and name in ("keep", "notes"):
        return tuple(map(str, value))
    if name == "uncertainty":
        good = isinstance(value, dict) and all(isinstance(v, str | int | float) for v in value.values())
    else:
        wanted = get_type_hints(ColumnMap)[name]
        kinds = get_args(wanted) or (wanted,)
        value = float(value) if float in kinds and isinstance(value, int) and not isinstance(value, bool) else value
        good = isinstance(value, tuple(k for k in kinds if isinstance(k, type)))
    if not good:
        raise _bad_map(path, f"{name}: {value!r}", "a value of the kind that ColumnMap states")
    return value


def read_table(path: str | Path, columns: ColumnMap) -> Observations:
    """Read a CSV file whose first line names its columns.

    Mole fractions of moist air become those of dry air, x = x_wet / (1 − h), with h the mole fraction of water in
    moist air; their uncertainties likewise.

    Args:
        path: of the file.
        columns: what it holds; see `ColumnMap.load`.

    Raises:
        TanhengError: a column is missing, a word cannot be read, or the values cannot be meant.
    """
    lines = [line for line in lines_of(path) if line.strip()]
    names = [word.strip().strip('"') for word in lines[0].split(columns.separator)]
    table = Columns(Path(path).name, names, [
        [w.strip().strip('"') for w in line.split(columns.separator)] for line in lines[1:]
    ])  # fmt: skip
    species = insitu.species_of(columns.species, table.name)
    factor = insitu.unit_factor(columns.unit, species, f"the map of {table.name}")
    wet, reasons = _dryness(table, columns)
    times = insitu.window(_times(table, columns), columns.stamp, columns.window)
    given = {cause: insitu.uncertainty(_column(table, v) * factor / wet) for cause, v in columns.uncertainty.items()}
    given = given or {"repeatability": np.full(table.length, np.nan)}
    flags = table.words(columns.flag) if columns.flag else np.full(table.length, "")
    if columns.flag:
        reasons |= {f"flag {f or 'missing'}": flags == f for f in np.unique(flags) if f not in columns.keep}
    said = f"declared: {columns.unit}, {columns.air} air, scale {columns.scale}, times at the {columns.stamp}"
    return insitu.gather(
        insitu.finite(table.numbers(columns.value), 0.0) * factor / wet, times, species,
        source_of(path, "read_table", columns.stamp, columns.attribution, (said, *columns.notes)), reasons,
        [Component.independent(cause, sigma) for cause, sigma in given.items()],
        groups=columns.group, kinds=columns.kind, flags=flags, scales=insitu.scale_name(columns.scale, species),
        instruments=table.words(columns.instrument) if columns.instrument else "",
        **{n: insitu.finite(_column(table, getattr(columns, n))) for n in ("lon", "lat", "height", "altitude")},
    )  # fmt: skip


def _column(table: Columns, given: str | float) -> np.ndarray:
    """(n,) a column, or one value for all rows."""
    return table.numbers(given) if isinstance(given, str) else np.full(table.length, float(given))


def _dryness(table: Columns, columns: ColumnMap) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(n,) 1 − h, and the rows without a humidity that can be meant."""
    if columns.air == "dry":
        return np.ones(table.length), {}
    percent = columns.humidity_unit.strip() == "%"
    factor = 0.01 if percent else insitu.mole_fraction(columns.humidity_unit, f"the humidity of {table.name}")
    h = insitu.finite(table.numbers(columns.humidity)) * factor
    with np.errstate(invalid="ignore"):
        good = (h >= 0.0) & (h <= 0.1)  # 10 % is the dew point of 46 °C
    if 2 * (~good & np.isfinite(h)).sum() > np.isfinite(h).sum():
        raise TanhengError(
            f"most humidities of {table.name} cannot be meant", got=f"{np.nanmedian(h):g}", expected="0…0.1 mol mol-1",
            remedy="correct humidity_unit in the map",
        )  # fmt: skip
    return np.where(good, 1.0 - h, np.nan), {"humidity missing or impossible": ~good}


def _times(table: Columns, columns: ColumnMap) -> np.ndarray:
    """(n,) datetime64[ns] UTC as the file labels them."""
    stamps = np.empty(table.length, "datetime64[us]")
    for i, word in enumerate(table.words(columns.time)):
        try:
            if columns.time_format == "iso":
                when = datetime.datetime.fromisoformat(str(word))
            else:
                when = datetime.datetime.strptime(str(word), columns.time_format)
            if when.tzinfo is None:
                when = when.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=columns.utc_offset)))
            stamps[i] = when.astimezone(datetime.UTC).replace(tzinfo=None)
            if not 1900 <= when.year < 2200:
                raise ValueError(f"year {when.year}")
        except (ValueError, OverflowError) as error:
            raise TanhengError(
                f"a time of {table.name} cannot be read", got=f"line {i + 2}: {word!r} ({error})",
                expected=f"{columns.time_format}, years 1900…2200", remedy="correct time_format, or the line",
            ) from error  # fmt: skip
    return stamps.astype("datetime64[ns]")

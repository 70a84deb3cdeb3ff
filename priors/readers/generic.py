"""Any inventory in CF NetCDF or GeoTIFF, by a description of what the file holds."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from inversion.observations.readers.files import NetCDF, content
from inversion.observations.readers.insitu import times_of
from inversion.observations.record import Source
from priors.inventory import Inventory
from priors.readers.cells import DEGREES, Box, Cells, cells_of, gathered, projection
from priors.readers.geotiff import read_window
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError
from transport.grid import Grid
from transport.units import molar_mass

_METRES = {
    "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "km": 1e3,
    "ft": 0.3048, "foot": 0.3048, "feet": 0.3048, "US_survey_foot": 1200.0 / 3937.0, "us-ft": 1200.0 / 3937.0,
}  # fmt: skip
# Numbers by which files say "missing" without declaring it; fluxes with sinks could have them.
SENTINELS = (-999.0, -9999.0, -99999.0, -32767.0, -32768.0)


@dataclasses.dataclass(frozen=True)
class Description:
    """What a file holds.

    Args:
        species: "CO2" or "CH4".
        unit: as in `priors.readers.unit`, e.g. "kg m-2 s-1", "t cell-1 yr-1", "tC cell-1 month-1".
        period: first and end instant of all that the file holds, "2018-01-01", "2019-01-01".
        sectors: sector to variable; of a GeoTIFF one sector to any text.
        stated_unit: the text that `units` of every variable must have; None where the file has none, and of a GeoTIFF.
        x, y: coordinate variables, cell centres.
        time: time dimension; None where there is none. Periods are then equal parts of `period`, months or years.
        step: "month", "year" or "equal", of a time axis.
        crs: of projected cells; None for longitude and latitude. x and y may be in another unit than the projection's.
        missing: "refuse" or "zero", of fill values, values outside `valid_range` and what a GeoTIFF calls NoData.
        signed: whether uptake is possible.
        classification: of the sectors.
        attribution: citation and licence.
    """

    species: str
    unit: str
    period: tuple[str, str]
    sectors: Mapping[str, str]
    stated_unit: str | None = None
    x: str = "lon"
    y: str = "lat"
    time: str | None = None
    step: str = "equal"
    crs: str | None = None
    missing: str = "refuse"
    signed: bool = False
    classification: str = ""
    attribution: str = ""

    @classmethod
    def of(cls, given: "Description | Mapping[str, Any] | str | Path") -> "Description":
        """A description from a YAML file or a mapping; nothing unknown, nothing of another type.

        Raises:
            TanhengError: names the key that is wrong.
        """
        if isinstance(given, Description):
            return given
        values: Any = given
        if not isinstance(given, Mapping):
            try:
                values = yaml.safe_load(content(given))
            except yaml.YAMLError as error:
                raise _wrong("the file", str(error)[:200], "YAML") from error
        if not isinstance(values, Mapping):
            raise _wrong("the file", type(values).__name__, "keys and values")
        fields = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(set(map(str, values)) - set(fields))
        lacking = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in values]
        if unknown or lacking:
            raise _wrong("keys", f"unknown {unknown}, lacking {lacking}", ", ".join(fields))
        typed: dict[str, Any] = {str(k): v for k, v in values.items()}
        if isinstance(typed["period"], list | tuple):
            # YAML makes dates of what looks like one.
            typed["period"] = tuple(map(str, typed["period"]))
        return cls(**typed)

    def __post_init__(self):
        for name in ("species", "unit", "x", "y", "step", "missing", "classification", "attribution"):
            if not isinstance(getattr(self, name), str):
                raise _wrong(name, repr(getattr(self, name)), "text")
        for name in ("stated_unit", "time", "crs"):
            if not isinstance(getattr(self, name), str | None):
                raise _wrong(name, repr(getattr(self, name)), "text, or nothing")
        if not isinstance(self.signed, bool):
            raise _wrong("signed", repr(self.signed), "true or false")
        molar_mass(self.species)
        if self.crs is not None:
            projection(self.crs, "a described inventory")
        good = isinstance(self.sectors, Mapping) and self.sectors and all(
            isinstance(t, str) for item in self.sectors.items() for t in item
        )  # fmt: skip
        if not good:
            raise _wrong("sectors", repr(self.sectors), "sector: variable")
        if self.missing not in ("refuse", "zero") or self.step not in ("month", "year", "equal"):
            raise _wrong("missing or step", f"{self.missing}, {self.step}", "refuse, zero; month, year, equal")
        instant = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?"
        pair = isinstance(self.period, tuple | list) and len(self.period) == 2
        if not pair or not all(isinstance(t, str) and re.fullmatch(instant, t) for t in self.period):
            raise _wrong("period", self.period, "two instants, UTC")

    def times(self, count: int) -> np.ndarray:
        """(count+1,) edges of periods.

        Raises:
            TanhengError: the step does not divide the period into that many.
        """
        try:
            first, end = np.array(self.period, "datetime64[s]")
        except ValueError as error:
            raise _wrong("period", self.period, "two instants that exist") from error
        if count == 1 or self.step == "equal":
            seconds = (end - first).astype(int) // count * np.arange(count + 1)
            edges = first + seconds.astype("timedelta64[s]")
        else:
            start = first.astype("datetime64[M]" if self.step == "month" else "datetime64[Y]")
            edges = (start + np.arange(count + 1)).astype("datetime64[s]")
        if edges[-1] != end or edges[0] != first or end <= first:
            raise _wrong("period and step", f"{count} times, {self.step}", f"{self.period[0]} … {self.period[1]}")
        return edges


def _wrong(what: str, got: Any, expected: str) -> TanhengError:
    return TanhengError(
        f"{what} of the description of an inventory cannot be used", got=got, expected=expected,
        remedy="correct it; docs/priors_inventories.md has an example",
    )  # fmt: skip


def read_described(
    path: str | Path, description: Description | Mapping[str, Any] | str | Path, box: Box | None = None
) -> Inventory:
    """An inventory in a file that has no reader of its own.

    Args:
        path: NetCDF, or GeoTIFF where the name ends in .tif or .tiff.
        description: of the file; a YAML file or a mapping.
        box: west, east, south, north in degrees; not for projected cells.

    Raises:
        TanhengError: the file is not what the description says.
    """
    d = Description.of(description)
    if Path(path).suffix.lower() in (".tif", ".tiff"):
        if len(d.sectors) != 1 or d.time is not None or d.stated_unit is not None:
            raise _wrong("sectors, time or stated_unit", f"{len(d.sectors)} sectors, {d.time}, {d.stated_unit}",
                         "one sector, no time and no stated unit of a GeoTIFF")  # fmt: skip
        values, cells, source = read_window(path, box, "read_described", d.attribution, (f"unit {d.unit}",), d.crs)
        return _converted(d, {next(iter(d.sectors)): values[None]}, cells, source)
    with NetCDF(path) as nc:
        cells = _cells(nc, d, box)
        dims = ((d.time,) if d.time else ()) + (d.y, d.x)
        values = {}
        for sector, variable in d.sectors.items():
            if d.stated_unit is not None:
                nc.factor(variable, {d.stated_unit: 1.0})
            elif "units" in nc.attributes(variable):
                raise _wrong("stated_unit", "none", f"{nc.text('units', of=variable)!r} as the file says of {variable}")
            taken = cells.take(_values(nc, variable, dims))
            values[sector] = taken if d.time else taken[None]
        _check_times(nc, d, len(next(iter(values.values()))))
        return _converted(d, values, cells, nc.source("read_described", "start", d.attribution, (f"unit {d.unit}",)))


def _converted(d: Description, values: dict[str, np.ndarray], cells: Cells, source: Source) -> Inventory:
    times = d.times(len(next(iter(values.values()))))
    factor = kilograms_per_second(d.unit, d.species, cells.grid.areas, times, source.name)
    if d.missing == "zero":
        lacking = sum(int(np.isnan(v).sum()) for v in values.values())
        values = {s: np.where(np.isnan(v), 0.0, v) for s, v in values.items()}
        source = dataclasses.replace(source, notes=(*source.notes, f"{lacking} missing values taken as zero"))
    suspicious = sum(int(np.isin(v, SENTINELS).sum()) for v in values.values())
    if suspicious:
        raise TanhengError(
            f"{source.name} holds numbers that mean missing", got=f"{suspicious} of {SENTINELS}",
            expected="fluxes, and a declared fill value", remedy="declare it: _FillValue, or gdal_translate -a_nodata",
        )  # fmt: skip
    rates = {s: v * factor for s, v in values.items()}
    return gathered(d.species, rates, cells, times, source, d.classification, d.signed)


def _values(nc: NetCDF, name: str, dims: tuple[str, ...]) -> np.ndarray:
    """Values with axes in an order; fill values and what lies outside `valid_range` are NaN (CF 1.11, §2.5.1)."""
    own = nc.dims(name) if set(nc.dims(name)) == set(dims) else dims
    values, held = nc.numbers(name, own), nc.attributes(name)
    low, high = np.ravel(held.get("valid_min", -np.inf)), np.ravel(held.get("valid_max", np.inf))
    both = np.ravel(held.get("valid_range", [*low, *high]))
    if not low.size == high.size == both.size - 1 == 1 or not all(a.dtype.kind in "iuf" for a in (low, high, both)):
        raise _wrong("limits", f"{low}, {high}, {both} of {name} in {nc.name}", "numbers, in a file that says so")
    if {"valid_min", "valid_max", "valid_range"} & set(held):
        stored = nc.raw(name, own)
        # Of packed numbers where the limits have their type.
        packed = stored.dtype.kind == "f" or all(a.dtype.kind in "iu" or np.isinf(a).any() for a in (low, high, both))
        judged = stored if packed else values
        inside = (judged >= max(low[0], both[0])) & (judged <= min(high[0], both[1]))
        values = np.where(inside, values, np.nan)
    return values.transpose([own.index(k) for k in dims])


def _check_times(nc: NetCDF, d: Description, count: int) -> None:
    """Times of the file must lie in the periods of the description, one in each, and in even steps if these are."""
    if d.time is None:
        return
    edges, times = d.times(count), times_of(nc, d.time, (d.time,)).astype("datetime64[s]")
    if not ((times >= edges[:-1]) & (times <= edges[1:])).all():
        raise _wrong("period", f"times {times[0]} … {times[-1]} in {nc.name}", f"{d.period[0]} … {d.period[1]}")
    steps = np.diff(times).astype(float)
    if d.step == "equal" and steps.size and np.ptp(steps) > max(1e-3 * steps.mean(), 1.0):
        raise _wrong("step", f"equal, and steps of {steps.min():g}…{steps.max():g} s in {nc.name}", "month or year")


def _cells(nc: NetCDF, d: Description, box: Box | None) -> Cells:
    if d.crs is None:
        return cells_of(nc.numbers(d.x, (d.x,), DEGREES), nc.numbers(d.y, (d.y,), DEGREES), nc.name, box)
    if box is not None:
        raise _wrong("crs", d.crs, "longitude and latitude where a box is given")
    # A grid counts in its projection's own unit.
    own = projection(d.crs, nc.name).axis_info[0].unit_conversion_factor
    x, y = (nc.numbers(v, (v,), _METRES) / own for v in (d.x, d.y))
    turned = [a.size > 1 and a[-1] < a[0] for a in (x, y)]
    grid = Grid.from_centres(x[::-1] if turned[0] else x, y[::-1] if turned[1] else y, d.crs)
    columns, rows = (np.arange(a.size)[:: -1 if t else 1] for a, t in zip((x, y), turned, strict=True))
    return Cells(grid, rows, columns, (y.size, x.size))

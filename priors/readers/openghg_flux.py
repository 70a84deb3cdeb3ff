"""Flux files of ACRG and openghg on the grids of NAME: one source per file, mol m-2 s-1."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from inversion.observations.readers.insitu import times_of
from priors.inventory import Inventory
from priors.readers.cells import Box, gathered, netcdf_cells
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError

_UNITS: dict[str, float] = dict.fromkeys(("mol/m2/s", "mol m-2 s-1", "mol/m^2/s"), 1.0)
PERIODS = {"hour": "h", "month": "M", "year": "Y"}
_KEPT = ("title", "comments", "prior_file_1", "prior_file_1_version", "prior_file_1_reference")


def read_openghg_flux(
    path: str | Path, box: Box | None = None, period: str | None = None, missing_is_zero: bool = False
) -> Inventory:
    """One source of CO2 or CH4; times are the start of periods.

    rate = flux · M · area

    Args:
        path: of e.g. ch4-anthro_EUROPE_2012.nc.
        box: west, east, south, north in degrees.
        period: "hour", "month" or "year", needed where the file holds one time, which does not say how long it holds;
            otherwise periods end where the next begins, and the last is as long as the calendar makes it.
        missing_is_zero: the files of one country hold NaN outside of it; say so where that is meant.

    Raises:
        TanhengError: another unit, order or species, or a period that cannot be told.
    """
    with NetCDF(path) as nc:
        species = _species(nc)
        cells, times = netcdf_cells(nc, box), _periods(nc, period)
        nc.factor("flux", _UNITS)
        last = nc.dims("flux")[-1:] == ("time",)
        values = nc.numbers("flux", ("lat", "lon", "time") if last else ("time", "lat", "lon"))
        taken = cells.take(np.moveaxis(values, -1, 0) if last else values)
        empty = int(np.count_nonzero(np.isnan(taken))) if missing_is_zero else 0
        if missing_is_zero:
            taken = np.where(np.isnan(taken), 0.0, taken)
        rate = taken * kilograms_per_second("mol m-2 s-1", species, cells.grid.areas, times, nc.name)
        notes = [f"{key}: {text}" for key in _KEPT if (text := nc.text(key, ""))]
        source = nc.source("read_openghg_flux", "start", nc.text("author", ""), [*notes, *_areas(empty)])
        sector = nc.text("source", "", of="flux") or nc.text("source", "") or nc.name.partition("_")[0]
        return gathered(species, {sector: rate}, cells, times, source, signed=True)


def _areas(empty: int) -> list[str]:
    return [
        "cell areas on a sphere of 6371 km",
        *([f"{empty} missing values taken as zero, as asked"] if empty else []),
    ]


def _species(nc: NetCDF) -> str:
    """From the variable, the header or, in older files, the name."""
    named = re.match(r"(co2|ch4)[-_]", nc.name.lower())
    stated = nc.text("species", "", of="flux") or nc.text("species", "") or (named[1] if named else "")
    if stated.lower() not in ("co2", "ch4") or (named and named[1] != stated.lower()):
        raise TanhengError(
            f"the species of {nc.name} cannot be told", got=repr(stated), expected="co2 or ch4, as in the file's name",
            remedy="use the file as its makers published it",
        )  # fmt: skip
    return stated.upper()


def _periods(nc: NetCDF, period: str | None) -> np.ndarray:
    """(nt+1,) edges."""
    start = times_of(nc, "time", ("time",)).astype("datetime64[s]")
    unit = PERIODS.get(period or _step(start), "")
    if np.isnat(start).any() or not unit:
        raise TanhengError(
            f"the periods of {nc.name} cannot be told", got=f"{start[:3]}, period {period}",
            expected=f"several starts of {', '.join(PERIODS)}s, or the period stated", remedy="give the period",
        )  # fmt: skip
    calendar = start.astype(f"datetime64[{unit}]")
    edges = np.append(calendar, calendar[-1:] + 1).astype("datetime64[s]")
    if (edges[:-1] != start).any() or (np.diff(calendar).astype(int) != 1).any():
        raise TanhengError(
            f"times of {nc.name} are not the starts of {period or _step(start)}s", got=start[:3],
            expected="every start, one after the other", remedy="give another period, or the whole file",
        )  # fmt: skip
    return edges


def _step(start: np.ndarray) -> str:
    """Name of the calendar's unit between starts."""
    if start.size < 2:
        return ""
    seconds = float((start[1] - start[0]).astype(int))
    lengths = {"hour": (3600.0, 3600.0), "month": (28 * 86400.0, 31 * 86400.0), "year": (365 * 86400.0, 366 * 86400.0)}
    return next((name for name, (low, high) in lengths.items() if low <= seconds <= high), "")

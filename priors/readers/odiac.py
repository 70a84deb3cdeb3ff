"""ODIAC: fossil CO2 per month, 1 km GeoTIFF (tonne carbon per cell) and 1° NetCDF (gC m-2 d-1)."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from priors.inventory import Inventory
from priors.readers.cells import Box, gathered, months_of, netcdf_cells
from priors.readers.geotiff import read_window
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError

ATTRIBUTION = (
    "ODIAC fossil fuel CO2 emissions dataset, T. Oda and S. Maksyutov, NIES, doi 10.17595/20170411.001; CC BY 4.0. "
    "Oda et al. (2018), Earth Syst. Sci. Data 10, 87, doi 10.5194/essd-10-87-2018."
)
_TIFF = re.compile(
    r"odiac(?P<version>\d{4}[a-z]?)_.*?_(?:(?P<y2>\d\d)(?P<m2>\d\d)|(?P<year>\d{4})_(?P<month>\d\d))\.tif"
)
_NETCDF = re.compile(r"odiac(?P<version>\d{4}[a-z]?)_1x1d_(?P<year>\d{4})\.nc")
CARBON_NOTE = "mass of carbon × 44.0095/12.0107"


def read_odiac(path: str | Path, box: Box | None = None) -> Inventory:
    """One month of 1 km, or one year of 1°.

    GeoTIFF: rate = tC · 10³ · 44.0095/12.0107 / seconds of the month. NetCDF: rate = gC m-2 d-1 · area / 86400 · the
    same ratio. Use the file without international transport (`excl_intl`) unless ships and aircraft are wanted.

    Args:
        path: under the name that ODIAC gave it, which holds the year and month; GeoTIFF unpacked.
        box: west, east, south, north in degrees. The 1 km globe is read in strips of it only.

    Raises:
        TanhengError: another name, unit or content.
    """
    name = Path(path).name
    tiff, netcdf = _TIFF.fullmatch(name), _NETCDF.fullmatch(name)
    if tiff:
        return _geotiff(path, tiff, box)
    if netcdf:
        with NetCDF(path) as nc:
            return _one_degree(nc, int(netcdf["year"]), box)
    raise TanhengError(
        "the name of an ODIAC file does not say what it holds", got=name,
        expected="e.g. odiac2020b_1km_excl_intl_1912.tif, odiac2022_1x1d_2020.nc",
        remedy="give it its original name; gunzip it first",
    )  # fmt: skip


def _geotiff(path: str | Path, match: re.Match[str], box: Box | None) -> Inventory:
    year = int(match["year"] or f"20{match['y2']}")
    values, cells, source = read_window(
        path, box, "read_odiac", ATTRIBUTION, ("tonne carbon per cell and month", CARBON_NOTE)
    )
    empty = np.isnan(values)
    if empty.any():
        # ODIAC counts nothing where it has no data, at sea for the most part.
        source = dataclasses.replace(
            source, notes=(*source.notes, f"{np.count_nonzero(empty)} cells without data are 0")
        )
        values = np.where(empty, 0.0, values)
    times = months_of(year, int(match["month"] or match["m2"]), 1)
    factor = kilograms_per_second("tC cell-1 month-1", "CO2", cells.grid.areas, times, Path(path).name)
    return gathered("CO2", {"fossil": values[None] * factor}, cells, times, source, "ODIAC")


def _one_degree(nc: NetCDF, year: int, box: Box | None) -> Inventory:
    cells, times = netcdf_cells(nc, box), months_of(year)
    if nc.size("month") != 12:
        raise TanhengError(
            f"{nc.name} is not a year", got=f"{nc.size('month')} months", expected="12", remedy="copy the file again"
        )
    rates = {}
    for name, sector in (("land", "fossil"), ("intl_bunker", "international bunkers")):
        nc.factor(name, dict.fromkeys(("gC/m2/d", "gC/m2/day", "gC m-2 d-1", "gC m-2 day-1", "gcarbon/m2/d"), 1.0))
        factor = kilograms_per_second("gC m-2 d-1", "CO2", cells.grid.areas, times, nc.name)
        rates[sector] = cells.take(nc.numbers(name, ("month", "lat", "lon"))) * factor
    source = nc.source("read_odiac", "start", ATTRIBUTION, (CARBON_NOTE, "cell areas on a sphere of 6371 km"))
    return gathered("CO2", rates, cells, times, source, "ODIAC")

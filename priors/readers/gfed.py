"""GFED4.1s: monthly fire emissions by kind of fire on 0.25°, from burned dry matter and emission factors."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from priors.inventory import Inventory
from priors.readers.cells import Box, Cells, cells_of, gathered, months_of
from transport.errors import TanhengError

ATTRIBUTION = (
    "Global Fire Emissions Database 4.1 with small fires. van der Werf et al. (2017), Earth Syst. Sci. Data 9, 697, "
    "doi 10.5194/essd-9-697-2017; emission factors mostly of Akagi et al. (2011), doi 10.5194/acp-11-4039-2011."
)
# g of species per kg of dry matter, GFED4_Emission_Factors.txt.
FACTORS = {
    "CO2": {"SAVA": 1686.0, "BORF": 1489.0, "TEMF": 1647.0, "DEFO": 1643.0, "PEAT": 1703.0, "AGRI": 1585.0},
    "CH4": {"SAVA": 1.94, "BORF": 5.96, "TEMF": 3.36, "DEFO": 5.07, "PEAT": 20.8, "AGRI": 5.82},
}
# The file's own cell areas may be of an ellipsoid.
AREA_TOLERANCE = 0.01


def read_gfed(path: str | Path, species: str, box: Box | None = None) -> Inventory:
    """The twelve months of a year, one sector per kind of fire.

    rate = DM [kg m-2 month-1] · fraction · EF / 1000 · the file's cell area / seconds of the month

    Args:
        path: of e.g. GFED4.1s_2016.hdf5; the year is in its name.
        species: "CO2" or "CH4".
        box: west, east, south, north in degrees.

    Raises:
        TanhengError: not such a file, months missing, fractions that do not sum to one.
    """
    name = Path(path).name
    match = re.search(r"GFED4(?:\.1s)?_(\d{4})", name)
    if match is None or species not in FACTORS:
        raise TanhengError(
            "a GFED file or its species cannot be told", got=f"{name}, {species}",
            expected=f"GFED4.1s_<year>.hdf5 and {' or '.join(FACTORS)}", remedy="give it its original name",
        )  # fmt: skip
    months = [f"{m:02d}" for m in range(1, 13)]
    groups = {"": "", "area": "ancill"}
    for m in months:
        groups |= {f"e{m}": f"emissions/{m}", f"p{m}": f"emissions/{m}/partitioning"}
    with NetCDF(path, groups) as nc:
        cells = _cells(nc, box)
        area = cells.take(_field(nc, "area:grid_cell_area", cells, {"m2": 1.0, "m^2": 1.0, "": 1.0}))
        if not np.all(np.abs(area / cells.grid.areas - 1.0) < AREA_TOLERANCE):
            raise TanhengError(
                f"the cell areas of {name} are not those of its cells", got=f"{area.min():.4g}…{area.max():.4g} m2",
                expected=f"{cells.grid.areas.min():.4g}…{cells.grid.areas.max():.4g} m2", remedy="copy the file again",
            )  # fmt: skip
        times = months_of(int(match[1]))
        rates = _rates(nc, cells, months, species, area, np.diff(times) / np.timedelta64(1, "s"))
        source = nc.source("read_gfed", "start", ATTRIBUTION, ("cell areas of the file", "emission factors of GFED4"))
    return gathered(species, rates, cells, times, source, "GFED4")


def _rates(
    nc: NetCDF, cells: Cells, months: list[str], species: str, area: np.ndarray, seconds: np.ndarray
) -> dict[str, np.ndarray]:
    units: dict[str, float] = dict.fromkeys(("kg DM m-2 month-1", "kg DM m^-2 month^-1", "kg DM / m2 / month", ""), 1.0)
    rates = {kind: np.zeros((12, *cells.grid.shape)) for kind in FACTORS[species]}
    for i, m in enumerate(months):
        burned = cells.take(_field(nc, f"e{m}:DM", cells, units))
        whole = np.zeros_like(burned)
        for kind, factor in FACTORS[species].items():
            share = cells.take(_field(nc, f"p{m}:DM_{kind}", cells, None))
            whole += share
            rates[kind][i] = burned * share * (factor * 1e-3) * area / seconds[i]
        wrong = (burned > 0.0) & ~(np.abs(whole - 1.0) < 1e-3)
        if wrong.any():
            raise TanhengError(
                f"the kinds of fire in {nc.name} do not sum to one", got=f"{whole[wrong][0]:.6g} in month {m}",
                expected="1 where anything burned", remedy="copy the file again",
            )  # fmt: skip
    return rates


def _field(nc: NetCDF, name: str, cells: Cells | None, units: dict[str, float] | None) -> np.ndarray:
    """(ny, nx) values; HDF5 without dimension names, so that only the shape can be checked."""
    values = nc.numbers(name, nc.dims(name), units)
    if values.ndim != 2 or (cells is not None and values.shape != cells.shape):
        raise TanhengError(
            f"{name} of {nc.name} has another shape", got=values.shape, expected=cells and cells.shape,
            remedy="copy the file again",
        )  # fmt: skip
    return values


def _cells(nc: NetCDF, box: Box | None) -> Cells:
    lon, lat = _field(nc, "lon", None, None), _field(nc, "lat", None, None)
    even = lon.shape == lat.shape and lon.size and np.ptp(lon, axis=0).max() < 1e-4 and np.ptp(lat, axis=1).max() < 1e-4
    if not even:
        raise TanhengError(
            f"longitudes and latitudes of {nc.name} are not along its axes", got=f"shapes {lon.shape}, {lat.shape}",
            expected="rows of one latitude, columns of one longitude", remedy="copy the file again",
        )  # fmt: skip
    return cells_of(lon[0], lat[:, 0], nc.name, box)

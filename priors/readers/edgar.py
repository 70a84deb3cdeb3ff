"""EDGAR: annual and monthly grids of 0.1°, as flux (to v7, and `flx` of v8 and 2024) or tonnes per cell (`emi`)."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from priors.inventory import Inventory
from priors.readers.cells import Box, gathered, months_of, netcdf_cells, said_by_name, year_of
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError

ATTRIBUTION = (
    "EDGAR (Emissions Database for Global Atmospheric Research), European Commission, Joint Research Centre; CC BY "
    "4.0. Crippa et al. (2023), GHG emissions of all world countries, doi 10.2760/953322."
)
_NAME = re.compile(
    r"(?P<substance>CO2_excl_short-cycle_org_C|CO2_org_short-cycle_C|CO2bio|CO2|CH4)_(?P<year>(?:19|20)\d\d)"
    r"(?:_(?P<month>\d\d?))?(?:_(?P<sector>[A-Za-z][A-Za-z0-9_]*?))?(?:_(?:flx|emi))?(?:\.0\.1x0\.1)?\.nc"
)
_SHORT = ("CO2bio", "CO2_org_short-cycle_C")
_UNITS = {
    "flux": {"kg m-2 s-1": "kg m-2 s-1", "kg m**-2 s**-1": "kg m-2 s-1", "kg/m2/s": "kg m-2 s-1"},
    "emissions": {"Tonnes": "t cell-1", "tonnes": "t cell-1", "t": "t cell-1", "Mg": "t cell-1"},
}


def read_edgar(path: str | Path, box: Box | None = None) -> Inventory:
    """One sector, year or month, of EDGAR.

    Flux: rate = flux · area of the cell (sphere of 6371 km). Emissions: rate = tonnes / seconds of the file's year or
    month. CO2 of short-cycle carbon (biofuel) becomes a sector of its own, "<sector> short-cycle": a biosphere model
    that already returns this carbon to the air must not be given it twice.

    Args:
        path: of the NetCDF file under the name that EDGAR gave it, which holds substance, year, month and sector.
        box: west, east, south, north in degrees.

    Raises:
        TanhengError: another name, unit or content.
    """
    match = said_by_name(_NAME, path, "an EDGAR", "v8.0_FT2022_GHG_CH4_2021_ENE_flx.nc or v6.0_CH4_2015_TOTALS.nc")
    with NetCDF(path) as nc:
        return _read(nc, match, box)


def _read(nc: NetCDF, match: re.Match[str], box: Box | None) -> Inventory:
    substance, year = match["substance"], int(match["year"])
    species, short = substance[:3], substance in _SHORT
    _agrees(nc, "year", str(year))
    variable = _variable(nc, species)
    if nc.has(variable):
        _agrees(nc, "year", str(year), variable)
        _agrees(nc, "substance", substance, variable)
    per_cell = variable == "emissions"
    # The unit of `emissions` lacks its time, which is the file's period.
    unit = _unit(nc, variable, per_cell) + ((" month-1" if match["month"] else " yr-1") if per_cell else "")
    times = months_of(year, int(match["month"]), 1) if match["month"] else year_of(year)
    cells = netcdf_cells(nc, box)
    values = cells.take(nc.numbers(variable, ("lat", "lon")))[None]
    fill = nc.attributes(variable).get("_FillValue")
    if fill is not None and np.all(np.ravel(fill) == 0.0):
        values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    rate = values * kilograms_per_second(unit, species, cells.grid.areas, times, nc.name)
    sector = (match["sector"] or "TOTALS").strip("_") + (" short-cycle" if short else "")
    notes = [f"{variable} in {unit}"]
    if species == "CO2":
        carbon = "short-cycle organic carbon (biofuel)" if short else "fossil carbon, without the short cycle"
        notes.append(f"{carbon}: not to be added to a biosphere model twice")
    if not per_cell:
        notes.append("cell areas on a sphere of 6371 km; EDGAR's own may differ by 0.5 %")
    source = nc.source("read_edgar", "start", ATTRIBUTION, notes)
    return gathered(species, {sector: rate}, cells, times, source, "EDGAR")


def _variable(nc: NetCDF, species: str) -> str:
    names = (f"emi_{species.lower()}", "fluxes", "emissions")
    held = [name for name in names if nc.has(name)]
    if len(held) != 1:
        raise TanhengError(
            f"{nc.name} is not an EDGAR file of {species}", got=", ".join(held) or "none of them",
            expected=f"one of {', '.join(names)}", remedy="use the file as EDGAR published it",
        )  # fmt: skip
    return held[0]


def _unit(nc: NetCDF, variable: str, per_cell: bool) -> str:
    units = _UNITS["emissions" if per_cell else "flux"]
    nc.factor(variable, dict.fromkeys(units, 1.0))
    return units[nc.text("units", of=variable)]


def _agrees(nc: NetCDF, attribute: str, expected: str, of: str = "") -> None:
    """Refuse a file whose content is not what its name says, where it says it itself."""
    stated = nc.text(attribute, "", of=of)
    if stated and stated.removesuffix(".0").lower() != expected.lower():
        raise TanhengError(
            f"{nc.name} holds another {attribute} than its name says", got=stated, expected=expected,
            remedy="give it its original name",
        )  # fmt: skip

"""Gridded EPA inventory of methane (Maasakkers et al. 2016): annual means of 22 sectors on 0.1°."""

from pathlib import Path

from inversion.observations.readers.files import NetCDF
from priors.inventory import Inventory
from priors.readers.cells import Box, gathered, netcdf_cells, year_of
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError

ATTRIBUTION = "Maasakkers et al. (2016), Environ. Sci. Technol. 50, 13123, doi 10.1021/acs.est.6b02878; U.S. EPA."
_PREFIXES = ("emissions_", "emi_ch4_")
_UNITS = {"moleccm-2s-1": "molec cm-2 s-1", "molec cm-2 s-1": "molec cm-2 s-1"}


def read_epa(path: str | Path, box: Box | None = None) -> Inventory:
    """The annual means, molecules cm-2 s-1 in the file.

    rate = n · 10⁴ cm2 m-2 / N_A · M · area

    Args:
        path: of e.g. GEPA_Annual_2012_v1.nc.
        box: west, east, south, north in degrees.

    Raises:
        TanhengError: not such a file, another unit, values missing.
    """
    with NetCDF(path) as nc:
        names = [str(n) for n in nc.variables() if str(n).startswith(_PREFIXES)]
        year = nc.number("emissions_year")
        if not names or year % 1.0 or not 1950 <= year <= 2100:
            raise TanhengError(
                f"{nc.name} is not an EPA inventory", got=f"{len(names)} sectors, year {year:g}",
                expected="emissions_<sector> (lat, lon) and emissions_year", remedy="use the annual file",
            )  # fmt: skip
        cells, times = netcdf_cells(nc, box), year_of(int(year))
        rates = {}
        for name in names:
            nc.factor(name, dict.fromkeys(_UNITS, 1.0))
            factor = kilograms_per_second("molec cm-2 s-1", "CH4", cells.grid.areas, times, nc.name)
            sector = next(name.removeprefix(p) for p in _PREFIXES if name.startswith(p))
            rates[sector] = cells.take(nc.numbers(name, ("lat", "lon")))[None] * factor
        notes = ["cell areas on a sphere of 6371 km", "sectors are of the IPCC 1996 guidelines"]
        source = nc.source("read_epa", "start", ATTRIBUTION, notes)
        return gathered("CH4", rates, cells, times, source, "EPA, IPCC 1996")

"""Gridded EPA inventory of methane (Maasakkers et al. 2016): annual means of 22 sectors on 0.1°."""

from pathlib import Path

from inversion.observations.readers.files import NetCDF
from priors.inventory import Inventory
from priors.readers.cells import Box, gathered, netcdf_cells, year_of
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError

ATTRIBUTION = "Maasakkers et al. (2016), Environ. Sci. Technol. 50, 13123, doi 10.1021/acs.est.6b02878; U.S. EPA."
_PREFIX = "emissions_"
# All of the 2012 inventory: a file without one of them would be a total that is silently too small.
SECTORS = (
    "1A_Combustion_Mobile", "1A_Combustion_Stationary", "1B1a_Coal_Mining_Underground", "1B1a_Coal_Mining_Surface",
    "1B1a_Abandoned_Coal", "1B2a_Petroleum", "1B2b_Natural_Gas_Production", "1B2b_Natural_Gas_Processing",
    "1B2b_Natural_Gas_Transmission", "1B2b_Natural_Gas_Distribution", "2B5_Petrochemical_Production",
    "2C2_Ferroalloy_Production", "4A_Enteric_Fermentation", "4B_Manure_Management", "4C_Rice_Cultivation",
    "4F_Field_Burning", "5_Forest_Fires", "6A_Landfills_Municipal", "6A_Landfills_Industrial",
    "6B_Wastewater_Treatment_Domestic", "6B_Wastewater_Treatment_Industrial", "6D_Composting",
)  # fmt: skip
_UNITS = {"moleccm-2s-1": 1.0}


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
        names = [n.removeprefix(_PREFIX) for n in nc.variables() if n.startswith(_PREFIX)]
        year = nc.number("emissions_year")
        if set(names) != set(SECTORS) or year % 1.0 or not 1950 <= year <= 2100:
            raise TanhengError(
                f"{nc.name} is not an EPA inventory", got=f"{len(names)} sectors, year {year:g}",
                expected=f"emissions_<sector> of {len(SECTORS)} sectors, emissions_year", remedy="use the annual file",
            )  # fmt: skip
        cells, times = netcdf_cells(nc, box), year_of(int(year))
        factor = kilograms_per_second("molec cm-2 s-1", "CH4", cells.grid.areas, times, nc.name)
        rates = {
            sector: cells.take(nc.numbers(_PREFIX + sector, ("lat", "lon"), _UNITS))[None] * factor
            for sector in SECTORS
        }
        notes = ["cell areas on a sphere of 6371 km", "sectors are of the IPCC 1996 guidelines"]
        source = nc.source("read_epa", "start", ATTRIBUTION, notes)
        return gathered("CH4", rates, cells, times, source, "EPA, IPCC 1996")

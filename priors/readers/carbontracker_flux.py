"""CarbonTracker `flux1x1` files: eight three-hourly fluxes of one day on 1°, mol m-2 s-1, times in the middle."""

from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from inversion.observations.readers.insitu import times_of
from priors.inventory import Inventory
from priors.readers.cells import Box, gathered, netcdf_cells
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError

ATTRIBUTION = "CarbonTracker, NOAA Global Monitoring Laboratory. Jacobson et al. (2023), doi 10.25925/20230130."
SECTORS = {"bio_flux_opt": "biosphere", "ocn_flux_opt": "ocean", "fire_flux_imp": "fire", "fossil_flux_imp": "fossil"}
_UNITS: dict[str, float] = dict.fromkeys(("mol m-2 s-1", "mol/m2/s", "mol m^-2 s^-1"), 1.0)


def read_carbontracker(path: str | Path, box: Box | None = None) -> Inventory:
    """CO2 of biosphere and ocean as optimised, of fires and fossil fuel as imposed.

    rate = flux · M · area. Periods are the centres ± half a step (trap 1: 01:30, 04:30, …).

    Args:
        path: of e.g. CT2022.flux1x1.20190701.nc.
        box: west, east, south, north in degrees.

    Raises:
        TanhengError: a flux missing, times that are not equally spaced, another unit.
    """
    with NetCDF(path) as nc:
        lon, lat = ("longitude", "latitude") if nc.has("longitude") else ("lon", "lat")
        cells, middle = netcdf_cells(nc, box, lon, lat), times_of(nc, "time", ("time",))
        step = np.diff(middle)
        if np.isnat(middle).any() or not step.size or (step != step[0]).any() or step[0] <= np.timedelta64(0, "s"):
            raise TanhengError(
                f"times of {nc.name} are not equally spaced", got=middle[:4], expected="e.g. 01:30, 04:30, … 22:30 UTC",
                remedy="copy the file again",
            )  # fmt: skip
        times = np.append(middle - step[0] // 2, middle[-1] + step[0] // 2)
        day = times.astype("datetime64[D]").astype("datetime64[ns]")
        if times[0] != day[0]:
            raise TanhengError(
                f"times of {nc.name} are not the middle of its periods", got=f"{middle[0]} ± {step[0] // 2}",
                expected="a first period that begins at 00:00 UTC", remedy="use the file as NOAA published it",
            )  # fmt: skip
        rates = {}
        for variable, sector in SECTORS.items():
            nc.factor(variable, _UNITS)
            factor = kilograms_per_second("mol m-2 s-1", "CO2", cells.grid.areas, times, nc.name)
            rates[sector] = cells.take(nc.numbers(variable, ("time", lat, lon))) * factor
        notes = ["biosphere and ocean as optimised, fire and fossil as imposed", "cell areas on a sphere of 6371 km"]
        source = nc.source("read_carbontracker", "middle", ATTRIBUTION, notes)
        return gathered("CO2", rates, cells, times, source, "CarbonTracker", signed=True)

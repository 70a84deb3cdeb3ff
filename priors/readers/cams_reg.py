"""CAMS-REG-ANT: European anthropogenic emissions by GNFR sector on 0.05° × 0.1°, Tg per cell and year."""

import re
from pathlib import Path

from inversion.observations.readers.files import NetCDF
from priors.inventory import Inventory
from priors.readers.cells import Box, gathered, netcdf_cells, said_by_name, year_of
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError

ATTRIBUTION = (
    "CAMS-REG-ANT, Copernicus Atmosphere Monitoring Service, TNO. Kuenen et al. (2022), Earth Syst. Sci. Data 14, 491, "
    "doi 10.5194/essd-14-491-2022."
)
_NAME = re.compile(r"\ACAMS-REG-(?:ANT|GHG)_EUR_.*?_anthro_(co2_ff|co2_bf|co2|ch4)_(.+?)_yearly_(\d{4})\.nc\Z")
_SECTOR = re.compile(r"([A-L]|F[1-4])_[A-Za-z0-9_]+")
_UNITS: dict[str, float] = dict.fromkeys(("Tg", "Tg/yr", "Tg yr-1", "Tg/year", "Tg year-1"), 1.0)


def read_cams_reg(path: str | Path, box: Box | None = None) -> Inventory:
    """One species of one year; sectors are GNFR letters.

    rate = Tg · 10⁹ / seconds of the year

    Args:
        path: under the name that CAMS gave it, which holds species and year.
        box: west, east, south, north in degrees.

    Raises:
        TanhengError: another name, unit or content.
    """
    name, example = Path(path).name, "CAMS-REG-ANT_EUR_0.05x0.1_anthro_ch4_v6.1-Ref2_yearly_2022.nc"
    match = said_by_name(_NAME, path, "a CAMS-REG", example)
    with NetCDF(path) as nc:
        cells, times = netcdf_cells(nc, box), year_of(int(match[3]))
        names = sorted(v for v in nc.variables() if _SECTOR.fullmatch(v))
        letters = {v.partition("_")[0][0] for v in names}
        # Fewer sectors than GNFR has would be a total that is silently too small.
        missing = sorted(set("ABCDEFGHIJKL") - letters)
        if missing:
            raise TanhengError(
                f"{name} lacks sectors", got=f"without {', '.join(missing)}", expected="A…L of GNFR",
                remedy="copy the file again",
            )  # fmt: skip
        factor = kilograms_per_second("Tg cell-1 yr-1", match[1][:3].upper(), cells.grid.areas, times, name)
        rates = {}
        for v in names:
            nc.factor(v, _UNITS)
            time = ("time",) if nc.dims(v)[:1] == ("time",) else ()
            values = nc.numbers(v, (*time, "lat", "lon"))
            if time and values.shape[0] != 1:
                raise TanhengError(
                    f"{name} is not annual", got=f"{values.shape[0]} times", expected="1", remedy="use the yearly file"
                )
            rates[v.partition("_")[0]] = cells.take(values.reshape(values.shape[-2:]))[None] * factor
        biofuel = {"co2_bf": "CO2 of biofuel: not to be added to a biosphere model twice",
                   "co2_ff": "CO2 of fossil fuel"}.get(match[1])  # fmt: skip
        source = nc.source(
            "read_cams_reg", "start", ATTRIBUTION, ["Tg per cell and year", *([biofuel] if biofuel else [])]
        )
        return gathered(match[1][:3].upper(), rates, cells, times, source, "GNFR")

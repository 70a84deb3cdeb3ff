"""Files of the Bowen Basin data set, and what has to be cited for them."""

import xarray as xr

from experiments import schema
from experiments.cases import Citation
from experiments.data import BOWEN_BASIN
from inversion.observations import Observations
from transport.errors import TanhengError

CITATIONS = (
    Citation(
        "Data: Open Methane, github.com/openmethane/openmethane (Apache-2.0); WRF 4.5.1, prior v1.0.1a0. Contains "
        "modified Copernicus Sentinel-5P data."
    ),
    Citation(
        "Skamarock, W. C. et al. (2019): A description of the Advanced Research WRF Model version 4. NCAR/TN-556+STR.",
        "10.5065/1dfh-6p97",
    ),
    Citation(
        "Lorente, A. et al. (2021): Methane retrieved from TROPOMI: improvement of the data product and validation of "
        "the first 2 years of measurements. Atmos. Meas. Tech. 14, 665–684.",
        "10.5194/amt-14-665-2021",
    ),
    Citation(
        "Colella, P., Woodward, P. R. (1984): The piecewise parabolic method (PPM) for gas-dynamical simulations. "
        "J. Comput. Phys. 54, 174–201.",
        "10.1016/0021-9991(84)90143-8",
    ),
)


def files_of(date: str) -> dict[str, str]:
    """What a day's files are for, and their paths in the data set."""
    folder = f"case_{date}"
    files = {
        "weather": f"{folder}/wrf_{date.replace('-', '')}_d01_25h.nc",
        "prior": f"{folder}/prior/prior-emissions.nc",
        "soundings": f"{folder}/obs/test_obs_{date}.nc",
        "cmaq": f"{folder}/templates/conc_template.nc",
    }
    return {name: path for name, path in files.items() if path in BOWEN_BASIN.files}


def open_file(path: str, names: tuple[str, ...], **options) -> xr.Dataset:
    """A file of the data set with the variables that are needed."""
    try:
        with xr.open_dataset(BOWEN_BASIN.fetch(path), engine="h5netcdf", **options) as data:
            missing = [name for name in names if name not in data.variables]
            loaded = None if missing else data.load()
    except (OSError, ValueError, KeyError) as error:
        raise TanhengError(
            "a file of the case cannot be read", got=f"{path}: {error}", expected="NetCDF-4",
            remedy="restore the file",
        ) from error  # fmt: skip
    if loaded is None:
        raise TanhengError(
            f"{path} lacks a variable", got=f"without {', '.join(missing)}", expected=", ".join(names),
            remedy="use the file that the case names",
        )  # fmt: skip
    return loaded


def require_credible(date: str, prior: schema.BowenPrior) -> None:
    """Refuse the prior of July.

    Raises:
        TanhengError: it was asked for without `allow_not_credible`.
    """
    if date == schema.BowenDate.july.value and not prior.allow_not_credible:
        raise TanhengError(
            "the prior of this day is not credible",
            got=f"case.date={date}: 144.8 t/h in 25 cells, national totals of waste and land use put into them",
            expected="case.date=2022-12-07: 23.7 t/h in 100 cells",
            remedy="take the December day, or set prior.allow_not_credible=true to test the machinery",
        )


def require_soundings(observed: Observations | None) -> Observations:
    """The soundings, where something has to be taken from them.

    Raises:
        TanhengError: there are none.
    """
    if observed is None:
        raise TanhengError(
            "the mole fraction of the inflow is not known", got="prior.inflow_ppb=null and observations=none",
            expected="a number in ppb, or soundings to take the median of", remedy="e.g. prior.inflow_ppb=1865",
        )  # fmt: skip
    return observed

"""Level-2 proxy methane of GOSAT by the University of Leicester (ESACCI-GHG-L2-CH4-GOSAT-OCPR-*)."""

from pathlib import Path

from inversion.observations.observations import Observations
from inversion.observations.readers.cci import Product, read_cci

_PRODUCT = Product(
    reader="gosat", species="CH4", instrument="GOSAT", units={"1e-9": 1.0}, order="ground first",
    extra=("solar_zenith_angle", "sensor_zenith_angle", "retr_flag", "gain", "raw_xch4", "raw_xco2", "model_xco2",
           "model_xco2_range", "surface_altitude_stdev", "surface_air_pressure_apriori"),
    notes=(
        "the a-priori profile is in ppb, as its units say and its numbers show; its description says ppm",
        "xch4_uncertainty is noise only; the error of the model XCO2 of the proxy is shared by neighbours (see "
        "model_xco2_range, ppm)",
        "missing levels below high ground are moved to the end of the row as NaN",
    ),
)  # fmt: skip


def read_gosat(path: str | Path) -> Observations:
    """Methane columns of good quality of one day, with kernels on 20 levels.

    XCH4 = XCH4_raw / XCO2_raw · XCO2_model − offset;  y = Σ h x_a + Σ h a (x − x_a)

    Args:
        path: of a daily file, v7.2 or of the same form.

    Returns:
        ppb; `extra` has angles, retr_flag (0 land, 1 glint), gain (0 high, 1 medium), the parts of the proxy.

    Raises:
        TanhengError: another format, or nothing left.

    Reference: Parker et al. 2020, doi 10.5194/essd-12-3383-2020.
    """
    return read_cci(path, _PRODUCT)

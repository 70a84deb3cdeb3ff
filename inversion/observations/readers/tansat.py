"""Level-2 XCO2 of TanSat in the form of ESA's Climate Change Initiative."""

from pathlib import Path

from inversion.observations.observations import Observations
from inversion.observations.readers.cci import Product, read_cci

_PRODUCT = Product(
    reader="tansat", species="CO2", instrument="TanSat", units={"1e-6": 1.0, "ppm": 1.0}, order="either",
    extra=("solar_zenith_angle", "sensor_zenith_angle", "surface_altitude_stdev"),
    notes=(
        "names and units follow the form of the Climate Change Initiative; no genuine file of TanSat was at hand when "
        "the reader was written: compare a few soundings by hand",
        "the order of levels was taken from the pressures",
        "xco2_uncertainty is noise only; the file states no calibration scale",
    ),
)  # fmt: skip


def read_tansat(path: str | Path) -> Observations:
    """XCO2 of good quality of one day, with kernels on levels.

    y = Σ h x_a + Σ h a (x − x_a)

    Not verified: written after a description and tested on generated files only. Order and unit of levels, weights
    and prior are confirmed from the numbers; what does not agree is refused.

    Args:
        path: of a file with xco2, xco2_uncertainty, xco2_quality_flag, xco2_averaging_kernel, co2_profile_apriori,
            pressure_levels, pressure_weight.

    Returns:
        ppm.

    Raises:
        TanhengError: another format, or nothing left.

    Reference: Yang et al. 2020, doi 10.3390/rs12234023.
    """
    return read_cci(path, _PRODUCT)

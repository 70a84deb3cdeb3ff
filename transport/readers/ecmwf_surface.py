"""The ground and the boundary layer from the surface fields of ECMWF, or documented substitutes."""

import numpy as np

from transport.columns import virtual_temperature
from transport.constants import GAS_CONSTANT, MOLAR_MASS_DRY_AIR, SECONDS_PER_HOUR, VON_KARMAN
from transport.errors import TanhengError
from transport.readers.ecmwf_fields import Fields
from transport.weather import Surface

SURFACE_FIELDS = (
    "temperature_2m", "friction_velocity", "stress_x", "stress_y", "sensible_heat", "accumulated_heat", "u10", "v10",
)  # fmt: skip
ROUGHNESS = 0.1  # m, open farmland with some trees; used only where the files state no stress
ANEMOMETER = 10.0  # m


def surface_of(fields: Fields, pressure: np.ndarray, humidity: np.ndarray) -> Surface:
    """Surface fields on the points of the levels.

    Args:
        fields: must hold surface_pressure and mixing_height; notes are added to them.
        pressure: (nt, nl, ny, nx) Pa of the levels.
        humidity: (nt, nl, ny, nx) kg/kg.
    """
    values = fields.values
    ground = values["surface_pressure"]
    lowest = np.argmax(pressure <= ground[:, None], axis=1)[:, None]
    if "temperature_2m" in values:
        temperature = values["temperature_2m"]
    else:
        temperature = np.take_along_axis(values["temperature"], lowest, axis=1)[:, 0]
        fields.notes.append("no 2 m temperature in the files: that of the lowest level above ground is used")
    density = air_density(ground, temperature, np.take_along_axis(humidity, lowest, axis=1)[:, 0])
    height = values["mixing_height"]
    if height.min() <= 0:
        raise TanhengError(
            "the boundary layer has no height",
            got=f"{height.min():.4g} m",
            expected="positive heights above ground in m",
            remedy="check the packing of the file (blh)",
        )
    return Surface(height, friction_velocity(fields, density), sensible_heat(fields), temperature, ground)


def air_density(pressure: np.ndarray, temperature: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """ρ = p M_d / (R T_v), kg m-3."""
    return pressure * MOLAR_MASS_DRY_AIR / (GAS_CONSTANT * virtual_temperature(temperature, humidity))


def friction_velocity(fields: Fields, density: np.ndarray) -> np.ndarray:
    """u* in m s-1: √(|τ|/ρ) from the stress, else zust, else κ U₁₀ / ln(10 m / 0.1 m) (neutral logarithmic wind).

    The stress of ECMWF includes the form drag of hills that the model does not resolve: u* is large over mountains.
    """
    values = fields.values
    if "stress_x" in values and "stress_y" in values:
        return np.sqrt(np.hypot(values["stress_x"], values["stress_y"]) / density)
    if "friction_velocity" in values:
        return values["friction_velocity"]
    if "u10" not in values or "v10" not in values:
        raise TanhengError(
            "the friction velocity cannot be had from these files",
            got=f"fields {', '.join(values)}",
            expected="iews and inss, or zust, or u10 and v10",
            remedy="download one of these too",
        )
    fields.notes.append(
        f"no stress in the files: friction velocity from the 10 m wind, neutral, roughness {ROUGHNESS:g} m"
    )
    return VON_KARMAN * np.hypot(values["u10"], values["v10"]) / np.log(ANEMOMETER / ROUGHNESS)


def sensible_heat(fields: Fields) -> np.ndarray:
    """Upward heat flux in W m-2: −ishf, else −sshf / 3600 s (mean of the hour before), else 0."""
    values = fields.values
    if "sensible_heat" in values:
        return -values["sensible_heat"]
    if "accumulated_heat" in values:
        fields.notes.append("heat flux is the mean of the hour that ends at each time (sshf of ERA5 / 3600 s)")
        return -values["accumulated_heat"] / SECONDS_PER_HOUR
    fields.notes.append("no heat flux in the files: taken as 0 (neutral)")
    return np.zeros_like(values["surface_pressure"])

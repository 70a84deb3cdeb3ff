"""Forecasts on pressure levels: ECMWF's operational model and NCEP's North American Mesoscale model (NAM)."""

import numpy as np

from transport.columns import Columns, virtual_temperature
from transport.constants import (
    GAS_CONSTANT,
    HEAT_CAPACITY_DRY_AIR,
    MOLAR_MASS_DRY_AIR,
    MOLAR_MASS_WATER,
    STANDARD_GRAVITY,
    VON_KARMAN,
    ZERO_CELSIUS,
)
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC
from transport.readers.ecmwf_fields import Fields, load
from transport.readers.ecmwf_surface import ROUGHNESS
from transport.readers.era5 import Files, Instant, on_pressure_levels
from transport.weather import Analysis

CRITICAL_RICHARDSON = 0.25
LOWEST_MIXING_HEIGHT = 50.0  # m


def read_ecmwf_operational(files: Files, start: Instant = None, end: Instant = None) -> Analysis:
    """Read forecasts of the operational ECMWF model on pressure levels.

    Needed: u, v, t, q on levels; sp, blh, 2t, ishf; iews and inss. u* = √(|τ|/ρ); the heat flux changes its sign.
    Fields accumulated since the start of a run (sshf, tp) are not used. Where runs were joined, the fields jump there.

    Args:
        files: all files of the window.
        start, end: window; the times around it are read. Default: all.

    Returns:
        `Analysis` in longitude and latitude.

    Raises:
        TanhengError: a file, field, unit, time or value is wrong or missing.
    """
    needed = ("u", "v", "temperature", "specific_humidity", "surface_pressure", "mixing_height", "temperature_2m")
    fields = load(files, (*needed, "sensible_heat", "stress_x", "stress_y"), (), start, end)
    fields.require_finite()
    origin = fields.attributes.get("source", "")
    return on_pressure_levels(fields, GEOGRAPHIC, f"ECMWF operational{': ' + origin if origin else ''}")


def read_nam(files: Files, ground_height: np.ndarray | float, start: Instant = None, end: Instant = None) -> Analysis:
    """Read NAM on pressure levels, which states neither surface pressure nor boundary layer.

    Surface pressure: ln p linear in height between the levels, and below the lowest one down to sea level (prmsl).
    Specific humidity: q = ε e / (p − (1 − ε) e), e = r · 611.2 Pa exp(17.67 t / (t + 243.5 °C)), over water.
    Friction velocity: neutral logarithmic wind from the lowest level above ground, roughness 0.1 m; heat flux 0.
    Mixing height: where the bulk Richardson number over the lowest level passes 0.25, at least 50 m.

    Args:
        files: all files of the window.
        ground_height: (ny, nx) height of the ground in m at the points of the file, south and west first, or one number
            (0 over the sea). The files do not hold it.
        start, end: window; the times around it are read. Default: all.

    Returns:
        `Analysis` in longitude and latitude.

    Raises:
        TanhengError: a file, field, unit, time or value is wrong or missing.

    Reference: Bolton 1980, doi 10.1175/1520-0493(1980)108<1046:TCOEPT>2.0.CO;2, eq. 10; Vogelezang and Holtslag 1996,
        doi 10.1007/BF02430331, eq. 3.
    """
    needed = ("u", "v", "temperature", "relative_humidity", "geopotential_height", "sea_level_pressure")
    fields = load(files, needed, (), start, end)
    fields.require_finite()
    values = fields.values
    shape = values["sea_level_pressure"].shape[1:]
    ground = np.asarray(ground_height, dtype=float)
    if ground.shape not in ((), shape) or not np.isfinite(ground).all() or np.abs(ground).max() > 9e3:
        raise TanhengError(
            "the height of the ground does not fit",
            got=f"shape {ground.shape}, {ground.min():g}…{ground.max():g}",
            expected=f"one number or shape {shape}, m above sea level",
            remedy="interpolate a terrain model to the points of the file",
        )
    level = fields.level * (100.0 if fields.level_unit == "hPa" else 1.0)
    values["surface_pressure"] = pressure_at_ground(
        np.broadcast_to(ground, shape), values["geopotential_height"], level, values["sea_level_pressure"]
    )
    values["specific_humidity"] = humidity_of(values["relative_humidity"], values["temperature"], level)
    _boundary_layer(fields, level)
    origin = fields.attributes.get("source", "")
    return on_pressure_levels(fields, GEOGRAPHIC, f"NAM{': ' + origin if origin else ''}")


def pressure_at_ground(ground: np.ndarray, height: np.ndarray, level: np.ndarray, sea_level: np.ndarray) -> np.ndarray:
    """Pressure at the ground, ln p linear in height.

    Args:
        ground: (ny, nx) m.
        height: (nt, nl, ny, nx) m above sea level of the levels, lowest first.
        level: (nl,) Pa.
        sea_level: (nt, ny, nx) pressure reduced to sea level, Pa.

    Returns:
        (nt, ny, nx) Pa.
    """
    nl = level.size
    below = np.clip((height <= ground).sum(axis=1) - 1, 0, nl - 2)[:, None]
    low, high = (np.take_along_axis(height, below + k, axis=1)[:, 0] for k in (0, 1))
    part = (ground - low) / (high - low)
    logarithm = np.log(level)
    between = (1 - part) * logarithm[below[:, 0]] + part * logarithm[below[:, 0] + 1]
    lowest = height[:, 0]
    # Between sea level and the lowest level prmsl is a second node, if that level lies above the sea.
    near_sea = np.log(sea_level) + (logarithm[0] - np.log(sea_level)) * ground / np.where(lowest > 1.0, lowest, 1.0)
    return np.exp(np.where((ground < lowest) & (lowest > 1.0), near_sea, between))


def humidity_of(relative: np.ndarray, temperature: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Specific humidity in kg/kg from relative humidity (0…1) over water, (nt, nl, ny, nx), at levels (nl,) in Pa."""
    celsius = temperature - ZERO_CELSIUS
    vapour = np.clip(relative, 0.0, 1.0) * 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))
    ratio = MOLAR_MASS_WATER / MOLAR_MASS_DRY_AIR
    pressure = level[:, None, None]
    return ratio * vapour / (pressure - (1.0 - ratio) * vapour)


def _boundary_layer(fields: Fields, level: np.ndarray) -> None:
    """Friction velocity, mixing height and heat flux that the files lack, from the profiles."""
    values = fields.values
    temperature, humidity, ground = (values[n] for n in ("temperature", "specific_humidity", "surface_pressure"))
    nt, nl, ny, nx = temperature.shape

    def rows(field):
        return np.moveaxis(field, 1, -1).reshape(-1, nl)

    def fold(values):
        return values.reshape(nt, ny, nx)

    columns = Columns.of_levels(np.tile(level, (nt * ny * nx, 1)), ground.ravel(), rows(temperature), rows(humidity))
    pressure = np.minimum(level, ground.ravel()[:, None])
    height = columns.height(pressure, columns.locate(pressure))  # 0 for levels below ground
    speed = np.hypot(rows(values["u"]), rows(values["v"]))
    exponent = GAS_CONSTANT / (MOLAR_MASS_DRY_AIR * HEAT_CAPACITY_DRY_AIR)  # R_d / c_p of dry air
    potential = virtual_temperature(rows(temperature), rows(humidity)) * (1e5 / level) ** exponent
    lowest = np.argmax(level <= ground.ravel()[:, None], axis=1)[:, None]
    near = np.maximum(np.take_along_axis(height, lowest, axis=1), 10.0)
    friction = VON_KARMAN * np.take_along_axis(speed, lowest, axis=1) / np.log(near / ROUGHNESS)
    base = np.take_along_axis(potential, lowest, axis=1)
    shear = np.maximum(speed**2 + 100.0 * friction**2, 0.01)
    number = STANDARD_GRAVITY / base * (potential - base) * height / shear
    passed = (number > CRITICAL_RICHARDSON) & (np.arange(nl) > lowest)
    first = np.where(passed.any(axis=1), np.argmax(passed, axis=1), nl - 1)[:, None]
    upper, lower = (np.take_along_axis(number, first - k, axis=1) for k in (0, 1))
    z_upper, z_lower = (np.take_along_axis(height, first - k, axis=1) for k in (0, 1))
    part = np.clip((CRITICAL_RICHARDSON - lower) / np.where(upper > lower, upper - lower, 1.0), 0.0, 1.0)
    mixing = np.maximum(z_lower + part * (z_upper - z_lower), LOWEST_MIXING_HEIGHT)
    values["friction_velocity"], values["mixing_height"] = fold(friction), fold(mixing)
    fields.notes += [
        "surface pressure from geopotential heights, pressure at sea level and the ground height given",
        f"friction velocity from the wind at the lowest level above ground, neutral, roughness {ROUGHNESS:g} m",
        "mixing height from the bulk Richardson number of coarse levels: uncertain by half a layer, 200 m or more",
    ]

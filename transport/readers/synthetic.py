"""A generated basin: turning wind with shear, a slope breeze and a diurnal mixing layer. Synthetic, never data."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from transport.constants import SECONDS_PER_HOUR
from transport.errors import TanhengError
from transport.grid import Grid
from transport.levels import IsothermalHeights
from transport.meteorology import Meteorology, vertical_flux
from transport.mixing import Mixing


@dataclasses.dataclass(frozen=True)
class Basin:
    """Parameters of the generated weather.

    Args:
        hours: length of the window, h.
        start_hour_utc: UTC hour of day at which the window starts.
        wind_speed: mean speed at the top of the domain, m s-1.
        turning_hours: period of one turn of the wind, h.
        breeze: speed of the slope breeze, m s-1; converges at night, diverges by day near the ground.
        mixing_height_night, mixing_height_day: m.
        utc_offset: local solar time minus UTC, h.
    """

    hours: int = 120
    start_hour_utc: float = 16.0
    wind_speed: float = 5.0
    turning_hours: float = 67.0
    breeze: float = 0.6
    mixing_height_night: float = 150.0
    mixing_height_day: float = 1500.0
    utc_offset: float = 8.0

    def __post_init__(self):
        for name in ("hours", "turning_hours", "mixing_height_night", "mixing_height_day"):
            if not getattr(self, name) > 0:
                raise TanhengError(
                    f"meteorology.{name} must be positive",
                    got=getattr(self, name),
                    expected="> 0",
                    remedy=f"set meteorology.{name} to a positive number",
                )


def local_hour(hours: np.ndarray, start_hour_utc: float, utc_offset: float) -> np.ndarray:
    """Local solar hour of day of the middle of each hourly interval, counted from the start of the window."""
    return (start_hour_utc + utc_offset + hours + 0.5) % 24.0


def mixing_height(hour: np.ndarray, night: float, day: float) -> np.ndarray:
    """Mixing height over the day: night value, growth from 8 h, maximum at 14 h, night value again from 20 h."""
    growth = np.clip(np.sin(np.pi * (hour - 8.0) / 12.0), 0.0, 1.0) ** 1.5
    return night + (day - night) * growth


def eddy_diffusivity(z: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Cubic profile K(z) = κ u* z (1 − z/h)² + K_0, O'Brien-like (Troen and Mahrt 1986, doi 10.1007/BF00122760, eq. 8).

    Args:
        z: (nz-1,) heights of inner faces, m.
        height: (nt,) mixing height, m.

    Returns:
        (nt, nz-1) m2 s-1.
    """
    kappa, background = 0.4, 0.1
    velocity = 0.15 + 1.0 * (height / 1500.0)  # m s-1: friction velocity at night, convective scale by day
    inside = np.clip(1.0 - z[None, :] / height[:, None], 0.0, None)
    return kappa * velocity[:, None] * z[None, :] * inside**2 + background


def basin_meteorology(grid: Grid, levels: IsothermalHeights, basin: Basin) -> Meteorology:
    """Weather of a generated basin on a projected grid.

    The rotational wind comes from a streamfunction on cell corners, so that each layer is free of divergence to
    rounding; the breeze is a gradient flow whose mass-weighted column mean is removed, and the vertical flux closes it.

    Args:
        grid: (ny, nx) projected cells.
        levels: nz layers.
        basin: parameters.

    Returns:
        hourly `Meteorology`.
    """
    hours = np.arange(basin.hours)
    hour = local_hour(hours, basin.start_hour_utc, basin.utc_offset)
    height = mixing_height(hour, basin.mixing_height_night, basin.mixing_height_day)
    per_area = levels.air_per_area  # mol m-2
    thickness = np.diff(levels.edges)

    flux_x, flux_y = _rotational(grid, levels, basin, hours)
    breeze_x, breeze_y = _breeze(grid, levels, basin, hour)
    # Velocity times face length times air per area is the air that crosses the face, mol s-1.
    flux_x = (flux_x + breeze_x) * per_area[:, None, None]
    flux_y = (flux_y + breeze_y) * per_area[:, None, None]

    inner = levels.edges[1:-1]
    density = 0.5 * (per_area[1:] / thickness[1:] + per_area[:-1] / thickness[:-1])  # mol m-3 at inner faces
    conductance = eddy_diffusivity(inner, height) * density / np.diff(levels.centres)  # mol m-2 s-1
    exchange = conductance[:, :, None, None] * grid.areas
    shape = (levels.count, *grid.shape)
    return Meteorology(
        air=jnp.broadcast_to(jnp.asarray(per_area[:, None, None] * grid.areas), (basin.hours + 1, *shape)),
        flux_x=jnp.asarray(flux_x),
        flux_y=jnp.asarray(flux_y),
        flux_z=jnp.asarray(vertical_flux(flux_x, flux_y)),
        mixing=Mixing(jnp.asarray(exchange)),
        interval=SECONDS_PER_HOUR,
    )


def _rotational(
    grid: Grid, levels: IsothermalHeights, basin: Basin, hours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Divergence-free flow through faces (m2 s-1): differences of ψ = ∫(u dy − v dx), turned and deflected."""
    x = (grid.x_edges - grid.x_edges.mean())[None, :]
    y = (grid.y_edges - grid.y_edges.mean())[:, None]
    reach = 0.35 * (grid.x_edges[-1] - grid.x_edges[0])
    # Basin walls turn the low-level flow: a gyre that fades with height.
    gyre = reach * np.exp(-(x**2 + y**2) / reach**2)
    z = levels.centres
    shear = (np.maximum(z, 10.0) / z[-1]) ** 0.2
    veer = np.deg2rad(25.0) * (1.0 - z / z[-1])
    angle = 2.0 * np.pi * hours[:, None] / basin.turning_hours + veer[None, :]
    pulse = 1.0 + 0.3 * np.sin(2.0 * np.pi * hours / 31.0)
    speed = basin.wind_speed * pulse[:, None] * shear[None, :]
    u, v = (speed * np.cos(angle))[..., None, None], (speed * np.sin(angle))[..., None, None]
    fade = (0.25 * speed * np.exp(-z / 800.0)[None, :])[..., None, None]
    psi = u * y - v * x + fade * gyre
    return np.diff(psi, axis=2), -np.diff(psi, axis=3)


def _breeze(grid: Grid, levels: IsothermalHeights, basin: Basin, hour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope breeze through faces (m2 s-1): gradient of a bowl, reversed aloft so that the column keeps its air."""
    z, per_area = levels.centres, levels.air_per_area
    profile = np.exp(-z / 400.0)
    profile -= np.sum(profile * per_area) / np.sum(per_area)
    strength = (basin.breeze * np.sin(2.0 * np.pi * (hour - 9.0) / 24.0))[:, None] * profile[None, :]
    x, y = grid.x - grid.x_edges.mean(), grid.y - grid.y_edges.mean()
    reach_x, reach_y = x[-1] - x[0], y[-1] - y[0]
    # Faces on the edge of the domain carry no breeze.
    ramp_x = np.sin(2.0 * np.pi * (grid.x_edges - grid.x_edges.mean()) / (reach_x + np.diff(grid.x_edges).mean()))
    ramp_y = np.sin(2.0 * np.pi * (grid.y_edges - grid.y_edges.mean()) / (reach_y + np.diff(grid.y_edges).mean()))
    cover_x, cover_y = np.cos(np.pi * x / (1.2 * reach_x)), np.cos(np.pi * y / (1.2 * reach_y))
    flow_x = cover_y[:, None] * ramp_x[None, :] * np.diff(grid.y_edges)[:, None]
    flow_y = ramp_y[:, None] * cover_x[None, :] * np.diff(grid.x_edges)[None, :]
    scale = strength[..., None, None]
    return scale * flow_x, scale * flow_y

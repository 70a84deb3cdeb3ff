"""A generated inventory of a basin city. Synthetic, never data."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.stats import norm

from priors.biosphere import Drivers, Light, LinearRespiration, Parameters
from priors.vegetation import Vegetation
from transport.errors import TanhengError
from transport.grid import Grid
from transport.levels import IsothermalHeights
from transport.units import teragrams_per_year


@dataclasses.dataclass(frozen=True)
class Stack:
    """A point source at x, y (m, in the grid's coordinates): emission in Mt CO2 yr-1, effective height in m."""

    name: str
    x: float
    y: float
    mt_per_year: float
    height: float


def urban_pattern(grid: Grid, radius: float) -> np.ndarray:
    """(ny, nx) share of the city's area emission per cell: a dense centre with two sub-centres; sums to one."""
    x, y = np.meshgrid(grid.x, grid.y)
    centres = ((0.0, 0.0, 1.0, 1.0), (1.1, 0.5, 0.45, 0.5), (-0.9, -0.7, 0.35, 0.6))
    density = sum(
        weight * np.exp(-((x - cx * radius) ** 2 + (y - cy * radius) ** 2) / (2.0 * (0.5 * width * radius) ** 2))
        for cx, cy, weight, width in centres
    )
    mass = np.asarray(density) * grid.areas
    return mass / mass.sum()


def area_emission(grid: Grid, urban: float, rural: float, radius: float) -> np.ndarray:
    """(ny, nx) annual mean area flux in µmol m-2 s-1 from totals in Mt CO2 yr-1 (1 Mt = 1 Tg)."""
    per_cell = urban * urban_pattern(grid, radius) + rural * grid.areas / grid.areas.sum()
    return per_cell / teragrams_per_year("CO2") * 1e6 / grid.areas


def activity(local_hour: np.ndarray) -> np.ndarray:
    """Diurnal factor of area emissions: morning and evening peaks, quiet nights; mean one over whole days."""
    hours = np.arange(24.0) + 0.5

    def shape(h):
        morning, evening = np.exp(-(((h - 8.0) / 2.5) ** 2)), np.exp(-(((h - 18.5) / 3.0) ** 2))
        return 0.6 + 0.7 * morning + 0.8 * evening + 0.2 * np.exp(-(((h - 13.0) / 4.0) ** 2))

    return shape(local_hour) / shape(hours).mean()


def sunlight(local_hour: np.ndarray) -> np.ndarray:
    """Fraction of noon light."""
    return np.clip(np.sin(np.pi * (local_hour - 6.0) / 12.0), 0.0, None)


def vegetation(grid: Grid, radius: float) -> np.ndarray:
    """(ny, nx) cover between 0.15 in the city centre and 1 in the hills around the basin."""
    x, y = np.meshgrid(grid.x, grid.y)
    return 1.0 - 0.85 * np.exp(-(x**2 + y**2) / (2.0 * radius**2))


def injection_profile(levels: IsothermalHeights, height: float) -> np.ndarray:
    """(nz,) share of a stack's release per layer: a Gaussian of 30 % of its effective height, cut at the ground.

    Raises:
        TanhengError: the height lies outside the model.
    """
    if not 0.0 <= height <= levels.edges[-1]:
        raise TanhengError(
            "a stack lies outside the model", got=f"{height} m", expected=f"0…{levels.edges[-1]:.0f} m",
            remedy="correct prior.points[*].height_m",
        )  # fmt: skip
    share = np.diff(norm.cdf(levels.edges, loc=height, scale=max(0.3 * height, 20.0)))
    return share / share.sum()


def stack_release(stack: Stack) -> float:
    """µmol s-1 of a stack."""
    return stack.mt_per_year / teragrams_per_year("CO2") * 1e6


def megatonnes_per_year(micromoles_per_second: ArrayLike) -> np.ndarray:
    """µmol s-1 of CO2 in Mt CO2 yr-1."""
    return np.asarray(micromoles_per_second) * 1e-6 * teragrams_per_year("CO2")


def edgar_files(folder: Path, west: float, east: float, south: float, north: float) -> list[Path]:
    """Four files in the form of EDGAR v8 (flux, 0.1°): a city in the middle of the box. Synthetic, never data.

    Args:
        folder: where they are written.
        west, east, south, north: degrees.
    """
    lon = np.arange(np.floor(10 * west), np.ceil(10 * east)) / 10 + 0.05
    lat = np.arange(np.floor(10 * south), np.ceil(10 * north)) / 10 + 0.05
    x, y = np.meshgrid(
        (lon - 0.5 * (west + east)) * np.cos(np.deg2rad(0.5 * (south + north))), lat - 0.5 * (south + north)
    )
    city = np.exp(-(x**2 + y**2) / (2 * 0.12**2))
    # kg m-2 s-1 in the middle, and of the surroundings.
    strengths = {"IND": (2.5e-7, 2e-10), "TRO": (1.2e-7, 6e-10), "RCO": (1.8e-7, 8e-10), "ENE": (1.5e-7, 1e-10)}
    paths = []
    for sector, (middle, around) in strengths.items():
        flux = (("lat", "lon"), middle * city + around, {"units": "kg m-2 s-1", "substance": "CO2", "year": "2022",
                "long_name": "SYNTHETIC", "release": "SYNTHETIC"})  # fmt: skip
        axes = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
        path = folder / f"v8.0_FT2022_GHG_CO2_2022_{sector}_flx.nc"
        xr.Dataset({"fluxes": flux}, coords=axes).to_netcdf(path, engine="h5netcdf")
        paths.append(path)
    return paths


def vegetation_drivers(
    grid: Grid, times: np.ndarray, cover: Mapping[str, float], longitude: float
) -> tuple[Parameters, Vegetation, Drivers]:
    """VPRM of uniform land cover under a generated spring day, with made-up parameters. Synthetic, never data.

    Args:
        grid: cells.
        times: (nt+1,) datetime64, UTC.
        cover: class of VPRM to its share of the area.
        longitude: for local solar time, degrees.
    """
    classes = Vegetation.of(*cover)
    k, (ny, nx), nt = len(cover), grid.shape, len(times) - 1
    middle = (times[:-1] + (times[1:] - times[:-1]) / 2).astype("datetime64[s]").astype(np.int64)
    hour = (middle / 3600.0 + longitude / 15.0) % 24.0
    light = 700.0 * np.clip(np.cos(2 * np.pi * (hour - 12.0) / 24.0), 0.0, None)
    warmth = 285.0 + 6.0 * np.cos(2 * np.pi * (hour - 15.0) / 24.0)
    field = np.ones((1, ny, nx))
    greenness = np.full((nt, k, ny, nx), 0.4)
    drivers = Drivers(
        jnp.asarray(warmth[:, None, None] * field), jnp.asarray(light[:, None, None] * field), jnp.asarray(greenness),
        jnp.asarray(0.25 * greenness), jnp.asarray(np.stack([0.1 * np.ones((k, ny, nx)), 0.6 * np.ones((k, ny, nx))])),
        jnp.asarray(np.stack([-0.1 * np.ones((k, ny, nx)), 0.4 * np.ones((k, ny, nx))])),
        jnp.asarray(np.array(list(cover.values()))[:, None, None] * field),
    )  # fmt: skip
    made_up = Parameters(
        Light(jnp.full(k, 0.15), jnp.full(k, 500.0)), LinearRespiration(jnp.full(k, 0.12), jnp.full(k, 0.5))
    )
    return made_up, classes, drivers

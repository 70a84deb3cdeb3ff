"""Twelve sectors of CH4 on the cells of the WRF run."""

import dataclasses

import numpy as np
import pyproj

from experiments.cases.simulation import KILOGRAMS_PER_TONNE, MICROMOLES
from experiments.data import BOWEN_BASIN
from priors.readers.open_methane import read_open_methane
from transport.constants import SECONDS_PER_HOUR
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid
from transport.units import molar_mass

PLACE_TOLERANCE = 0.01  # of a cell


@dataclasses.dataclass(frozen=True, eq=False)
class Inventory:
    """Emission of each sector on the cells of a grid.

    Args:
        sectors: names.
        mass: (sectors, ny, nx) kg s-1 per cell.
        rows, columns: cells of the grid that the inventory covers.
    """

    sectors: tuple[str, ...]
    mass: np.ndarray
    rows: slice
    columns: slice

    def flux(self, grid: Grid) -> np.ndarray:
        """(ny, nx) µmol m-2 s-1 of the sum of all sectors on the grid's true cell areas."""
        return self.mass.sum(axis=0) / molar_mass("CH4") * MICROMOLES / grid.areas

    def tonnes_per_hour(self) -> tuple[tuple[str, float], ...]:
        """(sector, t/h), largest first."""
        rates = self.mass.sum(axis=(1, 2)) * SECONDS_PER_HOUR / KILOGRAMS_PER_TONNE
        return tuple((self.sectors[i], float(rates[i])) for i in np.argsort(-rates))


def window_of(lon: np.ndarray, lat: np.ndarray, grid: Grid, what: str) -> tuple[slice, slice]:
    """Rows and columns of the grid whose centres are the given points.

    Raises:
        TanhengError: the points are not centres of neighbouring cells, to 1 % of a cell.
    """
    x, y = pyproj.Transformer.from_crs(GEOGRAPHIC, grid.crs, always_xy=True).transform(lon, lat)
    steps = np.diff(grid.x_edges).mean(), np.diff(grid.y_edges).mean()
    column, row = (x - grid.x[0]) / steps[0], (y - grid.y[0]) / steps[1]
    left, low = int(np.round(column[0, 0])), int(np.round(row[0, 0]))
    off = max(
        np.abs(column - (left + np.arange(lon.shape[1]))).max(),
        np.abs(row - (low + np.arange(lon.shape[0])[:, None])).max(),
    )
    ny, nx = grid.shape
    inside = min(left, low) >= 0 and left + lon.shape[1] <= nx and low + lon.shape[0] <= ny
    if not off <= PLACE_TOLERANCE or not inside:
        raise TanhengError(
            f"the cells of {what} are not cells of the weather's grid",
            got=f"{off:.3g} cells apart; rows {low}…{low + lon.shape[0] - 1}, columns {left}…{left + lon.shape[1] - 1}",
            expected=f"at most {PLACE_TOLERANCE} cells apart, within {ny} × {nx} cells",
            remedy="leave meteorology.rim and meteorology.files as the experiment sets them",
        )
    return slice(low, low + lon.shape[0]), slice(left, left + lon.shape[1])


def read_inventory(path: str, grid: Grid) -> Inventory:
    """The sectors of the prior of one day, each cell's mass placed whole into our cell.

    Raises:
        TanhengError: a file that the reader refuses, cells that are not ours.
    """
    prior = read_open_methane(BOWEN_BASIN.fetch(path))
    lon, lat = prior.grid.lonlat(*np.meshgrid(prior.grid.x, prior.grid.y))
    rows, columns = window_of(lon, lat, grid, "the prior")
    mass = np.zeros((len(prior.sectors), *grid.shape))
    mass[:, rows, columns] = prior.mean().rate[:, 0]
    return Inventory(prior.sectors, mass, rows, columns)

"""Twelve sectors of CH4 on the cells of the WRF run."""

import dataclasses

import numpy as np
import pyproj

from experiments.cases.bowen_basin import files
from experiments.cases.simulation import KILOGRAMS_PER_TONNE, MICROMOLES
from transport.constants import SECONDS_PER_HOUR
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid
from transport.units import molar_mass, require_unit

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
    """The sectors of the prior, cell by cell.

    The file gives mass per area of its nominal cells, XCELL · YCELL, which is what its makers multiply with when they
    feed CMAQ; so the mass of a cell is flux · nominal area, and that mass is placed whole into our cell.

    Raises:
        TanhengError: other cells, another unit, missing values.
    """
    data = files.open_file(path, ("lat", "lon", "ch4_total"), decode_times=False)
    names = sorted(str(n) for n in data.data_vars if str(n).startswith("ch4_sector_"))
    rows, columns = window_of(data.lon.values, data.lat.values, grid, "the prior")
    area = float(data.attrs["XCELL"]) * float(data.attrs["YCELL"])
    mass = np.zeros((len(names), *grid.shape))
    for i, name in enumerate((*names, "ch4_total")):
        require_unit(f"{name} of the prior", data[name].attrs.get("units"), "kg/m2/s")
        values = data[name].values.reshape(data.lat.shape)
        if not np.isfinite(values).all():
            raise TanhengError(
                f"{name} of the prior has missing values", got=f"{np.count_nonzero(~np.isfinite(values))} cells",
                expected="none", remedy="restore the file",
            )  # fmt: skip
        if i < len(names):
            mass[i, rows, columns] = values * area
    total, stated = mass.sum(), float(data.ch4_total.values.sum()) * area
    if not abs(total - stated) <= 1e-6 * abs(stated):
        raise TanhengError(
            "the sectors of the prior do not add up to its total", got=f"{total:.6g} kg/s",
            expected=f"{stated:.6g} kg/s", remedy="restore the file",
        )  # fmt: skip
    return Inventory(tuple(n.removeprefix("ch4_sector_") for n in names), mass, rows, columns)

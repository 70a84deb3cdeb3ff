"""Overlaps of cells in different coordinates: polygons in an equal-area projection, clipped by GEOS."""

import numpy as np
import pyproj
import scipy.sparse as sp
import shapely

from transport.constants import EARTH_RADIUS
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid

# Sagitta of a polygon's side over the side of its cell.
CURVATURE = 1e-6
LARGEST_ANGLE = 150.0  # degrees from the centre of the equal-area projection, whose antipode is a singular point


def to_one(shares: np.ndarray, column: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, float]:
    """Shares of whole cells made to sum to one, of others to at most one, and the largest error before.

    Args:
        shares: (pairs,) share of a source cell.
        column: (pairs,) number of the source cell.
        whole: (cells,) which of them lie wholly inside the target.
    """
    sums = np.bincount(column, shares, minlength=whole.size)
    error = float(np.abs(sums[whole] - 1.0).max(initial=0.0))
    scale = np.where(whole | (sums > 1.0), 1.0 / np.where(sums > 0.0, sums, 1.0), 1.0)
    return shares * scale[column], error


def clipped(source: Grid, target: Grid) -> tuple[sp.csr_matrix, float]:
    """Shares of source cells in target cells by clipping polygons, whatever the coordinates of the two grids.

    Args:
        source: grid that masses come from.
        target: grid that they go to.

    Returns:
        (ny·nx of target, ny·nx of source) shares; largest |Σ shares − 1| of source cells wholly inside before they were
        made to sum to one.

    Raises:
        TanhengError: no equal-area projection holds both grids.
    """
    small = min((source, target), key=_extent)
    lon, lat, radius = _circle(small)
    crs = f"+proj=laea +lat_0={lat!r} +lon_0={lon!r} +R={EARTH_RADIUS} +units=m +type=crs"
    # Longitude and latitude are taken as they are, as everywhere in the toolkit: no shift of datum.
    project = pyproj.Proj(crs)
    j, i = (_near(grid, lon, lat, radius) for grid in (source, target))
    parts, cells = _polygons(source, j, project, (lon, lat)), _polygons(target, i, project, (lon, lat))
    a, b = _pairs(parts, cells)
    shape = target.shape[0] * target.shape[1], source.shape[0] * source.shape[1]
    share = _areas_of_pairs(parts, cells, a, b) / shapely.area(parts)[a]
    share, error = to_one(share, a, _wholly_inside(parts, cells, b))
    matrix = sp.csr_matrix((share, (i[b], j[a])), shape=shape)
    matrix.eliminate_zeros()
    return matrix, error


def _extent(grid: Grid) -> float:
    """m2 of a whole grid."""
    if grid.is_geographic:
        width, sine = np.deg2rad(np.ptp(grid.x_edges)), np.sin(np.deg2rad(np.clip(grid.y_edges[[0, -1]], -90.0, 90.0)))
        return float(EARTH_RADIUS**2 * width * np.ptp(sine))
    return float(grid.areas.sum())


def _wholly_inside(parts: np.ndarray, cells: np.ndarray, b: np.ndarray) -> np.ndarray:
    """True where a source cell lies in the union of the target's cells."""
    if not b.size:
        return np.zeros(parts.size, bool)
    outline = shapely.coverage_union_all(cells[np.unique(b)])
    shapely.prepare(outline)
    return shapely.covers(outline, parts)


def _pairs(parts: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = shapely.STRtree(cells).query(parts, predicate="intersects")
    return a, b


def _areas_of_pairs(parts: np.ndarray, cells: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """m2 of each intersection; where one holds the other, nothing needs to be clipped."""
    shapely.prepare(parts)
    shapely.prepare(cells)
    area = np.zeros(a.size)
    inner = shapely.contains_properly(parts[a], cells[b])
    area[inner] = shapely.area(cells)[b[inner]]
    outer = ~inner
    outer[outer] = shapely.contains_properly(cells[b[outer]], parts[a[outer]])
    area[outer] = shapely.area(parts)[a[outer]]
    rest = ~(inner | outer)
    area[rest] = shapely.area(shapely.intersection(parts[a[rest]], cells[b[rest]]))
    return area


def _unit(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(…, 3) vectors from the Earth's centre."""
    lon, lat = np.deg2rad(lon), np.deg2rad(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _circle(grid: Grid) -> tuple[float, float, float]:
    """Longitude and latitude of a grid's middle, and the angle in degrees to its farthest point."""
    x, y = grid.x_edges, grid.y_edges
    lon, lat = grid.lonlat(0.5 * (x[0] + x[-1]), 0.5 * (y[0] + y[-1]))
    rim = [grid.lonlat(x, np.full_like(x, v)) for v in (y[0], y[-1])]
    rim += [grid.lonlat(np.full_like(y, v), y) for v in (x[0], x[-1])]
    far = np.concatenate([_unit(*side) for side in rim]) @ _unit(np.asarray(lon), np.asarray(lat))
    return float(lon), float(lat), float(np.rad2deg(np.arccos(np.clip(far, -1.0, 1.0))).max())


def _near(grid: Grid, lon: float, lat: float, radius: float) -> np.ndarray:
    """Flat indices of the cells that may reach into a circle."""
    ny, nx = grid.shape
    rows = np.arange(ny)
    if grid.is_geographic:
        half = 0.5 * float(np.hypot(np.diff(grid.x_edges).max(), np.diff(grid.y_edges).max()))
        if not grid._proj.is_derived:
            rows = rows[np.abs(grid.y - lat) <= radius + half]
    else:
        x, y = np.meshgrid(grid.x_edges, grid.y_edges)
        corners = _unit(*grid.lonlat(x, y))
        chord = np.linalg.norm(corners[1:, 1:] - corners[:-1, :-1], axis=-1).max()
        # Cells are longest along one of the diagonals; 1.5 covers the other one.
        half = 1.5 * float(np.rad2deg(chord))
    x, y = np.meshgrid(grid.x, np.clip(grid.y[rows], -90.0, 90.0) if grid.is_geographic else grid.y[rows])
    cosine = _unit(*((x, y) if grid.crs == GEOGRAPHIC else grid.lonlat(x, y))) @ _unit(np.asarray(lon), np.asarray(lat))
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))
    row, column = np.nonzero(angle <= radius + half)
    return rows[row] * nx + column


def _polygons(grid: Grid, cells: np.ndarray, project: pyproj.Proj, centre: tuple[float, float]) -> np.ndarray:
    """Polygons of cells whose sides are divided alike in neighbours, so that they leave neither gap nor overlap.

    Raises:
        TanhengError: the projection cannot hold a cell.
    """
    row, column = np.divmod(cells, grid.shape[1])
    x = [grid.x_edges[column + k][:, None] for k in (0, 1)]
    edges = np.clip(grid.y_edges, -90.0, 90.0) if grid.is_geographic else grid.y_edges
    y = [edges[row + k][:, None] for k in (0, 1)]
    t = _divisions(grid)
    along_x, along_y = x[0] * (1.0 - t) + x[1] * t, y[0] * (1.0 - t) + y[1] * t
    flat = np.ones_like(t)[:-1]
    ring_x = np.concatenate([along_x[:, :-1], x[1] * flat, along_x[:, :0:-1], x[0] * flat], axis=1)
    ring_y = np.concatenate([y[0] * flat, along_y[:, :-1], y[1] * flat, along_y[:, :0:-1]], axis=1)
    lon, lat = grid.lonlat(ring_x, ring_y) if grid.crs != GEOGRAPHIC else (ring_x, ring_y)
    cosine = _unit(lon, lat) @ _unit(np.asarray(centre[0]), np.asarray(centre[1]))
    if cells.size and cosine.min() < np.cos(np.deg2rad(LARGEST_ANGLE)):
        raise TanhengError(
            "two grids span too much of the Earth to be overlaid",
            got=f"cells {np.rad2deg(np.arccos(cosine.min())):.0f}° from the middle", expected=f"≤ {LARGEST_ANGLE:g}°",
            remedy="crop the larger one; two whole globes must have the same kind of coordinates",
        )  # fmt: skip
    east, north = project(lon, lat)
    return np.asarray(shapely.polygons(np.stack([east, north], axis=-1)))


def _divisions(grid: Grid) -> np.ndarray:
    """Where the sides of cells are divided, 0…1: sagitta L² / (8 R n²) within `CURVATURE` of the side L."""
    metres = np.deg2rad(1.0) * EARTH_RADIUS if grid.is_geographic else grid._metres
    side = max(np.diff(grid.x_edges).max(), np.diff(grid.y_edges).max()) * metres
    return np.linspace(0.0, 1.0, int(np.clip(np.ceil(np.sqrt(side / (8.0 * EARTH_RADIUS * CURVATURE))), 1, 64)) + 1)

"""Overlaps of cells in different coordinates: polygons in an equal-area projection, clipped by GEOS."""

import numpy as np
import pyproj
import scipy.sparse as sp
import shapely

from transport.constants import EARTH_RADIUS
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid

# Sagitta of a polygon's side over the side of its cell: so much of a cell may be taken for its neighbour's.
CURVATURE = 1e-5
BLOCK = 100_000  # source cells that are clipped at a time: memory does not grow with the source
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


def clipped(source: Grid, target: Grid) -> tuple[sp.csr_matrix, float, np.ndarray]:
    """Shares of source cells in target cells by clipping polygons, whatever the coordinates of the two grids.

    Args:
        source: grid that masses come from.
        target: grid that they go to.

    Returns:
        (ny·nx of target, ny·nx of source) shares; largest |Σ shares − 1| of source cells wholly inside before they were
        made to sum to one; (ny, nx) share of each target cell that source cells cover.

    Raises:
        TanhengError: cells outside of their own projection, or no equal-area projection holds both grids.
    """
    for grid in (source, target):
        _check_projection(grid)
    small = min((source, target), key=_extent)
    lon, lat, radius = _circle(small)
    crs = f"+proj=laea +lat_0={lat!r} +lon_0={lon!r} +R={EARTH_RADIUS} +units=m +type=crs"
    # Longitude and latitude are taken as they are, as everywhere in the toolkit: no shift of datum.
    project = pyproj.Proj(crs)
    j, i = (_near(grid, lon, lat, radius) for grid in (source, target))
    cells = _polygons(target, i, project, (lon, lat))
    outline, tree = shapely.coverage_union_all(cells), shapely.STRtree(cells)
    shapely.prepare(outline)
    shapely.prepare(cells)
    covered, error, found = np.zeros(target.shape).ravel(), 0.0, []
    for part in np.array_split(j, max(1, -(-j.size // BLOCK))):
        parts = _polygons(source, part, project, (lon, lat))
        a, b = tree.query(parts, predicate="intersects")
        area = _areas_of_pairs(parts, cells, a, b)
        covered[i] += np.bincount(b, area, minlength=i.size)
        share, worst = to_one(area / shapely.area(parts)[a], a, shapely.covers(outline, parts))
        error = max(error, worst)
        found.append((share, i[b], part[a]))
    share, row, column = (np.concatenate(each) for each in zip(*found, strict=True))
    covered[i] /= shapely.area(cells)
    matrix = sp.csr_matrix((share, (row, column)), shape=(covered.size, source.shape[0] * source.shape[1]))
    matrix.eliminate_zeros()
    return matrix, error, covered.reshape(target.shape)


def _check_projection(grid: Grid) -> None:
    """Refuse cells whose corners have no longitude, or whose middle is not where its longitude and latitude lead.

    Raises:
        TanhengError: says how many, and where.
    """
    if grid.crs == GEOGRAPHIC:
        return
    lon, lat = _lonlat(grid, *np.meshgrid(grid.x_edges, grid.y_edges))
    bad = ~(np.isfinite(lon) & np.isfinite(lat))
    bad = bad[:-1, :-1] | bad[:-1, 1:] | bad[1:, :-1] | bad[1:, 1:]
    if not grid.is_geographic:
        x, y = np.meshgrid(grid.x, grid.y)
        proj = pyproj.Proj(grid._proj)  # without shifts of datum, which are piecewise and do not lead back
        back = proj(*proj(x, y, inverse=True))
        off = np.maximum(abs(back[0] - x) / np.diff(grid.x_edges), abs(back[1] - y) / np.diff(grid.y_edges)[:, None])
        bad |= ~(off < 1e-3)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise TanhengError(
            "a grid reaches beyond its projection",
            got=f"{np.count_nonzero(bad)} of {bad.size} cells, the first in row {row}, column {column} of {grid!r}",
            expected="cells on the Earth, each in one place", remedy="take a smaller grid or another projection",
        )  # fmt: skip


def _lonlat(grid: Grid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude in −180…180 and latitude; PROJ knows nothing beyond 10 rad."""
    if grid.is_geographic and not grid._proj.is_derived:
        return np.remainder(x + 180.0, 360.0) - 180.0, y
    return grid.lonlat(x, y)


def _extent(grid: Grid) -> float:
    """m2 of a whole grid."""
    if grid.is_geographic:
        width, sine = np.deg2rad(np.ptp(grid.x_edges)), np.sin(np.deg2rad(np.clip(grid.y_edges[[0, -1]], -90.0, 90.0)))
        return float(EARTH_RADIUS**2 * width * np.ptp(sine))
    return float(grid.areas.sum())


def _areas_of_pairs(parts: np.ndarray, cells: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """m2 of each intersection; where one holds the other, nothing needs to be clipped."""
    shapely.prepare(parts)
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
    lon, lat = _lonlat(grid, 0.5 * (x[0] + x[-1]), 0.5 * (y[0] + y[-1]))
    rim = [_lonlat(grid, x, np.full_like(x, v)) for v in (y[0], y[-1])]
    rim += [_lonlat(grid, np.full_like(y, v), y) for v in (x[0], x[-1])]
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
    cosine = _unit(*_lonlat(grid, x, y)) @ _unit(np.asarray(lon), np.asarray(lat))
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
    lon, lat = _lonlat(grid, ring_x, ring_y)
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
    return np.linspace(0.0, 1.0, max(1, int(np.ceil(np.sqrt(side / (8.0 * EARTH_RADIUS * CURVATURE))))) + 1)

"""Polygons on a grid: the share of every cell that lies inside a region."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyproj
import shapely
from numpy.typing import ArrayLike

from inversion.basis import Basis
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid

STEPS_PER_CELL = 8  # vertices put on a polygon's side per cell that it crosses
Rings = Sequence[ArrayLike]


def polygons(grid: Grid, shapes: Mapping[str, Sequence[Rings]]) -> Basis:
    """Fractions of cells inside named regions.

    Args:
        grid: its cells; true areas, so that Σ fraction × area is the region's area on the sphere or in the projection.
        shapes: name to the polygons of a region, each a list of rings as in GeoJSON: (n, 2) longitude and latitude in
            degrees, the outer ring first, then its holes. A ring may cross the date line; sides are straight in
            longitude and latitude, as GeoJSON has them (RFC 7946, §3.1.1 and §3.1.9).

    Returns:
        A basis with weights (ny·nx, regions), each row summing to at most 1.

    Raises:
        TanhengError: a ring that is not a ring, encloses a pole, or crosses itself; regions that overlap or miss the
            grid.
    """
    fractions = np.stack([_fractions(grid, name, parts) for name, parts in shapes.items()], axis=1)
    worst = fractions.sum(axis=1).max()
    if worst > 1.0 + 1e-6:
        raise TanhengError("regions overlap", got=f"{worst:.4f} of one cell", expected="at most 1",
                           remedy="cut the regions apart, or give them to separate blocks")  # fmt: skip
    return Basis(grid.shape, np.array(list(shapes)), weights=fractions)


def _ring(ring: ArrayLike, name: str) -> np.ndarray:
    """(n, 2) closed, longitudes without the jump of the date line."""
    points = np.asarray(ring, dtype=float)
    good = points.ndim == 2 and points.shape[1:] == (2,) and len(points) >= 4 and np.isfinite(points).all()
    if not good or np.abs(points[:, 1]).max() > 90.0 or not np.array_equal(points[0], points[-1]):
        raise TanhengError(
            f"a ring of {name} is not a ring", got=f"shape {points.shape}", expected="≥ 4 rows of longitude and "
            "latitude in degrees, the last the same as the first", remedy="give coordinates as in a GeoJSON polygon",
        )  # fmt: skip
    points = np.stack([np.unwrap(points[:, 0], period=360.0), points[:, 1]], axis=1)
    if abs(points[-1, 0] - points[0, 0]) > 180.0:
        raise TanhengError(f"a ring of {name} goes around a pole", got=f"{np.ptp(points[:, 0]):.0f}° of longitude",
                           expected="less than all the way round", remedy="cut the polygon at a meridian")  # fmt: skip
    return points


def _fractions(grid: Grid, name: str, parts: Sequence[Rings]) -> np.ndarray:
    """(ny·nx,) share of each cell inside the union of polygons."""
    area = np.zeros(grid.shape[0] * grid.shape[1])
    boxes, plane = _boxes(grid)
    rings = [[_ring(r, name) for r in part] for part in parts]
    # Each copy of a polygon one turn away may be the one that lies on the grid.
    turns = (-360.0, 0.0, 360.0) if grid.is_geographic else (0.0,)
    pieces = [_projected(grid, part, turn, plane, name) for part in rings for turn in turns]
    region = shapely.union_all(pieces)
    touched = shapely.STRtree(boxes).query(region, predicate="intersects")
    area[touched] = shapely.area(shapely.intersection(boxes[touched], region))
    share = area / shapely.area(boxes)
    if not share.any():
        raise TanhengError(f"region {name} misses the grid", got=f"bounds {[round(b, 3) for b in region.bounds]}",
                           expected=repr(grid), remedy="check the order longitude, latitude")  # fmt: skip
    return share


def _boxes(grid: Grid):
    """The cells as boxes in an equal-area plane: (λ, sin φ) on the sphere, else the projection's own."""

    def plane(y):
        return np.rad2deg(np.sin(np.deg2rad(y))) if grid.is_geographic else y

    x, y = grid.x_edges, plane(grid.y_edges)
    west, south = (a.ravel() for a in np.meshgrid(x[:-1], y[:-1]))
    east, north = (a.ravel() for a in np.meshgrid(x[1:], y[1:]))
    return shapely.box(west, south, east, north), plane


def _projected(grid: Grid, rings: list[np.ndarray], turn: float, plane, name: str):
    """One polygon in the plane of the boxes, its sides followed by enough vertices to stay what they are."""
    polygon = shapely.Polygon(rings[0], rings[1:])
    if not polygon.is_valid:
        raise TanhengError(f"a polygon of {name} is not simple", got=shapely.is_valid_reason(polygon),
                           expected="rings that do not cross, holes inside", remedy="repair it")  # fmt: skip
    if grid.is_geographic:
        step = min(np.diff(grid.x_edges).min(), np.diff(grid.y_edges).min()) / STEPS_PER_CELL
        return shapely.transform(
            shapely.segmentize(polygon, step), lambda p: np.stack([p[:, 0] + turn, plane(p[:, 1])], axis=1)
        )
    # A degree is 111 km; the projected cell may be smaller or larger than that.
    true = np.sqrt(grid.areas.min()) / 111e3
    to_grid = pyproj.Transformer.from_crs(GEOGRAPHIC, grid.crs, always_xy=True)
    return shapely.transform(
        shapely.segmentize(polygon, true / STEPS_PER_CELL),
        lambda p: np.stack(to_grid.transform(p[:, 0], p[:, 1]), axis=1),
    )

"""Conservative regridding: mass goes to other cells by the exact overlap of areas.

M[i, j] = area(source cell j ∩ target cell i) / area(source cell j),    rate_target = M rate_source

so that every total is kept, whatever the grids. Nothing is interpolated: inside a source cell, mass is spread evenly
(Jones 1999, doi 10.1175/1520-0493(1999)127<2204:FASOCR>2.0.CO;2, first order).
"""

import dataclasses
import hashlib
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pooch
import pyproj
import scipy.sparse as sp
import shapely

from inversion.observations.record import Step
from priors.inventory import Inventory
from transport.constants import EARTH_RADIUS
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid

# Changes with the way in which overlaps are computed, so that older files of the cache are not taken.
VERSION = "overlaps 1"
# Sagitta of a polygon's side over the side of its cell.
CURVATURE = 1e-6
LARGEST_ANGLE = 150.0  # degrees from the centre of the equal-area projection, whose antipode is a singular point


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Overlaps:
    """Shares of the cells of a source grid that lie in the cells of a target grid.

    Args:
        source: grid that masses come from.
        target: grid that they go to.
        matrix: (ny·nx of target, ny·nx of source) CSR, share of each source cell's area lying in each target cell.
        error: largest |Σ shares − 1| of source cells wholly inside the target, before they were made to sum to one.
    """

    source: Grid
    target: Grid
    matrix: sp.csr_matrix
    error: float

    @property
    def inside(self) -> np.ndarray:
        """(ny, nx) share of each source cell that lies in the target."""
        sums = np.bincount(self.matrix.indices, self.matrix.data, minlength=self.source.shape[0] * self.source.shape[1])
        return sums.reshape(self.source.shape)

    def __repr__(self) -> str:
        return f"Overlaps({self.matrix.nnz} pairs, geometric error {self.error:.1e}; {self.source!r} → {self.target!r})"


def regrid(inventory: Inventory, target: Grid, folder: str | Path | None = None) -> Inventory:
    """The same mass on other cells; what lies outside of them is named in a step.

    Args:
        inventory: what is regridded.
        target: new cells.
        folder: of the cache of overlaps; None: the user's cache.

    Raises:
        TanhengError: the grids do not overlap, or are so far apart that no equal-area projection holds both.
    """
    found = overlaps(inventory.grid, target, folder)
    flat = inventory.rate.reshape(-1, inventory.grid.shape[0] * inventory.grid.shape[1])
    rate = (found.matrix @ flat.T).T.reshape(*inventory.rate.shape[:2], *target.shape)
    inside = found.inside
    outside, touched = inventory.total(1.0 - inside), int(np.count_nonzero(inside))
    if not touched:
        raise TanhengError(
            "an inventory does not touch the grid it is brought to", got=repr(inventory.grid), expected=repr(target),
            remedy="read another region of the inventory",
        )  # fmt: skip
    step = Step(
        f"regridded conservatively to {target!r}; {outside:.9g} of {inventory.total():.9g} kg s-1 lie outside, "
        f"geometric error {found.error:.1e} before normalisation",
        touched, (("source cells outside the target", inside.size - touched),),
    )  # fmt: skip
    return dataclasses.replace(inventory, rate=np.ascontiguousarray(rate), grid=target, steps=(*inventory.steps, step))


def overlaps(source: Grid, target: Grid, folder: str | Path | None = None) -> Overlaps:
    """Shares of source cells in target cells.

    Both geographic, or both in one projection: product of the shares along the axes, in sin φ along meridians.
    Otherwise cells are polygons in a Lambert azimuthal equal-area projection centred on the smaller grid, and clipped.

    Args:
        source: grid that masses come from.
        target: grid that they go to.
        folder: of the cache; None: the user's cache.

    Raises:
        TanhengError: grids that span more than the Earth, or that no equal-area projection holds.
    """
    if _one_family(source, target):
        rows, error_y = _whole(_rows(source, target), source.shape[0])
        columns, error_x = _whole(_columns(source, target), source.shape[1])
        matrix = sp.csr_matrix(sp.kron(rows, columns, format="csr"))
        return Overlaps(source, target, matrix, max(error_x, error_y))
    file = Path(folder or Path(pooch.os_cache("tanheng")) / "overlaps") / f"{_key(source, target)}.npz"
    kept = _load(file, source, target)
    if kept is None:
        kept = Overlaps(source, target, *_clipped(source, target))
        _save(file, kept)
    return kept


# --- one family of coordinates: products of intervals ---
def _one_family(a: Grid, b: Grid) -> bool:
    plain = [g.is_geographic and not g._proj.is_derived for g in (a, b)]
    return all(plain) or (not any(plain) and a._proj == b._proj)


def _shares(source: np.ndarray, target: np.ndarray) -> sp.csr_matrix:
    """(target, source) share of each source interval that lies in each target interval."""
    ends = np.searchsorted(target, source)
    first, last = np.maximum(ends[:-1] - 1, 0), np.minimum(ends[1:], target.size - 1)
    counts = np.maximum(last - first, 0)
    column = np.repeat(np.arange(source.size - 1), counts)
    row = np.arange(column.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[column]
    low, high = np.maximum(source[column], target[row]), np.minimum(source[column + 1], target[row + 1])
    share = np.maximum(high - low, 0.0) / (source[column + 1] - source[column])
    matrix = sp.csr_matrix((share, (row, column)), shape=(target.size - 1, source.size - 1))
    matrix.eliminate_zeros()
    return matrix


def _whole(matrix: sp.csr_matrix, size: int) -> tuple[sp.csr_matrix, float]:
    """Shares along an axis where intervals inside the target sum to one."""
    sums = np.bincount(matrix.indices, matrix.data, minlength=size)
    data, error = _to_one(matrix.data, matrix.indices, np.abs(sums - 1.0) < 1e-9)
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape), error


def _rows(source: Grid, target: Grid) -> sp.csr_matrix:
    if not source.is_geographic:
        return _shares(source.y_edges, target.y_edges)
    return _shares(_sine(source.y_edges), _sine(target.y_edges))


def _sine(latitude: np.ndarray) -> np.ndarray:
    """sin φ of edges; cells around a pole end there.

    Raises:
        TanhengError: a whole cell lies beyond a pole.
    """
    if latitude[1] <= -90.0 or latitude[-2] >= 90.0:
        raise TanhengError(
            "a grid has cells beyond a pole", got=f"{latitude[0]:g}…{latitude[-1]:g}°", expected="−90…90°",
            remedy="correct its edges",
        )  # fmt: skip
    return np.sin(np.deg2rad(np.clip(latitude, -90.0, 90.0)))


def _columns(source: Grid, target: Grid) -> sp.csr_matrix:
    """Shares along x, where longitudes are the same after every turn around the Earth."""
    if not source.is_geographic:
        return _shares(source.x_edges, target.x_edges)
    for grid in (source, target):
        if np.ptp(grid.x_edges) > 360.0 * (1.0 + 1e-9):
            raise TanhengError(
                "a grid spans more than the Earth", got=f"{np.ptp(grid.x_edges):.9g}°", expected="at most 360°",
                remedy="drop the columns that repeat",
            )  # fmt: skip
    turns = np.arange(
        np.ceil((target.x_edges[0] - source.x_edges[-1]) / 360.0),
        np.floor((target.x_edges[-1] - source.x_edges[0]) / 360.0) + 1.0,
    )
    total = sp.csr_matrix((target.x.size, source.x.size))
    for turn in turns:
        total = total + _shares(source.x_edges + 360.0 * turn, target.x_edges)
    return sp.csr_matrix(total)


def _to_one(shares: np.ndarray, column: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, float]:
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


# --- different coordinates: polygons ---
def _clipped(source: Grid, target: Grid) -> tuple[sp.csr_matrix, float]:
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
    share, error = _to_one(share, a, _wholly_inside(parts, cells, b))
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


# --- cache ---
def _key(source: Grid, target: Grid) -> str:
    digest = hashlib.sha256(VERSION.encode())
    for grid in (source, target):
        for part in (grid._proj.to_wkt().encode(), grid.x_edges.tobytes(), grid.y_edges.tobytes()):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + str(arrays[name].dtype).encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _load(file: Path, source: Grid, target: Grid) -> Overlaps | None:
    """What the cache holds; None where it holds nothing, or something that is not what was written."""
    try:
        with np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in ("data", "indices", "indptr", "error")}
            if str(held["digest"]) != _digest(arrays):
                return None
    except Exception:  # whatever the file is, the overlaps can be computed again
        return None
    shape = target.shape[0] * target.shape[1], source.shape[0] * source.shape[1]
    matrix = sp.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
    return Overlaps(source, target, matrix, float(arrays["error"]))


def _save(file: Path, found: Overlaps) -> None:
    """Written beside and moved into place, so that nobody reads half a file; a full or locked disk is no failure."""
    m = found.matrix
    arrays = {"data": m.data, "indices": m.indices, "indptr": m.indptr, "error": np.array(found.error)}
    buffer = io.BytesIO()
    np.savez(buffer, digest=np.array(_digest(arrays)), **arrays)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as part:
                part.write(buffer.getvalue())
            os.replace(name, file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

"""Conservative regridding: mass goes to other cells by the exact overlap of areas.

M[i, j] = area(source cell j ∩ target cell i) / area(source cell j),    rate_target = M rate_source

so that every total is kept, whatever the grids. Nothing is interpolated: inside a source cell, mass is spread evenly
(Jones 1999, doi 10.1175/1520-0493(1999)127<2204:FASOCR>2.0.CO;2, first order). Target cells that no source cell covers
have no mass: they are refused unless the caller says that this is right.
"""

import dataclasses
import hashlib
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
import pooch
import scipy.sparse as sp

from inversion.observations.record import Step
from priors.clipping import CURVATURE, clipped, to_one
from priors.inventory import Inventory
from transport.errors import TanhengError
from transport.grid import Grid

# Changes with the way in which overlaps are computed, so that older files of the cache are not taken.
VERSION = "overlaps 2"
# Share of a target cell that need not be covered: rounding of coordinates.
SLACK = 1e-6


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Overlaps:
    """Shares of the cells of a source grid that lie in the cells of a target grid.

    Args:
        source: grid that masses come from.
        target: grid that they go to.
        matrix: (ny·nx of target, ny·nx of source) CSR, share of each source cell's area lying in each target cell.
        error: largest |Σ shares − 1| of source cells wholly inside the target, before they were made to sum to one.
        covered: (ny, nx) share of each target cell that lies in the source grid.
    """

    source: Grid
    target: Grid
    matrix: sp.csr_matrix
    error: float
    covered: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """(ny, nx) share of each source cell that lies in the target."""
        sums = np.bincount(self.matrix.indices, self.matrix.data, minlength=self.source.shape[0] * self.source.shape[1])
        return sums.reshape(self.source.shape)

    def __repr__(self) -> str:
        return f"Overlaps({self.matrix.nnz} pairs, geometric error {self.error:.1e}; {self.source!r} → {self.target!r})"


def regrid(
    inventory: Inventory,
    target: Grid,
    folder: str | Path | None = None,
    uncovered: Literal["refuse", "zero"] = "refuse",
) -> Inventory:
    """The same mass on other cells; what lies outside of them is named in a step.

    Args:
        inventory: what is regridded.
        target: new cells.
        folder: of the cache of overlaps; None: the user's cache.
        uncovered: "zero" where nothing is emitted in target cells that the inventory does not cover; their share of
            the target's area is then named in the step. `overlaps(inventory.grid, target).covered` says where they are.

    Raises:
        TanhengError: the grids do not overlap, target cells are not covered, or no equal-area projection holds both.
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
    bare = _bare(found)
    if bare and uncovered != "zero":
        raise TanhengError(
            "an inventory does not cover the grid it is brought to", got=f"{bare}; {inventory.grid!r}",
            expected=f"{target!r} wholly inside", remedy='read a larger box or take a smaller grid; uncovered="zero" '
            "only where nothing is emitted outside of the inventory",
        )  # fmt: skip
    what = (
        f"regridded conservatively to {target!r}; {outside:.9g} of {inventory.total():.9g} kg s-1 lie outside",
        f"geometric error {found.error:.1e} before normalisation",
        "" if _one_family(found.source, found.target) else f"sides of cells straight to {CURVATURE:.0e} of them",
        f"{bare}: nothing is emitted there" if bare else "", _uniform(found),
    )  # fmt: skip
    step = Step(", ".join(filter(None, what)), touched, (("source cells outside the target", inside.size - touched),))
    return dataclasses.replace(inventory, rate=np.ascontiguousarray(rate), grid=target, steps=(*inventory.steps, step))


def _bare(found: Overlaps) -> str:
    """What of the target the source does not cover, in words; empty where all is covered."""
    lacks = found.covered < 1.0 - SLACK
    areas = found.target.areas
    share = float(((1.0 - found.covered) * areas)[lacks].sum() / areas.sum())
    cells = int(np.count_nonzero(lacks))
    return f"{100.0 * share:.3g} % of the target's area ({cells} of {lacks.size} cells) not covered" if cells else ""


def _uniform(found: Overlaps) -> str:
    """What a uniform flux becomes where the areas of the grids are not of one sphere or ellipsoid."""
    whole = found.covered >= 1.0 - SLACK
    flux = (found.matrix @ found.source.areas.ravel()).reshape(found.target.shape)[whole] / found.target.areas[whole]
    if not flux.size or np.abs(flux - 1.0).max() < 1e-6:
        return ""
    return f"mass is kept, a uniform flux becomes {flux.min():.4f}…{flux.max():.4f} of itself (sphere and ellipsoid)"


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
    for grid in (source, target):
        if grid.is_geographic and np.ptp(grid.x_edges) > 360.0 * (1.0 + 1e-9):
            raise TanhengError(
                "a grid spans more than the Earth", got=f"{np.ptp(grid.x_edges):.9g}°", expected="at most 360°",
                remedy="drop the columns that repeat",
            )  # fmt: skip
    if _one_family(source, target):
        (rows, error_y, covered_y), (columns, error_x, covered_x) = _rows(source, target), _columns(source, target)
        matrix = sp.csr_matrix(sp.kron(rows, columns, format="csr"))
        return Overlaps(source, target, matrix, max(error_x, error_y), np.outer(covered_y, covered_x))
    file = Path(folder or Path(pooch.os_cache("tanheng")) / "overlaps") / f"{_key(source, target)}.npz"
    kept = _load(file, source, target)
    if kept is None:
        kept = Overlaps(source, target, *clipped(source, target))
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


def _axis(matrix: sp.csr_matrix, source: np.ndarray, target: np.ndarray) -> tuple[sp.csr_matrix, float, np.ndarray]:
    """Shares along an axis where intervals inside the target sum to one, the error before, and the covered shares."""
    sums = np.bincount(matrix.indices, matrix.data, minlength=source.size - 1)
    data, error = to_one(matrix.data, matrix.indices, np.abs(sums - 1.0) < 1e-9)
    whole = sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    return whole, error, whole @ np.diff(source) / np.diff(target)


def _rows(source: Grid, target: Grid) -> tuple[sp.csr_matrix, float, np.ndarray]:
    a, b = (_sine(g.y_edges) if g.is_geographic else g.y_edges for g in (source, target))
    return _axis(_shares(a, b), a, b)


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


def _columns(source: Grid, target: Grid) -> tuple[sp.csr_matrix, float, np.ndarray]:
    """Shares along x, where longitudes are the same after every turn around the Earth."""
    a, b = source.x_edges, target.x_edges
    if not source.is_geographic:
        return _axis(_shares(a, b), a, b)
    turns = np.arange(np.ceil((b[0] - a[-1]) / 360.0), np.floor((b[-1] - a[0]) / 360.0) + 1.0)
    total = sp.csr_matrix((b.size - 1, a.size - 1))
    for turn in turns:
        total = total + _shares(a + 360.0 * turn, b)
    return _axis(sp.csr_matrix(total), a, b)


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
            arrays = {name: held[name] for name in ("data", "indices", "indptr", "error", "covered")}
            if str(held["digest"]) != _digest(arrays):
                return None
    except Exception:  # whatever the file is, the overlaps can be computed again
        return None
    shape = target.shape[0] * target.shape[1], source.shape[0] * source.shape[1]
    matrix = sp.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
    return Overlaps(source, target, matrix, float(arrays["error"]), arrays["covered"])


def _save(file: Path, found: Overlaps) -> None:
    """Written beside and moved into place, so that nobody reads half a file; a full or locked disk is no failure."""
    m = found.matrix
    arrays = {"data": m.data, "indices": m.indices, "indptr": m.indptr, "error": np.array(found.error)}
    arrays["covered"] = found.covered
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

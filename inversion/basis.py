"""Basis functions: from many cells to the few elements that the data can tell apart.

A basis is a linear map from elements to cells, value(cell) = Σ_k W[cell, k] x[k]. A partition (k-means, quadtree,
regions) has one element per cell and W of zeros and ones; with x = 1 everywhere it returns the pattern that it scales,
so that totals are conserved. Patterns (EOF) and fractions (polygons) have a full W.
"""

import dataclasses
import heapq

import jax.numpy as jnp
import numpy as np

from inversion.covariance import AbstractCovariance
from inversion.distance import unit_vectors
from transport.errors import TanhengError
from transport.grid import Grid

OUTSIDE = -1


@dataclasses.dataclass(frozen=True, eq=False)
class Basis:
    """Cells as functions of elements, given by exactly one of `index` and `weights`.

    Args:
        shape: (ny, nx) of the cells.
        labels: (k,) name of each element: strings, numbers, or a structured array.
        index: (ny, nx) element of each cell, −1 for a cell outside.
        weights: (ny·nx, k).

    Raises:
        TanhengError: neither or both, sizes that do not fit, an element without a cell.
    """

    shape: tuple[int, int]
    labels: np.ndarray
    index: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __post_init__(self):
        cells, k = self.shape[0] * self.shape[1], len(self.labels)
        if (self.index is None) == (self.weights is None):
            raise TanhengError("a basis is an index or a matrix", got="neither or both", expected="one of them",
                               remedy="give index or weights")  # fmt: skip
        if self.weights is not None:
            fits = np.shape(self.weights) == (cells, k) and bool(np.isfinite(self.weights).all())
            empty = np.flatnonzero(~np.any(self.weights, axis=0)) if fits else np.zeros(0, int)
        else:
            index = np.asarray(self.index)
            fits = index.shape == self.shape and index.min() >= OUTSIDE and index.max() < k
            empty = np.setdiff1d(np.arange(k), index) if fits else np.zeros(0, int)
        if not fits or k == 0 or empty.size:
            raise TanhengError(
                "a basis does not fit its cells" if not empty.size else "an element of a basis holds no cell",
                got=f"{k} elements" if not empty.size else f"{self.labels[empty[0]]}, {empty.size} of {k}",
                expected=f"cells {self.shape}, each element with a cell, finite weights",
                remedy="build index or weights, and labels, together on the grid of the fluxes",
            )

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.labels)

    @property
    def covered(self) -> np.ndarray:
        """(ny, nx) share of each cell that the elements make up: 1 inside a partition."""
        return self.expand(np.ones(self.size))

    def matrix(self) -> np.ndarray:
        """(ny·nx, k) W."""
        if self.weights is not None:
            return np.asarray(self.weights, dtype=float)
        assert self.index is not None
        flat = np.asarray(self.index).ravel()
        return (flat[:, None] == np.arange(self.size)).astype(float)

    def expand(self, x: np.ndarray) -> np.ndarray:
        """(…, ny, nx) W x of x (…, k)."""
        if self.weights is not None:
            return (x @ np.asarray(self.weights).T).reshape(*x.shape[:-1], *self.shape)
        assert self.index is not None
        return np.where(self.index == OUTSIDE, 0.0, x[..., np.maximum(self.index, 0)])

    def aggregate(self, field: np.ndarray) -> np.ndarray:
        """(…, k) Wᵀ f: what of a field (…, ny, nx), e.g. an emission per cell, belongs to each element."""
        return field.reshape(*field.shape[:-2], -1) @ self.matrix()


def cells(shape: tuple[int, int], mask: np.ndarray | None = None) -> Basis:
    """Every cell (of a mask) its own element, labelled by row and column.

    Args:
        shape: (ny, nx).
        mask: (ny, nx) true where there is an element.
    """
    inside = np.ones(shape, bool) if mask is None else np.asarray(mask, bool)
    index = np.full(shape, OUTSIDE)
    index[inside] = np.arange(inside.sum())
    where = np.argwhere(inside)
    labels = np.zeros(len(where), dtype=[("row", int), ("column", int)])
    labels["row"], labels["column"] = where.T
    return Basis(shape, labels, index=index)


def regions(mask: np.ndarray, names: dict[int, str]) -> Basis:
    """Regions of an integer mask.

    Args:
        mask: (ny, nx) integer of each cell's region.
        names: number to name; cells with other numbers stay outside.

    Raises:
        TanhengError: a mask that is not of integers; a named region without a cell.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise TanhengError(
            "a region mask must hold integers", got=f"{mask.dtype} of shape {mask.shape}", expected="integers (ny, nx)",
            remedy="round and convert it, missing cells to a number without a name",
        )  # fmt: skip
    index = np.full(mask.shape, OUTSIDE)
    for element, number in enumerate(names):
        index[mask == number] = element
    return Basis((mask.shape[0], mask.shape[1]), np.array(list(names.values())), index=index)


# --- k-means ----------------------------------------------------------------------------------------------------------
def kmeans(grid: Grid, count: int, weights: np.ndarray | None = None, seed: int = 0, iterations: int = 100) -> Basis:
    """Clusters of neighbouring cells that minimise Σ w |r − centre|².

    Lloyd's iteration from k-means++ seeds (Arthur & Vassilvitskii 2007, SODA, §2.2), on unit vectors where the grid is
    geographic, so that neither the poles nor the date line matter.

    Args:
        grid: its cells.
        count: number of clusters.
        weights: (ny, nx) ≥ 0, e.g. footprint × flux; cells without weight join the nearest cluster.
        seed: of the random start.
        iterations: at most.

    Raises:
        TanhengError: more clusters than cells with weight; weights that are negative, missing or of another shape.
    """
    w = _weights(grid.shape, weights)
    if not 1 <= count <= np.count_nonzero(w):
        raise TanhengError("too many clusters", got=count, expected=f"1…{np.count_nonzero(w)} cells with weight",
                           remedy="ask for fewer")  # fmt: skip
    xy = np.stack([a.ravel() for a in np.meshgrid(grid.x, grid.y)], axis=1)
    points = unit_vectors(xy) if grid.is_geographic else xy
    centres = _seeds(points, w.ravel(), count, np.random.default_rng(seed))
    nearest = np.full(len(points), OUTSIDE)
    for _ in range(iterations):
        distance = ((points[:, None] - centres) ** 2).sum(axis=2)
        before, nearest = nearest, distance.argmin(axis=1)
        if np.array_equal(before, nearest):
            break
        mass = np.bincount(nearest, w.ravel(), count)
        for k in np.flatnonzero(mass > 0):
            centres[k] = np.average(points[nearest == k], axis=0, weights=w.ravel()[nearest == k])
    # A cluster that lost all its cells is dropped: the labels count what is there.
    used, index = np.unique(nearest, return_inverse=True)
    return Basis(grid.shape, np.arange(used.size), index=index.reshape(grid.shape))


def _weights(shape: tuple[int, int], weights: np.ndarray | None) -> np.ndarray:
    w = np.ones(shape) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != shape or not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise TanhengError(
            "the weights of a basis do not fit", got=f"shape {w.shape}, {w.min():.3g}…{w.max():.3g}",
            expected=f"finite numbers ≥ 0 of shape {shape}, not all zero",
            remedy="give the mean footprint times the prior flux, its absolute value if fluxes have both signs",
        )  # fmt: skip
    return w


def _seeds(points: np.ndarray, w: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each seed drawn with probability ∝ w × squared distance to the seeds so far."""
    chosen = [rng.choice(len(points), p=w / w.sum())]
    for _ in range(count - 1):
        distance = ((points[:, None] - points[chosen]) ** 2).sum(axis=2).min(axis=1)
        share = w * distance
        chosen.append(rng.choice(len(points), p=share / share.sum()))
    return points[chosen].copy()


# --- quadtree ---------------------------------------------------------------------------------------------------------
def quadtree(shape: tuple[int, int], count: int, weights: np.ndarray) -> Basis:
    """Rectangles of similar weight: the heaviest is split in four (two, along a single row) until there are `count`.

    One of the multiscale representations of Bocquet (2009, doi 10.1175/2009MWR2789.1), chosen greedily.

    Args:
        shape: (ny, nx).
        count: largest number of elements; at most three fewer are returned, as a split adds up to three.
        weights: (ny, nx) ≥ 0, e.g. mean footprint × flux.

    Raises:
        TanhengError: count below one; weights that do not fit.
    """
    w = _weights(shape, weights)
    if count < 1:
        raise TanhengError("a quadtree needs an element", got=count, expected="≥ 1", remedy="ask for more")
    # Sums from a summed-area table; the heap is ordered by weight, ties by position, so that the result is unique.
    table = np.pad(w.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))

    def entry(box):
        south, north, west, east = box
        weight = table[north, east] - table[south, east] - table[north, west] + table[south, west]
        return (-float(weight), *box)

    heap: list[tuple[float, int, int, int, int]] = [entry((0, shape[0], 0, shape[1]))]
    leaves: list[list[int]] = []
    while heap:
        _, *box = heapq.heappop(heap)
        parts = _split(box)
        if len(parts) == 1 or len(heap) + len(leaves) + len(parts) > count:
            leaves.append(box)
        else:
            for part in parts:
                heapq.heappush(heap, entry(part))
    index = np.full(shape, OUTSIDE)
    for element, (south, north, west, east) in enumerate(sorted(leaves)):
        index[south:north, west:east] = element
    return Basis(shape, np.arange(len(leaves)), index=index)


def _split(box) -> list[tuple[int, int, int, int]]:
    south, north, west, east = box
    rows = [(south, north)] if north - south == 1 else [(south, m := (south + north) // 2), (m, north)]
    columns = [(west, east)] if east - west == 1 else [(west, m := (west + east) // 2), (m, east)]
    return [(*r, *c) for r in rows for c in columns]


# --- principal components ---------------------------------------------------------------------------------------------
def eof(shape: tuple[int, int], covariance: AbstractCovariance, count: int, totals: np.ndarray | None = None) -> Basis:
    """Leading patterns of a prior covariance B: W Wᵀ ≈ B, so that x has unit covariance, x ~ N(0, I).

    With totals T (rows t, e.g. emission per cell inside a country) the space spanned by B Tᵀ is kept first and the
    leading patterns of the rest follow. Then T W Wᵀ Tᵀ = T B Tᵀ: truncation takes nothing from the prior variance of
    those totals, and what it conserves of each is exact.

    Args:
        shape: (ny, nx).
        covariance: B of the ny·nx cells.
        count: number of patterns, with those of the totals.
        totals: (t, ny·nx) linearly independent, or None.

    Raises:
        TanhengError: a count outside t…ny·nx.
    """
    n = shape[0] * shape[1]
    fixed = np.zeros((0, n)) if totals is None else np.atleast_2d(np.asarray(totals, dtype=float))
    if covariance.size != n or fixed.shape[1] != n or not max(1, len(fixed)) <= count <= n:
        raise TanhengError(
            "patterns do not fit their cells",
            got=f"{count} patterns, covariance of {covariance.size}, totals {fixed.shape}",
            expected=f"{n} cells, at least one pattern per total", remedy="build covariance and totals on the grid",
        )  # fmt: skip
    root = np.asarray(covariance.sqrt_mv(jnp.eye(n)))
    kept, triangle = np.linalg.qr(root.T @ fixed.T)
    if len(fixed) and np.abs(np.diagonal(triangle)).min() <= 1e-10 * np.abs(triangle).max():
        raise TanhengError("the totals of a basis depend on each other", got=f"{len(fixed)} totals",
                           expected="linearly independent rows", remedy="leave out sums of others")  # fmt: skip
    rest = root - (root @ kept) @ kept.T
    left, singular, _ = np.linalg.svd(rest, full_matrices=False)
    free = count - len(fixed)
    return Basis(shape, np.arange(count), weights=np.hstack([root @ kept, left[:, :free] * singular[:free]]))

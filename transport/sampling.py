"""O: what an instrument sees of the air. Every sample is a weighted sum of cells; its transpose scatters them back."""

import dataclasses
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from transport.errors import TanhengError
from transport.grid import Grid
from transport.linear import AbstractMap, Transpose


@dataclasses.dataclass(frozen=True, eq=False)
class Receptor:
    """Where, when and with which vertical weights air is sampled.

    The model gives means over the intervals of its meteorology; a window takes each in proportion to the time they
    share, so `Meteorology.split` is what resolves windows shorter than an interval.

    Args:
        x, y: position in the grid's own coordinates.
        start, end: window of the observation in seconds from the start of the run.
        levels: (nz,) weights of the model layers: from `height_weights`, or `column_weights` for a column.
    """

    x: float
    y: float
    start: float
    end: float
    levels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Combined:
    """A weighted sum of receptors seen as one sample: a path, a footprint, a difference of two columns.

    Args:
        receptors: n of them.
        weights: (n,).
    """

    receptors: tuple[Receptor, ...]
    weights: np.ndarray

    def __post_init__(self):
        if len(self.receptors) != len(self.weights):
            raise TanhengError(
                "a weighted sum of receptors needs one weight each", got=f"{len(self.weights)} weights",
                expected=f"{len(self.receptors)}", remedy="give as many weights as receptors",
            )  # fmt: skip


class Sampler(AbstractMap):
    """y = O C with at most `width` cells per sample, kept as padded rows of indices and weights.

    Args:
        receptors: n receptors, or weighted sums of some.
        grid: horizontal grid; bilinear in space.
        shape: (nt, nz, ny, nx) of the air C.
        interval: s, of the means that C holds.

    Raises:
        TanhengError: a receptor outside the grid or the window.
    """

    index: Int[Array, "n width"]
    weight: Float[Array, "n width"]
    shape: tuple[int, int, int, int] = eqx.field(static=True)
    interval: float = eqx.field(static=True)

    def __init__(
        self, receptors: Sequence[Receptor | Combined], grid: Grid, shape: tuple[int, int, int, int], interval: float
    ):
        rows = [_row(receptor, grid, shape, interval) for receptor in receptors]
        width = max((len(i) for i, _ in rows), default=1)
        index = np.zeros((len(rows), width), dtype=np.int32)
        weight = np.zeros((len(rows), width))
        for n, (i, w) in enumerate(rows):
            index[n, : len(i)], weight[n, : len(w)] = i, w
        self.index, self.weight, self.shape = jnp.asarray(index), jnp.asarray(weight), shape
        self.interval = float(interval)

    def in_structure(self):
        """(nt, nz, ny, nx) ppm."""
        return jax.ShapeDtypeStruct(self.shape, self.weight.dtype)

    def out_structure(self):
        """(n,) ppm."""
        return jax.ShapeDtypeStruct((self.index.shape[0],), self.weight.dtype)

    def mv(self, vector):
        """O C."""
        return jnp.sum(vector.ravel()[self.index] * self.weight, axis=1)

    def mv_transposed(self, vector):
        """Oᵀ y."""
        cells = jnp.zeros(int(np.prod(self.shape)), vector.dtype)
        return cells.at[self.index].add(vector[:, None] * self.weight).reshape(self.shape)

    def visits(self) -> "Visits":
        """The same weights, interval by interval."""
        weight, index = np.asarray(self.weight), np.asarray(self.index)
        n, column = np.nonzero(weight)
        nt, *cells = self.shape
        return _by_interval(n, weight[n, column], nt, int(np.prod(cells)), index[n, column])

    def transpose(self) -> Transpose:
        """Oᵀ."""
        return Transpose(self)


def _by_interval(n: np.ndarray, weight: np.ndarray, nt: int, cells: int, index: np.ndarray) -> "Visits":
    """Entries of all samples, sorted into the intervals that they visit and padded with weight zero."""
    t, cell = np.divmod(index, cells)
    order = np.argsort(t, kind="stable")
    counts = np.bincount(t, minlength=nt)
    width = max(int(counts.max(initial=0)), 1)
    place = np.arange(len(t)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded = np.zeros((nt, width), np.int32), np.zeros((nt, width), np.int32), np.zeros((nt, width), weight.dtype)
    for whole, part in zip(padded, (n, cell, weight), strict=True):
        whole[t[order], place] = part[order]
    return Visits(*map(jnp.asarray, padded))


class Visits(eqx.Module):
    """The entries of a sampler by interval: which cell counts for which sample with which weight, each (nt, width)."""

    sample: Int[Array, "nt width"]
    cell: Int[Array, "nt width"]
    weight: Float[Array, "nt width"]


def _linear(centres: np.ndarray, value: float) -> tuple[list[int], list[float]]:
    """Indices and weights of linear interpolation between cell centres; constant beyond the outer centres."""
    at = np.interp(value, centres, np.arange(centres.size))
    low = min(int(at), centres.size - 2) if centres.size > 1 else 0
    high = min(low + 1, centres.size - 1)
    return [low, high], [1.0 - (at - low), float(at - low)]


def _row(sample: Receptor | Combined, grid: Grid, shape: tuple[int, int, int, int], interval: float):
    """Flat cell indices and weights of one sample; cells met more than once are summed."""
    parts = [(1.0, sample)] if isinstance(sample, Receptor) else zip(sample.weights, sample.receptors, strict=True)
    pairs = [(float(w) * weight, index) for w, receptor in parts
             for index, weight in _cells(receptor, grid, shape, interval)]  # fmt: skip
    index, inverse = np.unique([i for _, i in pairs], return_inverse=True)
    return index, np.bincount(inverse, weights=[w for w, _ in pairs], minlength=len(index))


def _cells(receptor: Receptor, grid: Grid, shape: tuple[int, int, int, int], interval: float):
    nt, nz, ny, nx = shape
    inside = grid.x_edges[0] <= receptor.x <= grid.x_edges[-1] and grid.y_edges[0] <= receptor.y <= grid.y_edges[-1]
    if len(receptor.levels) != nz:
        raise TanhengError(
            "vertical weights of a receptor do not fit the model", got=f"{len(receptor.levels)} weights",
            expected=f"{nz}, one per layer", remedy="build them with height_weights or column_weights",
        )  # fmt: skip
    if not inside or not 0.0 <= receptor.start < receptor.end <= nt * interval * (1.0 + 1e-12):
        raise TanhengError(
            "a receptor lies outside the model",
            got=f"x {receptor.x:.6g}, y {receptor.y:.6g}, {receptor.start:.0f}…{receptor.end:.0f} s",
            expected=f"{grid!r}, a window of positive length within 0…{nt * interval:.0f} s",
            remedy="drop the observation or enlarge the domain",
        )
    starts = np.arange(nt) * interval
    shared = np.clip(np.minimum(starts + interval, receptor.end) - np.maximum(starts, receptor.start), 0.0, None)
    times = shared / shared.sum()
    columns, rows = _linear(grid.x, receptor.x), _linear(grid.y, receptor.y)
    for t in np.flatnonzero(times):
        for k in np.flatnonzero(receptor.levels):
            for j, wj in zip(*rows, strict=True):
                for i, wi in zip(*columns, strict=True):
                    if wi * wj != 0.0:
                        yield ((int(t) * nz + int(k)) * ny + j) * nx + i, float(times[t] * receptor.levels[k]) * wi * wj


def path_average(
    start: tuple[float, float, float], end: tuple[float, float, float], window: tuple[float, float],
    height_edges: Callable[[float, float], np.ndarray], points: int = 64,
) -> Combined:  # fmt: skip
    """The mean along a straight open path, as a ground-based lidar or an open-path spectrometer sees it.

    ȳ = (1/L) ∫ C ds, by the midpoint rule.

    Args:
        start, end: (x, y, height above ground) of the two ends: the grid's own coordinates and m.
        window: start and end of the measurement, s from the start of the run.
        height_edges: gives the (nz+1,) heights of the model's layer edges above a point (x, y), m.
        points: of the midpoint rule; take several per cell that the path crosses.
    """
    share = (np.arange(points) + 0.5) / points
    along = [np.asarray(a) + share * (np.asarray(b) - np.asarray(a)) for a, b in zip(start, end, strict=True)]
    receptors = tuple(
        Receptor(float(x), float(y), *window, height_weights(height_edges(float(x), float(y)), float(z)))
        for x, y, z in zip(*along, strict=True)
    )
    return Combined(receptors, np.full(points, 1.0 / points))


def height_weights(height_edges: np.ndarray, height: float) -> np.ndarray:
    """Weights of linear interpolation between layer centres; below the lowest centre its value, above the highest too.

    Args:
        height_edges: (nz+1,) of the model's layers, m above ground.
        height: of the inlet, m above ground.

    Returns:
        (nz,) weights, summing to one.

    Raises:
        TanhengError: the height lies above the model top.
    """
    if not 0.0 <= height <= height_edges[-1]:
        raise TanhengError(
            "an inlet height lies outside the model",
            got=f"{height} m",
            expected=f"0…{height_edges[-1]:.0f} m",
            remedy="check the unit of the inlet height",
        )
    weights = np.zeros(len(height_edges) - 1)
    index, weight = _linear(0.5 * (height_edges[1:] + height_edges[:-1]), height)
    np.add.at(weights, index, weight)
    return weights


def column_weights(model_edges: np.ndarray, pressure_edges: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weights of the model layers in a column average with averaging kernel.

    The product's column change is Σ_i h_i a_i Δx_i with pressure weights h_i = Δp_i / Σ Δp. A product layer sees the
    model through the pressure they share, which conserves the column where both have the same surface. A product that
    reaches below the model's ground sees the lowest layer there; one that ends above it does not see the rest. Above
    the model top Δx = 0, i.e. the product's own prior stands there (Rodgers and Connor 2003,
    doi 10.1029/2002JD002299, eq. 10).

    Args:
        model_edges: (nz+1,) pressure edges of the model's layers in Pa, decreasing.
        pressure_edges: (m+1,) edges of the product's layers in Pa, from the surface up (decreasing).
        kernel: (m,) column averaging kernel a.

    Returns:
        (nz,) weights; their sum is below one because the model does not reach the top of the atmosphere.

    Raises:
        TanhengError: pressures are not decreasing, of different units, or shapes disagree.
    """
    if pressure_edges.size != kernel.size + 1 or not np.all(np.diff(pressure_edges) < 0):
        raise TanhengError(
            "pressure edges of a column do not fit its kernel",
            got=f"{pressure_edges.size} edges, {kernel.size} kernel values",
            expected="one more edge than kernel values, decreasing from the surface up, in Pa",
            remedy="reverse the product's layers once when it is read",
        )
    model = np.array(model_edges, dtype=float)
    if not np.all(np.diff(model) < 0) or not 0.5 < pressure_edges[0] / model[0] < 2.0:
        raise TanhengError(
            "a column and the model do not share one pressure axis",
            got=f"product {pressure_edges[0]:.6g}…{pressure_edges[-1]:.6g}, model {model[0]:.6g}…{model[-1]:.6g}",
            expected="both in Pa, decreasing from the same ground up",
            remedy="convert hPa to Pa, and give edges from the ground",
        )
    model[0] = max(model[0], pressure_edges[0])
    top = np.maximum(model[None, 1:], pressure_edges[1:, None])
    bottom = np.minimum(model[None, :-1], pressure_edges[:-1, None])
    shared = np.clip(bottom - top, 0.0, None)  # (m, nz) Pa
    return kernel @ shared / (pressure_edges[0] - pressure_edges[-1])

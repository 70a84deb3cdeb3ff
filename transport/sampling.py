"""O: what an instrument sees of the air. Every sample is a weighted sum of cells; its transpose scatters them back."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from transport.errors import TanhengError
from transport.grid import Grid, Levels
from transport.linear import AbstractMap, Transpose


@dataclasses.dataclass(frozen=True)
class Receptor:
    """Where, when and with which vertical weights air is sampled.

    Args:
        x, y: position in the grid's own coordinates.
        interval: index of the meteorological interval whose mean is sampled.
        levels: (nz,) weights of the model layers; one for a sample inside a layer, h·a summed onto layers for a column.
    """

    x: float
    y: float
    interval: int
    levels: np.ndarray


class Sampler(AbstractMap):
    """y = O C with at most `width` cells per sample, kept as padded rows of indices and weights.

    Args:
        receptors: n receptors.
        grid: horizontal grid; bilinear in space.
        shape: (nt, nz, ny, nx) of the air C.

    Raises:
        TanhengError: a receptor outside the grid or the window.
    """

    index: Int[Array, "n width"]
    weight: Float[Array, "n width"]
    shape: tuple[int, int, int, int] = eqx.field(static=True)

    def __init__(self, receptors: list[Receptor], grid: Grid, shape: tuple[int, int, int, int]):
        rows = [_cells(receptor, grid, shape) for receptor in receptors]
        width = max((len(i) for i, _ in rows), default=1)
        index = np.zeros((len(rows), width), dtype=np.int32)
        weight = np.zeros((len(rows), width))
        for n, (i, w) in enumerate(rows):
            index[n, : len(i)], weight[n, : len(w)] = i, w
        self.index, self.weight, self.shape = jnp.asarray(index), jnp.asarray(weight), shape

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

    def transpose(self) -> Transpose:
        """Oᵀ."""
        return Transpose(self)


def _linear(centres: np.ndarray, value: float) -> tuple[list[int], list[float]]:
    """Indices and weights of linear interpolation between cell centres; constant beyond the outer centres."""
    at = np.interp(value, centres, np.arange(centres.size))
    low = min(int(at), centres.size - 2) if centres.size > 1 else 0
    high = min(low + 1, centres.size - 1)
    return [low, high], [1.0 - (at - low), float(at - low)]


def _cells(receptor: Receptor, grid: Grid, shape: tuple[int, int, int, int]) -> tuple[list[int], list[float]]:
    nt, nz, ny, nx = shape
    inside = grid.x_edges[0] <= receptor.x <= grid.x_edges[-1] and grid.y_edges[0] <= receptor.y <= grid.y_edges[-1]
    if len(receptor.levels) != nz:
        raise TanhengError(
            "vertical weights of a receptor do not fit the model", got=f"{len(receptor.levels)} weights",
            expected=f"{nz}, one per layer", remedy="build them with height_weights or column_weights",
        )  # fmt: skip
    if not inside or not 0 <= receptor.interval < nt:
        raise TanhengError(
            "a receptor lies outside the model",
            got=f"x {receptor.x:.6g}, y {receptor.y:.6g}, interval {receptor.interval}",
            expected=f"{grid!r}, intervals 0…{nt - 1}",
            remedy="drop the observation or enlarge the domain",
        )
    columns, rows = _linear(grid.x, receptor.x), _linear(grid.y, receptor.y)
    index, weight = [], []
    for k in np.flatnonzero(receptor.levels):
        for j, wj in zip(*rows, strict=True):
            for i, wi in zip(*columns, strict=True):
                if wi * wj != 0.0:
                    index.append(((receptor.interval * nz + int(k)) * ny + j) * nx + i)
                    weight.append(float(receptor.levels[k]) * wi * wj)
    return index, weight


def height_weights(levels: Levels, height: float) -> np.ndarray:
    """(nz,) weights of linear interpolation to `height` metres above ground.

    Raises:
        TanhengError: the height lies above the model top.
    """
    if not 0.0 <= height <= levels.edges[-1]:
        raise TanhengError(
            "an inlet height lies outside the model",
            got=f"{height} m",
            expected=f"0…{levels.edges[-1]:.0f} m",
            remedy="check the unit of the inlet height",
        )
    weights = np.zeros(levels.count)
    index, weight = _linear(levels.centres, height)
    np.add.at(weights, index, weight)
    return weights


def column_weights(levels: Levels, pressure_edges: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weights of the model layers in a column average with averaging kernel.

    The product's column change is Σ_i h_i a_i Δx_i with pressure weights h_i = Δp_i / Σ Δp. A product layer sees the
    model through the pressure they share, which conserves the column where both have the same surface. A product that
    reaches below the model's ground sees the lowest layer there; one that ends above it does not see the rest. Above
    the model top Δx = 0, i.e. the product's own prior stands there (Rodgers and Connor 2003,
    doi 10.1029/2002JD002299, eq. 10).

    Args:
        levels: the model's layers.
        pressure_edges: (m+1,) edges of the product's layers in Pa, from the surface up (decreasing).
        kernel: (m,) column averaging kernel a.

    Returns:
        (nz,) weights; their sum is below one because the model does not reach the top of the atmosphere.

    Raises:
        TanhengError: pressures are not decreasing or shapes disagree.
    """
    if pressure_edges.size != kernel.size + 1 or not np.all(np.diff(pressure_edges) < 0):
        raise TanhengError(
            "pressure edges of a column do not fit its kernel",
            got=f"{pressure_edges.size} edges, {kernel.size} kernel values",
            expected="one more edge than kernel values, decreasing from the surface up, in Pa",
            remedy="reverse the product's layers once when it is read",
        )
    model = np.array(levels.pressure_edges)
    model[0] = max(model[0], pressure_edges[0])
    top = np.maximum(model[None, 1:], pressure_edges[1:, None])
    bottom = np.minimum(model[None, :-1], pressure_edges[:-1, None])
    shared = np.clip(bottom - top, 0.0, None)  # (m, nz) Pa
    return kernel @ shared / (pressure_edges[0] - pressure_edges[-1])

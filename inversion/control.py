"""S: the control vector x in labelled blocks, and what each block emits.

A block scales a base pattern: its contribution to a source field is base · x[index], with an index array that says
which element of x governs which entry (per cell, per day, per source). Where elements overlap (fractions of regions,
patterns) a matrix W comes between, base · (W x)[index]. Blocks are summed. `inversion.blocks` builds the usual ones.
"""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from inversion.covariance import AbstractCovariance
from transport.errors import TanhengError
from transport.linear import AbstractMap, Transpose
from transport.sources import Boundary, Sources

SIDES = ("west", "east", "south", "north", "top")
TARGETS = ("surface", "points", "inflow", *SIDES, "initial", "observation")


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """One labelled part of the control vector.

    Args:
        name: unique name.
        target: the field of `Sources` or of its boundary that it feeds; "inflow" (nt,) for air that is the same all
            around, and everywhere at the start; "observation" for a column added to modelled observations.
        base: pattern with the target's shape, in the target's unit; for "observation" an (n_obs,) pattern. Axes before
            those of the target (sectors, predictors) are summed.
        index: integers that broadcast to base: the element of the block, or row of W x, that scales each entry.
        mean: (size,) prior mean.
        covariance: prior covariance of the block.
        unit: unit of x, "1" for scaling factors.
        axes: name and coordinate (1-D; fields of a structured array become coordinates of their own) of each
            dimension of x, the slowest first; their lengths multiply to size. For labels alone.
        weights: W (cells, k), acting on the last dimension of x: (…, k) to (…, cells), rows of the result counted
            through for the index; None for W = 1.

    Raises:
        TanhengError: an unknown target; parts that do not fit each other; values that are not finite.
    """

    name: str
    target: str
    base: np.ndarray
    index: np.ndarray
    mean: np.ndarray
    covariance: AbstractCovariance
    unit: str = "1"
    axes: tuple[tuple[str, np.ndarray], ...] = ()
    weights: np.ndarray | None = None

    def __post_init__(self):
        if self.target not in TARGETS:
            raise TanhengError(
                f"control block {self.name} has an unknown target",
                got=self.target,
                expected=", ".join(TARGETS),
                remedy="name one of these",
            )
        self._check_axes()
        self._check_weights()
        index, base = np.asarray(self.index), np.shape(self.base)
        if index.size and not (index.min() >= 0 and index.max() < self._values):
            raise TanhengError(
                f"control block {self.name} points outside itself", got=f"indices {index.min()}…{index.max()}",
                expected=f"0…{self._values - 1}", remedy="give one element of mean per index",
            )  # fmt: skip
        if self.covariance.size != self.size or not _broadcasts(index.shape, base):
            raise TanhengError(
                f"the parts of control block {self.name} do not fit",
                got=f"{self.size} means, covariance of {self.covariance.size}, index {index.shape}, base {base}",
                expected="as many means as variances, and an index that broadcasts to the base",
                remedy="build mean, covariance and index together",
            )
        if not (np.isfinite(self.base).all() and np.isfinite(self.mean).all()):
            raise TanhengError(
                f"control block {self.name} is not finite", got=f"{np.count_nonzero(~np.isfinite(self.base))} values "
                f"of the base, {np.count_nonzero(~np.isfinite(self.mean))} means", expected="finite numbers",
                remedy="fill what is missing, with zero where nothing is emitted",
            )  # fmt: skip

    def _check_axes(self):
        lengths = [len(values) for _, values in self.axes]
        if self.axes and math.prod(lengths) != self.size:
            raise TanhengError(
                f"the axes of control block {self.name} do not fit", got=f"{lengths}", expected=f"{self.size} elements",
                remedy="name every dimension of x, the slowest first",
            )  # fmt: skip
        if len(set(fields := [name for name, _ in self._columns()])) != len(fields):
            raise TanhengError(f"two axes of control block {self.name} have one name", got=fields,
                               expected="different names", remedy="rename one")  # fmt: skip

    def _check_weights(self):
        if self.weights is None:
            return
        shape = np.shape(self.weights)
        if len(shape) != 2 or shape[1] == 0 or self.size % shape[1] or not np.isfinite(self.weights).all():
            raise TanhengError(
                f"the weights of control block {self.name} do not fit", got=f"{shape}",
                expected=f"finite (cells, k), k a divisor of {self.size}", remedy="take them from a Basis",
            )  # fmt: skip

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.mean)

    @property
    def _values(self) -> int:
        """Length of W x."""
        return self.size if self.weights is None else self.size // self.weights.shape[1] * self.weights.shape[0]

    def _columns(self) -> list[tuple[str, np.ndarray]]:
        """Name and value of every coordinate of every element."""
        axes = self.axes or (("element", np.arange(self.size)),)
        place = np.unravel_index(np.arange(self.size), [len(values) for _, values in axes])
        columns = []
        for (axis, values), where in zip(axes, place, strict=True):
            values = np.asarray(values)
            columns += [(n, values[n][where]) for n in values.dtype.names or ()] or [(axis, values[where])]
        return columns

    @property
    def labels(self) -> np.ndarray:
        """(size,) structured array that names every element: "block", then its coordinates; made when asked for."""
        columns = [("block", np.full(self.size, self.name)), *self._columns()]
        labels = np.empty(self.size, dtype=[(name, values.dtype) for name, values in columns])
        for name, values in columns:
            labels[name] = values
        return labels

    @property
    def names(self) -> list[str]:
        """Labels as text, e.g. "area emission[sector=road, row=1, column=2]"."""
        labels = self.labels
        fields = labels.dtype.names[1:]  # type: ignore[index]
        return [f"{self.name}[{', '.join(f'{f}={row[f]}' for f in fields)}]" for row in labels]


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """True where an array of `shape` is repeated, never enlarging `to`."""
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in pairs)


class ControlMap(AbstractMap):
    """S: (n,) control vector to `Sources`; linear, its transpose sums over each element's entries.

    Args:
        blocks: in the order in which they stand in x.
        sources: structure of the transport's input.

    Raises:
        TanhengError: a base that has not the shape of its target.
    """

    bases: tuple[Float[Array, "..."], ...]
    indices: tuple[Int[Array, "..."], ...]
    weights: tuple[Float[Array, "cells k"] | None, ...]
    targets: tuple[str, ...] = eqx.field(static=True)
    bounds: tuple[int, ...] = eqx.field(static=True)
    sources: Sources = eqx.field(static=True)

    def __init__(self, blocks: list[Block], sources: Sources):
        self.bases = tuple(jnp.asarray(b.base, dtype=float) for b in blocks)
        self.indices = tuple(jnp.asarray(b.index) for b in blocks)
        self.weights = tuple(None if b.weights is None else jnp.asarray(b.weights, dtype=float) for b in blocks)
        self.targets = tuple(b.target for b in blocks)
        self.bounds = tuple(int(i) for i in np.cumsum([0, *(b.size for b in blocks)]))
        self.sources = sources
        fields = self._fields(sources)
        for block in blocks:
            got = np.shape(block.base)
            if block.target in fields and got[max(0, len(got) - fields[block.target].ndim) :] != (
                fields[block.target].shape
            ):
                raise TanhengError(
                    f"the base of control block {block.name} has not the shape of its target", got=f"{got}",
                    expected=f"(…, {', '.join(map(str, fields[block.target].shape))}) for {block.target}",
                    remedy="build it on the grid, levels and hours of the transport",
                )  # fmt: skip

    def in_structure(self):
        """(n,)."""
        return jax.ShapeDtypeStruct((self.bounds[-1],), jnp.zeros(()).dtype)

    def out_structure(self):
        """`Sources`."""
        return self.sources

    def _parts(self):
        parts = (self.targets, self.bases, self.indices, self.weights, self.bounds[:-1], self.bounds[1:])
        return zip(*parts, strict=True)

    def mv(self, vector):
        """S x."""
        fields = {f: jnp.zeros(s.shape, s.dtype) for f, s in self._fields(self.sources).items()}
        for target, base, index, weights, low, high in self._parts():
            if target in fields:
                x = vector[low:high]
                if weights is not None:
                    x = (x.reshape(-1, weights.shape[1]) @ weights.T).ravel()
                part = base * x[index]
                fields[target] += part.sum(axis=tuple(range(part.ndim - fields[target].ndim)))
        inflow = fields["inflow"]
        sides = (fields[s] + inflow.reshape(-1, *(1,) * (fields[s].ndim - 1)) for s in SIDES)
        # Air at the start is air that came in: the first interval's inflow.
        return Sources(fields["surface"], fields["points"], Boundary(*sides), fields["initial"] + inflow[0])

    def mv_transposed(self, vector):
        """Sᵀ s."""
        fields = self._fields(vector)
        inflow = jnp.stack([fields[s].sum(axis=tuple(range(1, fields[s].ndim))) for s in SIDES]).sum(axis=0)
        fields["inflow"] = inflow.at[0].add(jnp.sum(fields["initial"]))
        out = []
        for target, base, index, weights, low, high in self._parts():
            size, k = (high - low, 1) if weights is None else (weights.shape[0] * (high - low), weights.shape[1])
            part = jnp.zeros(size // k, base.dtype)
            if target in fields:
                weighted = base * fields[target]
                part = part.at[jnp.broadcast_to(index, weighted.shape)].add(weighted)
            out.append(part if weights is None else (part.reshape(-1, weights.shape[0]) @ weights).ravel())
        return jnp.concatenate(out)

    @staticmethod
    def _fields(sources: Sources) -> dict:
        """Every target's array, or its structure."""
        fields = {"surface": sources.surface, "points": sources.points, "initial": sources.initial}
        fields |= {side: getattr(sources.boundary, side) for side in SIDES}
        nt = sources.surface.shape[0]
        return fields | {"inflow": jax.ShapeDtypeStruct((nt,), sources.surface.dtype)}

    def transpose(self) -> Transpose:
        """Sᵀ."""
        return Transpose(self)


def observation_columns(blocks: list[Block], n_observations: int) -> np.ndarray:
    """(n_obs, n) matrix of the blocks that act on modelled observations (offsets, biases).

    Raises:
        TanhengError: a block of observations with a pattern for another number of them.
    """
    matrix = np.zeros((n_observations, sum(b.size for b in blocks)))
    start, every = 0, np.arange(n_observations)
    for block in blocks:
        if block.target == "observation":
            if np.shape(block.base)[-1:] != (n_observations,):
                raise TanhengError(
                    f"control block {block.name} was built for other observations", got=f"base {np.shape(block.base)}",
                    expected=f"(…, {n_observations})", remedy="build it from the observations that are inverted",
                )  # fmt: skip
            part = np.zeros((n_observations, block._values))
            index = np.broadcast_to(block.index, np.shape(block.base))
            np.add.at(part, (np.broadcast_to(every, index.shape), index), block.base)
            if block.weights is not None:
                part = part.reshape(n_observations, -1, block.weights.shape[0]) @ block.weights
            matrix[:, start : start + block.size] = part.reshape(n_observations, -1)
        start += block.size
    return matrix

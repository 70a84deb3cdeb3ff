"""S: the control vector x in labelled blocks, and what each block emits.

A block scales a base pattern: its contribution to a source field is base · x[index], with an index array that says
which element of x governs which entry (per cell, per day, per source). Blocks are summed.
"""

import dataclasses

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
        base: pattern with the target's shape, in the target's unit; for "observation" an (n_obs,) pattern.
        index: integers that broadcast to base: the element of the block that scales each entry.
        mean: (size,) prior mean.
        covariance: prior covariance of the block.
        unit: unit of x, "1" for scaling factors.
    """

    name: str
    target: str
    base: np.ndarray
    index: np.ndarray
    mean: np.ndarray
    covariance: AbstractCovariance
    unit: str = "1"

    def __post_init__(self):
        if self.target not in TARGETS:
            raise TanhengError(
                f"control block {self.name} has an unknown target",
                got=self.target,
                expected=", ".join(TARGETS),
                remedy="name one of these",
            )
        index, base = np.asarray(self.index), np.shape(self.base)
        if index.size and not (index.min() >= 0 and index.max() < self.size):
            raise TanhengError(
                f"control block {self.name} points outside itself", got=f"indices {index.min()}…{index.max()}",
                expected=f"0…{self.size - 1}", remedy="give one element of mean per index",
            )  # fmt: skip
        if self.covariance.size != self.size or np.broadcast_shapes(index.shape, base) != base:
            raise TanhengError(
                f"the parts of control block {self.name} do not fit",
                got=f"{self.size} means, covariance of {self.covariance.size}, index {index.shape}, base {base}",
                expected="as many means as variances, and an index that broadcasts to the base",
                remedy="build mean, covariance and index together",
            )

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.mean)


class ControlMap(AbstractMap):
    """S: (n,) control vector to `Sources`; linear, its transpose sums over each element's entries.

    Args:
        blocks: in the order in which they stand in x.
        sources: structure of the transport's input.
    """

    bases: tuple[Float[Array, "..."], ...]
    indices: tuple[Int[Array, "..."], ...]
    targets: tuple[str, ...] = eqx.field(static=True)
    bounds: tuple[int, ...] = eqx.field(static=True)
    sources: Sources = eqx.field(static=True)

    def __init__(self, blocks: list[Block], sources: Sources):
        self.bases = tuple(jnp.asarray(b.base, dtype=float) for b in blocks)
        self.indices = tuple(jnp.asarray(b.index) for b in blocks)
        self.targets = tuple(b.target for b in blocks)
        self.bounds = tuple(int(i) for i in np.cumsum([0, *(b.size for b in blocks)]))
        self.sources = sources

    def in_structure(self):
        """(n,)."""
        return jax.ShapeDtypeStruct((self.bounds[-1],), jnp.zeros(()).dtype)

    def out_structure(self):
        """`Sources`."""
        return self.sources

    def _parts(self):
        return zip(self.targets, self.bases, self.indices, self.bounds[:-1], self.bounds[1:], strict=True)

    def mv(self, vector):
        """S x."""
        fields = {f: jnp.zeros(s.shape, s.dtype) for f, s in self._fields(self.sources).items()}
        for target, base, index, low, high in self._parts():
            if target in fields:
                fields[target] += base * vector[low:high][index]
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
        for target, base, index, low, high in self._parts():
            part = jnp.zeros(high - low, base.dtype)
            if target in fields:
                weighted = base * fields[target]
                part = part.at[jnp.broadcast_to(index, weighted.shape)].add(weighted)
            out.append(part)
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
    """(n_obs, n) matrix of the blocks that act on modelled observations (offsets, biases)."""
    matrix = np.zeros((n_observations, sum(b.size for b in blocks)))
    start = 0
    for block in blocks:
        if block.target == "observation":
            matrix[np.arange(n_observations), start + np.broadcast_to(block.index, n_observations)] += block.base
        start += block.size
    return matrix

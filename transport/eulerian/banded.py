"""A linear one-dimensional sweep as bands, and its transpose as bands of the same kernel.

Tracer M = m q and air m leave and enter through faces, D holding the fluxes as weights of the mixing ratios around:

    M' = M − D q,      m' = m − D 1,      (D q)_i = Σ_k D_k,i q_{i+k}          (k = −r … r)

so that, with the row sums taken out, a uniform field stays uniform to the last bit:

    forward   q'_i = q_i − Σ_{k≠0} D_k,i (q_{i+k} − q_i) / m'_i

The dual of M is μ = ∂J/∂M. What leaves one cell enters another, so the columns of D sum to zero and the dual has the
very same form with the transposed bands T_k,i = D_{−k,i+k} and the air *before* the sweep:

    dual      μ_i = μ'_i − Σ_{k≠0} T_k,i (μ'_{i+k} − μ'_i) / m_i

Beyond each edge lies one outer cell: it holds the inflow value going forward, and zero going back (what leaves is
gone). Bands depend on the meteorology alone and are computed once per interval.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def _shifted(field: Array, reach: int, axis: int, outer: tuple[Array, Array] | None) -> list[Array]:
    """The field moved by −r … r along axis, between the outer cells; zero beyond them."""
    n = field.shape[axis]
    config = [(0, 0, 0)] * field.ndim
    config[axis] = (reach, reach, 0)
    padded = jax.lax.pad(field, jnp.zeros((), field.dtype), config)
    if outer is not None:
        for value, place in zip(outer, (reach - 1, reach + n), strict=True):
            padded = jax.lax.dynamic_update_index_in_dim(padded, value, place, axis)
    return [jax.lax.slice_in_dim(padded, k, k + n, axis=axis) for k in range(2 * reach + 1)]


def _edge(field: Array, axis: int, last: bool) -> Array:
    """The cells at one edge, without the axis."""
    return jax.lax.index_in_dim(field, -1 if last else 0, axis, keepdims=False)


def _add_edge(field: Array, value: Array, axis: int, last: bool) -> Array:
    index: list = [slice(None)] * field.ndim
    index[axis] = -1 if last else 0
    return field.at[tuple(index)].add(value)


class Bands(eqx.Module):
    """Bands k = −r…−1, 1…r of D (or of its transpose) along one axis.

    Args:
        off: 2r arrays (nz, ny, nx), mol.
        axis: 0 vertical, 1 south to north, 2 west to east.
    """

    off: tuple[Float[Array, "nz ny nx"], ...]
    axis: int = eqx.field(static=True)

    @property
    def reach(self) -> int:
        """r."""
        return len(self.off) // 2

    def apply(self, field: Float[Array, "nz ny nx"], air: Float[Array, "nz ny nx"], outer=None) -> Array:
        """One sweep: forward with the air after it, dual with the air before it.

        The barrier keeps XLA from fusing one sweep into the next: on CPU it would evaluate the first one 2r + 1 times.

        Args:
            field: q, or μ'.
            air: m', or m.
            outer: values of the two outer cells, each without the axis; None for zero.
        """
        shifted = _shifted(field, self.reach, self.axis, outer)
        del shifted[self.reach]
        total = sum(band * (near - field) for band, near in zip(self.off, shifted, strict=True))
        return jax.lax.optimization_barrier(field - total / air)

    def facing(self, last: bool) -> Array:
        """The band that couples the edge cells to their outer cell: −(inflow) forward, −(outflow) transposed."""
        return _edge(self.off[self.reach if last else self.reach - 1], self.axis, last)

    def transpose(self, outflow: tuple[Array, Array]) -> "Bands":
        """T, with the air that leaves to the two outer cells, mol ≥ 0, each without the axis."""
        r, n, axis = self.reach, self.off[0].shape[self.axis], self.axis
        flipped = []
        for k in (*range(-r, 0), *range(1, r + 1)):
            band = self.off[r - k if k > 0 else r - k - 1]  # D_{−k}: the list has no middle
            config = [(0, 0, 0)] * band.ndim
            config[axis] = (max(-k, 0), max(k, 0), 0)
            padded = jax.lax.pad(band, jnp.zeros((), band.dtype), config)
            start = max(k, 0)
            flipped.append(jax.lax.slice_in_dim(padded, start, start + n, axis=axis))
        flipped[r - 1] = _add_edge(flipped[r - 1], -outflow[0], axis, last=False)
        flipped[r] = _add_edge(flipped[r], -outflow[1], axis, last=True)
        return Bands(tuple(flipped), axis)

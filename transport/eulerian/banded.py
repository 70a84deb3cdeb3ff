"""A one-dimensional linear sweep as five bands, and its transpose as five bands.

    q'_i = Σ_{k=-2..2} W_k,i q_{i+k}          (Wᵀ)_k,i = W_{-k, i+k}

A cell outside the domain holds the inflow value b. Bands are computed once per meteorological interval, so one kernel
applies every scheme, forward and transposed.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

REACH = 2


def _padded(field: Array, axis: int, outside) -> Array:
    config = [(0, 0, 0)] * field.ndim
    config[axis] = (REACH, REACH, 0)
    return jax.lax.pad(field, jnp.asarray(outside, field.dtype), config)


def apply(bands: Float[Array, "5 nz ny nx"], q: Float[Array, "nz ny nx"], axis: int, outside) -> Array:
    """W q along axis, with the inflow value `outside` beyond the edges.

    The barrier keeps XLA from fusing one sweep into the next: on CPU it would evaluate the first one five times.
    """
    n, padded = q.shape[axis], _padded(q, axis, outside)
    total = bands[0] * jax.lax.slice_in_dim(padded, 0, n, axis=axis)
    for k in range(1, 2 * REACH + 1):
        total = total + bands[k] * jax.lax.slice_in_dim(padded, k, k + n, axis=axis)
    return jax.lax.optimization_barrier(total)


def transpose(bands: Float[Array, "5 nz ny nx"], axis: int) -> Float[Array, "5 nz ny nx"]:
    """The bands of Wᵀ: what leaves the domain is dropped here and returned by `outside_cotangent`."""
    n = bands.shape[axis + 1]
    flipped = []
    for k in range(2 * REACH + 1):
        padded = _padded(bands[2 * REACH - k], axis, 0.0)
        flipped.append(jax.lax.slice_in_dim(padded, k, k + n, axis=axis))
    return jnp.stack(flipped)


def outside_cotangent(bands: Float[Array, "5 nz ny nx"], cotangent: Float[Array, "nz ny nx"], axis: int) -> Array:
    """Derivative of ⟨λ, W q⟩ with respect to the inflow value: the weights that fall outside, times λ."""
    n = cotangent.shape[axis]
    total = jnp.zeros((), cotangent.dtype)
    for k in range(1, REACH + 1):
        for band, start in ((bands[REACH - k], 0), (bands[REACH + k], n - k)):
            edge = jax.lax.slice_in_dim(band, start, start + k, axis=axis)
            total += jnp.sum(edge * jax.lax.slice_in_dim(cotangent, start, start + k, axis=axis))
    return total

"""H, Hᵀ and unit vectors on many columns at once, whatever H is."""

import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array

from inversion.solvers.banded import BandedRows


def forward(H: lx.AbstractLinearOperator, v: Array) -> Array:
    """H v; v is (n,) or (n, k), columns independent."""
    if v.ndim == 1:
        return H.mv(v)
    if isinstance(H, lx.MatrixLinearOperator):
        return H.matrix @ v
    if isinstance(H, BandedRows):  # takes columns as they lie in memory
        return H.mv(v)
    return jax.vmap(H.mv, in_axes=1, out_axes=1)(v)


def backward(H: lx.AbstractLinearOperator, u: Array) -> Array:
    """Hᵀ u; u is (m,) or (m, k), columns independent."""
    if isinstance(H, lx.MatrixLinearOperator):
        return H.matrix.T @ u
    if isinstance(H, BandedRows):
        return H.mv_transposed(u)
    return forward(H.transpose(), u)


def unit_columns(size: int, start: Array | int, count: int) -> Array:
    """(size, count): unit vectors e_start … e_start+count−1; columns past the end are zero."""
    return jax.nn.one_hot(start + jnp.arange(count), size, dtype=jnp.zeros(()).dtype).T

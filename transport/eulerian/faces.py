"""From a scheme, air and fluxes to the coefficients of a sweep: faces, donors, Courant numbers, edges of the domain.

Face f lies before cell f along the axis; air moved through it is positive towards higher index. The donor of face f is
cell f − 1 where air moves forward and cell f where it moves back. A face whose stencil would leave the domain uses
the next narrower scheme: third order, then the donor alone. Face 0 and the last face pass on the outer cell's value
when air flows in, and the edge cell's value when it flows out.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from transport.eulerian.banded import Bands
from transport.eulerian.schemes import AbstractLinearScheme, uneven
from transport.eulerian.schemes.polynomial import ThirdOrder
from transport.eulerian.schemes.upwind import Upwind


def donors(air: Float[Array, "nz ny nx"], moved: Float[Array, "nz ny nx1"], axis: int) -> Float[Array, "nz ny nx1"]:
    """Air of each face's donor cell; an edge face takes the cell inside."""
    n = air.shape[axis]
    first = jax.lax.slice_in_dim(air, 0, 1, axis=axis)
    last = jax.lax.slice_in_dim(air, n - 1, n, axis=axis)
    before = jnp.concatenate([first, air], axis=axis)
    after = jnp.concatenate([air, last], axis=axis)
    return jnp.where(moved > 0, before, after)


def courant(air: Float[Array, "nz ny nx"], moved: Float[Array, "nz ny nx1"], axis: int) -> Float[Array, "nz ny nx1"]:
    """Courant number of each face: air moved over the air of its donor."""
    return jnp.abs(moved) / donors(air, moved, axis)


def low(faces: Array, axis: int) -> Array:
    """The face before each cell."""
    return jax.lax.slice_in_dim(faces, 0, faces.shape[axis] - 1, axis=axis)


def high(faces: Array, axis: int) -> Array:
    """The face behind each cell."""
    return jax.lax.slice_in_dim(faces, 1, faces.shape[axis], axis=axis)


def edges(faces: Array, axis: int) -> tuple[Array, Array]:
    """The first and the last face, without the axis."""
    first = jax.lax.index_in_dim(faces, 0, axis, keepdims=False)
    return first, jax.lax.index_in_dim(faces, -1, axis, keepdims=False)


def _inside(n: int, axis: int, half_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Faces whose stencil fits into the domain, for air that moves forward and back."""
    shape = [1, 1, 1]
    shape[axis] = n + 1
    face = np.arange(n + 1).reshape(shape)
    forward = (face - 1 - half_width >= 0) & (face - 1 + half_width <= n - 1)
    back = (face - half_width >= 0) & (face + half_width <= n - 1)
    if half_width == 0:
        return np.ones_like(forward), np.ones_like(back)
    return forward, back


def _weights_of(scheme: AbstractLinearScheme, c: Array, ahead: Array, axis: int) -> list[Array]:
    """Weights −p … p of every face, narrower towards the edges of the domain."""
    p, n = scheme.half_width, c.shape[axis] - 1
    chain = [Upwind(), *([ThirdOrder()] if p > 1 else []), *([scheme] if p > 0 else [])]
    weights = [jnp.zeros_like(c)] * (2 * p + 1)
    for narrow in chain:
        h = narrow.half_width
        forward, back = _inside(n, axis, h)
        fits = jnp.where(ahead, forward, back)
        own = narrow.weights(c)
        for o in range(-p, p + 1):
            value = own[o + h] if abs(o) <= h else 0.0
            weights[o + p] = jnp.where(fits, value, weights[o + p])
    return weights


def linear_bands(
    scheme: AbstractLinearScheme, air: Float[Array, "nz ny nx"], moved: Float[Array, "nz ny nx1"], axis: int
) -> Bands:
    """The bands of one sweep.

    Args:
        scheme: weights of the faces.
        air: (nz, ny, nx) air that the Courant numbers refer to, mol.
        moved: air moved through the faces along axis, mol; one more entry along axis.
        axis: 0 vertical, 1 south to north, 2 west to east.
    """
    ahead = moved > 0
    weights = _weights_of(scheme, courant(air, moved, axis), ahead, axis)
    return bands_of(weights, moved, axis)


def vertical_bands(
    scheme: AbstractLinearScheme, air: Float[Array, "nz ny nx"], moved: Float[Array, "nz1 ny nx"]
) -> Bands:
    """The bands of a vertical sweep: third order on uneven layers, or upwind if that is the scheme.

    Args:
        scheme: of the horizontal sweeps.
        air: (nz, ny, nx) air that the Courant numbers refer to, mol.
        moved: (nz+1, ny, nx) air moved up through the faces, mol.
    """
    n = air.shape[0]
    if scheme.half_width == 0 or n < 3:
        return linear_bands(Upwind(), air, moved, 0)
    ahead = moved > 0
    # Layers f − 2 … f + 1 around face f; beyond ground and top any positive value will do, for it is not used.
    near = jnp.concatenate([air[:1], air[:1], air, air[-1:], air[-1:]])
    cells = [near[k : k + n + 1] for k in range(4)]
    behind, donor, front = (jnp.where(ahead, cells[k], cells[3 - k]) for k in range(3))
    c = jnp.abs(moved) / donor
    forward, back = _inside(n, 0, 1)
    fits = jnp.where(ahead, forward, back)
    third = uneven.weights(c, behind, donor, front)
    return bands_of([jnp.where(fits, w, w0) for w, w0 in zip(third, (0.0, 1.0, 0.0), strict=True)], moved, 0)


def bands_of(weights: list[Array], moved: Array, axis: int) -> Bands:
    """Bands from the weights −p … p of every face."""
    ahead = moved > 0
    p = len(weights) // 2
    r = p + 1

    def weight(o):
        return weights[o + p] if abs(o) <= p else 0.0

    # flux[j] is what face f takes from cell f − r + j: offset j − r + 1 from a donor at f − 1, r − j from one at f.
    flux = [moved * jnp.where(ahead, weight(j - r + 1), weight(r - j)) for j in range(2 * r)]
    # Meant to be computed once, since the bands read each of them twice; XLA on CPUs may still reach through.
    flux = jax.lax.optimization_barrier(flux)
    off = [
        (high(flux[k + r - 1], axis) if k + r - 1 >= 0 else 0.0) - (low(flux[k + r], axis) if k + r < 2 * r else 0.0)
        for k in range(-r, r + 1)
        if k != 0
    ]
    return Bands(tuple(jax.lax.optimization_barrier(off)), axis)

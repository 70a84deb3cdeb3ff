"""Third-order upwind-biased advection (QUICKEST), linear and mass conserving.

Value carried through a face by the Courant number c = |F| Δt / m of the donor cell D, with U upstream of D and N
downstream (Leonard 1979, doi 10.1016/0045-7825(79)90034-3, eq. 37):

    q_f = ½ (q_D + q_N) − c/2 (q_N − q_D) − (1 − c²)/6 (q_N − 2 q_D + q_U)

    m' q'_i = m q_i − (Φ_{i+½} − Φ_{i−½}),     m' = m − (F_{i+½} − F_{i−½}) Δt,     Φ = F Δt q_f

The weights of q_f sum to one, so a uniform field stays uniform while air and tracer move together. Stable for c ≤ 1.
Faces whose stencil leaves the domain use the donor cell alone.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from transport.eulerian.banded import REACH


def courant(air: Float[Array, "nz ny nx"], moved: Float[Array, "nz ny nx1"], axis: int) -> Float[Array, "nz ny nx1"]:
    """Courant number of each face: air moved over the air of the donor cell; an edge face takes the cell inside."""
    n = air.shape[axis]
    left = jnp.take(air, jnp.clip(jnp.arange(-1, n), 0), axis=axis)
    right = jnp.take(air, jnp.clip(jnp.arange(n + 1), None, n - 1), axis=axis)
    return jnp.abs(moved) / jnp.where(moved > 0, left, right)


def sweep_bands(
    air: Float[Array, "nz ny nx"], moved: Float[Array, "nz ny nx1"], axis: int
) -> tuple[Float[Array, "5 nz ny nx"], Float[Array, "nz ny nx"]]:
    """Bands of one sweep and the air mass after it.

    Args:
        air: (nz, ny, nx) air before the sweep, mol.
        moved: air moved through the faces along axis during the sweep, F Δt, mol; one more entry along axis.
        axis: 1 for y, 2 for x.

    Returns:
        bands (5, nz, ny, nx) acting on mixing ratios, and the air after the sweep.
    """
    n = air.shape[axis]
    index = jnp.arange(n + 1)
    shape = [1, 1, 1]
    shape[axis] = n + 1
    index = index.reshape(shape)

    eastward = moved > 0
    c = courant(air, moved, axis)

    inside = jnp.where(eastward, (index >= 2) & (index <= n - 1), (index >= 1) & (index <= n - 2))
    curvature = jnp.where(inside, (1.0 - c**2) / 6.0, 0.0)
    slope = jnp.where(inside, 0.5 - 0.5 * c, 0.0)
    upstream, donor, downstream = -curvature, 1.0 - slope + 2.0 * curvature, slope - curvature

    # Weights of the four cells around face i: cells i-2, i-1 | i, i+1.
    zero = jnp.zeros_like(moved)
    weights = (
        jnp.where(eastward, upstream, zero),
        jnp.where(eastward, donor, downstream),
        jnp.where(eastward, downstream, donor),
        jnp.where(eastward, zero, upstream),
    )
    flux = [moved * w for w in weights]

    def low(a):  # face below cell i
        return jnp.take(a, jnp.arange(n), axis=axis)

    def high(a):  # face above cell i
        return jnp.take(a, jnp.arange(1, n + 1), axis=axis)

    after = air - (high(moved) - low(moved))
    bands = []
    for k in range(-REACH, REACH + 1):
        total = air if k == 0 else jnp.zeros_like(air)
        if k + 2 < 4:  # cell i+k is entry k+2 of the face below cell i
            total = total + low(flux[k + 2])
        if k + 1 >= 0:  # and entry k+1 of the face above it
            total = total - high(flux[k + 1])
        bands.append(total / after)
    return jnp.stack(bands), after

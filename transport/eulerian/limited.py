"""A limited one-dimensional sweep: face values bent to the field, so forward only; its derivative is the tangent's.

    M' = M − (Φ_{i+½} − Φ_{i−½}),   Φ = F Δt q_f,      written   q' = q − ((F q_f)_{i+½} − (F q_f)_{i−½} − d q) / m'

with d = F_{i+½} − F_{i−½} (times Δt), so that a uniform field stays uniform.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from transport.eulerian.faces import edges, high, low
from transport.eulerian.schemes import AbstractLimitedScheme


class LimitedFaces(eqx.Module):
    """What a limited sweep needs of the meteorology: same calls as `Bands`, without a transpose.

    Args:
        moved: air moved through the faces, mol.
        courant: Courant number of each face.
        scheme: the limited scheme.
        axis: 0 vertical, 1 south to north, 2 west to east.
    """

    moved: Float[Array, "nz ny nx1"]
    courant: Float[Array, "nz ny nx1"]
    scheme: AbstractLimitedScheme
    axis: int = eqx.field(static=True)

    def apply(self, field: Float[Array, "nz ny nx"], air: Float[Array, "nz ny nx"], outer) -> Array:
        """One sweep; beyond an edge stands the outer value where air flows in, the edge cell's where it flows out."""
        axis, p, n = self.axis, self.scheme.half_width, field.shape[self.axis]
        inflow = (edges(self.moved, axis)[0] > 0, edges(self.moved, axis)[1] < 0)
        first, last = (
            jnp.expand_dims(jnp.where(enters, value, own), axis)
            for enters, value, own in zip(inflow, outer, edges(field, axis), strict=True)
        )
        padded = jnp.concatenate([first] * (p + 1) + [field] + [last] * (p + 1), axis=axis)
        # Face f has cells f − 1 and f beside it, at f + p and f + p + 1 of the padded row.
        near = [jax.lax.slice_in_dim(padded, k, k + n + 1, axis=axis) for k in range(2 * p + 2)]
        forward = self.scheme.face_value(near[: 2 * p + 1], self.courant)
        back = self.scheme.face_value(near[:0:-1], self.courant)
        value = jnp.where(self.moved > 0, forward, back)
        flux = self.moved * value
        change = high(flux, axis) - low(flux, axis) - (high(self.moved, axis) - low(self.moved, axis)) * field
        return jax.lax.optimization_barrier(field - change / air)

"""Van Leer's second-order scheme with the monotonized-central limiter.

    q_f = q_D + ½ (1 − c) s,   s = minmod(½ (q_{+1} − q_{−1}), 2 (q_D − q_{−1}), 2 (q_{+1} − q_D))

(van Leer 1977, doi 10.1016/0021-9991(77)90095-X, eq. 66).
"""

from typing import ClassVar

import jax.numpy as jnp

from transport.eulerian.schemes import AbstractLimitedScheme


class VanLeer(AbstractLimitedScheme):
    """Slopes limited so that no cell exceeds its neighbours."""

    half_width: ClassVar[int] = 1

    def face_value(self, cells, c):
        """Donor mean plus the limited slope over the part that is left behind."""
        behind, donor, ahead = cells
        below, above = donor - behind, ahead - donor
        size = jnp.minimum(0.5 * jnp.abs(below + above), 2.0 * jnp.minimum(jnp.abs(below), jnp.abs(above)))
        slope = jnp.where(below * above > 0.0, jnp.sign(above) * size, 0.0)
        return donor + 0.5 * (1.0 - c) * slope

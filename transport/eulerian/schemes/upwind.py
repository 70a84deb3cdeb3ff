"""First-order upwind (donor cell): q_f = q_D. Diffusive, positive, and the last resort beside an edge."""

from typing import ClassVar

import jax.numpy as jnp

from transport.eulerian.schemes import AbstractLinearScheme


class Upwind(AbstractLinearScheme):
    """q_f = q_D (Courant, Isaacson and Rees 1952, doi 10.1002/cpa.3160050303)."""

    half_width: ClassVar[int] = 0

    def weights(self, c):
        """One."""
        return [jnp.ones_like(c)]

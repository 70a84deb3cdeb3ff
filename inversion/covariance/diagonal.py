"""Independent elements."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from inversion.covariance.base import AbstractCovariance, require_positive, rows


class Diagonal(AbstractCovariance):
    """C = diag(σ²).

    Args:
        sigma: (n,) standard deviations.

    Raises:
        TanhengError: a standard deviation that is not positive.
    """

    sigma: Float[Array, " n"]

    def __init__(self, sigma):
        require_positive("a standard deviation", sigma)
        self.sigma = jnp.asarray(sigma, dtype=float)

    @classmethod
    def identity(cls, n: int) -> "Diagonal":
        """C = I of n elements."""
        return cls(jnp.ones(n))

    def mv(self, v):
        """σ² v."""
        return rows(self.sigma**2, v)

    def sqrt_mv(self, v):
        """σ v."""
        return rows(self.sigma, v)

    def sqrt_transposed_mv(self, v):
        """σ v: this root is symmetric."""
        return rows(self.sigma, v)

    def solve(self, v):
        """v / σ²."""
        return rows(self.sigma**-2, v)

    def logdet(self):
        """2 Σ log σ."""
        return 2.0 * jnp.sum(jnp.log(self.sigma))

    def diagonal(self):
        """σ²."""
        return self.sigma**2

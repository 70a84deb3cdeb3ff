"""A few correlated patterns on top of independent elements."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float

from inversion.covariance.base import AbstractCovariance, require_positive, rows
from transport.errors import TanhengError


@jax.custom_jvp
def symmetric_sqrt(matrix: Array) -> Array:
    """S = A^½ with S = Sᵀ, S S = A; differentiable also where eigenvalues coincide."""
    values, vectors = jnp.linalg.eigh(matrix)
    return (vectors * jnp.sqrt(values)) @ vectors.T


@symmetric_sqrt.defjvp
def _symmetric_sqrt_jvp(primals, tangents):
    # S dS + dS S = dA: in the eigenvectors' basis a division by √λ_i + √λ_j, which is never zero.
    values, vectors = jnp.linalg.eigh(primals[0])
    roots = jnp.sqrt(values)
    change = vectors.T @ tangents[0] @ vectors / (roots[:, None] + roots)
    return (vectors * roots) @ vectors.T, vectors @ change @ vectors.T


class LowRankPlusDiagonal(AbstractCovariance):
    """C = diag(σ²) + U Uᵀ, in O(n k).

    With W = U/σ and G = Wᵀ W:  C⁻¹ = σ⁻¹ (I − W (I + G)⁻¹ Wᵀ) σ⁻¹,  log det C = 2 Σ log σ + log det(I + G)
    (Woodbury; Golub & Van Loan 2013, ISBN 978-1-4214-0794-4, §2.1.4),  and the square root

        C^½ = σ (I + W M Wᵀ),   M = (I + (I + G)^½)⁻¹

    Args:
        sigma: (n,) standard deviations of the independent part.
        patterns: (n, k) columns U.

    Raises:
        TanhengError: a standard deviation that is not positive; sizes that do not fit.
    """

    sigma: Float[Array, " n"]
    patterns: Float[Array, "n k"]
    factor: Float[Array, "k k"]
    middle: Float[Array, "k k"]

    def __init__(self, sigma, patterns):
        require_positive("a standard deviation", sigma)
        self.sigma, self.patterns = jnp.asarray(sigma, dtype=float), jnp.asarray(patterns, dtype=float)
        if self.patterns.ndim != 2 or self.patterns.shape[0] != self.sigma.size:
            raise TanhengError(
                "the patterns do not fit the standard deviations", got=f"{self.patterns.shape}",
                expected=f"({self.sigma.size}, k)", remedy="give one row per element",
            )  # fmt: skip
        k = self.patterns.shape[1]
        whitened = self._whitened
        capacitance = jnp.eye(k) + whitened.T @ whitened
        self.factor = jnp.linalg.cholesky(capacitance)
        self.middle = jnp.linalg.inv(jnp.eye(k) + symmetric_sqrt(capacitance))

    @property
    def _whitened(self) -> Float[Array, "n k"]:
        return self.patterns / self.sigma[:, None]

    def mv(self, v):
        """σ² v + U Uᵀ v."""
        return rows(self.sigma**2, v) + self.patterns @ (self.patterns.T @ v)

    def sqrt_mv(self, v):
        """σ (v + W M Wᵀ v)."""
        w = self._whitened
        return rows(self.sigma, v + w @ (self.middle @ (w.T @ v)))

    def sqrt_transposed_mv(self, v):
        """(I + W M Wᵀ) σ v."""
        w, scaled = self._whitened, rows(self.sigma, v)
        return scaled + w @ (self.middle @ (w.T @ scaled))

    def solve(self, v):
        """Woodbury."""
        w, scaled = self._whitened, rows(1.0 / self.sigma, v)
        return rows(1.0 / self.sigma, scaled - w @ jsl.cho_solve((self.factor, True), w.T @ scaled))

    def logdet(self):
        """2 Σ log σ + log det(I + G)."""
        return 2.0 * jnp.sum(jnp.log(self.sigma)) + 2.0 * jnp.sum(jnp.log(jnp.diagonal(self.factor)))

    def diagonal(self):
        """σ² + Σ_k U²."""
        return self.sigma**2 + jnp.sum(self.patterns**2, axis=1)

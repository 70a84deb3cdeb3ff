"""Covariances made of covariances: scaled, blocks, permuted."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from inversion.covariance.base import AbstractCovariance, require_positive, rows
from transport.errors import TanhengError


class Scaled(AbstractCovariance):
    """diag(σ) C diag(σ): a correlation with a field of standard deviations.

    Args:
        sigma: (n,) positive scale, or a number for all.
        inner: C.

    Raises:
        TanhengError: a scale that is not positive, or not one per element.
    """

    sigma: Float[Array, " n"]
    inner: AbstractCovariance

    def __init__(self, sigma, inner: AbstractCovariance):
        require_positive("a standard deviation", sigma)
        sigma = jnp.asarray(sigma, dtype=float)
        if sigma.shape not in ((), (inner.size,)):
            raise TanhengError(
                "the scale does not fit the covariance", got=f"{sigma.shape}", expected=f"({inner.size},)",
                remedy="give one standard deviation per element",
            )  # fmt: skip
        self.sigma, self.inner = jnp.broadcast_to(sigma, (inner.size,)), inner

    def mv(self, v):
        """σ C (σ v)."""
        return rows(self.sigma, self.inner.mv(rows(self.sigma, v)))

    def sqrt_mv(self, v):
        """σ C^½ v."""
        return rows(self.sigma, self.inner.sqrt_mv(v))

    def sqrt_transposed_mv(self, v):
        """C^½ᵀ (σ v)."""
        return self.inner.sqrt_transposed_mv(rows(self.sigma, v))

    def solve(self, v):
        """σ⁻¹ C⁻¹ (σ⁻¹ v)."""
        return rows(1.0 / self.sigma, self.inner.solve(rows(1.0 / self.sigma, v)))

    def logdet(self):
        """log det C + 2 Σ log σ."""
        return self.inner.logdet() + 2.0 * jnp.sum(jnp.log(self.sigma))

    def diagonal(self):
        """σ² diag C."""
        return self.sigma**2 * self.inner.diagonal()


class BlockDiagonal(AbstractCovariance):
    """Independent blocks one after another.

    Args:
        blocks: covariances whose sizes add up to n.
    """

    blocks: tuple[AbstractCovariance, ...]

    def _each(self, action: str, v: Array) -> Array:
        bounds = np.cumsum([0, *(b.size for b in self.blocks)])
        parts = [getattr(b, action)(v[i:j]) for b, i, j in zip(self.blocks, bounds[:-1], bounds[1:], strict=True)]
        return jnp.concatenate(parts)

    def mv(self, v):
        """Each block on its part."""
        return self._each("mv", v)

    def sqrt_mv(self, v):
        """Each block on its part."""
        return self._each("sqrt_mv", v)

    def sqrt_transposed_mv(self, v):
        """Each block on its part."""
        return self._each("sqrt_transposed_mv", v)

    def solve(self, v):
        """Each block on its part."""
        return self._each("solve", v)

    def logdet(self):
        """Sum over blocks."""
        return sum((b.logdet() for b in self.blocks), start=jnp.zeros(()))

    def diagonal(self):
        """Diagonals one after another."""
        return jnp.concatenate([b.diagonal() for b in self.blocks])


class Permuted(AbstractCovariance):
    """P C Pᵀ: the elements of C in another order, e.g. sites one after another written as times one after another.

    Args:
        order: (n,) element i of this covariance is element order[i] of C.
        inner: C.

    Raises:
        TanhengError: the order is not a permutation.
    """

    order: Int[Array, " n"]
    back: Int[Array, " n"]
    inner: AbstractCovariance

    def __init__(self, order, inner: AbstractCovariance):
        order = np.asarray(order)
        if not np.array_equal(np.sort(order), np.arange(inner.size)):
            raise TanhengError(
                "the order is not a permutation", got=f"{order.size} indices, {np.unique(order).size} different",
                expected=f"each of 0…{inner.size - 1} once", remedy="for a part of the elements use Selected",
            )  # fmt: skip
        self.order, self.back, self.inner = jnp.asarray(order), jnp.asarray(np.argsort(order)), inner

    def mv(self, v):
        """P C Pᵀ v."""
        return self.inner.mv(v[self.back])[self.order]

    def sqrt_mv(self, v):
        """P C^½ v."""
        return self.inner.sqrt_mv(v)[self.order]

    def sqrt_transposed_mv(self, v):
        """C^½ᵀ Pᵀ v."""
        return self.inner.sqrt_transposed_mv(v[self.back])

    def solve(self, v):
        """P C⁻¹ Pᵀ v."""
        return self.inner.solve(v[self.back])[self.order]

    def logdet(self):
        """log det C."""
        return self.inner.logdet()

    def diagonal(self):
        """P diag C."""
        return self.inner.diagonal()[self.order]

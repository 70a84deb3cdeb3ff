"""Covariances as an algebra: five actions each, never a bare matrix in an interface.

Every covariance C offers C v, C^½ v (C = C^½ C^½ᵀ), C⁻¹ v, log det C and diag C. The square root is lower triangular
where it is dense, and it is never its own transpose: solvers that need C^½ᵀ take it from here, by name.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float

from transport.errors import TanhengError


class AbstractCovariance(eqx.Module):
    """A symmetric positive definite map on vectors of length n. Arguments are (n,) or (n, m), columns independent."""

    @abc.abstractmethod
    def mv(self, v: Array) -> Array:
        """C v."""

    @abc.abstractmethod
    def sqrt_mv(self, v: Array) -> Array:
        """C^½ v with C^½ C^½ᵀ = C: maps white noise to a draw."""

    @abc.abstractmethod
    def solve(self, v: Array) -> Array:
        """C⁻¹ v."""

    @abc.abstractmethod
    def logdet(self) -> Array:
        """log det C."""

    @abc.abstractmethod
    def diagonal(self) -> Float[Array, " n"]:
        """diag C: variances."""

    @property
    def size(self) -> int:
        """n."""
        return jax.eval_shape(self.diagonal).shape[0]


def _positive(name: str, values) -> None:
    values = np.asarray(values)
    if values.size and not (np.isfinite(values).all() and (values > 0).all()):
        raise TanhengError(
            f"{name} must be positive", got=float(values.ravel()[np.argmin(values)]), expected="> 0",
            remedy="remove the element from the control vector, or give it a positive uncertainty",
        )  # fmt: skip


def _rows(scale: Array, v: Array) -> Array:
    return scale.reshape(-1, *([1] * (v.ndim - 1))) * v


class Diagonal(AbstractCovariance):
    """C = diag(σ²).

    Args:
        sigma: (n,) standard deviations.

    Raises:
        TanhengError: a standard deviation that is not positive.
    """

    sigma: Float[Array, " n"]

    def __init__(self, sigma):
        _positive("a standard deviation", sigma)
        self.sigma = jnp.asarray(sigma, dtype=float)

    def mv(self, v):
        """σ² v."""
        return _rows(self.sigma**2, v)

    def sqrt_mv(self, v):
        """σ v."""
        return _rows(self.sigma, v)

    def solve(self, v):
        """v / σ²."""
        return _rows(self.sigma**-2, v)

    def logdet(self):
        """2 Σ log σ."""
        return 2.0 * jnp.sum(jnp.log(self.sigma))

    def diagonal(self):
        """σ²."""
        return self.sigma**2


class Dense(AbstractCovariance):
    """A full matrix; its Cholesky factor is computed when an action needs it.

    Args:
        matrix: (n, n) symmetric positive definite.

    Raises:
        TanhengError: not symmetric to 1e-10, or a variance that is not positive.
    """

    matrix: Float[Array, "n n"]

    def __init__(self, matrix):
        matrix = jnp.asarray(matrix, dtype=float)
        skew = float(jnp.max(jnp.abs(matrix - matrix.T)))
        if not skew <= 1e-10 * float(jnp.max(jnp.abs(matrix))):  # written so that NaN fails too
            raise TanhengError(
                "a covariance is not symmetric", got=f"{skew:.3e}", expected="C = Cᵀ", remedy="build it from distances"
            )
        _positive("a variance", jnp.diagonal(matrix))
        self.matrix = matrix

    def _cholesky(self):
        return jnp.linalg.cholesky(self.matrix)

    def mv(self, v):
        """C v."""
        return self.matrix @ v

    def sqrt_mv(self, v):
        """L v with C = L Lᵀ."""
        return self._cholesky() @ v

    def solve(self, v):
        """L⁻ᵀ L⁻¹ v."""
        return jsl.cho_solve((self._cholesky(), True), v)

    def logdet(self):
        """2 Σ log L_ii."""
        return 2.0 * jnp.sum(jnp.log(jnp.diagonal(self._cholesky())))

    def diagonal(self):
        """diag C."""
        return jnp.diagonal(self.matrix)


class Scaled(AbstractCovariance):
    """diag(σ) C diag(σ): a correlation with a field of standard deviations.

    Args:
        sigma: (n,) positive scale.
        inner: C.
    """

    sigma: Float[Array, " n"]
    inner: AbstractCovariance

    def __init__(self, sigma, inner: AbstractCovariance):
        _positive("a standard deviation", sigma)
        self.sigma, self.inner = jnp.asarray(sigma, dtype=float), inner

    def mv(self, v):
        """σ C (σ v)."""
        return _rows(self.sigma, self.inner.mv(_rows(self.sigma, v)))

    def sqrt_mv(self, v):
        """σ C^½ v."""
        return _rows(self.sigma, self.inner.sqrt_mv(v))

    def solve(self, v):
        """σ⁻¹ C⁻¹ (σ⁻¹ v)."""
        return _rows(1.0 / self.sigma, self.inner.solve(_rows(1.0 / self.sigma, v)))

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

    def solve(self, v):
        """Each block on its part."""
        return self._each("solve", v)

    def logdet(self):
        """Sum over blocks."""
        return sum((b.logdet() for b in self.blocks), start=jnp.zeros(()))

    def diagonal(self):
        """Diagonals one after another."""
        return jnp.concatenate([b.diagonal() for b in self.blocks])


def exponential(distance, length: float) -> Dense:
    """Exponential correlation exp(−d/L) (Matérn ½; Tarantola 2005, doi 10.1137/1.9780898717921, §5.3.3).

    Args:
        distance: (n, n) distances.
        length: correlation length L in the same unit.

    Raises:
        TanhengError: L is not positive.
    """
    _positive("a correlation length", length)
    return Dense(jnp.exp(-jnp.asarray(distance) / length))

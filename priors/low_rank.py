"""A covariance changed in a few directions only: by what is known of totals, or by how alternative priors differ."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float

from inversion.covariance import AbstractCovariance
from inversion.covariance.low_rank import symmetric_sqrt
from transport.errors import TanhengError

# Smallest variance of a total, or of a combination of totals, relative to that of B: rounding is 2e-16 of B's own u, so
# that a u of a ten-thousandth of it keeps 1e-10 of itself with room for the sums over many elements.
LEAST = 1e-8


class LowRankUpdate(AbstractCovariance):
    """C = B^½ (I + Q (M − I) Qᵀ) B^½ᵀ with k orthonormal columns Q and a symmetric positive definite M.

    With Z = B^½ Q and P = B^−½ᵀ Q:  C = B + Z (M − I) Zᵀ,   C⁻¹ = B⁻¹ + P (M⁻¹ − I) Pᵀ,   log det C = log det B +
    log det M,   C^½ = B^½ (I + Q (M^½ − I) Qᵀ). Each costs what B costs, and n k.
    """

    inner: AbstractCovariance
    directions: Float[Array, "n k"]
    forward: Float[Array, "n k"]
    inverse: Float[Array, "n k"]
    middle: Float[Array, "k k"]

    def mv(self, v):
        """B v + Z (M − I) Zᵀ v."""
        return self.inner.mv(v) + self.forward @ (self._less_one(self.middle) @ (self.forward.T @ v))

    def sqrt_mv(self, v):
        """B^½ (v + Q (M^½ − I) Qᵀ v)."""
        root = self._less_one(symmetric_sqrt(self.middle))
        return self.inner.sqrt_mv(v + self.directions @ (root @ (self.directions.T @ v)))

    def sqrt_transposed_mv(self, v):
        """(I + Q (M^½ − I) Qᵀ) B^½ᵀ v."""
        root, inner = self._less_one(symmetric_sqrt(self.middle)), self.inner.sqrt_transposed_mv(v)
        return inner + self.directions @ (root @ (self.directions.T @ inner))

    def solve(self, v):
        """B⁻¹ v + P (M⁻¹ − I) Pᵀ v."""
        less = self._less_one(jnp.linalg.inv(self.middle))
        return self.inner.solve(v) + self.inverse @ (less @ (self.inverse.T @ v))

    def logdet(self):
        """log det B + log det M."""
        return self.inner.logdet() + jnp.linalg.slogdet(self.middle)[1]

    def diagonal(self):
        """diag B + Σ_k Z (M − I) Z."""
        return self.inner.diagonal() + jnp.sum((self.forward @ self._less_one(self.middle)) * self.forward, axis=1)

    @staticmethod
    def _less_one(matrix: Array) -> Array:
        return matrix - jnp.eye(matrix.shape[0])


def with_totals(inner: AbstractCovariance, weights: np.ndarray, target: np.ndarray) -> LowRankUpdate:
    """B changed as little as can be so that totals have a given covariance, Wᵀ C W = U; all else given them is kept.

    C = B + B W S⁻¹ (U − S) S⁻¹ Wᵀ B,   S = Wᵀ B W

    For U below S this is B after an independent estimate of the totals; for U above S they are known less well than
    the cells imply. The distribution of everything else, given the totals, does not change.

    Args:
        inner: B.
        weights: (n, k) columns W.
        target: (k, k) U, positive definite.

    Raises:
        TanhengError: single precision, totals that depend on each other, a U that is no covariance or so far below S
            that it would be lost in rounding.
    """
    w, u = jnp.asarray(weights, dtype=float), np.asarray(target, dtype=float)
    a = inner.sqrt_transposed_mv(w)
    if a.dtype != jnp.float64:
        raise TanhengError("totals cannot be fixed in single precision", got=a.dtype, expected="float64",
                           remedy='call jax.config.update("jax_enable_x64", True) first')  # fmt: skip
    scale = np.sqrt(np.sum(np.asarray(a) ** 2, axis=0))
    # Scaled to one, so that totals of very different size do not lose digits of each other.
    a = a / np.where(scale > 0, scale, 1.0)
    if not (scale > 0).all() or not np.linalg.eigvalsh(np.asarray(a.T @ a))[0] > 1e-10:
        raise TanhengError(
            "totals that are to be fixed depend on each other, or on nothing", got=f"u {scale}",
            expected="totals of which none follows from the others",
            remedy="leave out the one that is the sum of others",
        )  # fmt: skip
    u = u / np.outer(scale, scale) if u.shape == (scale.size, scale.size) else u
    if u.shape != (scale.size, scale.size) or not _positive(u):
        raise TanhengError("the covariance of totals is none", got=u.shape,
                           expected=f"{(scale.size, scale.size)}, positive definite",
                           remedy="give an uncertainty above zero for each total")  # fmt: skip
    q, r = jnp.linalg.qr(a)
    middle = jsl.solve_triangular(r.T, jsl.solve_triangular(r.T, u, lower=True).T, lower=True)  # R⁻ᵀ U R⁻¹
    least = float(np.linalg.eigvalsh(np.asarray(middle))[0])
    if not least >= LEAST:
        raise TanhengError(
            "totals are published far better than can be computed",
            got=f"u {np.sqrt(max(least, 0.0)):.1e} of what B implies, of a total or a combination of them",
            expected=f"{np.sqrt(LEAST):g} or more", remedy="check the units of the published u and how close "
            "correlations are to one, or give the sectors smaller errors",
        )  # fmt: skip
    inverse = jsl.solve_triangular(r.T, (w / scale).T, lower=True).T  # W R⁻¹
    return LowRankUpdate(inner, q, inner.sqrt_mv(q), inverse, 0.5 * (middle + middle.T))


def _positive(matrix: np.ndarray) -> bool:
    """Whether it is finite, symmetric and positive definite."""
    size = np.abs(matrix).max()
    return bool(np.isfinite(size) and np.abs(matrix - matrix.T).max() <= 1e-12 * size
                and np.linalg.eigvalsh(matrix)[0] > 0)  # fmt: skip


def with_spread(inner: AbstractCovariance, patterns: np.ndarray) -> LowRankUpdate:
    """B plus the error that alternatives share, C = B + X Xᵀ.

    Args:
        inner: B.
        patterns: (n, k) columns X.

    Raises:
        TanhengError: patterns that do not fit.
    """
    x = jnp.asarray(patterns, dtype=float)
    if x.ndim != 2 or x.shape[0] != inner.size or not np.isfinite(patterns).all() or x.shape[1] > x.shape[0]:
        raise TanhengError("patterns of spread do not fit", got=x.shape, expected=f"({inner.size}, k), k not larger",
                           remedy="build them on the elements of the covariance")  # fmt: skip
    y = inner.sqrt_transposed_mv(inner.solve(x))  # B^−½ X
    q, r = jnp.linalg.qr(y)
    forward = inner.sqrt_mv(q)
    return LowRankUpdate(inner, q, forward, inner.solve(forward), jnp.eye(r.shape[0]) + r @ r.T)

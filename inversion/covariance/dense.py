"""A covariance that is a matrix, and correlation matrices from kernels."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float

from inversion.covariance.base import AbstractCovariance, is_concrete, require_positive
from inversion.covariance.kernels import AbstractKernel, Exponential
from transport.errors import TanhengError


class Dense(AbstractCovariance):
    """A full matrix with its lower Cholesky factor, C = L Lᵀ, computed once.

    The factor is stored because an iterative solver applies C^½ or C⁻¹ hundreds of times, at n² instead of n³/3.
    Gradients with respect to hyper-parameters pass through the constructor; do not differentiate with respect to the
    stored arrays themselves, of which each knows only its own part.

    A matrix that is not positive definite gives a factor of NaN, which solvers report in their result.

    Args:
        matrix: (n, n) symmetric positive definite.

    Raises:
        TanhengError: not symmetric to 1e-10, or a variance that is not positive.
    """

    matrix: Float[Array, "n n"]
    factor: Float[Array, "n n"]

    def __init__(self, matrix):
        matrix = jnp.asarray(matrix, dtype=float)
        if is_concrete(matrix):
            skew = float(jnp.max(jnp.abs(matrix - matrix.T)))
            if not skew <= 1e-10 * float(jnp.max(jnp.abs(matrix))):  # written so that NaN fails too
                raise TanhengError(
                    "a covariance is not symmetric", got=f"{skew:.3e}", expected="C = Cᵀ",
                    remedy="build it from distances",
                )  # fmt: skip
            require_positive("a variance", jnp.diagonal(matrix))
        self.matrix = matrix
        self.factor = jnp.linalg.cholesky(matrix)

    def mv(self, v):
        """C v."""
        return self.matrix @ v

    def sqrt_mv(self, v):
        """L v."""
        return self.factor @ v

    def sqrt_transposed_mv(self, v):
        """Lᵀ v."""
        return self.factor.T @ v

    def solve(self, v):
        """L⁻ᵀ L⁻¹ v."""
        return jsl.cho_solve((self.factor, True), v)

    def logdet(self):
        """2 Σ log L_ii."""
        return 2.0 * jnp.sum(jnp.log(jnp.diagonal(self.factor)))

    def diagonal(self):
        """diag C."""
        return jnp.diagonal(self.matrix)


def correlation(kernel: AbstractKernel, distance, nugget: float = 0.0) -> Dense:
    """Correlation matrix of a kernel, C = (1 − ν) ρ(d/L) + ν I.

    A smooth kernel on points much closer than L is singular to rounding. Nothing is added to hide that: it is
    refused, with the share of uncorrelated variance ν that would make it usable.

    Args:
        kernel: ρ with its length.
        distance: (n, n) distances in the unit of the length; on the globe from `distance.separations`, which takes
            chords where ρ is no correlation of great-circle distances.
        nugget: ν, share of the variance that is uncorrelated, 0…1.

    Raises:
        TanhengError: the matrix is not positive definite, or only to rounding; a nugget outside 0…1.
    """
    if is_concrete(nugget) and not 0.0 <= float(nugget) < 1.0:
        raise TanhengError("the nugget is a share of variance", got=nugget, expected="0 ≤ ν < 1",
                           remedy="give the uncorrelated share")  # fmt: skip
    rho = kernel(jnp.asarray(distance, dtype=float))
    dense = Dense((1.0 - nugget) * rho + nugget * jnp.eye(rho.shape[0]))
    if is_concrete(dense.factor):
        _require_definite(dense, kernel)
    return dense


def _require_definite(dense: Dense, kernel: AbstractKernel) -> None:
    """Refuse a matrix whose smallest pivot, a conditional variance, is rounding error."""
    n = dense.matrix.shape[0]
    rounding = 10.0 * n * float(np.finfo(float).eps)
    pivots = np.asarray(jnp.diagonal(dense.factor)) ** 2
    if not (pivots > rounding).all():  # NaN fails too
        lowest = float(np.linalg.eigvalsh(np.asarray(dense.matrix))[0])
        advice = max(1e-8, -2.0 * lowest)
        raise TanhengError(
            f"a {type(kernel).__name__} correlation of length {float(kernel.length):.6g} is singular on these points",
            got=f"smallest eigenvalue {lowest:.3e}, smallest pivot {np.nanmin(np.r_[pivots, np.inf]):.3e}",
            expected=f"positive definite with pivots above {rounding:.1e} for {n} points",
            remedy=f"remove coinciding points, shorten the length, take a rougher kernel, or give nugget={advice:.0e}",
        )


def exponential(distance, length) -> Dense:
    """Exponential correlation exp(−d/L) (Matérn ½; Tarantola 2005, doi 10.1137/1.9780898717921, §5.3.3).

    Args:
        distance: (n, n) distances.
        length: correlation length L in the same unit.

    Raises:
        TanhengError: L is not positive; two points coincide.
    """
    return correlation(Exponential(length), distance)

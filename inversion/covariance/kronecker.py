"""Products of covariances over independent dimensions (time ⊗ space ⊗ sector), never formed.

(C₁ ⊗ C₂) vec V = vec(C₁ V C₂ᵀ): a factor acts along its own axis of the reshaped vector. The first factor belongs to
the slowest index, as in numpy's C order (Yadav & Michalak 2013, doi 10.5194/gmd-6-583-2013, §2).
"""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float

from inversion.covariance.base import AbstractCovariance, rows
from transport.errors import TanhengError


def along_axes(actions, shape: tuple[int, ...], v: Array) -> Array:
    """(A₁ ⊗ A₂ ⊗ …) v for v (n,) or (n, m), with A_i: (n_i, k) ↦ (n_i, k) and n = Π n_i."""
    field = v.reshape(*shape, -1)
    for axis, action in enumerate(actions):
        moved = jnp.moveaxis(field, axis, 0)
        field = jnp.moveaxis(action(moved.reshape(shape[axis], -1)).reshape(moved.shape), 0, axis)
    return field.reshape(v.shape)


class Kronecker(AbstractCovariance):
    """C = C₁ ⊗ C₂ ⊗ …

    Args:
        factors: any number, the slowest dimension first.
    """

    factors: tuple[AbstractCovariance, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the factors."""
        return tuple(f.size for f in self.factors)

    def mv(self, v):
        """Each factor along its axis."""
        return along_axes([f.mv for f in self.factors], self.shape, v)

    def sqrt_mv(self, v):
        """C₁^½ ⊗ C₂^½ ⊗ …"""
        return along_axes([f.sqrt_mv for f in self.factors], self.shape, v)

    def sqrt_transposed_mv(self, v):
        """C₁^½ᵀ ⊗ C₂^½ᵀ ⊗ …"""
        return along_axes([f.sqrt_transposed_mv for f in self.factors], self.shape, v)

    def solve(self, v):
        """C₁⁻¹ ⊗ C₂⁻¹ ⊗ …"""
        return along_axes([f.solve for f in self.factors], self.shape, v)

    def logdet(self):
        """Σ (n / n_i) log det C_i."""
        n = math.prod(self.shape)
        return sum((n // f.size * f.logdet() for f in self.factors), start=jnp.zeros(()))

    def diagonal(self):
        """diag C₁ ⊗ diag C₂ ⊗ …"""
        return functools.reduce(jnp.kron, [f.diagonal() for f in self.factors])


class KroneckerSum(AbstractCovariance):
    """C = A₁ ⊗ A₂ ⊗ … + N₁ ⊗ N₂ ⊗ …: two scales of error, or a correlated error and an independent one.

    With N_i = L_i L_iᵀ and L_i⁻¹ A_i L_i⁻ᵀ = Q_i Λ_i Q_iᵀ, P_i = L_i Q_i:

        C = (⊗P_i) (I + ⊗Λ_i) (⊗P_i)ᵀ

    The root is (⊗P_i)(I + ⊗Λ_i)^½; it is not unique, and its derivative is NaN where eigenvalues coincide. Those of
    `solve` and `logdet` are exact everywhere (Rakitsch et al. 2013, NeurIPS 26, "It is all in the noise", §3).

    Args:
        first: ⊗A_i.
        second: ⊗N_i with factors of the same sizes.

    Raises:
        TanhengError: factors of different sizes.
    """

    first: Kronecker
    second: Kronecker
    vectors: tuple[Float[Array, "n n"], ...]
    inverses: tuple[Float[Array, "n n"], ...]
    values: Float[Array, " n"]

    def __init__(self, first: Kronecker, second: Kronecker):
        if first.shape != second.shape:
            raise TanhengError(
                "the terms of a Kronecker sum do not fit", got=f"{first.shape} and {second.shape}",
                expected="factors of the same sizes", remedy="build both terms on the same axes",
            )  # fmt: skip
        self.first, self.second = first, second
        vectors, inverses, values = [], [], []
        for a, n in zip(first.factors, second.factors, strict=True):
            eye = jnp.eye(a.size)
            root = jnp.linalg.cholesky(n.mv(eye))
            half = jsl.solve_triangular(root, a.mv(eye), lower=True)
            whitened = jsl.solve_triangular(root, half.T, lower=True)
            value, q = jnp.linalg.eigh(0.5 * (whitened + whitened.T))
            vectors.append(root @ q)
            inverses.append(jsl.solve_triangular(root, q, lower=True, trans=1).T)
            values.append(value)
        self.vectors, self.inverses = tuple(vectors), tuple(inverses)
        self.values = 1.0 + functools.reduce(jnp.kron, values)

    def _apply(self, matrices, v):
        return along_axes([m.__matmul__ for m in matrices], self.first.shape, v)

    def mv(self, v):
        """Both terms."""
        return self.first.mv(v) + self.second.mv(v)

    def sqrt_mv(self, v):
        """(⊗P_i) (I + ⊗Λ_i)^½ v."""
        return self._apply(self.vectors, rows(jnp.sqrt(self.values), v))

    def sqrt_transposed_mv(self, v):
        """(I + ⊗Λ_i)^½ (⊗P_iᵀ) v."""
        return rows(jnp.sqrt(self.values), self._apply([p.T for p in self.vectors], v))

    def solve(self, v):
        """(⊗P_i)⁻ᵀ (I + ⊗Λ_i)⁻¹ (⊗P_i)⁻¹ v."""
        return _solve_sum(self, v)

    def logdet(self):
        """Σ log(1 + ⊗λ_i) + log det ⊗N_i."""
        return jnp.sum(jnp.log(self.values)) + self.second.logdet()

    def diagonal(self):
        """Both diagonals."""
        return self.first.diagonal() + self.second.diagonal()


@eqx.filter_jit
def _solve_sum(covariance: KroneckerSum, v: Array) -> Array:
    # As a linear solve its derivative needs only that of C v: −C⁻¹ dC C⁻¹ v, free of the eigenvectors' own.
    inverses, values = jax.lax.stop_gradient((covariance.inverses, covariance.values))

    def inverse(_, b):
        inner = rows(1.0 / values, covariance._apply(inverses, b))
        return covariance._apply([p.T for p in inverses], inner)

    return jax.lax.custom_linear_solve(covariance.mv, v, inverse, symmetric=True)

"""Sums and parts of covariances that have no structure of their own: dense up to a stated size, then iterative.

Beyond that size C v and diag C stay exact and cheap, C⁻¹ v is found by conjugate gradients to a stated tolerance, and
the root and the determinant, which would need the matrix, are refused. Structured sums have types of their own:
`KroneckerSum`, `LowRankPlusDiagonal`, `NoisyOrnsteinUhlenbeck`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Int

from inversion.covariance.base import DENSE_LIMIT, AbstractCovariance
from inversion.covariance.dense import Dense
from transport.errors import TanhengError

TOLERANCE = 1e-10  # relative residual at which conjugate gradients stop
CHUNK = 512  # columns formed at a time


def dense_of(action, n: int) -> Dense:
    """The matrix of an action, a few columns at a time so that a product of large factors never meets (N, n)."""
    eye = jnp.eye(n)
    parts = [action(eye[:, i : i + CHUNK]) for i in range(0, n, CHUNK)]
    matrix = jnp.concatenate(parts, axis=1)
    return Dense(0.5 * (matrix + matrix.T))


@eqx.filter_jit
def iterative_solve(covariance: AbstractCovariance, v: Array) -> Array:
    """C⁻¹ v by conjugate gradients with diag C as preconditioner, a column at a time.

    Raises:
        RuntimeError: (equinox) the tolerance is not reached in 10 n steps.
    """
    variances = covariance.diagonal()
    n = variances.shape[0]
    structure = jax.ShapeDtypeStruct((n,), variances.dtype)
    operator = lx.FunctionLinearOperator(covariance.mv, structure, lx.positive_semidefinite_tag)
    preconditioner = lx.TaggedLinearOperator(lx.DiagonalLinearOperator(1.0 / variances), lx.positive_semidefinite_tag)
    solver = lx.CG(rtol=TOLERANCE, atol=TOLERANCE, max_steps=10 * n)

    def one(column):
        # Scaled to norm one: lineax's atol would otherwise accept zero for a small right-hand side.
        norm = jnp.linalg.norm(column)
        safe = jnp.where(norm > 0, norm, 1.0)
        return safe * lx.linear_solve(operator, column / safe, solver, options={"preconditioner": preconditioner}).value

    return one(v) if v.ndim == 1 else jax.lax.map(one, v.T).T


class _Partial(AbstractCovariance):
    """What sums and parts share: a `Dense` where the size allows."""

    dense: eqx.AbstractVar[Dense | None]

    def _needs(self, what: str) -> Dense:
        if self.dense is None:
            raise TanhengError(
                f"{what} of a {type(self).__name__} covariance needs its matrix",
                got=f"{self.size} elements",
                expected=f"at most its limit, {DENSE_LIMIT} unless given",
                remedy="use a structured type (KroneckerSum, LowRankPlusDiagonal, NoisyOrnsteinUhlenbeck), "
                "or give a larger limit: memory is 16 n² bytes",
            )
        return self.dense

    def sqrt_mv(self, v):
        """L v of the matrix."""
        return self._needs("the square root").sqrt_mv(v)

    def sqrt_transposed_mv(self, v):
        """Lᵀ v of the matrix."""
        return self._needs("the square root").sqrt_transposed_mv(v)

    def solve(self, v):
        """C⁻¹ v, by the matrix or by conjugate gradients."""
        return iterative_solve(self, v) if self.dense is None else self.dense.solve(v)

    def logdet(self):
        """Of the matrix."""
        return self._needs("the determinant").logdet()


class Sum(_Partial):
    """C = C₁ + C₂ + …

    Args:
        terms: covariances of one size.
        limit: largest n for which the matrix is formed and factorised.

    Raises:
        TanhengError: terms of different sizes.
    """

    terms: tuple[AbstractCovariance, ...]
    dense: Dense | None

    def __init__(self, terms, limit: int = DENSE_LIMIT):
        self.terms = tuple(terms)
        sizes = [t.size for t in self.terms]
        if len(set(sizes)) != 1:
            raise TanhengError("the terms of a sum differ in size", got=f"{sizes}", expected="one size",
                               remedy="build all terms on the same elements")  # fmt: skip
        self.dense = dense_of(self.mv, sizes[0]) if sizes[0] <= limit else None

    def mv(self, v):
        """Σ C_i v."""
        return sum((t.mv(v) for t in self.terms[1:]), start=self.terms[0].mv(v))

    def diagonal(self):
        """Σ diag C_i."""
        return sum((t.diagonal() for t in self.terms[1:]), start=self.terms[0].diagonal())


class Selected(_Partial):
    """E C Eᵀ: the chosen elements of a covariance, e.g. the hours that a grid of sites × times really has.

    Args:
        rows: (n,) different indices into C.
        inner: C of N elements.
        limit: largest n for which the matrix is formed and factorised.

    Raises:
        TanhengError: a row outside C, or chosen twice.
    """

    rows: Int[Array, " n"]
    inner: AbstractCovariance
    dense: Dense | None

    def __init__(self, rows, inner: AbstractCovariance, limit: int = DENSE_LIMIT):
        rows = np.asarray(rows)
        if rows.size and not (rows.min() >= 0 and rows.max() < inner.size and np.unique(rows).size == rows.size):
            raise TanhengError(
                "the selected rows do not fit", got=f"{rows.min()}…{rows.max()}, {np.unique(rows).size} of {rows.size} "
                "different", expected=f"different indices in 0…{inner.size - 1}",
                remedy="two observations of one site and hour need a nugget: give them as a Sum with their own noise",
            )  # fmt: skip
        self.rows, self.inner = jnp.asarray(rows), inner
        self.dense = dense_of(self.mv, rows.size) if rows.size <= limit else None

    def mv(self, v):
        """E C Eᵀ v."""
        whole = jnp.zeros((self.inner.size, *v.shape[1:]), v.dtype).at[self.rows].set(v)
        return self.inner.mv(whole)[self.rows]

    def diagonal(self):
        """E diag C."""
        return self.inner.diagonal()[self.rows]

"""The exact Gaussian posterior in observation space with H and B known only by their actions.

S = H B Hᵀ + R is the one dense matrix, (m, m); nothing of n × m numbers is ever held, so that a control vector of
10⁶ elements with a Kronecker prior is solved on a workstation. S is built by columns: S e_j = H B Hᵀ e_j + R e_j.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import lineax as lx
from jaxtyping import Array, Float

from inversion.covariance import AbstractCovariance, Kronecker, Scaled
from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior
from inversion.solvers.actions import backward, forward, unit_columns
from inversion.solvers.banded import BandedRows
from transport.errors import TanhengError

# S and its factor, 1.8 GiB each at this size.
OBSERVATION_LIMIT = 15_500
# Columns of H B Hᵀ at once: n × this many numbers, several times over.
BATCH_NUMBERS = 32_000_000


class MatrixFreePosterior(AbstractGaussianPosterior):
    """Posterior held as the Cholesky factor of S and the actions of H and B."""

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    factor: Float[Array, "m m"]

    def covariance_mv(self, v):
        """B v − K H B v."""
        Bv = self.problem.B.mv(v)
        return Bv - self.gain_mv(forward(self.problem.H, Bv))

    def gain_mv(self, d):
        """B Hᵀ S⁻¹ d."""
        return self.problem.B.mv(backward(self.problem.H, jsl.cho_solve((self.factor, True), d)))

    def sample(self, key, count):
        """A prior draw corrected by its own misfit: x̂ + ξ − K (H ξ + ε)."""
        keys = jax.random.split(key)
        xi = self.problem.B.sqrt_mv(normal(keys[0], self.mean.size, count))
        epsilon = self.problem.R.sqrt_mv(normal(keys[1], self.problem.y.size, count))
        return self.mean + (xi - self.gain_mv(forward(self.problem.H, xi) + epsilon)).T

    def leverage(self):
        """diag(H B Hᵀ S⁻¹) = 1 − diag(R S⁻¹)."""
        inverse = jsl.cho_solve((self.factor, True), jnp.eye(self.problem.y.size))
        return 1.0 - jnp.diagonal(self.problem.R.mv(inverse))

    def cost(self):
        """|S^-½ d|², the same at the minimum, without B⁻¹."""
        return jnp.sum(jsl.solve_triangular(self.factor, self.problem.departure(), lower=True) ** 2)

    def diagonal(self):
        """diag B − Σ (S^-½ H B)², by columns: n m² operations, so ask for totals where they are enough."""
        n = self.mean.size
        count = _batch(n)
        parts = [_explained(self.problem, self.factor, start, count) for start in range(0, n, count)]
        return self.problem.B.diagonal() - jnp.concatenate(parts)[:n]

    def variance(self, weights):
        """diag(W A Wᵀ) by the action of A, also for single elements."""
        return jnp.sum(weights.T * self.covariance_mv(weights.T), axis=0)


def _batch(n: int) -> int:
    return max(1, min(256, BATCH_NUMBERS // n))


@eqx.filter_jit
def _explained(problem: Problem, factor: Array, start: Array | int, count: int):
    HB = forward(problem.H, problem.B.mv(unit_columns(problem.x_b.size, start, count)))
    return jnp.sum(jsl.solve_triangular(factor, HB, lower=True) ** 2, axis=0)


class Split(NamedTuple):
    """H B Hᵀ = first · middle · secondᵀ."""

    first: lx.AbstractLinearOperator
    middle: Callable[[Array], Array]
    second: lx.AbstractLinearOperator


class _AlongTime(eqx.Module):
    """(C_time ⊗ I) v."""

    time: AbstractCovariance

    def __call__(self, v):
        return self.time.mv(v.reshape(self.time.size, -1)).reshape(v.shape)


def split(problem: Problem) -> Split:
    """Where rows are local in time and B = Σ (C_time ⊗ C_space) Σ, the space factor is folded into the rows, once.

    H B Hᵀ = (H Σ) (I ⊗ C_space) · (C_time ⊗ I) · (H Σ)ᵀ: a row of ten days meets C_space on ten days instead of all,
    which takes the dearest product out of every column (cf. Yadav & Michalak 2013, doi 10.5194/gmd-6-583-2013, §3).
    """
    H, B = problem.H, problem.B
    if isinstance(H, BandedRows) and isinstance(B, Scaled):
        H, B = H.scaled(B.sigma), B.inner
    if isinstance(H, BandedRows) and isinstance(B, Kronecker) and len(B.factors) == 2:
        time, space = B.factors
        if H.aligned(space.size):
            return Split(H.along_space(space), _AlongTime(time), H)
    return Split(problem.H, problem.B.mv, problem.H)


@eqx.filter_jit
def _s_columns(parts: Split, R: AbstractCovariance, start: Array, count: int):
    units = unit_columns(R.size, start, count)
    return forward(parts.first, parts.middle(backward(parts.second, units))) + R.mv(units)


@functools.partial(jax.jit, donate_argnums=0)
def _placed(S, columns, start):
    return jax.lax.dynamic_update_slice(S, columns, (0, start))


@functools.partial(jax.jit, donate_argnums=0)
def _factorised(S):
    # Only the lower triangle is read: symmetrising would cost two more copies of S.
    return jax.lax.linalg.cholesky(S, symmetrize_input=False)


def solve_matrix_free(problem: Problem, progress=None) -> MatrixFreePosterior:
    """The exact posterior without a matrix of n × m.

    Args:
        problem: H may be any operator.
        progress: called with (done, total) columns of S.

    Raises:
        TanhengError: more observations than S has room for.
    """
    n, m = problem.x_b.size, problem.y.size
    if m > OBSERVATION_LIMIT:
        raise TanhengError(
            "too many observations for the observation space",
            got=f"{m} observations, S of {m * m * 8 / 2**30:.1f} GiB",
            expected=f"at most {OBSERVATION_LIMIT}",
            remedy="use solver=variational, or average the observations",
        )
    count = min(_batch(n), m)
    S, parts = jnp.zeros((m, m)), split(problem)
    # The last batch starts earlier rather than past the end: its first columns are written twice, with the same values.
    for start in range(0, m, count):
        at = jnp.asarray(min(start, m - count))
        S = _placed(S, _s_columns(parts, problem.R, at, count), at)
        if progress is not None:
            progress(min(start + count, m), m)
    factor = _factorised(S)
    posterior = MatrixFreePosterior(problem, problem.x_b, "successful", factor)
    departure = problem.departure()
    posterior = dataclasses.replace(posterior, mean=problem.x_b + posterior.gain_mv(departure))
    return dataclasses.replace(posterior, result=_result(posterior, departure))


def _result(posterior: MatrixFreePosterior, departure: Array) -> str:
    problem = posterior.problem
    if not bool(jnp.isfinite(departure).all()):
        return "not finite: an observation, the background or H x_b"
    if not bool(jnp.isfinite(posterior.mean).all()):
        return "not positive definite"
    r, cost = problem.y - problem.modelled(posterior.mean), posterior.cost()
    if bool(jnp.abs(departure @ problem.R.solve(r) - cost) > 1e-6 * (cost + departure.size)):
        return "ill-conditioned: prior and data differ by too many powers of ten"
    return "successful"

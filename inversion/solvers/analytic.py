"""The exact Gaussian posterior with a dense H, in the smaller of the two spaces.

State space (n ≤ m):        A = (B⁻¹ + Hᵀ R⁻¹ H)⁻¹,            x̂ = x_b + A Hᵀ R⁻¹ d
Observation space (m < n):  S = H B Hᵀ + R,  K = B Hᵀ S⁻¹,      x̂ = x_b + K d,   A = B − K H B

with d = y − H x_b − b (Tarantola 2005, doi 10.1137/1.9780898717921, eqs. 3.37–3.38; Rodgers 2000, ch. 4).
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import lineax as lx
from jaxtyping import Array, Float

from inversion.covariance import Dense
from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior, AbstractSolver
from inversion.solvers.lapack import applies, state_space_lapack
from inversion.solvers.matrix_free import solve_matrix_free
from inversion.solvers.prior import prior_posterior
from transport.errors import TanhengError
from transport.linear import materialise

SPACES = ("auto", "state", "observation")
# H and B Hᵀ are held as dense matrices up to this many numbers (0.8 GiB each); beyond it H stays an operator.
DENSE_LIMIT = 100_000_000


class StatePosterior(AbstractGaussianPosterior):
    """Posterior held as the Cholesky factor L of its precision, A = (L Lᵀ)⁻¹."""

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    factor: Float[Array, "n n"]
    variances: Float[Array, " n"]

    def covariance_mv(self, v):
        """L⁻ᵀ L⁻¹ v."""
        return jsl.cho_solve((self.factor, True), v)

    def gain_mv(self, d):
        """A Hᵀ R⁻¹ d."""
        return self.covariance_mv(self.problem.matrix.T @ self.problem.R.solve(d))

    def sample(self, key, count):
        """x̂ + L⁻ᵀ ξ."""
        noise = normal(key, self.mean.size, count)
        return self.mean + jsl.solve_triangular(self.factor, noise, trans=1, lower=True).T

    def leverage(self):
        """diag(H A Hᵀ R⁻¹)."""
        H = self.problem.matrix
        return jnp.sum(self.problem.R.solve(H) * self.covariance_mv(H.T).T, axis=1)

    def cost(self):
        """By its definition."""
        r, change = self.problem.y - self.problem.modelled(self.mean), self.mean - self.problem.x_b
        return r @ self.problem.R.solve(r) + change @ self.problem.B.solve(change)

    def diagonal(self):
        """Computed with the factor."""
        return self.variances


class ObservationPosterior(AbstractGaussianPosterior):
    """Posterior held as B Hᵀ and the Cholesky factor of S."""

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    BHt: Float[Array, "n m"]
    factor: Float[Array, "m m"]
    variances: Float[Array, " n"]

    def covariance_mv(self, v):
        """B v − B Hᵀ S⁻¹ H B v."""
        return self.problem.B.mv(v) - self.gain_mv(self.BHt.T @ v)

    def gain_mv(self, d):
        """B Hᵀ S⁻¹ d."""
        return self.BHt @ jsl.cho_solve((self.factor, True), d)

    def sample(self, key, count):
        """A prior draw corrected by its own misfit: x̂ + ξ − K (H ξ + ε)."""
        keys = jax.random.split(key)
        xi = self.problem.B.sqrt_mv(normal(keys[0], self.mean.size, count))
        epsilon = self.problem.R.sqrt_mv(normal(keys[1], self.problem.y.size, count))
        return self.mean + (xi - self.gain_mv(self.problem.matrix @ xi + epsilon)).T

    def leverage(self):
        """diag(H B Hᵀ S⁻¹)."""
        HBHt = self.problem.matrix @ self.BHt
        return jnp.diagonal(jsl.cho_solve((self.factor, True), HBHt.T))

    def cost(self):
        """|S^-½ d|², the same at the minimum, without B⁻¹."""
        return jnp.sum(jsl.solve_triangular(self.factor, self.problem.departure(), lower=True) ** 2)

    def diagonal(self):
        """Computed with the factor."""
        return self.variances


def state_space(problem: Problem):
    """x̂, the Cholesky factor of the precision, and diag A; pure, so that many problems can be solved under vmap."""
    H, n = problem.matrix, problem.x_b.size
    RinvH = problem.R.solve(H)
    precision = problem.B.solve(jnp.eye(n)) + H.T @ RinvH
    factor = jnp.linalg.cholesky(0.5 * (precision + precision.T))
    mean = problem.x_b + jsl.cho_solve((factor, True), RinvH.T @ problem.departure())
    # diag A: squared column norms of L⁻¹.
    inverse = jsl.solve_triangular(factor, jnp.eye(n), lower=True)
    return mean, factor, jnp.sum(inverse**2, axis=0)


def observation_space(problem: Problem):
    """x̂, B Hᵀ, the Cholesky factor of S, and diag A; pure, so that many problems can be solved under vmap."""
    H = problem.matrix
    BHt = problem.B.mv(H.T)
    R = problem.R.matrix if isinstance(problem.R, Dense) else problem.R.mv(jnp.eye(problem.y.size))
    S = H @ BHt + R
    factor = jnp.linalg.cholesky(0.5 * (S + S.T))
    mean = problem.x_b + BHt @ jsl.cho_solve((factor, True), problem.departure())
    # diag A = diag B − Σ (S^-½ H B)².
    gained = jsl.solve_triangular(factor, BHt.T, lower=True)
    return mean, BHt, factor, problem.B.diagonal() - jnp.sum(gained**2, axis=0)


_state_space = eqx.filter_jit(state_space)
_observation_space = eqx.filter_jit(observation_space)


class Analytic(AbstractSolver):
    """Dense Cholesky solution; an H that is an operator is made a matrix while it is small, else left alone.

    Args:
        space: "state", "observation", or "auto" for the smaller.

    Raises:
        TanhengError: an unknown space, or a problem beyond what the space can hold.
    """

    space: str = eqx.field(static=True, default="auto")

    def __check_init__(self):
        if self.space not in SPACES:
            raise TanhengError(
                "unknown solver.space", got=self.space, expected=", ".join(SPACES), remedy="choose one of these"
            )

    def solve(self, problem: Problem) -> AbstractGaussianPosterior:
        """The exact posterior."""
        n, m = problem.x_b.size, problem.y.size
        if m == 0:
            return prior_posterior(problem)
        space = self.space
        if space == "auto":
            space = "state" if n <= m else "observation"
        if not isinstance(problem.H, lx.MatrixLinearOperator):
            if n * m > DENSE_LIMIT and space == "observation":
                return solve_matrix_free(problem)
            _require_small("H and the precision", max(m, n) * n if space == "state" else n * m)
            problem = dataclasses.replace(problem, H=lx.MatrixLinearOperator(materialise(problem.H)))
        if space == "state":
            _require_small("the precision", n * n)
            solve = state_space_lapack if applies(problem) else _state_space
            mean, factor, variances = solve(problem)
            return _judged(StatePosterior(problem, mean, "successful", factor, variances))
        mean, BHt, factor, variances = _observation_space(problem)
        return _judged(ObservationPosterior(problem, mean, "successful", BHt, factor, variances))

    def solve_many(
        self, problem: Problem, ys: Float[Array, "k m"]
    ) -> tuple[Float[Array, "k n"], AbstractGaussianPosterior]:
        """Means for many data vectors with one factorisation, and the posterior that holds their covariance.

        Args:
            problem: H, B, R, x_b and b of all; its own y is solved too.
            ys: (k, m) observations.

        Returns:
            (k, n) means and the posterior of the problem.
        """
        posterior = self.solve(problem)
        return posterior.means(ys), posterior


def _require_small(what: str, numbers: int) -> None:
    if numbers > DENSE_LIMIT:
        raise TanhengError(
            f"{what} would not fit as a dense matrix",
            got=f"{numbers:.1e} numbers, {numbers * 8 / 2**30:.1f} GiB",
            expected=f"at most {DENSE_LIMIT:.0e}",
            remedy="use solver.space=observation, or solver=variational",
        )


def _judged(posterior: AbstractGaussianPosterior) -> AbstractGaussianPosterior:
    """The posterior with its result: the minimum must satisfy 2 J(x̂) = dᵀ R⁻¹ r, and no variance may be negative."""
    problem = posterior.problem
    if not bool(jnp.isfinite(problem.departure()).all()):
        return dataclasses.replace(posterior, result="not finite: an observation, the background or H x_b")
    # JAX's Cholesky returns NaN where the matrix is not positive definite.
    if not bool(jnp.isfinite(posterior.mean).all()):
        return dataclasses.replace(posterior, result="not positive definite")
    cost = posterior.cost()
    r = problem.y - problem.modelled(posterior.mean)
    mismatch = jnp.abs(problem.departure() @ problem.R.solve(r) - cost)
    # A sum of m squares cannot be known better than this; far beyond it the digits are gone.
    lost = mismatch > 1e-6 * (cost + problem.y.size)
    if bool(lost) or bool(jnp.min(posterior.diagonal()) < 0.0):
        return dataclasses.replace(posterior, result="ill-conditioned: prior and data differ by too many powers of ten")
    return posterior

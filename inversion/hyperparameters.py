"""Hyper-parameters θ (variances, lengths, times, mismatch of each site) from the data that they must explain.

With d = y − H x_b − b and S(θ) = H B(θ) Hᵀ + R(θ), the marginal likelihood of the data is

    −log p(y|θ) = ½ dᵀ S⁻¹ d + ½ log|S| + ½ m log 2π

(Rasmussen & Williams 2006, ISBN 978-0-262-18253-9, §5.4.1; Michalak et al. 2005, doi 10.1029/2005JD005970). A function
θ ↦ `Problem` is all that is asked for; gradients and curvature pass through the covariance algebra by automatic
differentiation. All θ are positive, and worked upon as λ = log θ.
"""

import dataclasses
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float, PRNGKeyArray

from inversion.covariance.base import require_positive
from inversion.posterior import Totals, normal, require_success
from inversion.problem import Problem
from inversion.solvers import AbstractSolver
from inversion.solvers.actions import backward, forward
from inversion.solvers.geostatistical import reml
from transport.errors import TanhengError

NEWTON_STEPS = 10
# A likelihood this flat in some direction of log θ (standard deviation of a factor e⁵) does not determine it.
FLAT = 5.0


def negative_log_likelihood(problem: Problem) -> Float[Array, ""]:
    """−log p(y|θ), in whichever space is smaller; pure.

    State space (n < m), by the determinant lemma with C = B^½ᵀ Hᵀ R⁻¹ H B^½ + I:
    log|S| = log|R| + log|C|,  dᵀ S⁻¹ d = dᵀ R⁻¹ d − gᵀ C⁻¹ g,  g = B^½ᵀ Hᵀ R⁻¹ d.

    Args:
        problem: of B(θ), R(θ).

    Returns:
        Scalar, in nats.
    """
    d, n = problem.departure(), problem.x_b.size
    m = d.size
    if n < m:
        G = forward(problem.H, problem.B.sqrt_mv(jnp.eye(n)))
        RinvG, Rinvd = problem.R.solve(G), problem.R.solve(d)
        factor = jnp.linalg.cholesky(jnp.eye(n) + 0.5 * (G.T @ RinvG + RinvG.T @ G))
        misfit = d @ Rinvd - jnp.sum(jsl.solve_triangular(factor, RinvG.T @ d, lower=True) ** 2)
        half_logdet = 0.5 * problem.R.logdet() + jnp.sum(jnp.log(jnp.diagonal(factor)))
    else:
        eye = jnp.eye(m)
        S = forward(problem.H, problem.B.mv(backward(problem.H, eye))) + problem.R.mv(eye)
        factor = jnp.linalg.cholesky(0.5 * (S + S.T))
        misfit = jnp.sum(jsl.solve_triangular(factor, d, lower=True) ** 2)
        half_logdet = jnp.sum(jnp.log(jnp.diagonal(factor)))
    return 0.5 * misfit + half_logdet + 0.5 * m * jnp.log(2.0 * jnp.pi)


class Objective(eqx.Module):
    """What is minimised over λ = log θ: likelihood or restricted likelihood, and a prior on λ.

    Args:
        problem_of: θ (k,) ↦ problem. An Equinox module keeps its arrays out of the compiled code, so that other data
            do not compile it again.
        design: (n, p) covariates of an unknown trend, for restricted likelihood (REML); None for none.
        prior_mean, prior_sigma: (k,) Gaussian prior of λ; None for a flat one.
    """

    problem_of: Callable[[Array], Problem]
    design: Array | None = None
    prior_mean: Array | None = None
    prior_sigma: Array | None = None

    def __call__(self, log_theta: Array) -> Array:
        """−log posterior of λ, up to a constant."""
        problem = self.problem_of(jnp.exp(log_theta))
        value = negative_log_likelihood(problem) if self.design is None else reml(problem, self.design)
        if self.prior_mean is not None and self.prior_sigma is not None:
            value += 0.5 * jnp.sum(((log_theta - self.prior_mean) / self.prior_sigma) ** 2)
        return value


@eqx.filter_jit
def _value_and_gradient(objective, log_theta):
    return jax.value_and_grad(lambda x: objective(x))(log_theta)


@eqx.filter_jit
def _hessian(objective, log_theta):
    return jax.hessian(lambda x: objective(x))(log_theta)


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """Most likely θ, with the Gaussian that touches the likelihood of log θ there (Laplace).

    Args:
        names: (k,).
        log_theta: (k,) λ̂.
        log_covariance: (k, k) inverse Hessian: σ of λ is the relative uncertainty of θ.
        objective: −log likelihood at λ̂.
        gradient: largest |∂/∂λ| at λ̂.
        iterations: of L-BFGS and Newton.
        result: "successful", or what went wrong.
    """

    names: tuple[str, ...]
    log_theta: Float[Array, " k"]
    log_covariance: Float[Array, "k k"]
    objective: float
    gradient: float
    iterations: int
    result: str

    @property
    def theta(self) -> Float[Array, " k"]:
        """θ̂: the mode in log θ, the median of the Laplace approximation."""
        return jnp.exp(self.log_theta)

    @property
    def log_sigma(self) -> Float[Array, " k"]:
        """(k,) standard uncertainty of log θ."""
        return jnp.sqrt(jnp.diagonal(self.log_covariance))

    def sample(self, key: PRNGKeyArray, count: int) -> Float[Array, "count k"]:
        """Draws of θ from the Laplace approximation."""
        root = jnp.linalg.cholesky(self.log_covariance)
        return jnp.exp(self.log_theta + normal(key, count, len(self.names)) @ root.T)


def fit(objective: Objective, start: Float[Array, " k"], names: Sequence[str], tolerance: float = 1e-6) -> Estimate:
    """Maximise the (restricted) likelihood: L-BFGS in log θ, then Newton's method to the tolerance.

    Args:
        objective: what is minimised.
        start: (k,) first guess of θ, positive.
        names: (k,) for reports.
        tolerance: on the largest |∂/∂λ|, in nats.

    Returns:
        The estimate; its result is "not identifiable" where the likelihood is flat or has no maximum.

    Raises:
        TanhengError: a start that is not positive, or not one per name.
    """
    require_positive("a hyper-parameter", start)
    if np.shape(start) != (len(names),):
        raise TanhengError("the start does not fit the hyper-parameters", got=f"{np.shape(start)}",
                           expected=f"({len(names)},)", remedy="give one value for each name")  # fmt: skip
    first = np.log(np.asarray(start, dtype=float))

    def value_and_gradient(x):
        value, gradient = _value_and_gradient(objective, jnp.asarray(x))
        # A covariance that is not definite is no better than the start; L-BFGS then shortens its step.
        return (float(value), np.asarray(gradient)) if np.isfinite(value) else (1e300, np.zeros_like(x))

    if value_and_gradient(first)[0] == 1e300:
        nan = jnp.full((len(names),) * 2, jnp.nan)
        return Estimate(tuple(names), jnp.asarray(first), nan, np.nan, np.nan, 0, "not finite at the start")
    # Further than a factor e¹⁰ from the start nothing is trusted.
    bounds = [(x - 10.0, x + 10.0) for x in first]
    found = scipy.optimize.minimize(value_and_gradient, first, jac=True, method="L-BFGS-B", bounds=bounds,
                                    options={"gtol": tolerance, "ftol": 1e-13, "maxiter": 200})  # fmt: skip
    x, steps = _newton(objective, found.x, tolerance)
    value, gradient = _value_and_gradient(objective, jnp.asarray(x))
    covariance, result = _laplace(np.asarray(_hessian(objective, jnp.asarray(x))), names)
    worst = float(jnp.max(jnp.abs(gradient)))
    if result == "successful" and not worst <= 10.0 * tolerance:
        result = f"did not converge: gradient {worst:.1e}"
    if np.abs(x - first).max() > 9.99:
        result = f"not identifiable: {names[int(np.argmax(np.abs(x - first)))]} runs away"
    return Estimate(tuple(names), jnp.asarray(x), covariance, float(value), worst, int(found.nit) + steps, result)


def _newton(objective: Objective, x: np.ndarray, tolerance: float) -> tuple[np.ndarray, int]:
    """The last digits, which L-BFGS leaves where the objective is flat to rounding."""
    for count in range(NEWTON_STEPS):
        gradient = np.asarray(_value_and_gradient(objective, jnp.asarray(x))[1])
        if np.abs(gradient).max() <= tolerance:
            return x, count
        values, vectors = np.linalg.eigh(np.asarray(_hessian(objective, jnp.asarray(x))))
        if not values.min() > 0.0:
            return x, count
        step = -vectors @ ((vectors.T @ gradient) / values)
        if np.abs(step).max() > 1.0:
            return x, count
        x = x + step
    return x, NEWTON_STEPS


def _laplace(hessian: np.ndarray, names: Sequence[str]) -> tuple[Array, str]:
    """Inverse Hessian, and whether there is one."""
    if not np.isfinite(hessian).all():
        return jnp.full(hessian.shape, jnp.nan), "not finite"
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    if values[0] < FLAT**-2:
        blame = ", ".join(names[int(i)] for i in np.flatnonzero(np.abs(vectors[:, 0]) > 0.3))
        return jnp.full(hessian.shape, jnp.nan), f"not identifiable: the data say nothing about {blame}"
    return jnp.asarray((vectors / values) @ vectors.T), "successful"


# --- what uncertain hyper-parameters do to totals ---------------------------------------------------------------------
def _require_estimate(estimate: Estimate) -> None:
    if estimate.result != "successful":
        raise TanhengError("hyper-parameters were not found", got=estimate.result, expected="successful",
                           remedy="give priors on log θ, or fix those that the data do not determine")  # fmt: skip


def totals_by_draws(
    problem_of: Callable[[Array], Problem], estimate: Estimate, solver: AbstractSolver, weights: Float[Array, "j n"],
    key: PRNGKeyArray, draws: int = 50,
) -> Totals:  # fmt: skip
    """Totals with the uncertainty of θ in them, by the law of total covariance over Laplace draws:

    E[t] = E_θ[t̂(θ)],   cov t = E_θ[W A(θ) Wᵀ] + cov_θ[t̂(θ)]

    Args:
        problem_of: θ ↦ problem.
        estimate: of θ.
        solver: any, run once per draw.
        weights: (j, n) W.
        key: random key.
        draws: at least 2; the added covariance has a relative error of about √(2/draws).

    Raises:
        TanhengError: an estimate, or the solution of a draw, that did not succeed.
    """
    _require_estimate(estimate)
    found = []
    for theta in estimate.sample(key, draws):
        posterior = solver.solve(problem_of(theta))
        require_success(posterior)
        found.append(posterior.aggregate(weights))
    means = jnp.stack([t.mean for t in found])
    within = jnp.mean(jnp.stack([t.covariance for t in found]), axis=0)
    return Totals(means.mean(axis=0), within + jnp.atleast_2d(jnp.cov(means.T)))


def totals_by_delta(
    problem_of: Callable[[Array], Problem], estimate: Estimate, solver: AbstractSolver, weights: Float[Array, "j n"]
) -> Totals:
    """Totals with the uncertainty of θ to first order: cov t = W A(θ̂) Wᵀ + T Σ Tᵀ,  T = ∂t̂/∂λ by autodiff.

    Args:
        problem_of: θ ↦ problem.
        estimate: of θ.
        solver: run once, at θ̂.
        weights: (j, n) W.

    Raises:
        TanhengError: an estimate, or the solution, that did not succeed.
    """
    _require_estimate(estimate)
    posterior = solver.solve(problem_of(estimate.theta))
    require_success(posterior)

    def totals(log_theta):  # B Hᵀ S⁻¹ d; S of the size of the data
        problem = problem_of(jnp.exp(log_theta))
        BHt = problem.B.mv(backward(problem.H, jnp.eye(problem.y.size)))
        S = forward(problem.H, BHt) + problem.R.mv(jnp.eye(problem.y.size))
        weighed = jsl.cho_solve(jsl.cho_factor(0.5 * (S + S.T)), problem.departure())
        return weights @ (problem.x_b + BHt @ weighed)

    T, exact = eqx.filter_jit(jax.jacfwd(totals))(estimate.log_theta), posterior.aggregate(weights)
    return Totals(exact.mean, exact.covariance + T @ estimate.log_covariance @ T.T)

"""Parameters of the transport with the fluxes integrated out, then the fluxes: y = H(p) x + b(p) + ε.

    p̂ = argmin ½ d(p)ᵀ S(p)⁻¹ d(p) + ½ log|S(p)| + ½ (p − p_b)ᵀ P⁻¹ (p − p_b),    S = H(p) B H(p)ᵀ + R

The mode of x and p together (`inversion.joint`) leaves log|S| out. Where p changes the size of H, as a mixing height
does, H is then free to grow: the mixed layer comes out too shallow and the flux too small. The gradient of the
determinant is ∂/∂p ½ log|S| = tr(K ∂H/∂p).
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from inversion.hyperparameters import negative_log_likelihood
from inversion.joint import JointPosterior, innovation_solve, prior_precision
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior, AbstractSolver
from inversion.solvers.analytic import Analytic
from transport.batches import in_batches
from transport.errors import TanhengError

_negative_log_likelihood = eqx.filter_jit(negative_log_likelihood)


@eqx.filter_jit
def _derivatives(problem_of, p: Array, x: Array, left: Float[Array, "k m"], right: Float[Array, "k n"]):
    """(m, q) ∂/∂p [H(p) x + b(p)] and (q,) ∂/∂p Σ_i left_i · H(p) right_i."""

    def both(p):
        problem = problem_of(p)
        seen = in_batches(problem.H.mv, jnp.concatenate([x[None], right]), 32)
        return seen[0] + problem.b, jnp.sum(left * seen[1:])

    return jax.jacfwd(both)(p)


class _Point(eqx.Module):
    """J's value at p, and the linear solution there."""

    p: Array
    posterior: AbstractGaussianPosterior
    value: float

    def derivatives(self, problem_of, p_prior: Array, precision: Array) -> tuple[Array, Array, Array]:
        """Gradient (q,), Gauss–Newton curvature (q, q) and response (m, q).

        ∂/∂p ½ log|S| = tr(K ∂H/∂p), by a column of H per unknown or per observation, whichever are fewer.
        """
        posterior, n, m = self.posterior, self.posterior.mean.size, self.posterior.problem.y.size
        K = posterior.gain_mv(jnp.eye(m))
        left, right = (K, jnp.eye(n)) if n <= m else (jnp.eye(m), K.T)
        response, widening = _derivatives(problem_of, self.p, posterior.mean, left, right)
        solved = innovation_solve(posterior, response)
        gradient = precision @ (self.p - p_prior) - solved.T @ posterior.problem.departure() + widening
        information = response.T @ solved
        return gradient, precision + 0.5 * (information + information.T), response


def _point(problem_of, solver: AbstractSolver, p: Array, p_prior: Array, precision: Array) -> _Point:
    posterior = solver.solve(problem_of(p))
    if not isinstance(posterior, AbstractGaussianPosterior):
        raise TanhengError("a joint inversion needs a Gaussian solver", got=type(posterior).__name__,
                           expected="analytic", remedy="choose it")  # fmt: skip
    good, change = posterior.result == "successful", p - p_prior
    value = _negative_log_likelihood(posterior.problem) + 0.5 * change @ precision @ change if good else jnp.nan
    return _Point(p, posterior, float(value))


def _descend(problem_of, solver, at: _Point, step: Array, slope: float, p_prior, precision) -> _Point | None:
    """The longest of the steps 1, ½, ¼ … that lowers J (Armijo)."""
    size = 1.0
    while size > 1e-4:
        new = _point(problem_of, solver, at.p + size * step, p_prior, precision)
        if new.value <= at.value + 1e-4 * size * slope + 1e-11 * abs(at.value):
            return new
        size *= 0.5
    return None


def marginal_solve(
    problem_of: Callable[[Array], Problem], p_prior, P_cov, solver: AbstractSolver | None = None,
    tolerance: float = 1e-3, iterations: int = 40,
) -> JointPosterior:  # fmt: skip
    """Estimate p with x integrated out, then x: p̂ = argmin ½ dᵀ S(p)⁻¹ d + ½ log|S(p)| + ½ |p − p_b|²_P.

    `joint_solve` leaves out log|S|, S = H(p) B H(p)ᵀ + R. Since H is then free to grow, its mode of (x, p) has too
    shallow a mixed layer and too little flux; the mode of p alone has not. Steps are quasi-Newton (BFGS) from the
    Gauss–Newton curvature; the covariance is Gauss–Newton's at p̂, as in `joint_solve`.

    Args:
        problem_of: p (q,) ↦ problem, H and b differentiable forwards in p.
        p_prior: (q,) p_b.
        P_cov: (q, q) prior covariance of p.
        solver: Gaussian; Analytic if not given.
        tolerance: on |Δp| in standard deviations of the posterior of p.
        iterations: most steps.

    Returns:
        The posterior linearised at p̂; its result says if that was not found.

    Raises:
        TanhengError: a P that is no covariance; a solver that is not Gaussian.

    Reference: Rasmussen & Williams 2006, ISBN 978-0-262-18253-9, §5.4.1; Nocedal & Wright 2006, eq. 6.19 (BFGS).
    """
    solver = Analytic() if solver is None else solver
    p_prior = jnp.atleast_1d(jnp.asarray(p_prior, dtype=float))
    precision = prior_precision(p_prior, P_cov)
    at, steps, result = _point(problem_of, solver, p_prior, p_prior, precision), 0, "did not converge"
    gradient, information, response = at.derivatives(problem_of, p_prior, precision)
    curvature = information
    while True:
        step = -jnp.linalg.solve(curvature, gradient)
        moved = float(jnp.sqrt(step @ information @ step))
        if not (np.isfinite(at.value) and np.isfinite(moved)):
            result = at.posterior.result if at.posterior.result != "successful" else "not finite: ∂y/∂p"
            break
        if moved <= tolerance:
            result = "successful"
            break
        new = None if steps == iterations else _descend(
            problem_of, solver, at, step, float(gradient @ step), p_prior, precision
        )  # fmt: skip
        if new is None:
            break
        before, gradient_before, at, steps = at.p, gradient, new, steps + 1
        gradient, information, response = at.derivatives(problem_of, p_prior, precision)
        curvature = _updated(curvature, at.p - before, gradient - gradient_before)
    C, G = jnp.linalg.inv(information), -at.posterior.gain_mv(response)
    return JointPosterior(at.posterior.problem, at.posterior.mean, result, at.posterior, at.p, C, p_prior, precision,
                          response, G, steps + 1, moved)  # fmt: skip


def _updated(curvature: Array, moved: Array, turned: Array) -> Array:
    """BFGS; the curvature stays where the step met none that is positive."""
    if not float(moved @ turned) > 0.0:
        return curvature
    seen = curvature @ moved
    return curvature + jnp.outer(turned, turned) / (moved @ turned) - jnp.outer(seen, seen) / (moved @ seen)


def parameter_signal(posterior: JointPosterior) -> Float[Array, " q"]:
    """1 − C_p[i, i] / P[i, i]: degrees of freedom for signal of each parameter; near 0 the data do not know it."""
    prior = jnp.linalg.inv(posterior.p_precision)
    return 1.0 - jnp.diagonal(posterior.p_covariance) / jnp.diagonal(prior)

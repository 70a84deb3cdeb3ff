"""Fluxes together with parameters of the transport: y = H(p) x + b(p) + ε, p a few numbers.

A mixing height or wind speed that is wrong goes straight into the fluxes unless it is estimated with them. This is the
mode of both together; where p changes the size of H it is biased, and `inversion.marginal` is the solver to use. For
given p the problem is linear and solved by any Gaussian solver, x̂(p) = x_b + K d(p); so p alone is iterated (variable
projection, Golub & Pereyra 2003, doi 10.1088/0266-5611/19/2/201). With J = ∂/∂p [H(p) x + b(p)] at x̂(p_i), by jvp,

    C_p = (P⁻¹ + Jᵀ S⁻¹ J)⁻¹,    p_{i+1} = p_i + C_p [Jᵀ S⁻¹ d_i + P⁻¹ (p_b − p_i)]
    A = A_{x|p} + G C_p Gᵀ,    cov(x, p) = G C_p,    G = ∂x̂/∂p = −K J

which is the Gauss–Newton step and its covariance for (x, p) together, x eliminated. S⁻¹ v = R⁻¹ (v − H K v).
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from inversion.posterior import Totals, normal
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior, AbstractSolver
from inversion.solvers.actions import forward
from inversion.solvers.analytic import Analytic
from transport.errors import TanhengError


class JointPosterior(AbstractGaussianPosterior):
    """Posterior of x with the uncertainty of p in it, and of p.

    Args:
        problem: the linear problem at p̂.
        conditional: posterior of x were p known.
        p, p_covariance: (q,) p̂ and (q, q) C_p.
        p_prior, p_precision: (q,) p_b and (q, q) P⁻¹.
        response: (m, q) J.
        sensitivity: (n, q) G.
        iterations: linear solutions.
        step: last |Δp| in standard deviations of the posterior.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    conditional: AbstractGaussianPosterior
    p: Float[Array, " q"]
    p_covariance: Float[Array, "q q"]
    p_prior: Float[Array, " q"]
    p_precision: Float[Array, "q q"]
    response: Float[Array, "m q"]
    sensitivity: Float[Array, "n q"]
    iterations: int = eqx.field(static=True)
    step: float = eqx.field(static=True)

    @property
    def p_sigma(self) -> Float[Array, " q"]:
        """(q,) standard uncertainties of p."""
        return jnp.sqrt(jnp.diagonal(self.p_covariance))

    def _p_gain(self, d):
        """C_p Jᵀ S⁻¹ d."""
        return self.p_covariance @ (self.response.T @ innovation_solve(self.conditional, d))

    def covariance_mv(self, v):
        """A_{x|p} v + G C_p Gᵀ v."""
        return self.conditional.covariance_mv(v) + self.sensitivity @ (self.p_covariance @ (self.sensitivity.T @ v))

    def gain_mv(self, d):
        """K d + G C_p Jᵀ S⁻¹ d, of the problem linearised at the solution."""
        return self.conditional.gain_mv(d) + self.sensitivity @ self._p_gain(d)

    def means(self, ys):
        """Not offered: other data have another linearisation."""
        raise TanhengError("a joint posterior serves its own data only", got=f"{len(ys)} other data vectors",
                           expected="one solution each", remedy="call joint_solve for each")  # fmt: skip

    def sample(self, key, count):
        """Draws of x: from A_{x|p} about x̂(p), with p drawn too."""
        keys = jax.random.split(key)
        root = jnp.linalg.cholesky(self.p_covariance)
        change = normal(keys[1], count, self.p.size) @ root.T
        return self.conditional.sample(keys[0], count) + change @ self.sensitivity.T

    def leverage(self):
        """diag of ∂(H x̂ + b)/∂y: that of x with p fixed, and (J + H G) C_p Jᵀ S⁻¹."""
        moved = self.response + forward(self.problem.H, self.sensitivity)
        solved = innovation_solve(self.conditional, self.response)
        return self.conditional.leverage() + jnp.sum(moved * (solved @ self.p_covariance), axis=1)

    def cost(self):
        """2 J(x̂, p̂), (p̂ − p_b)ᵀ P⁻¹ (p̂ − p_b) included."""
        change = self.p - self.p_prior
        return self.conditional.cost() + change @ self.p_precision @ change

    def diagonal(self):
        """diag A."""
        return self.conditional.diagonal() + jnp.sum(self.sensitivity * (self.sensitivity @ self.p_covariance), axis=1)

    def with_parameters(self, weights: Float[Array, "k n"]) -> Totals:
        """Totals W x̂ followed by p̂, with the covariance of all: (k + q,) and (k + q, k + q)."""
        own, cross = self.aggregate(weights), weights @ self.sensitivity @ self.p_covariance
        covariance = jnp.block([[own.covariance, cross], [cross.T, self.p_covariance]])
        return Totals(jnp.concatenate([own.mean, self.p]), covariance)


def innovation_solve(posterior: AbstractGaussianPosterior, v: Array) -> Array:
    """S⁻¹ v = R⁻¹ (v − H K v)."""
    problem = posterior.problem
    return problem.R.solve(v - forward(problem.H, posterior.gain_mv(v)))


@eqx.filter_jit
def _response(problem_of, p: Array, x: Array) -> Array:
    """(m, q) J, one forward derivative per parameter."""

    def modelled(p):
        return problem_of(p).modelled(x)

    return jnp.stack([jax.jvp(modelled, (p,), (unit,))[1] for unit in jnp.eye(p.size)], axis=1)


def _point(problem_of, solver: AbstractSolver, p: Array, p_prior: Array, precision: Array):
    """The linear solution at p, and 2 J there."""
    posterior = solver.solve(problem_of(p))
    if not isinstance(posterior, AbstractGaussianPosterior):
        raise TanhengError("a joint inversion needs a Gaussian solver", got=type(posterior).__name__,
                           expected="analytic, variational or sequential", remedy="choose one of these")  # fmt: skip
    change = p - p_prior
    return posterior, float(posterior.cost() + change @ precision @ change)


def prior_precision(p_prior: Array, P: Array) -> Array:
    """P⁻¹.

    Raises:
        TanhengError: a P that is no covariance.
    """
    matrix = jnp.asarray(P, dtype=float)
    size = p_prior.size
    fits = matrix.shape == (size, size) and bool(jnp.allclose(matrix, matrix.T, rtol=1e-10))
    root = jnp.linalg.cholesky(matrix) if fits else jnp.full((1, 1), jnp.nan)
    if not bool(jnp.isfinite(root).all()):
        raise TanhengError("the covariance of the parameters is no covariance", got=f"{P}",
                           expected=f"({size}, {size}), symmetric, positive definite", remedy="give P")  # fmt: skip
    return jax.scipy.linalg.cho_solve((root, True), jnp.eye(size))


def joint_solve(
    problem_of: Callable[[Array], Problem], p_prior, P_cov, solver: AbstractSolver | None = None,
    tolerance: float = 1e-6, iterations: int = 30,
) -> JointPosterior:  # fmt: skip
    """Estimate x and p.

    Args:
        problem_of: p (q,) ↦ problem; H and b must be differentiable by JAX in p, B, R and x_b may not depend on it.
            An Equinox module keeps its arrays out of the compiled code.
        p_prior: (q,) p_b.
        P_cov: (q, q) prior covariance of p.
        solver: Gaussian; Analytic if not given.
        tolerance: on |Δp| in standard deviations of the posterior of p.
        iterations: most Gauss–Newton steps.

    Returns:
        The posterior linearised at the mode; its result says if that was not found.

    Raises:
        TanhengError: a P that is no covariance; a solver that is not Gaussian.
    """
    solver = Analytic() if solver is None else solver
    p_prior = jnp.atleast_1d(jnp.asarray(p_prior, dtype=float))
    precision = prior_precision(p_prior, P_cov)
    p, moved, solutions, result = p_prior, jnp.inf, 1, "did not converge"
    posterior, value = _point(problem_of, solver, p, p_prior, precision)
    while True:
        J = _response(problem_of, p, posterior.mean)
        SinvJ = innovation_solve(posterior, J)
        information = precision + J.T @ SinvJ
        C = jnp.linalg.inv(0.5 * (information + information.T))
        gradient = -(SinvJ.T @ posterior.problem.departure() + precision @ (p_prior - p))  # of J, by the envelope
        step = -C @ gradient
        moved = float(jnp.sqrt(step @ information @ step))
        if posterior.result != "successful" or not jnp.isfinite(moved):
            result = f"at p = {p}: {posterior.result}" if posterior.result != "successful" else "not finite: ∂y/∂p"
            break
        if moved <= tolerance:
            result = "successful"
            break
        if solutions > iterations:
            break
        accepted = _search(problem_of, solver, p, step, float(gradient @ step), value, p_prior, precision)
        if accepted is None:
            result = f"did not converge: no step lowers the cost at |Δp| = {moved:.1e} σ"
            break
        p, posterior, value = accepted
        solutions += 1
    return JointPosterior(
        posterior.problem, posterior.mean, result, posterior, p, C, p_prior, precision, J, -posterior.gain_mv(J),
        solutions, moved,
    )  # fmt: skip


def _search(problem_of, solver, p, step, slope: float, value: float, p_prior, precision):
    """The longest of the steps 1, ½, ¼ … that lowers 2 J by a fifth of what its slope promises (Armijo)."""
    size = 1.0
    while size > 1e-6:
        trial = p + size * step
        posterior, new = _point(problem_of, solver, trial, p_prior, precision)
        if posterior.result == "successful" and new <= value + 0.4 * size * slope + 1e-11 * abs(value):
            return trial, posterior, new
        size *= 0.5
    return None

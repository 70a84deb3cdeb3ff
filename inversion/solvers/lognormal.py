"""Positive unknowns: x = x_b exp(z) with z ~ N(0, B), by Laplace's method at the mode of z.

z | y ≈ N(ẑ, A). For each element and total both summaries are given, and named:

    median of x_i   x_b,i exp(ẑ_i)                       (the mode in z is the median of the log-normal, not its mean)
    mean of x_i     x_b,i exp(ẑ_i + ½ A_ii) = μ_i
    cov(x_i, x_j)   μ_i μ_j (exp(A_ij) − 1)

Only means add up: the median of a sum is not the sum of medians, and is read off draws. Elements that may be negative
(a background, a bias) stay Gaussian, x = x_b + z, with cov(x_i, z_j) = μ_i A_ij. Reference: Fletcher & Zupanski
(2006, doi 10.1256/qj.05.222); for fluxes Michalak (2008, doi 10.5194/gmd-1-1-2008) and Brophy et al. (2019).
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Bool, Float

from inversion.posterior import AbstractPosterior, SkewedTotals, skewed
from inversion.problem import Problem
from inversion.solvers import AbstractSolver
from inversion.solvers.actions import unit_columns
from inversion.solvers.gauss_newton import GaussNewton, NonlinearProblem
from inversion.solvers.prior import prior_posterior
from transport.errors import TanhengError

# Columns of A at once.
COLUMNS = 64
DRAWS = 20_000


class Exponentiated(eqx.Module):
    """h(z) = H x(z) + b, x = x_b exp(z) where positive, x_b + z elsewhere."""

    H: lx.AbstractLinearOperator
    x_b: Float[Array, " n"]
    b: Float[Array, " m"]
    positive: Bool[Array, " n"]

    def x(self, z):
        """The unknowns of z (…, n)."""
        return jnp.where(self.positive, self.x_b * jnp.exp(jnp.where(self.positive, z, 0.0)), self.x_b + z)

    def __call__(self, z):
        """Modelled observations."""
        return self.H.mv(self.x(z)) + self.b


class LogNormalPosterior(AbstractPosterior):
    """Log-normal posterior; `mean` is the expectation of x, `median` its median, which is the mode of z.

    Args:
        log_posterior: the Gaussian of z.
        transform: z to x.
        log_variance: (n,) diag A.
        iterations: of the search for the mode.
        gradient_norm: relative, at the mode.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    log_posterior: AbstractPosterior
    transform: Exponentiated
    log_variance: Float[Array, " n"]
    iterations: int = eqx.field(static=True)
    gradient_norm: float = eqx.field(static=True)

    @property
    def median(self) -> Float[Array, " n"]:
        """(n,) medians x(ẑ)."""
        return self.transform.x(self.log_posterior.mean)

    def covariance_mv(self, v):
        """C v, C_ij = μ_i μ_j (exp A_ij − 1), μ_i A_ij or A_ij; A comes by columns, n of them."""
        n, positive, mu = self.mean.size, self.transform.positive, self.mean
        columns = v.reshape(n, -1)
        total = jnp.zeros_like(columns)
        for start in range(0, n, COLUMNS):
            A = self.log_posterior.covariance_mv(unit_columns(n, start, COLUMNS))[:, : n - start]
            stop = start + A.shape[1]
            total = total + _covariance(A, mu, mu[start:stop], positive, positive[start:stop]) @ columns[start:stop]
        return total.reshape(v.shape)

    def sample(self, key, count):
        """x of draws of z."""
        return self.transform.x(self.log_posterior.sample(key, count))

    def leverage(self):
        """Of the problem linearised at the mode."""
        return self.log_posterior.leverage()

    def aggregate(self, weights) -> SkewedTotals:
        """Mean and covariance in closed form, median and 95 % interval from draws."""
        covariance = weights @ self.covariance_mv(weights.T)
        return skewed(weights @ self.mean, covariance, self.sample(jax.random.key(0), DRAWS) @ weights.T)

    def cost(self):
        """2 J(ẑ)."""
        return self.log_posterior.cost()

    def diagonal(self):
        """μ² (exp A_ii − 1), or A_ii."""
        return jnp.where(self.transform.positive, self.mean**2 * jnp.expm1(self.log_variance), self.log_variance)


def _covariance(A, mu_i, mu_j, log_i, log_j):
    both = log_i[:, None] & log_j[None, :]
    # exp is taken only where both are logarithms: elsewhere A is in the unit of x and may be large.
    scale = jnp.where(log_i, mu_i, 1.0)[:, None] * jnp.where(log_j, mu_j, 1.0)[None, :]
    return scale * jnp.where(both, jnp.expm1(jnp.where(both, A, 0.0)), A)


class LogNormal(AbstractSolver):
    """Laplace's method in z. The problem's B is the covariance of z: relative for small values, (n, n) without unit.

    The prior median of x is x_b; its prior mean is x_b exp(½ B_ii).

    Args:
        positive: (n,) which unknowns are positive; None for all.
        search: how the mode is found.

    Raises:
        TanhengError: a prior median that is not positive, or a mask of another length.
    """

    positive: np.ndarray | None = None
    search: GaussNewton = dataclasses.field(default_factory=GaussNewton)

    def prior(self, problem: Problem) -> LogNormalPosterior:
        """The log-normal prior."""
        return self.solve(problem.unobserved())

    def solve(self, problem: Problem) -> LogNormalPosterior:
        """The log-normal posterior."""
        n = problem.x_b.size
        positive = np.ones(n, bool) if self.positive is None else np.asarray(self.positive, dtype=bool)
        if positive.shape != (n,) or not bool((np.asarray(problem.x_b)[positive] > 0.0).all()):
            raise TanhengError(
                "a log-normal unknown needs a positive prior median",
                got=f"smallest {float(jnp.min(problem.x_b)):.3g}, {positive.shape} flags",
                expected=f"> 0 where `positive`, {n} flags",
                remedy="remove cells without emission from the control vector, or leave them Gaussian",
            )
        transform = Exponentiated(problem.H, problem.x_b, problem.b, jnp.asarray(positive))
        z = jnp.zeros(n)
        if problem.y.size == 0:
            log = prior_posterior(eqx.tree_at(lambda p: p.x_b, problem, z))
            iterations, gradient = 0, 0.0
        else:
            log = self.search.solve(NonlinearProblem(transform, z, problem.B, problem.y, problem.R))
            iterations, gradient = log.iterations, log.gradient_norm
        variance = log.diagonal()
        mean = transform.x(log.mean) * jnp.where(positive, jnp.exp(0.5 * jnp.where(positive, variance, 0.0)), 1.0)
        return LogNormalPosterior(problem, mean, log.result, log, transform, variance, iterations, gradient)

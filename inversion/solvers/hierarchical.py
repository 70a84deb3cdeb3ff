"""Fluxes and the hyper-parameters of their covariances at once: p(x, θ | y), θ > 0 with log-normal priors.

Collapsed, for linear Gaussian problems: x is integrated out, λ = log θ is sampled by NUTS from

    log p(λ|y) = log p(y|θ) − ½ |(λ − μ) / s|² + const

(`hyperparameters.negative_log_likelihood`), and x | θ drawn exactly for each draw. Of what is linear in x the law of
total covariance then holds without noise from x (Rao–Blackwell):

    E[x] = E_θ[x̂(θ)],    cov x = E_θ[A(θ)] + cov_θ[x̂(θ)]

Joint, for log-normal unknowns as well: λ and the whitened χ together, non-centred, x = x_b + B(θ)^½ χ,

    log p(λ, χ|y) = −½ χᵀχ − ½ rᵀ R⁻¹ r − ½ log|R(θ)| − ½ |(λ − μ) / s|² + const

References: Ganesan et al. (2014, doi 10.5194/acp-14-3855-2014); Papaspiliopoulos, Roberts & Sköld (2007, doi
10.1214/088342307000000014) on the non-centred form; Liu (1994, doi 10.1080/01621459.1994.10476829) on collapsing.
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Bool, Float

from inversion.covariance.base import require_positive
from inversion.hyperparameters import negative_log_likelihood
from inversion.posterior import AbstractPosterior, SkewedTotals, normal, skewed
from inversion.problem import Problem
from inversion.solvers.analytic import observation_space, state_space
from inversion.solvers.chains import Convergence, Limits, assess, mean_error, sigma_error
from inversion.solvers.nuts import Target, preconditioned, target_of, timed_chains
from inversion.solvers.sampling import PRECONDITION_LIMIT, require_sizes
from transport.batches import in_batches
from transport.errors import TanhengError

METHODS = ("auto", "collapsed", "joint")
# A step costs n² m operations collapsed and n m jointly: beyond this product jointly gives more effective draws per
# second (150 unknowns and 500 observations: 520 against 7; 20 and 60: collapsed is ahead).
COLLAPSIBLE = 2_000_000


class Marginal(eqx.Module):
    """log p(v|y), λ = μ + s v.

    Args:
        problem_of: θ (k,) ↦ problem.
        mu, s: (k,) prior mean and standard deviation of λ.
    """

    problem_of: Callable[[Array], Problem]
    mu: Float[Array, " k"]
    s: Float[Array, " k"]

    @property
    def size(self) -> int:
        """k."""
        return self.mu.size

    def theta(self, u):
        """exp(μ + s v) of (…, k) or longer."""
        return jnp.exp(self.mu + self.s * u[..., : self.mu.size])

    def log_density(self, u):
        """−½ vᵀv + log p(y|θ)."""
        value = -0.5 * u @ u - negative_log_likelihood(self.problem_of(self.theta(u)))
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)


class Joint(eqx.Module):
    """log p(v, w|y), λ = μ + s v, χ = χ̂ + P w with χ̂ and P found at the prior median of θ.

    Args:
        marginal: of λ.
        target: of χ, at the prior median.
    """

    marginal: Marginal
    target: Target

    @property
    def size(self) -> int:
        """k + n."""
        return self.marginal.size + self.target.size

    def at(self, u) -> tuple[Problem, Target]:
        """Problem and density of χ for the θ of u."""
        problem = self.marginal.problem_of(self.marginal.theta(u))
        transform = eqx.tree_at(lambda t: (t.H, t.x_b, t.b), self.target.transform, (problem.H, problem.x_b, problem.b))
        return problem, Target(transform, problem.B, problem.y, problem.R, self.target.centre, self.target.P)

    def log_density(self, u):
        """−½ vᵀv − J(χ) − ½ log|R(θ)|."""
        k = self.marginal.size
        problem, target = self.at(u)
        value = -0.5 * u[:k] @ u[:k] + target.log_density(u[k:]) - 0.5 * problem.R.logdet()
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)


class Given(eqx.Module):
    """What one θ contributes: a draw and the mean of x, A, and the parts of the leverage."""

    draw: Array
    mean: Array
    leverage: Array
    modelled: Array
    weighed: Array


@eqx.filter_jit
def _given_theta(marginal: Marginal, u: Array, key) -> tuple[Given, Array]:
    """x | θ for every draw (S, k) of θ, and E_θ[A(θ)]."""

    def one(total, inputs):
        u, key = inputs
        problem = marginal.problem_of(marginal.theta(u))
        H, n, m = problem.matrix, problem.x_b.size, problem.y.size
        if n <= m:
            mean, factor, _ = state_space(problem)
            root = jsl.solve_triangular(factor, jnp.eye(n), trans=1, lower=True)
            A = root @ root.T
        else:
            mean, BHt, factor, _ = observation_space(problem)
            gained = jsl.solve_triangular(factor, BHt.T, lower=True)
            A = problem.B.mv(jnp.eye(n)) - gained.T @ gained
            root = jnp.linalg.cholesky(0.5 * (A + A.T))
        leverage = jnp.sum(problem.R.solve(H) * (H @ A), axis=1)
        modelled = problem.modelled(mean)
        draw = mean + root @ normal(key, n)
        return total + A / len(us), Given(draw, mean, leverage, modelled, problem.R.solve(modelled - problem.y))

    us, n = u, jax.eval_shape(lambda v: marginal.problem_of(marginal.theta(v)).x_b, u[0]).shape[0]
    total, given = jax.lax.scan(one, jnp.zeros((n, n)), (us, jax.random.split(key, len(us))))
    return given, total


@eqx.filter_jit
def _given_all(joint: Joint, u: Array) -> Given:
    """The same where x was drawn with θ: the mean given θ and x is x."""

    def one(u):
        problem, target = joint.at(u)
        x = target.x(u[joint.marginal.size :])
        modelled = problem.modelled(x)
        return Given(x, x, jnp.zeros(problem.y.size), modelled, problem.R.solve(modelled - problem.y))

    return in_batches(one, u, 256)


class HierarchicalPosterior(AbstractPosterior):
    """Posterior of x with θ integrated out, held as draws of both.

    Args:
        problem: at the median of θ.
        names: (k,).
        theta: (chains, count, k) draws of θ.
        draws: (chains, count, n) draws of x.
        means: (chains count, n) means of x given θ; the draws themselves where x was sampled with θ.
        within: (n, n) E_θ[A(θ)], or None where x was sampled with θ.
        leverages: (m,) ∂E[H x]/∂y.
        positive: (n,) which unknowns are log-normal.
        convergence: of λ, x and the log density.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    theta: Float[Array, "chains count k"]
    draws: Float[Array, "chains count n"]
    means: Float[Array, "draws n"]
    within: Float[Array, "n n"] | None
    leverages: Float[Array, " m"]
    positive: Bool[Array, " n"]
    convergence: Convergence

    @property
    def flat(self) -> Float[Array, "draws n"]:
        """All chains one after another."""
        return self.draws.reshape(-1, self.draws.shape[-1])

    @property
    def median(self) -> Float[Array, " n"]:
        """(n,) medians of the draws of x."""
        return jnp.median(self.flat, axis=0)

    @property
    def theta_median(self) -> Float[Array, " k"]:
        """(k,) medians of θ."""
        return jnp.median(self.theta.reshape(-1, self.theta.shape[-1]), axis=0)

    @property
    def theta_interval(self) -> Float[Array, "2 k"]:
        """2.5 % and 97.5 % points of θ."""
        return jnp.quantile(self.theta.reshape(-1, self.theta.shape[-1]), jnp.asarray([0.025, 0.975]), axis=0)

    def total_errors(self, weights: Float[Array, "j n"]) -> tuple[Array, Array]:
        """(j,) Monte Carlo errors of the totals' means, and bounds on those of their standard deviations."""
        totals, means = np.asarray(self.draws @ weights.T), np.asarray(self.means @ weights.T)
        return jnp.asarray(mean_error(means.reshape(totals.shape))), jnp.asarray(sigma_error(totals))

    def covariance_mv(self, v):
        """E_θ[A(θ)] v + cov_θ[x̂(θ)] v."""
        centred = self.means - self.mean
        between = centred.T @ (centred @ v) / (len(centred) - 1)
        return between if self.within is None else self.within @ v + between

    def sample(self, key, count):
        """Some of the draws, with replacement."""
        return self.flat[jax.random.randint(key, (count,), 0, len(self.flat))]

    def leverage(self):
        """diag cov(H x, R⁻¹ (H x + b − y)): Stein's identity with θ free."""
        return self.leverages

    def aggregate(self, weights) -> SkewedTotals:
        """Moments by the law of total covariance, median and 95 % interval of the draws' totals."""
        covariance = weights @ self.covariance_mv(weights.T)
        return skewed(weights @ self.mean, covariance, self.flat @ weights.T)

    def between(self, weights: Float[Array, "j n"]) -> Float[Array, "j j"]:
        """cov_θ[W x̂(θ)], what uncertain θ adds to totals; collapsed only."""
        if self.within is None:
            raise TanhengError(
                "the joint sampler does not separate the uncertainty of θ", got="joint", expected="collapsed",
                remedy="use solver.method=collapsed for linear Gaussian problems",
            )  # fmt: skip
        return jnp.atleast_2d(jnp.cov((self.means @ weights.T).T))

    def cost(self):
        """2 J at the median of θ and the mean of x, the median of what is log-normal."""
        x = jnp.where(self.positive, self.median, self.mean)
        # Where a branch is not taken its logarithm is not either.
        ratio = jnp.where(self.positive, x / jnp.where(self.positive, self.problem.x_b, 1.0), 1.0)
        r, change = (
            self.problem.y - self.problem.modelled(x),
            jnp.where(self.positive, jnp.log(ratio), x - self.problem.x_b),
        )
        return r @ self.problem.R.solve(r) + change @ self.problem.B.solve(change)

    def diagonal(self):
        """diag E_θ[A(θ)] + var_θ[x̂(θ)]."""
        between = jnp.var(self.means, axis=0, ddof=1)
        return between if self.within is None else jnp.diagonal(self.within) + between

    def variance(self, weights):
        """diag(W C Wᵀ)."""
        return jnp.sum(weights.T * self.covariance_mv(weights.T), axis=0)


class Hierarchical(eqx.Module):
    """NUTS over hyper-parameters, and unknowns given them.

    Args:
        names: (k,) of θ, for reports.
        prior_median: (k,) of θ.
        prior_log_sigma: (k,) standard deviation of log θ, 0.7 for a factor of two.
        chains, warmup, count, seed, target_acceptance, doublings, limits: as in `Sampling`.
        method: "collapsed", "joint", or "auto" for collapsed where all unknowns are Gaussian and few.
        positive: log-normal unknowns as in `Sampling`; joint only.

    Raises:
        TanhengError: priors that do not fit the names; an unknown method; collapsing log-normal unknowns.
    """

    names: tuple[str, ...] = eqx.field(static=True, converter=tuple)
    prior_median: Sequence[float] | np.ndarray
    prior_log_sigma: Sequence[float] | np.ndarray
    chains: int = eqx.field(static=True, default=4)
    warmup: int = eqx.field(static=True, default=500)
    count: int = eqx.field(static=True, default=1000)
    seed: int = eqx.field(static=True, default=0)
    target_acceptance: float = eqx.field(static=True, default=0.95)
    method: str = eqx.field(static=True, default="auto")
    positive: bool | np.ndarray | None = None
    doublings: int = eqx.field(static=True, default=10)
    limits: Limits = Limits()

    def __check_init__(self):
        require_sizes(self.chains, self.warmup, self.count, self.target_acceptance)
        require_positive("a prior median of a hyper-parameter", self.prior_median)
        require_positive("a prior standard deviation of log θ", self.prior_log_sigma)
        shapes = {np.shape(self.prior_median), np.shape(self.prior_log_sigma)}
        if shapes != {(len(self.names),)} or self.method not in METHODS:
            raise TanhengError(
                "the hyper-parameters' priors or method do not fit", got=f"{shapes}, {self.method}",
                expected=f"({len(self.names)},), one of {', '.join(METHODS)}", remedy="give one value for each name",
            )  # fmt: skip
        if self.method == "collapsed" and np.any(self.positive):
            raise TanhengError(
                "log-normal unknowns cannot be integrated out", got="collapsed", expected="joint",
                remedy="use solver.method=joint",
            )  # fmt: skip

    def solve(self, problem_of: Callable[[Array], Problem]) -> HierarchicalPosterior:
        """Draws of θ and x.

        Args:
            problem_of: θ (k,) ↦ problem; an Equinox module, so that other data do not compile it again.
        """
        mu, s = jnp.log(jnp.asarray(self.prior_median)), jnp.asarray(self.prior_log_sigma, dtype=float)
        marginal, key = Marginal(problem_of, mu, s), jax.random.key(self.seed)
        centre = target_of(problem_of(jnp.exp(mu)), self.positive)
        costly = centre.size**2 * centre.y.size > COLLAPSIBLE
        joint = self.method == "joint" or (self.method == "auto" and (costly or bool(np.any(self.positive))))
        if centre.size > PRECONDITION_LIMIT:
            raise TanhengError(
                "too many unknowns for a hierarchical run", got=centre.size, expected=f"at most {PRECONDITION_LIMIT}",
                remedy="estimate the hyper-parameters first (inversion.hyperparameters.fit), or use fewer unknowns",
            )  # fmt: skip
        target = Joint(marginal, preconditioned(centre)[0]) if joint else marginal
        run, seconds = timed_chains(
            target, jax.random.fold_in(key, 0), self.chains, self.warmup, self.count,
            jnp.asarray(self.target_acceptance), self.doublings, dense_metric=not joint,
        )  # fmt: skip
        flat, within = run.u.reshape(-1, target.size), None
        if isinstance(target, Joint):
            given = _given_all(target, flat)
        else:
            given, within = _given_theta(target, flat, jax.random.fold_in(key, 1))
        theta, draws = marginal.theta(run.u), given.draw.reshape(*run.u.shape[:2], -1)
        looked_at = np.concatenate([np.asarray(theta), np.asarray(draws)], axis=2)
        convergence = assess(looked_at, run.log_density, run.divergent, run.saturated, seconds)
        crossed = (given.modelled - given.modelled.mean(axis=0)) * given.weighed
        leverages = given.leverage.mean(axis=0) + crossed.sum(axis=0) / (len(flat) - 1)
        problem = problem_of(jnp.median(marginal.theta(flat), axis=0))
        return HierarchicalPosterior(
            problem, given.mean.mean(axis=0), convergence.verdict(self.limits), self.names, theta, draws, given.mean,
            within, leverages, centre.transform.positive, convergence,
        )  # fmt: skip

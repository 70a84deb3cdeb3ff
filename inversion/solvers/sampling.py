"""Draws from the posterior by the No-U-Turn sampler: Gaussian unknowns, and log-normal ones without approximation.

The chains run in whitened unknowns about the mode (`inversion.solvers.nuts`); what they lack is said in the result.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float

from inversion.posterior import AbstractPosterior, SkewedTotals, Totals, skewed
from inversion.problem import Problem
from inversion.solvers import AbstractSolver
from inversion.solvers.actions import backward
from inversion.solvers.chains import Convergence, Limits, assess, mean_error, sigma_error
from inversion.solvers.lognormal import Exponentiated, LogNormal
from inversion.solvers.nuts import preconditioned, target_of, timed_chains, unknowns
from transport.errors import TanhengError
from transport.linear import materialise

# Up to this many unknowns the whitened problem is factorised: n² numbers, n² (n + m) operations per step to the mode.
PRECONDITION_LIMIT = 2000


class SampledPosterior(AbstractPosterior):
    """Posterior held as draws; `mean` is the expectation of x, `median` by element.

    Args:
        draws: (chains, count, n) of x.
        chi: (n,) mean of the whitened unknowns.
        transform: z to x.
        mode: (n,) x at the most probable z, which of log-normal unknowns is neither mean nor mode of x; None where
            it was not sought.
        convergence: R̂, effective draws, divergences, seconds; of log p too.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    draws: Float[Array, "chains count n"]
    chi: Float[Array, " n"]
    transform: Exponentiated
    mode: Float[Array, " n"] | None
    convergence: Convergence

    @property
    def flat(self) -> Float[Array, "draws n"]:
        """All chains one after another."""
        return self.draws.reshape(-1, self.draws.shape[-1])

    @property
    def median(self) -> Float[Array, " n"]:
        """(n,) medians of the draws."""
        return jnp.median(self.flat, axis=0)

    @property
    def mean_error(self) -> Float[Array, " n"]:
        """(n,) Monte Carlo standard errors of `mean`."""
        return jnp.asarray(mean_error(np.asarray(self.draws)))

    def total_errors(self, weights: Float[Array, "k n"]) -> tuple[Array, Array]:
        """(k,) Monte Carlo standard errors of the totals' means and of their standard deviations."""
        totals = np.asarray(self.draws @ weights.T)
        return jnp.asarray(mean_error(totals)), jnp.asarray(sigma_error(totals))

    def covariance_mv(self, v):
        """Of the draws; of no higher rank than their number."""
        centred = self.flat - self.mean
        return centred.T @ (centred @ v) / (len(centred) - 1)

    def sample(self, key, count):
        """Some of the draws, with replacement."""
        return self.flat[jax.random.randint(key, (count,), 0, len(self.flat))]

    def leverage(self):
        """diag(∂E[H x]/∂y) = diag(cov(H x) R⁻¹): Stein's identity, exact for any prior of a linear H."""
        Ht = backward(self.problem.H, jnp.eye(self.problem.y.size))
        return jnp.sum(self.problem.R.solve(Ht.T) * self.covariance_mv(Ht).T, axis=1)

    def aggregate(self, weights) -> Totals | SkewedTotals:
        """Moments of the draws' totals; of log-normal unknowns median and 95 % interval too."""
        covariance = weights @ self.covariance_mv(weights.T)
        if not bool(self.transform.positive.any()):
            return Totals(weights @ self.mean, 0.5 * (covariance + covariance.T))
        return skewed(weights @ self.mean, covariance, self.flat @ weights.T)

    def cost(self):
        """2 J at E[χ], which of Gaussian unknowns is at the mean; above its minimum by about n / draws."""
        r = self.problem.y - self.transform(self.problem.B.sqrt_mv(self.chi))
        return r @ self.problem.R.solve(r) + self.chi @ self.chi

    def diagonal(self):
        """Variances of the draws."""
        return jnp.var(self.flat, axis=0, ddof=1)

    def variance(self, weights):
        """Variances of the draws' totals."""
        return jnp.var(self.flat @ weights.T, axis=0, ddof=1)


class Sampling(AbstractSolver):
    """NUTS in the whitened control space.

    Args:
        chains, warmup, count: how many, dropped, kept.
        seed: of the draws.
        target_acceptance: mean acceptance of a trajectory; nearer to 1 for shorter steps.
        positive: which unknowns are log-normal, (n,) or True for all; the problem's x_b is then their prior median
            and B the covariance of log x. None for Gaussian ones.
        precondition: whether to sample about the mode, up to `PRECONDITION_LIMIT` unknowns, and Gaussian ones with
            Laplace's covariance, which is exact for them.
        doublings: a trajectory has at most 2^doublings steps.
        limits: what the chains must reach.

    Raises:
        TanhengError: numbers of draws or an acceptance out of range; a prior median that is not positive.
    """

    chains: int = eqx.field(static=True, default=4)
    warmup: int = eqx.field(static=True, default=500)
    count: int = eqx.field(static=True, default=1000)
    seed: int = eqx.field(static=True, default=0)
    target_acceptance: float = eqx.field(static=True, default=0.8)
    positive: bool | np.ndarray | None = None
    precondition: bool = eqx.field(static=True, default=True)
    doublings: int = eqx.field(static=True, default=10)
    limits: Limits = Limits()

    def __check_init__(self):
        require_sizes(self.chains, self.warmup, self.count, self.target_acceptance)

    def prior(self, problem: Problem) -> AbstractPosterior:
        """N(x_b, B), or the log-normal prior in closed form."""
        if self.positive is None or not np.any(self.positive):
            return super().prior(problem)
        flags = np.broadcast_to(np.asarray(self.positive, dtype=bool), (problem.x_b.size,))
        return LogNormal(flags).prior(problem)

    def solve(self, problem: Problem) -> SampledPosterior:
        """Draws of the posterior; its result says what the chains lack."""
        target = target_of(problem, self.positive)
        n, small = problem.x_b.size, problem.x_b.size <= PRECONDITION_LIMIT
        mode = None
        if small and not isinstance(problem.H, lx.MatrixLinearOperator):
            H = lx.MatrixLinearOperator(materialise(problem.H))
            target = eqx.tree_at(lambda t: t.transform.H, target, H)
        if self.precondition and small:
            at_mode, gradient = preconditioned(target)
            if float(gradient) < 1e-6:
                mode = at_mode.x(jnp.zeros(n))
            # What observations fix are sums of x, which turn against those of log x from place to place: Laplace's
            # covariance then hinders more than it helps (a third of the effective draws on 150 log-normal regions).
            target = eqx.tree_at(lambda t: t.P, at_mode, None) if bool(target.transform.positive.any()) else at_mode
        run, seconds = timed_chains(
            target, jax.random.key(self.seed), self.chains, self.warmup, self.count,
            jnp.asarray(self.target_acceptance), self.doublings,
        )  # fmt: skip
        draws, chi = unknowns(target, run.u)
        convergence = assess(draws, run.log_density, run.divergent, run.saturated, seconds)
        mean, result = jnp.mean(draws, axis=(0, 1)), convergence.verdict(self.limits)
        return SampledPosterior(problem, mean, result, draws, chi, target.transform, mode, convergence)


def require_sizes(chains: int, warmup: int, count: int, acceptance: float) -> None:
    """Refuse runs that cannot be judged.

    Raises:
        TanhengError: fewer than two chains or 20 draws, no warm-up, an acceptance outside 0…1.
    """
    if chains < 2 or warmup < 20 or count < 20 or not 0.0 < acceptance < 1.0:
        raise TanhengError(
            "a sampling run is too small to be judged, or its acceptance is out of range",
            got=f"{chains} chains, {warmup} warm-up, {count} draws, acceptance {acceptance}",
            expected="at least 2 chains, 20 warm-up and 20 draws, acceptance between 0 and 1",
            remedy="use the defaults",
        )

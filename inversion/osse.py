"""Observing-system experiments: a truth, the observations it would have made, and what the inversion makes of them."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float, PRNGKeyArray

from inversion.posterior import AbstractPosterior, normal, require_success
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior, AbstractSolver
from inversion.solvers.actions import forward
from transport.errors import TanhengError

# Replicates of n + m numbers held at once.
BATCH_NUMBERS = 20_000_000


def replicate(problem: Problem, key: PRNGKeyArray) -> tuple[Float[Array, " n"], Problem]:
    """A known truth and the problem whose observations it would have made.

    x_true = x_b + B^½ ξ,   y = H x_true + b + R^½ ε,   ξ, ε ~ N(0, I)

    Args:
        problem: its y is replaced.
        key: random key.

    Returns:
        x_true (n,) and the problem with the new y.
    """
    for_truth, for_noise = jax.random.split(key)
    truth = problem.x_b + problem.B.sqrt_mv(normal(for_truth, problem.x_b.size))
    y = problem.modelled(truth) + problem.R.sqrt_mv(normal(for_noise, problem.y.size))
    return truth, dataclasses.replace(problem, y=y)


def replicates(
    nature: Problem, key: PRNGKeyArray, count: int
) -> tuple[Float[Array, "count n"], Float[Array, "count m"]]:
    """Many truths and their observations, drawn from one problem.

    Args:
        nature: its x_b, B, H, b and R are what is true, not what is assumed.
        key: random key.
        count: how many.

    Returns:
        x_true (count, n) and y (count, m).
    """
    for_truth, for_noise = jax.random.split(key)
    truths = nature.x_b[:, None] + nature.B.sqrt_mv(normal(for_truth, nature.x_b.size, count))
    noise = nature.R.sqrt_mv(normal(for_noise, nature.y.size, count))
    return truths.T, (forward(nature.H, truths) + nature.b[:, None] + noise).T


class Experiment(eqx.Module):
    """Estimates and truths of k totals in N replicates.

    Args:
        truth, estimate, sigma: (N, k); sigma as the posterior states it.
        prior: (k,) W x_b of the assumed problem.
        failed: replicates that the solver did not solve; they are not among the N.
    """

    truth: Float[Array, "N k"]
    estimate: Float[Array, "N k"]
    sigma: Float[Array, "N k"]
    prior: Float[Array, " k"]
    failed: int = eqx.field(static=True, default=0)

    @property
    def z(self) -> np.ndarray:
        """(N, k) error in stated standard deviations."""
        return np.asarray((self.estimate - self.truth) / self.sigma)

    def coverage(self, probability: float) -> np.ndarray:
        """(k,) share of replicates whose truth lies inside the central interval of a Gaussian."""
        return (np.abs(self.z) <= scipy.stats.norm.isf(0.5 - 0.5 * probability)).mean(axis=0)

    def coverage_band(self, probability: float, confidence: float = 0.99) -> tuple[float, float]:
        """Where a true coverage of `probability` shows up in N replicates with this confidence (binomial)."""
        count = len(self.z)
        low, high = scipy.stats.binom.interval(confidence, count, probability)
        return float(low / count), float(high / count)

    def summary(self) -> dict[str, np.ndarray]:
        """By total (k,): bias and its standard error, rmse of estimate and prior, mean σ, mean z², coverage.

        Mean z² is 1 ± √(2/N) for a true Gaussian uncertainty.
        """
        error = np.asarray(self.estimate - self.truth)
        before = np.asarray(self.prior - self.truth)
        return {
            "bias": error.mean(axis=0),
            "bias_error": error.std(axis=0, ddof=1) / np.sqrt(len(error)),
            "rmse": np.sqrt((error**2).mean(axis=0)),
            "rmse_prior": np.sqrt((before**2).mean(axis=0)),
            "sigma": np.asarray(self.sigma).mean(axis=0),
            "z2": (self.z**2).mean(axis=0),
            "coverage_68": self.coverage(0.6827),
            "coverage_95": self.coverage(0.95),
        }


def _require_same_sizes(assumed: Problem, nature: Problem) -> None:
    sizes = [(p.x_b.size, p.y.size) for p in (assumed, nature)]
    if sizes[0] != sizes[1]:
        raise TanhengError(
            "nature and inversion differ in size", got=f"{sizes[1]} unknowns and observations in nature",
            expected=f"{sizes[0]}", remedy="build both on one control vector and one set of observations",
        )  # fmt: skip


def experiment(
    assumed: Problem, solver: AbstractSolver, weights: Float[Array, "k n"], key: PRNGKeyArray, count: int,
    nature: Problem | None = None, progress=None,
) -> Experiment:  # fmt: skip
    """Solve N synthetic cases; a Gaussian posterior is factorised once, others are solved one by one.

    Args:
        assumed: the problem as the inversion believes it; its y is not used.
        solver: any.
        weights: (k, n) totals.
        key: random key.
        count: N, at least 2.
        nature: the problem that makes truth and data, with another prior, mismatch, transport or background; None
            where the inversion's beliefs are true.
        progress: called with (done, total).

    Raises:
        TanhengError: sizes that differ; fewer than two replicates; a Gaussian solver that fails; none solved.
    """
    nature = assumed if nature is None else nature
    _require_same_sizes(assumed, nature)
    if count < 2:
        raise TanhengError("an experiment needs replicates", got=count, expected="at least 2",
                           remedy="raise task.replicates")  # fmt: skip
    batch = max(1, min(count, BATCH_NUMBERS // (assumed.x_b.size + assumed.y.size)))
    posterior, truths, found, sigmas, failed = None, [], [], [], 0
    for done in range(0, count, batch):
        size = min(batch, count - done)
        truth, ys = replicates(nature, jax.random.fold_in(key, done), size)
        if posterior is None:
            posterior = solver.solve(dataclasses.replace(assumed, y=ys[0]))
        if isinstance(posterior, AbstractGaussianPosterior):
            require_success(posterior)
            estimate = posterior.means(ys) @ weights.T
            sigma = jnp.broadcast_to(jnp.sqrt(posterior.variance(weights)), estimate.shape)
            good = np.full(size, True)
        else:
            estimate, sigma, good = _one_by_one(assumed, solver, weights, ys, posterior if done == 0 else None)
        truths, found, sigmas = [*truths, (truth @ weights.T)[good]], [*found, estimate], [*sigmas, sigma]
        failed += int((~good).sum())
        if progress is not None:
            progress(done + size, count)
    if failed > count - 2:
        raise TanhengError("the solver solved too few replicates", got=f"{count - failed} of {count}",
                           expected="at least 2", remedy="see the result of one problem")  # fmt: skip
    true, estimated, spread = (jnp.concatenate(a) for a in (truths, found, sigmas))
    return Experiment(true, estimated, spread, weights @ assumed.x_b, failed)


def _one_by_one(assumed: Problem, solver: AbstractSolver, weights: Array, ys: Array, first: AbstractPosterior | None):
    """Estimates and standard deviations of those that were solved, and which ones were."""
    estimates, sigmas, good = [], [], np.full(len(ys), True)
    for i, y in enumerate(ys):
        posterior = first if first is not None and i == 0 else solver.solve(dataclasses.replace(assumed, y=y))
        if posterior.result != "successful":
            good[i] = False
            continue
        totals = posterior.aggregate(weights)
        estimates.append(totals.mean)
        sigmas.append(totals.sigma)
    k = len(weights)
    return jnp.array(estimates).reshape(-1, k), jnp.array(sigmas).reshape(-1, k), good

"""What a solver returns: mean, covariance action, draws, totals with their full covariance, and how it ended."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from inversion.problem import Problem
from transport.errors import TanhengError


class Totals(eqx.Module):
    """Linear combinations w·x of the control vector, e.g. the emission of a region.

    Args:
        mean: (k,) values.
        covariance: (k, k), between totals too.
    """

    mean: Float[Array, " k"]
    covariance: Float[Array, "k k"]

    @property
    def sigma(self) -> Float[Array, " k"]:
        """(k,) standard uncertainties."""
        return jnp.sqrt(jnp.diagonal(self.covariance))

    @property
    def correlation(self) -> Float[Array, "k k"]:
        """Correlation between totals; NaN for a total without uncertainty."""
        return self.covariance / jnp.outer(self.sigma, self.sigma)

    def combined(self, matrix: Float[Array, "j k"]) -> "Totals":
        """M t and M C Mᵀ: sums, differences, shares and trends of totals, with all of their covariance."""
        covariance = matrix @ self.covariance @ matrix.T
        return Totals(matrix @ self.mean, 0.5 * (covariance + covariance.T))


class SkewedTotals(Totals):
    """Totals whose distribution is not symmetric: `mean` is the expectation, `median` the 50 % point.

    Args:
        median: (k,) half of the probability lies below.
        lower, upper: (k,) 2.5 % and 97.5 % points.
    """

    median: Float[Array, " k"]
    lower: Float[Array, " k"]
    upper: Float[Array, " k"]


def skewed(mean: Array, covariance: Array, draws: Float[Array, "count k"]) -> SkewedTotals:
    """Totals with the quantiles of draws."""
    lower, median, upper = jnp.quantile(draws, jnp.asarray([0.025, 0.5, 0.975]), axis=0)
    return SkewedTotals(mean, 0.5 * (covariance + covariance.T), median, lower, upper)


class AbstractPosterior(eqx.Module):
    """Posterior of a `Problem`."""

    problem: eqx.AbstractVar[Problem]
    mean: eqx.AbstractVar[Float[Array, " n"]]
    result: eqx.AbstractVar[str]

    @abc.abstractmethod
    def covariance_mv(self, v: Array) -> Array:
        """A v with A the posterior covariance; v is (n,) or (n, k)."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, count: int) -> Float[Array, "count n"]:
        """Independent draws."""

    @abc.abstractmethod
    def leverage(self) -> Float[Array, " m"]:
        """diag(H K): how many degrees of freedom each observation supplies; their sum is the DFS."""

    def aggregate(self, weights: Float[Array, "k n"]) -> Totals:
        """W x̂ and W A Wᵀ."""
        covariance = weights @ self.covariance_mv(weights.T)
        return Totals(weights @ self.mean, 0.5 * (covariance + covariance.T))

    @abc.abstractmethod
    def cost(self) -> Float[Array, ""]:
        """2 J(x̂) = rᵀ R⁻¹ r + (x̂ − x_b)ᵀ B⁻¹ (x̂ − x_b), r = y − H x̂ − b."""

    @abc.abstractmethod
    def diagonal(self) -> Float[Array, " n"]:
        """diag A: posterior variance of each unknown."""

    def variance(self, weights: Float[Array, "k n"]) -> Float[Array, " k"]:
        """diag(W A Wᵀ), without the rest."""
        return _variance(weights, self.diagonal(), self.covariance_mv)


def _variance(weights: Array, diagonal: Array, action) -> Array:
    """diag(W C Wᵀ); rows that hold one element (a scaled cell) need only diag C."""
    if bool(jnp.all(jnp.count_nonzero(weights, axis=1) <= 1)):
        return weights**2 @ diagonal
    return jnp.sum(weights.T * action(weights.T), axis=0)


def prior_variance(problem: Problem, weights: Float[Array, "k n"]) -> Float[Array, " k"]:
    """diag(W B Wᵀ)."""
    return _variance(weights, problem.B.diagonal(), problem.B.mv)


def prior_totals(problem: Problem, weights: Float[Array, "k n"]) -> Totals:
    """W x_b and W B Wᵀ."""
    covariance = weights @ problem.B.mv(weights.T)
    return Totals(weights @ problem.x_b, 0.5 * (covariance + covariance.T))


def require_success(posterior: AbstractPosterior) -> None:
    """Refuse a posterior whose solver did not end well.

    Raises:
        TanhengError: the result is not "successful".
    """
    if posterior.result != "successful":
        raise TanhengError(
            "the solver did not succeed",
            got=posterior.result,
            expected="successful",
            remedy="as the result says: more iterations, members or draws; else check units of prior and mismatch",
        )


def normal(key: PRNGKeyArray, *shape: int) -> Array:
    """White noise in the default precision."""
    return jax.random.normal(key, shape)

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.stats
from jaxtyping import Array

from inversion.covariance import Diagonal, Scaled, exponential
from inversion.hyperparameters import (
    Objective,
    _value_and_gradient,
    fit,
    negative_log_likelihood,
    totals_by_delta,
    totals_by_draws,
)
from inversion.osse import replicates
from inversion.problem import Problem
from inversion.solvers.analytic import Analytic
from tests.inversion.battery import PROBLEMS, dense
from transport.errors import TanhengError

N, M = 60, 200
NAMES = ("flux spread", "length", "mismatch a", "mismatch b")
TRUTH = np.array([1.5, 3.0, 0.7, 2.0])


class Line(eqx.Module):
    """Cells along a line, seen at two sites with their own mismatch."""

    H: Array
    y: Array
    site: Array

    def __call__(self, theta):
        at = jnp.arange(N, dtype=float)
        B = Scaled(theta[0] * jnp.ones(N), exponential(jnp.abs(at[:, None] - at), theta[1]))
        R = Diagonal(jnp.where(self.site == 0, theta[2], theta[3]))
        return Problem(lx.MatrixLinearOperator(self.H), jnp.zeros(N), B, self.y, R, jnp.zeros(M))


def line():
    rng = np.random.default_rng(0)
    centre = rng.uniform(0, N, M)
    H = np.exp(-0.5 * ((np.arange(N) - centre[:, None]) / 1.0) ** 2)
    return Line(jnp.asarray(H), jnp.zeros(M), jnp.asarray(np.arange(M) % 2))


LINE = line()


@pytest.fixture(scope="module")
def draws():
    """Truths and data of 30 repetitions."""
    return replicates(LINE(jnp.asarray(TRUTH)), jax.random.key(5), 30)


@pytest.fixture(scope="module")
def estimate(draws):
    return fit(Objective(dataclasses.replace(LINE, y=draws[1][0])), np.ones(4), NAMES)


@pytest.mark.parametrize("name", ["full 12x14", "full 14x12"])  # either space
def test_likelihood_is_the_density_of_the_data(name):
    p = PROBLEMS[name].problem
    H, B, R = dense(p)
    expected = -scipy.stats.multivariate_normal(np.zeros(len(R)), H @ B @ H.T + R).logpdf(np.asarray(p.departure()))
    assert float(negative_log_likelihood(p)) == pytest.approx(expected, rel=1e-11)


def test_gradient_against_differences(draws):
    objective = Objective(dataclasses.replace(LINE, y=draws[1][0]))
    x, step = np.log(TRUTH) + 0.1, 1e-5
    gradient = _value_and_gradient(objective, jnp.asarray(x))[1]
    values = [[float(_value_and_gradient(objective, jnp.asarray(x + s * step * e))[0]) for s in (1, -1)]
              for e in np.eye(4)]  # fmt: skip
    np.testing.assert_allclose(gradient, np.diff(values, axis=1)[:, 0] / (-2 * step), rtol=1e-6)


def test_hyper_parameters_are_recovered_within_their_uncertainty(draws):
    """30 repetitions of four parameters: errors in stated standard deviations have variance 1."""
    z = []
    for y in draws[1]:
        found = fit(Objective(dataclasses.replace(LINE, y=y)), np.ones(4), NAMES)
        assert found.result == "successful", found.result
        assert found.gradient <= 1e-5
        z.append((found.log_theta - np.log(TRUTH)) / found.log_sigma)
    z = np.array(z)
    z2 = (z**2).mean()
    inside = (np.abs(z) < 1.96).mean()
    print(f"mean z {z.mean(axis=0)}, mean z2 {z2:.2f}, inside 95 %: {inside:.3f}")
    low, high = scipy.stats.chi2.interval(0.99, z.size)
    assert low / z.size < z2 < high / z.size
    low, high = scipy.stats.binom.interval(0.999, z.size, 0.95)
    assert low / z.size <= inside <= high / z.size


def test_restricted_likelihood_frees_the_variance_of_the_trend(draws):
    """A large unknown offset: with REML it does not count as spread, without it does."""
    design = jnp.ones((N, 1))
    y = draws[1][0] + LINE.H @ (30.0 * design[:, 0])
    shifted = dataclasses.replace(LINE, y=y)
    start = TRUTH
    free = fit(Objective(shifted, design=design), start, NAMES)
    plain = fit(Objective(dataclasses.replace(LINE, y=draws[1][0]), design=design), start, NAMES)
    assert free.result == plain.result == "successful"
    np.testing.assert_allclose(free.theta, plain.theta, rtol=1e-6)
    blind = fit(Objective(shifted), start, NAMES)
    assert blind.theta[0] > 3 * free.theta[0]


def test_what_the_data_do_not_determine_is_said():
    """One mismatch given by two factors: only their product counts; a prior on each makes it a problem again."""

    class Twice(eqx.Module):
        line: Line

        def __call__(self, theta):
            return self.line(jnp.stack([jnp.asarray(1.5), jnp.asarray(3.0), theta[0] * theta[1], jnp.asarray(2.0)]))

    y = replicates(LINE(jnp.asarray(TRUTH)), jax.random.key(6), 2)[1][0]
    twice = Twice(dataclasses.replace(LINE, y=y))
    found = fit(Objective(twice), np.ones(2), ("first", "second"))
    assert found.result.startswith("not identifiable: the data say nothing about first, second")
    with pytest.raises(TanhengError, match="were not found"):
        totals_by_delta(twice, found, Analytic(), jnp.ones((1, N)))
    helped = fit(Objective(twice, None, jnp.zeros(2), jnp.ones(2)), np.ones(2), ("first", "second"))
    assert helped.result == "successful"
    assert helped.log_theta[0] == pytest.approx(float(helped.log_theta[1]), abs=1e-5)
    assert float(helped.log_sigma[0]) == pytest.approx(np.sqrt(0.5), rel=0.02)  # the difference keeps its prior


def test_totals_carry_the_uncertainty_of_theta(draws, estimate):
    """Delta method against 400 draws, and both above the uncertainty with θ fixed."""
    W = jnp.asarray(np.stack([np.arange(N) < 4, np.arange(N) >= 12]).astype(float))
    problem_of = dataclasses.replace(LINE, y=draws[1][0])
    fixed = Analytic().solve(problem_of(estimate.theta)).aggregate(W)
    delta = totals_by_delta(problem_of, estimate, Analytic("observation"), W)
    np.testing.assert_allclose(delta.mean, fixed.mean, rtol=1e-9)

    # T by differences
    def at(x):
        return np.asarray(W @ Analytic().solve(problem_of(jnp.exp(jnp.asarray(x)))).mean)

    base = np.asarray(estimate.log_theta)
    T = np.stack([(at(base + 1e-4 * e) - at(base - 1e-4 * e)) / 2e-4 for e in np.eye(4)], axis=1)
    added = T @ np.asarray(estimate.log_covariance) @ T.T
    np.testing.assert_allclose(delta.covariance - fixed.covariance, added, rtol=1e-4, atol=1e-9)
    sampled = totals_by_draws(problem_of, estimate, Analytic(), W, jax.random.key(0), 300)
    np.testing.assert_allclose(sampled.sigma, delta.sigma, rtol=0.1)
    assert (np.diagonal(added) > 0).all() and (sampled.sigma > fixed.sigma).all()


def test_a_bad_start_is_refused_or_reported(draws):
    objective = Objective(dataclasses.replace(LINE, y=draws[1][0]))
    with pytest.raises(TanhengError, match="must be positive"):
        fit(objective, np.array([1.0, -1.0, 1.0, 1.0]), NAMES)
    with pytest.raises(TanhengError, match="does not fit the hyper-parameters"):
        fit(objective, np.ones(3), NAMES)
    broken = Objective(dataclasses.replace(LINE, y=draws[1][0].at[0].set(jnp.nan)))
    assert fit(broken, np.ones(4), NAMES).result == "not finite at the start"

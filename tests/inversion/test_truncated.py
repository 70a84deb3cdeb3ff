import dataclasses

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.stats

from inversion.covariance import Diagonal
from inversion.problem import Problem
from inversion.solvers.analytic import Analytic
from inversion.solvers.truncated import Truncated, TruncatedPosterior, bounded_mode, draw_truncated
from tests.inversion.battery import PROBLEMS
from transport.errors import TanhengError


def solved(problem: Problem, **options) -> TruncatedPosterior:
    posterior = Truncated(**options).solve(problem)
    assert isinstance(posterior, TruncatedPosterior)
    return posterior


def independent(means, sigma=1.0) -> Problem:
    """Each unknown observed once: posterior N((x_b + y)/2, σ²/2) before it is cut."""
    n = len(means)
    H, s = lx.MatrixLinearOperator(jnp.eye(n)), Diagonal(np.full(n, sigma * 2**0.5))
    return Problem(H, jnp.asarray(means), s, jnp.asarray(means), s, jnp.zeros(n))


def test_independent_unknowns_against_scipy():
    """Far above the bound, at it, and two σ below: moments of the one-sided truncated normal."""
    means = np.array([5.0, 1.0, 0.0, -2.0])
    posterior = solved(independent(means), count=5000)
    exact = scipy.stats.truncnorm(-means, np.inf, loc=means)
    assert posterior.result == "successful"
    np.testing.assert_allclose((posterior.mean - exact.mean()) / posterior.mean_error, 0.0, atol=4.0)
    np.testing.assert_allclose(posterior.diagonal() ** 0.5, exact.std(), rtol=0.03)
    np.testing.assert_allclose(posterior.median, exact.median(), rtol=0.05)
    np.testing.assert_allclose(posterior.mode, np.maximum(means, 0.0), atol=1e-12)
    assert float(posterior.draws.min()) >= -1e-12
    # Hardly correlated draws far from the bound; deep in the tail reflections shorten the way, and the error knows it.
    independent_error = exact.std() / 20_000**0.5
    np.testing.assert_allclose(posterior.mean_error[:3], independent_error[:3], rtol=0.5)
    assert float(posterior.mean_error[3]) > 1.5 * independent_error[3]


def test_correlated_unknowns_against_rejection_sampling():
    p = PROBLEMS["one observation"].problem
    p = dataclasses.replace(p, x_b=jnp.abs(p.x_b) * 0.7)
    posterior, free = solved(p), Analytic().solve(p)
    draws = np.asarray(free.sample(jax.random.key(5), 400_000))
    kept = draws[(draws >= 0.0).all(axis=1)]
    assert len(kept) > 2000
    sigma = kept.std(axis=0)
    error = np.hypot(sigma / len(kept) ** 0.5, posterior.mean_error)
    np.testing.assert_allclose((posterior.mean - kept.mean(axis=0)) / error, 0.0, atol=4.0)
    np.testing.assert_allclose(
        (posterior.covariance_mv(jnp.eye(7)) - np.cov(kept.T)) / np.outer(sigma, sigma), 0, atol=0.08
    )
    totals, sums = posterior.aggregate(jnp.ones((1, 7))), kept.sum(axis=1)
    assert float(totals.mean[0]) == pytest.approx(sums.mean(), rel=0.02)
    assert float(totals.sigma[0]) == pytest.approx(sums.std(), rel=0.05)
    assert float(totals.median[0]) == pytest.approx(np.median(sums), rel=0.02)
    assert float(totals.lower[0]) > 0.0
    np.testing.assert_allclose(posterior.variance(jnp.ones((1, 7))), totals.sigma**2, rtol=1e-9)


def test_without_bounds_it_is_the_gaussian():
    p = PROBLEMS["full 12x14"].problem
    posterior, free = solved(p, lower=-np.inf), Analytic().solve(p)
    sigma = free.diagonal() ** 0.5
    np.testing.assert_allclose(posterior.mode, free.mean)
    np.testing.assert_allclose((posterior.mean - free.mean) / sigma, 0.0, atol=5 / 8000**0.5)
    np.testing.assert_allclose(posterior.leverage(), free.leverage(), atol=0.1)
    assert float(posterior.cost()) == pytest.approx(float(free.cost()), rel=1e-9)


def test_the_mode_satisfies_its_conditions_and_beats_clipping():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(30, 30))
    C, mean, lower = np.linalg.cholesky(a @ a.T / 30 + 0.1 * np.eye(30)), rng.normal(size=30), np.full(30, 0.0)
    lower[:5] = -np.inf
    mode, optimal = bounded_mode(mean, C, lower)
    precision = np.linalg.inv(C @ C.T)
    gradient, bound = precision @ (mode - mean), mode <= 1e-9
    assert optimal and bound[5:].any() and not bound[5:].all()
    np.testing.assert_allclose(gradient[(mode > lower + 1e-9)], 0.0, atol=1e-8)
    assert (gradient[np.abs(mode - lower) <= 1e-9] >= -1e-8).all()

    def cost(x):
        return (x - mean) @ precision @ (x - mean)

    assert cost(mode) < cost(np.maximum(mean, lower))


def test_a_short_run_says_so():
    p = independent(np.array([-6.0, 3.0]))
    result = solved(p, chains=2, warmup=0, count=4).result
    assert result.startswith("did not converge: R̂")


def test_draws_start_anywhere_and_stay_inside():
    C = jnp.asarray([[1.0, 0.0], [0.95, 0.3122498999]])
    draws, bounces = draw_truncated(
        jax.random.key(0), jnp.zeros(2), C, jnp.asarray([0.0, -0.5]), jnp.ones(2), 2, 50, 3000
    )
    assert float(draws[..., 0].min()) >= -1e-9 and float(draws[..., 1].min()) >= -0.5 - 1e-9
    assert 1 < int(bounces) < 1000


def test_failures():
    p = PROBLEMS["full 12x14"].problem
    with pytest.raises(TanhengError, match="bounds do not fit"):
        Truncated(lower=np.zeros(3)).solve(p)
    assert Truncated().solve(dataclasses.replace(p, y=p.y * jnp.nan)).result.startswith("not finite")

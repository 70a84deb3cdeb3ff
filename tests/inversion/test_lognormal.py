import dataclasses

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from inversion.covariance import Dense, Diagonal
from inversion.problem import Problem
from inversion.solvers.gauss_newton import GaussNewton
from inversion.solvers.lognormal import LogNormal
from tests.inversion.battery import PROBLEMS, spd
from transport.errors import TanhengError


def positive_problem(n=6, m=8, sigma=0.5, error=0.3) -> Problem:
    rng = np.random.default_rng(4)
    x_b, H = rng.uniform(0.5, 3.0, n), rng.uniform(0.0, 1.0, (m, n))
    B = Dense(sigma**2 * np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 2.0))
    truth = x_b * np.exp(np.linalg.cholesky(B.mv(jnp.eye(n))) @ rng.normal(size=n))
    y = H @ truth + error * rng.normal(size=m)
    arrays = [jnp.asarray(a) for a in (H, x_b, y)]
    return Problem(
        lx.MatrixLinearOperator(arrays[0]), arrays[1], B, arrays[2], Diagonal(np.full(m, error)), jnp.zeros(m)
    )


def test_moments_are_those_of_the_draws_and_are_named():
    posterior = LogNormal().solve(positive_problem())
    draws = np.asarray(posterior.sample(jax.random.key(1), 200_000))
    assert posterior.result == "successful" and (draws > 0.0).all()
    error = draws.std(axis=0) / 200_000**0.5
    np.testing.assert_allclose((draws.mean(axis=0) - posterior.mean) / error, 0.0, atol=4.5)
    np.testing.assert_allclose(np.median(draws, axis=0), posterior.median, rtol=0.01)
    np.testing.assert_allclose(np.cov(draws.T), posterior.covariance_mv(jnp.eye(6)), rtol=0.05, atol=0.01)
    np.testing.assert_allclose(posterior.diagonal(), jnp.diagonal(posterior.covariance_mv(jnp.eye(6))), rtol=1e-10)
    assert (np.asarray(posterior.mean) > np.asarray(posterior.median)).all()
    W = jnp.asarray([[1.0] * 6, [1.0, 1, 0, 0, 0, 0]])
    totals = posterior.aggregate(W)
    sums = draws @ np.asarray(W).T
    np.testing.assert_allclose(totals.mean, sums.mean(axis=0), rtol=5e-3)
    np.testing.assert_allclose(totals.sigma, sums.std(axis=0), rtol=0.02)
    np.testing.assert_allclose(totals.sigma**2, posterior.variance(W), rtol=1e-10)
    np.testing.assert_allclose(totals.median, np.median(sums, axis=0), rtol=0.01)
    np.testing.assert_allclose(totals.lower, np.quantile(sums, 0.025, axis=0), rtol=0.02)
    np.testing.assert_allclose(totals.upper, np.quantile(sums, 0.975, axis=0), rtol=0.02)
    assert (np.asarray(totals.lower) > 0.0).all()


def test_the_mode_is_that_of_z():
    """∂/∂z of ½ zᵀB⁻¹z + ½ |y − H x_b exp z|²/σ² vanishes, and A is the inverse Gauss–Newton Hessian."""
    p = positive_problem()
    posterior = LogNormal().solve(p)
    z = jnp.log(posterior.median / p.x_b)

    def cost(z):
        r = p.matrix @ (p.x_b * jnp.exp(z)) - p.y
        return 0.5 * (z @ p.B.solve(z) + r @ p.R.solve(r))

    assert float(jnp.linalg.norm(jax.grad(cost)(z))) <= 1e-6 * float(jnp.linalg.norm(jax.grad(cost)(0 * z)))
    J = np.asarray(p.matrix * posterior.median)
    A = np.linalg.inv(np.linalg.inv(p.B.mv(jnp.eye(6))) + J.T @ J / 0.3**2)
    np.testing.assert_allclose(posterior.log_variance, np.diagonal(A), rtol=1e-6)


def test_against_quadrature_with_strong_data():
    """One unknown, relative error 2 %: Laplace's mean and standard deviation are right to 1 %."""
    p = positive_problem(n=1, m=8, sigma=0.6, error=0.05)
    posterior = LogNormal().solve(p)
    z = np.linspace(-1.5, 1.5, 200_001)
    x = float(p.x_b[0]) * np.exp(z)
    r = np.asarray(p.y)[:, None] - np.asarray(p.matrix) * x
    log = -0.5 * z**2 / 0.36 - 0.5 * (r**2).sum(axis=0) / 0.05**2
    w = np.exp(log - log.max())
    mean = (w * x).sum() / w.sum()
    sigma = ((w * x**2).sum() / w.sum() - mean**2) ** 0.5
    assert float(posterior.mean[0]) == pytest.approx(mean, rel=2e-3)
    assert float(posterior.diagonal()[0] ** 0.5) == pytest.approx(sigma, rel=0.01)


def test_elements_that_may_be_negative_stay_gaussian():
    p = positive_problem()
    p = dataclasses.replace(
        p, x_b=p.x_b.at[4:].set(jnp.asarray([-2.0, 300.0])), B=spd(np.random.default_rng(0), 6, 0.5)
    )
    posterior = LogNormal(positive=np.arange(6) < 4).solve(p)
    assert posterior.result == "successful"
    draws = np.asarray(posterior.sample(jax.random.key(1), 200_000))
    np.testing.assert_allclose(draws.mean(axis=0), posterior.mean, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), posterior.covariance_mv(jnp.eye(6)), rtol=0.05, atol=0.02)
    np.testing.assert_allclose(posterior.mean[4:], posterior.median[4:])


def test_both_searches_find_one_mode():
    p = positive_problem()
    other = LogNormal(search=GaussNewton(method="lbfgs")).solve(p)
    np.testing.assert_allclose(other.median, LogNormal().solve(p).median, rtol=1e-6)


def test_no_observation_is_the_log_normal_prior():
    p = dataclasses.replace(PROBLEMS["no observation 6"].problem, x_b=jnp.arange(1.0, 7.0))
    posterior = LogNormal().solve(p)
    np.testing.assert_allclose(posterior.median, p.x_b)
    np.testing.assert_allclose(posterior.mean, p.x_b * jnp.exp(0.5 * p.B.diagonal()))


def test_failures():
    p = positive_problem()
    with pytest.raises(TanhengError, match="positive prior median"):
        LogNormal().solve(dataclasses.replace(p, x_b=p.x_b.at[0].set(0.0)))
    short = LogNormal(search=GaussNewton(iterations=1, tolerance=1e-12)).solve(p)
    assert short.result.startswith("did not converge")

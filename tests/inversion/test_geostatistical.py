import dataclasses

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.stats

from inversion.covariance import Dense, Diagonal, Scaled, exponential
from inversion.problem import Problem
from inversion.solvers.analytic import Analytic
from inversion.solvers.geostatistical import Geostatistical, reml
from tests.inversion.battery import PROBLEMS, dense
from transport.errors import TanhengError

RNG = np.random.default_rng(0)
X = np.c_[np.ones(14), RNG.normal(size=14)]
P = PROBLEMS["full 14x12"].problem


def augmented(p: Problem, X: np.ndarray):
    """Michalak et al. (2004), eqs. 10–14, as they stand: one dense system for weights and multipliers."""
    H, Q, R = dense(p)
    Psi, Z = H @ Q @ H.T + R, H @ X
    m, k = Z.shape
    system = np.block([[Psi, Z], [Z.T, np.zeros((k, k))]])
    both = np.linalg.solve(system, np.vstack([H @ Q, X.T]))
    weights, multipliers = both[:m].T, both[m:]
    mean = np.asarray(p.x_b) + weights @ np.asarray(p.departure())
    return mean, -X @ multipliers + Q - Q @ H.T @ weights.T


def test_flat_prior_against_the_augmented_system():
    posterior = Geostatistical(X).solve(P)
    mean, A = augmented(P, X)
    assert posterior.result == "successful"
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(14)), A, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(posterior.diagonal(), np.diagonal(A), rtol=1e-9)


def with_trend_in_b(variance: float) -> Problem:
    return dataclasses.replace(P, B=Dense(P.B.mv(jnp.eye(14)) + variance * X @ X.T))


def test_flat_prior_is_the_limit_of_a_wide_one():
    """With β ~ N(0, 10⁶) the trend can be part of B; what differs is of the order of 10⁻⁶."""
    wide = Analytic("state").solve(with_trend_in_b(1e6))
    posterior = Geostatistical(X).solve(P)
    np.testing.assert_allclose(posterior.mean, wide.mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(posterior.diagonal(), wide.diagonal(), rtol=1e-5)


def test_a_weak_prior_is_a_trend_in_b():
    posterior = Geostatistical(X, mean=np.array([1.0, -2.0]), covariance=0.5 * np.eye(2)).solve(P)
    shifted = dataclasses.replace(with_trend_in_b(0.5), x_b=P.x_b + X @ np.array([1.0, -2.0]))
    exact = Analytic().solve(shifted)
    np.testing.assert_allclose(posterior.mean, exact.mean, rtol=1e-9, atol=1e-12)
    A = exact.covariance_mv(jnp.eye(14))
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(14)), A, atol=1e-11)
    np.testing.assert_allclose(posterior.leverage(), exact.leverage(), atol=1e-10)
    assert float(posterior.cost()) == pytest.approx(float(exact.cost()), rel=1e-9)
    np.testing.assert_allclose(posterior.means(P.y[None])[0], posterior.mean, rtol=1e-10)
    draws = np.asarray(posterior.sample(jax.random.key(0), 100_000))
    np.testing.assert_allclose(np.cov(draws.T), A, atol=0.1)


def test_the_trend_is_estimated_without_bias_and_with_its_uncertainty():
    """Truths with β = (40, −7), far from zero: totals and β are recovered with mean z² = 1 over 2000 data sets."""
    posterior = Geostatistical(X).solve(P)
    beta = jnp.asarray([40.0, -7.0])
    keys = jax.random.split(jax.random.key(1))
    field = P.B.sqrt_mv(jax.random.normal(keys[0], (14, 2000)))
    truth = P.x_b[:, None] + (X @ beta)[:, None] + field
    y = P.matrix @ truth + P.b[:, None] + P.R.sqrt_mv(jax.random.normal(keys[1], (12, 2000)))
    error = (posterior.means(y.T) - truth.T).sum(axis=1)
    z2 = np.asarray(error**2) / float(posterior.aggregate(jnp.ones((1, 14))).covariance[0, 0])
    assert abs(z2.mean() - 1.0) <= 2.576 * (2 / 2000) ** 0.5
    Kd = np.linalg.solve(np.asarray(posterior.beta_covariance), np.asarray(posterior.beta - beta))
    assert np.isfinite(Kd).all()


def test_draws_of_the_flat_prior():
    posterior = Geostatistical(X).solve(P)
    draws = np.asarray(posterior.sample(jax.random.key(0), 100_000))
    A = posterior.covariance_mv(jnp.eye(14))
    np.testing.assert_allclose(np.cov(draws.T), A, atol=0.02 * float(jnp.max(A)))
    HK = np.asarray(P.matrix @ posterior.gain_mv(jnp.eye(12)))
    np.testing.assert_allclose(posterior.leverage(), np.diagonal(HK), rtol=1e-10)


@pytest.mark.parametrize(
    "design", [np.c_[X, X[:, :1]], np.random.default_rng(0).normal(size=(14, 13)), np.zeros((14, 1))]
)
def test_a_trend_that_the_data_cannot_fix_is_reported(design):
    """A covariate twice, more covariates than data, one that is zero."""
    assert Geostatistical(design).solve(P).result.startswith("not identifiable")


def test_units_of_covariates_do_not_matter():
    posterior = Geostatistical(X * np.array([1e-9, 1e12])).solve(P)
    assert posterior.result == "successful"
    np.testing.assert_allclose(posterior.mean, Geostatistical(X).solve(P).mean, rtol=1e-8)


def test_no_observation():
    none = PROBLEMS["no observation 6"].problem
    assert Geostatistical(np.ones((6, 1))).solve(none).result.startswith("not identifiable")
    posterior = Geostatistical(np.ones((6, 1)), np.array([2.0]), np.array([[9.0]])).solve(none)
    assert posterior.result == "successful"
    np.testing.assert_allclose(posterior.mean, none.x_b + 2.0)
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(6)), none.B.mv(jnp.eye(6)) + 9.0, rtol=1e-12)


def test_shapes_must_fit():
    with pytest.raises(TanhengError, match="covariates do not fit"):
        Geostatistical(X[:5]).solve(P)
    with pytest.raises(TanhengError, match="covariates do not fit"):
        Geostatistical(X, covariance=np.eye(3)).solve(P)


# --- REML -------------------------------------------------------------------------------------------------------------
def test_reml_is_the_likelihood_of_contrasts():
    """Data multiplied by a basis of the complement of Z have no trend; their density is REML up to ½ log|ZᵀZ|."""
    H, Q, R = dense(P)
    Z = H @ X
    contrasts = np.linalg.svd(Z)[0][:, 2:].T
    S = contrasts @ (H @ Q @ H.T + R) @ contrasts.T
    likelihood = scipy.stats.multivariate_normal(np.zeros(10), S).logpdf(contrasts @ np.asarray(P.departure()))
    expected = -likelihood + 0.5 * np.linalg.slogdet(Z.T @ Z)[1]
    assert float(reml(P, X)) == pytest.approx(expected, rel=1e-10)
    # Whatever the trend in the data, it drops out.
    shifted = dataclasses.replace(P, y=P.y + Z @ np.array([300.0, -50.0]))
    assert float(reml(shifted, X)) == pytest.approx(expected, rel=1e-8)


def test_reml_gradient():
    distance = np.abs(np.subtract.outer(np.arange(14.0), np.arange(14.0)))

    def objective(theta):
        sigma, length, error = jnp.exp(theta)
        Q = Scaled(sigma * jnp.ones(14), exponential(distance, length))
        H = lx.MatrixLinearOperator(P.matrix)
        return reml(Problem(H, P.x_b, Q, P.y, Diagonal(error * jnp.ones(12)), P.b), X)

    theta = jnp.asarray([0.3, 1.0, -0.5])
    gradient = jax.grad(objective)(theta)
    numerical = [(objective(theta + h) - objective(theta - h)) / 2e-5 for h in 1e-5 * jnp.eye(3)]
    np.testing.assert_allclose(gradient, numerical, rtol=1e-6, atol=1e-7)

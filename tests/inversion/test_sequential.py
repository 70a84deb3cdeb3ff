import dataclasses
import itertools

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from inversion.covariance import BlockDiagonal, Dense, Diagonal, Kronecker, ar1
from inversion.problem import Problem
from inversion.solvers.analytic import Analytic
from inversion.solvers.sequential import Sequential, SequentialPosterior
from tests.inversion.battery import PROBLEMS, spd
from transport.errors import TanhengError

STEPS, CELLS, PER = 6, 3, 4
WINDOWS = np.r_[np.repeat(np.arange(STEPS), CELLS), -1, -1]


def months(seed=0, reach=3) -> Problem:
    """Six months of three cells, AR(1) between months, two biases; observations see `reach` months."""
    rng = np.random.default_rng(seed)
    n, m = WINDOWS.size, STEPS * PER
    B = BlockDiagonal((Kronecker((ar1(STEPS, 0.8), spd(rng, CELLS))), Diagonal(np.array([0.5, 2.0]))))
    seen = np.repeat(np.arange(STEPS), PER)[:, None]
    past = seen - WINDOWS
    visible = (past >= 0) & ((past < reach) | (WINDOWS < 0))
    H = rng.normal(size=(m, n)) * visible
    vectors = [jnp.asarray(rng.normal(size=k)) for k in (n, m, m)]
    return Problem(
        lx.MatrixLinearOperator(jnp.asarray(H)), vectors[0], B, vectors[1], Diagonal(np.full(m, 0.7)), vectors[2]
    )


@pytest.mark.parametrize("reach", [1, 3, 6])
def test_a_lag_of_all_windows_is_the_one_shot_solution(reach):
    p = months(reach=reach)
    posterior, exact = Sequential(WINDOWS, lag=STEPS - 1).solve(p), Analytic().solve(p)
    assert posterior.result == "successful"
    np.testing.assert_allclose(posterior.mean, exact.mean, rtol=1e-9, atol=1e-11)
    A = exact.covariance_mv(jnp.eye(WINDOWS.size))
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(WINDOWS.size)), A, atol=1e-11)
    np.testing.assert_allclose(posterior.leverage(), exact.leverage(), atol=1e-10)


def test_a_longer_lag_is_more_precise_and_never_beats_the_one_shot_solution():
    p = months()
    total = jnp.ones((1, WINDOWS.size))
    sigma = [float(Sequential(WINDOWS, lag=lag).solve(p).aggregate(total).sigma[0]) for lag in range(STEPS)]
    assert sigma[-1] == pytest.approx(float(Analytic().solve(p).aggregate(total).sigma[0]), rel=1e-9)
    assert all(short >= long - 1e-12 for short, long in itertools.pairwise(sigma))
    assert sigma[0] > 1.01 * sigma[-1]


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_the_covariance_is_that_of_the_estimate(lag):
    """A = (I − K H) B (I − K H)ᵀ + K R Kᵀ for the gain that was really used; and K gives the mean."""
    p = months()
    posterior = Sequential(WINDOWS, lag=lag).solve(p)
    assert isinstance(posterior, SequentialPosterior)
    K, H = np.asarray(posterior.gain), np.asarray(p.matrix)
    left = np.eye(WINDOWS.size) - K @ H
    B, R = np.asarray(p.B.mv(jnp.eye(WINDOWS.size))), np.asarray(p.R.mv(jnp.eye(p.y.size)))
    np.testing.assert_allclose(posterior.covariance, left @ B @ left.T + K @ R @ K.T, atol=1e-11)
    np.testing.assert_allclose(posterior.means(p.y[None])[0], posterior.mean, rtol=1e-10)


def test_windows_out_of_order_in_the_vector():
    """Elements ordered by cell, not by time: only the numbers of the windows count."""
    p, order = months(), np.random.default_rng(1).permutation(WINDOWS.size)
    shuffled = Problem(lx.MatrixLinearOperator(p.matrix[:, order]), p.x_b[order],
                       Dense(p.B.mv(jnp.eye(order.size))[order][:, order]), p.y, p.R, p.b)  # fmt: skip
    mean = Sequential(WINDOWS[order], lag=2).solve(shuffled).mean
    np.testing.assert_allclose(mean, Sequential(WINDOWS, lag=2).solve(p).mean[order], rtol=1e-9)


def test_draws():
    posterior = Sequential(WINDOWS, lag=2).solve(months())
    draws = np.asarray(posterior.sample(jax.random.key(0), 100_000))
    np.testing.assert_allclose(np.cov(draws.T), posterior.covariance_mv(jnp.eye(WINDOWS.size)), atol=0.05)


def test_an_observation_may_not_precede_what_it_sees():
    p = months()
    early = np.zeros(p.y.size, int)
    with pytest.raises(TanhengError, match="windows of the observations do not fit"):
        Sequential(WINDOWS, lag=2, observations=early).solve(p)


def test_errors_correlated_between_windows_are_refused():
    p = months()
    R = np.eye(p.y.size)
    R[0, -1] = R[-1, 0] = 0.3
    with pytest.raises(TanhengError, match="correlated between windows"):
        Sequential(WINDOWS, lag=2).solve(dataclasses.replace(p, R=Dense(R)))
    R = np.eye(p.y.size)
    R[0, 1] = R[1, 0] = 0.3  # the same window
    assert Sequential(WINDOWS, lag=2).solve(dataclasses.replace(p, R=Dense(R))).result == "successful"


def test_windows_must_fit():
    with pytest.raises(TanhengError, match="does not fit the sequential solver"):
        Sequential(WINDOWS[:-1], lag=1).solve(months())
    with pytest.raises(TanhengError, match="out of range"):
        Sequential(WINDOWS, lag=-1)


def test_failures_are_data():
    p = months()
    assert (
        Sequential(WINDOWS, 1).solve(dataclasses.replace(p, y=p.y.at[0].set(jnp.inf))).result.startswith("not finite")
    )
    bad = Dense(np.eye(12) - 0.5 * np.ones((12, 12)))
    c = PROBLEMS["windows 12x14"]
    result = Sequential(c.windows, 2).solve(dataclasses.replace(c.problem, B=bad)).result
    assert result.startswith("not positive definite")

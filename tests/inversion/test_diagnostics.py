import dataclasses

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from inversion.covariance import Dense
from inversion.diagnostics import (
    autocorrelation,
    averaging_kernel,
    dfs_of_elements,
    diagnose,
    impact,
    innovations,
    total_gain,
    variance_without,
)
from inversion.osse import replicate
from inversion.problem import Problem
from inversion.solvers.analytic import Analytic
from inversion.solvers.lognormal import LogNormal
from tests.inversion.battery import case, dense, diagonal
from transport.errors import TanhengError

CASE = case(12, 14, 3)  # full B and R
GROUPS = np.array(["a", "b", "c"])[np.arange(14) % 3]


def gain(problem):
    H, B, R = dense(problem)
    S = H @ B @ H.T + R
    return H, B, R, S, B @ H.T @ np.linalg.inv(S)


@pytest.fixture(scope="module")
def posterior():
    return Analytic().solve(CASE.problem)


def without(problem, rows):
    """The problem from which rows are taken away."""
    keep = np.setdiff1d(np.arange(problem.y.size), rows)
    H, _, R = dense(problem)
    return Problem(lx.MatrixLinearOperator(jnp.asarray(H[keep])), problem.x_b, problem.B, problem.y[keep],
                   Dense(R[np.ix_(keep, keep)]), problem.b[keep])  # fmt: skip


def test_kernels_and_dfs_against_dense_matrices(posterior):
    H, _, _, _, K = gain(CASE.problem)
    W = jnp.asarray(CASE.weights)
    np.testing.assert_allclose(total_gain(posterior, W), W @ K, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(averaging_kernel(posterior, W), W @ K @ H, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dfs_of_elements(posterior), np.diagonal(K @ H), rtol=1e-9)
    found = diagnose(posterior)
    by_group = found.dfs_of(GROUPS)
    expected = {g: np.diagonal(H @ K)[g == GROUPS].sum() for g in "abc"}
    assert by_group == pytest.approx(expected, rel=1e-9)
    assert sum(by_group.values()) == pytest.approx(float(jnp.sum(dfs_of_elements(posterior))), rel=1e-9)


def test_impact_adds_up_and_is_the_dense_one(posterior):
    H, B, R, _, K = gain(CASE.problem)
    W = CASE.weights
    found = impact(posterior, jnp.asarray(W), GROUPS)
    d = np.asarray(CASE.problem.departure())
    for g, name in enumerate(found.groups):
        rows = name == GROUPS
        np.testing.assert_allclose(found.shift[:, g], W @ K[:, rows] @ d[rows], rtol=1e-8)
        removed = np.einsum("km,mn,kn->k", W @ K[:, rows], (H @ B)[rows], W)
        np.testing.assert_allclose(found.reduction[:, g], removed / np.einsum("ki,ij,kj->k", W, B, W), rtol=1e-8)
    np.testing.assert_allclose(found.shift.sum(axis=1), W @ (posterior.mean - CASE.problem.x_b), rtol=1e-8)
    np.testing.assert_allclose(found.reduction.sum(axis=1), found.observed, rtol=1e-8)
    np.testing.assert_allclose(found.smoothing + found.noise, found.posterior, rtol=1e-8)
    np.testing.assert_allclose(found.noise, np.diagonal(W @ K @ R @ K.T @ W.T), rtol=1e-8)


def test_left_out_values_and_groups_are_those_of_solving_again(posterior):
    found = innovations(CASE.problem)
    residual, sigma = found.left_out
    W, S = jnp.asarray(CASE.weights), gain(CASE.problem)[3]
    rest = [i for i in range(14) if i != 5]
    d = np.asarray(CASE.problem.departure())
    weights = np.linalg.solve(S[np.ix_(rest, rest)], S[rest, 5])
    assert float(residual[5]) == pytest.approx(d[5] - weights @ d[rest], rel=1e-9)
    assert float(sigma[5]) ** 2 == pytest.approx(S[5, 5] - weights @ S[rest, 5], rel=1e-9)
    less = variance_without(posterior, W, found, GROUPS)
    again = Analytic("observation").solve(without(CASE.problem, np.flatnonzero(GROUPS == "b")))
    np.testing.assert_allclose(less["b"], again.variance(W), rtol=1e-8)


def test_innovations_of_consistent_problems():
    """Whitened innovations have variance 1 and no correlation; an error in R shows in χ² (200 problems × 14)."""
    problems = [replicate(CASE.problem, key)[1] for key in jax.random.split(jax.random.key(0), 200)]
    found = innovations(CASE.problem)
    white = np.array([dataclasses.replace(found, departure=p.departure()).whitened for p in problems])
    np.testing.assert_allclose(np.cov(white.T), np.eye(14), atol=0.4)
    assert white.var() == pytest.approx(1.0, abs=4 * np.sqrt(2 / white.size))
    value, low, high = dataclasses.replace(found, departure=10.0 * problems[0].departure()).chi2()
    assert low < 1.0 < high < value
    rho, band = autocorrelation(white.ravel(), 3)
    assert np.abs(rho).max() < 2 * band
    red = np.convolve(white.ravel(), np.ones(5))
    assert autocorrelation(red, 1)[0][0] == pytest.approx(0.8, abs=0.05)


def test_one_wrong_value_is_flagged_alone():
    _, p = replicate(case(12, 14, 3, R=diagonal(14)).problem, jax.random.key(3))
    found = innovations(p)
    assert not found.outliers().any()
    wrong = dataclasses.replace(found, departure=found.departure.at[4].add(8.0 * found.left_out[1][4]))
    residual, sigma = wrong.left_out
    assert np.count_nonzero(np.abs(residual / sigma) > 3) > 1  # it spoils its neighbours
    assert wrong.outliers().tolist() == [i == 4 for i in range(14)]


def test_chi2_band_is_that_of_the_distribution(posterior):
    low, high = diagnose(posterior).chi2_band(0.95)
    assert (14 * low, 14 * high) == pytest.approx((5.629, 26.119), abs=1e-3)  # tables of χ²_14


def test_what_does_not_fit_is_refused(posterior):
    with pytest.raises(TanhengError, match="groups do not fit"):
        impact(posterior, jnp.asarray(CASE.weights), GROUPS[:3])
    with pytest.raises(TanhengError, match="no autocorrelation"):
        autocorrelation(np.ones(3), 3)
    positive = dataclasses.replace(CASE.problem, x_b=jnp.ones(12), B=diagonal(12, 0.1))
    with pytest.raises(TanhengError, match="linear in the data"):
        dfs_of_elements(LogNormal().solve(positive))

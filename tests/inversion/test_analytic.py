import dataclasses

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from inversion.covariance import Dense, Diagonal, Kronecker, Scaled, ar1
from inversion.diagnostics import diagnose
from inversion.osse import replicate
from inversion.posterior import prior_totals, prior_variance, require_success
from inversion.problem import Problem
from inversion.solvers import analytic, matrix_free
from inversion.solvers.actions import backward, forward
from inversion.solvers.analytic import Analytic, state_space
from inversion.solvers.banded import BandedRows
from inversion.solvers.matrix_free import MatrixFreePosterior, solve_matrix_free, split
from transport.errors import TanhengError
from transport.linear import adjoint_gap, materialise


def problem(n: int, m: int, seed: int = 0, rank: int | None = None) -> Problem:
    rng = np.random.default_rng(seed)

    def spd(k):
        a = rng.normal(size=(k, k))
        return Dense(a @ a.T / k + np.eye(k))

    H = rng.normal(size=(m, n))
    if rank is not None:
        H = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n))
    x_b, y = jnp.asarray(rng.normal(size=n)), jnp.asarray(rng.normal(size=m))
    return Problem(lx.MatrixLinearOperator(jnp.asarray(H)), x_b, spd(n), y, spd(m), jnp.asarray(rng.normal(size=m)))


def reference(p: Problem):
    """Augmented least squares by QR: no normal equations, no gain, nothing shared with the solver."""
    H, B, R = (np.asarray(a) for a in (p.H.as_matrix(), p.B.matrix, p.R.matrix))  # type: ignore[attr-defined]
    wb, wr = np.linalg.inv(np.linalg.cholesky(B)), np.linalg.inv(np.linalg.cholesky(R))
    stacked, right = np.vstack([wb, wr @ H]), np.r_[wb @ np.asarray(p.x_b), wr @ np.asarray(p.y - p.b)]
    q, r = np.linalg.qr(stacked)
    inverse = np.linalg.inv(r)
    return inverse @ (q.T @ right), inverse @ inverse.T


SIZES = [(5, 12, None), (12, 5, None), (7, 7, None), (1, 1, None), (6, 1, None), (1, 9, None), (8, 10, 2)]


@pytest.mark.parametrize("space", ["auto", "state", "observation"])
@pytest.mark.parametrize(("n", "m", "rank"), SIZES)
def test_mean_and_covariance_against_a_dense_reference(n, m, rank, space):
    p = problem(n, m, rank=rank)
    posterior = Analytic(space=space).solve(p)
    mean, A = reference(p)
    assert posterior.result == "successful"
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(n)), A, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(posterior.diagonal(), np.diagonal(A), rtol=1e-9)
    W = np.random.default_rng(1).normal(size=(3, n))
    totals = posterior.aggregate(jnp.asarray(W))
    np.testing.assert_allclose(totals.mean, W @ mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(totals.covariance, W @ A @ W.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(posterior.variance(jnp.asarray(W)), np.diagonal(W @ A @ W.T), rtol=1e-9)
    one_each = np.diag(np.arange(1.0, n + 1))
    np.testing.assert_allclose(
        posterior.variance(jnp.asarray(one_each)), np.arange(1.0, n + 1) ** 2 * np.diagonal(A), rtol=1e-9
    )


@pytest.mark.parametrize("space", ["state", "observation"])
def test_diagnostics_against_their_definitions(space):
    p = problem(6, 9)
    posterior = Analytic(space=space).solve(p)
    d = diagnose(posterior)
    H, B, R = (np.asarray(a) for a in (p.H.as_matrix(), p.B.matrix, p.R.matrix))  # type: ignore[attr-defined]
    K = B @ H.T @ np.linalg.inv(H @ B @ H.T + R)
    np.testing.assert_allclose(d.leverage, np.diagonal(H @ K), rtol=1e-9)
    assert d.dfs == pytest.approx(np.trace(K @ H), rel=1e-9)
    r, dx = np.asarray(p.y - p.b - p.H.mv(posterior.mean)), np.asarray(posterior.mean - p.x_b)
    assert d.chi2 == pytest.approx((r @ np.linalg.solve(R, r) + dx @ np.linalg.solve(B, dx)) / 9, rel=1e-9)


@pytest.mark.parametrize("space", ["state", "observation"])
def test_draws_have_the_posterior_covariance(space):
    p = problem(4, 6)
    posterior = Analytic(space=space).solve(p)
    draws = np.asarray(posterior.sample(jax.random.key(0), 200_000))
    mean, A = reference(p)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(draws.T), A, atol=0.01)


def test_prior_totals():
    p = problem(5, 3)
    W = jnp.asarray(np.random.default_rng(2).normal(size=(2, 5)))
    totals = prior_totals(p, W)
    np.testing.assert_allclose(totals.covariance, W @ p.B.matrix @ W.T, rtol=1e-12)  # type: ignore[attr-defined]
    np.testing.assert_allclose(prior_variance(p, W), totals.sigma**2, rtol=1e-12)


def test_calibration_over_many_problems():
    """Truth from the prior, data from the likelihood: z² of a total has mean 1 (400 draws: ± 0.07)."""
    p, W = problem(6, 5), jnp.ones((1, 6))
    z2 = []
    for key in jax.random.split(jax.random.key(7), 400):
        x, replica = replicate(p, key)
        total = Analytic().solve(replica).aggregate(W)
        z2.append(float(((total.mean - W @ x) ** 2 / total.covariance[0, 0])[0]))
    assert 0.85 <= np.mean(z2) <= 1.15


def test_a_covariance_that_is_not_definite_is_reported():
    p = problem(4, 6)
    bad = Problem(p.H, p.x_b, Dense(np.eye(4) - 0.5 * np.ones((4, 4))), p.y, p.R, p.b)
    posterior = Analytic(space="state").solve(bad)
    assert posterior.result == "not positive definite"
    with pytest.raises(TanhengError, match="did not succeed"):
        require_success(posterior)


def test_sizes_must_fit():
    p = problem(4, 6)
    with pytest.raises(TanhengError, match="R does not fit"):
        Problem(p.H, p.x_b, p.B, p.y, Diagonal(np.ones(5)), p.b)
    with pytest.raises(TanhengError, match="b does not fit"):
        Problem(p.H, p.x_b, p.B, p.y, p.R, p.b[:2])
    with pytest.raises(TanhengError, match="H does not fit"):
        Problem(p.H, p.x_b[:3], p.B, p.y, p.R, p.b)


def test_an_unknown_space_is_refused():
    with pytest.raises(TanhengError, match="unknown solver"):
        Analytic(space="phase")


def test_lost_digits_are_reported():
    """Two unknowns with priors a million times wider: S loses its digits, the state space keeps them."""
    p = problem(12, 15)
    wide = dataclasses.replace(p, B=Diagonal(np.r_[np.ones(10), np.full(2, 1e6)]), R=Diagonal(np.full(15, 0.1)))
    assert Analytic(space="observation").solve(wide).result.startswith("ill-conditioned")
    assert Analytic(space="state").solve(wide).result == "successful"


def test_many_data_vectors_with_one_factorisation():
    for n, m in ((5, 8), (8, 5)):
        p = problem(n, m)
        ys = jnp.asarray(np.random.default_rng(5).normal(size=(3, m)))
        means, posterior = Analytic().solve_many(p, ys)
        for mean, y in zip(means, ys, strict=True):
            np.testing.assert_allclose(mean, reference(dataclasses.replace(p, y=y))[0], rtol=1e-9)
        np.testing.assert_allclose(posterior.means(p.y[None])[0], posterior.mean, rtol=1e-12)


def test_many_problems_under_vmap():
    p = problem(4, 6)
    ys = jnp.asarray(np.random.default_rng(5).normal(size=(3, 6)))
    means = jax.vmap(lambda y: state_space(dataclasses.replace(p, y=y))[0])(ys)
    np.testing.assert_allclose(means, Analytic().solve_many(p, ys)[0], rtol=1e-10)


@pytest.mark.parametrize("space", ["auto", "state", "observation"])
def test_without_observations_the_posterior_is_the_prior(space):
    p = problem(4, 6)
    none = Problem(lx.MatrixLinearOperator(jnp.zeros((0, 4))), p.x_b, p.B, jnp.zeros(0), Diagonal([]), jnp.zeros(0))
    posterior = Analytic(space).solve(none)
    assert posterior.result == "successful" and float(posterior.cost()) == 0.0 and posterior.leverage().shape == (0,)
    np.testing.assert_array_equal(posterior.mean, p.x_b)
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(4)), p.B.mv(jnp.eye(4)))
    np.testing.assert_allclose(np.cov(posterior.sample(jax.random.key(0), 100_000).T), p.B.mv(jnp.eye(4)), atol=0.05)


def test_an_observation_that_is_not_finite_is_reported():
    p = problem(4, 6)
    broken = dataclasses.replace(p, y=p.y.at[2].set(jnp.nan))
    assert Analytic().solve(broken).result.startswith("not finite")
    assert solve_matrix_free(broken).result.startswith("not finite")


# --- without matrices -------------------------------------------------------------------------------------------------
def local_problem(days=6, cells=4, m=12, width=2, scaled=True) -> Problem:
    """Rows that see two days of four cells; a Kronecker prior."""
    rng = np.random.default_rng(0)
    d = np.abs(np.subtract.outer(*(rng.uniform(size=cells),) * 2))
    B = Kronecker((ar1(days, 0.7), Dense(np.exp(-d / 0.4))))
    B = Scaled(rng.uniform(0.5, 2.0, days * cells), B) if scaled else B
    starts = np.sort(rng.integers(0, days - width + 1, m)) * cells
    H = BandedRows.of_rows(rng.normal(size=(m, width * cells)), starts, days * cells, group=3)
    n = days * cells
    vectors = [jnp.asarray(rng.normal(size=k)) for k in (n, m, m)]
    return Problem(H, vectors[0], B, vectors[1], Diagonal(rng.uniform(0.5, 2.0, m)), vectors[2])


def test_banded_rows_are_their_matrix():
    rng = np.random.default_rng(1)
    rows, starts = rng.normal(size=(4, 3)), np.array([0, 2, 3, 6])  # blocks overlap
    H = BandedRows.of_rows(rows, starts, 10, group=2)
    matrix = np.zeros((4, 10))
    for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
        matrix[i, start : start + 3] = row
    np.testing.assert_allclose(materialise(H), matrix)
    np.testing.assert_allclose(forward(H, jnp.eye(10)), matrix)
    np.testing.assert_allclose(backward(H, jnp.eye(4)), matrix.T)
    assert adjoint_gap(H) < 1e-14


def test_banded_rows_must_fit():
    with pytest.raises(TanhengError, match="do not fit the control vector"):
        BandedRows(np.ones((2, 1, 4)), np.array([0, 7]), 10)
    with pytest.raises(TanhengError, match="cannot be grouped"):
        BandedRows.of_rows(np.ones((3, 2)), np.zeros(3, int), 10, group=2)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("whole_days", [True, False])
def test_matrix_free_is_the_dense_solution(scaled, whole_days, monkeypatch):
    """Also where stretches cut days in two, so that the space factor cannot be folded into the rows."""
    p = local_problem(scaled=scaled)
    H = p.H
    assert isinstance(H, BandedRows)
    if not whole_days:
        p = dataclasses.replace(p, H=BandedRows(H.values, np.minimum(np.asarray(H.starts) + 1, 24 - 16), 24))
    assert (split(p).first is not p.H) == whole_days
    monkeypatch.setattr(matrix_free, "BATCH_NUMBERS", 24 * 5)  # batches of five, the last one overlapping
    posterior = solve_matrix_free(p)
    exact = Analytic("state").solve(p)  # makes the matrix itself
    assert posterior.result == exact.result == "successful"
    np.testing.assert_allclose(posterior.mean, exact.mean, rtol=1e-9, atol=1e-12)
    A = exact.covariance_mv(jnp.eye(24))
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(24)), A, atol=1e-11)
    np.testing.assert_allclose(posterior.diagonal(), jnp.diagonal(A), rtol=1e-9)
    np.testing.assert_allclose(posterior.variance(jnp.eye(24)), jnp.diagonal(A), rtol=1e-9)
    np.testing.assert_allclose(posterior.leverage(), exact.leverage(), atol=1e-10)
    assert float(posterior.cost()) == pytest.approx(float(exact.cost()), rel=1e-9)
    W = np.random.default_rng(1).normal(size=(2, 24))
    np.testing.assert_allclose(posterior.aggregate(jnp.asarray(W)).covariance, W @ A @ W.T, rtol=1e-9)
    draws = np.asarray(posterior.sample(jax.random.key(0), 50_000))
    np.testing.assert_allclose(np.cov(draws.T), A, atol=0.1)


def test_large_operators_are_not_made_matrices(monkeypatch):
    p = local_problem()
    monkeypatch.setattr(analytic, "DENSE_LIMIT", 200)
    assert isinstance(Analytic().solve(p), MatrixFreePosterior)
    with pytest.raises(TanhengError, match="would not fit as a dense matrix"):
        Analytic("state").solve(p)
    monkeypatch.setattr(matrix_free, "OBSERVATION_LIMIT", 10)
    with pytest.raises(TanhengError, match="too many observations"):
        Analytic().solve(p)

import dataclasses

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from inversion.covariance import Dense, Diagonal
from inversion.posterior import require_success
from inversion.problem import Problem
from inversion.solvers.eigenpairs import Whitened, lanczos
from inversion.solvers.gauss_newton import Tangent
from inversion.solvers.variational import Variational, VariationalPosterior
from tests.inversion.battery import PROBLEMS, dense, disagreement, reference
from transport.errors import TanhengError


def solved(name: str, **options) -> VariationalPosterior:
    posterior = Variational(**options).solve(PROBLEMS[name].problem)
    assert isinstance(posterior, VariationalPosterior)
    return posterior


@pytest.mark.parametrize("name", ["full 12x14", "strong data", "rank 2 of 12x14", "rank 0 of 12x14", "one observation"])
def test_randomised_pairs_agree_with_the_reference(name):
    posterior = solved(name, method="randomised")
    assert posterior.complete and posterior.result == "successful"
    assert max(disagreement(posterior, PROBLEMS[name])) <= 1e-8


def test_pairs_are_the_eigenpairs_of_the_information():
    H, B, R = dense(PROBLEMS["full 12x14"].problem)
    L = np.linalg.cholesky(B)
    M = L.T @ H.T @ np.linalg.solve(R, H @ L)
    for method in ("lanczos", "randomised"):
        pairs = solved("full 12x14", method=method).pairs
        np.testing.assert_allclose(np.sort(pairs.values), np.linalg.eigvalsh(M), rtol=1e-9)
        V = np.asarray(pairs.vectors)
        np.testing.assert_allclose(V.T @ np.diag(pairs.values) @ V, M, rtol=1e-8, atol=1e-9 * M.max())
        np.testing.assert_allclose(V @ V.T, np.eye(12), atol=1e-12)


def test_equal_eigenvalues_need_new_starting_vectors():
    """From one vector a Krylov space of the identity has one dimension; all twelve must be found."""
    posterior = solved("equal eigenvalues")
    assert posterior.complete
    np.testing.assert_allclose(posterior.pairs.values, np.ones(12), rtol=1e-12)
    assert posterior.dfs() == pytest.approx((6.0, 0.0), rel=1e-12)


def test_what_the_pairs_leave_out_is_estimated():
    p = PROBLEMS["full 60x80"].problem
    H, B, R = dense(p)
    total = np.trace(np.linalg.solve(R, H @ B @ H.T))
    pairs, complete = lanczos(
        Whitened(p), jnp.ones(60), jax.random.key(1), steps=20, tolerance=0.0, pairs=20, trace=1e-12
    )
    left = total - float(jnp.sum(pairs.values))
    assert not complete
    assert left > 0.1 * total * 1e-3
    assert abs(float(pairs.uncaptured) - left) <= 4 * float(pairs.uncaptured_error)


@pytest.fixture(scope="module")
def incomplete():
    """Mean found, twelve pairs of sixty: everything else is solved for on demand."""
    posterior = solved("full 60x80", method="randomised", pairs=12, oversampling=4, iterations=400)
    assert posterior.result == "successful" and not posterior.complete
    return posterior


def test_incomplete_pairs_still_give_the_exact_covariance(incomplete):
    c = PROBLEMS["full 60x80"]
    assert max(disagreement(incomplete, c)) <= 1e-8
    _, A = reference(c.problem)
    np.testing.assert_allclose(incomplete.diagonal(), np.diagonal(A), rtol=1e-8)
    np.testing.assert_allclose(incomplete.variance(jnp.asarray(c.weights)) ** 0.5,
                               incomplete.aggregate(jnp.asarray(c.weights)).sigma, rtol=1e-8)  # fmt: skip
    H, _, R = dense(c.problem)
    np.testing.assert_allclose(incomplete.leverage(), np.diagonal(H @ A @ H.T @ np.linalg.inv(R)), rtol=1e-7)


def test_degrees_of_freedom_with_their_error(incomplete):
    H, _, R = dense(PROBLEMS["full 60x80"].problem)
    _, A = reference(PROBLEMS["full 60x80"].problem)
    exact = np.trace(np.linalg.solve(R, H @ A @ H.T))
    value, error = incomplete.dfs(jax.random.key(1))
    assert 0.0 < error < 2.0
    assert abs(value - exact) <= 3 * error
    assert solved("full 60x80").dfs() == (pytest.approx(exact, rel=1e-9), 0.0)


def test_draws_with_incomplete_pairs(incomplete):
    _, A = reference(PROBLEMS["full 60x80"].problem)
    draws = np.asarray(incomplete.sample(jax.random.key(0), 4000))
    scale = np.sqrt(np.outer(np.diagonal(A), np.diagonal(A)))
    np.testing.assert_allclose((np.cov(draws.T) - A) / scale, 0.0, atol=5 * (2 / 4000) ** 0.5)


def test_few_pairs_stop_early_and_a_covariance_out_of_reach_is_an_error():
    posterior = solved("full 60x80", pairs=1, tolerance=1e-3)
    assert posterior.result == "successful" and posterior.pairs.steps < 60
    stuck = dataclasses.replace(posterior, steps=1, tolerance=1e-12)
    with pytest.raises(TanhengError, match="posterior covariance did not converge"):
        stuck.covariance_mv(jnp.ones(60))


def test_h_as_an_operator():
    p = PROBLEMS["full 12x14"].problem
    operator = dataclasses.replace(p, H=Tangent(p.matrix.__matmul__, p.x_b))
    assert not isinstance(operator.H, lx.MatrixLinearOperator)
    assert max(disagreement(Variational().solve(operator), PROBLEMS["full 12x14"])) <= 1e-8


@pytest.mark.parametrize("what", ["y", "B"])
def test_failures_are_data(what):
    p = PROBLEMS["full 12x14"].problem
    if what == "y":
        p = dataclasses.replace(p, y=p.y.at[0].set(jnp.nan))
    else:
        p = dataclasses.replace(p, B=Dense(np.eye(12) - 0.5 * np.ones((12, 12))))
    posterior = Variational().solve(p)
    assert posterior.result.startswith("not finite")
    with pytest.raises(TanhengError, match="did not succeed"):
        require_success(posterior)


@pytest.mark.parametrize("options", [{"method": "steepest"}, {"tolerance": 0.0}, {"iterations": 0}])
def test_options_out_of_range(options):
    with pytest.raises(TanhengError):
        Variational(**options)


def test_iterations_are_those_of_conjugate_gradients():
    """Three distinct eigenvalues: three steps to the mean, whatever the size."""
    values = np.repeat([1.0, 10.0, 100.0], 20)
    one = Diagonal(np.ones(60))
    p = Problem(lx.MatrixLinearOperator(jnp.diag(jnp.asarray(np.sqrt(values)))), jnp.zeros(60), one,
                jnp.asarray(np.random.default_rng(0).normal(size=60)), one, jnp.zeros(60))  # fmt: skip
    posterior = Variational(pairs=1).solve(p)
    assert isinstance(posterior, VariationalPosterior)
    assert posterior.result == "successful" and int(posterior.pairs.steps) == 3

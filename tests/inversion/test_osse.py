import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inversion import osse
from inversion.covariance import Scaled
from inversion.osse import experiment, replicates
from inversion.posterior import AbstractPosterior
from inversion.solvers import AbstractSolver
from inversion.solvers.analytic import Analytic
from tests.inversion.battery import case, dense
from transport.errors import TanhengError

CASE = case(12, 14, 5)
W = jnp.asarray(CASE.weights)


def test_replicates_have_the_statistics_of_their_problem():
    truths, ys = replicates(CASE.problem, jax.random.key(0), 40_000)
    H, B, R = dense(CASE.problem)
    S = H @ B @ H.T + R
    np.testing.assert_allclose(np.cov(truths.T), B, atol=0.05 * B.max())
    np.testing.assert_allclose(np.cov(ys.T), S, atol=0.05 * S.max())
    np.testing.assert_allclose(ys.mean(axis=0), CASE.problem.modelled(CASE.problem.x_b), atol=0.03 * np.sqrt(S.max()))
    errors = ys - CASE.problem.b - truths @ H.T
    np.testing.assert_allclose(np.cov(errors.T), R, atol=0.05 * R.max())


def test_a_true_prior_gives_a_true_uncertainty(monkeypatch):
    monkeypatch.setattr(osse, "BATCH_NUMBERS", 26 * 1000)  # batches of 1000, the last one smaller
    done = []
    found = experiment(CASE.problem, Analytic(), W, jax.random.key(2), 3500, progress=lambda *a: done.append(a))
    assert done[-1] == (3500, 3500) and len(done) == 4 and found.truth.shape == (3500, 4)
    assert len(np.unique(np.asarray(found.truth)[:, 0])) == 3500  # batches are not each other's copies
    table = found.summary()
    assert np.abs(table["bias"] / table["bias_error"]).max() < 3.5
    np.testing.assert_allclose(table["z2"], 1.0, atol=4 * np.sqrt(2 / 3500))
    np.testing.assert_allclose(table["rmse"], table["sigma"], rtol=0.06)
    for name, level in (("coverage_68", 0.6827), ("coverage_95", 0.95)):
        low, high = found.coverage_band(level, 0.999)
        assert (low <= table[name]).all() and (table[name] <= high).all()
    assert (table["rmse"] < table["rmse_prior"]).all()


def test_a_wrong_prior_shows():
    """Truth spread twice as wide as assumed, about another mean: bias and z² as computed densely."""
    p = CASE.problem
    nature = dataclasses.replace(p, B=Scaled(2.0, p.B), x_b=p.x_b + 1.0)
    found = experiment(p, Analytic(), W, jax.random.key(2), 4000, nature)
    H, B, R = dense(p)
    K = B @ H.T @ np.linalg.inv(H @ B @ H.T + R)
    unseen = np.eye(12) - K @ H
    expected = -np.asarray(W) @ unseen @ np.ones(12)
    table = found.summary()
    assert (np.abs(table["bias"] - expected) < 4 * table["bias_error"]).all()
    spread = 4.0 * unseen @ B @ unseen.T + K @ R @ K.T
    np.testing.assert_allclose(np.var(found.estimate - found.truth, axis=0), np.diagonal(W @ spread @ W.T), rtol=0.1)
    assert table["z2"].max() > 1.2 and table["coverage_95"].min() < 0.94


class Fussy(AbstractSolver):
    """Not Gaussian to the experiment; fails where the first value is negative."""

    def solve(self, problem):
        found = Analytic().solve(problem)
        return Wrapped(problem, found.mean, "successful" if problem.y[0] > 0 else "did not converge", found)


class Wrapped(AbstractPosterior):
    problem: object
    mean: object
    result: str
    inner: object

    def covariance_mv(self, v):
        return self.inner.covariance_mv(v)

    def sample(self, key, count):
        return self.inner.sample(key, count)

    def leverage(self):
        return self.inner.leverage()

    def cost(self):
        return self.inner.cost()

    def diagonal(self):
        return self.inner.diagonal()


def test_failures_are_counted_and_others_are_the_same():
    found = experiment(CASE.problem, Fussy(), W, jax.random.key(1), 12)
    whole = experiment(CASE.problem, Analytic(), W, jax.random.key(1), 12)
    good = np.asarray(replicates(CASE.problem, jax.random.fold_in(jax.random.key(1), 0), 12)[1][:, 0] > 0)
    assert found.failed == (~good).sum() > 0
    np.testing.assert_allclose(found.estimate, whole.estimate[good], rtol=1e-9)
    np.testing.assert_allclose(found.truth, whole.truth[good], rtol=1e-12)


def test_what_does_not_fit_is_refused():
    with pytest.raises(TanhengError, match="differ in size"):
        experiment(CASE.problem, Analytic(), W, jax.random.key(1), 5, case(14, 12, 5).problem)
    with pytest.raises(TanhengError, match="needs replicates"):
        experiment(CASE.problem, Analytic(), W, jax.random.key(1), 1)

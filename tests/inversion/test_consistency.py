import dataclasses

import jax
import numpy as np
import pytest
import scipy.stats

from inversion.consistency import cross_validate, desroziers, time_blocks
from inversion.covariance import Scaled
from inversion.diagnostics import innovations
from inversion.osse import replicate
from inversion.solvers.analytic import Analytic
from tests.inversion.battery import case, chain, dense, diagonal
from transport.errors import TanhengError

CASE = case(12, 14, 3)
GROUPS = np.array(["a", "b", "c"])[np.arange(14) % 3]


def test_left_out_groups_against_conditional_gaussians():
    H, B, R = dense(CASE.problem)
    S, d = H @ B @ H.T + R, np.asarray(CASE.problem.departure())
    found = cross_validate(innovations(CASE.problem), GROUPS)
    for g, name in enumerate(found.groups):
        rows, rest = np.flatnonzero(name == GROUPS), np.flatnonzero(name != GROUPS)
        weights = S[np.ix_(rows, rest)] @ np.linalg.inv(S[np.ix_(rest, rest)])
        mean, cov = weights @ d[rest], S[np.ix_(rows, rows)] - weights @ S[np.ix_(rest, rows)]
        np.testing.assert_allclose(found.residual[rows], d[rows] - mean, rtol=1e-8)
        np.testing.assert_allclose(found.sigma[rows] ** 2, np.diagonal(cov), rtol=1e-8)
        expected = scipy.stats.multivariate_normal(mean, 0.5 * (cov + cov.T)).logpdf(d[rows])
        assert found.log_density[g] == pytest.approx(expected, rel=1e-8)
        misfit = (d[rows] - mean) @ np.linalg.solve(cov, d[rows] - mean)
        assert found.chi2[g] == pytest.approx(misfit / rows.size, rel=1e-8)
    assert found.skill == pytest.approx(1 - np.sum(found.residual**2) / np.sum(d**2))


def test_cross_validation_tells_a_wrong_mismatch():
    p = case(20, 80, 4, B=chain(20, 3.0), R=diagonal(80)).problem
    _, p = replicate(p, jax.random.key(0))
    groups = np.arange(80) % 4
    right = cross_validate(innovations(p), groups)
    wrong = cross_validate(innovations(dataclasses.replace(p, R=Scaled(0.3, p.R))), groups)
    low, high = right.band(0.999)
    assert ((low < right.chi2) & (right.chi2 < high)).all() and (wrong.chi2 > high).all()
    assert right.log_density.sum() > wrong.log_density.sum()


def test_desroziers_finds_mismatch_by_group_and_the_prior():
    """Factors 2 and 0.5 on groups of 300 observations, 1.5 on a prior of 60 elements: within four standard errors."""
    n, m = 60, 600
    groups = np.repeat(["noisy", "quiet"], m // 2)
    p = case(n, m, 6, B=chain(n, 2.0), R=diagonal(m), scale=0.3).problem
    factor = np.where(groups == "noisy", 2.0, 0.5)
    _, truth = replicate(dataclasses.replace(p, R=Scaled(factor, p.R), B=Scaled(1.5, p.B)), jax.random.key(1))
    found = desroziers(dataclasses.replace(p, y=truth.y), groups, Analytic())
    assert found.result == "successful"
    print(found.groups, found.mismatch, found.prior, found.iterations)
    np.testing.assert_allclose(found.mismatch, [2.0, 0.5], rtol=4 / np.sqrt(2 * 270))
    assert found.prior == pytest.approx(1.5, rel=4 / np.sqrt(2 * 55))
    # At the fixed point the diagnostics agree, by their definitions.
    posterior = Analytic().solve(found.problem)
    d = found.problem.departure()
    after = found.problem.y - found.problem.modelled(posterior.mean)
    ratio = np.asarray(after * d / found.problem.R.diagonal())
    assert ratio[:300].mean() == pytest.approx(1.0, abs=1e-5) and ratio[300:].mean() == pytest.approx(1.0, abs=1e-5)
    change = posterior.mean - found.problem.x_b
    assert float(change @ found.problem.B.solve(change) / posterior.leverage().sum()) == pytest.approx(1.0, abs=1e-5)


def test_desroziers_says_when_it_has_not_ended():
    assert desroziers(CASE.problem, GROUPS, Analytic(), iterations=1).result == "did not converge"
    exact = dataclasses.replace(CASE.problem, y=CASE.problem.modelled(CASE.problem.x_b))
    assert desroziers(exact, GROUPS, Analytic()).result.startswith("not identifiable")
    with pytest.raises(TanhengError, match="groups do not fit"):
        desroziers(CASE.problem, GROUPS[1:], Analytic())


def test_time_blocks():
    times = np.datetime64("2014-03-01T05") + np.arange(0, 96, 12).astype("timedelta64[h]")
    assert time_blocks(times, 2).tolist() == ["2014-03-01"] * 4 + ["2014-03-03"] * 4
    sites = np.array(["MHD", "TAC"] * 4)
    assert time_blocks(times, 2, sites)[[0, 1, 7]].tolist() == ["MHD 2014-03-01", "TAC 2014-03-01", "TAC 2014-03-03"]

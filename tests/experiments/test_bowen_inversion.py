"""The inversion of one overpass: its H against forward runs, its total against dense algebra, and its honesty."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.cases.bowen_basin import forward, inverse
from experiments.outcome import evaluate
from inversion.solvers.analytic import Analytic
from transport.errors import TanhengError

SHORT = ("experiment=bowen_basin", "meteorology.end=2022-12-07T05:00")


@pytest.fixture(scope="module")
def setup(bowen_basin, compose):
    return inverse.assemble(compose(*SHORT))


def test_the_columns_of_H_are_forward_runs(setup, bowen_basin, compose):
    """Every scaling at one is the prior's run of `task=simulate` with the same scheme, sounding by sounding."""
    run = forward.assemble(compose(*SHORT, "task=simulate"))
    assert run.soundings is not None
    modelled = np.asarray(run.soundings.seen(run.transport.mv(run.sources)))
    np.testing.assert_allclose(np.asarray(setup.problem.modelled(setup.problem.x_b)), modelled, rtol=1e-9)


def test_the_total_against_dense_algebra(setup):
    p, w = setup.problem, np.asarray(setup.totals.weights)
    H, B, R = np.asarray(p.matrix), np.asarray(p.B.mv(jnp.eye(p.x_b.size))), np.asarray(p.R.mv(jnp.eye(p.y.size)))
    d = np.asarray(p.departure())
    gain = B @ H.T @ np.linalg.inv(H @ B @ H.T + R)
    outcome = evaluate(setup, Analytic().solve(p), "analytic")
    first = outcome.totals[0]
    assert first.prior == pytest.approx(17.22, abs=0.01)  # what the file holds as fugitive
    assert first.posterior == pytest.approx(float(w[0] @ (np.asarray(p.x_b) + gain @ d)), rel=1e-8)
    P = B - gain @ H @ B
    assert first.u_posterior == pytest.approx(float(np.sqrt(w[0] @ P @ w[0])), rel=1e-8)
    assert outcome.block_dfs is not None
    assert outcome.block_dfs["coal field"] == pytest.approx(np.trace((gain @ H)[:11, :11]), rel=1e-8)


def test_R_is_correlated_between_neighbours(setup):
    o, R = setup.observations, np.asarray(setup.problem.R.mv(jnp.eye(165)))
    d = 6371.0 * np.arccos(
        np.clip(
            np.sin(np.deg2rad(o.lat[0])) * np.sin(np.deg2rad(o.lat[5]))
            + np.cos(np.deg2rad(o.lat[0])) * np.cos(np.deg2rad(o.lat[5])) * np.cos(np.deg2rad(o.lon[0] - o.lon[5])),
            -1, 1,
        )
    )  # fmt: skip
    assert R[0, 5] == pytest.approx(4.5**2 * np.exp(-d / 10.0), rel=1e-6)
    assert R[0, 0] == pytest.approx(4.5**2 + 1.5**2)


@pytest.mark.nightly
def test_the_mismatch_is_the_most_probable(setup):
    """Marginal likelihood of the departures over (own error, correlated error, length): flat to 2 about our choice."""
    from scipy.optimize import minimize

    p, o = setup.problem, setup.observations
    H, B, d = np.asarray(p.matrix), np.asarray(p.B.mv(jnp.eye(p.x_b.size))), np.asarray(p.departure())
    x, y = (o.lon - o.lon.mean()) * 111.2 * np.cos(np.deg2rad(23.2)), (o.lat - o.lat.mean()) * 111.2
    distance = np.hypot(x[:, None] - x, y[:, None] - y)

    def cost(t):
        own, common, length = np.exp(t)
        S = H @ B @ H.T + own**2 * np.eye(len(d)) + common**2 * np.exp(-distance / length)
        L = np.linalg.cholesky(S)
        return 0.5 * np.sum(np.linalg.solve(L, d) ** 2) + np.log(np.diag(L)).sum()

    best = minimize(cost, np.log([2.0, 4.0, 15.0]), method="Nelder-Mead", options={"maxiter": 2000})
    print("own, correlated, length:", np.exp(best.x), best.fun, "chosen:", cost(np.log([1.5, 4.5, 10.0])))
    assert cost(np.log([1.5, 4.5, 10.0])) - best.fun < 4.0


def test_a_limited_scheme_has_no_transpose(bowen_basin, compose):
    with pytest.raises(TanhengError, match="has no transpose"):
        inverse.assemble(compose(*SHORT, "transport.scheme=ppm_limited"))


def test_the_command_is_honest(bowen_basin, command, tmp_path):
    code, _, errors = command(*SHORT, "hydra.run.dir=out", "products.figures=false")
    assert code == 0, errors
    assert "coal field" in errors and "DFS" in errors
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert {b["name"]: b["n"] for b in summary["blocks"]}["coal field"] == 11
    assert 0.0 < next(b["dfs"] for b in summary["blocks"] if b["name"] == "coal field") < 4.0
    steps = [s["what"] for s in summary["observations"]["steps"]]
    assert any("a-priori profile of 165 columns substituted: the inflow" in s for s in steps)
    report = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "a-priori profile" in report and "One overpass" in report and "retrieval bias" in report

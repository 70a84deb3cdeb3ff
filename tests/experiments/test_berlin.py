"""Berlin under a synthetic CO2M: the operator against the satellite's own tracers, the known emission, coverage."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

from experiments.cases import berlin as case
from experiments.outcome import evaluate
from experiments.products.soundings import draw_soundings
from inversion.solvers.analytic import Analytic
from transport.errors import TanhengError


@pytest.fixture(scope="module")
def setup(smartcarb, compose):
    return case.assemble(compose("experiment=berlin"))


@pytest.fixture(scope="module")
def near(smartcarb, compose):
    """A smaller circle, for many solutions."""
    return case.assemble(compose("experiment=berlin", "observations.radius_km=50"))


def test_the_truth_is_that_of_the_table(setup):
    """Hours 6, 7, 8 of 23 April, read by eye from the table: 18.87, 22.00 and 23.50 Mt/yr … see the file's lines."""
    with open(case.SMARTCARB.fetch(case.EMISSIONS), encoding="utf-8") as file:
        rows = [line.split("\t") for line in file]
    day = {r[0]: float(r[1]) for r in rows if r[0].startswith(("2015-04-22", "2015-04-23"))}
    window = [day[f"2015-04-23 {h:02d}:00:00"] for h in (6, 7, 8)]
    assert setup.truth[2] == pytest.approx(np.mean(window))
    nine, ten, eleven = (day[f"2015-04-23 {h:02d}:00:00"] for h in (9, 10, 11))
    assert setup.truth[3] == pytest.approx((nine + ten + 0.2 * eleven) / 2.2)
    assert setup.truth[7] == pytest.approx(np.mean([day[f"2015-04-22 {h}:00:00"] for h in (21, 22, 23)]))


def test_the_windows_add_up_to_the_satellites_own_tracer(setup):
    """Σ_k T_k, averaged over pixels here, is XCO2_BV, which SMARTCARB put onto the same pixels."""
    T = np.asarray(setup.problem.matrix)[:, :8] * setup.truth[:8]
    own = setup.observations.extra["XCO2_BV"]
    difference = T.sum(axis=1) - own
    assert own.max() > 0.9
    assert np.abs(difference).max() < 0.07 and difference.std() < 0.004


def test_the_pixels_are_those_of_the_file(setup):
    """Value, noise and place of one pixel by hand: the noise is the drawn one of the seed."""
    o = setup.observations
    with h5py.File(case.SMARTCARB.fetch(case.SWATH)) as file:
        lat, lon = (np.asarray(file[n], float) for n in ("latitude", "longitude"))
        row = np.argwhere((np.abs(lat - o.lat[100]) < 1e-5) & (np.abs(lon - o.lon[100]) < 1e-5))
        assert len(row) == 1
        at = tuple(row[0])
        tracers = {n: float(file[f"XCO2_{n}"][at]) for n in ("BG", "A", "BV", "JV", "RA", "GPP")}  # type: ignore[index]
        noise = float(file["uXCO2"][at])  # type: ignore[index]
        attributes = {n: dict(file[f"XCO2_{n}"].attrs) for n in tracers}
    assert not any("scale_factor" in a for a in attributes.values())
    clean = tracers["BG"] + tracers["A"] + tracers["BV"] + tracers["JV"] + tracers["RA"] - tracers["GPP"]
    drawn = np.random.default_rng(0).standard_normal(len(o))[100]
    assert o.sigma[100] == pytest.approx(0.5 * noise, rel=1e-6)
    assert o.values[100] == pytest.approx(clean + 0.5 * noise * drawn, rel=1e-7)


def test_the_emission_is_recovered_and_what_is_not_seen_is_not(setup):
    outcome = evaluate(setup, Analytic().solve(setup.problem), "analytic")
    totals = {t.region: t for t in outcome.totals}
    for name in (
        "Berlin, 23 April 06–11 UTC",
        "Berlin, 23 April 09–12 UTC",
        "Berlin, 23 April 06–09 UTC",
        "Berlin, 23 April 03–06 UTC",
    ):
        t = totals[name]
        assert t.truth is not None and abs(t.posterior - t.truth) < 2.5 * t.u_posterior
    assert totals["Berlin, 23 April 06–11 UTC"].u_posterior < 0.35 * totals["Berlin, 23 April 06–11 UTC"].u_prior
    for name in ("Berlin, 22 April 15–18 UTC", "Berlin, 22 April 18–21 UTC"):
        assert totals[name].u_posterior > 0.99 * totals[name].u_prior
    assert outcome.block_dfs is not None and sum(outcome.block_dfs.values()) == pytest.approx(
        float(np.sum(outcome.diagnostics.leverage)), rel=1e-6
    )
    assert abs(outcome.diagnostics.chi2 - 1.0) < 0.06


def test_the_stated_uncertainty_covers_the_truth(near):
    """200 draws of prior and noise: mean z² of the first total within 3 standard errors of one."""
    problem, rng = near.problem, np.random.default_rng(1)
    H, x_b = np.asarray(problem.matrix), np.asarray(problem.x_b)
    B = np.asarray(problem.B.mv(np.eye(x_b.size)))
    sigma, w = near.observations.sigma, np.asarray(near.totals.weights)[0]
    P = np.linalg.inv(np.linalg.inv(B) + (H.T / sigma**2) @ H)
    gain, root = (P @ H.T) / sigma**2, np.linalg.cholesky(B)
    z = []
    for _ in range(200):
        x = x_b + root @ rng.standard_normal(x_b.size)
        y = H @ (x - x_b) + sigma * rng.standard_normal(sigma.size)
        z.append(w @ (x_b + gain @ y - x) / np.sqrt(w @ P @ w))
    posterior = Analytic().solve(problem)
    np.testing.assert_allclose(posterior.covariance_mv(w), P @ w, rtol=1e-6, atol=1e-9)
    assert abs(np.mean(np.square(z)) - 1.0) < 3.0 * np.sqrt(2.0 / 200)


def test_maps_of_soundings(setup, tmp_path):
    outcome = evaluate(setup, Analytic().solve(setup.problem), "analytic")
    assert list(draw_soundings(outcome, tmp_path)) == ["soundings-1"]
    assert (tmp_path / "soundings-1.png").stat().st_size > 50_000
    nowhere = dataclasses.replace(setup.observations, lon=np.full(len(setup.observations), np.nan))
    lost = dataclasses.replace(outcome, setup=dataclasses.replace(setup, observations=nowhere))
    assert draw_soundings(lost, tmp_path) == {}


def test_the_command_says_synthetic_and_keeps_the_record(smartcarb, command, tmp_path):
    options = ("experiment=berlin", "observations.radius_km=50", "hydra.run.dir=out", "products.figures=false")
    code, _, errors = command(*options)
    assert code == 0, errors
    assert "SYNTHETIC" in errors and "truth" in errors
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    near_step = next(s for s in summary["observations"]["steps"] if s["what"] == "near Berlin")
    assert near_step["dropped"]["farther than 50 km"] > 1000 and near_step["kept"] == summary["n_obs"]
    assert summary["observations"]["components"][0]["cause"] == "retrieval noise"
    report = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Cause of error" in report and "farther than 50 km" in report


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("meteorology=wrf", "cannot use this meteorology"),
        ("control=city", "cannot use this control"),
        ("observations.radius_km=0.1", "no observation is left"),
        ("covariance=exponential", "cannot use this covariance"),
    ],
)
def test_options_that_do_not_fit(smartcarb, compose, override, what):
    with pytest.raises(TanhengError, match=what):
        case.assemble(compose("experiment=berlin", override))

"""Solvers and tasks of the command on the United Kingdom case: real data, forty regions."""

import dataclasses
import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import schema
from experiments.cases import Structure, uk_ch4
from experiments.outcome import evaluate
from experiments.solvers import name_of, solver_of
from experiments.summary import summarise
from experiments.tasks.hyperparameters import hyperparameters
from experiments.tasks.network import network
from experiments.tasks.osse import osse
from experiments.tasks.preview import preview
from inversion.joint import JointPosterior
from inversion.posterior import prior_totals
from inversion.solvers.analytic import Analytic
from transport.errors import TanhengError
from transport.grid import Grid

REGIONS = ("experiment=uk_ch4", "control=regions_and_boundary", "control.regions=40")


@pytest.fixture(scope="module")
def regions(united_kingdom, compose):
    """The case on regions, and its exact posterior."""
    setup = uk_ch4.assemble(compose(*REGIONS))
    return setup, Analytic().solve(setup.problem)


# --- regions ----------------------------------------------------------------------------------------------------------
def test_regions_keep_the_prior_of_the_cells(regions, united_kingdom, compose):
    """What the regions model and what the country emits is what the cells do; u of the country nearly so."""
    setup, _ = regions
    cells = uk_ch4.assemble(compose("experiment=uk_ch4"))
    assert setup.blocks[1][1] <= 40 and setup.problem.x_b.size == 4 + setup.blocks[1][1]
    np.testing.assert_allclose(setup.problem.modelled(setup.problem.x_b), cells.problem.modelled(cells.problem.x_b))
    for fine, coarse in zip(cells.totals.weights, setup.totals.weights, strict=True):
        assert coarse.sum() == pytest.approx(fine.sum(), rel=1e-10)
    # The sum over all cells keeps its prior variance; a country that cuts regions nearly does.
    areas = Grid(cells.map.x_edges, cells.map.y_edges, "EPSG:4326").areas.ravel()
    whole = [jnp.asarray(areas @ case.map.weights) for case in (cells, setup)]
    variances = [float(w @ case.problem.B.mv(w)) for w, case in zip(whole, (cells, setup), strict=True)]
    assert variances[1] == pytest.approx(variances[0], rel=1e-10)
    u = [float(prior_totals(case.problem, jnp.asarray(case.totals.weights)).sigma[0]) for case in (cells, setup)]
    assert u[1] == pytest.approx(u[0], rel=0.05)


def test_the_configured_length_is_that_of_the_family(regions):
    setup, _ = regions
    B = setup.structure.prior_of_length(setup.structure.length_km)
    np.testing.assert_allclose(B.mv(jnp.eye(B.size)), setup.problem.B.mv(jnp.eye(B.size)), rtol=1e-12)


# --- solvers ----------------------------------------------------------------------------------------------------------
def solved(regions, compose, solver, *options):
    setup, exact = regions
    config = compose(*REGIONS, f"solver={solver}", *options)
    assert name_of(config) == solver
    found = solver_of(config, setup)
    posterior = found.solve(setup.problem)
    assert posterior.result == "successful"
    return evaluate(setup, posterior, solver, found.prior(setup.problem)), evaluate(setup, exact, "analytic")


def test_the_variational_solver_gives_the_same_numbers(regions, compose):
    ours, exact = solved(regions, compose, "variational")
    for a, b in zip(ours.totals, exact.totals, strict=True):
        assert a.posterior == pytest.approx(b.posterior, rel=1e-8)
        assert a.u_posterior == pytest.approx(b.u_posterior, rel=1e-8)


@pytest.mark.parametrize(
    ("solver", "options", "error"),
    [
        ("es_mda", ["solver.members=2000"], 0.15),
        ("letkf", ["solver.members=2000"], 0.15),
        ("letkf", ["solver.members=2000", "solver.localisation_km=20000"], 0.15),
        ("sampling", ["solver.chains=4", "solver.warmup=400", "solver.count=700"], 0.15),
    ],
)
def test_solvers_that_draw_agree_within_their_error(regions, compose, solver, options, error):
    """About five Monte Carlo errors, in standard uncertainties of the total."""
    ours, exact = solved(regions, compose, solver, *options)
    for a, b in zip(ours.totals, exact.totals, strict=True):
        assert abs(a.posterior - b.posterior) < error * b.u_posterior
        assert a.u_posterior == pytest.approx(b.u_posterior, rel=error)
        assert a.median is None and a.prior == b.prior


def test_an_unknown_level_costs_precision(regions, compose):
    ours, exact = solved(regions, compose, "geostatistical")
    assert ours.totals[0].u_prior > 5 * exact.totals[0].u_prior
    assert exact.totals[0].u_posterior < ours.totals[0].u_posterior < 1.2 * exact.totals[0].u_posterior


@pytest.mark.parametrize("solver", ["lognormal", "truncated"])
def test_positive_fluxes_report_mean_and_median(regions, compose, solver):
    options = ["solver.chains=2", "solver.warmup=50", "solver.count=1500"] if solver == "truncated" else []
    ours, exact = solved(regions, compose, solver, *options)
    total = ours.totals[0]
    low, high = total.interval
    assert total.median is not None and low < total.median < high and low < total.posterior < high
    assert (low, high) == total.quantiles and low > 0.0
    assert total.prior > exact.totals[0].prior  # the mean of a positive prior lies above its median
    assert ours.impact is None and ours.consistency is None
    entry = summarise(ours, 1.0)["totals"][0]
    assert entry["median"] == total.median and entry["interval"] == [low, high]


def test_localisation_takes_what_is_far_away(regions, compose):
    """Within 300 km of Mace Head and Tacolneston: cells of the Alps keep their prior."""
    ours, _ = solved(regions, compose, "letkf", "solver.members=500", "solver.localisation_km=300")
    setup, _ = regions
    places, sites = setup.structure.places, setup.structure.observed_at
    far = np.flatnonzero(np.abs(places[:, 0] - sites[:, 0].mean()) > 12.0)
    assert far.size
    np.testing.assert_allclose(ours.mean[far], 1.0, atol=1e-12)
    assert np.isnan(ours.diagnostics.dfs)  # H A Hᵀ R⁻¹ is not H K here


def test_what_a_solver_needs_and_a_case_lacks(regions, compose):
    setup, _ = regions
    bare = dataclasses.replace(setup, structure=Structure())
    for solver, what in (
        ("sequential", "time windows"), ("lognormal", "a sign"), ("truncated", "a sign"), ("geostatistical", "a trend"),
    ):  # fmt: skip
        with pytest.raises(TanhengError, match=f"solver={solver} does not apply") as caught:
            solver_of(compose(*REGIONS, f"solver={solver}"), bare)
        assert what in str(caught.value)
    with pytest.raises(TanhengError, match="places"):
        solver_of(compose(*REGIONS, "solver=letkf", "solver.localisation_km=100"), bare)
    with pytest.raises(TanhengError, match="nothing is estimated"):
        solver_of(compose(*REGIONS, "solver=none"), setup)


# --- what each site did -----------------------------------------------------------------------------------------------
def test_impact_and_innovations_are_in_the_summary(regions):
    setup, exact = regions
    summary = summarise(evaluate(setup, exact, "analytic"), 1.0)
    sites, total = summary["fit"][1:], summary["totals"][0]
    assert sum(s["shift"] for s in sites) == pytest.approx(total["posterior"] - total["prior"], rel=1e-9)
    gone = 1.0 - (total["u_posterior"] / total["u_prior"]) ** 2
    assert sum(s["reduction"] for s in sites) == pytest.approx(gone, rel=1e-9)
    found = summary["innovations"]
    assert found["low"] < 1.0 < found["high"] and found["chi2"] > 0.0
    correlation = np.array(summary["totals_correlation"])
    np.testing.assert_allclose(np.diagonal(correlation), 1.0)
    assert -1.0 < correlation[0, 1] == correlation[1, 0] < 1.0


# --- tasks ------------------------------------------------------------------------------------------------------------
def test_an_experiment_with_true_beliefs_and_one_with_wrong_ones(united_kingdom, compose):
    true = osse(compose(*REGIONS, "task=osse"))
    assert true.setup.synthetic and true.numbers["replicates"] == 1000
    assert all(t["consistent"] for t in true.numbers["totals"])
    assert "do not contradict" in true.sentences[1] and all("SYNTHETIC" in s for s in true.sentences[:1])
    wrong = osse(compose(*REGIONS, "task=osse", "task.prior_factor=2", "task.mismatch_factor=2"))
    assert not wrong.numbers["totals"][0]["consistent"] and "too small" in wrong.sentences[1]
    assert wrong.numbers["totals"][0]["z2"] == pytest.approx(4.0, rel=0.2)
    shifted = osse(compose(*REGIONS, "task=osse", "task.prior_shift=1", "task.replicates=400"))
    assert shifted.numbers["totals"][0]["bias"] < -5 * shifted.numbers["totals"][0]["bias_error"]


def test_an_experiment_judges_only_what_it_can(united_kingdom, compose):
    for option in ("solver=lognormal", "solver=truncated", "solver=geostatistical", "solver=transport"):
        with pytest.raises(TanhengError, match="drawn from N"):
            osse(compose(*REGIONS, "task=osse", option))
    few = osse(compose(*REGIONS, "task=osse", "task.replicates=20"))
    assert "too few to judge" in few.sentences[1]


def test_the_ranking_of_sites(united_kingdom, compose):
    study = network(compose(*REGIONS, "task=network", "task.totals=[United,Ireland]", "task.importance=[0,1]"))
    assert study.numbers["ranking"][0]["name"] == "Mace Head"  # on the coast of Ireland
    setup = uk_ch4.assemble(compose(*REGIONS))
    exact = evaluate(setup, Analytic().solve(setup.problem), "analytic")
    both = study.numbers["ranking"][-1]["u"]
    assert both == pytest.approx([t.u_posterior for t in exact.totals], rel=1e-8)
    one = network(compose(*REGIONS, "task=network", "task.existing=[Mace Head]"))
    assert [step["name"] for step in one.numbers["ranking"]] == ["Tacolneston"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["task.totals=[Wales]"], "task.totals cannot be used"),
        (["task.totals=[Ireland,Ire]"], "task.totals cannot be used"),
        (["task.existing=[Angus]"], "task.existing cannot be used"),
        (["task.choose=3"], "not that many candidates"),
        (["task.existing=[Mace Head,Tacolneston]"], "no candidate is left"),
        (["task.importance=[1,2]"], "importance does not fit"),
    ],
)
def test_a_ranking_that_makes_no_sense_is_refused(united_kingdom, compose, options, what):
    with pytest.raises(TanhengError, match=what):
        network(compose(*REGIONS, "task=network", *options))


def test_a_preview_says_what_a_run_takes(regions, united_kingdom, compose):
    _, exact = regions
    study = preview(compose(*REGIONS, "task=preview", "task.probes=40"))
    numbers = study.numbers
    assert abs(numbers["dfs"] - float(exact.leverage().sum())) < 4 * numbers["dfs_error"]
    assert numbers["recommended"].startswith("analytic") and numbers["observations"] == 57
    tight = preview(compose(*REGIONS, "task=preview", "task.memory_gib=1e-9"))
    assert tight.numbers["recommended"] == "" and "average observations" in tight.sentences[1]


@pytest.mark.parametrize("length", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_hyper_parameters_from_the_data(regions, compose, monkeypatch, length):
    setup, _ = regions
    if not length:  # a length means 28 million distances in each evaluation
        setup = dataclasses.replace(setup, structure=Structure(positive=setup.structure.positive))
    monkeypatch.setattr(sys.modules["experiments.tasks.hyperparameters"], "assemble", lambda config: setup)
    study = hyperparameters(compose(*REGIONS, "task=hyperparameters"))
    assert study.numbers["log_gain"] > 0.0
    names = [h["name"] for h in study.numbers["hyper_parameters"]]
    assert "mismatch σ, Mace Head" in names and len(names) == 4 + length
    assert (names[-1] == "correlation length") == length
    for total in study.numbers["totals"]:
        assert total["sigma"] > total["sigma_fixed"]
    with pytest.raises(TanhengError, match="Gaussian solver"):
        hyperparameters(compose(*REGIONS, "task=hyperparameters", "solver=lognormal"))


def test_a_study_is_written_and_swept(united_kingdom, command, tmp_path):
    code, _, err = command("-m", *REGIONS, "task=osse", "task.replicates=50", "task.prior_factor=1,3",
                           "hydra.sweep.dir=out")  # fmt: skip
    assert code == 0, err
    assert "SYNTHETIC" in err and "stated u" in err
    for job in "01":
        folder = tmp_path / "out" / job
        names = {p.name for p in folder.iterdir()}
        assert {"summary.json", "manifest.json", "experiment.png", "report.html"} <= names
        page = (folder / "report.html").read_text()
        assert "SYNTHETIC" in page and "CH₄ emissions of the United Kingdom" in page
        assert json.loads((folder / "summary.json").read_text())["synthetic"] is True
    rows = json.loads((tmp_path / "out" / "sweep_summary.json").read_text())
    assert float(rows[1]["study"]["z²"]) > float(rows[0]["study"]["z²"])


def test_every_solver_option_has_a_node_and_a_file():
    from experiments import catalogue

    assert set(catalogue.options("solver")) == set(schema.NODES["solver"])
    assert set(catalogue.options("task")) == set(schema.NODES["task"])


# --- the transport's own parameters -----------------------------------------------------------------------------------
SMALL_CITY = (
    "case.cells=12", "case.spacing_km=8", "meteorology.hours=24", "case.level_edges_m=[0,60,200,600,1500,3000]",
    "observations.first_local_hour=12", "observations.last_local_hour=13", "observations.overpasses=[]",
)  # fmt: skip


def half_known(problem_of, p_prior, P):
    """What `marginal_solve` returns, without the marches: p̂ at its prior, with half of its uncertainty."""
    P, known = jnp.asarray(P), Analytic().solve(problem_of(p_prior))
    nothing = (jnp.zeros((known.problem.y.size, p_prior.size)), jnp.zeros((known.mean.size, p_prior.size)))
    inverse = jnp.linalg.inv(P)
    return JointPosterior(known.problem, known.mean, known.result, known, p_prior, 0.25 * P, p_prior, inverse,
                          *nothing, 1, 0.0)  # fmt: skip


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_a_mixing_height_is_estimated_with_the_fluxes(command, tmp_path, monkeypatch, real):
    if not real:
        monkeypatch.setattr("experiments.solvers.marginal_solve", half_known)
    code, _, err = command(*SMALL_CITY, "case.true_mixing=1.2", "solver=transport", "solver.sigma_wind=0",
                           "products.figures=false", "products.netcdf=false", "hydra.run.dir=out")  # fmt: skip
    assert code == 0, err
    assert "mixing height:" in err and "truth 1.2" in err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    (parameter,) = summary["transport_parameters"]
    assert parameter["name"] == "mixing_height" and parameter["truth"] == 1.2
    assert 0.0 < parameter["u_posterior"] < parameter["u_prior"] == pytest.approx(0.2)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Transport parameters" in page and "1.2 times what the inversion is given" in page


def test_other_weather_makes_other_data_from_the_same_truth(compose):
    from experiments.cases import city

    believed, true = (city.assemble(compose(*SMALL_CITY, *options)) for options in ((), ("case.true_mixing=1.2",)))
    np.testing.assert_array_equal(believed.truth, true.truth)
    assert not np.allclose(believed.observations.values, true.observations.values, atol=0.05)
    assert "hold exactly" in believed.notes[1] and "true mixing height 1.2" in true.notes[1]


def test_only_our_own_transport_can_be_estimated(regions, compose):
    setup, _ = regions
    with pytest.raises(TanhengError, match="solver=transport does not apply"):
        solver_of(compose(*REGIONS, "solver=transport"), setup)
    with pytest.raises(TanhengError, match="one above 0"):
        compose("solver=transport", "solver.sigma_wind=0", "solver.sigma_mixing=0")

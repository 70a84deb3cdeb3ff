"""The generated city: numerical evidence of its chain, and whether its posterior covers the truth."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.cases import city
from experiments.cases.city.observations import observe
from experiments.cases.city.unknowns import blocks_of
from experiments.outcome import evaluate
from inversion.covariance import Diagonal
from inversion.osse import experiment, replicate
from inversion.solvers.analytic import Analytic
from transport.errors import TanhengError
from transport.linear import adjoint_gap, materialise

REDUCED = (
    "case.cells=16", "case.spacing_km=6", "meteorology.hours=48", "case.level_edges_m=[0,60,180,470,1000,2000,3500]",
    "observations.last_local_hour=13", "observations.overpasses.1.day=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def setup(compose):
    """The reduced city, assembled once."""
    return city.assemble(compose(*REDUCED))


@pytest.mark.parametrize(("options", "intervals"), [(REDUCED, 48), pytest.param((), 120, marks=pytest.mark.nightly)])
def test_the_full_chain_has_an_exact_transpose(compose, options, intervals):
    """|⟨H x, y⟩ − ⟨x, Hᵀ y⟩| / (|H x| |y|) ≤ 1e-13 for O·T·S over the whole window; `-m nightly`: the default city."""
    evidence = city.check(compose("task=check", *options))
    assert evidence.values["adjoint_identity"] <= 1e-13
    assert evidence.values["uniform_tracer"] <= 1e-12
    assert evidence.values["continuity"] <= 1e-12
    assert evidence.values["courant"] <= 0.9
    assert evidence.values["budget_closure"] <= 1e-12
    assert not evidence.failed and evidence.facts["intervals"] == intervals


def test_rows_from_the_adjoint_equal_columns_from_the_forward(compose):
    config = compose(
        *REDUCED,
        "meteorology.hours=14",
        "case.cells=12",
        "observations.overpasses.0.day=0",
        "observations.overpasses.1.day=0",
    )
    built = city.build(config)
    receptors, draft = observe(built, config.observations)  # type: ignore[arg-type]
    operator = city.chain(built, blocks_of(built, config, draft.groups), receptors)
    rows = materialise(operator)
    columns = jax.vmap(operator.mv)(jnp.eye(operator.in_size())).T
    np.testing.assert_allclose(rows, columns, rtol=1e-10, atol=1e-14)
    assert adjoint_gap(operator) <= 1e-13


def test_the_background_alone_gives_the_background(setup):
    """With no emission every sample sees the inflow: 425 ppm at towers and, with the column's own prior, in columns."""
    x = [np.full(size, 425.0 if name == "background" else 0.0) for name, size, _ in setup.blocks]
    seen = setup.problem.modelled(jnp.asarray(np.concatenate(x)))
    np.testing.assert_allclose(seen, 425.0, rtol=1e-12)
    assert (setup.observations.kinds == "column").sum() > 20


def test_the_posterior_covers_the_truth(setup):
    """400 seeds: mean z² of the city total in [0.85, 1.15]; 68 % and 95 % coverage within 99 % binomial bands."""
    weights = jnp.asarray(setup.totals.weights[:1])
    z = experiment(setup.problem, Analytic(), weights, jax.random.key(2026), 400).z[:, 0]
    inside1, inside2 = np.mean(np.abs(z) < 1), np.mean(np.abs(z) < 2)
    print(f"mean z² {np.mean(z**2):.3f}, |z|<1 {inside1:.3f}, |z|<2 {inside2:.3f}")
    assert 0.85 <= np.mean(z**2) <= 1.15
    assert abs(inside1 - 0.6827) <= 2.576 * np.sqrt(0.6827 * 0.3173 / 400)
    assert abs(inside2 - 0.9545) <= 2.576 * np.sqrt(0.9545 * 0.0455 / 400)


def test_an_overconfident_posterior_would_be_seen(setup):
    """The coverage test can fail: with R taken four times too small, mean z² leaves the band."""
    weights = jnp.asarray(setup.totals.weights[:1])
    wrong = dataclasses.replace(setup.problem, R=Diagonal(setup.problem.R.sigma / 4))
    z = experiment(wrong, Analytic(), weights, jax.random.key(1), 100, nature=setup.problem).z
    assert np.mean(z**2) > 1.5


def test_the_outcome_is_labelled_synthetic_and_knows_the_truth(setup):
    outcome = evaluate(setup, Analytic().solve(setup.problem), "analytic")
    assert setup.synthetic and "SYNTHETIC" in setup.notes[0]
    assert outcome.totals[0].truth is not None
    assert outcome.totals[0].u_posterior < outcome.totals[0].u_prior
    assert set(outcome.fields) == {
        "prior", "posterior", "increment", "reduction", "truth", "u_prior", "u_posterior"
    }  # fmt: skip
    share = outcome.totals[0].prior + outcome.totals[1].prior
    # Area 23 Mt and stacks 14.5 Mt: city and surroundings together are everything people emit.
    assert share == pytest.approx(37.5, rel=0.01)


def test_times_and_local_hours_agree(setup):
    """Towers are sampled from 10 h to 14 h local, swaths at 13 h; the stamp in UTC plus 8 h says the same."""
    observations = setup.observations
    local = (
        observations.start + np.timedelta64(8, "h") - observations.start.astype("datetime64[D]")
    ) // np.timedelta64(1, "h")
    tower = observations.kinds == "tower"
    assert set(local[tower] % 24) == {10, 11, 12, 13}
    assert set(local[~tower] % 24) == {13}
    start, _, end = setup.totals.period.partition("/")
    assert start == "2025-04-06T16:00:00Z" and end == "2025-04-08T16:00:00Z"


def test_the_start_sets_the_local_clock(compose):
    city_at_noon = city.build(compose(*REDUCED, "case.start=2025-04-07T04:00"))
    assert city_at_noon.local[0] == 12.5
    # Mixing follows that clock: at noon the lowest layers exchange ten times the air that they do at midnight.
    exchange = city_at_noon.transport.meteorology.mixing.exchange[:, 1].mean(axis=(1, 2))
    assert float(exchange[0]) > 10.0 * float(exchange[12]) and city_at_noon.local[12] == 0.5


def test_a_case_refuses_what_it_cannot_use(compose):
    with pytest.raises(TanhengError, match="cannot use this transport"):
        city.assemble(compose("transport=region_responses"))
    with pytest.raises(TanhengError, match="no observation is left"):
        city.assemble(compose(*REDUCED, "observations.towers=[]", "observations.overpasses=[]"))


@pytest.mark.nightly
def test_the_default_experiment_covers_the_truth(compose):
    """The same at full size: 1045 unknowns, 292 observations, 2000 seeds, every reported total within 4 σ of one."""
    full = city.assemble(compose())
    weights, solver = jnp.asarray(full.totals.weights), Analytic()
    z = []
    for key in jax.random.split(jax.random.key(2026), 2000):
        truth, problem = replicate(full.problem, key)
        total = solver.solve(problem).aggregate(weights)
        z.append(np.asarray((total.mean - weights @ truth) / total.sigma))
    mean = np.mean(np.square(z), axis=0)
    for region, value in zip(full.totals.regions, mean, strict=True):
        print(f"{region:40s} mean z² {value:.3f}")
    assert np.all(np.abs(mean - 1.0) <= 4 * np.sqrt(2 / 2000)) and 0.85 <= mean[0] <= 1.15


def test_the_map_shows_each_stack_in_its_own_cell(compose):
    """A stack moves only the cell that holds it, at the right row (north up) and column."""
    config = compose(*REDUCED, "observations.overpasses.1.day=1")
    full = city.assemble(config)
    built = city.build(config)
    names = [s.name for s in built.stacks]
    start = 0
    for name, size, _ in full.blocks:
        if name == "point sources":
            break
        start += size
    for n, stack in enumerate(built.stacks):
        field = full.map.weights[:, start + n][full.map.layout]
        row, column = np.unravel_index(field.argmax(), field.shape)
        assert full.map.y_edges[row] <= stack.y < full.map.y_edges[row + 1], names[n]
        assert full.map.x_edges[column] <= stack.x < full.map.x_edges[column + 1]
        index = full.totals.regions.index(stack.name)
        assert float(full.totals.weights[index] @ full.problem.x_b) == pytest.approx(stack.mt_per_year, rel=1e-9)


def test_the_map_adds_up_to_the_totals(setup):
    """Σ map · area = city + surroundings, for the prior."""
    from priors.synthetic import megatonnes_per_year
    from transport.grid import Grid

    grid = Grid(setup.map.x_edges, setup.map.y_edges, setup.map.crs)
    flux = (setup.map.weights @ np.asarray(setup.problem.x_b))[setup.map.layout]
    prior = setup.totals.weights @ np.asarray(setup.problem.x_b)
    assert float(megatonnes_per_year((flux * grid.areas).sum())) == pytest.approx(prior[0] + prior[1], rel=1e-9)


def test_each_swath_has_its_own_bias(setup):
    """The two bias columns act on their own soundings only, with weight one."""
    H, groups = np.asarray(setup.problem.matrix), setup.observations.groups
    for n, name in enumerate(("Swath 1", "Swath 2")):
        np.testing.assert_array_equal(H[:, -2 + n], groups == name)


def test_the_sun_is_highest_at_noon():
    from experiments.cases.city.observations import averaging_kernel
    from priors.synthetic import sunlight

    assert sunlight(np.array([12.0]))[0] == pytest.approx(1.0)
    assert sunlight(np.array([0.0, 5.9, 18.1])).max() == 0.0
    np.testing.assert_allclose(averaging_kernel(np.array([1e5, 3e4])), [1.03, 0.905])


def test_reduction_is_one_minus_the_ratio(setup):
    posterior = Analytic().solve(setup.problem)
    fields = evaluate(setup, posterior, "analytic").fields
    np.testing.assert_allclose(fields["reduction"], 1.0 - fields["u_posterior"] / fields["u_prior"], rtol=1e-9)
    human = jnp.asarray(setup.map.weights[:1])
    assert fields["u_prior"].ravel()[0] == pytest.approx(float(jnp.sqrt(human @ setup.problem.B.mv(human.T))[0, 0]))

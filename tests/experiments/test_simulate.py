"""Forward runs: a box of uniform wind worked out by hand, and everything that a run writes."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
from PIL import Image

from experiments import schema, simulated
from experiments.cases import Mark
from experiments.cases.simulation import Simulation, Soundings, steady
from experiments.checks import transport_evidence
from experiments.products.fields import clock, draw_animation, draw_fields
from experiments.products.netcdf_fields import write_fields
from experiments.products.scatter import draw_comparisons
from experiments.report.simulation import write_report
from experiments.tasks.offer import require_offered
from experiments.weather import Domain
from inversion.observations import Observations, Step
from inversion.observations.operator import Seen
from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.eulerian.schemes.ppm_limited import PPMLimited
from transport.grid import Grid
from transport.mixing.k_profile import Constant
from transport.prepare import prepare
from transport.sampling import Receptor, Sampler
from transport.weather import Surface, Weather

HOURS, NZ, NY, NX = 8, 4, 5, 7
AIR = 1e12  # mol in each cell
WIND = 2e8  # mol s-1 through each west face: 0.72 of a cell per hour
FLUX = 3.0  # µmol m-2 s-1 in one cell
INFLOW = 1.9  # ppm


def box(**options) -> Simulation:
    """Steady air that blows east, one emitting cell, one sounding in it."""
    grid = Grid(
        np.arange(NX + 1) * 1e4, np.arange(NY + 1) * 1e4, "+proj=laea +lat_0=-23 +lon_0=148 +datum=WGS84 +units=m"
    )
    shape, ground = (HOURS + 1, NZ, NY, NX), np.ones((HOURS + 1, NY, NX))
    edges = np.linspace(1e5, 5e4, NZ + 1)[:, None, None] * np.ones((HOURS + 1, NZ + 1, NY, NX))
    heights = np.linspace(0.0, 4e3, NZ + 1)[:, None, None] * np.ones((HOURS + 1, NZ + 1, NY, NX))
    weather = Weather(
        grid, np.datetime64("2024-03-01T00:00:00") + np.arange(HOURS + 1) * np.timedelta64(3600, "s"),
        np.full(shape, AIR), np.full((*shape[:3], NX + 1), WIND), np.zeros((HOURS + 1, NZ, NY + 1, NX)), edges, heights,
        np.full(shape, 290.0), Surface(800 * ground, 0.3 * ground, 50 * ground, 295 * ground, 1e5 * ground), "a box",
    )  # fmt: skip
    prepared = prepare(weather, Constant(1.0))
    T = EulerianTransport(prepared.meteorology, grid.areas, **options)
    surface = np.zeros(grid.shape)
    surface[2, 3] = FLUX
    receptor = Receptor(3.5e4, 2.5e4, 3600.0, 7200.0, np.full(NZ, 0.2 * 1e3))
    met, when = prepared.meteorology, np.array(["2024-03-01T01:30:00"], "datetime64[s]")
    observed = Observations(
        values=np.array([1905.0]), start=when, end=when, groups=np.array(["TROPOMI"]), kinds=np.array(["column"]),
        unit="ppb", components=(), lon=np.array([148.35]), lat=np.array([-22.77]), instruments=np.array(["TROPOMI"]),
        steps=(Step("within the model", 1, (("outside the grid", 2),)),),
    )  # fmt: skip
    seen = Seen(Sampler([receptor], grid, met.shape, met.interval), np.array([0.2 * 1e3 * INFLOW]))
    soundings = Soundings(observed, seen, "nothing")
    return Simulation(
        "box", "CH4 in a box", "", "CH4", 16.0425e-3, "ppb", Domain(grid, prepared, "a box", {}), T,
        steady(T, surface, INFLOW), (("all", 1.0),), INFLOW, (Mark(148.3, -22.8, "here", "point source"),), 10.0,
        np.datetime64("2024-03-01T01:30:00"), soundings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run():
    return simulated.simulate(box())


def test_the_budget_is_the_one_worked_out_by_hand(run):
    seconds, area = 3600.0 * HOURS, run.setup.domain.grid.areas[2, 3]
    emitted = FLUX * area * seconds
    entered = WIND * NZ * NY * seconds * INFLOW
    budget = run.budget
    assert budget.emitted == pytest.approx(emitted, rel=1e-12)
    assert budget.entered["west"] == pytest.approx(entered, rel=1e-12)
    assert budget.entered["south"] == budget.entered["east"] == budget.left["west"] == 0.0
    assert budget.initial == pytest.approx(AIR * NZ * NY * NX * INFLOW, rel=1e-12)
    assert budget.closure <= 1e-12
    # What left through the east is what came in and was emitted, less what stayed.
    assert budget.left["east"] == pytest.approx(entered + emitted + budget.initial - budget.final, rel=1e-12)
    assert run.hourly["emitted"].sum() == pytest.approx(emitted, rel=1e-12)
    np.testing.assert_allclose(run.hourly["emitted"], emitted / HOURS)


def test_masses_are_in_tonnes(run):
    """1 mol of CH4 is 16.0425 g; the rates of the summary are t and t/h."""
    assert run.setup.tonnes(1e6) == pytest.approx(16.0425e-6)
    assert run.setup.tonnes_per_hour(1e6) == pytest.approx(16.0425e-6 * 3600)
    tonnes = simulated.budget_tonnes(run)
    area = run.setup.domain.grid.areas[2, 3]
    assert tonnes["emitted"] == pytest.approx(FLUX * area * 3600 * HOURS * 1e-6 * 16.0425e-3 * 1e-3, rel=1e-12)
    inside = run.budget.final - AIR * NZ * NY * NX * INFLOW
    assert tonnes["emission_in_the_domain_at_the_end"] == pytest.approx(run.setup.tonnes(inside), rel=1e-6)
    assert 0 < tonnes["emission_in_the_domain_at_the_end"] < tonnes["emitted"]


def test_columns_hold_what_was_emitted_at_first(run):
    """In the first hour little leaves: Σ air · (column − inflow) is half an hour's emission (mean of the hour)."""
    excess = (run.column[0] - 1e3 * INFLOW).sum() * AIR * NZ / 1e3
    area = run.setup.domain.grid.areas[2, 3]
    assert excess == pytest.approx(0.5 * 3600 * FLUX * area, rel=2e-2)
    # Upwind of the source nothing is above the inflow but the ripples of the unlimited scheme.
    assert run.column[-1, 0].max() == pytest.approx(1e3 * INFLOW, abs=1e-9)


def test_a_sounding_sees_its_weights(run):
    """y = Σ w C + (1 − Σ w) c with w = 0.2 in four layers: 0.8 of the column mean of its hour, 0.2 of the inflow."""
    assert run.modelled is not None
    expected = 0.8 * run.column[1, 2, 3] + 0.2 * 1e3 * INFLOW
    assert float(run.modelled[0]) == pytest.approx(expected, rel=1e-12)
    assert run.focus() == 1
    fit = simulated.fit(run)
    assert fit is not None and fit["n"] == 1 and fit["dropped"] == {"outside the grid": 2}
    assert fit["mean_difference"] == pytest.approx(expected - 1905.0)


def test_local_time_is_written_with_its_offset(run):
    assert clock(run, np.datetime64("2024-03-01T15:00:00")) == "2024-03-02 01:00 (UTC+10)"


def test_everything_is_written(run, tmp_path):
    figures = draw_fields(run, tmp_path) | draw_comparisons(run, tmp_path)
    figures["animation"] = draw_animation(run, tmp_path)
    summary = json.loads(json.dumps(simulated.summarise(run, 1.0, 2.0)))
    empty = {name: {} for name in ("choices", "packages", "seeds", "inputs", "config")}
    texts = dict.fromkeys(("experiment", "created", "tanheng", "git_revision", "python", "platform"), "text")
    provenance = {**empty, **texts, "overrides": [], "citations": []}
    write_report(run, figures, summary, provenance, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "data:image/gif" in text and 'src="http' not in text and "Outside" not in text
    assert "Dropped: outside the grid" in text and "CH₄ in a box" in text
    with Image.open(tmp_path / "animation.gif") as picture:
        assert picture.n_frames == HOURS  # type: ignore[attr-defined]
    assert {p.name for p in tmp_path.iterdir()} == {
        "map-column.png", "frames.png", "soundings.png", "animation.gif", "report.html",
    }  # fmt: skip


def test_the_file_holds_the_run(run, tmp_path):
    write_fields(run, tmp_path / "fields.nc")
    with h5py.File(tmp_path / "fields.nc") as data:
        np.testing.assert_array_equal(data["column_mole_fraction"][()], run.column)  # type: ignore[index]
        assert data["column_mole_fraction"].attrs["units"] == "1e-9"
        assert data.attrs["Conventions"] == "CF-1.10" and data.attrs["synthetic"] == "false"
        sides = ("west", "east", "south", "north", "top")
        total = sum(data[f"budget_left_{side}"][()].sum() for side in sides)  # type: ignore[index]
        assert total * 1e6 == pytest.approx(sum(run.budget.left.values()), rel=1e-12)
        bounds = data["time_bounds"][()]  # type: ignore[index]
        assert (np.diff(bounds, axis=1) == 3600).all() and (bounds[:, 1] == data["time"][()]).all()  # type: ignore[index]
        corners = data["lat_bounds"][()]  # type: ignore[index]
        assert corners.shape == (NY, NX, 4) and (corners[..., 2] > corners[..., 1]).all()
        flux = data["surface_emission"][()]  # type: ignore[index]
        assert flux[2, 3] == pytest.approx(FLUX * 1e-6) and np.count_nonzero(flux) == 1


def test_a_synthetic_release_is_marked_everywhere(run, tmp_path):
    marked = dataclasses.replace(run, setup=dataclasses.replace(run.setup, synthetic="the release is chosen by hand"))
    assert simulated.summarise(marked, 0.0, 0.0)["synthetic"] is True
    write_fields(marked, tmp_path / "fields.nc")
    with h5py.File(tmp_path / "fields.nc") as data:
        assert str(data.attrs["title"]).startswith("SYNTHETIC") and "by hand" in str(data.attrs["synthetic"])


def test_the_evidence_of_a_box_meets_its_limits():
    setup = box()
    evidence = transport_evidence(setup.transport, setup.sources)
    assert set(evidence.values) == {"continuity", "uniform_tracer", "courant", "budget_closure", "adjoint_identity"}
    assert not evidence.failed and evidence.facts["intervals"] == HOURS
    assert dataclasses.replace(evidence, values={**evidence.values, "continuity": float("nan")}).failed == [
        "continuity"
    ]


def test_a_limited_scheme_is_checked_without_adjoint():
    setup = box(scheme=PPMLimited())
    evidence = transport_evidence(setup.transport, setup.sources)
    assert not evidence.failed and "PPMLimited" in evidence.notes[0]
    assert simulated.simulate(setup).lowest == pytest.approx(1e3 * INFLOW, rel=1e-12)


# --- which case does which task, and with what ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("overrides", "what", "names"),
    [
        (["experiment=managua", "task=invert"], "not offered by case plume", "task=simulate or task=check"),
        (["experiment=matimba", "task=invert"], "not offered by case plume", "it has no observations"),
        (["experiment=nz_co2", "task=simulate"], "not offered by case nz_co2", "task=invert or task=osse"),
        (["task=simulate"], "not offered by case city", "task=invert or task=osse"),
    ],
)
def test_a_task_that_a_case_does_not_offer(compose, overrides, what, names):
    with pytest.raises(TanhengError) as error:
        require_offered(compose(*overrides))
    assert what in str(error.value) and names in str(error.value)


INVERTED = ("berlin", "bowen_basin", "city_osse", "city_transport", "nz_co2", "uk_ch4")


def test_every_experiment_can_do_its_own_task(compose):
    from experiments.catalogue import options

    for name in options("experiment"):
        config = compose(f"experiment={name}")
        require_offered(config)
        kind = schema.Invert if name in INVERTED else schema.Simulate
        assert isinstance(config.task, schema.BuildPrior if name.endswith("_prior") else kind)


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["transport.scheme=ppm_limited"], "case city cannot use a limited scheme"),
        (["transport.precision=single"], "case city cannot use transport.precision"),
        (["transport.mixing=acm2"], "case city cannot use transport.mixing"),
        (["transport.split=2"], "case city cannot use transport.split"),
    ],
)
def test_the_city_refuses_what_its_weather_brings_itself(compose, overrides, what):
    from experiments.cases import city

    with pytest.raises(TanhengError, match=what):
        city.build(compose(*overrides))
    city.build(compose("transport.scheme=third_order", "case.cells=8", "meteorology.hours=2", "prior.points=[]"))

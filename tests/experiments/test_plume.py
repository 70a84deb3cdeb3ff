"""Plumes in real weather: the release as configured, the catalogue's profiles, every reader on its way to the run."""

import dataclasses
import json
import os
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import needs

from experiments import schema, simulated
from experiments.cases import plume
from experiments.checks import without_losses
from priors.point_sources import injection_profile
from transport.errors import TanhengError
from transport.sources import uniform_air

CATALOGUE = tuple(
    f"matimba_no2_era5/coco2_ps_database/coco2_ps_{n}_v1.1.csv"
    for n in ("catalogue", "monthly_profiles", "weekly_profiles", "hourly_profiles")
)
MANAGUA = "ecmwf_nam_managua/ecmwf_hres_20171203T03-20171206T00_managua.nc"
SHORT = ("experiment=managua", "meteorology.end=2017-12-03T09:00", "meteorology.layers=20", "meteorology.levels=40")
TIMES = np.datetime64("2021-07-25T00:00:00") + np.arange(24) * np.timedelta64(3600, "s")


@pytest.fixture(scope="module")
def setup(compose):
    needs(MANAGUA)
    return plume.assemble(compose(*SHORT))


def test_the_release_is_the_configured_one(setup):
    """10 kg/s are 36 t/h, and 6 h of it 216 t, all from the cell that holds the volcano."""
    assert setup.emissions == (("source", pytest.approx(36.0)),)
    run = simulated.simulate(setup)
    budget = simulated.budget_tonnes(run)
    assert budget["emitted"] == pytest.approx(216.0, rel=1e-12) and budget["closure"] <= 1e-12
    assert run.lowest >= -1e-12  # the limited scheme makes no negative mole fraction
    injection, grid = setup.transport.injection, setup.domain.grid
    row, column = int(injection.row[0]), int(injection.column[0])
    assert grid.x_edges[column] <= -86.161 < grid.x_edges[column + 1]
    assert grid.y_edges[row] <= 11.985 < grid.y_edges[row + 1]
    assert float(injection.profile.sum()) == pytest.approx(1.0)
    first = run.column[0]
    assert np.unravel_index(first.argmax(), first.shape) == (row, column)


def test_losses_are_counted(compose):
    """A half-life of 3 h and deposition: what is emitted is in the air, outside, on the ground or decayed."""
    needs(MANAGUA)
    setup = plume.assemble(compose(*SHORT, "case.half_life_h=3", "case.deposition_cm_s=2", "transport.split=2"))
    run = simulated.simulate(setup)
    budget = simulated.budget_tonnes(run)
    assert setup.transport.meteorology.shape[0] == 4 and budget["closure"] <= 1e-12
    assert budget["decayed"] > 20.0 and budget["deposited"] > 1.0
    gone = budget["stored"] + sum(budget["left"].values()) + budget["decayed"] + budget["deposited"]
    assert gone == pytest.approx(216.0, rel=1e-9)
    # Tracer emitted evenly over T and decaying at λ: (1 − e^{−λT})/(λT) of it is left.
    lam = np.log(2) / 3
    left = (1 - np.exp(-6 * lam)) / (6 * lam)
    remaining = (gone - budget["decayed"]) / 216.0
    assert remaining == pytest.approx(left, abs=0.12)  # what left the domain or settled no longer decays


def test_a_release_of_some_hours_covers_its_share_of_each_interval():
    case = schema.PlumeCase(
        longitude=0, latitude=0, release_kg_s=6.0, molar_mass_g_mol=30.0, start_hour=1.5, release_hours=2.0
    )
    release = plume._own_release(case, TIMES[:6])
    np.testing.assert_allclose(release.rate, [0.0, 3.0, 6.0, 3.0, 0.0])
    late = dataclasses.replace(case, start_hour=9.0)
    with pytest.raises(TanhengError, match="the release lies outside the window"):
        plume._own_release(late, TIMES[:6])


def test_the_profile_of_a_release_by_hand():
    """250…350 m with half, 350…450 m with half, on layers 0, 300, 400, 1000 m."""
    release = plume.Release("source", 27.6, -23.7, np.ones(1))

    def profile(ranges, shares):
        source = plume.source_of(release, SimpleNamespace(height_m=ranges, shares=shares))
        return injection_profile(np.array([0.0, 300.0, 400.0, 1000.0]), source)

    np.testing.assert_allclose(profile([250, 350, 450], [1, 1]), [0.25, 0.5, 0.25])
    np.testing.assert_allclose(profile([0, 400], []), [0.75, 0.25, 0.0])
    np.testing.assert_allclose(profile([0, 300, 900], [3, 1]), [0.75, 1 / 24, 5 / 24])
    with pytest.raises(TanhengError, match="does not fit the model"):
        profile([0, 1001], [])


def test_the_catalogue_by_hand():
    """Matimba, one unit, Sunday 25 July 2021, 02:30 local: t/yr of the file times July, Sunday, hour 2."""
    needs(*CATALOGUE)
    releases = plume.catalogue_releases(["CoCO2_14657", "CoCO2_14658", "CoCO2_14670"], TIMES, 2.0)
    assert [r.name[:7] for r in releases] == ["2 units", "1 unit "]
    yearly = 3769503.02976834e3 / (365 * 86400)  # kg s-1
    np.testing.assert_allclose(releases[0].rate[0], 2 * yearly * 1.052 * 0.948 * 0.909, rtol=1e-12)
    np.testing.assert_allclose(releases[0].rate[16], 2 * yearly * 1.052 * 0.948 * 1.078, rtol=1e-12)
    # From 22:00 UTC it is Monday in South Africa.
    np.testing.assert_allclose(releases[0].rate[22], 2 * yearly * 1.052 * 1.003 * 0.927, rtol=1e-12)
    assert (releases[1].lon, releases[1].lat) == (27.563839, -23.7049731)
    with pytest.raises(TanhengError, match="catalogue_ids cannot be used"):
        plume.catalogue_releases(["CoCO2_0"], TIMES, 2.0)


@pytest.mark.parametrize(
    ("experiment", "file", "overrides", "shape"),
    [
        ("gdas", "gdas_arl_7day/extract_22666.bin", ["meteorology.end=2015-12-01T06:00"], (2, 32, 16, 17)),
        ("alps", "met_era5_alps_utm32/era5_utm32_2025_05_01_00.nc", ["meteorology.layers=20"], (2, 20, 25, 14)),
        ("matimba", "matimba_no2_era5/Matimba_ERA5-pl-20210725.nc", ["meteorology.end=2021-07-25T03:00"],
         (3, 12, 14, 20)),
    ],
)  # fmt: skip
def test_every_reader_reaches_the_operator(compose, experiment, file, overrides, shape):
    needs(file, *(CATALOGUE if experiment == "matimba" else ()))
    setup = plume.assemble(compose(f"experiment={experiment}", *overrides))
    T = setup.transport
    assert T.meteorology.shape == shape
    assert T.meteorology.continuity_residual() <= 1e-12
    uniform = without_losses(T).mv(uniform_air(T.in_structure()))
    assert float(jnp.abs(uniform - 1.0).max()) <= 1e-12
    run = simulated.simulate(setup)
    assert run.budget.closure <= 1e-12 and run.budget.emitted > 0
    assert run.lowest >= -1e-9 * run.column.max()


def test_matimba_emits_what_the_catalogue_says(compose):
    needs("matimba_no2_era5/Matimba_ERA5-pl-20210725.nc", *CATALOGUE)
    setup = plume.assemble(compose("experiment=matimba", "meteorology.end=2021-07-25T03:00"))
    yearly = 6 * 3769503.02976834 + 3 * 4505264.67377425  # t
    factor = 1.052 * 0.948 * np.mean([0.909, 0.918, 0.954])
    assert sum(v for _, v in setup.emissions) == pytest.approx(yearly / 8760 * factor, rel=1e-9)
    assert setup.unit == "ppm" and len(setup.inputs) == 6


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["case.release_kg_s=0"], "the release is not stated once"),
        (["case.catalogue_ids=[CoCO2_14657]"], "the release is not stated once"),
        (["case.longitude=-70"], "the source lies outside the grid"),
        (["case.height_m=[0,90000]"], "does not fit the model"),
        (["case.height_m=[100]"], "case.height_m is out of range"),
        (["case.shares=[1,2]"], "case.shares is out of range"),
        (["case.half_life_h=0"], "case.half_life_h is out of range"),
        (["case.spacing_km=5"], "case.extent_km is out of range"),
        (["case.spacing_km=7", "case.extent_km=[-50,50,-50,50]"], "grid of the plume"),
        (
            ["case.spacing_km=10", "case.extent_km=[-50,50,-50,50]", "case.crs=EPSG:4326"],
            "the grid of the plume cannot",
        ),
        (["case.spacing_km=10", "case.extent_km=[-50,50,-50,50]", "case.crs=nonsense"], "case.crs is not a coordinate"),
        (["case.spacing_km=50", "case.extent_km=[-500,500,-500,500]"], "reaches beyond"),
        (["meteorology.files=[]"], "meteorology.files is empty"),
        (["meteorology.levels=1"], "meteorology.levels is out of range"),
        (["observations=city"], "case plume cannot use this observations"),
    ],
)
def test_options_that_do_not_fit(compose, overrides, what):
    needs(MANAGUA)
    with pytest.raises(TanhengError, match=what):
        plume.assemble(compose(*SHORT, *overrides))


def test_a_projected_grid_holds_the_source_in_its_middle(compose):
    needs(MANAGUA)
    setup = plume.assemble(compose(*SHORT, "case.spacing_km=10", "case.extent_km=[-50,50,-40,40]"))
    assert setup.domain.grid.shape == (8, 10)
    assert (int(setup.transport.injection.row[0]), int(setup.transport.injection.column[0])) == (4, 5)
    assert setup.transport.meteorology.continuity_residual() <= 1e-12


def test_the_check_of_a_plume(compose):
    from experiments.tasks.check import evidence_of

    needs(MANAGUA)
    config = compose(*SHORT, "task=check", "task.pairs=1", "meteorology.end=2017-12-03T06:00", "meteorology.layers=8",
                     "case.height_m=[0,50]")  # fmt: skip
    evidence = evidence_of(config)
    assert not evidence.failed and "PPMLimited" in evidence.notes[0]
    assert evidence.values["adjoint_identity"] <= 1e-13
    assert json.dumps(evidence.facts)


def test_the_command_takes_a_file_by_its_path(command, tmp_path):
    """A list with an absolute path is also what the terminal's markup would take for a closing tag."""
    name = "openmethane_bowen_basin/case_2022-12-07/wrf_20221207_d01_25h.nc"
    needs(name)
    none = [f"{group}=none" for group in ("observations", "prior", "control", "covariance", "solver")]
    code, _, errors = command(
        "case=plume", "task=simulate", "meteorology=wrf", *none, "case.title='[/x] one well'", "hydra.run.dir=out",
        f"meteorology.files=[{Path(os.environ['TANHENG_DATA']) / name}]", "meteorology.end=2022-12-07T02:00",
        "meteorology.layers=12", "case.longitude=148.7", "case.latitude=-23.3", "case.release_kg_s=1",
        "case.molar_mass_g_mol=16.04", "products.animation=false", "products.figures=false",
    )  # fmt: skip
    assert code == 0, errors
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert summary["emission_total"]["value"] == pytest.approx(3.6) and summary["synthetic"]
    assert summary["budget"]["emitted"] == pytest.approx(7.2) and "[/x] one well" in errors

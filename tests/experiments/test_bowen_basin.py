"""The Bowen Basin: prior, soundings and comparison against the files themselves, read anew with h5py."""

import dataclasses
import json
import os
from pathlib import Path
from types import SimpleNamespace

import h5py
import jax.numpy as jnp
import numpy as np
import pyproj
import pytest
from scipy.interpolate import RegularGridInterpolator

from experiments import simulated
from experiments.cases.bowen_basin import cmaq, files, forward, inventory
from experiments.cases.simulation import OtherModel
from experiments.schemes import scheme_of
from transport.errors import TanhengError

SHORT = ("experiment=bowen_basin_forward", "meteorology.end=2022-12-07T05:00")


def path(name: str) -> Path:
    return Path(os.environ["TANHENG_DATA"]) / "openmethane_bowen_basin" / name


@pytest.fixture(scope="module")
def setup(bowen_basin, compose):
    """Five hours, the overpass at 03:44 UTC among them."""
    return forward.assemble(compose(*SHORT))


@pytest.fixture(scope="module")
def run(setup):
    return simulated.simulate(setup)


def test_the_prior_keeps_its_mass(setup):
    """23.7 t/h, 17.2 of it fugitive: flux · nominal cell area of 10⁸ m², summed over the file."""
    with h5py.File(path("case_2022-12-07/prior/prior-emissions.nc")) as data:
        stated = data["ch4_total"][()].sum() * 1e8 * 3.6  # type: ignore[index]
    assert stated == pytest.approx(23.7, abs=0.05)
    rates = dict(setup.emissions)
    assert len(rates) == 12 and sum(rates.values()) == pytest.approx(stated, rel=1e-6)
    assert rates["fugitive"] == pytest.approx(17.22, abs=0.005) and setup.emissions[0][0] == "fugitive"
    emitted = float((setup.sources.surface[0] * setup.domain.grid.areas).sum())
    assert setup.tonnes_per_hour(emitted) == pytest.approx(stated, rel=1e-6)
    assert np.ptp(np.asarray(setup.sources.surface), axis=0).max() == 0.0


def test_the_prior_lies_where_its_file_says(setup):
    """The strongest cell of the file is our strongest cell, by longitude and latitude; the rim emits nothing."""
    with h5py.File(path("case_2022-12-07/prior/prior-emissions.nc")) as data:
        total = data["ch4_total"][0, 0]  # type: ignore[index]
        lon, lat = data["lon"][()], data["lat"][()]  # type: ignore[index]
    surface, grid = np.asarray(setup.sources.surface[0]), setup.domain.grid
    ours, theirs = np.unravel_index(surface.argmax(), surface.shape), np.unravel_index(total.argmax(), total.shape)
    x, y = grid.lonlat(grid.x[ours[1]], grid.y[ours[0]])
    assert abs(x - lon[theirs]) < 1e-4 and abs(y - lat[theirs]) < 1e-4
    assert surface.shape == (12, 12) and np.count_nonzero(surface) == 100
    assert surface[0].max() == surface[-1].max() == surface[:, 0].max() == surface[:, -1].max() == 0.0
    ratio = surface[1:-1, 1:-1] * 16.0425e-9 * grid.areas[1:-1, 1:-1] / (total * 1e8)
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-5)


def test_cells_that_are_not_ours_are_refused(setup, compose):
    grid = setup.domain.grid
    lon, lat = grid.lonlat(*np.meshgrid(grid.x[2:6], grid.y[3:5]))
    assert inventory.window_of(lon, lat, grid, "it") == (slice(3, 5), slice(2, 6))
    for shift in (0.002, 0.05):
        with pytest.raises(TanhengError, match="the cells of it are not cells"):
            inventory.window_of(lon + shift, lat, grid, "it")
    with pytest.raises(TanhengError, match="the cells of the prior are not cells"):
        forward.assemble(compose(*SHORT, "meteorology.rim=3"))


def test_a_prior_in_another_unit_or_with_gaps_is_refused(setup, monkeypatch, tmp_path):
    original = files.open_file("case_2022-12-07/prior/prior-emissions.nc", ("ch4_total",), decode_times=False)

    def altered(change):
        data = original.copy(deep=True)
        change(data)
        data.to_netcdf(tmp_path / "prior.nc", engine="h5netcdf")
        monkeypatch.setattr(inventory, "BOWEN_BASIN", SimpleNamespace(fetch=lambda path: tmp_path / path))
        return inventory.read_inventory("prior.nc", setup.domain.grid)

    assert altered(lambda d: None).mass.sum() == pytest.approx(6.5778372281202655, rel=1e-12)
    with pytest.raises(TanhengError, match="unit"):
        altered(lambda d: d.ch4_sector_waste.attrs.update(units="g/m2/s"))
    with pytest.raises(TanhengError, match=r"sum to its total|missing|finite"):
        altered(lambda d: d.ch4_sector_waste.values.__setitem__((0, 0, 2, 2), np.nan))
    with pytest.raises(TanhengError, match="do not sum to its total"):
        altered(lambda d: d.ch4_sector_waste.values.__setitem__((0, 0, 2, 2), 1.0))


def test_the_soundings_are_those_of_the_file(setup):
    with h5py.File(path("case_2022-12-07/obs/test_obs_2022-12-07.nc")) as data:
        values = data["xch4"][()]  # type: ignore[index]
    s = setup.soundings
    o = s.observations
    assert len(o) == 165 and sum(s.dropped.values()) == 0
    np.testing.assert_array_equal(o.values, values)
    assert str(o.start.min())[:19] == "2022-12-07T03:44:25"
    # 03:44:25 is 13465 s after midnight; the sample is taken within five minutes of it, in the fourth hour.
    first = int(np.argmin(o.start))
    assert [a[first] for a in setup.domain.air().window(o)] == [13165.0, 13765.0]
    assert s.seen.operator.intervals[first, 0] == 3
    assert setup.inflow == pytest.approx(np.median(values) / 1e3, rel=1e-12)


def test_the_weights_of_a_sounding_by_hand(setup):
    """Σ over product layers of h a times the share of each that lies in a model layer; pressure between four cells."""
    with h5py.File(path("case_2022-12-07/obs/test_obs_2022-12-07.nc")) as data:
        kernel = data["column_averaging_kernel"][7][::-1]  # type: ignore[index]
        lon, lat = data["longitude"][7], data["latitude"][7]  # type: ignore[index]
    assert kernel[0] > 1.0 > kernel[-1]  # sensitive at the ground, less so at the top
    grid = setup.domain.grid
    x, y = pyproj.Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(lon, lat)
    edges = np.moveaxis(setup.domain.prepared.pressure_edges[3].astype(float), 0, -1)
    p = RegularGridInterpolator((grid.y, grid.x), edges)([[y, x]])[0]
    expected = np.zeros(len(p) - 1)
    for i in range(12):
        bottom, top = p[0] * (1 - i / 12), p[0] * (1 - (i + 1) / 12)
        for k in range(len(p) - 1):
            expected[k] += kernel[i] / 12 * max(min(p[k], bottom) - max(p[k + 1], top), 0.0) / (bottom - top)
    seen = setup.soundings.seen
    np.testing.assert_allclose(seen.operator.levels[7], 1e3 * expected, rtol=1e-9)
    assert seen.offset[7] == pytest.approx(1e3 * setup.inflow * (1 - expected.sum()))


def test_air_of_the_inflow_is_seen_as_the_inflow(setup):
    """Without emissions every sounding sees c, whatever its kernel: the a-priori stands for the rest of the column."""
    silent = dataclasses.replace(setup.sources, surface=0.0 * setup.sources.surface)
    seen = simulated.simulate(dataclasses.replace(setup, sources=silent)).modelled
    np.testing.assert_allclose(seen, 1e3 * setup.inflow, rtol=1e-12)


def test_the_budget_closes_and_counts_the_emission(run):
    budget = simulated.budget_tonnes(run)
    assert budget["closure"] <= 1e-12
    assert budget["emitted"] == pytest.approx(23.680214 * 5, rel=1e-6)
    assert 0.3 * budget["emitted"] < budget["emission_in_the_domain_at_the_end"] < budget["emitted"]
    assert run.setup.transport.meteorology.continuity_residual() <= 1e-12


def test_columns_are_sampled_between_cells(run):
    """A sounding at the centre of a cell sees the kernel applied to that cell's profile alone."""
    enhancement = run.modelled - run.background
    assert enhancement.max() > 3.0 and abs(enhancement.min()) < 3.0
    cell = run.column[3] - run.background
    assert enhancement.max() < 1.2 * cell.max()


def test_the_comparison_uses_the_template(setup):
    """Column means by hand, in one cell and one hour; a run of other hours is refused."""
    name, rows = "case_2022-12-07/templates/conc_template.nc", slice(1, 11)
    rng = np.random.default_rng(3)
    air = rng.uniform(1.0, 2.0, (24, 32, 12, 12))
    other = cmaq.cmaq_columns(name, air, rows, rows)
    with h5py.File(path(name)) as data:
        profile = 0.5 * (data["CH4"][6, :, 2, 4] + data["CH4"][7, :, 2, 4])  # type: ignore[index]
    weights = air[6, :, 3, 5]
    assert other.column.shape == (24, 10, 10)
    assert other.column[6, 2, 4] == pytest.approx(1e3 * (weights @ profile) / weights.sum(), rel=1e-6)
    with pytest.raises(TanhengError, match="another shape than the run"):
        cmaq.cmaq_columns(name, air[:5], rows, rows)
    assert setup.other is None  # five hours are not the template's day


def test_correlation_and_enhancement_by_hand(run):
    a, b = np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.0, 5.0])
    assert simulated.correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert np.isnan(simulated.correlation(a, np.ones(3)))
    theirs = np.random.default_rng(0).uniform(1750, 1760, (5, 10, 10))
    other = OtherModel("m", theirs, slice(1, 11), slice(1, 11), "c")
    numbers = simulated.compare(dataclasses.replace(run, other=other))
    ours = run.column[:, 1:11, 1:11] - 1e3 * run.setup.inflow
    assert numbers is not None
    excess = theirs - theirs.min(axis=(1, 2))[:, None, None]
    assert numbers["correlation_all_hours"] == pytest.approx(np.corrcoef(ours.ravel(), excess.ravel())[0, 1])
    assert numbers["rms_difference"] == pytest.approx(np.sqrt(np.mean((ours - excess) ** 2)))


def test_july_is_refused_unless_asked_for(bowen_basin, compose):
    options = ("experiment=bowen_basin_forward", "case.date=july")
    with pytest.raises(TanhengError, match="not credible"):
        forward.assemble(compose(*options))
    allowed = forward.assemble(compose(*options, "prior.allow_not_credible=true"))
    assert any("NOT CREDIBLE" in note for note in allowed.notes)
    assert sum(v for _, v in allowed.emissions) == pytest.approx(144.85, abs=0.01)
    s = allowed.soundings
    assert s is not None and len(s.observations) + sum(s.dropped.values()) == 1575
    # The README counts 73 soundings over the 9 × 9 cells of the file; the rim of one cell is left out here.
    assert 0 < len(s.observations) < 73 and s.dropped["outside the grid"] == 1575 - len(s.observations)
    assert allowed.other is None


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["observations=none"], "the mole fraction of the inflow is not known"),
        (["meteorology=ecmwf"], "case bowen_basin cannot use this meteorology"),
        (["prior=none"], "case bowen_basin cannot use this prior"),
        (["observations=city"], "case bowen_basin cannot use this observations"),
        (["transport=region_responses"], "case bowen_basin cannot use this transport"),
        (["meteorology.start=2022-12-07T12:00", "meteorology.end=2022-12-07T14:00"], "no observation is left"),
        (["meteorology.files=[nowhere.nc]"], "a file is not at hand"),
        (["meteorology.layers=99"], "number of layers out of range"),
    ],
)
def test_options_that_do_not_fit(bowen_basin, compose, overrides, what):
    with pytest.raises(TanhengError, match=what):
        forward.assemble(compose(*SHORT, *overrides))


def test_a_stated_inflow_is_taken(bowen_basin, compose):
    setup = forward.assemble(compose(*SHORT, "prior.inflow_ppb=1800", "observations=none", "transport.scheme=upwind"))
    assert setup.inflow == pytest.approx(1.8) and setup.soundings is None and "1800.0 ppb" in setup.notes[0]
    assert type(setup.transport.scheme) is type(scheme_of(compose(*SHORT, "transport.scheme=upwind").transport))


def test_single_precision_and_split(bowen_basin, compose):
    setup = forward.assemble(
        compose(*SHORT, "transport.precision=single", "transport.split=4", "observations.qa_minimum=1")
    )
    assert setup.transport.meteorology.shape[0] == 20 and setup.transport.meteorology.air.dtype == jnp.float32
    run = simulated.simulate(setup)
    assert run.budget.closure <= 1e-5
    # Quarter hours: the sample at 03:44:25 ± 300 s lies in the fifteenth of them.
    assert run.focus() == 14


def test_the_command_writes_the_run(bowen_basin, command, tmp_path):
    code, _, errors = command(*SHORT, "meteorology.layers=20", "hydra.run.dir=out", "products.animation=false")
    assert code == 0, errors
    assert "23.7 t CH4 h-1 emitted" in errors and "165 soundings (0 dropped)" in errors
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert summary["emission_total"]["value"] == pytest.approx(23.680214, rel=1e-6)
    assert summary["transport"]["intervals"] == 5 and summary["soundings"]["n"] == 165
    assert set(manifest["files"]) == {
        "fields.nc", "frames.png", "map-column.png", "manifest.json", "report.html", "soundings.png", "summary.json",
    }  # fmt: skip
    expected = bowen_basin.files["case_2022-12-07/wrf_20221207_d01_25h.nc"][1]
    assert manifest["inputs"]["openmethane_bowen_basin/case_2022-12-07/wrf_20221207_d01_25h.nc"] == expected
    assert len(manifest["inputs"]) == 3

"""Maps, series, NetCDF and report of two small cases: a projected synthetic city and a real one at the date line."""

import dataclasses
import re
import socket

import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from experiments.cases import Citation, MapSpec, Mark, Setup, TotalSpec
from experiments.numbers import number, with_uncertainty
from experiments.outcome import Outcome, evaluate
from experiments.products import maps, style
from experiments.products.coast import coastline
from experiments.products.maps import draw_maps
from experiments.products.netcdf import write_netcdf
from experiments.products.style import pretty, pretty_period, split_unit
from experiments.products.timeseries import _group, draw_series, draw_totals
from experiments.report.html import write_report
from inversion.covariance import Diagonal
from inversion.observations import Component, Observations
from inversion.problem import Problem
from inversion.solvers.analytic import Analytic

HOURS = 30
CITATION = Citation("Tarantola (2005), Inverse Problem Theory", "10.1137/1.9780898717921")


@pytest.fixture(autouse=True, scope="module")
def no_network():
    def refuse(*args, **kwargs):
        raise AssertionError(f"a product asked for the network: {args[1:]}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


def _observations(H: np.ndarray, x: np.ndarray, unit: str) -> Observations:
    """Two towers, one with a gap, an overpass at one instant, and one constraint."""
    hours = np.datetime64("2024-01-10T00") + np.arange(HOURS) * np.timedelta64(1, "h")
    late = np.where(np.arange(HOURS) < 10, hours, hours + np.timedelta64(9, "h"))
    rest = len(H) - 2 * HOURS
    times = np.concatenate([hours, late, np.full(rest, hours[5])])
    kinds = ["tower"] * 2 * HOURS + ["column"] * (rest - 1) + ["constraint"]
    groups = ["North <b>gate</b>"] * HOURS + ["South $gate$"] * HOURS + ["overpass"] * (rest - 1) + ["smoothing"]
    noise = 0.1 * np.random.default_rng(1).standard_normal(len(H))
    times = times.astype("datetime64[s]")
    errors = Component.independent("representativeness", np.full(len(H), 0.1))
    return Observations(H @ x + noise, times, times, np.array(groups), np.array(kinds), unit, (errors,))


def _outcome(case: Setup) -> Outcome:
    return evaluate(case, Analytic().solve(case.problem), "analytic")


def _problem(n: int, prior: np.ndarray, truth: np.ndarray, unit: str) -> tuple[Problem, Observations]:
    H = np.random.default_rng(0).random((2 * HOURS + 8, n)) / n
    observations = _observations(H, truth, unit)
    matrix = lx.MatrixLinearOperator(jnp.asarray(H))
    problem = Problem(
        matrix, jnp.asarray(prior), Diagonal(np.full(n, 0.6)), jnp.asarray(observations.values),
        Diagonal(observations.sigma), jnp.zeros(len(observations)),
    )  # fmt: skip
    return problem, observations


def _city() -> Setup:
    """6 × 5 projected cells, two of them left out, all fluxes positive, with a truth."""
    layout = np.arange(30).reshape(5, 6)
    layout[0, 0], layout[4, 5] = -1, -1
    prior = np.linspace(1.0, 4.0, 30)
    truth = prior + 0.3
    problem, observations = _problem(30, prior, truth, "ppm")
    weights = np.stack([np.ones(30), np.arange(30) < 10])
    spec = MapSpec(
        "CO2 flux", "µmol m-2 s-1", "+proj=laea +lat_0=40.8 +lon_0=111.7 +datum=WGS84 +units=m",
        np.arange(-9e3, 9.1e3, 3e3), np.arange(-7.5e3, 7.6e3, 3e3), layout, np.eye(30), truth,
        (Mark(111.7, 40.8, "Tower <1>", "tower"), Mark(111.75, 40.82, "works", "point source")),
    )  # fmt: skip
    return Setup(
        "city", "A city of CO2 <script>alert(1)</script>", True, "CO2", problem, observations,
        TotalSpec(("City & land", "South"), "2024-01-10/2024-01-12", weights, "Tg CO2 yr-1", weights @ truth), spec,
        (("cells", 30, "µmol m-2 s-1"),), truth, (CITATION,), {"prior.nc": "ab" * 32}, {"noise": 1},
        ("A <i>note</i>.",),
    )  # fmt: skip


def _islands() -> Setup:
    """Four regions on a geographic grid across the date line, with sinks, a coast and a window."""
    x, y = np.arange(160.0, 190.1, 1.0), np.arange(-50.0, -29.9, 1.0)
    layout = (np.arange(20)[:, None] // 10) * 2 + np.arange(30)[None] // 15
    prior = np.array([-3.0, 1.0, 2.0, -0.5])
    problem, observations = _problem(4, prior, prior - 0.2, "ppm")
    spec = MapSpec(
        "CO2 flux", "kg CO2 m-2 yr-1", "EPSG:4326", x, y, layout, np.eye(4),
        marks=(Mark(174.87, -41.41, "Baring Head", "tower"), Mark(-178.0, -40.0, "East", "tower")),
        extent=(164.0, 188.0, -49.0, -33.0), coast=True,
    )  # fmt: skip
    totals = TotalSpec(("All",), "2024", np.ones((1, 4)), "Tg CO2 yr-1")
    blocks = (("land", 2, "Tg CO2 yr-1"), ("boundary", 2, "1"))
    return Setup("islands", "Islands at the date line", False, "CO2", problem, observations, totals, spec, blocks)


@pytest.fixture(scope="module")
def city(no_network) -> Outcome:
    return _outcome(_city())


@pytest.fixture(scope="module")
def islands(no_network) -> Outcome:
    return _outcome(_islands())


def _summary(outcome: Outcome) -> dict:
    fit = {
        "group": "all",
        "n": 60,
        "dfs": 2.5,
        "misfit": 0.97,
        "rmse_prior": 0.512,
        "rmse_posterior": 0.098,
        "unit": "ppm",
    }
    return {
        "chi2": outcome.diagnostics.chi2, "dfs": 2.5, "n_obs": 67, "n_constraints": 1, "n_state": outcome.mean.size,
        "fit": [fit, fit | {"group": "North <b>gate</b>"}], "solver": "analytic", "result": "successful",
        "innovations": {"chi2": 1.04, "low": 0.7, "high": 1.3, "outliers": [3]},
        "blocks": [{"name": "area emission", "n": 4, "unit": "1", "dfs": 2.5}],
        "observations": {
            "steps": [{"what": "read", "before": 9, "kept": 7, "dropped": {"quality <5": 2}}],
            "components": [
                {"cause": "transport", "n": 7, "low": 0.1, "high": 0.1, "rms": 0.1, "shared": 0, "unit": "ppm"},
            ],
            "sources": [{"name": "a.nc", "sha256": 64 * "0", "reader": "any", "stamp": "start", "attribution": "",
                         "notes": ["assumed so"]}],
        },
        "accounts": [{
            "region": "City & land", "unit": "Tg CO2 yr-1", "inversion": {"value": 2.0, "u": 0.1, "U": 0.2},
            "account": {"value": 1.8, "u": 0.1, "U": 0.2}, "method": "account, GUM", "skewed": True,
            "difference": 0.2, "u_difference": 0.14,
            "z": 1.43, "E_n": 0.71, "agree": True, "correlation": 0.0, "file": "<b>mine</b>.yaml", "sha256": 64 * "0",
            "sectors": [{"sector": "<i>heat</i>", "value": 1.0, "u": 0.1, "percent": 20.0},
                        {"sector": "road", "value": 0.8, "u": 0.0, "percent": 0.0}],
        }],
        "wall_seconds": 1.234, "peak_memory_mib": 512.3,
    }  # fmt: skip


def _manifest(outcome: Outcome) -> dict:
    return {
        "experiment": "trial", "choices": {"case": "city"}, "overrides": ["seed=3"], "created": "2026-01-01T00:00:00",
        "platform": "here", "tanheng": "0.1.0", "git_revision": None, "python": "3.11.7", "packages": {"jax": "0.10"},
        "config": {"case": {"note": "</pre><script>alert(2)</script>"}}, "inputs": outcome.setup.inputs,
        "seeds": outcome.setup.seeds, "citations": [dataclasses.asdict(c) for c in outcome.setup.citations],
    }  # fmt: skip


@pytest.fixture(scope="module")
def figures(city, islands, tmp_path_factory) -> dict:
    """All figures by name of the case."""
    drawn = {}
    for outcome in (city, islands):
        folder = tmp_path_factory.mktemp(outcome.setup.name)
        paths = draw_maps(outcome, folder) | draw_series(outcome, folder / "new")
        drawn[outcome.setup.name] = paths | {"totals": draw_totals(outcome, folder)}
    return drawn


@pytest.fixture
def report(figures, tmp_path):
    """Writes the report of an outcome and returns its text."""

    def write(outcome: Outcome) -> str:
        path = tmp_path / "report.html"
        write_report(outcome, figures[outcome.setup.name], _summary(outcome), _manifest(outcome), path)
        return path.read_text(encoding="utf-8")

    return write


def _is_drawn(path) -> bool:
    colours = Image.open(path).convert("RGB").getcolors(maxcolors=1 << 20)
    return path.stat().st_size > 5000 and len(colours) > 20


def test_every_figure_is_drawn(figures):
    names = {"prior", "posterior", "increment", "reduction", "maps", "series", "totals"}
    assert set(figures["city"]) == names | {"truth"}
    assert set(figures["islands"]) == names
    assert all(_is_drawn(path) for paths in figures.values() for path in paths.values())


def test_fluxes_share_one_scale_and_sinks_get_a_diverging_one(city, islands):
    for outcome, sinks in ((city, False), (islands, True)):
        frame = maps.frame_of(outcome.setup.map)
        scales = maps._scales(maps._per_element(outcome, frame), outcome.setup.map.unit)
        assert scales["prior"] is scales["posterior"] is scales["truth"]
        assert (scales["prior"].low, scales["prior"].cmap.name) == (
            (-scales["prior"].high, "vik") if sinks else (0.0, "lipari_r")
        )
        assert scales["increment"].low == -scales["increment"].high
        assert (scales["reduction"].low, scales["reduction"].high) == (0.0, 100.0)


def test_limit_cuts_off_rare_extremes_only():
    values = np.ones(1000)
    assert maps.robust_limit(values) == 1.0
    values[0] = 50.0
    assert maps.robust_limit(values) == 1.0
    assert maps.robust_limit(np.zeros(3)) == 1.0
    assert maps.robust_limit(np.array([np.nan, -4.0, 3.9])) == 4.0
    assert maps.symmetric(np.array([-9.0, *np.ones(999)]), "").extend == "min"


def test_window_passes_the_date_line(islands):
    frame = maps.frame_of(islands.setup.map)
    assert frame.bounds == (-16.0, 8.0, -49.0, -33.0)
    assert np.allclose(frame.lonlat_box, (164.0, 188.0, -49.0, -33.0))
    assert np.allclose(frame.from_lonlat(-178.0, -40.0), frame.from_lonlat(182.0, -40.0))
    assert frame.inside(*frame.from_lonlat(-178.0, -40.0))
    labels = maps._degrees(np.array([165.0, 180.0, -175.0]), "E", "W")
    assert labels == ["165°E", "180°", "175°W"]
    assert maps._degrees(np.array([-0.5, 0.0]), "N", "S") == ["0.5°S", "0.0°"]


def test_projected_frame_places_marks(city):
    frame = maps.frame_of(city.setup.map)
    assert np.allclose(frame.from_lonlat(111.7, 40.8), 0.0, atol=1e-6)
    assert frame.aspect == pytest.approx(15.0 / 18.0)
    assert frame.x_to_km == 1e-3


def test_coast_is_clipped_and_continuous():
    lines = coastline(160.0, 190.0, -50.0, -33.0)
    points = np.concatenate(lines)
    assert points[:, 0].min() >= 160.0 and points[:, 0].max() <= 190.0
    assert points[:, 0].max() > 180.0, "the Chatham Islands lie at 183.5°E"
    # The southernmost point of the South Island's mainland, Slope Point, lies at 46.67°S, 169.00°E.
    near = np.hypot(points[:, 0] - 169.0, points[:, 1] + 46.67).min()
    assert near < 0.2
    assert all(np.abs(np.diff(line, axis=0)).max() < 2.0 for line in lines)
    assert coastline(-140.0, -135.0, 30.0, 35.0) == []


def test_labels_avoid_each_other():
    boxes = maps._label_boxes(np.array([[1.0, 1.0], [1.05, 1.02], [2.95, 1.0]]), ["Alpha", "Beta", "Gamma"], (3.0, 3.0))
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert all(maps._overlap(a, b) == 0.0 for a, b in pairs)
    assert all(box[0] >= 0.0 and box[1] <= 3.0 for box in boxes)


def test_many_groups_fill_several_sheets(city, tmp_path):
    observations = city.setup.observations
    groups = np.array([f"site {i // 6:02d}" for i in range(len(observations))])
    setup = dataclasses.replace(city.setup, observations=dataclasses.replace(observations, groups=groups))
    paths = draw_series(dataclasses.replace(city, setup=setup), tmp_path)
    assert list(paths) == ["series", "series-2"]


def test_missing_hours_break_the_line_and_soundings_have_no_time(city):
    assert _group(city, "North <b>gate</b>").breaks.size == 0
    assert _group(city, "South $gate$").breaks.tolist() == [10]
    overpass = _group(city, "overpass")
    assert not overpass.is_time and overpass.x.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def test_rare_prior_extremes_do_not_squeeze_a_long_series(city):
    group = _group(city, "North <b>gate</b>")
    size = 1000
    long = dataclasses.replace(
        group, x=np.arange(size), value=np.sin(np.arange(size)), sigma=np.full(size, 0.1),
        prior=np.where(np.arange(size) == 3, 90.0, 0.0), posterior=np.zeros(size),
    )  # fmt: skip
    assert long.limits[1] < 2.0
    assert group.limits[1] >= (group.value + group.sigma).max()


@pytest.mark.parametrize("name", ["city", "islands"])
def test_netcdf_round_trip(name, request, tmp_path):
    outcome = request.getfixturevalue(name)
    setup = outcome.setup
    write_netcdf(outcome, tmp_path / "posterior.nc")
    with xr.open_dataset(tmp_path / "posterior.nc") as data:
        assert data.attrs["Conventions"] == "CF-1.10"
        assert data.attrs["synthetic"] == ("true" if setup.synthetic else "false")
        for field, values in outcome.fields.items():
            np.testing.assert_array_equal(data[f"flux_{field}"].values, values)
            assert data[f"flux_{field}"].attrs["grid_mapping"] == "crs"
        np.testing.assert_array_equal(data.control_posterior.values, outcome.mean)
        np.testing.assert_array_equal(data.observation_time.values, setup.observations.start)
        assert data.observation_group.values.tolist() == setup.observations.groups.tolist()
        assert data.region.values.tolist() == list(setup.totals.regions)
        np.testing.assert_array_equal(data.total_covariance.values, outcome.totals_covariance)
        np.testing.assert_array_equal(data.x_bounds.values[:, 1], setup.map.x_edges[1:])
        assert all(
            "long_name" in v.attrs for n, v in data.data_vars.items() if n not in ("crs", "x_bounds", "y_bounds")
        )


def test_netcdf_units(city, islands, tmp_path):
    write_netcdf(city, tmp_path / "city.nc")
    write_netcdf(islands, tmp_path / "islands.nc")
    with xr.open_dataset(tmp_path / "city.nc") as data:
        assert data.flux_prior.attrs["units"] == "umol m-2 s-1"
        assert data.total_prior.attrs | {"long_name": ""} == {"units": "Tg yr-1", "substance": "CO2", "long_name": ""}
        assert data.total_covariance.attrs["units"] == "Tg2 yr-2"
        assert data.control_prior.attrs["units"] == "umol m-2 s-1"
        assert data.crs.attrs["grid_mapping_name"] == "lambert_azimuthal_equal_area"
        assert data.x.attrs["standard_name"] == "projection_x_coordinate"
        assert float(data.lon.values.mean()) == pytest.approx(111.7, abs=1e-6)
    with xr.open_dataset(tmp_path / "islands.nc") as data:
        assert data.x.attrs["units"] == "degrees_east" and "lon" not in data.coords
        assert "units" not in data.control_prior.attrs
        assert data.control_unit.values.tolist() == ["Tg CO2 yr-1"] * 2 + ["1"] * 2


@pytest.mark.parametrize(
    ("value", "u", "expected"),
    [
        (12.3456, 0.4321, ("12.35", "0.43")),
        (-83.6295, 21.389, ("−84", "21")),
        (1234.5, 357.0, ("1230", "360")),
        (5.0, 0.0996, ("5.00", "0.10")),  # rounds up to one digit more
        (0.00012345, 0.0000123, ("0.000123", "0.000012")),
        (123456.0, 1200.0, ("123\u202f500", "1200")),
        (-0.004, 1.2, ("0.0", "1.2")),  # no negative zero
        (12345.678, 0.0, ("12\u202f350", "0")),
        (2.5, float("nan"), ("2.500", "–")),
    ],
)
def test_value_and_uncertainty_end_at_the_same_place(value, u, expected):
    assert with_uncertainty(value, u) == expected


def test_text_for_people_and_for_udunits():
    assert pretty("Tg CO2 yr-1") == "Tg CO₂ yr⁻¹"
    assert pretty("µmol m-2 s-1") == "µmol m⁻² s⁻¹"
    assert pretty("CH4 from NAME-3 over 10 km2 in 2012-2013") == "CH₄ from NAME-3 over 10 km² in 2012-2013"
    assert split_unit("Tg C yr-1") == ("Tg yr-1", "C")
    assert split_unit("1") == ("1", "")
    assert pretty_period("2025-04-06T16:00:00Z/2025-04-11T16:00:00Z") == "2025-04-06 16:00 UTC to 2025-04-11 16:00 UTC"
    assert number(None, -2) == "–"


def test_report_says_what_it_must(city, report):
    text = report(city)
    total = city.totals[0]
    value, expanded = with_uncertainty(total.posterior, 2.0 * total.u_posterior)
    assert f"{value} ± {expanded}" in text
    assert "City &amp; land" in text and "doi:10.1137/1.9780898717921" in text
    assert "ab" * 32 in text and "noise = 1" in text
    assert text.count("data:image/png;base64,") == 3


def test_report_asks_nothing_of_the_network(city, report):
    text = report(city)
    links = re.findall(r"(?:src|href)\s*=\s*[\"']?([^\"'\s>]{0,60})", text)
    assert links and all(link.startswith(("data:image/png", "https://doi.org/")) for link in links)
    assert "url(" not in text and "@import" not in text and "<script" not in text and "<link" not in text


def test_report_escapes_what_users_write(city, report):
    text = report(city)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "&lt;/pre&gt;&lt;script&gt;" in text
    assert "<b>gate" not in text and "<i>note" not in text


def test_synthetic_is_said_exactly_when_it_is_so(city, islands, report):
    assert "SYNTHETIC" in report(city)
    assert "SYNTHETIC" not in report(islands)
    for outcome in (city, islands):
        words = [text.get_text() for text in style.sheet(outcome.setup, 6.0, 2.0).texts]
        assert any("SYNTHETIC" in word for word in words) == outcome.setup.synthetic
        assert any(word.startswith(pretty(outcome.setup.title)[:10]) for word in words)


def test_weak_constraint_is_said_in_words(city, report):
    def first_total(u_posterior):
        total = dataclasses.replace(city.totals[0], u_prior=1.0, u_posterior=u_posterior)
        return dataclasses.replace(city, totals=(total, *city.totals[1:]))

    assert "by only 12 %" in report(first_total(0.88))
    assert "do not reduce the uncertainty of City" in report(first_total(1.0))
    assert "constraint is weak" not in report(first_total(0.5))

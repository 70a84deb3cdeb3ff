import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from inversion import blocks as build
from inversion.basis import cells, kmeans, regions
from inversion.control import ControlMap
from inversion.covariance import Diagonal
from inversion.polygons import polygons
from inversion.problem import Problem
from inversion.regions import TotalRows, emission_rows, named_totals, per_year
from inversion.solvers.analytic import Analytic
from inversion.steps import constant, steps
from transport.errors import TanhengError
from transport.grid import Grid
from transport.sources import Boundary, Sources

RNG = np.random.default_rng(0)
GRID = Grid(np.linspace(0.0, 3.0, 4), np.linspace(50.0, 52.0, 3))
TIMES = np.datetime64("2014-01-31T00") + np.arange(0, 72, 12).astype("timedelta64[h]")  # 2 in January, 4 in February
HOURS = np.array([12.0, 12.0, 12.0, 6.0, 12.0, 12.0])
MONTHS, DAYS = steps(TIMES, "month"), steps(TIMES, "day")
FLUX = RNG.uniform(0.5, 2.0, (2, 6, *GRID.shape))
POINT_CELLS = (np.array([0, 1]), np.array([2, 0]))


def one(n):
    return Diagonal(np.ones(n))


@pytest.fixture(scope="module")
def blocks():
    base = kmeans(GRID, 3)
    halves = polygons(GRID, {"west": [[[(0, 50), (1.5, 50), (1.5, 52), (0, 52), (0, 50)]]],
                             "east": [[[(1.5, 50), (3, 50), (3, 52), (1.5, 52), (1.5, 50)]]]})  # fmt: skip
    return [
        build.scaling("area", FLUX, base, DAYS, one(18), sectors=("road", "heat")),
        build.offsets("offset", np.array(["a", "b"]), ("a",), one(1)),
        build.additive("biosphere", halves, MONTHS, one(4)),
        build.points("stacks", RNG.uniform(1e6, 2e6, (6, 2)), ("s1", "s2"), constant(TIMES), one(2)),
    ]


def mask():
    return regions(np.array([[1, 1, 2], [1, 2, 0]]), {1: "left", 2: "right"})


def emitted(blocks, x):
    """Surface and point fluxes by the control map that the inversion itself uses."""
    structure = Sources(jnp.zeros((6, *GRID.shape)), jnp.zeros((6, 2)), Boundary(*(jnp.zeros((6, 1, 2)),) * 2,
                        *(jnp.zeros((6, 1, 3)),) * 2, jnp.zeros((6, 2, 3))), jnp.zeros((1, 2, 3)))  # fmt: skip
    out = ControlMap(blocks, jax.eval_shape(lambda: structure)).mv(jnp.asarray(x))
    return np.asarray(out.surface), np.asarray(out.points)


def rows(blocks, **options):
    return emission_rows(blocks, GRID, mask(), MONTHS, HOURS, per_year("CO2", "Mt"), "Mt yr-1", **options)


def test_totals_are_those_of_the_emitted_fields(blocks):
    found = rows(blocks, point_cells=POINT_CELLS)
    x = RNG.normal(size=25)
    surface, points = emitted(blocks, x)
    assert found.weights.shape == (4, 25) and not found.weights[:, 18].any()  # the offset emits nothing
    for label, total in zip(found.labels, found.weights @ x, strict=True):
        inside = np.array([[1, 1, 2], [1, 2, 0]]) == {"left": 1, "right": 2}[label["region"]]
        rate = (surface * GRID.areas * inside).sum(axis=(1, 2)) + points @ inside[POINT_CELLS].astype(float)
        when = np.array([str(t)[:7] == label["period"] for t in TIMES])
        mean = (rate * HOURS)[when].sum() / HOURS[when].sum()  # µmol s-1
        assert total == pytest.approx(mean * 1e-6 * 44.0095e-3 * 365 * 86400 * 1e-9, rel=1e-12)


def test_sectors_add_up_to_all(blocks):
    found = rows(blocks, sectors=("road", "heat", "biosphere", "stacks", "all"), point_cells=POINT_CELLS)
    parts = sum(found.weights[found.where(sector=s)] for s in ("road", "heat", "biosphere", "stacks"))
    np.testing.assert_allclose(parts, found.weights[found.where(sector="all")], rtol=1e-12)
    x = np.zeros(25)
    x[:18] = 1.0
    road = found.weights[found.where(region="left", sector="road", period="2014-02")] @ x
    rate = (FLUX[0] * GRID.areas * np.array([[1, 1, 0], [1, 0, 0]])).sum(axis=(1, 2))
    expected = (rate * HOURS)[2:].sum() / HOURS[2:].sum() * per_year("CO2", "Mt")
    assert road[0] == pytest.approx(expected, rel=1e-12)


def test_a_polygon_takes_its_share_of_cells(blocks):
    """A rectangle over half of a cell in longitude holds half of its emission."""
    half = polygons(GRID, {"half": [[[(0, 50), (0.5, 50), (0.5, 51), (0, 51), (0, 50)]]]})
    block = build.scaling("area", FLUX[0], cells(GRID.shape), constant(TIMES), one(6))
    found = emission_rows([block], GRID, half, constant(TIMES), 12.0, 1.0, "umol s-1")
    assert (found.weights @ np.ones(6))[0] == pytest.approx(
        0.5 * (FLUX[0, :, 0, 0] * GRID.areas[0, 0]).mean(), rel=1e-9
    )


@pytest.fixture(scope="module")
def solved(blocks):
    found = rows(blocks, sectors=("road", "biosphere"))
    H = lx.MatrixLinearOperator(jnp.asarray(RNG.normal(size=(30, 25))))
    problem = Problem(H, jnp.ones(25), one(25), jnp.asarray(RNG.normal(size=30)), one(30), jnp.zeros(30))
    posterior = Analytic().solve(problem)
    return posterior, named_totals(posterior, found)


def test_differences_and_trends_use_the_covariance_between_periods(solved):
    posterior, totals = solved
    W, A = totals.rows.weights, np.asarray(posterior.covariance_mv(jnp.eye(25)))
    chosen = totals.rows.where(region="left", sector="road")
    w = W[chosen[1]] - W[chosen[0]]
    change = totals.difference(*chosen)
    assert float(change.mean[0]) == pytest.approx(float(w @ posterior.mean), rel=1e-9)
    assert float(change.sigma[0]) == pytest.approx(float(np.sqrt(w @ A @ w)), rel=1e-9)
    np.testing.assert_allclose(
        totals.posterior.covariance, W @ A @ W.T, rtol=1e-8, atol=1e-12 * np.abs(W @ A @ W.T).max()
    )
    slope = totals.trend(chosen, [0.0, 2.0])  # two points: half the difference
    assert float(slope.sigma[0]) == pytest.approx(0.5 * float(change.sigma[0]), rel=1e-9)
    four = totals.trend(np.arange(4), [0.0, 1.0, 2.0, 4.0])
    assert float(four.mean[0]) == pytest.approx(np.polyfit([0, 1, 2, 4], totals.posterior.mean[:4], 1)[0], rel=1e-9)
    rho = np.asarray(totals.posterior.correlation)
    np.testing.assert_allclose(np.diagonal(rho), 1.0)
    assert np.abs(rho).max() < 1.0 + 1e-12


def test_they_can_be_written(solved, tmp_path):
    import xarray as xr

    _, totals = solved
    record = totals.records()[3]
    assert (record["region"], record["sector"], record["period"]) == ("left", "biosphere", "2014-02")
    assert record["posterior"] == float(totals.posterior.mean[3]) and record["unit"] == "Mt yr-1"
    totals.to_dataset().to_netcdf(tmp_path / "totals.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "totals.nc", engine="h5netcdf") as back:
        np.testing.assert_array_equal(back.posterior_covariance, totals.posterior.covariance)
        assert back.region.values.tolist() == [r["region"] for r in totals.records()]
        assert back.prior.units == "Mt yr-1"


def test_what_does_not_fit_is_refused(blocks, solved):
    with pytest.raises(TanhengError, match="point sources have no place"):
        rows(blocks)
    with pytest.raises(TanhengError, match="do not fit the control vector"):
        rows(blocks, sectors=("rail",), point_cells=POINT_CELLS)
    with pytest.raises(TanhengError, match="no such label"):
        solved[1].rows.where(month="2014-01")
    with pytest.raises(TanhengError, match="no total has these labels"):
        solved[1].rows.where(period="2015-01")
    with pytest.raises(TanhengError, match="no trend"):
        solved[1].trend([0, 1], [1.0, 1.0])
    with pytest.raises(TanhengError, match="unknown unit"):
        per_year("N2", "Tg")
    with pytest.raises(TanhengError, match="has no emission"):
        rows(blocks[1:2])
    with pytest.raises(TanhengError, match="do not fit their labels"):
        TotalRows(solved[1].rows.labels, np.ones((2, 3)), "t")

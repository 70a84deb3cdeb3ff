"""Point sources: profiles that conserve, plume rise by hand, cells, totals, capture as its own stream."""

import numpy as np
import pytest

from priors.hourly import Effect, HourlyEmissions
from priors.point_sources import PointSource, PointSources, injection_profile, plume_rise
from priors.totals import total
from transport.constants import MOLAR_MASS
from transport.errors import TanhengError
from transport.grid import Grid

EDGES = np.array([0.0, 100.0, 200.0, 400.0, 800.0])
GRID = Grid(np.arange(110.0, 115.0), np.arange(38.0, 42.0))
UTM = Grid(np.arange(0.0, 5e4, 1e4) + 4.8e5, np.arange(0.0, 4e4, 1e4) + 4.52e6, "EPSG:32649")


def source(**changes):
    return PointSource(**({"name": "A", "lon": 111.5, "lat": 40.5, "sector": "power", "height": 150.0} | changes))


def stream(rates, effects=(), scope="direct", name="A"):
    times = np.datetime64("2021-01-01", "s") + 3600 * np.arange(len(rates) + 1)
    return HourlyEmissions(name, "CO2", times, np.array(rates, float), np.full(len(rates), "measured"), effects, scope)


def test_profiles_by_hand():
    assert injection_profile(EDGES, source()).tolist() == [0.0, 1.0, 0.0, 0.0]
    # h 150, Δh 100: even over 200…300 m
    assert injection_profile(EDGES, source(), 100.0).tolist() == [0.0, 0.0, 1.0, 0.0]
    # Δh 200: 250…450 m: 150 of 200 m below 400 m
    assert injection_profile(EDGES, source(), 200.0) == pytest.approx([0.0, 0.0, 0.75, 0.25])
    # GNFR-like table: 0.3 in 50…150, 0.7 in 150…350: 0.15 | 0.15 + 0.7/4 | 0.7·3/4
    table = source(heights=(50.0, 150.0, 350.0), shares=(3.0, 7.0))
    assert injection_profile(EDGES, table) == pytest.approx([0.15, 0.325, 0.525, 0.0])
    assert injection_profile(EDGES, source(heights=(0.0, 400.0))) == pytest.approx([0.25, 0.25, 0.5, 0.0])
    assert injection_profile(EDGES, source(height=0.0))[0] == 1.0
    with pytest.raises(TanhengError, match="does not fit"):
        injection_profile(EDGES, source(), 500.0)


@pytest.mark.parametrize("seed", range(5))
def test_profiles_conserve(seed):
    rng = np.random.default_rng(seed)
    z = np.sort(rng.uniform(0, 790, 6))
    p = injection_profile(EDGES, source(heights=tuple(z), shares=tuple(rng.uniform(0, 1, 5))))
    assert p.sum() == pytest.approx(1.0, abs=1e-15)
    assert (p >= 0).all()


def test_plume_rise_by_hand():
    hot = source(diameter=6.0, temperature=400.0, velocity=20.0)
    # F = 9.80665·20·36·100/(4·400) = 441.3 m4 s-3 → 38.71·441.3^0.6/5 = 299 m
    assert plume_rise(hot, 5.0, 300.0) == pytest.approx(38.71 * 441.299**0.6 / 5.0, rel=1e-5)
    assert plume_rise(hot, 5.0, 300.0) == pytest.approx(299.0, abs=0.5)
    # s = 9.80665·0.02/300 = 6.538e-4 → 2.6·(441.3/(5·6.538e-4))^⅓ = 133.4 m
    assert plume_rise(hot, 5.0, 300.0, 0.02) == pytest.approx(133.35, abs=0.1)
    small = source(diameter=1.0, temperature=400.0, velocity=10.0)  # F = 6.129 → 21.425·6.129^¾/5 = 16.69 m
    assert plume_rise(small, 5.0, 300.0) == pytest.approx(16.69, abs=0.01)
    cold = source(diameter=1.0, temperature=290.0, velocity=10.0)  # momentum alone: 3·1·10/5
    assert plume_rise(cold, 5.0, 300.0) == pytest.approx(6.0)
    # The two neutral formulas meet within 1 % at F = 55 m4 s-3, v = 22.434 m/s here.
    near = [plume_rise(source(diameter=2.0, temperature=400.0, velocity=v), 5.0, 300.0) for v in (22.43, 22.44)]
    assert near[1] / near[0] == pytest.approx(0.99, abs=0.005)
    assert plume_rise(hot, 0.0, 300.0) == plume_rise(hot, 1.0, 300.0)
    with pytest.raises(TanhengError, match="cannot be computed"):
        plume_rise(source(), 5.0, 300.0)


@pytest.mark.parametrize("grid", [GRID, UTM])
def test_totals_are_kept_to_the_last_digit(grid):
    rng = np.random.default_rng(0)
    if grid is GRID:
        lon, lat = rng.uniform(110, 114, 30), rng.uniform(38, 41, 30)
    else:
        x, y = rng.uniform(4.8e5, 5.2e5, 30), rng.uniform(4.52e6, 4.55e6, 30)
        lon, lat = grid.lonlat(x, y)
    sources = tuple(source(name=f"s{i}", lon=float(a), lat=float(b), sector=("power", "industry")[i % 2])
                    for i, (a, b) in enumerate(zip(lon, lat, strict=True)))  # fmt: skip
    times = np.datetime64("2021-01-01", "h") + np.arange(25)
    points = PointSources("CO2", sources, times, rng.uniform(0, 100, (30, 24)))
    inventory, injection = points.inventory(grid), points.injection(grid, EDGES)
    injection.check((4, *grid.shape))
    assert inventory.total() == pytest.approx(points.rate.sum() / 24, rel=1e-12)
    assert inventory.totals()["power"] == pytest.approx(points.rate[::2].sum() / 24, rel=1e-12)
    released = points.release() * MOLAR_MASS["CO2"] * 1e-6
    field = np.zeros((24, 4, *grid.shape))
    for i, (r, c) in enumerate(zip(injection.row, injection.column, strict=True)):
        field[:, :, r, c] += released[:, i, None] * injection.profile[i]
    np.testing.assert_allclose(field.sum(axis=1), inventory.rate.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(field.sum(), points.rate.sum(), rtol=1e-12)


def test_the_cell_is_the_right_one():
    points = PointSources("CO2", (source(lon=113.2 - 360 * 0, lat=38.1),), np.arange(2).astype("datetime64[h]"),
                          np.ones((1, 1)))  # fmt: skip
    assert [c.tolist() for c in points.cells(GRID)] == [[0], [3]]
    around = Grid(np.arange(350.0, 361.0), np.arange(-5.0, 6.0))
    west = PointSources("CO2", (source(lon=-4.5, lat=0.5),), points.times, points.rate)
    assert [c.tolist() for c in west.cells(around)] == [[5], [5]]


def test_capture_is_a_stream_of_its_own():
    gas = (Effect("span gas", np.full(4, 1.0), np.full(4, "c1")),)
    meter = (Effect("capture meter", np.full(4, 0.8), np.full(4, "m")),)
    emitted, captured = stream([100.0, 90.0, 100.0, 110.0], gas), stream([40.0] * 4, meter).negative("captured")
    pairs = [(source(), emitted), (source(name="A capture", stream="captured", height=0.0), captured)]
    points = PointSources.of(pairs, emitted.times[::2])
    assert points.rate.tolist() == [[95.0, 105.0], [-40.0, -40.0]]
    assert points.sectors == ("power", "power captured")
    inventory = points.inventory(GRID)
    assert inventory.totals() == {"power": 100.0, "power captured": -40.0}
    t = total([emitted, captured], emitted.times[0], emitted.times[-1])
    assert (t.mass, t.u) == pytest.approx((60.0 * 4 * 3600, 4 * 3600 * np.hypot(1.0, 0.8)))
    with pytest.raises(TanhengError, match="wrong sign"):
        PointSources.of([(source(), captured)], emitted.times)
    with pytest.raises(TanhengError, match="wrong sign"):
        PointSources.of([(source(stream="captured"), emitted)], emitted.times)


def test_indirect_emissions_never_enter_a_flux():
    with pytest.raises(TanhengError, match="cannot be point sources"):
        PointSources.of([(source(), stream([1.0], scope="indirect"))], stream([1.0]).times)


def test_sources_outside_are_counted_or_refused():
    pair = tuple(source(name=n, lon=x) for n, x in (("in", 111.0), ("out", 120.0)))
    points = PointSources("CO2", pair, np.arange(2).astype("datetime64[h]"), np.array([[1.0], [2.0]]))
    with pytest.raises(TanhengError, match="out lies outside"):
        points.inventory(GRID)
    inside = points.within(GRID)
    assert inside.total() == 1.0
    assert inside.steps[-1].dropped == (("outside", 1),)
    with pytest.raises(TanhengError, match="stands on the grid"):
        points.within(Grid(np.arange(3.0), np.arange(3.0)))
    assert "2 sources" in repr(points)


@pytest.mark.parametrize("changes", [
    {"name": ""}, {"lon": 400.0}, {"lat": np.nan}, {"height": -1.0}, {"height": 2000.0}, {"heights": (10.0, 5.0)},
    {"heights": (0.0, 5.0), "shares": (1.0, 2.0)}, {"shares": (1.0,)}, {"diameter": 0.0}, {"stream": "sink"},
    {"temperature": 120.0}, {"velocity": 7e4}, {"diameter": 600.0},
])  # fmt: skip
def test_sources_that_cannot_be(changes):
    with pytest.raises(TanhengError) as error:
        source(**changes)
    assert error.value.remedy


def test_rates_that_do_not_fit():
    times = np.arange(2).astype("datetime64[h]")
    for sources, rate in (((source(), source()), np.ones((2, 1))), ((source(),), np.ones((1, 2))),
                          ((source(),), np.array([[np.nan]]))):  # fmt: skip
        with pytest.raises(TanhengError, match="do not fit"):
            PointSources("CO2", sources, times, rate)
    with pytest.raises(TanhengError, match="do not fit"):
        PointSources("CO2", (source(),), times[::-1], np.ones((1, 1)))


def test_rises_weather_layers_and_streams():
    hot = source(diameter=6.0, temperature=400.0, velocity=20.0)
    for weather in ((np.inf, 300.0), (5.0, 27.0), (5.0, 300.0, 5.0), (5.0, 300.0, np.nan)):
        with pytest.raises(TanhengError, match="cannot be computed"):
            plume_rise(hot, *weather)
    two = PointSources("CO2", (source(), source(name="B")), np.arange(2).astype("datetime64[h]"), np.ones((2, 1)))
    profiles = two.injection(GRID, EDGES, np.array([0.0, 100.0])).profile
    assert profiles.tolist() == [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    with pytest.raises(TanhengError, match="rises"):
        two.injection(GRID, EDGES, [10.0])
    with pytest.raises(TanhengError, match="increasing"):
        injection_profile(EDGES[::-1], source())
    e = stream([1.0])
    with pytest.raises(TanhengError, match="two sources"):
        PointSources.of([(source(), e), (source(name="B"), e)], e.times)

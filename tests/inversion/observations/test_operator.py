"""Modelled observations by hand for every kind; one operator for a set of all kinds; its transpose."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from inversion.observations import Component, Observations, Vertical, join, units
from inversion.observations.operator import Air, observe, substitute_prior, within
from transport.errors import TanhengError
from transport.grid import Grid
from transport.linear import adjoint_gap
from transport.sampling import pressure_weights

GRID = Grid(np.linspace(10.0, 11.0, 6), np.linspace(50.0, 51.0, 5), "EPSG:4326")
TIMES = np.datetime64("2024-06-01T00", "s") + np.arange(5) * np.timedelta64(1, "h")
PRESSURE = np.array([1.0e5, 9.0e4, 7.0e4, 3.0e4])
HEIGHT = np.array([0.0, 900.0, 3000.0, 9000.0])
AIR = Air(GRID, TIMES, *(np.broadcast_to(a[:, None, None], (4, 4, 4, 5)) for a in (PRESSURE, HEIGHT)))
PROFILE = np.array([420.0, 410.0, 405.0])
AT = "2024-06-01T01:30:00"


def observed(kind="column", n=1, **changes) -> Observations:
    fields = {
        "values": np.full(n, 410.0), "start": np.full(n, np.datetime64(AT)), "end": np.full(n, np.datetime64(AT)),
        "groups": np.full(n, kind), "kinds": np.full(n, kind), "unit": "ppm", "species": "CO2",
        "components": (Component.independent("repeatability", np.ones(n)),), "lon": np.full(n, 10.5),
        "lat": np.full(n, 50.4), "height": np.full(n, np.nan if kind == "column" else 450.0),
        "vertical": columns(n) if kind == "column" else None,
    }  # fmt: skip
    return Observations(**{**fields, **changes})


EDGES = np.array([1.0e5, 8.0e4, 4.0e4, 0.0])
KERNEL, PRIOR = np.array([1.1, 0.9, 0.4]), np.array([400.0, 402.0, 398.0])


def columns(n=1, kernel=KERNEL, prior=PRIOR) -> Vertical:
    h = pressure_weights(EDGES)
    rows = [np.tile(a, (n, 1)) for a in (EDGES, h, kernel, prior)]
    return Vertical(rows[0], np.ones(n, bool), rows[1], rows[2], rows[3], np.full(n, h @ prior))


def air(profile=PROFILE):
    return jnp.broadcast_to(jnp.asarray(profile)[:, None, None], AIR.shape)


def test_a_column_by_hand():
    """Product layers 1000–800–400–0 hPa over model layers 1000–900–700–300 hPa."""
    h = pressure_weights(EDGES)
    # Layer 1: halves of 420 and 410. Layer 2: 800–700 of 410, 700–400 of 405. Layer 3: 400–300 of 405, the rest x_a.
    x = np.array([415.0, (410 + 3 * 405) / 4, (405 + 3 * 398) / 4])
    expected = h @ PRIOR + np.sum(h * KERNEL * (x - PRIOR))
    assert float(observe(observed(), AIR)(air())[0]) == pytest.approx(expected, rel=1e-12)


def test_the_prior_profile_gives_the_prior_column():
    o = observed(vertical=columns(prior=np.full(3, 407.0)))
    assert float(observe(o, AIR)(air(np.full(3, 407.0)))[0]) == pytest.approx(407.0, rel=1e-12)


def test_a_unit_kernel_sees_the_column_mean():
    """Up to the model's top at 300 hPa, and the product's prior above."""
    o = observed(vertical=columns(kernel=np.ones(3)))
    mean = (1e4 * 420 + 2e4 * 410 + 4e4 * 405 + 3e4 * 398) / 1e5
    assert float(observe(o, AIR)(air())[0]) == pytest.approx(mean, rel=1e-12)


def test_trap_14_another_surface_pressure():
    """Over a valley a product sees the lowest layer below the model's ground; over a hill not all of it."""
    for surface, expected in ((1.05e5, (1.5e4 * 420 + 2e4 * 410 + 4e4 * 405 + 3e4 * 398) / 1.05e5),
                              (0.95e5, (0.5e4 * 420 + 2e4 * 410 + 4e4 * 405 + 3e4 * 398) / 0.95e5)):  # fmt: skip
        v = columns(kernel=np.ones(3))
        pressure = np.array([[surface, 8.0e4, 3.0e4, 0.0]])
        h = pressure_weights(pressure)
        v = dataclasses.replace(v, pressure=pressure, weights=h, prior_value=h @ PRIOR)
        assert float(observe(observed(vertical=v), AIR)(air())[0]) == pytest.approx(expected, rel=1e-12)


def test_an_inlet_and_a_path_by_hand():
    """450 m is the centre of the lowest layer, 1950 m of the second: 1200 m lies half-way."""
    assert float(observe(observed("tower", height=np.array([1200.0])), AIR)(air())[0]) == pytest.approx(415.0)
    path = observed("path", height=np.array([450.0]), ends=np.array([[10.7, 50.6, 1950.0]]))
    assert float(observe(path, AIR)(air())[0]) == pytest.approx(415.0, rel=1e-9)


def test_a_window_is_a_mean_over_time():
    field = air() + jnp.arange(4.0)[:, None, None, None]
    o = observed(
        "tower", start=np.array([np.datetime64("2024-06-01T00:30")]), end=np.array([np.datetime64("2024-06-01T02:30")])
    )
    assert float(observe(o, AIR)(field)[0]) == pytest.approx(420.0 + (0.5 * 0 + 1 + 0.5 * 2) / 2)


def test_units_follow_the_observations():
    ppb = units.to_unit(observed(), "ppb")
    assert float(observe(ppb, AIR)(air())[0]) == pytest.approx(
        1e3 * float(observe(observed(), AIR)(air())[0]), rel=1e-12
    )


def test_a_column_amount_by_hand():
    """mol m-2: weights are the air of each layer, in mol m-2, and there is no prior."""
    amount = -np.diff(EDGES) / (9.80665 * 28.9647e-3)
    v = Vertical(EDGES[None], np.array([True]), amount[None], np.ones((1, 3)), np.zeros((1, 3)), np.zeros(1))
    o = observed(unit="mol m-2", species="NO2", vertical=v, values=np.array([1e-4]))
    below = 1e-6 * (1e4 * 420 + 2e4 * 410 + 4e4 * 405) / (9.80665 * 28.9647e-3)
    assert float(observe(o, AIR)(air())[0]) == pytest.approx(below, rel=1e-12)


def test_all_kinds_in_one_operator_and_its_transpose():
    rng = np.random.default_rng(0)
    lon, lat = 10.0 + rng.random((2, 40)), 50.0 + rng.random((2, 40))
    sets = [
        observed("tower", 40, lon=lon[0], lat=lat[0], height=rng.uniform(0, 9000, 40)),
        observed("column", 40, lon=lon[0], lat=lat[0], corners=_corners(lon[0], lat[0])),
        observed("path", 40, lon=lon[0], lat=lat[0], ends=np.stack([lon[1], lat[1], np.full(40, 80.0)], axis=1)),
    ]
    field = jnp.asarray(rng.random(AIR.shape))
    for points in (1, 3):
        whole = observe(join(sets), AIR, points)
        np.testing.assert_allclose(
            whole(field), np.concatenate([observe(s, AIR, points)(field) for s in sets]), rtol=1e-12
        )
        assert adjoint_gap(whole.operator) < 1e-14


def _corners(lon, lat, half=0.004):
    dx, dy = np.array([-half, half, half, -half]), np.array([-half, -half, half, half])
    return np.stack([lon[:, None] + dx, lat[:, None] + dy], axis=-1).clip([10.0, 50.0], [11.0, 51.0])


def test_a_pixel_is_averaged_over_its_area():
    """Of a field linear in x the mean over a pixel is the value at its centre, of a quadratic one it is not."""
    o = observed("column", corners=_corners(np.array([10.5]), np.array([50.4]), 0.25))
    linear = air() + jnp.asarray(GRID.x)
    assert float(observe(o, AIR, 5)(linear)[0]) == pytest.approx(float(observe(o, AIR, 1)(linear)[0]), rel=1e-12)
    bent = air() + 100.0 * jnp.asarray(GRID.x - 10.5) ** 2
    assert float(observe(o, AIR, 5)(bent)[0]) > float(observe(o, AIR, 1)(bent)[0]) + 0.5


@pytest.mark.parametrize(
    ("o", "what"),
    [
        (observed(vertical=columns(prior=np.array([np.nan, 400.0, 400.0]))), "without an a-priori profile"),
        (observed(vertical=columns(kernel=np.array([np.nan, 1.0, 1.0]))), "without averaging kernel"),
        (observed(vertical=None), "without averaging kernel"),
        (observed("tower", height=np.array([np.nan])), "without a height"),
        (observed("path"), "without a far end"),
        (observed("tower", lon=np.array([np.nan])), "has no place"),
        (observed("constraint"), "is not sampled"),
        (observed("tower", lon=np.array([12.0])), "outside the model"),
        (observed("tower", unit="Tg"), "cannot be compared with air"),
        (observed("tower", height=np.array([9001.0])), "inlet height"),
    ],
)
def test_what_cannot_be_seen_is_refused(o, what):
    with pytest.raises(TanhengError, match=what) as error:
        observe(o, AIR)
    assert error.value.remedy


def test_a_substitute_for_the_prior_is_named():
    bare = observed(vertical=columns(prior=np.full(3, np.nan)))
    o = substitute_prior(bare, 401.0, "the median of the soundings")
    assert "median of the soundings" in o.steps[-1].what
    assert o.vertical is not None and o.vertical.prior_value[0] == pytest.approx(401.0)
    assert float(observe(o, AIR)(air(np.full(3, 401.0)))[0]) == pytest.approx(401.0, rel=1e-12)


def test_rows_outside_are_left_out_with_a_reason():
    late = np.array(["2024-06-02"], "M8[s]")
    sets = [observed("tower"), observed("tower", lon=np.array([12.0])), observed("tower", start=late, end=late)]
    kept = within(join(sets), AIR)
    assert len(kept) == 1 and dict(kept.steps[-1].dropped) == {"outside the grid": 1, "outside the window": 1}


def test_the_date_line_does_not_cut_a_grid_or_a_pixel():
    """A grid of 175…183°: a place at −179° lies in it, and a pixel across the line is one piece."""
    grid = Grid(np.linspace(175.0, 183.0, 9), np.linspace(-41.0, -37.0, 5), "EPSG:4326")
    far = Air(grid, TIMES, *(np.broadcast_to(a[:, None, None], (4, 4, 4, 8)) for a in (PRESSURE, HEIGHT)))
    field = jnp.broadcast_to(jnp.asarray(grid.x), far.shape)
    tower = observed("tower", lon=np.array([-179.0]), lat=np.array([-39.0]))
    assert len(within(tower, far)) == 1
    assert float(observe(tower, far)(field)[0]) == pytest.approx(181.0)
    corners = np.array([[[179.6, -39.2], [-179.6, -39.2], [-179.6, -38.8], [179.6, -38.8]]])
    v = Vertical(PRESSURE[None], np.array([True]), pressure_weights(PRESSURE)[None], np.ones((1, 3)), np.zeros((1, 3)),
                 np.zeros(1))  # fmt: skip
    pixel = observed("column", lon=np.array([180.0]), lat=np.array([-39.0]), corners=corners, vertical=v)
    assert float(observe(pixel, far, 4)(field)[0]) == pytest.approx(180.0, rel=1e-9)


def test_a_pixel_that_is_cut_by_the_rim_is_left_out_where_it_is_averaged():
    o = observed("column", lon=np.array([10.02]), corners=_corners_at(10.02, 50.4, 0.05))
    assert len(within(o, AIR)) == 1
    with pytest.raises(TanhengError, match="no observation is left"):
        within(o, AIR, points=3)


def _corners_at(lon, lat, half):
    return np.array(
        [[[lon - half, lat - half], [lon + half, lat - half], [lon + half, lat + half], [lon - half, lat + half]]]
    )


@pytest.mark.parametrize("points", [0, -1, 1.5])
def test_points_of_a_pixel_are_counted(points):
    with pytest.raises(TanhengError, match="points per side"):
        observe(observed(), AIR, points)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"times": TIMES[:-1]}, "does not fit its grid and times"),
        ({"times": np.r_[TIMES[:-1], TIMES[-1:] + np.timedelta64(1, "h")]}, "does not fit its grid and times"),
        ({"pressure_edges": np.moveaxis(AIR.pressure_edges, 2, 3)}, "does not fit its grid and times"),
        ({"height_edges": AIR.height_edges[:, ::-1]}, "do not follow each other"),
    ],
)
def test_air_is_checked(changes, what):
    with pytest.raises(TanhengError, match=what):
        dataclasses.replace(AIR, **changes)


def test_a_substitute_of_another_unit_and_a_difference_of_columns_are_refused():
    bare = observed(vertical=columns(prior=np.full(3, np.nan)))
    with pytest.raises(TanhengError, match="cannot be of these columns"):
        substitute_prior(bare, 4e-4, "mol/mol by mistake")
    with pytest.raises(TanhengError, match="differences of two columns"):
        observe(observed(extra={"upwind_lon": np.zeros(1), "upwind_lat": np.zeros(1)}), AIR)


def test_air_of_another_shape_is_refused():
    with pytest.raises(TanhengError, match="does not fit the sampler"):
        observe(observed(), AIR).operator.mv(jnp.zeros((4, 4, 5, 3)))

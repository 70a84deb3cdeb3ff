import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transport.errors import TanhengError
from transport.grid import Grid
from transport.levels import IsothermalHeights
from transport.linear import adjoint_gap
from transport.sampling import (
    Combined,
    Receptor,
    Sampler,
    column_weights,
    height_weights,
    path_average,
    pressure_weights,
)
from transport.sampling import sampler as sampler_module

GRID = Grid(np.arange(7) * 1e3, np.arange(6) * 1e3, "+proj=laea +lat_0=40 +lon_0=110")
LEVELS = IsothermalHeights(np.array([0.0, 100.0, 300.0, 700.0]))
SHAPE = (4, 3, 5, 6)


def test_a_point_sample_reproduces_a_linear_field():
    z = jnp.asarray(LEVELS.centres)[:, None, None]
    field = 2.0 * z + 3e-3 * jnp.asarray(GRID.y)[:, None] - 1e-3 * jnp.asarray(GRID.x) + 7.0
    air = jnp.stack([field + 10.0 * t for t in range(4)])
    sample = Sampler(
        [Receptor(2300.0, 1800.0, 7200.0, 10800.0, height_weights(LEVELS.edges, 150.0))], GRID, SHAPE, 3600.0
    ).mv(air)
    assert float(sample[0]) == pytest.approx(2 * 150 + 5.4 - 2.3 + 7 + 20, rel=1e-12)


def test_transpose():
    receptors = [Receptor(x, y, 3600.0 * t, 3600.0 * (t + 1), height_weights(LEVELS.edges, h)) for x, y, t, h in
                 [(100.0, 4900.0, 0, 5.0), (3e3, 2.5e3, 3, 250.0), (5.9e3, 10.0, 1, 699.0)]]  # fmt: skip
    receptors.append(Receptor(2.2e3, 3.3e3, 7200.0, 9000.0, np.array([0.2, 0.3, 0.1])))
    assert adjoint_gap(Sampler(receptors, GRID, SHAPE, 3600.0)) < 1e-14


def test_column_weights_by_hand():
    # Model edges 1000, 900, 500 hPa; product layers 1000–800–400–0 hPa with kernel 1, 0.5, 0.2.
    weights = column_weights(
        np.array([1000.0, 900.0, 500.0]),
        np.array([1000.0, 800.0, 400.0, 0.0]),
        np.array([0.2, 0.4, 0.4]),
        np.array([1.0, 0.5, 0.2]),
    )
    # Layer 1 shares 100 hPa with product layer 1; layer 2 shares 100 with layer 1 and 300 with layer 2.
    np.testing.assert_allclose(weights, [1.0 * 100 / 1000, (1.0 * 100 + 0.5 * 300) / 1000])


def test_a_unit_kernel_weighs_the_share_of_the_column():
    edges = np.linspace(1e5, 0.0, 21)
    share = (LEVELS.pressure_edges[0] - LEVELS.pressure_edges[-1]) / 1e5
    assert column_weights(LEVELS.pressure_edges, edges, np.full(20, 0.05), np.ones(20)).sum() == pytest.approx(
        share, rel=1e-12
    )


def test_kernel_order_is_checked():
    with pytest.raises(TanhengError, match="pressure edges"):
        column_weights(LEVELS.pressure_edges, np.linspace(0.0, 1e5, 21), np.full(20, 0.05), np.ones(20))


@pytest.mark.parametrize(
    "receptor", [Receptor(-1.0, 0.0, 0.0, 3600.0, np.ones(3)), Receptor(1.0, 1.0, 14400.0, 18000.0, np.ones(3))]
)
def test_a_receptor_outside_is_refused(receptor):
    with pytest.raises(TanhengError, match="outside the model"):
        Sampler([receptor], GRID, SHAPE, 3600.0)


def test_an_inlet_above_the_model_is_refused():
    with pytest.raises(TanhengError, match="inlet height"):
        height_weights(LEVELS.edges, 701.0)


def test_a_sampler_is_jittable():
    sampler = Sampler([Receptor(1e3, 1e3, 0.0, 3600.0, np.ones(3))], GRID, SHAPE, 3600.0)
    assert jax.jit(lambda air: sampler.mv(air))(jnp.ones(SHAPE)).shape == (1,)


def test_weights_of_another_model_are_refused():
    with pytest.raises(TanhengError, match="vertical weights"):
        Sampler([Receptor(1e3, 1e3, 0.0, 3600.0, np.ones(4))], GRID, SHAPE, 3600.0)


def test_a_product_that_reaches_below_the_ground_sees_the_lowest_layer():
    edges = np.array([1.05e5, 9.0e4, 0.0])
    weights = column_weights(LEVELS.pressure_edges, edges, pressure_weights(edges), np.ones(2))
    assert weights.sum() == pytest.approx((1.05e5 - LEVELS.pressure_edges[-1]) / 1.05e5, rel=1e-12)


def test_a_window_takes_each_interval_by_the_time_they_share():
    """00:30 to 02:15 of hourly means 1, 2, 3, 4: half an hour of the first, all of the second, 15 min of the third."""
    air = jnp.broadcast_to(jnp.arange(1.0, 5.0)[:, None, None, None], SHAPE)
    receptor = Receptor(1e3, 1e3, 1800.0, 8100.0, height_weights(LEVELS.edges, 50.0))
    expected = (0.5 * 1 + 1.0 * 2 + 0.25 * 3) / 1.75
    assert float(Sampler([receptor], GRID, SHAPE, 3600.0).mv(air)[0]) == pytest.approx(expected, rel=1e-12)


def test_a_lidar_path_through_a_linear_field_sees_its_middle():
    z = jnp.asarray(LEVELS.centres)[:, None, None]
    field = jnp.broadcast_to(0.1 * z + 3e-3 * jnp.asarray(GRID.y)[:, None] - 1e-3 * jnp.asarray(GRID.x), SHAPE)
    path = path_average((1e3, 4e3, 60.0), (4e3, 1.5e3, 400.0), (0.0, 600.0), lambda x, y: LEVELS.edges)
    sample = Sampler([path], GRID, SHAPE, 3600.0)
    assert float(sample.mv(field)[0]) == pytest.approx(0.1 * 230 + 3e-3 * 2750 - 1e-3 * 2500, rel=1e-12)
    assert adjoint_gap(sample) < 1e-14


def test_a_difference_of_two_columns():
    columns = [Receptor(x, 2.5e3, 0.0, 3600.0, np.array([0.2, 0.3, 0.1])) for x in (1e3, 5e3)]
    field = jnp.broadcast_to(jnp.asarray(GRID.x), SHAPE)
    both = Combined(tuple(columns), np.array([-1.0, 1.0]))
    assert float(Sampler([both], GRID, SHAPE, 3600.0).mv(field)[0]) == pytest.approx(0.6 * 4e3, rel=1e-12)


def test_hectopascal_and_upside_down_columns_are_refused():
    edges = np.linspace(1000.0, 0.0, 21)
    with pytest.raises(TanhengError, match="one pressure axis"):
        column_weights(LEVELS.pressure_edges, edges, np.full(20, 0.05), np.ones(20))
    with pytest.raises(TanhengError, match="one pressure axis"):
        column_weights(LEVELS.pressure_edges[::-1], 100.0 * edges, np.full(20, 0.05), np.ones(20))


def test_a_sum_needs_a_weight_for_each_receptor():
    with pytest.raises(TanhengError, match="one weight each"):
        Combined((Receptor(1e3, 1e3, 0.0, 3600.0, np.ones(3)),), np.ones(2))


# --- columns ----------------------------------------------------------------------------------------------------------
PRODUCT = np.array([1.0e5, 8.0e4, 5.0e4, 2.0e4, 0.0])  # four layers, or five levels
MODEL = np.array([1.0e5, 9.5e4, 8.5e4, 7.0e4, 5.5e4, 3.0e4, 1.0e4, 0.0])


def hats(levels: np.ndarray) -> np.ndarray:
    """Pressure weights of the trapezoid rule."""
    h = np.zeros(levels.size)
    h[:-1] -= 0.5 * np.diff(levels)
    h[1:] -= 0.5 * np.diff(levels)
    return h / (levels[0] - levels[-1])


def hand(model, pressure, h, a, layered, fine=200_000):
    """Σ h a φ / ∫φ summed over a fine grid of pressure, by layers of the model."""
    q = model[-1] + (np.arange(fine) + 0.5) / fine * (max(model[0], pressure[0]) - model[-1])
    density = np.zeros(fine)
    for i in range(h.size):
        if layered:
            shape = ((q <= pressure[i]) & (q > pressure[i + 1])).astype(float)
            area = pressure[i] - pressure[i + 1]
        else:
            unit = np.zeros(pressure.size)
            unit[i] = 1.0
            shape = np.where((q <= pressure[0]) & (q >= pressure[-1]), np.interp(q, pressure[::-1], unit[::-1]), 0.0)
            area = np.trapezoid(unit[::-1], pressure[::-1])
        density += h[i] * a[i] * shape / area
    edges = np.array(model)
    edges[0] = max(model[0], pressure[0])
    return np.array([density[(q <= b) & (q > t)].sum() * (q[1] - q[0]) for b, t in itertools.pairwise(edges)])


@pytest.mark.parametrize("surface", [1.0e5, 0.97e5, 1.03e5])
@pytest.mark.parametrize("layered", [True, False])
def test_weights_against_a_sum_over_fine_layers(layered, surface):
    """Also where the product reaches below the model's ground, or ends above it."""
    pressure = PRODUCT * surface / 1e5
    h = pressure_weights(pressure) if layered else hats(pressure)
    a = np.array([1.1, 1.0, 0.7, 0.3, 0.2])[: h.size]
    for model in (MODEL, MODEL[:5]):  # up to the top of the atmosphere, and not
        expected = hand(model, pressure, h, a, layered)
        np.testing.assert_allclose(column_weights(model, pressure, h, a, layered), expected, atol=2e-5)


@pytest.mark.parametrize("layered", [True, False])
def test_the_column_is_conserved_whatever_the_layers(layered):
    h = pressure_weights(PRODUCT) if layered else hats(PRODUCT)
    w = column_weights(MODEL, PRODUCT, h, np.ones(h.size), layered)
    np.testing.assert_allclose(w, -np.diff(MODEL) / 1e5, rtol=1e-12)


def test_a_level_sees_a_linear_profile_at_its_pressure():
    """Inner hats are symmetric where levels are evenly spaced, so that their mean is the value at the level."""
    levels = np.linspace(1.0e5, 0.0, 11)
    fine = np.linspace(1.0e5, 0.0, 1001)
    profile = 400.0 + 3e-4 * 0.5 * (fine[1:] + fine[:-1])
    one = np.zeros(11)
    one[4] = 1.0
    seen = column_weights(fine, levels, np.ones(11), one, layered=False) @ profile
    assert seen == pytest.approx(400.0 + 3e-4 * levels[4], rel=1e-9)


def test_many_columns_are_each_as_alone():
    """Layers, levels and padding side by side."""
    rng = np.random.default_rng(0)
    model = MODEL * (1.0 + 0.01 * rng.standard_normal((4, 1)))
    pressure = np.stack([PRODUCT, PRODUCT, np.r_[PRODUCT[:4], np.nan], np.r_[PRODUCT[:3], np.nan, np.nan]])
    h = np.array([[0.2, 0.3, 0.3, 0.2], [0.1, 0.3, 0.3, 0.3], [0.1, 0.4, 0.4, 0.1], [0.4, 0.6, np.nan, np.nan]])
    a = np.where(np.isnan(h), np.nan, rng.random((4, 4)))
    layered = np.array([True, True, False, True])
    together = column_weights(model, pressure, h, a, layered)
    alone = [
        column_weights(model[0], PRODUCT, h[0], a[0]),
        column_weights(model[1], PRODUCT, h[1], a[1]),
        column_weights(model[2], PRODUCT[:4], h[2], a[2], layered=False),
        column_weights(model[3], PRODUCT[:3], h[3, :2], a[3, :2]),
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-15)


def test_many_sights_at_once_are_the_receptors_one_by_one():
    rng = np.random.default_rng(1)
    n = 50
    x, y = rng.uniform(0, 6e3, n), rng.uniform(0, 5e3, n)
    start = rng.uniform(0, 3 * 3600.0, n)
    end = start + rng.uniform(1.0, 3600.0, n)
    levels = rng.random((n, 3))
    one_by_one = Sampler([Receptor(*r) for r in zip(x, y, start, end, levels, strict=True)], GRID, SHAPE, 3600.0)
    at_once = Sampler.of_arrays(x, y, start, end, levels, GRID, SHAPE, 3600.0)
    air = jnp.asarray(rng.random(SHAPE))
    np.testing.assert_allclose(at_once.mv(air), one_by_one.mv(air), rtol=1e-13)
    assert adjoint_gap(at_once) < 1e-14


def test_memory_is_bounded_by_batches(monkeypatch):
    """More sights than a batch, the last batch not full: the same numbers."""
    rng = np.random.default_rng(2)
    n = 23
    arguments = (rng.uniform(0, 6e3, n), rng.uniform(0, 5e3, n), np.zeros(n), np.full(n, 3600.0), rng.random((n, 3)))
    whole = Sampler.of_arrays(*arguments, GRID, SHAPE, 3600.0, owner=np.arange(n) // 2, samples=12)
    air, y = jnp.asarray(rng.random(SHAPE)), jnp.asarray(rng.random(12))
    expected, back = whole.mv(air), whole.mv_transposed(y)
    monkeypatch.setattr(sampler_module, "BATCH", 5)
    np.testing.assert_allclose(whole.mv(air), expected, rtol=1e-13)
    np.testing.assert_allclose(whole.mv_transposed(y), back, rtol=1e-13)
    assert adjoint_gap(whole) < 1e-14


def test_a_pixel_is_the_mean_over_its_points():
    x, y = np.array([[1e3, 2e3, 3e3]]), np.array([[1e3, 1e3, 4e3]])
    field = jnp.broadcast_to(jnp.asarray(GRID.x) + 2.0 * jnp.asarray(GRID.y)[:, None], SHAPE)
    sampler = Sampler.of_arrays(x, y, [0.0], [600.0], [[1.0, 0.0, 0.0]], GRID, SHAPE, 3600.0)
    assert float(sampler.mv(field)[0]) == pytest.approx(2e3 + 2.0 * 2e3, rel=1e-12)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transport.errors import TanhengError
from transport.grid import Grid
from transport.levels import IsothermalHeights
from transport.linear import adjoint_gap
from transport.sampling import Combined, Receptor, Sampler, column_weights, height_weights, path_average

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
        np.array([1000.0, 900.0, 500.0]), np.array([1000.0, 800.0, 400.0, 0.0]), np.array([1.0, 0.5, 0.2])
    )
    # Layer 1 shares 100 hPa with product layer 1; layer 2 shares 100 with layer 1 and 300 with layer 2.
    np.testing.assert_allclose(weights, [1.0 * 100 / 1000, (1.0 * 100 + 0.5 * 300) / 1000])


def test_a_unit_kernel_weighs_the_share_of_the_column():
    edges = np.linspace(1e5, 0.0, 21)
    share = (LEVELS.pressure_edges[0] - LEVELS.pressure_edges[-1]) / 1e5
    assert column_weights(LEVELS.pressure_edges, edges, np.ones(20)).sum() == pytest.approx(share, rel=1e-12)


def test_kernel_order_is_checked():
    with pytest.raises(TanhengError, match="pressure edges"):
        column_weights(LEVELS.pressure_edges, np.linspace(0.0, 1e5, 21), np.ones(20))


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
    weights = column_weights(LEVELS.pressure_edges, edges, np.ones(2))
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
        column_weights(LEVELS.pressure_edges, edges, np.ones(20))
    with pytest.raises(TanhengError, match="one pressure axis"):
        column_weights(LEVELS.pressure_edges[::-1], 100.0 * edges, np.ones(20))


def test_a_sum_needs_a_weight_for_each_receptor():
    with pytest.raises(TanhengError, match="one weight each"):
        Combined((Receptor(1e3, 1e3, 0.0, 3600.0, np.ones(3)),), np.ones(2))

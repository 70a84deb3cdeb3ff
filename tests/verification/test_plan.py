"""The plan of steps: no stage of a step may leave a cell without air, and nonsense is refused by name."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.eulerian.schemes.upwind import Upwind
from transport.meteorology import Meteorology
from transport.mixing import Mixing, Sinks
from transport.sources import Injection, Sources, uniform_air

AREAS = np.ones((3, 3))


def convergent(inflow: float, interval: float = 300.0) -> Meteorology:
    """One thin cell that gains `inflow` times its air per half step from all sides and loses it upwards."""
    air = jnp.ones((2, 3, 3, 3)).at[:, 1, 1, 1].set(0.1)
    rate = 0.1 * inflow / (0.5 * interval) / 4.0
    x, y, z = jnp.zeros((1, 3, 3, 4)), jnp.zeros((1, 3, 4, 3)), jnp.zeros((1, 4, 3, 3))
    # In through the four sides of the cell's layer, out through the top of the cell and back down beside it.
    x = x.at[0, 1, 1, 1].set(rate).at[0, 1, 1, 2].set(-rate)
    y = y.at[0, 1, 1, 1].set(rate).at[0, 1, 2, 1].set(-rate)
    divergence = jnp.diff(x[0], axis=2) + jnp.diff(y[0], axis=1)
    up = -jnp.cumsum(divergence, axis=0)
    # The top layer spreads sideways what rises: close it by its own tendency.
    z = z.at[0, 1:3].set(up[:2])
    tendency = -(divergence + jnp.diff(z[0], axis=0))
    air = air.at[1].add(tendency * interval)
    return Meteorology(air, x, y, z, Mixing(jnp.zeros((1, 2, 3, 3))), interval)


@pytest.mark.parametrize("inflow", [1.5, 3.4])
def test_no_stage_runs_out_of_air(inflow):
    """A strongly convergent thin layer: every stage keeps air, and upwind stays within the range of its data."""
    weather = convergent(inflow)
    assert weather.continuity_residual() < 1e-12
    transport = EulerianTransport(weather, AREAS, scheme=Upwind())
    step = transport.step(jnp.asarray(0))
    for n in range(transport.plan.steps):
        assert min(float(step.air_at(stage, jnp.asarray(float(n))).min()) for stage in range(7)) > 0.0
    ones = uniform_air(transport.in_structure())
    bumps = jnp.asarray(np.random.default_rng(0).uniform(1.0, 2.0, ones.initial.shape))
    air = transport.mv(Sources(ones.surface, ones.points, ones.boundary, bumps))
    assert float(air.min()) >= 1.0 - 1e-12 and float(air.max()) <= 2.0 + 1e-12


def test_a_wind_that_is_not_a_number_is_refused():
    weather = convergent(0.1)
    broken = eqx.tree_at(lambda m: m.flux_x, weather, weather.flux_x.at[0, 0, 0, 0].set(jnp.nan))
    with pytest.raises(TanhengError, match="not a number"):
        EulerianTransport(broken, AREAS)


def test_areas_and_shares_must_fit():
    weather = convergent(0.1)
    with pytest.raises(TanhengError, match="areas do not fit"):
        EulerianTransport(weather, np.ones(3))
    shares = Injection(np.array([1]), np.array([1]), np.array([[0.1, 0.1, 0.1]]))
    with pytest.raises(TanhengError, match="with sums"):
        EulerianTransport(weather, AREAS, shares)


@pytest.mark.parametrize("rate", [np.float32(-1.0), np.array([1e-6, -1e-6]), float("nan")])
def test_a_tracer_cannot_grow_by_its_loss(rate):
    with pytest.raises(TanhengError, match="must not be negative"):
        Sinks(rate=rate)

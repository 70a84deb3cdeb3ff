"""O·T in one march against O and T one after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.grid import Grid
from transport.levels import IsothermalHeights
from transport.linear import adjoint_gap, random_like
from transport.readers.synthetic import Basin, basin_meteorology
from transport.sampling import Receptor, Sampler, path_average
from transport.sources import Injection

EDGES = (np.arange(8) - 3.5) * 3e3
GRID = Grid(EDGES, EDGES, "+proj=laea +lat_0=40.8 +lon_0=111.7 +datum=WGS84 +units=m")
LEVELS = IsothermalHeights(np.array([0.0, 50.0, 150.0, 400.0, 900.0]))
INJECTION = Injection(np.array([3]), np.array([4]), np.array([[0, 0.5, 0.5, 0]]))


@pytest.fixture(scope="module")
def pair():
    transport = EulerianTransport(basin_meteorology(GRID, LEVELS, Basin(hours=5)), GRID.areas, INJECTION)
    receptors = [
        Receptor(1e3, -2e3, 1000.0, 9000.0, np.array([0.1, 0.2, 0.3, 0.4])),
        Receptor(-4e3, 3e3, 3600.0, 7200.0, np.eye(4)[0]),
        path_average((-5e3, -5e3, 20.0), (5e3, 4e3, 60.0), (10800.0, 14400.0), lambda x, y: LEVELS.edges),
    ]
    return transport, Sampler(receptors, GRID, transport.meteorology.shape, 3600.0)


def test_sampling_on_the_way_equals_sampling_afterwards(pair):
    transport, sampler = pair
    together, apart = transport.sampled(sampler), sampler @ transport
    x = random_like(jax.random.key(0), transport.in_structure())
    np.testing.assert_allclose(together.mv(x), apart.mv(x), rtol=1e-13)
    batch = jax.vmap(together.transpose().mv)(jnp.eye(3))
    for n in range(3):
        alone = apart.transpose().mv(jnp.eye(3)[n])
        for a, b in zip(jax.tree.leaves(batch), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[n], b, rtol=1e-12, atol=1e-13 * float(jnp.max(jnp.abs(b))))


def test_transpose(pair):
    transport, sampler = pair
    assert adjoint_gap(transport.sampled(sampler)) <= 1e-13


def test_a_sampler_of_another_model_is_refused(pair):
    transport, _ = pair
    other = Sampler([Receptor(0.0, 0.0, 0.0, 3600.0, np.eye(4)[0])], GRID, (9, 4, 7, 7), 3600.0)
    with pytest.raises(TanhengError, match="another model"):
        transport.sampled(other)
    hours = Sampler([Receptor(0.0, 0.0, 0.0, 1200.0, np.eye(4)[0])], GRID, transport.meteorology.shape, 1200.0)
    with pytest.raises(TanhengError, match="intervals of 1200 s"):
        transport.sampled(hours)


def test_single_precision(pair):
    transport, sampler = pair
    single = EulerianTransport(transport.meteorology.astype(jnp.float32), GRID.areas, INJECTION).sampled(sampler)
    assert adjoint_gap(single) <= 1e-5
    assert single.mv(random_like(jax.random.key(1), single.in_structure())).dtype == jnp.float32

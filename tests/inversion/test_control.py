import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inversion.control import Block, ControlMap, observation_columns
from inversion.covariance import Diagonal
from transport.errors import TanhengError
from transport.linear import adjoint_gap
from transport.sources import Boundary, Sources

NT, NY, NX = 4, 2, 3
NZ = 5
STRUCTURE = jax.eval_shape(
    lambda: Sources(
        jnp.zeros((NT, NY, NX)),
        jnp.zeros((NT, 2)),
        Boundary.uniform(jnp.zeros(NT), (NT, NZ, NY, NX)),
        jnp.zeros((NZ, NY, NX)),
    )
)
RNG = np.random.default_rng(0)


def block(name, target, base, index, size):
    return Block(name, target, base, index, np.zeros(size), Diagonal(np.ones(size)))


BLOCKS = [
    block("cells", "surface", RNG.normal(size=(NT, NY, NX)), np.arange(NY * NX).reshape(1, NY, NX), NY * NX),
    block("stacks", "points", RNG.normal(size=(NT, 2)), np.arange(2), 2),
    block("days", "surface", RNG.normal(size=(NT, NY, NX)), (np.arange(NT) // 2)[:, None, None], 2),
    block("background", "inflow", np.ones(NT), np.arange(NT) // 2, 2),
    block("west", "west", RNG.normal(size=(NT, NZ, NY)), np.arange(NZ)[:, None], NZ),
    block("start", "initial", np.ones((NZ, NY, NX)), np.zeros(1, int), 1),
    block("bias", "observation", np.array([0.0, 1.0, 1.0]), np.array([0, 0, 1]), 2),
]


def test_blocks_by_hand():
    S = ControlMap(BLOCKS, STRUCTURE)
    x = np.arange(1.0, 21.0)
    sources = S.mv(jnp.asarray(x))
    expected = BLOCKS[0].base[3, 1, 2] * x[5] + BLOCKS[2].base[3, 1, 2] * x[9]
    assert float(sources.surface[3, 1, 2]) == pytest.approx(expected)
    assert float(sources.points[1, 1]) == pytest.approx(BLOCKS[1].base[1, 1] * x[7])
    boundary = sources.boundary
    for side in (boundary.east, boundary.south, boundary.north, boundary.top):
        np.testing.assert_allclose(
            side.reshape(NT, -1), np.array([[11], [11], [12], [12]]) * np.ones((4, side[0].size))
        )
    # The west side has a curtain of its own on top, the start its own offset.
    assert float(boundary.west[3, 2, 1]) == pytest.approx(12 + BLOCKS[4].base[3, 2, 1] * x[14])
    np.testing.assert_allclose(sources.initial, 11 + x[17])


def test_transpose():
    assert adjoint_gap(ControlMap(BLOCKS, STRUCTURE)) < 1e-14


def test_observation_columns():
    matrix = observation_columns(BLOCKS, 3)
    assert matrix.shape == (3, 20)
    np.testing.assert_array_equal(matrix[:, 18:], [[0, 0], [1, 0], [0, 1]])
    assert not matrix[:, :18].any()


def test_an_unknown_target_is_refused():
    with pytest.raises(TanhengError, match="unknown target"):
        block("x", "sea", np.ones(1), np.zeros(1, int), 1)


@pytest.mark.parametrize(
    ("base", "index", "size", "what"),
    [
        (np.ones((NT, NY, NX)), np.full((1, NY, NX), 2), 2, "points outside itself"),
        (np.ones((NT, NY, NX)), np.full((1, NY, NX), -1), 2, "points outside itself"),
        (np.ones(NX), np.zeros((NT, 1, 1), int), 1, "do not fit"),
    ],
)
def test_a_block_that_does_not_fit_is_refused(base, index, size, what):
    with pytest.raises(TanhengError, match=what):
        block("x", "surface", base, index, size)


def test_mean_and_covariance_have_one_size():
    with pytest.raises(TanhengError, match="do not fit"):
        Block("x", "inflow", np.ones(NT), np.zeros(NT, int), np.zeros(1), Diagonal(np.ones(3)))

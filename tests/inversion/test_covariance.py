import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inversion.covariance import BlockDiagonal, Dense, Diagonal, Scaled, exponential
from transport.errors import TanhengError

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(0, 50, (6, 2))
DISTANCE = np.hypot(*(POINTS[:, None] - POINTS).T)


def random_dense(n):
    a = RNG.normal(size=(n, n))
    return Dense(a @ a.T + n * np.eye(n))


CASES = {
    "diagonal": Diagonal(RNG.uniform(0.5, 2, 6)),
    "dense": random_dense(6),
    "exponential": exponential(DISTANCE, 20.0),
    "scaled": Scaled(RNG.uniform(0.5, 2, 6), exponential(DISTANCE, 20.0)),
    "blocks": BlockDiagonal((Diagonal(RNG.uniform(1, 2, 3)), Scaled(np.array([2.0, 3.0]), random_dense(2)))),
    "one": Diagonal(np.array([3.0])),
}


@pytest.mark.parametrize("name", CASES)
def test_five_actions_against_dense(name):
    C = CASES[name]
    n = C.size
    matrix = np.asarray(C.mv(jnp.eye(n)))
    v, many = RNG.normal(size=n), RNG.normal(size=(n, 3))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)
    for argument in (v, many):
        np.testing.assert_allclose(C.mv(jnp.asarray(argument)), matrix @ argument, rtol=1e-12)
        np.testing.assert_allclose(C.solve(jnp.asarray(argument)), np.linalg.solve(matrix, argument), rtol=1e-9)
    np.testing.assert_allclose(C.logdet(), np.linalg.slogdet(matrix)[1], rtol=1e-12)
    np.testing.assert_allclose(C.diagonal(), np.diagonal(matrix), rtol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_the_square_root_is_not_used_as_its_transpose(name):
    """C^½ C^½ᵀ = C; with the factors swapped the product differs wherever the root is not symmetric."""
    C = CASES[name]
    root = np.asarray(C.sqrt_mv(jnp.eye(C.size)))
    np.testing.assert_allclose(root @ root.T, C.mv(jnp.eye(C.size)), rtol=1e-12, atol=1e-13)
    if name in ("dense", "exponential"):
        assert np.abs(root.T @ root - np.asarray(C.mv(jnp.eye(C.size)))).max() > 1e-3


def test_the_exponential_by_hand():
    C = exponential(np.array([[0.0, 3.0], [3.0, 0.0]]), 6.0)
    np.testing.assert_allclose(C.matrix, [[1, np.exp(-0.5)], [np.exp(-0.5), 1]])


def test_draws_have_the_covariance():
    C = CASES["scaled"]
    noise = jax.random.normal(jax.random.key(0), (6, 200_000))
    np.testing.assert_allclose(np.cov(C.sqrt_mv(noise)), C.mv(jnp.eye(6)), atol=0.05)


@pytest.mark.parametrize("sigma", [[1.0, 0.0], [1.0, -2.0], [np.nan, 1.0]])
def test_variances_must_be_positive(sigma):
    with pytest.raises(TanhengError, match="must be positive"):
        Diagonal(np.array(sigma))


def test_a_covariance_must_be_symmetric():
    with pytest.raises(TanhengError, match="not symmetric"):
        Dense(np.array([[1.0, 0.5], [0.4, 1.0]]))

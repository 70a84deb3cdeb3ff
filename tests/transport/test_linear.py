import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from transport.errors import TanhengError
from transport.linear import AbstractMap, Transpose, adjoint_gap, materialise


class Double(AbstractMap):
    """A matrix known by its actions only."""

    matrix: jax.Array

    def mv(self, vector):
        return self.matrix @ vector

    def mv_transposed(self, vector):
        return self.matrix.T @ vector

    def transpose(self):
        return Transpose(self)

    def in_structure(self):
        return jax.ShapeDtypeStruct((self.matrix.shape[1],), self.matrix.dtype)

    def out_structure(self):
        return jax.ShapeDtypeStruct((self.matrix.shape[0],), self.matrix.dtype)


@pytest.mark.parametrize("shape", [(3, 20), (20, 3), (9, 9)])
def test_materialise_gives_the_matrix_from_either_side(shape):
    matrix = jax.random.normal(jax.random.key(1), shape)
    seen = []
    got = materialise(Double(matrix), batch=4, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(got, matrix)
    assert seen[-1] == (min(shape), min(shape))


def test_composition_is_lineax():
    a, b = (jax.random.normal(jax.random.key(k), s) for k, s in ((0, (4, 6)), (1, (6, 5))))
    chain = Double(a) @ lx.MatrixLinearOperator(b)
    np.testing.assert_allclose(materialise(chain), a @ b, rtol=1e-13)


def test_the_gap_sees_a_wrong_transpose():
    class Wrong(Double):
        def mv_transposed(self, vector):
            return 1.001 * (self.matrix.T @ vector)

    matrix = jax.random.normal(jax.random.key(1), (8, 8))
    assert adjoint_gap(Double(matrix)) < 1e-14
    assert adjoint_gap(Wrong(matrix)) > 1e-6


def test_a_matrix_free_map_says_so():
    with pytest.raises(TypeError, match="matrix-free"):
        Double(jnp.eye(2)).as_matrix()


def test_a_gap_that_is_not_a_number_is_not_small():
    assert not adjoint_gap(lx.MatrixLinearOperator(jnp.full((3, 3), jnp.nan))) <= 1e-13


def test_a_vector_of_another_precision_is_refused():
    from transport.linear import apply_registered

    with pytest.raises(TanhengError, match="does not belong") as refused:
        apply_registered(Double(jnp.eye(3)), jnp.ones(3, jnp.float32))
    assert "float32[3]" in str(refused.value) and "float64[3]" in str(refused.value)

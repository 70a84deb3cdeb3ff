"""The kernel for GPUs, interpreted on whatever device is here, does the arithmetic of the loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transport.mixing import solve
from transport.mixing.triton import COLUMNS, solve_columns


def column(shape, lifts, dtype=jnp.float64):
    rng = np.random.default_rng(3)
    draw = lambda low, high, n: jnp.asarray(rng.uniform(low, high, (n, *shape[1:])), dtype)  # noqa: E731
    nz = shape[0]
    updraft = draw(0.0, 0.5, nz).at[0].set(0.0) if lifts else None
    parts = solve._Column(draw(1.0, 2.0, nz), draw(0.0, 3.0, nz - 1), draw(0.0, 3.0, nz - 1), updraft)
    return parts, draw(-1.0, 400.0, nz)


@pytest.mark.parametrize("shape", [(7, 3, 5), (4, 8, COLUMNS // 8), (5, 2, COLUMNS), (2, 1, 1)])
@pytest.mark.parametrize("lifts", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_kernel_gives_what_the_loops_give(shape, lifts, transposed):
    parts, rhs = column(shape, lifts)
    loops = (parts._solve_transposed if transposed else parts._solve)(rhs)
    kernel = solve_columns(parts.kept, parts.up, parts.down, parts.updraft, rhs, transposed, interpret=True)
    assert kernel.shape == loops.shape
    np.testing.assert_allclose(kernel, loops, rtol=2e-15)
    image = (parts._transposed_times if transposed else parts._times)(kernel)
    np.testing.assert_allclose(image, rhs, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("lifts", [False, True])
def test_a_batch_of_right_sides_shares_the_column(lifts):
    parts, rhs = column((6, 4, 5), lifts, jnp.float32)
    many = jnp.stack([rhs, 2.0 * rhs, rhs[::-1]])

    def one(rhs):
        return solve_columns(parts.kept, parts.up, parts.down, parts.updraft, rhs, True, interpret=True)

    together = jax.jit(jax.vmap(one))(many)
    assert together.dtype == jnp.float32
    np.testing.assert_allclose(together, jnp.stack([one(r) for r in many]), rtol=1e-6)


def test_on_a_gpu_the_step_uses_the_kernel_and_its_derivative_is_the_loops(monkeypatch):
    parts, rhs = column((5, 3, 4), True)
    expected, pull = jax.vjp(lambda p, b: p.solve(b), parts, rhs)
    cotangents = pull(jnp.cos(rhs))
    used = []

    def interpreted(*arguments, transposed):
        used.append(transposed)
        return solve_columns(*arguments, transposed, interpret=True)

    monkeypatch.setattr(solve.jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(solve.triton, "solve_columns", interpreted)
    got, pull = jax.vjp(lambda p, b: p.solve(b), parts, rhs)
    np.testing.assert_allclose(got, expected, rtol=2e-15)
    for ours, theirs in zip(jax.tree.leaves(pull(jnp.cos(rhs))), jax.tree.leaves(cotangents), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert True in used
    assert False in used

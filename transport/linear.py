"""Shared pieces of our linear maps, which are lineax operators so that they compose with `@` and `+`."""

import concurrent.futures
import os
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array

Structure = Any  # a pytree of jax.ShapeDtypeStruct


class AbstractMap(lx.AbstractLinearOperator):
    """A linear map known by its action and its transpose's action; never by its matrix."""

    def as_matrix(self):
        """Not offered: use `materialise`, which says what it costs."""
        raise TypeError(f"{type(self).__name__} is matrix-free; use transport.linear.materialise")


class Transpose(AbstractMap):
    """The transpose of a map that offers `mv_transposed`."""

    operator: Any

    def mv(self, vector):
        """Aᵀ v."""
        return self.operator.mv_transposed(vector)

    def transpose(self):
        """A again."""
        return self.operator

    def in_structure(self):
        """Output structure of A."""
        return self.operator.out_structure()

    def out_structure(self):
        """Input structure of A."""
        return self.operator.in_structure()


def _never(_operator) -> bool:
    return False


for _property in (lx.is_symmetric, lx.is_diagonal, lx.is_tridiagonal, lx.is_lower_triangular, lx.is_upper_triangular):
    _property.register(AbstractMap)(_never)
for _property in (lx.is_positive_semidefinite, lx.is_negative_semidefinite, lx.has_unit_diagonal):
    _property.register(AbstractMap)(_never)
lx.linearise.register(AbstractMap)(lambda operator: operator)
lx.conj.register(AbstractMap)(lambda operator: operator)


def random_like(key: Array, structure: Structure) -> Any:
    """White noise of a structure."""
    leaves, tree = jax.tree.flatten(structure)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [jax.random.normal(k, s.shape, s.dtype) for k, s in zip(keys, leaves, strict=True)])


def inner(a: Any, b: Any) -> Array:
    """⟨a, b⟩ of two vectors of the same structure."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum((jnp.vdot(x, y) for x, y in pairs), start=jnp.zeros(()))


def adjoint_gap(operator: lx.AbstractLinearOperator, pairs: int = 3) -> float:
    """max |⟨A x, y⟩ − ⟨x, Aᵀ y⟩| / (|A x| |y|) over random pairs: zero to rounding for an exact transpose."""
    gaps = []
    for key in jax.random.split(jax.random.key(0), pairs):
        kx, ky = jax.random.split(key)
        x, y = random_like(kx, operator.in_structure()), random_like(ky, operator.out_structure())
        image = operator.mv(x)
        gap = jnp.abs(inner(image, y) - inner(x, operator.transpose().mv(y)))
        gaps.append(float(gap / jnp.sqrt(inner(image, image) * inner(y, y))))
    # np.max, unlike max, lets a NaN through.
    return float(np.max(gaps))


def materialise(operator: lx.AbstractLinearOperator, batch: int = 8, progress=None) -> Array:
    """The matrix of a map between vectors, built from whichever side is smaller.

    Rows are Aᵀ e_i, columns A e_j; `batch` of them are computed at once, on as many threads as there are cores.

    Args:
        operator: maps (n,) to (m,).
        batch: vectors per call.
        progress: called with (done, total) after each batch.

    Returns:
        (m, n) matrix.
    """
    columns, rows = operator.in_size(), operator.out_size()
    by_row = rows <= columns
    side, count = (operator.transpose(), rows) if by_row else (operator, columns)
    arrays, static = eqx.partition(side, eqx.is_array)

    @jax.jit
    def image(arrays, start):
        side = eqx.combine(arrays, static)
        unit = jax.nn.one_hot(start + jnp.arange(batch), count, dtype=side.in_structure().dtype)
        return jax.vmap(side.mv)(unit)

    starts = range(0, count, batch)
    out = np.empty((len(starts) * batch, columns if by_row else rows))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        futures = {pool.submit(lambda s: np.asarray(image(arrays, s)), s): s for s in starts}
        try:
            for done, future in enumerate(concurrent.futures.as_completed(futures), start=1):
                start = futures[future]
                out[start : start + batch] = future.result()
                if progress is not None:
                    progress(min(done * batch, count), count)
        except BaseException:  # an interrupt must not wait for every row in the queue
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return jnp.asarray(out[:count] if by_row else out[:count].T)

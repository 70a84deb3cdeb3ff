"""Shared pieces of our linear maps, which are lineax operators so that they compose with `@` and `+`."""

import concurrent.futures
import functools
import os
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

from transport.errors import TanhengError

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


# --- a linear map as one JAX primitive --------------------------------------------------------------------------------
# JAX can transpose any linear code, but the transpose of a tape of slices and pads is several times slower than the
# map, and its memory grows with the number of steps. A map that has `forward(v)` and `backward(batch of v)` is bound as
# one primitive, so that jvp, vjp, linear_transpose and vmap with respect to v use exactly those two; a derivative with
# respect to the map's own arrays (winds, mixing) goes through `forward` by ordinary differentiation.
_map_p = Primitive("tanheng_linear_map")
_map_p.multiple_results = True


def apply_registered(operator: Any, vector: Any, transposed: bool = False) -> Any:
    """A v, or Aᵀ v, as a primitive that JAX differentiates, transposes and batches by the map's own two functions.

    Raises:
        TanhengError: a vector of another structure, shape or precision.
    """
    _require_structure(vector, operator.out_structure() if transposed else operator.in_structure())
    leaves, tree = jax.tree.flatten((operator, vector))
    structure = operator.in_structure() if transposed else operator.out_structure()
    out = _map_p.bind(*map(jnp.asarray, leaves), tree=tree, transposed=transposed, batched=False)
    return jax.tree.unflatten(jax.tree.structure(structure), out)


def _require_structure(vector: Any, expected: Structure) -> None:
    def described(tree):
        return [f"{a.dtype}{list(a.shape)}" for a in jax.tree.leaves(tree)]

    same = jax.tree.structure(vector) == jax.tree.structure(expected)
    if not same or described(vector) != described(expected):
        raise TanhengError(
            "a vector does not belong to this map",
            got=", ".join(described(vector)),
            expected=", ".join(described(expected)),
            remedy="build it from the map's in_structure() or out_structure(), in the same precision",
        )


def _image(*leaves, tree, transposed, batched):
    operator, vector = jax.tree.unflatten(tree, leaves)
    if transposed:
        if batched:
            return jax.tree.leaves(operator.backward(vector))
        return [a[0] for a in jax.tree.leaves(operator.backward(jax.tree.map(lambda v: v[None], vector)))]
    image = jax.lax.map(operator.forward, vector) if batched else operator.forward(vector)
    return jax.tree.leaves(image)


_map_p.def_impl(jax.jit(_image, static_argnames=("tree", "transposed", "batched")))
_map_p.def_abstract_eval(
    lambda *avals, **how: [
        ShapedArray(a.shape, a.dtype)
        for a in jax.eval_shape(
            functools.partial(_image, **how), *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals)
        )
    ]
)
mlir.register_lowering(_map_p, mlir.lower_fun(_image, multiple_results=True))


def _own_leaves(tree, leaves) -> int:
    """How many of the leaves belong to the operator; the vector's follow."""
    return len(leaves) - len(jax.tree.leaves(jax.tree.unflatten(tree, list(range(len(leaves))))[1]))


def _map_jvp(primals, tangents, *, tree, transposed, batched):
    how = {"tree": tree, "transposed": transposed, "batched": batched}
    own = _own_leaves(tree, primals)
    out = _map_p.bind(*primals, **how)
    total = None
    if any(type(t) is not ad.Zero for t in tangents[own:]):
        moved = [ad.instantiate_zeros(t) for t in tangents[own:]]
        total = _map_p.bind(*primals[:own], *moved, **how)
    live = [n for n, t in enumerate(tangents[:own]) if type(t) is not ad.Zero]
    if live:

        def of_live(*values):
            leaves = list(primals)
            for n, value in zip(live, values, strict=True):
                leaves[n] = value
            return _image(*leaves, **how)

        _, more = jax.jvp(of_live, [primals[n] for n in live], [tangents[n] for n in live])
        total = more if total is None else [t + m for t, m in zip(total, more, strict=True)]
    return out, total


def _map_transpose(cotangents, *leaves, tree, transposed, batched):
    own = _own_leaves(tree, leaves)
    operator = jax.tree.unflatten(tree, [a if n < own else None for n, a in enumerate(leaves)])[0]
    structure = operator.in_structure() if transposed else operator.out_structure()
    cotangents = [ad.instantiate_zeros(c) for c in cotangents]
    vector = jax.tree.unflatten(jax.tree.structure(structure), cotangents)
    flat, tree = jax.tree.flatten((operator, vector))
    image = _map_p.bind(*flat, tree=tree, transposed=not transposed, batched=batched)
    return [None] * own + list(image)


def _map_batch(arguments, axes, *, tree, transposed, batched):
    own = _own_leaves(tree, arguments)
    if any(axis is not None for axis in axes[:own]):
        image = functools.partial(_image, tree=tree, transposed=transposed, batched=batched)
        out = jax.vmap(image, in_axes=tuple(axes))(*arguments)
        return out, [0] * len(out)
    size = next(a.shape[axis] for a, axis in zip(arguments, axes, strict=True) if axis is not None)
    vector = [
        jnp.broadcast_to(a, (size, *a.shape)) if axis is None else jnp.moveaxis(a, axis, 0)
        for a, axis in zip(arguments[own:], axes[own:], strict=True)
    ]
    if batched:  # a batch of batches is a longer batch
        vector = [a.reshape(-1, *a.shape[2:]) for a in vector]
    out = _map_p.bind(*arguments[:own], *vector, tree=tree, transposed=transposed, batched=True)
    if batched:
        out = [a.reshape(size, -1, *a.shape[1:]) for a in out]
    return out, [0] * len(out)


ad.primitive_jvps[_map_p] = _map_jvp
ad.primitive_transposes[_map_p] = _map_transpose
batching.primitive_batchers[_map_p] = _map_batch


def random_like(key: Array, structure: Structure) -> Any:
    """White noise of a structure."""
    leaves, tree = jax.tree.flatten(structure)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [jax.random.normal(k, s.shape, s.dtype) for k, s in zip(keys, leaves, strict=True)])


def inner(a: Any, b: Any) -> Array:
    """⟨a, b⟩ of two vectors of the same structure."""
    # No zero to start from: it would have a precision of its own.
    products = [jnp.vdot(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return functools.reduce(jnp.add, products, 0.0)  # type: ignore[return-value]


def adjoint_gap(operator: lx.AbstractLinearOperator, pairs: int = 3) -> float:
    """max |⟨A x, y⟩ − ⟨x, Aᵀ y⟩| / (|A x| |y|) over random pairs: zero to rounding for an exact transpose.

    Two parts of y in three are A x itself: against noise alone both products nearly vanish, and with them any gap.
    """
    gaps = []
    for key in jax.random.split(jax.random.key(0), pairs):
        kx, ky = jax.random.split(key)
        x, noise = random_like(kx, operator.in_structure()), random_like(ky, operator.out_structure())
        image = operator.mv(x)
        share = 2.0 * jnp.sqrt(inner(noise, noise) / inner(image, image))
        y = jax.tree.map(lambda n, a, s=share: n + jnp.where(jnp.isfinite(s), s, 0.0) * a, noise, image)
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

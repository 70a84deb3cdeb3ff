"""The column solve of `solve` as one kernel for GPUs: a thread takes a column down and up again.

The loops of `solve` become some hundred launches per step, each with too little work for a GPU: on an H200 at
30×100×100 cells a step takes 1.16 ms with them and 0.07 ms with this kernel, 0.05 ms without any solve
(docs/performance.md). The arithmetic is that of `solve`, in the same order.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas
from jaxtyping import Array, Float

COLUMNS = 128  # of one program: 4 warps with a column per thread


def solve_columns(
    kept: Float[Array, "nz ny nx"],
    up: Float[Array, "nz1 ny nx"],
    down: Float[Array, "nz1 ny nx"],
    updraft: Float[Array, "nz ny nx"] | None,
    rhs: Float[Array, "nz ny nx"],
    transposed: bool,
    interpret: bool = False,
) -> Float[Array, "nz ny nx"]:
    """A⁻¹ rhs, or A⁻ᵀ rhs, for the matrix of `solve`.

    Args:
        kept: m' and what leaves the column from each layer, mol.
        up, down: a_k and b_{k+1}, air exchanged through inner faces, mol.
        updraft: air lifted from the lowest layer, mol, or None.
        rhs: right side, µmol.
        transposed: solve with the transpose.
        interpret: run the kernel as plain JAX, on any device; for tests.
    """
    nz, ny, nx = rhs.shape
    columns = ny * nx
    padded = -(-columns // COLUMNS) * COLUMNS

    def flat(field: Array) -> Array:
        # Columns of ones beyond the last: any finite numbers that can be divided do.
        return jnp.pad(field.reshape(-1, columns), ((0, 0), (0, padded - columns)), constant_values=1.0)

    given = [flat(field) for field in (kept, up, down, rhs, *(() if updraft is None else (updraft,)))]
    shape = jax.ShapeDtypeStruct((nz, padded), rhs.dtype)
    call = pallas.pallas_call(
        functools.partial(_kernel, transposed=transposed, lifts=updraft is not None),
        out_shape=[shape] * (len(given) - 2),
        grid=(padded // COLUMNS,),
        interpret=interpret,
        compiler_params=None if interpret else _parameters(),
        name="column_solve",
    )
    return call(*given)[0][:, :columns].reshape(rhs.shape)


def _parameters():
    # Asked for by name, for JAX has more than one compiler of kernels; imported here, for it needs a GPU's JAX.
    from jax.experimental.pallas import triton

    return triton.CompilerParams(num_warps=COLUMNS // 32, num_stages=1)


def _kernel(kept, up, down, rhs, *others, transposed: bool, lifts: bool) -> None:
    """x of one block of columns; r and v are written beside it, because the way up needs them again."""
    updraft, x, r, v = others if lifts else (None, *others, None)
    falls, rises = (up, down) if transposed else (down, up)
    here = pallas.ds(pallas.program_id(0) * COLUMNS, COLUMNS)
    top = rhs.shape[0] - 1

    def keep(k, held, y, lifted):
        r[k, here], x[k, here] = held, y
        if v is not None:
            v[k, here] = lifted

    def fall(i, carry):
        k = top - 1 - i
        held, y, lifted, weight, dual = carry
        pivot = held + down[k, here]
        if updraft is not None:
            weight, dual = weight + lifted * held / pivot, dual + lifted * y / pivot
            lifted = updraft[k, here] + down[k, here] * lifted / pivot
        y = rhs[k, here] + falls[k, here] * y / pivot
        held = kept[k, here] + up[k, here] * held / pivot
        keep(k, held, y, lifted)
        return held, y, lifted, weight, dual

    none = jnp.zeros(COLUMNS, rhs.dtype)
    start = kept[top, here], rhs[top, here], none if updraft is None else updraft[top, here]
    keep(top, *start)
    held, y, _, weight, dual = jax.lax.fori_loop(0, top, fall, (*start, none, none))
    ground = (y + dual if transposed else y) / (held + weight)
    x[0, here] = ground

    def rise(k, below):
        y = x[k + 1, here] + rises[k, here] * below
        if v is not None and not transposed:
            y = y + v[k + 1, here] * ground
        above = y / (r[k + 1, here] + down[k, here])
        x[k + 1, here] = above
        return above

    jax.lax.fori_loop(0, top, rise, ground)

"""A function of many rows, some at a time, so that memory stays bounded."""

import jax
import jax.numpy as jnp


def folded(rows, size: int):
    """Rows of a tree of arrays in batches (b, size, …), the first row repeated until the last batch is full.

    Args:
        rows: a tree of arrays with one leading axis.
        size: rows per batch; at most as many as there are.

    Returns:
        the tree of batches, and the number of rows.
    """
    count = jax.tree.leaves(rows)[0].shape[0]
    size = max(1, min(size, count))
    batches = -(-count // size)

    def fold(a):
        filled = jnp.concatenate([a, jnp.broadcast_to(a[:1], (batches * size - count, *a.shape[1:]))])
        return filled.reshape(batches, size, *a.shape[1:])

    return jax.tree.map(fold, rows), count


def in_batches(function, rows, size: int):
    """`function` of each row, `size` rows abreast; rows is an array or a tree of arrays with one leading axis.

    Unlike `jax.lax.map(batch_size=…)` there is no shorter last batch beside the loop: rows are repeated until it is
    full. XLA runs the two independent branches at once on the CPU, and with a factorisation in each they have been
    seen to wait for each other for ever (jaxlib 0.10.2).
    """
    batches, count = folded(rows, size)
    found = jax.lax.map(jax.vmap(function), batches)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:count], found)

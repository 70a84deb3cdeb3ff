"""H whose rows are local in time: each row sees one contiguous stretch of a control vector ordered by time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from inversion.covariance import AbstractCovariance
from transport.errors import TanhengError
from transport.linear import AbstractMap, Transpose


class BandedRows(AbstractMap):
    """Blocks of g rows that share one stretch of length w: a dense (g, w) product per block, m·w numbers in all.

    With the control vector ordered time first (time × cell), a footprint of ten days is one stretch. Rows that share
    a stretch are multiplied together, because a matrix product moves g times less memory than g dot products.

    Args:
        values: (k, g, w) rows; rows k·g in the order of the observations.
        starts: (k,) first element that the rows of a block see.
        size: n.

    Raises:
        TanhengError: a stretch that leaves the control vector.
    """

    values: Float[Array, "k g w"]
    starts: Int[Array, " k"]
    size: int = eqx.field(static=True)

    def __init__(self, values, starts, size: int):
        starts, width = np.asarray(starts), np.shape(values)[-1]
        if starts.shape != np.shape(values)[:1] or starts.min() < 0 or starts.max() + width > size:
            raise TanhengError(
                "rows do not fit the control vector",
                got=f"{starts.shape} starts {starts.min()}…{starts.max()} for {np.shape(values)[0]} blocks of {width}",
                expected=f"one start per block, inside 0…{size - width}",
                remedy="cut or pad the rows to stretches inside the control vector",
            )
        self.values, self.starts, self.size = jnp.asarray(values), jnp.asarray(starts), size

    @classmethod
    def of_rows(cls, rows: np.ndarray, starts: np.ndarray, size: int, group: int = 1) -> "BandedRows":
        """Packs m single rows, m a multiple of `group`; each group shares the union of its stretches.

        Args:
            rows: (m, w) values.
            starts: (m,) first element of each row.
            size: n.
            group: rows per block; neighbours in time make the union short.
        """
        m, w = rows.shape
        if m % group:
            raise TanhengError(
                "rows cannot be grouped", got=f"{m} rows in groups of {group}", expected="a multiple",
                remedy="choose a group that divides the number of observations",
            )  # fmt: skip
        by_block = np.asarray(starts).reshape(-1, group)
        width = int((by_block.max(axis=1) - by_block.min(axis=1)).max()) + w
        first = np.minimum(by_block.min(axis=1), size - width)
        values = np.zeros((m // group, group, width))
        for block, (low, each) in enumerate(zip(first, by_block, strict=True)):
            for n, start in enumerate(each):
                values[block, n, start - low : start - low + w] = rows[block * group + n]
        return cls(values, first, size)

    def scaled(self, sigma: Array) -> "BandedRows":
        """H diag(σ)."""
        width = self.values.shape[2]
        stretch = jax.vmap(lambda start: jax.lax.dynamic_slice(sigma, (start,), (width,)))(self.starts)
        return eqx.tree_at(lambda h: h.values, self, self.values * stretch[:, None])

    def aligned(self, cells: int) -> bool:
        """Whether every stretch is a number of whole time steps of so many cells."""
        return self.values.shape[2] % cells == 0 and not bool(jnp.any(self.starts % cells))

    def along_space(self, space: AbstractCovariance) -> "BandedRows":
        """H (I ⊗ C) for C over the cells of one time step."""

        def block(values):
            return space.mv(values.reshape(-1, space.size).T).T.reshape(values.shape)

        return eqx.tree_at(lambda h: h.values, self, jax.lax.map(block, self.values))

    def in_structure(self):
        """(n,)."""
        return jax.ShapeDtypeStruct((self.size,), self.values.dtype)

    def out_structure(self):
        """(m,)."""
        return jax.ShapeDtypeStruct((self.values.shape[0] * self.values.shape[1],), self.values.dtype)

    def mv(self, vector):
        """Each block on its stretch; the vector may be (n,) or (n, k), columns independent."""
        width = self.values.shape[2]

        def block(of):
            return of[0] @ jax.lax.dynamic_slice_in_dim(vector, of[1], width)

        return jax.lax.map(block, (self.values, self.starts)).reshape(-1, *vector.shape[1:])

    def mv_transposed(self, vector):
        """Each block adds to its stretch; the vector may be (m,) or (m, k)."""

        def add(total, values, start, part):
            stretch = jax.lax.dynamic_slice_in_dim(total, start, values.shape[1])
            return jax.lax.dynamic_update_slice_in_dim(total, stretch + values.T @ part, start, 0)

        def block(total, of):
            # Unit vectors, which build S, leave all blocks but a few untouched.
            return jax.lax.cond(jnp.any(of[2] != 0.0), add, lambda total, *_: total, total, *of), None

        parts = vector.reshape(*self.values.shape[:2], *vector.shape[1:])
        total = jnp.zeros((self.size, *vector.shape[1:]))
        return jax.lax.scan(block, total, (self.values, self.starts, parts))[0]

    def transpose(self) -> Transpose:
        """Hᵀ."""
        return Transpose(self)

"""One implicit step of vertical transport in every column: mixing, upwind advection, updraft and deposition together.

    (m' + Δt L) q' = m q + s            and its dual            (m' + Δt Lᵀ) μ = m' μ'

All terms move air from one layer to another. Over the step, layer k sends a_k up to k+1 and b_k down to k−1,

    a_k = max(F_{k+½}, 0) + E_{k+½},        b_k = max(−F_{k−½}, 0) + E_{k−½} + Σ_{j≥k} u_j      (E exchange, u updraft)

layer 0 also sends u_k straight to k, the ground takes d, the top takes max(F_top, 0) and gives max(−F_top, 0) q_top:

    (m'_k + a_k + b_k) q'_k − a_{k−1} q'_{k−1} − b_{k+1} q'_{k+1} − u_k q'_0 = m_k q_k + s_k

Eliminated from the top downwards, with r_k the air that holds tracer of layer k in layer k or above it, every term is
positive and nothing is ever subtracted:

    r_k = m'_k + a_k r_{k+1} / (r_{k+1} + b_{k+1})                                  pivot of row k: r_k + b_k
    y_k = (m q + s)_k + b_{k+1} y_{k+1} / (r_{k+1} + b_{k+1}),         likewise  v_k from u_k
    q'_0 = y_0 / (r_0 + Σ v_k r_k / (r_k + b_k)),      q'_k = (y_k + a_{k−1} q'_{k−1} + v_k q'_0) / (r_k + b_k)

So the step is positive, keeps mass and keeps a uniform tracer to a few roundings for any Δt, even in single precision
(Grassmann, Taksar and Heyman 1985, doi 10.1287/opre.33.5.1107). The dual exchanges a and b, and the rôles of v.

Each recurrence is a loop that updates one array in place, plane by plane: XLA on CPUs fuses its body into one kernel
and copies nothing. At 30×100×100 in single precision that takes 0.36 ms, a scan that eliminates 0.46 ms. On a GPU each
iteration would be a launch, so there one kernel does the same (`triton`).
"""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.lax import dynamic_index_in_dim, dynamic_update_index_in_dim
from jaxtyping import Array, Float

from transport.mixing import triton


def implicit_step(
    m_before: Float[Array, "nz ny nx"],
    m_after: Float[Array, "nz ny nx"],
    rhs: Float[Array, "nz ny nx"],
    exchange_dt: Float[Array, "nz2 ny nx"] | None = None,
    moved: Float[Array, "nz1 ny nx"] | None = None,
    top_value: Float[Array, "ny nx"] | None = None,
    updraft_dt: Float[Array, "nz ny nx"] | None = None,
    deposition_dt: Float[Array, "ny nx"] | None = None,
) -> Float[Array, "nz ny nx"]:
    """q' with (m' + Δt L) q' = m q + s; what is None is left out of the compiled step.

    Differentiable in every argument; the derivative is one more solve, not the transpose of the loops.

    Args:
        m_before: m, mol of dry air. Not used: `rhs` carries it and continuity, m' = m − Δ moved, ties it to the rest.
        m_after: m' > 0, mol.
        rhs: m q + s, µmol.
        exchange_dt: air exchanged across inner faces during the step, ≥ 0, mol.
        moved: air moved up through faces; zero at the ground, any sign at the top, mol.
        top_value: mole fraction above the top, ppm; None where nothing enters or what enters is clean.
        updraft_dt: air lifted from layer 0 to layer k, ≥ 0, zero for k = 0, mol.
        deposition_dt: air cleaned by the ground, ≥ 0, mol.

    Returns:
        q' in ppm.
    """
    del m_before
    column = _column(m_after, exchange_dt, moved, updraft_dt, deposition_dt)
    if moved is not None and top_value is not None:
        rhs = rhs.at[-1].add(jnp.maximum(-moved[-1], 0.0) * top_value)
    return column.solve(rhs)


def implicit_step_transposed(
    m_after: Float[Array, "nz ny nx"],
    dual: Float[Array, "nz ny nx"],
    exchange_dt: Float[Array, "nz2 ny nx"] | None = None,
    moved: Float[Array, "nz1 ny nx"] | None = None,
    updraft_dt: Float[Array, "nz ny nx"] | None = None,
    deposition_dt: Float[Array, "ny nx"] | None = None,
) -> tuple[Float[Array, "nz ny nx"], Float[Array, "ny nx"] | None]:
    """μ with (m' + Δt Lᵀ) μ = m' μ': the dual of `implicit_step`, where μ is the cotangent of q over its air.

    The cotangent of q is m μ, that of the source s is μ itself, that of `top_value` is max(−F_top, 0) μ_{n−1}.

    Args:
        m_after: m', mol.
        dual: μ', the cotangent of q' over m'.
        exchange_dt, moved, updraft_dt, deposition_dt: as in `implicit_step`.

    Returns:
        μ, and the cotangent of `top_value` (None where `moved` is).
    """
    column = _column(m_after, exchange_dt, moved, updraft_dt, deposition_dt)
    dual = column.solve(m_after * dual, transposed=True)
    return dual, None if moved is None else jnp.maximum(-moved[-1], 0.0) * dual[-1]


class _Column(eqx.Module):
    """The matrix of a step, by where the air of each layer goes."""

    kept: Float[Array, "nz ny nx"]  # m' and what leaves the column from the layer: the column sums of the matrix
    up: Float[Array, "nz2 ny nx"]  # a_k, from layer k to k+1
    down: Float[Array, "nz2 ny nx"]  # b_{k+1}, from layer k+1 to k
    updraft: Float[Array, "nz ny nx"] | None

    def solve(self, rhs: Array, transposed: bool = False) -> Array:
        """A⁻¹ rhs or A⁻ᵀ rhs. The loops are hidden from differentiation, which needs only A and these two solves."""
        if jax.default_backend() == "gpu":
            direct = functools.partial(triton.solve_columns, self.kept, self.up, self.down, self.updraft)
            solves = functools.partial(direct, transposed=False), functools.partial(direct, transposed=True)
        else:
            solves = self._solve, self._solve_transposed
        pairs = [(self._times, solves[0]), (self._transposed_times, solves[1])]
        (times, solve), (_, other) = pairs[::-1] if transposed else pairs
        return jax.lax.custom_linear_solve(times, rhs, lambda _, b: solve(b), lambda _, b: other(b))

    def _times(self, q: Array) -> Array:
        flux = self.up * q[:-1] - self.down * q[1:]
        image = (self.kept * q).at[:-1].add(flux).at[1:].add(-flux)
        if self.updraft is not None:
            lifted = self.updraft * q[0]
            image = (image - lifted).at[0].add(jnp.sum(lifted, axis=0))
        return image

    def _transposed_times(self, x: Array) -> Array:
        step = x[1:] - x[:-1]
        image = (self.kept * x).at[:-1].add(-self.up * step).at[1:].add(self.down * step)
        if self.updraft is not None:
            image = image.at[0].add(jnp.sum(self.updraft * (x[0] - x), axis=0))
        return image

    def _solve(self, rhs: Array) -> Array:
        r = self._held()
        y = _descend(rhs, lambda k, y: y * _at(self.down, k) / self._pivot(r, k))
        if self.updraft is None:
            y = y.at[0].set(y[0] / r[0])
            return _ascend(y, lambda k, q, y: (y + _at(self.up, k) * q) / self._pivot(r, k))
        v = self._lifted(self.updraft, r)
        ground = y[0] / self._ground(r, v)
        return _ascend(
            y.at[0].set(ground),
            lambda k, q, y: (y + _at(self.up, k) * q + _at(v, k + 1) * ground) / self._pivot(r, k),
        )

    def _solve_transposed(self, rhs: Array) -> Array:
        r = self._held()
        y = _descend(rhs, lambda k, y: y * _at(self.up, k) / self._pivot(r, k))
        if self.updraft is None:
            ground = y[0] / r[0]
        else:
            v = self._lifted(self.updraft, r)
            ground = (y[0] + jnp.sum(v[1:] * y[1:] / (r[1:] + self.down), axis=0)) / self._ground(r, v)
        return _ascend(y.at[0].set(ground), lambda k, x, y: (y + _at(self.down, k) * x) / self._pivot(r, k))

    def _held(self) -> Array:
        """r_k."""
        return _descend(self.kept, lambda k, r: _at(self.up, k) * r / (r + _at(self.down, k)))

    def _pivot(self, r: Array, k: Array) -> Array:
        """r_{k+1} + b_{k+1}."""
        return _at(r, k + 1) + _at(self.down, k)

    def _lifted(self, updraft: Array, r: Array) -> Array:
        """v_k."""
        return _descend(updraft, lambda k, v: v * _at(self.down, k) / self._pivot(r, k))

    def _ground(self, r: Array, v: Array) -> Array:
        """r_0 + Σ v_k r_k / (r_k + b_k)."""
        return r[0] + jnp.sum(v[1:] * r[1:] / (r[1:] + self.down), axis=0)


def _column(m_after, exchange_dt, moved, updraft_dt, deposition_dt) -> _Column:
    kept, up = m_after, jnp.zeros_like(m_after[1:])
    if exchange_dt is not None:
        up = up + exchange_dt
    down = up
    if moved is not None:
        up, down = up + jnp.maximum(moved[1:-1], 0.0), down + jnp.maximum(-moved[1:-1], 0.0)
        kept = kept.at[-1].add(jnp.maximum(moved[-1], 0.0))
    if updraft_dt is not None:
        # What is lifted above a face sinks back through it.
        down = down + _descend(updraft_dt, lambda _, above: above)[1:]
    if deposition_dt is not None:
        kept = kept.at[0].add(deposition_dt)
    return _Column(kept, up, down, updraft_dt)


def _at(x: Array, k: Array) -> Array:
    return dynamic_index_in_dim(x, k, keepdims=False)


def _descend(x: Array, passed: Callable[[Array, Array], Array]) -> Array:
    """x_k ← x_k + passed(k, x_{k+1}) from the top to the ground."""
    top = x.shape[0] - 1

    def body(i, x):
        k = top - 1 - i
        return dynamic_update_index_in_dim(x, _at(x, k) + passed(k, _at(x, k + 1)), k, 0)

    return jax.lax.fori_loop(0, top, body, x)


def _ascend(x: Array, above: Callable[[Array, Array, Array], Array]) -> Array:
    """x_{k+1} ← above(k, x_k, x_{k+1}) from the ground to the top."""

    def body(k, x):
        return dynamic_update_index_in_dim(x, above(k, _at(x, k), _at(x, k + 1)), k + 1, 0)

    return jax.lax.fori_loop(0, x.shape[0] - 1, body, x)

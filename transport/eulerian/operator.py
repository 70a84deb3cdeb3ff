"""T: sources and inflow in, hourly mean mole fraction out. Strang-split, linear, mass conserving, exact adjoint.

One step over Δt is symmetric about the vertical solve, where sources enter:

    q ← X(Δt/2) q;   q ← Y(Δt/2) q;   q ← Z(Δt)⁻¹ (q + s Δt/m);   q ← Y(Δt/2) q;   q ← X(Δt/2) q
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from transport.errors import TanhengError
from transport.eulerian import banded, third_order, vertical
from transport.linear import AbstractMap, Transpose
from transport.meteorology import Meteorology
from transport.sources import Injection, Sources

X, Y = 2, 1
MOST_STEPS = 1000


class _Step(eqx.Module):
    """Coefficients of one interval."""

    x_first: Float[Array, "5 nz ny nx"]
    y_first: Float[Array, "5 nz ny nx"]
    factors: vertical.Tridiagonal
    y_last: Float[Array, "5 nz ny nx"]
    x_last: Float[Array, "5 nz ny nx"]
    gain: Float[Array, "nz ny nx"]  # Δt / air at the vertical stage: ppm per µmol s-1

    def forward(self, q, source, inflow):
        q = banded.apply(self.x_first, q, X, inflow)
        q = banded.apply(self.y_first, q, Y, inflow)
        q = self.factors.solve(q + self.gain * source)
        q = banded.apply(self.y_last, q, Y, inflow)
        return banded.apply(self.x_last, q, X, inflow)

    def flipped(self):
        """The bands of the transposed sweeps, computed once per interval."""
        return (
            banded.transpose(self.x_last, X),
            banded.transpose(self.y_last, Y),
            banded.transpose(self.y_first, Y),
            banded.transpose(self.x_first, X),
        )

    def backward(self, flipped, q):
        """Cotangents of (q, source, inflow) from that of the step's result."""
        inflow = banded.outside_cotangent(self.x_last, q, X)
        q = banded.apply(flipped[0], q, X, 0.0)
        inflow += banded.outside_cotangent(self.y_last, q, Y)
        q = self.factors.solve_transposed(banded.apply(flipped[1], q, Y, 0.0))
        source = self.gain * q
        inflow += banded.outside_cotangent(self.y_first, q, Y)
        q = banded.apply(flipped[2], q, Y, 0.0)
        inflow += banded.outside_cotangent(self.x_first, q, X)
        return banded.apply(flipped[3], q, X, 0.0), source, inflow


def _enough_steps(meteorology: Meteorology, max_courant: float) -> int:
    """The fewest steps per interval whose sweeps all stay within max_courant.

    Raises:
        TanhengError: more than `MOST_STEPS` would be needed.
    """
    steps = 1
    while steps <= MOST_STEPS:
        worst = split_courant(meteorology, steps)
        if worst <= max_courant:
            return steps
        # Not proportional: the air that a sweep meets depends on the sweeps before it, so look again.
        steps = max(steps + 1, math.ceil(steps * min(worst / max_courant, 2.0)) - 1)
    raise TanhengError(
        "transport needs too many steps",
        got=f"more than {MOST_STEPS} per interval of {meteorology.interval:.0f} s",
        expected=f"at most {MOST_STEPS}",
        remedy="check the wind and the cell size, or raise transport.max_courant towards 1",
    )


@jax.jit
def _split_courant(meteorology: Meteorology, half):

    def of_interval(fluxes):
        x, y, z = fluxes
        moved_x, moved_y = x * half, y * half
        air, worst = meteorology.air, jnp.zeros(())
        for moved, axis in ((moved_x, X), (moved_y, Y), (2 * half * z, 0), (moved_y, Y), (moved_x, X)):
            if axis != 0:  # the vertical solve is implicit and has no limit
                worst = jnp.maximum(worst, jnp.max(third_order.courant(air, moved, axis)))
            air = air - jnp.diff(moved, axis=axis)
            # Air that runs out has no Courant number that would be allowed.
            worst = jnp.where(jnp.min(air) > 0, worst, jnp.inf)
        return worst

    return jnp.max(jax.lax.map(of_interval, (meteorology.flux_x, meteorology.flux_y, meteorology.flux_z)))


def split_courant(meteorology: Meteorology, steps: int) -> float:
    """Largest Courant number that any sweep meets, in the air the sweeps before it left; inf if a cell runs dry."""
    return float(_split_courant(meteorology, 0.5 * meteorology.interval / steps))


@jax.custom_batching.custom_vmap
def _count_active(vector):
    """Number of leading intervals up to the last one with a non-zero entry."""
    active = jnp.any(vector != 0, axis=(1, 2, 3))
    return jnp.max(jnp.where(active, jnp.arange(1, vector.shape[0] + 1), 0))


@_count_active.def_vmap
def _count_active_of_batch(_size, _batched, vectors):
    """One count for the whole batch: receptors march back together, so the loop and its coefficients stay shared."""
    return _count_active(jnp.any(vectors != 0, axis=0)), False


class EulerianTransport(AbstractMap):
    """C = T(sources): hourly mean dry mole fraction in ppm, shape (nt, nz, ny, nx).

    Args:
        meteorology: air, mass fluxes and exchange.
        areas: (ny, nx) cell areas, m2.
        injection: where the point sources release.
        max_courant: largest Courant number of one sweep; decides the number of steps per interval.

    Raises:
        TanhengError: a non-positive `max_courant`, or one beyond the stability limit of 1.
    """

    meteorology: Meteorology
    areas: Float[Array, "ny nx"]
    injection: Injection
    steps: int = eqx.field(static=True)

    def __init__(self, meteorology: Meteorology, areas, injection: Injection, max_courant: float = 0.8):
        if not 0.0 < max_courant <= 1.0:
            raise TanhengError(
                "transport.max_courant is outside the stable range",
                got=max_courant,
                expected="0 < max_courant ≤ 1",
                remedy="use the default 0.8",
            )
        injection.check(meteorology.air.shape)
        self.meteorology = meteorology
        self.areas = jnp.asarray(areas)
        self.injection = injection
        self.steps = _enough_steps(meteorology, max_courant)

    @property
    def seconds(self) -> float:
        """Length of a step, s."""
        return self.meteorology.interval / self.steps

    def in_structure(self):
        """`Sources` of this operator's shape."""
        nt, _, ny, nx = self.meteorology.shape
        dtype = self.meteorology.air.dtype
        return Sources(
            surface=jax.ShapeDtypeStruct((nt, ny, nx), dtype),  # type: ignore[arg-type]
            points=jax.ShapeDtypeStruct((nt, len(self.injection.row)), dtype),  # type: ignore[arg-type]
            inflow=jax.ShapeDtypeStruct((nt,), dtype),  # type: ignore[arg-type]
            initial=jax.ShapeDtypeStruct((), dtype),  # type: ignore[arg-type]
        )

    def out_structure(self):
        """(nt, nz, ny, nx) ppm."""
        return jax.ShapeDtypeStruct(self.meteorology.shape, self.meteorology.air.dtype)

    def _step(self, t) -> _Step:
        """Coefficients of interval t; the air returns to its start because density is steady."""
        met, half = self.meteorology, 0.5 * self.seconds
        moved_x, moved_y, moved_z = met.flux_x[t] * half, met.flux_y[t] * half, met.flux_z[t] * self.seconds
        x_first, air = third_order.sweep_bands(met.air, moved_x, X)
        y_first, air = third_order.sweep_bands(air, moved_y, Y)
        gain = self.seconds / air
        factors, air = vertical.factorise(air, moved_z, met.exchange[t] * self.seconds)
        y_last, air = third_order.sweep_bands(air, moved_y, Y)
        x_last, _ = third_order.sweep_bands(air, moved_x, X)
        return _Step(x_first, y_first, factors, y_last, x_last, gain)

    def _release(self, surface, points):
        """Sources of one interval on cells, µmol s-1."""
        source = jnp.zeros(self.meteorology.air.shape, self.meteorology.air.dtype)
        source = source.at[0].add(surface * self.areas)
        return source.at[:, self.injection.row, self.injection.column].add(self.injection.profile.T * points)

    def _release_transposed(self, source):
        points = source[:, self.injection.row, self.injection.column]
        return source[0] * self.areas, jnp.sum(self.injection.profile.T * points, axis=0)

    @eqx.filter_jit
    def mv(self, vector: Sources) -> Float[Array, "nt nz ny nx"]:
        """T v: march forward; the mean of an interval is the trapezoidal rule over its steps."""

        def interval(q, per_hour):
            t, surface, points, inflow = per_hour
            step, source = self._step(t), self._release(surface, points)

            def inner(carry, _):
                q, mean = carry
                new = step.forward(q, source, inflow)
                return (new, mean + 0.5 * (q + new)), None

            (q, mean), _ = jax.lax.scan(inner, (q, jnp.zeros_like(q)), None, length=self.steps)
            return q, mean / self.steps

        hours = jnp.arange(self.meteorology.shape[0])
        start = jnp.full(self.meteorology.air.shape, vector.initial)
        return jax.lax.scan(interval, start, (hours, vector.surface, vector.points, vector.inflow))[1]

    @eqx.filter_jit
    def mv_transposed(self, vector: Float[Array, "nt nz ny nx"]) -> Sources:
        """Tᵀ v: march backward from the last interval that holds a non-zero cotangent; before it all is zero."""
        nt, _, ny, nx = self.meteorology.shape
        dtype = vector.dtype
        last = _count_active(vector)

        def interval(n, carry):
            t = last - 1 - n
            q, out = carry
            step, mean = self._step(t), 0.5 * vector[t] / self.steps
            flipped = step.flipped()

            def inner(_, carry):
                q, source, inflow = carry
                q, to_source, to_inflow = step.backward(flipped, q + mean)
                return q + mean, source + to_source, inflow + to_inflow

            start = (q, jnp.zeros_like(q), jnp.zeros((), dtype))
            q, source, inflow = jax.lax.fori_loop(0, self.steps, inner, start)
            surface, points = self._release_transposed(source)
            return q, Sources(
                out.surface.at[t].set(surface), out.points.at[t].set(points), out.inflow.at[t].set(inflow), out.initial
            )

        zero = Sources(
            surface=jnp.zeros((nt, ny, nx), dtype),
            points=jnp.zeros((nt, len(self.injection.row)), dtype),
            inflow=jnp.zeros((nt,), dtype),
            initial=jnp.zeros((), dtype),
        )
        q, out = jax.lax.fori_loop(0, last, interval, (jnp.zeros(self.meteorology.air.shape, dtype), zero))
        return eqx.tree_at(lambda s: s.initial, out, jnp.sum(q))

    def transpose(self) -> Transpose:
        """Tᵀ."""
        return Transpose(self)

"""Where the tracer went: a mass budget of a forward run, each term counted where it happens.

    M(end) − M(start) = emitted + entered − left − deposited − decayed

What crosses a face is counted there, from the flux of air and the mole fraction that the face passes on, and not from
the change of the cells, so that the closure tests the sweeps, the column solve and the sources alike.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from transport.eulerian.operator import EulerianTransport, outer_of
from transport.eulerian.step import Outer, Step
from transport.eulerian.sweep import Sweep, repeated
from transport.mixing.solve import implicit_step
from transport.sources import Sources

SIDES = ("west", "east", "south", "north", "top")
COUNTS = (*(f"entered_{s}" for s in SIDES), *(f"left_{s}" for s in SIDES), "deposited", "decayed", "emitted")


@dataclasses.dataclass(frozen=True)
class Budget:
    """Tracer in µmol over a whole run.

    Args:
        initial, final: tracer in the air at the start and at the end.
        emitted: by surface and point sources.
        entered, left: through each side, both ≥ 0 for non-negative mole fractions.
        deposited, decayed: lost to the ground and in the air.
    """

    initial: float
    final: float
    emitted: float
    entered: dict[str, float]
    left: dict[str, float]
    deposited: float
    decayed: float

    @property
    def closure(self) -> float:
        """What the terms leave unexplained, relative to the largest of them: zero to rounding."""
        gains = (self.emitted, *self.entered.values())
        losses = (self.deposited, self.decayed, *self.left.values())
        largest = max(map(abs, (self.initial, self.final, *gains, *losses)))
        unexplained = self.final - self.initial - (sum(gains) - sum(losses))
        return abs(unexplained) / largest if largest > 0 else 0.0


def _crossing(sweep: Sweep, q, outer) -> tuple:
    """(entered, left) at the low and the high face of one sub-sweep from the mixing ratios before it."""
    first, last = sweep.moved
    axis = sweep.axis
    low, high = (jax.lax.index_in_dim(q, i, axis, keepdims=False) for i in (0, -1))
    entered = (jnp.sum(jnp.maximum(first, 0.0) * outer[0]), jnp.sum(jnp.maximum(-last, 0.0) * outer[1]))
    left = (jnp.sum(jnp.maximum(-first, 0.0) * low), jnp.sum(jnp.maximum(last, 0.0) * high))
    return jnp.stack(entered), jnp.stack(left)


def _swept(sweep: Sweep, q, air, outer):
    """The sweep, with `air` after it, and what crossed its two edges."""
    parts, entered, left = [], jnp.zeros(2, q.dtype), jnp.zeros(2, q.dtype)
    for a, b, n in sweep.slabs:
        slab = sweep.layers(a, b)
        side = outer if sweep.axis == 0 else tuple(value[a:b] for value in outer)

        def once(j, carry, slab=slab, after=air[a:b], side=side, n=n):
            part, entered, left = carry
            gains, losses = _crossing(slab, part, side)
            part = slab.faces.apply(part, slab.earlier(after, -(n - 1 - j), n), side)
            return part, entered + gains, left + losses

        part, entered, left = repeated(n, once, (q[a:b], entered, left))
        parts.append(part)
    return jnp.concatenate(parts), entered, left


def _counted_step(step: Step, q, n, source, outer: Outer):
    """`Step.forward`, counting: (q, entered per side, left per side, deposited, decayed)."""
    entered, left = [], []

    def go(sweep, q, air, outer):
        q, gains, losses = _swept(sweep, q, air, outer)
        entered.append(gains)
        left.append(losses)
        return q

    q = go(step.x, q, step.air_at(1, n), outer.x)
    q = go(step.y, q, step.air_at(2, n), outer.y)
    q = go(step.z, q, step.air_at(3, n), outer.z)
    before, after, c = step.air_at(3, n), step.air_at(4, n), step.column
    decayed = jnp.sum(before * (q - step.decayed(q)))
    q = step.decayed(q)
    q = implicit_step(before, after, before * q + source, c.exchange, c.excess, outer.z[1], c.updraft, c.deposition)
    deposited = 0.0 if c.deposition is None else jnp.sum(c.deposition * q[0])
    top_in = top_out = jnp.zeros((), q.dtype)
    if c.excess is not None:
        top_in, top_out = (
            jnp.sum(jnp.maximum(-c.excess[-1], 0.0) * outer.z[1]),
            jnp.sum(jnp.maximum(c.excess[-1], 0.0) * q[-1]),
        )
    decayed += jnp.sum(after * (q - step.decayed(q)))
    q = step.decayed(q)
    q = go(step.z, q, step.air_at(5, n), outer.z)
    q = go(step.y, q, step.air_at(6, n), outer.y)
    q = go(step.x, q, step.air_at(0, n + 1), outer.x)
    gained, lost = _by_side(entered, top_in), _by_side(left, top_out)
    return q, jnp.concatenate([gained, lost, jnp.stack([jnp.asarray(deposited, q.dtype), decayed])])


def _by_side(crossed: list, through_top):
    """West, east, south, north, top from the six sweeps of a step; nothing crosses the ground."""
    x, y, z = (crossed[first] + crossed[last] for first, last in ((0, 5), (1, 4), (2, 3)))
    return jnp.concatenate([x, y, z[1:] + through_top])


@eqx.filter_jit
def counts(transport: EulerianTransport, sources: Sources):
    """Tracer at the start and at the end, and `COUNTS` per interval (nt, 13), in µmol."""

    def interval(q, per_interval):
        t, surface, points, boundary = per_interval
        step, source, outer = transport.step(t), transport.release(t, surface, points), outer_of(boundary)

        def inner(q, n):
            return _counted_step(step, q, n, source, outer)

        q, crossed = jax.lax.scan(inner, q, jnp.arange(transport.plan.steps, dtype=q.dtype))
        emitted = transport.plan.steps * jnp.sum(source)
        return q, jnp.append(crossed.sum(axis=0), emitted)

    times = jnp.arange(transport.meteorology.shape[0])
    q, per_interval = jax.lax.scan(
        interval, sources.initial, (times, sources.surface, sources.points, sources.boundary)
    )
    air = transport.meteorology.air
    return jnp.sum(air[0] * sources.initial), jnp.sum(air[-1] * q), per_interval


def budget(transport: EulerianTransport, sources: Sources) -> Budget:
    """The mass budget of C = T(sources), for any scheme.

    Args:
        transport: operator.
        sources: what enters.

    Returns:
        every term in µmol.
    """
    initial, final, per_interval = counts(transport, sources)
    total = np.asarray(per_interval, dtype=float).sum(axis=0)
    entered: dict[str, float] = dict(zip(SIDES, map(float, total[:5]), strict=True))
    left: dict[str, float] = dict(zip(SIDES, map(float, total[5:10]), strict=True))
    deposited, decayed, emitted = map(float, total[10:])
    return Budget(float(initial), float(final), emitted, entered, left, deposited, decayed)

"""How many steps an interval needs, and which layers sweep more than once per step.

Half of the layers must do with one sweep per half step; the faster ones are swept 2, 4 or 8 times. The Courant number
that counts is the one in the air which the sweeps before it have left.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from transport.errors import TanhengError
from transport.eulerian.faces import courant, high, low
from transport.eulerian.step import Plan, X, Y, Z, explicit_vertical
from transport.eulerian.sweep import Slabs
from transport.meteorology import Meteorology

MOST_STEPS = 1000
MOST_SWEEPS = 8
MOST_SLABS = 3


@jax.jit
def _courant_numbers(meteorology: Meteorology, half):
    """Largest Courant number per layer of the x and y sweeps of a half step; whether Z exceeds its limit.

    A layer whose air runs out at any stage of the first or the last step of an interval has an infinite number.
    """

    def of_interval(fields):
        start, end, *fluxes = fields
        middle = 0.5 * (start + end)
        x, y, z = (flux * half for flux in fluxes)
        explicit = explicit_vertical(middle, z)
        lost = {axis: high(moved, axis) - low(moved, axis) for axis, moved in ((X, x), (Y, y), (Z, explicit))}
        excess = 2.0 * (high(z, Z) - low(z, Z) - lost[Z])

        def least(air):
            """Smallest air of each layer at any stage of a step that begins with `air`."""
            smallest = air.min(axis=(1, 2))
            for loss in (lost[X], lost[Y], lost[Z], excess, lost[Z], lost[Y], lost[X]):
                air = air - loss
                smallest = jnp.minimum(smallest, air.min(axis=(1, 2)))
            return smallest

        gain = (end - start) * (2.0 * half / meteorology.interval)
        dry = jnp.minimum(least(start), least(end - gain)) <= 0
        # Bands refer to the air in the middle of the interval; a sweep meets what the sweeps before it left.
        numbers = [
            jnp.maximum(courant(middle, moved, axis), courant(before, moved, axis)).max(axis=(1, 2))
            for moved, axis, before in ((x, X, middle), (y, Y, middle - lost[X]))
        ]
        return *(jnp.where(dry, jnp.inf, c) for c in numbers), jnp.any(explicit != z)

    fields = (meteorology.air[:-1], meteorology.air[1:], meteorology.flux_x, meteorology.flux_y, meteorology.flux_z)
    x, y, excess = jax.lax.map(of_interval, fields)
    return x.max(axis=0), y.max(axis=0), excess.any()


def courant_numbers(meteorology: Meteorology, steps: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """(nz,) largest Courant numbers of a half step along x and y, and whether vertical fluxes exceed their limit."""
    x, y, excess = _courant_numbers(meteorology, 0.5 * meteorology.interval / steps)
    return np.asarray(x), np.asarray(y), bool(excess)


def _slabs(numbers: np.ndarray, limit: float) -> Slabs:
    """Neighbouring layers with the same number of sub-sweeps, a power of two; few slabs, since each costs a copy."""
    count = [1 << max(0, math.ceil(math.log2(max(c / limit, 1e-9)))) if np.isfinite(c) else MOST_STEPS for c in numbers]
    slabs, start = [], 0
    for k in range(1, len(count) + 1):
        if k == len(count) or count[k] != count[start]:
            slabs.append((start, k, count[start]))
            start = k
    while len(slabs) > MOST_SLABS:
        pairs = [(_union(p, q), i) for i, (p, q) in enumerate(itertools.pairwise(slabs))]
        cost = [_work(both) - _work(slabs[i]) - _work(slabs[i + 1]) for both, i in pairs]
        both, i = pairs[int(np.argmin(cost))]
        slabs[i : i + 2] = [both]
    return tuple(slabs)


def _union(p: tuple[int, int, int], q: tuple[int, int, int]) -> tuple[int, int, int]:
    return p[0], q[1], max(p[2], q[2])


def _work(slab: tuple[int, int, int]) -> int:
    first, end, sweeps = slab
    return (end - first) * sweeps


def make_plan(meteorology: Meteorology, max_courant: float, max_seconds: float) -> Plan:
    """The fewest steps, none longer than `max_seconds`, with at most half of the layers sub-cycled.

    Raises:
        TanhengError: a cell without air, or more than `MOST_STEPS` would be needed.
    """
    fluxes = (meteorology.flux_x, meteorology.flux_y, meteorology.flux_z)
    if not all(bool(jnp.isfinite(flux).all()) for flux in fluxes):
        raise TanhengError(
            "a flux of the meteorology is not a number", got="NaN or infinite", expected="finite mol s-1 on all faces",
            remedy="look for gaps in the wind that was read",
        )  # fmt: skip
    least = float(meteorology.air.min())
    if not least > 0.0:
        raise TanhengError(
            "a cell of the meteorology has no air", got=f"{least:.3g} mol", expected="> 0 at the ends of all intervals",
            remedy="check air and fluxes with Meteorology.continuity_residual()",
        )  # fmt: skip
    steps = max(1, math.ceil(meteorology.interval / max_seconds))
    while steps <= MOST_STEPS:
        x, y, excess = courant_numbers(meteorology, steps)
        worst = np.maximum(x, y)
        typical, fastest = np.median(worst), worst.max()
        if typical <= max_courant and fastest <= MOST_SWEEPS * max_courant:
            return Plan(steps, _slabs(x, max_courant), _slabs(y, max_courant), excess)
        ratio = max(typical / max_courant, fastest / (MOST_SWEEPS * max_courant))
        # Not proportional: the air that a sweep meets depends on the sweeps before it, so look again.
        steps = max(steps + 1, math.ceil(steps * min(ratio, 2.0)) - 1)
    raise TanhengError(
        "transport needs too many steps",
        got=f"more than {MOST_STEPS} per interval of {meteorology.interval:.0f} s",
        expected=f"at most {MOST_STEPS}",
        remedy="check the wind and the cell size, or raise transport.max_courant towards 1",
    )


def largest_courant(meteorology: Meteorology, plan: Plan) -> float:
    """Largest Courant number of any sub-sweep of the plan."""
    x, y, _ = courant_numbers(meteorology, plan.steps)
    worst = [c[a:b].max() / n for c, slabs in ((x, plan.slabs_x), (y, plan.slabs_y)) for a, b, n in slabs]
    return float(max(worst))

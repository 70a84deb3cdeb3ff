"""One step over Δt, symmetric about the implicit column solve where sources enter, and its dual.

    q ← X(Δt/2) q;  q ← Y(Δt/2) q;  q ← Z(Δt/2) q;
    q ← d (m' + Δt L)⁻¹ (m d q + s Δt);                              d = exp(−λ Δt/2)
    q ← Z(Δt/2) q;  q ← Y(Δt/2) q;  q ← X(Δt/2) q                    (Strang 1968, doi 10.1137/0705041)

Air moves along: m is known before every sweep. The bands of a sweep refer to the air in the middle of the interval and
serve the first and the last sweep of every step of the interval; the air itself is exact, so mass and uniform fields
are kept to rounding while nothing is recomputed from step to step.

A vertical flux beyond `VERTICAL_LIMIT` of its donor's air per half step goes, for the excess, into the implicit solve
(Shchepetkin 2015, doi 10.1016/j.ocemod.2015.03.006): thin layers never limit the step.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from transport.eulerian.banded import Bands
from transport.eulerian.faces import donors
from transport.eulerian.schemes import AbstractScheme
from transport.eulerian.sweep import Slabs, Sweep, sweep, whole
from transport.mixing.solve import implicit_step, implicit_step_transposed

X, Y, Z = 2, 1, 0
VERTICAL_LIMIT = 0.45


class Outer(eqx.Module):
    """Values beyond the sides, or their cotangents, for one interval: (low, high) per axis."""

    x: tuple[Array, Array]
    y: tuple[Array, Array]
    z: tuple[Array, Array]


class Plan(eqx.Module):
    """How an interval is cut: steps, sub-sweeps per layer and direction, and which terms exist at all."""

    steps: int = eqx.field(static=True)
    slabs_x: Slabs = eqx.field(static=True)
    slabs_y: Slabs = eqx.field(static=True)
    vertical_excess: bool = eqx.field(static=True)


class Column(eqx.Module):
    """Terms of the implicit solve over one step; None where a term does not exist.

    Args:
        exchange: (nz-1, ny, nx) air exchanged across inner faces, mol.
        updraft: (nz, ny, nx) air moved from the lowest layer straight to others, mol.
        deposition: (ny, nx) air of the lowest layer cleaned by the ground, mol.
        excess: (nz+1, ny, nx) air moved up beyond what the explicit sweeps take, mol.
    """

    exchange: Float[Array, "nz2 ny nx"]
    updraft: Float[Array, "nz ny nx"] | None
    deposition: Float[Array, "ny nx"] | None
    excess: Float[Array, "nz1 ny nx"] | None


class Step(eqx.Module):
    """Coefficients of one interval.

    Args:
        x, y, z: half-step sweeps.
        column: implicit terms.
        air: (nz, ny, nx) at the start of the first step and after each stage of it, mol: 7 entries.
        gain: (nz, ny, nx) what the air gains in one step, mol.
        survival: what half a step leaves of the tracer, exp(−λ Δt/2), or None.
    """

    x: Sweep
    y: Sweep
    z: Sweep
    column: Column
    air: tuple[Float[Array, "nz ny nx"], ...]
    gain: Float[Array, "nz ny nx"]
    survival: Array | None

    def air_at(self, stage: int, n: Array) -> Array:
        """Air before stage 0…6 of step n (6: after the last sweep)."""
        return self.air[stage] + n * self.gain

    def forward(self, q: Array, n: Array, source: Array, outer: Outer) -> Array:
        """q after step n; `source` is what enters during the step, µmol."""
        q = self.x.forward(q, self.air_at(1, n), outer.x)
        q = self.y.forward(q, self.air_at(2, n), outer.y)
        q = self.z.forward(q, self.air_at(3, n), outer.z)
        before, after = self.air_at(3, n), self.air_at(4, n)
        c = self.column
        q = self.decayed(q)
        q = implicit_step(before, after, before * q + source, c.exchange, c.excess, outer.z[1], c.updraft, c.deposition)
        q = self.z.forward(self.decayed(q), self.air_at(5, n), outer.z)
        q = self.y.forward(q, self.air_at(6, n), outer.y)
        return self.x.forward(q, self.air_at(0, n + 1), outer.x)

    def decayed(self, field: Array) -> Array:
        """What half a step of decay leaves; the same forward and in the dual."""
        return field if self.survival is None else field * self.survival

    def flipped(self) -> tuple[Bands, Bands, Bands]:
        """The transposed bands, computed once per interval."""
        bands = self.x.transposed(), self.y.transposed(), self.z.transposed()
        return jax.lax.optimization_barrier(bands)

    def dual(self, flipped: tuple[Bands, Bands, Bands], mu: Array, n: Array) -> tuple[Array, Array, Outer]:
        """(μ before, cotangent of the source, cotangents of the outer values) of step n from μ after it."""
        x, y, z = flipped
        mu, outer_x = self.x.dual(x, mu, self.air_at(6, n))
        mu, outer_y = self.y.dual(y, mu, self.air_at(5, n))
        after = self.air_at(4, n)
        mu, outer_z = self.z.dual(z, mu, after)
        c = self.column
        mu, top = implicit_step_transposed(after, self.decayed(mu), c.exchange, c.excess, c.updraft, c.deposition)
        source = mu
        mu, more_z = self.z.dual(z, self.decayed(mu), self.air_at(2, n))
        mu, more_y = self.y.dual(y, mu, self.air_at(1, n))
        mu, more_x = self.x.dual(x, mu, self.air_at(0, n))
        if top is not None:
            outer_z = (outer_z[0], outer_z[1] + top)
        first, again = Outer(outer_x, outer_y, outer_z), Outer(more_x, more_y, more_z)
        return mu, source, jax.tree.map(jnp.add, first, again)


def explicit_vertical(air: Array, moved: Array) -> Array:
    """The part of the vertical flux of a half step that the explicit sweep takes."""
    return jnp.clip(moved, -VERTICAL_LIMIT * donors(air, moved, Z), VERTICAL_LIMIT * donors(air, moved, Z))


def make_step(
    start: Array, end: Array, fluxes: tuple[Array, Array, Array], column: Column, seconds: float, plan: Plan,
    scheme: AbstractScheme, survival: Array | None,
) -> Step:  # fmt: skip
    """Coefficients of one interval.

    Args:
        start, end: (nz, ny, nx) air at its ends, mol.
        fluxes: mean flux through west, south and lower faces, mol s-1.
        column: implicit terms of one step; `excess` is filled in here.
        seconds: Δt.
        plan: steps and sub-sweeps.
        scheme: of advection.
        survival: exp(−λ Δt/2) or None.
    """
    half = 0.5 * seconds
    middle = 0.5 * (start + end)
    x = sweep(scheme, middle, fluxes[0] * half, X, plan.slabs_x)
    y = sweep(scheme, middle, fluxes[1] * half, Y, plan.slabs_y)
    moved = fluxes[2] * half
    if plan.vertical_excess:
        explicit = explicit_vertical(middle, moved)
        column = eqx.tree_at(lambda c: c.excess, column, 2.0 * (moved - explicit), is_leaf=lambda leaf: leaf is None)
        moved = explicit
    z = sweep(scheme, middle, moved, Z, whole(start.shape[0]))
    air = [start]
    for lost in (x.total(), y.total(), z.total()):
        air.append(air[-1] - lost)
    air.append(air[-1] if column.excess is None else air[-1] - jnp.diff(column.excess, axis=0))
    for lost in (z.total(), y.total()):
        air.append(air[-1] - lost)
    gain = (end - start) / plan.steps
    return jax.lax.optimization_barrier(Step(x, y, z, column, tuple(air), gain, survival))

"""Numerical evidence for the Eulerian operator with all its options; run with `-s` to see the figures."""

import dataclasses
import functools
import os
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.verification.planar import LIMITED, LINEAR, SCHEMES
from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.eulerian.budget import SIDES, budget
from transport.eulerian.plan import largest_courant
from transport.linear import adjoint_gap, inner, random_like
from transport.meteorology import Meteorology, vertical_flux
from transport.mixing import ACM2, BoundaryLayer, Columns, Constant, KProfile, Mixing, Sinks
from transport.sources import Boundary, Injection, Sources

HOUR, CELL, DENSITY = 3600.0, 3e3, 40.0  # s, m, mol m-3
HEIGHTS = np.array([0.0, 50.0, 150.0, 400.0, 900.0, 1800.0, 3000.0])
NY, NX, NZ = 7, 9, HEIGHTS.size - 1
AREAS = np.full((NY, NX), CELL**2)
INJECTION = Injection(np.array([3, 5]), np.array([4, 7]), np.array([[0, 0.5, 0.5, 0, 0, 0], [0, 0, 0.2, 0.8, 0, 0]]))


# --- made-up weather with every difficulty on a switch ----------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Weather:
    """Random air and flow in exact balance.

    Args:
        hours: intervals.
        wind: mean wind, m s-1, turning with height and time; eddies of the same strength.
        shear: how many times faster the two uppermost layers are than the others.
        breeze: m s-1 of random divergent flow whose columns keep their air.
        filling: m s-1 of random flow that fills and empties columns.
        open_top: that filling leaves through the top, the layers keep their air; else they swell with it.
        seed: of the random numbers.
    """

    hours: int = 3
    wind: float = 4.0
    shear: float = 1.0
    breeze: float = 0.2
    filling: float = 0.05
    open_top: bool = False
    seed: int = 0


def flow(w: Weather, psi=0.0) -> dict:
    """Air, and fluxes in mol s-1; `psi` (hours, 1, NY+1, NX+1) is added to the streamfunction, m2 s-1."""
    rng = np.random.default_rng(w.seed)
    thick = np.diff(HEIGHTS)[:, None, None]
    share = thick / HEIGHTS[-1]
    side = DENSITY * CELL * thick  # mol per metre of flow through a face
    x, y = (np.arange(n + 1)[:, None] * CELL for n in (NX, NY))
    level = np.where(np.arange(NZ) < NZ - 2, 1.0, w.shear)[:, None, None]
    angle = rng.uniform(0, 2 * np.pi, (w.hours, 1, 1, 1)) + 0.1 * np.arange(NZ)[:, None, None]
    eddies = CELL * rng.normal(size=(w.hours, NZ, NY + 1, NX + 1))
    psi = psi + w.wind * level * (np.sin(angle) * x.T - np.cos(angle) * y + 0.5 * eddies)
    flux_x, flux_y = -jnp.diff(psi, axis=2) * side / CELL, jnp.diff(psi, axis=3) * side / CELL
    for flux, shape in ((0, (NY, NX + 1)), (1, (NY + 1, NX))):
        noise = w.breeze * rng.normal(size=(w.hours, NZ, *shape)) * side
        noise = (
            noise - share * noise.sum(axis=1, keepdims=True) + w.filling * side * rng.normal(size=(w.hours, 1, *shape))
        )
        flux_x, flux_y = (flux_x + noise, flux_y) if flux == 0 else (flux_x, flux_y + noise)
    divergence = jnp.diff(flux_x, axis=3) + jnp.diff(flux_y, axis=2)
    tendency = 0.0 * divergence if w.open_top else -share * divergence.sum(axis=1, keepdims=True)
    start = DENSITY * CELL**2 * thick * rng.uniform(0.95, 1.05, (NZ, NY, NX))
    air = jnp.concatenate([start[None], start + HOUR * jnp.cumsum(tendency, axis=0)])
    flux_z = jnp.pad(-jnp.cumsum(divergence + tendency, axis=1), ((0, 0), (1, 0), (0, 0), (0, 0)))
    if not w.open_top:
        flux_z = flux_z.at[:, -1].set(0.0)
    return {"air": air, "flux_x": flux_x, "flux_y": flux_y, "flux_z": flux_z}


def columns_of(air) -> Columns:
    edges = np.broadcast_to(HEIGHTS[:, None, None], (air.shape[0] - 1, NZ + 1, NY, NX))
    return Columns(jnp.asarray(edges), 0.5 * (air[1:] + air[:-1]), jnp.asarray(AREAS))


def layer_of(hours: int, height=700.0, friction=0.3) -> BoundaryLayer:
    """A convective boundary layer that differs from cell to cell."""
    rng = np.random.default_rng(8)
    vary = lambda low, high: jnp.asarray(rng.uniform(low, high, (hours, NY, NX)))  # noqa: E731
    return BoundaryLayer(
        height * vary(0.8, 1.2), friction * vary(0.8, 1.2), vary(50.0, 200.0), vary(285.0, 290.0), vary(0.9e5, 1e5)
    )


def everything_mixed(layer: BoundaryLayer, columns: Columns) -> Mixing:
    """Updraft of one scheme and counter-gradient release of the other, which no scheme has together."""
    return eqx.tree_at(
        lambda m: m.release, ACM2()(layer, columns), KProfile(counter_gradient=True)(layer, columns).release,
        is_leaf=lambda leaf: leaf is None,
    )  # fmt: skip


SINKS = Sinks(rate=2e-5, deposition_velocity=0.01)
OPTIONS = {  # weather, mixing, sinks
    "plain": (Weather(), KProfile(), None),
    "updraft": (Weather(), ACM2(), None),
    "counter-gradient": (Weather(), KProfile(counter_gradient=True), None),
    "sinks": (Weather(), KProfile(), SINKS),
    "sub-cycled": (Weather(shear=6.0), KProfile(), None),
    "vertical excess": (Weather(breeze=0.8), KProfile(), None),
    "open top": (Weather(open_top=True, filling=0.2), KProfile(), None),
    "everything": (Weather(shear=6.0, breeze=0.8, open_top=True, filling=0.2), everything_mixed, SINKS),
}


@functools.cache
def built(option: str = "plain", scheme: str = "ppm", hours: int = 3) -> EulerianTransport:
    weather, mixing, sinks = OPTIONS[option]
    parts = flow(dataclasses.replace(weather, hours=hours))
    columns = columns_of(parts["air"])
    met = Meteorology(**parts, mixing=mixing(layer_of(hours), columns), interval=HOUR)
    assert met.continuity_residual() <= 1e-12
    return EulerianTransport(met, AREAS, INJECTION, SCHEMES[scheme], sinks, columns)


def nothing(transport: EulerianTransport) -> Sources:
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), transport.in_structure())


def only(sources: Sources, **parts) -> Sources:
    """Nothing but the parts given."""
    zero = jax.tree.map(jnp.zeros_like, sources)
    return Sources(
        **{name: parts.get(name, getattr(zero, name)) for name in ("surface", "points", "boundary", "initial")}
    )


def uniform_error(transport: EulerianTransport) -> float:
    zero = nothing(transport)
    ones = only(zero, boundary=jax.tree.map(lambda b: b + 1.0, zero.boundary), initial=zero.initial + 1.0)
    return float(jnp.abs(transport.mv(ones) - 1.0).max())


def test_the_switches_do_what_they_say():
    """Otherwise the tests below would test nothing."""
    plain, sub, excess, top, every = (
        built(o) for o in ("plain", "sub-cycled", "vertical excess", "open top", "everything")
    )
    assert all(n == 1 for _, _, n in plain.plan.slabs_x) and not plain.plan.vertical_excess
    assert max(n for _, _, n in sub.plan.slabs_x) > 1 and len(sub.plan.slabs_x) > 1
    assert excess.plan.vertical_excess
    assert jnp.all(plain.meteorology.flux_z[:, -1] == 0)
    through = top.meteorology.flux_z[:, -1]
    assert jnp.any(through > 0) and jnp.any(through < 0)
    assert len(every.plan.slabs_x) > 1 and every.plan.vertical_excess and every.deposition is not None
    mixing = every.meteorology.mixing
    assert mixing.updraft is not None and mixing.release is not None and every.decay is not None
    for transport in (plain, sub, excess, top, every):
        assert largest_courant(transport.meteorology, transport.plan) <= 0.9


# --- adjoint ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("option", "scheme"), [("everything", s) for s in LINEAR] + [(o, "upwind") for o in OPTIONS if o != "everything"]
)
def test_adjoint_identity(option, scheme):
    transport = built(option, scheme)
    gap = adjoint_gap(transport, pairs=3)
    print(option, scheme, transport.plan, gap)
    assert gap <= 1e-13


def test_adjoint_identity_in_each_source():
    """A gap in a small part could hide behind a large one."""
    transport = built("everything", "seventh")
    cotangent = jax.random.normal(jax.random.key(5), transport.out_structure().shape)
    gradient, noise = transport.transpose().mv(cotangent), random_like(jax.random.key(6), transport.in_structure())
    parts = {name: {name: getattr(noise, name)} for name in ("surface", "points", "initial")}
    none = jax.tree.map(jnp.zeros_like, noise.boundary)
    for side in SIDES:
        parts[side] = {"boundary": eqx.tree_at(lambda b, s=side: getattr(b, s), none, getattr(noise.boundary, side))}
    for name, part in parts.items():
        alone = only(noise, **part)
        image = transport.mv(alone)
        gap = jnp.abs(inner(image, cotangent) - inner(alone, gradient))
        assert float(jnp.linalg.norm(image)) > 0, name
        assert gap <= 1e-13 * jnp.linalg.norm(image) * jnp.linalg.norm(cotangent), name


def test_adjoint_identity_in_single_precision():
    transport = built("everything", "seventh")
    single = EulerianTransport(
        transport.meteorology.astype(jnp.float32), AREAS, INJECTION, transport.scheme, SINKS, columns_of(transport.meteorology.air)
    )  # fmt: skip
    assert single.out_structure().dtype == jnp.float32
    gap = adjoint_gap(single)
    print("f32", gap)
    assert gap <= 1e-5


def test_batches_equal_one_by_one():
    transport = built("everything", "seventh")
    zero = jnp.zeros(transport.out_structure().shape)
    receptors = jnp.stack([zero.at[t, 0, 3, 5].set(1.0) for t in (2, 0, 1)])
    once = jax.vmap(transport.mv_transposed)(receptors)
    twice = jax.vmap(jax.vmap(transport.mv_transposed))(jnp.stack([receptors, 2.0 * receptors]))
    for n in range(3):
        alone = transport.mv_transposed(receptors[n])
        for a, b, c in zip(*map(jax.tree.leaves, (once, twice, alone)), strict=True):
            np.testing.assert_allclose(a[n], c, rtol=1e-12, atol=1e-18)
            np.testing.assert_allclose(b[1, n], 2.0 * c, rtol=1e-12, atol=1e-18)


def test_jax_uses_the_written_transpose():
    """vjp and linear_transpose give it, and their programs hold the primitive, not a tape."""
    transport = built("everything", "seventh")
    x, y = (
        random_like(jax.random.key(n), s) for n, s in ((1, transport.in_structure()), (2, transport.out_structure()))
    )
    expected = jax.tree.leaves(transport.mv_transposed(y))
    pull = {
        "vjp": lambda y: jax.vjp(transport.mv, x)[1](y)[0],
        "linear_transpose": lambda y: jax.linear_transpose(transport.mv, x)(y)[0],
    }
    for name, function in pull.items():
        for a, b in zip(jax.tree.leaves(function(y)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=0, err_msg=name)
        program = str(jax.make_jaxpr(function)(y))
        assert "tanheng_linear_map" in program and "scan[" not in program and "while[" not in program
    push = jax.jvp(transport.mv, (x,), (x,))[1]
    np.testing.assert_allclose(push, transport.mv(x), rtol=1e-13)


def test_memory_of_a_derivative_does_not_grow_with_the_steps():
    transport = built("plain", "third")
    x, y = (
        random_like(jax.random.key(n), s) for n, s in ((1, transport.in_structure()), (2, transport.out_structure()))
    )
    needed = []
    for plan in (transport.plan, dataclasses.replace(transport.plan, steps=4 * transport.plan.steps)):
        finer = eqx.tree_at(lambda t: t.plan, transport, plan)
        pull = jax.jit(lambda x, y, t=finer: jax.vjp(t.mv, x)[1](y)[0])
        needed.append(pull.lower(x, y).compile().memory_analysis().temp_size_in_bytes)
    print(needed)
    assert needed[1] <= 1.02 * needed[0]


@pytest.mark.parametrize("scheme", ["van_leer", pytest.param("ppm_limited", marks=pytest.mark.nightly)])
def test_limited_schemes_have_a_tangent_and_its_transpose(scheme):
    transport = built("everything", scheme, 1)
    x, d = (random_like(jax.random.key(n), transport.in_structure()) for n in (1, 3))
    y = jax.random.normal(jax.random.key(2), transport.out_structure().shape)
    push = jax.jvp(transport.forward, (x,), (d,))[1]
    pull = jax.vjp(transport.forward, x)[1](y)[0]
    assert abs(inner(push, y) - inner(d, pull)) <= 1e-13 * jnp.linalg.norm(push) * jnp.linalg.norm(y)
    step = jax.tree.map(lambda a, b: a + 1e-7 * b, x, d)
    np.testing.assert_allclose(
        (transport.forward(step) - transport.forward(x)) / 1e-7, push, atol=1e-5 * float(jnp.abs(push).max())
    )
    with pytest.raises(TanhengError, match="no transpose"):
        transport.mv_transposed(y)

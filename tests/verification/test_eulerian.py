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
HEIGHTS = np.array([0.0, 50.0, 150.0, 400.0, 1200.0, 2900.0, 3000.0])
NY, NX, NZ = 7, 9, HEIGHTS.size - 1
AREAS = np.full((NY, NX), CELL**2)
INJECTION = Injection(np.array([3, 5]), np.array([4, 7]), np.array([[0, 0.5, 0.5, 0, 0, 0], [0, 0, 0.2, 0.8, 0, 0]]))


# --- made-up weather with every difficulty on a switch ----------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Weather:
    """Random air and flow in exact balance.

    Args:
        hours: intervals.
        wind: mean wind, m s-1, turning with height and time, with eddies.
        shear: how many times faster the two uppermost layers are than the others.
        breeze: m s-1 of random divergent flow whose columns keep their air.
        filling: m s-1 of random flow that fills and empties columns.
        open_top: of that filling 98 % leave through the top; else the layers swell with all of it.
        seed: of the random numbers.
    """

    hours: int = 3
    wind: float = 4.0
    shear: float = 1.0
    breeze: float = 0.2
    filling: float = 0.02
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
    psi = psi + w.wind * level * (np.sin(angle) * x.T - np.cos(angle) * y + 0.1 * eddies)
    flux_x, flux_y = -jnp.diff(psi, axis=2) * side / CELL, jnp.diff(psi, axis=3) * side / CELL
    for flux, shape in ((0, (NY, NX + 1)), (1, (NY + 1, NX))):
        noise = w.breeze * rng.normal(size=(w.hours, NZ, *shape)) * side
        noise = (
            noise - share * noise.sum(axis=1, keepdims=True) + w.filling * side * rng.normal(size=(w.hours, 1, *shape))
        )
        flux_x, flux_y = (flux_x + noise, flux_y) if flux == 0 else (flux_x, flux_y + noise)
    divergence = jnp.diff(flux_x, axis=3) + jnp.diff(flux_y, axis=2)
    kept = 0.02 if w.open_top else 1.0
    tendency = -kept * share * divergence.sum(axis=1, keepdims=True)
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
    "sub-cycled": (Weather(shear=12.0), KProfile(), None),
    "vertical excess": (Weather(breeze=3.0), KProfile(), None),
    "open top": (Weather(open_top=True, filling=0.4), KProfile(), None),
    "everything": (Weather(shear=12.0, breeze=3.0, open_top=True, filling=0.4), everything_mixed, SINKS),
}


@functools.cache
def built(option: str = "plain", scheme: str = "ppm", hours: int = 2) -> EulerianTransport:
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
    met, half = every.meteorology, 0.5 * every.seconds
    assert jnp.any(met.flux_z[:, -1] * half < -0.45 * met.air[1:, -1]), "no excess enters through the top"
    assert jnp.any(jnp.abs(jnp.diff(met.air, axis=0)) > 1e-3 * met.air[1:]), "no layer swells"
    assert len(every.plan.slabs_x) > 1 and every.plan.vertical_excess and every.deposition is not None
    mixing = every.meteorology.mixing
    assert mixing.updraft is not None and mixing.release is not None and every.decay is not None
    for transport in (plain, sub, excess, top, every):
        assert largest_courant(transport.meteorology, transport.plan) <= 0.9


# --- adjoint ----------------------------------------------------------------------------------------------------------
DAILY = [("everything", "seventh"), ("plain", "upwind")]
NIGHTLY = [(o, s) for s in LINEAR for o in OPTIONS if (o, s) not in DAILY]


@pytest.mark.parametrize(
    ("option", "scheme"), DAILY + [pytest.param(*case, marks=pytest.mark.nightly) for case in NIGHTLY]
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
    double = built("everything", "ppm")
    met = double.meteorology
    single = EulerianTransport(met.astype(jnp.float32), AREAS, INJECTION, double.scheme, SINKS, columns_of(met.air))
    x, y = (random_like(jax.random.key(n), s) for n, s in ((1, single.in_structure()), (2, single.out_structure())))
    image, back = single.mv(x), single.mv_transposed(y)
    assert image.dtype == jnp.float32 and all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(back))
    # Summed in double precision, so that the gap is the operator's.
    x, y, image, back = (jax.tree.map(lambda a: a.astype(jnp.float64), tree) for tree in (x, y, image, back))
    gap = abs(inner(image, y) - inner(x, back)) / (jnp.linalg.norm(image) * jnp.linalg.norm(y))
    print("f32", gap)
    assert gap <= 1e-5


def test_batches_equal_one_by_one():
    transport = built("everything", "upwind")
    zero = jnp.zeros(transport.out_structure().shape)
    receptors = jnp.stack([zero.at[t, 0, 3, 5].set(1.0) for t in (1, 0, 1)])
    once = jax.vmap(transport.mv_transposed)(receptors)
    twice = jax.vmap(jax.vmap(transport.mv_transposed))(jnp.stack([receptors, 2.0 * receptors]))
    for n in range(3):
        alone = transport.mv_transposed(receptors[n])
        for a, b, c in zip(*map(jax.tree.leaves, (once, twice, alone)), strict=True):
            np.testing.assert_allclose(a[n], c, rtol=1e-12, atol=1e-18)
            np.testing.assert_allclose(b[1, n], 2.0 * c, rtol=1e-12, atol=1e-18)


def test_jax_uses_the_written_transpose():
    """vjp and linear_transpose give it, and their programs hold the primitive, not a tape."""
    transport = built("plain", "upwind")
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
    transport = built("plain", "upwind")
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


def test_limited_schemes_have_no_transpose():
    transport = built("plain", "van_leer", 1)
    with pytest.raises(TanhengError, match="no transpose"):
        transport.mv_transposed(jnp.zeros(transport.out_structure().shape))


@pytest.mark.nightly
@pytest.mark.parametrize(("option", "scheme"), [("plain", "van_leer"), *(("everything", s) for s in LIMITED)])
def test_limited_schemes_have_a_tangent_and_its_transpose(option, scheme):
    transport = built(option, scheme, 1)
    x, d = (random_like(jax.random.key(n), transport.in_structure()) for n in (1, 3))
    y = jax.random.normal(jax.random.key(2), transport.out_structure().shape)
    push = jax.jvp(transport.forward, (x,), (d,))[1]
    pull = jax.vjp(transport.forward, x)[1](y)[0]
    assert abs(inner(push, y) - inner(d, pull)) <= 1e-13 * jnp.linalg.norm(push) * jnp.linalg.norm(y)
    step = jax.tree.map(lambda a, b: a + 1e-7 * b, x, d)
    np.testing.assert_allclose(
        (transport.forward(step) - transport.forward(x)) / 1e-7, push, atol=1e-5 * float(jnp.abs(push).max())
    )


# --- mass, uniform fields ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", ["seventh", pytest.param("ppm_limited", marks=pytest.mark.nightly)])
def test_a_uniform_tracer_stays_uniform_for_a_day(scheme):
    """Divergent flow, sub-cycled layers, vertical excess, air through the top, layers that swell: without losses."""
    transport = built("everything", scheme, 24)
    lossless = eqx.tree_at(
        lambda t: (t.decay, t.deposition), transport, (None, None), is_leaf=lambda leaf: leaf is None
    )
    error = uniform_error(lossless)
    print(scheme, transport.plan.steps, "steps an hour:", error)
    assert error <= 1e-12


def test_a_uniform_tracer_stays_uniform_in_real_weather():
    """24 h of WRF over the Bowen Basin."""
    from transport.prepare import prepare
    from transport.readers.wrf import read_wrf

    root = os.environ.get("TANHENG_DATA", "")
    path = Path(root, "openmethane_bowen_basin", "case_2022-12-07", "wrf_20221207_d01_25h.nc")
    if not root or not path.is_file():
        pytest.skip(f"TANHENG_DATA holds no {path.name}")
    weather = read_wrf(path)
    met = prepare(weather, ACM2(), dtype=jnp.float64).meteorology
    assert met.shape[0] == 24 and met.continuity_residual() <= 1e-11
    transport = EulerianTransport(met, weather.grid.areas)
    error = uniform_error(transport)
    print(transport.plan, error)
    assert error <= 1e-12


@pytest.mark.parametrize("scheme", ["ppm", pytest.param("van_leer", marks=pytest.mark.nightly)])
def test_the_mass_budget_closes(scheme):
    """Emission, five sides, deposition and decay: every term is there, and nothing is left over."""
    transport = built("everything", scheme)
    sources = jax.tree.map(lambda s: jax.random.uniform(jax.random.key(2), s.shape), transport.in_structure())
    # Each of the terms of a size that matters.
    sources = Sources(100.0 * sources.surface, 1e9 * sources.points, sources.boundary, sources.initial)
    b = budget(transport, sources)
    print(b, b.closure)
    terms = np.array([b.initial, b.emitted, *b.entered.values(), *b.left.values(), b.deposited, b.decayed])
    assert np.all(terms > 1e-4 * b.final)
    assert b.closure <= 1e-12


def test_the_mass_budget_agrees_with_the_operator():
    """In a closed box, after the last emission, the mean of an hour is the instant: it holds what was released."""
    transport = closed_box()
    sources = jax.tree.map(lambda s: jax.random.uniform(jax.random.key(2), s.shape), transport.in_structure())
    sources = only(sources, surface=sources.surface.at[-1].set(0.0), points=1e9 * sources.points.at[-1].set(0.0))
    held = jnp.sum(transport.mv(sources)[-1] * transport.meteorology.air[-1])
    emitted = HOUR * (jnp.sum(sources.surface * AREAS) + jnp.sum(sources.points))
    assert abs(held / emitted - 1.0) <= 1e-12
    assert abs(budget(transport, sources).emitted / emitted - 1.0) <= 1e-12


def closed_box(hours: int = 2, **how) -> EulerianTransport:
    """Steady eddies in closed columns that nothing enters or leaves; `how` changes the weather."""
    parts = flow(Weather(hours=hours, **{"breeze": 0.0, "filling": 0.0, **how}))
    thick = np.diff(HEIGHTS)[:, None, None]
    psi = 8.0 * CELL * np.random.default_rng(1).normal(size=(hours, NZ, NY + 1, NX + 1)) * (how.get("wind", 1.0) > 0)
    psi[:, :, [0, -1]] = psi[:, :, :, [0, -1]] = 0.0
    x, y = -np.diff(psi, axis=2) * DENSITY * thick * 0.1, np.diff(psi, axis=3) * DENSITY * thick * 0.1
    air = jnp.broadcast_to(parts["air"][:1], parts["air"].shape)
    mixing = KProfile()(layer_of(hours), columns_of(air))
    met = Meteorology(air, *map(jnp.asarray, (x, y, vertical_flux(x, y))), mixing=mixing, interval=HOUR)
    assert met.continuity_residual() <= 1e-12
    return EulerianTransport(met, AREAS, INJECTION)


# --- sources and means ------------------------------------------------------------------------------------------------
def still(hours: int = 2, diffusivity=0.0) -> EulerianTransport:
    air = flow(Weather(hours=hours, wind=0.0, breeze=0.0, filling=0.0))["air"]
    faces = [np.zeros((hours, NZ + (a == 0), NY + (a == 1), NX + (a == 2))) for a in (2, 1, 0)]
    met = Meteorology(air, *map(jnp.asarray, faces), mixing=Constant(diffusivity)(None, columns_of(air)), interval=HOUR)
    return EulerianTransport(met, AREAS, INJECTION)


def test_sources_enter_the_layer_they_belong_to():
    transport = still()
    zero = nothing(transport)
    ground = transport.mv(only(zero, surface=zero.surface + 1.0))
    assert jnp.all(ground[:, 0] > 0) and jnp.all(ground[:, 1:] == 0)
    held = (transport.mv(only(zero, points=zero.points + 1e6)) * transport.meteorology.air[1:])[-1]
    for row, column, profile in zip(INJECTION.row, INJECTION.column, INJECTION.profile, strict=True):
        # 1.5 hours' worth on average over the second hour.
        np.testing.assert_allclose(held[:, row, column], 1.5 * HOUR * 1e6 * profile, rtol=1e-12)


def test_a_release_profile_spreads_the_surface_flux():
    transport = still()
    share = jnp.asarray([1.4, -0.2, -0.1, -0.1, 0.0, 0.0])[None, :, None, None] * jnp.ones((2, 1, NY, NX))
    mixing = eqx.tree_at(lambda m: m.release, transport.meteorology.mixing, share, is_leaf=lambda leaf: leaf is None)
    spread = eqx.tree_at(lambda t: t.meteorology.mixing, transport, mixing)
    zero = nothing(transport)
    held = spread.mv(only(zero, surface=zero.surface + 1.0)) * transport.meteorology.air[1:]
    np.testing.assert_allclose(held[-1], 1.5 * HOUR * AREAS * share[0], rtol=1e-12, atol=1e-6)


def test_the_hourly_mean_is_the_mean():
    """Constant emission into still air: the burden grows linearly, so hourly means are 0.5, 1.5, 2.5 hours' worth."""
    transport = still(3, diffusivity=5.0)
    zero = nothing(transport)
    air = transport.mv(only(zero, surface=zero.surface + 1.0))
    burden = jnp.sum(air * transport.meteorology.air[1:], axis=(1, 2, 3)) / (HOUR * AREAS.sum())
    np.testing.assert_allclose(burden, [0.5, 1.5, 2.5], rtol=1e-12)


def test_sources_after_the_observation_have_no_influence():
    transport = built("plain", "ppm")
    influence = transport.mv_transposed(jnp.zeros(transport.out_structure().shape).at[0, 0, 3, 5].set(1.0))
    for name in ("surface", "points"):
        assert jnp.all(getattr(influence, name)[1:] == 0), name
    assert jnp.any(influence.surface[0] != 0) and jnp.any(influence.initial != 0)
    assert all(bool(jnp.all(side[1:] == 0)) for side in jax.tree.leaves(influence.boundary))


def test_splitting_the_weather_keeps_the_results():
    """Steady air in half-hours: the same steps, so the same air to rounding; two means make one."""
    transport = closed_box()
    assert transport.plan.steps % 2 == 0
    halves = EulerianTransport(transport.meteorology.split(2), AREAS, INJECTION)
    assert halves.plan.steps == transport.plan.steps // 2 and halves.meteorology.shape[0] == 4
    x = random_like(jax.random.key(1), transport.in_structure())
    twice = jax.tree.map(lambda a: jnp.repeat(a, 2, axis=0), (x.surface, x.points, x.boundary))
    repeated = Sources(*twice, x.initial)
    whole, parts = transport.mv(x), halves.mv(repeated)
    np.testing.assert_allclose(
        0.5 * (parts[::2] + parts[1::2]), whole, rtol=1e-11, atol=1e-12 * float(jnp.abs(whole).max())
    )


def test_boundary_values_come_in_from_their_side():
    """A west wind of 4 m/s: after an hour the west boundary has filled most of the domain, the east one nothing."""
    side = DENSITY * CELL * np.diff(HEIGHTS)[:, None, None]
    base = still()
    met = eqx.tree_at(lambda m: m.flux_x, base.meteorology, jnp.ones((2, NZ, NY, NX + 1)) * 4.0 * side)
    transport = EulerianTransport(met, AREAS)
    zero = nothing(transport)
    for name, level in (("west", 1.0), ("east", 0.0), ("south", 0.0), ("north", 0.0), ("top", 0.0)):
        boundary = eqx.tree_at(lambda b, s=name: getattr(b, s), zero.boundary, getattr(zero.boundary, name) + 1.0)
        np.testing.assert_allclose(transport.mv(only(zero, boundary=boundary))[-1, :, :, 2], level, atol=2e-2)
    assert isinstance(zero.boundary, Boundary)


# --- derivatives with respect to the weather --------------------------------------------------------------------------
KINDS = ("streamfunction", "independent flux", "mixing height", "friction velocity", "diffusivity")


def changed(operator: EulerianTransport, amounts) -> EulerianTransport:
    """The operator with each of `KINDS` changed by its amount times a random pattern of order one.

    With the streamfunction all fluxes change together and the vertical flux follows; "independent flux" changes single
    faces and leaves the rest.
    """
    rng = np.random.default_rng(11)
    met, (psi, flux, height, friction, diffusivity) = operator.meteorology, amounts
    parts = flow(Weather(hours=1), psi * CELL * rng.normal(size=(1, 1, NY + 1, NX + 1)))
    parts["flux_x"] = parts["flux_x"] * (1.0 + flux * rng.normal(size=met.flux_x.shape))
    height, friction = (1.0 + amount * rng.uniform(size=(1, NY, NX)) for amount in (height, friction))
    mixing = KProfile()(layer_of(1, 700.0 * height, 0.3 * friction), columns_of(met.air))
    exchange = mixing.exchange * (1.0 + diffusivity * rng.uniform(size=mixing.exchange.shape))
    new = Meteorology(**parts, mixing=Mixing(exchange), interval=HOUR)
    return eqx.tree_at(lambda t: t.meteorology, operator, new)


def test_derivatives_with_respect_to_the_weather():
    """|J(ε) − J(0) − ε J'(0)| falls as ε², for each kind of change alone and for all at once."""
    operator = built("plain", "third", 1)
    x, y = (random_like(jax.random.key(n), s) for n, s in ((1, operator.in_structure()), (2, operator.out_structure())))
    cost = jax.jit(jax.value_and_grad(lambda amounts: jnp.sum(y * changed(operator, amounts).mv(x))))
    value, slope = cost(jnp.zeros(len(KINDS)))
    # So small that no face reverses on the way: there the donor changes, and J has a kink.
    steps = np.array([4e-4, 2e-4, 1e-4])
    for kind, direction in zip((*KINDS, "all"), np.vstack([np.eye(len(KINDS)), np.ones(len(KINDS))]), strict=True):
        rest = np.array([abs(float(cost(e * direction)[0] - value - e * slope @ direction)) for e in steps])
        found = np.log2(rest[:-1] / rest[1:])
        print(kind, float(slope @ direction), rest, found)
        assert np.all(np.abs(found - 2.0) <= 0.05), kind


# --- what is refused --------------------------------------------------------------------------------------------------
def test_bad_input_is_refused():
    met = still(1).meteorology
    with pytest.raises(TanhengError, match="max_courant"):
        EulerianTransport(met, AREAS, max_courant=1.5)
    with pytest.raises(TanhengError, match="too many steps"):
        EulerianTransport(built().meteorology, AREAS, max_courant=1e-9)
    with pytest.raises(TanhengError, match="point sources do not fit"):
        EulerianTransport(met, AREAS, Injection(np.array([99]), np.array([0]), np.ones((1, NZ)) / NZ))
    with pytest.raises(TanhengError, match="heights of the layers"):
        EulerianTransport(met, AREAS, sinks=SINKS)
    with pytest.raises(TanhengError, match="column-integrated"):
        vertical_flux(np.random.default_rng(0).normal(size=(1, 3, 4, 5)), np.zeros((1, 3, 5, 4)))

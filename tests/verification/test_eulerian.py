"""Numerical evidence for the Eulerian operator; limits and figures stand in docs/transport.md."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transport.errors import TanhengError
from transport.eulerian import EulerianTransport, banded, third_order, vertical
from transport.eulerian.operator import split_courant
from transport.grid import Grid, Levels
from transport.linear import adjoint_gap, random_like
from transport.meteorology import Meteorology, vertical_flux
from transport.readers.synthetic import Basin, basin_meteorology, eddy_diffusivity
from transport.sources import Injection, Sources

CRS = "+proj=laea +lat_0=40.8 +lon_0=111.7 +datum=WGS84 +units=m"
EDGES = (np.arange(13) - 6.0) * 3e3
GRID = Grid(EDGES, EDGES, CRS)
LEVELS = Levels(np.array([0.0, 50.0, 150.0, 400.0, 900.0, 1800.0, 3000.0]))
INJECTION = Injection(np.array([3, 8]), np.array([4, 7]), np.array([[0, 0.5, 0.5, 0, 0, 0], [0, 0, 0.2, 0.8, 0, 0]]))


@pytest.fixture(scope="module")
def transport() -> EulerianTransport:
    weather = basin_meteorology(GRID, LEVELS, Basin(hours=30, breeze=1.5))
    return EulerianTransport(weather, GRID.areas, INJECTION)


def uniform(transport: EulerianTransport) -> Sources:
    shape = transport.in_structure()
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape), shape)
    return Sources(zero.surface, zero.points, zero.inflow + 1.0, zero.initial + 1.0)


def test_adjoint_identity_over_the_window(transport):
    assert adjoint_gap(transport, pairs=5) <= 1e-13


def test_adjoint_identity_in_each_source(transport):
    """A gap in a small part could hide behind a large one: test surface, points, inflow, initial one by one."""
    cotangent = jax.random.normal(jax.random.key(5), transport.out_structure().shape)
    gradient = transport.transpose().mv(cotangent)
    noise = random_like(jax.random.key(6), transport.in_structure())
    for name in ("surface", "points", "inflow", "initial"):
        alone = jax.tree.map(jnp.zeros_like, noise)
        alone = Sources(**{**vars(alone), name: getattr(noise, name)})
        image = transport.mv(alone)
        gap = jnp.abs(jnp.vdot(image, cotangent) - jnp.vdot(getattr(noise, name), getattr(gradient, name)))
        assert gap <= 1e-13 * jnp.linalg.norm(image) * jnp.linalg.norm(cotangent), name


def test_a_batch_of_receptors_equals_one_by_one(transport):
    shape = transport.out_structure().shape
    receptors = jnp.stack([jnp.zeros(shape).at[t, 0, 5, 5].set(1.0) for t in (3, 29, 11)])
    batch = jax.vmap(transport.transpose().mv)(receptors)
    for n in range(3):
        alone = transport.transpose().mv(receptors[n])
        for a, b in zip(jax.tree.leaves(batch), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[n], b, rtol=1e-12, atol=1e-18)


def test_sources_after_the_observation_have_no_influence(transport):
    receptor = jnp.zeros(transport.out_structure().shape).at[10, 0, 5, 5].set(1.0)
    influence = transport.transpose().mv(receptor)
    assert jnp.all(influence.surface[11:] == 0) and jnp.any(influence.surface[:11] != 0)


def test_a_uniform_tracer_stays_uniform(transport):
    assert transport.meteorology.continuity_residual() <= 1e-12
    assert float(jnp.max(jnp.abs(transport.mv(uniform(transport)) - 1.0))) <= 1e-12


def closed(hours: int) -> Meteorology:
    """The basin's weather with no flow through the sides."""
    weather = basin_meteorology(GRID, LEVELS, Basin(hours=hours, breeze=1.5))
    x, y = GRID.x_edges / GRID.x_edges[-1], GRID.y_edges / GRID.y_edges[-1]
    psi = 3e4 * np.cos(np.pi * x / 2)[None, :] * np.cos(np.pi * y / 2)[:, None]
    per_area = LEVELS.air_per_area[:, None, None]
    flux_x = np.broadcast_to(np.diff(psi, axis=0) * per_area, weather.flux_x.shape)
    flux_y = np.broadcast_to(-np.diff(psi, axis=1) * per_area, weather.flux_y.shape)
    flux_z = vertical_flux(np.asarray(flux_x), np.asarray(flux_y))
    return Meteorology(
        weather.air, jnp.asarray(flux_x), jnp.asarray(flux_y), jnp.asarray(flux_z), weather.exchange,
        weather.mixing_height, weather.interval,
    )  # fmt: skip


def test_mass_is_what_was_emitted():
    """In a closed box the tracer at the end is the tracer released: surface and stacks, 1e-12 relative."""
    weather = closed(12)
    transport = EulerianTransport(weather, GRID.areas, INJECTION)
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape), transport.in_structure())
    keys = jax.random.split(jax.random.key(2))
    surface, points = jax.random.uniform(keys[0], zero.surface.shape), jax.random.uniform(keys[1], zero.points.shape)
    # The hourly mean hides the last instant; emissions stop before the last hour, so the mean is the instant.
    surface, points = surface.at[-1].set(0.0), points.at[-1].set(0.0)
    air = transport.mv(Sources(surface, 1e9 * points, zero.inflow, zero.initial))
    held = jnp.sum(air[-1] * weather.air)
    emitted = 3600.0 * (jnp.sum(surface * GRID.areas) + 1e9 * jnp.sum(points))
    assert float(jnp.abs(held / emitted - 1.0)) <= 1e-12


def test_the_column_must_close():
    with pytest.raises(TanhengError, match="column-integrated"):
        vertical_flux(np.random.default_rng(0).normal(size=(1, 3, 4, 5)), np.zeros((1, 3, 5, 4)))


def test_too_large_a_courant_number_is_refused():
    with pytest.raises(TanhengError, match="max_courant"):
        EulerianTransport(closed(1), GRID.areas, INJECTION, max_courant=1.5)


# --- one-dimensional pieces -------------------------------------------------------------------------------------------
def test_transposed_bands_are_the_transposed_matrix():
    rng = np.random.default_rng(3)
    air = jnp.asarray(rng.uniform(1, 2, (1, 1, 9)))
    moved = jnp.asarray(rng.uniform(-0.4, 0.4, (1, 1, 10)))
    bands, _ = third_order.sweep_bands(air, moved, 2)
    eye = jnp.eye(9)[:, None, None, :]
    matrix = jax.vmap(lambda q: banded.apply(bands, q, 2, 0.0))(eye)[:, 0, 0, :].T
    flipped = jax.vmap(lambda q: banded.apply(banded.transpose(bands, 2), q, 2, 0.0))(eye)[:, 0, 0, :].T
    np.testing.assert_allclose(flipped, matrix.T, atol=1e-16)
    # Rows sum to one together with the inflow: what is missing comes from outside.
    inflow = banded.apply(bands, jnp.zeros((1, 1, 9)), 2, 1.0)[0, 0]
    np.testing.assert_allclose(matrix.sum(axis=1) + inflow, 1.0, atol=1e-14)
    cotangent = jnp.asarray(rng.normal(size=(1, 1, 9)))
    np.testing.assert_allclose(banded.outside_cotangent(bands, cotangent, 2), inflow @ cotangent[0, 0], rtol=1e-13)


def advect(cells: int, courant: float, width: float = 0.08) -> float:
    """l2 error of a smooth pulse carried a quarter of the domain by a uniform wind."""
    x = (np.arange(cells) + 0.5) / cells

    def mean(centre):  # cell averages of a Gaussian, by Gauss–Legendre quadrature
        nodes, weights = np.polynomial.legendre.leggauss(5)
        points = x[:, None] + 0.5 * nodes / cells
        return np.exp(-(((points - centre) / width) ** 2)) @ weights / 2

    steps = round(0.25 * cells / courant)
    air = jnp.ones((1, 1, cells))
    bands, _ = third_order.sweep_bands(air, jnp.full((1, 1, cells + 1), courant), 2)
    q = jnp.asarray(mean(0.35))[None, None]
    q = jax.lax.fori_loop(0, steps, lambda _, q: banded.apply(bands, q, 2, 0.0), q)
    return float(np.sqrt(np.mean((np.asarray(q[0, 0]) - mean(0.6)) ** 2)))


def test_advection_is_third_order():
    errors = [advect(n, 0.5) for n in (64, 128, 256)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    print("orders", orders)
    assert np.all(np.abs(orders - 3.0) <= 0.3), orders


def test_courant_one_is_an_exact_shift():
    # Narrow enough that no tail reaches the edges.
    assert advect(64, 1.0, width=0.04) <= 1e-14


def test_tridiagonal_against_dense():
    rng = np.random.default_rng(4)
    nz = 7
    air = jnp.asarray(rng.uniform(1, 2, (nz, 1, 1)))
    moved = jnp.asarray(np.r_[0.0, rng.uniform(-0.5, 0.5, nz - 1), 0.0].reshape(-1, 1, 1))
    mixed = jnp.asarray(rng.uniform(0, 30, (nz - 1, 1, 1)))
    factors, after = vertical.factorise(air, moved, mixed)
    # The matrix row by row from its definition.
    A = np.zeros((nz, nz))
    m0, m1, F, D = (np.asarray(a).ravel() for a in (air, after, moved, mixed))
    for k in range(nz):
        A[k, k] += m1[k]
        if k < nz - 1:  # face above: Φ = max(F,0) q_k + min(F,0) q_k+1 − D (q_k+1 − q_k)
            A[k, k] += max(F[k + 1], 0) + D[k]
            A[k, k + 1] += min(F[k + 1], 0) - D[k]
        if k > 0:
            A[k, k - 1] -= max(F[k], 0) + D[k - 1]
            A[k, k] -= min(F[k], 0) - D[k - 1]
    A /= m0[:, None]
    b = rng.normal(size=nz)
    column = jnp.asarray(b).reshape(-1, 1, 1)
    np.testing.assert_allclose(factors.solve(column).ravel(), np.linalg.solve(A, b), rtol=1e-12)
    np.testing.assert_allclose(factors.solve_transposed(column).ravel(), np.linalg.solve(A.T, b), rtol=1e-12)
    # Mass: m' q' sums to m q.
    assert float(jnp.sum(after * factors.solve(column))) == pytest.approx(float(jnp.sum(air * column)), rel=1e-12)


def test_strong_mixing_makes_the_column_uniform_and_stays_monotone():
    air = jnp.asarray(LEVELS.air_per_area)[:, None, None]
    factors, _ = vertical.factorise(air, jnp.zeros((7, 1, 1)), jnp.full((5, 1, 1), 1e12))
    pulse = jnp.zeros((6, 1, 1)).at[0].set(1.0)
    mixed = factors.solve(pulse).ravel()
    np.testing.assert_allclose(mixed, float(air[0, 0, 0] / air.sum()), rtol=1e-6)
    gentle, _ = vertical.factorise(air, jnp.zeros((7, 1, 1)), jnp.full((5, 1, 1), 100.0))
    assert jnp.all(gentle.solve(pulse) >= 0) and jnp.all(jnp.diff(gentle.solve(pulse).ravel()) <= 0)


def breeze_box(hours: int, strength: float = 3.0) -> Meteorology:
    """No mean wind: the slope breeze alone, with strong ascent and descent and no flow through the sides."""
    return basin_meteorology(GRID, LEVELS, Basin(hours=hours, wind_speed=0.0, breeze=strength, mixing_height_day=900.0))


def still(hours: int) -> Meteorology:
    """No wind at all, no mixing beyond the background."""
    return basin_meteorology(GRID, LEVELS, Basin(hours=hours, wind_speed=0.0, breeze=0.0))


def released(transport: EulerianTransport, hours: int) -> Sources:
    """One µmol m-2 s-1 everywhere in the first `hours` intervals, nothing else."""
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape), transport.in_structure())
    return Sources(zero.surface.at[:hours].set(1.0), zero.points, zero.inflow, zero.initial)


def test_mass_with_ascent_and_descent():
    weather = breeze_box(10)
    assert float(jnp.max(jnp.abs(weather.flux_z)) / jnp.max(jnp.abs(weather.flux_x))) > 0.1
    transport = EulerianTransport(weather, GRID.areas, INJECTION)
    sources = released(transport, 8)
    # Emission that is neither even nor odd about the centre, so that no error of the breeze cancels.
    sources = Sources(
        sources.surface * jnp.linspace(0.0, 2.0, 12) ** 3, sources.points, sources.inflow, sources.initial
    )
    air = transport.mv(sources)
    emitted = 3600.0 * jnp.sum(sources.surface * GRID.areas)
    assert float(jnp.abs(jnp.sum(air[-1] * weather.air) / emitted - 1.0)) <= 1e-12


def test_the_hourly_mean_is_the_mean():
    """Constant emission into still air: the burden grows linearly, so hourly means are 0.5, 1.5, 2.5 hours' worth."""
    transport = EulerianTransport(still(3), GRID.areas, INJECTION)
    assert transport.steps == 1
    air = transport.mv(released(transport, 3))
    hourly = 3600.0 * jnp.sum(GRID.areas)
    burden = jnp.sum(air * transport.meteorology.air, axis=(1, 2, 3)) / hourly
    np.testing.assert_allclose(burden, [0.5, 1.5, 2.5], rtol=1e-12)


def test_sources_enter_the_layer_they_belong_to():
    weather = still(2)
    unmixed = Meteorology(weather.air, weather.flux_x, weather.flux_y, weather.flux_z, 0.0 * weather.exchange,
                          weather.mixing_height, weather.interval)  # fmt: skip
    transport = EulerianTransport(unmixed, GRID.areas, INJECTION)
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape), transport.in_structure())
    ground = transport.mv(Sources(zero.surface + 1.0, zero.points, zero.inflow, zero.initial))
    assert jnp.all(ground[:, 0] > 0) and jnp.all(ground[:, 1:] == 0)
    stacks = transport.mv(Sources(zero.surface, zero.points + 1e6, zero.inflow, zero.initial))
    held = (stacks * unmixed.air)[-1]
    for n, (row, column) in enumerate(zip(INJECTION.row, INJECTION.column, strict=True)):
        profile = held[:, row, column] / held[:, row, column].sum()
        np.testing.assert_allclose(profile, INJECTION.profile[n], atol=1e-12)


def test_one_step_of_mixing_against_a_dense_column():
    """(m + Δt L) q' = m q + s Δt with L the exchange between layers, solved densely for the first hour."""
    weather = still(1)
    transport = EulerianTransport(weather, GRID.areas, INJECTION)
    m, D = np.asarray(weather.air[:, 5, 5]), np.asarray(weather.exchange[0, :, 5, 5])
    L = np.diag(np.r_[D, 0] + np.r_[0, D]) - np.diag(D, 1) - np.diag(D, -1)
    q = np.linalg.solve(np.diag(m) + 3600.0 * L, np.r_[3600.0 * GRID.areas[5, 5], np.zeros(5)])
    np.testing.assert_allclose(2.0 * transport.mv(released(transport, 1))[0, :, 5, 5], q, rtol=1e-12)


def test_eddy_diffusivity_by_hand():
    """K = 0.4 · (0.15 + 1500/1500) · 500 · (1 − 500/1500)² + 0.1 at 500 m under 1500 m; the background above."""
    K = eddy_diffusivity(np.array([500.0, 2000.0]), np.array([1500.0]))
    np.testing.assert_allclose(K, [[0.4 * 1.15 * 500.0 * 4.0 / 9.0 + 0.1, 0.1]])


def test_a_sweep_by_hand_in_uneven_air():
    """Cells of 2, 4, 8, 8 mol and an eastward flux of 1 mol: the two outer faces at each end use the donor alone."""
    air, moved = jnp.asarray([2.0, 4.0, 8.0, 8.0]).reshape(1, 1, 4), jnp.ones((1, 1, 5))
    np.testing.assert_allclose(third_order.courant(air, moved, 2)[0, 0], [1 / 2, 1 / 2, 1 / 4, 1 / 8, 1 / 8])
    np.testing.assert_allclose(third_order.courant(air, -moved, 2)[0, 0], [1 / 2, 1 / 4, 1 / 8, 1 / 8, 1 / 8])
    bands, after = third_order.sweep_bands(air, moved, 2)
    np.testing.assert_allclose(after, air)
    q = jnp.asarray([10.0, 20.0, 30.0, 50.0]).reshape(1, 1, 4)
    # Faces: inflow 5; donor 10; q_f between cells 1 and 2 with c = 1/4; between 2 and 3 with c = 1/8; donor 50.
    f2 = 0.5 * (20 + 30) - 0.125 * (30 - 20) - (1 - 1 / 16) / 6 * (30 - 40 + 10)
    f3 = 0.5 * (30 + 50) - 0.0625 * (50 - 30) - (1 - 1 / 64) / 6 * (50 - 60 + 20)
    expected = [10 - (10 - 5) / 2, 20 - (f2 - 10) / 4, 30 - (f3 - f2) / 8, 50 - (50 - f3) / 8]
    np.testing.assert_allclose(banded.apply(bands, q, 2, 5.0)[0, 0], expected, rtol=1e-14)


def test_steps_follow_the_air_that_the_sweeps_leave():
    weather = basin_meteorology(GRID, LEVELS, Basin(hours=24, wind_speed=1.0, breeze=30.0))
    transport = EulerianTransport(weather, GRID.areas, INJECTION)
    assert split_courant(weather, transport.steps) <= 0.8
    assert split_courant(weather, max(1, transport.steps // 2)) > 0.8


def test_an_impossible_limit_is_refused():
    with pytest.raises(TanhengError, match="too many steps"):
        EulerianTransport(breeze_box(2), GRID.areas, INJECTION, max_courant=1e-9)


def test_stacks_outside_the_model_are_refused():
    outside = Injection(np.array([99]), np.array([0]), np.ones((1, 6)) / 6)
    with pytest.raises(TanhengError, match="point sources do not fit"):
        EulerianTransport(still(1), GRID.areas, outside)

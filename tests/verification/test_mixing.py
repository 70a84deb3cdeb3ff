"""Numerical evidence for vertical mixing; run with `-s` to see the figures."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, gamma, ive

from transport.constants import RADON_HALF_LIFE
from transport.mixing import (
    ACM2,
    BoundaryLayer,
    Columns,
    Constant,
    KProfile,
    Sinks,
    implicit_step,
    implicit_step_transposed,
    radioactive_decay,
)

step, dual_step = jax.jit(implicit_step), jax.jit(implicit_step_transposed)

OPTIONS = ("exchange_dt", "moved", "updraft_dt", "deposition_dt")
SETS = [dict.fromkeys(names, True) for n in range(5) for names in itertools.combinations(OPTIONS, n)]


def random_step(options, nz=8, ny=2, nx=3, dtype=jnp.float64, seed=0, stiff=1.0):
    """Air before and after, and what moves it, for the options named; continuity holds, the top is open."""
    rng = np.random.default_rng(seed)
    draw = lambda low, high, n: jnp.asarray(rng.uniform(low, high, (n, ny, nx)), dtype)  # noqa: E731
    before = draw(1.0, 2.0, nz)
    parts = {
        "exchange_dt": draw(0.0, 3.0, nz - 1) * stiff,
        "moved": draw(-0.4, 0.4, nz + 1).at[0].set(0.0),
        "updraft_dt": draw(0.0, 0.5, nz).at[0].set(0.0) * stiff,
        "deposition_dt": draw(0.0, 0.5, 1)[0],
    }
    parts = {name: value for name, value in parts.items() if name in options}
    after = before - jnp.diff(parts["moved"], axis=0) if "moved" in parts else before
    return before, after, parts


def dense(after, parts, j, i):
    """The matrix of column (j, i), one process after the other, as in the first equation of transport/mixing/solve."""
    nz = after.shape[0]
    parts = {name: np.asarray(value)[..., j, i] for name, value in parts.items()}
    a = np.diag(np.asarray(after)[:, j, i])
    for k, e in enumerate(parts.get("exchange_dt", ())):
        a[k : k + 2, k : k + 2] += [[e, -e], [-e, e]]
    for k, f in enumerate(parts.get("moved", ())[1:]):  # face above layer k
        donor = k if f > 0 else k + 1
        for receiver, sign in ((k, 1.0), (k + 1, -1.0)):
            if donor < nz and receiver < nz:
                a[receiver, donor] += sign * f
    for k, u in enumerate(parts.get("updraft_dt", ())):
        a[0, 0], a[k, 0] = a[0, 0] + u, a[k, 0] - u
        for upper in range(k, 0, -1):
            a[upper, upper], a[upper - 1, upper] = a[upper, upper] + u, a[upper - 1, upper] - u
    a[0, 0] += parts.get("deposition_dt", 0.0)
    return a


# --- the solve --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", SETS, ids="+".join)
def test_dense_reference_forward_and_transposed(options):
    before, after, parts = random_step(options)
    rhs, dual = (jax.random.normal(jax.random.key(k), after.shape) for k in (1, 2))
    top = jax.random.normal(jax.random.key(3), after.shape[1:])
    q = step(before, after, rhs, top_value=top, **parts)
    mu, to_top = dual_step(after, dual, **parts)
    for j, i in np.ndindex(*after.shape[1:]):
        matrix, b = dense(after, parts, j, i), np.array(rhs[:, j, i])
        if "moved" in parts:
            entering = max(-float(parts["moved"][-1, j, i]), 0.0)
            b[-1] += entering * float(top[j, i])
            np.testing.assert_allclose(to_top[j, i], entering * mu[-1, j, i], rtol=1e-14)
        np.testing.assert_allclose(q[:, j, i], np.linalg.solve(matrix, b), rtol=1e-12, atol=1e-13)
        expected = np.linalg.solve(matrix.T, np.asarray((after * dual)[:, j, i]))
        np.testing.assert_allclose(mu[:, j, i], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("options", SETS, ids="+".join)
@pytest.mark.parametrize(("dtype", "limit"), [(jnp.float64, 1e-13), (jnp.float32, 1e-5)])
def test_adjoint_identity(options, dtype, limit):
    """⟨q', c⟩ = ⟨q, m μ⟩ + ⟨s, μ⟩ + ⟨q_top, …⟩ with μ' = c/m', term by term."""
    before, after, parts = random_step(options, nz=20, dtype=dtype)
    keys = jax.random.split(jax.random.key(7), 4)
    q, s, c = (jax.random.normal(k, after.shape, dtype) for k in keys[:3])
    top = jax.random.normal(keys[3], after.shape[1:], dtype)
    mu, to_top = dual_step(after, c / after, **parts)
    zero, nothing = jnp.zeros_like(q), jnp.zeros_like(top)
    pairs = {
        "q": (before * q, nothing, jnp.vdot(q, before * mu)),
        "s": (s, nothing, jnp.vdot(s, mu)),
        "top": (zero, top, 0.0 if to_top is None else jnp.vdot(top, to_top)),
    }
    gaps = {}
    for name, (rhs, above, expected) in pairs.items():
        image = step(before, after, rhs, top_value=above, **parts)
        scale = jnp.linalg.norm(image) * jnp.linalg.norm(c)
        gaps[name] = float(jnp.abs(jnp.vdot(image, c) - expected) / jnp.where(scale > 0, scale, 1.0))
    print(f"\n{'+'.join(options) or 'nothing'} {jnp.dtype(dtype).name}: adjoint gap {max(gaps.values()):.1e}")
    assert max(gaps.values()) <= limit, gaps


def test_derivative_and_batch_are_the_same_solves():
    """Reverse mode gives the hand-written dual; a batch of right-hand sides gives them one by one."""
    before, after, parts = random_step(OPTIONS)
    rhs, c = (jax.random.normal(jax.random.key(k), (3, *after.shape)) for k in (1, 2))
    forward = jax.jit(lambda b: step(before, after, b, **parts))
    back = jax.vjp(forward, rhs[0])[1](c[0])[0]
    np.testing.assert_allclose(back, dual_step(after, c[0] / after, **parts)[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(jax.vmap(forward)(rhs), jnp.stack([forward(b) for b in rhs]), rtol=1e-13, atol=1e-14)
    dual = jax.jit(lambda mu: dual_step(after, mu, **parts)[0])
    np.testing.assert_allclose(jax.vmap(dual)(c), jnp.stack([dual(x) for x in c]), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("dtype", "epsilon"), [(jnp.float64, 2.2e-16), (jnp.float32, 1.2e-7)])
@pytest.mark.parametrize("stiff", [1.0, 1e6])
def test_uniform_mass_and_sign_to_rounding(dtype, epsilon, stiff):
    """A uniform tracer stays uniform, no tracer is lost, none becomes negative, however stiff the mixing."""
    before, after, parts = random_step(OPTIONS[:3], nz=30, dtype=dtype, stiff=stiff)
    one = jnp.ones(after.shape[1:], dtype)
    uniform = jnp.max(jnp.abs(step(before, after, before, top_value=one, **parts) - 1.0))
    parts["moved"] = parts["moved"].at[-1].set(0.0)
    after = before - jnp.diff(parts["moved"], axis=0)
    rhs = jnp.maximum(jax.random.normal(jax.random.key(0), after.shape, dtype), 0.0)
    q = step(before, after, rhs, **parts)
    held, given = (np.sum(np.asarray(x, np.longdouble)) for x in (after * q, rhs))
    print(f"\nstiff {stiff:g} {jnp.dtype(dtype).name}: uniform {uniform:.1e}, mass {abs(held / given - 1):.1e}")
    assert uniform <= 8 * epsilon and abs(held / given - 1) <= 8 * epsilon and float(jnp.min(q)) >= 0


# --- diffusion --------------------------------------------------------------------------------------------------------
def column(edges, density=41.0) -> Columns:
    """One column of constant density above 1 m2."""
    edges = jnp.asarray(edges)[None, :, None, None]
    return Columns(edges, density * jnp.diff(edges, axis=1), jnp.ones((1, 1)))


def state(h=1000.0, shear=0.4, heat=150.0) -> BoundaryLayer:
    return BoundaryLayer(*(jnp.full((1, 1, 1), x) for x in (h, shear, heat, 290.0, 1e5)))


def plane(profile):
    return jnp.asarray(profile)[:, None, None]


@jax.jit
def march(q, air, exchange_dt, steps):
    """`steps` steps of pure diffusion."""
    return jax.lax.fori_loop(0, steps, lambda _, q: step(air, air, air * q, exchange_dt), q)


def l2(q, exact, weight):
    q, exact, weight = np.ravel(q), np.ravel(exact), np.ravel(weight)
    return np.sqrt(np.sum(weight * (q - exact) ** 2) / np.sum(weight * exact**2))


def check_order(name, levels, errors, limit):
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    print(f"\n{name}: l2 {', '.join(f'{n}: {e:.2e}' for n, e in zip(levels, errors, strict=True))}; order {orders}")
    assert np.all(np.abs(orders - 2.0) <= 0.3) and errors[levels.index(40)] <= limit


def cosine(edges, t, depth, k):
    """1 + cos(π z/h) exp(−K π² t/h²), mean of each layer."""
    waves = np.diff(np.sin(np.pi * edges / depth)) * depth / np.pi / np.diff(edges)
    return 1.0 + waves * np.exp(-k * (np.pi / depth) ** 2 * t)


def gaussian(edges, t, depth, k, centre=0.4, width=0.1):
    """A Gaussian puff and its images in ground and lid, mean of each layer."""
    sigma = np.sqrt((width * depth) ** 2 + 2 * k * t)
    images = [sign * centre * depth + 2 * n * depth for n in range(-4, 5) for sign in (1, -1)]
    total = sum(0.5 * erf((edges - z) / (np.sqrt(2) * sigma)) for z in images)
    return depth * np.diff(total) / np.diff(edges)


@pytest.mark.parametrize("solution", [cosine, gaussian])
def test_constant_diffusivity_against_the_analytic_solution(solution):
    """Closed column, Δt ∝ Δz²: second order, l2 ≤ 1e-3 at 40 levels."""
    depth, k, levels, errors = 1000.0, 10.0, [20, 40, 80], []
    end = 0.04 * depth**2 / k
    for n in levels:
        edges, steps = np.linspace(0.0, depth, n + 1), n**2
        where = column(edges)
        exchange = Constant(k)(state(), where).exchange[0] * end / steps
        q = march(plane(solution(edges, 0.0, depth, k)), where.air[0], exchange, steps)
        errors.append(l2(q, solution(edges, end, depth, k), where.air))
    check_order(f"constant K, {solution.__name__}", levels, errors, 1e-3)


# --- plume ------------------------------------------------------------------------------------------------------------
A, P, B, N = 3.0, 0.2, 0.3, 0.8  # u = A z^P, K = B z^N in m, s
ALPHA = 2 + P - N


def plume(x, z, h):
    """Crosswind-integrated concentration of a unit line source at height h ≥ 0.

    Roberts 1923 (ground), Huang 1979, doi 10.1016/0004-6981(79)90289-0 (elevated):
    c = (z h)^((1−n)/2) / (b α x) exp(−a (z^α + h^α) / (b α² x)) I_{−ν}(2 a (z h)^{α/2} / (b α² x)), ν = (1 − n)/α
    """
    scale = A / (B * ALPHA**2 * x)
    if h == 0.0:
        s = (1 + P) / ALPHA
        return ALPHA / (A * gamma(s)) * scale**s * np.exp(-scale * z**ALPHA)
    argument = 2 * scale * (z * h) ** (ALPHA / 2)
    # ive is I exp(−argument): the squares complete, and nothing overflows.
    bell = np.exp(-scale * (z ** (ALPHA / 2) - h ** (ALPHA / 2)) ** 2)
    return (z * h) ** ((1 - N) / 2) / (B * ALPHA * x) * bell * ive(-(1 - N) / ALPHA, argument)


def of_layers(edges, f):
    """Mean of f over each layer, weighted with the wind, by Gauss-Legendre quadrature."""
    node, weight = np.polynomial.legendre.leggauss(8)
    z = edges[:-1, None] + np.diff(edges)[:, None] * 0.5 * (node + 1)
    return np.sum(weight * z**P * f(z), axis=1) / np.sum(weight * z**P, axis=1)


@jax.jit
def downwind(q, air, exchange, dx):
    return jax.lax.scan(lambda q, dx: (step(air, air, air * q, exchange * dx), None), q, dx)[0]


@pytest.mark.parametrize(("height", "top"), [(0.0, 250.0), (30.0, 320.0)])
def test_power_law_plume(height, top):
    """Steady plume marched downwind from its analytic inflow; u Δz plays the air: second order, l2 ≤ 1e-3 at 40."""
    levels, errors, near, far = [20, 40, 80], [], 500.0, 1000.0
    assert abs(np.trapezoid(A * (z := np.linspace(1e-9, top, 200001)) ** P * plume(near, z, height), z) - 1) < 1e-3
    for n in levels:
        edges = top * np.linspace(0.0, 1.0, n + 1) ** 1.5
        # Steps grow with x as the plume does.
        x = np.geomspace(near, far, 2 * n**2 + 1)
        wind = A * np.diff(edges ** (P + 1)) / (P + 1)
        mid = 0.5 * (edges[1:] + edges[:-1])
        k = plane(B * edges[1:-1] ** N / np.diff(mid))
        q = downwind(plane(of_layers(edges, lambda z: plume(near, z, height))), plane(wind), k, jnp.diff(x))
        errors.append(l2(q, of_layers(edges, lambda z: plume(far, z, height)), wind))
    check_order(f"plume from {height:.0f} m", levels, errors, 1e-3)


# --- decay ------------------------------------------------------------------------------------------------------------
def test_radon_reaches_its_exponential_profile():
    """Steady F at the ground, decay λ: c = F / √(Kλ) exp(−z √(λ/K)) in a deep column."""
    k, flux, seconds, rate = 5.0, 21e-3, 600.0, radioactive_decay(RADON_HALF_LIFE)
    depth = np.sqrt(k / rate)
    edges = np.linspace(0.0, 14 * depth, 141)
    where = column(edges)
    exchange = Constant(k)(state(), where).exchange[0] * seconds
    half = Sinks(rate).remaining(0.5 * seconds)
    source = jnp.zeros_like(where.air[0]).at[0].set(flux * seconds)
    one = lambda _, q: half * step(where.air[0], where.air[0], where.air[0] * half * q + source, exchange)  # noqa: E731
    q = jax.lax.fori_loop(0, round(14 / rate / seconds), one, jnp.zeros_like(source))
    exact = flux / np.sqrt(k * rate) / 41.0 * -np.diff(np.exp(-edges / depth)) * depth / np.diff(edges)
    error = l2(q, exact, where.air)
    held = float(jnp.sum(q * where.air[0])) / (flux / rate)
    print(f"\n222Rn: l2 {error:.1e}, held / (F/λ) − 1 = {held - 1:.1e}")
    # Solve then half a decay: what is released in a step has decayed for half of it, as it should have.
    assert error <= 1e-3 and abs(held - 1) <= 1e-5


# --- schemes ----------------------------------------------------------------------------------------------------------
EDGES = np.array([0.0, 20.0, 60.0, 130.0, 250.0, 400.0, 600.0, 800.0, 1000.0, 1500.0, 2500.0])
SCHEMES = [KProfile(background=0.0), ACM2(background=0.0)]


@pytest.mark.parametrize("scheme", SCHEMES, ids=["K profile", "ACM2"])
@pytest.mark.parametrize("heat", [150.0, -15.0])
def test_well_mixed_end_state(scheme, heat):
    """Tracer below h ends well mixed below h; nothing leaks above, where the diffusivity is zero."""
    where, layer = column(EDGES), state(heat=heat)
    mixing = scheme(layer, where)
    rhs = where.air[0].at[0].multiply(7.0)
    seconds = 1e14
    updraft = None if mixing.updraft is None else mixing.updraft[0] * seconds
    q = step(where.air[0], where.air[0], rhs, mixing.exchange[0] * seconds, updraft_dt=updraft)[:, 0, 0]
    mean = float(jnp.sum(rhs[:8]) / jnp.sum(where.air[0, :8]))
    print(f"\n{type(scheme).__name__}, H = {heat:g}: spread {float(jnp.max(jnp.abs(q[:8] / mean - 1))):.1e}")
    np.testing.assert_allclose(q[:8], mean, rtol=1e-9)
    np.testing.assert_allclose(q[8:], 1.0, rtol=1e-14)


@pytest.mark.parametrize("scheme", SCHEMES, ids=["K profile", "ACM2"])
@pytest.mark.parametrize("seconds", [1.0, 60.0, 3600.0])
def test_mixing_keeps_the_sign(scheme, seconds):
    where = column(EDGES)
    mixing = scheme(state(), where)
    for k in range(10):
        pulse = jnp.zeros_like(where.air[0]).at[k].set(1.0)
        updraft = None if mixing.updraft is None else mixing.updraft[0] * seconds
        q = step(where.air[0], where.air[0], pulse, mixing.exchange[0] * seconds, updraft_dt=updraft)
        assert float(jnp.min(q)) >= 0.0


def remainder_slope(value, gradient, at, direction):
    """Slope of log |J(p + ε d) − J(p) − ε ∇J·d| over log ε: two where the gradient is right."""
    steps = 10.0 ** -np.arange(1.0, 3.6, 0.5)
    base, first = value(at), jnp.vdot(gradient(at), direction)
    rest = [abs(float(value(at + e * direction) - base - e * first)) for e in steps]
    return np.polyfit(np.log(steps), np.log(rest), 1)[0]


@pytest.mark.parametrize("scheme", [*SCHEMES, KProfile(counter_gradient=True)], ids=["K", "ACM2", "counter-gradient"])
def test_taylor_slope_of_schemes(scheme):
    """Scheme and solve are differentiable together: remainder of second order in h, u* and H, unstable and stable."""
    where = column(EDGES)
    target = jax.random.uniform(jax.random.key(4), where.air[0].shape)

    def value(p):
        mixing = scheme(state(*p), where)
        rhs = where.air[0].at[0].multiply(3.0)
        if mixing.release is not None:
            rhs = rhs + 50.0 * mixing.release[0]
        updraft = None if mixing.updraft is None else mixing.updraft[0] * 600.0
        q = step(where.air[0], where.air[0], rhs, mixing.exchange[0] * 600.0, updraft_dt=updraft)
        return 0.5 * jnp.sum((q - target) ** 2)

    value, gradient = jax.jit(value), jax.jit(jax.grad(value))
    for heat, (n, name, size) in itertools.product((150.0, -15.0), ((0, "h", 20.0), (1, "u*", 0.02), (2, "H", 5.0))):
        slope = remainder_slope(value, gradient, jnp.array([930.0, 0.4, heat]), jnp.zeros(3).at[n].set(size))
        print(f"\n{type(scheme).__name__} {name} at H = {heat:g}: Taylor slope {slope:.3f}")
        assert abs(slope - 2.0) <= 0.05, name


def test_taylor_slope_of_the_solve():
    """In K, in the moved air and in deposition; forward and reverse mode agree."""
    where = column(EDGES)

    def value(p):
        moved = (p[1] * 150.0 * jnp.sin(jnp.arange(11.0)))[:, None, None]
        after = where.air[0] - jnp.diff(moved, axis=0)
        exchange = Constant(10.0 * p[0])(state(), where).exchange[0] * 600.0
        rhs, top = where.air[0].at[2].multiply(3.0), jnp.ones((1, 1))
        q = step(where.air[0], after, rhs, exchange, moved, top, deposition_dt=20.0 * p[2] * top)
        return 0.5 * jnp.sum(q**2)

    value, gradient, at = jax.jit(value), jax.jit(jax.grad(value)), jnp.ones(3)
    np.testing.assert_allclose(jax.jacfwd(value)(at), gradient(at), rtol=1e-10)
    for n, name in enumerate(("K", "moved", "deposition")):
        slope = remainder_slope(value, gradient, at, jnp.zeros(3).at[n].set(0.1))
        print(f"\nsolve, {name}: Taylor slope {slope:.3f}")
        assert abs(slope - 2.0) <= 0.05, name

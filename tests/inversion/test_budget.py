"""Budgets against the worked examples of metrology.md, closed forms, examples of JCGM 101, and GTC."""

import dataclasses
import hashlib

import GTC
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ncx2

from inversion.budget import (
    P_K2,
    Estimate,
    Inputs,
    Measurand,
    Quantity,
    compare,
    coverage_factor,
    draws_of,
    effective_dof,
    ellipsoid_factor,
    ellipsoid_of_draws,
    mask_sha256,
    monte_carlo,
    monte_carlo_joint,
    propagate,
    propagate_joint,
    simultaneous_factor,
    tolerance,
    validate,
)  # fmt: skip
from inversion.budget.monte_carlo import interval_shortest, interval_symmetric
from inversion.budget.sampling import sampler
from transport.errors import TanhengError
from transport.grid import Grid

ONE = Inputs((Quantity("a", 0.0, 1.0),))


def product(v):
    return v["x1"] * v["x2"]


def two(r=0.0, group="", dof=np.inf):
    kind = "normal" if np.isinf(dof) else "t"
    pair = (("x1", "x2", r),) if r else ()
    return Inputs((Quantity("x1", 100.0, 5.0, group=group), Quantity("x2", 0.5, 0.02, distribution=kind, dof=dof,
                                                                     group=group)), pair)  # fmt: skip


# --- the linear law ---------------------------------------------------------------------------------------------------
def test_the_worked_product_of_metrology_section_2():
    b = propagate(product, two(dof=9.0))
    assert b.y == 50.0
    assert b.u == pytest.approx(np.sqrt(10.25), rel=1e-15)
    assert b.dof == pytest.approx(10.25**2 / (2.0**4 / 9.0), rel=1e-14)
    assert round(b.dof, 1) == 59.1
    assert round(b.k(), 2) == 2.00
    assert round(b.expanded(), 1) == 6.4
    assert [r.share for r in b.rows] == pytest.approx([625 / 10.25, 400 / 10.25])
    assert [r.contribution for r in b.rows] == [2.5, 2.0]
    x1, x2 = GTC.ureal(100.0, 5.0), GTC.ureal(0.5, 0.02, 9)
    y = x1 * x2
    assert (b.y, b.u, b.dof) == pytest.approx((y.x, y.u, y.df), rel=1e-12)


def test_half_and_full_correlation():
    half, whole = propagate(product, two(r=0.5)), propagate(product, two(group="scale"))
    assert half.u == pytest.approx(np.sqrt(15.25), rel=1e-14)
    assert half.pairs == (("x2", "x1", 0.5, pytest.approx(100 * 5.0 / 15.25)),)
    assert whole.u == pytest.approx(4.5, rel=1e-14)
    x1, x2 = GTC.ureal(100.0, 5.0, independent=False), GTC.ureal(0.5, 0.02, independent=False)
    GTC.set_correlation(0.5, x1, x2)
    assert half.u == pytest.approx((x1 * x2).u, rel=1e-12)


def test_partly_correlated_inputs_of_finite_dof_have_no_coverage_factor():
    b = propagate(product, two(r=0.5, dof=9.0))
    assert b.u == pytest.approx(np.sqrt(15.25))
    assert np.isnan(b.dof)
    with pytest.raises(TanhengError, match="coverage factor"):
        b.expanded()
    assert "ν_eff = nan" in str(b)


def test_a_group_is_one_error_in_welch_satterthwaite():
    q = [Quantity(n, 1.0, 0.1, distribution="t", dof=5.0, group="gas") for n in "ab"] + [Quantity("c", 1.0, 0.3)]
    b = propagate(lambda v: v["a"] + v["b"] + v["c"], Inputs(tuple(q)))
    g, c = GTC.ureal(1.0, 0.1, 5), GTC.ureal(1.0, 0.3)
    y = g + g + c
    assert (b.u, b.dof) == pytest.approx((y.u, y.df), rel=1e-12)
    assert b.dof == pytest.approx(0.13**2 / (0.2**4 / 5.0))


def test_a_share_may_be_negative_and_all_sum_to_hundred():
    b = propagate(lambda v: v["x1"] - 180.0 * v["x2"], two(group="scale"))
    assert b.u == pytest.approx(abs(5.0 - 3.6))
    assert [r.share for r in b.rows] == pytest.approx([100 * 5 / 1.4, -100 * 3.6 / 1.4])
    assert sum(r.share for r in b.rows) == pytest.approx(100.0, abs=1e-9)
    own = sum(100.0 * (r.contribution / b.u) ** 2 for r in b.rows)
    assert own + sum(share for *_, share in b.pairs) == pytest.approx(100.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_any_model_agrees_with_gtc(seed):
    rng = np.random.default_rng(seed)
    x, u, dof = rng.uniform(0.5, 2.0, 5), rng.uniform(0.01, 0.1, 5), rng.integers(3, 30, 5)
    names = [f"q{i}" for i in range(5)]

    def model(v, exp, log, sqrt):
        a, b, c, d, e = (v[n] for n in names)
        return a * exp(-b) / c + sqrt(d) * log(1.0 + e) - a * e**2

    ours = Inputs(tuple(Quantity(n, *xu, distribution="t", dof=float(v)) for n, xu, v in
                        zip(names, zip(x, u, strict=True), dof, strict=True)))  # fmt: skip
    b = propagate(lambda v: model(v, jnp.exp, jnp.log, jnp.sqrt), ours)
    theirs = {n: GTC.ureal(*xu, int(v)) for n, xu, v in zip(names, zip(x, u, strict=True), dof, strict=True)}
    y = model(theirs, GTC.exp, GTC.log, GTC.sqrt)
    assert (b.y, b.u, b.dof) == pytest.approx((y.x, y.u, y.df), rel=1e-10)
    components = [GTC.rp.u_component(y, theirs[n]) for n in names]
    assert [r.contribution for r in b.rows] == pytest.approx(components, rel=1e-10)
    joint = propagate_joint(lambda v: jnp.stack([v["q0"] * v["q1"], v["q0"] + v["q2"]]), ours)
    pair = theirs["q0"] * theirs["q1"], theirs["q0"] + theirs["q2"]
    assert joint.correlation[0, 1] == pytest.approx(GTC.get_correlation(*pair), rel=1e-10)
    assert np.sqrt(np.diag(joint.covariance)) == pytest.approx([z.u for z in pair], rel=1e-10)


def test_double_precision_wherever_it_is_called():
    with jax.enable_x64(False):
        b = propagate(lambda v: v["a"] - v["b"], Inputs((Quantity("a", 1.0 + 1e-12, 1.0), Quantity("b", 1.0, 0.0))))
        d = monte_carlo(lambda v: 1.0 + 1e-9 * v["a"], Inputs((Quantity("a", 0.0, 1.0),)), seed=0, digits=1)
    assert b.y == pytest.approx(1e-12, rel=1e-3)
    assert d.u == pytest.approx(1e-9, rel=0.2)


def test_section_3_totals_and_differences():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(4, 4))
    P, w = factor @ factor.T, np.array([1.0, 2.0, 0.5, 1.0])
    u = np.sqrt(np.diag(P))
    r = tuple((f"c{i}", f"c{j}", P[i, j] / u[i] / u[j]) for i in range(4) for j in range(i))
    b = propagate(lambda v: sum(w[i] * v[f"c{i}"] for i in range(4)),
                  Inputs(tuple(Quantity(f"c{i}", 1.0, u[i]) for i in range(4)), r))  # fmt: skip
    assert b.u**2 == pytest.approx(w @ P @ w, rel=1e-12)
    # Twelve months with the same error: the annual mean keeps it; with errors of their own it falls as 1/√12.
    months = [[Quantity(f"m{i}", 10.0, 2.0, group=g) for i in range(12)] for g in ("inventory", "")]
    shared, own = (propagate(lambda v: sum(v.values()) / 12.0, Inputs(tuple(m))).u for m in months)
    assert (shared, own) == pytest.approx((2.0, 2.0 / np.sqrt(12.0)))
    # u²(Δ) = u1² + u2² − 2 r u1 u2 = 9 + 16 − 2·0.8·12 = 5.8
    change = propagate(lambda v: v["b"] - v["a"], Inputs((Quantity("a", 0.0, 3.0), Quantity("b", 0.0, 4.0)),
                                                         (("a", "b", 0.8),)))  # fmt: skip
    assert change.u == pytest.approx(np.sqrt(5.8))


def test_student_factors_of_section_1():
    table = {1: 12.71, 2: 4.30, 4: 2.78, 5: 2.57, 9: 2.26, 20: 2.09, 50: 2.01, np.inf: 1.96}
    assert {v: round(coverage_factor(v), 2) for v in table} == table
    assert [round(coverage_factor(v, 0.9545), 2) for v in (5, 10, 20, 50, np.inf)] == [2.65, 2.28, 2.13, 2.05, 2.0]


def test_where_u_comes_from():
    assert Quantity.within("a", 1.0, 3.0).u == pytest.approx(np.sqrt(3.0))
    assert Quantity.within("a", 1.0, 3.0, "triangular").u == pytest.approx(3 / np.sqrt(6.0))
    assert Quantity.within("a", 1.0, 3.0, "arcsine").u == pytest.approx(3 / np.sqrt(2.0))
    assert Quantity.expanded("a", 1.0, 3.0, k=2.0).u == 1.5
    mean = Quantity.repeated("a", [1.0, 2.0, 3.0, 4.0])
    assert (mean.value, mean.u, mean.dof) == pytest.approx((2.5, np.sqrt(5 / 3) / 2, 3.0))
    reference = GTC.ta.estimate([1.0, 2.0, 3.0, 4.0])
    assert (mean.u, mean.dof) == pytest.approx((reference.u, reference.df))
    # ρ = 0.6: n_eff = n/4, so u doubles (metrology.md §1).
    long = np.sin(np.arange(400.0))
    assert Quantity.repeated("a", long, 0.6).u == pytest.approx(2.0 * Quantity.repeated("a", long).u)


# --- Monte Carlo ------------------------------------------------------------------------------------------------------
def test_tolerance_of_section_7_9():
    assert [tolerance(u, d) for u, d in ((1.0, 2), (0.0996, 2), (35.0, 1), (35.0, 2), (0.0994, 2))] == pytest.approx(
        [0.05, 0.005, 5.0, 0.5, 0.0005]
    )


def test_intervals_of_a_known_sample():
    values = np.arange(1.0, 101.0) ** 2  # dense at the low end
    assert interval_symmetric(values, 0.95) == (9.0, 98.0**2)  # r = (100 − 95 + 1)//2 = 3, r + q = 98
    assert interval_shortest(values, 0.95) == (1.0, 96.0**2)


@pytest.mark.parametrize(("kind", "moment"), [("normal", 3.0), ("rectangular", 9 / 5), ("triangular", 12 / 5),
                                              ("arcsine", 3 / 2)])  # fmt: skip
def test_draws_have_the_stated_moments(kind, moment):
    x = np.asarray(sampler(Inputs((Quantity("a", 2.0, 0.5, distribution=kind),)))(jax.random.key(3), 400_000)["a"])
    z = (x - 2.0) / 0.5
    assert (z.mean(), z.std(), (z**4).mean()) == pytest.approx((0.0, 1.0, moment), abs=0.03)


def test_draws_of_lognormal_t_and_groups():
    q = (Quantity("l", 2.0, 1.0, distribution="lognormal"),
         *(Quantity(n, 0.0, s, distribution="t", dof=5.0, group="g") for n, s in (("a", 1.0), ("b", 3.0))),
         Quantity("c", 0.0, 1.0), Quantity("d", 0.0, 1.0))  # fmt: skip
    draws = sampler(Inputs(q, (("c", "d", -0.7),)))(jax.random.key(0), 400_000)
    d = {k: np.asarray(v) for k, v in draws.items()}
    assert (d["l"].mean(), d["l"].std()) == pytest.approx((2.0, 1.0), rel=0.02)
    assert (d["l"] > 0).all()
    assert d["a"].std() == pytest.approx(np.sqrt(5 / 3), rel=0.02)  # u √(ν/(ν−2))
    assert np.quantile(d["a"], 0.975) == pytest.approx(2.571, rel=0.02)
    np.testing.assert_allclose(d["b"], 3.0 * d["a"], rtol=1e-9)  # one error
    assert np.corrcoef(d["c"], d["d"])[0, 1] == pytest.approx(-0.7, abs=0.01)
    assert abs(np.corrcoef(d["a"], d["c"])[0, 1]) < 0.01


def test_jcgm_101_section_9_4_an_asymmetric_result_is_not_validated():
    # δY = X1² + X2², u = 0.005, x1 = 0.010: mean x1² + 2u² = 150e-6, sd √(4u²x1² + 4u⁴) = 112e-6;
    # δY/u² is χ² with 2 dof and non-centrality 4.
    loss = Inputs((Quantity("x1", 0.010, 0.005), Quantity("x2", 0.0, 0.005)))
    v = validate(lambda v: 1e6 * (v["x1"] ** 2 + v["x2"] ** 2), loss, seed=1, digits=1)
    assert (v.budget.y, v.budget.u) == pytest.approx((100.0, 100.0))
    assert (v.draws.y, v.draws.u) == pytest.approx((150.0, np.sqrt(12500.0)), abs=2.0)
    exact = ncx2(2, 4.0)
    r = np.linspace(0.0, 0.05, 2001)
    low, high = 25.0 * exact.ppf(r), 25.0 * exact.ppf(np.minimum(r + 0.95, 1.0 - 1e-12))
    best = (high - low).argmin()
    assert v.draws.shortest == pytest.approx((low[best], high[best]), abs=8.0)
    assert v.draws.symmetric == pytest.approx((25.0 * exact.ppf(0.025), 25.0 * exact.ppf(0.975)), abs=8.0)
    assert v.draws.shortest[1] - v.draws.shortest[0] < v.draws.symmetric[1] - v.draws.symmetric[0] - 10.0
    assert not v.valid
    assert v.delta == 50.0
    with pytest.raises(TanhengError, match="not valid"):
        v.statement("GUM")
    s = v.statement()
    assert (s.method, s.y, s.u, s.low, s.high) == ("JCGM 101", v.draws.y, v.draws.u, *v.draws.symmetric)


def test_jcgm_101_section_9_4_at_zero_is_chi_squared():
    loss = Inputs((Quantity("x1", 0.0, 0.005), Quantity("x2", 0.0, 0.005)))
    d = monte_carlo(lambda v: 1e6 * (v["x1"] ** 2 + v["x2"] ** 2), loss, seed=2, delta=1.25)
    assert d.settled
    # u² χ²(2): mean and sd 50, shortest 95 % interval [0, −50 ln 0.05].
    assert (d.y, d.u, *d.shortest) == pytest.approx((50.0, 50.0, 0.0, 149.8), abs=1.2)
    with pytest.raises(TanhengError, match="tolerance"):  # all sensitivities are zero: the linear law sees nothing
        validate(lambda v: v["x1"] ** 2, loss, seed=2)


def test_jcgm_101_section_9_2_four_rectangular_inputs_are_validated():
    # u = 2; exact end point of the sum of four: 2√3 (2 − (3/5)^¼) = 3.88; the linear one is 3.92; δ = 0.05.
    four = Inputs(tuple(Quantity(n, 0.0, 1.0, distribution="rectangular") for n in "abcd"))
    v = validate(lambda v: sum(v.values()), four, seed=3)
    exact = 2.0 * np.sqrt(3.0) * (2.0 - 0.6**0.25)
    assert v.draws.symmetric == pytest.approx((-exact, exact), abs=0.01)
    assert v.d_low == pytest.approx(1.96 * 2.0 - exact, abs=0.01)
    assert (v.delta, v.draws.tolerance) == pytest.approx((0.05, 0.01))  # a fifth of δ
    assert v.valid
    s = v.statement()
    assert (s.method, s.u) == ("GUM", 2.0)
    assert (s.low, s.high) == pytest.approx((-3.92, 3.92), abs=1e-3)
    assert v.statement("JCGM 101").u == v.draws.u


def test_jcgm_101_section_9_2_4_one_dominant_rectangle_is_not_validated():
    wide = Inputs((*(Quantity(n, 0.0, 1.0, distribution="rectangular") for n in "abc"),
                   Quantity("d", 0.0, 10.0, distribution="rectangular")))  # fmt: skip
    v = validate(lambda v: sum(v.values()), wide, seed=4)
    # P(S + D ≤ z) = E[clip((z − S + A)/2A)], D even on ±A and S the sum of the others: midpoints of 200³ cells.
    x = (np.arange(200) + 0.5) / 100.0 - 1.0
    S = np.sqrt(3.0) * (x[:, None, None] + x[:, None] + x).ravel()
    z, A = np.linspace(16.0, 18.0, 41), 10.0 * np.sqrt(3.0)
    p = np.array([np.clip((t - S + A) / (2.0 * A), 0.0, 1.0).mean() for t in z])
    end = float(np.interp(0.975, p, z))
    assert v.draws.symmetric == pytest.approx((-end, end), abs=0.05)
    assert v.budget.expanded() == pytest.approx(19.9, abs=0.05)
    assert not v.valid


def test_draws_repeat_with_their_seed_and_say_when_they_do_not_settle():
    first, again, other = (monte_carlo(product, two(), seed=s, digits=1) for s in (5, 5, 6))
    assert first == again
    assert first != other
    # u/x = 50: blocks agree on a u that is far too small, because none of them meets the tail.
    heavy = Inputs((Quantity("x1", 1.0, 50.0, distribution="lognormal"), Quantity("x2", 1.0, 0.0)))
    assert not monte_carlo(product, heavy, seed=1, digits=1, most=400_000).settled
    with pytest.raises(TanhengError, match="settle"):
        validate(product, heavy, seed=0, digits=1, most=100_000)


@pytest.mark.parametrize(("u", "digits"), [(0.09499, 1), (0.2, 2), pytest.param(9.94, 2, marks=pytest.mark.nightly)])
def test_draws_settle_to_a_fifth_of_the_linear_tolerance(u, digits):
    # 0.09499 is 9·10⁻² in one digit; draws of it may spread by 0.0951, which is 10·10⁻², with a δ ten times as large.
    for seed in range(3):
        v = validate(lambda v: v["x"], Inputs((Quantity("x", 1.0, u),)), seed=seed, digits=digits)
        assert v.draws.tolerance == v.delta / 5 == tolerance(u, digits) / 5
        assert v.valid


def test_intervals_cover_as_often_as_they_say():
    """Truth 1 measured by a mean of 6 (t, ν = 5) times a certified factor: 95 % of intervals hold it."""
    rng, held, n = np.random.default_rng(7), 0, 3000
    for _ in range(n):
        x = rng.normal(1.0, 0.10, 6)
        f, u = rng.normal(1.0, 0.01), x.std(ddof=1) / np.sqrt(6)
        y, c = x.mean() * f, np.array([f * u, x.mean() * 0.01])
        U = coverage_factor(effective_dof(c, [5.0, np.inf], (c**2).sum())) * np.sqrt((c**2).sum())
        held += abs(y - 1.0) <= U
    assert held / n == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / n))


# --- several outputs --------------------------------------------------------------------------------------------------
def test_ellipsoid_factors_of_section_5():
    table = [1.96, 2.45, 2.80, 3.08, 3.33, 3.55, 3.75, 3.94, 4.11, 4.28]
    assert [round(ellipsoid_factor(m), 2) for m in range(1, 11)] == table


def test_simultaneous_statements():
    # Points of the normal distribution for 1 − 0.05/2m: 1.960, 2.241, 2.394 (tables of Bonferroni).
    assert [round(simultaneous_factor(m), 3) for m in (1, 2, 3)] == [1.960, 2.241, 2.394]


def test_one_output_and_constant_outputs():
    x = np.random.default_rng(0).standard_normal((100_000, 1))
    assert ellipsoid_of_draws(x) == pytest.approx(1.96, abs=0.02)
    r = propagate_joint(lambda v: jnp.stack([v["a"], v["b"]]), Inputs((*ONE.quantities, Quantity("b", 1.0, 0.0))))
    assert r.correlation.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_the_ellipsoid_by_monte_carlo():
    inputs = Inputs((Quantity("a", 1.0, 0.2), Quantity("b", 2.0, 0.1), Quantity("c", 0.0, 0.3)), (("a", "b", 0.5),))

    def model(v):
        return jnp.stack([v["a"] + v["b"], v["b"] - v["c"], v["c"] + 2.0 * v["a"]])

    draws, joint = draws_of(model, inputs, seed=8, count=200_000), propagate_joint(model, inputs)
    assert ellipsoid_of_draws(draws) == pytest.approx(ellipsoid_factor(3), abs=0.01)
    np.testing.assert_allclose(np.cov(draws, rowvar=False), joint.covariance, atol=0.004)
    d = monte_carlo_joint(model, inputs, seed=8, digits=1)
    assert d.settled
    assert d.y == pytest.approx([3.0, 2.0, 2.0], abs=0.01)
    assert d.u == pytest.approx(np.sqrt(np.diag(joint.covariance)), rel=0.01)
    assert d.k == pytest.approx(2.795, abs=0.02)  # √7.815
    np.testing.assert_allclose(d.correlation, joint.correlation, atol=0.01)
    # u of the third is 9.5: two digits, δ = 0.05, need more than (2 · 9.5/0.05)² draws for its mean.
    assert not monte_carlo_joint(lambda v: 19.0 * model(v), inputs, seed=8, most=100_000).settled
    assert joint.covariance[0, 0] == pytest.approx(0.04 + 0.01 + 2 * 0.5 * 0.2 * 0.1)


# --- refusals ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bad", [
    lambda: Quantity("", 1.0, 1.0),
    lambda: Quantity("a", np.nan, 1.0),
    lambda: Quantity("a", 1.0, -1.0),
    lambda: Quantity("a", 1.0, 1.0, distribution="t"),
    lambda: Quantity("a", 1.0, 1.0, dof=5.0),
    lambda: Quantity("a", 1.0, 1.0, distribution="cauchy"),
    lambda: Quantity("a", -1.0, 1.0, distribution="lognormal"),
    lambda: Quantity.within("a", 0.0, 1.0, "normal"),
    lambda: Quantity.repeated("a", [1.0]),
    lambda: Quantity.repeated("a", [1.0, 2.0, 3.0], 0.9),
    lambda: Inputs(()),
    lambda: Inputs((Quantity("a", 1.0, 1.0), Quantity("a", 1.0, 1.0))),
    lambda: Inputs((Quantity("a", 1.0, 1.0, group="g"), Quantity("b", 1.0, 1.0, distribution="arcsine", group="g"))),
    lambda: Inputs((Quantity("a", 1.0, 1.0), Quantity("b", 1.0, 1.0, distribution="arcsine")), (("a", "b", 0.1),)),
    lambda: Inputs((Quantity("a", 1.0, 1.0),), (("a", "z", 0.1),)),
    lambda: Inputs(tuple(Quantity(n, 1.0, 1.0) for n in "abc"), (("a", "b", 0.9), ("b", "c", 0.9), ("a", "c", -0.9))),
    lambda: propagate(lambda v: jnp.sqrt(v["a"]), Inputs((Quantity("a", 0.0, 1.0),))),
    lambda: monte_carlo(lambda v: jnp.log(v["a"]), Inputs((Quantity("a", 1.0, 1.0),)), seed=0),
    lambda: monte_carlo(product, two(), seed=0, p=1.0),
    lambda: monte_carlo(product, two(r=0.3, dof=5.0), seed=0),
    lambda: validate(product, two(), seed=0, digits=1).statement("mean of both"),
    lambda: Quantity("a", "1", 1.0),
    lambda: Quantity("a", 1.0, None),
    lambda: Quantity.expanded("a", 1.0, -1.0, k=-2.0),
    lambda: Quantity.expanded("a", 1.0, 1.0, k=0.0),
    lambda: Quantity.repeated("a", [1.0, 2.0, 3.0, 4.0], -0.99),
    lambda: Quantity.repeated("a", np.ones((3, 3))),
    lambda: Inputs((Quantity("a", 1.0, 1.0), Quantity("b", 1.0, 1.0)), (("a", "b", 0.9), ("b", "a", 0.9))),
    # Blind derivatives: x² at zero, a step, x² + z where the rest has a u of its own, one output of two.
    lambda: propagate(lambda v: v["a"] ** 2, ONE),
    lambda: propagate(lambda v: jnp.round(v["a"]), ONE),
    lambda: propagate(lambda v: v["a"] ** 2 + v["b"], Inputs((*ONE.quantities, Quantity("b", 0.0, 1e-3)))),
    lambda: propagate_joint(lambda v: jnp.stack([v["a"], v["a"] ** 2]), ONE),
    # Models that are none.
    lambda: propagate(lambda v: v["z"], ONE),
    lambda: propagate(lambda v: np.sqrt(v["a"]), ONE),
    lambda: propagate(lambda v: jnp.stack([v["a"], v["a"]]), ONE),
    lambda: monte_carlo(lambda v: jnp.stack([v["a"], v["a"]]), ONE, seed=0),
    lambda: propagate_joint(lambda v: v["a"], ONE),
    lambda: draws_of(lambda v: v["a"], ONE, seed=0, count=10),
    lambda: propagate_joint(lambda v: jnp.stack([jnp.log(v["a"] - 1.0), v["a"]]), ONE),
    # Monte Carlo that would not end, or has no u.
    lambda: monte_carlo(product, two(), seed=0, p=1.0 - 1e-9),
    lambda: monte_carlo(product, two(), seed=0, most=10),
    lambda: monte_carlo(product, two(), seed=1.5),
    lambda: monte_carlo(product, two(), seed=0, delta=0.0),
    lambda: monte_carlo(product, two(dof=2.0), seed=0),
    lambda: monte_carlo_joint(lambda v: jnp.stack([v["a"], 2.0 * v["a"]]), ONE, seed=0),
    lambda: monte_carlo_joint(lambda v: v["a"], ONE, seed=0),
    lambda: tolerance(1.0, 0),
    lambda: ellipsoid_of_draws(np.repeat(np.arange(9.0)[:, None], 2, axis=1)),
    lambda: ellipsoid_of_draws(np.ones((1, 2))),
    lambda: ellipsoid_factor(2, 1.5),
    lambda: simultaneous_factor(0),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_a_remedy(bad):
    with pytest.raises(TanhengError) as error:
        bad()
    assert error.value.remedy


# --- comparison -------------------------------------------------------------------------------------------------------
def city(**changes):
    grid = Grid(np.arange(3.0), np.arange(3.0))
    given = {"gas": "CO2", "area": "city", "area_sha256": mask_sha256(grid, np.ones((2, 2))), "start": "2020-01-01",
             "end": "2021-01-01", "sectors": {"power", "heat"}}  # fmt: skip
    return Measurand(**(given | changes))


def test_comparison_by_hand():
    a, b = Estimate(city(), 100.0, 6.0, "inversion"), Estimate(city(area="same mask"), 80.0, 8.0, "account", dof=9.0)
    c = compare(a, b)
    assert (c.difference, c.u, c.z) == pytest.approx((20.0, 10.0, 2.0))
    # t₉ of 95.45 % is 2.32 (JCGM 100, table G.2).
    assert c.E_n == pytest.approx(20.0 / np.hypot(2.0 * 6.0, 2.32 * 8.0), rel=1e-3)
    assert c.agree
    assert (c.p, c.k, c.U) == (P_K2, *(pytest.approx(x, rel=1e-3) for x in ((2.0, 2.32), (12.0, 18.56))))
    assert a.expanded() == pytest.approx(12.0, rel=1e-12)  # k = 2
    # r = 0.5: 36 + 64 − 48 = 52
    assert compare(a, b, correlation=0.5).z == pytest.approx(20.0 / np.sqrt(52.0))
    x, y = GTC.ureal(100.0, 6.0, independent=False), GTC.ureal(80.0, 8.0, independent=False)
    GTC.set_correlation(0.5, x, y)
    assert compare(a, b, correlation=0.5).u == pytest.approx((x - y).u)


def test_a_skewed_result_is_compared_by_the_side_that_faces_the_other():
    a, b = Estimate(city(), 100.0, 5.0, "inversion"), Estimate(city(), 80.0, 10.0, "account", interval=(70.0, 110.0))
    c = compare(a, b)
    assert c.E_n == pytest.approx(20.0 / np.hypot(10.0, 30.0))
    assert (c.skewed, c.k) == (True, pytest.approx((2.0, 3.0)))
    below = compare(dataclasses.replace(a, value=60.0), b)
    assert below.E_n == pytest.approx(-20.0 / np.hypot(10.0, 10.0))
    assert not below.agree


@pytest.mark.parametrize("changes", [
    {"gas": "CH4"}, {"end": "2020-12-31"}, {"sectors": {"power"}}, {"sectors": ()}, {"kind": "net"},
    {"area_sha256": hashlib.sha256(b"other").hexdigest()},
])  # fmt: skip
def test_unlike_measurands_are_refused(changes):
    a, b = Estimate(city(), 1.0, 1.0, "a"), Estimate(city(**changes), 1.0, 1.0, "b")
    with pytest.raises(TanhengError, match="same measurand") as error:
        compare(a, b)
    assert next(iter(changes)) in str(error.value)


def test_masks_have_one_hash():
    grid, share = Grid(np.arange(3.0), np.arange(3.0)), np.array([[1.0, 0.5], [0.0, 0.25]])
    same = mask_sha256(Grid(np.arange(3.0) + 1e-12, np.arange(3.0)), share + 1e-9)
    assert mask_sha256(grid, share) == same
    assert mask_sha256(grid, share.T) != same
    assert mask_sha256(Grid(np.arange(3.0), np.arange(3.0) + 1e-3), share) != same
    # One coordinate system has one hash however it is spelt, and masks that are none have none.
    spelt = [mask_sha256(Grid(grid.x_edges, grid.y_edges, c), share) for c in ("EPSG:4326", "epsg:4326")]
    assert spelt == [mask_sha256(grid, share)] * 2
    for bad in (share[0], np.full((2, 2), np.nan), 2.0 * share):
        with pytest.raises(TanhengError, match="no mask"):
            mask_sha256(grid, bad)
    for bad in ({"gas": "water"}, {"kind": "gross"}, {"area_sha256": "x"}, {"end": "2019-01-01"}, {"start": "foo"},
                {"start": "NaT"}, {"sectors": "energy"}):  # fmt: skip
        with pytest.raises(TanhengError, match="measurand"):
            city(**bad)
    for bad in ({"u": -1.0}, {"value": np.nan}, {"dof": 0.0}, {"interval": (2.0, 3.0)}, {"interval": (0.0, np.inf)}):
        with pytest.raises(TanhengError):
            Estimate(**({"measurand": city(), "value": 1.0, "u": 1.0, "method": "x"} | bad))
    with pytest.raises(TanhengError):
        compare(Estimate(city(), 1.0, 0.0, "a"), Estimate(city(), 1.0, 0.0, "b"))

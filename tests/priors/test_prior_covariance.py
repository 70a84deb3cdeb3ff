import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inversion.basis import Basis, cells
from inversion.covariance import Diagonal, Exponential, Matern32
from inversion.steps import Steps
from priors import covariance as pc
from priors.covariance import Errors, Total
from priors.inventory import Inventory
from priors.low_rank import with_spread, with_totals
from transport.errors import TanhengError
from transport.grid import Grid

GRID = Grid(np.arange(5) * 10e3, np.arange(4) * 10e3, "+proj=laea +lat_0=52.5 +lon_0=13.4")
TIMES = np.array(["2018-01-01", "2018-02-01", "2018-03-01"], "datetime64[s]")
STEPS = Steps(np.array([0, 1]), np.array(["jan", "feb"]), np.array([0.0, 744.0]))
BASIS = cells(GRID.shape)
RNG = np.random.default_rng(11)
INVENTORY = Inventory("CO2", ("road", "heat"), RNG.uniform(0.5, 2.0, (2, 2, 3, 4)), GRID, TIMES)
WEST, EAST = np.zeros((3, 4)), np.zeros((3, 4))
WEST[:, :2], EAST[:, 2:] = 1.0, 1.0
ERRORS = {"road": Errors(0.3, Exponential(15.0), 30.0), "heat": Errors(np.linspace(0.2, 0.6, 12), Matern32(20.0), 60.0)}


@functools.cache
def b():
    return pc.prior(ERRORS, INVENTORY.sectors, GRID, STEPS)


def listed(**published):
    return pc.totals(INVENTORY, BASIS, STEPS, {"west": WEST, "east": EAST, "all": WEST + EAST}, published)


def dense(c):
    return np.asarray(c.mv(jnp.eye(c.size)))


def reference():
    """By loops, from the definition."""
    d, out = GRID.distances(), np.zeros((48, 48))
    for s, (sigma, rho, tau) in enumerate((
        (np.full(12, 0.3), np.exp(-d / 15), 30.0),
        (np.linspace(0.2, 0.6, 12), (1 + np.sqrt(3) * d / 20) * np.exp(-np.sqrt(3) * d / 20), 60.0),
    )):  # fmt: skip
        for t in range(2):
            for v in range(2):
                rows, columns = (
                    slice(24 * s + 12 * t, 24 * s + 12 * t + 12),
                    slice(24 * s + 12 * v, 24 * s + 12 * v + 12),
                )
                out[rows, columns] = np.outer(sigma, sigma) * rho * np.exp(-abs(t - v) * 31 / tau)
    return out


def agrees_with(c, matrix):
    """All actions against the matrix."""
    n = len(matrix)
    root = np.asarray(c.sqrt_mv(jnp.eye(n)))
    np.testing.assert_allclose(dense(c), matrix, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(root @ root.T, matrix, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(c.sqrt_transposed_mv(jnp.eye(n)), root.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(c.solve(jnp.asarray(matrix)), np.eye(n), atol=1e-8)
    np.testing.assert_allclose(c.diagonal(), np.diag(matrix), rtol=1e-10)
    assert float(c.logdet()) == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-9)
    assert np.linalg.eigvalsh(matrix)[0] > 0


def test_b_is_what_was_meant():
    agrees_with(b(), reference())


def test_each_kernel_has_the_distances_for_which_it_is_a_correlation():
    globe = np.array([[0.0, 0.0], [90.0, 0.0], [180.0, 0.0]])
    one = Steps(np.array([0]), np.array(["all"]), np.array([0.0]))
    both = {"a": Errors(1.0, Exponential(6371.0)), "b": Errors(1.0, Matern32(6371.0)), "c": Errors(2.0)}
    c = dense(pc.prior(both, ("a", "b", "c"), globe, one))
    assert c[0, 1] == pytest.approx(np.exp(-np.pi / 2), rel=1e-6)  # along the great circle
    chord = np.sqrt(3) * np.sqrt(2)  # through the Earth
    assert c[3, 4] == pytest.approx((1 + chord) * np.exp(-chord), rel=1e-6)
    assert c[6, 6] == 4.0 and c[6, 7] == c[0, 3] == 0.0


def test_elements_and_totals_are_those_of_the_inventory():
    weights = pc.elements(INVENTORY, BASIS, STEPS)
    # January has 31 of 59 days.
    np.testing.assert_allclose(weights[1, 0, 5], INVENTORY.rate[1, 0, 1, 1] * 31 / 59, rtol=1e-14)
    total = {t.name: t.value for t in listed()}
    assert total["west"] == pytest.approx(INVENTORY.total(WEST), rel=1e-12)
    assert total["road"] == pytest.approx(INVENTORY.totals()["road"], rel=1e-12)
    assert total["all"] == pytest.approx(INVENTORY.total(), rel=1e-12)
    fractions = Basis((3, 4), np.array(["w", "e"]), weights=np.stack([WEST.ravel(), EAST.ravel()], axis=1))
    np.testing.assert_allclose(
        pc.elements(INVENTORY, fractions, STEPS).sum(axis=(0, 1)), [total["west"], total["east"]]
    )
    index = np.where(WEST > 0, 0, -1)
    part = Basis((3, 4), np.array(["w"]), index=index)
    np.testing.assert_allclose(pc.elements(INVENTORY, part, STEPS).sum(), total["west"])


def test_scaling_gives_each_region_its_published_uncertainty_exactly():
    west, east = listed(west=0.05, east=0.08)[:2]
    c = pc.scaled_to(b(), [west, east])
    for total in (west, east):
        implied = total.weights @ dense(c) @ total.weights
        assert np.sqrt(implied) == pytest.approx(total.relative * total.value, rel=1e-10)
    before, after = reference(), dense(c)
    rho = lambda m: m / np.sqrt(np.outer(np.diag(m), np.diag(m)))  # noqa: E731
    np.testing.assert_allclose(rho(after), rho(before), rtol=1e-10)
    agrees_with(c, after)


@pytest.mark.parametrize("relative", [0.02, 0.5])
def test_conditioning_on_a_total_is_that_of_gauss_and_fixes_it_exactly(relative):
    total = listed(all=relative)[2]
    c, before, w = pc.conditioned(b(), [total]), reference(), total.weights
    s, u2 = w @ before @ w, (relative * total.value) ** 2
    assert np.sqrt(w @ dense(c) @ w) == pytest.approx(relative * total.value, rel=1e-10)
    expected = before + before @ np.outer(w, w) @ before * (u2 - s) / s**2
    agrees_with(c, expected)
    if u2 < s:  # as if the total had been measured with variance v: 1/u² = 1/s + 1/v
        v = 1 / (1 / u2 - 1 / s)
        gain = before @ w / (s + v)
        np.testing.assert_allclose(dense(c), before - np.outer(gain, w @ before), rtol=1e-9, atol=1e-12)
    else:
        assert relative == 0.5


def test_overlapping_totals_are_fixed_together_with_their_correlation():
    west, _, everything, road, _ = listed(west=0.04, all=0.03, road=0.06)
    correlations = np.array([[1, 0.5, 0.2], [0.5, 1, 0.3], [0.2, 0.3, 1]])
    c = pc.conditioned(b(), [west, everything, road], correlations)
    w, u = np.stack([t.weights for t in (west, everything, road)], axis=1), np.array([west.u, everything.u, road.u])
    np.testing.assert_allclose(w.T @ dense(c) @ w, np.outer(u, u) * correlations, rtol=1e-10)
    before = reference()
    s = w.T @ before @ w
    gain = before @ w @ np.linalg.inv(s)
    agrees_with(c, before + gain @ (np.outer(u, u) * correlations - s) @ gain.T)
    # Everything else given the totals is as before.
    for m in (before, dense(c)):
        cross = m @ w @ np.linalg.inv(w.T @ m @ w)
        np.testing.assert_allclose(m - cross @ (w.T @ m), before - gain @ w.T @ before, atol=1e-10)


def test_spread_of_alternatives_is_their_sample_covariance():
    reference_ = pc.elements(INVENTORY, BASIS, STEPS).ravel()
    alternatives = reference_ * RNG.lognormal(0, 0.3, (3, 48))
    c = pc.with_alternatives(b(), alternatives, reference_)
    agrees_with(c, reference() + np.cov((alternatives / reference_).T))
    assert pc.spread(alternatives, np.where(np.arange(48) == 7, 0, reference_))[7].tolist() == [0, 0, 0]


def test_draws_have_the_uncertainty_that_was_asked_for():
    total = listed(all=0.1)[2]
    c = pc.conditioned(
        pc.with_alternatives(b(), np.stack([total.weights, 1.3 * total.weights]), total.weights), [total]
    )
    draws = c.sqrt_mv(jax.random.normal(jax.random.key(0), (48, 20000)))
    # The standard deviation of 20000 draws is known to 0.5 %.
    assert np.std(total.weights @ np.asarray(draws)) == pytest.approx(0.1 * total.value, rel=0.02)
    np.testing.assert_allclose(np.std(draws, axis=1), np.sqrt(c.diagonal()), rtol=0.03)


def test_the_table_states_what_b_implies():
    totals = listed(west=0.05)
    c = pc.scaled_to(b(), totals[:1])
    text = pc.describe(c, totals)
    line = next(x for x in text.splitlines() if x.split()[:1] == ["west"])
    value = totals[0].value * 365 * 86400 / 1e9
    assert line.split() == ["west", f"{value:.5g}", f"{0.05 * value:.3g}", f"{0.1 * value:.3g}", "10.0", "10.0"]
    road = totals[3].weights
    implied = 200 * np.sqrt(road @ dense(c) @ road) / totals[3].value
    assert f"{implied:.1f}" in next(x for x in text.splitlines() if x.split()[:1] == ["road"])


def test_totals_that_nearly_follow_from_each_other_keep_their_published_uncertainty():
    weights = listed()[2].weights
    nearly = [Total("all", weights, 0.05), Total("most", weights * (1 - 1e-3 * RNG.random(48)), 0.05)]
    c = pc.conditioned(b(), nearly, np.array([[1, 0.9], [0.9, 1]]))
    root = c.sqrt_transposed_mv(np.stack([t.weights for t in nearly], axis=1))
    u = np.array([t.u for t in nearly])
    np.testing.assert_allclose(root.T @ root, np.outer(u, u) * [[1, 0.9], [0.9, 1]], rtol=1e-10)
    small = Total("all", weights, 1.1e-4 * float(pc.uncertainty(b(), weights)) / weights.sum())
    assert pc.uncertainty(pc.conditioned(b(), [small]), weights) == pytest.approx(small.u, rel=1e-10)


def test_the_u_before_it_was_fixed_is_kept_and_shown():
    everything = pc.before(b(), listed(all=0.5)[2:3])
    w = everything[0].weights
    assert everything[0].before == pytest.approx(np.sqrt(w @ reference() @ w), rel=1e-10)
    line = pc.describe(pc.conditioned(b(), everything), everything).splitlines()[-2].split()
    earlier = f"{200 * everything[0].before / everything[0].value:.1f}"
    assert line[-3:] == ["100.0", "100.0", earlier] and earlier != "100.0"


def test_single_precision_is_refused():
    weights = listed(all=0.1)[2]
    with jax.enable_x64(False), pytest.raises(TanhengError, match="single precision") as error:
        pc.conditioned(Diagonal(np.ones(48)), [weights])
    assert "jax_enable_x64" in error.value.remedy


def two(correlations):
    return lambda: pc.conditioned(b(), listed(west=0.1, east=0.1)[:2], correlations)


def shares(inside):
    return lambda: pc.totals(INVENTORY, BASIS, STEPS, {"somewhere": inside})


@pytest.mark.parametrize(("what", "match"), [
    (two(4 * np.eye(2)), "correlations of totals are none"),
    (two(np.eye(3)), "correlations of totals are none"),
    (two(np.ones(2)), "correlations of totals are none"),
    (two(np.array([[1, np.nan], [np.nan, 1]])), "is none"),
    (two(np.array([[1, 0.2], [0.3, 1]])), "is none"),
    (two(np.array([[1, 1 - 1e-14], [1 - 1e-14, 1]])), "better than can be computed"),
    (lambda: pc.conditioned(b(), [Total("all", listed()[2].weights, 1e-9)]), "better than can be computed"),
    (lambda: pc.conditioned(b(), []), "not of the elements"),
    (lambda: pc.describe(b(), []), "not of the elements"),
    (lambda: pc.describe(b(), [Total("x", np.ones(7))]), "not of the elements"),
    (lambda: pc.uncertainty(b(), np.ones(7)), "not of the elements"),
    (shares(np.ones(4)), "shares of cells"), (shares(np.full((3, 4), 7.0)), "shares of cells"),
    (shares(np.full((3, 4), np.nan)), "shares of cells"), (shares(np.ones((4, 3))), "shares of cells"),
    (lambda: pc.prior({"a": Errors(np.ones(7))}, ("a",), GRID, STEPS), "not those of the elements"),
    (lambda: pc.prior({"a": Errors(np.ones((3, 4)))}, ("a",), GRID, STEPS), "not those of the elements"),
    (lambda: pc.scaled_to(b(), [listed(west=0.1)[0], listed(all=0.1)[2]]), "share elements"),
    (lambda: pc.scaled_to(b(), listed()[:1]), "not known"),
    (lambda: pc.scaled_to(b(), [Total("sea", np.zeros(48), 0.1)]), "depends on no element"),
    (lambda: pc.conditioned(b(), listed(west=0.1, east=0.1, all=0.1)[:3]), "depend on each other"),
    (lambda: pc.conditioned(b(), listed(west=0.1, east=0.1)[:2], np.array([[1, 2], [2, 1.0]])), "is none"),
    (lambda: listed(north=0.1), "names of totals"),
    (lambda: pc.prior({"road": Errors(0.3)}, INVENTORY.sectors, GRID, STEPS), "errors do not fit"),
    (lambda: pc.elements(INVENTORY, cells((2, 2)), STEPS), "not those of the inventory"),
    (lambda: pc.spread(np.ones((1, 48)), np.ones(48)), "two inventories"),
    (lambda: with_spread(Diagonal(np.ones(3)), np.ones((2, 1))), "do not fit"),
    (lambda: with_totals(Diagonal(np.ones(3)), np.ones((3, 1)), np.zeros((1, 1))), "is none"),
])  # fmt: skip
def test_what_has_no_meaning_is_refused(what, match):
    with pytest.raises(TanhengError, match=match) as error:
        what()
    assert error.value.remedy

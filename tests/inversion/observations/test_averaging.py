"""Means: by hand, coverage under AR(1) noise, shared errors, columns, and Cabauw's afternoons."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inversion.observations import Component, Vertical, mismatch, selection
from inversion.observations.averaging import autocorrelation, effective_number, mean
from tests.inversion.observations.test_selection import cabauw, series
from transport.errors import TanhengError


def ar1(rng, shape, rho):
    """Stationary AR(1) of unit variance along the last axis."""
    e = rng.normal(size=shape)
    out = np.empty(shape)
    out[..., 0] = e[..., 0]
    for t in range(1, shape[-1]):
        out[..., t] = rho * out[..., t - 1] + np.sqrt(1 - rho**2) * e[..., t]
    return out


def test_effective_number_by_hand():
    assert effective_number(np.arange(5.0), 0.0) == 5.0
    # n = 3, ρ = 0.5: Σ_ij = 3 + 2 (0.5 + 0.5 + 0.25) = 5.5; 9/5.5
    assert effective_number(np.arange(3.0), 0.5) == pytest.approx(9 / 5.5)
    # a gap of two steps: 3 + 2 (0.5 + 0.25 + 0.125)
    assert effective_number(np.array([0.0, 1.0, 3.0]), 0.5) == pytest.approx(9 / 4.75)
    # the limit n (1 − ρ)/(1 + ρ) of metrology.md §1
    assert effective_number(np.arange(5000.0), 0.8) == pytest.approx(5000 * 0.2 / 1.8, rel=2e-3)
    assert effective_number(np.arange(4.0), 0.999999) == pytest.approx(1.0, abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=30), st.floats(0.0, 0.99))
def test_effective_number_is_the_double_sum(steps, rho):
    t = np.cumsum(steps)
    expected = t.size**2 / np.sum(rho ** np.abs(t[:, None] - t))
    assert effective_number(t, rho) == pytest.approx(expected, rel=1e-9)
    assert 1.0 - 1e-9 <= effective_number(t, rho) <= t.size + 1e-9


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.7, 0.9])
@pytest.mark.parametrize("n", [4, 24])
def test_correlation_is_found_in_short_windows(rho, n):
    x = ar1(np.random.default_rng(1), (3000, n), rho)
    found = autocorrelation(x.ravel(), np.repeat(np.arange(3000), n))
    # In windows of four values r itself is −0.25 for ρ = 0.
    assert found == pytest.approx(rho, abs=0.03)


def test_no_correlation_without_windows_of_three():
    with pytest.raises(TanhengError, match="cannot be estimated"):
        mean(series([1.0, 2.0, 3.0, 4.0], [0, 1, 24, 25]), coverage=0.0)


def test_windows_with_gaps_and_lone_values():
    with pytest.raises(TanhengError, match="cannot be estimated: A"):
        mean(series([1.0, 2.0, 4.0], [0, 1, 5]))
    flasks = mean(series([1.0, 2.0, 4.0], [0, 30, 60]))  # one a day: nothing to estimate, nothing to average
    assert flasks.values.tolist() == [1.0, 2.0, 4.0] and flasks.sigma.tolist() == [1.0] * 3
    assert np.isnan(flasks.extra["std_dev"]).all()


def test_a_day_by_hand():
    o = series([400.0, 402.0, 404.0, 406.0], [0, 1, 2, 3], sigma=np.full(4, 0.2)).with_components(
        Component.shared("calibration", [0.1, 0.1, 0.3, 0.3], ["a", "a", "b", "b"]),
        Component.shared("scale conversion", [0.05] * 4, "X → Y"),
    )
    day = mean(o, rho=0.0)
    assert len(day) == 1 and day.values[0] == 403.0
    assert str(day.start[0])[:13] == "2020-06-01T00" and str(day.end[0])[:13] == "2020-06-01T04"
    np.testing.assert_allclose(day.component("repeatability"), 0.1)  # 0.2/√4
    # (0.1 + 0.1)/4 = 0.05 of a and (0.3 + 0.3)/4 = 0.15 of b
    pairs = {str(c.groups[0]): float(c.sigma[0]) for c in day.components if c.cause == "calibration"}
    assert pairs == pytest.approx({"a": 0.05, "b": 0.15})
    np.testing.assert_allclose(day.component("scale conversion"), 0.05)  # does not average down
    # Σ (y − ȳ)² = 20; s² = 20/3, less 0.04 of repeatability, over 4
    np.testing.assert_allclose(day.component("representativeness"), np.sqrt((20 / 3 - 0.04) / 4))
    assert day.extra["count"][0] == 4 and day.extra["std_dev"][0] == pytest.approx(np.sqrt(20 / 3))
    assert day.steps[-1].before == 4 and day.steps[-1].kept == 1
    assert mean(o, rho=0.0, scatter=False).component("representativeness")[0] == 0.0


def test_own_errors_average_down_by_the_effective_number():
    o = series([400.0] * 4, [0, 1, 2, 3], sigma=np.full(4, 0.2))
    n_eff = 16 / (4 + 2 * (3 * 0.5 + 2 * 0.25 + 0.125))  # 16/8.25
    day = mean(o, rho=0.5)
    np.testing.assert_allclose(day.sigma, 0.2 / np.sqrt(n_eff))
    assert day.extra["effective_count"][0] == pytest.approx(n_eff)


@pytest.mark.parametrize(("rho", "n"), [(0.0, 24), (0.7, 24), (0.8, 4), (0.95, 24)])
@pytest.mark.parametrize("given_rho", [True, False])
def test_stated_errors_cover_under_correlated_noise(rho, n, given_rho):
    """Noise of 2 ppm with correlation ρ, stated as 2 ppm: |ȳ − truth| < u in 68 % of days."""
    days = 4000
    x = ar1(np.random.default_rng(2), (days, n), rho)
    hours = (np.arange(days)[:, None] * 24 + np.arange(n)).ravel()
    o = series(400 + 2.0 * x.ravel(), hours, sigma=np.full(x.size, 2.0))
    day = mean(o, rho=rho if given_rho else None, scatter=False)
    z = (day.values - 400) / day.sigma
    # 3 √(0.683 · 0.317/4000) = 0.022; ρ̂ is good to 0.02, which is 3 % of u at ρ = 0.7 and 10 % at 0.95
    assert np.mean(np.abs(z) < 1.0) == pytest.approx(0.683, abs=0.022 if given_rho else 0.03)
    assert np.mean(z**2) == pytest.approx(1.0, abs=3 * np.sqrt(2 / days) if given_rho else 0.12)
    if rho > 0.5:
        naive = 2.0 / np.sqrt(n)
        assert np.mean(np.abs(day.values - 400) < naive) < 0.55  # what leaving out ρ would give


@pytest.mark.parametrize(("rho", "n"), [(0.0, 4), (0.0, 24), (0.5, 24)])
def test_scatter_covers_where_windows_hold_many_independent_values(rho, n):
    days = 4000
    x = ar1(np.random.default_rng(3), (days, n), rho)
    hours = (np.arange(days)[:, None] * 24 + np.arange(n)).ravel()
    day = mean(series(400 + 2.0 * x.ravel(), hours, sigma=np.full(x.size, 0.01)), rho=rho)
    share = np.mean(np.abs(day.values - 400) < day.sigma)
    # s² is low by 1/n_eff of the variance: 9 % of s² for 11 effective values, 2 % of coverage
    assert share == pytest.approx(0.683, abs=0.022 + 0.02)


def test_the_course_of_the_day_is_not_taken_for_correlation():
    rng = np.random.default_rng(4)
    values = (-3.0 * np.arange(4) + rng.normal(size=(2000, 4))).ravel()
    hours = (np.arange(2000)[:, None] * 24 + 12 + np.arange(4)).ravel()
    day = mean(series(values, hours))
    n_eff = day.extra["effective_count"]
    assert n_eff.mean() == pytest.approx(4.0, abs=0.2)


def test_noise_of_the_instrument_is_not_counted_twice():
    rng = np.random.default_rng(3)
    o = series(400 + rng.normal(size=24 * 500), np.arange(24 * 500), sigma=np.ones(24 * 500))
    day = mean(o, rho=0.0)
    assert np.mean((day.values - 400) ** 2 / day.sigma**2) == pytest.approx(1.0, abs=0.2)
    # unknown σ stays unknown
    sigma = np.ones(24 * 500)
    sigma[5] = np.nan
    assert np.isnan(mean(series(o.values, np.arange(24 * 500), sigma=sigma), rho=0.0).sigma).tolist().count(True) == 1


def test_days_that_are_too_empty_are_left_out():
    o = series(np.arange(30.0), [*range(24), 24, 25, 26, 27, 28, 29])
    day = mean(o, rho=0.0, coverage=0.5)
    assert len(day) == 1 and dict(day.steps[-1].dropped) == {
        "windows with < 50% of the values of the fullest": 6,
        "united with others": 23,
    }
    assert len(mean(o, rho=0.0, coverage=0.2)) == 2


def test_days_are_local_and_hours_are_not():
    # Honolulu, 157.9° W: 12–16 h local is 22.5–26.5 UTC, across the end of the UTC day.
    o = selection.afternoon(series(np.arange(48.0), np.arange(48), lon=-157.9))
    day = mean(o, rho=0.0, coverage=1.0)
    assert day.extra["count"].tolist() == [4.0] * len(day)
    utc = mean(o, rho=0.0, coverage=0.0, utc_offset=0.0)
    assert len(utc) > len(day)
    minutes = series(np.arange(4.0), [0, 0.25, 0.5, 1.0], lon=116.4)
    hour = mean(minutes.replace(end=minutes.start), window="hour", rho=0.0, coverage=0.0)
    assert hour.extra["count"].tolist() == [3.0, 1.0]


def test_sites_inlets_and_scales_are_not_mixed():
    o = series([1.0, 3.0, 10.0, 30.0], [0, 1, 0, 1], height=[10.0, 10.0, 100.0, 100.0])
    assert mean(o, rho=0.0).values.tolist() == [2.0, 20.0]
    with pytest.raises(TanhengError, match="different scales"):
        mean(series([1.0, 3.0], [0, 1], scales=np.array(["a", "b"])), rho=0.0)
    for bad in ({"window": "month"}, {"window": -1.0}, {"rho": 1.0}, {"coverage": 2.0}, {"grids": "any"}):
        with pytest.raises(TanhengError, match="out of range"):
            mean(o, **bad)


def test_places_are_averaged_across_the_date_line():
    o = series([1.0, 3.0], [0, 1], lon=[179.5, -179.7])
    assert mean(o, rho=0.0, utc_offset=0.0).lon[0] == pytest.approx(179.9)


def columns_of(rng, n, pressure):
    m = pressure.shape[1] - 1
    h = rng.dirichlet(np.ones(m), n)
    prior = 1800 + rng.normal(size=(n, m)) * 50
    return Vertical(pressure, np.ones(n, bool), h, rng.uniform(0.3, 1.3, (n, m)), prior, (h * prior).sum(axis=1))


def operate(vertical, x):
    """y = y_a + Σ h a (x − x_a)"""
    return vertical.prior_value + np.sum(vertical.weights * vertical.kernel * (x - vertical.prior), axis=1)


def test_operator_of_a_mean_is_the_mean_of_operators():
    rng = np.random.default_rng(4)
    vertical = columns_of(rng, 6, np.tile([1e5, 7e4, 4e4, 0.0], (6, 1)))
    o = series(rng.normal(size=6), [0, 1, 2, 24, 25, 26], kinds=["column"] * 6).replace(vertical=vertical)
    day = mean(o, rho=0.0)
    for _ in range(5):
        x = 1900 + rng.normal(size=3) * 100
        np.testing.assert_allclose(
            operate(day.vertical, x), operate(vertical, x).reshape(2, 3).mean(axis=1), rtol=1e-12
        )
    np.testing.assert_allclose(day.vertical.weights.sum(axis=1), 1.0)


def test_grids_that_differ_are_refused_or_the_nearest_is_taken():
    rng = np.random.default_rng(5)
    pressure = np.stack([[1e5, 5e4, 0.0], [9e4, 4.5e4, 0.0], [1e5, 5e4, 0.0]])
    o = series([1.0, 2.0, 3.0], [0, 1, 2], kinds=["column"] * 3).replace(vertical=columns_of(rng, 3, pressure))
    with pytest.raises(TanhengError, match="different pressure grids"):
        mean(o, rho=0.0)
    nearest = mean(o, rho=0.0, grids="nearest")
    np.testing.assert_array_equal(nearest.vertical.kernel[0], o.vertical.kernel[1])
    assert nearest.vertical.prior_value[0] == o.vertical.prior_value[1]
    mean(o, rho=0.0, tolerance=2e4)


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(6)
    o = series(rng.normal(size=96), np.arange(96))
    mixed = o.take(rng.permutation(96))
    a, b = mean(o), mean(mixed)
    np.testing.assert_allclose(a.values, b.values, atol=1e-12)
    np.testing.assert_allclose(a.sigma, b.sigma, rtol=1e-9)


def test_daily_afternoons_of_cabauw(real):
    day = mean(selection.afternoon(cabauw(real)), rho=0.6)
    # (423.563 + 422.305 + 422.381 + 422.959)/4 and (423.291 + 423.390 + 422.998 + 420.062)/4
    np.testing.assert_allclose(day.values, [422.802, 422.43525], atol=6e-4)
    assert [str(t)[:16] for t in (day.start[0], day.end[0])] == ["2022-06-01T12:00", "2022-06-01T16:00"]
    # n_eff = 16/(4 + 2 (3·0.6 + 2·0.36 + 0.216)) = 16/9.472 = 1.689
    np.testing.assert_allclose(day.extra["effective_count"], 16 / 9.472)
    d1, d2 = 1.02802, 7.59286  # Σ (y − ȳ)²: 0.761² + 0.497² + 0.421² + 0.157², and so for the other day
    # s² of the day on 3 degrees of freedom, of both days together on 2
    v = (3 * np.array([d1, d2]) / 3 + 2 * (d1 + d2) / 6) / 5
    np.testing.assert_allclose(day.component("representativeness") ** 2 * 16 / 9.472, v, rtol=2e-3)
    assert np.isfinite(mismatch.require_sigma(day)).all()

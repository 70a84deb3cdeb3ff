"""Super-observations: the error model by hand and by simulation, and operators that agree with their pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inversion.observations import Component, Observations
from inversion.observations.super_observations import (
    TROPOMI_CORRELATION,
    TROPOMI_TRANSPORT_PPB,
    along_track,
    on_grid,
)
from tests.inversion.observations.test_averaging import columns_of, operate
from transport.errors import TanhengError


def pixels(values, lon, lat, sigma, seconds=None, **fields):
    n = len(values)
    start = np.datetime64("2020-06-01T04", "ns") + (np.zeros(n) if seconds is None else np.array(seconds)).astype(
        "timedelta64[s]"
    )
    more = fields.pop("components", ())
    return Observations(
        np.array(values, float), start, start, np.full(n, "orbit 7"), np.full(n, "column"), "ppb",
        (Component.independent("retrieval noise", np.broadcast_to(sigma, n)), *more), "CH4", lon=np.array(lon, float),
        lat=np.array(lat, float), **fields,
    )  # fmt: skip


def test_error_model_by_hand():
    # σ_r = 12 ppb, r = 0.55, σ_t = 4.5 ppb (formats.md §4.2)
    # P = 4: 144 (0.45/4 + 0.55) + 20.25 = 115.65; P = 1: 164.25
    o = pixels([1850, 1852, 1854, 1860, 1900], [0.1, 0.2, 0.3, 0.4, 1.1], [0.1] * 5, 12.0)
    s = on_grid(o, (0.5, 0.5), TROPOMI_CORRELATION, TROPOMI_TRANSPORT_PPB)
    np.testing.assert_allclose(s.values, [1854.0, 1900.0])
    np.testing.assert_allclose(s.sigma**2, [115.65, 164.25])
    assert s.extra["pixels"].tolist() == [4.0, 1.0] and s.extra["effective_pixels"].tolist() == [4.0, 1.0]
    np.testing.assert_allclose(s.lon, [0.25, 1.1])
    np.testing.assert_allclose(s.corners[0], [[0.0, 0.0], [0.5, 0.0], [0.5, 0.5], [0.0, 0.5]], atol=1e-9)
    assert dict(s.steps[-1].dropped) == {"united with others": 3} and s.steps[-1].before == 5


@pytest.mark.parametrize("weights", ["equal", "inverse variance"])
@pytest.mark.parametrize("correlation", [0.0, 0.55, 1.0])
def test_stated_error_is_the_simulated_one(weights, correlation):
    rng = np.random.default_rng(0)
    sigma = np.array([8.0, 10.0, 14.0, 20.0, 9.0])
    o = pixels(np.full(5, 1850.0), np.full(5, 0.1), np.full(5, 0.1), sigma)
    stated = on_grid(o, (1.0, 1.0), correlation, 4.5, weights).sigma[0]
    draws = 20000
    errors = sigma * (
        np.sqrt(correlation) * rng.normal(size=(draws, 1)) + np.sqrt(1 - correlation) * rng.normal(size=(draws, 5))
    )
    # The very weights that the code uses: the mean of unit vectors.
    w = np.array([on_grid(o.replace(values=row), (1.0, 1.0), correlation, 4.5, weights).values[0] for row in np.eye(5)])
    np.testing.assert_allclose(w, np.full(5, 0.2) if weights == "equal" else sigma**-2 / np.sum(sigma**-2.0))
    simulated = np.std(errors @ w + 4.5 * rng.normal(size=draws))
    assert stated == pytest.approx(simulated, rel=3 / np.sqrt(2 * draws))


def test_shared_errors_do_not_average_down():
    bias = Component.shared("retrieval bias", np.full(4, 3.0), "orbit 7")
    o = pixels([1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 1.1, 1.2], [0.1] * 4, 1.0, components=(bias,))
    s = on_grid(o, (0.5, 0.5), 0.0)
    found = next(c for c in s.components if c.cause == "retrieval bias")
    np.testing.assert_allclose(found.sigma, 3.0)
    assert found.groups.tolist() == ["orbit 7", "orbit 7"]
    assert not any(c.cause == "transport" for c in s.components)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["equal", "inverse variance"]))
def test_operator_is_the_mean_of_the_operators(seed, weights):
    rng = np.random.default_rng(seed)
    n = 12
    surface = 1e5 + rng.uniform(-1000, 1000, (n, 1))
    vertical = columns_of(rng, n, surface * np.array([[1.0, 0.8, 0.5, 0.2, 0.0]]))
    sigma = rng.uniform(5, 20, n)
    o = pixels(rng.normal(1850, 10, n), rng.uniform(0, 2, n), rng.uniform(0, 1, n), sigma, vertical=vertical)
    s = on_grid(o, (1.0, 1.0), 0.5, weights=weights)
    x = rng.normal(1900, 100, 4)
    each = operate(vertical, x)
    w = np.ones(n) if weights == "equal" else sigma**-2
    cell = np.floor(o.lon).astype(int)
    expected = [np.average(each[cell == c], weights=w[cell == c]) for c in np.unique(cell)]
    np.testing.assert_allclose(operate(s.vertical, x), expected, rtol=1e-12)
    np.testing.assert_allclose(s.vertical.weights.sum(axis=1), 1.0)


def test_a_kernel_that_vanishes_leaves_a_prior():
    vertical = columns_of(np.random.default_rng(0), 2, np.tile([1e5, 5e4, 0.0], (2, 1)))
    vertical.kernel[:, 1] = 0.0
    o = pixels([1.0, 2.0], [0.1, 0.2], [0.1, 0.1], 1.0, vertical=vertical)
    s = on_grid(o, (1.0, 1.0), 0.5)
    assert np.isfinite(s.vertical.prior).all() and s.vertical.kernel[0, 1] == 0.0


def test_mountains_and_plains_are_not_united():
    vertical = columns_of(np.random.default_rng(0), 2, np.array([[1e5, 5e4, 0.0], [8e4, 4e4, 0.0]]))
    o = pixels([1.0, 2.0], [0.1, 0.2], [0.1, 0.1], 1.0, vertical=vertical)
    with pytest.raises(TanhengError, match="different pressure grids"):
        on_grid(o, (1.0, 1.0), 0.5)


def square(lon, lat, half):
    return np.array(
        [[lon - half, lat - half], [lon + half, lat - half], [lon + half, lat + half], [lon - half, lat + half]]
    )


def test_weights_by_overlap():
    # The second pixel, 0.2° wide around 0.95°, lies to three quarters in the cell 0…1: 0.15 of 0.2.
    corners = np.stack([square(0.5, 0.5, 0.1), square(0.95, 0.5, 0.1)])
    o = pixels([1800.0, 1900.0], [0.5, 0.95], [0.5, 0.5], 10.0, corners=corners)
    s = on_grid(o, (1.0, 1.0), 0.0, weights="overlap")
    np.testing.assert_allclose(s.values, (1800 + 0.75 * 1900) / 1.75)
    np.testing.assert_allclose(s.sigma, 10 * np.sqrt(1 + 0.75**2) / 1.75)
    with pytest.raises(TanhengError, match="corners"):
        on_grid(o.replace(corners=None), (1.0, 1.0), 0.0, weights="overlap")
    with pytest.raises(TanhengError, match="elsewhere"):
        on_grid(o.replace(corners=corners[::-1] + 5.0), (1.0, 1.0), 0.0, weights="overlap")


def test_cells_at_the_date_line():
    o = pixels([1.0, 3.0, 5.0], [179.9, 179.8, -179.9], [0.1] * 3, 1.0,
               corners=np.stack([square(x, 0.1, 0.05) for x in (179.9, 179.8, -179.9)]))  # fmt: skip
    for weights in ("equal", "overlap"):
        s = on_grid(o, (1.0, 1.0), 0.0, weights=weights)
        assert sorted(s.values.tolist()) == pytest.approx([2.0, 5.0])
    wide = on_grid(o, (1.0, 1.0), 0.0, origin=(-180.5, -90.0))
    assert wide.values.tolist() == [3.0] and abs(wide.lon[0]) == pytest.approx(179.933, abs=1e-3)


def test_along_the_track():
    o = pixels([1.0, 2.0, 3.0, 10.0], [0, 0, 0, 0], [0.0, 0.02, 0.04, 0.4], 1.0, seconds=[0, 1, 2, 6])
    s = along_track(o, 3.0, 0.0)
    assert s.values.tolist() == pytest.approx([2.0, 10.0]) and s.extra["pixels"].tolist() == [3.0, 1.0]
    assert s.end[0] - s.start[0] == np.timedelta64(2, "s")
    assert along_track(o, 3.0, 0.0, least=2).values.tolist() == pytest.approx([2.0])


@pytest.mark.parametrize(
    ("options", "what"),
    [({"correlation": 1.5}, "out of range"), ({"correlation": 0.5, "transport": -1.0}, "out of range"),
     ({"correlation": 0.5, "weights": "best"}, "out of range"), ({"correlation": 0.5, "size": (0.0, 1.0)}, "grid")],
)  # fmt: skip
def test_options_are_checked(options, what):
    o = pixels([1.0], [0.0], [0.0], 1.0)
    with pytest.raises(TanhengError, match=what):
        on_grid(o, options.pop("size", (1.0, 1.0)), **options)
    with pytest.raises(TanhengError, match="retrieval noise"):
        on_grid(o.replace(components=()), (1.0, 1.0), 0.5)
    with pytest.raises(TanhengError, match="no observation is left"):
        on_grid(o, (1.0, 1.0), 0.5, least=2)

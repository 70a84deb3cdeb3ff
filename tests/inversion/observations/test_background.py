"""Backgrounds and differential columns: by hand, and the errors of differences by simulation."""

import jax.numpy as jnp
import numpy as np
import pytest

from inversion.observations import Component, Observations, mismatch, scales
from inversion.observations.background import curtain, differential, percentile, subtract, upwind
from tests.inversion.observations.test_averaging import columns_of, operate
from transport.errors import TanhengError


def towers(values, groups, minutes, sigma=1.0, kinds="tower", **fields):
    n = len(values)
    start = np.datetime64("2020-06-01T12", "ns") + np.array(minutes).astype("timedelta64[m]")
    return Observations(
        np.array(values, float), start, start, np.array(groups), np.full(n, kinds), "ppm",
        (Component.independent("repeatability", np.broadcast_to(np.asarray(sigma, float), n)),
         *fields.pop("components", ())), "CO2",
        scales=fields.pop("scales", np.full(n, "WMO CO2 X2019")), lon=np.zeros(n), lat=np.zeros(n), **fields,
    )  # fmt: skip


def test_the_upwind_site_by_sector():
    o = towers([430, 431, 440, 410, 412, 405], ["city"] * 3 + ["west", "west", "east"], [0, 60, 120, 5, 70, 10], 0.3)
    wind = np.array([270.0, 350.0, np.nan, 0.0, 0.0, 0.0])
    b, c = upwind(o, wind, {"west": (225.0, 45.0), "east": (45.0, 225.0)}, sigma=0.4)
    np.testing.assert_array_equal(b, [410.0, 412.0, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(c.sigma[:2], 0.5)  # √(0.3² + 0.4²)
    assert c.cause == "background" and c.groups[0] == "west 2020-06-01T12:05:00" and c.groups[2] == ""
    left = subtract(o, (b, c))
    assert left.values.tolist() == [20.0, 19.0] and dict(left.steps[-1].dropped) == {"no background": 4}
    np.testing.assert_allclose(left.sigma, np.sqrt(0.09 + 0.25))
    b, _ = upwind(o, np.full(6, 90.0), {"east": (45.0, 225.0)}, 0.4, minutes=20.0)
    assert b[0] == 405.0 and np.isnan(b[1])  # 50 minutes away


def test_rows_with_one_background_share_its_error():
    o = towers([430, 431, 410], ["A", "B", "west"], [0, 0, 0], 0.0)
    left = subtract(o, upwind(o, np.full(3, 270.0), {"west": (180.0, 360.0)}, 0.4))
    with_own = left.with_components(Component.independent("representativeness", np.ones(2)))
    np.testing.assert_allclose(mismatch.covariance(with_own).mv(jnp.eye(2)), [[1.16, 0.16], [0.16, 1.16]])


def test_upwind_is_refused_without_site_scale_or_direction():
    o = towers([430, 410], ["A", "west"], [0, 0], scales=np.array(["WMO CO2 X2019", "WMO CO2 X2007"]))
    with pytest.raises(TanhengError, match="different scales"):
        upwind(o, [270.0, 270.0], {"west": (180.0, 360.0)}, 0.4)
    with pytest.raises(TanhengError, match="has no observations"):
        upwind(o, [270.0, 270.0], {"wst": (180.0, 360.0)}, 0.4)
    with pytest.raises(TanhengError, match="wind directions"):
        upwind(o, [470.0, 270.0], {"west": (180.0, 360.0)}, 0.4)


def test_percentile_of_a_window():
    n = 101
    o = towers(np.arange(400.0, 501.0), ["A"] * n, np.arange(n) * 10)
    b, c = percentile(o, 0.1, days=10.0)
    np.testing.assert_allclose(b, 410.0)
    # √(0.1 · 0.9/101) = 0.02985: quantiles at 0.12985 and 0.07015 are 412.985 and 407.015
    np.testing.assert_allclose(c.sigma, 2.985, atol=1e-3)
    assert set(c.groups) == {"A block 0"}
    assert np.isnan(percentile(o, 0.1, days=0.05)[0]).all()  # 7 values of the 20 needed
    assert percentile(o, 0.1, 10.0, sigma=0.7)[1].sigma[0] == 0.7
    with pytest.raises(TanhengError, match="percentile"):
        percentile(o, 1.5, 10.0)


def test_uncertainty_of_a_percentile_is_the_simulated_one():
    rng = np.random.default_rng(0)
    found = [
        percentile(towers(rng.normal(size=200), ["A"] * 200, np.arange(200)), 0.2, 1.0) for _ in range(200)
    ]  # fmt: skip
    sd = np.std([b[100] for b, _ in found])
    assert np.mean([c.sigma[100] for _, c in found]) == pytest.approx(sd, rel=0.15)


def test_a_curtain_is_shared_by_day():
    o = towers([430, 431, 432], ["A"] * 3, [0, 60, 24 * 60])
    left = subtract(o, curtain(o, [410.0, np.nan, 412.0], 0.8))
    assert left.values.tolist() == [20.0, 20.0] and left.components[-1].groups.tolist() == ["2020-06-01", "2020-06-02"]
    with pytest.raises(TanhengError, match="does not fit"):
        curtain(o, [1.0], 0.1)


def pair(values, components=(), **fields):
    return towers(values, ["mb", "ma"] * (len(values) // 2), np.repeat(np.arange(len(values) // 2) * 10, 2),
                  kinds="column", components=components, **fields)  # fmt: skip


def test_difference_of_columns_by_hand():
    shared = Component.shared("retrieval bias", [0.30, 0.25], "GGG2020")
    own_bias = Component.shared("calibration", [0.1, 0.2], ["SN86", "SN61"])
    d = differential(pair([412.0, 410.5], (shared, own_bias), sigma=0.3), {"mb": "ma"})
    assert d.values.tolist() == [1.5] and d.groups.tolist() == ["mb − ma"]
    np.testing.assert_allclose(d.component("repeatability"), 0.3 * np.sqrt(2))
    np.testing.assert_allclose(d.component("retrieval bias"), 0.05)
    np.testing.assert_allclose(d.component("calibration"), np.sqrt(0.01 + 0.04))
    assert {g for c in d.components for g in c.groups} == {"", "GGG2020", "SN86", "−SN61"}
    assert dict(d.steps[-1].dropped) == {"other sites": 1}


def test_the_offset_of_a_scale_cancels_and_its_slope_does_not():
    o = pair([412.0, 402.0], sigma=0.3, scales=np.array(["WMO CO2 X2007"] * 2))
    own = scales.Conversion("X2007", "X2019", "CO2", 1.00079, -0.142, 1e-4, 0.03, "ppm", "test")
    d = differential(scales.convert(o, "X2019", [own]), {"mb": "ma"})
    assert d.values[0] == pytest.approx(10 * 1.00079)
    np.testing.assert_allclose(d.component("scale conversion"), 10.0 * 1e-4, rtol=1e-9)
    with pytest.raises(TanhengError, match="different scales"):
        differential(pair([412.0, 402.0], scales=np.array(["a", "b"])), {"mb": "ma"})


def test_stated_error_of_differences_is_the_simulated_one():
    rng = np.random.default_rng(1)
    n, draws = 8, 4000
    orbit = Component.shared("retrieval bias", np.tile([0.4, 0.3], n), "GGG2020")
    instrument = Component.shared("calibration", np.tile([0.2, 0.5], n), np.tile(["SN86", "SN61"], n))
    o = pair(np.full(2 * n, 410.0), (orbit, instrument), sigma=0.3)
    stated = np.asarray(mismatch.covariance(differential(o, {"mb": "ma"})).mv(jnp.eye(n)))
    own = 0.3 * rng.normal(size=(draws, 2 * n))
    common, each = rng.normal(size=(draws, 1)), rng.normal(size=(draws, 2))
    errors = own + orbit.sigma * common + instrument.sigma * np.tile(each, n)
    simulated = np.cov((errors[:, ::2] - errors[:, 1::2]).T)
    np.testing.assert_allclose(np.diag(stated), 2 * 0.09 + 0.01 + 0.04 + 0.25)
    np.testing.assert_allclose(stated[0, 1], 0.01 + 0.04 + 0.25)
    np.testing.assert_allclose(simulated, stated, atol=5 * 0.48 * np.sqrt(2 / draws))


def test_an_instrument_on_both_sides_is_not_made_positive():
    # a − b and b − a have calibration errors of opposite sign; R must not hold them as one error of equal sign.
    o = pair([412.0, 410.0], (Component.shared("calibration", [0.2, 0.2], ["SNb", "SNa"]),))
    d = differential(o, {"mb": "ma", "ma": "mb"})
    assert d.values.tolist() == [2.0, -2.0]
    R = np.asarray(mismatch.covariance(d).mv(jnp.eye(2)))
    assert R[0, 1] <= 0.0 + 1e-12


def test_an_upwind_value_used_twice_is_one_error():
    o = towers([412.0, 413.0, 410.0], ["mb", "mb", "ma"], [0, 2, 1], [0.3, 0.3, 0.4], kinds="column")
    R = np.asarray(mismatch.covariance(differential(o, {"mb": "ma"})).mv(jnp.eye(2)))
    np.testing.assert_allclose(R, [[0.25, 0.16], [0.16, 0.25]])


def test_pairs_are_near_in_time():
    o = towers([412.0, 410.0, 411.0, 300.0], ["mb", "ma", "ma", "mc"], [0, 4, 20, 0], kinds="column")
    d = differential(o, {"mb": "ma"})
    assert d.values.tolist() == [2.0]
    with pytest.raises(TanhengError, match="no partner within 2 min': 1"):
        differential(o, {"mb": "ma"}, minutes=2.0)
    with pytest.raises(TanhengError, match="has no observations"):
        differential(o, {"mb": "mx"})


def test_operator_of_a_difference():
    vertical = columns_of(np.random.default_rng(0), 2, np.tile([1e5, 5e4, 0.0], (2, 1)))
    vertical.kernel[1], vertical.weights[1], vertical.prior[1] = (
        vertical.kernel[0],
        vertical.weights[0],
        vertical.prior[0],
    )
    vertical.prior_value[1] = vertical.prior_value[0]
    x1, x2 = np.array([1900.0, 1850.0]), np.array([1890.0, 1845.0])
    y = np.array([operate(vertical, x1)[0], operate(vertical, x2)[1]])
    d = differential(pair(y, vertical=vertical), {"mb": "ma"})
    assert operate(d.vertical, x1 - x2)[0] == pytest.approx(d.values[0])
    far = columns_of(np.random.default_rng(0), 2, np.tile([1e5, 5e4, 0.0], (2, 1)))
    far.kernel[:] = [[1.0, 1.0], [0.5, 1.0]]
    with pytest.raises(TanhengError, match="see the air differently"):
        differential(pair(y, vertical=far), {"mb": "ma"})

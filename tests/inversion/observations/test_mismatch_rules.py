"""Rules of the mismatch by hand, from YAML, damaged; the error of transport from residuals that have a known one."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from inversion.observations import Component
from inversion.observations.mismatch import Rule, apply, covariance, residual_based, rules_from
from tests.inversion.observations.test_scales import mutated
from tests.inversion.observations.test_selection import series
from transport.errors import TanhengError

NIGHT = Rule("add", "transport", 3.0, "ppm", kinds=("tower",), hours=(18.0, 9.0))
DAY = Rule("add", "transport", 1.5, "ppm", kinds=("tower",), hours=(9.0, 18.0))


def mixed():
    return series([1.0, 2.0, 3.0, 4.0], [2, 14, 14, 14], groups=["CBW", "CBW", "LUT", "orbit 7"],
                  kinds=["tower", "tower", "tower", "column"], sigma=np.array([0.1, 0.1, 0.1, 0.8])).replace(
        components=(Component.independent("repeatability", [0.1, 0.1, 0.1, 0.0]),
                    Component.independent("retrieval noise", [0.0, 0.0, 0.0, 0.8]))
    )  # fmt: skip


def test_night_and_day():
    o = apply(mixed(), [NIGHT, DAY])
    assert o.component("transport").tolist() == [3.0, 1.5, 1.5, 0.0]
    assert [s.what for s in o.steps[-2:]] == [
        "mismatch: add transport 3 ppm; hours 18–9; tower (1 values)",
        "mismatch: add transport 1.5 ppm; hours 9–18; tower (2 values)",
    ]
    np.testing.assert_allclose(o.sigma, np.sqrt([9.01, 2.26, 2.26, 0.64]))


def test_hours_are_local():
    # 116.4° E is 7.76 h ahead: 02:30 UTC is 10:15 there, 14:30 is 22:15.
    o = mixed().replace(lon=np.full(4, 116.4))
    assert apply(o, [NIGHT, DAY]).component("transport").tolist() == [1.5, 3.0, 3.0, 0.0]
    fixed = [dataclasses.replace(r, utc_offset=0.0) for r in (NIGHT, DAY)]
    assert apply(o, fixed).component("transport").tolist() == [3.0, 1.5, 1.5, 0.0]


def test_noise_of_satellites_is_inflated_and_its_bias_shared():
    o = series([1.0, 2.0, 3.0], [0, 0, 0], groups=["orbit 1", "orbit 1", "orbit 2"], kinds=["column"] * 3).replace(
        components=(Component.independent("retrieval noise", [0.4, 0.5, 0.5]),)
    )
    o = apply(o, [Rule("inflate", "retrieval noise", 2.0), Rule("add", "retrieval bias", 0.5, "ppm", shared="group")])
    R = np.diag([0.64, 1.0, 1.0]) + 0.25 * np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(covariance(o).mv(jnp.eye(3)), R, rtol=1e-12)


@pytest.mark.parametrize(
    ("shared", "pairs"),
    [("row", set()), ("group", {(0, 1), (0, 2), (1, 2)}), ("day", {(0, 1), (0, 3), (1, 3)}),
     ("group and day", {(0, 1)}), ("set", {(i, j) for i in range(4) for j in range(i + 1, 4)})],
)  # fmt: skip
def test_who_shares_an_error(shared, pairs):
    o = series([1.0] * 4, [1, 2, 25, 1], groups=["A", "A", "A", "B"])
    R = np.asarray(covariance(apply(o, [Rule("add", "transport", 2.0, "ppm", shared=shared)])).mv(jnp.eye(4)))
    np.testing.assert_allclose(np.diag(R), 5.0)
    assert {(i, j) for i in range(4) for j in range(i + 1, 4) if R[i, j]} == pairs
    assert all(R[i, j] == pytest.approx(4.0) for i, j in pairs)


def test_replace_and_floor():
    o = mixed().replace(components=(Component.shared("calibration", [0.1, np.nan, 0.3, 0.6], ["a", "a", "a", "a"]),))
    new = apply(o, [Rule("replace", "calibration", 500.0, "ppb", sites=("LUT",))])
    np.testing.assert_allclose(new.component("calibration"), [0.1, np.nan, 0.5, 0.6])
    floor = apply(o, [Rule("floor", "calibration", 0.5, "ppm")])
    np.testing.assert_allclose(floor.component("calibration"), [0.5, 0.5, 0.5, 0.6])
    assert apply(floor, [Rule("replace", "calibration", 0.0, "ppm")]).component("calibration").tolist() == [0.0] * 4


def test_units_and_patterns():
    o = series([1900.0, 1901.0], [0, 0], groups=["MHD", "MAC"]).replace(unit="ppb", species="CH4")
    assert apply(o, [Rule("add", "transport", 0.01, "ppm", sites=("M*",))]).component("transport") == pytest.approx(
        10.0
    )
    with pytest.raises(TanhengError, match="not there") as error:
        apply(o, [Rule("add", "transport", 1.0, "ppb", sites=("MHDD",))])
    assert "MAC, MHD" in error.value.expected
    with pytest.raises(TanhengError, match="no retrieval noise"):
        apply(o, [Rule("inflate", "retrieval noise", 2.0)])


RULES = [
    {"action": "add", "cause": "transport", "value": 3, "unit": "ppm", "hours": [18, 9], "kinds": ["tower"],
     "shared": "group and day", "utc_offset": 1.0},
    {"action": "inflate", "cause": "retrieval noise", "value": 2.0, "sites": ["orbit*"]},
]  # fmt: skip


def test_from_yaml(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(RULES))
    found = rules_from(file)
    assert found == rules_from(RULES)
    assert found[0] == Rule("add", "transport", 3.0, "ppm", (), ("tower",), (18.0, 9.0), 1.0, "group and day")
    assert len(apply(mixed(), found).components) == 3


@pytest.mark.parametrize(
    ("change", "what", "expected"),
    [
        ({"caus": "transport"}, "no field 'caus'", "cause"), ({"cause": "transprt"}, "word for cause", "transport"),
        ({"shared": "orbit"}, "word for shared", "group"), ({"kinds": ["towers"]}, "word for kinds", "tower"),
        ({"action": "ad"}, "word for action", "add"), ({"value": "3"}, "wrong type", "number"),
        ({"value": -1.0}, "impossible value", "≥ 0"), ({"unit": "ppx"}, "unit that is not known", "ppm"),
        ({"unit": ""}, "unit that is not known", "ppm"), ({"hours": [18]}, "wrong type", "two numbers"),
        ({"hours": [18, 30]}, "out of range", "24"), ({"sites": "CBW"}, "wrong type", "list"),
    ],
)  # fmt: skip
def test_typos_are_answered_with_what_is_allowed(change, what, expected):
    with pytest.raises(TanhengError, match=what) as error:
        rules_from([{**RULES[0], **change}])
    assert expected in str(error.value.expected) and error.value.remedy


def test_fuzz_rules():
    tally = {"refused": 0, "read": 0, "without remedy": 0}
    o = mixed()
    for i in range(200):
        bad = mutated(RULES, np.random.default_rng(i))
        try:
            rules = rules_from(bad)
            new = apply(o, rules)
            assert np.isfinite(new.sigma).all() and len(new.steps) == len(rules)
            tally["read"] += 1
        except TanhengError as error:
            tally["refused" if error.remedy else "without remedy"] += 1
    print(tally)
    assert tally["without remedy"] == 0 and tally["refused"] > 100


# --- from residuals ---------------------------------------------------------------------------------------------------
def test_one_stratum_by_hand():
    o = series([400.0] * 4, np.arange(4), sigma=np.full(4, 0.5))
    d = np.array([1.0, -1.0, 3.0, 1.0])  # mean 1, s² = 8/3
    new, (e,) = residual_based(o, d, np.full(4, 0.4), by="all", least=3)
    assert (e.n, e.bias, e.taken) == (4, 1.0, "estimate")
    assert e.spread**2 == pytest.approx(8 / 3) and e.stated**2 == pytest.approx(0.65)
    assert e.sigma**2 == pytest.approx(8 / 3 - 0.65)
    np.testing.assert_allclose(new.sigma**2, 8 / 3 - 0.4)
    assert "transport from residuals" in new.steps[-1].what


def test_a_shared_error_is_no_spread():
    o = series([400.0] * 4, np.arange(4), sigma=np.zeros(4)).with_components(
        Component.shared("calibration", np.full(4, 5.0), "cylinder")
    )
    _, (e,) = residual_based(o, np.array([1.0, -1.0, 3.0, 1.0]), np.zeros((4, 4)), by="all", least=3)
    assert e.stated == pytest.approx(0.0, abs=1e-7)
    whole = np.full((4, 4), 2.0) + np.eye(4)
    _, (e,) = residual_based(o, np.array([1.0, -1.0, 3.0, 1.0]), whole, by="all", least=3)
    assert e.stated**2 == pytest.approx(1.0)


def simulated(seed, n=600, rho=0.0):
    """Hourly residuals of two sites: σ_t of 3 ppm at night and 1.5 ppm by day, H B Hᵀ of 1, noise of 0.5."""
    rng = np.random.default_rng(seed)
    o = series(np.zeros(2 * n), np.tile(np.arange(n), 2), groups=np.repeat(["A", "B"], n), sigma=np.full(2 * n, 0.5))
    hour = np.tile(np.arange(n) % 24, 2)
    truth = np.where((hour >= 9) & (hour < 18), 1.5, 3.0)
    return o, truth, truth * rng.normal(size=2 * n) + rng.normal(size=2 * n) + 0.5 * rng.normal(size=2 * n) + 0.7


def test_the_true_error_is_found_within_its_uncertainty():
    z = []
    for seed in range(12):
        o, truth, d = simulated(seed)
        new, found = residual_based(o, d, np.ones(len(o)), by="hour", least=20)
        true = {f"{h} h": (1.5 if 9 <= h < 18 else 3.0) for h in range(24)}
        z += [(e.sigma - true[e.name]) / e.u_sigma for e in found if e.taken == "estimate"]
        assert np.corrcoef(new.component("transport"), truth)[0, 1] > 0.85
    z = np.array(z)
    print(f"{np.mean(np.abs(z) < 1):.3f} within 1 u, mean {z.mean():.2f}, of {z.size}")
    assert z.size > 250 and np.mean(np.abs(z) < 1) == pytest.approx(0.683, abs=0.1) and abs(z.mean()) < 0.35


def test_residuals_in_a_row_say_less():
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    for t in range(1, x.size):
        x[t] = 0.8 * x[t - 1] + 0.6 * x[t]
    o = series(np.zeros(3000), np.arange(3000), sigma=np.zeros(3000))
    _, (slow,) = residual_based(o, x, np.zeros(3000), by="all")
    _, (white,) = residual_based(o, rng.permutation(x), np.zeros(3000), by="all")
    # n (1 − ρ²)/(1 + ρ²) = n 0.36/1.64
    assert slow.u_sigma / white.u_sigma == pytest.approx(np.sqrt(1.64 / 0.36), rel=0.1)


def test_floor_and_too_few():
    o, _, d = simulated(0, 60)
    few = o.replace(groups=np.array(["A"] * 115 + ["C"] * 5))
    _, found = residual_based(few, d, np.ones(120), by="group", least=30)
    assert [e.taken for e in found] == ["estimate", "pooled"] and np.isnan(found[1].u_sigma) and found[1].n == 5
    _, (e,) = residual_based(o, d, np.full(120, 100.0), by="all", floor=0.3)
    assert e.taken == "floor" and e.sigma == 0.3


def test_unknown_terms_are_refused():
    o, _, d = simulated(0, 60)
    nan = o.with_components(Component.independent("calibration", np.full(120, np.nan)))
    with pytest.raises(TanhengError, match="calibration is not known"):
        residual_based(nan, d, np.ones(120))
    for bad in ((d[:5], np.ones(120)), (d, np.ones(5)), (np.full(120, np.nan), np.ones(120))):
        with pytest.raises(TanhengError, match="cannot be estimated"):
            residual_based(o, *bad)
    with pytest.raises(TanhengError, match="cannot be estimated"):
        residual_based(o, d, np.ones(120), by="site")

"""Calibration scales: names, factors, chains both ways, their errors and what is refused."""

import copy

import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from inversion.observations import Component, Observations, Vertical, mismatch
from inversion.observations.scales import (
    ALTERNATIVES,
    KNOWN,
    Conversion,
    canonical,
    chain,
    conversions_from,
    convert,
)
from transport.errors import TanhengError


def made(values, scales, species="CO2", unit="ppm", sigma=0.1, **fields):
    n = len(values)
    start = np.datetime64("2020-01-01") + np.arange(n).astype("timedelta64[h]")
    return Observations(
        np.array(values, float), start, start, np.full(n, "A"), fields.pop("kinds", np.full(n, "tower")), unit,
        (Component.independent("repeatability", np.full(n, sigma)),), species, scales=np.array(scales), **fields,
    )  # fmt: skip


NATIONAL = Conversion("NIM primary 2022", "WMO CO2 X2019", "CO2", 1.0002, -0.05, 0.0001, 0.02, "ppm", "certificate 17")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NOAA 2004A CH4", "WMO CH4 X2004A"), ("WMO CH4 X2004A", "WMO CH4 X2004A"),
        ("WMO-CH4-X2004A", "WMO CH4 X2004A"),
        ("WMO_X2007", "WMO CO2 X2007"), ("CO2_X2019", "WMO CO2 X2019"), ("WMO CO2 X2019", "WMO CO2 X2019"),
        ("NOAA04", "WMO CH4 X2004"), ("WMO CH4 X2004", "WMO CH4 X2004"), ("TU1987", "TU-87"), ("Tohoku", "TU-87"),
        ("csiro-1994", "CSIRO-94"), ("CMDL83", "CMDL83"), ("  NIM  primary 2022", "NIM primary 2022"), ("", ""),
    ],
)  # fmt: skip
def test_names(name, expected):
    assert canonical(name) == expected
    assert canonical(canonical(name)) == expected


def test_co2_x2007_to_x2019_by_hand():
    o = convert(made([300.0, 400.0, 500.0], ["WMO CO2 X2007"] * 3), "X2019")
    # 1.00079 · 300 − 0.142 = 300.095 and so on (formats.md §3)
    np.testing.assert_allclose(o.values, [300.095, 400.174, 500.253], rtol=0, atol=1e-9)
    assert o.scale == "WMO CO2 X2019"
    np.testing.assert_allclose(o.component("scale conversion"), 0.03)
    np.testing.assert_allclose(o.component("repeatability"), 0.100079)
    assert "linear approximation" in o.steps[-1].what and "3 values" in o.steps[-1].what and o.steps[-1].kept == 3
    # Within what Hall et al. state for 400 ppm: +0.18 ppm.
    assert abs(o.values[1] - 400.18) < 0.03


def test_the_error_of_a_factor_is_one_error_of_all_rows():
    o = convert(made([1900.0, 2000.0], ["TU-87"] * 2, "CH4", "ppb", 1.0), "WMO CH4 X2004A")
    np.testing.assert_allclose(o.values, [1903.8, 2004.0])
    R = np.asarray(mismatch.covariance(o).mv(jnp.eye(2)))
    u = 0.00098 * np.array([1900.0, 2000.0])  # 1.862, 1.96 ppb
    np.testing.assert_allclose(R, np.outer(u, u) + 1.002**2 * np.eye(2), rtol=1e-12)
    # The two sources disagree by no more than the rectangular width behind u: 0.0017 = √3 · 0.00098.
    assert abs(1.002 - ALTERNATIVES[0].slope) == pytest.approx(np.sqrt(3) * 0.00098, rel=2e-3)


def test_slope_and_offset_are_two_errors():
    o = convert(made([400.0, 500.0], ["NIM primary 2022"] * 2, sigma=0.0), "WMO CO2 X2019", [NATIONAL])
    slope, offset = o.components[-2:]
    np.testing.assert_allclose(slope.sigma, [0.04, 0.05])
    np.testing.assert_allclose(offset.sigma, [0.02, 0.02])
    assert slope.groups[0] == "NIM primary 2022 → WMO CO2 X2019, slope" and offset.groups[0].endswith(", offset")
    assert len(set(slope.groups)) == len(set(offset.groups)) == 1


def test_chains_multiply_and_share_the_common_factor():
    o = convert(made([1800.0, 1800.0], ["CSIRO-94", "TU-87"], "CH4", "ppb"), "WMO CH4 X2004A")
    np.testing.assert_allclose(o.values, [1800 * 1.0119 * 1.002, 1800 * 1.002])
    parts = {c.groups[c.groups != ""][0]: c.sigma for c in o.components if c.cause == "scale conversion"}
    np.testing.assert_allclose(parts["CSIRO-94 → TU-87, slope"], [1800 * 0.00012 * 1.002, 0.0])
    np.testing.assert_allclose(parts["TU-87 → WMO CH4 X2004A, slope"], [1800 * 1.0119 * 0.00098, 1800 * 0.00098])
    assert len(chain("CMDL83", "X2004A", "CH4")) == 2


def test_backwards_by_hand_and_by_finite_differences():
    back = convert(made([400.174], ["WMO CO2 X2019"]), "WMO CO2 X2007")
    assert back.values[0] == pytest.approx(400.0, abs=1e-9)
    assert back.component("scale conversion")[0] == pytest.approx(0.03 / 1.00079)
    o = convert(made([400.0], ["WMO CO2 X2019"], sigma=0.0), "NIM primary 2022", [NATIONAL])
    x = lambda s, b: (400.0 - b) / s  # noqa: E731
    by_slope = (x(1.0002 + 1e-6, -0.05) - x(1.0002 - 1e-6, -0.05)) / 2e-6
    assert o.components[-2].sigma[0] == pytest.approx(abs(by_slope) * 0.0001, rel=1e-6)
    assert o.components[-1].sigma[0] == pytest.approx(0.02 / 1.0002)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KNOWN), st.floats(200.0, 3000.0))
def test_there_and_back_is_where_it_was(c, value):
    o = made([value], [c.source], c.species, c.unit)
    there = convert(o, c.target)
    assert convert(there, c.source).values[0] == pytest.approx(value, rel=1e-12)
    assert there.values[0] == pytest.approx(c.slope * value + c.offset, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.floats(1700.0, 2200.0))
def test_the_unit_of_the_set_does_not_matter(value):
    a = convert(made([value], ["CMDL83"], "CH4", "ppb", 1.0), "X2004A")
    b = convert(made([value / 1000], ["CMDL83"], "CH4", "ppm", 0.001), "X2004A")
    assert b.values[0] * 1000 == pytest.approx(a.values[0], rel=1e-12)
    assert b.sigma[0] * 1000 == pytest.approx(a.sigma[0], rel=1e-9)


def test_columns_keep_their_operator():
    h, a = np.array([[0.6, 0.4]]), np.array([[1.1, 0.7]])
    prior = np.array([[410.0, 400.0]])
    vertical = Vertical(np.array([[1e5, 4e4, 0.0]]), np.array([True]), h, a, prior, np.array([(h * prior).sum()]))
    o = made([408.0], ["X2007"], kinds=np.array(["column"]), vertical=vertical)
    new = convert(o, "X2019").vertical
    x = np.array([[420.0, 405.0]])
    old_y = vertical.prior_value + (h * a * (x - prior)).sum()
    new_y = new.prior_value + (h * a * (1.00079 * x - 0.142 - new.prior)).sum()
    assert new_y[0] == pytest.approx(1.00079 * old_y[0] - 0.142, abs=1e-9)
    np.testing.assert_allclose(new.prior, 1.00079 * prior - 0.142)


def test_constraints_are_left_alone():
    o = convert(made([400.0, 0.0], ["X2007", ""], kinds=np.array(["tower", "constraint"])), "X2019")
    assert o.values[1] == 0.0 and o.scales[1] == "" and o.component("scale conversion")[1] == 0.0


@pytest.mark.parametrize(
    ("scales", "species", "what"),
    [
        (["", "X2007"], "CO2", "unknown"),
        (["Scripps X12", "X2007"], "CO2", "Scripps X12"),
        (["X2007"] * 2, "CH4", "X2007"),
    ],
)
def test_unknown_scales_are_refused(scales, species, what):
    with pytest.raises(TanhengError, match=what) as error:
        convert(made([400.0, 401.0], scales, species), "X2019")
    assert error.value.remedy


def test_what_is_there_already_is_said_so():
    o = convert(made([400.0], ["CO2_X2019"]), "X2019")
    assert o.values[0] == 400.0 and o.scale == "WMO CO2 X2019" and "already" in o.steps[-1].what


def test_a_conversion_of_ones_own_replaces_a_known_one(tmp_path):
    own = {"source": "TU-87", "target": "NOAA 2004A CH4", "species": "CH4", "slope": 1.0003, "offset": 0,
           "u_slope": 1e-4, "u_offset": 0.0, "unit": "ppb", "reference": "our comparison"}  # fmt: skip
    file = tmp_path / "scales.yaml"
    file.write_text(yaml.safe_dump([own]))
    o = made([2000.0], ["TU-87"], "CH4", "ppb")
    assert convert(o, "X2004A", file).values[0] == pytest.approx(2000.6)
    assert convert(o, "X2004A", conversions_from([own])).values[0] == pytest.approx(2000.6)
    assert convert(o, "X2004A", ALTERNATIVES).values[0] == pytest.approx(2000.6)


def test_a_typo_is_answered_with_the_names():
    with pytest.raises(TanhengError, match="u_slop") as error:
        conversions_from([{"source": "a", "u_slop": 1.0}])
    assert "u_offset" in error.value.expected and "u_slope" in error.value.remedy


GOOD = [
    {"source": "NIM 1", "target": "WMO CO2 X2019", "species": "CO2", "slope": 1.0, "offset": 0.1, "u_slope": 1e-5,
     "u_offset": 0.02, "unit": "ppm", "reference": "certificate"},
]  # fmt: skip
WRONG = [None, "abc", "", [], {}, -1.0, float("nan"), float("inf"), True, 10**400, "1.0", [1.0], {"a": 1}, "ppq", 0]


def mutated(good, rng):
    """A list of mappings with one thing wrong, or only other."""
    bad = copy.deepcopy(good)
    entry = bad[rng.integers(len(bad))]
    key = list(entry)[rng.integers(len(entry))]
    kind = rng.integers(5)
    if kind == 0:
        del entry[key]
    elif kind == 1:
        entry[key] = WRONG[rng.integers(len(WRONG))]
    elif kind == 2:
        entry[key + "x"] = entry.pop(key)
    elif kind == 3:
        bad[rng.integers(len(bad))] = WRONG[rng.integers(len(WRONG))]
    else:
        bad = WRONG[rng.integers(len(WRONG))]
    return bad


def test_fuzz_conversions():
    tally = {"refused": 0, "read": 0, "without remedy": 0}
    for i in range(200):
        bad = mutated(GOOD, np.random.default_rng(i))
        try:
            for c in conversions_from(bad):
                assert c.slope > 0 and min(c.u_slope, c.u_offset) >= 0 and np.isfinite([c.slope, c.offset]).all()
            tally["read"] += 1
        except TanhengError as error:
            tally["refused" if error.remedy else "without remedy"] += 1
    print(tally)
    assert tally["refused"] > 150 and tally["without remedy"] == 0


@pytest.mark.parametrize("text", ["a: [", "\x00", "- - -", "{", "&a [*a]", "!!python/object:os.system x"])
def test_a_file_that_is_no_list_is_refused(tmp_path, text):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(TanhengError):
        conversions_from(file)
    with pytest.raises(TanhengError):
        conversions_from(tmp_path / "none.yaml")

"""Stack monitoring: mass by hand, errors that last longer than an hour, gaps; judged by hand arithmetic and GTC."""

import dataclasses

import GTC
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from inversion.budget import P_K2, Inputs, Measurand, Quantity, mask_sha256, validate
from priors.cems import Stack, reported_emissions, stack_emissions
from priors.hourly import Effect, HourlyEmissions, emissions
from priors.hourly_table import SeriesMap, read_series
from priors.series import Influence, Series
from priors.synthetic_monitoring import STACK_MAP, stack_text
from priors.totals import covariance, total
from tests.inversion.observations import fuzz as damage
from tests.priors.fuzz_series import fuzz, unlike_series
from transport.errors import TanhengError
from transport.grid import Grid

# 0.12 · (1 − 0.08) · 101325 · 500/(8.314462618 · 400) · 0.0440095, on a pocket calculator: 15233.2 mol/s wet gas.
BY_HAND = 74.012
INFLUENCES = (
    Influence("flow_factor", "flow calibration", 0.02, shared="audit"),
    Influence("flow", "flow noise", 0.03),
    Influence("concentration_factor", "span gas", 0.005, shared="cylinder"),
    Influence("concentration", "drift", 0.01, shared="day"),
    Influence("moisture", "moisture", 0.005, "absolute", "stream"),
    Influence("temperature", "temperature", 2.0, "absolute", "stream"),
    Influence("pressure", "pressure", 100.0, "absolute", "stream"),
)
CAUSES = np.array([0.02, 0.03, 0.005, 0.01, 0.005 / 0.92, 2.0 / 400.0, 100.0 / 101325.0])


def stack(tmp_path, hours, **options):
    file = tmp_path / "stack.csv"
    file.write_text(stack_text(hours, **options))
    return read_series(file, STACK_MAP)


def flat(rates, effects=(), first="2021-01-01T00", name="s", status=None, scope="direct"):
    n = len(rates)
    times = np.datetime64(first, "s") + 3600 * np.arange(n + 1)
    status = np.full(n, "measured") if status is None else np.array(status)
    return HourlyEmissions(name, "CO2", times, np.array(rates, float), status, tuple(effects), scope)


def two_rows(values, times=("2021-01-01T00", "2021-01-01T01", "2021-01-01T02"), status=None):
    return Series("s", np.array(times, "datetime64[s]"), values, np.full(2, "measured") if status is None else status)


def test_mass_of_a_stack_by_hand(tmp_path):
    series = stack(tmp_path, 30)
    assert series.times[0] == np.datetime64("2020-12-31T16:00:00")  # clock UTC+8, hour beginning
    assert series.values["concentration"][0] == pytest.approx(0.12)
    assert series.values["flow"][0] == pytest.approx(500.0)
    assert series.values["temperature"][0] == pytest.approx(400.0)
    e = stack_emissions(series, Stack(), INFLUENCES)
    assert e.rate == pytest.approx(np.full(30, BY_HAND), rel=2e-5)
    assert total([e], *e.times[[0, -1]]).mass == pytest.approx(BY_HAND * 30 * 3600, rel=2e-5)


@pytest.mark.parametrize(("stack_of", "expected"), [
    (Stack(concentration="wet"), 0.12 * 15233.2 * 0.0440095),
    (Stack(flow="normal wet"), 0.12 * 0.92 * 500.0 * 44.6150 * 0.0440095),  # 101325/(R · 273.15) = 44.6150 mol m-3
    (Stack(flow="normal dry"), 0.12 * 500.0 * 44.6150 * 0.0440095),
    (Stack(flow="normal dry", concentration="wet"), 0.12 / 0.92 * 500.0 * 44.6150 * 0.0440095),
    (Stack(flow="normal wet", concentration="wet"), 0.12 * 500.0 * 44.6150 * 0.0440095),
    (Stack(flow_factor=1.03, concentration_factor=0.99), BY_HAND * 1.03 * 0.99),
])  # fmt: skip
def test_states_of_gas_and_flow(tmp_path, stack_of, expected):
    assert stack_emissions(stack(tmp_path, 3), stack_of, ()).rate[0] == pytest.approx(expected, rel=2e-5)


def test_an_hour_agrees_with_gtc_and_with_monte_carlo(tmp_path):
    e = stack_emissions(stack(tmp_path, 3), Stack(), INFLUENCES)
    u = np.sqrt(sum(x.size[0] ** 2 for x in e.effects))
    assert u / e.rate[0] == pytest.approx(np.sqrt((CAUSES**2).sum()), rel=1e-9)
    x, Q, f, c, d, h, T, p = (GTC.ureal(v, s) for v, s in (
        (0.12, 0.0), (500.0, 15.0), (1.0, 0.02), (1.0, 0.005), (1.0, 0.01), (0.08, 0.005), (400.0, 2.0),
        (101325.0, 100.0)))  # fmt: skip
    m = x * d * c * (1 - h) * f * Q * p / (8.314462618 * T) * 0.0440095
    assert (e.rate[0], u) == pytest.approx((m.x, m.u), rel=1e-9)
    q = {"x": (0.12, 0.0012), "Q": (500.0, 15.0), "f": (1.0, 0.02), "c": (1.0, 0.005), "h": (0.08, 0.005),
         "T": (400.0, 2.0), "p": (101325.0, 100.0)}  # fmt: skip
    v = validate(lambda v: v["x"] * v["c"] * (1 - v["h"]) * v["f"] * v["Q"] * v["p"] / v["T"] * 0.0440095 / 8.314462618,
                 Inputs(tuple(Quantity(n, *z) for n, z in q.items())), seed=1, digits=1)  # fmt: skip
    assert v.valid
    assert v.budget.u == pytest.approx(u, rel=1e-6)


def test_annual_uncertainty_does_not_fall_as_one_over_root_n(tmp_path):
    e = stack_emissions(stack(tmp_path, 8760), Stack(), INFLUENCES)
    t = total([e], e.times[0], e.times[-1])
    # Months and days are those of the local clock.
    quarters, halves = np.array([2160, 2184, 2208, 2208]) / 8760, np.array([4344, 4416]) / 8760
    days = np.full(365, 24.0) / 8760
    by_hand = {
        "flow calibration": 0.02**2 * (quarters**2).sum(),
        "flow noise": 0.03**2 / 8760,
        "span gas": 0.005**2 * (halves**2).sum(),
        "drift": 0.01**2 * (days**2).sum(),
        "moisture": (0.005 / 0.92) ** 2,
        "temperature": 0.005**2,
        "pressure": (100 / 101325) ** 2,
    }
    u2 = sum(by_hand.values())
    assert t.u / t.mass == pytest.approx(np.sqrt(u2), rel=1e-9)
    assert t.u / t.mass == pytest.approx(0.01298, abs=1e-5)
    assert t.shares == pytest.approx({k: 100 * v / u2 for k, v in by_hand.items()})
    assert sum(t.shares.values()) == pytest.approx(100.0, abs=1e-9)
    alone = [dataclasses.replace(i, shared="hour") for i in INFLUENCES]
    naive = total([stack_emissions(stack(tmp_path, 8760), Stack(), alone)], e.times[0], e.times[-1])
    assert t.u / naive.u == pytest.approx(0.01298 / 0.000411, rel=0.01)  # 32 times too small


def test_annual_uncertainty_by_simulation():
    rng, n = np.random.default_rng(3), 240
    times = np.datetime64("2021-01-01", "s") + 3600 * np.arange(n + 1)
    rate, label = rng.uniform(5, 15, n), np.repeat([f"a{i}" for i in range(5)], 48)
    series = Series("s", times, {"mass": rate}, np.full(n, "measured"), {"audit": label})
    e = reported_emissions(series, [Influence("mass", "audit", 0.03, shared="audit"),
                                    Influence("mass", "bias", 0.5, "absolute", "stream"),
                                    Influence("mass", "noise", 0.2)])  # fmt: skip
    draws = (rate * (1 + 0.03 * np.repeat(rng.standard_normal((4000, 5)), 48, axis=1)
                     + 0.2 * rng.standard_normal((4000, n))) + 0.5 * rng.standard_normal((4000, 1)))  # fmt: skip
    assert total([e], times[0], times[-1]).u == pytest.approx(3600 * draws.sum(axis=1).std(), rel=0.03)
    edges = times[::60]
    means = draws.reshape(4000, 4, 60).mean(axis=2)
    np.testing.assert_allclose(covariance([e], edges), np.cov(means, rowvar=False), atol=0.04)


def test_two_stacks_of_one_cylinder_share_its_error():
    gas = [Effect("span gas", np.full(4, s), np.full(4, "cylinder 7")) for s in (1.0, 2.0)]
    own = Effect("noise", np.full(4, 3.0), np.full(4, ""), dof=9.0)
    a, b = flat([10.0] * 4, [gas[0], own], name="a"), flat([20.0] * 4, [gas[1]], name="b")
    t = total([a, b], a.times[0], a.times[-1])
    # (4·(1+2))² + 4·3² = 144 + 36 kg2 s-2, times 3600 s
    assert (t.mass, t.u) == pytest.approx((4 * 30 * 3600, 3600 * np.sqrt(180)))
    assert t.dof == pytest.approx(180**2 / (4 * 3.0**4 / 9.0))
    assert t.shares == pytest.approx({"noise": 20.0, "span gas": 80.0})
    # Captured with the same gas: what is too high in one is too high in the other, and cancels in the difference.
    net = total([a, b.negative("b captured")], a.times[0], a.times[-1])
    assert (net.mass, net.u) == pytest.approx((-4 * 10 * 3600, 3600 * np.sqrt(4**2 + 36)))
    # Means over two periods: own 9/2; gas 1·1, 1·2, 2·2.
    C = covariance([a, b], a.times[::2])
    block = np.ones((2, 2))
    np.testing.assert_allclose(C, np.block([[block + 4.5 * np.eye(2), 2 * block], [2 * block, 4 * block]]))
    w = np.full(4, 2 * 3600.0)
    assert w @ C @ w == pytest.approx(t.u**2)


def test_what_shares_an_error_and_what_does_not():
    times = np.datetime64("2021-01-01", "s") + 900 * np.arange(9)
    label = {"cylinder": np.full(8, "1")}

    def of(name, *influences, **options):
        series = Series(name, times, {"mass": np.full(8, 10.0)}, np.full(8, "measured"), label, **options)
        return reported_emissions(series, [Influence("mass", "c", 0.02, shared=s) for s in influences])

    def relative(*streams):
        t = total(streams, times[0], times[-1])
        C = covariance(streams, times)
        assert np.full(len(C), 900.0) @ C @ np.full(len(C), 900.0) == pytest.approx(t.u**2)
        return t.u / t.mass / 0.02

    # Cylinder "1" of one plant is not that of another, unless it is said to be.
    assert relative(of("a", "cylinder"), of("b", "cylinder")) == pytest.approx(np.sqrt(0.5))
    assert relative(of("a", "common:cylinder"), of("b", "common:cylinder")) == pytest.approx(1.0)
    # Two hours of four rows each.
    assert relative(of("a", "hour")) == pytest.approx(np.sqrt(0.5))
    # All of it is one day by a clock of UTC+8, and two by one of UTC−1.
    assert relative(of("a", "day", utc_offset=8.0)) == pytest.approx(1.0)
    assert relative(of("a", "day", utc_offset=-1.0)) == pytest.approx(np.sqrt(0.5))
    # "Calibration" of two quantities is two errors.
    values = {"flow": np.full(8, 2.0), "concentration": np.full(8, 0.1)}
    e = emissions(Series("s", times, values, np.full(8, "measured")), lambda v: v["flow"] * v["concentration"],
                  [Influence(q, "calibration", 0.02, shared="stream") for q in values], "CO2")  # fmt: skip
    assert relative(e) == pytest.approx(np.sqrt(2.0))


def test_parts_of_hours_count_as_parts():
    e = flat([1.0, 2.0, 4.0], [Effect("noise", np.array([1.0, 1.0, 1.0]), np.full(3, ""))])
    edges = e.times[0] + np.array([1800, 5400, 9000])
    assert e.mean_over(edges) == pytest.approx([1.5, 3.0])
    t = total([e], e.times[0] + 1800, e.times[0] + 9000)
    assert (t.mass, t.u) == pytest.approx((1800 + 7200 + 7200, 3600 * np.sqrt(0.25 + 1 + 0.25)))
    with pytest.raises(TanhengError, match="cover"):
        e.mean_over(e.times + 1800)


def test_missing_hours_are_filled_with_one_error_per_gap():
    status = ["measured"] * 4 + ["missing"] * 2 + ["off"] + ["measured"] * 2 + ["missing"]
    rates = [8.0, 12.0, 8.0, 12.0, np.nan, np.nan, 0.0, 10.0, 10.0, np.nan]
    gas = np.array(["c1"] * 4 + [""] * 3 + ["c2"] * 3)
    e = flat(rates, [Effect("span gas", np.where(np.isnan(rates), 0.0, np.array(rates) * 0.01), gas)], status=status)
    with pytest.raises(TanhengError, match="missing"):
        total([e], e.times[0], e.times[-1])
    full = e.filled()
    assert full.rate == pytest.approx([8, 12, 8, 12, 10, 10, 0, 10, 10, 10])
    spread = np.std([8, 12, 8, 12, 10, 10], ddof=1)
    t = total([full], e.times[0], e.times[-1])
    # Gap of 2 hours and gap of 1: (2 s)² + s²; gas: c1 4 hours and the gap's first and second, c2 2 and the last.
    parts = {"missing hours": 5 * spread**2, "span gas": (0.40 + 0.20) ** 2 + 0.30**2}
    nearest = full.effects[0].groups
    assert nearest.tolist()[4:7] == ["c1", "c1", ""]
    assert t.u == pytest.approx(3600 * np.sqrt(sum(parts.values())))
    assert full.status.tolist().count("filled") == 3
    assert "filled" in full.steps[-1].what
    with pytest.raises(TanhengError, match="filled"):
        flat([1.0, np.nan], status=["measured", "missing"]).filled()


def test_substitutes_have_a_larger_uncertainty():
    rate = np.array([10.0, 10.0, 0.0, 10.0])
    series = Series("s", np.datetime64("2021-01-01", "s") + 3600 * np.arange(5), {"mass": rate},
                    np.array(["measured", "substitute", "off", "calculated"]))  # fmt: skip
    e = reported_emissions(series, [Influence("mass", "monitor", 0.02), Influence("mass", "substitution", 0.2,
                                                                                    status="substitute")])  # fmt: skip
    assert e.rate.tolist() == [10.0, 10.0, 0.0, 10.0]
    u = np.sqrt(e.effects[0].size ** 2 + e.effects[1].size ** 2)
    assert u == pytest.approx([0.2, np.hypot(0.2, 2.0), 0.0, 0.2])


def test_an_estimate_of_the_same_measurand():
    e = flat([10.0] * 24, [Effect("bias", np.full(24, 0.5), np.full(24, "x"), dof=4.0)])
    mask = mask_sha256(Grid(np.arange(3.0), np.arange(3.0)), np.ones((2, 2)))
    day = Measurand("CO2", "stack", mask, e.times[0], e.times[-1])
    estimate = total([e], day.start, day.end).estimate(day, "stack monitoring")
    assert (estimate.value, estimate.u, estimate.dof) == pytest.approx((10.0, 0.5, 4.0))
    assert [estimate.expanded(p) / 0.5 for p in (0.95, P_K2)] == pytest.approx([2.776, 2.869], rel=1e-3)
    one = total([e], day.start, day.end)
    for bad, word in (({"gas": "CH4"}, "gas CO2"), ({"kind": "indirect"}, "scope direct"), ({"kind": "uptake"}, "kg"),
                      ({"start": day.start + 3600}, "start"), ({"end": day.end - 3600}, "end"),
                      ({"start": day.start + 86400, "end": day.end + 86400}, "start")):  # fmt: skip
        with pytest.raises(TanhengError, match=f"another measurand(.|\n)*{word}"):
            one.estimate(dataclasses.replace(day, **bad), "x")


def test_the_step_of_the_table_and_its_traps(tmp_path):
    file = tmp_path / "s.csv"
    lines = stack_text(5).splitlines()
    file.write_text("\n".join([*lines[:3], *lines[4:]]))  # the third hour has no row
    s = read_series(file, STACK_MAP)
    assert s.status.tolist() == ["measured", "measured", "missing", "measured", "measured"]
    assert s.labels["cylinder"].tolist() == ["C1", "C1", "", "C1", "C1"]
    end = dataclasses.replace(STACK_MAP, stamp="end")
    assert read_series(file, end).times[0] == s.times[0] - np.timedelta64(3600, "s")
    for bad, match in ((lines[3].replace(",12,", ",1200,"), "concentration"), (lines[2], "hours that follow"),
                       (lines[3].replace("M,", "Q,"), "without meaning"), (lines[3].replace("02:00", "02:10"), "hours"),
                       (lines[3].replace("2021-01-01T02", "32.1.2021"), "cannot be read"),
                       (lines[3].replace("126.85", "-9999"), "temperature")):  # fmt: skip
        file.write_text("\n".join([*lines[:3], bad, *lines[4:]]))
        with pytest.raises(TanhengError, match=match):
            read_series(file, STACK_MAP)
    file.write_text("\n".join([*lines[:3], lines[3].replace(",12,", ",,"), *lines[4:]]))
    assert read_series(file, STACK_MAP).status[2] == "missing"
    file.write_text("\n".join([*lines[:3], lines[3].replace("M,", "X,"), *lines[4:]]))
    with pytest.raises(TanhengError, match="hours that are off"):
        read_series(file, STACK_MAP)
    file.write_text("\n".join([*lines[:3], "2021-01-01T02:00,,,,,,X,C1,A1", *lines[4:]]))
    e = stack_emissions(read_series(file, STACK_MAP), Stack(), INFLUENCES)
    assert e.rate[2] == 0.0
    assert e.status[2] == "off"
    assert all(x.size[2] == 0.0 for x in e.effects)


@pytest.mark.parametrize("bad", [
    lambda: Influence("x", "c", -1.0),
    lambda: Influence("x", "c", 1.0, "per cent"),
    lambda: Stack(flow="wet"),
    lambda: Stack(flow_factor=1e3),
    lambda: Series("s", np.arange(3).astype("datetime64[h]"), {"mass": np.ones(1)}, np.full(2, "measured")),
    lambda: Series("s", np.arange(3).astype("datetime64[h]"), {"mass": np.array([1, np.nan])}, np.full(2, "measured")),
    lambda: Series("s", np.arange(3).astype("datetime64[h]"), {"mass": np.ones(2)}, np.full(2, "guessed")),
    lambda: flat([np.nan]),
    lambda: flat([1.0], scope="2"),
    lambda: dataclasses.replace(flat([1.0]), times=flat([1.0]).times[::-1]),
    lambda: total([flat([1.0]), flat([1.0], scope="indirect")], "2021-01-01T00", "2021-01-01T01"),
    lambda: total([], "2021-01-01T00", "2021-01-01T01"),
    lambda: total([flat([1.0]), flat([1.0])], "2021-01-01T00", "2021-01-01T01"),
    lambda: total([flat([1.0])], "2021-01-01T01", "2021-01-01T00"),
    lambda: total([flat([1.0])], "2021-01-01T00", "2021-01-01T00"),
    lambda: flat([1.0] * 4).mean_over(np.array(["2021-01-01T00", "2021-01-01T03", "2021-01-01T01"], "datetime64[s]")),
    lambda: flat([1.0] * 4).mean_over(np.array(["2021-01-01T00", "NaT"], "datetime64[s]")),
    lambda: covariance([flat([1.0] * 4)], np.array(["2021-01-01T00"], "datetime64[s]")),
    lambda: Influence("mass", "c", 2.0),
    lambda: reported_emissions(two_rows({"mass": np.ones(2)}), [Influence("mass", "c", 0.1)] * 2),
    lambda: two_rows({"fuel_mass": np.array([1.0, -1.0])}),
    lambda: two_rows({"pressure": np.full(2, 1013.0)}),
    lambda: two_rows({"mass": np.ones(2)}, status=np.array(["measured", "off"])),
    lambda: two_rows({"mass": np.ones(2)}, times=("2021-01-01", "2021-01-02", "2021-01-06")),
    lambda: stack_emissions(
        Series("s", np.arange(3).astype("datetime64[h]"), {"flow": np.ones(2)}, np.full(2, "measured")), Stack(), ()),
    lambda: reported_emissions(
        Series("s", np.arange(3).astype("datetime64[h]"), {"mass": np.ones(2)}, np.full(2, "measured")),
        [Influence("flow", "c", 1.0)]),
    lambda: reported_emissions(
        Series("s", np.arange(3).astype("datetime64[h]"), {"mass": np.ones(2)}, np.full(2, "measured")),
        [Influence("mass", "c", 1.0, shared="cylinder")]),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_a_remedy(bad):
    with pytest.raises(TanhengError) as error:
        bad()
    assert error.value.remedy


def test_a_map_is_read_from_yaml(tmp_path):
    file = tmp_path / "map.yaml"
    file.write_text(yaml.safe_dump(dataclasses.asdict(STACK_MAP)))
    assert SeriesMap.load(file) == STACK_MAP
    assert jnp.asarray(stack_emissions(stack(tmp_path, 2), Stack(), ()).rate).shape == (2,)


ROWS = "t,place,m\n2021-01-01T00:00,east,10.5\n2021-01-01T01:00,east,11\n"
PLAIN = {"name": "s", "time": "t", "utc_offset": 8.0, "stamp": "start",
         "columns": {"mass": {"column": "m", "unit": "kg s-1"}}}  # fmt: skip


@pytest.mark.parametrize(("text", "changes"), [
    (ROWS.replace("east", '"Hohhot, East"'), {}),
    (ROWS.replace(",", ";").replace(".5", ",5"), {"separator": ";", "decimal": ","}),
    (ROWS.replace("m\n", "排放量\n").encode("gbk"),
     {"encoding": "gbk", "columns": {"mass": {"column": "排放量", "unit": "kg s-1"}}}),
    ("\ufeff" + ROWS, {}),
    (ROWS + ",,\n", {}),
    (ROWS.replace("T01", "T02").replace("T00", "T01"), {"stamp": "end"}),
    (ROWS.replace("2021-01-01T00:00", "2020-12-31 24:00").replace("T", " "), {"time_format": "%Y-%m-%d %H:%M"}),
    (ROWS.replace("2021-01-01T00:00", "2020-12-31T24:00:00"), {}),
])  # fmt: skip
def test_how_a_table_may_be_written(tmp_path, text, changes):
    file = tmp_path / "s.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    s = read_series(file, SeriesMap(**(PLAIN | changes)))
    assert s.values["mass"].tolist() == [10.5, 11.0]
    assert s.times[0] == np.datetime64("2020-12-31T16:00:00")


@pytest.mark.parametrize(("text", "changes", "match"), [
    (ROWS.replace(",", ";").replace(".5", ",5"), {"separator": ";"}, "decimal"),
    (ROWS.replace(",", ";").replace("11", "1.234"), {"separator": ";", "decimal": ","}, "thousands"),
    (ROWS.replace("east", "东").encode("gbk"), {}, "utf-8(.|\n)*gbk"),
    (ROWS.replace("east", '"east'), {}, "CSV"),
    (ROWS, {"columns": {"mass": {"column": "m"}}}, "column and unit"),
    (ROWS, {"time_format": "%m-%dT%H:%M"}, "year"),
    (ROWS, {"encoding": "zlib"}, "encoding"),
    (ROWS.replace("T01:00", "T24:30"), {}, "cannot be read"),
])  # fmt: skip
def test_how_a_table_may_not_be_written(tmp_path, text, changes, match):
    file = tmp_path / "s.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TanhengError, match=match):
        read_series(file, SeriesMap(**(PLAIN | changes)))


COUNTS = [40, pytest.param(2000, marks=pytest.mark.nightly)]


@pytest.mark.parametrize("count", COUNTS)
def test_fuzz_series(tmp_path, count):
    file = tmp_path / "stack.csv"
    file.write_text(stack_text(12, noise=0.05))
    tally = fuzz(lambda f: read_series(f, STACK_MAP), unlike_series, file,
                 [*damage.TEXT, damage.without_column(",")], count, tmp_path)  # fmt: skip
    print(tally)
    assert tally["refused"] > count // 4


@pytest.mark.parametrize("count", COUNTS)
def test_fuzz_series_map(tmp_path, count):
    file = tmp_path / "map.yaml"
    file.write_text(yaml.safe_dump(dataclasses.asdict(STACK_MAP), sort_keys=False))
    tally = fuzz(SeriesMap.load, lambda a, b: None if a == b else f"{a}", file,
                 [damage.truncated, damage.empty, damage.flipped, damage.spoilt_word, damage.line_twice], count,
                 tmp_path)  # fmt: skip
    print(tally)
    assert tally["refused"] > count // 4

"""Accounts: IPCC approach 1 by hand and GTC, approach 2, the rule of JCGM 101 both ways, trends, comparison."""

import dataclasses

import GTC
import numpy as np
import pytest
import yaml
from scipy.stats import lognorm

from inversion.budget import Estimate, Measurand, compare, mask_sha256
from priors.account import Account, Line, percent_of_draws
from priors.account_trend import trend
from priors.ipcc import expanded_k2, percent_of, percent_of_interval, standard_uncertainty
from tests.inversion.observations import fuzz as damage
from tests.priors.fuzz_series import fuzz
from transport.errors import TanhengError
from transport.grid import Grid

GRID = Grid(np.arange(3.0), np.arange(3.0))
CITY = Measurand("CO2", "city", mask_sha256(GRID, np.ones((2, 2))), "2021-01-01", "2022-01-01")
SECONDS = 365 * 86400.0


def line(facility="plant", sector="power", activity=1000.0, ua=3.0, factor=94.6, uf=5.0, **rest):
    return Line(**({"facility": facility, "sector": sector, "activity": activity, "activity_unit": "TJ",
                    "activity_percent": ua, "factor": factor, "factor_unit": "t/TJ", "factor_percent": uf,
                    "reference": "table 1"} | rest))  # fmt: skip


THREE = (line(), line("boilers", "heat", 400.0, 10.0, 56.1, 4.0, factor_group="gas"),
         line("homes", "heat", 600.0, 20.0, 56.1, 4.0, factor_group="gas"))  # fmt: skip


def test_approach_1_by_hand():
    a = Account(CITY, THREE)
    # 94 600 t ± √(9 + 25) = 5.831 %; 22 440 t and 33 660 t of one factor: activities √((2244)² + (6732)²) = 7096 t,
    # factor 4 % of 56 100 = 2244 t → 7442.5 t = 13.2665 %
    power, heat = a.by_sector().values()
    assert (power.kilograms, power.percent) == pytest.approx((94.6e6, np.sqrt(34.0)))
    assert (heat.kilograms, heat.percent) == pytest.approx((56.1e6, 13.2665), rel=1e-5)
    whole = a.approach_1()
    assert whole.kilograms == a.total() == pytest.approx(150.7e6)
    assert whole.percent == pytest.approx(100 * np.hypot(0.05831 * 94.6, 7.4425) / 150.7, rel=1e-4)
    assert whole.u == pytest.approx(a.budget().u, rel=1e-12)
    assert whole.expanded_k2 == pytest.approx(2.0 * whole.u)
    assert whole.expanded_k2 / whole.kilograms * 100 == pytest.approx(whole.percent * 2 / 1.959964)


def test_approach_1_and_its_budget_agree_with_gtc():
    k = 100 * 1.959963984540054
    f = GTC.ureal(56.1, 56.1 * 4 / k)
    y = GTC.ureal(1000, 30 / k * 100) * 0  # keep the form of the sum
    y = GTC.ureal(1000, 1000 * 3 / k) * GTC.ureal(94.6, 94.6 * 5 / k) + y
    y = y + GTC.ureal(400, 400 * 10 / k) * f + GTC.ureal(600, 600 * 20 / k) * f
    b = Account(CITY, THREE).budget()
    assert (b.y, b.u) == pytest.approx((1e3 * y.x, 1e3 * y.u), rel=1e-12)
    assert sum(r.share for r in b.rows) == pytest.approx(100.0, abs=1e-9)
    assert any(r.group == "F gas" for r in b.rows)


def test_a_shared_factor_is_not_averaged_away():
    many = [line(f"f{i}", "power", 100.0, 0.0, 94.6, 5.0, factor_group=g) for g in ("coal",) for i in range(25)]
    alone = [dataclasses.replace(x, factor_group="") for x in many]
    assert Account(CITY, tuple(many)).approach_1().percent == pytest.approx(5.0)
    assert Account(CITY, tuple(alone)).approach_1().percent == pytest.approx(1.0)


def test_monte_carlo_and_analytic_uncertainty_agree():
    v = Account(CITY, THREE).validated(seed=1)
    assert v.valid
    assert v.statement().method == "GUM"
    assert v.draws.u == pytest.approx(v.budget.u, rel=0.02)
    assert max(v.d_low, v.d_high) < 2e5 < v.delta == 5e5
    e = Account(CITY, THREE).estimate(seed=1)
    assert e.value == pytest.approx(150.7e6 / SECONDS)
    assert e.method == "account, GUM"


@pytest.mark.nightly
def test_two_digits_of_u_are_more_than_the_linear_law_can_hold():
    # Products are skewed: the end points move by 1.2 % of u, more than half a unit of its second digit.
    v = Account(CITY, THREE).validated(seed=3, digits=2)
    assert v.draws.u == pytest.approx(v.budget.u, rel=0.003)
    assert v.delta == pytest.approx(5.0e4)
    # 6·10⁷ draws of NumPy: 55.2 and 57.6 t ± 1.5 t; these here are settled to δ/5.
    assert (v.d_low, v.d_high) == pytest.approx((5.52e4, 5.76e4), abs=v.delta / 5)
    assert not v.valid


def test_monte_carlo_and_analytic_uncertainty_do_not_agree_and_it_says_so():
    wide = Account(CITY, (line(uf=120.0, factor_distribution="lognormal"), line("b", "heat", 100.0)))
    v = wide.validated(seed=2)
    assert not v.valid
    with pytest.raises(TanhengError, match="not valid"):
        v.statement("GUM")
    s = v.statement()
    assert s.method == "JCGM 101"
    assert s.high - s.y > 1.3 * (s.y - s.low)
    e = wide.estimate(seed=2)
    assert e.method == "account, JCGM 101"
    # The interval of 95.45 % goes with the estimate, and each side of it is compared with what lies there.
    assert e.interval[1] - e.value > 1.3 * (e.value - e.interval[0])
    sides = [compare(e, Estimate(CITY, e.value + s, 1e-9, "x")).U[0] for s in (1.0, -1.0)]
    assert sides == pytest.approx([e.interval[1] - e.value, e.value - e.interval[0]])


def test_approach_2_reports_what_ipcc_asks_for():
    d = Account(CITY, (line(ua=0.0, uf=80.0, factor_distribution="lognormal"),)).approach_2(seed=3, digits=1)
    assert d.settled
    assert percent_of_draws(d) == pytest.approx(80.0, abs=1.5)
    assert d.y == pytest.approx(94.6e6, rel=0.01)


def test_percent_u_and_k2():
    assert standard_uncertainty(200.0, 10.0) == pytest.approx(20.0 / 1.959964)
    assert percent_of(200.0, standard_uncertainty(200.0, 10.0)) == pytest.approx(10.0)
    assert expanded_k2(200.0, 10.0) == pytest.approx(20.4085, abs=1e-4)  # 2/1.96 of 20, not 20
    assert standard_uncertainty(100.0, 9.5, "rectangular") == pytest.approx(10.0 / np.sqrt(3.0))
    # triangular ±a: 97.5 % point at a (1 − √0.05)
    assert standard_uncertainty(100.0, 77.6393, "triangular") == pytest.approx(100.0 / np.sqrt(6.0), rel=1e-5)
    for percent in (1.0, 50.0, 200.0):
        u = standard_uncertainty(10.0, percent, "lognormal")
        s = np.sqrt(np.log1p((u / 10.0) ** 2))
        q = lognorm(s, scale=10.0 * np.exp(-0.5 * s**2))
        assert q.std() == pytest.approx(u)
        assert percent_of_interval(q.mean(), q.ppf(0.025), q.ppf(0.975)) == pytest.approx(percent, rel=1e-5)
    for bad in ((1.0, -1.0, "normal"), (1.0, 400.0, "lognormal"), (1.0, 1.0, "cauchy"), (1.0, np.inf, "normal"),
                (np.nan, 1.0, "normal"), (-1.0, 1.0, "lognormal"), (1.0, "5", "normal")):  # fmt: skip
        with pytest.raises(TanhengError):
            standard_uncertainty(*bad)
    for bad in (lambda: percent_of(0.0, 1.0), lambda: percent_of_interval(0.0, -1.0, 1.0)):
        with pytest.raises(TanhengError, match="zero"):
            bad()


def test_captured_mass_counts_with_its_own_uncertainty():
    a = Account(CITY, (line(), line("capture", activity=300.0, ua=2.0, uf=0.0, stream="captured")))
    s = a.approach_1()
    assert s.kilograms == pytest.approx(94.6e3 * 700)
    assert s.percent == pytest.approx(np.hypot(1000 * np.sqrt(34.0), 300 * 2.0) / 700)


def test_coverage_of_approach_1_by_simulation():
    rng, a, n = np.random.default_rng(4), Account(CITY, THREE), 20000
    z = rng.standard_normal((n, 5)) / 196.0
    drawn = (1000 * (1 + 3 * z[:, 0]) * 94.6 * (1 + 5 * z[:, 1])
             + (400 * (1 + 10 * z[:, 2]) + 600 * (1 + 20 * z[:, 3])) * 56.1 * (1 + 4 * z[:, 4]))  # fmt: skip
    s = a.approach_1()
    held = np.abs(1e3 * drawn - s.kilograms) <= s.kilograms * s.percent / 100
    assert held.mean() == pytest.approx(0.95, abs=0.006)


def test_trend_by_hand():
    base = [line(), line("b", "heat", 500.0, 30.0, 56.1, 4.0)]
    now = [line(activity=900.0), line("b", "heat", 700.0, 10.0, 56.1, 4.0)]
    t = trend(base, now)
    C, D = 94.6 + 28.05, 85.14 + 39.27
    assert t.change == pytest.approx(100 * (D - C) / C)
    power, heat = "plant, power", "b, heat"
    by_hand = {
        ("factor", power): 5 * (85.14 - D / C * 94.6) / C, ("factor", heat): 4 * (39.27 - D / C * 28.05) / C,
        ("activity, base", power): -3 * 94.6 * D / C**2, ("activity, base", heat): -30 * 28.05 * D / C**2,
        ("activity, current", power): 3 * 85.14 / C, ("activity, current", heat): 10 * 39.27 / C,
    }  # fmt: skip
    assert t.parts == pytest.approx(by_hand)
    assert t.percent == pytest.approx(np.sqrt(sum(p**2 for p in by_hand.values())))
    # Nothing changes: factors cancel, activities count as B √2 of table 3.2.
    same = trend(base[:1], base[:1])
    assert (same.change, same.percent) == pytest.approx((0.0, 3 * np.sqrt(2)))
    for bad in ((base, [*now, now[0]]), ([*base, base[0]], now), ([], now),
                (base, [now[0], dataclasses.replace(now[1], stream="captured")])):  # fmt: skip
        with pytest.raises(TanhengError, match="common trend"):
            trend(*bad)


def test_trend_by_simulation():
    """Eight boilers of one gas and one statistics of activity, one closed and one opened plant, against 10⁵ draws."""
    gas = [line(f"b{i}", "heat", 12.5, 10.0, 56.1, 20.0, factor_group="gas", activity_group="stat") for i in range(8)]
    base = [*gas, line("c", "power", 100.0, 10.0, 94.6, 1.0), line("old", "power", 20.0, 4.0, 94.6, 8.0)]
    now = [*(dataclasses.replace(x, activity=16.0) for x in gas), line("c", "power", 110.0, 2.0, 94.6, 1.0),
           line("new", "power", 10.0, 4.0, 94.6, 8.0)]  # fmt: skip
    t = trend(base, now)
    assert (t.opened, t.closed) == ((("new", "power"),), (("old", "power"),))
    z = np.random.default_rng(5).standard_normal((9, 100_000)) / 1.959964
    f, stat0, stat1, c, c0, c1, old, new = 1 + z[:8] * np.array([20, 10, 10, 1, 10, 2, np.hypot(4, 8), np.hypot(4, 8)]
                                                                )[:, None] / 100  # fmt: skip
    first = 100.0 * 56.1 * f * stat0 + 100.0 * 94.6 * c * c0 + 20.0 * 94.6 * old
    last = 128.0 * 56.1 * f * stat1 + 110.0 * 94.6 * c * c1 + 10.0 * 94.6 * new
    low, high = np.quantile(100 * (last - first) / first, [0.025, 0.975])
    assert t.percent == pytest.approx((high - low) / 2, rel=0.02)


def test_compared_with_an_inversion_of_the_same_measurand():
    account = Account(CITY, THREE).estimate(seed=1)
    inversion = Estimate(CITY, account.value * 1.10, account.value * 0.04, "inversion")
    c = compare(inversion, account)
    assert c.z == pytest.approx(0.10 / np.hypot(0.04, account.u / account.value))
    assert c.E_n == pytest.approx(c.z / 2.0, rel=1e-6)  # both k = 2
    with pytest.raises(TanhengError, match="same measurand"):
        compare(dataclasses.replace(inversion, measurand=dataclasses.replace(CITY, sectors={"power"})), account)


@pytest.mark.parametrize("changes", [
    {"factor_unit": "t/MWh"}, {"factor_unit": "lb/TJ"}, {"activity": 0.0}, {"factor": -1.0}, {"stream": "sink"},
    {"scope": "3"}, {"reference": ""}, {"activity_distribution": "t"}, {"facility": " "}, {"activity_percent": -1.0},
    {"facility": "p1 "}, {"activity": np.inf}, {"activity": "1000"}, {"factor_percent": "5"},
])  # fmt: skip
def test_lines_that_cannot_be(changes):
    with pytest.raises(TanhengError) as error:
        dataclasses.replace(line(), **changes)
    assert error.value.remedy


@pytest.mark.parametrize(("measurand", "lines"), [
    ({}, ()), ({}, (line(), line())), ({"sectors": {"power"}}, THREE), ({}, (line(scope="indirect"),)),
    ({"kind": "uptake"}, THREE), ({}, (line(), line("capture", activity=2000.0, stream="captured"))),
    ({"kind": "indirect"}, (line(),)), ({}, (line(), line("grid", scope="indirect"))),
])  # fmt: skip
def test_accounts_that_cannot_be(measurand, lines):
    with pytest.raises(TanhengError, match="no account"):
        Account(dataclasses.replace(CITY, **measurand), lines)


def test_sectors_that_are_not_there():
    a = Account(CITY, (line(), line("capture", stream="captured")))
    for sectors in (["roads"], []):
        with pytest.raises(TanhengError, match="no sum"):
            a.approach_1(sectors)


def rows():
    keep = ("facility", "sector", "activity", "activity_unit", "activity_percent", "factor", "factor_unit",
            "factor_percent", "reference", "factor_group")  # fmt: skip
    return [{k: getattr(x, k) for k in keep} for x in THREE]


def test_an_account_is_read_from_yaml(tmp_path):
    file = tmp_path / "account.yaml"
    file.write_text(yaml.safe_dump(rows()))
    assert Account.read(file, CITY) == Account(CITY, THREE)
    file.write_text(file.read_text().replace("1000.0", "1e3"))
    with pytest.raises(TanhengError, match=r"1\.0e\+3"):  # text in YAML 1.1
        Account.read(file, CITY)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_account(tmp_path, count):
    file = tmp_path / "account.yaml"
    file.write_text(yaml.safe_dump(rows(), sort_keys=False))
    mutations = [damage.truncated, damage.empty, damage.flipped, damage.spoilt_word, damage.line_twice]
    tally = fuzz(lambda f: Account.read(f, CITY),
                 lambda a, b: None if set(a.lines) <= set(b.lines) else "another line", file, mutations, count,
                 tmp_path)  # fmt: skip
    print(tally)
    assert tally["refused"] > count // 4

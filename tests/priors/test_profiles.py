import datetime

import numpy as np
import pytest

from priors.clock import Clock
from priors.heating import heating
from priors.inventory import Inventory
from priors.profiles import Gridded, Profile, hourly
from transport.errors import TanhengError
from transport.grid import Grid

GRID = Grid(np.array([13.0, 13.1, 13.2]), np.array([52.0, 52.1]))
WEEK = np.array([1.02, 1.06, 1.08, 1.1, 1.14, 0.81, 0.79])  # TNO, road transport
PEAK = np.where(np.arange(24) == 7, 24.0, 0.0)  # everything between 7 and 8 o'clock


def annual(year=2018, sectors=("road",), months=False):
    edges = np.arange(f"{year}-01", f"{year + 1}-02", dtype="datetime64[M]").astype("datetime64[s]")
    edges = edges if months else edges[[0, -1]]
    rng = np.random.default_rng(1)
    rate = rng.uniform(0.1, 2.0, (len(sectors), len(edges) - 1, *GRID.shape))
    rate[0, :, 0, 1] *= -1  # captured CO2 keeps its sign
    return Inventory("CO2", sectors, rate, GRID, edges)


def at(result, time):
    return result.rate[0, np.flatnonzero(result.times == np.datetime64(time, "s"))[0], 0, 0]


@pytest.mark.parametrize("year", [2018, 2020])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", -3.5])
def test_the_mean_of_a_year_is_conserved_in_each_sector_and_cell(year, zone):
    inventory = annual(year, ("road", "heat"))
    month = 1 + 0.5 * np.cos(np.arange(12) * np.pi / 6)
    profile = Profile.of(month, WEEK, PEAK)
    result = hourly(inventory, {"road": [profile], "heat": [profile, Profile.of(month)]}, Clock((zone,)))
    assert result.rate.shape[1] == 8760 + 24 * (year == 2020)
    np.testing.assert_allclose(result.rate.mean(axis=1), inventory.rate[:, 0], rtol=1e-12)
    assert result.total() == pytest.approx(inventory.total(), rel=1e-12)


def test_each_month_of_a_monthly_inventory_is_conserved_and_its_months_are_not_weighted_again():
    inventory = annual(2020, months=True)
    with_months = hourly(inventory, {"road": [Profile.of(np.linspace(0.5, 1.5, 12), WEEK)]}, Clock(("Europe/Berlin",)))
    without = hourly(inventory, {"road": [Profile.of(None, WEEK)]}, Clock(("Europe/Berlin",)))
    np.testing.assert_array_equal(with_months.rate, without.rate)
    month = with_months.times[:-1].astype("datetime64[M]").astype(int) % 12
    for i in range(12):
        np.testing.assert_allclose(with_months.rate[0, month == i].mean(axis=0), inventory.rate[0, i], rtol=1e-12)


def test_seven_o_clock_in_berlin_is_six_utc_in_winter_and_five_in_summer():
    result = hourly(annual(), {"road": [Profile.of(day=PEAK)]}, Clock(("Europe/Berlin",)))
    assert at(result, "2018-01-15T06") > 0 == at(result, "2018-01-15T05") == at(result, "2018-01-15T07")
    assert at(result, "2018-07-16T05") > 0 == at(result, "2018-07-16T06")
    # 365 days of the whole day's emission in one hour: 24 times the mean.
    assert at(result, "2018-07-16T05") == pytest.approx(24 * annual().rate[0, 0, 0, 0], rel=1e-12)


def test_the_day_of_the_change_has_its_hour_missing_or_twice():
    night = np.where(np.arange(24) == 2, 24.0, 0.0)
    result = hourly(annual(), {"road": [Profile.of(day=night)]}, Clock(("Europe/Berlin",)))
    spring = result.times[:-1].astype("datetime64[D]") == np.datetime64("2018-03-25")
    autumn = result.times[:-1].astype("datetime64[D]") == np.datetime64("2018-10-28")
    assert np.count_nonzero(result.rate[0, spring, 0, 0]) == 0
    assert np.count_nonzero(result.rate[0, autumn, 0, 0]) == 2


def test_half_hours_of_india_are_split_between_two_hours():
    result = hourly(annual(), {"road": [Profile.of(day=PEAK)]}, Clock(("Asia/Kolkata",)))
    # 07:00–08:00 IST is 01:30–02:30 UTC
    assert at(result, "2018-05-05T01") == pytest.approx(at(result, "2018-05-05T02"), rel=1e-12)
    assert at(result, "2018-05-05T01") > 0 == at(result, "2018-05-05T00")


def test_weekdays_and_holidays_by_hand():
    result = hourly(annual(), {"road": [Profile.of(week=WEEK)]}, Clock((0.0,), holidays=("2018-12-25",)))
    # 2018: 365 d from a Monday to a Monday, 53 Mondays; Christmas is a Tuesday that counts as a Sunday.
    mean = (52 * WEEK.sum() + WEEK[0] - WEEK[1] + WEEK[6]) / 365
    base = annual().rate[0, 0, 0, 0]
    for date, weight in (("2018-12-24", 1.02), ("2018-12-25", 0.79), ("2018-12-26", 1.08), ("2018-12-30", 0.79)):
        assert datetime.date.fromisoformat("2018-12-25").weekday() == 1
        assert at(result, f"{date}T12") == pytest.approx(base * weight / mean, rel=1e-12)


def test_each_cell_has_its_zone_and_its_holidays():
    clock = Clock(("Europe/Berlin", "Asia/Shanghai"), np.array([[0, 1]]), {"Asia/Shanghai": ["2018-10-01"]})
    result = hourly(annual(), {"road": [Profile.of(week=WEEK, day=PEAK)]}, clock)
    row = {str(t): i for i, t in enumerate(result.times[:-1].astype("datetime64[h]"))}
    assert result.rate[0, row["2018-06-04T05"], 0, 0] > 0 == result.rate[0, row["2018-06-04T05"], 0, 1]
    assert result.rate[0, row["2018-06-03T23"], 0, 1] < 0 == result.rate[0, row["2018-06-03T23"], 0, 0]
    # Monday 1 October is a holiday in one of them: 0.79 in place of 1.02 of the Monday after
    ratio = result.rate[0, row["2018-09-30T23"], 0, 1] / result.rate[0, row["2018-10-07T23"], 0, 1]
    assert ratio == pytest.approx(0.79 / 1.02, rel=1e-12)
    assert result.rate[0, row["2018-10-01T05"], 0, 0] == pytest.approx(result.rate[0, row["2018-10-08T05"], 0, 0])


def test_a_window_has_the_hours_of_the_whole():
    profile = [Profile.of(np.linspace(0.5, 1.5, 12), WEEK, PEAK)]
    whole = hourly(annual(), {"road": profile}, Clock(("Europe/Berlin",)))
    part = hourly(annual(), {"road": profile}, Clock(("Europe/Berlin",)), ("2018-06-30T22", "2018-07-03"))
    rows = np.isin(whole.times[:-1], part.times[:-1])
    np.testing.assert_array_equal(part.rate, whole.rate[:, rows])
    assert part.rate.shape[1] == 50 and "part of the hours" in part.steps[-1].what


def test_degree_days_by_hand():
    # Two halves of a year of 10 °C and 25 °C over a base of 15 °C, a fifth for hot water:
    # cold days H = 5, mean 2.5 · 181/182.5 …; the ratio of a cold day to a warm one is (0.2 + 0.8·H/H̄)/0.2.
    temperature = np.full((8760, 1, 1), 298.15)
    temperature[: 24 * 73] = 283.15  # a fifth of the year
    weight = heating(temperature, np.datetime64("2018-01-01"), 288.15, 0.2, Clock((0.0,)))
    result = hourly(annual(), {"road": [weight]}, Clock((0.0,)))
    base = annual().rate[0, 0, 0, 0]
    # H̄ = 5/5 = 1, so cold days 0.2 + 0.8·5 = 4.2, warm days 0.2; mean (4.2 + 4·0.2)/5 = 1
    assert at(result, "2018-02-01T12") == pytest.approx(4.2 * base, rel=1e-12)
    assert at(result, "2018-08-01T12") == pytest.approx(0.2 * base, rel=1e-12)
    np.testing.assert_allclose(result.rate.mean(axis=1), annual().rate[:, 0], rtol=1e-12)


def test_degree_days_are_those_of_the_local_day_and_multiply_with_hours():
    clock = Clock((12.0,))
    rng = np.random.default_rng(2)
    temperature = rng.uniform(260, 300, (8760, *GRID.shape))
    weight = heating(temperature, np.datetime64("2018-01-01"), 288.15, 0.1, clock)
    result = hourly(annual(), {"road": [weight, Profile.of(day=PEAK)]}, clock)
    np.testing.assert_allclose(result.rate.mean(axis=1), annual().rate[:, 0], rtol=1e-12)
    flat = hourly(annual(), {"road": [weight]}, clock)
    day = slice(12, 36)  # 12 UTC to 12 UTC is 2 January there
    assert np.ptp(flat.rate[0, day, 0, 0]) < 1e-12 < abs(flat.rate[0, 36, 0, 0] - flat.rate[0, 35, 0, 0])
    degree = max(288.15 - temperature[day, 0, 0].mean(), 0)
    other = max(288.15 - temperature[36:60, 0, 0].mean(), 0)
    days = np.maximum(288.15 - temperature[12:-12, 0, 0].reshape(-1, 24).mean(axis=1), 0)
    mean = (24 * days.sum() + 12 * days[0] + 12 * days[-1]) / 8760  # half days at the ends are as their neighbours
    expected = (0.1 + 0.9 * degree / mean) / (0.1 + 0.9 * other / mean)
    assert flat.rate[0, 20, 0, 0] / flat.rate[0, 40, 0, 0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("zone", [8.0, -1.0, 5.5, "Europe/Berlin"])
def test_a_day_that_the_series_cuts_is_as_the_whole_day_beside_it(zone):
    # The same cycle of warm noons and cold nights on each day of the clock: every day has the same degree days.
    hours = np.datetime64("2018-01-01T00") + np.arange(240)
    local = Clock((zone,)).local(hours)
    temperature = 275.0 - 15.0 * np.cos(2 * np.pi * (local.hour[:, 0, 0] - 3) / 24)
    weight = heating(temperature[:, None, None], "2018-01-01", 288.15, 0.0, Clock((zone,)))
    np.testing.assert_allclose(weight.at(hours, Clock((zone,)), True), 1.0, rtol=1e-12)


def test_gridded_weights_in_universal_and_local_time():
    weights = np.ones((24, 1, 2))
    weights[:, 0, 1] = PEAK
    for universal, hour in ((True, "07"), (False, "06")):
        result = hourly(annual(), {"road": [Gridded("hour", weights, universal)]}, Clock(("Europe/Berlin",)))
        row = np.flatnonzero(result.times == np.datetime64(f"2018-01-10T{hour}", "s"))[0]
        assert result.rate[0, row, 0, 1] == pytest.approx(24 * annual().rate[0, 0, 0, 1], rel=1e-12)
        assert result.rate[0, row, 0, 0] == pytest.approx(annual().rate[0, 0, 0, 0], rel=1e-12)
    np.testing.assert_allclose(result.rate.mean(axis=1), annual().rate[:, 0], rtol=1e-12)


def cold(n, first):
    return heating(np.full((n, 1, 1), 280.0), first, 288.15, 0.1, Clock((0.0,)))


@pytest.mark.parametrize(("what", "match"), [
    (lambda: Profile.of(week=WEEK / 7), "no profile"),
    (lambda: Profile.of(week=WEEK * 1.011), "no profile"),
    (lambda: Profile.of(week=-WEEK), "no profile"),
    (lambda: Profile.of(day=np.ones(7)), "wrong shape"),
    (lambda: Clock(("Europe/Bärlin",)), "unknown time zone"),
    (lambda: Clock(("../etc/passwd",)), "unknown time zone"),
    (lambda: Clock((0.1,)), "out of range"),
    (lambda: Clock((1.0, 2.0)), "do not fit"),
    (lambda: Clock((1.0,), holidays=("Christmas",)), "not a date"),
    (lambda: Clock((1.0,), holiday_as="holiday"), "unknown weekday"),
    (lambda: hourly(annual(), {}, Clock((0.0,))), "do not fit"),
    (lambda: hourly(annual(), {"road": ()}, Clock((0.0,)), ("2017-12-31", "2018-02-01")), "hours do not fit"),
    (lambda: hourly(annual(), {"road": ()}, Clock((0.0,)), ("2018-01-01T00:30", "2018-02-01")), "hours do not fit"),
    (lambda: heating(np.full((24, 1, 1), 10.0), np.datetime64("2018-01-01"), 288.15, 0.1, Clock((0.0,))), "in K"),
    (lambda: heating(np.full((24, 1, 1), 280.0), np.datetime64("2018-01-01"), 15, 0.1, Clock((0.0,))), "base"),
    (lambda: Gridded("week", np.ones((7, 1, 1))), "do not fit"),
    (lambda: Gridded("date", np.ones((7, 1, 1)), first="2018-01-01"), "do not fit"),
    (lambda: Gridded("date", np.float64(1.0), first=np.datetime64("2018-01-01")), "do not fit"),
    (lambda: Clock("Europe/Berlin"), "are no list"),
    (lambda: Clock(8.0), "are no list"),
    (lambda: Clock((None,)), "out of range"),
    (lambda: Clock((1.0,), np.zeros((0, 2), int)), "do not fit"),
    (lambda: Clock((1.0,), holidays={"Europe/Berlin": ["2018-12-25"]}), "zone that is none"),
    *((lambda d=d: Clock((1.0,), holidays=d), "not a date")
      for d in (("2018-12",), (2018,), ("20181225",), (None,), None, "2018-12-25", ("2018-13-01",), (20181225,))),
    (lambda: hourly(annual(), {"road": ()}, Clock((0.0,)), "foo"), "are no times"),
    (lambda: hourly(annual(), {"road": ()}, Clock((0.0,)), ("2018-01-01", None)), "hours do not fit"),
    (lambda: hourly(annual(), {"road": ()}, Clock((0.0,), np.zeros((3, 3), int))), "other cells"),
    (lambda: hourly(annual(), {"road": [Gridded("hour", np.ones((24, 2, 3)))]}, Clock((0.0,))), "other cells"),
    (lambda: hourly(annual(), {"road": Profile.of(day=PEAK)}, Clock((0.0,))), "are no list"),
    (lambda: cold(30, "2018-01-01T12"), "a whole day"),
    (lambda: cold(48, "Christmas"), "no time"),
    (lambda: cold(48, None), "no time"),
    (lambda: heating(np.full((48, 3, 3), 280.0), "2018-01-01", 288.15, 0.1, Clock((0.0,), np.zeros((2, 2), int))),
     "other cells"),
])  # fmt: skip
def test_what_is_no_profile_is_refused(what, match):
    with pytest.raises(TanhengError, match=match) as error:
        what()
    assert error.value.remedy


def test_a_profile_that_is_zero_all_through_a_period_is_refused():
    weight = Gridded("date", np.zeros((365, 1, 1)), first=np.datetime64("2018-01-01"))
    with pytest.raises(TanhengError, match="vanish all through"):
        hourly(annual(), {"road": [weight]}, Clock((0.0,)))
    with pytest.raises(TanhengError, match="do not cover"):
        hourly(annual(2019), {"road": [weight]}, Clock((0.0,)))


def test_a_constant_rate_needs_no_profile():
    result = hourly(annual(), {"road": ()}, Clock((0.0,)))
    np.testing.assert_allclose(result.rate, np.broadcast_to(annual().rate, result.rate.shape), rtol=1e-15)

"""What one file of a region's prior stands for: its periods in the window, weights of hours, and plants taken out."""

import dataclasses

import numpy as np
import pytest

from experiments import schema
from experiments.cases.region.hours import brought, by_the_hour, weights_of
from experiments.cases.region.inventories import Part
from experiments.cases.region.plants import without
from inversion.observations.record import Source
from priors.clock import Clock
from priors.inventory import Inventory
from transport.errors import TanhengError
from transport.grid import Grid

SMALL = Grid(1e3 * np.arange(3.0), 1e3 * np.arange(3.0), "EPSG:32633")


def part(times, values, **changes):
    """One sector whose rate in period t is values[t] in every cell."""
    rate = np.ones((1, len(values), 2, 2)) * np.asarray(values, float)[None, :, None, None]
    source = Source("file.nc", "0", "test", "start")
    inventory = Inventory("CO2", ("B",), rate, SMALL, np.asarray(times, "M8[s]"), sources=(source,))
    return Part("test", inventory, {"B": ("IND",)}, "EDGAR", np.ones((2, 2)), 0.0, {}, **changes)


def window(start, days):
    return np.datetime64(start, "h"), np.datetime64(start, "h") + 24 * days


MONTHS = np.arange("2012-01", "2013-02", dtype="M8[M]")


@pytest.mark.parametrize(
    ("times", "values", "start", "expected", "note"),
    [
        # Months keep their own means, in the window's year; a leap day has one too.
        (MONTHS, range(1, 13), "2019-03-30", [3.0] * 48 + [4.0] * 24, "stands for 2019"),
        (MONTHS, range(1, 13), "2012-02-28", [2.0] * 48 + [3.0] * 24, ""),
        (MONTHS[5:7], [6], "2018-06-10", [6.0] * 72, "2012-06 stands for 2018-06"),
        (["2012-01-01", "2013-01-01"], [5], "2018-12-30", [5.0] * 72, "2012 stands for 2018; 2012 stands for 2019"),
        (["2012-01-01", "2013-01-01", "2014-01-01"], [5, 7], "2013-12-30", [7.0] * 72, "2013 stands for 2014"),
        (["2017-07-01", "2018-07-01"], [5], "2019-01-01", [5.0] * 72, "the mean of 2017-07 … 2018-06 stands for 2019"),
        (["2018-06-01T00", "2018-06-01T12", "2018-06-04T00"], [1, 2], "2018-06-01", [1.0] * 12 + [2.0] * 60, ""),
    ],
)
def test_periods_of_a_file_keep_their_meaning(times, values, start, expected, note):
    asked = window(start, 3)
    found = brought(part(times, values), asked)
    hours = by_the_hour(found, {}, Clock(("UTC",)), asked)
    assert hours.rate[0, :, 0, 0] == pytest.approx(expected, rel=1e-12)
    assert note in found.note and bool(note) == bool(found.note)


@pytest.mark.parametrize(
    ("times", "start"),
    [
        (["2018-01-01T00", "2018-01-01T01", "2018-01-01T02"], "2018-06-06"),  # two hours are no year
        (MONTHS[5:7], "2018-06-29"),  # June does not know July
        (["2012-01-01", "2012-10-01"], "2018-06-06"),  # nine months are no year
    ],
)
def test_a_short_file_does_not_stand_for_a_year(times, start):
    with pytest.raises(TanhengError, match="does not hold the time of the window"):
        brought(part(times, [1.0] * (len(times) - 1)), window(start, 3))


def test_holidays_and_degree_days_reach_the_hours(tmp_path):
    """Twice as cold on the second half of the days: w = 0.2 + 0.8 H/H̄ with H = 5 and 15 K; holidays as Sundays."""
    days = np.arange("2018-12-31", "2020-01-02", dtype="M8[D]")
    cold = [10.0 if d < np.datetime64("2019-07-01") else 0.0 for d in days]
    file = tmp_path / "t.csv"
    file.write_text("date,celsius\n" + "".join(f"{d},{c}\n" for d, c in zip(days, cold, strict=True)))
    prior = schema.InventoryPrior(
        inventories=[schema.InventoryFile("generated")], heating=[schema.SectorHeating("B", str(file))],
        profiles=[schema.SectorProfile("B", week=[1.1] * 6 + [0.4])],
    )  # fmt: skip
    clock = Clock(("UTC",), holidays=("2019-03-05",))
    weights = weights_of(prior, ["B"], clock, {})
    rate = []
    for start in ("2019-03-05", "2019-03-06", "2019-09-04"):  # a holiday, two Wednesdays
        asked = window(start, 1)
        rate.append(by_the_hour(brought(part(["2019-01-01", "2020-01-01"], [1.0]), asked), weights, clock, asked).rate)
    holiday, warm, colder = (r[0, 0, 0, 0] for r in rate)
    mean = (181 * 5.0 + 186 * 15.0) / 367
    assert holiday / warm == pytest.approx(0.4 / 1.1, rel=1e-9)
    assert colder / warm == pytest.approx((0.2 + 0.8 * 15 / mean) / (0.2 + 0.8 * 5 / mean), rel=2e-2)


def test_plants_take_from_their_own_cell_first():
    """3 kg s-1 of a plant in a cell that holds 2: its own 2, and 1 of the 6 in the three others."""
    inventory = part(["2018-01-01", "2019-01-01"], [2.0])
    rate = np.zeros((1, 1, 2, 2))
    rate[0, 0, 1, 1] = 3.0
    (left,), how = without([inventory], dataclasses.replace(inventory.inventory, rate=rate), ["B"])
    assert left.inventory.rate[0, 0] == pytest.approx(np.array([[5 / 3, 5 / 3], [5 / 3, 0.0]]), rel=1e-12)
    assert "from the plants' own cells" in how and "in proportion" in how

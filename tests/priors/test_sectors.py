"""Tables of sectors: every one somewhere, once."""

import dataclasses

import numpy as np
import pytest

from inversion.observations.record import Source
from priors.inventory import Inventory
from priors.readers.cells import joined
from priors.sectors import EDGAR_TO_IPCC, IPCC_TO_GNFR, classified
from transport.errors import TanhengError
from transport.grid import Grid

GRID, YEAR = Grid(np.array([0.0, 1.0]), np.array([0.0, 1.0])), np.array(["2018-01-01", "2019-01-01"], "datetime64[s]")


def inventory(*sectors, classification="EDGAR"):
    rate = np.arange(1.0, len(sectors) + 1.0).reshape(-1, 1, 1, 1)
    return Inventory("CO2", sectors, rate, GRID, YEAR, classification)


def test_all_of_edgar_reaches_gnfr_once():
    assert set(EDGAR_TO_IPCC.values()) == set(IPCC_TO_GNFR)
    assert set(IPCC_TO_GNFR.values()) == set("ABCDEFGHIJKLO")
    everything = inventory(*(s for s in EDGAR_TO_IPCC if s not in ("TRO_noRES", "PRO", "PRO_FFF")))
    for name in ("IPCC 2006", "GNFR"):
        got = classified(everything, name)
        assert got.classification == name and got.total() == pytest.approx(everything.total(), rel=1e-14)


def test_short_cycle_carbon_stays_apart():
    got = classified(inventory("ENE", "ENE short-cycle", "RCO", "IND", "NMM"), "GNFR")
    assert got.totals() == {"A": 1.0, "A short-cycle": 2.0, "C": 3.0, "B": 9.0}


@pytest.mark.parametrize(("given", "to", "word"), [
    (inventory("TOTALS"), "GNFR", "not one of EDGAR"), (inventory("ENE"), "SNAP", "no table"),
    (inventory("A", classification="GNFR"), "EDGAR", "no table"),
])  # fmt: skip
def test_what_no_table_says_is_refused(given, to, word):
    with pytest.raises(TanhengError, match=word):
        classified(given, to)


@pytest.mark.parametrize(("sectors", "classification"), [
    (("TRO", "TRO_noRES"), "EDGAR"), (("PRO_OIL", "PRO_FFF"), "EDGAR"), (("PRO_FFF", "PRO"), "EDGAR"),
    (("ENE", "TOTALS"), "EDGAR"), (("ENE short-cycle", "TOTALS short-cycle"), "EDGAR"), (("F", "F2"), "GNFR"),
    (("1.B", "1.B.1"), "IPCC 2006"),
])  # fmt: skip
def test_sectors_that_hold_each_other_are_refused(sectors, classification):
    with pytest.raises(TanhengError, match="count twice"):
        inventory(*sectors, classification=classification)


def test_sectors_that_do_not():
    assert len(inventory("TOTALS", "ENE short-cycle", "power plants").sectors) == 3
    assert len(inventory("1.A.3.a", "1.A.3.a cruise", "1.B.1", "1.B.2.a", classification="IPCC 2006").sectors) == 4


def test_one_file_under_two_names_and_nothing_to_join():
    source = Source("ENE.nc", "abc", "read_edgar", "start")
    one, other = (dataclasses.replace(inventory(s), sources=(source,)) for s in ("ENE", "IND"))
    with pytest.raises(TanhengError, match="read twice"):
        joined([one, other])
    assert joined([one, dataclasses.replace(other, rate=2.0 * other.rate)]).total() == 3.0
    assert joined([inventory("ENE"), inventory("IND")]).steps[0].kept == 2
    with pytest.raises(TanhengError, match="nothing to join"):
        joined([])


@pytest.mark.parametrize(("edges", "days"), [
    (("2020-01-01", "2021-01-01"), 366), (("2019-01-01", "2020-01-01"), 365), (("2020-02-01", "2020-03-01"), 366),
    (("2019-01-01", "2020-01-01", "2021-01-01"), 365.5), (("2019-12-31", "2020-01-02"), 2 / (1 / 365 + 1 / 366)),
])  # fmt: skip
def test_megatonnes_per_year_of_the_inventory_itself(edges, days):
    times = np.array(edges, "datetime64[s]")
    rate = np.full((1, len(times) - 1, 1, 1), 1e9 / (86400 * days))
    got = Inventory("CO2", ("a",), rate, GRID, times)
    assert got.seconds.sum() / got.years == pytest.approx(days * 86400, rel=1e-12)
    assert ", 1 Mt yr-1" in repr(got)

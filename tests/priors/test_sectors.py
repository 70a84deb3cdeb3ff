"""Tables of sectors: every one somewhere, once."""

import numpy as np
import pytest

from priors.inventory import Inventory
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
    everything = inventory(*EDGAR_TO_IPCC)
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

"""Energy meters: emissions by hand, shared factors, indirect emissions apart, tables of fuels."""

import dataclasses

import GTC
import numpy as np
import pytest
import yaml

from priors.energy import Fuel, fuel_emissions, ipcc_fuels, read_fuels
from priors.point_sources import PointSource, PointSources
from priors.series import Influence, Series
from priors.totals import total
from tests.inversion.observations import fuzz as damage
from tests.priors.fuzz_series import fuzz
from transport.errors import TanhengError

METER = (Influence("fuel_mass", "belt weigher", 0.01, shared="stream"), Influence("fuel_mass", "resolution", 0.02))


def series(quantity="fuel_mass", value=50.0, n=24, name="unit 1"):
    times = np.datetime64("2021-01-01", "s") + 3600 * np.arange(n + 1)
    return Series(name, times, {quantity: np.full(n, value)}, np.full(n, "measured"))


def test_coal_by_hand_and_by_gtc():
    coal = ipcc_fuels()["other bituminous coal"]
    e = fuel_emissions(series(), coal, METER)
    # 50 kg/s · 25.8 MJ/kg = 1290 MW; · 94.6 kg/GJ = 122.034 kg/s
    assert e.rate == pytest.approx(np.full(24, 122.034))
    assert e.scope == "direct"
    t = total([e], e.times[0], e.times[-1])
    A = GTC.ureal(50.0, 0.5) + sum(GTC.ureal(0.0, 1.0) for _ in range(24)) / 24
    ncv, ef = GTC.ureal(25.8, (30.5 - 19.9) / 3.919928), GTC.ureal(94600.0, (99700 - 89500) / 3.919928)
    m = A * ncv * 1e-6 * ef * 24 * 3600
    assert (t.mass, t.u) == pytest.approx((m.x, m.u), rel=1e-7)
    assert max(t.shares, key=lambda k: t.shares[k]) == "net calorific value"
    assert sum(t.shares.values()) == pytest.approx(100.0)


def test_two_plants_with_one_table_share_its_factors():
    coal = ipcc_fuels()["lignite"]
    a, b = (fuel_emissions(series(name=n), coal, ()) for n in ("a", "b"))
    one, both = total([a], *a.times[[0, -1]]), total([a, b], *a.times[[0, -1]])
    assert both.u == pytest.approx(2.0 * one.u)  # not √2
    own = [Influence("ncv", "analysis", 0.01, shared="month"), Influence("factor", "analysis", 0.005, shared="month")]
    a, b = (fuel_emissions(series(name=n), coal, (), own) for n in ("a", "b"))
    t = total([a, b], *a.times[[0, -1]])
    # Analyses of two quantities are two errors, and so are those of two plants.
    assert t.u / t.mass == pytest.approx(np.hypot(0.01, 0.005) / np.sqrt(2.0))


def test_oxidation_and_volume():
    gas = Fuel("gas", "gas", "fuel_volume", 55.8e3, (55e3, 56.6e3), "analysis 7", 35.0, (34.5, 35.5), 0.995,
               (0.99, 1.0))  # fmt: skip
    e = fuel_emissions(series("fuel_volume", 2.0), gas, ())
    assert e.rate[0] == pytest.approx(2.0 * 35.0e-6 * 55.8e3 * 0.995)
    assert {x.cause for x in e.effects} == {"emission factor", "net calorific value", "oxidation"}


def test_electricity_is_indirect_and_stays_out_of_the_flux():
    # 0.5810 t/MWh = 161 389 kg/TJ; 36 MW → 0.0100 TJ/s·… 36e6 W · 1e-12 TJ/J · 161389 = 5.81 kg/s
    grid = Fuel("grid", "electricity", "power", 161389.0, (150e3, 172e3), "national grid factor, year and table")
    e = fuel_emissions(series("power", 36e6), grid, ())
    assert e.rate[0] == pytest.approx(5.81, abs=1e-4)
    assert e.scope == "indirect"
    with pytest.raises(TanhengError, match="cannot be point sources"):
        PointSources.of([(PointSource("works", 110.0, 40.0, "industry", 0.0), e)], e.times)
    coal = fuel_emissions(series(), ipcc_fuels()["lignite"], ())
    with pytest.raises(TanhengError, match="one kind"):
        total([e, coal], e.times[0], e.times[-1])


def test_the_default_table_names_its_reference():
    fuels = ipcc_fuels()
    assert all("IPCC 2006" in f.reference for f in fuels.values())
    # The coals of a second, public transcription (MJ kg-1, kg TJ-1).
    again = {"anthracite": (26.7, 98300), "coking coal": (28.2, 94600), "other bituminous coal": (25.8, 94600),
             "sub-bituminous coal": (18.9, 96100), "lignite": (11.9, 101000)}  # fmt: skip
    assert all("not compared" in f.reference for f in fuels.values())  # until somebody has the print at hand
    assert {k: (fuels[k].ncv, fuels[k].factor) for k in again} == again
    assert not any(f.carrier in ("electricity", "heat") for f in fuels.values())


@pytest.mark.parametrize("changes", [
    {"carrier": "sun"}, {"per": "tonne"}, {"reference": " "}, {"factor": 94.6}, {"ncv": None}, {"ncv": 25800.0},
    {"factor": 95.0, "factor_limits": (90.0, 100.0)}, {"factor": 0.0, "factor_limits": (0.0, 1e5)}, {"gas": "XYZ"},
    {"carrier": "electricity", "per": "power", "ncv": None, "ncv_limits": (1, 1), "factor": 161.4,
     "factor_limits": (150.0, 170.0)},
    {"oxidation_limits": (0.9, 1.1)}, {"oxidation": 98.0}, {"carrier": "heat"},
])  # fmt: skip
def test_fuels_that_cannot_be(changes):
    with pytest.raises(TanhengError) as error:
        dataclasses.replace(ipcc_fuels()["lignite"], **changes)
    assert error.value.remedy


def test_a_table_of_ones_own(tmp_path):
    file = tmp_path / "fuels.yaml"
    row = {"name": "own coal", "carrier": "coal", "per": "fuel_mass", "ncv": 22.0, "ncv_limits": [21.5, 22.5],
           "factor": 95000, "factor_limits": [94000, 96000], "reference": "laboratory 3, 2021"}  # fmt: skip
    file.write_text(yaml.safe_dump([row]))
    assert read_fuels(file)["own coal"].ncv == 22.0
    for bad in ([row, row], [], [row | {"colour": "black"}], [{k: v for k, v in row.items() if k != "reference"}]):
        file.write_text(yaml.safe_dump(bad))
        with pytest.raises(TanhengError):
            read_fuels(file)
    with pytest.raises(TanhengError, match="does not meter"):
        fuel_emissions(series("power"), ipcc_fuels()["lignite"], ())


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_fuels(tmp_path, count):
    file = tmp_path / "fuels.yaml"
    rows = [dataclasses.asdict(f) for f in list(ipcc_fuels().values())[:2]]
    for row in rows:
        row |= {k: list(v) for k, v in row.items() if isinstance(v, tuple)}
    # One line per field: a line of folded free text that stands twice is free text.
    file.write_text(yaml.safe_dump(rows, sort_keys=False, width=1000))
    mutations = [damage.truncated, damage.empty, damage.flipped, damage.spoilt_word, damage.line_twice]
    tally = fuzz(read_fuels, lambda a, b: None if all(b.get(k) == v for k, v in a.items()) else "another fuel", file,
                 mutations, count, tmp_path)  # fmt: skip
    print(tally)
    assert tally["refused"] > count // 4

"""task=prior: mass from file to region, what the plants take, what B says of totals, and refusals."""

import json

import numpy as np
import pytest

from experiments.cases import region as case
from inversion.covariance import AbstractCovariance
from priors.covariance import uncertainty
from priors.readers.open_methane import read_open_methane
from transport.errors import TanhengError


@pytest.fixture(scope="module")
def hohhot(compose):
    return case.build(compose("experiment=hohhot_prior", "case.half_km=60", "case.spacing_km=6"))


def test_the_real_sectors_keep_their_mass(bowen_basin, compose, real):
    """207.4 kt/yr of the file, whole in a larger square; every sector to 1e-10 after regridding and by the hour."""
    name = "openmethane_bowen_basin/case_2022-12-07/prior/prior-emissions.nc"
    files = f"prior.inventories=[{{reader: open_methane, file: {name}, uncovered: zero}}]"
    built = case.build(compose("experiment=bowen_prior", "case.half_km=75", files))
    stated = read_open_methane(real(name)).totals()
    assert sum(stated.values()) == pytest.approx(6.5778372281, rel=1e-9)
    annual, hourly = built.annual.totals(), built.hours.totals()
    for sector, value in stated.items():
        assert annual[sector] == pytest.approx(value, rel=1e-10)
        assert hourly[sector] == pytest.approx(value, rel=1e-10)
    assert built.synthetic == "" and built.species == "CH4" and set(built.inputs) == {name}
    # 100 km × 100 km on the file's map, whose areas are 4 % smaller than those on the ground, in a square of 150 km.
    ground = read_open_methane(real(name)).grid.areas.sum()
    assert ground == pytest.approx(1.04 * 100e3**2, rel=0.01)
    assert built.files[0].covered == pytest.approx(ground / 150e3**2, rel=1e-3)
    assert built.files[0].period == "2022-12-07" and not built.yearly


def test_plants_are_taken_out_of_the_sector_that_holds_them(compose, real):
    real("matimba_no2_era5/coco2_ps_database/coco2_ps_catalogue_v1.1.csv")
    small = ("case.half_km=75", "case.spacing_km=7.5")
    with_plants = case.build(compose("experiment=berlin_prior", *small)).annual
    whole = case.build(compose("experiment=berlin_prior", *small, "prior.plants_from=[]")).annual.totals()
    plants = with_plants.totals()["power plants"]
    assert plants > 100.0
    assert with_plants.totals()["fossil fuel"] == pytest.approx(whole["fossil fuel"] - plants, rel=1e-10)
    assert with_plants.total() == pytest.approx(whole["fossil fuel"], rel=1e-10)


def test_the_total_has_its_published_uncertainty(hohhot):
    weights = np.stack([t.weights for t in hohhot.uncertainty.totals], axis=1)
    sigma = uncertainty(hohhot.uncertainty.B, weights)
    assert isinstance(hohhot.uncertainty.B, AbstractCovariance)
    assert float(sigma[0]) == pytest.approx(0.15 * hohhot.uncertainty.totals[0].value, rel=1e-9)
    emitted = [t.value for t in hohhot.uncertainty.totals[1:] if "uptake" not in t.name and "respiration" not in t.name]
    assert hohhot.uncertainty.totals[0].value == pytest.approx(sum(emitted), rel=1e-12)


def test_capture_and_uptake_are_negative_and_hours_follow_the_clock(hohhot):
    totals = hohhot.hours.totals()
    assert totals["power plants captured"] == pytest.approx(-0.2e9 / (365 * 86400), rel=1e-6)
    assert totals["grass uptake"] < 0 < totals["grass respiration"]
    traffic = hohhot.hours.rate[hohhot.hours.sectors.index("F")].sum(axis=(1, 2))
    # The largest weights are of 8 and 17 h by the clock of Shanghai, 0 and 9 h UTC.
    assert {int(i) for i in np.argsort(traffic[:24])[-2:]} == {0, 9}
    assert "SYNTHETIC" in hohhot.notes[0] and hohhot.synthetic


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("prior.inventories=[{reader: edgra}]", "no such reader"),
        ("prior.species=CH4", "of another species"),
        ("prior.errors=[]", "without a stated error"),
        ("prior.profiles=[{sector: X}]", "prior.profiles names"),
        ("prior.plants_from=[C]", "more than the sectors hold"),
        ("prior.inventories=[{reader: edgar, file: nowhere.nc}]", "not at hand"),
    ],
)
def test_what_cannot_be_is_refused(compose, override, what):
    options = ("experiment=hohhot_prior", "case.spacing_km=10", override)
    if "plants_from" in override:
        options = (*options, "prior.plants=[{name: big, longitude: 111.7, latitude: 40.8, mt_per_year: 900}]")
    with pytest.raises(TanhengError, match=what):
        case.build(compose(*options))


def test_the_command_writes_maps_and_totals(command, tmp_path):
    code, _, errors = command("experiment=hohhot_prior", "case.spacing_km=10", "hydra.run.dir=out")
    assert code == 0, errors
    assert "all emissions" in errors
    folder = tmp_path / "out"
    assert {"sectors.png", "hours.png", "report.html", "summary.json"} <= {p.name for p in folder.iterdir()}
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary["synthetic"] and summary["totals"][0]["published_relative"] == 0.15
    report = (folder / "report.html").read_text("utf-8")
    assert "SYNTHETIC" in report and "the inventory and the vegetation are generated" in report
    assert "observations were generated" not in report

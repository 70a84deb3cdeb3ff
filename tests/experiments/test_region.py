"""task=prior: mass from file to region, what the plants take, what B says of totals, and refusals."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

from experiments import schema
from experiments.cases import region as case
from experiments.cases.region.inventories import parts_of
from inversion.covariance import AbstractCovariance
from priors import synthetic
from priors.covariance import uncertainty
from priors.readers.open_methane import read_open_methane
from tests.priors import generate
from transport.errors import TanhengError


@pytest.fixture(scope="module")
def hohhot(compose):
    return case.build(compose("experiment=hohhot_prior", "case.half_km=60", "case.spacing_km=15"))


def test_the_real_sectors_keep_their_mass(bowen_basin, compose, real):
    """207.4 kt/yr of the file, whole in a larger square; every sector to 1e-10 after regridding and by the hour."""
    name = "openmethane_bowen_basin/case_2022-12-07/prior/prior-emissions.nc"
    files = f"prior.inventories=[{{reader: open_methane, file: {name}, uncovered: zero}}]"
    built = case.build(compose("experiment=bowen_prior", "case.half_km=75", "case.spacing_km=15", files))
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
    assert built.files[0].covered == pytest.approx(ground / 150e3**2, rel=3e-3)
    assert built.files[0].period == "2022-12-07" and not built.yearly


def test_plants_are_taken_out_of_the_sector_that_holds_them(compose, real):
    real("matimba_no2_era5/coco2_ps_database/coco2_ps_catalogue_v1.1.csv")
    small = ("case.half_km=75", "case.spacing_km=15")
    with_plants = case.build(compose("experiment=berlin_prior", *small)).annual
    whole = case.build(compose("experiment=berlin_prior", *small, "prior.plants_from=[]")).annual.totals()
    plants = with_plants.totals()["power plants"]
    assert plants > 100.0
    assert with_plants.totals()["fossil fuel"] == pytest.approx(whole["fossil fuel"] - plants, rel=1e-10)
    assert with_plants.total() == pytest.approx(whole["fossil fuel"], rel=1e-10)
    later = case.build(compose("experiment=berlin_prior", *small, "case.start=2019-12-30"))
    assert "coco2_ps_catalogue_v1.1.csv: 2018 stands for 2019, 2020." in later.notes


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


PLANT = "longitude: 111.7, latitude: 40.8"


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("prior.inventories=[{reader: edgra}]", "no such reader"),
        ("prior.species=CH4", "of another species"),
        ("prior.errors=[]", "without a stated error"),
        ("prior.errors=[{sector: X, relative: 0.1}]", "prior.errors names"),
        ("prior.errors=[{sector: A, relative: 30}]", "relative of A"),
        ("prior.total_relative=5", "prior.total_relative"),
        ("prior.profiles=[{sector: X}]", "prior.profiles names"),
        ("prior.profiles=[{sector: F}, {sector: F}]", "a name in prior.profiles"),
        (f"prior.plants=[{{name: big, {PLANT}, mt_per_year: 900}}]", "more than the sectors hold"),
        (f"prior.plants=[{{name: p, {PLANT}, mt_per_year: 1, sector: A}}]", "plants a sector of their own"),
        (f"prior.plants=[{{name: p, {PLANT}, mt_per_year: -1}}]", "captured: true"),
        (f"prior.plants=[{{name: p, {PLANT}, mt_per_year: 4}}, {{name: c, {PLANT}, mt_per_year: 5, captured: true}}]",
         "captured mass of p"),
        ("prior.plants=[{name: c, longitude: 111.1, latitude: 40.3, mt_per_year: 5, captured: true}]",
         "more is captured"),
        ("prior.inventories=[{reader: edgar, file: nowhere.nc}]", "not at hand"),
        ("prior.inventories=[{reader: edgar, file: x.nc, period: year}]", "period"),
        ("prior.vegetation={grass: 0.9}", "prior.vegetation"),
        ("case.start=2018-13-06", "case.start"),
        ("case.start=2018-03-23T00:30", "case.start"),
        ("case.time_zone='1'", "unknown time zone"),
        ("case.half_km=61", "case.half_km=60"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(compose, override, what):
    with pytest.raises(TanhengError) as refused:
        case.build(compose("experiment=hohhot_prior", "case.spacing_km=15", override))
    assert what in str(refused.value)


# --- files ---
@pytest.fixture
def files(tmp_path):
    """IND, TRO, RCO and ENE in EDGAR's form around Hohhot, and CHE with the content of IND."""
    made = synthetic.edgar_files(tmp_path, 110.4, 113.0, 39.8, 41.8)
    shutil.copy(made[0], made[0].with_name(made[0].name.replace("IND", "CHE")))
    return {path.name.split("_")[5]: path for path in tmp_path.iterdir()}


def test_files_of_one_class_are_added_up(files, compose):
    """IND and CHE are both B of GNFR, of equal content; groups and sectors left out keep the mass."""
    few = ("experiment=hohhot_prior", "case.spacing_km=15", "prior.plants=[]", "prior.plants_from=[]",
           "prior.profiles=[]", "prior.vegetation=null")  # fmt: skip
    text = ", ".join(f"{{reader: edgar, file: {files[s]}}}" for s in ("IND", "CHE"))
    both = case.build(compose(*few, f"prior.inventories=[{text}]", "prior.errors=[{sector: B, relative: 0.3}]"))
    alone = case.build(compose(
        *few, f"prior.inventories=[{{reader: edgar, file: {files['IND']}, groups: {{works: [IND]}}}}]",
        "prior.classification=''", "prior.errors=[{sector: works, relative: 0.3}]",
    ))  # fmt: skip
    assert both.annual.total() == pytest.approx(2 * alone.annual.total(), rel=1e-12)
    assert both.labels == {"B": "B industry"} and alone.annual.sectors == ("works",)
    assert both.synthetic == "" and len(both.citations) == 1
    twice = ", ".join(f"{{reader: edgar, file: {files['IND']}, sector: {s}}}" for s in ("a", "b"))
    with pytest.raises(TanhengError, match="read twice"):
        case.build(compose(*few, f"prior.inventories=[{twice}]"))
    part_of = shutil.copy(files["TRO"], files["TRO"].with_name(files["TRO"].name.replace("TRO", "TRO_noRES")))
    whole = ", ".join(f"{{reader: edgar, file: {f}}}" for f in (files["TRO"], part_of))
    with pytest.raises(TanhengError, match="hold each other"):
        case.build(compose(*few, f"prior.inventories=[{whole}]"))


@pytest.mark.parametrize(
    ("reader", "species", "make", "place", "total"),
    [
        # By hand: areas of A and B and one point of B, fossil and biofuel, kg in the 365 days of 2018.
        ("tno", "CO2", generate.tno, (10.2, 50.1, 30), (1e6 + 2e6 + 3e6 + 5e6 + 3e5) / (365 * 86400)),
        # Twelve sectors of (1 + … + 12) · 10⁻⁶ Tg.
        ("cams_reg", "CH4", generate.cams_reg, (10.2, 50.1, 30), 12 * 78e-6 * 1e9 / (365 * 86400)),
        # DM times month times (½ 1686 + ¼ 1489 + ¼ 1647) g kg-1; the year has 366 days.
        ("gfed", "CO2", generate.gfed_year, (10.5, 20.4, 90), None),
        ("carbontracker", "CO2", generate.carbontracker, (-178.0, 21.5, 400), None),
        ("described", "CO2", generate.edgar_emi, (0.0, 0.0, 60), None),
    ],
)
def test_every_reader_is_reached_and_keeps_its_mass(tmp_path, reader, species, make, place, total):
    file = make(tmp_path)
    longitude, latitude, half = place
    place = schema.RegionCase("x", longitude, latitude, half, half / 5, "2022-06-06")
    item = schema.InventoryFile(reader, str(file), uncovered="zero", description="d" if reader == "described" else "")
    if reader == "described":
        (tmp_path / "d.yaml").write_text(
            "species: CO2\nunit: t cell-1 yr-1\nperiod: [2020-01-01, 2021-01-01]\nsectors: {all: emissions}\n"
            "stated_unit: Tonnes\n"
        )
        item.description = str(tmp_path / "d.yaml")
    prior = schema.InventoryPrior(species, [item])
    grid, inputs = case.grid_of(place), {}
    (found,) = parts_of(prior, grid, case.box_of(grid, place.longitude), inputs)
    if reader == "gfed":
        lat = 20.625 - 0.25 * np.arange(3)
        area = 6371e3**2 * np.deg2rad(0.25) * np.ptp(np.sin(np.deg2rad([lat - 0.125, lat + 0.125])), axis=0) * 1.002
        total = (area @ generate.RISING).sum() * 78 * 1e-3 * (0.5 * 1686 + 0.25 * 1489 + 0.25 * 1647) * 1e-3
        total /= 366 * 86400
    elif reader == "carbontracker":
        area = 6371e3**2 * np.deg2rad(1.0) * np.diff(np.sin(np.deg2rad([20.0, 21.0, 22.0, 23.0])))
        total = (area @ generate.RISING).sum() * 0.4e-8 * 44.0095e-3
    elif (
        reader == "described"
    ):  # a part of one cell of 90° × 60°: 5 to 8 stand in the middle row, 5 at 45° E, 8 at 45° W
        area = 6371e3**2 * np.deg2rad(90.0) * 2 * np.sin(np.deg2rad(30.0))
        total = 0.5 * (5 + 8) * 1e3 / (366 * 86400) * 120e3**2 / area
    assert found.inventory.total() == pytest.approx(total, rel=1e-6 if reader in ("tno", "cams_reg") else 6e-3)
    assert str(file) in inputs and len(inputs) == (2 if reader == "described" else 1)


def test_vegetation_beside_files_of_others_is_marked(files, compose):
    built = case.build(compose(
        "experiment=hohhot_prior", "case.spacing_km=15", "prior.plants=[]", "prior.plants_from=[]",
        f"prior.inventories=[{{reader: edgar, file: {files['TRO']}}}]", "prior.total_relative=null",
        "prior.errors=[" + ", ".join(
            f"{{sector: {s}, relative: 0.3}}" for s in
            ("F", "grass uptake", "crop uptake", "grass respiration", "crop respiration")) + "]",
    ))  # fmt: skip
    assert built.synthetic == "the vegetation is generated"
    assert [c.text[:5] for c in built.citations] == ["EDGAR", "Mahad"]


def test_a_region_that_is_not_covered_is_refused_or_named(compose, files):
    options = ("experiment=hohhot_prior", "case.spacing_km=15", "case.longitude=113", "prior.vegetation=null",
               "prior.plants=[]", "prior.plants_from=[]", "prior.errors=[{sector: F, relative: 0.3}]")  # fmt: skip
    item = f"reader: edgar, file: {files['TRO']}"
    with pytest.raises(TanhengError, match="covers a part of the region only"):
        case.build(compose(*options, f"prior.inventories=[{{{item}}}]"))
    built = case.build(compose(*options, f"prior.inventories=[{{{item}, uncovered: zero}}]"))
    assert built.files[0].covered == pytest.approx(0.5, abs=0.01)
    assert any("covers 50" in note for note in built.notes)
    assert built.covered["F"][:, 0].min() == 1.0 and built.covered["F"][:, -1].max() == 0.0


@pytest.mark.parametrize(
    ("longitude", "latitude", "half", "expected"),
    [
        (179.9, 40.0, 60, (178.4, 181.4, 38.86, 41.14)),
        (300.0, 40.0, 60, (-61.5, -58.5, 38.86, 41.14)),
        (10.0, 85.0, 600, (-170.0, 190.0, None, 90.0)),
        (10.0, -85.0, 600, (-170.0, 190.0, -90.0, None)),
    ],
)
def test_boxes_across_the_date_line_and_over_the_poles(longitude, latitude, half, expected):
    place = schema.RegionCase("x", longitude, latitude, half, half / 10, "2022-06-06")
    box = case.box_of(case.grid_of(place), longitude)
    for got, wanted in zip(box, expected, strict=True):
        assert wanted is None or got == pytest.approx(wanted, abs=0.06)


def test_the_command_writes_maps_and_totals(command, tmp_path):
    code, _, errors = command("experiment=hohhot_prior", "case.spacing_km=15", "hydra.run.dir=out")
    assert code == 0, errors
    assert "all emissions" in errors
    folder = tmp_path / "out"
    written = {"sectors.png", "hours.png", "prior.nc", "report.html", "summary.json"}
    assert written <= {p.name for p in folder.iterdir()}
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary["synthetic"] and summary["totals"][0]["published_relative"] == 0.15
    report = (folder / "report.html").read_text("utf-8")
    assert "SYNTHETIC" in report and "the inventory and the vegetation are generated" in report
    assert "observations were generated" not in report
    assert "EDGAR (Emissions" not in report and "SYNTHETIC_v8.0" in report
    with xr.open_dataset(folder / "prior.nc") as nc:
        rate = (nc.flux.astype(float) * nc.area).sum(("y", "x")).mean("time").values * 365 * 86400e-9
        stated = {t["name"]: t["value"] for t in summary["totals"]}
        assert dict(zip(nc.sector.values, rate, strict=True)) == pytest.approx(
            {name: value for name, value in stated.items() if name != "all emissions"}, rel=1e-6
        )
        # The only cell of the captured mass: u is 5 % of it, and all of it is there the whole year.
        cell = nc.sigma.sel(sector="power plants captured") * nc.area
        assert float(cell.sum()) * 365 * 86400e-9 == pytest.approx(0.05 * 0.2, rel=1e-3)
        yearly = (nc.annual_flux * nc.area).sum(("y", "x")).sel(sector="power plants captured")
        assert float(yearly) * 365 * 86400e-9 == pytest.approx(-0.2, rel=1e-9)
        assert nc.total_u_before.values[0] < nc.total_u.values[0] == pytest.approx(0.15 * stated["all emissions"])
        assert nc.attrs["synthetic"] == "the inventory and the vegetation are generated"

"""Readers of inventories: the unit chain of each family by hand, real files, and damaged ones."""

import functools

import h5py
import numpy as np
import pytest

from priors.readers import cells
from priors.readers.cams_reg import read_cams_reg
from priors.readers.carbontracker_flux import read_carbontracker
from priors.readers.coco2 import read_coco2
from priors.readers.edgar import read_edgar
from priors.readers.epa import read_epa
from priors.readers.generic import read_described
from priors.readers.gfed import read_gfed
from priors.readers.meic import read_meic
from priors.readers.odiac import read_odiac
from priors.readers.open_methane import read_open_methane
from priors.readers.openghg_flux import read_openghg_flux
from priors.readers.tno import read_tno, read_tno_points
from tests.priors import fuzz_inventories as fuzz
from tests.priors import generate
from transport.errors import TanhengError

# R² Δλ (sin φ2 − sin φ1), R = 6371000 m, by hand: 0…0.1° N × 0.1°.
FIRST_CELL = 123643054.34181869
CO2_PER_CARBON = 44.0095 / 12.0107
DESCRIPTION = {
    "species": "CH4", "unit": "kg m-2 s-1", "stated_unit": "kg m-2 s-1", "period": ["2015-01-01", "2016-01-01"],
    "sectors": {"energy": "emi_ch4"}, "classification": "EDGAR",
}  # fmt: skip
READERS = {
    "edgar": (generate.edgar_flux, read_edgar, fuzz.HDF),
    "edgar_emi": (generate.edgar_emi, read_edgar, fuzz.HDF),
    "odiac_tiff": (generate.odiac_tiff, read_odiac, (fuzz.truncated, fuzz.empty, fuzz.flipped)),
    "odiac_netcdf": (generate.odiac_netcdf, read_odiac, fuzz.HDF),
    "gfed": (generate.gfed_year, functools.partial(read_gfed, species="CO2"), fuzz.HDF),
    "epa": (generate.epa_year, read_epa, fuzz.HDF),
    "cams_reg": (generate.cams_reg, read_cams_reg, fuzz.HDF),
    "tno": (generate.tno, functools.partial(read_tno, species="CO2"), fuzz.HDF),
    "tno_points": (generate.tno, functools.partial(read_tno_points, species="CO2"), fuzz.HDF),
    "meic_netcdf": (generate.meic_netcdf, read_meic, fuzz.HDF),
    # Nothing in an ASCII grid could tell that two of its rows changed places.
    "meic_ascii": (generate.meic_ascii, read_meic,
                   tuple(fuzz.unseen(m) if m.__name__ == "shuffled_lines" else m for m in fuzz.TEXT)),
    "carbontracker": (generate.carbontracker, read_carbontracker, fuzz.HDF),
    "openghg_flux": (generate.openghg, read_openghg_flux, fuzz.HDF),
    # A sector under another name is what the file then says; its total is held against ch4_total.
    "open_methane": (generate.open_methane, read_open_methane,
                     tuple(fuzz.unseen(m) if m.__name__ == "renamed" else m for m in fuzz.HDF)),
    "described": (generate.edgar_flux, functools.partial(read_described, description=DESCRIPTION), fuzz.HDF),
    "coco2": (generate.coco2, read_coco2, fuzz.TEXT),
}  # fmt: skip


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", READERS)
def test_fuzz(name, count, tmp_path):
    make, read, mutations = READERS[name]
    tally = fuzz.fuzz(read, make(tmp_path), mutations, count, tmp_path)
    print(f"\nfuzz {name}: {tally}")
    assert tally["refused"] > 0.3 * count


# --- units, by hand ---
def test_trap_20_edgar_flux_and_tonnes_per_cell(tmp_path):
    flux = read_edgar(generate.edgar_flux(tmp_path))
    assert flux.sectors == ("ENE",) and flux.species == "CH4" and flux.grid.x_edges[0] == 10.0
    np.testing.assert_allclose(flux.rate[0, 0, 0, :2], np.float32([1e-9, 2e-9]).astype(float) * FIRST_CELL, rtol=1e-9)
    tonnes = read_edgar(generate.edgar_emi(tmp_path))
    assert [str(t) for t in tonnes.times] == ["2020-01-01T00:00:00", "2021-01-01T00:00:00"]
    # 2020 has 366 d; 1…12 t sum to 78 t. The globe begins at −180°: the file's third column comes first.
    np.testing.assert_allclose(tonnes.total() * 366 * 86400, 78e3, rtol=1e-13)
    np.testing.assert_allclose(tonnes.rate[0, 0, 0] * 366 * 86400, [3e3, 4e3, 1e3, 2e3], rtol=1e-13)
    assert tonnes.grid.x_edges.tolist() == [-180.0, -90.0, 0.0, 90.0, 180.0]
    assert tonnes.grid.y_edges.tolist() == [-90.0, -30.0, 30.0, 90.0]


def test_trap_20_a_month_of_tonnes_is_of_that_month(tmp_path):
    month = read_edgar(generate.edgar_emi(tmp_path, "v8.0_FT2022_GHG_CO2_2020_2_ENE_emi.nc"))
    np.testing.assert_allclose(month.total() * 29 * 86400, 78e3, rtol=1e-13)


def test_trap_21_short_cycle_carbon_is_a_sector_of_its_own(tmp_path):
    fossil = read_edgar(generate.edgar_emi(tmp_path))
    bio = read_edgar(generate.edgar_emi(tmp_path, "v8.0_FT2022_GHG_CO2bio_2020_ENE_emi.nc", "CO2bio"))
    assert bio.sectors == ("ENE short-cycle",) and "short-cycle" in bio.sources[0].notes[1]
    assert cells.joined([fossil, bio]).sectors == ("ENE", "ENE short-cycle")
    old = generate.edgar_flux(tmp_path, "v6.0_CO2_org_short-cycle_C_2018_TOTALS.0.1x0.1.nc", variable="emi_co2")
    assert read_edgar(old).sectors == ("TOTALS short-cycle",)
    with pytest.raises(TanhengError, match="another substance"):
        read_edgar(generate.edgar_emi(tmp_path, substance="CO2bio"))


def test_trap_22_odiac_is_carbon_per_month(tmp_path):
    month = read_odiac(generate.odiac_tiff(tmp_path))
    # February 2019: 28 d; 78 tC in all; first row of the file is the northernmost.
    np.testing.assert_allclose(month.total() * 28 * 86400, 78e3 * CO2_PER_CARBON, rtol=1e-12)
    np.testing.assert_allclose(month.rate[0, 0, -1, 0] * 28 * 86400, 1e3 * CO2_PER_CARBON, rtol=1e-12)
    np.testing.assert_allclose(month.grid.y_edges[-1], 50.0)
    year = read_odiac(generate.odiac_netcdf(tmp_path))
    area = 6371000.0**2 * np.deg2rad(1.0) * (np.sin(np.deg2rad(51.0)) - np.sin(np.deg2rad(50.0)))
    np.testing.assert_allclose(year.rate[0, 2, 0, 1], 2 * 3 * 1e-3 / 86400 * CO2_PER_CARBON * area, rtol=1e-12)
    assert year.sectors == ("fossil", "international bunkers") and len(year.times) == 13


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "deflate", "predictor": 3},
                                     {"tile": (16, 16)}])  # fmt: skip
def test_a_window_of_a_geotiff(tmp_path, options):
    if options.get("compression") == "lzw" or "predictor" in options:
        pytest.importorskip("imagecodecs")
    values = np.random.default_rng(0).random((50, 70)).astype("f4")
    path = generate.odiac_tiff(tmp_path, values=values, **options)
    whole = read_odiac(path)
    step = 1.0 / 120.0
    part = read_odiac(path, box=(10.0 + 20.2 * step, 10.0 + 30.5 * step, 50.0 - 40 * step, 50.0 - 19.5 * step))
    # The box touches columns 20…30 and rows 19…39 from the north.
    np.testing.assert_allclose(part.rate[0, 0], whole.rate[0, 0][10:31, 20:31], rtol=1e-12)
    np.testing.assert_allclose(whole.rate[0, 0] * 28 * 86400e-3 / CO2_PER_CARBON, values[::-1], rtol=1e-6)
    assert part.steps[0].dropped == (("cells outside the box", 50 * 70 - 21 * 11),)


def test_gfed_dry_matter(tmp_path):
    year = read_gfed(generate.gfed_year(tmp_path), "CH4")
    with h5py.File(tmp_path / "GFED4.1s_2016.hdf5") as h:
        area = float(np.asarray(h["ancill/grid_cell_area"])[0, 1])
    # February 2016 has 29 d; DM 2 · 2e-3 kg m-2, half of it savanna at 1.94 g kg-1; north is the last row.
    np.testing.assert_allclose(year.rate[0, 1, -1, 1], 4e-3 * 0.5 * 1.94e-3 * area / (29 * 86400), rtol=1e-12)
    assert year.sectors == ("SAVA", "BORF", "TEMF", "DEFO", "PEAT", "AGRI")


def test_cams_reg_teragrams_per_cell(tmp_path):
    got = read_cams_reg(generate.cams_reg(tmp_path))
    np.testing.assert_allclose(got.rate[3, 0, 0, 1], 2e-6 * 1e9 / (365 * 86400), rtol=1e-12)
    assert got.sectors == tuple("ABCDEFGHIJKL") and got.classification == "GNFR"


def test_tno_areas_and_points(tmp_path):
    path = generate.tno(tmp_path)
    got, points = read_tno(path, "CO2"), read_tno_points(path, "CO2")
    year = 365 * 86400
    expected = {"A": 3e6, "A short-cycle": 1e5, "B": 3e6, "B short-cycle": 2e5}
    np.testing.assert_allclose([got.totals()[k] * year for k in expected], list(expected.values()), rtol=1e-12)
    assert got.rate[0, 0, 0, 1] * year == pytest.approx(2e6) and points.total() * year == pytest.approx(5e6)
    assert points.points[0].sector == "B" and points.points[0].lon == pytest.approx(10.35)
    assert got.steps[-1].dropped == (("point sources", 1),)


@pytest.mark.parametrize("make", [generate.meic_netcdf, generate.meic_ascii])
def test_meic_tonnes_per_month_north_first(tmp_path, make):
    got = read_meic(make(tmp_path))
    # February 2017: 28 d; 78 t less the missing sixth cell; 1 t lies in the north-west.
    np.testing.assert_allclose(got.total() * 28 * 86400, 72e3, rtol=1e-12)
    np.testing.assert_allclose(got.rate[0, 0, -1, 0] * 28 * 86400, 1e3, rtol=1e-12)
    assert (got.grid.x_edges[0], got.grid.y_edges[-1]) == (70.0, 10.75)
    assert "1 negative values" in got.sources[0].notes[1]


def test_trap_01_carbontracker_times_are_the_middle(tmp_path):
    got = read_carbontracker(generate.carbontracker(tmp_path))
    assert [str(t)[11:16] for t in got.times[[0, 1, -1]]] == ["00:00", "03:00", "00:00"]
    area = 6371000.0**2 * np.deg2rad(1.0) * (np.sin(np.deg2rad(21.0)) - np.sin(np.deg2rad(20.0)))
    np.testing.assert_allclose(got.rate[0, 0, 0, 1], -2e-8 * 44.0095e-3 * area, rtol=1e-12)


def test_openghg_periods(tmp_path):
    two = read_openghg_flux(generate.openghg(tmp_path))
    assert [str(t)[:10] for t in two.times] == ["2018-01-01", "2018-02-01", "2018-03-01"]
    one = generate.openghg(tmp_path, times=(0,))
    with pytest.raises(TanhengError, match="periods"):
        read_openghg_flux(one)
    assert str(read_openghg_flux(one, period="year").times[1])[:10] == "2019-01-01"


# --- any file by a description ---
def test_a_description_gives_what_the_reader_gives(tmp_path):
    path = generate.edgar_flux(tmp_path)
    (tmp_path / "d.yaml").write_text(
        "species: CH4\nunit: kg m-2 s-1\nstated_unit: kg m-2 s-1\nperiod: [2015-01-01, 2016-01-01]\n"
        "sectors: {energy: emi_ch4}\n"
    )
    got, own = read_described(path, tmp_path / "d.yaml"), read_edgar(path)
    np.testing.assert_array_equal(got.rate, own.rate)
    np.testing.assert_array_equal(got.times, own.times)


@pytest.mark.parametrize(("change", "word"), [
    ({"unitt": "kg"}, "keys"), ({"unit": "kg m-2"}, "unit"), ({"stated_unit": None}, "stated_unit"),
    ({"period": ["2015-01-01", "2015-13-01"]}, "period"), ({"period": "2015"}, "period"), ({"signed": "no"}, "signed"),
    ({"sectors": []}, "sectors"), ({"missing": "skip"}, "missing"), ({"species": "SF6"}, "species"),
    ({"x": "longitude"}, "longitude"), ({"unit": "t cell-1 month-1"}, "periods"),
    ({"stated_unit": "g m-2 s-1"}, "unit"), ({"crs": "EPSG:0"}, "projection"),
])  # fmt: skip
def test_a_description_is_strict(tmp_path, change, word):
    with pytest.raises(TanhengError, match=word):
        read_described(generate.edgar_flux(tmp_path), DESCRIPTION | change)


def test_a_described_geotiff_in_tonnes_of_carbon(tmp_path):
    path = generate.odiac_tiff(tmp_path, "any.tif")
    description = {"species": "CO2", "unit": "tC cell-1 month-1", "period": ["2019-02-01", "2019-03-01"],
                   "sectors": {"fossil": "band 1"}}  # fmt: skip
    np.testing.assert_allclose(
        read_described(path, description).total() * 28 * 86400, 78e3 * CO2_PER_CARBON, rtol=1e-12
    )


# --- cells and boxes ---
def test_axes_either_way_round_and_boxes():
    down = cells.cells_of(np.arange(0.5, 360.0), np.arange(89.5, -90.0, -1.0), "test", (170.0, 190.0, -10.0, -8.5))
    assert down.grid.x_edges[[0, -1]].tolist() == [170.0, 190.0]
    assert down.columns[[0, 9, 10]].tolist() == [
        170,
        179,
        180,
    ]
    assert down.grid.y_edges.tolist() == [-10.0, -9.0, -8.0] and down.rows.tolist() == [99, 98]
    west = cells.cells_of(np.arange(20.5, 10.0, -1.0), np.array([1.5, 0.5]), "test", (12.0, 15.0, 0.0, 1.0))
    # 20.5 comes first in the file: the cells at 12.5, 13.5, 14.5 are its numbers 8, 7, 6
    assert west.columns.tolist() == [8, 7, 6] and west.rows.tolist() == [1]
    wrapped = cells.cells_of(np.arange(-179.5, 180.0), np.arange(-89.5, 90.0), "test", (170.0, 190.0, -10.0, -8.5))
    assert wrapped.columns[[0, 9, 10, 19]].tolist() == [350, 359, 0, 9]
    poles = cells.cells_of(np.arange(0.0, 360.0, 5.0), np.linspace(-90.0, 90.0, 46), "test")
    assert poles.grid.y_edges[[0, 1, -1]].tolist() == [-90.0, -88.0, 90.0]
    np.testing.assert_allclose(poles.grid.areas.sum(), 4.0 * np.pi * 6371000.0**2, rtol=1e-12)


@pytest.mark.parametrize("read", [read_edgar, read_cams_reg, read_meic, read_odiac])
def test_names_that_do_not_say_what_a_file_holds(tmp_path, read):
    with pytest.raises(TanhengError, match="does not say what it holds"):
        read(tmp_path / "emissions_2020.nc")


@pytest.mark.parametrize("box", [(10.0, 5.0, 0.0, 1.0), (10.0, 11.0, 40.0, 41.0), (10.0, 11.0, 1.0, 0.0)])
def test_boxes_that_cannot_be_meant(tmp_path, box):
    with pytest.raises(TanhengError, match="box"):
        read_edgar(generate.edgar_flux(tmp_path), box)


def test_months_are_joined(tmp_path):
    months = [read_edgar(generate.edgar_emi(tmp_path, f"v8.0_FT2022_GHG_CO2_2020_{m}_ENE_emi.nc")) for m in (2, 1, 3)]
    year = cells.joined(months)
    assert [str(t)[:7] for t in year.times] == ["2020-01", "2020-02", "2020-03", "2020-04"]
    np.testing.assert_allclose((year.rate.sum(axis=(0, 2, 3)) * year.seconds), 78e3, rtol=1e-13)
    with pytest.raises(TanhengError, match="joined"):
        cells.joined([months[0], months[2], read_edgar(generate.edgar_flux(tmp_path))])


# --- real files; the numbers were taken with h5py, or from the text ---
def test_real_epa(real):
    got = read_epa(real("priors/GEPA_Annual_2012_v1.nc"))
    # 2.02263465295872e14 molec cm-2 s-1 of underground coal at 39.95° N, 80.45° W; sum over the file by hand
    sector = got.sectors.index("1B1a_Coal_Mining_Underground")
    np.testing.assert_allclose(got.rate[sector, 0, 199, 495], 5.10716839175667, rtol=1e-9)
    np.testing.assert_allclose(got.total(), 907.4912014661479, rtol=1e-9)


@pytest.mark.parametrize(("name", "period", "total"), [
    ("priors/ch4-anthro_EUROPE_2012.nc", "year", 2344.915568932335),
    ("uk_ch4_acrg_tdmcmc/flux/ch4_EUROPE_reduced_2013.nc", "year", 2722.8468989502935),
])  # fmt: skip
def test_real_openghg(real, name, period, total):
    got = read_openghg_flux(real(name), period=period)
    np.testing.assert_allclose(got.total(), total, rtol=2e-6)  # by hand with edges from single precision


def test_real_hourly_and_sinks(real):
    hours = read_openghg_flux(real("priors/co2-edgar-ff-1hr_EUROPE_2018.nc"))
    np.testing.assert_allclose(hours.rate[0, 0].sum(), 60338.24284093534, rtol=2e-6)
    assert str(hours.times[-1]) == "2018-01-01T02:00:00"
    gpp = read_openghg_flux(real("priors/co2-gpp-cardamom_EUROPE_2012.nc"), period="month")
    assert gpp.total() < 0.0
    ukghg = real("priors/co2-ukghg-ff-1hr_EUROPE_2018.nc")
    with pytest.raises(TanhengError, match="3582 missing"):
        read_openghg_flux(ukghg)
    zero = read_openghg_flux(ukghg, missing_is_zero=True)
    assert "3582 missing values" in zero.sources[0].notes[-1]


def test_real_open_methane_is_what_the_case_uses(real):
    path = real("openmethane_bowen_basin/case_2022-12-07/prior/prior-emissions.nc")
    got = read_open_methane(path)
    # Σ flux · 10⁸ m2 with h5py: 6.57784 kg s-1 = 23.680 t h-1
    np.testing.assert_allclose(got.total(), 6.5778372281202655, rtol=1e-12)
    np.testing.assert_allclose(got.totals()["fugitive"], 4.783832961493577, rtol=1e-12)
    with h5py.File(path) as h:
        for i, sector in enumerate(got.sectors):
            np.testing.assert_allclose(
                got.rate[i, 0], np.asarray(h[f"ch4_sector_{sector}"], float)[0, 0] * 1e8, rtol=1e-12
            )
    # The trap: the true areas would give another total.
    true = float((got.rate.sum(axis=(0, 1)) * got.grid.areas / 1e8).sum())
    assert abs(true / got.total() - 1.0) > 1e-3
    july = read_open_methane(real("openmethane_bowen_basin/case_2022-07-22/prior/prior-emissions.nc"))
    np.testing.assert_allclose(july.total() * 3.6, 144.85, rtol=1e-4)


def test_real_coco2(real):
    path = real("matimba_no2_era5/coco2_ps_database/coco2_ps_catalogue_v1.1.csv")
    plants = read_coco2(path, box=(27.5, 27.7, -23.8, -23.6))
    # Matimba, six units of 3769503.02976834 t yr-1, and Medupi, three of 4505264.67377425 t yr-1
    by_hand = (6 * 3769503.02976834 + 3 * 4505264.67377425) * 1e3 / (365 * 86400)
    assert len(plants.points) == 9 and plants.total() == pytest.approx(by_hand, rel=1e-12)
    assert len(read_coco2(path).points) == 16461

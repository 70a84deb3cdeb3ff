"""Files that a description explains: order of axes, times, limits, missing values, and units of projections."""

import numpy as np
import pytest
import tifffile
import xarray as xr

from inversion.observations.readers.files import NetCDF
from priors.readers import generic, odiac, time_axis
from priors.readers.cells import cells_of
from tests.priors import generate
from tests.priors.fuzz_inventories import small
from transport.errors import TanhengError

BASE = {
    "species": "CO2", "unit": "kg m-2 s-1", "stated_unit": "kg m-2 s-1", "period": ("2019-01-01", "2020-01-01"),
    "sectors": {"a": "flux"},
}  # fmt: skip
TIFF = {"species": "CO2", "unit": "t cell-1 yr-1", "period": ("2019-01-01", "2020-01-01"), "sectors": {"a": "x"}}
FLUX = 1e-9 * generate.RISING
# Middles of the months of 2019 in days.
MONTHS = np.array([15.5, 45, 74.5, 105, 135.5, 166, 196.5, 227.5, 258, 288.5, 319, 349.5])


def written(folder, values, dims=("lat", "lon"), attributes=None, **coordinates):
    axes = generate.axes(10.05 + 0.1 * np.arange(4), 0.05 + 0.1 * np.arange(3)) | coordinates
    return small(xr.Dataset({"flux": (dims, values, {"units": "kg m-2 s-1"} | (attributes or {})), **axes}),
                 folder / "any.nc")  # fmt: skip


def monthly(folder, unit="days since 2019-01-01", calendar="standard", offset=0.0):
    time = (("time",), MONTHS + offset, {"units": unit, "calendar": calendar})
    return written(folder, np.arange(1.0, 13.0)[:, None, None] * FLUX, ("time", "lat", "lon"), time=time)


def read(path, **change):
    return generic.read_described(path, BASE | change)


def test_the_order_of_axes_does_not_matter(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4) * 1e-9
    time = (("time",), np.array([90.0, 270.0]), {"units": "days since 2019-01-01"})
    plain = read(written(tmp_path, values, ("time", "lat", "lon"), time=time), time="time")
    turned = read(written(tmp_path, np.moveaxis(values, 0, 2), ("lat", "lon", "time"), time=time), time="time")
    np.testing.assert_array_equal(turned.rate, plain.rate)


# --- times ---
def test_months_are_not_equal_parts(tmp_path):
    got = read(monthly(tmp_path), time="time", step="month")
    # Σ k · days of month k = 31 + 56 + 93 + 120 + 155 + 180 + 217 + 248 + 270 + 310 + 330 + 372 = 2382
    assert got.total() == pytest.approx(got.rate[0, 0].sum() * 2382 / 365)
    with pytest.raises(TanhengError, match="step"):
        read(monthly(tmp_path), time="time")


@pytest.mark.parametrize(("unit", "calendar", "offset"), [
    ("days since 1850-01-01", "noleap", 169 * 365.0), ("days since 2019-01-01", "360_day", 0.0),
    ("days since 0001-01-01", "standard", 737059.0), ("days since 2019-01-01 00:00:00 +08:00", "standard", 0.0),
    ("days since 2019-01-01 00:00:00 -05:00", "standard", 0.0),
])  # fmt: skip
def test_other_calendars_and_zones_are_refused(tmp_path, unit, calendar, offset):
    path = monthly(tmp_path, unit, calendar, offset)
    with pytest.raises(TanhengError, match=r"calendar|wrong unit"):
        read(path, time="time", step="month")
    with NetCDF(path) as nc, pytest.raises(TanhengError, match=r"calendar|times"):
        time_axis.times_of(nc)


@pytest.mark.parametrize("epoch", ["", " 00:00:00Z", "T00:00:00.0 +00:00", " 00:00 UTC"])
def test_universal_time_in_its_spellings(tmp_path, epoch):
    with NetCDF(monthly(tmp_path, f"days since 2019-01-01{epoch}", "proleptic_gregorian")) as nc:
        assert str(time_axis.times_of(nc)[0]) == "2019-01-16T12:00:00"


# --- what is missing ---
@pytest.mark.parametrize("limits", [{"valid_max": 11.5e-9}, {"valid_range": [0.0, 11.5e-9]},
                                    {"valid_min": 0.0, "valid_max": 11.5e-9}])  # fmt: skip
def test_values_beyond_their_stated_limits_are_missing(tmp_path, limits):
    path = written(tmp_path, FLUX, attributes=limits)
    with pytest.raises(TanhengError, match="1 missing"):
        read(path)
    got = read(path, missing="zero")
    assert got.rate[0, 0, 2, 3] == 0.0 and got.rate[0, 0, 2, 2] > 0.0
    assert "1 missing values taken as zero" in got.sources[0].notes


def test_limits_of_packed_numbers(tmp_path):
    packed = generate.RISING.astype("i2")
    path = written(tmp_path, packed, attributes={"scale_factor": 1e-9, "valid_max": np.int16(11)})
    assert read(path, missing="zero").rate[0, 0, 2, 3] == 0.0
    path = written(tmp_path, packed, attributes={"scale_factor": 1e-9, "valid_max": 10.5e-9})
    assert (read(path, missing="zero").rate[0, 0, 2] == 0.0).tolist() == [False, False, True, True]
    with pytest.raises(TanhengError, match="limits"):
        read(written(tmp_path, FLUX, attributes={"valid_range": [0.0, 1.0, 2.0]}))


def test_undeclared_missing_values_among_sinks(tmp_path):
    path = written(tmp_path, np.where(np.eye(3, 4) > 0, -9999.0, 1.0))
    with pytest.raises(TanhengError, match="mean missing"):
        read(path, unit="nmol m-2 s-1", signed=True)


def test_nodata_of_a_geotiff(tmp_path):
    values = generate.RISING.copy()
    values[0, 0] = -9999.0
    path = generate.odiac_tiff(tmp_path, nodata="-9999", values=values)
    with pytest.raises(TanhengError, match="1 missing"):
        generic.read_described(path, TIFF)
    got = generic.read_described(path, TIFF | {"missing": "zero"})
    np.testing.assert_allclose(got.total() * 365 * 86400, 77e3, rtol=1e-12)
    assert "1 missing values taken as zero" in got.sources[0].notes
    assert "1 cells without data are 0" in odiac.read_odiac(path).sources[0].notes
    with pytest.raises(TanhengError, match="stated_unit"):
        generic.read_described(path, TIFF | {"stated_unit": "t"})


# --- units of projections ---
# New York in feet of 1200/3937 m; 1 km is 3280.8333 of them.
FEET, LAEA = 3937.0 / 1200.0, "+proj=laea +lat_0=50 +lon_0=10"


@pytest.mark.parametrize(("crs", "unit", "start", "step", "metres"), [
    (LAEA, "m", 0.0, 1e3, 1e3), (f"{LAEA} +units=km", "km", 0.0, 1.0, 1e3),
    (f"{LAEA} +units=km", "m", 0.0, 1e3, 1e3), (LAEA, "km", 0.0, 1.0, 1e3),
    ("EPSG:2263", "US_survey_foot", 1e6, 1e3, 1e3 / FEET), ("EPSG:2263", "m", 3e5, 1e3, 1e3),
])  # fmt: skip
def test_coordinates_in_the_unit_of_their_projection_or_another(tmp_path, crs, unit, start, step, metres):
    axes = {n: ((n,), start + step * np.arange(k), {"units": unit}) for n, k in (("lon", 4), ("lat", 3))}
    got = read(written(tmp_path, np.full((3, 4), 1e-9), **axes), crs=crs)
    # A uniform flux on twelve cells; the areal scale of each projection there is one to 1.3 · 10⁻³.
    assert got.total() == pytest.approx(12 * metres**2 * 1e-9, rel=2e-3)


@pytest.mark.parametrize(("unit", "metres"), [(9003, 1e3 / FEET), (9001, 1e3), (None, 1e3 / FEET), (9005, None)])
def test_a_geotiff_in_feet(tmp_path, unit, metres):
    start = 1e6 if unit != 9001 else 3e5
    keys = (1, 1, 0, 3 + (unit is not None), 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 2263)
    keys += () if unit is None else (3076, 0, 1, unit)
    tags = [(33550, 12, 3, (1e3, 1e3, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, start, 6e4, 0.0), True),
            (34735, 3, len(keys), keys, True)]  # fmt: skip
    tifffile.imwrite(tmp_path / "feet.tif", np.full((3, 4), 1e-9, "f4"), extratags=tags, metadata=None)
    description = TIFF | {"unit": "kg m-2 s-1"}
    if metres is None:
        with pytest.raises(TanhengError, match="linear unit"):
            generic.read_described(tmp_path / "feet.tif", description)
        return
    got = generic.read_described(tmp_path / "feet.tif", description)
    assert got.total() == pytest.approx(12 * metres**2 * 1e-9, rel=1e-3)


@pytest.mark.parametrize(("change", "word"), [({"period": 5}, "period"), ({"crs": "EPSG:32633"}, "evenly")])
def test_what_is_no_description_of_the_file(tmp_path, change, word):
    one = {n: ((n,), 4e5 + 1e3 * np.arange(k), {"units": "m"}) for n, k in (("lon", 4), ("lat", 1))}
    with pytest.raises(TanhengError, match=word):
        read(written(tmp_path, FLUX[:1], **one), **change)


@pytest.mark.parametrize("box", [(1, 2, 3), (1.0, 2.0, 3.0, np.nan), ("1", "2", "3", "4")])
def test_boxes_of_another_form(box):
    with pytest.raises(TanhengError, match="box"):
        cells_of(np.arange(170.5, 190), np.arange(-9.5, 10), "x", box)

"""Synthetic CO2M over Berlin: the real file of the SMARTCARB project."""

import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.smartcarb import read_co2m
from tests.inversion.observations.fuzz import HDF, fuzz
from transport.errors import TanhengError

SWATH = "smartcarb_berlin_co2/Sentinel_7_CO2_2015042311_subset.nc"
TRACERS = ("XCO2_BG", "XCO2_A", "XCO2_BV", "XCO2_JV", "XCO2_RA", "XCO2_GPP", "XCO2_TOT")


@pytest.fixture
def cut(real, tmp_path):
    path = tmp_path / "co2m.nc"
    names = [*TRACERS, "uXCO2", "time", "latitude", "longitude", "latitude_corners", "longitude_corners", "CLCT"]
    with xr.open_dataset(
        real(SWATH), engine="h5netcdf", decode_times=False, mask_and_scale=False, decode_coords=False
    ) as whole:
        whole[names].isel(nobs=slice(398, 402), nrows=slice(58, 63)).load().to_netcdf(path, engine="h5netcdf")
    return path


def test_pixels_of_the_swath(real):
    """Pixel 400, 60: 405.56207 + 0.23352 + 0 + 0 + 0.14018 − 0.41330 ppm, noise 1.33021; strongest plume at 507, 91."""
    o = read_co2m(real(SWATH))
    assert len(o) == 42198 and o.steps[0].dropped == (("no value", 57555),)
    (row,) = np.flatnonzero((np.abs(o.lat - 53.37718) < 1e-5) & (np.abs(o.lon - 14.613925) < 1e-5))
    expected = 405.56207275390625 + 0.2335173487663269 + 0.14018134772777557 - 0.41330111026763916
    np.testing.assert_allclose([o.values[row], o.sigma[row]], [expected, 1.3302115201950073], rtol=1e-9)
    assert str(o.start[row]) == "2015-04-23T11:13:43.000000000" and o.corners is not None
    jv = int(np.argmin(np.abs(o.extra["XCO2_JV"] - 4.9534831)))
    expected = 405.38336181640625 + 0.21571393311023712 + 0.05158267542719841 + 4.9534831047058105 + 0.27629512548446655
    np.testing.assert_allclose(o.values[jv], expected - 0.4807884395122528, rtol=1e-9)
    assert (np.abs(o.corners.mean(axis=1) - np.stack([o.lon, o.lat], axis=1)) < 1e-3).all()


def test_it_says_that_it_is_synthetic(real):
    o = read_co2m(real(SWATH))
    assert set(o.instruments) == {"CO2M (synthetic)"} and set(o.groups) == {"CO2M synthetic 2015-04-23"}
    assert o.sources[0].notes[0].startswith("SYNTHETIC")


def test_tracers_are_kept_under_their_names(real):
    o = read_co2m(real(SWATH))
    assert {"XCO2_BC", "CLCT", "PS", *TRACERS} <= set(o.extra)
    parts = [o.extra[n] for n in TRACERS[:5]]
    np.testing.assert_allclose(sum(parts) - o.extra["XCO2_GPP"], o.values, rtol=1e-12)
    with h5py.File(real(SWATH)) as h:
        values = np.asarray(h["XCO2_BV"])
    np.testing.assert_array_equal(o.extra["XCO2_BV"], values[values < 1e30])


def test_noise_is_stated_only_where_the_file_has_it(real):
    assert np.isnan(read_co2m(real(SWATH)).sigma).sum() == 7819


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("XCO2_JV", lambda x: x + 1.0, "sources and total differ"),
        ("XCO2_BG", lambda x: x * 1e-6, "value cannot be meant"),
        ("XCO2_RA", lambda x: x * np.nan, "no value"),
    ],
)
def test_tracers_that_do_not_fit_are_refused(cut, name, change, reason):
    with h5py.File(cut, "a") as h:
        h[name][...] = change(h[name][...])
    with pytest.raises(TanhengError, match="no observation is left") as error:
        read_co2m(cut)
    assert reason in str(error.value)


def test_a_file_that_is_not_synthetic_is_refused(cut):
    with h5py.File(cut, "a") as h:
        h.attrs["DESCRIPTION"] = "Level-2 data"
    with pytest.raises(TanhengError, match="does not call itself synthetic"):
        read_co2m(cut)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_smartcarb(cut, tmp_path, count):
    (tmp_path / "fuzz").mkdir()
    tally = fuzz(read_co2m, cut, HDF, count, tmp_path / "fuzz")
    print(tally)
    assert tally["refused"] > 0.3 * count and tally["same"] > 0

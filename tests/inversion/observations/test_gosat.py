"""GOSAT proxy methane: four genuine days of the Leicester product."""

import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.gosat import read_gosat
from tests.inversion.observations.by_hand import column, linear
from tests.inversion.observations.fuzz import HDF, fuzz, levels_turned
from transport.errors import TanhengError

FOLDER = "satellite_and_column_l2/gosat_ocpr_l2/ESACCI-GHG-L2-CH4-GOSAT-OCPR-"
NAMES = ("time", "latitude", "longitude", "xch4", "xch4_uncertainty", "xch4_quality_flag", "pressure_levels",
         "pressure_weight", "xch4_averaging_kernel", "ch4_profile_apriori", "surface_altitude",
         "retr_flag")  # fmt: skip


@pytest.fixture
def day(real):
    return real(f"{FOLDER}20120105-fv7.2.nc")


@pytest.fixture
def cut(day, tmp_path):
    """Eight soundings around the two over high ground."""
    path = tmp_path / "GOSAT_cut.nc"
    with xr.open_dataset(
        day, engine="h5netcdf", decode_times=False, mask_and_scale=False, decode_coords=False
    ) as whole:
        whole[list(NAMES)].isel(n=slice(564, 572)).load().to_netcdf(path, engine="h5netcdf")
    return path


@pytest.mark.parametrize(
    ("date", "all_", "good", "index", "value", "sigma", "surface", "lowest"),
    [
        ("20120101", 2417, 1053, 207, 1757.8406, None, 97626.41602, 1766.5319824),
        ("20120102", 2278, 959, 3, 1717.5312, None, 95777.89917, 1753.5223389),
        ("20120105", 2242, 1023, 0, 1734.2582, None, 97228.93066, 1763.2022705),
        ("20141205", 2200, 950, 3, 1736.4, None, 96181.89087, 1769.7382812),
    ],
)
def test_the_first_good_sounding_of_each_day(real, date, all_, good, index, value, sigma, surface, lowest):
    """Values read off with h5py; their positions are 207, 3, 0 and 3 of the four files."""
    path = real(f"{FOLDER}{date}-fv7.2.nc")
    o = read_gosat(path)
    assert (o.steps[0].before, len(o)) == (all_, good) and o.unit == "ppb"
    with h5py.File(path) as h:
        sigma, lon, lat, time = (float(h[n][index]) for n in ("xch4_uncertainty", "longitude", "latitude", "time"))
    v = o.vertical
    assert v is not None
    got = [o.values[0], o.sigma[0], o.lon[0], o.lat[0], v.pressure[0, 0], v.prior[0, 0]]
    np.testing.assert_allclose(got, [value, sigma, lon, lat, surface, lowest], rtol=1e-6)
    assert (o.start[0] - np.datetime64("1970-01-01")) / np.timedelta64(1, "s") == time
    assert str(o.groups[0]) == f"GOSAT {date[:4]}-{date[4:6]}-{date[6:]}"
    assert dict(o.steps[0].dropped)["quality flag is not 0"] > 1000


@pytest.mark.parametrize("index", [0, 568, 569])
def test_a_column_is_that_of_the_products_formula(day, index):
    """XCH4 = Σ_j h_j [(1 − a_j) x_a,j + a_j x_j] in the file's order, over the levels that are not −9999.99."""
    with h5py.File(day) as h:
        good = np.flatnonzero(np.asarray(h["xch4_quality_flag"]) == 0)
        p, w, a, x_a = (np.asarray(h[n][index], float) for n in NAMES[6:10])
    total = 0.0
    for j in range(20):
        if p[j] > 0.0:
            x = 1700.0 + (1950.0 - 1700.0) * p[j] / 1000.0
            total += w[j] * ((1.0 - a[j]) * x_a[j] + a[j] * x)
    (row,) = np.flatnonzero(good == index)
    assert abs(column(read_gosat(day).vertical, row, linear(1950.0, 1700.0)) - total) < 1e-6


def test_trap_11_missing_levels_are_no_pressures_and_the_prior_is_in_ppb(day):
    v = read_gosat(day).vertical
    assert v is not None and not v.layered.any()
    with h5py.File(day) as h:
        good = np.flatnonzero(np.asarray(h["xch4_quality_flag"]) == 0)
    (row,) = np.flatnonzero(good == 568)
    assert np.isnan(v.pressure[row, -1]) and np.isnan(v.weights[row, -1]) and np.isfinite(v.pressure[row, :-1]).all()
    np.testing.assert_allclose(v.pressure[row, [0, 1, 18]], [66184.74731, 62077.7832, 10.0], rtol=1e-6)
    assert np.isnan(v.pressure[:, -1]).sum() == 4  # four good soundings of that day lack their lowest level
    assert np.nanmin(v.pressure) > 0.0
    np.testing.assert_allclose(np.nansum(v.weights, axis=1), 1.0, atol=1e-6)
    assert np.nanmin(v.prior) > 100.0 and np.nanmax(v.prior) < 3000.0
    assert (v.prior_value > 1690.0).all() and (v.prior_value < 1860.0).all()


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("pressure_levels", lambda a: a[:, ::-1], "pressures do not decrease|a level is missing"),
        ("pressure_weight", lambda a: a[:, ::-1], "weights do not follow the pressures|a level is missing"),
        ("pressure_weight", lambda a: np.where(a > 0.0, 0.9 * a, a), "weights do not sum to one"),
        ("ch4_profile_apriori", lambda a: np.where(a > 0.0, np.nan, a), "a level is missing"),
        ("xch4", lambda a: a * 1e-3, "value cannot be meant"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(cut, name, change, reason):
    with h5py.File(cut, "a") as h:
        h[name][...] = change(h[name][...])
    with pytest.raises(TanhengError, match="no observation is left") as error:
        read_gosat(cut)
    assert any(r in str(error.value) for r in reason.split("|"))


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_gosat(cut, tmp_path, count):
    (tmp_path / "fuzz").mkdir()
    turned = levels_turned("pressure_levels")
    tally = fuzz(read_gosat, cut, (*HDF, turned), count, tmp_path / "fuzz")
    print(tally)
    assert tally["refused"] > 0.3 * count and tally["same"] > 0

"""TROPOMI methane: the genuine orbit 24725 over Queensland, and what a damaged one does."""

import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.tropomi_ch4 import read_tropomi_ch4
from tests.inversion.observations.by_hand import column, linear
from tests.inversion.observations.fuzz import HDF, fuzz, levels_turned
from transport.errors import TanhengError

ORBIT = (
    "openmethane_bowen_basin/case_2022-07-22/tropomi_l2/"
    "S5P_RPRO_L2__CH4____20220722T025309_20220722T043439_24725_03_020400_20230201T033930.SUB.nc4"
)
SUPPORT = "PRODUCT/SUPPORT_DATA"
KEPT = {
    "PRODUCT": ("time", "scanline", "ground_pixel", "layer", "level", "corner", "latitude", "longitude", "delta_time",
                "qa_value", "methane_mixing_ratio_bias_corrected", "methane_mixing_ratio_precision"),
    f"{SUPPORT}/GEOLOCATIONS": ("latitude_bounds", "longitude_bounds", "solar_zenith_angle"),
    f"{SUPPORT}/DETAILED_RESULTS": ("column_averaging_kernel", "surface_albedo_SWIR", "surface_albedo_NIR"),
    f"{SUPPORT}/INPUT_DATA": ("methane_profile_apriori", "dry_air_subcolumns", "surface_pressure", "pressure_interval",
                              "altitude_levels", "surface_altitude"),
}  # fmt: skip


@pytest.fixture
def orbit(real):
    return real(ORBIT)


@pytest.fixture
def cut(orbit, tmp_path):
    """Two scanlines of five pixels, with the variables that the reader needs and a few of the others."""
    path = tmp_path / "S5P_cut.nc"
    with h5py.File(orbit) as h:
        number = h.attrs["orbit"]
    xr.Dataset(attrs={"orbit": number}).to_netcdf(path, engine="h5netcdf")
    for group, names in KEPT.items():
        with xr.open_dataset(
            orbit, group=group, engine="h5netcdf", decode_times=False, mask_and_scale=False, decode_coords=False
        ) as whole:
            part = whole[list(names)].isel(scanline=slice(15, 17), ground_pixel=slice(19, 23)).load()
        part.drop_attrs(deep=False).to_netcdf(path, mode="a", group=group, engine="h5netcdf")
    return path


def test_soundings_of_the_genuine_orbit(orbit):
    """Scanline 5, pixel 11; 15, 21; 35, 9 of the file, read off with h5py."""
    o = read_tropomi_ch4(orbit)
    assert len(o) == 269 and o.steps[0].dropped == (("no value", 434), ("quality value not above 0.5", 194))
    assert set(o.groups) == {"TROPOMI orbit 24725"} and o.unit == "ppb" and set(o.flags) == {"1.00"}
    expected = [
        (5, 11, 1802.8557, 1.9473553, 149.21121, -23.436852, "03:30:48.305"),
        (15, 21, 1828.7594, 2.137486, 149.98314, -22.698402, "03:30:56.705"),
        (35, 9, 1832.9552, 2.013415, 148.70477, -22.015556, "03:31:13.505"),
    ]
    for scan, pixel, value, sigma, lon, lat, time in expected:
        (row,) = np.flatnonzero((o.extra["scanline"] == 1143 + scan) & (o.extra["ground_pixel"] == 40 + pixel))
        got = [o.values[row], o.sigma[row], o.lon[row], o.lat[row]]
        np.testing.assert_allclose(got, [value, sigma, lon, lat], rtol=1e-7)
        assert str(o.start[row])[:23] == f"2022-07-22T{time}"
    assert o.corners is not None
    np.testing.assert_allclose(o.corners[0], [[149.1697, -23.474787], [149.26309, -23.448153], [149.25243, -23.399061],
                                              [149.15906, -23.425697]], atol=1e-5)  # fmt: skip


def test_trap_09_subcolumns_from_space_to_ground_become_dry_profiles_from_the_ground(orbit):
    o = read_tropomi_ch4(orbit)
    v = o.vertical
    assert v is not None and v.layered.all() and v.pressure.shape == (269, 13)
    np.testing.assert_allclose(v.pressure[0, [0, 1, 12]], [99736.96, 99736.96 - 8310.58, 10.0], atol=0.02)
    # c_a/d of the lowest and the highest layer, Σ c_a / Σ d, kernel at the ground: from the raw numbers.
    np.testing.assert_allclose(v.prior[0, [0, -1]], [1866.81971863, 1390.82876168], rtol=1e-8)
    np.testing.assert_allclose(v.prior_value[0], 1830.1038262669717, rtol=1e-9)
    np.testing.assert_allclose(v.kernel[0, [0, -1]], [1.0897373, 0.64973855], rtol=1e-7)
    np.testing.assert_allclose(v.weights[0, 0], 29104.55273438 / 351911.638671875, rtol=1e-9)
    np.testing.assert_allclose(v.weights.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize(("scan", "pixel"), [(5, 11), (15, 21), (35, 9)])
def test_a_column_is_that_of_the_products_formula(orbit, scan, pixel):
    """XCH4 = 10⁹ Σ_k [c_k + A_k (x_k d_k − c_k)] / Σ d, k from space to ground."""
    with h5py.File(orbit) as h:
        inputs = h[f"{SUPPORT}/INPUT_DATA"]
        c, d = (np.asarray(inputs[n][0, scan, pixel], float) for n in ("methane_profile_apriori", "dry_air_subcolumns"))
        ground, step = (float(inputs[n][0, scan, pixel]) for n in ("surface_pressure", "pressure_interval"))
        kernel = np.asarray(h[f"{SUPPORT}/DETAILED_RESULTS/column_averaging_kernel"][0, scan, pixel], float)
    total = 0.0
    for k in range(12):
        middle = ground - (12 - k - 0.5) * step
        x = 1e-9 * (1700.0 + (1950.0 - 1700.0) * middle / 1e5)
        total += c[k] + kernel[k] * (x * d[k] - c[k])
    o = read_tropomi_ch4(orbit)
    (row,) = np.flatnonzero((o.extra["scanline"] == 1143 + scan) & (o.extra["ground_pixel"] == 40 + pixel))
    assert abs(column(o.vertical, row, linear(1950.0, 1700.0)) - 1e9 * total / d.sum()) < 1e-6


def test_a_kernel_of_one_gives_a_constant_profile_back(orbit):
    v = read_tropomi_ch4(orbit).vertical
    assert v is not None
    np.testing.assert_allclose(v.prior_value + np.sum(v.weights * (1900.0 - v.prior), axis=1), 1900.0, rtol=1e-12)


def test_trap_08_the_precision_is_noise_only_and_says_so(orbit):
    o = read_tropomi_ch4(orbit)
    assert [c.cause for c in o.components] == ["retrieval noise"] and 1.0 < np.median(o.sigma) < 4.0
    assert "about twice" in o.sources[0].notes[0]


def test_the_uncorrected_value_and_the_limit_of_quality_are_options(orbit, cut):
    o = read_tropomi_ch4(orbit, value="uncorrected")
    np.testing.assert_allclose(o.values[0], 1794.5928, rtol=1e-7)
    assert len(read_tropomi_ch4(orbit, qa_minimum=0.3)) == 463
    with pytest.raises(TanhengError, match=r"has no .*destriped"):
        read_tropomi_ch4(orbit, value="destriped")
    with pytest.raises(TanhengError, match="unknown kind"):
        read_tropomi_ch4(orbit, value="best")
    with h5py.File(cut, "a") as h:
        h.copy("PRODUCT/methane_mixing_ratio_bias_corrected", "PRODUCT/methane_mixing_ratio_bias_corrected_destriped")
        h["PRODUCT/methane_mixing_ratio_bias_corrected_destriped"][...] -= 5.0
    before, after = read_tropomi_ch4(cut), read_tropomi_ch4(cut, value="destriped")
    np.testing.assert_allclose(after.values, before.values - 5.0, rtol=1e-6)


def test_extra_numbers(orbit):
    o = read_tropomi_ch4(orbit)
    with h5py.File(orbit) as h:
        nir, swir = (float(h[f"{SUPPORT}/DETAILED_RESULTS/surface_albedo_{b}"][0, 5, 11]) for b in ("NIR", "SWIR"))
        wind = float(h[f"{SUPPORT}/INPUT_DATA/eastward_wind"][0, 5, 11])
    assert abs(o.extra["blended_albedo"][0] - (2.4 * nir - 1.13 * swir)) < 1e-9 and o.extra["eastward_wind"][0] == wind
    assert abs(o.altitude[0] - 148.0) < 5.0


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("altitude_levels", lambda a: a[..., ::-1], "layers do not run from space"),
        ("dry_air_subcolumns", lambda a: a * 1e-3, "dry air is not that"),
        ("pressure_interval", lambda a: a * 0.01, "dry air is not that"),
        ("surface_pressure", lambda a: a * 0.01, "pressures do not decrease"),
        ("methane_profile_apriori", lambda a: -a, "kernel or prior cannot be meant"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(cut, name, change, reason):
    with h5py.File(cut, "a") as h:
        h[f"{SUPPORT}/INPUT_DATA/{name}"][...] = change(h[f"{SUPPORT}/INPUT_DATA/{name}"][...])
    with pytest.raises(TanhengError, match="no observation is left") as error:
        read_tropomi_ch4(cut)
    assert reason in str(error.value)


def test_one_missing_layer_costs_one_sounding(cut):
    n = len(read_tropomi_ch4(cut))
    with h5py.File(cut, "a") as h:
        values = h[f"{SUPPORT}/DETAILED_RESULTS/column_averaging_kernel"]
        values[0, 0, 2, 5] = values.attrs["_FillValue"][0]
    assert len(read_tropomi_ch4(cut)) == n - 1


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_tropomi_ch4(cut, tmp_path, count):
    (tmp_path / "fuzz").mkdir()
    turned = levels_turned(f"{SUPPORT}/INPUT_DATA/altitude_levels")
    tally = fuzz(read_tropomi_ch4, cut, (*HDF, turned), count, tmp_path / "fuzz")
    print(tally)
    assert tally["refused"] > 0.3 * count and tally["same"] > 0


def test_trap_14_the_grid_is_the_soundings_own(orbit):
    """Lowest edge = the surface pressure that the retrieval used, whatever a model's ground may be."""
    o = read_tropomi_ch4(orbit)
    with h5py.File(orbit) as h:
        surface = np.asarray(h[f"{SUPPORT}/INPUT_DATA/surface_pressure"][0], float)
    own = surface[o.extra["scanline"].astype(int) - 1143, o.extra["ground_pixel"].astype(int) - 40]
    assert o.vertical is not None
    np.testing.assert_array_equal(o.vertical.pressure[:, 0], own)

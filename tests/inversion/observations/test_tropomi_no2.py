"""TROPOMI NO2: the genuine cut-out over Matimba, and generated granules for the kernel."""

from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.tropomi_no2 import read_tropomi_no2
from tests.inversion.observations.by_hand import column, linear
from tests.inversion.observations.fuzz import HDF, fuzz
from transport.errors import TanhengError

MATIMBA = "matimba_no2_era5/Matimba_S5P_RPRO_L2__NO2____20210725T110715.nc"
SUPPORT = "PRODUCT/SUPPORT_DATA"
FILL = np.float32(9.96921e36)
LAYERS = 34


def granule(path: Path, **changes) -> Path:
    """A granule of 2 × 3 pixels in the operational form; layer 0 is at the surface. No genuine one is at hand."""
    rng = np.random.default_rng(0)
    eta = np.linspace(1.0, 0.0, LAYERS + 1) ** 1.5
    a, b = 1e5 * (eta - eta**2) * 0.3, eta**2 + 0.7 * (eta - eta**2)
    pixel, shape = ("time", "scanline", "ground_pixel"), (1, 2, 3)
    lat, lon = np.mgrid[0:2, 0:3] * 0.05 + np.array([-23.7, 27.5])[:, None, None]
    bound = 0.02 * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
    quality = np.full(shape, 100, np.uint8)
    quality[0, 0, 1], quality[0, 1, 2] = 75, 76
    fields = {
        "PRODUCT/time": ("time", [365385600], "seconds since 2010-01-01 00:00:00"),
        "PRODUCT/delta_time": (pixel[:2], [[42292595, 42293435]], "milliseconds since 2021-07-31 00:00:00"),
        "PRODUCT/scanline": ("scanline", [1800, 1801], "1"), "PRODUCT/ground_pixel": ("ground_pixel", [7, 8, 9], "1"),
        "PRODUCT/latitude": (pixel, lat[None], "degrees_north"),
        "PRODUCT/longitude": (pixel, lon[None], "degrees_east"),
        "PRODUCT/qa_value": (pixel, quality, "1"),
        "PRODUCT/nitrogendioxide_tropospheric_column": (pixel, rng.uniform(1e-5, 5e-4, shape), "mol m-2"),
        "PRODUCT/nitrogendioxide_tropospheric_column_precision": (pixel, np.full(shape, 3e-5), "mol m-2"),
        "PRODUCT/nitrogendioxide_tropospheric_column_precision_kernel": (pixel, np.full(shape, 1e-5), "mol m-2"),
        "PRODUCT/air_mass_factor_total": (pixel, rng.uniform(1.8, 2.4, shape), "1"),
        "PRODUCT/air_mass_factor_troposphere": (pixel, rng.uniform(0.9, 1.4, shape), "1"),
        "PRODUCT/tm5_tropopause_layer_index": (pixel, np.array([[[20, 21, 22], [19, 20, 21]]], np.int32), "1"),
        "PRODUCT/averaging_kernel": ((*pixel, "layer"), np.linspace(0.3, 1.3, LAYERS) + np.zeros((*shape, 1)), "1"),
        "PRODUCT/tm5_constant_a": (("layer", "vertices"), np.stack([a[:-1], a[1:]], axis=1), "Pa"),
        "PRODUCT/tm5_constant_b": (("layer", "vertices"), np.stack([b[:-1], b[1:]], axis=1), "1"),
        f"{SUPPORT}/INPUT_DATA/surface_pressure": (pixel, rng.uniform(9e4, 9.3e4, shape), "Pa"),
        f"{SUPPORT}/INPUT_DATA/surface_altitude": (pixel, rng.uniform(800.0, 900.0, shape), "m"),
        f"{SUPPORT}/GEOLOCATIONS/latitude_bounds": ((*pixel, "corner"), lat[None, ..., None] + bound[:, 0], None),
        f"{SUPPORT}/GEOLOCATIONS/longitude_bounds": ((*pixel, "corner"), lon[None, ..., None] + bound[:, 1], None),
        f"{SUPPORT}/DETAILED_RESULTS/cloud_fraction_crb_nitrogendioxide_window": (pixel, np.full(shape, 0.02), "1"),
    }  # fmt: skip
    with h5netcdf.File(path, "w") as file:
        file.attrs["orbit"] = np.array([19594], np.int32)
        product = file.create_group("PRODUCT")
        product.dimensions = {"time": 1, "scanline": 2, "ground_pixel": 3, "layer": LAYERS, "vertices": 2, "corner": 4}
        for name, (dims, values, unit) in fields.items():
            values = changes.get(name.rpartition("/")[2], lambda x: x)(np.asarray(values))
            real = values.dtype.kind == "f"
            variable = file.create_variable(
                f"/{name}", (dims,) if isinstance(dims, str) else dims, np.float32 if real else values.dtype,
                fillvalue=FILL if real else None,
            )  # fmt: skip
            variable[...] = values
            if unit is not None:
                variable.attrs["units"] = unit
            if name.endswith("qa_value"):
                variable.attrs.update(scale_factor=np.float32(0.01), add_offset=np.float32(0.0))
    return path


@pytest.fixture
def made(tmp_path):
    return granule(tmp_path / "S5P_RPRO_L2__NO2____made.nc")


def test_pixels_of_the_genuine_cut_out(real):
    """Rows and columns 50, 43 and the first and last filled pixels, read off with h5py."""
    path = real(MATIMBA)
    o = read_tropomi_no2(path)
    assert len(o) == 10310 and o.steps[0].dropped == (("no value", 11998),) and o.unit == "mol m-2"
    assert set(o.groups) == {"TROPOMI orbit 19594"} and str(o.start[0]) == "2021-07-25T11:44:52.595066640"
    (row,) = np.flatnonzero((np.abs(o.lon - 26.616783) < 1e-5) & (np.abs(o.lat + 24.683216) < 1e-5))
    np.testing.assert_allclose([o.values[row], o.sigma[row]], [-9.696693e-06, 7.6e-07], rtol=1e-6)
    np.testing.assert_allclose(o.extra["surface_pressure"][row], 91955.96, rtol=1e-7)
    assert o.corners is not None
    np.testing.assert_allclose(o.corners[row, 0], [26.600555, -24.713432], atol=1e-6)
    np.testing.assert_allclose([o.values.min(), o.values.max()], [-3.432201e-05, 0.0010500611], rtol=1e-6)
    with h5py.File(path) as h:
        values = np.asarray(h["NO2"])
        filled = np.argwhere(np.isfinite(values))
        for at, k in ((0, 0), (-1, -1)):
            assert o.values[k] == values[tuple(filled[at])] and o.lat[k] == h["lat"][tuple(filled[at])]


def test_a_cut_out_without_the_total_air_mass_factor_has_no_kernel(real):
    o = read_tropomi_no2(real(MATIMBA))
    assert o.vertical is None and any("no kernel" in note for note in o.sources[0].notes)
    assert any("> 0.75" in note for note in o.sources[0].notes)


def test_soundings_of_a_granule(made):
    o = read_tropomi_no2(made)
    assert len(o) == 5 and o.steps[0].dropped == (("quality value not above 0.75", 1),)
    assert (
        str(o.start[0]) == "2021-07-31T11:44:52.595000000" and o.extra["scanline"].tolist() == [1800] * 2 + [1801] * 3
    )
    np.testing.assert_allclose(o.sigma, 1e-5, rtol=1e-6)
    assert set(o.groups) == {"TROPOMI orbit 19594"} and o.flags.tolist() == ["1.00", "1.00", "1.00", "1.00", "0.76"]


@pytest.mark.parametrize(("row", "scan", "pixel"), [(0, 0, 0), (1, 0, 2), (4, 1, 2)])
def test_a_column_is_that_of_the_products_formula(made, row, scan, pixel):
    """column = Σ_l A_l M/M_trop · x_l Δp_l/(g M_air) over the layers up to the tropopause, l = 0 at the surface."""
    with h5py.File(made) as h:
        product, at = h["PRODUCT"], (0, scan, pixel)
        a, b = (np.asarray(product[f"tm5_constant_{c}"], float) for c in "ab")
        surface = float(h[f"{SUPPORT}/INPUT_DATA/surface_pressure"][at])
        kernel = np.asarray(product["averaging_kernel"][at], float)
        ratio = float(product["air_mass_factor_total"][at]) / float(product["air_mass_factor_troposphere"][at])
        top = int(product["tm5_tropopause_layer_index"][at])
    total = 0.0
    for layer in range(top + 1):
        bottom, upper = a[layer] + b[layer] * surface
        x = 1e-10 + (8e-9 - 1e-10) * 0.5 * (bottom + upper) / 1e5
        total += kernel[layer] * ratio * x * (bottom - upper) / (9.80665 * 28.9647e-3)
    got = column(read_tropomi_no2(made).vertical, row, linear(8e-9, 1e-10))
    assert abs(got / total - 1.0) < 1e-6


def test_trap_10_layer_0_is_at_the_surface_and_nothing_above_the_tropopause_counts(made):
    v = read_tropomi_no2(made).vertical
    assert v is not None and v.layered.all() and v.pressure.shape == (5, LAYERS + 1)
    assert (v.pressure[:, 0] > 9e4).all() and (v.pressure[:, -1] == 0.0).all()
    for row, top in enumerate((20, 22, 19, 20, 21)):
        assert (v.kernel[row, : top + 1] > 0.0).all() and (v.kernel[row, top + 1 :] == 0.0).all()
    np.testing.assert_allclose(v.weights.sum(axis=1), v.pressure[:, 0] / (9.80665 * 0.0289647), rtol=1e-12)
    assert (v.prior == 0.0).all() and (v.prior_value == 0.0).all()


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("tm5_constant_a", lambda a: a[::-1], "do not join"),
        ("tm5_constant_b", lambda b: b[:, ::-1], "do not join"),
        ("surface_pressure", lambda p: p * 0.01, "surface pressure cannot be meant|do not decrease"),
        ("averaging_kernel", lambda a: a * np.nan, "a level is missing"),
        ("air_mass_factor_troposphere", lambda a: a * 0.0, "a level is missing"),
        ("air_mass_factor_troposphere", lambda a: a * np.inf, "a level is missing"),
    ],
)
def test_a_granule_that_cannot_be_meant_is_refused(tmp_path, name, change, what):
    path = granule(tmp_path / "bad.nc", **{name: change})
    with pytest.raises(TanhengError, match=what):
        read_tropomi_no2(path)


@pytest.mark.parametrize("form", ["cut-out", "granule"])
@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_tropomi_no2(form, made, tmp_path, count, request):
    (tmp_path / "fuzz").mkdir()
    if form == "cut-out":
        path = tmp_path / "cut.nc"
        whole = xr.open_dataset(
            request.getfixturevalue("real")(MATIMBA), engine="h5netcdf", decode_times=False, mask_and_scale=False,
            decode_coords=False,
        )  # fmt: skip
        with whole:
            names = ["NO2", "NO2_std", "lat", "lon", "latc", "lonc", "psurf", "clouds", "time", "orbit"]
            whole[names].isel(nrows=slice(48, 51), nobs=slice(42, 47)).load().to_netcdf(path, engine="h5netcdf")
    tally = fuzz(read_tropomi_no2, path if form == "cut-out" else made, HDF, count, tmp_path / "fuzz")
    print(form, tally)
    assert tally["refused"] > 0.3 * count and tally["same"] > 0

"""Readers of ECMWF files. Values by hand come from h5py and scipy, scaled by hand, never from a reader."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from transport.errors import TanhengError
from transport.grid import Grid
from transport.interpolation import to_cells
from transport.levels import HybridLevels
from transport.readers.ecmwf import humidity_of, pressure_at_ground, read_ecmwf_operational, read_nam
from transport.readers.era5 import largest_rectangle, read_model_levels, read_pressure_levels, read_utm

# --- real files ---------------------------------------------------------------------------------------------------


def real(folder, *names):
    root = os.environ.get("TANHENG_DATA")
    paths = [Path(root or "") / folder / name for name in names]
    if not root or not all(path.is_file() for path in paths):
        pytest.skip(f"needs the real files of {folder}: set TANHENG_DATA to a folder that holds them")
    return paths


@pytest.fixture(scope="module")
def matimba_files():
    return real("matimba_no2_era5", "Matimba_ERA5-pl-20210725.nc", "Matimba_ERA5-sl-20210725.nc")


@pytest.fixture(scope="module")
def managua():
    return read_ecmwf_operational(real("ecmwf_nam_managua", "ecmwf_hres_20171203T03-20171206T00_managua.nc"))


def test_matimba_by_hand(matimba_files):
    analysis = read_pressure_levels(matimba_files)
    assert analysis.u.shape == (24, 12, 10, 17)
    assert str(analysis.times[9]) == "2021-07-25T09:00:00"
    # File: descending latitude, index 3 = −23.7°; longitude index 10 = 27.5°; levels 1000 hPa first, index 6 = 850 hPa.
    row, column = 6, 10
    assert (analysis.y[row], analysis.x[column]) == (pytest.approx(-23.7), 27.5)
    assert analysis.pressure[9, [6, 11], row, column].tolist() == [85000.0, 70000.0]
    point = (9, 6, row, column)
    assert analysis.u[point] == pytest.approx(-7.5321236, rel=1e-7)
    assert analysis.v[point] == pytest.approx(-3.2588959, rel=1e-7)
    assert analysis.temperature[point] == pytest.approx(278.63776, rel=1e-7)
    assert analysis.u[9, 11, row, column] == pytest.approx(-7.030387, rel=1e-7)
    surface = analysis.surface
    assert surface.pressure[9, row, column] == pytest.approx(92991.125)
    assert surface.mixing_height[9, row, column] == pytest.approx(1441.1965)
    assert surface.temperature[9, row, column] == pytest.approx(288.73663)
    # 0.4 · √(4.6265² + 2.1559²) / ln(100) = 0.44334
    assert surface.friction_velocity[9, row, column] == pytest.approx(0.44334, rel=1e-4)
    assert not analysis.specific_humidity.any() and not surface.sensible_heat.any()
    said = "\n".join(analysis.notes)
    for words in ("column is cut", "taken as dry", "roughness 0.1 m", "no heat flux", "below ground"):
        assert words in said


def test_order_of_files_and_window(matimba_files):
    analysis = read_pressure_levels(matimba_files[::-1], "2021-07-25T09:20", np.datetime64("2021-07-25T12:00"))
    assert [str(t) for t in analysis.times[[0, -1]]] == ["2021-07-25T09:00:00", "2021-07-25T12:00:00"]
    assert analysis.u[0, 6, 6, 10] == pytest.approx(-7.5321236, rel=1e-7)


def test_matimba_becomes_weather(matimba_files):
    """The cut column is open at the top, and its heights are those of the file's own geopotential."""
    analysis = read_pressure_levels(matimba_files, "2021-07-25T09", "2021-07-25T10")
    grid = Grid(np.arange(26.0, 28.6, 0.25), np.arange(-24.7, -23.1, 0.25))
    with pytest.raises(TanhengError, match="top lies above the analysis"):
        to_cells(analysis, grid, HybridLevels.l137())
    levels = HybridLevels.sigma(np.array([1.0, 0.9, 0.6, 0.3, 0.0]), 700e2)
    weather = to_cells(analysis, grid, levels)
    assert weather.open_top
    pl, sl = (xr.open_dataset(path, decode_timedelta=False) for path in matimba_files)
    # Cell between the points 27.25 and 27.5° E, −23.7 and −23.45° N: mean of four.
    rows, columns = slice(2, 4), slice(9, 11)
    top = float(pl["z"].sel(pressure_level=700)[9, rows, columns].mean()) / 9.80665
    ground = float(sl["z"][9, rows, columns].mean()) / 9.80665
    at = (0, -1, int(np.searchsorted(grid.y_edges, -23.575)) - 1, int(np.searchsorted(grid.x_edges, 27.375)) - 1)
    # 2200 m of air; dry instead of some 2 g/kg makes it 0.12 % or 3 m thinner.
    assert weather.height_edges[at] == pytest.approx(top - ground, abs=12.0)
    assert 2000 < weather.height_edges[at] < 2500


def test_alps_by_hand():
    names = [f"era5_utm32_2025_05_01_0{hour}.nc" for hour in range(3)]
    analysis = read_utm(real("met_era5_alps_utm32", *names))
    assert analysis.u.shape == (3, 37, 27, 16)  # rows 1…27 and columns 1…16 of 30 × 17 have no missing value
    assert (analysis.x[0], analysis.x[-1], analysis.y[0], analysis.y[-1]) == (440e3, 740e3, 5000e3, 5520e3)
    assert analysis.times.astype(str).tolist() == [f"2025-05-01T0{hour}:00:00" for hour in range(3)]
    # x = 640 km, y = 5320 km, 850 hPa at 01 UTC.
    row, column = 16, 10
    assert (analysis.x[column], analysis.y[row], analysis.pressure[1, 6, row, column]) == (640e3, 5320e3, 85e3)
    assert analysis.temperature[1, 6, row, column] == pytest.approx(284.3167, rel=1e-6)
    assert analysis.specific_humidity[1, 6, row, column] == pytest.approx(0.0034842712, rel=1e-6)
    # Eastward −2.0111, northward 0.2948; at 10.88° E, 48.02° N grid convergence is (λ − 9°) sin φ = 1.395° or
    # 0.02435 rad, and grid east lies that much south of east: u cosγ − v sinγ, v cosγ + u sinγ.
    assert analysis.u[1, 6, row, column] == pytest.approx(-2.0111 * 0.99970 - 0.2948 * 0.02435, abs=2e-4)
    assert analysis.v[1, 6, row, column] == pytest.approx(0.2948 * 0.99970 - 2.0111 * 0.02435, abs=2e-4)
    surface = analysis.surface
    assert surface.pressure[1, row, column] == pytest.approx(94697.66, rel=1e-6)
    assert surface.mixing_height[1, row, column] == pytest.approx(28.6201, rel=1e-5)
    assert surface.sensible_heat[1, row, column] == pytest.approx(-10.123602, rel=1e-6)  # night: downward
    # |τ| = √(0.0070123² + 0.0091815²) = 0.011553; ρ = 94697.66 / (287.05 · 279.686 · (1 + 0.608 q)), q about 4 g/kg.
    assert surface.friction_velocity[1, row, column] == pytest.approx(np.sqrt(0.011553 / 1.1767), rel=1e-3)
    assert any("27 × 16 of 30 × 17" in note for note in analysis.notes)


def test_alps_area_with_missing_values_is_refused():
    paths = real("met_era5_alps_utm32", *(f"era5_utm32_2025_05_01_0{hour}.nc" for hour in range(3)))
    assert read_utm(paths, area=(5e5, 5.1e6, 6e5, 5.2e6)).u.shape == (3, 37, 6, 6)
    with pytest.raises(TanhengError, match="has missing values"):
        read_utm(paths, area=(4.2e5, 5.1e6, 6e5, 5.2e6))
    with pytest.raises(TanhengError, match="fewer than two points"):
        read_utm(paths, area=(9.0, 47.0, 10.0, 48.0))


def test_managua_by_hand(managua):
    assert managua.u.shape == (24, 25, 17, 25)
    assert str(managua.times[5]) == "2017-12-03T18:00:00"
    assert (managua.x[0], managua.x[12], managua.y[8]) == (-88.0, -86.5, 11.5)  # the file says 272 and 273.5°
    point = (5, 4, 8, 12)
    assert managua.pressure[point] == 85000.0
    # Packed in 16 bits: scale and offset applied by hand.
    assert managua.u[point] == pytest.approx(-11.79096696, rel=1e-6)
    assert managua.v[point] == pytest.approx(-6.01207438, rel=1e-6)
    assert managua.temperature[point] == pytest.approx(289.94050051, rel=1e-8)
    assert managua.specific_humidity[point] == pytest.approx(0.01186558, rel=1e-6)
    surface, at = managua.surface, (5, 8, 12)
    assert surface.pressure[at] == pytest.approx(100889.25207692)
    assert surface.mixing_height[at] == pytest.approx(1467.31389757)
    assert surface.temperature[at] == pytest.approx(302.49996493)
    assert surface.sensible_heat[at] == pytest.approx(-17.82643385)
    # |τ| = 0.109127 N m-2; ρ = 100889.25 / (287.05 · 302.5 · (1 + 0.608 q)) with q some 0.016: 1.1507 kg m-3.
    assert surface.friction_velocity[at] == pytest.approx(np.sqrt(0.109127 / 1.1507), rel=2e-3)


def test_heat_flows_up_by_day(managua):
    """Sign of the heat flux: noon in Nicaragua is 18 UTC, midnight 06 UTC."""
    hour = managua.times.astype("datetime64[h]").astype(int) % 24
    heat = managua.surface.sensible_heat.mean(axis=(1, 2))
    assert heat[hour == 18].min() > 30.0 and heat[hour == 6].max() < 0.0


def test_managua_heights_are_those_of_the_file(managua):
    path = real("ecmwf_nam_managua", "ecmwf_hres_20171203T03-20171206T00_managua.nc")[0]
    z = xr.open_dataset(path)["z"].values / 9.80665
    edges = 100.0 * np.array([1000.0, 850.0, 500.0])

    class Pressures:
        """Edges at the file's own pressures, the ground below."""

        count = 3

        def edges_in(self, columns):
            return np.concatenate(
                [columns.surface_pressure[:, None], np.tile(edges, (columns.edges.shape[0], 1))], axis=1
            )

    # Over the Pacific in the south-west, where the ground lies below 1000 hPa.
    grid = Grid(managua.x[:4], managua.y[:4], managua.crs)
    weather = to_cells(managua, grid, Pressures())
    four = 0.25 * (z[:, :, :3, :3] + z[:, :, 1:4, :3] + z[:, :, :3, 1:4] + z[:, :, 1:4, 1:4])
    for k, level in ((2, 4), (3, 8)):
        thickness = weather.height_edges[:, k] - weather.height_edges[:, 1]
        np.testing.assert_allclose(thickness, four[:, level] - four[:, 0], rtol=0, atol=6.0 if k == 3 else 2.0)


def test_nam_by_hand():
    path = real("ecmwf_nam_managua", "nam_afwaca_20201204T00_0-48h_managua.nc")
    analysis = read_nam(path, 0.0, "2020-12-04T00", "2020-12-04T12")
    point = (2, 4, 20, 30)
    assert analysis.u.shape == (5, 23, 55, 55) and analysis.pressure[point] == 85000.0
    assert analysis.u[point] == pytest.approx(-11.75217441, rel=1e-6)
    assert analysis.temperature[point] == pytest.approx(290.35274764, rel=1e-8)
    assert analysis.surface.pressure[2, 20, 30] == pytest.approx(101238.01276695, rel=1e-9)
    # 17.203 °C: e_s = 611.2 exp(17.67 · 17.2027 / 260.7027) = 1961.4 Pa; e = 0.989997 e_s = 1941.8 Pa;
    # q = 0.62196 · 1941.8 / (85000 − 0.37804 · 1941.8) = 0.014333.
    assert analysis.specific_humidity[point] == pytest.approx(0.014333, rel=1e-3)
    assert (analysis.surface.friction_velocity > 0).all() and analysis.surface.mixing_height.min() >= 50.0
    hilly = read_nam(path, np.full((55, 55), 1022.559355), "2020-12-04T00", "2020-12-04T12")
    assert hilly.surface.pressure[2, 20, 30] == pytest.approx(90000.0, rel=1e-8)  # gh of 900 hPa there
    with pytest.raises(TanhengError, match="height of the ground"):
        read_nam(path, np.zeros((3, 3)))


def test_pressure_at_ground_by_hand():
    height, level = np.array([[100.0, 600.0]])[..., None, None], np.array([1000e2, 940e2])
    sea = np.full((1, 1, 1), 1012e2)

    def at(ground):
        return float(pressure_at_ground(np.full((1, 1), ground), height, level, sea)[0, 0, 0])

    assert at(0.0) == pytest.approx(1012e2) and at(100.0) == pytest.approx(1000e2)
    assert at(50.0) == pytest.approx(np.sqrt(1012e2 * 1000e2))
    assert at(350.0) == pytest.approx(np.sqrt(1000e2 * 940e2))


def test_humidity_is_bounded():
    cold = humidity_of(np.full((1, 1, 1, 1), 1.2), np.full((1, 1, 1, 1), 293.15), np.array([1000e2]))
    assert float(cold[0, 0, 0, 0]) == pytest.approx(0.014665, rel=2e-3)  # 0.62196 · 2337 / (1e5 − 0.37804 · 2337)


# --- generated files ----------------------------------------------------------------------------------------------


def profile_dataset(level, level_name="pressure_level", time="valid_time", lat="latitude", lon="longitude", times=3):
    """A small file of the archive's layout, every value different."""
    shape = (times, len(level), 4, 5)
    rng = np.random.default_rng(5)
    values = {
        "u": ("m s**-1", rng.normal(0, 5, shape)),
        "v": ("m s**-1", rng.normal(0, 5, shape)),
        "t": ("K", rng.uniform(220, 300, shape)),
        "q": ("kg kg**-1", rng.uniform(0, 0.01, shape)),
    }
    dims = (time, level_name, lat, lon)
    data = {name: (dims, value, {"units": unit}) for name, (unit, value) in values.items()}
    ground = (times, 4, 5)
    for name, unit, value in (
        ("sp", "Pa", rng.uniform(95e3, 102e3, ground)),
        ("blh", "m", rng.uniform(100, 900, ground)),
        ("t2m", "K", rng.uniform(280, 300, ground)),
        ("zust", "m s**-1", rng.uniform(0.1, 0.5, ground)),
        ("sshf", "J m**-2", rng.uniform(-5e5, 1e5, ground)),
    ):
        data[name] = ((time, lat, lon), value, {"units": unit})
    clock = np.datetime64("2020-01-01T00", "ns") + np.arange(times) * np.timedelta64(1, "h")
    coords = {
        time: clock,
        level_name: (level_name, np.array(level, dtype=float), {"units": "hPa"}),
        lat: np.array([50.0, 49.75, 49.5, 49.25]),
        lon: np.array([358.0, 358.5, 359.0, 359.5, 360.0]) - 0.5,
    }
    return xr.Dataset(data, coords)


LEVELS = [1000.0, 900.0, 700.0, 400.0, 100.0]


def saved(tmp_path, dataset, name="file.nc"):
    dataset.to_netcdf(tmp_path / name, engine="h5netcdf")
    return tmp_path / name


def test_old_and_new_names_and_any_order_of_levels(tmp_path):
    new = read_pressure_levels(saved(tmp_path, profile_dataset(LEVELS), "new.nc"))
    old = profile_dataset(LEVELS).rename(valid_time="time", pressure_level="level")
    old["level"].attrs["units"] = "millibars"
    old = old.isel(level=slice(None, None, -1))
    again = read_pressure_levels(saved(tmp_path, old, "old.nc"))
    for name in ("u", "v", "temperature", "specific_humidity", "pressure", "x", "y"):
        np.testing.assert_array_equal(getattr(new, name), getattr(again, name))
    assert new.x.tolist() == [-2.5, -2.0, -1.5, -1.0, -0.5] and new.y[0] == 49.25
    assert new.pressure[0, :, 0, 0].tolist() == [100.0 * level for level in LEVELS]
    raw = profile_dataset(LEVELS)
    assert new.u[1, 2, 0, 3] == raw["u"].values[1, 2, 3, 3]  # south first
    np.testing.assert_allclose(new.surface.sensible_heat[2, 3, 1], -raw["sshf"].values[2, 0, 1] / 3600.0)
    assert new.surface.friction_velocity[0, 3, 0] == raw["zust"].values[0, 0, 0]
    assert any("hour that ends" in note for note in new.notes)


def test_final_and_preliminary_data_are_joined(tmp_path):
    final, preliminary = profile_dataset(LEVELS), profile_dataset(LEVELS)
    plain = read_pressure_levels(saved(tmp_path, final, "plain.nc"))
    for name in final.data_vars:
        final[name][2], preliminary[name][:2] = np.nan, np.nan
    both = xr.concat([preliminary, final], xr.DataArray([5, 1], dims="expver", name="expver"), combine_attrs="override")
    joined = read_pressure_levels(saved(tmp_path, both, "both.nc"))
    np.testing.assert_array_equal(joined.u, plain.u)
    assert any("preliminary" in note for note in joined.notes)


def test_times_in_several_files(tmp_path):
    whole = profile_dataset(LEVELS, times=4)
    parts = [
        saved(tmp_path, whole.isel(valid_time=slice(2, 4)), "b.nc"),
        saved(tmp_path, whole.isel(valid_time=slice(0, 2)), "a.nc"),
    ]
    np.testing.assert_array_equal(
        read_pressure_levels(parts).u, read_pressure_levels(saved(tmp_path, whole, "all.nc")).u
    )
    with pytest.raises(TanhengError, match="twice"):
        read_pressure_levels([*parts, parts[0]])
    with pytest.raises(TanhengError, match="gaps in time"):
        read_pressure_levels(saved(tmp_path, whole.isel(valid_time=[0, 1, 3]), "gap.nc"))
    with pytest.raises(TanhengError, match="does not cover the window"):
        read_pressure_levels(parts, "2020-01-01T00", "2020-01-01T04")
    surface = whole[["sp", "blh", "t2m"]].isel(valid_time=slice(0, 3))
    profiles = whole[["u", "v", "t", "q", "zust"]]
    with pytest.raises(TanhengError, match="not given at the same times"):
        read_pressure_levels([saved(tmp_path, profiles, "pl.nc"), saved(tmp_path, surface, "sl.nc")])
    shifted = whole[["sp", "blh", "t2m"]].assign_coords(latitude=whole["latitude"] + 0.25)
    with pytest.raises(TanhengError, match=r"y axis of sl2\.nc differs"):
        read_pressure_levels([saved(tmp_path, profiles, "pl2.nc"), saved(tmp_path, shifted, "sl2.nc")])


def with_unit(name, unit):
    def change(dataset):
        dataset[name].attrs["units"] = unit
        return dataset

    return change


def with_value(name, value):
    def change(dataset):
        dataset[name].values[1, ..., 2, 2] = value
        return dataset

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop_vars("blh"), "lacks fields"),
        (lambda d: d.drop_vars("u"), "lacks fields"),
        (lambda d: d.drop_vars("zust"), "friction velocity cannot be had"),
        (with_unit("t", "degC"), "t of bad.nc has the wrong unit"),
        (with_unit("q", "g kg**-1"), "q of bad.nc has the wrong unit"),
        (with_unit("sp", ""), "sp of bad.nc has the wrong unit"),
        (with_unit("pressure_level", "1"), "vertical axis is not pressure"),
        (with_value("v", np.nan), "v has missing values"),
        (with_value("sp", 1013.0), "surface_pressure is out of range"),
        (with_value("q", 8.0), "specific humidity is out of range"),
        (with_value("blh", 0.0), "boundary layer has no height"),
        (lambda d: d.drop_vars("valid_time"), "no clear time axis"),
        (lambda d: d.isel(pressure_level=0, drop=True), "has other axes"),
        (lambda d: d.isel(pressure_level=slice(0, 1)), "vertical axis is not pressure"),
        (lambda d: d.expand_dims(number=2), "ensemble"),
        (lambda d: d.expand_dims(step=2), "has other axes"),
        (lambda d: d.assign_coords(valid_time=np.arange(3)), "time of bad.nc cannot be understood"),
        (lambda d: d.isel(valid_time=[0]), "hold one time only"),
        (lambda d: d.rename(latitude="row"), "no clear y axis"),
    ],
)
def test_damaged_files_are_refused_with_a_remedy(tmp_path, change, message):
    path = saved(tmp_path, change(profile_dataset(LEVELS)), "bad.nc")
    with pytest.raises(TanhengError, match=message) as error:
        read_pressure_levels(path)
    assert error.value.remedy and error.value.expected is not None and error.value.got is not None


def test_truncated_and_absent_files_are_refused(tmp_path, matimba_files):
    whole = saved(tmp_path, profile_dataset(LEVELS))
    (tmp_path / "half.nc").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    content = matimba_files[0].read_bytes()
    (tmp_path / "real.nc").write_bytes(content[: len(content) * 2 // 3])
    (tmp_path / "text.nc").write_text("<html>not authorised</html>")
    for name in ("half.nc", "real.nc", "text.nc", "absent.nc"):
        with pytest.raises(TanhengError, match=f"{name} cannot be read"):
            read_pressure_levels(tmp_path / name)
    with pytest.raises(TanhengError, match="lacks fields"):
        read_pressure_levels([])


def test_truncated_classic_file_is_refused(tmp_path):
    path = real("met_era5_alps_utm32", "era5_utm32_2025_05_01_00.nc")[0]
    content = path.read_bytes()
    for part in (0.3, 0.9, 0.999):
        (tmp_path / "cut.nc").write_bytes(content[: int(len(content) * part)])
        with pytest.raises(TanhengError):
            read_utm(tmp_path / "cut.nc")


def model_level_files(tmp_path, lowest=137, highest=101, change=None):
    """Layout of the archive: model levels top first, lnsp on level 1 in a file of its own, surface in a third."""
    level = np.arange(highest, lowest + 1)
    data = profile_dataset(list(level), "level", "time")
    data["level"].attrs["units"] = "1"
    rng = np.random.default_rng(8)
    logarithm = np.log(rng.uniform(90e3, 102e3, (3, 1, 4, 5)))
    lnsp = xr.Dataset(
        {"lnsp": (("time", "level", "latitude", "longitude"), logarithm, {"units": "~"})},
        {"time": data["time"], "level": [1], "latitude": data["latitude"], "longitude": data["longitude"]},
    )
    profiles = data[["u", "v", "t", "q"]]
    profiles = change(profiles) if change else profiles
    surface = data[["blh", "t2m", "zust", "sshf"]].drop_vars("level", errors="ignore")
    files = [saved(tmp_path, part, f"{i}.nc") for i, part in enumerate((profiles, lnsp, surface))]
    return files, data, logarithm


def test_model_levels_by_hand(tmp_path):
    files, data, logarithm = model_level_files(tmp_path)
    for order in ([0, 1, 2], [2, 1, 0]):
        analysis = read_model_levels([files[k] for k in order])
        assert analysis.u.shape == (3, 37, 4, 5)
        surface = np.exp(logarithm[1, 0, 2, 3])
        assert analysis.surface.pressure[1, 1, 3] == pytest.approx(surface, rel=1e-14)
        # Level 137 between half levels 136 (0 Pa, 0.997630) and 137 (the ground); level 101 between 100 and 101.
        assert analysis.pressure[1, 0, 1, 3] == pytest.approx(0.5 * (0.997630 + 1.0) * surface, rel=1e-14)
        highest = 0.5 * (15596.695313 + 14898.453125 + (0.438391 + 0.466003) * surface)
        assert analysis.pressure[1, -1, 1, 3] == pytest.approx(highest, rel=1e-14)
        assert analysis.u[1, 0, 1, 3] == data["u"].values[1, 36, 2, 3]
        assert analysis.temperature[2, -1, 3, 0] == data["t"].values[2, 0, 0, 0]


def test_all_model_levels_reach_the_top_of_the_atmosphere(tmp_path):
    files, _, _ = model_level_files(tmp_path, highest=1)
    analysis = read_model_levels(files)
    weather = to_cells(analysis, Grid(analysis.x, analysis.y), HybridLevels.l137())
    assert not weather.open_top
    dry = weather.air.sum(axis=1) / weather.grid.areas * 9.80665 * 28.9647e-3
    assert (dry < weather.surface.pressure).all() and (dry > 0.98 * weather.surface.pressure).all()


def test_lnsp_on_level_one_of_a_merged_file(tmp_path):
    files, _, logarithm = model_level_files(tmp_path, highest=1)
    merged = xr.merge([xr.open_dataset(file, decode_timedelta=False) for file in files], join="outer")
    assert np.isnan(merged["lnsp"].values).sum() == 136 * 60
    analysis = read_model_levels(saved(tmp_path, merged, "merged.nc"))
    np.testing.assert_allclose(analysis.surface.pressure[:, ::-1], np.exp(logarithm[:, 0]), rtol=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.isel(level=slice(0, 30)), "lowest levels of the L137"),
        (lambda d: d.isel(level=[0, 1, 3, 36]), "lowest levels of the L137"),
        (lambda d: d.assign_coords(level=("level", d["level"].values, {"units": "hPa"})), "lowest levels of the L137"),
        (lambda d: d.drop_vars("q"), "lacks fields"),
    ],
)
def test_model_levels_that_cannot_be_placed(tmp_path, change, message):
    files, _, _ = model_level_files(tmp_path, change=change)
    with pytest.raises(TanhengError, match=message):
        read_model_levels(files)


def test_model_levels_need_a_surface_pressure(tmp_path):
    files, _, _ = model_level_files(tmp_path)
    with pytest.raises(TanhengError, match="surface pressure is missing"):
        read_model_levels([files[0], files[2]])


def test_largest_rectangle():
    full = np.ones((5, 6), dtype=bool)
    full[0], full[:, 0], full[3, 5] = False, False, False
    rows, columns = largest_rectangle(full)
    assert (rows, columns) == (slice(1, 5), slice(1, 5))
    with pytest.raises(TanhengError, match="no area without missing values"):
        largest_rectangle(np.eye(4, dtype=bool))

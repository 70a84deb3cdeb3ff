"""ARL packed files: real GDAS extracts against their unpacked copies, written files for all else."""

import os
from pathlib import Path

import arlmet
import numpy as np
import pyproj
import pytest
import xarray as xr

from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid
from transport.readers.arl import instants, read_arl

RADIUS = 6371.2e3  # m, HYSPLIT
HOUR = np.timedelta64(1, "h")
MEDITERRANEAN = ("extract_22666.bin", "gdas1_20151201-07_mediterranean.nc")
ECUADOR = ("extract_29460.bin", "gdas1_20060815-21_ecuador.nc")
LESSER_ANTILLES = ("gdas_042.bin", None)


def real(name):
    path = Path(os.environ.get("TANHENG_DATA", "")) / "gdas_arl_7day" / name
    if not path.is_file():
        pytest.skip("needs gdas_arl_7day: set TANHENG_DATA to a folder that holds it")
    return path


@pytest.fixture(scope="module", params=[MEDITERRANEAN, ECUADOR], ids=["mediterranean", "ecuador"])
def pair(request):
    packed, unpacked = request.param
    return read_arl(real(packed)), xr.open_dataset(real(unpacked)).load()


# ---- real files ----


def test_state_equals_the_unpacked_copy(pair):
    analysis, copy = pair
    assert analysis.crs == GEOGRAPHIC
    np.testing.assert_array_equal(analysis.times, copy.time.values.astype("datetime64[s]"))
    np.testing.assert_allclose((analysis.x - copy.lon.values) % 360.0 % 360.0, 0.0, atol=1e-9)
    np.testing.assert_allclose(analysis.y, copy.lat.values, atol=1e-9)
    np.testing.assert_array_equal(analysis.pressure[0, :, 0, 0], 100.0 * copy.lev_23.values)
    surface = analysis.surface
    np.testing.assert_allclose(analysis.temperature, copy.TEMP.values, rtol=2e-7)
    np.testing.assert_array_equal(surface.temperature, copy.T02M.values)
    np.testing.assert_allclose(surface.pressure, 100.0 * copy.PRSS.values, rtol=1e-6)
    # PAKINP sets what is smaller than the packing precision to 0; the copy does not.
    for ours, theirs, precision in (
        (analysis.u, copy.UWND.values, 0.26),
        (analysis.v, copy.VWND.values, 0.26),
        (surface.mixing_height, np.maximum(copy.PBLH.values, 0.0), 17.0),
    ):
        np.testing.assert_allclose(ours[ours != 0], theirs[ours != 0], rtol=1e-5, atol=1e-5)
        assert np.abs(theirs[ours == 0]).max() < precision and (ours == 0).mean() < 0.08
    assert -180.0 <= analysis.x[0] < analysis.x[-1] < 180.0


def pakinp(record, nx, ny, column, row):
    """One value by the loops of HYSPLIT's PAKINP, from the bytes of a record."""
    exponent, first = int(record[18:22]), float(record[36:50])
    packed, scale = record[50:], 2.0 ** (7 - exponent)
    value = first + sum((packed[j * nx] - 127) / scale for j in range(row + 1))
    return value + sum((packed[row * nx + i] - 127) / scale for i in range(1, column + 1))


def test_third_file_by_hand():
    """gdas_042.bin has no copy: index of 5 records, then 163 of 50 + 23·15 bytes for each time."""
    path = real(LESSER_ANTILLES[0])
    data, length = path.read_bytes(), 50 + 23 * 15
    names = [data[i + 14 : i + 18] for i in range(0, 168 * length, length)]
    assert names[:6] == [b"INDX"] * 5 + [b"PRSS"]
    analysis = read_arl(path)
    assert analysis.u.shape == (13, 23, 15, 23)
    assert (analysis.times[0], analysis.times[1] - analysis.times[0]) == (np.datetime64("2010-02-11T12"), 3 * HOUR)
    np.testing.assert_array_equal(analysis.x, np.arange(-68.0, -45.0))
    np.testing.assert_array_equal(analysis.y, np.arange(8.0, 23.0))
    # The third time, level 850 hPa (sixth), column 20, row 11.
    third = 2 * 168 * length
    position = third + length * next(
        i for i in range(168) if data[third + i * length + 10 : third + i * length + 18] == b" 699UWND"
    )
    by_hand = pakinp(data[position : position + length], 23, 15, 20, 11)
    assert analysis.u[2, 5, 11, 20] == pytest.approx(by_hand, abs=1e-4)
    assert not any("origin" in note for note in analysis.notes)


def test_humidity_of_the_real_file(pair):
    analysis, copy = pair
    k = 2  # 950 hPa
    t, relative = copy.TEMP.values[5, k, 3, 4] - 273.15, copy.RELH.values[5, k, 3, 4]
    vapour = relative * 6.112 * np.exp(17.67 * t / (t + 243.5))  # Pa
    by_hand = 0.62197 * vapour / (95000.0 - 0.37803 * vapour)
    assert analysis.specific_humidity[5, k, 3, 4] == pytest.approx(by_hand, rel=1e-4)
    assert analysis.specific_humidity.min() == 0.0
    assert (analysis.specific_humidity[:, 21:] == 0.0).all()
    assert "Levels without humidity are taken as dry: 50, 20." in analysis.notes


def test_origin_off_the_nodes_is_said(pair):
    analysis, copy = pair
    off = "0.68° east-west and 0.00°" if copy.lon.values[0] == 11.68 else "0.78° east-west and 0.51°"
    assert any("origin" in note and off in note for note in analysis.notes)


def test_gdas_fluxes_are_means_of_3_and_6_hours(pair):
    """2 A(6 h) − A(3 h) of sunshine is never negative, and where the sun has set it is zero, though A(6 h) is not."""
    _, copy = pair
    sun = copy.DSWF.values
    assert np.quantile(2.0 * sun[2::2] - sun[1:-1:2], 0.01) > -0.04 * sun.max()  # packing
    if copy.lon.values[0] == 11.68:
        dusk = [i for i, t in enumerate(copy.time.values) if str(t)[11:13] == "18"]
        assert sun[dusk].mean() > 80.0
        assert (2.0 * sun[dusk] - sun[[i - 1 for i in dusk]]).mean() < 6.0


def test_heat_flux_is_upward_by_day_and_at_the_hour_of_the_sun(pair):
    analysis, copy = pair
    heat, raw = analysis.surface.sensible_heat, copy.SHTF.values
    # At 09 and 21 UTC the mean of 3 h before and after is the mean of 6 h that ends 3 h later.
    at = [i for i, t in enumerate(analysis.times) if str(t)[11:13] in ("09", "21")][:-1]
    np.testing.assert_allclose(heat[at], raw[[i + 1 for i in at]], atol=4.1)  # packing
    assert np.median(np.abs(heat[at] - raw[[i + 1 for i in at]])) < 1e-6
    # Warmest land hours, UTC: noon in Italy and Greece is 11, in Ecuador and Peru 17.
    hours = np.array([int(str(t)[11:13]) for t in analysis.times])
    land = copy.SHGT.values.mean(axis=0) > 150.0
    cycle = np.array([heat[hours == h][:, land].mean() for h in range(0, 24, 3)])
    assert 3 * int(cycle.argmax()) in ((9, 12) if analysis.x[0] > 0 else (15, 18))
    assert cycle.max() > 20.0 and cycle.min() < 0.0


def test_friction_velocity_by_hand(pair):
    analysis, copy = pair
    i = next(i for i, t in enumerate(analysis.times) if str(t)[11:13] == "09")
    stress = np.hypot(copy.UMOF.values[i + 1], copy.VMOF.values[i + 1])  # mean of 06–12 UTC, N m-2
    density = 100.0 * copy.PRSS.values[i] / (287.06 * copy.T02M.values[i])
    found = analysis.surface.friction_velocity[i]
    assert np.median(np.abs(found / np.sqrt(stress / density) - 1.0)) < 1e-4
    np.testing.assert_allclose(found**2 * density, stress, atol=0.016)  # packing


def test_window_and_area_are_parts_of_the_whole(pair):
    whole, _ = pair
    packed = MEDITERRANEAN[0] if whole.x[0] > 0 else ECUADOR[0]
    west, south = whole.x[3] - 0.2, whole.y[2] - 0.2
    part = read_arl(real(packed), whole.times[4], str(whole.times[9]), (west, south, west + 5, south + 4))
    np.testing.assert_array_equal(part.times, whole.times[4:10])
    np.testing.assert_allclose(part.x, whole.x[3:8], atol=1e-6)
    np.testing.assert_allclose(part.y, whole.y[2:6], atol=1e-9)
    np.testing.assert_array_equal(part.temperature, whole.temperature[4:10, :, 2:6, 3:8])
    inside = (slice(4, 10), slice(2, 6), slice(3, 8))
    for name in ("sensible_heat", "friction_velocity", "mixing_height", "pressure"):
        np.testing.assert_allclose(getattr(part.surface, name), getattr(whole.surface, name)[inside], atol=1e-12)


def test_two_halves_are_the_whole(tmp_path):
    path = real(LESSER_ANTILLES[0])
    data, cut = path.read_bytes(), 6 * 168 * (50 + 23 * 15)
    (tmp_path / "a.bin").write_bytes(data[:cut])
    (tmp_path / "b.bin").write_bytes(data[cut - 168 * 395 :])  # one time is in both
    both, whole = read_arl([tmp_path / "b.bin", tmp_path / "a.bin"]), read_arl(path)
    np.testing.assert_array_equal(both.v, whole.v)
    np.testing.assert_array_equal(both.surface.friction_velocity, whole.surface.friction_velocity)
    assert any("twice" in note for note in both.notes)


# ---- written files ----

KEYS = ("tangent_lat", "tangent_lon", "grid_size", "cone_angle", "sync_lat", "sync_lon")
LATLON = dict(zip(KEYS, (0.5, 0.5, 0.0, 0.0, 40.0, 350.0), strict=True))
POLAR = dict(zip(KEYS, (60.0, -80.0, 90.75, 90.0, 90.0, 0.0), strict=True))
LAMBERT = dict(zip(KEYS, (38.5, -97.5, 12.0, 38.5, 21.14, -122.72), strict=True))
MERCATOR = dict(zip(KEYS, (20.0, -160.0, 25.0, 0.0, 18.0, -163.0), strict=True))
PRESSURE = arlmet.PressureAxis([0.0, 1000.0, 850.0, 500.0, 200.0])


def make_grid(parameters, nx=26, ny=21, sync=(1.0, 1.0), **change):
    fixed = {"pole_lat": 90.0, "pole_lon": 0.0, "orientation": 0.0, "sync_x": sync[0], "sync_y": sync[1]}
    return arlmet.Grid(arlmet.Projection(**fixed | parameters | change), nx=nx, ny=ny)


def fields(grid, axis, i):
    """Smooth fields of one time; T, winds and RELH on all levels above the ground."""
    row, column = np.mgrid[: grid.ny, : grid.nx]
    level = {
        "PRSS": 1000.0 - 0.4 * column, "T02M": 285.0 + 0.1 * row + i, "SHTF": 50.0 + column, "USTR": 0.3 + 0.0 * row,
        "PBLH": 800.0 + 5.0 * row,
    }  # fmt: skip
    result = {(name, 0): value for name, value in level.items()}
    for k in range(1, len(axis.levels)):
        result["UWND", k] = 5.0 + 0.2 * column + k
        result["VWND", k] = -3.0 + 0.1 * row + 0.3 * i
        result["TEMP", k] = 290.0 - 12.0 * k + 0.1 * column
        result["RELH", k] = 60.0 - 5.0 * k + 0.0 * row
    return result


def write(path, grid, axis=PRESSURE, source="TEST", hours=(0, 3, 6), change=None, forecast=0):
    with arlmet.File(path, "w", source=source, grid=grid, vertical_axis=axis) as file:
        for i, hour in enumerate(hours):
            values = fields(grid, axis, i)
            if change is not None:
                change(values, i)
            recordset = file.create_recordset(np.datetime64("2021-03-04T00") + hour * HOUR)
            for (name, level), value in values.items():
                recordset.create_datarecord(name, level, forecast=forecast, data=np.asarray(value, np.float32))
    return path


def stereographic(lon, lat):
    """Snyder 1987 (USGS PP 1395), eq. 21-5…: polar aspect on the sphere, true at 60° N, central meridian 80° W."""
    scale = (1.0 + np.sin(np.deg2rad(60.0))) / 2.0
    rho = 2.0 * RADIUS * scale * np.tan(np.pi / 4.0 - np.deg2rad(lat) / 2.0)
    return rho * np.sin(np.deg2rad(lon + 80.0)), -rho * np.cos(np.deg2rad(lon + 80.0))


def lambert(lon, lat):
    """Snyder eq. 15-1…: tangent at 38.5° N, central meridian 97.5° W."""
    phi0, phi = np.deg2rad(38.5), np.deg2rad(lat)
    n = np.sin(phi0)
    f = np.cos(phi0) * np.tan(np.pi / 4 + phi0 / 2) ** n / n
    rho, theta = RADIUS * f / np.tan(np.pi / 4 + phi / 2) ** n, n * np.deg2rad(lon + 97.5)
    return rho * np.sin(theta), RADIUS * f / np.tan(np.pi / 4 + phi0 / 2) ** n - rho * np.cos(theta)


def mercator(lon, lat):
    """Snyder eq. 7-1…: true at 20°, central meridian 160° W."""
    k = np.cos(np.deg2rad(20.0))
    east = (np.asarray(lon) + 160.0 + 180.0) % 360.0 - 180.0
    return RADIUS * k * np.deg2rad(east), RADIUS * k * np.log(np.tan(np.pi / 4 + np.deg2rad(lat) / 2))


@pytest.mark.parametrize(
    ("parameters", "sync", "formula"),
    [(POLAR, (12.0, 25.0), stereographic), (LAMBERT, (1.0, 1.0), lambert), (MERCATOR, (3.0, 2.0), mercator)],
    ids=["polar", "lambert", "mercator"],
)
def test_projected_positions(tmp_path, parameters, sync, formula):
    grid = make_grid(parameters, sync=sync)
    analysis = read_arl(write(tmp_path / "a.arl", grid))
    size = 1e3 * parameters["grid_size"]
    np.testing.assert_allclose([analysis.x[0], analysis.x[1], analysis.y[2]], [0.0, size, 2 * size], atol=1e-6)
    # Corner points: back from longitude and latitude with the closed formula, counted from the sync point.
    x, y = np.meshgrid(analysis.x[[0, -1]], analysis.y[[0, -1]])
    lon, lat = Grid.from_centres(analysis.x, analysis.y, analysis.crs).lonlat(x, y)
    east, north = formula(lon, lat)
    sync_east, sync_north = formula(parameters["sync_lon"], parameters["sync_lat"])
    np.testing.assert_allclose(east - sync_east, x - (sync[0] - 1.0) * size, atol=1.0)
    np.testing.assert_allclose(north - sync_north, y - (sync[1] - 1.0) * size, atol=1.0)
    assert pyproj.CRS(analysis.crs).is_projected
    assert any("axes of the projected grid" in note for note in analysis.notes)
    np.testing.assert_allclose(analysis.u[1, 1], fields(grid, PRESSURE, 1)["UWND", 2], atol=0.002)


def test_area_of_a_projected_grid(tmp_path):
    path = write(tmp_path / "a.arl", make_grid(LAMBERT))
    whole = read_arl(path)
    lon, lat = Grid.from_centres(whole.x, whole.y, whole.crs).lonlat(*np.meshgrid(whole.x, whole.y))
    area = (-122.0, 21.5, -121.2, 22.2)
    part = read_arl(path, area=area)
    inside = (lon >= area[0]) & (lon <= area[2]) & (lat >= area[1]) & (lat <= area[3])
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    np.testing.assert_array_equal(part.y, whole.y[rows])
    np.testing.assert_array_equal(part.x, whole.x[columns])
    np.testing.assert_array_equal(part.u, whole.u[:, :, rows][..., columns])


def test_lat_lon_grid_through_greenwich(tmp_path):
    analysis = read_arl(write(tmp_path / "a.arl", make_grid(LATLON)))
    np.testing.assert_allclose(analysis.x, -10.0 + 0.5 * np.arange(26))
    np.testing.assert_allclose(analysis.y, 40.0 + 0.5 * np.arange(21))
    np.testing.assert_allclose(analysis.pressure[:, :, 0, 0], [[1e5, 8.5e4, 5e4, 2e4]] * 3)


def test_global_grid_is_cut_open_beside_the_area(tmp_path):
    world = {"tangent_lat": 10.0, "tangent_lon": 10.0, "sync_lat": -90.0, "sync_lon": 0.0}
    grid = make_grid(LATLON | world, nx=36, ny=19)

    def longitude(values, _):
        values["T02M", 0] = np.broadcast_to(280.0 + np.arange(36.0), (19, 36))

    path = write(tmp_path / "a.arl", grid, change=longitude)
    whole, europe = read_arl(path), read_arl(path, area=(-20.0, 30.0, 40.0, 70.0))
    pacific = read_arl(path, area=(150.0, -50.0, -140.0, 0.0))
    np.testing.assert_array_equal(whole.x, np.arange(-180.0, 180.0, 10.0))
    np.testing.assert_array_equal(europe.x, np.arange(-20.0, 41.0, 10.0))
    np.testing.assert_array_equal(read_arl(path, area=(340.0, 30.0, 400.0, 70.0)).x, europe.x)
    np.testing.assert_array_equal(pacific.x, np.arange(150.0, 221.0, 10.0))
    np.testing.assert_array_equal(pacific.y, np.arange(-50.0, 1.0, 10.0))
    for analysis in (whole, europe, pacific):
        expected = np.broadcast_to(280.0 + (analysis.x % 360.0) / 10.0, analysis.surface.temperature.shape)
        np.testing.assert_allclose(analysis.surface.temperature, expected, atol=0.15)


def test_sigma_and_hybrid_and_real_pressure(tmp_path):
    grid, ps = make_grid(LATLON), 1e3 - 0.4 * np.arange(26)
    sigma = read_arl(write(tmp_path / "s.arl", grid, arlmet.SigmaAxis([1.0, 0.99, 0.9, 0.5], offset=20.0)))
    np.testing.assert_allclose(
        sigma.pressure[1, :, 0], 100 * (20 + np.array([[0.99], [0.9], [0.5]]) * (ps - 20)), atol=2
    )
    hybrid = read_arl(write(tmp_path / "h.arl", grid, arlmet.HybridAxis([1.0, 2.98, 50.75, 240.02])))
    by_hand = 100.0 * (np.array([[2.0], [50.0], [240.0]]) + np.array([[0.98], [0.75], [0.02]]) * ps)
    np.testing.assert_allclose(hybrid.pressure[1, :, 0], by_hand, atol=2.0)

    def pressure(values, _):
        for k in (1, 2, 3):
            values["PRES", k] = 1000.0 - 200.0 * k + np.zeros((21, 26))
            values["THET", k] = values.pop(("TEMP", k)) + 10.0

    for axis in (arlmet.SigmaAxis, arlmet.TerrainAxis, arlmet.WrfAxis):
        levels = [0.0, 100.0, 500.0, 2000.0] if axis is arlmet.TerrainAxis else [1.0, 0.99, 0.9, 0.5]
        real_pressure = read_arl(write(tmp_path / f"{axis.flag}.arl", grid, axis(levels), change=pressure))
        np.testing.assert_allclose(real_pressure.pressure[0, :, 4, 5], [8e4, 6e4, 4e4])
        theta = 290.0 - 12.0 * 2 + 0.1 * 5 + 10.0
        assert real_pressure.temperature[0, 1, 4, 5] == pytest.approx(theta * 0.6 ** (2 / 7), abs=0.02)
    with pytest.raises(TanhengError, match="PRES"):
        read_arl(write(tmp_path / "t.arl", grid, arlmet.TerrainAxis([0.0, 100.0, 500.0, 2000.0])))


def test_levels_from_the_top_are_turned(tmp_path):
    up = read_arl(write(tmp_path / "u.arl", make_grid(LATLON)))

    def turned(values, _):
        for name in ("UWND", "VWND", "TEMP", "RELH"):
            column = [values[name, k] for k in range(1, 5)]
            values.update({(name, k): column[4 - k] for k in range(1, 5)})

    axis = arlmet.PressureAxis([0.0, 200.0, 500.0, 850.0, 1000.0])
    down = read_arl(write(tmp_path / "d.arl", make_grid(LATLON), axis, change=turned))
    for name in ("pressure", "u", "temperature", "specific_humidity"):
        np.testing.assert_array_equal(getattr(up, name), getattr(down, name))


def test_winds_of_wrf_are_moved_to_the_points(tmp_path):
    grid = make_grid(LAMBERT)
    analysis = read_arl(write(tmp_path / "a.arl", grid, source="AWRF"))
    assert analysis.u.shape == (3, 4, 20, 25)
    # Linear winds on west (south) faces grow by half a step to the point.
    np.testing.assert_allclose(
        analysis.u[0, 0], np.broadcast_to(6.0 + 0.2 * (np.arange(25) + 0.5), (20, 25)), atol=0.002
    )
    np.testing.assert_allclose(analysis.v[0, 0, :, 3], -3.0 + 0.1 * (np.arange(20) + 0.5), atol=0.002)
    np.testing.assert_allclose(analysis.surface.pressure[0, 0], 1e5 - 40.0 * np.arange(25), atol=2.0)


def test_missing_variables_aloft(tmp_path):
    def drop(values, _):
        del values["RELH", 4], values["UWND", 3]

    analysis = read_arl(write(tmp_path / "a.arl", make_grid(LATLON), change=drop))
    np.testing.assert_allclose(analysis.pressure[0, :, 0, 0], [1e5, 8.5e4, 2e4])
    assert (analysis.specific_humidity[:, 2] == 0.0).all() and (analysis.specific_humidity[:, 1] > 0.0).all()
    assert "Levels without wind or temperature are left out: 500." in analysis.notes

    def dry(values, _):
        del values["RELH", 2]

    with pytest.raises(TanhengError, match="no humidity at level 850"):
        read_arl(write(tmp_path / "b.arl", make_grid(LATLON), change=dry))


def test_instants_undo_means():
    """A flux linear in time, as means of 3 and 6 h, comes back exactly between the first and the last middle."""
    ends = np.datetime64("2020-01-01T03") + 3 * HOUR * np.arange(8)
    hours = np.array([3, 6] * 4)
    rate, at = np.array([[1.0, -2.0]]), 3.0 * np.arange(1, 9)
    means = 7.0 + (at - 0.5 * hours)[:, None, None] * rate
    found = instants(ends, hours, means, ends[:-1])
    np.testing.assert_allclose(found, 7.0 + at[:-1, None, None] * rate, atol=1e-12)
    np.testing.assert_array_equal(instants(ends, 0 * hours, means, ends), means)


# ---- what must not pass ----


def broken(tmp_path, match, data=None, change=None, **options):
    path = tmp_path / "broken.arl"
    if data is None:
        write(path, options.pop("grid", make_grid(LATLON)), change=change, **options)
    else:
        path.write_bytes(data)
    with pytest.raises(TanhengError, match=match) as error:
        read_arl(path)
    assert error.value.got is not None and error.value.expected is not None and error.value.remedy


def test_damaged_files_are_refused(tmp_path):
    data = write(tmp_path / "good.arl", make_grid(LATLON)).read_bytes()
    record = 50 + 26 * 21
    broken(tmp_path, "empty", b"")
    broken(tmp_path, "no ARL index", bytes(10 * record))
    broken(tmp_path, "no ARL index", b"CDF\x01" + data[4:])
    broken(tmp_path, "no ARL index", data[record:])
    broken(tmp_path, "no ARL index", data.replace(b"INDX", b"PRSS", 1))
    broken(tmp_path, "truncated", data[:-1])
    broken(tmp_path, "truncated", data[:-record])
    broken(tmp_path, "no ARL index", data[: len(data) // 3 + 60])
    broken(tmp_path, "checksum", data[: record + 100] + bytes([data[record + 100] ^ 3]) + data[record + 101 :])
    broken(tmp_path, "not where the index says", data.replace(b"99PRSS", b"99MSLP", 1))
    header = data.index(b"99PRSS")
    broken(tmp_path, "cannot be unpacked", data[: header + 6] + b" 199" + data[header + 10 :])
    broken(tmp_path, "no header", data[: header + 6] + b" x  " + data[header + 10 :])
    broken(tmp_path, "flagged missing", data.replace(b"99PRSS", b"99NULL", 1))
    with pytest.raises(TanhengError, match="cannot be read"):
        read_arl(tmp_path / "nowhere.arl")
    with pytest.raises(TanhengError, match="no ARL file"):
        read_arl([])


def test_truncated_real_file(tmp_path):
    data = real(LESSER_ANTILLES[0]).read_bytes()
    broken(tmp_path, "truncated|no ARL index", data[: len(data) // 2])
    broken(tmp_path, "index record 3 of 5", data[: 2 * 395] + data[5 * 395 :])


def test_wrong_contents_are_refused(tmp_path):
    def pascal(values, _):
        values["PRSS", 0] = 100.0 * values["PRSS", 0]

    def celsius(values, _):
        values["TEMP", 2] = values["TEMP", 2] - 273.15

    def scaled(name, level, factor):
        return lambda values, _: values.update({(name, level): factor * values[name, level]})

    broken(tmp_path, "UWND is not in m s-1", change=scaled("UWND", 4, 100.0))
    broken(tmp_path, "SHTF is not in W m-2", change=scaled("SHTF", 0, 1e3))
    broken(tmp_path, "PBLH is not in m", change=scaled("PBLH", 0, 100.0))
    broken(tmp_path, "USTR is not in its unit", change=scaled("USTR", 0, 100.0))
    broken(tmp_path, "RELH is not in %", change=scaled("RELH", 1, 100.0))

    def without(name, level=0, only=None):
        return lambda values, i: values.pop((name, level)) if only in (None, i) else None

    def not_a_number(values, i):
        values["UWND", 2] = np.full((21, 26), np.nan) if i == 1 else values["UWND", 2]

    broken(tmp_path, "PRSS is not in hPa", change=pascal)
    broken(tmp_path, "TEMP is not in K", change=celsius)
    broken(tmp_path, "no surface pressure", change=without("PRSS"))
    broken(tmp_path, "no sensible heat flux", change=without("SHTF"))
    broken(tmp_path, "no friction velocity", change=without("USTR"))
    broken(tmp_path, "no mixing height", change=without("PBLH"))
    broken(tmp_path, "VWND at level 2.*2021-03-04T03.* is missing", change=without("VWND", 2, only=1))
    broken(tmp_path, "UWND at level 2.*2021-03-04T03.* flagged missing", change=not_a_number)
    broken(tmp_path, "gaps in time", hours=(0, 3, 9))
    broken(tmp_path, "levels are not in order", axis=arlmet.PressureAxis([0.0, 1000.0, 500.0, 850.0, 200.0]))


def test_unknown_grids_are_refused(tmp_path):
    data = write(tmp_path / "good.arl", make_grid(LAMBERT)).read_bytes()
    rotated = data.replace(b"12.0000.000000", b"12.000010.0000")
    assert rotated != data
    broken(tmp_path, "grid is not supported", rotated)
    broken(tmp_path, "oblique", grid=make_grid(LAMBERT), source="RAMS")
    broken(tmp_path, "grid is not supported", change=lambda v, _: v.update({("MUU0", 0): v["PRSS", 0]}))
    broken(tmp_path, "Unsupported vertical flag", data.replace(b" 26 21  5 2", b" 26 21  5 9"))


def test_windows_and_areas_outside_are_refused(tmp_path):
    path = write(tmp_path / "a.arl", make_grid(LATLON))
    for start, end, match in (
        ("2021-03-03", None, "do not cover"),
        (None, "2021-03-04T09", "do not cover"),
        ("2021-03-04T06", "2021-03-04T00", "do not cover"),
        ("2021-03-04T03", "2021-03-04T05", "do not cover"),
        ("noon", None, "no time"),
    ):
        with pytest.raises(TanhengError, match=match):
            read_arl(path, start, end)
    for area, match in (
        ((20.0, 40.0, 30.0, 50.0), "does not cover the area"),
        ((-10.0, 60.0, 0.0, 70.0), "does not cover the area"),
        ((-10.0, 50.0, 0.0, 40.0), "area is no area"),
        ((1.0, 40.0, -9.0, 50.0), "spans both ends"),
    ):
        with pytest.raises(TanhengError, match=match):
            read_arl(path, area=area)


def test_files_that_differ_are_refused(tmp_path):
    first = write(tmp_path / "a.arl", make_grid(LATLON))
    other = write(tmp_path / "b.arl", make_grid(LATLON, sync_lat=41.0), hours=(9, 12))
    warm = write(tmp_path / "c.arl", make_grid(LATLON), hours=(3, 6, 9))
    with pytest.raises(TanhengError, match="model, grid or levels change"):
        read_arl([first, other])
    with pytest.raises(TanhengError, match="twice with different data"):
        read_arl([first, warm])

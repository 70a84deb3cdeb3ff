import dataclasses

import numpy as np
import pyproj
import pytest

from transport.columns import Columns, virtual_temperature
from transport.constants import EARTH_RADIUS, GAS_CONSTANT, MOLAR_MASS_DRY_AIR, STANDARD_GRAVITY
from transport.errors import TanhengError
from transport.grid import Grid
from transport.interpolation import axis_angles, to_cells
from transport.levels import EtaLevels, FixedHeights, HybridLevels
from transport.weather import Analysis, Surface

TIMES = np.array(["2021-07-01T00", "2021-07-01T03"], dtype="datetime64[s]")
LEVELS = 100.0 * np.array([1000.0, 950.0, 900.0, 800.0, 700.0, 500.0, 300.0, 100.0, 10.0, 1.0])
MOLES = 1.0 / (STANDARD_GRAVITY * MOLAR_MASS_DRY_AIR)
UTM = "EPSG:32632"


def analysis(seed=0, x=None, y=None, crs="EPSG:4326", **replaced):
    """Random profiles over hilly ground, smooth enough for nothing; fields can be replaced."""
    rng = np.random.default_rng(seed)
    x, y = np.linspace(6.0, 12.0, 13) if x is None else x, np.linspace(44.0, 50.0, 9) if y is None else y
    shape = (2, LEVELS.size, y.size, x.size)
    ground = (2, y.size, x.size)
    fields = {
        "pressure": np.broadcast_to(LEVELS[:, None, None], shape),
        "u": rng.normal(3.0, 8.0, shape),
        "v": rng.normal(-1.0, 8.0, shape),
        "temperature": rng.uniform(200.0, 300.0, shape),
        "specific_humidity": rng.uniform(0.0, 0.02, shape),
        "surface_pressure": rng.uniform(83e3, 103e3, ground),
    } | replaced
    surface = Surface(
        rng.uniform(100.0, 2000.0, ground),
        rng.uniform(0.1, 1.0, ground),
        rng.uniform(-50.0, 300.0, ground),
        rng.uniform(270.0, 300.0, ground),
        fields.pop("surface_pressure"),
    )
    return Analysis(crs, x, y, TIMES, **fields, surface=surface, source="test")


def overlap(values, ground, target):
    """Integrals over target layers of one column by the definition: source layer by source layer."""
    kept = ground >= LEVELS
    middle = 0.5 * (LEVELS[1:] + LEVELS[:-1])
    source = np.concatenate([[ground], middle[kept[:-1]], [0.0]])
    values, total = values[kept], np.zeros(target.size - 1)
    for m in range(target.size - 1):
        for k in range(values.size):
            shared = min(target[m], source[k]) - max(target[m + 1], source[k + 1])
            total[m] += values[k] * max(shared, 0.0)
    return total


def at_point(field, column, row):
    """Mean of the four points around the middle of a cell of the analysis."""
    return field[..., row : row + 2, column : column + 2].mean(axis=(-2, -1))


def native(source):
    """Cells between the points of the analysis: centres are in the middle of four points."""
    return Grid(source.x, source.y, source.crs)


def test_air_and_flow_are_the_overlap_of_layers():
    source = analysis()
    levels = HybridLevels.sigma(np.array([1.0, 0.99, 0.95, 0.8, 0.5, 0.13, 0.02, 0.0]))
    weather = to_cells(source, native(source), levels)
    assert not weather.open_top
    for t, row, column in ((0, 0, 0), (1, 3, 7), (1, 7, 11)):
        q, temperature = (at_point(f[t], column, row) for f in (source.specific_humidity, source.temperature))
        ground = at_point(source.surface.pressure[t], column, row)
        target = levels.at(np.array(ground), axis=0)
        np.testing.assert_allclose(weather.pressure_edges[t, :, row, column], target, rtol=1e-14)
        dry = overlap(1.0 - q, ground, target) * MOLES * weather.grid.areas[row, column]
        np.testing.assert_allclose(weather.air[t, :, row, column], dry, rtol=1e-11)
        mean = overlap(temperature, ground, target) / -np.diff(target)
        np.testing.assert_allclose(weather.temperature[t, :, row, column], mean, rtol=1e-11)
        # The western side lies midway between two points.
        u, q, ground = (
            f[t, ..., row : row + 2, column].mean(axis=-1)
            for f in (source.u, source.specific_humidity, source.surface.pressure)
        )
        length = EARTH_RADIUS * np.deg2rad(source.y[row + 1] - source.y[row])
        flux = overlap(u * (1.0 - q), ground, levels.at(np.array(ground), axis=0)) * MOLES * length
        np.testing.assert_allclose(weather.flux_x[t, :, row, column], flux, rtol=1e-10, atol=1e-12 * np.abs(flux).max())
        v, q, ground = (
            f[t, ..., row, column : column + 2].mean(axis=-1)
            for f in (source.v, source.specific_humidity, source.surface.pressure)
        )
        length = EARTH_RADIUS * np.cos(np.deg2rad(source.y[row])) * np.deg2rad(source.x[1] - source.x[0])
        flux = overlap(v * (1.0 - q), ground, levels.at(np.array(ground), axis=0)) * MOLES * length
        np.testing.assert_allclose(weather.flux_y[t, :, row, column], flux, rtol=1e-10, atol=1e-12 * np.abs(flux).max())


@pytest.mark.parametrize(
    "levels",
    [
        HybridLevels.l137(),
        HybridLevels.l137().thinned(count=20),
        HybridLevels.sigma(np.linspace(1, 0, 6)),
        EtaLevels(np.array([1.0, 0.7, 0.2, 0.0]), np.array([0.0, 0.0, 900.0, 0.0]), 0.0),
    ],
)
def test_columns_keep_their_air_and_their_flow(levels):
    source = analysis(seed=3)
    weather = to_cells(source, native(source), levels)
    one = to_cells(source, native(source), HybridLevels.sigma(np.array([1.0, 0.0])))
    # The single layer in turn is checked against the definition above; here every other choice must agree with it.
    for name in ("air", "flux_x", "flux_y"):
        total, whole = getattr(weather, name).sum(axis=1), getattr(one, name)[:, 0]
        np.testing.assert_allclose(total, whole, rtol=0, atol=1e-12 * np.abs(whole).max())


def test_a_linear_field_is_exact_anywhere():
    x, y = np.linspace(6.0, 12.0, 13), np.linspace(44.0, 50.0, 9)
    plane = 2.0 + 0.5 * x[None, :] - 0.3 * y[:, None]
    shape = (2, LEVELS.size, y.size, x.size)
    flat = np.full((2, y.size, x.size), 101e3)
    source = analysis(
        u=np.broadcast_to(plane, shape), v=np.broadcast_to(-plane, shape), specific_humidity=np.zeros(shape),
        surface_pressure=flat,
    )  # fmt: skip
    grid = Grid(np.linspace(6.01, 11.93, 31), np.linspace(44.03, 49.97, 23))
    weather = to_cells(source, grid, HybridLevels.l137().thinned(count=10))
    per_metre = MOLES * -np.diff(weather.pressure_edges[0, :, 0, 0])
    length_x, length_y = grid.face_lengths
    u = 2.0 + 0.5 * grid.x_edges[None, :] - 0.3 * grid.y[:, None]
    v = -(2.0 + 0.5 * grid.x[None, :] - 0.3 * grid.y_edges[:, None])
    np.testing.assert_allclose(weather.flux_x[1], per_metre[:, None, None] * u * length_x, rtol=1e-9)
    np.testing.assert_allclose(weather.flux_y[1], per_metre[:, None, None] * v * length_y, rtol=1e-9)


def test_what_lies_below_ground_does_not_matter():
    source = analysis(surface_pressure=np.full((2, 9, 13), 91e3))
    changed = {}
    for name in ("u", "v", "temperature", "specific_humidity"):
        changed[name] = getattr(source, name).copy()
        changed[name][:, :2] *= 0.5  # 1000 and 950 hPa
    levels = HybridLevels.l137().thinned(count=20)
    grid = native(source)
    first, second = to_cells(source, grid, levels), to_cells(dataclasses.replace(source, **changed), grid, levels)
    for name in ("air", "flux_x", "flux_y", "temperature", "height_edges"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    changed["u"][:, 2] *= 0.5  # 900 hPa lies above ground
    third = to_cells(dataclasses.replace(source, **changed), grid, levels)
    assert np.abs(third.flux_x - first.flux_x).max() > 0


def test_heights_are_hypsometric():
    shape = (2, LEVELS.size, 9, 13)
    source = analysis(temperature=np.full(shape, 260.0), specific_humidity=np.full(shape, 0.01))
    weather = to_cells(source, native(source), HybridLevels.l137().thinned(count=20, top_pressure=100e2))
    virtual = 260.0 * (1.0 + 0.60781 * 0.01)
    scale = GAS_CONSTANT * virtual / (MOLAR_MASS_DRY_AIR * STANDARD_GRAVITY)
    expected = scale * np.log(weather.pressure_edges[:, :1] / weather.pressure_edges)
    np.testing.assert_allclose(weather.height_edges, expected, rtol=1e-7, atol=1e-6)
    assert weather.open_top
    assert virtual_temperature(np.array(260.0), np.array(0.01)) == pytest.approx(virtual, rel=1e-6)


def test_a_wind_is_the_same_wind_on_turned_axes():
    """The direction in which a parcel is carried on the map, by geodesics of pyproj, independent of our derivative."""
    east, north = 7.0, -4.0
    shape = (2, LEVELS.size, 9, 13)
    source = analysis(
        u=np.full(shape, east), v=np.full(shape, north), specific_humidity=np.zeros(shape),
        surface_pressure=np.full((2, 9, 13), 100e3),
    )  # fmt: skip
    grid = Grid(np.linspace(300e3, 680e3, 9), np.linspace(4.95e6, 5.45e6, 11), UTM)
    weather = to_cells(source, grid, HybridLevels.sigma(np.array([1.0, 0.0])))
    length_x, length_y = grid.face_lengths
    x_wind, y_wind = weather.flux_x[0, 0] / length_x, weather.flux_y[0, 0] / length_y
    geod = pyproj.Geod(ellps="WGS84")
    to_map = pyproj.Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform
    azimuth, speed = np.rad2deg(np.arctan2(east, north)), np.hypot(east, north)
    per_metre = MOLES * 100e3

    def carried(x, y):
        lon, lat = grid.lonlat(*np.meshgrid(x, y))
        ahead, behind = (to_map(*geod.fwd(lon, lat, np.full(lon.shape, azimuth), np.full(lon.shape, s))[:2])
                         for s in (50.0, -50.0))  # fmt: skip
        dx, dy = ahead[0] - behind[0], ahead[1] - behind[1]
        return speed * dx / np.hypot(dx, dy), speed * dy / np.hypot(dx, dy)

    np.testing.assert_allclose(x_wind / per_metre, carried(grid.x_edges, grid.y)[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(y_wind / per_metre, carried(grid.x, grid.y_edges)[1], rtol=0, atol=1e-5)
    assert np.abs(x_wind / per_metre - east).max() > 0.05  # the turn is not nothing: up to 2°
    assert any("winds turned" in note and "2.0" in note for note in weather.notes)


def test_turned_there_and_back():
    """From UTM axes to geographic cells: the inverse of the turn above."""
    x, y = np.linspace(300e3, 700e3, 9), np.linspace(4.9e6, 5.5e6, 13)
    angle = axis_angles(UTM, *np.meshgrid(x, y))[0]
    factors = pyproj.Proj(UTM).get_factors(*Grid(x, y, UTM).lonlat(*np.meshgrid(x, y)))
    np.testing.assert_allclose(np.abs(angle), np.abs(np.deg2rad(factors.meridian_convergence)), atol=1e-8)
    shape = (2, LEVELS.size, y.size, x.size)
    # Components of the wind (7, −4) along the axes; grid east lies south of true east in the eastern half of the zone.
    assert angle[0, -1] < 0 < angle[0, 0]
    u = np.broadcast_to(7.0 * np.cos(angle) - 4.0 * np.sin(angle), shape)
    v = np.broadcast_to(-4.0 * np.cos(angle) - 7.0 * np.sin(angle), shape)
    source = analysis(x=x, y=y, crs=UTM, u=u, v=v, specific_humidity=np.zeros(shape),
                      surface_pressure=np.full((2, 13, 9), 100e3))  # fmt: skip
    grid = Grid(np.linspace(7.0, 11.0, 5), np.linspace(45.0, 49.0, 5))
    weather = to_cells(source, grid, HybridLevels.sigma(np.array([1.0, 0.0])))
    length_x, length_y = grid.face_lengths
    np.testing.assert_allclose(weather.flux_x[0, 0] / length_x / (MOLES * 100e3), 7.0, atol=1e-4)
    np.testing.assert_allclose(weather.flux_y[0, 0] / length_y / (MOLES * 100e3), -4.0, atol=1e-4)


def test_solid_rotation_does_not_diverge():
    lat = np.linspace(40.0, 60.0, 21)
    lon = np.linspace(0.0, 20.0, 21)
    shape = (2, LEVELS.size, 21, 21)
    u = np.broadcast_to(30.0 * np.cos(np.deg2rad(lat))[:, None], shape)
    source = analysis(x=lon, y=lat, u=u, v=np.zeros(shape), specific_humidity=np.zeros(shape),
                      surface_pressure=np.full((2, 21, 21), 100e3))  # fmt: skip
    weather = to_cells(source, Grid(np.linspace(1, 19, 10), np.linspace(41, 59, 10)), HybridLevels.l137())
    divergence = np.diff(weather.flux_x, axis=3) + np.diff(weather.flux_y, axis=2)
    assert np.abs(divergence).max() < 1e-12 * np.abs(weather.flux_x).max()


@pytest.mark.parametrize("crs", [UTM, "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=45 +lon_0=5 +R=6370000"])
def test_sides_and_areas_agree_on_conformal_maps(crs):
    origin = np.array([400e3, 5e6]) if crs == UTM else np.array([300e3, 200e3])
    grid = Grid(origin[0] + np.arange(6) * 4e3, origin[1] + np.arange(5) * 4e3, crs)
    west, south = grid.face_lengths
    product = 0.25 * (west[:, 1:] + west[:, :-1]) * (south[1:] + south[:-1])
    np.testing.assert_allclose(product, grid.areas, rtol=1e-6)
    lon, lat = grid.lonlat(*np.meshgrid(grid.x_edges, grid.y))
    factors = pyproj.Proj(crs).get_factors(lon, lat)
    np.testing.assert_allclose(west, 4e3 / factors.meridional_scale, rtol=1e-6)


def test_sides_are_true_lengths_where_the_map_is_not_conformal():
    # Far from its centre an azimuthal equal-area map shrinks along the radius as much as it stretches across it.
    crs = "+proj=laea +lat_0=0 +lon_0=0 +R=6371000"
    grid = Grid(6e6 + np.arange(3) * 1e3, np.array([-1e3, 0.0, 1e3]), crs)
    west, south = grid.face_lengths
    half = np.arcsin(6.001e6 / (2 * 6371e3))  # ρ = 2 R sin(c/2)
    np.testing.assert_allclose(south[1].mean(), 1e3 / np.cos(half), rtol=1e-5)
    np.testing.assert_allclose(west[:, 1].mean(), 1e3 * np.cos(half), rtol=1e-5)


def test_one_meridian_has_two_names():
    west = analysis(x=np.linspace(-88.0, -85.0, 7), y=np.linspace(10.0, 12.0, 5))
    levels = HybridLevels.sigma(np.linspace(1, 0, 5))
    first = to_cells(west, Grid(np.linspace(-87.9, -85.1, 5), np.linspace(10.1, 11.9, 5)), levels)
    second = to_cells(west, Grid(np.linspace(272.1, 274.9, 5), np.linspace(10.1, 11.9, 5)), levels)
    np.testing.assert_allclose(first.flux_x, second.flux_x, rtol=1e-9)


@pytest.mark.parametrize(
    "grid",
    [
        Grid(np.linspace(5.9, 9.0, 5), np.linspace(45, 49, 5)),
        Grid(np.linspace(7, 9.0, 5), np.linspace(45, 50.01, 5)),
        Grid(np.linspace(0, 500e3, 5), np.linspace(5.0e6, 5.2e6, 5), UTM),
    ],
)
def test_a_grid_beyond_the_analysis_is_refused(grid):
    with pytest.raises(TanhengError, match="reaches beyond the meteorology") as error:
        to_cells(analysis(), grid, HybridLevels.l137())
    assert error.value.expected == "x 6…12, y 44…50 (WGS 84)"


def test_a_top_above_the_analysis_is_refused():
    source = analysis()
    kept = {name: getattr(source, name)[:, :6] for name in ("pressure", "u", "v", "temperature", "specific_humidity")}
    source = dataclasses.replace(source, **kept)  # up to 500 hPa, half a layer above is 400 hPa
    grid = native(source)
    for levels in (HybridLevels.l137(), EtaLevels(np.array([1.0, 0.0]), np.zeros(2), 5e3), FixedHeights([0, 2e4])):  # type: ignore[arg-type]
        with pytest.raises(TanhengError, match="top lies above the analysis"):
            to_cells(source, grid, levels)
    weather = to_cells(source, grid, HybridLevels.sigma(np.linspace(1, 0, 4), 400e2))
    assert weather.open_top
    with pytest.raises(TanhengError, match="top lies above the analysis"):
        to_cells(source, grid, HybridLevels.sigma(np.linspace(1, 0, 4), 399e2))


def test_levels_above_the_ground_are_needed():
    pressure = np.array([[100e3, 90e3]])
    with pytest.raises(TanhengError, match="no level of the analysis lies above ground"):
        Columns.of_levels(pressure, np.array([80e3]), np.full((1, 2), 280.0), np.zeros((1, 2)))
    with pytest.raises(TanhengError, match="not ordered"):
        Columns.of_levels(pressure[:, ::-1], np.array([101e3]), np.full((1, 2), 280.0), np.zeros((1, 2)))


def test_layers_thinner_than_nothing_are_refused():
    source = analysis()  # surface pressure from 83 kPa
    with pytest.raises(TanhengError, match="no thickness"):
        to_cells(source, native(source), HybridLevels.sigma(np.linspace(1, 0, 4), 95e3))

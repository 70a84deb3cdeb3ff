import numpy as np
import pyproj
import pytest

from transport.constants import EARTH_RADIUS, STANDARD_GRAVITY
from transport.errors import TanhengError
from transport.grid import Grid
from transport.levels import IsothermalHeights
from transport.units import molar_mass, teragrams_per_year


def test_geographic_areas_cover_the_sphere():
    grid = Grid(np.linspace(-180, 180, 73), np.linspace(-90, 90, 37))
    assert grid.areas.sum() == pytest.approx(4 * np.pi * EARTH_RADIUS**2, rel=1e-13)


@pytest.mark.parametrize(
    "crs", ["+proj=laea +lat_0=40 +lon_0=110", "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=40 +lon_0=110", "EPSG:32649"]
)
def test_projected_areas_equal_geodesic_areas(crs):
    # UTM zone 49 has its false easting at 500 km and 40° N near 4429 km.
    x0, y0 = (500e3, 4429e3) if crs.startswith("EPSG") else (0.0, 0.0)
    grid = Grid(x0 + np.array([0.0, 3e3]), y0 + np.array([0.0, 3e3]), crs)
    corners = grid.lonlat(x0 + np.array([0, 3e3, 3e3, 0]), y0 + np.array([0, 0, 3e3, 3e3]))
    geodesic, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*corners)
    assert grid.areas[0, 0] == pytest.approx(abs(geodesic), rel=1e-5)


def test_distances_great_circle_and_plane():
    globe = Grid.from_centres(np.array([0.0, 90.0]), np.array([0.0, 45.0]))
    quarter = np.pi / 2 * EARTH_RADIUS / 1e3
    assert globe.distances()[0, 1] == pytest.approx(quarter, rel=1e-12)
    assert globe.distances()[0, 2] == pytest.approx(quarter / 2, rel=1e-12)
    plane = Grid(np.arange(4) * 3e3, np.arange(4) * 4e3, "+proj=laea +lat_0=40 +lon_0=110")
    assert plane.distances()[0, 4] == pytest.approx(5.0)


def test_from_centres_puts_centres_back():
    grid = Grid.from_centres(np.array([1.0, 1.5, 2.0]), np.array([10.0, 11.0]))
    np.testing.assert_allclose(grid.x, [1.0, 1.5, 2.0])
    np.testing.assert_allclose(grid.y_edges, [9.5, 10.5, 11.5])


def test_edges_must_increase():
    with pytest.raises(TanhengError, match="strictly increasing"):
        Grid(np.array([0.0, 2.0, 1.0]), np.array([0.0, 1.0]))


@pytest.mark.parametrize(("x", "crs", "word"), [
    ([0.0, np.nan, 2.0], "EPSG:4326", "evenly"), ([1.0], "EPSG:4326", "evenly"), ([], "EPSG:4326", "evenly"),
    ([0.0, 1.0], "EPSG:99999", "not known"), ([0.0, 1.0], "EPSG:5773", "cannot lie"),
    # from the Earth's centre, grads from Paris, degrees from Paris
    ([0.0, 1.0], "EPSG:4978", "cannot lie"), ([0.0, 1.0], "EPSG:4807", "cannot lie"),
    ([0.0, 1.0], "+proj=longlat +pm=paris +ellps=WGS84", "cannot lie"),
])  # fmt: skip
def test_centres_and_systems_that_cannot_be_meant(x, crs, word):
    with pytest.raises(TanhengError, match=word):
        Grid.from_centres(np.array(x), np.array([0.0, 1.0]), crs)


def test_cells_around_the_poles_end_there():
    grid = Grid.from_centres(np.arange(0.0, 360.0, 5.0), np.arange(-90.0, 90.1, 5.0))
    assert grid.areas.sum() == pytest.approx(4.0 * np.pi * EARTH_RADIUS**2, rel=1e-13)
    # R² · 5° · (1 − sin 87.5°), and the meridian's last 2.5°
    cap = EARTH_RADIUS**2 * np.deg2rad(5.0) * (1.0 - np.sin(np.deg2rad(87.5)))
    np.testing.assert_allclose(grid.areas[[0, -1]], cap, rtol=1e-12)
    west, south = grid.face_lengths
    np.testing.assert_allclose(west[-1], EARTH_RADIUS * np.deg2rad(2.5), rtol=1e-12)
    np.testing.assert_allclose(south[[0, -1]], 0.0, atol=1e-6)


def test_cell_of_refuses_points_outside():
    grid = Grid(np.array([0.0, 5.0, 10.0]), np.array([40.0, 45.0, 50.0]))
    assert grid.cell_of(3.0, 46.0, "a point") == (1, 0)
    assert grid.cell_of(5.0, 40.0, "a point") == (0, 1)
    for x, y in ((3.0, 60.0), (-1.0, 41.0), (10.0, 41.0)):
        with pytest.raises(TanhengError, match="a stack lies outside the grid"):
            grid.cell_of(x, y, "a stack")


def test_repr_states_extent_spacing_and_size():
    text = repr(Grid(np.arange(5) * 3e3, np.arange(3) * 3e3, "+proj=laea +lat_0=40 +lon_0=110"))
    assert "2 × 4 cells" in text and "3000 × 3000 m" in text and "0…12000" in text


def test_air_of_a_column_is_its_pressure_drop():
    levels = IsothermalHeights(np.array([0.0, 100.0, 1000.0, 4000.0]))
    drop = 1e5 * (1 - np.exp(-0.5))
    assert levels.air_per_area.sum() == pytest.approx(drop / (STANDARD_GRAVITY * 28.9647e-3), rel=1e-12)


def test_units_by_hand():
    # 1 µmol CO2 m-2 s-1 over 1 km2 for 365 d: 44.0095e-9 kg/µmol · 1e6 m2 · 31 536 000 s = 1.3879 Gg
    assert 1e-6 * 1e6 * teragrams_per_year("CO2") * 1e3 == pytest.approx(1.38788, rel=1e-4)
    with pytest.raises(TanhengError, match="unknown species"):
        molar_mass("XYZ")


def test_kilometre_axes_are_understood():
    metres = Grid(np.array([0.0, 3e3]), np.array([0.0, 3e3, 6e3]), "+proj=laea +lat_0=40 +lon_0=110")
    kilometres = Grid(np.array([0.0, 3.0]), np.array([0.0, 3.0, 6.0]), "+proj=laea +lat_0=40 +lon_0=110 +units=km")
    np.testing.assert_allclose(kilometres.areas, metres.areas, rtol=1e-9)
    np.testing.assert_allclose(kilometres.distances(), metres.distances(), rtol=1e-12)


def test_uneven_centres_are_refused():
    with pytest.raises(TanhengError, match="not evenly spaced"):
        Grid.from_centres(np.array([0.0, 1.0, 5.0]), np.array([0.0, 1.0]))


@pytest.mark.parametrize("edges", [[100.0, 200.0, 600.0], [-100.0, 0.0, 50.0], [0.0, 60.0, 1e8]])
def test_levels_reach_from_the_ground_into_the_atmosphere(edges):
    with pytest.raises(TanhengError, match="from the ground"):
        IsothermalHeights(np.array(edges))


@pytest.mark.parametrize(
    "crs",
    [
        "+proj=lcc +lat_1=-15 +lat_2=-40 +lat_0=-27.5 +lon_0=133.3 +R=6370000",
        "+proj=merc +lat_ts=20 +lon_0=110 +R=6370000",
        "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=110 +R=6370000",
        "EPSG:32649",
    ],
)
def test_map_factors_are_those_of_the_projection(crs):
    """Snyder's formulae for the sphere: cone, cylinder, plane; the transverse Mercator has 0.9996 at its axis."""
    grid = Grid(np.arange(5) * 2e4 + 4e5, np.arange(4) * 2e4 + 4.4e6 * ("merc" in crs or "EPSG" in crs), crs)
    _, lat = grid.lonlat(*np.meshgrid(grid.x, grid.y))
    phi = np.deg2rad(lat)
    if "lcc" in crs:
        p1, p2 = np.deg2rad([-15.0, -40.0])
        t = lambda p: np.tan(np.pi / 4 + p / 2)  # noqa: E731
        n = np.log(np.cos(p1) / np.cos(p2)) / np.log(t(p2) / t(p1))
        expected = np.cos(p1) * t(p1) ** n / (np.cos(phi) * t(phi) ** n)
    elif "merc +" in crs:
        expected = np.cos(np.deg2rad(20.0)) / np.cos(phi)
    elif "stere" in crs:
        expected = (1 + np.sin(np.deg2rad(60.0))) / (1 + np.sin(phi))
    else:
        # 500 km is the axis; the scale grows with the square of the distance over the radius of the ellipsoid.
        expected = np.broadcast_to(0.9996 * (1 + (grid.x - 5e5) ** 2 / (2 * (6.378e6 * 0.9996) ** 2)), grid.shape)
    np.testing.assert_allclose(grid.map_factors, expected, rtol=2e-6)
    west, south = grid.face_lengths
    mean = 0.25 * (west[:, 1:] + west[:, :-1]) * (south[1:] + south[:-1])
    np.testing.assert_allclose(mean, grid.areas, rtol=1e-3 if "EPSG" in crs else 2e-6)

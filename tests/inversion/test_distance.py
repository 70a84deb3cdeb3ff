import numpy as np
import pytest

from inversion.covariance import (
    KERNELS,
    Balgovind,
    Exponential,
    GaspariCohn,
    Gaussian,
    Matern32,
    Matern52,
    Spherical,
    correlation,
)
from inversion.distance import chord, chordal, euclidean, great_circle, separations
from transport.errors import TanhengError
from transport.grid import Grid

R = 6371.0  # km
GLOBE = Grid(np.linspace(-180, 180, 19), np.linspace(-90, 90, 10))
UTM = Grid(np.linspace(5e5, 5.4e5, 5), np.linspace(5e6, 5.03e6, 4), "EPSG:32633")


def test_distances_by_hand():
    pole, equator, antipode = [0.0, 90.0], [0.0, 0.0], [180.0, 0.0]
    np.testing.assert_allclose(
        great_circle([pole, equator, antipode])[1], [R * np.pi / 2, 0, R * np.pi], rtol=1e-14, atol=1e-9
    )
    np.testing.assert_allclose(chordal([equator], [pole, antipode]), [[R * np.sqrt(2), 2 * R]], rtol=1e-14)
    # One degree of latitude; across the date line; a metre, which the arccos of a dot product would lose.
    np.testing.assert_allclose(great_circle([[10.0, 50.0]], [[10.0, 51.0]]), [[R * np.pi / 180]], rtol=1e-12)
    np.testing.assert_allclose(great_circle([[179.5, 0.0]], [[-179.5, 0.0]]), [[R * np.pi / 180]], rtol=1e-12)
    np.testing.assert_allclose(great_circle([[0.0, 45.0]], [[0.0, 45.0 + 1e-5]]), [[R * 1e-5 * np.pi / 180]], rtol=1e-8)
    np.testing.assert_allclose(euclidean([[0.0, 0.0]], [[3000.0, 4000.0]]), [[5.0]])
    np.testing.assert_allclose(euclidean([[0.0, 0.0]], [[3.0, 4.0]], unit_m=1e3), [[5.0]])


def test_the_chord_of_an_arc():
    np.testing.assert_allclose(chord(R * np.pi / 3), R, rtol=1e-14)  # sixty degrees: an equilateral triangle
    points = np.random.default_rng(0).uniform([-180, -90], [180, 90], (20, 2))
    np.testing.assert_allclose(chord(great_circle(points)), chordal(points), atol=1e-8)


def test_grids_and_points_agree():
    lonlat = np.stack([a.ravel() for a in np.meshgrid(GLOBE.x, GLOBE.y)], axis=1)
    np.testing.assert_allclose(separations(Exponential(1e3), GLOBE), great_circle(lonlat), atol=1e-7)
    np.testing.assert_allclose(separations(Gaussian(1e3), GLOBE), chordal(lonlat), atol=1e-7)
    np.testing.assert_allclose(separations(Gaussian(1e3), lonlat), chordal(lonlat), atol=1e-7)
    xy = np.stack([a.ravel() for a in np.meshgrid(UTM.x, UTM.y)], axis=1)
    np.testing.assert_allclose(separations(Gaussian(1e3), UTM), euclidean(xy), rtol=1e-12)


@pytest.mark.parametrize("length", [1000.0, 4000.0, 9000.0])
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_is_a_covariance_on_the_globe(name, length):
    """No eigenvalue below rounding, on random points all over the sphere: with the distance that is chosen for it."""
    rng = np.random.default_rng(1)
    lonlat = np.stack([rng.uniform(-180, 180, 300), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 300)))], axis=1)
    kernel = KERNELS[name](length)
    rho = np.asarray(kernel(separations(kernel, lonlat)))
    assert np.linalg.eigvalsh(rho)[0] > -1e-11


@pytest.mark.parametrize("kernel", [Gaussian(6e3), Balgovind(4e3), Matern32(9e3), Matern52(9e3)])
def test_smooth_kernels_of_great_circle_distance_are_none(kernel):
    """Why the chord is taken: along a great circle the arc gives these negative eigenvalues."""
    circle = np.stack([np.arange(-180.0, 180.0, 5.0), np.zeros(72)], axis=1)
    assert np.linalg.eigvalsh(kernel(great_circle(circle)))[0] < -1e-4
    with pytest.raises(TanhengError, match="is singular on these points"):
        correlation(kernel, great_circle(circle))
    assert np.linalg.eigvalsh(kernel(separations(kernel, circle)))[0] > -1e-11


def test_compact_kernels_keep_the_arc_until_they_reach_around():
    np.testing.assert_allclose(separations(Spherical(2e4), GLOBE), GLOBE.distances())
    with pytest.raises(TanhengError, match="reaches around the Earth"):
        separations(GaspariCohn(1.1e4), GLOBE)


@pytest.mark.parametrize(
    ("points", "what"),
    [
        ([[50.0, 100.0]], "beyond a pole"),
        ([1.0, 2.0], "are not points"),
        ([[np.nan, 2.0]], "are not points"),
        ([[1.0, 2.0, 3.0]], "are not points"),
    ],
)
def test_bad_points_are_refused(points, what):
    with pytest.raises(TanhengError, match=what):
        great_circle(points)

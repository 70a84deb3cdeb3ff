import numpy as np
import pytest

from inversion.basis import Basis, cells, eof, kmeans, quadtree, regions
from inversion.covariance import Diagonal, Scaled, exponential
from inversion.polygons import polygons
from transport.errors import TanhengError
from transport.grid import Grid

RNG = np.random.default_rng(0)
GRID = Grid(np.linspace(170, 174, 9), np.linspace(-45, -42, 7))  # 6 × 8 cells of half a degree
UTM = Grid(np.linspace(5e5, 5.4e5, 41), np.linspace(5e6, 5.03e6, 31), "EPSG:32633")
FLUX = RNG.uniform(0, 3, (6, 8))


def partitions():
    mask = np.where(np.arange(48).reshape(6, 8) < 20, 1, 7)
    return {
        "cells": cells((6, 8)),
        "regions": regions(mask, {1: "south", 7: "north"}),
        "kmeans": kmeans(GRID, 5, FLUX),
        "quadtree": quadtree((6, 8), 10, FLUX),
    }


@pytest.mark.parametrize("name", ["cells", "regions", "kmeans", "quadtree"])
def test_a_partition_conserves_totals(name):
    basis = partitions()[name]
    np.testing.assert_array_equal(basis.covered, np.ones((6, 8)))
    np.testing.assert_allclose(basis.aggregate(FLUX).sum(), FLUX.sum(), rtol=1e-14)
    x = RNG.normal(size=(3, basis.size))
    np.testing.assert_allclose(basis.expand(x).reshape(3, -1), x @ basis.matrix().T, atol=1e-15)


def test_masked_cells_and_regions_by_hand():
    mask = np.array([[1, 1, 2], [0, 2, 2]])
    basis = regions(mask, {2: "B", 1: "A"})
    np.testing.assert_array_equal(basis.index, [[1, 1, 0], [-1, 0, 0]])
    np.testing.assert_array_equal(basis.expand(np.array([5.0, 7.0])), [[7, 7, 5], [0, 5, 5]])
    np.testing.assert_array_equal(basis.aggregate(np.arange(6.0).reshape(2, 3)), [2 + 4 + 5, 0 + 1])
    land = cells((2, 3), mask > 0)
    assert land.size == 5 and tuple(land.labels[3]) == (1, 1)
    np.testing.assert_array_equal(land.index, [[0, 1, 2], [-1, 3, 4]])


def test_kmeans_finds_separate_groups_and_follows_the_weights():
    grid = Grid(np.arange(13.0), np.array([0.0, 1.0]), "EPSG:32633")
    weights = np.zeros((1, 12))
    weights[0, [0, 1, 5, 6, 10, 11]] = 1.0
    index = np.asarray(kmeans(grid, 3, weights).index)[0]
    assert index[0] == index[1] and index[5] == index[6] and index[10] == index[11]
    assert len({index[0], index[5], index[10]}) == 3
    # Nothing but one cell matters: its cluster's centre is that cell, whatever else joins it.
    np.testing.assert_array_equal(kmeans(grid, 1, np.eye(12)[:1]).index, np.zeros((1, 12)))


def test_kmeans_is_reproducible_and_does_not_see_the_date_line():
    across = Grid(np.linspace(176, 184, 9), np.linspace(-1, 1, 3))
    here = Grid(np.linspace(-4, 4, 9), np.linspace(-1, 1, 3))
    np.testing.assert_array_equal(kmeans(across, 3).index, kmeans(here, 3).index)


def test_a_quadtree_by_hand():
    """The heaviest quarter is split once more: the corner with the weight, and three quarters left whole."""
    weights = np.ones((4, 4))
    weights[0, 0] = 10.0
    index = np.asarray(quadtree((4, 4), 7, weights).index)
    assert np.unique(index).size == 7
    assert [np.count_nonzero(index == index[r, c]) for r, c in ((0, 0), (0, 1), (1, 0), (1, 1))] == [1, 1, 1, 1]
    assert [np.count_nonzero(index == index[r, c]) for r, c in ((0, 3), (3, 0), (3, 3))] == [4, 4, 4]
    # One more part does not fit: the tree stays below the count.
    assert quadtree((4, 4), 6, weights).size == 4
    assert quadtree((1, 4), 100, np.ones((1, 4))).size == 4


def test_eof_of_all_cells_is_the_covariance_and_truncation_is_the_best():
    d = GRID.distances()
    B = Scaled(RNG.uniform(0.5, 2, 48), exponential(d, 100.0))
    matrix = np.asarray(B.mv(np.eye(48)))
    full = eof((6, 8), B, 48).matrix()
    np.testing.assert_allclose(full @ full.T, matrix, atol=1e-12)
    ten = eof((6, 8), B, 10).matrix()
    values = np.linalg.eigvalsh(matrix)[::-1]
    np.testing.assert_allclose(np.sort(np.linalg.eigvalsh(ten @ ten.T))[::-1][:10], values[:10], rtol=1e-10)
    np.testing.assert_allclose(np.trace(matrix - ten @ ten.T), values[10:].sum(), rtol=1e-10)


def test_eof_keeps_the_prior_variance_of_totals():
    B = Scaled(RNG.uniform(0.5, 2, 48), exponential(GRID.distances(), 30.0))
    T = RNG.uniform(size=(2, 48)) * FLUX.ravel()
    W = eof((6, 8), B, 5, totals=T).matrix()
    np.testing.assert_allclose(T @ W @ W.T @ T.T, T @ B.mv(T.T), rtol=1e-12)
    # Without asking for it a truncation loses a good part of it.
    V = eof((6, 8), B, 5).matrix()
    assert (np.diagonal(T @ V @ V.T @ T.T) < 0.98 * np.diagonal(T @ B.mv(T.T))).all()
    # And never is there more variance than B has.
    assert np.linalg.eigvalsh(np.asarray(B.mv(np.eye(48))) - W @ W.T)[0] > -1e-12


# --- polygons ---------------------------------------------------------------------------------------------------------
def box(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def test_fractions_of_a_box_by_hand():
    basis = polygons(GRID, {"A": [[box(170.25, -44.5, 171.5, -43.75)]]})
    f = basis.expand(np.ones(1))
    np.testing.assert_allclose(f[1, :4], [0.5, 1, 1, 0], atol=1e-12)  # −44.5…−44: half of the first cell in longitude
    # −44…−43.75: the half of a cell that is nearer to the pole has a little less than half of its area.
    s = np.sin(np.deg2rad([-44.0, -43.75, -43.5]))
    share = (s[1] - s[0]) / (s[2] - s[0])
    np.testing.assert_allclose(f[2, :4], [0.5 * share, share, share, 0], atol=1e-12)
    assert share == pytest.approx(0.5 * (1 - np.tan(np.deg2rad(43.75)) * np.deg2rad(0.125)), abs=1e-6)
    assert not f[[0, 3, 4, 5]].any()


def test_a_hole_two_parts_and_the_area_on_the_sphere():
    rings = [box(170.1, -44.9, 173.9, -42.1), box(171.0, -44.0, 172.0, -43.0)]
    basis = polygons(
        GRID, {"ring": [rings], "islands": [[box(171.2, -43.8, 171.4, -43.6)], [box(171.6, -43.4, 171.8, -43.2)]]}
    )
    area = basis.aggregate(GRID.areas)

    def spherical(west, south, east, north):
        return 6.371e6**2 * np.deg2rad(east - west) * np.diff(np.sin(np.deg2rad([south, north])))[0]

    assert area[0] == pytest.approx(spherical(170.1, -44.9, 173.9, -42.1) - spherical(171, -44, 172, -43), rel=1e-10)
    assert area[1] == pytest.approx(spherical(171.2, -43.8, 171.4, -43.6) + spherical(171.6, -43.4, 171.8, -43.2))
    assert list(basis.labels) == ["ring", "islands"]


def test_a_triangle_has_its_exact_spherical_area():
    """Under the line from (170, −45) to (174, −42): R² ∫ (sin φ(λ) − sin φ₀) dλ with φ linear in λ."""
    basis = polygons(GRID, {"T": [[[[170, -45], [174, -45], [174, -42], [170, -45]]]]})
    lon = np.linspace(170, 174, 200_001)
    height = np.sin(np.deg2rad(-45 + 0.75 * (lon - 170))) - np.sin(np.deg2rad(-45))
    exact = 6.371e6**2 * np.trapezoid(height, np.deg2rad(lon))
    assert basis.aggregate(GRID.areas)[0] == pytest.approx(exact, rel=1e-5)


def test_the_date_line_is_no_edge():
    grid = Grid(np.linspace(178, 182, 5), np.array([0.0, 1.0]))
    for west, east in ((179.5, -179.5), (179.5, 180.5), (-180.5, -179.5)):
        f = polygons(grid, {"A": [[box(west, 0.0, east, 1.0)]]}).expand(np.ones(1))
        np.testing.assert_allclose(f, [[0, 0.5, 0.5, 0]], atol=1e-12)


def test_projected_grids_see_polygons_in_their_own_plane():
    lon, lat = UTM.lonlat(
        np.array([5.1e5, 5.2e5, 5.2e5, 5.1e5, 5.1e5]), np.array([5.01e6, 5.01e6, 5.02e6, 5.02e6, 5.01e6])
    )
    f = polygons(UTM, {"A": [[np.stack([lon, lat], axis=1)]]}).expand(np.ones(1))
    # A side straight in degrees bends by metres between corners 10 km apart.
    np.testing.assert_allclose(f[10:20, 10:20], 1.0, atol=0.01)
    assert f.sum() == pytest.approx(100.0, abs=0.1)


# --- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda: Basis((1, 2), np.arange(1)), "an index or a matrix"),
        (lambda: Basis((1, 2), np.arange(1), index=np.zeros((2, 1), int)), "does not fit its cells"),
        (lambda: Basis((1, 2), np.arange(1), index=np.array([[0, 1]])), "does not fit its cells"),
        (lambda: Basis((1, 2), np.arange(2), index=np.array([[0, 0]])), "holds no cell"),
        (lambda: Basis((1, 2), np.arange(1), weights=np.array([[1.0], [np.nan]])), "does not fit its cells"),
        (lambda: regions(np.ones((2, 2)), {1: "A"}), "must hold integers"),
        (lambda: regions(np.ones((2, 2), int), {1: "A", 2: "B"}), "holds no cell"),
        (lambda: kmeans(GRID, 49), "too many clusters"),
        (lambda: kmeans(GRID, 2, -FLUX), "weights of a basis"),
        (lambda: quadtree((6, 8), 4, FLUX * np.nan), "weights of a basis"),
        (lambda: quadtree((6, 8), 0, FLUX), "needs an element"),
        (lambda: eof((6, 8), Diagonal(np.ones(47)), 3), "do not fit their cells"),
        (lambda: eof((6, 8), Diagonal(np.ones(48)), 1, totals=np.ones((2, 48))), "do not fit their cells"),
        (lambda: eof((6, 8), Diagonal(np.ones(48)), 3, totals=np.ones((2, 48))), "depend on each other"),
        (lambda: polygons(GRID, {"A": [[box(0, 0, 1, 1)]]}), "misses the grid"),
        (lambda: polygons(GRID, {"A": [[box(170, -45, 172, -43)]], "B": [[box(171, -44, 173, -42)]]}), "overlap"),
        (lambda: polygons(GRID, {"A": [[box(-44, 170, -43, 171)]]}), "is not a ring"),
        (lambda: polygons(GRID, {"A": [[box(170, -44, 171, -43)[:-1]]]}), "is not a ring"),
        (lambda: polygons(GRID, {"A": [[[[170, -44], [171, -43], [171, -44], [170, -43], [170, -44]]]]}), "not simple"),
        (lambda: polygons(GRID, {"A": [[[[0, 80], [120, 80], [240, 80], [360, 80], [0, 80]]]]}), "around a pole"),
    ],
)  # fmt: skip
def test_what_is_no_basis_is_refused(build, what):
    with pytest.raises(TanhengError, match=what):
        build()

"""Conservative regridding: areas by hand, totals, and every awkward pair of grids."""

import numpy as np
import pytest

from priors import regrid as module
from priors.inventory import Inventory
from priors.readers.epa import read_epa
from priors.readers.open_methane import read_open_methane
from priors.readers.openghg_flux import read_openghg_flux
from priors.regrid import overlaps, regrid
from transport.errors import TanhengError
from transport.grid import Grid

ROTATED = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=43 +lon_0=10 +R=6371000 +type=crs"
YEAR = np.array(["2018-01-01", "2019-01-01"], "datetime64[s]")


def globe(step=1.0, west=-180.0):
    return Grid(west + step * np.arange(round(360 / step) + 1), -90.0 + step * np.arange(round(180 / step) + 1))


def random(grid, seed=0):
    rate = np.random.default_rng(seed).normal(size=(2, 1, *grid.shape))
    return Inventory("CH4", ("a", "b"), rate, grid, YEAR)


def dense(source, target, folder):
    return overlaps(source, target, folder).matrix.toarray()


def test_shares_by_hand(tmp_path):
    source = Grid(np.array([0.0, 2.0, 4.0]), np.array([0.0, 30.0, 90.0]))
    target = Grid(np.array([1.0, 4.0]), np.array([0.0, 90.0]))
    # half of the first column, all of the second
    np.testing.assert_allclose(dense(source, target, tmp_path), [[0.5, 1.0, 0.5, 1.0]], rtol=1e-15)
    halves = Grid(np.array([0.0, 4.0]), np.array([0.0, np.rad2deg(np.arcsin(0.25)), 30.0, 90.0]))
    # sin 30° = 1/2: the parallel of sin φ = 1/4 halves the southern row
    expected = [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 1]]
    np.testing.assert_allclose(dense(source, halves, tmp_path), expected, atol=1e-15)


def test_planar_shares_by_hand(tmp_path):
    source = Grid(np.array([0.0, 10.0, 20.0]), np.array([0.0, 10.0]), "EPSG:32633")
    target = Grid(np.array([-5.0, 4.0, 12.0]), np.array([2.0, 50.0]), "EPSG:32633")
    np.testing.assert_allclose(dense(source, target, tmp_path), [[0.4 * 0.8, 0.0], [0.6 * 0.8, 0.2 * 0.8]], rtol=1e-15)


@pytest.mark.parametrize(("west", "edges"), [(-180.0, (170.0, 190.0)), (0.0, (-10.0, 10.0)), (0.0, (-190.0, -170.0)),
                                             (-180.0, (350.0, 370.0)), (-182.5, (-181.0, 178.9))])  # fmt: skip
def test_longitudes_are_periodic(tmp_path, west, edges):
    source, target = globe(5.0, west), Grid(np.linspace(*edges, 5), np.array([-3.0, 2.0, 60.0]))
    found = overlaps(source, target, tmp_path)
    # A uniform flux stays uniform: Σ shares · areas of the source are the areas of the target.
    np.testing.assert_allclose(found.matrix @ source.areas.ravel(), target.areas.ravel(), rtol=1e-12)


def test_polar_cells_and_whole_globes(tmp_path):
    around = Grid(np.arange(-2.5, 360.0, 5.0), np.concatenate([[-90.0], np.arange(-88.0, 89.0, 4.0), [90.0]]))
    found = overlaps(around, globe(), tmp_path)
    np.testing.assert_allclose(found.inside, 1.0, rtol=1e-12)
    np.testing.assert_allclose(found.matrix @ around.areas.ravel(), globe().areas.ravel(), rtol=1e-11)
    beyond = Grid(around.x_edges, np.linspace(-92.0, 92.0, 47))
    np.testing.assert_allclose(overlaps(beyond, globe(), tmp_path).inside, 1.0, rtol=1e-12)


@pytest.mark.parametrize(("target", "angle"), [
    (Grid(3e5 + 5e3 * np.arange(41), 5.7e6 + 5e3 * np.arange(31), "EPSG:32633"), 0.0),
    (Grid(np.linspace(-5.0, 5.0, 21), np.linspace(-4.0, 4.0, 17), ROTATED), 0.0),
    # around the North Pole, where longitudes meet, and across the date line
    (Grid(1e5 * np.arange(-10, 11), 1e5 * np.arange(-10, 11), "EPSG:3413"), 0.0),
    (Grid(3e5 + 1e4 * np.arange(61), 7.8e6 + 1e4 * np.arange(31), "EPSG:32701"), 0.0),
])  # fmt: skip
def test_a_uniform_flux_stays_uniform_between_projections(tmp_path, target, angle):
    source = globe()
    found = overlaps(source, target, tmp_path)
    assert found.error < 1e-9
    sphere = np.asarray(found.matrix @ source.areas.ravel()).reshape(target.shape)
    # The target's areas are of its own ellipsoid, 0.7 % from the sphere's; their ratio must be smooth.
    ratio = sphere / target.areas
    assert ratio.min() > 0.99 and ratio.max() < 1.01
    rough = np.abs(np.diff(ratio, 2, axis=0)).max(), np.abs(np.diff(ratio, 2, axis=1)).max()
    assert max(rough) < 2e-4
    inner = found.inside
    np.testing.assert_allclose(inner[inner > 1.0 - 1e-9], 1.0, rtol=1e-12)
    assert inner.max() <= 1.0 + 1e-12


def test_against_random_points(tmp_path):
    """Shares of three source cells, by counting random points in the target's cells."""
    source = Grid(np.array([12.0, 12.5, 13.0, 14.0]), np.array([51.8, 52.3]))
    target = Grid(3.2e5 + 2e4 * np.arange(5), 5.74e6 + 2e4 * np.arange(3), "EPSG:32633")
    matrix = dense(source, target, tmp_path)
    rng, n = np.random.default_rng(1), 400_000
    sine = np.sin(np.deg2rad(source.y_edges))
    import pyproj

    to_target = pyproj.Transformer.from_crs("EPSG:4326", target.crs, always_xy=True)
    for j in range(3):
        lon = rng.uniform(source.x_edges[j], source.x_edges[j + 1], n)
        lat = np.rad2deg(np.arcsin(rng.uniform(*sine, n)))
        counts = np.histogram2d(*to_target.transform(lon, lat)[::-1], bins=[target.y_edges, target.x_edges])[0] / n
        np.testing.assert_allclose(matrix[:, j], counts.ravel(), atol=5.0 * 0.5 / np.sqrt(n))


@pytest.mark.parametrize("crs", ["EPSG:32633", ROTATED])
def test_a_target_inside_one_source_cell(tmp_path, crs):
    x, y = (4e5 + 1e3 * np.arange(6), 5.8e6 + 1e3 * np.arange(5)) if crs != ROTATED else (
        0.01 * np.arange(6), 0.01 * np.arange(5))  # fmt: skip
    target = Grid(x, y, crs)
    source = globe(10.0, -175.0)
    found = overlaps(source, target, tmp_path)
    cells = np.flatnonzero(found.inside)
    assert cells.size == 1
    share = target.areas.sum() / source.areas.ravel()[cells[0]]
    np.testing.assert_allclose(found.inside.ravel()[cells[0]], share, rtol=0.01)
    back = overlaps(target, source, tmp_path)
    np.testing.assert_allclose(back.inside, 1.0, rtol=1e-12)


@pytest.mark.parametrize("target", [
    Grid(np.linspace(-200.0, 160.0, 37), np.linspace(-90.0, 90.0, 19)),
    Grid(np.array([3.0, 8.0]), np.array([1.0, 7.7])),
    Grid(3e5 + 5e4 * np.arange(5), 5.7e6 + 5e4 * np.arange(4), "EPSG:32633"),
])  # fmt: skip
def test_totals_are_kept_and_what_is_outside_is_named(tmp_path, target):
    inventory = random(globe(2.0))
    inside = overlaps(inventory.grid, target, tmp_path).inside
    got = regrid(inventory, target, tmp_path, "zero")
    scale = np.abs(inventory.rate).sum()
    for sector, total in inventory.totals(inside).items():
        assert abs(got.totals()[sector] - total) <= 1e-10 * scale
    outside = inventory.total(1.0 - inside)
    assert f"{outside:.9g} of {inventory.total():.9g} kg s-1 lie outside" in got.steps[-1].what
    assert got.total() + outside == pytest.approx(inventory.total(), abs=1e-9 * scale)


def test_grids_that_do_not_meet(tmp_path):
    target = Grid(3e5 + 5e4 * np.arange(5), 5.7e6 + 5e4 * np.arange(4), "EPSG:32633")
    with pytest.raises(TanhengError, match="does not touch"):
        regrid(random(Grid(np.array([100.0, 101.0]), np.array([0.0, 1.0]))), target, tmp_path)
    with pytest.raises(TanhengError, match="more than the Earth"):
        overlaps(Grid(np.linspace(0.0, 400.0, 5), np.array([0.0, 1.0])), globe(), tmp_path)
    with pytest.raises(TanhengError, match="too much of the Earth"):
        overlaps(globe(10.0), Grid(np.linspace(-180.0, 180.0, 37), np.linspace(-90.0, 90.0, 19), ROTATED), tmp_path)


# The meridian of 0° E, the western edge of the source below, is the line x = 0.
MIDDLE = "+proj=laea +lat_0=45 +lon_0=0 +R=6371000 +units=m"


@pytest.mark.parametrize(("target", "covered"), [
    # Columns: all, half, none. Rows: (sin 50° − sin 49°) / (sin 52° − sin 49°) = 0.34037428.
    (Grid(np.array([5.0, 8.0, 12.0, 15.0]), np.array([41.0, 42.0])), [[1.0, 0.5, 0.0]]),
    (Grid(np.array([365.0, 370.0]), np.array([49.0, 52.0])), [[0.34037428]]),
    (Grid(np.array([-5e3, 5e3, 2e4]), np.array([0.0, 1e4]), MIDDLE), [[0.5, 1.0]]),
])  # fmt: skip
def test_cells_that_are_not_covered_are_refused_or_named(tmp_path, target, covered):
    inventory = random(Grid(np.arange(11.0), np.arange(40.0, 51.0)))
    np.testing.assert_allclose(overlaps(inventory.grid, target, tmp_path).covered, covered, rtol=1e-6)
    bare = np.array(covered) < 1.0
    share = f"{100 * ((1.0 - np.array(covered)) * target.areas).sum() / target.areas.sum():.3g} % of the target's area"
    with pytest.raises(TanhengError, match=f"does not cover(.|\n)*{share} .{bare.sum()} of {bare.size} cells."):
        regrid(inventory, target, tmp_path)
    assert share in regrid(inventory, target, tmp_path, "zero").steps[-1].what
    inner = Grid(target.x_edges[:1] + np.array([6e3, 7e3]), target.y_edges, MIDDLE) if target.crs == MIDDLE else Grid(
        target.x_edges[:2], np.array([48.0, 49.5]))  # fmt: skip
    assert "covered" not in regrid(inventory, inner, tmp_path).steps[-1].what


def test_sphere_and_ellipsoid_are_named(tmp_path):
    target = Grid(3e5 + 5e4 * np.arange(5), 5.7e6 + 5e4 * np.arange(4), "EPSG:32633")
    # At 52° N, R² / (M N) = 6371000² / (6375155 · 6391433) = 0.9962 with M, N the ellipsoid's radii of curvature.
    what = regrid(random(globe(2.0)), target, tmp_path).steps[-1].what
    assert "a uniform flux becomes 0.996" in what and "mass is kept" in what
    assert "uniform" not in regrid(random(globe(2.0)), globe(), tmp_path).steps[-1].what


@pytest.mark.parametrize(("target", "word"), [
    (Grid(np.linspace(-6e6, 6e6, 21), np.linspace(-6e6, 6e6, 21), "+proj=geos +h=35785831 +lon_0=0"), "180 of 400"),
    (Grid(np.linspace(-3e7, 3e7, 21), np.linspace(-3e7, 3e7, 21), "EPSG:3034"), "beyond its projection"),
])  # fmt: skip
def test_cells_beyond_their_projection_are_named(tmp_path, target, word):
    with pytest.raises(TanhengError, match=word):
        regrid(random(Grid(np.linspace(-50.0, 50.0, 21), np.linspace(-50.0, 50.0, 21))), target, tmp_path, "zero")


def test_many_turns_and_one_large_cell(tmp_path):
    target = Grid(np.linspace(-1e6, 1e6, 11), np.linspace(-1e6, 1e6, 11), "+proj=laea +lat_0=0 +lon_0=0 +R=6371000")
    for west in (-30.0, 690.0):
        large = Grid(west + np.array([0.0, 60.0]), np.array([-30.0, 30.0]))
        # An equal-area map: 4·10¹² m2 of R² · π/3 · (sin 30° − sin −30°)
        share = 4e12 / (6371000.0**2 * np.pi / 3.0)
        assert overlaps(large, target, tmp_path).inside[0, 0] == pytest.approx(share, rel=1e-5)
    with pytest.raises(TanhengError, match="more than the Earth"):
        overlaps(target, Grid(np.linspace(0.0, 400.0, 41), np.linspace(0.0, 80.0, 9)), tmp_path)


# --- cache ---
def test_the_cache_is_used_and_a_damaged_one_is_not(tmp_path, monkeypatch):
    target = Grid(3e5 + 5e4 * np.arange(5), 5.7e6 + 5e4 * np.arange(4), "EPSG:32633")
    first = overlaps(globe(5.0), target, tmp_path)
    (file,) = tmp_path.iterdir()
    whole, computed = file.read_bytes(), []
    clipped = module.clipped
    monkeypatch.setattr(module, "clipped", lambda *a: computed.append(1) or clipped(*a))
    assert (overlaps(globe(5.0), target, tmp_path).matrix != first.matrix).nnz == 0 and not computed
    rng = np.random.default_rng(0)
    for k in range(60):
        data = bytearray(whole)
        at = rng.integers(len(data))
        data[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(data if k % 3 else data[:at]))
        again = overlaps(globe(5.0), target, tmp_path)
        assert (again.matrix != first.matrix).nnz == 0
    assert len(computed) >= 20 and file.read_bytes()[:2] == b"PK" and len(list(tmp_path.iterdir())) == 1
    with np.load(file) as held:
        arrays = dict(held)
    np.savez(file, **arrays | {"data": 0.5 * arrays["data"]})  # a whole file, but not what was written
    assert (overlaps(globe(5.0), target, tmp_path).matrix != first.matrix).nnz == 0
    moved = Grid(target.x_edges + 1.0, target.y_edges, target.crs)
    overlaps(globe(5.0), moved, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    target = Grid(3e5 + 5e4 * np.arange(5), 5.7e6 + 5e4 * np.arange(4), "EPSG:32633")
    assert overlaps(globe(5.0), target, tmp_path / "file" / "below").matrix.nnz


# --- real files ---
REAL = {
    "priors/GEPA_Annual_2012_v1.nc": (
        read_epa, Grid(1e5 * np.arange(-30, 31), 1e5 * np.arange(-20, 21), "EPSG:5070")),
    "priors/ch4-anthro_EUROPE_2012.nc": (
        lambda p: read_openghg_flux(p, period="year"),
        Grid(2.5e6 + 1e5 * np.arange(51), 1.4e6 + 1e5 * np.arange(41), "EPSG:3035")),
    "priors/ch4_SOUTHAMERICA_2016_SWAMPS-v32-5_Saunois-Annual-Mean.nc": (
        read_openghg_flux, Grid(np.linspace(-100.0, -20.0, 81), np.linspace(-70.0, 30.0, 101))),
    "priors/co2-edgar-ff-1hr_EUROPE_2018.nc": (
        read_openghg_flux, Grid(np.linspace(-10.0, 10.0, 41), np.linspace(-10.0, 10.0, 41), ROTATED)),
    "priors/co2-gpp-cardamom_EUROPE_2012.nc": (
        lambda p: read_openghg_flux(p, period="month"),
        Grid(np.linspace(-100.0, 45.0, 59), np.linspace(5.0, 85.0, 41))),
    "uk_ch4_acrg_tdmcmc/flux/ch4_EUROPE_reduced_2013.nc": (
        lambda p: read_openghg_flux(p, period="year"), Grid(1e5 * np.arange(8), 1e5 * np.arange(13), "EPSG:27700")),
    "openmethane_bowen_basin/case_2022-12-07/prior/prior-emissions.nc": (
        read_open_methane, Grid(np.linspace(148.0, 150.0, 41), np.linspace(-24.0, -22.5, 31))),
    "openmethane_bowen_basin/case_2022-07-22/prior/prior-emissions.nc": (
        read_open_methane, Grid(np.linspace(148.0, 150.0, 41), np.linspace(-24.0, -22.0, 31))),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_totals_before_and_after(real, tmp_path, name):
    read, target = REAL[name]
    inventory = read(real(name))
    got = regrid(inventory, target, tmp_path, "zero")
    inside = overlaps(inventory.grid, target, tmp_path).inside
    before, after = inventory.totals(inside), got.totals()
    assert sum(abs(v) for v in before.values()) > 0.0
    for sector, total in before.items():
        assert abs(after[sector] - total) <= 1e-10 * max(abs(total), 1e-10)
    # Where the whole inventory lies inside, nothing may be lost.
    if inside.min() > 1.0 - 1e-12:
        assert got.total() == pytest.approx(inventory.total(), rel=1e-10)


@pytest.mark.parametrize("south", [-1.3, 51.0, 83.0])
def test_clipped_polygons_give_the_exact_shares(south):
    """Two grids of longitude and latitude, once by polygons and once by products that are exact in sin φ."""
    source = Grid(9.0 + 0.1 * np.arange(31), south + 0.1 * np.arange(21))
    target = Grid(9.97 + 0.037 * np.arange(31), south + 0.333 + 0.041 * np.arange(31))
    clipped, error, covered = module.clipped(source, target)
    exact = overlaps(source, target)
    assert error < 1e-12 and np.abs((clipped - exact.matrix).toarray()).max() < 5e-6
    np.testing.assert_allclose(covered, exact.covered, atol=5e-6)

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from transport.columns import Columns
from transport.constants import GAS_CONSTANT, MOLAR_MASS_DRY_AIR, STANDARD_GRAVITY
from transport.errors import TanhengError
from transport.levels import EtaLevels, FixedHeights, HybridLevels


def isothermal(surface_pressure, temperature=250.0, humidity=0.0):
    """Two columns of 30 levels with one temperature and humidity."""
    surface = np.asarray(surface_pressure, dtype=float)
    pressure = np.tile(np.geomspace(99e3, 300.0, 30), (surface.size, 1))
    return Columns.of_levels(pressure, surface, np.full(pressure.shape, temperature), np.full(pressure.shape, humidity))


def test_l137_is_the_table_of_the_centre():
    folder = os.environ.get("TANHENG_DATA")
    path = Path(folder or "") / "matimba_no2_era5" / "ERA5_L137_model_level_definitions.csv"
    if not folder or not path.is_file():
        pytest.skip("needs the level definitions of ECMWF: set TANHENG_DATA to a folder that holds matimba_no2_era5")
    with path.open(encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))[1:]
    levels = HybridLevels.l137()
    assert levels.count == 137
    np.testing.assert_array_equal(levels.a, [float(row[1]) for row in rows[::-1]])
    np.testing.assert_array_equal(levels.b, [float(row[2]) for row in rows[::-1]])
    # The same file prints half-level pressures over 1013.25 hPa to 1e-4 hPa; half the last digit of b is 0.05 Pa.
    printed = 100.0 * np.array([float(row[3]) for row in rows[::-1]])
    np.testing.assert_allclose(levels.at(np.array(101325.0), axis=0), printed, rtol=0, atol=0.056)


def test_l137_by_hand():
    edges = HybridLevels.l137().at(np.full((1, 1), 100e3))
    assert edges.shape == (138, 1, 1)
    # n = 136: 0.997630 · 1000 hPa; n = 135: 3.757813 Pa + 0.995003 · 1000 hPa; n = 60: 10065.978516 + 34.0 Pa.
    np.testing.assert_allclose(edges[[0, 1, 2, 77], 0, 0], [100e3, 99763.0, 99504.057813, 10099.978516], rtol=1e-14)
    assert edges[-1, 0, 0] == 0.0


def test_thinning_merges_whole_layers_and_keeps_the_lowest():
    full = HybridLevels.l137()
    thin = full.thinned(count=30, top_pressure=100e2)
    assert thin.count == 30
    edges, thick = thin.at(np.array(101325.0), axis=0), full.at(np.array(101325.0), axis=0)
    assert set(zip(thin.a, thin.b, strict=True)) <= set(zip(full.a, full.b, strict=True))
    assert abs(edges[-1] - 100e2) < 300.0
    np.testing.assert_array_equal(edges[:3], thick[:3])
    steps = np.diff([int(np.flatnonzero(thick == edge)[0]) for edge in edges])
    assert steps.min() == 1 and steps[-1] == steps.max() >= 3
    assert full.thinned().count == 137
    assert full.thinned([0, 5, 137]).a.tolist() == full.a[[0, 5, 137]].tolist()


@pytest.mark.parametrize("wrong", [{"count": 200}, {"count": 0}, {"count": 100, "top_pressure": 500e2}])
def test_thinning_refuses(wrong):
    with pytest.raises(TanhengError, match="cannot be thinned"):
        HybridLevels.l137().thinned(**wrong)


@pytest.mark.parametrize("wrong", [[1, 2], [0, 2, 2], [0, 138], [0], [0.0, 1.0]])
def test_edges_that_do_not_fit_are_refused(wrong):
    with pytest.raises(TanhengError, match="cannot be kept"):
        HybridLevels.l137().thinned(np.array(wrong))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([0.0, 10.0], [0.0, 1.0]),
        ([0.0, 10.0, 0.0], [1.0, 0.5]),
        ([0.0, np.nan], [1.0, 0.5]),
        ([0.0], [1.0]),
        ([0.0, 40e3, 50e3], [1.0, 0.5, 0.45]),
        ([0.0, -80e3], [1.0, 0.5]),
    ],
)
def test_hybrid_levels_that_cannot_be(a, b):
    with pytest.raises(TanhengError, match="hybrid levels must"):
        HybridLevels(np.array(a), np.array(b))


def test_sigma_has_a_constant_top():
    levels = HybridLevels.sigma(np.array([1.0, 0.7, 0.0]), 200e2)
    edges = levels.at(np.array([[[100e3, 90e3]], [[80e3, 60e3]]]))
    assert edges.shape == (2, 3, 1, 2)
    np.testing.assert_allclose(edges[:, -1], 200e2, rtol=1e-15)
    np.testing.assert_allclose(edges[0, 1, 0], [200e2 + 0.7 * 800e2, 200e2 + 0.7 * 700e2], rtol=1e-15)


def test_fixed_heights_in_an_isothermal_atmosphere():
    levels = FixedHeights(np.array([0.0, 50.0, 1000.0, 12000.0]))
    edges = levels.edges_in(isothermal([101e3, 70e3]))
    scale = GAS_CONSTANT * 250.0 / (MOLAR_MASS_DRY_AIR * STANDARD_GRAVITY)
    expected = np.array([[101e3], [70e3]]) * np.exp(-levels.edges / scale)
    np.testing.assert_allclose(edges, expected, rtol=1e-12)


def test_fixed_heights_come_back_from_their_pressures():
    rng = np.random.default_rng(1)
    pressure = np.tile(np.geomspace(99e3, 300.0, 30), (5, 1))
    profile = rng.uniform(200.0, 300.0, pressure.shape), rng.uniform(0.0, 0.02, pressure.shape)
    columns = Columns.of_levels(pressure, rng.uniform(60e3, 105e3, 5), *profile)
    heights = np.array([0.0, 20.0, 777.0, 5000.0, 14000.0])
    edges = FixedHeights(heights).edges_in(columns)
    np.testing.assert_allclose(columns.height(edges, columns.locate(edges)), np.tile(heights, (5, 1)), atol=1e-8)


def test_heights_above_the_analysis_are_refused():
    with pytest.raises(TanhengError, match="top lies above"):
        FixedHeights(np.array([0.0, 1e5])).edges_in(isothermal([101e3]))


@pytest.mark.parametrize("edges", [[10.0, 20.0], [0.0, 20.0, 20.0], [0.0], [0.0, np.nan]])
def test_heights_that_cannot_be(edges):
    with pytest.raises(TanhengError, match="increase from the ground"):
        FixedHeights(np.array(edges))


def test_eta_levels_hold_their_share_of_dry_air():
    c3f, c4f, top = np.array([1.0, 0.8, 0.3, 0.0]), np.array([0.0, 500.0, 2000.0, 0.0]), 50e2
    levels = EtaLevels(c3f, c4f, top)
    np.testing.assert_allclose(levels.dry_pressure(np.full((1, 1), 90e3))[:, 0, 0], [95e3, 77.5e3, 34e3, 50e2])
    columns = isothermal([101e3, 70e3], humidity=0.01)
    edges = levels.edges_in(columns)
    mu = 0.99 * (np.array([101e3, 70e3]) - top)  # dry weight between the ground and the top
    expected = top + (levels.dry_pressure(mu, axis=-1) - top) / 0.99
    np.testing.assert_allclose(edges, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("c3f", "c4f", "top"),
    [
        ([0.0, 0.5, 1.0], [0.0, 0.0, 0.0], 5e3),
        ([1.0, 0.5, 0.0], [0.0, 0.0], 5e3),
        ([1.0, 0.5, 0.0], [0.0, 100e3, 0.0], 5e3),
        ([1.0, 0.5, 0.0], [0.0, 0.0, 0.0], np.nan),
        ([1.0, 0.5, 0.1], [0.0, 0.0, 0.0], 5e3),
    ],
)
def test_eta_levels_that_cannot_be(c3f, c4f, top):
    with pytest.raises(TanhengError, match="eta levels must"):
        EtaLevels(np.array(c3f), np.array(c4f), top)


def test_representations_say_number_extent_and_lowest_layer():
    assert repr(HybridLevels.l137()) == "HybridLevels(137 layers, 101325…0 Pa over 101325 Pa, lowest 240.1 Pa)"
    assert repr(FixedHeights([0.0, 40.0, 2500.0])) == "FixedHeights(2 layers, 0…2500 m above ground, lowest 40 m)"  # type: ignore[arg-type]
    eta = EtaLevels(np.array([1.0, 0.9, 0.0]), np.zeros(3), 5e3)
    assert repr(eta) == "EtaLevels(2 layers of dry air, 101325…5000 Pa over 101325 Pa, lowest 9632 Pa)"

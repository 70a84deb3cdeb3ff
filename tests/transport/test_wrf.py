"""The WRF reader on the two real cases of the Bowen Basin, against MCIP and WRF's own W, and by hand."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from transport.constants import MOLAR_MASS_DRY_AIR
from transport.mass_balance import balance
from transport.readers.wrf import dry_mass, hydrostatic_dry_mass, read_wrf
from transport.readers.wrf_files import open_file, states_of
from transport.weather import Weather

CASES = {
    "2022-12-07": "case_2022-12-07/wrf_20221207_d01_25h.nc",
    "2022-07-22": "case_2022-07-22/wrf_20220722_d01_25h.nc",
}
WINDOW = (slice(None), slice(None), slice(1, 11), slice(1, 11))  # MCIP leaves out two cells on each side, we one


def real_file(case: str = "2022-12-07") -> Path:
    root = os.environ.get("TANHENG_DATA")
    path = Path(root or "", "openmethane_bowen_basin", CASES[case])
    if root is None or not path.is_file():
        pytest.skip(f"TANHENG_DATA holds no openmethane_bowen_basin/{CASES[case]}")
    return path


def mcip(name: str) -> xr.Dataset:
    return xr.open_dataset(real_file().parent / "mcip" / name, engine="h5netcdf", decode_times=False)


@pytest.fixture(scope="module", params=CASES)
def case(request) -> tuple[Path, Weather]:
    path = real_file(request.param)
    return path, read_wrf(path)


@pytest.fixture(scope="module")
def december() -> Weather:
    return read_wrf(real_file())


def test_values_by_hand(december):
    """One cell and two faces, with the numbers of the file written out."""
    with h5py.File(real_file()) as f:
        t, k, j, i = 7, 3, 5, 8

        def pa(j, i):
            column = float(f["MU"][t, j, i]) + float(f["MUB"][t, j, i])
            return (f["C1H"][t, k] * column + f["C2H"][t, k]) * (f["ZNW"][t, k] - f["ZNW"][t, k + 1])

        m = float(f["MAPFAC_M"][t, j, i])
        air = pa(j, i) / 9.81 * 1e4 * 1e4 / m**2 / 28.9647e-3
        u, v = float(f["U"][t, k, j, i]), float(f["V"][t, k, j, i])
        west = u * 0.5 * (pa(j, i) + pa(j, i - 1)) / 9.81 * 1e4 / f["MAPFAC_U"][t, j, i] / 28.9647e-3
        south = v * 0.5 * (pa(j, i) + pa(j - 1, i)) / 9.81 * 1e4 / f["MAPFAC_V"][t, j, i] / 28.9647e-3
        p = float(f["P"][t, k, j, i]) + float(f["PB"][t, k, j, i])
        temperature = (float(f["T"][t, k, j, i]) + 300.0) * (p / 1e5) ** (287.0 / 1004.5)
        height = (f["PH"][t, k, j, i] + f["PHB"][t, k, j, i]) / 9.81 - f["HGT"][t, j, i]
        surface = {n: float(f[n][t, j, i]) for n in ("PBLH", "UST", "HFX", "T2", "PSFC")}
    j, i = j - 1, i - 1  # the reader leaves out the outermost cells
    # Rough check of the hand itself: Δη 0.0125 of 95 kPa is 1.18 kPa, 121 kg m-2 on 1.04e8 m2.
    assert air == pytest.approx(4.35e11, rel=0.03)
    assert december.air[t, k, j, i] == pytest.approx(air, rel=3e-7)
    assert december.flux_x[t, k, j, i] == pytest.approx(west, rel=1e-6)
    assert december.flux_y[t, k, j, i] == pytest.approx(south, rel=1e-6)
    assert december.temperature[t, k, j, i] == pytest.approx(temperature, abs=1e-3)
    assert december.height_edges[t, k, j, i] == pytest.approx(height, abs=0.01)
    assert december.surface.mixing_height[t, j, i] == np.float32(surface["PBLH"])
    assert december.surface.friction_velocity[t, j, i] == np.float32(surface["UST"])
    assert december.surface.sensible_heat[t, j, i] == np.float32(surface["HFX"])
    assert december.surface.temperature[t, j, i] == np.float32(surface["T2"])
    assert december.surface.pressure[t, j, i] == np.float32(surface["PSFC"])


def test_times_shape_and_notes(december):
    assert december.air.shape == (25, 32, 12, 12) and december.air.dtype == np.float32
    assert december.times[0] == np.datetime64("2022-12-07T00:00:00") and december.interval == 3600.0
    assert "MU, MUB, C1H, C2H" in " ".join(december.notes) and "along the axes" in " ".join(december.notes)
    assert december.source == "WRF V4.5.1 MODEL, wrf_20221207_d01_25h.nc" and not december.open_top


def test_cells_lie_where_the_model_says(case):
    path, weather = case
    lon, lat = weather.grid.lonlat(*np.meshgrid(weather.grid.x, weather.grid.y))
    with h5py.File(path) as f:
        # A float32 near 148° resolves 1.5e-5 degrees.
        assert np.abs(lon - f["XLONG"][0, 1:-1, 1:-1]).max() < 5e-5
        assert np.abs(lat - f["XLAT"][0, 1:-1, 1:-1]).max() < 5e-5
        np.testing.assert_allclose(weather.grid.areas, 1e8 / f["MAPFAC_M"][0, 1:-1, 1:-1].astype(float) ** 2, rtol=2e-6)


def test_surface_pressure_is_the_weight_of_the_air(case):
    """Dry mass from MU, vapour and P_TOP add up to PSFC, which the model finds another way: within 2 Pa."""
    _, weather = case
    difference = weather.surface.pressure - weather.pressure_edges[:, 0]
    assert np.abs(difference).max() < 2.0
    np.testing.assert_array_equal(weather.pressure_edges[:, -1], 5000.0)
    assert np.all(weather.height_edges[:, 0] == 0.0)


def test_two_ways_to_the_dry_mass_agree(case):
    """MU·C1H… against density × thickness: 4e-5 in every cell, 2e-6 in the column."""
    path, _ = case
    with open_file(path) as dataset:
        state = states_of(path, dataset)[5]
        coordinate = dry_mass(state)
        p = state.field("P") + state.field("PB")
        temperature = (state.field("T") + 300.0) * (p / 1e5) ** (2 / 7)
        phi = state.field("PH") + state.field("PHB")
        weighed = hydrostatic_dry_mass(p, temperature, state.field("QVAPOR"), phi)
        plain = hydrostatic_dry_mass(p, temperature, state.field("QVAPOR"), phi, option=1)
    assert np.abs(weighed / coordinate - 1).max() < 5e-5
    assert np.abs(weighed.sum(axis=0) / coordinate.sum(axis=0) - 1).max() < 5e-6
    # Density at the mean pressure times thickness alone is 0.26 % too much in the layers aloft.
    assert (plain / coordinate - 1).max() == pytest.approx(2.56e-3, rel=0.01)


def test_mcip_has_the_same_air_and_winds(december):
    """MCIP 4.2 derived its fields from the same WRF run: temperature, surface fields, dry density, winds on faces."""
    cells, dots, ground = mcip("METCRO3D_au-test_v1"), mcip("METDOT3D_au-test_v1"), mcip("METCRO2D_au-test_v1")
    flat = (WINDOW[0], *WINDOW[2:])
    np.testing.assert_allclose(december.temperature[WINDOW], cells["TA"], atol=1e-4)
    np.testing.assert_array_equal(december.surface.mixing_height[flat], ground["PBL"][:, 0])
    np.testing.assert_array_equal(december.surface.pressure[flat], ground["PRSFC"][:, 0])
    # DENS is dry density. The heights of MCIP 4.2 ignore the hybrid coordinate (up to 3 % of a layer), so the volume
    # is that of WRF's own geopotential.
    volume = (np.diff(december.height_edges, axis=1) * december.grid.areas)[WINDOW]
    ratio = december.air[WINDOW] * MOLAR_MASS_DRY_AIR / (cells["DENS"].values * volume)
    assert np.abs(ratio - 1).max() < 0.003
    per_area = december.air.astype(float) / december.grid.areas
    root = np.sqrt(december.grid.areas)
    wind = december.flux_x[..., 1:-1] / (0.25 * (per_area[..., 1:] + per_area[..., :-1]) * (root[:, 1:] + root[:, :-1]))
    np.testing.assert_allclose(wind[:, :, 1:11, :], dots["UWINDC"][:, :, :10], atol=1e-4)
    wind = december.flux_y[:, :, 1:-1] / (0.25 * (per_area[:, :, 1:] + per_area[:, :, :-1]) * (root[1:] + root[:-1]))
    np.testing.assert_allclose(wind[..., 1:11], dots["VWINDC"][..., :10], atol=1e-4)


def vertical_winds(path: Path, weather: Weather, rim: int) -> tuple[np.ndarray, np.ndarray]:
    """(ours, WRF's) m s-1 on inner layer edges, means over the intervals, without `rim` cells at the sides.

    Ours: flow through the surface of constant η plus the motion and the slope of that surface.
    """
    balanced = balance(weather)
    with h5py.File(path) as f:
        w, u, v, ground = (f[n][..., 1:-1, 1:-1].astype(float) for n in ("W", "U", "V", "HGT"))
    z = weather.height_edges + ground[:, None]
    density = balanced.air / (weather.grid.areas * np.diff(z, axis=1))
    density = 0.25 * (density[1:, 1:] + density[:-1, 1:] + density[1:, :-1] + density[:-1, :-1])
    through = balanced.flux_z[:, 1:-1] / (density * weather.grid.areas)
    u, v = 0.5 * (u[..., 1:] + u[..., :-1]), 0.5 * (v[:, :, 1:] + v[:, :, :-1])
    step = float(np.sqrt(weather.grid.areas.mean()))
    slope = 0.5 * (u[:, 1:] + u[:, :-1]) * np.gradient(z, step, axis=3)[:, 1:-1]
    slope += 0.5 * (v[:, 1:] + v[:, :-1]) * np.gradient(z, step, axis=2)[:, 1:-1]
    ours = through + np.diff(z, axis=0)[:, 1:-1] / 3600.0 + 0.5 * (slope[1:] + slope[:-1])
    inside = (slice(None), slice(None), slice(rim, -rim), slice(rim, -rim))
    return ours[inside], (0.5 * (w[1:] + w[:-1]))[:, 1:-1][inside]


def test_vertical_motion_is_that_of_the_model(case):
    """W of WRF took no part in the balance: correlation ≥ 0.9 on every edge from 400 m to 15 km."""
    path, weather = case
    ours, model = vertical_winds(path, weather, rim=2)
    z = weather.height_edges.mean(axis=(0, 2, 3))[1:-1]
    for k in np.flatnonzero((z > 400) & (z < 15e3)):
        assert np.corrcoef(ours[:, k].ravel(), model[:, k].ravel())[0, 1] > 0.9, f"edge at {z[k]:.0f} m"
    low = z < 15e3
    assert np.corrcoef(ours[:, low].ravel(), model[:, low].ravel())[0, 1] > 0.98
    assert np.sqrt(np.mean((ours[:, low] - model[:, low]) ** 2)) < 0.015


def test_fluxes_of_the_file_almost_close(case):
    """Mass, winds, map factors and times of WRF fit: columns lack 6e-5 of their air per hour, 2e-4 m s-1 of wind."""
    _, weather = case
    balanced = balance(weather, layers=20)
    assert balanced.continuity_residual() <= 1e-12
    assert balanced.correction.imbalance < 8e-5
    assert balanced.correction.wind_rms < 3e-4 and balanced.correction.wind_max < 3e-3
    assert balanced.correction.relative < 5e-5


def test_outermost_cells_do_not_close():
    """Why they are left out: with them columns lack a thousand times more of their air."""
    assert balance(read_wrf(real_file(), rim=0)).correction.imbalance > 0.01

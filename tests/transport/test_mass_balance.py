"""The mass balance on invented weather: closure, and the correction against a dense least-squares solution."""

import dataclasses

import numpy as np
import pytest

from transport.errors import TanhengError
from transport.grid import Grid
from transport.mass_balance import Correction, balance
from transport.weather import Surface, Weather

LAMBERT = "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=40 +lon_0=110 +R=6370000"
GRIDS = {
    # Uneven cells far from the centre of the map: weights, lengths and areas all differ from cell to cell.
    "projected": Grid(
        1e6 + np.cumsum([0, 3e3, 4e3, 3e3, 5e3, 3e3]), 2e6 + np.cumsum([0.0, 3e3, 2e3, 4e3, 3e3]), LAMBERT
    ),
    "geographic": Grid(np.arange(6) * 0.5, 60 + np.arange(5) * 0.25),
    "one column wide": Grid(np.array([0.0, 3e3]), np.arange(5) * 3e3, LAMBERT),
    "one row": Grid(np.arange(6) * 3e3, np.array([0.0, 3e3]), LAMBERT),
}


def weather_on(grid: Grid, nz: int = 4, nt: int = 3, dtype=np.float32, seed: int = 0) -> Weather:
    """Random winds of some metres per second and a surface pressure that changes by some hPa per hour."""
    rng = np.random.default_rng(seed)
    ny, nx = grid.shape
    edges = 1e5 - 9e4 * np.linspace(0, 1, nz + 1) ** 1.7
    surface_pressure = 1e5 + 300.0 * rng.standard_normal((nt + 1, 1, ny, nx))
    per_area = -np.diff(edges)[None, :, None, None] / (9.81 * 0.029) * surface_pressure / 1e5
    length = np.sqrt(grid.areas.mean())
    speed = lambda *shape: 4.0 + 3.0 * rng.standard_normal((nt + 1, nz, *shape))  # noqa: E731
    shape = (nt + 1, nz + 1, ny, nx)
    return Weather(
        grid=grid,
        times=np.datetime64("2024-01-01T00:00:00", "s") + np.arange(nt + 1) * np.timedelta64(3600, "s"),
        air=(per_area * grid.areas).astype(dtype),
        flux_x=(speed(ny, nx + 1) * per_area.mean() * length).astype(dtype),
        flux_y=(speed(ny + 1, nx) * per_area.mean() * length).astype(dtype),
        pressure_edges=np.broadcast_to(edges[:, None, None], shape),
        height_edges=np.broadcast_to(8e3 * np.log(edges[0] / edges)[:, None, None], shape),
        temperature=np.full((nt + 1, nz, ny, nx), 280.0),
        surface=Surface(*(np.ones((nt + 1, ny, nx)) for _ in range(5))),
        source="invented",
    )


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_air_moves_as_the_states_say(name, dtype):
    balanced = balance(weather_on(GRIDS[name], dtype=dtype))
    assert balanced.continuity_residual() <= 1e-12
    assert np.all(balanced.flux_z[:, [0, -1]] == 0.0)
    assert np.abs(balanced.flux_z[:, 1:-1]).max() > 0.0
    assert balanced.air.dtype == balanced.flux_x.dtype == np.float64


def test_a_thin_top_layer_closes_too():
    """A millionth of the column lies in its top layer, where rounding of the whole column may not pile up."""
    weather = weather_on(Grid(np.arange(41) * 3e3, np.arange(31) * 3e3, LAMBERT), dtype=np.float64)
    for field in (weather.air, weather.flux_x, weather.flux_y):
        field[:, -1] *= 1e-6
    assert balance(weather).continuity_residual() <= 1e-12


def test_interval_flux_is_the_mean_of_its_ends_plus_the_correction():
    weather = weather_on(GRIDS["projected"], dtype=np.float64)
    balanced = balance(weather)
    mean = 0.5 * (weather.flux_x[1:] + weather.flux_x[:-1])
    change = balanced.flux_x - mean
    # The change of wind is the same in all layers, and its record is what the fluxes show.
    air = weather.air.mean(axis=0) / weather.grid.areas
    face = 0.5 * (air[..., 1:] + air[..., :-1])
    length = np.diff(weather.grid.y_edges)[:, None] * np.sqrt(
        weather.grid.areas / (np.diff(weather.grid.x_edges) * np.diff(weather.grid.y_edges)[:, None])
    )
    wind = change[..., 1:-1] / (face * 0.5 * (length[:, 1:] + length[:, :-1]))
    np.testing.assert_allclose(wind, wind[:, :1] * np.ones_like(wind), rtol=1e-9)
    assert np.abs(wind).max() <= balanced.correction.wind_max * (1 + 1e-9)
    assert 0.1 * balanced.correction.wind_max < np.abs(wind).max()
    assert 0 < balanced.correction.wind_rms < balanced.correction.wind_max


@pytest.mark.parametrize("name", ["projected", "geographic"])
def test_correction_is_the_smallest_one(name):
    """min Σ_faces,layers d/(a_k L) δF_k² subject to closed columns, by a dense minimum-norm solution."""
    grid = GRIDS[name]
    weather = weather_on(grid, nz=2, nt=1, dtype=np.float64)
    balanced = balance(weather)
    (ny, nx), nz = grid.shape, 2
    x, y = (0.5 * (f[0] + f[1]) for f in (weather.flux_x, weather.flux_y))
    per_area = weather.air.mean(axis=0) / grid.areas
    degree = np.cos(np.deg2rad(grid.y)) if name == "geographic" else np.ones(ny)
    edge = np.cos(np.deg2rad(grid.y_edges)) if name == "geographic" else np.ones(ny + 1)
    dx, dy = np.diff(grid.x_edges), np.diff(grid.y_edges)

    faces, weights, divergence = [], [], []
    for k in range(nz):
        for j in range(ny):
            for i in range(nx + 1):
                west, east = max(i - 1, 0), min(i, nx - 1)
                air = 0.5 * (per_area[k, j, west] + per_area[k, j, east])
                weights.append(air * dy[j] / (degree[j] * 0.5 * (dx[west] + dx[east])))
                row = np.zeros((ny, nx))
                if i < nx:
                    row[j, i] -= 1.0
                if i > 0:
                    row[j, i - 1] += 1.0
                divergence.append(row.ravel())
                faces.append(("x", k, j, i))
        for j in range(ny + 1):
            for i in range(nx):
                south, north = max(j - 1, 0), min(j, ny - 1)
                air = 0.5 * (per_area[k, south, i] + per_area[k, north, i])
                weights.append(air * dx[i] * edge[j] / (0.5 * (dy[south] + dy[north])))
                row = np.zeros((ny, nx))
                if j < ny:
                    row[j, i] -= 1.0
                if j > 0:
                    row[j - 1, i] += 1.0
                divergence.append(row.ravel())
                faces.append(("y", k, j, i))
    lack = (np.diff(x) + np.diff(y, axis=1)).sum(axis=0) + np.diff(weather.air, axis=0)[0].sum(axis=0) / 3600.0
    root = np.sqrt(weights)
    dense = root * np.linalg.lstsq(np.array(divergence).T * root, -lack.ravel(), rcond=None)[0]
    change = {"x": balanced.flux_x[0] - x, "y": balanced.flux_y[0] - y}
    ours = np.array([change[axis][k, j, i] for axis, k, j, i in faces])
    np.testing.assert_allclose(ours, dense, rtol=1e-6, atol=1e-9 * np.abs(dense).max())


def test_what_closes_stays_as_it_is():
    weather = weather_on(GRIDS["projected"], dtype=np.float64)
    once = balance(weather)
    constant = dataclasses.replace(
        weather,
        flux_x=np.concatenate([once.flux_x[:1], once.flux_x]),
        flux_y=np.concatenate([once.flux_y[:1], once.flux_y]),
    )
    twice = balance(constant, averaged=True)
    scale = np.abs(once.flux_x).max()
    assert np.abs(twice.flux_x - once.flux_x).max() <= 1e-13 * scale
    assert np.abs(twice.flux_y - once.flux_y).max() <= 1e-13 * scale
    assert np.abs(twice.flux_z - once.flux_z).max() <= 1e-12 * scale
    assert twice.correction.wind_max <= 1e-12 and twice.correction.imbalance <= 1e-13


def test_cutting_layers_keeps_the_balance():
    weather = weather_on(GRIDS["projected"])
    whole, low = balance(weather), balance(weather, layers=2)
    assert low.open_top and not whole.open_top
    assert low.continuity_residual() <= 1e-12
    for name in ("air", "flux_x", "flux_y"):
        np.testing.assert_array_equal(getattr(low, name), getattr(whole, name)[:, :2])
    np.testing.assert_array_equal(low.flux_z, whole.flux_z[:, :3])
    assert np.abs(low.flux_z[:, -1]).max() > 0.0


def test_open_source_keeps_its_winds():
    weather = dataclasses.replace(weather_on(GRIDS["projected"], dtype=np.float64), open_top=True)
    balanced = balance(weather)
    np.testing.assert_array_equal(balanced.flux_x, 0.5 * (weather.flux_x[1:] + weather.flux_x[:-1]))
    assert balanced.open_top and balanced.correction == Correction() and "open" in str(balanced.correction)
    assert balanced.continuity_residual() <= 1e-12
    assert np.abs(balanced.flux_z[:, -1]).max() > 0.0


def test_uniform_convergence_leaves_through_the_sides():
    """All columns gain the same air: the correction must draw it in through the rim, symmetric about the middle."""
    weather = weather_on(Grid(np.arange(6) * 3e3, np.arange(6) * 3e3, LAMBERT), nt=1, dtype=np.float64)
    air = np.ones_like(weather.air) * np.array([1.0, 1.01])[:, None, None, None] * 1e9 * weather.grid.areas / 9e6
    still = dataclasses.replace(weather, air=air, flux_x=0 * weather.flux_x, flux_y=0 * weather.flux_y)
    balanced = balance(still)
    inflow = balanced.flux_x[0, 0, :, 0] - balanced.flux_x[0, 0, :, -1]
    assert np.all(inflow > 0)
    np.testing.assert_allclose(balanced.flux_x[0], -balanced.flux_x[0][..., ::-1], rtol=1e-3)
    # Nothing has to rise: every layer gains the same share.
    assert np.abs(balanced.flux_z).max() < 1e-9 * np.abs(balanced.flux_x).max()


@pytest.mark.parametrize("layers", [0, -1, 5])
def test_layers_out_of_range_are_refused(layers):
    with pytest.raises(TanhengError, match="number of layers out of range"):
        balance(weather_on(GRIDS["projected"]), layers=layers)


def test_cells_without_air_are_refused():
    weather = weather_on(GRIDS["projected"])
    weather.air[1, 2, 0, 0] = 0.0
    with pytest.raises(TanhengError, match="cells without air"):
        balance(weather)


def test_report_states_the_size_of_the_correction():
    text = repr(balance(weather_on(GRIDS["projected"])))
    assert "3 intervals" in text and "top closed" in text and "m s-1" in text and "%" in text

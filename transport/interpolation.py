"""From an analysis at points to dry air and its flow on the cells of a model grid.

Horizontally bilinear, at cell centres for the air and at face centres for the flow; vertically conservative in
pressure, so that a column keeps its dry air and the dry air that flows through it.
"""

import dataclasses

import numpy as np
import pyproj
from scipy import sparse

from transport.columns import WHOLE_ATMOSPHERE, Columns
from transport.constants import MOLAR_MASS_DRY_AIR, STANDARD_GRAVITY
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid
from transport.levels import VerticalLevels
from transport.weather import Analysis, Surface, Weather

MOLES_PER_PASCAL = 1.0 / (STANDARD_GRAVITY * MOLAR_MASS_DRY_AIR)  # mol m-2 of dry air per Pa of its weight
ROWS = 4096  # columns worked on at a time, so that their profiles stay in the processor's cache


def to_cells(analysis: Analysis, grid: Grid, levels: VerticalLevels) -> Weather:
    """Dry air of the cells and its flow through their sides.

    air = A ∫ (1 − q) dp / (g M_d),  flux = L ∫ u_n (1 − q) dp / (g M_d)  over each layer

    with A the cell's area, L the side's true length and u_n the wind across it. Give levels that reach to the top of
    the analysis where the mass of full columns is to be balanced, and cut the column afterwards.

    Args:
        analysis: fields at points; they must cover the edges of the grid.
        grid: model cells.
        levels: `HybridLevels`, `EtaLevels` or `FixedHeights`.

    Returns:
        `Weather` at the times of the analysis; the flow is not yet balanced with the change of air.

    Raises:
        TanhengError: the grid or the levels reach beyond the analysis.
    """
    centres, west, south, turned = _places(analysis, grid)
    nt, nz, (ny, nx) = len(analysis.times), levels.count, grid.shape
    air, temperature = np.empty((2, nt, nz, ny, nx))
    pressure_edges, height_edges = np.empty((2, nt, nz + 1, ny, nx))
    flux_x, flux_y = np.empty((nt, nz, ny, nx + 1)), np.empty((nt, nz, ny + 1, nx))
    length_x, length_y = grid.face_lengths
    cut = False
    for t in range(nt):
        for rows in _blocks(ny * nx):
            columns = _columns(analysis, t, centres.weights[rows])
            cut |= _air(columns, levels, rows, air[t], temperature[t], pressure_edges[t], height_edges[t])
        for flux, place in ((flux_x, west), (flux_y, south)):
            for rows in _blocks(place.along.size):
                _flow(analysis, t, place, levels, rows, flux[t])
    air *= grid.areas * MOLES_PER_PASCAL
    flux_x *= length_x * MOLES_PER_PASCAL
    flux_y *= length_y * MOLES_PER_PASCAL
    names = (field.name for field in dataclasses.fields(Surface))
    surface = Surface(
        **{name: _profiles(getattr(analysis.surface, name), centres.weights).T.reshape(nt, ny, nx) for name in names}
    )
    notes = (*analysis.notes, *turned, f"interpolated bilinearly to {grid!r}, remapped conservatively to {levels!r}")
    return Weather(
        grid, analysis.times, air, flux_x, flux_y, pressure_edges, height_edges, temperature, surface, analysis.source,
        notes, open_top=cut,
    )  # fmt: skip


def axis_angles(crs: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions in which the x and the y axis of a coordinate system run, counted from east towards north.

    tan α = M dφ / (N cosφ dλ) for a small step along the axis, with M and N the radii of curvature of the ellipsoid
    along the meridian and across it; differentiated numerically, central, over 200 m or 0.002°.

    Args:
        crs: anything that `pyproj.CRS` accepts.
        x, y: points in that system, any shape.

    Returns:
        angles of the x axis and of the y axis, rad; 0 and π/2 for longitude and latitude.
    """
    system = pyproj.CRS.from_user_input(crs)
    to_lonlat = pyproj.Transformer.from_crs(system, GEOGRAPHIC, always_xy=True)
    step = 1e-3 if system.is_geographic else 100.0 / float(system.axis_info[0].unit_conversion_factor)
    geod = system.get_geod()
    flattening = geod.es if geod is not None else 0.0

    def direction(dx, dy):
        lon0, lat0 = to_lonlat.transform(x - dx, y - dy)
        lon1, lat1 = to_lonlat.transform(x + dx, y + dy)
        turn = np.deg2rad((lon1 - lon0 + 180.0) % 360.0 - 180.0)
        middle = np.deg2rad(0.5 * (lat0 + lat1))
        ratio = (1.0 - flattening) / (1.0 - flattening * np.sin(middle) ** 2)  # M / N
        return np.arctan2(ratio * np.deg2rad(lat1 - lat0), np.cos(middle) * turn)

    return direction(step, 0.0), direction(0.0, step)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Points on the model grid: weights (n, ny·nx of the analysis); the wind across a side is u·along + v·across."""

    weights: sparse.csr_array
    along: np.ndarray
    across: np.ndarray


def _places(analysis: Analysis, grid: Grid) -> tuple[_Place, _Place, _Place, tuple[str, ...]]:
    source, target = (pyproj.CRS.from_user_input(crs) for crs in (analysis.crs, grid.crs))
    same = source == target
    transform = pyproj.Transformer.from_crs(target, source, always_xy=True).transform
    places, largest = [], 0.0
    points = (("centres", grid.x, grid.y), ("x", grid.x_edges, grid.y), ("y", grid.x, grid.y_edges))
    for kind, x_axis, y_axis in points:
        x, y = (a.ravel() for a in np.meshgrid(x_axis, y_axis))
        there = (x, y) if same else transform(x, y)
        there = _around(analysis, source.is_geographic, *there)
        weights = bilinear(analysis, *there)
        normal = np.full(x.size, 0.5 * np.pi if kind == "y" else 0.0)
        if not same and kind != "centres":
            along_x, along_y = axis_angles(grid.crs, x, y)
            # What crosses a side is perpendicular to it: western sides run along y, southern ones along x.
            across = along_y - 0.5 * np.pi if kind == "x" else along_x + 0.5 * np.pi
            normal = across - axis_angles(analysis.crs, *there)[0]
            turn = (normal - (0.5 * np.pi if kind == "y" else 0.0) + np.pi) % (2.0 * np.pi) - np.pi
            largest = max(largest, float(np.abs(turn).max()))
        exact = kind == "y" and same
        along = np.zeros(x.size) if exact else np.cos(normal)
        places.append(_Place(weights, along, np.sin(normal)))
    turned = () if same else (
        f"winds turned from the axes of {source.name} to those of {target.name}, by at most {np.rad2deg(largest):.2f}°",
    )  # fmt: skip
    return places[0], places[1], places[2], turned


def _around(analysis: Analysis, geographic: bool, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes moved by whole turns to where the analysis has them (−88° and 272° are one meridian)."""
    if not geographic:
        return x, y
    low, high = analysis.x[0] - 1e-6, analysis.x[-1] + 1e-6
    turned = np.where((x >= low) & (x <= high), x, low + (x - low) % 360.0)
    return np.where(turned <= high, turned, x), y


def bilinear(analysis: Analysis, x: np.ndarray, y: np.ndarray) -> sparse.csr_array:
    """Weights of the analysis' points for bilinear interpolation.

    Args:
        analysis: gives the points.
        x, y: (n,) in the coordinates of the analysis.

    Returns:
        (n, ny·nx) sparse; rows sum to 1.

    Raises:
        TanhengError: a point lies outside the analysis.
    """
    (i, s), (j, r) = (_bracket(axis, value) for axis, value in ((analysis.x, x), (analysis.y, y)))
    outside = (np.abs(s - 0.5) > 0.5) | (np.abs(r - 0.5) > 0.5)
    if outside.any() or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise TanhengError(
            "the grid reaches beyond the meteorology",
            got=f"cells and sides within x {x.min():.6g}…{x.max():.6g}, y {y.min():.6g}…{y.max():.6g}, "
            f"{int(outside.sum())} of {x.size} outside",
            expected=f"x {analysis.x[0]:.6g}…{analysis.x[-1]:.6g}, y {analysis.y[0]:.6g}…{analysis.y[-1]:.6g} "
            f"({pyproj.CRS.from_user_input(analysis.crs).name})",
            remedy="shrink the grid or get meteorology for a larger area",
        )
    nx, n = analysis.x.size, x.size
    corner = j * nx + i
    columns = np.stack([corner, corner + 1, corner + nx, corner + nx + 1], axis=1)
    weights = np.stack([(1 - r) * (1 - s), (1 - r) * s, r * (1 - s), r * s], axis=1)
    shape = (n, analysis.y.size * nx)
    return sparse.csr_array((weights.ravel(), columns.ravel(), np.arange(0, 4 * n + 1, 4)), shape=shape)


def _bracket(axis: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Point west (south) of each value, and how far on towards the next it lies, rounding at the rim forgiven."""
    index = np.clip(np.searchsorted(axis, value, side="right") - 1, 0, axis.size - 2)
    part = (value - axis[index]) / (axis[index + 1] - axis[index])
    near = np.abs(part - np.clip(part, 0.0, 1.0)) < 1e-6
    return index, np.where(near, np.clip(part, 0.0, 1.0), part)


def _blocks(n: int):
    return (slice(start, min(start + ROWS, n)) for start in range(0, n, ROWS))


def _profiles(field: np.ndarray, weights: sparse.csr_array) -> np.ndarray:
    """(nl, ny, nx), or times for levels, at the points of the analysis → (n, nl) at the places of the weights."""
    return weights @ field.reshape(field.shape[0], -1).T


def _columns(analysis: Analysis, t: int, weights: sparse.csr_array) -> Columns:
    fields = (analysis.pressure[t], analysis.temperature[t], analysis.specific_humidity[t])
    pressure, temperature, humidity = (_profiles(field, weights) for field in fields)
    return Columns.of_levels(pressure, weights @ analysis.surface.pressure[t].ravel(), temperature, humidity)


def _edges(columns: Columns, levels: VerticalLevels) -> tuple[np.ndarray, np.ndarray]:
    """Pressure edges of the model's layers, and the source layer that holds each."""
    edges = levels.edges_in(columns)
    short = columns.top - edges[:, -1] > 1e-9 * columns.top
    if short.any():
        raise TanhengError(
            "the model's top lies above the analysis",
            got=f"{edges[short, -1].min():.6g} Pa, {levels!r}",
            expected=f"at least {columns.top.max():.6g} Pa, half a layer above the highest level that was read",
            remedy="choose levels with a lower top (top_pressure), or read more levels",
        )
    if not (np.diff(edges, axis=1) < 0).all():
        raise TanhengError(
            "the model's layers have no thickness somewhere",
            got=f"{levels!r} over surface pressures {edges[:, 0].min():.0f}…{edges[:, 0].max():.0f} Pa",
            expected="pressure decreasing from each edge to the next in all columns",
            remedy="choose levels whose top lies above the highest ground",
        )
    return edges, columns.locate(edges)


def _air(columns: Columns, levels: VerticalLevels, rows: slice, air, temperature, pressure_edges, height_edges) -> bool:
    """Fill the blocks of the outputs (nz, ny, nx) of one time; True where there is air above the model's top."""
    edges, layer = _edges(columns, levels)
    for out, value in (
        (air, np.diff(columns.integrate(columns.dry_fraction, edges, layer), axis=1)),
        (temperature, np.diff(columns.integrate(columns.temperature, edges, layer), axis=1) / -np.diff(edges, axis=1)),
        (pressure_edges, edges),
        (height_edges, columns.height(edges, layer)),
    ):
        out.reshape(out.shape[0], -1)[:, rows] = value.T
    return bool((edges[:, -1] > WHOLE_ATMOSPHERE).any())


def _flow(analysis: Analysis, t: int, place: _Place, levels: VerticalLevels, rows: slice, flux: np.ndarray) -> None:
    weights = place.weights[rows]
    columns = _columns(analysis, t, weights)
    edges, layer = _edges(columns, levels)
    wind = place.along[rows, None] * _profiles(analysis.u[t], weights)
    wind += place.across[rows, None] * _profiles(analysis.v[t], weights)
    through = np.diff(columns.integrate(wind * columns.dry_fraction, edges, layer), axis=1)
    flux.reshape(flux.shape[0], -1)[:, rows] = through.T

"""The grid of an ARL packed file: which of its points are kept, where they are, in which coordinate system.

Lat-lon grids are taken as EPSG:4326, projected ones on the sphere of HYSPLIT, R = 6371.2 km, with x = y = 0 at the
first point. The cone angle in the index tells them: ±90° polar stereographic, 0° Mercator, between Lambert conformal.
"""

import dataclasses

import numpy as np
from arlmet import Grid as ArlGrid

from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC
from transport.readers.arl_files import Step
from transport.weather import Surface

Area = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """The points that are kept.

    Args:
        rows, columns: in the file.
        x, y: coordinates, m or degrees.
        crs: their system.
    """

    rows: np.ndarray
    columns: np.ndarray
    x: np.ndarray
    y: np.ndarray
    crs: str


def grid_of(step: Step) -> ArlGrid:
    """The grid of a time.

    Raises:
        TanhengError: a grid whose positions or winds are not known: rotated, oblique, weighted with WRF columns.
    """
    index = step.index
    try:
        grid, reason = index.grid, None
    except (ValueError, NotImplementedError) as error:
        raise _unusable(step, str(error)) from error
    if index.source == "RAMS":
        reason = "RAMS grids are oblique stereographic, which the index does not say"
    elif abs(index.pole_lat) > 90.0:
        reason = f"pole latitude {index.pole_lat}: positions by the routines of WPS"
    elif grid.is_latlon and not (index.tangent_lat > 0.0 and index.tangent_lon > 0.0):
        reason = f"spacing {index.tangent_lon} × {index.tangent_lat}°"
    elif not grid.is_latlon and not index.grid_size > 0.0:
        reason = f"spacing {index.grid_size} km"
    elif (0, "MUU0") in step.records or (0, "MUV0") in step.records:
        reason = "winds averaged on the staggered WRF grid (MUU0, MUV0)"
    if reason:
        raise _unusable(step, reason)
    return grid


def _unusable(step: Step, reason: str) -> TanhengError:
    return TanhengError(
        f"{step.path}: the ARL grid is not supported",
        got=reason,
        expected="lat-lon, polar stereographic, Lambert or Mercator, not rotated, with instantaneous winds",
        remedy="read the output of the model itself, for example with the WRF reader",
    )


def choose_points(grid: ArlGrid, area: Area | None) -> Points:
    """The points of a grid inside an area.

    Args:
        grid: from `grid_of`.
        area: (west, south, east, north) degrees, or None for all.

    Returns:
        `Points`.

    Raises:
        TanhengError: fewer than 2 × 2 points.
    """
    if area is not None and not (len(area) == 4 and area[1] < area[3]):
        expected = "(west, south, east, north) in degrees, south < north"
        raise TanhengError("area is no area", got=area, expected=expected, remedy="correct it")
    rows, columns, x, y, crs = _geographic(grid, area) if grid.is_latlon else _projected(grid, area)
    if len(rows) < 2 or len(columns) < 2:
        coords = grid.calculate_coords()
        (lon, lat) = (coords[name][1] for name in ("lon", "lat"))
        raise TanhengError(
            "the ARL grid does not cover the area",
            got=f"{area}: {len(rows)} × {len(columns)} points",
            expected=f"at least 2 × 2 points; they span {lon.min():.2f}…{lon.max():.2f}°E, "
            f"{lat.min():.2f}…{lat.max():.2f}°N",
            remedy="choose another area or other files",
        )
    return Points(rows, columns, x, y, crs)


def _geographic(grid: ArlGrid, area: Area | None):
    """Rows, columns, longitudes and latitudes of a lat-lon grid; longitudes start in −180…180 and increase."""
    coords, spacing = grid.calculate_coords(), grid.projection.tangent_lon
    lon, lat = coords["lon"][1], coords["lat"][1]
    rows, columns = np.arange(grid.ny), np.arange(grid.nx)
    if area is None and grid.nx * spacing <= 360.0 - 1e-6:
        return rows, columns, lon, lat, GEOGRAPHIC
    # A global grid is cut open at the west of the area; a repeated meridian is left out.
    west, south, end, north = area or (-180.0, -90.0, 180.0, 90.0)
    width = 360.0 if end - west >= 360.0 else (end - west) % 360.0
    east, columns = np.unique(np.round((lon - west) % 360.0, 6) % 360.0, return_index=True)
    rows = rows[(lat >= south - 1e-6) & (lat <= north + 1e-6)]
    east, columns = (a[east <= width + 1e-6] for a in (east, columns))
    if len(east) > 1 and np.diff(east).max() > 1.01 * spacing:
        expected = "an area whose points are neighbours in the file"
        raise TanhengError("the area spans both ends of the ARL grid", got=area, expected=expected, remedy="move it")
    if len(east):
        east = east[0] + spacing * np.arange(len(east))
    lon = (west + 180.0) % 360.0 - 180.0 + east
    return rows, columns, lon, lat[rows], GEOGRAPHIC


def _projected(grid: ArlGrid, area: Area | None):
    """Rows, columns, x and y of a projected grid, x = y = 0 at its first point, on the sphere of HYSPLIT."""
    params = grid.projection.params | dict(zip(("x_0", "y_0"), grid.origin, strict=True))
    params.pop("ellps")  # R alone counts
    crs = " ".join(f"+{key}={value}" for key, value in params.items()) + " +no_defs +type=crs"
    coords, rows, columns = grid.calculate_coords(), np.arange(grid.ny), np.arange(grid.nx)
    if area is not None:
        west, south, east, north = area
        lon, lat = coords["lon"][1], coords["lat"][1]
        width = 360.0 if east - west >= 360.0 else (east - west) % 360.0
        hit = ((lon - west) % 360.0 <= width) & (lat >= south) & (lat <= north)
        rows, columns = (np.flatnonzero(hit.any(axis=axis)) for axis in (1, 0))
        rows, columns = (np.arange(i[0], i[-1] + 1) if len(i) else i for i in (rows, columns))
    return rows, columns, coords["x"][1][columns], coords["y"][1][rows], crs


def position_notes(step: Step) -> list[str]:
    """What is to be said on winds and positions."""
    index = step.index
    if not index.grid.is_latlon:
        return ["The winds are along the axes of the projected grid, as ARL files store them."]
    spacing = np.array([index.tangent_lon, index.tangent_lat])
    off = np.mod([index.sync_lon, index.sync_lat], spacing)
    far = np.where(np.minimum(off, spacing - off) < 1e-6, 0.0, np.maximum(off, spacing - off))
    if not index.source.startswith(("GDAS", "GFS")) or not far.any():
        return []
    return [
        f"The origin {index.sync_lon:g}°E {index.sync_lat:g}°N is not on a node of the {spacing[0]:g}° grid, as in "
        f"extracts of READY: all positions may be off by up to {far[0]:.2f}° east-west and {far[1]:.2f}° north-south."
    ]


def destagger(
    points: Points, u: np.ndarray, v: np.ndarray, volumes: tuple[np.ndarray, ...], surface: Surface
) -> tuple[Points, np.ndarray, np.ndarray, tuple[np.ndarray, ...], Surface]:
    """Winds of WRF (arw2arl) from west and south faces to the points between; the last row and column are lost.

    u_i ← (u_i + u_i+1) / 2 along x, v_j ← (v_j + v_j+1) / 2 along y

    Reference: HYSPLIT, METINI: model AWRF has u half a cell west and v half a cell south of the mass points.
    """
    u, v = 0.5 * (u[..., :-1, :-1] + u[..., :-1, 1:]), 0.5 * (v[..., :-1, :-1] + v[..., 1:, :-1])
    cut = tuple(volume[..., :-1, :-1] for volume in volumes)
    names = [field.name for field in dataclasses.fields(Surface)]
    surface = Surface(**{name: getattr(surface, name)[:, :-1, :-1] for name in names})
    return dataclasses.replace(points, x=points.x[:-1], y=points.y[:-1]), u, v, cut, surface

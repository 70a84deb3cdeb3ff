"""The part of a grid that a map shows, in the coordinates of its axes."""

import dataclasses
from collections.abc import Callable

import cartopy.crs as ccrs
import numpy as np
import pyproj

from experiments.cases import MapSpec


class _GridProjection(ccrs.Projection):
    """The projection of a grid; its bounds are the grid's, because a PROJ string has no area of use."""

    def __init__(self, crs: pyproj.CRS, bounds: tuple[float, float, float, float]):
        super().__init__(crs)
        self.bounds = bounds
        self.threshold = 1e-4 * (bounds[1] - bounds[0])


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """The part of the grid that is drawn, in the axes' own coordinates."""

    spec: MapSpec
    projection: ccrs.Projection
    to_lonlat: Callable
    from_lonlat: Callable
    x_edges: np.ndarray
    y_edges: np.ndarray
    window: tuple[slice, slice]
    stretch: float  # length of one unit of y over one unit of x, on the ground
    x_to_km: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x0, x1, y0, y1)."""
        return self.x_edges[0], self.x_edges[-1], self.y_edges[0], self.y_edges[-1]

    @property
    def aspect(self) -> float:
        """Height over width of the map as drawn."""
        x0, x1, y0, y1 = self.bounds
        return self.stretch * (y1 - y0) / (x1 - x0)

    @property
    def lonlat_box(self) -> tuple[float, float, float, float]:
        """(lon0, lon1, lat0, lat1) that holds the whole frame."""
        x0, x1, y0, y1 = self.bounds
        s = np.linspace(0.0, 1.0, 21)
        x, y = x0 + s * (x1 - x0), y0 + s * (y1 - y0)
        edge_x = np.concatenate([x, x, np.full(21, x0), np.full(21, x1)])
        edge_y = np.concatenate([np.full(21, y0), np.full(21, y1), y, y])
        lon, lat = self.to_lonlat(edge_x, edge_y)
        return lon.min(), lon.max(), lat.min(), lat.max()

    def inside(self, x: float, y: float) -> bool:
        """Whether a point lies in the frame."""
        x0, x1, y0, y1 = self.bounds
        return x0 <= x <= x1 and y0 <= y <= y1


def _cells(edges: np.ndarray, low: float, high: float) -> slice:
    keep = np.flatnonzero((edges[1:] > low) & (edges[:-1] < high))
    return slice(keep[0], keep[-1] + 1) if keep.size else slice(0, edges.size - 1)


def _geographic_frame(spec: MapSpec) -> Frame:
    x, y = np.asarray(spec.x_edges, float), np.asarray(spec.y_edges, float)
    lon0, lon1, lat0, lat1 = spec.extent or (x[0], x[-1], y[0], y[-1])
    columns, rows = _cells(x, lon0, lon1), _cells(y, lat0, lat1)
    x, y = x[columns.start : columns.stop + 1], y[rows.start : rows.stop + 1]
    # The axes count from the central longitude; a domain that passes the date line needs one where it is whole.
    centre = 180.0 if x[-1] > 180.0 else -180.0 if x[0] < -180.0 else 0.0
    middle = 0.5 * (x[0] + x[-1])
    cosine = np.cos(np.deg2rad(0.5 * (y[0] + y[-1])))
    return Frame(
        spec=spec,
        projection=ccrs.PlateCarree(central_longitude=centre),
        to_lonlat=lambda u, v: (u + centre, v),
        from_lonlat=lambda lon, lat: (middle + (lon - middle + 180.0) % 360.0 - 180.0 - centre, lat),
        x_edges=x - centre,
        y_edges=y,
        window=(rows, columns),
        stretch=1.0 / cosine,
        x_to_km=111.195 * cosine,
    )


def _projected_frame(spec: MapSpec, crs: pyproj.CRS) -> Frame:
    x, y = np.asarray(spec.x_edges, float), np.asarray(spec.y_edges, float)
    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    middle = transformer.transform(0.5 * (x[0] + x[-1]), 0.5 * (y[0] + y[-1]))[0]

    def to_lonlat(u, v):
        lon, lat = transformer.transform(u, v)
        return middle + (lon - middle + 180.0) % 360.0 - 180.0, lat

    return Frame(
        spec=spec,
        projection=_GridProjection(crs, (x[0], x[-1], y[0], y[-1])),
        to_lonlat=to_lonlat,
        from_lonlat=lambda lon, lat: transformer.transform(lon, lat, direction="INVERSE"),
        x_edges=x,
        y_edges=y,
        window=(slice(None), slice(None)),
        stretch=1.0,
        x_to_km=1e-3 * crs.axis_info[0].unit_conversion_factor,
    )


def frame_of(spec: MapSpec) -> Frame:
    """The part of the grid that is drawn."""
    crs = pyproj.CRS.from_user_input(spec.crs)
    return _geographic_frame(spec) if crs.is_geographic else _projected_frame(spec, crs)

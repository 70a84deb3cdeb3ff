"""Horizontal grids: lat-lon or any pyproj CRS."""

import dataclasses
from functools import cached_property

import numpy as np
import pyproj
from numpy.typing import ArrayLike
from pyproj.exceptions import CRSError

from transport.constants import EARTH_RADIUS
from transport.errors import TanhengError

GEOGRAPHIC = "EPSG:4326"


def check_edges(name: str, edges: np.ndarray) -> None:
    """Refuse edges that do not increase.

    Raises:
        TanhengError: names what the edges belong to.
    """
    if edges.ndim != 1 or edges.size < 2 or not np.isfinite(edges).all() or not np.all(np.diff(edges) > 0):
        raise TanhengError(
            f"{name} must be strictly increasing cell edges",
            got=np.array2string(edges, threshold=6),
            expected="a vector of at least two increasing numbers",
            remedy="sort the edges; flip a north-to-south axis when it is read",
        )


def check_crs(crs: str, what: str) -> pyproj.CRS:
    """A coordinate reference system in which a grid can lie.

    Raises:
        TanhengError: PROJ does not know it, or it is neither projected nor degrees from Greenwich.
    """
    try:
        found = pyproj.CRS.from_user_input(crs)
    except (CRSError, ValueError) as error:  # text of a damaged file need not even be Unicode
        raise TanhengError(
            f"the projection of {what} is not known", got=ascii(crs)[:200], expected="EPSG:32633, PROJ text or WKT",
            remedy="state another crs, or copy the file again",
        ) from error  # fmt: skip
    meridian = found.prime_meridian.longitude if found.prime_meridian else 0.0
    degrees = all(np.isclose(a.unit_conversion_factor, np.pi / 180.0, rtol=1e-9) for a in found.axis_info[:2])
    if not (found.is_projected or (found.is_geographic and meridian == 0.0 and degrees)):
        raise TanhengError(
            f"{what} cannot lie in this coordinate reference system", got=found.name,
            expected="a projection, or degrees from the meridian of Greenwich",
            remedy="convert the coordinates to EPSG:4326 first",
        )  # fmt: skip
    return found


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """A rectangular array of cells in one coordinate reference system.

    Args:
        x_edges: (nx+1,) cell edges, m for a projected CRS, degrees east for a geographic one.
        y_edges: (ny+1,) cell edges, m or degrees north, increasing.
        crs: anything that `pyproj.CRS` accepts and that is projected, or degrees from Greenwich.

    Raises:
        TanhengError: edges are not increasing, or the CRS is not known, is vertical, or counts in other degrees.
    """

    x_edges: np.ndarray
    y_edges: np.ndarray
    crs: str = GEOGRAPHIC

    def __post_init__(self):
        for name in ("x_edges", "y_edges"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
            check_edges(name, getattr(self, name))
        check_crs(self.crs, "a grid")

    @classmethod
    def from_centres(cls, x: np.ndarray, y: np.ndarray, crs: str = GEOGRAPHIC) -> "Grid":
        """The grid whose evenly spaced cell centres are x (nx,) and y (ny,).

        Raises:
            TanhengError: fewer than two centres, or they are not evenly spaced to 1 % of a cell.
        """

        def edges(centre):
            step = np.diff(centre)
            if not (centre.ndim == 1 and step.size and np.ptp(step) <= 0.01 * abs(step.mean())):  # NaN fails too
                raise TanhengError(
                    "cell centres are not evenly spaced",
                    got=np.array2string(centre, threshold=6),
                    expected="two or more in equal steps",
                    remedy="give cell edges instead",
                )
            step = (centre[-1] - centre[0]) / (len(centre) - 1)
            return centre[0] + step * (np.arange(len(centre) + 1) - 0.5)

        return cls(edges(np.asarray(x, float)), edges(np.asarray(y, float)), crs)

    @cached_property
    def _proj(self) -> pyproj.CRS:
        return pyproj.CRS.from_user_input(self.crs)

    @property
    def _metres(self) -> float:
        """Metres per unit of a projected axis."""
        return float(self._proj.axis_info[0].unit_conversion_factor)

    @property
    def is_geographic(self) -> bool:
        """True where the axes are degrees of longitude and latitude."""
        return self._proj.is_geographic

    @property
    def _latitudes(self) -> np.ndarray:
        """(ny+1,) edges of a geographic grid, none beyond a pole."""
        return np.clip(self.y_edges, -90.0, 90.0)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.y_edges.size - 1, self.x_edges.size - 1

    @property
    def x(self) -> np.ndarray:
        """(nx,) cell centres, m or degrees."""
        return 0.5 * (self.x_edges[1:] + self.x_edges[:-1])

    @property
    def y(self) -> np.ndarray:
        """(ny,) cell centres, m or degrees."""
        return 0.5 * (self.y_edges[1:] + self.y_edges[:-1])

    @cached_property
    def areas(self) -> np.ndarray:
        """(ny, nx) true cell areas in m2.

        Geographic: R² Δλ (sin φ2 − sin φ1), where cells around a pole end there. Projected: Δx Δy / s with s the areal
        scale of the projection at the cell centre (Snyder 1987, USGS PP 1395, §4).
        """
        if self.is_geographic:
            d_lambda = np.deg2rad(np.diff(self.x_edges))
            d_sine = np.diff(np.sin(np.deg2rad(self._latitudes)))
            return EARTH_RADIUS**2 * d_sine[:, None] * d_lambda[None, :]
        lon, lat = self.lonlat(*np.meshgrid(self.x, self.y))
        scale = pyproj.Proj(self._proj).get_factors(lon, lat).areal_scale
        return np.diff(self.y_edges)[:, None] * np.diff(self.x_edges)[None, :] * self._metres**2 / scale

    @cached_property
    def map_factors(self) -> np.ndarray:
        """(ny, nx) map factor at the cell centres, distance on the map over true distance; √(areal scale).

        On a geographic grid the map is the plate carrée of one degree per 111 km: 1/√cos φ.
        """
        if self.is_geographic:
            _, lat = np.meshgrid(self.x, self.y)
            return 1.0 / np.sqrt(np.cos(np.deg2rad(lat)))
        return np.sqrt(np.diff(self.y_edges)[:, None] * np.diff(self.x_edges)[None, :] * self._metres**2 / self.areas)

    @cached_property
    def face_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """(ny, nx+1) true lengths of western and eastern sides and (ny+1, nx) of southern and northern ones, m.

        Geographic: R dφ along meridians, R cosφ dλ along parallels. Projected: the geodesic between the side's ends on
        the projection's own ellipsoid, which is Δ divided by the scale factor along the side (Snyder 1987, USGS PP
        1395, §4), also where the projection is not conformal.
        """
        nx, x, y = self.shape[1], self.x_edges, self.y_edges
        if self.is_geographic:
            y = self._latitudes
            along_meridian = EARTH_RADIUS * np.deg2rad(np.diff(y))
            along_parallel = EARTH_RADIUS * np.cos(np.deg2rad(y))[:, None] * np.deg2rad(np.diff(x))
            return np.tile(along_meridian[:, None], (1, nx + 1)), along_parallel
        geod = self._proj.get_geod()
        lon, lat = self.lonlat(*np.meshgrid(x, y))
        assert geod is not None  # every projected CRS has an ellipsoid
        _, _, west = geod.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
        _, _, south = geod.inv(lon[:, :-1], lat[:, :-1], lon[:, 1:], lat[:, 1:])
        return np.asarray(west), np.asarray(south)

    def lonlat(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude (degrees, WGS84) of points given in the grid's own coordinates."""
        return pyproj.Transformer.from_crs(self._proj, GEOGRAPHIC, always_xy=True).transform(x, y)

    def cell_of(self, x: float, y: float, name: str) -> tuple[int, int]:
        """Row and column of the cell that holds a point given in the grid's own coordinates.

        Raises:
            TanhengError: the point, called `name`, lies outside the grid.
        """
        column = int(np.searchsorted(self.x_edges, x, side="right")) - 1
        row = int(np.searchsorted(self.y_edges, y, side="right")) - 1
        ny, nx = self.shape
        if not (0 <= row < ny and 0 <= column < nx):
            raise TanhengError(
                f"{name} lies outside the grid",
                got=f"x {x:.6g}, y {y:.6g}",
                expected=repr(self),
                remedy="correct its position, enlarge the grid or leave it out",
            )
        return row, column

    def distances(self) -> np.ndarray:
        """(ny·nx, ny·nx) distances between cell centres in km: Euclidean if projected, great-circle if geographic."""
        x, y = (a.ravel() for a in np.meshgrid(self.x, self.y))
        if not self.is_geographic:
            return np.hypot(x[:, None] - x, y[:, None] - y) * self._metres / 1e3
        # Chord through the unit sphere: exact, and well conditioned at short distance, unlike arccos of a dot product.
        lon, lat = np.deg2rad(x), np.deg2rad(y)
        unit = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
        chord2 = np.zeros((x.size, x.size))
        for axis in unit.T:
            chord2 += (axis[:, None] - axis) ** 2
        return 2e-3 * EARTH_RADIUS * np.arcsin(np.minimum(0.5 * np.sqrt(chord2), 1.0))

    def __repr__(self) -> str:
        (ny, nx), unit = self.shape, "°" if self.is_geographic else " m"
        spacing = f"{np.diff(self.x_edges).mean():.4g} × {np.diff(self.y_edges).mean():.4g}{unit}"
        extent = f"x {self.x_edges[0]:.6g}…{self.x_edges[-1]:.6g}, y {self.y_edges[0]:.6g}…{self.y_edges[-1]:.6g}{unit}"
        operation = self._proj.coordinate_operation
        name = operation.method_name if self._proj.name == "unknown" and operation else self._proj.name
        return f"Grid({ny} × {nx} cells of {spacing}; {extent}; {name})"

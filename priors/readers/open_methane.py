"""Open Methane prior: daily mean CH4 fluxes of twelve sectors on the cells of CMAQ and WRF."""

from pathlib import Path

import numpy as np
import pyproj

from inversion.observations.readers.files import NetCDF
from inversion.observations.readers.insitu import times_of
from priors.inventory import Inventory
from priors.readers.cells import Box, Cells, check_box, gathered, projection
from transport.errors import TanhengError
from transport.grid import Grid

ATTRIBUTION = "Open Methane, github.com/openmethane/openmethane-prior; Apache-2.0."
_PREFIX, _DIMS = "ch4_sector_", ("time", "vertical", "y", "x")
_UNITS = {"kg/m2/s": 1.0, "kg m-2 s-1": 1.0}
PLACE_TOLERANCE = 0.01  # of a cell


def read_open_methane(path: str | Path, box: Box | None = None) -> Inventory:
    """The sectors of a prior-emissions file.

    rate = flux · XCELL · YCELL: the file's fluxes are mass per nominal area of a cell, which its makers multiply
    with when they feed CMAQ. With the true area of the cells (up to a few % different on the map) the total would not
    be the one that Open Methane reports.

    Args:
        path: of prior-emissions.nc.
        box: west, east, south, north in degrees; rows and columns that hold a centre inside are kept.

    Raises:
        TanhengError: another unit, cells that are not where the file says, sectors that do not sum to its total.
    """
    with NetCDF(path) as nc:
        cells = _cells(nc, box)
        times = _times(nc)
        area = nc.number("XCELL") * nc.number("YCELL")
        edges = cells.grid.x_edges, cells.grid.y_edges
        if not all(
            np.allclose(np.diff(e) * cells.grid._metres, nc.number(k), rtol=1e-6)
            for e, k in zip(edges, ("XCELL", "YCELL"), strict=True)
        ):
            raise TanhengError(
                f"the cells of {nc.name} are not XCELL × YCELL",
                got=f"{np.diff(edges[0])[0]} × {np.diff(edges[1])[0]} m",
                expected=f"{nc.number('XCELL')} × {nc.number('YCELL')} m", remedy="copy the file again",
            )  # fmt: skip
        names = [v for v in nc.variables() if v.startswith(_PREFIX)]
        flux = {v: nc.numbers(v, _DIMS, _UNITS) for v in (*names, "ch4_total")}
        total = np.sum([flux[v] for v in names], axis=0) if names else np.zeros(0)
        if total.shape[1:2] != (1,) or not np.allclose(total, flux["ch4_total"], rtol=1e-5, atol=1e-18):
            raise TanhengError(
                f"the sectors of {nc.name} do not sum to its total", got=f"{len(names)} sectors",
                expected="ch4_total in one layer, in every cell", remedy="copy the file again",
            )  # fmt: skip
        rates = {v.removeprefix(_PREFIX): cells.take(flux[v][:, 0]) * area for v in names}
        notes = [f"mass is flux × nominal cell area, {area:.6g} m2"]
        source = nc.source("read_open_methane", "start", ATTRIBUTION, notes)
        return gathered("CH4", rates, cells, times, source, "Open Methane", signed=True)


def _times(nc: NetCDF) -> np.ndarray:
    """(nt+1,) edges of days, which the file's bounds must agree with where they are whole."""
    start = times_of(nc, "time", ("time",)).astype("datetime64[s]")
    day = np.timedelta64(86400, "s")
    if np.isnat(start).any() or (start != start.astype("datetime64[D]")).any() or (np.diff(start) != day).any():
        raise TanhengError(
            f"times of {nc.name} are not days",
            got=start[:3],
            expected="starts of days, UTC",
            remedy="copy the file again",
        )
    return np.append(start, start[-1:] + day)


def _cells(nc: NetCDF, box: Box | None) -> Cells:
    """Cells in the file's projection, checked against its longitudes and latitudes.

    Raises:
        TanhengError: the cells lie elsewhere.
    """
    x, y = nc.numbers("x_bounds", ("x", "cell_bounds")), nc.numbers("y_bounds", ("y", "cell_bounds"))
    text = nc.text("crs_wkt", "", of="lambert_conformal") or nc.text("proj4", of="lambert_conformal")
    joined = all(b.shape[1] == 2 and b.shape[0] > 0 and np.allclose(b[1:, 0], b[:-1, 1], atol=1e-3) for b in (x, y))
    crs = projection(text, nc.name)
    if not joined:
        raise TanhengError(
            f"the cells of {nc.name} do not join", got=f"x {x[:2]}, y {y[:2]} in {crs.name}",
            expected="bounds that share edges", remedy="copy the file again",
        )  # fmt: skip
    grid = Grid(np.append(x[:, 0], x[-1:, 1]), np.append(y[:, 0], y[-1:, 1]), text)
    lon, lat = nc.numbers("lon", ("y", "x")), nc.numbers("lat", ("y", "x"))
    east, north = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    off = np.hypot(east - grid.x, north - grid.y[:, None]) / np.diff(grid.x_edges)[0]
    if not np.all(off <= PLACE_TOLERANCE):
        raise TanhengError(
            f"the cells of {nc.name} are not where it says", got=f"centres up to {np.nanmax(off):.3g} cells apart",
            expected=f"≤ {PLACE_TOLERANCE} cells between lon, lat and x, y", remedy="copy the file again",
        )  # fmt: skip
    check_box(box)
    inside = np.ones(grid.shape, bool)
    if box is not None:
        inside = ((lon - box[0]) % 360.0 <= box[1] - box[0]) & (lat >= box[2]) & (lat <= box[3])
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        raise TanhengError(f"{nc.name} has no cell in the box", got=box, expected=repr(grid), remedy="move the box")
    rows, columns = np.arange(rows[0], rows[-1] + 1), np.arange(columns[0], columns[-1] + 1)
    part = Grid(grid.x_edges[columns[0] : columns[-1] + 2], grid.y_edges[rows[0] : rows[-1] + 2], text)
    return Cells(part, rows, columns, grid.shape)

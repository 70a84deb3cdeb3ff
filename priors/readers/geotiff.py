"""GeoTIFF: the cells of a window, decoded strip by strip or tile by tile."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from inversion.observations.readers.files import LARGEST
from inversion.observations.record import Source
from priors.readers.cells import Box, Cells, cells_of, projection
from transport.errors import TanhengError
from transport.grid import Grid

# The library writes every doubt to standard error; what makes a file unreadable is in the error that we raise.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
# Tags and keys of OGC 19-008r4.
_SCALE, _TIEPOINT, _KEYS, _NODATA, _LINEAR_UNIT = 33550, 33922, 34735, 42113, 3076
_MODEL, _RASTER, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
# Deflate and LZW cannot pack more than about a thousandfold.
COMPRESSION = 2000
_PROJECTED_MODEL, _GEOGRAPHIC_MODEL, _USER_DEFINED = 1, 2, 32767
_METRES = {9001: 1.0, 9002: 0.3048, 9003: 1200.0 / 3937.0, 9036: 1e3}  # of codes of linear units


def read_window(
    path: str | Path,
    box: Box | None,
    reader: str,
    attribution: str = "",
    notes: Sequence[str] = (),
    crs: str | None = None,
) -> tuple[np.ndarray, Cells, Source]:
    """Values of one band in the toolkit's order; cells without data are NaN.

    Args:
        path: of the file.
        box: west, east, south, north in degrees; only for longitudes and latitudes.
        reader: name of the reader.
        attribution, notes: of the source.
        crs: of a projected file that does not name an EPSG code.

    Returns:
        (ny, nx) values, cells and source.

    Raises:
        TanhengError: not a GeoTIFF of one band of numbers whose rows run along its axes.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            _believe(page, path)
            cells = _cells(page, path.name, box, crs)
            held, first = _rows(page, cells.rows, path.name)
            values = held[cells.rows[:, None] - first, cells.columns]
            nodata = page.tags.get(_NODATA)
            text = "" if nodata is None else str(nodata.value).strip(" \x00")
            empty = float(text) if text else np.nan
    except TanhengError:
        raise
    except OSError as error:
        raise TanhengError(
            "a file of an inventory cannot be opened", got=f"{path}: {error.strerror or error}",
            expected="an existing file", remedy="correct the path",
        ) from error  # fmt: skip
    except Exception as error:  # the library raises what it likes on a damaged file
        raise TanhengError(
            f"{path.name} is not a GeoTIFF that can be read",
            got=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", expected="a whole GeoTIFF",
            remedy="copy it again; gdal_translate -co COMPRESS=DEFLATE in.tif out.tif if its compression is unusual",
        ) from error  # fmt: skip
    if text:
        values = np.where(values == empty, np.nan, values)
    return values, cells, Source(path.name, digest, reader, "start", attribution, tuple(notes))


def _cells(page: tifffile.TiffPage, name: str, box: Box | None, crs: str | None) -> Cells:
    """Cells from the scale and tie point of the raster's north-western corner."""
    held = {code: page.tags[code].value for code in (_SCALE, _TIEPOINT, _KEYS) if code in page.tags}
    keys = np.asarray(held.get(_KEYS, ()), dtype=int).reshape(-1, 4)[1:]
    geo = {int(k): int(value) for k, location, _, value in keys if location == 0}
    model, shape = geo.get(_MODEL), page.shape
    plain = len(held) == 3 and len(held[_TIEPOINT]) == 6 and not any(held[_TIEPOINT][:2]) and geo.get(_RASTER) in (1, 2)
    numbers = page.dtype is not None and page.dtype.kind in "fiu"
    if not plain or not numbers or len(shape) != 2 or model not in (_PROJECTED_MODEL, _GEOGRAPHIC_MODEL):
        raise TanhengError(
            f"{name} is not a GeoTIFF of one band along the axes", got=f"shape {shape}, keys {geo}",
            expected="one band of numbers, scale, one tie point at its corner, model and raster type",
            remedy="gdal_translate -b 1, gdalwarp for turned rasters",
        )  # fmt: skip
    half = 0.5 if geo[_RASTER] == 1 else 0.0
    x = held[_TIEPOINT][3] + held[_SCALE][0] * (np.arange(shape[1]) + half)
    y = held[_TIEPOINT][4] - held[_SCALE][1] * (np.arange(shape[0]) + half)
    if model == _GEOGRAPHIC_MODEL:
        return cells_of(x, y, name, box)
    code = geo.get(_PROJECTED, _USER_DEFINED)
    if (crs is None and code == _USER_DEFINED) or box is not None:
        raise TanhengError(
            f"{name} is in a projection" + ("" if box is None else ", and a box is in degrees"),
            got=f"EPSG code {code}", expected="an EPSG code, or a description that states crs; no box",
            remedy="state crs; regridding crops by itself",
        )  # fmt: skip
    metres = projection(crs or f"EPSG:{code}", name).axis_info[0].unit_conversion_factor
    unit = _METRES.get(geo[_LINEAR_UNIT]) if geo.get(_LINEAR_UNIT, _USER_DEFINED) != _USER_DEFINED else metres
    if unit is None:
        raise TanhengError(
            f"the linear unit of {name} is not known", got=f"code {geo[_LINEAR_UNIT]}",
            expected=", ".join(map(str, _METRES)), remedy="gdalwarp to a projection in metres",
        )  # fmt: skip
    # A grid counts in its projection's own unit.
    grid = Grid.from_centres(x * (unit / metres), y[::-1] * (unit / metres), crs or f"EPSG:{code}")
    return Cells(grid, np.arange(shape[0])[::-1], np.arange(shape[1]), (shape[0], shape[1]))


def _believe(page: tifffile.TiffPage, path: Path) -> None:
    """Refuse a header that claims more values than the file can hold, before memory is asked for.

    Raises:
        TanhengError: names the size that is claimed.
    """
    tile = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, max(page.shape)),)
    size = max(int(np.prod(page.shape, dtype=float)), int(np.prod(tile, dtype=float))) * np.dtype(page.dtype).itemsize
    if len(page.shape) != 2 or not 0 < size <= min(COMPRESSION * path.stat().st_size, LARGEST):
        raise TanhengError(
            f"{path.name} does not hold what its header claims", got=f"shape {page.shape}, {size} bytes",
            expected=f"two axes, at most {COMPRESSION} times the file's {path.stat().st_size} bytes",
            remedy="copy the file again",
        )  # fmt: skip


def _rows(page: tifffile.TiffPage, rows: np.ndarray, name: str) -> tuple[np.ndarray, int]:
    """Rows of the file from the first to the last that is asked for, and the first's number.

    Only the strips or tiles that hold them are read and decoded.
    """
    first, last, (ny, nx) = int(rows.min()), int(rows.max()), page.shape
    values = np.full((last - first + 1, nx), np.nan)
    height = page.tilelength if page.is_tiled else min(page.rowsperstrip, ny)
    width = page.tilewidth if page.is_tiled else nx
    across = -(-nx // width)
    lacking = (
        page.databytecounts.count(0) if len(page.databytecounts) == across * -(-ny // height) else "other than all"
    )
    if lacking:
        raise TanhengError(
            f"{name} lacks strips or tiles", got=f"{lacking} of {across * -(-ny // height)}", expected="all of them",
            remedy="copy the file again; gdal_translate fills a sparse file",
        )  # fmt: skip
    for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        top, left = index // across * height, index % across * width
        if top > last or top + height <= first:
            continue
        page.parent.filehandle.seek(offset)
        segment = page.decode(page.parent.filehandle.read(size), index)[0]
        low, high = max(top, first), min(top + height, last + 1)
        right = min(left + width, nx)
        if segment is not None:
            values[low - first : high - first, left:right] = segment[0, low - top : high - top, : right - left, 0]
    return values, first

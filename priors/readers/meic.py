"""MEIC: China by month and sector on 0.25°, tonnes per cell and month, NetCDF or ASCII grid."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF, lines_of, source_of
from inversion.observations.record import Source
from priors.inventory import Inventory
from priors.readers.cells import Box, cells_of, gathered, months_of, said_by_name
from priors.readers.unit import kilograms_per_second
from transport.errors import TanhengError

ATTRIBUTION = (
    "Multi-resolution Emission Inventory model for Climate and air pollution research (MEIC), Tsinghua University. "
    "Li et al. (2017), Natl. Sci. Rev. 4, 834, doi 10.1093/nsr/nwx150."
)
SECTORS = ("power", "industry", "residential", "transportation", "agriculture")
_NAME = re.compile(rf"\A(\d{{4}})_(\d\d)__({'|'.join(SECTORS)})__(CO2|CH4)\.(nc|asc)\Z")
_HEADER = ("ncols", "nrows", "xllcorner", "yllcorner", "cellsize", "nodata_value")


def read_meic(path: str | Path, box: Box | None = None) -> Inventory:
    """One sector in one month; `priors.readers.cells.joined` puts several together.

    rate = tonnes · 10³ / seconds of the month. Rows run from north to south; negative values are missing and become
    zero, which is said in the notes.

    Args:
        path: under the name that MEIC gave it, e.g. 2017_01__power__CO2.nc.
        box: west, east, south, north in degrees.

    Raises:
        TanhengError: another name or content.
    """
    name = Path(path).name
    match = said_by_name(_NAME, path, "a MEIC", f"<year>_<month>__<{', '.join(SECTORS)}>__<CO2 or CH4>.nc or .asc")
    values, x, y, source = _ascii(path) if match[5] == "asc" else _netcdf(path)
    cells, times = cells_of(x, y, name, box), months_of(int(match[1]), int(match[2]), 1)
    factor = kilograms_per_second("t cell-1 month-1", match[4], cells.grid.areas, times, name)
    taken = cells.take(values)
    rate = np.where((taken < 0.0) & np.isfinite(taken), 0.0, taken) * factor
    return gathered(match[4], {match[3]: rate}, cells, times, source, "MEIC")


def _notes(values: np.ndarray) -> tuple[str, ...]:
    return (
        "tonnes per cell and month",
        f"{np.count_nonzero(values < 0.0)} negative values are missing cells, set to zero",
    )


def _netcdf(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, Source]:
    """Values, centres and source of the one-dimensional form that GMT wrote."""
    with NetCDF(path) as nc:
        x, y, n, step = (
            nc.numbers(v, nc.dims(v)) for v in ("x_range", "y_range", "dimension", "spacing")
        )  # fmt: skip
        z = nc.numbers("z", nc.dims("z"))
        known = all(a.shape == (2,) and np.isfinite(a).all() for a in (x, y, n, step))
        fits = (
            known
            and z.shape == (int(n[0] * n[1]),)
            and all(abs(r[1] - r[0] - k * d) < 1e-3 * d for r, k, d in ((x, n[0], step[0]), (y, n[1], step[1])))
        )
        if not fits:
            raise _unlike(nc.name, f"x {x}, y {y}, {n} cells of {step}, {z.size} values")
        source = nc.source("read_meic", "start", ATTRIBUTION, _notes(z))
    nx, ny = int(n[0]), int(n[1])
    lon, lat = x[0] + step[0] * (np.arange(nx) + 0.5), y[1] - step[1] * (np.arange(ny) + 0.5)
    return z.reshape(ny, nx), lon, lat, source


def _ascii(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, Source]:
    """Values, centres and source of an ESRI ASCII grid."""
    lines, name = lines_of(path), Path(path).name
    words = [line.split() for line in lines if line.strip()]
    header = {w[0].lower(): w[1] for w in words[:6] if len(w) == 2}
    try:
        nx, ny = int(header["ncols"]), int(header["nrows"])
        west, south, step, empty = (float(header[k]) for k in _HEADER[2:])
        values = np.array([[float(v) for v in row] for row in words[6:]])
    except (KeyError, ValueError) as error:
        raise _unlike(name, f"{type(error).__name__}: {error}") from error
    if list(header) != list(_HEADER) or values.shape != (ny, nx) or not step > 0.0 or not empty < 0.0:
        raise _unlike(name, f"{', '.join(header)}; {values.shape} values")
    lon, lat = west + step * (np.arange(nx) + 0.5), south + step * (np.arange(ny)[::-1] + 0.5)
    return values, lon, lat, source_of(path, "read_meic", "start", ATTRIBUTION, _notes(values))


def _unlike(name: str, got: str) -> TanhengError:
    return TanhengError(
        f"{name} is not a grid of MEIC", got=got,
        expected=f"z(ny·nx) with x_range, y_range, dimension, spacing; or an ASCII grid of {', '.join(_HEADER)}",
        remedy="use the file as MEIC published it",
    )  # fmt: skip

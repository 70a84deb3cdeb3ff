"""ERA5 and its kin on pressure levels, on model levels, and on a projected grid.

The vertical wind of the files is not read: the model diagnoses it from the balance of air. Heat flux of ECMWF is
positive downward, ours upward.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyproj
from pyproj.exceptions import CRSError

from transport.columns import WHOLE_ATMOSPHERE
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC
from transport.interpolation import axis_angles
from transport.levels import HybridLevels
from transport.readers.ecmwf_fields import Fields, load
from transport.readers.ecmwf_surface import SURFACE_FIELDS, surface_of
from transport.weather import Analysis

Files = str | Path | Iterable[str | Path]
Instant = str | np.datetime64 | None
_WIND_AND_HEAT = ("u", "v", "temperature")


def read_pressure_levels(files: Files, start: Instant = None, end: Instant = None) -> Analysis:
    """Read pressure-level and single-level files of the Copernicus store, old or new names.

    Needed: u, v, t on levels; sp, blh. Used where present: q (else the air is taken as dry), t2m, iews and inss or
    zust (else a neutral logarithmic wind), ishf or sshf (else no heat flux). `Analysis.notes` says what was put in.

    Args:
        files: all files of the window, levels and surface, in any order.
        start, end: window, e.g. "2021-07-25T06:00"; the times around it are read. Default: all.

    Returns:
        `Analysis` in longitude and latitude.

    Raises:
        TanhengError: a file, field, unit, time or value is wrong or missing.

    Reference: Hersbach et al. 2020, doi 10.1002/qj.3803; ECMWF parameter database for names and signs.
    """
    fields = load(files, (*_WIND_AND_HEAT, "surface_pressure", "mixing_height"), _OPTIONAL, start, end)
    fields.require_finite()
    return on_pressure_levels(fields, GEOGRAPHIC, "ERA5 on pressure levels")


def read_model_levels(files: Files, start: Instant = None, end: Instant = None) -> Analysis:
    """Read ERA5 model levels of the L137 set, with the logarithm of surface pressure.

    p_half = a + b exp(lnsp),  p = (p_half below + p_half above) / 2

    Needed: t, q, u, v on model levels down to 137, lnsp (on level 1, or without a level) or sp, and blh from the
    single-level stream. Tested on generated files only, which have the layout of the archive: no real file was at hand.

    Args:
        files: all files of the window, levels and surface, in any order.
        start, end: window; the times around it are read. Default: all.

    Returns:
        `Analysis` in longitude and latitude.

    Raises:
        TanhengError: as `read_pressure_levels`; also where levels are left out.
    """
    fields = load(files, (*_WIND_AND_HEAT, "specific_humidity", "mixing_height"), (*_OPTIONAL, *_GROUND), start, end)
    number = np.round(fields.level).astype(int)
    if fields.level_unit in ("Pa", "hPa", "millibars") or not np.array_equal(number, 137 - np.arange(number.size)):
        raise TanhengError(
            "these are not the lowest levels of the L137 set",
            got=f"{number.size} levels {np.array2string(fields.level, threshold=8)} {fields.level_unit}",
            expected="consecutive model levels, the lowest 137",
            remedy="request model levels from 137 upwards without gaps; use read_pressure_levels for pressure levels",
        )
    if "log_surface_pressure" in fields.values:
        fields.values["surface_pressure"] = np.exp(fields.values.pop("log_surface_pressure"))
    elif "surface_pressure" not in fields.values:
        raise TanhengError(
            "the surface pressure is missing",
            got=f"fields {', '.join(fields.values)}",
            expected="lnsp on model level 1, or sp",
            remedy="request parameter 152 (lnsp) on model level 1 too",
        )
    fields.require_finite()
    half = HybridLevels.l137().at(fields.values["surface_pressure"])[:, : number.size + 1]
    return analysis_of(fields, GEOGRAPHIC, 0.5 * (half[:, 1:] + half[:, :-1]), "ERA5 on model levels")


def read_utm(
    files: Files,
    start: Instant = None,
    end: Instant = None,
    area: tuple[float, float, float, float] | None = None,
) -> Analysis:
    """Read ERA5 that was brought onto a projected grid with missing values around it (the MPTRAC test files).

    The wind of such files is still eastward and northward; it is turned onto the axes of the projection.

    Args:
        files: files with a grid mapping that states `proj_params`.
        start, end: window; the times around it are read. Default: all.
        area: (x_low, y_low, x_high, y_high) in the projection's metres; points within are kept. Default: the largest
            rectangle without a missing value in any field.

    Returns:
        `Analysis` in the projection.

    Raises:
        TanhengError: as `read_pressure_levels`; also where the area has missing values or the projection is not stated.
    """
    fields = load(files, (*_WIND_AND_HEAT, "surface_pressure", "mixing_height"), _OPTIONAL, start, end)
    try:
        crs = pyproj.CRS.from_user_input(fields.attributes.get("proj_params", ""))
    except CRSError as error:
        raise TanhengError(
            "the projection of the files is not stated",
            got=repr(fields.attributes.get("proj_params")),
            expected="a grid mapping variable with a PROJ string in proj_params",
            remedy="add it, or use read_pressure_levels for files in longitude and latitude",
        ) from error
    before = f"{fields.y.size} × {fields.x.size}"
    if area is None:
        full = np.ones((fields.y.size, fields.x.size), dtype=bool)
        for value in fields.values.values():
            full &= np.isfinite(value).all(axis=tuple(range(value.ndim - 2)))
        rows, columns = largest_rectangle(full)
    else:
        rows, columns = (_within(axis, area[k], area[k + 2]) for axis, k in ((fields.y, 1), (fields.x, 0)))
    fields.crop(rows, columns)
    fields.require_finite()
    fields.notes.append(
        f"kept {fields.y.size} × {fields.x.size} of {before} points, x {fields.x[0]:.0f}…{fields.x[-1]:.0f}, "
        f"y {fields.y[0]:.0f}…{fields.y[-1]:.0f} m" + (", the largest area without missing values" if not area else "")
    )
    _turn_winds(fields, crs.to_wkt())
    return on_pressure_levels(fields, crs.to_wkt(), "ERA5 on pressure levels, projected")


def on_pressure_levels(fields: Fields, crs: str, source: str) -> Analysis:
    """`Analysis` from fields whose vertical axis is pressure.

    Raises:
        TanhengError: the unit of the axis is not one of pressure.
    """
    unit = {"Pa": 1.0, "hPa": 100.0, "millibars": 100.0, "mbar": 100.0}.get(fields.level_unit)
    if unit is None or fields.level.size < 2 or not fields.level[-1] > 0:
        raise TanhengError(
            "the vertical axis is not pressure",
            got=f"{fields.level.size} levels in {fields.level_unit!r}",
            expected="at least two positive pressures in 'Pa' or 'hPa'",
            remedy="use read_model_levels for model levels; add the unit to the axis",
        )
    level = fields.level * unit
    shape = fields.values["temperature"].shape
    buried = float((level[:, None, None] > fields.values["surface_pressure"][:, None]).mean())
    if buried:
        fields.notes.append(f"{100 * buried:.0f} % of the values on levels lie below ground and are not used")
    if level[-1] - 0.5 * (level[-2] - level[-1]) > WHOLE_ATMOSPHERE:
        fields.notes.append(f"the levels reach from {level[0]:.0f} to {level[-1]:.0f} Pa only: the column is cut")
    return analysis_of(fields, crs, np.broadcast_to(level[:, None, None], shape), source)


def analysis_of(fields: Fields, crs: str, pressure: np.ndarray, source: str) -> Analysis:
    """`Analysis` from fields and the pressure (nt, nl, ny, nx) of their levels; dry air where q is absent."""
    values = fields.values
    if "specific_humidity" not in values:
        values["specific_humidity"] = np.zeros_like(values["temperature"])
        fields.notes.append("no specific humidity in the files: the air is taken as dry")
    if values["specific_humidity"].max() >= 0.1:
        raise TanhengError(
            "specific humidity is out of range",
            got=f"{values['specific_humidity'].max():.4g} kg/kg",
            expected="below 0.1 kg/kg",
            remedy="check the unit: files in g/kg must be converted",
        )
    # Packing and spectral transforms leave small negative values where the air is dry.
    humidity = np.maximum(values["specific_humidity"], 0.0)
    if (values["specific_humidity"] < 0).any():
        fields.notes.append(
            f"negative specific humidity set to 0 (lowest {values['specific_humidity'].min():.1e} kg/kg)"
        )
    for name, low, high in (("surface_pressure", 3e4, 1.1e5), ("temperature", 100.0, 350.0)):
        if values[name].min() < low or values[name].max() > high:
            raise TanhengError(
                f"{name} is out of range",
                got=f"{values[name].min():.6g}…{values[name].max():.6g}",
                expected=f"{low:.6g}…{high:.6g}",
                remedy="check the unit that the file states and its packing",
            )
    surface = surface_of(fields, pressure, humidity)
    return Analysis(
        crs, fields.x, fields.y, fields.times, pressure, values["u"], values["v"], values["temperature"], humidity,
        surface, source, tuple(fields.notes),
    )  # fmt: skip


def largest_rectangle(full: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the largest rectangle that is True throughout.

    For each pair of rows the columns that are True between them form runs; the longest run counts.

    Raises:
        TanhengError: there is none of 2 × 2 points.
    """
    best, found = 0, None
    for top in range(full.shape[0]):
        open_columns = np.ones(full.shape[1], dtype=bool)
        for bottom in range(top, full.shape[0]):
            open_columns &= full[bottom]
            rim = np.flatnonzero(np.diff(np.concatenate([[0], open_columns.astype(int), [0]])))
            for low, high in zip(rim[::2], rim[1::2], strict=True):
                size = (bottom - top + 1) * (high - low)
                if size > best and bottom > top and high - low > 1:
                    best, found = size, (slice(top, bottom + 1), slice(int(low), int(high)))
    if found is None:
        raise TanhengError(
            "the files have no area without missing values",
            got=f"{int(full.sum())} of {full.size} points are whole",
            expected="a rectangle of at least 2 × 2 points",
            remedy="check the files; fields over land or sea only cannot be used",
        )
    return found


def _within(axis: np.ndarray, low: float, high: float) -> slice:
    inside = np.flatnonzero((axis >= low) & (axis <= high))
    if inside.size < 2:
        raise TanhengError(
            "the area holds fewer than two points along an axis",
            got=f"{low:.6g}…{high:.6g}",
            expected=f"an interval within {axis[0]:.6g}…{axis[-1]:.6g} m",
            remedy="give area=(x_low, y_low, x_high, y_high) in the metres of the projection",
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _turn_winds(fields: Fields, crs: str) -> None:
    """u_x = u cosα + v sinα, v_y = v cosα − u sinα, with α the direction of the x axis from east."""
    angle = axis_angles(crs, *np.meshgrid(fields.x, fields.y))[0]
    for u, v in (("u", "v"), ("u10", "v10"), ("stress_x", "stress_y")):
        if u in fields.values and v in fields.values:
            east, north = fields.values[u], fields.values[v]
            fields.values[u] = east * np.cos(angle) + north * np.sin(angle)
            fields.values[v] = north * np.cos(angle) - east * np.sin(angle)
    low, high = np.rad2deg(angle.min()), np.rad2deg(angle.max())
    fields.notes.append(f"eastward and northward winds turned to the projection's axes, {low:.2f}…{high:.2f}° off east")


_OPTIONAL = ("specific_humidity", *SURFACE_FIELDS)
_GROUND = ("log_surface_pressure", "surface_pressure")

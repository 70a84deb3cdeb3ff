"""NOAA ARL packed files (HYSPLIT, STILT) as an `Analysis`: any projection, any vertical coordinate."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from arlmet import PressureAxis, TerrainAxis, WrfAxis

from transport.constants import (
    GAS_CONSTANT,
    MOLAR_MASS_DRY_AIR,
    MOLAR_MASS_WATER,
    WRF_KAPPA,
    WRF_REFERENCE_PRESSURE,
    ZERO_CELSIUS,
)
from transport.errors import TanhengError
from transport.readers.arl_files import Step, damaged, read_field, timeline
from transport.readers.arl_grid import Area, Points, choose_points, destagger, grid_of, position_notes
from transport.weather import Analysis, Surface

HECTOPASCAL = 100.0  # Pa
# Above this pressure level humidity may be missing: old archives end there, and the stratosphere holds 3e-6 kg/kg.
DRY_ABOVE = 300.0 * HECTOPASCAL


def read_arl(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    start: Any = None,
    end: Any = None,
    area: Area | None = None,
) -> Analysis:
    """Meteorology from NOAA ARL packed files.

    Pressure by the vertical flag of the file: 1 sigma, PRES or p = p_o + σ (p_s − p_o); 2 pressure; 3 terrain and 5
    WRF, PRES; 4 hybrid, p = a + b p_s with a the whole and b the decimal part of the level in hPa. Humidity from RELH:
    e = RH e_s(T), q = ε e / (p − (1 − ε) e). Without USTR, u* = (|τ|/ρ)^½ from UMOF and VMOF with ρ of dry air. SHTF
    is positive upward, as HYSPLIT takes it (STBANL: T* = −SHTF/(ρ c_p u*)) and as day and night in GDAS files show.
    Fluxes of GDAS are means over a forecast of 3 or 6 h that ends at the time: see `instants`.

    Args:
        paths: one file or several in any order, on one grid.
        start, end: first and last time wanted, UTC, anything that `numpy.datetime64` accepts; None for all.
        area: (west, south, east, north) degrees: keeps the points inside; on a projected grid the smallest rectangle of
            points that holds them. Leave a margin of one point for interpolation.

    Returns:
        `Analysis` on the points of the file, winds along the axes of its grid, times in UTC.

    Raises:
        TanhengError: a damaged file, a missing field, times or area that the files do not cover, a rotated grid.

    Reference: HYSPLIT User's Guide, Meteorology / ARL data format (S141); e_s over liquid water: Bolton 1980, eq. 10
    (doi 10.1175/1520-0493(1980)108<1046:TCOEPT>2.0.CO;2).
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    steps, notes = timeline(files)
    inside = _window([step.time for step in steps], start, end)
    points = choose_points(grid_of(steps[0]), area)
    fields = _Fields(steps, inside, points, notes + position_notes(steps[0]))
    levels = fields.levels()
    surface = _surface(fields)
    pressure = _pressure(fields, levels, surface.pressure)
    temperature = _temperature(fields, levels, pressure)
    humidity = _humidity(fields, levels, pressure, temperature)
    u, v = (_plausible(fields, name, fields.volume(name, levels), -250.0, 250.0, "m s-1") for name in ("UWND", "VWND"))
    if fields.first.index.source == "AWRF":
        points, u, v, (pressure, temperature, humidity), surface = destagger(
            points, u, v, (pressure, temperature, humidity), surface
        )
        fields.notes.append("The winds of AWRF files are on west and south faces; they are averaged to the points.")
    up = _upward(fields, pressure)
    return Analysis(
        crs=points.crs,
        x=points.x,
        y=points.y,
        times=fields.times,
        pressure=pressure[:, up],
        u=u[:, up],
        v=v[:, up],
        temperature=temperature[:, up],
        specific_humidity=humidity[:, up],
        surface=surface,
        source=f"ARL packed, {fields.first.index.source or 'no name'}: {', '.join(path.name for path in files)}",
        notes=tuple(fields.notes),
    )


def instants(ends: np.ndarray, hours: np.ndarray, means: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values at instants, from means over the forecasts that end there.

    A record of h hours that follows one of h' = h − Δ hours of the same forecast holds the mean of Δ:

        m = (h A − h' A') / Δ

    so that GDAS (3 h, then 6 h, …) yields a mean for every 3 h; linear in time between the middles of the means,
    constant beyond the last. Hours of 0 are instants already.

    Args:
        ends: (n,) datetime64, increasing.
        hours: (n,) length of each mean, h.
        means: (n, ny, nx).
        times: (nt,) datetime64.

    Returns:
        (nt, ny, nx).
    """
    end = (ends - ends[0]) / np.timedelta64(3600, "s")
    value, middle = means.copy(), end - 0.5 * hours
    for i in range(1, len(end)):
        step = end[i] - end[i - 1]
        if 0 < hours[i - 1] == hours[i] - step:
            value[i] = (hours[i] * means[i] - hours[i - 1] * means[i - 1]) / step
            middle[i] = end[i] - 0.5 * step
    at = (times - ends[0]) / np.timedelta64(3600, "s")
    right = np.clip(np.searchsorted(middle, at), 1, len(middle) - 1)
    weight = np.clip((at - middle[right - 1]) / (middle[right] - middle[right - 1]), 0.0, 1.0)[:, None, None]
    return (1.0 - weight) * value[right - 1] + weight * value[right]


def _window(times: Sequence[np.datetime64], start: Any, end: Any) -> slice:
    """The part of the times from start to end."""
    try:
        first = times[0] if start is None else np.datetime64(start).astype("datetime64[s]")
        last = times[-1] if end is None else np.datetime64(end).astype("datetime64[s]")
    except (ValueError, TypeError) as error:
        got, expected = f"start {start!r}, end {end!r}", "times such as 2015-12-01T06:00"
        raise TanhengError("start or end is no time", got=got, expected=expected, remedy="correct it") from error
    chosen = slice(*(int(i) for i in np.searchsorted(np.array(times), [first, last + np.timedelta64(1, "s")])))
    if not (times[0] <= first <= last <= times[-1]) or chosen.stop - chosen.start < 2:
        raise TanhengError(
            "the ARL files do not cover the window",
            got=f"{first}…{last}",
            expected=f"a window of at least two times within {times[0]}…{times[-1]}",
            remedy="choose another window or add the files of the missing days",
        )
    return chosen


class _Fields:
    """Reads variables at the chosen times and points, and gathers the notes."""

    def __init__(self, steps: list[Step], inside: slice, points: Points, notes: list[str]):
        self.all, self.inside, self.points, self.notes = steps, inside, points, notes
        self.steps = steps[inside]
        self.first = self.steps[0]
        self.times = np.array([step.time for step in self.steps])

    def has(self, name: str, level: int = 0) -> bool:
        return (level, name) in self.first.records

    def read(self, name: str, level: int = 0) -> np.ndarray:
        return read_field(self.steps, level, name, self.points.rows, self.points.columns)[0]

    def volume(self, name: str, levels: Sequence[int]) -> np.ndarray:
        """(nt, nl, ny, nx)."""
        return np.stack([self.read(name, level) for level in levels], axis=1)

    def choose(self, what: str, *names: str) -> str:
        """The first of some alternative surface fields that the file has."""
        for name in names:
            if self.has(name):
                return name
        raise TanhengError(
            f"{self.first.path}: the ARL file has no {what}",
            got=", ".join(sorted(name for level, name in self.first.records if level == 0)),
            expected=" or ".join(names),
            remedy="use files that hold it, such as GDAS1, HRRR, NAM or WRF converted with these fields",
        )

    def levels(self) -> list[int]:
        """Indices of the levels above the surface that hold wind and temperature."""
        above = range(1, self.first.index.nz)

        def thermal(k):
            return self.has("TEMP", k) or self.has("THET", k)

        full = [k for k in above if self.has("UWND", k) and self.has("VWND", k) and thermal(k)]
        if len(full) < 2:
            got = f"{len(full)} of {len(above)} levels"
            expected = "UWND, VWND and TEMP or THET on at least two"
            raise damaged(self.first.path, "too few levels hold wind and temperature", got, expected)
        left_out = [f"{self.first.index.levels[k].height:g}" for k in above if k not in full]
        if left_out:
            self.notes.append(f"Levels without wind or temperature are left out: {', '.join(left_out)}.")
        return full

    def flux(self, *names: str) -> list[np.ndarray]:
        """(nt, ny, nx) of surface fluxes at the times."""
        # One time more on each side, so that the ends of the window are not the ends of the means.
        before = max(self.inside.start - 1, 0)
        near, inside = self.all[before : self.inside.stop + 1], slice(self.inside.start - before, None)
        values, forecasts = [], set()
        for name in names:
            field, hours = read_field(near, 0, name, self.points.rows, self.points.columns)
            if self.first.index.source == "GDAS":
                field = instants(np.array([step.time for step in near]), hours, field, self.times)
            else:
                field = field[inside][: len(self.times)]
            values.append(field)
            forecasts |= {int(h) for h, step in zip(hours, near, strict=True) if h != step.index.forecast}
        if self.first.index.source == "GDAS" and forecasts:
            how = "means over forecasts that end at the time; single intervals are separated and taken linearly to it"
            self.notes.append(f"{', '.join(names)}: {how}.")
        elif forecasts:
            self.notes.append(f"{', '.join(names)} of forecasts of {sorted(forecasts)} h are taken as instantaneous.")
        return values


def _upward(fields: _Fields, pressure: np.ndarray) -> slice:
    """The order of the levels from the ground upwards."""
    steps = np.diff(pressure, axis=1)
    if (steps < 0.0).all():
        return slice(None)
    if (steps > 0.0).all():
        return slice(None, None, -1)
    got = f"means {np.round(pressure.mean(axis=(0, 2, 3)) / HECTOPASCAL, 1)} hPa"
    expected = "pressure that falls from level to level everywhere"
    raise damaged(fields.first.path, "the levels are not in order", got, expected)


def _plausible(fields: _Fields, name: str, values: np.ndarray, low: float, high: float, unit: str) -> np.ndarray:
    if not (values.min() >= low and values.max() <= high):
        got = f"{values.min():g}…{values.max():g}"
        raise damaged(fields.first.path, f"{name} is not in {unit} or is damaged", got, f"{low:g}…{high:g} {unit}")
    return values


def _surface(fields: _Fields) -> Surface:
    pressure = _plausible(fields, "PRSS", fields.read(fields.choose("surface pressure", "PRSS")), 300.0, 1100.0, "hPa")
    name = fields.choose("air temperature near the ground", "T02M", "TMPS")
    temperature = _plausible(fields, name, fields.read(name), 180.0, 345.0, "K")
    if name == "TMPS":
        fields.notes.append("There is no T02M; TMPS is taken as the temperature of the air near the ground.")
    name = fields.choose("sensible heat flux", "SHTF", "HFLX")
    heat = _plausible(fields, name, fields.flux(name)[0], -1500.0, 1500.0, "W m-2")
    name = fields.choose("mixing height", "PBLH", "HPBL", "MXHT")
    mixing = _plausible(fields, name, fields.read(name), -100.0, 1e4, "m")
    if mixing.min() < 0.0:
        count = np.count_nonzero(mixing < 0.0)
        fields.notes.append(f"{count} mixing heights below 0 (lowest {mixing.min():g} m, from packing) are set to 0.")
    friction = fields.choose("friction velocity", "USTR", "UMOF")
    if friction == "USTR":
        speed = fields.read("USTR")
    else:
        stress = np.hypot(*fields.flux("UMOF", fields.choose("meridional stress", "VMOF")))
        density = pressure * HECTOPASCAL * MOLAR_MASS_DRY_AIR / (GAS_CONSTANT * temperature)
        speed = np.sqrt(stress / density)
        fields.notes.append("The friction velocity is (|τ|/ρ)^½ from the momentum flux UMOF, VMOF.")
    speed = np.maximum(_plausible(fields, friction, speed, -0.1, 10.0, "its unit"), 0.0)
    return Surface(np.maximum(mixing, 0.0), speed, heat, temperature, pressure * HECTOPASCAL)


def _pressure(fields: _Fields, levels: list[int], surface: np.ndarray) -> np.ndarray:
    """(nt, nl, ny, nx) Pa."""
    axis = fields.first.index.vertical_axis
    if isinstance(axis, PressureAxis):
        level = axis.to_pressure()[levels] * HECTOPASCAL
        return np.broadcast_to(level[:, None, None], (len(surface), len(levels), *surface.shape[1:])).copy()
    # As HYSPLIT: PRES where there is one, but not on hybrid levels (prfecm).
    if axis.coord_system != "hybrid" and all(fields.has("PRES", level) for level in levels):
        return _plausible(fields, "PRES", fields.volume("PRES", levels), 0.0, 1100.0, "hPa") * HECTOPASCAL
    if isinstance(axis, TerrainAxis | WrfAxis):
        what = f"levels of kind {axis.coord_system} need their pressure"
        raise damaged(fields.first.path, what, "PRES is not on every level", "PRES in hPa on every level")
    pressure = axis.to_pressure(surface_pressure=surface / HECTOPASCAL)[..., levels] * HECTOPASCAL
    return np.moveaxis(pressure, -1, 1)


def _temperature(fields: _Fields, levels: list[int], pressure: np.ndarray) -> np.ndarray:
    """T, or θ (p/p_0)^κ with the constants of WRF, whose converter is the one that writes THET."""
    names = ["TEMP" if fields.has("TEMP", level) else "THET" for level in levels]
    values = np.stack([fields.read(name, level) for name, level in zip(names, levels, strict=True)], axis=1)
    theta = [i for i, name in enumerate(names) if name == "THET"]
    if theta:
        values[:, theta] *= (pressure[:, theta] / WRF_REFERENCE_PRESSURE) ** WRF_KAPPA
    return _plausible(fields, " and ".join(sorted(set(names))), values, 130.0, 350.0, "K")


def _humidity(fields: _Fields, levels: list[int], pressure: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """Specific humidity: SPHU, else RELH, else 0 above the troposphere."""
    humidity, dry, converted = np.zeros_like(pressure), [], False
    for i, level in enumerate(levels):
        if fields.has("SPHU", level):
            humidity[:, i] = _plausible(fields, "SPHU", fields.read("SPHU", level), -0.01, 0.1, "kg/kg")
        elif fields.has("RELH", level):
            relative = _plausible(fields, "RELH", fields.read("RELH", level), -10.0, 150.0, "%")
            humidity[:, i] = _specific(relative, pressure[:, i], temperature[:, i])
            converted = True
        elif pressure[:, i].mean() >= DRY_ABOVE - 1.0:
            what = f"no humidity at level {fields.first.index.levels[level].height:g}"
            raise damaged(fields.first.path, what, "neither SPHU nor RELH", f"one of them up to {DRY_ABOVE:g} Pa")
        else:
            dry.append(f"{fields.first.index.levels[level].height:g}")
    if converted:
        fields.notes.append("Specific humidity is from RELH over liquid water (Bolton 1980, eq. 10).")
    if dry:
        fields.notes.append(f"Levels without humidity are taken as dry: {', '.join(dry)}.")
    return np.maximum(humidity, 0.0)


def _specific(relative: np.ndarray, pressure: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """q = ε e / (p − (1 − ε) e), e = RH/100 · 611.2 exp(17.67 t / (t + 243.5)), t in °C."""
    t, ratio = temperature - ZERO_CELSIUS, MOLAR_MASS_WATER / MOLAR_MASS_DRY_AIR
    vapour = 0.01 * relative * 611.2 * np.exp(17.67 * t / (t + 243.5))
    return ratio * vapour / (pressure - (1.0 - ratio) * vapour)

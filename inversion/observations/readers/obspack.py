"""ObsPack NetCDF: towers, flasks, aircraft and ships of the NOAA and European packages, in old and new conventions.

Reference: Masarie et al. 2014 (doi 10.5194/essd-6-375-2014); variables as the files themselves describe them.
"""

import re
from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.readers import insitu
from inversion.observations.readers.files import NetCDF
from transport.errors import TanhengError

# Attributes that say how the data may be used and must be cited.
_FAIR_USE = (
    "obspack_citation", "dataset_citation", "obspack_fair_use", "dataset_fair_use", "dataset_reciprocity",
    "dataset_provider_license", "obspack_data_license", "dataset_contribution", "obspack_identifier_link",
)  # fmt: skip
# What ICOS calls correct: before, after manual control, and with back-propagation.
_ICOS_GOOD = ("U", "O", "R")
# Packages without a flag keep only valid data, and say so.
_VALID = ("allvalid", "representative", "marine", "afternoon", "nonlocal")


def read_obspack(path: str | Path) -> Observations:
    """Read one ObsPack dataset.

    `time` labels what its comment says: the start (older files) or the middle (newer ones, which also hold
    `start_time`). In-situ means last `dataset_data_frequency`; flasks are instants. `value_unc` is a measurement
    uncertainty unless its comment calls it a standard deviation; that, and `value_std_dev`, say how the air varied and
    go to `extra["std_dev"]`.

    Args:
        path: of the NetCDF file.

    Raises:
        TanhengError: not an ObsPack file, or one that contradicts itself.
    """
    with NetCDF(path) as nc:
        return _read(nc)


def _read(nc: NetCDF) -> Observations:
    if not nc.has("value"):
        raise TanhengError(
            f"{nc.name} is not an ObsPack file", got="no variable value", expected="value, time, qcflag …",
            remedy="use the reader of its format; without stated units and scale, make a table and declare them",
        )  # fmt: skip
    dim = "obs" if "obs" in nc.dims("value") else "time"
    species = insitu.species_of(nc.text("dataset_parameter"), nc.name)
    kind, instant = insitu.kind_of(nc.text("dataset_project"), nc.name)
    unit = insitu.unit_factor(nc.text("units", "", of="value"), species, f"value of {nc.name}")
    values = insitu.finite(nc.numbers("value", (dim,)) * unit, 0.0)
    notes: list[str] = []
    stamp, start, end = _windows(nc, dim, instant, notes)
    flags, reasons = _flags(nc, dim, notes)
    height, altitude = _heights(nc, dim)
    if kind in ("tower", "flask"):
        with np.errstate(invalid="ignore"):
            # Old air, not air of that date; the margin is for intakes on roofs below the nominal ground.
            reasons["intake below the ground (firn or borehole air)"] = height < -1.0
    components, extra = _errors(nc, dim, species, notes, values)
    return insitu.gather(
        values, (start, end), species,
        nc.source("read_obspack", stamp, _attribution(nc), notes),
        reasons, components, extra=extra, groups=nc.text("site_code"), kinds=kind,
        lon=_place(nc, "longitude", dim), lat=_place(nc, "latitude", dim), height=height, altitude=altitude,
        scales=insitu.scale_name(nc.text("dataset_calibration_scale", ""), species), flags=flags,
        instruments=_instruments(nc, dim, len(values)),
    )  # fmt: skip


def _windows(nc: NetCDF, dim: str, instant: bool, notes: list[str]) -> tuple[str, np.ndarray, np.ndarray]:
    """What times label, and start and end of the averaging windows."""
    time = insitu.times_of(nc, "time", (dim,))
    if instant:
        return ("instant", time, time)
    stamp = insitu.stamp_of(nc.text("comment", "", of="time"))
    if not stamp:
        stamp = "middle" if nc.has("start_time") or dim == "time" else "start"
        notes.append(f"time has no comment: taken as the {stamp} of the averaging interval, as in files of this age")
    seconds = _interval(nc)
    start, end = insitu.window(time, stamp, seconds)
    if nc.has("start_time"):
        stated = insitu.times_of(nc, "start_time", (dim,))
        apart = np.abs(stated - start) > np.timedelta64(2, "s")  # times are rounded down to the second
        if np.any(apart & ~np.isnat(stated) & ~np.isnat(start)):
            row = int(np.flatnonzero(apart)[0])
            raise TanhengError(
                f"time and start_time of {nc.name} contradict each other",
                got=f"start {stated[row]}, but {time[row]} is the {stamp} of {seconds:g} s",
                expected=f"start {start[row]}", remedy="ask the makers of the file which of the two holds",
            )  # fmt: skip
    return stamp, start, end


def _interval(nc: NetCDF) -> float:
    """Length of the averaging interval in s."""
    count = nc.number("dataset_data_frequency")
    unit = nc.text("dataset_data_frequency_unit").lower().rstrip("s")
    if unit not in insitu.SECONDS or not 0.0 < count < 1e4:
        raise TanhengError(
            f"the averaging interval of {nc.name} cannot be read", got=f"{count:g} {unit}",
            expected="a number of " + ", ".join(insitu.SECONDS), remedy="use the file as its makers published it",
        )  # fmt: skip
    return count * insitu.SECONDS[unit]


def _flags(nc: NetCDF, dim: str, notes: list[str]) -> tuple[np.ndarray | str, dict[str, np.ndarray]]:
    """Flags as they stand in the file, and which rows they reject."""
    name = next((n for n in ("qcflag", "qc_flag") if nc.has(n)), None)
    if name is None:
        tag = nc.text("dataset_selection_tag", "").lower()
        if not tag.startswith(_VALID):
            raise TanhengError(
                f"{nc.name} has no quality flags", got=f"selection {tag or 'not stated'}",
                expected="qcflag or qc_flag, or a selection of valid data: " + ", ".join(_VALID),
                remedy="use the file as its makers published it",
            )  # fmt: skip
        notes.append(f"no flags: the selection '{tag}' holds valid data only")
        return "", {}
    flags = nc.words(name, (dim,))
    about = " ".join(nc.text(key, "", of=name) for key in ("comment", "provider_comment"))
    stated = flags[(flags != "") & (flags != "NA")]
    if re.search(r"flag U\b.*flag O\b", about, re.I):
        return flags, {f"ICOS flag {f or 'missing'}": flags == f for f in np.unique(flags) if f not in _ICOS_GOOD}
    if "REJECTION" in about or all(len(f) == 3 and "." in f for f in stated):
        columns = np.char.ljust(flags, 3, ".")
        first, second = (np.array([f[k] for f in columns]) for k in (0, 1))
        known = (flags != "") & (flags != "NA")
        local = int((known & (first == ".") & (second != ".")).sum())
        if local:
            notes.append(f"{local} rows are valid but not background (second character of the flag); they are kept")
        return flags, {"rejected by its flag": known & (first != ".")}
    notes.append(f"flags of the provider are not interpreted: {', '.join(np.unique(stated)[:10])}")
    return flags, {}


def _place(nc: NetCDF, name: str, dim: str) -> np.ndarray:
    # Heights below −990 m are firn air with a wrong reference and must not pass for missing.
    return insitu.finite(nc.numbers(name, (dim,)), -1e5) if nc.has(name) else np.full(nc.size(dim), np.nan)


def _heights(nc: NetCDF, dim: str) -> tuple[np.ndarray, np.ndarray]:
    """Intake above ground, and above sea level; NaN where neither variables nor attributes tell."""
    altitude, elevation = _place(nc, "altitude", dim), _place(nc, "elevation", dim)
    if not nc.has("elevation"):
        elevation[:] = insitu.finite(np.array(nc.number("site_elevation", np.nan)))
    if nc.has("intake_height"):
        height = _place(nc, "intake_height", dim)
    else:
        height = np.full(len(altitude), insitu.finite(np.array(nc.number("dataset_intake_ht", np.nan))))
        height = np.where(np.isnan(height), altitude - elevation, height)
    return height, np.where(np.isnan(altitude), elevation + height, altitude)


def _errors(
    nc: NetCDF, dim: str, species: str, notes: list[str], values: np.ndarray
) -> tuple[tuple[Component, ...], dict[str, np.ndarray]]:
    """Causes of error, and what describes the air rather than the measurement."""

    def column(name: str) -> np.ndarray:
        if not nc.has(name):
            return np.full(len(values), np.nan)
        factor = insitu.unit_factor(nc.text("units", "", of=name), species, f"{name} of {nc.name}")
        return insitu.uncertainty(nc.numbers(name, (dim,)) * factor)

    spread, repeatability = column("value_std_dev"), column("value_unc")
    if nc.has("value_unc") and "standard deviation" in nc.text("comment", "", of="value_unc").lower():
        notes.append(
            "value_unc is a standard deviation of the mean according to its comment: in extra, not in the budget"
        )
        spread, repeatability = repeatability, np.full(len(values), np.nan)
    number = nc.numbers("nvalue", (dim,)) if nc.has("nvalue") else np.full(len(values), np.nan)
    with np.errstate(invalid="ignore"):
        extra = {"std_dev": spread, "nvalue": np.where(number > 0, insitu.finite(number), np.nan)}
    if nc.has("obs_flag"):
        extra["obs_flag"] = insitu.uncertainty(nc.numbers("obs_flag", (dim,)))
    if not (nc.has("icos_LTR") or nc.has("icos_SMR")):
        return (Component.independent("repeatability", repeatability),), extra
    extra["short_term_target_bias"] = column("icos_STTB")
    notes += insitu.ICOS_ERRORS
    return insitu.icos_components(
        column("icos_SMR"), column("icos_LTR"), _instruments(nc, dim, len(values)), insitu.times_of(nc, "time", (dim,))
    ), extra


def _instruments(nc: NetCDF, dim: str, n: int) -> np.ndarray:
    if not nc.has("instrument"):
        return np.full(n, "")
    if nc.raw("instrument", nc.dims("instrument")).dtype.kind in "iu":
        numbers = nc.numbers("instrument", (dim,))
        return np.array([f"{v:.0f}" if np.isfinite(v) else "" for v in numbers])
    return nc.words("instrument", (dim,))


def _attribution(nc: NetCDF) -> str:
    return " ".join(dict.fromkeys(t for t in (nc.text(key, "") for key in _FAIR_USE) if t))

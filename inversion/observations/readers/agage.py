"""AGAGE archive NetCDF, and the older files of the same instruments' software (GCWerks: AGAGE, UK DECC)."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.readers import insitu
from inversion.observations.readers.files import NetCDF
from transport.errors import TanhengError

# Codes of `instrument_type` in the archive.
_INSTRUMENTS = ("ALE", "GAGE", "GCMD", "GCMS-ADS", "Medusa", "Medusa-flask", "GCECD", "GCTOFMS", "Picarro", "LGR")
_LABELS = {"left": "start", "right": "end", "start": "start", "end": "end"}
_USE = ("Conditions of use", "comment", "data_owner", "data_owner_email", "network", "doi", "citation")


def read_agage(path: str | Path) -> Observations:
    """Read the record of one gas at one station.

    The archive calls the mole fraction `mf`; GCWerks files call it by its species, e.g. `ch4`, `ch4_repeatability`.
    Times label what `time:label` or its comment says: the start in most files, the middle in some of the archive.
    Repeatability is a cause of error; variability is how the air varied, in `extra["std_dev"]`.

    Args:
        path: of the NetCDF file.

    Raises:
        TanhengError: not such a file, or it lacks its unit, label, sampling period or a flag that it should have.
    """
    with NetCDF(path) as nc:
        return _read(nc)


def _read(nc: NetCDF) -> Observations:
    species = insitu.species_of(nc.text("species"), nc.name)
    name = "mf" if nc.has("mf") else species.lower()
    n = nc.size("time")

    def column(suffix: str) -> np.ndarray:
        if not nc.has(f"{name}{suffix}"):
            return np.full(n, np.nan)
        unit = insitu.unit_factor(nc.text("units", "", of=f"{name}{suffix}"), species, f"{name}{suffix} of {nc.name}")
        return insitu.finite(nc.numbers(f"{name}{suffix}", ("time",)) * unit)

    number = f"{name}_count" if nc.has(f"{name}_count") else f"{name}_number_of_observations"
    extra = {"std_dev": insitu.uncertainty(column("_variability"))}
    count = nc.numbers(number, ("time",)) if nc.has(number) else np.full(n, np.nan)
    with np.errstate(invalid="ignore"):
        extra["nvalue"] = np.where(count > 0, insitu.finite(count), np.nan)
    notes: list[str] = []
    stamp, times = _times(nc, notes)
    height = _height(nc, n)
    ground = _first(nc, ("inlet_base_elevation_masl", "station_height_masl"))
    scale = nc.text("calibration_scale", "", of=name) or nc.text("calibration_scale", "")
    return insitu.gather(
        column(""), times, species,
        nc.source("read_agage", stamp, " ".join(t for t in (nc.text(k, "") for k in _USE) if t), notes),
        _flags(nc, name), (Component.independent("repeatability", insitu.uncertainty(column("_repeatability"))),),
        extra=extra, groups=_site(nc), kinds="tower", lon=_first(nc, ("inlet_longitude", "station_longitude")),
        lat=_first(nc, ("inlet_latitude", "station_latitude")), height=height, altitude=ground + height,
        scales=insitu.scale_name(scale or nc.text("Calibration_scale", ""), species), instruments=_instruments(nc, n),
    )  # fmt: skip


def _times(nc: NetCDF, notes: list[str]) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    """What times label, and start and end of the sampling."""
    label, comment = nc.text("label", "", of="time").lower(), nc.text("comment", "", of="time")
    stamp = _LABELS.get(label) or insitu.stamp_of(label) or insitu.stamp_of(comment)
    if not stamp or (insitu.stamp_of(comment) or stamp) != stamp:
        raise TanhengError(
            f"{nc.name} does not say clearly what its times label", got=f"label {label!r}, comment {comment!r}",
            expected="start, middle or end of the sampling period", remedy="use the file as its makers published it",
        )  # fmt: skip
    if nc.has("sampling_period"):
        known = nc.text("units", "", of="sampling_period") in ("s", "seconds", "second")
        period = nc.numbers("sampling_period", ("time",)) if known else np.array(np.nan)
    else:
        period = np.array(nc.number("sampling_period_seconds", np.nan, of="time"))
    if not np.all((period > 0.0) & (period <= 86400.0)):
        raise TanhengError(
            f"the sampling period of {nc.name} cannot be read", got=f"{np.ravel(period)[:3]}",
            expected="sampling_period in s, or time:sampling_period_seconds, up to a day",
            remedy="use the file as its makers published it",
        )  # fmt: skip
    if "approximate" in comment:
        notes.append("sampling periods are approximate according to the file")
    return stamp, insitu.window(insitu.times_of(nc, "time", ("time",)), stamp, period)


def _flags(nc: NetCDF, name: str) -> dict[str, np.ndarray]:
    """Rows that the file itself marks as bad."""
    status = f"{name}_status_flag"
    if nc.has(status):
        return {"flagged by its provider": nc.numbers(status, ("time",)) != 0.0}
    if nc.has("data_flag"):
        return {"flagged by its provider (flyer)": nc.words("data_flag", ("time",)) == "F"}
    if nc.has(f"{name}_integration_flag") or nc.has("integration_flag"):
        raise TanhengError(
            f"{nc.name} lacks its status flag", got="an integration flag alone", expected=f"{status} or data_flag",
            remedy="use the file as its makers published it",
        )  # fmt: skip
    return {}


def _first(nc: NetCDF, names: tuple[str, ...]) -> float:
    """The first of some attributes as a number; NaN where none is stated."""
    return next((v for v in (nc.number(name, np.nan) for name in names) if np.isfinite(v)), np.nan)


def _height(nc: NetCDF, n: int) -> np.ndarray:
    """(n,) m above ground."""
    if nc.has("inlet_height"):
        return insitu.finite(nc.numbers("inlet_height", ("time",), {"m": 1.0, "metres": 1.0}), -100.0)
    for name in ("inlet_height_magl", "inlet_magl"):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*m?", nc.text(name, ""))
        if match:
            return np.full(n, float(match[1]))
    return np.full(n, np.nan)


def _site(nc: NetCDF) -> str:
    """Code of the station, from the header or the file name."""
    code = nc.text("site_code", "")
    match = re.search(r"_([A-Z]{3})_", nc.name)
    return code or (match[1] if match else nc.text("station_long_name"))


def _instruments(nc: NetCDF, n: int) -> np.ndarray:
    """(n,) names of instruments, from their code or the file name."""
    if not nc.has("instrument_type"):
        match = re.match(r"[A-Za-z]+-([\w]+?)_", nc.name)
        return np.full(n, match[1] if match else "")
    codes = nc.numbers("instrument_type", ("time",))
    names = {float(i): word for i, word in enumerate(_INSTRUMENTS)}
    return np.array([names.get(c, "") for c in codes.tolist()], dtype=str)

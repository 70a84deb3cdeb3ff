"""Level-2 Lite XCO2 of OCO-2 and OCO-3 (oco2_LtCO2_*, oco3_LtCO2_*; ACOS v10 and v11)."""

from pathlib import Path

import numpy as np

from inversion.observations.observations import Observations
from inversion.observations.readers.files import NetCDF, seconds_since
from inversion.observations.readers.soundings import (
    DEGREES_EAST,
    DEGREES_NORTH,
    PLAUSIBLE,
    believe,
    epoch,
    extras,
    noise,
    outline,
    unusable,
)
from transport.errors import TanhengError

_GROUPS = {"": "", "sounding": "Sounding", "retrieval": "Retrieval"}
_SCALES = {"WMO CO2 X2007": "xco2", "WMO CO2 X2019": "xco2_x2019"}
_ROW = ("sounding_id",)
_LEVELS = 20
_PPM, _HPA = {"ppm": 1.0}, {"hPa": 100.0}
_NONE = {"none": 1.0, "1": 1.0, "": 1.0}
_METRES = {"m": 1.0, "meters": 1.0}
_EXTRA = (
    "solar_zenith_angle", "sensor_zenith_angle", "sounding:operation_mode", "sounding:land_fraction",
    "sounding:land_water_indicator", "sounding:airmass", "sounding:footprint", "sounding:orbit", "retrieval:psurf",
    "retrieval:surface_type", "retrieval:aod_total", "retrieval:xco2_raw", "retrieval:dp", "retrieval:dpfrac",
    "retrieval:co2_grad_del", "retrieval:windspeed", "retrieval:tcwv",
)  # fmt: skip
_NOTES = (
    "the a-priori is that of the retrieval on both scales",
    "xco2_uncertainty is noise only: the errors that soundings of an orbit share (0.3…0.6 ppm) are not in the file",
    "20 levels turned round: index 0 is the surface; weights of the two ends are half-size (trapezoid rule)",
)


def read_oco_lite(path: str | Path, scale: str = "WMO CO2 X2019") -> Observations:
    """Bias-corrected XCO2 of good quality with kernels, on one of two scales.

    y = xco2_apriori + Σ h a (x − x_a), x on levels

    The reader was tested on files that a generator writes after the format's description and on the levels of one
    sounding of a genuine v11.2 granule, not on a genuine granule as a whole.

    Args:
        path: of a daily file or a cut of one.
        scale: "WMO CO2 X2007" (variable xco2) or "WMO CO2 X2019" (variable xco2_x2019, since v11.2).

    Returns:
        ppm; `extra` has mode (0 nadir, 1 glint, 2 target, 3 transition, 4 snapshot area map), land fraction (%),
        angles, footprint, orbit, the retrieval's surface pressure (hPa) and what the bias correction used.

    Raises:
        TanhengError: another format, no value on this scale, or nothing left.

    Reference: O'Dell et al. 2018, doi 10.5194/amt-11-6539-2018; Hall et al. 2021, doi 10.5194/amt-14-3015-2021 (X2019).
    """
    if scale not in _SCALES:
        raise TanhengError("an unknown scale of XCO2", got=scale, expected=", ".join(_SCALES), remedy="choose one")
    with NetCDF(path, _GROUPS) as file:
        _require(file, scale)
        values = file.numbers(_SCALES[scale], _ROW, _PPM)
        lon, lat = file.numbers("longitude", _ROW, DEGREES_EAST), file.numbers("latitude", _ROW, DEGREES_NORTH)
        start = seconds_since(epoch(file, "time", "seconds"), file.numbers("time", _ROW), file.name)
        flag, orbit = file.numbers("xco2_quality_flag", _ROW), file.numbers("sounding:orbit", _ROW)
        profiles = _profiles(file)
        with np.errstate(invalid="ignore"):
            ends = profiles["weights"][:, [0, -1]] / profiles["weights"][:, [1, -2]]
            reasons = unusable(values, start, lon, lat, PLAUSIBLE["CO2"]) | {
                "quality flag is not 0": flag != 0.0,
                "no orbit": ~(orbit >= 0.0),
                "sounding id is of another time": ~_same_time(file, start),
                "end weights are not half-size": ~((ends > 0.3) & (ends < 0.7)).all(axis=1),
            }
        rows, vertical, step = believe(reasons, profiles, PLAUSIBLE["CO2"])
        corners = outline(*(file.numbers(f"vertex_{n}", (*_ROW, "vertices")) for n in ("longitude", "latitude")))
        extra, instrument = extras(file, _EXTRA, _ROW), _instrument(file)
        return Observations(
            values=values[rows], start=start[rows], end=start[rows], kinds=np.full(rows.size, "column"), unit="ppm",
            groups=np.char.add(f"{instrument} orbit ", np.char.mod("%05.0f", orbit[rows])), species="CO2",
            lon=lon[rows], lat=lat[rows], altitude=file.numbers("sounding:altitude", _ROW, _METRES)[rows],
            components=(noise(file.numbers("xco2_uncertainty", _ROW, _PPM)[rows]),), scales=np.full(rows.size, scale),
            flags=np.char.mod("%.0f", flag[rows]), instruments=np.full(rows.size, instrument), vertical=vertical,
            corners=corners[rows], extra={k: v[rows] for k, v in extra.items()}, steps=(step,),
            sources=(file.source("oco_lite", "instant", _attribution(file), _NOTES),),
        )  # fmt: skip


def _require(file: NetCDF, scale: str) -> None:
    """Refuse a scale that the file does not hold."""
    if not file.has(_SCALES[scale]):
        raise TanhengError(
            f"{file.name} has no XCO2 on {scale}", got="xco2 on X2007 only (before v11.2)" if file.has("xco2") else
            "no xco2", expected=_SCALES[scale],
            remedy="read it on WMO CO2 X2007 and convert with inversion.observations.scales",
        )  # fmt: skip


def _profiles(file: NetCDF) -> dict[str, np.ndarray]:
    """Arguments of `Vertical` for all soundings, from the ground up."""
    if file.size("levels") != _LEVELS:
        raise TanhengError(
            f"{file.name} has another number of levels", got=file.size("levels"), expected=_LEVELS,
            remedy="use a Lite file of ACOS v10 or v11",
        )  # fmt: skip
    units = {
        "pressure": ("pressure_levels", _HPA),
        "weights": ("pressure_weight", _NONE),
        "kernel": ("xco2_averaging_kernel", _NONE),
        "prior": ("co2_profile_apriori", _PPM),
    }
    profiles = {k: file.numbers(name, (*_ROW, "levels"), u)[:, ::-1] for k, (name, u) in units.items()}
    value = file.numbers("xco2_apriori", _ROW, _PPM)
    return profiles | {"layered": np.zeros(value.size, bool), "prior_value": value}


def _same_time(file: NetCDF, start: np.ndarray) -> np.ndarray:
    """(n,) True where the digits YYYYMMDDhhmmss of the sounding's id are its time, to a minute."""
    digits = file.numbers("sounding_id", _ROW)
    good = (digits >= 1e15) & (digits < 1e16)
    rest = np.where(good, digits, 0.0).astype(np.int64) // 100
    parts = []
    for size in (100, 100, 100, 100, 100):
        rest, part = np.divmod(rest, size)
        parts.append(part)
    second, minute, hour, day, month = parts
    stamp = ((rest - 1970) * 12 + month - 1).astype("datetime64[M]").astype("datetime64[s]")
    stamp = stamp + (((day - 1) * 24 + hour) * 60 + minute) * np.timedelta64(60, "s") + second * np.timedelta64(1, "s")
    return good & (np.abs(start - stamp) <= np.timedelta64(60, "s"))


def _instrument(file: NetCDF) -> str:
    for text in (file.text("Platform", ""), file.text("platform", ""), file.name):
        for digit in ("2", "3"):
            if text.upper().replace("-", "").startswith(f"OCO{digit}"):
                return f"OCO-{digit}"
    raise TanhengError(
        f"{file.name} does not say which instrument it is of", got=repr(file.text("Platform", "")),
        expected="attribute Platform OCO-2 or OCO-3, or a name oco2_… or oco3_…",
        remedy="keep the file's name as it was published",
    )  # fmt: skip


def _attribution(file: NetCDF) -> str:
    doi, collection = file.text("identifier_product_doi", ""), file.text("CollectionLabel", "")
    return ", ".join(t for t in ("NASA GES DISC, OCO Lite", collection, f"doi {doi}" if doi else "") if t)

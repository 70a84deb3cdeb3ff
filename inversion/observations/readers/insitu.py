"""What files of towers and flasks have in common: averaging windows, scale names, units, and doubtful rows."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations, sift
from inversion.observations.readers.files import NetCDF, check_calendar, seconds_since
from inversion.observations.record import Source, Step
from inversion.observations.units import UNIT_OF, mole_fraction
from transport.errors import TanhengError

# Outside of these no air of the lower atmosphere was ever measured, plumes included; in the unit of `UNIT_OF`.
PLAUSIBLE = {"CO2": (250.0, 2000.0), "CH4": (500.0, 50000.0), "CO": (5.0, 50000.0), "N2O": (200.0, 1000.0)}
_SINCE = r"(second|minute|hour|day)s? since (\d{4}-\d\d-\d\d)[T ]?(\d\d:\d\d(?::\d\d)?)?(?:\.0*)?(?:Z| UTC|\+00:?00)?"
SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0, "week": 604800.0}


def species_of(text: str, what: str) -> str:
    """Species as it is called here, e.g. "CO2" of "co2".

    Raises:
        TanhengError: one that the toolkit keeps no unit for.
    """
    species = text.strip().upper()
    if species not in UNIT_OF:
        raise TanhengError(
            f"{what} holds a species that is not known", got=repr(text), expected=", ".join(UNIT_OF),
            remedy="read a file of one of these; another needs a line in inversion/observations/units.py",
        )  # fmt: skip
    return species


def unit_factor(unit: object, species: str, what: str) -> float:
    """Factor from the unit that a file states to the one in which the species is kept.

    Raises:
        TanhengError: the unit is no mole fraction, or is missing.
    """
    return mole_fraction(unit, what) / mole_fraction(UNIT_OF[species], species)


def scale_name(text: str, species: str) -> str:
    """One spelling for each calibration scale: "WMO CO2 X2019", "WMO CH4 X2004A", "TU-87"; "" where it is unknown.

    NOAA is the central laboratory of WMO: "NOAA 2004A CH4" is "WMO CH4 X2004A". Names that are not recognised stay.
    """
    plain = " ".join(re.sub(r"[_\-]", " ", text).split())
    if plain.lower() in ("", "unknown", "na", "none", "999", "9"):
        return ""
    wmo = re.search(r"\bX\s?(\d{4}[A-Z]?)\b", plain, re.I) or re.search(r"\bNOAA\s?(\d{4}[A-Z]?)\b", plain, re.I)
    if wmo and re.search(r"WMO|NOAA", plain, re.I):
        return f"WMO {species} X{wmo[1].upper()}"
    if re.fullmatch(r"(TU|Tohoku)( University)?\s?(19)?87", plain, re.I):
        return "TU-87"
    return " ".join(text.split())


def kind_of(project: str, what: str) -> tuple[str, bool]:
    """Kind of platform, and whether samples are instants, of a `dataset_project` such as "surface-flask".

    Raises:
        TanhengError: a project that is not known.
    """
    words = project.lower()
    instant = any(w in words for w in ("flask", "pfp", "aircore", "event"))
    for word, kind in (("aircraft", "aircraft"), ("aircore", "aircraft"), ("ship", "ship")):
        if word in words:
            return kind, instant
    if instant:
        return "flask", True
    if "insitu" in words or "in-situ" in words:
        return "tower", False
    raise TanhengError(
        f"the platform of {what} is not known", got=repr(project),
        expected="surface-flask, surface-insitu, tower-insitu, aircraft-…, shipboard-…",
        remedy="correct dataset_project if you know better than the file",
    )  # fmt: skip


def times_of(nc: NetCDF, name: str, dims: Sequence[str]) -> np.ndarray:
    """(n,) datetime64[ns] of a variable in "<unit> since <epoch>", NaT where it is missing.

    Raises:
        TanhengError: another unit, or times that cannot be meant.
    """
    unit = nc.text("units", "", of=name)
    match = re.fullmatch(
        r"(second|minute|hour|day)s? since (\d{4}-\d\d-\d\d)[T ]?(\d\d:\d\d(?::\d\d)?)?(?:\.0*)?(?:Z| UTC|\+00:?00)?",
        unit,
    )
    try:
        epoch = np.datetime64(f"{match[2]}T{match[3] or '00:00'}", "s") if match else None
    except ValueError:
        epoch = None
    if not match or epoch is None:
        raise TanhengError(
            f"{name} of {nc.name} has the wrong unit", got=repr(unit), expected="e.g. 'seconds since 1970-01-01'",
            remedy="use the file as its makers published it",
        )  # fmt: skip
    check_calendar(nc, name, epoch)
    values = nc.numbers(name, dims) * SECONDS[match[1]]
    return seconds_since(str(epoch), np.where(np.isfinite(values), values, np.nan), nc.name)


def window(times: np.ndarray, stamp: str, seconds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of averaging windows of a length in s from times that label their start, middle or end."""
    length = np.round(np.broadcast_to(np.asarray(seconds, float), times.shape) * 1e9).astype("timedelta64[ns]")
    if stamp == "instant":
        return times, times
    start = times - (length // 2 if stamp == "middle" else length if stamp == "end" else np.timedelta64(0, "ns"))
    return start, start + length


def stamp_of(comment: str) -> str:
    """What a comment says that times label: "start", "middle", "end", or "" where it does not say."""
    words = comment.lower()
    if re.search(r"middle|mid-?point|cent(re|er)", words):
        return "middle"
    return "start" if re.search(r"begin|start", words) else "end" if re.search(r"\bend\b", words) else ""


def uncertainty(values: np.ndarray) -> np.ndarray:
    """Standard uncertainties with what cannot be one (negative, infinite) as NaN: not stated."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(values) & (values >= 0.0), values, np.nan)


def finite(values: np.ndarray, missing: float = -990.0) -> np.ndarray:
    """Numbers with infinities, and what is at most `missing`, as NaN."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(values) & (values > missing), values, np.nan)


ICOS_ERRORS = (
    "SMR or CMR is taken as the repeatability of an hour whatever the number of minutes in it",
    "LTR is one error for each instrument and month: calibrations are two to four weeks apart",
    "biases against target gases, where stated, are in extra: neither corrected nor in the budget",
)


def icos_components(
    short: np.ndarray, long: np.ndarray, instruments: np.ndarray, times: np.ndarray
) -> tuple[Component, ...]:
    """Repeatability within an hour, and between calibrations, of ICOS instruments.

    Args:
        short: (n,) SMR or CMR, continuous measurement repeatability.
        long: (n,) LTR, long-term repeatability.
        instruments, times: (n,) whose error, and in which month.

    Reference: Yver Kwok et al. 2015 (doi 10.5194/amt-8-3867-2015), 2.2.
    """
    months = np.datetime_as_string(times, unit="M")
    groups = np.array([f"{i} {m}" for i, m in zip(instruments, months, strict=True)])
    return Component.independent("repeatability", short), Component.shared("calibration", long, groups)


def gather(
    values: np.ndarray,
    times: tuple[np.ndarray, np.ndarray],
    species: str,
    source: Source,
    reasons: Mapping[str, np.ndarray],
    components: Sequence[Component],
    **fields: Any,
) -> Observations:
    """A set from the columns of a file, without the rows that cannot be used.

    Args:
        values: (n,) in the unit of the species; NaN or ≤ 0 where the file has none.
        times: start and end, (n,) each, NaT where unknown.
        species: of `UNIT_OF`.
        source: the file.
        reasons: why rows are left out, e.g. by their flags, besides missing values.
        components: causes of error of all n rows.
        fields: further fields of `Observations`, (n,) or one for all; `extra` as a mapping.

    Raises:
        TanhengError: no row is left, or most values cannot be meant, which is a wrong unit.
    """
    n, (low, high) = len(values), PLAUSIBLE[species]
    with np.errstate(invalid="ignore"):
        known = np.isfinite(values) & (values > 0.0)
        strange = known & ((values < low) | (values > high))
    if 2 * strange.sum() > known.sum():
        raise TanhengError(
            f"most values of {source.name} cannot be {species} of air", got=f"median {np.median(values[known]):g}",
            expected=f"{low:g}…{high:g} {UNIT_OF[species]}", remedy="correct the unit that the file or its map states",
        )  # fmt: skip
    keep, dropped = sift(
        {**reasons, "missing value": ~known, "missing time": np.isnat(times[0]) | np.isnat(times[1]),
         f"outside {low:g}…{high:g} {UNIT_OF[species]}": strange}, n,
    )  # fmt: skip
    cut: dict[str, Any] = {k: np.broadcast_to(np.asarray(v), (n,))[keep] for k, v in fields.items() if k != "extra"}
    if "lon" in cut:
        cut["lon"] = np.where(cut["lon"] > 180.0, cut["lon"] - 360.0, cut["lon"])
    return Observations(
        values=values[keep], start=times[0][keep], end=times[1][keep], unit=UNIT_OF[species], species=species,
        components=tuple(c.take(keep) for c in components),
        extra={k: np.asarray(v, float)[keep] for k, v in fields.get("extra", {}).items()}, sources=(source,),
        steps=(Step("read", int(keep.sum()), dropped),), **cut,
    )  # fmt: skip

"""Which observations an inversion uses: by hour, mixing, variability, outliers, flags, place and period.

Every filter takes a set and returns one, with a step that counts what was left out and why. `only` (n,) restricts a
filter to some rows, e.g. `observations.kinds == "tower"`; the others stay.
"""

import fnmatch
import itertools
from collections.abc import Sequence

import numpy as np

from inversion.observations.observations import Observations
from transport.constants import EARTH_RADIUS
from transport.errors import TanhengError

_HOUR = np.timedelta64(3600, "s") / np.timedelta64(1, "ns")
# σ of a normal distribution over its median absolute deviation: 1 / Φ⁻¹(3/4).
MAD_TO_SIGMA = 1.482602218505602


def _drop(o: Observations, what: str, reasons: dict[str, np.ndarray], only: np.ndarray | None) -> Observations:
    if only is not None and np.shape(only) != (len(o),):
        raise TanhengError(f"`only` of the filter {what} has the wrong length", got=np.shape(only), expected=(len(o),),
                           remedy="give one True or False per value")  # fmt: skip
    return o.drop(what, reasons if only is None else {k: v & np.asarray(only, bool) for k, v in reasons.items()})


def _series(o: Observations, values, what: str) -> np.ndarray:
    values = np.asarray(values, float)
    if values.shape != (len(o),):
        raise TanhengError(f"{what} does not fit the observations", got=values.shape, expected=(len(o),),
                           remedy="give one number per value, at its place and time")  # fmt: skip
    return values


def local_time(observations: Observations, utc_offset: float | None = None) -> np.ndarray:
    """(n,) datetime64[ns]: local mean solar time of the middles, UTC + lon/15 h, or UTC + an offset.

    Args:
        observations: any set.
        utc_offset: h of the standard time wanted; None: from the longitude.

    Raises:
        TanhengError: a longitude is needed and not known.
    """
    if utc_offset is None and np.isnan(observations.lon).any():
        raise TanhengError(
            "local time needs a longitude", got=f"{int(np.isnan(observations.lon).sum())} values without place",
            expected="longitudes, or utc_offset", remedy="give utc_offset in hours",
        )  # fmt: skip
    hours = observations.lon / 15.0 if utc_offset is None else np.full(len(observations), float(utc_offset))
    return observations.middle + np.round(hours * _HOUR).astype("timedelta64[ns]")


def local_hour(observations: Observations, utc_offset: float | None = None) -> np.ndarray:
    """(n,) hours since local midnight, 0 ≤ h < 24, of the middles; see `local_time`."""
    local = local_time(observations, utc_offset)
    return (local - local.astype("datetime64[D]")) / np.timedelta64(1, "h")


def in_hours(hour: np.ndarray, first: float, last: float) -> np.ndarray:
    """True where first ≤ hour < last, across midnight where first > last."""
    for value in (first, last):
        if not 0.0 <= value <= 24.0:
            raise TanhengError(
                "an hour of the day is out of range", got=value, expected="0…24", remedy="use local hours"
            )
    if first == last:
        raise TanhengError("an interval of hours is empty", got=f"{first:g}…{last:g}", expected="first ≠ last",
                           remedy="0…24 is the whole day")  # fmt: skip
    return (hour >= first) & (hour < last) if first < last else (hour >= first) | (hour < last)


def hours(
    observations: Observations, first: float, last: float, utc_offset: float | None = None, only=None
) -> Observations:
    """Values whose window has its middle in a part of the day.

    Args:
        observations: any set.
        first, last: local hours, first ≤ h < last; first > last goes across midnight.
        utc_offset: h of the standard time; None: solar time by longitude.
        only: (n,) rows to which it applies.
    """
    good = in_hours(local_hour(observations, utc_offset), first, last)
    which = "solar" if utc_offset is None else f"UTC{utc_offset:+g} h"
    return _drop(observations, f"hours {first:g}–{last:g} ({which})", {"other hours": ~good}, only)


def afternoon(
    observations: Observations, first: float = 12.0, last: float = 16.0, mixing_height=None, lowest: float = 500.0,
    utc_offset: float | None = None, only=None,
) -> Observations:  # fmt: skip
    """Values of the well-mixed afternoon, when models know the depth of mixing best.

    Args:
        observations: towers; give `only` where there are others.
        first, last: local hours.
        mixing_height: (n,) m of the model at place and time, or None.
        lowest: m; lower ones are left out, and NaN.
        utc_offset: as in `hours`.
        only: (n,) rows to which it applies.
    """
    good = in_hours(local_hour(observations, utc_offset), first, last)
    reasons = {"other hours": ~good}
    if mixing_height is not None:
        height = _series(observations, mixing_height, "mixing height")
        reasons |= {"mixing height not known": np.isnan(height), f"mixing height < {lowest:g} m": height < lowest}
    return _drop(observations, f"afternoon {first:g}–{last:g}", reasons, only)


def between(
    observations: Observations, name: str, series, low: float = -np.inf, high: float = np.inf, only=None
) -> Observations:
    """Values at which something else, e.g. the model's wind speed, lies in low ≤ x ≤ high.

    Args:
        observations: any set.
        name: of the quantity, with its unit, for the record.
        series: (n,) of it; NaN is left out as not known.
        low, high: bounds.
        only: (n,) rows to which it applies.
    """
    x = _series(observations, series, name)
    reasons = {f"{name} not known": np.isnan(x), f"{name} < {low:g}": x < low, f"{name} > {high:g}": x > high}
    return _drop(observations, name, reasons, only)


def variability(observations: Observations, highest: float, only=None) -> Observations:
    """Values whose standard deviation within the window, extra["std_dev"], is at most `highest` (unit of the values).

    Raises:
        TanhengError: the set has no std_dev.
    """
    if "std_dev" not in observations.extra:
        raise TanhengError("the variability of values is not known", got=", ".join(observations.extra) or "no numbers",
                           expected="extra['std_dev']", remedy="read it, or average with averaging.mean")  # fmt: skip
    return between(
        observations, "standard deviation in the window", observations.extra["std_dev"], high=highest, only=only
    )


def inlet_gradient(observations: Observations, highest: float, only=None) -> Observations:
    """Hours in which the inlets of a mast differ by at most `highest`: the air is mixed.

    All inlets of a window are kept or left out together. Groups that have one inlet alone in the whole set are not
    judged.

    Args:
        observations: inlets of a mast carry the same group, other heights, and equal windows.
        highest: largest minus smallest value in the unit of the values.
        only: (n,) rows to which it applies.
    """
    o = observations
    window, index = np.unique(np.rec.fromarrays([o.groups, o.start]), return_inverse=True)
    largest, smallest = np.full(len(window), -np.inf), np.full(len(window), np.inf)
    np.maximum.at(largest, index, o.values)
    np.minimum.at(smallest, index, o.values)
    inlets = np.unique(np.stack([index, np.nan_to_num(o.height, nan=-1.0)]), axis=1)[0].astype(int)
    several = np.bincount(inlets, minlength=len(window))[index] > 1
    names, mast = np.unique(o.groups, return_inverse=True)
    masts = np.unique(np.stack([mast, np.nan_to_num(o.height, nan=-1.0)]), axis=1)[0].astype(int)
    heights = np.bincount(masts, minlength=len(names))[mast] > 1
    steep = (largest - smallest)[index] > highest
    reasons = {
        "only one inlet at that time": heights & ~several,
        f"inlets differ > {highest:g} {o.unit}": several & steep,
    }
    return _drop(o, "gradient between inlets", reasons, only)


def steadiness(observations: Observations, highest: float, gap: float = 3.0, only=None) -> Observations:
    """Values that change by at most `highest` per hour from the one before and to the one after.

    Args:
        observations: series; each group and height is one.
        highest: |ΔC/Δt| in the unit of the values per hour.
        gap: h beyond which neighbours say nothing.
        only: (n,) rows to which it applies.
    """
    o = observations
    order = np.lexsort((o.middle, o.height, o.groups))
    apart = np.diff(o.middle[order]) / np.timedelta64(1, "h")
    same = (o.groups[order][1:] == o.groups[order][:-1]) & np.isclose(
        o.height[order][1:], o.height[order][:-1], rtol=0.0, atol=1e-6, equal_nan=True
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        fast = same & (apart > 0.0) & (apart <= gap) & (np.abs(np.diff(o.values[order])) / apart > highest)
    bad = np.zeros(len(o), bool)
    bad[order] = np.r_[fast, False] | np.r_[False, fast]
    return _drop(o, "steadiness", {f"change > {highest:g} {o.unit}/h": bad}, only)


def outliers(
    observations: Observations, k: float = 5.0, days: float | None = None, least: int = 10, only=None
) -> Observations:
    """Values within k robust standard deviations, |y − median| ≤ k · 1.4826 · MAD (Hampel 1974).

    Args:
        observations: each group and height is judged by itself.
        k: limit.
        days: width of the running window centred on each value; None: the whole series.
        least: fewer values in the window, or a MAD of zero, judge nothing.
        only: (n,) rows to which it applies.

    Reference: Hampel 1974, doi 10.1080/01621459.1974.10482962.
    """
    o, bad = observations, np.zeros(len(observations), bool)
    series = np.unique(np.rec.fromarrays([o.groups, np.nan_to_num(o.height, nan=-1.0)]), return_inverse=True)[1]
    for one in range(series.max() + 1):
        rows = np.flatnonzero(series == one)
        rows = rows[np.argsort(o.middle[rows], kind="stable")]
        y, t = o.values[rows], o.middle[rows]
        if days is None:
            first, last = np.zeros(rows.size, int), np.full(rows.size, rows.size)
        else:
            half = np.timedelta64(round(days * 12 * _HOUR), "ns")
            first, last = np.searchsorted(t, t - half), np.searchsorted(t, t + half, side="right")
        spans: dict[tuple[int, int], tuple[float, float]] = {}
        for i, span in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            if span not in spans:
                part = y[slice(*span)]
                middle = float(np.median(part))
                spans[span] = middle, MAD_TO_SIGMA * float(np.median(np.abs(part - middle)))
            middle, sigma = spans[span]
            bad[rows[i]] = span[1] - span[0] >= least and sigma > 0.0 and abs(y[i] - middle) > k * sigma
    return _drop(o, "outliers", {f"> {k:g} robust standard deviations": bad}, only)


def _require_list(what: str, words: object) -> None:
    if isinstance(words, str):
        raise TanhengError(
            f"{what} must be a list", got=repr(words), expected=f"[{words!r}]", remedy="put it in brackets"
        )


def flags(observations: Observations, keep: Sequence[str], only=None) -> Observations:
    """Values whose quality flag matches one of some patterns; ? is any character, * any number of them.

    Args:
        observations: any set.
        keep: e.g. ("O", "R", "U") of ICOS, (".*",) of NOAA: nothing rejected.
        only: (n,) rows to which it applies.
    """
    _require_list("flags", keep)
    good = {f for f in np.unique(observations.flags) if any(fnmatch.fnmatchcase(f, pattern) for pattern in keep)}
    reasons = {
        f"flag {f or '(empty)'}": observations.flags == f for f in np.unique(observations.flags) if f not in good
    }
    return _drop(observations, f"flags {', '.join(keep)}", reasons, only)


def box(observations: Observations, west: float, south: float, east: float, north: float, only=None) -> Observations:
    """Values inside a box of longitude and latitude, degrees; west > east goes across the date line."""
    o = observations
    along = (o.lon >= west) & (o.lon <= east) if west <= east else (o.lon >= west) | (o.lon <= east)
    inside = along & (o.lat >= south) & (o.lat <= north)
    return _drop(o, f"box {west:g}, {south:g}, {east:g}, {north:g}", {"outside": ~inside}, only)


def period(observations: Observations, first, last, only=None) -> Observations:
    """Values whose whole window lies in first ≤ t ≤ last, UTC; instants at `last` belong to the next period."""
    try:
        first, last = (np.datetime64(t).astype("datetime64[ns]") for t in (first, last))
    except ValueError as error:
        raise TanhengError("a time cannot be read", got=f"{first}, {last}", expected="e.g. 2024-06-01T12:00",
                           remedy="write it so") from error  # fmt: skip
    o = observations
    reasons = {"before": o.start < first, "after": (o.end > last) | (o.start >= last)}
    return _drop(o, f"period {first.astype('datetime64[m]')} … {last.astype('datetime64[m]')}", reasons, only)


def sites(observations: Observations, names: Sequence[str], only=None) -> Observations:
    """Values of some groups.

    Raises:
        TanhengError: a name that no group has.
    """
    _require_list("sites", names)
    held = np.unique(observations.groups)
    unknown = sorted(set(names) - set(held.tolist()))
    if unknown:
        raise TanhengError("no observation is of this group", got=", ".join(unknown), expected=", ".join(held[:40]),
                           remedy="correct the name")  # fmt: skip
    return _drop(observations, f"sites {', '.join(names)}", {"other sites": ~np.isin(observations.groups, names)}, only)


def thin(observations: Observations, spacing: float, only=None) -> Observations:
    """At most one value within a distance of another, per group and UTC day; the surest stay, then the first.

    Args:
        observations: pixels or soundings.
        spacing: m, least distance between values that stay.
        only: (n,) rows to which it applies; the others neither go nor displace any.

    Raises:
        TanhengError: values without a place, or a distance that is not positive.
    """
    o = observations
    lost = ~np.isfinite(o.lon + o.lat)
    if lost.any() or not spacing > 0.0:
        raise TanhengError("observations cannot be thinned", got=f"{int(lost.sum())} without place, {spacing:g} m",
                           expected="places, and a distance > 0", remedy="select a box first")  # fmt: skip
    lon, lat = np.deg2rad(o.lon), np.deg2rad(o.lat)
    place = EARTH_RADIUS * np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    chord = 2.0 * EARTH_RADIUS * np.sin(min(spacing / (2.0 * EARTH_RADIUS), np.pi / 2.0))
    scene = np.unique(np.rec.fromarrays([o.groups, o.middle.astype("datetime64[D]")]), return_inverse=True)[1]
    near = np.zeros(len(o), bool)
    active = np.ones(len(o), bool) if only is None else np.asarray(only, bool)
    kept: dict[tuple, list[np.ndarray]] = {}
    for row in np.lexsort((np.arange(len(o)), np.nan_to_num(o.sigma, nan=np.inf))):
        if not active[row]:
            continue
        cell = np.floor(place[row] / chord).astype(int)
        around = [(scene[row], *(cell + np.array(shift))) for shift in itertools.product((-1, 0, 1), repeat=3)]
        if any(np.sum((p - place[row]) ** 2) < chord**2 for key in around for p in kept.get(key, ())):
            near[row] = True
        else:
            kept.setdefault((scene[row], *cell), []).append(place[row])
    return _drop(o, f"thinning to {spacing / 1000:g} km", {"near one that is kept": near}, only)

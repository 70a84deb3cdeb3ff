"""Air that comes in: backgrounds from an upwind site, from low values or from a model, and differences of columns.

The first three return the background of every value and a component "background" with its error; `subtract` takes both.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from inversion.observations.combining import Plan, columns, components
from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.vertical import Vertical
from transport.errors import TanhengError

Background = tuple[np.ndarray, Component]


def _nearest(o: Observations, rows: np.ndarray, wanted: np.ndarray, minutes: float) -> np.ndarray:
    """(n,) row among `rows` that is nearest in time to each wanted row; −1 beyond the tolerance or not wanted."""
    found = np.full(len(o), -1)
    rows = rows[np.argsort(o.middle[rows], kind="stable")]
    if not rows.size or not wanted.any():
        return found
    t, times = o.middle[rows], o.middle[wanted]
    after = np.searchsorted(t, times).clip(0, rows.size - 1)
    before = (after - 1).clip(0)
    best = np.where(np.abs(t[before] - times) <= np.abs(t[after] - times), before, after)
    near = np.abs(t[best] - times) <= np.timedelta64(round(minutes * 60e9), "ns")
    found[wanted] = np.where(near, rows[best], -1)
    return found


def _known_sites(o: Observations, names) -> None:
    held = np.unique(o.groups).tolist()
    unknown = sorted(set(names) - set(held))
    if unknown:
        raise TanhengError("a background site has no observations", got=", ".join(unknown),
                           expected=", ".join(held[:40]), remedy="correct the name, or read its file")  # fmt: skip


def _one_scale(o: Observations, rows: np.ndarray, others: np.ndarray) -> None:
    wrong = o.scales[rows] != o.scales[others]
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise TanhengError(
            "values on different scales cannot be subtracted",
            got=f"{o.groups[rows[i]]}: {o.scales[rows[i]] or '(unknown)'}; {o.groups[others[i]]}: "
            f"{o.scales[others[i]] or '(unknown)'}", expected="one scale", remedy="convert first: scales.convert",
        )  # fmt: skip


def upwind(
    observations: Observations, wind_from, sectors: Mapping[str, tuple[float, float]], sigma: float,
    minutes: float = 60.0,
) -> Background:  # fmt: skip
    """The value of the site that lies upwind, nearest in time.

    Args:
        observations: the sites inside and those upwind together.
        wind_from: (n,) degrees from which the wind blows (0 north, 90 east); NaN where not known.
        sectors: background site to the sector a ≤ direction < b for which it is upwind; a > b goes across north.
        sigma: standard uncertainty by which air at that site differs from the inflow, in the unit of the values.
        minutes: largest distance in time.

    Returns:
        (n,) background, NaN where there is none (no sector, no value in time, the site itself), and its component: σ of
        the site's own error and `sigma`; rows that use the same value share its error.

    Raises:
        TanhengError: unknown sites, directions out of range, scales that differ.
    """
    o, direction = observations, np.asarray(wind_from, float)
    _known_sites(o, sectors)
    shared = any((c.groups[np.isin(o.groups, list(sectors))] != "").any() for c in o.components)
    if shared:
        raise TanhengError(
            "errors that the background site shares with others would be lost", got="components with groups",
            expected="independent errors", remedy="use differential, which takes differences of shared errors, or "
            "apply rules that are shared (calibration, scale) after the background",
        )  # fmt: skip
    with np.errstate(invalid="ignore"):
        bad = (direction < 0.0) | (direction > 360.0)
    angles = np.array(list(sectors.values()), float)
    if direction.shape != (len(o),) or bad.any() or ((angles < 0.0) | (angles > 360.0)).any() or not sigma >= 0.0:
        raise TanhengError("wind directions cannot be", got=f"shape {direction.shape}, {int(bad.sum())} out of range, "
                           f"sectors {dict(sectors)}, σ {sigma}", expected=f"({len(o)},) of 0…360°, σ ≥ 0",
                           remedy="give degrees from which the wind blows")  # fmt: skip
    chosen = np.full(len(o), -1)
    for site, (a, b) in sectors.items():
        blows = direction % 360.0
        inside = (blows >= a) & (blows < b) if a <= b else (blows >= a) | (blows < b)
        wanted = inside & ~np.isin(o.groups, list(sectors)) & (chosen < 0)
        found = _nearest(o, np.flatnonzero(o.groups == site), wanted, minutes)
        chosen = np.where(wanted, found, chosen)
    has = np.flatnonzero(chosen >= 0)
    _one_scale(o, has, chosen[has])
    own = np.sqrt(sum((np.where(c.groups == "", c.sigma, 0.0) ** 2 for c in o.components), np.zeros(len(o))))
    values, error = np.full(len(o), np.nan), np.full(len(o), np.nan)
    values[has], error[has] = o.values[chosen[has]], np.hypot(own[chosen[has]], sigma)
    names = np.full(len(o), "", dtype=object)
    names[has] = [
        f"{g} {t}" for g, t in zip(o.groups[chosen[has]], o.middle[chosen[has]].astype("datetime64[s]"), strict=True)
    ]
    return values, Component("background", error, names.astype(str))


def percentile(
    observations: Observations, q: float, days: float, sigma: float | None = None, least: int = 20
) -> Background:
    """A low percentile of each group's values in a running window.

    u² of the q-quantile from order statistics: half the distance between the quantiles at q ± √(q (1 − q)/n)
    (Wilks 1962; David & Nagaraja 2003, §7.1), or `sigma`.

    Args:
        observations: series; each group is one.
        q: 0…1, e.g. 0.05.
        days: width of the window centred on each value.
        sigma: standard uncertainty instead of that of the quantile; hours in a row make the latter too small.
        least: fewer values in the window give NaN.

    Returns:
        (n,) background and its component, shared by the values of a group in blocks of `days`.

    Raises:
        TanhengError: options out of range.
    """
    if not 0.0 < q < 1.0 or not days > 0.0 or least < 2:
        raise TanhengError("a percentile for a background cannot be", got=f"q {q}, {days} d, least {least}",
                           expected="0 < q < 1, days > 0, least ≥ 2", remedy="e.g. q 0.05 in 30 days")  # fmt: skip
    o = observations
    values, error = np.full(len(o), np.nan), np.full(len(o), np.nan)
    half = np.timedelta64(round(days * 43200e9), "ns")
    for group in np.unique(o.groups):
        rows = np.flatnonzero(o.groups == group)
        rows = rows[np.argsort(o.middle[rows], kind="stable")]
        t, y = o.middle[rows], o.values[rows]
        first, last = np.searchsorted(t, t - half), np.searchsorted(t, t + half, side="right")
        for row, i, j in zip(rows, first, last, strict=True):
            if j - i >= least:
                away = np.sqrt(q * (1.0 - q) / (j - i))
                low, values[row], high = np.quantile(y[i:j], np.clip([q - away, q, q + away], 0.0, 1.0))
                error[row] = 0.5 * (high - low) if sigma is None else sigma
    block = ((o.middle - o.middle.min()) // np.timedelta64(round(days * 86400e9), "ns")).astype(int)
    names = [f"{g} block {b}" for g, b in zip(o.groups, block, strict=True)]
    return values, Component.shared("background", error, np.array(names))


def curtain(observations: Observations, values, sigma) -> Background:
    """A background that a model gives along the boundary, or along the paths of particles.

    Args:
        observations: any set.
        values: (n,) in the unit and on the scale of the values.
        sigma: standard uncertainty, (n,) or one number; shared by all values of a UTC day.

    Raises:
        TanhengError: lengths that disagree.
    """
    values, error = np.asarray(values, float), np.broadcast_to(np.asarray(sigma, float), np.shape(values))
    if values.shape != (len(observations),):
        raise TanhengError("a background does not fit the observations", got=values.shape,
                           expected=(len(observations),), remedy="give one number per value")  # fmt: skip
    days = observations.middle.astype("datetime64[D]").astype(str)
    return values, Component.shared("background", error, days)


def subtract(observations: Observations, background: Background) -> Observations:
    """Enhancements: values less their background, whose error becomes a component; values without one are left out.

    Columns keep their kernels for the enhancement alone: x_a and y_a are zero, y = Σ h a x.
    """
    values, component = background
    known = np.isfinite(values) & np.isfinite(component.sigma)
    v = observations.vertical
    if v is not None:
        v = dataclasses.replace(v, prior=np.where(np.isnan(v.weights), np.nan, 0.0), prior_value=np.zeros(len(values)))
    with_error = observations.with_components(component).replace(
        values=np.where(known, observations.values - values, observations.values), vertical=v
    )
    return with_error.drop("background subtracted", {"no background": ~known})


def differential(
    observations: Observations, upwind_of: Mapping[str, str], minutes: float = 5.0, tolerance: float = 2000.0,
    kernels: float = 0.1,
) -> Observations:  # fmt: skip
    """Columns of a site less those of another at the same time.

    ΔX = X₁ − X₂:  errors of their own add in squares, those of one group in both subtract, |s₁ − s₂|: the offset of a
    scale is gone, and a bias that both instruments have alike. Differences with the same upwind value share its error.
    The operator is that of the mean kernel for the difference of two profiles, ΔX = Σ h a (x₁ − x₂), and the upwind
    place is in extra "upwind_lon", "upwind_lat".

    Args:
        observations: columns of all sites.
        upwind_of: site to the site that is subtracted from it.
        minutes: largest distance in time.
        tolerance: Pa by which pressures of one layer may differ.
        kernels: largest difference of the two averaging kernels.

    Returns:
        One row per pair, group "site − upwind"; values without partner are left out.

    Raises:
        TanhengError: unknown sites, no pair, scales or grids or kernels that differ.

    Reference: Chen et al. 2016, doi 10.5194/acp-16-8479-2016 (differential column measurements).
    """
    o = observations
    _known_sites(o, {*upwind_of, *upwind_of.values()})
    partner = np.full(len(o), -1)
    for site, other in upwind_of.items():
        found = _nearest(o, np.flatnonzero(o.groups == other), o.groups == site, minutes)
        partner = np.where(found >= 0, found, partner)
    judged = np.isin(o.groups, list(upwind_of))
    near = np.flatnonzero(partner >= 0)
    dropped = {"other sites": ~judged, f"no partner within {minutes:g} min": judged & (partner < 0)}
    if not near.size:
        return o.drop("differential columns", dropped)
    _one_scale(o, near, partner[near])
    pairs = np.stack([near, partner[near]], axis=1).ravel()
    plan = Plan(pairs, np.repeat(np.arange(near.size), 2), np.tile([1.0, -1.0], near.size))
    kept = o.drop("differential columns", dropped)
    causes = _named(o, np.bincount(pairs, minlength=len(o)) > 1)
    mine, other = o.groups[near], partner[near]
    return kept.replace(
        values=plan.sum(o.values), components=components(plan, causes),
        groups=np.array([f"{a} − {b}" for a, b in zip(mine, o.groups[other], strict=True)]),
        vertical=_difference(plan, o.vertical, tolerance, kernels),
        extra={**kept.extra, "upwind_lon": o.lon[other], "upwind_lat": o.lat[other]},
    )  # fmt: skip


def _named(o: Observations, several: np.ndarray) -> tuple[Component, ...]:
    """Own errors of values that enter several differences, as errors that these share."""
    if not several.any():
        return o.components
    names = np.full(len(o), "", dtype=object)
    times = o.middle[several].astype("datetime64[s]")
    names[several] = [f"{group} {time}" for group, time in zip(o.groups[several], times, strict=True)]
    return tuple(
        Component(c.cause, c.sigma, np.where(c.groups == "", names.astype(str), c.groups)) for c in o.components
    )


def _difference(plan: Plan, vertical: Vertical | None, tolerance: float, kernels: float) -> Vertical | None:
    """The mean operator without prior, after a check that the two agree."""
    if vertical is None:
        return None
    mean = columns(Plan(plan.rows, plan.targets, np.abs(plan.weights) / 2.0), vertical, tolerance)
    one, two = (vertical.kernel[plan.rows[i::2]] for i in (0, 1))
    worst = float(np.nanmax(np.abs(one - two), initial=0.0))
    if worst > kernels:
        raise TanhengError(
            "columns of a pair see the air differently", got=f"averaging kernels differ by up to {worst:.2g}",
            expected=f"≤ {kernels:g}", remedy="take pairs nearer in time, or invert both columns instead",
        )  # fmt: skip
    assert mean is not None
    empty = np.isnan(mean.weights)
    return dataclasses.replace(mean, prior=np.where(empty, np.nan, 0.0), prior_value=np.zeros(plan.size))

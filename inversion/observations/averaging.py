"""Means over hours, days or other windows, with the uncertainty that a mean of values in a row really has.

Errors of their own average down with the effective number of values, shared ones do not:

u²(ȳ) = (1/n_eff) Σ_i σ_i² / n  +  (Σ_i s_i / n)²,      n_eff = n² / Σ_ij ρ^(|t_i − t_j| / Δ)

For n values without gaps and n → ∞, n_eff → n (1 − ρ)/(1 + ρ) (Bayley & Hammersley 1946, doi 10.2307/2983560); the sum
itself is used because for a few hours with ρ near one that limit is less than one value.
"""

import itertools

import numpy as np

from inversion.observations.combining import Plan, columns, components, together
from inversion.observations.component import Component
from inversion.observations.observations import Observations, sift
from inversion.observations.record import Step
from transport.errors import TanhengError

# Causes whose error is in the scatter of the values; the others are errors of models.
_MEASURED = ("repeatability", "calibration", "scale conversion", "representativeness", "retrieval noise")
_HOURS = {"hour": 1.0, "day": 24.0, "week": 168.0}
GRIDS = ("refuse", "nearest")
# Degrees of freedom that the scatter pooled over all windows of a series counts for beside that of a window itself.
POOLED = 2.0
HIGHEST = 0.99  # of a correlation that is estimated: beyond, a window holds no information about it


def effective_number(times: np.ndarray, rho: float) -> float:
    """n_eff of values at times t in units of the lag whose correlation is ρ, n² / Σ_ij ρ^|t_i − t_j|.

    Args:
        times: (n,) ascending.
        rho: 0 ≤ ρ < 1.
    """
    pairs = running = 0.0
    for factor in (rho ** np.diff(times)).tolist():
        running = (running + 1.0) * factor
        pairs += running
    return len(times) ** 2 / (len(times) + 2.0 * pairs)


def autocorrelation(values: np.ndarray, windows: np.ndarray) -> float:
    """Correlation ρ of neighbours within windows, from deviations from the windows' means.

    r = Σ d_t d_t+1 / Σ d_t²  is biased low since means are taken out of n values; ρ is the one whose AR(1) process has
    this ratio of expectations (Kendall 1954, doi 10.1093/biomet/41.3-4.403, is the first order of this correction).

    Args:
        values: (n,) at equal steps.
        windows: (n,) label of the window of each; windows of fewer than three values say nothing.

    Returns:
        0 ≤ ρ ≤ 0.99.

    Raises:
        TanhengError: no window has three values, or nothing varies.
    """
    index, n = np.unique(windows, return_inverse=True, return_counts=True)[1:]
    use = n[index] >= 3
    d = values - (np.bincount(index, values) / n)[index]
    neighbours = use[1:] & (index[1:] == index[:-1])
    square = float(np.sum(d[use] ** 2))
    if not square > 0.0:
        raise TanhengError(
            "the correlation of neighbours cannot be estimated", got=f"windows of at most {n.max(initial=0)} values",
            expected="windows of three or more values in a row that vary", remedy="give rho",
        )  # fmt: skip
    ratio = float(np.sum((d[1:] * d[:-1])[neighbours])) / square
    sizes, many = np.unique(n[n >= 3], return_counts=True)
    low, high = 0.0, HIGHEST
    if _expected_ratio(sizes, many, high) <= ratio:
        return high
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _expected_ratio(sizes, many, middle) < ratio else (low, middle)
    return 0.5 * (low + high) if high > 1e-9 else 0.0


def _expected_ratio(sizes: np.ndarray, many: np.ndarray, rho: float) -> float:
    """E Σ d_t d_t+1 / E Σ d_t² of AR(1) values less their mean, over windows of several sizes."""
    cross = square = 0.0
    for n, count in zip(sizes.tolist(), many.tolist(), strict=True):
        k = np.arange(n)
        rows = (1.0 - rho ** (k + 1) + rho - rho ** (n - k)) / (1.0 - rho)  # Σ_j ρ^|k − j|
        total = rows.sum()
        square += count * (n - total / n)
        cross += count * np.sum(rho - (rows[1:] + rows[:-1]) / n + total / n**2)
    return cross / square


def mean(
    observations: Observations, window: str | float = "day", rho: float | None = None, coverage: float = 0.5,
    utc_offset: float | None = None, scatter: bool = True, grids: str = "refuse", tolerance: float = 1000.0,
) -> Observations:  # fmt: skip
    """Means per group, kind, inlet height and window; the windows of the values are united.

    The scatter s of the values beyond their stated errors becomes the component "representativeness",
    u² = max(s² − mean σ², 0) / n_eff, with s² of the window weighted with that of the whole series. It tends to s where
    neighbours are alike: what varies more slowly than the window is signal, which models resolve, and not scatter.

    Args:
        observations: a set.
        window: "hour", "day", "week", or hours; windows of a day or more are of local time, shorter ones of UTC.
        rho: correlation of neighbours in time; None: estimated for each series from windows without gaps.
        coverage: least number of values in a window, relative to the fullest window of the series.
        utc_offset: h of the local time; None: solar, by longitude (UTC where there is none).
        scatter: False where the model is averaged over the same values, so that their spread is no error.
        grids: "refuse" columns on different pressure grids, or take the operator of the "nearest" to the middle.
        tolerance: Pa within which pressure grids are the same.

    Returns:
        Means with extra "count", "effective_count" and "std_dev".

    Raises:
        TanhengError: options out of range; scales mixed in a window; grids that differ; no window is full enough.
    """
    o, width = observations, _width(window, rho, coverage, grids)
    series = np.unique(np.rec.fromarrays([o.groups, o.kinds, np.nan_to_num(o.height, nan=-1.0)]), return_inverse=True)[
        1
    ]
    labels = np.unique(np.rec.fromarrays([series, _bins(o, width, utc_offset)]), return_inverse=True)[1]
    counts = np.bincount(labels)
    fullest = np.zeros(series.max() + 1)
    np.maximum.at(fullest, series, counts[labels])
    thin = counts[labels] < coverage * fullest[series]
    keep, dropped = sift({f"windows with < {coverage:.0%} of the values of the fullest": thin}, len(o))
    if not keep.any():
        return o.take(keep, Step("mean", 0, dropped))
    order = np.argsort(o.middle, kind="stable")  # within each label the plan keeps this order
    plan = Plan.of(labels[order], keep[order])
    plan = Plan(order[plan.rows], plan.targets, plan.weights)
    steps = _lags(o, plan, series)
    n_eff, rhos = _effective(o, plan, steps, series, rho)
    means = plan.sum(o.values)
    causes = components(plan, o.components, plan.counts() / n_eff)
    deviation = np.bincount(plan.targets, (o.values[plan.rows] - means[plan.targets]) ** 2)
    if scatter:
        known = [c for c in o.components if c.cause in _MEASURED]
        own = sum((np.where(c.groups == "", np.nan_to_num(c.sigma) ** 2, 0.0) for c in known), np.zeros(len(o)))
        beyond = np.maximum(_variance(plan, deviation, series) - plan.sum(own), 0.0)
        causes = (*causes, Component.independent("representativeness", np.sqrt(beyond / n_eff)))
    start, end = plan.reduce(np.minimum, o.start), plan.reduce(np.maximum, o.end)
    away = np.abs((o.middle[plan.rows] - (start + (end - start) / 2)[plan.targets]).astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.where(plan.counts() > 1, np.sqrt(deviation / (plan.counts() - 1)), np.nan)
    what = f"mean over {window if isinstance(window, str) else f'{window:g} h'}: {int(keep.sum())} values → {plan.size}"
    return together(plan, o, {
        "values": means, "components": causes,
        "steps": (*o.steps, _step(what, plan.size, dropped, int(keep.sum()), rhos)),
        "vertical": columns(plan, o.vertical, tolerance, away if grids == "nearest" else None),
        "extra": {"count": plan.counts().astype(float), "effective_count": n_eff, "std_dev": sd},
    })  # fmt: skip


def _step(what: str, size: int, dropped, used: int, rhos: dict[str, float]) -> Step:
    """Values that went into a mean are counted as such, so that before = kept + left out holds."""
    shown = "; ".join(f"{name} ρ = {value:.2f}" for name, value in list(rhos.items())[:10])
    return Step(f"{what}; {shown}" if shown else what, size, (*dropped, ("united with others", used - size)))


def _width(window: str | float, rho: float | None, coverage: float, grids: str) -> float:
    """Hours of the window."""
    width = _HOURS.get(window, np.nan) if isinstance(window, str) else float(window)
    for good, what, got, expected in (
        (width > 0.0, "the window of a mean", window, f"{', '.join(_HOURS)} or hours > 0"),
        (rho is None or 0.0 <= rho < 1.0, "rho of a mean", rho, "0 ≤ ρ < 1, or None"),
        (0.0 <= coverage <= 1.0, "the coverage of a mean", coverage, "0…1"),
        (grids in GRIDS, "grids of a mean", grids, " or ".join(GRIDS)),
    ):
        if not good:
            raise TanhengError(f"{what} is out of range", got=got, expected=expected, remedy="correct the option")
    return width


def _bins(o: Observations, width: float, utc_offset: float | None) -> np.ndarray:
    """(n,) number of the window of each value."""
    shift = np.nan_to_num(o.lon) / 15.0 if utc_offset is None else utc_offset
    hours = (o.middle - np.datetime64("1970-01-01", "ns")) / np.timedelta64(1, "h")
    return np.floor((hours + (shift if width >= 24.0 else 0.0)) / width + 1e-9).astype(int)


def _lags(o: Observations, plan: Plan, series: np.ndarray) -> np.ndarray:
    """(k,) times in units of the median step of each series, in the order of the plan."""
    t = (o.middle[plan.rows] - o.middle.min()) / np.timedelta64(1, "h")
    own = series[plan.rows]
    inside = np.r_[False, np.diff(plan.targets) == 0]
    steps = np.ones(series.max() + 1)
    for one in np.unique(own[inside]):
        apart = np.diff(t, prepend=0.0)[inside & (own == one)]
        steps[one] = max(float(np.median(apart)), 1e-9)
    return t / steps[own]


def _effective(o, plan: Plan, lags: np.ndarray, series: np.ndarray, rho: float | None) -> tuple[np.ndarray, dict]:
    """(size,) n_eff, and the ρ of each series."""
    of_series, rhos = np.full(series.max() + 1, 0.0 if rho is None else rho), {}
    own = series[plan.rows]
    gap = np.r_[False, (np.diff(plan.targets) == 0) & (np.abs(np.diff(lags) - 1.0) > 0.01)]
    regular = (np.bincount(plan.targets, gap) == 0)[plan.targets]
    several = plan.counts()[plan.targets] > 1
    for one in np.unique(own[several]) if rho is None else ():
        rows = (own == one) & regular
        name = o.groups[plan.rows[np.flatnonzero(own == one)[0]]]
        try:
            of_series[one] = autocorrelation(
                _without_course(o.values[plan.rows[rows]], plan.targets[rows]), plan.targets[rows]
            )
        except TanhengError as error:
            raise TanhengError(
                f"{error.what}: {name}", got=error.got, expected=error.expected, remedy=error.remedy
            ) from error
        rhos[str(name)] = of_series[one]
    bounds = [*plan.starts.tolist(), plan.rows.size]
    n_eff = [effective_number(lags[i:j], float(of_series[own[i]])) for i, j in itertools.pairwise(bounds)]
    return np.array(n_eff), rhos


def _variance(plan: Plan, deviation: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(size,) variance of single values: of the window, with that of its series as POOLED degrees of freedom."""
    own, n = series[plan.first], plan.counts()
    total = np.bincount(own, deviation), np.bincount(own, n - 1.0)
    pooled = np.divide(*total, out=np.zeros_like(total[0]), where=total[1] > 0.0)[own]
    alone = np.divide(deviation, n - 1.0, out=np.zeros(n.size), where=n > 1)
    return ((n - 1.0) * alone + POOLED * pooled) / (n - 1.0 + POOLED)


def _without_course(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """(n,) values of windows in a row less the mean course within them, which a model sees as well.

    Windows of one length have a course of their own; fewer than ten of a length keep theirs.
    """
    starts = np.flatnonzero(np.r_[True, np.diff(windows) > 0])
    n = np.diff(np.r_[starts, windows.size])
    found = values.copy()
    for size in np.unique(n):
        at = starts[n == size]
        if at.size >= 10 and size > 1:
            rows = at[:, None] + np.arange(size)
            course = (values[rows] - values[rows].mean(axis=1, keepdims=True)).mean(axis=0)
            found[rows] = values[rows] - course
    return found

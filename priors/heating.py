"""Heating by degree days: more is burnt on days that are colder than a base temperature."""

import numpy as np

from priors.clock import Clock
from priors.profiles import Gridded
from transport.errors import TanhengError

COLDEST, WARMEST = 180.0, 340.0  # K, beyond any air on Earth


def heating(temperature: np.ndarray, first: np.datetime64, base: float, constant: float, clock: Clock) -> Gridded:
    """Weights of each local day by its heating degree days, with a share that does not know seasons.

    w = f + (1 − f) H / H̄,   H = max(T_base − T̄_day, 0),   H̄ the mean of H over the hours of the series

    A local day that the series cuts, as those at the ends of a year of UTC, has the H of the whole day beside it: the
    mean of a few hours is that of a night or a noon.

    Args:
        temperature: (n, ny, nx) air temperature at 2 m in K, hourly means; (n, 1, 1) for one series everywhere. Give
            whole years: H̄, and with it the meaning of f, is that of the series.
        first: start of the first hour, UTC, as datetime64 or text.
        base: T_base, K.
        constant: f, share of hot water and cooking in the emissions over the series, 0…1.
        clock: whose days are meant.

    Raises:
        TanhengError: temperatures that are not air temperatures in K or are of other cells than the clock, no whole
            local day, a start that is no time, a base or share out of range.

    Reference: degree days with a constant share as in Guevara et al. 2021, doi 10.5194/essd-13-367-2021.
    """
    t = np.asarray(temperature, dtype=float)
    if t.ndim != 3 or not t.size or not (np.isfinite(t).all() and t.min() > COLDEST and t.max() < WARMEST):
        raise TanhengError(
            "these are no air temperatures in K",
            got=f"shape {t.shape}" + (f", {t.min():.4g}…{t.max():.4g}" if t.size else ""),
            expected=f"(n, ny, nx) of {COLDEST:g}…{WARMEST:g} K", remedy="add 273.15 to degrees Celsius, fill gaps",
        )  # fmt: skip
    if not (COLDEST < base < WARMEST and 0 <= constant <= 1):
        raise TanhengError("degree days need a base temperature in K and a share", got=(base, constant),
                           expected=f"{COLDEST:g}…{WARMEST:g} K and 0…1", remedy="e.g. 288.15 K")  # fmt: skip
    dates, cuts = _days(first, len(t), clock)
    start = dates.min()
    days = int((dates.max() - start).astype(int)) + 1
    shape = _shape(clock, t.shape[1:])
    cells, t = np.broadcast_to(clock.cells, shape), np.broadcast_to(t, (len(t), *shape))
    weights = np.ones((days, *shape))
    for zone in range(len(clock.zones)):
        here = cells == zone
        day = (dates[:, zone] - start).astype(int)
        count = np.bincount(day, minlength=days)[:, None]
        total = np.zeros((days, np.count_nonzero(here)))
        np.add.at(total, day, t[:, here])
        degree = np.where(count > 0, np.maximum(base - total / np.maximum(count, 1), 0.0), 0.0)
        if cuts[0, zone]:
            degree[day[0]] = degree[day[0] + 1]
        if cuts[1, zone]:
            degree[day[-1]] = degree[day[-1] - 1]
        mean = (count * degree).sum(axis=0) / len(t)
        # A place without a cold day burns for hot water only.
        relative = np.divide(degree, mean, out=np.ones_like(degree), where=mean > 0)
        weights[:, here] = constant + (1.0 - constant) * relative
    return Gridded("date", weights, first=start)


def _days(first: np.datetime64 | str, n: int, clock: Clock) -> tuple[np.ndarray, np.ndarray]:
    """(n, zones) local date of each hour, and (2, zones) whether the first and the last day are cut."""
    try:
        begin = np.datetime64(str(first), "s")
    except ValueError as error:
        raise _no_start(first) from error
    if np.isnat(begin):
        raise _no_start(first)
    # One hour more at each end: a day is cut where it goes on there.
    dates = clock.local(begin + np.arange(-1, n + 1) * np.timedelta64(3600, "s")).date[:, 0]
    cuts = np.stack([dates[0] == dates[1], dates[-1] == dates[-2]])
    days = (dates[-2] - dates[1]).astype(int) + 1
    if (days - cuts.sum(axis=0) < 1).any():
        raise TanhengError("degree days need a whole day", got=f"{n} hours from {begin}",
                           expected="a whole local day in each zone", remedy="read whole years")  # fmt: skip
    return dates[1:-1], cuts


def _no_start(first) -> TanhengError:
    return TanhengError("the start of the temperatures is no time", got=repr(first), expected="datetime64 or its text",
                        remedy="write it as 2018-01-01T00")  # fmt: skip


def _shape(clock: Clock, places: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(clock.cells.shape, places)
    except ValueError as error:
        raise TanhengError(
            "temperatures and time zones are of other cells", got=f"{places} and {clock.cells.shape}",
            expected="one grid, or one series or zone for all", remedy="regrid one of them",
        ) from error  # fmt: skip

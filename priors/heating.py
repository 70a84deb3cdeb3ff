"""Heating by degree days: more is burnt on days that are colder than a base temperature."""

import numpy as np

from priors.clock import Clock
from priors.profiles import Gridded
from transport.errors import TanhengError

COLDEST, WARMEST = 180.0, 340.0  # K, beyond any air on Earth


def heating(temperature: np.ndarray, first: np.datetime64, base: float, constant: float, clock: Clock) -> Gridded:
    """Weights of each local day by its heating degree days, with a share that does not know seasons.

    w = f + (1 − f) H / H̄,   H = max(T_base − T̄_day, 0),   H̄ the mean of H over the hours of the series

    Args:
        temperature: (n, ny, nx) air temperature at 2 m in K, hourly means; (n, 1, 1) for one series everywhere. Give
            whole years: H̄, and with it the meaning of f, is that of the series.
        first: start of the first hour, UTC.
        base: T_base, K.
        constant: f, share of hot water and cooking in the emissions over the series, 0…1.
        clock: whose days are meant.

    Raises:
        TanhengError: temperatures that are not air temperatures in K, a base or share out of range.

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
    dates = clock.local(first.astype("datetime64[s]") + np.arange(len(t)) * np.timedelta64(3600, "s")).date[:, 0]
    start = dates.min()
    days = int((dates.max() - start).astype(int)) + 1
    shape = np.broadcast_shapes(clock.cells.shape, t.shape[1:])
    cells, t = np.broadcast_to(clock.cells, shape), np.broadcast_to(t, (len(t), *shape))
    weights = np.ones((days, *shape))
    for zone in range(len(clock.zones)):
        here = cells == zone
        day = (dates[:, zone] - start).astype(int)
        count = np.bincount(day, minlength=days)[:, None]
        total = np.zeros((days, np.count_nonzero(here)))
        np.add.at(total, day, t[:, here])
        degree = np.where(count > 0, np.maximum(base - total / np.maximum(count, 1), 0.0), 0.0)
        mean = (count * degree).sum(axis=0) / len(t)
        # A place without a cold day burns for hot water only.
        relative = np.divide(degree, mean, out=np.ones_like(degree), where=mean > 0)
        weights[:, here] = constant + (1.0 - constant) * relative
    return Gridded("date", weights, first=start)

"""Times of gridded files and the periods that they stand for."""

import re

import numpy as np

from inversion.observations.readers.files import NetCDF, check_calendar, seconds_since
from transport.errors import TanhengError

SECONDS = {"days": 86400.0, "day": 86400.0, "hours": 3600.0, "hour": 3600.0, "minutes": 60.0, "seconds": 1.0}
_EPOCH = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d(?::\d\d){0,2}))?(?:\.0*)?\s*(?:Z|UTC|GMT|\+?00?:?00)?")
DAY = np.timedelta64(1, "D")


def times_of(nc: NetCDF, name: str = "time") -> np.ndarray:
    """(n,) datetime64[s] of a time axis with units "… since …", increasing.

    Raises:
        TanhengError: no such axis or unit, another zone than UTC or calendar than ours, times that are missing, do not
            increase or cannot be.
    """
    unit, _, epoch = nc.text("units", of=name).partition(" since ")
    seconds = SECONDS.get(unit.strip().lower())
    try:
        match = _EPOCH.fullmatch(epoch.strip())
        start = np.datetime64(f"{match[1]}T{match[2] or '00'}" if match else "NaT", "s")
    except ValueError:
        start = np.datetime64("NaT", "s")
    if seconds is None or np.isnat(start):
        raise _wrong(nc, f"unit {unit!r} since {epoch!r}", "days, hours, minutes or seconds since a date, UTC")
    check_calendar(nc, name, start)
    numbers = nc.numbers(name, (name,)) * seconds
    times = seconds_since(str(start), numbers, nc.name).astype("datetime64[s]")
    if not times.size or np.isnat(times).any() or not (np.diff(times) > np.timedelta64(0, "s")).all():
        raise _wrong(nc, f"{times.size} times, {np.count_nonzero(np.isnat(times))} missing", "increasing times")
    return times


def calendar(times: np.ndarray, unit: str, nc: NetCDF) -> np.ndarray:
    """(n+1,) edges of the calendar months ("M") or days ("D") that hold each time, which must follow each other.

    Raises:
        TanhengError: two times in one of them, or one that lacks.
    """
    period = times.astype(f"datetime64[{unit}]")
    if not (np.diff(period).astype(int) == 1).all():
        raise _wrong(nc, f"{times[0]}…{times[-1]}, {times.size} times", "one in each month or day")
    return np.append(period, period[-1] + 1).astype("datetime64[s]")


def around(times: np.ndarray, nc: NetCDF) -> np.ndarray:
    """(n+1,) edges half-way between instants in even steps.

    Raises:
        TanhengError: fewer than two, or uneven.
    """
    steps = np.diff(times)
    if times.size < 2 or not (steps == steps[0]).all():
        raise _wrong(nc, f"{times.size} times", "two or more in even steps")
    return np.append(times - steps[0] / 2, times[-1] + steps[0] / 2).astype("datetime64[s]")


def _wrong(nc: NetCDF, got: str, expected: str) -> TanhengError:
    return TanhengError(f"the times of {nc.name} cannot be used", got=got, expected=expected,
                        remedy="use the file as its makers published it")  # fmt: skip

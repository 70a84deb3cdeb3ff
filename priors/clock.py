"""Local time of the cells of a grid: month, weekday and hour on the clock that people live by."""

import dataclasses
import datetime
import functools
import re
import zoneinfo
from collections.abc import Mapping, Sequence

import numpy as np

from transport.errors import TanhengError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# All time zones of the world have differed from UTC by multiples of a quarter of an hour since 1972.
QUARTERS = 4
Zone = str | float


@functools.lru_cache(maxsize=256)
def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The rules of an IANA time zone, of the machine or of the package tzdata.

    Raises:
        TanhengError: there is none of this name.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise TanhengError(
            "unknown time zone", got=name, expected="a name of the IANA data base, as Europe/Berlin or Asia/Shanghai",
            remedy="correct the name, or give local minus universal time in hours",
        ) from error  # fmt: skip


def offsets(zone: Zone, quarters: np.ndarray) -> np.ndarray:
    """Local minus universal time (timedelta64[s]) at times in UTC, with summer time where the zone has it."""
    if not isinstance(zone, str):
        return np.full(quarters.shape, np.timedelta64(round(3600 * zone), "s"))
    rules, seconds = zone_of(zone), quarters.astype("datetime64[s]").astype(np.int64)
    utc = [datetime.datetime.fromtimestamp(s, datetime.UTC).astimezone(rules).utcoffset() for s in seconds.tolist()]
    return np.array([0 if o is None else round(o.total_seconds()) for o in utc]).astype("timedelta64[s]")


@dataclasses.dataclass(frozen=True)
class Local:
    """The local clock of some hours of UTC, in quarters: all (hours, 4, zones).

    Args:
        month: 0…11.
        day: 0 Monday … 6 Sunday, holidays as the day that they are treated as.
        hour: 0…23.
        date: datetime64[D].
    """

    month: np.ndarray
    day: np.ndarray
    hour: np.ndarray
    date: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Clock:
    """Time zones of the cells, and days that are not what their weekday says.

    Args:
        zones: IANA names, or local minus universal time in hours (multiples of a quarter, without summer time).
        index: (ny, nx) zone of each cell; None for one zone everywhere.
        holidays: local dates "2018-12-25" for all zones, or by zone, those without one having none.
        holiday_as: weekday whose weights holidays have.

    Raises:
        TanhengError: an unknown zone or weekday, holidays of another zone, a date that is none, an index outside the
            zones.
    """

    zones: tuple[Zone, ...]
    index: np.ndarray | None = None
    holidays: Sequence[str] | Mapping[Zone, Sequence[str]] = ()
    holiday_as: str = "sunday"

    def __post_init__(self):
        if isinstance(self.zones, str) or not np.iterable(self.zones):
            raise TanhengError("the time zones are no list", got=repr(self.zones), expected="one or more zones",
                               remedy='write one as ("Europe/Berlin",)')  # fmt: skip
        for zone in self.zones:
            number = isinstance(zone, int | float | np.number)
            if isinstance(zone, str):
                zone_of(zone)
            elif not number or not (-12 <= zone <= 14 and float(zone * QUARTERS).is_integer()):
                raise TanhengError("an offset of local time is out of range", got=zone, expected="-12…14 h in quarters",
                                   remedy="give local minus universal time in hours, or a zone's name")  # fmt: skip
        index = np.zeros((1, 1), int) if self.index is None else np.asarray(self.index)
        whole = index.ndim == 2 and index.dtype.kind in "iu" and np.isin(index, np.arange(len(self.zones))).all()
        if not whole or not index.size or (self.index is None and len(self.zones) != 1):
            raise TanhengError(
                "the time zones of the cells do not fit", got=f"{len(self.zones)} zones, index {index.shape}",
                expected=f"one zone, or (ny, nx) integers 0…{len(self.zones) - 1}",
                remedy="give the number of each cell's zone",
            )  # fmt: skip
        if self.holiday_as not in WEEKDAYS:
            raise TanhengError("unknown weekday", got=self.holiday_as, expected=", ".join(WEEKDAYS),
                               remedy="name the day whose weights holidays have")  # fmt: skip
        strange = set(self.holidays) - set(self.zones) if isinstance(self.holidays, Mapping) else set()
        if strange:
            raise TanhengError("holidays are of a zone that is none of the clock's", got=", ".join(map(str, strange)),
                               expected=", ".join(map(str, self.zones)), remedy="write the zone as there")  # fmt: skip
        for zone in self.zones:
            self._dates(zone)

    def _dates(self, zone: Zone) -> np.ndarray:
        dates = self.holidays.get(zone, ()) if isinstance(self.holidays, Mapping) else self.holidays
        try:
            # NumPy would read 2018 as a day of 1975, and 2018-12 as the first of December.
            wrong = [d for d in dates if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", str(d))]
            if wrong:
                raise ValueError(", ".join(map(repr, wrong)))
            return np.array([np.datetime64(str(d), "D") for d in dates], dtype="datetime64[D]")
        except (ValueError, TypeError) as error:
            raise TanhengError("a holiday is not a date", got=str(error), expected="a list of year-month-day",
                               remedy="write it as 2018-12-25") from error  # fmt: skip

    @property
    def cells(self) -> np.ndarray:
        """(ny, nx) zone of each cell; (1, 1) for one zone everywhere."""
        return np.zeros((1, 1), int) if self.index is None else np.asarray(self.index)

    def local(self, hours: np.ndarray) -> Local:
        """The local clock of hours that start at these times.

        Args:
            hours: (n,) datetime64, UTC.
        """
        quarter = np.timedelta64(900, "s")
        start = hours.astype("datetime64[s]")[:, None] + quarter * np.arange(QUARTERS)
        month, day, hour, date = [], [], [], []
        for zone in self.zones:
            # Summer time begins and ends on a quarter, so what holds at its start holds all through it.
            local = start + offsets(zone, start.ravel()).reshape(start.shape)
            dates = local.astype("datetime64[D]")
            weekday = (dates.astype(int) + 3) % 7  # the epoch was a Thursday
            date.append(dates)
            month.append(local.astype("datetime64[M]").astype(int) % 12)
            hour.append((local - dates).astype("timedelta64[h]").astype(int))
            day.append(np.where(np.isin(dates, self._dates(zone)), WEEKDAYS.index(self.holiday_as), weekday))
        return Local(*(np.stack(a, axis=-1) for a in (month, day, hour, date)))

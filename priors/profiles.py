"""From annual or monthly means to hours: weights of month, weekday, hour and cold, whose mean is one.

rate(t, cell) = mean rate of the period · w(t, cell) / w̄(cell),   w = Π_i w_i,   w̄ the mean of w over the period

The division makes the mean over each period of the inventory what it was, for each sector and cell, whatever the
calendar: leap years, holidays and summer time are in w̄.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from inversion.observations.record import Source, Step
from priors.clock import Clock
from priors.inventory import Inventory
from transport.errors import TanhengError

HOUR = np.timedelta64(3600, "s")
BLOCK = 24 * 7  # hours that are worked on at a time
# A month-of-year weight has no meaning in an inventory that already tells months apart.
LONGEST_MONTH = np.timedelta64(32, "D")
TOLERANCE = 0.01  # deviation of a profile's mean from one that is rounding of a printed table (EMEP refuses the same)


def unit_mean(weights: np.ndarray, what: str, axis: int = -1) -> tuple[np.ndarray, float]:
    """Weights whose mean along an axis is one, and how far it was from that.

    Raises:
        TanhengError: negative or missing weights, or a mean that differs from one by more than 1 %.
    """
    weights = np.asarray(weights, dtype=float)
    mean = weights.mean(axis=axis, keepdims=True)
    worst = float(np.abs(mean - 1.0).max()) if weights.size else np.inf
    if not (np.isfinite(weights).all() and (weights >= 0).all() and worst <= TOLERANCE):
        raise TanhengError(
            f"the weights of {what} are no profile",
            got=f"mean off by {worst:.3g}, lowest {weights.min() if weights.size else np.nan:.3g}",
            expected="none negative, mean one to 1 %", remedy="correct the table; shares must be multiplied by their "
            "number first",
        )  # fmt: skip
    return weights / mean, worst


class Weight(Protocol):
    """Anything that says how much more is emitted in an hour than on average."""

    @property
    def source(self) -> Source | None:
        """File that it was read from."""
        ...

    def at(self, hours: np.ndarray, clock: Clock, yearly: bool) -> np.ndarray:
        """Weights of hours.

        Args:
            hours: (n,) datetime64, starts, UTC.
            clock: local time.
            yearly: False where the inventory itself tells months apart.

        Returns:
            (n, ny, nx), or 1 in place of ny and nx where all cells are alike.
        """
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Profile:
    """Weights by month, weekday and hour of local time, the same in all cells.

    Args:
        table: (12, 7, 24) of weekday times hour, by month; Monday first, hour 0 first.
        months: (12,) January first.
        source: file that it was read from.
    """

    table: np.ndarray
    months: np.ndarray
    source: Source | None = None

    @classmethod
    def of(cls, month=None, week=None, day=None, source: Source | None = None) -> "Profile":
        """A product of weights, those that are missing being one.

        Args:
            month: (12,) January first.
            week: (7,) Monday first.
            day: (24,) from midnight, or (7, 24) by weekday, or (12, 7, 24) by month and weekday.
            source: file that they were read from.

        Raises:
            TanhengError: other shapes, negative weights, a mean that is not one to 1 %.
        """
        parts, notes = [], []
        for values, shapes, name in (
            (month, ((12,),), "months"), (week, ((7,),), "weekdays"), (day, ((24,), (7, 24), (12, 7, 24)), "hours"),
        ):  # fmt: skip
            values = np.ones(shapes[0]) if values is None else np.asarray(values, dtype=float)
            if values.shape not in shapes:
                raise TanhengError(f"the weights of {name} have a wrong shape", got=values.shape, expected=shapes[0],
                                   remedy="give one weight for each")  # fmt: skip
            values, worst = unit_mean(values, name)
            parts.append(values)
            if worst > 1e-9:
                notes.append(f"{name} renormalised, mean off by up to {worst:.2g}")
        if source is not None:
            source = dataclasses.replace(source, notes=(*source.notes, *notes))
        months, weekdays, hours = parts
        return cls(weekdays[:, None] * np.broadcast_to(hours, (12, 7, 24)), months, source)

    def at(self, hours: np.ndarray, clock: Clock, yearly: bool) -> np.ndarray:
        """(n, 1 or ny, 1 or nx) mean over the quarters of each hour."""
        local = clock.local(hours)
        weights = self.table[local.month, local.day, local.hour]
        if yearly:
            weights = weights * self.months[local.month]
        return weights.mean(axis=1)[:, clock.cells]


@dataclasses.dataclass(frozen=True, eq=False)
class Gridded:
    """Weights that differ between cells, by one unit of the calendar.

    Args:
        unit: "month" (12), "weekday" (7), "hour" (24) or "date" (n).
        weights: (n, ny, nx) of mean one over the unit's cycle.
        universal: True where the table counts in UTC, False for local time.
        first: for "date": the day of the first weight.
        source: file that it was read from.

    Raises:
        TanhengError: another number of weights than the unit has, or negative ones.
    """

    unit: str
    weights: np.ndarray
    universal: bool = False
    first: np.datetime64 | None = None
    source: Source | None = None

    def __post_init__(self):
        number = np.shape(self.weights)[:1]
        count = {"month": (12,), "weekday": (7,), "hour": (24,), "date": number}.get(self.unit)
        good = np.ndim(self.weights) == 3 and bool(np.isfinite(self.weights).all() and (self.weights >= 0).all())
        begins = isinstance(self.first, np.datetime64) if self.unit == "date" else self.first is None
        if count != number or not good or not begins:
            raise TanhengError(
                "gridded weights do not fit", got=f"{np.shape(self.weights)} for {self.unit}, first {self.first}",
                expected="(12, 7, 24 or days; ny; nx) of month, weekday, hour or date, none negative; first for dates",
                remedy="build them with the reader of their format",
            )  # fmt: skip

    def at(self, hours: np.ndarray, clock: Clock, yearly: bool) -> np.ndarray:
        """(n, ny, nx)."""
        if self.unit == "month" and not yearly:
            return np.ones((len(hours), 1, 1))
        local = (Clock((0.0,)) if self.universal else clock).local(hours)
        unit = {"month": local.month, "weekday": local.day, "hour": local.hour}.get(self.unit)
        if unit is None:
            unit = (local.date - self.first).astype("timedelta64[D]").astype(int)
            if unit.min() < 0 or unit.max() >= len(self.weights):
                raise TanhengError(
                    "daily weights do not cover the period", got=f"{local.date.min()}…{local.date.max()}",
                    expected=f"{self.first} and {len(self.weights) - 1} days more",
                    remedy="read the years that you need",
                )  # fmt: skip
        if (unit == unit[:, :1]).all():  # no half hours: one quarter tells it all
            unit = unit[:, :1]
        if unit.shape[2] == 1:
            return np.mean([self.weights[unit[:, q, 0]] for q in range(unit.shape[1])], axis=0)
        cells = clock.cells
        shape = np.broadcast_shapes(cells.shape, self.weights.shape[1:])
        zone, weights = np.broadcast_to(cells, shape), np.broadcast_to(self.weights, (len(self.weights), *shape))
        row, column = np.arange(shape[0])[:, None], np.arange(shape[1])
        return np.mean([weights[unit[:, q][:, zone], row, column] for q in range(unit.shape[1])], axis=0)


def hourly(
    inventory: Inventory, weights: Mapping[str, Sequence[Weight]], clock: Clock,
    during: tuple[np.datetime64, np.datetime64] | None = None,
) -> Inventory:  # fmt: skip
    """An inventory by the hour, the mean of each of its own periods conserved in each sector and cell to 1e-12.

    Weights of months are left out where the periods are months themselves.

    Args:
        inventory: of annual or monthly means, its periods starting on full hours.
        weights: of each sector, multiplied; () for a constant rate. Every sector must be named.
        clock: time zones and holidays.
        during: hours to give, by default all; the mean is that of the whole period in any case.

    Raises:
        TanhengError: a sector without weights or weights without sector, periods that do not start on full hours,
            hours outside the inventory, weights or time zones of other cells, weights that vanish all through a period
            where something is emitted.
    """
    wrong = sorted(set(inventory.sectors) ^ set(weights))
    if wrong:
        raise TanhengError(
            "sectors and profiles do not fit", got=f"only on one side: {', '.join(wrong)}",
            expected=f"weights for each of {', '.join(inventory.sectors)}", remedy="give () for a constant rate",
        )  # fmt: skip
    _fit(inventory, weights, clock)
    start, end = _window(inventory, during)
    hours = np.arange(start, end, HOUR)
    rate = np.empty((len(inventory.sectors), len(hours), *inventory.grid.shape))
    for i, (first, last) in enumerate(zip(inventory.times[:-1], inventory.times[1:], strict=True)):
        rows = np.flatnonzero((hours >= first) & (hours < last))
        if rows.size:
            yearly = bool(last - first > LONGEST_MONTH)
            every = np.arange(first, last, HOUR)
            for s, sector in enumerate(inventory.sectors):
                _spread(rate[s], rows, hours, inventory.rate[s, i], weights[sector], clock, every, yearly, sector)
    whole = (start, end) == (inventory.times[0], inventory.times[-1])
    step = Step(
        "hourly by profiles, mean of each period conserved" + ("" if whole else ", part of the hours"), len(hours)
    )
    sources = {w.source: None for s in inventory.sectors for w in weights[s] if w.source is not None}
    return dataclasses.replace(
        inventory, rate=rate, times=np.append(hours, hours[-1] + HOUR), steps=(*inventory.steps, step),
        sources=(*inventory.sources, *sources),
    )  # fmt: skip


def _fit(inventory: Inventory, weights: Mapping[str, Sequence[Weight]], clock: Clock) -> None:
    single = [s for s, ws in weights.items() if not isinstance(ws, Sequence)]
    if single:
        raise TanhengError("the weights of a sector are no list", got=", ".join(single), expected="one or more weights",
                           remedy="write one as [profile]")  # fmt: skip
    shapes = {"time zones": clock.cells.shape}
    shapes |= {
        f"weights of {s}": w.weights.shape[1:] for s, ws in weights.items() for w in ws if isinstance(w, Gridded)
    }
    for what, shape in shapes.items():
        if any(n not in (1, m) for n, m in zip(shape, inventory.grid.shape, strict=True)):
            raise TanhengError(f"the {what} are of other cells than the inventory", got=shape,
                               expected=inventory.grid.shape, remedy="give them on its grid")  # fmt: skip


def _window(inventory: Inventory, during) -> tuple[np.datetime64, np.datetime64]:
    times = inventory.times
    try:
        start, end = (times[0], times[-1]) if during is None else (np.datetime64(t, "s") for t in during)
    except (ValueError, TypeError) as error:
        raise TanhengError("the hours that are asked for are no times", got=repr(during), expected="a first and a last",
                           remedy='write them as ("2018-07-01", "2018-07-08")') from error  # fmt: skip
    whole = ((np.append(times, [start, end]) - np.datetime64(0, "s")) % HOUR == np.timedelta64(0, "s")).all()
    if not whole or not times[0] <= start < end <= times[-1]:
        raise TanhengError(
            "the hours do not fit the inventory", got=f"{start}…{end}",
            expected=f"full hours within {times[0]}…{times[-1]}",
            remedy="ask for hours of its periods, which must start on full hours",
        )  # fmt: skip
    return start, end


def _blocks(hours: np.ndarray) -> list[np.ndarray]:
    return [hours[i : i + BLOCK] for i in range(0, len(hours), BLOCK)]


def _product(weights: Sequence[Weight], hours: np.ndarray, clock: Clock, yearly: bool) -> np.ndarray:
    product = np.ones((len(hours), 1, 1))
    for weight in weights:
        product = product * weight.at(hours, clock, yearly)
    return product


def _spread(out, rows, hours, mean, weights, clock, every, yearly, sector) -> None:
    """Fill the rows of one sector (nt, ny, nx) that lie in one period with hours `every`."""
    total = sum(_product(weights, block, clock, yearly).sum(axis=0) for block in _blocks(every))
    average = np.broadcast_to(np.asarray(total) / len(every), mean.shape)
    if ((average <= 0) & (mean != 0)).any():
        raise TanhengError(
            f"the weights of {sector} vanish all through a period in which it emits", got=f"{every[0]}…{every[-1]}",
            expected="some hour above zero",
            remedy="give heating a share that does not depend on cold, or another profile",
        )  # fmt: skip
    scale = np.divide(mean, average, out=np.zeros_like(mean), where=average > 0)
    for part in _blocks(rows):
        out[part] = _product(weights, hours[part], clock, yearly) * scale

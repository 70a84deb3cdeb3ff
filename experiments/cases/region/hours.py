"""The window by the hour: periods of a file brought to the window's own months or years, weights, vegetation."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments import schema
from experiments.cases.region.inventories import Part
from experiments.data import locate
from inversion.observations.readers.files import lines_of
from priors import biosphere, synthetic
from priors.clock import Clock
from priors.domain import overlap
from priors.heating import heating
from priors.inventory import Inventory
from priors.profiles import LONGEST_MONTH, Profile, Weight, hourly
from transport.constants import ZERO_CELSIUS
from transport.errors import TanhengError
from transport.grid import Grid

Window = tuple[np.datetime64, np.datetime64]
YEAR = np.timedelta64(360, "D")  # a sum of periods that may stand for a year
DAY = np.timedelta64(1, "D")


@dataclasses.dataclass(frozen=True, eq=False)
class Brought:
    """A part whose periods hold all of the window.

    Args:
        part: with the periods of the window.
        whole_year: whether its mean is that of whole years.
        period: of the file, in words.
        note: which year or month stands for which, "" for its own.
    """

    part: Part
    whole_year: bool
    period: str
    note: str = ""


def window_of(case: schema.RegionCase) -> Window:
    """Start and end, UTC."""
    start = np.datetime64(case.start.replace(" ", "T"), "h")
    return start, start + np.timedelta64(24 * case.days, "h")


def brought(part: Part, window: Window) -> Brought:
    """The part with periods that hold the window: its own, else the same months, else whole years, of another year.

    Raises:
        TanhengError: the file holds neither the window, nor its months, nor a year.
    """
    inventory = part.inventory
    times = inventory.times
    whole = window[0].astype("M8[Y]").astype("M8[h]"), ((window[1] - 1).astype("M8[Y]") + 1).astype("M8[h]")
    period, inside = _words(times), times[0] <= window[0] and window[1] <= times[-1]
    if not inside:
        for unit in ("M", "Y") if np.diff(times).max() <= LONGEST_MONTH else ("Y",):
            for asked, yearly in ((whole, True), (window, False)):
                found = _mapped(inventory, asked, unit)
                if found is not None:
                    note = f"{part.names}: {found[1]}"
                    moved = dataclasses.replace(part, inventory=found[0])
                    return Brought(moved, yearly or unit == "Y", period, note)
        raise TanhengError(
            f"{part.names} does not hold the time of the window", got=period,
            expected=f"{window[0]} … {window[1]}, or the same months of another year, or 360 days at least",
            remedy="set case.start and case.days so that the file holds them, or take a file of a year",
        )  # fmt: skip
    # Whole years where the file has them, otherwise no more than is needed.
    first, last = (w.astype("M8[s]") for w in whole)
    yearly = bool(times[0] <= first and last <= times[-1])
    low, high = (first, last) if yearly else window
    keep = np.flatnonzero((times[1:] > low) & (times[:-1] < high))
    cut = dataclasses.replace(inventory, rate=inventory.rate[:, keep], times=times[keep[0] : keep[-1] + 2])
    return Brought(dataclasses.replace(part, inventory=cut), yearly, period)


def _words(times: np.ndarray) -> str:
    """Years, months or days where the edges are theirs: 2012, 2012-06, 2018-01-01T00 … 2018-01-01T02."""
    for unit in ("Y", "M", "D"):
        edges = times[[0, -1]].astype(f"M8[{unit}]")
        if (edges.astype("M8[s]") == times[[0, -1]]).all():
            last = edges[1] - 1
            return str(edges[0]) if last == edges[0] else f"{edges[0]} … {last}"
    return f"{times[0].astype('M8[h]')} … {times[-1].astype('M8[h]')}"


def _mapped(inventory: Inventory, asked: Window, unit: str) -> tuple[Inventory, str] | None:
    """Months or years of the file in place of those that hold a time; None where one is missing."""
    times = inventory.times
    wanted = np.arange(asked[0].astype(f"M8[{unit}]"), (asked[1] - 1).astype(f"M8[{unit}]") + 1)
    first, last = times[0].astype(f"M8[{unit}]"), times[-1].astype(f"M8[{unit}]")
    held = np.arange(first + (first.astype("M8[s]") < times[0]), last)
    step, taken = 12 if unit == "M" else 1, []
    for w in wanted:
        like = held[(held - w).astype(int) % step == 0]
        if like.size:
            taken.append(like[np.argmin(np.abs((like - w).astype(int)))])
    edges = np.append(wanted, wanted[-1] + 1)
    if len(taken) == len(wanted):
        share = np.concatenate([overlap(times, np.array([t, t + 1]).astype("M8[s]")) for t in taken])
        moved = [f"{t} stands for {w}" for t, w in zip(taken, wanted, strict=True) if t != w]
        text = "; ".join(moved) if len(moved) <= 2 else f"{moved[0]}, …, {moved[-1]}"
    elif unit == "Y" and times[-1] - times[0] >= YEAR:
        share = np.repeat(overlap(times, times[[0, -1]]), len(wanted), axis=0)
        text = f"the mean of {_words(times)} stands for {', '.join(map(str, wanted))}"
    else:
        return None
    rate = np.einsum("styx,wt->swyx", inventory.rate, share)
    return dataclasses.replace(inventory, rate=rate, times=edges.astype("M8[s]")), text


def clock_of(case: schema.RegionCase) -> Clock:
    """Local time with its holidays.

    Raises:
        TanhengError: an unknown time zone, a holiday that is no date.
    """
    return Clock((case.time_zone,), holidays=tuple(case.holidays))


def weights_of(prior: schema.InventoryPrior, sectors: Sequence[str], clock: Clock, inputs: dict[str, str]):
    """The weights of each sector that has some.

    Raises:
        TanhengError: a profile or degree days of a sector that is not there, weights that cannot be.
    """
    weights: dict[str, list[Weight]] = {}
    for option in ("profiles", "heating"):
        missing = [e.sector for e in getattr(prior, option) if e.sector not in sectors]
        if missing:
            raise TanhengError(
                f"prior.{option} names a sector that is not there", got=", ".join(missing),
                expected=", ".join(sectors), remedy=f"correct prior.{option}[].sector; vegetation has its own weather",
            )  # fmt: skip
    for p in prior.profiles:
        weights.setdefault(p.sector, []).append(Profile.of(p.month or None, p.week or None, p.day or None))
    for h in prior.heating:
        path, inputs[h.file] = locate(h.file)
        dates, celsius = _temperatures(path)
        first, hours = _local_hours(dates, clock)
        kelvin = (celsius + ZERO_CELSIUS)[hours][:, None, None]
        weights.setdefault(h.sector, []).append(
            heating(kelvin, first, h.base_celsius + ZERO_CELSIUS, h.constant, clock)
        )
    return weights


def _temperatures(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Days and their mean temperature in °C, of a CSV with the columns date and celsius."""
    rows = list(csv.DictReader(lines_of(path)))
    try:
        dates = np.array([row["date"] for row in rows], "M8[D]")
        celsius = np.array([float(row["celsius"]) for row in rows])
    except (KeyError, ValueError, TypeError) as error:
        raise TanhengError(
            f"{path.name} is no table of daily temperatures", got=f"{type(error).__name__}: {error}",
            expected="columns date (2022-06-06) and celsius", remedy="correct prior.heating[].file",
        ) from error  # fmt: skip
    good = dates.size and (np.diff(dates) == DAY).all() and (np.abs(celsius) < 65).all()
    if not good:
        raise TanhengError(
            f"{path.name} is no table of daily temperatures", got=f"{dates.size} days",
            expected="one row for each day, one after the other, −65…65 °C", remedy="correct prior.heating[].file",
        )  # fmt: skip
    return dates, celsius


def _local_hours(dates: np.ndarray, clock: Clock) -> tuple[np.datetime64, np.ndarray]:
    """First hour (UTC) and the row of the day of every hour, by the local clock."""
    hours = np.arange((dates[0] - DAY).astype("M8[h]"), (dates[-1] + 2 * DAY).astype("M8[h]"))
    row = (clock.local(hours).date[:, 0, 0] - dates[0]).astype(int)
    inside = np.flatnonzero((row >= 0) & (row < dates.size))
    return hours[inside[0]], row[inside]


def by_the_hour(part: Brought, weights: dict[str, list[Weight]], clock: Clock, window: Window) -> Inventory:
    """The window's hours of one part."""
    inventory = part.part.inventory
    return hourly(inventory, {s: weights.get(s, []) for s in inventory.sectors}, clock, window)


def vegetation(case: schema.RegionCase, prior: schema.InventoryPrior, grid: Grid, times: np.ndarray) -> Inventory:
    """Uptake and respiration under generated weather; SYNTHETIC.

    Raises:
        TanhengError: another species than CO2, an unknown class, shares that are more than the area.
    """
    if prior.species != "CO2":
        raise TanhengError(
            "vegetation exchanges CO2 only", got=prior.species, expected="CO2", remedy="set prior.vegetation=null"
        )
    cover = prior.vegetation or {}
    parameters, classes, drivers = synthetic.vegetation_drivers(grid, times, cover, case.longitude)
    return biosphere.inventory(parameters, classes, drivers, grid, times)

"""Hourly CO2 of power plant units as the US EPA publishes it (CAMPD): mass by hour in short tons, by local clock."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inversion.observations.readers.columns import Columns
from inversion.observations.readers.files import lines_of, source_of
from priors.hourly_table import csv_table, on_the_clock
from priors.point_sources import PointSource
from priors.series import Series
from transport.constants import SECONDS_PER_HOUR
from transport.errors import TanhengError

KILOGRAMS_PER_SHORT_TON = 907.18474  # exact: 2000 lb of 0.45359237 kg
METRES_PER_FOOT = 0.3048
HEAVIEST = 10_000.0  # short tons per hour; the largest units emit about 1500
WEST_OF_UTC = (-11.0, -4.0)  # h, standard times of the United States
UNITED_STATES = (-180.0, -60.0, 15.0, 75.0)  # degrees west, east, south, north
FRACTION = 0.02  # by which mass and rate × heat input may differ: the rate has three decimals
# Low mass emission units use default factors, "Other" is not explained: both count as substitutes.
STATUS = {
    "Measured": "measured", "Calculated": "calculated", "Substitute": "substitute",
    "Measured and Substitute": "substitute", "LME": "substitute", "Other": "substitute", "": "substitute",
}  # fmt: skip
_NAMES = {
    "facility": ("Facility ID", "Facility ID (ORISPL)", "ORISPL_CODE"),
    "unit": ("Unit ID", "UNITID"),
    "date": ("Date", "OP_DATE"),
    "hour": ("Hour", "OP_HOUR"),
    "operating": ("Operating Time", "OP_TIME"),
    "mass": ("CO2 Mass (short tons)", "CO2_MASS (tons)"),
    "indicator": ("CO2 Mass Measure Indicator", "CO2_MASS_MEASURE_FLG"),
}
_OPTIONAL = {"rate": ("CO2 Rate (short tons/mmBtu)", "CO2_RATE (tons/mmBtu)"),
             "heat": ("Heat Input (mmBtu)", "HEAT_INPUT (mmBtu)")}  # fmt: skip


def read_campd(path: str | Path, utc_offset: float | Mapping[str, float]) -> dict[tuple[str, str], Series]:
    """Hourly CO2 of every unit in a file, as quantity "mass" in kg s-1; what it is worth is said by influences.

    Hours are local standard time all year and named by their beginning: UTC = local − offset. A mass is that of its
    hour, whatever the operating time. Hours without operation are empty and count as zero, status "off"; an operating
    hour without mass, an hour without operating time, or an hour without row, is missing.

    Args:
        path: of the CSV file.
        utc_offset: h that local standard time is ahead of UTC (−5 for Eastern), for all or by facility ID.

    Returns:
        (facility ID, unit ID) to series, with the label "half-year" for what lasts from one audit to the next.

    Raises:
        TanhengError: a column is missing, a value cannot be meant, hours repeat, an offset is not given.
    """
    table = _table(path)
    names = {key: _name(table, names) for key, names in _NAMES.items()}
    local = _local(table, names["date"], names["hour"])
    mass, status = _mass(table, names)
    notes = _consistent(table, mass)
    unit = np.char.add(np.char.add(table.words(names["facility"]), "\n"), table.words(names["unit"]))
    source = source_of(path, "read_campd", "start", "US EPA, Clean Air Markets Program Data (public domain)", notes)
    series = {}
    for key in dict.fromkeys(unit.tolist()):
        facility, number = key.split("\n")
        rows = np.flatnonzero(unit == key)
        offset = _offset(utc_offset, facility)
        ahead = np.timedelta64(round(offset * SECONDS_PER_HOUR), "s")
        start = local[rows] - ahead
        times, place = on_the_clock(start, np.timedelta64(3600, "s"), f"unit {number} of facility {facility}")
        values, states = np.full(len(times) - 1, np.nan), np.full(len(times) - 1, "missing", dtype="<U10")
        values[place], states[place] = mass[rows], status[rows]
        month = (times[:-1] + ahead).astype("datetime64[M]").astype(int)
        halves = np.array([f"{facility}/{number} {1970 + m // 12}-H{1 + m % 12 // 6}" for m in month.tolist()])
        series[facility, number] = Series(
            f"{facility}/{number}", times, {"mass": values}, states, {"half-year": halves}, (source,), offset
        )
    return series


def read_campd_facilities(path: str | Path, heights: Mapping[tuple[str, str], float]) -> dict[
    tuple[str, str], PointSource
]:  # fmt: skip
    """Places of units from the file of facility attributes.

    Args:
        path: of the CSV file.
        heights: (facility ID, unit ID) to the height of its stack in m, where the file has no "Stack Height (ft)".

    Raises:
        TanhengError: a column or a height is missing, a place is not in the United States, or one unit has two.
    """
    table = _table(path)
    facility, unit = (table.words(_name(table, _NAMES[k])) for k in ("facility", "unit"))
    lon, lat = (table.numbers(k) for k in ("Longitude", "Latitude"))
    feet = table.optional("Stack Height (ft)")
    places: dict[tuple[str, str], PointSource] = {}
    for i, key in enumerate(zip(facility.tolist(), unit.tolist(), strict=True)):
        height = heights.get(key, feet[i] * METRES_PER_FOOT)
        west, east, south, north = UNITED_STATES
        if not (west <= lon[i] <= east and south <= lat[i] <= north and np.isfinite(height)):
            raise TanhengError(
                f"unit {'/'.join(key)} has no place", got=f"longitude {lon[i]}, latitude {lat[i]}, height {height} m",
                expected=f"all three, in the United States: longitude {west:g}…{east:g}, latitude {south:g}…{north:g}",
                remedy="give its stack's height in `heights`, in metres; longitudes there are negative",
            )  # fmt: skip
        place = PointSource("/".join(key), float(lon[i]), float(lat[i]), "power", float(height))
        if places.setdefault(key, place) != place:
            raise TanhengError(f"unit {'/'.join(key)} stands at two places", got=f"row {i + 1} of {table.name}",
                               expected="one, in every year", remedy="correct the file")  # fmt: skip
    return places


def _table(path: str | Path) -> Columns:
    """The CSV file; texts may be quoted and hold commas."""
    return csv_table(path, "\n".join(lines_of(path)), ",")


def _name(table: Columns, names: Sequence[str]) -> str:
    found = [n for n in names if table.has(n)]
    if len(found) != 1:
        raise TanhengError(
            f"{table.name} has no column {names[0]}", got=", ".join(table.names[:40]), expected=" or ".join(names),
            remedy="download hourly emissions as CSV; masses in other units than short tons are not read",
        )  # fmt: skip
    return found[0]


def _offset(given: float | Mapping[str, float], facility: str) -> float:
    offset = given.get(facility, np.nan) if isinstance(given, Mapping) else given
    if not WEST_OF_UTC[0] <= offset <= WEST_OF_UTC[1]:
        raise TanhengError(
            f"the clock of facility {facility} is not known", got=offset, expected="h ahead of UTC in standard time, "
            "negative: −4 Puerto Rico, −5 Eastern … −8 Pacific, −10 Hawaii", remedy="give utc_offset for this facility",
        )  # fmt: skip
    return float(offset)


def _local(table: Columns, date: str, hour: str) -> np.ndarray:
    """(n,) datetime64[s], beginning of the hour by the local clock; dates are 2020-01-31 or 01-31-2020."""
    days = np.empty(table.length, "datetime64[D]")
    for i, word in enumerate(table.words(date).tolist()):
        american = re.fullmatch(r"(\d\d)[-/](\d\d)[-/](\d{4})", word)
        iso = f"{american[3]}-{american[1]}-{american[2]}" if american else word
        try:
            days[i] = np.datetime64(iso if re.fullmatch(r"(19|20)\d\d-\d\d-\d\d", iso) else "")
        except ValueError:
            days[i] = np.datetime64("NaT")
    hours = table.numbers(hour)
    bad = np.isnat(days) | ~np.isin(hours, np.arange(24))
    if bad.any():
        at = int(bad.argmax())
        raise TanhengError(
            f"an hour of {table.name} cannot be read",
            got=f"row {at + 1}: {str(table.words(date)[at])!r}, hour {str(table.words(hour)[at])!r}",
            expected="a date 2020-01-31 or 01-31-2020 and an hour 0…23", remedy="download the file again",
        )  # fmt: skip
    return days.astype("datetime64[s]") + hours.astype(int) * np.timedelta64(3600, "s")


def _mass(table: Columns, names: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) kg s-1 and (n,) status."""
    tons, operating = table.numbers(names["mass"]), table.numbers(names["operating"])
    said = table.words(names["indicator"])
    unknown = sorted(set(said.tolist()) - set(STATUS))
    idle = operating == 0.0
    with np.errstate(invalid="ignore"):
        wrong = {
            "an operating time outside 0…1": ~np.isnan(operating) & ~((operating >= 0.0) & (operating <= 1.0)),
            f"a mass outside 0…{HEAVIEST:g} short tons": ~np.isnan(tons) & ~((tons >= 0.0) & (tons <= HEAVIEST)),
            "mass without operation": ~(operating > 0.0) & (tons > 0.0),
        }
    for what, rows in wrong.items():
        if rows.any() or unknown:
            raise TanhengError(
                f"{table.name} cannot be meant", got=f"indicator {unknown[0]!r}" if unknown else
                f"{what}: row {int(rows.argmax()) + 1}, {int(rows.sum())} such rows",
                expected=f"hourly short tons with an indicator among {', '.join(filter(None, STATUS))}",
                remedy="use the file as EPA publishes it",
            )  # fmt: skip
    status = np.array([STATUS[w] for w in said.tolist()])
    status = np.where(idle, "off", np.where(np.isnan(tons) | np.isnan(operating), "missing", status))
    return tons * KILOGRAMS_PER_SHORT_TON / SECONDS_PER_HOUR, status


def _consistent(table: Columns, mass: np.ndarray) -> tuple[str, ...]:
    """How many masses are not rate × heat input, where the file has both; most of them so is another unit.

    Raises:
        TanhengError: more than half of them.
    """
    given = [[n for n in names if table.has(n)] for names in _OPTIONAL.values()]
    if not all(given):
        return ("no CO2 rate and heat input to check masses with",)
    rate, heat = (table.numbers(n[0]) for n in given)
    product, tons = rate * heat, mass * SECONDS_PER_HOUR / KILOGRAMS_PER_SHORT_TON
    checked = np.isfinite(product) & np.isfinite(tons)
    # One unit in the third decimal of the rate and the first of the mass.
    far = checked & (np.abs(product - tons) > FRACTION * tons + 0.001 * np.nan_to_num(heat) + 0.1)
    if 2 * far.sum() > checked.sum():
        raise TanhengError(
            f"most masses of {table.name} are not rate × heat input",
            got=f"{int(far.sum())} of {int(checked.sum())} rows",
            expected="short tons, short tons/mmBtu and mmBtu", remedy="use the file as EPA publishes it",
        )  # fmt: skip
    return (f"{int(far.sum())} of {int(checked.sum())} masses differ from rate × heat input by more than 2 %",)

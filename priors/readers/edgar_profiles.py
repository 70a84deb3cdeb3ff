"""EDGAR's auxiliary tables: shares of the week's days and of the day's hours, by country and activity."""

from pathlib import Path

import numpy as np

from inversion.observations.readers.files import source_of
from priors.profiles import Profile
from priors.readers.profile_tables import damaged, profiles, table, weights_of
from transport.errors import TanhengError

REFERENCE = "Crippa et al. 2020, doi 10.1038/s41597-020-0462-2"
HOURS = tuple(f"h{i}" for i in range(1, 25))
WEEK = ("country_code_a3", "activity_code", "weekday_id", "daily_factor")
NOTES = ("weekday 1 taken as Monday", "hours are local time, h1 from midnight to one", "shares of a sum of one")


def read_edgar_profiles(
    country: str, weekly: str | Path, hourly: str | Path, weekdays: str | Path, weekend_days: str | Path
) -> dict[str, Profile]:
    """Profiles of a country by activity code ("ENE", "TRO", …), from the four tables that belong together.

    weight(month, weekday, hour) = 7 share(weekday) · 24 share(month, type of day, hour). What days are weekend differs
    between countries: `weekenddays.csv` gives the country's type, `weekdays.csv` the type of day of each weekday.
    Shares of months are not in these tables.

    Args:
        country: ISO 3166 code of three letters.
        weekly, hourly, weekdays, weekend_days: `weekly_profiles.csv`, `hourly_profiles.csv`, `weekdays.csv`,
            `weekenddays.csv`.

    Raises:
        TanhengError: not such tables, no such country, days or months missing or twice, shares that do not sum to one.

    Reference: as in `REFERENCE`.
    """
    types = _types(country, weekdays, weekend_days)
    week = _rows(weekly, WEEK[:3], WEEK[3:], country)
    hours = _rows(hourly, (*WEEK[:2], "month_id", "daytype_id"), HOURS, country)
    parts: dict[str, dict[str, np.ndarray]] = {"week": {}, "day": {}}
    for activity in sorted({a for a, _ in week}):
        days = [week.get((activity, d)) for d in range(1, 8)]
        if any(d is None for d in days) or len([a for a, _ in week if a == activity]) != 7:
            raise damaged(weekly, f"{activity} of {country} without some weekday", "weekdays 1…7")
        parts["week"][activity] = 7.0 * np.concatenate(days)  # type: ignore[arg-type]
    for activity in sorted({a for a, _, _ in hours}):
        missing = [(m, t) for m in range(1, 13) for t in types if (activity, m, t) not in hours]
        if missing:
            raise damaged(hourly, f"{activity} of {country} without month {missing[0][0]}, type of day {missing[0][1]}",
                          "12 months and all types of day")  # fmt: skip
        parts["day"][activity] = 24.0 * np.array([[hours[activity, m, t] for t in types] for m in range(1, 13)])
    files = (weekly, hourly, weekdays, weekend_days)
    sources = [source_of(p, "EDGAR temporal profiles", "start", REFERENCE, NOTES) for p in files]
    return profiles(parts, sources, f"EDGAR for {country}")


def _whole(word: str, path: str | Path) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 3):
        raise damaged(path, f"{word!r}", "a small whole number")
    return int(word)


def _rows(path: str | Path, keys: tuple[str, ...], values: tuple[str, ...], country: str) -> dict[tuple, np.ndarray]:
    """Weights of a country by (activity, number, …)."""
    names, rows = table(path, (*keys, *values))
    if len(names) != len(keys) + len(values):
        raise damaged(path, f"columns {', '.join(names)}", f"{', '.join(keys)} and {len(values)} weights")
    key, value = [names.index(k) for k in keys], [names.index(v) for v in values]
    found: dict[tuple, np.ndarray] = {}
    for row in rows:
        code, activity, *numbers = (row[i] for i in key)
        if code == country:
            at = (activity, *(_whole(n, path) for n in numbers))
            if not activity or at in found:
                raise damaged(path, f"{at} twice or without activity", "each once")
            found[at] = weights_of([row[i] for i in value], path)
    if not found:
        raise TanhengError(
            f"{Path(path).name} has no profile of {country}", got=", ".join(sorted({r[key[0]] for r in rows})[:20]),
            expected=country, remedy="use the code of three letters of a country that the tables hold",
        )  # fmt: skip
    return found


def _types(country: str, weekdays: str | Path, weekend_days: str | Path) -> list[int]:
    """Type of day of each weekday from Monday."""
    names, rows = table(weekend_days, ("country_code_a3", "weekend_type_id"))
    place = names.index("country_code_a3"), names.index("weekend_type_id")
    kinds = [_whole(r[place[1]], weekend_days) for r in rows if r[place[0]] == country]
    if len(kinds) != 1:
        raise damaged(weekend_days, f"{len(kinds)} rows of {country}", "one row for the country")
    names, rows = table(weekdays, ("weekend_type_id", "weekday_id", "daytype_id"))
    columns = [names.index(n) for n in ("weekend_type_id", "weekday_id", "daytype_id")]
    entries = [tuple(_whole(r[c], weekdays) for c in columns) for r in rows]
    days = sorted((day, kind) for weekend, day, kind in entries if weekend == kinds[0])
    if [d for d, _ in days] != list(range(1, 8)):
        raise damaged(weekdays, f"weekdays {[d for d, _ in days]} of weekend type {kinds[0]}", "1…7, each once")
    return [kind for _, kind in days]

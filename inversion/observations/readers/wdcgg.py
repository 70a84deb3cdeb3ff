"""Text files of the World Data Centre for Greenhouse Gases (WMO GAW), format of 2019 and later."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.readers import insitu
from inversion.observations.readers.columns import Columns, calendar, headed_table
from inversion.observations.readers.files import source_of
from transport.errors import TanhengError

_PARTS = ("year", "month", "day", "hour", "minute", "second")
_INTERVALS = ("hourly", "daily", "monthly")
# Columns 8 to 13 repeat the date, for the end of the interval.
_FIRST = ("site_gaw_id", *_PARTS)
_LAST = (
    "value", "value_unc", "nvalue", "latitude", "longitude", "altitude", "elevation", "intake_height", "flask_no",
    "ORG_QCflag", "QCflag", "instrument", "measurement_method", "scale",
)  # fmt: skip
# Local standard time may differ from the sun's by this much, h (western China keeps Beijing's: 3 h).
_SUN = 3.5


def read_wdcgg(path: str | Path) -> Observations:
    """Read one station and gas.

    Times are local standard time unless `site_lst2utc` says UTC, and label the start of the interval. It ends where the
    second set of time columns says, or else after the hour, day or month that header or file name tell. `QCflag` 3 and
    missing is left out; 2, valid but local, is kept.

    Args:
        path: of the text file.

    Raises:
        TanhengError: not such a file, or one that lacks its unit, time zone or interval.
    """
    header, _, names, rows = headed_table(path)
    if len(names) != 27 or tuple(names[:7]) != _FIRST or tuple(names[13:]) != _LAST:
        raise TanhengError(
            f"{Path(path).name} has other columns than WDCGG files of observations", got=" ".join(names),
            expected=" ".join((*_FIRST, *_PARTS, *_LAST)), remedy="use the file as WDCGG published it",
        )  # fmt: skip
    rows = [[*row[:26], " ".join(row[26:])] if len(row) > 26 else row for row in rows]  # a scale may hold blanks
    table = Columns(Path(path).name, [*_FIRST, *_PARTS, *_LAST], rows)
    species = insitu.species_of(_need(header, "dataset_parameter", table), table.name)
    factor = insitu.unit_factor(_need(header, "value:units", table), species, f"value of {table.name}")
    kind, instant = insitu.kind_of(_need(header, "dataset_project", table), table.name)
    notes: list[str] = []
    lon = insitu.finite(table.numbers("longitude"), -900.0)
    offset = _offset(_need(header, "site_lst2utc", table), lon, table, notes)
    window = _window(header, table, instant)
    stated, spread = insitu.uncertainty(table.optional("value_unc")) * factor, np.full(table.length, np.nan)
    if "standard deviation" in header.get("value_unc:comment", "").lower():
        notes.append("value_unc is a standard deviation according to its comment: in extra['std_dev']")
        stated, spread = spread, stated
    quality, number = table.numbers("QCflag"), table.optional("nvalue")
    height, altitude = (insitu.finite(table.optional(n), -99.0) for n in ("intake_height", "altitude"))
    with np.errstate(invalid="ignore"):
        extra = {"std_dev": spread, "nvalue": np.where(number > 0, number, np.nan)}
    return insitu.gather(
        insitu.finite(table.numbers("value"), 0.0) * factor, (window[0] - offset, window[1] - offset), species,
        source_of(path, "read_wdcgg", "instant" if instant else "start", _attribution(header), notes),
        {"QCflag 3 (invalid)": quality == 3.0, "QCflag missing or unknown": ~np.isin(quality, (1.0, 2.0, 3.0))},
        (Component.independent("repeatability", stated),), extra=extra, groups=table.words("site_gaw_id"), kinds=kind,
        lon=lon, lat=insitu.finite(table.numbers("latitude"), -99.0), height=height, altitude=altitude,
        scales=[insitu.scale_name(str(s), species) for s in table.words("scale")], flags=table.words("QCflag"),
        instruments=table.words("instrument") if table.has("instrument") else "",
    )  # fmt: skip


def _need(header: dict[str, str], key: str, table: Columns) -> str:
    if not header.get(key):
        raise TanhengError(
            f"{table.name} does not state {key}", got="no such line in the header", expected=f"# {key} : …",
            remedy="use the file as WDCGG published it",
        )  # fmt: skip
    return header[key]


def _offset(text: str, lon: np.ndarray, table: Columns, notes: list[str]) -> np.timedelta64:
    """Local standard time minus UTC.

    Files disagree on the sign of `site_lst2utc`; the sun decides, since local time is near longitude / 15 hours.
    """
    if text.upper() == "UTC":
        return np.timedelta64(0, "ns")
    known = lon[np.isfinite(lon)]
    match = re.fullmatch(r"[+-]?\d{1,2}(\.\d+)?", text)
    if match and known.size:
        sun = float(np.median(known)) / 15.0
        for hours in (float(text), -float(text)):
            if abs((hours - sun + 12.0) % 24.0 - 12.0) <= _SUN:
                notes.append(f"times were UTC {hours:+g} h (site_lst2utc {text}, longitude {sun * 15.0:.1f})")
                return np.timedelta64(round(hours * 3600.0), "s").astype("timedelta64[ns]")
    raise TanhengError(
        f"the time zone of {table.name} cannot be meant", got=f"site_lst2utc {text}",
        expected="UTC, or hours that agree with the longitude within 3.5", remedy="use the file as WDCGG published it",
    )  # fmt: skip


def _window(header: dict[str, str], table: Columns, instant: bool) -> tuple[np.ndarray, np.ndarray]:
    """Start and end in the file's own time."""
    start = calendar([table.numbers(n) for n in _PARTS], table.name)
    if instant:
        return start, start
    ends = [table.optional(f"{n}_2") for n in _PARTS]
    with np.errstate(invalid="ignore"):
        filled = ends[0] > 0.0
    # A window may not be missing for some rows only: the label would say less than the file does.
    if filled.all():
        end = calendar(ends, table.name)
        if (end > start).all():
            return start, end
    about = f"{header.get('dataset_selection_tag', '')} {header.get('dataset_selection', '')} {table.name}".lower()
    word = next((w for w in _INTERVALS if w in about), None)
    if word is None or filled.any():
        raise TanhengError(
            f"the averaging interval of {table.name} cannot be read",
            got=f"{int(filled.sum())} of {table.length} rows with an end, and selection {about!r}",
            expected="an end after the start in every row, or one of " + ", ".join(_INTERVALS),
            remedy="use the file, and the file name, as WDCGG published it",
        )  # fmt: skip
    if word == "monthly":
        return start, (start.astype("datetime64[M]") + 1).astype("datetime64[ns]")
    return insitu.window(start, "start", insitu.SECONDS[{"hourly": "hour", "daily": "day"}[word]])


def _attribution(header: dict[str, str]) -> str:
    wanted = ("citation", "policy", "fair_use", "doi", "contributor", "organization")
    return " ".join(v for k, v in header.items() if any(w in k for w in wanted) and v)

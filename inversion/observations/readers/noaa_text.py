"""NOAA GML text files: flask events in the older style, and everything in the newer ObsPack-like style."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.readers import insitu
from inversion.observations.readers.columns import Columns, calendar, headed_table
from inversion.observations.readers.files import source_of
from transport.errors import TanhengError

_FAIR_USE = ("dataset_citation", "dataset_fair_use", "dataset_warning", "dataset_reciprocity", "dataset_contribution")
# Columns of event files; the oldest lack the last two.
_EVENT = (
    *(f"sample_{n}" for n in ("site_code", "year", "month", "day", "hour", "minute", "seconds", "id", "method")),
    "parameter_formula", "analysis_group_abbr",
    *(f"analysis_{n}" for n in ("value", "uncertainty", "flag", "instrument")),
    *(f"analysis_{n}" for n in ("year", "month", "day", "hour", "minute", "seconds")),
    *(f"sample_{n}" for n in ("latitude", "longitude", "altitude")), "event_number",
)  # fmt: skip
_SURFACE = ("sample_elevation", "sample_intake_height")
_TIME = ("year", "month", "day", "hour", "minute")


def read_noaa_text(path: str | Path) -> Observations:
    """Read one text file of the Global Monitoring Laboratory.

    Older event files (`# number_of_header_lines: N`, columns `sample_…`, `analysis_…`) hold instants. Newer files
    (`# header_lines : N`, keys as in ObsPack) label the start of `dataset_data_frequency`, or instants for flasks.
    Only the first character of the flag rejects; the second says "not background", and such rows are kept.

    Args:
        path: of the text file.

    Raises:
        TanhengError: not such a file, or one that lacks its unit, interval or flags.
    """
    header, lines, names, rows = headed_table(path)
    table = Columns(Path(path).name, names, rows)
    return _event(path, lines, table) if names[0].startswith("sample_") else _packaged(path, header, table)


def _event(path: str | Path, lines: list[str], table: Columns) -> Observations:
    """Older style: one line per flask and gas; unit and scale stand in the prose of the header, if at all."""
    lost = [n for n in _EVENT if not table.has(n)] or [n for n in _SURFACE if not table.has(n)]
    if lost and lost != list(_SURFACE):
        raise TanhengError(
            f"{table.name} lacks columns of NOAA event files", got=f"no {', '.join(lost)}",
            expected=" ".join((*_EVENT, *_SURFACE)), remedy="use the file as NOAA published it",
        )  # fmt: skip
    gases = np.unique(table.words("parameter_formula"))
    if len(gases) != 1:
        raise TanhengError(
            f"{table.name} holds several species", got=", ".join(gases), expected="one",
            remedy="split the file by parameter_formula",
        )  # fmt: skip
    species, prose = insitu.species_of(str(gases[0]), table.name), " ".join(lines)
    notes: list[str] = []
    unit = re.search(r"\b(micro|nano|µ|u|n)mol mol-1", prose)
    if not unit:
        notes.append(f"the header states no unit: {insitu.UNIT_OF[species]}, as NOAA reports {species}")
    factor = insitu.unit_factor(unit[0] if unit else insitu.UNIT_OF[species], species, f"the header of {table.name}")
    scales = {insitu.scale_name(s, species) for s in re.findall(r"(?:WMO|NOAA)[ \-]\w*[ \-]?X?\d{4}A?\b", prose)}
    if len(scales) != 1:
        notes.append("the header states no calibration scale" if not scales else f"several scales: {sorted(scales)}")
    times = calendar([table.numbers(f"sample_{n}") for n in (*_TIME, "seconds")], table.name)
    return _assemble(
        path, table, species, (times, times), "instant", notes,
        values=insitu.finite(table.numbers("analysis_value"), 0.0) * factor,
        repeatability=insitu.uncertainty(table.numbers("analysis_uncertainty")) * factor,
        flags=table.words("analysis_flag"), prefix="sample_", groups=table.words("sample_site_code"), kinds="flask",
        scales=scales.pop() if len(scales) == 1 else "", instruments=table.words("analysis_instrument"),
    )  # fmt: skip


def _packaged(path: str | Path, header: dict[str, str], table: Columns) -> Observations:
    """Newer style: the keys of ObsPack above the table."""
    species = insitu.species_of(header.get("dataset_parameter", ""), table.name)
    kind, instant = insitu.kind_of(header.get("dataset_project", ""), table.name)
    notes: list[str] = []
    factor = insitu.unit_factor(header.get("value:units", ""), species, f"value of {table.name}")
    times = calendar([table.numbers(n) for n in (*_TIME, "second")], table.name)
    said = insitu.stamp_of(header.get("time_components:comment", "") + header.get("time_decimal:comment", ""))
    stamp = "instant" if instant else said or "start"
    if not (instant or said):
        notes.append("the header does not say what times label: taken as the start, as in files of this kind")
    window = insitu.window(times, stamp, 0.0 if instant else _interval(header, table))
    stated = insitu.uncertainty(table.optional("value_unc")) * factor
    spread = insitu.uncertainty(table.optional("value_std_dev")) * factor
    if "standard deviation" in header.get("value_unc:comment", ""):
        notes.append("value_unc is a standard deviation of the mean according to its comment: in extra['std_dev']")
        stated, spread = np.full(table.length, np.nan), stated
    number = table.optional("nvalue")
    with np.errstate(invalid="ignore"):
        extra = {"std_dev": spread, "nvalue": np.where(number > 0, number, np.nan)}
    return _assemble(
        path, table, species, window, stamp, notes, values=insitu.finite(table.numbers("value"), 0.0) * factor,
        repeatability=stated, flags=table.words("qcflag"), prefix="", extra=extra,
        attribution=" ".join(header[k] for k in _FAIR_USE if k in header), groups=table.words("site_code"), kinds=kind,
        scales=insitu.scale_name(header.get("dataset_calibration_scale", ""), species),
        instruments=table.words("instrument") if table.has("instrument") else "",
    )  # fmt: skip


def _interval(header: dict[str, str], table: Columns) -> float:
    """Length of the averaging interval in s."""
    count = header.get("dataset_data_frequency", "")
    unit = header.get("dataset_data_frequency_unit", "").lower().rstrip("s")
    if unit not in insitu.SECONDS or not re.fullmatch(r"\d{1,3}(\.\d+)?", count) or float(count) == 0.0:
        raise TanhengError(
            f"the averaging interval of {table.name} cannot be read", got=f"{count or 'nothing'} {unit}",
            expected="dataset_data_frequency and its unit, e.g. 1 hour", remedy="use the file as NOAA published it",
        )  # fmt: skip
    return float(count) * insitu.SECONDS[unit]


def _assemble(
    path, table: Columns, species: str, window, stamp: str, notes: list[str], *, values: np.ndarray,
    repeatability: np.ndarray, flags: np.ndarray, prefix: str, attribution: str = "", **fields,
) -> Observations:  # fmt: skip
    """Places, flags and errors are the same in both styles."""
    strange = [f for f in np.unique(flags) if len(f) != 3]
    if strange:
        raise TanhengError(
            f"flags of {table.name} are not those of NOAA", got=", ".join(map(repr, strange[:5])),
            expected="three characters such as '...' or '.C.'", remedy="use the reader of its format",
        )  # fmt: skip
    first, second = (np.array([f[k] for f in flags]) for k in (0, 1))
    local = int(((first == ".") & (second != ".")).sum())
    if local:
        notes.append(f"{local} rows are valid but not background (second character of the flag); they are kept")
    place = {n: insitu.finite(table.optional(prefix + n)) for n in ("longitude", "latitude", "altitude", "elevation")}
    # Heights below −990 m are firn air with a wrong reference, but −999.999 is NOAA's word for missing.
    height = table.optional(f"{prefix}intake_height")
    height = np.where(np.abs(height + 999.99) < 0.02, np.nan, height)
    height = np.where(np.isfinite(height), height, place["altitude"] - place["elevation"])
    with np.errstate(invalid="ignore"):
        reasons = {"rejected by its flag": first != ".", "intake below the ground (firn air)": height < -1.0}
    return insitu.gather(
        values, window, species, source_of(path, "read_noaa_text", stamp, attribution, notes), reasons,
        (Component.independent("repeatability", repeatability),), flags=flags, lon=place["longitude"],
        lat=place["latitude"], height=height, altitude=place["altitude"], **fields,
    )  # fmt: skip

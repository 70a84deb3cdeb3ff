"""ICOS atmosphere: hourly CSV of the Atmosphere Thematic Centre, final (level 2) and near-real-time."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.readers import insitu
from inversion.observations.readers.columns import Columns, calendar
from inversion.observations.readers.files import content, lines_of, source_of
from inversion.observations.readers.obspack import read_obspack
from transport.errors import TanhengError

# Meanings that the centre gives to flags; what the header of a file says comes first.
_GOOD = {"U": True, "N": False, "O": True, "K": False, "R": True, "H": False}
# The instrument that fills gaps between instruments.
_DUMMY = "82"
_NETCDF = (b"\x89HDF", b"CDF\x01", b"CDF\x02", b"CDF\x05")


def read_icos(path: str | Path) -> Observations:
    """Read hourly means of one gas at one height.

    Times are UTC and label the start of the hour. The calibration scale is that of each row's instrument. CMR becomes
    the repeatability, LTR a calibration error shared per instrument and month. The series with spikes is read; the one
    without is in `extra["without_spikes"]`.

    The NetCDF form that the Carbon Portal offers (its object format `netcdfTimeSeries`) is the European ObsPack, which
    `read_obspack` reads.

    Args:
        path: of the text file, e.g. ICOS_ATC_L2_L2-2024.1_RGL_90.0_CTS.CH4, or a NetCDF file.

    Raises:
        TanhengError: not such a file, or one that was cut or changed.

    Reference: Hazan et al. 2016 (doi 10.5194/amt-9-4719-2016).
    """
    first = content(path)[:4]
    if first in _NETCDF:
        return read_obspack(path)
    if first[:2] == b"PK":
        raise TanhengError(
            f"{Path(path).name} is a ZIP archive", got="bytes PK", expected="the text file inside", remedy="unzip it"
        )
    header, comments, table = _parts(path)
    species = insitu.species_of(_need(header, "PARAMETER", path), Path(path).name)
    unit = insitu.unit_factor(_need(header, "MEASUREMENT UNIT", path), species, f"{species} of {Path(path).name}")
    gas = species.lower()
    notes: list[str] = []
    stamp, times = _times(header, comments, table, notes)
    instruments, flags = table.words("InstrumentId"), table.words("Flag")
    height = insitu.finite(table.numbers("SamplingHeight"), 0.0)
    scales = _scales(_need(header, "MEASUREMENT SCALE", path), instruments, species, notes)
    components, extra = _errors(table, gas, unit, instruments, times[0], notes)
    return insitu.gather(
        insitu.finite(table.numbers(gas), 0.0) * unit, times, species,
        source_of(path, "read_icos", stamp, header.get("DATA POLICY", ""), notes),
        {"gap filled with a dummy (instrument 82)": instruments == _DUMMY, **_rejected(flags, comments)},
        components, extra=extra, groups=table.words("Site"), kinds="tower", lon=_degrees(header, "LONGITUDE", path),
        lat=_degrees(header, "LATITUDE", path), height=height, altitude=_ground(header, path) + height,
        scales=scales, flags=flags, instruments=instruments,
    )  # fmt: skip


def _parts(path: str | Path) -> tuple[dict[str, str], list[str], Columns]:
    """Header by key, its comment lines, and the table."""
    lines = [line for line in lines_of(path) if line.strip()]
    name = Path(path).name
    header: dict[str, str] = {}
    comments: list[str] = []
    for line in lines:
        words = " ".join(line.lstrip("#").split())
        if not line.startswith("#"):
            break
        key, colon, value = words.partition(":")
        if colon and key.isupper():
            header.setdefault(key.strip(), value.strip())
        else:
            comments.append(words)
    count = sum(line.startswith("#") for line in lines)
    stated = {key: header.get(f"{key} LINES", "") for key in ("HEADER", "TOTAL")}
    found = {"HEADER": count, "TOTAL": len(lines)}
    for key, text in stated.items():
        if text != str(found[key]) and (text or key == "HEADER"):
            raise TanhengError(
                f"{name} does not have as many lines as it says", got=f"{found[key]}",
                expected=f"{key} LINES: {text or 'a number'}", remedy="copy the file again",
            )  # fmt: skip
    names = lines[count - 1]
    if not names.startswith("#Site;") or not all(line.startswith("#") for line in lines[:count]):
        raise TanhengError(
            f"the header of {name} is not that of an ICOS time series", got=names[:80],
            expected="lines with #, the last one '#Site;SamplingHeight;Year;…'", remedy="use the reader of its format",
        )  # fmt: skip
    rows = [line.split(";") for line in lines[count:]]
    return header, comments, Columns(name, names[1:].split(";"), rows)


def _need(header: dict[str, str], key: str, path: str | Path) -> str:
    if not header.get(key):
        raise TanhengError(
            f"{Path(path).name} does not state its {key.lower()}", got="no such line in the header",
            expected=f"# {key}: …", remedy="use the file as ICOS published it",
        )  # fmt: skip
    return header[key]


def _times(
    header: dict[str, str], comments: list[str], table: Columns, notes: list[str]
) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    """What times label, and start and end of the averaging windows."""
    if header.get("TIME INTERVAL", "hourly").lower() != "hourly":
        raise TanhengError(
            f"{table.name} does not hold hourly means", got=header["TIME INTERVAL"], expected="hourly",
            remedy="use the hourly file of this station",
        )  # fmt: skip
    said = [c for c in comments if "averag" in c.lower() and insitu.stamp_of(c)]
    if not said:
        notes.append("the header does not say what times label: taken as the start, as in files of the centre")
    if not any(re.search(r"times are utc", c, re.I) for c in comments):
        notes.append("the header does not say that times are UTC: taken as such, as in files of the centre")
    stamp = insitu.stamp_of(said[0]) if said else "start"
    parts = [table.numbers(n) for n in ("Year", "Month", "Day", "Hour", "Minute")]
    return stamp, insitu.window(calendar(parts, table.name), stamp, 3600.0)


def _rejected(flags: np.ndarray, comments: list[str]) -> dict[str, np.ndarray]:
    """Rows to leave out by flag; other networks use the same letters with other meanings, so the header decides."""
    good = dict(_GOOD)
    for line in comments:
        match = re.search(r"Flag '?(\w)'?\s*=\s*(.*)", line)
        if match:
            good[match[1]] = match[2].lower().startswith(("data correct", "correct"))
    return {f"flag {f or 'missing'}": flags == f for f in np.unique(flags) if not good.get(str(f), False)}


def _degrees(header: dict[str, str], key: str, path: str | Path) -> float:
    """A coordinate such as "47.8011 N"."""
    text = _need(header, key, path)
    match = re.fullmatch(r"([+-]?\d+(?:\.\d+)?)\s*°?\s*([NSEWnsew])?", text)
    if not match:
        raise TanhengError(
            f"the {key.lower()} of {Path(path).name} cannot be read", got=repr(text), expected="e.g. '47.8011 N'",
            remedy="use the file as ICOS published it",
        )  # fmt: skip
    return float(match[1]) * (-1.0 if (match[2] or "N").upper() in "SW" else 1.0)


def _ground(header: dict[str, str], path: str | Path) -> float:
    """Ground above sea level, m."""
    match = re.match(r"(-?\d+(?:\.\d+)?)\s*m", _need(header, "ALTITUDE", path))
    return float(match[1]) if match else np.nan


def _scales(text: str, instruments: np.ndarray, species: str, notes: list[str]) -> np.ndarray:
    """(n,) scale of each row's instrument, from "59: WMO CO2 X2019; 473: Unknown"."""
    by_id = {k: insitu.scale_name(v, species) for k, v in re.findall(r"(\d+)\s*:\s*([^;]+)", text)}
    if not by_id:
        return np.full(len(instruments), insitu.scale_name(text, species))
    unknown = sorted({str(i) for i in instruments if not by_id.get(str(i)) and i != _DUMMY})
    if unknown:
        notes.append(f"no calibration scale is stated for instruments {', '.join(unknown)}")
    return np.array([by_id.get(str(i), "") for i in instruments], dtype=str)


def _errors(
    table: Columns, gas: str, unit: float, instruments: np.ndarray, times: np.ndarray, notes: list[str]
) -> tuple[tuple[Component, ...], dict[str, np.ndarray]]:
    """Causes of error, and what describes the air rather than the measurement."""

    def column(name: str) -> np.ndarray:
        return insitu.uncertainty(table.optional(name) * unit)

    number = table.optional("NbPoints")
    with np.errstate(invalid="ignore"):
        extra = {"std_dev": column("Stdev"), "nvalue": np.where(number > 0, number, np.nan)}
    if table.has(f"{gas}-WithoutSpikes"):
        notes.append("spikes of local origin are kept; extra['without_spikes'] holds the series without them")
        extra["without_spikes"] = insitu.finite(table.numbers(f"{gas}-WithoutSpikes"), 0.0) * unit
    if not (table.has("LTR") or table.has("CMR")):
        notes.append("no measurement uncertainty is stated")
        return (Component.independent("repeatability", np.full(table.length, np.nan)),), extra
    extra["short_term_target_bias"] = insitu.finite(table.optional("STTB"), -9.0) * unit
    extra["quality_control_bias"] = insitu.finite(table.optional("QcBias"), -9.0) * unit
    extra["quality_control_bias_uncertainty"] = column("QcBiasUncertainty")
    notes += insitu.ICOS_ERRORS
    return insitu.icos_components(column("CMR"), column("LTR"), instruments, times), extra

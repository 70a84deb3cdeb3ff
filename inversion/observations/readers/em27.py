"""EM27/SUN spectrometers: PROFFAST tables and the merged MUCCnet export."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from inversion.observations.observations import Observations, sift
from inversion.observations.readers.files import lines_of, source_of
from inversion.observations.readers.named_columns import Table, repeated, table
from inversion.observations.record import Source, Step
from inversion.observations.units import UNIT_OF
from transport.errors import TanhengError

# Files state no units: PROFFAST writes ppm for both species.
_FACTOR = {"CO2": 1.0, "CH4": 1e3}
_RANGE = {"CO2": (250.0, 2000.0), "CH4": (500.0, 10000.0)}
_JULIAN_EPOCH = 2440587.5  # 1970-01-01T00 in days
_NOTES = (
    "units are not in the file: XCO2 and XCH4 are in ppm, gndP in hPa, as PROFFAST writes them",
    "not calibrated between instruments, scale not stated: state a shared error per instrument in the rules",
    "the file states neither uncertainties nor kernels nor a-priori profiles",
)
_MUCCNET = re.compile(r"([a-z0-9]+)_xco2")


def read_em27(
    path: str | Path,
    species: str = "CO2",
    site: str | None = None,
    serial: str | None = None,
    xair: tuple[float, float] | None = None,
    places: Mapping[str, tuple[float, float, float]] | None = None,
) -> Observations:
    """Columns of one PROFFAST table (2.2 or 2.4, one instrument) or of a merged MUCCnet export (many sites).

    Args:
        path: of the table. A PROFFAST table is named `…SITE_SNnnn_…csv`.
        species: "CO2" or "CH4".
        site, serial: of a PROFFAST table whose name does not tell.
        xair: lowest and highest XAIR to keep; it is 1 where spectrum, pressure and pointing agree.
        places: of an export, whose rows have none: longitude, latitude and altitude in m of each site.

    Raises:
        TanhengError: not such a table, an unknown species, no site, or no row that can be used.

    Reference: PROFFAST, Frey et al. 2019, doi 10.5194/amt-12-1513-2019; MUCCnet, Dietrich et al. 2021,
        doi 10.5194/amt-14-1111-2021.
    """
    if species not in _FACTOR:
        raise TanhengError(
            "EM27 tables hold no such species here", got=species, expected="CO2, CH4", remedy="choose one"
        )
    path, lines = Path(path), lines_of(path)
    if lines[0].startswith(("METADATA", "utc,")):
        return _export(path, lines, species, xair, dict(places or {}))
    known = re.search(r"(?:^|_)([A-Za-z0-9]+)_SN(\d+)_", path.name)
    site, serial = site or (known[1] if known else None), serial or (known[2] if known else None)
    if site is None or serial is None:
        raise TanhengError(
            f"the name of {path.name} tells neither site nor instrument", got=path.name, expected="…SITE_SNnnn_…csv",
            remedy="give site and serial",
        )  # fmt: skip
    rows = table(path.name, lines, ("UTC", "JulianDate", f"X{species}"))
    time, julian = rows.times("UTC"), rows.numbers("JulianDate")
    late = (julian - _JULIAN_EPOCH) * 86400.0 - time.astype(float) * 1e-9
    columns = {
        "value": rows.numbers(f"X{species}") * _FACTOR[species], "surface_pressure": rows.numbers("gndP") * 100.0,
        "solzen": rows.numbers("appSZA"), "xair": rows.numbers("XAIR"), "lat": rows.numbers("latdeg"),
        "lon": rows.numbers("londeg"), "altitude": rows.numbers("altim"),
    }  # fmt: skip
    # Days of 1e-5 are 0.9 s, and the words for UTC are cut to whole seconds.
    disagree = {"UTC disagrees with the Julian date": ~((late > -1.0) & (late < 2.0))}
    notes = (*_NOTES, "a spectrum is taken as an instant, the UTC column; LocalTime is not used")
    source = source_of(path, "em27", "instant", notes=notes)
    names, serials = np.full(len(rows), site), np.full(len(rows), f"SN{serial}")
    return _observations(rows, time, 0, columns, names, serials, species, xair, disagree, source)


def _export(path: Path, lines: list[str], species: str, xair, places: dict) -> Observations:
    rows = table(path.name, lines, ("utc",))
    gas = species.lower()
    sites = [m[1] for m in map(_MUCCNET.fullmatch, rows.names) if m]
    stacked = lambda name: np.concatenate([rows.numbers(f"{s}_{name}") for s in sites])  # noqa: E731
    if not sites:
        raise TanhengError(
            f"{path.name} holds no site", got=", ".join(rows.names[:20]), expected="columns SITE_xco2 …",
            remedy="export the data types xco2, xch4, gnd_p, app_sza and xair",
        )  # fmt: skip
    time, names = np.tile(rows.times("utc"), len(sites)), np.repeat(sites, len(rows))
    where = np.array([places.get(s, (np.nan, np.nan, np.nan)) for s in names], float)
    columns = {
        "value": stacked(f"x{gas}") * _FACTOR[species], "surface_pressure": stacked("gnd_p") * 100.0,
        "solzen": stacked("app_sza"), "xair": stacked("xair"), "lat": where[:, 1], "lon": where[:, 0],
        "altitude": where[:, 2],
    }  # fmt: skip
    notes = (
        *_NOTES,
        "rows are means over the minute that begins at utc; the export smooths over neighbouring spectra, so that "
        "errors of neighbouring minutes are not independent",
        "places: " + (", ".join(sorted(places)) or "none") + " given by the user",
    )
    source = source_of(path, "em27", "start", notes=notes)
    between = {"time is not a whole minute": time != time.astype("datetime64[m]").astype("datetime64[ns]")}
    unknown = np.full(names.size, "")
    return _observations(rows, time, 60, columns, names, unknown, species, xair, between, source)


def _observations(
    rows: Table, time: np.ndarray, seconds: int, columns: dict[str, np.ndarray], sites: np.ndarray,
    serials: np.ndarray, species: str, xair, further: dict[str, np.ndarray], source: Source,
) -> Observations:  # fmt: skip
    value, pressure, air = columns["value"], columns["surface_pressure"], columns["xair"]
    low, high = _RANGE[species]
    with np.errstate(invalid="ignore"):
        reasons = {
            "not retrieved (0, NaN or no number)": ~np.isfinite(value) | (value == 0.0),
            "time is none": np.isnat(time),
            **further,
            f"value outside {low:g}…{high:g} {UNIT_OF[species]}": ~((value > low) & (value < high)),
            "ground pressure outside 300…1100 hPa": ~((pressure > 3e4) & (pressure < 1.1e5)),
            "place not on Earth": (np.abs(columns["lat"]) > 90.0) | (np.abs(columns["lon"]) > 180.0),
            "the same time twice": repeated(sites, time.astype(np.int64)),
        }
        if xair is not None:
            reasons[f"XAIR outside {xair[0]:g}…{xair[1]:g}"] = ~((air >= xair[0]) & (air <= xair[1]))
    keep, dropped = sift(reasons, len(value))
    if rows.skipped:
        dropped = ((f"line without {len(rows.names)} words", rows.skipped), *dropped)
    take = {k: v[keep] for k, v in columns.items()}
    n = int(keep.sum())
    return Observations(
        values=take["value"], start=time[keep], end=time[keep] + np.timedelta64(seconds, "s"), groups=sites[keep],
        kinds=np.full(n, "column"), unit=UNIT_OF[species], species=species, components=(),
        lon=take["lon"], lat=take["lat"], altitude=take["altitude"], instruments=serials[keep],
        extra={k: take[k] for k in ("solzen", "xair", "surface_pressure")},
        sources=(source,), steps=(Step("read", n, dropped),),
    )  # fmt: skip

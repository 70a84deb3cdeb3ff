"""Snapshot area maps of OCO-3, resampled to a regular grid: maps of one city, and cells of all of them as a table."""

import csv
import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from inversion.observations.observations import Observations, sift
from inversion.observations.readers.files import NetCDF, content, seconds_since, source_of
from inversion.observations.readers.soundings import PLAUSIBLE, epoch, finite, noise, unusable
from inversion.observations.record import Source, Step
from transport.errors import TanhengError

_CUBE = ("time", "latitude", "longitude")
_PPM = {"ppm": 1.0}
_NOTES = (
    "the day is known and no time of day: windows are whole days, UTC",
    "neighbouring cells repeat one sounding or share several: their errors are not independent",
    "no kernels, weights or a-priori profiles",
    "scale X2007: that of version 10, which the file does not state itself",
)
_COLUMNS = ("date", "lat", "lon", "xco2", "xco2_uncertainty", "xco2_apriori", "xco2_raw", "good", "xco2_qf0")
_ATTRIBUTION = "OCO-3 L2 Lite v10.4 (NASA GES DISC), resampled by EarthDigitalTwin/OCO3-data-transformer"


def read_oco3_sam(path: str | Path) -> Observations:
    """Filled cells of maps of one place on several days.

    Args:
        path: of a file with xco2, xco2_raw, xco2_uncertainty (time, latitude, longitude) in ppm.

    Returns:
        ppm on X2007, windows of a whole day, `vertical` None; `flags` is "0" for maps after the quality filter;
        `extra` has row and column of the grid, xco2_raw and, where given, xco2_apriori.

    Raises:
        TanhengError: another format, or nothing left.

    Reference: Eldering et al. 2019, doi 10.5194/amt-12-2341-2019; Taylor et al. 2023, doi 10.5194/amt-16-3173-2023.
    """
    with NetCDF(path) as file:
        lat, lon = (file.numbers(n, (n,)) for n in _CUBE[1:])
        hours = file.numbers("time", ("time",))
        moments = seconds_since(epoch(file, "time", "hours"), 3600.0 * hours, file.name)
        values = file.numbers("xco2", _CUBE, _PPM)
        t, i, j = np.nonzero(np.isfinite(values))
        extra = {"row": i.astype(float), "column": j.astype(float)}
        extra |= {n: finite(file.numbers(n, _CUBE, _PPM)[t, i, j]) for n in ("xco2_raw", "xco2_apriori") if file.has(n)}
        sigma = file.numbers("xco2_uncertainty", _CUBE, _PPM)[t, i, j]
        text = file.text("source", "")
        flag = "0" if "post_qf" in text else ""
        notes = (*_NOTES, f"{values[t, i, j].size} cells hold {np.unique(values[t, i, j]).size} different values",
                 "after the quality filter" if flag else "before the quality filter: cells of bad quality are in it",
                 text)  # fmt: skip
        source = file.source("oco3_sam", "instant", _ATTRIBUTION, notes)
    return _cells(values[t, i, j], moments[t], lon[j], lat[i], sigma, extra, np.full(t.size, flag), source, {})


def read_oco3_cells(path: str | Path) -> Observations:
    """Cells of maps of all places, of good quality.

    Args:
        path: of the table, plain or compressed by gzip.

    Returns:
        as `read_oco3_sam`; values are those after the quality filter. Uncertainty, a-priori and raw value are of the
        map before the filter and NaN where its cell held another sounding.

    Raises:
        TanhengError: another format, or nothing left.
    """
    data = content(path)
    table = _table(path, data)
    values, before = table["xco2_qf0"], table["xco2"]
    with np.errstate(invalid="ignore"):
        same = np.abs(values - before) < 1e-3
    extra = {n: np.where(same, table[n], np.nan) for n in ("xco2_raw", "xco2_apriori")}
    sigma = np.where(same, table["xco2_uncertainty"], np.nan)
    notes = (*_NOTES, "values are of the map after the quality filter; uncertainties only where both maps agree")
    source = source_of(path, "oco3_cells", "instant", _ATTRIBUTION, notes, data)
    return _cells(
        values, table["date"], table["lon"], table["lat"], sigma, extra, np.full(values.size, "0"), source,
        {"not of good quality": table["good"] != 1.0},
    )  # fmt: skip


def _cells(
    values: np.ndarray, moments: np.ndarray, lon: np.ndarray, lat: np.ndarray, sigma: np.ndarray,
    extra: dict[str, np.ndarray], flags: np.ndarray, source: Source, first: dict[str, np.ndarray],
) -> Observations:  # fmt: skip
    """Cells as observations over whole days."""
    keep, dropped = sift(first | unusable(values, moments, lon, lat, PLAUSIBLE["CO2"]), values.size)
    day = moments[keep].astype("datetime64[D]")
    n = day.size
    return Observations(
        values=values[keep], start=day, end=day + np.timedelta64(1, "D"), groups=np.char.add("OCO-3 ", day.astype(str)),
        kinds=np.full(n, "column"), unit="ppm", species="CO2", lon=lon[keep], lat=lat[keep],
        components=(noise(sigma[keep]),), scales=np.full(n, "WMO CO2 X2007"), flags=flags[keep],
        instruments=np.full(n, "OCO-3"), extra={k: v[keep] for k, v in extra.items()},
        sources=(source,), steps=(Step("read", n, dropped),),
    )  # fmt: skip


def _table(path: str | Path, data: bytes) -> dict[str, np.ndarray]:
    """Columns by name: dates as datetime64, all others as numbers with empty fields as NaN."""
    name = Path(path).name
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
        rows = list(csv.reader(io.StringIO(text)))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise TanhengError(
            f"{name} cannot be read", got=f"{type(error).__name__}: {error}", expected="a table, or gzip of one",
            remedy="copy the file again",
        ) from error  # fmt: skip
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise TanhengError(
            f"{name} has other columns", got=", ".join(rows[0])[:200] if rows else "nothing",
            expected=", ".join(_COLUMNS), remedy="use the table of cells as it was made",
        )  # fmt: skip
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(_COLUMNS):
            raise TanhengError(
                f"line {line} of {name} has another number of fields", got=len(row), expected=len(_COLUMNS),
                remedy="copy the file again",
            )  # fmt: skip
    fields = list(zip(*rows[1:], strict=True)) or [()] * len(_COLUMNS)
    try:
        table = {n: np.array([x or "nan" for x in f], float) for n, f in zip(_COLUMNS[1:], fields[1:], strict=True)}
        days = np.array([x if len(x) == 10 else "not a day" for x in fields[0]], "datetime64[D]")
    except ValueError as error:
        raise TanhengError(
            f"{name} has a field that is not a number or date", got=str(error), expected="numbers and YYYY-MM-DD",
            remedy="copy the file again",
        ) from error  # fmt: skip
    return table | {"date": days}

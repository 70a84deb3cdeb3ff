"""CAMS-REG-TEMPO: weights of the CAMS regional inventory, gridded (NetCDF, 0.1°) and simplified (tables by country)."""

from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF, source_of
from priors.profiles import TOLERANCE, Gridded, Profile, unit_mean
from priors.readers.profile_tables import LARGEST_WEIGHT, damaged, in_order, pick, profiles, table, weights_of
from priors.readers.time_axis import times_of
from transport.errors import TanhengError
from transport.grid import Grid

REFERENCE = "Guevara et al. 2021, doi 10.5194/essd-13-367-2021"
KEYS = ("iso3", "poll", "gnfr")
UNITS = {"": 1.0, "1": 1.0, "-": 1.0, "none": 1.0, "unitless": 1.0, "dimensionless": 1.0}
GRIDDED = {"FM": ("month", 12), "FW": ("weekday", 7), "FH": ("hour", 24), "FD": ("date", None)}
LOCAL = "taken as local time: the file does not say"


def read_cams_tempo_tables(country: str, pollutant: str, *paths: str | Path) -> dict[str, Profile]:
    """Simplified profiles of a country by GNFR sector, from the tables of months, weekdays and hours.

    Args:
        country: ISO 3166 code of three letters, "DEU".
        pollutant: as in the tables, "CO2", "CH4".
        paths: one to three tables, each kind once.

    Raises:
        TanhengError: not such tables, no such country or pollutant, a sector twice, other sectors in one of the tables,
            weights whose mean is off by over 1 %.

    Reference: as in `REFERENCE`.
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    sources = []
    for path in paths:
        names, rows = table(path, KEYS)
        place = [names.index(k) for k in KEYS]
        others = [i for i in range(len(names)) if i not in place]
        kind = in_order([names[i] for i in others], path)
        if kind in parts:
            raise damaged(path, f"a second table by {kind}", "each kind of table once")
        found: dict[str, np.ndarray] = {}
        for row in rows:
            iso, species, sector = (row[i] for i in place)
            if (iso.upper(), species.upper()) == (country.upper(), pollutant.upper()):
                if not sector or sector in found:
                    raise damaged(path, f"sector {sector!r} of {iso}, {species}", "each sector once, with its name")
                found[sector] = weights_of([row[i] for i in others], path)
        if not found:
            raise TanhengError(
                f"{Path(path).name} has no profile of {pollutant} in {country}",
                got=", ".join(sorted({f"{r[place[0]]} {r[place[1]]}" for r in rows})[:20]),
                expected=f"{country} {pollutant}",
                remedy="use the code of three letters, and a pollutant that the table holds",
            )  # fmt: skip
        parts[kind] = found
        sources.append(source_of(path, "CAMS-REG-TEMPO tables", "start", REFERENCE, (LOCAL,)))
    return profiles(parts, sources, "CAMS-REG-TEMPO")


def read_cams_tempo_grid(path: str | Path, variable: str, grid: Grid) -> Gridded:
    """One gridded weight (FM_*, FW_*, FD_* or FH_* with the GNFR letter), picked for each cell of a grid.

    Cells without weights, all of them missing or zero, get one; they are counted in the notes.

    Args:
        path: of the file.
        variable: "FD_C": days of residential combustion.
        grid: cells whose centres pick the cells of 0.1°.

    Raises:
        TanhengError: not such a file or variable, cells outside, weights whose mean is off by over 1 %.

    Reference: as in `REFERENCE`.
    """
    unit, count = GRIDDED.get(variable[:2], ("", 0))
    if not unit or variable[2:3] != "_":
        raise TanhengError("unknown weight of CAMS-REG-TEMPO", got=variable, expected="FM_*, FW_*, FD_* or FH_*",
                           remedy="name one of the file's variables")  # fmt: skip
    with NetCDF(path) as nc:
        dims = nc.dims(variable)
        if len(dims) != 3 or not (dims[1].startswith("lat") and dims[2].startswith("lon")):
            raise damaged(path, f"{variable}{dims}", "(time, lat, lon)")
        row, column = pick(nc.numbers(dims[2], dims[2:]), nc.numbers(dims[1], dims[1:2]), grid, nc.name)
        if "units" in nc.attributes(variable):
            nc.factor(variable, UNITS)
        weights = nc.numbers(variable, dims)[:, row, column]
        first = _first_day(nc, dims[0], len(weights)) if unit == "date" else None
        weights, note = _filled(weights, nc.name)
        if first is not None:
            weights, worst = _by_year(weights, first, nc.name), None
        elif len(weights) != count:
            raise damaged(path, f"{len(weights)} weights", f"{count} of {variable}")
        else:
            weights, worst = unit_mean(weights, f"{variable} of {nc.name}", axis=0)
        notes = (LOCAL, note, *((f"renormalised, mean off by up to {worst:.2g}",) if worst and worst > 1e-9 else ()))
        source = nc.source("CAMS-REG-TEMPO grid", "start", REFERENCE, tuple(n for n in notes if n))
    return Gridded(unit, weights, first=first, source=source)


def _filled(weights: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """One where a cell has no weights at all."""
    none = (~np.isfinite(weights) | (weights == 0)).all(axis=0)
    rest = weights[:, ~none]
    if not rest.size or not ((rest >= 0) & (rest < LARGEST_WEIGHT)).all():
        missing, whole = np.count_nonzero(~np.isfinite(rest)), np.count_nonzero(~none)
        got = f"{missing} missing in cells that have others, {whole} cells with weights"
        raise damaged(name, got, f"0…{LARGEST_WEIGHT:g} in whole cells")
    weights = np.where(none, 1.0, weights)
    return weights, f"{np.count_nonzero(none)} of {none.size} cells have no weights: constant" if none.any() else ""


def _first_day(nc: NetCDF, dim: str, days: int) -> np.datetime64:
    dates = times_of(nc, dim).astype("datetime64[D]")
    if not (np.diff(dates) == np.timedelta64(1, "D")).all() or len(dates) != days:
        raise damaged(nc.path, f"times {dates[:2]}…", "one day after the other")
    return dates[0]


def _by_year(weights: np.ndarray, first: np.datetime64, name: str) -> np.ndarray:
    """Mean one in each year, leap years of 366 d too.

    Raises:
        TanhengError: a mean that is off by over 1 %, or a part of a year, whose mean cannot be known.
    """
    years = (first + np.arange(len(weights))).astype("datetime64[Y]")
    for year in np.unique(years):
        rows = years == year
        whole = int(((year + 1).astype("datetime64[D]") - year.astype("datetime64[D]")).astype(int))
        mean = weights[rows].mean(axis=0)
        if rows.sum() != whole or np.abs(mean - 1.0).max() > TOLERANCE:
            raise damaged(name, f"{rows.sum()} days of {year}, mean {mean.min():.4g}…{mean.max():.4g}",
                          f"{whole} days of mean one")  # fmt: skip
        weights[rows] /= mean
    return weights

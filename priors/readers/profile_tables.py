"""What readers of temporal profiles share: tables of text with named columns, and cells that pick from a grid."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import lines_of
from inversion.observations.record import Source
from priors.profiles import Profile
from transport.errors import TanhengError
from transport.grid import Grid

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LARGEST_WEIGHT = 100.0  # more than all of a month in one day; a table that says so is damaged


def table(path: str | Path, needed: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table separated by semicolons or commas, comments (#) and empty lines left out.

    Args:
        path: of the file.
        needed: names that the header must hold, in small letters.

    Returns:
        the header in small letters without blanks, and rows of as many words.

    Raises:
        TanhengError: no text, no such header, rows of another length.
    """
    lines = [x for x in lines_of(path) if x.strip(" ;,\t") and not x.startswith("#")]
    header, rows = "", []
    if lines:
        separator = ";" if lines[0].count(";") >= lines[0].count(",") else ","
        try:
            header, *rows = [[w.strip() for w in row] for row in csv.reader(lines, delimiter=separator, strict=True)]
        except csv.Error as error:
            raise damaged(path, str(error), "a table") from error
    names = [w.lower() for w in header]
    missing = [n for n in needed if n not in names]
    if missing or len(set(names)) != len(names) or not rows:
        raise damaged(path, f"header {', '.join(names)[:100]!r}, {len(rows)} rows", f"columns {', '.join(needed)}")
    wrong = [r for r in rows if len(r) != len(names)]
    if wrong:
        raise damaged(
            path, f"a row of {len(wrong[0])} words: {';'.join(wrong[0])[:60]}", f"{len(names)} as in the header"
        )
    return names, rows


def damaged(path: str | Path, got: str, expected: str) -> TanhengError:
    """The error of a table that is not what its format says."""
    return TanhengError(
        f"{Path(path).name} is no table of temporal profiles", got=got, expected=expected,
        remedy="use the reader of this format, and the file as its makers published it",
    )  # fmt: skip


def weights_of(words: Sequence[str], path: str | Path) -> np.ndarray:
    """(n,) numbers of a row.

    Raises:
        TanhengError: one that is no number, negative or beyond any profile.
    """
    try:
        values = np.array([float(w) for w in words])
    except ValueError as error:
        raise damaged(path, str(error), "numbers") from error
    if not ((values >= 0) & (values < LARGEST_WEIGHT)).all():  # NaN fails too
        raise damaged(path, f"weights {values.min()}…{values.max()}", f"0…{LARGEST_WEIGHT:g}")
    return values


def in_order(names: Sequence[str], path: str | Path) -> str:
    """Whether columns are the months, weekdays or hours in their order: "month", "week" or "day".

    Raises:
        TanhengError: columns that are none of these.
    """
    plain = ["".join(c for c in n if c.isalnum()) for n in names]
    first = tuple(n[:3] for n in plain)
    if first in (MONTHS, DAYS):
        return "month" if first == MONTHS else "week"
    digits = [n.lstrip("abcdefghijklmnopqrstuvwxyz") for n in plain]
    numbers = [int(d) for d in digits if d.isascii() and d.isdigit() and len(d) < 3]
    for kind, count in (("month", 12), ("week", 7), ("day", 24)):
        if numbers == list(range(1, count + 1)) or (kind == "day" and numbers == list(range(24))):
            return kind
    raise damaged(path, f"columns {', '.join(names)[:100]!r}", "12 months, 7 weekdays from Monday, or 24 hours")


def profiles(parts: dict[str, dict[str, np.ndarray]], sources: Sequence[Source], what: str) -> dict[str, Profile]:
    """Profiles of the sectors that all of the tables hold.

    Args:
        parts: "month", "week", "day" to weights by sector.
        sources: the files.
        what: for errors.

    Raises:
        TanhengError: tables with different sectors, or weights that have no mean of one.
    """
    sectors = [set(p) for p in parts.values()]
    if not sectors or any(s != sectors[0] for s in sectors):
        uneven = sorted(set().union(*sectors) - set.intersection(*sectors)) if sectors else []
        raise TanhengError(
            f"the tables of {what} have different sectors", got=", ".join(uneven) or "no table",
            expected="the same in all",
            remedy="take all tables from one version, or read them one by one",
        )  # fmt: skip
    names, sums = (" + ".join(getattr(s, a) for s in sources) for a in ("name", "sha256"))
    source = dataclasses.replace(sources[0], name=names, sha256=sums)
    return {s: Profile.of(**{kind: p[s] for kind, p in parts.items()}, source=source) for s in sorted(sectors[0])}


def pick(lon: np.ndarray, lat: np.ndarray, grid: Grid, what: str) -> tuple[np.ndarray, np.ndarray]:
    """(ny, nx) row and column of the cell of an even grid of centres that holds the centre of each cell.

    Raises:
        TanhengError: centres that are not even, or cells outside.
    """
    for name, axis, most in (("longitudes", lon, 361.0), ("latitudes", lat, 90.0)):
        step = np.diff(np.nan_to_num(axis, nan=2 * most, posinf=2 * most, neginf=2 * most))
        if not (axis.size > 1 and (np.abs(axis) <= most).all() and step[0] != 0
                and np.ptp(step) < 0.01 * abs(step.mean())):  # fmt: skip
            raise damaged(what, f"{name} {np.array2string(axis, threshold=4)}", "even steps within the globe")
    x, y = grid.lonlat(*np.meshgrid(grid.x, grid.y))
    dx, dy = (lon[-1] - lon[0]) / (lon.size - 1), (lat[-1] - lat[0]) / (lat.size - 1)
    west = min(lon[0], lon[-1]) - abs(dx) / 2
    x = west + (x - west) % 360.0
    column, row = _nearest((x - lon[0]) / dx, lon.size), _nearest((y - lat[0]) / dy, lat.size)
    inside = (column >= 0) & (column < lon.size) & (row >= 0) & (row < lat.size)
    if not inside.all():
        raise TanhengError(
            f"{what} does not cover the grid", got=f"{np.count_nonzero(~inside)} of {inside.size} cells outside",
            expected=f"within {lon.min():.6g}…{lon.max():.6g}°E, {lat.min():.6g}…{lat.max():.6g}°N",
            remedy="cut the grid, or use profiles by country there",
        )  # fmt: skip
    return row, column


def _nearest(place: np.ndarray, size: int) -> np.ndarray:
    """Whole numbers nearest to places on an axis: an edge belongs to the next cell, and the last edge to the last cell.

    Not `rint`, which takes halves to the even number.
    """
    return np.where(place == size - 0.5, size - 1, np.floor(place + 0.5)).astype(int)

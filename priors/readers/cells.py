"""Cells of a file in the toolkit's order, cropping, and what every reader checks before it hands an inventory out."""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyproj

from inversion.observations.readers.files import NetCDF
from inversion.observations.record import Source, Step
from priors.inventory import Inventory
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid, check_crs

Box = tuple[float, float, float, float]
_DEGREES = ("degrees_east", "degrees_north", "degrees", "degree_east", "degree_north", "degree", "deg", "degrees_E",
            "degrees_N", "degreesE", "degreesN")  # fmt: skip
DEGREES: dict[str, float] = dict.fromkeys(_DEGREES, 1.0)
# The stack of the largest power station, 30 Mt yr-1, alone in a cell of (300 m)²: nothing emits more.
LARGEST_FLUX = 1e-2  # kg m-2 s-1


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
    """Rows and columns of a file, in the order of a grid.

    Args:
        grid: cells, south to north and west to east.
        rows, columns: indices of the file's last two axes.
        shape: (ny, nx) of the whole file.
    """

    grid: Grid
    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]

    def take(self, values: np.ndarray) -> np.ndarray:
        """(…, ny, nx) values of the grid's cells."""
        return values[..., self.rows[:, None], self.columns]

    @property
    def dropped(self) -> int:
        """How many cells of the file were cropped."""
        return self.shape[0] * self.shape[1] - self.rows.size * self.columns.size


def netcdf_cells(nc: NetCDF, box: Box | None, lon: str = "lon", lat: str = "lat") -> Cells:
    """Cells whose centres are coordinate variables of a file.

    Raises:
        TanhengError: they are not evenly spaced longitudes and latitudes.
    """
    centres = [nc.numbers(name, (name,), DEGREES) for name in (lon, lat)]
    return cells_of(centres[0], centres[1], nc.name, box)


def cells_of(lon: np.ndarray, lat: np.ndarray, what: str, box: Box | None = None) -> Cells:
    """Cells around evenly spaced centres, those that touch a box.

    A globe begins at −180° or where the box does; other longitudes are brought to −180…180, or next to the box. Cells
    around a pole end at it.

    Args:
        lon: (nx,) degrees east of centres, 0…360 or −180…180, either way round.
        lat: (ny,) degrees north of centres, either way round.
        what: name of the file.
        box: west, east, south, north in degrees; east may exceed 180.

    Raises:
        TanhengError: not such centres, or none of them in the box.
    """
    x, y = _edges(lon, f"longitudes of {what}", -360.0, 540.0), _edges(lat, f"latitudes of {what}", -90.0, 90.0)
    if np.ptp(x) > 360.0 * (1.0 + 1e-6):
        raise TanhengError(
            f"{what} spans more than the Earth", got=f"{np.ptp(x):.6g}°", expected="at most 360° of longitude",
            remedy="drop the columns that repeat",
        )  # fmt: skip
    check_box(box)
    x, columns = _columns(x, None if box is None else box[:2])
    y, rows = np.clip(y, -90.0, 90.0), np.arange(y.size - 1)
    if box is not None:
        keep_x, keep_y = _touched(x, box[0], box[1]), _touched(y, box[2], box[3])
        if not keep_x.size or not keep_y.size:
            raise TanhengError(
                f"{what} has no cell in the box", got=box,
                expected=f"within {x[0]:.6g}…{x[-1]:.6g}° E, {y[0]:.6g}…{y[-1]:.6g}° N", remedy="move the box",
            )  # fmt: skip
        x, columns = x[keep_x[0] : keep_x[-1] + 2], columns[keep_x]
        y, rows = y[keep_y[0] : keep_y[-1] + 2], rows[keep_y]
    if lon[-1] < lon[0]:
        columns = lon.size - 1 - columns
    if lat[-1] < lat[0]:
        rows = lat.size - 1 - rows
    return Cells(Grid(x, y, GEOGRAPHIC), rows, columns, (lat.size, lon.size))


def check_box(box: Box | None) -> None:
    """Refuse what is not west, east, south and north.

    Raises:
        TanhengError: names the box.
    """
    good = box is None or (
        np.shape(box) == (4,) and np.asarray(box).dtype.kind in "iuf"
        and box[0] < box[1] <= box[0] + 360.0 and -90.0 <= box[2] < box[3] <= 90.0
    )  # fmt: skip
    if not good:
        raise TanhengError(
            "a box is not one", got=box, expected="west < east, south < north in degrees",
            remedy="give (lon0, lon1, lat0, lat1), east beyond 180 across the date line",
        )  # fmt: skip


def _edges(centres: np.ndarray, what: str, low: float, high: float) -> np.ndarray:
    """Increasing edges of evenly spaced centres."""
    n = centres.size
    known = n > 1 and bool(np.isfinite(centres).all())
    step = (centres[-1] - centres[0]) / (n - 1) if known else np.nan
    even = known and step != 0.0 and np.all(np.abs(np.diff(centres) - step) <= 0.01 * abs(step))
    if not even or not (low <= centres.min() and centres.max() <= high):
        raise TanhengError(
            f"the {what} are not evenly spaced degrees", got=np.array2string(centres, threshold=6),
            expected=f"equal steps within {low:g}…{high:g}", remedy="use the file as its makers published it",
        )  # fmt: skip
    edges = min(centres[0], centres[-1]) + abs(step) * (np.arange(n + 1) - 0.5)
    # Centres are often in single precision: where the step is a round number, so are the edges.
    digits, round_step = np.round(edges, 5), abs(round(abs(step), 4) - abs(step)) < 1e-5 * abs(step)
    return digits if round_step and np.abs(digits - edges).max() < 1e-3 * abs(step) else edges


def _columns(x: np.ndarray, box: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray]:
    """Edges and columns such that they begin in the west and are continuous."""
    n, step = x.size - 1, (x[-1] - x[0]) / (x.size - 1)
    columns = np.arange(n)
    west = -180.0 if box is None else box[0]
    if abs(n * step - 360.0) <= 1e-3 * step:
        first = int(np.floor((west - x[0]) / step + 1e-6))
        return x[0] + step * (first + np.arange(n + 1)), (columns + first) % n
    if box is None:
        middle = 0.5 * (x[0] + x[-1])
        return x - 360.0 * np.floor((middle + 180.0) / 360.0), columns
    shared = [min(x[-1] + 360.0 * k, box[1]) - max(x[0] + 360.0 * k, box[0]) for k in (-2, -1, 0, 1, 2)]
    return x + 360.0 * (int(np.argmax(shared)) - 2), columns


def _touched(edges: np.ndarray, low: float, high: float) -> np.ndarray:
    """Indices of the cells that share more than an edge with an interval."""
    slack = 1e-6 * (edges[1] - edges[0])
    return np.flatnonzero((edges[1:] > low + slack) & (edges[:-1] < high - slack))


def projection(text: str, what: str) -> pyproj.CRS:
    """A projection that PROJ knows.

    Raises:
        TanhengError: it is none.
    """
    crs = check_crs(text, what)
    if not crs.is_projected:
        raise TanhengError(
            f"the cells of {what} are not in a projection", got=crs.name, expected="coordinates in metres",
            remedy="leave crs out for longitude and latitude",
        )  # fmt: skip
    return crs


def gathered(
    species: str,
    rates: Mapping[str, np.ndarray],
    cells: Cells,
    times: np.ndarray,
    source: Source,
    classification: str = "",
    signed: bool = False,
) -> Inventory:
    """An inventory of rates that have been looked at.

    Args:
        species: "CO2" or "CH4".
        rates: sector to (nt, ny, nx) kg s-1 per cell.
        cells: of the file.
        times: (nt+1,) edges of periods.
        source: of the file.
        classification: of the sectors.
        signed: whether uptake is possible.

    Raises:
        TanhengError: missing values, negative ones without sinks, or more than anything on Earth emits.
    """
    for name, rate in rates.items():
        missing = int(np.count_nonzero(~np.isfinite(rate)))
        worst = float(np.abs(np.where(np.isfinite(rate), rate, 0.0) / cells.grid.areas).max(initial=0.0))
        lowest = float(np.nanmin(rate, initial=0.0))
        if missing or worst > LARGEST_FLUX or (lowest < 0.0 and not signed):
            raise TanhengError(
                f"values of {name} in {source.name} cannot be meant",
                got=f"{missing} missing, lowest {lowest:.3g} kg s-1, largest {worst:.3g} kg m-2 s-1",
                expected=f"all there, {'' if signed else 'none negative, '}up to {LARGEST_FLUX:g} kg m-2 s-1",
                remedy="compare the file's checksum with its source, and its unit with what the reader expects",
            )  # fmt: skip
    dropped = (("cells outside the box", cells.dropped),) if cells.dropped else ()
    step = Step("read", cells.rows.size * cells.columns.size, dropped)
    return Inventory(
        species, tuple(rates), np.stack(list(rates.values())), cells.grid, times, classification, (source,), (step,)
    )


def said_by_name(pattern: re.Pattern[str], path: str | Path, what: str, example: str) -> re.Match[str]:
    """What the name of a file says, by a pattern that finds it.

    Raises:
        TanhengError: it does not.
    """
    match = pattern.search(Path(path).name)
    if match is None:
        raise TanhengError(
            f"the name of {what} file does not say what it holds", got=Path(path).name, expected=f"e.g. {example}",
            remedy="give it its original name",
        )  # fmt: skip
    return match


def year_of(year: int) -> np.ndarray:
    """(2,) edges of a calendar year."""
    return np.array([f"{year:04d}-01-01", f"{year + 1:04d}-01-01"], "datetime64[s]")


def months_of(year: int, first: int = 1, count: int = 12) -> np.ndarray:
    """(count+1,) edges of calendar months.

    Raises:
        TanhengError: there is no such month.
    """
    if not (1 <= first <= 12 and first + count <= 13):
        raise TanhengError(
            "there is no such month", got=f"{first} of {year}", expected="1…12", remedy="correct the file's name"
        )
    start = np.datetime64(f"{year:04d}-{first:02d}", "M")
    return (start + np.arange(count + 1)).astype("datetime64[s]")


def check_twice(inventories: Sequence[Inventory]) -> None:
    """Refuse one file that was read twice under two names of its sector.

    Raises:
        TanhengError: names the sectors.
    """
    for a, b in itertools.combinations(inventories, 2):
        shared = {s.sha256 for s in a.sources} & {s.sha256 for s in b.sources}
        for (m, x), (n, y) in itertools.product(enumerate(a.sectors), enumerate(b.sectors)) if shared else ():
            if a.rate[m].any() and np.array_equal(a.rate[m], b.rate[n]):
                raise TanhengError(
                    "one file was read twice", got=f"{x} of {a.sources[0].name} is {y} of {b.sources[0].name}",
                    expected="each file once", remedy="leave one of them out",
                )  # fmt: skip


def joined(inventories: Sequence[Inventory]) -> Inventory:
    """Files of one inventory put together: the same sectors in later periods, or other sectors of the same period.

    Raises:
        TanhengError: none at all; they differ in anything else, or repeat, be it under another name.
    """
    if not inventories:
        raise TanhengError(
            "there is nothing to join", got="no inventories", expected="one or more", remedy="name the files to read"
        )
    first = inventories[0]
    same = [
        (i.species, i.classification, i.grid.crs) == (first.species, first.classification, first.grid.crs)
        and np.array_equal(i.grid.x_edges, first.grid.x_edges) and np.array_equal(i.grid.y_edges, first.grid.y_edges)
        for i in inventories
    ]  # fmt: skip
    sources = tuple(s for i in inventories for s in i.sources)
    steps = (Step(f"joined from {len(inventories)} inventories", sum(i.rate[0, 0].size for i in inventories)),)
    if all(same) and all(i.sectors == first.sectors for i in inventories):
        ordered = sorted(inventories, key=lambda i: i.times[0])
        if all((a.times[-1] == b.times[0]) for a, b in itertools.pairwise(ordered)):
            times = np.concatenate([ordered[0].times, *(i.times[1:] for i in ordered[1:])])
            rate = np.concatenate([i.rate for i in ordered], axis=1)
            return dataclasses.replace(first, rate=rate, times=times, sources=sources, steps=steps)
    elif all(same) and all(np.array_equal(i.times, first.times) for i in inventories):
        sectors = tuple(s for i in inventories for s in i.sectors)
        check_twice(inventories)
        rate = np.concatenate([i.rate for i in inventories])
        return dataclasses.replace(first, sectors=sectors, rate=rate, sources=sources, steps=steps)
    raise TanhengError(
        "inventories cannot be joined", got="; ".join(map(repr, inventories[:3])),
        expected="the same cells and sectors in periods that follow each other, or other sectors of the same periods",
        remedy="join the months of each sector first, then the sectors",
    )  # fmt: skip

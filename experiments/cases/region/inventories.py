"""Inventories on the cells of a region: readers by name, sectors under their final names, and what is not covered."""

import dataclasses
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj

from experiments import schema
from experiments.data import locate
from inversion.observations.record import Source
from priors import synthetic
from priors.inventory import Inventory
from priors.point_sources import PointSource, PointSources
from priors.readers.cams_reg import read_cams_reg
from priors.readers.carbontracker_flux import read_carbontracker
from priors.readers.cells import Box, joined
from priors.readers.edgar import read_edgar
from priors.readers.epa import read_epa
from priors.readers.generic import Description, read_described
from priors.readers.gfed import read_gfed
from priors.readers.meic import read_meic
from priors.readers.odiac import read_odiac
from priors.readers.open_methane import read_open_methane
from priors.readers.openghg_flux import read_openghg_flux
from priors.readers.tno import read_tno, read_tno_points
from priors.regrid import overlaps, regrid
from priors.sectors import classified
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid

GENERATED = "generated"  # reader of files in EDGAR's form that are made on the spot
SYNTHETIC = "SYNTHETIC_"
COVERED = 1.0 - 1e-6  # rounding of coordinates
Reader = Callable[[Path, schema.InventoryFile, str, Box], Inventory]


def _described(path: Path, item: schema.InventoryFile, box: Box) -> Inventory:
    description = Description.of(locate(item.description)[0])
    return read_described(path, description, None if description.crs else box)


READERS: dict[str, Reader] = {
    "cams_reg": lambda path, item, species, box: read_cams_reg(path, box),
    "carbontracker": lambda path, item, species, box: read_carbontracker(path, box),
    "described": lambda path, item, species, box: _described(path, item, box),
    "edgar": lambda path, item, species, box: read_edgar(path, box),
    "epa": lambda path, item, species, box: read_epa(path, box),
    "gfed": lambda path, item, species, box: read_gfed(path, species, box),
    "meic": lambda path, item, species, box: read_meic(path, box),
    "odiac": lambda path, item, species, box: read_odiac(path, box),
    "open_methane": lambda path, item, species, box: read_open_methane(path, box),
    "openghg": lambda path, item, species, box: read_openghg_flux(path, box, item.period, item.uncovered == "zero"),
    "tno": lambda path, item, species, box: read_tno(path, species, None, box),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """What one file, or several of the same sectors, say of the region.

    Args:
        reader: name.
        inventory: on the cells of the region, in the file's own periods, under the final names of sectors.
        originals: final sector to the sectors of the file that are in it.
        scheme: classification of these.
        covered: (ny, nx) share of each cell that the file covers.
        outside: kg s-1 of the cells that were read but do not lie in the region.
        left_out: kg s-1 in the region of sectors that are not wanted.
    """

    reader: str
    inventory: Inventory
    originals: dict[str, tuple[str, ...]]
    scheme: str
    covered: np.ndarray
    outside: float
    left_out: dict[str, float]

    @property
    def names(self) -> str:
        """Of the files."""
        return ", ".join(s.name for s in self.inventory.sources)


def parts_of(prior: schema.InventoryPrior, grid: Grid, box: Box, inputs: dict[str, str]) -> list[Part]:
    """All inventories, months of the same sectors joined.

    Args:
        prior: the configured inventories.
        grid: cells of the region.
        box: west, east, south, north in degrees, around the region.
        inputs: gets the SHA-256 of every file.

    Raises:
        TanhengError: an unknown reader or sector, another species, a region that is not covered, periods with gaps.
    """
    found: dict[tuple, list[Part]] = {}
    for item in prior.inventories:
        for read in _read(item, prior.species, box, inputs):
            part = _part(item, prior, read, grid)
            found.setdefault((part.reader, tuple(part.originals.items())), []).append(part)
    return [_in_time(same) for same in found.values()]


def _read(item: schema.InventoryFile, species: str, box: Box, inputs: dict[str, str]) -> list[Inventory]:
    """The file as it stands, on its own cells; TNO's point sources are put into cells later."""
    if item.reader == GENERATED:
        with tempfile.TemporaryDirectory() as folder:
            made = [read_edgar(path) for path in synthetic.edgar_files(Path(folder), *box)]
        return [dataclasses.replace(i, sources=tuple(map(_marked, i.sources))) for i in made]
    if item.reader not in READERS:
        raise TanhengError(
            "no such reader of inventories", got=item.reader, expected=", ".join((*READERS, GENERATED)),
            remedy="correct prior.inventories[].reader",
        )  # fmt: skip
    path, inputs[item.file] = locate(item.file)
    if item.description:
        inputs[item.description] = locate(item.description)[1]
    return [READERS[item.reader](path, item, species, box)]


def _marked(source: Source) -> Source:
    """A generated file is nobody's work, and must not be taken for one that is."""
    return dataclasses.replace(source, name=SYNTHETIC + source.name, attribution="")


def _part(item: schema.InventoryFile, prior: schema.InventoryPrior, read: Inventory, grid: Grid) -> Part:
    if read.species != prior.species:
        raise TanhengError(
            f"{item.file or item.reader} is of another species", got=read.species, expected=prior.species,
            remedy="set prior.species, or leave the file out",
        )  # fmt: skip
    share = _coverage(item, read, grid)
    here = regrid(read, grid, uncovered="zero")  # what is not covered has been refused, or asked for
    outside = read.total() - here.total()
    if item.reader == "tno":
        here = _with_points(here, locate(item.file)[0], prior.species, grid)
    left_out = {}
    if item.leave_out:
        left_out = here.select(item.leave_out).totals()  # refuses names that the file does not have
        kept = [s for s in here.sectors if s not in item.leave_out]
        if not kept:
            raise TanhengError(
                f"nothing is left of {item.file}", got=", ".join(item.leave_out), expected="one sector at least",
                remedy="correct prior.inventories[].leave_out",
            )  # fmt: skip
        here = here.select(kept)
    named, originals = _named(item, here, prior.classification)
    return Part(item.reader, named, originals, read.classification, share, outside, left_out)


def _coverage(item: schema.InventoryFile, read: Inventory, grid: Grid) -> np.ndarray:
    """(ny, nx) share of each cell that the inventory covers.

    Raises:
        TanhengError: a part of the region is not covered, and the configuration does not say that nothing is there.
    """
    share = overlaps(read.grid, grid).covered
    share = np.where(share > COVERED, 1.0, np.clip(share, 0.0, 1.0))
    if item.uncovered == "refuse" and (share < 1.0).any():
        raise TanhengError(
            f"{item.file or item.reader} covers a part of the region only", got=f"{100 * share.mean():.1f} % of it",
            expected="all of it",
            remedy="move or shrink the square (case.longitude, latitude, half_km), add a file that covers the rest, or "
            "say uncovered: zero of this file where nothing is emitted outside of it",
        )  # fmt: skip
    return share


def _with_points(here: Inventory, path: Path, species: str, grid: Grid) -> Inventory:
    """TNO's area sources with its point sources in their cells."""
    listed = read_tno_points(path, species)
    if not listed.points:
        return here
    sources = [PointSource(f.name + f.sector, f.lon, f.lat, f.sector, 0.0) for f in listed.points]
    rate = np.array([[f.rate] for f in listed.points])
    to_grid = pyproj.Transformer.from_crs(GEOGRAPHIC, grid.crs, always_xy=True)
    x, y = to_grid.transform([s.lon for s in sources], [s.lat for s in sources])
    x, y = np.asarray(x), np.asarray(y)
    within = (x > grid.x_edges[0]) & (x < grid.x_edges[-1]) & (y > grid.y_edges[0]) & (y < grid.y_edges[-1])
    if not within.any():
        return here
    points = PointSources(species, tuple(itertools.compress(sources, within)), here.times, rate[within])
    mass, total = points.inventory(grid), here.rate.copy()
    for name, field in zip(mass.sectors, mass.rate, strict=True):
        total[here.sectors.index(name)] += field
    return dataclasses.replace(here, rate=total, steps=(*here.steps, *mass.steps))


def _named(
    item: schema.InventoryFile, read: Inventory, classification: str
) -> tuple[Inventory, dict[str, tuple[str, ...]]]:
    """The inventory under its final names of sectors, and what is in each."""
    if item.sector:
        return read.merged({item.sector: read.sectors}, "as named in the configuration"), {item.sector: read.sectors}
    originals = {s: (s,) for s in read.sectors}
    if classification and read.classification != classification:
        each = {s: classified(read.select([s]), classification).sectors[0] for s in read.sectors}
        read = classified(read, classification)
        originals = {s: tuple(o for o, name in each.items() if name == s) for s in read.sectors}
    if item.groups:
        read.select([s for group in item.groups.values() for s in group])  # refuses names that are not there
        rest = {s: [s] for s in read.sectors if not any(s in group for group in item.groups.values())}
        groups = {**item.groups, **rest}
        read = read.merged(groups, "groups of the configuration")
        originals = {name: tuple(o for s in group for o in originals[s]) for name, group in groups.items()}
    return read, originals


def _in_time(parts: list[Part]) -> Part:
    """Files of the same sectors in periods that follow each other, as one."""
    if len(parts) == 1:
        return parts[0]
    ordered = sorted(parts, key=lambda p: p.inventory.times[0])
    for a, b in itertools.pairwise(ordered):
        if a.inventory.times[-1] != b.inventory.times[0]:
            raise TanhengError(
                f"{a.names} and {b.names} hold the same sectors, in periods that do not follow each other",
                got=f"{a.inventory.times[0]} … {a.inventory.times[-1]}, {b.inventory.times[0]} … "
                f"{b.inventory.times[-1]}", expected="one file for each month or year, without gaps",
                remedy="leave one out, or give the files between (prior.inventories)",
            )  # fmt: skip
    together = joined([p.inventory for p in ordered])
    seconds = np.array([p.inventory.seconds.sum() for p in ordered])
    share = seconds / seconds.sum()
    names = dict.fromkeys(s for p in ordered for s in p.left_out)
    left_out = {s: sum(w * p.left_out.get(s, 0.0) for w, p in zip(share, ordered, strict=True)) for s in names}
    outside = float(np.dot(share, [p.outside for p in ordered]))
    covered = np.min([p.covered for p in ordered], axis=0)
    return dataclasses.replace(ordered[0], inventory=together, covered=covered, outside=outside, left_out=left_out)

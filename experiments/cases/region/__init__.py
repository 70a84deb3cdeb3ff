"""The prior of a region from files: inventories ⊕ plants ⊕ vegetation on one grid, by the hour, with its B.

rate(sector, t, cell) = regridded mean of the period · weights of month, weekday and hour       B from errors by sector
"""

import dataclasses

import numpy as np
import pyproj

from experiments import schema
from experiments.cases import Citation
from experiments.cases.region.hours import (
    Brought,
    brought,
    by_the_hour,
    clock_of,
    vegetation,
    weights_of,
    window_of,
)
from experiments.cases.region.inventories import GENERATED, Part, parts_of
from experiments.cases.region.plants import plants_of, refuse_capture_of_nothing, without
from experiments.cases.region.sectors import combined, named
from experiments.cases.region.uncertainty import ALL, Uncertainty, uncertainty_of
from experiments.progress import stage
from priors.inventory import Inventory
from priors.point_sources import PointSource, PointSources
from priors.readers.cells import Box
from transport.grid import GEOGRAPHIC, Grid

__all__ = ["ALL", "File", "Region", "box_of", "build", "grid_of"]


@dataclasses.dataclass(frozen=True)
class File:
    """What the page says of one file, or of several that were joined.

    Args:
        names: of the files.
        period: that they hold.
        inside, outside: kg s-1 in the region, and of the cells read that lie outside of it.
        covered: share of the region, 0…1.
        left_out: kg s-1 in the region of sectors that are not wanted.
    """

    names: tuple[str, ...]
    period: str
    inside: float
    outside: float
    covered: float
    left_out: dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Region:
    """A built prior.

    Args:
        name, title, species, citations, inputs, seeds, notes: as in `Setup`.
        synthetic: "" for files of others, else what is generated.
        annual: emissions by sector, one period: the mean of the years of the window where `yearly` names the sector,
            otherwise of what its file holds of them.
        yearly: sectors of which `annual` is the mean of whole years.
        hours: emissions and vegetation by the hour of the window.
        uncertainty: B of factors on each sector and cell, and totals.
        labels: sectors as they are printed.
        covered: sector to (ny, nx) share of each cell that its files cover.
        files: what was read.
        plants: in the region.
    """

    name: str
    title: str
    species: str
    synthetic: str
    annual: Inventory
    yearly: frozenset[str]
    hours: Inventory
    uncertainty: Uncertainty
    labels: dict[str, str]
    covered: dict[str, np.ndarray]
    files: tuple[File, ...]
    plants: tuple[PointSource, ...] = ()
    citations: tuple[Citation, ...] = ()
    inputs: dict[str, str] = dataclasses.field(default_factory=dict)
    seeds: dict[str, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def grid_of(case: schema.RegionCase) -> Grid:
    """Square cells around the place, equal-area."""
    lon = (case.longitude + 180.0) % 360.0 - 180.0
    crs = f"+proj=laea +lat_0={case.latitude!r} +lon_0={lon!r} +datum=WGS84 +units=m"
    count = round(2 * case.half_km / case.spacing_km)
    edges = 1e3 * case.spacing_km * (np.arange(count + 1) - 0.5 * count)
    return Grid(edges, edges, crs)


def box_of(grid: Grid, longitude: float, margin: float = 0.6) -> Box:
    """West, east, south, north in degrees around a square, longitudes continuous around its centre.

    Args:
        grid: of `grid_of`, centred on the place.
        longitude: of the place.
        margin: degrees of latitude on every side; as much in longitude by distance, so that cells of 1° are whole.
    """
    x, y = np.meshgrid(grid.x_edges, grid.y_edges)
    lon, lat = pyproj.Transformer.from_crs(grid.crs, GEOGRAPHIC, always_xy=True).transform(x, y)
    middle = (longitude + 180.0) % 360.0 - 180.0
    lon = middle + (lon - middle + 180.0) % 360.0 - 180.0
    south, north = max(lat.min() - margin, -90.0), min(lat.max() + margin, 90.0)
    poles = pyproj.Transformer.from_crs(GEOGRAPHIC, grid.crs, always_xy=True).transform([middle] * 2, [-90.0, 90.0])[1]
    if poles[0] > grid.y_edges[0] or poles[1] < grid.y_edges[-1] or north == 90.0 or south == -90.0:
        ends = (-90.0 if poles[0] > grid.y_edges[0] else south, 90.0 if poles[1] < grid.y_edges[-1] else north)
        whole = float(np.round(middle))
        return whole - 180.0, whole + 180.0, float(ends[0]), float(ends[1])
    wide = margin / np.cos(np.deg2rad(max(abs(south), abs(north))))
    west, east = max(lon.min() - wide, middle - 180.0), min(lon.max() + wide, middle + 180.0)
    return float(west), float(east), float(south), float(north)


def build(config: schema.Config) -> Region:
    """The prior of the configured region.

    Raises:
        TanhengError: an option that the case cannot use, an unknown reader or sector, a file that is refused.
    """
    case = schema.expect(config.case, schema.RegionCase, "case", "region")
    prior = schema.expect(config.prior, schema.InventoryPrior, "prior", "region")
    grid, clock, window, inputs = grid_of(case), clock_of(case), window_of(case), {}
    box = box_of(grid, case.longitude)
    with stage("inventories: reading and regridding"):
        read = [brought(part, window) for part in parts_of(prior, grid, box, inputs)]
        years = np.arange(window[0].astype("M8[Y]"), (window[1] - 1).astype("M8[Y]") + 2).astype("M8[s]")
        plants, said = plants_of(prior, grid, box, years, inputs)
        files = tuple(_file(b) for b in read)
        if plants is not None:
            read, said = _with_plants(read, plants, prior, grid, said)
    with stage("hours, vegetation"):
        names = dict.fromkeys(s for b in read for s in b.part.inventory.sectors)
        weights = weights_of(prior, list(names), clock, inputs)
        hours = combined([b.part for b in read], [by_the_hour(b, weights, clock, window) for b in read])
        means = [dataclasses.replace(b.part.inventory.mean(), times=years[[0, -1]]) for b in read]
        annual = combined([b.part for b in read], means)
        if prior.vegetation:
            hours = _beside(hours, vegetation(case, prior, grid, hours.times))
    with stage("uncertainty"):
        uncertainty = uncertainty_of(hours, annual.sectors, grid, prior)
    return Region(
        name="region",
        title=case.title,
        species=prior.species,
        synthetic=_synthetic(prior),
        annual=annual,
        yearly=frozenset(s for s in names if all(b.whole_year for b in read if s in b.part.inventory.sectors)),
        hours=hours,
        uncertainty=uncertainty,
        labels=named([b.part for b in read], hours.sectors),
        covered={s: np.min([b.part.covered for b in read if s in b.part.inventory.sectors], axis=0) for s in names},
        files=files,
        plants=() if plants is None else plants.sources,
        citations=tuple(map(Citation, dict.fromkeys(s.attribution for s in hours.sources if s.attribution))),
        inputs=inputs,
        notes=(*_made_up(prior), *_of_files(files), *(b.note + "." for b in read if b.note), *said),
    )


def _file(b: Brought) -> File:
    part = b.part
    share = float(part.covered.mean())
    names = tuple(s.name for s in part.inventory.sources)
    return File(names, b.period, part.inventory.total(), part.outside, share, part.left_out)


def _of_files(files: tuple[File, ...]) -> list[str]:
    """Where a file does not cover the region."""
    return [
        f"{', '.join(f.names)} covers {100 * f.covered:.1f} % of the region; the rest is counted as free of emissions, "
        "as asked." for f in files if f.covered < 1.0
    ]  # fmt: skip


def _with_plants(
    read: list[Brought], plants: PointSources, prior: schema.InventoryPrior, grid: Grid, said: tuple[str, ...]
) -> tuple[list[Brought], tuple[str, ...]]:
    """The parts and the plants as one more, their mass taken out of the sectors that hold it."""
    parts, mass = [b.part for b in read], plants.inventory(grid)
    refuse_capture_of_nothing(mass, parts)
    if prior.plants_from:
        parts, how = without(parts, mass, prior.plants_from)
        said = (*said, how)
    whole = Part("plants", mass, {s: (s,) for s in mass.sectors}, "", np.ones(grid.shape), 0.0, {})
    moved = [dataclasses.replace(b, part=p) for b, p in zip(read, parts, strict=True)]
    return [*moved, Brought(whole, True, "")], said


def _beside(hours: Inventory, other: Inventory) -> Inventory:
    return dataclasses.replace(
        hours, sectors=(*hours.sectors, *other.sectors), rate=np.concatenate([hours.rate, other.rate]),
        sources=(*hours.sources, *other.sources), steps=(*hours.steps, *other.steps),
    )  # fmt: skip


def _synthetic(prior: schema.InventoryPrior) -> str:
    """What is generated, as the banner says it."""
    made = [item.reader == GENERATED for item in prior.inventories]
    what = []
    if any(made):
        what.append("the inventory" if all(made) else "a part of the inventories")
    if prior.vegetation:
        what.append("the vegetation")
    return f"{' and '.join(what)} {'are' if len(what) > 1 else 'is'} generated" if what else ""


def _made_up(prior: schema.InventoryPrior) -> list[str]:
    notes = []
    if any(item.reader == GENERATED for item in prior.inventories):
        notes.append("SYNTHETIC: the inventory is generated, in the form of EDGAR; it says nothing about the place.")
    if prior.vegetation:
        notes.append("SYNTHETIC vegetation: VPRM with generated weather, uniform land cover and made-up parameters.")
    return notes

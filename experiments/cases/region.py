"""The prior of a region from files: inventories ⊕ plants ⊕ vegetation on one grid, by the hour, with its B.

rate(sector, t, cell) = regridded annual mass · weights of month, weekday and hour       B from errors by sector
"""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pyproj

from experiments import schema
from experiments.cases import Citation
from experiments.data import locate
from experiments.progress import stage
from inversion.basis import cells
from inversion.covariance import AbstractCovariance, Exponential
from inversion.steps import steps
from priors import biosphere, covariance, synthetic
from priors.clock import Clock
from priors.covariance import Errors, Total
from priors.inventory import KILOGRAMS_PER_MEGATONNE, Inventory
from priors.point_sources import PointSource, PointSources
from priors.profiles import Profile, hourly
from priors.readers.coco2 import read_coco2
from priors.readers.edgar import read_edgar
from priors.readers.epa import read_epa
from priors.readers.meic import read_meic
from priors.readers.odiac import read_odiac
from priors.readers.open_methane import read_open_methane
from priors.readers.openghg_flux import read_openghg_flux
from priors.regrid import regrid
from priors.sectors import classified
from transport.constants import SECONDS_PER_YEAR
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid

READERS: dict[str, Callable[..., Inventory]] = {
    "edgar": read_edgar, "epa": read_epa, "meic": read_meic, "odiac": read_odiac, "open_methane": read_open_methane,
    "openghg": read_openghg_flux,
}  # fmt: skip
GENERATED = "generated"  # reader of a file in EDGAR's form that is made on the spot
CATALOGUE_HEIGHT = 150.0  # m; the catalogue names a vertical profile, not a stack
ALL = "all emissions"


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """A built prior.

    Args:
        name, title, species, citations, inputs, seeds, notes: as in `Setup`.
        synthetic: "" for files of others, else what is generated.
        annual: emissions by sector, one period.
        hours: emissions and vegetation by the hour of the window.
        B: of factors on each sector and cell, over the whole window.
        totals: of all emissions and of each sector.
        marks: plants.
    """

    name: str
    title: str
    species: str
    synthetic: str
    annual: Inventory
    hours: Inventory
    B: AbstractCovariance
    totals: tuple[Total, ...]
    plants: tuple[PointSource, ...] = ()
    citations: tuple[Citation, ...] = ()
    inputs: dict[str, str] = dataclasses.field(default_factory=dict)
    seeds: dict[str, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def grid_of(case: schema.RegionCase) -> Grid:
    """Square cells around the place, equal-area."""
    crs = f"+proj=laea +lat_0={case.latitude:g} +lon_0={case.longitude:g} +datum=WGS84 +units=m"
    count = round(2 * case.half_km / case.spacing_km)
    edges = 1e3 * case.spacing_km * (np.arange(count + 1) - 0.5 * count)
    return Grid(edges, edges, crs)


def _box(grid: Grid, margin: float = 0.6) -> tuple[float, float, float, float]:
    x, y = np.meshgrid(grid.x_edges, grid.y_edges)
    lon, lat = pyproj.Transformer.from_crs(grid.crs, GEOGRAPHIC, always_xy=True).transform(x, y)
    return lon.min() - margin, lon.max() + margin, lat.min() - margin, lat.max() + margin


def build(config: schema.Config) -> Region:
    """The prior of the configured region.

    Raises:
        TanhengError: an option that the case cannot use, an unknown reader or sector, a file that is refused.
    """
    case = schema.expect(config.case, schema.RegionCase, "case", "region")
    prior = schema.expect(config.prior, schema.InventoryPrior, "prior", "region")
    grid, inputs = grid_of(case), {}
    with stage("inventories: reading and regridding"):
        parts = [_read(item, prior, grid, inputs) for item in prior.inventories]
        annual = _together(parts)
        plants = _plants(prior, grid, annual.times, inputs)
        if plants is not None:
            annual = _together([_without(annual, plants, prior.plants_from), plants.inventory(grid)])
    with stage("hours, vegetation"):
        hours = _hours(annual, case, prior)
        if prior.vegetation:
            hours = _together([hours, _vegetation(case, prior, grid, hours.times)])
    with stage("uncertainty"):
        B, totals = _uncertainty(hours, annual.sectors, grid, prior)
    made_up = any(item.reader == GENERATED for item in prior.inventories)
    notes = []
    if made_up:
        notes.append("SYNTHETIC: the inventory is generated, in the form of EDGAR; it says nothing about the place.")
    if prior.vegetation:
        notes.append("SYNTHETIC vegetation: VPRM with generated weather, uniform land cover and made-up parameters.")
    if plants is not None and prior.plants_from:
        notes.append(f"The mass of the plants was taken out of {', '.join(prior.plants_from)} in proportion.")
    return Region(
        name="region",
        title=case.title,
        species=prior.species,
        synthetic="the inventory is generated" if made_up else "",
        annual=annual,
        hours=hours,
        B=B,
        totals=totals,
        plants=() if plants is None else plants.sources,
        citations=tuple(Citation(s.attribution) for s in annual.sources if s.attribution),
        inputs=inputs,
        notes=tuple(notes),
    )


def _read(item: schema.InventoryFile, prior: schema.InventoryPrior, grid: Grid, inputs: dict[str, str]) -> Inventory:
    """One file, on the cells of the region, as one period."""
    if item.reader == GENERATED:
        with tempfile.TemporaryDirectory() as folder:
            made = [read_edgar(path) for path in synthetic.edgar_files(Path(folder), *_box(grid))]
        read = _together(made)
    elif item.reader in READERS:
        path, digest = locate(item.file)
        inputs[item.file] = digest
        options = {} if item.period is None else {"period": item.period}
        box = {} if item.reader == "open_methane" else {"box": _box(grid)}
        read = READERS[item.reader](path, **box, **options)
    else:
        raise TanhengError(
            "no such reader of inventories", got=item.reader, expected=", ".join((*READERS, GENERATED)),
            remedy="correct prior.inventories[].reader",
        )  # fmt: skip
    if read.species != prior.species:
        raise TanhengError(
            f"{item.file or item.reader} is of another species", got=read.species, expected=prior.species,
            remedy="set prior.species, or leave the file out",
        )  # fmt: skip
    if item.sector:
        read = read.merged({item.sector: read.sectors}, "as named in the configuration")
    if item.leave_out:
        read.select(item.leave_out)  # refuses names that the file does not have
        read = read.select([s for s in read.sectors if s not in item.leave_out])
    if prior.classification:
        read = classified(read, prior.classification)
    # The example's file ends within the region, where its makers counted nothing.
    return _mean(regrid(read, grid, uncovered="zero" if item.reader == "open_methane" else "refuse"))


def _mean(inventory: Inventory) -> Inventory:
    """One period: the mean of all."""
    share = inventory.seconds / inventory.seconds.sum()
    rate = np.einsum("styx,t->syx", inventory.rate, share)[:, None]
    return dataclasses.replace(inventory, rate=rate, times=inventory.times[[0, -1]])


def _together(parts: list[Inventory]) -> Inventory:
    """Sectors of all; the first one's periods stand for all, because annual means are taken as they are."""
    first = parts[0]
    same = [p for p in parts[1:] if p.rate.shape[1:] != first.rate.shape[1:]]
    names = [s for p in parts for s in p.sectors]
    if same or len(set(names)) != len(names):
        raise TanhengError(
            "inventories cannot be put side by side", got=", ".join(names), expected="sectors of different names",
            remedy="name the sector of a file (prior.inventories[].sector), or leave one out",
        )  # fmt: skip
    rate = np.concatenate([p.rate for p in parts])
    sources = tuple(dict.fromkeys(s for p in parts for s in p.sources))
    return dataclasses.replace(
        first, sectors=tuple(names), rate=rate, sources=sources, steps=tuple(s for p in parts for s in p.steps)
    )


def _plants(prior: schema.InventoryPrior, grid: Grid, times: np.ndarray, inputs) -> PointSources | None:
    found = [
        (
            PointSource(p.name, p.longitude, p.latitude, p.sector, p.height_m, stream=_stream(p)),
            _sign(p) * p.mt_per_year,
        )
        for p in prior.plants
    ]
    files: tuple = ()
    if prior.catalogue:
        path, digest = locate(prior.catalogue)
        inputs[prior.catalogue] = digest
        box = _box(grid, 0.0)
        catalogue = read_coco2(path, prior.species, (box[0], box[1], box[2], box[3]))
        files = catalogue.sources
        found += [
            (PointSource(f.name, f.lon, f.lat, "power plants", CATALOGUE_HEIGHT),
             f.rate * SECONDS_PER_YEAR / KILOGRAMS_PER_MEGATONNE)
            for f in catalogue.points
        ]  # fmt: skip
    if not found:
        return None
    rate = np.array([[mt] for _, mt in found]) * KILOGRAMS_PER_MEGATONNE / SECONDS_PER_YEAR
    return PointSources(prior.species, tuple(p for p, _ in found), times[[0, -1]], rate, files).within(grid)


def _stream(plant: schema.Plant) -> str:
    return "captured" if plant.captured else "emission"


def _sign(plant: schema.Plant) -> float:
    return -1.0 if plant.captured else 1.0


def _without(annual: Inventory, plants: PointSources, sectors: list[str]) -> Inventory:
    """The inventory without the mass that the plants emit, taken in proportion from the cells of some sectors."""
    if not sectors:
        return annual
    rows = [annual.sectors.index(s) for s in annual.select(sectors).sectors]
    held, emitted = float(annual.rate[rows].sum()), float(plants.rate[plants.rate > 0].sum())
    if not emitted <= held:
        raise TanhengError(
            "the plants emit more than the sectors hold from which they are to be taken",
            got=f"{emitted:.4g} kg s-1 of plants", expected=f"at most {held:.4g} kg s-1 in {', '.join(sectors)}",
            remedy="leave prior.plants_from empty if the inventory does not hold them",
        )  # fmt: skip
    rate = annual.rate.copy()
    rate[rows] *= 1.0 - emitted / held
    return dataclasses.replace(annual, rate=rate)


def _hours(annual: Inventory, case: schema.RegionCase, prior: schema.InventoryPrior) -> Inventory:
    """The window by the hour; annual means are those of the year of the window."""
    by_name = {p.sector: p for p in prior.profiles}
    if by_name:
        annual.select(list(by_name))
    start = np.datetime64(case.start, "h")
    year = start.astype("datetime64[Y]")
    edges = np.array([year, year + 1]).astype("datetime64[s]")
    whole = dataclasses.replace(annual, times=edges)
    weights = {}
    for sector in annual.sectors:
        p = by_name.get(sector)
        weights[sector] = [] if p is None else [Profile.of(p.month or None, p.week or None, p.day or None)]
    clock = Clock((case.time_zone,))
    return hourly(whole, weights, clock, (start, start + np.timedelta64(24 * case.days, "h")))


def _vegetation(case: schema.RegionCase, prior: schema.InventoryPrior, grid: Grid, times: np.ndarray) -> Inventory:
    if prior.species != "CO2":
        raise TanhengError(
            "vegetation exchanges CO2 only", got=prior.species, expected="CO2", remedy="leave prior.vegetation empty"
        )
    parameters, classes, drivers = synthetic.vegetation_drivers(grid, times, prior.vegetation, case.longitude)
    return biosphere.inventory(parameters, classes, drivers, grid, times)


def _uncertainty(hours: Inventory, emitting: tuple[str, ...], grid: Grid, prior: schema.InventoryPrior):
    """B of factors over the whole window, and totals; the published u fixes the sum of all emissions."""
    stated = {e.sector: e for e in prior.errors}
    if stated:
        hours.select(list(stated))
    missing = [s for s in hours.sectors if s not in stated]
    if missing:
        raise TanhengError(
            "sectors without a stated error", got=", ".join(missing), expected="one entry of prior.errors each",
            remedy="add {sector: NAME, relative: 0.5, length_km: 10}",
        )  # fmt: skip
    mean = _mean(hours)
    errors = {
        s: Errors(stated[s].relative, Exponential(jnp.asarray(stated[s].length_km)) if stated[s].length_km else None)
        for s in hours.sectors
    }
    window = steps(mean.times[:-1], "year")
    B = covariance.prior(errors, hours.sectors, grid, window)
    basis = cells(grid.shape)
    listed = covariance.totals(mean, basis, window, {})
    emitted = np.sum([t.weights for t in listed if t.name in emitting], axis=0)
    first = Total(ALL, emitted, prior.total_relative)
    if prior.total_relative is not None:
        B = covariance.conditioned(B, [first])
    return B, (first, *listed)

"""Plants of the configuration and of a catalogue, and their mass in the inventories that hold it already."""

import dataclasses

import numpy as np

from experiments import schema
from experiments.cases.region.inventories import Part
from experiments.data import locate
from inversion.observations.record import Step
from priors.inventory import MEGATONNES_PER_YEAR, Inventory
from priors.point_sources import PointSource, PointSources
from priors.readers.cells import Box
from priors.readers.coco2 import read_coco2
from transport.errors import TanhengError
from transport.grid import Grid

CATALOGUE_HEIGHT = 150.0  # m; the catalogue names a vertical profile, not a stack


def plants_of(
    prior: schema.InventoryPrior, grid: Grid, box: Box, times: np.ndarray, inputs: dict[str, str]
) -> tuple[PointSources | None, tuple[str, ...]]:
    """The plants that stand in the region, and what is to be said of the others.

    Args:
        prior: plants listed, and a catalogue.
        grid: cells of the region.
        box: west, east, south, north in degrees, around the region.
        times: (nt+1,) edges of the years that the window touches.
        inputs: gets the SHA-256 of the catalogue.

    Raises:
        TanhengError: no plant stands in the region, or a plant that cannot be.
    """
    found = [
        (PointSource(p.name, p.longitude, p.latitude, p.sector, p.height_m, stream=_stream(p)),
         (-1.0 if p.captured else 1.0) * p.mt_per_year / MEGATONNES_PER_YEAR)
        for p in prior.plants
    ]  # fmt: skip
    files: tuple = ()
    said: list[str] = []
    if prior.catalogue:
        path, inputs[prior.catalogue] = locate(prior.catalogue)
        catalogue = read_coco2(path, prior.species, box)
        files = catalogue.sources
        own = np.datetime64(str(catalogue.year), "Y")
        others = [str(y) for y in times[:-1].astype("M8[Y]") if y != own]
        said += [f"{path.name}: {own} stands for {', '.join(others)}."] if others else []
        found += [(PointSource(f.name, f.lon, f.lat, "power plants", CATALOGUE_HEIGHT), f.rate)
                  for f in catalogue.points]  # fmt: skip
    if not found:
        return None, ()
    rate = np.repeat(np.array([[r] for _, r in found]), len(times) - 1, axis=1)
    everywhere = PointSources(prior.species, tuple(p for p, _ in found), times, rate, files)
    inside = everywhere.within(grid)
    names = {p.name for p in inside.sources}
    listed = {p.name for p in prior.plants}
    outside = [f"{p.name} ({abs(r) * MEGATONNES_PER_YEAR:.3g} Mt yr-1)" for p, r in found if p.name in listed - names]
    said += [f"Plants outside of the region, left out: {', '.join(outside)}."] if outside else []
    return inside, tuple(said)


def _stream(plant: schema.Plant) -> str:
    return "captured" if plant.captured else "emission"


def without(parts: list[Part], plants: Inventory, sectors: list[str]) -> tuple[list[Part], str]:
    """The inventories without the mass that the plants emit, and how it was taken out.

    m(c) = min(held(c), plant(c)) of a plant's own cell first; the rest Σ (plant − m) in proportion to held − m.

    Args:
        parts: on the window's periods.
        plants: in their cells; captured mass (negative) is not taken out.
        sectors: `prior.plants_from`.

    Raises:
        TanhengError: a sector that no inventory has, or less in the sectors than the plants emit.
    """
    names = dict.fromkeys(s for p in parts for s in p.inventory.sectors)
    missing = [s for s in sectors if s not in names]
    if missing:
        raise TanhengError(
            "prior.plants_from names a sector that is not there", got=", ".join(missing), expected=", ".join(names),
            remedy="correct prior.plants_from",
        )  # fmt: skip
    emitted = np.maximum(plants.mean().rate[:, 0], 0.0).sum(axis=0)
    chosen = [[s in sectors for s in p.inventory.sectors] for p in parts]
    held = np.sum(
        [p.inventory.mean().rate[:, 0][rows].sum(axis=0) for p, rows in zip(parts, chosen, strict=True)], axis=0
    )
    if not emitted.sum() <= held.sum():
        raise TanhengError(
            "the plants emit more than the sectors hold from which they are to be taken",
            got=f"{emitted.sum() * MEGATONNES_PER_YEAR:.4g} Mt yr-1 of plants",
            expected=f"at most {held.sum() * MEGATONNES_PER_YEAR:.4g} Mt yr-1 in {', '.join(sectors)}",
            remedy="leave prior.plants_from empty if the inventory does not hold them",
        )  # fmt: skip
    own = np.minimum(emitted, np.maximum(held, 0.0))
    rest, left = float((emitted - own).sum()), held - own
    taken = own + (rest / left.sum() * left if rest > 0 else 0.0)
    kept = 1.0 - np.divide(taken, held, out=np.zeros_like(held), where=held > 0)
    step = Step(f"mass of plants taken out of {', '.join(sectors)}", int(np.count_nonzero(emitted)))
    out = []
    for part, rows in zip(parts, chosen, strict=True):
        rate = part.inventory.rate.copy()
        rate[rows] *= kept
        out.append(dataclasses.replace(part, inventory=dataclasses.replace(
            part.inventory, rate=rate, steps=(*part.inventory.steps, *([step] if any(rows) else [])))))  # fmt: skip
    total = float(emitted.sum())
    how = f"{own.sum() * MEGATONNES_PER_YEAR:.3g} Mt yr-1 from the plants' own cells"
    if rest > 1e-9 * total:
        how += f", {rest * MEGATONNES_PER_YEAR:.3g} Mt yr-1, which those cells do not hold, in proportion from all"
    said = f"The {total * MEGATONNES_PER_YEAR:.3g} Mt yr-1 that plants emit were taken out of "
    return out, f"{said}{', '.join(sectors)}: {how}."


def refuse_capture_of_nothing(plants: Inventory, parts: list[Part]) -> None:
    """Refuse mass that is captured where less is emitted, by plants and inventories together.

    Raises:
        TanhengError: names the sector.
    """
    emitted = np.sum([np.maximum(p.inventory.mean().rate[:, 0], 0.0).sum(axis=0) for p in parts], axis=0)
    mean = plants.mean().rate[:, 0]
    emitted = emitted + np.maximum(mean, 0.0).sum(axis=0)
    captured = -np.minimum(mean, 0.0).sum(axis=0)
    worst = np.unravel_index(int(np.argmax(captured - emitted)), emitted.shape)
    if captured[worst] > emitted[worst] * (1 + 1e-9):
        raise TanhengError(
            "more is captured than is emitted there",
            got=f"{captured[worst] * MEGATONNES_PER_YEAR:.4g} Mt yr-1 captured",
            expected=f"at most {emitted[worst] * MEGATONNES_PER_YEAR:.4g} Mt yr-1, what the cell emits",
            remedy="list the plant whose gas is captured, at the same longitude and latitude (prior.plants)",
        )  # fmt: skip

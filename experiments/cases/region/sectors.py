"""Sectors of several files side by side: what may be added up, in which order, and under which names it is printed."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from experiments.cases.region.inventories import Part
from priors.inventory import Inventory
from priors.sectors import SHORT_CYCLE, check_exclusive
from transport.errors import TanhengError

# UNECE CLRTAP reporting guidelines 2014, annex V: names of GNFR sectors; "O" is aviation at cruise, outside totals.
GNFR = {
    "A": "public power", "B": "industry", "C": "other stationary combustion", "D": "fugitive", "E": "solvents",
    "F": "road transport", "G": "shipping", "H": "aviation", "I": "off-road", "J": "waste", "K": "livestock",
    "L": "other agriculture", "O": "aviation at cruise",
}  # fmt: skip


def combined(parts: Sequence[Part], inventories: Sequence[Inventory]) -> Inventory:
    """All sectors on common periods; those of one name are added up where they are parts of one inventory.

    Letters of GNFR stand first, in their order; other sectors keep the order of the configuration.

    Args:
        parts: what the inventories come from.
        inventories: of each part, on the same cells and periods.

    Raises:
        TanhengError: a sector of one name in different inventories, the same sector twice, or one that holds another.
    """
    names = list(dict.fromkeys(s for i in inventories for s in i.sectors))
    letters = sorted(s for s in names if s.removesuffix(SHORT_CYCLE) in GNFR)
    names = letters + [s for s in names if s not in letters]
    _refuse_twice(parts)
    first = inventories[0]
    rate = np.zeros((len(names), len(first.times) - 1, *first.grid.shape))
    for inventory in inventories:
        for sector, values in zip(inventory.sectors, inventory.rate, strict=True):
            rate[names.index(sector)] += values
    classes = dict.fromkeys(i.classification for i in inventories if i.classification)
    return dataclasses.replace(
        first, sectors=tuple(names), rate=rate, classification=next(iter(classes), "") if len(classes) < 2 else "",
        sources=tuple(dict.fromkeys(s for i in inventories for s in i.sources)),
        steps=tuple(s for i in inventories for s in i.steps),
    )  # fmt: skip


def _refuse_twice(parts: Sequence[Part]) -> None:
    for reader, scheme in dict.fromkeys((p.reader, p.scheme) for p in parts):
        alike = [p for p in parts if (p.reader, p.scheme) == (reader, scheme)]
        check_exclusive([o for p in alike for named in p.originals.values() for o in named], scheme)
    for a, b in itertools.combinations(parts, 2):
        shared = [s for s in a.inventory.sectors if s in b.inventory.sectors]
        if not shared:
            _refuse_same_file(a, b)
            continue
        plants = "plants" in (a.reader, b.reader)
        twice = {o for s in shared for o in a.originals[s]} & {o for s in shared for o in b.originals[s]}
        if plants or a.reader != b.reader or twice:
            remedy = (
                "give the plants a sector of their own (prior.plants[].sector); their mass is taken out of this one by "
                "prior.plants_from" if plants
                else "name the sector of a file (prior.inventories[].sector), or leave one out (leave_out)"
            )  # fmt: skip
            raise TanhengError(
                "the same sector in different inventories", got=f"{', '.join(shared)} in {a.names or a.reader} and "
                f"{b.names or b.reader}", expected="each sector once, or parts of it from one inventory",
                remedy=remedy,
            )  # fmt: skip


def _refuse_same_file(a: Part, b: Part) -> None:
    """The same sector of the same file under two names would be counted twice."""
    same = {s.sha256 for s in a.inventory.sources} & {s.sha256 for s in b.inventory.sources}
    twice = {o for s in a.originals.values() for o in s} & {o for s in b.originals.values() for o in s}
    if same and twice:
        raise TanhengError(
            f"{a.names} is read twice", got=f"{', '.join(sorted(twice))} under two names",
            expected="each sector of a file once", remedy="leave one entry of prior.inventories out",
        )  # fmt: skip


def named(parts: Sequence[Part], sectors: Sequence[str]) -> dict[str, str]:
    """Sectors as they are printed: letters of GNFR with their names."""
    letters = {
        s for p in parts if p.inventory.classification == "GNFR" for s in p.inventory.sectors
        if s.removesuffix(SHORT_CYCLE) in GNFR
    }  # fmt: skip
    return {s: _label(s) if s in letters else s for s in sectors}


def _label(sector: str) -> str:
    letter = sector.removesuffix(SHORT_CYCLE)
    return f"{letter} {GNFR[letter]}{sector[len(letter) :]}"

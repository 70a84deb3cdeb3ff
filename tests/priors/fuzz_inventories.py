"""Damaged inventories: each must end in a clear error or in the right rates; mutations as for observations."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from priors.inventory import Inventory
from priors.readers.points import Catalogue
from tests.inversion.observations.fuzz import ANY, HDF, TEXT, Mutation, empty, flipped, small, spoilt_word, truncated
from tests.priors.fuzz import compared

__all__ = ["ANY", "HDF", "TEXT", "empty", "flipped", "fuzz", "small", "spoilt_word", "truncated", "unseen"]


def unseen(mutation: Mutation) -> Mutation:
    """A mutation that nothing in the file can tell."""

    def changed(rng: np.random.Generator, file: Path) -> str:
        mutation(rng, file)
        return ANY

    changed.__name__ = f"unseen {mutation.__name__}"
    return changed


def fuzz(
    read: Callable[[Path], Any], original: Path, mutations: Sequence[Mutation], count: int, folder: Path, seed: int = 0
) -> dict[str, int]:
    """`compared` of inventories and catalogues."""
    return compared(read, unlike, original, mutations, count, folder, seed)


def unlike(got: Any, whole: Any) -> str | None:
    """What differs; None if nothing does. Plants may be missing where a table lost lines, sectors may not."""
    if isinstance(whole, Catalogue):
        own = {p.name: p for p in whole.points}
        return next((f"{p}" for p in got.points if own.get(p.name) != p), None)
    assert isinstance(whole, Inventory)
    for name in ("species", "sectors", "classification"):
        if getattr(got, name) != getattr(whole, name):
            return f"{name}: {getattr(got, name)} instead of {getattr(whole, name)}"
    pairs = {
        "x": (got.grid.x_edges, whole.grid.x_edges), "y": (got.grid.y_edges, whole.grid.y_edges),
        "times": (got.times.astype(float), whole.times.astype(float)), "rate": (got.rate, whole.rate),
    }  # fmt: skip
    for name, (a, b) in pairs.items():
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-9, atol=0.0):
            return f"{name}: {a.ravel()[:4]} instead of {b.ravel()[:4]}"
    return None

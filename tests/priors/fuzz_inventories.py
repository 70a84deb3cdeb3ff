"""Damaged inventories: each must end in a clear error or in the right rates; mutations as for observations."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from priors.inventory import Inventory
from priors.readers.points import Catalogue
from tests.inversion.observations.fuzz import ANY, HDF, TEXT, Mutation, empty, flipped, small, spoilt_word, truncated
from transport.errors import TanhengError

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
    """Read `count` mutated files; returns how many were refused, read the same, and read with changed data.

    Raises:
        AssertionError: names the mutation and its seed: an exception other than TanhengError, an error without
            remedy, or other rates than the whole file has.
    """
    whole, tally = read(original), {"refused": 0, "same": 0, "changed": 0}
    file = folder / "mutated" / original.name
    file.parent.mkdir(exist_ok=True)
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        mutation = mutations[i % len(mutations)]
        shutil.copyfile(original, file)
        expected = mutation(rng, file)
        about = f"{getattr(mutation, '__name__', mutation)}, mutation {i} of seed {seed}, {original.name}"
        try:
            got = read(file)
        except TanhengError as error:
            if not (error.what and error.remedy):
                raise AssertionError(f"{about}: an error without word or remedy: {error}") from error
            tally["refused"] += 1
            continue
        except Exception as error:
            raise AssertionError(f"{about}: {type(error).__name__}: {error}") from error
        difference = unlike(got, whole)
        assert expected == ANY or difference is None, f"{about}: {difference}"
        assert np.isfinite(got.total()), f"{about}: total {got.total()}"
        tally["same" if difference is None else "changed"] += 1
    return tally


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

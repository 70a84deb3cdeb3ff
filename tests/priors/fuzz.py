"""Damaged files for readers of priors: each must end in a clear error or in the right numbers.

The mutations are those of the observation readers. `fuzz` compares named arrays, those of the damaged file being among
those of the whole one (a sector may be lost with its line, but none may have other numbers); `compared` is the loop
for every kind of result.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.inversion.observations.fuzz import ANY, HDF, TEXT, Mutation, small, without_column
from transport.errors import TanhengError

__all__ = ["ANY", "HDF", "TEXT", "compared", "fuzz", "small", "without_column"]
Numbers = Mapping[str, np.ndarray]


def compared(
    read: Callable[[Path], Any],
    alike: Callable[[Any, Any], str | None],
    original: Path,
    mutations: Sequence[Mutation],
    count: int,
    folder: Path,
    seed: int = 0,
) -> dict[str, int]:
    """Read `count` mutated files; how many were refused, read the same, and read with changed numbers.

    Args:
        read: of a file, under the name of the whole one.
        alike: says what differs between what was read of the damaged and of the whole file; None if nothing does.
        original: the whole file.
        mutations: of the observation readers.
        count: of files.
        folder: for the damaged files.
        seed: of the mutations.

    Raises:
        AssertionError: names the mutation: an exception other than TanhengError, an error without word or remedy,
            another number than the whole file has where the mutation can be told.
    """
    whole, tally = read(original), {"refused": 0, "same": 0, "changed": 0}
    file = folder / "mutated" / original.name
    file.parent.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        mutation = mutations[i % len(mutations)]
        shutil.copyfile(original, file)
        expected = mutation(np.random.default_rng([seed, i]), file)
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
        difference = alike(got, whole)
        assert expected == ANY or difference is None, f"{about}: {difference}"
        tally["same" if difference is None else "changed"] += 1
    print(f"{original.name}: {tally}")
    return tally


def fuzz(
    read: Callable[[Path], Numbers], original: Path, mutations: Sequence[Mutation], count: int, folder: Path
) -> dict[str, int]:
    """`compared` of named arrays."""
    return compared(read, unlike, original, mutations, count, folder, seed=7)


def unlike(got: Numbers, whole: Numbers) -> str | None:
    """What differs; None if nothing does. What is missing in the damaged file may be missing here."""
    for name, values in got.items():
        if name not in whole:
            return f"{name}, which the whole file has not"
        if values.shape != whole[name].shape:
            return f"{name} has shape {values.shape} instead of {whole[name].shape}"
        if not np.allclose(values, whole[name], rtol=1e-9, atol=0.0, equal_nan=True):
            return f"{name} has other values"
    return None

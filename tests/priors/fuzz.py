"""Damaged files for readers of priors: each must end in a clear error or in the right numbers.

The mutations are those of the observation readers; what is compared is named arrays, those of the damaged file being
among those of the whole one (a sector may be lost with its line, but none may have other numbers).
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.inversion.observations.fuzz import ANY, HDF, TEXT, Mutation, small, without_column
from transport.errors import TanhengError

__all__ = ["ANY", "HDF", "TEXT", "fuzz", "small", "without_column"]
Numbers = Mapping[str, np.ndarray]


def fuzz(
    read: Callable[[Path], Numbers], original: Path, mutations: Sequence[Mutation], count: int, folder: Path
) -> dict:
    """Read `count` mutated files; how many were refused, read the same, and read with changed numbers.

    Args:
        read: file to arrays by name.
        original: the whole file.
        mutations: of the observation readers.
        count: of files.
        folder: for the damaged files.

    Raises:
        AssertionError: names the mutation: an exception other than TanhengError, an error without remedy, another
            number than the whole file has.
    """
    whole, tally = read(original), {"refused": 0, "same": 0, "changed": 0}
    folder.mkdir(exist_ok=True)
    file = folder / original.name
    for i in range(count):
        mutation = mutations[i % len(mutations)]
        shutil.copyfile(original, file)
        expected = mutation(np.random.default_rng([7, i]), file)
        about = f"{getattr(mutation, '__name__', mutation)}, mutation {i} of {original.name}"
        try:
            got = read(file)
        except TanhengError as error:
            if not error.remedy:
                raise AssertionError(f"{about}: an error without remedy: {error}") from error
            tally["refused"] += 1
            continue
        except Exception as error:
            raise AssertionError(f"{about}: {type(error).__name__}: {error}") from error
        difference = unlike(got, whole)
        assert expected == ANY or difference is None, f"{about}: {difference}"
        tally["same" if difference is None else "changed"] += 1
    print(f"{original.name}: {tally}")
    return tally


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

"""Damaged files of monitoring data: each is refused, or what is read of it is what the whole file holds."""

import shutil

import numpy as np

from tests.inversion.observations.fuzz import ANY
from transport.errors import TanhengError


def fuzz(read, alike, original, mutations, count, folder, seed=0):
    """Read mutated copies of a file; `alike(got, whole)` says what differs, or None. Returns the tally.

    Raises:
        AssertionError: names the mutation: another exception than TanhengError, an error without remedy, other values.
    """
    whole, tally, file = read(original), {"refused": 0, "same": 0, "changed": 0}, folder / f"copy{original.suffix}"
    for i in range(count):
        rng, mutation = np.random.default_rng([seed, i]), mutations[i % len(mutations)]
        shutil.copyfile(original, file)
        expected = mutation(rng, file)
        about = f"{getattr(mutation, '__name__', mutation)}, mutation {i} of seed {seed}"
        try:
            got = read(file)
        except TanhengError as error:
            if not (error.what and error.remedy):
                raise AssertionError(f"{about}: an error without remedy: {error}") from error
            tally["refused"] += 1
            continue
        except Exception as error:
            raise AssertionError(f"{about}: {type(error).__name__}: {error}") from error
        difference = alike(got, whole)
        assert expected == ANY or difference is None, f"{about}: {difference}"
        tally["same" if difference is None else "changed"] += 1
    return tally


def unlike_series(got, whole):
    """What differs in hours that were read, None if nothing does; an hour may be missing, never another."""
    if set(got.values) != set(whole.values) or not set(got.labels) <= set(whole.labels):
        return f"quantities {sorted(got.values)} and labels {sorted(got.labels)}"
    place = {t: i for i, t in enumerate(whole.times[:-1].tolist())}
    for i, t in enumerate(got.times[:-1].tolist()):
        if got.status[i] == "missing":
            continue
        j = place.get(t)
        if j is None:
            return f"an hour that the whole file has not: {t}"
        if got.status[i] != whole.status[j] or any(got.labels[k][i] != whole.labels[k][j] for k in got.labels):
            return f"status or labels of {t}"
        for name, values in got.values.items():
            if not np.isclose(values[i], whole.values[name][j], rtol=1e-9, atol=0.0, equal_nan=True):
                return f"{name} of {t} is {values[i]} instead of {whole.values[name][j]}"
    return None

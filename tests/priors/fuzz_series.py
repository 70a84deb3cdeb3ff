"""What may differ between monitoring data of a whole file and of a damaged one."""

import numpy as np

from tests.priors.fuzz import compared as fuzz

__all__ = ["fuzz", "unlike_series"]


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

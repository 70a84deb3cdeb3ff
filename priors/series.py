"""Hourly inputs of one stream, and what is known of their errors: how large, and which hours share them."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from inversion.observations.record import Source
from transport.errors import TanhengError

STATUS = ("measured", "calculated", "substitute", "filled", "off", "missing")
CLOCK = {"hour": "", "day": "D", "month": "M", "year": "Y"}


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """Inputs of hours that follow each other.

    Args:
        name: of the stack, unit or meter.
        times: (nt+1,) datetime64, edges of the hours, UTC.
        values: quantity to (nt,) values in the units of `priors.hourly_table.UNITS`; NaN where missing.
        status: (nt,) one of `STATUS`.
        labels: name to (nt,) text that hours with one error share, e.g. the number of a cylinder.
        sources: files that were read.

    Raises:
        TanhengError: lengths that disagree, times that do not increase, a status that is none, or operating hours
            whose values are not finite.
    """

    name: str
    times: np.ndarray
    values: Mapping[str, np.ndarray]
    status: np.ndarray
    labels: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    sources: tuple[Source, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "times", np.asarray(self.times).astype("datetime64[s]"))
        n = len(self.times) - 1
        arrays = {**self.values, **self.labels, "status": self.status}
        wrong = [k for k, v in arrays.items() if np.shape(v) != (n,)]
        increasing = n > 0 and bool((np.diff(self.times) > np.timedelta64(0, "s")).all())
        if wrong or not increasing or not np.isin(self.status, STATUS).all() or not self.values:
            raise TanhengError(
                f"the series {self.name} does not fit together", got=f"{n} hours; of another length: {wrong or 'none'}",
                expected=f"increasing times, values of each hour, status among {', '.join(STATUS)}",
                remedy="give one value per hour, NaN where it is missing",
            )  # fmt: skip
        working = ~np.isin(self.status, ("off", "missing"))
        empty = [k for k, v in self.values.items() if not np.isfinite(v[working]).all()]
        if empty:
            raise TanhengError(
                f"hours of {self.name} lack values", got=", ".join(empty), expected="numbers in every operating hour",
                remedy="call these hours missing, or off",
            )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Influence:
    """Standard uncertainty of one quantity of a series for one cause.

    Args:
        quantity: of the series or of the model's constants.
        cause: e.g. "span gas".
        u: ≥ 0; of the value where relative, else in the quantity's unit.
        kind: "relative" or "absolute".
        shared: hours that share the error: "hour" (none), "day", "month", "year", "stream" (all of this one), the name
            of a label of the series, or "common:NAME" for one error in every stream that names it.
        status: only hours of this status; "": all that operate.
        dof: degrees of freedom of u.

    Raises:
        TanhengError: u that is negative or not finite, an unknown kind or status.
    """

    quantity: str
    cause: str
    u: float
    kind: str = "relative"
    shared: str = "hour"
    status: str = ""
    dof: float = np.inf

    def __post_init__(self):
        good = np.isfinite(self.u) and self.u >= 0 and self.dof >= 1
        if not good or self.kind not in ("relative", "absolute") or self.status not in ("", *STATUS):
            raise TanhengError(
                f"the influence of {self.cause} cannot be used",
                got=f"u {self.u}, {self.kind}, status {self.status!r}, dof {self.dof}",
                expected=f"u ≥ 0, relative or absolute, a status among {', '.join(STATUS)} or none, dof ≥ 1",
                remedy="state what the certificate says",
            )  # fmt: skip


def groups_of(series: Series, shared: str) -> np.ndarray:
    """(nt,) names of the groups; "" for errors of the hour's own."""
    n, starts = len(series.times) - 1, series.times[:-1]
    if shared.startswith("common:"):
        return np.full(n, shared)
    if shared == "stream":
        return np.full(n, f"{series.name}: all hours")
    if shared in series.labels:
        return np.array([f"{shared} {word}" if word else f"{series.name}: {shared} unknown" for word in
                         np.asarray(series.labels[shared]).astype(str)])  # fmt: skip
    if shared not in CLOCK:
        raise TanhengError(
            f"hours of {series.name} cannot share an error so", got=shared,
            expected=", ".join([*CLOCK, "stream", "common:NAME", *series.labels]), remedy="name one of these",
        )  # fmt: skip
    if shared == "hour":
        return np.full(n, "")
    unit = CLOCK[shared]
    return np.array([f"{series.name}: {w}" for w in np.datetime_as_string(starts.astype(f"datetime64[{unit}]"))])

"""Hourly inputs of one stream, and what is known of their errors: how large, and which hours share them."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from inversion.observations.record import Source
from transport.errors import TanhengError

STATUS = ("measured", "calculated", "substitute", "filled", "off", "missing")
CLOCK = {"hour": "h", "day": "D", "month": "M", "year": "Y"}
COMMON = "common:"
# Range of each quantity, in the unit of the house, outside which nothing can be meant.
RANGES = {
    "concentration": (0.0, 0.6),  # mol mol-1
    "moisture": (0.0, 0.6),  # mol mol-1, in wet gas
    "flow": (0.0, 5000.0),  # m3 s-1
    "temperature": (250.0, 1500.0),  # K
    "pressure": (4e4, 1.2e5),  # Pa
    "mass": (0.0, 5000.0),  # kg s-1
    "fuel_mass": (0.0, 5000.0),  # kg s-1
    "fuel_volume": (0.0, 5000.0),  # m3 s-1
    "power": (0.0, 2e10),  # W
}
STREAMING = ("mass", "flow", "fuel_mass", "fuel_volume", "power")  # zero where a plant stands still
LONGEST_ROW = np.timedelta64(86400, "s")


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """Inputs of hours that follow each other.

    Args:
        name: of the stack, unit or meter.
        times: (nt+1,) datetime64, edges of the hours, UTC.
        values: quantity to (nt,) values in the units of `RANGES`; NaN where missing.
        status: (nt,) one of `STATUS`.
        labels: name to (nt,) text that hours with one error share, e.g. the number of a cylinder.
        sources: files that were read.
        utc_offset: h that the clock which cuts hours, days, months and years is ahead of UTC.

    Raises:
        TanhengError: lengths that disagree, times that do not increase or lie more than a day apart, a status that is
            none, operating hours whose values are not finite or outside `RANGES`, or mass in hours that are off.
    """

    name: str
    times: np.ndarray
    values: Mapping[str, np.ndarray]
    status: np.ndarray
    labels: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    utc_offset: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "times", np.asarray(self.times).astype("datetime64[s]"))
        n = len(self.times) - 1
        arrays = {**self.values, **self.labels, "status": self.status}
        wrong = [k for k, v in arrays.items() if np.shape(v) != (n,)]
        steps = np.diff(self.times)
        increasing = n > 0 and bool(((steps > np.timedelta64(0, "s")) & (steps <= LONGEST_ROW)).all())
        clock = abs(self.utc_offset) <= 14.0
        if wrong or not increasing or not clock or not np.isin(self.status, STATUS).all() or not self.values:
            raise TanhengError(
                f"the series {self.name} does not fit together", got=f"{n} hours; of another length: {wrong or 'none'}",
                expected="times that increase by a day at most, values of each hour, status among "
                f"{', '.join(STATUS)}, a clock within 14 h of UTC",
                remedy="give one value per hour, NaN where it is missing",
            )  # fmt: skip
        working, off = ~np.isin(self.status, ("off", "missing")), np.asarray(self.status) == "off"
        for name, v in self.values.items():
            low, high = RANGES.get(name, (-np.inf, np.inf))
            rules = {
                "numbers in every operating hour": working & ~np.isfinite(v),
                f"{low:g}…{high:g} in the unit of the house": working & ((v < low) | (v > high)),
                "nothing in hours that are off": off & (v > 0.0) & (name in STREAMING),
            }
            for rule, bad in rules.items():
                if bad.any():
                    raise TanhengError(
                        f"{name} of {self.name} cannot be meant",
                        got=f"{float(v[bad][0]):g} at {self.times[:-1][bad][0]}, {int(bad.sum())} such hours",
                        expected=rule, remedy="call hours without values missing, those with mass operating; check "
                        "units",
                    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Influence:
    """Standard uncertainty of one quantity of a series for one cause.

    Args:
        quantity: of the series or of the model's constants.
        cause: e.g. "span gas".
        u: ≥ 0; share of the value (≤ 1) where relative, else in the quantity's unit.
        kind: "relative" or "absolute".
        shared: hours that share the error: "hour" (rows within one hour), "day", "month", "year" (of the series'
            clock), "stream" (all of this one), the name of a label of the series (its words are this stream's own),
            "common:LABEL" for a label whose words mean the same in every stream, e.g. numbers of cylinders, or
            "common:NAME" for one error in every stream that names it. Only errors of one quantity are shared.
        status: only hours of this status; "": all that operate.
        dof: degrees of freedom of u.

    Raises:
        TanhengError: u that is negative, not finite or relative and above 1, an unknown kind or status.
    """

    quantity: str
    cause: str
    u: float
    kind: str = "relative"
    shared: str = "hour"
    status: str = ""
    dof: float = np.inf

    def __post_init__(self):
        most = 1.0 if self.kind == "relative" else np.inf
        good = np.isfinite(self.u) and 0 <= self.u <= most and self.dof >= 1
        if not good or self.kind not in ("relative", "absolute") or self.status not in ("", *STATUS):
            raise TanhengError(
                f"the influence of {self.cause} cannot be used",
                got=f"u {self.u}, {self.kind}, status {self.status!r}, dof {self.dof}",
                expected=f"u ≥ 0, relative (≤ 1, not per cent) or absolute, a status among {', '.join(STATUS)} or "
                "none, dof ≥ 1",
                remedy="state what the certificate says",
            )  # fmt: skip


def groups_of(series: Series, shared: str) -> np.ndarray:
    """(nt,) names of the groups; "" for errors of the hour's own."""
    n, starts, label = len(series.times) - 1, series.times[:-1], shared.removeprefix(COMMON)
    if label in series.labels:
        owner = COMMON if shared.startswith(COMMON) else f"{series.name}: "
        return np.array([f"{owner}{label} {word}" if word else f"{series.name}: {label} unknown" for word in
                         np.asarray(series.labels[label]).astype(str)])  # fmt: skip
    if shared.startswith(COMMON) and label:
        return np.full(n, shared)
    if shared == "stream":
        return np.full(n, f"{series.name}: all hours")
    if shared not in CLOCK:
        raise TanhengError(
            f"hours of {series.name} cannot share an error so", got=shared,
            expected=", ".join([*CLOCK, "stream", "common:NAME", *series.labels]), remedy="name one of these",
        )  # fmt: skip
    if shared == "hour" and (np.diff(series.times) >= np.timedelta64(3600, "s")).all():
        return np.full(n, "")
    local = starts + np.timedelta64(round(3600 * series.utc_offset), "s")
    words = np.datetime_as_string(local.astype(f"datetime64[{CLOCK[shared]}]"))
    return np.array([f"{series.name}: {word}" for word in words])

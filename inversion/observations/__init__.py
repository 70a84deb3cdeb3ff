"""What was measured: values, times, places, errors. Readers of the users' formats live beside this file."""

import dataclasses

import numpy as np

from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Observations:
    """n values with their time, group, unit and standard uncertainty.

    Args:
        values: (n,) in `unit`.
        times: (n,) datetime64, start of the averaging interval, UTC.
        groups: (n,) name of the site or overpass.
        sigma: (n,) standard model-data mismatch in `unit`.
        unit: e.g. "ppm".
        kinds: (n,) "tower", "column" or "constraint".

    Raises:
        TanhengError: empty, NaN, non-positive sigma, lengths that disagree.
    """

    values: np.ndarray
    times: np.ndarray
    groups: np.ndarray
    sigma: np.ndarray
    unit: str
    kinds: np.ndarray

    def __post_init__(self):
        n = len(self.values)
        for name in ("times", "groups", "sigma", "kinds"):
            if len(getattr(self, name)) != n:
                raise TanhengError(
                    f"observations.{name} has the wrong length",
                    got=len(getattr(self, name)),
                    expected=n,
                    remedy="give one entry per value",
                )
        if n == 0:
            raise TanhengError(
                "no observation is left",
                got="0 observations",
                expected="at least one",
                remedy="widen the selection of sites, hours or dates",
            )
        self._check(
            np.isfinite(self.values), "an observed value is not finite", "finite numbers", "drop or repair them"
        )
        good = np.isfinite(self.sigma) & (self.sigma > 0)
        self._check(
            good, "a standard uncertainty is not positive", "finite numbers > 0", "set a floor for the mismatch"
        )

    def _check(self, good: np.ndarray, what: str, expected: str, remedy: str) -> None:
        if not good.all():
            where = int(np.flatnonzero(~good)[0])
            raise TanhengError(
                what,
                got=f"{int((~good).sum())} of {good.size}; first at {self.groups[where]}, {self.times[where]}: "
                f"value {self.values[where]}, sigma {self.sigma[where]}",
                expected=expected,
                remedy=remedy,
            )

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        names, counts = np.unique(self.groups, return_counts=True)
        parts = ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=True))
        return f"Observations({len(self)} values in {self.unit}: {parts}; {self.times.min()} … {self.times.max()})"

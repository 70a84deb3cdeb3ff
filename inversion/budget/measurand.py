"""What is measured, stated so exactly that two results can be refused as unlike; and the comparison of like ones."""

import dataclasses
import hashlib

import numpy as np

from inversion.budget.linear import coverage_factor
from transport.constants import MOLAR_MASS
from transport.errors import TanhengError
from transport.grid import Grid

KINDS = ("emission", "uptake", "net", "indirect")


@dataclasses.dataclass(frozen=True)
class Measurand:
    """A quantity that an inversion and an account can both state.

    Args:
        gas: a key of `transport.constants.MOLAR_MASS`.
        area: name of the area.
        area_sha256: of its mask, see `mask_sha256`.
        start, end: of the period, UTC; end not included.
        sectors: that are counted, in any order; empty for all.
        kind: "emission", "uptake", "net" (both), or "indirect" (made elsewhere: electricity and heat that were bought).

    Raises:
        TanhengError: an unknown gas or kind, a hash that is none, a period that does not last.
    """

    gas: str
    area: str
    area_sha256: str
    start: np.datetime64
    end: np.datetime64
    sectors: frozenset[str] = frozenset()
    kind: str = "emission"

    def __post_init__(self):
        for name in ("start", "end"):
            object.__setattr__(self, name, np.datetime64(getattr(self, name), "s"))
        object.__setattr__(self, "sectors", frozenset(self.sectors))
        is_hash = len(self.area_sha256) == 64 and set(self.area_sha256) <= set("0123456789abcdef")
        rules = {
            f"a gas among {', '.join(MOLAR_MASS)}": self.gas in MOLAR_MASS,
            f"a kind among {', '.join(KINDS)}": self.kind in KINDS,
            "an area with the SHA-256 of its mask": bool(self.area) and is_hash,
            "a period that lasts": bool(self.start < self.end),
        }
        for rule, holds in rules.items():
            if not holds:
                raise TanhengError(
                    "this is no measurand",
                    got=f"{self.gas} {self.kind}, {self.area} {self.area_sha256[:8]}, {self.start} … {self.end}",
                    expected=rule, remedy="state gas, kind, area, mask and period",
                )  # fmt: skip

    def unlike(self, other: "Measurand") -> list[str]:
        """What differs from another; the name of the area does not count, its mask does."""
        return [
            f"{f.name}: {_text(getattr(self, f.name))} ≠ {_text(getattr(other, f.name))}"
            for f in dataclasses.fields(self)
            if f.name != "area" and getattr(self, f.name) != getattr(other, f.name)
        ]


def _text(value) -> str:
    return (", ".join(sorted(value)) or "all") if isinstance(value, frozenset) else str(value)


def mask_sha256(grid: Grid, share: np.ndarray) -> str:
    """SHA-256 of an area: edges of the grid, its coordinate system, and the share (ny, nx) of each cell inside.

    Shares count to 1e-6, edges to 1e-9 of their unit, so that rounding elsewhere does not make another area of it.
    """
    digest = hashlib.sha256(str(grid.crs).encode())
    for values, step in ((grid.x_edges, 1e-9), (grid.y_edges, 1e-9), (np.asarray(share, float), 1e-6)):
        digest.update(str(values.shape).encode())
        digest.update(np.round(np.ascontiguousarray(values) / step).astype("<i8").tobytes())
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value of a measurand with its standard uncertainty.

    Args:
        measurand: what was measured.
        value: kg s-1, mean over the period.
        u: kg s-1, standard uncertainty, all known causes in it.
        method: e.g. "inversion", "account, approach 1".
        dof: effective degrees of freedom.

    Raises:
        TanhengError: numbers that are not finite, or u < 0.
    """

    measurand: Measurand
    value: float
    u: float
    method: str
    dof: float = np.inf

    def __post_init__(self):
        if not (np.isfinite(self.value) and np.isfinite(self.u) and self.u >= 0.0):
            raise TanhengError("an estimate needs a value with an uncertainty", got=f"{self.value} ± {self.u}",
                               expected="finite numbers, u ≥ 0", remedy="evaluate the uncertainty first")  # fmt: skip

    def expanded(self, p: float = 0.95) -> float:
        """U = k u, kg s-1."""
        return coverage_factor(self.dof, p) * self.u


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two estimates of one measurand: difference a − b and its u in kg s-1, z-score and E_n number.

    z = (a − b)/u(a − b);  E_n = (a − b)/√(U_a² + U_b² − 2 r U_a U_b), both U of the same p; |E_n| ≤ 1 agrees.
    """

    difference: float
    u: float
    z: float
    E_n: float
    correlation: float
    p: float

    @property
    def agree(self) -> bool:
        """True where |E_n| ≤ 1."""
        return abs(self.E_n) <= 1.0


def compare(a: Estimate, b: Estimate, correlation: float = 0.0, p: float = 0.95) -> Comparison:
    """Compare two estimates of the same measurand.

    Args:
        a, b: e.g. of an inversion and of an account.
        correlation: r of their errors, e.g. through a shared inventory; it is stated in the result.
        p: coverage probability of both U.

    Raises:
        TanhengError: unlike measurands, |r| > 1, or no uncertainty at all.

    Reference: JCGM 100:2008, §5.2; ISO 13528:2022, §9.7 (E_n).
    """
    unlike = a.measurand.unlike(b.measurand)
    if unlike:
        raise TanhengError("these are not the same measurand", got="; ".join(unlike), expected="like with like",
                           remedy="aggregate both to the same gas, area, period, sectors and kind")  # fmt: skip
    U_a, U_b = a.expanded(p), b.expanded(p)
    u2, U2 = (x**2 + y**2 - 2.0 * correlation * x * y for x, y in ((a.u, b.u), (U_a, U_b)))
    if not abs(correlation) <= 1.0 or not (u2 > 0.0 and U2 > 0.0):
        raise TanhengError("these estimates cannot be compared", got=f"u {a.u:g} and {b.u:g}, r {correlation:g}",
                           expected="u of the difference > 0 and |r| ≤ 1", remedy="state both u and r")  # fmt: skip
    d = a.value - b.value
    return Comparison(d, u2**0.5, d / u2**0.5, d / U2**0.5, correlation, p)

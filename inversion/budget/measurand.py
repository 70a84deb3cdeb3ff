"""What is measured, stated so exactly that two results can be refused as unlike; and the comparison of like ones."""

import dataclasses
import hashlib

import numpy as np

from inversion.budget.linear import coverage_factor
from transport.constants import MOLAR_MASS
from transport.errors import TanhengError
from transport.grid import Grid

KINDS = ("emission", "uptake", "net", "indirect")
P_K2 = 0.9544997361036416  # probability within two standard deviations of a normal distribution: k = 2


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
        TanhengError: an unknown gas or kind, a hash that is none, a period that does not last, sectors as one text.
    """

    gas: str
    area: str
    area_sha256: str
    start: np.datetime64
    end: np.datetime64
    sectors: frozenset[str] = frozenset()
    kind: str = "emission"

    def __post_init__(self):
        try:
            for name in ("start", "end"):
                object.__setattr__(self, name, np.datetime64(getattr(self, name), "s"))
        except (ValueError, TypeError) as error:
            raise TanhengError(
                "a measurand needs a period", got=f"{self.start} … {self.end}", expected="two times, e.g. 2021-01-01",
                remedy="correct start and end",
            ) from error  # fmt: skip
        if isinstance(self.sectors, str):  # its letters would be sectors
            raise TanhengError("the sectors of a measurand are not a set", got=repr(self.sectors),
                               expected=f"{{{self.sectors!r}}}", remedy="put braces around the name")  # fmt: skip
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
    """SHA-256 of an area: edges of the grid, where on Earth they are, and the share (ny, nx) of each cell inside.

    All count to 1e-6 of their unit, so that rounding elsewhere does not make another area of it. The coordinate system
    counts by longitude and latitude of nine points, whatever its name and whoever spells it.

    Raises:
        TanhengError: shares of another shape or outside 0…1, or edges too far out to be hashed.
    """
    share, edges = np.asarray(share, float), np.concatenate([grid.x_edges, grid.y_edges])
    outside = int((~((share >= 0.0) & (share <= 1.0 + 1e-6))).sum())
    if share.shape != grid.shape or outside or (np.abs(edges) > 1e9).any():
        raise TanhengError("this is no mask of the grid", got=f"shape {share.shape}, {outside} shares that are none",
                           expected=f"shape {grid.shape}, shares 0…1, edges within 10⁹",
                           remedy="give the share of each cell that lies inside")  # fmt: skip
    nine = np.meshgrid(*(e[[0, e.size // 2, -1]] for e in (grid.x_edges, grid.y_edges)))
    places = np.nan_to_num(np.stack(grid.lonlat(*nine)), posinf=999.0)  # 999: beyond the projection
    digest = hashlib.sha256()
    for values in (places, grid.x_edges, grid.y_edges, share):
        digest.update(str(values.shape).encode())
        digest.update(np.round(np.ascontiguousarray(values) / 1e-6).astype("<i8").tobytes())
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
        interval: (low, high), kg s-1, the coverage interval of `P_K2` of a result that is not value ± k u, e.g. a
            skewed one; None where it is.

    Raises:
        TanhengError: numbers that are not finite, u < 0, ν < 1, or a value outside its interval.
    """

    measurand: Measurand
    value: float
    u: float
    method: str
    dof: float = np.inf
    interval: tuple[float, float] | None = None

    def __post_init__(self):
        low, high = self.interval or (self.value, self.value)
        if not (np.isfinite([self.value, self.u, low, high]).all() and self.u >= 0.0 and self.dof >= 1.0
                and low <= self.value <= high):  # fmt: skip
            raise TanhengError("an estimate needs a value with an uncertainty",
                               got=f"{self.value} ± {self.u}, dof {self.dof}, interval {self.interval}",
                               expected="finite numbers, u ≥ 0, dof ≥ 1, the value within its interval",
                               remedy="evaluate the uncertainty first")  # fmt: skip

    def expanded(self, p: float = P_K2) -> float:
        """U = k u, kg s-1; k = 2 for a normal result."""
        return coverage_factor(self.dof, p) * self.u

    def towards(self, other: float) -> float:
        """Expanded uncertainty (`P_K2`) on the side where another value lies: half a skewed interval, or U; kg s-1."""
        if self.interval is None:
            return self.expanded()
        return self.value - self.interval[0] if other < self.value else self.interval[1] - self.value


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two estimates of one measurand: difference a − b and its u in kg s-1, z-score and E_n number.

    z = (a − b)/u(a − b);  E_n = (a − b)/√(U_a² + U_b² − 2 r U_a U_b), U of p = 95.45 %; |E_n| ≤ 1 agrees.

    Args:
        difference, u, z, E_n: as above.
        correlation: r of the errors.
        U: of a and of b, kg s-1; where the result is skewed, on the side of the other value.
        k: U/u of either; 2 for a normal result.
        p: coverage probability of both U.
        skewed: True where either result has an interval of its own, so that one k does not say all.
    """

    difference: float
    u: float
    z: float
    E_n: float
    correlation: float
    U: tuple[float, float]
    k: tuple[float, float]
    p: float
    skewed: bool

    @property
    def agree(self) -> bool:
        """True where |E_n| ≤ 1."""
        return abs(self.E_n) <= 1.0


def compare(a: Estimate, b: Estimate, correlation: float = 0.0) -> Comparison:
    """Compare two estimates of the same measurand by their expanded uncertainties as they are stated, k = 2.

    U has p = 95.45 %, so that k = 2 for infinite ν and Student's factor below; of a skewed result the part of its
    interval counts that faces the other value.

    Args:
        a, b: e.g. of an inversion and of an account.
        correlation: r of their errors, e.g. through a shared inventory; it is stated in the result.

    Raises:
        TanhengError: unlike measurands, |r| > 1, or no uncertainty at all.

    Reference: JCGM 100:2008, §5.2; ISO 13528:2022, §9.7 (E_n, with U of about 95 % and k = 2).
    """
    unlike = a.measurand.unlike(b.measurand)
    if unlike:
        raise TanhengError("these are not the same measurand", got="; ".join(unlike), expected="like with like",
                           remedy="aggregate both to the same gas, area, period, sectors and kind")  # fmt: skip
    U_a, U_b = a.towards(b.value), b.towards(a.value)
    u2, U2 = (x**2 + y**2 - 2.0 * correlation * x * y for x, y in ((a.u, b.u), (U_a, U_b)))
    if not abs(correlation) <= 1.0 or not (u2 > 0.0 and U2 > 0.0):
        raise TanhengError("these estimates cannot be compared", got=f"u {a.u:g} and {b.u:g}, r {correlation:g}",
                           expected="u of the difference > 0 and |r| ≤ 1", remedy="state both u and r")  # fmt: skip
    d, k = a.value - b.value, tuple(U / e.u if e.u else coverage_factor(e.dof, P_K2) for U, e in ((U_a, a), (U_b, b)))
    return Comparison(d, u2**0.5, d / u2**0.5, d / U2**0.5, correlation, (U_a, U_b), (k[0], k[1]), P_K2,
                      a.interval is not None or b.interval is not None)  # fmt: skip

"""Trend of an account between two years, approach 1 of the IPCC."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from priors.account import Line
from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True)
class Trend:
    """Change between two years in % of the first, its U in percentage points, and U by line.

    Args:
        change: 100 (E_t − E_0)/E_0.
        percent: half of its 95 % interval, percentage points.
        lines: (facility, sector) to its part of U.
    """

    change: float
    percent: float
    lines: Mapping[tuple[str, str], float]


def trend(base: Sequence[Line], current: Sequence[Line]) -> Trend:
    """Approach 1 of a trend: factors are the same error in both years, activities are independent.

    type A sensitivity: effect on the trend, in points, of 1 % more in both years;  type B: of 1 % in the later one
    U_i² = (A_i U_F,i)² + (B_i U_A,i √2)²,   U² = Σ U_i²

    Args:
        base, current: the same facilities and sectors in both years.

    Raises:
        TanhengError: lines that differ, or a base of zero.

    Reference: IPCC 2006 Guidelines, vol. 1, ch. 3, table 3.2, columns I–M.
    """
    first, last = ({(x.facility, x.sector): x for x in lines} for lines in (base, current))
    C, D = (sum(x.kilograms for x in lines.values()) for lines in (first, last))
    if set(first) != set(last) or C == 0.0 or len(first) != len(base) or len(last) != len(current):
        raise TanhengError("these years have no common trend", got=f"{sorted(set(first) ^ set(last))} in one only",
                           expected="the same facilities and sectors, a base that is not zero",
                           remedy="complete the lines of both years")  # fmt: skip
    change, parts = 100.0 * (D - C) / C, {}
    for key, x in last.items():
        c, d = first[key].kilograms, x.kilograms
        more = 100.0 * ((D + 0.01 * d) - (C + 0.01 * c)) / (C + 0.01 * c)
        a, b = abs(more - change), abs(d / C)
        parts[key] = float(np.hypot(a * x.factor_percent, b * x.activity_percent * 2.0**0.5))
    return Trend(float(change), float(np.sqrt(sum(p**2 for p in parts.values()))), parts)

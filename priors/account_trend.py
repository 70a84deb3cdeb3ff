"""Trend of an account between two years, approach 1 of the IPCC."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from priors.account import Line
from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True)
class Trend:
    """Change between two years in % of the first, its U in percentage points, and U by error.

    Args:
        change: 100 (E_t − E_0)/E_0.
        percent: half of its 95 % interval, percentage points.
        parts: error to its part of U, points; signed, and the sum of their squares is U². An error is
            ("factor", name), ("activity, base", name) or ("activity, current", name); the name is that of the group,
            or "facility, sector" of a line on its own.
        opened, closed: (facility, sector) of lines that one year has not: their activity is zero there.
    """

    change: float
    percent: float
    parts: Mapping[tuple[str, str], float]
    opened: tuple[tuple[str, str], ...] = ()
    closed: tuple[tuple[str, str], ...] = ()


def trend(base: Sequence[Line], current: Sequence[Line]) -> Trend:
    """Approach 1 of a trend: a factor has the same error in both years, activities of two years are independent.

    x = 100 (D − C)/C of the sums C = Σ c_i (base) and D = Σ d_i;  parts of U, summed over the lines of a group:
    factor Σ (d_i U_F,i,t − (D/C) c_i U_F,i,0)/C,  activities −Σ (D/C) c_i U_A,i,0/C and Σ d_i U_A,i,t/C
    U² = Σ parts²

    Where both years state one U and little changes, these are the sensitivities A and B √2 of table 3.2. Sensitivities
    are derivatives, so that U is sound where U% of the base is small (about 20 %); beyond that, use approach 2.

    Args:
        base, current: lines of both years. One that stands in one year only has opened or closed.

    Raises:
        TanhengError: a line twice in a year, or emission in one and captured in the other; a base that is not above
            zero.

    Reference: IPCC 2006 Guidelines, vol. 1, ch. 3, table 3.2, columns I–M; JCGM 100:2008, eq. 16.
    """
    first, last = ({(x.facility, x.sector): x for x in lines} for lines in (base, current))
    C, D = (sum(x.kilograms for x in lines.values()) for lines in (first, last))
    unlike = [k for k in first if k in last and (first[k].stream, first[k].scope) != (last[k].stream, last[k].scope)]
    if C <= 0.0 or len(first) != len(base) or len(last) != len(current) or unlike:
        raise TanhengError("these years have no common trend", got=f"base {C:g} kg of {len(base)} lines, current "
                           f"{D:g} kg of {len(current)}; of another stream or scope: {unlike or 'none'}",
                           expected="each facility and sector once a year and of one kind, a base above zero",
                           remedy="merge or correct these lines")  # fmt: skip
    parts: dict[tuple[str, str], float] = {}
    for lines, year, weight in ((base, "base", -D / C**2), (current, "current", 1.0 / C)):
        for x in lines:
            own = f"{x.facility}, {x.sector}"
            for error, percent in ((("factor", x.factor_group or own), x.factor_percent),
                                   ((f"activity, {year}", x.activity_group or own), x.activity_percent)):  # fmt: skip
                parts[error] = parts.get(error, 0.0) + float(weight * x.kilograms * percent)
    percent = float(np.sqrt(sum(p**2 for p in parts.values())))
    opened, closed = (tuple(k for k in a if k not in b) for a, b in ((last, first), (first, last)))
    return Trend(float(100.0 * (D - C) / C), percent, parts, opened, closed)

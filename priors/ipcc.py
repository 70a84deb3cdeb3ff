"""How the IPCC states uncertainty: U% = half of the 95 % interval over the mean, in %; not u, and not k = 2."""

import numpy as np
from scipy.optimize import brentq

from inversion.budget.quantity import NORMAL_95, WIDTHS, is_number
from transport.errors import TanhengError

# Half of the central 95 % interval over the standard deviation.
_HALF = {"normal": NORMAL_95, "rectangular": 0.95 * WIDTHS["rectangular"],
         "triangular": (1.0 - 0.05**0.5) * WIDTHS["triangular"]}  # fmt: skip
# exp(−σ²/2) sinh(1.96 σ) grows up to here; no lognormal has a wider interval for its mean.
_WIDEST = 1.958
DISTRIBUTIONS = (*_HALF, "lognormal")


def standard_uncertainty(value: float, percent: float, distribution: str = "normal") -> float:
    """u of a value with U%.

    normal: u = U%/100 |x|/1.96; bounded ones by their own 95 % interval; lognormal: σ from
    U%/100 = exp(−σ²/2) sinh(1.96 σ), u = x √(exp σ² − 1).

    Raises:
        TanhengError: a value that is not finite, or not positive for a lognormal; an unknown distribution, U% < 0, or a
            lognormal that no U% of this size has.
    """
    numbers = is_number(value) and is_number(percent) and bool(np.isfinite(value))
    most = np.exp(-0.5 * _WIDEST**2) * np.sinh(NORMAL_95 * _WIDEST) if distribution == "lognormal" else np.inf
    usable = numbers and 0.0 <= percent < 100.0 * most and (distribution != "lognormal" or value > 0.0)
    if distribution not in DISTRIBUTIONS or not usable:
        raise TanhengError(
            "an uncertainty in per cent cannot be used", got=f"{value!r} with {percent!r} % {distribution}",
            expected=f"a finite number, ≥ 0 %, {', '.join(DISTRIBUTIONS)}; lognormal of a positive value, below 340 %",
            remedy="state U% = half of the 95 % interval over the mean",
        )  # fmt: skip
    if distribution != "lognormal":
        return abs(value) * percent / 100.0 / _HALF[distribution]
    width = percent / 100.0
    sigma = np.asarray(brentq(lambda s: np.exp(-0.5 * s**2) * np.sinh(NORMAL_95 * s) - width, 0.0, _WIDEST))
    return float(value * np.sqrt(np.expm1(sigma**2)))


def percent_of(value: float, u: float) -> float:
    """U% of a normal result, 196 u/|x|.

    Raises:
        TanhengError: a value of zero.
    """
    return 100.0 * NORMAL_95 * u / _size(value)


def percent_of_interval(mean: float, low: float, high: float) -> float:
    """U% of any result from its 2.5 % and 97.5 % points.

    Raises:
        TanhengError: a mean of zero.
    """
    return 100.0 * 0.5 * (high - low) / _size(mean)


def _size(value: float) -> float:
    if not abs(value) > 0.0:
        raise TanhengError("zero has no uncertainty in per cent", got=value, expected="a value that is not zero",
                           remedy="state u itself")  # fmt: skip
    return abs(value)


def expanded_k2(value: float, percent: float) -> float:
    """U (k = 2) of a normal result stated with U%: 2 u, not the half interval of 1.96 u."""
    return 2.0 * abs(value) * percent / 100.0 / NORMAL_95

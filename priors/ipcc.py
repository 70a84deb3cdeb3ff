"""How the IPCC states uncertainty: U% = half of the 95 % interval over the mean, in %; not u, and not k = 2."""

import numpy as np
from scipy.optimize import brentq

from inversion.budget.quantity import NORMAL_95, WIDTHS
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
        TanhengError: an unknown distribution, U% < 0, or a lognormal that no U% of this size has.
    """
    most = np.exp(-0.5 * _WIDEST**2) * np.sinh(NORMAL_95 * _WIDEST) if distribution == "lognormal" else np.inf
    if distribution not in DISTRIBUTIONS or not 0.0 <= percent < np.inf or percent / 100.0 >= most:
        raise TanhengError(
            "an uncertainty in per cent cannot be used", got=f"{percent} % {distribution}",
            expected=f"≥ 0 %, {', '.join(DISTRIBUTIONS)}; lognormal below 340 %",
            remedy="state U% = half of the 95 % interval over the mean",
        )  # fmt: skip
    if distribution != "lognormal":
        return abs(value) * percent / 100.0 / _HALF[distribution]
    width = percent / 100.0
    sigma = np.asarray(brentq(lambda s: np.exp(-0.5 * s**2) * np.sinh(NORMAL_95 * s) - width, 0.0, _WIDEST))
    return float(value * np.sqrt(np.expm1(sigma**2)))


def percent_of(value: float, u: float) -> float:
    """U% of a normal result, 196 u/|x|."""
    return 100.0 * NORMAL_95 * u / abs(value)


def percent_of_interval(mean: float, low: float, high: float) -> float:
    """U% of any result from its 2.5 % and 97.5 % points."""
    return 100.0 * 0.5 * (high - low) / abs(mean)


def expanded_k2(value: float, percent: float) -> float:
    """U (k = 2) of a normal result stated with U%: 2 u, not the half interval of 1.96 u."""
    return 2.0 * abs(value) * percent / 100.0 / NORMAL_95

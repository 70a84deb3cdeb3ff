"""Numbers for people: an uncertainty with two significant digits, its value to the same place."""

import math
from decimal import ROUND_HALF_EVEN, Decimal


def significant_place(u: float, digits: int = 2) -> int:
    """Decimal place (power of ten) of the last significant digit of a rounded uncertainty."""
    place = math.floor(math.log10(u)) - digits + 1
    rounded = Decimal(repr(float(u))).quantize(Decimal(1).scaleb(place), ROUND_HALF_EVEN)
    return rounded.adjusted() - digits + 1


def number(value: float | None, place: int) -> str:
    """A number rounded to a decimal place, with a true minus sign and grouped by three from five digits on.

    Args:
        value: None and NaN print as a dash.
        place: power of ten of the last digit kept: −2 keeps hundredths, 1 keeps tens.

    Returns:
        the text.
    """
    if value is None or not math.isfinite(value):
        return "–"
    rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(place), ROUND_HALF_EVEN)
    text = f"{abs(rounded):.{max(-place, 0)}f}"
    if abs(rounded) >= 10000:
        text = f"{abs(rounded):,.{max(-place, 0)}f}".replace(",", "\u202f")
    return f"−{text}" if rounded < 0 else text


def value_place(u: float, value: float = math.nan) -> int:
    """Where to round a value of standard uncertainty u; four significant digits of the value if u tells nothing."""
    if math.isfinite(u) and u > 0:
        return significant_place(u)
    return significant_place(abs(value), 4) if math.isfinite(value) and value else 0


def with_uncertainty(value: float, u: float) -> tuple[str, str]:
    """A value and its uncertainty, rounded to the same decimal place.

    The uncertainty keeps two significant digits (JCGM 100:2008, §7.2.6).

    Args:
        value: the estimate.
        u: its uncertainty (standard or expanded).

    Returns:
        (value, uncertainty) as texts.
    """
    place = value_place(u, value)
    return number(value, place), number(u, place)


def rounded(value: float) -> str:
    """Three significant digits, for numbers without an uncertainty."""
    return number(value, significant_place(abs(value), 3)) if math.isfinite(value) and value else number(value, 0)

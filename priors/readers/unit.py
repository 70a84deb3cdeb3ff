"""Units of inventories: what a file states, in kg s-1 per cell."""

import re

import numpy as np

from transport.errors import TanhengError
from transport.units import molar_mass

# Of carbon, such that CO2 is 12.0107 + 2 × 15.9994 = 44.0095 g mol-1 as in transport.constants.
MOLAR_MASS_CARBON = 12.0107e-3  # kg mol-1
AVOGADRO = 6.02214076e23  # mol-1, exact since the SI of 2019
MASSES = {
    "mg": 1e-6, "g": 1e-3, "kg": 1.0, "t": 1e3, "Mg": 1e3, "kt": 1e6, "Gg": 1e6, "Mt": 1e9, "Tg": 1e9,
}  # fmt: skip
AMOUNTS = {"mol": 1.0, "mmol": 1e-3, "umol": 1e-6, "nmol": 1e-9, "molec": 1.0 / AVOGADRO}
AREAS = {"m-2": 1.0, "cm-2": 1e-4, "km-2": 1e6}
PERIODS = {"s-1": 1.0, "h-1": 3600.0, "d-1": 86400.0}


def kilograms_per_second(unit: str, species: str, areas: np.ndarray, times: np.ndarray, what: str) -> np.ndarray:
    """Factor from values in a unit to kg s-1 of each cell.

    Per area: m · A / Δt. Per cell: m / Δt. Δt of `month-1` and `yr-1` is the calendar's own, 28…31 d and 365 or 366 d.

    Args:
        unit: "<amount> <per area or cell-1> <per time>" such as "kg m-2 s-1", "tC cell-1 month-1", "molec cm-2 s-1"; an
            amount ending in C is of carbon, any other mass is of the species itself.
        species: "CO2" or "CH4".
        areas: (ny, nx) m2.
        times: (nt+1,) edges of the periods.
        what: named in the error.

    Returns:
        (nt, ny, nx) factors.

    Raises:
        TanhengError: not such a unit, or one that does not fit the periods.
    """
    match = re.fullmatch(r"(\w+) (m-2|cm-2|km-2|cell-1) (s-1|h-1|d-1|month-1|yr-1)", unit)
    mass = _mass(match[1], species) if match else None
    if match is None or mass is None:
        raise TanhengError(
            f"the unit of {what} is not known", got=repr(unit),
            expected=f"e.g. 'kg m-2 s-1', 't cell-1 yr-1', 'tC cell-1 month-1' of {', '.join([*MASSES, *AMOUNTS])}",
            remedy="write the unit so, or convert the file first",
        )  # fmt: skip
    per_cell = np.ones_like(areas) if match[2] == "cell-1" else areas / AREAS[match[2]]
    return mass * per_cell / _seconds(match[3], times, what)[:, None, None]


def _mass(amount: str, species: str) -> float | None:
    """kg of the species in one unit of an amount."""
    if amount in MASSES:
        return MASSES[amount]
    if amount in AMOUNTS:
        return AMOUNTS[amount] * molar_mass(species)
    if amount.endswith("C") and amount[:-1] in MASSES:
        return MASSES[amount[:-1]] * molar_mass(species) / MOLAR_MASS_CARBON
    return None


def _seconds(per: str, times: np.ndarray, what: str) -> np.ndarray:
    """(nt,) seconds of the unit's time in each period."""
    periods = len(times) - 1
    if per in PERIODS:
        return np.full(periods, PERIODS[per])
    calendar = "M" if per == "month-1" else "Y"
    first = times[:-1].astype(f"datetime64[{calendar}]")
    end = (first + 1).astype("datetime64[s]")
    if (end < times[1:].astype("datetime64[s]")).any():
        raise TanhengError(
            f"the unit of {what} does not fit its periods", got=f"{per} and periods {times[0]} … {times[1]}",
            expected=f"periods within one {'month' if calendar == 'M' else 'year'}", remedy="correct the unit",
        )  # fmt: skip
    return (end - first.astype("datetime64[s]")) / np.timedelta64(1, "s")

"""Conversions between amounts and masses of a tracer; every factor is a ratio of named constants."""

from transport.constants import MOLAR_MASS, SECONDS_PER_YEAR
from transport.errors import TanhengError


def require_unit(what: str, got: object, expected: str) -> None:
    """Refuse a quantity whose stated unit is not the expected one.

    Args:
        what: name of the quantity and its file.
        got: unit that the file states.
        expected: unit that the code needs.

    Raises:
        TanhengError: the units differ.
    """
    if str(got).strip() != expected:
        raise TanhengError(
            f"{what} has the wrong unit", got=repr(str(got)), expected=repr(expected), remedy="convert the file first"
        )


def molar_mass(species: str) -> float:
    """Molar mass M of a tracer.

    Args:
        species: a key of `transport.constants.MOLAR_MASS`, e.g. "CO2".

    Returns:
        M in kg mol-1.

    Raises:
        TanhengError: the species is not known.
    """
    if species not in MOLAR_MASS:
        raise TanhengError(
            "unknown species", got=species, expected=", ".join(MOLAR_MASS), remedy="add it to transport/constants.py"
        )
    return MOLAR_MASS[species]


def teragrams_per_year(species: str) -> float:
    """Factor from mol s-1 to Tg yr-1: M [kg mol-1] · 365·86400 s yr-1 · 1e-9 Tg kg-1.

    Args:
        species: the tracer, e.g. "CH4".

    Returns:
        the factor in (Tg yr-1) / (mol s-1).
    """
    return molar_mass(species) * SECONDS_PER_YEAR * 1e-9

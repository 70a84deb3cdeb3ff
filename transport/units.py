"""Conversions between amounts and masses of a tracer; every factor is a ratio of named constants."""

from transport.constants import MOLAR_MASS, SECONDS_PER_YEAR
from transport.errors import TanhengError


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

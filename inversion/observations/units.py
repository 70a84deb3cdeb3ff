"""Units of mole fractions: what files write, and conversion of a set."""

import dataclasses

import numpy as np

from inversion.observations.observations import Observations
from transport.errors import TanhengError

# Spelling in files, lower case without blanks, to mol mol-1.
_SPELLINGS = {
    1.0: ("molmol-1", "mol/mol", "mol.mol-1", "1"),
    1e-6: ("ppm", "ppmv", "micromolmol-1", "umolmol-1", "µmolmol-1", "μmolmol-1", "umol.mol-1", "umol.mol-¹",
           "µmol.mol-1", "µmol.mol-¹", "μmol.mol-1", "umol/mol", "µmol/mol", "μmol/mol", "micromol/mol", "1e-6",
           "1e-06"),
    1e-9: ("ppb", "ppbv", "nanomolmol-1", "nmolmol-1", "nmol.mol-1", "nmol.mol-¹", "nmol/mol", "nanomol/mol", "1e-9",
           "1e-09"),
    1e-12: ("ppt", "pptv", "picomolmol-1", "pmolmol-1", "pmol/mol", "pmol.mol-1", "1e-12"),
}  # fmt: skip
FACTORS = {spelling: factor for factor, spellings in _SPELLINGS.items() for spelling in spellings}
# Of NO2 and other columns that are not divided by the air.
COLUMN_AMOUNT = "mol m-2"
# The unit in which a species is kept.
UNIT_OF = {"CO2": "ppm", "CH4": "ppb", "CO": "ppb", "N2O": "ppb"}


def mole_fraction(unit: object, what: str) -> float:
    """Factor from a unit as a file writes it to mol mol-1.

    Raises:
        TanhengError: not a unit of mole fractions that is known.
    """
    factor = FACTORS.get("".join(str(unit).split()).lower().replace("−", "-").replace("^", ""))
    if factor is None:
        raise TanhengError(
            f"{what} has a unit that is not known", got=repr(unit),
            expected="a mole fraction: mol mol-1, micromol mol-1, ppm, nmol mol-1, ppb, ppt, 1e-6, 1e-9 …",
            remedy="correct the units attribute if you know better than the file",
        )  # fmt: skip
    return factor


def to_unit(observations: Observations, unit: str) -> Observations:
    """The same set in another unit of mole fractions.

    Raises:
        TanhengError: either unit is not a mole fraction.
    """
    factor = mole_fraction(observations.unit, "a set of observations") / mole_fraction(unit, "the wanted unit")
    vertical = observations.vertical
    if vertical is not None:
        vertical = dataclasses.replace(
            vertical, prior=vertical.prior * factor, prior_value=vertical.prior_value * factor
        )
    return observations.replace(
        values=np.asarray(observations.values) * factor, unit=unit, vertical=vertical,
        components=tuple(c.scaled(factor) for c in observations.components),
    )  # fmt: skip

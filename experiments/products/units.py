"""Units in which a prior is shown and stored."""

from priors.inventory import KILOGRAMS_PER_MEGATONNE
from transport.constants import SECONDS_PER_YEAR

_MEGATONNES = SECONDS_PER_YEAR / KILOGRAMS_PER_MEGATONNE
# Totals: factor from kg s-1, and unit.
MASSES = {"CO2": (_MEGATONNES, "Mt CO2 yr-1"), "CH4": (1e3 * _MEGATONNES, "kt CH4 yr-1")}
# Maps: factor from µmol m-2 s-1, and unit.
FLUXES = {"CO2": (1.0, "µmol m-2 s-1"), "CH4": (1e3, "nmol m-2 s-1")}

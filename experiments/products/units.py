"""Units in which a prior is shown and stored."""

from priors.inventory import MEGATONNES_PER_YEAR

# Totals: factor from kg s-1, and unit.
MASSES = {"CO2": (MEGATONNES_PER_YEAR, "Mt CO2 yr-1"), "CH4": (1e3 * MEGATONNES_PER_YEAR, "kt CH4 yr-1")}
# Maps: factor from µmol m-2 s-1, and unit.
FLUXES = {"CO2": (1.0, "µmol m-2 s-1"), "CH4": (1e3, "nmol m-2 s-1")}

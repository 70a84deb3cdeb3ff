"""Physical constants, each with its unit and source."""

# CODATA 2018, exact since the 2019 revision of the SI.
GAS_CONSTANT = 8.314462618  # J mol-1 K-1

# CGPM 1901, conventional value.
STANDARD_GRAVITY = 9.80665  # m s-2

# IUPAC conventional atomic weights; dry air as in Picard et al. 2008 (doi 10.1088/0026-1394/45/2/004)
# at 400 umol/mol CO2.
MOLAR_MASS_DRY_AIR = 28.9647e-3  # kg mol-1
MOLAR_MASS = {"CO2": 44.0095e-3, "CH4": 16.0425e-3}  # kg mol-1

# Sphere used by NAME, STILT and most inventories for cell areas.
EARTH_RADIUS = 6.371e6  # m

SECONDS_PER_HOUR = 3600.0  # s
SECONDS_PER_DAY = 86400.0  # s
# The year of inventories: 365 d. Leap years differ by 0.27 %, which belongs into a budget, not into a unit.
SECONDS_PER_YEAR = 365.0 * SECONDS_PER_DAY  # s
ZERO_CELSIUS = 273.15  # K

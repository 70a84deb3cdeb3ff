"""Physical constants, each with its unit and source."""

# CODATA 2018, exact since the 2019 revision of the SI.
GAS_CONSTANT = 8.314462618  # J mol-1 K-1

# CGPM 1901, conventional value.
STANDARD_GRAVITY = 9.80665  # m s-2

# IUPAC conventional atomic weights; dry air as in Picard et al. 2008 (doi 10.1088/0026-1394/45/2/004)
# at 400 umol/mol CO2.
MOLAR_MASS_DRY_AIR = 28.9647e-3  # kg mol-1
MOLAR_MASS = {"CO2": 44.0095e-3, "CH4": 16.0425e-3, "NO2": 46.0055e-3}  # kg mol-1

# Sphere used by NAME, STILT and most inventories for cell areas.
EARTH_RADIUS = 6.371e6  # m

SECONDS_PER_HOUR = 3600.0  # s
SECONDS_PER_DAY = 86400.0  # s
# The year of inventories: 365 d. Leap years differ by 0.27 %, which belongs into a budget, not into a unit.
SECONDS_PER_YEAR = 365.0 * SECONDS_PER_DAY  # s
ZERO_CELSIUS = 273.15  # K

# WRF-ARW, share/module_model_constants.F: whoever reads its files has to divide by what it multiplied with.
WRF_GRAVITY = 9.81  # m s-2
WRF_GAS_CONSTANT_DRY_AIR = 287.0  # J kg-1 K-1
WRF_GAS_CONSTANT_VAPOUR = 461.6  # J kg-1 K-1
WRF_KAPPA = 2.0 / 7.0  # R_d / c_p
WRF_REFERENCE_PRESSURE = 1.0e5  # Pa
WRF_REFERENCE_TEMPERATURE = 300.0  # K, offset of the perturbation potential temperature
WRF_EARTH_RADIUS = 6.37e6  # m

# IUPAC 2021 (doi 10.1515/pac-2019-0603): 2 × 1.008 + 15.999.
MOLAR_MASS_WATER = 18.015e-3  # kg mol-1
# CGPM 1954, exact; the surface pressure for which level tables are printed.
STANDARD_ATMOSPHERE = 101325.0  # Pa
# Conventional value of the neutral surface layer (Högström 1996, doi 10.1007/BF00120937: 0.40 ± 0.01).
VON_KARMAN = 0.4  # 1

# Heat capacity at constant pressure of an ideal diatomic gas, 7/2 R/M; agrees with 1004.7 J kg-1 K-1 of the
# WMO/ICAO standard atmosphere to its digits.
HEAT_CAPACITY_DRY_AIR = 3.5 * GAS_CONSTANT / MOLAR_MASS_DRY_AIR  # J kg-1 K-1
# NNDC, Nuclear Data Sheets (A = 222).
RADON_HALF_LIFE = 3.8235 * SECONDS_PER_DAY  # s

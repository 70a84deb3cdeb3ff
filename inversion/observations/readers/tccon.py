"""TCCON GGG2020 public files (`*.public.qc.nc`): columns of CO2 and CH4 above a spectrometer on the ground."""

from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations, sift
from inversion.observations.readers.files import NetCDF, seconds_since
from inversion.observations.record import Source, Step
from inversion.observations.units import UNIT_OF
from inversion.observations.vertical import Vertical
from transport.constants import MOLAR_MASS_DRY_AIR, MOLAR_MASS_WATER, STANDARD_ATMOSPHERE
from transport.errors import TanhengError

# Species and scale: column, its error, column of the a-priori profile, integration operator.
_VARIABLES = {
    ("CO2", "WMO CO2 X2019"): ("xco2_x2019", "xco2_error_x2019", "prior_xco2_x2019", "integration_operator_x2019"),
    ("CO2", "WMO CO2 X2007"): ("xco2", "xco2_error", "prior_xco2", "integration_operator"),
    ("CH4", "WMO CH4 X2004"): ("xch4", "xch4_error", "prior_xch4", "integration_operator"),
}
_COLUMN = {"CO2": {"ppm": 1.0}, "CH4": {"ppm": 1e3}}
_PROFILE = {"CO2": {"ppm": 1.0}, "CH4": {"ppb": 1.0}}
# What no column of the Earth's air is; such numbers are damaged.
_RANGE = {"CO2": (250.0, 2000.0), "CH4": (500.0, 10000.0)}
# Column of the a-priori profile, and of its water, against the file's own: they agree within 9e-4 and 7e-4 on real
# data. A profile that is dry, in another unit or upside down does not; levels that changed places may.
_AGREEMENT = np.array([[5e-3], [2e-2]])
_SECONDS = {"seconds since 1970-01-01": 1.0, "seconds since 1970-01-01 00:00:00": 1.0}
_LEVELS = ("time", "prior_altitude")


def read_tccon(path: str | Path, species: str = "CO2", scale: str | None = None) -> Observations:
    """Columns of one TCCON site with kernels and a-priori profiles on levels, all for dry air.

    y = y_a + Σ_j h_j a_j (x_j − x_a,j),  x_a,j = x_wet,j / (1 − q_j),  h_j = w_j (1 − q_j)

    with the wet a-priori profile x_wet, wet mole fraction of water q and integration operator w of the file, so that
    Σ h x_a = Σ w x_wet. In files of format 2020.* and data revision R0 w is faulty: h is then `pressure_weights` above
    the measured surface pressure and y_a = Σ h x_a.

    Args:
        path: of a file `*.public.qc.nc`.
        species: "CO2" or "CH4".
        scale: for CO2 "WMO CO2 X2019" (where None is given) or "WMO CO2 X2007"; CH4 has one.

    Raises:
        TanhengError: not such a file, a species or scale that it does not hold, or no row that can be used.

    Reference: Laughner et al. 2024, doi 10.5194/essd-16-2197-2024; Wunch et al. 2010, doi 10.5194/amt-3-1351-2010.
    """
    value, error, prior_value, operator = _variables(species, scale)
    with NetCDF(path) as file:
        stated = file.text("wmo_or_analogous_scale", of=value)
        wanted = next(s for (gas, s), names in _VARIABLES.items() if gas == species and names[0] == value)
        if stated != wanted:
            raise TanhengError(
                f"{file.name} has {value} on another scale", got=repr(stated), expected=repr(wanted),
                remedy="name a scale that the file holds, or use the file as its makers published it",
            )  # fmt: skip
        faulty = file.text("file_format_version").startswith("2020.") and file.text("data_revision") == "R0"
        fields = _fields(file, species, value, error, prior_value, None if faulty else operator)
        notes = [
            _FAULTY if faulty else _SOUND,
            "a spectrum is taken as an instant: its crossing of zero path difference",
        ]
        source = file.source(
            "tccon", "instant", "; ".join(filter(None, (file.text(k, "") for k in _CITATION))), notes
        )  # fmt: skip
        site = file.text("long_name")
    return _observations(fields, species, wanted, site, source)


_CITATION = ("data_reference", "data_doi", "data_use_policy", "contact")
_FAULTY = (
    "integration operator not used (format 2020.*, revision R0: it is faulty); h from pressure, gravity and water above"
    " the measured surface pressure, y_a = Σ h x_a"
)
_SOUND = (
    "h from the integration operator of the file, which refers to the O2 column of each spectrum: Σ h is xluft, not "
    "exactly one"
)


def pressure_weights(pressure: np.ndarray, gravity: np.ndarray, water: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Weights of level values for the mean over the dry air above the ground.

    h_j ∝ F_j ∫ φ_j dp,  F = 1 / (g M_air [1 + w M_H2O/M_air]),  Σ h = 1

    φ_j is one at level j and falls to zero at its neighbours, linear in ln p; the integral runs from the pressure of
    the surface, wherever between levels that is, to the highest level, whose value stands for the air above it.

    Args:
        pressure: (n, m) Pa, decreasing, positive.
        gravity: (n, m) m s-2.
        water: (n, m) mole fraction in dry air.
        surface: (n,) Pa.

    Returns:
        (n, m) weights, zero for levels of layers that are wholly below the ground.

    Reference: Wunch et al. 2010, doi 10.5194/amt-3-1351-2010, appendix; formats of the project, §4.5.
    """
    below, above = pressure[:, :-1], pressure[:, 1:]
    bottom = np.clip(surface[:, None], above, below)
    integral = lambda p: p * (np.log(p) - 1.0)  # noqa: E731  ∫ ln p dp
    upper = (np.log(below) * (bottom - above) - (integral(bottom) - integral(above))) / np.log(below / above)
    weights = np.zeros_like(pressure)
    weights[:, 1:] += upper
    weights[:, :-1] += bottom - above - upper
    weights[:, -1] += pressure[:, -1]
    weights[:, 0] += np.maximum(surface - pressure[:, 0], 0.0)
    weights /= gravity * (1.0 + water * MOLAR_MASS_WATER / MOLAR_MASS_DRY_AIR)
    return weights / weights.sum(axis=1, keepdims=True)


def _variables(species: str, scale: str | None) -> tuple[str, str, str, str]:
    for (gas, name), variables in _VARIABLES.items():
        if gas == species and scale in (None, name):
            return variables
    raise TanhengError(
        "TCCON files hold no such species on such a scale", got=f"{species} on {scale}",
        expected="; ".join(f"{gas} on {name}" for gas, name in _VARIABLES), remedy="choose one of these",
    )  # fmt: skip


def _fields(
    file: NetCDF, species: str, value: str, error: str, prior_value: str, operator: str | None
) -> dict[str, np.ndarray]:
    gas, time = species.lower(), ("time",)
    heights = file.numbers("prior_altitude", ("prior_altitude",), {"km": 1e3})
    if not np.array_equal(heights, file.numbers("ak_altitude", ("ak_altitude",), {"km": 1e3})):
        raise TanhengError(
            f"kernels and profiles of {file.name} are on different levels", got="ak_altitude ≠ prior_altitude",
            expected="the same levels", remedy="use a GGG2020 file as its makers published it",
        )  # fmt: skip
    fields = {
        "time": file.numbers("time", time, _SECONDS),
        "value": file.numbers(value, time, _COLUMN[species]),
        "error": file.numbers(error, time, _COLUMN[species]),
        "prior_value": file.numbers(prior_value, time, _COLUMN[species]),
        "prior_water": file.numbers("prior_xh2o", time, {"ppm": 1e-6}),
        "lat": file.numbers("lat", time, {"degrees_north": 1.0}),
        "lon": file.numbers("long", time, {"degrees_east": 1.0}),
        "altitude": file.numbers("zobs", time, {"km": 1e3}),
        "surface_pressure": file.numbers("pout", time, {"hPa": 1e2}),
        "solzen": file.numbers("solzen", time, {"degrees": 1.0}),
        "airmass": file.numbers("airmass", time),
        "xluft": file.numbers("xluft", time, {"1": 1.0}),
        "flag": file.numbers(f"extrapolation_flags_ak_x{gas}", time, integer=True),
        "kernel": file.numbers(f"ak_x{gas}", ("time", "ak_altitude"), {"1": 1.0}),
        "pressure": file.numbers("prior_pressure", _LEVELS, {"atm": STANDARD_ATMOSPHERE}),
        "gravity": file.numbers("prior_gravity", _LEVELS, {"m.s-2": 1.0}),
        "q": file.numbers("prior_h2o", _LEVELS, {"1": 1.0}),
        "wet": file.numbers(f"prior_{gas}", _LEVELS, _PROFILE[species]),
    }
    if operator is not None:
        fields["operator"] = file.numbers(operator, _LEVELS, {"1": 1.0})
    return fields


def _dry(fields: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """h, x_a and y_a for dry air, and the columns of profile and water that the file should state for them."""
    water = fields["q"] / (1.0 - fields["q"])
    profile = fields["wet"] * (1.0 + water)
    if "operator" in fields:
        weights = fields["operator"] * (1.0 - fields["q"])
        return weights, profile, fields["prior_value"], np.stack([(weights * x).sum(axis=1) for x in (profile, water)])
    weights = pressure_weights(fields["pressure"], fields["gravity"], water, fields["surface_pressure"])
    own = np.stack([(weights * x).sum(axis=1) for x in (profile, water)])
    # Columns in the file are relative to the O2 column of each spectrum, as xluft is.
    return weights, profile, own[0], own * fields["xluft"]


def _observations(fields: dict[str, np.ndarray], species: str, scale: str, site: str, source: Source) -> Observations:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        weights, profile, prior_value, columns = _dry(fields)
        keep, dropped = sift(_reasons(fields, species, weights, columns), len(fields["time"]))
    rows = np.flatnonzero(keep)
    take = {k: v[rows] for k, v in fields.items()}
    time = seconds_since("1970-01-01", take["time"], source.name)
    return Observations(
        values=take["value"], start=time, end=time, groups=np.full(rows.size, site),
        kinds=np.full(rows.size, "column"), unit=UNIT_OF[species], species=species,
        components=(Component.independent("retrieval noise", take["error"]),),
        lon=take["lon"], lat=take["lat"], altitude=take["altitude"], scales=np.full(rows.size, scale),
        flags=take["flag"].astype(int).astype(str), instruments=np.full(rows.size, site),
        vertical=Vertical(
            take["pressure"], np.zeros(rows.size, bool), weights[rows], take["kernel"], profile[rows],
            prior_value[rows],
        ),
        extra={k: take[k] for k in ("airmass", "solzen", "xluft", "surface_pressure")},
        sources=(source,), steps=(Step("read", rows.size, dropped),),
    )  # fmt: skip


def _reasons(
    fields: dict[str, np.ndarray], species: str, weights: np.ndarray, columns: np.ndarray
) -> dict[str, np.ndarray]:
    """Why rows cannot be used; `columns` (2, n) of profile and water must agree with those of the file."""
    n, flag, gravity, surface = len(fields["time"]), fields["flag"], fields["gravity"], fields["surface_pressure"]
    low, high = _RANGE[species]
    stated = np.stack([fields["prior_value"], fields["prior_water"]])

    def every(good: np.ndarray) -> np.ndarray:
        return np.all(good.reshape(n, -1), axis=1)

    return {
        "fill value": ~np.all([every(np.isfinite(v)) for k, v in fields.items() if k != "error"], axis=0),
        "kernel clamped at the ends of its table (flag ±2)": np.abs(flag) == 2,
        "flag of no meaning": ~np.isin(flag, (-1, 0, 1)),
        f"value outside {low:g}…{high:g} {UNIT_OF[species]}": ~((fields["value"] > low) & (fields["value"] < high)),
        "uncertainty not positive": (fields["error"] <= 0.0) | np.isinf(fields["error"]),
        "place not on Earth": (np.abs(fields["lat"]) > 90.0) | (np.abs(fields["lon"]) > 180.0),
        "surface pressure outside 300…1100 hPa": ~((surface > 3e4) & (surface < 1.1e5)),
        "pressures do not decrease upwards": ~every(np.diff(fields["pressure"]) < 0.0)
        | ~every(fields["pressure"] > 0.0),
        "gravity does not decrease upwards": ~every(np.diff(gravity) <= 0.0) | ~every(np.abs(gravity - 9.7) < 0.2),
        "kernel outside −0.5…5": ~every((fields["kernel"] >= -0.5) & (fields["kernel"] < 5.0)),
        "weights do not sum to xluft within 5 %": ~(np.abs(weights.sum(axis=1) / fields["xluft"] - 1.0) < 0.05),
        "a-priori profile disagrees with its column in the file": ~np.all(
            np.abs(columns / stated - 1.0) < _AGREEMENT, axis=0
        ),
    }

"""Level-2 columns on levels in the form of ESA's Climate Change Initiative, as Leicester writes it."""

import dataclasses
from pathlib import Path

import numpy as np

from inversion.observations.observations import Observations
from inversion.observations.readers.files import NetCDF, seconds_since
from inversion.observations.readers.soundings import (
    DEGREES_EAST,
    DEGREES_NORTH,
    PLAUSIBLE,
    believe,
    epoch,
    finite,
    noise,
    unusable,
)
from inversion.observations.units import UNIT_OF
from transport.errors import TanhengError

_ROW, _PROFILE = ("n",), ("n", "m")
# Fills are numbers in the data; no attribute names them.
_FILL = -9990.0


@dataclasses.dataclass(frozen=True)
class Product:
    """What differs between products of this form.

    Args:
        reader: name for the record.
        species: "CH4" or "CO2".
        instrument: name.
        units: text of the unit of the column and its profile, to the unit in which the species is kept.
        extra: further variables.
        notes: assumptions.
        order: "ground first", or "either" where the reader must find out.
    """

    reader: str
    species: str
    instrument: str
    units: dict[str, float]
    extra: tuple[str, ...]
    notes: tuple[str, ...]
    order: str


def read_cci(path: str | Path, product: Product) -> Observations:
    """Columns of good quality with kernels on levels; the a-priori column is Σ h x_a.

    Args:
        path: of a daily file.
        product: what it holds.

    Raises:
        TanhengError: another format, levels in no or two orders, or nothing left.
    """
    name, unit = product.species.lower(), UNIT_OF[product.species]
    column, limits = f"x{name}", PLAUSIBLE[product.species]
    with NetCDF(path) as file:
        values, sigma = (_numbers(file, n, _ROW, product.units) for n in (column, f"{column}_uncertainty"))
        lon, lat = _numbers(file, "longitude", _ROW, DEGREES_EAST), _numbers(file, "latitude", _ROW, DEGREES_NORTH)
        start = seconds_since(epoch(file, "time", "seconds"), _numbers(file, "time", _ROW), file.name)
        flag = _numbers(file, f"{column}_quality_flag", _ROW)
        reasons = unusable(values, start, lon, lat, limits) | {"quality flag is not 0": flag != 0.0}
        rows, vertical, step = believe(reasons, _profiles(file, product, name, column), limits)
        day = start[rows].astype("datetime64[D]").astype(str)
        altitude = _numbers(file, "surface_altitude", _ROW, {"m": 1.0}) if file.has("surface_altitude") else None
        extra = {n: _numbers(file, n, _ROW) for n in product.extra if file.has(n)}
        return Observations(
            values=values[rows], start=start[rows], end=start[rows], kinds=np.full(rows.size, "column"), unit=unit,
            groups=np.char.add(f"{product.instrument} ", day), species=product.species, lon=lon[rows], lat=lat[rows],
            altitude=np.full(rows.size, np.nan) if altitude is None else altitude[rows],
            components=(noise(sigma[rows]),), flags=np.char.mod("%.0f", flag[rows]),
            instruments=np.full(rows.size, product.instrument), vertical=vertical,
            extra={k: v[rows] for k, v in extra.items()}, steps=(step,),
            sources=(file.source(product.reader, "instant", _attribution(file), product.notes),),
        )  # fmt: skip


def _numbers(file: NetCDF, name: str, dims: tuple[str, ...], units: dict[str, float] | None = None) -> np.ndarray:
    """Values with fills as NaN."""
    values = file.numbers(name, dims)
    values = finite(np.where(values < _FILL, np.nan, values))
    return values if units is None else values * file.factor(name, units)


def _profiles(file: NetCDF, product: Product, name: str, column: str) -> dict[str, np.ndarray]:
    """Arguments of `Vertical` for all soundings, from the ground up; levels that are missing stand last."""
    profiles = {
        "pressure": _numbers(file, "pressure_levels", _PROFILE, {"hPa": 100.0}),
        "weights": _numbers(file, "pressure_weight", _PROFILE, {"1": 1.0}),
        "kernel": _numbers(file, f"{column}_averaging_kernel", _PROFILE, {"1": 1.0}),
        "prior": _numbers(file, f"{name}_profile_apriori", _PROFILE, product.units),
    }
    if product.order == "either" and _space_first(file, profiles["pressure"]):
        profiles = {k: v[:, ::-1] for k, v in profiles.items()}
    # High ground: the lowest levels of the grid are missing.
    order = np.argsort(np.isnan(profiles["pressure"]), axis=1, kind="stable")
    profiles = {k: np.take_along_axis(v, order, axis=1) for k, v in profiles.items()}
    lost = np.isnan(profiles["pressure"]) != np.isnan(profiles["weights"])
    value = np.nansum(profiles["weights"] * profiles["prior"], axis=1)
    value[lost.any(axis=1)] = np.nan
    return profiles | {"layered": np.zeros(value.size, bool), "prior_value": value}


def _space_first(file: NetCDF, pressure: np.ndarray) -> bool:
    """True where all columns run from space to the ground, False where all run upward.

    Raises:
        TanhengError: neither.
    """
    whole = pressure[np.isfinite(pressure).all(axis=1)]
    steps = np.diff(whole, axis=1)
    if whole.size and (steps > 0.0).all():
        return True
    if whole.size and (steps < 0.0).all():
        return False
    raise TanhengError(
        f"levels of {file.name} run neither all up nor all down", got=f"{len(whole)} columns with all levels",
        expected="one order of pressure_levels", remedy="look at the file: this form is not known",
    )  # fmt: skip


def _attribution(file: NetCDF) -> str:
    parts = (file.text(k, "") for k in ("title", "product_version", "institution", "references", "license"))
    return "; ".join(" ".join(p.split()) for p in parts if p)

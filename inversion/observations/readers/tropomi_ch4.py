"""Level-2 methane of TROPOMI on Sentinel-5P (S5P_*_L2__CH4____)."""

from pathlib import Path
from typing import Any

import numpy as np

from inversion.observations.observations import Observations
from inversion.observations.readers.files import NetCDF
from inversion.observations.readers.sentinel5p import (
    GROUPS,
    PIXEL,
    attribution,
    number,
    overpass,
    pixels,
    place,
    times,
)
from inversion.observations.readers.soundings import PLAUSIBLE, believe, extras, noise, unusable
from transport.constants import MOLAR_MASS_DRY_AIR, STANDARD_GRAVITY
from transport.errors import TanhengError

_VALUES = {
    "bias_corrected": "methane_mixing_ratio_bias_corrected",
    "destriped": "methane_mixing_ratio_bias_corrected_destriped",
    "uncorrected": "methane_mixing_ratio",
}
_LAYERS = 12
_PPB = {"1e-9": 1.0, "1E-9": 1.0}
_MOLES, _PASCAL = {"mol m-2": 1.0}, {"Pa": 1.0}
_EXTRA = (
    "detail:surface_albedo_SWIR", "detail:surface_albedo_NIR", "detail:aerosol_optical_thickness_SWIR",
    "detail:aerosol_optical_thickness_NIR", "detail:chi_square_SWIR", "geo:solar_zenith_angle",
    "geo:viewing_zenith_angle", "input:surface_altitude_precision", "input:surface_classification",
    "input:snow_ice_flag", "input:eastward_wind", "input:northward_wind",
)  # fmt: skip
_NOTES = (
    "stated precision is noise only: the product's makers advise about twice as much",
    "layers turned round: index 0 is the lowest; 12 layers of equal pressure between surface and top",
    "wind is ECMWF's at 10 m",
)


def read_tropomi_ch4(path: str | Path, qa_minimum: float = 0.5, value: str = "bias_corrected") -> Observations:
    """Methane columns of one orbit with kernels.

    h_i = d_i / Σ d,  x_a,i = 10⁹ c_a,i / d_i,  p_k = p_s − k Δp,
    y = Σ h x_a + Σ h a (x − x_a)

    with d the dry air and c_a the a-priori methane of a layer in mol m-2.

    Args:
        path: of an operational granule or a subset of one with the same groups.
        qa_minimum: soundings with a quality value of this or less are left out.
        value: "bias_corrected", "destriped" (processor 2.7 and later) or "uncorrected".

    Returns:
        ppb; `extra` has albedo, aerosol, angles, classification, wind, blended albedo 2.4 NIR − 1.13 SWIR, pixel.

    Raises:
        TanhengError: another format, a variable that is missing, or nothing left.

    Reference: S5P Product User Manual Methane, SRON-S5P-LEV2-MA-001; Lorente et al. 2021, doi 10.5194/amt-14-665-2021.
    """
    if value not in _VALUES:
        raise TanhengError(
            "an unknown kind of TROPOMI methane", got=value, expected=", ".join(_VALUES), remedy="choose one of these"
        )
    with NetCDF(path, GROUPS) as file:
        values, start, (lon, lat, corners) = pixels(file, f"product:{_VALUES[value]}", _PPB), times(file), place(file)
        quality = np.round(pixels(file, "product:qa_value", {"1": 1.0}), 4)
        profiles, disagree = _profiles(file)
        reasons = unusable(values, start, lon, lat, PLAUSIBLE["CH4"]) | {
            f"quality value not above {qa_minimum:g}": ~(quality > qa_minimum)
        }
        rows, vertical, step = believe(reasons | disagree, profiles, PLAUSIBLE["CH4"])
        extra = _extra(file)
        name = overpass(file)
        return Observations(
            values=values[rows], start=start[rows], end=start[rows], groups=np.full(rows.size, name),
            kinds=np.full(rows.size, "column"), unit="ppb", species="CH4", lon=lon[rows], lat=lat[rows],
            altitude=pixels(file, "input:surface_altitude", {"m": 1.0})[rows],
            components=(noise(pixels(file, "product:methane_mixing_ratio_precision", _PPB)[rows]),),
            flags=np.char.mod("%.2f", quality[rows]), instruments=np.full(rows.size, "TROPOMI"), vertical=vertical,
            corners=corners[rows], extra={k: v[rows] for k, v in extra.items()}, steps=(step,),
            sources=(file.source("tropomi_ch4", "instant", attribution(file), (*_NOTES, f"value: {_VALUES[value]}")),),
        )  # fmt: skip


def _profiles(file: NetCDF) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arguments of `Vertical` for all pixels, from the ground up, and rows whose file contradicts itself."""
    if file.size("layer", "product") != _LAYERS:
        raise TanhengError(
            f"{file.name} has another number of layers", got=file.size("layer", "product"), expected=_LAYERS,
            remedy="use the operational methane product",
        )  # fmt: skip
    air, methane = (
        pixels(file, f"input:{name}", _MOLES, "layer")[:, ::-1]
        for name in ("dry_air_subcolumns", "methane_profile_apriori")
    )
    kernel = pixels(file, "detail:column_averaging_kernel", {"1": 1.0}, "layer")[:, ::-1]
    surface, step = (pixels(file, f"input:{name}", _PASCAL) for name in ("surface_pressure", "pressure_interval"))
    altitude = pixels(file, "input:altitude_levels", {"m": 1.0}, "level")
    with np.errstate(invalid="ignore", divide="ignore"):
        h, prior = air / air.sum(axis=1, keepdims=True), 1e9 * methane / air
        ratio = air * (STANDARD_GRAVITY * MOLAR_MASS_DRY_AIR) / step[:, None]
        disagree = {
            "layers do not run from space to the ground": ~(np.diff(altitude, axis=1) < 0.0).all(axis=1),
            # Humidity takes up to 4 %, gravity at 50 km adds 1.5 %.
            "dry air is not that of the pressures": ~((ratio > 0.93) & (ratio < 1.05)).all(axis=1),
        }
        # The top edge lies at 10 Pa: rounding must not make it negative.
        pressure = np.maximum(surface[:, None] - np.arange(_LAYERS + 1) * step[:, None], 0.0)
    return {
        "pressure": pressure, "layered": np.ones(len(surface), bool), "weights": h, "kernel": kernel, "prior": prior,
        "prior_value": (h * prior).sum(axis=1),
    }, disagree  # fmt: skip


def _extra(file: NetCDF) -> dict[str, np.ndarray]:
    extra = extras(file, _EXTRA, PIXEL)
    if {"surface_albedo_NIR", "surface_albedo_SWIR"} <= set(extra):
        extra["blended_albedo"] = 2.4 * extra["surface_albedo_NIR"] - 1.13 * extra["surface_albedo_SWIR"]
    return extra | number(file)

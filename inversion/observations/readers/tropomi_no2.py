"""Level-2 tropospheric NO2 of TROPOMI on Sentinel-5P (S5P_*_L2__NO2____), and cut-outs as ddeq writes them."""

from pathlib import Path

import numpy as np

from inversion.observations.observations import Observations, sift
from inversion.observations.readers.files import NetCDF, seconds_since
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
from inversion.observations.readers.soundings import astray, believe, epoch, extras, finite, noise, outline, unusable
from inversion.observations.record import Step
from transport.constants import MOLAR_MASS_DRY_AIR, STANDARD_GRAVITY
from transport.errors import TanhengError

_MOLES = {"mol m-2": 1.0}
_ONE, _PASCAL = {"1": 1.0}, {"Pa": 1.0}
_LIMITS = -0.01, 0.1  # mol m-2; the most polluted cities have 0.002
_CUT = ("nrows", "nobs")
_EXTRA = (
    "product:nitrogendioxide_tropospheric_column_precision", "geo:solar_zenith_angle", "geo:viewing_zenith_angle",
    "input:eastward_wind", "input:northward_wind", "detail:cloud_fraction_crb_nitrogendioxide_window",
)  # fmt: skip
_NOTES = (
    "precision is that of a column compared through its kernel, without the error of the a-priori profile",
    "air of a layer is Δp/(g M_air): its moisture is ignored",
    "needs no a-priori profile: prior and prior_value are 0, y = Σ h a x with x in mol mol-1",
)


def read_tropomi_no2(path: str | Path, qa_minimum: float = 0.75) -> Observations:
    """Tropospheric NO2 columns of one orbit, with kernels where the file allows them.

    y = Σ_i h_i a_i x_i,  h_i = Δp_i/(g M_air) mol m-2,  a_i = A_i M_total/M_troposphere up to the tropopause, 0 above,
    p = a + b p_s

    Args:
        path: of an operational granule, or of a cut-out by ddeq (variables NO2, NO2_std, lonc …).
        qa_minimum: soundings with a quality value of this or less are left out; 0.75 means free of cloud. A cut-out
            was filtered before, and has no quality value.

    Returns:
        mol m-2. A cut-out has neither the total air-mass factor nor the tropopause, so that its `vertical` is None.

    Raises:
        TanhengError: another format, a variable that is missing, or nothing left.

    Reference: S5P Product User Manual NO2, S5P-KNMI-L2-0021-MA; Eskes & Boersma 2003, doi 10.5194/acp-3-1285-2003.
    """
    with NetCDF(path) as file:
        if file.has("NO2"):
            return _cut_out(file)
    with NetCDF(path, GROUPS) as file:
        values = pixels(file, "product:nitrogendioxide_tropospheric_column", _MOLES)
        start, (lon, lat, corners) = times(file), place(file)
        quality = np.round(pixels(file, "product:qa_value", _ONE), 4)
        reasons = unusable(values, start, lon, lat, _LIMITS) | {
            f"quality value not above {qa_minimum:g}": ~(quality > qa_minimum)
        }
        rows, vertical, step = believe(reasons, _profiles(file), None)
        sigma = pixels(file, "product:nitrogendioxide_tropospheric_column_precision_kernel", _MOLES)
        extra, name = extras(file, _EXTRA, PIXEL) | number(file), overpass(file)
        return Observations(
            values=values[rows], start=start[rows], end=start[rows], groups=np.full(rows.size, name),
            kinds=np.full(rows.size, "column"), unit="mol m-2", species="NO2", lon=lon[rows], lat=lat[rows],
            altitude=pixels(file, "input:surface_altitude", {"m": 1.0})[rows], components=(noise(sigma[rows]),),
            flags=np.char.mod("%.2f", quality[rows]), instruments=np.full(rows.size, "TROPOMI"), vertical=vertical,
            corners=corners[rows], extra={k: v[rows] for k, v in extra.items()}, steps=(step,),
            sources=(file.source("tropomi_no2", "instant", attribution(file), _NOTES),),
        )  # fmt: skip


def _profiles(file: NetCDF) -> dict[str, np.ndarray]:
    """Arguments of `Vertical` for all pixels; the file runs from the ground up already."""
    a, b = (
        file.numbers(f"product:tm5_constant_{c}", ("layer", "vertices"), u) for c, u in (("a", _PASCAL), ("b", _ONE))
    )
    for name, edges in (("a", a), ("b", b)):
        if edges.shape[1] != 2 or not np.allclose(edges[1:, 0], edges[:-1, 1], rtol=1e-4, atol=1e-6):
            raise TanhengError(
                f"layers of {file.name} do not join", got=f"tm5_constant_{name} {np.array2string(edges, threshold=6)}",
                expected="the top of each layer is the bottom of the next", remedy="copy the file again",
            )  # fmt: skip
    surface = pixels(file, "input:surface_pressure", _PASCAL)
    pressure = np.append(a[:, 0], a[-1, 1]) + np.append(b[:, 0], b[-1, 1]) * surface[:, None]
    total, troposphere = (pixels(file, f"product:air_mass_factor_{n}", _ONE) for n in ("total", "troposphere"))
    top = pixels(file, "product:tm5_tropopause_layer_index")
    kernel = pixels(file, "product:averaging_kernel", _ONE, "layer")
    with np.errstate(invalid="ignore", divide="ignore"):
        known = (total > 0.0) & (troposphere > 0.0) & np.isfinite(total * troposphere) & (top >= 0)
        factor = np.where(known, total / troposphere, np.nan)
        inside = np.arange(kernel.shape[1]) <= top[:, None]
        tropospheric = kernel * np.where(inside, factor[:, None], 0.0 * factor[:, None])
        weights = -np.diff(pressure, axis=1) / (STANDARD_GRAVITY * MOLAR_MASS_DRY_AIR)
    n = len(surface)
    return {
        "pressure": pressure, "layered": np.ones(n, bool), "weights": weights, "kernel": tropospheric,
        "prior": np.zeros(kernel.shape), "prior_value": np.zeros(n),
    }  # fmt: skip


def _cut_out(file: NetCDF) -> Observations:
    """Columns of a cut-out: one time for all pixels, no kernel."""
    values, lon, lat = (file.numbers(n, _CUT, u).ravel() for n, u in (("NO2", _MOLES), ("lon", None), ("lat", None)))
    moment = seconds_since(epoch(file, "time", "days"), 86400.0 * np.ravel(file.numbers("time", ())), file.name)
    start = np.repeat(moment, values.size)
    corners = outline(*(file.numbers(n, (*_CUT, "corner")).reshape(-1, 4) for n in ("lonc", "latc")))
    reasons = unusable(values, start, lon, lat, _LIMITS) | {"centre outside its corners": astray(lon, lat, corners)}
    keep, dropped = sift(reasons, values.size)
    rows = np.flatnonzero(keep)
    original = file.text("original file name", "not stated")
    notes = (
        f"cut-out of {original}; filter: quality value {file.text('QA value filter', 'not stated')}",
        "one time for all pixels",
        "no kernel: the file lacks the total air-mass factor and the tropopause that a tropospheric kernel needs",
        "the same precision everywhere: a floor of the cut-out and not the product's own",
    )
    extra = {"surface_pressure": file.numbers("psurf", _CUT, _PASCAL), "cloud_fraction": file.numbers("clouds", _CUT)}
    orbit = file.numbers("orbit", (), integer=True)
    return Observations(
        values=values[rows], start=start[rows], end=start[rows], kinds=np.full(rows.size, "column"), unit="mol m-2",
        groups=np.full(rows.size, f"TROPOMI orbit {float(orbit):05.0f}"), species="NO2", lon=lon[rows], lat=lat[rows],
        components=(noise(file.numbers("NO2_std", _CUT, _MOLES).ravel()[rows]),),
        instruments=np.full(rows.size, "TROPOMI"), corners=corners[rows],
        extra={k: finite(v).ravel()[rows] for k, v in extra.items()}, steps=(Step("read", rows.size, dropped),),
        sources=(file.source("tropomi_no2", "instant", "Contains Copernicus Sentinel-5P data", notes),),
    )  # fmt: skip

"""Synthetic XCO2 of the planned CO2M mission over Berlin (project SMARTCARB, files Sentinel_7_CO2_*)."""

from pathlib import Path

import numpy as np

from inversion.observations.observations import Observations, sift
from inversion.observations.readers.files import NetCDF, seconds_since
from inversion.observations.readers.soundings import (
    DEGREES_EAST,
    DEGREES_NORTH,
    PLAUSIBLE,
    epoch,
    extras,
    noise,
    outline,
    unusable,
)
from inversion.observations.record import Step
from transport.errors import TanhengError

_PIXEL = ("nobs", "nrows")
_PPM = {"ppm": 1.0}
# Of fossil fuel; the biosphere's uptake is stored as a positive number.
_SIGNS = {"XCO2_BG": 1.0, "XCO2_A": 1.0, "XCO2_BV": 1.0, "XCO2_JV": 1.0, "XCO2_RA": 1.0, "XCO2_GPP": -1.0}
_FOSSIL = ("XCO2_A", "XCO2_BV", "XCO2_JV")
_EXTRA = (*_SIGNS, "XCO2_BC", "XCO2_TOT", "CLCT", "PS", "solar_zenith_angle", "Albedo_SWIR", "Albedo_NIR", "NO2_TOT",
          "NO2_BV", "NO2_BG", "uNO2_high", "uNO2_low")  # fmt: skip
_NOTES = (
    "SYNTHETIC: simulated XCO2 without noise; uXCO2 is the noise the instrument would have",
    "XCO2 = BG + A + BV + JV + RA − GPP: boundary, other sources, Berlin, Jaenschwalde, respiration, photosynthesis",
    "clouds are not left out: see CLCT; uXCO2 is missing where the ground is too dark",
    "no kernels: the simulation's columns weigh all dry air alike",
)


def read_co2m(path: str | Path) -> Observations:
    """Simulated XCO2 of one overpass with its tracers.

    XCO2 = BG + A + BV + JV + RA − GPP

    Args:
        path: of a swath with the tracers XCO2_* in ppm.

    Returns:
        ppm; the retrieval noise is uXCO2 and not in the values; `extra` has each tracer under its name in the file,
        cloud cover CLCT, surface pressure PS (Pa), albedo, and NO2 in molecules cm-2.

    Raises:
        TanhengError: another format, or nothing left.

    Reference: Kuhlmann et al. 2019, doi 10.5194/amt-12-6695-2019; Brunner et al. 2019, doi 10.5194/acp-19-4541-2019.
    """
    with NetCDF(path) as file:
        if "synthetic" not in file.text("DESCRIPTION", "").lower():
            raise TanhengError(
                f"{file.name} does not call itself synthetic", got=repr(file.text("DESCRIPTION", "")),
                expected="a file of the SMARTCARB project", remedy="use the reader of the real instrument",
            )  # fmt: skip
        tracers = {name: file.numbers(name, _PIXEL, _PPM).ravel() for name in (*_SIGNS, "XCO2_TOT")}
        values = sum((sign * tracers[name] for name, sign in _SIGNS.items()), np.zeros(tracers["XCO2_BG"].size))
        lon = file.numbers("longitude", _PIXEL, DEGREES_EAST).ravel()
        lat = file.numbers("latitude", _PIXEL, DEGREES_NORTH).ravel()
        seconds = file.numbers("time", _PIXEL).ravel()
        start = seconds_since(epoch(file, "time", "seconds"), seconds, file.name)
        with np.errstate(invalid="ignore"):
            gap = np.abs(sum(tracers[n] for n in _FOSSIL) - tracers["XCO2_TOT"])
        # Tracers were packed: in the real file they differ from the total by up to 0.15 ppm.
        reasons = unusable(values, start, lon, lat, PLAUSIBLE["CO2"]) | {"sources and total differ": ~(gap <= 0.3)}
        keep, dropped = sift(reasons, values.size)
        corners = outline(*(file.numbers(f"{n}_corners", (*_PIXEL, "ncorners")).reshape(-1, 4) for n in
                            ("longitude", "latitude")))  # fmt: skip
        extra = extras(file, _EXTRA, _PIXEL)
        n = int(keep.sum())
        day = start[keep].astype("datetime64[D]").astype(str)
        return Observations(
            values=values[keep], start=start[keep], end=start[keep], groups=np.char.add("CO2M synthetic ", day),
            kinds=np.full(n, "column"), unit="ppm", species="CO2", lon=lon[keep], lat=lat[keep],
            components=(noise(file.numbers("uXCO2", _PIXEL, _PPM).ravel()[keep]),),
            instruments=np.full(n, "CO2M (synthetic)"), corners=corners[keep],
            extra={k: v[keep] for k, v in extra.items()}, steps=(Step("read", n, dropped),),
            sources=(file.source("smartcarb", "instant", "SMARTCARB, Empa and ESA; Kuhlmann et al. 2019", _NOTES),),
        )  # fmt: skip

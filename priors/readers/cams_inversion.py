"""Concentrations of the CAMS global inversions: `cams73_<version>_<species>_conc_…_<mm, dm or inst>_<yyyymm>.nc`."""

import re
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from priors.boundary import PPM
from priors.boundary_fields import Field
from priors.domain import standard_ratio
from priors.readers.global_model import field, wrong
from priors.readers.time_axis import around, calendar, times_of
from transport.constants import STANDARD_ATMOSPHERE

NAME = re.compile(r"^cams73_([^_]+)_(co2|ch4)_conc_.*?(mm|dm|inst)_\d{6}\.nc$")
ALTITUDES = ("altitude", "height_above_reference_ellipsoid")
LONLAT = ("longitude", "latitude")
METRES = {"m": 1.0, "metres": 1.0, "meters": 1.0, "km": 1000.0}


def read_cams_concentration(path: str | Path) -> Field:
    """Mole fractions on the model's layers.

    The layers' edges come from ap + bp Psurf, or from the altitude of the half levels: these are put to pressure by
    the standard atmosphere, which is said in the notes. Months and days are those of the calendar, instants stand for
    the time around them.

    Args:
        path: under the name with which it was published, which tells species and averaging.

    Raises:
        TanhengError: another name, another form, values that are no air.

    Reference: Chevallier et al. 2010, doi 10.1029/2010JD013887 (CO2); Segers and Houweling, CAMS73 reports (CH4).
    """
    match = NAME.match(Path(path).name.lower())
    with NetCDF(path) as nc:
        if match is None:
            raise wrong(nc, nc.name, "cams73_<version>_<co2 or ch4>_conc_<observations>_<mm, dm or inst>_<yyyymm>.nc")
        version, species, mean = match[1], match[2].upper(), match[3]
        name = species if nc.has(species) else species.lower()
        dims = ("time", "level", "latitude", "longitude")
        values = nc.numbers(name, dims, PPM)
        pressure, note = _pressure(nc, values.shape)
        times = times_of(nc)
        edges = around(times, nc) if mean == "inst" else calendar(times, "M" if mean == "mm" else "D", nc)
        stamp = "instant" if mean == "inst" else "middle"
        source = nc.source(f"CAMS inversion {version}", stamp, "CAMS global inversion", (note,) if note else ())
        return field(nc, species, values, pressure, LONLAT, edges, source)


def _pressure(nc: NetCDF, shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
    """(1 or nt, nl+1, nlat, nlon) edges in Pa, and what was assumed."""
    if nc.has("Psurf"):
        # One dimension each, of whatever name.
        a, b = nc.numbers("ap", nc.dims("ap")[:1], {"Pa": 1.0, "hPa": 100.0}), nc.numbers("bp", nc.dims("bp")[:1])
        ground = nc.numbers("Psurf", ("time", "latitude", "longitude"), {"Pa": 1.0, "hPa": 100.0})
        if a.ndim != 1 or a.shape != b.shape or a.size not in (shape[1], shape[1] + 1):
            raise wrong(nc, f"{a.size} and {b.size} of ap and bp", f"{shape[1]} levels, or one more for edges")
        p = a[:, None, None] + b[:, None, None] * ground[:, None]
        if a.size == shape[1] + 1:
            return p, ""
        if p[0, 0].mean() < p[0, -1].mean():
            p = p[:, ::-1]
            middle = 0.5 * (p[:, 1:] + p[:, :-1])
            edges = np.concatenate([ground[:, None], middle, np.zeros_like(ground)[:, None]], axis=1)[:, ::-1]
        else:
            edges = np.concatenate(
                [ground[:, None], 0.5 * (p[:, 1:] + p[:, :-1]), np.zeros_like(ground)[:, None]], axis=1
            )
        return edges, "edges half-way between the pressures of the levels"
    held = [n for n in ALTITUDES if nc.has(n)]
    if not held:
        raise wrong(nc, "no Psurf, no altitude", f"ap, bp and Psurf, or one of {', '.join(ALTITUDES)}")
    dims = nc.dims(held[0])
    expected = [("time", "hlevel", "latitude", "longitude"), ("hlevel", "latitude", "longitude"),
                ("time", "latitude", "longitude", "hlevel"), ("latitude", "longitude", "hlevel")]  # fmt: skip
    if dims not in expected:
        raise wrong(nc, f"{held[0]}{dims}", f"{expected[0]}")
    z = nc.numbers(held[0], dims, METRES)
    z = np.moveaxis(z, dims.index("hlevel") - len(dims), -3)
    z = z[None] if z.ndim == 3 else z
    if not np.isfinite(z).all() or not ((np.diff(z, axis=1) > 0).all() or (np.diff(z, axis=1) < 0).all()):
        raise wrong(nc, f"{held[0]} missing or not in order", "altitudes that rise or fall with the level")
    # Above the highest edge of the standard there is no air to speak of; the order of edges must stay.
    p = STANDARD_ATMOSPHERE * standard_ratio(np.clip(z, 0.0, 79e3)) * np.exp(-np.maximum(z - 79e3, 0.0) / 7e3)
    p = p * np.exp(-np.minimum(z, 0.0) / 8.4e3)
    return p, f"{held[0]} put to pressure by the ICAO standard atmosphere above sea level"

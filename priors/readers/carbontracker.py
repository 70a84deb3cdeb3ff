"""Mole fractions of CarbonTracker: daily files of total CO2 or CH4, every three hours, on layers between pressures."""

from pathlib import Path

from inversion.observations.readers.files import NetCDF
from priors.boundary import PPM
from priors.boundary_fields import Field
from priors.readers.global_model import field, wrong
from priors.readers.time_axis import around, times_of

LONLAT = ("longitude", "latitude")


def read_carbontracker_molefractions(path: str | Path, species: str = "CO2") -> Field:
    """Mole fractions between the pressure boundaries of the file; a time is the middle of its three hours.

    Args:
        path: of a daily file of `molefractions/co2_total`.
        species: "CO2" or "CH4".

    Raises:
        TanhengError: another form or unit, layers that are not ordered, values that are no air.

    Reference: Jacobson et al., CarbonTracker CT2022, doi 10.25925/z1gj-3254.
    """
    name = species.lower()
    with NetCDF(path) as nc:
        dims = nc.dims(name)
        if len(dims) != 4 or (dims[0], *dims[2:]) != ("time", "latitude", "longitude"):
            raise wrong(nc, f"{name}{dims}", "(time, level, latitude, longitude)")
        values = nc.numbers(name, dims, PPM)
        edges = nc.dims("pressure")
        if len(edges) != 4 or (edges[0], *edges[2:]) != (dims[0], *dims[2:]):
            raise wrong(nc, f"pressure{edges}", "(time, boundary, latitude, longitude)")
        pressure = nc.numbers("pressure", edges, {"Pa": 1.0, "pascal": 1.0, "hPa": 100.0})
        source = nc.source("CarbonTracker", "middle", nc.text("disclaimer", nc.text("source", "CarbonTracker")))
        return field(nc, species.upper(), values, pressure, LONLAT, around(times_of(nc), nc), source)

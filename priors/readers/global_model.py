"""What readers of global mole fractions share: layers from the ground upwards, places in even steps, plausible air."""

import dataclasses
import itertools

import numpy as np

from inversion.observations.readers.files import NetCDF
from inversion.observations.record import Source
from priors.boundary_fields import Field
from transport.errors import TanhengError


def wrong(nc: NetCDF, got: str, expected: str) -> TanhengError:
    """The error of a file that is not of its format."""
    return TanhengError(f"{nc.name} holds no mole fractions of a global model", got=got, expected=expected,
                        remedy="use the file as its makers published it")  # fmt: skip


def axis(nc: NetCDF, name: str) -> tuple[np.ndarray, bool]:
    """Longitudes or latitudes, increasing, and whether they were turned round.

    Raises:
        TanhengError: missing, uneven or beyond the globe.
    """
    values = nc.numbers(name, (name,))
    limit = 90.0 if name.startswith("lat") else 361.0
    good = values.size > 1 and bool((np.abs(values) <= limit).all())
    step = np.diff(values) if good else np.zeros(1)
    if not good or not ((step > 0).all() or (step < 0).all()) or np.ptp(step) > 0.01 * abs(step.mean()):
        raise wrong(nc, f"{name} {values[:3]}", "even steps within the globe")
    return (values[::-1], True) if step[0] < 0 else (values, False)


def field(
    nc: NetCDF, species: str, values: np.ndarray, pressure: np.ndarray, lonlat: tuple[str, str], edges: np.ndarray,
    source: Source,
) -> Field:  # fmt: skip
    """A field with everything in increasing order; `Field` checks its layers and values.

    Args:
        nc: file, for its axes.
        species: of the values.
        values: (nt, nl, nlat, nlon) ppm.
        pressure: (1 or nt, nl+1, nlat, nlon) Pa, either way up.
        lonlat: names of longitudes and latitudes.
        edges: (nt+1,) of the periods.
        source: of the file.

    Raises:
        TanhengError: layers that are not ordered or do not begin at the ground, values that are no air.
    """
    (lon, west), (lat, north) = axis(nc, lonlat[0]), axis(nc, lonlat[1])
    if north:
        values, pressure = values[..., ::-1, :], pressure[..., ::-1, :]
    if west:
        values, pressure = values[..., ::-1], pressure[..., ::-1]
    if pressure[0, 0].mean() < pressure[0, -1].mean():
        values, pressure = values[:, ::-1], pressure[:, ::-1]
    return Field(species, values, pressure, lon, lat, edges, (source,))


def joined(fields: list[Field]) -> Field:
    """Fields of files that follow each other in time, as one.

    Raises:
        TanhengError: none, other places or species, or times with gaps.
    """
    fields = sorted(fields, key=lambda f: f.times[0])
    for a, b in itertools.pairwise(fields):
        same = (
            a.values.shape[1:] == b.values.shape[1:] and np.array_equal(a.lon, b.lon) and np.array_equal(a.lat, b.lat)
        )
        if not same or a.species != b.species or a.times[-1] != b.times[0]:
            raise TanhengError("files of a model do not follow each other", got=f"{a.times[-1]} and {b.times[0]}",
                               expected="one grid and species, no gap", remedy="read all days between")  # fmt: skip
    if not fields:
        raise TanhengError("no file of a model was read", got="none", expected="one or more", remedy="name its files")
    pressure = [np.broadcast_to(f.pressure, (len(f.values), *f.pressure.shape[1:])) for f in fields]
    return dataclasses.replace(
        fields[0], values=np.concatenate([f.values for f in fields]), pressure=np.concatenate(pressure),
        times=np.concatenate([fields[0].times, *(f.times[1:] for f in fields[1:])]),
        sources=tuple(s for f in fields for s in f.sources),
    )  # fmt: skip

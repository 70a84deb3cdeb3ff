"""Boundary curtains in the form of ACRG and OpenGHG: `vmr_n`, `vmr_e`, `vmr_s`, `vmr_w` by height."""

from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from priors.boundary import PLAUSIBLE
from priors.boundary_fields import Curtains
from priors.readers.time_axis import calendar, times_of
from transport.errors import TanhengError

SIDES = {"north": "lon", "east": "lat", "south": "lon", "west": "lat"}
HIGHEST = 60e3  # m
NOTES = (
    "no unit in the file: mol mol-1 by the format", "heights taken as above ground: the file does not say",
    "a time stands for its calendar month", "no calibration scale in the file",
)  # fmt: skip


def read_curtains(path: str | Path) -> Curtains:
    """The four curtains of a file; columns that are missing stay NaN, and are counted in the notes.

    Args:
        path: of `<species>_<DOMAIN>_<yyyymm>.nc` or of a boundary of the OpenGHG object store, monthly.

    Raises:
        TanhengError: not such a file; heights, places or times that are not even or increasing; values that are no mole
            fractions of the species.

    Reference: format of ACRG (University of Bristol), formats.md §9; species from the attribute of the file.
    """
    with NetCDF(path) as nc:
        species = nc.text("species").upper()
        if species not in PLAUSIBLE:
            raise _wrong(nc, f"species {species!r}", ", ".join(PLAUSIBLE))
        axes = {name: _even(nc, name) for name in ("lon", "lat", "height")}
        times = times_of(nc)
        edges = calendar(times, "M", nc)
        if (times != edges[:-1]).any() or nc.text("time_period", "1 month") != "1 month":
            raise _wrong(nc, f"times {times[:2]}, {nc.text('time_period', '')}", "first days of months")
        step = np.diff(axes["height"]).mean()
        heights = np.append(axes["height"] - step / 2, axes["height"][-1] + step / 2)
        if abs(heights[0]) > 1e-3 * step or heights[-1] > HIGHEST:
            raise _wrong(nc, f"layers {heights[0]:g}…{heights[-1]:g} m", f"from the ground to at most {HIGHEST:g} m")
        heights[0] = 0.0
        sides = {side: _side(nc, side, axis, species) for side, axis in SIDES.items()}
        gaps = [f"{side}: {np.count_nonzero(np.isnan(v))} of {v.size} values missing" for side, v in sides.items()
                if np.isnan(v).any()]  # fmt: skip
        source = nc.source("curtains", "start", nc.text("author", ""), (*NOTES, *gaps))
        return Curtains(species, sides, axes["lon"], axes["lat"], heights, edges, (source,))


def _wrong(nc: NetCDF, got: str, expected: str) -> TanhengError:
    return TanhengError(f"{nc.name} holds no boundary curtains", got=got, expected=expected,
                        remedy="use the file as its makers published it")  # fmt: skip


def _even(nc: NetCDF, name: str) -> np.ndarray:
    values = nc.numbers(name, (name,))
    limit = {"lon": 361.0, "lat": 90.0, "height": HIGHEST}[name]
    good = values.size > 1 and bool((np.abs(values) <= limit).all())
    step = np.diff(values) if good else np.zeros(1)
    # Coordinates are written in single precision and rounded to 0.001.
    if not good or not (step > 0).all() or np.ptp(step) > 0.02 * step.mean():
        raise _wrong(nc, f"{name} {values[:3]}", "even, increasing")
    return values


def _side(nc: NetCDF, side: str, axis: str, species: str) -> np.ndarray:
    """(nt, nh, n) ppm; ACRG writes time last, OpenGHG first."""
    name = f"vmr_{side[0]}"
    dims = nc.dims(name)
    if sorted(dims) != sorted(("time", "height", axis)):
        raise _wrong(nc, f"{name}{dims}", f"time, height, {axis}")
    if "units" in nc.attributes(name):
        nc.factor(name, {"mol mol-1": 1.0, "mol/mol": 1.0, "1": 1.0})
    values = nc.numbers(name, dims).transpose([dims.index(d) for d in ("time", "height", axis)]) * 1e6
    low, high = PLAUSIBLE[species]
    known = ~np.isnan(values)
    partly = known.any(axis=1) & ~known.all(axis=1)  # a source that ends leaves out whole columns
    if partly.any():
        raise _wrong(nc, f"{name} with {np.count_nonzero(partly)} columns that lack some heights", "whole columns")
    if not ((values[known] >= low) & (values[known] <= high)).all() or not known.any():
        raise _wrong(nc, f"{name} without values of {species}, or some beyond {low:g}…{high:g} ppm", "mol mol-1")
    return values

"""TIMES: scale factors of fossil CO2 by hour and weekday on a global grid of 0.25°, with their standard deviations."""

from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from priors.profiles import Gridded, unit_mean
from priors.readers.profile_tables import LARGEST_WEIGHT, damaged, pick
from transport.grid import Grid

REFERENCE = "Nassar et al. 2013, doi 10.1029/2012JD018196"
KINDS = {24: "hour", 7: "weekday"}


def read_times(path: str | Path, variable: str, grid: Grid) -> Gridded:
    """Factors of the hours (UTC, the first is 0–1 h) or of the weekdays (Monday first), picked for each cell of a grid.

    The files hold no coordinates: the first value lies at 89.875°S, 179.875°W.

    Args:
        path: of `diurnal_scale_factors.nc` or one of the two `weekly_factors_*_China.nc`.
        variable: of the factors, `diurnal_scale_factors` in the first.
        grid: cells whose centres pick the cells of 0.25°.

    Raises:
        TanhengError: not such a file, factors that are missing or whose mean is off by over 1 %.

    Reference: as in `REFERENCE`, and the README of the files.
    """
    with NetCDF(path) as nc:
        dims = nc.dims(variable)
        if len(dims) != 3 or not (dims[0].startswith("lat") and dims[1].startswith("lon")):
            raise damaged(path, f"{variable}{dims}", "(latitude, longitude, hour or day)")
        factors = nc.numbers(variable, dims)
        ny, nx, n = factors.shape
        if n not in KINDS or nx != 2 * ny or ny < 4:
            raise damaged(path, f"{ny} × {nx} cells, {n} factors", "a global grid of equal degrees, 24 or 7 factors")
        if not ((factors >= 0) & (factors < LARGEST_WEIGHT)).all():
            raise damaged(
                path, f"{np.count_nonzero(~(factors >= 0))} below zero or missing", "none missing or negative"
            )
        step = 180.0 / ny
        lat, lon = step * (np.arange(ny) + 0.5) - 90.0, step * (np.arange(nx) + 0.5) - 180.0
        row, column = pick(lon, lat, grid, nc.name)
        weights, worst = unit_mean(np.moveaxis(factors[row, column], -1, 0), f"{variable} of {nc.name}", axis=0)
        hour = KINDS[n] == "hour"
        notes = ["hours of UTC" if hour else "weekdays taken as local: the README gives UTC for hours only"]
        notes += [f"renormalised, mean off by up to {worst:.2g}"] if worst > 1e-9 else []
        return Gridded(KINDS[n], weights, hour, source=nc.source("TIMES", "start", REFERENCE, notes))

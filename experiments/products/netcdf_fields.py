"""A forward run as one CF-1.10 NetCDF file: hourly fields, the budget of every interval, modelled soundings."""

from pathlib import Path

import numpy as np
import pyproj
import xarray as xr

from experiments.products.netcdf import grid_coordinates, made
from experiments.simulated import Simulated

_EPOCH = {"units": "seconds since 1970-01-01 00:00:00", "dtype": "int64", "calendar": "proleptic_gregorian"}


def _lonlat_bounds(run: Simulated) -> dict:
    """(y, x, 4) corners of the cells, counterclockwise from the south-west."""
    grid = run.setup.domain.grid
    lon, lat = grid.lonlat(*np.meshgrid(grid.x_edges, grid.y_edges))

    def corners(values):
        return np.stack([values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1]], axis=-1)

    return {"lon_bounds": (("y", "x", "corner"), corners(lon)), "lat_bounds": (("y", "x", "corner"), corners(lat))}


def _fields(run: Simulated) -> dict:
    setup = run.setup
    unit = {"ppb": "1e-9", "ppm": "1e-6"}[setup.unit]
    column = {
        "long_name": f"dry mole fraction of {setup.species} in air, mean of the modelled column weighted with dry air",
        "units": unit, "cell_methods": "time: mean area: mean", "grid_mapping": "crs", "substance": setup.species,
    }  # fmt: skip
    ground = column | {"long_name": f"dry mole fraction of {setup.species} in air, lowest model layer"}
    # µmol to mol; the area is the cell's true one.
    flux = np.asarray(setup.sources.surface, float).mean(axis=0) * 1e-6
    emission = {
        "long_name": f"surface emission of {setup.species}, mean over the run", "units": "mol m-2 s-1",
        "cell_methods": "time: mean area: mean", "grid_mapping": "crs", "substance": setup.species,
    }  # fmt: skip
    profile = {
        "long_name": f"dry mole fraction of {setup.species} in air, mean of a model layer over the domain",
        "units": unit, "cell_methods": "time: mean area: mean", "substance": setup.species,
    }  # fmt: skip
    return {
        "column_mole_fraction": (("time", "y", "x"), run.column, column),
        "ground_mole_fraction": (("time", "y", "x"), run.ground, ground),
        "layer_mole_fraction": (("time", "layer"), run.profile, profile),
        "surface_emission": (("y", "x"), flux, emission),
    }


def _budget(run: Simulated) -> dict:
    return {
        f"budget_{name}": (
            ("time",), values * 1e-6,
            {"long_name": f"{run.setup.species} {name.replace('_', ' through ')} in the interval",
             "units": "mol", "cell_methods": "time: sum", "substance": run.setup.species},
        )
        for name, values in run.hourly.items()
    }  # fmt: skip


def _soundings(run: Simulated) -> dict:
    soundings = run.setup.soundings
    if soundings is None or run.modelled is None:
        return {}
    o = soundings.observations
    return {
        "sounding_time": ("sounding", o.start, {"standard_name": "time"}),
        "sounding_lon": ("sounding", o.lon, {"standard_name": "longitude", "units": "degrees_east"}),
        "sounding_lat": ("sounding", o.lat, {"standard_name": "latitude", "units": "degrees_north"}),
        "sounding_observed": ("sounding", o.values, {"long_name": "observed column", "units": "1e-9"}),
        "sounding_modelled": (
            "sounding", run.modelled, {"long_name": "modelled column with the kernel applied", "units": "1e-9"},
        ),
    }  # fmt: skip


def write_fields(run: Simulated, path: Path) -> None:
    """Write column mean and lowest layer of every interval, the budget and the soundings.

    Args:
        run: a finished run.
        path: the file; an existing one is replaced.
    """
    setup, grid = run.setup, run.setup.domain.grid
    coords, variables = grid_coordinates(grid.crs, grid.x_edges, grid.y_edges)
    if not pyproj.CRS.from_user_input(grid.crs).is_geographic:
        variables |= _lonlat_bounds(run)
        for name in ("lon", "lat"):
            coords[name] = (*coords[name][:2], coords[name][2] | {"bounds": f"{name}_bounds"})
    times = setup.times.astype("datetime64[ns]")
    coords["time"] = ("time", times[1:], {"standard_name": "time", "bounds": "time_bounds", "axis": "T"})
    variables["time_bounds"] = (("time", "bound"), np.column_stack([times[:-1], times[1:]]))
    variables |= _fields(run) | _budget(run) | _soundings(run)
    attributes = {
        **made(setup.title, setup.synthetic, f"forward run; weather: {setup.domain.source}"),
        "species": setup.species,
        "inflow_mole_fraction_ppm": setup.inflow,
        "comment": "\n".join(setup.notes),
        "references": "\n".join(f"{c.text} doi:{c.doi}" if c.doi else c.text for c in setup.citations),
    }
    encoding = {
        name: dict(_EPOCH) for name in ("time", "time_bounds", "sounding_time") if name in {*coords, *variables}
    }
    encoding |= {n: {"zlib": True, "complevel": 4} for n in ("column_mole_fraction", "ground_mole_fraction")}
    dataset = xr.Dataset(variables, coords, {n: v for n, v in attributes.items() if v != ""})
    dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)

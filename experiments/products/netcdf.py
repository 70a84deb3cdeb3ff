"""The solved case as one CF-1.10 NetCDF file."""

import dataclasses
import datetime
import importlib.metadata
import re
from pathlib import Path

import numpy as np
import pyproj
import xarray as xr

from experiments.cases import Setup
from experiments.outcome import Outcome
from experiments.products.style import split_unit

GRID = ("y", "x")


@dataclasses.dataclass(frozen=True)
class _Variable:
    """One row of the table: dimensions, meaning, and unit (a name in braces is looked up in the case)."""

    dims: tuple[str, ...]
    long_name: str
    unit: str | None = None


# This table drives every attribute in the file.
VARIABLES = {
    "control_block": _Variable(("control",), "part of the control vector that the element belongs to"),
    "control_unit": _Variable(("control",), "unit of the element"),
    "control_index": _Variable(("control",), "position of the element within its part", "1"),
    "control_prior": _Variable(("control",), "prior mean of the control vector", "{control}"),
    "control_posterior": _Variable(("control",), "posterior mean of the control vector", "{control}"),
    "control_sigma_prior": _Variable(("control",), "prior standard uncertainty of the control vector", "{control}"),
    "control_sigma_posterior": _Variable(
        ("control",), "posterior standard uncertainty of the control vector", "{control}"
    ),
    "control_truth": _Variable(("control",), "control vector that generated the observations", "{control}"),
    "observation_value": _Variable(("observation",), "observed value", "{observation}"),
    "observation_time": _Variable(("observation",), "start of the averaging interval, UTC"),
    "observation_group": _Variable(("observation",), "site or overpass"),
    "observation_kind": _Variable(("observation",), "tower, column or constraint"),
    "observation_sigma": _Variable(
        ("observation",), "standard uncertainty of the model-data mismatch", "{observation}"
    ),
    "observation_measured": _Variable(("observation",), "1 for a measurement, 0 for a constraint", "1"),
    "modelled_prior": _Variable(("observation",), "modelled value, prior", "{observation}"),
    "modelled_posterior": _Variable(("observation",), "modelled value, posterior", "{observation}"),
    "leverage": _Variable(("observation",), "degrees of freedom for signal that the observation supplies", "1"),
    "flux_prior": _Variable(GRID, "prior mean of the surface flux", "{flux}"),
    "flux_posterior": _Variable(GRID, "posterior mean of the surface flux", "{flux}"),
    "flux_truth": _Variable(GRID, "surface flux that generated the observations", "{flux}"),
    "flux_increment": _Variable(GRID, "posterior minus prior mean of the surface flux", "{flux}"),
    "flux_reduction": _Variable(GRID, "1 minus posterior over prior standard uncertainty of the flux", "1"),
    "flux_u_prior": _Variable(GRID, "prior standard uncertainty of the surface flux", "{flux}"),
    "flux_u_posterior": _Variable(GRID, "posterior standard uncertainty of the surface flux", "{flux}"),
    "element": _Variable(GRID, "index of the flux element shown in the cell, -1 for none", "1"),
    "region": _Variable(("region",), "name of the total"),
    "total_prior": _Variable(("region",), "prior total", "{total}"),
    "total_u_prior": _Variable(("region",), "standard uncertainty of the prior total", "{total}"),
    "total_posterior": _Variable(("region",), "posterior total", "{total}"),
    "total_u_posterior": _Variable(("region",), "standard uncertainty of the posterior total", "{total}"),
    "total_truth": _Variable(("region",), "total that generated the observations", "{total}"),
    "total_covariance": _Variable(
        ("region", "region_other"), "posterior covariance between totals", "{total_squared}"
    ),
}  # fmt: skip


def _blocks(setup: Setup) -> dict[str, np.ndarray]:
    sizes = [size for _, size, _ in setup.blocks]
    return {
        "control_block": np.repeat([name for name, _, _ in setup.blocks], sizes),
        "control_unit": np.repeat([unit for _, _, unit in setup.blocks], sizes),
        "control_index": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
    }


def _values(outcome: Outcome) -> dict[str, np.ndarray]:
    """The data of every variable that this case has."""
    setup, observations, totals = outcome.setup, outcome.setup.observations, outcome.totals
    values = _blocks(setup) | {
        "control_prior": np.asarray(setup.problem.x_b),
        "control_posterior": outcome.mean,
        "control_sigma_prior": outcome.sigma_prior,
        "control_sigma_posterior": outcome.sigma,
        "observation_value": observations.values,
        "observation_time": observations.start,
        "observation_group": observations.groups,
        "observation_kind": observations.kinds,
        "observation_sigma": observations.sigma,
        "observation_measured": outcome.measured.astype(np.int8),
        "modelled_prior": outcome.modelled_prior,
        "modelled_posterior": outcome.modelled_posterior,
        "leverage": np.asarray(outcome.diagnostics.leverage),
        "element": np.asarray(setup.map.layout, np.int32),
        "region": [t.region for t in totals],
        "total_covariance": outcome.totals_covariance,
    }
    values |= {f"flux_{name}": field for name, field in outcome.fields.items()}
    for name in ("prior", "u_prior", "posterior", "u_posterior"):
        values[f"total_{name}"] = [getattr(t, name) for t in totals]
    if setup.truth is not None:
        values["control_truth"] = setup.truth
    if all(t.truth is not None for t in totals):
        values["total_truth"] = [t.truth for t in totals]
    return {name: _plain(value) for name, value in values.items()}


def _plain(value) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind in "OUS":
        return value.astype(str).astype(object)
    return value.astype("datetime64[s]") if value.dtype.kind == "M" else value


def _squared(unit: str) -> str:
    """The square of a product of units: "Tg yr-1" becomes "Tg2 yr-2"."""
    return re.sub(r"([A-Za-z]+)(-?\d*)", lambda m: f"{m[1]}{2 * int(m[2] or 1)}", unit)


def _units(setup: Setup) -> dict[str, dict[str, str]]:
    """Attributes by name in braces: a unit that UDUNITS parses, and the substance where the unit named one."""
    blocks = {unit for _, _, unit in setup.blocks}
    named = {"observation": setup.observations.unit, "flux": setup.map.unit, "total": setup.totals.unit}
    attributes = {"control": {"comment": "units differ between elements: see control_unit"}}
    if len(blocks) == 1:
        named["control"] = blocks.pop()
    for name, unit in named.items():
        plain, substance = split_unit(unit)
        attributes[name] = {"units": plain} | ({"substance": substance} if substance else {})
    if (setup.observations.kinds == "constraint").any():
        attributes["observation"]["comment"] = "rows that are not measured have units of their own"
    total = attributes["total"]
    attributes["total_squared"] = total | {"units": _squared(total["units"])}
    return attributes


def grid_coordinates(name_of_crs: str, x_edges: np.ndarray, y_edges: np.ndarray) -> tuple[dict, dict]:
    """CF coordinates of a grid; its cell bounds and the grid mapping variable.

    Args:
        name_of_crs: anything that `pyproj.CRS` accepts.
        x_edges, y_edges: cell edges in that system.
    """
    crs = pyproj.CRS.from_user_input(name_of_crs)
    axes = {axis["axis"].lower(): axis for axis in crs.cs_to_cf()}
    coords, bounds = {}, {}
    for name, edges in (("y", y_edges), ("x", x_edges)):
        edges = np.asarray(edges, float)
        centres = 0.5 * (edges[1:] + edges[:-1])
        coords[name] = (name, centres, axes[name] | {"bounds": f"{name}_bounds"})
        bounds[f"{name}_bounds"] = ((name, "bound"), np.column_stack([edges[:-1], edges[1:]]))
    if not crs.is_geographic:
        transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        lon, lat = transformer.transform(*np.meshgrid(coords["x"][1], coords["y"][1]))
        coords["lon"] = (GRID, lon, {"standard_name": "longitude", "units": "degrees_east"})
        coords["lat"] = (GRID, lat, {"standard_name": "latitude", "units": "degrees_north"})
    return coords, bounds | {"crs": ((), np.int32(0), crs.to_cf())}


def made(title: str, synthetic: bool | str, what: str) -> dict[str, str]:
    """Attributes that every file has: what it is, what made it and when, and whether anything was generated."""
    return {
        "Conventions": "CF-1.10",
        "title": f"SYNTHETIC: {title}" if synthetic else title,
        "source": f"Tanheng {importlib.metadata.version('tanheng')} {what}",
        "history": f"{datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')} created by Tanheng",
        "synthetic": synthetic if isinstance(synthetic, str) and synthetic else str(bool(synthetic)).lower(),
    }


def _attributes(outcome: Outcome) -> dict:
    setup = outcome.setup
    attributes = {
        **made(setup.title, setup.synthetic, "atmospheric inversion"),
        "case": setup.name,
        "species": setup.species,
        "totals_period": setup.totals.period,
        "coverage_factor": outcome.totals[0].k,
        "solver": outcome.solver,
        "solver_result": outcome.result,
        "chi2_per_row": outcome.diagnostics.chi2,
        "misfit_ratio": outcome.diagnostics.misfit(outcome.measured),
        "degrees_of_freedom_for_signal": float(np.sum(np.asarray(outcome.diagnostics.leverage)[outcome.measured])),
        "comment": "\n".join(setup.notes),
        "references": "\n".join(f"{c.text} doi:{c.doi}" if c.doi else c.text for c in setup.citations),
    }
    return {name: value for name, value in attributes.items() if value != ""}


def write_netcdf(outcome: Outcome, path: Path) -> None:
    """Write control vector, observations, maps and totals of a solved case.

    Args:
        outcome: the solved case.
        path: the file; an existing one is replaced.
    """
    setup = outcome.setup
    coords, variables = grid_coordinates(setup.map.crs, setup.map.x_edges, setup.map.y_edges)
    units = _units(setup)
    encoding: dict[str, dict] = {"observation_time": {"units": "seconds since 1970-01-01 00:00:00", "dtype": "int64"}}
    for name, values in _values(outcome).items():
        row = VARIABLES[name]
        attributes = {"long_name": row.long_name}
        if row.unit is not None:
            attributes |= units[row.unit.strip("{}")] if row.unit.startswith("{") else {"units": row.unit}
        if row.dims == GRID:
            attributes |= {"grid_mapping": "crs"}
            encoding[name] = {"zlib": True, "complevel": 4}
        variables[name] = (row.dims, values, attributes)
    dataset = xr.Dataset(variables, coords, _attributes(outcome))
    dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)

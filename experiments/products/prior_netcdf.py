"""A prior as one CF-1.10 NetCDF file: fluxes by sector and hour, their errors, totals with what is published."""

from pathlib import Path

import numpy as np
import xarray as xr

from experiments.cases.region import Region
from experiments.products.netcdf import grid_coordinates, made
from experiments.products.units import MASSES
from priors.covariance import uncertainty

_EPOCH = {"units": "seconds since 1970-01-01 00:00:00", "dtype": "int64", "calendar": "proleptic_gregorian"}
_FLUX = {"units": "kg m-2 s-1", "grid_mapping": "crs", "cell_measures": "area: area", "coordinates": "lon lat"}


def write_prior(region: Region, path: Path) -> None:
    """Write a built prior.

    Rates in kg s-1 are flux · area. `sigma` is the standard uncertainty of the mean flux of a cell and sector over the
    window, as B implies it; errors of a sector correlate as exp(−d / correlation_length) before the total is fixed.

    Args:
        region: the prior.
        path: the file; an existing one is replaced.
    """
    grid, times = region.hours.grid, region.hours.times.astype("datetime64[ns]")
    coords, variables = grid_coordinates(grid.crs, grid.x_edges, grid.y_edges)
    coords["time"] = ("time", times[:-1], {"standard_name": "time", "bounds": "time_bounds", "axis": "T"})
    coords["sector"] = ("sector", np.array(region.hours.sectors, dtype=object), {"long_name": "sector"})
    variables["time_bounds"] = (("time", "bound"), np.column_stack([times[:-1], times[1:]]))
    variables["area"] = (("y", "x"), grid.areas, {"standard_name": "cell_area", "units": "m2", "grid_mapping": "crs"})
    variables |= _fluxes(region) | _errors(region) | _totals(region) | _plants(region)
    encoding: dict[str, dict] = {name: dict(_EPOCH) for name in ("time", "time_bounds")}
    encoding |= {name: {"zlib": True, "complevel": 4} for name in ("flux", "annual_flux", "sigma", "covered")}
    dataset = xr.Dataset(variables, coords, _attributes(region))
    dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def _fluxes(region: Region) -> dict:
    hours, annual = region.hours, region.annual
    flux = (hours.rate / hours.grid.areas).astype(np.float32)
    yearly = np.full((len(hours.sectors), *hours.grid.shape), np.nan)
    for i, name in enumerate(hours.sectors):
        if name in region.yearly:
            yearly[i] = annual.rate[annual.sectors.index(name), 0] / hours.grid.areas
    name = f"upward mass flux of {region.species} at the surface"
    note = {"comment": "mean of the whole years that the window touches; missing where a file holds no whole year"}
    return {
        "flux": (("sector", "time", "y", "x"), flux, _FLUX | {"long_name": name, "cell_methods": "time: mean"}),
        "annual_flux": (("sector", "y", "x"), yearly, _FLUX | {"long_name": f"{name}, annual mean"} | note),
        "sector_name": (("sector",), np.array([region.labels[s] for s in hours.sectors], dtype=object),
                        {"long_name": "sector as it is printed"}),
    }  # fmt: skip


def _errors(region: Region) -> dict:
    hours, known = region.hours, region.uncertainty
    shape = (len(hours.sectors), *hours.grid.shape)
    mean = hours.mean().rate[:, 0] / hours.grid.areas
    factor = np.sqrt(np.asarray(known.B.diagonal())).reshape(shape)
    covered = np.stack([region.covered.get(s, np.ones(hours.grid.shape)) for s in hours.sectors])
    one = {"units": "1"}
    return {
        "sigma": (("sector", "y", "x"), factor * np.abs(mean),
                  _FLUX | {"long_name": "standard uncertainty of the mean flux over the window, of each cell alone"}),
        "relative_error": (("sector",), np.array([known.relative[s] for s in hours.sectors]),
                           one | {"long_name": "stated relative standard uncertainty of a cell"}),
        "correlation_length": (("sector",), np.array([known.length_km[s] for s in hours.sectors]),
                               {"units": "km", "long_name": "length of exp(-d/L) between errors; 0: independent"}),
        "covered": (("sector", "y", "x"), covered,
                    one | {"long_name": "share of the cell that the inventory covers", "grid_mapping": "crs"}),
    }  # fmt: skip


def _totals(region: Region) -> dict:
    factor, unit = MASSES[region.species]
    known = region.uncertainty
    weights = np.stack([t.weights for t in known.totals], axis=1)
    units = {"units": unit.replace(f" {region.species}", ""), "substance": region.species}
    published = np.array([np.nan if t.relative is None else t.relative for t in known.totals])
    names = np.array([t.name for t in known.totals], dtype=object)
    return {
        "total_name": (("total",), names, {"long_name": "name of the total"}),
        "total_value": (("total",), np.array([t.value * factor for t in known.totals]),
                        units | {"long_name": "mean over the window"}),
        "total_u_before": (("total",), factor * known.before,
                           units | {"long_name": "standard uncertainty by the errors of sectors alone"}),
        "total_u": (("total",), factor * uncertainty(known.B, weights),
                    units | {"long_name": "standard uncertainty with the published total"}),
        "total_published_relative": (("total",), published,
                                     {"units": "1", "long_name": "published relative standard uncertainty"}),
    }  # fmt: skip


def _plants(region: Region) -> dict:
    if not region.plants:
        return {}
    names = np.array([p.name for p in region.plants], dtype=object)
    degrees = {"lon": "degrees_east", "lat": "degrees_north"}
    return {"plant_name": (("plant",), names, {"long_name": "name of the plant"})} | {
        f"plant_{n}": (("plant",), np.array([getattr(p, n) for p in region.plants]), {"units": u})
        for n, u in (degrees | {"height": "m"}).items()
    }


def _attributes(region: Region) -> dict[str, str]:
    attributes = {
        **made(region.title, region.synthetic, "prior"),
        "species": region.species,
        "inventories": "\n".join(
            f"{', '.join(f.names)}: {f.period}, covers {100 * f.covered:.1f} % of the region" for f in region.files
        ),
        "files": "\n".join(f"{s.name} SHA-256 {s.sha256}" for s in region.hours.sources),
        "comment": "\n".join((*region.notes, *dict.fromkeys(n for s in region.hours.sources for n in s.notes))),
        "references": "\n".join(c.text for c in region.citations),
    }
    return {name: value for name, value in attributes.items() if value != ""}

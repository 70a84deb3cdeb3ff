"""Axes of the files of ECMWF under one set of names, whatever the archive called them."""

import numpy as np
import xarray as xr

from transport.errors import TanhengError

AXES = {
    "time": ("time", "valid_time"),
    "level": ("level", "pressure_level", "model_level", "plev", "isobaricInhPa", "hybrid"),
    "y": ("latitude", "lat", "y"),
    "x": ("longitude", "lon", "x"),
}


def single_member(file: str, dataset: xr.Dataset, notes: list[str]) -> xr.Dataset:
    """Without the axes of ensemble members and of final and preliminary data.

    Args:
        file: its name, for messages.
        dataset: as opened.
        notes: a sentence is added where preliminary data are met.

    Raises:
        TanhengError: there are several members.
    """
    if "number" in dataset.dims:
        if dataset.sizes["number"] > 1:
            raise TanhengError(
                f"{file} holds an ensemble",
                got=f"{dataset.sizes['number']} members",
                expected="one member",
                remedy="select one member along `number` before",
            )
        dataset = dataset.isel(number=0)
    if "expver" not in dataset.variables:
        return dataset
    versions = [str(version).lstrip("0") for version in np.atleast_1d(dataset["expver"].values)]
    if "5" in versions:
        notes.append(f"{file} holds preliminary data (ERA5T, expver 5)")
    if dataset["expver"].dims == ("expver",):
        # Old files hold each time once as final (1) and once as preliminary (5); one of the two is missing.
        order = sorted(range(len(versions)), key=lambda k: versions[k] == "5")
        merged = dataset.isel(expver=order[0], drop=True)
        for k in order[1:]:
            merged = merged.fillna(dataset.isel(expver=k, drop=True))
        return merged
    return dataset


def named_axes(file: str, dataset: xr.Dataset) -> tuple[xr.Dataset, bool]:
    """The dataset with axes called time, level (where there is one), y and x; True where they are geographic.

    Raises:
        TanhengError: an axis is absent, ambiguous or without values, or time has no unit.
    """
    geographic = any(name in dataset.dims for name in ("latitude", "lat"))
    for axis, names in AXES.items():
        found = [name for name in names if name in dataset.dims]
        scalar = [name for name in names if name in dataset.coords and dataset[name].ndim == 0]
        if not found and axis in ("time", "level") and scalar:
            dataset, found = dataset.expand_dims(scalar[0]), scalar[:1]
        if not found and axis == "level":
            continue
        if len(found) != 1 or found[0] not in dataset.coords:
            raise TanhengError(
                f"{file} has no clear {axis} axis",
                got=f"axes {', '.join(map(str, dataset.dims))}",
                expected=f"one of {', '.join(names)}, with coordinate values",
                remedy="rename the axis, or select what is too much",
            )
        if found[0] != axis:
            dataset = dataset.drop_vars(axis, errors="ignore").rename({found[0]: axis})
    if dataset["time"].dtype.kind != "M":
        raise TanhengError(
            f"the time of {file} cannot be understood",
            got=f"units {dataset['time'].attrs.get('units', 'none')!r}",
            expected="'hours since 1900-01-01' or alike, standard calendar",
            remedy="add the unit to the time axis",
        )
    return dataset, geographic


def longitudes(x: np.ndarray, notes: list[str]) -> np.ndarray:
    """Longitudes in −180…180° where that leaves no hole; else as they are (an area across the date line)."""
    wrapped = np.round((x + 180.0) % 360.0 - 180.0, 9)
    steps = np.diff(np.sort(wrapped))
    if x.size < 2 or np.ptp(steps) > 0.01 * steps.mean():
        return x
    if np.abs(wrapped - x).max() > 1.0:
        notes.append("longitudes moved from 0…360° to −180…180°")
    return wrapped

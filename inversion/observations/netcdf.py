"""Observations as a CF NetCDF file and back, without loss."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.record import Source, Step
from inversion.observations.vertical import Vertical
from transport.errors import TanhengError

CONVENTIONS = "CF-1.11"
FORMAT = "tanheng observations 1"
_EPOCH = np.datetime64("1970-01-01T00:00:00", "ns")
_TIME = {"units": "nanoseconds since 1970-01-01 00:00:00", "calendar": "standard"}
_STANDARD_NAMES = {
    ("CO2", "column"): "dry_atmosphere_mole_fraction_of_carbon_dioxide",
    ("CH4", "column"): "dry_atmosphere_mole_fraction_of_methane",
    ("CO2", "point"): "mole_fraction_of_carbon_dioxide_in_air",
    ("CH4", "point"): "mole_fraction_of_methane_in_air",
}
# UDUNITS knows no ppm of its own meaning.
_UNITS = {"ppm": "1e-6", "ppb": "1e-9", "ppt": "1e-12", "mol mol-1": "1"}
_PLAIN: dict[str, tuple[str, dict[str, str]]] = {
    "groups": ("group", {"long_name": "site or overpass"}),
    "kinds": ("kind", {"long_name": "kind of measurement"}),
    "lon": ("longitude", {"standard_name": "longitude", "units": "degrees_east"}),
    "lat": ("latitude", {"standard_name": "latitude", "units": "degrees_north"}),
    "height": ("height", {"standard_name": "height", "units": "m", "positive": "up",
                          "long_name": "height of the inlet above ground"}),
    "altitude": ("altitude", {"standard_name": "altitude", "units": "m", "positive": "up"}),
    "scales": ("calibration_scale", {"long_name": "calibration scale"}),
    "flags": ("quality_flag", {"long_name": "quality flag as the source writes it"}),
    "instruments": ("instrument", {"long_name": "instrument"}),
    "origin": ("source", {"long_name": "index into source_files, −1 for none"}),
}  # fmt: skip
_VERTICAL: dict[str, tuple[str, str]] = {
    "pressure": ("edge", "pressure of layer edges or levels, from the ground up"),
    "weights": ("layer", "pressure weight h, or dry air of the layer"),
    "kernel": ("layer", "averaging kernel a"),
    "prior": ("layer", "a-priori profile x_a of dry air"),
}


def to_dataset(observations: Observations) -> xr.Dataset:
    """The set with CF attributes; see `write`."""
    o, data = observations, {}
    cf = _UNITS.get(o.unit, o.unit)
    name = _STANDARD_NAMES.get((o.species, "column" if set(o.kinds) == {"column"} else "point"))
    named = {"standard_name": name} if name and o.unit in _UNITS else {}
    data["value"] = (("observation",), o.values, named | {
        "units": cf, "long_name": f"measured {o.species}".strip(), "ancillary_variables": "sigma",
        "coordinates": "time latitude longitude",
    })  # fmt: skip
    data["sigma"] = (
        ("observation",),
        o.sigma,
        {"units": cf, "long_name": "root sum of squares of the errors"},
    )
    nanoseconds = [(a - _EPOCH).astype(np.int64) for a in (o.middle, o.start, o.end)]
    data["time"] = (("observation",), nanoseconds[0], _TIME | {
        "standard_name": "time", "bounds": "time_bounds", "long_name": "middle of the averaging window, UTC",
    })  # fmt: skip
    data["time_bounds"] = (("observation", "bound"), np.stack(nanoseconds[1:], axis=1))
    for attribute, (name, attributes) in _PLAIN.items():
        data[name] = (("observation",), _plain(getattr(o, attribute)), attributes)
    for i, c in enumerate(o.components):
        about = {"units": cf, "long_name": f"standard uncertainty: {c.cause}", "cause": c.cause}
        data[f"component_{i}"] = (("observation",), c.sigma, about)
        data[f"component_{i}_group"] = (
            ("observation",), _plain(c.groups), {"long_name": f"whose error of {c.cause}; empty: its own"},
        )  # fmt: skip
    for key, values in o.extra.items():
        data[f"extra_{key}"] = (("observation",), values, {"long_name": key})
    if o.vertical is not None:
        for name, (dim, words) in _VERTICAL.items():
            unit = {"units": "Pa"} if name == "pressure" else {}
            data[f"vertical_{name}"] = (("observation", dim), getattr(o.vertical, name), {"long_name": words} | unit)
        data["vertical_layered"] = (
            ("observation",), o.vertical.layered.astype(np.int8),
            {"long_name": "1: layers between edges, 0: levels", "flag_values": np.array([0, 1], np.int8),
             "flag_meanings": "levels layers"},
        )  # fmt: skip
        data["vertical_prior_value"] = (("observation",), o.vertical.prior_value, {"units": cf, "long_name": "y_a"})
    if o.ends is not None:
        data["path_end"] = (("observation", "end"), o.ends, {"long_name": "longitude, latitude, height of the far end"})
    if o.corners is not None:
        data["corner"] = (("observation", "vertex", "axis"), o.corners, {"long_name": "longitude, latitude"})
    return xr.Dataset(data, attrs={
        "Conventions": CONVENTIONS, "format": FORMAT, "species": o.species, "unit": o.unit, "featureType": "point",
        "title": "Observations of Tanheng",
        "source_files": json.dumps([dataclasses.asdict(s) for s in o.sources], ensure_ascii=False),
        "history_steps": json.dumps([dataclasses.asdict(s) for s in o.steps], ensure_ascii=False),
        "extra_names": json.dumps(list(o.extra), ensure_ascii=False),
    })  # fmt: skip


def _plain(values: np.ndarray) -> np.ndarray:
    return values.astype(object) if values.dtype.kind == "U" else values


def write(observations: Observations, path: str | Path) -> Path:
    """Write a set whole or not at all.

    The values, their windows as CF bounds, every cause of error with its groups, kernels and profiles, and, as JSON in
    global attributes, the source files with their SHA-256 and the steps since.

    Raises:
        TanhengError: the file cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset = to_dataset(observations)
        dataset.to_netcdf(part, engine="h5netcdf", encoding={str(n): {"_FillValue": None} for n in dataset.variables})
        part.replace(path)
    except (OSError, ValueError, TypeError) as error:
        raise TanhengError(
            "observations cannot be written", got=f"{path}: {error}",
            expected="a folder with room; names of extra without /", remedy="choose another path, or rename the extra",
        ) from error  # fmt: skip
    finally:
        part.unlink(missing_ok=True)
    return path


def read(path: str | Path) -> Observations:
    """Read what `write` wrote.

    Raises:
        TanhengError: no such file, another format, or a damaged one.
    """
    path = Path(path)
    try:
        with xr.open_dataset(path, engine="h5netcdf", decode_times=False, mask_and_scale=False) as opened:
            dataset = opened.load()
        stated = dataset.attrs.get("format", "no format")
        if stated != FORMAT:
            raise TanhengError(
                f"{path.name} is not a set of observations of this version", got=stated,
                expected=FORMAT, remedy="read the original file with its own reader",
            )  # fmt: skip
        return _from_dataset(dataset)
    except TanhengError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise TanhengError(
            "observations cannot be read", got=f"{path}: {type(error).__name__}: {' '.join(str(error).split())[:200]}",
            expected="a whole file written by inversion.observations.netcdf.write", remedy="write it again",
        ) from error  # fmt: skip


def _from_dataset(dataset: xr.Dataset) -> Observations:
    get: Any = lambda name: dataset[name].values  # noqa: E731
    bounds = get("time_bounds")
    plain = {attribute: get(name) for attribute, (name, _) in _PLAIN.items()}
    components = []
    while f"component_{len(components)}" in dataset:
        name = f"component_{len(components)}"
        cause, groups = dataset[name].attrs["cause"], get(f"{name}_group").astype(str)
        components.append(Component(cause, get(name), groups))
    vertical = None
    if "vertical_layered" in dataset:
        vertical = Vertical(
            **{name: get(f"vertical_{name}") for name in _VERTICAL}, layered=get("vertical_layered").astype(bool),
            prior_value=get("vertical_prior_value"),
        )  # fmt: skip
    attributes = dataset.attrs
    return Observations(
        values=get("value"), start=_EPOCH + bounds[:, 0].astype("timedelta64[ns]"),
        end=_EPOCH + bounds[:, 1].astype("timedelta64[ns]"), unit=attributes["unit"], components=tuple(components),
        species=attributes["species"], vertical=vertical,
        ends=get("path_end") if "path_end" in dataset else None,
        corners=get("corner") if "corner" in dataset else None,
        extra={k: get(f"extra_{k}") for k in json.loads(attributes["extra_names"])},
        sources=tuple(
            Source(**{**s, "notes": tuple(s["notes"])}) for s in json.loads(attributes["source_files"])
        ),
        steps=tuple(
            Step(s["what"], s["kept"], tuple((r, c) for r, c in s["dropped"]))
            for s in json.loads(attributes["history_steps"])
        ),
        **plain,
    )  # fmt: skip

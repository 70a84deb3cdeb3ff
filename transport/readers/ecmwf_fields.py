"""What the files of ECMWF have in common: names, units, axes, and refusal of what cannot be meant.

Both generations of the Copernicus store are understood (time/level and valid_time/pressure_level/number/expver), the
short names of GRIB (2t) and those of NetCDF (t2m). Everything comes out in SI, ground first, south first, west first.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from transport.errors import TanhengError
from transport.readers.ecmwf_axes import longitudes, named_axes, single_member

_WIND = {"m s**-1": 1.0, "m s-1": 1.0, "m/s": 1.0}
_KELVIN = {"K": 1.0}
_PASCAL = {"Pa": 1.0, "hPa": 100.0, "mbar": 100.0, "millibars": 100.0}
_STRESS = {"N m**-2": 1.0, "N m-2": 1.0, "Pa": 1.0}
# Our name: (names in files, {unit: factor to SI}).
FIELDS: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "u": (("u",), _WIND),
    "v": (("v",), _WIND),
    "temperature": (("t",), _KELVIN),
    "specific_humidity": (("q",), {"kg kg**-1": 1.0, "kg kg-1": 1.0, "kg/kg": 1.0}),
    "relative_humidity": (("r",), {"%": 0.01}),
    "geopotential_height": (("gh",), {"gpm": 1.0, "m": 1.0}),
    "log_surface_pressure": (("lnsp",), {"~": 1.0, "Numeric": 1.0, "1": 1.0, "": 1.0}),
    "surface_pressure": (("sp",), _PASCAL),
    "sea_level_pressure": (("prmsl", "msl"), _PASCAL),
    "mixing_height": (("blh",), {"m": 1.0}),
    "friction_velocity": (("zust",), _WIND),
    "sensible_heat": (("ishf",), {"W m**-2": 1.0, "W m-2": 1.0}),
    "accumulated_heat": (("sshf",), {"J m**-2": 1.0, "J m-2": 1.0}),
    "stress_x": (("iews",), _STRESS),
    "stress_y": (("inss",), _STRESS),
    "temperature_2m": (("t2m", "2t"), _KELVIN),
    "u10": (("u10", "10u"), _WIND),
    "v10": (("v10", "10v"), _WIND),
}
# Fields that must have an axis of levels.
PROFILES = ("u", "v", "temperature", "specific_humidity", "relative_humidity", "geopotential_height")


@dataclasses.dataclass(eq=False)
class Fields:
    """Fields of one set of files on common axes.

    Args:
        x, y: point coordinates, increasing.
        times: (nt,) datetime64[s].
        level: (nl,) values of the vertical axis in the order of the files, from large to small.
        level_unit: unit that the files state for it.
        values: name → (nt, nl, ny, nx) or (nt, ny, nx), SI.
        attributes: global attributes of the first file, and `crs_wkt` or `proj_params` of a grid mapping.
        notes: what was done.
    """

    x: np.ndarray
    y: np.ndarray
    times: np.ndarray
    level: np.ndarray
    level_unit: str
    values: dict[str, np.ndarray]
    attributes: dict[str, str]
    notes: list[str]

    def crop(self, rows: slice, columns: slice) -> None:
        """Keep a rectangle of points."""
        self.x, self.y = self.x[columns], self.y[rows]
        self.values = {name: value[..., rows, columns] for name, value in self.values.items()}

    def require_finite(self) -> None:
        """Refuse missing values.

        Raises:
            TanhengError: names the first field with gaps, how many and when.
        """
        for name, value in self.values.items():
            bad = ~np.isfinite(value)
            if bad.any():
                when = self.times[np.argmax(bad.reshape(len(self.times), -1).any(axis=1))]
                raise TanhengError(
                    f"{name} has missing values",
                    got=f"{int(bad.sum())} of {bad.size} values are not finite, first at {when}",
                    expected="a number at every point, level and time",
                    remedy="choose an area and a window that the files cover whole, or get the files again",
                )


def paths_of(files: str | Path | Iterable[str | Path]) -> list[Path]:
    """One path or many as a list."""
    return [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]


def load(
    files: str | Path | Iterable[str | Path],
    required: Sequence[str],
    optional: Sequence[str] = (),
    start: str | np.datetime64 | None = None,
    end: str | np.datetime64 | None = None,
) -> Fields:
    """Read fields from files that may split the variables, the times, or both.

    Args:
        files: NetCDF files.
        required, optional: our names of fields, keys of `FIELDS`.
        start, end: window; the times around it are read. Default: everything.

    Raises:
        TanhengError: a file cannot be read, a field is missing or has another unit, axes differ between files, or the
            window is not covered.
    """
    wanted = (*required, *optional)
    pieces: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    first: Fields | None = None
    for path in paths_of(files):
        part = _read(path, wanted)
        for name, value in part.values.items():
            pieces.setdefault(name, []).append((part.times, value))
        if first is None:
            first = part
            continue
        _require_same_axis(path, "x", first.x, part.x)
        _require_same_axis(path, "y", first.y, part.y)
        if part.level.size > 1 and first.level.size > 1:
            _require_same_axis(path, "level", first.level, part.level)
        if part.level.size > first.level.size:
            first.level, first.level_unit = part.level, part.level_unit
        first.notes += [note for note in part.notes if note not in first.notes]
    absent = [f"{'/'.join(FIELDS[name][0])} ({name})" for name in required if name not in pieces]
    if first is None or absent:
        raise TanhengError(
            "the meteorology lacks fields",
            got=f"{len(paths_of(files))} files with {', '.join(sorted(pieces)) or 'none of the fields'}",
            expected=", ".join(absent) or "at least one file",
            remedy="download these variables too, and give all files at once",
        )
    first.times, first.values = _join(pieces, start, end)
    return first


def _join(pieces, start, end) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Fields of several files one after another, within the window, at the same times for all fields."""
    values, common = {}, None
    for name, parts in pieces.items():
        times = np.concatenate([time for time, _ in parts])
        order = np.argsort(times, kind="stable")
        times = times[order]
        if (np.diff(times) == np.timedelta64(0, "s")).any():
            twice = times[1:][np.diff(times) == np.timedelta64(0, "s")][0]
            raise TanhengError(
                f"{name} is given twice for one time",
                got=str(twice),
                expected="every time once",
                remedy="leave out the file that repeats it",
            )
        if common is None:
            common = times
        if not np.array_equal(times, common):
            raise TanhengError(
                "the fields are not given at the same times",
                got=f"{name}: {times.size} times {times[0]}…{times[-1]}",
                expected=f"{common.size} times {common[0]}…{common[-1]}, as for {next(iter(pieces))}",
                remedy="give files that hold the same times for all variables",
            )
        values[name] = (parts, order)
    kept = _window(common, start, end)
    joined = {}
    for name, (parts, order) in values.items():
        shapes = {value.shape[1:] for _, value in parts}
        if len(shapes) > 1:
            raise TanhengError(
                f"{name} has different shapes in different files",
                got=str(sorted(shapes)),
                expected="the same levels and points in all files",
                remedy="give files of one request",
            )
        joined[name] = np.concatenate([value for _, value in parts])[order][kept]
    return common[kept], joined  # type: ignore[index]


def _window(times, start, end) -> slice:
    """From the last time not after start to the first not before end."""
    if times.size < 2:
        raise TanhengError(
            "the files hold one time only",
            got=", ".join(map(str, times)),
            expected="the times at both ends of an interval at least",
            remedy="give the files of the next time too",
        )
    low = times[0] if start is None else np.datetime64(start, "s")
    high = times[-1] if end is None else np.datetime64(end, "s")
    if not (times[0] <= low < high <= times[-1]):
        raise TanhengError(
            "the meteorology does not cover the window",
            got=f"{low}…{high}",
            expected=f"a window within {times[0]}…{times[-1]} ({times.size} times)",
            remedy="choose another window (start before end), or give the files of the missing times",
        )
    return slice(int(np.searchsorted(times, low, side="right")) - 1, int(np.searchsorted(times, high)) + 1)


def _require_same_axis(path: Path, name: str, first: np.ndarray, other: np.ndarray) -> None:
    if first.shape != other.shape or not np.allclose(first, other, rtol=0, atol=1e-4):
        raise TanhengError(
            f"the {name} axis of {path.name} differs from that of the first file",
            got=np.array2string(other, threshold=6),
            expected=np.array2string(first, threshold=6),
            remedy="give files of one request: same area, same levels",
        )


def _read(path: Path, wanted: Sequence[str]) -> Fields:
    """The wanted fields that one file holds."""
    try:
        with xr.open_dataset(path) as dataset:
            return _normalised(path, dataset, wanted)
    except TanhengError:
        raise
    except Exception as error:  # the backends raise what they like on a damaged file
        raise TanhengError(
            f"{path.name} cannot be read",
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            expected=f"a whole NetCDF file at {path}",
            remedy="check the path; download the file again if it is truncated; convert GRIB to NetCDF",
        ) from error


def _normalised(path: Path, dataset: xr.Dataset, wanted: Sequence[str]) -> Fields:
    """SI units; ground first, south first, west first."""
    notes: list[str] = []
    dataset = single_member(path.name, dataset, notes)
    dataset, geographic = named_axes(path.name, dataset)
    axes = {name: dataset[name].values for name in ("time", "level", "y", "x") if name in dataset.dims}
    y, level = axes["y"].astype(float), axes.get("level", np.empty(0)).astype(float)
    x = longitudes(axes["x"].astype(float), notes) if geographic else axes["x"].astype(float)
    order_x, order_y, order_level = np.argsort(x), np.argsort(y), np.argsort(-level)
    values = {}
    for name in wanted:
        names, units = FIELDS[name]
        found = next((key for key in names if key in dataset.data_vars), None)
        if found is None:
            continue
        array = dataset[found]
        _require_unit(f"{found} of {path.name}", array, units)
        if name == "log_surface_pressure" and "level" in array.dims:
            array = array.isel(level=int(np.argmin(level)))  # stored on model level 1 only
        dims = ("time", "level", "y", "x") if name in PROFILES else ("time", "y", "x")
        if set(array.dims) != set(dims):
            raise TanhengError(
                f"{found} of {path.name} has other axes",
                got=", ".join(map(str, array.dims)),
                expected=", ".join(dims),
                remedy="select one member or step before, keep the axis of levels",
            )
        value = array.transpose(*dims).values.astype(float)
        value = value[:, order_level] if name in PROFILES else value
        values[name] = value[..., order_y, :][..., order_x] * units[str(array.attrs.get("units", "")).strip()]
    attributes = {key: str(value) for key, value in dataset.attrs.items()}
    for mapping in dataset.variables.values():
        if "grid_mapping_name" in mapping.attrs:
            attributes.update({key: str(value) for key, value in mapping.attrs.items()})
    unit = str(dataset["level"].attrs.get("units", "")).strip() if level.size else ""
    times = axes["time"].astype("datetime64[s]")
    return Fields(x[order_x], y[order_y], times, level[order_level], unit, values, attributes, notes)


def _require_unit(what: str, array: xr.DataArray, units: dict[str, float]) -> None:
    unit = str(array.attrs.get("units", "")).strip()
    if unit not in units:
        raise TanhengError(
            f"{what} has the wrong unit",
            got=repr(unit),
            expected=" or ".join(map(repr, units)),
            remedy="convert the file first, or correct its unit attribute",
        )

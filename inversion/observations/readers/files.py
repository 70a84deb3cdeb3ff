"""Opening of files for readers: whatever is wrong with a file is said in words, and nothing else leaves this module.

Readers get arrays whose names, dimensions, types and units have been checked; libraries' exceptions end here.
"""

import contextlib
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from inversion.observations.record import Source
from transport.errors import TanhengError

_HDF, _CLASSIC = b"\x89HDF\r\n\x1a\n", (b"CDF\x01", b"CDF\x02", b"CDF\x05")
# Bytes of a variable beyond which a header is not believed (a damaged one may claim 10^18 values).
LARGEST = 8 * 2**30


def content(path: str | Path) -> bytes:
    """The bytes of a file.

    Raises:
        TanhengError: it is not there or cannot be read.
    """
    path = Path(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise TanhengError(
            "a file of observations cannot be opened", got=f"{path}: {error.strerror or error}",
            expected="an existing file", remedy="correct the path",
        ) from error  # fmt: skip


def source_of(
    path: str | Path,
    reader: str,
    stamp: str,
    attribution: str = "",
    notes: Sequence[str] = (),
    data: bytes | None = None,
) -> Source:
    """Name and SHA-256 of a file, with what its reader says about it."""
    digest = hashlib.sha256(content(path) if data is None else data).hexdigest()
    return Source(Path(path).name, digest, reader, stamp, attribution, tuple(notes))


def lines_of(path: str | Path) -> list[str]:
    """Lines of a text file in UTF-8, or in Latin-1 where it is not.

    Raises:
        TanhengError: not there, empty, or not text.
    """
    data = content(path)
    if not data.strip() or b"\x00" in data:
        raise TanhengError(
            f"{Path(path).name} is not a text file", got=f"{len(data)} bytes" + (", some zero" if data.strip() else ""),
            expected="lines of text", remedy="copy the file again",
        )  # fmt: skip
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.splitlines()


class _ReadOnly(h5netcdf.File):
    """A file whose `close` works too where opening failed half-way; the library's own complains on standard error."""

    _writable = _close_h5file = False


class NetCDF:
    """An open NetCDF file whose fields are checked when they are taken.

    Args:
        path: of the file.
        groups: HDF5 group path by short name, e.g. {"": "PRODUCT", "input": "PRODUCT/SUPPORT_DATA/INPUT_DATA"}.
            Fields of a named group are asked for as "input:surface_pressure".

    Raises:
        TanhengError: missing, of another format, damaged, or without a group.
    """

    def __init__(self, path: str | Path, groups: Mapping[str, str] | None = None):
        self.path = Path(path)
        self.name = self.path.name
        data = content(self.path)
        self.data = data
        self._stack = contextlib.ExitStack()
        self._whole: h5netcdf.File | None = None
        engine = "h5netcdf" if data[:8] == _HDF else "scipy" if data[:4] in _CLASSIC[:2] else None
        if engine is None:
            raise TanhengError(
                f"{self.name} is not a NetCDF file that can be read here", got=f"first bytes {data[:8]!r}",
                expected="NetCDF-4 (HDF5), NetCDF-3 classic or 64-bit offset", remedy="nccopy -k nc4 in.nc out.nc",
            )  # fmt: skip
        self._datasets: dict[str, xr.Dataset] = {}
        # From memory: an engine that fails half-way would keep a file on disk open.
        opened: Any = io.BytesIO(data)
        for short, group in (groups or {"": ""}).items():
            try:
                if engine == "h5netcdf":
                    opened = self._store(group)
                dataset = xr.open_dataset(
                    opened, engine=None if engine == "h5netcdf" else engine, decode_times=False, decode_coords=False,
                    mask_and_scale=False,
                )  # fmt: skip
            except Exception as error:  # the engines raise what they like on a damaged header
                self.close()
                # The traceback would keep the engine's handle, and the file open, as long as somebody holds the error.
                raise self.damaged(f"group {group or '/'}", error) from error.with_traceback(None)
            self._datasets[short] = self._stack.enter_context(dataset)

    def _store(self, group: str) -> H5NetCDFStore:
        """One group. The handle is ours: of a damaged file, h5netcdf would leave its own open."""
        if self._whole is None:
            handle = self._stack.enter_context(h5py.File(io.BytesIO(self.data), "r"))
            self._whole = _ReadOnly(handle, "r", phony_dims="access", decode_vlen_strings=True)
        return H5NetCDFStore(self._whole[group] if group else self._whole)

    def __enter__(self) -> "NetCDF":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, whatever state it is in."""
        with contextlib.suppress(Exception):
            self._stack.close()

    def damaged(self, what: str, error: Exception) -> TanhengError:
        """The error of a file that cannot be read."""
        return TanhengError(
            f"cannot read {what} of {self.name}",
            got=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", expected="a whole file of this format",
            remedy="compare its size and checksum with the source and copy it again",
        )  # fmt: skip

    def source(self, reader: str, stamp: str, attribution: str = "", notes: Sequence[str] = ()) -> Source:
        """Where values of this file come from."""
        return source_of(self.path, reader, stamp, attribution, notes, self.data)

    def _variable(self, name: str) -> xr.DataArray:
        short, _, plain = name.rpartition(":")
        dataset = self._datasets[short]
        if plain not in dataset.variables:
            held = sorted(map(str, dataset.variables))
            raise TanhengError(
                f"{self.name} has no {name}", got=", ".join(held[:40]) or "no variables", expected=plain,
                remedy="use the reader of this format, or a file that was not cut",
            )  # fmt: skip
        return dataset[plain]

    def has(self, name: str) -> bool:
        """True where the file holds this variable."""
        short, _, plain = name.rpartition(":")
        return plain in self._datasets[short].variables

    def variables(self, group: str = "") -> tuple[str, ...]:
        """Names of the variables of a group, coordinates too."""
        return tuple(map(str, self._datasets[group].variables))

    def dims(self, name: str) -> tuple[str, ...]:
        """Dimensions of a variable.

        Raises:
            TanhengError: there is none of this name.
        """
        return tuple(map(str, self._variable(name).dims))

    def size(self, dim: str, group: str = "") -> int:
        """Length of a dimension.

        Raises:
            TanhengError: there is none of this name.
        """
        sizes = self._datasets[group].sizes
        if dim not in sizes:
            raise TanhengError(
                f"{self.name} has no dimension {dim}", got=", ".join(map(str, sizes)) or "none", expected=dim,
                remedy="use the reader of this format",
            )  # fmt: skip
        return int(sizes[dim])

    def attributes(self, name: str = "") -> dict[str, Any]:
        """Attributes of a variable, or the global ones."""
        return dict(self._datasets[""].attrs if not name else self._variable(name).attrs)

    def text(self, attribute: str, default: str | None = None, of: str = "") -> str:
        """An attribute as text.

        Raises:
            TanhengError: it is missing and there is no default.
        """
        value = self.attributes(of).get(attribute, default)
        if value is None:
            raise TanhengError(
                f"{self.name} does not state {attribute}" + (f" of {of}" if of else ""), got="no such attribute",
                expected="text", remedy="use the file as its makers published it",
            )  # fmt: skip
        return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(np.asarray(value)).strip()

    def number(self, attribute: str, default: float | None = None, of: str = "") -> float:
        """An attribute as a number, whether written as number or text.

        Raises:
            TanhengError: missing, or not a number.
        """
        text = self.text(attribute, None if default is None else str(default), of).strip("[]")
        try:
            return float(text)
        except ValueError as error:
            raise TanhengError(
                f"{attribute} of {self.name} is not a number", got=repr(text), expected="a number",
                remedy="use the file as its makers published it",
            ) from error  # fmt: skip

    def raw(self, name: str, dims: Sequence[str]) -> np.ndarray:
        """Values as they are stored, after their dimensions have been checked.

        Args:
            name: of the variable.
            dims: expected dimensions, in order.

        Raises:
            TanhengError: missing, other dimensions, unreadable.
        """
        variable = self._variable(name)
        if tuple(variable.dims) != tuple(dims):
            raise TanhengError(
                f"{name} of {self.name} has other dimensions", got=tuple(map(str, variable.dims)), expected=tuple(dims),
                remedy="use the file as its makers published it",
            )  # fmt: skip
        if variable.size * max(variable.dtype.itemsize, 1) > LARGEST:
            raise TanhengError(
                f"{name} of {self.name} is too large to be believed", got=dict(variable.sizes),
                expected=f"at most {LARGEST // 2**30} GiB", remedy="the header is damaged: copy the file again",
            )  # fmt: skip
        try:
            return np.asarray(variable.values)
        except Exception as error:  # filters, checksums and truncation each have an exception of their own
            raise self.damaged(name, error) from error

    def numbers(
        self, name: str, dims: Sequence[str], units: Mapping[str, float] | None = None, integer: bool = False
    ) -> np.ndarray:
        """Values in double precision with fills as NaN, scaled and converted.

        x = (stored · scale_factor + add_offset) · factor of the unit

        Args:
            name: of the variable.
            dims: expected dimensions, in order.
            units: allowed `units` attributes and the factor of each; None where the unit is not checked.
            integer: refuse values that are not whole numbers.

        Raises:
            TanhengError: missing, other dimensions, not numbers, or a unit that is not allowed.
        """
        stored = self.raw(name, dims)
        attributes = self.attributes(name)
        if stored.dtype.kind not in "iufb":
            raise TanhengError(
                f"{name} of {self.name} does not hold numbers", got=str(stored.dtype), expected="numbers",
                remedy="use the file as its makers published it",
            )  # fmt: skip
        values = stored.astype(float)
        for key in ("_FillValue", "missing_value"):
            if key in attributes:
                fills = np.ravel(np.asarray(attributes[key]))
                if fills.dtype.kind in "iuf":
                    # A fill that was rounded to the type of the data must still be recognised.
                    values[np.isin(stored, fills.astype(stored.dtype))] = np.nan
        try:
            scale, offset = (
                float(np.ravel(attributes.get(k, d))[0]) for k, d in (("scale_factor", 1.0), ("add_offset", 0.0))
            )
        except (TypeError, ValueError, IndexError) as error:
            raise self.damaged(f"scale of {name}", error) from error
        if scale != 1.0 or offset != 0.0:
            values = values * scale + offset
        if integer and np.any(values[np.isfinite(values)] % 1.0):
            raise TanhengError(
                f"{name} of {self.name} is not whole numbers", got=f"{values[np.isfinite(values)][:3]}",
                expected="integers", remedy="copy the file again",
            )  # fmt: skip
        return values if units is None else values * self.factor(name, units)

    def factor(self, name: str, units: Mapping[str, float]) -> float:
        """Factor of the unit that a variable states.

        Raises:
            TanhengError: it states another one, or none.
        """
        unit = self.text("units", "", of=name)
        if unit not in units:
            raise TanhengError(
                f"{name} of {self.name} has the wrong unit", got=repr(unit),
                expected=" or ".join(repr(u) for u in units), remedy="use the file as its makers published it",
            )  # fmt: skip
        return units[unit]

    def words(self, name: str, dims: Sequence[str]) -> np.ndarray:
        """Text values: strings, or characters along a last dimension of any name.

        Raises:
            TanhengError: missing, other dimensions, not text.
        """
        variable = self._variable(name)
        own = tuple(map(str, variable.dims))
        values = self.raw(name, own if own[: len(dims)] == tuple(dims) and len(own) <= len(dims) + 1 else dims)
        if values.dtype.kind not in "SUO":
            raise TanhengError(
                f"{name} of {self.name} does not hold text", got=str(values.dtype), expected="text",
                remedy="use the file as its makers published it",
            )  # fmt: skip
        flat = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.ravel()]
        words = np.array(flat, dtype=str).reshape(values.shape)
        if values.ndim == len(dims) + 1:
            rows = words.reshape(-1, values.shape[-1])
            words = np.array(["".join(row) for row in rows]).reshape(values.shape[:-1])
        return np.char.strip(words, " \x00") if words.size else words.astype("<U1")


def check_calendar(nc: NetCDF, name: str, epoch: np.datetime64) -> None:
    """Refuse times that do not count the days of the calendar that numpy and the air go by.

    Raises:
        TanhengError: a calendar without leap days, or of 360 days, or an epoch before the Gregorian one.
    """
    stated = nc.text("calendar", "standard", of=name).lower()
    gregorian = stated in ("standard", "gregorian") and epoch >= np.datetime64("1582-10-15")
    if not (gregorian or stated == "proleptic_gregorian"):
        raise TanhengError(
            f"{name} of {nc.name} counts the days of another calendar", got=f"{stated}, since {epoch}",
            expected="standard since 1582-10-15 or later, or proleptic_gregorian",
            remedy="write real dates into the file: e.g. ncap2, or cftime and xarray's convert_calendar",
        )  # fmt: skip


def seconds_since(epoch: str, seconds: np.ndarray, what: str) -> np.ndarray:
    """datetime64[ns] of seconds (may be fractional); NaN becomes NaT.

    Raises:
        TanhengError: a time outside 1900…2200, which is a wrong unit or a damaged file.
    """
    limits = [(np.datetime64(y, "s") - np.datetime64(epoch, "s")).astype(float) for y in ("1900-01-01", "2200-01-01")]
    seconds = np.asarray(seconds, float)
    known = np.isfinite(seconds)
    bad = known & ~((seconds >= limits[0]) & (seconds <= limits[1]))
    if bad.any():
        raise TanhengError(
            f"times of {what} cannot be meant", got=f"{seconds[bad][0]:g} s since {epoch}", expected="years 1900…2200",
            remedy="check the unit of the time variable",
        )  # fmt: skip
    whole = np.where(known, np.floor(seconds), 0.0)
    rest = np.where(known, seconds - whole, 0.0)
    times = np.datetime64(epoch, "ns") + whole.astype(np.int64).astype("timedelta64[s]")
    times = times + np.round(rest * 1e9).astype(np.int64).astype("timedelta64[ns]")
    times[~known] = np.datetime64("NaT")
    return times

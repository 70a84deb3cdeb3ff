"""Files of WRF-ARW: opening, time stamps, one field at one time with its unit and shape checked, and the projection."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyproj
import xarray as xr

from transport.constants import WRF_EARTH_RADIUS
from transport.errors import TanhengError
from transport.grid import Grid
from transport.units import require_unit

_CELL = ("south_north", "west_east")
_X_FACE = ("south_north", "west_east_stag")
_Y_FACE = ("south_north_stag", "west_east")
_LAYER, _LEVEL = "bottom_top", "bottom_top_stag"

# name: (units that the file must state, dimensions without Time). None: the registry states none, or says it in words.
FIELDS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "U": ("m s-1", (_LAYER, *_X_FACE)),
    "V": ("m s-1", (_LAYER, *_Y_FACE)),
    "T": ("K", (_LAYER, *_CELL)),
    "P": ("Pa", (_LAYER, *_CELL)),
    "PB": ("Pa", (_LAYER, *_CELL)),
    "PH": ("m2 s-2", (_LEVEL, *_CELL)),
    "PHB": ("m2 s-2", (_LEVEL, *_CELL)),
    "QVAPOR": ("kg kg-1", (_LAYER, *_CELL)),
    "MU": ("Pa", _CELL),
    "MUB": ("Pa", _CELL),
    "C1H": (None, (_LAYER,)),
    "C2H": (None, (_LAYER,)),
    "DNW": (None, (_LAYER,)),
    "ZNW": (None, (_LEVEL,)),
    "P_TOP": ("Pa", ()),
    "PBLH": ("m", _CELL),
    "UST": ("m s-1", _CELL),
    "HFX": ("W m-2", _CELL),
    "T2": ("K", _CELL),
    "PSFC": ("Pa", _CELL),
    "XLAT": ("degree_north", _CELL),
    "XLONG": ("degree_east", _CELL),
    "MAPFAC_M": (None, _CELL),
    "MAPFAC_MX": (None, _CELL),
    "MAPFAC_MY": (None, _CELL),
    "MAPFAC_U": (None, _X_FACE),
    "MAPFAC_UY": (None, _X_FACE),
    "MAPFAC_V": (None, _Y_FACE),
    "MAPFAC_VX": (None, _Y_FACE),
}


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """One output time in one open file."""

    time: np.datetime64
    path: Path
    dataset: xr.Dataset
    index: int

    def has(self, *names: str) -> bool:
        """True where the file holds every one of these fields."""
        return all(name in self.dataset.variables for name in names)

    def field(self, *names: str) -> np.ndarray:
        """The first of these fields that the file holds, at this time, in double precision.

        Raises:
            TanhengError: none is there; or it has another unit or staggering, cannot be read, or is not finite.
        """
        name = next((n for n in names if self.has(n)), None)
        if name is None:
            raise TanhengError(
                f"{self.path.name} has no {' or '.join(names)}",
                got=_shorten(map(str, self.dataset.variables)),
                expected=f"a field {' or '.join(names)}",
                remedy="write this field to the WRF history (iofields_filename) or extract it again",
            )
        variable, (unit, dims) = self.dataset[name], FIELDS[name]
        if unit is not None:
            require_unit(f"{name} of {self.path.name}", variable.attrs.get("units", "none"), unit)
        if tuple(d for d in variable.dims if d != "Time") != dims:
            raise TanhengError(
                f"{name} of {self.path.name} is not on the points on which WRF writes it",
                got=f"dimensions {tuple(map(str, variable.dims))}",
                expected=f"dimensions {('Time', *dims)}",
                remedy="use the model's own output, not fields that were moved to cell centres",
            )
        return self._values(name, variable)

    def _values(self, name: str, variable: xr.DataArray) -> np.ndarray:
        selected = variable.isel(Time=self.index) if "Time" in variable.dims else variable
        try:
            values = np.asarray(selected.values, dtype=float)
        except (OSError, ValueError, RuntimeError, TypeError, EOFError) as error:
            raise _damaged(self.path, f"{name} at {self.time}", error) from error
        # A record that was never written holds NetCDF's default fill of 1e37, which is finite.
        values[np.abs(values) > 1e30] = np.nan
        if not np.isfinite(values).all():
            raise TanhengError(
                f"{name} of {self.path.name} has values that are not finite at {self.time}",
                got=f"{np.count_nonzero(~np.isfinite(values))} of {values.size}",
                expected="none",
                remedy="choose a window without this time, or run WRF again",
            )
        return values

    def attribute(self, name: str) -> float:
        """A numeric global attribute.

        Raises:
            TanhengError: it is missing.
        """
        if name not in self.dataset.attrs:
            raise TanhengError(
                f"{self.path.name} has no global attribute {name}",
                expected="the global attributes of a WRF-ARW history file",
                remedy="keep the global attributes when the file is cut or merged",
            )
        return float(np.ravel(self.dataset.attrs[name])[0])


def _shorten(names) -> str:
    names = sorted(names)
    return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")


def _damaged(path: Path, what: str, error: Exception) -> TanhengError:
    return TanhengError(
        f"cannot read {what} from {path}",
        got=" ".join(str(error).split())[:300],
        expected="a whole NetCDF file",
        remedy="compare its size and checksum with the source and copy it again",
    )


def open_file(path: str | Path) -> xr.Dataset:
    """A WRF history file as a dataset that reads on demand; its first bytes tell which kind of NetCDF it is.

    Raises:
        TanhengError: the file is missing, damaged or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise TanhengError(
            "WRF file not found", got=str(path), expected="an existing file", remedy="correct the path or fetch it"
        )
    with path.open("rb") as stream:
        magic = stream.read(8)
    engine = "h5netcdf" if magic == b"\x89HDF\r\n\x1a\n" else "scipy" if magic[:4] in (b"CDF\x01", b"CDF\x02") else None
    if engine is None:
        raise TanhengError(
            f"{path} is not a NetCDF file that can be read here",
            got=f"first bytes {magic!r}",
            expected="NetCDF-4 (HDF5), NetCDF-3 classic or 64-bit offset",
            remedy="convert it: nccopy -k nc4 in.nc out.nc",
        )
    try:
        return xr.open_dataset(path, engine=engine, decode_times=False, decode_coords=False)
    except Exception as error:  # the engines raise what they like on a damaged header
        raise _damaged(path, "the header", error) from error


def states_of(path: Path, dataset: xr.Dataset) -> list[State]:
    """Every output time of an open file.

    Raises:
        TanhengError: the file has no `Times`, or they are not written as YYYY-MM-DD_HH:MM:SS.
    """
    if "Times" not in dataset.variables:
        raise TanhengError(
            f"{path.name} has no Times",
            got=_shorten(map(str, dataset.variables)),
            expected="the character variable Times of a WRF-ARW history file",
            remedy="give the model's own output",
        )
    try:
        texts = [t.decode() if isinstance(t, bytes) else str(t) for t in np.ravel(dataset["Times"].values)]
        times = [np.datetime64(t.replace("_", "T"), "s") for t in texts]
    except Exception as error:
        raise _damaged(path, "Times (YYYY-MM-DD_HH:MM:SS)", error) from error
    return [State(time, path, dataset, i) for i, time in enumerate(times)]


def window(states: Sequence[State], start: str | np.datetime64 | None, end: str | np.datetime64 | None) -> list[State]:
    """The states from start to end, both included, in order of time.

    Raises:
        TanhengError: a time occurs twice, or start or end is not an output time.
    """
    states = sorted(states, key=lambda s: s.time)
    for one, two in itertools.pairwise(states):
        if one.time == two.time:
            raise TanhengError(
                "an output time occurs twice",
                got=f"{one.time} in {one.path.name} and {two.path.name}",
                expected="each time once",
                remedy="leave out the file of the older run",
            )
    times = [s.time for s in states]
    bounds = []
    for name, value, default in (("start", start, times[0]), ("end", end, times[-1])):
        try:
            bound = default if value is None else np.datetime64(str(value), "s")
        except ValueError:
            bound = None
        if bound not in times:
            raise TanhengError(
                f"the {name} of the window is not an output time",
                got=value,
                expected=f"one of {len(times)} times {times[0]} … {times[-1]}",
                remedy="write times as YYYY-MM-DDTHH:MM:SS in UTC, within the files",
            )
        bounds.append(bound)
    return [s for s in states if bounds[0] <= s.time <= bounds[1]]


def projection(state: State) -> str:
    """PROJ string of the model's map projection on WRF's own sphere.

    Latitudes of WRF are used as if they lay on a sphere of 6370 km; on an ellipsoid its cells move by up to 20 km.

    Raises:
        TanhengError: MAP_PROJ is not 1 (Lambert), 2 (polar stereographic), 3 (Mercator) or 6 (unrotated lat-lon).
    """
    code = int(state.attribute("MAP_PROJ"))
    sphere = f"+R={WRF_EARTH_RADIUS:.0f} +no_defs"
    if code == 6:
        if abs(state.attribute("POLE_LAT")) != 90.0:
            raise TanhengError(
                "the lat-lon grid is rotated",
                got=f"POLE_LAT {state.attribute('POLE_LAT'):g}, POLE_LON {state.attribute('POLE_LON'):g}",
                expected="POLE_LAT 90",
                remedy="use a Lambert, polar stereographic or Mercator domain",
            )
        return f"+proj=longlat {sphere}"
    if code not in (1, 2, 3):
        raise TanhengError(
            "unknown map projection",
            got=f"MAP_PROJ {code}",
            expected="1 Lambert, 2 polar stereographic, 3 Mercator, 6 lat-lon",
            remedy="use one of these projections",
        )
    true1, centre = state.attribute("TRUELAT1"), state.attribute("STAND_LON")
    if code == 1:
        parallels = (
            f"+lat_1={true1!r} +lat_2={state.attribute('TRUELAT2')!r} +lat_0={state.attribute('MOAD_CEN_LAT')!r}"
        )
        return f"+proj=lcc {parallels} +lon_0={centre!r} {sphere}"
    if code == 2:
        return f"+proj=stere +lat_0={90 if true1 > 0 else -90} +lat_ts={true1!r} +lon_0={centre!r} {sphere}"
    # In a Mercator map the central meridian only shifts x; the domain's own centre keeps it clear of the date line.
    return f"+proj=merc +lat_ts={true1!r} +lon_0={state.attribute('CEN_LON')!r} {sphere}"


def wrf_grid(state: State) -> Grid:
    """The mass cells of the model: spacing from the attributes, origin fitted to XLONG and XLAT, the fit checked.

    Raises:
        TanhengError: the coordinates do not follow from the map projection (a rotated, moved or mixed-up grid).
    """
    crs = projection(state)
    lon, lat = state.field("XLONG"), state.field("XLAT")
    ny, nx = lon.shape
    dx, dy = state.attribute("DX"), state.attribute("DY")
    if "longlat" in crs:
        # DX of a lat-lon grid is the length of its step at the equator.
        dx, dy = (np.rad2deg(step / WRF_EARTH_RADIUS) for step in (dx, dy))
        x, y = np.unwrap(lon, axis=1, period=360.0), lat
        rounding = 3e-5  # degrees, a float32 near 180
    else:
        x, y = pyproj.Proj(crs)(lon, lat)
        rounding = 3.0  # m, the same
    x_start, y_start = np.mean(x - dx * np.arange(nx)), np.mean(y - dy * np.arange(ny)[:, None])
    misfit = max(
        float(np.abs(x - dx * np.arange(nx) - x_start).max() - 0.01 * dx),
        float(np.abs(y - dy * np.arange(ny)[:, None] - y_start).max() - 0.01 * dy),
    )
    if not misfit <= rounding:
        raise TanhengError(
            f"XLONG and XLAT of {state.path.name} do not follow from its map projection",
            got=f"cell centres up to {misfit + 0.01 * dx:.4g} off ({'degrees' if 'longlat' in crs else 'm'}), {crs}",
            expected=f"within 1 % of DX, DY ({dx:.4g}, {dy:.4g})",
            remedy="use output of one domain that does not move, with its own global attributes",
        )
    x_edges = x_start + dx * (np.arange(nx + 1) - 0.5)
    y_edges = y_start + dy * (np.arange(ny + 1) - 0.5)
    return Grid(x_edges, y_edges, crs)

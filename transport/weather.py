"""What every meteorology reader returns: states of the air at instants, before they become mass-consistent fluxes.

    file ──reader──▶ Analysis (points) ──to_cells(grid, levels)──▶ Weather (cells) ──prepare──▶ Meteorology

A model whose files already hold staggered mass fluxes (WRF) starts at `Weather`. Index 0 is the lowest layer, the
southern row, the western column; times are the ends of the intervals of the `Meteorology`.
"""

import dataclasses

import numpy as np

from transport.errors import TanhengError
from transport.grid import Grid


@dataclasses.dataclass(frozen=True, eq=False)
class Surface:
    """State of the ground and the boundary layer, each (nt+1, ny, nx).

    Args:
        mixing_height: m above ground.
        friction_velocity: u*, m s-1.
        sensible_heat: W m-2, upward positive.
        temperature: of the air near the ground, K.
        pressure: Pa, of moist air at the ground.
    """

    mixing_height: np.ndarray
    friction_velocity: np.ndarray
    sensible_heat: np.ndarray
    temperature: np.ndarray
    pressure: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """Instantaneous fields at points of a regular grid, on levels of any kind.

    Args:
        crs: anything that `pyproj.CRS` accepts.
        x, y: (nx,), (ny,) increasing point coordinates, m or degrees.
        times: (nt+1,) datetime64[s], evenly spaced.
        pressure: (nt+1, nl, ny, nx) Pa at the levels, lowest level first; levels below ground (pressure-level data) are
            kept and recognised by pressure > surface.pressure.
        u, v: (nt+1, nl, ny, nx) m s-1 along the grid's own x and y axes.
        temperature: (nt+1, nl, ny, nx) K.
        specific_humidity: (nt+1, nl, ny, nx) kg/kg of moist air.
        surface: `Surface` on the same points.
        source: one line, what was read.
        notes: sentences on what was done to the fields: rotated winds, substituted heat flux, skipped times.
    """

    crs: str
    x: np.ndarray
    y: np.ndarray
    times: np.ndarray
    pressure: np.ndarray
    u: np.ndarray
    v: np.ndarray
    temperature: np.ndarray
    specific_humidity: np.ndarray
    surface: Surface
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        shape = (len(self.times), self.pressure.shape[1], len(self.y), len(self.x))
        _check(self, shape, ("pressure", "u", "v", "temperature", "specific_humidity"))
        _check(self.surface, (shape[0], *shape[2:]), tuple(f.name for f in dataclasses.fields(Surface)))
        _check_times(self.times)

    def __repr__(self) -> str:
        nt, nl, ny, nx = self.u.shape
        return f"Analysis({self.source}; {nt} times {self.times[0]}…{self.times[-1]}, {nl} levels, {ny} × {nx} points)"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Weather:
    """Instantaneous dry air and its flow on the cells of a model grid.

    Args:
        grid: horizontal grid of nx × ny cells.
        times: (nt+1,) datetime64[s], evenly spaced.
        air: (nt+1, nz, ny, nx) dry air of each cell, mol.
        flux_x: (nt+1, nz, ny, nx+1) dry air through west faces, mol s-1.
        flux_y: (nt+1, nz, ny+1, nx) dry air through south faces, mol s-1.
        pressure_edges: (nt+1, nz+1, ny, nx) Pa of moist air, decreasing upwards.
        height_edges: (nt+1, nz+1, ny, nx) m above ground, increasing from 0.
        temperature: (nt+1, nz, ny, nx) K.
        surface: `Surface` on the cells.
        source, notes: as in `Analysis`.
        open_top: True where air may pass through the top face (a model cut below the top of its source), False where
            the column is closed there.
    """

    grid: Grid
    times: np.ndarray
    air: np.ndarray
    flux_x: np.ndarray
    flux_y: np.ndarray
    pressure_edges: np.ndarray
    height_edges: np.ndarray
    temperature: np.ndarray
    surface: Surface
    source: str
    notes: tuple[str, ...] = ()
    open_top: bool = False

    def __post_init__(self):
        nt, nz, ny, nx = self.air.shape
        _check(self, (len(self.times), nz, *self.grid.shape), ("air", "temperature"))
        _check(self, (nt, nz + 1, ny, nx), ("pressure_edges", "height_edges"))
        _check(self, (nt, nz, ny, nx + 1), ("flux_x",))
        _check(self, (nt, nz, ny + 1, nx), ("flux_y",))
        _check(self.surface, (nt, ny, nx), tuple(f.name for f in dataclasses.fields(Surface)))
        _check_times(self.times)

    @property
    def interval(self) -> float:
        """Seconds between states."""
        return float((self.times[1] - self.times[0]) / np.timedelta64(1, "s"))

    def __repr__(self) -> str:
        nt, nz, _, _ = self.air.shape
        return f"Weather({self.source}; {nt} states {self.times[0]}…{self.times[-1]}, {nz} layers; {self.grid!r})"


def _check(owner, shape: tuple[int, ...], names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(owner, name)
        if value.shape != shape or not np.isfinite(value).all():
            bad = int(np.count_nonzero(~np.isfinite(value)))
            raise TanhengError(
                f"{name} of {type(owner).__name__} cannot be used",
                got=f"shape {value.shape}, {bad} values that are not finite",
                expected=f"shape {shape}, all finite",
                remedy="choose a window and an area that the file covers whole",
            )


def _check_times(times: np.ndarray) -> None:
    steps = np.diff(times)
    if len(times) < 2 or not (steps == steps[0]).all() or not steps[0] > np.timedelta64(0, "s"):
        raise TanhengError(
            "the meteorology has gaps in time",
            got=f"{len(times)} times, steps {sorted(set(map(str, steps)))}",
            expected="at least two times in equal steps",
            remedy="choose a window without missing times",
        )

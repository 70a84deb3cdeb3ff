"""Fluxes of dry air that agree with the air: a smallest correction of the horizontal flow, then vertical closure.

Winds at instants do not carry exactly the air that the next state holds. Over an interval Δt and in each column of a
model whose top is closed, the mean fluxes F of its layers have to obey

    Σ_k (Δx F_x + Δy F_y)_k = −(C(t+Δt) − C(t)) / Δt,    C = Σ_k air_k

The correction of the wind with the least kinetic energy Σ_faces m δu² (m: air between the two cell centres) that
achieves this is the same in all layers and has a potential (variational adjustment, Sherman 1978,
doi 10.1175/1520-0450(1978)017<0312:AMCMFW>2.0.CO;2):

    δF = w (φ_cell − φ_neighbour behind it),  w = a L / d,    L φ = r

a: column air per area at the face, L: its length, d: the distance between the centres, r: what the columns lack;
φ = 0 one cell outside the domain, so that a net gain or loss leaves through its sides. The correction is shared among
the layers in proportion to their air at the face. Vertical flux then closes each cell from the ground up:

    F_z[k+1] = F_z[k] − (Δx F_x + Δy F_y)_k − (air_k(t+Δt) − air_k(t)) / Δt,    F_z[0] = 0
"""

import dataclasses

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import splu

from transport.constants import EARTH_RADIUS
from transport.errors import TanhengError
from transport.grid import Grid
from transport.weather import Weather

CLOSURE = 1e-9  # of the air that the column exchanges with its neighbours


@dataclasses.dataclass(frozen=True)
class Correction:
    """How much the horizontal flow was changed.

    Args:
        wind_rms, wind_max: of the change, over the faces of all intervals, m s-1; the same in every layer of a face.
        relative: rms of the change over rms of the column's mean wind.
        imbalance: rms over columns and intervals of what a column lacked before, relative to its air.
    """

    wind_rms: float = 0.0
    wind_max: float = 0.0
    relative: float = 0.0
    imbalance: float = 0.0

    def __str__(self) -> str:
        if self == Correction():
            return "none: the column is open at its top"
        return (
            f"wind changed by rms {self.wind_rms:.3g} m s-1 ({100 * self.relative:.2g} %), "
            f"at most {self.wind_max:.3g} m s-1; "
            f"columns lacked {self.imbalance:.2e} of their air per interval"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Balanced:
    """Interval-mean fluxes that agree with the air to rounding.

    Args:
        air: (nt+1, nz, ny, nx) dry air at the ends of the intervals, mol.
        flux_x: (nt, nz, ny, nx+1) mol s-1 through west faces.
        flux_y: (nt, nz, ny+1, nx) mol s-1 through south faces.
        flux_z: (nt, nz+1, ny, nx) mol s-1 upwards through the faces below; 0 at the ground and at a closed top.
        interval: s.
        open_top: True where air passes the top face: layers were cut, or the source was open there.
        correction: how much the horizontal flow was changed.
    """

    air: np.ndarray
    flux_x: np.ndarray
    flux_y: np.ndarray
    flux_z: np.ndarray
    interval: float
    open_top: bool
    correction: Correction

    def continuity_residual(self) -> float:
        """Largest |Δx F_x + Δy F_y + Δz F_z + (air(t+Δt) − air(t)) / Δt| · Δt relative to the air of the cell."""
        worst = 0.0
        for t in range(len(self.flux_x)):
            tendency = (self.air[t + 1] - self.air[t]) / self.interval
            divergence = np.diff(self.flux_x[t]) + np.diff(self.flux_y[t], axis=1) + np.diff(self.flux_z[t], axis=0)
            residual = np.abs(divergence + tendency) * self.interval / self.air[t : t + 2].min(axis=0)
            worst = max(worst, float(residual.max()))
        return worst

    def __repr__(self) -> str:
        nt, nz, ny, nx = *self.flux_x.shape[:2], *self.air.shape[2:]
        top = "open" if self.open_top else "closed"
        return (
            f"Balanced({nt} intervals of {self.interval:g} s, {nz} × {ny} × {nx} cells, top {top}; {self.correction})"
        )


def balance(weather: Weather, layers: int | None = None, averaged: bool = False) -> Balanced:
    """Fluxes of each interval that agree with the air at its two ends.

    The flux of an interval is the mean of those at its ends, corrected so that whole columns close and completed by the
    vertical flux (see the head of this file). Columns are balanced whole before upper layers are cut off. A source that
    is open at its top puts no condition on its columns; its horizontal fluxes stay as they are.

    Args:
        weather: nt+1 states.
        layers: how many of the lowest layers to keep; None: all.
        averaged: True if flux_x[i+1], flux_y[i+1] of the weather are already means over the interval from i to i+1.

    Returns:
        `Balanced`, in double precision.

    Raises:
        TanhengError: a cell has no air, `layers` is out of range, or the columns do not close.
    """
    nt, (nz, ny, nx) = len(weather.times) - 1, weather.air.shape[1:]
    keep = _layers_to_keep(layers, nz)
    if not weather.air.min() > 0.0:
        raise TanhengError("cells without air", got=f"{weather.air.min():.4g} mol", expected="> 0 in every cell")
    columns = None if weather.open_top else _Columns(weather)
    air = weather.air[:, :keep].astype(float)
    flux_x, flux_y = np.empty((nt, keep, ny, nx + 1)), np.empty((nt, keep, ny + 1, nx))
    flux_z = np.empty((nt, keep + 1, ny, nx))
    for t in range(nt):
        x, y = (
            f[t + 1].astype(float) if averaged else 0.5 * (f[t].astype(float) + f[t + 1])
            for f in (weather.flux_x, weather.flux_y)
        )
        tendency = (weather.air[t + 1].astype(float) - weather.air[t]) / weather.interval
        if columns is not None:
            columns.close(x, y, tendency)
        z = _vertical(x, y, tendency)
        if columns is not None:
            _seal_top(z, weather.air[t], x, y)
        flux_x[t], flux_y[t], flux_z[t] = x[:keep], y[:keep], z[: keep + 1]
    correction = Correction() if columns is None else columns.correction()
    return Balanced(air, flux_x, flux_y, flux_z, weather.interval, weather.open_top or keep < nz, correction)


def _layers_to_keep(layers: int | None, nz: int) -> int:
    if layers is None:
        return nz
    if not 1 <= layers <= nz:
        raise TanhengError(
            "number of layers out of range", got=layers, expected=f"1 … {nz}", remedy="keep fewer layers, or all"
        )
    return int(layers)


def _vertical(x: np.ndarray, y: np.ndarray, tendency: np.ndarray) -> np.ndarray:
    """F_z[k+1] = F_z[k] − (Δx F_x + Δy F_y)_k − tendency_k, F_z[0] = 0: (nz+1, ny, nx) mol s-1."""
    z = np.zeros((len(tendency) + 1, *tendency.shape[1:]))
    np.cumsum(np.diff(x) + np.diff(y, axis=1) + tendency, axis=0, out=z[1:])
    return np.negative(z, out=z)


def _seal_top(z: np.ndarray, air: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Set the top face to 0, sharing the rounding that it held among the layers in proportion to their air."""
    leak = z[-1].copy()
    exchanged = max(float(np.abs(x).sum(axis=0).max()), float(np.abs(y).sum(axis=0).max()))
    if not np.abs(leak).max() <= CLOSURE * exchanged:
        raise TanhengError(
            "the corrected columns do not close",
            got=f"{np.abs(leak).max() / exchanged:.2e} of the largest flow through a side of a column",
            expected=f"≤ {CLOSURE:g}",
            remedy="look for cells of extreme size or air content in the meteorology",
        )
    share = np.cumsum(air, axis=0, dtype=float)
    z[1:] -= leak * (share / share[-1])
    z[-1] = 0.0


class _Columns:
    """The Poisson problem of the columns, factorised once for all intervals, and the record of its corrections."""

    def __init__(self, weather: Weather):
        grid = weather.grid
        per_area = np.mean(weather.air, axis=0, dtype=float) / grid.areas
        # Weights are means over the window, so that one factorisation serves all intervals.
        layer_x, layer_y = _at_x_faces(per_area), _at_y_faces(per_area)
        (length_x, self.distance_x), (length_y, self.distance_y) = _faces(grid)
        self.weight_x = layer_x.sum(axis=0) * length_x / self.distance_x
        self.weight_y = layer_y.sum(axis=0) * length_y / self.distance_y
        self.share_x, self.share_y = layer_x / layer_x.sum(axis=0), layer_y / layer_y.sum(axis=0)
        self.air_x, self.air_y = layer_x.sum(axis=0) * length_x, layer_y.sum(axis=0) * length_y  # mol per m of flow
        self.content = np.mean(weather.air, axis=0, dtype=float).sum(axis=0)
        self.interval = weather.interval
        self.factor = _factorise(self.weight_x, self.weight_y)
        self.squares: list[list[float]] = []  # change of wind, wind, imbalance
        self.wind_max = 0.0

    def close(self, x: np.ndarray, y: np.ndarray, tendency: np.ndarray) -> None:
        """Correct the fluxes x (nz, ny, nx+1) and y (nz, ny+1, nx) of an interval in place."""
        wind = np.concatenate([_ratio(x.sum(axis=0), self.air_x), _ratio(y.sum(axis=0), self.air_y)])
        lack = self._lack(x, y, tendency)
        potential = self._solve(lack)
        self._add(potential, x, y)
        # The second pass takes away what rounding left of the first; it is some 1e-16 of the flow.
        again = self._solve(self._lack(x, y, tendency))
        self._add(again, x, y)
        step_x, step_y = self._steps(potential + again)
        change = np.concatenate([(step_x / self.distance_x).ravel(), (step_y / self.distance_y).ravel()])
        self.wind_max = max(self.wind_max, float(np.abs(change).max()))
        imbalance = lack * self.interval / self.content
        self.squares.append([float(np.mean(v**2)) for v in (change, wind, imbalance)])

    def correction(self) -> Correction:
        """What was done in all intervals."""
        change, wind, imbalance = np.sqrt(np.mean(self.squares, axis=0))
        return Correction(float(change), self.wind_max, float(change / wind) if wind > 0 else 0.0, float(imbalance))

    @staticmethod
    def _lack(x: np.ndarray, y: np.ndarray, tendency: np.ndarray) -> np.ndarray:
        """r = Σ_k (Δx F_x + Δy F_y + tendency)_k, mol s-1 that a column gains and does not hold, or the reverse."""
        return np.sum(np.diff(x) + np.diff(y, axis=1) + tendency, axis=0)

    def _solve(self, lack: np.ndarray) -> np.ndarray:
        return self.factor.solve(lack.ravel()).reshape(lack.shape)

    @staticmethod
    def _steps(potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Δφ across the west and south faces, with φ = 0 outside."""
        padded = np.pad(potential, 1)
        return np.diff(padded[1:-1], axis=1), np.diff(padded[:, 1:-1], axis=0)

    def _add(self, potential: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        step_x, step_y = self._steps(potential)
        x += self.share_x * (self.weight_x * step_x)
        y += self.share_y * (self.weight_y * step_y)


def _factorise(weight_x: np.ndarray, weight_y: np.ndarray):
    """L φ = Σ_faces w (φ_cell − φ_neighbour) with φ = 0 outside: symmetric, positive definite, five diagonals."""
    cells = np.arange(len(weight_x) * weight_y.shape[1]).reshape(len(weight_x), -1)
    centre = weight_x[:, 1:] + weight_x[:, :-1] + weight_y[1:] + weight_y[:-1]
    west_east = (cells[:, :-1].ravel(), cells[:, 1:].ravel(), -weight_x[:, 1:-1].ravel())
    south_north = (cells[:-1].ravel(), cells[1:].ravel(), -weight_y[1:-1].ravel())
    low, high, link = (np.concatenate(pair) for pair in zip(west_east, south_north, strict=True))
    rows, columns = np.concatenate([cells.ravel(), low, high]), np.concatenate([cells.ravel(), high, low])
    matrix = scipy.sparse.coo_array((np.concatenate([centre.ravel(), link, link]), (rows, columns)))
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})


def _ratio(flow: np.ndarray, air: np.ndarray) -> np.ndarray:
    """Mean wind of the column at each face, m s-1; 0 at a face without length (a pole)."""
    return np.divide(flow, air, out=np.zeros_like(flow), where=air > 0).ravel()


def _at_x_faces(cells: np.ndarray) -> np.ndarray:
    """Means of the two cells at each west face (…, ny, nx+1); at the rim the cell inside."""
    padded = np.concatenate([cells[..., :1], cells, cells[..., -1:]], axis=-1)
    return 0.5 * (padded[..., 1:] + padded[..., :-1])


def _at_y_faces(cells: np.ndarray) -> np.ndarray:
    """Means of the two cells at each south face (…, ny+1, nx); at the rim the cell inside."""
    return np.swapaxes(_at_x_faces(np.swapaxes(cells, -1, -2)), -1, -2)


def _faces(grid: Grid) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(length, distance between the centres on either side) in m of the west faces and of the south faces."""
    dx, dy = np.diff(grid.x_edges)[None, :], np.diff(grid.y_edges)[:, None]
    if grid.is_geographic:
        metre = EARTH_RADIUS * np.deg2rad(1.0)
        centre, edge = (np.maximum(np.cos(np.deg2rad(phi)), 0.0)[:, None] for phi in (grid.y, grid.y_edges))
        ones = np.ones_like(dx)
        return (
            (metre * dy * np.ones_like(_at_x_faces(dx)), metre * centre * _at_x_faces(dx)),
            (metre * edge * dx, metre * _at_y_faces(dy) * ones),
        )
    scale = np.sqrt(grid.areas / (dx * dy))  # true metres per unit of the axes
    scale_x, scale_y = _at_x_faces(scale), _at_y_faces(scale)
    return (dy * scale_x, _at_x_faces(dx) * scale_x), (dx * scale_y, _at_y_faces(dy) * scale_y)

"""Reader of WRF-ARW history files: dry air and its flow on the model's own staggered grid, nothing interpolated.

Model cells are the mass cells of WRF. U lies on west faces, V on south faces; both keep the direction of the grid.
The dry mass between two of its surfaces of constant η, per area, and the flow through a face of length L follow from
the mass coordinate (Skamarock et al. 2019, doi 10.5065/1dfh-6p97, chapters 2 and 3):

    m_k = −(C1H_k (MU + MUB) + C2H_k) DNW_k / g,    F = u · ½ (m_west + m_east) · L,    L = Δy / MAPFAC_UY
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from transport.constants import (
    MOLAR_MASS_DRY_AIR,
    WRF_GAS_CONSTANT_DRY_AIR,
    WRF_GAS_CONSTANT_VAPOUR,
    WRF_GRAVITY,
    WRF_KAPPA,
    WRF_REFERENCE_PRESSURE,
    WRF_REFERENCE_TEMPERATURE,
)
from transport.errors import TanhengError
from transport.grid import Grid
from transport.readers.wrf_files import State, open_file, states_of, window, wrf_grid
from transport.weather import Surface, Weather

_SURFACE = {
    "mixing_height": "PBLH",
    "friction_velocity": "UST",
    "sensible_heat": "HFX",
    "temperature": "T2",
    "pressure": "PSFC",
}
_PROJECTIONS = {1: "Lambert conformal", 2: "polar stereographic", 3: "Mercator", 6: "lat-lon"}


def read_wrf(
    path_or_paths: str | Path | Sequence[str | Path],
    start: str | np.datetime64 | None = None,
    end: str | np.datetime64 | None = None,
    rim: int = 1,
) -> Weather:
    """Weather of one WRF-ARW domain on its native C grid, all layers.

    The outermost cells of a limited domain are specified, not predicted: their air and their winds come from outside
    and do not agree (in the real cases of the tests columns lack 4 % of their air per hour there, 0.005 % elsewhere).
    They are left out.

    Dry air comes from MU, MUB, C1H, C2H (hybrid coordinate) or MU, MUB (terrain-following σ); where they are missing,
    from dry density times the thickness of the layer. The notes of the result say which.

    Args:
        path_or_paths: one history file or several of the same domain, NetCDF-4 or NetCDF-3, in any order.
        start, end: first and last output time, both included, UTC; None: all that the files hold.
        rim: cells to leave out on each side; 0 for a domain with periodic or closed sides.

    Returns:
        `Weather` in float32, the precision of the files; the column is closed at the model's top.

    Raises:
        TanhengError: a file is missing or damaged; a field is missing, in another unit, on other points or not finite;
            the times have gaps; the coordinates contradict the map projection; layers have no mass or thickness.

    Reference: Skamarock et al. 2019, doi 10.5065/1dfh-6p97, chapters 2 and 3.
    """
    paths = [path_or_paths] if isinstance(path_or_paths, str | Path) else list(path_or_paths)
    with contextlib.ExitStack() as stack:
        states: list[State] = []
        for path in map(Path, paths):
            states += states_of(path, stack.enter_context(open_file(path)))
        if not states:
            raise TanhengError("no WRF output to read", got=f"{len(paths)} files", expected="at least two output times")
        return _assemble(window(states, start, end), rim)


def _assemble(states: list[State], rim: int) -> Weather:
    first = states[0]
    grid = _inside(wrf_grid(first), rim)
    for other in states[1:]:
        _require_same_domain(first, other)
    fields: dict[str, np.ndarray] = {}
    for i, state in enumerate(states):
        for name, values in _fields(state).items():
            # The same slice serves cells and faces: rows and columns are the last two axes of all.
            values = values[..., rim : values.shape[-2] - rim, rim : values.shape[-1] - rim]
            if i == 0:
                fields[name] = np.empty((len(states), *values.shape), np.float32)
            fields[name][i] = values
    title = " ".join(str(first.dataset.attrs.get("TITLE", "WRF")).split()).removeprefix("OUTPUT FROM ")
    files = len({s.path for s in states})
    kind = _PROJECTIONS[int(first.attribute("MAP_PROJ"))]
    return Weather(
        grid=grid,
        times=np.array([s.time for s in states]),
        air=fields["air"],
        flux_x=fields["flux_x"],
        flux_y=fields["flux_y"],
        pressure_edges=fields["pressure_edges"],
        height_edges=fields["height_edges"],
        temperature=fields["air_temperature"],
        surface=Surface(**{name: fields[name] for name in _SURFACE}),
        source=f"{title}, {first.path.name}" + (f" and {files - 1} more" if files > 1 else ""),
        notes=(
            f"Cells and faces are those of the model ({kind}); winds stay along the axes of the grid.",
            f"{rim} cells on each side are left out, where the model takes its boundary values.",
            f"Dry air per area comes from {_mass_source(first)}.",
            "Cell areas and face lengths are DX·DY and DX, DY over the model's map factors, on its sphere of 6370 km.",
            "Pressure at layer edges holds dry air and water vapour, not cloud and rain water.",
        ),
    )


def _inside(grid: Grid, rim: int) -> Grid:
    """The grid without `rim` cells on each side."""
    if not 0 <= rim < 0.5 * min(grid.shape):
        raise TanhengError(
            "the rim leaves no cells",
            got=f"rim {rim} of {grid.shape[0]} × {grid.shape[1]} cells",
            expected=f"0 … {(min(grid.shape) - 1) // 2}",
            remedy="leave out fewer cells on each side",
        )
    x, y = grid.x_edges, grid.y_edges
    return Grid(x[rim : x.size - rim], y[rim : y.size - rim], grid.crs)


def _require_same_domain(first: State, other: State) -> None:
    """Every state lies on the same cells: a nest that moves, or a second domain among the files, does not."""
    if other.path == first.path and "Time" not in other.dataset["XLONG"].dims:
        return
    shapes = [s.dataset["T"].shape[1:] if s.has("T") else None for s in (first, other)]
    distance = (
        max(float(np.abs(other.field(n) - first.field(n)).max()) for n in ("XLONG", "XLAT"))
        if shapes[0] == shapes[1]
        else np.inf
    )
    if not distance <= 1e-4:
        raise TanhengError(
            f"{other.path.name} at {other.time} lies on other cells than {first.path.name} at {first.time}",
            got=f"layers, rows, columns {shapes[1]}; centres {distance:.3g} degrees apart",
            expected=f"{shapes[0]}, the same centres",
            remedy="give the files of one domain that does not move",
        )


def _fields(state: State) -> dict[str, np.ndarray]:
    """Everything of `Weather` at one time."""
    pressure = state.field("P") + state.field("PB")
    vapour = state.field("QVAPOR")
    theta = state.field("T") + WRF_REFERENCE_TEMPERATURE
    temperature = theta * (pressure / WRF_REFERENCE_PRESSURE) ** WRF_KAPPA
    geopotential = state.field("PH") + state.field("PHB")
    height = (geopotential - geopotential[0]) / WRF_GRAVITY
    if _has_mass(state):
        mass = dry_mass(state)
    else:
        option = int(np.ravel(state.dataset.attrs.get("HYPSOMETRIC_OPT", 2))[0])
        mass = hydrostatic_dry_mass(pressure, temperature, vapour, geopotential, option)
    edges = _pressure_edges(state, mass * (1.0 + vapour) * WRF_GRAVITY, pressure)
    for name, increments in (("mass", mass), ("thickness", np.diff(height, axis=0)), ("air temperature", temperature)):
        if not increments.min() > 0.0:
            raise TanhengError(
                f"{state.path.name} has layers without {name} at {state.time}",
                got=f"smallest value {increments.min():.4g}",
                expected="> 0 in every cell",
                remedy="compare the file with its source; layers must be counted from the ground up",
            )
    dx, dy = state.attribute("DX"), state.attribute("DY")
    area = dx * dy / (state.field("MAPFAC_MX", "MAPFAC_M") * state.field("MAPFAC_MY", "MAPFAC_M"))
    flow_x = state.field("U") * _to_faces(mass, 2) * dy / state.field("MAPFAC_UY", "MAPFAC_U")
    flow_y = state.field("V") * _to_faces(mass, 1) * dx / state.field("MAPFAC_VX", "MAPFAC_V")
    return {
        "air": mass * area / MOLAR_MASS_DRY_AIR,
        "flux_x": flow_x / MOLAR_MASS_DRY_AIR,
        "flux_y": flow_y / MOLAR_MASS_DRY_AIR,
        "pressure_edges": edges,
        "height_edges": height,
        "air_temperature": temperature,
        **{name: state.field(source) for name, source in _SURFACE.items()},
    }


def _has_mass(state: State) -> bool:
    """True where the file holds its dry mass: without C1H it does so only if the coordinate is not hybrid."""
    hybrid = int(np.ravel(state.dataset.attrs.get("HYBRID_OPT", 0))[0]) != 0
    column = state.has("MU", "MUB") and (state.has("DNW") or state.has("ZNW"))
    return column and (state.has("C1H", "C2H") or not hybrid)


def _mass_source(state: State) -> str:
    if not _has_mass(state):
        return "dry density (P, PB, T, QVAPOR) times thickness (PH, PHB), for the file lacks its dry mass"
    return "MU, MUB, C1H, C2H" if state.has("C1H", "C2H") else "MU and MUB of the σ coordinate"


def dry_mass(state: State) -> np.ndarray:
    """Dry mass per area of each layer from the model's mass coordinate.

    m_k = −(C1H_k (MU + MUB) + C2H_k) DNW_k / g

    Args:
        state: one output time with MU, MUB, DNW or ZNW, and for the hybrid coordinate C1H and C2H.

    Returns:
        (nz, ny, nx) kg m-2.

    Reference: Skamarock et al. 2019, doi 10.5065/1dfh-6p97, chapter 2; g is the model's own 9.81 m s-2.
    """
    column = state.field("MU") + state.field("MUB")
    thickness = state.field("DNW") if state.has("DNW") else np.diff(state.field("ZNW"))
    scale, offset = (state.field("C1H"), state.field("C2H")) if state.has("C1H", "C2H") else (1.0, 0.0)
    slope, constant = (np.broadcast_to(c, thickness.shape) * -thickness / WRF_GRAVITY for c in (scale, offset))
    return slope[:, None, None] * column + constant[:, None, None]


def hydrostatic_dry_mass(
    pressure: np.ndarray, temperature: np.ndarray, vapour: np.ndarray, geopotential: np.ndarray, option: int = 2
) -> np.ndarray:
    """Dry mass per area of each layer from its density and thickness.

    m_k = ρ_d Δφ / g · tanh(χ/2) / (χ/2),  ρ_d = p / (R_d T (1 + q R_v / R_d)),  χ = ρ_d (1 + q) Δφ / p

    χ is the step of ln p across the layer; the factor turns density at the mean pressure into that of the layer, as
    the model's geopotential does with HYPSOMETRIC_OPT 2 (its default). With option 1 the factor is 1.

    Args:
        pressure: (nz, ny, nx) moist, Pa.
        temperature: (nz, ny, nx) K.
        vapour: (nz, ny, nx) q, kg/kg of dry air.
        geopotential: (nz+1, ny, nx) φ at the edges, m2 s-2.
        option: HYPSOMETRIC_OPT of the run, 1 or 2.

    Returns:
        (nz, ny, nx) kg m-2.

    Reference: Skamarock et al. 2019, doi 10.5065/1dfh-6p97, chapter 2; WRF dyn_em/module_big_step_utilities_em.F.
    """
    moist = 1.0 + vapour * (WRF_GAS_CONSTANT_VAPOUR / WRF_GAS_CONSTANT_DRY_AIR)
    density = pressure / (WRF_GAS_CONSTANT_DRY_AIR * temperature * moist)
    step = np.diff(geopotential, axis=0)
    chi = density * (1.0 + vapour) * step / pressure
    shape = np.tanh(0.5 * chi) / (0.5 * chi) if option == 2 else 1.0
    return density * step * shape / WRF_GRAVITY


def _pressure_edges(state: State, weight: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Weight of the moist air above each edge plus the pressure at the top, Pa; weight (nz, ny, nx) in Pa per layer."""
    # Without P_TOP the top lies half a layer's weight above the middle of the last layer.
    top = state.field("P_TOP") if state.has("P_TOP") else pressure[-1] - 0.5 * weight[-1]
    above = np.cumsum(weight[::-1], axis=0)[::-1]
    return np.concatenate([above, np.zeros_like(above[:1])]) + top


def _to_faces(cells: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the two cells at each face; at the rim the cell inside, as WRF takes it (calc_mu_uv)."""
    rim = [(0, 0)] * cells.ndim
    rim[axis] = (1, 1)
    padded = np.moveaxis(np.pad(cells, rim, mode="edge"), axis, 0)
    return np.moveaxis(0.5 * (padded[1:] + padded[:-1]), 0, axis)

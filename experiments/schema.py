"""Typed configuration: every group option is one of these nodes, so that a typo fails before anything runs.

The values of a case live in `configs/`; here are the names, the types and the limits.
"""

import dataclasses
import enum
import math
from collections.abc import Collection
from dataclasses import dataclass, field

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from transport.errors import TanhengError


def _require(condition: bool, name: str, got, expected: str, remedy: str = "") -> None:
    if not condition:
        raise TanhengError(f"{name} is out of range", got=got, expected=expected, remedy=remedy or f"set {name} anew")


def _unique(what: str, names: list[str]) -> None:
    twice = sorted({n for n in names if names.count(n) > 1 or not n.strip()})
    _require(not twice, f"a name in {what}", twice, "distinct, non-empty names", "give each its own name")


def _positive(node, group: str, *names: str) -> None:
    for name in names:
        _require(getattr(node, name) > 0, f"{group}.{name}", getattr(node, name), "> 0")


# --- task -------------------------------------------------------------------------------------------------------------
@dataclass
class Task:
    """What to do with the case."""


@dataclass
class Invert(Task):
    """Estimate emissions and write every product."""


@dataclass
class Check(Task):
    """Print the numerical evidence for the case's operators; write `check.json`."""

    pairs: int = 3

    def __post_init__(self):
        _require(1 <= self.pairs <= 1000, "task.pairs", self.pairs, "1…1000")


# --- case -------------------------------------------------------------------------------------------------------------
@dataclass
class Case:
    """Where and when."""


@dataclass
class CityCase(Case):
    """A generated basin city on a projected grid."""

    cells: int = 32
    spacing_km: float = 3.0
    longitude: float = 111.7
    latitude: float = 40.8
    start: str = "2025-04-06T16:00"
    level_edges_m: list[float] = field(default_factory=list)

    def __post_init__(self):
        _require(8 <= self.cells <= 1000, "case.cells", self.cells, "8…1000")
        _require(0.1 <= self.spacing_km <= 100, "case.spacing_km", self.spacing_km, "0.1…100 km")
        _require(abs(self.longitude) <= 360, "case.longitude", self.longitude, "−360…360°")
        _require(abs(self.latitude) <= 85, "case.latitude", self.latitude, "−85…85°")


@dataclass
class NewZealandCase(Case):
    """Steinkamp et al. 2017: 25 regions, 144 weeks."""


@dataclass
class UnitedKingdomCase(Case):
    """ACRG test case: CH4, March 2014, 68 × 78 cells."""


# --- meteorology ------------------------------------------------------------------------------------------------------
@dataclass
class Meteorology:
    """Weather."""


@dataclass
class NoMeteorology(Meteorology):
    """The responses were computed elsewhere; no weather is read."""


@dataclass
class BasinMeteorology(Meteorology):
    """Generated weather of a basin (transport.readers.synthetic.Basin)."""

    hours: int = 120
    wind_speed: float = 5.0
    turning_hours: float = 67.0
    breeze: float = 0.6
    mixing_height_night: float = 150.0
    mixing_height_day: float = 1500.0
    utc_offset: float = 8.0

    def __post_init__(self):
        _positive(self, "meteorology", "hours", "turning_hours", "mixing_height_night", "mixing_height_day")
        _require(0 <= self.wind_speed <= 100, "meteorology.wind_speed", self.wind_speed, "0…100 m/s")
        _require(0 <= self.breeze <= 50, "meteorology.breeze", self.breeze, "0…50 m/s")
        _require(abs(self.utc_offset) <= 14, "meteorology.utc_offset", self.utc_offset, "−14…14 h")
        heights = (self.mixing_height_night, self.mixing_height_day)
        _require(heights[0] <= heights[1], "meteorology.mixing_height_night…mixing_height_day", heights, "night ≤ day")


# --- transport --------------------------------------------------------------------------------------------------------
@dataclass
class Transport:
    """T."""


@dataclass
class EulerianTransport(Transport):
    """Our limited-area operator: third-order linear advection, implicit vertical mixing."""

    max_courant: float = 0.8


class Pattern(enum.Enum):
    """Distribution of a region's flux within the region when its response was computed."""

    flat = "flatPatt"
    monthly = "priorPatt"
    weekly = "priorPatt_wi"


@dataclass
class RegionResponses(Transport):
    """NAME responses of whole regions, read from the case's files."""

    pattern: Pattern = Pattern.weekly


@dataclass
class GriddedSensitivities(Transport):
    """NAME sensitivities per grid cell, read from the case's files."""


# --- observations -----------------------------------------------------------------------------------------------------
@dataclass
class Observations:
    """What was measured."""


@dataclass
class Tower:
    """A tower: position relative to the city centre."""

    name: str = MISSING
    east_km: float = MISSING
    north_km: float = MISSING
    inlet_m: float = MISSING


@dataclass
class Overpass:
    """A swath of column soundings: day of the window, local hour, direction of flight, width."""

    name: str = MISSING
    day: int = MISSING
    local_hour: int = 13
    heading_deg: float = 0.0
    offset_km: float = 0.0
    width_km: float = 24.0
    spacing_km: float = 6.0

    def __post_init__(self):
        _require(0 <= self.local_hour <= 23, f"local_hour of overpass {self.name}", self.local_hour, "0…23")
        _require(self.spacing_km >= 0.5, f"spacing_km of overpass {self.name}", self.spacing_km, "≥ 0.5 km")
        _require(0 < self.width_km <= 1e4, f"width_km of overpass {self.name}", self.width_km, "0…10 000 km")


@dataclass
class CityObservations(Observations):
    """Towers by day and column swaths; errors are one standard deviation."""

    towers: list[Tower] = field(default_factory=list)
    overpasses: list[Overpass] = field(default_factory=list)
    first_local_hour: int = 10
    last_local_hour: int = 17
    tower_instrument_ppm: float = 0.1
    tower_transport_ppm: float = 1.5
    column_noise_ppm: float = 0.6

    def __post_init__(self):
        for name in ("tower_instrument_ppm", "tower_transport_ppm", "column_noise_ppm"):
            _require(getattr(self, name) >= 0, f"observations.{name}", getattr(self, name), "≥ 0")
        first, last = window = (self.first_local_hour, self.last_local_hour)
        _require(
            0 <= first <= last <= 23, "observations.first_local_hour…last_local_hour", window, "0 ≤ first ≤ last ≤ 23"
        )
        _unique("observations.towers and overpasses", [o.name for o in (*self.towers, *self.overpasses)])


@dataclass
class NewZealandObservations(Observations):
    """Hourly CO2: which local hours and sites, and the authors' error model.

    Inside daylight saving the record's NZST hour is `hour + daylight_shift`: the reference takes +1, clock time
    would be −1.
    """

    hours: list[int] = field(default_factory=lambda: [13, 15])
    sites: list[str] = field(default_factory=lambda: ["BHD", "LAU"])
    floor_ppm: float = 0.4
    scale: float = 2.9
    missing_ppm: float = 10.0
    daylight_shift: int = 1

    def __post_init__(self):
        _positive(self, "observations", "floor_ppm", "scale", "missing_ppm")
        _require(abs(self.daylight_shift) <= 1, "observations.daylight_shift", self.daylight_shift, "−1, 0 or 1 h")


@dataclass
class UnitedKingdomObservations(Observations):
    """Daily mean CH4 at the named sites; mismatch = measurement ⊕ model error."""

    sites: list[str] = field(default_factory=lambda: ["MHD", "TAC"])
    model_error_ppb: float = 15.0

    def __post_init__(self):
        _require(self.model_error_ppb >= 0, "observations.model_error_ppb", self.model_error_ppb, "≥ 0")


# --- prior ------------------------------------------------------------------------------------------------------------
@dataclass
class Prior:
    """Fluxes before the observations."""


@dataclass
class PointSource:
    """A stack: position relative to the city centre, emission, effective height."""

    name: str = MISSING
    east_km: float = MISSING
    north_km: float = MISSING
    mt_per_year: float = MISSING
    height_m: float = MISSING

    def __post_init__(self):
        _require(self.mt_per_year > 0, f"mt_per_year of {self.name}", self.mt_per_year, "> 0 Mt/yr")


@dataclass
class CityPrior(Prior):
    """A generated inventory: urban area, point sources, biosphere, background."""

    urban_mt_per_year: float = 20.0
    urban_radius_km: float = 12.0
    rural_mt_per_year: float = 3.0
    points: list[PointSource] = field(default_factory=list)
    respiration: float = 2.0
    uptake: float = 12.0
    background_ppm: float = 425.0

    def __post_init__(self):
        _positive(self, "prior", "urban_mt_per_year", "rural_mt_per_year")
        _require(0 < self.urban_radius_km <= 1e3, "prior.urban_radius_km", self.urban_radius_km, "0…1000 km")
        _require(0 < self.background_ppm <= 1e4, "prior.background_ppm", self.background_ppm, "0…10 000 ppm")
        for name in ("respiration", "uptake"):
            _require(getattr(self, name) >= 0, f"prior.{name}", getattr(self, name), "≥ 0 µmol m-2 s-1")
        _unique("prior.points", [p.name for p in self.points])


class Ocean(enum.Enum):
    """Ocean prior of the New Zealand case."""

    takahashi = "_Tak"
    pisces = ""


@dataclass
class NewZealandPrior(Prior):
    """Biome-BGC land and the named ocean, weekly."""

    ocean: Ocean = Ocean.takahashi


@dataclass
class UnitedKingdomPrior(Prior):
    """NAEI, EDGAR and wetlands, as gridded by the authors."""


# --- control ----------------------------------------------------------------------------------------------------------
@dataclass
class Control:
    """The unknowns."""


@dataclass
class CityControl(Control):
    """Scaling of area emissions per cell, of stacks, of the biosphere per day; background and column bias."""

    sigma_area: float = 0.4
    sigma_points: float = 0.3
    sigma_biosphere: float = 0.4
    sigma_background_ppm: float = 0.5
    sigma_overpass_ppm: float = 0.3

    def __post_init__(self):
        _positive(self, "control", *(f.name for f in dataclasses.fields(self)))


@dataclass
class RegionWeeks(Control):
    """Flux of each region and week; week-to-week smoothness and yearly ocean totals as pseudo-observations."""

    smoothness_kg_m2_yr: float = 5.0
    australia_tg_yr: float = 1000.0
    ocean_total_relative: float = 10.0

    def __post_init__(self):
        _positive(self, "control", *(f.name for f in dataclasses.fields(self)))


@dataclass
class CellsAndBoundary(Control):
    """Scaling of the prior per cell and of the four boundary columns."""

    sigma_cell: float = 0.5
    sigma_boundary: float = 0.1

    def __post_init__(self):
        _positive(self, "control", *(f.name for f in dataclasses.fields(self)))


# --- covariance -------------------------------------------------------------------------------------------------------
@dataclass
class Covariance:
    """Correlation of the prior."""


@dataclass
class DiagonalCovariance(Covariance):
    """No correlation."""


@dataclass
class ExponentialCovariance(Covariance):
    """exp(−d/L) between cells."""

    length_km: float = 10.0

    def __post_init__(self):
        _positive(self, "covariance", "length_km")


# --- solver -----------------------------------------------------------------------------------------------------------
@dataclass
class Solver:
    """How the posterior is found."""


class Space(enum.Enum):
    """Where the analytic solver works."""

    auto = "auto"
    state = "state"
    observation = "observation"


@dataclass
class AnalyticSolver(Solver):
    """Exact Gaussian posterior by Cholesky."""

    space: Space = Space.auto


# --- products ---------------------------------------------------------------------------------------------------------
@dataclass
class Products:
    """What is written beside summary.json and manifest.json."""

    figures: bool = True
    netcdf: bool = True
    report: bool = True


@dataclass
class Config:
    """One run."""

    task: Task = MISSING
    case: Case = MISSING
    meteorology: Meteorology = MISSING
    transport: Transport = MISSING
    observations: Observations = MISSING
    prior: Prior = MISSING
    control: Control = MISSING
    covariance: Covariance = MISSING
    solver: Solver = MISSING
    products: Products = MISSING
    seed: int = 0

    def __post_init__(self):
        _require(0 <= self.seed < 2**32, "seed", self.seed, "0…4294967295")


# Which node stands behind which option of which group: configs/GROUP/NAME.yaml begins with /schema/GROUP/NAME.
NODES: dict[str, dict[str, type]] = {
    "task": {"invert": Invert, "check": Check},
    "case": {"city": CityCase, "nz_co2": NewZealandCase, "uk_ch4": UnitedKingdomCase},
    "meteorology": {"none": NoMeteorology, "basin": BasinMeteorology},
    "transport": {
        "eulerian": EulerianTransport,
        "region_responses": RegionResponses,
        "gridded_sensitivities": GriddedSensitivities,
    },
    "observations": {
        "city": CityObservations,
        "nz_co2": NewZealandObservations,
        "uk_ch4": UnitedKingdomObservations,
    },
    "prior": {"city": CityPrior, "nz_co2": NewZealandPrior, "uk_ch4": UnitedKingdomPrior},
    "control": {"city": CityControl, "region_weeks": RegionWeeks, "cells_and_boundary": CellsAndBoundary},
    "covariance": {"diagonal": DiagonalCovariance, "exponential": ExponentialCovariance},
    "solver": {"analytic": AnalyticSolver},
    "products": {"standard": Products},
}


def register() -> None:
    """Put the nodes into Hydra's store."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, nodes in NODES.items():
        for name, node in nodes.items():
            store.store(group=f"schema/{group}", name=name, node=node)


def typed(resolved: DictConfig) -> Config:
    """The configuration as typed objects.

    Raises:
        TanhengError: an option was added by force (`+name=value`) that no node declares, or a value is out of range.
    """
    _refuse_additions(resolved, "")
    _refuse_unbounded(resolved, "")
    config = OmegaConf.to_object(resolved)
    assert isinstance(config, Config)
    return config


def _refuse_unbounded(node: DictConfig | ListConfig, place: str) -> None:
    entries = node.items() if isinstance(node, DictConfig) else enumerate(node)
    for name, child in entries:
        label = f"{place}{name}"
        if isinstance(child, DictConfig | ListConfig):
            _refuse_unbounded(child, f"{label}.")
        elif isinstance(child, float):
            _require(math.isfinite(child), label, child, "a finite number")


def _refuse_additions(node: DictConfig, place: str) -> None:
    kind = OmegaConf.get_type(node)
    declared = [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    for name in map(str, node):
        if declared and name not in declared:
            from experiments.messages import unknown_option

            raise unknown_option(f"{place}{name}", declared)
        child = node[name]
        if isinstance(child, DictConfig):
            _refuse_additions(child, f"{place}{name}.")


def require_chosen(option: str, chosen: list, allowed: Collection) -> None:
    """Refuse a selection that is empty, repeats itself or names what is not there.

    Raises:
        TanhengError: names the option and what it may hold.
    """
    if not chosen or any(c not in allowed for c in chosen) or len(set(chosen)) != len(chosen):
        raise TanhengError(
            f"{option} cannot be used",
            got=list(chosen),
            expected=f"one or more of {', '.join(map(str, allowed))}, each once",
            remedy=f"e.g. {option}=[{next(iter(allowed))}]",
        )


def expect(node, kind: type, group: str, case: str):
    """The node, if it is of the kind that a case can use.

    Raises:
        TanhengError: another option was chosen for the group.
    """
    if not isinstance(node, kind):
        names = [n for n, k in NODES[group].items() if issubclass(k, kind)]
        got = [n for n, k in NODES[group].items() if type(node) is k]
        raise TanhengError(
            f"case {case} cannot use this {group}",
            got=f"{group}={got[0] if got else type(node).__name__}",
            expected=" or ".join(f"{group}={n}" for n in names),
            remedy=f"leave {group} as the experiment sets it",
        )
    return node

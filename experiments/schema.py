"""Typed configuration: every group option is one of these nodes, so that a typo fails before anything runs.

The values of a case live in `configs/`; here are the names, the types and the limits.
"""

import dataclasses
import enum
import itertools
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
class Simulate(Task):
    """Carry the prior forward: fields, budget, modelled soundings; nothing is estimated."""


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


class BowenDate(enum.Enum):
    """Days for which the data set holds weather, prior and soundings."""

    december = "2022-12-07"
    july = "2022-07-22"


@dataclass
class BowenBasinCase(Case):
    """Coal field of Queensland: one day of CH4 on the cells of a WRF run."""

    date: BowenDate = BowenDate.december
    utc_offset: float = 10.0

    def __post_init__(self):
        _require(abs(self.utc_offset) <= 14, "case.utc_offset", self.utc_offset, "−14…14 h")


@dataclass
class PlumeCase(Case):
    """A source of one's own in the weather that a file brings.

    The grid is that of the points of the analysis (`spacing_km=0`), or cells of `spacing_km` in `crs` (default: an
    equal-area projection centred on the source) within `extent_km`, west, east, south, north.
    """

    title: str = "Plume of a single source"
    species: str = "tracer"
    longitude: float = MISSING
    latitude: float = MISSING
    release_kg_s: float = 0.0
    molar_mass_g_mol: float = MISSING
    catalogue_ids: list[str] = field(default_factory=list)
    height_m: list[float] = field(default_factory=lambda: [0.0, 100.0])
    shares: list[float] = field(default_factory=list)
    start_hour: float = 0.0
    release_hours: float | None = None
    half_life_h: float | None = None
    deposition_cm_s: float | None = None
    inflow_ppb: float = 0.0
    utc_offset: float = 0.0
    spacing_km: float = 0.0
    crs: str = ""
    extent_km: list[float] = field(default_factory=list)

    def __post_init__(self):
        _require(abs(self.longitude) <= 360, "case.longitude", self.longitude, "−360…360°")
        _require(abs(self.latitude) <= 90, "case.latitude", self.latitude, "−90…90°")
        _positive(self, "case", "molar_mass_g_mol")
        for name in ("release_kg_s", "start_hour", "inflow_ppb", "spacing_km"):
            _require(getattr(self, name) >= 0, f"case.{name}", getattr(self, name), "≥ 0")
        for name in ("half_life_h", "release_hours"):
            value = getattr(self, name)
            _require(value is None or value > 0, f"case.{name}", value, "> 0 h, or null")
        loss = self.deposition_cm_s
        _require(loss is None or loss >= 0, "case.deposition_cm_s", loss, "≥ 0 cm/s, or null")
        _require(abs(self.utc_offset) <= 14, "case.utc_offset", self.utc_offset, "−14…14 h")
        heights = self.height_m
        rising = len(heights) >= 2 and heights[0] >= 0 and all(a < b for a, b in itertools.pairwise(heights))
        _require(rising, "case.height_m", heights, "at least two increasing heights above ground in m")
        if self.shares:
            fits = len(self.shares) == len(heights) - 1 and min(self.shares) >= 0 and sum(self.shares) > 0
            _require(fits, "case.shares", self.shares, f"{len(heights) - 1} shares ≥ 0, one per layer of case.height_m")
        if self.spacing_km:
            w_e_s_n = self.extent_km
            fits = len(w_e_s_n) == 4 and w_e_s_n[0] < w_e_s_n[1] and w_e_s_n[2] < w_e_s_n[3]
            _require(fits, "case.extent_km", w_e_s_n, "[west, east, south, north] in km, increasing")


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


@dataclass
class FileMeteorology(Meteorology):
    """Weather read from files: paths in the data folder (or absolute), window in UTC, lowest layers to keep."""

    files: list[str] = field(default_factory=list)
    start: str | None = None
    end: str | None = None
    layers: int | None = None

    def __post_init__(self):
        _require(self.layers is None or self.layers >= 2, "meteorology.layers", self.layers, "at least 2, or null")


@dataclass
class WrfMeteorology(FileMeteorology):
    """WRF-ARW history files on the model's own cells and layers."""

    rim: int = 1

    def __post_init__(self):
        super().__post_init__()
        _require(0 <= self.rim <= 100, "meteorology.rim", self.rim, "0…100 cells")


@dataclass
class AnalysisMeteorology(FileMeteorology):
    """Analyses at points, brought to layers: heights where `level_edges_m` is given, else merged ECMWF L137 layers.

    `levels` is how many layers there are up to `top_hpa`; mass is balanced over all of them, then the lowest `layers`
    are kept.
    """

    levels: int = 60
    top_hpa: float = 0.0
    level_edges_m: list[float] = field(default_factory=list)

    def __post_init__(self):
        super().__post_init__()
        _require(2 <= self.levels <= 137, "meteorology.levels", self.levels, "2…137")
        _require(0 <= self.top_hpa < 1000, "meteorology.top_hpa", self.top_hpa, "0…1000 hPa")


@dataclass
class EcmwfMeteorology(AnalysisMeteorology):
    """ECMWF operational analyses and forecasts on pressure levels."""


@dataclass
class Era5PressureMeteorology(AnalysisMeteorology):
    """ERA5 on pressure levels."""


@dataclass
class Era5ModelMeteorology(AnalysisMeteorology):
    """ERA5 on model levels."""


@dataclass
class Era5UtmMeteorology(AnalysisMeteorology):
    """ERA5 brought onto a projected grid."""


@dataclass
class ArlMeteorology(AnalysisMeteorology):
    """NOAA ARL packed files (GDAS, HRRR, WRF for HYSPLIT and STILT)."""


# --- transport --------------------------------------------------------------------------------------------------------
@dataclass
class Transport:
    """T."""


class Scheme(enum.Enum):
    """Horizontal and vertical advection; the last two follow the field and have no adjoint."""

    upwind = "upwind"
    third_order = "third_order"
    fifth_order = "fifth_order"
    seventh_order = "seventh_order"
    ppm = "ppm"
    van_leer = "van_leer"
    ppm_limited = "ppm_limited"


LIMITED = (Scheme.van_leer, Scheme.ppm_limited)


class MixingScheme(enum.Enum):
    """Vertical mixing from the state of the boundary layer."""

    k_profile = "k_profile"
    k_profile_counter_gradient = "k_profile_counter_gradient"
    acm2 = "acm2"


class Precision(enum.Enum):
    """Of the fields in the run."""

    single = "float32"
    double = "float64"


@dataclass
class EulerianTransport(Transport):
    """Our limited-area operator: split advection by the chosen scheme, implicit vertical mixing.

    `max_seconds: null` is five minutes in real weather, and a quarter of an hour in the generated city, where the truth
    is made with the same steps.
    """

    scheme: Scheme = Scheme.ppm
    max_courant: float = 0.9
    mixing: MixingScheme = MixingScheme.k_profile
    background_diffusivity: float = 0.1
    precision: Precision = Precision.double
    split: int = 1
    max_seconds: float | None = None

    def __post_init__(self):
        longest = self.max_seconds
        _require(longest is None or longest > 0, "transport.max_seconds", longest, "> 0 s, or null")
        _require(0 < self.max_courant <= 1, "transport.max_courant", self.max_courant, "0 < max_courant ≤ 1")
        background = self.background_diffusivity
        _require(0 <= background <= 100, "transport.background_diffusivity", background, "0…100 m2 s-1")
        _require(1 <= self.split <= 60, "transport.split", self.split, "1…60 parts per interval of the weather")


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


@dataclass
class NoObservations(Observations):
    """Nothing was measured."""


@dataclass
class BowenSoundings(Observations):
    """TROPOMI XCH4 of the day; `uncertainty_ppb` is not part of the data (the file holds a constant 20 ppb)."""

    qa_minimum: float = 0.5

    def __post_init__(self):
        _require(0 <= self.qa_minimum <= 1, "observations.qa_minimum", self.qa_minimum, "0…1")


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


@dataclass
class NoPrior(Prior):
    """The case says itself what is emitted."""


@dataclass
class BowenPrior(Prior):
    """Open Methane: twelve sectors, constant over the day, and air of one mole fraction that flows in.

    `inflow_ppb: null` takes the median of the soundings used.
    """

    inflow_ppb: float | None = None
    allow_not_credible: bool = False

    def __post_init__(self):
        value = self.inflow_ppb
        _require(value is None or 0 <= value <= 1e5, "prior.inflow_ppb", value, "0…100 000 ppb, or null")


# --- control ----------------------------------------------------------------------------------------------------------
@dataclass
class Control:
    """The unknowns."""


@dataclass
class NoControl(Control):
    """Nothing is estimated."""


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
class NoCovariance(Covariance):
    """Nothing is estimated."""


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


@dataclass
class NoSolver(Solver):
    """Nothing is estimated."""


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
    """What is written beside summary.json and manifest.json; the animation belongs to simulations."""

    figures: bool = True
    animation: bool = True
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
    "task": {"invert": Invert, "simulate": Simulate, "check": Check},
    "case": {
        "city": CityCase,
        "nz_co2": NewZealandCase,
        "uk_ch4": UnitedKingdomCase,
        "bowen_basin": BowenBasinCase,
        "plume": PlumeCase,
    },
    "meteorology": {
        "none": NoMeteorology,
        "basin": BasinMeteorology,
        "wrf": WrfMeteorology,
        "ecmwf": EcmwfMeteorology,
        "era5_pressure": Era5PressureMeteorology,
        "era5_model": Era5ModelMeteorology,
        "era5_utm": Era5UtmMeteorology,
        "arl": ArlMeteorology,
    },
    "transport": {
        "eulerian": EulerianTransport,
        "region_responses": RegionResponses,
        "gridded_sensitivities": GriddedSensitivities,
    },
    "observations": {
        "none": NoObservations,
        "city": CityObservations,
        "nz_co2": NewZealandObservations,
        "uk_ch4": UnitedKingdomObservations,
        "bowen_basin": BowenSoundings,
    },
    "prior": {
        "none": NoPrior,
        "city": CityPrior,
        "nz_co2": NewZealandPrior,
        "uk_ch4": UnitedKingdomPrior,
        "bowen_basin": BowenPrior,
    },
    "control": {
        "none": NoControl,
        "city": CityControl,
        "region_weeks": RegionWeeks,
        "cells_and_boundary": CellsAndBoundary,
    },
    "covariance": {"none": NoCovariance, "diagonal": DiagonalCovariance, "exponential": ExponentialCovariance},
    "solver": {"none": NoSolver, "analytic": AnalyticSolver},
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

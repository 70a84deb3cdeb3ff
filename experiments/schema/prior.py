"""Fluxes before the observations."""

import enum
from dataclasses import dataclass, field

from omegaconf import MISSING

from experiments.schema.limits import positive, require, unique


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
        require(self.mt_per_year > 0, f"mt_per_year of {self.name}", self.mt_per_year, "> 0 Mt/yr")


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
        positive(self, "prior", "urban_mt_per_year", "rural_mt_per_year")
        require(0 < self.urban_radius_km <= 1e3, "prior.urban_radius_km", self.urban_radius_km, "0…1000 km")
        require(0 < self.background_ppm <= 1e4, "prior.background_ppm", self.background_ppm, "0…10 000 ppm")
        for name in ("respiration", "uptake"):
            require(getattr(self, name) >= 0, f"prior.{name}", getattr(self, name), "≥ 0 µmol m-2 s-1")
        unique("prior.points", [p.name for p in self.points])


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
        require(value is None or 0 <= value <= 1e5, "prior.inflow_ppb", value, "0…100 000 ppb, or null")


@dataclass
class BerlinPrior(Prior):
    """One emission for all hours; `mt_per_year: null` takes the annual mean of the simulation's inventory."""

    mt_per_year: float | None = None
    relative: float = 0.4

    def __post_init__(self):
        value = self.mt_per_year
        require(value is None or value > 0, "prior.mt_per_year", value, "> 0 Mt/yr, or null")
        positive(self, "prior", "relative")


@dataclass
class InventoryFile:
    """A file and its reader; `sector` names the only sector of a file, `leave_out` those that are not wanted."""

    reader: str = MISSING
    file: str = ""
    sector: str = ""
    period: str | None = None
    leave_out: list[str] = field(default_factory=list)


@dataclass
class SectorProfile:
    """Weights of a sector: 12 months, 7 weekdays from Monday, 24 local hours; empty for constant."""

    sector: str = MISSING
    month: list[float] = field(default_factory=list)
    week: list[float] = field(default_factory=list)
    day: list[float] = field(default_factory=list)


@dataclass
class SectorError:
    """Relative standard deviation of a cell's factor, and its correlation length (0: independent cells)."""

    sector: str = MISSING
    relative: float = MISSING
    length_km: float = 0.0

    def __post_init__(self):
        require(self.relative > 0, f"relative error of {self.sector}", self.relative, "> 0")
        require(self.length_km >= 0, f"length_km of {self.sector}", self.length_km, "≥ 0")


@dataclass
class Plant:
    """A stack: place, height of its mouth, annual mean; captured mass is a plant of its own."""

    name: str = MISSING
    longitude: float = MISSING
    latitude: float = MISSING
    sector: str = "power plants"
    height_m: float = 150.0
    mt_per_year: float = MISSING
    captured: bool = False


@dataclass
class InventoryPrior(Prior):
    """Inventories, plants and vegetation on the cells of a region, with what is believed about their errors.

    The mass of plants is taken out of the sectors `plants_from`, in proportion, where an inventory holds it already.
    `vegetation` is land cover by class; its weather is generated and its parameters are made up: SYNTHETIC.
    `total_relative` is the published relative standard uncertainty of the region's emission (vegetation apart).
    """

    species: str = "CO2"
    inventories: list[InventoryFile] = field(default_factory=list)
    classification: str = ""
    plants: list[Plant] = field(default_factory=list)
    catalogue: str = ""
    plants_from: list[str] = field(default_factory=list)
    vegetation: dict[str, float] = field(default_factory=dict)
    profiles: list[SectorProfile] = field(default_factory=list)
    errors: list[SectorError] = field(default_factory=list)
    total_relative: float | None = None

    def __post_init__(self):
        require(bool(self.inventories), "prior.inventories", [], "at least one file")
        value = self.total_relative
        require(value is None or 0 < value < 10, "prior.total_relative", value, "0 < u/total < 10, or null")
        unique("prior.plants", [p.name for p in self.plants])
        unique("prior.errors", [e.sector for e in self.errors])

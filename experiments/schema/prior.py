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

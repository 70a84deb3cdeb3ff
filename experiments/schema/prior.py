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
    """A file and its reader (docs/priors.md lists them).

    `sector` names all that the file holds, or `groups` adds up some of its sectors under names of one's own;
    `leave_out` names sectors that are not wanted. `period` says how long the only time of an openghg file holds, and
    `description` names the YAML file that the reader `described` follows. `uncovered: zero` counts the parts of the
    region that the file does not cover as free of emissions; otherwise such a region is refused.
    """

    reader: str = MISSING
    file: str = ""
    sector: str = ""
    period: str | None = None
    description: str = ""
    leave_out: list[str] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    uncovered: str = "refuse"

    def __post_init__(self):
        name = "prior.inventories[]"
        require(self.uncovered in ("refuse", "zero"), f"{name}.uncovered", self.uncovered, "refuse or zero")
        require(self.period in (None, "hour", "month", "year"), f"{name}.period", self.period, "hour, month or year")
        require(not (self.sector and self.groups), f"{name}.sector and .groups", self.sector, "one of them")
        for option, reader in (("period", "openghg"), ("description", "described")):
            stray = bool(getattr(self, option)) and self.reader != reader
            require(not stray, f"{name}.{option}", self.reader, f"{option} with the reader {reader} only",
                    f"leave {option} out")  # fmt: skip
        lacks = self.reader == "described" and not self.description
        require(not lacks, f"{name}.description", "none", "the YAML file that describes the inventory")


@dataclass
class SectorProfile:
    """Weights of a sector: 12 months, 7 weekdays from Monday, 24 local hours; empty for constant."""

    sector: str = MISSING
    month: list[float] = field(default_factory=list)
    week: list[float] = field(default_factory=list)
    day: list[float] = field(default_factory=list)


@dataclass
class SectorHeating:
    """Degree days of a sector: a CSV of daily mean temperatures (columns date and celsius, local days).

    w = constant + (1 − constant) H / H̄,  H = max(base_celsius − T, 0)
    """

    sector: str = MISSING
    file: str = MISSING
    base_celsius: float = 15.0
    constant: float = 0.2

    def __post_init__(self):
        require(-20 <= self.base_celsius <= 30, "prior.heating[].base_celsius", self.base_celsius, "−20…30 °C")
        require(0 <= self.constant <= 1, "prior.heating[].constant", self.constant, "0…1")


@dataclass
class SectorError:
    """Relative standard deviation of a cell's factor, and its correlation length (0: independent cells)."""

    sector: str = MISSING
    relative: float = MISSING
    length_km: float = 0.0

    def __post_init__(self):
        require(0 < self.relative <= 2, f"prior.errors[].relative of {self.sector}", self.relative, "0 < relative ≤ 2",
                "write 30 % as 0.3")  # fmt: skip
        require(self.length_km >= 0, f"prior.errors[].length_km of {self.sector}", self.length_km, "≥ 0 km")


@dataclass
class Plant:
    """A stack: place, height of its mouth, annual mean; captured mass is a plant of its own, `captured: true`."""

    name: str = MISSING
    longitude: float = MISSING
    latitude: float = MISSING
    sector: str = "power plants"
    height_m: float = 150.0
    mt_per_year: float = MISSING
    captured: bool = False

    def __post_init__(self):
        mass = f"mt_per_year of {self.name}"
        require(0 < self.mt_per_year <= 1e3, mass, self.mt_per_year, "0 < mt_per_year ≤ 1000 Mt/yr",
                "write captured mass as a plant of its own with captured: true")  # fmt: skip
        require(-180 <= self.longitude <= 360, f"longitude of {self.name}", self.longitude, "−180…360°")
        require(-90 <= self.latitude <= 90, f"latitude of {self.name}", self.latitude, "−90…90°")
        require(0 <= self.height_m <= 500, f"height_m of {self.name}", self.height_m, "0…500 m above ground")


@dataclass
class InventoryPrior(Prior):
    """Inventories, plants and vegetation on the cells of a region, with what is believed about their errors.

    The mass of plants is taken out of the sectors `plants_from` where an inventory holds it already: first out of each
    plant's own cell, the rest in proportion. `vegetation` is land cover by class (null for none); its weather is
    generated and its parameters are made up: SYNTHETIC. `total_relative` is the published relative standard
    uncertainty of the region's emission (vegetation apart).
    """

    species: str = "CO2"
    inventories: list[InventoryFile] = field(default_factory=list)
    classification: str = ""
    plants: list[Plant] = field(default_factory=list)
    catalogue: str = ""
    plants_from: list[str] = field(default_factory=list)
    vegetation: dict[str, float] | None = field(default_factory=dict)
    profiles: list[SectorProfile] = field(default_factory=list)
    heating: list[SectorHeating] = field(default_factory=list)
    errors: list[SectorError] = field(default_factory=list)
    total_relative: float | None = None

    def __post_init__(self):
        require(self.species in ("CO2", "CH4"), "prior.species", self.species, "CO2 or CH4")
        require(bool(self.inventories), "prior.inventories", [], "at least one file")
        value = self.total_relative
        require(value is None or 0 < value <= 2, "prior.total_relative", value, "0 < u/total ≤ 2, or null",
                "write 15 % as 0.15")  # fmt: skip
        cover = self.vegetation or {}
        good = all(0 <= share <= 1 for share in cover.values()) and sum(cover.values()) <= 1 + 1e-9
        require(good, "prior.vegetation", dict(cover), "shares of the area, 0…1, one together at most")
        unique("prior.plants", [p.name for p in self.plants])
        for name in ("profiles", "heating", "errors"):
            unique(f"prior.{name}", [entry.sector for entry in getattr(self, name)])
        self._capture()

    def _capture(self):
        """No plant captures more than is emitted at its place."""
        for plant in self.plants:
            here = [p for p in self.plants if (p.longitude, p.latitude) == (plant.longitude, plant.latitude)]
            out, kept = (sum(p.mt_per_year for p in here if p.captured is c) for c in (False, True))
            require(not out or kept <= out * (1 + 1e-9), f"captured mass of {plant.name}", f"{kept:g} Mt/yr",
                    f"at most the {out:g} Mt/yr emitted at its place")  # fmt: skip

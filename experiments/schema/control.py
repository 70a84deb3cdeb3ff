"""The unknowns."""

import dataclasses
from dataclasses import dataclass

from experiments.schema.limits import positive, require


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
        positive(self, "control", *(f.name for f in dataclasses.fields(self)))


@dataclass
class RegionWeeks(Control):
    """Flux of each region and week; week-to-week smoothness and yearly ocean totals as pseudo-observations."""

    smoothness_kg_m2_yr: float = 5.0
    australia_tg_yr: float = 1000.0
    ocean_total_relative: float = 10.0

    def __post_init__(self):
        positive(self, "control", *(f.name for f in dataclasses.fields(self)))


@dataclass
class CellsAndBoundary(Control):
    """Scaling of the prior per cell and of the four boundary columns."""

    sigma_cell: float = 0.5
    sigma_boundary: float = 0.1

    def __post_init__(self):
        positive(self, "control", *(f.name for f in dataclasses.fields(self)))


@dataclass
class RegionsAndBoundary(Control):
    """Scaling of the prior in regions that the sensitivities can tell apart (quadtree), and of four boundary columns.

    The regions inherit the covariance of the cells, `sigma_cell` each.
    """

    regions: int = 150
    sigma_cell: float = 0.5
    sigma_boundary: float = 0.1

    def __post_init__(self):
        require(4 <= self.regions <= 5000, "control.regions", self.regions, "4…5000")
        positive(self, "control", "sigma_cell", "sigma_boundary")


@dataclass
class BerlinControl(Control):
    """Emission of each three hours, factors of all other tracers, background offset and gradient (per 100 km)."""

    correlation_h: float = 3.0
    sigma_others: float = 0.3
    sigma_offset_ppm: float = 1.0
    sigma_gradient_ppm: float = 0.3

    def __post_init__(self):
        positive(self, "control", *(f.name for f in dataclasses.fields(self)))


@dataclass
class BowenControl(Control):
    """Scaling of the coal field per cell and of all other sectors together; background, its gradient, albedo bias."""

    sigma_cell: float = 1.0
    sigma_others: float = 0.5
    sigma_offset_ppb: float = 20.0
    sigma_gradient_ppb: float = 10.0
    sigma_albedo_ppb: float = 5.0

    def __post_init__(self):
        positive(self, "control", *(f.name for f in dataclasses.fields(self)))

"""Where and when."""

import datetime
import enum
import itertools
import re
from dataclasses import dataclass, field

from omegaconf import MISSING

from experiments.schema.limits import positive, require


@dataclass
class Case:
    """Where and when."""


@dataclass
class CityCase(Case):
    """A generated basin city on a projected grid.

    `true_wind` and `true_mixing` multiply wind speed and mixing height of the weather that makes the observations; the
    inversion is given the weather without them.
    """

    cells: int = 32
    spacing_km: float = 3.0
    longitude: float = 111.7
    latitude: float = 40.8
    start: str = "2025-04-06T16:00"
    level_edges_m: list[float] = field(default_factory=list)
    true_wind: float = 1.0
    true_mixing: float = 1.0

    def __post_init__(self):
        for name in ("true_wind", "true_mixing"):
            require(0.2 <= getattr(self, name) <= 1.5, f"case.{name}", getattr(self, name), "0.2…1.5")
        require(8 <= self.cells <= 1000, "case.cells", self.cells, "8…1000")
        require(0.1 <= self.spacing_km <= 100, "case.spacing_km", self.spacing_km, "0.1…100 km")
        require(abs(self.longitude) <= 360, "case.longitude", self.longitude, "−360…360°")
        require(abs(self.latitude) <= 85, "case.latitude", self.latitude, "−85…85°")


@dataclass
class NewZealandCase(Case):
    """Steinkamp et al. 2017: 25 regions, 144 weeks."""


@dataclass
class UnitedKingdomCase(Case):
    """ACRG test case: CH4, March 2014, 68 × 78 cells."""


@dataclass
class BerlinCase(Case):
    """SMARTCARB: Berlin, 23 April 2015, one overpass of a synthetic CO2M."""


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
        require(abs(self.utc_offset) <= 14, "case.utc_offset", self.utc_offset, "−14…14 h")


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
        require(abs(self.longitude) <= 360, "case.longitude", self.longitude, "−360…360°")
        require(abs(self.latitude) <= 90, "case.latitude", self.latitude, "−90…90°")
        positive(self, "case", "molar_mass_g_mol")
        for name in ("release_kg_s", "start_hour", "inflow_ppb", "spacing_km"):
            require(getattr(self, name) >= 0, f"case.{name}", getattr(self, name), "≥ 0")
        for name in ("half_life_h", "release_hours"):
            value = getattr(self, name)
            require(value is None or value > 0, f"case.{name}", value, "> 0 h, or null")
        loss = self.deposition_cm_s
        require(loss is None or loss >= 0, "case.deposition_cm_s", loss, "≥ 0 cm/s, or null")
        require(abs(self.utc_offset) <= 14, "case.utc_offset", self.utc_offset, "−14…14 h")
        heights = self.height_m
        rising = len(heights) >= 2 and heights[0] >= 0 and all(a < b for a, b in itertools.pairwise(heights))
        require(rising, "case.height_m", heights, "at least two increasing heights above ground in m")
        if self.shares:
            fits = len(self.shares) == len(heights) - 1 and min(self.shares) >= 0 and sum(self.shares) > 0
            require(fits, "case.shares", self.shares, f"{len(heights) - 1} shares ≥ 0, one per layer of case.height_m")
        if self.spacing_km:
            w_e_s_n = self.extent_km
            fits = len(w_e_s_n) == 4 and w_e_s_n[0] < w_e_s_n[1] and w_e_s_n[2] < w_e_s_n[3]
            require(fits, "case.extent_km", w_e_s_n, "[west, east, south, north] in km, increasing")


@dataclass
class RegionCase(Case):
    """A square around a place, on an equal-area projection, and some days.

    The square has half_km to each side of the place, in cells of spacing_km. The window begins at `start` (UTC, a date
    or a full hour) and lasts `days`; `time_zone` is the clock of weekdays and hours in profiles, and days in `holidays`
    have the weights of Sundays.
    """

    title: str = MISSING
    longitude: float = MISSING
    latitude: float = MISSING
    half_km: float = 60.0
    spacing_km: float = 3.0
    start: str = MISSING
    days: int = 7
    time_zone: str = "UTC"
    holidays: list[str] = field(default_factory=list)

    def __post_init__(self):
        require(abs(self.longitude) <= 360, "case.longitude", self.longitude, "−360…360°")
        require(abs(self.latitude) <= 85, "case.latitude", self.latitude, "−85…85°")
        require(0 < self.half_km <= 1500, "case.half_km", self.half_km, "0…1500 km")
        cells = 2 * self.half_km / self.spacing_km if self.spacing_km > 0 else 0.0
        name = "case.half_km and case.spacing_km"
        require(4 <= cells <= 60, name, f"{cells:g} cells a side", "4…60 cells a side")
        fits = abs(cells - round(cells)) < 1e-9 * cells
        near = self.spacing_km * round(cells) / 2
        require(fits, name, f"{cells:.6g} cells a side", "a whole number of cells", f"e.g. case.half_km={near:g}")
        require(1 <= self.days <= 366, "case.days", self.days, "1…366")
        expected = "a date, or a full hour, of UTC: 2022-06-06 or 2022-06-06T05:00"
        require(_is_hour(self.start), "case.start", self.start, expected)
        for day in self.holidays:
            require(_is_hour(day, r"\d{4}-\d\d-\d\d"), "case.holidays", day, "local dates such as 2022-06-03")


def _is_hour(text: str, pattern: str = r"\d{4}-\d\d-\d\d([T ]\d\d(:00(:00)?)?)?") -> bool:
    """Whether a text is a date or a full hour that exists."""
    try:
        return bool(re.fullmatch(pattern, text)) and 1900 <= datetime.datetime.fromisoformat(text).year <= 2200
    except ValueError:
        return False

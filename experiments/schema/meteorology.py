"""Weather."""

from dataclasses import dataclass, field

from experiments.schema.limits import positive, require


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
        positive(self, "meteorology", "hours", "turning_hours", "mixing_height_night", "mixing_height_day")
        require(0 <= self.wind_speed <= 100, "meteorology.wind_speed", self.wind_speed, "0…100 m/s")
        require(0 <= self.breeze <= 50, "meteorology.breeze", self.breeze, "0…50 m/s")
        require(abs(self.utc_offset) <= 14, "meteorology.utc_offset", self.utc_offset, "−14…14 h")
        heights = (self.mixing_height_night, self.mixing_height_day)
        require(heights[0] <= heights[1], "meteorology.mixing_height_night…mixing_height_day", heights, "night ≤ day")


@dataclass
class FileMeteorology(Meteorology):
    """Weather read from files: paths in the data folder (or absolute), window in UTC, lowest layers to keep."""

    files: list[str] = field(default_factory=list)
    start: str | None = None
    end: str | None = None
    layers: int | None = None

    def __post_init__(self):
        require(self.layers is None or self.layers >= 2, "meteorology.layers", self.layers, "at least 2, or null")


@dataclass
class WrfMeteorology(FileMeteorology):
    """WRF-ARW history files on the model's own cells and layers."""

    rim: int = 1

    def __post_init__(self):
        super().__post_init__()
        require(0 <= self.rim <= 100, "meteorology.rim", self.rim, "0…100 cells")


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
        require(2 <= self.levels <= 137, "meteorology.levels", self.levels, "2…137")
        require(0 <= self.top_hpa < 1000, "meteorology.top_hpa", self.top_hpa, "0…1000 hPa")


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

"""What was measured."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from experiments.schema.limits import positive, require, unique
from inversion.observations.rules import Rule


@dataclass
class Observations:
    """What was measured."""


@dataclass
class MismatchRule:
    """A rule of the model-data mismatch, as `inversion.observations.rules.Rule`: hours are two local hours or none."""

    action: str = MISSING
    cause: str = MISSING
    value: float = MISSING
    unit: str = ""
    sites: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    hours: list[float] = field(default_factory=list)
    utc_offset: float | None = None
    shared: str = "row"

    def rule(self) -> Rule:
        """Checked.

        Raises:
            TanhengError: words or numbers that a rule cannot have.
        """
        require(len(self.hours) in (0, 2), "hours of a mismatch rule", self.hours, "two local hours, or none")
        hours = (self.hours[0], self.hours[1]) if self.hours else None
        return Rule(self.action, self.cause, self.value, self.unit, tuple(self.sites), tuple(self.kinds), hours,
                    self.utc_offset, self.shared)  # fmt: skip


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
        require(0 <= self.local_hour <= 23, f"local_hour of overpass {self.name}", self.local_hour, "0…23")
        require(self.spacing_km >= 0.5, f"spacing_km of overpass {self.name}", self.spacing_km, "≥ 0.5 km")
        require(0 < self.width_km <= 1e4, f"width_km of overpass {self.name}", self.width_km, "0…10 000 km")


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
            require(getattr(self, name) >= 0, f"observations.{name}", getattr(self, name), "≥ 0")
        first, last = window = (self.first_local_hour, self.last_local_hour)
        require(
            0 <= first <= last <= 23, "observations.first_local_hour…last_local_hour", window, "0 ≤ first ≤ last ≤ 23"
        )
        unique("observations.towers and overpasses", [o.name for o in (*self.towers, *self.overpasses)])


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
        positive(self, "observations", "floor_ppm", "scale", "missing_ppm")
        require(abs(self.daylight_shift) <= 1, "observations.daylight_shift", self.daylight_shift, "−1, 0 or 1 h")


@dataclass
class UnitedKingdomObservations(Observations):
    """Daily mean CH4 at the named sites; mismatch = measurement ⊕ model error, then the rules."""

    sites: list[str] = field(default_factory=lambda: ["MHD", "TAC"])
    model_error_ppb: float = 15.0
    mismatch: list[MismatchRule] = field(default_factory=list)

    def __post_init__(self):
        require(self.model_error_ppb >= 0, "observations.model_error_ppb", self.model_error_ppb, "≥ 0")


@dataclass
class NoObservations(Observations):
    """Nothing was measured."""


@dataclass
class BowenSoundings(Observations):
    """TROPOMI XCH4 of the day; its errors are not part of the data (the file holds a constant 20 ppb)."""

    qa_minimum: float = 0.5
    noise_ppb: float = 1.5
    correlated_ppb: float = 4.5
    correlation_km: float = 10.0
    mismatch: list[MismatchRule] = field(default_factory=list)

    def __post_init__(self):
        positive(self, "observations", "noise_ppb", "correlated_ppb", "correlation_km")
        require(0 <= self.qa_minimum <= 1, "observations.qa_minimum", self.qa_minimum, "0…1")


@dataclass
class Co2mObservations(Observations):
    """Synthetic CO2M columns around the city; `noise_scale` multiplies the stated noise of the file."""

    radius_km: float = 120.0
    cloud_maximum: float = 0.01
    noise_scale: float = 0.5
    mismatch: list[MismatchRule] = field(default_factory=list)

    def __post_init__(self):
        positive(self, "observations", "radius_km", "noise_scale")
        require(0 <= self.cloud_maximum <= 1, "observations.cloud_maximum", self.cloud_maximum, "0…1")

"""T: from fluxes to air."""

import enum
from dataclasses import dataclass

from experiments.schema.limits import require


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
        require(longest is None or longest > 0, "transport.max_seconds", longest, "> 0 s, or null")
        require(0 < self.max_courant <= 1, "transport.max_courant", self.max_courant, "0 < max_courant ≤ 1")
        background = self.background_diffusivity
        require(0 <= background <= 100, "transport.background_diffusivity", background, "0…100 m2 s-1")
        require(1 <= self.split <= 60, "transport.split", self.split, "1…60 parts per interval of the weather")


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


@dataclass
class TaggedTracers(Transport):
    """Columns of tagged tracers, simulated elsewhere, from the case's files."""


@dataclass
class NoTransport(Transport):
    """Nothing is carried."""

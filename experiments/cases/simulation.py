"""What a case hands to `task=simulate`: air, sources, and what was measured there."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from experiments.cases import Citation, Mark
from experiments.weather import Domain
from inversion.observations import Observations
from inversion.observations.operator import Seen
from transport.constants import SECONDS_PER_HOUR
from transport.eulerian import EulerianTransport
from transport.sources import Boundary, Sources

KILOGRAMS_PER_TONNE = 1e3
MICROMOLES = 1e6  # µmol per mol


@dataclasses.dataclass(frozen=True, eq=False)
class Soundings:
    """Columns that a satellite saw.

    Args:
        observations: in ppb.
        seen: what the model has to reproduce.
        assumption: one sentence on what had to be assumed.
    """

    observations: Observations
    seen: Seen
    assumption: str

    @property
    def dropped(self) -> dict[str, int]:
        """Reason to number of soundings left out."""
        return {reason: count for step in self.observations.steps for reason, count in step.dropped}


@dataclasses.dataclass(frozen=True, eq=False)
class OtherModel:
    """Column means of another model, for a comparison of patterns.

    Args:
        name: of the model and its file.
        column: (nt, rows, columns) column mean of each interval, ppb.
        rows, columns: cells of our grid that its cells are.
        caveat: what the comparison does not show.
    """

    name: str
    column: np.ndarray
    rows: slice
    columns: slice
    caveat: str


@dataclasses.dataclass(frozen=True, eq=False)
class Simulation:
    """An assembled forward run.

    Args:
        name, title: of the case.
        synthetic: "" for real data, else what is generated; every product then says so.
        species: name of the tracer; molar_mass: kg mol-1.
        unit: of mole fractions in products, "ppb" or "ppm".
        domain: grid, times and air.
        transport: operator T.
        sources: what enters.
        emissions: (name, mean over the run in t/h) of each sector or source.
        inflow: mole fraction of the air at the start and at the sides, ppm.
        marks: places drawn on the maps.
        utc_offset: of local time, h.
        focus: when the map of the run is drawn, UTC; None: the end.
        soundings, other: what the run is compared with.
        citations, inputs, notes: as in `Setup`.
    """

    name: str
    title: str
    synthetic: str
    species: str
    molar_mass: float
    unit: str
    domain: Domain
    transport: EulerianTransport
    sources: Sources
    emissions: tuple[tuple[str, float], ...]
    inflow: float
    marks: tuple[Mark, ...] = ()
    utc_offset: float = 0.0
    focus: np.datetime64 | None = None
    soundings: Soundings | None = None
    other: Callable[[np.ndarray], OtherModel] | None = None
    citations: tuple[Citation, ...] = ()
    inputs: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def factor(self) -> float:
        """From ppm to `unit`."""
        return 1e3 if self.unit == "ppb" else 1.0

    @property
    def interval(self) -> float:
        """Seconds of an interval of the run."""
        return self.transport.meteorology.interval

    @property
    def times(self) -> np.ndarray:
        """(nt+1,) datetime64[s] ends of the run's intervals."""
        steps = np.round(np.arange(self.transport.meteorology.shape[0] + 1) * self.interval).astype("timedelta64[s]")
        return self.domain.times[0].astype("datetime64[s]") + steps

    def tonnes(self, micromoles: float) -> float:
        """Mass of an amount of tracer, t."""
        return micromoles / MICROMOLES * self.molar_mass / KILOGRAMS_PER_TONNE

    def tonnes_per_hour(self, micromoles_per_second: float) -> float:
        """Mass rate of a release, t/h."""
        return self.tonnes(micromoles_per_second) * SECONDS_PER_HOUR


def steady(T: EulerianTransport, surface: np.ndarray, inflow: float, points: np.ndarray | None = None) -> Sources:
    """A constant surface flux into air of one mole fraction.

    Args:
        T: the operator.
        surface: (ny, nx) µmol m-2 s-1.
        inflow: of the air at the start and at the sides, ppm.
        points: (nt, n) µmol s-1, where there are any.
    """
    structure, shape, dtype = T.in_structure(), T.meteorology.shape, T.meteorology.air.dtype
    released = np.zeros(structure.points.shape) if points is None else points
    return Sources(
        surface=jnp.broadcast_to(jnp.asarray(surface, dtype), structure.surface.shape),
        points=jnp.asarray(released, dtype),
        boundary=Boundary.uniform(jnp.full(shape[0], inflow, dtype), shape),
        initial=jnp.full(shape[1:], inflow, dtype),
    )

"""Continuous monitoring of stacks: concentration and flow by hour become mass by hour.

Molar flow of dry gas N_d = p Q (1 − h)/(R T) from the flow in the duct, or p_N Q/(R T_N) where flow is normalised;
m = M x_d N_d with x_d the mole fraction in dry gas, x_w = x_d (1 − h).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax

from priors.hourly import HourlyEmissions, emissions
from priors.series import Influence, Series
from transport.constants import GAS_CONSTANT, STANDARD_ATMOSPHERE, ZERO_CELSIUS
from transport.errors import TanhengError
from transport.units import molar_mass

CONCENTRATIONS = ("dry", "wet")
FLOWS = ("actual", "normal wet", "normal dry")


@dataclasses.dataclass(frozen=True)
class Stack:
    """How a stack is monitored.

    Args:
        species: "CO2", …
        concentration: analyser sees "dry" gas (cooled and dried) or "wet" gas (in the duct).
        flow: "actual" (duct temperature, pressure and moisture), or normalised to 0 °C and 101 325 Pa, "normal wet" or
            "normal dry".
        flow_factor: corrects the flow meter by its last calibration, reference over reading.
        concentration_factor: corrects the analyser by span gas, certificate over reading.

    Raises:
        TanhengError: an unknown state, or a factor that is not near one.
    """

    species: str = "CO2"
    concentration: str = "dry"
    flow: str = "actual"
    flow_factor: float = 1.0
    concentration_factor: float = 1.0

    def __post_init__(self):
        near = all(0.5 < f < 2.0 for f in (self.flow_factor, self.concentration_factor))
        if self.concentration not in CONCENTRATIONS or self.flow not in FLOWS or not near:
            raise TanhengError(
                "a stack is described wrongly", got=f"concentration {self.concentration}, flow {self.flow}, factors "
                f"{self.flow_factor}, {self.concentration_factor}",
                expected=f"concentration {' or '.join(CONCENTRATIONS)}, flow {', '.join(FLOWS)}, factors in 0.5…2",
                remedy="look into the data sheet of the monitoring system",
            )  # fmt: skip

    @property
    def needs(self) -> tuple[str, ...]:
        """Quantities that the series must have."""
        wet_flow, wet_gas = self.flow != "normal dry", self.concentration == "wet"
        return (
            "concentration", "flow", *(("temperature", "pressure") if self.flow == "actual" else ()),
            *(("moisture",) if wet_flow != wet_gas else ()),
        )  # fmt: skip

    def model(self) -> Callable[[Mapping], jax.Array]:
        """Mass rate, kg s-1, of concentration (mol mol-1), flow (m3 s-1), temperature (K), pressure (Pa) and moisture.

        Moisture is the mole fraction of water in the wet gas.
        """
        M, wet_flow, wet_gas = molar_mass(self.species), self.flow != "normal dry", self.concentration == "wet"

        def rate(v):
            p, T = (v["pressure"], v["temperature"]) if self.flow == "actual" else (STANDARD_ATMOSPHERE, ZERO_CELSIUS)
            molar_flow = v["flow_factor"] * v["flow"] * p / (GAS_CONSTANT * T)
            share = 1.0 if wet_flow == wet_gas else 1.0 - v["moisture"] if wet_flow else 1.0 / (1.0 - v["moisture"])
            return M * v["concentration_factor"] * v["concentration"] * molar_flow * share

        return rate


def stack_emissions(series: Series, stack: Stack, influences: Sequence[Influence]) -> HourlyEmissions:
    """Hourly emissions of a monitored stack.

    Args:
        series: with the quantities that the stack needs.
        stack: how it is monitored.
        influences: e.g. of flow calibration (shared by the label of its period), span gas (by cylinder), drift (by
            day), moisture, temperature and pressure.

    Raises:
        TanhengError: a quantity is missing.

    Reference: ISO 14385-1:2014 and EN ISO 16911-2:2013 (what to evaluate); JCGM 100:2008.
    """
    missing = [q for q in stack.needs if q not in series.values]
    if missing:
        raise TanhengError(
            f"{series.name} lacks quantities of its stack", got=", ".join(series.values),
            expected=", ".join(stack.needs), remedy="map their columns, or describe the stack as it is monitored",
        )  # fmt: skip
    factors = {"flow_factor": stack.flow_factor, "concentration_factor": stack.concentration_factor}
    return emissions(series, stack.model(), influences, stack.species, factors)


def reported_emissions(series: Series, influences: Sequence[Influence], species: str = "CO2") -> HourlyEmissions:
    """Hourly emissions of a series that states "mass" itself, kg s-1, as reports to an authority do."""
    return emissions(series, lambda v: v["mass"], influences, species)

"""Online monitoring of energy use: fuel, electricity and heat by hour become emissions by hour.

Fuel by mass or volume: m = A · NCV · EF · OX;  energy: m = P · EF · OX
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import jax

from inversion.budget.quantity import NORMAL_95
from inversion.observations.typed import build, entries
from priors.hourly import HourlyEmissions, emissions
from priors.series import Influence, Series
from transport.constants import MOLAR_MASS
from transport.errors import TanhengError

CARRIERS = ("coal", "gas", "oil", "biomass", "electricity", "heat")
INDIRECT = ("electricity", "heat")  # made elsewhere: scope 2
# (gas, made elsewhere): range of EF, kg TJ-1, outside which a unit is wrong; hydrogen-rich gases emit least, blast
# furnace gas most (260 000 kg TJ-1 in IPCC 2006).
PLAUSIBLE = {("CO2", False): (2e4, 4e5), ("CO2", True): (1e3, 5e5)}
ACTIVITIES = ("fuel_mass", "fuel_volume", "power")
TERAJOULES_PER_MEGAJOULE, TERAJOULES_PER_JOULE = 1e-6, 1e-12


@dataclasses.dataclass(frozen=True)
class Fuel:
    """Factors of one carrier of energy. Limits are of 95 % intervals; equal limits: exactly known.

    Args:
        name: e.g. "lignite".
        carrier: one of `CARRIERS`.
        per: what is metered: "fuel_mass" (kg), "fuel_volume" (m3, at the state of the NCV), "power" (energy itself).
        factor: EF, kg TJ-1 of net calorific value, or of the energy that was bought.
        factor_limits: kg TJ-1.
        reference: where all of these numbers stand.
        ncv: MJ kg-1 or MJ m-3; None for power.
        ncv_limits: likewise.
        oxidation: OX, share of carbon that burns.
        oxidation_limits: 1.
        gas: that is emitted.

    Raises:
        TanhengError: values outside their limits or of another unit, a gas, a carrier or an activity that is not known,
            no reference.
    """

    name: str
    carrier: str
    per: str
    factor: float
    factor_limits: tuple[float, float]
    reference: str
    ncv: float | None = None
    ncv_limits: tuple[float, float] = (1.0, 1.0)
    oxidation: float = 1.0
    oxidation_limits: tuple[float, float] = (1.0, 1.0)
    gas: str = "CO2"

    def __post_init__(self):
        def within(value, limits):
            return 0.0 <= limits[0] <= value <= limits[1]

        ncv = 1.0 if self.ncv is None else self.ncv
        low, high = PLAUSIBLE.get((self.gas, self.carrier in INDIRECT), (0.0, 5e5))
        rules = {
            f"a carrier among {', '.join(CARRIERS)}": self.carrier in CARRIERS,
            f"per one of {', '.join(ACTIVITIES)}; electricity and heat per power": self.per in ACTIVITIES
            and (self.carrier not in INDIRECT or self.per == "power"),
            "an NCV where fuel is metered, none for power": (self.ncv is None) == (self.per == "power"),
            "each value within its limits": within(self.factor, self.factor_limits) and within(ncv, self.ncv_limits)
            and within(self.oxidation, self.oxidation_limits) and self.oxidation_limits[1] <= 1.0,
            f"a gas among {', '.join(MOLAR_MASS)}": self.gas in MOLAR_MASS,
            "an NCV of 1…150 MJ": self.ncv is None or 1 <= ncv <= 150,
            f"a factor of {low:g}…{high:g} kg TJ-1 (not t TJ-1), or zero for biomass, electricity and heat":
                low <= self.factor <= high or (self.factor == 0.0 and self.carrier not in ("coal", "gas", "oil")),
            "a reference": bool(self.reference.strip()),
        }  # fmt: skip
        for rule, holds in rules.items():
            if not holds:
                raise TanhengError(f"the factors of {self.name} cannot be used", got=repr(self)[:300], expected=rule,
                                   remedy="correct the table of fuels")  # fmt: skip

    @property
    def activity(self) -> str:
        """Quantity that the series must have."""
        return self.per

    @property
    def scope(self) -> str:
        """Indirect for electricity and heat, else direct."""
        return "indirect" if self.carrier in INDIRECT else "direct"

    def constants(self) -> dict[str, float]:
        """Factors by the names that the model knows."""
        ncv = {} if self.ncv is None else {"ncv": self.ncv}
        return {"factor": self.factor, "oxidation": self.oxidation} | ncv

    def influences(self) -> tuple[Influence, ...]:
        """Errors of the factors, u = width/(2·1.96): one error in every stream that uses this table's row.

        The interval is taken as symmetric around the middle of its limits; the value stays where the table has it.
        """
        found = (("factor", "emission factor", self.factor_limits), ("ncv", "net calorific value", self.ncv_limits),
                 ("oxidation", "oxidation", self.oxidation_limits))  # fmt: skip
        row = f"common:{self.reference}: {self.name}"
        return tuple(
            Influence(quantity, cause, (high - low) / (2.0 * NORMAL_95), "absolute", row)
            for quantity, cause, (low, high) in found
            if high > low
        )

    def model(self) -> Callable[[Mapping], jax.Array]:
        """Mass rate, kg s-1."""
        if self.per == "power":
            return lambda v: v["power"] * TERAJOULES_PER_JOULE * v["factor"] * v["oxidation"]
        return lambda v: v[self.per] * v["ncv"] * TERAJOULES_PER_MEGAJOULE * v["factor"] * v["oxidation"]


def read_fuels(path: str | Path) -> dict[str, Fuel]:
    """Fuels by name from a YAML list of the fields of `Fuel`.

    Raises:
        TanhengError: not such a list, a field that is missing or wrong, a name twice.
    """
    fuels = [build(Fuel, e, f"fuel {i + 1}") for i, e in enumerate(entries(path, "fuels"))]
    names = [f.name for f in fuels]
    if len(set(names)) != len(names) or not names:
        raise TanhengError("a table of fuels names one twice, or none", got=", ".join(names), expected="each once",
                           remedy="rename or merge rows")  # fmt: skip
    return dict(zip(names, fuels, strict=True))


def ipcc_fuels() -> dict[str, Fuel]:
    """Default factors of the IPCC 2006 Guidelines, vol. 2; national or plant factors are better wherever they exist."""
    with resources.as_file(resources.files("priors") / "resources" / "fuels_ipcc_2006.yaml") as path:
        return read_fuels(path)


def fuel_emissions(
    series: Series, fuel: Fuel, meter: Sequence[Influence], factors: Sequence[Influence] | None = None
) -> HourlyEmissions:
    """Hourly emissions of metered energy.

    Args:
        series: with the activity of the fuel, e.g. "fuel_mass" in kg s-1.
        fuel: its factors.
        meter: influences on the activity, e.g. the belt weigher's calibration.
        factors: influences on "ncv", "factor" and "oxidation", e.g. of monthly analyses; None: limits of the table.

    Returns:
        direct emissions of fuel, or indirect ones of electricity and heat, which no point source accepts.

    Raises:
        TanhengError: the series does not hold the activity.
    """
    if fuel.activity not in series.values:
        raise TanhengError(
            f"{series.name} does not meter {fuel.name}", got=", ".join(series.values), expected=fuel.activity,
            remedy="map the column of the meter, or use factors per what is metered",
        )  # fmt: skip
    influences = [*meter, *(fuel.influences() if factors is None else factors)]
    return emissions(series, fuel.model(), influences, fuel.gas, fuel.constants(), fuel.scope)

"""The prior carried through the day, beside soundings and another model."""

import dataclasses
from functools import partial

import numpy as np

from experiments import schema
from experiments.cases.bowen_basin import files, soundings
from experiments.cases.bowen_basin.cmaq import PPB, cmaq_columns
from experiments.cases.bowen_basin.inventory import Inventory, read_inventory
from experiments.cases.simulation import Simulation, steady
from experiments.data import BOWEN_BASIN
from experiments.schemes import LONGEST_STEP, scheme_of
from experiments.weather import Domain, domain
from inversion.observations import Observations
from transport.eulerian import EulerianTransport
from transport.units import molar_mass


@dataclasses.dataclass(frozen=True, eq=False)
class Day:
    """What forward run and inversion share.

    Args:
        air: grid and weather.
        path: name to file.
        observed: or None.
        inflow: ppb; why: where it comes from.
    """

    air: Domain
    path: dict[str, str]
    observed: Observations | None
    inflow: float
    why: str


def day_of(config: schema.Config) -> tuple[Day, EulerianTransport, Inventory]:
    """Weather, soundings, transport and prior of the configured day.

    Raises:
        TanhengError: an option that the case cannot use, a prior that is not credible, missing or altered files.
    """
    case = schema.expect(config.case, schema.BowenBasinCase, "case", "bowen_basin")
    met = schema.expect(config.meteorology, schema.WrfMeteorology, "meteorology", "bowen_basin")
    transport = schema.expect(config.transport, schema.EulerianTransport, "transport", "bowen_basin")
    prior = schema.expect(config.prior, schema.BowenPrior, "prior", "bowen_basin")
    if not isinstance(config.observations, schema.NoObservations):
        schema.expect(config.observations, schema.BowenSoundings, "observations", "bowen_basin")
    date = case.date.value
    path = files.files_of(date)
    files.require_credible(date, prior)
    own = [f"{BOWEN_BASIN.name}/{path['weather']}"]
    air = domain(met if met.files else dataclasses.replace(met, files=own), transport)
    inventory = read_inventory(path["prior"], air.grid)
    observed = None
    if isinstance(config.observations, schema.BowenSoundings):
        observed = soundings.read(config.observations, path["soundings"], air, transport.split)
    inflow, why = soundings.inflow(prior, observed)
    T = EulerianTransport(
        air.split(transport.split), air.grid.areas, scheme=scheme_of(transport), max_courant=transport.max_courant,
        max_seconds=transport.max_seconds or LONGEST_STEP,
    )  # fmt: skip
    return Day(air, path, observed, inflow, why), T, inventory


def assemble(config: schema.Config) -> Simulation:
    """The forward run of the configured day.

    Raises:
        TanhengError: as `day_of`.
    """
    day, T, inventory = day_of(config)
    case, met, transport = config.case, config.meteorology, config.transport
    assert isinstance(case, schema.BowenBasinCase)
    assert isinstance(met, schema.WrfMeteorology)
    assert isinstance(transport, schema.EulerianTransport)
    # The other model's file holds the whole day of the case's own weather, on all layers.
    own_day = not met.files and transport.split == 1 and met.layers is None
    compared = own_day and "cmaq" in day.path and day.air.prepared.meteorology.shape[0] == 24
    other = (
        partial(cmaq_columns, day.path["cmaq"], rows=inventory.rows, columns=inventory.columns) if compared else None
    )
    observed = day.observed
    return Simulation(
        name="bowen_basin",
        title=f"CH4 of the Bowen Basin coal field, {case.date.value}",
        synthetic="",
        species="CH4",
        molar_mass=molar_mass("CH4"),
        unit="ppb",
        domain=day.air,
        transport=T,
        sources=steady(T, inventory.flux(day.air.grid), day.inflow / PPB),
        emissions=inventory.tonnes_per_hour(),
        inflow=day.inflow / PPB,
        utc_offset=case.utc_offset,
        focus=None if observed is None else np.sort(observed.start)[len(observed) // 2],
        soundings=None if observed is None else soundings.seen(observed, day.air, transport.split, day.inflow),
        other=other,
        citations=files.CITATIONS,
        inputs=inputs_of(day, compared),
        notes=(day.why, *notes_of(case.date.value)),
    )


def inputs_of(day: Day, compared: bool = False) -> dict[str, str]:
    """Name of each file to its SHA-256."""
    used = ["prior", *(["soundings"] if day.observed is not None else []), *(["cmaq"] if compared else [])]
    paths = [day.path[name] for name in used]
    return day.air.inputs | {f"{BOWEN_BASIN.name}/{path}": BOWEN_BASIN.hash_of(path) for path in paths}


def notes_of(date: str) -> tuple[str, ...]:
    """What must be said of the day."""
    notes = (
        "Emissions are constant over the day and enter the lowest layer. The prior gives mass per nominal cell of "
        "10 km × 10 km; that mass is kept, and spread over the true area of the cell.",
        "The run starts from uniform air: the first hours are spin-up.",
    )
    if date == schema.BowenDate.july.value:
        return (*notes, "NOT CREDIBLE: the prior of this day holds national totals in 25 cells; only the machinery is "
                "tested.")  # fmt: skip
    return notes

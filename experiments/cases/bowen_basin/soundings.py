"""TROPOMI soundings of the day within grid and window, on the model's ground, with the inflow as a-priori profile."""

import numpy as np

from experiments import schema
from experiments.cases.bowen_basin import files
from experiments.cases.simulation import Soundings
from experiments.data import BOWEN_BASIN
from experiments.weather import Domain
from inversion.observations import Component, Observations, Step, mismatch
from inversion.observations.operator import observe, on_model_ground, substitute_prior, within
from inversion.observations.readers.open_methane import read_open_methane
from transport.errors import TanhengError

# Errors of the retrieval (albedo, aerosol) and of the transport that neighbouring soundings have in common.
CORRELATED = "retrieval bias"


def read(config: schema.BowenSoundings, path: str, air: Domain, split: int) -> Observations:
    """XCH4 of the day within the grid and the window, with the configured errors.

    Raises:
        TanhengError: another format, or no sounding is left.
    """
    read = read_open_methane(BOWEN_BASIN.fetch(path), config.qa_minimum)
    observed = on_model_ground(within(read, air.air(split)), air.air(split))
    n = len(observed)
    errors = {"retrieval noise": config.noise_ppb, CORRELATED: config.correlated_ppb}
    components = tuple(Component.independent(cause, np.full(n, sigma)) for cause, sigma in errors.items())
    what = f"{CORRELATED}: correlated over {config.correlation_km:g} km within the overpass"
    observed = observed.replace(components=components, steps=(*observed.steps, Step(what, n)))
    return mismatch.apply(observed, [r.rule() for r in config.mismatch])


def seen(observed: Observations, air: Domain, split: int, inflow_ppb: float) -> Soundings:
    """What the model has to reproduce."""
    whole = substitute_prior(observed, inflow_ppb, f"the inflow, {inflow_ppb:.1f} ppb")
    return Soundings(
        observations=whole,
        seen=observe(whole, air.air(split)),
        assumption=f"The a-priori profile of the soundings is not in the data set; it is taken as {inflow_ppb:.1f} ppb "
        "at all heights, as is the air above the model's top, so that XCH4 = c + Σ h a (C − c). A sounding is sampled "
        "at its centre, bilinearly, on 12 layers of equal pressure thickness above the model's ground.",
    )


def inflow(prior: schema.BowenPrior, observed: Observations | None) -> tuple[float, str]:
    """Mole fraction of the air that flows in, ppb, and where it comes from.

    Raises:
        TanhengError: neither a number nor soundings to take it from.
    """
    if prior.inflow_ppb is not None:
        if observed is not None and abs(prior.inflow_ppb - float(np.median(observed.values))) > 200.0:
            raise TanhengError(
                "the inflow cannot be the air of these soundings", got=f"prior.inflow_ppb={prior.inflow_ppb:g}",
                expected=f"within 200 ppb of their median, {np.median(observed.values):.1f}", remedy="give it in ppb",
            )  # fmt: skip
        why = f"The air at the start and at the sides holds {prior.inflow_ppb:.1f} ppb (prior.inflow_ppb)."
        return prior.inflow_ppb, why
    value = float(np.median(files.require_soundings(observed).values))
    return value, (
        f"The air at the start and at the sides holds {value:.1f} ppb, the median of the soundings: the modelled mean "
        "is fitted so, only the pattern of the enhancement is predicted."
    )

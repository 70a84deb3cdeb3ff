"""A forward run and its numbers: fields, budget, soundings, comparison, and the content of its summary.json."""

import dataclasses
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from experiments.cases.simulation import OtherModel, Simulation
from experiments.checks import plan_facts
from experiments.progress import stage
from experiments.summary import peak_memory_mib
from transport.errors import TanhengError
from transport.eulerian.budget import COUNTS, SIDES, Budget, counts
from transport.eulerian.plan import largest_courant

PPB = 1e3  # ppb per ppm


@dataclasses.dataclass(frozen=True, eq=False)
class Simulated:
    """A finished run; mole fractions in the unit of the case.

    Args:
        setup: the case.
        column: (nt, ny, nx) air-weighted mean of the modelled column, each interval's mean.
        ground: (nt, ny, nx) lowest layer.
        profile: (nt, nz) mean of each layer over the domain.
        lowest: smallest mole fraction anywhere (overshoots of an unlimited scheme show here).
        budget: of the whole run, µmol.
        hourly: name to (nt,) budget terms of each interval, µmol.
        modelled: (m,) at the soundings, ppb, or None.
        other: of another model, or None.
        seconds: wall time by stage.
    """

    setup: Simulation
    column: np.ndarray
    ground: np.ndarray
    profile: np.ndarray
    lowest: float
    budget: Budget
    hourly: dict[str, np.ndarray]
    modelled: np.ndarray | None
    other: OtherModel | None
    seconds: dict[str, float]

    @property
    def background(self) -> float:
        """The inflow in the unit of the case."""
        return self.setup.inflow * self.setup.factor

    def focus(self) -> int:
        """Index of the interval that the map shows: that of the soundings, else the last."""
        setup = self.setup
        if setup.focus is None:
            return len(self.column) - 1
        index = int(np.searchsorted(setup.times, setup.focus, side="right")) - 1
        return min(max(index, 0), len(self.column) - 1)


@eqx.filter_jit
def _reduced(transport, sources):
    """Column mean, ground, layer means and minimum of C, without handing the whole field over twice."""
    field = transport.mv(sources)
    met = transport.meteorology
    air = 0.5 * (met.air[1:] + met.air[:-1])
    column = jnp.sum(field * air, axis=1) / jnp.sum(air, axis=1)
    profile = jnp.sum(field * air, axis=(2, 3)) / jnp.sum(air, axis=(2, 3))
    return field, column, field[:, 0], profile, jnp.min(field)


def simulate(setup: Simulation) -> Simulated:
    """Carry the sources forward, count the budget, sample the soundings.

    Raises:
        TanhengError: the run gives values that are not finite.
    """
    seconds = {}
    started = time.perf_counter()
    with stage("transport"):
        field, column, ground, profile, lowest = jax.block_until_ready(_reduced(setup.transport, setup.sources))
    seconds["transport"] = time.perf_counter() - started
    if not bool(jnp.isfinite(field).all()):
        raise TanhengError(
            "the run gives values that are not finite", got=f"{int((~jnp.isfinite(field)).sum())} of {field.size}",
            expected="none", remedy="report the configuration",
        )  # fmt: skip
    started = time.perf_counter()
    with stage("mass budget"):
        initial, final, per_interval = jax.block_until_ready(counts(setup.transport, setup.sources))
    seconds["budget"] = time.perf_counter() - started
    hourly = dict(zip(COUNTS, np.asarray(per_interval, float).T, strict=True))
    total = {name: float(values.sum()) for name, values in hourly.items()}
    spent = Budget(
        initial=float(initial),
        final=float(final),
        emitted=total["emitted"],
        entered={side: total[f"entered_{side}"] for side in SIDES},
        left={side: total[f"left_{side}"] for side in SIDES},
        deposited=total["deposited"],
        decayed=total["decayed"],
    )
    modelled = None
    if setup.soundings is not None:
        modelled = np.asarray(setup.soundings.seen(field), float)
    other = None
    if setup.other is not None:
        air = np.asarray(setup.transport.meteorology.air, float)
        other = setup.other(0.5 * (air[1:] + air[:-1]))
    return Simulated(
        setup=setup,
        column=np.asarray(column, float) * setup.factor,
        ground=np.asarray(ground, float) * setup.factor,
        profile=np.asarray(profile, float) * setup.factor,
        lowest=float(lowest) * setup.factor,
        budget=spent,
        hourly=hourly,
        modelled=modelled,
        other=other,
        seconds=seconds,
    )


# --- numbers ----------------------------------------------------------------------------------------------------------
def fit(run: Simulated) -> dict[str, Any] | None:
    """Modelled against observed columns; the inflow's share of the mean difference is told by the notes."""
    soundings, modelled = run.setup.soundings, run.modelled
    if soundings is None or modelled is None:
        return None
    observed = soundings.observations.values
    difference = modelled - observed
    return {
        "n": int(observed.size),
        "dropped": soundings.dropped,
        "observed_mean": float(observed.mean()),
        "observed_sd": _sd(observed),
        "modelled_mean": float(modelled.mean()),
        "modelled_sd": _sd(modelled),
        "modelled_enhancement_max": float((modelled - PPB * run.setup.inflow).max()),
        "mean_difference": float(difference.mean()),
        "rms_difference": float(np.sqrt(np.mean(difference**2))),
        "correlation": correlation(observed, modelled),
        "unit": "ppb",
    }


def compare(run: Simulated) -> dict[str, Any] | None:
    """Hourly column-mean enhancement on the common cells: ours over the inflow, the other's over its minimum."""
    if run.other is None:
        return None
    ours, theirs = enhancements(run)
    hours = [correlation(a.ravel(), b.ravel()) for a, b in zip(ours, theirs, strict=True)]
    # At the start both fields are uniform, or nearly: a correlation there says nothing about transport.
    return {
        "with": run.other.name,
        "correlation_all_hours": correlation(ours.ravel(), theirs.ravel()),
        "correlation_hour_median": float(np.median(hours)),
        "correlation_hour_min": float(np.min(hours)),
        "rms_difference": float(np.sqrt(np.mean((ours - theirs) ** 2))),
        "mean_enhancement": float(ours.mean()),
        "mean_enhancement_other": float(theirs.mean()),
        "unit": "ppb",
        "by_hour": [float(h) for h in hours],
        "caveat": run.other.caveat,
    }


def enhancements(run: Simulated) -> tuple[np.ndarray, np.ndarray]:
    """(nt, rows, columns) of our column over the inflow, and of the other's over its minimum of each interval, ppb."""
    assert run.other is not None
    other = run.other.column
    ours = run.column[:, run.other.rows, run.other.columns] - run.background
    return ours * (PPB / run.setup.factor), other - other.min(axis=(1, 2), keepdims=True)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r; NaN where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else float("nan")


def budget_tonnes(run: Simulated) -> dict[str, Any]:
    """The budget in t of the tracer; `background` is the tracer of the inflow's mole fraction in the air at the end."""
    setup, spent = run.setup, run.budget
    t = setup.tonnes
    air = setup.transport.meteorology.air[-1]
    background = setup.inflow * float(jnp.sum(air))
    # Where the background itself decays, what is above the inflow is not the emission.
    keeps_background = setup.inflow == 0.0 or spent.deposited == spent.decayed == 0.0
    return {
        "unit": f"t {setup.species}",
        "initial": t(spent.initial),
        "final": t(spent.final),
        "stored": t(spent.final - spent.initial),
        "emitted": t(spent.emitted),
        "entered": {side: t(v) for side, v in spent.entered.items()},
        "left": {side: t(v) for side, v in spent.left.items()},
        "deposited": t(spent.deposited),
        "decayed": t(spent.decayed),
        "closure": spent.closure,
        "emission_in_the_domain_at_the_end": t(spent.final - background) if keeps_background else None,
    }


def summarise(run: Simulated, reading_seconds: float, wall_seconds: float) -> dict[str, Any]:
    """The content of summary.json."""
    setup = run.setup
    transport, correction = setup.transport, setup.domain.prepared.correction
    hours = len(run.column) * setup.interval / 3600.0
    enhancement = run.column - run.background
    return {
        "case": setup.name,
        "task": "simulate",
        "title": setup.title,
        "synthetic": bool(setup.synthetic),
        "synthetic_part": setup.synthetic,
        "species": setup.species,
        "window": [f"{setup.times[0]}Z", f"{setup.times[-1]}Z"],
        "hours": hours,
        "emissions": [{"name": n, "value": v, "unit": f"t {setup.species} h-1"} for n, v in setup.emissions],
        "emission_total": {"value": sum(v for _, v in setup.emissions), "unit": f"t {setup.species} h-1"},
        "inflow": {"value": run.background, "unit": setup.unit},
        "budget": budget_tonnes(run),
        "column_enhancement": {
            "mean": float(enhancement.mean()), "max": float(enhancement.max()), "min": float(enhancement.min()),
            "unit": setup.unit,
        },
        "near_ground_enhancement": {"max": float((run.ground - run.background).max()), "unit": setup.unit},
        "lowest_mole_fraction": {"value": run.lowest, "unit": setup.unit},
        "soundings": fit(run),
        "comparison": compare(run),
        "wind_correction": {
            "rms": correction.wind_rms, "max": correction.wind_max, "unit": "m s-1", "relative": correction.relative,
            "imbalance_before": correction.imbalance,
        },
        "transport": plan_facts(transport) | {
            "scheme": type(transport.scheme).__name__,
            "precision": str(transport.meteorology.air.dtype),
            "courant": largest_courant(transport.meteorology, transport.plan),
        },
        "continuity": transport.meteorology.continuity_residual(),
        "weather": {"source": setup.domain.source, "grid": repr(setup.domain.grid)},
        "seconds": {"weather_and_setup": reading_seconds, **run.seconds},
        "wall_seconds": wall_seconds,
        "peak_memory_mib": peak_memory_mib(),
    }  # fmt: skip

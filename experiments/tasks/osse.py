"""task=osse: truths and data are generated N times and estimated again."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from experiments import schema
from experiments.cases import Setup
from experiments.numbers import number, value_place
from experiments.products.experiment import draw_experiment
from experiments.products.style import pretty
from experiments.progress import stage
from experiments.solvers import name_of, solver_of
from experiments.study import Study, Table
from experiments.tasks.offer import assemble
from inversion.covariance import Scaled
from inversion.osse import Experiment, experiment
from inversion.problem import Problem
from transport.errors import TanhengError

CONFIDENCE = 0.99
CHECKS = 4  # bias, z² and two coverages of each total
# Fewer replicates can hardly contradict anything.
ENOUGH = 100


def nature_of(problem: Problem, task: schema.Osse) -> Problem | None:
    """The problem that makes truth and data; None where the inversion's beliefs are true."""
    if (task.prior_factor, task.prior_shift, task.mismatch_factor) == (1.0, 0.0, 1.0):
        return None
    n, m = problem.x_b.size, problem.y.size
    return dataclasses.replace(
        problem,
        x_b=problem.x_b + task.prior_shift * jnp.sqrt(problem.B.diagonal()),
        B=Scaled(np.full(n, task.prior_factor), problem.B),
        R=Scaled(np.full(m, task.mismatch_factor), problem.R),
    )


def _require_gaussian_prior(config: schema.Config) -> None:
    """Truths come from N(x_b, B); a solver that believes in another prior would be judged by truths it excludes.

    Raises:
        TanhengError: such a solver.
    """
    positive = isinstance(config.solver, schema.SamplingSolver) and config.solver.positive
    others = (schema.LogNormalSolver, schema.TruncatedSolver, schema.GeostatisticalSolver, schema.TransportSolver)
    if positive or isinstance(config.solver, others):
        raise TanhengError(
            "truths of task=osse are drawn from N(x_b, B)", got=f"solver={name_of(config)}, which has another prior",
            expected="solver=analytic, variational, sequential, es_mda, letkf, or sampling without positive",
            remedy="e.g. solver=analytic; docs/calibration.md has the other solvers",
        )  # fmt: skip


def osse(config: schema.Config) -> Study:
    """The experiment, its statistics by total, and what they mean."""
    assert isinstance(config.task, schema.Osse)
    _require_gaussian_prior(config)
    setup = assemble(config)
    solver = solver_of(config, setup)
    with stage(f"{config.task.replicates} replicates, solver={name_of(config)}") as progress:
        found = experiment(
            setup.problem, solver, jnp.asarray(setup.totals.weights), jax.random.key(config.seed),
            config.task.replicates, nature_of(setup.problem, config.task), progress,
        )  # fmt: skip
    # Whatever the case: these truths and data were generated.
    setup = dataclasses.replace(setup, synthetic=True, seeds={"truths and noise": config.seed})
    return _study(setup, found, config)


def _study(setup: Setup, found: Experiment, config: schema.Config) -> Study:
    task = config.task
    assert isinstance(task, schema.Osse)
    numbers = found.summary()
    count = len(found.z)
    # All figures together lie inside with CONFIDENCE if the stated uncertainty is true (Bonferroni).
    alone = 1.0 - (1.0 - CONFIDENCE) / (CHECKS * len(setup.totals.regions))
    wide = float(scipy.stats.norm.isf(0.5 * (1.0 - alone)))
    bands = {p: found.coverage_band(p, alone) for p in (0.6827, 0.95)}
    unit = setup.totals.unit
    first = setup.totals.regions[0]
    place = value_place(float(numbers["sigma"][0]))
    z2_band = tuple(float(b) / count for b in scipy.stats.chi2.interval(alone, count))
    consistent = _consistent(numbers, bands, z2_band, wide)
    sentences = (
        f"SYNTHETIC {first}: in {count} replicates the standard error falls from "
        f"{number(float(numbers['rmse_prior'][0]), place)} (prior) to {number(float(numbers['rmse'][0]), place)} "
        f"{unit} (posterior), where the posterior states {number(float(numbers['sigma'][0]), place)}.",
        _verdict(setup.totals.regions, numbers, bands, z2_band, consistent, count, wide),
    )
    records = [
        {"region": region, "unit": unit, **{name: float(v[i]) for name, v in numbers.items()},
         "consistent": bool(consistent[i])}
        for i, region in enumerate(setup.totals.regions)
    ]  # fmt: skip
    return Study(
        setup=setup,
        title=f"Observing-system experiment: {setup.title}",
        numbers={
            "replicates": count, "failed": found.failed, "solver": name_of(config), "totals": records,
            "z2_band": list(z2_band), "coverage_68_band": list(bands[0.6827]),
            "coverage_95_band": list(bands[0.95]), "confidence": CONFIDENCE,
        },
        sentences=sentences,
        tables=(_table(setup, numbers, bands, z2_band),),
        figures={"experiment": lambda: draw_experiment(setup, found)},
        notes=(
            "Truths and errors follow exactly what the inversion assumes."
            if (task.prior_factor, task.prior_shift, task.mismatch_factor) == (1.0, 0.0, 1.0)
            else f"The inversion assumes truths from N(x_b, B) and errors from N(0, R). They come from N(x_b "
            f"{task.prior_shift:+g} σ, {task.prior_factor:g}² B) and N(0, {task.mismatch_factor:g}² R).",
            "Transport is the same in truth and inversion: its errors are not in these numbers.",
            *((f"{found.failed} replicates were not solved and are left out.",) if found.failed else ()),
        ),
        sweep={
            "rmse prior": number(float(numbers["rmse_prior"][0]), place),
            "rmse": number(float(numbers["rmse"][0]), place),
            "stated u": number(float(numbers["sigma"][0]), place),
            "z²": number(float(numbers["z2"][0]), -2), "95 %": number(100 * float(numbers["coverage_95"][0]), -1),
        },
    )  # fmt: skip


def _consistent(numbers: dict[str, np.ndarray], bands: dict, z2_band: tuple[float, ...], wide: float) -> np.ndarray:
    """(k,) whether stated and actual uncertainty agree, and there is no bias, within what N replicates can tell."""
    inside = (z2_band[0] <= numbers["z2"]) & (numbers["z2"] <= z2_band[1])
    inside &= np.abs(numbers["bias"]) <= wide * numbers["bias_error"]
    for name, probability in (("coverage_68", 0.6827), ("coverage_95", 0.95)):
        low, high = bands[probability]
        inside &= (low <= numbers[name]) & (numbers[name] <= high)
    return inside


def _verdict(regions, numbers, bands, z2_band, consistent: np.ndarray, count: int, wide: float) -> str:
    low, high = (100.0 * b for b in bands[0.95])
    facts = (
        f"mean z² {number(float(numbers['z2'][0]), -2)} ({number(z2_band[0], -2)}…{number(z2_band[1], -2)} expected), "
        f"95 % intervals hold {number(100.0 * float(numbers['coverage_95'][0]), -1)} % of the truths "
        f"({number(low, -1)}…{number(high, -1)} % expected)"
    )
    if count < ENOUGH:
        return f"{count} replicates are too few to judge the stated uncertainty ({ENOUGH} are asked for): {facts}."
    if consistent.all():
        return f"{count} replicates do not contradict the stated uncertainty: {facts}."
    wrong = []
    for i in np.flatnonzero(~consistent):
        if not z2_band[0] <= numbers["z2"][i] <= z2_band[1]:
            wrong.append(f"{regions[i]}: too {'small' if numbers['z2'][i] > 1.0 else 'large'}")
        elif abs(numbers["bias"][i]) > wide * numbers["bias_error"][i]:
            wrong.append(f"{regions[i]}: biased")
        else:
            wrong.append(f"{regions[i]}: intervals miss their level")
    return f"The stated uncertainty is not true ({'; '.join(wrong)}). {regions[0]}: {facts}."


def _table(setup: Setup, numbers, bands, z2_band) -> Table:
    rows = []
    for i, region in enumerate(setup.totals.regions):
        place = value_place(float(numbers["sigma"][i]))
        bias, error = (float(numbers[n][i]) for n in ("bias", "bias_error"))
        rows.append((
            pretty(region), f"{number(bias, place)} ± {number(error, place)}",
            *(number(float(numbers[n][i]), place) for n in ("rmse_prior", "rmse", "sigma")),
            number(float(numbers["z2"][i]), -2),
            *(number(100.0 * float(numbers[n][i]), -1) for n in ("coverage_68", "coverage_95")),
        ))  # fmt: skip
    inner, outer = ([number(100.0 * b, -1) for b in bands[p]] for p in (0.6827, 0.95))
    caption = (
        f"In {pretty(setup.totals.unit)}. If the stated u is true, z² lies in "
        f"{number(z2_band[0], -2)}…{number(z2_band[1], -2)}, the 68 % interval holds {inner[0]}…{inner[1]} % and the "
        f"95 % interval {outer[0]}…{outer[1]} % of the truths (bands that hold all figures of this table together in "
        "99 % of cases)."
    )
    heads = ("Total", "Bias", "RMSE prior", "RMSE", "Stated u", "z²", "68 %", "95 %")
    return Table("Errors over the replicates (SYNTHETIC)", heads, tuple(rows), caption, tuple(range(1, 8)))

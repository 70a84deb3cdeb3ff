"""task=hyperparameters: standard deviations and length from the data, and what they do to the totals."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import schema
from experiments.cases import Setup
from experiments.numbers import number, value_place, with_uncertainty
from experiments.products.style import pretty
from experiments.progress import stage
from experiments.solvers import name_of, solver_of
from experiments.study import Study, Table
from experiments.tasks.offer import assemble
from inversion.consistency import CrossValidation, cross_validate, desroziers, time_blocks
from inversion.diagnostics import innovations
from inversion.factors import Factors, factors
from inversion.hyperparameters import (
    Estimate,
    Objective,
    fit,
    negative_log_likelihood,
    totals_by_delta,
    totals_by_draws,
)
from inversion.posterior import Totals, require_success
from inversion.solvers import AbstractSolver
from transport.errors import TanhengError

# Solvers of N(x_b, B) with an exact covariance.
GAUSSIAN = ("analytic", "variational", "sequential")


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """All that the study shows."""

    setup: Setup
    names: tuple[str, ...]
    start: np.ndarray
    estimate: Estimate
    gain: float
    configured: Totals
    fixed: Totals
    full: Totals
    validation: dict[str, tuple[CrossValidation, CrossValidation]]
    desroziers: dict[str, float]


def hyperparameters(config: schema.Config) -> Study:
    """The estimate, the totals with its uncertainty, and cross-validation before and after.

    Raises:
        TanhengError: a solver that is not Gaussian; hyper-parameters that the data do not determine.
    """
    task = config.task
    assert isinstance(task, schema.Hyperparameters)
    name = name_of(config)
    if name not in GAUSSIAN:
        raise TanhengError(
            "hyper-parameters need a Gaussian solver", got=f"solver={name}",
            expected=" or ".join(f"solver={n}" for n in GAUSSIAN), remedy="e.g. solver=analytic",
        )  # fmt: skip
    setup = assemble(config)
    solver = solver_of(config, setup)
    family, names, start = _family(setup)
    with stage("largest marginal likelihood"):
        log_start = jnp.log(jnp.asarray(start))
        prior = (None, None) if task.log_sigma is None else (log_start, jnp.full(len(start), task.log_sigma))
        objective = Objective(family, None, *prior)
        estimate = fit(objective, jnp.asarray(start), names)
        if estimate.result != "successful":
            raise TanhengError(
                "the hyper-parameters were not found", got=estimate.result, expected="a clear maximum",
                remedy="give them a prior: task.log_sigma=0.5",
            )  # fmt: skip
        before, after = (negative_log_likelihood(family(t)) for t in (jnp.asarray(start), estimate.theta))
        gain = float(before - after)
    configured = _totals(setup, solver, family(jnp.asarray(start)))
    fixed = _totals(setup, solver, family(estimate.theta))
    weights = jnp.asarray(setup.totals.weights)
    with stage("uncertainty of the totals"):
        if task.draws:
            key = jax.random.key(config.seed)
            full = totals_by_draws(family, estimate, solver, weights, key, task.draws)
        else:
            full = totals_by_delta(family, estimate, solver, weights)
    with stage("cross-validation"):
        validation = _validation(setup, family, start, estimate, task.block_days)
    factors_ = _desroziers(setup, solver) if task.desroziers else {}
    return _study(_Found(setup, names, start, estimate, gain, configured, fixed, full, validation, factors_), config)


def _family(setup: Setup) -> tuple[Factors, tuple[str, ...], np.ndarray]:
    observations, structure = setup.observations, setup.structure
    constraints = sorted(set(np.asarray(observations.groups)[observations.kinds == "constraint"].astype(str)))
    return factors(
        setup.problem, [(name, size) for name, size, _ in setup.blocks], observations.groups, constraints,
        structure.prior_of_length, structure.length_km,
    )  # fmt: skip


def _totals(setup: Setup, solver: AbstractSolver, problem) -> Totals:
    posterior = solver.solve(problem)
    require_success(posterior)
    return posterior.aggregate(jnp.asarray(setup.totals.weights))


def _validation(setup: Setup, family: Factors, start, estimate: Estimate, days: float):
    """Left out together: a site or overpass; a block of days of a site. Constraints stay in."""
    observations = setup.observations
    sites = np.asarray(observations.groups).astype(str)
    before, after = innovations(family(jnp.asarray(start))), innovations(family(estimate.theta))
    groups = {"site or overpass": sites, f"{days:g} days of a site": time_blocks(observations.start, days, sites)}
    return {what: (cross_validate(before, names), cross_validate(after, names)) for what, names in groups.items()}


def _desroziers(setup: Setup, solver: AbstractSolver) -> dict[str, float]:
    with stage("Desroziers diagnostics"):
        found = desroziers(setup.problem, setup.observations.groups, solver)
    factors_ = {f"mismatch σ, {name}": float(f) for name, f in zip(found.groups, found.mismatch, strict=True)}
    return {} if found.result != "successful" else factors_ | {"prior σ": found.prior}


def _study(found: _Found, config: schema.Config) -> Study:
    setup = found.setup
    region, unit = setup.totals.regions[0], setup.totals.unit
    old = " ± ".join(with_uncertainty(float(found.configured.mean[0]), float(found.configured.sigma[0])))
    new = " ± ".join(with_uncertainty(float(found.full.mean[0]), float(found.full.sigma[0])))
    tag = "SYNTHETIC " if setup.synthetic else ""
    share = 1.0 - float(found.fixed.sigma[0] / found.full.sigma[0]) ** 2
    sentences = (
        f"{tag}{region}: {new} {unit} (standard uncertainty) with hyper-parameters from the data and their "
        f"uncertainty, {old} as configured.",
        f"The data are e^{number(found.gain, -1)} times as probable as with the configured values; the uncertainty of "
        f"the hyper-parameters makes {number(100.0 * share, 0)} % of the variance of the total.",
    )
    return Study(
        setup=setup,
        title=f"Hyper-parameters: {setup.title}",
        numbers=_numbers(found, config),
        sentences=sentences,
        tables=(_parameters(found), _totals_table(found), *_validation_tables(found)),
        notes=(
            "Factors multiply the configured standard deviations. The estimate is the mode of the marginal likelihood "
            "in log θ times its prior; its uncertainty is that of the Gaussian which touches it there (Laplace).",
            "What the data do not determine stays at its prior: compare the uncertainty of log θ with task.log_sigma.",
        ),
        sweep={"total": new, "log gain": number(found.gain, -1)},
    )


def _numbers(found: _Found, config: schema.Config) -> dict[str, Any]:
    estimate, task = found.estimate, config.task
    assert isinstance(task, schema.Hyperparameters)
    return {
        "hyper_parameters": [
            {"name": name, "configured": float(found.start[i]), "estimate": float(estimate.theta[i]),
             "log_sigma": float(estimate.log_sigma[i]), "desroziers": found.desroziers.get(name)}
            for i, name in enumerate(found.names)
        ],
        "log_correlation": np.asarray(
            estimate.log_covariance / jnp.outer(estimate.log_sigma, estimate.log_sigma)
        ).tolist(),
        "prior_log_sigma": task.log_sigma, "log_gain": found.gain, "iterations": estimate.iterations,
        "totals": [
            {"region": region, "unit": found.setup.totals.unit,
             **{f"{what}{name}": float(getattr(totals, what)[i])
                for name, totals in (("_configured", found.configured), ("_fixed", found.fixed), ("", found.full))
                for what in ("mean", "sigma")}}
            for i, region in enumerate(found.setup.totals.regions)
        ],
        "cross_validation": {
            what: [
                {"left_out": name, "n": int(after.sizes[g]), "chi2_configured": float(before.chi2[g]),
                 "chi2": float(after.chi2[g]), "log_density_configured": float(before.log_density[g]),
                 "log_density": float(after.log_density[g])}
                for g, name in enumerate(after.groups)
            ]
            for what, (before, after) in found.validation.items()
        },
    }  # fmt: skip


def _parameters(found: _Found) -> Table:
    rows = []
    for i, name in enumerate(found.names):
        theta, s = float(found.estimate.theta[i]), float(found.estimate.log_sigma[i])
        place = value_place(theta * s)
        low, high = (number(theta * float(np.exp(sign * s)), place) for sign in (-1, 1))
        unit = " km" if name == "correlation length" else " ×"
        row = (pretty(name), f"{found.start[i]:g}{unit}", f"{number(theta, place)}{unit}", f"{low} … {high}",
               number(s, -2))  # fmt: skip
        rows.append((*row, number(found.desroziers.get(name), -2)) if found.desroziers else row)
    heads = ("Hyper-parameter", "Configured", "Estimate", "68 % interval", "u of log θ")
    heads = (*heads, "Desroziers") if found.desroziers else heads
    caption = "× is a factor on the configured standard deviation."
    if "prior σ" in found.desroziers:
        caption += f" Desroziers' one factor on all of the prior: {number(found.desroziers['prior σ'], -2)}."
    return Table("Hyper-parameters", heads, tuple(rows), caption, tuple(range(1, len(heads))))


def _totals_table(found: _Found) -> Table:
    rows = []
    for i, region in enumerate(found.setup.totals.regions):
        cells = [with_uncertainty(float(t.mean[i]), float(t.sigma[i]))
                 for t in (found.configured, found.fixed, found.full)]  # fmt: skip
        rows.append((pretty(region), *(" ± ".join(cell) for cell in cells)))
    heads = ("Total", "As configured", "At the estimate", "With its uncertainty")
    caption = f"In {pretty(found.setup.totals.unit)}; ± is one standard uncertainty."
    return Table("Totals", heads, tuple(rows), caption, (1, 2, 3))


def _validation_tables(found: _Found) -> list[Table]:
    tables = []
    for what, (before, after) in found.validation.items():
        count = len(after.groups)
        shown: list[tuple[str, np.ndarray]] = [("all", np.ones(count, bool))]
        if count <= 30:  # of many blocks of days only the sum is read
            shown += [(name, np.arange(count) == g) for g, name in enumerate(after.groups)]
        rows = []
        for name, chosen in shown:
            n = after.sizes[chosen].sum()
            chi2 = [float((v.chi2[chosen] * v.sizes[chosen]).sum() / n) for v in (before, after)]
            density = [float(v.log_density[chosen].sum()) for v in (before, after)]
            rows.append((name, str(n), *(number(c, -2) for c in chi2), *(number(d, -1) for d in density)))
        heads = (
            "Left out",
            "n",
            "χ² as configured",
            "χ² at the estimate",
            "log density as configured",
            "at the estimate",
        )
        caption = (
            f"χ² of the prediction from all other data, 1 is expected; the higher the log density, the better. Skill "
            f"at the estimate: {number(after.skill, -2)} (1 is perfect, 0 no better than the prior)."
        )
        tables.append(Table(f"Cross-validation: {what} left out", heads, tuple(rows), caption, tuple(range(1, 6))))
    return tables

"""The tasks: what `task=NAME` does with a case."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments import schema, simulated
from experiments.cases import Setup, bowen_basin, city, nz_co2, plume, uk_ch4
from experiments.cases.simulation import Simulation
from experiments.checks import LIMITS, MEANING, Evidence, transport_evidence
from experiments.outcome import Outcome, evaluate
from experiments.output import staged, write_json
from experiments.progress import console, stage
from experiments.summary import manifest, summarise
from inversion.posterior import require_success
from inversion.solvers import AbstractSolver
from inversion.solvers.analytic import Analytic
from transport.errors import TanhengError
from transport.linear import adjoint_gap

_ASSEMBLE: dict[type[schema.Case], Callable[[schema.Config], Setup]] = {
    schema.CityCase: city.assemble,
    schema.NewZealandCase: nz_co2.assemble,
    schema.UnitedKingdomCase: uk_ch4.assemble,
}
_SIMULATE: dict[type[schema.Case], Callable[[schema.Config], Simulation]] = {
    schema.BowenBasinCase: bowen_basin.assemble,
    schema.PlumeCase: plume.assemble,
}
# What else a user has to know when a case does not offer a task.
_WHY_NOT: dict[tuple[str, str], str] = {
    ("bowen_basin", "invert"): "its inversion is not part of this version",
    ("plume", "invert"): "it has no observations",
    ("city", "simulate"): "its inversion writes the modelled prior and posterior already",
}


def offered(case: schema.Case) -> list[str]:
    """The tasks that a case can do."""
    kinds = {"invert": type(case) in _ASSEMBLE, "simulate": type(case) in _SIMULATE, "check": True}
    return [name for name, there in kinds.items() if there]


def require_offered(config: schema.Config) -> None:
    """Refuse a task that the case does not offer.

    Raises:
        TanhengError: names the tasks that it does.
    """
    case = next(n for n, kind in schema.NODES["case"].items() if type(config.case) is kind)
    task = next(n for n, kind in schema.NODES["task"].items() if type(config.task) is kind)
    if task not in offered(config.case):
        why = _WHY_NOT.get((case, task), "its responses were computed elsewhere, there is no air to carry forward")
        raise TanhengError(
            f"task={task} is not offered by case {case}", got=f"task={task}: {why}",
            expected=" or ".join(f"task={t}" for t in offered(config.case)),
            remedy=f"e.g. task={offered(config.case)[0]}",
        )  # fmt: skip


def assemble(config: schema.Config) -> Setup:
    """The inverse problem of the chosen case.

    Raises:
        TanhengError: data, options or selection do not fit.
    """
    return _ASSEMBLE[type(config.case)](config)


def solver_of(config: schema.Config) -> AbstractSolver:
    """The solver that the configuration names."""
    schema.expect(config.solver, schema.AnalyticSolver, "solver", "any")
    assert isinstance(config.solver, schema.AnalyticSolver)
    return Analytic(space=config.solver.space.value)


def invert(
    config: schema.Config, resolved: DictConfig, run: dict[str, Any], directory: Path, started: float
) -> dict[str, Any]:
    """Estimate, and write summary.json, manifest.json and the products; returns the summary."""
    setup = assemble(config)
    solver = solver_of(config)
    with stage("posterior"):
        posterior = solver.solve(setup.problem)
        require_success(posterior)
        outcome = evaluate(setup, posterior, type(solver).__name__.lower())
    with staged(directory) as folder:
        provenance = manifest(setup.inputs, setup.seeds, setup.citations, resolved, run)
        figures = _products(config.products, outcome, folder)
        summary = summarise(outcome, time.perf_counter() - started)
        write_json(folder / "summary.json", summary)
        if config.products.report:
            from experiments.report.html import write_report

            with stage("report"):
                write_report(outcome, figures, summary, provenance, folder / "report.html")
        files = sorted([p.name for p in folder.iterdir()] + ["manifest.json"])
        write_json(folder / "manifest.json", provenance | {"files": files})
    return summary


def _products(products: schema.Products, outcome: Outcome, folder: Path) -> dict[str, Path]:
    figures: dict[str, Path] = {}
    if products.figures:
        from experiments.products.maps import draw_maps
        from experiments.products.timeseries import draw_series, draw_totals

        with stage("maps and series"):
            figures |= draw_maps(outcome, folder)
            figures |= draw_series(outcome, folder)
            figures["totals"] = draw_totals(outcome, folder)
    if products.netcdf:
        from experiments.products.netcdf import write_netcdf

        with stage("NetCDF"):
            write_netcdf(outcome, folder / "posterior.nc")
    return figures


def simulate(
    config: schema.Config, resolved: DictConfig, run: dict[str, Any], directory: Path, started: float
) -> dict[str, Any]:
    """Carry the prior forward, and write summary.json, manifest.json and the products; returns the summary."""
    setup = _SIMULATE[type(config.case)](config)
    ready = time.perf_counter() - started
    result = simulated.simulate(setup)
    with staged(directory) as folder:
        provenance = manifest(setup.inputs, {}, setup.citations, resolved, run)
        figures = _simulation_products(config.products, result, folder)
        with stage("numbers"):
            summary = simulated.summarise(result, ready, time.perf_counter() - started)
        write_json(folder / "summary.json", summary)
        if config.products.report:
            from experiments.report.simulation import write_report

            with stage("report"):
                write_report(result, figures, summary, provenance, folder / "report.html")
        files = sorted([p.name for p in folder.iterdir()] + ["manifest.json"])
        write_json(folder / "manifest.json", provenance | {"files": files})
    return summary


def _simulation_products(products: schema.Products, result: simulated.Simulated, folder: Path) -> dict[str, Path]:
    figures: dict[str, Path] = {}
    if products.figures:
        from experiments.products.fields import draw_fields
        from experiments.products.scatter import draw_comparisons

        with stage("maps and frames"):
            figures |= draw_fields(result, folder)
            figures |= draw_comparisons(result, folder)
    if products.figures and products.animation:
        from experiments.products.fields import draw_animation

        with stage("animation"):
            figures["animation"] = draw_animation(result, folder)
    if products.netcdf:
        from experiments.products.netcdf_fields import write_fields

        with stage("NetCDF"):
            write_fields(result, folder / "fields.nc")
    return figures


def evidence_of(config: schema.Config) -> Evidence:
    """The checks of a case: of our own transport where it has one, else the adjoint identity of H."""
    assert isinstance(config.task, schema.Check)
    if isinstance(config.case, schema.CityCase):
        return city.check(config)
    if type(config.case) in _SIMULATE:
        setup = _SIMULATE[type(config.case)](config)
        return transport_evidence(setup.transport, setup.sources, pairs=config.task.pairs)
    gap = adjoint_gap(assemble(config).problem.H, config.task.pairs)
    return Evidence({"adjoint_identity": gap}, {"adjoint_identity": LIMITS["adjoint_identity"]})


def check(config: schema.Config, directory: Path) -> Evidence:
    """Print and write the numerical evidence of a case.

    Raises:
        TanhengError: a check misses its limit.
    """
    with stage("numerical checks"):
        evidence = evidence_of(config)
    for name, fact in evidence.facts.items():
        console.print(f"  {name:<28s} {fact}")
    for name, value in evidence.values.items():
        console.print(f"  {name:<28s} {value:.3e}   ≤ {evidence.limits[name]:.0e}   {MEANING[name]}")
    for note in evidence.notes:
        console.print(f"  {note}", soft_wrap=True)
    content = {"evidence": evidence.values, "limits": evidence.limits, "failed": evidence.failed}
    with staged(directory) as folder:
        write_json(folder / "check.json", content | {"facts": evidence.facts, "notes": evidence.notes})
    if evidence.failed:
        raise TanhengError(
            "a numerical check failed",
            got={name: evidence.values[name] for name in evidence.failed},
            expected={name: evidence.limits[name] for name in evidence.failed},
            remedy="do not use these results; report the configuration",
        )
    return evidence

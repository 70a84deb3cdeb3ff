"""The tasks: what `task=NAME` does with a case."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments import schema
from experiments.cases import Setup, city, nz_co2, uk_ch4
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


def assemble(config: schema.Config) -> Setup:
    """The problem of the chosen case.

    Raises:
        TanhengError: data, options or selection do not fit.
    """
    return _ASSEMBLE[type(config.case)](config)


def solver_of(config: schema.Config) -> AbstractSolver:
    """The solver that the configuration names."""
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
        provenance = manifest(setup, resolved, run)
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


def check(config: schema.Config, directory: Path) -> dict[str, float]:
    """Adjoint identity of H, and for our own transport also continuity, uniform tracer and Courant number.

    Raises:
        TanhengError: a check misses its limit.
    """
    assert isinstance(config.task, schema.Check)
    limits = {"adjoint_identity": 1e-13}
    if isinstance(config.case, schema.CityCase):
        with stage("numerical checks"):
            evidence = city.check(config)
        limits |= {"continuity": 1e-12, "uniform_tracer": 1e-12, "courant": 1.0}
    else:
        evidence = {"adjoint_identity": adjoint_gap(assemble(config).problem.H, config.task.pairs)}
    failed = [name for name, limit in limits.items() if not evidence[name] <= limit]
    for name, value in evidence.items():
        console.print(f"  {name:<28s} {value:.3e}   ≤ {limits[name]:.0e}")
    with staged(directory) as folder:
        write_json(folder / "check.json", {"evidence": evidence, "limits": limits, "failed": failed})
    if failed:
        raise TanhengError(
            "a numerical check failed",
            got={name: evidence[name] for name in failed},
            expected={name: limits[name] for name in failed},
            remedy="do not use these results; report the configuration",
        )
    return evidence

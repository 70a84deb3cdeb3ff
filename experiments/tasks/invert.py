"""task=invert: estimate emissions, write every product."""

import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments import schema
from experiments.comparison import beside, place_of, read_account
from experiments.outcome import Outcome, evaluate
from experiments.output import staged, write_json
from experiments.progress import stage
from experiments.solvers import WithTransport, name_of, solver_of
from experiments.summary import manifest, summarise
from experiments.tasks.offer import assemble
from inversion.posterior import require_success


def invert(
    config: schema.Config, resolved: DictConfig, run: dict[str, Any], directory: Path, started: float
) -> dict[str, Any]:
    """Estimate, and write summary.json, manifest.json and the products; returns the summary."""
    assert isinstance(config.task, schema.Invert)
    accounts = [read_account(path) for path in config.task.accounts]
    setup = assemble(config)
    for account in accounts:  # before the solver's hours are spent
        place_of(account, setup.totals)
    solver, name = solver_of(config, setup), name_of(config)
    with stage(f"posterior, solver={name}"):
        posterior = solver.solve(setup.problem)
        require_success(posterior)
        names = solver.problem_of.names if isinstance(solver, WithTransport) else ()
        outcome = evaluate(setup, posterior, name, solver.prior(setup.problem), names)
    found = tuple(beside(account, setup.totals, outcome.totals) for account in accounts)
    inputs = setup.inputs | {account.path: account.sha256 for account in accounts}
    with staged(directory) as folder:
        provenance = manifest(inputs, setup.seeds, setup.citations, resolved, run)
        figures = _products(config.products, outcome, folder)
        summary = summarise(outcome, time.perf_counter() - started, found)
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
        from experiments.products.soundings import draw_soundings
        from experiments.products.timeseries import draw_series, draw_totals

        with stage("maps and series"):
            figures |= draw_maps(outcome, folder)
            figures |= draw_soundings(outcome, folder)
            figures |= draw_series(outcome, folder)
            figures["totals"] = draw_totals(outcome, folder)
    if products.netcdf:
        from experiments.products.netcdf import write_netcdf

        with stage("NetCDF"):
            write_netcdf(outcome, folder / "posterior.nc")
    return figures

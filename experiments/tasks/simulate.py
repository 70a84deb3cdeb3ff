"""task=simulate: carry the prior forward; nothing is estimated."""

import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments import schema, simulated
from experiments.output import staged, write_json
from experiments.progress import stage
from experiments.summary import manifest
from experiments.tasks.offer import SIMULATE


def simulate(
    config: schema.Config, resolved: DictConfig, run: dict[str, Any], directory: Path, started: float
) -> dict[str, Any]:
    """Carry the prior forward, and write summary.json, manifest.json and the products; returns the summary."""
    setup = SIMULATE[type(config.case)](config)
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

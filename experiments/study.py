"""What a task beyond a single inversion found (an experiment, a ranking, a preview): numbers, tables, figures."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table as Shown

from experiments import schema
from experiments.cases import Setup
from experiments.cases.region import Region
from experiments.output import staged, write_json
from experiments.progress import console, stage
from experiments.summary import manifest, peak_memory_mib


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts; `numbers` are the columns that are aligned to the right."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numbers: tuple[int, ...] = ()

    def show(self) -> None:
        """Print it; lines wrap on a narrow terminal, a cell is never cut."""
        table = Shown(title=self.title, title_justify="left", caption=self.caption or None, caption_justify="left")
        for i, head in enumerate(self.heads):
            table.add_column(head, justify="right" if i in self.numbers else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*(escape(cell) for cell in row))
        console.print(table, width=max(console.width, console.measure(table).maximum), crop=False, soft_wrap=True)


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """A finished task.

    Args:
        setup: the case, with `synthetic` as it holds for these results.
        title: of the page.
        numbers: for summary.json.
        sentences: the answer in one or two sentences.
        tables: for terminal and page.
        figures: file name without suffix to what draws it.
        datasets: file name without suffix to what writes it as NetCDF.
        notes: what a reader must know.
        sweep: what a sweep's table shows of it, texts by column.
    """

    setup: Setup | Region
    title: str
    numbers: dict[str, Any]
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    figures: dict[str, Callable[[], Figure]] = dataclasses.field(default_factory=dict)
    datasets: dict[str, Callable[[Path], None]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sweep: dict[str, str] = dataclasses.field(default_factory=dict)


def publish(
    study: Study, config: schema.Config, resolved: DictConfig, run: dict[str, Any], directory: Path, started: float
) -> None:
    """Print the tables; write summary.json, manifest.json, figures, NetCDF files and the page."""
    setup = study.setup
    for table in study.tables:
        table.show()
    with staged(directory) as folder:
        provenance = manifest(setup.inputs, setup.seeds, setup.citations, resolved, run)
        figures = {}
        if config.products.figures:
            from experiments.products import style

            with stage("figures"):
                for name, draw in study.figures.items():
                    figures[name] = style.save(draw(), folder / f"{name}.png")
        if config.products.netcdf and study.datasets:
            with stage("NetCDF"):
                for name, write in study.datasets.items():
                    write(folder / f"{name}.nc")
        summary = {
            "case": setup.name, "title": study.title, "synthetic": bool(setup.synthetic), **study.numbers,
            "sweep": study.sweep, "wall_seconds": time.perf_counter() - started,
            "peak_memory_mib": peak_memory_mib(),
        }  # fmt: skip
        write_json(folder / "summary.json", summary)
        if config.products.report:
            from experiments.report.page import write_page

            write_page(study, figures, provenance, folder / "report.html")
        files = sorted([p.name for p in folder.iterdir()] + ["manifest.json"])
        write_json(folder / "manifest.json", provenance | {"files": files})

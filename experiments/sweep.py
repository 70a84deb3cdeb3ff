"""One table for a sweep: `sweep_summary.json` and `.csv` beside the jobs, and a table on the terminal."""

import csv
import json
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.table import Table

from experiments.catalogue import groups
from experiments.numbers import with_uncertainty
from experiments.output import write_json
from experiments.progress import console

STATUS = "status.json"


class SweepSummary(Callback):
    """Gathers the jobs of a multirun. Updated after each job, so that a failed job does not cost the table."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Mark the job as running."""
        if config.hydra.mode.name == "MULTIRUN":
            folder = Path(config.hydra.runtime.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / STATUS, {"status": "running", "overrides": list(config.hydra.overrides.task)})

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Mark the job as done and rewrite the table."""
        if config.hydra.mode.name != "MULTIRUN":
            return
        failed = job_return.status.name != "COMPLETED"
        status = {"status": "failed" if failed else "completed", "overrides": list(config.hydra.overrides.task)}
        if failed:
            status["error"] = str(job_return._return_value)
        write_json(Path(config.hydra.runtime.output_dir) / STATUS, status)
        _write(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Show the table."""
        folder = Path(config.hydra.sweep.dir)
        show(folder)
        console.print(f"  {(folder / 'sweep_summary.json').resolve()}", soft_wrap=True)


def collect(folder: Path) -> list[dict[str, Any]]:
    """One row per job: overrides, status, headline total and fit."""
    rows = []
    for status_file in sorted(folder.glob(f"*/{STATUS}"), key=lambda p: (len(p.parent.name), p.parent.name)):
        status = json.loads(status_file.read_text("utf-8"))
        row = {"job": status_file.parent.name, **_split(status["overrides"]), "status": status["status"]}
        if "error" in status:
            row["error"] = status["error"]
        summary_file = status_file.parent / "summary.json"
        if summary_file.is_file():
            summary = json.loads(summary_file.read_text("utf-8"))
            total, fit = summary["totals"][0], summary["fit"][0]
            names = ("region", "period", "prior", "u_prior", "posterior", "u_posterior", "unit", "truth")
            row |= {name: total[name] for name in names if name in total}
            row |= {"n_obs": summary["n_obs"], "chi2": summary["chi2"], "dfs": summary["dfs"]}
            row |= {"rmse_prior": fit["rmse_prior"], "rmse_posterior": fit["rmse_posterior"], "fit_unit": fit["unit"]}
        rows.append(row)
    return rows


def _split(overrides: list[str]) -> dict[str, str]:
    return dict(o.lstrip("+~").split("=", 1) for o in overrides if "=" in o)


def _write(folder: Path) -> None:
    rows = collect(folder)
    write_json(folder / "sweep_summary.json", rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "sweep_summary.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def show(folder: Path) -> None:
    """Print the table of a sweep: one column per swept option, prior, posterior and fit."""
    rows = collect(folder)
    options = [k for k in dict.fromkeys(k for row in rows for k in row) if "." in k or k in groups()]
    swept = [k for k in options if len({row.get(k) for row in rows}) > 1]
    head = next((row for row in rows if "region" in row), None)
    title = f"{head['region']}, {head['period']}; ± is one standard uncertainty" if head else None
    table = Table(title=title, title_justify="left")
    for name in swept:
        table.add_column(name.rpartition(".")[2], no_wrap=True)
    for name in ("n", f"prior, {head['unit']}", "posterior", f"RMSE, {head['fit_unit']}") if head else ("status",):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(row.get(k, "") for k in swept), *_cells(row, head is not None))
    console.print(table, width=max(console.width, 110))


def _cells(row: dict[str, Any], numbers: bool) -> list[str]:
    if "posterior" not in row:
        return ["", "", row["status"], ""] if numbers else [row["status"]]
    return [
        str(row["n_obs"]),
        " ± ".join(with_uncertainty(row["prior"], row["u_prior"])),
        " ± ".join(with_uncertainty(row["posterior"], row["u_posterior"])),
        f"{row['rmse_prior']:.1f} → {row['rmse_posterior']:.1f}",
    ]

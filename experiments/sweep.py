"""One table for a sweep: `sweep_summary.json` and `.csv` beside the jobs, and a table on the terminal."""

import csv
import json
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.table import Table

from experiments.numbers import number, value_place, with_uncertainty
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
    """One row per job: its options, status, headline total and fit."""
    rows = []
    for status_file in sorted(folder.glob(f"*/{STATUS}"), key=lambda p: (len(p.parent.name), p.parent.name)):
        status = json.loads(status_file.read_text("utf-8"))
        options = dict(o.lstrip("+~").split("=", 1) for o in status["overrides"] if "=" in o)
        row = {"job": status_file.parent.name, "options": options, "status": status["status"]}
        if "error" in status:
            row["error"] = status["error"]
        summary_file = status_file.parent / "summary.json"
        if summary_file.is_file():
            summary = json.loads(summary_file.read_text("utf-8"))
            fit = summary["fit"][0]
            row |= summary["totals"][0] | {name: summary[name] for name in ("n_obs", "chi2", "dfs")}
            row |= {"rmse_prior": fit["rmse_prior"], "rmse_posterior": fit["rmse_posterior"], "fit_unit": fit["unit"]}
        rows.append(row)
    return rows


def _write(folder: Path) -> None:
    rows = collect(folder)
    write_json(folder / "sweep_summary.json", rows)
    flat = [row["options"] | {k: v for k, v in row.items() if k != "options"} for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    with (folder / "sweep_summary.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(flat)


def show(folder: Path) -> None:
    """Print the table of a sweep: one column per swept option, then prior, posterior, truth where known, and fit."""
    rows = collect(folder)
    names = dict.fromkeys(name for row in rows for name in row["options"])
    swept = [name for name in names if len({row["options"].get(name) for row in rows}) > 1]
    known = any("truth" in row for row in rows)
    regions = {row["region"] for row in rows if "region" in row}
    title = f"{regions.pop()}; ± is one standard uncertainty" if len(regions) == 1 else "± is one standard uncertainty"
    table = Table(title=title, title_justify="left")
    for name in swept:
        table.add_column(name.rpartition(".")[2], no_wrap=True)
    for name in ("n", "prior", "posterior", *(["truth"] if known else []), "unit", "RMSE"):
        table.add_column(name, justify="left" if name == "unit" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row["options"].get(name, "") for name in swept), *_cells(row, known))
    console.print(table)


def _cells(row: dict[str, Any], known: bool) -> list[str]:
    if "posterior" not in row:
        return ["", "", row["status"]]
    truth = [number(row.get("truth"), value_place(row["u_posterior"]))] if known else []
    return [
        str(row["n_obs"]),
        " ± ".join(with_uncertainty(row["prior"], row["u_prior"])),
        " ± ".join(with_uncertainty(row["posterior"], row["u_posterior"])),
        *truth,
        row["unit"],
        f"{row['rmse_prior']:.1f} → {row['rmse_posterior']:.1f} {row['fit_unit']}",
    ]

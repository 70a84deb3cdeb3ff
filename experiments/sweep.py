"""One table for a sweep: `sweep_summary.json` and `.csv` beside the jobs, and a table on the terminal."""

import csv
import json
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.table import Table

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
        console.print(f"  {folder / 'sweep_summary.json'}")


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
    """Print the table of a sweep."""
    rows = collect(folder)
    swept = [k for k in (rows[0] if rows else {}) if "=" not in k and len({str(r.get(k)) for r in rows}) > 1]
    swept = [k for k in swept if k in _split_names(folder)]
    table = Table(title=next((f"{r['region']}, {r['period']}, {r['unit']}" for r in rows if "region" in r), None))
    for name in [*swept, "n_obs", "prior", "posterior", "RMSE"]:
        table.add_column(name, justify="left" if name in swept else "right")
    for row in rows:
        cells = [str(row.get(k, "")) for k in swept]
        if "posterior" in row:
            cells += [
                str(row["n_obs"]),
                f"{row['prior']:.2f} ± {row['u_prior']:.2f}",
                f"{row['posterior']:.2f} ± {row['u_posterior']:.2f}",
                f"{row['rmse_prior']:.1f} → {row['rmse_posterior']:.1f} {row['fit_unit']}",
            ]
        else:
            cells += ["", "", row["status"], ""]
        table.add_row(*cells)
    console.print(table)


def _split_names(folder: Path) -> set[str]:
    names: set[str] = set()
    for status_file in folder.glob(f"*/{STATUS}"):
        names |= set(_split(json.loads(status_file.read_text("utf-8"))["overrides"]))
    return names

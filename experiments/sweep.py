"""One table for a sweep: `sweep_summary.json` and `.csv` beside the jobs, and a table on the terminal."""

import csv
import json
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from experiments.numbers import number, value_place, with_uncertainty
from experiments.output import write_json
from experiments.progress import console
from transport.errors import TanhengError

STATUS = "status.json"


class SweepSummary(Callback):
    """Gathers the jobs of a multirun. Updated after each job, so that a failed job does not cost the table."""

    # Output directory of each failed job to its message; the job itself ends quietly so that the others run.
    failures: ClassVar[dict[str, str]] = {}

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Mark the job as running."""
        if config.hydra.mode.name == "MULTIRUN":
            self._note(config, "running")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Mark the job as done and rewrite the table."""
        if config.hydra.mode.name == "MULTIRUN":
            error = self.failures.get(config.hydra.runtime.output_dir)
            self._note(config, "completed" if error is None else "failed", **({"error": error} if error else {}))
            _write(Path(config.hydra.sweep.dir))

    def _note(self, config: DictConfig, status: str, **more: str) -> None:
        folder = Path(config.hydra.runtime.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / STATUS, {"status": status, "overrides": list(config.hydra.overrides.task), **more})

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Show the table."""
        folder = Path(config.hydra.sweep.dir)
        if not collect(folder):
            empty = TanhengError(
                "the sweep has no job", got="0 jobs", expected="at least one value per swept option",
                remedy="check the ranges and lists of the overrides",
            )  # fmt: skip
            self.failures[str(folder)] = str(empty)
            console.print(f"tanheng: {empty}", style="red")
            return
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
        if status["status"] == "completed" and summary_file.is_file():
            summary = json.loads(summary_file.read_text("utf-8"))
            if "sweep" in summary or "emission_total" in summary:  # a study; a forward run
                row |= {"study": summary["sweep"]} if "sweep" in summary else _forward(summary)
                rows.append(row)
                continue
            fit = summary["fit"][0]
            row |= summary["totals"][0] | {name: summary[name] for name in ("n_obs", "chi2", "dfs", "synthetic")}
            row |= {"rmse_prior": fit["rmse_prior"], "rmse_posterior": fit["rmse_posterior"], "fit_unit": fit["unit"]}
        rows.append(row)
    return rows


def _forward(summary: dict[str, Any]) -> dict[str, Any]:
    """The row of a forward run."""
    fit = summary["soundings"] or {}
    return {
        "emission_total": summary["emission_total"]["value"],
        "emission_unit": summary["emission_total"]["unit"],
        "column_enhancement_max": summary["column_enhancement"]["max"],
        "column_unit": summary["column_enhancement"]["unit"],
        "budget_closure": summary["budget"]["closure"],
        "transport_seconds": summary["seconds"]["transport"],
        "n_obs": fit.get("n", 0),
        "correlation": fit.get("correlation"),
        "synthetic": summary["synthetic"],
    }


def _write(folder: Path) -> None:
    rows = collect(folder)
    write_json(folder / "sweep_summary.json", rows)
    nested = ("options", "study")
    flat = [row["options"] | {k: v for k, v in row.items() if k not in nested} | row.get("study", {}) for row in rows]
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
    heads = [row for row in rows if "region" in row]
    known = any("truth" in row for row in heads)
    table = Table(title=_title(heads), title_justify="left")
    for name in swept:
        table.add_column(name.rpartition(".")[2], no_wrap=True)
    numbers = ["n", "prior", "posterior", *(["truth"] if known else []), "RMSE"] if heads else []
    studies = list(dict.fromkeys(name for row in rows for name in row.get("study", {})))
    numbers += studies
    for name in [*numbers, "status"]:
        table.add_column(name, justify="left" if name == "status" else "right", no_wrap=True)
    for row in rows:
        cells = _cells(row, known) if "region" in row else [""] * (len(numbers) - len(studies))
        cells += [row.get("study", {}).get(name, "") for name in studies]
        table.add_row(*(escape(row["options"].get(name, "")) for name in swept), *cells, row["status"])
    # A cell is never cut: on a narrow terminal the lines wrap instead.
    console.print(table, width=max(console.width, console.measure(table).maximum), crop=False, soft_wrap=True)


def _title(heads: list[dict[str, Any]]) -> str:
    unique = {(row["region"], row["unit"], row["fit_unit"], row["synthetic"]) for row in heads}
    if len(unique) != 1:
        return "± is one standard uncertainty"
    region, unit, fit_unit, synthetic = unique.pop()
    tag = "SYNTHETIC " if synthetic else ""
    return f"{tag}{region}, {unit}; ± is one standard uncertainty; RMSE in {fit_unit}"


def _cells(row: dict[str, Any], known: bool) -> list[str]:
    truth = [number(row.get("truth"), value_place(row["u_posterior"]))] if known else []
    return [
        str(row["n_obs"]),
        " ± ".join(with_uncertainty(row["prior"], row["u_prior"])),
        " ± ".join(with_uncertainty(row["posterior"], row["u_posterior"])),
        *truth,
        f"{row['rmse_prior']:.1f} → {row['rmse_posterior']:.1f}",
    ]

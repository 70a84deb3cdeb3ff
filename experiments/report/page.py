"""The page of a study: its answer, tables and figures in one file that asks nothing of the network."""

import dataclasses
from pathlib import Path
from typing import Any

from experiments.products.style import pretty
from experiments.report.html import TEXT, inline, provenance, references, render
from experiments.study import Study

EYEBROWS = {
    "osse": "Tanheng · observing-system experiment",
    "network": "Tanheng · network design",
    "preview": "Tanheng · preview",
    "hyperparameters": "Tanheng · hyper-parameters",
    "prior": "Tanheng · prior",
}


def write_page(study: Study, figures: dict[str, Path], manifest: dict[str, Any], path: Path) -> None:
    """Write the page.

    Args:
        study: what was found.
        figures: PNG files by name.
        manifest: what `experiments.summary.manifest` returns.
        path: the file; an existing one is replaced.
    """
    context = {
        "t": TEXT,
        "eyebrow": EYEBROWS[manifest["choices"]["task"]],
        "title": pretty(study.title),
        "synthetic": study.setup.synthetic,
        "sentences": [pretty(s) for s in study.sentences],
        "tables": [dataclasses.replace(t, heads=tuple(map(pretty, t.heads))) for t in study.tables],
        "figures": {name: inline(file) for name, file in figures.items()},
        "notes": [pretty(note) for note in study.notes],
        "citations": references(manifest),
        "provenance": provenance(manifest),
    }
    Path(path).write_text(render("page.html.j2", context), encoding="utf-8")

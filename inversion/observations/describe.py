"""A set of observations as a table that people read: what came, what was left out and why, and how well it is known."""

import io

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from inversion.observations.observations import Observations


def describe(observations: Observations, width: int = 120) -> str:
    """Three tables: the sites or overpasses, the steps from file to now, the causes of error; and the sources.

    Args:
        observations: any set.
        width: characters per line.
    """
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None)
    console.print(repr(observations), soft_wrap=True, highlight=False, markup=False)
    for table in (_places(observations), _steps(observations), _components(observations)):
        if table.row_count:
            console.print(table)
    for source in observations.sources:
        text = f"{source.name} (sha256 {source.sha256[:12]}…, {source.reader}, time stamps: {source.stamp})"
        console.print("\n".join([text, *(f"  {note}" for note in source.notes)]), highlight=False, markup=False)
    return out.getvalue()


def _table(title: str, *columns: tuple[str, bool]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, number in columns:
        table.add_column(name, justify="right" if number else "left")
    return table


def _places(observations: Observations) -> Table:
    table = _table(
        "Groups", ("group", False), ("kind", False), ("n", True), ("first", False), ("last", False), ("mean", True),
        ("sd", True), (f"σ, {observations.unit}", True), ("scale", False),
    )  # fmt: skip
    names = np.unique(observations.groups)
    for name in names[:30]:
        rows = np.flatnonzero(observations.groups == name)
        values, sigma = observations.values[rows], observations.sigma[rows]
        known = sigma[np.isfinite(sigma)]
        table.add_row(
            str(name), "/".join(np.unique(observations.kinds[rows])), str(rows.size),
            str(observations.start[rows].min().astype("datetime64[m]")),
            str(observations.end[rows].max().astype("datetime64[m]")), f"{values.mean():.5g}",
            f"{values.std(ddof=1):.3g}" if rows.size > 1 else "–",
            f"{np.sqrt(np.mean(known**2)):.3g}" if known.size and known.any() else "–",
            "/".join(s or "unknown" for s in np.unique(observations.scales[rows])),
        )  # fmt: skip
    if len(names) > 30:
        table.add_row(f"and {len(names) - 30} more", *[""] * 8)
    return table


def _steps(observations: Observations) -> Table:
    table = _table("From the files", ("step", False), ("before", True), ("kept", True), ("left out", False))
    for step in observations.steps:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in step.dropped) or "–"
        table.add_row(step.what, str(step.before), str(step.kept), reasons)
    return table


def _components(observations: Observations) -> Table:
    table = _table(
        "Causes of error (one standard deviation)", ("cause", False), (f"RMS, {observations.unit}", True),
        ("stated for", True), ("shared errors", True),
    )  # fmt: skip
    for component in observations.components:
        known = np.isfinite(component.sigma)
        rms = f"{np.sqrt(np.mean(component.sigma[known] ** 2)):.3g}" if known.any() else "–"
        shared = len(set(component.groups[known]) - {""})
        table.add_row(component.cause, rms, str(int(known.sum())), str(shared) if shared else "none")
    return table

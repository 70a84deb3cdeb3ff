"""report.html of a forward run: fields, comparisons, budget, evidence and provenance in one file."""

import base64
from pathlib import Path
from typing import Any

from experiments.numbers import number, rounded
from experiments.products.style import pretty
from experiments.report.html import TEXT, inline, provenance, references, render
from experiments.simulated import Simulated

# Every word that a reader of this report sees beside those of the inversion's report.
WORDS = {
    "eyebrow": "Tanheng · forward run",
    "fields": "Fields",
    "figure_fields": "Maps of the mole fraction above the inflow",
    "read_fields": "Mole fractions are dry. Pointed ends of a colour bar mean that some values lie beyond it; the "
    "limit is the 99.5th percentile where a few cells are much higher.",
    "comparison": "Comparison",
    "figure_comparison": "Modelled and observed columns",
    "emissions": "Emissions",
    "sector": "Sector or source",
    "rate": "Mean rate ({unit})",
    "total": "Total",
    "budget": "Mass budget of the run",
    "term": "Term",
    "amount": "Amount ({unit})",
    "entered": "Entered through the {side}",
    "left": "Left through the {side}",
    "emitted": "Emitted",
    "net": "Net through the sides",
    "stored": "Change in the air of the domain",
    "deposited": "Deposited",
    "decayed": "Decayed",
    "budget_why": "Each term is counted where it happens. Left unexplained: {closure}.",
    "inside_why": "Of the emission, {inside} {unit} are in the domain at the end; the rest has left it{lost}.",
    "lost": " or was lost",
    "soundings": "Soundings",
    "quantity": "Quantity",
    "value": "Value",
    "n": "Soundings used",
    "observed": "Observed, mean and standard deviation over the soundings",
    "modelled": "Modelled, mean and standard deviation over the soundings",
    "difference": "Mean of modelled minus observed",
    "rms": "RMS of modelled minus observed",
    "r": "Correlation",
    "enhancement": "Largest modelled enhancement",
    "other": "Pattern of the hourly column-mean enhancement against {name}",
    "r_all": "Correlation over all hours and cells",
    "r_hour": "Correlation within an hour, median (smallest)",
    "rms_other": "RMS difference",
    "means": "Mean enhancement, ours and theirs",
    "numerics": "Transport",
    "scheme": "Scheme, precision",
    "cells": "Layers × rows × columns",
    "grid": "Grid",
    "steps": "Intervals, steps per interval, sub-sweeps (x, y)",
    "courant": "Largest Courant number of a sub-sweep",
    "continuity": "Continuity residual",
    "correction": "Change of the wind by the mass balance, rms (largest)",
    "imbalance": "What columns lacked before, of their air per interval",
    "lowest": "Smallest mole fraction anywhere",
    "lowest_why": "An unlimited (linear) scheme undershoots beside steep plumes; it is kept because its adjoint is "
    "exact. transport.scheme=ppm_limited has no undershoot and no adjoint.",
    "weather": "Weather",
    "seconds": "Wall time: weather and set-up, transport, budget, whole run",
    "memory": "Peak memory",
    "headline": "{species} emitted, mean of {hours} h from {start} UTC",
    "sentence": "The column mean rises to {largest} {unit} above the inflow of {inflow} {unit}, the air near the "
    "ground to {ground} {unit} above it.",
}


def write_report(
    run: Simulated, figures: dict[str, Path], summary: dict[str, Any], manifest: dict[str, Any], path: Path
) -> None:
    """Write the report of a forward run as one HTML file with everything inside.

    Args:
        run: the finished run.
        figures: PNG and GIF files by name, as `draw_fields`, `draw_comparisons` and `draw_animation` return them.
        summary: what `experiments.simulated.summarise` returns.
        manifest: what `experiments.summary.manifest` returns.
        path: the file; an existing one is replaced.
    """
    setup = run.setup
    assumptions = []
    if setup.soundings is not None:
        assumptions.append(setup.soundings.assumption)
    if run.other is not None:
        assumptions.append(run.other.caveat)
    context = {
        "t": TEXT,
        "s": WORDS,
        "title": pretty(setup.title),
        "synthetic": setup.synthetic,
        "headline": _headline(summary),
        "figures": {
            "fields": [_image(figures[n]) for n in ("map", "frames", "animation") if n in figures],
            "soundings": [_image(figures[n]) for n in ("soundings",) if n in figures],
            "comparison": [_image(figures[n]) for n in ("comparison",) if n in figures],
        },
        "assumptions": [pretty(a) for a in assumptions],
        "tables": _tables(summary),
        "notes": [pretty(n) for n in (*setup.notes, *setup.domain.prepared.notes)],
        "citations": references(manifest),
        "provenance": provenance(manifest),
    }
    Path(path).write_text(render("simulation.html.j2", context), encoding="utf-8")


def _image(path: Path) -> str:
    if path.suffix == ".png":
        return inline(path)
    return "data:image/gif;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _headline(summary: dict[str, Any]) -> dict[str, str]:
    total, column, ground = summary["emission_total"], summary["column_enhancement"], summary["near_ground_enhancement"]
    return {
        "what": WORDS["headline"].format(
            species=pretty(summary["species"]), hours=f"{summary['hours']:g}",
            start=summary["window"][0][:16].replace("T", " "),
        ),
        "value": rounded(total["value"]),
        "unit": pretty(total["unit"]),
        "sentence": WORDS["sentence"].format(
            largest=rounded(column["max"]), ground=rounded(ground["max"]), unit=column["unit"],
            inflow=number(summary["inflow"]["value"], -1),
        ),
    }  # fmt: skip


def _table(title: str, heads: list[str], rows: list[tuple[str, ...]], caption: str = "") -> dict[str, Any]:
    """Columns after the first hold numbers."""
    return {"title": pretty(title), "heads": heads, "rows": rows, "caption": caption, "numbers": range(1, len(heads))}


def _tables(summary: dict[str, Any]) -> list[dict[str, Any]]:
    tables = [_emissions(summary), _budget(summary)]
    if summary["soundings"] is not None:
        tables.append(_soundings(summary["soundings"]))
    if summary["comparison"] is not None:
        tables.append(_comparison(summary["comparison"]))
    return [*tables, _numerics(summary)]


def _emissions(summary: dict[str, Any]) -> dict[str, Any]:
    unit = summary["emission_total"]["unit"]
    total = summary["emission_total"]["value"]
    rows = [(pretty(e["name"]), rounded(e["value"])) for e in summary["emissions"]] + [(WORDS["total"], rounded(total))]
    return _table(WORDS["emissions"], [WORDS["sector"], WORDS["rate"].format(unit=pretty(unit))], rows)


def _budget(summary: dict[str, Any]) -> dict[str, Any]:
    budget = summary["budget"]
    sides = [s for s in budget["entered"] if budget["entered"][s] or budget["left"][s]]
    rows = [(WORDS["emitted"], rounded(budget["emitted"]))]
    for way in ("entered", "left"):
        rows += [(WORDS[way].format(side=s), rounded(budget[way][s])) for s in sides]
    net = sum(budget["entered"].values()) - sum(budget["left"].values())
    rows.append((WORDS["net"], rounded(net)))
    rows += [(WORDS[n], rounded(budget[n])) for n in ("deposited", "decayed") if budget[n]]
    rows.append((WORDS["stored"], rounded(budget["stored"])))
    unit = pretty(budget["unit"])
    lost = WORDS["lost"] if budget["deposited"] or budget["decayed"] else ""
    caption = WORDS["budget_why"].format(
        closure=f"{budget['closure']:.0e} of the largest term" if budget["closure"] else "nothing beyond rounding"
    )
    left = budget["emission_in_the_domain_at_the_end"]
    if left is not None:
        caption += " " + WORDS["inside_why"].format(unit=unit, lost=lost, inside=rounded(left))
    return _table(WORDS["budget"], [WORDS["term"], WORDS["amount"].format(unit=unit)], rows, caption)


def _soundings(fit: dict[str, Any]) -> dict[str, Any]:
    def pair(mean, sd):
        return f"{number(mean, -1)}, {number(sd, -1)} ppb"

    rows = [
        (WORDS["n"], number(fit["n"], 0)),
        *((f"Dropped: {reason}", number(count, 0)) for reason, count in fit["dropped"].items() if count),
        (WORDS["observed"], pair(fit["observed_mean"], fit["observed_sd"])),
        (WORDS["modelled"], pair(fit["modelled_mean"], fit["modelled_sd"])),
        (WORDS["difference"], f"{number(fit['mean_difference'], -1)} ppb"),
        (WORDS["rms"], f"{number(fit['rms_difference'], -1)} ppb"),
        (WORDS["r"], number(fit["correlation"], -2)),
        (WORDS["enhancement"], f"{number(fit['modelled_enhancement_max'], -1)} ppb"),
    ]
    return _table(WORDS["soundings"], [WORDS["quantity"], WORDS["value"]], rows)


def _comparison(numbers: dict[str, Any]) -> dict[str, Any]:
    def two(name):
        return number(numbers[name], -2)

    rows = [
        (WORDS["r_all"], two("correlation_all_hours")),
        (WORDS["r_hour"], f"{two('correlation_hour_median')} ({two('correlation_hour_min')})"),
        (WORDS["rms_other"], f"{two('rms_difference')} ppb"),
        (WORDS["means"], f"{two('mean_enhancement')}, {two('mean_enhancement_other')} ppb"),
    ]
    title = WORDS["other"].format(name=numbers["with"])
    return _table(title, [WORDS["quantity"], WORDS["value"]], rows, numbers["caveat"])


def _numerics(summary: dict[str, Any]) -> dict[str, Any]:
    transport, wind, seconds = summary["transport"], summary["wind_correction"], summary["seconds"]
    steps = (
        transport["intervals"],
        transport["steps_per_interval"],
        transport["sub_sweeps_x"],
        transport["sub_sweeps_y"],
    )
    lowest = summary["lowest_mole_fraction"]
    below = lowest["value"] < summary["inflow"]["value"] * (1.0 - 1e-6)
    times = (seconds["weather_and_setup"], seconds["transport"], seconds["budget"], summary["wall_seconds"])
    rows = [
        (WORDS["weather"], summary["weather"]["source"]),
        (WORDS["grid"], summary["weather"]["grid"]),
        (WORDS["cells"], transport["cells"]),
        (WORDS["scheme"], f"{transport['scheme']}, {transport['precision']}"),
        (WORDS["steps"], "{} of {:g} s, {}, ({}, {})".format(steps[0], transport["interval_s"], *steps[1:])),
        (WORDS["courant"], number(transport["courant"], -2)),
        (WORDS["continuity"], f"{summary['continuity']:.1e}"),
        (WORDS["correction"], f"{rounded(wind['rms'])} ({rounded(wind['max'])}) m s⁻¹"),
        (WORDS["imbalance"], f"{wind['imbalance_before']:.1e}"),
        (WORDS["lowest"], f"{number(lowest['value'], -1)} {lowest['unit']}"),
        (WORDS["seconds"], ", ".join(f"{number(t, -1)} s" for t in times)),
        (WORDS["memory"], f"{number(summary['peak_memory_mib'], 0)} MiB"),
    ]
    table = _table(WORDS["numerics"], [WORDS["quantity"], WORDS["value"]], rows, WORDS["lowest_why"] if below else "")
    return table | {"numbers": ()}

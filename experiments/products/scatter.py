"""What a forward run is compared with: soundings one by one, and the pattern of another model."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.cases import MapSpec
from experiments.numbers import number
from experiments.products import style
from experiments.products.fields import FOOT, sequential
from experiments.products.frame import frame_of
from experiments.products.maps import ABOVE, BELOW, LEFT, RIGHT, panel
from experiments.products.style import TEXT
from experiments.simulated import Simulated, compare, enhancements, fit

WIDTH, SIDE = 5.6, 3.6


def draw_comparisons(run: Simulated, folder: Path) -> dict[str, Path]:
    """Draw what there is to compare with.

    Args:
        run: a finished run.
        folder: for the PNG files.

    Returns:
        paths by name: "soundings", "comparison"; empty where nothing was measured.
    """
    paths = {}
    if run.modelled is not None:
        paths["soundings"] = style.save(_scatter(run), folder / "soundings.png")
    if run.other is not None:
        paths["comparison"] = style.save(_patterns(run), folder / "comparison.png")
    return paths


def _scatter(run: Simulated) -> Figure:
    """Modelled over observed columns, on equal axes."""
    soundings, modelled, numbers = run.setup.soundings, run.modelled, fit(run)
    assert soundings is not None
    assert modelled is not None
    assert numbers is not None
    observed = soundings.observations.values
    subtitle = TEXT["r"].format(
        r=number(numbers["correlation"], -2), bias=number(numbers["mean_difference"], -1),
        rms=number(numbers["rms_difference"], -1),
    )  # fmt: skip
    figure = style.sheet(run.setup, WIDTH, SIDE + 0.9, f"{TEXT['values'].format(count=observed.size)}; {subtitle}")
    ax = figure.add_axes(style.rect(figure, 0.85, 0.6, SIDE, SIDE))
    both = np.concatenate([observed, modelled])
    margin = 0.05 * np.ptp(both)
    limits = both.min() - margin, both.max() + margin
    ax.plot(limits, limits, color=style.RULE, linewidth=1.0, zorder=1)
    ax.annotate(
        TEXT["equal"], (limits[1], limits[1]), xytext=(-22, -14), textcoords="offset points", fontsize=style.SMALL,
        color=style.MUTED, rotation=45, ha="center", va="center",
    )  # fmt: skip
    ax.scatter(observed, modelled, s=14, facecolor="none", edgecolor=style.POSTERIOR, linewidth=0.8, zorder=2)
    ax.set(xlim=limits, ylim=limits)
    ax.set_xlabel(style.pretty(TEXT["observed_axis"]), fontsize=style.BODY)
    ax.set_ylabel(style.pretty(TEXT["modelled_axis"]), fontsize=style.BODY)
    ax.tick_params(labelsize=style.SMALL)
    return figure


def _patterns(run: Simulated) -> Figure:
    """Mean enhancement of both models on the common cells, and the correlation hour by hour."""
    assert run.other is not None
    numbers = compare(run)
    assert numbers is not None
    ours, theirs = enhancements(run)
    grid, other = run.setup.domain.grid, run.other
    x = grid.x_edges[other.columns.start : other.columns.stop + 1]
    y = grid.y_edges[other.rows.start : other.rows.stop + 1]
    shape = theirs.shape[1:]
    frame = frame_of(MapSpec("", "ppb", grid.crs, x, y, np.zeros(shape, int), np.zeros((0, 0)), coast=True))
    means = ours.mean(axis=0), theirs.mean(axis=0)
    scale = sequential(np.concatenate([m.ravel() for m in means]), TEXT["over_minimum"])
    width = min(3.1, 3.4 / frame.aspect)
    height = BELOW + width * frame.aspect + ABOVE
    figure = style.sheet(run.setup, 3 * (LEFT + width + RIGHT), FOOT + height, other.caveat)
    name = other.name.partition(" (")[0]
    for i, (field, title) in enumerate(zip(means, (TEXT["ours"], TEXT["theirs"].format(name=name)), strict=True)):
        panel(figure, frame, field, scale, title, (LEFT + i * (LEFT + width + RIGHT), FOOT + BELOW, width))
    left = LEFT + 2 * (LEFT + width + RIGHT)
    ax = figure.add_axes(style.rect(figure, left, FOOT + BELOW, width, width * frame.aspect))
    hours = (np.arange(len(ours)) + 1.0) * run.setup.interval / 3600.0
    ax.plot(hours, numbers["by_hour"], "o-", color=style.POSTERIOR, markersize=3, linewidth=1.0)
    ax.set_ylim(min(0.0, 1.05 * float(np.nanmin(numbers["by_hour"]))), 1.0)
    ax.set_xlabel(TEXT["hour"], fontsize=style.SMALL)
    ax.tick_params(labelsize=style.SMALL)
    ax.grid(color=style.RULE, linewidth=0.4)
    title = TEXT["r_by_hour"].format(cells=shape[0] * shape[1])
    above = FOOT + BELOW + width * frame.aspect + 0.2
    figure.text(*style.corner(figure, left, above), title, fontsize=style.BODY, color=style.INK)
    return figure

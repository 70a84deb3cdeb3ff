"""Figures of an observing-system experiment and of a ranking of sites."""

import numpy as np
import scipy.stats
from matplotlib.figure import Figure

from experiments.cases import Setup
from experiments.numbers import number
from experiments.products import style
from experiments.products.style import TEXT, pretty
from inversion.network import Ranking
from inversion.osse import Experiment

SIDE, GAP, LEFT, FOOT, TOP = 3.3, 1.1, 0.85, 0.75, 0.35
# More replicates than this would hide each other.
SHOWN = 2000


def _clean(ax) -> None:
    ax.tick_params(labelsize=style.SMALL, width=0.5, colors=style.INK)
    ax.spines[["top", "right"]].set_visible(False)


def draw_experiment(setup: Setup, found: Experiment) -> Figure:
    """Estimate against truth, and the histogram of errors in stated standard deviations, of the first total."""
    width = LEFT + 2 * SIDE + GAP + 0.3
    region, unit = pretty(setup.totals.regions[0]), pretty(setup.totals.unit)
    figure = style.sheet(setup, width, FOOT + SIDE + TOP, TEXT["replicates"].format(region=region, count=len(found.z)))
    truth, estimate = np.asarray(found.truth)[:, 0], np.asarray(found.estimate)[:, 0]
    ax = figure.add_axes(style.rect(figure, LEFT, FOOT, SIDE, SIDE))
    both = np.concatenate([truth, estimate])
    margin = 0.05 * np.ptp(both)
    limits = both.min() - margin, both.max() + margin
    ax.plot(limits, limits, color=style.MUTED, linewidth=0.8, zorder=1, label=TEXT["equal"])
    ax.axhline(float(found.prior[0]), color=style.PRIOR, linewidth=1.2, zorder=1, label=TEXT["prior"])
    ax.plot(truth[:SHOWN], estimate[:SHOWN], ".", color=style.POSTERIOR, markersize=3, alpha=0.5, zorder=2,
            label=TEXT["posterior"])  # fmt: skip
    ax.set(xlim=limits, ylim=limits)
    ax.set_xlabel(TEXT["true_total"].format(unit=unit), fontsize=style.BODY)
    ax.set_ylabel(TEXT["estimated_total"].format(unit=unit), fontsize=style.BODY)
    ax.legend(fontsize=style.SMALL, frameon=False, loc="upper left")
    _clean(ax)

    ax = figure.add_axes(style.rect(figure, LEFT + SIDE + GAP, FOOT, SIDE, SIDE))
    z = found.z[:, 0]
    reach = max(4.0, float(np.abs(z).max()))
    edges = np.linspace(-reach, reach, int(np.clip(len(z) ** 0.5, 12, 60)) + 1)
    ax.hist(z, edges.tolist(), density=True, color=style.POSTERIOR, alpha=0.45, label=TEXT["actual"])
    line = np.linspace(-reach, reach, 400)
    ax.plot(line, scipy.stats.norm.pdf(line), color=style.INK, linewidth=1.2, label=TEXT["stated"])
    ax.set_xlabel(TEXT["z"], fontsize=style.BODY)
    ax.set_ylabel(TEXT["density"], fontsize=style.BODY)
    ax.set_title(TEXT["z2"].format(z2=number(float(np.mean(z**2)), -2)), fontsize=style.BODY, loc="left")
    ax.legend(fontsize=style.SMALL, frameon=False)
    _clean(ax)
    return figure


def draw_ranking(setup: Setup, found: Ranking) -> Figure:
    """Reduction of u of each total with the sites so far (lines), and of the first with one alone (bars)."""
    names = [pretty(n) for n in found.chosen]
    left, row = min(max(0.075 * max(map(len, names)) + 0.3, 1.0), 3.2), 0.34
    height = row * len(names)
    lines = len(setup.totals.regions) + 1
    head = 0.18 * lines + 0.25
    figure = style.sheet(setup, left + SIDE + 1.6, height + FOOT + head, TEXT["ranking"])
    ax = figure.add_axes(style.rect(figure, left, FOOT, SIDE + 1.3, height))
    y = np.arange(len(names))
    reduction = 100.0 * (1.0 - np.sqrt(found.variance / found.prior))
    alone = [100.0 * (1.0 - np.sqrt(found.alone[n][0] / found.prior[0])) for n in found.chosen]
    ax.barh(y, alone, height=0.6, color=style.RULE,
            label=TEXT["alone"].format(region=pretty(setup.totals.regions[0])))  # fmt: skip
    for i, (region, colour) in enumerate(zip(setup.totals.regions, _colours(len(setup.totals.regions)), strict=True)):
        ax.plot(reduction[1:, i], y, "o-", color=colour, markersize=4.5, linewidth=1.2, label=pretty(region))
        ax.axvline(reduction[0, i], color=colour, linewidth=0.8, linestyle=":")
    ax.set_yticks(y, names, fontsize=style.BODY, parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0.0, max(5.0, 1.08 * float(max(reduction.max(), *alone))))
    ax.set_xlabel(TEXT["reduction_percent"], fontsize=style.BODY)
    _clean(ax)
    corner = style.corner(figure, left, height + FOOT + 0.08)
    figure.legend(loc="lower left", bbox_to_anchor=corner, fontsize=style.SMALL, frameon=False, borderaxespad=0)
    return figure


def _colours(count: int) -> list[str]:
    """Okabe and Ito's colours in turn."""
    palette = [style.POSTERIOR, "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"]
    return [palette[i % len(palette)] for i in range(count)]

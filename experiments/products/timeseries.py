"""What was measured against what was modelled, and the reported totals before and after."""

import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from experiments import numbers
from experiments.outcome import Outcome
from experiments.products import style
from experiments.products.style import TEXT
from inversion.diagnostics import rmse

PANELS = 8
LONG = 400
GAP = 3.0
OVERPASS = np.timedelta64(1, "h")
WIDTH, LEFT, RIGHT = 10.0, 0.75, 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class _Group:
    """The rows of one site or overpass in the order in which they are drawn."""

    name: str
    x: np.ndarray
    is_time: bool
    value: np.ndarray
    sigma: np.ndarray
    prior: np.ndarray
    posterior: np.ndarray

    @property
    def breaks(self) -> np.ndarray:
        """Positions before which a line is interrupted, because nothing was measured for long."""
        steps = np.diff(self.x)
        if not self.is_time or not (steps > 0).any():
            return np.zeros(0, int)
        return np.flatnonzero(steps > GAP * np.median(steps[steps > 0])) + 1

    @property
    def is_long(self) -> bool:
        """Too many values for marks of full weight."""
        return self.value.size > LONG

    @property
    def limits(self) -> tuple[float, float]:
        """Range of the value axis: all that was measured and estimated; of a long prior not the rare extremes."""
        rare = 0.5 if self.is_long else 0.0
        wide = np.concatenate([self.prior, self.value - self.sigma, self.value + self.sigma])
        whole = np.concatenate([self.value, self.posterior])
        low = min(np.percentile(wide, rare), whole.min())
        high = max(np.percentile(wide, 100.0 - rare), whole.max())
        margin = 0.06 * (high - low)
        return low - margin, high + margin


def _group(outcome: Outcome, name: str) -> _Group:
    observations = outcome.setup.observations
    rows = np.flatnonzero(outcome.measured & (observations.groups == name))
    times = np.asarray(observations.start)[rows].astype("datetime64[s]")
    order = np.argsort(times, kind="stable")
    rows, times = rows[order], times[order]
    span = times[-1] - times[0]
    # The soundings of an overpass share a time: their order is all there is to draw against.
    is_time = span > OVERPASS or (span > np.timedelta64(0, "s") and observations.kinds[rows[0]] != "column")
    return _Group(
        name=str(name),
        x=date2num(times) if is_time or rows.size == 1 else np.arange(1.0, rows.size + 1.0),
        is_time=bool(is_time or rows.size == 1),
        value=np.asarray(observations.values)[rows],
        sigma=np.asarray(observations.sigma)[rows],
        prior=outcome.modelled_prior[rows],
        posterior=outcome.modelled_posterior[rows],
    )


def _groups(outcome: Outcome) -> list[_Group]:
    names = np.asarray(outcome.setup.observations.groups)[outcome.measured]
    return [_group(outcome, name) for name in dict.fromkeys(names.tolist())]


def _title(group: _Group, unit: str) -> str:
    before, after = rmse(group.value - group.prior), rmse(group.value - group.posterior)
    place = numbers.significant_place(min(before, after), 2) if min(before, after) > 0 else 0
    count = TEXT["one_value"] if group.value.size == 1 else TEXT["values"].format(count=group.value.size)
    fit = TEXT["rmse"].format(before=numbers.number(before, place), after=numbers.number(after, place), unit=unit)
    low, high = group.limits
    beyond = int(((group.prior < low) | (group.prior > high)).sum())
    parts = [group.name, count, fit] + ([TEXT["beyond"].format(count=beyond)] if beyond else [])
    return "   ".join(parts)


def _panel(ax, group: _Group, unit: str) -> None:
    many, x, breaks = group.is_long, group.x, group.breaks
    bar = {"color": style.OBSERVED, "linewidth": 0.5 if many else 0.8, "alpha": 0.22 if many else 0.45}
    ax.vlines(x, group.value - group.sigma, group.value + group.sigma, zorder=1, label=TEXT["sigma"], **bar)
    ax.plot(
        x, group.value, ".", color=style.OBSERVED, markersize=2.6 if many else 4.5, markeredgewidth=0, zorder=5,
        label=TEXT["observed"],
    )  # fmt: skip
    # The small dots keep a value between two gaps visible.
    look = {"marker": "o", "linestyle": "none", "markersize": 3.0, "markerfacecolor": "none"}
    if group.is_time:
        look = {"marker": ".", "linewidth": 0.7 if many else 1.3, "markersize": 1.2 if many else 2.5}
    for name, values, colour in (("prior", group.prior, style.PRIOR), ("posterior", group.posterior, style.POSTERIOR)):
        ax.plot(
            np.insert(x, breaks, np.nan), np.insert(values, breaks, np.nan), color=colour, zorder=4,
            label=TEXT[f"modelled_{name}"], **look,
        )  # fmt: skip
    ax.set_title(_title(group, unit), loc="left", fontsize=style.BODY, color=style.INK, parse_math=False, pad=4)
    ax.set_ylabel(unit, fontsize=style.SMALL, color=style.INK)
    ax.tick_params(labelsize=style.SMALL, length=2.5, width=0.5, colors=style.INK)
    ax.grid(axis="y", color=style.RULE, linewidth=0.4)
    ax.margins(x=0.01)
    ax.set_ylim(group.limits)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if group.is_time:
        locator = AutoDateLocator(minticks=4, maxticks=10)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        ax.xaxis.get_offset_text().set(fontsize=style.SMALL, color=style.MUTED)
    else:
        ax.set_xlabel(TEXT["sounding"], fontsize=style.SMALL, color=style.INK, labelpad=1)


def _series(outcome: Outcome, groups: list[_Group]) -> Figure:
    height = 1.55 if len(groups) > 2 else 2.4
    above, below, foot = 0.3, 0.42, 0.3
    cell = above + height + below
    unit = style.pretty(outcome.setup.observations.unit)
    subtitle = TEXT["utc"] if any(group.is_time for group in groups) else ""
    figure = style.sheet(outcome.setup, WIDTH, foot + cell * len(groups), subtitle)
    times = np.concatenate([g.x for g in groups if g.is_time] or [np.zeros(1)])
    first, last = times.min(), times.max()
    for i, group in enumerate(groups):
        bottom = foot + below + (len(groups) - 1 - i) * cell
        ax = figure.add_axes(style.rect(figure, LEFT, bottom, WIDTH - LEFT - RIGHT, height))
        _panel(ax, group, unit)
        if group.is_time and last > first:
            margin = 0.01 * (last - first)
            ax.set_xlim(first - margin, last + margin)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower left", bbox_to_anchor=style.corner(figure, LEFT, 0.05), ncols=4,
        fontsize=style.SMALL, frameon=False, borderaxespad=0, handlelength=1.6, markerscale=1.5,
    )  # fmt: skip
    return figure


def draw_series(outcome: Outcome, path_dir: Path) -> dict[str, Path]:
    """Draw measured and modelled values against time, one panel for each site or overpass.

    Args:
        outcome: the solved case.
        path_dir: folder for the PNG files; created if missing.

    Returns:
        paths by name: "series", then "series-2" and so on where the groups need more than one sheet.
    """
    path_dir = Path(path_dir)
    path_dir.mkdir(parents=True, exist_ok=True)
    groups = _groups(outcome)
    sheets = -(-len(groups) // PANELS)
    paths = {}
    for i, part in enumerate(np.array_split(np.arange(len(groups)), sheets)):
        name = "series" if i == 0 else f"series-{i + 1}"
        figure = _series(outcome, [groups[j] for j in part])
        paths[name] = style.save(figure, path_dir / f"{name}.png", dpi=130)
    return paths


def draw_totals(outcome: Outcome, path_dir: Path) -> Path:
    """Draw the coverage interval of each total before and after, with the truth where it is known.

    Args:
        outcome: the solved case.
        path_dir: folder for the PNG file; created if missing.

    Returns:
        the path of the PNG file.
    """
    path_dir = Path(path_dir)
    path_dir.mkdir(parents=True, exist_ok=True)
    totals, row = outcome.totals, 0.42
    names = [style.pretty(t.region) for t in totals]
    left = min(max(0.075 * max(map(len, names)) + 0.3, 1.0), 3.2)
    figure = style.sheet(outcome.setup, 8.0, row * len(totals) + 1.0)
    ax = figure.add_axes(style.rect(figure, left, 0.82, 8.0 - left - 0.3, row * len(totals)))
    y, k, skewed = np.arange(len(totals)), totals[0].k, totals[0].quantiles is not None
    parts = (("prior", "u_prior", style.PRIOR, -0.15), ("posterior", "u_posterior", style.POSTERIOR, 0.15))
    for name, u, colour, shift in parts:
        centre = np.array([getattr(t, name) for t in totals])
        half = k * np.array([getattr(t, u) for t in totals])
        low, high = centre - half, centre + half
        if name == "posterior" and skewed:
            low, high = np.array([t.interval for t in totals]).T
        ax.hlines(y + shift, low, high, color=colour, linewidth=4.5, alpha=0.45)
        span = TEXT["quantiles"] if name == "posterior" and skewed else TEXT["interval"].format(k=f"{k:g}")
        label = f"{TEXT[name]} {span}"
        ax.plot(centre, y + shift, "o", color=colour, markersize=5.5, label=label)
    if any(t.truth is not None for t in totals):
        truth = [np.nan if t.truth is None else t.truth for t in totals]
        ax.plot(truth, y, "|", color=style.INK, markersize=20, markeredgewidth=1.6, label=TEXT["truth"])
    if ax.get_xlim()[0] < 0 < ax.get_xlim()[1]:
        ax.axvline(0, color=style.MUTED, linewidth=0.7, zorder=0)
    ax.set_ylim(len(totals) - 0.5, -0.5)
    ax.set_yticks(y, names, fontsize=style.BODY, color=style.INK, parse_math=False)
    label = TEXT["unit_over"].format(unit=style.pretty(totals[0].unit), period=style.pretty_period(totals[0].period))
    ax.set_xlabel(label, fontsize=style.BODY, color=style.INK)
    ax.tick_params(axis="x", labelsize=style.SMALL, width=0.5, colors=style.INK)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=style.RULE, linewidth=0.4)
    ax.spines[["top", "right", "left"]].set_visible(False)
    corner = style.corner(figure, left, 0.08)
    figure.legend(loc="lower left", bbox_to_anchor=corner, ncols=3, fontsize=style.BODY, frameon=False, borderaxespad=0)
    return style.save(figure, path_dir / "totals.png")

"""A prior by sector: one map each, and the region's total by the hour."""

import dataclasses

import numpy as np
from matplotlib import colormaps
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from experiments.cases import MapSpec, Mark
from experiments.cases.region import Region
from experiments.products import style
from experiments.products.fields import sequential
from experiments.products.frame import frame_of
from experiments.products.maps import Scale, panel, symmetric
from experiments.products.style import TEXT, pretty
from experiments.products.units import FLUXES

LEFT, RIGHT, BELOW, ABOVE, FOOT = 0.6, 0.2, 0.75, 0.5, 0.3
WIDTH, COLUMNS = 2.6, 4
MOST = 9  # lines beside "other" and the sum that colours tell apart
UNIFORM = 1e-3  # relative range of what is meant to be the same everywhere
DAILY = 30 * 24  # hours beyond which a line by the hour is a band


def _scale(values: np.ndarray, unit: str) -> Scale:
    label = f"{TEXT['flux']} ({pretty(unit)})"
    known = values[np.isfinite(values)]
    scale = symmetric(known, label) if known.min() < 0 else sequential(known, label)
    if np.ptp(known) < UNIFORM * np.abs(known).max():  # not the darkest colour everywhere
        limit = 2.0 * float(np.abs(known).max())
        scale = dataclasses.replace(scale, low=np.sign(scale.low) * limit, high=limit, extend="neither")
    return scale


def _fluxes(region: Region) -> dict[str, np.ndarray]:
    """(ny, nx) mean of each sector over the window; NaN where its inventory covers less than half of a cell."""
    factor = FLUXES[region.species][0]
    mean = factor * region.hours.mean().flux()[:, 0]
    return {
        name: np.where(region.covered.get(name, np.ones(field.shape)) >= 0.5, field, np.nan)
        for name, field in zip(region.hours.sectors, mean, strict=True)
    }


def draw_sectors(region: Region) -> Figure:
    """The mean flux of each sector over the window, each with its own colours: sectors differ by orders."""
    hours, grid, unit = region.hours, region.hours.grid, FLUXES[region.species][1]
    fluxes = _fluxes(region)
    shown = {name: field for name, field in fluxes.items() if np.nan_to_num(field).any()}
    empty = [pretty(region.labels[name]) for name in fluxes if name not in shown]
    marks = tuple(Mark(p.lon, p.lat, p.name, "point source") for p in region.plants)
    blank = np.zeros((1, 1))
    frame = frame_of(
        MapSpec("", unit, grid.crs, grid.x_edges, grid.y_edges, np.zeros(grid.shape, int), blank, marks=marks)
    )
    columns = max(min(COLUMNS, len(shown)), 1)
    rows = -(-len(shown) // columns)
    wide, high = LEFT + WIDTH + RIGHT, BELOW + WIDTH * frame.aspect + ABOVE
    first, last = (str(t.astype("datetime64[h]")).replace("T", " ") for t in (hours.times[0], hours.times[-1]))
    subtitle = TEXT["by_sector"].format(first=first, last=last)
    if empty:
        subtitle += ". " + TEXT["empty_sectors"].format(names=", ".join(empty))
    figure = style.sheet(region, max(columns * wide, 5.0), FOOT + rows * high, subtitle)
    for i, (name, field) in enumerate(shown.items()):
        row, column = divmod(i, columns)
        place = (LEFT + column * wide, FOOT + (rows - 1 - row) * high + BELOW, WIDTH)
        panel(figure, frame, field, _scale(field, unit), pretty(region.labels[name]), place)
    signs = [f"○ {TEXT['point source']}"] if marks else []
    signs += [f"▨ {TEXT['uncovered']}"] if any(np.isnan(f).any() for f in shown.values()) else []
    figure.text(*style.corner(figure, LEFT, 0.12), "     ".join(signs), fontsize=style.SMALL, color=style.MUTED)
    return figure


def _lines(region: Region) -> dict[str, np.ndarray]:
    """(nt,) t h-1 of the sectors that matter most, in their order, and of all others together."""
    mass = region.hours.rate.sum(axis=(2, 3)) * 3.6
    names = [region.labels[s] for s in region.hours.sectors]
    size = np.abs(mass).mean(axis=1)
    kept = set(np.argsort(-size, kind="stable")[:MOST].tolist())
    rest = [i for i in range(len(names)) if i not in kept and size[i] > 0]
    if len(rest) == 1:  # "other, 1 sector" would take as much room as its name
        kept |= {rest.pop()}
    lines = {names[i]: mass[i] for i in sorted(kept) if size[i] > 0}
    if rest:
        lines[TEXT["other_sectors"].format(count=len(rest))] = mass[rest].sum(axis=0)
    return lines


def draw_hours(region: Region) -> Figure:
    """What the region emits and takes up by the hour, by the day in long windows, and its sum."""
    times, lines = region.hours.times, _lines(region)
    daily = len(times) - 1 > DAILY
    if daily:
        lines = {name: values.reshape(-1, 24).mean(axis=1) for name, values in lines.items()}
        times = times[::24]
    total = np.sum(list(lines.values()), axis=0)
    figure = style.sheet(region, 9.2, 3.6, TEXT["by_day" if daily else "by_hour"])
    ax = figure.add_axes(style.rect(figure, 0.9, 0.55, 5.6, 2.8))
    when = date2num(times[:-1] + (times[1] - times[0]) / 2)
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    for i, (name, values) in enumerate(lines.items()):
        ax.plot(when, values, linewidth=1.0, label=pretty(name), color=colours[i % len(colours)])
    ax.plot(when, total, color=style.INK, linewidth=1.8, label=TEXT["sum"])
    ax.axhline(0.0, color=style.MUTED, linewidth=0.5)
    locator = AutoDateLocator(maxticks=8)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.set_ylabel(f"{pretty(region.species)} (t/h)", fontsize=style.BODY)
    ax.set_xlabel(TEXT["utc"], fontsize=style.BODY)
    ax.tick_params(labelsize=style.SMALL, width=0.5, colors=style.INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=style.SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02))
    return figure

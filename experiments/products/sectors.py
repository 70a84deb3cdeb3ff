"""A prior by sector: one map each, and the region's total by the hour."""

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from experiments.cases import MapSpec, Mark
from experiments.cases.region import Region
from experiments.products import style
from experiments.products.fields import sequential
from experiments.products.frame import frame_of
from experiments.products.maps import Scale, panel, symmetric
from experiments.products.style import TEXT, pretty

LEFT, RIGHT, BELOW, ABOVE, FOOT = 0.6, 0.2, 0.75, 0.5, 0.1
WIDTH, COLUMNS = 2.6, 4
# Flux in the unit of maps per µmol m-2 s-1.
UNITS = {"CO2": (1.0, "µmol m-2 s-1"), "CH4": (1e3, "nmol m-2 s-1")}


def _scale(values: np.ndarray, unit: str) -> Scale:
    label = f"{TEXT['flux']} ({pretty(unit)})"
    return symmetric(values, label) if values.min() < 0 else sequential(values, label)


def draw_sectors(region: Region) -> Figure:
    """The mean flux of each sector over the window, each with its own colours: sectors differ by orders."""
    hours, grid = region.hours, region.hours.grid
    factor, unit = UNITS[region.species]
    flux = factor * np.einsum("styx,t->syx", hours.flux(), hours.seconds / hours.seconds.sum())
    marks = tuple(Mark(p.lon, p.lat, p.name, "point source") for p in region.plants)
    blank = np.zeros((1, 1))
    frame = frame_of(
        MapSpec("", unit, grid.crs, grid.x_edges, grid.y_edges, np.zeros(grid.shape, int), blank, marks=marks)
    )
    columns = min(COLUMNS, len(hours.sectors))
    rows = -(-len(hours.sectors) // columns)
    wide, high = LEFT + WIDTH + RIGHT, BELOW + WIDTH * frame.aspect + ABOVE
    first, last = (str(t.astype("datetime64[h]")) for t in (hours.times[0], hours.times[-1]))
    subtitle = TEXT["by_sector"].format(first=first.replace("T", " "), last=last.replace("T", " "))
    figure = style.sheet(region, max(columns * wide, 5.0), FOOT + rows * high, subtitle)
    for i, (name, field) in enumerate(zip(hours.sectors, flux, strict=True)):
        row, column = divmod(i, columns)
        place = (LEFT + column * wide, FOOT + (rows - 1 - row) * high + BELOW, WIDTH)
        panel(figure, frame, field, _scale(field, unit), pretty(name), place)
    return figure


def draw_hours(region: Region) -> Figure:
    """What the region emits and takes up by the hour, and their sum."""
    hours = region.hours
    mass = hours.rate.sum(axis=(2, 3)) * 3.6  # t h-1
    figure = style.sheet(region, 9.0, 3.6, TEXT["by_hour"])
    ax = figure.add_axes(style.rect(figure, 0.9, 0.55, 5.9, 2.8))
    when = date2num(hours.times[:-1] + (hours.times[1] - hours.times[0]) / 2)
    for name, values in zip(hours.sectors, mass, strict=True):
        ax.plot(when, values, linewidth=1.0, label=pretty(name))
    ax.plot(when, mass.sum(axis=0), color=style.INK, linewidth=1.8, label=TEXT["sum"])
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

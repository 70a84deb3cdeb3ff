"""Columns of an overpass on a map: measured, modelled, and what is left."""

import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from experiments.cases import MapSpec
from experiments.outcome import Outcome
from experiments.products import style
from experiments.products.fields import sequential
from experiments.products.frame import Frame, frame_of
from experiments.products.maps import Scale, panel, symmetric
from experiments.products.style import TEXT, pretty

# Fewer do not make a picture.
FEWEST = 20
SHOWN = 2
LEFT, RIGHT, BELOW, ABOVE, FOOT = 0.6, 0.2, 0.7, 0.45, 0.1
WIDTH = 3.6
MARGIN = 0.04


def _frame(lon: np.ndarray, lat: np.ndarray) -> Frame:
    """Equal-area map around the pixels."""
    crs = f"+proj=laea +lat_0={np.mean(lat):.3f} +lon_0={np.mean(lon):.3f} +datum=WGS84 +units=m"
    blank = MapSpec("", "", crs, np.array([-1e5, 1e5]), np.array([-1e5, 1e5]), np.zeros((1, 1), int), np.zeros((1, 1)))
    x, y = frame_of(blank).from_lonlat(lon, lat)
    edges = []
    for values in (x, y):
        margin = MARGIN * max(np.ptp(values), 1e3)
        edges.append(np.array([values.min() - margin, values.max() + margin]))
    return frame_of(dataclasses.replace(blank, x_edges=edges[0], y_edges=edges[1]))


def _pixels(ax, frame: Frame, outcome: Outcome, rows: np.ndarray, values: np.ndarray, scale: Scale) -> None:
    o = outcome.setup.observations
    norm, colours = Normalize(scale.low, scale.high), scale.cmap
    if o.corners is None or not np.isfinite(o.corners[rows]).all():
        x, y = frame.from_lonlat(o.lon[rows], o.lat[rows])
        ax.scatter(x, y, s=8, c=colours(norm(values)), linewidth=0, zorder=4)
        return
    x, y = frame.from_lonlat(o.corners[rows, :, 0], o.corners[rows, :, 1])
    shapes = PolyCollection(list(np.stack([x, y], axis=-1)), facecolors=colours(norm(values)), edgecolors="face",
                            linewidths=0.2, zorder=4)  # fmt: skip
    ax.add_collection(shapes, autolim=False)


def _sheet(outcome: Outcome, name: str, rows: np.ndarray) -> Figure:
    setup, o = outcome.setup, outcome.setup.observations
    corners = o.lon[rows], o.lat[rows]
    if o.corners is not None and np.isfinite(o.corners[rows]).all():
        corners = o.corners[rows, :, 0].ravel(), o.corners[rows, :, 1].ravel()
    frame = _frame(*corners)
    unit = pretty(o.unit)
    measured, modelled = o.values[rows], outcome.modelled_posterior[rows]
    columns = f"{TEXT['column']} ({unit})"
    low, high = np.percentile(np.concatenate([measured, modelled]), [1.0, 99.0])
    shared = sequential(measured, columns)
    shared = Scale(shared.cmap, float(low), float(high), columns, "both")
    maps = [
        (TEXT["observed"], measured, shared), (TEXT["modelled_posterior"], modelled, shared),
        (TEXT["residual"], measured - modelled, symmetric(measured - modelled, f"{TEXT['residual']} ({unit})")),
    ]  # fmt: skip
    each = LEFT + WIDTH + RIGHT
    time = str(np.sort(o.start[rows])[rows.size // 2].astype("datetime64[m]")).replace("T", " ")
    subtitle = TEXT["overpass"].format(group=name, count=rows.size, time=time)
    figure = style.sheet(setup, 3 * each, FOOT + BELOW + WIDTH * frame.aspect + ABOVE, subtitle)
    nothing = np.full((1, 1), np.nan)
    for i, (title, values, scale) in enumerate(maps):
        ax = panel(figure, frame, nothing, scale, title, (LEFT + i * each, FOOT + BELOW, WIDTH))
        _pixels(ax, frame, outcome, rows, values, scale)
    return figure


def draw_soundings(outcome: Outcome, folder: Path) -> dict[str, Path]:
    """Maps of the columns of the largest overpasses.

    Returns:
        paths by name, "soundings-1" …; empty where there are no columns with places.
    """
    o = outcome.setup.observations
    seen = outcome.measured & (o.kinds == "column") & np.isfinite(o.lon) & np.isfinite(o.lat)
    names, counts = np.unique(o.groups[seen], return_counts=True)
    paths = {}
    for i, at in enumerate(np.argsort(-counts, kind="stable")[:SHOWN]):
        if counts[at] >= FEWEST:
            rows = np.flatnonzero(seen & (o.groups == names[at]))
            key = f"soundings-{i + 1}"
            paths[key] = style.save(_sheet(outcome, str(names[at]), rows), folder / f"{key}.png")
    return paths

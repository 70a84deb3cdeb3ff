"""Maps of the fluxes: prior, posterior, truth, increment and reduction of uncertainty. Nothing is ever downloaded."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
from cartopy.mpl.geoaxes import GeoAxes
from cmcrameri import cm
from matplotlib import patheffects
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.outcome import Outcome
from experiments.products import style
from experiments.products.coast import coastline
from experiments.products.frame import Frame, frame_of
from experiments.products.style import TEXT

FLUXES = ("prior", "posterior", "truth")
ORDER = (*FLUXES, "increment", "reduction")
PERCENTILE = 99.5
# A sink smaller than this part of the scale would not show: the scale then starts at zero, with an arrow below.
SINK = 0.02
EXTEND = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
# Inches around a map: latitude labels, colour bar and longitude labels, panel title.
LEFT, RIGHT, BELOW, ABOVE = 0.62, 0.2, 0.86, 0.42
HALO = [patheffects.withStroke(linewidth=2.0, foreground="white")]


@dataclasses.dataclass(frozen=True, eq=False)
class Scale:
    """How values become colours."""

    cmap: Colormap
    low: float
    high: float
    label: str
    extend: str = "neither"
    factor: float = 1.0


def robust_limit(values: np.ndarray) -> float:
    """A robust upper limit of |values|; the largest where the percentile would cut off little."""
    size = np.abs(values[np.isfinite(values)])
    if not size.size or size.max() == 0.0:
        return 1.0
    robust = np.percentile(size, PERCENTILE)
    return float(robust if size.max() > 1.25 * robust > 0.0 else size.max())


def symmetric(values: np.ndarray, label: str) -> Scale:
    """Colours that meet at zero."""
    limit = robust_limit(values)
    ends = (np.nanmin(values) < -limit, np.nanmax(values) > limit)
    return Scale(cm.cmaps["vik"], -limit, limit, label, EXTEND[ends])


def _scales(fields: dict[str, np.ndarray], unit: str) -> dict[str, Scale]:
    """Colour scales by map; the fluxes share one. `fields` hold one value per element, so that area has no say."""
    unit = style.pretty(unit)
    label = f"{TEXT['flux']} ({unit})"
    fluxes = np.concatenate([fields[name] for name in FLUXES if name in fields])
    limit = robust_limit(fluxes)
    lowest = np.nanmin(fluxes)
    if lowest < -SINK * limit:
        flux = symmetric(fluxes, label)
    else:
        ends = (lowest < -1e-6 * limit, np.nanmax(fluxes) > limit)
        flux = Scale(cm.cmaps["lipari_r"], 0.0, limit, label, EXTEND[ends])
    return dict.fromkeys(FLUXES, flux) | {
        "increment": symmetric(fields["increment"], f"{TEXT['change']} ({unit})"),
        "reduction": Scale(cm.cmaps["devon_r"], 0.0, 100.0, f"{TEXT['reduction_of']} (%)", factor=100.0),
    }


def _per_element(outcome: Outcome, frame: Frame) -> dict[str, np.ndarray]:
    layout = np.asarray(outcome.setup.map.layout)[frame.window]
    index, first = np.unique(layout, return_index=True)
    first = first[index >= 0]
    return {name: field[frame.window].ravel()[first] for name, field in outcome.fields.items()}


def _degrees(values: np.ndarray, positive: str, negative: str) -> list[str]:
    """Labels with as many decimals as the finest of them needs."""
    decimals = next((d for d in range(4) if np.allclose(values, np.round(values, d), atol=1e-6)), 4)
    signs = ["" if abs(v) < 1e-6 or abs(v) == 180.0 else positive if v > 0 else negative for v in values]
    return [f"{abs(v):.{decimals}f}°{sign}" for v, sign in zip(values, signs, strict=True)]


def _graticule(ax, frame: Frame, width: float) -> None:
    """Meridians and parallels, labelled where they meet the lower and the left edge."""
    x0, x1, y0, y1 = frame.bounds
    lon0, lon1, lat0, lat1 = frame.lonlat_box
    steps = [1, 2, 4, 5, 10]
    # A longitude label is about 0.55 inches wide.
    lons = MaxNLocator(max(int(width / 0.85), 2), steps=steps).tick_values(lon0, lon1)
    lats = MaxNLocator(max(int(width * frame.aspect / 0.6), 2), steps=steps).tick_values(lat0, lat1)
    s = np.linspace(0.0, 1.0, 41)
    along_lon, along_lat = lon0 + s * (lon1 - lon0), lat0 + s * (lat1 - lat0)
    lines = [np.column_stack(frame.from_lonlat(np.full(41, lon), along_lat)) for lon in lons]
    lines += [np.column_stack(frame.from_lonlat(along_lon, np.full(41, lat))) for lat in lats]
    ax.add_collection(LineCollection(lines, colors=style.MUTED, linewidths=0.4, alpha=0.35, zorder=2), autolim=False)

    x, y = x0 + s * (x1 - x0), y0 + s * (y1 - y0)
    bottom, left = frame.to_lonlat(x, np.full(41, y0))[0], frame.to_lonlat(np.full(41, x0), y)[1]
    lons = lons[(lons >= bottom[0]) & (lons <= bottom[-1])]
    lats = lats[(lats >= left[0]) & (lats <= left[-1])]
    ax.set_xticks(np.interp(lons, bottom, x))
    ax.set_yticks(np.interp(lats, left, y))
    ax.set_xticklabels(_degrees((lons + 180.0) % 360.0 - 180.0, "E", "W"))
    ax.set_yticklabels(_degrees(lats, "N", "S"))
    ax.tick_params(labelsize=style.SMALL, length=2.5, width=0.5, colors=style.MUTED, pad=2)


def _overlap(a: tuple, b: tuple) -> float:
    """Common area of two boxes (x0, x1, y0, y1)."""
    return max(min(a[1], b[1]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[2], b[2]), 0.0)


def _cost(box: tuple, taken: list[tuple], size: tuple[float, float]) -> float:
    """What a label there would hide; leaving the map is worse."""
    outside = (box[1] - box[0]) * (box[3] - box[2]) - _overlap(box, (0.0, size[0], 0.0, size[1]))
    return 2.0 * outside + sum(_overlap(box, other) for other in taken)


def _label_boxes(points: np.ndarray, labels: list[str], size: tuple[float, float]) -> list[tuple]:
    """A box (inches) for each label, near its point, that covers as little as possible of what is there already."""
    taken = [(x - 0.06, x + 0.06, y - 0.06, y + 0.06) for x, y in points]
    boxes = []
    for (x, y), label in zip(points, labels, strict=True):
        w, h, gap = 0.062 * len(label), 0.12, 0.07
        corners = [(x + gap, y - h / 2), (x - gap - w, y - h / 2), (x - w / 2, y + gap), (x - w / 2, y - gap - h)]
        corners += [(x + gap, y + gap), (x - gap - w, y + gap), (x + gap, y - gap - h), (x - gap - w, y - gap - h)]
        candidates = [(left, left + w, low, low + h) for left, low in corners]
        boxes.append(min(candidates, key=functools.partial(_cost, taken=taken, size=size)))
        taken.append(boxes[-1])
    return boxes


def _marks(ax, frame: Frame, width: float) -> None:
    x0, x1, y0, y1 = frame.bounds
    looks = {
        "tower": {"marker": "^", "s": 26, "facecolor": "white", "edgecolor": style.INK, "linewidth": 0.9, "zorder": 6},
        "point source": {"marker": "o", "s": 11, "facecolor": "white", "edgecolor": style.INK, "linewidth": 0.7},
    }
    towers = []
    for mark in frame.spec.marks:
        x, y = frame.from_lonlat(mark.lon, mark.lat)
        if frame.inside(x, y):
            ax.scatter([x], [y], **{"zorder": 5} | looks[mark.kind])
            towers += [(x, y, mark.label)] if mark.kind == "tower" else []
    if not towers:
        return
    height = width * frame.aspect
    scaled = np.array([((x - x0) / (x1 - x0) * width, (y - y0) / (y1 - y0) * height) for x, y, _ in towers])
    boxes = _label_boxes(scaled, [label for *_, label in towers], (width, height))
    for (_, _, label), (left, right, low, high) in zip(towers, boxes, strict=True):
        ax.text(
            0.5 * (left + right) / width, 0.5 * (low + high) / height, label, transform=ax.transAxes,
            ha="center", va="center", fontsize=style.SMALL, color=style.INK, path_effects=HALO, zorder=7,
            parse_math=False,
        )  # fmt: skip


def _scale_bar(figure: Figure, frame: Frame, left: float, bottom: float, width: float) -> None:
    """A bar of a round length above the right end of the map, where it hides nothing."""
    x0, x1, y0, y1 = frame.bounds
    km = (x1 - x0) * frame.x_to_km
    power = 10.0 ** np.floor(np.log10(km / 4.0))
    length = power * max(m for m in (1, 2, 5) if m * power <= km / 4.0)
    text = TEXT["length"].format(length=f"{length:g}")
    if frame.stretch != 1.0:
        latitude = _degrees(np.round([0.5 * (y0 + y1)]), "N", "S")[0]
        text = TEXT["at_latitude"].format(length=f"{length:g}", latitude=latitude)
    bar = figure.add_axes(style.rect(figure, left + width * (1 - length / km), bottom, width * length / km, 0.05))
    bar.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    bar.plot([0, 0, 1, 1], [1, 0, 0, 1], color=style.MUTED, linewidth=0.9, clip_on=False)
    bar.axis("off")
    bar.text(-0.05, 0.3, text, transform=bar.transAxes, ha="right", va="center", fontsize=6.5, color=style.MUTED)


def map_axes(figure: Figure, frame: Frame, field: np.ndarray, scale: Scale, place: tuple, labels: bool = True):
    """One map without its colour bar.

    Args:
        figure: drawn on.
        frame: part of the grid that is shown.
        field: (ny, nx) of the whole grid.
        scale: colours.
        place: (left, bottom, width) of the map itself, inches.
        labels: of longitude and latitude, and names of the marks.

    Returns:
        axes and coloured mesh.
    """
    left, bottom, width = place
    height = width * frame.aspect
    ax = GeoAxes(figure, style.rect(figure, left, bottom, width, height), projection=frame.projection)
    figure.add_axes(ax)
    # Hatching, because each of the colour maps has a pale end that plain white or grey could be taken for.
    ax.patch.set(facecolor="white", edgecolor=style.RULE, hatch="/////", linewidth=0.0)
    # The mesh is in the axes' own coordinates: without `transform`, cartopy has nothing to wrap.
    mesh = ax.pcolormesh(
        frame.x_edges, frame.y_edges, np.ma.masked_invalid(field[frame.window] * scale.factor), cmap=scale.cmap,
        vmin=scale.low, vmax=scale.high, zorder=1, rasterized=True,
    )  # fmt: skip
    ax.set_aspect(frame.stretch)
    ax.set_xlim(frame.bounds[:2])
    ax.set_ylim(frame.bounds[2:])
    ax.spines["geo"].set(edgecolor=style.MUTED, linewidth=0.6)
    _graticule(ax, frame, width)
    if not labels:
        ax.tick_params(labelbottom=False, labelleft=False, length=0)
    if frame.spec.coast:
        lines = [np.column_stack(frame.from_lonlat(*line.T)) for line in coastline(*frame.lonlat_box)]
        ax.add_collection(LineCollection(lines, colors=style.INK, linewidths=0.6, zorder=3), autolim=False)
    _marks(ax, frame, width)
    return ax, mesh


def colour_bar(figure: Figure, mesh, scale: Scale, place: tuple) -> None:
    """A horizontal colour bar below a map; `place` is (left, bottom, width) in inches of the bar itself."""
    left, bottom, width = place
    bar = figure.add_axes(style.rect(figure, left, bottom, width, 0.11))
    colorbar = figure.colorbar(mesh, cax=bar, orientation="horizontal", extend=scale.extend)
    colorbar.outline.set(edgecolor=style.MUTED, linewidth=0.5)
    colorbar.ax.tick_params(labelsize=style.SMALL, length=2.5, width=0.5, colors=style.INK)
    colorbar.locator = MaxNLocator(max(int(width / 0.6), 3), steps=[1, 2, 2.5, 5, 10])
    colorbar.set_label(scale.label, fontsize=style.SMALL, color=style.INK, labelpad=2)


def panel(figure: Figure, frame: Frame, field: np.ndarray, scale: Scale, title: str, place: tuple):
    """One map with title, scale bar and colour bar; `place` is (left, bottom, width) in inches of the map itself."""
    left, bottom, width = place
    ax, mesh = map_axes(figure, frame, field, scale, place)
    above = bottom + width * frame.aspect
    figure.text(*style.corner(figure, left, above + 0.2), title, fontsize=style.BODY, color=style.INK)
    _scale_bar(figure, frame, left, above + 0.07, width)
    colour_bar(figure, mesh, scale, (left, bottom - 0.42, width))
    return ax


def _footer(figure: Figure, frame: Frame, gaps: bool) -> None:
    symbols = {"tower": "△", "point source": "○", "nothing": "▨"}
    present = {mark.kind for mark in frame.spec.marks}
    kinds = [kind for kind in symbols if kind in present or (kind == "nothing" and gaps)]
    text = "     ".join(f"{symbols[kind]} {TEXT[kind]}" for kind in kinds)
    figure.text(*style.corner(figure, LEFT, 0.08), text, fontsize=style.SMALL, color=style.MUTED)


def _title(name: str, values: np.ndarray) -> str:
    if name != "reduction" or not np.isfinite(values).any():
        return TEXT[name]
    return TEXT["up_to"].format(title=TEXT[name], largest=f"{100.0 * np.nanmax(values):.0f}")


def _sheet(outcome: Outcome, frame: Frame, rows: list[list[str]], width: float) -> Figure:
    """A figure with rows of maps, each map `width` inches wide."""
    spec, elements = outcome.setup.map, _per_element(outcome, frame)
    scales = _scales(elements, spec.unit)
    foot = 0.25
    cell_w, cell_h = LEFT + width + RIGHT, BELOW + width * frame.aspect + ABOVE
    body = foot + cell_h * len(rows)
    figure = style.sheet(outcome.setup, cell_w * max(map(len, rows)), body, style.pretty(spec.title))
    for i, row in enumerate(rows):
        for j, name in enumerate(row):
            place = (j * cell_w + LEFT, foot + (len(rows) - 1 - i) * cell_h + BELOW, width)
            panel(figure, frame, outcome.fields[name], scales[name], _title(name, elements[name]), place)
    _footer(figure, frame, any(np.isnan(outcome.fields[n][frame.window]).any() for row in rows for n in row))
    return figure


def draw_maps(outcome: Outcome, path_dir: Path) -> dict[str, Path]:
    """Draw each map of a solved case, and all of them on one sheet.

    Args:
        outcome: the solved case.
        path_dir: folder for the PNG files; created if missing.

    Returns:
        paths by name: "prior", "posterior", "truth" where known, "increment", "reduction", and "maps" for the sheet.
    """
    path_dir = Path(path_dir)
    path_dir.mkdir(parents=True, exist_ok=True)
    frame = frame_of(outcome.setup.map)
    fluxes, others = ([n for n in names if n in outcome.fields] for names in (FLUXES, ORDER[len(FLUXES) :]))
    width = min(5.2, 6.2 / frame.aspect)
    paths = {
        name: style.save(_sheet(outcome, frame, [[name]], width), path_dir / f"map-{name}.png")
        for name in fluxes + others
    }
    sheet = _sheet(outcome, frame, [fluxes, others], min(3.7, 4.4 / frame.aspect))
    return paths | {"maps": style.save(sheet, path_dir / "maps.png")}

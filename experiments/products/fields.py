"""Pictures of a forward run: the map at one time, a strip of frames over the run, and an animation."""

from pathlib import Path

import numpy as np
from cmcrameri import cm
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from experiments.cases import MapSpec
from experiments.numbers import number
from experiments.products import style
from experiments.products.frame import frame_of
from experiments.products.maps import (
    ABOVE,
    BELOW,
    EXTEND,
    LEFT,
    RIGHT,
    Scale,
    colour_bar,
    map_axes,
    panel,
    robust_limit,
    symmetric,
)
from experiments.products.style import TEXT
from experiments.simulated import Simulated

FRAMES = 6
MOST_FRAMES = 96  # of the animation
FRAME_TIME = 200  # ms
FOOT = 0.25


def spec_of(run: Simulated) -> MapSpec:
    """The grid of a run as the maps take it."""
    setup, grid = run.setup, run.setup.domain.grid
    title = TEXT["enhancement"].format(species=setup.species, unit=setup.unit)
    empty = np.zeros((0, 0))
    layout = np.zeros(grid.shape, int)
    return MapSpec(
        title, setup.unit, grid.crs, grid.x_edges, grid.y_edges, layout, empty, marks=setup.marks, coast=True
    )


def clock(run: Simulated, time: np.datetime64) -> str:
    """A time as it is written on figures: local, with its offset from UTC."""
    offset = run.setup.utc_offset
    local = str((time + np.timedelta64(round(3600 * offset), "s")).astype("datetime64[m]"))
    sign = "−" if offset < 0 else "+"
    return TEXT["local"].format(date=local[:10], clock=local[11:], sign=sign, offset=f"{abs(offset):g}")


def sequential(values: np.ndarray, label: str) -> Scale:
    """From zero up; ends that are cut off get an arrow."""
    limit = robust_limit(np.maximum(values, 0.0))
    ends = (bool(np.nanmin(values) < -0.02 * limit), bool(np.nanmax(values) > limit))
    return Scale(cm.cmaps["lipari_r"], 0.0, limit, label, EXTEND[ends])


def _label(run: Simulated, name: str) -> str:
    unit = style.pretty(run.setup.unit)
    return f"{TEXT[name]}, " + style.pretty(TEXT["enhancement"].format(species=run.setup.species, unit=unit))


# --- the map at one time ----------------------------------------------------------------------------------------------
def _focus_map(run: Simulated) -> Figure:
    """Column enhancement of one interval, and beside it what was observed, in the same colours."""
    setup, frame = run.setup, frame_of(spec_of(run))
    t = run.focus()
    field = run.column[t] - run.background
    soundings = None if setup.soundings is None else setup.soundings.observations
    observed = None if soundings is None else soundings.values - run.background
    values = field.ravel() if observed is None else np.concatenate([field.ravel(), observed])
    scale = sequential(values, _label(run, "column")) if observed is None else symmetric(values, _label(run, "column"))
    width = min(4.2, 4.6 / frame.aspect)
    panels = 1 if observed is None else 2
    height = BELOW + width * frame.aspect + ABOVE
    until = TEXT["modelled_column"].format(time=clock(run, setup.times[t + 1]))
    subtitle = TEXT["mean_until"].format(
        minutes=f"{setup.interval / 60:g}",
        sign="−" if setup.utc_offset < 0 else "+",
        offset=f"{abs(setup.utc_offset):g}",
    )
    if soundings is not None:
        text = TEXT["soundings"].format(count=len(soundings), inflow=number(run.background, -1))
        subtitle = f"{subtitle}. {text}"
    figure = style.sheet(setup, panels * (LEFT + width + RIGHT), FOOT + height, subtitle)
    ax = panel(figure, frame, field, scale, until, (LEFT, FOOT + BELOW, width))
    if soundings is not None and observed is not None:
        x, y = frame.from_lonlat(soundings.lon, soundings.lat)
        ax.scatter(x, y, s=3, color=style.INK, linewidth=0, alpha=0.6, zorder=5)
        title = TEXT["observed_column"].format(
            instrument=soundings.instruments[0],
            time=clock(run, np.sort(soundings.start)[len(soundings) // 2]),
        )
        place = (2 * LEFT + width + RIGHT, FOOT + BELOW, width)
        other = panel(figure, frame, np.full(field.shape, np.nan), scale, title, place)
        other.scatter(
            x, y, c=observed, cmap=scale.cmap, vmin=scale.low, vmax=scale.high, s=24, edgecolor=style.INK,
            linewidth=0.3, zorder=5,
        )  # fmt: skip
    return figure


# --- frames -----------------------------------------------------------------------------------------------------------
def _chosen(count: int) -> list[int]:
    """Intervals of the strip: evenly through the run, the last one included."""
    return sorted({round((i + 1) * count / FRAMES) - 1 for i in range(FRAMES) if round((i + 1) * count / FRAMES) > 0})


def _strip(run: Simulated) -> Figure:
    """Two rows of small maps, near the ground and the column mean; each row has one colour bar."""
    frame, chosen = frame_of(spec_of(run)), _chosen(len(run.column))
    width = min(1.95, 2.4 / frame.aspect)
    gap, bar, title = 0.12, 0.62, 0.3
    row = title + width * frame.aspect + bar
    total = LEFT + len(chosen) * (width + gap) + RIGHT
    minutes = f"{run.setup.interval / 60:g}"
    sign = "−" if run.setup.utc_offset < 0 else "+"
    subtitle = TEXT["mean_until"].format(minutes=minutes, sign=sign, offset=f"{abs(run.setup.utc_offset):g}")
    figure = style.sheet(run.setup, total, FOOT + 2 * row, subtitle)
    for r, (name, values) in enumerate((("ground", run.ground), ("column", run.column))):
        enhancement = values - run.background
        scale = sequential(enhancement, _label(run, name))
        bottom = FOOT + (1 - r) * row + bar
        mesh = None
        for i, t in enumerate(chosen):
            left = LEFT + i * (width + gap)
            ax, mesh = map_axes(figure, frame, enhancement[t], scale, (left, bottom, width), labels=i == 0)
            if i == 0:
                ax.tick_params(labelbottom=r == 1)
            text = clock(run, run.setup.times[t + 1]).rpartition(" (")[0]
            figure.text(
                *style.corner(figure, left, bottom + width * frame.aspect + 0.07), text, fontsize=style.SMALL,
                color=style.INK,
            )  # fmt: skip
        colour_bar(figure, mesh, scale, (LEFT, bottom - (0.34 if r == 1 else 0.2), min(4.2, total - LEFT - RIGHT)))
    return figure


def draw_fields(run: Simulated, folder: Path) -> dict[str, Path]:
    """Draw the map and the strip of a forward run.

    Args:
        run: a finished run.
        folder: for the PNG files.

    Returns:
        paths by name: "map", "frames".
    """
    return {
        "map": style.save(_focus_map(run), folder / "map-column.png"),
        "frames": style.save(_strip(run), folder / "frames.png"),
    }


# --- animation --------------------------------------------------------------------------------------------------------
def draw_animation(run: Simulated, folder: Path) -> Path:
    """A GIF of the column enhancement; runs of many intervals are thinned to at most 96 pictures."""
    frame = frame_of(spec_of(run))
    enhancement = run.column - run.background
    scale = sequential(enhancement, _label(run, "column"))
    width = min(4.2, 4.6 / frame.aspect)
    height = BELOW + width * frame.aspect + ABOVE
    figure = style.sheet(run.setup, LEFT + width + RIGHT, FOOT + height)
    place = (LEFT, FOOT + BELOW, width)
    ax = panel(figure, frame, enhancement[0], scale, "", place)
    mesh = next(c for c in ax.collections if not isinstance(c, LineCollection))
    caption = figure.text(
        *style.corner(figure, LEFT, FOOT + BELOW + width * frame.aspect + 0.2), "", fontsize=style.BODY, color=style.INK
    )
    step = -(-len(enhancement) // MOST_FRAMES)
    pictures = []
    for t in range(0, len(enhancement), step):
        mesh.set_array(enhancement[t][frame.window])
        caption.set_text(clock(run, run.setup.times[t + 1]))
        figure.set_dpi(90)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
        pictures.append(Image.fromarray(pixels.copy()).quantize(128, dither=Image.Dither.NONE))
    path = folder / "animation.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=FRAME_TIME, loop=0, optimize=True)
    return path

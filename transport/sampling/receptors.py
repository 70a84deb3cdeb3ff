"""Where, when and with which vertical weights air is sampled."""

import dataclasses
from collections.abc import Callable

import numpy as np

from transport.errors import TanhengError
from transport.sampling.vertical import height_weights


@dataclasses.dataclass(frozen=True, eq=False)
class Receptor:
    """One place and one window.

    The model gives means over the intervals of its meteorology; a window takes each in proportion to the time they
    share, so `Meteorology.split` is what resolves windows shorter than an interval.

    Args:
        x, y: position in the grid's own coordinates.
        start, end: window of the observation in seconds from the start of the run.
        levels: (nz,) weights of the model layers: from `height_weights`, or `column_weights` for a column.
    """

    x: float
    y: float
    start: float
    end: float
    levels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Combined:
    """A weighted sum of receptors seen as one sample: a path, a footprint, a difference of two columns.

    Args:
        receptors: n of them.
        weights: (n,).
    """

    receptors: tuple[Receptor, ...]
    weights: np.ndarray

    def __post_init__(self):
        if len(self.receptors) != len(self.weights):
            raise TanhengError(
                "a weighted sum of receptors needs one weight each", got=f"{len(self.weights)} weights",
                expected=f"{len(self.receptors)}", remedy="give as many weights as receptors",
            )  # fmt: skip


def path_average(
    start: tuple[float, float, float], end: tuple[float, float, float], window: tuple[float, float],
    height_edges: Callable[[float, float], np.ndarray], points: int = 64,
) -> Combined:  # fmt: skip
    """The mean along a straight open path, as a ground-based lidar or an open-path spectrometer sees it.

    ȳ = (1/L) ∫ C ds, by the midpoint rule.

    Args:
        start, end: (x, y, height above ground) of the two ends: the grid's own coordinates and m.
        window: start and end of the measurement, s from the start of the run.
        height_edges: gives the (nz+1,) heights of the model's layer edges above a point (x, y), m.
        points: of the midpoint rule; take several per cell that the path crosses.
    """
    share = (np.arange(points) + 0.5) / points
    along = [np.asarray(a) + share * (np.asarray(b) - np.asarray(a)) for a, b in zip(start, end, strict=True)]
    receptors = tuple(
        Receptor(float(x), float(y), *window, height_weights(height_edges(float(x), float(y)), float(z)))
        for x, y, z in zip(*along, strict=True)
    )
    return Combined(receptors, np.full(points, 1.0 / points))

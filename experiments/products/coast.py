"""The coast line: Natural Earth 4.1 at 1:50 million, public domain, shipped as TopoJSON (npm world-atlas 2.0.2).

TopoJSON stores each arc as integer steps from a first point; a position is scale · Σ steps + translate
(TopoJSON format specification 1.0, §2.1.2).
"""

import functools
import json
from importlib import resources

import numpy as np
import shapely


@functools.cache
def _arcs() -> tuple[np.ndarray, ...]:
    text = resources.files("experiments.products").joinpath("resources/land-50m.json").read_text(encoding="utf-8")
    topology = json.loads(text)
    scale, translate = (np.array(topology["transform"][k]) for k in ("scale", "translate"))
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + translate for arc in topology["arcs"]]
    return tuple(part for arc in arcs for part in _without_cuts(arc))


def _without_cuts(arc: np.ndarray) -> list[np.ndarray]:
    # Polygons are cut at the antimeridian and closed at the pole; these edges are no coast.
    on_cut = (np.abs(arc[:, 0]) > 179.99) | (arc[:, 1] < -89.9)
    cuts = np.flatnonzero(on_cut[1:] & on_cut[:-1]) + 1
    return [part for part in np.split(arc, cuts) if len(part) > 1]


def coastline(lon0: float, lon1: float, lat0: float, lat1: float) -> list[np.ndarray]:
    """The coast inside a window of longitude and latitude.

    Args:
        lon0, lon1: degrees east, lon0 < lon1; may pass the date line, e.g. 146 to 190.
        lat0, lat1: degrees north.

    Returns:
        polylines (k, 2) of longitude and latitude; longitudes are continuous in the window.
    """
    lines = []
    for shift in (-360.0, 0.0, 360.0):
        if lon1 < shift - 180.0 or lon0 > shift + 180.0:
            continue
        for arc in _arcs():
            lon, lat = arc[:, 0] + shift, arc[:, 1]
            if lon.max() < lon0 or lon.min() > lon1 or lat.max() < lat0 or lat.min() > lat1:
                continue
            clipped = shapely.clip_by_rect(shapely.linestrings(lon, lat), lon0, lat0, lon1, lat1)
            parts = shapely.get_parts(clipped)
            lines.extend(shapely.get_coordinates(part) for part in parts if not shapely.is_empty(part))
    return lines

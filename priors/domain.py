"""Where and when air enters a regional model, and means over its layers and intervals.

Between layers it is the mean by mass that is kept: pressure is proportional to the mass of air above, so that the mole
fraction of a model layer is the mean of the source over its pressures. In time it is the mean over each interval.
"""

import dataclasses

import numpy as np

from transport.errors import TanhengError
from transport.grid import Grid

SIDES = ("west", "east", "south", "north")
GROUND = (4e4, 1.1e5)  # Pa, on the highest plateau and at the Dead Sea
TOP = (100.0, 80e3)  # m: no model is so shallow, in km none so deep; where the standard atmosphere ends here


@dataclasses.dataclass(frozen=True, eq=False)
class Domain:
    """Where and when air enters: cells, layers and intervals of the transport.

    Args:
        grid: cells.
        times: (nt+1,) datetime64, edges of the intervals, UTC.
        pressure: (nz+1, ny, nx) or (nt, nz+1, ny, nx) edges of the layers in Pa, from the ground upwards.

    Raises:
        TanhengError: edges that do not fall, shapes that do not fit, a ground that has not the pressure of air.
    """

    grid: Grid
    times: np.ndarray
    pressure: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "times", np.asarray(self.times).astype("datetime64[s]"))
        p = np.asarray(self.pressure, dtype=float)
        p = p[None] if p.ndim == 3 else p
        good = (
            p.ndim == 4 and p.shape[2:] == self.grid.shape and p.shape[0] in (1, len(self.times) - 1) and p.shape[1] > 1
        )
        if not good or not (np.diff(p, axis=1) < 0).all() or not (p >= 0).all() or not (np.diff(self.times) > 0).all():
            raise TanhengError(
                "the layers of the domain do not fit it", got=f"pressure {p.shape}, {len(self.times) - 1} intervals",
                expected=f"(nz+1, {self.grid.shape[0]}, {self.grid.shape[1]}), or intervals before that, falling",
                remedy="give the edges of the layers in Pa, from the ground upwards, and increasing times",
            )  # fmt: skip
        if not ((p[:, 0] >= GROUND[0]) & (p[:, 0] <= GROUND[1])).all():
            raise TanhengError(
                "the ground of the domain has not the pressure of air", got=f"{p[:, 0].min():g}…{p[:, 0].max():g} Pa",
                expected=f"{GROUND[0]:g}…{GROUND[1]:g} Pa", remedy="multiply hPa by 100, begin at the ground",
            )  # fmt: skip
        object.__setattr__(self, "pressure", p)

    @classmethod
    def of_heights(cls, grid: Grid, times: np.ndarray, heights: np.ndarray, ground: np.ndarray | float) -> "Domain":
        """Layers between heights.

        Args:
            grid: cells.
            times: (nt+1,).
            heights: (nz+1,) m above ground, from zero.
            ground: (ny, nx) surface pressure in Pa, or one.

        Raises:
            TanhengError: heights in km, a ground of other cells, layers that do not fit.
        """
        ratio, ground = standard_ratio(above_ground(heights, "the domain")), np.asarray(ground, dtype=float)
        if ground.shape not in ((), grid.shape):
            raise TanhengError("the ground of the domain is of other cells", got=ground.shape, expected=grid.shape,
                               remedy="regrid the surface pressure")  # fmt: skip
        return cls(grid, times, ratio[:, None, None] * np.broadcast_to(ground, grid.shape))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nt, nz, ny, nx)."""
        return len(self.times) - 1, self.pressure.shape[1] - 1, *self.grid.shape


def above_ground(heights: np.ndarray, what: str) -> np.ndarray:
    """Edges of layers, as they are.

    Raises:
        TanhengError: not increasing from zero, or to a top that is none in m.
    """
    h = np.asarray(heights, dtype=float)
    if h.ndim != 1 or h.size < 2 or h[0] != 0 or not (np.diff(h) > 0).all() or not TOP[0] <= h[-1] <= TOP[1]:
        raise TanhengError(f"the heights of {what} are none", got=f"{h.ravel()[:3]}… to {h.ravel()[-1:]}",
                           expected=f"from 0 m upwards, to {TOP[0]:g}…{TOP[1]:g} m",
                           remedy="give the edges of the layers in m above ground")  # fmt: skip
    return h


def standard_ratio(height: np.ndarray) -> np.ndarray:
    """p(z)/p(0) of the ICAO standard atmosphere, z in m (Doc 7488/3, 1993): 288.15 K, −6.5 K km-1 to 11 km, 216.65 K to
    20 km, +1 K km-1 to 32 km, 228.65 K +2.8 K km-1 above."""  # noqa: D209
    z = np.clip(np.asarray(height, dtype=float), 0.0, 80e3)
    ratio = np.ones_like(z)
    gravity = 9.80665 / 287.05287  # K m-1, constants of the standard
    bases, lapse, warm = (0.0, 11e3, 20e3, 32e3, 80e3), (-6.5e-3, 0.0, 1e-3, 2.8e-3), 288.15
    for low, high, rate in zip(bases[:-1], bases[1:], lapse, strict=True):
        rise = np.clip(z - low, 0.0, high - low)
        ratio = ratio * (np.exp(-gravity * rise / warm) if rate == 0 else (1 + rate * rise / warm) ** (-gravity / rate))
        warm += rate * (high - low)
    return ratio


def overlap(edges: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(m, n) share of each of m wanted intervals (datetime64 edges) that lies in each of n."""
    e, w = ((x.astype("datetime64[s]") - np.datetime64(0, "s")).astype(float) for x in (edges, wanted))
    both = np.minimum(e[1:], w[1:, None]) - np.maximum(e[:-1], w[:-1, None])
    return np.maximum(both, 0.0) / np.diff(w)[:, None]


def relayer(values: np.ndarray, edges: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Means over wanted layers of what is constant in given ones, by mass of air.

    The lowest layer is taken down to the wanted ground and the highest up to the wanted top; what of the source lies
    below that ground or above that top is left out.

    Args:
        values: (…, nl) from the ground upwards.
        edges: (…, nl+1) Pa, falling.
        wanted: (…, nz+1) Pa, falling.

    Returns:
        (…, nz).
    """
    e = np.array(np.broadcast_to(edges, (*values.shape[:-1], edges.shape[-1])))
    e[..., 0], e[..., -1] = np.maximum(e[..., 0], wanted[..., 0]), np.minimum(e[..., -1], wanted[..., -1])
    upper = np.maximum(e[..., None, 1:], wanted[..., 1:, None])
    both = np.maximum(np.minimum(e[..., None, :-1], wanted[..., :-1, None]) - upper, 0.0)
    return (both * values[..., None, :]).sum(axis=-1) / (wanted[..., :-1] - wanted[..., 1:])


def extended(edges: np.ndarray, wanted: np.ndarray) -> float:
    """Largest share of the air of a wanted column that `relayer` takes from outside the layers, arguments as there."""
    below = np.maximum(wanted[..., 0] - edges[..., 0], 0.0)
    above = np.maximum(edges[..., -1] - wanted[..., -1], 0.0)
    return float(((below + above) / (wanted[..., 0] - wanted[..., -1])).max())


def shares(edges: np.ndarray, times: np.ndarray, what: str) -> np.ndarray:
    """(m, n) share of each period in each interval.

    Raises:
        TanhengError: intervals that the periods do not cover.
    """
    share = overlap(edges, times)
    if not np.allclose(share.sum(axis=1), 1.0, atol=1e-9):
        raise TanhengError(
            f"{what} does not cover the time", got=f"{edges[0]}…{edges[-1]}", expected=f"{times[0]}…{times[-1]}",
            remedy="read the files before and after as well",
        )  # fmt: skip
    return share


def rim(domain: Domain, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Longitude and latitude (n,) of the middles of the cells' outer faces, and pressure edges (1 or nt, nz+1, n)."""
    g, p = domain.grid, domain.pressure
    if side in ("west", "east"):
        at = 0 if side == "west" else -1
        lon, lat = g.lonlat(np.full(g.shape[0], g.x_edges[at]), g.y)
        return np.asarray(lon), np.asarray(lat), p[..., at]
    at = 0 if side == "south" else -1
    lon, lat = g.lonlat(g.x, np.full(g.shape[1], g.y_edges[at]))
    return np.asarray(lon), np.asarray(lat), p[:, :, at]

"""From the model's air to what instruments report: y = offset + O C, for every kind of observation."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pyproj

from inversion.observations.observations import Observations
from inversion.observations.record import Step
from inversion.observations.units import COLUMN_AMOUNT, FACTORS, mole_fraction
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid
from transport.sampling import Sampler, column_weights, pixel_points, point_weights
from transport.sampling.vertical import bracket

# An instant needs a window of some length to be a mean over.
INSTANT = np.timedelta64(600, "s")
# Points of the midpoint rule along an open path.
PATH_POINTS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Air:
    """What inlets and columns must know of the model.

    Args:
        grid: horizontal grid.
        times: (nt+1,) datetime64, ends of the intervals, UTC.
        pressure_edges, height_edges: (nt, nz+1, ny, nx) Pa and m above ground, in the middle of the intervals.
    """

    grid: Grid
    times: np.ndarray
    pressure_edges: np.ndarray
    height_edges: np.ndarray

    def __post_init__(self):
        ny, nx = self.grid.shape
        shape, nt = np.shape(self.pressure_edges), len(self.times) - 1
        steps = np.unique(np.diff(self.times))
        fits = len(shape) == 4 and (shape[0], *shape[2:]) == (nt, ny, nx) and np.shape(self.height_edges) == shape
        if not fits or len(steps) != 1:
            raise TanhengError(
                "the model's air does not fit its grid and times",
                got=f"pressure {shape}, heights {np.shape(self.height_edges)}, {nt} intervals of {len(steps)} lengths",
                expected=f"({nt}, nz+1, {ny}, {nx}) of both, intervals of one length",
                remedy="give (time, edge, y, x), and all times of the run",
            )
        rising = (np.diff(self.height_edges, axis=1) > 0).all() and (np.diff(self.pressure_edges, axis=1) < 0).all()
        if not rising:
            raise TanhengError(
                "the model's layers do not follow each other from the ground up",
                got="heights that do not increase, or pressures that do not decrease",
                expected="index 0 at the ground", remedy="turn the vertical axis round",
            )  # fmt: skip

    @property
    def interval(self) -> float:
        """Seconds."""
        return float((self.times[1] - self.times[0]) / np.timedelta64(1, "s"))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nt, nz, ny, nx)."""
        nt, edges, ny, nx = self.pressure_edges.shape
        return nt, edges - 1, ny, nx

    def place(self, lon, lat) -> tuple[np.ndarray, np.ndarray]:
        """The grid's own coordinates of longitudes and latitudes."""
        if self.grid.is_geographic:  # longitudes of the turn on which the grid lies
            middle = 0.5 * (self.grid.x_edges[0] + self.grid.x_edges[-1])
            return middle + (np.asarray(lon) - middle + 180.0) % 360.0 - 180.0, np.asarray(lat)
        return pyproj.Transformer.from_crs(GEOGRAPHIC, self.grid.crs, always_xy=True).transform(lon, lat)

    def window(self, observations: Observations) -> tuple[np.ndarray, np.ndarray]:
        """(n,), (n,) start and end of each window, s from the start of the run; instants are widened."""
        half = np.where(observations.start == observations.end, INSTANT / 2, np.timedelta64(0, "s"))
        origin, second = self.times[0].astype("datetime64[ns]"), np.timedelta64(1, "s")
        return (observations.start - half - origin) / second, (observations.end + half - origin) / second

    def profile(self, edges: np.ndarray, x, y, seconds) -> np.ndarray:
        """(n, nz+1) edges above points, bilinear, of the interval that holds a time."""
        t = np.clip((np.asarray(seconds) // self.interval).astype(int), 0, self.shape[0] - 1)
        (i, wi), (j, wj) = bracket(self.grid.x, np.asarray(x)), bracket(self.grid.y, np.asarray(y))
        found = np.zeros((t.size, edges.shape[1]))
        for a in range(2):
            for b in range(2):
                found += (wj[:, a] * wi[:, b])[:, None] * edges[t, :, j[:, a], i[:, b]]
        return found


class Seen(eqx.Module):
    """y = offset + O C.

    Args:
        operator: O, from C in ppm to the unit of the observations.
        offset: (n,) what the products' own priors add, in the unit of the observations.
    """

    operator: Sampler
    offset: np.ndarray

    def __call__(self, air):
        """Modelled observations of C (nt, nz, ny, nx) ppm."""
        return self.operator.mv(air) + jnp.asarray(self.offset)


def within(observations: Observations, air: Air, points: int = 1) -> Observations:
    """Without the rows that the model cannot see, with the reasons.

    Args:
        observations: any set.
        air: of the model.
        points: as of `observe`: pixels that are averaged must lie in the model whole.

    Raises:
        TanhengError: nothing is left.
    """
    o, grid = observations, air.grid
    lon, lat = (o.lon, o.lat) if o.ends is None else (np.stack([o.lon, o.ends[:, 0]]), np.stack([o.lat, o.ends[:, 1]]))
    x, y = air.place(lon, lat)
    outside: np.ndarray = ~(
        (grid.x_edges[0] <= x) & (x <= grid.x_edges[-1]) & (grid.y_edges[0] <= y) & (y <= grid.y_edges[-1])
    )
    if o.ends is not None:
        outside = outside[:1].any(axis=0) | (outside[1:].any(axis=0) & np.isfinite(o.ends[:, 0]))
    if points > 1 and o.corners is not None:
        cx, cy = _corners(o, air)
        known = np.isfinite(cx) & np.isfinite(cy)
        (west, east), (south, north) = grid.x_edges[[0, -1]], grid.y_edges[[0, -1]]
        outside = outside | (known & ~((west <= cx) & (cx <= east) & (south <= cy) & (cy <= north))).any(axis=1)
    start, end = air.window(o)
    late = (start < 0.0) | (end > air.interval * air.shape[0])
    return o.drop("within the model", {"outside the grid": outside, "outside the window": late})


def on_model_ground(observations: Observations, air: Air) -> Observations:
    """Columns whose product states no surface pressure, stretched to stand on the model's ground.

    Args:
        observations: with columns, within the model.
        air: of the model.
    """
    v = observations.vertical
    assert v is not None
    start, end = air.window(observations)
    edges = air.profile(air.pressure_edges, *air.place(observations.lon, observations.lat), 0.5 * (start + end))
    pressure = v.pressure * (edges[:, :1] / v.pressure[:, :1])
    step = Step("layers put on the model's ground: the product states no surface pressure", len(observations))
    vertical = dataclasses.replace(v, pressure=pressure)
    return observations.replace(vertical=vertical, steps=(*observations.steps, step))


def substitute_prior(observations: Observations, profile, name: str) -> Observations:
    """An a-priori profile for columns whose product has none, named by the user.

    Args:
        observations: with columns.
        profile: one mole fraction, or (n, m) on the columns' own layers or levels, in the unit of the observations.
        name: what it is; goes into the record.

    Raises:
        TanhengError: no columns, or a profile of another unit.
    """
    v = observations.vertical
    if v is None:
        raise TanhengError(
            "there is no column whose prior could be substituted", got="no vertical weights", expected="columns",
            remedy="attach kernels first",
        )  # fmt: skip
    ratio = float(np.nanmedian(np.asarray(profile, float)) / np.median(observations.values))
    if observations.unit != COLUMN_AMOUNT and not 0.3 < ratio < 3.0:
        raise TanhengError(
            "a substitute for the a-priori profile cannot be of these columns",
            got=f"median {np.nanmedian(profile):.6g}, of the columns {np.median(observations.values):.6g}",
            expected=f"mole fractions in {observations.unit}", remedy="convert the profile",
        )  # fmt: skip
    missing = np.isnan(v.prior) & np.isfinite(v.weights)
    prior = np.where(missing, np.broadcast_to(np.asarray(profile, float), v.prior.shape), v.prior)
    rows = missing.any(axis=1)
    value = np.where(rows, np.nansum(v.weights * prior, axis=1), v.prior_value)
    step = Step(f"a-priori profile of {int(rows.sum())} columns substituted: {name}", len(observations))
    vertical = dataclasses.replace(v, prior=prior, prior_value=value)
    return observations.replace(vertical=vertical, steps=(*observations.steps, step))


def observe(observations: Observations, air: Air, points: int = 1) -> Seen:
    """O and offset of a set of observations.

    Columns: y = y_a − Σ_i h_i a_i s_i x_a,i + Σ_k w_k C_k, with w from `column_weights` and s_i the share of product
    layer i below the model's top: above it the product's own prior stands. Inlets: linear between layer centres.
    Paths: the mean along a straight line.

    Args:
        observations: within the model (see `within`); mole fractions, or column amounts in mol m-2.
        air: of the model.
        points: per side of a pixel with corners, over which it is averaged; 1: its centre.

    Raises:
        TanhengError: rows outside the model, a column without kernel or a-priori profile, an inlet without a height,
            a kind that is not sampled from air.

    Reference: Rodgers & Connor 2003, doi 10.1029/2002JD002299, eq. 15.
    """
    o = observations
    if int(points) != points or points < 1:
        raise TanhengError("points per side of a pixel cannot be", got=points, expected="1, 2, 3 …", remedy="e.g. 3")
    _require_sampled(o)
    scale = 1e-6 if o.unit == COLUMN_AMOUNT else mole_fraction("ppm", "the model") / mole_fraction(o.unit, "a set")
    start, end = air.window(o)
    path = o.kinds == "path"
    owner = np.repeat(np.arange(len(o)), np.where(path, PATH_POINTS, 1))
    first = np.r_[True, np.diff(owner) > 0]
    along = np.where(path[owner], (np.arange(owner.size) - np.flatnonzero(first)[owner] + 0.5) / PATH_POINTS, 0.0)
    here = np.stack([*air.place(o.lon, o.lat), o.height], axis=1)[owner]
    if o.ends is not None:
        there = np.stack([*air.place(o.ends[:, 0], o.ends[:, 1]), o.ends[:, 2]], axis=1)[owner]
        here = np.where(path[owner, None], here + along[:, None] * (there - here), here)
    x, y, height = here.T
    middle = 0.5 * (start + end)[owner]
    column = (o.kinds == "column")[owner]
    levels, offset = np.zeros((owner.size, air.shape[1])), np.zeros(len(o))
    if (~column).any():
        at = x[~column], y[~column], middle[~column]
        levels[~column] = point_weights(air.profile(air.height_edges, *at), height[~column])
    if column.any():
        rows = owner[column]
        model = air.profile(air.pressure_edges, x[column], y[column], middle[column])
        levels[column], offset[rows] = _columns(o, rows, model)
    levels *= np.where(path, scale / PATH_POINTS, scale)[owner, None]
    px, py = _pixels(o, air, x, y, owner, points)
    operator = Sampler.of_arrays(
        px, py, start[owner], end[owner], levels, air.grid, air.shape, air.interval, owner, len(o)
    )
    return Seen(operator, offset)


def _columns(o: Observations, rows: np.ndarray, model: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n, nz) of the model's layers and offset (n,)."""
    v = o.vertical
    assert v is not None
    v = v.take(rows)
    weights = column_weights(model, v.pressure, v.weights, v.kernel, v.layered)
    seen = column_weights(model, v.pressure, v.weights, v.kernel * v.prior, v.layered).sum(axis=-1)
    return weights, v.prior_value - seen


def _corners(o: Observations, air: Air) -> tuple[np.ndarray, np.ndarray]:
    """(n, 4), (n, 4) on the grid; a pixel across the date line stays in one piece about its centre."""
    assert o.corners is not None
    cx, cy = air.place(o.corners[..., 0], o.corners[..., 1])
    if air.grid.is_geographic:
        middle = air.place(o.lon, o.lat)[0][:, None]
        cx = middle + (cx - middle + 180.0) % 360.0 - 180.0
    return cx, cy


def _pixels(o: Observations, air: Air, x, y, owner, points: int) -> tuple[np.ndarray, np.ndarray]:
    """(S, p²) points of pixels between their corners; all at the centre where there are none."""
    if points == 1 or o.corners is None:
        return x[:, None], y[:, None]
    cx, cy = _corners(o, air)
    known = np.all(np.isfinite(o.corners), axis=(1, 2))[owner]
    clean = [np.where(np.isfinite(c), c, 0.0) for c in (cx, cy)]
    px, py = (p[owner] for p in pixel_points(clean[0], clean[1], points))
    return np.where(known[:, None], px, x[:, None]), np.where(known[:, None], py, y[:, None])


def _require_sampled(o: Observations) -> None:
    if o.unit != COLUMN_AMOUNT and "".join(o.unit.split()).lower() not in FACTORS:
        raise TanhengError(
            "these observations cannot be compared with air", got=f"values in {o.unit}",
            expected="mole fractions, or columns in mol m-2", remedy="convert them",
        )  # fmt: skip
    column = o.kinds == "column"
    points = np.isin(o.kinds, ("tower", "flask", "aircraft", "ship", "path"))
    if "upwind_lon" in o.extra:
        raise TanhengError(
            "differences of two columns cannot be sampled at one place", got="a differential set",
            expected="the columns themselves", remedy="sample both sets with observe, and subtract what they give",
        )  # fmt: skip
    none = np.full(len(o), False)
    far = none if o.ends is None else np.isfinite(o.ends).all(axis=1)
    lacks: dict[str, np.ndarray] = {
        "is not sampled from air": ~(column | points),
        "has no place": ~(np.isfinite(o.lon) & np.isfinite(o.lat)),
        "is an inlet without a height above ground": points & ~np.isfinite(o.height),
        "is a path without a far end": (o.kinds == "path") & ~far,
        "is a column without averaging kernel": column,
        "is a column without an a-priori profile": none,
    }
    if o.vertical is not None:
        v = o.vertical
        used = np.isfinite(v.weights)
        bare = ~used.any(axis=1) | (used & ~np.isfinite(v.kernel)).any(axis=1)
        lacks["is a column without averaging kernel"] = column & bare
        lacks["is a column without an a-priori profile"] = (
            column & ~bare & ((used & ~np.isfinite(v.prior)).any(axis=1) | ~np.isfinite(v.prior_value))
        )
    for what, bad in lacks.items():
        if bad.any():
            n = int(np.flatnonzero(bad)[0])
            raise TanhengError(
                f"an observation {what}", got=f"{int(bad.sum())} of {bad.size}; first at {o.groups[n]}, {o.start[n]}",
                expected="value, place, window and vertical weights",
                remedy="drop these rows, or name a profile with substitute_prior" if "profile" in what
                else "drop these rows, or complete them",
            )  # fmt: skip

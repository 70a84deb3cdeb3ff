"""Boundaries from models: curtains at the sides of the same domain, or fields of a model with a larger one."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from inversion.observations.component import Component
from inversion.observations.record import Source, Step
from priors.boundary import PLAUSIBLE, Background, plausible
from priors.domain import GROUND, SIDES, Domain, above_ground, extended, relayer, rim, shares, standard_ratio
from transport.errors import TanhengError
from transport.sources import Boundary

KM_PER_DEGREE = 111.2  # of latitude
EXTENDED = 0.5  # of the air of a column that may be taken from the lowest and highest layer of the source
WIDEST = 3.0  # degrees between columns of a curtain that are interpolated: a cell of the global models behind them


@dataclasses.dataclass(frozen=True, eq=False)
class Curtains:
    """Mole fractions at the four sides of a domain, by height above ground.

    Args:
        species: "CH4", …
        sides: "west", … to (nt, nh, n) in ppm, n latitudes or longitudes; NaN where the source has none.
        lon, lat: (n,) increasing, degrees; the sides lie at their ends.
        heights: (nh+1,) edges of the layers, m.
        times: (nt+1,) edges of the periods.
        sources: files.

    Raises:
        TanhengError: a species that is not known, parts that do not fit each other, heights that are not in m.
    """

    species: str
    sides: dict[str, np.ndarray]
    lon: np.ndarray
    lat: np.ndarray
    heights: np.ndarray
    times: np.ndarray
    sources: tuple[Source, ...] = ()

    def __post_init__(self):
        above_ground(self.heights, "the curtains")
        nt, nh, along = len(self.times) - 1, len(self.heights) - 1, (self.lat, self.lat, self.lon, self.lon)
        wanted = {side: (nt, nh, np.size(axis)) for side, axis in zip(SIDES, along, strict=True)}
        shapes = {side: np.shape(values) for side, values in self.sides.items()}
        if self.species not in PLAUSIBLE or shapes != wanted or not _increase(self.lon, self.lat, self.times):
            raise TanhengError("the parts of curtains do not fit each other", got=f"{self.species!r}, {shapes}",
                               expected=f"{' or '.join(PLAUSIBLE)}, {wanted}, places and times increasing",
                               remedy="build them with the reader of their format")  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
    """Mole fractions of a model with a larger domain.

    Args:
        species: "CO2", …
        values: (nt, nl, nlat, nlon) ppm, from the ground upwards.
        pressure: (1 or nt, nl+1, nlat, nlon) Pa.
        lon, lat: centres, even steps, increasing.
        times: (nt+1,) edges of the periods.
        sources: files.

    Raises:
        TanhengError: layers that do not begin at the ground or do not fall, places that are not in even steps, values
            that are no air, parts that do not fit each other.
    """

    species: str
    values: np.ndarray
    pressure: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    times: np.ndarray
    sources: tuple[Source, ...] = ()

    def __post_init__(self):
        places, p = (np.size(self.lat), np.size(self.lon)), self.pressure
        fits = np.ndim(self.values) == 4 == np.ndim(p) and self.values.shape[2:] == p.shape[2:] == places
        if not fits or p.shape[1] != self.values.shape[1] + 1 or len(self.values) != len(self.times) - 1:
            raise self._wrong(f"{np.shape(self.values)} values, {np.shape(p)} edges, {places} places",
                              "one edge more than layers, a value per time and place")  # fmt: skip
        even = all(x.size > 1 and np.ptp(np.diff(x)) <= 0.01 * np.diff(x).mean() for x in (self.lon, self.lat))
        if len(p) not in (1, len(self.values)) or not even or not _increase(self.lon, self.lat, self.times):
            raise self._wrong(f"{len(p)} pressures, longitudes {self.lon[:3]}, latitudes {self.lat[:3]}",
                              "one pressure or one per time, even steps, increasing")  # fmt: skip
        known = bool(((p >= 0) & (p <= GROUND[1])).all())
        ordered, ground = known and bool((p[:, 1:] < p[:, :-1]).all()), p[:, 0]
        if not ordered or not (ground >= GROUND[0]).all():
            raise self._wrong(f"layers {'' if ordered else 'not '}in order, ground at {ground.ravel()[:1]} Pa",
                              f"{GROUND[0]:g}…{GROUND[1]:g} Pa, falling upwards")  # fmt: skip
        plausible(self.values, self.species, self._name)

    @property
    def _name(self) -> str:
        return ", ".join(s.name for s in self.sources[:1]) or "a field"

    def _wrong(self, got: str, expected: str) -> TanhengError:
        return TanhengError(f"{self._name} holds no mole fractions of a global model", got=got, expected=expected,
                            remedy="use the file as its makers published it; Pa, from the ground up")  # fmt: skip


def _increase(*axes: np.ndarray) -> bool:
    return all(bool((x[1:] > x[:-1]).all()) for x in map(np.asarray, axes))


def from_curtains(
    domain: Domain, curtains: Curtains, u: float = float("nan"), scale: str = "", farthest_km: float = 100.0
) -> Background:
    """Curtains of the same sides on a model's layers and intervals; the top gets the mean of the highest layers.

    Columns that a curtain lacks are bridged by their neighbours up to 3° apart. A column that goes above the highest
    layer takes its value there; the share of its air is in the step.

    Args:
        domain: sides, layers and intervals.
        curtains: whose sides lie at those of the domain, in whatever turn of longitude.
        u: standard uncertainty in ppm, one error for all; NaN where nobody states it.
        scale: calibration scale.
        farthest_km: distance that a side may have from its curtain.

    Raises:
        TanhengError: sides farther apart, places or times that the curtains do not cover, curtains that hold less than
            half of a column's air, values that are not air.
    """
    share, outside = shares(curtains.times, domain.times, "curtains"), 0.0
    sides = {}
    for side in SIDES:
        lon, lat, p = rim(domain, side)
        lon = lon + 360.0 * np.round((curtains.lon.mean() - lon) / 360.0)
        along, at = (curtains.lat, lat) if side in ("west", "east") else (curtains.lon, lon)
        _near(curtains, side, lon, lat, along, at, farthest_km)
        columns = np.stack([_along(at, along, period) for period in curtains.sides[side]])
        values = np.moveaxis(columns, 1, -1)  # (nt, n, nh)
        edges = standard_ratio(curtains.heights) * p[:, 0, :, None]
        outside = max(outside, _extended(edges, np.moveaxis(p, 1, -1), "curtains"))
        sides[side] = _layers(share, values, edges, np.moveaxis(p, 1, -1))
    highest = np.mean([sides[s][:, -1].mean(axis=-1) for s in SIDES], axis=0)
    top = np.broadcast_to(highest[:, None, None], (domain.shape[0], *domain.shape[2:]))
    return _background(domain, sides, top, curtains, u, scale, "curtains, top their mean", outside)


def _extended(edges: np.ndarray, wanted: np.ndarray, what: str) -> float:
    share = extended(edges, wanted)
    if share > EXTENDED:
        raise TanhengError(
            f"{what} hold too little of the air of the domain", got=f"{100 * share:.3g} % of a column outside of them",
            expected=f"at most {100 * EXTENDED:g} %", remedy="take a lower top of the domain, or a source that reaches "
            "higher",
        )  # fmt: skip
    return share


def _along(at: np.ndarray, along: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(nh, n) values (nh, m) between the columns that are there; NaN where these are too far apart."""
    have = ~np.isnan(values).any(axis=0)
    if not have.any():
        return np.full((len(values), at.size), np.nan)
    x, rows = along[have], values[:, have]
    after = np.searchsorted(x, at).clip(1, max(x.size - 1, 1))
    apart = x[after.clip(max=x.size - 1)] - x[after - 1]
    beyond = np.maximum(x[0] - at, at - x[-1])
    out = np.array([np.interp(at, x, row) for row in rows])
    out[:, (apart > WIDEST) | (beyond > WIDEST)] = np.nan
    return out


def _near(curtains: Curtains, side: str, lon, lat, along, at, farthest_km: float) -> None:
    step = np.diff(along).mean()
    line = {"west": curtains.lon[0], "east": curtains.lon[-1], "south": curtains.lat[0], "north": curtains.lat[-1]}[
        side
    ]
    degrees = (lon - line) * np.cos(np.deg2rad(lat)) if side in ("west", "east") else lat - line
    away = float(np.abs(degrees).max()) * KM_PER_DEGREE
    if away > farthest_km or at.min() < along[0] - step or at.max() > along[-1] + step:
        raise TanhengError(
            f"the {side} of the domain is not where its curtain is",
            got=f"{away:.0f} km away, {at.min():.4g}…{at.max():.4g}° along it",
            expected=f"within {farthest_km:g} km, {along[0]:.4g}…{along[-1]:.4g}°",
            remedy="take the fields of a model, or a larger farthest_km with an u that covers the distance",
        )  # fmt: skip


def from_field(domain: Domain, field: Field, u: float = float("nan"), scale: str = "") -> Background:
    """A model's field at the sides and at the top: bilinear between its columns, by mass of air between its layers.

    Args:
        domain: sides, layers and intervals.
        field: that covers it.
        u: standard uncertainty in ppm, one error for all; NaN where nobody states it.
        scale: calibration scale.

    Raises:
        TanhengError: places or times that the field does not cover, layers that hold less than half of a column's air,
            values that are not air.
    """
    share = shares(field.times, domain.times, "the field")
    used = np.flatnonzero(share.any(axis=0))
    share, values = share[:, used], field.values[used]
    pressure = field.pressure if len(field.pressure) == 1 else field.pressure[used]

    def columns_at(lon, lat) -> tuple[np.ndarray, np.ndarray]:
        columns, weights = _bilinear(field.lon, field.lat, lon, lat)
        mine, edges = (np.moveaxis((f.reshape(*f.shape[:2], -1)[..., columns] * weights).sum(axis=-1), 1, -1)
                       for f in (values, pressure))  # fmt: skip
        return mine, edges

    sides, outside, (t, k) = {}, 0.0, np.nonzero(share > 0)
    for side in SIDES:
        lon, lat, wanted = rim(domain, side)
        mine, edges, wanted = *columns_at(lon, lat), np.moveaxis(wanted, 1, -1)
        given, asked = edges[k if len(edges) > 1 else [0]], wanted[t if len(wanted) > 1 else [0]]
        outside = max(outside, _extended(given, asked, "the layers of the field"))
        sides[side] = _layers(share, mine, edges, wanted, by_period=True)
    g, p = domain.grid, domain.pressure[:, -2:]
    lon, lat = g.lonlat(*np.meshgrid(g.x, g.y))
    highest = np.moveaxis(p.reshape(len(p), 2, -1), 1, -1)
    top = _layers(share, *columns_at(lon.ravel(), lat.ravel()), highest, by_period=True)[:, 0]
    top = top.reshape(domain.shape[0], *g.shape)
    return _background(domain, sides, top, field, u, scale, "field of a model", outside)


def _bilinear(x: np.ndarray, y: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 4) columns of a field (ny·nx) and their weights; a global field goes round."""
    dx, dy = np.diff(x).mean(), np.diff(y).mean()
    around = abs(x.size * dx - 360.0) < 0.01 * dx
    fx, fy = ((lon - x[0]) % 360.0) / dx, (lat - y[0]) / dy
    # Half a cell beyond the last centres is still theirs; on the west that is just below a full turn.
    fx = np.where(fx > 360.0 / dx - 0.5, fx - 360.0 / dx, fx) if not around else fx
    if not ((fy >= -0.5) & (fy <= y.size - 0.5)).all() or not (around or ((fx >= -0.5) & (fx <= x.size - 0.5)).all()):
        raise TanhengError(
            "the field does not cover the domain", got=f"{lon.min():.4g}…{lon.max():.4g}°E, {lat.min():.4g}…"
            f"{lat.max():.4g}°N", expected=f"{x[0]:.4g}…{x[-1]:.4g}°E, {y[0]:.4g}…{y[-1]:.4g}°N",
            remedy="read a larger part of the model",
        )  # fmt: skip
    fy = fy.clip(0, y.size - 1)
    fx = fx if around else fx.clip(0, x.size - 1)
    i, j = np.floor(fx).astype(int), np.minimum(np.floor(fy).astype(int), y.size - 2)
    wx, wy = fx - i, fy - j
    left, right = i % x.size, (i + 1) % x.size if around else np.minimum(i + 1, x.size - 1)
    columns = np.stack(
        [j * x.size + left, j * x.size + right, (j + 1) * x.size + left, (j + 1) * x.size + right], axis=-1
    )
    weights = np.stack([(1 - wx) * (1 - wy), wx * (1 - wy), (1 - wx) * wy, wx * wy], axis=-1)
    return columns, weights


def _layers(share, values, edges, wanted, by_period: bool = False) -> np.ndarray:
    """(nt, nz, n) of values (periods, n, nl) and edges, of periods or (as wanted) of intervals."""
    nt, n_wanted = len(share), len(wanted)
    out = np.zeros((nt, wanted.shape[-1] - 1, values.shape[1]))
    done: dict[tuple[int, int], np.ndarray] = {}
    for t, k in np.argwhere(share > 0):
        key = (int(k), int(t) if n_wanted > 1 else 0)
        if key not in done:
            if len(done) > 4:
                done.clear()
            own = edges[key[0] if len(edges) > 1 else 0] if by_period else edges[key[1]]
            done[key] = relayer(values[k], own, wanted[key[1]]).T
        out[t] += share[t, k] * done[key]
    return out


def _background(domain: Domain, sides, top, source, u: float, scale: str, what: str, outside: float) -> Background:
    for side, values in (*sides.items(), ("top", top)):
        plausible(values, source.species, f"the background at the {side}")
    if u < 0 or u == np.inf:
        raise TanhengError("an uncertainty is none", got=u, expected="≥ 0, or NaN", remedy="give u (k = 1)")
    nt = domain.shape[0]
    west, east, south, north = (jnp.asarray(sides[s]) for s in SIDES)
    boundary = Boundary(west, east, south, north, jnp.asarray(top))
    component = Component.shared("background", np.full(nt, u), what)
    step = Step(
        f"{what}: {', '.join(s.name for s in source.sources)}; up to {100 * outside:.2g} % of a column's air is beyond "
        "its layers and has the value of the nearest", nt,
    )  # fmt: skip
    return Background(boundary, (component,), scale, source.sources, (step,))

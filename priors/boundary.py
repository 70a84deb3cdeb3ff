"""The air that comes in: a constant, an upwind tower, curtains or a global model, as the sides of a regional model."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from inversion.observations.component import Component
from inversion.observations.record import Source, Step
from priors.domain import SIDES, Domain, overlap, relayer, rim, shares, standard_ratio
from transport.errors import TanhengError
from transport.sources import Boundary

# ppm per unit; the molar ratio of one part. Masses are not here: they need the species (see the readers).
PPM = {
    "ppm": 1.0, "umol mol-1": 1.0, "micromol mol-1": 1.0, "µmol mol-1": 1.0, "1e-6": 1.0, "ppmv": 1.0,
    "ppb": 1e-3, "nmol mol-1": 1e-3, "nanomol mol-1": 1e-3, "1e-9": 1e-3, "ppbv": 1e-3,
    "mol mol-1": 1e6, "mol/mol": 1e6, "1": 1e6,
}  # fmt: skip
PLAUSIBLE = {"CO2": (250.0, 2000.0), "CH4": (0.2, 50.0)}  # ppm, from the ground to the stratosphere


@dataclasses.dataclass(frozen=True, eq=False)
class Background:
    """Mole fractions at the sides, how well they are known, and where they come from.

    Args:
        boundary: ppm.
        components: causes of error, (nt,) in ppm: of the whole inflow of an interval.
        scale: calibration scale; "" where it is not known.
        sources: files that were read.
        steps: what was done since.
    """

    boundary: Boundary
    components: tuple[Component, ...]
    scale: str
    sources: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()


def plausible(values: np.ndarray, species: str, what: str) -> None:
    """Refuse mole fractions in ppm that are none of this gas: a wrong unit, most likely.

    Raises:
        TanhengError: missing, or outside what air can hold.
    """
    low, high = PLAUSIBLE.get(species, (0.0, 1e6))
    bad = ~((values >= low) & (values <= high))
    if bad.any():
        got = values[bad & np.isfinite(values)]
        raise TanhengError(
            f"{what} holds no mole fractions of {species}", got=f"{np.count_nonzero(bad)} of {values.size} missing or "
            "outside" + (f", as {got[0]:.4g} ppm" if got.size else ""), expected=f"{low:g}…{high:g} ppm",
            remedy="check unit and species; choose sides that the source covers",
        )  # fmt: skip


def to_ppm(unit: str) -> float:
    """Factor of a unit of mole fraction.

    Raises:
        TanhengError: it is none.
    """
    if unit not in PPM:
        raise TanhengError("this is no unit of mole fraction", got=repr(unit), expected=", ".join(PPM),
                           remedy="convert first; moist air and masses need more than a factor")  # fmt: skip
    return PPM[unit]


def constant(domain: Domain, value: float, u: float, unit: str, species: str, scale: str = "") -> Background:
    """The same air all around at all times, with one error that all intervals share.

    Args:
        domain: sides and intervals.
        value: mole fraction.
        u: standard uncertainty.
        unit: of both, "ppm", "ppb", …
        species: "CO2", …
        scale: calibration scale.

    Raises:
        TanhengError: an unknown unit, a value that is not air, an uncertainty below zero.
    """
    factor, nt = to_ppm(unit), domain.shape[0]
    plausible(np.array([value * factor]), species, "a constant background")
    if not u >= 0:
        raise TanhengError("an uncertainty is below zero", got=u, expected="≥ 0", remedy="give u (k = 1)")
    boundary = Boundary.uniform(jnp.full(nt, value * factor), domain.shape)
    component = Component.shared("background", np.full(nt, u * factor), "constant background")
    return Background(boundary, (component,), scale, steps=(Step(f"constant background, {value:g} {unit}", nt),))


def tower(
    domain: Domain, times: np.ndarray, values: np.ndarray, u: np.ndarray, unit: str, species: str, scale: str = "",
    longest: float = 24.0,
) -> Background:  # fmt: skip
    """Hourly values of an upwind tower all around, gaps filled by what its own correlation says, with their error.

    Between known neighbours a, b of an Ornstein–Uhlenbeck process of mean m, deviation s and ρ = exp(−Δt/τ), both of
    the series itself: x̂ = m + w_a (a − m) + w_b (b − m),  w_a = ρ_a (1 − ρ_b²)/(1 − ρ_a² ρ_b²), w_b alike, and

        u² = s² (1 − ρ_a²)(1 − ρ_b²)/(1 − ρ_a² ρ_b²) + (w_a u_a)² + (w_b u_b)²

    (Rasmussen & Williams 2006, ISBN 978-0-262-18253-9, eq. 2.23–2.24, for the Markov case appendix B.2).

    Args:
        domain: sides and intervals; an interval gets the mean of the hours in it.
        times: (n,) datetime64, starts of hours, increasing, UTC; hours that lack are gaps.
        values: (n,) mole fraction, NaN in gaps.
        u: (n,) standard uncertainty of each value.
        unit: of values and u.
        species: "CO2", …
        scale: calibration scale.
        longest: longest gap in hours.

    Raises:
        TanhengError: values that are not air, a longer gap, hours that the series does not reach, hardly any values.
    """
    factor = to_ppm(unit)
    start, end = domain.times[0], domain.times[-1]
    hours = np.arange(start.astype("datetime64[h]"), end, np.timedelta64(1, "h")).astype("datetime64[h]")
    t, x, sigma = _series(times, np.asarray(values, float) * factor, np.asarray(u, float) * factor)
    plausible(x, species, "the tower")
    known = np.isin(hours, t)
    after = np.searchsorted(t, hours)
    inside = (after > 0) & (after < t.size) | known
    gap = np.where(known, 0, np.where(inside, (t[after.clip(0, t.size - 1)] - t[(after - 1).clip(0)]).astype(int) - 1, 10**6))
    if gap.max() > longest:
        at = int(np.argmax(gap))
        raise TanhengError(
            "the tower has too long a gap", got=f"at {hours[at]}" + ("" if inside[at] else ", beyond its ends"),
            expected=f"at most {longest:g} h, within {t[0]}…{t[-1]}", remedy="add another site, or allow longer gaps",
        )  # fmt: skip
    filled, error, what = _bridge(t, x, sigma, hours, known)
    values_, errors = (_means(hours, series, domain.times) for series in (filled, error))
    boundary = Boundary.uniform(jnp.asarray(values_), domain.shape)
    step = Step(f"upwind tower, gaps filled: {what}", int(known.sum()), (("gaps", int((~known).sum())),))
    return Background(boundary, (Component.independent("background", errors),), scale, steps=(step,))


def _series(times, values, sigma) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t = np.asarray(times).astype("datetime64[h]")
    if t.shape != values.shape or t.shape != sigma.shape or t.ndim != 1 or not (np.diff(t) > np.timedelta64(0, "h")).all():
        raise TanhengError("the series of a tower does not fit", got=f"{t.shape}, {values.shape}, {sigma.shape}",
                           expected="times increasing by hours at least, with a value and u each",
                           remedy="average to hours first")  # fmt: skip
    good = np.isfinite(values)
    if good.sum() < 24 or not (sigma[good] >= 0).all():
        raise TanhengError("a tower needs a day of values with their uncertainties", got=f"{good.sum()} values, "
                           f"{np.count_nonzero(~(sigma[good] >= 0))} without u", expected="24 or more",
                           remedy="read more, and give each value its u")  # fmt: skip
    return t[good], values[good], sigma[good]


def _bridge(t, x, sigma, hours, known) -> tuple[np.ndarray, np.ndarray, str]:
    """Value and u of each hour, and in words how."""
    mean, s = x.mean(), x.std(ddof=1)
    pairs = np.flatnonzero(np.diff(t) == np.timedelta64(1, "h"))
    phi = np.corrcoef(x[pairs], x[pairs + 1])[0, 1] if pairs.size > 2 and s > 0 else 0.0
    tau = -1.0 / np.log(np.clip(phi, 1e-6, 1 - 1e-6))
    after = np.searchsorted(t, hours).clip(1, t.size - 1)
    a, b = after - 1, after
    ra, rb = np.exp(-(hours - t[a]).astype(float) / tau), np.exp(-(t[b] - hours).astype(float) / tau)
    total = np.where(known, 1.0, 1.0 - (ra * rb) ** 2)
    wa, wb = ra * (1 - rb**2) / total, rb * (1 - ra**2) / total
    filled = mean + wa * (x[a] - mean) + wb * (x[b] - mean)
    error = np.sqrt(s**2 * (1 - ra**2) * (1 - rb**2) / total + (wa * sigma[a]) ** 2 + (wb * sigma[b]) ** 2)
    place = np.searchsorted(t, hours[known])
    filled[known], error[known] = x[place], sigma[place]
    return filled, error, f"s = {s:.3g} ppm, τ = {tau:.3g} h of the series"


def _means(hours: np.ndarray, series: np.ndarray, times: np.ndarray) -> np.ndarray:
    return overlap(np.append(hours, hours[-1] + np.timedelta64(1, "h")), times) @ series


# --- from models ------------------------------------------------------------------------------------------------------
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
    """

    species: str
    sides: dict[str, np.ndarray]
    lon: np.ndarray
    lat: np.ndarray
    heights: np.ndarray
    times: np.ndarray
    sources: tuple[Source, ...] = ()


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
    """

    species: str
    values: np.ndarray
    pressure: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    times: np.ndarray
    sources: tuple[Source, ...] = ()


def from_curtains(
    domain: Domain, curtains: Curtains, u: float = float("nan"), scale: str = "", farthest_km: float = 100.0
) -> Background:
    """Curtains of the same sides on a model's layers and intervals; the top gets the mean of the highest layers.

    Args:
        domain: sides, layers and intervals.
        curtains: whose sides lie at those of the domain.
        u: standard uncertainty in ppm, one error for all; NaN where nobody states it.
        scale: calibration scale.
        farthest_km: distance that a side may have from its curtain.

    Raises:
        TanhengError: sides farther apart, places or times that the curtains do not cover, values that are not air.
    """
    share = shares(curtains.times, domain.times, "curtains")
    sides = {}
    for side in SIDES:
        lon, lat, p = rim(domain, side)
        along, at = (curtains.lat, lat) if side in ("west", "east") else (curtains.lon, lon)
        _near(curtains, side, lon, lat, along, at, farthest_km)
        columns = np.array([[np.interp(at, along, row) for row in period] for period in curtains.sides[side]])
        values = np.moveaxis(columns, 1, -1)  # (nt, n, nh)
        edges = standard_ratio(curtains.heights) * p[:, 0, :, None]
        sides[side] = _layers(share, values, edges, np.moveaxis(p, 1, -1))
    highest = np.mean([sides[s][:, -1].mean(axis=-1) for s in SIDES], axis=0)
    top = np.broadcast_to(highest[:, None, None], (domain.shape[0], *domain.shape[2:]))
    return _background(domain, sides, top, curtains, u, scale, "curtains, top their mean")


def _near(curtains: Curtains, side: str, lon, lat, along, at, farthest_km: float) -> None:
    step = np.diff(along).mean()
    line = {"west": curtains.lon[0], "east": curtains.lon[-1], "south": curtains.lat[0], "north": curtains.lat[-1]}[side]
    degrees = (lon - line) * np.cos(np.deg2rad(lat)) if side in ("west", "east") else lat - line
    away = float(np.abs(degrees).max()) * 111.2
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
        TanhengError: places or times that the field does not cover, values that are not air.
    """
    share = shares(field.times, domain.times, "the field")
    used = np.flatnonzero(share.any(axis=0))
    share, values = share[:, used], field.values[used]
    pressure = field.pressure if len(field.pressure) == 1 else field.pressure[used]

    def at(lon, lat, wanted):
        columns, weights = _bilinear(field.lon, field.lat, lon, lat)
        picked = [np.moveaxis((f.reshape(*f.shape[:2], -1)[..., columns] * weights).sum(axis=-1), 1, -1)
                  for f in (values, pressure)]  # fmt: skip
        return _layers(share, *picked, np.moveaxis(wanted, 1, -1), by_period=True)

    sides = {}
    for side in SIDES:
        sides[side] = at(*rim(domain, side))
    g, p = domain.grid, domain.pressure[:, -2:]
    lon, lat = g.lonlat(*np.meshgrid(g.x, g.y))
    top = at(lon.ravel(), lat.ravel(), p.reshape(len(p), 2, -1))[:, 0].reshape(domain.shape[0], *g.shape)
    return _background(domain, sides, top, field, u, scale, "field of a model")


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
    columns = np.stack([j * x.size + left, j * x.size + right, (j + 1) * x.size + left, (j + 1) * x.size + right], axis=-1)
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


def _background(domain: Domain, sides, top, source, u: float, scale: str, what: str) -> Background:
    for side, values in (*sides.items(), ("top", top)):
        plausible(values, source.species, f"the background at the {side}")
    if u < 0:
        raise TanhengError("an uncertainty is below zero", got=u, expected="≥ 0", remedy="give u (k = 1)")
    nt = domain.shape[0]
    boundary = Boundary(*(jnp.asarray(sides[s]) for s in SIDES), jnp.asarray(top))
    component = Component.shared("background", np.full(nt, u), what)
    names = ", ".join(s.name for s in source.sources)
    return Background(boundary, (component,), scale, source.sources, (Step(f"{what}: {names}", nt),))

"""The air that comes in: a constant, an upwind tower, curtains or a global model, as the sides of a regional model."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from inversion.observations.component import Component
from inversion.observations.record import Source, Step
from priors.domain import Domain, overlap
from transport.errors import TanhengError
from transport.sources import Boundary

# ppm per unit; the molar ratio of one part. Masses are not here: they need the species (see the readers).
PPM = {
    "ppm": 1.0, "umol mol-1": 1.0, "micromol mol-1": 1.0, "µmol mol-1": 1.0, "1e-6": 1.0, "ppmv": 1.0,
    "ppb": 1e-3, "nmol mol-1": 1e-3, "nanomol mol-1": 1e-3, "1e-9": 1e-3, "ppbv": 1e-3,
    "mol mol-1": 1e6, "mol/mol": 1e6, "1": 1e6,
}  # fmt: skip
PLAUSIBLE = {"CO2": (250.0, 2000.0), "CH4": (0.2, 50.0)}  # ppm, from the ground to the stratosphere; no other species


@dataclasses.dataclass(frozen=True, eq=False)
class Background:
    """Mole fractions at the sides, how well they are known, and where they come from.

    Args:
        boundary: ppm.
        components: causes of error, (nt,) in ppm: of the whole inflow of an interval; a group shares one error.
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
        TanhengError: a species whose range is not known, values that are missing or outside what air can hold.
    """
    if species not in PLAUSIBLE:
        raise TanhengError(f"{what} is of a species that is not known", got=repr(species),
                           expected=" or ".join(PLAUSIBLE), remedy="write it so")  # fmt: skip
    low, high = PLAUSIBLE[species]
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
        species: "CO2" or "CH4".
        scale: calibration scale.

    Raises:
        TanhengError: an unknown unit or species, a value that is not air, an uncertainty that is none.
    """
    factor, nt = to_ppm(unit), domain.shape[0]
    plausible(np.array([value * factor]), species, "a constant background")
    if not 0 <= u < np.inf:
        raise TanhengError("an uncertainty is none", got=u, expected="≥ 0", remedy="give u (k = 1)")
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

    Errors of measured hours are independent. Those within a gap are correlated by the process, and are taken as one
    shared error, a group per gap: u of a mean over a gap is then an upper bound.

    Args:
        domain: sides and intervals; an interval gets the mean of its hours and, as a bound, that of their u. One that
            touches several gaps joins them in one group.
        times: (n,) datetime64, starts of hours, increasing, UTC; hours that lack are gaps.
        values: (n,) mole fraction, NaN in gaps.
        u: (n,) standard uncertainty of each value.
        unit: of values and u.
        species: "CO2" or "CH4".
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
    gap = np.where(
        known, 0, np.where(inside, (t[after.clip(0, t.size - 1)] - t[(after - 1).clip(0)]).astype(int) - 1, 10**6)
    )
    if gap.max() > longest:
        at = int(np.argmax(gap))
        raise TanhengError(
            "the tower has too long a gap", got=f"at {hours[at]}" + ("" if inside[at] else ", beyond its ends"),
            expected=f"at most {longest:g} h, within {t[0]}…{t[-1]}", remedy="add another site, or allow longer gaps",
        )  # fmt: skip
    filled, error, what = _bridge(t, x, sigma, hours, known)
    share = overlap(np.append(hours, hours[-1] + np.timedelta64(1, "h")), domain.times)
    boundary = Boundary.uniform(jnp.asarray(share @ filled), domain.shape)
    component = Component.shared("background", share @ error, _groups(hours, known, share > 0))
    step = Step(f"upwind tower, gaps filled: {what}", int(known.sum()), (("gaps", int((~known).sum())),))
    return Background(boundary, (component,), scale, steps=(step,))


def _series(times, values, sigma) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t = np.asarray(times).astype("datetime64[h]")
    if (
        t.shape != values.shape
        or t.shape != sigma.shape
        or t.ndim != 1
        or not (np.diff(t) > np.timedelta64(0, "h")).all()
    ):
        raise TanhengError("the series of a tower does not fit", got=f"{t.shape}, {values.shape}, {sigma.shape}",
                           expected="times increasing by hours at least, with a value and u each",
                           remedy="average to hours first")  # fmt: skip
    good = np.isfinite(values)
    stated = (sigma[good] >= 0) & np.isfinite(sigma[good])
    if good.sum() < 24 or not stated.all():
        raise TanhengError("a tower needs a day of values with their uncertainties", got=f"{good.sum()} values, "
                           f"{np.count_nonzero(~stated)} without u", expected="24 or more",
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


def _groups(hours: np.ndarray, known: np.ndarray, within: np.ndarray) -> np.ndarray:
    """(nt,) gap whose error an interval shares, "" where it touches none; within (nt, hours)."""
    gap = np.where(known, 0, np.cumsum(~known & np.append(True, known[:-1])))  # 1, 2, … in the order of time
    begin = np.array([str(hours[gap == g][0]) for g in range(1, gap.max() + 1)])
    joined, groups = np.arange(gap.max() + 1), np.full(len(within), "", dtype="<U32")
    touched = [np.unique(gap[row & ~known]) for row in within]
    for gaps in touched:
        joined[gaps[1:]] = joined[gaps[:1]]
    for i, gaps in enumerate(touched):
        if gaps.size:
            groups[i] = f"gap of {begin[joined[gaps[0]] - 1]}"
    return groups

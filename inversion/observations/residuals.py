"""The error of transport from residuals, per site and hour, with its own uncertainty.

For residuals d of a stratum of n values with covariance C = H B Hᵀ + R_stated + σ_t² I,

E[s²] = tr(M C)/(n − 1),  M = I − 11ᵀ/n,      σ_t² = s² − tr(M (H B Hᵀ + R_stated))/(n − 1)

so that an error which all values of the stratum share, and the mean of d, do not count as transport.
"""

import dataclasses

import numpy as np

from inversion.observations.averaging import effective_number
from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.record import Step
from inversion.observations.selection import local_hour
from transport.errors import TanhengError

BY = ("group", "hour", "group and hour", "all")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """σ of the transport error in one stratum.

    Args:
        name: of the stratum, e.g. "CBW, 13 h".
        n: values.
        bias: mean residual, in the unit of the values.
        spread: s, standard deviation of the residuals about it.
        stated: √ of the part of s² that H B Hᵀ and the stated causes explain.
        sigma: σ_t that is used.
        u_sigma: its standard uncertainty, u(σ_t) = u(s²)/(2 σ_t) with u(s²) = s² √(2/ν), ν = n (1−ρ²)/(1+ρ²) − 1 (ρ of
            neighbours in time; Bayley & Hammersley 1946, doi 10.2307/2983560); NaN where σ_t is not of this stratum.
        taken: "estimate", "floor" (what remains is less), or "pooled" (too few values: that of all together).
    """

    name: str
    n: int
    bias: float
    spread: float
    stated: float
    sigma: float
    u_sigma: float
    taken: str


def residual_based(
    observations: Observations, residuals, explained, by: str = "group and hour", floor: float = 0.0, least: int = 30,
    utc_offset: float | None = None,
) -> tuple[Observations, tuple[Estimate, ...]]:  # fmt: skip
    """The set with its transport error replaced by what the residuals show.

    Args:
        observations: with all other causes stated.
        residuals: (n,) y − H x_b − b, of an unoptimised model.
        explained: (n,) diagonal of H B Hᵀ, or (n, n) the whole, in the unit of the values squared.
        by: strata: "group", "hour" (local), "group and hour", or "all".
        floor: least σ_t, in the unit of the values.
        least: values that a stratum must have, else the estimate over all is taken.
        utc_offset: h of the local time; None: solar time by longitude.

    Returns:
        The set with independent "transport", and one `Estimate` per stratum.

    Raises:
        TanhengError: lengths that disagree, a stated σ that is not known, too few values altogether.
    """
    o, d, e = observations, np.asarray(residuals, float), np.asarray(explained, float)
    _check(o, d, e, by, floor, least)
    hour = local_hour(o, utc_offset).astype(int) if "hour" in by else np.zeros(len(o), int)
    names = {
        "group": lambda: o.groups, "hour": lambda: np.array([f"{h} h" for h in hour]),
        "group and hour": lambda: np.array([f"{g}, {h} h" for g, h in zip(o.groups, hour, strict=True)]),
        "all": lambda: np.full(len(o), "all"),
    }[by]()  # fmt: skip
    others = o.replace(components=tuple(c for c in o.components if c.cause != "transport"))
    everything = _estimate("all", others, d, e, np.arange(len(o)), floor)
    sigma, found = np.zeros(len(o)), []
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        estimate = _estimate(str(name), others, d, e, rows, floor) if rows.size >= 3 else everything
        if rows.size < least:
            mean = float(d[rows].mean())
            estimate = dataclasses.replace(
                estimate, name=str(name), n=rows.size, bias=mean, sigma=everything.sigma, u_sigma=np.nan, taken="pooled"
            )
        sigma[rows] = estimate.sigma
        found.append(estimate)
    step = Step(f"mismatch: transport from residuals by {by}, σ {sigma.min():.3g}…{sigma.max():.3g} {o.unit}", len(o))
    new = others.with_components(Component.independent("transport", sigma)).replace(steps=(*o.steps, step))
    return new, tuple(found)


def _check(o: Observations, d, e, by: str, floor: float, least: int) -> None:
    n = len(o)
    fits = d.shape == (n,) and e.shape in ((n,), (n, n)) and np.isfinite(d).all() and np.isfinite(e).all()
    if not fits or by not in BY or not floor >= 0.0 or least < 3 or n < least:
        raise TanhengError(
            "an error of transport cannot be estimated from these residuals",
            got=f"residuals {d.shape}, explained {e.shape}, by {by}, floor {floor}, least {least}, {n} values",
            expected=f"finite ({n},) and ({n},) or ({n}, {n}), by {', '.join(BY)}, floor ≥ 0, 3 ≤ least ≤ values",
            remedy="give y − H x_b − b and H B Hᵀ of the same observations",
        )  # fmt: skip
    for c in o.components:
        if c.cause != "transport" and np.isnan(c.sigma).any():
            raise TanhengError(
                f"{c.cause} is not known for some values", got=f"{int(np.isnan(c.sigma).sum())} of {n}",
                expected="numbers", remedy="floor or replace it by a rule first",
            )  # fmt: skip


def _estimate(name: str, others: Observations, d, e, rows: np.ndarray, floor: float) -> Estimate:
    """One stratum by itself."""
    rows = rows[np.argsort(others.middle[rows], kind="stable")]
    n, r = rows.size, d[rows]
    s2 = float(r.var(ddof=1))
    explained = float(e[rows].mean()) if e.ndim == 1 else _centred(e[np.ix_(rows, rows)])
    for c in others.components:
        own = c.groups[rows] == ""
        sigma = c.sigma[rows]
        # tr(M C)/(n − 1) of C = Σ_g s_g s_gᵀ + diag: own errors count in full, shared ones as far as they vary.
        total = float(np.sum(sigma**2)) - float(np.sum(sigma[own] ** 2)) / n
        total -= sum(float(np.sum(sigma[c.groups[rows] == g])) ** 2 for g in set(c.groups[rows][~own])) / n
        explained += total / (n - 1)
    rest = s2 - explained
    sigma_t = float(np.sqrt(max(rest, floor**2)))
    rho = float(np.clip(np.corrcoef(r[1:], r[:-1])[0, 1], 0.0, 0.99)) if n > 3 and s2 > 0.0 else 0.0
    nu = max(effective_number(np.arange(n, dtype=float), rho**2) - 1.0, 1.0)
    taken = "estimate" if rest > floor**2 else "floor"
    u = s2 * np.sqrt(2.0 / nu) / (2.0 * sigma_t) if taken == "estimate" else np.nan
    return Estimate(
        name, n, float(r.mean()), float(np.sqrt(s2)), float(np.sqrt(max(explained, 0.0))), sigma_t, float(u), taken
    )


def _centred(matrix: np.ndarray) -> float:
    """tr(M C)/(n − 1)."""
    n = len(matrix)
    return float((np.trace(matrix) - matrix.sum() / n) / (n - 1))

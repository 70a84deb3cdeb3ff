"""Hourly emissions of one stream, with errors that last longer than an hour.

The rate of hour t is m_t = f(x_t). Every influence on an input becomes an effect on the rate, e_t = ∂f/∂x · u(x), and
says which hours share its error: a span gas serves many months, so that its part of the annual u does not fall as 1/√n.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from inversion.observations.record import Source, Step
from priors.series import STATUS, Influence, Series, groups_of
from transport.errors import TanhengError

SCOPES = ("direct", "indirect")


@dataclasses.dataclass(frozen=True, eq=False)
class Effect:
    """One cause in a series of rates: e (nt,) kg s-1 per standard uncertainty, signed, and groups (nt,) of hours.

    Hours of one group, here or in another series, share one error of the cause and quantity; "" is an error of the
    hour's own. Errors of two quantities are two, also where their cause has one name.
    """

    cause: str
    size: np.ndarray
    groups: np.ndarray
    dof: float = np.inf
    quantity: str = ""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class HourlyEmissions:
    """Rate of one stream by hour with its effects.

    Args:
        name: of the stream.
        species: "CO2", …
        times: (nt+1,) datetime64, edges, UTC.
        rate: (nt,) kg s-1; captured mass negative; NaN only in hours that are missing.
        status: (nt,) one of `STATUS`.
        effects: causes of uncertainty.
        scope: "direct": leaves here; "indirect": electricity or heat made elsewhere, never part of a flux.
        sources, steps: where it comes from and what was done.

    Raises:
        TanhengError: arrays that do not fit, times that do not increase, or a rate that is not finite.
    """

    name: str
    species: str
    times: np.ndarray
    rate: np.ndarray
    status: np.ndarray
    effects: tuple[Effect, ...]
    scope: str = "direct"
    sources: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()

    def __post_init__(self):
        n = len(self.times) - 1
        fits = all(a.shape == (n,) for e in self.effects for a in (e.size, e.groups)) and self.rate.shape == (n,)
        finite = fits and np.isfinite(self.rate[self.status != "missing"]).all()
        rising = n > 0 and bool((np.diff(self.times) > np.timedelta64(0, "s")).all())
        known = fits and all(np.isfinite(e.size).all() for e in self.effects)
        if not finite or not rising or not known or self.scope not in SCOPES:
            raise TanhengError(
                f"the rates of {self.name} cannot be used", got=f"{n} hours, scope {self.scope}",
                expected="times that increase, finite rates and effects in every hour, scope direct or indirect",
                remedy="call hours without a rate missing",
            )  # fmt: skip

    @property
    def missing(self) -> np.ndarray:
        """(nt,) True where there is no rate."""
        return self.status == "missing"

    def negative(self, name: str) -> "HourlyEmissions":
        """The same mass as a stream that is taken away, e.g. captured: rates and effects change sign together."""
        effects = tuple(dataclasses.replace(e, size=-e.size) for e in self.effects)
        return dataclasses.replace(self, name=name, rate=-self.rate, effects=effects)

    def filled(self) -> "HourlyEmissions":
        """Missing hours replaced by the mean of the operating ones; each gap is one error as large as their spread.

        Shared errors go on through a gap: the mean effect of the operating hours, in the group of the nearest of them.

        Raises:
            TanhengError: fewer than two operating hours.
        """
        operating = np.flatnonzero(~np.isin(self.status, ("missing", "off")))
        gap = np.flatnonzero(self.missing)
        if not gap.size:
            return self
        if operating.size < 2:
            raise TanhengError(f"{self.name} cannot be filled", got=f"{operating.size} operating hours",
                               expected="at least 2", remedy="find the data, or state a rate")  # fmt: skip
        rate, status = self.rate.copy(), self.status.astype("<U10")
        rate[gap], status[gap] = self.rate[operating].mean(), "filled"
        right = np.clip(np.searchsorted(operating, gap), 1, operating.size - 1)
        a, b = operating[right - 1], operating[right]
        nearest = np.where(gap - a <= b - gap, a, b)
        effects = []
        for e in self.effects:
            size = e.size.copy()
            size[gap] = np.where(e.groups[nearest] == "", 0.0, e.size[operating].mean())
            groups = e.groups.astype(object)
            groups[gap] = e.groups[nearest]
            effects.append(dataclasses.replace(e, size=size, groups=groups.astype(str)))
        spread, groups = np.zeros(rate.size), np.full(rate.size, "", dtype=object)
        spread[gap] = self.rate[operating].std(ddof=1)
        run = np.cumsum(np.diff(gap, prepend=gap[0]) > 1)
        groups[gap] = [f"{self.name}: gap at {self.times[gap[run == r][0]]}" for r in run]
        effects.append(Effect("missing hours", spread, groups.astype(str)))
        step = Step("missing hours filled with the mean of operating hours", rate.size)
        return dataclasses.replace(self, rate=rate, status=status, effects=tuple(effects), steps=(*self.steps, step))

    def mean_over(self, edges: np.ndarray) -> np.ndarray:
        """(n,) kg s-1, mean rate of each period between edges (n+1,); mass is conserved.

        Raises:
            TanhengError: missing hours, edges that do not increase, or a period that reaches beyond the series.
        """
        return overlap(self, edges) @ self.rate / seconds_of(edges)

    def __repr__(self) -> str:
        hours = ", ".join(f"{int((self.status == s).sum())} {s}" for s in STATUS if (self.status == s).any())
        total = np.nansum(self.rate * seconds_of(self.times)) * 1e-6
        period = f"{self.times[0]} … {self.times[-1]}"
        return f"HourlyEmissions({self.name}, {self.species}, {self.scope}, {period}: {hours}; {total:.5g} kt)"


def seconds_of(edges: np.ndarray) -> np.ndarray:
    """(n,) lengths of the periods between edges (n+1,), s."""
    return np.diff(np.asarray(edges).astype("datetime64[s]")) / np.timedelta64(1, "s")


def overlap(stream: HourlyEmissions, edges: np.ndarray) -> csr_array:
    """(n, nt) seconds that each hour of a stream lies in each period.

    Raises:
        TanhengError: missing hours, edges that do not increase, or a period that reaches beyond the series.
    """
    edges = np.asarray(edges).astype("datetime64[s]")
    # NaT is neither before nor after anything.
    if edges.ndim != 1 or edges.size < 2 or not (np.diff(edges) > np.timedelta64(0, "s")).all():
        raise TanhengError("these are no edges of periods", got=np.array2string(edges, threshold=6),
                           expected="at least two times that increase", remedy="sort them")  # fmt: skip
    inside = edges[0] >= stream.times[0] and edges[-1] <= stream.times[-1]
    if not inside or stream.missing.any():
        raise TanhengError(
            f"{stream.name} does not cover the period", got=f"{stream.times[0]} … {stream.times[-1]}, "
            f"{int(stream.missing.sum())} hours missing", expected=f"every hour of {edges[0]} … {edges[-1]}",
            remedy="fill missing hours with .filled(), and choose a period within the series",
        )  # fmt: skip
    # Between neighbouring edges of either kind lies one hour and one period.
    cuts = np.union1d(edges, stream.times)
    cuts = cuts[(cuts >= edges[0]) & (cuts <= edges[-1])]
    row = np.searchsorted(edges, cuts[:-1], side="right") - 1
    column = np.searchsorted(stream.times, cuts[:-1], side="right") - 1
    return csr_array((seconds_of(cuts), (row, column)), shape=(len(edges) - 1, len(stream.rate)))


def emissions(
    series: Series, model: Callable[[Mapping], jax.Array], influences: Sequence[Influence], species: str,
    constants: Mapping[str, float] | None = None, scope: str = "direct",
) -> HourlyEmissions:  # fmt: skip
    """Rates of a series with the effects of all influences.

    m_t = f(x_t),   e_t = ∂f/∂x (x_t) · u   with u · |x_t| where relative

    Args:
        series: inputs by hour.
        model: f of a mapping of quantities to numbers, kg s-1, in JAX.
        influences: on quantities of the series or constants.
        species: of the result.
        constants: quantities that all hours share, e.g. an emission factor.
        scope: "direct" or "indirect".

    Raises:
        TanhengError: an influence on a quantity or label that is not there, one that is stated twice, or a rate that
            is not finite.
    """
    constants = dict(constants or {})
    unknown = sorted({i.quantity for i in influences} - set(series.values) - set(constants))
    if unknown:
        raise TanhengError(
            f"{series.name} has no such quantity", got=", ".join(unknown),
            expected=", ".join([*series.values, *constants]), remedy="correct the influences",
        )  # fmt: skip
    said = [(i.quantity, i.cause, i.shared, i.status) for i in influences]
    if len(set(said)) < len(said):
        raise TanhengError(
            f"an influence on {series.name} counts twice", got=", ".join(f"{q}: {c}" for q, c, *_ in said),
            expected="each cause of a quantity once", remedy="leave it out, or name causes apart",
        )  # fmt: skip
    n, working = len(series.times) - 1, ~np.isin(series.status, ("off", "missing"))
    # Hours without operation are computed with values of one and then left out: their own may be NaN.
    inputs = {k: np.where(working, v, 1.0) for k, v in series.values.items()}
    inputs |= {k: np.full(n, float(v)) for k, v in constants.items()}
    with jax.enable_x64(True):
        rate, slope = jax.vmap(jax.value_and_grad(model))({k: jnp.asarray(v) for k, v in inputs.items()})
        rate, slope = np.asarray(rate), {k: np.asarray(v) for k, v in slope.items()}
    effects = []
    for i in influences:
        u = i.u * np.abs(inputs[i.quantity]) if i.kind == "relative" else np.full(n, i.u)
        here = working & ((series.status == i.status) if i.status else True)
        size = np.where(here, slope[i.quantity] * u, 0.0)
        effects.append(Effect(i.cause, size, groups_of(series, i.shared), i.dof, i.quantity))
    rate = np.where(working, rate, np.where(series.status == "off", 0.0, np.nan))
    step = Step("hourly emissions", int(working.sum()), tuple(
        (s, int((series.status == s).sum())) for s in ("off", "missing") if (series.status == s).any()))  # fmt: skip
    return HourlyEmissions(
        series.name, species, series.times, rate, series.status, tuple(effects), scope, series.sources, (step,)
    )

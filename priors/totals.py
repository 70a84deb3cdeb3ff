"""Masses of hourly streams over a period, alone or together, with errors that they share counted once."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_array, diags_array

from inversion.budget import Estimate, Measurand, coverage_factor, effective_dof
from priors.hourly import HourlyEmissions, overlap, seconds_of
from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True)
class Total:
    """Mass of streams over a period, kg.

    Args:
        mass, u: kg.
        dof: effective degrees of freedom.
        shares: cause to its share of u² in %; they sum to 100.
        species, scope: of the streams.
        start, end: of the period, UTC.
    """

    mass: float
    u: float
    dof: float
    shares: Mapping[str, float]
    species: str
    scope: str
    start: np.datetime64
    end: np.datetime64

    def expanded(self, p: float = 0.95) -> float:
        """U = k u, kg."""
        return coverage_factor(self.dof, p) * self.u

    def estimate(self, measurand: Measurand, method: str) -> Estimate:
        """As mean rate of a measurand.

        Raises:
            TanhengError: the measurand is of another gas, kind or period.
        """
        m = measurand
        given = {"gas": self.species, "start": self.start, "end": self.end, "scope": self.scope}
        wanted = {"gas": m.gas, "start": m.start, "end": m.end, "scope": "indirect" if m.kind == "indirect" else
                  "direct"}  # fmt: skip
        signed = {"emission": self.mass >= 0.0, "uptake": self.mass <= 0.0}.get(m.kind, True)
        unlike = [k for k in given if given[k] != wanted[k]]
        if unlike or not signed:
            raise TanhengError(
                "the total is of another measurand",
                got="; ".join(f"{k} {given[k]}" for k in unlike) or f"{self.mass:g} kg",
                expected="; ".join(f"{k} {wanted[k]}" for k in unlike) or f"a sign that {m.kind} has, or kind net",
                remedy="sum over the measurand's period, streams of its gas and kind",
            )  # fmt: skip
        seconds = float((m.end - m.start) / np.timedelta64(1, "s"))
        return Estimate(m, self.mass / seconds, self.u / seconds, method, self.dof)


def total(streams: Sequence[HourlyEmissions], start, end) -> Total:
    """Mass of streams together between two times, shared errors counted once.

    M = Σ_s Σ_t Δt m_st,   u²(M) = Σ_own (Δt e)² + Σ_groups (Σ Δt e)²

    Args:
        streams: of one species and one scope.
        start, end: of the period, UTC.

    Raises:
        TanhengError: unlike streams, a name twice, one that does not cover the period, or a period that does not last.
    """
    _alike(streams)
    edges = np.array([start, end], "datetime64[s]")
    mass, terms = 0.0, _terms(streams, edges)
    for s in streams:
        mass += float((overlap(s, edges) @ s.rate)[0])
    variance = float(sum((e**2).sum() for _, e, _ in terms))
    contributions = np.concatenate([e.ravel() for _, e, _ in terms]) if terms else np.zeros(0)
    dofs = np.concatenate([np.full(e.size, v) for _, e, v in terms]) if terms else np.zeros(0)
    shares: dict[str, float] = {}
    for cause, e, _ in terms:
        shares[cause] = shares.get(cause, 0.0) + (100.0 * float((e**2).sum()) / variance if variance else 0.0)
    return Total(mass, variance**0.5, effective_dof(contributions, dofs, variance), shares,
                 streams[0].species, streams[0].scope, edges[0], edges[1])  # fmt: skip


def covariance(streams: Sequence[HourlyEmissions], edges: np.ndarray) -> np.ndarray:
    """(n·s, n·s) (kg s-1)², between the mean rates of n periods of s streams, periods of a stream together."""
    _alike(streams)
    n, size = len(edges) - 1, (len(edges) - 1) * len(streams)
    C = np.zeros((size, size))
    keys: dict[tuple[str, str, str], int] = {}
    lines = []
    for i, s in enumerate(streams):
        W = diags_array(1.0 / seconds_of(edges)) @ overlap(s, edges)
        rows = slice(i * n, (i + 1) * n)
        for effect in s.effects:
            own = W @ diags_array(np.where(effect.groups == "", effect.size, 0.0))
            C[rows, rows] += (own @ own.T).toarray()
            shared = np.flatnonzero(effect.groups != "")
            place = [
                keys.setdefault((effect.cause, effect.quantity, g), len(keys)) for g in effect.groups[shared].tolist()
            ]
            sizes = csr_array((effect.size[shared], (shared, place)), shape=(len(s.rate), len(keys)))
            part = (W @ sizes).tocoo()
            lines.append((part.data, part.row + i * n, part.col))
    data, row, column = (np.concatenate(x) for x in zip(*lines, strict=True)) if lines else ([], [], [])
    L = csr_array((data, (row, column)), shape=(size, max(len(keys), 1)))
    return C + (L @ L.T).toarray()


def _alike(streams: Sequence[HourlyEmissions]) -> None:
    if len({(s.species, s.scope) for s in streams}) != 1:
        raise TanhengError(
            "these streams are not of one kind",
            got=", ".join(sorted({f"{s.species} {s.scope}" for s in streams})) or "no stream",
            expected="one species; direct or indirect emissions, never both",
            remedy="sum direct and indirect emissions apart",
        )  # fmt: skip
    names = [s.name for s in streams]
    if len(set(names)) != len(names):
        raise TanhengError("a stream counts twice", got=", ".join(sorted(n for n in set(names) if names.count(n) > 1)),
                           expected="each name once", remedy="leave it out, or name the streams apart")  # fmt: skip


def _terms(streams: Sequence[HourlyEmissions], edges: np.ndarray) -> list[tuple[str, np.ndarray, float]]:
    """(cause, independent contributions in kg, dof) of one period."""
    terms: list[tuple[str, np.ndarray, float]] = []
    shared: dict[tuple[str, str, str], tuple[float, float]] = {}
    for s in streams:
        seconds = overlap(s, edges).toarray()[0]
        for effect in s.effects:
            part = effect.size * seconds
            terms.append((effect.cause, part[effect.groups == ""], effect.dof))
            names, place = np.unique(effect.groups, return_inverse=True)
            for name, value in zip(names, np.bincount(place, part), strict=True):
                if name:
                    error = effect.cause, effect.quantity, str(name)
                    before, dof = shared.get(error, (0.0, effect.dof))
                    # Two statements about one error: the weaker one counts.
                    shared[error] = before + float(value), min(dof, effect.dof)
    terms += [(cause, np.array([value]), dof) for (cause, *_), (value, dof) in shared.items()]
    return terms

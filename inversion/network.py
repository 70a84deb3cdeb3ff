"""Network design: which candidate sites or overpasses would lower the uncertainty of named totals most.

Everything that counts lives in observation space. With q = H B Wᵀ and S = H B Hᵀ + R over all candidates, observing the
rows s leaves the variance W B Wᵀ − q_sᵀ S_ss⁻¹ q_s, and what has been observed is taken out by the conditional

    S ← S − S_:s S_ss⁻¹ S_s:,    q ← q − S_:s S_ss⁻¹ q_s

(Rasmussen & Williams 2006, ISBN 978-0-262-18253-9, eq. A.6), a change of rank |s|; no candidate is ever solved for. R
may correlate candidates. Greedy selection is not optimal in general, so single exchanges follow (Krause et al. 2008,
J. Mach. Learn. Res. 9, 235–284).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from inversion.diagnostics import innovation_covariance
from inversion.problem import Problem
from inversion.solvers.actions import forward
from transport.errors import TanhengError

METHODS = ("greedy", "swap")
# An exchange must lower the objective by more than rounding.
PROGRESS = 1e-10


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is left after some rows were observed: conditional S (m, m) and q (m, k), and the variances (k,)."""

    S: np.ndarray
    q: np.ndarray
    variance: np.ndarray

    def gain(self, rows: np.ndarray) -> np.ndarray:
        """(k,) q_sᵀ S_ss⁻¹ q_s: by how much these rows would lower the variances."""
        factor = scipy.linalg.cholesky(self.S[np.ix_(rows, rows)], lower=True)
        return np.sum(scipy.linalg.solve_triangular(factor, self.q[rows], lower=True) ** 2, axis=0)

    def observed(self, rows: np.ndarray) -> "_Known":
        """After these rows."""
        factor = scipy.linalg.cholesky(self.S[np.ix_(rows, rows)], lower=True)
        half = scipy.linalg.solve_triangular(factor, self.S[rows], lower=True)
        of_q = scipy.linalg.solve_triangular(factor, self.q[rows], lower=True)
        return _Known(self.S - half.T @ half, self.q - half.T @ of_q, self.variance - np.sum(of_q**2, axis=0))


@dataclasses.dataclass(frozen=True, eq=False)
class Ranking:
    """Candidates in the order in which they were chosen.

    Args:
        chosen: names; after exchanges the order is by what each adds to those before it.
        variance: (c+1, k) variance of each total with the existing network, then after each of the chosen.
        prior: (k,) variance without any observation.
        alone: candidate to the (k,) variance if it alone joined the existing network.
        swaps: exchanges that were made.
    """

    chosen: tuple[str, ...]
    variance: np.ndarray
    prior: np.ndarray
    alone: dict[str, np.ndarray]
    swaps: int

    @property
    def reduction(self) -> np.ndarray:
        """(c+1, k) share of the prior variance that is gone: 0 for nothing known, 1 for everything."""
        return 1.0 - self.variance / self.prior


def _value(variance: np.ndarray, prior: np.ndarray, importance: np.ndarray) -> float:
    """Σ importance · variance / prior variance: relative, so that totals of any unit can be combined."""
    return float(importance @ (variance / prior))


def _greedy(known: _Known, rows: dict[str, np.ndarray], count: int, value) -> tuple[list[str], list[np.ndarray]]:
    """One after another, always the one that lowers the objective most; and the variances on the way."""
    chosen, course, left = [], [known.variance], dict(rows)
    for _ in range(count):
        best = min(left, key=lambda name: value(known.variance - known.gain(left[name])))
        known = known.observed(left.pop(best))
        chosen.append(best)
        course.append(known.variance)
    return chosen, course


def _swap(known: _Known, rows: dict[str, np.ndarray], chosen: list[str], value) -> tuple[list[str], int]:
    """Exchange one of the chosen for one that was not, while that helps; the most useful exchange first."""
    swaps = 0

    def without(name: str) -> _Known:
        others = [rows[n] for n in chosen if n != name]
        return known.observed(np.concatenate(others)) if others else known

    current = value(known.observed(np.concatenate([rows[n] for n in chosen])).variance)
    while True:
        best, exchange = current - PROGRESS, None
        for name in chosen:
            rest = without(name)
            for other in rows:
                if other not in chosen:
                    trial = value(rest.variance - rest.gain(rows[other]))
                    if trial < best:
                        best, exchange = trial, (name, other)
        if exchange is None:
            return chosen, swaps
        chosen = [exchange[1] if n == exchange[0] else n for n in chosen]
        current, swaps = best, swaps + 1


def rank(
    problem: Problem, groups, weights: Float[Array, "k n"], count: int, existing: Sequence[str] = (),
    method: str = "swap", importance: Sequence[float] | None = None,
) -> Ranking:  # fmt: skip
    """Choose candidates for totals t = W x; no data are needed, y is not used.

    Args:
        problem: its rows are those of the existing network and of all candidates; H, B and R may be operators.
        groups: (m,) site or overpass to which each row belongs.
        weights: (k, n) W.
        count: how many candidates to choose.
        existing: groups that observe already.
        method: "greedy", or "swap" for greedy with exchanges afterwards.
        importance: (k,) of each total; the objective is Σ importance · variance / prior variance. Equal if not given.

    Raises:
        TanhengError: an unknown method or existing group; more to choose than there are; parts that do not fit.
    """
    rows, importance_ = _checked(problem, groups, weights, count, existing, method, importance)
    q = np.asarray(forward(problem.H, problem.B.mv(weights.T)))
    prior = np.asarray(np.sum(np.asarray(weights).T * np.asarray(problem.B.mv(weights.T)), axis=0))
    known = _Known(np.asarray(innovation_covariance(problem)), q, prior)
    if len(existing):
        known = known.observed(np.concatenate([rows.pop(name) for name in existing]))

    def value(variance):
        return _value(variance, prior, importance_)

    alone = {name: known.variance - known.gain(r) for name, r in rows.items()}
    chosen, course = _greedy(known, rows, count, value)
    swaps = 0
    if method == "swap" and count:
        chosen, swaps = _swap(known, rows, chosen, value)
        chosen, course = _greedy(known, {name: rows[name] for name in chosen}, count, value)
    return Ranking(tuple(chosen), np.array(course), prior, alone, swaps)


def _checked(problem, groups, weights, count, existing, method, importance):
    """Rows of each group, and the importance of each total."""
    groups = np.asarray(groups).astype(str)
    if method not in METHODS:
        raise TanhengError("unknown method of network design", got=method, expected=", ".join(METHODS),
                           remedy="choose one of these")  # fmt: skip
    if groups.shape != (problem.y.size,) or np.shape(weights)[-1] != problem.x_b.size:
        raise TanhengError(
            "groups or totals do not fit the problem", got=f"{groups.shape}, {np.shape(weights)}",
            expected=f"({problem.y.size},) and (k, {problem.x_b.size})", remedy="give one name per row of H",
        )  # fmt: skip
    rows = {str(name): np.flatnonzero(groups == name) for name in np.unique(groups)}
    unknown = [name for name in existing if name not in rows]
    if unknown or not 0 <= count <= len(rows) - len(existing):
        raise TanhengError(
            "the network cannot be chosen", got=f"{count} of {len(rows) - len(existing)}, unknown {unknown}",
            expected=f"existing groups among {', '.join(rows)}, and as many candidates as are chosen",
            remedy="choose fewer, or name groups of rows",
        )  # fmt: skip
    scale = np.ones(len(weights)) if importance is None else np.asarray(importance, dtype=float)
    if scale.shape != (len(weights),) or not (scale >= 0).all() or not scale.any():
        raise TanhengError("the importance does not fit the totals", got=scale, expected=f"{len(weights)} numbers ≥ 0",
                           remedy="give one per total")  # fmt: skip
    return rows, scale / scale.sum()

"""Checks and corrections of B and R that need no likelihood: Desroziers' diagnostics and cross-validation."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import scipy.stats

from inversion.covariance import Scaled
from inversion.diagnostics import Innovations
from inversion.posterior import require_success
from inversion.problem import Problem
from inversion.solvers import AbstractSolver
from transport.errors import TanhengError


def _index(groups, m: int) -> tuple[tuple, np.ndarray]:
    groups = np.asarray(groups)
    if groups.shape != (m,):
        raise TanhengError("groups do not fit the observations", got=f"{groups.shape}", expected=f"({m},)",
                           remedy="give one name per observation")  # fmt: skip
    names, index = np.unique(groups, return_inverse=True)
    return tuple(names.tolist()), index


# --- Desroziers -------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, eq=False)
class Desroziers:
    """Factors on standard deviations at which the diagnostics agree with what is assumed.

    Args:
        groups: (g,) names.
        mismatch: (g,) factor on the standard deviations of R, by group.
        prior: factor on those of B.
        problem: with both applied.
        iterations: how many.
        result: "successful", or what went wrong.
    """

    groups: tuple
    mismatch: np.ndarray
    prior: float
    problem: Problem
    iterations: int
    result: str


def desroziers(
    problem: Problem, groups, solver: AbstractSolver, scale_prior: bool = True, iterations: int = 200,
    tolerance: float = 1e-6,
) -> Desroziers:  # fmt: skip
    """Scale R of each group, and B, until expected and actual products of residuals agree.

    With d_b = y − H x_b − b, d_a = y − H x̂ − b and H B Hᵀ, R as they should be

        E[d_a d_bᵀ] = R,    E[(d_b − d_a) d_bᵀ] = H B Hᵀ

    (Desroziers et al. 2005, doi 10.1256/qj.05.108, eqs. 1–4). Each iteration multiplies the variances of a group by the
    mean of d_a d_b / R_ii over it, and B by (d_b − d_a)ᵀ R⁻¹ d_a / DFS, that is (x̂ − x_b)ᵀ B⁻¹ (x̂ − x_b) / DFS, with
    expectation 1 (Desroziers & Ivanov 2001, doi 10.1002/qj.49712757417). R and B cannot be told apart where they have
    one structure in observation space; the iteration then ends at some split of the two.

    Args:
        problem: first guess of B and R.
        groups: (m,) site, instrument or class of each observation.
        solver: run in every iteration.
        scale_prior: False to trust B.
        iterations: most.
        tolerance: on the relative change of every factor.

    Raises:
        TanhengError: groups that do not fit; a solution that failed.
    """
    names, index = _index(groups, problem.y.size)
    ones = np.ones(problem.x_b.size)
    size, variance_r, variance_b = np.bincount(index), np.ones(len(names)), 1.0
    departure = np.asarray(problem.departure())
    result, count, current = "did not converge", 0, problem
    while count < iterations:
        count += 1
        R = Scaled(np.sqrt(variance_r)[index], problem.R)
        current = dataclasses.replace(problem, R=R, B=Scaled(np.sqrt(variance_b) * ones, problem.B))
        posterior = solver.solve(current)
        require_success(posterior)
        after = np.asarray(current.y - current.modelled(posterior.mean))
        ratio = np.bincount(index, after * departure / np.asarray(R.diagonal())) / size
        gained = _prior_ratio(posterior, departure, after) if scale_prior else 1.0
        if not (ratio.min() > 0.0 and gained > 0.0):
            worst = "the prior" if ratio.min() > 0.0 else str(names[int(np.argmin(ratio))])
            result = f"not identifiable: the variance of {worst} vanishes"
            break
        variance_r, variance_b = variance_r * ratio, variance_b * gained
        if max(np.abs(ratio - 1.0).max(), abs(gained - 1.0)) < tolerance:
            result = "successful"
            break
    return Desroziers(names, np.sqrt(variance_r), float(np.sqrt(variance_b)), current, count, result)


def _prior_ratio(posterior, departure: np.ndarray, after: np.ndarray) -> float:
    """2 J_b(x̂) / DFS, with 2 J_b = (d_b − d_a)ᵀ R⁻¹ d_a: no B⁻¹."""
    gained = float((departure - after) @ np.asarray(posterior.problem.R.solve(jnp.asarray(after))))
    return gained / float(jnp.sum(posterior.leverage()))


# --- cross-validation -------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, eq=False)
class CrossValidation:
    """Prediction of each group of observations from all others.

    Args:
        groups: (g,) names.
        residual: (m,) observation minus prediction.
        sigma: (m,) its stated standard deviation, mismatch of the observation included.
        chi2: (g,) rᵀ C⁻¹ r / size with the full covariance C of the prediction; expectation 1.
        log_density: (g,) log p(y_g | the others): the score by which assumptions are compared, higher is better.
        sizes: (g,) observations in each group.
        prior_residual: (m,) y − H x_b − b, to compare with.
    """

    groups: tuple
    residual: np.ndarray
    sigma: np.ndarray
    chi2: np.ndarray
    log_density: np.ndarray
    sizes: np.ndarray
    prior_residual: np.ndarray

    @property
    def skill(self) -> float:
        """1 − Σ r² / Σ (y − H x_b − b)²: above 0 where the other data help."""
        return float(1.0 - np.sum(self.residual**2) / np.sum(self.prior_residual**2))

    def band(self, probability: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """(g,), (g,): where the chi2 of each group lies with this probability if B and R are right."""
        low, high = scipy.stats.chi2.interval(probability, self.sizes)
        return low / self.sizes, high / self.sizes


def cross_validate(found: Innovations, groups) -> CrossValidation:
    """Leave out one group after another without solving again: with P = S⁻¹ and v = P d

        y_g − E[y_g | others] = P_gg⁻¹ v_g,    cov = P_gg⁻¹

    Leaving out a site, or a block of time (`time_blocks`), tests the model between sites or weeks; leaving out single
    hours mostly tests that hours resemble their neighbours (Roberts et al. 2017, doi 10.1111/ecog.02881).

    Args:
        found: innovations of the problem.
        groups: (m,) what is left out together.

    References:
        Rasmussen & Williams (2006), ISBN 978-0-262-18253-9, §5.4.2, here for blocks.
    """
    d, P = np.asarray(found.departure), np.asarray(found.inverse)
    names, index = _index(groups, d.size)
    v, residual, sigma = P @ d, np.empty(d.size), np.empty(d.size)
    chi2, density, sizes = np.empty(len(names)), np.empty(len(names)), np.bincount(index)
    for g, size in enumerate(sizes):
        rows = np.flatnonzero(index == g)
        block = P[np.ix_(rows, rows)]
        covariance = np.linalg.inv(block)
        residual[rows], sigma[rows] = covariance @ v[rows], np.sqrt(np.diagonal(covariance))
        misfit = v[rows] @ residual[rows]
        chi2[g] = misfit / size
        density[g] = 0.5 * (np.linalg.slogdet(block)[1] - misfit - size * np.log(2.0 * np.pi))
    return CrossValidation(names, residual, sigma, chi2, density, sizes, d)


def time_blocks(times, days: float, sites=None) -> np.ndarray:
    """Groups of consecutive days, for `cross_validate`.

    Args:
        times: (m,) datetime64.
        days: length of a block, longer than errors are correlated.
        sites: (m,) names; None to leave out all sites at once.

    Returns:
        (m,) names, e.g. "MHD 2014-03-08".
    """
    hours = np.asarray(times).astype("datetime64[h]")
    length = np.timedelta64(round(24 * days), "h")
    origin = hours.min().astype("datetime64[D]").astype("datetime64[h]")
    start = (origin + (hours - origin) // length * length).astype("datetime64[D]").astype(str)
    return start if sites is None else np.char.add(np.char.add(np.asarray(sites).astype(str), " "), start)

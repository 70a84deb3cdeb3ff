"""How well prior, mismatch and data fit together, and what each observation did.

With d = y − H x_b − b, S = H B Hᵀ + R and K = B Hᵀ S⁻¹: if B and R are right, d ~ N(0, S). Everything about single
observations follows from S⁻¹ d and S⁻¹, without solving again (Rasmussen & Williams 2006, ISBN 978-0-262-18253-9,
§5.4.2); everything about totals t = W x from K Wᵀ, which needs only actions of the posterior covariance.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
import scipy.stats
from jaxtyping import Array, Float

from inversion.posterior import AbstractPosterior
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior
from inversion.solvers.actions import backward, forward, unit_columns
from transport.errors import TanhengError

# Columns of K, or of H B Hᵀ, at once.
COLUMNS = 256
# S, its factor and its inverse: 1.8 GiB each.
OBSERVATION_LIMIT = 15_500


class Diagnostics(eqx.Module):
    """Consistency of a solved problem.

    Args:
        chi2: 2 J(x̂) / m; expectation 1 when B and R are right.
        dfs: degrees of freedom for signal, trace(H K).
        residual_prior, residual_posterior: (m,) y − H x − b.
        leverage: (m,) contribution of each observation to dfs.
        normalised: (m,) squared posterior residual over its variance in R; expectation 1 − leverage if R is diagonal.
    """

    chi2: float
    dfs: float
    residual_prior: Array
    residual_posterior: Array
    leverage: Array
    normalised: Array

    def misfit(self, chosen: np.ndarray) -> float:
        """Σ r²/σ² over Σ (1 − leverage) of the chosen rows: 1 is expected, more means that σ is too small there."""
        return float(np.asarray(self.normalised)[chosen].sum() / (1.0 - np.asarray(self.leverage)[chosen]).sum())

    def chi2_band(self, probability: float = 0.95) -> tuple[float, float]:
        """Where chi2 lies with this probability if B and R are right: 2 J(x̂) ~ χ²_m."""
        m = self.leverage.size
        low, high = scipy.stats.chi2.interval(probability, m)
        return float(low / m), float(high / m)

    def dfs_of(self, groups) -> dict:
        """Degrees of freedom that each group of observations (m,) supplies; they add up to dfs."""
        names, index = _grouped(groups, self.leverage.size)
        return dict(zip(names, np.bincount(index, np.asarray(self.leverage), len(names)), strict=True))


def diagnose(posterior: AbstractPosterior) -> Diagnostics:
    """Diagnostics of a posterior (Tarantola 2005, §6.22; Rodgers 2000, §2.4)."""
    problem = posterior.problem
    before, after = problem.departure(), problem.y - problem.modelled(posterior.mean)
    leverage = posterior.leverage()
    normalised = after**2 / problem.R.diagonal()
    return Diagnostics(
        float(posterior.cost()) / problem.y.size, float(jnp.sum(leverage)), before, after, leverage, normalised
    )


def rmse(residual) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(np.asarray(residual)))))


def _grouped(groups, m: int) -> tuple[list, np.ndarray]:
    """Names of the groups, sorted, and the group of each observation.

    Raises:
        TanhengError: not one name per observation.
    """
    groups = np.asarray(groups)
    if groups.shape != (m,):
        raise TanhengError("groups do not fit the observations", got=f"{groups.shape}", expected=f"({m},)",
                           remedy="give one name per observation")  # fmt: skip
    names, index = np.unique(groups, return_inverse=True)
    return names.tolist(), index


# --- innovations ------------------------------------------------------------------------------------------------------
class Innovations(eqx.Module):
    """d = y − H x_b − b beside its covariance S.

    Args:
        departure: (m,) d, in the unit of y.
        factor: (m, m) L, S = L Lᵀ.
        inverse: (m, m) S⁻¹.
    """

    departure: Float[Array, " m"]
    factor: Float[Array, "m m"]
    inverse: Float[Array, "m m"]

    @property
    def normalised(self) -> Float[Array, " m"]:
        """d_i / √S_ii: each N(0, 1), but not independent."""
        return self.departure / jnp.linalg.norm(self.factor, axis=1)

    @property
    def whitened(self) -> Float[Array, " m"]:
        """L⁻¹ d: independent N(0, 1); element i is what observation i adds to those before it, so sort by time."""
        return jsl.solve_triangular(self.factor, self.departure, lower=True)

    @property
    def left_out(self) -> tuple[Array, Array]:
        """(m,) y_i minus its prediction from all others, (S⁻¹d)_i/(S⁻¹)_ii, and its standard deviation (S⁻¹)_ii^-½."""
        precision = jnp.diagonal(self.inverse)
        return self.inverse @ self.departure / precision, 1.0 / jnp.sqrt(precision)

    def outliers(self, false_alarms: float = 0.05) -> np.ndarray:
        """(m,) True where all other data, wrong ones left out, say that the value is not possible.

        The worst value is left out, S⁻¹ becomes that of the rest (one rank), and so on until none is worse than the
        limit: a wrong value makes its good neighbours look wrong only as long as it is there.

        Args:
            false_alarms: probability of flagging any value of a consistent set (Bonferroni: two-sided, over m).
        """
        inverse, d = np.array(self.inverse), np.asarray(self.departure)
        flagged = np.zeros(d.size, bool)
        limit = scipy.stats.norm.isf(0.5 * false_alarms / max(1, d.size))
        while not flagged.all():
            good = np.flatnonzero(~flagged)
            z = np.abs(inverse[good] @ d) / np.sqrt(inverse[good, good])
            worst = good[np.argmax(z)]
            if not z.max() > limit:
                break
            flagged[worst] = True
            column = inverse[:, worst].copy()
            inverse -= np.outer(column, column / column[worst])
        return flagged

    def chi2(self, probability: float = 0.95) -> tuple[float, float, float]:
        """dᵀ S⁻¹ d / m, and the band in which it lies with this probability."""
        m = self.departure.size
        low, high = scipy.stats.chi2.interval(probability, m)
        return float(jnp.sum(self.whitened**2)) / m, float(low / m), float(high / m)


def innovation_covariance(problem: Problem) -> Float[Array, "m m"]:
    """S = H B Hᵀ + R, a few columns at a time, so that H and B may be operators.

    Raises:
        TanhengError: too many observations for a matrix.
    """
    m = problem.y.size
    if m > OBSERVATION_LIMIT:
        raise TanhengError(
            "too many observations for the covariance of the innovations", got=m,
            expected=f"at most {OBSERVATION_LIMIT}", remedy="use groups, or thin the observations",
        )  # fmt: skip
    parts = []
    for start in range(0, m, COLUMNS):
        units = unit_columns(m, start, min(COLUMNS, m - start))
        parts.append(forward(problem.H, problem.B.mv(backward(problem.H, units))) + problem.R.mv(units))
    S = jnp.concatenate(parts, axis=1) if parts else jnp.zeros((0, 0))
    return 0.5 * (S + S.T)


def innovations(problem: Problem) -> Innovations:
    """Innovations of a problem, before any solution.

    Raises:
        TanhengError: S is not positive definite, or too large for a matrix.
    """
    factor = jnp.linalg.cholesky(innovation_covariance(problem))
    if not bool(jnp.isfinite(factor).all()):
        raise TanhengError("H B Hᵀ + R is not positive definite", got="a Cholesky factor with NaN",
                           expected="S > 0", remedy="check the sizes of B and R")  # fmt: skip
    return Innovations(problem.departure(), factor, jsl.cho_solve((factor, True), jnp.eye(problem.y.size)))


def autocorrelation(series, lags: int) -> tuple[np.ndarray, float]:
    """ρ_k = Σ v_i v_{i+k} / Σ v_i², k = 1…lags, of a series with expectation zero, and 1.96/√n.

    Args:
        series: (n,) whitened innovations of one site in order of time.
        lags: largest k.

    Returns:
        (lags,) autocorrelations, and the half width of the band that holds 95 % of them if errors are independent
        (Box et al. 2015, ISBN 978-1-118-67502-1, §2.1.6).

    Raises:
        TanhengError: not more values than lags, or nothing but zeros.
    """
    v = np.asarray(series, dtype=float)
    if not 0 < lags < v.size or not (power := float(v @ v)) > 0.0:
        raise TanhengError("no autocorrelation of this series", got=f"{v.size} values, {lags} lags",
                           expected="more values than lags, not all zero", remedy="take fewer lags")  # fmt: skip
    return np.array([v[k:] @ v[:-k] / power for k in range(1, lags + 1)]), float(1.96 / np.sqrt(v.size))


# --- totals -----------------------------------------------------------------------------------------------------------
def _require_gaussian(posterior: AbstractPosterior) -> AbstractGaussianPosterior:
    if not isinstance(posterior, AbstractGaussianPosterior):
        raise TanhengError(
            "averaging kernels need a posterior that is linear in the data", got=type(posterior).__name__,
            expected="a Gaussian posterior", remedy="use solver=analytic or variational for this diagnostic",
        )  # fmt: skip
    return posterior


def total_gain(posterior: AbstractPosterior, weights: Float[Array, "k n"]) -> Float[Array, "k m"]:
    """W K, what each observation adds to each total per unit of its departure: K = A Hᵀ R⁻¹.

    Raises:
        TanhengError: the posterior is not Gaussian.
    """
    problem = _require_gaussian(posterior).problem
    return problem.R.solve(forward(problem.H, posterior.covariance_mv(weights.T))).T


def averaging_kernel(posterior: AbstractPosterior, weights: Float[Array, "k n"]) -> Float[Array, "k n"]:
    """W K H: how the estimated totals answer to each element of the truth (Rodgers 2000, eq. 2.58)."""
    return backward(posterior.problem.H, total_gain(posterior, weights).T).T


def dfs_of_elements(posterior: AbstractPosterior) -> Float[Array, " n"]:
    """diag(K H): degrees of freedom for signal of each element of x; sum over those of a region or sector.

    diag(K H)_i = Σ_j K_ij H_ji, some columns of K at a time.
    """
    gaussian, m = _require_gaussian(posterior), posterior.problem.y.size
    total = jnp.zeros(posterior.mean.size)
    for start in range(0, m, COLUMNS):
        units = unit_columns(m, start, min(COLUMNS, m - start))
        total += jnp.sum(gaussian.gain_mv(units) * backward(posterior.problem.H, units), axis=1)
    return total


class Impact(eqx.Module):
    """What groups of observations did to totals t = W x; rows are totals, columns groups.

    Args:
        groups: (g,) names.
        shift: (k, g) W K_g d_g, which add up to W (x̂ − x_b).
        reduction: (k, g) share of the prior variance that each group removed, (W K_g)(H_g B Wᵀ) / W B Wᵀ; they add up
            to `observed`. A negative share is a group that corrects others whose errors it knows.
        prior, posterior: (k,) variances.
        smoothing: (k,) part of the posterior variance from what the data do not see, (W − W K H) B (W − W K H)ᵀ.
        noise: (k,) part from the errors of the data, W K R Kᵀ Wᵀ (Rodgers 2000, §3.2.2).
    """

    groups: tuple = eqx.field(static=True)
    shift: Float[Array, "k g"]
    reduction: Float[Array, "k g"]
    prior: Float[Array, " k"]
    posterior: Float[Array, " k"]
    smoothing: Float[Array, " k"]
    noise: Float[Array, " k"]

    @property
    def observed(self) -> Float[Array, " k"]:
        """Share of the observations, 1 − W A Wᵀ / W B Wᵀ; the rest, in 0…1, is the prior's."""
        return 1.0 - self.posterior / self.prior


def impact(posterior: AbstractPosterior, weights: Float[Array, "k n"], groups) -> Impact:
    """Impact of groups of observations on totals (after Cardinali 2009, doi 10.1002/qj.366, and Rodgers 2000, §3.2).

    Args:
        posterior: Gaussian; its problem may be matrix-free.
        weights: (k, n) W.
        groups: (m,) site or overpass of each observation.

    Raises:
        TanhengError: the posterior is not Gaussian; groups that do not fit.
    """
    problem = posterior.problem
    names, index = _grouped(groups, problem.y.size)
    member = jnp.asarray((index[:, None] == np.arange(len(names))).astype(float))
    WK = total_gain(posterior, weights)
    unseen = weights - backward(problem.H, WK.T).T
    BW = problem.B.mv(weights.T)
    prior = jnp.sum(weights.T * BW, axis=0)
    return Impact(
        tuple(names), (WK * problem.departure()) @ member, (WK * forward(problem.H, BW).T) @ member / prior[:, None],
        prior, posterior.variance(weights), jnp.sum(unseen.T * problem.B.mv(unseen.T), axis=0),
        jnp.sum(WK.T * problem.R.mv(WK.T), axis=0),
    )  # fmt: skip


def variance_without(posterior: AbstractPosterior, weights: Float[Array, "k n"], S: Innovations, groups) -> dict:
    """Variance of the totals if a group had not been there: W A Wᵀ + c_g² / (S⁻¹)_gg with c = S⁻¹ H B Wᵀ.

    Args:
        posterior: with all groups.
        weights: (k, n) W.
        S: innovations of the same problem.
        groups: (m,) names.

    Returns:
        Group to (k,) variances.
    """
    problem, variance = posterior.problem, posterior.variance(weights)
    names, index = _grouped(groups, problem.y.size)
    c = np.asarray(S.inverse @ forward(problem.H, problem.B.mv(weights.T)))
    inverse, out = np.asarray(S.inverse), {}
    for g, name in enumerate(names):
        rows = np.flatnonzero(index == g)
        lost = np.sum(c[rows] * np.linalg.solve(inverse[np.ix_(rows, rows)], c[rows]), axis=0)
        out[name] = np.asarray(variance) + lost
    return out

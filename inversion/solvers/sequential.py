"""Data taken window by window: a Kalman smoother with a lag of L windows, and an honest covariance for any L.

The control vector is split into windows of time. When window w opens, its prior follows from the windows still open,
a (those of the last L windows, and elements without a window); for an AR(1) prior only the last one matters:

    x_w | x_a ~ N(x_b,w + F (x_a − x_b,a), Q),    F = B_wa B_aa⁻¹,    Q = B_ww − F B_aw

The observations of window w then correct the open elements only. Closed elements f keep their values, but their
uncertainty still counts: with P Hᵀ over all elements so far and S = H P Hᵀ + R_w

    x̂_a ← x̂_a + K_a (y − H x̂ − b),   K_a = (P Hᵀ)_a S⁻¹,   P_aa ← P_aa − K_a S K_aᵀ,   P_af ← P_af − K_a (P Hᵀ)_fᵀ

(Schmidt 1966, doi 10.1016/B978-1-4831-6716-9.50011-4; Anderson & Moore 1979, Optimal Filtering, §7.3; Peters et al.
2005, doi 10.1029/2005JD006157, for the lag). With a lag of all windows this is the one-shot solution. With a shorter
lag the estimate is less precise than it could be, and P is the covariance of that estimate: it does not pretend. If
the prior is not Markov between windows, F and Q also approximate the prior by its dependence on the open windows.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.linalg as sl
from jaxtyping import Array, Float

from inversion.covariance import Diagonal
from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior, AbstractSolver
from inversion.solvers.actions import backward, unit_columns
from inversion.solvers.prior import prior_posterior
from transport.errors import TanhengError

# P, B and the gain are dense: 0.8 GiB each at this size.
SIZE_LIMIT = 10_000
ALWAYS = -1
NOT_FINITE = "not finite: an observation, the background or H x_b"


class SequentialPosterior(AbstractGaussianPosterior):
    """Posterior held as its covariance matrix and its gain.

    Args:
        covariance: (n, n) A, between all windows.
        gain: (n, m) K = ∂x̂/∂y.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    covariance: Float[Array, "n n"]
    gain: Float[Array, "n m"]

    def covariance_mv(self, v):
        """A v."""
        return self.covariance @ v

    def gain_mv(self, d):
        """K d."""
        return self.gain @ d

    def sample(self, key, count):
        """x̂ + A^½ ξ with the symmetric root, which exists for a covariance that is only semidefinite."""
        values, vectors = jnp.linalg.eigh(self.covariance)
        noise = jnp.sqrt(jnp.maximum(values, 0.0))[:, None] * normal(key, self.mean.size, count)
        return self.mean + (vectors @ noise).T

    def leverage(self):
        """diag(H K)."""
        return jnp.sum(backward(self.problem.H, jnp.eye(self.problem.y.size)) * self.gain, axis=0)

    def cost(self):
        """By its definition."""
        r, change = self.problem.y - self.problem.modelled(self.mean), self.mean - self.problem.x_b
        return r @ self.problem.R.solve(r) + change @ self.problem.B.solve(change)

    def diagonal(self):
        """diag A."""
        return jnp.diagonal(self.covariance)


class Sequential(AbstractSolver):
    """Kalman smoother over windows.

    Args:
        elements: (n,) window of each element, 0, 1, …; −1 for elements that are always open, such as a bias.
        observations: (m,) window of each observation; None for the last window that its row of H sees.
        lag: windows before the current one that its observations still correct.

    Raises:
        TanhengError: windows that do not fit the problem, an observation that sees a later window, observation errors
            correlated between windows, or a problem too large for a dense covariance.
    """

    elements: np.ndarray
    lag: int = eqx.field(static=True)
    observations: np.ndarray | None = None

    def __check_init__(self):
        windows = np.asarray(self.elements)
        if self.lag < 0 or not windows.size or windows.min() < ALWAYS:
            raise TanhengError(
                "the windows of the sequential solver are out of range",
                got=f"lag {self.lag}, {windows.size} elements", expected="a lag of 0 or more, windows from 0 or −1",
                remedy="number the windows in the order of time",
            )  # fmt: skip

    def solve(self, problem: Problem) -> AbstractGaussianPosterior:
        """The posterior after the last window."""
        if problem.y.size == 0:
            return prior_posterior(problem)
        windows = np.asarray(self.elements)
        _require_fit(problem, windows)
        H = np.asarray(backward(problem.H, jnp.eye(problem.y.size))).T
        seen = self._observation_windows(H, windows)
        R = _mismatch(problem, seen)
        if not bool(jnp.isfinite(problem.departure()).all()):
            n, m = problem.x_b.size, problem.y.size
            unknown = (jnp.full((n, n), jnp.nan), jnp.full((n, m), jnp.nan))
            return SequentialPosterior(problem, problem.x_b * jnp.nan, NOT_FINITE, *unknown)
        run = _Smoother(problem, np.asarray(problem.B.mv(jnp.eye(problem.x_b.size))))
        window = ALWAYS
        try:
            for window in range(ALWAYS, max(windows.max(), seen.max()) + 1):
                still_open = (windows == ALWAYS) | ((windows >= window - self.lag) & (windows <= window))
                # A new window always leans on the one before it, even when that one is closed to data.
                leaning = run.known & (still_open | (windows == window - 1))
                run.open_window(windows == window, leaning)
                rows = np.flatnonzero(seen == window)
                run.assimilate(rows, H[rows], R[np.ix_(rows, rows)], still_open)
        except np.linalg.LinAlgError:
            return run.posterior(f"not positive definite: window {window}")
        return run.posterior("successful" if np.isfinite(run.P).all() else "not finite: a covariance")

    def _observation_windows(self, H: np.ndarray, windows: np.ndarray) -> np.ndarray:
        sees = H != 0.0
        last = np.where(sees, windows, ALWAYS).max(axis=1, initial=ALWAYS)
        if self.observations is None:
            return last
        given = np.asarray(self.observations)
        if given.shape != last.shape or (last > given).any():
            bad = np.flatnonzero(last > given)[:1] if given.shape == last.shape else given.shape
            raise TanhengError(
                "the windows of the observations do not fit",
                got=f"observation {bad} before a window that it sees" if given.shape == last.shape else f"shape {bad}",
                expected="for each observation a window not before the last that its row of H sees",
                remedy="leave solver.observations out, or give the window of the time of measurement",
            )
        return given


def _require_fit(problem: Problem, windows: np.ndarray) -> None:
    n, m = problem.x_b.size, problem.y.size
    if windows.shape != (n,) or max(n, m) > SIZE_LIMIT:
        raise TanhengError(
            "the problem does not fit the sequential solver",
            got=f"{windows.shape} windows, {n} unknowns, {m} observations",
            expected=f"one window for each unknown, at most {SIZE_LIMIT} unknowns and observations",
            remedy="build the windows with the control vector; for more unknowns use solver=analytic or variational",
        )


def _mismatch(problem: Problem, seen: np.ndarray) -> np.ndarray:
    """R as a matrix, refused where it couples windows."""
    m = problem.y.size
    R = np.asarray(problem.R.mv(unit_columns(m, 0, m)))
    if not isinstance(problem.R, Diagonal):
        sigma = np.sqrt(np.diagonal(R))
        across = np.abs(R / np.outer(sigma, sigma))[seen[:, None] != seen[None, :]].max(initial=0.0)
        if across > 1e-12:
            raise TanhengError(
                "observation errors are correlated between windows", got=f"correlation {across:.2g}", expected="0",
                remedy="use solver=analytic, longer windows, or an R without correlation across them",
            )  # fmt: skip
    return R


class _Smoother:
    """The running estimate; NumPy, because sizes change from window to window and nothing is compiled twice."""

    def __init__(self, problem: Problem, B: np.ndarray):
        n, m = problem.x_b.size, problem.y.size
        self.problem, self.B = problem, B
        self.mean, self.P, self.G = np.array(problem.x_b), np.zeros((n, n)), np.zeros((n, m))
        self.y = np.asarray(problem.y - problem.b)
        self.known = np.zeros(n, bool)

    def open_window(self, new: np.ndarray, leaning: np.ndarray) -> None:
        """Prior of the new elements given the open ones, and its covariance with everything so far."""
        w, a, k = (np.flatnonzero(mask) for mask in (new, leaning, self.known))
        B, P = self.B, self.P
        F = np.zeros((w.size, a.size))
        if w.size and a.size:
            F = sl.cho_solve(sl.cho_factor(B[np.ix_(a, a)], lower=True), B[np.ix_(a, w)]).T
        x_b = np.asarray(self.problem.x_b)
        self.mean[w] = x_b[w] + F @ (self.mean[a] - x_b[a])
        self.G[w] = F @ self.G[a]
        across = F @ P[np.ix_(a, k)]
        P[np.ix_(w, k)], P[np.ix_(k, w)] = across, across.T
        P[np.ix_(w, w)] = F @ P[np.ix_(a, a)] @ F.T + B[np.ix_(w, w)] - F @ B[np.ix_(a, w)]
        self.known = self.known | new

    def assimilate(self, rows: np.ndarray, H: np.ndarray, R: np.ndarray, still_open: np.ndarray) -> None:
        """Correction of the open elements by some observations, with the closed ones considered."""
        if not rows.size:
            return
        a, f = np.flatnonzero(still_open & self.known), np.flatnonzero(~still_open & self.known)
        PHt = self.P @ H.T
        S = H @ PHt + R
        root = sl.cholesky(0.5 * (S + S.T), lower=True)
        half = sl.solve_triangular(root, PHt[a].T, lower=True)
        K = sl.solve_triangular(root, half, lower=True, trans=1).T
        self.mean[a] += K @ (self.y[rows] - H @ self.mean)
        self.G[a] -= K @ (H @ self.G)
        self.G[np.ix_(a, rows)] += K
        self.P[np.ix_(a, a)] -= half.T @ half
        across = self.P[np.ix_(a, f)] - K @ PHt[f].T
        self.P[np.ix_(a, f)], self.P[np.ix_(f, a)] = across, across.T

    def posterior(self, result: str) -> SequentialPosterior:
        """The estimate as it stands."""
        return SequentialPosterior(
            self.problem, jnp.asarray(self.mean), result, jnp.asarray(0.5 * (self.P + self.P.T)), jnp.asarray(self.G)
        )

"""Unknowns with a lower bound: the Gaussian posterior cut off at x ≥ l and normalised again.

Mode: the bounded least-squares problem min |Lᵀ (x − x̂)|², x ≥ l, with A⁻¹ = L Lᵀ, by scipy's bounded-variable least
squares (Stark & Parker 1995, Computational Statistics 10, 129), exact in finitely many steps.

Mean, median, covariance and totals: draws of the truncated Gaussian by exact Hamiltonian Monte Carlo. With x = x̂ + C u,
A = C Cᵀ, a trajectory u(t) = v sin t + u cos t is followed for t = π/2 and reflected where it meets a bound,

    v ← v − 2 (f·v) / (f·f) f,   f the row of C of that bound

(Pakman & Paninski 2014, doi 10.1080/10618600.2013.788448, §2). No step size, no rejection.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float, PRNGKeyArray

from inversion.posterior import AbstractPosterior, SkewedTotals, skewed
from inversion.problem import Problem
from inversion.solvers import AbstractSolver
from inversion.solvers.actions import backward
from inversion.solvers.analytic import Analytic
from inversion.solvers.chains import mean_error, r_hat
from transport.errors import TanhengError

SIZE_LIMIT = 3000
# A trajectory with more reflections than this is stuck in a corner that double precision cannot resolve.
REFLECTIONS = 100_000


class TruncatedPosterior(AbstractPosterior):
    """Posterior held as draws; `mean` is their mean, `mode` the most probable vector, `median` by element.

    Args:
        mode: (n,) bounded least-squares solution.
        draws: (chains, count, n).
        mean_error: (n,) Monte Carlo standard error of `mean`.
        r_hat: largest rank-normalised split R̂ over the elements.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    mode: Float[Array, " n"]
    draws: Float[Array, "chains count n"]
    mean_error: Float[Array, " n"]
    r_hat: float = eqx.field(static=True)

    @property
    def flat(self) -> Float[Array, "draws n"]:
        """All chains one after another."""
        return self.draws.reshape(-1, self.draws.shape[-1])

    @property
    def median(self) -> Float[Array, " n"]:
        """(n,) medians of the draws."""
        return jnp.median(self.flat, axis=0)

    def covariance_mv(self, v):
        """Of the draws."""
        centred = self.flat - self.mean
        return centred.T @ (centred @ v) / (len(centred) - 1)

    def sample(self, key, count):
        """Some of the draws, with replacement."""
        return self.flat[jax.random.randint(key, (count,), 0, len(self.flat))]

    def leverage(self):
        """diag(H A Hᵀ R⁻¹) = ∂E[H x]/∂y with A the truncated covariance (Stein's identity for a linear model)."""
        H, R = self.problem.H, self.problem.R
        Ht = backward(H, jnp.eye(self.problem.y.size))
        return jnp.sum(R.solve(Ht.T) * self.covariance_mv(Ht).T, axis=1)

    def aggregate(self, weights) -> SkewedTotals:
        """Moments and quantiles of the draws' totals."""
        covariance = weights @ self.covariance_mv(weights.T)
        return skewed(weights @ self.mean, covariance, self.flat @ weights.T)

    def cost(self):
        """2 J at the mode."""
        r, change = self.problem.y - self.problem.modelled(self.mode), self.mode - self.problem.x_b
        return r @ self.problem.R.solve(r) + change @ self.problem.B.solve(change)

    def diagonal(self):
        """Variances of the draws."""
        return jnp.var(self.flat, axis=0, ddof=1)

    def variance(self, weights):
        """Variances of the draws' totals."""
        return jnp.var(self.flat @ weights.T, axis=0, ddof=1)


def _next_hit(position: Array, velocity: Array, offset: Array) -> tuple[Array, Array]:
    """When and where offset + velocity sin t + position cos t reaches zero from above: (time, index)."""
    amplitude = jnp.hypot(position, velocity)
    # offset + R cos(t − φ) = 0 downwards at t = φ + arccos(−offset / R).
    phase = jnp.arctan2(velocity, position)
    reached = amplitude > jnp.abs(offset)
    angle = jnp.arccos(jnp.clip(-offset / jnp.where(reached, amplitude, 1.0), -1.0, 1.0))
    time = jnp.mod(phase + angle, 2.0 * jnp.pi)
    # Just after a reflection the same bound is met at t ≈ 0 or, by rounding, at t ≈ 2π: it is being left.
    at_bound = offset + position <= 1e-10 * (1.0 + jnp.abs(offset))
    time = jnp.where(at_bound & (velocity >= 0.0) & ((time < 1e-8) | (time > 2.0 * jnp.pi - 1e-8)), jnp.inf, time)
    time = jnp.where(at_bound & (velocity < 0.0), 0.0, time)
    time = jnp.where(reached, time, jnp.inf)
    first = jnp.argmin(time)
    return time[first], first


def _trajectory(u: Array, key: PRNGKeyArray, C: Array, offset: Array) -> tuple[Array, Array]:
    """One draw from another: a quarter turn with reflections; also their number."""
    norms = jnp.sum(C**2, axis=1)

    def go_on(state):
        _, _, left, bounces = state
        return (left > 0.0) & (bounces < REFLECTIONS)

    def move(state):
        u, v, left, bounces = state
        hit, which = _next_hit(C @ u, C @ v, offset)
        t = jnp.minimum(hit, left)
        u, v = v * jnp.sin(t) + u * jnp.cos(t), v * jnp.cos(t) - u * jnp.sin(t)
        f = C[which]
        # Only an approach is reflected: at a corner the other bound may already have turned it.
        towards = jnp.minimum(f @ v, 0.0)
        v = jnp.where(hit < left, v - 2.0 * towards / norms[which] * f, v)
        return u, v, left - t, bounces + 1

    v = jax.random.normal(key, u.shape)
    u, _, _, bounces = jax.lax.while_loop(go_on, move, (u, v, jnp.asarray(0.5 * jnp.pi), jnp.asarray(0)))
    return u, bounces


@eqx.filter_jit
def draw_truncated(
    key: PRNGKeyArray, mean: Array, C: Array, lower: Array, start: Array, chains: int, warmup: int, count: int
) -> tuple[Float[Array, "chains count n"], Array]:
    """Draws of N(mean, C Cᵀ) with x ≥ lower, and the largest number of reflections in one trajectory.

    Args:
        key: random key.
        mean: (n,) of the untruncated Gaussian.
        C: (n, n) root of its covariance.
        lower: (n,) bounds; −inf for none.
        start: (n,) whitened starting point inside the bounds.
        chains, warmup, count: how many, dropped, kept.
    """
    offset = mean - lower

    def chain(key):
        def one(u, key):
            u, bounces = _trajectory(u, key, C, offset)
            return u, (u, bounces)

        return jax.lax.scan(one, start, jax.random.split(key, warmup + count))[1]

    u, bounces = jax.vmap(chain)(jax.random.split(key, chains))
    return mean + u[:, warmup:] @ C.T, jnp.max(bounces)


class Truncated(AbstractSolver):
    """Gaussian prior and likelihood with x ≥ lower.

    Args:
        lower: bound, a number or (n,); −inf where there is none.
        chains, warmup, count: of the draws.
        seed: of the draws.

    Raises:
        TanhengError: a bound of another length, or a control vector too large for dense factors.
    """

    lower: float | np.ndarray = 0.0
    chains: int = eqx.field(static=True, default=4)
    warmup: int = eqx.field(static=True, default=200)
    count: int = eqx.field(static=True, default=2000)
    seed: int = eqx.field(static=True, default=0)

    def prior(self, problem: Problem) -> AbstractPosterior:
        """The truncated prior."""
        return self.solve(problem.unobserved())

    def solve(self, problem: Problem) -> AbstractPosterior:
        """The truncated posterior, or the untruncated one's failure."""
        n = problem.x_b.size
        if np.shape(self.lower) not in ((), (n,)) or n > SIZE_LIMIT:
            raise TanhengError(
                "the bounds do not fit the problem", got=f"bounds {np.shape(self.lower)}, {n} unknowns",
                expected=f"one bound or one for each of at most {SIZE_LIMIT} unknowns",
                remedy="use solver=lognormal for larger control vectors",
            )  # fmt: skip
        free = Analytic().solve(problem)
        if free.result != "successful":
            return free
        lower = np.broadcast_to(np.asarray(self.lower, dtype=float), (n,))
        A = np.asarray(free.covariance_mv(jnp.eye(n)))
        C = np.linalg.cholesky(0.5 * (A + A.T))
        mode, optimal = bounded_mode(np.asarray(free.mean), C, lower)
        # Start a little inside: on the bound itself a trajectory begins with a reflection.
        sigma = np.sqrt(np.diagonal(A))
        inside = np.maximum(mode, lower + 1e-3 * sigma)
        start = np.linalg.solve(C, inside - np.asarray(free.mean))
        draws, bounces = draw_truncated(
            jax.random.key(self.seed), free.mean, jnp.asarray(C), jnp.asarray(lower), jnp.asarray(start),
            self.chains, self.warmup, self.count,
        )  # fmt: skip
        kept = np.asarray(draws)
        worst, error = float(np.max(r_hat(kept))), jnp.asarray(mean_error(kept))
        result = "successful"
        if not optimal:
            result = "did not converge: the bounded mode misses its optimality conditions"
        elif int(bounces) >= REFLECTIONS:
            result = f"did not converge: a trajectory was reflected {int(bounces)} times"
        elif not worst < 1.01:
            result = f"did not converge: R̂ {worst:.3f}, expected below 1.01"
        return TruncatedPosterior(problem, jnp.mean(draws, axis=(0, 1)), result, jnp.asarray(mode), draws, error, worst)


def bounded_mode(mean: np.ndarray, C: np.ndarray, lower: np.ndarray) -> tuple[np.ndarray, bool]:
    """argmin |C⁻¹ (x − mean)|² with x ≥ lower, and whether the Karush–Kuhn–Tucker conditions hold to 1e-8.

    Args:
        mean: (n,) untruncated mean.
        C: (n, n) lower root of the covariance.
        lower: (n,) bounds.
    """
    sigma = np.linalg.norm(C, axis=1)
    whitening = np.linalg.solve(C, np.diag(sigma))  # unknowns in units of their σ: one scale for all
    bounds = (np.where(np.isfinite(lower), (lower - mean) / sigma, -np.inf), np.inf)
    if (bounds[0] <= 0.0).all():
        return mean, True
    found = scipy.optimize.lsq_linear(
        whitening, np.zeros(len(mean)), bounds=bounds, method="bvls", tol=1e-14, max_iter=20 * len(mean) + 100
    )
    gradient = whitening.T @ (whitening @ found.x)
    scale = np.linalg.norm(whitening, axis=0) * max(np.linalg.norm(whitening @ found.x), 1e-300)
    at = bounds[0] + 1e-12 * (1.0 + np.abs(np.where(np.isfinite(bounds[0]), bounds[0], 0.0)))
    bound = found.x <= at
    optimal = bool(
        (np.abs(gradient[~bound]) <= 1e-8 * scale[~bound]).all() and (gradient / scale)[bound].min() >= -1e-8
    )
    return mean + sigma * found.x, optimal

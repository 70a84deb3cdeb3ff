"""The Gaussian posterior by iteration: only products with H, Hᵀ, B^½, B^½ᵀ and R⁻¹.

With x = x_b + B^½ χ the cost is J(χ) = ½ χᵀχ + ½ (H x + b − y)ᵀ R⁻¹ (H x + b − y), and its minimum solves

    (I + M) χ = g,    M = B^½ᵀ Hᵀ R⁻¹ H B^½,    g = B^½ᵀ Hᵀ R⁻¹ d

(Tarantola 2005, doi 10.1137/1.9780898717921, §3.4; Chevallier et al. 2005, doi 10.1029/2005JD006390). Lanczos vectors
give the mean and, through their eigenpairs, the covariance A = B^½ (I + M)⁻¹ B^½ᵀ.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior, AbstractSolver
from inversion.solvers.actions import backward, forward, unit_columns
from inversion.solvers.eigenpairs import Pairs, Whitened, lanczos, randomised
from inversion.solvers.prior import prior_posterior
from transport.errors import TanhengError

METHODS = ("lanczos", "randomised")
# Columns solved at once where the covariance is built by unit vectors.
COLUMNS = 64


def conjugate_gradients(
    system: Whitened, pairs: Pairs, rhs: Array, start: Array, tolerance: float, steps: int | Array
) -> tuple[Array, Array, Array]:
    """(I + M) z = rhs for every column, preconditioned by the pairs; stops where all columns meet the tolerance.

    Args:
        system: the whitened problem.
        pairs: preconditioner (I + V Λ Vᵀ)⁻¹.
        rhs: (n, k).
        start: (n, k) first guess.
        tolerance: on |rhs − (I + M) z| / |rhs|, columnwise.
        steps: most iterations.

    Returns:
        z, iterations, and the relative residual of the worst column, from z itself and not from the recursion.

    References:
        Golub & Van Loan (2013), Matrix Computations, algorithm 11.5.1.
    """

    def hessian(v):
        return v + system.information(v)

    def dot(a, b):
        return jnp.sum(a * b, axis=0)

    scale = jnp.linalg.norm(rhs, axis=0)
    safe = jnp.where(scale > 0.0, scale, 1.0)
    r = rhs - hessian(start)
    p = pairs.inverse_mv(r)

    def go_on(state):
        k, _, r, _, _ = state
        return (k < steps) & jnp.any(jnp.linalg.norm(r, axis=0) > tolerance * scale)

    def step(state):
        k, z, r, p, rho = state
        Ap = hessian(p)
        curvature = dot(p, Ap)
        alpha = jnp.where(curvature > 0.0, rho / jnp.where(curvature > 0.0, curvature, 1.0), 0.0)
        z, r = z + alpha * p, r - alpha * Ap
        s = pairs.inverse_mv(r)
        new = dot(r, s)
        return k + 1, z, r, s + jnp.where(rho > 0.0, new / jnp.where(rho > 0.0, rho, 1.0), 0.0) * p, new

    k, z, *_ = jax.lax.while_loop(go_on, step, (jnp.asarray(0), start, r, p, dot(r, p)))
    return z, k, jnp.max(jnp.linalg.norm(rhs - hessian(z), axis=0) / safe)


class VariationalPosterior(AbstractGaussianPosterior):
    """Posterior held as eigenpairs; with complete pairs all of it is exact, else each action is solved by iteration.

    Args:
        chi: (n,) whitened increment, x̂ = x_b + B^½ χ.
        pairs: eigenpairs of M.
        complete: whether the pairs leave nothing out.
        iterations: applications of M until the mean.
        gradient_norm: |∇J(χ̂)| / |∇J(0)|.
        tolerance, steps: of the iterations that actions of an incomplete covariance need.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    chi: Float[Array, " n"]
    pairs: Pairs
    complete: bool = eqx.field(static=True)
    iterations: int = eqx.field(static=True)
    gradient_norm: float = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def _inverse(self, rhs: Array) -> Array:
        """(I + M)⁻¹ rhs."""
        if self.complete:
            return self.pairs.inverse_mv(rhs)
        columns = rhs.reshape(rhs.shape[0], -1)
        system = Whitened(self.problem)
        z, count, worst = _conjugate_gradients(system, self.pairs, columns, self.tolerance, self.steps)
        if not float(worst) <= self.tolerance:
            raise TanhengError(
                "an action of the posterior covariance did not converge",
                got=f"relative residual {float(worst):.1e} after {int(count)} iterations",
                expected=f"{self.tolerance:.0e}",
                remedy="raise solver.iterations, or ask for more pairs",
            )
        return z.reshape(rhs.shape)

    def covariance_mv(self, v):
        """B^½ (I + M)⁻¹ B^½ᵀ v."""
        B = self.problem.B
        if self.complete:  # B v is cheaper, and keeps the digits of what the data do not see
            rows = self.pairs.values / (1.0 + self.pairs.values)
            return B.mv(v) - B.sqrt_mv(self.pairs.filtered(rows, B.sqrt_transposed_mv(v)))
        return B.sqrt_mv(self._inverse(B.sqrt_transposed_mv(v)))

    def gain_mv(self, d):
        """B^½ (I + M)⁻¹ B^½ᵀ Hᵀ R⁻¹ d."""
        return self.problem.B.sqrt_mv(self._inverse(Whitened(self.problem).to_data(self.problem.R.solve(d))))

    def sample(self, key, count):
        """x̂ + B^½ (I + M)^-½ ξ; with incomplete pairs x̂ + B^½ (I + M)⁻¹ (ξ + η), η ~ N(0, M)."""
        keys = jax.random.split(key)
        xi = normal(keys[0], self.mean.size, count)
        if self.complete:
            chi = self.pairs.inverse_sqrt_mv(xi)
        else:
            chi = self._inverse(xi + Whitened(self.problem).draw(keys[1], count))
        return self.mean + self.problem.B.sqrt_mv(chi).T

    def leverage(self):
        """diag(H A Hᵀ R⁻¹), by unit vectors of the observations."""
        p = self.problem
        parts = []
        for start in range(0, p.y.size, COLUMNS):
            units = unit_columns(p.y.size, start, COLUMNS)
            HAHt = forward(p.H, self.covariance_mv(backward(p.H, units)))
            parts.append(jnp.sum(units * p.R.solve(HAHt), axis=0))
        return jnp.concatenate(parts)[: p.y.size]

    def dfs(self, key: Array | None = None, probes: int = 30) -> tuple[float, float]:
        """Degrees of freedom for signal trace M (I + M)⁻¹ and its standard error.

        Σ λ / (1 + λ) over the pairs; what incomplete pairs miss is E[zᵀ (M (I + M)⁻¹ − V Λ (I + Λ)⁻¹ Vᵀ) z] over
        random signs z (Hutchinson 1990, doi 10.1080/03610919008812866).

        Args:
            key: for the signs.
            probes: their number.

        Returns:
            The number and its standard error, zero where the pairs are complete.
        """
        share = self.pairs.values / (1.0 + self.pairs.values)
        if self.complete:
            return float(jnp.sum(share)), 0.0
        z = jax.random.rademacher(jax.random.key(0) if key is None else key, (self.mean.size, probes), float)
        missed = jnp.sum(z * (z - self._inverse(z) - self.pairs.filtered(share, z)), axis=0)
        return float(jnp.sum(share) + jnp.mean(missed)), float(jnp.std(missed, ddof=1) / probes**0.5)

    def cost(self):
        """Rᵀ R⁻¹ r + χᵀ χ, without B⁻¹."""
        r = self.problem.y - self.problem.modelled(self.mean)
        return r @ self.problem.R.solve(r) + self.chi @ self.chi

    def diagonal(self):
        """diag A: from the pairs if complete, else by n solutions."""
        B, n = self.problem.B, self.mean.size
        if self.complete:
            share = self.pairs.values / (1.0 + self.pairs.values)
            return B.diagonal() - jnp.sum(share * B.sqrt_mv(self.pairs.vectors.T) ** 2, axis=1)
        parts = []
        for start in range(0, n, COLUMNS):
            units = unit_columns(n, start, COLUMNS)
            parts.append(jnp.sum(units * self.covariance_mv(units), axis=0))
        return jnp.concatenate(parts)[:n]

    def variance(self, weights):
        """diag(W A Wᵀ) by the action of A."""
        return jnp.sum(weights.T * self.covariance_mv(weights.T), axis=0)


@eqx.filter_jit
def _conjugate_gradients(system, pairs, rhs, tolerance, steps):
    return conjugate_gradients(system, pairs, rhs, pairs.inverse_mv(rhs), tolerance, steps)


class Variational(AbstractSolver):
    """Minimum of the cost in the control space whitened by B^½, with the covariance from eigenpairs.

    Args:
        tolerance: relative gradient norm |∇J(χ̂)| / |∇J(0)| at which the minimum is found.
        iterations: most applications of the Hessian; as many vectors of n numbers are held.
        method: "lanczos", or "randomised" for products with many columns at once.
        pairs: how many eigenpairs are kept; None for all that iterations allow.
        oversampling, powers: of the randomised method.
        trace: trace of M outside the pairs below which they count as complete.

    Raises:
        TanhengError: an unknown method, or a tolerance that double precision cannot meet.
    """

    tolerance: float = eqx.field(static=True, default=1e-10)
    iterations: int = eqx.field(static=True, default=500)
    method: str = eqx.field(static=True, default="lanczos")
    pairs: int | None = eqx.field(static=True, default=None)
    oversampling: int = eqx.field(static=True, default=10)
    powers: int = eqx.field(static=True, default=2)
    trace: float = eqx.field(static=True, default=1e-12)

    def __check_init__(self):
        if self.method not in METHODS:
            raise TanhengError(
                "unknown solver.method", got=self.method, expected=", ".join(METHODS), remedy="choose one of these"
            )
        if not 1e-14 <= self.tolerance < 1.0 or self.iterations < 1:
            raise TanhengError(
                "the stopping rule of the variational solver is out of range",
                got=f"tolerance {self.tolerance}, iterations {self.iterations}",
                expected="a tolerance of 1e-14 to 1, at least one iteration", remedy="use the defaults",
            )  # fmt: skip

    def minimise(self, problem: Problem):
        """χ̂, the pairs, whether they are complete, iterations, relative gradient norm; pure, for use under vmap."""
        system = Whitened(problem)
        g = system.to_data(problem.R.solve(problem.departure()))
        most = min(self.iterations, problem.x_b.size, problem.y.size)
        wanted = most if self.pairs is None else min(self.pairs, most)
        key = jax.random.key(0)
        if self.method == "lanczos":
            pairs, complete = lanczos(
                system, g, key, steps=most, tolerance=self.tolerance, pairs=wanted, trace=self.trace
            )
        else:
            pairs, complete = randomised(
                system, key, pairs=wanted, oversampling=self.oversampling, powers=self.powers, trace=self.trace
            )
        left = jnp.maximum(self.iterations - pairs.steps, jnp.where(complete, 2, 0))
        rhs = g[:, None]
        chi, more, _ = conjugate_gradients(system, pairs, rhs, pairs.inverse_mv(rhs), self.tolerance, left)
        # One correction by the pairs: with all of them it is a Newton step, which squares the error.
        corrected = chi + pairs.inverse_mv(rhs - chi - system.information(chi))
        chi = jnp.where(complete, corrected, chi)[:, 0]
        scale = jnp.linalg.norm(g)
        gradient = jnp.linalg.norm(g - chi - system.information(chi)) / jnp.where(scale > 0.0, scale, 1.0)
        return chi, pairs, complete, pairs.steps + more, gradient

    def solve(self, problem: Problem) -> AbstractGaussianPosterior:
        """The posterior, or one whose result says how far the iteration came."""
        if problem.y.size == 0:
            return prior_posterior(problem)
        chi, pairs, complete, iterations, gradient = _minimise(self, problem)
        mean = problem.x_b + problem.B.sqrt_mv(chi)
        posterior = VariationalPosterior(
            problem, mean, "successful", chi, pairs, bool(complete), int(iterations), float(gradient),
            self.tolerance, max(self.iterations, 100),
        )  # fmt: skip
        return dataclasses.replace(posterior, result=verdict(posterior))


def verdict(posterior: VariationalPosterior) -> str:
    """Whether it was successful, or what went wrong, with iterations and gradient norm."""
    if not bool(jnp.isfinite(posterior.mean).all()):
        return "not finite: an observation, the background, H x_b or a covariance that is not positive definite"
    if not posterior.gradient_norm <= posterior.tolerance:
        return (
            f"did not converge: relative gradient norm {posterior.gradient_norm:.1e} after {posterior.iterations} "
            f"iterations, tolerance {posterior.tolerance:.0e}"
        )
    return "successful"


@eqx.filter_jit
def _minimise(solver: Variational, problem: Problem):
    return solver.minimise(problem)

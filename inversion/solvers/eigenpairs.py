"""Leading eigenpairs of the data's information in the whitened control space.

x = x_b + B^½ χ turns the cost into ½ χᵀχ + ½ |R^-½ (G χ − d)|², G = H B^½, whose Hessian is I + M with

    M = B^½ᵀ Hᵀ R⁻¹ H B^½,     (I + M)⁻¹ = I − V Λ (I + Λ)⁻¹ Vᵀ,     M = V Λ Vᵀ

M has at most min(n, m) eigenvalues that are not zero, so that the pairs are complete after as many steps.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers.actions import backward, forward

# Draws from N(0, M) that measure how much of M the pairs leave out.
PROBES = 8


class Whitened(eqx.Module):
    """The problem in χ: x = x_b + B^½ χ.

    Args:
        problem: the linear problem.
    """

    problem: Problem

    def information(self, chi: Array) -> Array:
        """M χ; χ is (n,) or (n, k)."""
        return self.to_data(self.problem.R.solve(forward(self.problem.H, self.problem.B.sqrt_mv(chi))))

    def to_data(self, u: Array) -> Array:
        """Gᵀ u = B^½ᵀ Hᵀ u."""
        return self.problem.B.sqrt_transposed_mv(backward(self.problem.H, u))

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, "n count"]:
        """Draws from N(0, M): Gᵀ R⁻¹ R^½ ε; the square of one is an unbiased estimate of trace M."""
        R = self.problem.R
        return self.to_data(R.solve(R.sqrt_mv(normal(key, self.problem.y.size, count))))


class Pairs(eqx.Module):
    """V and Λ, padded with zeros.

    Args:
        vectors: (k, n) rows.
        values: (k,) eigenvalues, not negative.
        uncaptured: estimate of trace M − trace Λ.
        uncaptured_error: its standard error.
        steps: applications of M.
    """

    vectors: Float[Array, "k n"]
    values: Float[Array, " k"]
    uncaptured: Float[Array, ""]
    uncaptured_error: Float[Array, ""]
    steps: Array

    def filtered(self, f: Array, v: Array) -> Array:
        """V f Vᵀ v for f (k,)."""
        return self.vectors.T @ (f.reshape(-1, *([1] * (v.ndim - 1))) * (self.vectors @ v))

    def inverse_mv(self, v: Array) -> Array:
        """(I + V Λ Vᵀ)⁻¹ v."""
        return v - self.filtered(self.values / (1.0 + self.values), v)

    def inverse_sqrt_mv(self, v: Array) -> Array:
        """(I + V Λ Vᵀ)^-½ v, symmetric."""
        return v - self.filtered(1.0 - 1.0 / jnp.sqrt(1.0 + self.values), v)


def _outside(basis: Array, v: Array) -> Array:
    """v without its part in the rows of the basis, twice: once leaves rounding behind (Giraud et al. 2005)."""
    for _ in range(2):
        v = v - basis.T @ (basis @ v)
    return v


def _unit(v: Array) -> tuple[Array, Array]:
    length = jnp.linalg.norm(v)
    return v / jnp.where(length > 0.0, length, 1.0), length


class _State(NamedTuple):
    k: Array
    basis: Array
    alpha: Array
    beta: Array
    following: Array
    pivot: Array
    forward: Array
    residual: Array
    probes: Array
    complete: Array


def lanczos(
    system: Whitened, gradient: Array, key: PRNGKeyArray, *, steps: int, tolerance: float, pairs: int, trace: float
) -> tuple[Pairs, Array]:
    """Eigenpairs by Lanczos' method with full reorthogonalisation, started from the gradient at the prior.

    M q_k = β_{k−1} q_{k−1} + α_k q_k + β_k q_{k+1}. The first steps are those of conjugate gradients, whose gradient
    norm β_k |y_k|, (I + T_k) y = |g| e₁, comes from the factors of I + T_k. Where β vanishes (the gradient lies in an
    invariant subspace, or eigenvalues repeat) a draw from N(0, M) starts the next part of the space. What is left of
    such draws outside the basis estimates trace M − trace T.

    Args:
        system: the whitened problem.
        gradient: (n,) g = Gᵀ R⁻¹ d.
        key: for the draws.
        steps: most applications of M; (steps, n) numbers are held.
        tolerance: relative gradient norm at which the mean is found.
        pairs: stop when the mean is found and there are this many, unless the rest is negligible before.
        trace: what is negligible: an eigenvalue left out changes a relative posterior variance by at most itself.

    Returns:
        The pairs and whether nothing is left out.

    References:
        Golub & Van Loan (2013), Matrix Computations, §10.1, §11.3.
    """
    n = gradient.size
    for_probes, for_restarts = jax.random.split(key)
    probes = system.draw(for_probes, PROBES)

    def restart(basis, k):
        v = _outside(basis, system.draw(jax.random.fold_in(for_restarts, k), 1)[:, 0])
        return _unit(v)[0]

    empty = jnp.zeros((steps, n))
    first, length = _unit(gradient)
    first = jax.lax.cond(length > 0.0, lambda: first, lambda: restart(empty, steps))
    zero = jnp.zeros(())
    state = _State(
        jnp.asarray(0), empty, jnp.zeros(steps), jnp.zeros(steps), first, zero + 1.0, length, zero + 1.0, probes,
        jnp.sum(probes**2) <= trace * PROBES,
    )  # fmt: skip

    def go_on(s: _State):
        satisfied = (s.residual <= tolerance) & (s.k >= pairs)
        return (s.k < steps) & ~s.complete & ~satisfied

    def step(s: _State) -> _State:
        q = s.following
        basis = s.basis.at[s.k].set(q)
        image = system.information(q)
        alpha = s.alpha.at[s.k].set(q @ image)
        following, beta = _unit(_outside(basis, image))
        # Below this β is rounding of M q, and its direction noise.
        stuck = beta <= 1e-13 * jnp.max(alpha)
        before = jnp.where(s.k > 0, s.beta[s.k - 1], 0.0)
        pivot = 1.0 + alpha[s.k] - before**2 / s.pivot
        towards = jnp.where(s.k > 0, -before / s.pivot * s.forward, s.forward)
        probes = s.probes - jnp.outer(q, q @ s.probes)
        probes = probes - jnp.outer(q, q @ probes)
        beta = jnp.where(stuck, 0.0, beta)
        following = jax.lax.cond(stuck, lambda: restart(basis, s.k), lambda: following)
        residual = beta * jnp.abs(towards / pivot) / jnp.where(length > 0.0, length, 1.0)
        return _State(
            s.k + 1, basis, alpha, s.beta.at[s.k].set(beta), following, pivot, towards, residual, probes,
            jnp.mean(jnp.sum(probes**2, axis=0)) <= trace,
        )  # fmt: skip

    s = jax.lax.while_loop(go_on, step, state)
    return _ritz(s, steps), s.complete


def _ritz(s: _State, steps: int) -> Pairs:
    """Eigenpairs of T_k = tridiag(β, α, β), carried back by the basis."""
    inside = jnp.arange(steps) < s.k
    # Coupling past the last step belongs to a vector that was never used; padding must not mix with it.
    beta = jnp.where(jnp.arange(steps) < s.k - 1, s.beta, 0.0)[:-1]
    tridiagonal = jnp.diag(jnp.where(inside, s.alpha, 0.0)) + jnp.diag(beta, 1) + jnp.diag(beta, -1)
    values, vectors = jnp.linalg.eigh(tridiagonal)
    left = jnp.sum(s.probes**2, axis=0)
    return Pairs(
        vectors.T @ s.basis, jnp.maximum(values, 0.0), jnp.mean(left), jnp.std(left, ddof=1) / PROBES**0.5, s.k
    )


def randomised(
    system: Whitened, key: PRNGKeyArray, *, pairs: int, oversampling: int, powers: int, trace: float
) -> tuple[Pairs, Array]:
    """Eigenpairs from the range of random draws: all columns at once, where Lanczos takes them one by one.

    Y = (M^q) Ω with Ω ~ N(0, M),  Y = Q R,  M ≈ Q (Qᵀ M Q) Qᵀ.

    Args:
        system: the whitened problem.
        key: for the draws.
        pairs: number wanted.
        oversampling: more columns, dropped in the end unless they make the pairs complete.
        powers: q, power iterations.
        trace: remaining trace that counts as none.

    Returns:
        The pairs and whether nothing is left out.

    References:
        Halko, Martinsson & Tropp (2011), doi 10.1137/090771806, algorithms 4.4 and 5.3.
    """
    n, m = system.problem.x_b.size, system.problem.y.size
    count = min(pairs + oversampling, n, m)
    for_range, for_probes = jax.random.split(key)
    Q = jnp.linalg.qr(system.draw(for_range, count))[0]
    for _ in range(powers):
        Q = jnp.linalg.qr(system.information(Q))[0]
    small = Q.T @ system.information(Q)
    values, vectors = jnp.linalg.eigh(0.5 * (small + small.T))
    probes = system.draw(for_probes, PROBES)
    complete = jnp.mean(jnp.sum(_outside(Q.T, probes) ** 2, axis=0)) <= trace
    rows, values = (Q @ vectors).T, jnp.maximum(values, 0.0)
    # Eigenvalues ascend; the smallest are the least accurate, and go unless they complete the space.
    kept = (jnp.arange(count) >= count - pairs) | complete
    rows, values = jnp.where(kept[:, None], rows, 0.0), jnp.where(kept, values, 0.0)
    left = jnp.sum(_outside(rows, probes) ** 2, axis=0)
    error = jnp.std(left, ddof=1) / PROBES**0.5
    return Pairs(rows, values, jnp.mean(left), error, jnp.asarray((powers + 1) * count)), complete

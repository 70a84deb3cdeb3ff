"""The density of whitened unknowns, and chains of it by the No-U-Turn sampler.

The unknowns are whitened, x = x_b + B^½ χ (non-centred), or x = x_b exp(z), z = B^½ χ, where they are positive, so that

    log p(χ|y) = −½ χᵀχ − ½ rᵀ R⁻¹ r + const,     r = y − H x(χ) − b

and once more by Laplace's method, χ = χ̂ + P u, P = (I + M)^-½, M = B^½ᵀ x'ᵀ Hᵀ R⁻¹ H x' B^½ at the mode χ̂. Of a linear
Gaussian problem u is then white noise, of others nearly. P changes how fast the chains mix, never what they tend to.
NUTS: Hoffman & Gelman (2014), J. Mach. Learn. Res. 15, 1593; Betancourt (2017, arXiv 1701.02434), as in blackjax.
"""

import time
from typing import Any

import blackjax
import blackjax.adaptation.base
import equinox as eqx
import jax
import jax.monitoring
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from inversion.covariance import AbstractCovariance
from inversion.covariance.base import is_concrete
from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers.actions import forward
from inversion.solvers.lognormal import Exponentiated
from transport.batches import in_batches
from transport.errors import TanhengError

# Standard deviation of starting points in units of the (approximate) posterior's.
OVERDISPERSION = 2.0
NEWTON_STEPS = 100


class Target(eqx.Module):
    """log p of u, χ = χ̂ + P u.

    Args:
        transform: z to x and to modelled observations.
        B: prior covariance of z.
        y, R: observations and mismatch.
        centre: (n,) χ̂.
        P: (n, n), or None for the identity.
    """

    transform: Exponentiated
    B: AbstractCovariance
    y: Float[Array, " m"]
    R: AbstractCovariance
    centre: Float[Array, " n"]
    P: Float[Array, "n n"] | None = None

    @property
    def size(self) -> int:
        """How many numbers are sampled."""
        return self.centre.size

    def chi(self, u):
        """χ̂ + P u."""
        return self.centre + (u if self.P is None else self.P @ u)

    def x(self, u):
        """The unknowns (n,) of u (n,)."""
        return self.transform.x(self.B.sqrt_mv(self.chi(u)))

    def energy(self, chi):
        """J(χ) = ½ χᵀχ + ½ rᵀ R⁻¹ r."""
        r = self.y - self.transform(self.B.sqrt_mv(chi))
        return 0.5 * (chi @ chi + r @ self.R.solve(r))

    def log_density(self, u):
        """−J(χ(u))."""
        return -self.energy(self.chi(u))

    def preconditioned(self) -> tuple["Target", Array]:
        """The same density about its mode with P of Laplace's method, and |∇J| there; pure.

        Levenberg–Marquardt (Nocedal & Wright 2006, §10.3): (I + M + μ I) step = −∇J, μ by whether J falls.
        """
        root = self.B.sqrt_mv(jnp.eye(self.size))
        gradient_of = jax.grad(self.energy)

        def precision(chi):
            z = root @ chi
            x = self.transform.x(z)
            slope = jnp.where(self.transform.positive, x, 1.0)
            G = forward(self.transform.H, slope[:, None] * root)
            M = G.T @ self.R.solve(G)
            return jnp.eye(self.size) + 0.5 * (M + M.T)

        def go_on(state):
            k, _, value, gradient, _, first = state
            return (k < NEWTON_STEPS) & jnp.isfinite(value) & (jnp.linalg.norm(gradient) > 1e-10 * first)

        def step(state):
            k, chi, value, gradient, damping, first = state
            matrix = precision(chi)
            factor = jsl.cho_factor(matrix + damping * jnp.diag(jnp.diagonal(matrix)))
            trial = chi - jsl.cho_solve(factor, gradient)
            new = self.energy(trial)
            better = new <= value + 1e-13 * jnp.abs(value)
            damping = jnp.where(better, jnp.where(damping < 1e-4, 0.0, 0.1 * damping), jnp.maximum(10 * damping, 1e-2))
            chi, value = jnp.where(better, trial, chi), jnp.where(better, new, value)
            return k + 1, chi, value, gradient_of(chi), damping, first

        g = gradient_of(self.centre)
        norm = jnp.linalg.norm(g)
        start = (jnp.asarray(0), self.centre, self.energy(self.centre), g, jnp.asarray(0.0), norm)
        _, chi, _, g, _, _ = jax.lax.while_loop(go_on, step, start)
        factor = jnp.linalg.cholesky(precision(chi))
        P = jsl.solve_triangular(factor, jnp.eye(self.size), trans=1, lower=True)
        return Target(self.transform, self.B, self.y, self.R, chi, P), jnp.linalg.norm(g) / jnp.maximum(norm, 1.0)


class Run(eqx.Module):
    """What chains leave: positions (chains, count, d), log density and flags (chains, count)."""

    u: Float[Array, "chains count d"]
    log_density: Float[Array, "chains count"]
    divergent: Array
    saturated: Array


def run_chains(
    target, key: PRNGKeyArray, chains: int, warmup: int, count: int, acceptance: Array, doublings: int,
    dense_metric: bool = False,
) -> Run:  # fmt: skip
    """NUTS from over-dispersed starts, step size and metric adapted chain by chain as in Stan; pure.

    Args:
        target: with `size` and `log_density(u)`, u of about unit scale.
        key: random key.
        chains, warmup, count: how many, dropped, kept.
        acceptance: mean acceptance aimed at.
        doublings: a trajectory has at most 2^doublings steps.
        dense_metric: adapt the full covariance, for few unknowns.
    """

    def chain(key):
        for_start, for_warmup, for_draws = jax.random.split(key, 3)
        adaptation: Any = blackjax.window_adaptation(
            blackjax.nuts, target.log_density, is_mass_matrix_diagonal=not dense_metric,
            target_acceptance_rate=acceptance,  # pyright: ignore[reportArgumentType]
            initial_step_size=0.5, max_num_doublings=doublings,
            adaptation_info_fn=blackjax.adaptation.base.get_filter_adapt_info_fn(),
        )  # fmt: skip
        start = OVERDISPERSION * normal(for_start, target.size)
        (state, parameters), _ = adaptation.run(for_warmup, start, warmup)
        kernel: Any = blackjax.nuts(target.log_density, **parameters)

        def one(state, key):
            state, info = kernel.step(key, state)
            at_end = info.num_trajectory_expansions >= doublings
            return state, (state.position, state.logdensity, info.is_divergent, at_end)

        return Run(*jax.lax.scan(one, state, jax.random.split(for_draws, count))[1])

    return jax.vmap(chain)(jax.random.split(key, chains))


_run_chains = eqx.filter_jit(run_chains)


@eqx.filter_jit
def preconditioned(target: Target) -> tuple[Target, Array]:
    """`Target.preconditioned`, compiled."""
    return target.preconditioned()


@eqx.filter_jit
def unknowns(target, u):
    """x (chains, count, n) of all u, and χ of their mean."""
    flat = u.reshape(-1, u.shape[-1])
    x = in_batches(target.x, flat, 256)
    return x.reshape(*u.shape[:2], -1), target.chi(jnp.mean(flat, axis=0))


_COMPILED = [0.0]


def _note_compilation(event: str, duration_secs: float, **_) -> None:
    if event.endswith("backend_compile_duration"):
        _COMPILED[0] = time.perf_counter()


jax.monitoring.register_event_duration_secs_listener(_note_compilation)


def timed_chains(*arguments, **options) -> tuple[Run, float]:
    """`run_chains`, compiled, and its seconds, counted from the end of compilation where there was one."""
    start = time.perf_counter()
    run = jax.block_until_ready(_run_chains(*arguments, **options))
    return run, time.perf_counter() - max(start, _COMPILED[0])


def target_of(problem: Problem, positive) -> Target:
    """The density of χ as it stands, χ̂ = 0 and P = I.

    Raises:
        TanhengError: a prior median that is not positive, or a mask of another length.
    """
    n = problem.x_b.size
    flags = np.full(n, bool(positive)) if positive is None or np.ndim(positive) == 0 else np.asarray(positive, bool)
    fits = flags.shape == (n,)
    low = fits and is_concrete(problem.x_b) and not bool((np.asarray(problem.x_b)[flags] > 0.0).all())
    if not fits or low:
        raise TanhengError(
            "a log-normal unknown needs a positive prior median",
            got=f"smallest {float(jnp.min(problem.x_b)):.3g}, {flags.shape} flags",
            expected=f"> 0 where `positive`, {n} flags",
            remedy="remove cells without emission from the control vector, or leave them Gaussian",
        )
    transform = Exponentiated(problem.H, problem.x_b, problem.b, jnp.asarray(flags))
    return Target(transform, problem.B, problem.y, problem.R, jnp.zeros(n))

"""Nonlinear observations y = h(x) + ε: the mode by Gauss–Newton or L-BFGS, the covariance by Laplace's method.

    J(χ) = ½ χᵀχ + ½ (h(x) − y)ᵀ R⁻¹ (h(x) − y),    x = x_b + B^½ χ

Gauss–Newton solves the linearised problem y ≈ h(x_i) + H_i (x − x_i) with the variational solver, and shortens a step
that does not lower J. Where residuals are large that converges slowly, since the Gauss–Newton Hessian lacks the
curvature of h; the step is then improved by conjugate gradients with the full Hessian, preconditioned by the
Gauss–Newton one. H_i is never a matrix: its products are the forward and reverse derivatives of h. At the mode
the posterior is that of the linearised problem, A = B^½ (I + B^½ᵀ Hᵀ R⁻¹ H B^½)⁻¹ B^½ᵀ (Rodgers 2000, §5.3; Tarantola
2005, doi 10.1137/1.9780898717921, §3.4.4).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from inversion.covariance import AbstractCovariance
from inversion.problem import Problem
from inversion.solvers.eigenpairs import Pairs
from inversion.solvers.variational import Variational, VariationalPosterior, verdict
from transport.errors import TanhengError
from transport.linear import AbstractMap, Transpose

METHODS = ("gauss_newton", "lbfgs")


class Tangent(AbstractMap):
    """H = ∂h/∂x at x: products by forward and reverse differentiation.

    Args:
        h: differentiable; an Equinox module if it holds arrays.
        x: (n,) where.
    """

    h: Any
    x: Float[Array, " n"]

    def mv(self, vector):
        """∂h v."""
        return jax.jvp(self.h, (self.x,), (vector,))[1]

    def mv_transposed(self, vector):
        """∂hᵀ u."""
        return jax.vjp(self.h, self.x)[1](vector)[0]

    def in_structure(self):
        """(n,)."""
        return jax.ShapeDtypeStruct(self.x.shape, self.x.dtype)

    def out_structure(self):
        """(m,)."""
        return jax.eval_shape(self.h, self.x)

    def transpose(self) -> Transpose:
        """Hᵀ."""
        return Transpose(self)


class NonlinearProblem(eqx.Module):
    """y = h(x) + ε, ε ~ N(0, R), x ~ N(x_b, B).

    Args:
        h: (n,) ↦ (m,), differentiable by JAX.
        x_b, B, y, R: as in `Problem`.
    """

    h: Callable
    x_b: Float[Array, " n"]
    B: AbstractCovariance
    y: Float[Array, " m"]
    R: AbstractCovariance

    def linearised(self, x: Float[Array, " n"]) -> Problem:
        """The linear problem about x: H = ∂h/∂x, b = h(x) − H x."""
        H = Tangent(self.h, x)
        return Problem(H, self.x_b, self.B, self.y, self.R, self.h(x) - H.mv(x))

    def objective(self, chi: Float[Array, " n"]) -> Array:
        """J(χ)."""
        r = self.h(self.x_b + self.B.sqrt_mv(chi)) - self.y
        return 0.5 * (chi @ chi + r @ self.R.solve(r))


@eqx.filter_jit
def _value_and_gradient(problem: NonlinearProblem, chi):
    return jax.value_and_grad(problem.objective)(chi)


@eqx.filter_jit
def _linearised(problem: NonlinearProblem, chi):
    return problem.linearised(problem.x_b + problem.B.sqrt_mv(chi))


@eqx.filter_jit
def _newton_step(problem: NonlinearProblem, chi: Array, gradient: Array, pairs: Pairs, steps: int = 60):
    """z with ∇²J z = −∇J to 1e-3, or as far as the curvature stays positive (Nocedal & Wright 2006, algorithm 7.1)."""

    def hessian(v):
        return jax.jvp(jax.grad(problem.objective), (chi,), (v,))[1]

    def go_on(state):
        k, _, r, _, _, convex = state
        return (k < steps) & convex & (jnp.linalg.norm(r) > 1e-3 * jnp.linalg.norm(gradient))

    def step(state):
        k, z, r, p, rho, _ = state
        Ap = hessian(p)
        convex = p @ Ap > 0.0
        alpha = jnp.where(convex, rho / jnp.where(convex, p @ Ap, 1.0), 0.0)
        z, r = z + alpha * p, r - alpha * Ap
        s = pairs.inverse_mv(r)
        return k + 1, z, r, s + r @ s / rho * p, r @ s, convex

    first = pairs.inverse_mv(-gradient)
    state = (jnp.asarray(0), jnp.zeros_like(chi), -gradient, first, -gradient @ first, jnp.asarray(True))
    _, z, *_ = jax.lax.while_loop(go_on, step, state)
    return z


class GaussNewton(eqx.Module):
    """Mode and Laplace approximation of a nonlinear problem.

    Args:
        method: "gauss_newton", or "lbfgs" (scipy's L-BFGS) where derivatives of h are cheap and its curvature strong.
        tolerance: on |∇J(χ̂)| / |∇J(0)|.
        iterations: outer iterations.
        inner: linear solver; its covariance is the one returned.

    Raises:
        TanhengError: an unknown method.
    """

    method: str = eqx.field(static=True, default="gauss_newton")
    tolerance: float = eqx.field(static=True, default=1e-8)
    iterations: int = eqx.field(static=True, default=50)
    inner: Variational = dataclasses.field(default_factory=Variational)

    def __check_init__(self):
        if self.method not in METHODS:
            raise TanhengError(
                "unknown solver.method", got=self.method, expected=", ".join(METHODS), remedy="choose one of these"
            )

    def solve(self, problem: NonlinearProblem) -> VariationalPosterior:
        """The Gaussian that touches the posterior at its mode; its result says if the mode was not found."""
        if problem.y.size == 0:
            raise TanhengError(
                "a nonlinear problem needs observations", got=0, expected="at least one",
                remedy="without observations the posterior is the prior",
            )  # fmt: skip
        find = self._by_gauss_newton if self.method == "gauss_newton" else self._by_lbfgs
        chi, count = find(problem)
        posterior = self.inner.solve(_linearised(problem, chi))
        assert isinstance(posterior, VariationalPosterior)
        # The mean is the mode that was found; the linear solution from there differs by the gradient that is left.
        start = _norm(_value_and_gradient(problem, jnp.zeros(chi.shape))[1])
        gradient = _norm(_value_and_gradient(problem, chi)[1]) / (start or 1.0)
        mean = problem.x_b + problem.B.sqrt_mv(chi)
        posterior = dataclasses.replace(
            posterior, mean=mean, chi=chi, iterations=count, gradient_norm=gradient, tolerance=self.tolerance
        )
        return dataclasses.replace(posterior, result=verdict(posterior))

    def _by_gauss_newton(self, problem: NonlinearProblem):
        chi = jnp.zeros(problem.x_b.size)
        value, gradient = _value_and_gradient(problem, chi)
        start = before = _norm(gradient)
        for count in range(self.iterations):
            if not _norm(gradient) > self.tolerance * start:
                return chi, count
            step = self.inner.solve(_linearised(problem, chi))
            assert isinstance(step, VariationalPosterior)
            direction, size = step.chi - chi, 1.0
            if count and _norm(gradient) > 0.2 * before:
                improved = _newton_step(problem, chi, gradient, step.pairs)
                if float(gradient @ improved) < 0.0:
                    direction = improved
            before = _norm(gradient)
            slope = float(gradient @ direction)
            # Armijo: a quarter of the promised decrease at least, else half the step (Nocedal & Wright 2006, §3.1).
            while True:
                trial = chi + size * direction
                new, new_gradient = _value_and_gradient(problem, trial)
                rounding = 1e-12 * abs(float(value))
                if float(new) <= float(value) + 0.25 * size * slope + rounding or size < 1e-6:
                    break
                size *= 0.5
            if not float(new) <= float(value) + rounding:
                return chi, count + 1
            chi, value, gradient = trial, new, new_gradient
        return chi, self.iterations

    def _by_lbfgs(self, problem: NonlinearProblem):
        n = problem.x_b.size
        start = _norm(_value_and_gradient(problem, jnp.zeros(n))[1])

        def value_and_gradient(chi):
            value, gradient = _value_and_gradient(problem, jnp.asarray(chi))
            return float(value), np.asarray(gradient)

        # scipy stops on the largest component; the norm is at most √n of it.
        options = {"maxiter": 20 * self.iterations, "maxfun": 100 * self.iterations, "maxcor": 20, "ftol": 0.0,
                   "gtol": self.tolerance * start / n**0.5}  # fmt: skip
        found = scipy.optimize.minimize(value_and_gradient, np.zeros(n), jac=True, method="L-BFGS-B", options=options)
        return jnp.asarray(found.x), int(found.nit)


def _norm(v: Array) -> float:
    return float(jnp.linalg.norm(v))

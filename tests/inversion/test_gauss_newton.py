import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from inversion.covariance import Dense, Diagonal
from inversion.solvers.gauss_newton import GaussNewton, NonlinearProblem, Tangent
from inversion.solvers.variational import Variational
from tests.inversion.battery import PROBLEMS, disagreement, spd
from transport.errors import TanhengError
from transport.linear import adjoint_gap, materialise


class Curved(eqx.Module):
    """h(x) = G tanh(x) + c (G x)²."""

    G: Array
    c: float

    def __call__(self, x):
        return self.G @ jnp.tanh(x) + self.c * (self.G @ x) ** 2


def curved(seed=0, c=0.05) -> NonlinearProblem:
    rng = np.random.default_rng(seed)
    h = Curved(jnp.asarray(rng.normal(size=(14, 12)) / 3), c)
    x_b, truth = jnp.asarray(rng.normal(size=12)), jnp.asarray(rng.normal(size=12))
    return NonlinearProblem(h, x_b, spd(rng, 12), h(truth) + 0.1 * rng.normal(size=14), Diagonal(np.full(14, 0.2)))


@pytest.mark.parametrize("method", ["gauss_newton", "lbfgs"])
def test_a_linear_problem_is_solved_as_one(method):
    c = PROBLEMS["full 12x14"]
    p = c.problem
    H = p.matrix

    nonlinear = NonlinearProblem(lambda x: H @ x + p.b, p.x_b, p.B, p.y, p.R)
    posterior = GaussNewton(method=method, tolerance=1e-9 if method == "gauss_newton" else 1e-8).solve(nonlinear)
    assert posterior.result == "successful"
    assert max(disagreement(posterior, c)) <= 1e-6
    if method == "gauss_newton":
        assert posterior.iterations == 1 and max(disagreement(posterior, c)) <= 1e-8


@pytest.mark.parametrize("method", ["gauss_newton", "lbfgs"])
def test_the_mode_of_a_nonlinear_problem(method):
    """The gradient of the cost in x vanishes there; its Gauss–Newton Hessian is the inverse of the covariance."""
    p = curved()
    posterior = GaussNewton(method=method).solve(p)
    assert posterior.result == "successful" and posterior.gradient_norm <= 1e-8

    def cost(x):
        return 0.5 * ((x - p.x_b) @ p.B.solve(x - p.x_b) + (p.h(x) - p.y) @ p.R.solve(p.h(x) - p.y))

    start = float(jnp.linalg.norm(jax.grad(cost)(p.x_b)))
    assert float(jnp.linalg.norm(jax.grad(cost)(posterior.mean))) <= 1e-6 * start
    assert float(cost(posterior.mean)) < float(cost(p.x_b))
    J = np.asarray(jax.jacobian(p.h)(posterior.mean))
    precision = np.linalg.inv(p.B.mv(jnp.eye(12))) + J.T @ np.asarray(p.R.solve(jnp.asarray(J)))
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(12)), np.linalg.inv(precision), rtol=1e-6, atol=1e-9)
    assert float(posterior.cost()) == pytest.approx(2 * float(cost(posterior.mean)), rel=1e-8)


def test_strong_curvature_needs_shorter_steps():
    """A full first step would raise the cost; the search comes down all the same."""
    p = dataclasses.replace(curved(c=2.0), R=Diagonal(np.full(14, 0.05)))
    posterior = GaussNewton(iterations=200).solve(p)
    assert posterior.result == "successful"
    first = Variational().solve(p.linearised(p.x_b)).mean

    def cost(x):
        return float((x - p.x_b) @ p.B.solve(x - p.x_b) + (p.h(x) - p.y) @ p.R.solve(p.h(x) - p.y))

    assert cost(first) > cost(p.x_b) > cost(posterior.mean)


@pytest.mark.parametrize("method", ["gauss_newton", "lbfgs"])
def test_too_few_iterations_say_so(method):
    posterior = GaussNewton(method=method, iterations=1, tolerance=1e-12).solve(curved(c=0.5))
    assert posterior.result.startswith("did not converge: relative gradient norm")


def test_tangent():
    p = curved()
    H = Tangent(p.h, p.x_b)
    np.testing.assert_allclose(materialise(H), jax.jacobian(p.h)(p.x_b), rtol=1e-12, atol=1e-14)
    assert adjoint_gap(H) < 1e-14


def test_options_and_failures():
    with pytest.raises(TanhengError, match="unknown solver"):
        GaussNewton(method="newton")
    p = curved()
    with pytest.raises(TanhengError, match="needs observations"):
        GaussNewton().solve(NonlinearProblem(lambda x: x[:0], p.x_b, p.B, p.y[:0], Diagonal(np.zeros(0))))
    broken = dataclasses.replace(p, B=Dense(np.eye(12) - 0.5 * np.ones((12, 12))))
    assert GaussNewton().solve(broken).result != "successful"

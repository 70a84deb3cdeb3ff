"""All Gaussian solvers against one dense reference, and the faults seen elsewhere."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inversion.covariance import AbstractCovariance, Diagonal
from inversion.solvers.analytic import Analytic
from inversion.solvers.lognormal import LogNormal
from inversion.solvers.sequential import Sequential
from inversion.solvers.truncated import TruncatedPosterior
from inversion.solvers.variational import Variational
from tests.inversion.battery import PROBLEMS, case, dense, disagreement, reference

SOLVERS = {
    "analytic, state": lambda c: Analytic("state"),
    "analytic, observation": lambda c: Analytic("observation"),
    "variational": lambda c: Variational(),
    "sequential": lambda c: Sequential(c.windows, lag=int(c.windows.max()), observations=c.seen),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_agrees_with_the_dense_reference(name, solver):
    c = PROBLEMS[name]
    posterior = SOLVERS[solver](c).solve(c.problem)
    assert posterior.result == "successful"
    in_mean, in_sigma = disagreement(posterior, c)
    assert in_mean <= 1e-8
    assert in_sigma <= 1e-8


def test_the_battery_is_large_enough():
    assert len(PROBLEMS) >= 30


@pytest.mark.parametrize("name", ["full 12x14", "windows 14x12", "strong data", "rank 2 of 12x14", "no observation 6"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_rest_of_the_interface(name, solver):
    """Draws, leverage, cost, gain and diagonal, by their definitions with dense matrices."""
    c = PROBLEMS[name]
    p, (H, B, R) = c.problem, dense(c.problem)
    posterior = SOLVERS[solver](c).solve(p)
    mean, A = reference(p)
    scale = np.sqrt(np.outer(np.diagonal(A), np.diagonal(A)))
    np.testing.assert_allclose((posterior.covariance_mv(jnp.eye(len(B))) - A) / scale, 0.0, atol=1e-8)
    np.testing.assert_allclose(posterior.diagonal(), np.diagonal(A), rtol=1e-7)
    K = A @ H.T @ np.linalg.inv(R) if len(R) else np.zeros((len(B), 0))
    np.testing.assert_allclose(posterior.leverage(), np.diagonal(H @ K), atol=1e-7)
    d = np.random.default_rng(0).normal(size=len(R))
    np.testing.assert_allclose(
        posterior.gain_mv(jnp.asarray(d)), K @ d, rtol=1e-6, atol=1e-7 * np.abs(K).max(initial=0)
    )
    r, change = np.asarray(p.y - p.modelled(jnp.asarray(mean))), mean - np.asarray(p.x_b)
    cost = (r @ np.linalg.solve(R, r) if len(R) else 0.0) + change @ np.linalg.solve(B, change)
    assert float(posterior.cost()) == pytest.approx(cost, rel=1e-6, abs=1e-9)
    draws = np.asarray(posterior.sample(jax.random.key(0), 20_000))
    sigma = np.sqrt(np.diagonal(A))
    # Five Monte Carlo errors of mean and covariance.
    np.testing.assert_allclose((draws.mean(axis=0) - mean) / sigma, 0.0, atol=5 / 20_000**0.5)
    np.testing.assert_allclose((np.cov(draws.T) - A) / scale, 0.0, atol=5 * (2 / 20_000) ** 0.5)


# --- faults seen in peers ---------------------------------------------------------------------------------------------
class Swapped(AbstractCovariance):
    """The fault itself: the root is used where its transpose belongs."""

    inner: AbstractCovariance

    def mv(self, v):
        return self.inner.mv(v)

    def sqrt_mv(self, v):
        return self.inner.sqrt_mv(v)

    def sqrt_transposed_mv(self, v):
        return self.inner.sqrt_mv(v)

    def solve(self, v):
        return self.inner.solve(v)

    def logdet(self):
        return self.inner.logdet()

    def diagonal(self):
        return self.inner.diagonal()


def test_fault_covariance_root_used_as_its_transpose():
    """The battery's covariances have roots that are far from symmetric, so that this fault cannot pass it."""
    c = PROBLEMS["full 12x14"]
    assert max(disagreement(Variational().solve(c.problem), c)) <= 1e-8
    wrong = Variational().solve(dataclasses.replace(c.problem, B=Swapped(c.problem.B)))
    assert wrong.result != "successful" or max(disagreement(wrong, c)) > 1e-2


def test_fault_iteration_stopped_early_says_so():
    c = PROBLEMS["full 60x80"]
    posterior = Variational(iterations=5).solve(c.problem)
    assert disagreement(posterior, c)[0] > 1e-3
    assert posterior.result.startswith("did not converge: relative gradient norm")
    assert "after 5 iterations" in posterior.result
    assert posterior.iterations == 5 and posterior.gradient_norm > 1e-3


@pytest.mark.parametrize("solver", ["analytic, state", "variational"])
def test_fault_increment_expected_to_cost_n(solver):
    """E[(x̂ − x_b)ᵀ B⁻¹ (x̂ − x_b)] is the degrees of freedom for signal, not the number of unknowns."""
    p = case(14, 12, 500, scale=0.15).problem
    posterior = SOLVERS[solver](None).solve(p)
    truths = p.x_b[:, None] + p.B.sqrt_mv(jax.random.normal(jax.random.key(1), (14, 4000)))
    noise = p.R.sqrt_mv(jax.random.normal(jax.random.key(2), (12, 4000)))
    change = posterior.means((p.matrix @ truths + p.b[:, None] + noise).T) - p.x_b
    costs = np.sum(np.asarray(change).T * np.asarray(p.B.solve(change.T)), axis=0)
    dfs = float(jnp.sum(posterior.leverage()))
    assert abs(costs.mean() - dfs) <= 2.6 * costs.std() / 4000**0.5
    assert dfs < 7.0  # far from n: members chosen by J/n ≈ 1 would be far too far out


def test_fault_lognormal_median_reported_as_mean():
    """One unknown without information: the median is x_b, the mean x_b exp(σ²/2), and each goes by its name."""
    p = case(1, 9, 7, B=Diagonal(np.array([0.8])), scale=0.0).problem
    p = dataclasses.replace(p, x_b=jnp.asarray([3.0]))
    posterior = LogNormal().solve(p)
    assert float(posterior.median[0]) == pytest.approx(3.0, rel=1e-10)
    assert float(posterior.mean[0]) == pytest.approx(3.0 * np.exp(0.32), rel=1e-10)
    assert float(posterior.sample(jax.random.key(0), 400_000).mean()) == pytest.approx(
        float(posterior.mean[0]), rel=5e-3
    )


def test_fault_spread_averaged_over_members():
    """Chains that disagree: the covariance contains the spread between them, not only the mean spread within."""
    p = PROBLEMS["one observation"].problem
    draws = np.random.default_rng(0).normal(size=(2, 5000, 7)) + np.array([-3.0, 3.0])[:, None, None]
    posterior = TruncatedPosterior(p, jnp.asarray(draws.mean(axis=(0, 1))), "", p.x_b, jnp.asarray(draws), p.x_b, 1.0)
    np.testing.assert_allclose(posterior.diagonal(), 1.0 + 9.0, rtol=0.1)
    np.testing.assert_allclose(posterior.aggregate(jnp.ones((1, 7))).sigma ** 2, 7 + 9 * 49, rtol=0.1)

"""Ensemble solvers: convergence to the dense reference, localisation, and the faults seen elsewhere."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from inversion.covariance import Dense, Diagonal
from inversion.covariance.kernels import GaspariCohn
from inversion.distance import euclidean, great_circle
from inversion.osse import replicate
from inversion.problem import Problem
from inversion.solvers.ensemble import (
    EnsemblePosterior,
    complete_members,
    prior_members,
    taper,
)
from inversion.solvers.es_mda import EsMda
from inversion.solvers.gauss_newton import GaussNewton, NonlinearProblem
from inversion.solvers.letkf import Letkf
from tests.inversion.battery import PROBLEMS, case, chain, dense, disagreement, reference
from tests.inversion.calibration_runs import members_of
from transport.errors import TanhengError

# --- convergence ------------------------------------------------------------------------------------------------------
DOZEN = (
    "full 12x14", "windows 12x14", "rank 0 of 12x14", "rank 1 of 12x14", "rank 2 of 12x14", "rank 5 of 12x14",
    "strong data", "weak data", "units tiny", "units huge", "two blocks", "equal eigenvalues",
)  # fmt: skip
SIZES = (50, 200, 800, 3200)


def stacked(names):
    """Problems of one shape as one batch, with dense B and R, their totals, and the reference of those."""
    problems, weights, means, sigmas = [], [], [], []
    for name in names:
        p, W = PROBLEMS[name].problem, PROBLEMS[name].weights
        H, B, R = dense(p)
        problems.append(Problem(lx.MatrixLinearOperator(jnp.asarray(H)), p.x_b, Dense(B), p.y, Dense(R), p.b))
        mean, A = reference(p)
        weights.append(W)
        means.append(W @ mean)
        sigmas.append(np.sqrt(np.einsum("ki,ij,kj->k", W, A, W)))
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    return batch, jnp.asarray(np.stack(weights)), np.stack(means), np.stack(sigmas)


def totals_of(solver, names, seeds):
    """(seeds, cases, totals) means and standard deviations."""
    batch, weights, *_ = stacked(names)

    def one(key, problem, W):
        totals = members_of(solver, problem, key) @ W.T
        return jnp.mean(totals, axis=0), jnp.std(totals, axis=0, ddof=1)

    @eqx.filter_jit
    def run(keys, batch, weights):
        over_cases = jax.vmap(one, in_axes=(None, 0, 0))
        return jax.lax.map(lambda key: over_cases(key, batch, weights), keys)

    return [np.asarray(a) for a in run(jax.random.split(jax.random.key(5), seeds), batch, weights)]


@pytest.mark.parametrize("solver", [EsMda(2, groups=0), Letkf(2, groups=0)], ids=["es_mda", "letkf"])
def test_sampling_errors_fall_as_the_root_of_the_members(solver):
    """Errors of mean and σ of totals in posterior standard deviations, over a dozen problems and sixteen seeds."""
    *_, mean, sigma = stacked(DOZEN)
    errors = []
    for count in SIZES:
        found, spread = totals_of(dataclasses.replace(solver, members=count), DOZEN, 16)
        errors.append([np.sqrt(np.mean(((found - mean) / sigma) ** 2)), np.sqrt(np.mean((spread / sigma - 1) ** 2))])
    slopes = np.polyfit(np.log(SIZES), np.log(errors), 1)[0]
    print(f"\n{type(solver).__name__}: errors of mean, σ {np.round(errors, 4).tolist()}, slopes {np.round(slopes, 3)}")
    np.testing.assert_allclose(slopes, -0.5, atol=0.1)


@pytest.mark.parametrize("name", ["full 12x14", "full 14x12", "strong data", "very strong data", "one observation"])
def test_a_complete_ensemble_is_exact(name):
    """Members with the sample mean x_b and sample covariance B leave no sampling error; correlated R included."""
    c = PROBLEMS[name]
    count = 4 * c.problem.x_b.size + 9
    posterior = Letkf(count).solve(c.problem, complete_members(c.problem, jax.random.key(0), count))
    assert posterior.result == "successful"
    assert max(disagreement(posterior, c)) <= 1e-8


def test_a_complete_ensemble_keeps_a_sampling_error_in_es_mda():
    """Its perturbed observations are a sample too."""
    c = PROBLEMS["full 12x14"]
    initial = complete_members(c.problem, jax.random.key(0), 400)
    posterior = EsMda(400, centred=True).solve(c.problem, initial)
    assert posterior.result == "successful" and bool(jnp.isnan(posterior.mean_error).all())
    assert 1e-4 < disagreement(posterior, c)[1] < 0.2


def test_the_rest_of_the_interface():
    """Covariance, diagonal, draws, leverage and cost by their definitions; errors of the mean as the jackknife says."""
    c = PROBLEMS["full 14x12"]
    p, (H, B, R) = c.problem, dense(c.problem)
    posterior = EsMda(300).solve(p)
    assert isinstance(posterior, EnsemblePosterior) and posterior.members.shape == (300, 14)
    A = np.cov(np.asarray(posterior.members).T)
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(14)), A, atol=1e-12)
    np.testing.assert_allclose(posterior.diagonal(), np.diagonal(A))
    np.testing.assert_allclose(posterior.variance(jnp.asarray(c.weights)), np.diagonal(c.weights @ A @ c.weights.T))
    np.testing.assert_allclose(posterior.leverage(), np.diagonal(H @ A @ H.T @ np.linalg.inv(R)))
    r, change = np.asarray(p.y - p.modelled(posterior.mean)), np.asarray(posterior.mean - p.x_b)
    assert float(posterior.cost()) == pytest.approx(r @ np.linalg.solve(R, r) + change @ np.linalg.solve(B, change))
    draws = np.asarray(posterior.sample(jax.random.key(0), 20_000))
    scale = np.sqrt(np.outer(np.diagonal(A), np.diagonal(A)))
    np.testing.assert_allclose((np.cov(draws.T) - A) / scale, 0.0, atol=5 * (2 / 20_000) ** 0.5)
    assert 1.0 < float(posterior.effective_rank) <= 14.0
    mean, _ = reference(p)
    error = np.abs(np.asarray(posterior.mean) - mean) / np.asarray(posterior.mean_error)
    assert 0.3 < np.sqrt(np.mean(error**2)) < 2.5


def test_a_nonlinear_problem():
    """Weakly nonlinear: ES-MDA meets the mode and Laplace covariance within its sampling error, one step does not."""
    p = PROBLEMS["one unknown"].problem
    H = p.matrix

    def h(x):
        return H @ jnp.exp(0.4 * x)

    y = h(jnp.asarray([1.5])) + 0.1 * jnp.asarray(np.random.default_rng(0).normal(size=9))
    problem = NonlinearProblem(h, jnp.zeros(1), Dense(np.eye(1)), y, Diagonal(np.full(9, 0.1)))
    laplace = GaussNewton().solve(problem)
    sigma = float(jnp.sqrt(laplace.diagonal()[0]))
    several, single = (EsMda(2000, steps=k, groups=0).solve(problem) for k in (8, 1))
    errors = [abs(float((q.mean - laplace.mean)[0])) / sigma for q in (several, single)]
    print(f"\nnonlinear: error of the mean {errors[0]:.3f} σ in eight steps, {errors[1]:.3f} σ in one")
    assert several.result == "successful"
    assert errors[0] < 0.5 < errors[1]
    assert float(jnp.sqrt(several.diagonal()[0])) == pytest.approx(sigma, rel=0.3)


# --- localisation and inflation ---------------------------------------------------------------------------------------
def line(n, m, length):
    """A chain of cells, each observation a cell of it, and the taper between them with Gaspari–Cohn half-width 8."""
    cells, sites = np.arange(n, dtype=float), np.linspace(0, n - 1, m).round()
    H = (cells[None, :] == sites[:, None]).astype(float)
    problem = Problem(
        lx.MatrixLinearOperator(jnp.asarray(H)), jnp.zeros(n), chain(n, length), jnp.zeros(m),
        Diagonal(np.full(m, 0.5)), jnp.zeros(m),
    )  # fmt: skip
    places = [np.stack([1e3 * a, np.zeros_like(a)], axis=1) for a in (cells, sites)]
    return problem, taper(*places, GaspariCohn(8.0), euclidean)


@pytest.mark.parametrize("solver", [EsMda(20), Letkf(20)], ids=["es_mda", "letkf"])
def test_localisation_removes_spurious_correlation(solver):
    """Twenty members, eighty cells, forty observations: without a taper every cell learns from noise."""
    problem, rho = line(80, 40, 4.0)

    def one(key, rho):
        for_truth, for_members = jax.random.split(key)
        truth, replica = replicate(problem, for_truth)
        members = members_of(dataclasses.replace(solver, localisation=rho), replica, for_members)
        return jnp.mean(members, axis=0) - truth, jnp.std(members, axis=0, ddof=1)

    keys, found = jax.random.split(jax.random.key(2), 12), []
    for localisation in (None, rho):
        error, sigma = eqx.filter_jit(jax.vmap(one, in_axes=(0, None)))(keys, localisation)
        found.append((float(jnp.sqrt(jnp.mean(error**2))), float(jnp.mean((error / sigma) ** 2))))
    print(f"\n{type(solver).__name__}: rmse, mean z² without localisation {found[0]}, with {found[1]}")
    assert found[1][0] < 0.8 * found[0][0]
    assert found[1][1] < 0.5 * found[0][1]
    assert abs(found[1][1] - 1.0) < 0.6


def test_a_taper_of_ones_is_no_localisation_and_of_zeros_no_update():
    problem, rho = line(20, 10, 4.0)
    problem = dataclasses.replace(problem, y=jnp.arange(10.0))
    for solver in (EsMda(40, groups=0), Letkf(40, groups=0)):
        free = solver.solve(problem)
        ones = dataclasses.replace(solver, localisation=jnp.ones_like(rho)).solve(problem)
        np.testing.assert_allclose(ones.members, free.members, atol=1e-10)
        half = dataclasses.replace(solver, localisation=jnp.ones_like(rho).at[3].set(0.0)).solve(problem)
        key = jax.random.split(jax.random.key(0))[0] if isinstance(solver, EsMda) else jax.random.key(0)
        prior = prior_members(problem, key, 40)
        np.testing.assert_allclose(jnp.var(half.members[:, 3]), jnp.var(prior[:, 3]), rtol=1e-10)


def test_taper_by_distance():
    """Elements and observations without a place see everything; the rest by Gaspari–Cohn of the great circle."""
    control = np.array([[0.0, 0.0], [np.nan, np.nan], [3.0, 0.0]])
    observations = np.array([[0.0, 0.0], [1.0, 0.0], [np.nan, 0.0]])
    found = np.asarray(taper(control, observations, GaspariCohn(150.0)))
    np.testing.assert_array_equal(found[1], 1.0)
    np.testing.assert_array_equal(found[:, 2], 1.0)
    d = great_circle(control[[0]], observations[:2])
    np.testing.assert_allclose(found[0, :2], GaspariCohn(150.0)(d)[0], rtol=1e-12)
    assert found[2, 0] == 0.0


def test_inflation_and_relaxation_raise_the_spread_as_stated():
    c = PROBLEMS["full 14x12"]
    p = c.problem
    for solver in (EsMda(100, groups=0), Letkf(100, groups=0)):
        plain, raised = solver.solve(p), dataclasses.replace(solver, inflation=1.3).solve(p)
        np.testing.assert_allclose(jnp.sqrt(raised.diagonal() / plain.diagonal()), 1.3, rtol=1e-10)
        np.testing.assert_allclose(raised.mean, plain.mean, rtol=1e-8, atol=1e-10)
    before = jnp.std(prior_members(p, jax.random.key(0), 100), axis=0, ddof=1)
    after, relaxed = (Letkf(100, groups=0, relaxation=a).solve(p) for a in (0.0, 0.4))
    expected = 0.6 * jnp.sqrt(after.diagonal()) + 0.4 * before
    np.testing.assert_allclose(jnp.sqrt(relaxed.diagonal()), expected, rtol=1e-10)
    np.testing.assert_allclose(relaxed.mean, after.mean, rtol=1e-10)


# --- how far a finite ensemble is off ---------------------------------------------------------------------------------
def test_the_missing_variance_is_as_stated():
    """E[Â] = A − (L B M B Lᵀ + DFS L B Lᵀ)/(N − 1) to first order in 1/N (docstring of `ensemble`)."""
    p, count = case(14, 12, 500, scale=0.15).problem, 100
    B = dense(p)[1]
    _, A = reference(p)
    L = A @ np.linalg.inv(B)
    M = np.linalg.inv(B) @ (B - A) @ np.linalg.inv(B)  # Hᵀ S⁻¹ H
    missing = np.diagonal(L @ B @ M @ B @ L.T + np.trace(M @ B) * L @ B @ L.T) / (count - 1)
    keys = jax.random.split(jax.random.key(0), 2000)
    members = eqx.filter_jit(jax.vmap(lambda key: members_of(Letkf(count), p, key)))(keys)
    found = np.diagonal(A) - np.asarray(jnp.mean(jnp.var(members, axis=1, ddof=1), axis=0))
    print(f"\nmissing variance, {count} members: found/stated {found.sum() / missing.sum():.3f}, "
          f"{missing.sum() / np.trace(A):.3f} of the whole")  # fmt: skip
    assert found.sum() == pytest.approx(missing.sum(), rel=0.15)


# --- faults seen in peers ---------------------------------------------------------------------------------------------
def test_fault_members_chosen_by_cost():
    """E[J_A] of the solution is the DFS, not n: a spread of the prior chosen so that J_A/n ≈ 1 is overconfident."""
    p = case(14, 12, 500, scale=0.15).problem
    B, W = dense(p)[1], jnp.ones(14)
    scales = jnp.geomspace(0.02, 1.0, 18)

    def one(key):
        for_truth, for_members = jax.random.split(key)
        truth, replica = replicate(p, for_truth)

        def of_scale(s):
            scaled = eqx.tree_at(lambda q: q.B, replica, Dense(s**2 * jnp.asarray(B)))
            members = members_of(Letkf(400), scaled, for_members)
            mean = jnp.mean(members, axis=0)
            change = mean - p.x_b
            cost = change @ scaled.B.solve(change)
            return cost, (W @ (mean - truth)) / jnp.std(members @ W, ddof=1)

        return jax.vmap(of_scale)(scales)

    cost, z = eqx.filter_jit(lambda k: jax.lax.map(one, k, batch_size=10))(jax.random.split(jax.random.key(4), 300))
    cost, z = np.asarray(cost), np.asarray(z)
    dfs = float(Letkf(400, groups=0).solve(p).dfs)
    chosen = np.abs(cost / 14 - 1.0).argmin(axis=1)
    wrong = np.mean(z[np.arange(300), chosen] ** 2)
    print(f"\nE[J_A] {cost[:, -1].mean():.2f}, DFS {dfs:.2f}, n 14; mean z² {np.mean(z[:, -1] ** 2):.2f}, "
          f"chosen by J_A/n {wrong:.2f}")  # fmt: skip
    assert abs(cost[:, -1].mean() - dfs) <= 2.6 * cost[:, -1].std() / 300**0.5 + 0.02 * dfs
    assert dfs < 7.0
    assert abs(np.mean(z[:, -1] ** 2) - 1.0) <= 2.576 * (2 / 300) ** 0.5
    assert wrong > 1.5


def test_fault_spread_between_members():
    """Two clusters of members: the covariance holds the distance between them, and so do totals."""
    p = PROBLEMS["one observation"].problem
    draws = np.random.default_rng(0).normal(size=(2, 5000, 7)) + np.array([-3.0, 3.0])[:, None, None]
    members = jnp.asarray(draws.reshape(-1, 7))
    posterior = EnsemblePosterior(p, jnp.mean(members, axis=0), "", members, p.x_b, jnp.zeros(()))
    np.testing.assert_allclose(posterior.diagonal(), 1.0 + 9.0, rtol=0.1)
    np.testing.assert_allclose(posterior.aggregate(jnp.ones((1, 7))).sigma ** 2, 7 + 9 * 49, rtol=0.1)


# --- failures and refusals --------------------------------------------------------------------------------------------
def test_failures_are_results():
    p = PROBLEMS["full 14x12"].problem
    broken = dataclasses.replace(p, y=p.y.at[0].set(jnp.nan))
    same = jnp.broadcast_to(p.x_b, (50, 14))
    for solver in (EsMda(50, groups=0), Letkf(50, groups=0)):
        assert solver.solve(p).result == "successful"
        assert solver.solve(broken).result.startswith("not finite")
        assert solver.solve(p, same).result.startswith("spread collapsed: 14 unknowns")
        few = dataclasses.replace(solver, members=8).solve(p)
        assert few.result.startswith("too few members: the data determine")
        assert float(few.saturation) > 0.5


def test_no_observation_leaves_the_prior():
    p = PROBLEMS["no observation 6"].problem
    for solver in (EsMda(10), Letkf(10)):
        np.testing.assert_array_equal(solver.solve(p).mean, p.x_b)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: EsMda(1), "an ensemble needs members"),
        (lambda: Letkf(1), "an ensemble needs members"),
        (lambda: EsMda(10, steps=0), "needs a step"),
        (lambda: EsMda(10, steps=2, alphas=(2.0, 3.0)), "used once in all"),
        (lambda: EsMda(10, steps=3, alphas=(2.0, 2.0)), "used once in all"),
        (lambda: EsMda(10, steps=2, alphas=(0.5, -1.0)), "used once in all"),
        (lambda: EsMda(10, inflation=0.0), "inflation"),
        (lambda: Letkf(10, inflation=float("nan")), "inflation"),
        (lambda: Letkf(10, relaxation=1.5), "relaxation"),
    ],
)
def test_refused_options(build, message):
    with pytest.raises(TanhengError, match=message):
        build()


def test_refused_problems():
    p = PROBLEMS["full 14x12"].problem
    with pytest.raises(TanhengError, match="weakens each observation alone"):
        Letkf(10, localisation=jnp.ones((14, 12))).solve(p)
    for solver in (EsMda(10), Letkf(10)):
        for wrong in (jnp.ones((12, 14)), jnp.full((14, 12), 1.5), jnp.full((14, 12), jnp.nan)):
            with pytest.raises(TanhengError, match="localisation does not fit"):
                dataclasses.replace(solver, localisation=wrong).solve(p)
        with pytest.raises(TanhengError, match="initial members"):
            solver.solve(p, jnp.ones((9, 14)))
    with pytest.raises(TanhengError, match="complete ensemble"):
        complete_members(p, jax.random.key(0), 14)
    assert EsMda(10, steps=2, alphas=(4.0, 4.0 / 3.0)).weakening == (4.0, 4.0 / 3.0)


@pytest.mark.parametrize("solver", [EsMda, Letkf])
def test_the_stated_monte_carlo_error_is_true(solver):
    """The jackknife against the spread of the mean over 12 seeds: about 14 % and 7 % are their own errors."""
    p = PROBLEMS["full 14x12"].problem
    found = [solver(300, seed=seed).solve(p) for seed in range(12)]
    actual = np.std([f.mean for f in found], axis=0, ddof=1)
    stated = np.sqrt(np.mean([np.asarray(f.mean_error) ** 2 for f in found], axis=0))
    ratio = np.sqrt(np.mean((stated / actual) ** 2))
    print(f"\n{solver.__name__}: stated over actual Monte Carlo error {ratio:.2f}")
    assert 0.7 < ratio < 1.4

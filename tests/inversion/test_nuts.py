"""NUTS against the dense reference, quadrature and simulation; chains that have not converged say so."""

import blackjax.diagnostics
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jaxtyping import Array

from inversion.covariance import Dense, Diagonal, Scaled, exponential
from inversion.posterior import Totals
from inversion.problem import Problem
from inversion.solvers import chains
from inversion.solvers.analytic import Analytic
from inversion.solvers.chains import Limits
from inversion.solvers.hierarchical import Hierarchical
from inversion.solvers.lognormal import LogNormal
from inversion.solvers.sampling import Sampling
from tests.inversion.battery import PROBLEMS, Case, dense, reference
from transport.errors import TanhengError

SMALL, LARGE = 14, 80


def padded(problem: Problem) -> Problem:
    """The same problem among unknowns that are not seen and data that see nothing: few shapes, few compilations."""
    H, B, R = dense(problem)
    size = SMALL if max(H.shape) <= SMALL else LARGE

    def pad(a, fill=0.0):
        out = fill * np.eye(size) if a.ndim == 2 and fill else np.full((size,) * a.ndim, fill)
        out[tuple(slice(0, k) for k in a.shape)] = a
        return jnp.asarray(out)

    x_b = pad(np.asarray(problem.x_b), 1.0)
    B, R = Dense(pad(0.5 * (B + B.T), 1.0)), Dense(pad(0.5 * (R + R.T), 1.0))
    return Problem(lx.MatrixLinearOperator(pad(H)), x_b, B, pad(np.asarray(problem.y)), R, pad(np.asarray(problem.b)))


def widened(weights):
    weights = np.asarray(weights)
    out = np.zeros((len(weights), SMALL if weights.shape[1] <= SMALL else LARGE))
    out[:, : weights.shape[1]] = weights
    return jnp.asarray(out)


def scores(c: Case, seed: int):
    """z of the totals' means and standard deviations in Monte Carlo errors, and the posterior."""
    mean, A = reference(c.problem)
    weights = widened(c.weights)
    posterior = Sampling(seed=seed).solve(padded(c.problem))
    totals, (in_mean, in_sigma) = posterior.aggregate(weights), posterior.total_errors(weights)
    sigma = np.sqrt(np.einsum("ki,ij,kj->k", c.weights, A, c.weights))
    return (totals.mean - c.weights @ mean) / in_mean, (totals.sigma - sigma) / in_sigma, posterior


# --- agreement with the dense reference -------------------------------------------------------------------------------
def test_agrees_with_the_dense_reference_within_monte_carlo_error():
    require_agreement({name: c for name, c in PROBLEMS.items() if max(c.problem.matrix.shape) <= SMALL})


@pytest.mark.nightly
def test_agrees_with_the_dense_reference_at_all_sizes():
    require_agreement(PROBLEMS)


def require_agreement(cases):
    """Each problem with its own seed: one total of each jointly χ², and none of all beyond four errors."""
    found = {name: scores(c, seed) for seed, (name, c) in enumerate(cases.items())}
    assert {name: f[2].result for name, f in found.items()} == dict.fromkeys(cases, "successful")
    for which, what in enumerate(("mean", "sigma")):
        z = np.stack([np.asarray(f[which]) for f in found.values()])
        p = scipy.stats.chi2.sf((z[:, 0] ** 2).sum(), len(z))
        beyond = (np.abs(z) > 3).sum()
        print(
            f"\n{what}: {len(z)} problems, χ² p = {p:.3f}, largest |z| {np.abs(z).max():.2f}, {beyond} beyond 3", end=""
        )
        assert 0.005 < p < 0.9999
        assert np.abs(z).max() < 4.0
    assert len(found) >= 30


def test_the_rest_of_the_interface():
    c = PROBLEMS["full 12x14"]
    p = padded(c.problem)
    posterior, exact = Sampling(seed=3).solve(p), Analytic().solve(p)
    scale = np.sqrt(np.outer(exact.diagonal(), exact.diagonal()))
    size = posterior.convergence.effective_samples
    noise = 5 / size**0.5
    np.testing.assert_allclose((posterior.covariance_mv(jnp.eye(SMALL)) - exact.covariance_mv(jnp.eye(SMALL))) / scale,
                               0.0, atol=1.5 * noise)  # fmt: skip
    np.testing.assert_allclose(posterior.diagonal(), exact.diagonal(), rtol=1.5 * noise)
    np.testing.assert_allclose(posterior.leverage(), exact.leverage(), atol=1.5 * noise)
    assert float(posterior.cost()) == pytest.approx(float(exact.cost()), abs=5 * SMALL / size)
    np.testing.assert_allclose(posterior.mode, exact.mean, rtol=1e-8)
    np.testing.assert_allclose(posterior.median, exact.mean, atol=float(2 * noise * scale.max() ** 0.5))
    W = jnp.asarray(np.random.default_rng(0).normal(size=(2, SMALL)))
    totals = posterior.aggregate(W)
    np.testing.assert_allclose(posterior.variance(W), totals.sigma**2, rtol=1e-8)
    assert type(totals) is Totals  # symmetric: neither median nor quantiles beside the mean
    assert posterior.sample(jax.random.key(0), 7).shape == (7, SMALL)
    np.testing.assert_allclose(posterior.mean_error, np.sqrt(np.diagonal(scale) / size), rtol=0.7)
    assert posterior.convergence.ess_per_second > 0.0 and posterior.convergence.seconds < 60.0


# --- log-normal unknowns ----------------------------------------------------------------------------------------------
def two_positive(noise: float) -> Problem:
    """Two positive unknowns, seen twice."""
    H = jnp.asarray([[1.0, 0.6], [0.3, 1.0]])
    B = Dense(np.array([[0.8, 0.3], [0.3, 0.6]]))
    y = H @ jnp.asarray([2.2, 0.8]) + 0.1
    R = Diagonal(np.full(2, noise))
    return Problem(lx.MatrixLinearOperator(H), jnp.asarray([1.0, 1.5]), B, y, R, jnp.full(2, 0.1))


def quadrature(p: Problem, weights: np.ndarray):
    """Mean, standard deviation and distribution function of a total by the trapezium rule over z."""
    H, B, R = dense(p)
    z = np.linspace(-6.0, 6.0, 1201) * np.sqrt(np.diagonal(B).max())
    z = np.stack(np.meshgrid(z, z, indexing="ij"), axis=-1).reshape(-1, 2)
    x = np.asarray(p.x_b) * np.exp(z)
    r = np.asarray(p.y - p.b) - x @ H.T
    log = -0.5 * np.sum(z @ np.linalg.inv(B) * z, axis=1) - 0.5 * np.sum(r @ np.linalg.inv(R) * r, axis=1)
    probability = np.exp(log - log.max())
    probability /= probability.sum()
    total = x @ weights
    mean = probability @ total
    order = np.argsort(total)
    return mean, np.sqrt(probability @ (total - mean) ** 2), total[order], np.cumsum(probability[order])


@pytest.mark.parametrize("noise", [0.02, 1.0])
def test_lognormal_against_quadrature_and_laplace(noise):
    """Strong data: Laplace agrees; weak: it does not, and the draws are right."""
    p, w = two_positive(noise), np.array([1.0, 1.0])
    mean, sigma, points, probability = quadrature(p, w)
    posterior = Sampling(positive=np.arange(SMALL) < 2, seed=1, target_acceptance=0.95).solve(padded(p))
    assert posterior.result == "successful"
    W = jnp.asarray(np.pad(w, (0, SMALL - 2))[None])
    totals, (in_mean, in_sigma) = posterior.aggregate(W), posterior.total_errors(W)
    assert abs(float(totals.mean[0]) - mean) < 3 * float(in_mean[0])
    assert abs(float(totals.sigma[0]) - sigma) < 3 * float(in_sigma[0])
    for value, nominal in ((totals.lower, 0.025), (totals.median, 0.5), (totals.upper, 0.975)):
        error = (nominal * (1 - nominal) / posterior.convergence.tail_samples) ** 0.5
        assert abs(np.interp(float(value[0]), points, probability) - nominal) < 4 * error
    laplace = LogNormal().solve(p)
    approximate = laplace.aggregate(jnp.asarray(w[None]))
    off = abs(float(approximate.sigma[0]) / sigma - 1), abs(float(approximate.mean[0]) / mean - 1)
    print(f"\nnoise {noise}: Laplace off by {off[1]:.1%} in the mean, {off[0]:.1%} in the standard deviation", end="")
    assert max(off) < 0.02 if noise < 0.1 else max(off) > 0.1
    np.testing.assert_allclose(posterior.mode[:2], laplace.median, rtol=1e-6)


def test_lognormal_leverage_is_a_derivative():
    """∂E[H x]/∂y by quadrature with other data."""
    p = two_positive(1.0)
    posterior = Sampling(positive=np.arange(SMALL) < 2, seed=2, target_acceptance=0.95).solve(padded(p))
    H, step = np.asarray(p.matrix), 1e-3
    for i in range(2):
        moved = [eqx.tree_at(lambda q: q.y, p, p.y.at[i].add(s * step)) for s in (1, -1)]
        slope = (quadrature(moved[0], H[i])[0] - quadrature(moved[1], H[i])[0]) / (2 * step)
        assert float(posterior.leverage()[i]) == pytest.approx(slope, rel=5 * (3 / 1000) ** 0.5)


# --- hyper-parameters -------------------------------------------------------------------------------------------------
class Pair(eqx.Module):
    """Six cells in a line, spread θ₀, seen with mismatch θ₁."""

    H: Array
    y: Array

    def __call__(self, theta):
        at = jnp.arange(6.0)
        B = Scaled(theta[0] * jnp.ones(6), exponential(jnp.abs(at[:, None] - at), 2.0))
        m = self.y.size
        return Problem(
            lx.MatrixLinearOperator(self.H), jnp.ones(6), B, self.y, Diagonal(theta[1] * jnp.ones(m)), jnp.zeros(m)
        )


MEDIAN, LOG_SIGMA = np.array([1.0, 0.8]), np.array([0.5, 0.3])


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(4)
    H = rng.uniform(size=(8, 6))
    y = H @ (1.0 + 1.6 * rng.normal(size=6)) + rng.normal(size=8)
    return Pair(jnp.asarray(H), jnp.asarray(y))


def over_theta(pair, weights, y=None):
    """Moments of totals and of log θ by the trapezium rule over λ, with dense matrices; E[H x]."""
    grid = [np.log(m) + s * np.linspace(-5, 5, 61) for m, s in zip(MEDIAN, LOG_SIGMA, strict=True)]
    lam = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
    H, d = np.asarray(pair.H), np.asarray(pair.y if y is None else y) - np.asarray(pair.H).sum(axis=1)
    corr = np.exp(-np.abs(np.subtract.outer(np.arange(6), np.arange(6))) / 2.0)
    B = np.exp(2 * lam[:, 0])[:, None, None] * corr
    S = H @ B @ H.T + np.exp(2 * lam[:, 1])[:, None, None] * np.eye(len(d))
    K = B @ H.T @ np.linalg.inv(S)
    log = -0.5 * np.einsum("i,sij,j->s", d, np.linalg.inv(S), d) - 0.5 * np.linalg.slogdet(S)[1]
    log -= 0.5 * (((lam - np.log(MEDIAN)) / LOG_SIGMA) ** 2).sum(axis=1)
    p = np.exp(log - log.max())
    p /= p.sum()
    mean = (1.0 + K @ d) @ weights.T
    within = np.einsum("ki,sij,kj->sk", weights, B - K @ H @ B, weights)
    expected = p @ mean
    sigma = np.sqrt(p @ within + p @ (mean - expected) ** 2)
    return expected, sigma, p @ lam, p @ ((1.0 + K @ d) @ H.T), np.sqrt(p @ within)


def test_hierarchical_collapsed_and_joint_against_quadrature(pair):
    W = np.stack([np.ones(6), np.arange(6) < 2]).astype(float)
    mean, sigma, lam, _, within = over_theta(pair, W)
    by = {}
    for method, acceptance in (("collapsed", 0.9), ("joint", 0.98)):
        solver = Hierarchical(("spread", "mismatch"), MEDIAN, LOG_SIGMA, method=method, seed=5,
                              target_acceptance=acceptance)  # fmt: skip
        by[method] = posterior = solver.solve(pair)
        assert posterior.result == "successful"
        totals, errors = posterior.aggregate(jnp.asarray(W)), posterior.total_errors(jnp.asarray(W))
        z = np.stack([(totals.mean - mean) / errors[0], (totals.sigma - sigma) / errors[1]])
        log_theta = np.log(posterior.theta)
        z_theta = (log_theta.mean(axis=(0, 1)) - lam) / chains.mean_error(log_theta)
        print(f"\n{method}: z {z.ravel().round(2)}, log θ {z_theta.round(2)}", end="")
        assert np.abs(z).max() < 3 and np.abs(z_theta).max() < 3
        np.testing.assert_allclose(posterior.variance(jnp.asarray(W)), totals.sigma**2, rtol=1e-8)
        np.testing.assert_allclose(posterior.diagonal(), jnp.diagonal(posterior.covariance_mv(jnp.eye(6))), rtol=1e-8)
        assert abs(float(posterior.flat.sum(axis=1).std()) - sigma[0]) < 4 * float(errors[1][0])
        # Leverage with θ free is the derivative of E[H x], θ following the data.
        step, slopes = 1e-4, []
        for e in np.eye(8):
            slopes.append((over_theta(pair, W, pair.y + step * e)[3] - over_theta(pair, W, pair.y - step * e)[3]) @ e)
        np.testing.assert_allclose(posterior.leverage(), np.array(slopes) / (2 * step), atol=0.12)
    # What θ adds is seen, and the exact draws given θ leave far less noise than sampling all.
    collapsed = by["collapsed"]
    between = np.sqrt(np.diagonal(collapsed.between(jnp.asarray(W))))
    np.testing.assert_allclose(between, np.sqrt(sigma**2 - within**2), rtol=0.15)
    with pytest.raises(TanhengError, match="does not separate"):
        by["joint"].between(jnp.asarray(W))


@pytest.mark.nightly
def test_unpreconditioned_agrees_too():
    c = PROBLEMS["full 12x14"]
    exact = Analytic().solve(padded(c.problem)).aggregate(widened(c.weights))
    posterior = Sampling(precondition=False, seed=1).solve(padded(c.problem))
    assert posterior.result == "successful" and posterior.mode is None
    totals, errors = posterior.aggregate(widened(c.weights)), posterior.total_errors(widened(c.weights))
    assert np.abs((totals.mean - exact.mean) / errors[0]).max() < 3
    assert np.abs((totals.sigma - exact.sigma) / errors[1]).max() < 3


@pytest.mark.nightly
def test_hierarchical_lognormal_against_quadrature():
    """One positive unknown with an uncertain spread: a plane to integrate over."""

    class One(eqx.Module):
        y: Array

        def __call__(self, theta):
            return Problem(lx.MatrixLinearOperator(jnp.ones((2, 1))), jnp.ones(1), Diagonal(theta), self.y,
                           Diagonal(np.full(2, 1.0)), jnp.zeros(2))  # fmt: skip

    y = np.array([2.5, 3.5])
    solver = Hierarchical(("spread",), [0.6], [0.5], positive=True, seed=1, count=4000, target_acceptance=0.98)
    posterior = solver.solve(One(jnp.asarray(y)))
    assert posterior.result == "successful"
    chi, v = np.meshgrid(np.linspace(-7, 7, 1401), np.linspace(-6, 6, 601), indexing="ij")
    x = np.exp(0.6 * np.exp(0.5 * v) * chi)
    log = -0.5 * chi**2 - 0.5 * v**2 - 0.5 * ((y[:, None, None] - x) ** 2).sum(axis=0)
    p = np.exp(log - log.max())
    p /= p.sum()
    mean = (p * x).sum()
    sigma = np.sqrt((p * (x - mean) ** 2).sum())
    totals, errors = posterior.aggregate(jnp.ones((1, 1))), posterior.total_errors(jnp.ones((1, 1)))
    assert abs(float(totals.mean[0]) - mean) < 3 * float(errors[0][0])
    assert abs(float(totals.sigma[0]) - sigma) < 3 * float(errors[1][0])
    log_theta = np.log(posterior.theta)
    expected = (p * (np.log(0.6) + 0.5 * v)).sum()
    assert abs(log_theta.mean() - expected) < 3 * chains.mean_error(log_theta)[0]


# --- diagnostics ------------------------------------------------------------------------------------------------------
def autoregressive(phi, shape, seed=0):
    rng = np.random.default_rng(seed)
    x = np.empty(shape)
    x[:, 0] = rng.normal(size=(shape[0], shape[2]))
    for i in range(1, shape[1]):
        x[:, i] = phi * x[:, i - 1] + np.sqrt(1 - phi**2) * rng.normal(size=(shape[0], shape[2]))
    return x


@pytest.mark.parametrize("phi", [0.8, pytest.param(-0.4, marks=pytest.mark.nightly)])
def test_diagnostics_by_another_implementation_and_by_theory(phi):
    x = autoregressive(phi, (4, 1000, 70))
    theirs = blackjax.diagnostics
    np.testing.assert_allclose(chains.r_hat(x), theirs.rhat(x), rtol=1e-9)
    # Theirs clips the last term where it exceeds the pair before: more effective draws than by Stan's sum.
    bulk, other = chains.bulk_size(x), np.asarray(theirs.ess_bulk(x))
    assert np.isclose(bulk, other, rtol=1e-6).mean() > 0.7
    np.testing.assert_allclose(bulk, other, rtol=0.1)
    # Theirs counts x ≥ q instead of x ≤ q: the same but for the draw at q itself.
    np.testing.assert_allclose(chains.tail_size(x), theirs.ess_tail(x), rtol=0.1)
    assert chains.bulk_size(x).mean() == pytest.approx(4000 * (1 - phi) / (1 + phi), rel=0.12)
    z = x.mean(axis=(0, 1)) / chains.mean_error(x)
    assert 0.5 < (z**2).mean() < 1.6
    z = (x.std(axis=(0, 1)) - 1.0) / chains.sigma_error(x)
    assert 0.5 < (z**2).mean() < 1.6
    assert chains.r_hat(x).max() < 1.03


def _verdict(x, divergent=0, limits=None):
    x = np.asarray(x)
    flags = np.zeros(x.shape[:2], bool)
    flags[0, :divergent] = True
    return chains.assess(x, x[..., 0], flags, flags, 1.0).verdict(limits or Limits())


def test_chains_that_disagree_say_so():
    x = autoregressive(0.0, (4, 1000, 3))
    assert _verdict(x) == "successful"
    shifted, wider, drifting, stuck = x.copy(), x.copy(), x.copy(), x.copy()
    shifted[0, :, 1] += 0.5
    wider[0, :, 1] *= 2.0  # same mean: only the folded R̂ sees it
    drifting[:, :, 1] += np.linspace(-0.5, 0.5, 1000)  # all alike: only the split sees it
    stuck[1] = 0.1
    for bad in (shifted, wider, drifting, stuck):
        assert _verdict(bad).startswith("did not converge: R̂"), _verdict(bad)
        assert "raise solver.warmup" in _verdict(bad)
    assert _verdict(np.full((4, 100, 1), 2.0)).startswith("did not converge: draws are not finite or do not move")
    x[0, 0, 0] = np.nan
    assert _verdict(x).startswith("did not converge: draws are not finite")


def test_slow_or_divergent_chains_say_so():
    slow = autoregressive(0.95, (4, 2000, 1))
    assert "effective draws, expected 400: raise solver.count" in _verdict(slow)
    x = autoregressive(0.0, (4, 1000, 1))
    assert _verdict(x, divergent=1).startswith("did not converge: 1 of 4000 transitions diverged")
    assert _verdict(x, divergent=1, limits=Limits(divergent=0.01)) == "successful"


def test_a_run_that_is_too_short_says_so():
    p = padded(PROBLEMS["full 12x14"].problem)
    posterior = Sampling(warmup=20, count=30, precondition=False).solve(p)
    assert posterior.result.startswith("did not converge") and "raise solver.count" in posterior.result
    with pytest.raises(TanhengError, match="too small to be judged"):
        Sampling(count=5)


def test_divergent_transitions_are_reported():
    """Two wide log-normals of which only the sum is seen, sharply: a bent ridge that long steps fall off."""
    H = jnp.asarray([[1.0, 1.0]])
    p = Problem(lx.MatrixLinearOperator(H), jnp.ones(2), Diagonal(np.full(2, 3.0)), jnp.asarray([2.0]),
                Diagonal(np.full(1, 1e-3)), jnp.zeros(1))  # fmt: skip
    posterior = Sampling(positive=np.arange(SMALL) < 2, target_acceptance=0.5).solve(padded(p))
    assert posterior.convergence.divergences > 0
    assert "transitions diverged: raise solver.target_acceptance" in posterior.result


def test_data_that_are_not_finite_say_so():
    p = padded(PROBLEMS["full 12x14"].problem)
    posterior = Sampling().solve(eqx.tree_at(lambda q: q.y, p, p.y.at[0].set(jnp.nan)))
    assert posterior.result.startswith("did not converge: draws are not finite")


def test_a_median_that_is_not_positive_is_refused():
    with pytest.raises(TanhengError, match="positive prior median"):
        Sampling(positive=True).solve(PROBLEMS["full 12x14"].problem)

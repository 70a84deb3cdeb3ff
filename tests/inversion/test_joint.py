"""Joint estimation on a toy of the real thing's shape: air advected by the wind and mixed to a height.

Mole fractions near the ground alone cannot tell a deeper mixed layer from a smaller flux (everything scales with 1/h),
so a column, which no mixing height dilutes, is observed at the last site.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.stats
from jaxtyping import Array

from inversion.covariance import Diagonal, Scaled, exponential
from inversion.joint import joint_solve
from inversion.marginal import marginal_solve
from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers.analytic import Analytic
from inversion.solvers.lognormal import LogNormal
from inversion.solvers.variational import Variational
from transport.errors import TanhengError

CELLS, WINDS = 12, np.linspace(3.0, 8.0, 14)  # m s-1, one steady case each
SITES = np.array([3, 7, 11])
SIGMA = np.array([0.05, 0.05, 0.05, 0.1])
P_COV = np.diag([0.1**2, 0.25**2, 2.0**2])  # wind scale, mixing-height scale, background


class Toy(eqx.Module):
    """Steady advection–diffusion over 12 cells, a wind and a mixing height per case; y at three sites and a column."""

    y: Array
    heights: Array

    def fields(self, wind, height):
        """Rows of A⁻¹ / h at the sites, of A⁻¹ for the column: u ∂c/∂x − κ ∂²c/∂x² = F/h, clean air from the west."""
        eye = jnp.eye(CELLS)
        west = jnp.eye(CELLS, k=-1)
        diffusion = 2.0 * eye - west - west.T
        inverse = jnp.linalg.inv(wind * (eye - west) + 0.5 * diffusion)
        return jnp.concatenate([inverse[SITES] / height, inverse[-1:]])

    def __call__(self, p):
        H = jnp.concatenate([self.fields(p[0] * u, p[1] * h) for u, h in zip(WINDS, self.heights, strict=True)])
        at = jnp.arange(CELLS, dtype=float)
        B = Scaled(0.5 * jnp.ones(CELLS), exponential(jnp.abs(at[:, None] - at), 3.0))
        background = jnp.tile(jnp.array([1.0, 1.0, 1.0, 0.0]), len(WINDS))  # taken off the column
        sigma = jnp.tile(jnp.asarray(SIGMA), len(WINDS))
        return Problem(lx.MatrixLinearOperator(H), jnp.ones(CELLS), B, self.y, Diagonal(sigma), p[2] * background)


HEIGHTS = jnp.asarray(np.random.default_rng(0).uniform(0.3, 1.5, WINDS.size))
P_B = jnp.array([1.0, 1.0, 0.0])
W = jnp.ones((1, CELLS))


def made(p, key=0):
    """A truth, and the data it makes with transport parameters p."""
    toy = Toy(jnp.zeros(WINDS.size * SIGMA.size), HEIGHTS)
    problem, keys = toy(jnp.asarray(p)), jax.random.split(jax.random.key(key))
    truth = problem.x_b + problem.B.sqrt_mv(normal(keys[0], CELLS))
    return truth, Toy(problem.modelled(truth) + problem.R.sqrt_mv(normal(keys[1], problem.y.size)), HEIGHTS)


@pytest.fixture(scope="module")
def solved():
    truth, toy = made([1.0, 1.2, 0.5])
    return truth, toy, joint_solve(toy, P_B, P_COV)


def dense_at(toy, posterior):
    """Mean and covariance of (x, p) by one Gauss–Newton step of the augmented problem, in NumPy."""
    problem = posterior.problem
    J = np.asarray(jax.jacfwd(lambda p: toy(p).modelled(posterior.mean))(posterior.p))
    full = np.hstack([np.asarray(problem.matrix), J])
    inverse = np.zeros((CELLS + 3,) * 2)
    inverse[:CELLS, :CELLS] = np.linalg.inv(problem.B.mv(jnp.eye(CELLS)))
    inverse[CELLS:, CELLS:] = np.linalg.inv(P_COV)
    weight = 1 / np.tile(SIGMA, len(WINDS))[:, None] ** 2
    covariance = np.linalg.inv(inverse + full.T @ (weight * full))
    state, prior = np.r_[posterior.mean, posterior.p], np.r_[problem.x_b, P_B]
    residual = np.asarray(toy.y - problem.modelled(posterior.mean))
    gradient = (weight * full).T @ residual - inverse @ (state - prior)
    return covariance, covariance @ gradient, full


def test_it_is_the_mode_and_the_gauss_newton_covariance(solved):
    _, toy, posterior = solved
    assert posterior.result == "successful" and posterior.step <= 1e-6
    covariance, step, full = dense_at(toy, posterior)
    assert np.abs(step / np.sqrt(np.diagonal(covariance))).max() < 1e-5  # no further step
    np.testing.assert_allclose(
        posterior.covariance_mv(jnp.eye(CELLS)), covariance[:CELLS, :CELLS], rtol=1e-7, atol=1e-10
    )
    np.testing.assert_allclose(posterior.diagonal(), np.diagonal(covariance)[:CELLS], rtol=1e-8)
    np.testing.assert_allclose(posterior.p_covariance, covariance[CELLS:, CELLS:], rtol=1e-7, atol=1e-12)
    both = posterior.with_parameters(W)
    M = np.zeros((4, CELLS + 3))
    M[0, :CELLS], M[1:, CELLS:] = 1.0, np.eye(3)
    np.testing.assert_allclose(both.covariance, M @ covariance @ M.T, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(both.mean[1:], posterior.p)
    gain = covariance @ full.T / np.tile(SIGMA, len(WINDS)) ** 2
    np.testing.assert_allclose(posterior.gain_mv(jnp.eye(toy.y.size)), gain[:CELLS], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(posterior.leverage(), np.diagonal(full @ gain), rtol=1e-7)
    draws = posterior.sample(jax.random.key(0), 40_000)
    np.testing.assert_allclose(np.cov(draws.T), covariance[:CELLS, :CELLS], atol=0.04 * covariance.max())


def test_another_solver_gives_the_same(solved):
    _, toy, posterior = solved
    other = joint_solve(toy, P_B, P_COV, Variational())
    assert other.result == "successful"
    np.testing.assert_allclose(other.p, posterior.p, rtol=1e-6)
    np.testing.assert_allclose(other.mean, posterior.mean, rtol=1e-5)


@pytest.mark.parametrize("count", [16, pytest.param(40, marks=pytest.mark.nightly)])
def test_it_removes_the_bias_of_a_mixing_height_error(count):
    """True mixing heights 20 % above the meteorology's: without p the total is biased, with p it is not."""
    fixed, joint = [], []
    for key in range(count):
        truth, toy = made([1.0, 1.2, 0.0], key)
        expected = float((W @ truth)[0])
        one, all_ = Analytic("state").solve(toy(P_B)).aggregate(W), joint_solve(toy, P_B, P_COV)
        assert all_.result == "successful"
        both = all_.aggregate(W)
        fixed.append(((float(one.mean[0]) - expected), float(one.sigma[0])))
        joint.append(((float(both.mean[0]) - expected), float(both.sigma[0])))
    fixed, joint = np.array(fixed), np.array(joint)
    z = joint[:, 0] / joint[:, 1]
    bias, sigma = (fixed[:, 0].mean(), joint[:, 0].mean()), (fixed[:, 1].mean(), joint[:, 1].mean())
    print(f"bias {bias[0]:.3f} → {bias[1]:.3f} of 12, sigma {sigma[0]:.3f} → {sigma[1]:.3f}, z2 {np.mean(z**2):.2f}")
    assert abs(bias[0]) > 5 * sigma[0]  # far outside what it states
    assert abs(bias[1]) < 0.1 * abs(bias[0]) and abs(bias[1]) < 4 * sigma[1] / np.sqrt(count)
    # p is the same in all cases and less than one prior sigma off, so z² is no χ²: too little confidence is expected,
    # too much would be a fault; draws of p follow below.
    assert np.mean(z**2) < scipy.stats.chi2.ppf(0.999, count) / count


@pytest.mark.parametrize("count", [6, pytest.param(300, marks=pytest.mark.nightly)])
def test_uncertainty_is_true_where_parameters_are_drawn_from_their_prior(count):
    """Draws of wind, mixing height, background and fluxes: z² of total and of each parameter within its band.

    Nor has z a mean, which the mode of x and p together has: it leaves out how S(p) widens the data's spread.
    """
    z = {joint_solve: [], marginal_solve: []}
    for key in range(count):
        p = np.array(P_B) + np.linalg.cholesky(P_COV) @ np.random.default_rng(key).normal(size=3)
        truth, toy = made(p, 100 + key)
        for solver, zs in z.items():
            found = solver(toy, P_B, P_COV)
            assert found.result == "successful"
            both = found.with_parameters(W)
            zs.append((both.mean - np.r_[W @ truth, p]) / both.sigma)
    means = {solver.__name__: np.mean(zs, axis=0) for solver, zs in z.items()}
    z2 = np.mean(np.square(z[marginal_solve]), axis=0)
    low, high = np.array(scipy.stats.chi2.interval(0.999, count)) / count
    print(f"z2 {z2.round(2)} in {low:.2f}…{high:.2f}; mean z {means}, ±{1 / np.sqrt(count):.2f}")
    assert (low < z2).all() and (z2 < high).all()
    assert (np.abs(means["marginal_solve"]) < 3.5 / np.sqrt(count)).all()
    assert (means["joint_solve"][:2] < means["marginal_solve"][:2]).all()  # total and wind speed


def test_parameters_that_do_not_act_keep_their_prior(solved):
    class Deaf(eqx.Module):
        toy: Toy

        def __call__(self, p):
            return self.toy(P_B)

    _, toy, _ = solved
    posterior = joint_solve(Deaf(toy), P_B, P_COV)
    exact = Analytic().solve(toy(P_B))
    assert posterior.result == "successful" and posterior.iterations == 1
    np.testing.assert_allclose(posterior.p_covariance, P_COV, rtol=1e-10)
    np.testing.assert_allclose(posterior.mean, exact.mean, rtol=1e-12)
    np.testing.assert_allclose(posterior.covariance_mv(jnp.eye(CELLS)), exact.covariance_mv(jnp.eye(CELLS)), atol=1e-12)


def test_failures_are_reported(solved):
    _, toy, posterior = solved
    assert joint_solve(toy, P_B, P_COV, iterations=1).result == "did not converge"
    broken = Toy(toy.y.at[0].set(jnp.nan), HEIGHTS)
    assert "not finite" in joint_solve(broken, P_B, P_COV).result
    for bad in (np.eye(2), -np.eye(3)):
        with pytest.raises(TanhengError, match="no covariance"):
            joint_solve(toy, P_B, bad)
    for solver in (joint_solve, marginal_solve):
        with pytest.raises(TanhengError, match="needs a Gaussian solver"):
            solver(toy, P_B, P_COV, LogNormal())
    with pytest.raises(TanhengError, match="its own data only"):
        posterior.means(toy.y[None])

"""The benchmark's problem files: the structured and the dense form are the same problem, and slopes are slopes."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import problems
from benchmarks.inversion import exponent, gaps
from benchmarks.inversion_ours import dense_problem, summary, windowed_problem
from benchmarks.inversion_peers import scipy_lapack, scipy_observation, scipy_state
from inversion.solvers.analytic import Analytic


def test_windowed_problem_is_its_dense_form():
    made = problems.windowed(6, 8, 2, 3)
    problem, files = windowed_problem(made), made.files()
    v = np.random.default_rng(1).normal(size=48)
    np.testing.assert_allclose(problem.H.mv(jnp.asarray(v)), files["H"] @ v, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(problem.B.mv(jnp.asarray(v)), files["B"] @ v, rtol=1e-10, atol=1e-12)
    # The first days see fewer days back, and nobody sees the future.
    seen = files["H"].reshape(8, 2, 8, 6).sum(axis=(1, 3)) > 0
    assert (seen == (np.tri(8) - np.tri(8, k=-3) > 0)).all()


@pytest.mark.parametrize("correlated", [False, True])
def test_all_solve_the_same_problem(correlated):
    p = problems.dense(30, 40, correlated)
    expected = scipy_lapack(p)
    found = [scipy_state(p), scipy_observation(p)]
    found += [summary(Analytic(space).solve(dense_problem(p)), p["W"]) for space in ("state", "observation")]
    assert max(max(gaps(f, expected).values()) for f in found) < 1e-10


def test_exponent():
    sizes = np.array([100.0, 200.0, 400.0, 800.0])
    slope, error = exponent(sizes, 3.0 * sizes**2.5)
    assert slope == pytest.approx(2.5)
    assert error < 1e-6

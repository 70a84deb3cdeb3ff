import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inversion import preview as module
from inversion.covariance import Kronecker, ar1
from inversion.preview import estimate_dfs, preview
from inversion.solvers.analytic import Analytic
from inversion.solvers.banded import BandedRows
from tests.inversion.battery import PROBLEMS, case, chain, diagonal
from transport.errors import TanhengError

LARGE = case(120, 200, 3, B=chain(120, 4.0), R=diagonal(200), scale=0.05).problem


def test_degrees_of_freedom_within_their_error():
    exact = float(Analytic().solve(LARGE).leverage().sum())
    found = [estimate_dfs(LARGE, jax.random.key(k), 8, 1e-8) for k in range(24)]
    z = np.array([(value - exact) / error for value, error, *_ in found])
    values = np.array([value for value, *_ in found])
    print(f"DFS {exact:.2f}, estimates {values.mean():.2f} ± {values.std():.2f}")
    assert all(converged for _, _, converged, _ in found)
    assert values.mean() == pytest.approx(exact, abs=4 * values.std() / np.sqrt(24))
    assert 0.4 < (z**2).mean() < 3.0  # Student's t with 7 degrees: 1.4
    assert values.std() < np.sqrt(2 * exact / 8) * 1.5


def test_iterations_that_end_early_give_a_lower_bound_and_say_so():
    value, _, converged, count = estimate_dfs(LARGE, jax.random.key(0), 8, 1e-8, iterations=2)
    full = estimate_dfs(LARGE, jax.random.key(0), 8, 1e-8)[0]
    assert not converged and count == 2 and value < full
    assert estimate_dfs(PROBLEMS["no observation 6"].problem, jax.random.key(0)) == (0.0, 0.0, True, 0)


def test_preview_of_a_matrix():
    found = preview(LARGE, jax.random.key(0), 8.0)
    assert (found.unknowns, found.observations) == (120, 200)
    by_name = {c.solver: c for c in found.costs}
    state = by_name["analytic, space=state"]
    assert state.memory_gib == pytest.approx((3 * 120 * 200 + 4 * 120**2) * 8 / 2**30)
    assert not by_name["analytic, matrix-free"].possible and all(c.seconds > 0 for c in found.costs)
    assert found.recommended in by_name and by_name[found.recommended].possible
    quickest = min((c for c in found.costs if c.possible), key=lambda c: c.seconds)
    assert found.recommended == quickest.solver
    text = str(found)
    assert "120 unknowns, 200 observations" in text and f"recommended: {found.recommended}" in text


def test_memory_decides(monkeypatch):
    """10⁶ unknowns are never tried: sizes alone rule the dense solvers out."""
    gib = 8 / 2**30
    for n, m, held in ((10**6, 10**4, False), (2000, 3000, True)):
        for name, numbers in module._memory(n, m, held, 100).items():
            assert numbers * gib > 0 and name in module._possible(n, m, held)
    million = module._possible(10**6, 10**4, False)
    assert million == {"analytic, space=state": False, "analytic, space=observation": False,
                       "analytic, matrix-free": True, "variational": True}  # fmt: skip
    assert module._memory(10**6, 10**4, False, 100)["analytic, matrix-free"] * gib < 4.0
    assert not module._possible(10**6, 20_000, False)["analytic, matrix-free"]
    tight = preview(LARGE, jax.random.key(0), 1e-6)
    assert tight.recommended == "" and "none fits" in str(tight) and "does not fit" in str(tight)


def test_preview_of_an_operator():
    rng = np.random.default_rng(0)
    B = Kronecker((ar1(6, 0.7), chain(4, 2.0)))
    H = BandedRows.of_rows(rng.normal(size=(12, 8)), np.sort(rng.integers(0, 5, 12)) * 4, 24, group=3)
    p = dataclasses.replace(case(24, 12, 1, R=diagonal(12)).problem, H=H, B=B)
    found = preview(p, jax.random.key(0), 8.0, probes=64)
    exact = float(Analytic("state").solve(p).leverage().sum())
    assert found.dfs == pytest.approx(exact, abs=5 * found.dfs_error) and found.dfs_converged
    assert found.product_seconds > 0 and jnp.isfinite(found.dfs)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(TanhengError, match="needs memory and probes"):
        preview(LARGE, jax.random.key(0), 0.0)
    with pytest.raises(TanhengError, match="needs memory and probes"):
        preview(LARGE, jax.random.key(0), 1.0, probes=1)

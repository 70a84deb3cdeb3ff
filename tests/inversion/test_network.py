import itertools

import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from inversion.covariance import Dense, Diagonal
from inversion.network import rank
from inversion.problem import Problem
from tests.inversion.battery import case, chain, dense, spd
from transport.errors import TanhengError

SITES = np.array(["A", "B", "C", "D", "E", "F", "G"])
GROUPS = SITES[np.array([0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6])]
PROBLEM = case(10, 14, 11, B=chain(10, 3.0), R=spd(np.random.default_rng(1), 14)).problem
MATRICES = dense(PROBLEM)
W = jnp.asarray(np.stack([np.ones(10), np.arange(10) < 4]).astype(float))


def variance(matrices, names, groups=GROUPS, weights=W):
    """Of the totals with the rows of these sites alone, by the precision in state space."""
    rows = np.isin(groups, list(names))
    H, B, R = matrices
    precision = np.linalg.inv(B) + H[rows].T @ np.linalg.solve(R[np.ix_(rows, rows)], H[rows])
    return np.diagonal(weights @ np.linalg.solve(precision, weights.T))


def test_variances_are_those_of_solving():
    found = rank(PROBLEM, GROUPS, W, 3, existing=("C",), method="greedy")
    names = ["C"]
    np.testing.assert_allclose(found.variance[0], variance(MATRICES, names), rtol=1e-9)
    for name, after in zip(found.chosen, found.variance[1:], strict=True):
        names.append(name)
        np.testing.assert_allclose(after, variance(MATRICES, names), rtol=1e-9)
    for name, alone in found.alone.items():
        np.testing.assert_allclose(alone, variance(MATRICES, ["C", name]), rtol=1e-9)
    assert set(found.alone) == set("ABDEFG")
    np.testing.assert_allclose(found.prior, np.diagonal(W @ dense(PROBLEM)[1] @ W.T), rtol=1e-12)
    assert ((found.reduction > 0) & (found.reduction < 1)).all() and (np.diff(found.reduction, axis=0) >= 0).all()


def test_greedy_is_greedy_and_swap_reaches_brute_force():
    one = W[:1]
    for seed in range(6):
        p = case(10, 14, seed, B=chain(10, 3.0)).problem
        matrices = dense(p)
        value = {
            c: variance(matrices, c, weights=one)[0] for k in (1, 2, 3) for c in itertools.combinations("ABCDEFG", k)
        }
        greedy = rank(p, GROUPS, one, 3, method="greedy")
        first = min("ABCDEFG", key=lambda c, value=value: value[(c,)])
        after = {c: value[tuple(sorted((first, c)))] for c in "ABCDEFG" if c != first}
        second = min(after, key=after.__getitem__)
        assert greedy.chosen[:2] == (first, second)
        swap = rank(p, GROUPS, one, 3)
        best = min(value[c] for c in value if len(c) == 3)
        assert swap.variance[-1, 0] <= greedy.variance[-1, 0] * (1 + 1e-9)
        assert swap.variance[-1, 0] == pytest.approx(value[tuple(sorted(swap.chosen))], rel=1e-9)
        assert swap.variance[-1, 0] <= best * 1.02


def test_an_exchange_repairs_a_greedy_choice():
    """C sees a blur of everything and is taken first, but A and B together know the total: brute force says so."""
    H = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.8]])
    R = np.array([0.1, 0.1, 0.3])
    p = Problem(lx.MatrixLinearOperator(jnp.asarray(H)), jnp.zeros(2), Dense(np.eye(2)), jnp.zeros(3), Diagonal(R),
                jnp.zeros(3))  # fmt: skip
    total, names = jnp.ones((1, 2)), np.array(list("ABC"))
    pairs = {c: variance(dense(p), c, names, total)[0] for c in itertools.combinations("ABC", 2)}
    greedy, swap = rank(p, names, total, 2, method="greedy"), rank(p, names, total, 2)
    assert min(pairs, key=pairs.__getitem__) == ("A", "B") and greedy.chosen[0] == "C"
    assert set(swap.chosen) == {"A", "B"} and swap.swaps == 1
    assert swap.variance[-1, 0] == pytest.approx(min(pairs.values()))
    assert greedy.variance[-1, 0] > 1.2 * swap.variance[-1, 0]


def test_importance_turns_the_choice():
    """Two totals seen by one site each; units do not matter."""
    p = Problem(lx.MatrixLinearOperator(jnp.eye(2)), jnp.zeros(2), Dense(np.diag([1.0, 1e6])), jnp.zeros(2),
                Diagonal([0.1, 100.0]), jnp.zeros(2))  # fmt: skip
    names, totals = np.array(["A", "B"]), jnp.eye(2)
    assert rank(p, names, totals, 1, importance=[2.0, 1.0]).chosen == ("A",)
    assert rank(p, names, totals, 1, importance=[1.0, 2.0]).chosen == ("B",)


def test_what_does_not_fit_is_refused():
    for options, message in (
        ({"method": "annealing"}, "unknown method"), ({"existing": ("Z",)}, "cannot be chosen"),
        ({"importance": [1.0]}, "importance does not fit"),
    ):  # fmt: skip
        with pytest.raises(TanhengError, match=message):
            rank(PROBLEM, GROUPS, W, 2, **options)
    with pytest.raises(TanhengError, match="cannot be chosen"):
        rank(PROBLEM, GROUPS, W, 8)
    with pytest.raises(TanhengError, match="do not fit the problem"):
        rank(PROBLEM, GROUPS[:3], W, 2)

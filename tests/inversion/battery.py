"""Small linear Gaussian problems on which every solver must agree with a dense float64 reference.

`PROBLEMS` maps a name to a `Case`: the problem, totals to ask for, and the window of each element and observation for
the sequential solver. The reference shares nothing with the solvers: augmented least squares by QR in NumPy.
"""

import dataclasses

import jax.numpy as jnp
import lineax as lx
import numpy as np

from inversion.covariance import BlockDiagonal, Dense, Diagonal, Scaled, exponential
from inversion.problem import Problem


@dataclasses.dataclass(frozen=True)
class Case:
    """One problem of the battery."""

    problem: Problem
    weights: np.ndarray  # (k, n) totals
    windows: np.ndarray  # (n,) window of each element
    seen: np.ndarray  # (m,) window of each observation: the last that its row sees


def spd(rng, n, spread=1.0):
    """A full covariance with a Cholesky factor far from symmetric."""
    a = rng.normal(size=(n, n)) * np.exp(rng.normal(size=n) * 0.3)
    return Dense(spread**2 * (a @ a.T / n + 0.3 * np.eye(n)))


def chain(n, length, sigma=1.0):
    """Exponential correlation along a line."""
    t = np.arange(n, dtype=float)
    return Scaled(np.full(n, sigma), exponential(np.abs(t[:, None] - t), length))


def case(n, m, seed, *, B=None, R=None, rank=None, scale=1.0, window=None, unit=1.0, data=1.0):
    """A random problem; `scale` multiplies H, `unit` the unknowns, `data` the observations."""
    rng = np.random.default_rng(seed)
    B = spd(rng, n, unit) if B is None else B
    R = (spd(rng, m, data) if m else Diagonal(np.zeros(0))) if R is None else R
    H = rng.normal(size=(m, n)) if rank is None else rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n))
    windows = np.zeros(n, int) if window is None else np.arange(n) // window
    count = int(windows.max()) + 1
    # Row i sees windows up to that of its own: air carries the past. Correlated R keeps all rows in the last window.
    seen = np.full(m, count - 1) if not isinstance(R, Diagonal) else (np.arange(m) * count) // max(m, 1)
    H = H * (windows[None, :] <= seen[:, None]) * scale * data / unit
    x_b, b = rng.normal(size=n) * unit, rng.normal(size=m) * data
    y = H @ x_b + b + rng.normal(size=m) * data * np.sqrt(1 + scale**2 * n)
    W = np.concatenate([np.ones((1, n)), rng.normal(size=(2, n)), np.eye(n)[:1]])
    arrays = [jnp.asarray(a) for a in (x_b, y, b)]
    problem = Problem(lx.MatrixLinearOperator(jnp.asarray(H)), arrays[0], B, arrays[1], R, arrays[2])
    return Case(problem, W, windows, seen)


def diagonal(n, sigma=1.0, seed=0):
    """Independent errors of unlike size."""
    return Diagonal(sigma * np.random.default_rng(seed).uniform(0.5, 2.0, n))


def _two_blocks(n):
    half = n // 2
    return BlockDiagonal((chain(half, 3.0), diagonal(n - half, 0.2, 5)))


def _build() -> dict[str, Case]:
    """Few shapes, many kinds: every shape is compiled once per solver."""
    cases = {}
    for n, m in ((1, 1), (12, 14), (14, 12), (40, 30), (60, 80), (80, 60)):
        cases[f"full {n}x{m}"] = case(n, m, 10 * n + m)
    for n, m in ((12, 14), (14, 12), (40, 30)):
        cases[f"windows {n}x{m}"] = case(n, m, 7 * n + m, B=chain(n, 2.0), R=diagonal(m), window=max(1, n // 3))
    cases["one observation"], cases["one unknown"] = case(7, 1, 8), case(1, 9, 10)
    for n in (1, 6):
        cases[f"no observation {n}"] = case(n, 0, n)
    for rank in (0, 1, 2, 5):
        cases[f"rank {rank} of 12x14"] = case(12, 14, 100 + rank, rank=rank)
    cases["rank 3 of 14x12"] = case(14, 12, 104, rank=3)
    for name, scale in (("strong", 100.0), ("very strong", 300.0), ("weak", 1e-2), ("very weak", 1e-6), ("blind", 0.0)):
        cases[f"{name} data"] = case(12, 14, 200, scale=scale)
        cases[f"{name} data, few"] = case(14, 12, 201, scale=scale)
    for name, unit, data in (("tiny", 1e-12, 1e-9), ("huge", 1e9, 1e6), ("tiny flux, ppb", 1e-9, 1e3)):
        cases[f"units {name}"] = case(12, 14, 300, unit=unit, data=data)
        cases[f"units {name}, few"] = case(14, 12, 301, unit=unit, data=data)
    cases["two blocks"] = case(12, 14, 400, B=_two_blocks(12), R=diagonal(14))
    cases["long correlation"] = case(14, 12, 401, B=chain(14, 50.0), R=diagonal(12))
    cases["equal eigenvalues"] = _equal_eigenvalues()
    few = cases["full 14x12"]
    exact = dataclasses.replace(few.problem, y=few.problem.modelled(few.problem.x_b))
    cases["nothing to explain"] = dataclasses.replace(few, problem=exact)
    return cases


def _equal_eigenvalues() -> Case:
    """Every direction is seen equally well: one eigenvalue, twelve times; Krylov vectors end after the first."""
    base = case(12, 14, 402, B=Dense(np.eye(12)), R=Dense(np.eye(14)))
    H = lx.MatrixLinearOperator(jnp.asarray(np.eye(14)[:, :12]))
    return dataclasses.replace(base, problem=dataclasses.replace(base.problem, H=H))


PROBLEMS = _build()


def dense(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H, B and R as NumPy matrices."""
    H = np.asarray(problem.matrix)
    return H, np.asarray(problem.B.mv(jnp.eye(H.shape[1]))), np.asarray(problem.R.mv(jnp.eye(H.shape[0])))


def reference(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance from |L_B⁻¹ (x − x_b)|² + |L_R⁻¹ (y − b − H x)|² by QR of the stacked, whitened system."""
    H, B, R = dense(problem)
    lb, lr = np.linalg.cholesky(B), np.linalg.cholesky(R)
    # In χ, with x = x_b + L_B χ, the stacked matrix is well scaled whatever the units.
    G = np.linalg.solve(lr, H @ lb) if len(R) else np.zeros((0, len(B)))
    d = np.asarray(problem.departure())
    q, r = np.linalg.qr(np.vstack([np.eye(len(B)), G]))
    chi = np.linalg.solve(r, q.T @ np.r_[np.zeros(len(B)), np.linalg.solve(lr, d) if len(R) else d])
    half = lb @ np.linalg.inv(r)
    return np.asarray(problem.x_b) + lb @ chi, half @ half.T


def disagreement(posterior, case: Case) -> tuple[float, float]:
    """Largest relative error of the mean (of its increment's scale) and of the standard deviation of the totals."""
    mean, A = reference(case.problem)
    scale = np.abs(mean).max()
    totals = posterior.aggregate(jnp.asarray(case.weights))
    expected = np.sqrt(np.einsum("ki,ij,kj->k", case.weights, A, case.weights))
    in_mean = np.abs(np.asarray(posterior.mean) - mean).max() / scale
    in_totals = np.abs(np.asarray(totals.mean) - case.weights @ mean).max() / np.abs(case.weights @ mean).max()
    return max(in_mean, in_totals), np.abs(np.asarray(totals.sigma) / expected - 1.0).max()

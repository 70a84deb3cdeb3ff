"""Propagation of distributions to several outputs by Monte Carlo, adaptive (JCGM 102:2011, §7)."""

import dataclasses

import jax
import numpy as np

from inversion.budget.model import checked
from inversion.budget.monte_carlo import BLOCKS, MOST, block_size, tolerance
from inversion.budget.quantity import Inputs, Model
from inversion.budget.sampling import sampler
from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True, eq=False)
class JointDistribution:
    """Numerical summary of several outputs.

    Args:
        y, u: (m,) means and standard deviations.
        correlation: (m, m).
        k: k_p of the coverage ellipsoid (η−y)ᵀ U⁻¹ (η−y) = k_p².
        p: coverage probability.
        trials: number of draws.
        settled: True where twice the standard error of all y and u, of the largest eigenvalue of the correlation, and
            of k_p is within half a unit of the last digit asked for.
        seed: of `jax.random.key` (threefry).
    """

    y: np.ndarray
    u: np.ndarray
    correlation: np.ndarray
    k: float
    p: float
    trials: int
    settled: bool
    seed: int


def monte_carlo_joint(
    model: Model, inputs: Inputs, *, seed: int, p: float = 0.95, digits: int = 2, most: int = MOST
) -> JointDistribution:
    """Distribution of a vector by blocks of draws, until the result is stable.

    Every block of M = max(⌈100/(1−p)⌉, 10⁴) gives y_j, u_j, λ_max of its correlation, and k_p; it ends after ten blocks
    or more when 2 s/√h of all of them is at most ½·10^l of u_j, u_j, λ_max and k_p in the digits asked for.

    Args:
        model: f of a mapping of names to numbers, in JAX, that returns (m,).
        inputs: of the model.
        seed: of the draws.
        p: coverage probability.
        digits: 1 or 2 significant digits that should be settled.
        most: draws after which it ends unsettled.

    Raises:
        TanhengError: outputs that are not finite, or of which one does not vary on its own; options out of range.

    Reference: JCGM 102:2011, §7.8.
    """
    size = block_size(p, digits, None, most, seed)
    f = checked(model, inputs, 1)
    with jax.enable_x64(True):
        draw, key = sampler(inputs), jax.random.key(seed)
        block = jax.jit(lambda h: jax.vmap(f)(draw(jax.random.fold_in(key, h), size)))
        blocks = [_statistics(np.asarray(block(h)), p) for h in range(BLOCKS)]
        while True:
            table, covariances = (np.array(x) for x in zip(*blocks, strict=True))
            V, h = covariances.mean(axis=0), len(blocks)
            u, k = np.sqrt(np.diag(V)), float(table[:, -1].mean())
            limits = [tolerance(float(v), digits) for v in (*u, *u, _largest(V), k)]
            settled = bool((2.0 * table.std(axis=0, ddof=1) / np.sqrt(h) <= limits).all())
            if settled or (h + 1) * size > most:
                y = table[:, : len(u)].mean(axis=0)
                return JointDistribution(y, u, V / np.outer(u, u), k, p, size * h, settled, seed)
            blocks.append(_statistics(np.asarray(block(h)), p))


def _statistics(draws: np.ndarray, p: float) -> tuple[np.ndarray, np.ndarray]:
    """(2m + 2,) y, u, λ_max and k_p of a block, and its covariance (m, m)."""
    k, U = ellipsoid_of_draws(draws, p), np.atleast_2d(np.cov(draws, rowvar=False))
    return np.array([*draws.mean(axis=0), *np.sqrt(np.diag(U)), _largest(U), k]), U


def _largest(U: np.ndarray) -> float:
    """Largest eigenvalue of the correlation."""
    u = np.sqrt(np.diag(U))
    return float(np.linalg.eigvalsh(U / np.outer(u, u))[-1])


def ellipsoid_of_draws(draws: np.ndarray, p: float = 0.95) -> float:
    """k_p of the coverage ellipsoid from draws (M, m): the p quantile of |L⁻¹ (η − y)|, U = L Lᵀ.

    Raises:
        TanhengError: draws that are no table of finite numbers with M > m, p outside (0, 1), or outputs of which one
            is a combination of the others.

    Reference: JCGM 102:2011, §7.7.2.
    """
    table = np.asarray(draws, float)
    whole = table.ndim == 2 and table.shape[0] > table.shape[1] > 0 and bool(np.isfinite(table).all())
    U = np.atleast_2d(np.cov(table, rowvar=False)) if whole else np.zeros((1, 1))
    scale = np.sqrt(np.diag(U))
    lowest = np.linalg.eigvalsh(U / np.outer(scale, scale))[0] if (scale > 0.0).all() else 0.0
    if not 0.0 < p < 1.0 or lowest < 1e-12:
        raise TanhengError(
            "these draws have no coverage ellipsoid", got=f"shape {table.shape}, p {p}, smallest eigenvalue of the "
            f"correlation {lowest:.3g}", expected="(M, m) finite draws, M > m, of outputs that all vary on their own",
            remedy="leave out outputs that follow from others",
        )  # fmt: skip
    distances = np.linalg.norm(np.linalg.solve(np.linalg.cholesky(U), (table - table.mean(axis=0)).T), axis=0)
    return float(np.quantile(distances, p))


def draws_of(model: Model, inputs: Inputs, *, seed: int, count: int) -> np.ndarray:
    """(count, m) outputs of a model that returns a vector.

    Raises:
        TanhengError: the model does not return a vector.
    """
    f = checked(model, inputs, 1)
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(f)(sampler(inputs)(jax.random.key(seed), count)))

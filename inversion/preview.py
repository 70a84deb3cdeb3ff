"""Before a run is started: sizes, memory, time, degrees of freedom for signal, and which solver fits."""

import dataclasses
import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import PRNGKeyArray

from inversion.problem import Problem
from inversion.solvers import analytic, matrix_free
from inversion.solvers.actions import backward, forward
from inversion.solvers.eigenpairs import Pairs, Whitened
from inversion.solvers.variational import conjugate_gradients
from transport.errors import TanhengError

BYTES = 8  # double precision
PROBE_SIZE = 512  # of the matrices that measure this machine


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one solver needs.

    Args:
        solver: as configured, e.g. "analytic, space=state".
        memory_gib: largest arrays that it holds at once.
        seconds: expected for the mean and the variance of all unknowns ("variational": mean and ten totals).
        possible: False where the solver refuses the size.
    """

    solver: str
    memory_gib: float
    seconds: float
    possible: bool


@dataclasses.dataclass(frozen=True)
class Preview:
    """What is known before a run.

    Args:
        unknowns, observations: n and m.
        dfs, dfs_error: degrees of freedom for signal and the standard error of that estimate.
        dfs_converged: False where the iterations ran out; dfs is then a lower bound.
        iterations: of conjugate gradients, each one product with H, Hᵀ, B and R⁻¹.
        product_seconds: of one such iteration.
        costs: of each solver.
        recommended: the quickest that is possible and fits into memory; "" if none.
        available_gib: what it was compared with.
    """

    unknowns: int
    observations: int
    dfs: float
    dfs_error: float
    dfs_converged: bool
    iterations: int
    product_seconds: float
    costs: tuple[Cost, ...]
    recommended: str
    available_gib: float

    def __str__(self) -> str:
        bound = "" if self.dfs_converged else " at least"
        lines = [
            f"{self.unknowns} unknowns, {self.observations} observations",
            f"degrees of freedom for signal:{bound} {self.dfs:.3g} ± {self.dfs_error:.2g}",
            f"one product with H, Hᵀ, B and R⁻¹: {self.product_seconds:.2g} s; {self.iterations} to converge",
        ]
        for cost in self.costs:
            fits = "" if cost.possible and cost.memory_gib <= self.available_gib else ", does not fit"
            lines.append(f"  {cost.solver}: {cost.memory_gib:.3g} GiB, about {cost.seconds:.2g} s{fits}")
        best = self.recommended or f"none fits into {self.available_gib:.3g} GiB: average observations, or merge cells"
        return "\n".join([*lines, f"recommended: {best}"])


def estimate_dfs(
    problem: Problem, key: PRNGKeyArray, probes: int = 8, tolerance: float = 1e-3, iterations: int = 200
) -> tuple[float, float, bool, int]:
    """trace(H K) without a matrix: E[vᵀ (I + M)⁻¹ v] over v ~ N(0, M), M = B^½ᵀ Hᵀ R⁻¹ H B^½.

    The variance of one probe is 2 trace (M (I + M)⁻¹)² ≤ 2 DFS, so that few give a large DFS well (Girard 1989,
    doi 10.1007/BF01395775). Conjugate gradients approach the product from below.

    Args:
        problem: any.
        key: random key.
        probes: at least 2.
        tolerance: of the residuals of conjugate gradients.
        iterations: most.

    Returns:
        DFS, its standard error, whether the iterations converged, and how many there were.
    """
    if problem.y.size == 0:
        return 0.0, 0.0, True, 0
    values, count, worst = _quadratic(problem, key, probes, tolerance, iterations)
    values = np.asarray(values)
    error = float(values.std(ddof=1) / np.sqrt(probes))
    return float(values.mean()), error, bool(worst <= tolerance), int(count)


@eqx.filter_jit
def _quadratic(problem, key, probes: int, tolerance: float, iterations: int):
    system = Whitened(problem)
    v = system.draw(key, probes)
    zero = jnp.zeros(())
    none = Pairs(jnp.zeros((1, problem.x_b.size)), jnp.zeros(1), zero, zero, jnp.asarray(0))
    z, count, worst = conjugate_gradients(system, none, v, jnp.zeros_like(v), tolerance, iterations)
    return jnp.sum(v * z, axis=0), count, worst


def _seconds(action: Callable, *arguments) -> float:
    """The shorter of two calls after the one that compiles."""
    compiled = eqx.filter_jit(action)
    jax.block_until_ready(compiled(*arguments))
    best = np.inf
    for _ in range(2):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        best = min(best, time.perf_counter() - start)
    return float(best)


def _rates() -> tuple[float, float]:
    """Seconds per floating-point operation in matrix products and in Cholesky factors, of this machine, now."""
    a = jax.random.normal(jax.random.key(0), (PROBE_SIZE, PROBE_SIZE))
    spd = a @ a.T / PROBE_SIZE + jnp.eye(PROBE_SIZE)
    product = _seconds(lambda a: a @ a, a) / (2.0 * PROBE_SIZE**3)
    return product, _seconds(jnp.linalg.cholesky, spd) / (PROBE_SIZE**3 / 3.0)


def _memory(n: int, m: int, held: bool, pairs: int) -> dict[str, float]:
    """Numbers that each solver holds at its peak; H counts where it is, or becomes, a matrix."""
    H = n * m
    return {
        "analytic, space=state": 3.0 * H + 4.0 * n * n,  # H, R⁻¹H, a transpose; B⁻¹, precision, factor, its inverse
        "analytic, space=observation": 3.0 * H + 3.0 * m * m,  # H, B Hᵀ, S^-½ H B; S, factor, unit columns
        "analytic, matrix-free": (H if held else 0) + 2.0 * m * m + 6.0 * n * matrix_free._batch(n),
        "variational": (H if held else 0) + 2.0 * n * pairs + 10.0 * n + 5.0 * m,
    }


def preview(
    problem: Problem, key: PRNGKeyArray, available_gib: float, probes: int = 8, iterations: int = 200
) -> Preview:
    """Sizes, memory, time and degrees of freedom, from the operators and a few timed products.

    Args:
        problem: as it would be solved.
        key: random key of the probes.
        available_gib: memory that a run may use.
        probes: of the degrees of freedom.
        iterations: most for the probes.

    Raises:
        TanhengError: memory that is not positive, or fewer than two probes.
    """
    if not available_gib > 0.0 or probes < 2:
        raise TanhengError("a preview needs memory and probes", got=f"{available_gib} GiB, {probes} probes",
                           expected="> 0 GiB, at least 2 probes", remedy="give the memory of the machine")  # fmt: skip
    n, m = problem.x_b.size, problem.y.size
    dfs, error, converged, count = estimate_dfs(problem, key, probes, iterations=iterations)
    step = _seconds(lambda p, v: Whitened(p).information(v), problem, jnp.ones(n)) if m else 0.0
    seconds, pairs = _times(problem, step, count), min(n, m, count + 1)
    held = isinstance(problem.H, lx.MatrixLinearOperator)
    limits = _possible(n, m, held)
    costs = tuple(
        Cost(name, numbers * BYTES / 2**30, seconds[name], limits[name])
        for name, numbers in _memory(n, m, held, pairs).items()
    )
    fitting = [c for c in costs if c.possible and c.memory_gib <= available_gib]
    best = min(fitting, key=lambda c: c.seconds).solver if fitting else ""
    return Preview(n, m, dfs, error, converged, count, step, costs, best, available_gib)


def _possible(n: int, m: int, held: bool) -> dict[str, bool]:
    limit = analytic.DENSE_LIMIT
    dense = held or n * m <= limit
    return {
        "analytic, space=state": dense and n * n <= limit,
        "analytic, space=observation": dense,
        # Analytic goes matrix-free of its own accord, for an H that is no matrix and would not fit as one.
        "analytic, matrix-free": not dense and m <= matrix_free.OBSERVATION_LIMIT,
        "variational": True,
    }


def _times(problem: Problem, step: float, count: int) -> dict[str, float]:
    """Seconds: operations counted, at the rates of this machine; products with H and B as they were timed."""
    n, m = problem.x_b.size, problem.y.size
    product, factor = _rates()
    make = 0.0
    if m and not isinstance(problem.H, lx.MatrixLinearOperator):
        to_H = _seconds(lambda H, v: forward(H, v), problem.H, jnp.ones(n))
        to_x = _seconds(lambda H, v: backward(H, v), problem.H, jnp.ones(m))
        make = n * to_H if n < m else m * to_x
    to_B = _seconds(lambda B, v: B.mv(v), problem.B, jnp.ones((n, 8))) / 8 * m
    columns = m * step
    return {
        "analytic, space=state": make + 2.0 * m * n**2 * product + (n**3 / 3.0 + n**3) * factor,
        "analytic, space=observation": make + to_B + 2.0 * n * m**2 * product + (m**3 / 3.0 + n * m**2) * factor,
        "analytic, matrix-free": columns + m**3 / 3.0 * factor + 2.0 * n * m**2 * product,
        "variational": 11.0 * max(count, 1) * step,
    }

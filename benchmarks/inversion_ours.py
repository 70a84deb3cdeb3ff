"""Ours, for `benchmarks.inversion`: each solver in a process of its own, so that its peak of memory is its own.

    python -m benchmarks.inversion_ours NAME PROBLEM.npz ANSWER.npz OPTIONS

Requests and answers as in `benchmarks.inversion_peers`; the first request compiles.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np

from benchmarks import problems
from benchmarks.inversion_peers import serve
from inversion.covariance import Dense, Diagonal, Kronecker, Scaled
from inversion.covariance.temporal import OrnsteinUhlenbeck
from inversion.posterior import AbstractPosterior
from inversion.problem import Problem
from inversion.solvers.analytic import Analytic
from inversion.solvers.banded import BandedRows
from inversion.solvers.chains import assess
from inversion.solvers.es_mda import EsMda
from inversion.solvers.hierarchical import Hierarchical
from inversion.solvers.letkf import Letkf
from inversion.solvers.sampling import Sampling
from inversion.solvers.variational import Variational

Answer = dict[str, Any]


def dense_problem(p: Answer) -> Problem:
    """From NumPy's matrices; the Cholesky factor of B is part of it, as it is for the peers."""
    R = Diagonal(p["R"]) if p["R"].ndim == 1 else Dense(p["R"])
    H = lx.MatrixLinearOperator(jnp.asarray(p["H"]))
    x_b, y = jnp.asarray(p["x_b"]), jnp.asarray(p["y"])
    return Problem(H, x_b, Dense(p["B"]), y, R, jnp.zeros(y.size))


def summary(posterior: AbstractPosterior, W, variances: bool = True) -> Answer:
    """What the peers are asked for too."""
    totals = posterior.aggregate(jnp.asarray(W))
    answer = {"mean": posterior.mean, "totals": totals.mean, "covariance": totals.covariance}
    if variances:
        answer["sigma"] = jnp.sqrt(posterior.diagonal())
    answer = {k: np.asarray(v) for k, v in answer.items()}
    extra = {"iterations": posterior.iterations} if hasattr(posterior, "iterations") else {}
    return answer | extra | {"result": posterior.result}


SOLVERS: dict[str, Callable[[], Any]] = {
    "analytic state": lambda: Analytic("state"),
    "analytic observation": lambda: Analytic("observation"),
    "variational": Variational,
    "es_mda": lambda: EsMda(members=1000),
    "letkf": lambda: Letkf(members=1000),
}


def of_file(name: str, p: Answer, variances: bool) -> Callable[[], Answer]:
    """Dense problems."""
    return lambda: summary(SOLVERS[name]().solve(dense_problem(p)), p["W"], variances)


# --- the windowed Kronecker problem, made from its seed: no peer takes it ---
def windowed_problem(made: problems.Windowed) -> Problem:
    """B = σ² (OU ⊗ exponential) as a Kronecker product, H as banded rows."""
    space = Dense(np.exp(-made.distance / made.length))
    B = Scaled(made.sigma, Kronecker((OrnsteinUhlenbeck(np.arange(made.days), made.memory), space)))
    n = made.days * made.cells
    y = jnp.asarray(made.y)
    return Problem(
        BandedRows(made.values, made.starts, n), jnp.ones(n), B, y, Diagonal(made.error), jnp.zeros(y.size)
    )  # fmt: skip


def of_windowed(name: str, shape: dict) -> Callable[[], Answer]:
    """`matrix-free` is what Analytic chooses by itself once n m is large; small ones must be told."""
    from inversion.solvers.matrix_free import solve_matrix_free

    made = problems.windowed(**shape)
    problem, W = windowed_problem(made), jnp.asarray(made.W)
    solve = solve_matrix_free if name == "windowed matrix-free" else Variational(iterations=1000).solve
    if name == "windowed analytic":
        solve = Analytic().solve

    def run() -> Answer:
        start = time.perf_counter()
        posterior = solve(problem)
        jax.block_until_ready(posterior.mean)
        mean = time.perf_counter() - start
        return summary(posterior, W, variances=False) | {"to_mean": mean, "kind": type(posterior).__name__}

    return run


# --- sampling ---
class SiteErrors(eqx.Module):
    """θ ↦ the problem whose error at site i has the variance e² + θ_i²."""

    problem: Problem
    error: jax.Array
    site: jax.Array

    def __call__(self, theta):
        return eqx.tree_at(lambda p: p.R.sigma, self.problem, jnp.sqrt(self.error**2 + theta[self.site] ** 2))


def basis_problem(p: Answer, lognormal: bool) -> Problem:
    """x of mean 1 and standard deviation 0.5; log-normal ones by their median and the deviation of log x."""
    n, s = p["H"].shape[1], float(np.sqrt(np.log(1.25)))
    x_b, sigma = (np.exp(-(s**2) / 2), s) if lognormal else (1.0, 0.5)
    H, y = lx.MatrixLinearOperator(jnp.asarray(p["H"])), jnp.asarray(p["y"])
    return Problem(H, jnp.full(n, x_b), Diagonal(np.full(n, sigma)), y, Diagonal(p["error"]), jnp.zeros(y.size))


def sampled(name: str, p: Answer, options: dict) -> Callable[[], Answer]:
    """Our two samplers; `sampling` is their own clock, without compilation."""
    if name == "sampling":
        problem = basis_problem(p, lognormal=True)

        def draw():
            return Sampling(positive=True, **options).solve(problem)
    else:
        errors = SiteErrors(basis_problem(p, lognormal=False), jnp.asarray(p["error"]), jnp.asarray(p["site"]))
        sites = len(p["extra"])
        names = tuple(f"site {i}" for i in range(sites))
        solver = Hierarchical(names, np.full(sites, 0.5), np.full(sites, 0.7), **options)

        def draw():
            return solver.solve(errors)

    def run() -> Answer:
        start = time.perf_counter()
        found = draw()
        whole = time.perf_counter() - start
        theta = {"theta": np.asarray(found.theta)} if name == "hierarchical" else {}
        return theta | {
            "draws": np.asarray(found.draws), "mean": np.asarray(found.mean), "result": found.result,
            "divergences": np.asarray(found.convergence.divergences),
            "sampling": np.asarray(found.convergence.seconds), "whole": np.asarray(whole),
        }  # fmt: skip

    return run


def effective(draws: np.ndarray) -> Answer:
    """Bulk effective draws of the worst and of the middle unknown, and R̂, of (chains, count, n)."""
    from inversion.solvers.chains import bulk_size

    still = np.zeros(draws.shape[:2])
    noise = np.random.default_rng(0).normal(size=draws.shape[:2])
    found = assess(draws, noise, still, still, 1.0)
    return {"worst": found.effective_samples, "middle": float(np.median(bulk_size(draws))), "r_hat": found.r_hat}


def main() -> None:
    name, file, answer, text = sys.argv[1:5]
    options = json.loads(text)
    jax.config.update("jax_enable_x64", True)
    if name.startswith("windowed"):
        solve = of_windowed(name, options)
    else:
        with np.load(file) as opened:
            p = dict(opened)
        basis = name in ("sampling", "hierarchical")
        solve = sampled(name, p, options) if basis else of_file(name, p, **options)
    serve(solve, Path(answer))


if __name__ == "__main__":
    main()

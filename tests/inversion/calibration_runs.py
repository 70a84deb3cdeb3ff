"""Every solver on populations of random problems: `SOLVERS` maps its name to `run(family, count, seed) -> Scores`."""

import dataclasses
import functools
import zlib
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array

from inversion.covariance import (
    Dense,
    Diagonal,
    Scaled,
)
from inversion.joint import joint_solve
from inversion.marginal import marginal_solve
from inversion.posterior import AbstractPosterior
from inversion.problem import Problem
from inversion.solvers.analytic import ObservationPosterior, StatePosterior, observation_space, state_space
from inversion.solvers.ensemble import EnsemblePosterior, prior_members
from inversion.solvers.es_mda import EsMda, smooth
from inversion.solvers.geostatistical import Geostatistical
from inversion.solvers.hierarchical import Hierarchical
from inversion.solvers.letkf import Letkf, transform
from inversion.solvers.lognormal import LogNormal
from inversion.solvers.nuts import run_chains, target_of
from inversion.solvers.sequential import Sequential
from inversion.solvers.truncated import Truncated
from inversion.solvers.variational import Variational, VariationalPosterior
from tests.inversion.calibration import (
    BATCH,
    DRAWS,
    RUN,
    SEEN,
    TOTAL,
    WINDOWS,
    N,
    Scores,
    from_draws,
    population,
)


# --- Gaussian solvers, all problems in one batch ----------------------------------------------------------------------
def _state(problem):
    mean, factor, variances = state_space(problem)
    return StatePosterior(problem, mean, "", factor, variances), jnp.zeros(())


def _observation(problem):
    mean, BHt, factor, variances = observation_space(problem)
    return ObservationPosterior(problem, mean, "", BHt, factor, variances), jnp.zeros(())


def _variational(problem):
    chi, pairs, complete, _, gradient = Variational().minimise(problem)
    mean = problem.x_b + problem.B.sqrt_mv(chi)
    # The constructor takes a static flag; that the pairs are complete is checked by the gradient's place.
    worst = jnp.where(complete, gradient, jnp.inf)
    return VariationalPosterior(problem, mean, "", chi, pairs, True, 0, 0.0, 1e-10, 0), worst


@functools.cache
def _batched(solve: Callable, build: Callable):
    def one(key, parts, H, x_b, b, R, y):
        posterior, gradient = solve(Problem(lx.MatrixLinearOperator(H), x_b, build(*parts), y, Dense(R), b))
        total = posterior.aggregate(TOTAL)
        return total.mean[0], total.sigma[0], posterior.sample(key, DRAWS).sum(axis=1), gradient

    # Batches of thousands of factorisations have hung in XLA's pool of two threads (jax 0.10); of hundreds never.
    return jax.jit(lambda *arrays: jax.lax.map(lambda a: one(*a), arrays, batch_size=BATCH))


def gaussian(solve: Callable, family: str, count: int, seed: int, structured: bool = True) -> Scores:
    """Direct and variational solvers; a minimum that misses its tolerance of 1e-10 counts as failed."""
    p = population(family, count, seed)
    truth = p.x_b + p.departure
    parts, build = (p.parts, FAMILIES[family][1]) if structured else ((p.B,), Dense)
    arrays = (parts, p.H, p.x_b, p.b, p.R, p.observed(truth))
    keys, found = jax.random.split(jax.random.key(seed), count), []
    for start in range(0, count, RUN):  # of one shape, so that a repeat does not compile again
        some = jax.tree.map(lambda a, start=start: jnp.asarray(a[start : start + RUN]), (keys, *arrays))
        found.append(_batched(solve, build)(*some))
    mean, sigma, draws, gradient = (np.concatenate(column) for column in zip(*found, strict=True))
    total = truth.sum(axis=1)
    return Scores((mean - total) / sigma, (draws < total[:, None]).sum(axis=1), None, int((gradient > 1e-10).sum()))


# --- ensembles --------------------------------------------------------------------------------------------------------
def members_of(solver, problem, key):
    """Posterior members from random prior members; pure, so that it can be vmapped."""
    for_prior, for_noise = jax.random.split(key)
    prior = prior_members(problem, for_prior, solver.members)
    if isinstance(solver, EsMda):
        noise = solver.noise(problem, for_noise)
        return smooth(problem, prior, noise, solver.weakening, solver.localisation, solver.inflation, solver.centred)[0]
    return transform(problem, prior, solver.localisation, solver.inflation, solver.relaxation, solver.centred)[0]


@eqx.filter_jit
def _ensembles(solver, keys, *arrays):
    def one(key, B, H, x_b, b, R, y):
        problem = Problem(lx.MatrixLinearOperator(H), x_b, Dense(B), y, Dense(R), b)
        for_members, for_draws = jax.random.split(key)
        members = members_of(solver, problem, for_members)
        posterior = EnsemblePosterior(problem, jnp.mean(members, axis=0), "", members, jnp.zeros(N), jnp.zeros(()))
        total = posterior.aggregate(TOTAL)
        return total.mean[0], total.sigma[0], posterior.sample(for_draws, DRAWS).sum(axis=1)

    return jax.lax.map(lambda a: one(*a), (keys, *arrays), batch_size=20)


def ensemble(solver, family: str, count: int, seed: int) -> Scores:
    """ES-MDA or LETKF; B goes in as a matrix, of which an ensemble takes draws only."""
    p = population(family, count, seed)
    truth = p.x_b + p.departure
    keys = jax.random.split(jax.random.key(seed), count)
    arrays = (jnp.asarray(a) for a in (p.B, p.H, p.x_b, p.b, p.R, p.observed(truth)))
    mean, sigma, draws = (np.asarray(a) for a in _ensembles(solver, keys, *arrays))
    total = truth.sum(axis=1)
    return Scores((mean - total) / sigma, (draws < total[:, None]).sum(axis=1))


def dfs(family: str, count: int, seed: int) -> np.ndarray:
    """(count,) degrees of freedom for signal of the population, trace of H B Hᵀ (H B Hᵀ + R)⁻¹."""
    p = population(family, count, seed)
    HBHt = p.H @ p.B @ p.H.transpose(0, 2, 1)
    return np.trace(HBHt @ np.linalg.inv(HBHt + p.R), axis1=1, axis2=2)


# --- one problem after another ----------------------------------------------------------------------------------------
def scored(posteriors, totals: np.ndarray, seed: int, skewed: int = 0) -> Scores:
    """Scores of posteriors through their interface; of skewed ones by as many draws."""
    z, ranks, shares, failed = [], [], [], 0
    for i, (posterior, total) in enumerate(zip(posteriors, totals, strict=True)):
        failed += posterior.result != "successful"
        weights = jnp.ones((1, posterior.mean.size))
        stated = posterior.aggregate(weights)
        draws = np.asarray(posterior.sample(jax.random.fold_in(jax.random.key(seed), i), skewed or DRAWS)).sum(axis=1)
        z.append((float(stated.mean[0]) - total) / float(stated.sigma[0]))
        ranks.append((draws[:DRAWS] < total).sum())
        shares.append(((draws < total).sum() + 0.5) / (len(draws) + 1))
    return Scores(np.array(z), np.array(ranks), np.array(shares) if skewed else None, failed)


def _windows(family: str) -> np.ndarray:
    """Windows of the elements: the prior of "kronecker" has two times."""
    return np.repeat([0, 1], N // 2) if family == "kronecker" else WINDOWS


def sequential(lag: int | None, family: str, count: int, seed: int, structured: bool = True) -> Scores:
    """Kalman smoother; with a lag shorter than all windows the priors of `MARKOV` are still exact."""
    windows = _windows(family)
    p = population(family, count, seed, causal=windows)
    solver = Sequential(windows, int(windows.max()) if lag is None else lag, np.minimum(SEEN, windows.max()))
    truth = p.x_b + p.departure
    y = p.observed(truth)
    return scored((solver.solve(p.problem(i, y, structured)) for i in range(count)), truth.sum(axis=1), seed)


def geostatistical(flat: bool, family: str, count: int, seed: int, structured: bool = True) -> Scores:
    """Trend of two covariates, β from its proper prior N(β₀, P); or any β, here far out, where its prior is flat."""
    p, rng = population(family, count, seed), np.random.default_rng([seed, 1])
    design = np.stack([np.ones((count, N)), rng.normal(size=(count, N))], axis=2)
    P, beta_0 = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([1.0, -2.0])
    beta = 30.0 * rng.normal(size=(count, 2)) if flat else rng.multivariate_normal(beta_0, P, count)
    truth = p.x_b + np.einsum("cip,cp->ci", design, beta) + p.departure
    y = p.observed(truth)
    solvers = (Geostatistical(X) if flat else Geostatistical(X, beta_0, P) for X in design)
    posteriors = (solver.solve(p.problem(i, y, structured)) for i, solver in enumerate(solvers))
    return scored(posteriors, truth.sum(axis=1), seed)


def truncated(family: str, count: int, seed: int) -> Scores:
    """x ≥ 0 with prior modes 0 to 1.5 σ above the bound; truths by rejection from the truncated prior."""
    p, rng = population(family, count, seed), np.random.default_rng([seed, 1])
    p = dataclasses.replace(p, x_b=rng.uniform(0.0, 1.5, (count, N)) * np.sqrt(np.diagonal(p.B, axis1=1, axis2=2)))
    truth = np.stack([_positive(rng, x_b, B) for x_b, B in zip(p.x_b, p.B, strict=True)])
    y = p.observed(truth)

    def posterior(i) -> AbstractPosterior:
        problem = p.problem(i, y, False)
        found = Truncated(seed=i, warmup=100, count=500).solve(problem)
        # As its result asks for: longer chains, the solver's own defaults.
        return found if found.result == "successful" else Truncated(seed=i).solve(problem)

    return scored((posterior(i) for i in range(count)), truth.sum(axis=1), seed, skewed=1999)


def _positive(rng, mean, B) -> np.ndarray:
    root = np.linalg.cholesky(B)
    while True:
        draws = mean + rng.normal(size=(1000, N)) @ root.T
        inside = draws[(draws >= 0.0).all(axis=1)]
        if len(inside):
            return inside[0]


# --- log-normal unknowns ----------------------------------------------------------------------------------------------
def _lognormal_population(family: str, count: int, seed: int, spread: float, noise: float):
    """Positive H, prior medians around one, root-mean-square σ of log x equal to `spread`, noise relative to x."""
    p, rng = population(family, count, seed), np.random.default_rng([seed, 2])
    B = p.B * (spread**2 * N / np.trace(p.B, axis1=1, axis2=2))[:, None, None]
    x_b, H = np.exp(0.5 * rng.normal(size=(count, N))), rng.uniform(size=p.H.shape)
    p = dataclasses.replace(p, B=B, x_b=x_b, H=H, R=p.R * noise**2, noise=p.noise * noise)
    truth = x_b * np.exp(p.departure)
    return p, truth, p.observed(truth)


def laplace(spread: float, noise: float, family: str, count: int, seed: int) -> Scores:
    """Log-normal by Laplace's method: as good as the Gaussian that touches the density of log x."""
    p, truth, y = _lognormal_population(family, count, seed, spread, noise)
    posteriors = (LogNormal().solve(p.problem(i, y, False)) for i in range(count))
    return scored(posteriors, truth.sum(axis=1), seed, skewed=1999)


@eqx.filter_jit
def _sampled(*arrays):
    """One problem after another: in a batch every trajectory would be as long as the longest."""

    def one(key, B, H, x_b, b, R, y, positive):
        problem = Problem(lx.MatrixLinearOperator(H), x_b, Dense(B), y, Dense(R), b)
        target = eqx.tree_at(lambda t: t.transform.positive, target_of(problem, None), positive)
        target, _ = target.preconditioned()
        run = run_chains(target, key, 2, 200, 300, jnp.asarray(0.9), 10)
        return jax.vmap(target.x)(run.u.reshape(-1, N)).sum(axis=1), run.divergent.sum()

    return jax.lax.map(lambda a: one(*a), arrays)


def sampling(spread: float | None, family: str, count: int, seed: int) -> Scores:
    """NUTS: Gaussian unknowns, or log-normal ones of this spread; B goes in as a matrix."""
    if spread is None:
        p = population(family, count, seed)
        truth = p.x_b + p.departure
        y = p.observed(truth)
    else:
        p, truth, y = _lognormal_population(family, count, seed, spread, 1.0)
    flags = jnp.full((count, N), spread is not None)
    keys = jax.random.split(jax.random.key(seed), count)
    arrays = [jnp.asarray(a) for a in (p.B, p.H, p.x_b, p.b, p.R, y)]
    draws, divergent = (np.asarray(a) for a in _sampled(keys, *arrays, flags))
    if divergent.sum() > 0.01 * draws.size:  # a few in steep log-normals are expected of so short chains
        print(f"{divergent.sum()} of {draws.size} transitions diverged")
    scores = from_draws(truth.sum(axis=1), draws)
    return scores if spread is not None else dataclasses.replace(scores, share=None)


# --- hyper-parameters and transport parameters ------------------------------------------------------------------------
class Uncertain(eqx.Module):
    """Spread θ₀ of a prior with a known correlation, mismatch θ₁."""

    H: Array
    y: Array
    C: Array

    def __call__(self, theta):
        m, n = self.H.shape
        B, R = Scaled(theta[0] * jnp.ones(n), Dense(self.C)), Diagonal(theta[1] * jnp.ones(m))
        return Problem(lx.MatrixLinearOperator(self.H), jnp.ones(n), B, self.y, R, jnp.zeros(m))


MEDIAN, LOG_SIGMA = np.array([1.0, 0.8]), np.array([0.5, 0.3])


def hierarchical(family: str, count: int, seed: int) -> Scores:
    """Collapsed: θ from its prior, x from that of θ, eight data each."""
    p, rng = population(family, count, seed), np.random.default_rng([seed, 3])
    sigma = np.sqrt(np.diagonal(p.B, axis1=1, axis2=2))
    C = p.B / sigma[:, :, None] / sigma[:, None, :]
    theta = MEDIAN * np.exp(LOG_SIGMA * rng.normal(size=(count, 2)))
    H = rng.uniform(size=(count, 8, N))
    truth = 1.0 + theta[:, :1] * np.einsum("cij,cj->ci", np.linalg.cholesky(C), p.white)
    y = np.einsum("cij,cj->ci", H, truth) + theta[:, 1:] * rng.normal(size=(count, 8))

    def posterior(i) -> AbstractPosterior:
        found = None
        # Chains that say they are too short are run again, longer, as their result asks for.
        for chains, warmup, kept, acceptance in ((2, 200, 700, 0.9), (4, 500, 1500, 0.98)):
            solver = Hierarchical(("spread", "mismatch"), MEDIAN, LOG_SIGMA, chains, warmup, kept, i, acceptance,
                                  "collapsed")  # fmt: skip
            found = solver.solve(Uncertain(*(jnp.asarray(a[i]) for a in (H, y, C))))
            if found.result == "successful":
                break
        return found

    return scored((posterior(i) for i in range(count)), truth.sum(axis=1), seed, skewed=1999)


class Compiled(eqx.Module):
    """A function of p that is compiled once for all data."""

    inner: eqx.Module

    def __call__(self, p):
        return _called(self.inner, p)


@eqx.filter_jit
def _called(inner, p):
    return inner(p)


def transport(solve: Callable, family: str, count: int, seed: int) -> Scores:
    """Wind, mixing height and background from their prior, together with the fluxes (toy of `test_joint`)."""
    from tests.inversion import test_joint as toy

    assert family == "exponential"
    rng = np.random.default_rng([seed, 4])
    p = rng.multivariate_normal(np.asarray(toy.P_B), toy.P_COV, count)
    blank = Compiled(toy.Toy(jnp.zeros(toy.WINDS.size * toy.SIGMA.size), toy.HEIGHTS))
    white = rng.normal(size=(count, toy.CELLS)), rng.normal(size=(count, blank.inner.y.size))
    at = np.arange(toy.CELLS)
    root = np.linalg.cholesky(0.25 * np.exp(-np.abs(np.subtract.outer(at, at)) / 3.0))
    truth = 1.0 + white[0] @ root.T
    sigma = np.tile(toy.SIGMA, toy.WINDS.size)

    def posterior(i):
        y = blank(jnp.asarray(p[i])).modelled(jnp.asarray(truth[i])) + sigma * white[1][i]
        return solve(Compiled(toy.Toy(y, toy.HEIGHTS)), toy.P_B, toy.P_COV)

    return scored((posterior(i) for i in range(count)), truth.sum(axis=1), seed)


SOLVERS: dict[str, Callable[[str, int, int], Scores]] = {
    "analytic, state space": functools.partial(gaussian, _state),
    "analytic, observation space": functools.partial(gaussian, _observation),
    "variational": functools.partial(gaussian, _variational),
    "sequential, lag of all windows": functools.partial(sequential, None),
    "sequential, lag 0": functools.partial(sequential, 0),
    "geostatistical": functools.partial(geostatistical, False),
    "geostatistical, flat trend": functools.partial(geostatistical, True),
    "ES-MDA, 1000 members": functools.partial(ensemble, EsMda(1000)),
    "LETKF, 1000 members": functools.partial(ensemble, Letkf(1000)),
    **{f"ES-MDA, {k} members": functools.partial(ensemble, EsMda(k)) for k in (20, 100)},
    **{f"LETKF, {k} members": functools.partial(ensemble, Letkf(k)) for k in (20, 100)},
    "sampling": functools.partial(sampling, None),
    "sampling, log-normal": functools.partial(sampling, 1.0),
    "log-normal Laplace, σ 0.1": functools.partial(laplace, 0.1, 1.0),
    "log-normal Laplace, σ 0.3": functools.partial(laplace, 0.3, 1.0),
    "log-normal Laplace, σ 1": functools.partial(laplace, 1.0, 1.0),
    "log-normal Laplace, σ 1, noise 0.03": functools.partial(laplace, 1.0, 0.03),
    "truncated Gaussian": truncated,
    "hierarchical, collapsed": hierarchical,
    "transport parameters, marginal": functools.partial(transport, marginal_solve),
    "transport parameters, joint": functools.partial(transport, joint_solve),
}


def seed_of(solver: str, family: str) -> int:
    """A seed of its own for every pair, so that their figures are independent."""
    return zlib.crc32(f"{solver}, {family}".encode())

"""Local ensemble transform Kalman filter (LETKF): a deterministic update in the space of the members.

With deviations X, Y of the prior members and of what they predict (columns over √(N − 1)), d = y − ȳ, and for one
element the weakened precision R_j⁻¹ = diag(τ_j / σ²), τ_j its row of the taper,

    w = (I + Yᵀ R_j⁻¹ Y)⁻¹ Yᵀ R_j⁻¹ d,    x̂_j = x̄_j + X_j w,    X_j ← X_j (I + Yᵀ R_j⁻¹ Y)^-½

(Hunt et al. 2007, doi 10.1016/j.physd.2006.11.008, §2.3 and §3; symmetric square root, so that the members keep their
mean and change continuously from one element to the next), in the smaller of the spaces of members and observations.
Without a taper all elements share one update: the ETKF, for any R. No observation is perturbed: members that carry x_b
and B exactly give the exact posterior.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from inversion.covariance import Diagonal
from inversion.posterior import AbstractPosterior
from inversion.problem import Problem
from inversion.solvers import AbstractSolver
from inversion.solvers.ensemble import (
    EnsemblePosterior,
    Spectrum,
    centre,
    deviations,
    inflated,
    jackknife,
    judged,
    predicted,
    prior_members,
    require_fitting,
    require_options,
    whiten,
)
from inversion.solvers.prior import prior_posterior
from transport.batches import in_batches
from transport.errors import TanhengError

# Local analyses at once.
BATCH = 32


def _analysis(Z: Float[Array, "m N"], delta: Float[Array, " m"], X: Float[Array, "N k"]):
    """X_j w, X_j (I + ZᵀZ)^-½ and the DFS, for whitened Z and d."""
    spectrum = Spectrum(Z)
    return (spectrum.weights(1.0) @ delta) @ X, spectrum.shrunk(X), spectrum.dfs


def transform(
    problem: Problem, prior: Float[Array, "N n"], localisation: Array | None = None, inflation: float = 1.0,
    relaxation: float = 0.0, centred: bool = True,
) -> tuple[Float[Array, "N n"], Float[Array, ""]]:  # fmt: skip
    """Posterior members and the DFS of the prior members; pure, so that many problems can be solved under vmap.

    Args:
        problem: linear; R diagonal with a taper.
        prior: (N, n) members.
        localisation: (n, m) taper, or None.
        inflation: of the posterior standard deviations.
        relaxation: share a of the lost spread that is given back, σ ← σ + a (σ_b − σ), before the inflation.
        centred: whether the prior members are moved to have exactly the mean x_b.
    """
    members = centre(prior, problem.x_b) if centred else prior
    mean, X = jnp.mean(members, axis=0), deviations(members)
    y = predicted(problem, members)
    Z = whiten(problem.R, deviations(y).T)
    delta = whiten(problem.R, problem.y - jnp.mean(y, axis=0))
    if localisation is None:
        increment, shrunk, dfs = _analysis(Z, delta, X)
    else:

        def at_element(element):
            x, row = element
            root = jnp.sqrt(row)
            increment, shrunk, dfs = _analysis(root[:, None] * Z, root * delta, x[:, None])
            return increment[0], shrunk[:, 0], dfs

        increment, columns, dfs = in_batches(at_element, (X.T, localisation), BATCH)
        shrunk, dfs = columns.T, jnp.max(dfs)
    if relaxation:
        before, after = (jnp.linalg.norm(v, axis=0) for v in (X, shrunk))
        shrunk = shrunk * (1.0 + relaxation * (before - after) / jnp.where(after > 0.0, after, 1.0))
    return inflated(mean + increment + (len(prior) - 1) ** 0.5 * shrunk, inflation), dfs


_transform = eqx.filter_jit(transform)


@eqx.filter_jit
def _mean_error(problem, prior, localisation, inflation, relaxation, centred, groups):
    def update(kept):
        members, _ = transform(problem, prior[kept], localisation, inflation, relaxation, centred)
        return jnp.mean(members, axis=0)

    return jackknife(update, len(prior), groups, problem.x_b.size)


class Letkf(AbstractSolver):
    """Local ensemble transform Kalman filter; without localisation the ETKF.

    Sampling errors fall as N^-½. With few members the stated variance is too small by up to (DFS + 1)/(N − 1) of
    itself (see `inversion.solvers.ensemble`); localisation lowers the DFS to that of one local analysis, and a result
    whose DFS exceeds half of N − 1 is a failure. A taper weakens real correlations beyond its reach as well.

    Args:
        members: N.
        localisation: (n, m) factors 0…1 on the precision of each observation for each element (`ensemble.taper`), or
            None. R must then be `Diagonal`. An element with a row of ones sees all observations.
        inflation: factor on the posterior standard deviations.
        seed: of the members.
        relaxation: relaxation to prior spread, 0…1 (Whitaker & Hamill 2012, doi 10.1175/MWR-D-11-00276.1, eq. 2).
        centred: move the prior members so that their mean is exactly x_b.
        groups: of the jackknife for `mean_error`, each one a further update; 0 for none.

    Raises:
        TanhengError: fewer than two members, an inflation that is not positive, a relaxation outside 0…1.
    """

    members: int = eqx.field(static=True)
    localisation: Float[Array, "n m"] | None = None
    inflation: float = eqx.field(static=True, default=1.0)
    seed: int = eqx.field(static=True, default=0)
    relaxation: float = eqx.field(static=True, default=0.0)
    centred: bool = eqx.field(static=True, default=True)
    groups: int = eqx.field(static=True, default=10)

    def __check_init__(self):
        require_options(self.members, self.inflation)
        if not 0.0 <= self.relaxation <= 1.0:
            raise TanhengError("relaxation is a share of the lost spread", got=self.relaxation, expected="0…1",
                               remedy="0 for none")  # fmt: skip

    def solve(self, problem: Problem, initial: Float[Array, "N n"] | None = None) -> AbstractPosterior:
        """The posterior as members.

        Args:
            problem: linear.
            initial: (N, n) prior members instead of random ones; `mean_error` is then not estimated.

        Raises:
            TanhengError: a taper or initial members that do not fit; a taper with a correlated R.
        """
        if problem.y.size == 0:
            return prior_posterior(problem)
        require_fitting(problem, self.localisation, initial, self.members)
        if self.localisation is not None and not isinstance(problem.R, Diagonal):
            raise TanhengError(
                "localisation weakens each observation alone", got=f"R is {type(problem.R).__name__}",
                expected="R is Diagonal", remedy="use solver=es_mda, which tapers the gain, or no localisation",
            )  # fmt: skip
        prior = initial
        if prior is None:
            prior = prior_members(problem, jax.random.key(self.seed), self.members)
        arguments = (problem, prior, self.localisation, self.inflation, self.relaxation, self.centred)
        members, dfs = _transform(*arguments)
        error = _mean_error(*arguments, self.groups if initial is None else 0)
        optimal = self.localisation is None and self.inflation == 1.0 and self.relaxation == 0.0
        mean = jnp.mean(members, axis=0)
        return judged(EnsemblePosterior(problem, mean, "successful", members, error, dfs, optimal))

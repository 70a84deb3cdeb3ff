"""Ensemble smoother with multiple data assimilation (ES-MDA): the same data several times, each time weakened.

For steps k = 1 … K with Σ 1/α_k = 1, and members x_i with predictions y_i = h(x_i) (deviations X, Y, columns over
√(N − 1)),

    x_i ← x_i + C_xy (C_yy + α_k R)⁻¹ (y + √α_k R^½ ε_i − y_i),    C_xy = X Yᵀ,  C_yy = Y Yᵀ,  ε_i ~ N(0, I)

(Emerick & Reynolds 2013, doi 10.1016/j.cageo.2012.03.011, §2.2). For a linear h and N → ∞ that is the exact
posterior; for a nonlinear h several small steps follow the curvature that one large step misses. With Z = R^-½ Y the
gain is X (α_k I + Zᵀ Z)⁻¹ Zᵀ R^-½, computed in the smaller of ensemble and observation space.

The observations are perturbed, so that even members which carry B exactly give a posterior with sampling error N^-½.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from inversion.posterior import AbstractPosterior, normal
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
from inversion.solvers.gauss_newton import NonlinearProblem
from inversion.solvers.prior import prior_posterior
from transport.batches import in_batches
from transport.errors import TanhengError

# Local spectra computed at once.
BATCH = 32


def smooth(
    problem: Problem | NonlinearProblem, prior: Float[Array, "N n"], noise: Float[Array, "K N m"],
    alphas: tuple[float, ...], localisation: Array | None = None, inflation: float = 1.0, centred: bool = False,
) -> tuple[Float[Array, "N n"], Float[Array, ""]]:  # fmt: skip
    """Posterior members and the DFS of the prior members; pure, so that many problems can be solved under vmap.

    Args:
        problem: linear or not.
        prior: (N, n) members.
        noise: (K, N, m) draws of N(0, R), one for each step.
        alphas: α_k.
        localisation: (n, m) taper of the gain, or None.
        inflation: of the posterior standard deviations.
        centred: whether prior members and noise are moved to have exactly the mean x_b and 0.
    """
    members = centre(prior, problem.x_b) if centred else prior
    if centred:
        noise = noise - jnp.mean(noise, axis=1, keepdims=True)
    dfs = jnp.zeros(())
    for k, alpha in enumerate(alphas):
        y = predicted(problem, members)
        X, target = deviations(members), problem.y + alpha**0.5 * noise[k]
        # One solve with R serves what is predicted and what is observed.
        whitened = whiten(problem.R, jnp.concatenate([y, target]).T)
        P, D = whitened[:, : len(y)], whitened[:, len(y) :] - whitened[:, : len(y)]
        spectrum = Spectrum(deviations(P.T).T)
        if k == 0:
            dfs = spectrum.dfs if localisation is None else _local_dfs(problem, deviations(y), localisation)
        weights = spectrum.weights(alpha)
        if localisation is None:
            # In the order whose intermediate, (n, m) or (N, N), is no larger than the members or what they predict.
            count, m = y.shape
            members = members + (((X.T @ weights) @ D).T if m <= count else (weights @ D).T @ X)
        else:
            # Only a taper needs the gain itself, X (α I + Zᵀ Z)⁻¹ Zᵀ R^-½ with R^-½ᵀ = R⁻¹ R^½.
            gain = problem.R.solve(problem.R.sqrt_mv(weights.T @ X)).T
            members = members + (target - y) @ (localisation * gain).T
    return inflated(members, inflation), dfs


def _local_dfs(problem: Problem | NonlinearProblem, Y: Array, localisation: Array) -> Array:
    """The largest DFS that one element sees through its taper; correlations in R are left out of this diagnostic."""
    Z = Y / jnp.sqrt(problem.R.diagonal())

    def of_element(row):
        return Spectrum((Z * jnp.sqrt(row)).T).dfs

    return jnp.max(in_batches(of_element, localisation, BATCH))


_smooth = eqx.filter_jit(smooth)


@eqx.filter_jit
def _mean_error(problem, prior, noise, alphas, localisation, inflation, centred, groups):
    def update(kept):
        members, _ = smooth(problem, prior[kept], noise[:, kept], alphas, localisation, inflation, centred)
        return jnp.mean(members, axis=0)

    return jackknife(update, len(prior), groups, problem.x_b.size)


class EsMda(AbstractSolver):
    """Ensemble smoother with multiple data assimilation, for linear and nonlinear observations.

    Sampling errors fall as N^-½. With few members the stated variance is too small by up to (DFS + 1)/(N − 1) of
    itself (see `inversion.solvers.ensemble`), and the result is a failure when the DFS exceeds half of N − 1.

    Args:
        members: N.
        steps: K, how often the data are used; 1 is the ensemble smoother.
        alphas: α_1 … α_K with Σ 1/α = 1; None for α = K.
        seed: of members and perturbations.
        localisation: (n, m) factors 0…1 on the gain (`ensemble.taper`), or None. R may be correlated.
        inflation: factor on the posterior standard deviations.
        centred: move prior members and perturbations so that their means are exact.
        groups: of the jackknife for `mean_error`, each one a further update; 0 where h is expensive.

    Raises:
        TanhengError: fewer than two members, Σ 1/α ≠ 1, an α that is not positive, a number of α other than steps.
    """

    members: int = eqx.field(static=True)
    steps: int = eqx.field(static=True, default=4)
    alphas: tuple[float, ...] | None = eqx.field(static=True, default=None)
    seed: int = eqx.field(static=True, default=0)
    localisation: Float[Array, "n m"] | None = None
    inflation: float = eqx.field(static=True, default=1.0)
    centred: bool = eqx.field(static=True, default=False)
    groups: int = eqx.field(static=True, default=10)

    def __check_init__(self):
        require_options(self.members, self.inflation)
        if self.steps < 1:
            raise TanhengError("ES-MDA needs a step", got=self.steps, expected="at least 1",
                               remedy="4 is usual")  # fmt: skip
        if self.alphas is None:
            return
        alphas = np.asarray(self.alphas, dtype=float)
        total = float(np.sum(1.0 / alphas)) if (alphas > 0.0).all() else float("nan")
        if len(alphas) != self.steps or not abs(total - 1.0) <= 1e-8:
            raise TanhengError(
                "the data must be used once in all", got=f"{len(alphas)} α in {self.steps} steps, Σ 1/α = {total:.9g}",
                expected="one positive α per step, Σ 1/α = 1", remedy="leave alphas out for α = steps",
            )  # fmt: skip

    @property
    def weakening(self) -> tuple[float, ...]:
        """α_1 … α_K."""
        if self.alphas is None:
            return (float(self.steps),) * self.steps
        return tuple(float(a) for a in self.alphas)

    def solve(
        self, problem: Problem | NonlinearProblem, initial: Float[Array, "N n"] | None = None
    ) -> AbstractPosterior:
        """The posterior as members; that of a nonlinear problem holds its linearisation at the mean.

        Args:
            problem: linear, or y = h(x) + ε.
            initial: (N, n) prior members instead of random ones; `mean_error` is then not estimated.

        Raises:
            TanhengError: a taper or initial members that do not fit; a nonlinear problem without observations.
        """
        if problem.y.size == 0:
            if isinstance(problem, Problem):
                return prior_posterior(problem)
            raise TanhengError("a nonlinear problem needs observations", got=0, expected="at least one",
                               remedy="without observations the posterior is the prior")  # fmt: skip
        require_fitting(problem, self.localisation, initial, self.members)
        for_members, for_noise = jax.random.split(jax.random.key(self.seed))
        prior = prior_members(problem, for_members, self.members) if initial is None else initial
        arguments = (problem, prior, self.noise(problem, for_noise), self.weakening, self.localisation, self.inflation,
                     self.centred)  # fmt: skip
        members, dfs = _smooth(*arguments)
        error = _mean_error(*arguments, self.groups if initial is None else 0)
        mean = jnp.mean(members, axis=0)
        linear = problem if isinstance(problem, Problem) else problem.linearised(mean)
        optimal = self.localisation is None and self.inflation == 1.0
        return judged(EnsemblePosterior(linear, mean, "successful", members, error, dfs, optimal))

    def noise(self, problem: Problem | NonlinearProblem, key) -> Float[Array, "K N m"]:
        """R^½ ε for every step and member."""
        keys = jax.random.split(key, self.steps)
        return jnp.stack([problem.R.sqrt_mv(normal(k, problem.y.size, self.members)).T for k in keys])

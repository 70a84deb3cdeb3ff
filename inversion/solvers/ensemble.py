"""What the ensemble solvers share: the posterior held as members, tapers, inflation, and how an ensemble is judged.

N members x_i carry the mean x̂ and the covariance of the posterior,

    x̂ = 1/N Σ x_i,    A = 1/(N − 1) Σ (x_i − x̂) (x_i − x̂)ᵀ

so that A holds the spread between members, and with it every correlation between elements. Both have a sampling error
that falls as N^-½, and a bias that falls as 1/N: the gain is computed from members that it then updates, and to
second order in the sampling error of B̂

    E[Â] ≈ A − (L B M B Lᵀ + DFS · L B Lᵀ) / (N − 1),    L = I − K H,  M = Hᵀ S⁻¹ H,  L B Lᵀ ≤ A

A finite ensemble is therefore overconfident, by a share of the variance that is at most (DFS + 1)/(N − 1)
(Sacher & Bartello 2008, doi 10.1175/2007MWR2323.1, on such biases; Hotta & Ota 2020, arXiv 2006.00517, on DFS ≤ N − 1).
More members remove it; inflation and relaxation to the prior spread (Whitaker & Hamill 2012,
doi 10.1175/MWR-D-11-00276.1) only counter it, and localisation lowers the DFS that counts.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from inversion.covariance import AbstractCovariance
from inversion.covariance.kernels import AbstractKernel
from inversion.distance import great_circle
from inversion.posterior import AbstractPosterior, normal
from inversion.problem import Problem
from inversion.solvers.actions import forward
from inversion.solvers.gauss_newton import NonlinearProblem
from transport.errors import TanhengError

# A taper is a dense (n, m) matrix up to this many numbers (0.8 GiB).
TAPER_LIMIT = 100_000_000
# Where many directions are each seen weakly, the members' own DFS is half their rank when the true DFS is all of it.
SATURATION_LIMIT = 0.5


class EnsemblePosterior(AbstractPosterior):
    """Posterior held as members; everything is computed from all of them, none is selected or weighted.

    A localised posterior too takes its covariance and totals from the members as they are: the members of distant
    elements keep the correlation of the sample.

    Args:
        members: (N, n).
        mean_error: (n,) Monte Carlo standard error of `mean` by the jackknife; NaN where it was not estimated.
        dfs: degrees of freedom for signal that the data take from the prior members; with localisation the largest
            among the local analyses.
        optimal: whether the members hold the posterior of the gain K = A Hᵀ R⁻¹: False with localisation, inflation or
            relaxation, whose A has lost or gained covariance that the update did not.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    members: Float[Array, "N n"]
    mean_error: Float[Array, " n"]
    dfs: Float[Array, ""]
    optimal: bool = eqx.field(static=True, default=True)

    @property
    def deviations(self) -> Float[Array, "N n"]:
        """(x_i − x̂) / √(N − 1): A is deviationsᵀ deviations."""
        return deviations(self.members)

    @property
    def saturation(self) -> Float[Array, ""]:
        """DFS / (N − 1): the share of the variance that may be missing; above ½ the result is a failure."""
        return self.dfs / (len(self.members) - 1)

    @property
    def effective_rank(self) -> Float[Array, ""]:
        """(Σ λ)² / Σ λ² over the eigenvalues λ of A with each unknown in units of its prior σ; at most N − 1."""
        X = self.deviations / jnp.sqrt(self.problem.B.diagonal())
        gram = X @ X.T if X.shape[0] <= X.shape[1] else X.T @ X
        return jnp.trace(gram) ** 2 / jnp.sum(gram**2)

    def covariance_mv(self, v):
        """Xᵀ (X v), X the deviations."""
        X = self.deviations
        return X.T @ (X @ v)

    def sample(self, key, count):
        """x̂ + Xᵀ ξ, ξ ~ N(0, I_N): Gaussian draws with the members' mean and covariance, not the members themselves."""
        return self.mean + normal(key, count, len(self.members)) @ self.deviations

    def leverage(self):
        """diag(H A Hᵀ R⁻¹), with the members' A; NaN where that is not diag(H K)."""
        if not self.optimal:
            return jnp.full(self.problem.y.size, jnp.nan)
        HX = forward(self.problem.H, self.deviations.T)
        return jnp.sum(HX * self.problem.R.solve(HX), axis=1)

    def cost(self):
        """By its definition, with the prior's B and not that of the members."""
        r, change = self.problem.y - self.problem.modelled(self.mean), self.mean - self.problem.x_b
        return r @ self.problem.R.solve(r) + change @ self.problem.B.solve(change)

    def diagonal(self):
        """Variances of the members, with 1/(N − 1)."""
        return jnp.var(self.members, axis=0, ddof=1)

    def variance(self, weights):
        """Variances of the members' totals."""
        return jnp.var(self.members @ weights.T, axis=0, ddof=1)


def deviations(members: Float[Array, "N n"]) -> Float[Array, "N n"]:
    """(x_i − x̄) / √(N − 1)."""
    return (members - jnp.mean(members, axis=0)) / (len(members) - 1) ** 0.5


def prior_members(problem: Problem | NonlinearProblem, key: PRNGKeyArray, count: int) -> Float[Array, "count n"]:
    """x_b + B^½ ξ_i, independent."""
    return (problem.x_b[:, None] + problem.B.sqrt_mv(normal(key, problem.x_b.size, count))).T


def complete_members(problem: Problem | NonlinearProblem, key: PRNGKeyArray, count: int) -> Float[Array, "count n"]:
    """Members whose sample mean is x_b and whose sample covariance is B, both exactly.

    x_i = x_b + √(N − 1) B^½ u_i, with (N, n) rows u_i of orthonormal columns that sum to zero
    (second-order exact: Pham 2001, doi 10.1175/1520-0493(2001)129<1194:SMFSDA>2.0.CO;2).

    Args:
        problem: x_b and B.
        key: random key, of the rotation.
        count: N, at least n + 1.

    Raises:
        TanhengError: too few members to span all unknowns.
    """
    n = problem.x_b.size
    if count < n + 1:
        raise TanhengError(
            "a complete ensemble has more members than unknowns", got=count, expected=f"at least {n + 1}",
            remedy="draw random members instead",
        )  # fmt: skip
    noise = normal(key, count, n)
    u = jnp.linalg.qr(noise - jnp.mean(noise, axis=0))[0]
    return (problem.x_b[:, None] + (count - 1) ** 0.5 * problem.B.sqrt_mv(u.T)).T


def centre(members: Float[Array, "N n"], mean: Float[Array, " n"]) -> Float[Array, "N n"]:
    """The members moved together so that their mean is `mean`."""
    return members + (mean - jnp.mean(members, axis=0))


def inflated(members: Float[Array, "N n"], factor: float | Array) -> Float[Array, "N n"]:
    """x̂ + r (x_i − x̂): standard deviations times r, variances times r²; r is a number or (n,).

    Multiplicative inflation (Anderson & Anderson 1999, doi 10.1175/1520-0493(1999)127<2741:AMCIOT>2.0.CO;2), here of
    the posterior: inflating the prior members would be another prior.
    """
    mean = jnp.mean(members, axis=0)
    return mean + factor * (members - mean)


def predicted(problem: Problem | NonlinearProblem, members: Float[Array, "N n"]) -> Float[Array, "N m"]:
    """H x_i + b, or h(x_i), of each member."""
    if isinstance(problem, NonlinearProblem):
        return jax.vmap(problem.h)(members)
    return forward(problem.H, members.T).T + problem.b


def whiten(R: AbstractCovariance, v: Array) -> Array:
    """R^-½ v, with R^-½ = R^½ᵀ R⁻¹, so that R^-½ᵀ R^-½ = R⁻¹ for every covariance; v is (m,) or (m, k)."""
    return R.sqrt_transposed_mv(R.solve(v))


class Spectrum(eqx.Module):
    """Eigenpairs of the smaller of Z Zᵀ and Zᵀ Z, for Z = R^-½ Y of shape (m, N); nothing is divided by an eigenvalue.

    Singular values would square no condition number, but λ + 1 and λ + α need none of the digits that squaring costs.
    """

    Z: Float[Array, "m N"]
    values: Float[Array, " k"]
    vectors: Float[Array, "k k"]

    def __init__(self, Z):
        self.Z = Z
        values, self.vectors = jnp.linalg.eigh(Z @ Z.T if Z.shape[0] <= Z.shape[1] else Z.T @ Z)
        self.values = jnp.maximum(values, 0.0)

    @property
    def dfs(self) -> Array:
        """Σ λ / (1 + λ)."""
        return jnp.sum(self.values / (1.0 + self.values))

    def weights(self, alpha: float) -> Float[Array, "N m"]:
        """(α I + Zᵀ Z)⁻¹ Zᵀ = Zᵀ (α I + Z Zᵀ)⁻¹."""
        Q = self.vectors
        inverse = (Q / (self.values + alpha)) @ Q.T
        return self.Z.T @ inverse if self.Z.shape[0] <= self.Z.shape[1] else inverse @ self.Z.T

    def shrunk(self, X: Float[Array, "N k"]) -> Float[Array, "N k"]:
        """(I + Zᵀ Z)^-½ X, which is X − Zᵀ U (1 + Λ + (1 + Λ)^½)⁻¹ Uᵀ Z X with Z Zᵀ = U Λ Uᵀ."""
        Q, root = self.vectors, jnp.sqrt(1.0 + self.values)
        if self.Z.shape[0] <= self.Z.shape[1]:
            return X - self.Z.T @ ((Q / (root * (1.0 + root))) @ (Q.T @ (self.Z @ X)))
        return (Q / root) @ (Q.T @ X)


def taper(
    control: Float[np.ndarray, "n 2"], observations: Float[np.ndarray, "m 2"], kernel: AbstractKernel,
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray] = great_circle,
) -> Float[Array, "n m"]:  # fmt: skip
    """How much each element may learn from each observation: ρ(distance), and 1 where either has no place.

    Args:
        control: (n, 2) coordinates of the elements; NaN for those without a place (boundary, bias, offset).
        observations: (m, 2) coordinates of the observations; NaN for those that see everything.
        kernel: ρ; Gaspari–Cohn ends at 2 L.
        distance: (n, 2), (m, 2) ↦ (n, m), in the unit of the kernel's length.

    References:
        Gaspari & Cohn (1999), doi 10.1002/qj.49712555417; Hunt et al. (2007), doi 10.1016/j.physd.2006.11.008, §3.
    """
    control, observations = np.asarray(control, dtype=float), np.asarray(observations, dtype=float)
    placed = [np.isfinite(points).all(axis=1) for points in (control, observations)]
    result = np.ones((len(control), len(observations)))
    result[np.ix_(*placed)] = kernel(jnp.asarray(distance(control[placed[0]], observations[placed[1]])))
    return jnp.asarray(result)


def jackknife(update: Callable[[Int[Array, " kept"]], Array], count: int, groups: int, size: int) -> Array:
    """Standard error of a mean by leaving out one group of members after another.

    σ² = (N − s)/s · 1/G Σ (x̂_g − x̄)²,  x̂_g without group g of s = ⌊N/G⌋ members (Efron & Stein 1981,
    doi 10.1214/aos/1176345462). It sees the sampling error of the gain too, since each x̂_g is a whole new update.

    Args:
        update: indices of the kept members ↦ x̂_g.
        count: N.
        groups: G; its own relative error is about (2 (G − 1))^-½. Below 2 nothing is estimated.
        size: n.

    Returns:
        (n,), NaN where it cannot be estimated.
    """
    groups = min(groups, count)
    if groups < 2 or count < 3:
        return jnp.full(size, jnp.nan)
    s = count // groups
    kept = np.stack([np.delete(np.arange(count), np.arange(g * s, (g + 1) * s)) for g in range(groups)])
    means = jax.lax.map(update, jnp.asarray(kept))
    return jnp.sqrt((count - s) / s * jnp.mean((means - jnp.mean(means, axis=0)) ** 2, axis=0))


def judged(posterior: EnsemblePosterior) -> EnsemblePosterior:
    """The posterior with its result: members must be finite, spread, and many enough for what the data say."""
    result = posterior.result
    # Members that agree to rounding, of themselves or of the prior σ, have no spread.
    size = jnp.max(jnp.abs(posterior.members), axis=0) + jnp.sqrt(posterior.problem.B.diagonal())
    apart = posterior.diagonal() > (1e-14 * size) ** 2
    if not bool(jnp.isfinite(posterior.members).all()):
        result = "not finite: a member, an observation, or what a member predicts"
    elif not bool(apart.all()):
        result = f"spread collapsed: {int(jnp.sum(~apart))} unknowns on which all members agree"
    elif float(posterior.saturation) > SATURATION_LIMIT:
        result = (
            f"too few members: the data determine {float(posterior.dfs):.1f} of the {len(posterior.members) - 1} "
            "directions of the ensemble; take more members, or localise"
        )
    return dataclasses.replace(posterior, result=result)


def require_options(members: int, inflation: float) -> None:
    """Refuse what no ensemble solver can work with.

    Raises:
        TanhengError: fewer than two members; an inflation that is not positive.
    """
    if members < 2:
        raise TanhengError("an ensemble needs members", got=members, expected="at least 2",
                           remedy="raise solver.members")  # fmt: skip
    if not (np.isfinite(inflation) and inflation > 0.0):
        raise TanhengError("inflation multiplies standard deviations", got=inflation, expected="> 0",
                           remedy="1 leaves them as they are")  # fmt: skip


def require_fitting(
    problem: Problem | NonlinearProblem, localisation: Array | None, initial: Array | None, members: int
) -> None:
    """Refuse a taper or members that do not fit the problem.

    Raises:
        TanhengError: another shape; a taper that is not between 0 and 1, or too large.
    """
    n, m = problem.x_b.size, problem.y.size
    if initial is not None and initial.shape != (members, n):
        raise TanhengError("the initial members do not fit", got=f"{initial.shape}", expected=f"{(members, n)}",
                           remedy="give one row per member")  # fmt: skip
    if localisation is None:
        return
    if n * m > TAPER_LIMIT:
        raise TanhengError("a taper would not fit as a matrix", got=f"{n} × {m}", expected=f"{TAPER_LIMIT:.0e} numbers",
                           remedy="aggregate the control vector, or use solver=variational")  # fmt: skip
    if localisation.shape != (n, m) or not bool(((localisation >= 0.0) & (localisation <= 1.0)).all()):
        raise TanhengError(
            "the localisation does not fit the problem", got=f"shape {localisation.shape}",
            expected=f"{(n, m)}, all between 0 and 1", remedy="build it with inversion.solvers.ensemble.taper",
        )  # fmt: skip

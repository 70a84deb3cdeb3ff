"""Simulation-based calibration: truths from the prior, data from the likelihood, and where the truth then lies.

Over many problems, each another, the posterior of a total W x is right if the truth is like one more draw from it: its
rank among draws is uniform, its error in stated standard deviations has mean square 1, and central intervals hold it as
often as they say (Cook, Gelman & Rubin 2006, doi 10.1198/106186006X136976; Talts et al. 2018, arXiv 1804.06788).

Truths and data are made here in NumPy from dense matrices, so that a wrong covariance object cannot hide itself.
`SOLVERS` maps a name to f(family, count, seed) ↦ `Scores`; `FAMILIES` are the priors.
"""

import dataclasses
import zlib
from collections.abc import Callable

import jax.numpy as jnp
import lineax as lx
import numpy as np
import scipy.stats

from inversion.covariance import (
    Dense,
    Diagonal,
    Kronecker,
    LowRankPlusDiagonal,
    OrnsteinUhlenbeck,
    Scaled,
    ar1,
    exponential,
)
from inversion.problem import Problem

N, M, DRAWS = 6, 5, 19
RUN, BATCH = 4000, 200  # problems in one compiled run, and how many of them at once
WINDOWS, SEEN = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 2])  # of elements and observations
TOTAL = jnp.ones((1, N))


# --- scores -----------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Scores:
    """Where the truths of many problems lie in their posteriors.

    Args:
        z: (count,) error of the total in stated standard deviations.
        rank: (count,) how many of DRAWS draws lie below the truth.
        share: (count,) posterior probability below the truth where the posterior is skewed; None where it is Gaussian.
        failed: problems that the solver said it had not solved; they are among the others all the same.
    """

    z: np.ndarray
    rank: np.ndarray
    share: np.ndarray | None = None
    failed: int = 0

    def covered(self, sigmas: float) -> float:
        """Share of truths inside the central interval that a Gaussian has within ± so many σ."""
        if self.share is None:
            return float(np.mean(np.abs(self.z) < sigmas))
        return float(np.mean(np.abs(self.share - 0.5) < scipy.stats.norm.cdf(sigmas) - 0.5))

    def shrunk(self, factor: float) -> "Scores":
        """As if the standard deviations had been stated smaller by this factor; ranks stay as they are."""
        z = self.z / factor
        if self.share is None:
            return dataclasses.replace(self, z=z)
        share = scipy.stats.norm.cdf(scipy.stats.norm.ppf(self.share) / factor)
        return dataclasses.replace(self, z=z, share=share)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A measured number and its 99 % Monte Carlo band about the nominal one; inf where it is only reported."""

    value: float
    nominal: float
    band: float

    @property
    def inside(self) -> bool:
        """Whether the band holds it."""
        return abs(self.value - self.nominal) <= self.band

    def __str__(self):
        within = f" in {self.nominal:g} ± {self.band:.4f}" if np.isfinite(self.band) else " (only reported)"
        return f"{self.value:.4f}{within}{'' if self.inside else ' OUTSIDE'}"


def figures(scores: Scores) -> dict[str, Figure]:
    """Mean z² (a χ² mean) and both coverages (binomial), with their bands."""
    count, skewed = len(scores.z), scores.share is not None
    found = {"mean z²": Figure(float(np.mean(scores.z**2)), 1.0, np.inf if skewed else 2.576 * (2.0 / count) ** 0.5)}
    for sigmas, nominal in ((1.0, 0.6827), (1.96, 0.95)):
        band = 2.576 * (nominal * (1.0 - nominal) / count) ** 0.5
        found[f"coverage {nominal:.0%}"] = Figure(scores.covered(sigmas), nominal, band)
    return found


def uniformity(scores: Scores) -> float:
    """χ² p of the rank histogram."""
    return float(scipy.stats.chisquare(np.bincount(scores.rank, minlength=DRAWS + 1)).pvalue)


def require_calibrated(name: str, scores: Scores) -> None:
    """Prints all figures; none may be outside its band, and no problem may have failed."""
    p, found = uniformity(scores), figures(scores)
    words = ", ".join(f"{what} {figure}" for what, figure in found.items())
    print(f"\n{name}: {len(scores.z)} problems, ranks p = {p:.3f}, {words}, {scores.failed} failed", end="")
    assert scores.failed == 0
    assert p > 0.01
    assert [what for what, figure in found.items() if not figure.inside] == []


def settle(name: str, run: Callable[[int, int], Scores], count: int, seed: int) -> list[Scores]:
    """`require_calibrated`; what falls outside once, as one figure in a hundred does by chance, is decided by a repeat.

    The repeat has four times the problems, hence bands half as wide, and another seed; it must be inside.
    """
    first = run(count, seed)
    try:
        require_calibrated(name, first)
    except AssertionError:
        again = run(4 * count, seed + 1)
        require_calibrated(f"{name}, repeated", again)
        return [first, again]
    return [first]


def from_draws(truth: np.ndarray, draws: np.ndarray, failed: int = 0) -> Scores:
    """Scores of (count,) truths among (count, draws) totals; quantiles instead of σ where it is called skewed."""
    thinned = draws[:, np.linspace(0, draws.shape[1] - 1, DRAWS).astype(int)]
    z = (draws.mean(axis=1) - truth) / draws.std(axis=1, ddof=1)
    share = ((draws < truth[:, None]).sum(axis=1) + 0.5) / (draws.shape[1] + 1)
    return Scores(z, (thinned < truth[:, None]).sum(axis=1), share, failed)


# --- populations ------------------------------------------------------------------------------------------------------
def _sigma(rng):
    return np.exp(0.7 * rng.normal(size=N))


def _diagonal(rng):
    sigma = _sigma(rng)
    return (sigma,), np.diag(sigma**2)


def _full(rng):
    a = rng.normal(size=(N, N))
    matrix = a @ a.T / N + 0.1 * np.eye(N)
    return (matrix,), matrix


def _kronecker(rng):
    place, phi = rng.uniform(0, 1, N // 2), rng.uniform(0.2, 0.95)
    space = rng.uniform(0.1, 2.0) * np.exp(-np.abs(np.subtract.outer(place, place)) / 0.3)
    return (phi, space), np.kron([[1.0, phi], [phi, 1.0]], space)


def _exponential(rng):
    sigma, points, length = _sigma(rng), rng.uniform(size=(N, 2)), rng.uniform(0.2, 2.0)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    return (sigma, distance, length), np.outer(sigma, sigma) * np.exp(-distance / length)


def _temporal(rng):
    sigma, times, scale = _sigma(rng), np.cumsum(rng.uniform(0.1, 1.0, N)), rng.uniform(0.3, 5.0)
    return (sigma, times, scale), np.outer(sigma, sigma) * np.exp(-np.abs(np.subtract.outer(times, times)) / scale)


def _low_rank(rng):
    sigma, patterns = 0.5 * _sigma(rng), rng.normal(size=(N, 2))
    return (sigma, patterns), np.diag(sigma**2) + patterns @ patterns.T


# Each gives random parameters with the matrix they stand for, and builds the covariance from the parameters.
FAMILIES: dict[str, tuple[Callable, Callable]] = {
    "diagonal": (_diagonal, Diagonal),
    "full": (_full, Dense),
    "kronecker": (_kronecker, lambda phi, space: Kronecker((ar1(2, phi), Dense(space)))),
    "exponential": (_exponential, lambda sigma, distance, length: Scaled(sigma, exponential(distance, length))),
    "temporal": (_temporal, lambda sigma, times, scale: Scaled(sigma, OrnsteinUhlenbeck(times, scale))),
    "low rank": (_low_rank, LowRankPlusDiagonal),
}
MARKOV = ("diagonal", "kronecker", "temporal")  # between the windows of WINDOWS; kronecker has two, see `_windows`


@dataclasses.dataclass(frozen=True)
class Population:
    """Many problems, the first axis of every array; `parts` build B, whose matrix is `B`."""

    family: str
    parts: tuple[np.ndarray, ...]
    B: np.ndarray
    H: np.ndarray
    x_b: np.ndarray
    b: np.ndarray
    R: np.ndarray
    noise: np.ndarray
    white: np.ndarray

    @property
    def departure(self) -> np.ndarray:
        """(count, N) draws of N(0, B)."""
        return np.einsum("cij,cj->ci", np.linalg.cholesky(self.B), self.white)

    def observed(self, truth: np.ndarray) -> np.ndarray:
        """(count, M) data of these truths."""
        return np.einsum("cij,cj->ci", self.H, truth) + self.b + self.noise

    def problem(self, i: int, y: np.ndarray, structured: bool = True) -> Problem:
        """Number i, with data y."""
        B = FAMILIES[self.family][1](*(part[i] for part in self.parts)) if structured else Dense(self.B[i])
        arrays = [jnp.asarray(a) for a in (self.x_b[i], y[i], self.b[i])]
        return Problem(lx.MatrixLinearOperator(jnp.asarray(self.H[i])), arrays[0], B, arrays[1], Dense(self.R[i]),
                       arrays[2])  # fmt: skip


def population(family: str, count: int, seed: int, *, causal: np.ndarray | None = None) -> Population:
    """Random problems of one family; errors of observations in one window are correlated.

    Args:
        family: key of `FAMILIES`.
        count, seed: how many, which.
        causal: (N,) windows of the elements; an observation then sees none after its own.
    """
    rng = np.random.default_rng([seed, zlib.crc32(family.encode())])
    made = [FAMILIES[family][0](rng) for _ in range(count)]
    parts = tuple(np.stack(column) for column in zip(*(parts for parts, _ in made), strict=True))
    H = rng.normal(size=(count, M, N))
    if causal is not None:
        H = H * (causal <= np.minimum(SEEN, causal.max())[:, None])
    sigma = np.exp(rng.normal(size=(count, M)))
    R = sigma[:, :, None] * sigma[:, None, :] * np.where(SEEN[:, None] == SEEN, 0.5 + 0.5 * np.eye(M), 0.0)
    noise = np.einsum("cij,cj->ci", np.linalg.cholesky(R), rng.normal(size=(count, M)))
    x_b, b = rng.normal(size=(count, N)), rng.normal(size=(count, M))
    return Population(family, parts, np.stack([B for _, B in made]), H, x_b, b, R, noise, rng.normal(size=(count, N)))

"""Whether Markov chains have converged, and how many independent draws they are worth.

Every chain is cut in half. With the halves' variances W (mean within) and B/N (between their means),

    R̂ = √(((N − 1)/N W + B/N) / W),     S_eff = M N / τ̂,     τ̂ = −1 + 2 Σ_t (ρ̂_2t + ρ̂_2t+1)

the sum ending where a pair of autocorrelations turns negative (Geyer 1992). R̂ is the larger of that of the
rank-normalised draws (bulk) and of their rank-normalised distances from the median (tail); the bulk S_eff is that of
rank-normalised draws, the tail S_eff the smaller of those of x ≤ q_5 % and x ≤ q_95 % (Vehtari et al. 2021, doi
10.1214/20-BA1221, eqs. 1–4, 10–14 and §4). In NumPy: nothing to compile. The sum
over ρ̂ is Stan's; blackjax.diagnostics clips its last term as if it were a pair, and drops axes of length one.
"""

import equinox as eqx
import numpy as np
import scipy.fft
import scipy.special
import scipy.stats

# Unknowns worked on at once.
COLUMNS = 64


def _halves(draws: np.ndarray) -> np.ndarray:
    """(chains, count, …) → (2 chains, count // 2, …); an odd draw in the middle is left out."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])


def _ranked(x: np.ndarray) -> np.ndarray:
    """Φ⁻¹((rank − 3/8) / (S + 1/4)) over all chains; ties share their average rank."""
    ranks = scipy.stats.rankdata(x.reshape(-1, *x.shape[2:]), axis=0).reshape(x.shape)
    return scipy.special.ndtri((ranks - 0.375) / (x.shape[0] * x.shape[1] + 0.25))


def _scale_reduction(x: np.ndarray) -> np.ndarray:
    """√(((N − 1)/N W + var of the means) / W) of chains that are already halves."""
    count = x.shape[1]
    within = x.var(axis=1, ddof=1).mean(axis=0)
    between = x.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((count - 1) / count + between / within)


def _effective(x: np.ndarray) -> np.ndarray:
    """S_eff of chains that are already halves, (2 chains, N, n) → (n,); NaN where nothing varies."""
    chains, count, _ = x.shape
    size = scipy.fft.next_fast_len(2 * count)
    spectrum = np.abs(np.asarray(scipy.fft.rfft(x - x.mean(axis=1, keepdims=True), size, axis=1))) ** 2
    covariance = np.asarray(scipy.fft.irfft(spectrum, size, axis=1))[:, :count].mean(axis=0) / count
    within = covariance[0] * count / (count - 1)
    total = covariance[0] + (x.mean(axis=1).var(axis=0, ddof=1) if chains > 1 else 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = 1.0 - (within - covariance) / total
    rho[0] = 1.0
    even, odd = rho[: count // 2 * 2 : 2], rho[1 : count // 2 * 2 : 2]
    pairs = even + odd
    positive = np.logical_and.accumulate(pairs > 0.0, axis=0)
    last = positive.sum(axis=0)  # the first pair that is left out
    pairs = np.minimum.accumulate(np.where(positive, pairs, np.inf), axis=0)
    # Of that pair the even member still counts once where it is positive: antithetic chains need it.
    columns = np.arange(x.shape[2])
    rest = np.where(last < len(even), np.maximum(even[np.minimum(last, len(even) - 1), columns], 0.0), 0.0)
    tau = -1.0 + 2.0 * np.where(positive, pairs, 0.0).sum(axis=0) + rest
    # More than S log₁₀ S effective draws cannot be told from noise.
    found = chains * count / np.maximum(tau, 1.0 / np.log10(chains * count))
    return np.where(np.isfinite(rho).all(axis=0), found, np.nan)


def _by_columns(function, draws) -> np.ndarray:
    draws = np.asarray(draws, dtype=float)
    parts = [function(_halves(draws[:, :, i : i + COLUMNS])) for i in range(0, draws.shape[2], COLUMNS)]
    return np.concatenate(parts) if parts else np.zeros(0)


def r_hat(draws: np.ndarray) -> np.ndarray:
    """Rank-normalised split R̂, the larger of bulk and tail (Vehtari et al. 2021, §4).

    Args:
        draws: (chains, count, n).

    Returns:
        (n,); NaN where an unknown does not vary or is not finite.
    """

    def worse(x):
        folded = np.abs(x - np.median(x, axis=(0, 1)))
        return np.fmax(_scale_reduction(_ranked(x)), _scale_reduction(_ranked(folded))) + 0.0 * x.sum(axis=(0, 1))

    return _by_columns(worse, draws)


def bulk_size(draws: np.ndarray) -> np.ndarray:
    """Effective draws for the centre of the distribution, of (chains, count, n)."""
    return _by_columns(lambda x: _effective(_ranked(x)), draws)


def tail_size(draws: np.ndarray) -> np.ndarray:
    """Effective draws for the 5 % and 95 % points, the fewer, of (chains, count, n)."""

    def fewer(x):
        low, high = np.quantile(x, [0.05, 0.95], axis=(0, 1))
        return np.minimum(_effective((x <= low) * 1.0), _effective((x <= high) * 1.0))

    return _by_columns(fewer, draws)


def mean_error(draws: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the mean, sd / √S_eff with S_eff of the draws themselves (eq. 15 there)."""
    draws = np.asarray(draws, dtype=float)
    return draws.std(axis=(0, 1), ddof=1) / np.sqrt(_by_columns(_effective, draws))


def sigma_error(draws: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the standard deviation: that of the mean of (x − x̄)², over 2 sd."""
    draws = np.asarray(draws, dtype=float)
    squares = (draws - draws.mean(axis=(0, 1))) ** 2
    return mean_error(squares) / (2.0 * draws.std(axis=(0, 1), ddof=1))


class Limits(eqx.Module):
    """What chains must reach to be believed (Vehtari et al. 2021, §4: R̂ < 1.01, 100 draws for each of four chains).

    Args:
        r_hat: largest R̂.
        effective: fewest effective draws, bulk and tail.
        divergent: largest share of divergent transitions.
    """

    r_hat: float = eqx.field(static=True, default=1.01)
    effective: float = eqx.field(static=True, default=400.0)
    divergent: float = eqx.field(static=True, default=0.0)


class Convergence(eqx.Module):
    """Diagnostics of one run; of unknowns the worst.

    Args:
        r_hat: largest rank-normalised split R̂, of unknowns and log density.
        effective_samples, tail_samples: fewest effective draws, bulk and tail.
        divergences: transitions whose energy error ran away.
        saturated: transitions cut off at the largest trajectory.
        draws: chains × count.
        seconds: of warm-up and sampling, without compilation.
    """

    r_hat: float = eqx.field(static=True)
    effective_samples: float = eqx.field(static=True)
    tail_samples: float = eqx.field(static=True)
    divergences: int = eqx.field(static=True)
    saturated: int = eqx.field(static=True)
    draws: int = eqx.field(static=True)
    seconds: float = eqx.field(static=True)

    @property
    def ess_per_second(self) -> float:
        """Bulk effective draws of the worst unknown per second of warm-up and sampling."""
        return self.effective_samples / self.seconds

    def verdict(self, limits: Limits) -> str:
        """Successful, or every limit that was missed with its remedy."""
        faults = []
        if not np.isfinite(self.r_hat):
            return "did not converge: draws are not finite or do not move; check the problem's numbers and units"
        if not self.r_hat < limits.r_hat:
            faults.append(f"R̂ {self.r_hat:.3f}, expected below {limits.r_hat:g}: raise solver.warmup and solver.count")
        fewest = min(self.effective_samples, self.tail_samples)
        if not fewest >= limits.effective:
            faults.append(f"{fewest:.0f} effective draws, expected {limits.effective:g}: raise solver.count")
        if self.divergences > limits.divergent * self.draws:
            faults.append(f"{self.divergences} of {self.draws} transitions diverged: raise solver.target_acceptance")
        return "successful" if not faults else "did not converge: " + "; ".join(faults)


def assess(draws, log_density, divergent, saturated, seconds: float) -> Convergence:
    """Diagnostics of a run.

    Args:
        draws: (chains, count, n) of what will be reported.
        log_density: (chains, count); its R̂ counts too, for it sees what no single unknown shows.
        divergent, saturated: (chains, count) flags of transitions.
        seconds: what they took.
    """
    draws, log_density = np.asarray(draws), np.asarray(log_density)[..., None]
    worst = float(np.max(np.r_[r_hat(draws), r_hat(log_density)]))
    bulk, tail = float(np.min(bulk_size(draws))), float(np.min(tail_size(draws)))
    flags = np.asarray(divergent), np.asarray(saturated)
    return Convergence(worst, bulk, tail, int(flags[0].sum()), int(flags[1].sum()), flags[0].size, seconds)

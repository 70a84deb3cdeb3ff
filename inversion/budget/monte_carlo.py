"""Propagation of distributions by Monte Carlo, adaptive, and the rule that validates the linear law (JCGM 101:2008)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from inversion.budget.linear import Budget, propagate
from inversion.budget.quantity import Inputs, Model
from inversion.budget.sampling import sampler
from transport.errors import TanhengError

Interval = tuple[float, float]
FINER = 5.0  # the comparison of §8 wants the draws settled to a fifth of its tolerance (§8.2, note)


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Numerical summary of an output.

    Args:
        y, u: mean and standard deviation.
        symmetric: probabilistically symmetric coverage interval.
        shortest: shortest coverage interval.
        p: coverage probability.
        trials: number of draws.
        tolerance: numerical tolerance asked for, in the unit of y.
        settled: True where twice the standard error of y, u and all end points is below it.
        seed: of `jax.random.key` (threefry).
    """

    y: float
    u: float
    symmetric: Interval
    shortest: Interval
    p: float
    trials: int
    tolerance: float
    settled: bool
    seed: int


def tolerance(u: float, digits: int) -> float:
    """δ = ½·10^l where u ≈ c·10^l with c a whole number of `digits` digits (JCGM 101, §7.9.2).

    Raises:
        TanhengError: u is not positive.
    """
    if not (np.isfinite(u) and u > 0):
        raise TanhengError("there is no numerical tolerance without uncertainty", got=u, expected="u > 0",
                           remedy="give at least one input an uncertainty")  # fmt: skip
    # Rounded in decimal: 0.0996 is 0.10 in two digits, one place higher than its own logarithm says.
    exponent = int(f"{u:.{digits - 1}e}".split("e")[1])
    return 0.5 * 10.0 ** (exponent - digits + 1)


def interval_symmetric(ordered: np.ndarray, p: float) -> Interval:
    """End points with (1−p)/2 of the draws on either side (§7.7.2)."""
    q = covered(ordered.size, p)
    low = max((ordered.size - q + 1) // 2, 1)
    return float(ordered[low - 1]), float(ordered[low + q - 1])


def interval_shortest(ordered: np.ndarray, p: float) -> Interval:
    """The narrowest y_(r+q) − y_(r) (§7.7.3; §5.3.4)."""
    q = covered(ordered.size, p)
    r = int(np.argmin(ordered[q:] - ordered[: ordered.size - q]))
    return float(ordered[r]), float(ordered[r + q])


def covered(trials: int, p: float) -> int:
    """q = pM, or its whole part beyond one half (§7.7.1)."""
    return int(np.floor(p * trials + 0.5))


def monte_carlo(
    model: Model, inputs: Inputs, *, seed: int, p: float = 0.95, digits: int = 2, finer: float = 1.0,
    most: int = 30_000_000,
) -> Distribution:  # fmt: skip
    """Distribution of one output by blocks of draws, until the result is stable.

    Blocks h = 1, 2, … of M = max(⌈100/(1−p)⌉, 10⁴) give y, u and end points each; it ends when twice the standard
    deviation of their averages, s_h/√h, is at most δ/`finer` for all of them.

    Args:
        model: f of a mapping of names to numbers, in JAX.
        inputs: of the model.
        seed: of the draws.
        p: coverage probability.
        digits: 1 or 2 significant digits of u that should be settled.
        finer: divides δ.
        most: draws after which it ends unsettled.

    Raises:
        TanhengError: an output that is not finite, or that does not vary; options out of range.

    Reference: JCGM 101:2008, §7.9.
    """
    if not 0.0 < p < 1.0 or digits not in (1, 2) or not finer >= 1.0:
        raise TanhengError("these Monte Carlo options cannot be used", got=f"p {p}, digits {digits}, finer {finer}",
                           expected="0 < p < 1, 1 or 2 digits, finer ≥ 1", remedy="correct them")  # fmt: skip
    size = max(int(np.ceil(100.0 / (1.0 - p) - 1e-9)), 10_000)
    with jax.enable_x64(True):
        draw, key = sampler(inputs), jax.random.key(seed)
        # A model of constants alone would come back without its axis of draws.
        block = jax.jit(lambda h: jnp.sort(jnp.zeros(size) + jax.vmap(model)(draw(jax.random.fold_in(key, h), size))))
        blocks, statistics, delta, settled = [], [], np.nan, False
        while not settled and (len(blocks) < 2 or (len(blocks) + 1) * size <= most):
            values = np.asarray(block(len(blocks)))
            if not np.isfinite(values).all():
                raise TanhengError("the model is not finite for all draws", got=f"{(~np.isfinite(values)).sum()} of "
                                   f"{size}", expected="finite", remedy="give positive inputs a lognormal "
                                   "distribution, or limits")  # fmt: skip
            blocks.append(values)
            ends = (*interval_symmetric(values, p), *interval_shortest(values, p))
            statistics.append((values.mean(), values.std(ddof=1), *ends))
            h = len(blocks)
            if h > 1 and (h < 64 or h % (h // 32) == 0):  # looked at less often when there are many
                table = np.array(statistics)
                # Law of total variance over equal blocks: u of all draws.
                u = np.sqrt(((size - 1) * (table[:, 1] ** 2).sum() + size * h * table[:, 0].var()) / (size * h - 1))
                delta = tolerance(float(u), digits) / finer
                settled = bool((2.0 * table.std(axis=0, ddof=1) / np.sqrt(h) <= delta).all())
    everything = np.sort(np.concatenate(blocks))
    return Distribution(
        float(everything.mean()), float(everything.std(ddof=1)), interval_symmetric(everything, p),
        interval_shortest(everything, p), p, everything.size, float(delta), settled, seed,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Statement:
    """What may be reported: every number of it comes from one method, which it names."""

    y: float
    u: float
    low: float
    high: float
    p: float
    method: str


@dataclasses.dataclass(frozen=True)
class Validation:
    """The linear law beside Monte Carlo.

    d_low = |y − U_p − y_low|,  d_high = |y + U_p − y_high|;  valid where both are ≤ δ

    Args:
        budget: of the linear law.
        draws: settled to δ/5.
        d_low, d_high: distances of the end points, in the unit of y.
        delta: tolerance δ of the linear u.

    Reference: JCGM 101:2008, §8.1.
    """

    budget: Budget
    draws: Distribution
    d_low: float
    d_high: float
    delta: float

    @property
    def valid(self) -> bool:
        """True where the linear law may be reported."""
        return self.d_low <= self.delta and self.d_high <= self.delta

    def statement(self, method: str = "") -> Statement:
        """The linear result where it is valid, else the Monte Carlo result.

        Args:
            method: "GUM" or "JCGM 101" to insist on one.

        Raises:
            TanhengError: the linear law is insisted on, and not valid here.
        """
        if method not in ("", "GUM", "JCGM 101"):
            raise TanhengError("unknown method of propagation", got=method, expected="GUM or JCGM 101",
                               remedy="name one, or none")  # fmt: skip
        if method == "GUM" and not self.valid:
            raise TanhengError(
                "the linear law is not valid for this result",
                got=f"d_low {self.d_low:.3g}, d_high {self.d_high:.3g}", expected=f"both at most δ = {self.delta:.3g}",
                remedy="report the Monte Carlo result (JCGM 101, §8.1)",
            )  # fmt: skip
        b, m, p = self.budget, self.draws, self.draws.p
        if method == "JCGM 101" or not self.valid:
            return Statement(m.y, m.u, *m.symmetric, p, "JCGM 101")
        return Statement(b.y, b.u, b.y - b.expanded(p), b.y + b.expanded(p), p, "GUM")


def validate(
    model: Model, inputs: Inputs, *, seed: int, p: float = 0.95, digits: int = 2, name: str = "y", unit: str = "1",
    most: int = 30_000_000,
) -> Validation:  # fmt: skip
    """Compare the linear law with Monte Carlo at a fifth of the tolerance.

    Args:
        model, inputs: of the measurement.
        seed: of the draws.
        p: coverage probability.
        digits: of u that are meaningful; 1 or 2.
        name, unit: of the measurand.
        most: draws at most.

    Raises:
        TanhengError: the draws did not settle, so that nothing can be said.
    """
    budget = propagate(model, inputs, name, unit)
    U, delta = budget.expanded(p), tolerance(budget.u, digits)  # refused here, before the draws cost anything
    draws = monte_carlo(model, inputs, seed=seed, p=p, digits=digits, finer=FINER, most=most)
    if not draws.settled:
        raise TanhengError(
            "the draws did not settle, so the linear law is neither valid nor refused", got=f"{draws.trials} draws",
            expected=f"tolerance {draws.tolerance:.3g}", remedy="ask for one digit (digits=1) or more draws (most)",
        )  # fmt: skip
    low, high = draws.symmetric
    return Validation(budget, draws, abs(budget.y - U - low), abs(budget.y + U - high), delta)


def ellipsoid_of_draws(draws: np.ndarray, p: float = 0.95) -> float:
    """k_p of the coverage ellipsoid from draws (M, m): the p quantile of |L⁻¹ (η − y)|, U = L Lᵀ.

    Reference: JCGM 102:2011, §7.7.2.
    """
    L = np.linalg.cholesky(np.cov(draws, rowvar=False))
    distances = np.linalg.norm(np.linalg.solve(L, (draws - draws.mean(axis=0)).T), axis=0)
    return float(np.quantile(distances, p))


def draws_of(model: Model, inputs: Inputs, *, seed: int, count: int) -> np.ndarray:
    """(count, m) outputs of a model that returns a vector."""
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(model)(sampler(inputs)(jax.random.key(seed), count)))

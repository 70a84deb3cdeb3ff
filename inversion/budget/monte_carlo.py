"""Propagation of distributions by Monte Carlo, adaptive, and the rule that validates the linear law (JCGM 101:2008)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from inversion.budget.linear import Budget, linear
from inversion.budget.model import checked
from inversion.budget.quantity import Inputs, Model
from inversion.budget.sampling import sampler
from transport.errors import TanhengError

Interval = tuple[float, float]
FINER = 5.0  # the comparison of §8 wants the draws settled to a fifth of its tolerance (§8.2, note)
BLOCKS = 10  # at least; two, as §7.9.4 has it, agree by chance (JCGM 102, §7.8, asks for ten)
LARGEST = 0.05  # share of u² that one draw may carry
MOST = 40_000_000  # a normal result in the worst two digits of u, 99, settles to δ/5 after 28 million draws


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
        settled: True where twice the standard error of y, u and the symmetric end points is below it, and no single
            draw carries more than 5 % of u². The shortest interval is as good as the draws are.
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
        TanhengError: u is not positive, or digits are not 1 or 2.
    """
    if not (np.isfinite(u) and u > 0) or digits not in (1, 2):
        raise TanhengError("there is no numerical tolerance without uncertainty", got=f"u {u}, {digits} digits",
                           expected="u > 0, 1 or 2 digits",
                           remedy="give at least one input an uncertainty; where derivatives are zero, monte_carlo "
                           "sees what the linear law does not")  # fmt: skip
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
    model: Model, inputs: Inputs, *, seed: int, p: float = 0.95, digits: int = 2, delta: float | None = None,
    most: int = MOST,
) -> Distribution:  # fmt: skip
    """Distribution of one output by blocks of draws, until the result is stable.

    Blocks h = 1, 2, … of M = max(⌈100/(1−p)⌉, 10⁴) give y, u and end points each; it ends after ten blocks or more when
    twice the standard deviation of their averages, s_h/√h, is at most δ for all of them, and so is twice the standard
    error of u from the fourth moment of all draws, u √((κ−1)/4n), with no draw that carries more than 5 % of u².

    Args:
        model: f of a mapping of names to numbers, in JAX.
        inputs: of the model.
        seed: of the draws.
        p: coverage probability.
        digits: 1 or 2 significant digits of u that should be settled; u is stated with two at most (JCGM 100, §7.2.6).
        delta: numerical tolerance δ in the unit of y; None: from u and digits.
        most: draws after which it ends unsettled.

    Raises:
        TanhengError: an output that is not a finite number, or that does not vary; options out of range, t inputs
            without a standard deviation (ν ≤ 2).

    Reference: JCGM 101:2008, §7.9.
    """
    size = block_size(p, digits, delta, most, seed)
    with jax.enable_x64(True):
        draw, key, f = sampler(inputs), jax.random.key(seed), checked(model, inputs, 0)
        # A model of constants alone would come back without its axis of draws.
        block = jax.jit(lambda h: jnp.sort(jnp.zeros(size) + jax.vmap(f)(draw(jax.random.fold_in(key, h), size))))
        blocks, statistics, moments, asked, settled = [], [], [], np.nan, False
        while not settled and (len(blocks) + 1) * size <= most:
            values = np.asarray(block(len(blocks)))
            if not np.isfinite(values).all():
                raise TanhengError("the model is not finite for all draws", got=f"{(~np.isfinite(values)).sum()} of "
                                   f"{size}", expected="finite", remedy="give positive inputs a lognormal "
                                   "distribution, or limits")  # fmt: skip
            blocks.append(values)
            statistics.append((values.mean(), values.std(ddof=1), *interval_symmetric(values, p)))
            squares = (values - statistics[0][0]) ** 2
            moments.append((squares.mean(), (squares**2).mean(), squares.max()))
            h = len(blocks)
            if h >= BLOCKS and (h < 64 or h % (h // 32) == 0):  # looked at less often when there are many
                table = np.array(statistics)
                # Law of total variance over equal blocks: u of all draws.
                u = np.sqrt(((size - 1) * (table[:, 1] ** 2).sum() + size * h * table[:, 0].var()) / (size * h - 1))
                asked = tolerance(float(u), digits) if delta is None else delta
                steady = bool((2.0 * table.std(axis=0, ddof=1) / np.sqrt(h) <= asked).all())
                settled = steady and _spread_settled(np.array(moments), size, float(u), asked)
    everything = np.concatenate(blocks)
    everything.sort()
    return Distribution(
        float(everything.mean()), float(everything.std(ddof=1)), interval_symmetric(everything, p),
        interval_shortest(everything, p), p, everything.size, float(asked), settled, seed,
    )  # fmt: skip


def block_size(p: float, digits: int, delta: float | None, most: int, seed: object) -> int:
    """M of one block (§7.9.4 b).

    Raises:
        TanhengError: options out of range, or blocks so large that `most` does not hold ten.
    """
    good = 0.0 < p < 1.0 and digits in (1, 2) and isinstance(seed, int | np.integer)
    size = max(int(np.ceil(100.0 / (1.0 - p) - 1e-9)), 10_000) if good else 0
    if not good or BLOCKS * size > most or not (delta is None or delta > 0.0):
        raise TanhengError(
            "these Monte Carlo options cannot be used",
            got=f"p {p}, digits {digits}, δ {delta}, seed {seed}, {most} draws at most",
            expected=f"0 < p < 1, 1 or 2 digits, δ > 0, a whole seed, and draws for {BLOCKS} blocks of "
            "max(100/(1−p), 10⁴)", remedy="correct them",
        )  # fmt: skip
    return size


def _spread_settled(moments: np.ndarray, size: int, u: float, delta: float) -> bool:
    """Whether u is known to δ, by moments (h, 3) of blocks: second, fourth, and the largest square.

    With heavy tails all blocks may agree because none has met the tail yet; what one draw carries of u² is about what
    draws that were never met would add.
    """
    count, second, fourth = size * len(moments), moments[:, 0].mean(), moments[:, 1].mean()
    kurtosis = fourth / second**2
    return bool(u * np.sqrt((kurtosis - 1.0) / count) <= delta and moments[:, 2].max() <= LARGEST * second * count)


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
    most: int = MOST,
) -> Validation:  # fmt: skip
    """Compare the linear law with Monte Carlo at a fifth of the tolerance, both taken from the linear u.

    Args:
        model, inputs: of the measurement.
        seed: of the draws.
        p: coverage probability.
        digits: of u that are meaningful; 1 or 2. Two are the stricter rule and need up to 30 million draws.
        name, unit: of the measurand.
        most: draws at most.

    Raises:
        TanhengError: the draws did not settle, so that nothing can be said.
    """
    budget = linear(model, inputs, name, unit)
    U, delta = budget.expanded(p), tolerance(budget.u, digits)  # refused here, before the draws cost anything
    draws = monte_carlo(model, inputs, seed=seed, p=p, digits=digits, delta=delta / FINER, most=most)
    if not draws.settled:
        raise TanhengError(
            "the draws did not settle, so the linear law is neither valid nor refused", got=f"{draws.trials} draws",
            expected=f"tolerance {draws.tolerance:.3g}", remedy="ask for one digit (digits=1) or more draws (most); "
            "with an input of very heavy tails there may be no u to settle",
        )  # fmt: skip
    low, high = draws.symmetric
    return Validation(budget, draws, abs(budget.y - U - low), abs(budget.y + U - high), delta)

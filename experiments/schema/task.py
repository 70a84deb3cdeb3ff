"""What to do."""

from dataclasses import dataclass, field

from experiments.schema.limits import require


@dataclass
class Task:
    """What to do with the case."""


@dataclass
class Invert(Task):
    """Estimate emissions and write every product.

    `accounts` names files of bottom-up accounts (docs/comparison.md), each of the measurand of a total.
    """

    accounts: list[str] = field(default_factory=list)


@dataclass
class Simulate(Task):
    """Carry the prior forward: fields, budget, modelled soundings; nothing is estimated."""


@dataclass
class Check(Task):
    """Print the numerical evidence for the case's operators; write `check.json`."""

    pairs: int = 3

    def __post_init__(self):
        require(1 <= self.pairs <= 1000, "task.pairs", self.pairs, "1…1000")


@dataclass
class Osse(Task):
    """Observing-system experiment: truths and data are generated N times and estimated again.

    Truths come from N(x_b + prior_shift · σ_b, prior_factor² B), errors from mismatch_factor² R; the inversion believes
    in 0, 1 and 1. Other values show what wrong beliefs cost.
    """

    replicates: int = 1000
    prior_factor: float = 1.0
    prior_shift: float = 0.0
    mismatch_factor: float = 1.0

    def __post_init__(self):
        require(2 <= self.replicates <= 1_000_000, "task.replicates", self.replicates, "2…1000000")
        require(0 < self.prior_factor <= 100, "task.prior_factor", self.prior_factor, "0 < prior_factor ≤ 100")
        require(abs(self.prior_shift) <= 100, "task.prior_shift", self.prior_shift, "−100…100 prior σ")
        factor = self.mismatch_factor
        require(0 < factor <= 100, "task.mismatch_factor", factor, "0 < mismatch_factor ≤ 100")


@dataclass
class Network(Task):
    """Rank sites and overpasses by how far they lower the variance of named totals.

    `choose: 0` ranks all; `existing` names sites that observe already; `totals` names totals (empty: the first of the
    case), weighed by `importance` (empty: equally). `swap: false` stops after the greedy choice.
    """

    choose: int = 0
    existing: list[str] = field(default_factory=list)
    totals: list[str] = field(default_factory=list)
    importance: list[float] = field(default_factory=list)
    swap: bool = True

    def __post_init__(self):
        require(self.choose >= 0, "task.choose", self.choose, "0 (all) or more")
        good = not self.importance or (all(w >= 0 for w in self.importance) and sum(self.importance) > 0)
        require(good, "task.importance", self.importance, "weights ≥ 0, not all zero")


@dataclass
class Preview(Task):
    """Before a long run: sizes, memory, expected time, degrees of freedom, and which solver fits.

    `memory_gib: null` is the memory of this machine that is free now.
    """

    memory_gib: float | None = None
    probes: int = 8

    def __post_init__(self):
        require(self.memory_gib is None or self.memory_gib > 0, "task.memory_gib", self.memory_gib, "> 0 GiB, or null")
        require(2 <= self.probes <= 1000, "task.probes", self.probes, "2…1000")


@dataclass
class Hyperparameters(Task):
    """Estimate standard deviations and correlation length from the data, and what that does to the totals.

    The prior of each log θ is Gaussian about the configured value with standard deviation `log_sigma` (null: flat).
    `draws: 0` carries the uncertainty of θ into the totals to first order, more solve again for as many draws of θ.
    `block_days` is the length of what the blocked cross-validation leaves out; `desroziers` adds its factors.
    """

    log_sigma: float | None = 1.0
    draws: int = 0
    block_days: float = 3.0
    desroziers: bool = False

    def __post_init__(self):
        require(self.log_sigma is None or self.log_sigma > 0, "task.log_sigma", self.log_sigma, "> 0, or null")
        require(self.draws == 0 or 2 <= self.draws <= 10_000, "task.draws", self.draws, "0, or 2…10000")
        require(self.block_days > 0, "task.block_days", self.block_days, "> 0 days")


@dataclass
class BuildPrior(Task):
    """Build the prior: one map per sector, totals with their uncertainty, hourly mean of the region."""

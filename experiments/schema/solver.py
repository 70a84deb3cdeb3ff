"""How the posterior is found."""

import enum
from dataclasses import dataclass

from experiments.schema.limits import positive, require


@dataclass
class Solver:
    """How the posterior is found."""


@dataclass
class NoSolver(Solver):
    """Nothing is estimated."""


class Space(enum.Enum):
    """Where the analytic solver works."""

    auto = "auto"
    state = "state"
    observation = "observation"


@dataclass
class AnalyticSolver(Solver):
    """Exact Gaussian posterior by Cholesky."""

    space: Space = Space.auto


class Eigenpairs(enum.Enum):
    """How the eigenpairs of the information are found."""

    lanczos = "lanczos"
    randomised = "randomised"


@dataclass
class VariationalSolver(Solver):
    """Gaussian posterior by iteration, preconditioned by B^½; `pairs: null` takes as many as there are."""

    method: Eigenpairs = Eigenpairs.lanczos
    tolerance: float = 1e-10
    iterations: int = 1000
    pairs: int | None = None

    def __post_init__(self):
        require(1e-14 <= self.tolerance < 1, "solver.tolerance", self.tolerance, "1e-14…1")
        require(self.iterations >= 1, "solver.iterations", self.iterations, "≥ 1")
        require(self.pairs is None or self.pairs >= 1, "solver.pairs", self.pairs, "≥ 1, or null")


@dataclass
class EnsembleSolver(Solver):
    """What the ensemble solvers share; `localisation_km: null` lets every observation act on every unknown."""

    members: int = 1000
    inflation: float = 1.0
    localisation_km: float | None = None

    def __post_init__(self):
        require(2 <= self.members <= 100_000, "solver.members", self.members, "2…100000")
        require(1 <= self.inflation <= 10, "solver.inflation", self.inflation, "1…10")
        if self.localisation_km is not None:
            positive(self, "solver", "localisation_km")


@dataclass
class EsMdaSolver(EnsembleSolver):
    """Ensemble smoother with multiple data assimilation."""

    steps: int = 4

    def __post_init__(self):
        super().__post_init__()
        require(1 <= self.steps <= 100, "solver.steps", self.steps, "1…100")


@dataclass
class LetkfSolver(EnsembleSolver):
    """Local ensemble transform Kalman filter; `relaxation` mixes prior spread back in (RTPS)."""

    relaxation: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        require(0 <= self.relaxation <= 1, "solver.relaxation", self.relaxation, "0…1")


@dataclass
class DrawingSolver(Solver):
    """What the solvers that draw share."""

    chains: int = 4
    warmup: int = 500
    count: int = 1000

    def __post_init__(self):
        for name, least in (("chains", 2), ("warmup", 20), ("count", 50)):
            value = getattr(self, name)
            require(least <= value <= 1_000_000, f"solver.{name}", value, f"{least}…1000000")


@dataclass
class SamplingSolver(DrawingSolver):
    """Draws of the posterior by NUTS; `positive: true` makes the unknowns that must be positive log-normal."""

    positive: bool = False
    target_acceptance: float = 0.8

    def __post_init__(self):
        super().__post_init__()
        rate = self.target_acceptance
        require(0.5 <= rate < 1, "solver.target_acceptance", rate, "0.5 ≤ target_acceptance < 1")


@dataclass
class LogNormalSolver(Solver):
    """Unknowns that must be positive are log-normal, by Laplace's method; mean and median are both reported."""


@dataclass
class TruncatedSolver(DrawingSolver):
    """Unknowns that must be positive are Gaussian cut off at zero, by exact Hamiltonian draws."""

    warmup: int = 200
    count: int = 2000


@dataclass
class GeostatisticalSolver(Solver):
    """The level of each part of the control vector is unknown: a trend with coefficients ~ N(0, sigma_trend²)."""

    sigma_trend: float = 10.0

    def __post_init__(self):
        positive(self, "solver", "sigma_trend")


@dataclass
class SequentialSolver(Solver):
    """Kalman smoother over the windows of the case; `lag` is how many windows back data still act (null: all)."""

    lag: int | None = None

    def __post_init__(self):
        require(self.lag is None or self.lag >= 0, "solver.lag", self.lag, "≥ 0, or null")


@dataclass
class TransportSolver(Solver):
    """Scales of wind speed and mixing height are estimated with the fluxes; 0 leaves one of them as it is."""

    sigma_wind: float = 0.1
    sigma_mixing: float = 0.2

    def __post_init__(self):
        for name in ("sigma_wind", "sigma_mixing"):
            require(0 <= getattr(self, name) <= 1, f"solver.{name}", getattr(self, name), "0…1")
        known = self.sigma_wind == 0 and self.sigma_mixing == 0
        require(not known, "solver.sigma_wind, solver.sigma_mixing", "0, 0", "one above 0", "e.g. solver=analytic")

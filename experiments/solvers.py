"""From the solver node of a configuration to a solver that knows the case's unknowns."""

import jax.numpy as jnp
import numpy as np

from experiments import schema
from experiments.cases import Setup
from inversion.covariance.kernels import GaspariCohn
from inversion.joint import JointPosterior
from inversion.marginal import marginal_solve
from inversion.problem import Problem
from inversion.solvers import AbstractSolver
from inversion.solvers.analytic import Analytic
from inversion.solvers.ensemble import taper
from inversion.solvers.es_mda import EsMda
from inversion.solvers.geostatistical import Geostatistical
from inversion.solvers.letkf import Letkf
from inversion.solvers.lognormal import LogNormal
from inversion.solvers.sampling import Sampling
from inversion.solvers.sequential import Sequential
from inversion.solvers.truncated import Truncated
from inversion.solvers.variational import Variational
from inversion.transport_parameters import TransportParameters
from transport.errors import TanhengError


def name_of(config: schema.Config) -> str:
    """The option that was chosen for `solver`."""
    return next(n for n, kind in schema.NODES["solver"].items() if type(config.solver) is kind)


def _needed(value, config: schema.Config, setup: Setup, what: str):
    """What a solver must know of the case, or a refusal.

    Raises:
        TanhengError: the case does not have it.
    """
    if value is None:
        name = name_of(config)
        raise TanhengError(
            f"solver={name} does not apply to case {setup.name}", got=f"unknowns without {what}",
            expected=f"a case whose unknowns have {what}", remedy="e.g. solver=analytic",
        )  # fmt: skip
    return value


def _localisation(config: schema.Config, setup: Setup, length_km: float | None):
    """(n, m) Gaspari–Cohn weights that vanish beyond the localisation length, or None."""
    if length_km is None:
        return None
    places: np.ndarray = _needed(setup.structure.places, config, setup, "places")
    sites: np.ndarray = _needed(setup.structure.observed_at, config, setup, "places of observations")
    return taper(places, sites, GaspariCohn(jnp.asarray(0.5 * length_km)))


def _sequential(config: schema.Config, setup: Setup, lag: int | None) -> Sequential:
    windows = np.asarray(_needed(setup.structure.windows, config, setup, "time windows"))
    return Sequential(windows, lag=int(windows.max()) if lag is None else lag)


def _geostatistical(config: schema.Config, setup: Setup, sigma: float) -> Geostatistical:
    trend = np.asarray(_needed(setup.structure.trend, config, setup, "covariates of a trend"))
    p = trend.shape[1]
    return Geostatistical(jnp.asarray(trend), jnp.zeros(p), sigma**2 * jnp.eye(p))


def _bounds(config: schema.Config, setup: Setup) -> np.ndarray:
    positive = np.asarray(_needed(setup.structure.positive, config, setup, "a sign"), dtype=bool)
    return np.where(positive, 0.0, -np.inf)


def _positive(config: schema.Config, setup: Setup) -> np.ndarray:
    return np.asarray(_needed(setup.structure.positive, config, setup, "a sign"), dtype=bool)


class WithTransport(AbstractSolver):
    """Estimates transport parameters with the unknowns of a case.

    Args:
        problem_of: p ↦ problem.
        sigma: (q,) prior standard deviations of p.
    """

    problem_of: TransportParameters
    sigma: np.ndarray

    def solve(self, problem: Problem) -> JointPosterior:
        """The posterior with the uncertainty of p in it."""
        family = self.problem_of.observing(problem.y)
        return marginal_solve(family, family.neutral, np.diag(np.square(self.sigma)))


def _with_transport(config: schema.Config, setup: Setup, node: schema.TransportSolver) -> WithTransport:
    family = _needed(setup.structure.problem_of, config, setup, "a transport of our own")
    sigma = {"wind_speed": node.sigma_wind, "mixing_height": node.sigma_mixing}
    names = tuple(name for name, value in sigma.items() if value > 0.0)
    return WithTransport(family(names), np.array([sigma[name] for name in names]))


def solver_of(config: schema.Config, setup: Setup) -> AbstractSolver:
    """The solver that the configuration names, for the unknowns of a case.

    Raises:
        TanhengError: the solver does not apply to the case.
    """
    seed = config.seed
    match config.solver:
        case schema.AnalyticSolver() as node:
            return Analytic(space=node.space.value)
        case schema.VariationalSolver() as node:
            return Variational(node.tolerance, node.iterations, node.method.value, node.pairs)
        case schema.EsMdaSolver() as node:
            near = _localisation(config, setup, node.localisation_km)
            return EsMda(node.members, node.steps, seed=seed, localisation=near, inflation=node.inflation)
        case schema.LetkfSolver() as node:
            near = _localisation(config, setup, node.localisation_km)
            return Letkf(node.members, near, node.inflation, seed, node.relaxation)
        case schema.SamplingSolver() as node:
            positive = _positive(config, setup) if node.positive else None
            return Sampling(node.chains, node.warmup, node.count, seed, node.target_acceptance, positive=positive)
        case schema.LogNormalSolver():
            return LogNormal(_positive(config, setup))
        case schema.TruncatedSolver() as node:
            return Truncated(_bounds(config, setup), node.chains, node.warmup, node.count, seed)
        case schema.GeostatisticalSolver() as node:
            return _geostatistical(config, setup, node.sigma_trend)
        case schema.TransportSolver() as node:
            return _with_transport(config, setup, node)
        case schema.SequentialSolver() as node:
            return _sequential(config, setup, node.lag)
        case _:
            raise TanhengError("nothing is estimated without a solver", got=f"solver={name_of(config)}",
                               expected="solver=analytic, …", remedy="e.g. solver=analytic")  # fmt: skip

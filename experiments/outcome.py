"""A solved case as plain arrays: what every product is drawn from."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from experiments.cases import Setup
from inversion.diagnostics import Diagnostics, Impact, dfs_of_elements, diagnose, impact, innovations
from inversion.joint import JointPosterior
from inversion.marginal import parameter_signal
from inversion.posterior import AbstractPosterior, SkewedTotals
from inversion.solvers import AbstractGaussianPosterior
from inversion.solvers.prior import prior_posterior

COVERAGE_FACTOR = 2.0
# Beyond this S = H B Hᵀ + R, its inverse and the search for outliers take longer than the inversion.
CONSISTENCY_LIMIT = 2000


@dataclasses.dataclass(frozen=True, eq=False)
class Total:
    """One reported total in `unit`; the interval is posterior ± k·u, of a skewed posterior from 2.5 % to 97.5 %.

    `prior` and `posterior` are means; `median` and `quantiles` are there where the posterior is not symmetric.
    """

    region: str
    period: str
    prior: float
    u_prior: float
    posterior: float
    u_posterior: float
    unit: str
    truth: float | None
    k: float = COVERAGE_FACTOR
    median: float | None = None
    quantiles: tuple[float, float] | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Coverage interval."""
        if self.quantiles is not None:
            return self.quantiles
        return self.posterior - self.k * self.u_posterior, self.posterior + self.k * self.u_posterior


@dataclasses.dataclass(frozen=True)
class Consistency:
    """Innovations against H B Hᵀ + R: do prior, mismatch and data fit together?

    Args:
        chi2, low, high: dᵀ S⁻¹ d / m and its 95 % band.
        outliers: indices of observations that all others say are not possible (5 % false alarms over all).
    """

    chi2: float
    low: float
    high: float
    outliers: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of the transport that was estimated with the fluxes; `signal` is 1 − u²/u_prior²."""

    name: str
    prior: float
    u_prior: float
    posterior: float
    u_posterior: float
    signal: float
    truth: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """A solved case.

    Args:
        setup: the case.
        mean, sigma: (n,) posterior mean and standard uncertainty of the control vector.
        sigma_prior: (n,) prior standard uncertainty.
        totals: one entry per region.
        totals_covariance: (k, k) posterior covariance of the totals.
        fields: maps by name, each (ny, nx) with NaN where nothing is: "prior", "posterior", "increment",
            "reduction" (1 − σ_posterior/σ_prior), "u_prior", "u_posterior" and, where known, "truth".
        measured: (m,) True for rows of y that are measurements.
        modelled_prior, modelled_posterior: (m,) H x + b.
        diagnostics: fit and degrees of freedom.
        block_dfs: name of each block of the control vector to its degrees of freedom for signal, or None as `impact`.
        impact: what each site or overpass did to each total; None for a posterior that is not Gaussian.
        consistency: of the innovations; None for too many observations.
        parameters: of the transport, where they were estimated.
        solver, result: name of the solver and how it ended.
    """

    setup: Setup
    mean: np.ndarray
    sigma: np.ndarray
    sigma_prior: np.ndarray
    totals: tuple[Total, ...]
    totals_covariance: np.ndarray
    fields: dict[str, np.ndarray]
    measured: np.ndarray
    modelled_prior: np.ndarray
    modelled_posterior: np.ndarray
    diagnostics: Diagnostics
    block_dfs: dict[str, float] | None
    impact: Impact | None
    consistency: Consistency | None
    parameters: tuple[Parameter, ...]
    solver: str
    result: str


def _fields(setup: Setup, posterior: AbstractPosterior, before: AbstractPosterior) -> dict[str, np.ndarray]:
    spec = setup.map
    weights = jnp.asarray(spec.weights)
    prior, mean = weights @ before.mean, weights @ posterior.mean
    variance_prior = np.asarray(before.variance(weights))
    variance = np.asarray(posterior.variance(weights))
    with np.errstate(invalid="ignore", divide="ignore"):
        reduction = np.where(variance_prior > 0, 1.0 - np.sqrt(np.maximum(variance, 0.0) / variance_prior), np.nan)
    elements = {"prior": prior, "posterior": mean, "increment": mean - prior, "reduction": reduction}
    elements |= {"u_prior": np.sqrt(variance_prior), "u_posterior": np.sqrt(np.maximum(variance, 0.0))}
    if spec.truth is not None:
        elements["truth"] = spec.truth
    return {n: np.where(spec.layout >= 0, np.asarray(v)[spec.layout], np.nan) for n, v in elements.items()}


def _totals(setup: Setup, posterior: AbstractPosterior, prior: AbstractPosterior):
    """One entry per region, and the covariance between them."""
    spec = setup.totals
    weights = jnp.asarray(spec.weights)
    before, after = prior.aggregate(weights), posterior.aggregate(weights)
    skewed = after if isinstance(after, SkewedTotals) else None
    totals = tuple(
        Total(
            region=region,
            period=spec.period,
            prior=float(before.mean[i]),
            u_prior=float(before.sigma[i]),
            posterior=float(after.mean[i]),
            u_posterior=float(after.sigma[i]),
            unit=spec.unit,
            truth=None if spec.truth is None else float(spec.truth[i]),
            median=None if skewed is None else float(skewed.median[i]),
            quantiles=None if skewed is None else (float(skewed.lower[i]), float(skewed.upper[i])),
        )
        for i, region in enumerate(spec.regions)
    )
    return totals, np.asarray(after.covariance)


def _parameters(setup: Setup, posterior: AbstractPosterior, names: tuple[str, ...]) -> tuple[Parameter, ...]:
    if not isinstance(posterior, JointPosterior):
        return ()
    u_prior = np.sqrt(np.diagonal(np.linalg.inv(np.asarray(posterior.p_precision))))
    signal = parameter_signal(posterior)
    return tuple(
        Parameter(
            name, float(posterior.p_prior[i]), float(u_prior[i]), float(posterior.p[i]), float(posterior.p_sigma[i]),
            float(signal[i]), setup.structure.true_scales.get(name) if setup.synthetic else None,
        )
        for i, name in enumerate(names)
    )  # fmt: skip


def _block_dfs(setup: Setup, posterior: AbstractPosterior, dfs: float) -> dict[str, float]:
    """trace of the averaging kernel over the elements of each block."""
    if len(setup.blocks) == 1:  # the whole: what `diagnose` says, without every element's own
        return {setup.blocks[0][0]: float(dfs)}
    each, start, found = np.asarray(dfs_of_elements(posterior)), 0, {}
    for name, size, _ in setup.blocks:
        found[name] = float(each[start : start + size].sum())
        start += size
    return found


def _consistency(posterior: AbstractPosterior) -> Consistency | None:
    problem = posterior.problem
    gaussian = isinstance(posterior, AbstractGaussianPosterior) and not isinstance(posterior, JointPosterior)
    if not gaussian or not 0 < problem.y.size <= CONSISTENCY_LIMIT:
        return None
    found = innovations(problem)
    flagged = tuple(int(i) for i in np.flatnonzero(found.outliers()))
    return Consistency(*found.chi2(), outliers=flagged)


def evaluate(
    setup: Setup, posterior: AbstractPosterior, solver: str, prior: AbstractPosterior | None = None,
    parameters: tuple[str, ...] = (),
) -> Outcome:  # fmt: skip
    """Everything that the products need.

    Args:
        setup: the case.
        posterior: of its problem.
        solver: its name.
        prior: what the solver knew before; N(x_b, B) if not given.
        parameters: names of the transport parameters of a joint posterior.
    """
    problem = setup.problem
    prior = prior_posterior(problem) if prior is None else prior
    totals, covariance = _totals(setup, posterior, prior)
    # K = A Hᵀ R⁻¹ does not hold where H itself was estimated.
    gaussian = isinstance(posterior, AbstractGaussianPosterior) and not isinstance(posterior, JointPosterior)
    weights, diagnostics = jnp.asarray(setup.totals.weights), diagnose(posterior)
    return Outcome(
        setup=setup,
        mean=np.asarray(posterior.mean),
        sigma=np.sqrt(np.asarray(posterior.diagonal())),
        sigma_prior=np.sqrt(np.asarray(prior.diagonal())),
        totals=totals,
        totals_covariance=covariance,
        fields=_fields(setup, posterior, prior),
        measured=setup.observations.kinds != "constraint",
        modelled_prior=np.asarray(problem.modelled(prior.mean)),
        modelled_posterior=np.asarray(posterior.problem.modelled(posterior.mean)),
        diagnostics=diagnostics,
        block_dfs=_block_dfs(setup, posterior, diagnostics.dfs) if gaussian else None,
        impact=impact(posterior, weights, setup.observations.groups) if gaussian else None,
        consistency=_consistency(posterior),
        parameters=_parameters(setup, posterior, parameters),
        solver=solver,
        result=posterior.result,
    )

"""A solved case as plain arrays: what every product is drawn from."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from experiments.cases import Setup
from inversion.diagnostics import Diagnostics, diagnose
from inversion.posterior import AbstractPosterior, prior_totals, prior_variance

COVERAGE_FACTOR = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Total:
    """One reported total in `unit`; the interval is posterior ± k·u."""

    region: str
    period: str
    prior: float
    u_prior: float
    posterior: float
    u_posterior: float
    unit: str
    truth: float | None
    k: float = COVERAGE_FACTOR

    @property
    def interval(self) -> tuple[float, float]:
        """Coverage interval."""
        return self.posterior - self.k * self.u_posterior, self.posterior + self.k * self.u_posterior


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
        diagnostics: consistency.
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
    solver: str
    result: str


def _fields(setup: Setup, posterior: AbstractPosterior) -> dict[str, np.ndarray]:
    spec, problem = setup.map, setup.problem
    weights = jnp.asarray(spec.weights)
    prior, mean = weights @ problem.x_b, weights @ posterior.mean
    variance_prior = np.asarray(prior_variance(problem, weights))
    variance = np.asarray(posterior.variance(weights))
    with np.errstate(invalid="ignore", divide="ignore"):
        reduction = np.where(variance_prior > 0, 1.0 - np.sqrt(np.maximum(variance, 0.0) / variance_prior), np.nan)
    elements = {"prior": prior, "posterior": mean, "increment": mean - prior, "reduction": reduction}
    elements |= {"u_prior": np.sqrt(variance_prior), "u_posterior": np.sqrt(np.maximum(variance, 0.0))}
    if spec.truth is not None:
        elements["truth"] = spec.truth
    return {n: np.where(spec.layout >= 0, np.asarray(v)[spec.layout], np.nan) for n, v in elements.items()}


def evaluate(setup: Setup, posterior: AbstractPosterior, solver: str) -> Outcome:
    """Everything that the products need, from a case and its posterior."""
    problem, spec = setup.problem, setup.totals
    weights = jnp.asarray(spec.weights)
    before, after = prior_totals(problem, weights), posterior.aggregate(weights)
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
        )
        for i, region in enumerate(spec.regions)
    )
    return Outcome(
        setup=setup,
        mean=np.asarray(posterior.mean),
        sigma=np.sqrt(np.asarray(posterior.diagonal())),
        sigma_prior=np.sqrt(np.asarray(problem.B.diagonal())),
        totals=totals,
        totals_covariance=np.asarray(after.covariance),
        fields=_fields(setup, posterior),
        measured=setup.observations.kinds != "constraint",
        modelled_prior=np.asarray(problem.modelled(problem.x_b)),
        modelled_posterior=np.asarray(problem.modelled(posterior.mean)),
        diagnostics=diagnose(posterior),
        solver=solver,
        result=posterior.result,
    )

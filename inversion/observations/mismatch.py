"""R of a set of observations, from the causes of error that it carries."""

import numpy as np

from inversion.covariance import AbstractCovariance, Diagonal, LowRankPlusDiagonal
from inversion.observations.observations import Observations
from inversion.observations.residuals import Estimate, residual_based
from inversion.observations.rules import Rule, apply, rules_from
from transport.errors import TanhengError

__all__ = ["Estimate", "Rule", "apply", "covariance", "require_sigma", "residual_based", "rules_from"]


def require_sigma(observations: Observations) -> np.ndarray:
    """σ of every value.

    Raises:
        TanhengError: one is zero or not known.
    """
    sigma = observations.sigma
    good = np.isfinite(sigma) & (sigma > 0.0)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        stated = {c.cause: float(c.sigma[row]) for c in observations.components}
        raise TanhengError(
            "a standard uncertainty is not positive",
            got=f"{int((~good).sum())} of {good.size}; first at {observations.groups[row]}, "
            f"{observations.start[row].astype('datetime64[s]')}: value {observations.values[row]}, {stated}",
            expected="finite numbers > 0",
            remedy="state the missing cause in the rules of the mismatch, or drop these values",
        )
    return sigma


def covariance(observations: Observations) -> AbstractCovariance:
    """R = diag(Σ σ² of own errors) + Σ_g s_g s_gᵀ, s_g the standard uncertainties of the rows that share error g.

    Args:
        observations: whose components say which rows share an error.

    Returns:
        `Diagonal` where nothing is shared, else `LowRankPlusDiagonal`.

    Raises:
        TanhengError: a σ that is zero or not known; rows that have shared errors only (R would be singular).

    Reference: JCGM 100:2008, F.1.2.3 (inputs that depend on a common quantity).
    """
    require_sigma(observations)
    own, columns = np.zeros(len(observations)), []
    for c in observations.components:
        alone = c.groups == ""
        own[alone] += c.sigma[alone] ** 2
        for group in np.unique(c.groups[~alone]):
            rows = c.groups == group
            if np.count_nonzero(rows & (c.sigma > 0.0)) == 1:
                own[rows] += c.sigma[rows] ** 2
            else:
                columns.append(np.where(rows, c.sigma, 0.0))
    if not columns:
        return Diagonal(np.sqrt(own))
    if not (own > 0.0).all():
        row = int(np.flatnonzero(own <= 0.0)[0])
        raise TanhengError(
            "observations have no error of their own, so that R is singular",
            got=f"{int((own <= 0).sum())} of {own.size}; first at {observations.groups[row]}",
            expected="at least one cause that is not shared", remedy="add repeatability or representativeness",
        )  # fmt: skip
    return LowRankPlusDiagonal(np.sqrt(own), np.stack(columns, axis=1))

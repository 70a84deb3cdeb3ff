"""R of a set of observations, from the causes of error that it carries."""

from collections.abc import Mapping

import numpy as np

from inversion.covariance import AbstractCovariance, Dense, Diagonal, LowRankPlusDiagonal
from inversion.covariance.base import DENSE_LIMIT
from inversion.distance import great_circle
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


def covariance(observations: Observations, lengths: Mapping[str, float] | None = None) -> AbstractCovariance:
    """R = diag(Σ σ² of own errors) + Σ_g s_g s_gᵀ + Σ_c σ_i σ_j exp(−d_ij/L_c).

    s_g are the standard uncertainties of the rows that share error g. Causes with a length L_c are correlated between
    the rows of one group by their distance d, as errors of retrieval and transport are within an overpass.

    Args:
        observations: whose components say which rows share an error.
        lengths: cause to L, km, for errors that are not shared otherwise; needs a matrix of all rows.

    Returns:
        `Diagonal` where nothing is shared, `LowRankPlusDiagonal`, or `Dense` with lengths.

    Raises:
        TanhengError: a σ that is zero or not known; rows that have shared errors only (R would be singular); a length
            of a cause that is not there, or for too many rows.

    Reference: JCGM 100:2008, F.1.2.3 (inputs that depend on a common quantity).
    """
    require_sigma(observations)
    lengths = lengths or {}
    _require_lengths(observations, lengths)
    own, matrix = np.zeros(len(observations)), None
    # An error is the same wherever it stands: joined and averaged sets carry one group in several components.
    squares: dict[tuple[str, str], np.ndarray] = {}
    for c in observations.components:
        alone = c.groups == ""
        if c.cause in lengths:
            near = _nearness(observations, lengths[c.cause]) * np.where(alone, c.sigma, 0.0)
            near = near * np.where(alone, c.sigma, 0.0)[:, None]
            matrix = near if matrix is None else matrix + near
        else:
            own[alone] += c.sigma[alone] ** 2
        for group in np.unique(c.groups[~alone]):
            variance = np.where(c.groups == group, c.sigma, 0.0) ** 2
            squares[c.cause, str(group)] = squares.get((c.cause, str(group)), 0.0) + variance
    columns = []
    for variance in squares.values():
        if np.count_nonzero(variance) == 1:
            own += variance
        else:
            columns.append(np.sqrt(variance))
    if matrix is not None:
        return Dense(matrix + np.diag(own) + sum((np.outer(s, s) for s in columns), np.zeros_like(matrix)))
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


def _nearness(o: Observations, length_km: float) -> np.ndarray:
    """(n, n) exp(−d/L) within a group, zero between groups."""
    distance = great_circle(np.stack([o.lon, o.lat], axis=1))
    return np.where(o.groups[:, None] == o.groups, np.exp(-distance / length_km), 0.0)


def _require_lengths(o: Observations, lengths: Mapping[str, float]) -> None:
    causes = sorted({c.cause for c in o.components})
    wrong = [c for c in lengths if c not in causes]
    if wrong:
        raise TanhengError(
            "a length is given for a cause that the set does not have", got=", ".join(wrong),
            expected=", ".join(causes), remedy="correct the name of the cause",
        )  # fmt: skip
    placed = bool(np.isfinite(o.lon).all() and np.isfinite(o.lat).all())
    if lengths and not (placed and len(o) <= DENSE_LIMIT and all(0.0 < v < np.inf for v in lengths.values())):
        raise TanhengError(
            "errors cannot be correlated by distance",
            got=f"{dict(lengths)}, {len(o)} rows" + ("" if placed else ", some without a place"),
            expected=f"lengths > 0 km of {', '.join(causes)}, at most {DENSE_LIMIT} rows with places",
            remedy="thin the soundings, or make super-observations",
        )

"""How well prior, mismatch and data fit together."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from inversion.posterior import AbstractPosterior


class Diagnostics(eqx.Module):
    """Consistency of a solved problem.

    Args:
        chi2: 2 J(x̂) / m; expectation 1 when B and R are right.
        dfs: degrees of freedom for signal, trace(H K).
        residual_prior, residual_posterior: (m,) y − H x − b.
        leverage: (m,) contribution of each observation to dfs.
        normalised: (m,) squared posterior residual over its variance in R; expectation 1 − leverage if R is diagonal.
    """

    chi2: float
    dfs: float
    residual_prior: Array
    residual_posterior: Array
    leverage: Array
    normalised: Array

    def misfit(self, chosen: np.ndarray) -> float:
        """Σ r²/σ² over Σ (1 − leverage) of the chosen rows: 1 is expected, more means that σ is too small there."""
        return float(np.asarray(self.normalised)[chosen].sum() / (1.0 - np.asarray(self.leverage)[chosen]).sum())


def diagnose(posterior: AbstractPosterior) -> Diagnostics:
    """Diagnostics of a posterior (Tarantola 2005, §6.22; Rodgers 2000, §2.4)."""
    problem = posterior.problem
    before, after = problem.departure(), problem.y - problem.modelled(posterior.mean)
    leverage = posterior.leverage()
    normalised = after**2 / problem.R.diagonal()
    return Diagnostics(
        float(posterior.cost()) / problem.y.size, float(jnp.sum(leverage)), before, after, leverage, normalised
    )


def rmse(residual) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(np.asarray(residual)))))

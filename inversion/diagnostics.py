"""How well prior, mismatch and data fit together."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from inversion.posterior import AbstractPosterior


class Diagnostics(eqx.Module):
    """Consistency of a solved problem.

    Args:
        chi2: 2 J(x̂) / m with 2 J = rᵀ R⁻¹ r + (x̂ − x_b)ᵀ B⁻¹ (x̂ − x_b) and r = y − H x̂ − b; expectation 1 when B and R
            are right. At the minimum 2 J = dᵀ R⁻¹ r with d = y − H x_b − b, which needs no B⁻¹.
        dfs: degrees of freedom for signal, trace(H K).
        residual_prior, residual_posterior: (m,) y − H x − b.
        leverage: (m,) contribution of each observation to dfs.
    """

    chi2: float
    dfs: float
    residual_prior: Array
    residual_posterior: Array
    leverage: Array


def diagnose(posterior: AbstractPosterior) -> Diagnostics:
    """Diagnostics of a posterior (Tarantola 2005, §6.22; Rodgers 2000, §2.4)."""
    problem = posterior.problem
    before, after = problem.departure(), problem.y - problem.modelled(posterior.mean)
    cost = before @ problem.R.solve(after)
    leverage = posterior.leverage()
    return Diagnostics(float(cost) / problem.y.size, float(jnp.sum(leverage)), before, after, leverage)


def rmse(residual) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(np.asarray(residual)))))

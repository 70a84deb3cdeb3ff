"""Draws of the inputs of a model from their joint distribution (JCGM 101:2008, §6.4)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, PRNGKeyArray

from inversion.budget.quantity import WIDTHS, Inputs, Quantity
from transport.errors import TanhengError


def sampler(inputs: Inputs) -> Callable[[PRNGKeyArray, int], dict[str, Array]]:
    """A function of a key and a number M that returns (M,) draws of every input.

    One normal score per error is drawn; members of a group turn the same score into their own distribution.

    Raises:
        TanhengError: t-distributed inputs with a partial correlation, or of ν ≤ 2, which have no standard deviation.
    """
    tangled = {n for a, b, r in inputs.correlations if r for n in (a, b)}
    wrong = [q.name for q in inputs.quantities if q.name in tangled and q.distribution != "normal"]
    if wrong:
        raise TanhengError(
            "only normal inputs can be drawn with a partial correlation", got=", ".join(wrong), expected="normal",
            remedy="split the common cause into an input of its own",
        )  # fmt: skip
    endless = [q.name for q in inputs.quantities if q.distribution == "t" and q.dof <= 2.0 and q.u > 0.0]
    if endless:
        raise TanhengError(
            "a t distribution of two degrees of freedom or fewer has no standard deviation", got=", ".join(endless),
            expected="ν > 2", remedy="observe more often, or state a type B uncertainty",
        )  # fmt: skip
    # r = F Fᵀ also where r is singular (groups): columns of eigenvectors times roots of eigenvalues.
    values, vectors = np.linalg.eigh(inputs.correlation)
    factor = vectors * np.sqrt(np.clip(values, 0.0, None))
    groups = [q.group or f" {i}" for i, q in enumerate(inputs.quantities)]
    error = np.unique(groups, return_inverse=True)[1]

    def draw(key: PRNGKeyArray, count: int) -> dict[str, Array]:
        normal, gamma = jax.random.split(key)
        scores = factor @ jax.random.normal(normal, (len(error), count))
        return {
            q.name: _shaped(q, scores[i], jax.random.fold_in(gamma, int(error[i])))
            for i, q in enumerate(inputs.quantities)
        }

    return draw


def _shaped(q: Quantity, z: Array, key: PRNGKeyArray) -> Array:
    """Draws of one quantity from standard normal scores."""
    if q.distribution == "normal":
        return q.value + q.u * z
    if q.distribution == "t":  # scaled and shifted: x + u t_ν, whose standard deviation exceeds u (§6.4.9)
        return q.value + q.u * z / jnp.sqrt(jax.random.chisquare(key, q.dof, z.shape) / q.dof)
    if q.distribution == "lognormal":
        spread = np.log1p((q.u / q.value) ** 2)
        return q.value * jnp.exp(np.sqrt(spread) * z - 0.5 * spread)
    p, a = ndtr(z), q.u * WIDTHS[q.distribution]
    if q.distribution == "rectangular":
        return q.value + a * (2.0 * p - 1.0)
    if q.distribution == "arcsine":
        return q.value + a * jnp.sin(jnp.pi * (p - 0.5))
    return q.value + a * jnp.where(p < 0.5, jnp.sqrt(2.0 * p) - 1.0, 1.0 - jnp.sqrt(2.0 * (1.0 - p)))

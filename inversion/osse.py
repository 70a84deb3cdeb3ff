"""Observing-system experiments: a truth from the prior, observations from the likelihood."""

import dataclasses

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from inversion.posterior import normal
from inversion.problem import Problem


def replicate(problem: Problem, key: PRNGKeyArray) -> tuple[Float[Array, " n"], Problem]:
    """A known truth and the problem whose observations it would have made.

    x_true = x_b + B^½ ξ,   y = H x_true + b + R^½ ε,   ξ, ε ~ N(0, I)

    Args:
        problem: its y is replaced.
        key: random key.

    Returns:
        x_true (n,) and the problem with the new y.
    """
    for_truth, for_noise = jax.random.split(key)
    truth = problem.x_b + problem.B.sqrt_mv(normal(for_truth, problem.x_b.size))
    y = problem.modelled(truth) + problem.R.sqrt_mv(normal(for_noise, problem.y.size))
    return truth, dataclasses.replace(problem, y=y)

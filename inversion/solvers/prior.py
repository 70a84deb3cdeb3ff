"""No observations: the posterior is the prior."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior


class PriorPosterior(AbstractGaussianPosterior):
    """N(x_b, B) unchanged: what every solver returns when m = 0."""

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)

    def covariance_mv(self, v):
        """B v."""
        return self.problem.B.mv(v)

    def gain_mv(self, d):
        """Nothing: there are no data."""
        return jnp.zeros((self.mean.size, *d.shape[1:]))

    def sample(self, key, count):
        """x_b + B^½ ξ."""
        return self.mean + self.problem.B.sqrt_mv(normal(key, self.mean.size, count)).T

    def leverage(self):
        """(0,)."""
        return jnp.zeros(0)

    def cost(self):
        """0."""
        return jnp.zeros(())

    def diagonal(self):
        """diag B."""
        return self.problem.B.diagonal()


def prior_posterior(problem: Problem) -> PriorPosterior:
    """The posterior of a problem without observations."""
    return PriorPosterior(problem, problem.x_b, "successful")

"""Solvers: one file each, one interface `solve(problem) -> AbstractPosterior`."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from inversion.posterior import AbstractPosterior
from inversion.problem import Problem


class AbstractSolver(eqx.Module):
    """Turns a problem into a posterior; a failure is reported in `posterior.result`, never hidden."""

    @abc.abstractmethod
    def solve(self, problem: Problem) -> AbstractPosterior:
        """The posterior of the problem."""

    def prior(self, problem: Problem) -> AbstractPosterior:
        """What this solver knows before the data: N(x_b, B), unless its unknowns are distributed otherwise."""
        from inversion.solvers.prior import prior_posterior  # which needs the types of this file

        return prior_posterior(problem)


class AbstractGaussianPosterior(AbstractPosterior):
    """A posterior whose mean is linear in the data: x̂ = x_b + K (y − H x_b − b), with a covariance free of the data."""

    @abc.abstractmethod
    def gain_mv(self, d: Array) -> Array:
        """K d; d is (m,) or (m, k)."""

    def means(self, ys: Float[Array, "k m"]) -> Float[Array, "k n"]:
        """Posterior means of other data with the same H, B, R and b: one factorisation serves them all.

        Args:
            ys: (k, m) observations, e.g. replicates of an observing-system experiment.

        Returns:
            (k, n) means; the covariance is that of this posterior.
        """
        departures = ys - self.problem.modelled(self.problem.x_b)
        return self.problem.x_b + self.gain_mv(departures.T).T

"""Solvers: one file each, one interface `solve(problem) -> AbstractPosterior`."""

import abc

import equinox as eqx

from inversion.posterior import AbstractPosterior
from inversion.problem import Problem


class AbstractSolver(eqx.Module):
    """Turns a problem into a posterior; a failure is reported in `posterior.result`, never hidden."""

    @abc.abstractmethod
    def solve(self, problem: Problem) -> AbstractPosterior:
        """The posterior of the problem."""

"""A family of problems for `inversion.hyperparameters`: factors on standard deviations, and a correlation length.

    B(θ) = D_B B(L) D_B,    R(θ) = D_R R D_R,    θ = (factor of each block, factor of each group of data, L)

with D_B and D_R diagonal, the factor of the element's block and of the observation's group.
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from inversion.covariance import AbstractCovariance, Scaled
from inversion.problem import Problem
from transport.errors import TanhengError

FIXED = -1


class Factors(eqx.Module):
    """θ ↦ problem.

    Args:
        problem: at θ = (1, …, 1, configured length).
        blocks: (n,) position in θ of each element's factor, −1 for a fixed one.
        groups: (m,) position in θ of each observation's factor, −1 for a fixed one.
        prior_of_length: length ↦ B; the length is the last element of θ.

    Raises:
        TanhengError: positions that do not fit.
    """

    problem: Problem
    blocks: Int[Array, " n"]
    groups: Int[Array, " m"]
    prior_of_length: Callable[[Array], AbstractCovariance] | None = None

    def __check_init__(self):
        fits = self.blocks.shape == self.problem.x_b.shape and self.groups.shape == self.problem.y.shape
        if not fits:
            raise TanhengError(
                "factors do not fit the problem", got=f"{self.blocks.shape}, {self.groups.shape}",
                expected=f"{self.problem.x_b.shape}, {self.problem.y.shape}",
                remedy="give one position for each element and each observation",
            )  # fmt: skip

    def __call__(self, theta: Float[Array, " k"]) -> Problem:
        """The problem of θ."""
        B = self.problem.B if self.prior_of_length is None else self.prior_of_length(theta[-1])
        R = Scaled(_each(theta, self.groups), self.problem.R)
        p = self.problem
        return Problem(p.H, p.x_b, Scaled(_each(theta, self.blocks), B), p.y, R, p.b)


def _each(theta: Array, index: Array) -> Array:
    """The factor of each element; one where it is fixed."""
    return jnp.where(index == FIXED, 1.0, theta[jnp.maximum(index, 0)])


def factors(
    problem: Problem, blocks: Sequence[tuple[str, int]], groups: np.ndarray, fixed: Sequence[str] = (),
    prior_of_length: Callable | None = None, length: float | None = None,
) -> tuple[Factors, tuple[str, ...], np.ndarray]:  # fmt: skip
    """A family with one factor for each block and each group of observations.

    Args:
        problem: as configured.
        blocks: name and size of the parts of the control vector, in order.
        groups: (m,) names.
        fixed: groups whose mismatch stays as it is, e.g. constraints.
        prior_of_length, length: correlation length, if it is to be estimated.

    Returns:
        The family, the names of θ and its configured value.
    """
    names = [f"prior σ, {name}" for name, _ in blocks]
    of_blocks = np.repeat(np.arange(len(blocks)), [size for _, size in blocks])
    of_groups = np.full(len(groups), FIXED)
    for name in sorted(set(np.asarray(groups).astype(str)) - set(fixed)):
        of_groups[np.asarray(groups).astype(str) == name] = len(names)
        names.append(f"mismatch σ, {name}")
    start = np.ones(len(names))
    if prior_of_length is not None and length is not None:
        names.append("correlation length")
        start = np.append(start, length)
    else:
        prior_of_length = None
    family = Factors(problem, jnp.asarray(of_blocks), jnp.asarray(of_groups), prior_of_length)
    return family, tuple(names), start

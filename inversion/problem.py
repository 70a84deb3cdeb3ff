"""The problem that every solver gets: y = H x + b + ε, ε ~ N(0, R), x ~ N(x_b, B)."""

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float

from inversion.covariance import AbstractCovariance, Diagonal
from transport.errors import TanhengError


class Problem(eqx.Module):
    """A linear Gaussian inverse problem.

    Args:
        H: maps x (n,) to modelled observations (m,).
        x_b: (n,) prior mean.
        B: prior covariance (n).
        y: (m,) observations.
        R: covariance of the model-data mismatch (m).
        b: (m,) what the unknowns do not change: a given background, a response subtracted beforehand.

    Raises:
        TanhengError: sizes that do not fit.
    """

    H: lx.AbstractLinearOperator
    x_b: Float[Array, " n"]
    B: AbstractCovariance
    y: Float[Array, " m"]
    R: AbstractCovariance
    b: Float[Array, " m"]

    def __check_init__(self):
        shape: dict[str, tuple[int, ...]] = {
            "H": (self.H.out_size(), self.H.in_size()),
            "B": (self.B.size, self.B.size),
            "R": (self.R.size, self.R.size),
        }
        n, m = self.x_b.shape[0], self.y.shape[0]
        shape["b"] = self.b.shape
        for name, expected in {"H": (m, n), "B": (n, n), "R": (m, m), "b": (m,)}.items():
            if shape[name] != expected:
                raise TanhengError(
                    f"{name} does not fit the problem",
                    got=f"{shape[name]}",
                    expected=f"{expected} for {m} observations and {n} unknowns",
                    remedy="build control vector, covariances and observations on the same grid and selection",
                )

    def modelled(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """H x + b."""
        return self.H.mv(x) + self.b

    def departure(self) -> Float[Array, " m"]:
        """d = y − H x_b − b."""
        return self.y - self.modelled(self.x_b)

    def unobserved(self) -> "Problem":
        """The same unknowns without any observation: its posterior is the prior."""
        none, n = jnp.zeros(0), self.x_b.size
        return Problem(lx.MatrixLinearOperator(jnp.zeros((0, n))), self.x_b, self.B, none, Diagonal(none), none)

    @property
    def matrix(self) -> Float[Array, "m n"]:
        """H as a dense matrix; only where it already is one."""
        if not isinstance(self.H, lx.MatrixLinearOperator):
            raise TanhengError(
                "this solver needs H as a matrix",
                got=type(self.H).__name__,
                expected="lineax.MatrixLinearOperator",
                remedy="call transport.linear.materialise first",
            )
        return jnp.asarray(self.H.as_matrix())

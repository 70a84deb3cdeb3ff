"""The interface of every covariance, and the checks that all of them share."""

import abc

import equinox as eqx
import jax
import jax.core
import numpy as np
from jaxtyping import Array, Float

from transport.errors import TanhengError

# Above this size no covariance is turned into a matrix of its own accord: 200 MB for each of matrix and factor.
DENSE_LIMIT = 5000


class AbstractCovariance(eqx.Module):
    """A symmetric positive definite map on vectors of length n. Arguments are (n,) or (n, m), columns independent."""

    @abc.abstractmethod
    def mv(self, v: Array) -> Array:
        """C v."""

    @abc.abstractmethod
    def sqrt_mv(self, v: Array) -> Array:
        """C^½ v with C^½ C^½ᵀ = C: maps white noise to a draw."""

    @abc.abstractmethod
    def solve(self, v: Array) -> Array:
        """C⁻¹ v."""

    @abc.abstractmethod
    def logdet(self) -> Array:
        """log det C."""

    @abc.abstractmethod
    def diagonal(self) -> Float[Array, " n"]:
        """diag C: variances."""

    def sqrt_transposed_mv(self, v: Array) -> Array:
        """C^½ᵀ v: the transpose of the very root that `sqrt_mv` applies."""
        return jax.linear_transpose(self.sqrt_mv, jax.ShapeDtypeStruct(v.shape, v.dtype))(v)[0]

    @property
    def size(self) -> int:
        """n."""
        return jax.eval_shape(self.diagonal).shape[0]


def is_concrete(value) -> bool:
    """False inside a JAX transformation, where a value cannot be looked at; such a value is not checked."""
    return not isinstance(value, jax.core.Tracer)


def require_positive(name: str, values) -> None:
    """Refuse zero, negative and non-finite values.

    Raises:
        TanhengError: one of the values is not a positive finite number.
    """
    if not is_concrete(values):
        return
    values = np.asarray(values, dtype=float).ravel()
    wrong = values[~(np.isfinite(values) & (values > 0))]
    if wrong.size:
        raise TanhengError(
            f"{name} must be positive", got=float(wrong[0]), expected="> 0",
            remedy="remove the element from the control vector, or give it a positive uncertainty",
        )  # fmt: skip


def rows(scale: Array, v: Array) -> Array:
    """diag(scale) v for v (n,) or (n, m)."""
    return scale.reshape(-1, *([1] * (v.ndim - 1))) * v

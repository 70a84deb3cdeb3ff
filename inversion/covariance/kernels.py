"""Isotropic correlation functions ρ(r), r = d/L, each a small type that is differentiable in L.

All of them are positive definite for Euclidean distances in up to three dimensions. With great-circle distances only
those marked `on_sphere` are: of the Matérn class ν = ½ alone, and those of compact support in three dimensions as long
as it ends before the antipode (Gneiting 2013, doi 10.3150/12-BEJSP06, table 1). For the others the chord through the
Earth is taken, which is Euclidean (`inversion.distance.separations`).
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from inversion.covariance.base import require_positive


class AbstractKernel(eqx.Module):
    """A correlation function with its length.

    Args:
        length: L, in the unit of the distances.

    Raises:
        TanhengError: L is not positive.
    """

    length: Float[Array, ""]
    on_sphere: ClassVar[bool] = False
    support: ClassVar[float] = float("inf")  # in units of L

    def __init__(self, length):
        require_positive("a correlation length", length)
        self.length = jnp.asarray(length, dtype=float)

    @abc.abstractmethod
    def of_ratio(self, r: Array) -> Array:
        """ρ(r) with r = d/L ≥ 0."""

    def __call__(self, distance: Array) -> Array:
        """ρ(d/L), in the shape of d."""
        return self.of_ratio(jnp.asarray(distance) / self.length)


class Exponential(AbstractKernel):
    """ρ = exp(−r): Matérn ½, Ornstein–Uhlenbeck in time."""

    on_sphere: ClassVar[bool] = True

    def of_ratio(self, r):
        """exp(−r)."""
        return jnp.exp(-r)


class Matern32(AbstractKernel):
    """ρ = (1 + √3 r) exp(−√3 r) (Rasmussen & Williams 2006, ISBN 978-0-262-18253-9, eq. 4.17)."""

    def of_ratio(self, r):
        """(1 + √3 r) exp(−√3 r)."""
        s = jnp.sqrt(3.0) * r
        return (1.0 + s) * jnp.exp(-s)


class Matern52(AbstractKernel):
    """ρ = (1 + √5 r + 5 r²/3) exp(−√5 r) (Rasmussen & Williams 2006, eq. 4.17)."""

    def of_ratio(self, r):
        """(1 + √5 r + 5 r²/3) exp(−√5 r)."""
        s = jnp.sqrt(5.0) * r
        return (1.0 + s + s**2 / 3.0) * jnp.exp(-s)


class Gaussian(AbstractKernel):
    """ρ = exp(−r²/2): L is the standard deviation, not the e-folding length (Daley 1991, ISBN 0-521-38215-7, §4.3)."""

    def of_ratio(self, r):
        """exp(−r²/2)."""
        return jnp.exp(-0.5 * r**2)


class Balgovind(AbstractKernel):
    """ρ = (1 + r) exp(−r): second-order autoregressive (Balgovind et al. 1983, Mon. Wea. Rev. 111, 701).

    The Matérn 3/2 kernel with length √3 L.
    """

    def of_ratio(self, r):
        """(1 + r) exp(−r)."""
        return (1.0 + r) * jnp.exp(-r)


class Spherical(AbstractKernel):
    """ρ = 1 − 3r/2 + r³/2 for r < 1, else 0 (Cressie 1993, ISBN 0-471-00255-0, §2.3.1); zero beyond L."""

    on_sphere: ClassVar[bool] = True
    support: ClassVar[float] = 1.0

    def of_ratio(self, r):
        """1 − 3r/2 + r³/2."""
        s = jnp.minimum(r, 1.0)
        return 1.0 - 1.5 * s + 0.5 * s**3


class GaspariCohn(AbstractKernel):
    """Fifth-order piecewise rational, zero beyond 2 L (Gaspari & Cohn 1999, doi 10.1002/qj.49712555417, eq. 4.10)."""

    on_sphere: ClassVar[bool] = True
    support: ClassVar[float] = 2.0

    def of_ratio(self, r):
        """−r⁵/4 + r⁴/2 + 5r³/8 − 5r²/3 + 1 up to 1; r⁵/12 − r⁴/2 + 5r³/8 + 5r²/3 − 5r + 4 − 2/(3r) up to 2."""
        # Each branch sees only arguments that it may have: 1/r at r = 0 would make the gradient NaN.
        a, b = jnp.minimum(r, 1.0), jnp.clip(r, 1.0, 2.0)
        near = 1.0 + a**2 * (-5.0 / 3.0 + a * (5.0 / 8.0 + a * (0.5 - 0.25 * a)))
        far = 4.0 - 5.0 * b + b**2 * (5.0 / 3.0 + b * (5.0 / 8.0 + b * (-0.5 + b / 12.0))) - 2.0 / (3.0 * b)
        return jnp.where(r <= 1.0, near, jnp.where(r < 2.0, far, 0.0))


KERNELS: dict[str, type[AbstractKernel]] = {
    "exponential": Exponential,
    "matern32": Matern32,
    "matern52": Matern52,
    "gaussian": Gaussian,
    "balgovind": Balgovind,
    "spherical": Spherical,
    "gaspari_cohn": GaspariCohn,
}

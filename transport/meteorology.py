"""What transport needs from the weather: dry air and its motion per interval, in balance cell by cell."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from transport.errors import TanhengError
from transport.mixing import Mixing


class Meteorology(eqx.Module):
    """Dry-air mass and its motion on `nt` intervals of `interval` seconds.

    Air is known at the nt + 1 ends of the intervals, fluxes are means over them. Faces carry the air that crosses them:
    flux_x[..., i] is the face west of cell i, flux_y[..., j, :] the face south of row j, flux_z[:, k] the face below
    layer k; positive east, north and up. Continuity holds to rounding:

        (m(t+1) − m(t)) / interval + Δx flux_x + Δy flux_y + Δz flux_z = 0

    Args:
        air: (nt+1, nz, ny, nx) dry air, mol.
        flux_x: (nt, nz, ny, nx+1) mol s-1.
        flux_y: (nt, nz, ny+1, nx) mol s-1.
        flux_z: (nt, nz+1, ny, nx) mol s-1; zero at the ground, and at the top where the column is closed.
        mixing: turbulent exchange per interval.
        interval: length of an interval, s.
    """

    air: Float[Array, "nt1 nz ny nx"]
    flux_x: Float[Array, "nt nz ny nx1"]
    flux_y: Float[Array, "nt nz ny1 nx"]
    flux_z: Float[Array, "nt nz1 ny nx"]
    mixing: Mixing
    interval: float = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nt, nz, ny, nx)."""
        return (self.flux_x.shape[0], *self.air.shape[1:])  # type: ignore[return-value]

    def continuity_residual(self) -> float:
        """Largest imbalance of a cell over an interval, relative to its air."""

        def worst(fields):
            before, after, x, y, z = fields
            divergence = jnp.diff(x, axis=2) + jnp.diff(y, axis=1) + jnp.diff(z, axis=0)
            return jnp.max(jnp.abs(after - before + divergence * self.interval) / before)

        fields = (self.air[:-1], self.air[1:], self.flux_x, self.flux_y, self.flux_z)
        return float(jnp.max(jax.lax.map(worst, fields)))

    def split(self, parts: int) -> "Meteorology":
        """The same weather on intervals of interval/parts: air changes linearly, fluxes stay.

        Means over an interval are what receptors see, so finer intervals resolve shorter observations.
        """
        share = jnp.arange(parts, dtype=self.air.dtype) / parts
        change = jnp.diff(self.air, axis=0)[:, None] * share[:, None, None, None]
        air = (self.air[:-1, None] + change).reshape(-1, *self.air.shape[1:])
        air = jnp.concatenate([air, self.air[-1:]])

        def repeat(field):
            return jnp.repeat(field, parts, axis=0)

        fluxes = (repeat(self.flux_x), repeat(self.flux_y), repeat(self.flux_z))
        return Meteorology(air, *fluxes, jax.tree.map(repeat, self.mixing), self.interval / parts)

    def astype(self, dtype) -> "Meteorology":
        """In another precision."""
        return jax.tree.map(lambda array: array.astype(dtype), self)


def vertical_flux(flux_x: np.ndarray, flux_y: np.ndarray) -> np.ndarray:
    """The vertical air flux that closes each column of a steady density from the ground up.

    F_z[k+1] = F_z[k] − (Δx F_x + Δy F_y)[k],  F_z[0] = 0

    Args:
        flux_x: (nt, nz, ny, nx+1) mol s-1.
        flux_y: (nt, nz, ny+1, nx) mol s-1.

    Returns:
        (nt, nz+1, ny, nx) mol s-1, with the top face set to exactly zero.

    Raises:
        TanhengError: the column does not close, i.e. the horizontal flux was not made mass-consistent.
    """
    divergence = np.diff(flux_x, axis=3) + np.diff(flux_y, axis=2)
    nt, nz, ny, nx = divergence.shape
    flux_z = np.zeros((nt, nz + 1, ny, nx))
    flux_z[:, 1:] = -np.cumsum(divergence, axis=1)
    scale = np.abs(flux_x).max() + np.abs(flux_y).max()
    leak = np.abs(flux_z[:, -1]).max() / scale if scale > 0 else 0.0
    if not leak <= 1e-9:
        raise TanhengError(
            "the column-integrated air flux diverges",
            got=f"{leak:.2e} of the largest face flux",
            expected="≤ 1e-9",
            remedy="correct the horizontal fluxes so that every column keeps its air",
        )
    flux_z[:, -1] = 0.0
    return flux_z

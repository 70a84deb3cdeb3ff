"""What transport needs from the weather: air mass, mass fluxes through faces, vertical exchange."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from transport.errors import TanhengError


class Meteorology(eqx.Module):
    """Dry-air mass and its motion on `nt` intervals of `interval` seconds; density is steady.

    Faces carry the air that crosses them: flux_x[..., i] is the face west of cell i, flux_y[..., j, :] the face south
    of row j, flux_z[:, k] the face below layer k; positive east, north and up. Continuity holds to rounding:

        Δx flux_x + Δy flux_y + Δz flux_z = 0

    Args:
        air: (nz, ny, nx) dry air, mol.
        flux_x: (nt, nz, ny, nx+1) mol s-1.
        flux_y: (nt, nz, ny+1, nx) mol s-1.
        flux_z: (nt, nz+1, ny, nx) mol s-1; zero at ground and top.
        exchange: (nt, nz-1, ny, nx) turbulent exchange of air K ρ A / Δz across inner faces, mol s-1, ≥ 0.
        mixing_height: (nt,) m above ground.
        interval: length of an interval, s.
    """

    air: Float[Array, "nz ny nx"]
    flux_x: Float[Array, "nt nz ny nx1"]
    flux_y: Float[Array, "nt nz ny1 nx"]
    flux_z: Float[Array, "nt nz1 ny nx"]
    exchange: Float[Array, "nt nz2 ny nx"]
    mixing_height: Float[Array, " nt"]
    interval: float = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nt, nz, ny, nx)."""
        return (self.flux_x.shape[0], *self.air.shape)  # type: ignore[return-value]

    def continuity_residual(self) -> float:
        """Largest |Δx F + Δy F + Δz F| · interval relative to the air of the cell."""
        divergence = jnp.diff(self.flux_x, axis=3) + jnp.diff(self.flux_y, axis=2) + jnp.diff(self.flux_z, axis=1)
        return float(jnp.max(jnp.abs(divergence) * self.interval / self.air))


def vertical_flux(flux_x: np.ndarray, flux_y: np.ndarray) -> np.ndarray:
    """The vertical air flux that closes each column from the ground up.

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

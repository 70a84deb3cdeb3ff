"""Where mixing acts and what it moves: columns of air, and the air that turbulence carries between their layers."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from transport.errors import TanhengError


class Columns(eqx.Module):
    """Layers of dry air above each cell; layer 0 lies on the ground.

    Args:
        height_edges: (nt, nz+1, ny, nx) m above ground, increasing from 0.
        air: (nt, nz, ny, nx) dry air, mol.
        areas: (ny, nx) m2.

    Raises:
        TanhengError: shapes that do not fit together.
    """

    height_edges: Float[Array, "nt nz1 ny nx"]
    air: Float[Array, "nt nz ny nx"]
    areas: Float[Array, "ny nx"]

    def __check_init__(self):
        nt, nz, ny, nx = self.air.shape
        got = self.height_edges.shape, self.areas.shape
        if got != ((nt, nz + 1, ny, nx), (ny, nx)):
            raise TanhengError(
                "heights, air and areas of the columns do not fit together",
                got=f"height_edges {got[0]}, air {self.air.shape}, areas {got[1]}",
                expected=f"height_edges {(nt, nz + 1, ny, nx)}, areas {(ny, nx)}",
                remedy="give heights at layer edges, one more than layers",
            )

    @property
    def thickness(self) -> Array:
        """(nt, nz, ny, nx) m."""
        return jnp.diff(self.height_edges, axis=1)

    @property
    def inner_heights(self) -> Array:
        """(nt, nz-1, ny, nx) m above ground, of the faces between layers."""
        return self.height_edges[:, 1:-1]

    @property
    def molar_density(self) -> Array:
        """(nt, nz, ny, nx) dry air, mol m-3."""
        return self.air / (self.areas * self.thickness)

    @property
    def face_density(self) -> Array:
        """(nt, nz-1, ny, nx) mol m-3 at inner faces, linear between layer centres."""
        rho, dz = self.molar_density, self.thickness
        return (rho[:, :-1] * dz[:, 1:] + rho[:, 1:] * dz[:, :-1]) / (dz[:, :-1] + dz[:, 1:])

    def exchange(self, diffusivity: ArrayLike) -> Array:
        """Air exchanged across inner faces, K ρ A / Δz with Δz between layer centres.

        Args:
            diffusivity: K at inner faces, m2 s-1, broadcastable to (nt, nz-1, ny, nx).

        Returns:
            (nt, nz-1, ny, nx) mol s-1.
        """
        dz = self.thickness
        return jnp.asarray(diffusivity) * self.face_density * self.areas / (0.5 * (dz[:, :-1] + dz[:, 1:]))


class Mixing(eqx.Module):
    """Air that turbulence moves within columns; it displaces no air mass.

    Args:
        exchange: (nt, nz-1, ny, nx) mol s-1 swapped by neighbours across inner faces.
        updraft: (nt, nz, ny, nx) mol s-1 lifted from layer 0 straight into layer k (zero for k = 0), or None. It
            returns layer by layer: Σ_{j>k} updraft_j sinks through the face between k and k+1.
        release: (nt, nz, ny, nx) share of the surface flux that enters each layer, sum 1, or None: all in layer 0.
            The counter-gradient term makes some shares negative.
    """

    exchange: Float[Array, "nt nz2 ny nx"]
    updraft: Float[Array, "nt nz ny nx"] | None = None
    release: Float[Array, "nt nz ny nx"] | None = None


def require_non_negative(what: str, value: ArrayLike) -> None:
    """Refuse numbers below zero or not finite; traced ones pass, since their values are not known.

    Raises:
        TanhengError: a negative or non-finite number.
    """
    if isinstance(value, Tracer):
        return
    known = np.asarray(value)
    if known.size and not (np.isfinite(known).all() and (known >= 0.0).all()):
        raise TanhengError(
            f"{what} must not be negative", got=float(known.min()), expected="≥ 0, finite", remedy="correct the sign"
        )

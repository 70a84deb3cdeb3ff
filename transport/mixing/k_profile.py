"""Diffusivity from a cubic profile over the mixed layer, with a counter-gradient flux as an option.

    K(z) = K_0 + κ w_t z (1 − z/h)²                 z < h;  K_0 above

    stable:    w_t = u* / φ_h(z/L)
    unstable:  w_t = w_m / Pr,   w_m³ = u*³ + 15 κ ζ w*³,   Pr = (u*/w_m)^½ + a κ ζ w*/w_m, ζ = min(z/h, 0.1), a = 7.2

At ζ = 0.1 these are w_m³ = u*³ + 0.6 w*³ and the Prandtl number of Holtslag and Boville; (u*/w_m)^½ is their φ_h/φ_m.
They drop the second term of Pr, with the counter-gradient term, below 0.1 h, where K then jumps by up to a factor two.
Here both reach the ground: K is continuous in z and h, and in the surface layer the sum of the local and the
counter-gradient flux still follows φ_h exactly.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from transport.constants import VON_KARMAN
from transport.mixing.columns import Columns, Mixing, require_non_negative
from transport.mixing.surface_layer import BoundaryLayer, on_levels, stable_phi_heat

SURFACE_LAYER = 0.1  # share of the mixing height
EXCESS = 7.2  # a of Holtslag and Boville 1993, eq. 3.10


class Constant(eqx.Module):
    """The same diffusivity always: for tests and sensitivity runs.

    Args:
        diffusivity: K, m2 s-1, broadcastable to (nt, nz-1, ny, nx).
    """

    diffusivity: ArrayLike

    def __check_init__(self):
        require_non_negative("the diffusivity", self.diffusivity)

    def __call__(self, layer: BoundaryLayer, columns: Columns) -> Mixing:
        """Exchange K ρ A / Δz."""
        return Mixing(columns.exchange(self.diffusivity))


class KProfile(eqx.Module):
    """Cubic K profile of the mixed layer.

    Args:
        background: K_0 added everywhere, m2 s-1.
        counter_gradient: also move tracer by the counter-gradient flux K γ, γ = a w* (w'c')_0 / (w_m² h). It is
            proportional to the surface flux, so it appears as the `release` profile of the mixing; layers below h/3
            lose more than they are given, and a mole fraction there can become negative.

    Reference: Troen and Mahrt 1986, doi 10.1007/BF00122760, §2; Holtslag and Boville 1993,
    doi 10.1175/1520-0442(1993)006<1825:LVNBLD>2.0.CO;2, §3, eq. 3.9 and 3.10.
    """

    background: ArrayLike = 0.1
    counter_gradient: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        require_non_negative("the background diffusivity", self.background)

    def __call__(self, layer: BoundaryLayer, columns: Columns) -> Mixing:
        """Exchange, and with the counter-gradient term the release profile."""
        z = columns.inner_heights
        turbulent = mixed_layer_diffusivity(layer, z)
        exchange = columns.exchange(self.background + turbulent)
        if not self.counter_gradient:
            return Mixing(exchange)
        # Share of the surface flux that the counter-gradient term carries through each face: ρ K γ / (ρ_0 (w'c')_0).
        w_m, _ = convective_scales(layer, z)
        gamma = EXCESS * on_levels(layer.convective_velocity) / (w_m**2 * on_levels(layer.depth))
        carried = turbulent * gamma * columns.face_density / columns.molar_density[:, :1]
        edge = jnp.zeros_like(carried[:, :1])
        return Mixing(exchange, release=-jnp.diff(carried, axis=1, prepend=edge + 1.0, append=edge))


def convective_scales(layer: BoundaryLayer, z: Array) -> tuple[Array, Array]:
    """w_m (m s-1) and Pr of unstable air at heights z (nt, nk, ny, nx) in m."""
    zeta = jnp.minimum(z / on_levels(layer.depth), SURFACE_LAYER)
    shear, buoyancy = on_levels(layer.shear_velocity), on_levels(layer.convective_velocity_cubed)
    w_m = jnp.cbrt(shear**3 + 15.0 * VON_KARMAN * zeta * buoyancy)
    prandtl = jnp.sqrt(shear / w_m) + EXCESS * VON_KARMAN * zeta * on_levels(layer.convective_velocity) / w_m
    return w_m, prandtl


def mixed_layer_diffusivity(layer: BoundaryLayer, z: Array) -> Array:
    """κ w_t z (1 − z/h)² at heights z (nt, nk, ny, nx) in m, zero above h; m2 s-1."""
    w_m, prandtl = convective_scales(layer, z)
    stable = on_levels(layer.shear_velocity) / stable_phi_heat(z * on_levels(layer.inverse_obukhov_length))
    w_t = jnp.where(on_levels(layer.sensible_heat) > 0, w_m / prandtl, stable)
    return VON_KARMAN * w_t * z * fade(layer, z)


def fade(layer: BoundaryLayer, z: Array) -> Array:
    """(1 − z/h)² below h, 0 above."""
    return jnp.maximum(1.0 - z / on_levels(layer.depth), 0.0) ** 2

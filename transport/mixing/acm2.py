"""Asymmetric convective model: large eddies lift air from the lowest layer to all layers, it sinks layer by layer.

    K_h(z) = κ (u*/φ_h) z (1 − z/h)²,   φ_h = (1 − 16 z_s/L)^−½ unstable, z_s = min(z, 0.1 h)
    f      = [1 + κ^−⅔ / (0.1 a) (−h/L)^−⅓]⁻¹ = 0.1 a κ w* / (0.1 a κ w* + u*),   a = 7.2;  0 in stable air
    K      = K_0 + (1 − f) K_h
    M_u    = f K_h(z_1) / (Δz_1 (h − z_1)),   s-1; z_1 the top of layer 0, Δz_1 between the first two centres

Layer k receives M_u times its air below h; the air lifted is in total f times what K_h would exchange at z_1.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from transport.constants import VON_KARMAN
from transport.mixing.columns import Columns, Mixing, require_non_negative
from transport.mixing.k_profile import EXCESS, SURFACE_LAYER, fade
from transport.mixing.surface_layer import BoundaryLayer, on_levels, stable_phi_heat


class ACM2(eqx.Module):
    """Pleim's combined local and non-local closure.

    Args:
        background: K_0 added everywhere, m2 s-1.

    Reference: Pleim 2007, doi 10.1175/JAM2539.1, §2 and 3; the same formulae as WRF, phys/module_bl_acm.F.
    """

    background: ArrayLike = 0.1

    def __check_init__(self):
        require_non_negative("the background diffusivity", self.background)

    def __call__(self, layer: BoundaryLayer, columns: Columns) -> Mixing:
        """Exchange by the local part, updraft by the non-local part."""
        local = heat_diffusivity(layer, columns.inner_heights)
        share = on_levels(convective_share(layer))
        exchange = columns.exchange(self.background + (1.0 - share) * local)
        lifted = (share * columns.exchange(local))[:, :1]
        # Air of layers above the first that lies below h takes the updraft, in proportion.
        bottom, thickness = columns.height_edges[:, 1:-1], columns.thickness[:, 1:]
        mixed = columns.air[:, 1:] * jnp.clip((on_levels(layer.depth) - bottom) / thickness, 0.0, 1.0)
        total = jnp.sum(mixed, axis=1, keepdims=True)
        # Where h is below the first face nothing is mixed, and `lifted` is zero too: divide by anything else than zero.
        updraft = lifted * mixed / jnp.where(total > 0, total, 1.0)
        return Mixing(exchange, updraft=jnp.concatenate([jnp.zeros_like(lifted), updraft], axis=1))


def convective_share(layer: BoundaryLayer) -> Array:
    """f, the share of mixing done by large eddies, (nt, ny, nx); Pleim's formula with −h/L = κ w*³/u*³."""
    eddies = 0.1 * EXCESS * VON_KARMAN * layer.convective_velocity
    return eddies / (eddies + layer.shear_velocity)


def heat_diffusivity(layer: BoundaryLayer, z: Array) -> Array:
    """K_h at heights z (nt, nk, ny, nx) in m, m2 s-1."""
    shear, inverse = on_levels(layer.shear_velocity), on_levels(layer.inverse_obukhov_length)
    z_s = jnp.minimum(z, SURFACE_LAYER * on_levels(layer.depth))
    # φ_h⁻¹; each branch is kept within its own side so that its derivative stays finite on the other.
    unstable = jnp.sqrt(1.0 + 16.0 * z_s * jnp.maximum(-inverse, 0.0))
    stable = 1.0 / stable_phi_heat(z * inverse)
    return VON_KARMAN * shear * jnp.where(inverse < 0, unstable, stable) * z * fade(layer, z)

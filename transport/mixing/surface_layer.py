"""Scales of the surface layer and the mixed layer (Monin and Obukhov), safe in calm and neutral air.

    ρ = p M / (R T)         B = g H / (ρ c_p θ)         1/L = −κ B / u*³         w*³ = h B  (B > 0)

θ is the air temperature at the ground: the buoyancy flux g w'θ'/θ does not depend on the reference pressure. The
buoyancy of water vapour, about 7 % of the latent heat flux, is not in H and is left out.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from transport.constants import GAS_CONSTANT, HEAT_CAPACITY_DRY_AIR, MOLAR_MASS_DRY_AIR, STANDARD_GRAVITY, VON_KARMAN

# Below these the scales level off smoothly, so that calm, neutral and empty boundary layers have finite derivatives.
CALM = 1e-3  # m s-1, far below any measured u* or w*; changes 0.1 m/s by 5e-5 and 7e-7 of itself
SHALLOW = 1.0  # m
NEUTRAL = 1e-6  # m-1: |L| beyond 1000 km is neutral


class BoundaryLayer(eqx.Module):
    """State of the air near the ground, each (nt, ny, nx).

    Args:
        mixing_height: h, m above ground.
        friction_velocity: u*, m s-1.
        sensible_heat: H, W m-2, upward positive.
        temperature: T of the air near the ground, K.
        pressure: p at the ground, Pa.

    Reference: Stull 1988, An Introduction to Boundary Layer Meteorology, §4.2 (w*) and §5.7 (L).
    """

    mixing_height: Float[Array, "nt ny nx"]
    friction_velocity: Float[Array, "nt ny nx"]
    sensible_heat: Float[Array, "nt ny nx"]
    temperature: Float[Array, "nt ny nx"]
    pressure: Float[Array, "nt ny nx"]

    @property
    def depth(self) -> Array:
        """(nt, ny, nx) mixing height, at least 1 m."""
        return jnp.maximum(self.mixing_height, SHALLOW)

    @property
    def shear_velocity(self) -> Array:
        """(nt, ny, nx) u* that never vanishes: √(u*² + (1 mm/s)²), m s-1."""
        return jnp.sqrt(self.friction_velocity**2 + CALM**2)

    @property
    def density(self) -> Array:
        """(nt, ny, nx) ρ = p M / (R T), kg m-3."""
        return self.pressure * MOLAR_MASS_DRY_AIR / (GAS_CONSTANT * self.temperature)

    @property
    def buoyancy_flux(self) -> Array:
        """(nt, ny, nx) B = g H / (ρ c_p θ), m2 s-3."""
        return STANDARD_GRAVITY * self.sensible_heat / (self.density * HEAT_CAPACITY_DRY_AIR * self.temperature)

    @property
    def inverse_obukhov_length(self) -> Array:
        """(nt, ny, nx) 1/L = −κ B / u*³, m-1: smooth through neutral air, where it is zero."""
        return -VON_KARMAN * self.buoyancy_flux / self.shear_velocity**3

    @property
    def obukhov_length(self) -> Array:
        """(nt, ny, nx) L = −u*³ θ ρ c_p / (κ g H), m, kept within ±1000 km."""
        inverse = self.inverse_obukhov_length
        neutral = jnp.abs(inverse) < NEUTRAL
        return 1.0 / jnp.where(neutral, jnp.where(inverse < 0, -NEUTRAL, NEUTRAL), inverse)

    @property
    def convective_velocity_cubed(self) -> Array:
        """(nt, ny, nx) w*³ = h B where the ground heats the air, else 0; m3 s-3."""
        return self.depth * jnp.maximum(self.buoyancy_flux, 0.0)

    @property
    def convective_velocity(self) -> Array:
        """(nt, ny, nx) w* = w*³ / (w*³ + (1 mm/s)³)^⅔, m s-1: the cube root, but with a finite slope at H = 0."""
        cubed = self.convective_velocity_cubed
        return cubed / jnp.cbrt(cubed + CALM**3) ** 2


def on_levels(field: Float[Array, "nt ny nx"]) -> Float[Array, "nt 1 ny nx"]:
    """A field of the ground, ready to meet fields on levels."""
    return field[:, None]


def stable_phi_heat(zeta: Array) -> Array:
    """Dimensionless temperature gradient in stable air: φ_h = 1 + 5 ζ up to ζ = z/L = 1, then 5 + ζ.

    Reference: Holtslag and Boville 1993, doi 10.1175/1520-0442(1993)006<1825:LVNBLD>2.0.CO;2, §3.
    """
    zeta = jnp.maximum(zeta, 0.0)
    return jnp.where(zeta <= 1.0, 1.0 + 5.0 * zeta, 5.0 + zeta)

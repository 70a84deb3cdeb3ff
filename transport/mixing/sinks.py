"""Losses that are proportional to the tracer: first-order decay everywhere, deposition at the ground."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from transport.errors import TanhengError
from transport.mixing.columns import Columns, require_non_negative


class Sinks(eqx.Module):
    """dq/dt = −λ q in the air, flux v_d ρ q into the ground. The default loses nothing (SF6).

    Args:
        rate: λ, s-1, broadcastable to (nt, nz, ny, nx), or None.
        deposition_velocity: v_d for the mean of the lowest layer, m s-1, broadcastable to (nt, ny, nx), or None.

    Raises:
        TanhengError: a negative number.
    """

    rate: ArrayLike | None = None
    deposition_velocity: ArrayLike | None = None

    def __check_init__(self):
        for what, value in (("the loss rate", self.rate), ("the deposition velocity", self.deposition_velocity)):
            if value is not None:
                require_non_negative(what, value)

    def remaining(self, seconds: ArrayLike) -> Array | None:
        """exp(−λ Δt), the share that survives Δt, shaped as `rate`; None without decay."""
        return None if self.rate is None else jnp.exp(-jnp.asarray(self.rate) * seconds)

    def deposition(self, columns: Columns) -> Array | None:
        """Air cleaned by the ground, v_d ρ_0 A = v_d air_0 / Δz_0, (nt, ny, nx) mol s-1; None without deposition."""
        if self.deposition_velocity is None:
            return None
        return jnp.asarray(self.deposition_velocity) * columns.air[:, 0] / columns.thickness[:, 0]


def radioactive_decay(half_life: float) -> float:
    """λ = ln 2 / T½.

    Args:
        half_life: T½ in s, e.g. `transport.constants.RADON_HALF_LIFE`.

    Returns:
        λ in s-1.

    Raises:
        TanhengError: the half-life is not positive.
    """
    if not half_life > 0:
        raise TanhengError(
            "a half-life must be positive", got=half_life, expected="> 0 s", remedy="use Sinks() for a stable tracer"
        )
    return float(jnp.log(2.0) / half_life)


def hydroxyl_loss(temperature: ArrayLike, hydroxyl: ArrayLike) -> Array:
    """Loss rate of CH4 by OH: λ = 2.45e-12 exp(−1775/T) [OH].

    Args:
        temperature: T, K.
        hydroxyl: [OH], molecules cm-3 (global mean about 1e6), same shape.

    Returns:
        λ in s-1.

    Reference: Burkholder et al. 2019, Chemical Kinetics and Photochemical Data for Use in Atmospheric Studies,
    Evaluation 19, JPL Publication 19-5, §1, table 1D (OH + CH4); fitted for 200–300 K.
    """
    return 2.45e-12 * jnp.exp(-1775.0 / jnp.asarray(temperature)) * hydroxyl

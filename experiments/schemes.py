"""From names in the configuration to schemes of advection and mixing."""

import jax.numpy as jnp

from experiments.schema import EulerianTransport, MixingScheme, Precision, Scheme
from transport.eulerian.schemes import AbstractScheme
from transport.eulerian.schemes.polynomial import FifthOrder, SeventhOrder, ThirdOrder
from transport.eulerian.schemes.ppm import PPM
from transport.eulerian.schemes.ppm_limited import PPMLimited
from transport.eulerian.schemes.upwind import Upwind
from transport.eulerian.schemes.van_leer import VanLeer
from transport.mixing import ACM2, KProfile

# Mixing is first order in time: half a per cent near the ground for steps of five minutes.
LONGEST_STEP = 300.0  # s

_ADVECTION: dict[Scheme, type[AbstractScheme]] = {
    Scheme.upwind: Upwind,
    Scheme.third_order: ThirdOrder,
    Scheme.fifth_order: FifthOrder,
    Scheme.seventh_order: SeventhOrder,
    Scheme.ppm: PPM,
    Scheme.van_leer: VanLeer,
    Scheme.ppm_limited: PPMLimited,
}


def scheme_of(config: EulerianTransport) -> AbstractScheme:
    """The advection scheme that the configuration names."""
    return _ADVECTION[config.scheme]()


def mixing_of(config: EulerianTransport) -> KProfile | ACM2:
    """The mixing scheme that the configuration names."""
    if config.mixing is MixingScheme.acm2:
        return ACM2(config.background_diffusivity)
    return KProfile(config.background_diffusivity, config.mixing is MixingScheme.k_profile_counter_gradient)


def dtype_of(config: EulerianTransport):
    """The precision of the fields."""
    return jnp.float32 if config.precision is Precision.single else jnp.float64

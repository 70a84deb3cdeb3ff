"""The piecewise parabolic method with its monotonicity limiter.

Edge values from limited slopes, then the parabola flattened where it would leave the range of its edges
(Colella and Woodward 1984, doi 10.1016/0021-9991(84)90143-8, eqs. 1.6–1.8, 1.10, 1.12).
"""

from typing import ClassVar

import jax.numpy as jnp

from transport.eulerian.schemes import AbstractLimitedScheme


def _limited_slope(behind, donor, ahead):
    below, above = donor - behind, ahead - donor
    size = jnp.minimum(0.5 * jnp.abs(below + above), 2.0 * jnp.minimum(jnp.abs(below), jnp.abs(above)))
    return jnp.where(below * above > 0.0, jnp.sign(above) * size, 0.0)


class PPMLimited(AbstractLimitedScheme):
    """PPM as published, limiter included."""

    half_width: ClassVar[int] = 2

    def face_value(self, cells, c):
        """The limited parabola of the donor, averaged over its swept part."""
        slope = [_limited_slope(*cells[k - 1 : k + 2]) for k in (1, 2, 3)]

        def edge(k):  # between cells k and k + 1
            return 0.5 * (cells[k] + cells[k + 1]) - (slope[k] - slope[k - 1]) / 6.0

        donor, left, right = cells[2], edge(1), edge(2)
        extremum = (right - donor) * (donor - left) <= 0.0
        left, right = jnp.where(extremum, donor, left), jnp.where(extremum, donor, right)
        rise, bend = right - left, 6.0 * (donor - 0.5 * (left + right))
        steep_left, steep_right = rise * bend > rise**2, -(rise**2) > rise * bend
        left, right = (
            jnp.where(steep_left, 3.0 * donor - 2.0 * right, left),
            jnp.where(steep_right, 3.0 * donor - 2.0 * left, right),
        )
        bend = 6.0 * (donor - 0.5 * (left + right))
        return right - 0.5 * c * (right - left - (1.0 - 2.0 * c / 3.0) * bend)

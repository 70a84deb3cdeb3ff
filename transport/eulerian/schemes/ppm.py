"""The piecewise parabolic method without limiter: linear, third order, the default.

Fourth-order edge values a and the parabola between them, averaged over the swept part c of the donor cell
(Colella and Woodward 1984, doi 10.1016/0021-9991(84)90143-8, eqs. 1.6 on an even grid and 1.12):

    a_{i+½} = 7/12 (q_i + q_{i+1}) − 1/12 (q_{i−1} + q_{i+2}),      a6 = 6 q_i − 3 (a_{i−½} + a_{i+½})
    q_f = a_{i+½} − c/2 (a_{i+½} − a_{i−½} − (1 − 2c/3) a6)
"""

from typing import ClassVar

from transport.eulerian.schemes import AbstractLinearScheme

EDGE = (-1.0 / 12.0, 7.0 / 12.0, 7.0 / 12.0, -1.0 / 12.0)


class PPM(AbstractLinearScheme):
    """Unlimited PPM."""

    half_width: ClassVar[int] = 2

    def weights(self, c):
        """Weights of the two edge values and of the donor, spread over five cells."""
        bend = 1.0 - 2.0 * c / 3.0
        ahead = 1.0 - 0.5 * c * (1.0 + 3.0 * bend)  # of a_{i+½}
        behind = 0.5 * c * (1.0 - 3.0 * bend)  # of a_{i−½}
        donor = 3.0 * c * bend  # of q_i
        return [
            EDGE[0] * behind,
            EDGE[1] * behind + EDGE[0] * ahead,
            EDGE[2] * behind + EDGE[1] * ahead + donor,
            EDGE[3] * behind + EDGE[2] * ahead,
            EDGE[3] * ahead,
        ]

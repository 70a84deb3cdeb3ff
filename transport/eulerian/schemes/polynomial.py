"""Linear schemes of any odd order: the polynomial through 2p + 1 cell means, averaged over the swept part.

With W the running total of q over the cells around the donor [0, 1], known at the 2p + 2 edges, and ℓ_j the Lagrange
polynomials of those edges,

    q_f = (W(1) − W(1 − c)) / c,      W(x) = Σ_j ℓ_j(x) W_j          (order 2p + 1)

Order 3 is QUICKEST (Leonard 1979, doi 10.1016/0045-7825(79)90034-3); higher orders: Leonard 1991,
doi 10.1016/0045-7825(91)90232-U.
"""

import functools
from typing import ClassVar

import numpy as np
from numpy.polynomial import Polynomial

from transport.eulerian.schemes import AbstractLinearScheme


@functools.cache
def coefficients(p: int) -> np.ndarray:
    """(2p+1 cells, 2p+1 powers of c) of the weights of q_f."""
    edges = np.arange(-p, p + 2)
    table = np.zeros((2 * p + 1, 2 * p + 1))
    back = Polynomial([1.0, -1.0])  # 1 − c, the departure point
    for j, edge in enumerate(edges):
        if edge == 1:
            continue  # W is counted from the face itself
        others = np.delete(edges, j)
        basis = Polynomial.fromroots(others) / np.prod((edge - others).astype(float))
        swept = np.asarray(basis(back).coef, dtype=float)[1:]  # one factor c cancels
        # W_j − W(1) is minus the sum of the cells between the edge and the face, or plus those beyond it.
        for cell in range(-p, p + 1):
            sign = float(edge <= cell < 1) - float(1 <= cell < edge)
            table[cell + p, : swept.size] += sign * swept
    return table


class _OddOrder(AbstractLinearScheme):
    def weights(self, c):
        """Polynomials in c, by Horner's rule."""
        return [
            functools.reduce(lambda total, a: total * c + a, row[::-1], 0.0 * c)
            for row in coefficients(self.half_width).tolist()
        ]


class ThirdOrder(_OddOrder):
    """QUICKEST: three cells."""

    half_width: ClassVar[int] = 1


class FifthOrder(_OddOrder):
    """Five cells."""

    half_width: ClassVar[int] = 2


class SeventhOrder(_OddOrder):
    """Seven cells."""

    half_width: ClassVar[int] = 3

"""Third order on layers of unequal mass: the vertical companion of the linear schemes.

The parabola whose means over the cells behind (b), at (d) and ahead of (a) the face's donor are theirs, averaged over
the swept part c of the donor; the formula of `polynomial.py` with edges spaced by the masses m:

    w_a =  (1 − c) m_d (m_b + (1 − c) m_d) / ((m_a + m_d) (m_a + m_d + m_b))
    w_b = −(1 − c) m_d (m_a + c m_d) / ((m_d + m_b) (m_a + m_d + m_b)),        w_d = 1 − w_a − w_b

Layers grow by tens of per cent from one to the next; weights for even cells would be first order there.
"""

from jaxtyping import Array


def weights(c: Array, behind: Array, donor: Array, ahead: Array) -> list[Array]:
    """Weights of the cells behind, at and ahead of the donor, from the Courant number and the masses of the cells."""
    total, rest = behind + donor + ahead, (1.0 - c) * donor
    front = rest * (behind + rest) / ((ahead + donor) * total)
    back = -rest * (ahead + c * donor) / ((donor + behind) * total)
    return [back, 1.0 - front - back, front]

"""What a column is of a profile that is linear in pressure: from a `Vertical`, for comparison with a product's own."""

import numpy as np

from inversion.observations import Vertical


def linear(surface: float, top: float):
    """A profile x(p) of pressure in Pa: linear, so that its mean over a layer is its value at the middle."""
    return lambda p: top + (surface - top) * np.asarray(p, float) / 1e5


def column(vertical: Vertical, row: int, profile) -> float:
    """y_a + Σ h a (x − x_a) of one row."""
    own = vertical.take(np.array([row]))
    used = np.isfinite(own.weights[0])
    p, h, a, x_a = (getattr(own, name)[0] for name in ("pressure", "weights", "kernel", "prior"))
    x = profile(0.5 * (p[1:] + p[:-1]) if own.layered[0] else p)
    return float(own.prior_value[0] + np.sum((h * a * (x - x_a))[used]))

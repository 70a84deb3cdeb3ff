"""Vertical mixing: schemes turn the state of the boundary layer into exchanged air, one implicit solve applies it.

    BoundaryLayer, Columns ──scheme──▶ Mixing ──solve.implicit_step──▶ q'

A scheme is a frozen module called as `scheme(layer, columns)`; all of it is differentiable in the state of the
boundary layer.
"""

from transport.mixing.acm2 import ACM2
from transport.mixing.columns import Columns, Mixing
from transport.mixing.k_profile import Constant, KProfile
from transport.mixing.sinks import Sinks, hydroxyl_loss, radioactive_decay
from transport.mixing.solve import implicit_step, implicit_step_transposed
from transport.mixing.surface_layer import BoundaryLayer

__all__ = [
    "ACM2",
    "BoundaryLayer",
    "Columns",
    "Constant",
    "KProfile",
    "Mixing",
    "Sinks",
    "hydroxyl_loss",
    "implicit_step",
    "implicit_step_transposed",
    "radioactive_decay",
]

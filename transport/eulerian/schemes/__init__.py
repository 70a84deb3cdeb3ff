"""Advection schemes: what mixing ratio a face passes on, one scheme per file.

A linear scheme is a table of weights: the value q_f carried through a face by the Courant number c = |F| Δt / m of its
donor cell is a weighted mean of the 2p + 1 cells around the donor. A limited scheme bends its weights to the field.
"""

import abc
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array


class AbstractScheme(eqx.Module):
    """A rule for the mixing ratio that faces pass on; `half_width` cells on either side of the donor take part."""

    half_width: ClassVar[int]


class AbstractLinearScheme(AbstractScheme):
    """Weights that do not depend on the field, hence an exact adjoint."""

    @abc.abstractmethod
    def weights(self, c: Array) -> list[Array]:
        """Weights of the cells −p … p counted downstream from the donor; they sum to one.

        Args:
            c: Courant numbers, 0…1.
        """


class AbstractLimitedScheme(AbstractScheme):
    """Face values bounded by the field around them: no new extremes, and no linear adjoint."""

    @abc.abstractmethod
    def face_value(self, cells: list[Array], c: Array) -> Array:
        """q_f from the cells −p … p counted downstream from the donor."""


def schemes() -> dict[str, type[AbstractScheme]]:
    """Every scheme by the name that configurations use."""
    from transport.eulerian.schemes.polynomial import FifthOrder, SeventhOrder, ThirdOrder
    from transport.eulerian.schemes.ppm import PPM
    from transport.eulerian.schemes.ppm_limited import PPMLimited
    from transport.eulerian.schemes.upwind import Upwind
    from transport.eulerian.schemes.van_leer import VanLeer

    return {
        "upwind": Upwind,
        "third_order": ThirdOrder,
        "fifth_order": FifthOrder,
        "seventh_order": SeventhOrder,
        "ppm": PPM,
        "van_leer": VanLeer,
        "ppm_limited": PPMLimited,
    }

"""What enters the air: the input of every transport operator."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float


class Sources(eqx.Module):
    """What enters the domain, per interval of the meteorology.

    Args:
        surface: (nt, ny, nx) flux through the ground, µmol m-2 s-1.
        points: (nt, n) release of elevated point sources, µmol s-1.
        inflow: (nt,) mole fraction of the air that enters through the sides, µmol/mol (ppm).
        initial: () mole fraction everywhere at the start, ppm.
    """

    surface: Float[Array, "nt ny nx"]
    points: Float[Array, "nt n"]
    inflow: Float[Array, " nt"]
    initial: Float[Array, ""]


class Injection(eqx.Module):
    """Where point sources release: cell indices (n,) and the share of each layer (n, nz), rows summing to one."""

    row: np.ndarray
    column: np.ndarray
    profile: np.ndarray

"""What enters the air: the input of every transport operator."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from transport.errors import TanhengError


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

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse places outside a model of (nz, ny, nx) cells: an index beyond the edge would be dropped in silence.

        Raises:
            TanhengError: an index or a profile that does not fit.
        """
        nz, ny, nx = shape
        inside = (self.row >= 0) & (self.row < ny) & (self.column >= 0) & (self.column < nx)
        if not inside.all() or self.profile.shape != (len(self.row), nz):
            raise TanhengError(
                "point sources do not fit the model",
                got=f"rows {self.row}, columns {self.column}, profiles {self.profile.shape}",
                expected=f"rows 0…{ny - 1}, columns 0…{nx - 1}, profiles ({len(self.row)}, {nz})",
                remedy="find the cells with Grid.cell_of",
            )

"""What enters the air: the input of every transport operator."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from transport.errors import TanhengError


class Boundary(eqx.Module):
    """Mole fraction (ppm) of the air just outside the domain; it matters only where air flows in.

    Args:
        west, east: (nt, nz, ny).
        south, north: (nt, nz, nx).
        top: (nt, ny, nx); not used where the column is closed.
    """

    west: Float[Array, "nt nz ny"]
    east: Float[Array, "nt nz ny"]
    south: Float[Array, "nt nz nx"]
    north: Float[Array, "nt nz nx"]
    top: Float[Array, "nt ny nx"]

    @classmethod
    def uniform(cls, value: Float[Array, " nt"], shape: tuple[int, int, int, int]) -> "Boundary":
        """The same value (nt,) all around a domain of shape (nt, nz, ny, nx)."""
        nt, nz, ny, nx = shape

        def spread(*rest):
            return jnp.broadcast_to(value[(...,) + (None,) * len(rest)], (nt, *rest))

        return cls(spread(nz, ny), spread(nz, ny), spread(nz, nx), spread(nz, nx), spread(ny, nx))

    @classmethod
    def around(cls, field: Float[Array, "nt nz ny nx"]) -> "Boundary":
        """The rim of a field on the model's own cells: a nest takes the cells nearest to its sides."""
        return cls(field[..., 0], field[..., -1], field[:, :, 0], field[:, :, -1], field[:, -1])


class Sources(eqx.Module):
    """What enters the domain, per interval of the meteorology.

    Args:
        surface: (nt, ny, nx) flux through the ground, µmol m-2 s-1.
        points: (nt, n) release of elevated point sources, µmol s-1.
        boundary: mole fraction of the air that enters through the sides and the top, µmol/mol (ppm).
        initial: (nz, ny, nx) mole fraction at the start, ppm.
    """

    surface: Float[Array, "nt ny nx"]
    points: Float[Array, "nt n"]
    boundary: Boundary
    initial: Float[Array, "nz ny nx"]


def uniform_air(structure: Sources, value: float = 1.0) -> Sources:
    """No emission into air of one mole fraction, inside and outside: it must stay as it is."""
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), structure)
    boundary = jax.tree.map(lambda side: side + value, zero.boundary)
    return Sources(zero.surface, zero.points, boundary, zero.initial + value)


class Injection(eqx.Module):
    """Where point sources release: cell indices (n,) and the share of each layer (n, nz), rows summing to one."""

    row: np.ndarray
    column: np.ndarray
    profile: np.ndarray

    @classmethod
    def none(cls, nz: int) -> "Injection":
        """No point sources."""
        return cls(np.zeros(0, int), np.zeros(0, int), np.zeros((0, nz)))

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse places outside a model of (nz, ny, nx) cells: an index beyond the edge would be dropped in silence.

        Raises:
            TanhengError: an index or a profile that does not fit.
        """
        nz, ny, nx = shape
        total = np.asarray(self.profile).sum(axis=1) if len(self.row) else np.ones(0)
        inside = (self.row >= 0) & (self.row < ny) & (self.column >= 0) & (self.column < nx)
        if not inside.all() or self.profile.shape != (len(self.row), nz) or not np.allclose(total, 1.0, atol=1e-5):
            raise TanhengError(
                "point sources do not fit the model",
                got=f"rows {self.row}, columns {self.column}, profiles {self.profile.shape} with sums {total}",
                expected=f"rows 0…{ny - 1}, columns 0…{nx - 1}, profiles ({len(self.row)}, {nz}) with sums 1",
                remedy="find the cells with Grid.cell_of",
            )

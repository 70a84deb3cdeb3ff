"""One direction of the split: all layers in one sweep each, fast layers in several shorter ones.

A layer whose Courant number would exceed the limit is sub-cycled alone, so a thin fast layer does not set the step of
the whole column.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from transport.eulerian.banded import Bands
from transport.eulerian.faces import courant, edges, high, linear_bands, low, vertical_bands
from transport.eulerian.limited import LimitedFaces
from transport.eulerian.schemes import AbstractLimitedScheme, AbstractLinearScheme, AbstractScheme

Slabs = tuple[tuple[int, int, int], ...]  # (first layer, one past the last, sub-sweeps)


def whole(nz: int) -> Slabs:
    """All layers in one sweep."""
    return ((0, nz, 1),)


class Sweep(eqx.Module):
    """Coefficients of a sweep and its transpose.

    Args:
        faces: bands, or the faces of a limited scheme; for one sub-sweep.
        lost: (nz, ny, nx) air that a cell loses in one sub-sweep, mol.
        moved: air moved through the first and the last face in one sub-sweep, mol, each without the axis.
        slabs: layers and their number of sub-sweeps.
    """

    faces: Bands | LimitedFaces
    lost: Float[Array, "nz ny nx"]
    moved: tuple[Array, Array]
    slabs: Slabs = eqx.field(static=True)

    @property
    def axis(self) -> int:
        """0 vertical, 1 south to north, 2 west to east."""
        return self.faces.axis

    def total(self) -> Array:
        """(nz, ny, nx) air that a cell loses in the whole sweep, mol."""
        return jnp.concatenate([n * self.lost[a:b] for a, b, n in self.slabs])

    def transposed(self) -> Bands:
        """The bands of the dual."""
        assert isinstance(self.faces, Bands)
        first, last = self.moved
        return self.faces.transpose((jnp.maximum(-first, 0.0), jnp.maximum(last, 0.0)))

    def earlier(self, air: Array, j: Array | int, n: int) -> Array:
        """Air after j more of n sub-sweeps; the one sweep of most layers must not even read what is lost."""
        return air if n == 1 else air - j * self.lost

    def layers(self, a: int, b: int) -> "Sweep":
        """Layers a … b alone."""
        return _layers(self, a, b)

    def forward(self, q: Float[Array, "nz ny nx"], air: Float[Array, "nz ny nx"], outer: tuple[Array, Array]) -> Array:
        """q after the sweep, with `air` after it and the values of the outer cells."""
        parts = []
        for a, b, n in self.slabs:
            slab = self.layers(a, b)
            side = outer if self.axis == 0 else tuple(value[a:b] for value in outer)

            def once(j, part, slab=slab, after=air[a:b], side=side, n=n):
                return slab.faces.apply(part, slab.earlier(after, -(n - 1 - j), n), side)

            parts.append(repeated(n, once, q[a:b]))
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts)

    def dual(
        self, flipped: Bands, mu: Float[Array, "nz ny nx"], air: Float[Array, "nz ny nx"]
    ) -> tuple[Array, tuple[Array, Array]]:
        """μ before the sweep, and the cotangents of the outer values; `air` before the sweep, `flipped` its bands."""
        parts, outer = [], []
        for a, b, n in self.slabs:
            slab, back = self.layers(a, b), _layers(flipped, a, b)
            bands = slab.faces
            assert isinstance(bands, Bands)
            gains = bands.facing(last=False), bands.facing(last=True)

            def once(i, carry, slab=slab, back=back, gains=gains, before=air[a:b], n=n):
                part, side = carry
                side = tuple(s - gain * e for s, gain, e in zip(side, gains, edges(part, self.axis), strict=True))
                return back.apply(part, slab.earlier(before, n - 1 - i, n)), side

            none = jnp.zeros_like(gains[0])
            part, side = repeated(n, once, (mu[a:b], (none, none)))
            parts.append(part)
            outer.append(side)
        if len(parts) == 1:
            return parts[0], (outer[0][0], outer[0][1])
        return jnp.concatenate(parts), (jnp.concatenate([o[0] for o in outer]), jnp.concatenate([o[1] for o in outer]))


def repeated(n: int, once, carry):
    """once(j, carry) for j = 0 … n − 1, compiled once."""
    return once(0, carry) if n == 1 else jax.lax.fori_loop(0, n, once, carry)


def _layers(tree, a: int, b: int):
    """Layers a … b of every array; a vertical sweep is never cut."""
    nz = tree.off[0].shape[0] if isinstance(tree, Bands) else tree.lost.shape[0]
    return tree if (a, b) == (0, nz) else jax.tree.map(lambda array: array[a:b], tree)


def sweep(scheme: AbstractScheme, air: Array, moved: Array, axis: int, slabs: Slabs) -> Sweep:
    """Coefficients from the air that Courant numbers refer to and the air moved in the whole sweep, mol."""
    if any(n > 1 for _, _, n in slabs):
        parts = jnp.concatenate([jnp.full(b - a, 1.0 / n, moved.dtype) for a, b, n in slabs])
        moved = moved * parts[:, None, None]
    if isinstance(scheme, AbstractLinearScheme):
        faces = vertical_bands(scheme, air, moved) if axis == 0 else linear_bands(scheme, air, moved, axis)
    else:
        assert isinstance(scheme, AbstractLimitedScheme)
        faces = LimitedFaces(moved, courant(air, moved, axis), scheme, axis)
    return Sweep(faces, high(moved, axis) - low(moved, axis), edges(moved, axis), slabs)

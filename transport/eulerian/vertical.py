"""Implicit vertical transport: first-order upwind advection and diffusion in one tridiagonal solve per column.

    m'_k q'_k + Δt (Φ_{k+½} − Φ_{k−½}) = m_k q_k,
    Φ_{k+½} = max(F,0) q'_k + min(F,0) q'_{k+1} − D (q'_{k+1} − q'_k),      m' = m − Δt (F_{k+½} − F_{k−½})

Backward Euler: unconditionally stable, monotone, mass conserving, and it keeps a uniform field uniform.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Tridiagonal(eqx.Module):
    """LU factors of a tridiagonal matrix per column (Thomas algorithm): L = I + lower, U = diag(1/inverse) + upper."""

    lower: Float[Array, "nz ny nx"]
    inverse: Float[Array, "nz ny nx"]
    upper: Float[Array, "nz ny nx"]

    def solve(self, b: Float[Array, "nz ny nx"]) -> Array:
        """x with A x = b: L first, then U."""

        def down(y, row):
            lower, b = row
            y = b - lower * y
            return y, y

        def up(x, row):
            y, upper, inverse = row
            x = (y - upper * x) * inverse
            return x, x

        start = jnp.zeros_like(b[0])
        _, y = jax.lax.scan(down, start, (self.lower, b))
        return jax.lax.scan(up, start, (y, self.upper, self.inverse), reverse=True)[1]

    def solve_transposed(self, b: Float[Array, "nz ny nx"]) -> Array:
        """x with Aᵀ x = b: Uᵀ first, then Lᵀ."""

        def down(carry, row):
            b, upper, inverse = row
            y = (b - carry) * inverse
            return upper * y, y

        def up(carry, row):
            y, lower = row
            x = y - carry
            return lower * x, x

        start = jnp.zeros_like(b[0])
        _, y = jax.lax.scan(down, start, (b, self.upper, self.inverse))
        return jax.lax.scan(up, start, (y, self.lower), reverse=True)[1]


def factorise(
    air: Float[Array, "nz ny nx"], moved: Float[Array, "nz1 ny nx"], mixed: Float[Array, "nz2 ny nx"]
) -> tuple[Tridiagonal, Float[Array, "nz ny nx"]]:
    """Factors of the implicit step, acting on mixing ratios, and the air after it.

    Args:
        air: (nz, ny, nx) before the step, mol.
        moved: (nz+1, ny, nx) air moved up through faces, F Δt, mol; zero at ground and top.
        mixed: (nz-1, ny, nx) air exchanged across inner faces, D Δt, mol.

    Returns:
        the factors and the air after the step.
    """
    after = air - jnp.diff(moved, axis=0)
    edge = jnp.zeros((1, *air.shape[1:]), air.dtype)
    above = jnp.concatenate([mixed, edge])  # exchange through the face above layer k
    below = jnp.concatenate([edge, mixed])
    up, down = jnp.maximum(moved, 0.0), jnp.minimum(moved, 0.0)
    diagonal = (after + up[1:] - down[:-1] + above + below) / air
    lower = (-up[:-1] - below) / air
    upper = (down[1:] - above) / air

    def eliminate(carry, row):
        pivot, above_pivot = carry
        diagonal, lower, upper = row
        multiplier = lower / pivot
        pivot = diagonal - multiplier * above_pivot
        return (pivot, upper), (multiplier, pivot)

    # lower[0] is zero, so the first row passes through unchanged.
    start = (jnp.ones_like(diagonal[0]), jnp.zeros_like(diagonal[0]))
    _, (multipliers, pivots) = jax.lax.scan(eliminate, start, (diagonal, lower, upper))
    return Tridiagonal(multipliers, 1.0 / pivots, upper), after

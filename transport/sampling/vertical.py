"""Which layers of the model a point or a column sees."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from transport.batches import in_batches
from transport.errors import TanhengError

# Columns whose weights are worked out at once.
BATCH = 16384


def bracket(centres: np.ndarray, values) -> tuple[np.ndarray, np.ndarray]:
    """Indices (…, 2) and weights of linear interpolation between centres; constant beyond the outer ones.

    Args:
        centres: (n,) increasing.
        values: (…) where to interpolate.
    """
    at = np.interp(values, centres, np.arange(centres.size))
    low = np.minimum(at.astype(int), max(centres.size - 2, 0))
    high = np.minimum(low + 1, centres.size - 1)
    return np.stack([low, high], axis=-1), np.stack([1.0 - (at - low), at - low], axis=-1)


def height_weights(height_edges: np.ndarray, height: float) -> np.ndarray:
    """Weights of linear interpolation between layer centres; below the lowest centre its value, above the highest too.

    Args:
        height_edges: (nz+1,) of the model's layers, m above ground.
        height: of the inlet, m above ground.

    Returns:
        (nz,) weights, summing to one.

    Raises:
        TanhengError: the height lies above the model top.
    """
    return point_weights(np.asarray(height_edges)[None], np.array([height]))[0]


def point_weights(height_edges: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """`height_weights` of many inlets.

    Args:
        height_edges: (n, nz+1) above each, m above ground.
        heights: (n,) m above ground.

    Returns:
        (n, nz).

    Raises:
        TanhengError: a height lies below the ground or above the model top.
    """
    good = (heights >= 0.0) & (heights <= height_edges[:, -1])
    if not good.all():
        n = int(np.flatnonzero(~good)[0])
        raise TanhengError(
            "an inlet height lies outside the model",
            got=f"{heights[n]:g} m; {int((~good).sum())} of {good.size}",
            expected=f"0…{height_edges[n, -1]:.0f} m",
            remedy="check the unit of the inlet height",
        )
    centres = 0.5 * (height_edges[:, 1:] + height_edges[:, :-1])
    n, nz = centres.shape
    low = np.clip(np.sum(centres <= heights[:, None], axis=1) - 1, 0, max(nz - 2, 0))
    high, rows = np.minimum(low + 1, nz - 1), np.arange(n)
    gap = centres[rows, high] - centres[rows, low]
    share = np.clip((heights - centres[rows, low]) / np.where(gap > 0.0, gap, 1.0), 0.0, 1.0)
    weights = np.zeros((n, nz))
    np.add.at(weights, (rows, low), 1.0 - share)
    np.add.at(weights, (rows, high), share)
    return weights


def pressure_weights(edges: np.ndarray) -> np.ndarray:
    """h_i = Δp_i / Σ Δp of layers between pressure edges (…, m+1) from the ground up; (…, m)."""
    return -np.diff(edges, axis=-1) / (edges[..., :1] - edges[..., -1:])


def column_weights(model_edges, pressure, weights, kernel, layered: ArrayLike = True) -> np.ndarray:
    """Weights of the model's layers in Σ_i h_i a_i x_i of a column product.

    A product layer is a box, and a product level a hat that reaches to its neighbours, whose area the weight h_i fills:

        w_k = ∫_{layer k} Σ_i h_i a_i φ_i(p) / ∫φ_i  dp,        φ_i box or hat

    so that the column is conserved exactly: with a = 1 and pressure weights h, Σ_k w_k x_k is the pressure mean of x,
    whatever the two sets of layers. Of a profile that is linear in pressure a hat between evenly spaced levels sees
    its value at the level, as products on levels demand. A product that reaches below the model's ground sees the
    lowest layer there; one that ends above it does not see the rest. Above the model's top there is nothing.

    Args:
        model_edges: (nz+1,) or (n, nz+1) pressure edges of the model's layers, Pa, from the ground up.
        pressure: (m+1,) or (n, m+1) edges of the product's layers, or (…, m) its levels, Pa, from the ground up; NaN
            pads columns that have fewer.
        weights: (m,) or (n, m) h.
        kernel: (m,) or (n, m) a.
        layered: bool or (n,): whether `pressure` are edges.

    Returns:
        (nz,) or (n, nz).

    Raises:
        TanhengError: pressures that do not decrease, of different units, or shapes that disagree.

    Reference: Rodgers & Connor 2003, doi 10.1029/2002JD002299, eqs. 10 and 15; O'Dell et al. 2012,
    doi 10.5194/amt-5-99-2012, appendix A (pressure weights on levels).
    """
    one = np.ndim(pressure) == 1 and np.ndim(model_edges) == 1
    pressure, weights, kernel = (np.atleast_2d(np.asarray(a, float)) for a in (pressure, weights, kernel))
    model = np.atleast_2d(np.asarray(model_edges, float))
    n = max(len(pressure), len(model))
    layered = np.broadcast_to(np.asarray(layered, bool), (n,))
    _check(model, pressure, weights, kernel, layered)
    rows = [np.broadcast_to(a, (n, a.shape[-1])) for a in (model, pressure, np.nan_to_num(weights * kernel))]
    found = np.asarray(_weights(*map(jnp.asarray, rows), jnp.asarray(layered)))
    return found[0] if one else found


def _check(model, pressure, weights, kernel, layered) -> None:
    m = weights.shape[-1]
    fits = kernel.shape[-1] == m and pressure.shape[-1] in ((m + 1,) if layered.any() else (m, m + 1))
    with np.errstate(invalid="ignore"):
        decreasing = not (np.diff(pressure, axis=-1) >= 0.0).any()
    if not fits or not decreasing:
        raise TanhengError(
            "pressure edges of a column do not fit its kernel",
            got=f"{pressure.shape[-1]} pressures, {m} weights, {kernel.shape[-1]} kernel values"
            + ("" if decreasing else ", not decreasing"),
            expected="one more edge than kernel values (or as many levels), decreasing from the ground up, in Pa",
            remedy="reverse the product's layers once when it is read",
        )
    ratio = pressure[:, 0] / model[:, 0]
    if (np.diff(model, axis=-1) >= 0.0).any() or not ((ratio > 0.5) & (ratio < 2.0)).all():
        raise TanhengError(
            "a column and the model do not share one pressure axis",
            got=f"product from {pressure[0, 0]:.6g}, model {model[0, 0]:.6g}…{model[0, -1]:.6g}",
            expected="both in Pa, decreasing from the same ground up",
            remedy="convert hPa to Pa, and give edges from the ground",
        )


@jax.jit
def _weights(model, pressure, share, layered):
    return in_batches(lambda row: _weights_of_column(*row), (model, pressure, share, layered), BATCH)


def _weights_of_column(model, pressure, share, layered):
    """(nz,) from the cumulative integral of the density g(p) = Σ_i h_i a_i φ_i / ∫φ_i, piecewise linear."""
    m = share.size
    p = jnp.where(jnp.isnan(pressure), jnp.nanmin(pressure), pressure)
    thick = p[:-1] - p[1:]
    bottom, top = _hats(thick, share)
    if p.size == m + 1:
        box = share * _inverse(thick)
        bottom, top = jnp.where(layered, box, bottom), jnp.where(layered, box, top)
    above = jnp.cumsum((0.5 * thick * (bottom + top))[::-1])[::-1]
    above = jnp.append(above, 0.0)  # ∫ g above p_j

    def integral(q):
        j = jnp.clip(jnp.sum(p[None, :] >= q[:, None], axis=1) - 1, 0, thick.size - 1)
        rest = jnp.clip(q - p[j + 1], 0.0, thick[j])
        slope = (bottom[j] - top[j]) * _inverse(thick[j])
        return above[j + 1] + rest * (top[j] + 0.5 * slope * rest)

    edges = integral(model.at[0].max(p[0]))
    return edges[:-1] - edges[1:]


def _hats(thick, share):
    """Density at the lower and the upper end of each interval between levels."""
    m, zero = share.size, jnp.zeros(1, thick.dtype)
    area = 0.5 * (jnp.append(zero, thick)[:m] + jnp.append(thick, zero)[:m])
    density = share * _inverse(area)
    return (density[:-1], density[1:]) if thick.size == m - 1 else (density, jnp.append(density[1:], density[-1:]))


def _inverse(a):
    """1/a, zero where a is."""
    return jnp.where(a > 0.0, 1.0 / jnp.where(a > 0.0, a, 1.0), 0.0)

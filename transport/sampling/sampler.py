"""O: what an instrument sees of the air. Every sample is a weighted sum of cells; its transpose scatters them back."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from transport.batches import folded
from transport.errors import TanhengError
from transport.grid import Grid
from transport.linear import AbstractMap, Transpose
from transport.sampling.receptors import Combined, Receptor
from transport.sampling.vertical import bracket

# Sights that are gathered at once: memory stays bounded whatever their number.
BATCH = 8192


class Visits(eqx.Module):
    """The entries of a sampler by interval: which cell counts for which sample with which weight, each (nt, width)."""

    sample: Int[Array, "nt width"]
    cell: Int[Array, "nt width"]
    weight: Float[Array, "nt width"]


class Sampler(AbstractMap):
    """y = O C: each sample is a sum of sights, each sight a product of weights in time, place and height.

    y_n = Σ_{sights s of n} Σ_t τ_st Σ_j π_sj Σ_k λ_sk C_tkj

    Args:
        intervals, of_time: (S, a) intervals that the window shares, and τ, summing to one.
        cells, of_place: (S, q) flat index of the cells around, and π.
        levels: (S, nz) λ.
        owner: (S,) sample that a sight belongs to, increasing.
        samples: their number.
        shape: (nt, nz, ny, nx) of the air C.
        interval: s, of the means that C holds.
    """

    intervals: Int[Array, "S a"]
    of_time: Float[Array, "S a"]
    cells: Int[Array, "S q"]
    of_place: Float[Array, "S q"]
    levels: Float[Array, "S nz"]
    owner: Int[Array, " S"]
    samples: int = eqx.field(static=True)
    shape: tuple[int, int, int, int] = eqx.field(static=True)
    interval: float = eqx.field(static=True)

    def __init__(
        self, receptors: Sequence[Receptor | Combined], grid: Grid, shape: tuple[int, int, int, int], interval: float
    ):
        """Of single receptors and weighted sums of some.

        Raises:
            TanhengError: a receptor outside the grid or the window, or with weights of another model.
        """
        parts = [((r,), np.ones(1)) if isinstance(r, Receptor) else (r.receptors, r.weights) for r in receptors]
        sights = [r for some, _ in parts for r in some]
        for r in sights:
            if len(r.levels) != shape[1]:
                raise TanhengError(
                    "vertical weights of a receptor do not fit the model", got=f"{len(r.levels)} weights",
                    expected=f"{shape[1]}, one per layer", remedy="build them with height_weights or column_weights",
                )  # fmt: skip
        weight = np.concatenate([w for _, w in parts]) if parts else np.zeros(0)
        levels = np.stack([r.levels for r in sights]) if sights else np.zeros((0, shape[1]))
        self._fill(
            np.array([[r.x] for r in sights]).reshape(-1, 1), np.array([[r.y] for r in sights]).reshape(-1, 1),
            np.array([r.start for r in sights]), np.array([r.end for r in sights]), levels * weight[:, None],
            np.repeat(np.arange(len(parts)), [len(some) for some, _ in parts]), len(parts), grid, shape, interval,
        )  # fmt: skip

    @classmethod
    def of_arrays(cls, x, y, start, end, levels, grid: Grid, shape: tuple[int, int, int, int], interval: float,
                  owner=None, samples: int | None = None) -> "Sampler":  # fmt: skip
        """Of many sights at once.

        Args:
            x, y: (S,), or (S, p) points over which a sight is averaged, in the grid's own coordinates.
            start, end: (S,) s from the start of the run.
            levels: (S, nz) weights of the model's layers.
            grid, shape, interval: of the model.
            owner: (S,) sample of each sight, increasing; None: each its own.
            samples: their number.

        Raises:
            TanhengError: a sight outside the grid or the window.
        """
        sampler = object.__new__(cls)
        x, y, levels = (np.asarray(a, float) for a in (x, y, levels))
        count = len(levels) if samples is None else samples
        owner = np.arange(len(levels)) if owner is None else np.asarray(owner)
        sampler._fill(
            x.reshape(len(levels), -1), y.reshape(len(levels), -1), np.asarray(start, float), np.asarray(end, float),
            levels, owner, count, grid, shape, interval,
        )  # fmt: skip
        return sampler

    def _fill(self, x, y, start, end, levels, owner, samples, grid: Grid, shape, interval) -> None:
        nt, _, _, nx = shape
        _require_inside(x, y, start, end, grid, nt * interval)
        (i, wi), (j, wj) = bracket(grid.x, x), bracket(grid.y, y)  # (S, p, 2)
        cells = (j[..., :, None] * nx + i[..., None, :]).reshape(len(x), -1)
        of_place = (wj[..., :, None] * wi[..., None, :]).reshape(len(x), -1) / max(x.shape[1], 1)
        # A window may end where the next interval begins: that one has no share.
        first = np.clip(np.floor(start / interval).astype(int), 0, nt - 1)
        spans = max(int(np.max(np.ceil(end / interval) - first, initial=1)), 1)
        intervals = np.minimum(first[:, None] + np.arange(spans), nt - 1)
        nominal = (first[:, None] + np.arange(spans)) * interval
        shared = np.minimum(nominal + interval, end[:, None]) - np.maximum(nominal, start[:, None])
        shared = np.clip(shared, 0.0, None)
        values = {
            "intervals": jnp.asarray(intervals, jnp.int32), "cells": jnp.asarray(cells, jnp.int32),
            "of_time": jnp.asarray(shared / shared.sum(axis=1, keepdims=True)), "of_place": jnp.asarray(of_place),
            "levels": jnp.asarray(levels), "owner": jnp.asarray(owner, jnp.int32), "samples": int(samples),
            "shape": tuple(shape), "interval": float(interval),
        }  # fmt: skip
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def in_structure(self):
        """(nt, nz, ny, nx) ppm."""
        return jax.ShapeDtypeStruct(self.shape, self.levels.dtype)

    def out_structure(self):
        """(n,) ppm."""
        return jax.ShapeDtypeStruct((self.samples,), self.levels.dtype)

    def _sights(self):
        sights, count = folded((self.intervals, self.of_time, self.cells, self.of_place, self.levels), BATCH)
        return sights, count

    def _columns(self, intervals, of_time, cells, of_place):
        """Flat index (b, a·q) of the columns of air that each sight meets, and their weights."""
        _, _, ny, nx = self.shape
        index = intervals[:, :, None] * (ny * nx) + cells[:, None, :]
        weight = of_time[:, :, None] * of_place[:, None, :]
        return index.reshape(len(index), -1), weight.reshape(len(index), -1)

    def mv(self, vector):
        """O C.

        Raises:
            TanhengError: air of another shape.
        """
        nt, nz, ny, nx = self.shape
        if vector.shape != self.shape:
            raise TanhengError(
                "the air does not fit the sampler", got=vector.shape, expected=f"{self.shape} of time, layer, y, x",
                remedy="build the sampler for this model",
            )  # fmt: skip
        columns = jnp.moveaxis(vector, 1, 3).reshape(nt * ny * nx, nz)

        def batch(sight):
            *where, levels = sight
            index, weight = self._columns(*where)
            return jnp.einsum("bc,bck,bk->b", weight, columns[index], levels)

        sights, count = self._sights()
        seen = jax.lax.map(batch, sights).ravel()[:count]
        return jax.ops.segment_sum(seen, self.owner, self.samples, indices_are_sorted=True)

    def mv_transposed(self, vector):
        """Oᵀ y."""
        nt, nz, ny, nx = self.shape
        (*where, levels), count = self._sights()
        (value,), _ = folded((vector[self.owner],), BATCH)
        # Rows that only fill the last batch carry nothing.
        real = jnp.arange(value.size).reshape(value.shape) < count

        def batch(columns, sight):
            *place, levels, value, real = sight
            index, weight = self._columns(*place)
            spread = jnp.where(real, value, 0.0)[:, None, None] * weight[:, :, None] * levels[:, None, :]
            return columns.at[index].add(spread), None

        empty = jnp.zeros((nt * ny * nx, nz), vector.dtype)
        columns, _ = jax.lax.scan(batch, empty, (*where, levels, value, real))
        return jnp.moveaxis(columns.reshape(nt, ny, nx, nz), 3, 1)

    def visits(self) -> Visits:
        """The same weights, interval by interval."""
        nt, _, ny, nx = self.shape
        intervals, of_time, cells, of_place, levels, owner = (
            np.asarray(a) for a in (self.intervals, self.of_time, self.cells, self.of_place, self.levels, self.owner)
        )
        s, a = np.nonzero(of_time)
        weight = of_time[s, a, None, None] * of_place[s, :, None] * levels[s, None, :]
        cell = np.arange(levels.shape[1]) * (ny * nx) + cells[s, :, None]
        r, q, k = np.nonzero(weight)
        return _by_interval(owner[s[r]], weight[r, q, k], nt, cell[r, q, k], intervals[s[r], a[r]])

    def transpose(self) -> Transpose:
        """Oᵀ."""
        return Transpose(self)


def _require_inside(x, y, start, end, grid: Grid, length: float) -> None:
    inside = (grid.x_edges[0] <= x) & (x <= grid.x_edges[-1]) & (grid.y_edges[0] <= y) & (y <= grid.y_edges[-1])
    good = inside.all(axis=1) & (start >= 0.0) & (start < end) & (end <= length * (1.0 + 1e-12))
    if not good.all():
        n = int(np.flatnonzero(~good)[0])
        raise TanhengError(
            "a receptor lies outside the model",
            got=f"x {x[n, 0]:.6g}, y {y[n, 0]:.6g}, {start[n]:.0f}…{end[n]:.0f} s; {int((~good).sum())} of {good.size}",
            expected=f"{grid!r}, a window of positive length within 0…{length:.0f} s",
            remedy="drop the observation or enlarge the domain",
        )


def _by_interval(sample: np.ndarray, weight: np.ndarray, nt: int, cell: np.ndarray, t: np.ndarray) -> Visits:
    """Entries of all samples, sorted into the intervals that they visit and padded with weight zero."""
    order = np.argsort(t, kind="stable")
    counts = np.bincount(t, minlength=nt)
    width = max(int(counts.max(initial=0)), 1)
    place = np.arange(len(t)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded = np.zeros((nt, width), np.int32), np.zeros((nt, width), np.int32), np.zeros((nt, width), weight.dtype)
    for whole, part in zip(padded, (sample, cell, weight), strict=True):
        whole[t[order], place] = part[order]
    return Visits(*map(jnp.asarray, padded))

"""Sums over elements of the control vector: what the prior emits in a region or sector, and what is published of it.

A total is wᵀ x with w the prior mass rate of each element (kg s-1), in the order sector, time step, element of the
basis, so that x = 1 gives the prior's own total.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from inversion.basis import OUTSIDE, Basis
from inversion.steps import Steps
from priors.inventory import Inventory
from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True, eq=False)
class Total:
    """A sum over elements, and what is published about its uncertainty.

    Args:
        name: of the region or sector.
        weights: (n,) mass rate of each element at x = 1, kg s-1.
        relative: published standard uncertainty (k = 1) as a share of the total; None where there is none.
        before: standard uncertainty that B implied before totals were fixed, kg s-1; None where nobody asked.
    """

    name: str
    weights: np.ndarray
    relative: float | None = None
    before: float | None = None

    @property
    def value(self) -> float:
        """Of the prior, kg s-1."""
        return float(np.sum(self.weights))

    @property
    def u(self) -> float:
        """Published standard uncertainty, kg s-1.

        Raises:
            TanhengError: none is given, or none can be of a total of zero.
        """
        if self.relative is None or not 0 < self.relative < 10 or self.value == 0:
            raise TanhengError(
                f"the uncertainty of the total of {self.name} is not known",
                got=f"{self.relative} of {self.value:.4g} kg s-1",
                expected="a share above zero (k = 1) of a total that is not zero",
                remedy="halve a published expanded uncertainty of k = 2, and give it as a share",
            )  # fmt: skip
        return self.relative * abs(self.value)


def elements(inventory: Inventory, basis: Basis, steps: Steps) -> np.ndarray:
    """(sectors, steps, elements) mean mass rate of each element over all the time, kg s-1; their sum is a total.

    Raises:
        TanhengError: a basis or steps that are not those of the inventory.
    """
    if basis.shape != inventory.grid.shape or len(steps.index) != len(inventory.times) - 1:
        raise TanhengError(
            "basis or steps are not those of the inventory", got=f"{basis.shape} cells, {len(steps.index)} intervals",
            expected=f"{inventory.grid.shape} cells, {len(inventory.times) - 1} intervals",
            remedy="regrid and spread the inventory first",
        )  # fmt: skip
    share = inventory.seconds / inventory.seconds.sum()
    rate = np.zeros((len(inventory.sectors), steps.size, inventory.grid.shape[0] * inventory.grid.shape[1]))
    flat = inventory.rate.reshape(*inventory.rate.shape[:2], -1) * share[:, None]
    for s in range(len(inventory.sectors)):
        np.add.at(rate[s], steps.index, flat[s])
    if basis.weights is not None:
        return rate @ np.asarray(basis.weights)
    index = np.asarray(basis.index).ravel()
    inside = index != OUTSIDE
    out = np.zeros((*rate.shape[:2], basis.size))
    np.add.at(out.reshape(-1, basis.size).T, index[inside], rate[..., inside].reshape(-1, np.count_nonzero(inside)).T)
    return out


def totals(
    inventory: Inventory, basis: Basis, steps: Steps, regions: Mapping[str, np.ndarray],
    published: Mapping[str, float] | None = None,
) -> list[Total]:  # fmt: skip
    """The totals of regions, all sectors together, and of each sector.

    Args:
        inventory: prior, on the cells of the basis and the intervals of the steps.
        basis: cells to elements.
        steps: intervals to time steps.
        regions: name to (ny, nx) share of each cell, 0…1.
        published: relative standard uncertainty (k = 1) by the name of a region or sector.

    Raises:
        TanhengError: an uncertainty for a name that is none; parts that do not fit; shares that are none.
    """
    published = dict(published or {})
    parts = {}
    for name, inside in regions.items():
        share = np.asarray(inside, dtype=float)
        # Areas of overlaps may exceed those of cells by their rounding.
        if share.shape != inventory.grid.shape or not ((share >= 0) & (share <= 1 + 1e-9)).all():
            raise TanhengError(
                f"the shares of cells in {name} are none",
                got=f"shape {share.shape}" + (f", {share.min():.4g}…{share.max():.4g}" if share.size else ""),
                expected=f"shape {inventory.grid.shape} of 0…1", remedy="give 0, 1 or the share inside for each cell",
            )  # fmt: skip
        cut = dataclasses.replace(inventory, rate=inventory.rate * share)
        parts[name] = elements(cut, basis, steps).ravel()
    whole = elements(inventory, basis, steps)
    for s, sector in enumerate(inventory.sectors):
        parts[sector] = np.where(np.arange(len(whole))[:, None, None] == s, whole, 0.0).ravel()
    unknown = sorted(set(published) - set(parts))
    if unknown or set(regions) & set(inventory.sectors):
        raise TanhengError(
            "names of totals do not fit", got=", ".join(unknown) or "a region and a sector of one name",
            expected=", ".join(parts), remedy="name regions and sectors differently, and only those that exist",
        )  # fmt: skip
    return [Total(name, weights, published.get(name)) for name, weights in parts.items()]

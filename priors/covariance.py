"""B of scaling factors from what is meant: errors of sectors, their lengths and times, and totals that are published.

The elements x are factors on the prior, in the order sector, time step, element of the basis, as in
`inversion.blocks.scaling`. A total is wᵀ x with w the prior mass rate of each element (kg s-1), so that x = 1 gives the
prior's own total and its standard uncertainty is √(wᵀ B w).
"""

import dataclasses
import io
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from inversion.basis import OUTSIDE, Basis
from inversion.covariance import (
    AbstractCovariance,
    AbstractKernel,
    BlockDiagonal,
    Diagonal,
    Kronecker,
    OrnsteinUhlenbeck,
    Scaled,
    correlation,
)
from inversion.distance import separations
from inversion.steps import Steps
from priors.inventory import KILOGRAMS_PER_MEGATONNE, Inventory
from priors.low_rank import LowRankUpdate, with_spread, with_totals
from transport.constants import SECONDS_PER_YEAR
from transport.errors import TanhengError
from transport.grid import Grid

# Two totals that share less than this of their mass are those of different elements.
SHARED = 1e-12


@dataclasses.dataclass(frozen=True, eq=False)
class Total:
    """A sum over elements, and what is published about its uncertainty.

    Args:
        name: of the region or sector.
        weights: (n,) mass rate of each element at x = 1, kg s-1.
        relative: published standard uncertainty (k = 1) as a share of the total; None where there is none.
    """

    name: str
    weights: np.ndarray
    relative: float | None = None

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


@dataclasses.dataclass(frozen=True, eq=False)
class Errors:
    """Errors of one sector.

    Args:
        relative: standard deviation of the factor, one number or (elements,).
        kernel: correlation in space with its length in km; None for independent elements.
        days: e-folding time of the correlation in time; None for independent steps.
    """

    relative: float | np.ndarray
    kernel: AbstractKernel | None = None
    days: float | None = None


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
        regions: name to (ny, nx) share of each cell.
        published: relative standard uncertainty (k = 1) by the name of a region or sector.

    Raises:
        TanhengError: an uncertainty for a name that is none; parts that do not fit.
    """
    published = dict(published or {})
    parts = {}
    for name, inside in regions.items():
        share = np.asarray(inside, dtype=float)
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


def prior(
    errors: Mapping[str, Errors], sectors: Sequence[str], where: Grid | np.ndarray, steps: Steps
) -> AbstractCovariance:
    """B of independent sectors, each σ (time ⊗ space) σ.

    Args:
        errors: of each sector.
        sectors: in the order of the control vector.
        where: cells of the grid, row by row, or (k, 2) longitude and latitude of the elements in degrees; each kernel
            takes the distances for which it is a correlation (`inversion.distance.separations`).
        steps: of the control vector.

    Raises:
        TanhengError: a sector without errors or errors without sector; parts that do not fit.
    """
    if set(errors) != set(sectors):
        raise TanhengError("sectors and their errors do not fit", got=", ".join(errors), expected=", ".join(sectors),
                           remedy="give the errors of every sector, and of no other")  # fmt: skip
    k = where.shape[0] * where.shape[1] if isinstance(where, Grid) else len(where)
    blocks = []
    for sector in sectors:
        e = errors[sector]
        space = Diagonal(np.ones(k)) if e.kernel is None else correlation(e.kernel, separations(e.kernel, where))
        time = (Diagonal(np.ones(steps.size)) if e.days is None or steps.size == 1
                else OrnsteinUhlenbeck(steps.hours / 24.0, e.days))  # fmt: skip
        sigma = np.broadcast_to(np.asarray(e.relative, dtype=float), (k,))
        blocks.append(Scaled(np.tile(sigma, steps.size), Kronecker((time, space))))
    return BlockDiagonal(tuple(blocks))


def uncertainty(covariance: AbstractCovariance, weights: np.ndarray) -> np.ndarray:
    """√(wᵀ B w) of (n,) or of each of (n, k), from the root, so that it is never imaginary."""
    return np.sqrt(np.sum(np.asarray(covariance.sqrt_transposed_mv(jnp.asarray(weights))) ** 2, axis=0))


def scaled_to(covariance: AbstractCovariance, fixed: Sequence[Total]) -> Scaled:
    """B with the errors of each region multiplied so that its total has its published u exactly.

    C = f B f, f_i = u_r / √(w_rᵀ B w_r) for the elements i of region r and 1 elsewhere: the pattern and correlation
    within a region are kept. Totals must not share elements; for those that do, `conditioned`.

    Raises:
        TanhengError: totals that share elements, that vary with nothing, or have no published uncertainty.
    """
    factor, owner = np.ones(covariance.size), np.full(covariance.size, -1)
    for i, total in enumerate(fixed):
        mine = np.abs(total.weights) > SHARED * np.abs(total.weights).max()
        if (owner[mine] >= 0).any():
            other = fixed[int(owner[mine].max())].name
            raise TanhengError(
                f"the totals of {total.name} and {other} share elements",
                got=f"{np.count_nonzero(owner[mine] >= 0)} elements",
                expected="none in both", remedy="use conditioned, which fixes overlapping totals together",
            )  # fmt: skip
        implied = float(uncertainty(covariance, total.weights))
        if not implied > 0:
            raise TanhengError(f"the total of {total.name} depends on no element", got="u = 0", expected="u > 0",
                               remedy="check the region and the prior there")  # fmt: skip
        owner[mine], factor[mine] = i, total.u / implied
    return Scaled(factor, covariance)


def conditioned(
    covariance: AbstractCovariance, fixed: Sequence[Total], correlations: np.ndarray | None = None
) -> LowRankUpdate:
    """B with totals of published u, nothing else changed than follows from them.

    C = B + B W S⁻¹ (U − S) S⁻¹ Wᵀ B,  S = Wᵀ B W, so that Wᵀ C W = U. Totals may overlap.

    Args:
        covariance: B.
        fixed: totals with their uncertainties.
        correlations: (k, k) between them; None for none. A nation and a region within it need one.

    Raises:
        TanhengError: totals that follow from each other, or have no published uncertainty.
    """
    u = np.array([t.u for t in fixed])
    target = np.outer(u, u) * (np.eye(len(u)) if correlations is None else np.asarray(correlations, dtype=float))
    return with_totals(covariance, np.stack([t.weights for t in fixed], axis=1), target)


def spread(alternatives: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n, m−1 or m) patterns X of factors by which alternative inventories differ, X Xᵀ their sample covariance.

    Args:
        alternatives: (m, n) mass rate of each element in m inventories, kg s-1.
        reference: (n,) the prior's; elements without prior have no factor, and get none.

    Raises:
        TanhengError: fewer than two alternatives, or others than of n elements.
    """
    a, b = np.asarray(alternatives, dtype=float), np.asarray(reference, dtype=float)
    if a.ndim != 2 or len(a) < 2 or a.shape[1:] != b.shape or not np.isfinite(a).all():
        raise TanhengError("a spread needs two inventories at least", got=a.shape, expected=f"(2 or more, {b.size})",
                           remedy="bring all onto the same elements")  # fmt: skip
    ratio = np.divide(a - a.mean(axis=0), b, out=np.zeros_like(a), where=b != 0)
    return (ratio / np.sqrt(len(a) - 1)).T


def with_alternatives(covariance: AbstractCovariance, alternatives: np.ndarray, reference: np.ndarray) -> LowRankUpdate:
    """B plus the sample covariance of alternative inventories, of rank one less than their number.

    Args:
        covariance: B of factors on the reference.
        alternatives: (m, n) mass rate of each element, kg s-1.
        reference: (n,) the prior's.

    Raises:
        TanhengError: fewer than two alternatives, or other elements.
    """
    return with_spread(covariance, spread(alternatives, reference))


def describe(covariance: AbstractCovariance, listed: Sequence[Total], width: int = 110) -> str:
    """A table of totals and of the uncertainty that B implies for them, beside the published one.

    Args:
        covariance: B of factors.
        listed: regions and sectors.
        width: characters per line.
    """
    table = Table(title="What the prior says it knows", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("total", "Mt yr-1", "u", "U (k = 2)", "U, %", "published U, %"):
        table.add_column(name, justify="left" if name == "total" else "right")
    yearly = SECONDS_PER_YEAR / KILOGRAMS_PER_MEGATONNE
    sigma = uncertainty(covariance, np.stack([t.weights for t in listed], axis=1))
    for total, u in zip(listed, sigma.tolist(), strict=True):
        share = f"{200.0 * u / abs(total.value):.1f}" if total.value else "–"
        published = "–" if total.relative is None else f"{200.0 * total.relative:.1f}"
        table.add_row(
            total.name, f"{total.value * yearly:.5g}", f"{u * yearly:.3g}", f"{2 * u * yearly:.3g}", share, published
        )
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    return out.getvalue()

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
from priors.element_totals import Total, elements, totals
from priors.inventory import MEGATONNES_PER_YEAR
from priors.low_rank import LowRankUpdate, with_spread, with_totals
from transport.errors import TanhengError
from transport.grid import Grid

__all__ = [
    "Errors", "Total", "before", "conditioned", "describe", "elements", "prior", "scaled_to", "spread", "totals",
    "uncertainty", "with_alternatives",
]  # fmt: skip

# Two totals that share less than this of their mass are those of different elements.
SHARED = 1e-12


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
        sigma = np.asarray(e.relative, dtype=float)
        if sigma.shape not in ((), (k,)):
            raise TanhengError(f"the errors of {sector} are not those of the elements", got=sigma.shape,
                               expected=f"one number or ({k},)", remedy="give one per element, row by row")  # fmt: skip
        blocks.append(Scaled(np.tile(np.broadcast_to(sigma, (k,)), steps.size), Kronecker((time, space))))
    return BlockDiagonal(tuple(blocks))


def uncertainty(covariance: AbstractCovariance, weights: np.ndarray) -> np.ndarray:
    """√(wᵀ B w) of (n,) or of each of (n, k), from the root, so that it is never imaginary.

    Raises:
        TanhengError: weights of other elements.
    """
    if np.shape(weights)[:1] != (covariance.size,):
        raise _other_elements(np.shape(weights), covariance)
    return np.sqrt(np.sum(np.asarray(covariance.sqrt_transposed_mv(jnp.asarray(weights))) ** 2, axis=0))


def _columns(covariance: AbstractCovariance, listed: Sequence[Total]) -> np.ndarray:
    """(n, k) weights of totals."""
    shapes = {np.shape(t.weights) for t in listed}
    if shapes != {(covariance.size,)}:
        raise _other_elements(", ".join(map(str, shapes)) or "no total", covariance)
    return np.stack([t.weights for t in listed], axis=1)


def _other_elements(got, covariance: AbstractCovariance) -> TanhengError:
    return TanhengError("totals are not of the elements of B", got=got, expected=f"one or more of ({covariance.size},)",
                        remedy="take totals of the same inventory, basis and steps as B")  # fmt: skip


def before(covariance: AbstractCovariance, listed: Sequence[Total]) -> list[Total]:
    """The same totals with the u that B implies for them, for a table that shows it beside what they are fixed to.

    Raises:
        TanhengError: totals of other elements, or none.
    """
    sigma = uncertainty(covariance, _columns(covariance, listed)).tolist()
    return [dataclasses.replace(t, before=u) for t, u in zip(listed, sigma, strict=True)]


def scaled_to(covariance: AbstractCovariance, fixed: Sequence[Total]) -> Scaled:
    """B with the errors of each region multiplied so that its total has its published u exactly.

    C = f B f, f_i = u_r / √(w_rᵀ B w_r) for the elements i of region r and 1 elsewhere: the pattern and correlation
    within a region are kept. Totals must not share elements; for those that do, `conditioned`.

    Raises:
        TanhengError: totals that share elements, that vary with nothing, are of other elements, or have no published
            uncertainty.
    """
    factor, owner = np.ones(covariance.size), np.full(covariance.size, -1)
    for i, total in enumerate(fixed):
        implied = float(uncertainty(covariance, total.weights))
        mine = np.abs(total.weights) > SHARED * np.abs(total.weights).max()
        if (owner[mine] >= 0).any():
            other = fixed[int(owner[mine].max())].name
            raise TanhengError(
                f"the totals of {total.name} and {other} share elements",
                got=f"{np.count_nonzero(owner[mine] >= 0)} elements",
                expected="none in both", remedy="use conditioned, which fixes overlapping totals together",
            )  # fmt: skip
        if not implied > 0:
            raise TanhengError(f"the total of {total.name} depends on no element", got="u = 0", expected="u > 0",
                               remedy="check the region and the prior there")  # fmt: skip
        owner[mine], factor[mine] = i, total.u / implied
    return Scaled(factor, covariance)


def conditioned(
    covariance: AbstractCovariance, fixed: Sequence[Total], correlations: np.ndarray | None = None
) -> LowRankUpdate:
    """B with totals of published u, nothing else changed than follows from them.

    C = B + B W S⁻¹ (U − S) S⁻¹ Wᵀ B,  S = Wᵀ B W, so that Wᵀ C W = U. Totals may overlap. A published u above what B
    implies makes the errors of the elements larger (`before` keeps what they gave).

    Args:
        covariance: B.
        fixed: totals with their uncertainties.
        correlations: (k, k) between them; None takes their errors as independent, also where one contains the other: a
            city within a nation, whose errors share those of the city, needs them stated.

    Raises:
        TanhengError: totals that follow from each other, or have no published uncertainty; correlations that are none;
            single precision.
    """
    weights, u = _columns(covariance, fixed), np.array([t.u for t in fixed])
    r = np.eye(u.size) if correlations is None else np.asarray(correlations, dtype=float)
    if r.shape != (u.size, u.size) or not (np.abs(np.diagonal(r) - 1.0) <= 1e-12).all():
        raise TanhengError("correlations of totals are none", got=f"shape {r.shape}, diagonal {np.diagonal(r)}"
                           if r.ndim == 2 else f"shape {r.shape}", expected=f"({u.size}, {u.size}), 1 on the diagonal",
                           remedy="give one row per total, in their order")  # fmt: skip
    return with_totals(covariance, weights, np.outer(u, u) * r)


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
        listed: regions and sectors; those of `before` show also what B implied then.
        width: characters per line.

    Raises:
        TanhengError: totals of other elements, or none.
    """
    table = Table(title="What the prior says it knows", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    sigma = uncertainty(covariance, _columns(covariance, listed))
    known = any(t.before is not None for t in listed)
    for name in ("total", "Mt yr-1", "u", "U (k = 2)", "U, %", "published U, %", *(("U before, %",) if known else ())):
        table.add_column(name, justify="left" if name == "total" else "right")
    yearly = MEGATONNES_PER_YEAR
    for total, u in zip(listed, sigma.tolist(), strict=True):
        share, earlier = (
            f"{200.0 * x / abs(total.value):.1f}" if total.value and x is not None else "–" for x in (u, total.before)
        )
        published = "–" if total.relative is None else f"{200.0 * total.relative:.1f}"
        row = total.name, f"{total.value * yearly:.5g}", f"{u * yearly:.3g}", f"{2 * u * yearly:.3g}", share, published
        table.add_row(*row, *((earlier,) if known else ()))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    return out.getvalue()

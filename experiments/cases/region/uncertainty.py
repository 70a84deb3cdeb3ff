"""B of factors on each sector and cell over the whole window, and the totals that it is about."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from experiments import schema
from inversion.basis import cells
from inversion.covariance import AbstractCovariance, Exponential
from inversion.steps import constant
from priors import covariance
from priors.covariance import Errors, Total
from priors.inventory import Inventory
from transport.errors import TanhengError
from transport.grid import Grid

ALL = "all emissions"


@dataclasses.dataclass(frozen=True, eq=False)
class Uncertainty:
    """What is believed about the errors.

    Args:
        B: of factors; the total has its published u.
        totals: of all emissions and of each sector, with the u that errors by sector alone imply.
        relative, length_km: of each sector, as configured.
    """

    B: AbstractCovariance
    totals: tuple[Total, ...]
    relative: dict[str, float]
    length_km: dict[str, float]

    @property
    def before(self) -> np.ndarray:
        """(totals,) u that errors by sector alone imply, kg s-1."""
        return np.array([t.before for t in self.totals], float)


def uncertainty_of(hours: Inventory, emitting: tuple[str, ...], grid: Grid, prior: schema.InventoryPrior):
    """Errors by sector as B, and totals; the published u fixes the sum of all emissions.

    Args:
        hours: all sectors over the window.
        emitting: sectors that count as emissions, vegetation apart.
        grid: cells.
        prior: errors by sector and the published u.

    Raises:
        TanhengError: a sector without errors, or errors without sector.
    """
    stated = {e.sector: e for e in prior.errors}
    missing, strange = ([s for s in a if s not in b] for a, b in ((hours.sectors, stated), (stated, hours.sectors)))
    if strange:
        raise TanhengError(
            "prior.errors names a sector that is not there", got=", ".join(strange), expected=", ".join(hours.sectors),
            remedy="correct prior.errors[].sector, or leave the entry out",
        )  # fmt: skip
    if missing:
        raise TanhengError(
            "sectors without a stated error", got=", ".join(missing), expected="one entry of prior.errors each",
            remedy=f"add {{sector: {missing[0]}, relative: 0.5, length_km: 10}}",
        )  # fmt: skip
    mean = hours.mean()
    relative, length = ({s: getattr(stated[s], n) for s in hours.sectors} for n in ("relative", "length_km"))
    errors = {s: Errors(relative[s], Exponential(jnp.asarray(length[s])) if length[s] else None) for s in hours.sectors}
    window = constant(mean.times[:-1])
    own = covariance.prior(errors, hours.sectors, grid, window)
    listed = covariance.totals(mean, cells(grid.shape), window, {})
    emitted = np.sum([t.weights for t in listed if t.name in emitting], axis=0)
    first = Total(ALL, emitted, prior.total_relative)
    B = own if prior.total_relative is None else covariance.conditioned(own, [first])
    return Uncertainty(B, tuple(covariance.before(own, [first, *listed])), relative, length)

"""Totals by region, sector and period: rows W that turn a control vector into emissions, and what is read from them.

A block emits base · (W x)[index]. The emission of region r, sector s and period p is therefore linear in x,

    t = Σ_cells Σ_{intervals in p} fraction_r(cell) area(cell) base_s x Δt / Σ_{intervals in p} Δt

and the rows of all regions, sectors and periods give one joint covariance, from which differences, shares and trends
follow without further assumptions.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

from inversion.basis import Basis
from inversion.control import Block
from inversion.posterior import AbstractPosterior, Totals, prior_totals
from inversion.steps import Steps
from transport.constants import MOLAR_MASS, SECONDS_PER_YEAR
from transport.errors import TanhengError
from transport.grid import Grid

ALL = "all"
MASS = {"g": 1e3, "kg": 1.0, "t": 1e-3, "kt": 1e-6, "Gg": 1e-6, "Mt": 1e-9, "Tg": 1e-9, "Gt": 1e-12, "Pg": 1e-12}


def per_year(gas: str, mass: str = "Tg") -> float:
    """From µmol s-1 to mass per year of 365 days, e.g. `per_year("CH4", "Tg")`.

    Raises:
        TanhengError: an unknown gas or unit of mass.
    """
    for name, table in ((gas, MOLAR_MASS), (mass, MASS)):
        if name not in table:
            raise TanhengError("unknown unit of a total", got=name, expected=", ".join(table),
                               remedy="choose one of these")  # fmt: skip
    return 1e-6 * MOLAR_MASS[gas] * SECONDS_PER_YEAR * MASS[mass]


@dataclasses.dataclass(frozen=True, eq=False)
class TotalRows:
    """What is asked for.

    Args:
        labels: (k,) structured array with the fields region, sector and period.
        weights: (k, n) value of each total per unit of x.
        unit: of the totals.

    Raises:
        TanhengError: labels and rows that differ in number; a weight that is not finite.
    """

    labels: np.ndarray
    weights: np.ndarray
    unit: str

    def __post_init__(self):
        if len(self.labels) != len(self.weights) or not np.isfinite(self.weights).all():
            raise TanhengError(
                "the rows of totals do not fit their labels", got=f"{len(self.labels)} labels, weights "
                f"{np.shape(self.weights)}", expected="one finite row per label", remedy="build both together",
            )  # fmt: skip

    def where(self, **chosen: str) -> np.ndarray:
        """Indices of rows by label, e.g. `where(region="Ireland", sector="all")`.

        Raises:
            TanhengError: an unknown field, or no such row.
        """
        fits = np.full(len(self.labels), True)
        for field, value in chosen.items():
            if field not in (self.labels.dtype.names or ()):
                raise TanhengError("totals have no such label", got=field, expected=self.labels.dtype.names,
                                   remedy="name one of these")  # fmt: skip
            fits &= self.labels[field] == str(value)
        if not fits.any():
            raise TanhengError("no total has these labels", got=chosen, expected=[tuple(r) for r in self.labels[:12]],
                               remedy="choose labels that occur together")  # fmt: skip
        return np.flatnonzero(fits)


@dataclasses.dataclass(frozen=True, eq=False)
class NamedTotals:
    """Prior and posterior of labelled totals, each with its full covariance.

    Args:
        rows: what was asked for.
        prior, posterior: (k,) with (k, k).
    """

    rows: TotalRows
    prior: Totals
    posterior: Totals

    def records(self) -> list[dict]:
        """One dictionary per total, ready for a table."""
        columns = {"prior": self.prior.mean, "prior_sigma": self.prior.sigma,
                   "posterior": self.posterior.mean, "posterior_sigma": self.posterior.sigma}  # fmt: skip
        names = self.rows.labels.dtype.names or ()
        return [
            {name: str(label[name]) for name in names}
            | {"unit": self.rows.unit}
            | {name: float(values[i]) for name, values in columns.items()}
            for i, label in enumerate(self.rows.labels)
        ]

    def to_dataset(self):
        """As `xarray.Dataset`, both covariances included."""
        import xarray as xr

        coordinates = {f: ("total", self.rows.labels[f].astype(str)) for f in self.rows.labels.dtype.names or ()}
        unit = {"units": self.rows.unit}
        variables = {}
        for name, totals in (("prior", self.prior), ("posterior", self.posterior)):
            variables[name] = ("total", np.asarray(totals.mean), unit)
            variables[f"{name}_covariance"] = (("total", "total_"), np.asarray(totals.covariance),
                                               {"units": f"({self.rows.unit})2"})  # fmt: skip
        return xr.Dataset(variables, coordinates)

    def difference(self, first: int, second: int) -> Totals:
        """Total `second` minus total `first` of the posterior, e.g. of two periods, with their covariance."""
        matrix = np.zeros((1, len(self.rows.labels)))
        matrix[0, second], matrix[0, first] = 1.0, -1.0
        return self.posterior.combined(jnp.asarray(matrix))

    def trend(self, chosen: Sequence[int] | np.ndarray, times) -> Totals:
        """Slope of the chosen totals against time by ordinary least squares: c t, c = (τ − τ̄) / Σ (τ − τ̄)².

        The slope of the truth's own least-squares line is what is estimated, so that its uncertainty is c A cᵀ alone,
        with the covariance between periods; scatter of the truth about a line is no error here.

        Args:
            chosen: (p,) rows.
            times: (p,) mid times, e.g. in years.

        Raises:
            TanhengError: not one time per row, or fewer than two different ones.
        """
        times, chosen = np.asarray(times, dtype=float), np.asarray(chosen)
        if times.shape != chosen.shape or np.unique(times).size < 2:
            raise TanhengError("no trend through these totals", got=f"{chosen.size} totals, times {times}",
                               expected="one time for each of two or more", remedy="give mid times")  # fmt: skip
        away = times - times.mean()
        matrix = np.zeros((1, len(self.rows.labels)))
        matrix[0, chosen] = away / (away @ away)
        return self.posterior.combined(jnp.asarray(matrix))


def named_totals(posterior: AbstractPosterior, rows: TotalRows) -> NamedTotals:
    """Prior and posterior totals of a solved problem."""
    weights = jnp.asarray(rows.weights)
    return NamedTotals(rows, prior_totals(posterior.problem, weights), posterior.aggregate(weights))


def _sectors(blocks: Sequence[Block]) -> dict[str, list[tuple[int, int | None]]]:
    """Sector to the block and the row of its leading axis that emit it; a block without sectors is one itself."""
    found: dict[str, list[tuple[int, int | None]]] = {}
    for b, block in enumerate(blocks):
        if block.target not in ("surface", "points"):
            continue
        names = dict(block.axes).get("sector")
        rows = [(block.name, None)] if names is None else [(str(name), i) for i, name in enumerate(names)]
        for name, row in rows:
            found.setdefault(name, []).append((b, row))
    if not found:
        raise TanhengError("the control vector has no emission", got=[b.target for b in blocks],
                           expected="a block with the target surface or points", remedy="add one")  # fmt: skip
    return found


def _block_rows(block: Block, row: int | None, fields: Callable, periods: np.ndarray, count: int) -> np.ndarray:
    """(regions, periods, size): weights of one sector of a block."""
    base, index = np.asarray(block.base, float), np.broadcast_to(block.index, np.shape(block.base))
    if row is not None:
        base, index = base[row], index[row]
    extra = base.ndim - (3 if block.target == "surface" else 2)
    shares = fields(block.target)  # (regions, nt, ny, nx) or (regions, nt, n), one region at a time
    out = []
    for share in shares:
        weighted = base * share
        key = (np.broadcast_to(periods.reshape(-1, *(1,) * (weighted.ndim - extra - 1)), weighted.shape), index)
        flat = np.ravel(key[0]) * block._values + np.ravel(key[1])
        sums = np.bincount(flat, np.ravel(weighted), count * block._values).reshape(count, block._values)
        if block.weights is not None:
            sums = (sums.reshape(count, -1, block.weights.shape[0]) @ block.weights).reshape(count, -1)
        out.append(sums)
    return np.array(out)


def emission_rows(
    blocks: Sequence[Block], grid: Grid, regions: Basis, periods: Steps, hours, scale: float, unit: str,
    sectors: Sequence[str] = (ALL,), point_cells: tuple[np.ndarray, np.ndarray] | None = None,
) -> TotalRows:  # fmt: skip
    """Mean emission rate of every region × sector × period, in this order, the last the fastest.

    Args:
        blocks: of the control vector, in its order; those that do not emit (boundaries, offsets) get zeros.
        grid: cells of the surface flux.
        regions: polygons (`inversion.polygons.polygons`), a mask (`inversion.basis.regions`) or any basis of cells.
        periods: intervals to periods, e.g. `steps(times, "month")`.
        hours: (nt,) length of each interval, or a number.
        scale: from µmol s-1 to the unit, e.g. `per_year("CO2", "Mt")`.
        unit: e.g. "Mt yr-1".
        sectors: names of sectors of blocks, or of blocks without sectors; "all" is their sum.
        point_cells: rows and columns (n,) of the cells in which point sources stand; needed if a block has them.

    Raises:
        TanhengError: an unknown sector; regions on another grid; point sources without cells; lengths that differ.
    """
    known, nt = _sectors(blocks), len(periods.index)
    dt = np.broadcast_to(np.asarray(hours, dtype=float), nt) if np.size(hours) in (1, nt) else None
    unknown = [s for s in sectors if s != ALL and s not in known]
    if unknown or dt is None or regions.shape != grid.shape:
        raise TanhengError(
            "totals do not fit the control vector", got=f"sectors {unknown}, {np.size(hours)} hours, regions "
            f"{regions.shape}", expected=f"sectors of {sorted(known)}, {nt} hours, regions {grid.shape}",
            remedy="build them on the grid and intervals of the blocks",
        )  # fmt: skip
    fraction = regions.matrix().T.reshape(-1, *grid.shape)
    time = dt / np.bincount(periods.index, dt)[periods.index] * scale

    def fields(target):
        if target == "surface":
            return (time[:, None, None] * (f * grid.areas) for f in fraction)
        if point_cells is None:
            raise TanhengError("point sources have no place", got=None, expected="point_cells",
                               remedy="give the rows and columns of their cells")  # fmt: skip
        return (time[:, None] * f[point_cells] for f in fraction)

    bounds = np.cumsum([0, *(b.size for b in blocks)])
    weights = np.zeros((regions.size, len(sectors), periods.size, bounds[-1]))
    for s, sector in enumerate(sectors):
        chosen = known[sector] if sector != ALL else [part for parts in known.values() for part in parts]
        for b, row in chosen:
            part = _block_rows(blocks[b], row, fields, periods.index, periods.size)
            weights[:, s, :, bounds[b] : bounds[b + 1]] += part
    labels = [(str(r), str(s), str(p)) for r in regions.labels for s in sectors for p in periods.labels]
    width = max(len(v) for label in labels for v in label)
    kinds = [(name, f"U{width}") for name in ("region", "sector", "period")]
    return TotalRows(np.array(labels, dtype=kinds), weights.reshape(-1, bounds[-1]), unit)

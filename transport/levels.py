"""Vertical coordinates: where the edges of the model's layers lie in a given column of air.

Hybrid (ECMWF): p = a + b p_s. Hybrid eta of dry air (WRF): p_d = c3f μ + c4f + p_top. Fixed heights above ground.
Index 0 is the ground. Isothermal heights: fixed heights in an atmosphere that needs no analysis, for generated weather.
"""

import csv
import dataclasses
from importlib import resources
from typing import Protocol

import numpy as np

from transport.columns import Columns
from transport.constants import MOLAR_MASS_DRY_AIR, STANDARD_ATMOSPHERE, STANDARD_GRAVITY
from transport.errors import TanhengError
from transport.grid import check_edges

HIGHEST_TOP = 80e3  # m
HIGHEST_SURFACE = 108e3  # Pa, the highest pressure measured at sea level


class VerticalLevels(Protocol):
    """Anything that can say where its layer edges lie in a column."""

    @property
    def count(self) -> int:
        """Number of layers nz."""
        ...

    def edges_in(self, columns: Columns) -> np.ndarray:
        """(n, nz+1) pressure of moist air in Pa, decreasing from the surface pressure."""
        ...


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class HybridLevels:
    """Edges that follow the ground below and pressure aloft, p = a + b p_s.

    Args:
        a: (nz+1,) Pa, index 0 = ground, where a = 0.
        b: (nz+1,) 1, index 0 = ground, where b = 1.

    Raises:
        TanhengError: shapes differ, the first edge is not the ground, or pressure does not decrease upwards.

    Reference: Simmons and Burridge 1981, doi 10.1175/1520-0493(1981)109<0758:AEAAMC>2.0.CO;2, eq. 2.1.
    """

    a: np.ndarray
    b: np.ndarray

    def __post_init__(self):
        for name in ("a", "b"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=float))
        a, b = self.a, self.b
        usable = a.ndim == 1 and a.shape == b.shape and a.size > 1 and np.isfinite(a).all() and np.isfinite(b).all()
        if not usable or a[0] != 0.0 or b[0] != 1.0:
            raise TanhengError(
                "hybrid levels must be two vectors from the ground up",
                got=f"a {np.array2string(a, threshold=6)}, b {np.array2string(b, threshold=6)}",
                expected="equal lengths ≥ 2, all finite, a[0] = 0 Pa and b[0] = 1",
                remedy="reverse tables that start at the top; give half levels (edges), not full levels",
            )
        # Edges are linear in p_s, so two surface pressures decide for all between; over high ground a low top may come
        # to lie below the surface, which is refused where the levels meet such a column.
        for surface in (STANDARD_ATMOSPHERE, HIGHEST_SURFACE):
            edges = a + b * surface
            if not (np.diff(edges) < 0).all() or edges[-1] < 0:
                raise TanhengError(
                    "hybrid levels must have decreasing pressure",
                    got=f"{np.array2string(edges, threshold=6)} Pa over a surface pressure of {surface:.0f} Pa",
                    expected="strictly decreasing, none negative",
                    remedy="correct a (in Pa) and b, or lower the top",
                )

    @classmethod
    def l137(cls) -> "HybridLevels":
        """The 137 layers of the ECMWF IFS and ERA5, 0 Pa at the top, lowest layer 20 m.

        Reference: ECMWF, L137 model level definitions; table in transport/resources/l137.csv.
        """
        text = (resources.files("transport") / "resources" / "l137.csv").read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if not line.startswith("#")]
        table = [(float(row["a_pascal"]), float(row["b"])) for row in csv.DictReader(rows)]
        a, b = np.array(table[::-1]).T
        return cls(a, b)

    @classmethod
    def sigma(cls, edges: np.ndarray, top_pressure: float = 0.0) -> "HybridLevels":
        """Edges at fixed fractions between a constant top and the ground, p = p_top + σ (p_s − p_top).

        Args:
            edges: (nz+1,) σ, decreasing from 1 to 0.
            top_pressure: p_top, Pa.
        """
        edges = np.asarray(edges, dtype=float)
        return cls(top_pressure * (1.0 - edges), edges)

    @property
    def count(self) -> int:
        """Number of layers nz."""
        return self.a.size - 1

    def thinned(
        self, indices: np.ndarray | None = None, *, count: int | None = None, top_pressure: float | None = None
    ) -> "HybridLevels":
        """Fewer layers, by merging neighbours; fine near the ground, coarser above.

        Kept edges i_j = round(j + (m − count) (j/count)²), j = 0…count, of the m edges up to the top: the lowest layer
        stays as it is and each merges slightly more than the one below it.

        Args:
            indices: edges to keep, increasing from 0; or else
            count: number of layers to make, at most those that are there; default all of them.
            top_pressure: Pa; the edge nearest to it, over 101 325 Pa at the ground, becomes the top. Default: keep all.

        Raises:
            TanhengError: indices do not fit, or more layers are asked for than there are.
        """
        if indices is None:
            reference = self.at(np.array(STANDARD_ATMOSPHERE), axis=0)
            top = self.count if top_pressure is None else int(np.argmin(np.abs(reference - top_pressure)))
            layers = top if count is None else count
            if not 1 <= layers <= top:
                raise TanhengError(
                    "these levels cannot be thinned so",
                    got=f"count {count}, top_pressure {top_pressure}",
                    expected=f"1…{top} layers below that top, {self!r}",
                    remedy="ask for fewer layers or a higher top",
                )
            step = np.arange(layers + 1)
            indices = np.round(step + (top - layers) * (step / layers) ** 2).astype(int)
        kept = np.asarray(indices)
        fits = kept.ndim == 1 and kept.size > 1 and kept.dtype.kind in "iu" and kept[0] == 0 and kept[-1] <= self.count
        if not fits or not (np.diff(kept) > 0).all():
            raise TanhengError(
                "these edges cannot be kept",
                got=np.array2string(kept, threshold=8),
                expected=f"whole numbers increasing from 0 (the ground) to at most {self.count}",
                remedy="give indices of edges, from the ground up",
            )
        return HybridLevels(self.a[kept], self.b[kept])

    def at(self, surface_pressure: np.ndarray, axis: int = -3) -> np.ndarray:
        """Pressure edges over surface pressures.

        Args:
            surface_pressure: (…, ny, nx) Pa.
            axis: where the axis of the nz+1 edges goes in the result.

        Returns:
            (…, nz+1, ny, nx) Pa, decreasing upwards.
        """
        surface = np.asarray(surface_pressure, dtype=float)
        return np.moveaxis(self.a + self.b * surface[..., None], -1, axis)

    def edges_in(self, columns: Columns) -> np.ndarray:
        """(n, nz+1) pressure edges in Pa in the given columns."""
        return self.at(columns.surface_pressure, axis=-1)

    def __repr__(self) -> str:
        edges = self.at(np.array(STANDARD_ATMOSPHERE), axis=0)
        return (
            f"HybridLevels({self.count} layers, {edges[0]:.0f}…{edges[-1]:.6g} Pa over {STANDARD_ATMOSPHERE:.0f} Pa, "
            f"lowest {edges[0] - edges[1]:.4g} Pa)"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class EtaLevels:
    """Edges in the weight of the dry air above, as in WRF's hybrid vertical coordinate.

    p_d = c3f μ + c4f + p_top,  μ = p_d(ground) − p_top

    Args:
        c3f: (nz+1,) 1, index 0 = ground, where it is 1.
        c4f: (nz+1,) Pa.
        p_top: pressure at the model's top, Pa.

    Raises:
        TanhengError: shapes differ, the first edge is not the ground, the last is not the top, or pressure does not
            decrease upwards.

    Reference: Skamarock et al. 2019, A Description of the Advanced Research WRF Model Version 4, NCAR/TN-556+STR
        (doi 10.5065/1dfh-6p97), eq. 2.2; names as in the files (C3F, C4F, P_TOP).
    """

    c3f: np.ndarray
    c4f: np.ndarray
    p_top: float

    def __post_init__(self):
        for name in ("c3f", "c4f"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=float))
        c3f, c4f = self.c3f, self.c4f
        whole = c3f.ndim == 1 and c3f.shape == c4f.shape and c3f.size > 1
        finite = np.isfinite(c3f).all() and np.isfinite(c4f).all() and np.isfinite(self.p_top)
        # WRF's C arrays are single precision, so the ends are 1 and 0 to rounding only.
        if whole and finite and self.p_top >= 0:
            ends = abs(c3f[0] - 1) < 1e-5 and abs(c4f[0]) < 1.0 and abs(c3f[-1]) < 1e-5 and abs(c4f[-1]) < 1.0
            steady = all((np.diff(c3f * (p - self.p_top) + c4f) < 0).all() for p in (50e3, HIGHEST_SURFACE))
            if ends and steady:
                return
        raise TanhengError(
            "eta levels must be two vectors from the ground to the top",
            got=f"c3f {np.array2string(c3f, threshold=6)}, c4f {np.array2string(c4f, threshold=6)}, p_top {self.p_top}",
            expected="equal lengths ≥ 2, all finite, c3f from 1 to 0, c4f 0 Pa at both ends, pressure decreasing",
            remedy="give C3F, C4F (staggered in the vertical) and P_TOP of the file",
        )

    @property
    def count(self) -> int:
        """Number of layers nz."""
        return self.c3f.size - 1

    def dry_pressure(self, mu: np.ndarray, axis: int = -3) -> np.ndarray:
        """Dry-air pressure edges over columns.

        Args:
            mu: (…, ny, nx) weight of the dry column, MU + MUB of a WRF file, Pa.
            axis: where the axis of the nz+1 edges goes in the result.

        Returns:
            (…, nz+1, ny, nx) Pa, decreasing upwards.
        """
        mu = np.asarray(mu, dtype=float)
        return np.moveaxis(self.c3f * mu[..., None] + self.c4f + self.p_top, -1, axis)

    def edges_in(self, columns: Columns) -> np.ndarray:
        """(n, nz+1) pressure edges of moist air in Pa; p_top counts as the top of moist and of dry air."""
        if (columns.top > self.p_top).any():
            return np.full((columns.edges.shape[0], self.count + 1), self.p_top)  # refused where tops are compared
        dry = self.dry_pressure(columns.dry_pressure(self.p_top) - self.p_top, axis=-1)
        edges = columns.pressure_at_dry_pressure(dry, self.p_top)
        edges[:, 0], edges[:, -1] = columns.surface_pressure, self.p_top
        return edges

    def __repr__(self) -> str:
        edges = self.dry_pressure(np.array(STANDARD_ATMOSPHERE - self.p_top), axis=0)
        return (
            f"EtaLevels({self.count} layers of dry air, {edges[0]:.0f}…{edges[-1]:.6g} Pa over "
            f"{STANDARD_ATMOSPHERE:.0f} Pa, lowest {edges[0] - edges[1]:.4g} Pa)"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FixedHeights:
    """Edges at heights above ground; their pressure follows from the temperature of the analysis.

    Args:
        edges: (nz+1,) m above ground, increasing from 0.

    Raises:
        TanhengError: edges do not increase from 0.
    """

    edges: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "edges", np.array(self.edges, dtype=float))
        z = self.edges
        if z.ndim != 1 or z.size < 2 or not np.isfinite(z).all() or z[0] != 0.0 or not (np.diff(z) > 0).all():
            raise TanhengError(
                "height levels must increase from the ground",
                got=np.array2string(z, threshold=6),
                expected="a vector of at least two finite heights in m, the first 0",
                remedy="give heights above ground, not above sea level",
            )

    @property
    def count(self) -> int:
        """Number of layers nz."""
        return self.edges.size - 1

    def edges_in(self, columns: Columns) -> np.ndarray:
        """(n, nz+1) pressure edges in Pa, by the hypsometric equation in each column."""
        return columns.pressure_at_height(self.edges)

    def __repr__(self) -> str:
        return f"FixedHeights({self.count} layers, 0…{self.edges[-1]:.6g} m above ground, lowest {self.edges[1]:.4g} m)"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class IsothermalHeights:
    """Layers between fixed heights in an isothermal hydrostatic atmosphere.

    p(z) = p_s exp(−z/H); dry air per area of a layer: n = Δp / (g M_air).

    Args:
        edges: (nz+1,) heights above ground in m, increasing from 0.
        surface_pressure: p_s in Pa.
        scale_height: H in m.
    """

    edges: np.ndarray
    surface_pressure: float = 1.0e5
    scale_height: float = 8.0e3

    def __post_init__(self):
        object.__setattr__(self, "edges", np.asarray(self.edges, dtype=float))
        check_edges("levels", self.edges)
        if self.edges[0] != 0.0 or not self.edges[-1] <= HIGHEST_TOP:
            raise TanhengError(
                "levels must reach from the ground into the atmosphere",
                got=f"{self.edges[0]:g}…{self.edges[-1]:g} m",
                expected=f"first edge 0 m, last edge at most {HIGHEST_TOP:.0f} m",
                remedy="give heights above ground in metres",
            )

    @property
    def count(self) -> int:
        """Number of layers nz."""
        return self.edges.size - 1

    @property
    def centres(self) -> np.ndarray:
        """(nz,) mid heights in m."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def pressure_edges(self) -> np.ndarray:
        """(nz+1,) pressure in Pa, decreasing upwards."""
        return self.surface_pressure * np.exp(-self.edges / self.scale_height)

    @property
    def air_per_area(self) -> np.ndarray:
        """(nz,) dry air in mol m-2."""
        return -np.diff(self.pressure_edges) / (STANDARD_GRAVITY * MOLAR_MASS_DRY_AIR)

    def __repr__(self) -> str:
        return f"IsothermalHeights({self.count} layers, {self.edges[0]:.0f}…{self.edges[-1]:.0f} m above ground)"

"""Point sources: where they stand, how high their plumes go, and what they release by time.

Captured mass is a stream of its own: its rate is negative, and it has its own meters and uncertainty.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyproj

from inversion.observations.record import Source, Step
from priors.hourly import HourlyEmissions
from priors.inventory import MICROMOLES, Inventory
from transport.constants import STANDARD_GRAVITY
from transport.errors import TanhengError
from transport.grid import GEOGRAPHIC, Grid, check_edges
from transport.sources import Injection
from transport.units import molar_mass

STREAMS = ("emission", "captured")
CAPTURED = " captured"


@dataclasses.dataclass(frozen=True)
class PointSource:
    """One place that releases, or that captures.

    Args:
        name: of the stack; names differ within a set.
        lon, lat: degrees, WGS84.
        sector: in the classification of the inventory that it joins.
        height: of the stack's mouth above ground, m.
        diameter, temperature, velocity: of the mouth (m) and the gas in it (K, m s-1); NaN where not known.
        heights: (m+1,) increasing m above ground, a profile that is given instead of a plume rise.
        shares: (m,) of the release between them; none: even.
        stream: "emission", or "captured".

    Raises:
        TanhengError: a place that is not on Earth, a height below ground, a profile that does not fit.
    """

    name: str
    lon: float
    lat: float
    sector: str
    height: float
    diameter: float = np.nan
    temperature: float = np.nan
    velocity: float = np.nan
    heights: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    stream: str = "emission"

    def __post_init__(self):
        z, w = np.array(self.heights), np.array(self.shares)
        gas = (self.diameter, self.temperature, self.velocity)
        rules = {
            "a name and a sector": bool(self.name) and bool(self.sector),
            "longitude −180…360 and latitude −90…90": -180 <= self.lon <= 360 and -90 <= self.lat <= 90,
            "a height of 0…500 m": 0 <= self.height <= 500,
            "increasing heights ≥ 0": not z.size or (z.size > 1 and z[0] >= 0 and bool((np.diff(z) > 0).all())),
            "a share ≥ 0 for each range, not all zero": not w.size
            or (w.size == z.size - 1 and bool((w >= 0).all()) and w.sum() > 0),
            "where known: diameter 0…50 m, gas of 250…1500 K (not °C), velocity 0…100 m s-1": all(
                np.isnan(v) or low < v < high
                for v, (low, high) in zip(gas, ((0.0, 50.0), (250.0, 1500.0), (0.0, 100.0)), strict=True)
            ),
            f"a stream among {', '.join(STREAMS)}": self.stream in STREAMS,
        }
        for rule, holds in rules.items():
            if not holds:
                raise TanhengError(
                    f"the point source {self.name!r} cannot be used", got=repr(self)[:300], expected=rule,
                    remedy="correct its row; heights are metres above ground, not feet and not above the sea",
                )  # fmt: skip


def plume_rise(source: PointSource, wind: float, air: float, gradient: float = 0.0) -> float:
    """Final rise Δh of a plume above the mouth of its stack, m.

    F = g v d² (T_s − T_a)/(4 T_s),  F_m = v² d² T_a/(4 T_s),  s = g/T_a ∂θ/∂z
    neutral or unstable: max(21.425 F^¾/u where F < 55 m4 s-3 else 38.71 F^⅗/u,  3 d v/u)
    stable: max(2.6 (F/(u s))^⅓,  1.5 (F_m/(u √s))^⅓), at most the neutral one

    Args:
        source: with diameter, temperature and velocity.
        wind: u at the mouth, m s-1; at least 1 m s-1 is used.
        air: T_a at the mouth, K.
        gradient: ∂θ/∂z, K m-1; > 0 is stable.

    Raises:
        TanhengError: the gas is not known, or the weather is none.

    Reference: Briggs 1975, in Lectures on Air Pollution and Environmental Impact Analyses, AMS, 59–111; as in US EPA
        ISC3 user's guide vol. II, EPA-454/B-95-003b, §1.1.4.
    """
    d, T, v = source.diameter, source.temperature, source.velocity
    weather = 180.0 < air < 340.0 and 0.0 <= wind < 100.0 and abs(gradient) < 0.5
    if not weather or not np.isfinite([d, T, v]).all():
        raise TanhengError(
            f"the rise of the plume of {source.name} cannot be computed",
            got=f"diameter {d} m, gas {T} K, {v} m/s; wind {wind} m/s, air {air} K, gradient {gradient} K/m",
            expected="all of them known, air 180…340 K, wind 0…100 m/s, gradient within 0.5 K/m",
            remedy="state them in these units, or give the source a profile of heights",
        )  # fmt: skip
    u = max(wind, 1.0)  # Briggs' formulas diverge in a calm; ISC3 limits likewise
    F = STANDARD_GRAVITY * v * d**2 * max(T - air, 0.0) / (4.0 * T)
    neutral = max((21.425 * F**0.75 if F < 55.0 else 38.71 * F**0.6) / u, 3.0 * d * v / u)
    if gradient <= 0.0:
        return neutral
    s, momentum = STANDARD_GRAVITY * gradient / air, v**2 * d**2 * air / (4.0 * T)
    stable = max(2.6 * (F / (u * s)) ** (1 / 3), 1.5 * (momentum / (u * s**0.5)) ** (1 / 3))
    return min(neutral, stable)


def injection_profile(edges: np.ndarray, source: PointSource, rise: float = 0.0) -> np.ndarray:
    """Share of each layer in a release; all of it, to rounding.

    The source's own profile is even within each of its ranges. Without one the plume is even between h + ½ Δh and
    h + 1½ Δh (Briggs: a plume is as thick as it has risen); with Δh = 0 all is in the layer of the mouth.

    Args:
        edges: (nz+1,) of layers above ground, m, from 0.
        source: with height, or heights and shares.
        rise: Δh, m.

    Raises:
        TanhengError: the release reaches above the model, the rise is negative, or edges do not increase.
    """
    edges = np.asarray(edges, float)
    check_edges("layers", edges)
    z = np.array(source.heights or (source.height + 0.5 * rise, source.height + 1.5 * rise))
    if not z[-1] <= edges[-1] or not rise >= 0.0 or edges[0] > z[0]:
        raise TanhengError(
            f"the release of {source.name} does not fit the model", got=f"{z[0]:.0f}…{z[-1]:.0f} m, rise {rise:.0f} m",
            expected=f"within {edges[0]:.0f}…{edges[-1]:.0f} m above ground", remedy="keep more layers",
        )  # fmt: skip
    if not source.heights and rise == 0.0:
        layer = min(int(np.searchsorted(edges, source.height, side="right")) - 1, edges.size - 2)
        return np.eye(edges.size - 1)[layer]
    low, high = z[:-1, None], z[1:, None]
    shared = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0.0, None) / (high - low)
    weights = np.array(source.shares) if source.shares else (high - low)[:, 0]
    profile = weights / weights.sum() @ shared
    return profile / profile.sum()


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PointSources:
    """Sources with their rates.

    Args:
        species: "CO2", …
        sources: n of them.
        times: (nt+1,) datetime64, edges of the periods, UTC.
        rate: (n, nt) kg s-1, mean over each period; emissions ≥ 0, captured ≤ 0.
        files: that were read.
        steps: what was done.

    Raises:
        TanhengError: shapes that disagree, repeated names, times that do not increase, rates that are not finite or of
            the wrong sign.
    """

    species: str
    sources: tuple[PointSource, ...]
    times: np.ndarray
    rate: np.ndarray
    files: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "times", np.asarray(self.times).astype("datetime64[s]"))
        object.__setattr__(self, "rate", np.asarray(self.rate, float))
        names, shape = [s.name for s in self.sources], (len(self.sources), len(self.times) - 1)
        rising = bool((np.diff(self.times) > np.timedelta64(0, "s")).all())
        fits = self.rate.shape == shape and bool(np.isfinite(self.rate).all())
        if not fits or not rising or len(set(names)) != len(names) or not names:
            raise TanhengError(
                "the rates of point sources do not fit them", got=f"shape {self.rate.shape}, {len(set(names))} names",
                expected=f"{shape} of sources with different names and periods that follow each other, all finite",
                remedy="fill missing hours with HourlyEmissions.filled, and number stacks of one name",
            )  # fmt: skip
        sign = np.array([1.0 if s.stream == "emission" else -1.0 for s in self.sources])
        wrong = [n for n, r in zip(names, self.rate * sign[:, None], strict=True) if (r < 0.0).any()]
        if wrong:
            raise TanhengError(
                "a rate has the wrong sign", got=", ".join(wrong[:10]), expected="emissions ≥ 0, captured ≤ 0 kg s-1",
                remedy="make captured mass a source of its own: PointSource(stream='captured'), "
                "HourlyEmissions.negative",
            )  # fmt: skip

    @classmethod
    def of(cls, pairs: Sequence[tuple[PointSource, HourlyEmissions]], times: np.ndarray) -> "PointSources":
        """Sources with hourly series, as means over periods; mass is conserved.

        Raises:
            TanhengError: indirect emissions (they are made elsewhere), several species, missing hours, a stream twice.
        """
        kinds = {(stream.species, stream.scope) for _, stream in pairs}
        if len(kinds) != 1 or {scope for _, scope in kinds} != {"direct"}:
            raise TanhengError(
                "these streams cannot be point sources together",
                got=", ".join(sorted(" ".join(k) for k in kinds)) or "none", expected="one species, all direct",
                remedy="leave indirect emissions (electricity, heat) to the account",
            )  # fmt: skip
        names = [stream.name for _, stream in pairs]
        if len(set(names)) != len(names):
            raise TanhengError("a stream is given to two sources", got=", ".join(names), expected="each name once",
                               remedy="split the stream, or name streams apart")  # fmt: skip
        rate = np.stack([stream.mean_over(times) for _, stream in pairs])
        files = tuple({f.sha256: f for _, stream in pairs for f in stream.sources}.values())
        return cls(pairs[0][1].species, tuple(s for s, _ in pairs), times, rate, files,
                   (Step("means of hourly series", rate.size),))  # fmt: skip

    @property
    def sectors(self) -> tuple[str, ...]:
        """Sectors in their first order; captured mass has its own."""
        return tuple(dict.fromkeys(_sector(s) for s in self.sources))

    def total(self) -> float:
        """Mean rate of all sources over all periods, kg s-1."""
        seconds = np.diff(self.times) / np.timedelta64(1, "s")
        return float((self.rate @ seconds).sum() / seconds.sum())

    def within(self, grid: Grid) -> "PointSources":
        """Those that stand on a grid; how many are left out is in `steps`.

        Raises:
            TanhengError: none does.
        """
        x, y = _places(grid, self.sources)
        inside = (x >= grid.x_edges[0]) & (x < grid.x_edges[-1]) & (y >= grid.y_edges[0]) & (y < grid.y_edges[-1])
        if not inside.any():
            raise TanhengError("no point source stands on the grid", got=f"{len(inside)} sources", expected=repr(grid),
                               remedy="check longitudes and latitudes")  # fmt: skip
        step = Step("sources on the grid", int(inside.sum()), (("outside", int((~inside).sum())),))
        kept = tuple(s for s, i in zip(self.sources, inside, strict=True) if i)
        return dataclasses.replace(self, sources=kept, rate=self.rate[inside], steps=(*self.steps, step))

    def cells(self, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """(n,) rows and (n,) columns.

        Raises:
            TanhengError: a source outside.
        """
        x, y = _places(grid, self.sources)
        cells = [grid.cell_of(a, b, f"the source {s.name}") for a, b, s in zip(x, y, self.sources, strict=True)]
        rows, columns = np.array(cells).T
        return rows, columns

    def injection(self, grid: Grid, heights: np.ndarray, rises: Sequence[float] | np.ndarray = ()) -> Injection:
        """Cells and layers for `transport.sources`.

        Args:
            grid: of the model.
            heights: (nz+1,) or (nz+1, ny, nx) edges of layers above ground, m.
            rises: (n,) m of the plumes; none: zero.

        Raises:
            TanhengError: a source outside the model, or another number of rises.
        """
        rows, columns = self.cells(grid)
        rise = np.asarray(rises, float) if len(rises) else np.zeros(len(rows))
        if rise.shape != rows.shape:
            raise TanhengError("these rises are not those of the sources", got=f"shape {rise.shape}",
                               expected=f"{rows.shape}, or none", remedy="give one rise per source")  # fmt: skip
        edges = [heights if np.ndim(heights) == 1 else heights[:, r, c] for r, c in zip(rows, columns, strict=True)]
        profiles = [injection_profile(e, s, h) for e, s, h in zip(edges, self.sources, rise.tolist(), strict=True)]
        return Injection(rows, columns, np.array(profiles))

    def release(self) -> np.ndarray:
        """(nt, n) µmol s-1, the `points` of `transport.sources.Sources`."""
        return self.rate.T / molar_mass(self.species) * MICROMOLES

    def inventory(self, grid: Grid, classification: str = "") -> Inventory:
        """Mass in the cells where the sources stand, one sector per sector of theirs; heights are lost.

        Raises:
            TanhengError: a source outside the grid.
        """
        rows, columns = self.cells(grid)
        names = self.sectors
        rate = np.zeros((len(names), len(self.times) - 1, *grid.shape))
        for source, r, c, values in zip(self.sources, rows, columns, self.rate, strict=True):
            rate[names.index(_sector(source)), :, r, c] += values
        step = Step("point sources put into cells", len(self.sources))
        return Inventory(self.species, names, rate, grid, self.times, classification, self.files, (*self.steps, step))

    def __repr__(self) -> str:
        return (f"PointSources({self.species}, {len(self.sources)} sources, {len(self.times) - 1} periods "
                f"{self.times[0]} … {self.times[-1]}, {self.total():.5g} kg s-1)")  # fmt: skip


def _sector(source: PointSource) -> str:
    return source.sector + (CAPTURED if source.stream == "captured" else "")


def _places(grid: Grid, sources: Sequence[PointSource]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) x and y in the grid's coordinates; longitudes on the grid's turn."""
    lon, lat = np.array([s.lon for s in sources]), np.array([s.lat for s in sources])
    if grid.is_geographic:
        return (lon - grid.x_edges[0]) % 360.0 + grid.x_edges[0], lat
    x, y = pyproj.Transformer.from_crs(GEOGRAPHIC, grid.crs, always_xy=True).transform(lon, lat)
    return np.asarray(x), np.asarray(y)

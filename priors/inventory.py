"""Emissions by sector on the cells of a grid, as mass: what is read, regridded, spread over time and handed to T."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from inversion.observations.record import Source, Step
from priors.sectors import check_exclusive
from transport.constants import SECONDS_PER_YEAR
from transport.errors import TanhengError
from transport.grid import Grid
from transport.units import molar_mass

MICROMOLES = 1e6  # per mol
KILOGRAMS_PER_MEGATONNE = 1e9
MEGATONNES_PER_YEAR = SECONDS_PER_YEAR / KILOGRAMS_PER_MEGATONNE  # of one kg s-1


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Inventory:
    """Mass per time of each sector in each cell, so that sums are totals whatever the cells.

    Args:
        species: "CO2", "CH4", …
        sectors: names.
        rate: (sectors, nt, ny, nx) kg s-1 per cell, mean over each period; uptake negative.
        grid: cells.
        times: (nt+1,) datetime64, edges of the periods, UTC; one period for annual means.
        classification: of the sector names: "EDGAR", "IPCC 2006", "GNFR", …
        sources: files that were read.
        steps: what was done since.

    Raises:
        TanhengError: shapes that disagree, rates that are not finite, periods that do not follow each other, sectors
            that repeat or hold each other.
    """

    species: str
    sectors: tuple[str, ...]
    rate: np.ndarray
    grid: Grid
    times: np.ndarray
    classification: str = ""
    sources: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "rate", np.asarray(self.rate))
        object.__setattr__(self, "times", np.asarray(self.times).astype("datetime64[s]"))
        shape = (len(self.sectors), len(self.times) - 1, *self.grid.shape)
        number = self.rate.dtype.kind in "iuf"
        bad = int(np.count_nonzero(~np.isfinite(self.rate))) if number else self.rate.size
        if self.rate.shape != shape or bad or not self.sectors:
            raise TanhengError(
                "the rates of an inventory do not fit it", got=f"shape {self.rate.shape}, {bad} not finite",
                expected=f"{shape} of sectors, periods, rows, columns, all finite",
                remedy="fill missing cells with zero where the source says so, and nowhere else",
            )  # fmt: skip
        if len(set(self.sectors)) != len(self.sectors):
            raise TanhengError(
                "sectors of an inventory repeat", got=", ".join(self.sectors), expected="each once",
                remedy="merge them first",
            )  # fmt: skip
        check_exclusive(self.sectors, self.classification)
        if len(self.times) < 2 or not (np.diff(self.times) > np.timedelta64(0, "s")).all():
            raise TanhengError(
                "the periods of an inventory do not follow each other", got=self.times[:3], expected="increasing times",
                remedy="give the edges of the periods",
            )  # fmt: skip

    @property
    def seconds(self) -> np.ndarray:
        """(nt,) length of each period."""
        return np.diff(self.times) / np.timedelta64(1, "s")

    @property
    def years(self) -> float:
        """Length of all periods in calendar years: mass in them over this is mass per year, of 365 d or of 366 d."""
        year = self.times[[0, -1]].astype("datetime64[Y]")
        first, second = ((y.astype("datetime64[s]"), (y + 1).astype("datetime64[s]")) for y in year)
        into = [(t - a) / (b - a) for t, (a, b) in zip(self.times[[0, -1]], (first, second), strict=True)]
        return float(np.diff(year).astype(int)[0] + into[1] - into[0])

    def totals(self, inside: np.ndarray | None = None) -> dict[str, float]:
        """Mean rate of each sector over all periods, kg s-1.

        Args:
            inside: (ny, nx) share of each cell that counts; None: all.
        """
        share = np.ones(self.grid.shape) if inside is None else np.asarray(inside, float)
        means = np.einsum("styx,t,yx->s", self.rate, self.seconds / self.seconds.sum(), share)
        return dict(zip(self.sectors, means.tolist(), strict=True))

    def mean(self) -> "Inventory":
        """One period: the mean of all."""
        share = self.seconds / self.seconds.sum()
        rate = np.einsum("styx,t->syx", self.rate, share)[:, None]
        return dataclasses.replace(self, rate=rate, times=self.times[[0, -1]])

    def total(self, inside: np.ndarray | None = None) -> float:
        """Mean rate of all sectors over all periods, kg s-1."""
        return float(sum(self.totals(inside).values()))

    def flux(self) -> np.ndarray:
        """(sectors, nt, ny, nx) µmol m-2 s-1 on the true areas of the cells."""
        return self.rate / molar_mass(self.species) * MICROMOLES / self.grid.areas

    def select(self, sectors: Sequence[str]) -> "Inventory":
        """Some of the sectors.

        Raises:
            TanhengError: one that is not there.
        """
        missing = [s for s in sectors if s not in self.sectors]
        if missing:
            raise TanhengError(
                "an inventory has no such sector", got=", ".join(missing), expected=", ".join(self.sectors),
                remedy="name its own sectors, or merge them into others first",
            )  # fmt: skip
        rows = [self.sectors.index(s) for s in sectors]
        return dataclasses.replace(self, sectors=tuple(sectors), rate=self.rate[rows])

    def merged(self, groups: Mapping[str, Sequence[str]], classification: str) -> "Inventory":
        """Sectors added up into others; every sector must go somewhere, once.

        Args:
            groups: new name to names of the own sectors.
            classification: of the new names.

        Raises:
            TanhengError: a sector left out, named twice, or not there.
        """
        named = [s for group in groups.values() for s in group]
        wrong = sorted((set(self.sectors) ^ set(named)) | {s for s in named if named.count(s) > 1})
        if wrong:
            raise TanhengError(
                "sectors cannot be merged so", got=f"not once on both sides: {', '.join(wrong)}",
                expected=f"each of {', '.join(self.sectors)} in one group", remedy="complete the groups",
            )  # fmt: skip
        rate = np.stack([self.rate[[self.sectors.index(s) for s in group]].sum(axis=0) for group in groups.values()])
        step = Step(f"sectors merged into {classification}", len(groups))
        return dataclasses.replace(
            self, sectors=tuple(groups), rate=rate, classification=classification, steps=(*self.steps, step)
        )

    def __repr__(self) -> str:
        first, last = self.times[0].astype("datetime64[m]"), self.times[-1].astype("datetime64[m]")
        yearly = self.total() * self.seconds.sum() / self.years / KILOGRAMS_PER_MEGATONNE
        return (
            f"Inventory({self.species}, {len(self.sectors)} sectors, {len(self.times) - 1} periods {first} … {last}, "
            f"{yearly:.5g} Mt yr-1; {self.grid!r})"
        )

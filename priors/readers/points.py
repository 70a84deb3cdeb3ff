"""Point sources as catalogues list them: where, and how much per year."""

import dataclasses

from inversion.observations.record import Source, Step


@dataclasses.dataclass(frozen=True)
class Facility:
    """A facility of a catalogue.

    Args:
        name: identifier in the catalogue.
        lon, lat: degrees.
        species: "CO2" or "CH4".
        rate: mean over the year, kg s-1.
        sector: or fuel, in the catalogue's words.
        country: ISO 3166-1 alpha-3, empty where it is not stated.
        profiles: names of temporal and vertical profiles by kind.
    """

    name: str
    lon: float
    lat: float
    species: str
    rate: float
    sector: str = ""
    country: str = ""
    profiles: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """Facilities of one catalogue and year, with where they came from.

    Args:
        points: facilities.
        year: that rates are means of.
        sources: files that were read.
        steps: what was done since.
    """

    points: tuple[Facility, ...]
    year: int
    sources: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()

    def total(self) -> float:
        """Sum of the mean rates, kg s-1."""
        return float(sum(p.rate for p in self.points))

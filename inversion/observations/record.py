"""Where values came from, and what was done with them since."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Source:
    """A file that was read.

    Args:
        name: of the file.
        sha256: of its content.
        reader: name of the reader.
        stamp: how the file labels averaging intervals: "start", "middle", "end", "instant".
        attribution: citation, licence and fair-use text that the file demands to be shown.
        notes: what the reader had to assume.
    """

    name: str
    sha256: str
    reader: str
    stamp: str
    attribution: str = ""
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Step:
    """Something done to a set of observations.

    Args:
        what: e.g. "read", "scale WMO CO2 X2007 → WMO CO2 X2019", "afternoon".
        kept: how many values remained.
        dropped: reason to number.
    """

    what: str
    kept: int
    dropped: tuple[tuple[str, int], ...] = ()

    @property
    def before(self) -> int:
        """How many values there were."""
        return self.kept + sum(n for _, n in self.dropped)

"""What was measured: values, windows, places, vertical weights, causes of error, scale and origin."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from inversion.observations.component import CAUSES, Component
from inversion.observations.record import Source, Step
from inversion.observations.vertical import Vertical
from transport.errors import TanhengError

# "constraint" marks rows of y that are not measurements.
KINDS = ("tower", "flask", "aircraft", "ship", "column", "path", "constraint")
_NUMBERS = ("lon", "lat", "height", "altitude")
_WORDS = ("scales", "flags", "instruments")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Observations:
    """n values of one species in one unit.

    Args:
        values: (n,) in `unit`; mole fractions are of dry air.
        start, end: (n,) datetime64[ns], UTC: the window over which a value is a mean; equal for an instant.
        groups: (n,) name of the site or overpass.
        kinds: (n,) each of `KINDS`.
        unit: e.g. "ppm".
        components: causes of error; their squares add up to σ².
        species: "CO2", "CH4", … or "" where it does not matter.
        lon, lat: (n,) degrees, −180…180; NaN without a place. Of a path: its start.
        height: (n,) m above ground of the inlet; NaN where unknown, and for columns.
        altitude: (n,) m above sea level of the inlet or of the ground below a column.
        scales: (n,) calibration scale, "" where unknown.
        flags: (n,) quality flag as the file writes it.
        instruments: (n,) instrument or sensor.
        vertical: of columns.
        ends: (n, 3) longitude, latitude, height of the far end of a path, or None.
        corners: (n, 4, 2) longitude and latitude of the corners of a pixel, or None.
        extra: name to (n,) further numbers that filters or bias models use, e.g. "surface_albedo".
        origin: (n,) index into `sources`; −1 for none.
        sources: files that were read.
        steps: what was read, kept, dropped and converted.

    Raises:
        TanhengError: empty; lengths that disagree; values, times or σ that cannot be.
    """

    values: np.ndarray
    start: np.ndarray
    end: np.ndarray
    groups: np.ndarray
    kinds: np.ndarray
    unit: str
    components: tuple[Component, ...]
    species: str = ""
    lon: np.ndarray = None  # type: ignore[assignment]
    lat: np.ndarray = None  # type: ignore[assignment]
    height: np.ndarray = None  # type: ignore[assignment]
    altitude: np.ndarray = None  # type: ignore[assignment]
    scales: np.ndarray = None  # type: ignore[assignment]
    flags: np.ndarray = None  # type: ignore[assignment]
    instruments: np.ndarray = None  # type: ignore[assignment]
    vertical: Vertical | None = None
    ends: np.ndarray | None = None
    corners: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    origin: np.ndarray = None  # type: ignore[assignment]
    sources: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()

    def __post_init__(self):
        n = len(self.values)
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put("values", np.asarray(self.values, float))
        for name in ("start", "end"):
            put(name, np.asarray(getattr(self, name)).astype("datetime64[ns]"))
        for name in ("groups", "kinds"):
            put(name, np.asarray(getattr(self, name)).astype(str))
        for name in _NUMBERS:
            given = getattr(self, name)
            put(name, np.full(n, np.nan) if given is None else np.asarray(given, float))
        for name in _WORDS:
            given = getattr(self, name)
            put(name, np.full(n, "") if given is None else np.asarray(given).astype(str))
        given = self.origin
        put("origin", np.full(n, 0 if len(self.sources) == 1 else -1) if given is None else np.asarray(given, int))
        self._check_lengths(n)
        self._check_values()

    def _check_lengths(self, n: int) -> None:
        if n == 0:
            raise TanhengError(
                "no observation is left",
                got="0 observations" + "".join(f"; {s.what}: dropped {dict(s.dropped)}" for s in self.steps),
                expected="at least one", remedy="widen the selection of sites, hours, quality or dates",
            )  # fmt: skip
        arrays: dict[str, np.ndarray] = {
            name: getattr(self, name)
            for name in ("values", "start", "end", "groups", "kinds", *_NUMBERS, *_WORDS, "origin")
        }
        arrays |= {f"extra[{k}]": v for k, v in self.extra.items()}
        for c in self.components:
            arrays |= {f"component {c.cause}": c.sigma, f"groups of component {c.cause}": c.groups}
        shapes: dict[str, tuple[tuple, tuple]] = {name: (a.shape, (n,)) for name, a in arrays.items()}
        if self.ends is not None:
            shapes["ends"] = self.ends.shape, (n, 3)
        if self.corners is not None:
            shapes["corners"] = self.corners.shape, (n, 4, 2)
        if self.vertical is not None:
            shapes["vertical"] = self.vertical.layered.shape, (n,)
        for name, (got, expected) in shapes.items():
            if got != expected:
                raise TanhengError(
                    f"observations.{name} has the wrong length", got=got, expected=expected,
                    remedy="give one entry per value",
                )  # fmt: skip

    def _check_values(self) -> None:
        unknown = sorted(set(self.kinds) - set(KINDS)), sorted({c.cause for c in self.components} - set(CAUSES))
        for what, names, allowed in zip(("kind", "cause of error"), unknown, (KINDS, CAUSES), strict=True):
            if names:
                raise TanhengError(
                    f"an unknown {what} of observations", got=", ".join(names), expected=", ".join(allowed),
                    remedy="use one of these words",
                )  # fmt: skip
        self._require(np.isfinite(self.values), "an observed value is not finite", "finite numbers", "drop them")
        ordered = ~np.isnat(self.start) & ~np.isnat(self.end) & (self.start <= self.end)
        self._require(ordered, "an observation ends before it starts", "start ≤ end", "check the label convention")
        with np.errstate(invalid="ignore"):
            placed = ~((np.abs(self.lat) > 90.0) | (np.abs(self.lon) > 180.0))
        self._require(placed, "an observation lies nowhere on Earth", "−180…180, −90…90", "check units and columns")
        inside = (self.origin >= -1) & (self.origin < max(len(self.sources), 1))
        self._require(inside, "an origin names no source", f"−1…{len(self.sources) - 1}", "give the sources")
        for c in self.components:
            with np.errstate(invalid="ignore"):
                negative = (c.sigma < 0.0) | np.isinf(c.sigma)
            self._require(~negative, f"{c.cause} of an observation is negative or infinite", "≥ 0", "check the column")

    def _require(self, good: np.ndarray, what: str, expected: str, remedy: str) -> None:
        if not good.all():
            where = int(np.flatnonzero(~good)[0])
            raise TanhengError(
                what,
                got=f"{int((~good).sum())} of {good.size}; first at {self.groups[where]}, "
                f"{self.start[where].astype('datetime64[s]')}: value {self.values[where]}, "
                f"place {self.lon[where]:g}, {self.lat[where]:g}",
                expected=expected,
                remedy=remedy,
            )

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        names, counts = np.unique(self.groups, return_counts=True)
        parts = [f"{n} {c}" for n, c in zip(names[:6], counts, strict=False)]
        parts += [f"{len(names) - 6} more"] if len(names) > 6 else []
        scale = "/".join(sorted(set(self.scales) - {""}))
        first, last = self.start.min().astype("datetime64[s]"), self.end.max().astype("datetime64[s]")
        return (
            f"Observations({len(self)} {self.species or 'values'} in {self.unit}{' on ' + scale if scale else ''}: "
            f"{', '.join(parts)}; {first} … {last} UTC)"
        )

    @property
    def sigma(self) -> np.ndarray:
        """(n,) √Σ σ² over the causes; NaN where a cause is not known."""
        return np.sqrt(sum((c.sigma**2 for c in self.components), np.zeros(len(self))))

    @property
    def middle(self) -> np.ndarray:
        """(n,) datetime64[ns] centres of the windows."""
        return self.start + (self.end - self.start) / 2

    @property
    def scale(self) -> str:
        """The one scale of all values.

        Raises:
            TanhengError: there are several.
        """
        names = sorted(set(self.scales))
        if len(names) > 1:
            counts = {name or "(unknown)": int((self.scales == name).sum()) for name in names}
            raise TanhengError(
                "observations are on different scales", got=", ".join(f"{k}: {v}" for k, v in counts.items()),
                expected="one scale", remedy="convert them first with inversion.observations.scales.convert",
            )  # fmt: skip
        return names[0]

    def component(self, cause: str) -> np.ndarray:
        """(n,) √Σ σ² over the components of one cause; zero where there is none."""
        return np.sqrt(sum((c.sigma**2 for c in self.components if c.cause == cause), np.zeros(len(self))))

    def replace(self, **changes) -> "Observations":
        """A changed copy."""
        return dataclasses.replace(self, **changes)

    def take(self, rows: np.ndarray, step: Step | None = None) -> "Observations":
        """Some of the rows, by index or mask, with a step for the record."""
        n, rows = len(self), np.asarray(rows)
        cut: dict = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray) and value.shape[:1] == (n,):
                cut[field.name] = value[rows]
        cut["components"] = tuple(c.take(rows) for c in self.components)
        cut["extra"] = {k: v[rows] for k, v in self.extra.items()}
        cut["vertical"] = None if self.vertical is None else self.vertical.take(rows)
        cut["steps"] = (*self.steps, step) if step else self.steps
        return self.replace(**cut)

    def drop(self, what: str, reasons: Mapping[str, np.ndarray]) -> "Observations":
        """Leave out the rows that a reason marks; a row counts under the first that does.

        Args:
            what: name of the step.
            reasons: reason to (n,) mask of rows to leave out.

        Raises:
            TanhengError: nothing is left.
        """
        keep, dropped = sift(reasons, len(self))
        return self.take(keep, Step(what, int(keep.sum()), dropped))

    def with_components(self, *components: Component) -> "Observations":
        """With further causes of error."""
        return self.replace(components=(*self.components, *components))


def sift(reasons: Mapping[str, np.ndarray], n: int) -> tuple[np.ndarray, tuple[tuple[str, int], ...]]:
    """Rows that no reason marks, and how many each reason was the first to mark.

    Args:
        reasons: reason to (n,) mask of rows to leave out.
        n: number of rows.
    """
    keep, dropped = np.ones(n, bool), []
    for reason, bad in reasons.items():
        dropped.append((reason, int(np.count_nonzero(keep & bad))))
        keep &= ~bad
    return keep, tuple((reason, count) for reason, count in dropped if count)


def join(parts: Sequence[Observations]) -> Observations:
    """Sets of one species and unit as one.

    Components of one cause that exist in some sets only are zero in the others; sources are listed once.

    Raises:
        TanhengError: nothing to join, or species or units that differ.
    """
    if not parts:
        raise TanhengError("there is nothing to join", got="no set", expected="at least one", remedy="read something")
    kinds_of = {(p.species, p.unit) for p in parts}
    if len(kinds_of) > 1:
        raise TanhengError(
            "sets of observations of different kind cannot be joined",
            got=", ".join(f"{s} in {u}" for s, u in sorted(kinds_of)), expected="one species in one unit",
            remedy="convert units first (inversion.observations.units.to_unit), and invert species separately",
        )  # fmt: skip
    if len(parts) == 1:
        return parts[0]
    _refuse_repeats(parts)
    sources = tuple(dict.fromkeys(s for p in parts for s in p.sources))
    lengths = [len(p) for p in parts]
    together: dict = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("values", "start", "end", "groups", "kinds", *_NUMBERS, *_WORDS)
    }
    for name, tail in (("ends", (3,)), ("corners", (4, 2))):
        given = [getattr(p, name) for p in parts]
        if any(g is not None for g in given):
            together[name] = np.concatenate(
                [np.full((m, *tail), np.nan) if g is None else g for g, m in zip(given, lengths, strict=True)]
            )
    if any(p.vertical is not None for p in parts):
        together["vertical"] = Vertical.join([p.vertical or Vertical.none(len(p)) for p in parts])
    extras = dict.fromkeys(k for p in parts for k in p.extra)
    together["extra"] = {k: np.concatenate([p.extra.get(k, np.full(len(p), np.nan)) for p in parts]) for k in extras}
    origin = []
    for p in parts:
        index = np.array([*(sources.index(s) for s in p.sources), -1])
        origin.append(index[p.origin])
    steps = (*(s for p in parts for s in p.steps), Step(f"join {len(parts)} sets", sum(lengths)))
    return dataclasses.replace(
        parts[0], **together, components=_join_components(parts), origin=np.concatenate(origin), sources=sources,
        steps=steps,
    )  # fmt: skip


def _refuse_repeats(parts: Sequence[Observations]) -> None:
    """Rows of one file that are in two sets."""
    seen: set[tuple] = set()
    for p in parts:
        hashes = np.array([*(s.sha256 for s in p.sources), ""])[p.origin]
        places = (np.nan_to_num(a, nan=np.inf) for a in (p.lon, p.lat, p.height))
        columns = (hashes, p.groups, p.start, p.end, p.values, *places, p.instruments)
        own = {row for row in zip(*(c.tolist() for c in columns), strict=True) if row[0]}
        again = seen & own
        if again:
            raise TanhengError(
                "values of one file are joined twice", got=f"{len(again)} values, first {min(map(str, again))[:120]}",
                expected="each value once", remedy="name every file once",
            )  # fmt: skip
        seen |= own


def _join_components(parts: Sequence[Observations]) -> tuple[Component, ...]:
    """The k-th component of a cause in each set becomes the k-th of the whole."""
    joined = []
    for cause in CAUSES:
        found = [[c for c in p.components if c.cause == cause] for p in parts]
        for k in range(max(map(len, found))):
            pieces = [
                own[k] if k < len(own) else Component.independent(cause, np.zeros(len(p)))
                for own, p in zip(found, parts, strict=True)
            ]
            joined.append(
                Component(cause, *(np.concatenate([getattr(q, a) for q in pieces]) for a in ("sigma", "groups")))
            )
    return tuple(joined)

"""Calibration scales: names, known conversions with their uncertainty, and the conversion of a set.

y = s x + o,  u²(y) = s² u²(x) + x² u²(s) + u²(o)

The errors of s and o are the same for all values that are converted with them: they become two components, so that the
offset cancels in a difference and the slope does not (JCGM 100:2008, F.1.2.3).
"""

import dataclasses
import math
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.record import Step
from inversion.observations.typed import build, entries
from inversion.observations.units import mole_fraction
from transport.errors import TanhengError

# Names in files, upper case without anything but letters and digits.
_ALIASES = {
    "WMO CO2 X2019": ("WMOCO2X2019", "WMOX2019", "CO2X2019", "X2019", "NOAAWMOX2019", "WMO2019"),
    "WMO CO2 X2007": ("WMOCO2X2007", "WMOX2007", "CO2X2007", "X2007", "NOAAWMOX2007", "WMO2007"),
    "WMO CH4 X2004A": ("WMOCH4X2004A", "WMOX2004A", "CH4X2004A", "X2004A", "NOAA2004ACH4", "NOAA2004A", "NOAA04A",
                       "NOAAX2004A", "NOAACH4X2004A", "WMO2004A"),
    "WMO CH4 X2004": ("WMOCH4X2004", "WMOX2004", "CH4X2004", "X2004", "NOAA2004CH4", "NOAA2004", "NOAA04", "NOAAX2004"),
    "TU-87": ("TU87", "TU1987", "TOHOKU87", "TOHOKU1987", "TOHOKU", "TOHOKUUNIVERSITY", "TU"),
    "CSIRO-94": ("CSIRO94", "CSIRO1994"),
    "CMDL83": ("CMDL83", "CMDL1983", "NOAACMDL83"),
    "NIES gravimetric": ("NIESGRAVIMETRIC", "NIES94", "NIESCH4"),
}  # fmt: skip
_NAME_OF = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}


def canonical(name: str) -> str:
    """The one spelling of a scale, e.g. "WMO CH4 X2004A" for "NOAA 2004A CH4".

    A name that is not in the table is returned without surplus blanks, so that scales of one's own keep theirs.
    """
    return _NAME_OF.get(re.sub(r"[^A-Z0-9]", "", name.upper()), " ".join(name.split()))


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A linear relation between two scales of one species, y = slope · x + offset; it serves both ways.

    Args:
        source, target: scales of x and y.
        species: e.g. "CO2".
        slope: s > 0.
        offset: o in `unit`.
        u_slope: standard uncertainty of s.
        u_offset: standard uncertainty of o in `unit`; taken as independent of that of s.
        unit: of offset and u_offset, e.g. "ppm".
        reference: where the numbers come from, and what kind of approximation they are.

    Raises:
        TanhengError: numbers that cannot be, an unknown unit, no reference, or one scale twice.
    """

    source: str
    target: str
    species: str
    slope: float
    offset: float
    u_slope: float
    u_offset: float
    unit: str
    reference: str

    def __post_init__(self):
        for name in ("source", "target"):
            object.__setattr__(self, name, canonical(getattr(self, name)))
        mole_fraction(self.unit, f"the conversion {self.name}")
        numbers = (self.slope, self.offset, self.u_slope, self.u_offset)
        good = all(map(math.isfinite, numbers)) and self.slope > 0.0 and min(self.u_slope, self.u_offset) >= 0.0
        words = all((self.source, self.target, self.species, self.reference.strip()))
        if not good or not words or self.source == self.target:
            raise TanhengError(
                "a conversion between scales cannot be", got=f"{self}",
                expected="two scales, a species, slope > 0, uncertainties ≥ 0, a reference",
                remedy="state numbers with their uncertainty and where they come from",
            )  # fmt: skip

    @property
    def name(self) -> str:
        """The group of its errors."""
        return f"{self.source} → {self.target}"


_GLOBALVIEW = "GLOBALVIEW-CH4, NOAA ESRL, table 1 of its page on methods"
KNOWN = (
    Conversion(
        "WMO CO2 X2007", "WMO CO2 X2019", "CO2", 1.00079, -0.142, 0.0, 0.03, "ppm",
        "linear approximation of Hall et al. 2021, doi 10.5194/amt-14-3015-2021 (+0.18 ppm at 400 ppm); "
        "u: 0.03 ppm, reproducibility of transfers on X2007 as the CCL states it; recalculated data are better",
    ),
    Conversion(
        "CMDL83", "WMO CH4 X2004", "CH4", 1.0124, 0.0, 0.0007, 0.0, "ppb",
        "Dlugokencky et al. 2005, doi 10.1029/2005JD006035: 1.0124 ± 0.0007",
    ),
    Conversion(
        "WMO CH4 X2004", "WMO CH4 X2004A", "CH4", 1.0, 0.0, 0.0, 0.6, "ppb",
        "the 16 primaries of X2004 are kept and 6 are added (CCL, 2015); u: our judgement, ±1 ppb rectangular",
    ),
    Conversion(
        "TU-87", "WMO CH4 X2004A", "CH4", 1.002, 0.0, 0.00098, 0.0, "ppb",
        "openghg_calscales (NOAA/AGAGE comparison, 2020); GLOBALVIEW-CH4 has 1.0003: u is the disagreement, "
        "±0.0017 rectangular",
    ),
    Conversion(
        "CSIRO-94", "TU-87", "CH4", 1.0119, 0.0, 0.00012, 0.0, "ppb",
        "Cunnold et al. 2002, doi 10.1029/2001JD001226; u: ±0.0002 rectangular, since 1.0119 × 1.0003 (GLOBALVIEW) "
        "is 1.0122 and CSIRO-94 follows CMDL83 at 1.0124",
    ),
    Conversion("NIES gravimetric", "WMO CH4 X2004", "CH4", 0.997, 0.0, 0.0001, 0.0, "ppb", f"{_GLOBALVIEW}"),
)  # fmt: skip
# What other sources say of pairs in KNOWN: give one to `convert` to use it instead.
ALTERNATIVES = (
    Conversion(
        "TU-87", "WMO CH4 X2004A", "CH4", 1.0003, 0.0, 0.00098, 0.0, "ppb",
        f"{_GLOBALVIEW} (against X2004); u is the disagreement with 1.002, ±0.0017 rectangular",
    ),
)  # fmt: skip


def conversions_from(source: object) -> tuple[Conversion, ...]:
    """Conversions of one's own, e.g. from a national primary scale.

    Args:
        source: a list of mappings of the fields of `Conversion`, or the path of a YAML file that holds one.

    Raises:
        TanhengError: a file that cannot be read, unknown or missing names, other types, impossible numbers.
    """
    found = entries(source, "conversions between scales")
    return tuple(build(Conversion, entry, f"conversion {i}") for i, entry in enumerate(found, 1))


def chain(
    source: str, target: str, species: str, conversions: Iterable[Conversion] = ()
) -> tuple[tuple[Conversion, bool], ...]:
    """The shortest way between two scales, each conversion with True where it is used forward.

    Args:
        source, target: names of scales, in any spelling.
        species: e.g. "CH4".
        conversions: further ones; they replace those of `KNOWN` for the same pair of scales.

    Raises:
        TanhengError: there is no way.
    """
    source, target = canonical(source), canonical(target)
    edges = {frozenset((c.source, c.target)): c for c in (*KNOWN, *conversions) if c.species == species}
    reached: dict[str, tuple[tuple[Conversion, bool], ...]] = {source: ()}
    waiting = deque([source])
    while waiting and target not in reached:
        here = waiting.popleft()
        for pair, conversion in edges.items():
            for there in pair - {here} if here in pair else ():
                if there not in reached:
                    reached[there] = (*reached[here], (conversion, conversion.source == here))
                    waiting.append(there)
    if target not in reached:
        names = sorted({name for pair in edges for name in pair})
        raise TanhengError(
            f"{species} cannot be converted from scale {source or '(unknown)'} to {target}",
            got=f"{source or 'no scale'} → {target}", expected=f"for {species}: {', '.join(names) or 'none known'}",
            remedy="state the scale of each value (Observations.replace(scales=…)), "
            "or give a Conversion with its uncertainty",
        )  # fmt: skip
    return reached[target]


def convert(
    observations: Observations, target: str, conversions: Iterable[Conversion] | str | Path = ()
) -> Observations:
    """All values on one scale.

    Columns keep their operator: y, y_a and x_a are converted alike, which for Σ h = 1 leaves y = y_a + Σ h a (x − x_a)
    true. Constraints are left as they are. Each conversion used adds a step, and shared components for its slope and
    its offset; errors that a value had before are multiplied by the slope.

    Args:
        observations: of one species, in a unit of mole fractions.
        target: scale, in any spelling.
        conversions: further ones, or the path of a YAML file; they replace known ones for the same pair.

    Raises:
        TanhengError: a value whose scale is not stated or not known; columns that are not mole fractions.
    """
    further = conversions_from(conversions) if isinstance(conversions, str | Path) else tuple(conversions)
    target = canonical(target)
    o = observations
    taken = [s.what for s in o.steps if s.what in ("background subtracted", "differential columns")]
    if taken:
        raise TanhengError(
            "differences have no scale of their own to be converted from", got=f"a set after: {taken[0]}",
            expected="mole fractions", remedy="convert before differences are taken",
        )  # fmt: skip
    stated = np.array([canonical(name) for name in o.scales])
    measured = o.kinds != "constraint"
    state = _State(o, mole_fraction(o.unit, "a set of observations"))
    for source in np.unique(stated[measured]):
        rows = measured & (stated == source)
        for conversion, forward in chain(str(source), target, o.species, further) if source != target else ():
            state.through(conversion, forward, rows)
    return o.replace(
        values=state.values, vertical=state.vertical, scales=np.where(measured, target, stated),
        components=(*(c.scaled(state.slope) for c in o.components), *state.components()),
        steps=(*o.steps, *state.steps) if state.steps else (*o.steps, Step(f"scale: all on {target} already", len(o))),
    )  # fmt: skip


class _State:
    """Values on their way, with the accumulated slope and the errors of each conversion so far."""

    def __init__(self, observations: Observations, unit: float):
        self.values, self.vertical = observations.values.copy(), observations.vertical
        self.slope, self.unit, self.steps = np.ones(len(observations)), unit, []
        self.errors: dict[str, np.ndarray] = {}
        if self.vertical is not None and (np.nansum(self.vertical.weights, axis=1) > 2.0).any():
            raise TanhengError(
                "columns with weights that do not sum to one cannot change their scale",
                got=f"Σ h up to {np.nansum(self.vertical.weights, axis=1).max():g}", expected="column means",
                remedy="divide by the dry air of the column when it is read",
            )  # fmt: skip

    def through(self, c: Conversion, forward: bool, rows: np.ndarray) -> None:
        """Take some rows through one conversion."""
        offset, u_offset = (x * mole_fraction(c.unit, c.name) / self.unit for x in (c.offset, c.u_offset))
        # ∂y/∂s = x, the value on the conversion's source scale; on the way back ∂x/∂s = −x/s.
        if forward:
            s, o, by_slope, by_offset = c.slope, offset, self.values[rows], 1.0
        else:
            s, o, by_offset = 1.0 / c.slope, -offset / c.slope, 1.0 / c.slope
            by_slope = (s * self.values[rows] + o) / c.slope
        self.values[rows] = s * self.values[rows] + o
        self.slope[rows] *= s
        for sigma in self.errors.values():
            sigma[rows] *= s
        new = {f"{c.name}, slope": np.abs(by_slope) * c.u_slope, f"{c.name}, offset": by_offset * u_offset}
        for name, sigma in new.items():
            self.errors.setdefault(name, np.zeros(rows.size))[rows] = sigma
        if self.vertical is not None:
            v = self.vertical
            self.vertical = dataclasses.replace(
                v, prior=np.where(rows[:, None], s * v.prior + o, v.prior),
                prior_value=np.where(rows, s * v.prior_value + o, v.prior_value),
            )  # fmt: skip
        what = f"scale {c.name}" if forward else f"scale {c.target} → {c.source}"
        self.steps.append(Step(
            f"{what}: {int(rows.sum())} values, y = {s:.8g} x {o:+.6g}; u(slope) {c.u_slope:g}, u(offset) "
            f"{c.u_offset:g} {c.unit}; {c.reference}", rows.size,
        ))  # fmt: skip

    def components(self) -> list[Component]:
        """One shared error per slope and per offset that is not known exactly."""
        return [
            Component.shared("scale conversion", sigma, np.where(sigma > 0.0, name, ""))
            for name, sigma in self.errors.items() if sigma.any()
        ]  # fmt: skip

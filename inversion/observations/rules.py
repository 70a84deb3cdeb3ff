"""Rules of the model-data mismatch: which error is added, replaced, inflated or floored, for which values.

For example, in YAML:

    - {action: add, cause: transport, value: 3.0, unit: ppm, hours: [18, 9], kinds: [tower], shared: group and day}
    - {action: add, cause: transport, value: 1.5, unit: ppm, hours: [9, 18], kinds: [tower], shared: group and day}
    - {action: inflate, cause: retrieval noise, value: 2.0, kinds: [column]}
    - {action: add, cause: retrieval bias, value: 0.5, unit: ppm, kinds: [column], shared: group}
"""

import dataclasses
import fnmatch
import math
from collections.abc import Iterable

import numpy as np

from inversion.observations.component import CAUSES, Component
from inversion.observations.observations import KINDS, Observations
from inversion.observations.record import Step
from inversion.observations.selection import in_hours, local_hour, local_time
from inversion.observations.typed import build, entries
from inversion.observations.units import COLUMN_AMOUNT, mole_fraction
from transport.errors import TanhengError

ACTIONS = ("add", "replace", "inflate", "floor")
SHARED = ("row", "group", "day", "group and day", "set")


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        action: "add" σ in squares to what is there, "replace" the cause, "inflate" its σ by a factor, or raise it to a
            "floor" (also where the source states none).
        cause: one of `CAUSES`.
        value: σ in `unit`, or the factor.
        unit: of mole fractions, e.g. "ppm"; "" for a factor.
        sites: patterns of groups (* any characters); () for all.
        kinds: of observations; () for all.
        hours: local hours first ≤ h < last, across midnight where first > last; None for all.
        utc_offset: h of the local time; None: solar time by longitude.
        shared: whose error it is: each "row", all rows of a "group", of a local "day", of a "group and day" (an error
            of transport that lasts a day), or of the "set"; of inflation it stays what it was.

    Raises:
        TanhengError: words that are not allowed, a value or unit that cannot be.
    """

    action: str
    cause: str
    value: float
    unit: str = ""
    sites: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    hours: tuple[float, float] | None = None
    utc_offset: float | None = None
    shared: str = "row"

    def __post_init__(self):
        words = [("action", [self.action], ACTIONS), ("cause", [self.cause], CAUSES), ("shared", [self.shared], SHARED),
                 ("kinds", self.kinds, KINDS)]  # fmt: skip
        for name, got, allowed in words:
            wrong = [word for word in got if word not in allowed]
            if wrong:
                raise TanhengError(f"a rule of the mismatch has an unknown word for {name}", got=", ".join(wrong),
                                   expected=", ".join(allowed), remedy="use one of these words")  # fmt: skip
        factor = self.action == "inflate"
        if not math.isfinite(self.value) or self.value < 0.0 or (factor and self.value == 0.0):
            raise TanhengError("a rule of the mismatch has an impossible value", got=self.value,
                               expected="a factor > 0" if factor else "σ ≥ 0", remedy="correct it")  # fmt: skip
        if factor and self.unit:
            raise TanhengError("a factor has no unit", got=self.unit, expected="no unit", remedy="leave it out")
        if not factor and self.unit != COLUMN_AMOUNT:
            mole_fraction(self.unit, f"σ of {self.cause} in a rule")
        if self.hours is not None:
            in_hours(np.zeros(1), *self.hours)

    def __str__(self) -> str:
        parts = [
            f"{self.action} {self.cause} {'×' if self.action == 'inflate' else ''}{self.value:g} {self.unit}".strip()
        ]
        parts += [f"hours {self.hours[0]:g}–{self.hours[1]:g}"] if self.hours else []
        parts += [", ".join(names) for names in (self.sites, self.kinds) if names]
        parts += [] if self.shared == "row" else [f"shared by {self.shared}"]
        return "; ".join(parts)

    def rows(self, observations: Observations) -> np.ndarray:
        """(n,) True where it applies.

        Raises:
            TanhengError: a pattern of sites that no group matches.
        """
        good = np.ones(len(observations), bool)
        if self.sites:
            held = np.unique(observations.groups).tolist()
            lost = [p for p in self.sites if not fnmatch.filter(held, p)]
            if lost:
                raise TanhengError("a rule of the mismatch names a site that is not there", got=", ".join(lost),
                                   expected=", ".join(held[:40]), remedy="correct the name or pattern")  # fmt: skip
            matched = [g for g in held if any(fnmatch.fnmatchcase(g, p) for p in self.sites)]
            good &= np.isin(observations.groups, matched)
        if self.kinds:
            good &= np.isin(observations.kinds, self.kinds)
        if self.hours is not None and good.any():
            inside = np.flatnonzero(good)
            hour = local_hour(observations.take(inside), self.utc_offset)
            good[inside] = in_hours(hour, *self.hours)
        return good


def rules_from(source: object) -> tuple[Rule, ...]:
    """Rules from a list of mappings of the fields of `Rule`, or from the path of a YAML file that holds one.

    Raises:
        TanhengError: a file that cannot be read, unknown or missing names, other types, impossible values.
    """
    found = entries(source, "rules of the mismatch")
    return tuple(build(Rule, entry, f"rule {i} of the mismatch") for i, entry in enumerate(found, 1))


def apply(observations: Observations, rules: Iterable[Rule]) -> Observations:
    """The set with its errors after each rule, in order; each adds a step that says how many values it met.

    Raises:
        TanhengError: sites that are not there; nothing to inflate; a local time without longitude.
    """
    for rule in rules:
        rows = rule.rows(observations)
        changed = _ACT[rule.action](observations, rule, rows)
        step = Step(f"mismatch: {rule} ({int(rows.sum())} values)", len(observations))
        observations = observations.replace(components=changed, steps=(*observations.steps, step))
    return observations


def _component(o: Observations, rule: Rule, sigma: np.ndarray) -> tuple[Component, ...]:
    """σ (n,) as a component shared as the rule says; rows without it belong to nobody."""
    if not (sigma > 0.0).any():
        return ()
    if rule.shared == "row":
        return (Component.independent(rule.cause, sigma),)
    rows = np.flatnonzero(sigma > 0.0)
    part = o.take(rows)
    days = lambda: local_time(part, rule.utc_offset).astype("datetime64[D]").astype(str)  # noqa: E731
    names = {
        "group": lambda: part.groups, "set": lambda: np.full(rows.size, "set"), "day": days,
        "group and day": lambda: np.array([f"{g} {d}" for g, d in zip(part.groups, days(), strict=True)]),
    }[rule.shared]()  # fmt: skip
    groups = np.full(len(o), "", dtype=names.dtype)
    groups[rows] = names
    if rule.hours is not None:  # the error of another part of the day is another error
        names = np.char.add(names.astype(str), f" {rule.hours[0]:g}…{rule.hours[1]:g} h")
        groups = np.full(len(o), "", dtype=names.dtype)
        groups[rows] = names
    return (Component(rule.cause, sigma, groups),)


def _value(o: Observations, rule: Rule) -> float:
    if rule.unit == o.unit:
        return rule.value
    return rule.value * mole_fraction(rule.unit, "a rule") / mole_fraction(o.unit, "a set of observations")


def _add(o: Observations, rule: Rule, rows: np.ndarray) -> tuple[Component, ...]:
    return (*o.components, *_component(o, rule, np.where(rows, _value(o, rule), 0.0)))


def _replace(o: Observations, rule: Rule, rows: np.ndarray) -> tuple[Component, ...]:
    kept = _without(o, rule, rows)
    return (*kept, *_component(o, rule, np.where(rows, _value(o, rule), 0.0)))


def _without(o: Observations, rule: Rule, rows: np.ndarray) -> list[Component]:
    """The components with σ = 0 for the cause of the rule in these rows."""
    changed = [
        Component(c.cause, np.where(rows, 0.0, c.sigma), np.where(rows, "", c.groups)) if c.cause == rule.cause else c
        for c in o.components
    ]
    return [c for c in changed if c.cause != rule.cause or (c.sigma != 0.0).any()]


def _inflate(o: Observations, rule: Rule, rows: np.ndarray) -> tuple[Component, ...]:
    if not any(c.cause == rule.cause for c in o.components):
        raise TanhengError(
            f"there is no {rule.cause} to inflate", got=", ".join(c.cause for c in o.components) or "no cause",
            expected=rule.cause, remedy="add it, or correct the cause",
        )  # fmt: skip
    factor = np.where(rows, rule.value, 1.0)
    return tuple(c.scaled(factor) if c.cause == rule.cause else c for c in o.components)


def _floor(o: Observations, rule: Rule, rows: np.ndarray) -> tuple[Component, ...]:
    """σ² becomes max(σ², floor²): the difference is added; what is not stated becomes the floor."""
    stated = tuple(
        Component(c.cause, np.where(rows & np.isnan(c.sigma), 0.0, c.sigma), c.groups) if c.cause == rule.cause else c
        for c in o.components
    )
    now = o.replace(components=stated).component(rule.cause)
    with np.errstate(invalid="ignore"):
        lack = np.where(rows, np.sqrt(np.maximum(_value(o, rule) ** 2 - now**2, 0.0)), 0.0)
    return (*stated, *_component(o, rule, lack))


_ACT = {"add": _add, "replace": _replace, "inflate": _inflate, "floor": _floor}

"""Bottom-up account: activity × factor per sector and facility, with IPCC approaches 1 and 2.

E = Σ_i s_i A_i F_i, s = −1 for captured mass. Lines that share an activity or a factor group share its error.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from inversion.budget import (
    P_K2,
    Budget,
    Distribution,
    Estimate,
    Inputs,
    Measurand,
    Model,
    Quantity,
    Validation,
    monte_carlo,
    propagate,
    validate,
)
from inversion.budget.quantity import NORMAL_95, is_number
from inversion.observations.typed import build, entries
from priors.ipcc import DISTRIBUTIONS, percent_of_interval, standard_uncertainty
from transport.errors import TanhengError

MASSES = {"kg": 1.0, "t": 1e3, "kt": 1e6, "Mt": 1e9}
STREAMS = {"emission": 1.0, "captured": -1.0}


@dataclasses.dataclass(frozen=True)
class Line:
    """One activity of one facility, over the period of the account.

    Args:
        facility, sector: whose it is; a pair occurs once.
        activity: A ≥ 0, in activity_unit over the whole period.
        activity_unit: e.g. "TJ".
        activity_percent: U% of A.
        factor: F ≥ 0, in factor_unit.
        factor_unit: mass per activity_unit, e.g. "t/TJ".
        factor_percent: U% of F.
        reference: where activity and factor come from.
        activity_distribution, factor_distribution: see `priors.ipcc.DISTRIBUTIONS`.
        activity_group, factor_group: lines of one group share the relative error.
        stream: "emission", or "captured" for mass that does not leave.
        scope: "direct", or "indirect" for electricity and heat made elsewhere.

    Raises:
        TanhengError: a unit, distribution, stream or scope that is not known, values below zero.
    """

    facility: str
    sector: str
    activity: float
    activity_unit: str
    activity_percent: float
    factor: float
    factor_unit: str
    factor_percent: float
    reference: str
    activity_distribution: str = "normal"
    factor_distribution: str = "normal"
    activity_group: str = ""
    factor_group: str = ""
    stream: str = "emission"
    scope: str = "direct"

    def __post_init__(self):
        mass, _, per = self.factor_unit.partition("/")
        kinds = (self.activity_distribution, self.factor_distribution)
        rules = {
            "facility, sector and reference, without blanks at their ends": all(
                t and t == t.strip() for t in (self.facility, self.sector, self.reference)),
            f"factor in one of {', '.join(MASSES)} per {self.activity_unit}": mass in MASSES
            and per == self.activity_unit != "",
            "numbers, activity > 0 and factor > 0": all(map(is_number, (self.activity, self.factor)))
            and 0 < self.activity < np.inf and 0 < self.factor < np.inf,
            f"distributions among {', '.join(DISTRIBUTIONS)}": set(kinds) <= set(DISTRIBUTIONS),
            "stream emission or captured": self.stream in STREAMS,
            "scope direct or indirect": self.scope in ("direct", "indirect"),
        }  # fmt: skip
        for rule, holds in rules.items():
            if not holds:
                raise TanhengError(
                    f"the line {self.facility}, {self.sector} cannot be used", got=repr(self)[:400], expected=rule,
                    remedy="correct this line of the account; leave lines of zero out; in YAML write 1.0e+3, as "
                    "1e3 is text there",
                )  # fmt: skip
        for x, percent, kind in ((self.activity, self.activity_percent, kinds[0]),
                                 (self.factor, self.factor_percent, kinds[1])):  # fmt: skip
            standard_uncertainty(x, percent, kind)

    @property
    def kilograms(self) -> float:
        """E_i over the period, kg, signed."""
        return self._unit * self.activity * self.factor

    @property
    def _unit(self) -> float:
        return STREAMS[self.stream] * MASSES[self.factor_unit.partition("/")[0]]


@dataclasses.dataclass(frozen=True)
class Summed:
    """A sum of lines in the words of approach 1: kg over the period and U% (half of the 95 % interval)."""

    kilograms: float
    percent: float

    @property
    def u(self) -> float:
        """Standard uncertainty, kg."""
        return abs(self.kilograms) * self.percent / 100.0 / NORMAL_95

    @property
    def expanded_k2(self) -> float:
        """U with k = 2, kg."""
        return 2.0 * self.u


@dataclasses.dataclass(frozen=True)
class Account:
    """Lines of one measurand.

    Args:
        measurand: what they add up to; its sectors are those of the lines.
        lines: facilities and sectors.

    Raises:
        TanhengError: a pair of facility and sector twice, sectors that are not those of the measurand, direct and
            indirect lines together, a sum whose sign the measurand's kind does not have.
    """

    measurand: Measurand
    lines: tuple[Line, ...]

    def __post_init__(self):
        object.__setattr__(self, "lines", tuple(self.lines))
        pairs, sectors = [(x.facility, x.sector) for x in self.lines], {x.sector for x in self.lines}
        wanted = "indirect" if self.measurand.kind == "indirect" else "direct"
        rules = {
            "each facility and sector once, at least one": len(set(pairs)) == len(pairs) > 0,
            f"the sectors of the measurand: {', '.join(sorted(self.measurand.sectors)) or 'all'}":
                not self.measurand.sectors or sectors == self.measurand.sectors,
            f"{wanted} lines only, for {self.measurand.kind}": {x.scope for x in self.lines} == {wanted},
            "a sum ≥ 0 for emission and ≤ 0 for uptake; where capture may exceed emission the kind is net":
                {"emission": self.total() >= 0.0, "uptake": self.total() <= 0.0}.get(self.measurand.kind, True),
        }  # fmt: skip
        for rule, holds in rules.items():
            if not holds:
                raise TanhengError("these lines are no account of the measurand", got=f"{len(pairs)} lines of "
                                   f"{', '.join(sorted(sectors))}", expected=rule,
                                   remedy="merge, add or leave out lines, or change the measurand")  # fmt: skip

    @classmethod
    def read(cls, path: str | Path, measurand: Measurand) -> "Account":
        """Lines from a YAML list of the fields of `Line`.

        Raises:
            TanhengError: not such a list, or lines that are no account of the measurand.
        """
        return cls(measurand, tuple(build(Line, e, f"line {i + 1}") for i, e in enumerate(entries(path, "lines"))))

    def inputs(self) -> tuple[Model, Inputs]:
        """Measurement model (kg over the period) and its input quantities, A_i and F_i of each line."""
        quantities, units = [], []
        for i, x in enumerate(self.lines):
            units.append(x._unit)
            for name, unit, value, percent, kind, group in (
                ("A", x.activity_unit, x.activity, x.activity_percent, x.activity_distribution, x.activity_group),
                ("F", x.factor_unit, x.factor, x.factor_percent, x.factor_distribution, x.factor_group),
            ):
                u = standard_uncertainty(value, percent, kind)
                quantities.append(Quantity(f"{name}{i} {x.facility}, {x.sector}", value, u, unit, kind,
                                           group=f"{name} {group}" if group else "", evidence=x.reference))  # fmt: skip
        names = [q.name for q in quantities]

        def model(v):
            return jnp.asarray(sum(c * v[a] * v[f] for c, a, f in zip(units, names[::2], names[1::2], strict=True)))

        return model, Inputs(tuple(quantities))

    def total(self) -> float:
        """kg over the period."""
        return float(sum(x.kilograms for x in self.lines))

    def approach_1(self, sectors: Iterable[str] = ()) -> Summed:
        """Error propagation: product rule U² = U_A² + U_F², sum rule U = √Σ (U_i E_i)²/|Σ E_i|.

        Lines that share a factor (or an activity) are first added up: (Σ E_i U_F,i)² in place of Σ (E_i U_F,i)².

        Args:
            sectors: that are added up; none: all.

        Raises:
            TanhengError: no such sector, or a sum of zero.

        Reference: IPCC 2006 Guidelines, vol. 1, ch. 3, eq. 3.1 and 3.2.
        """
        wanted = set(sectors)
        chosen = [x for x in self.lines if not wanted or x.sector in wanted]
        E = sum(x.kilograms for x in chosen)
        if not chosen or wanted - {x.sector for x in chosen} or E == 0.0:
            raise TanhengError("these sectors have no sum with an uncertainty", got=", ".join(sorted(wanted)) or "all",
                               expected=", ".join(sorted({x.sector for x in self.lines})),
                               remedy="name sectors of the account")  # fmt: skip
        errors: dict[tuple[str, str], float] = {}
        for i, x in enumerate(chosen):
            for kind, group, percent in (("A", x.activity_group, x.activity_percent),
                                         ("F", x.factor_group, x.factor_percent)):  # fmt: skip
                key = kind, group or f" {i}"
                errors[key] = errors.get(key, 0.0) + x.kilograms * percent
        return Summed(float(E), float(np.sqrt(sum(e**2 for e in errors.values())) / abs(E)))

    def by_sector(self) -> dict[str, Summed]:
        """Approach 1 of each sector."""
        return {s: self.approach_1([s]) for s in dict.fromkeys(x.sector for x in self.lines)}

    def approach_2(self, seed: int, digits: int = 1) -> Distribution:
        """Monte Carlo of the total, kg; its symmetric 95 % interval is the IPCC's.

        Reference: IPCC 2006 Guidelines, vol. 1, ch. 3, §3.2.3.2; JCGM 101:2008, §7.9.
        """
        model, inputs = self.inputs()
        return monte_carlo(model, inputs, seed=seed, digits=digits)

    def budget(self) -> Budget:
        """Linear law of the total, kg."""
        model, inputs = self.inputs()
        return propagate(model, inputs, f"{self.measurand.gas} of {self.measurand.area}", "kg")

    def validated(self, seed: int, digits: int = 1, p: float = 0.95) -> Validation:
        """Whether approach 1 may stand beside approach 2 (JCGM 101:2008, §8.1).

        One digit of u is meaningful where factors are judged by experts; two hold the linear law to half a per cent of
        u, which products of inputs with more than about 5 % do not reach.
        """
        model, inputs = self.inputs()
        name = f"{self.measurand.gas} of {self.measurand.area}"
        return validate(model, inputs, seed=seed, p=p, digits=digits, name=name, unit="kg")

    def estimate(self, seed: int, digits: int = 1) -> Estimate:
        """Mean rate over the period, kg s-1: linear where that is valid, else of the draws with their interval."""
        stated = self.validated(seed, digits, P_K2).statement()
        seconds = float((self.measurand.end - self.measurand.start) / np.timedelta64(1, "s"))
        interval = (stated.low / seconds, stated.high / seconds) if stated.method == "JCGM 101" else None
        return Estimate(self.measurand, stated.y / seconds, stated.u / seconds, f"account, {stated.method}",
                        interval=interval)  # fmt: skip


def percent_of_draws(draws: Distribution) -> float:
    """U% of approach 2."""
    return percent_of_interval(draws.y, *draws.symmetric)

"""Input quantities of a measurement: what is known of each, and which of them share an error."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from transport.errors import TanhengError

# Half-width of each bounded distribution over its standard deviation.
WIDTHS = {"rectangular": 3.0**0.5, "triangular": 6.0**0.5, "arcsine": 2.0**0.5}
DISTRIBUTIONS = ("normal", "t", "lognormal", *WIDTHS)
NORMAL_95 = 1.959963984540054  # 97.5 % point of the standard normal distribution

Values = Mapping[str, Any]  # of scalars, floats or traced
Model = Callable[[Values], jax.Array]


def is_number(value: object) -> bool:
    """True for a real number, of Python or NumPy; not for text, nothing, or true and false."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One input of a measurement model.

    Args:
        name: its symbol; the model finds it by this name.
        value: estimate x.
        u: standard uncertainty ≥ 0, in the unit of x.
        unit: of x.
        distribution: one of `DISTRIBUTIONS`. "t" is the mean of repeated observations (type A): scaled and shifted by
            its degrees of freedom. "lognormal" has mean x and standard deviation u.
        dof: degrees of freedom ν of u; finite for "t", infinite for "normal" and "lognormal".
        group: inputs of the same group share one error, r = +1; "": an error of its own.
        evidence: file, certificate or clause.

    Raises:
        TanhengError: numbers that are not finite, u < 0, ν < 1, a distribution that cannot have them.

    Reference: JCGM 100:2008, §4.2, §4.3 and §G.4.2 (ν of a type B evaluation); JCGM 101:2008, table 1.
    """

    name: str
    value: float
    u: float
    unit: str = "1"
    distribution: str = "normal"
    dof: float = np.inf
    group: str = ""
    evidence: str = ""

    def __post_init__(self):
        finite = all(map(is_number, (self.value, self.u, self.dof))) and bool(
            np.isfinite(self.value) and np.isfinite(self.u) and self.u >= 0 and self.dof >= 1)  # fmt: skip
        rules = {
            "a name": bool(self.name),
            "finite value, u ≥ 0, dof ≥ 1": finite,
            f"a distribution among {', '.join(DISTRIBUTIONS)}": self.distribution in DISTRIBUTIONS,
            "dof: finite for t, infinite for normal and lognormal": not finite or {"t": np.isfinite(self.dof)}.get(
                self.distribution, self.distribution in WIDTHS or np.isinf(self.dof)),
            "a positive value for lognormal": self.distribution != "lognormal" or not finite or self.value > 0,
        }  # fmt: skip
        for rule, holds in rules.items():
            if not holds:
                raise TanhengError(
                    f"the quantity {self.name!r} cannot be used",
                    got=f"value {self.value}, u {self.u}, dof {self.dof}, {self.distribution}", expected=rule,
                    remedy="state what is known: a type A mean is t with n−1, a type B normal has no dof",
                )  # fmt: skip

    @classmethod
    def within(
        cls, name: str, value: float, half_width: float, distribution: str = "rectangular", **rest
    ) -> "Quantity":
        """Known limits x ± a: u = a/√3 (rectangular), a/√6 (triangular), a/√2 (arcsine)."""
        if distribution not in WIDTHS:
            raise TanhengError("only bounded distributions have limits", got=distribution, expected=", ".join(WIDTHS),
                               remedy="choose one of these, or give u")  # fmt: skip
        return cls(name, value, half_width / WIDTHS[distribution], distribution=distribution, **rest)

    @classmethod
    def expanded(cls, name: str, value: float, U: float, k: float = 2.0, **rest) -> "Quantity":
        """As certificates state it, x ± U with coverage factor k: u = U/k.

        Raises:
            TanhengError: U < 0 or k ≤ 0.
        """
        if not (U >= 0.0 and k > 0.0):
            raise TanhengError(f"the expanded uncertainty of {name} cannot be used", got=f"U {U}, k {k}",
                               expected="U ≥ 0 and k > 0", remedy="state what the certificate says")  # fmt: skip
        return cls(name, value, U / k, **rest)

    @classmethod
    def repeated(cls, name: str, observations: Sequence[float], autocorrelation: float = 0.0, **rest) -> "Quantity":
        """Mean of n observations: u = s/√n_eff, ν = n_eff − 1, n_eff = n (1 − ρ)/(1 + ρ) of a first-order process.

        Raises:
            TanhengError: fewer than two effective observations, or ρ outside 0…1; a negative ρ would make more
                independent values of them than there are.
        """
        values, rho = np.asarray(observations, float), autocorrelation
        n = values.size * (1.0 - rho) / (1.0 + rho) if 0.0 <= rho < 1.0 and values.ndim == 1 else 0.0
        if not n >= 2.0:
            raise TanhengError(
                f"the observations of {name} are too few", got=f"shape {values.shape}, ρ {rho}: {n:.3g} independent",
                expected="at least 2 independent ones in a row, 0 ≤ ρ < 1",
                remedy="observe longer, or state a type B uncertainty",
            )  # fmt: skip
        u = float(values.std(ddof=1) / np.sqrt(n))
        return cls(name, float(values.mean()), u, distribution="t", dof=float(n - 1.0), **rest)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """All inputs of one model.

    Args:
        quantities: names differ.
        correlations: (name, name, r) of joint normal inputs, beyond what groups say.

    Raises:
        TanhengError: repeated or unknown names, a group of unlike distributions or degrees of freedom, a correlation of
            inputs that are not normal (JCGM 101, §6.4.8 knows none), or correlations that contradict each other.
    """

    quantities: tuple[Quantity, ...]
    correlations: tuple[tuple[str, str, float], ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "quantities", tuple(self.quantities))
        names = self.names
        if len(set(names)) != len(names) or not names:
            raise TanhengError("inputs need names that differ", got=", ".join(names) or "no input",
                               expected="each once", remedy="rename them")  # fmt: skip
        for group in {q.group for q in self.quantities} - {""}:
            kinds = {(q.distribution, q.dof) for q in self.quantities if q.group == group}
            if len(kinds) > 1:
                raise TanhengError(
                    f"inputs of group {group} cannot share one error",
                    got="; ".join(f"{d}, dof {v:g}" for d, v in sorted(kinds)),
                    expected="one distribution and one dof", remedy="make the shared error an input of its own",
                )  # fmt: skip
        by_name = {q.name: q for q in self.quantities}
        repeated = len({frozenset(c[:2]) for c in self.correlations}) < len(self.correlations)
        for a, b, r in self.correlations:
            pair = [by_name.get(a), by_name.get(b)]
            usable = a != b and abs(r) <= 1.0 and all(q is not None and not q.group for q in pair)
            if repeated or not usable or any(q is not None and q.distribution not in ("normal", "t") for q in pair):
                raise TanhengError(
                    "this correlation cannot be used", got=f"r({a}, {b}) = {r}",
                    expected="each pair once: two inputs without a group, normal (or t, in the linear law only), "
                    "|r| ≤ 1",
                    remedy="use a group for a fully shared error, or split the common cause into an input of its own",
                )  # fmt: skip
        lowest = float(np.linalg.eigvalsh(self.correlation)[0])
        if lowest < -1e-9:
            raise TanhengError("the correlations contradict each other", got=f"smallest eigenvalue {lowest:.3g}",
                               expected="≥ 0", remedy="correct the coefficients")  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(q.name for q in self.quantities)

    @property
    def values(self) -> dict[str, float]:
        """Estimates by name."""
        return {q.name: float(q.value) for q in self.quantities}

    @property
    def u(self) -> np.ndarray:
        """(n,) standard uncertainties."""
        return np.array([q.u for q in self.quantities])

    @property
    def correlation(self) -> np.ndarray:
        """(n, n) matrix r."""
        groups = np.array([q.group for q in self.quantities])
        r = ((groups[:, None] == groups) & (groups != "")).astype(float)
        np.fill_diagonal(r, 1.0)
        place = {name: i for i, name in enumerate(self.names)}
        for a, b, value in self.correlations:
            r[place[a], place[b]] = r[place[b], place[a]] = value
        return r

    @property
    def covariance(self) -> np.ndarray:
        """(n, n) V = diag(u) r diag(u)."""
        return self.u[:, None] * self.correlation * self.u

"""The law of propagation of uncertainty (GUM): u² = cᵀ V c, its degrees of freedom, and the budget that shows it."""

import dataclasses

import jax
import numpy as np
from scipy.stats import chi2
from scipy.stats import t as student

from inversion.budget.model import checked, refuse_blind
from inversion.budget.quantity import Inputs, Model
from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True)
class Row:
    """One input in a budget: sensitivity c = ∂f/∂x, contribution c u, and its signed share of u_c² in %.

    share = 100 c_i u_i Σ_j r_ij c_j u_j / u_c²: half of each covariance belongs to either input, so that the shares of
    all rows sum to 100 %; a share may be negative.
    """

    name: str
    value: float
    unit: str
    u: float
    distribution: str
    dof: float
    group: str
    sensitivity: float
    contribution: float
    share: float
    evidence: str


@dataclasses.dataclass(frozen=True)
class Budget:
    """Result of the linear law.

    Args:
        name: of the measurand.
        unit: of the result.
        y: estimate f(x).
        u: combined standard uncertainty u_c.
        dof: effective degrees of freedom; NaN where Welch–Satterthwaite does not hold.
        rows: of the inputs.
        pairs: (name, name, r, share in %) of every covariance 2 c_i c_j u_i u_j r_ij, for information.
    """

    name: str
    unit: str
    y: float
    u: float
    dof: float
    rows: tuple[Row, ...]
    pairs: tuple[tuple[str, str, float, float], ...]

    def k(self, p: float = 0.95) -> float:
        """Coverage factor, the (1+p)/2 point of Student's t with ν_eff.

        Raises:
            TanhengError: ν_eff is not defined.
        """
        return coverage_factor(self.dof, p)

    def expanded(self, p: float = 0.95) -> float:
        """U = k u_c."""
        return self.k(p) * self.u

    def records(self) -> list[dict]:
        """One dictionary per row, ready for a table."""
        return [dataclasses.asdict(row) for row in self.rows]

    def __str__(self) -> str:
        lines = [f"{'input':<24}{'value':>12} {'u':>10} {'dof':>6} {'c·u':>11} {'share %':>8}"]
        lines += [f"{r.name:<24}{r.value:>12.6g} {r.u:>10.3g} {r.dof:>6.3g} {r.contribution:>11.4g} {r.share:>8.2f}"
                  for r in self.rows]  # fmt: skip
        end = f"ν_eff = {self.dof:.3g}" + ("" if np.isnan(self.dof) else f", U = {self.expanded():.4g} (k = "
                                           f"{self.k():.2f}, p = 95 %)")  # fmt: skip
        return "\n".join([*lines, f"{self.name} = {self.y:.6g} {self.unit}, u = {self.u:.4g}, {end}"])


def coverage_factor(dof: float, p: float = 0.95) -> float:
    """k of a two-sided interval of probability p.

    Raises:
        TanhengError: no degrees of freedom, or p outside (0, 1).
    """
    if not dof >= 1 or not 0.0 < p < 1.0:
        raise TanhengError(
            "there is no coverage factor", got=f"ν_eff {dof}, p {p}", expected="ν_eff ≥ 1 and 0 < p < 1",
            remedy="partly correlated inputs of finite dof need JCGM 101: use monte_carlo",
        )  # fmt: skip
    return float(student.ppf(0.5 * (1.0 + p), dof))


def ellipsoid_factor(outputs: int, p: float = 0.95) -> float:
    """k_p of the coverage ellipsoid (η−y)ᵀ U⁻¹ (η−y) = k_p² of a joint normal result: √χ²_m(p).

    Raises:
        TanhengError: no output, or p outside (0, 1).

    Reference: JCGM 102:2011, §6.5.2.
    """
    _check_region(outputs, p)
    return float(np.sqrt(chi2.ppf(p, outputs)))


def simultaneous_factor(outputs: int, p: float = 0.95) -> float:
    """k of m intervals y_j ± k u_j that hold together with at least p (Bonferroni): the (1+q)/2 point of the normal.

    q = 1 − (1−p)/m

    Raises:
        TanhengError: no output, or p outside (0, 1).

    Reference: JCGM 102:2011, §6.5 (hyper-rectangular region).
    """
    _check_region(outputs, p)
    return coverage_factor(np.inf, 1.0 - (1.0 - p) / outputs)


def _check_region(outputs: int, p: float) -> None:
    if not (outputs >= 1 and 0.0 < p < 1.0):
        raise TanhengError("there is no coverage region", got=f"{outputs} outputs, p {p}",
                           expected="at least 1 output, 0 < p < 1", remedy="correct them")  # fmt: skip


def propagate(model: Model, inputs: Inputs, name: str = "y", unit: str = "1") -> Budget:
    """Estimate, combined uncertainty and budget of one output.

    y = f(x),  c = ∂f/∂x (automatic differentiation),  u_c² = cᵀ V c

    Args:
        model: f of a mapping of names to numbers, in JAX.
        inputs: of the model.
        name, unit: of the measurand.

    Raises:
        TanhengError: the result or a sensitivity is not finite, a sensitivity is zero although u changes the result,
            or the model does not return a number.

    Reference: JCGM 100:2008, eq. 13 and 16; §G.4 for ν_eff.
    """
    budget = linear(model, inputs, name, unit)
    C = np.array([[r.sensitivity for r in budget.rows]])
    refuse_blind(checked(model, inputs, 0), inputs, np.array(budget.y), C)
    return budget


def linear(model: Model, inputs: Inputs, name: str, unit: str) -> Budget:
    """`propagate` where zero sensitivities are judged by a comparison with Monte Carlo that follows."""
    with jax.enable_x64(True):
        y, gradient = jax.value_and_grad(checked(model, inputs, 0))(inputs.values)
    c = np.array([float(gradient[n]) for n in inputs.names])
    if not np.isfinite(y) or not np.isfinite(c).all():
        bad = [n for n, v in zip(inputs.names, c, strict=True) if not np.isfinite(v)]
        raise TanhengError(f"{name} cannot be differentiated at its inputs", got=f"y {y}, not finite ∂/∂ {bad}",
                           expected="finite", remedy="use monte_carlo, or another form of the model")  # fmt: skip
    parts, r = c * inputs.u, inputs.correlation
    variance = max(float(parts @ r @ parts), 0.0)
    # Shares of nothing are nothing.
    shares = 100.0 * parts * (r @ parts) / variance if variance > 0 else np.zeros_like(parts)
    rows = tuple(
        Row(q.name, q.value, q.unit, q.u, q.distribution, q.dof, q.group, float(ci), float(pi), float(si), q.evidence)
        for q, ci, pi, si in zip(inputs.quantities, c, parts, shares, strict=True)
    )
    pairs = tuple(
        (inputs.names[i], inputs.names[j], float(r[i, j]), 200.0 * float(parts[i] * parts[j] * r[i, j]) / variance)
        for i in range(len(parts)) for j in range(i) if r[i, j] and variance > 0
    )  # fmt: skip
    return Budget(name, unit, float(y), variance**0.5, _dof(parts, inputs, variance), rows, pairs)


def _dof(parts: np.ndarray, inputs: Inputs, variance: float) -> float:
    """Welch–Satterthwaite over independent errors: a group is one of them, with its members' sum as contribution."""
    # Inputs that are partly correlated and of finite dof have no ν_eff (JCGM 100, §G.4.1, note 1).
    partial = {name for a, b, r in inputs.correlations if r for name in (a, b)}
    if any(np.isfinite(q.dof) and q.name in partial and c for q, c in zip(inputs.quantities, parts, strict=True)):
        return np.nan
    errors: dict[str, tuple[float, float]] = {}
    for i, (q, c) in enumerate(zip(inputs.quantities, parts, strict=True)):
        key = f"group {q.group}" if q.group else f"input {i}"
        errors[key] = errors.get(key, (0.0, 0.0))[0] + float(c), q.dof
    return effective_dof([c for c, _ in errors.values()], [v for _, v in errors.values()], variance)


def effective_dof(contributions, dofs, variance: float) -> float:
    """ν_eff = u_c⁴ / Σ (c_i u_i)⁴/ν_i of independent contributions."""
    below = float(np.sum(np.asarray(contributions, float) ** 4 / np.asarray(dofs, float)))
    return variance**2 / below if below > 0 else np.inf


@dataclasses.dataclass(frozen=True, eq=False)
class JointResult:
    """Several outputs of the same inputs: estimates (m,) and their covariance U = C V Cᵀ (m, m).

    Reference: JCGM 102:2011, eq. 3.
    """

    y: np.ndarray
    covariance: np.ndarray

    @property
    def correlation(self) -> np.ndarray:
        """(m, m); an output without uncertainty is correlated with itself alone."""
        u = np.sqrt(np.diag(self.covariance))
        uu = np.outer(u, u)
        r = np.divide(self.covariance, uu, out=np.zeros_like(uu), where=uu > 0.0)
        np.fill_diagonal(r, 1.0)
        return r


def propagate_joint(model: Model, inputs: Inputs) -> JointResult:
    """Outputs (m,) of a model that returns a vector, with their covariance.

    Raises:
        TanhengError: outputs or sensitivities are not finite, a sensitivity is zero although u changes the output, or
            the model does not return a vector.
    """
    f = checked(model, inputs, 1)
    with jax.enable_x64(True):
        y, gradient = np.asarray(f(inputs.values)), jax.jacrev(f)(inputs.values)
    C = np.stack([np.asarray(gradient[n]) for n in inputs.names], axis=1)
    if not np.isfinite(y).all() or not np.isfinite(C).all():
        bad = [n for n, c in zip(inputs.names, C.T, strict=True) if not np.isfinite(c).all()]
        raise TanhengError("the outputs cannot be differentiated at their inputs", got=f"y {y}, not finite ∂/∂ {bad}",
                           expected="finite", remedy="use draws_of, or another form of the model")  # fmt: skip
    refuse_blind(f, inputs, y, C)
    U = C @ inputs.covariance @ C.T
    return JointResult(y, 0.5 * (U + U.T))

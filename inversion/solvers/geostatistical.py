"""Geostatistical inversion: a trend with unknown coefficients and a correlated field about it.

    x = x_b + X β + s,    s ~ N(0, Q),    β unknown, or β ~ N(β₀, P)

With d = y − H x_b − b, Z = H X and Ψ = H Q Hᵀ + R

    C_β = (Zᵀ Ψ⁻¹ Z + P⁻¹)⁻¹,    β̂ = C_β (Zᵀ Ψ⁻¹ d + P⁻¹ β₀),    x̂ = x_b + X β̂ + Q Hᵀ Ψ⁻¹ (d − Z β̂)
    A = Q − Q Hᵀ Ψ⁻¹ H Q + E C_β Eᵀ,    E = X − Q Hᵀ Ψ⁻¹ Z

which solves the augmented system of Michalak et al. (2004, doi 10.1029/2003JD004422, eqs. 10–14) by elimination; the
last term is the uncertainty of the trend. P⁻¹ = 0 is the flat prior of that paper.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float

from inversion.posterior import normal
from inversion.problem import Problem
from inversion.solvers import AbstractGaussianPosterior, AbstractSolver
from inversion.solvers.actions import backward, forward
from transport.errors import TanhengError

# B Hᵀ is held: 0.8 GiB at this many numbers.
DENSE_LIMIT = 100_000_000


class Trend(eqx.Module):
    """Covariates X and what is known of their coefficients.

    Args:
        design: (n, p) covariates X.
        mean: (p,) β₀.
        precision: (p, p) P⁻¹; zero for a flat prior.
    """

    design: Float[Array, "n p"]
    mean: Float[Array, " p"]
    precision: Float[Array, "p p"]


class GeostatisticalPosterior(AbstractGaussianPosterior):
    """Posterior with the trend's uncertainty in it.

    Args:
        beta: (p,) coefficients β̂.
        beta_covariance: (p, p) C_β.
        QHt: (n, m) Q Hᵀ.
        factor: (m, m) Cholesky factor of Ψ.
        residual_design: (n, p) E.
    """

    problem: Problem
    mean: Float[Array, " n"]
    result: str = eqx.field(static=True)
    trend: Trend
    beta: Float[Array, " p"]
    beta_covariance: Float[Array, "p p"]
    QHt: Float[Array, "n m"]
    factor: Float[Array, "m m"]
    residual_design: Float[Array, "n p"]

    def covariance_mv(self, v):
        """Q v − Q Hᵀ Ψ⁻¹ H Q v + E C_β Eᵀ v."""
        known = self.problem.B.mv(v) - self.QHt @ jsl.cho_solve((self.factor, True), self.QHt.T @ v)
        return known + self.residual_design @ (self.beta_covariance @ (self.residual_design.T @ v))

    def gain_mv(self, d):
        """Q Hᵀ Ψ⁻¹ d + E C_β Zᵀ Ψ⁻¹ d."""
        weighed = jsl.cho_solve((self.factor, True), d)
        Zt = forward(self.problem.H, self.trend.design).T
        return self.QHt @ weighed + self.residual_design @ (self.beta_covariance @ (Zt @ weighed))

    def means(self, ys):
        """Posterior means of other data; what the prior of β adds does not depend on them."""
        of_prior = self.residual_design @ (self.beta_covariance @ (self.trend.precision @ self.trend.mean))
        return super().means(ys) + of_prior

    def sample(self, key, count):
        """A draw of field and errors, corrected by its own misfit; the trend drops out of it (K H X = X if P⁻¹ = 0)."""
        keys = jax.random.split(key, 3)
        xi = self.problem.B.sqrt_mv(normal(keys[0], self.mean.size, count))
        epsilon = self.problem.R.sqrt_mv(normal(keys[1], self.problem.y.size, count))
        error = xi - self.gain_mv(forward(self.problem.H, xi) + epsilon)
        # With a weak prior the trend's own draw P^½ η is damped by C_β P⁻¹: E C_β P⁻¹ P^½ η = E C_β L η, P⁻¹ = L Lᵀ.
        values, vectors = jnp.linalg.eigh(self.trend.precision)
        root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))
        eta = normal(keys[2], self.beta.size, count)
        return self.mean + (error + self.residual_design @ (self.beta_covariance @ (root @ eta))).T

    def leverage(self):
        """diag(H K)."""
        HK = forward(self.problem.H, self.gain_mv(jnp.eye(self.problem.y.size)))
        return jnp.diagonal(HK)

    def cost(self):
        """(d − Z β̂)ᵀ Ψ⁻¹ (d − Z β̂) + (β̂ − β₀)ᵀ P⁻¹ (β̂ − β₀)."""
        r = self.problem.departure() - forward(self.problem.H, self.trend.design) @ self.beta
        change = self.beta - self.trend.mean
        whitened = jsl.solve_triangular(self.factor, r, lower=True)
        return jnp.sum(whitened**2) + change @ self.trend.precision @ change

    def diagonal(self):
        """diag A."""
        gained = jsl.solve_triangular(self.factor, self.QHt.T, lower=True)
        trend = jnp.sum(self.residual_design * (self.residual_design @ self.beta_covariance), axis=1)
        return self.problem.B.diagonal() - jnp.sum(gained**2, axis=0) + trend


class Geostatistical(AbstractSolver):
    """Best linear unbiased estimate with a trend; the problem's B is Q, its x_b the part of the mean that is known.

    Args:
        design: (n, p) covariates X.
        mean: (p,) β₀, zero if not given.
        covariance: (p, p) P; None for a flat prior.

    Raises:
        TanhengError: shapes that do not fit, or a problem beyond memory.
    """

    design: Float[Array, "n p"]
    mean: Float[Array, " p"] | None = None
    covariance: Float[Array, "p p"] | None = None

    @property
    def trend(self) -> Trend:
        """Covariates with the precision of their coefficients."""
        X = jnp.asarray(self.design, dtype=float)
        p = X.shape[1]
        mean = jnp.zeros(p) if self.mean is None else jnp.asarray(self.mean, dtype=float)
        precision = jnp.zeros((p, p)) if self.covariance is None else jnp.linalg.inv(jnp.asarray(self.covariance))
        return Trend(X, mean, precision)

    def prior(self, problem: Problem) -> GeostatisticalPosterior:
        """N(x_b + X β₀, Q + X P Xᵀ); not identifiable, as its result says, if the trend is free."""
        return self.solve(problem.unobserved())

    def solve(self, problem: Problem) -> GeostatisticalPosterior:
        """The posterior; "not identifiable" where the data do not fix a trend with a flat prior."""
        X, n, m = np.asarray(self.design), problem.x_b.size, problem.y.size
        p = X.shape[-1]
        prior = (p, p) if self.covariance is None else np.shape(self.covariance)
        if X.shape != (n, p) or prior != (p, p):
            raise TanhengError(
                "the covariates do not fit the problem", got=f"{X.shape}, prior {prior}",
                expected=f"({n}, p) and (p, p)", remedy="give one row of covariates for each unknown",
            )  # fmt: skip
        if n * m > DENSE_LIMIT:
            raise TanhengError(
                "the problem is too large for the geostatistical solver", got=f"{n} x {m}",
                expected=f"at most {DENSE_LIMIT:.0e} numbers", remedy="use solver=variational with a trend in B",
            )  # fmt: skip
        trend = self.trend
        *parts, condition = _solved(problem, trend)
        posterior = GeostatisticalPosterior(problem, parts[0], "successful", trend, *parts[1:])
        return dataclasses.replace(posterior, result=_result(posterior, float(condition)))


def _result(posterior: GeostatisticalPosterior, condition: float) -> str:
    if not bool(jnp.isfinite(posterior.problem.departure()).all()):
        return "not finite: an observation, the background or H x_b"
    if not bool(jnp.isfinite(posterior.factor).all()):
        return "not positive definite"
    if not condition < 1e12:
        return f"not identifiable: the data do not tell the covariates apart (condition {condition:.1e})"
    return "successful"


def _residual(problem: Problem, trend: Trend):
    """Q Hᵀ, the factor of Ψ, Z, Ψ^-½ Z, Ψ^-½ d and the precision of β."""
    m = problem.y.size
    QHt = problem.B.mv(backward(problem.H, jnp.eye(m)))
    Psi = forward(problem.H, QHt) + problem.R.mv(jnp.eye(m))
    factor = jnp.linalg.cholesky(0.5 * (Psi + Psi.T))
    Z = forward(problem.H, trend.design)
    white_Z = jsl.solve_triangular(factor, Z, lower=True)
    white_d = jsl.solve_triangular(factor, problem.departure(), lower=True)
    return QHt, factor, Z, white_Z, white_d, white_Z.T @ white_Z + trend.precision


@eqx.filter_jit
def _solved(problem: Problem, trend: Trend):
    QHt, factor, Z, white_Z, white_d, precision = _residual(problem, trend)
    # Covariates come in any units: the condition that counts is that of the precision scaled to a unit diagonal.
    diagonal = jnp.diagonal(precision)
    scale = 1.0 / jnp.sqrt(jnp.where(diagonal > 0.0, diagonal, 1.0))
    scaled = precision * jnp.outer(scale, scale)
    condition = jnp.linalg.cond(scaled)
    root = jnp.linalg.cholesky(scaled)
    C_beta = jsl.cho_solve((root, True), jnp.diag(scale)) * scale[:, None]
    beta = C_beta @ (white_Z.T @ white_d + trend.precision @ trend.mean)
    weighed = jsl.solve_triangular(factor, white_d - white_Z @ beta, lower=True, trans=1)
    mean = problem.x_b + trend.design @ beta + QHt @ weighed
    E = trend.design - QHt @ jsl.cho_solve((factor, True), Z)
    return mean, beta, C_beta, QHt, factor, E, condition


def reml(problem: Problem, design: Float[Array, "n p"]) -> Float[Array, ""]:
    """−log of the restricted likelihood of the data, free of the trend's coefficients.

    ½ log|Ψ| + ½ log|Zᵀ Ψ⁻¹ Z| + ½ dᵀ Ξ d + ½ (m − p) log 2π,   Ξ = Ψ⁻¹ − Ψ⁻¹ Z (Zᵀ Ψ⁻¹ Z)⁻¹ Zᵀ Ψ⁻¹

    Pure: differentiate it through a function that builds the problem from its hyper-parameters.

    Args:
        problem: B is Q(θ) and R is R(θ).
        design: (n, p) covariates.

    Returns:
        Scalar, to be minimised over θ.

    References:
        Michalak et al. (2004), doi 10.1029/2003JD004422, eq. 20 (Kitanidis 1995, doi 10.1029/95WR01414).
    """
    X = jnp.asarray(design)
    p = X.shape[1]
    _, factor, _, white_Z, white_d, precision = _residual(problem, Trend(X, jnp.zeros(p), jnp.zeros((p, p))))
    root = jnp.linalg.cholesky(precision)
    explained = jsl.solve_triangular(root, white_Z.T @ white_d, lower=True)
    logdets = jnp.sum(jnp.log(jnp.diagonal(factor))) + jnp.sum(jnp.log(jnp.diagonal(root)))
    misfit = jnp.sum(white_d**2) - jnp.sum(explained**2)
    return logdets + 0.5 * misfit + 0.5 * (problem.y.size - p) * jnp.log(2.0 * jnp.pi)

"""First-order autoregressive correlation in time, O(n) through its bidiagonal Cholesky factor.

ρ_ij = exp(−|t_i − t_j|/τ) is the Ornstein–Uhlenbeck process; on equal steps it is AR(1) with φ = exp(−Δt/τ)
(Rasmussen & Williams 2006, ISBN 978-0-262-18253-9, appendix B.2). With φ_i = exp(−(t_i − t_{i−1})/τ) and
s_i² = 1 − φ_i² (s_0 = 1, φ_0 = 0), L is the recursion x_i = φ_i x_{i−1} + s_i ξ_i, and L⁻¹ has two diagonals.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from inversion.covariance.base import AbstractCovariance, is_concrete, require_positive, rows
from transport.errors import TanhengError


# Compiled once per shape: a bare scan would be compiled at each call outside jit. On a CPU it is faster than an
# associative scan (100 000 elements: 0.41 against 0.56 ms; 1000 × 1000: 2.0 against 2.9 ms).
@jax.jit
def _recursion(phi: Array, drive: Array) -> Array:
    """x_i = φ_i x_{i−1} + u_i with x_{−1} = 0, along the first axis."""

    def step(x, now):
        x = now[0] * x + now[1]
        return x, x

    return jax.lax.scan(step, jnp.zeros_like(drive[0]), (phi, drive))[1]


def _shift(v: Array) -> Array:
    """v_{i−1}, 0 before the first."""
    return jnp.concatenate([jnp.zeros_like(v[:1]), v[:-1]])


def _advance(v: Array) -> Array:
    """v_{i+1}, 0 after the last."""
    return jnp.concatenate([v[1:], jnp.zeros_like(v[:1])])


def _steps(times) -> Float[Array, " n-1"]:
    if is_concrete(times):
        t = np.asarray(times, dtype=float)
        if t.ndim != 1 or not (np.isfinite(t).all() and (np.diff(t) > 0).all()):
            raise TanhengError(
                "times of a temporal covariance must increase",
                got=f"{t.size} times, smallest step {np.diff(t).min() if t.ndim == 1 and t.size > 1 else t}",
                expected="strictly increasing numbers",
                remedy="sort the elements, and give elements of one time one element or a nugget",
            )
    return jnp.diff(jnp.asarray(times, dtype=float))


class OrnsteinUhlenbeck(AbstractCovariance):
    """ρ_ij = exp(−|t_i − t_j|/τ) on regular or irregular times, variance 1.

    Args:
        times: (n,) strictly increasing, in the unit of τ.
        scale: τ, e-folding time.

    Raises:
        TanhengError: times that do not increase, or τ not positive.
    """

    steps: Float[Array, " n-1"]
    scale: Float[Array, ""]

    def __init__(self, times, scale):
        require_positive("a correlation time", scale)
        self.steps, self.scale = _steps(times), jnp.asarray(scale, dtype=float)

    @property
    def _phi(self) -> Float[Array, " n"]:
        return jnp.concatenate([jnp.zeros(1), jnp.exp(-self.steps / self.scale)])

    @property
    def _innovation(self) -> Float[Array, " n"]:
        """s²; expm1 keeps its digits where φ is nearly 1."""
        return jnp.concatenate([jnp.ones(1), -jnp.expm1(-2.0 * self.steps / self.scale)])

    def mv(self, v):
        """Σ_{j≤i} + Σ_{j≥i} − v_i, each a recursion."""
        past = _recursion(self._phi, v)
        future = _recursion(self._phi_reversed, v[::-1])[::-1]
        return past + future - v

    @property
    def _phi_reversed(self) -> Float[Array, " n"]:
        return jnp.concatenate([jnp.zeros(1), self._phi[1:][::-1]])

    def sqrt_mv(self, v):
        """x_i = φ_i x_{i−1} + s_i v_i."""
        return _recursion(self._phi, rows(jnp.sqrt(self._innovation), v))

    def sqrt_transposed_mv(self, v):
        """s_i u_i with u_i = v_i + φ_{i+1} u_{i+1}."""
        return rows(jnp.sqrt(self._innovation), _recursion(self._phi_reversed, v[::-1])[::-1])

    def solve(self, v):
        """L⁻ᵀ L⁻¹ v, tridiagonal."""
        phi = self._phi
        w = rows(1.0 / self._innovation, v - rows(phi, _shift(v)))
        return w - _advance(rows(phi, w))

    def logdet(self):
        """Σ log s_i²."""
        return jnp.sum(jnp.log(self._innovation))

    def diagonal(self):
        """1."""
        return jnp.ones(self.steps.size + 1)


def ar1(n: int, phi) -> OrnsteinUhlenbeck:
    """AR(1) correlation φ^|i−j| of n equal steps.

    Args:
        n: number of steps.
        phi: correlation of neighbours, between 0 and 1.

    Raises:
        TanhengError: φ not between 0 and 1.
    """
    if is_concrete(phi) and not 0.0 < float(phi) < 1.0:
        raise TanhengError("an AR(1) correlation is out of range", got=phi, expected="0 < φ < 1",
                           remedy="for independent steps use Diagonal")  # fmt: skip
    return OrnsteinUhlenbeck(np.arange(n), -1.0 / jnp.log(phi))


@jax.jit
def _kalman(phi: Array, innovation: Array, sigma: Array, noise: Array) -> tuple[Array, Array]:
    """√S and the gain P σ / √S, each (n,)."""

    def step(variance, now):
        phi, innovation, sigma, noise = now
        variance = phi**2 * variance + innovation
        total = sigma**2 * variance + noise**2
        # P − P²σ²/S = P ν²/S, which cannot turn negative.
        return variance * noise**2 / total, (jnp.sqrt(total), variance * sigma / jnp.sqrt(total))

    return jax.lax.scan(step, jnp.zeros(()), (phi, innovation, sigma, noise))[1]


@jax.jit
def _colour(phi: Array, sigma: Array, root: Array, gain: Array, v: Array) -> Array:
    """White innovations to series: L v."""

    def step(m, now):
        phi, sigma, s, k, e = now
        m = phi * m
        return m + k * e, sigma * m + s * e

    return jax.lax.scan(step, jnp.zeros_like(v[0]), (phi, sigma, root, gain, v))[1]


@jax.jit
def _whiten(phi: Array, sigma: Array, root: Array, gain: Array, v: Array) -> Array:
    """Series to white innovations: L⁻¹ v."""

    def step(m, now):
        phi, sigma, s, k, y = now
        m = phi * m
        e = (y - sigma * m) / s
        return m + k * e, e

    return jax.lax.scan(step, jnp.zeros_like(v[0]), (phi, sigma, root, gain, v))[1]


class NoisyOrnsteinUhlenbeck(AbstractCovariance):
    """Correlated plus independent error of one series, C_ij = σ_i σ_j exp(−|t_i − t_j|/τ) + ν_i² δ_ij, in O(n).

    The root is the Kalman filter of the state f, y_i = σ_i f_i + ε_i, which turns white innovations into y:

        y_i = σ_i m_i + √S_i e_i,   S_i = σ_i² P_i + ν_i²,   m_{i+1} = φ (m_i + P_i σ_i e_i / √S_i),
        P_{i+1} = φ² (P_i − P_i² σ_i² / S_i) + 1 − φ²

    (Durbin & Koopman 2012, doi 10.1093/acprof:oso/9780199641178.001.0001, §4.3.)

    Args:
        times: (n,) strictly increasing.
        scale: τ in the unit of times.
        sigma: (n,) standard deviation of the correlated part.
        noise: (n,) standard deviation ν of the independent part.

    Raises:
        TanhengError: times that do not increase, or a scale that is not positive.
    """

    base: OrnsteinUhlenbeck
    sigma: Float[Array, " n"]
    noise: Float[Array, " n"]

    def __init__(self, times, scale, sigma, noise):
        require_positive("a standard deviation", sigma)
        require_positive("a standard deviation", noise)
        self.base = OrnsteinUhlenbeck(times, scale)
        n = (self.base.size,)
        self.sigma = jnp.broadcast_to(jnp.asarray(sigma, dtype=float), n)
        self.noise = jnp.broadcast_to(jnp.asarray(noise, dtype=float), n)

    @property
    def _series(self):
        """φ, σ, √S and the gain, each (n,)."""
        phi = self.base._phi
        return phi, self.sigma, *_kalman(phi, self.base._innovation, self.sigma, self.noise)

    def mv(self, v):
        """σ ρ σ v + ν² v."""
        return rows(self.sigma, self.base.mv(rows(self.sigma, v))) + rows(self.noise**2, v)

    def sqrt_mv(self, v):
        """L v."""
        return _colour(*self._series, v)

    def solve(self, v):
        """L⁻ᵀ L⁻¹ v."""
        series = self._series
        structure = jax.ShapeDtypeStruct(v.shape, v.dtype)
        return jax.linear_transpose(lambda x: _whiten(*series, x), structure)(_whiten(*series, v))[0]

    def logdet(self):
        """Σ log S_i."""
        return 2.0 * jnp.sum(jnp.log(self._series[2]))

    def diagonal(self):
        """σ² + ν²."""
        return self.sigma**2 + self.noise**2

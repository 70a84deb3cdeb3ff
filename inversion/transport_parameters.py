"""p ↦ problem through our own Eulerian transport: wind speed, mixing height and background, estimated with the fluxes.

    y = O T(p) (S x + s + s_b) + b + ε,     H(p) = O T(p) S + columns,     b(p) = O T(p) (s + s_b) + b

    wind speed w       air fluxes F → w F, air m → ⟨m⟩ + w (m − ⟨m⟩), ⟨⟩ the time mean: continuity stays exact
    mixing height h    mixing_height → h · mixing_height, and the mixing scheme called anew
    background c       s_b = c ppm in all air that enters, and in the air at the start

s is what is known to enter (a background field, emissions that are not estimated); T carries it too, so an error of
the wind moves it as well. Derivatives with respect to p are taken of T's forward march. The transpose has none, so H is
made a matrix only where p is known, and stays an operator where p is differentiated.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float

from inversion.control import Block, ControlMap, observation_columns
from inversion.covariance import AbstractCovariance, BlockDiagonal
from inversion.covariance.base import is_concrete
from inversion.problem import Problem
from transport.batches import in_batches
from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.eulerian.operator import SampledTransport
from transport.meteorology import Meteorology
from transport.mixing import BoundaryLayer, Columns, Mixing
from transport.readers.synthetic import Basin, local_hour, mixing_height
from transport.sampling import Sampler
from transport.sources import Sources, uniform_air

PARAMETERS = ("wind_speed", "mixing_height", "background")
NEUTRAL = {"wind_speed": 1.0, "mixing_height": 1.0, "background": 0.0}


class MixedLayer(eqx.Module):
    """Mixing of prepared weather with its mixing height scaled.

    Args:
        scheme: KProfile, ACM2 or another differentiable scheme.
        layer, columns: `Prepared.boundary_layer` and `Prepared.columns`.
    """

    scheme: Callable[[BoundaryLayer, Columns], Mixing]
    layer: BoundaryLayer
    columns: Columns

    def __call__(self, scale: Float[Array, ""]) -> Mixing:
        """The scheme's mixing with h → scale · h; u* and the heat flux stay."""
        layer = eqx.tree_at(lambda a: a.mixing_height, self.layer, scale * self.layer.mixing_height)
        return self.scheme(layer, self.columns)


class BasinMixing(eqx.Module):
    """Mixing of the generated basin with its mixing height scaled; equals `basin_meteorology` at any scale.

    K(z) = κ (0.15 + h/1500) z (1 − z/h)² + 0.1,   h → scale · h

    Args:
        reference: meteorology of the basin; it gives the air that K = 1 m2 s-1 exchanges.
        inner: (nz-1,) heights of inner faces, m.
        basin: its parameters.
    """

    per_diffusivity: Float[Array, "nz2 ny nx"]
    inner: Float[Array, " nz2"]
    height: Float[Array, " nt"]

    def __init__(self, reference: Meteorology, inner: np.ndarray, basin: Basin):
        hour = local_hour(np.arange(basin.hours), basin.start_hour_utc, basin.utc_offset)
        height = mixing_height(hour, basin.mixing_height_night, basin.mixing_height_day)
        self.inner, self.height = jnp.asarray(inner), jnp.asarray(height)
        diffusivity = self.diffusivity(jnp.ones(()))[0, :, None, None]
        self.per_diffusivity = reference.mixing.exchange[0] / diffusivity

    def diffusivity(self, scale: Array) -> Array:
        """(nt, nz-1) K, m2 s-1."""
        height = scale * self.height[:, None]
        inside = jnp.maximum(1.0 - self.inner / height, 0.0)
        return 0.4 * (0.15 + height / 1500.0) * self.inner * inside**2 + 0.1

    def __call__(self, scale: Float[Array, ""]) -> Mixing:
        """Exchange with h → scale · h."""
        return Mixing(self.diffusivity(scale)[:, :, None, None] * self.per_diffusivity)


class ScaledTransport(eqx.Module):
    """T of weather whose wind speed and mixing height are scaled; one plan of steps, made for the fastest wind.

    Args:
        meteorology: of scale one.
        areas: (ny, nx) m2.
        mixing: scale of the mixing height ↦ `Mixing`; at one it should be the meteorology's.
        fastest: largest wind-speed scale that is answered; beyond it, and where a scale is not positive, all is NaN,
            which a solver reports and a line search retreats from.
        options: of `EulerianTransport`.

    Raises:
        TanhengError: a scheme without transpose; `fastest` below one; what `EulerianTransport` refuses.
    """

    reference: EulerianTransport
    mixing: Callable[[Array], Mixing]
    fastest: float = eqx.field(static=True)

    def __init__(
        self, meteorology: Meteorology, areas: Any, mixing: Callable[[Array], Mixing], fastest: float = 1.5, **options
    ):
        if not fastest >= 1.0:
            raise TanhengError("the fastest wind is slower than the weather's", got=fastest, expected="≥ 1",
                               remedy="allow some prior standard deviations above one")  # fmt: skip
        # Courant numbers grow with the wind: steps for the fastest are stable for all, and H is smooth in p.
        planned = EulerianTransport(_blown(meteorology, jnp.asarray(fastest)), areas, **options)
        planned.require_linear()
        self.reference = eqx.tree_at(lambda t: t.meteorology, planned, meteorology)
        self.mixing, self.fastest = mixing, fastest

    def meteorology(self, wind: Array, height: Array) -> Meteorology:
        """Weather with both scales in it."""
        blown = _blown(self.reference.meteorology, wind)
        return eqx.tree_at(lambda m: m.mixing, blown, self.mixing(height))

    def answers(self, wind: Array, height: Array) -> Array:
        """Whether the scales lie inside the range."""
        return (wind > 0.0) & (wind <= self.fastest) & (height > 0.0)


def _blown(met: Meteorology, wind: Array) -> Meteorology:
    """F → w F and m → ⟨m⟩ + w (m − ⟨m⟩): tendency and divergence scale alike."""
    mean = jnp.mean(met.air, axis=0)
    new = (mean + wind * (met.air - mean), wind * met.flux_x, wind * met.flux_y, wind * met.flux_z)
    return eqx.tree_at(lambda m: (m.air, m.flux_x, m.flux_y, m.flux_z), met, new)


class TransportParameters(eqx.Module):
    """p ↦ `Problem`, for `inversion.marginal.marginal_solve`.

    Args:
        transport: T of scaled weather.
        sampler: O.
        blocks: control vector, with its prior; what they put into the air goes through T, observation blocks do not.
        y: (m,) observations.
        R: (m) covariance of the model-data mismatch.
        names: which of `PARAMETERS` p holds, in this order; the others keep scale one and 0 ppm.
        given: what is known to enter the air, if anything.
        b: (m,) what is added to the modelled observations, 0 by default.
        dense: make H a matrix where p is known: n or m marches, whichever are fewer. False leaves it an operator, for
            the variational solver.
        batch: how many columns march abreast.

    Raises:
        TanhengError: an unknown or repeated name; parts that do not fit.
    """

    transport: ScaledTransport
    sampled: SampledTransport
    control: ControlMap
    columns: Float[Array, "m n"] | None
    given: Sources
    x_b: Float[Array, " n"]
    B: AbstractCovariance
    y: Float[Array, " m"]
    R: AbstractCovariance
    b: Float[Array, " m"]
    names: tuple[str, ...] = eqx.field(static=True)
    dense: bool = eqx.field(static=True)
    batch: int = eqx.field(static=True)

    def __init__(
        self, transport: ScaledTransport, sampler: Sampler, blocks: list[Block], y, R: AbstractCovariance,
        names: Sequence[str] = PARAMETERS, given: Sources | None = None, b=None, dense: bool = True, batch: int = 32,
    ):  # fmt: skip
        _check_names(tuple(names))
        structure = transport.reference.in_structure()
        self.transport, self.sampled = transport, transport.reference.sampled(sampler)
        self.control = ControlMap(blocks, structure)
        self.y = jnp.asarray(y, dtype=float)
        columns = observation_columns(blocks, self.y.size)
        self.columns = jnp.asarray(columns) if columns.any() else None
        self.given = uniform_air(structure, 0.0) if given is None else given
        self.x_b = jnp.concatenate([jnp.asarray(block.mean, dtype=float) for block in blocks])
        self.B, self.R = BlockDiagonal(tuple(block.covariance for block in blocks)), R
        self.b = jnp.zeros(self.y.size) if b is None else jnp.asarray(b, dtype=float)
        self.names, self.dense, self.batch = tuple(names), dense, batch

    @property
    def neutral(self) -> Float[Array, " q"]:
        """(q,) the p that changes nothing."""
        return jnp.array([NEUTRAL[name] for name in self.names])

    def observing(self, y) -> "TransportParameters":
        """The same with other observations."""
        return eqx.tree_at(lambda a: a.y, self, jnp.asarray(y, dtype=float))

    def scales(self, p: Array) -> dict[str, Array]:
        """Every parameter by name."""
        return {name: jnp.asarray(value) for name, value in NEUTRAL.items()} | dict(zip(self.names, p, strict=True))

    def observed(self, p: Array) -> SampledTransport:
        """O T(p); NaN outside the range of T."""
        scale = self.scales(p)
        wind, height = scale["wind_speed"], scale["mixing_height"]
        good = jnp.where(self.transport.answers(wind, height), 1.0, jnp.nan)
        met = self.transport.meteorology(wind, height)
        return eqx.tree_at(lambda s: (s.transport.meteorology, s.visits.weight), self.sampled,
                           (met, good * self.sampled.visits.weight))  # fmt: skip

    def entering(self, p: Array) -> Sources:
        """s + s_b."""
        uniform = uniform_air(self.control.sources)
        return jax.tree.map(lambda s, one: s + self.scales(p)["background"] * one, self.given, uniform)

    def operator(self, p: Array) -> lx.AbstractLinearOperator:
        """H(p) without its matrix."""
        chain = self.observed(p) @ self.control
        return chain if self.columns is None else chain + lx.MatrixLinearOperator(self.columns)

    def traced(self, p: Array) -> lx.AbstractLinearOperator:
        """H(p) by the forward march alone, so that many columns march abreast under vmap while p is differentiated."""
        observed = self.observed(p)

        def mv(x):
            out = observed.forward(self.control.mv(x))
            return out if self.columns is None else out + self.columns @ x

        return lx.FunctionLinearOperator(mv, self.control.in_structure())

    def __call__(self, p: Float[Array, " q"]) -> Problem:
        """The problem at p; a traced p gets an H that can be differentiated in p, a known one its matrix if `dense`."""
        if self.dense and is_concrete(p):
            matrix, b = _matrix(self, jnp.asarray(p, dtype=float))
            return Problem(lx.MatrixLinearOperator(matrix), self.x_b, self.B, self.y, self.R, b)
        b = self.observed(p).mv(self.entering(p)) + self.b
        H = self.operator(p) if is_concrete(p) else self.traced(p)
        return Problem(H, self.x_b, self.B, self.y, self.R, b)


@eqx.filter_jit
def _matrix(model: TransportParameters, p: Array) -> tuple[Array, Array]:
    """H(p) and b(p), by columns or by rows; the marches abreast share their coefficients."""
    observed, control = model.observed(p), model.control
    n, m = model.x_b.size, model.y.size
    b = observed.forward(model.entering(p)) + model.b
    if n <= m:
        H = in_batches(lambda e: observed.forward(control.mv(e)), jnp.eye(n), model.batch).T
    else:

        def row(e):
            return control.mv_transposed(jax.tree.map(lambda a: a[0], observed.backward(e[None])))

        H = in_batches(row, jnp.eye(m), model.batch)
    return (H if model.columns is None else H + model.columns), b


def _check_names(names: tuple[str, ...]) -> None:
    if not names or len(set(names)) != len(names) or not set(names) <= set(PARAMETERS):
        raise TanhengError("unknown transport parameters", got=f"{names}", expected=f"some of {PARAMETERS}, each once",
                           remedy="name what p holds")  # fmt: skip

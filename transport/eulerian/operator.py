"""T: sources and boundary in, mean mole fraction of every interval out. Linear, mass conserving, exact adjoint."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from transport.errors import TanhengError
from transport.eulerian.plan import Plan, make_plan
from transport.eulerian.schemes import AbstractLinearScheme, AbstractScheme
from transport.eulerian.schemes.ppm import PPM
from transport.eulerian.step import Column, Outer, Step, make_step
from transport.linear import AbstractMap, Transpose, apply_registered
from transport.meteorology import Meteorology
from transport.mixing import Columns, Sinks
from transport.sampling import Sampler, Visits
from transport.sources import Boundary, Injection, Sources


class EulerianTransport(AbstractMap):
    """C = T(sources): mean dry mole fraction of every interval in ppm, shape (nt, nz, ny, nx).

    The transpose is written out, not taped, and JAX's `vjp` and `linear_transpose` use it: neither time nor memory of a
    derivative with respect to sources depends on a stored trajectory. Derivatives with respect to the meteorology
    (replace the field with `eqx.tree_at`) are taken of `mv`, by reverse mode with one checkpoint per interval; the plan
    of steps stays, so build the operator anew where winds change by more than some per cent.

    Args:
        meteorology: air, mass fluxes and mixing.
        areas: (ny, nx) cell areas, m2.
        injection: where the point sources release; none by default.
        scheme: of advection; PPM without limiter by default.
        sinks: first-order losses, if any.
        columns: layers of air, needed where `sinks` deposit.
        max_courant: largest Courant number of one sweep; decides steps and sub-sweeps.
        max_seconds: longest step, s: mixing is first order in time, half a per cent at the ground for five minutes.

    Raises:
        TanhengError: `max_courant` outside 0…1, `max_seconds` not positive, or point sources outside the model.
    """

    meteorology: Meteorology
    areas: Float[Array, "ny nx"]
    injection: Injection
    decay: Float[Array, "nt ..."] | None
    deposition: Float[Array, "nt ny nx"] | None
    scheme: AbstractScheme
    plan: Plan

    def __init__(
        self,
        meteorology: Meteorology,
        areas: Any,
        injection: Injection | None = None,
        scheme: AbstractScheme | None = None,
        sinks: Sinks | None = None,
        columns: Columns | None = None,
        max_courant: float = 0.9,
        max_seconds: float = 300.0,
    ):
        if not 0.0 < max_courant <= 1.0:
            raise TanhengError(
                "transport.max_courant is outside the stable range",
                got=max_courant,
                expected="0 < max_courant ≤ 1",
                remedy="use the default 0.9",
            )
        if not max_seconds > 0.0:
            raise TanhengError(
                "transport.max_seconds is not a length of time", got=max_seconds, expected="> 0 s",
                remedy="use the default 300",
            )  # fmt: skip
        shape, dtype = meteorology.air.shape[1:], meteorology.air.dtype
        injection = injection or Injection.none(shape[0])
        injection.check(shape)
        self.meteorology = meteorology
        self.areas = jnp.asarray(areas, dtype)
        if self.areas.shape != shape[1:]:
            raise TanhengError(
                "areas do not fit the meteorology", got=self.areas.shape, expected=shape[1:], remedy="give Grid.areas"
            )
        # As JAX arrays, so that the operator's leaves are all of one kind; shares in the precision of the air.
        self.injection = jax.tree.map(jnp.asarray, injection)
        self.injection = eqx.tree_at(lambda i: i.profile, self.injection, self.injection.profile.astype(dtype))
        self.decay, self.deposition = _losses(sinks, columns, meteorology)
        self.scheme = scheme or PPM()
        self.plan = make_plan(meteorology, max_courant, max_seconds)

    @property
    def seconds(self) -> float:
        """Length of a step, s."""
        return self.meteorology.interval / self.plan.steps

    @property
    def is_linear(self) -> bool:
        """Whether the scheme is linear; only then is there a transpose."""
        return isinstance(self.scheme, AbstractLinearScheme)

    def in_structure(self):
        """`Sources` of this operator's shape."""
        nt, nz, ny, nx = self.meteorology.shape
        dtype = self.meteorology.air.dtype

        def field(*shape):
            return jax.ShapeDtypeStruct(shape, dtype)

        west, south, top = field(nt, nz, ny), field(nt, nz, nx), field(nt, ny, nx)
        points = field(nt, self.injection.row.shape[0])
        return Sources(top, points, Boundary(west, west, south, south, top), field(nz, ny, nx))  # type: ignore[arg-type]

    def out_structure(self):
        """(nt, nz, ny, nx) ppm."""
        return jax.ShapeDtypeStruct(self.meteorology.shape, self.meteorology.air.dtype)

    def step(self, t: Array) -> Step:
        """Coefficients of interval t."""
        met, seconds = self.meteorology, self.seconds

        def fields(t):
            air, fluxes = (met.air[t], met.air[t + 1]), (met.flux_x[t], met.flux_y[t], met.flux_z[t])
            rates = (met.mixing.exchange, met.mixing.updraft, self.deposition)
            exchange, updraft, deposition = (None if rate is None else rate[t] * seconds for rate in rates)
            return *air, fluxes, (exchange, updraft, deposition)

        def nothing(t):
            return jax.tree.map(lambda field: jnp.zeros(field.shape, field.dtype), jax.eval_shape(fields, t))

        # The branch is always taken. XLA on CPUs would repeat the slices inside each of some forty kernels that use
        # them, and make these five times slower; across a branch it does not.
        start, end, fluxes, (exchange, updraft, deposition) = jax.lax.cond(jnp.asarray(t) >= 0, fields, nothing, t)
        survival = None if self.decay is None else jnp.exp(-0.5 * self.decay[t] * seconds)
        column = Column(exchange, updraft, deposition, None)
        return make_step(start, end, fluxes, column, seconds, self.plan, self.scheme, survival)

    def release(self, t: Array, surface: Array, points: Array) -> Array:
        """What sources put into the cells during one step of interval t, µmol."""
        met = self.meteorology
        ground = surface * self.areas
        if met.mixing.release is None:
            source = jnp.zeros(met.air.shape[1:], met.air.dtype).at[0].add(ground)
        else:
            source = met.mixing.release[t] * ground
        source = source.at[:, self.injection.row, self.injection.column].add(self.injection.profile.T * points)
        return source * self.seconds

    def _release_transposed(self, t: Array, source: Array) -> tuple[Array, Array]:
        source = source * self.seconds
        share = self.meteorology.mixing.release
        ground = source[0] if share is None else jnp.sum(share[t] * source, axis=0)
        points = jnp.sum(self.injection.profile.T * source[:, self.injection.row, self.injection.column], axis=0)
        return ground * self.areas, points

    # --- the two marches ----------------------------------------------------------------------------------------------
    def march(self, vector: Sources, see: Callable[[Array, Array], Any]) -> Any:
        """What `see(t, mean)` makes of the mean of each interval, stacked; the mean is trapezoidal over the steps."""

        @jax.checkpoint
        def interval(q, per_interval):
            t, surface, points, boundary = per_interval
            step, source, outer = self.step(t), self.release(t, surface, points), outer_of(boundary)

            def inner(carry, n):
                q, mean = carry
                q = step.forward(q, n, source, outer)
                return (q, mean + q), None

            steps = jnp.arange(self.plan.steps, dtype=q.dtype)
            (q, mean), _ = jax.lax.scan(inner, (q, 0.5 * q), steps)
            return q, see(t, (mean - 0.5 * q) / self.plan.steps)

        times = jnp.arange(self.meteorology.shape[0])
        return jax.lax.scan(interval, vector.initial, (times, vector.surface, vector.points, vector.boundary))[1]

    def march_back(self, vectors: Any, shed: Callable[[Array, Any], Array], active: Array) -> Sources:
        """The transpose of `march` for a batch: `shed(t, vector)` is the cotangent of the mean of interval t.

        It starts at the last active interval: after it all is zero. On a CPU each receptor marches through an interval
        alone, so that its field stays in the cache; all share the coefficients. On a GPU they march abreast.

        Args:
            vectors: what `see` returned, with a leading batch axis.
            shed: transpose of `see` for one vector.
            active: (nt,) whether an interval holds a non-zero cotangent.
        """
        self.require_linear()
        batch = jax.tree.leaves(vectors)[0].shape[0]
        last = jnp.max(jnp.where(active, jnp.arange(1, active.size + 1), 0))
        over_batch = _one_by_one if jax.default_backend() == "cpu" else jax.vmap

        def interval(n, carry):
            t = last - 1 - n
            mu, out = carry
            step = self.step(t)
            flipped = step.flipped()

            def one(mu, vector):
                mu, source, outer = self._interval_back(step, flipped, mu, shed(t, vector) / self.plan.steps)
                return mu, (*self._release_transposed(t, source), outer)

            mu, (surface, points, outer) = over_batch(one)(mu, vectors)
            boundary = Boundary(outer.x[0], outer.x[1], outer.y[0], outer.y[1], outer.z[1])
            here = (surface, points, boundary)
            whole = (out.surface, out.points, out.boundary)
            surface, points, boundary = jax.tree.map(lambda all_, one: all_.at[:, t].set(one), whole, here)
            return mu, Sources(surface, points, boundary, out.initial)

        zero = jax.tree.map(lambda s: jnp.zeros((batch, *s.shape), s.dtype), self.in_structure())
        mu, out = jax.lax.fori_loop(0, last, interval, (zero.initial, zero))
        return Sources(out.surface, out.points, out.boundary, mu * self.meteorology.air[0])

    def forward(self, vector: Sources) -> Float[Array, "nt nz ny nx"]:
        """T v."""
        return self.march(vector, lambda _, mean: mean)

    def backward(self, vectors: Float[Array, "b nt nz ny nx"]) -> Sources:
        """Tᵀ of a batch."""
        return self.march_back(vectors, lambda t, vector: vector[t], jnp.any(vectors != 0, axis=(0, 2, 3, 4)))

    def sampled(self, sampler: Sampler) -> "SampledTransport":
        """O·T in one march, without storing the air."""
        return SampledTransport(self, sampler)

    def _interval_back(self, step: Step, flipped, mu: Array, mean: Array) -> tuple[Array, Array, Outer]:
        """μ through the steps of one interval, collecting the cotangents of source and outer values.

        μ is the derivative with respect to tracer mass: a cotangent of the mixing ratio enters it divided by the air.
        """
        steps = self.plan.steps

        def inner(carry, n):
            mu, source, outer = carry
            # q after step n counts ½ in the trapezoid that ends here and ½ in the one that begins.
            weight = jnp.where(n == steps - 1, 0.5, 1.0).astype(mu.dtype)
            mu = mu + weight * mean / step.air_at(0, n + 1)
            mu, to_source, to_outer = step.dual(flipped, mu, n)
            return (mu, source + to_source, jax.tree.map(jnp.add, outer, to_outer)), None

        nz, ny, nx = mu.shape
        x, y, z = (jnp.zeros(shape, mu.dtype) for shape in ((nz, ny), (nz, nx), (ny, nx)))
        start = (mu, jnp.zeros_like(mu), Outer((x, x), (y, y), (z, z)))
        numbers = jnp.arange(steps, dtype=mu.dtype)
        (mu, source, outer), _ = jax.lax.scan(inner, start, numbers, reverse=True)
        return mu + 0.5 * mean / step.air_at(0, jnp.zeros((), mu.dtype)), source, outer

    def require_linear(self) -> None:
        """Refuse a limited scheme.

        Raises:
            TanhengError: the scheme follows the field, so that there is no transpose.
        """
        if not self.is_linear:
            raise TanhengError(
                f"{type(self.scheme).__name__} has no transpose",
                got="a limited scheme, whose weights follow the field",
                expected="a linear scheme: upwind, third_order, fifth_order, seventh_order or ppm",
                remedy="choose transport.scheme=ppm, or use jax.vjp at a state for the tangent's transpose",
            )

    @eqx.filter_jit
    def mv(self, vector: Sources) -> Float[Array, "nt nz ny nx"]:
        """T v."""
        return apply_registered(self, vector) if self.is_linear else self.forward(vector)

    @eqx.filter_jit
    def mv_transposed(self, vector: Float[Array, "nt nz ny nx"]) -> Sources:
        """Tᵀ v."""
        self.require_linear()
        return apply_registered(self, vector, transposed=True)

    def transpose(self) -> Transpose:
        """Tᵀ."""
        return Transpose(self)


class SampledTransport(AbstractMap):
    """O·T: samples of the air, taken while it passes. Memory is the meteorology's, however many samples there are.

    Args:
        transport: T.
        sampler: O.
    """

    transport: EulerianTransport
    visits: Visits
    samples: int = eqx.field(static=True)

    def __init__(self, transport: EulerianTransport, sampler: Sampler):
        met = transport.meteorology
        if (sampler.shape, sampler.interval) != (met.shape, met.interval):
            raise TanhengError(
                "the sampler belongs to another model", got=f"{sampler.shape}, intervals of {sampler.interval:g} s",
                expected=f"{met.shape}, intervals of {met.interval:g} s",
                remedy="build it with the operator's out_structure().shape and meteorology.interval",
            )  # fmt: skip
        visits = sampler.visits()
        self.transport = transport
        self.visits = eqx.tree_at(lambda v: v.weight, visits, visits.weight.astype(met.air.dtype))
        self.samples = sampler.out_structure().shape[0]

    def in_structure(self):
        """`Sources`."""
        return self.transport.in_structure()

    def out_structure(self):
        """(n,) ppm."""
        return jax.ShapeDtypeStruct((self.samples,), self.transport.meteorology.air.dtype)

    def forward(self, vector: Sources) -> Float[Array, " n"]:
        """O T v."""
        seen = self.transport.march(vector, lambda t, mean: self.visits.weight[t] * mean.ravel()[self.visits.cell[t]])
        return jnp.zeros(self.samples, seen.dtype).at[self.visits.sample].add(seen)

    def backward(self, vectors: Float[Array, "b n"]) -> Sources:
        """Tᵀ Oᵀ of a batch."""
        visits, shape = self.visits, self.transport.meteorology.air.shape[1:]

        def shed(t, vector):
            value = visits.weight[t] * vector[visits.sample[t]]
            return jnp.zeros(math.prod(shape), value.dtype).at[visits.cell[t]].add(value).reshape(shape)

        active = jnp.any(jnp.any(vectors != 0, axis=0)[visits.sample] & (visits.weight != 0), axis=1)
        return self.transport.march_back(vectors, shed, active)

    @eqx.filter_jit
    def mv(self, vector: Sources) -> Float[Array, " n"]:
        """O T v."""
        return apply_registered(self, vector) if self.transport.is_linear else self.forward(vector)

    @eqx.filter_jit
    def mv_transposed(self, vector: Float[Array, " n"]) -> Sources:
        """Tᵀ Oᵀ v."""
        return apply_registered(self, vector, transposed=True)

    def transpose(self) -> Transpose:
        """Tᵀ Oᵀ."""
        return Transpose(self)


def _losses(sinks: Sinks | None, columns: Columns | None, met: Meteorology) -> tuple[Array | None, Array | None]:
    """λ (nt, 1 or nz, …) in s-1 and the air cleaned by the ground (nt, ny, nx) in mol s-1; None where there is none."""
    if sinks is None:
        return None, None
    (nt, _, ny, nx), dtype = met.shape, met.air.dtype
    rate = deposition = None
    if sinks.rate is not None:
        rate = jnp.asarray(sinks.rate, dtype)
        rate = jnp.broadcast_to(rate, jnp.broadcast_shapes(rate.shape, (nt, 1, 1, 1)))
    if sinks.deposition_velocity is not None:
        if columns is None:
            raise TanhengError(
                "deposition needs the heights of the layers",
                got="columns=None",
                expected="transport.mixing.Columns",
                remedy="give the columns that belong to the meteorology",
            )
        cleaned = sinks.deposition(columns)
        assert cleaned is not None
        deposition = jnp.broadcast_to(cleaned, (nt, ny, nx)).astype(dtype)
    return rate, deposition


def _one_by_one(function):
    return lambda *arguments: jax.lax.map(lambda one: function(*one), arguments)


def outer_of(boundary: Boundary) -> Outer:
    """Values of one interval around the domain; nothing enters through the ground."""
    ground = jnp.zeros_like(boundary.top)
    return Outer((boundary.west, boundary.east), (boundary.south, boundary.north), (ground, boundary.top))

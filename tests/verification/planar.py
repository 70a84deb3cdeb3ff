"""Advection tests with a known end, run through the operator's own sweeps; shared by tests and benchmarks/advection.py.

One layer of air of unit mass per area moves with a streamfunction ψ on cell corners, u = −∂ψ/∂y and v = ∂ψ/∂x, so no
cell gains air over a step. A step is X½ Y½ Y½ X½ with the wind frozen in its middle and Courant numbers up to `CFL` in
each half step. Periodic sides: the field is wrapped by as many columns as two sweeps reach, swept, and cut again.
"""

import dataclasses
import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from transport.eulerian.schemes import AbstractScheme
from transport.eulerian.schemes.polynomial import FifthOrder, SeventhOrder, ThirdOrder
from transport.eulerian.schemes.ppm import PPM
from transport.eulerian.schemes.ppm_limited import PPMLimited
from transport.eulerian.schemes.upwind import Upwind
from transport.eulerian.schemes.van_leer import VanLeer
from transport.eulerian.sweep import sweep, whole

CFL = 0.9
X, Y, Z = 2, 1, 0
LINEAR = {"upwind": Upwind(), "third": ThirdOrder(), "ppm": PPM(), "fifth": FifthOrder(), "seventh": SeventhOrder()}
LIMITED = {"van_leer": VanLeer(), "ppm_limited": PPMLimited()}
SCHEMES: dict[str, AbstractScheme] = LINEAR | LIMITED


@dataclasses.dataclass(frozen=True)
class Case:
    """A flow that brings every field back to where it was.

    Args:
        psi: streamfunction of (x, y, t).
        field: mole fraction at the start and at the end, of (x, y).
        box: x and y of the domain.
        period: when the field is back.
        periodic: in x; else what enters is clean.
    """

    psi: Callable
    field: Callable
    box: tuple[float, float, float, float]
    period: float
    periodic: bool = False


@dataclasses.dataclass(frozen=True)
class Result:
    """Errors relative to the norm of the exact field, the range reached, and the change of mass relative to it."""

    l1: float
    l2: float
    linf: float
    lowest: float
    highest: float
    mass: float
    steps: int
    final: np.ndarray


# --- flows and fields -------------------------------------------------------------------------------------------------
def _deformation(x, y, t):
    """Lauritzen et al. 2012 (doi 10.5194/gmd-5-887-2012) on a plane, with a mean wind of one width per period."""
    width, height, period = 2.0 * np.pi, np.pi, 5.0
    swirl = jnp.sin(2.0 * np.pi * (x / width - t / period)) ** 2 * jnp.cos(np.pi * y / height) ** 2
    return 10.0 / period * swirl * jnp.cos(np.pi * t / period) - width / period * y


def _swirl(x, y, t):
    """LeVeque 1996 (doi 10.1137/0733033, §9), period 5: u = sin²(πx) sin(2πy) cos(πt/5), reversed."""
    return jnp.sin(np.pi * x) ** 2 * jnp.sin(np.pi * y) ** 2 * jnp.cos(np.pi * t / 5.0) / np.pi


def _rotation(x, y, t):
    """Solid rotation about the middle of the unit square in one unit of time."""
    return np.pi * ((x - 0.5) ** 2 + (y - 0.5) ** 2) + 0.0 * t


def _hills(x, y):
    return sum(0.95 * np.exp(-5.0 * ((x - x0) ** 2 + y**2)) for x0 in (-np.pi / 6, np.pi / 6))


def _bell(x, y, x0, y0, radius):
    r = np.minimum(np.hypot(x - x0, y - y0) / radius, 1.0)
    return 0.5 * (1.0 + np.cos(np.pi * r))


def _bells(x, y):
    return 0.1 + 0.9 * sum(_bell(x, y, x0, 0.0, 0.5) for x0 in (-np.pi / 6, np.pi / 6))


def _slotted(x, y):
    """Zalesak 1979 (doi 10.1016/0021-9991(79)90051-2, §4): radius 0.15, slot 0.05 wide and 0.25 long."""
    slot = (np.abs(x - 0.5) < 0.025) & (y < 0.85)
    return np.where((np.hypot(x - 0.5, y - 0.75) < 0.15) & ~slot, 1.0, 0.0)


_PLANE, _SQUARE = (-np.pi, np.pi, -np.pi / 2, np.pi / 2), (0.0, 1.0, 0.0, 1.0)
CASES = {
    "hills": Case(_deformation, _hills, _PLANE, 5.0, periodic=True),
    "bells": Case(_deformation, _bells, _PLANE, 5.0, periodic=True),
    "swirl bell": Case(_swirl, functools.partial(_bell, x0=0.25, y0=0.5, radius=0.15), _SQUARE, 5.0),
    "rotation bell": Case(_rotation, functools.partial(_bell, x0=0.25, y0=0.5, radius=0.15), _SQUARE, 1.0),
    "rotation slotted": Case(_rotation, _slotted, _SQUARE, 1.0),
}


# --- the march --------------------------------------------------------------------------------------------------------
def cell_means(field: Callable, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Means of a field over the cells between edges x and y, by Gauss–Legendre quadrature of 4 × 4 points."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    h, k = np.diff(x), np.diff(y)
    total = np.zeros((k.size, h.size))
    for a, wa in zip(nodes, weights, strict=True):
        for b, wb in zip(nodes, weights, strict=True):
            total += 0.25 * wa * wb * field((x[:-1] + 0.5 * h * (1 + a))[None], (y[:-1] + 0.5 * k * (1 + b))[:, None])
    return total


def _steps(case: Case, x: np.ndarray, y: np.ndarray) -> int:
    """Steps of the period with Courant numbers up to CFL in half a step."""
    cell, largest = (x[1] - x[0]) * (y[1] - y[0]), 0.0
    for t in np.linspace(0.0, case.period, 41):
        psi = np.asarray(case.psi(x[None], y[:, None], t))
        largest = max(largest, np.abs(np.diff(psi, axis=0)).max(), np.abs(np.diff(psi, axis=1)).max())
    return int(np.ceil(0.5 * np.ceil(case.period * largest / (CFL * cell))))


def _wrap(field, halo: int):
    """Cells with `halo` columns more on either side, as they stand on the other one."""
    return jnp.concatenate([field[..., -halo:], field, field[..., :halo]], axis=-1) if halo else field


def _wrap_faces(faces, halo: int):
    """The same for the faces between the cells; the first and the last one are the same face."""
    return jnp.concatenate([faces[..., -halo - 1 : -1], faces, faces[..., 1 : halo + 1]], axis=-1) if halo else faces


@eqx.filter_jit
def march(case: Case, scheme: AbstractScheme, field, x, y, steps: int):
    """The field (ny, nx) after the period."""
    halo = 2 * (scheme.half_width + 1) if case.periodic else 0
    half = 0.5 * case.period / steps
    air = _wrap(jnp.full((1, y.size - 1, x.size - 1), (x[1] - x[0]) * (y[1] - y[0])), halo)
    side_x = (jnp.zeros((1, air.shape[1])),) * 2
    side_y = (jnp.zeros((1, air.shape[2])),) * 2

    def step(q, n):
        psi = case.psi(x[None], y[:, None], (n + 0.5) * 2.0 * half)
        along_x = sweep(scheme, air, _wrap_faces(-jnp.diff(psi, axis=0)[None] * half, halo), X, whole(1))
        along_y = sweep(scheme, air, _wrap(jnp.diff(psi, axis=1)[None] * half, halo), Y, whole(1))
        q, left = _wrap(q[None], halo), air
        for one, side in ((along_x, side_x), (along_y, side_y), (along_y, side_y), (along_x, side_x)):
            left = left - one.total()
            q = one.forward(q, left, side)
        return q[0, :, halo : q.shape[2] - halo], None

    return jax.lax.scan(step, field, jnp.arange(steps))[0]


def run(case: Case, scheme: AbstractScheme, cells: int) -> Result:
    """A scheme on a case with `cells` along x and square cells."""
    x = np.linspace(case.box[0], case.box[1], cells + 1)
    y = np.linspace(
        case.box[2], case.box[3], round(cells * (case.box[3] - case.box[2]) / (case.box[1] - case.box[0])) + 1
    )
    exact, steps = cell_means(case.field, x, y), _steps(case, x, y)
    final = np.asarray(march(case, scheme, jnp.asarray(exact), jnp.asarray(x), jnp.asarray(y), steps))
    error = np.abs(final - exact)
    return Result(
        float(error.sum() / np.abs(exact).sum()), float(np.sqrt((error**2).sum() / (exact**2).sum())),
        float(error.max() / np.abs(exact).max()), float(final.min()), float(final.max()),
        float(final.sum() / exact.sum() - 1.0), steps, final,
    )  # fmt: skip


# --- one dimension ----------------------------------------------------------------------------------------------------
@eqx.filter_jit
def _sweeps(scheme: AbstractScheme, masses, q, moved, steps, axis: int):
    """q (n,) after `steps` sweeps of uniform flow in a periodic row of cells along axis."""
    halo = max(scheme.half_width, 1) + 1
    along = [-1 if a == axis else 1 for a in range(3)]

    def wrapped(a):
        return jnp.concatenate([a[-halo:], a, a[:halo]])

    air = wrapped(masses).reshape(along)
    faces = jnp.full([a + (n == axis) for n, a in enumerate(air.shape)], moved)
    one = sweep(scheme, air, faces, axis, whole(air.shape[0]))
    side = (jnp.zeros(np.delete(air.shape, axis)),) * 2

    def once(_, q):
        return one.forward(wrapped(q).reshape(along), air, side).ravel()[halo:-halo]

    return jax.lax.fori_loop(0, steps, once, q)


def travel(
    scheme: AbstractScheme, masses: np.ndarray, field: Callable, moved: float, steps: int, axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cell means (n,) of a periodic field after `steps` sweeps of uniform flow: as they come, and as they should be.

    Args:
        scheme: of advection; axis 0 is the vertical.
        masses: (n,) air of the cells, mol; they lie side by side in the mass coordinate 0…1.
        field: ∫ q ds of the mass coordinate s; its derivative has period one.
        moved: air that crosses every face in a sweep, mol, of either sign.
        steps: number of sweeps.
        axis: 0 vertical, 1 south to north, 2 west to east.
    """
    edges = np.concatenate([[0.0], np.cumsum(masses)])

    def means(shift):
        return np.diff(field(edges - shift)) / masses

    got = _sweeps(scheme, jnp.asarray(masses), jnp.asarray(means(0.0)), jnp.asarray(moved), jnp.asarray(steps), axis)
    return np.asarray(got), means(steps * moved)

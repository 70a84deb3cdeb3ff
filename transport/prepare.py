"""From weather to meteorology: balance the air, then turn the boundary layer into mixing."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from transport.errors import TanhengError
from transport.mass_balance import Correction, balance
from transport.meteorology import Meteorology
from transport.mixing import BoundaryLayer, Columns, KProfile, Mixing
from transport.weather import Weather

MixingScheme = Callable[[BoundaryLayer, Columns], Mixing]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Prepared:
    """Everything that a run needs of the weather.

    Args:
        meteorology: what the transport operator takes.
        boundary_layer: state that the mixing was made from, means over the intervals.
        columns: layers of air in the middle of the intervals.
        pressure_edges: (nt, nz+1, ny, nx) Pa in the middle of the intervals, decreasing upwards.
        times: (nt+1,) datetime64[s] ends of the intervals.
        correction: how much the horizontal flow was changed to close the columns.
        notes: what the reader did to the fields.
    """

    meteorology: Meteorology
    boundary_layer: BoundaryLayer
    columns: Columns
    pressure_edges: np.ndarray
    times: np.ndarray
    correction: Correction
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        nt, nz, ny, nx = self.meteorology.shape
        return (
            f"Prepared({nt} intervals of {self.meteorology.interval:g} s, {nz} × {ny} × {nx} cells; {self.correction})"
        )


def prepare(
    weather: Weather, mixing: MixingScheme | None = None, layers: int | None = None, dtype=None, averaged: bool = False
) -> Prepared:
    """Mass-consistent meteorology of a model grid.

    Args:
        weather: nt + 1 states.
        mixing: scheme of vertical mixing; `KProfile()` by default.
        layers: keep the lowest ones only; columns are balanced whole before they are cut.
        dtype: of the arrays; JAX's default precision by default.
        averaged: the weather's fluxes are means over the interval that ends at their time.

    Raises:
        TanhengError: the columns cannot be balanced, or the mixing is not finite.
    """
    balanced = balance(weather, layers, averaged)
    dtype = dtype or jnp.zeros(()).dtype
    nz = balanced.air.shape[1]

    def middle(field):
        return jnp.asarray(0.5 * (field[:-1] + field[1:]), dtype)

    surface = weather.surface
    layer = BoundaryLayer(
        middle(surface.mixing_height), middle(surface.friction_velocity), middle(surface.sensible_heat),
        middle(surface.temperature), middle(surface.pressure),
    )  # fmt: skip
    heights = middle(weather.height_edges[:, : nz + 1])
    columns = Columns(heights, middle(balanced.air), jnp.asarray(weather.grid.areas, dtype))
    exchanged = (mixing or KProfile())(layer, columns)
    if not all(
        bool(jnp.isfinite(field).all())
        for field in (exchanged.exchange, exchanged.updraft, exchanged.release)
        if field is not None
    ):
        raise TanhengError(
            "the mixing scheme gives values that are not finite",
            got=type(mixing or KProfile()).__name__,
            expected="finite exchange between all layers",
            remedy="look for zero layer thickness or a negative friction velocity in the source",
        )
    air, x, y, z = (jnp.asarray(f, dtype) for f in (balanced.air, balanced.flux_x, balanced.flux_y, balanced.flux_z))
    meteorology = Meteorology(air, x, y, z, exchanged, balanced.interval)
    pressure = 0.5 * (weather.pressure_edges[:-1, : nz + 1] + weather.pressure_edges[1:, : nz + 1])
    return Prepared(meteorology, layer, columns, pressure, weather.times, balanced.correction, weather.notes)

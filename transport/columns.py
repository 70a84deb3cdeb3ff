"""Columns of air between pressure edges: what is integrated over them, and the heights of their pressures.

Columns are the rows of an array, the vertical is its last axis, index 0 at the ground. Within a source layer every
quantity is constant, so integrals over pressure are piecewise linear in p, heights piecewise linear in ln p.
"""

import dataclasses
from functools import cached_property

import numpy as np

from transport.constants import GAS_CONSTANT, MOLAR_MASS_DRY_AIR, MOLAR_MASS_WATER, STANDARD_GRAVITY
from transport.errors import TanhengError

# Above 100 Pa lies 0.1 % of the air: a source that reaches so far holds the whole atmosphere, its top is 0 Pa.
WHOLE_ATMOSPHERE = 100.0  # Pa
# The height of a top at 0 Pa is infinite; edges above 1 Pa are given the height of 1 Pa (some 80 km).
HIGHEST_EDGE = 1.0  # Pa


def virtual_temperature(temperature: np.ndarray, specific_humidity: np.ndarray) -> np.ndarray:
    """Temperature of dry air that has the density of the moist air: T_v = T (1 + (M_d/M_w − 1) q), K."""
    return temperature * (1.0 + (MOLAR_MASS_DRY_AIR / MOLAR_MASS_WATER - 1.0) * specific_humidity)


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """n columns of nl source layers.

    Args:
        edges: (n, nl+1) pressure in Pa, from the surface pressure downwards in value; layers below ground have equal
            edges.
        temperature: (n, nl) K.
        specific_humidity: (n, nl) kg/kg of moist air.
    """

    edges: np.ndarray
    temperature: np.ndarray
    specific_humidity: np.ndarray

    @classmethod
    def of_levels(
        cls, pressure: np.ndarray, surface_pressure: np.ndarray, temperature: np.ndarray, specific_humidity: np.ndarray
    ) -> "Columns":
        """Layers around levels.

        e[0] = p_s;  e[k] = p_s where level k−1 is below ground, else (p[k−1] + p[k])/2;  e[nl] = p[nl−1] − half the
        step below it, or 0 Pa where that is less than 100 Pa.

        Args:
            pressure: (n, nl) Pa at the levels, lowest first.
            surface_pressure: (n,) Pa.
            temperature: (n, nl) K.
            specific_humidity: (n, nl) kg/kg.

        Raises:
            TanhengError: fewer than two levels, not ordered, or none above ground.
        """
        if pressure.shape[1] < 2 or not (np.diff(pressure, axis=1) < 0).all():
            raise TanhengError(
                "the levels of the analysis are not ordered",
                got=f"{pressure.shape[1]} levels, first column {np.array2string(pressure[0], threshold=6)} Pa",
                expected="at least two levels, pressure strictly decreasing from the lowest level upwards",
                remedy="reverse the levels when they are read",
            )
        edges = np.empty((pressure.shape[0], pressure.shape[1] + 1))
        ground = surface_pressure[:, None]
        middle = 0.5 * (pressure[:, 1:] + pressure[:, :-1])
        edges[:, :1] = ground
        edges[:, 1:-1] = np.where(pressure[:, :-1] > ground, ground, middle)
        top = pressure[:, -1] - 0.5 * (pressure[:, -2] - pressure[:, -1])
        edges[:, -1] = np.where(top < WHOLE_ATMOSPHERE, 0.0, top)
        buried = pressure[:, -1] > surface_pressure
        if buried.any():
            at = int(np.argmax(buried))
            raise TanhengError(
                "no level of the analysis lies above ground",
                got=f"highest level {pressure[at, -1]:.0f} Pa, surface pressure {surface_pressure[at]:.0f} Pa",
                expected="levels above the surface pressure",
                remedy="read more levels, or check the unit of pressure",
            )
        return cls(edges, temperature, specific_humidity)

    @property
    def surface_pressure(self) -> np.ndarray:
        """(n,) Pa."""
        return self.edges[:, 0]

    @property
    def top(self) -> np.ndarray:
        """(n,) pressure of the highest edge, Pa."""
        return self.edges[:, -1]

    @cached_property
    def dry_fraction(self) -> np.ndarray:
        """(n, nl) kg of dry air per kg of moist air, 1 − q."""
        return 1.0 - self.specific_humidity

    @cached_property
    def _scale(self) -> np.ndarray:
        """(n, nl) R T_v / (g M_d), the height over which pressure falls by a factor e, m."""
        molar_weight = STANDARD_GRAVITY * MOLAR_MASS_DRY_AIR
        return GAS_CONSTANT / molar_weight * virtual_temperature(self.temperature, self.specific_humidity)

    @cached_property
    def _heights(self) -> np.ndarray:
        """(n, nl+1) heights of the source edges, m."""
        pressure = np.maximum(self.edges, HIGHEST_EDGE)
        rise = self._scale * np.log(pressure[:, :-1] / pressure[:, 1:])
        return _from_ground(rise)

    def locate(self, pressure: np.ndarray) -> np.ndarray:
        """(n, m) index of the layer that holds each pressure (n, m)."""
        return _last_not_below(self.edges, pressure)

    def integrate(self, density: np.ndarray, pressure: np.ndarray, layer: np.ndarray) -> np.ndarray:
        """Integral from the ground to a pressure, ∫_p^{p_s} f dp.

        Args:
            density: (n, nl) f, constant within each source layer.
            pressure: (n, m) p, Pa.
            layer: (n, m) from `locate`.

        Returns:
            (n, m) unit of f times Pa.
        """
        below = _from_ground(density * -np.diff(self.edges, axis=1))
        return _pick(below, layer) + _pick(density, layer) * (_pick(self.edges, layer) - pressure)

    def height(self, pressure: np.ndarray, layer: np.ndarray) -> np.ndarray:
        """Height above ground of pressures by the hypsometric equation.

        z(p) = z[k] + R T_v[k] / (g M_d) · ln(e[k] / p)

        Args:
            pressure: (n, m) Pa.
            layer: (n, m) from `locate`.

        Returns:
            (n, m) m; geopotential height, standard gravity.
        """
        pressure = np.maximum(pressure, HIGHEST_EDGE)
        below = np.maximum(_pick(self.edges, layer), HIGHEST_EDGE)
        return _pick(self._heights, layer) + _pick(self._scale, layer) * np.log(below / pressure)

    def pressure_at_height(self, height: np.ndarray) -> np.ndarray:
        """Pressure (n, m) in Pa at heights (m,) in m above ground, the inverse of `height`.

        Raises:
            TanhengError: a height lies above the highest edge.
        """
        highest = self._heights[:, -1].min()
        if height[-1] > highest:
            raise TanhengError(
                "the model's top lies above the analysis",
                got=f"{height[-1]:.0f} m above ground",
                expected=f"at most {highest:.0f} m, the top of the analysis",
                remedy="choose lower edges, or read more levels",
            )
        wanted = np.broadcast_to(height, (self.edges.shape[0], height.size))
        layer = _last_not_below(-self._heights, -wanted)
        return _pick(self.edges, layer) * np.exp((_pick(self._heights, layer) - wanted) / _pick(self._scale, layer))

    def pressure_at_dry_pressure(self, dry_pressure: np.ndarray, top: float) -> np.ndarray:
        """Pressure of moist air where the dry air above weighs `dry_pressure`.

        p_dry(p) = top + ∫_{top}^{p} (1 − q) dp

        Args:
            dry_pressure: (n, m) Pa.
            top: pressure in Pa where the count starts.

        Returns:
            (n, m) Pa.
        """
        rise = _from_ground(self.dry_fraction * -np.diff(self.edges, axis=1))
        dry = self.dry_pressure(top)[:, None] - rise
        layer = _last_not_below(dry, dry_pressure)
        return _pick(self.edges, layer) + (dry_pressure - _pick(dry, layer)) / _pick(self.dry_fraction, layer)

    def dry_pressure(self, top: float) -> np.ndarray:
        """(n,) p_dry at the ground, Pa: top + ∫_{top}^{p_s} (1 − q) dp."""
        high = np.full((self.edges.shape[0], 1), float(top))
        return top + self.integrate(self.dry_fraction, high, self.locate(high))[:, 0]


def _from_ground(steps: np.ndarray) -> np.ndarray:
    """Running sum along the last axis that starts from 0: (n, nl) → (n, nl+1)."""
    total = np.zeros((steps.shape[0], steps.shape[1] + 1))
    np.cumsum(steps, axis=1, out=total[:, 1:])
    return total


def _pick(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    # np.take on the flat array: half the time of take_along_axis.
    start = np.arange(values.shape[0])[:, None] * values.shape[1]
    return values.ravel().take(index + start)


def _last_not_below(edges: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Largest k < nl with edges[k] ≥ wanted, 0 where there is none: (n, nl+1) decreasing, (n, m) → (n, m)."""
    # To count the edges that are not below is faster than bisection for the hundred levels at most that models have.
    count = np.zeros(wanted.shape, dtype=np.int16)
    for k in range(1, edges.shape[1] - 1):
        count += edges[:, k : k + 1] >= wanted
    return count.astype(np.intp)

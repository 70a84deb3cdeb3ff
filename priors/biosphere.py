"""Exchange of CO2 with vegetation, VPRM: uptake from light, warmth, water and greenness, respiration from warmth.

    GEE = −λ T_scale W_scale P_scale EVI PAR / (1 + PAR / PAR0),   PAR = SW / 0.505
    R = max(α T + β, 0), T not below T_low,   NEE = GEE + R            µmol m-2 s-1, uptake negative

(Mahadevan et al. 2008, doi 10.1029/2006GB002735, eq. 1–9). Human respiration is not in it. λ, PAR0, α and β were fitted
to towers of a region, and none are given here: they come from a table that names its reference (`vegetation.py`).
Everything is a pure function of the parameters, so that they can be elements of the control vector.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from inversion.control import Block
from inversion.covariance import AbstractCovariance
from inversion.observations.record import Source
from priors.inventory import MICROMOLES, Inventory
from priors.vegetation import Vegetation
from transport.constants import ZERO_CELSIUS
from transport.errors import TanhengError
from transport.grid import Grid
from transport.units import molar_mass

PAR_PER_WATT = 1.0 / 0.505  # µmol m-2 s-1 per W m-2 of shortwave radiation (Mahadevan et al. 2008, §2)
GREEN_UP = 0.55  # share of the range of EVI above which leaves are full (ibid.)


class Drivers(eqx.Module):
    """What vegetation sees, by the hour.

    Args:
        temperature: (nt, ny, nx) of the air at 2 m, K.
        shortwave: (nt, ny, nx) downward, W m-2; an accumulation in J m-2 over an hour is divided by 3600 first.
        evi: (nt, k, ny, nx) enhanced vegetation index of each class, ≥ 0.
        lswi: (nt, k, ny, nx) land surface water index, −1…1.
        evi_range: (2, k, ny, nx) lowest and highest of the growing season.
        lswi_range: (2, k, ny, nx).
        fraction: (k, ny, nx) share of each class in the area of the cell.
    """

    temperature: Float[Array, "nt ny nx"]
    shortwave: Float[Array, "nt ny nx"]
    evi: Float[Array, "nt k ny nx"]
    lswi: Float[Array, "nt k ny nx"]
    evi_range: Float[Array, "2 k ny nx"]
    lswi_range: Float[Array, "2 k ny nx"]
    fraction: Float[Array, "k ny nx"]

    def check(self, classes: int) -> None:
        """Refuse fields that do not fit each other, or cannot be what they are called.

        Raises:
            TanhengError: names the field.
        """
        if np.ndim(self.temperature) != 3:
            raise TanhengError("temperature of the vegetation cannot be used", got=np.shape(self.temperature),
                               expected="(nt, ny, nx)", remedy="give one field per interval")  # fmt: skip
        nt, ny, nx = self.temperature.shape
        space, times = (classes, ny, nx), (nt, classes, ny, nx)
        # Shares of a cell add up to one at most; a rounded land cover may miss it by its last digit.
        for name, shape, low, high in (
            ("temperature", (nt, ny, nx), 180.0, 340.0), ("shortwave", (nt, ny, nx), -1.0, 1500.0),
            ("evi", times, 0.0, 1.5), ("lswi", times, -1.0, 1.0), ("evi_range", (2, *space), 0.0, 1.5),
            ("lswi_range", (2, *space), -1.0, 1.0), ("fraction", space, 0.0, 1.0),
        ):  # fmt: skip
            values = np.asarray(getattr(self, name))
            if values.shape != shape or not ((values >= low) & (values <= high)).all():
                raise TanhengError(
                    f"{name} of the vegetation cannot be used",
                    got=f"shape {values.shape}" + (f", {values.min():.4g}…{values.max():.4g}" if values.size else ""),
                    expected=f"shape {shape} within {low:g}…{high:g}, none missing",
                    remedy="check units (K, W m-2) and axes (time, class, y, x); fill gaps with vegetation.fill",
                )  # fmt: skip
        ranges = np.stack([np.asarray(self.evi_range), np.asarray(self.lswi_range)])
        covered = float(np.asarray(self.fraction).sum(axis=0).max())
        if not (ranges[:, 1] > ranges[:, 0]).all() or covered > 1.001:
            raise TanhengError(
                "ranges or land cover of the vegetation cannot be used", got=f"land cover adds up to {covered:.4g}, "
                f"{np.count_nonzero(ranges[:, 1] <= ranges[:, 0])} ranges without extent",
                expected="shares of at most one, lowest below highest", remedy="take the range of a whole year",
            )  # fmt: skip


class Light(eqx.Module):
    """Uptake's parameters by class: λ (k,) µmol CO2 per µmol of light, PAR0 (k,) µmol m-2 s-1."""

    lam: Float[Array, " k"]
    par0: Float[Array, " k"]


class LinearRespiration(eqx.Module):
    """R = max(α T + β, 0), T in °C not below T_low: α (k,) µmol m-2 s-1 K-1, β (k,) µmol m-2 s-1."""

    alpha: Float[Array, " k"]
    beta: Float[Array, " k"]


class GreenRespiration(eqx.Module):
    """R = max(β + α1 T' + α2 T'² + γ EVI + θ1 W² + θ2 W² T' + θ3 W² T'², 0), W = W_scale, all (k,).

    T' = T, below T_crit warped to T_crit − T_mult (T_crit − T) (Gourdji et al. 2022, doi 10.1029/2021JG006290).
    """

    beta: Float[Array, " k"]
    alpha1: Float[Array, " k"]
    alpha2: Float[Array, " k"]
    gamma: Float[Array, " k"]
    theta1: Float[Array, " k"]
    theta2: Float[Array, " k"]
    theta3: Float[Array, " k"]
    t_crit: Float[Array, " k"]
    t_mult: Float[Array, " k"]


class Parameters(eqx.Module):
    """Everything that was fitted; checked where it meets its classes, so that it can be traced."""

    light: Light
    respiration: LinearRespiration | GreenRespiration

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the leaves of the tree."""
        return (*Light.__annotations__, *type(self.respiration).__annotations__)

    def check(self, classes: int) -> None:
        """Refuse parameters that are not those of so many classes, or cannot be.

        Raises:
            TanhengError: names the parameter.
        """
        for name, leaf in zip(self.names, jax.tree.leaves(self), strict=True):
            values, above = np.asarray(leaf), 0.0 if name in Light.__annotations__ else -np.inf
            if values.shape != (classes,) or not (np.isfinite(values) & (values > above)).all():
                raise TanhengError(
                    f"{name} of the vegetation cannot be used", got=f"{values.ravel()[:3]} of shape {values.shape}",
                    expected=f"shape ({classes},), finite" + (", above zero" if above == 0 else ""),
                    remedy="give one for each class; the minus sign of uptake is in the model",
                )  # fmt: skip


def _per_class(values) -> Array:
    """(k,) to (k, 1, 1)."""
    return jnp.asarray(values, dtype=float)[:, None, None]


def water_scale(classes: Vegetation, drivers: Drivers) -> Float[Array, "nt k ny nx"]:
    """W_scale: (1 + LSWI)/(1 + LSWI_max), in dry classes (LSWI − LSWI_min)/(LSWI_max − LSWI_min), within 0…1.

    An index above its own highest is noise or snow, and would multiply uptake by anything.
    """
    low, high = drivers.lswi_range
    dry = (drivers.lswi - low) / (high - low)
    return jnp.clip(jnp.where(_per_class(classes.dry) > 0, dry, (1.0 + drivers.lswi) / (1.0 + high)), 0.0, 1.0)


def _temperature_scale(classes: Vegetation, celsius: Array) -> Array:
    low, best, high = (_per_class(t) for t in (classes.t_min, classes.t_opt, classes.t_max))
    product = (celsius - low) * (celsius - high)
    inside = (celsius > low) & (celsius < high)
    # Outside the product is positive and the quotient may be anything.
    return jnp.where(inside, product / jnp.where(inside, product - (celsius - best) ** 2, 1.0), 0.0)


def _leaf_scale(classes: Vegetation, drivers: Drivers) -> Array:
    low, high = drivers.evi_range
    by_water = 0.5 * (1.0 + drivers.lswi)
    full = drivers.evi > low + GREEN_UP * (high - low)
    threshold = jnp.where(full, 1.0, by_water)
    kind = _per_class(classes.leaves)
    return jnp.where(kind == 0, 1.0, jnp.where(kind == 1, threshold, by_water))


def uptake(light: Light, classes: Vegetation, drivers: Drivers) -> Float[Array, "nt k ny nx"]:
    """GEE of each class per area of that class, µmol m-2 s-1, negative."""
    celsius = drivers.temperature[:, None] - ZERO_CELSIUS
    par = jnp.maximum(drivers.shortwave[:, None], 0.0) * PAR_PER_WATT
    scale = _temperature_scale(classes, celsius) * water_scale(classes, drivers) * _leaf_scale(classes, drivers)
    return -_per_class(light.lam) * scale * drivers.evi * par / (1.0 + par / _per_class(light.par0))


def respiration(
    parameters: LinearRespiration | GreenRespiration, classes: Vegetation, drivers: Drivers
) -> Float[Array, "nt k ny nx"]:
    """R of each class per area of that class, µmol m-2 s-1, not negative."""
    celsius = drivers.temperature[:, None] - ZERO_CELSIUS
    if isinstance(parameters, LinearRespiration):
        t = jnp.maximum(celsius, _per_class(classes.t_low))
        return jnp.maximum(_per_class(parameters.alpha) * t + _per_class(parameters.beta), 0.0)
    p = jax.tree.map(_per_class, parameters)
    t = jnp.where(celsius < p.t_crit, p.t_crit - p.t_mult * (p.t_crit - celsius), celsius)
    wet = water_scale(classes, drivers) ** 2
    rate = p.beta + p.alpha1 * t + p.alpha2 * t**2 + p.gamma * drivers.evi
    return jnp.maximum(rate + wet * (p.theta1 + p.theta2 * t + p.theta3 * t**2), 0.0)


def exchange(parameters: Parameters, classes: Vegetation, drivers: Drivers) -> Float[Array, "nt ny nx"]:
    """NEE per area of the cell: Σ_k share_k (GEE_k + R_k), µmol m-2 s-1.

    Args:
        parameters: fitted.
        classes: of vegetation, k of them.
        drivers: fields.
    """
    net = uptake(parameters.light, classes, drivers) + respiration(parameters.respiration, classes, drivers)
    return jnp.sum(net * drivers.fraction, axis=1)


def inventory(
    parameters: Parameters, classes: Vegetation, drivers: Drivers, grid: Grid, times: np.ndarray,
    sources: tuple[Source, ...] = (),
) -> Inventory:  # fmt: skip
    """Uptake and respiration of each class as mass: sectors "grass uptake", "grass respiration", …

    Sums over a region, with its sinks by class, are then those of any inventory: `Inventory.totals(inside)`.

    Args:
        parameters: fitted.
        classes: of vegetation, k of them.
        drivers: fields of nt intervals.
        grid: cells.
        times: (nt+1,) edges of the intervals, UTC.
        sources: tables and files that it was made from.

    Raises:
        TanhengError: drivers or parameters that do not fit or cannot be.
    """
    drivers.check(len(classes.names))
    parameters.check(len(classes.names))
    kilograms = molar_mass("CO2") / MICROMOLES * grid.areas
    parts = (uptake(parameters.light, classes, drivers), respiration(parameters.respiration, classes, drivers))
    rates = [np.moveaxis(np.asarray(p * drivers.fraction), 1, 0) * kilograms for p in parts]
    sectors = [f"{name} {what}" for what in ("uptake", "respiration") for name in classes.names]
    return Inventory("CO2", tuple(sectors), np.concatenate(rates), grid, times, "VPRM", (*sources, *classes.sources))


def block(
    name: str, parameters: Parameters, classes: Vegetation, drivers: Drivers, covariance: AbstractCovariance
) -> Block:
    """The fitted parameters as elements of the control vector, linearised: F(p) ≈ F(p₀) + Σ_j ∂F/∂p_j x_j.

    x = p − p₀, each in the unit of its parameter, in the order of `Parameters.names`, classes within; F(p₀), of
    `exchange`, belongs into the problem's b. λ, α, β are exact where respiration stays above zero, PAR0 is not.

    Args:
        name: unique name.
        parameters: p₀.
        classes: of vegetation, k of them.
        drivers: fields on the grid and intervals of the transport.
        covariance: of x.

    Raises:
        TanhengError: drivers or parameters that do not fit or cannot be.
    """
    drivers.check(len(classes.names))
    parameters.check(len(classes.names))
    leaves, structure = jax.tree.flatten(parameters)
    count, k = len(leaves), len(classes.names)

    def flux(vector):
        return exchange(jax.tree.unflatten(structure, list(vector.reshape(count, k))), classes, drivers)

    at = jnp.stack([jnp.asarray(leaf, dtype=float) for leaf in leaves]).ravel()
    # One direction at a time: all at once would hold count · k copies of every field of the classes.
    derivative = jax.jit(lambda direction: jax.jvp(flux, (at,), (direction,))[1])
    base = np.stack([np.asarray(derivative(direction)) for direction in jnp.eye(count * k)])
    index = np.arange(count * k)[:, None, None, None]
    axes = (("parameter", np.array(parameters.names)), ("vegetation", np.array(classes.names)))
    return Block(name, "surface", base, index, np.zeros(count * k), covariance, "that of the parameter", axes)

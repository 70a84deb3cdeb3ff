"""The usual blocks of a control vector: fluxes, point sources, boundaries, offsets and satellite biases.

Every builder counts the elements of x in the order of its axes, the first the slowest, so that a prior covariance is
a Kronecker product of one factor per axis: `Kronecker((sectors, OrnsteinUhlenbeck(steps.hours, τ), cells))`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from inversion.basis import OUTSIDE, Basis
from inversion.control import Block
from inversion.covariance import AbstractCovariance
from inversion.steps import Steps
from transport.errors import TanhengError
from transport.sources import Sources


def _mean(value, size: int) -> np.ndarray:
    mean = np.asarray(value, dtype=float)
    return mean.ravel() if mean.ndim else np.full(size, float(mean))


def _located(basis: Basis) -> tuple[np.ndarray, np.ndarray, int]:
    """Index of each cell in W x, its share in the block (0 outside a partition), and the length of W x per step."""
    if basis.weights is not None:
        count = basis.shape[0] * basis.shape[1]
        return np.arange(count).reshape(basis.shape), np.ones(basis.shape), count
    index = np.asarray(basis.index)
    return np.maximum(index, 0), (index != OUTSIDE).astype(float), basis.size


def _int32(index: np.ndarray) -> np.ndarray:
    """Half the memory where it is enough."""
    return index.astype(np.int32) if index.size == 0 or index.max() < 2**31 else index


def scaling(
    name: str, flux: np.ndarray, basis: Basis, steps: Steps, covariance: AbstractCovariance,
    sectors: Sequence[str] = (), mean=1.0,
) -> Block:  # fmt: skip
    """Factors on a surface flux: F(t, cell) = Σ_s flux_s(t, cell) · (W x_s,step(t))(cell).

    Cells outside the basis are not in the block: what is left out, `remainder`, belongs into the problem's b. For EOF
    patterns give mean=0: x then moves the flux away from the prior, and the whole prior flux belongs into b.

    Args:
        name: unique name.
        flux: (nt, ny, nx), or (sectors, nt, ny, nx), in µmol m-2 s-1.
        basis: cells to elements.
        steps: intervals to time steps.
        covariance: of the elements in the order sector, step, element.
        sectors: names, where flux has that axis.
        mean: prior mean, one number or one per element.

    Raises:
        TanhengError: a flux that does not fit basis, steps and sectors.
    """
    flux = np.asarray(flux, dtype=float)
    expected = (*((len(sectors),) if sectors else ()), len(steps.index), *basis.shape)
    if flux.shape != expected:
        raise TanhengError(
            f"the flux of control block {name} does not fit", got=f"{flux.shape}", expected=f"{expected}",
            remedy="give (sector, time, y, x) on the grid of the basis and the intervals of the steps",
        )  # fmt: skip
    cell, share, count = _located(basis)
    sector = np.arange(max(1, len(sectors)))[:, None, None, None]
    index = (sector * steps.size + steps.index[:, None, None]) * count + cell
    size = max(1, len(sectors)) * steps.size * basis.size
    axes = (("sector", np.array(sectors)),) if sectors else ()
    return Block(
        name, "surface", flux * share, _int32(index).reshape(flux.shape), _mean(mean, size), covariance, "1",
        (*axes, ("time", steps.labels), ("element", basis.labels)), basis.weights,
    )  # fmt: skip


def additive(name: str, basis: Basis, steps: Steps, covariance: AbstractCovariance, mean=0.0) -> Block:
    """Fluxes themselves: F(t, cell) = (W x_step(t))(cell), x in µmol m-2 s-1, beside what other blocks or b emit.

    Args:
        name: unique name.
        basis: cells to elements.
        steps: intervals to time steps.
        covariance: of the elements in the order step, element, (µmol m-2 s-1)².
        mean: prior mean, one number or one per element.
    """
    ones = np.ones((len(steps.index), *basis.shape))
    block = scaling(name, ones, basis, steps, covariance, mean=mean)
    return Block(name, "surface", block.base, block.index, block.mean, covariance, "umol m-2 s-1", block.axes,
                 block.weights)  # fmt: skip


def remainder(flux: np.ndarray, basis: Basis) -> np.ndarray:
    """What a scaling block leaves out of a flux (…, ny, nx): flux · (1 − Σ_k W), so that both together are the flux."""
    return flux * (1.0 - basis.covered)


def points(
    name: str, release: np.ndarray, labels: Sequence[str], steps: Steps, covariance: AbstractCovariance, mean=1.0
) -> Block:
    """Factors on point sources, per time step and source.

    Args:
        name: unique name.
        release: (nt, n) in µmol s-1.
        labels: (n,) names of the sources.
        steps: intervals to time steps.
        covariance: of the elements in the order step, source.
        mean: prior mean.
    """
    release = np.asarray(release, dtype=float)
    if release.shape != (len(steps.index), len(labels)):
        raise TanhengError(
            f"the release of control block {name} does not fit", got=f"{release.shape}",
            expected=f"({len(steps.index)}, {len(labels)})", remedy="give (time, source)",
        )  # fmt: skip
    index = steps.index[:, None] * len(labels) + np.arange(len(labels))
    return Block(
        name, "points", release, index, _mean(mean, steps.size * len(labels)), covariance, "1",
        (("time", steps.labels), ("source", np.array(labels))),
    )  # fmt: skip


# --- the air that comes in --------------------------------------------------------------------------------------------
def boundary(
    name: str, side: str, structure: Sources, bands: Steps, steps: Steps, covariance: AbstractCovariance,
    pattern: np.ndarray | None = None, mean=None,
) -> Block:  # fmt: skip
    """Columns for one side of the domain, per time step and height band.

    Args:
        name: unique name.
        side: "west", "east", "south", "north" or "top"; the top has no bands, one for all.
        structure: of the transport's input.
        bands: layers to height bands, from `steps.bands`.
        steps: intervals to time steps.
        covariance: of the elements in the order step, band.
        pattern: (nt, nz, n) curtain in ppm that x scales around 1; None for an offset in ppm around 0.
        mean: prior mean in place of that.
    """
    shape = getattr(structure.boundary, side).shape
    band = np.zeros(shape[1], int) if side == "top" else bands.index
    labels = np.array(["top"]) if side == "top" else bands.labels
    if (len(steps.index), len(band)) != shape[:2]:
        raise TanhengError(
            f"steps and bands of control block {name} do not fit", got=f"{(len(steps.index), len(band))}",
            expected=f"{shape[:2]} intervals and layers", remedy="build them on the transport's hours and levels",
        )  # fmt: skip
    index = steps.index[:, None, None] * len(labels) + band[:, None]
    default, unit = (0.0, "ppm") if pattern is None else (1.0, "1")
    return Block(
        name, side, np.ones(shape) if pattern is None else np.asarray(pattern, float), index,
        _mean(default if mean is None else mean, steps.size * len(labels)), covariance, unit,
        (("time", steps.labels), ("height", labels)),
    )  # fmt: skip


def initial(
    name: str, structure: Sources, bands: Steps, covariance: AbstractCovariance, basis: Basis | None = None,
    pattern: np.ndarray | None = None, mean=None,
) -> Block:  # fmt: skip
    """The air at the start, per height band and, with a basis, per horizontal element.

    Args:
        name: unique name.
        structure: of the transport's input.
        bands: layers to height bands.
        covariance: of the elements in the order band, element.
        basis: cells to elements; None for one element per band.
        pattern: (nz, ny, nx) in ppm that x scales around 1; None for an offset in ppm around 0.
        mean: prior mean in place of that.
    """
    shape = structure.initial.shape
    if basis is None:
        basis = Basis((shape[1], shape[2]), np.array(["all"]), index=np.zeros(shape[1:], int))
    if (len(bands.index), *basis.shape) != shape:
        raise TanhengError(
            f"bands and basis of control block {name} do not fit", got=f"{(len(bands.index), *basis.shape)}",
            expected=f"{shape}", remedy="build them on the transport's levels and grid",
        )  # fmt: skip
    cell, share, count = _located(basis)
    index = np.broadcast_to(bands.index[:, None, None] * count + cell, shape)
    default, unit = (0.0, "ppm") if pattern is None else (1.0, "1")
    return Block(
        name, "initial", share * (np.ones(shape) if pattern is None else pattern), index,
        _mean(default if mean is None else mean, bands.size * basis.size), covariance, unit,
        (("height", bands.labels), ("element", basis.labels)), basis.weights,
    )  # fmt: skip


# --- columns on modelled observations ---------------------------------------------------------------------------------
def offsets(
    name: str, groups: np.ndarray, chosen: Sequence[str], covariance: AbstractCovariance, unit: str = "ppm",
    steps: Steps | None = None,
) -> Block:  # fmt: skip
    """A constant added to the observations of each chosen group (site, instrument), per time step.

    Args:
        name: unique name.
        groups: (n_obs,) group of each observation.
        chosen: groups that have an offset; the others have none.
        covariance: of the elements in the order step, group.
        unit: of the observations.
        steps: observations to time steps; None for one offset over all time.

    Raises:
        TanhengError: a chosen group without observation.
    """
    return bias(name, {"constant": 1.0}, groups, chosen, covariance, unit, steps)


def bias(
    name: str, predictors: Mapping[str, np.ndarray | float], groups: np.ndarray, chosen: Sequence[str],
    covariance: AbstractCovariance, unit: str = "ppm", steps: Steps | None = None,
) -> Block:  # fmt: skip
    """Bias of satellites that depends on the scene: Σ_p x_group,p · predictor_p, such as air mass, albedo, scan angle.

    Estimated together with the fluxes, as Bergamaschi et al. (2009, doi 10.1029/2009JD012287) do with a bias in
    latitude and month. A predictor is best centred and divided by its spread, so that x is in the unit of the
    observations and one σ serves all.

    Args:
        name: unique name.
        predictors: name to (n_obs,) values, or a number for a constant.
        groups: (n_obs,) instrument of each observation.
        chosen: instruments that have a bias.
        covariance: of the elements in the order step, group, predictor.
        unit: of the observations.
        steps: observations to time steps; None for one set of coefficients.

    Raises:
        TanhengError: a chosen group without observation; a predictor of another length or not finite there.
    """
    groups, n, k = np.asarray(groups), len(groups), len(predictors)
    missing = [c for c in chosen if c not in groups]
    if missing or not len(chosen):
        raise TanhengError(f"control block {name} is for groups without observation", got=missing,
                           expected=f"some of {sorted(set(map(str, groups)))}", remedy="leave them out")  # fmt: skip
    group = np.array([list(chosen).index(g) if g in chosen else OUTSIDE for g in groups])
    inside, base = group != OUTSIDE, np.zeros((k, n))
    for row, (label, values) in zip(base, predictors.items(), strict=True):
        if np.shape(values) not in ((), (n,)) or not np.isfinite(np.broadcast_to(values, n)[inside]).all():
            raise TanhengError(
                f"predictor {label} of control block {name} does not fit", got=f"shape {np.shape(values)}",
                expected=f"{n} values, finite for {', '.join(chosen)}", remedy="reject soundings that lack it",
            )  # fmt: skip
        row[inside] = np.broadcast_to(values, n)[inside]
    step, labels = (np.zeros(n, int), ()) if steps is None else (steps.index, (("time", steps.labels),))
    index = (step * len(chosen) + np.maximum(group, 0)) * k + np.arange(k)[:, None]
    size = (1 if steps is None else steps.size) * len(chosen) * k
    predictor = (("predictor", np.array(list(predictors))),) if k > 1 else ()
    return Block(
        name, "observation", base, index, np.zeros(size), covariance, unit,
        (*labels, ("group", np.array(chosen)), *predictor),
    )  # fmt: skip


def air_mass(solar_zenith: np.ndarray, viewing_zenith: np.ndarray) -> np.ndarray:
    """Geometric air mass factor 1/cos θ₀ + 1/cos θ, angles in degrees."""
    return 1.0 / np.cos(np.deg2rad(solar_zenith)) + 1.0 / np.cos(np.deg2rad(viewing_zenith))

"""R of a network: transport error correlated between sites and in time, and measurement error that is not.

R_ij = τ_i τ_j ρ(d_ij/L) exp(−|t_i − t_j|/T) + μ_i² δ_ij

(Lauvaux et al. 2009, doi 10.5194/bg-6-1089-2009, for correlations of the transport error in space and time.)
"""

import itertools

import jax.numpy as jnp
import numpy as np

from inversion.covariance.base import DENSE_LIMIT, AbstractCovariance, is_concrete, require_positive
from inversion.covariance.combined import BlockDiagonal, Permuted, Scaled
from inversion.covariance.dense import Dense
from inversion.covariance.diagonal import Diagonal
from inversion.covariance.kernels import AbstractKernel
from inversion.covariance.kronecker import Kronecker, KroneckerSum
from inversion.covariance.partial import Selected, Sum
from inversion.covariance.temporal import NoisyOrnsteinUhlenbeck, OrnsteinUhlenbeck
from transport.errors import TanhengError


def network(
    site, time, distance, kernel: AbstractKernel, scale, transport, measurement, limit: int = DENSE_LIMIT
) -> AbstractCovariance:
    """R of observations of several sites.

    A complete table of sites × times whose ratio of the two errors depends on the site alone, or on the time alone, is
    kept as a sum of two Kronecker products; anything else becomes a matrix up to `limit` rows and, beyond, a
    matrix-free sum that can be multiplied and solved. Sites may coincide (inlets of one tower): the measurement error
    keeps R definite.

    Args:
        site: (m,) index of each observation's site.
        time: (m,) its time, in the unit of `scale`.
        distance: (s, s) between sites, in the unit of the kernel's length, from `distance.separations`.
        kernel: ρ with L.
        scale: T, e-folding time of the transport error.
        transport: (m,) standard deviation τ of the transport error.
        measurement: (m,) standard deviation μ of the error that is independent.
        limit: largest m for which a matrix is formed.

    Raises:
        TanhengError: lengths that differ, errors that are not positive, a site without distances, a kernel that is no
            correlation for these distances.
    """
    site, time = np.asarray(site), np.asarray(time, dtype=float)
    transport, measurement = np.asarray(transport, dtype=float), np.asarray(measurement, dtype=float)
    shapes = [a.shape for a in (site, time, transport, measurement)]
    sites = np.shape(distance)[0]
    if len(set(shapes)) != 1 or not (site.min() >= 0 and site.max() < sites) or not np.isfinite(time).all():
        raise TanhengError(
            "the parts of a network's R do not fit", got=f"shapes {shapes}, sites {site.min()}…{site.max()}",
            expected=f"one shape (m,), sites 0…{sites - 1}, finite times", remedy="give one entry per observation",
        )  # fmt: skip
    require_positive("a transport error", transport)
    require_positive("a measurement error", measurement)
    hours, hour = np.unique(time, return_inverse=True)
    row = site * hours.size + hour
    space, in_time = _between_sites(kernel, distance), OrnsteinUhlenbeck(hours, scale)
    if row.size == sites * hours.size and np.unique(row).size == row.size:
        table = _complete(space, in_time, transport, measurement, row, (sites, hours.size))
        if table is not None:
            return table
    if row.size <= limit:
        rho = space.matrix[site[:, None], site] * jnp.exp(-np.abs(time[:, None] - time) / scale)
        return Dense(transport[:, None] * rho * transport + np.diag(measurement**2))
    whole = Kronecker((space, in_time))
    return Sum((Scaled(transport, Selected(row, whole, limit=0)), Diagonal(measurement)), limit=0)


def _between_sites(kernel: AbstractKernel, distance) -> Dense:
    """ρ between sites: it may be singular, but not negative."""
    space = Dense(kernel(jnp.asarray(distance, dtype=float)))
    if is_concrete(space.matrix):
        lowest = float(np.linalg.eigvalsh(np.asarray(space.matrix))[0])
        if not lowest >= -1e-10:
            raise TanhengError(
                f"a {type(kernel).__name__} of these distances is no correlation",
                got=f"smallest eigenvalue {lowest:.3e}", expected="≥ 0", remedy="take inversion.distance.separations",
            )  # fmt: skip
    return space


def independent_sites(site, time, scale, transport, measurement) -> AbstractCovariance:
    """R without correlation between sites, in O(m): R_ij as above with ρ = 1 within a site and 0 between sites.

    Args:
        site: (m,) index or name of each observation's site.
        time: (m,) its time, in the unit of `scale`; different times within a site.
        scale: T, e-folding time of the transport error.
        transport: (m,) standard deviation τ.
        measurement: (m,) standard deviation μ.

    Raises:
        TanhengError: errors that are not positive, two observations of one site at one time.
    """
    site, time = np.asarray(site), np.asarray(time, dtype=float)
    by_site = np.lexsort((time, site))
    transport, measurement = np.asarray(transport)[by_site], np.asarray(measurement)[by_site]
    bounds = [*np.flatnonzero(np.r_[True, site[by_site][1:] != site[by_site][:-1]]), site.size]
    blocks = [
        NoisyOrnsteinUhlenbeck(time[by_site[i:j]], scale, transport[i:j], measurement[i:j])
        for i, j in itertools.pairwise(bounds)
    ]
    return Permuted(np.argsort(by_site), BlockDiagonal(tuple(blocks)))


def _complete(space, in_time, transport, measurement, row, shape) -> AbstractCovariance | None:
    """τ (ρ_s ⊗ ρ_t + q ⊗ 1) τ with q = μ²/τ² per site (or 1 ⊗ q per time); None where q varies in both."""
    ratio = np.empty(row.size)
    ratio[row] = measurement / transport
    table = ratio.reshape(shape)
    if np.ptp(table, axis=1).max() <= 1e-12 * table.max():
        noise = Kronecker((Diagonal(table[:, 0]), Diagonal.identity(shape[1])))
    elif np.ptp(table, axis=0).max() <= 1e-12 * table.max():
        noise = Kronecker((Diagonal.identity(shape[0]), Diagonal(table[0])))
    else:
        return None
    return Scaled(transport, Permuted(row, KroneckerSum(Kronecker((space, in_time)), noise)))

"""Covariances as an algebra: a few actions each, never a bare matrix in an interface.

Every covariance C offers C v, C^½ v (C = C^½ C^½ᵀ), C^½ᵀ v, C⁻¹ v, log det C and diag C. The square root is never
its own transpose unless it says so: solvers that need C^½ᵀ take it from here, by name.
"""

from inversion.covariance.base import AbstractCovariance
from inversion.covariance.combined import BlockDiagonal, Permuted, Scaled
from inversion.covariance.dense import Dense, correlation, exponential
from inversion.covariance.diagonal import Diagonal
from inversion.covariance.kernels import (
    KERNELS,
    AbstractKernel,
    Balgovind,
    Exponential,
    GaspariCohn,
    Gaussian,
    Matern32,
    Matern52,
    Spherical,
)
from inversion.covariance.kronecker import Kronecker, KroneckerSum
from inversion.covariance.low_rank import LowRankPlusDiagonal
from inversion.covariance.mismatch import independent_sites, network
from inversion.covariance.partial import Selected, Sum
from inversion.covariance.temporal import NoisyOrnsteinUhlenbeck, OrnsteinUhlenbeck, ar1

__all__ = [
    "KERNELS", "AbstractCovariance", "AbstractKernel", "Balgovind", "BlockDiagonal", "Dense", "Diagonal",
    "Exponential", "GaspariCohn", "Gaussian", "Kronecker", "KroneckerSum", "LowRankPlusDiagonal", "Matern32",
    "Matern52", "NoisyOrnsteinUhlenbeck", "OrnsteinUhlenbeck", "Permuted", "Scaled", "Selected", "Spherical", "Sum",
    "ar1", "correlation", "exponential", "independent_sites", "network",
]  # fmt: skip

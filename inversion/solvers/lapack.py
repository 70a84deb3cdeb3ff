"""The analytic solution in state space by LAPACK and BLAS, where arrays are on a CPU anyway.

XLA on a CPU has neither a symmetric product nor an inverse from a Cholesky factor, and no use for triangles of zeros:
it takes 2 m n² + 10/3 n³ operations, LAPACK m n² + 4/3 n³, and there is nothing to compile.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from inversion.covariance import AbstractCovariance, Dense, Diagonal, Scaled
from inversion.problem import Problem

potrf, potri, potrs, trtri = get_lapack_funcs(("potrf", "potri", "potrs", "trtri"), dtype=np.float64)
syrk, trsm, trsv = get_blas_funcs(("syrk", "trsm", "trsv"), dtype=np.float64)


def _inverse(B: AbstractCovariance) -> np.ndarray:
    """B⁻¹, of which only the upper triangle counts; in Fortran's order and writable."""
    if isinstance(B, Scaled):
        sigma = np.asarray(B.sigma)
        return np.asfortranarray(_inverse(B.inner) / sigma / sigma[:, None])
    if isinstance(B, Dense):
        return potri(np.asarray(B.factor).T, lower=0)[0]
    return np.array(B.solve(jnp.eye(B.size)), order="F")


def state_space_lapack(problem: Problem):
    """x̂, the Cholesky factor of the precision, and diag A, as `analytic.state_space` has them."""
    H, d, R = np.asarray(problem.matrix), np.asarray(problem.departure()), problem.R
    if isinstance(R, Dense):
        root = np.asarray(R.factor).T  # upper, R = rootᵀ root
        G, e = trsm(1.0, root, H.T, side=1, lower=0), trsv(root, d, lower=0, trans=1)
    else:
        sigma = np.sqrt(np.asarray(R.diagonal()))
        G, e = (H / sigma[:, None]).T, d / sigma
    precision = syrk(1.0, G, beta=1.0, c=_inverse(problem.B), lower=0, overwrite_c=1)
    upper, failed = potrf(precision, lower=0, overwrite_a=1)
    if failed:
        upper = np.full_like(upper, np.nan)
    mean = np.asarray(problem.x_b) + potrs(upper, G @ e, lower=0)[0]
    inverse = trtri(upper, lower=0)[0]
    return jnp.asarray(mean), jnp.asarray(upper.T), jnp.asarray(np.einsum("ij,ij->i", inverse, inverse))


def applies(problem: Problem) -> bool:
    """Whether arrays are in double precision on a CPU, and R is a matrix or diagonal."""
    on_cpu = jax.default_backend() == "cpu" and problem.x_b.dtype == float
    return on_cpu and isinstance(problem.R, Dense | Diagonal)

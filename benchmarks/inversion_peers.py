"""Peers of `benchmarks.inversion`: run in the environment of the peer, in their own process, importing none of ours.

    python inversion_peers.py NAME PROBLEM.npz ANSWER.npz

Every line on standard input is one request to solve; the answer to each is one line of JSON with the seconds. What is
timed begins with arrays in memory and ends with the mean and standard deviation of every unknown and the totals with
their covariance, which go to ANSWER.npz.
"""

import importlib.metadata
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Answer = dict[str, np.ndarray]


def totals(W: np.ndarray, x: np.ndarray, A: np.ndarray) -> Answer:
    return {"mean": x, "sigma": np.sqrt(np.diag(A)), "totals": W @ x, "covariance": W @ A @ W.T}


# --- dense linear algebra ---
def numpy_normal(p: Answer) -> Answer:
    """A = (B⁻¹ + Hᵀ R⁻¹ H)⁻¹, x̂ = x_b + A Hᵀ R⁻¹ d as it stands in the textbook, with numpy.linalg.inv."""
    H, d = p["H"], p["y"] - p["H"] @ p["x_b"]
    RinvH = H / p["R"][:, None] ** 2 if p["R"].ndim == 1 else np.linalg.inv(p["R"]) @ H
    A = np.linalg.inv(np.linalg.inv(p["B"]) + H.T @ RinvH)
    return totals(p["W"], p["x_b"] + A @ (RinvH.T @ d), A)


def scipy_state(p: Answer) -> Answer:
    """The same by Cholesky: R = L_R L_Rᵀ, G = L_R⁻¹ H, and GᵀG as one symmetric product."""
    from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

    H, d = p["H"], p["y"] - p["H"] @ p["x_b"]
    if p["R"].ndim == 1:
        G, e = H / p["R"][:, None], d / p["R"]
    else:
        root = cholesky(p["R"], lower=True, check_finite=False)
        G, e = (solve_triangular(root, v, lower=True, check_finite=False) for v in (H, d))
    identity = np.eye(H.shape[1])
    prior = cho_solve(cho_factor(p["B"], check_finite=False), identity, check_finite=False)
    factor = cho_factor(prior + G.T @ G, lower=True, check_finite=False)
    x = p["x_b"] + cho_solve(factor, G.T @ e, check_finite=False)
    inverse = solve_triangular(factor[0], identity, lower=True, overwrite_b=True, check_finite=False)
    half = cho_solve(factor, p["W"].T, check_finite=False)
    return {"mean": x, "sigma": np.sqrt((inverse**2).sum(axis=0)), "totals": p["W"] @ x, "covariance": p["W"] @ half}


def scipy_observation(p: Answer) -> Answer:
    """S = H B Hᵀ + R, K = B Hᵀ S⁻¹ by Cholesky; the variances from L_S⁻¹ H B."""
    from scipy.linalg import cho_factor, cho_solve, solve_triangular

    H, W, d = p["H"], p["W"], p["y"] - p["H"] @ p["x_b"]
    HB = H @ p["B"]
    S = HB @ H.T
    if p["R"].ndim == 1:
        S[np.diag_indices_from(S)] += p["R"] ** 2
    else:
        S += p["R"]
    factor = cho_factor(S, lower=True, overwrite_a=True, check_finite=False)
    x = p["x_b"] + HB.T @ cho_solve(factor, d, check_finite=False)
    gained = solve_triangular(factor[0], HB, lower=True, check_finite=False)
    seen = gained @ W.T
    sigma = np.sqrt(np.diag(p["B"]) - (gained**2).sum(axis=0))
    return {"mean": x, "sigma": sigma, "totals": W @ x, "covariance": W @ (p["B"] @ W.T) - seen.T @ seen}


def scipy_lapack(p: Answer) -> Answer:
    """State space with LAPACK's inverses from a factor (potri) and BLAS's symmetric product: half of the operations."""
    from scipy.linalg import blas, lapack

    H, d = np.asfortranarray(p["H"].T), p["y"] - p["H"] @ p["x_b"]
    if p["R"].ndim == 1:
        G, e = H / p["R"], d / p["R"]
    else:
        root = lapack.dpotrf(p["R"], lower=0, clean=0)[0]
        G, e = blas.dtrsm(1.0, root, H, side=1, lower=0), blas.dtrsv(root, d, lower=0, trans=1)
    precision = lapack.dpotri(lapack.dpotrf(p["B"], lower=1)[0], lower=1, overwrite_c=1)[0]
    precision = blas.dsyrk(1.0, G, beta=1.0, c=precision, lower=1, overwrite_c=1)
    factor = lapack.dpotrf(precision, lower=1, overwrite_a=1)[0]
    x = p["x_b"] + lapack.dpotrs(factor, G @ e, lower=1)[0]
    half = lapack.dpotrs(factor, p["W"].T, lower=1)[0]
    inverse = lapack.dtrtri(factor, lower=1)[0]
    sigma = np.sqrt(np.einsum("ij,ij->j", inverse, inverse))
    return {"mean": x, "sigma": sigma, "totals": p["W"] @ x, "covariance": p["W"] @ half}


# --- fips ---
def fips_problem(p: Answer) -> Callable[[], Answer]:
    """fips by its own interface, from labelled pandas objects that are made beforehand, to its labelled results."""
    import pandas as pd
    from fips import InverseProblem

    H = p["H"]
    state, obs = pd.Index(range(H.shape[1]), name="cell"), pd.Index(range(H.shape[0]), name="sample")
    R = np.diag(p["R"] ** 2) if p["R"].ndim == 1 else p["R"]
    prior, observed = pd.Series(p["x_b"], state, name="flux"), pd.Series(p["y"], obs, name="concentration")
    operator = pd.DataFrame(H, index=obs, columns=state)
    prior_error, mismatch = pd.DataFrame(p["B"], state, state), pd.DataFrame(R, obs, obs)

    def solve() -> Answer:
        problem = InverseProblem(
            obs=observed, prior=prior, forward_operator=operator, prior_error=prior_error, modeldata_mismatch=mismatch
        ).solve("bayesian")
        return totals(p["W"], problem.posterior.values, np.asarray(problem.posterior_error.values))

    return solve


def fips_estimator(p: Answer) -> Answer:
    """The arithmetic of fips alone, on NumPy arrays."""
    from fips.estimators import BayesianSolver

    R = np.diag(p["R"] ** 2) if p["R"].ndim == 1 else p["R"]
    solver = BayesianSolver(z=p["y"], x_0=p["x_b"], H=p["H"], S_0=p["B"], S_z=R)
    return totals(p["W"], solver.x_hat, solver.S_hat)


# --- RHIME of openghg_inversions ---
def rhime(p: Answer, hierarchical: bool, chains: int, tune: int, draws: int, seed: int) -> Answer:
    """PyMC's NUTS on the model of `run_rhime`, by its own builder and sampler, in its own precision (float32).

    Log-normal x with a fixed error, or (hierarchical) Gaussian x with one more standard deviation per site.
    """
    import xarray as xr
    from openghg_inversions.observation_error import resolve_aggregation_error
    from openghg_inversions.rhime.sampling import RhimeSampler
    from openghg_inversions.rhime.specs import AdditiveSigmaSettings, FixedErrorSettings
    from openghg_inversions.rhime.standard import build_standard_rhime_model

    names = {"nmeasure": np.arange(len(p["y"])), "site": ("nmeasure", np.char.add("site", p["site"].astype(str)))}

    def series(name):
        return xr.DataArray(p[name], dims="nmeasure", coords=names)

    likelihood = FixedErrorSettings()
    prior = {"pdf": "lognormal", "mean": 1.0, "stdev": 0.5, "reparameterise": True}
    if hierarchical:
        prior = {"pdf": "normal", "mu": 1.0, "sigma": 0.5}
        sigma = {"pdf": "lognormal", "mu": float(np.log(0.5)), "sigma": 0.7}
        likelihood = AdditiveSigmaSettings(sigma_prior=sigma, sigma_per_site=True)
    region = {"region": np.arange(p["H"].shape[1])}
    H = xr.DataArray(p["H"].T, dims=("region", "nmeasure"), coords=names | region)
    data = xr.Dataset({"mf": series("y"), "mf_error": series("error")})
    start = time.perf_counter()
    model = build_standard_rhime_model(
        H, observations=data["mf"], observation_error=data["mf_error"],
        aggregation_error=resolve_aggregation_error(data, "none"), likelihood_settings=likelihood,
        x_prior=prior, use_bc=False,
    )  # fmt: skip
    model.logp_dlogp_function(ravel_inputs=True)  # compiles what NUTS will call
    compiled = time.perf_counter() - start
    sampler = RhimeSampler(
        draws=draws, burn=0, tune=tune, chains=chains, progressbar=False, sample_prior_predictive=False,
        sample_posterior_predictive=False,
        sample_kwargs={"random_seed": seed, "cores": min(chains, 2), "compute_convergence_checks": False},
    )  # fmt: skip
    trace = sampler.sample(model)
    whole = time.perf_counter() - start
    # PyMC's own clock covers warm-up and draws and leaves out compilation and what comes after the chains.
    sampling = float(trace.posterior.attrs.get("sampling_time", np.nan))
    found = {"draws": trace.posterior["x"].values, "divergences": trace.sample_stats["diverging"].values.sum()}
    if hierarchical:
        found["theta"] = trace.posterior["sigma"].values.reshape(chains, draws, -1)
    return found | {"sampling": np.asarray(sampling), "whole": np.asarray(whole), "compiled": np.asarray(compiled)}


def solver(name: str, p: Answer, options: dict) -> Callable[[], Answer]:
    """What one request does."""
    if name == "fips":
        return fips_problem(p)
    if name.startswith("rhime"):
        return lambda: rhime(p, name == "rhime hierarchical", **options)
    named = {
        "numpy": numpy_normal, "scipy state": scipy_state, "scipy observation": scipy_observation,
        "scipy lapack": scipy_lapack, "fips arithmetic": fips_estimator,
    }  # fmt: skip
    return lambda: named[name](p)


def versions(*names: str) -> dict[str, str]:
    """Of the packages that are installed here."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def serve(solve: Callable[[], Answer], answer: Path) -> None:
    """One JSON line for every line of standard input; the first answer is written down."""
    used = versions("numpy", "scipy", "jax", "fips", "openghg_inversions", "pymc")
    for at, _ in enumerate(sys.stdin):
        before = time.process_time()
        start = time.perf_counter()
        found = solve()
        seconds = time.perf_counter() - start
        cpu = time.process_time() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        extra = {k: v for k, v in found.items() if isinstance(v, str | float | int)}
        if at == 0:
            np.savez(answer, **{k: v for k, v in found.items() if k not in extra})
        line = {"seconds": seconds, "cpu": cpu, "peak": peak, "versions": used} | extra
        print("answer " + json.dumps(line), flush=True)


def main() -> None:
    name, problem, answer, options = sys.argv[1:5]
    with np.load(problem) as file:
        p = dict(file)
    serve(solver(name, p, json.loads(options)), Path(answer))


if __name__ == "__main__":
    main()

"""summary.json: the numbers of a run. manifest.json: what they were made from."""

import dataclasses
import datetime
import importlib.metadata
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from experiments.cases import Citation
from experiments.comparison import Beside, stated, summarised
from experiments.outcome import Outcome
from inversion.diagnostics import rmse
from inversion.observations import Observations

_REPORTED = (
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "xarray",
    "equinox",
    "lineax",
    "cartopy",
    "pyproj",
    "h5py",
    "hydra-core",
)


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def summarise(outcome: Outcome, wall_seconds: float, accounts: Sequence[Beside] = ()) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        outcome: the solved case.
        wall_seconds: of the run so far.
        accounts: totals beside accounts.
    """
    setup, diagnostics = outcome.setup, outcome.diagnostics
    measured = outcome.measured
    totals, measurands = [], setup.totals.measurands or (None,) * len(outcome.totals)
    for total, measurand in zip(outcome.totals, measurands, strict=True):
        entry = dataclasses.asdict(total) | {"interval": list(total.interval)}
        if total.quantiles is not None:
            entry["k"] = None
        entry["measurand"] = None if measurand is None else stated(measurand)
        totals.append({name: value for name, value in entry.items() if value is not None})
    return {
        "case": setup.name,
        "title": setup.title,
        "synthetic": setup.synthetic,
        "species": setup.species,
        "totals": totals,
        "totals_correlation": _correlation(outcome.totals_covariance),
        "accounts": [summarised(b) for b in accounts],
        "chi2": diagnostics.chi2,
        "dfs": float(np.sum(np.asarray(diagnostics.leverage)[measured])),
        "transport_parameters": [
            {name: value for name, value in dataclasses.asdict(p).items() if value is not None}
            for p in outcome.parameters
        ],
        "blocks": [
            {
                "name": name,
                "n": size,
                "unit": unit,
                "dfs": None if outcome.block_dfs is None else outcome.block_dfs[name],
            }
            for name, size, unit in setup.blocks
        ],
        "observations": _record(setup.observations),
        "n_obs": int(measured.sum()),
        "n_constraints": int((~measured).sum()),
        "n_state": int(outcome.mean.size),
        "fit": fit_by_group(outcome),
        "innovations": None if outcome.consistency is None else dataclasses.asdict(outcome.consistency),
        "solver": outcome.solver,
        "result": outcome.result,
        "wall_seconds": wall_seconds,
        "peak_memory_mib": peak_memory_mib(),
    }


def _record(o: Observations) -> dict[str, Any]:
    """From the files to the rows of y: what was left out and why, and the causes of error."""
    causes = []
    for c in o.components:
        known = np.isfinite(c.sigma) & (c.sigma > 0.0)
        if known.any():
            sigma = c.sigma[known]
            causes.append({
                "cause": c.cause, "n": int(known.sum()), "low": float(sigma.min()), "high": float(sigma.max()),
                "rms": float(np.sqrt(np.mean(sigma**2))), "shared": len(set(c.groups[known]) - {""}), "unit": o.unit,
            })  # fmt: skip
    return {
        "steps": [dataclasses.asdict(s) | {"before": s.before, "dropped": dict(s.dropped)} for s in o.steps],
        "components": causes,
        "sources": [dataclasses.asdict(s) for s in o.sources],
    }


def _correlation(covariance: np.ndarray) -> list[list[float]]:
    """Between totals; 0 with a total that has no uncertainty."""
    sigma = np.sqrt(np.diagonal(covariance))
    scale = np.outer(sigma, sigma)
    return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0.0).tolist()


def _impact(outcome: Outcome, group: str) -> dict[str, float]:
    """What a site or overpass did to the first total: its shift, and the share of the prior variance removed."""
    found = outcome.impact
    if found is None:
        return {}
    column = found.groups.index(group)
    return {"shift": float(found.shift[0, column]), "reduction": float(found.reduction[0, column])}


def fit_by_group(outcome: Outcome) -> list[dict[str, Any]]:
    """Number, degrees of freedom, misfit (1 is expected), RMSE and impact of the measurements, of all and per group."""
    observations, diagnostics = outcome.setup.observations, outcome.diagnostics
    groups = np.unique(observations.groups[outcome.measured])
    selections = [("all", outcome.measured)] + [(g, outcome.measured & (observations.groups == g)) for g in groups]
    before = observations.values - outcome.modelled_prior
    after = observations.values - outcome.modelled_posterior
    return [
        {
            "group": str(name),
            "n": int(chosen.sum()),
            "dfs": float(np.asarray(diagnostics.leverage)[chosen].sum()),
            "misfit": diagnostics.misfit(chosen),
            "rmse_prior": rmse(before[chosen]),
            "rmse_posterior": rmse(after[chosen]),
            "unit": observations.unit,
        }
        | (_impact(outcome, name) if name != "all" else {})
        for name, chosen in selections
    ]


def manifest(
    inputs: dict[str, str],
    seeds: dict[str, int],
    citations: tuple[Citation, ...],
    config: DictConfig,
    run: dict[str, Any],
) -> dict[str, Any]:
    """The content of manifest.json.

    Args:
        inputs: name of each input file to its SHA-256.
        seeds: name of each random seed to its value.
        citations: papers and data sets used.
        config: the resolved configuration.
        run: names the experiment, the choice in each group and the overrides.
    """
    return {
        **run,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "tanheng": importlib.metadata.version("tanheng"),
        "git_revision": _git_revision(),
        "python": sys.version.split()[0],
        "packages": {name: importlib.metadata.version(name) for name in _REPORTED},
        "config": OmegaConf.to_container(config, resolve=True, enum_to_str=True),
        "inputs": inputs,
        "seeds": seeds,
        "citations": [dataclasses.asdict(c) for c in citations],
    }


def _git_revision() -> str | None:
    """Revision of the checkout that the code runs from, with a mark for uncommitted changes; None for a wheel."""
    here = Path(__file__).parent
    try:
        command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        tracked = subprocess.run(["git", "-C", str(here), "ls-files", "--error-unmatch", __file__], capture_output=True)
        if tracked.returncode != 0:
            return None
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

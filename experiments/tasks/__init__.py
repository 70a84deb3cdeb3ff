"""The tasks: what `task=NAME` does with a case, one file each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments import schema
from experiments.headline import headline, simulation_headline
from experiments.study import Study, publish
from experiments.tasks.check import check
from experiments.tasks.hyperparameters import hyperparameters
from experiments.tasks.invert import invert
from experiments.tasks.network import network
from experiments.tasks.offer import require_offered
from experiments.tasks.osse import osse
from experiments.tasks.preview import preview
from experiments.tasks.prior import prior
from experiments.tasks.simulate import simulate

__all__ = ["perform"]

_STUDIES: dict[type[schema.Task], Callable[[schema.Config], Study]] = {
    schema.Osse: osse,
    schema.Network: network,
    schema.Preview: preview,
    schema.Hyperparameters: hyperparameters,
    schema.BuildPrior: prior,
}


def perform(
    config: schema.Config, resolved: DictConfig, run: dict[str, Any], directory: Path, started: float
) -> tuple[list[str], Path | None]:
    """Do the configured task; returns lines for the terminal and the file to look at first.

    Args:
        config: typed.
        resolved: as composed, for the manifest.
        run: experiment, choices and overrides.
        directory: of the results.
        started: `time.perf_counter()` at the start of the program.

    Raises:
        TanhengError: a task that the case does not offer, and whatever the task refuses.
    """
    require_offered(config)
    if isinstance(config.task, schema.Check):
        check(config, directory)
        return [], None
    first = directory / ("report.html" if config.products.report else "summary.json")
    if isinstance(config.task, schema.Simulate):
        return simulation_headline(simulate(config, resolved, run, directory, started)), first
    if isinstance(config.task, schema.Invert):
        return headline(invert(config, resolved, run, directory, started)), first
    study = _STUDIES[type(config.task)](config)
    publish(study, config, resolved, run, directory, started)
    return list(study.sentences), first

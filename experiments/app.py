"""The command `tanheng`: one Hydra application."""

import os
import sys
import time


def _report(error: BaseException) -> str:
    """Print the message of a failure and return it."""
    from rich.text import Text

    from experiments.messages import explain
    from experiments.progress import console

    message = str(explain(error))
    console.print(Text(f"tanheng: {message}", style="red"), soft_wrap=True)
    return message


def _register_help() -> None:
    from hydra.core.config_store import ConfigStore

    from experiments.catalogue import help_text

    header = "Tanheng (碳衡): emissions of CO2 and CH4 from measured concentrations, with an uncertainty.\n"
    footer = (
        "Any option can be overridden as group.option=value, e.g. `tanheng observations.tower_transport_ppm=2`.\n"
        "Sweeps: `tanheng -m experiment=nz_co2 observations.hours=[13],[15],[13,15]`.\n"
        "The whole configuration: `tanheng experiment=NAME --cfg job`. Completion: `tanheng --hydra-help`.\n"
        "Data: files are fetched by SHA-256, or read from the folder named by TANHENG_DATA.\n"
        "Tracebacks: TANHENG_TRACEBACK=1."
    )
    # `$` would start a substitution in Hydra's template.
    template = f"{header}\n{help_text()}\n{footer}\n".replace("$", "$$")
    node = {"app_name": "tanheng", "header": "", "footer": "", "template": template}
    ConfigStore.instance().store(group="hydra/help", name="tanheng", node=node)


class _JobFailed(BaseException):
    """Carries the failure of a single run past Hydra, which would otherwise print lines of its own."""


def _job(resolved) -> None:
    """One job: in a sweep a failure is told, noted and the other jobs still run; alone, it leaves at once."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from experiments.messages import traceback_wanted
    from experiments.sweep import SweepSummary

    try:
        run(resolved)
    except Exception as error:
        if HydraConfig.get().mode != RunMode.MULTIRUN or traceback_wanted():
            raise _JobFailed from error
        SweepSummary.failures[HydraConfig.get().runtime.output_dir] = _report(error)


def run(resolved) -> None:
    """Run the configured task; called by Hydra once per job."""
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig

    from experiments import schema
    from experiments.output import clear

    started = time.perf_counter()
    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.output_dir)
    clear(directory)
    config = schema.typed(resolved)

    import jax
    from rich.markup import escape

    jax.config.update("jax_enable_x64", True)
    from experiments import tasks
    from experiments.progress import console

    identity = {
        "experiment": hydra.runtime.choices.get("experiment"),
        "choices": {group: hydra.runtime.choices.get(group) for group in schema.NODES},
        "overrides": list(hydra.overrides.task),
    }
    # Overrides hold lists and paths, which must not be taken for the terminal's own marks.
    console.print(
        f"[bold]tanheng[/] {escape(' '.join(identity['overrides']))} → {escape(str(directory))}", soft_wrap=True
    )
    lines, shown = tasks.perform(config, resolved, identity, directory, started)
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, markup=False)
    if shown is not None:
        console.print(f"  {shown}", soft_wrap=True, markup=False)


def main() -> int:
    """Entry point of the command; returns the exit code."""
    try:
        from experiments.origin import check_origin, config_directory

        check_origin()
        if sys.argv[1:] == ["--version"]:
            from importlib.metadata import version

            print(f"tanheng {version('tanheng')}")
            return 0
        import hydra

        from experiments import schema
        from experiments.sweep import SweepSummary

        SweepSummary.failures.clear()
        schema.register()
        _register_help()
        # Hydra would format failures itself; with its own switch on, they come here whole.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="config")(_job)()
        return 1 if SweepSummary.failures else 0
    except KeyboardInterrupt:
        sys.stderr.write("tanheng: interrupted\n")
        return 130
    except (Exception, _JobFailed) as error:
        from experiments.messages import traceback_wanted

        if traceback_wanted():
            raise
        _report(error)
        return 1


if __name__ == "__main__":
    sys.exit(main())

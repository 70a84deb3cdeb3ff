"""The command `tanheng`: one Hydra application."""

import os
import sys
import time


def _report(error: BaseException) -> None:
    from rich.text import Text

    from experiments.messages import explain
    from experiments.progress import console

    console.print(Text(f"tanheng: {explain(error)}", style="red"), soft_wrap=True)


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
    """One job: in a sweep Hydra collects failures so that the others still run; alone, the failure leaves at once."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    try:
        run(resolved)
    except Exception as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _report(error)
            raise
        raise _JobFailed from error


def run(resolved) -> None:
    """Run the configured task; called by Hydra once per job."""
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig

    from experiments import schema

    started = time.perf_counter()
    config = schema.typed(resolved)

    import jax

    jax.config.update("jax_enable_x64", True)
    from experiments import tasks
    from experiments.progress import console

    directory = Path(HydraConfig.get().runtime.output_dir)
    experiment = HydraConfig.get().runtime.choices.get("experiment")
    console.print(f"[bold]tanheng[/] experiment={experiment} → {directory}", soft_wrap=True)
    if isinstance(config.task, schema.Check):
        tasks.check(config, directory)
        return
    summary = tasks.invert(config, resolved, directory, started)
    from experiments.headline import headline

    for line in headline(summary):
        console.print(f"  {line}", soft_wrap=True)
    console.print(
        f"  {directory / 'report.html' if config.products.report else directory / 'summary.json'}", soft_wrap=True
    )


def main() -> int:
    """Entry point of the command; returns the exit code."""
    try:
        from experiments.origin import check_origin, config_directory

        check_origin()
        import hydra

        from experiments import schema

        schema.register()
        _register_help()
        # Hydra would format failures itself; with its own switch on, they come here whole.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="config")(_job)()
    except KeyboardInterrupt:
        sys.stderr.write("tanheng: interrupted\n")
        return 130
    except (Exception, _JobFailed) as error:
        if os.environ.get("TANHENG_TRACEBACK") == "1":
            raise
        _report(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

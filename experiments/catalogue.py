"""What a user can choose from, read off the configuration files: groups, options and their one-line descriptions."""

import sys
from pathlib import Path

from experiments.origin import config_directory

GROUP_TITLES = {
    "experiment": "prepared experiments, e.g. `tanheng experiment=nz_co2`",
    "task": "what to do",
    "case": "where and when",
    "meteorology": "weather",
    "transport": "T: from fluxes to air",
    "observations": "what was measured",
    "prior": "fluxes before the observations",
    "control": "the unknowns",
    "covariance": "correlation of the prior",
    "solver": "how the posterior is found",
    "products": "what is written",
}


def groups() -> list[str]:
    """Names of the configuration groups."""
    return list(GROUP_TITLES)


def _files(group: str) -> dict[str, Path]:
    """Option to file: the shipped ones and those in the folder that the user names with --config-dir."""
    folders = [config_directory()]
    for flag, value in zip(sys.argv, sys.argv[1:], strict=False):
        if flag in ("--config-dir", "-cd"):
            folders.append(Path(value))
    return {p.stem: p for folder in folders for p in sorted((folder / group).glob("*.yaml"))}


def options(group: str) -> list[str]:
    """Names of a group's options."""
    return sorted(_files(group))


def description(path: Path) -> str:
    """The first comment of a configuration file that is not a package directive."""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ").strip()
    return ""


def help_text() -> str:
    """Body of `tanheng --help`."""
    lines = []
    for group, title in GROUP_TITLES.items():
        lines.append(f"{group}: {title}")
        for option, path in sorted(_files(group).items()):
            lines.append(f"  {group}={option:<22s} {description(path)}")
        lines.append("")
    return "\n".join(lines)

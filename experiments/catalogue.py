"""What a user can choose from, read off the configuration files: groups, options and their one-line descriptions."""

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


def options(group: str) -> list[str]:
    """Names of a group's options."""
    return sorted(p.stem for p in (config_directory() / group).glob("*.yaml"))


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
        for option in options(group):
            lines.append(f"  {group}={option:<22s} {description(config_directory() / group / f'{option}.yaml')}")
        lines.append("")
    return "\n".join(lines)

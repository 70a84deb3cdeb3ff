"""Do our packages come from one place? `inversion` and `configs` are also names of unrelated distributions."""

import importlib.metadata
import importlib.util
from pathlib import Path

from transport.errors import TanhengError

PACKAGES = ("transport", "inversion", "priors", "experiments")


def check_origin() -> None:
    """Refuse to start when Tanheng is not installed, or another distribution shadows one of our packages.

    Raises:
        TanhengError: names what is missing, or the intruder and the distribution to uninstall.
    """
    try:  # every product states it: better now than when the work is done
        importlib.metadata.version("tanheng")
    except importlib.metadata.PackageNotFoundError as error:
        raise TanhengError(
            "Tanheng runs without being installed", got=str(Path(__file__).resolve().parent.parent),
            expected="a distribution named tanheng in this Python", remedy="pip install -e . in the checkout",
        ) from error  # fmt: skip
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        place = Path(spec.origin).resolve().parent.parent if spec is not None and spec.origin else None
        if place != home:
            owners = importlib.metadata.packages_distributions().get(name, [])
            others = sorted({o for o in owners if o != "tanheng"})
            remedy = f"pip uninstall {' '.join(others)}" if others else f"remove or rename {place}/{name}"
            raise TanhengError(
                f"package {name!r} does not belong to Tanheng",
                got=f"{name} from {place}",
                expected=f"{name} from {home}",
                remedy=f"{remedy}; then install tanheng again",
            )


def config_directory() -> Path:
    """The shipped configuration: inside the wheel beside this file, in a checkout at the top level.

    Raises:
        TanhengError: neither is there.
    """
    here = Path(__file__).resolve().parent
    for candidate in (here / "configs", here.parent / "configs"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise TanhengError(
        "the configuration files are missing", got=str(here / "configs"), expected="config.yaml and its groups",
        remedy="install tanheng again",
    )  # fmt: skip

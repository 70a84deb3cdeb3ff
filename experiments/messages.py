"""Turning a failure into one message: what, got, expected, remedy. No traceback unless TANHENG_TRACEBACK=1."""

import difflib
import os
from collections.abc import Callable
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from experiments.catalogue import groups, options
from transport.errors import TanhengError

TRACEBACK = "TANHENG_TRACEBACK"


def traceback_wanted() -> bool:
    """True when the user asked for tracebacks."""
    return os.environ.get(TRACEBACK) == "1"


def _suggest(name: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(name, allowed, n=1)
    return f"did you mean {close[0]}?" if close else "choose one of these names"


def explain(error: BaseException) -> TanhengError:
    """The failure in our own form; anything unforeseen becomes an internal error."""
    chain = list(_chain(error))
    rules: list[tuple[type[BaseException], Callable[[Any], TanhengError]]] = [
        (TanhengError, lambda e: e),
        (MissingConfigException, _missing),
        (OmegaConfBaseException, _bad_option),
        (OverrideParseException, _unreadable),
        (HydraException, _composition),
        (yaml.YAMLError, _unparsable),
        (UnicodeDecodeError, _unparsable),
        (OSError, _unwritable),
        (MemoryError, _too_large),
    ]
    for kind, rule in rules:
        for cause in chain:
            if isinstance(cause, kind):
                return rule(cause)
    if "override must be a string or a list" in str(error):
        return TanhengError(
            "a group was set to null", got="null", expected="one option per group, see `tanheng --help`",
            remedy="name an option of the group",
        )  # fmt: skip
    return TanhengError(
        "an unforeseen failure: this is a defect of Tanheng",
        got=f"{type(chain[-1]).__name__}: {chain[-1]}",
        remedy=f"run again with {TRACEBACK}=1 and report what it prints",
    )


def _chain(error: BaseException | None):
    """Outermost failure first; a cause is named, a context only stands behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unreadable(error: OverrideParseException) -> TanhengError:
    return TanhengError(
        "an override cannot be read", got=error.override, expected="key=value",
        remedy="quote values with special characters, e.g. 'key=\"a b\"'",
    )  # fmt: skip


def _unparsable(error: Exception) -> TanhengError:
    return TanhengError(
        "a configuration file cannot be read", got=" ".join(str(error).split()), expected="YAML in UTF-8",
        remedy="indent with spaces, close brackets and quotes, name each key once",
    )  # fmt: skip


def _too_large(error: MemoryError) -> TanhengError:
    return TanhengError(
        "the problem does not fit into memory", got=str(error) or "out of memory",
        expected="a smaller state or fewer observations", remedy="reduce cells, hours or observations",
    )  # fmt: skip


def _unwritable(error: OSError) -> TanhengError:
    return TanhengError(
        "a file or directory cannot be used",
        got=f"{error.filename}: {error.strerror}" if error.filename else " ".join(str(error).split()),
        expected="an existing, writable place", remedy="check the path; set hydra.run.dir to write elsewhere",
    )  # fmt: skip


def _missing(error: MissingConfigException) -> TanhengError:
    wanted = str(error.missing_cfg_file or "")
    group, _, name = wanted.rpartition("/")
    if group in groups():
        allowed = options(group)
        return TanhengError(
            f"group {group} has no such option", got=name, expected=", ".join(allowed), remedy=_suggest(name, allowed)
        )
    return TanhengError(
        "a configuration file is missing", got=wanted or str(error).split("\n")[0],
        expected=f"a file below one of the groups {', '.join(groups())}", remedy="check the defaults list",
    )  # fmt: skip


def _bad_option(error: OmegaConfBaseException) -> TanhengError:
    key = str(error.full_key or error.key or "")
    first = str(error).split("\n")[0]
    if key == "experiment":
        return TanhengError(
            "an experiment file does not say where it belongs", got="its keys below `experiment`",
            expected="`# @package _global_` as its first line", remedy="add that line",
        )  # fmt: skip
    if "Missing mandatory value" in first and key in groups():
        return TanhengError(
            f"no {key} is chosen",
            got="nothing",
            expected=", ".join(options(key)),
            remedy=f"e.g. {key}={options(key)[0]}",
        )
    if "not in" in first and key:
        return unknown_option(key, _names(error.parent_node))
    return TanhengError(
        f"option {key or '(unnamed)'} has a wrong value", got=first,
        expected="a value of the option's type", remedy="see `tanheng --cfg job` for the option's present value",
    )  # fmt: skip


def unknown_option(key: str, allowed: list[str]) -> TanhengError:
    """The message for an option that does not exist, with the names that do."""
    place, _, name = key.rpartition(".")
    return TanhengError(
        f"unknown option {key}", got=key,
        expected=f"at {place or 'the top level'}: {', '.join(allowed) or 'no option at all'}",
        remedy=_suggest(name, allowed),
    )  # fmt: skip


def _names(node) -> list[str]:
    if not isinstance(node, DictConfig):
        return groups()
    # The root also shows Hydra's own node, which nobody should meet here.
    return [str(k) for k in node if k != "hydra"]


def _composition(error: BaseException) -> TanhengError:
    text = " ".join(str(error).split())
    for word in text.replace("'", " ").replace('"', " ").split():
        name = word.split("=")[0].lstrip("+~")
        if difflib.get_close_matches(name, groups(), n=1) and name not in groups():
            return TanhengError(
                f"unknown option {name}", got=word, expected=", ".join(groups()), remedy=_suggest(name, groups())
            )
    return TanhengError(
        "the configuration cannot be composed", got=text, expected="options shown by `tanheng --help`",
        remedy="check names and values of the overrides",
    )  # fmt: skip

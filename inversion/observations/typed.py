"""Frozen dataclasses from what YAML gives: every name and type is checked, every fault is said in words."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from transport.errors import TanhengError

T = TypeVar("T")


def build(kind: type[T], entry: object, what: str) -> T:
    """One object from a mapping of its fields.

    Args:
        kind: a frozen dataclass with fields of type str, float, tuple[str, ...] or tuple[float, float], or None.
        entry: field name to value, as YAML gives it; fields with a default may be missing.
        what: name of the object for messages, e.g. "rule 2".

    Raises:
        TanhengError: not a mapping, a name that is no field, a field that is missing, a value of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(entry, Mapping):
        raise TanhengError(
            f"{what} is not a mapping", got=repr(entry)[:100], expected=", ".join(fields),
            remedy="write `name: value` lines",
        )  # fmt: skip
    for name in entry:
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            raise TanhengError(
                f"{what} has no field {name!r}", got=repr(name), expected=", ".join(fields),
                remedy=f"did you mean {close[0]}?" if close else "use one of these names",
            )  # fmt: skip
    missing = [
        n for n, f in fields.items()
        if n not in entry and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    if missing:
        raise TanhengError(
            f"{what} lacks {', '.join(missing)}", got=", ".join(map(str, entry)) or "nothing",
            expected=", ".join(fields), remedy="state it",
        )  # fmt: skip
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, f"{name} of {what}") for name, value in entry.items()})


def _value(hint: Any, value: object, what: str) -> Any:
    """The value in the type of its field."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    wanted = options[0]
    if wanted is str and isinstance(value, str):
        return value
    if wanted is float and _is_number(value):
        return float(typing.cast(float, value))
    if typing.get_origin(wanted) is tuple and isinstance(value, list | tuple):
        item, *others = typing.get_args(wanted)
        counted = others == [Ellipsis] or len(value) == 1 + len(others)
        if counted and all(_is_number(v) if item is float else isinstance(v, str) for v in value):
            return tuple(item(v) for v in value)
    names = {str: "text", float: "a finite number", tuple[str, ...]: "a list of texts",
             tuple[float, float]: "a list of two numbers"}  # fmt: skip
    raise TanhengError(
        f"{what} has the wrong type", got=repr(value)[:100], expected=names[wanted],
        remedy="correct the value; texts that look like numbers need quotes, and YAML takes 1e3 for text: write 1.0e+3",
    )  # fmt: skip


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an integer beyond 1e308
        return False


def entries(source: object, what: str) -> list:
    """A list of mappings, from a list, from YAML text in a file, or from a mapping that holds the list alone.

    Args:
        source: the list, or the path of a YAML file that holds it.
        what: plural name of the entries, e.g. "rules".

    Raises:
        TanhengError: no such file, not YAML, not a list.
    """
    if isinstance(source, str | Path):
        try:
            source = yaml.safe_load(Path(source).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
            raise TanhengError(
                f"{what} cannot be read", got=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
                expected="a YAML file with a list", remedy="correct the path or the file",
            ) from error  # fmt: skip
    if not isinstance(source, list | tuple):
        raise TanhengError(
            f"{what} are not a list", got=repr(source)[:100], expected="a list of mappings",
            remedy="begin each entry with `- `",
        )  # fmt: skip
    return list(source)

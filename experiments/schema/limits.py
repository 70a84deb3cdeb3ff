"""What every node checks: values within their limits."""

from transport.errors import TanhengError


def require(condition: bool, name: str, got, expected: str, remedy: str = "") -> None:
    """Refuse a value of an option.

    Raises:
        TanhengError: the condition does not hold.
    """
    if not condition:
        raise TanhengError(f"{name} is out of range", got=got, expected=expected, remedy=remedy or f"set {name} anew")


def unique(what: str, names: list[str]) -> None:
    """Refuse names that are empty or stand twice."""
    twice = sorted({n for n in names if names.count(n) > 1 or not n.strip()})
    require(not twice, f"a name in {what}", twice, "distinct, non-empty names", "give each its own name")


def positive(node, group: str, *names: str) -> None:
    """Refuse options of a node that are not positive."""
    for name in names:
        require(getattr(node, name) > 0, f"{group}.{name}", getattr(node, name), "> 0")

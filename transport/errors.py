"""The one error type that a user of Tanheng meets: it says what happened and what to do."""

from typing import Any


class TanhengError(Exception):
    """A failure that is explained: what happened, what was got, what was expected, the remedy.

    Args:
        what: one clause that names the thing that is wrong.
        got: the value found.
        expected: the value, range or names that would have been accepted.
        remedy: what the user can do now.
    """

    def __init__(self, what: str, *, got: Any = None, expected: Any = None, remedy: str | None = None):
        self.what, self.got, self.expected, self.remedy = what, got, expected, remedy
        lines = [what]
        if got is not None:
            lines.append(f"  got:      {got}")
        if expected is not None:
            lines.append(f"  expected: {expected}")
        if remedy is not None:
            lines.append(f"  remedy:   {remedy}")
        super().__init__("\n".join(lines))

"""Writing results: everything goes into a hidden folder first and appears at once when the run has succeeded."""

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transport.errors import TanhengError


@contextlib.contextmanager
def staged(directory: Path) -> Iterator[Path]:
    """A folder whose files move into `directory` on success and vanish on failure.

    Raises:
        TanhengError: the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".incomplete-", dir=directory))
    except OSError as error:
        raise TanhengError(
            "the output directory cannot be written",
            got=f"{directory}: {error.strerror}",
            expected="a writable directory",
            remedy="set hydra.run.dir to another place",
        ) from error
    try:
        yield staging
        for path in sorted(staging.iterdir()):
            os.replace(path, directory / path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def clear(directory: Path) -> None:
    """Remove what an earlier run wrote, as its manifest lists it, so that old and new never stand side by side."""
    record = directory / "manifest.json"
    try:
        names = json.loads(record.read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        names = []  # nothing of ours is here
    for name in [*names, "check.json"]:
        # Only files that lie directly in this directory, whatever a manifest may say.
        if Path(name).name == name:
            (directory / name).unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Strict JSON with full double precision: a number that is not finite becomes null."""
    path.write_text(json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

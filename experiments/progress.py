"""Progress on the terminal: a bar while a stage lasts, one line when it ends."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# A pipe or a log file has no width of its own.
console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 140)


@contextlib.contextmanager
def stage(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a stage of the run.

    Args:
        title: what is being done.

    Yields:
        a function (done, total) that moves the bar; a stage that never calls it shows a spinner.
    """
    start = time.perf_counter()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
    console.print(f"  {title:<44s} {time.perf_counter() - start:6.1f} s")

"""A progress bar on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ctacal.progress import Progress, no_progress


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Any]:
    """A bar on a terminal, silence elsewhere: rich is imported only where somebody looks."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import progress as rich_progress
    from rich.console import Console

    with rich_progress.Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator[Progress]:
    """Yield the ``Progress`` of a job: a bar on a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich import progress as rich_progress
    from rich.console import Console

    with rich_progress.Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)

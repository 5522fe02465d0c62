"""How jobs report progress: plain functions that the caller passes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Progress = Callable[[int, int], None]
"""Called with the number of items done and the number of items in all."""

Bar = Callable[[str, int], AbstractContextManager[Progress]]
"""Opens a progress bar for a named piece of work with a number of items."""


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""


@contextmanager
def no_bar(_what: str, _total: int) -> Iterator[Progress]:
    """Open no progress bar."""
    yield no_progress

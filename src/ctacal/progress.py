"""How long work reports its progress: a function that the caller hands in."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with the number of items done and the number of items in all."""


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""

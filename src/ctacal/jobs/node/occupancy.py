"""Whether a node works on a store: by a lock on STORE/lock, which goes with its process however that ends."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ctacal.atomic import make_folder, write_text
from ctacal.errors import UsageError

if sys.platform != "win32":
    import fcntl

_LOCK, _PROCESSES = "lock", "processes.json"


@contextmanager
def only_node(store: Path) -> Iterator[None]:
    """Hold the store for this process, so that no second node works on it. Raises ``UsageError`` if one does."""
    make_folder(store)
    with (store / _LOCK).open("a", encoding="ascii") as file:
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            raise UsageError(f"{store}: another node uses this store; stop it first") from problem
        yield


def node_runs(store: Path) -> bool:
    """Whether a node works on the store now."""
    if not (store / _LOCK).exists():
        return False
    with suppress(UsageError), only_node(store):
        return False
    return True


def write_processes(store: Path, numbers: dict[str, int]) -> None:
    """Write down the process number of each part, for people who look for them."""
    write_text(store / _PROCESSES, json.dumps(numbers) + "\n", make=False)


def forget_processes(store: Path) -> None:
    """Note that no part runs any more."""
    (store / _PROCESSES).unlink(missing_ok=True)


def processes(store: Path) -> dict[str, int]:
    """Return the process number of each part that was started last; empty if that is not known."""
    try:
        numbers: dict[str, int] = json.loads((store / _PROCESSES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return numbers

"""Parts of a node that do nothing but live, for the tests of the supervisor."""

import os
from threading import Event

from ctacal.errors import UsageError
from ctacal.jobs.node.config import NodeConfig


def run(config: NodeConfig, stopping: Event) -> None:
    """Note that a process began and ended in good order; the store says what else it should do."""
    folder = config.store
    (folder / f"began-{os.getpid()}").touch()
    if (folder / "refuse").exists():
        raise UsageError("the port is taken")
    if (folder / "stubborn").exists():
        Event().wait()
    stopping.wait()
    (folder / f"ended-{os.getpid()}").touch()

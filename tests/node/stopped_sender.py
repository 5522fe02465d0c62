"""Runs a sender that is killed, as by ``kill -9``, between the answer of the PACS and the ledger."""

import os
import signal
import sys
from pathlib import Path
from threading import Event
from typing import Any

from ctacal.jobs.node.config import read_config
from ctacal.jobs.node.ledger import Ledger
from ctacal.node.sender import run


def _die(*_: Any) -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return False


if __name__ == "__main__":
    Ledger.done = _die  # type: ignore[assignment, method-assign]
    run(read_config(Path(sys.argv[1])), Event())

"""``Trouble``: what is wrong with a watched folder or an Orthanc, told by the process that reads it to the others.

It is a small file beside the counters of the node (``life``), there only while something has been wrong for a time.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ctacal.jobs.node.config import NodeConfig, Orthanc, Watch
from ctacal.jobs.node.life import alive_folder

LASTS_S = 60.0
"""What passes within this time is no trouble (own choice): an Orthanc that is started anew takes seconds."""


class Trouble:
    """What is wrong with one input, as the process that reads it sees it."""

    def __init__(self, folder: Path, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``folder`` is that of the node's counters, ``name`` as by ``input_name``."""
        self._file, self._clock = _file(folder, name), clock
        self._since: float | None = None
        self._written: str | None = None
        """What the file says; None: not known."""

    def note(self, problem: str) -> None:
        """Note what is wrong now, in words without names of files or patients; empty: nothing. Never raises."""
        now = self._clock()
        self._since = None if not problem else now if self._since is None else self._since
        lasts = self._since is not None and now - self._since >= LASTS_S
        said = problem if lasts else ""
        if said == self._written:
            return
        with suppress(OSError):  # of a store that is away there is another alarm; it is noted the next time
            if said:
                self._file.write_text(json.dumps(said) + "\n", encoding="utf-8")
            else:
                self._file.unlink(missing_ok=True)
            self._written = said


def input_name(one: Watch | Orthanc) -> str:
    """Return the name of an input, in logs and as the source of what comes from it."""
    return f"folder {one.folder}" if isinstance(one, Watch) else f"orthanc {one.name}"


def troubles(config: NodeConfig) -> dict[str, str]:
    """Return what is wrong with inputs of a node, by their names; nothing of those where all is well."""
    folder = alive_folder(config.store, config.receive.port)
    inputs: list[Watch | Orthanc] = [*config.watch, *config.orthanc]
    names = [input_name(one) for one in inputs]
    said = {name: _said(_file(folder, name)) for name in names}
    return {name: words for name, words in said.items() if words}


def _file(folder: Path, name: str) -> Path:
    return folder / f"trouble-{sha256(name.encode()).hexdigest()[:16]}"


def _said(file: Path) -> str:
    try:
        return str(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # not there, or being written
        return ""

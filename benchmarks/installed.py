"""``with_bytecode``: commands that a benchmark starts run as in an installed package, with bytecode."""

import os
from pathlib import Path


def with_bytecode(folder: Path) -> None:
    """From here on processes that are started find and keep bytecode in ``folder``; the first of each kind writes it.

    pip compiles what it installs. A source tree on a machine that keeps no bytecode (``PYTHONDONTWRITEBYTECODE``) is
    compiled again by each command, which takes up to half a second.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)

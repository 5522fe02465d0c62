"""Whether what cannot be read is the fault of a row, or of a disk or network that is gone: then it is tried again."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

_NAMES = (
    "EIO", "ESTALE", "ENOTCONN", "ENODEV", "ENXIO", "EREMOTEIO", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ESHUTDOWN",
)  # fmt: skip
GONE = tuple(number for number, name in errno.errorcode.items() if name in _NAMES)
"""Errors of a device or of a network file system, whatever the file; not every system knows all."""
_SAID = tuple(map(os.strerror, GONE))


def require_mounted(source: Path) -> None:
    """Raise ``OSError`` if a source is missing with all that lay beside it, or its disk fails.

    A source that alone is missing was removed: that is no fault of the disk.
    """
    try:
        source.stat()
    except FileNotFoundError:
        if not _holds_anything(source.parent):
            raise OSError(None, "not there, nor anything beside it; is its disk mounted?", str(source)) from None
    except OSError as problem:
        if problem.errno in GONE:
            raise


def _holds_anything(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except FileNotFoundError:
        return False
    except OSError as problem:
        if problem.errno in GONE:
            raise
        return True


def require_read(messages: Iterable[str]) -> None:
    """Raise ``OSError`` if one of the reasons why files were left out, or studies refused, is that the disk failed.

    Reasons are words by then, and hold those of the system.
    """
    for message in messages:
        if any(said in message for said in _SAID):
            raise OSError(message)

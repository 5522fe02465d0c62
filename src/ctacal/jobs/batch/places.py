"""``Place``: where a run lies, a folder or a bucket: files that are created once, replaced whole, or grown by lines."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ctacal.atomic import PREFIX, flush, make_folder, sweep, unfinished_file, whole_file
from ctacal.names import printable

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of a file system without hard links."""


class Place(Protocol):
    """Files under names such as ``ledger/0007/host-12.jsonl``. Every method raises ``OSError`` if the place fails."""

    @property
    def text(self) -> str:
        """The place as a user writes it."""

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises ``FileNotFoundError``."""

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that is not there yet, whole; return False, and change nothing, if it is there."""

    def replace(self, name: str, content: bytes) -> None:
        """Write a file whole, in place of any that is there."""

    def tell(self, name: str, content: bytes) -> None:
        """Replace a file that may be lost in a power failure: nobody waits for the disk."""

    def append(self, name: str, line: bytes) -> None:
        """Add a line to a file that only this program writes."""

    def settle(self) -> None:
        """Wait until appended lines are stored."""

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names of the files directly in a folder, without the folder; none if it is not there."""

    def keep(self, files: Path, folder: str) -> bool:
        """Move a folder of finished files here; return False, and change nothing, if ``folder`` is there."""

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""

    def age_s(self, name: str) -> float:
        """Return the time since a file was written, in seconds; 0 if it is not there."""


class FolderPlace:
    """A folder on this machine, or one that machines share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def text(self) -> str:
        """The path."""
        return printable(self.folder)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.folder / name).read_bytes()

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return (self.folder / name).exists()

    def create(self, name: str, content: bytes) -> bool:
        """Write a file beside its place, then link it there: the link fails if the name is taken, also over NFS."""
        path = self.folder / name
        if path.exists():
            return False
        with unfinished_file(path.parent) as temporary:
            temporary.write_bytes(content)
            temporary.chmod(0o644)
            flush(temporary)
            created = _link(temporary, path, content)
        flush(path.parent)
        return created

    def replace(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        with whole_file(self.folder / name) as temporary:
            temporary.write_bytes(content)

    def tell(self, name: str, content: bytes) -> None:
        """Write a file under a name of this process, then rename it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished_file(path.parent) as temporary:
            temporary.write_bytes(content)
            temporary.chmod(0o644)
            temporary.replace(path)

    def append(self, name: str, line: bytes) -> None:
        """Add a line, which is on the disk when this returns."""
        path = self.folder / name
        make_folder(path.parent)
        is_new = not path.exists()
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            flush(path.parent)

    def settle(self) -> None:
        """Nothing waits: ``append`` has written."""

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names of files; those that are being written are left out, and what killed programs left goes."""
        unfinished = False
        with suppress(FileNotFoundError), os.scandir(self.folder / folder) as entries:
            for entry in entries:
                if entry.name.startswith(PREFIX):
                    unfinished = True
                else:
                    yield entry.name
        if unfinished:
            sweep(self.folder / folder, depth=0)

    def keep(self, files: Path, folder: str) -> bool:
        """Rename a folder of finished files, which must lie on the same disk; a folder with files is never replaced."""
        target = self.folder / folder
        make_folder(target.parent)
        try:
            files.rename(target)
        except OSError as problem:
            if problem.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        flush(target.parent)
        return True

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def age_s(self, name: str) -> float:
        """Return the time since a file was written."""
        with suppress(FileNotFoundError):
            return time.time() - (self.folder / name).stat().st_mtime
        return 0.0


def _link(temporary: Path, path: Path, content: bytes) -> bool:
    """Give a finished file its name, unless the name is taken."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return temporary.stat().st_nlink > 1  # NFS may repeat a request that had succeeded (link(2))
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        return _exclusive(path, content)
    return True


def _exclusive(path: Path, content: bytes) -> bool:
    """Create a file where there are no links; a power failure may leave a part, which readers take for nothing."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return True


def is_address(text: str) -> bool:
    """Whether a place or source is a URI of an object store, such as s3://bucket/run.

    >>> is_address("s3://bucket/run"), is_address("/data/run")
    (True, False)
    """
    return "://" in text


def open_place(text: str) -> Place:
    """Return the place that a user names: a folder, or a bucket by its URI. Raises ``UsageError``."""
    if is_address(text):
        from ctacal.jobs.batch.bucket import BucketPlace

        return BucketPlace(text)
    return FolderPlace(Path(text).absolute())

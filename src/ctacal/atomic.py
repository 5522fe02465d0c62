"""Files and folders that appear whole or not at all, also when the program is killed or the power fails.

What is being written lies beside its final place under a unique name that begins with ``.writing-``. It is flushed to
disk, then renamed. Its writer holds a lock on it. A program that finds such a name without a living writer removes it.
"""

import ctypes
import errno
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp, mkstemp

if sys.platform != "win32":
    import fcntl

PREFIX = ".writing-"
"""How the names of unfinished files and folders begin."""
ABANDONED_DAYS = 7
"""Age at which an unfinished file is removed if the locks of its writer cannot be seen from this machine."""
_LOCK, _NEW, _OLD = "lock", "new", "old"
"""What an unfinished folder holds: the lock of its writer, the new folder, and the old one if it was set aside."""
_RENAME_EXCHANGE = 2
"""Flag of Linux's renameat2(2): two names change places at once."""
_AT_FDCWD = -100
"""Argument of renameat2(2): paths are relative to the working folder."""
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
"""Errors of a system or file system that cannot exchange two names."""
_CANNOT_FLUSH = {errno.EINVAL, errno.EACCES, errno.EBADF, errno.EOPNOTSUPP}
"""Errors of a file system that cannot flush a folder."""

_FLUSHES_AT_ONCE = 16
"""The disk serves many waiting threads at once: 100 files take a tenth of the time."""


@contextmanager
def whole_file(path: Path, *, make: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to; it takes the final name only if the block succeeds.

    After a crash there is the old file or the new one, never a part. The temporary name keeps the suffixes, because
    some writers choose the format by them. With ``make`` the folder is made if it is missing; without, ``OSError`` is
    raised, so that no folder takes the place of a disk that is not mounted.
    """
    _sweep_once(path.parent)
    with unfinished_file(path.parent, "".join(path.suffixes[-2:]), make=make) as temporary:
        yield temporary
        flush(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
        flush(path.parent)


@contextmanager
def unfinished_file(folder: Path, suffix: str = "", *, make: bool = True) -> Iterator[Path]:
    """Yield the path of a new empty file that only this user may read; what is still under that name at the end goes.

    While the block runs, no ``sweep`` takes the file; after a crash the next one does. ``make`` as for ``whole_file``.
    """
    if make:
        make_folder(folder)
    temporary, lock = _new_file(folder, suffix)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        _unlock(lock)


def write_text(path: Path, text: str, *, make: bool = True) -> None:
    """Write a text file (UTF-8) whole or not at all; ``make`` as for ``whole_file``."""
    with whole_file(path, make=make) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write to; if the block succeeds it takes the place of ``folder`` and what was in it.

    On Linux the old and the new folder change places in one step. Elsewhere there is a moment without either; a program
    that is killed in that moment leaves both aside, and the next call or ``sweep`` puts the new one in place.
    """
    make_folder(folder.parent)
    _sweep_once(folder.parent)
    staging, lock = _new_staging(folder.parent)
    new = staging / _NEW / folder.name
    try:
        new.mkdir(parents=True)
        yield new
        _flush_all(new)
        _put(new, folder)
        flush(folder.parent)
    finally:
        _unlock(lock)
        _finish(staging)


def sweep(folder: Path, depth: int = 2) -> None:
    """Remove what killed programs left unfinished in ``folder`` and in the folders down to ``depth`` levels below.

    What a living program is writing stays. What another machine left, on a shared disk, stays for ``ABANDONED_DAYS``.
    """
    try:
        with os.scandir(folder) as entries:
            found = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:  # not there, or not ours to read
        return
    for path, is_folder in found:
        if path.name.startswith(PREFIX):
            with suppress(OSError):
                (_sweep_staging if is_folder else _sweep_file)(path)
        elif is_folder and depth > 0:
            sweep(path, depth - 1)


@lru_cache(maxsize=4096)
def _sweep_once(folder: Path) -> None:
    """Sweep a folder the first time that this program writes to it: a folder may hold 100,000 files."""
    sweep(folder, depth=0)


def _sweep_file(path: Path) -> None:
    with path.open("rb+") as file:
        if _is_dead(path, file.fileno()):
            path.unlink()


def _sweep_staging(staging: Path) -> None:
    lock = staging / _LOCK
    with lock.open("rb+" if lock.exists() else "wb") as file:
        dead = _is_dead(staging, file.fileno())
    if dead:  # the lock file is closed first: NFS keeps the folder of an open file
        _finish(staging)


def _finish(staging: Path) -> None:
    """Put the new folder in place if the old one was set aside and nothing took its name; remove the rest."""
    for old in (staging / _OLD).glob("*"):
        new, folder = staging / _NEW / old.name, staging.parent / old.name
        if new.exists() and not folder.exists():
            new.rename(folder)
            flush(folder.parent)
    shutil.rmtree(staging, ignore_errors=True)


def _is_dead(path: Path, lock: int) -> bool:
    """Whether the writer of an unfinished file or folder is gone; ``lock`` is the open file that it would hold."""
    held = _lock(lock) if _is_local(path) else None
    return _age_days(path) > ABANDONED_DAYS if held is None else held


def _is_local(path: Path) -> bool:
    """Whether the writer ran on this machine, so that its lock can be seen here."""
    named = re.match(rf"{re.escape(PREFIX)}(\w+)-(\w+)-", path.name)
    return sys.platform != "win32" and named is not None and bool(set(named.groups()) & set(_machine()))


def _age_days(path: Path) -> float:
    """Days since anything in a file or folder changed."""
    newest = max(part.lstat().st_mtime for part in (path, *path.rglob("*")))
    return (time.time() - newest) / 86400


@cache
def _machine() -> tuple[str, str]:
    """Digests of the machine's name and of its running kernel, the second also the same in containers on it."""
    return _digest("name", platform.node(), _content("/etc/machine-id")), _digest(
        "boot", _content("/proc/sys/kernel/random/boot_id") or platform.node()
    )


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _digest(*words: str) -> str:
    return sha256("\n".join(words).encode()).hexdigest()[:8]


def _prefix() -> str:
    return f"{PREFIX}{'-'.join(_machine())}-"


def _new_file(folder: Path, suffix: str) -> tuple[Path, int]:
    """A new file under a temporary name, and the handle that locks it."""
    while True:
        handle, name = mkstemp(dir=folder, prefix=_prefix(), suffix=suffix)
        if _keep(handle, Path(name)):
            return Path(name), handle


def _new_staging(folder: Path) -> tuple[Path, int]:
    """A new folder under a temporary name, and the handle that locks it."""
    while True:
        staging = Path(mkdtemp(dir=folder, prefix=_prefix()))
        try:
            handle = os.open(staging / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except (FileExistsError, FileNotFoundError):  # swept between the two calls
            continue
        if _keep(handle, staging / _LOCK):
            return staging, handle


def _keep(handle: int, path: Path) -> bool:
    """Lock a new file; returns whether no sweep got hold of it first."""
    if sys.platform == "win32":
        os.close(handle)  # an open file cannot be renamed there
        return True
    with suppress(FileNotFoundError):
        if _lock(handle) is not False and os.fstat(handle).st_ino == path.stat().st_ino:
            return True
    os.close(handle)
    return False


def _lock(handle: int) -> bool | None:
    """Lock an open file without waiting; returns False if another program holds it, None if there are no locks here."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a shared disk without locks
        return None
    return True


def _unlock(handle: int) -> None:
    if sys.platform != "win32":
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; their names are on the disk when this returns."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for part in missing:
        flush(part.parent)


def _flush_all(folder: Path) -> None:
    """Flush every file and folder below, and the folder."""
    paths = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    with ThreadPoolExecutor(_FLUSHES_AT_ONCE) as threads:
        list(threads.map(flush, paths))


def flush(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    is_folder = path.is_dir()
    if is_folder and sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if not is_folder or problem.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(handle)


def _put(new: Path, folder: Path) -> None:
    """Give the new folder the name of the old one; the old one goes to where the new one was, or is set aside."""
    while True:
        try:
            new.rename(folder)  # no old one, or an empty one
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
        try:
            if not _exchange(new, folder):
                _replace_in_two_steps(new, folder)
        except FileNotFoundError:  # another program has just removed the old one
            continue
        return


def _exchange(first: Path, second: Path) -> bool:
    """Let two names change places at once; returns False if this system or file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _replace_in_two_steps(new: Path, folder: Path) -> None:
    aside = new.parent.with_name(_OLD) / folder.name
    aside.parent.mkdir(exist_ok=True)
    folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        aside.rename(folder)
        raise

"""``find_rows``: folders, globs, lists and addresses -> rows. Folders are scanned, and no file is opened."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ctacal.atomic import PREFIX
from ctacal.errors import UsageError, system_message
from ctacal.jobs.batch.idc import idc_rows
from ctacal.jobs.batch.places import is_address
from ctacal.jobs.batch.rows import Row, row_of
from ctacal.names import printable

MOST_LOOSE_FILES = 20_000
"""Files directly in one folder that still may be one study, or a few (own choice)."""
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a user wants to be scored, as typed."""

    paths: tuple[str, ...] = ()
    """Folders, archives, globs, URIs."""
    lists: tuple[Path, ...] = ()
    """Text files with a row a line; several sources of a row stand between tabs."""
    idc: tuple[Path, ...] = ()
    """Manifests of the Imaging Data Commons."""
    depth: int | None = None
    """How far below each path the rows lie. None: 1 below a single folder, else each path is a row."""
    count_bytes: bool = False
    """Look at each file's size, so that ``status`` can tell how far the run is from the floor."""


def find_rows(sources: Sources) -> Iterator[Row]:
    """Yield the rows. Raises ``UsageError`` if a path or list is not there, or says nothing."""
    if sources.depth is not None and not sources.paths:
        raise UsageError("--depth is for folders, and none is given; leave it out")
    yield from _rows_of_paths(sources)
    for file in sources.lists:
        yield from _listed(file)
    for file in sources.idc:
        yield from idc_rows(file)


def _rows_of_paths(sources: Sources) -> Iterator[Row]:
    paths = [found for path in sources.paths for found in _expanded(path)]
    depth = sources.depth if sources.depth is not None else int(len(paths) == 1)
    for path in paths:
        found = _below_address(path, depth) if is_address(path) else _below(Path(path), depth, sources.count_bytes)
        yield from found


def _expanded(path: str) -> list[str]:
    """Return an absolute path, or those that a pattern stands for."""
    if is_address(path):
        return [path]
    if Path(path).exists():
        return [_absolute(path)]
    if not glob.has_magic(path):
        raise UsageError(f"{printable(path)}: no such file or folder")
    found = sorted(map(_absolute, glob.glob(path, recursive=True)))  # noqa: PTH207 - takes absolute patterns too
    if not found:
        raise UsageError(f"{printable(path)}: nothing fits this pattern")
    return found


def _absolute(path: str) -> str:
    return os.path.normpath(Path(path).absolute())


def _below(path: Path, depth: int, count_bytes: bool) -> Iterator[Row]:
    """Yield a row for each folder and archive so far below a folder, and one for the loose files of each folder."""
    if depth == 0 or not path.is_dir():
        yield row_of([str(path)], _size_bytes(path) if count_bytes else None)
        return
    loose: list[str] = []
    for entry in _entries(path):
        if entry.is_dir():
            yield from _below(Path(entry.path), depth - 1, count_bytes)
        elif entry.name.lower().endswith(_ARCHIVES):
            yield row_of([entry.path], entry.stat().st_size if count_bytes else None)
        else:
            loose.append(entry.path)
    if len(loose) > MOST_LOOSE_FILES:
        raise UsageError(
            f"{printable(path)} holds {len(loose)} files directly, and nothing tells its studies apart; sort them into"
            " a folder for each study, or give a list (--list)"
        )
    if loose:
        yield row_of(loose, sum(Path(name).stat().st_size for name in loose) if count_bytes else None)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith((PREFIX, "."))]
    except OSError as problem:
        raise UsageError(f"{printable(folder)}: {system_message(problem)}") from problem


def _size_bytes(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(Path(folder, name).stat().st_size for folder, _, names in os.walk(path) for name in names)


def _below_address(address: str, depth: int) -> Iterator[Row]:
    """Yield a row for each prefix so far below a URI."""
    if depth == 0:
        yield row_of([address])
        return
    from ctacal.jobs.batch.bucket import as_os_error, bucket_and_path, store_of

    bucket, path = bucket_and_path(address.rstrip("/"))
    with as_os_error(address):
        found = store_of(bucket).list_with_delimiter(f"{path}/" if path else None)
    for prefix in found["common_prefixes"]:
        yield from _below_address(f"{bucket}/{prefix}", depth - 1)
    loose = [f"{bucket}/{one['path']}" for one in found["objects"]]
    archives = [name for name in loose if name.lower().endswith(_ARCHIVES)]
    yield from (row_of([name]) for name in archives)
    if files := [name for name in loose if name not in set(archives)]:
        yield row_of(files)


def _listed(file: Path) -> Iterator[Row]:
    """Yield the rows of a list: a line each, with tabs between several sources; what begins with # is a comment."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                if sources := _sources_of(line):
                    yield row_of(sources)
    except OSError as problem:
        raise UsageError(f"{printable(file)}: {system_message(problem)}") from problem


def _sources_of(line: str) -> list[str]:
    if line.startswith("#"):
        return []
    words = line.rstrip("\r\n").split("\t")
    return [word if is_address(word) else _absolute(word) for word in words if word.strip()]


def in_words(sources: Iterable[str]) -> str:
    """Return the sources of a row for a table."""
    return "\t".join(map(printable, sources))

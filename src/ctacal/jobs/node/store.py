"""``Store``: the files of the node on disk. What lies under its final name is whole, and stays through a power failure.

    STORE/id                                             names this store in a ledger that several nodes share
    STORE/incoming/                                      unfinished files
    STORE/received/<StudyInstanceUID>/<SOPInstanceUID>.dcm
    STORE/discarding/<StudyInstanceUID>-<objects>/       originals that are being deleted
    STORE/aside/<StudyInstanceUID>/<SOPInstanceUID>.<digest>.dcm    other bytes under a UID that is known
    STORE/rejected/<StudyInstanceUID>/<SOPInstanceUID>.<digest>.dcm    what a person has decided against
    STORE/results/<StudyInstanceUID>/<revision>/         what scoring wrote
    STORE/commitments/                                   see ``commitments``

Several processes may write to one store, and any of them may be killed at any instant.
"""

import errno
import filecmp
import os
import re
import shutil
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from secrets import token_hex

from ctacal.atomic import flush, make_folder, sweep, unfinished_file
from ctacal.dicom.uids import is_used_uid
from ctacal.errors import UsageError, system_message

_MARK = "id"
_SUFFIX = ".dcm"
_DIGEST_CHARACTERS = 16
_DIGEST = re.compile(rf"[0-9a-f]{{{_DIGEST_CHARACTERS}}}")
_MB = 10**6
_MOST_LASTING = 10_000
_SEPARATOR = "-"
"""No UID holds it."""


class Placed(StrEnum):
    """What became of an object."""

    KEPT = "kept"
    """It is new, and on the disk under its final name."""
    KNOWN = "known"
    """The same bytes are already there."""
    ASIDE = "aside"
    """Other bytes are already there under its UID; they stay, and the new ones lie in ``aside``."""
    REJECTED = "rejected"
    """A person has decided against these bytes before; others are there under their UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideObject:
    """An object that was set aside."""

    study_uid: str
    sop_instance_uid: str
    digest: str
    """Begin of the SHA-256 of its file."""
    path: Path
    first: Path
    """The file of the object that was there before; it may have been deleted since."""


@dataclass(frozen=True, slots=True)
class Discarding:
    """Originals of a study that are on their way out of the store."""

    study_uid: str
    objects: int
    """How many there were before the ledger said that they may go."""
    folder: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are left."""
        return tuple(sorted(self.folder.glob(f"*{_SUFFIX}")))


def require_store(folder: Path) -> None:
    """Raise ``OSError`` unless a store was made in this folder, and its disk is there."""
    try:
        (folder / _MARK).stat()
    except FileNotFoundError as problem:
        message = "the store is not there; is its disk mounted?"
        raise FileNotFoundError(problem.errno, message, str(folder)) from problem


class Store:
    """The files of one node. All calls may run in several threads and processes at once."""

    def __init__(self, folder: Path) -> None:
        """Open the store in a folder, or make it.

        Raises ``UsageError`` if the folder cannot be used.
        """
        self.folder = folder
        self._incoming, self._received = folder / "incoming", folder / "received"
        self._aside, self._results, self._rejected = folder / "aside", folder / "results", folder / "rejected"
        self._discarding, self._mark = folder / "discarding", folder / _MARK
        self._lasting: dict[Path, tuple[int, int]] = {}  # folders whose names are on the disk, and how they were then
        parts = (self._incoming, self._received, self._discarding, self._aside, self._results, self._rejected)
        try:
            for part in parts:
                make_folder(part)
            self.id = self._identity()
        except OSError as problem:
            raise UsageError(f"{folder}: cannot hold the store of the node: {system_message(problem)}") from problem

    def require(self) -> None:
        """Raise ``OSError`` if the store is not there any more: its disk failed, or is not mounted.

        What is not found then is not lost. The folder itself may be there, as the place where the disk was mounted.
        """
        require_store(self.folder)
        if self._mark.read_text(encoding="ascii").strip() != self.id:
            message = "another store is there; is the right disk mounted?"
            raise FileNotFoundError(errno.ENOENT, message, str(self.folder))

    def sweep(self) -> None:
        """Remove what killed processes left unfinished; what living ones are writing stays."""
        sweep(self._incoming, depth=0)

    def incoming(self) -> AbstractContextManager[Path]:
        """Return a context with the path of a new empty file, for ``keep``; if it is not kept, it goes at the end."""
        return unfinished_file(self._incoming, _SUFFIX, make=False)

    def keep(self, incoming: Path, study_uid: str, sop_uid: str) -> Placed:
        """Give a finished file from ``incoming`` its final name, unless there is one already.

        When this returns, the file and its name are on the disk. Raises ``ValueError`` for a UID that is not valid, and
        ``OSError`` if the disk fails or is full; then nothing has changed.
        """
        final = self.path(study_uid, sop_uid)
        if not final.exists() and self._place(incoming, final):
            return Placed.KEPT
        if filecmp.cmp(incoming, final, shallow=False):
            self._flush_names(final)  # the process that put it there may not have come to that
            return Placed.KNOWN
        name = f"{sop_uid}.{_digest(incoming)}{_SUFFIX}"
        if (self._rejected / study_uid / name).exists():
            return Placed.REJECTED
        aside = self._aside / study_uid / name
        if not self._place(incoming, aside):
            self._flush_names(aside)
        return Placed.ASIDE

    def path(self, study_uid: str, sop_uid: str) -> Path:
        """Return where an object lies, or would lie. Raises ``ValueError`` for a UID that is not valid."""
        for name, uid in (("Study Instance UID", study_uid), ("SOP Instance UID", sop_uid)):
            if not is_used_uid(uid):
                raise ValueError(f"{name} {uid[:80]!r} is not a valid UID (PS3.5 section 9.1)")
        return self._received / study_uid / f"{sop_uid}{_SUFFIX}"

    def studies(self) -> tuple[str, ...]:
        """Return the Study Instance UIDs of which objects are here."""
        return tuple(sorted(entry.name for entry in os.scandir(self._received) if is_used_uid(entry.name)))

    def received(self, study_uid: str) -> tuple[Path, ...]:
        """Return the files of a study, in the order of their names; none if the study is not here."""
        return tuple(sorted((self._received / study_uid).glob(f"*{_SUFFIX}"))) if is_used_uid(study_uid) else ()

    def find(self, sop_uids: Collection[str]) -> dict[str, tuple[Path, ...]]:
        """Return where objects lie, by their SOP Instance UIDs; in one file for each study that they were sent with.

        An object that is not here has no entry.
        """
        found: dict[str, tuple[Path, ...]] = {}
        for study_uid in self.studies():
            for path in self.received(study_uid):
                if path.stem in sop_uids:
                    found[path.stem] = (*found.get(path.stem, ()), path)
        return found

    def aside(self) -> frozenset[str]:
        """Return the SOP Instance UIDs under which other bytes came than are stored."""
        return frozenset(path.name.rsplit(".", 2)[0] for path in self._aside.glob(f"*/*{_SUFFIX}"))

    def aside_objects(self, limit: int) -> tuple[AsideObject, ...]:
        """Return what was set aside, up to ``limit``, in the order of study and object."""
        paths = islice(self._aside.glob(f"*/*{_SUFFIX}"), limit)
        found = (self.aside_object(path.parent.name, *path.name.rsplit(".", 2)[:2]) for path in sorted(paths))
        return tuple(one for one in found if one is not None)

    def aside_object(self, study_uid: str, sop_uid: str, digest: str) -> AsideObject | None:
        """Return an object that was set aside; None if it is not there, or a name is none of ours."""
        if not (is_used_uid(study_uid) and is_used_uid(sop_uid) and _DIGEST.fullmatch(digest)):
            return None
        path = self._aside / study_uid / f"{sop_uid}.{digest}{_SUFFIX}"
        if not path.is_file():
            return None
        return AsideObject(study_uid=study_uid, sop_instance_uid=sop_uid, digest=digest, path=path,
                           first=self.path(study_uid, sop_uid))  # fmt: skip

    def reject(self, one: AsideObject) -> None:
        """Move an object that was set aside to what a person has decided against. Raises ``OSError``."""
        rejected = self._rejected / one.study_uid / one.path.name
        self._place(one.path, rejected)
        self.delete_aside(one)

    def take_aside(self, one: AsideObject) -> None:
        """Let an object that was set aside take the place of the first one, which is rejected. Raises ``OSError``.

        If the process is killed, the one or the other is there under the name.
        """
        rejected = self._rejected / one.study_uid / f"{one.sop_instance_uid}.{_digest(one.first)}{_SUFFIX}"
        self._place(one.first, rejected)
        one.path.replace(one.first)
        self._flush_names(one.first)
        self.delete_aside(one)

    def delete_aside(self, one: AsideObject) -> None:
        """Remove an object that was set aside, for good. Raises ``OSError``."""
        one.path.unlink(missing_ok=True)
        flush(one.path.parent)
        with suppress(OSError):  # not empty: others of the study were set aside
            one.path.parent.rmdir()

    def results(self, study_uid: str, revision: int) -> Path:
        """Return the folder of the results of a study at a revision of the ledger; it need not exist."""
        return self._results / study_uid / str(revision)

    def unmake_results(self, study_uid: str, revision: int) -> None:
        """Remove results that were written where the store is not any more, and the empty folders that this made."""
        folder = self.results(study_uid, revision)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # not empty
            for parent in (folder.parent, self._results, self.folder):
                parent.rmdir()

    def scored_studies(self) -> dict[str, int]:
        """Return the newest revision of each study that has results."""
        found = {}
        for study in os.scandir(self._results):
            revisions = [int(entry.name) for entry in os.scandir(study) if entry.name.isdecimal()]
            if revisions and is_used_uid(study.name):
                found[study.name] = max(revisions)
        return found

    def discard_received(self, study_uid: str, objects: int) -> Discarding | None:
        """Take the originals of a study out of ``received``, all at once; None if there are none.

        ``objects`` is how many ``received`` listed *before* the ledger said that the study may go. If there are more
        now, some have arrived in between: ``put_back``. Otherwise ``delete``. A killed process leaves all of them where
        they were, or all in ``discarding``.
        """
        away = self._discarding / f"{study_uid}{_SEPARATOR}{objects}"
        try:
            (self._received / study_uid).rename(away)
        except FileNotFoundError:
            return None
        flush(self._discarding)
        flush(self._received)
        return Discarding(study_uid, objects, away)

    def discarding(self) -> tuple[Discarding, ...]:
        """Return what a killed process took out of ``received`` and did not delete."""
        names = [entry.name.partition(_SEPARATOR) for entry in os.scandir(self._discarding)]
        return tuple(
            Discarding(study_uid, int(objects), self._discarding / f"{study_uid}{_SEPARATOR}{objects}")
            for study_uid, _, objects in sorted(names)
            if objects.isdecimal()
        )

    def put_back(self, going: Discarding) -> None:
        """Let originals lie in ``received`` again. Raises ``OSError``; then, or if killed, call it again."""
        for file in going.files:
            self.keep(file, going.study_uid, file.stem)
        _remove(going)

    def delete(self, going: Discarding) -> None:
        """Remove originals for good, and what of the study was rejected. Raises ``OSError``; then call it again."""
        shutil.rmtree(self._rejected / going.study_uid, ignore_errors=True)
        _remove(going)

    def free_bytes(self) -> int:
        """Return how much more the disk can take. Raises ``OSError`` if the store is not there."""
        return shutil.disk_usage(self._mark).free

    def has_room(self, *, reserve_mb: float, reserve_percent: float, more_bytes: int = 0) -> bool:
        """Whether the larger reserve stays free when so much more is written; MB are millions of bytes.

        Raises ``OSError`` if the store is not there.
        """
        disk = shutil.disk_usage(self._mark)
        reserve = max(reserve_mb * _MB, reserve_percent / 100 * disk.total)
        return disk.free - more_bytes >= reserve

    def _identity(self) -> str:
        """Return the random name of this store, written once; also proves that the disk can do what ``keep`` needs."""
        path = self._mark
        with self.incoming() as incoming:
            incoming.write_text(f"{token_hex(16)}\n", encoding="ascii")
            self._place(incoming, path)
        return path.read_text(encoding="ascii").strip()

    def _place(self, incoming: Path, final: Path) -> bool:
        """Give a file its final name for good; returns False, and changes nothing, if that name is taken."""
        flush(incoming)
        while True:
            with suppress(FileExistsError):  # ``exist_ok`` looks again, and the folder may be gone then
                final.parent.mkdir()
            try:
                os.link(incoming, final)  # unlike rename, it never replaces; the other name goes with ``incoming``
                self._flush_names(final)
                if final.samefile(incoming):
                    return True
            except FileExistsError:
                return False
            except FileNotFoundError:  # the folder has just been discarded, with this file or without it
                if not incoming.exists():
                    raise

    def _flush_names(self, path: Path) -> None:
        """Wait until the name of a file is on the disk, and that of its folder; each flush takes milliseconds.

        The folder's is, if this process has flushed it and no folder beside it came or went since: another process may
        have removed this one, and a new one may have its inode.
        """
        folder = path.parent
        flush(folder)
        now = (folder.stat().st_ino, folder.parent.stat().st_ctime_ns)
        if self._lasting.get(folder) != now:
            flush(folder.parent)
            if len(self._lasting) >= _MOST_LASTING:
                self._lasting.clear()
            self._lasting[folder] = now


def _remove(going: Discarding) -> None:
    for file in going.files:
        file.unlink(missing_ok=True)
    going.folder.rmdir()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()[:_DIGEST_CHARACTERS]

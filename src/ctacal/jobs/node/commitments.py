"""Requests for storage commitment (PS3.4 annex J) that were accepted and not yet answered, and what the answer is.

A request is a small file in STORE/commitments until its answer was delivered, so that no restart forgets it.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import IntEnum
from hashlib import sha256
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from ctacal.atomic import write_text
from ctacal.dicom.header import READING_ERRORS
from ctacal.jobs.node.store import Store


class Failure(IntEnum):
    """Failure Reason (0008,1197), PS3.3 section C.14.1.1."""

    PROCESSING_FAILURE = 0x0110
    """Other bytes under this SOP Instance UID came too: which of them are meant is not known."""
    NO_SUCH_OBJECT = 0x0112
    """It is not stored."""
    CLASS_CONFLICT = 0x0119
    """It is stored, and is of another SOP class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """The question whether objects are safe here."""

    transaction_uid: str
    peer: str
    """AE title that asked."""
    references: tuple[tuple[str, str], ...]
    """SOP Class UID and SOP Instance UID of each object."""


@dataclass(frozen=True, slots=True)
class CommitmentAnswer:
    """Which of the objects are stored, and why the others are not."""

    stored: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, Failure], ...]


def answer_to(store: Store, request: CommitmentRequest) -> CommitmentAnswer:
    """Look for the objects of a request in the store. Raises ``OSError`` if the store is not there."""
    store.require()
    found, aside = store.find({uid for _, uid in request.references}), store.aside()
    failures = {
        (sop_class, uid): _failure(sop_class, found.get(uid, ()), is_aside=uid in aside)
        for sop_class, uid in request.references
    }
    return CommitmentAnswer(
        tuple(reference for reference, failure in failures.items() if failure is None),
        tuple((*reference, failure) for reference, failure in failures.items() if failure is not None),
    )


def remember(store: Store, request: CommitmentRequest) -> None:
    """Write a request to the disk. Raises ``OSError``."""
    store.require()
    _folder(store).mkdir(exist_ok=True)  # never with its parents: the disk of the store may just have gone
    write_text(_file(store, request), json.dumps(asdict(request)) + "\n", make=False)


def forget(store: Store, request: CommitmentRequest) -> None:
    """Remove a request that was answered."""
    _file(store, request).unlink(missing_ok=True)


def remembered(store: Store) -> list[CommitmentRequest]:
    """Return the requests that wait for their answer."""
    found = []
    for path in sorted(_folder(store).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):  # not one of ours
            fields = json.loads(path.read_text(encoding="utf-8"))
            references = tuple((str(sop_class), str(uid)) for sop_class, uid in fields.pop("references"))
            found.append(CommitmentRequest(**fields, references=references))
    return found


def _failure(sop_class_uid: str, paths: Sequence[Path], *, is_aside: bool) -> Failure | None:
    if not paths:
        return Failure.NO_SUCH_OBJECT
    if is_aside:
        return Failure.PROCESSING_FAILURE
    return None if all(_sop_class(path) == sop_class_uid for path in paths) else Failure.CLASS_CONFLICT


def _sop_class(path: Path) -> str:
    try:
        return str(read_file_meta_info(path).MediaStorageSOPClassUID)
    except READING_ERRORS:
        return ""


def _folder(store: Store) -> Path:
    return store.folder / "commitments"


def _file(store: Store, request: CommitmentRequest) -> Path:
    name = sha256(f"{request.peer}\0{request.transaction_uid}".encode()).hexdigest()[:32]
    return _folder(store) / f"{name}.json"

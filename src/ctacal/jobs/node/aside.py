"""What was set aside: other bytes under the UID of an object that is known. A person decides which of both counts.

Who decided what stands in the audit trail, before it is done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag

from ctacal.dicom.header import READING_ERRORS, quiet_pydicom
from ctacal.errors import NotPossible, Problem
from ctacal.jobs.node.ledger import Ledger
from ctacal.jobs.node.store import AsideObject, Store

MOST_SHOWN = 100
_MOST_NAMED = 6
"""Elements that are named of those in which two objects differ."""


class Decision(StrEnum):
    """What is done with an object that was set aside."""

    KEEP = "keep"
    """The first one counts. The other is kept beside it until the originals go; if it comes again, nothing is asked."""
    TAKE = "take"
    """The one that was set aside counts: it takes the place of the first, and the study is scored again."""
    DELETE = "delete"
    """The one that was set aside is removed. If it comes again, it is set aside again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAside:
    """An object that was set aside, for people and programs. It names no patient."""

    study_uid: str
    sop_instance_uid: str
    digest: str
    """Tells several apart that came under one UID."""
    at: str
    """When it came (UTC, ISO 8601)."""
    source: str
    """Where from; empty if the audit trail does not say."""
    reason: str
    """How it differs from the first one."""
    first_bytes: int | None
    """Size of the first one's file; None: it was deleted after delivery."""
    bytes: int
    """Size of its own file."""


def shown_aside(store: Store, ledger: Ledger, limit: int = MOST_SHOWN) -> tuple[ShownAside, ...]:
    """Return what was set aside, up to ``limit``. Raises ``DatabaseAway``."""
    return tuple(_shown(one, ledger) for one in store.aside_objects(limit) if one.path.exists())


def aside_json(one: ShownAside) -> dict[str, Any]:
    """Return it as the REST interface shows it."""
    return asdict(one)


def decide(store: Store, ledger: Ledger, key: tuple[str, str, str], decision: Decision, *, by: str) -> str:
    """Do what a person decided about an object, given by study, SOP Instance UID and digest; returns what was done.

    Raises ``NotPossible`` if it is not there any more, or the first one was deleted and so cannot be replaced.
    """
    one = store.aside_object(*key)
    if one is None:
        raise NotPossible(Problem.NOT_FOUND, "this object is not set aside any more")
    if decision is Decision.TAKE and not one.first.exists():
        said = "the images of this study were deleted after delivery; send the study again, with the new object"
        raise NotPossible(Problem.LOCKED, said)
    ledger.audit.append("asked", study_uid=one.study_uid, wish=f"aside: {decision}", by=by,
                        sop_instance_uid=one.sop_instance_uid, file_digest=one.digest)  # fmt: skip
    if decision is Decision.TAKE:
        return _take(store, ledger, one)
    if decision is Decision.KEEP:
        store.reject(one)
        return "The first one counts. If the other comes again, it is refused without a question."
    store.delete_aside(one)
    return "It was deleted. The first one counts."


def _take(store: Store, ledger: Ledger, one: AsideObject) -> str:
    """Replace the first object. The study is open before and after that, whatever ends this process in between."""
    ledger.arrived(one.study_uid, objects=0, source="")
    store.take_aside(one)
    ledger.arrived(one.study_uid, objects=0, source="")
    if not ledger.score_now(one.study_uid):
        return "The new one counts. The result stays: the images that it was made from were deleted after delivery."
    return "The new one counts. The study is scored again; the new result names the old one as its predecessor."


def _shown(one: AsideObject, ledger: Ledger) -> ShownAside:
    found, first = one.path.stat(), one.first.stat() if one.first.exists() else None
    changed_ns = first.st_mtime_ns if first else 0
    return ShownAside(
        study_uid=one.study_uid,
        sop_instance_uid=one.sop_instance_uid,
        digest=one.digest,
        at=datetime.fromtimestamp(found.st_mtime, UTC).isoformat(timespec="milliseconds"),
        source=_source(one, ledger),
        reason=_difference(one.path, one.first, changed_ns) if first else "the first one was deleted after delivery",
        first_bytes=first.st_size if first else None,
        bytes=found.st_size,
    )


def _source(one: AsideObject, ledger: Ledger) -> str:
    for record in ledger.audit.records(study_uid=one.study_uid, limit=1000):  # the newest first
        content = record.content
        if content["what"] == "object set aside" and content.get("sop_instance_uid") == one.sop_instance_uid:
            return str(content.get("source", ""))
    return ""


@lru_cache(maxsize=10 * MOST_SHOWN)
def _difference(path: Path, first: Path, changed_ns: int) -> str:
    """Say how two objects differ, by names of elements and never by their values; ``changed_ns`` is for the cache."""
    del changed_ns
    try:
        with quiet_pydicom():
            new, old = dcmread(path), dcmread(first)
            names = list(_differing(old, new))
            syntaxes = old.file_meta.TransferSyntaxUID != new.file_meta.TransferSyntaxUID
    except READING_ERRORS:
        return "one of both cannot be read"
    return _in_words(names, syntaxes=syntaxes)


def _differing(old: Dataset, new: Dataset) -> Iterator[str]:
    for tag in sorted(old.keys() | new.keys()):
        if tag not in old or tag not in new or old[tag] != new[tag]:
            yield keyword_for_tag(tag) or str(tag)


def _in_words(names: Sequence[str], *, syntaxes: bool) -> str:
    transfer = ["another transfer syntax"] if syntaxes else []
    if not names:
        return "; ".join(transfer) or "other bytes, the same content"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return "; ".join([*transfer, f"other {', '.join(names[:_MOST_NAMED])}{more}"])

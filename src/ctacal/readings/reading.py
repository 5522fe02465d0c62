"""``Reading``: one reader's marks on one scan as they stand after a number of events; each event gives the next one.

``after(reading, record)`` is the only way on: the server uses it as events come, and everything else that looks at a
reading replays its file by it. A record of an edit holds the voxels that changed, not the gesture that changed them,
so that a later program replays it to the same marks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ctacal.errors import NotPossible, Problem
from ctacal.readings.candidates import Cut
from ctacal.readings.chain import Record
from ctacal.readings.marks import Change, Marks, Shape, from_triples

EDITS = ("click", "paint", "cut", "take")
"""Kinds of event that can be undone."""

Verdict = Literal["read", "unreadable"]


@dataclass(frozen=True, eq=False, slots=True)
class Edit:
    """What one edit did: labels changed, or a candidate was cut."""

    change: Change
    cut: Cut | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """That a reader stands by a version."""

    when: str
    verdict: Verdict
    all_marked: bool
    """Whether all other calcium in view was marked too, so that unmarked voxels are none."""
    comment: str
    digest: str
    """Digest of the record that signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version that was signed, for the history."""

    number: int
    when: str
    agatston: float
    reason: str
    """Why it was made; empty for the first."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Reading:
    """A reading after ``seq`` events."""

    opening: Mapping[str, Any]
    """The first event: who, which scan, which session, rule and program, and what the reading starts from."""
    seq: int
    marks: Marks
    version: int = 1
    cuts: tuple[Cut, ...] = ()
    done: tuple[Edit, ...] = ()
    """Edits of this version that can be undone, the newest last."""
    undone: tuple[Edit, ...] = ()
    signature: Signature | None = None
    versions: tuple[Version, ...] = ()
    """All signed versions, this one too if it is signed."""
    reason: str = ""
    """Why this version was made; empty for the first."""
    active_s: float = 0.0
    edits: int = 0
    """Number of edits in all versions, undo and redo among them."""
    signed_active_s: float = 0.0
    """``active_s`` and ``signed_edits``: as they were at the first signature."""
    signed_edits: int = 0
    score: Mapping[str, Any] = field(default_factory=dict)
    """As the newest event that changed it holds it (``readings.scored.score_json``)."""
    ended: str = ""
    """Time of the newest event."""
    head: str = ""
    """Digest of the newest record."""

    @property
    def shape(self) -> Shape:
        """Shape of the scan."""
        return shape_of(self.opening)

    @property
    def locked(self) -> bool:
        """Whether this version is signed."""
        return self.signature is not None


def shape_of(opening: Mapping[str, Any]) -> Shape:
    """Return the shape of the scan that an opening names."""
    slices, rows, columns = opening["scan"]["shape"]
    return slices, rows, columns


def replayed(records: Iterable[Record]) -> Reading:
    """Return the reading after all records. Raises ``NotPossible`` (``DAMAGED``) if they are no reading."""
    reading: Reading | None = None
    for record in records:
        reading = replayed_on(reading, record)
    if reading is None:
        raise NotPossible(Problem.DAMAGED, "the file of a reading is empty; remove it")
    return reading


def replayed_on(reading: Reading | None, record: Record) -> Reading:
    """Return the reading after one more event of its file. Raises ``NotPossible`` (``DAMAGED``) if it is none."""
    try:
        return after(reading, record)
    except (LookupError, TypeError, ValueError) as problem:
        message = f"event {record.n} of a reading cannot be replayed ({type(problem).__name__}: {problem})"
        raise NotPossible(Problem.DAMAGED, f"{message}; restore the file from a backup") from problem


def after(reading: Reading | None, record: Record) -> Reading:
    """Return the reading after one more event. Raises ``LookupError`` or ``ValueError`` for an event that is none."""
    content = record.content
    if reading is None:
        return _opened(record)
    step = _STEPS[content["kind"]](reading, content)
    active_s = reading.active_s + float(content.get("active_s", 0.0))
    step = replace(
        step,
        seq=record.n + 1,
        active_s=active_s,
        score=content.get("score", reading.score),
        ended=content["when"],
        head=record.digest,
    )
    if content["kind"] == "sign":
        step = _signed(step, record)
    if content["kind"] == "amend":
        step = replace(step, signature=None, version=step.version + 1, reason=content["reason"], done=(), undone=())
    return step


def _opened(record: Record) -> Reading:
    content = record.content
    if content["kind"] != "open":
        raise ValueError(f"a reading begins with the kind open, not {content['kind']!r}")
    voxel, label = from_triples(content["start"]["labels"], shape_of(content))
    return Reading(
        opening=content,
        seq=1,
        marks=Marks(voxel, label),
        score=content["score"],
        ended=content["when"],
        head=record.digest,
    )


def edited(reading: Reading, edit: Edit) -> Reading:
    """Return the reading after an edit."""
    cuts = (*reading.cuts, edit.cut) if edit.cut else reading.cuts
    return replace(
        reading,
        marks=reading.marks.with_change(edit.change),
        cuts=cuts,
        done=(*reading.done, edit),
        undone=(),
        edits=reading.edits + 1,
    )


def _edit(reading: Reading, content: Mapping[str, Any]) -> Reading:
    voxel, label = from_triples(content["changes"], reading.shape)
    before = reading.marks.at(voxel)
    cut = cut_from(content["cut"]) if content.get("cut") else None
    return edited(reading, Edit(Change(voxel, before, label), cut))


def _undo(reading: Reading, _: Mapping[str, Any]) -> Reading:
    edit = reading.done[-1]
    return replace(
        reading,
        marks=reading.marks.with_change(edit.change.back),
        cuts=reading.cuts[:-1] if edit.cut else reading.cuts,
        done=reading.done[:-1],
        undone=(*reading.undone, edit),
        edits=reading.edits + 1,
    )


def _redo(reading: Reading, _: Mapping[str, Any]) -> Reading:
    edit = reading.undone[-1]
    return replace(edited(reading, edit), undone=reading.undone[:-1])


def _same(reading: Reading, _: Mapping[str, Any]) -> Reading:
    return reading


def _signed(reading: Reading, record: Record) -> Reading:
    content = record.content
    signature = Signature(
        when=content["when"],
        verdict=content["verdict"],
        all_marked=content["all_marked"],
        comment=content["comment"],
        digest=record.digest,
    )
    first = reading.version == 1
    version = Version(
        number=reading.version,
        when=content["when"],
        agatston=reading.score["agatston"]["total"],
        reason=reading.reason,
    )
    return replace(
        reading,
        signature=signature,
        versions=(*reading.versions, version),
        signed_active_s=reading.active_s if first else reading.signed_active_s,
        signed_edits=reading.edits if first else reading.signed_edits,
    )


_STEPS = dict.fromkeys(EDITS, _edit) | {
    "undo": _undo,
    "redo": _redo,
    **dict.fromkeys(("sign", "amend", "time", "mismatch"), _same),
}


def cut_json(cut: Cut) -> dict[str, Any]:
    """Return a cut as plain values."""
    return {
        "candidate": cut.candidate,
        "from": list(cut.start),
        "to": list(cut.end),
        "first": cut.first,
        "last": cut.last,
    }


def cut_from(fields: Mapping[str, Any]) -> Cut:
    """Return the cut of plain values."""
    (row0, column0), (row1, column1) = fields["from"], fields["to"]
    return Cut(fields["candidate"], (row0, column0), (row1, column1), fields["first"], fields["last"])

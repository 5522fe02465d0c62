"""``event_content``: what a reader asks for, on a reading as it stands -> the event that is stored.

Pure functions: the room decides when, and stores.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ctacal.errors import NotPossible, Problem
from ctacal.jobs.reading_cases import OpenCase
from ctacal.jobs.reading_requests import Amend, Asked, Click, CutLine, Mismatch, Paint, Sent, Sign, Take
from ctacal.readings.candidates import Candidates, Cut
from ctacal.readings.edits import click, divide, paint, take
from ctacal.readings.marks import Marks, triples
from ctacal.readings.reading import Edit, Reading, cut_json, edited
from ctacal.readings.scored import score_json, score_marks

_log = logging.getLogger("ctacal")

_LAST_WORDS = ("amend", "time", "mismatch")
"""Kinds of event that a signed reading takes."""


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """A reading and its scan, as an event finds them."""

    opened: OpenCase
    reading: Reading
    candidates: Candidates
    """After the reading's cuts."""
    marks_of: Callable[[str], Marks]
    """The marks of another reader, by letter. Raises ``ValueError`` if this reading may not take them."""


def event_content(scene: Scene, sent: Sent, asked: Asked, *, when: str, who: str) -> dict[str, Any]:
    """Return the event to store, with the marks and the score after it.

    Raises ``NotPossible`` if the reading has gone on (``STALE``), is signed (``LOCKED``), or cannot take the event
    (``INVALID``).
    """
    if sent.seq != scene.reading.seq:
        raise NotPossible(Problem.STALE, "the reading has gone on in another tab; what it shows now is the newest")
    _require_open(scene.reading, sent.kind)
    common = {"kind": sent.kind, "when": when, "who": who, "event_id": sent.event_id, "active_s": sent.active_s}
    return {**common, **_details(scene, sent.kind, asked)}


def scored(opened: OpenCase, marks: Marks) -> dict[str, Any]:
    """Return what an event says of the marks after it: their digest and their score."""
    found = score_marks(opened.volume, marks, opened.rule, opened.case.mass_calibration)
    return {"marks": marks.digest, "score": score_json(found)}


def _require_open(reading: Reading, kind: str) -> None:
    if kind == "amend" and not reading.locked:
        raise NotPossible(Problem.INVALID, "kind: only a signed reading is amended; go on with this one")
    if reading.locked and kind not in _LAST_WORDS:
        raise NotPossible(Problem.LOCKED, "this reading is signed; amend it to change it")
    if (kind == "undo" and not reading.done) or (kind == "redo" and not reading.undone):
        raise NotPossible(Problem.INVALID, f"kind: there is nothing to {kind}")


def _details(scene: Scene, kind: str, asked: Asked) -> dict[str, Any]:
    reading = scene.reading
    as_it_stands = {"marks": reading.marks.digest, "score": dict(reading.score)}
    match asked:
        case Sign():
            said = {"all_marked": asked.all_marked, "verdict": asked.verdict, "comment": asked.comment}
            return said | as_it_stands
        case Amend():
            return {"reason": asked.reason}
        case Mismatch():
            _log.error("reading of %s: the page counts otherwise: %s", reading.opening["case"], asked.page)
            return {"page": asked.page, **as_it_stands}
    if kind == "time":
        return {}
    if kind in ("undo", "redo"):
        change = reading.done[-1].change.back if kind == "undo" else reading.undone[-1].change
        return scored(scene.opened, reading.marks.with_change(change))
    return _edit_content(scene, asked)


def _edit_content(scene: Scene, asked: Asked) -> dict[str, Any]:
    try:
        edit, gesture = _edit(scene, asked)
    except ValueError as problem:
        raise NotPossible(Problem.INVALID, str(problem)) from problem
    return {
        **gesture,
        "changes": triples(edit.change.voxel, edit.change.after, scene.reading.shape),
        **({"cut": cut_json(edit.cut)} if edit.cut else {}),
        **scored(scene.opened, edited(scene.reading, edit).marks),
    }


def _edit(scene: Scene, asked: Asked) -> tuple[Edit, dict[str, Any]]:
    """Return what a gesture changes, and the gesture as it is stored. Raises ``ValueError`` naming the field."""
    volume, rule, marks = scene.opened.volume, scene.opened.rule, scene.reading.marks
    match asked:
        case Click():
            edit = click(volume, rule, scene.candidates, marks, asked.voxel, asked.label, asked.depth)
            return edit, {"voxel": list(asked.voxel), "label": asked.label, "depth": asked.depth}
        case Paint():
            return paint(volume, rule, marks, asked.runs, asked.label), {"tool": asked.tool, "label": asked.label}
        case CutLine():
            return divide(volume, rule, scene.candidates, _cut(asked, volume.geometry.shape[0])), {}
        case Take():
            return take(marks, scene.marks_of(asked.reader)), {"reader": asked.reader}
    raise ValueError(f"kind: {type(asked).__name__} is no edit")


def _cut(asked: CutLine, slices: int) -> Cut:
    """Return the cut that a line asks for. Raises ``ValueError`` if its slice is not in the scan."""
    if not 0 <= asked.slice < slices:
        raise ValueError(f"slice: expected 0..{slices - 1}, got {asked.slice}")
    if asked.depth is not None and asked.depth < 0:
        raise ValueError(f"depth: expected 0 or more slices, got {asked.depth}")
    if asked.start == asked.end or not all(map(np.isfinite, (*asked.start, *asked.end))):
        raise ValueError("to: a line needs two different points")
    depth = slices if asked.depth is None else asked.depth
    first, last = max(0, asked.slice - depth), min(slices - 1, asked.slice + depth)
    return Cut(asked.candidate, asked.start, asked.end, first, last)

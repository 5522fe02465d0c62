"""Readings of one case that disagree, side by side, for an adjudicator to settle."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctacal.errors import NotPossible, Problem
from ctacal.jobs.reader_study import ADJUDICATION
from ctacal.jobs.reading_folder import ReadingFolder, ReadingKey
from ctacal.jobs.reading_index import ReadingIndex, Summary
from ctacal.jobs.reading_json import marks_json
from ctacal.readings.marks import Marks


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Readings of a case in one session that differ in risk category, or in whether the scan can be read."""

    case_id: str
    session: str
    readings: Mapping[str, Summary]
    """By letters that stand for the readers."""

    @property
    def settling(self) -> str:
        """Name of the session that settles it."""
        return ADJUDICATION + self.session

    @property
    def why(self) -> str:
        """What differs, in words."""
        said = [str(one.category) if one.verdict == "read" else "unreadable" for one in self.readings.values()]
        return "category " + " against ".join(dict.fromkeys(said))


def disagreements(index: ReadingIndex, case_id: str | None = None) -> list[Disagreement]:
    """Return all disagreements of signed readings, or those about one case."""
    wanted = {} if case_id is None else {"case_id": case_id}
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in index.readings(state="signed", **wanted):
        if not summary.session.startswith(ADJUDICATION):
            groups.setdefault((summary.case_id, summary.session), []).append(summary)
    return [
        Disagreement(case, session, {chr(ord("A") + n): one for n, one in enumerate(sorted(readings, key=_veiled))})
        for (case, session), readings in groups.items()
        if len({(one.verdict, one.category) for one in readings}) > 1
    ]


def _veiled(summary: Summary) -> str:
    """Return what orders readers without telling their names."""
    return hashlib.sha256(f"{summary.case_id} {summary.session} {summary.reader}".encode()).hexdigest()


def disagreement(index: ReadingIndex, case_id: str, session: str) -> Disagreement:
    """Return the disagreement about a case in a session. Raises ``NotPossible`` (``NOT_FOUND``) if there is none."""
    for found in disagreements(index, case_id):
        if found.session == session:
            return found
    raise NotPossible(Problem.NOT_FOUND, "the readers of this case agree, or have not all signed")


def item_json(index: ReadingIndex, reader: str, found: Disagreement) -> dict[str, Any]:
    """Return a line of an adjudicator's list."""
    own = index.readings(case_id=found.case_id, session=found.settling, reader=reader)
    return {
        "case": found.case_id,
        "number": number_of(index, found.case_id),
        "session": found.session,
        "why": found.why,
        "readings": [
            {"reader": letter, "agatston": one.agatston, "category": one.category, "verdict": one.verdict}
            for letter, one in found.readings.items()
        ],
        "id": f"{found.case_id}.{found.settling}",
        "state": own[0].state if own else "open",
    }


def number_of(index: ReadingIndex, case_id: str) -> int:
    """Return the number of a case in the list of all cases."""
    return next(n for n, (name, *_) in enumerate(index.case_ids(), 1) if name == case_id)


def sides_json(folder: ReadingFolder, found: Disagreement) -> dict[str, Any]:
    """Return the readings, side by side."""
    sides = [_side_json(folder, letter, summary) for letter, summary in found.readings.items()]
    return {"readings": sides, "id": f"{found.case_id}.{found.settling}"}


def _side_json(folder: ReadingFolder, letter: str, summary: Summary) -> dict[str, Any]:
    reading = folder.reading(ReadingKey(summary.case_id, summary.reader, summary.session))
    return {
        "reader": letter,
        "labels": marks_json(reading.marks, reading.shape),
        "score": dict(reading.score),
        "all_marked": bool(reading.signature and reading.signature.all_marked),
        "verdict": summary.verdict,
    }


def marks_of(folder: ReadingFolder, index: ReadingIndex, key: ReadingKey, letter: str) -> Marks:
    """Return the marks that an adjudicator's reading may take over. Raises ``ValueError`` if it may not."""
    if not key.session.startswith(ADJUDICATION):
        raise ValueError("kind: only an adjudicator takes over marks")
    found = disagreement(index, key.case_id, key.session.removeprefix(ADJUDICATION))
    if letter not in found.readings:
        raise ValueError(f"reader: {letter!r} is none of {', '.join(found.readings)}")
    summary = found.readings[letter]
    return folder.reading(ReadingKey(summary.case_id, summary.reader, summary.session)).marks

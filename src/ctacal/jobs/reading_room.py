"""``ReadingRoom``: everything that a reader's page asks of the server, as plain calls with plain values.

The room knows who may see what, opens scans, takes events and stores them before it answers. ``web`` only translates
between it and HTTP.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Literal

import numpy as np

from ctacal import __version__
from ctacal.errors import NotPossible, Problem
from ctacal.jobs.open_cases import OpenCases
from ctacal.jobs.reader_study import (
    ADJUDICATION,
    AIDED,
    Plan,
    Session,
    aided_stage,
    free_from,
    moment,
    sessions_in_order,
    stage_of,
    written,
)
from ctacal.jobs.reading_cases import OpenCase
from ctacal.jobs.reading_folder import ReadingFolder, ReadingKey, note_signature, unnoted
from ctacal.jobs.reading_index import Query, ReadingIndex, Summary
from ctacal.jobs.reading_json import (
    Assignment,
    candidate_json,
    candidates_json,
    case_json,
    item_json,
    labels_json,
    marks_json,
    notice,
    progress_json,
    state_json,
)
from ctacal.jobs.reading_requests import Amend, Asked, Click, CutLine, Mismatch, Paint, Sent, Sign, Take, parsed
from ctacal.readings.candidates import Candidates, Cut, after_cuts
from ctacal.readings.chain import Record
from ctacal.readings.edits import changed, click, divide, paint, take
from ctacal.readings.journal import Journal
from ctacal.readings.marks import Marks, triples
from ctacal.readings.reading import Edit, Reading, cut_json, edited, replayed, replayed_on
from ctacal.readings.scored import score_json, score_marks

Role = Literal["reader", "adjudicator", "administrator"]
ROLES: tuple[Role, ...] = ("reader", "adjudicator", "administrator")

Kind = Literal["review", "annotate"]

LIVE = 64
"""Largest number of readings that are kept in memory; others are read from their files again."""

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSettings:
    """Who reads what, and how."""

    kind: Kind
    roles: Mapping[str, frozenset[Role]]
    """Of each reader."""
    plan: Plan | None = None
    phi: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(eq=False, slots=True)
class _Live:
    """A reading that is open in this program."""

    key: ReadingKey
    what: Assignment
    opened: OpenCase
    journal: Journal
    reading: Reading
    candidates: Candidates
    """After the reading's cuts."""
    lock: Lock = field(default_factory=Lock)


class _AlreadyStored(Exception):
    """The event was stored before; its answer was lost."""


class ReadingRoom:
    """The server's side of the reader's page."""

    def __init__(
        self, folder: ReadingFolder, index: ReadingIndex, settings: RoomSettings, cases: OpenCases | None = None
    ) -> None:
        """Open the room: what the files hold is brought into the list. Raises ``UsageError`` for another plan."""
        self.folder, self.index, self.settings = folder, index, settings
        self.cases = cases or OpenCases()
        self._live: dict[ReadingKey, _Live] = {}
        self._lock = Lock()
        folder.prepare()
        if settings.plan:
            folder.keep_plan(settings.plan, self._time())
        self._signatures = Journal.read(folder.signatures)
        for key, record in [*unnoted(folder, self._signatures)]:
            note_signature(self._signatures, key, record)
        self._bring_list_up_to_date()

    def close(self) -> None:
        """Note in the list where each reading stands, and close the database."""
        for live in list(self._live.values()):
            self._list(live.key, live.reading, live.journal.size)
        self.cases.close()
        self.index.close()

    # Who is there and what there is to read

    def session(self, reader: str) -> dict[str, Any]:
        """Return who the reader is and what this server is for."""
        roles, plan = self._roles(reader), self.settings.plan
        own = plan.sessions_of(reader) if plan else []
        return {
            "reader": reader,
            "roles": [role for role in ROLES if role in roles],
            "program": f"ctacal {__version__}",
            "kind": self.settings.kind,
            "study": {
                "name": plan.name,
                "washout_days": plan.washout_days,
                "sessions": [{"name": session.name, "mode": session.mode} for session in own],
            }
            if plan
            else None,
            "readings": str(self.folder.path.absolute()) if "administrator" in roles else None,
            "notice": notice(),
            "labels": labels_json(),
        }

    def worklist(self, reader: str, query: Query) -> dict[str, Any]:
        """Return a part of the reader's list."""
        self._assign(reader)
        self._note_open_readings(reader)
        query = replace(query, search_texts=self.settings.plan is None)
        total, items = self.index.items(reader, query)
        counts = self.index.counts(reader)
        return {
            "total": total,
            "counts": {"all": sum(counts.values()), **counts},
            "offset": query.offset,
            "items": [self._item_json(reader, item) for item in items],
        }

    def next_reading(self, reader: str, after: str) -> str | None:
        """Return the reading to do after another one: the next that is not done, else the first that is not."""
        return self._neighbour(reader, after, forward=True)

    def previous_reading(self, reader: str, before: str) -> str | None:
        """Return the reading before another one in the reader's order, in whatever state."""
        return self._neighbour(reader, before, forward=False)

    def _neighbour(self, reader: str, name: str, *, forward: bool) -> str | None:
        self._assign(reader)
        self._note_open_readings(reader)
        place = self._item(reader, name)["place"] if name else -1
        found = self.index.neighbour(reader, place, forward=forward)
        if found is None and forward and place >= 0:
            found = self.index.neighbour(reader, -1, forward=True)
        return f"{found[0]}.{found[1]}" if found and f"{found[0]}.{found[1]}" != name else None

    # One reading

    def open(self, reader: str, name: str) -> dict[str, Any]:
        """Open a reading, and begin it if nobody has. Raises ``Refusal`` or ``NotPossible``."""
        live = self._opened(reader, name, begin=True)
        with live.lock:
            return {
                "case": case_json(live.opened, live.what, phi=self.settings.phi),
                "state": state_json(live.reading),
                "candidates": candidates_json(live.candidates, live.opened, live.what),
            }

    def state(self, reader: str, name: str) -> dict[str, Any]:
        """Return a reading as it stands, with what other programs added."""
        live = self._opened(reader, name)
        with live.lock:
            self._catch_up(live)
            return state_json(live.reading)

    def candidates(self, reader: str, name: str) -> dict[str, Any]:
        """Return the candidates after the reading's cuts."""
        live = self._opened(reader, name)
        with live.lock:
            return candidates_json(live.candidates, live.opened, live.what)

    def prefetch(self, reader: str, name: str) -> None:
        """Decode the scan of a reading in the background."""
        case = self.index.case(self._assignment(reader, name).case_id)
        if case and not case.refusal:
            self.cases.prefetch(case)

    def voxels(self, reader: str, name: str, part: str) -> tuple[int, Iterator[bytes]]:
        """Return the scan's voxels, ``all`` of them or those around the ``heart``: their bytes, slice by slice.

        Little endian, in the order slice, row, column. Raises as ``open``.
        """
        if part not in ("heart", "all"):
            raise NotPossible(Problem.INVALID, f"part: expected heart or all, got {part!r}")
        opened = self._case(self._assignment(reader, name))
        hu = opened.volume.hu[opened.box] if part == "heart" else opened.volume.hu
        order = hu.dtype.newbyteorder("<")
        return hu.size * hu.dtype.itemsize, (np.ascontiguousarray(plane, order).tobytes() for plane in hu)

    def event(self, reader: str, name: str, body: Any) -> dict[str, Any]:
        """Store an event, and return what it changed. It is on the disk before this returns.

        Raises ``NotPossible`` if it is refused or could not be stored: then nothing has changed.
        """
        sent, asked = parsed(body)
        live = self._opened(reader, name)
        with live.lock:
            try:
                record = live.journal.append(lambda _: self._content(live, sent, asked))
            except _AlreadyStored:
                before = replayed(live.journal.records[:-1])
                return self._answer(live, before, live.candidates, again=True)
            before, candidates = live.reading, live.candidates
            self._take_in(live)
            self._after(live, record)
            return self._answer(live, before, candidates)

    # Adjudication and report

    def adjudications(self, reader: str) -> dict[str, Any]:
        """Return the cases whose readers disagree. Raises ``NotPossible`` for anyone but adjudicators."""
        self._require("adjudicator", reader)
        return {"items": [self._adjudication_item(reader, *found) for found in self._disagreements()]}

    def adjudication(self, reader: str, case_id: str, session: str) -> dict[str, Any]:
        """Return the readings of a case that disagree, side by side. Raises as ``adjudications``."""
        self._require("adjudicator", reader)
        for found, of, readings in self._disagreements():
            if (found, of) == (case_id, session):
                sides = [self._side(letter, summary) for letter, summary in readings.items()]
                return {"readings": sides, "id": f"{case_id}.{ADJUDICATION}{session}"}
        raise NotPossible(Problem.NOT_FOUND, "the readers of this case agree, or have not all signed")

    def _disagreements(self) -> list[tuple[str, str, dict[str, Summary]]]:
        """Return case, session and readings, by letters that stand for the readers, of each disagreement."""
        groups: dict[tuple[str, str], list[Summary]] = {}
        for summary in self.index.readings(state="signed"):
            if not summary.session.startswith(ADJUDICATION):
                groups.setdefault((summary.case_id, summary.session), []).append(summary)
        found = []
        for (case_id, session), readings in groups.items():
            if len({(summary.verdict, summary.category) for summary in readings}) > 1:
                letters = {chr(ord("A") + n): summary for n, summary in enumerate(readings)}
                found.append((case_id, session, letters))
        return found

    def _adjudication_item(
        self, reader: str, case_id: str, session: str, readings: Mapping[str, Summary]
    ) -> dict[str, Any]:
        own = ADJUDICATION + session
        known = self.index.readings(case_id=case_id, session=own, reader=reader)
        place = next(n for n, (name, *_) in enumerate(self.index.case_ids(), 1) if name == case_id)
        says = [one.category if one.verdict == "read" else "unreadable" for one in readings.values()]
        return {
            "case": case_id,
            "number": place,
            "session": session,
            "why": "category " + " against ".join(str(word) for word in dict.fromkeys(says)),
            "readings": [
                {"reader": letter, "agatston": one.agatston, "category": one.category, "verdict": one.verdict}
                for letter, one in readings.items()
            ],
            "id": f"{case_id}.{own}",
            "state": known[0].state if known else "open",
        }

    def _side(self, letter: str, summary: Summary) -> dict[str, Any]:
        reading = self.folder.reading(ReadingKey(summary.case_id, summary.reader, summary.session))
        return {
            "reader": letter,
            "labels": marks_json(reading.marks, reading.shape),
            "score": dict(reading.score),
            "all_marked": bool(reading.signature and reading.signature.all_marked),
            "verdict": summary.verdict,
        }

    # What a reader may do

    def _roles(self, reader: str) -> frozenset[Role]:
        roles = self.settings.roles.get(reader)
        if not roles:
            raise NotPossible(Problem.FORBIDDEN, f"{reader} has no role here; ask the administrator for one")
        return roles

    def _require(self, role: Role, reader: str) -> None:
        if role not in self._roles(reader):
            raise NotPossible(Problem.FORBIDDEN, f"this is for the {role}")

    def require_reader_or_administrator(self, reader: str) -> bool:
        """Return whether the reader is an administrator. Raises ``NotPossible`` (``FORBIDDEN``) without any role."""
        return "administrator" in self._roles(reader)

    def _assignment(self, reader: str, name: str) -> Assignment:
        """Return what a reading is. Raises ``NotPossible`` (``NOT_FOUND``) if it is not this reader's."""
        case_id, _, session = name.partition(".")
        if session.startswith(ADJUDICATION):
            return self._adjudication(reader, case_id, session)
        self._assign(reader)
        item = self._item(reader, name)
        return self._what(reader, case_id, session, item["number"], has_model=item["model_category"] is not None)

    def _item(self, reader: str, name: str) -> dict[str, Any]:
        case_id, _, session = name.partition(".")
        item = self.index.item(reader, case_id, session)
        if item is None:
            raise NotPossible(Problem.NOT_FOUND, "there is no such reading in your list")
        return item

    def _adjudication(self, reader: str, case_id: str, session: str) -> Assignment:
        self._require("adjudicator", reader)
        settled = session.removeprefix(ADJUDICATION)
        if not any((case_id, settled) == found[:2] for found in self._disagreements()):
            raise NotPossible(Problem.NOT_FOUND, "the readers of this case agree, or have not all signed")
        number = next(n for n, (name, *_) in enumerate(self.index.case_ids(), 1) if name == case_id)
        return Assignment(
            case_id=case_id, session=session, mode="adjudication", stage=None, number=number,
            hides_identity=self.settings.plan is not None, shows_model=False,
        )  # fmt: skip

    def _what(self, reader: str, case_id: str, session: str, number: int, *, has_model: bool) -> Assignment:
        plan = self.settings.plan
        if plan is None:
            aided = self.settings.kind == "review" and has_model
            return Assignment(
                case_id=case_id, session=session, mode="aided" if aided else "scratch", stage=None, number=number,
                hides_identity=False, shows_model=aided,
            )  # fmt: skip
        name, stage = stage_of(session)
        mode = self._planned(plan, reader, name).mode
        sequential = mode == "sequential"
        return Assignment(
            case_id=case_id, session=session, mode=mode, stage=stage if sequential else None, number=number,
            hides_identity=True, shows_model=mode == "aided" or (sequential and stage == AIDED),
        )  # fmt: skip

    def _planned(self, plan: Plan, reader: str, name: str) -> Session:
        for session in plan.sessions_of(reader):
            if session.name == name:
                return session
        raise NotPossible(Problem.NOT_FOUND, "there is no such session in your plan")

    def _assign(self, reader: str) -> None:
        """Give a reader the cases of the plan, or all cases, when first seen."""
        if "reader" not in self._roles(reader) or self.index.assigned(reader):
            return
        cases = [(name, uid) for name, uid, _ in self.index.case_ids()]
        plan = self.settings.plan
        order = sessions_in_order(plan, reader, cases) if plan else [(name, self.settings.kind) for name, _ in cases]
        numbers: dict[str, int] = {}
        rows = []
        for place, (case_id, session) in enumerate(order):
            numbers[session] = numbers.get(session, 0) + 1
            rows.append((case_id, session, 2 * place, numbers[session]))
        self.index.assign(reader, rows)
        for summary in self.index.readings(reader=reader, state="signed"):
            self._give_second_stage(reader, summary.case_id, summary.session)

    def _give_second_stage(self, reader: str, case_id: str, session: str) -> str | None:
        """Give the second stage of a sequential session, once the first is signed; return the reading's name."""
        plan, (name, stage) = self.settings.plan, stage_of(session)
        item = self.index.item(reader, case_id, session)
        if not plan or not item or stage == AIDED or self._planned(plan, reader, name).mode != "sequential":
            return None
        second = aided_stage(session)
        self.index.assign(reader, [(case_id, second, item["place"] + 1, item["number"])])
        return f"{case_id}.{second}"

    def _available_from(self, key: ReadingKey) -> datetime | None:
        """Return when a reading that nobody has begun may begin, if that is in the future."""
        plan = self.settings.plan
        if not plan:
            return None
        own = stage_of(key.session)[0]
        earlier = self.index.readings(reader=key.reader, case_id=key.case_id)
        ended = [moment(one.ended) for one in earlier if stage_of(one.session)[0] != own]
        free = free_from(plan, ended)
        return free if free and free > self.settings.now() else None

    # Opening and events

    def _case(self, what: Assignment) -> OpenCase:
        case = self.index.case(what.case_id)
        if case is None:
            raise NotPossible(Problem.NOT_FOUND, "the scan is no longer in the list")
        if case.refusal:
            text = case.refusal if not what.hides_identity else case.refusal.partition(":")[0]
            raise NotPossible(Problem.NOT_FOUND, f"this scan cannot be read: {text}")
        return self.cases.get(case)

    def _opened(self, reader: str, name: str, *, begin: bool = False) -> _Live:
        """Return a reading as it is open in this program; ``begin`` it if it has no file yet."""
        what = self._assignment(reader, name)
        key = ReadingKey(what.case_id, reader, what.session)
        with self._lock:
            live = self._live.pop(key, None)
            if live:
                self._live[key] = live  # the newest is last
                return live
        opened = self._case(what)
        journal = Journal.read(self.folder.file(key))
        if journal.last is None:
            if not begin:
                raise NotPossible(Problem.NOT_FOUND, "this reading has not begun; open it first")
            self._begin(key, what, opened, journal)
        live = self._made_live(key, what, opened, journal)
        with self._lock:
            live = self._live.setdefault(key, live)
            for old in list(self._live)[:-LIVE]:
                self._list(old, self._live[old].reading, self._live[old].journal.size)
                del self._live[old]
        return live

    def _made_live(self, key: ReadingKey, what: Assignment, opened: OpenCase, journal: Journal) -> _Live:
        reading = replayed(journal.records)
        if reading.opening["scan"]["digest"] != opened.digest:
            message = "the scan is not the one on which this reading began; put its images back"
            raise NotPossible(Problem.DAMAGED, message)
        candidates = self._candidates(what, opened, reading)
        return _Live(key, what, opened, journal, reading, candidates)

    def _candidates(self, what: Assignment, opened: OpenCase, reading: Reading) -> Candidates:
        found = opened.aided if what.shows_model else opened.blind
        return after_cuts(opened.volume, opened.rule, found, reading.cuts)

    def _begin(self, key: ReadingKey, what: Assignment, opened: OpenCase, journal: Journal) -> None:
        """Store the first event of a reading. Raises ``NotPossible`` (``WASHOUT``) if it is too early."""
        if free := self._available_from(key):
            message = f"you read this case before; the plan lets you read it again from {free.date().isoformat()} on"
            raise NotPossible(Problem.WASHOUT, message)
        origin, start = self._start(key, what, opened)
        content = {
            "kind": "open",
            "when": self._time(),
            "case": key.case_id,
            "reader": key.reader,
            "session": key.session,
            "mode": what.mode,
            "stage": what.stage,
            "number": what.number,
            "program": f"ctacal {__version__}",
            "scan": {
                "shape": list(opened.volume.geometry.shape),
                "digest": opened.digest,
                "study_uid": opened.case.study_uid,
                "series_uid": opened.case.series_uid,
            },
            "rule": opened.rule.to_json(),
            "mass_calibration": opened.case.mass_calibration,
            "model_shown": _model_named(opened) if what.shows_model else None,
            "start": {"from": origin, "labels": marks_json(start, opened.volume.geometry.shape)},
            "plan": self._plan_json(),
            **self._scored(opened, start),
        }

        def first(last: Record | None) -> Mapping[str, Any]:
            if last is not None:
                raise _AlreadyStored  # another tab was faster
            return content

        try:
            journal.append(first)
        except _AlreadyStored:
            return
        self._list(key, replayed(journal.records), journal.size)

    def _start(self, key: ReadingKey, what: Assignment, opened: OpenCase) -> tuple[str, Marks]:
        """Return where the marks of a new reading come from, and the marks."""
        if what.stage == AIDED:
            unaided = self.folder.reading(ReadingKey(key.case_id, key.reader, stage_of(key.session)[0]))
            return "unaided", unaided.marks
        if what.mode == "aided" and opened.case.model:
            return "model", opened.model_marks
        return "nothing", Marks.none()

    def _plan_json(self) -> dict[str, Any] | None:
        plan = self.settings.plan
        if plan is None:
            return None
        return {
            "name": plan.name,
            "digest": plan.digest,
            "washout_days": plan.washout_days,
            "washout_reason": plan.washout_reason,
        }

    def _scored(self, opened: OpenCase, marks: Marks) -> dict[str, Any]:
        scored = score_marks(opened.volume, marks, opened.rule, opened.case.mass_calibration)
        return {"marks": marks.digest, "score": score_json(scored)}

    def _catch_up(self, live: _Live) -> None:
        """Take in what another program stored."""
        fresh = Journal.read(live.journal.path)
        if fresh.size != live.journal.size:
            live.journal = fresh
            self._take_in(live)

    def _take_in(self, live: _Live) -> None:
        """Bring the reading up to its journal."""
        cuts = live.reading.cuts
        known = [*live.journal.records]
        reading = live.reading
        if known[reading.seq - 1].digest != reading.head:
            raise NotPossible(Problem.DAMAGED, f"{live.journal.path}: was rewritten while it was open")
        for record in known[reading.seq :]:
            reading = replayed_on(reading, record)
        live.reading = reading
        if reading.cuts != cuts:
            live.candidates = self._candidates(live.what, live.opened, reading)

    def _content(self, live: _Live, sent: Sent, asked: Asked) -> dict[str, Any]:
        """Return the event to store. Raises ``NotPossible`` if the reading as it stands does not allow it."""
        self._take_in(live)
        reading = live.reading
        if sent.event_id == reading.last_id:
            raise _AlreadyStored
        if sent.seq != reading.seq:
            raise NotPossible(Problem.STALE, "the reading has gone on in another tab; what it shows now is the newest")
        self._require_open(reading, sent.kind)
        common = {
            "kind": sent.kind,
            "when": self._time(),
            "who": live.key.reader,
            "event_id": sent.event_id,
            "active_s": sent.active_s,
        }
        return {**common, **self._details(live, sent.kind, asked)}

    def _require_open(self, reading: Reading, kind: str) -> None:
        if kind == "amend" and not reading.locked:
            raise NotPossible(Problem.INVALID, "kind: only a signed reading is amended; go on with this one")
        if reading.locked and kind not in ("amend", "time", "mismatch"):
            raise NotPossible(Problem.LOCKED, "this reading is signed; amend it to change it")
        if (kind == "undo" and not reading.done) or (kind == "redo" and not reading.undone):
            raise NotPossible(Problem.INVALID, f"kind: there is nothing to {kind}")

    def _details(self, live: _Live, kind: str, asked: Asked) -> dict[str, Any]:
        reading, opened = live.reading, live.opened
        match asked:
            case Sign():
                return {"all_marked": asked.all_marked, "verdict": asked.verdict, "comment": asked.comment,
                        "marks": reading.marks.digest, "score": dict(reading.score)}  # fmt: skip
            case Amend():
                return {"reason": asked.reason}
            case Mismatch():
                _log.error("reading %s: the page counts otherwise: %s", live.key, asked.page)
                return {"page": asked.page, "server": dict(reading.score), "marks": reading.marks.digest}
        if kind == "time":
            return {}
        if kind in ("undo", "redo"):
            stack = reading.done if kind == "undo" else reading.undone
            change = stack[-1].change.back if kind == "undo" else stack[-1].change
            return self._scored(opened, reading.marks.with_change(change))
        try:
            edit, gesture = self._edit(live, asked)
        except ValueError as problem:
            raise NotPossible(Problem.INVALID, str(problem)) from problem
        return {
            **gesture,
            "changes": triples(edit.change.voxel, edit.change.after, reading.shape),
            **({"cut": cut_json(edit.cut)} if edit.cut else {}),
            **self._scored(opened, edited(reading, edit).marks),
        }

    def _edit(self, live: _Live, asked: Asked) -> tuple[Edit, dict[str, Any]]:
        """Return what a gesture changes, and the gesture as it is stored. Raises ``ValueError`` naming the field."""
        volume, rule, marks = live.opened.volume, live.opened.rule, live.reading.marks
        match asked:
            case Click():
                edit = click(volume, rule, live.candidates, marks, asked.voxel, asked.label, asked.depth)
                return edit, {"voxel": list(asked.voxel), "label": asked.label, "depth": asked.depth}
            case Paint():
                return paint(volume, rule, marks, asked.runs, asked.label), {"tool": asked.tool, "label": asked.label}
            case CutLine():
                return divide(volume, rule, live.candidates, _cut(asked, volume.geometry.shape[0])), {}
            case Take():
                return take(marks, self._marks_of(live, asked.reader)), {"reader": asked.reader}
        raise ValueError("kind: unknown")

    def _marks_of(self, live: _Live, letter: str) -> Marks:
        if live.what.mode != "adjudication":
            raise ValueError("kind: only an adjudicator takes over marks")
        session = live.key.session.removeprefix(ADJUDICATION)
        for case_id, of, readings in self._disagreements():
            if (case_id, of) == (live.key.case_id, session) and letter in readings:
                summary = readings[letter]
                return self.folder.reading(ReadingKey(case_id, summary.reader, session)).marks
        raise ValueError(f"reader: {letter!r} is none of the readers of this case")

    def _after(self, live: _Live, record: Record) -> None:
        """Do what follows from an event that is stored already; what fails here is made good at the next start."""
        kind = record.content["kind"]
        if kind == "sign":
            try:
                note_signature(self._signatures, live.key, record)
            except NotPossible:
                _log.exception("signature of %s", live.key)
        if kind in ("sign", "amend", "time"):
            self._list(live.key, live.reading, live.journal.size)

    def _answer(self, live: _Live, before: Reading, candidates: Candidates, *, again: bool = False) -> dict[str, Any]:
        voxel, label = changed(before, live.reading)
        signed = live.reading.locked and live.reading.version == 1
        following = self._give_second_stage(live.key.reader, live.key.case_id, live.key.session) if signed else None
        differ = again or candidates is not live.candidates
        return {
            **progress_json(live.reading),
            "changes": triples(voxel, label, live.reading.shape),
            "candidates": self._difference(live, {} if again else candidates.by_number) if differ else None,
            "stage_done": following is not None,
            "next_id": following,
        }

    def _difference(self, live: _Live, before: Mapping[int, Any]) -> dict[str, Any]:
        now = live.candidates.by_number
        added = [
            candidate
            for number, candidate in now.items()
            if number not in before or len(before[number].voxel) != len(candidate.voxel)
        ]
        gone = [number for number in before if number not in now or any(number == one.number for one in added)]
        return {"removed": gone, "added": [candidate_json(one, live.opened, live.what) for one in added]}

    # The list

    def _item_json(self, reader: str, item: Mapping[str, Any]) -> dict[str, Any]:
        has_model = item["model_category"] is not None
        what = self._what(reader, item["case_id"], item["session"], item["number"], has_model=has_model)
        key = ReadingKey(what.case_id, reader, what.session)
        free = self._available_from(key) if item["state"] == "open" else None
        return item_json(item, what, free.date().isoformat() if free else None)

    def _note_open_readings(self, reader: str) -> None:
        """Bring the reader's open readings into the list: their marks change more often than it is looked at."""
        for key, live in list(self._live.items()):
            if key.reader == reader:
                self._list(key, live.reading, live.journal.size)

    def _list(self, key: ReadingKey, reading: Reading, size: int) -> None:
        known = self.index.readings(reader=key.reader, case_id=key.case_id, session=key.session)
        if not known or known[0].size != size:
            self.index.put_reading(summary_of(key, reading, size))

    def _bring_list_up_to_date(self) -> None:
        """Make the list agree with the files: read those whose size is not the one that is listed."""
        listed = {ReadingKey(one.case_id, one.reader, one.session): one.size for one in self.index.readings()}
        for key, file in self.folder.files():
            if listed.pop(key, None) != file.stat().st_size:
                try:
                    journal = Journal.read(file)
                    self.index.put_reading(summary_of(key, replayed(journal.records), journal.size))
                except NotPossible:
                    _log.exception("reading %s", key)
        for key in listed:
            self.index.forget_reading(key.reader, key.case_id, key.session)

    def _time(self) -> str:
        return written(self.settings.now())


def summary_of(key: ReadingKey, reading: Reading, size: int) -> Summary:
    """Return a reading as the list holds it."""
    agatston = reading.score["agatston"]
    return Summary(
        reader=key.reader,
        case_id=key.case_id,
        session=key.session,
        state="signed" if reading.locked else "started",
        version=reading.version,
        events=reading.seq,
        edits=reading.edits,
        active_s=reading.active_s,
        signed_s=reading.signed_active_s,
        signed_edits=reading.signed_edits,
        agatston=agatston["total"],
        category=reading.score["category"],
        per_vessel=dict(agatston["per_vessel"]),
        verdict=reading.signature.verdict if reading.signature else "",
        began=reading.opening["when"],
        ended=reading.ended,
        head=reading.head,
        size=size,
    )


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


def _model_named(opened: OpenCase) -> dict[str, str] | None:
    model = opened.case.model
    return {"name": model.name, "version": model.version, "digest": model.digest} if model else None

"""``ReadingRoom``: everything that a reader's page asks of the server, as plain calls with plain values.

The room knows who may see what, opens scans, takes events and stores them before it answers. ``web`` only translates
between it and HTTP.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np

from ctacal import __version__
from ctacal.errors import NotPossible, Problem, Refusal
from ctacal.jobs import adjudication
from ctacal.jobs.adjudication import disagreement, disagreements, marks_of
from ctacal.jobs.assignments import ROLES, Assignments, RoomSettings
from ctacal.jobs.open_cases import OpenCases
from ctacal.jobs.reader_study import AIDED, stage_of, written
from ctacal.jobs.reading_cases import OpenCase
from ctacal.jobs.reading_events import Scene, event_content, scored
from ctacal.jobs.reading_folder import ReadingFolder, ReadingKey, note_signature, note_signatures
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
from ctacal.jobs.reading_requests import Asked, Sent, parsed
from ctacal.readings.candidates import Candidates, after_cuts
from ctacal.readings.chain import Record
from ctacal.readings.edits import changed
from ctacal.readings.journal import Journal
from ctacal.readings.marks import Marks, triples
from ctacal.readings.reading import Reading, replayed, replayed_on

LIVE = 64
"""Largest number of readings that are kept in memory; others are read from their files again."""

_log = logging.getLogger("ctacal")


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
        self.assignments = Assignments(index, settings)
        self._live: dict[ReadingKey, _Live] = {}
        self._lock = Lock()
        folder.prepare()
        if settings.plan:
            folder.keep_plan(settings.plan, self._time())
        self._signatures = Journal.read(folder.signatures)
        self._bring_list_up_to_date()

    def warm(self, readers: Iterable[str]) -> None:
        """Decode what some readers will read first; what cannot be read says so when it is opened."""
        for reader in readers:
            if "reader" in self.assignments.roles(reader) and (name := self.next_reading(reader, "")):
                with suppress(Refusal, NotPossible):
                    self._case(self.assignments.assignment(reader, name))

    def close(self) -> None:
        """Note in the list where each reading stands, and close the database."""
        for live in list(self._live.values()):
            self._list(live.key, live.reading, live.journal.size)
        self.cases.close()
        self.index.close()

    # Who is there and what there is to read

    def session(self, reader: str) -> dict[str, Any]:
        """Return who the reader is and what this server is for."""
        roles, plan = self.assignments.roles(reader), self.settings.plan
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
        self.assignments.give(reader)
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
        self.assignments.give(reader)
        self._note_open_readings(reader)
        place = self.assignments.item(reader, name)["place"] if name else -1
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
        case = self.index.case(self.assignments.assignment(reader, name).case_id)
        if case and not case.refusal:
            self.cases.prefetch(case)

    def voxels(self, reader: str, name: str, part: str) -> tuple[int, Iterator[bytes]]:
        """Return the scan's voxels, ``all`` of them or those around the ``heart``: their bytes, slice by slice.

        Little endian, in the order slice, row, column. Raises as ``open``.
        """
        if part not in ("heart", "all"):
            raise NotPossible(Problem.INVALID, f"part: expected heart or all, got {part!r}")
        opened = self._case(self.assignments.assignment(reader, name))
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

    # Adjudication

    def adjudications(self, reader: str) -> dict[str, Any]:
        """Return the cases whose readers disagree. Raises ``NotPossible`` for anyone but adjudicators."""
        self.assignments.require("adjudicator", reader)
        return {"items": [adjudication.item_json(self.index, reader, found) for found in disagreements(self.index)]}

    def adjudication(self, reader: str, case_id: str, session: str) -> dict[str, Any]:
        """Return the readings of a case that disagree, side by side. Raises as ``adjudications``."""
        self.assignments.require("adjudicator", reader)
        return adjudication.sides_json(self.folder, disagreement(self.index, case_id, session))

    def sees_everybody(self, reader: str) -> bool:
        """Whether the reader is an administrator. Raises ``NotPossible`` (``FORBIDDEN``) without any role."""
        return "administrator" in self.assignments.roles(reader)

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
        what = self.assignments.assignment(reader, name)
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
        self.assignments.require_turn(key)
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
            **scored(opened, start),
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
        if what.mode == "aided" and opened.case.model and opened.case.model.labels:
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
        if any(sent.event_id == record.content.get("event_id") for record in live.journal.records):
            raise _AlreadyStored  # after an outage, two tabs may send what the browser kept
        if sent.kind == "amend":
            self.assignments.require_unspoiled(live.key)
        scene = Scene(
            live.opened,
            live.reading,
            live.candidates,
            lambda letter: marks_of(self.folder, self.index, live.key, letter),
        )
        return event_content(scene, sent, asked, when=self._time(), who=live.key.reader)

    def _after(self, live: _Live, record: Record) -> None:
        """Do what follows from an event that is stored already; what fails here is made good at the next start."""
        kind = record.content["kind"]
        if kind == "sign":
            try:
                note_signature(self._signatures, live.key, record)
            except NotPossible:
                _log.exception("signature of %s", live.key)
                return  # the list keeps the older size, so that the next start reads the file again
        if kind in ("sign", "amend", "time"):
            self._list(live.key, live.reading, live.journal.size)

    def _answer(self, live: _Live, before: Reading, candidates: Candidates, *, again: bool = False) -> dict[str, Any]:
        voxel, label = changed(before, live.reading)
        signed = live.reading.locked and live.reading.version == 1
        following = (
            self.assignments.give_second_stage(live.key.reader, live.key.case_id, live.key.session) if signed else None
        )
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
        what = self.assignments.of_item(reader, item)
        key = ReadingKey(what.case_id, reader, what.session)
        free = self.assignments.available_from(key) if item["state"] == "open" else None
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
                    note_signatures(self._signatures, key, journal.records)  # the program may have been killed between
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
        mode=reading.opening["stage"] or reading.opening["mode"],
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


def _model_named(opened: OpenCase) -> dict[str, str] | None:
    model = opened.case.model
    return {"name": model.name, "version": model.version, "digest": model.digest} if model else None

"""``Arrivals``: tells the ledger what the store has taken, in a thread of its own, so that no sender waits for it.

The store is the truth: what was kept and not told when the process was killed is found when the next one starts. While
the ledger is away, objects are kept all the same, and told once it is back.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from ctacal.errors import CtacalError
from ctacal.jobs.node import audit
from ctacal.jobs.node.config import Settle
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.intake import Refused, Taken
from ctacal.jobs.node.ledger import Ledger
from ctacal.jobs.node.store import Placed, Store

TELL_S = 0.5
"""The ledger hears of a study's new objects at most this often, and when their sender has finished."""
OFTEN_S = 30.0
"""Events that anybody on the network can cause are logged at most this often, with a count."""
_OTHERS_TELL = 4
"""So many times that long a process that lives certainly tells what it has kept."""
_MOST_NOTES = 10_000
"""Audit records that wait for a ledger that is away; what is beyond is in the log only."""
_MOST_DISTINCT = 100
"""Different senders whose frequent events are counted apart."""


@dataclass(eq=False, slots=True)
class Sending:
    """One sender at work: an association, or a request of STOW-RS."""

    source: str
    _arrivals: "Arrivals"
    counts: Counter[str] = field(default_factory=Counter)
    """How many objects were kept, known, set aside and refused, by these words."""
    studies: dict[str, float] = field(default_factory=dict)
    """When the last object of each came, by the monotonic clock."""

    def note(self, outcome: Taken | Refused) -> None:
        """Note what became of an object; a new one of other bytes is an alarm."""
        if isinstance(outcome, Refused):
            self.counts[f"refused: {outcome.why.value}"] += 1
            self._arrivals.note_often("object refused", self.source, reason=outcome.message)
            return
        self.counts[outcome.placed.value] += 1
        if outcome.placed is Placed.ASIDE:
            self._arrivals.note("object set aside", study_uid=outcome.study_uid, source=self.source,
                                sop_instance_uid=outcome.sop_instance_uid)  # fmt: skip
        self._arrivals.came(self, outcome.study_uid)
        if outcome.placed is Placed.KEPT:
            self._arrivals.kept(outcome.study_uid, self.source)


class Arrivals:
    """What came in since the ledger was last told; safe to use from any thread, in a ``with`` block."""

    def __init__(self, store: Store, connect: Callable[[], Ledger], settle: Settle, *, tell_s: float = TELL_S) -> None:
        """``connect`` opens the ledger; ``settle`` says after which silence a study counts as whole."""
        self._store, self._connect = store, connect
        self._tell_s, self._still_s, self._open_s = tell_s, max(tell_s, settle.quiet_s / 4), settle.wait_s
        self._lock, self._wake, self._stopping = threading.Lock(), threading.Event(), threading.Event()
        self._kept: Counter[tuple[str, str]] = Counter()  # by study and source
        self._notes: list[tuple[str, str, dict[str, Any]]] = []
        self._often: dict[tuple[str, str, str], _Often] = {}
        self._sending: set[Sending] = set()
        self._told_at: dict[str, float] = {}  # by study: when its activity was last moved from here
        self._found: dict[str, int] = {}  # by study: the objects that were there before anything came in here
        self._told: Counter[str] = Counter()  # by study: the objects that were told from here since
        self._reconcile_at: float | None = None
        self._ledger: Ledger | None = None
        self._away = False
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)

    def __enter__(self) -> Self:
        self._found = {study_uid: len(self._store.received(study_uid)) for study_uid in self._store.studies()}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        if self._ledger is not None:
            self._ledger.close()

    @contextmanager
    def sending(self, source: str) -> Iterator[Sending]:
        """Announce a sender, such as ``CAMERA@10.1.2.3``: while the block runs, more of its studies may come.

        Of one of which nothing came for ``wait_s``, nothing is expected any more: some senders never hang up.
        """
        sending = Sending(source, self)
        with self._lock:
            self._sending.add(sending)
        try:
            yield sending
        finally:
            with self._lock:
                self._sending.discard(sending)
            self._wake.set()

    def came(self, sending: Sending, study_uid: str) -> None:
        """Note that a sender has sent an object of a study, new or known."""
        with self._lock:
            sending.studies[study_uid] = time.monotonic()

    def kept(self, study_uid: str, source: str) -> None:
        """Note a new object in the store."""
        with self._lock:
            self._kept[study_uid, source] += 1

    def note(self, what: str, *, study_uid: str = "", level: int = logging.INFO, **facts: Any) -> None:
        """Write an event to the log now, and to the audit trail soon. No fact may identify a patient."""
        known = {"study_uid": study_uid} if study_uid else {}
        tell(what, level=level, **known, **facts)
        with self._lock:
            if len(self._notes) < _MOST_NOTES:
                self._notes.append((what, study_uid, facts))

    def note_often(self, what: str, whose: str, **facts: Any) -> None:
        """Note an event that strangers can cause as often as they like: the first at once, later ones together.

        Those of another ``reason`` are counted apart.
        """
        with self._lock:
            whose = whose if len(self._often) < _MOST_DISTINCT else "others"
            key = (what, whose, str(facts.get("reason", "")) if whose != "others" else "")
            often = self._often.setdefault(key, _Often())
            often.times, often.facts = often.times + 1, facts
        self._note_due()

    def _note_due(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = [
                (key, often.times, often.facts)
                for key, often in self._often.items()
                if often.times and now - often.told_at >= OFTEN_S
            ]
            for key, *_ in due:
                self._often[key].times, self._often[key].told_at = 0, now
            for key in [key for key, often in self._often.items() if now - often.told_at > 10 * OFTEN_S]:
                del self._often[key]
        for (what, whose, _), times, facts in due:
            self.note(what, level=logging.WARNING, source=whose, times=times, **facts)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._tell_s)
            self._wake.clear()
            self._note_due()
            self._attempt()
        self._attempt()

    def _attempt(self) -> None:
        """Report what has arrived to the ledger; what fails now is reported at the next attempt."""
        try:
            if self._ledger is None:
                self._ledger = self._connect()
            self._tell_kept(self._ledger)
            self._tell_still(self._ledger)
            self._tell_notes(self._ledger)
            self._reconcile(self._ledger)
        except Exception as problem:  # a defect must not end this thread either: objects go on to arrive
            if not self._away:
                tell("ledger is away; objects are kept all the same", level=logging.ERROR, reason=problem)
            if not isinstance(problem, CtacalError | OSError):
                logging.getLogger("ctacal").exception("failed")
            self._away = True
            self._stopping.wait(self._tell_s)
        else:
            if self._away:
                tell("ledger is back")
            self._away = False

    def _tell_kept(self, ledger: Ledger) -> None:
        with self._lock:
            kept = list(self._kept.items())
        for (study_uid, source), objects in kept:
            ledger.arrived(study_uid, objects=objects, source=source)
            self._told_at[study_uid] = time.monotonic()
            if self._found:
                self._told[study_uid] += objects
            with self._lock:
                self._kept[study_uid, source] -= objects
                self._kept = +self._kept

    def _tell_still(self, ledger: Ledger) -> None:
        now = time.monotonic()
        with self._lock:
            for sending in self._sending:
                sending.studies = {uid: at for uid, at in sending.studies.items() if now - at < self._open_s}
            open_studies = {study_uid for sending in self._sending for study_uid in sending.studies}
        for study_uid in sorted(open_studies):
            if now - self._told_at.get(study_uid, float("-inf")) >= self._still_s:
                ledger.still_arriving(study_uid)
                self._told_at[study_uid] = now
        self._told_at = {
            uid: at for uid, at in self._told_at.items() if uid in open_studies or now - at < self._still_s
        }

    def _tell_notes(self, ledger: Ledger) -> None:
        with self._lock:
            notes = self._notes[:]
        if not notes:
            return

        def append_all(rows: Any) -> None:
            for what, study_uid, facts in notes:
                audit.append(rows, self._store.id, what, study_uid, facts)

        ledger.database.write(append_all)
        with self._lock:
            del self._notes[: len(notes)]

    def _reconcile(self, ledger: Ledger) -> None:
        """Once, tell the ledger of objects that were kept by a process that was killed before it told them.

        Another process may be about to tell some of them: it gets time for that, from when the ledger is there.
        """
        now = time.monotonic()
        if self._reconcile_at is None:
            self._reconcile_at = now + _OTHERS_TELL * self._tell_s
        if now < self._reconcile_at:
            return
        for study_uid, found in self._found.items():
            in_store = min(found, len(self._store.received(study_uid)))  # its originals may have been deleted since
            if in_store and (missing := ledger.found(study_uid, objects=in_store + self._told[study_uid])):
                tell("objects found that the ledger did not know", study_uid=study_uid, objects=missing)
        self._found.clear()
        self._told.clear()


@dataclass(slots=True)
class _Often:
    """How often an event happened that was not told yet."""

    times: int = 0
    told_at: float = float("-inf")
    facts: dict[str, Any] = field(default_factory=dict)

"""Which alarms a node raises, and when: once for each cause, reminders while it lasts, and a message when it is over.

``alarms_of`` says what is wrong now. ``due`` says what of it is to be told, given what was told before: new causes,
causes that still hold after ``again_s``, and those that are over. One message tells all of it. A message counts as told
only when it was sent: until then it stays due. Messages name no patient and no study: they may leave the hospital.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from ctacal.fields import from_fields
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger import DeliveryState, StudyState
from ctacal.jobs.node.overview import MOST_ASIDE, Overview

DEAD_S = 60.0
"""A process is an alarm after so long without a sign of life (own choice): to start takes it some seconds."""

OVER_S = 300.0
"""A cause that has been gone for this long is over (own choice), so that one that comes and goes alarms once."""

_HOUR_S = 3600.0
_MOST_SUBJECTS = 1000


class Cause(StrEnum):
    """What can be wrong."""

    HELD = "held"
    """A destination refuses results for a reason that does not pass by itself."""
    QUARANTINED = "quarantined"
    """Scoring failed too often on a study."""
    ASIDE = "aside"
    """Other bytes came under the UID of an object that is known."""
    DISK = "disk"
    """There is little room left, or too little to receive."""
    NOT_SCORING = "not scoring"
    """Studies wait, and nothing is scored."""
    NOT_DELIVERING = "not delivering"
    """Results wait for a destination, and nothing is delivered to it."""
    NOT_COMMITTED = "not committed"
    """A destination took results, and does not report on storage commitment."""
    GONE = "destination gone"
    """Results are for a destination that the configuration does not hold any more."""
    DEAD = "dead"
    """A process of the node does not run, or hangs."""
    DYING = "dying"
    """A process of the node is started again and again."""
    LEDGER = "ledger"
    """The database does not answer."""
    INPUT = "input"
    """A watched folder or an Orthanc cannot be read, or something in it cannot."""
    STORE = "store"
    """The disk of the store failed, or is not mounted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that is wrong now."""

    cause: Cause
    about: str = ""
    """Destination or process; with ``cause`` it names the alarm."""
    text: str
    """What is wrong and what to do, in a sentence or two."""
    subjects: frozenset[str] = frozenset()
    """What it concerns, if each one is news: studies in quarantine, objects set aside."""
    reminds: bool = True
    """Whether reminders are sent while it lasts."""

    @property
    def name(self) -> str:
        """What identifies the alarm: alarms of the same name are one."""
        return f"{self.cause}: {self.about}" if self.about else str(self.cause)


class Stillness:
    """For how long queues have not moved. It compares marks, not clocks; ``look`` must be called every minute or so."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}

    def look(self, seen: Overview) -> dict[str, float]:
        """Return for how many seconds each queue has held something without moving; "" is the queue of scoring."""
        marks = {
            name: f"{counts[DeliveryState.DONE]}"
            for name, counts in seen.deliveries.items()
            if counts[DeliveryState.WAITING]
        }
        if seen.to_score or seen.being_scored:
            marks[""] = seen.newest_scored
        now = self._clock()
        self._seen = {
            name: self._seen[name] if self._seen.get(name, ("", 0.0))[0] == mark and name in self._seen else (mark, now)
            for name, mark in marks.items()
        }
        return {name: now - since for name, (_, since) in self._seen.items()}


def alarms_of(seen: Overview, config: NodeConfig, still_s: Mapping[str, float]) -> list[Alarm]:
    """Return what is wrong, the worst first; ``still_s`` is what ``Stillness`` saw."""
    gone = seen.gone(config)
    still_s = {name: seconds for name, seconds in still_s.items() if name not in gone}
    return [
        *_of_parts(seen),
        *_of_disk(seen, config),
        *(_of_input(name, problem) for name, problem in seen.inputs.items()),
        *_of_queues(config, still_s),
        *(_gone(name, items) for name, items in gone.items()),
        *(_not_committed(name, items, config) for name, items in seen.uncommitted.items() if name not in gone),
        *_of_work(seen, config),
    ]


def ledger_alarm(problem: str) -> Alarm:
    """Return the alarm for a database that does not answer."""
    text = f"The ledger does not answer: {problem}. Nothing is scored or sent until it does."
    return Alarm(cause=Cause.LEDGER, text=text)


def store_alarm(problem: str) -> Alarm:
    """Return the alarm for a store that is not there."""
    text = f"The store cannot be reached ({problem}). Nothing is received, scored or sent until it is there again."
    return Alarm(cause=Cause.STORE, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An alarm that was told through a channel. Times are wall clock, in seconds."""

    text: str
    told_at: float
    seen_at: float
    """When the cause was last there."""
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a channel has told."""

    told: dict[str, Told] = field(default_factory=dict)
    """By the name of the alarm."""
    sent_at: tuple[float, ...] = ()
    """Times of the messages of the last hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is to be told now; each part is a list of sentences."""

    new: tuple[str, ...]
    still: tuple[str, ...]
    over: tuple[str, ...]

    @property
    def subject(self) -> str:
        """A line that says what it is about."""
        if self.new:
            more = f" (and {len(self.new) - 1} more)" if len(self.new) > 1 else ""
            return f"ctacal node: {_shortened(self.new[0])}{more}"
        return "ctacal node: still wrong" if self.still else "ctacal node: all clear"

    def text(self, where: str) -> str:
        """Return the message for people; ``where`` is the address of the pages, or empty."""
        parts = (("New", self.new), ("Still so", self.still), ("Over", self.over))
        said = [f"{title}:\n" + "\n".join(f"- {text}" for text in texts) for title, texts in parts if texts]
        return "\n\n".join([*said, *([f"See {where}"] if where else [])]) + "\n"


def due(
    alarms: Iterable[Alarm], memory: Memory, *, now: float, again_s: float, most_per_hour: int
) -> tuple[Message | None, Memory, Memory]:
    """Return the message that is due, the memory if it cannot be sent now, and the memory once it is sent.

    Never more than ``most_per_hour`` in any hour: what is due later comes in one message. ``now`` is wall clock; times
    that lie in the future, because the clock was set back, count as now.
    """
    memory = _not_in_future(memory, now)
    present = {alarm.name: alarm for alarm in alarms}
    over = {name for name, told in memory.told.items() if name not in present and now - told.seen_at >= OVER_S}
    new = [name for name, alarm in present.items() if name not in memory.told or _news(alarm, memory.told[name])]
    old = [name for name, alarm in present.items() if name not in new]
    still = [name for name in old if present[name].reminds and now - memory.told[name].told_at >= again_s]
    unsent = replace(memory, told=_seen(memory.told, present, now))
    if not (over or new or still) or len(memory.sent_at) >= most_per_hour:
        return None, unsent, unsent
    message = Message(
        new=tuple(present[name].text for name in new),
        still=tuple(present[name].text for name in still),
        over=tuple(told.text for name, told in memory.told.items() if name in over),
    )
    kept = {name: told for name, told in unsent.told.items() if name not in over}
    told = kept | {name: _told(present[name], now) for name in (*new, *still)}
    return message, unsent, Memory(told=told, sent_at=(*memory.sent_at, now))


def memory_json(memory: Memory) -> dict[str, Any]:
    """Return a memory as plain values."""
    return asdict(memory)


def memory_from(content: Mapping[str, Any]) -> Memory:
    """Return the memory of plain values. Raises ``UsageError`` if they are none."""
    return from_fields(Memory, content)


def _of_parts(seen: Overview) -> list[Alarm]:
    dead = [_dead(part.name) for part in seen.parts if part.silent_s >= DEAD_S]
    return [*dead, *(_dying(part.name, part.restarts) for part in seen.parts if part.keeps_dying)]


def _dead(name: str) -> Alarm:
    text = f"The process {name} does not run, or hangs. Look into the log of the node; restart the node if it stays so."
    return Alarm(cause=Cause.DEAD, about=name, text=text)


def _dying(name: str, restarts: int) -> Alarm:
    text = f"The process {name} was started again {restarts} times in ten minutes. Look into the log of the node."
    return Alarm(cause=Cause.DYING, about=name, text=text)


def _of_disk(seen: Overview, config: NodeConfig) -> list[Alarm]:
    disk = seen.disk
    if not config.alarm.low_disk or not disk.is_low:
        return []
    state = "Soon nothing more will be received" if disk.accepts else "Nothing more is received"
    free_gb, reserve_gb = disk.free_bytes / 1e9, disk.reserve_bytes / 1e9
    numbers = f"{free_gb:.1f} GB are free, the reserve is {reserve_gb:.1f} GB"
    return [Alarm(cause=Cause.DISK, text=f"{state}: {numbers}. Make room on the disk of the store.")]


def _of_input(name: str, problem: str) -> Alarm:
    text = (
        f"Nothing, or not all, is taken from {name}: {problem}. It is tried again by itself; see the log of the node."
    )
    return Alarm(cause=Cause.INPUT, about=name, text=text)


def _of_queues(config: NodeConfig, still_s: Mapping[str, float]) -> list[Alarm]:
    after_s = config.alarm.after_s
    return [_still(name, seconds) for name, seconds in sorted(still_s.items()) if after_s and seconds >= after_s]


def _still(name: str, seconds: float) -> Alarm:
    if not name:
        text = f"Studies wait, and none was scored for {_duration(seconds)}. Look into the log of the node."
        return Alarm(cause=Cause.NOT_SCORING, text=text)
    text = (
        f"Results wait for {name}, and none was delivered for {_duration(seconds)}. They are tried again by "
        "themselves; see whether it is reachable."
    )
    return Alarm(cause=Cause.NOT_DELIVERING, about=name, text=text)


def _gone(destination: str, items: int) -> Alarm:
    text = (
        f"{_count(items, 'result is', 'results are')} for {destination}, which the configuration does not hold any "
        "more: nothing is sent there. Enter it again, or give the results up or send them to another destination, on "
        "the page or by ctacal node give-up."
    )
    return Alarm(cause=Cause.GONE, about=destination, text=text)


def _not_committed(destination: str, items: int, config: NodeConfig) -> Alarm:
    text = (
        f"{_count(items, 'result was', 'results were')} sent to {destination}, which has not reported on storage "
        f"commitment for {_duration(config.alarm.commitment_s)} or longer. Let it know our AE title, host and port, or "
        "set commitment = false for it."
    )
    return Alarm(cause=Cause.NOT_COMMITTED, about=destination, text=text)


def _of_work(seen: Overview, config: NodeConfig) -> list[Alarm]:
    if not config.alarm.held:
        return []
    gone = seen.gone(config)
    held = [_held(name, counts[DeliveryState.HELD]) for name, counts in seen.deliveries.items() if name not in gone]
    return [alarm for alarm in (*held, _quarantined(seen), _aside(seen)) if alarm]


def _held(destination: str, items: int) -> Alarm | None:
    if not items:
        return None
    text = (
        f"{_count(items, 'result is', 'results are')} held: {destination} refuses {'it' if items == 1 else 'them'} for "
        "a reason that does not pass by itself. The page says which; mend it and press retry."
    )
    return Alarm(cause=Cause.HELD, about=destination, text=text)


def _quarantined(seen: Overview) -> Alarm | None:
    if not seen.quarantined:
        return None
    number = seen.studies[StudyState.QUARANTINED]
    text = f"{_count(number, 'study is', 'studies are')} in quarantine: scoring failed too often. The page says why."
    subjects = frozenset(study.study_uid for study in seen.quarantined)
    return Alarm(cause=Cause.QUARANTINED, text=text, subjects=subjects)


def _aside(seen: Overview) -> Alarm | None:
    if not seen.aside:
        return None
    number = len(seen.aside)
    many = f"{MOST_ASIDE} or more" if number >= MOST_ASIDE else str(number)
    text = (
        f"Objects set aside: {many}. Other bytes came under the UID of an object that was here before; the first one "
        "is used. See which device sends them, and decide on the page which of both counts."
    )
    subjects = frozenset(sop for _, sop in seen.aside[:_MOST_SUBJECTS])
    return Alarm(cause=Cause.ASIDE, text=text, subjects=subjects, reminds=False)


def _news(alarm: Alarm, told: Told) -> bool:
    return bool(alarm.subjects - set(told.subjects))


def _told(alarm: Alarm, now: float) -> Told:
    return Told(text=alarm.text, told_at=now, seen_at=now, subjects=tuple(sorted(alarm.subjects)))


def _seen(told: Mapping[str, Told], present: Mapping[str, Alarm], now: float) -> dict[str, Told]:
    return {name: replace(one, seen_at=now) if name in present else one for name, one in told.items()}


def _not_in_future(memory: Memory, now: float) -> Memory:
    told = {
        name: replace(one, told_at=min(one.told_at, now), seen_at=min(one.seen_at, now))
        for name, one in memory.told.items()
    }
    sent_at = tuple(min(at, now) for at in memory.sent_at if now - at < _HOUR_S)
    return Memory(told=told, sent_at=sent_at)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _duration(seconds: float) -> str:
    """Return a time in the words of people.

    >>> _duration(90), _duration(5400), _duration(200000)
    ('2 minutes', '2 hours', '2 days')
    """
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = max(1, round(seconds / size))
            return f"{number} {word}{'s' if number > 1 else ''}"
    return f"{seconds:.0f} seconds"


def _shortened(text: str, most: int = 90) -> str:
    first = text.split(". ")[0].rstrip(".")
    return first if len(first) <= most else f"{first[: most - 1]}…"

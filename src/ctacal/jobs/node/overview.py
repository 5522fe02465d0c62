"""``Overview`` and ``Way``: a node at one moment, and the way of one study, as plain values.

Pages, the REST interface, metrics, alarms and ``ctacal node status`` show these. No value names a patient, unless the
caller asks for it. Times are wall clock (UTC, ISO 8601), for people only.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from ctacal.errors import CtacalError
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.inputs import troubles
from ctacal.jobs.node.ledger import UNDELIVERED, DeliveryRow, DeliveryState, Ledger, StudyRow, StudyState
from ctacal.jobs.node.ledger_overview import HeldGroup, Rates
from ctacal.jobs.node.life import PartLife
from ctacal.jobs.node.store import require_store

MOST_HELD = 100
"""Held items, groups of them, and studies in quarantine that an overview lists; the counts are of all."""

MOST_ASIDE = 1000
"""Objects set aside are counted up to here."""

KEPT_S = 2.0
"""Time for which an overview is shown again instead of asking the ledger anew."""

_HOURS = 24
_FIRST_WAITING = 20
_MB = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpace:
    """The space of the file system on which the store lies, in bytes."""

    free_bytes: int
    total_bytes: int
    reserve_bytes: int
    """Below it nothing is received."""

    @property
    def accepts(self) -> bool:
        """Whether there is room to receive."""
        return self.free_bytes >= self.reserve_bytes

    @property
    def is_low(self) -> bool:
        """Whether it is time to make room: less than twice the reserve is free."""
        return self.free_bytes < 2 * self.reserve_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A node at one moment."""

    at: str
    studies: Mapping[StudyState, int]
    being_scored: tuple[StudyRow, ...]
    deliveries: Mapping[str, Mapping[DeliveryState, int]]
    """By destination: those of the configuration, and others that the ledger knows from before."""
    to_score_since: str
    """When the newest object of the study came that has waited longest to be scored; empty if none waits."""
    to_send_since: Mapping[str, str]
    """By destination: when the first result in its queue was there; empty if none waits."""
    to_send_problem: Mapping[str, str]
    """By destination: why the last attempt failed of something that waits; empty if none did."""
    uncommitted: Mapping[str, int]
    """By destination: results that it took and has not reported on for longer than ``alarm.commitment_s``."""
    newest_scored: str
    """When a study was last scored or refused."""
    hour: Rates
    """The last hour."""
    scored_by_hour: tuple[int, ...]
    """Studies scored or refused in each of the last 24 hours; the last one is not over."""
    held: tuple[HeldGroup, ...]
    quarantined: tuple[StudyRow, ...]
    late: tuple[StudyRow, ...]
    """Studies whose score stays though objects came after their originals were deleted."""
    aside: tuple[tuple[str, str], ...]
    """Objects set aside: Study and SOP Instance UID."""
    disk: DiskSpace
    parts: tuple[PartLife, ...]
    inputs: Mapping[str, str]
    """What is wrong with watched folders and Orthancs, by their names; nothing of those where all is well."""

    def waiting(self, *states: DeliveryState) -> int:
        """Return how many deliveries are in these states, to all destinations."""
        return sum(counts[state] for counts in self.deliveries.values() for state in states)

    def gone(self, config: NodeConfig) -> dict[str, int]:
        """Return what nobody sends: results for destinations that the configuration does not hold, by their names."""
        waiting = {name: sum(counts[state] for state in UNDELIVERED) for name, counts in self.deliveries.items()}
        return {name: items for name, items in waiting.items() if items and config.destination_named(name) is None}

    @property
    def to_score(self) -> int:
        """Whole studies that no worker has taken."""
        return max(0, self.studies[StudyState.SETTLED] - len(self.being_scored))

    @property
    def total(self) -> int:
        """All studies that the ledger knows."""
        return sum(self.studies.values())


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a study."""

    at: str
    what: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The way of one study through the node."""

    study: StudyRow
    deliveries: tuple[DeliveryRow, ...]
    steps: tuple[Step, ...]
    """In the order of time, from the audit trail; the oldest are left out of a very long one."""


def overview(ledger: Ledger, config: NodeConfig, parts: Sequence[PartLife] = ()) -> Overview:
    """Ask the ledger and the disk how things stand. Raises ``DatabaseAway``, and ``OSError`` if the store is away."""
    require_store(config.store)
    now = datetime.now(UTC)
    counts = ledger.delivery_counts()
    names = dict.fromkeys([*(destination.name for destination in config.destination), *counts])
    nothing = dict.fromkeys(DeliveryState, 0)
    waiting = {name: ledger.waiting(name, limit=_FIRST_WAITING) for name in names}
    return Overview(
        at=_text(now),
        studies=ledger.study_counts(),
        being_scored=tuple(ledger.being_scored()),
        deliveries={name: counts.get(name, nothing) for name in names},
        to_score_since=ledger.to_score_since(),
        to_send_since={name: first[0].created_at if first else "" for name, first in waiting.items()},
        to_send_problem={
            name: next((one.reason for one in first if one.reason), "") for name, first in waiting.items()
        },
        uncommitted=ledger.uncommitted_counts(late_before(config, now)) if config.alarm.commitment_s else {},
        newest_scored=ledger.newest_scored(),
        hour=ledger.rates(_text(now - timedelta(hours=1))),
        scored_by_hour=_by_hour(ledger, now),
        held=tuple(ledger.held_groups(limit=MOST_HELD)),
        quarantined=tuple(ledger.studies(states=(StudyState.QUARANTINED,), limit=MOST_HELD)),
        late=tuple(ledger.late(limit=MOST_HELD)),
        aside=aside_objects(config.store),
        disk=disk_space(config),
        parts=tuple(parts),
        inputs=troubles(config),
    )


def late_before(config: NodeConfig, now: datetime) -> str:
    """Return the time before which something was sent whose storage commitment is late."""
    return _text(now - timedelta(seconds=config.alarm.commitment_s))


def way_of(ledger: Ledger, study_uid: str, *, steps: int = 200) -> Way | None:
    """Return the way of a study; None if the ledger does not know it. Raises ``DatabaseAway``."""
    study = ledger.study(study_uid)
    if study is None:
        return None
    noted = [_step(record.content) for record in reversed(ledger.audit.records(study_uid=study_uid, limit=steps))]
    return Way(
        study=study,
        deliveries=tuple(ledger.deliveries(study_uid)),
        steps=tuple(sorted([*_arrivals(study), *noted], key=lambda step: step.at)),
    )


def disk_space(config: NodeConfig) -> DiskSpace:
    """Return the space of the store's file system."""
    disk = shutil.disk_usage(config.store)
    reserve = max(config.disk.reserve_mb * _MB, config.disk.reserve_percent / 100 * disk.total)
    return DiskSpace(free_bytes=disk.free, total_bytes=disk.total, reserve_bytes=int(reserve))


def aside_objects(store: Path, limit: int = MOST_ASIDE) -> tuple[tuple[str, str], ...]:
    """Return Study and SOP Instance UID of what was set aside, up to ``limit``: other bytes under a known UID."""
    found = []
    for folder in _entries(store / "aside"):
        for name in _entries(store / "aside" / folder):
            found.append((folder, name.removesuffix(".dcm").rpartition(".")[0]))
            if len(found) >= limit:
                return tuple(found)
    return tuple(found)


class Overviews:
    """The newest overview, made at most every two seconds however many ask for it; safe to use from several threads."""

    def __init__(
        self,
        ledger: Ledger,
        config: NodeConfig,
        parts: Callable[[], Sequence[PartLife]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._config, self._parts, self._clock = ledger, config, parts, clock
        self._lock = Lock()
        self._last: Overview | CtacalError | OSError | None = None
        self._made_at = 0.0

    def now(self) -> Overview:
        """Return how things stand. Raises ``DatabaseAway``: at once to all who wait, if one has just waited for it.

        Raises ``OSError`` if the store is not there.
        """
        with self._lock:
            if self._last is None or self._clock() - self._made_at > KEPT_S:
                self._last = self._look()
                self._made_at = self._clock()
            if isinstance(self._last, CtacalError | OSError):
                raise self._last
            return self._last

    def _look(self) -> Overview | CtacalError | OSError:
        try:
            return overview(self._ledger, self._config, self._parts())
        except (CtacalError, OSError) as problem:
            return problem

    def forget(self) -> None:
        """Ask the ledger at the next call: something was changed."""
        with self._lock:
            self._last = None


def late_in_words(study: StudyRow) -> str:
    """Return why the objects that came late of a study make no new result, and what to do."""
    came = "1 object" if study.late_objects == 1 else f"{study.late_objects:,} objects"
    return (
        f"The {study.deleted:,} objects that this result was made from were deleted after delivery; {came} came since, "
        "too few for a new result. This one stays, unless the whole study is sent again, or somebody presses "
        "“Score again”: then only what came since is scored."
    )


def study_json(study: StudyRow) -> dict[str, Any]:
    """Return a study as the REST interface shows it."""
    return asdict(study) | {"state": study.state.value, "facts": dict(study.facts), "sources": list(study.sources)}


def delivery_json(delivery: DeliveryRow) -> dict[str, Any]:
    """Return a delivery as the REST interface shows it."""
    return asdict(delivery) | {"state": delivery.state.value}


def overview_json(seen: Overview) -> dict[str, Any]:
    """Return an overview as plain values, for the REST interface and ``ctacal node status --json``."""
    return {
        "at": seen.at,
        "studies": {state.value: number for state, number in seen.studies.items()},
        "being_scored": [study.study_uid for study in seen.being_scored],
        "deliveries": {
            name: {state.value: number for state, number in counts.items()} for name, counts in seen.deliveries.items()
        },
        "to_score_since": seen.to_score_since,
        "to_send_since": dict(seen.to_send_since),
        "to_send_problem": dict(seen.to_send_problem),
        "uncommitted": dict(seen.uncommitted),
        "newest_scored": seen.newest_scored,
        "last_hour": asdict(seen.hour),
        "scored_by_hour": list(seen.scored_by_hour),
        "held": [asdict(group) for group in seen.held],
        "quarantined": [study.study_uid for study in seen.quarantined],
        "late": [study.study_uid for study in seen.late],
        "aside": len(seen.aside),
        "disk": asdict(seen.disk),
        "parts": [asdict(part) for part in seen.parts],
        "inputs": dict(seen.inputs),
    }


def way_json(way: Way) -> dict[str, Any]:
    """Return the way of a study as plain values."""
    return study_json(way.study) | {
        "deliveries": [delivery_json(delivery) for delivery in way.deliveries],
        "steps": [{"at": step.at, "what": step.what, **step.facts} for step in way.steps],
    }


def _by_hour(ledger: Ledger, now: datetime) -> tuple[int, ...]:
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=_HOURS - 1)
    counts = ledger.scored_by_hour(_text(first))
    hours = (first + timedelta(hours=number) for number in range(_HOURS))
    return tuple(counts.get(hour.strftime("%Y-%m-%dT%H"), 0) for hour in hours)


def _arrivals(study: StudyRow) -> list[Step]:
    """Return the first and the newest arrival, which the audit trail has by sender and not by study."""
    first = Step(study.first_at, "first object came", {"from": ", ".join(study.sources)})
    newest = Step(study.last_at, "newest object came", {"objects": study.objects} if study.objects else {})
    return [first] if study.first_at == study.last_at else [first, newest]


def _step(content: Mapping[str, Any]) -> Step:
    facts = {name: value for name, value in content.items() if name not in ("at", "what", "study_uid")}
    return Step(str(content["at"]), str(content["what"]), facts)


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:  # not there, or just removed
        return []


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")

"""What the ledger holds and answers, as values: states, claims, outcomes, and rows as people see them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


class StudyState(StrEnum):
    """Where a study stands. One that is being scored is ``SETTLED`` with a claim."""

    RECEIVING = "RECEIVING"
    """Objects are arriving."""
    SETTLED = "SETTLED"
    """Whole; waits to be scored, or is being scored."""
    SCORED = "SCORED"
    """It has a score."""
    REFUSED = "REFUSED"
    """It cannot be scored, for a stated reason."""
    QUARANTINED = "QUARANTINED"
    """Scoring failed too often: a person must look at it."""


def keeps_result(state: str, deleted: int, objects: int) -> bool:
    """Whether a study has a score from more images than are there since these were deleted.

    What comes late then, a slice that is sent again, would give a refusal or a lower score, so it makes no new result.
    """
    return state == StudyState.SCORED and objects < deleted


class DeliveryState(StrEnum):
    """Where an object for a destination stands."""

    WAITING = "WAITING"
    """It is to be sent, now or when its time comes."""
    SENT = "SENT"
    """The destination took it; its storage commitment is awaited."""
    DONE = "DONE"
    """The destination has it."""
    HELD = "HELD"
    """It cannot be sent as things stand: a person must act. Never dropped."""
    SUPERSEDED = "SUPERSEDED"
    """A newer result came, another kind took its place, or a person gave it up, before it was sent."""


UNDELIVERED = (DeliveryState.WAITING, DeliveryState.SENT, DeliveryState.HELD)
"""States of what the destination does not have for sure; its study stays in the store."""


@dataclass(frozen=True, slots=True)
class Arriving:
    """A study whose objects are arriving."""

    study_uid: str
    activity: int
    """Grows with each arrival, and while an association that sent objects of it is open."""
    objects: int
    asked_now: bool
    """Somebody asked to score it without waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyClaim:
    """The right of one worker to score a study, until it is taken away."""

    study_uid: str
    token: str
    revision: int
    activity: int
    attempts: int
    """Claims since the newest objects came, with this one."""
    predecessor: str
    """Path of the newest structured report of this study that was sent, relative to the store; empty: none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryClaim:
    """The right of one worker to send an object to its destination, until it is taken away."""

    id: int
    token: str
    study_uid: str
    revision: int
    destination: str
    kind: str
    path: str
    """Relative to the store."""
    sop_class_uid: str
    sop_instance_uid: str
    attempts: int
    """Claims since it last began to wait afresh, with this one."""
    transaction_uid: str
    """UID of the last request for storage commitment; empty: none yet."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An open claim, as whoever looks for dead workers sees it."""

    what: Literal["study", "delivery"]
    key: str
    """Study Instance UID, or number of the delivery."""
    token: str
    beat: int
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """An object that is to be sent."""

    destination: str
    kind: str
    path: str
    """Relative to the store."""
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredOutcome:
    """What scoring a study came to."""

    state: Literal[StudyState.SCORED, StudyState.REFUSED]
    reason_code: str = ""
    reason: str = ""
    category: str = ""
    agatston: float | None = None
    result: str
    """Folder of the result, relative to the store."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a page shows besides: plain values, none of which identifies the patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A study as people see it. Times are wall clock (UTC, ISO 8601), empty if that has not happened."""

    number: int
    """Order of first arrival."""
    study_uid: str
    state: StudyState
    revision: int
    activity: int
    objects: int
    sources: tuple[str, ...]
    asked_now: bool
    attempts: int
    claimed_by: str
    reason_code: str
    reason: str
    category: str
    agatston: float | None
    result: str
    facts: Mapping[str, Any]
    first_at: str
    last_at: str
    settled_at: str
    scored_at: str
    deleted: int
    """Originals of the result that were deleted after delivery; 0: none were."""

    @property
    def late_objects(self) -> int:
        """Objects that came after the originals were deleted, too few to make a new result from; 0: none."""
        return self.objects if keeps_result(self.state, self.deleted, self.objects) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A delivery as people see it. Times are wall clock (UTC, ISO 8601), empty if that has not happened."""

    id: int
    study_uid: str
    revision: int
    destination: str
    kind: str
    path: str
    sop_class_uid: str
    sop_instance_uid: str
    state: DeliveryState
    attempts: int
    due_at: float
    """When it is tried next, in seconds since 1970."""
    claimed_by: str
    reason: str
    transaction_uid: str
    created_at: str
    done_at: str
    sent_at: str
    """When the destination took it whose storage commitment is awaited."""


@dataclass(frozen=True, slots=True)
class Removable:
    """A study whose original objects are needed no more."""

    study_uid: str
    activity: int
    objects: int
    last_at: str

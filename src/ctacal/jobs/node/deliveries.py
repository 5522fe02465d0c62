"""Which files of a result go where, and what the answer of a destination means for each of them.

An object that can still get through waits and is sent again, without limit. One that cannot is held with its reason
until a person acts. Nothing is dropped, and an object is only ever sent under the one UID that its content gives it.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from ctacal.dicom.objects.origin import derived_uid
from ctacal.errors import system_message
from ctacal.jobs.node.config import Destination, Kinds, NodeConfig
from ctacal.jobs.node.ledger import DeliveryClaim, NewDelivery
from ctacal.jobs.score import Outcome
from ctacal.report.outputs import WRITERS


def new_deliveries(config: NodeConfig, outcome: Outcome, folder: Path) -> tuple[NewDelivery, ...]:
    """Return what is to be sent of a result whose files lie in ``folder``, a folder of the store.

    A SEG comes before the SR that refers to it. A kind that could not be made is left out, or its fallback is sent: the
    reasons of the result say why.
    """
    folder = config.store / folder
    refused = outcome.content["status"] == "refused"
    return tuple(
        _new_delivery(config, destination, kind, file)
        for destination in config.destination
        for kind in _kinds(destination, destination.refusals if refused else destination.send, folder)
        for file in _files(kind, folder)
    )


def fallback(config: NodeConfig, destination: Destination, claim: DeliveryClaim) -> NewDelivery | None:
    """Return what is sent instead of an object that a destination does not take; None if there is nothing."""
    folder = (config.store / claim.path).parent
    for kind in _fallbacks(destination, claim.kind):
        for file in _files(kind, folder):
            return _new_delivery(config, destination, kind, file)
    return None


def _kinds(destination: Destination, wanted: Kinds, folder: Path) -> list[str]:
    """Return the kinds that are there, in the order of ``WRITERS``."""
    choices = ((kind, *_fallbacks(destination, kind)) for kind in wanted)
    there = {next((kind for kind in choice if _files(kind, folder)), "") for choice in choices}
    return [kind for kind in WRITERS if kind in there]


def _fallbacks(destination: Destination, kind: str) -> Iterator[str]:
    """Yield the kinds that may stand for another, the best first."""
    while kind := destination.fallback.get(kind, ""):
        yield kind


def _files(kind: str, folder: Path) -> list[Path]:
    return [folder / name for name in WRITERS[kind].files if (folder / name).is_file()]


def _new_delivery(config: NodeConfig, destination: Destination, kind: str, file: Path) -> NewDelivery:
    path = file.relative_to(config.store).as_posix()
    sop_class_uid, sop_instance_uid = "", derived_uid("file", path)
    if file.suffix == ".dcm":
        meta = read_file_meta_info(file)
        sop_class_uid, sop_instance_uid = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    return NewDelivery(
        destination=destination.name,
        kind=kind,
        path=path,
        sop_class_uid=str(sop_class_uid),
        sop_instance_uid=str(sop_instance_uid),
    )


class Means(Enum):
    """What an answer means for an object."""

    DONE = auto()
    """The destination has it."""
    AGAIN = auto()
    """It did not get through, and may later."""
    DOWN = auto()
    """The destination takes nothing at the moment: all objects wait."""
    HELD = auto()
    """It never gets through as things stand: a person must act."""
    UNSUITABLE = auto()
    """The destination takes no objects of this kind: another kind may stand for it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination answered for an object, or why it did not."""

    means: Means
    reason: str = ""
    """For people: what happened, and what to do if a person must act. It never names a patient."""
    after_s: float = 0.0
    """Least time before the next attempt that the destination asked for."""


DONE = Answer(Means.DONE)

LEAST_BYTES_PER_S = 50_000.0
"""A destination that takes an object more slowly than this does not answer in time (own choice)."""
ITS_LOG = "see why in the log of the destination, mend it there, then retry"

_WARNINGS = {0x0001, 0x0107, 0x0116}
"""General statuses of success with a warning (PS3.7 annex C)."""
_DUPLICATE = 0x0111
_UNSUPPORTED = {0x0118, 0x0122}
"""No Such SOP Class, SOP Class Not Supported."""
_PASSING = {0x0110: "it could not process the object", 0x0213: "it has no resources left"}
"""Failures of the destination rather than of the object: Processing Failure, Resource Limitation."""
_MEANINGS = {
    0x0117: "it calls the SOP Instance UID invalid",
    0x0124: "it does not authorise us to store; let its administrator allow our AE title",
    0x0210: "it calls the message a duplicate",
    0x0211: "it does not know the operation",
    0x0212: "it found a wrong argument in the message",
}


def status_answer(status: int) -> Answer:
    """Return what the status of a C-STORE response, or the Failure Reason of STOW-RS, means (PS3.4 B.2.3, PS3.7 C).

    >>> status_answer(0xB006).means.name, status_answer(0xA700).means.name, status_answer(0xC123).means.name
    ('DONE', 'AGAIN', 'HELD')
    """
    code = f"status {status:04X}"
    if status == 0:
        return DONE
    if status == _DUPLICATE:  # our UIDs follow from the content: what it has under the same UID is the same
        return Answer(Means.DONE, f"{code}: it has the object already")
    if status in _WARNINGS or status >> 12 == 0xB:
        return Answer(Means.DONE, f"{code}: taken with a warning")
    if status >> 8 == 0xA7 or status in _PASSING:
        return Answer(Means.AGAIN, f"{code}: {_PASSING.get(status, 'it is out of resources')}")
    if status in _UNSUPPORTED or status >> 8 == 0xA8:
        return Answer(Means.UNSUITABLE, f"{code}: the destination does not take objects of this kind")
    if status >> 8 == 0xA9:
        said = "the data set does not match its SOP class"
    elif status >> 12 == 0xC:
        said = "it cannot understand the object"
    else:
        said = _MEANINGS.get(status, "the object is refused")
    return Answer(Means.HELD, f"{code}: {said}; {ITS_LOG}")


def no_connection(problem: OSError) -> Answer:
    """Return the answer of a destination with which no connection came about, or for which a file is missing."""
    named = f"{problem.filename}: " if problem.filename else ""
    return Answer(Means.DOWN, f"no connection: {named}{system_message(problem)}")


def unsuitable_is_held(answer: Answer, kind: str) -> Answer:
    """Return the answer for an object that the destination does not take and nothing stands for."""
    advice = f"let it take {kind}, or name another kind under fallback in the configuration, then retry"
    return Answer(Means.HELD, f"{answer.reason}; {advice}")


def backoff_s(attempts: int, destination: Destination, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Return the time until the next attempt after so many: it doubles up to the longest, with a quarter of jitter."""
    doubled_s = destination.retry_s * 2.0 ** min(max(attempts, 1) - 1, 32)
    return min(doubled_s, destination.longest_retry_s) * draw(0.75, 1.0)


_ALONE = 3
"""So many objects in a row that do not get through mean that it is the destination (own choice)."""


@dataclass(slots=True)
class Circuit:
    """Whether a destination can be reached. While it cannot, only the oldest object tries, at growing intervals.

    An object that alone does not get through waits alone, so that it never stands in the way of the others.
    """

    destination: Destination
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[float, float], float] = random.uniform
    failures: int = 0
    """Attempts in a row that failed because of the destination."""
    _alone: int = 0
    _next_at: float = field(default=float("-inf"))

    @property
    def down(self) -> bool:
        """Whether the destination took nothing when it was last tried."""
        return self.failures > 0

    @property
    def wait_s(self) -> float:
        """Time until the next attempt is worth it; 0: now."""
        return max(0.0, self._next_at - self.clock())

    def try_now(self) -> None:
        """Wait no longer: somebody asks. Only the oldest object tries all the same."""
        self._next_at = float("-inf")

    def note(self, answer: Answer) -> None:
        """Note an answer to one object."""
        if answer.means is Means.AGAIN:
            self._alone += 1
        if answer.means is Means.DOWN or self._alone >= _ALONE:
            self.failures += 1
            self._next_at = self.clock() + max(answer.after_s, backoff_s(self.failures, self.destination, self.draw))
        elif answer.means is not Means.AGAIN:
            self.failures, self._alone, self._next_at = 0, 0, float("-inf")

    def due_in_s(self, answer: Answer, attempts: int) -> float:
        """Return for how long an object waits; not at all if all wait, so that the oldest is the next to try."""
        if answer.means is Means.DOWN:
            return 0.0
        return max(answer.after_s, backoff_s(attempts, self.destination, self.draw))

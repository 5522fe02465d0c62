"""The sender of the node: a thread for each destination, so that one that hangs never holds up another.

Every object is claimed in the ledger while it is sent. If this process is killed between the answer of a destination
and the ledger, the keeper frees the claim and the object is sent again, under the same UID.
"""

import logging
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Protocol

from pydicom.uid import generate_uid

from ctacal.errors import CtacalError
from ctacal.jobs.node.config import Destination, NodeConfig
from ctacal.jobs.node.deliveries import Answer, Circuit, Means, fallback, unsuitable_is_held
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.ledger import DeliveryClaim, Ledger, ledger_of
from ctacal.jobs.node.life import Pulse, alive_folder
from ctacal.jobs.node.store import Store
from ctacal.node.dicom_out import DicomOut
from ctacal.node.folder_out import FolderOut
from ctacal.node.stow_out import StowOut

POLL_S = 0.5
"""How often an idle thread looks for something to send."""
BEAT_S = 5.0
"""Seconds between heartbeats, which tell the ledger that a claim is alive."""
MOST_AT_ONCE = 20
"""Objects of a study that one association or request takes."""
HANG_S = 3600.0
"""A thread that has not moved for so long hangs: the process ends, and the supervisor starts a new one."""
_STOP_S = 20.0
"""How long what is being sent may take once the node stops."""
_PAUSE_S = 5.0
"""Pause after a defect, or while the ledger is away."""

_log = logging.getLogger("ctacal")


class Way(Protocol):
    """How a destination is reached."""

    def send(self, claims: Sequence[DeliveryClaim], transaction_uid: str) -> Iterator[tuple[DeliveryClaim, Answer]]:
        """Yield the answer to each object as soon as it is there; may end early."""


def run(config: NodeConfig, stopping: Event) -> None:
    """Send what waits in the ledger until ``stopping`` is set. Raises ``RuntimeError`` if a thread hangs."""
    pulse = Pulse(alive_folder(config.store, config.receive.port), "sender")
    with closing(ledger_of(config, Store(config.store))) as ledger:
        claims = OpenClaims(ledger)
        lines = [Line(config, destination, ledger, claims, stopping) for destination in config.destination]
        for line in lines:
            line.thread.start()
        beat_at = 0.0
        while not stopping.wait(POLL_S):
            _require_moving(lines)
            pulse.beat()
            if time.monotonic() >= beat_at:
                claims.beat()
                beat_at = time.monotonic() + BEAT_S
        until = time.monotonic() + _STOP_S
        for line in lines:
            line.thread.join(max(0.0, until - time.monotonic()))
        claims.give_back()


def _require_moving(lines: Sequence["Line"]) -> None:
    for line in lines:
        if not line.thread.is_alive() or time.monotonic() - line.moved_at > HANG_S:
            raise RuntimeError(f"sending to {line.destination.name} hangs")


class OpenClaims:
    """The claims of this process: while it lives they are not taken away."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._lock = ledger, Lock()
        self._claims: dict[int, DeliveryClaim] = {}

    @contextmanager
    def held(self, claims: Sequence[DeliveryClaim]) -> Iterator[None]:
        """Keep claims alive during the block."""
        with self._lock:
            self._claims |= {claim.id: claim for claim in claims}
        try:
            yield
        finally:
            with self._lock:
                for claim in claims:
                    self._claims.pop(claim.id, None)

    def beat(self) -> None:
        """Tell the ledger that they are alive. A claim that was taken away all the same is sent by somebody else."""
        try:
            for claim in self._all():
                self._ledger.beat(claim)
        except CtacalError as problem:
            tell("ledger is away", level=logging.ERROR, reason=problem)

    def give_back(self) -> None:
        """Let others have what was not finished."""
        try:
            for claim in self._all():
                self._ledger.retry(claim, "", 0.0)
        except CtacalError as problem:
            tell("ledger is away", level=logging.ERROR, reason=problem)

    def _all(self) -> list[DeliveryClaim]:
        with self._lock:
            return list(self._claims.values())


@dataclass(eq=False, slots=True)
class Line:
    """The thread that sends to one destination, oldest study first."""

    config: NodeConfig
    destination: Destination
    ledger: Ledger
    claims: OpenClaims
    stopping: Event
    moved_at: float = field(default_factory=time.monotonic)
    """When it last got on, by the monotonic clock."""
    thread: Thread = field(init=False)
    _way: Way = field(init=False)
    _circuit: Circuit = field(init=False)
    _asked: str = field(init=False)
    _worker: str = f"sender {os.getpid()} on {platform.node()}"

    def __post_init__(self) -> None:
        self.thread = Thread(target=self._run, name=f"to {self.destination.name}", daemon=True)
        self._way = _way_to(self.config, self.destination, self.ledger)
        self._circuit = Circuit(self.destination)
        self._asked = self.ledger.asked_to_try(self.destination.name)
        if not self.destination.commitment and (number := self.ledger.await_no_commitment(self.destination.name)):
            tell("delivered without storage commitment", destination=self.destination.name, objects=number)

    def _run(self) -> None:
        while not self.stopping.is_set():
            self.moved_at = time.monotonic()
            try:
                pause_s = 0.0 if self.turn() else POLL_S
            except CtacalError as problem:
                tell("sending waits", level=logging.ERROR, destination=self.destination.name, reason=problem)
                pause_s = _PAUSE_S
            except Exception:
                _log.exception("sending to %s", self.destination.name)
                pause_s = _PAUSE_S
            self.stopping.wait(pause_s)

    def turn(self) -> bool:
        """Send what is due; return whether there was anything to do. Raises ``DatabaseAway``."""
        if self._circuit.wait_s and not self._is_asked():
            return False
        if isinstance(self._way, DicomOut) and self.destination.commitment:
            self._ask_again(self._way)
        claims = self._due()
        with self.claims.held(claims):
            self._send(claims)
        return bool(claims)

    def _is_asked(self) -> bool:
        """Whether somebody has asked to try this destination now since it was last looked."""
        asked = self.ledger.asked_to_try(self.destination.name)
        if asked == self._asked:
            return False
        self._asked = asked
        self._circuit.try_now()
        return True

    def _due(self) -> list[DeliveryClaim]:
        """Claim what is due of the oldest study; only one object if the destination took nothing before."""
        claims: list[DeliveryClaim] = []
        study_uid, most = "", 1 if self._circuit.down else MOST_AT_ONCE
        while len(claims) < most and (
            claim := self.ledger.claim_delivery(self._worker, self.destination.name, study_uid=study_uid)
        ):
            claims.append(claim)
            study_uid = claim.study_uid
        return claims

    def _send(self, claims: Sequence[DeliveryClaim]) -> None:
        transaction_uid = generate_uid() if self.destination.commitment else ""
        left = {claim.id: claim for claim in claims}
        try:
            for claim, answer in self._way.send(claims, transaction_uid) if claims else ():
                self._note(claim, answer, transaction_uid)
                del left[claim.id]
                self.moved_at = time.monotonic()
        except CtacalError:
            raise
        except Exception as problem:  # a defect: the other objects must not wait for this one
            _log.exception("sending to %s", self.destination.name)
            for claim in [*left.values()][:1]:
                said = f"could not be sent, {type(problem).__name__}: {problem}; please report this"
                self._note(left.pop(claim.id), Answer(Means.AGAIN, said), transaction_uid)
        for claim in left.values():
            self.ledger.retry(claim, "", 0.0)

    def _note(self, claim: DeliveryClaim, answer: Answer, transaction_uid: str) -> None:
        """Write down what an answer means for an object."""
        self._circuit.note(answer)
        if answer.means is Means.UNSUITABLE:
            instead = fallback(self.config, self.destination, claim)
            if instead is not None:
                self.ledger.replace(claim, instead, answer.reason)
                self._tell("replaced", claim, by=instead.kind, reason=answer.reason)
                return
            answer = unsuitable_is_held(answer, claim.kind)
        if answer.means is Means.DONE and self.destination.commitment:
            self.ledger.sent(claim, transaction_uid, ask_again_in_s=self.destination.commitment_s)
            self._tell("sent", claim)
        elif answer.means is Means.DONE:
            self.ledger.done(claim)
            self._tell("delivered", claim, said=answer.reason)
        elif answer.means is Means.HELD:
            self.ledger.hold(claim, answer.reason)
            self._tell("held", claim, level=logging.ERROR, reason=answer.reason)
        else:
            due_in_s = self._circuit.due_in_s(answer, claim.attempts)
            self.ledger.retry(claim, answer.reason, due_in_s)
            again_in_s = round(max(due_in_s, self._circuit.wait_s))
            self._tell("not delivered", claim, level=logging.WARNING, reason=answer.reason, again_in_s=again_in_s)

    def _tell(self, what: str, claim: DeliveryClaim, *, level: int = logging.INFO, **facts: object) -> None:
        tell(what, level=level, destination=claim.destination, study_uid=claim.study_uid, kind=claim.kind, **facts)

    def _ask_again(self, way: DicomOut) -> None:
        """Ask again for the storage commitment of what was sent long ago."""
        claims: list[DeliveryClaim] = []
        while len(claims) < MOST_AT_ONCE and (
            claim := self.ledger.claim_uncommitted(self._worker, self.destination.name)
        ):
            claims.append(claim)
        if not claims:
            return
        transaction_uid = generate_uid()
        for claim in claims:  # before the question: the answer may be quick
            self.ledger.sent(claim, transaction_uid, ask_again_in_s=self.destination.commitment_s)
        answer = way.ask(claims, transaction_uid)
        if answer.means is Means.DOWN:
            self._circuit.note(answer)
        tell("storage commitment asked again", destination=self.destination.name, objects=len(claims),
             reason=answer.reason)  # fmt: skip


def _way_to(config: NodeConfig, destination: Destination, ledger: Ledger) -> Way:
    if destination.kind == "dicom":
        return DicomOut(config, destination, ledger)
    return StowOut(config, destination) if destination.kind == "stow" else FolderOut(config, destination)

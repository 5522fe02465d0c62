"""Storage commitment (PS3.4 annex J): N-ACTION asks whether objects are safe, N-EVENT-REPORT answers.

The answer goes to the host of the peer on a new association, again and again until it arrives. A peer whose host is not
configured gets it on the association that asked, if that is still open.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association

from ctacal.dicom.uids import is_used_uid
from ctacal.errors import system_message
from ctacal.jobs.node.arrivals import Arrivals, Sending
from ctacal.jobs.node.commitments import (
    CommitmentAnswer,
    CommitmentRequest,
    answer_to,
    forget,
    remember,
    remembered,
)
from ctacal.jobs.node.config import Destination, NodeConfig, Peer
from ctacal.jobs.node.deliveries import Answer
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.store import Store
from ctacal.node.admission import peer_named
from ctacal.node.associations import NodeAssociation
from ctacal.node.outgoing import opened

COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class."""
_WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Transfer syntaxes of the data sets of storage commitment."""

_REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""
_ALL_STORED, _SOME_FAILED = 1, 2
"""Event Type IDs (PS3.4 table J.3-2)."""
_NO_SUCH_ACTION, _MISSING_ARGUMENT, _INVALID_ARGUMENT, _NO_RESOURCES = 0x0123, 0x0114, 0x0115, 0x0213
_NOT_AUTHORISED = 0x0124
_FIRST_S = 0.5
"""Pause before the answer, so that the peer has read that its request was taken."""
_PAUSES_S = (5.0, 600.0)
"""Pause after the first failure; it doubles up to the second."""
_MOST_ATTEMPTS = 500
"""The peer is given up after three days."""
_AWAY = "the store cannot be reached"
_ANSWER_S = 30.0
"""How long a peer may take to answer."""


@dataclass(eq=False, slots=True)
class _Due:
    request: CommitmentRequest
    peer: Peer
    at: float
    attempts: int = 0


class Commitments:
    """Takes requests and answers them. To be used in a ``with`` block."""

    def __init__(self, config: NodeConfig, store: Store, arrivals: Arrivals) -> None:
        self._config, self._store, self._arrivals = config, store, arrivals
        self._due: list[_Due] = []
        self._changed, self._stopping = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="commitments", daemon=True)

    def __enter__(self) -> Self:
        for request in remembered(self._store):
            if not self._answer_later(request):  # the association that asked ended with the process that it asked
                self._give_up(request, "the node was stopped before the answer")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def on_action(self, event: evt.Event, sending: Sending) -> tuple[int, Dataset | None]:
        """Serve N-ACTION; what is answered with 0x0000 will be reported on, also after a restart."""
        if event.action_type != _REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION, None
        if not self._config.receive.commitment:
            return _NOT_AUTHORISED, None
        peer, _, _ = sending.source.partition("@")
        try:
            request = _request(event.action_information, peer)
        except (AttributeError, KeyError):
            return _MISSING_ARGUMENT, None
        except Exception:  # pydicom names none
            return _INVALID_ARGUMENT, None
        sending.counts["commitment"] += 1
        try:
            remember(self._store, request)
        except OSError as problem:
            tell("storage commitment refused", level=logging.ERROR, reason=system_message(problem))
            return _NO_RESOURCES, None
        association = event.assoc
        if not self._answer_later(request) and isinstance(association, NodeAssociation):
            association.afterwards = lambda: self._answer_here(request, association)
        return 0x0000, None

    def _answer_later(self, request: CommitmentRequest) -> bool:
        """Plan the answer on a new association; False if the peer's host is not configured."""
        peer = peer_named(request.peer, self._config)
        if peer is None or not peer.host:
            return False
        with self._changed:
            self._due.append(_Due(request, peer, time.monotonic() + _FIRST_S))
            self._changed.notify()
        return True

    def _run(self) -> None:
        while (due := self._next()) is not None:
            try:
                problem = self._report(due, answer := answer_to(self._store, due.request))
                if not problem:
                    self._answered(due.request, answer)
            except OSError as away:  # a store that is away holds what it held: nothing is called lost
                problem = f"{_AWAY}: {system_message(away)}"
            except Exception as defect:  # one request must not end the thread that answers all
                logging.getLogger("ctacal").exception("storage commitment failed")
                problem = f"{type(defect).__name__}; please report this"
            if problem:
                self._again(due, problem)

    def _next(self) -> _Due | None:
        """Wait for the next answer that is due; None when the node stops."""
        with self._changed:
            while not self._stopping:
                first = min(self._due, key=lambda due: due.at, default=None)
                wait_s = first.at - time.monotonic() if first else None
                if first and wait_s is not None and wait_s <= 0:
                    self._due.remove(first)
                    return first
                self._changed.wait(wait_s)
        return None

    def _again(self, due: _Due, problem: str) -> None:
        due.attempts += 1
        facts = {"peer": due.peer.ae_title, "transaction_uid": due.request.transaction_uid, "reason": problem}
        if due.attempts >= _MOST_ATTEMPTS:
            forget(self._store, due.request)
            self._arrivals.note("storage commitment given up", level=logging.ERROR, **facts)
            return
        tell("storage commitment not answered yet", level=logging.WARNING, **facts)
        due.at = time.monotonic() + min(_PAUSES_S[0] * 2.0 ** min(due.attempts - 1, 20), _PAUSES_S[1])
        with self._changed:
            self._due.append(due)

    def _report(self, due: _Due, answer: CommitmentAnswer) -> str:
        """Answer on a new association; returns why that failed, empty if it did not."""
        own_title, tls = self._config.receive.ae_title, self._config.receive.tls
        where = Destination(
            name="commitment", kind="dicom", ae_title=due.peer.ae_title, host=due.peer.host, port=due.peer.port,
            use_tls=tls.used, tls=tls, tls_name=due.peer.tls_subject, timeout_s=_ANSWER_S,
        )  # fmt: skip
        with opened(where, own_title, [COMMITMENT], lambda _: 0x0000, served=[COMMITMENT]) as outgoing:
            if isinstance(outgoing, Answer):
                return outgoing.reason
            with outgoing.within(_ANSWER_S):
                return _send(outgoing.association, due.request, answer)

    def _answer_here(self, request: CommitmentRequest, association: NodeAssociation) -> None:
        """Answer on the association that asked, in its own thread."""
        try:
            answer = answer_to(self._store, request)
            left = "the association was released" if association.peer_leaves() else ""
            problem = left or _send(association, request, answer)
            if not problem:
                self._answered(request, answer)
                return
        except OSError as away:
            problem = f"{_AWAY}: {system_message(away)}"
        self._give_up(request, problem)

    def _give_up(self, request: CommitmentRequest, problem: str) -> None:
        """Forget a request of a peer whose host is not known."""
        forget(self._store, request)
        reason = f"{problem}; give the peer a host and port in the configuration"
        self._arrivals.note("storage commitment given up", level=logging.ERROR, peer=request.peer, reason=reason,
                            transaction_uid=request.transaction_uid)  # fmt: skip

    def _answered(self, request: CommitmentRequest, answer: CommitmentAnswer) -> None:
        forget(self._store, request)
        self._arrivals.note("storage commitment answered", peer=request.peer, stored=len(answer.stored),
                            failed=len(answer.failed), transaction_uid=request.transaction_uid)  # fmt: skip


def _request(information: Dataset, peer: str) -> CommitmentRequest:
    """Read the Action Information (PS3.4 table J.3-1). Raises ``AttributeError`` or ``ValueError``."""
    transaction_uid = str(information.TransactionUID)
    references = tuple(
        (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
        for item in information.ReferencedSOPSequence
    )
    if not is_used_uid(transaction_uid) or not references:
        raise ValueError("no Transaction UID, or no object")
    return CommitmentRequest(transaction_uid=transaction_uid, peer=peer, references=references)


def _send(association: Association, request: CommitmentRequest, answer: CommitmentAnswer) -> str:
    """Send N-EVENT-REPORT; returns why that failed. A peer that does not want to know it has been told, too."""
    try:
        status, _ = association.send_n_event_report(
            _information(request, answer), _SOME_FAILED if answer.failed else _ALL_STORED,
            COMMITMENT, _WELL_KNOWN_INSTANCE,
        )  # fmt: skip
    except (ValueError, RuntimeError) as problem:
        return str(problem)
    return "" if "Status" in status else "no answer to the report"


def _information(request: CommitmentRequest, answer: CommitmentAnswer) -> Dataset:
    """Return the Event Information (PS3.4 table J.3-2)."""
    information = Dataset()
    information.TransactionUID = UID(request.transaction_uid)
    if answer.stored:
        information.ReferencedSOPSequence = [_reference(*reference) for reference in answer.stored]
    if answer.failed:
        information.FailedSOPSequence = [
            _reference(*reference, FailureReason=int(failure)) for *reference, failure in answer.failed
        ]
    return information


def _reference(sop_class_uid: Any, sop_instance_uid: Any, **others: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(sop_class_uid), UID(sop_instance_uid)
    for keyword, value in others.items():
        setattr(item, keyword, value)
    return item

"""Results to a PACS by C-STORE (PS3.4 annex B), and its storage commitment (annex J).

The objects of a study go through one association. Each is sent in the transfer syntax of its file, explicit VR little
endian, or converted without loss to implicit VR if the PACS takes nothing else.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial

from pydicom import Dataset, dcmread
from pydicom.uid import UID

from ctacal.dicom.header import READING_ERRORS, quiet_pydicom
from ctacal.jobs.node.committed import take_report
from ctacal.jobs.node.config import Destination, NodeConfig
from ctacal.jobs.node.deliveries import DONE, LEAST_BYTES_PER_S, Answer, Means, status_answer
from ctacal.jobs.node.ledger import DeliveryClaim, Ledger
from ctacal.node.outgoing import Outgoing, opened

COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class."""
_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""
_NEVER = {0x0112, 0x0118, 0x0122, 0x0123, 0x0124, 0x0211}
"""Statuses of N-ACTION that asking again does not change."""
NO_COMMITMENT = (
    "the destination took it, but offers no storage commitment; "
    "enable that there, or set commitment = false in the configuration, then retry"
)
_REPORT_S = 1.0
"""How long an association stays open for the report of storage commitment, which else comes on one of its own."""


@dataclass(frozen=True, slots=True)
class DicomOut:
    """The way to one PACS."""

    config: NodeConfig
    destination: Destination
    ledger: Ledger

    def send(self, claims: Sequence[DeliveryClaim], transaction_uid: str) -> Iterator[tuple[DeliveryClaim, Answer]]:
        """Send objects, and yield the answer to each as soon as it is there; it ends if nothing more gets through.

        Storage commitment is asked for when all answers were taken.
        """
        classes = list(dict.fromkeys(claim.sop_class_uid for claim in claims))
        with self._opened(classes) as outgoing:
            if isinstance(outgoing, Answer):
                yield from ((claim, outgoing) for claim in claims[: 1 if outgoing.means is Means.DOWN else None])
                return
            stored: list[DeliveryClaim] = []
            for number, claim in enumerate(claims, 1):
                answer = self._committable(outgoing, self._store(outgoing, claim, number))
                stored += [claim] if answer.means is Means.DONE else []
                yield claim, answer
                if not outgoing.association.is_established:
                    return
            if self.destination.commitment and stored:
                self._ask(outgoing, stored, transaction_uid)

    def ask(self, claims: Sequence[DeliveryClaim], transaction_uid: str) -> Answer:
        """Ask again for the storage commitment of objects that were sent; return how the question was taken."""
        with self._opened([]) as outgoing:
            if isinstance(outgoing, Answer):
                return outgoing
            return self._ask(outgoing, claims, transaction_uid)

    def _opened(self, classes: list[str]) -> AbstractContextManager[Outgoing | Answer]:
        calling = self.destination.calling_ae_title or self.config.receive.ae_title
        also = [COMMITMENT] if self.destination.commitment else []
        return opened(self.destination, calling, [*classes, *also], partial(take_report, self.ledger))

    def _committable(self, outgoing: Outgoing, answer: Answer) -> Answer:
        wanting = self.destination.commitment and not outgoing.accepts(COMMITMENT)
        return Answer(Means.HELD, NO_COMMITMENT) if wanting and answer.means is Means.DONE else answer

    def _store(self, outgoing: Outgoing, claim: DeliveryClaim, number: int) -> Answer:
        file = self.config.store / claim.path
        try:
            with quiet_pydicom():
                image = dcmread(file)
            limit_s = self.destination.timeout_s + file.stat().st_size / LEAST_BYTES_PER_S
        except READING_ERRORS as problem:
            return Answer(Means.HELD, f"{claim.path} cannot be read ({problem}); score the study again")
        if image.SOPInstanceUID != claim.sop_instance_uid:
            return Answer(Means.HELD, f"{claim.path} holds another object; score the study again")
        if not outgoing.accepts(claim.sop_class_uid):
            reason = f"the destination accepts no presentation context for {UID(claim.sop_class_uid).name}"
            return Answer(Means.UNSUITABLE, reason)
        with outgoing.within(limit_s), suppress(RuntimeError):  # the connection was lost just before
            status = outgoing.association.send_c_store(image, msg_id=number, priority=0)
            if "Status" in status:
                return status_answer(int(status.Status))
        return Answer(Means.AGAIN, f"no answer to the object within {limit_s:.0f} s, or the connection was lost")

    def _ask(self, outgoing: Outgoing, claims: Sequence[DeliveryClaim], transaction_uid: str) -> Answer:
        """Ask for storage commitment. A refusal for good holds the objects; anything else is asked again later."""
        answer = self._asked(outgoing, claims, transaction_uid)
        if answer.means is Means.DONE:
            outgoing.reported.wait(_REPORT_S)
        if answer.means is Means.HELD:
            for claim in claims:
                self.ledger.commitment_failed(transaction_uid, claim.sop_instance_uid, answer.reason, due_in_s=None)
        return answer

    def _asked(self, outgoing: Outgoing, claims: Sequence[DeliveryClaim], transaction_uid: str) -> Answer:
        if not outgoing.accepts(COMMITMENT):
            return Answer(Means.HELD, NO_COMMITMENT)
        with outgoing.within(self.destination.timeout_s), suppress(RuntimeError):
            status, _ = outgoing.association.send_n_action(
                _request(claims, transaction_uid), _REQUEST_COMMITMENT, COMMITMENT, _COMMITMENT_INSTANCE
            )
            if "Status" in status:
                return _action_answer(int(status.Status))
        return Answer(Means.AGAIN, "no answer to the request for storage commitment")


def _action_answer(status: int) -> Answer:
    if status in _NEVER:
        return Answer(Means.HELD, f"status {status:04X} to N-ACTION: {NO_COMMITMENT}")
    if status_answer(status).means is Means.DONE:
        return DONE
    return Answer(Means.AGAIN, f"status {status:04X} to the request for storage commitment")


def _request(claims: Sequence[DeliveryClaim], transaction_uid: str) -> Dataset:
    """Return the Action Information (PS3.4 table J.3-1)."""
    request = Dataset()
    request.TransactionUID = UID(transaction_uid)
    request.ReferencedSOPSequence = [_reference(claim) for claim in claims]
    return request


def _reference(claim: DeliveryClaim) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = UID(claim.sop_class_uid)
    reference.ReferencedSOPInstanceUID = UID(claim.sop_instance_uid)
    return reference

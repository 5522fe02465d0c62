"""What a destination reports about storage commitment (PS3.4 annex J): it has the objects for good, or it has not."""

from pydicom import Dataset

from ctacal.errors import CtacalError
from ctacal.jobs.node.ledger import Ledger

SEND_AGAIN_S = 60.0
"""Time after which an object that a destination has not is sent again (own choice)."""

_SUCCESS, _INVALID_ARGUMENT, _PROCESSING_FAILURE = 0x0000, 0x0115, 0x0110
_LASTING = {
    0x0119: "another object has this SOP Instance UID there",
    0x0122: "it gives no commitment for objects of this kind; set commitment = false for it",
}
"""Failure Reasons (PS3.3 C.14.1.1) that sending again cannot mend."""


def take_report(ledger: Ledger, information: Dataset) -> int:
    """Write down what the Event Information of an N-EVENT-REPORT says, and return the status to answer with.

    A report that comes again, or too late, changes nothing. Never raises: the destination reports again.
    """
    try:
        transaction_uid = str(information.TransactionUID)
        held = {str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence", ())}
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason", 0))
            for item in information.get("FailedSOPSequence", ())
        }
    except (AttributeError, TypeError, ValueError):
        return _INVALID_ARGUMENT
    try:
        ledger.committed(transaction_uid, held - failed.keys())
        for uid, reason in failed.items():
            due_in_s = None if reason in _LASTING else SEND_AGAIN_S
            said = _LASTING.get(reason, "the destination does not have it, though it took it; it is sent again")
            ledger.commitment_failed(transaction_uid, uid, f"failure reason {reason:04X}: {said}", due_in_s=due_in_s)
    except CtacalError:  # the ledger is away
        return _PROCESSING_FAILURE
    return _SUCCESS

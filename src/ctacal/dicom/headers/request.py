"""What was requested and performed, in words: the texts of an image's request and procedure, wherever they stand.

PS3.3 C.4.11 (Requested Procedure), 10.6 (Request Attributes Macro), C.7.3.1 (General Series), C.7.2.1 (General Study).
"""

from collections.abc import Callable
from typing import Any

from ctacal.dicom.headers.values import items, text

_TEXTS = (
    "RequestedProcedureDescription", "PerformedProcedureStepDescription", "ScheduledProcedureStepDescription",
    "AcquisitionProtocolDescription",
)  # fmt: skip
_CODES = ("ProcedureCodeSequence", "RequestedProcedureCodeSequence", "PerformedProtocolCodeSequence")
_OF_AN_ITEM = (*_TEXTS[:3], "RequestedProcedureCodeSequence", "ScheduledProtocolCodeSequence")

REQUEST_KEYWORDS = (*_TEXTS, *_CODES, "RequestAttributesSequence", "RequestedContrastAgent")
"""The elements that ``request_texts`` asks an image for."""


def request_texts(get: Callable[[str], Any]) -> tuple[str, ...]:
    """Return the texts, each once; that of a requested contrast agent says so, because it may be a bare word."""
    found = [text(get(keyword)) for keyword in _TEXTS]
    found += [meaning for keyword in _CODES for meaning in _meanings(get(keyword))]
    for item in items(get("RequestAttributesSequence")):
        for keyword in _OF_AN_ITEM:
            value = item.get(keyword)
            found += _meanings(value) if keyword.endswith("Sequence") else [text(value)]
    if agent := text(get("RequestedContrastAgent")):
        found.append(f"contrast agent {agent}")
    return tuple(dict.fromkeys(filter(None, found)))


def _meanings(codes: Any) -> list[str]:
    return [text(item.get("CodeMeaning")) for item in items(codes)]

"""Which texts are UIDs (PS3.5 section 9.1), and which are used as such all the same."""

import re
from collections.abc import Iterable

from ctacal.dicom.header import Slice
from ctacal.errors import Code, Reason

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)  # \d is any digit of Unicode otherwise
_USED_UID = re.compile(r"\d+(\.\d+)+", re.ASCII)
_LONGEST = 64


def is_uid(text: str) -> bool:
    """Whether the text is a valid UID (PS3.5 section 9.1).

    >>> is_uid("1.2.840.10008"), is_uid("../../x"), is_uid("1.02")
    (True, False, False)
    """
    return len(text) <= _LONGEST and bool(_UID.fullmatch(text))


def is_used_uid(text: str) -> bool:
    """Whether the text can name an object that others made: a UID, whose components may begin with zeros.

    Some scanners write such UIDs, against the standard. Whoever refers to their images must keep them as they are.

    >>> is_used_uid("1.02"), is_used_uid("../../x"), is_used_uid("1.2."), is_used_uid("1." + 63 * "1")
    (True, False, False, False)
    """
    return len(text) <= _LONGEST and bool(_USED_UID.fullmatch(text))


def uid_notes(images: Iterable[Slice]) -> tuple[Reason, ...]:
    """Return a note if images of a study have UIDs with components that begin with zero. It quotes none of them."""
    odd = sorted({name for name, uid in _named_uids(images) if is_used_uid(uid) and not is_uid(uid)})
    if not odd:
        return ()
    message = (
        f"{', '.join(odd)}: a component begins with zero, against PS3.5 section 9.1; results refer to the images by "
        "these UIDs as they are, which a strict PACS may refuse"
    )
    return (Reason(Code.UID_LEADING_ZERO, message),)


def _named_uids(images: Iterable[Slice]) -> set[tuple[str, str]]:
    named: set[tuple[str, str]] = set()
    for image in images:
        header = image.header
        named.add(("SOP Instance UID", image.sop_instance_uid))
        named.add(("Series Instance UID", header.series_uid))
        named.add(("Study Instance UID", header.study_uid))
        named.add(("Frame of Reference UID", header.frame_of_reference_uid))
    return named

"""The elements of a DICOM object as lines of text, to be compared with lines that were stored."""

import hashlib
from collections.abc import Iterator

from pydicom import DataElement, Dataset

from ctacal import __version__

OWN_UIDS = "1.2.826.0.1.3680043.8.498."
"""Start of the UIDs that pydicom generates."""


def elements(image: Dataset) -> list[str]:
    """Return one line for each element, indented by depth: keyword, value representation, value.

    The UIDs that ctacal made stand by number in order of appearance, and its version by a word: a new version changes
    them. Bytes stand by their digest.
    """
    uids: dict[str, str] = {}
    return list(_lines(image, "", uids))


def _lines(image: Dataset, indent: str, uids: dict[str, str]) -> Iterator[str]:
    for element in image:
        start = f"{indent}{element.keyword} {element.VR}"
        if element.VR != "SQ":
            yield f"{start} {_value(element, uids)}"
            continue
        yield f"{start} {len(element.value)}"
        for item in element.value:
            yield f"{indent} item"
            yield from _lines(item, indent + "  ", uids)


def _value(element: DataElement, uids: dict[str, str]) -> str:
    value = element.value
    if isinstance(value, bytes):
        return f"{len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()}"
    text = "" if value is None else str(value)
    if element.VR == "UI" and text.startswith(OWN_UIDS):
        return uids.setdefault(text, f"uid {len(uids) + 1}")
    return text.replace(f"ctacal {__version__}", "ctacal VERSION")

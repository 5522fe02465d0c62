"""Whether an existing result is still valid: the digests of its input and of its settings."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctacal.dicom.files.source import ARCHIVE_ERRORS
from ctacal.dicom.series import Series, Study
from ctacal.errors import Refusal

_READ_BYTES = 2**20


def input_digest(study: Study) -> str | None:
    """Return the SHA-256 of the study's content: each byte of its CT images, and the headers of other objects.

    Names and places of files do not matter. None if a file can no longer be read: such a study is scored again.
    """
    try:
        parts = sorted(part for series in study.series for part in _series_parts(series))
    except (Refusal, *ARCHIVE_ERRORS):
        return None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _series_parts(series: Series) -> set[str]:
    if series.header.modality != "CT":
        return {
            hashlib.sha256(f"{slice_.header} {slice_.sop_instance_uid}".encode()).hexdigest()
            for slice_ in series.slices
        }
    digests = set()
    for source in {slice_.source for slice_ in (*series.slices, *series.left_out)}:
        digest = hashlib.sha256()
        with source.open() as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
        digests.add(digest.hexdigest())
    return digests


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that a result depends on, except the input."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def earlier_result(folder: Path, wanted: Mapping[str, str | None]) -> dict[str, Any] | None:
    """Return the content of the result.json in ``folder`` if its digests are those of ``wanted``, else None."""
    if None in wanted.values():
        return None
    try:
        content: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(content, dict) and all(content.get(name) == digest for name, digest in wanted.items())
    return content if same else None

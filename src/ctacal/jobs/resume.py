"""Whether an existing result is still valid: the digests of its input and of its settings."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ctacal.dicom.files.source import ARCHIVE_ERRORS
from ctacal.dicom.header import Slice
from ctacal.dicom.series import Series, Study
from ctacal.errors import Refusal

_READ_BYTES = 2**20
_PLACES = ("source", "native")
"""Fields of a ``Slice`` that say where it lies, and nothing of the study."""


def input_digest(study: Study, scored: Collection[Series]) -> str | None:
    """Return the SHA-256 of what a score depends on: the bytes of the series that are scored, and headers of the rest.

    If no series can be scored, there are headers only. Names and places of files do not matter. None if a file can no
    longer be read: such a study is scored again.
    """
    try:
        parts = sorted(
            part for series in study.series for part in (_contents(series) if series in scored else _headers(series))
        )
    except (Refusal, *ARCHIVE_ERRORS):
        return None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _contents(series: Series) -> set[str]:
    digests = set()
    for source in {slice_.source for slice_ in (*series.slices, *series.left_out)}:
        digest = hashlib.sha256()
        with source.open() as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
        digests.add(digest.hexdigest())
    return digests


def _headers(series: Series) -> set[str]:
    slices = (*series.slices, *series.left_out)
    return {hashlib.sha256(repr(_without_place(slice_)).encode()).hexdigest() for slice_ in slices}


def _without_place(slice_: Slice) -> tuple[Any, ...]:
    return tuple(getattr(slice_, field.name) for field in fields(slice_) if field.name not in _PLACES)


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

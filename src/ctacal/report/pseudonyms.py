"""Results that name nobody: the basic profile of PS3.15 annex E, with pseudonyms from a key.

Which attributes go is dicom-anonymizer's table of the standard; this module gives its replacements: identifiers become
others that follow from a secret key, so that all studies of a patient stay together, in this run and in the next, and
nobody without the key can tell whose they are. Dates, ages, descriptions and file names go.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID

from ctacal.dicom.choose import Candidate
from ctacal.dicom.header import SeriesHeader, Slice
from ctacal.dicom.series import Series, Study
from ctacal.dicom.source import SkippedFile
from ctacal.dicom.stack import Stack
from ctacal.errors import Reason, UsageError
from ctacal.prediction import ModelInfo
from ctacal.result import Acquisition, ChosenSeries, ScoredStudy, StudyResult

LEAST_KEY_BYTES = 16
METHOD = "PS3.15 basic profile, keyed pseudonyms, by ctacal"
REMOVED = "[removed]"
_TABLE = "dicomfields_2026c"

_HEADER_KEYWORDS = {
    "study_uid": "StudyInstanceUID", "series_uid": "SeriesInstanceUID", "frame_of_reference_uid": "FrameOfReferenceUID",
    "patient_id": "PatientID", "patient_sex": "PatientSex", "patient_age": "PatientAge", "study_date": "StudyDate",
    "study_description": "StudyDescription", "series_description": "SeriesDescription",
    "protocol_name": "ProtocolName", "contrast_agent": "ContrastBolusAgent", "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName", "kernel": "ConvolutionKernel", "scan_options": "ScanOptions",
}  # fmt: skip
"""What a ``SeriesHeader`` holds of attributes that may tell a person."""


@dataclass(frozen=True, slots=True)
class Pseudonymiser:
    """Replaces identifiers by others that follow from ``key``."""

    key: bytes

    @classmethod
    def from_file(cls, path: Path) -> "Pseudonymiser":
        """With the content of a file for key; raises ``UsageError`` where it is none, or its library is missing."""
        if find_spec("dicomanonymizer") is None:
            raise UsageError("--pseudonymise needs dicom-anonymizer: pip install 'ctacal[pseudonymise]'")
        try:
            key = path.read_bytes().strip()
        except OSError as problem:
            raise UsageError(f"--pseudonymise {path}: {problem.strerror}; {_HOW}") from problem
        if len(key) < LEAST_KEY_BYTES:
            raise UsageError(f"--pseudonymise {path}: a key of {len(key)} bytes can be guessed; {_HOW}")
        return cls(key)

    def uid(self, original: str) -> UID:
        """A UID under 2.25 (PS3.5 annex B.2); none stays none."""
        return UID(f"2.25.{int(self._digest('uid', original)[:32], 16)}" if original else "")

    def patient(self, original: str) -> str:
        """A short name for a patient ID; none stays none.

        >>> Pseudonymiser(b"0123456789abcdef").patient("4711")
        'P-84A7E3072DF4'
        """
        return f"P-{self._digest('patient', original)[:12].upper()}" if original else ""

    def digest(self, original: str) -> str:
        """A digest that only the key's owner can compare with the original."""
        return self._digest("digest", original)

    def file(self, original: str) -> str:
        """What to call a file whose name may tell a person."""
        return f"file-{self._digest('file', original)[:12]}"

    def _digest(self, kind: str, original: str) -> str:
        return hmac.new(self.key, f"{kind}:{original}".encode(), hashlib.sha256).hexdigest()

    def dataset(self, original: Dataset) -> Dataset:
        """The attributes that the basic profile leaves, identifiers replaced."""
        from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions, replace_UID

        actions = initialize_actions(_TABLE)
        rules: dict[Any, Any] = {tag: self._replace_uid for tag, do in actions.items() if do is replace_UID}
        rules |= {(0x0010, 0x0010): self._replace_name, (0x0010, 0x0020): self._replace_id}
        left = Dataset({element.tag: element for element in original})
        anonymize_dataset(left, rules, base_rules_gen=lambda: dict(actions))
        for element in list(left):
            if element.VR in ("DA", "TM", "DT", "AS"):  # the library writes the year 1 for none
                element.value = ""
        left.PatientIdentityRemoved, left.DeidentificationMethod = "YES", METHOD
        return left

    def _replace_uid(self, dataset: Dataset, tag: tuple[int, int]) -> None:
        if (element := dataset.get(tag)) is not None:
            element.value = self.uid(str(element.value))

    def _replace_id(self, dataset: Dataset, tag: tuple[int, int]) -> None:
        if (element := dataset.get(tag)) is not None:
            element.value = self.patient(str(element.value))

    def _replace_name(self, dataset: Dataset, tag: tuple[int, int]) -> None:
        """The name goes with the ID, which the library's order leaves for later."""
        if (element := dataset.get(tag)) is not None:
            identifier = str(dataset.get("PatientID") or "")
            element.value = identifier if identifier.startswith("P-") else self.patient(identifier)

    def result(self, result: StudyResult, study: Study) -> StudyResult:
        """The same result, telling nobody: headers, messages and candidates of ``study`` alike."""
        scrub = self._scrubber(study)
        if isinstance(result, ScoredStudy):
            scan = replace(result.scan, stack=self._stack(result.scan.stack, scrub))
            result = replace(result, scan=scan, model=_without_file_name(result.model))
        return replace(
            result,
            study_uid=str(self.uid(result.study_uid)),
            reasons=tuple(self._reason(reason, scrub) for reason in result.reasons),
            candidates=tuple(self._candidate(candidate, scrub) for candidate in result.candidates),
            chosen=self._chosen(result.chosen, scrub) if result.chosen else None,  # type: ignore[arg-type]
        )

    def _chosen(self, chosen: ChosenSeries, scrub: Callable[[str], str]) -> ChosenSeries:
        series = self._series(chosen.series, scrub)
        spacing_mm, slices = chosen.acquisition.slice_spacing_mm, chosen.acquisition.slices  # from the volume
        acquisition = replace(Acquisition.of(series), slice_spacing_mm=spacing_mm, slices=slices)
        return ChosenSeries(series, scrub(chosen.why), acquisition)

    def skipped(self, files: Iterable[SkippedFile]) -> list[SkippedFile]:
        """Files that could not be read, without their names."""
        return [
            SkippedFile(self.file(file.name), Reason(file.reason.code, _without(file.reason.message, {file.name})))
            for file in files
        ]

    def _scrubber(self, study: Study) -> Callable[[str], str]:
        """What takes every free text and file name of the study out of a message."""
        texts: set[str] = set()
        for series in study.series:
            for one in series.slices:
                header = one.header
                texts |= {header.study_uid, header.series_uid, one.sop_instance_uid, header.patient_id, str(one.source)}
                texts |= {header.study_description, header.series_description, header.protocol_name}
                texts |= {header.contrast_agent, str(one.source.path), str(one.source.path.parent)}
        return lambda message: _without(message, texts)

    def _reason(self, reason: Reason, scrub: Callable[[str], str]) -> Reason:
        message = reason.message.partition(", the first: ")[0]  # a file that lies beside the study's
        return Reason(reason.code, scrub(message))

    def _candidate(self, one: Candidate, scrub: Callable[[str], str]) -> Candidate:
        unfit = self._reason(one.unfit, scrub) if one.unfit else None
        stack = self._stack(one.stack, scrub) if one.stack else None
        return replace(one, series=self._series(one.series, scrub), why=scrub(one.why), stack=stack, unfit=unfit)

    def _series(self, series: Series, scrub: Callable[[str], str]) -> Series:
        notes = tuple(self._reason(note, scrub) for note in series.notes)
        return replace(series, slices=self._slices(series.slices), notes=notes)

    def _stack(self, stack: Stack, scrub: Callable[[str], str]) -> Stack:
        present = iter(self._slices(tuple(slice_ for slice_ in stack.slices if slice_ is not None)))
        slices = tuple(None if slice_ is None else next(present) for slice_ in stack.slices)
        return replace(stack, slices=slices, notes=tuple(self._reason(note, scrub) for note in stack.notes))

    def _slices(self, slices: tuple[Slice, ...]) -> tuple[Slice, ...]:
        headers = {header: self._header(header) for header in {slice_.header for slice_ in slices}}
        return tuple(self._slice(slice_, headers[slice_.header]) for slice_ in slices)

    def _slice(self, slice_: Slice, header: SeriesHeader) -> Slice:
        return replace(slice_, header=header, sop_instance_uid=str(self.uid(slice_.sop_instance_uid)))

    def _header(self, header: SeriesHeader) -> SeriesHeader:
        held = Dataset()
        for name, keyword in _HEADER_KEYWORDS.items():
            setattr(held, keyword, getattr(header, name))
        left = self.dataset(held)
        texts: dict[str, Any] = {name: str(left.get(keyword) or "") for name, keyword in _HEADER_KEYWORDS.items()}
        return replace(header, **texts)


_HOW = 'make one by: python -c "import secrets; print(secrets.token_hex())" > KEY, and keep it secret'


def _without_file_name(model: ModelInfo) -> ModelInfo:
    """A label file's name stands in its version."""
    return replace(model, version=model.digest[:12]) if model.name == "labels" else model


def _without(message: str, texts: set[str]) -> str:
    """The message with each of the texts taken out, the longest first."""
    for text in sorted((text for text in texts if len(text) > 2), key=len, reverse=True):
        message = message.replace(text, REMOVED)
    return message

"""Pseudonymised results: the basic profile of PS3.15 annex E, with pseudonyms from a secret key.

dicom-anonymizer's table of the standard says which attributes are removed. This module supplies the replacements: each
identifier becomes one derived from the key. All studies of a patient stay together, in this run and in later ones, and
nobody without the key can identify the patient. Dates, ages, descriptions and file names are removed.
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
from ctacal.dicom.files.source import SkippedFile
from ctacal.dicom.header import SeriesHeader, Slice, quiet_pydicom
from ctacal.dicom.series import Series, Study
from ctacal.dicom.stack import Stack
from ctacal.errors import Reason, UsageError
from ctacal.names import printable
from ctacal.prediction import ModelInfo
from ctacal.result import Acquisition, ChosenSeries, ScoredStudy, SecondScan, StudyResult

LEAST_KEY_BYTES = 16
"""Shortest key that is accepted, in bytes."""
METHOD = "PS3.15 basic profile, keyed pseudonyms, by ctacal"
REMOVED = "[removed]"
_TABLE = "dicomfields_2026c"

_HEADER_KEYWORDS = {
    "study_uid": "StudyInstanceUID", "series_uid": "SeriesInstanceUID", "frame_of_reference_uid": "FrameOfReferenceUID",
    "patient_id": "PatientID", "patient_sex": "PatientSex", "patient_age": "PatientAge", "study_date": "StudyDate",
    "study_description": "StudyDescription", "series_description": "SeriesDescription",
    "protocol_name": "ProtocolName", "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName", "kernel": "ConvolutionKernel", "scan_options": "ScanOptions",
    "patient_name": "PatientName", "patient_birth_date": "PatientBirthDate", "study_time": "StudyTime",
    "series_date": "SeriesDate", "series_time": "SeriesTime", "device_serial_number": "DeviceSerialNumber",
}  # fmt: skip
"""Fields of ``SeriesHeader`` that may identify a person, with their DICOM keywords."""


@dataclass(frozen=True, slots=True)
class Pseudonymiser:
    """Replaces identifiers by pseudonyms derived from ``key``."""

    key: bytes

    @classmethod
    def from_file(cls, path: Path) -> "Pseudonymiser":
        """Read the key from a file; raises ``UsageError`` if it is no usable key, or dicom-anonymizer is missing."""
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
        """Return a UID under 2.25 (PS3.5 annex B.2); empty stays empty."""
        return UID(f"2.25.{int(self._digest('uid', original)[:32], 16)}" if original else "")

    def patient(self, original: str) -> str:
        """Return a pseudonym for a patient ID; empty stays empty.

        >>> Pseudonymiser(b"0123456789abcdef").patient("4711")
        'P-84A7E3072DF4'
        """
        return f"P-{self._digest('patient', original)[:12].upper()}" if original else ""

    def digest(self, original: str) -> str:
        """Return a digest that only the owner of the key can compare with the original."""
        return self._digest("digest", original)

    def file(self, original: str) -> str:
        """Return a pseudonym for the name of a file."""
        return f"file-{self._digest('file', original)[:12]}"

    def _digest(self, kind: str, original: str) -> str:
        return hmac.new(self.key, f"{kind}:{original}".encode(), hashlib.sha256).hexdigest()

    def dataset(self, original: Dataset) -> Dataset:
        """Return the attributes that the basic profile keeps, with identifiers replaced."""
        from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions, replace_UID

        actions = initialize_actions(_TABLE)
        rules: dict[Any, Any] = {tag: self._replace_uid for tag, do in actions.items() if do is replace_UID}
        rules |= {(0x0010, 0x0010): self._replace_name, (0x0010, 0x0020): self._replace_id}
        left = Dataset({element.tag: element for element in original})
        anonymize_dataset(left, rules, base_rules_gen=lambda: dict(actions))
        for element in list(left):
            if element.VR in ("DA", "TM", "DT", "AS"):  # the library writes year 1 for a removed date
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
        """Replace the name by the pseudonym of the ID, which the library replaces later."""
        if (element := dataset.get(tag)) is not None:
            identifier = str(dataset.get("PatientID") or "")
            element.value = identifier if identifier.startswith("P-") else self.patient(identifier)

    def result(self, result: StudyResult, study: Study) -> StudyResult:
        """Return the result without identifiers, in its headers, messages and candidates."""
        scrub = self._scrubber(study)
        changed: dict[str, Any] = {
            "study_uid": str(self.uid(result.study_uid)),
            "reasons": tuple(self._reason(reason, scrub) for reason in result.reasons),
            "candidates": tuple(self._candidate(candidate, scrub) for candidate in result.candidates),
        }
        if result.chosen:
            changed["chosen"] = self._chosen(result.chosen, scrub)
        if isinstance(result, ScoredStudy):
            changed["scan"] = replace(result.scan, stack=self._stack(result.scan.stack, scrub))
            changed["model"] = _without_file_name(result.model)
            changed["second_scan"] = self._second(result.second_scan, scrub) if result.second_scan else None
        return replace(result, **changed)

    def _second(self, second: SecondScan, scrub: Callable[[str], str]) -> SecondScan:
        return replace(
            second,
            series_uid=str(self.uid(second.series_uid)),
            series_description="",
            refused=self._reason(second.refused, scrub) if second.refused else None,
        )

    def _chosen(self, chosen: ChosenSeries, scrub: Callable[[str], str]) -> ChosenSeries:
        series = self._series(chosen.series, scrub)
        read = chosen.acquisition
        acquisition = replace(
            Acquisition.of(series),
            slice_spacing_mm=read.slice_spacing_mm,  # this and the others from the volume
            slices=read.slices,
            scored_slices=read.scored_slices,
        )
        return ChosenSeries(series, scrub(chosen.why), acquisition)

    def skipped(self, files: Iterable[SkippedFile]) -> list[SkippedFile]:
        """Return the files that could not be read, without their names."""
        return [
            SkippedFile(self.file(file.name), Reason(file.reason.code, _without(file.reason.message, {file.name})))
            for file in files
        ]

    def _scrubber(self, study: Study) -> Callable[[str], str]:
        """Return a function that removes every free text and file name of the study from a message."""
        texts: set[str] = set()
        for series in study.series:
            for image in series.slices:
                header, source = image.header, image.source
                texts |= {header.study_uid, header.series_uid, image.sop_instance_uid, header.patient_id, str(source)}
                texts |= {header.study_description, header.series_description, header.protocol_name}
                texts |= {header.derivation, header.request, *header.request.split(" | ")}
                texts |= {text for agent in header.contrast for text in (agent.name, agent.route, *agent.contents)}
                texts |= {header.patient_name, header.device_serial_number, *image.faults}
                texts |= {source.folder, printable(source.path), printable(source.path.parent)}
        return lambda message: _without(message, texts)

    def _reason(self, reason: Reason, scrub: Callable[[str], str]) -> Reason:
        message = reason.message.partition(", the first: ")[0]  # the name of a file that is not of the study
        return Reason(reason.code, scrub(message))

    def _candidate(self, candidate: Candidate, scrub: Callable[[str], str]) -> Candidate:
        return replace(
            candidate,
            series=self._series(candidate.series, scrub),
            why=scrub(candidate.why),
            stack=self._stack(candidate.stack, scrub) if candidate.stack else None,
            unfit=self._reason(candidate.unfit, scrub) if candidate.unfit else None,
        )

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
        """Return the image without times, and without words about its faults, which may quote the header."""
        sop_instance_uid = str(self.uid(slice_.sop_instance_uid))
        return replace(
            slice_, header=header, sop_instance_uid=sop_instance_uid, acquired_at="", content_time="",
            concatenation=None, faults=(),
        )  # fmt: skip

    def _header(self, header: SeriesHeader) -> SeriesHeader:
        held = Dataset()
        with quiet_pydicom():  # a warning would quote the odd value
            for name, keyword in _HEADER_KEYWORDS.items():
                setattr(held, keyword, getattr(header, name))
            left = self.dataset(held)
        texts: dict[str, Any] = {name: str(left.get(keyword) or "") for name, keyword in _HEADER_KEYWORDS.items()}
        return replace(header, **texts, contrast=(), request="", derivation="")


_HOW = 'make a key with: python -c "import secrets; print(secrets.token_hex())" > KEY, and keep it secret'


def _without_file_name(model: ModelInfo) -> ModelInfo:
    """Replace the version of a label file, which is its name."""
    return replace(model, version=model.digest[:12]) if model.name == "labels" else model


def _without(message: str, texts: set[str]) -> str:
    """Return the message without the texts; the longest are removed first."""
    for text in sorted((text for text in texts if len(text) > 2), key=len, reverse=True):
        message = message.replace(text, REMOVED)
    return message

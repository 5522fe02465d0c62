"""What the DICOM objects of one result share: the images that they refer to, and their UIDs.

All UIDs are derived from the scan's UIDs, the model's digest, the rule and the numbers. The same study scored twice
gives the same objects; if anything differs, the objects have other UIDs.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID

from ctacal import __version__
from ctacal.arrays import Bytes
from ctacal.dicom.objects.origin import (
    cleaned,
    derived_uid,
    has_frames,
    read_patient_and_study,
    source_images,
    study_header,
)
from ctacal.dicom.objects.seg_writer import Positions
from ctacal.dicom.series import Series
from ctacal.dicom.stack import Stack
from ctacal.errors import Code, Refusal
from ctacal.labels import LabelMap
from ctacal.result import ScoredStudy, StudyResult
from ctacal.result_json import result_json
from ctacal.volume import reoriented_view

SOFTWARE = f"ctacal {__version__}"

_NOT_IDENTIFYING = (
    "timing_s", "software", "uncertainty_rule", "input_digest", "settings_digest", "patient", "percentile",
)  # fmt: skip
"""Keys of result.json that belong to the run or to the patient, or are determined by the model's digest."""

_FIRST_SCHEMA = "1.0"
"""Schema version in the digest; it stays, so that a new key in result.json does not change the UIDs of a study."""


@dataclass(frozen=True, eq=False)
class StudyFiling:
    """A study's result, scored or refused, and what its headers say: enough for objects that refer to no image."""

    result: StudyResult
    about: Dataset
    """Patient and study, cleaned."""
    identity: str

    @classmethod
    def of(cls, result: StudyResult, about: Dataset | None = None) -> Self:
        """Read the first image's header; ``about`` replaces patient and study.

        Raises ``Refusal``, also if the images seem to show several patients.
        """
        series = named_series(result)
        if any(reason.code is Code.MIXED_PATIENTS for reason in result.reasons):
            raise Refusal(Code.OUTPUT_NOT_WRITTEN, "nobody knows which of the patients it would have to be filed with")
        about = cleaned(read_patient_and_study(series.slices[0])) if about is None else about
        return cls(result, about, _identity(result, series))

    @cached_property
    def study(self) -> Dataset:
        """Patient and study, for an object that refers to no image. Raises ``Refusal`` if its UID is invalid."""
        return study_header(named_series(self.result).slices[0], self.about)

    def uid(self, *what: str) -> UID:
        """Return the UID of a part of this result, always the same."""
        return derived_uid(self.identity, *what)


def named_series(result: StudyResult) -> Series:
    """Return the series whose first image names the patient: the chosen one, or else the likeliest CTAC.

    Raises ``Refusal`` if none was ranked, as in a study of several patients.
    """
    ranked = [candidate.series for candidate in result.candidates]
    series = [result.chosen.series] if result.chosen else ranked
    if not series:
        raise Refusal(Code.OUTPUT_NOT_WRITTEN, "no series was chosen, so no header names the patient")
    return series[0]


@dataclass(frozen=True, eq=False)
class Filing(StudyFiling):
    """A scored study, and what its scan's headers say."""

    result: ScoredStudy

    @property
    def stack(self) -> Stack:
        """The scan's images, from feet to head."""
        return self.result.scan.stack

    @cached_property
    def images(self) -> tuple[Dataset, ...]:
        """The scan's images as datasets without pixels: one per slice, from feet to head, or the one multi-frame image.

        Raises ``Refusal`` if no object can refer to them.
        """
        series = self.result.chosen.series
        slices = series.slices if has_frames(series.slices) else [image for image in self.stack.slices if image]
        others = [image for candidate in self.result.candidates for image in candidate.series.slices]
        return tuple(source_images(slices, self.about, others))

    @property
    def first(self) -> Dataset:
        """The image that gives SEG and SR their patient and study. Raises ``Refusal`` as ``images``."""
        return self.images[0]

    def tracking_uid(self, label: str) -> UID:
        """Return the UID that links a label's segment to its measurements."""
        return self.uid("tracking", label)

    def on_the_images(self, labels: LabelMap) -> tuple[Bytes, Positions]:
        """Return a view of a label map in the images' orientation, (planes, rows, columns), and their positions."""
        directions = (self.stack.geometry.affine[:3, :3] / np.linalg.norm(self.stack.geometry.affine[:3, :3], axis=0)).T
        array, geometry = reoriented_view(labels.labels, labels.geometry, directions)
        positions = np.array([geometry.to_patient_mm((k, 0, 0)) for k in range(len(array))])
        if not self.stack.tilted:
            for k, image in enumerate(self.stack.slices):
                if image is not None and image.position_mm is not None:
                    positions[k] = image.position_mm
        return array, positions


def _identity(result: StudyResult, series: Series) -> str:
    """Return a digest of everything that the objects' content depends on."""
    content: dict[str, Any] = result_json(result)
    for name in _NOT_IDENTIFYING:
        content.pop(name)
    content["schema_version"] = _FIRST_SCHEMA
    content["instances"] = sorted({image.sop_instance_uid for image in series.slices})
    content["software"] = SOFTWARE
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

"""What the DICOM objects of one result share: the images they refer to, and who they are.

All identifiers follow from the scan's own, the model's digest, the rule and the numbers: the same study scored twice
gives the same objects, and whatever differs is another object.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from ctacal import __version__
from ctacal.dicom.origin import cleaned, derived_uid, read_patient_and_study, source_images
from ctacal.dicom.seg_writer import Positions
from ctacal.dicom.series import Series
from ctacal.dicom.stack import Stack
from ctacal.labels import LabelMap
from ctacal.result import ScoredStudy
from ctacal.result_json import result_json
from ctacal.volume import reoriented

SOFTWARE = f"ctacal {__version__}"
SERIES_NUMBERS = {"seg": 7001, "sr": 7002, "dicompdf": 7003, "sc": 7004, "labelmap": 7005}
"""High, so that the objects are listed below the scanner's own series."""


_NOT_IDENTIFYING = ("timing_s", "software", "uncertainty_rule", "input_digest", "settings_digest")
"""Parts of result.json that belong to the run, or follow from the model's digest."""

_FIRST_SCHEMA = "1.0"
"""Stays in the digest, so that an addition to result.json gives the same study no other identifiers."""


@dataclass(frozen=True, eq=False, slots=True)
class Filing:
    """A scored result with its scan's images as datasets without pixels."""

    result: ScoredStudy
    stack: Stack
    images: tuple[Dataset, ...]
    """One a slice, from feet to head, or the one multi-frame image."""
    identity: str

    @classmethod
    def of(cls, result: ScoredStudy, about: Dataset | None = None) -> "Filing":
        """Read the headers that the objects need, or take ``about`` for patient and study.

        Raises ``Refusal`` where no valid object can be made of them.
        """
        series, stack = result.chosen.series, result.scan.stack
        multi_frame = any(one.frame for one in series.slices)
        slices = series.slices if multi_frame else [one for one in stack.slices if one]
        about = cleaned(read_patient_and_study(slices[0])) if about is None else about
        return cls(result, stack, tuple(source_images(slices, about)), _identity(result, series))

    @property
    def first(self) -> Dataset:
        """The image that patient and study are taken from."""
        return self.images[0]

    def uid(self, *what: str) -> UID:
        """The identifier of a part of this result, always the same."""
        return derived_uid(self.identity, *what)

    def tracking_uid(self, label: str) -> UID:
        """What ties a label's segment to its measurements."""
        return self.uid("tracking", label)

    def on_the_images(self, labels: LabelMap) -> tuple[NDArray[np.uint8], Positions]:
        """A label map as the images lie: (planes, rows, columns), and each plane's Image Position (Patient)."""
        directions = (self.stack.geometry.affine[:3, :3] / np.linalg.norm(self.stack.geometry.affine[:3, :3], axis=0)).T
        array, geometry = reoriented(labels.labels, labels.geometry, directions)
        positions = np.array([geometry.to_patient_mm((k, 0, 0)) for k in range(len(array))])
        if not self.stack.tilted:
            for k, one in enumerate(self.stack.slices):
                if one is not None and one.position_mm is not None:
                    positions[k] = one.position_mm
        return array, positions


def _identity(result: ScoredStudy, series: Series) -> str:
    """A digest of whatever the objects' content depends on."""
    content: dict[str, Any] = result_json(result)
    for name in _NOT_IDENTIFYING:
        content.pop(name)
    content["schema_version"] = _FIRST_SCHEMA
    content["instances"] = sorted({image.sop_instance_uid for image in series.slices})
    content["software"] = SOFTWARE
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

"""DICOM SEG -> masks: each frame with its own position in the patient, so that sparse and shuffled SEGs read alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pixel_array

from ctacal.dicom.files.source import Source, looks_like_dicom
from ctacal.dicom.header import MAX_FRAME_PIXELS, READING_ERRORS, quiet_pydicom
from ctacal.dicom.pixel_data.pixels import frame_of, is_encapsulated
from ctacal.errors import Refusal
from ctacal.geometry import Geometry
from ctacal.volume import MAX_VOXELS

SEG_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
}


@dataclass(frozen=True, eq=False, slots=True)
class SegmentFrame:
    """A plane of a segment: a (1, rows, columns) mask on its own grid."""

    mask: NDArray[np.bool_]
    geometry: Geometry


@dataclass(frozen=True, eq=False, slots=True)
class Segment:
    """A segment (PS3.3 C.8.20.4): its number, name, code and planes."""

    number: int
    name: str
    anatomic_code: str
    """Code value of its anatomic region, empty if it has none."""
    frames: tuple[SegmentFrame, ...]


@dataclass(frozen=True, eq=False, slots=True)
class SegmentationImage:
    """A whole SEG instance."""

    name: str
    segments: tuple[Segment, ...]
    slice_spacing_mm: float | None = None
    """SpacingBetweenSlices (PS3.3 C.7.6.16.2.1); None if the SEG does not tell it."""


def is_dicom(path: Path) -> bool:
    """Whether the file holds DICOM, by content."""
    with Source(path).open() as file:
        return looks_like_dicom(file)


def read_segmentation(path: Path) -> SegmentationImage:
    """Read a binary or label-map SEG; raises ``ValueError`` if the file is not a SEG or cannot be read."""
    try:
        with quiet_pydicom(), Source(path).open() as file:
            image = dcmread(file, force=True)
            return _segmentation(image, str(path))
    except (Refusal, *READING_ERRORS) as problem:
        raise ValueError(f"{path}: {problem}") from problem


def referenced_series_uid(path: Path) -> str | None:
    """Return the SeriesInstanceUID that a SEG was drawn on (PS3.3 C.12.4); None if it is no SEG or names no series."""
    if not is_dicom(path):
        return None
    try:
        with quiet_pydicom(), Source(path).open() as file:
            image = dcmread(file, force=True, stop_before_pixels=True, specific_tags=["ReferencedSeriesSequence"])
        references = image.get("ReferencedSeriesSequence") or []
        return str(references[0].SeriesInstanceUID) if references else None
    except READING_ERRORS:
        return None  # reading the segments will report what is wrong


def _segmentation(image: Dataset, name: str) -> SegmentationImage:
    if image.get("SOPClassUID") not in SEG_SOP_CLASSES:
        raise ValueError(f"a DICOM file of class {image.get('SOPClassUID')}, not a segmentation")
    frames = int(image.get("NumberOfFrames", 1))
    if image.Rows * image.Columns > MAX_FRAME_PIXELS or frames * image.Rows * image.Columns > MAX_VOXELS:
        raise ValueError(f"claims {frames} frames of {image.Rows} x {image.Columns} pixels")
    if image.get("SegmentationType") == "FRACTIONAL":
        raise ValueError("a fractional segmentation; give a binary or label-map one")
    if is_encapsulated(image):
        pixels = np.stack([frame_of(image, index).words for index in range(frames)])
    else:
        pixels = np.asarray(pixel_array(image, raw=True)).reshape(frames, image.Rows, image.Columns)
    planes = [_plane(image, index) for index in range(frames)]
    segments = []
    for described in image.SegmentSequence:
        number = int(described.get("SegmentNumber", 0))
        if number == 0:  # a label map may describe its background
            continue
        masks = (_mask(image, pixels, index, number) for index in range(frames))
        held = tuple(SegmentFrame(mask, plane) for mask, plane in zip(masks, planes, strict=True) if mask.any())
        segments.append(Segment(number, str(described.get("SegmentLabel", "")), _anatomic_code(described), held))
    spacing = _macro(image, 0, "PixelMeasuresSequence").get("SpacingBetweenSlices")
    return SegmentationImage(name, tuple(segments), float(spacing) if spacing else None)


def _mask(image: Dataset, pixels: NDArray[Any], index: int, number: int) -> NDArray[np.bool_]:
    if image.get("SegmentationType") == "LABELMAP":
        return np.asarray(pixels[index][None] == number)
    belongs = _macro(image, index, "SegmentIdentificationSequence").ReferencedSegmentNumber == number
    return np.asarray((pixels[index][None] != 0) & belongs)


def _plane(image: Dataset, index: int) -> Geometry:
    position = _macro(image, index, "PlanePositionSequence").ImagePositionPatient
    across, down = np.reshape(_macro(image, index, "PlaneOrientationSequence").ImageOrientationPatient, (2, 3)).astype(
        float
    )
    row_mm, column_mm = (float(mm) for mm in _macro(image, index, "PixelMeasuresSequence").PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([np.cross(across, down), down * row_mm, across * column_mm])
    affine[:3, 3] = [float(mm) for mm in position]
    return Geometry((1, int(image.Rows), int(image.Columns)), affine)


def _macro(image: Dataset, index: int, keyword: str) -> Dataset:
    """Return a functional group of a frame, its own or the shared group (PS3.3 C.7.6.16)."""
    for level in (image.PerFrameFunctionalGroupsSequence[index], image.SharedFunctionalGroupsSequence[0]):
        if level.get(keyword):
            macro: Dataset = level[keyword].value[0]
            return macro
    raise ValueError(f"frame {index + 1} has no {keyword}")


def _anatomic_code(described: Dataset) -> str:
    """Return the SNOMED CT code of the anatomic region, else of the property type (some tools put the vessel there)."""
    for keyword in ("AnatomicRegionSequence", "SegmentedPropertyTypeCodeSequence"):
        for code in described.get(keyword) or []:
            if code.get("CodingSchemeDesignator") in ("SCT", "SRT") and keyword == "AnatomicRegionSequence":
                return str(code.get("CodeValue"))
            if code.get("CodingSchemeDesignator") == "SCT":
                return str(code.get("CodeValue"))
    return ""

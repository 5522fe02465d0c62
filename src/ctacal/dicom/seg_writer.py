"""``write_segmentation``: masks as a binary DICOM SEG of the series they were drawn on (PS3.3 A.51)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SegmentationStorage, generate_uid

from ctacal.atomic import whole_file

_OF_THE_STUDY = (
    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber",
    "ReferringPhysicianName", "FrameOfReferenceUID", "PositionReferenceIndicator", "Manufacturer",
    "ManufacturerModelName", "ContentDate", "ImageComments",
)  # fmt: skip
"""Attributes that a SEG takes over from the series it was drawn on."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A SNOMED CT code with its meaning."""

    code: str
    meaning: str

    def dataset(self) -> Dataset:
        """As an item of a code sequence (PS3.3 8.8)."""
        return _dataset(CodeValue=self.code, CodingSchemeDesignator="SCT", CodeMeaning=self.meaning)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class DrawnSegment:
    """A mask and what it is."""

    name: str
    category: Concept
    kind: Concept
    region: Concept | None = None
    """Where it lies."""
    mask: NDArray[np.bool_]
    """(slices, rows, columns)."""


def write_segmentation(
    path: Path,
    segments: Sequence[DrawnSegment],
    images: Sequence[Dataset],
    *,
    name: str,
    description: str,
    series_number: int = 100,
    version: str,
) -> None:
    """Write the segments; ``images`` are the headers of the series' slices, in the masks' order.

    Slices without a mask get no frame; where no mask holds a voxel, one empty frame is written, since a SEG needs one.
    The file appears whole or not at all. The same arguments give the same bytes. Raises ``ValueError`` where there is
    no segment, or the masks do not have the images' shape.
    """
    shape = (len(images), images[0].Rows, images[0].Columns)
    if not segments or any(segment.mask.shape != shape for segment in segments):
        raise ValueError(f"expected masks of shape {shape}, got {[segment.mask.shape for segment in segments]}")
    frames = [
        (n, k) for n, segment in enumerate(segments) for k in np.flatnonzero(segment.mask.any(axis=(1, 2))).tolist()
    ]
    frames = frames or [(0, 0)]
    pixels = _packed(np.stack([segments[n].mask[k] for n, k in frames]))
    image = _common(images[0], hashlib.sha256(pixels).hexdigest(), len(frames))
    image.SeriesNumber, image.SeriesDescription = series_number, description
    image.ContentLabel, image.ContentDescription = name, description
    image.SoftwareVersions = version
    image.SegmentSequence = [_described(segment, n + 1, version) for n, segment in enumerate(segments)]
    image.SharedFunctionalGroupsSequence = [_shared(images[:2])]
    image.PerFrameFunctionalGroupsSequence = [_of_frame(images[k], n + 1, k + 1) for n, k in frames]
    image.ReferencedSeriesSequence = [_reference(images)]
    image.PixelData = pixels
    image["PixelData"].VR = "OB"
    with whole_file(path) as temporary:
        image.save_as(temporary, enforce_file_format=True)


def _dataset(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def _packed(masks: NDArray[np.bool_]) -> bytes:
    """One bit a pixel, frames without a gap, the first pixel in the lowest bit (PS3.5 8.1.1)."""
    packed = np.packbits(masks.ravel(), bitorder="little").tobytes()
    return packed + b"\0" * (len(packed) % 2)


def _uid(source: Dataset, content: str, what: str) -> UID:
    return generate_uid(entropy_srcs=["ctacal.segmentation", str(source.SeriesInstanceUID), content, what])


def _common(source: Dataset, content: str, frames: int) -> Dataset:
    """All but segments, frames and pixels; ``content`` tells SEGs of one series apart."""
    image = _dataset(**{keyword: source[keyword].value for keyword in _OF_THE_STUDY if keyword in source})
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = SegmentationStorage, _uid(source, content, "instance")
    image.SeriesInstanceUID, image.Modality, image.InstanceNumber = _uid(source, content, "series"), "SEG", 1
    image.SeriesDate = image.ContentDate = source.get("ContentDate", "")
    image.SeriesTime = image.ContentTime = source.get("StudyTime", "")
    image.DeviceSerialNumber, image.ContentCreatorName, image.PatientOrientation = "0", "", []
    image.ImageType, image.LossyImageCompression = ["DERIVED", "PRIMARY"], "00"
    image.SegmentationType, image.SegmentsOverlap = "BINARY", "NO"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns, image.NumberOfFrames = source.Rows, source.Columns, frames
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 1, 1, 0, 0
    organization = _uid(source, content, "dimensions")
    image.DimensionOrganizationSequence = [_dataset(DimensionOrganizationUID=organization)]
    image.DimensionIndexSequence = [
        _dataset(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=group,
            DimensionDescriptionLabel=label,
        )
        for pointer, group, label in (
            (0x0062000B, 0x0062000A, "ReferencedSegmentNumber"),
            (0x00200032, 0x00209113, "ImagePositionPatient"),
        )
    ]
    return image


def _described(segment: DrawnSegment, number: int, version: str) -> Dataset:
    """An item of the Segment Sequence (PS3.3 C.8.20.4)."""
    described = _dataset(
        SegmentNumber=number,
        SegmentLabel=segment.name,
        SegmentAlgorithmType="AUTOMATIC",
        SegmentAlgorithmName=f"ctacal {version}",
        SegmentedPropertyCategoryCodeSequence=[segment.category.dataset()],
        SegmentedPropertyTypeCodeSequence=[segment.kind.dataset()],
    )
    if segment.region:
        described.AnatomicRegionSequence = [segment.region.dataset()]
    return described


def _shared(first: Sequence[Dataset]) -> Dataset:
    measures = _dataset(SliceThickness=first[0].SliceThickness, PixelSpacing=list(first[0].PixelSpacing))
    if len(first) > 1:
        gap = np.subtract(*(np.array(image.ImagePositionPatient, float) for image in first))
        measures.SpacingBetweenSlices = round(float(np.linalg.norm(gap)), 6)
    orientation = _dataset(ImageOrientationPatient=list(first[0].ImageOrientationPatient))
    return _dataset(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])


def _of_frame(image: Dataset, segment: int, position: int) -> Dataset:
    """Segment, place and source of one frame; ``position`` counts the slices from 1."""
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    source = _instance(image)
    source.PurposeOfReferenceCodeSequence, source.SpatialLocationsPreserved = [purpose], "YES"
    derivation = Dataset()
    derivation.CodeValue, derivation.CodingSchemeDesignator, derivation.CodeMeaning = "113076", "DCM", "Segmentation"
    return _dataset(
        FrameContentSequence=[_dataset(DimensionIndexValues=[segment, position])],
        PlanePositionSequence=[_dataset(ImagePositionPatient=list(image.ImagePositionPatient))],
        SegmentIdentificationSequence=[_dataset(ReferencedSegmentNumber=segment)],
        DerivationImageSequence=[_dataset(SourceImageSequence=[source], DerivationCodeSequence=[derivation])],
    )


def _instance(image: Dataset) -> Dataset:
    return _dataset(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)


def _reference(images: Sequence[Dataset]) -> Dataset:
    """The series (PS3.3 C.12.4)."""
    instances = [_instance(image) for image in images]
    return _dataset(SeriesInstanceUID=images[0].SeriesInstanceUID, ReferencedInstanceSequence=instances)

"""``write_segmentation``: write labels as a DICOM SEG of the images that they were drawn on (PS3.3 A.51 and C.8.20).

highdicom makes the objects. It is imported when the first object is made, because that takes half a second.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydicom import Dataset

from ctacal.arrays import Bytes, Floats
from ctacal.atomic import whole_file
from ctacal.dicom.objects.codes import Concept
from ctacal.dicom.objects.origin import decimals, derived_uid, finish

if TYPE_CHECKING:
    from highdicom import PixelMeasuresSequence, PlanePositionSequence
    from highdicom.seg import SegmentDescription

Positions = Floats
"""(planes, 3): Image Position (Patient) of each plane, mm."""

Kind = Literal["BINARY", "LABELMAP"]

_SAME_PLACE_MM = 1e-3
"""Largest distance at which a plane and an image are in the same place, mm; highdicom uses the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOf:
    """What a segment shows."""

    name: str
    category: Concept
    kind: Concept
    region: Concept | None = None
    """Anatomic region."""
    tracking_uid: str = ""
    """Shared with the SR that holds the segment's measurements; empty if the segment is not tracked."""
    colour: tuple[int, int, int] | None = None
    """RGB colour in which viewers should draw the segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """What drew the segments, and how the object is filed."""

    algorithm: str
    version: str
    family: Concept
    """Family of the algorithm (CID 7162)."""
    how: Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"] = "AUTOMATIC"
    """Segment Algorithm Type (PS3.3 C.8.20.2): by the program alone, by a person from its answer, by a person alone."""
    creator: str = ""
    """The person; empty if none had a part in it."""
    name: str = "CALCIUM"
    description: str
    series_number: int = 100
    software: str
    identity: str = ""
    """Anything else that distinguishes this object from others with the same labels on the same images."""


def segmentation(
    labels: Bytes,
    segments: Sequence[SegmentOf],
    images: Sequence[Dataset],
    maker: Maker,
    *,
    positions: Positions | None = None,
    kind: Kind = "BINARY",
) -> Dataset:
    """Return the SEG of ``labels``, (planes, rows, columns): value n is the nth segment, 0 is background.

    ``images`` are the headers of the planes' images in the same order, or the one multi-frame image. ``positions`` are
    the planes' positions if they differ from the images'. Planes without a label get no frame; if no voxel has a label,
    one empty frame is written, because a SEG needs one. The same arguments give the same bytes. Raises ``ValueError``
    if there is no segment, a label has no segment, or the labels do not have the images' shape.
    """
    first = images[0]
    positions = _positions(images) if positions is None else positions
    shape = (len(positions), first.Rows, first.Columns)
    if not segments or labels.shape != shape or labels.max() > len(segments):
        raise ValueError(f"expected labels 0..{len(segments)} of shape {shape}, got {labels.max()} {labels.shape}")
    image = _by_highdicom(labels, segments, images, maker, positions, kind)
    _always_alike(image, positions)
    _refer_to_sources(image, images)
    finish(image, first)
    return image


def _by_highdicom(
    labels: Bytes,
    segments: Sequence[SegmentOf],
    images: Sequence[Dataset],
    maker: Maker,
    positions: Positions,
    kind: Kind,
) -> Dataset:
    from highdicom.seg import Segmentation

    planes = np.flatnonzero(labels.any(axis=(1, 2))).tolist() or [0]
    digest = hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest()
    identity = derived_uid(images[0].SeriesInstanceUID, maker.identity, kind, maker.description, digest)
    return Segmentation(
        source_images=list(images),
        pixel_array=labels[planes],
        segmentation_type=kind,
        segment_descriptions=[_description(segment, n, maker) for n, segment in enumerate(segments, 1)],
        series_instance_uid=derived_uid("series", identity),
        series_number=maker.series_number,
        sop_instance_uid=derived_uid("instance", identity),
        instance_number=1,
        manufacturer="ctacal",
        manufacturer_model_name="ctacal",
        software_versions=maker.software,
        device_serial_number="0",
        content_label=maker.name,
        content_description=maker.description,
        content_creator_name=maker.creator or None,
        series_description=maker.description,
        pixel_measures=_measures(images[0], positions),
        plane_positions=[_place(positions[plane]) for plane in planes],
        omit_empty_frames=False,
    )


def write_segmentation(
    path: Path,
    labels: Bytes,
    segments: Sequence[SegmentOf],
    images: Sequence[Dataset],
    maker: Maker,
    *,
    kind: Kind = "BINARY",
) -> Dataset:
    """Write what ``segmentation`` returns for the same arguments; the file appears whole or not at all."""
    image = segmentation(labels, segments, images, maker, kind=kind)
    save(image, path)
    return image


def save(image: Dataset, path: Path) -> None:
    """Write a DICOM file whole or not at all."""
    with whole_file(path) as temporary:
        image.save_as(temporary, enforce_file_format=True)


def _positions(images: Sequence[Dataset]) -> Positions:
    if "PerFrameFunctionalGroupsSequence" in images[0]:
        places = [group.PlanePositionSequence[0] for group in images[0].PerFrameFunctionalGroupsSequence]
    else:
        places = list(images)
    return np.array([place.ImagePositionPatient for place in places], np.float64)


def _place(position_mm: Floats) -> "PlanePositionSequence":
    from highdicom import PlanePositionSequence

    return PlanePositionSequence("PATIENT", list(decimals(position_mm.tolist())))


def _measures(first: Dataset, positions: Positions) -> "PixelMeasuresSequence":
    from highdicom import PixelMeasuresSequence

    groups = first.get("SharedFunctionalGroupsSequence")
    measures = groups[0].PixelMeasuresSequence[0] if groups else first
    return PixelMeasuresSequence(
        pixel_spacing=[float(mm) for mm in measures.PixelSpacing],
        slice_thickness=float(measures.SliceThickness),
        spacing_between_slices=_spacing_mm(positions),
    )


def _spacing_mm(positions: Positions) -> float | None:
    """Return the distance between the first two planes; None if there is only one."""
    return round(float(np.linalg.norm(positions[1] - positions[0])), 6) if len(positions) > 1 else None


def _always_alike(image: Dataset, positions: Positions) -> None:
    """Give every SEG the same elements; highdicom writes some of them only for certain sets of frames.

    It omits Spacing Between Slices if a plane without a label is left out, and moves the number of an only segment from
    the frames, where all viewers look for it, to the shared groups.
    """
    image.pop("DimensionOrganizationType", None)
    shared = image.SharedFunctionalGroupsSequence[0]
    spacing_mm = _spacing_mm(positions)
    if spacing_mm is not None:
        shared.PixelMeasuresSequence[0].SpacingBetweenSlices = next(decimals([spacing_mm]))
    if "SegmentIdentificationSequence" in shared:
        for frame in image.PerFrameFunctionalGroupsSequence:
            frame.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
        del shared.SegmentIdentificationSequence


def _refer_to_sources(image: Dataset, images: Sequence[Dataset]) -> None:
    """Refer each frame to the image in its plane; highdicom refers to none if one plane has no image.

    A plane has no image if a missing slice was interpolated. An image in the same plane may lie aside, if a gantry tilt
    was removed by resampling.
    """
    frames = image.PerFrameFunctionalGroupsSequence
    if any(frame.DerivationImageSequence for frame in frames):
        return
    places_mm, normal = _positions(images), _normal(images[0])
    for frame in frames:
        offsets_mm = places_mm - np.array(frame.PlanePositionSequence[0].ImagePositionPatient, np.float64)
        heights_mm = np.abs(offsets_mm @ normal)
        nearest = int(heights_mm.argmin())
        if heights_mm[nearest] < _SAME_PLACE_MM:
            aside = bool(np.linalg.norm(offsets_mm[nearest]) >= _SAME_PLACE_MM)
            frame.DerivationImageSequence = [_derivation(images, nearest, aside=aside)]


def _normal(image: Dataset) -> Floats:
    """Return the direction across the image's plane."""
    groups = image.get("SharedFunctionalGroupsSequence")
    place = groups[0].PlaneOrientationSequence[0] if groups else image
    row, column = np.array(place.ImageOrientationPatient, np.float64).reshape(2, 3)
    return np.cross(row, column)


def _derivation(images: Sequence[Dataset], index: int, *, aside: bool) -> Dataset:
    """Return an item of the Derivation Image Sequence that refers to the image, or frame, of this index."""
    from highdicom.sr import CodedConcept

    multi_frame = "PerFrameFunctionalGroupsSequence" in images[0]
    source, derivation = Dataset(), Dataset()
    image = images[0 if multi_frame else index]
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    if multi_frame:
        source.ReferencedFrameNumber = index + 1
    source.SpatialLocationsPreserved = "NO" if aside else "YES"
    source.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(_PROCESSED.coded())]
    derivation.DerivationCodeSequence = [CodedConcept.from_code(_SEGMENTATION.coded())]
    derivation.SourceImageSequence = [source]
    return derivation


_PROCESSED = Concept("121322", "Source image for image processing operation", "DCM")
_SEGMENTATION = Concept("113076", "Segmentation", "DCM")


def _description(segment: SegmentOf, number: int, maker: Maker) -> "SegmentDescription":
    """Return an item of the Segment Sequence (PS3.3 C.8.20.4)."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    algorithm = AlgorithmIdentificationSequence(
        name=maker.algorithm, family=maker.family.coded(), version=maker.version
    )
    return SegmentDescription(
        segment_number=number,
        segment_label=segment.name,
        segmented_property_category=segment.category.coded(),
        segmented_property_type=segment.kind.coded(),
        algorithm_type=maker.how,
        algorithm_identification=None if maker.how == "MANUAL" else algorithm,
        tracking_uid=segment.tracking_uid or None,
        tracking_id=segment.name if segment.tracking_uid else None,
        anatomic_regions=[segment.region.coded()] if segment.region else None,
        display_color=CIELabColor.from_rgb(*segment.colour) if segment.colour else None,
    )

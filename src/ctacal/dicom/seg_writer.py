"""``write_segmentation``: labels as a DICOM SEG of the images that they were drawn on (PS3.3 A.51 and C.8.20).

The objects are those that highdicom makes (``tests/dicom/test_seg_writer.py`` compares them) in less time.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, SegmentationStorage

from ctacal.atomic import whole_file
from ctacal.dicom.codes import Concept
from ctacal.dicom.origin import Identity, decimals, derived_object, derived_uid, reference_to

Positions = NDArray[np.float64]
"""(planes, 3): Image Position (Patient) of each plane, mm."""

Kind = Literal["BINARY", "LABELMAP"]

LABELMAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")
_SAME_PLACE_MM = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOf:
    """What a segment shows."""

    name: str
    category: Concept
    kind: Concept
    region: Concept | None = None
    """Where it lies."""
    tracking_uid: str = ""
    """Shared with the SR that tells its measurements; empty: not tracked."""
    colour: tuple[int, int, int] | None = None
    """RGB that viewers are asked to draw it in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who drew the segments, and under what title they are filed."""

    algorithm: str
    version: str
    family: Concept
    """Of CID 7162."""
    automatic: bool = True
    """False: a person had a hand in it."""
    name: str = "CALCIUM"
    description: str
    series_number: int = 100
    software: str
    identity: str = ""
    """Whatever else tells this object from others that are made of the same labels on the same images."""


def segmentation(
    labels: NDArray[np.uint8],
    segments: Sequence[SegmentOf],
    images: Sequence[Dataset],
    maker: Maker,
    *,
    positions: Positions | None = None,
    kind: Kind = "BINARY",
) -> Dataset:
    """The SEG of ``labels``, (planes, rows, columns): value n is the nth segment, 0 is none.

    ``images`` are the headers of the planes' images in the same order, or the one multi-frame image; ``positions`` say
    where planes lie that are not those images'. Planes without a label get no frame; where no voxel has a label, one
    empty frame is written, since a SEG needs one. The same arguments give the same bytes. Raises ``ValueError`` where
    there is no segment, a label has none, or the labels do not have the images' shape.
    """
    first = images[0]
    positions = _positions(images) if positions is None else positions
    if not segments or labels.shape != (len(positions), first.Rows, first.Columns) or labels.max() > len(segments):
        shape = (len(positions), first.Rows, first.Columns)
        raise ValueError(f"expected labels 0..{len(segments)} of shape {shape}, got {labels.max()} {labels.shape}")
    digest = hashlib.sha256(labels.tobytes()).hexdigest()
    identity = derived_uid(first.SeriesInstanceUID, maker.identity, kind, maker.description, digest)
    image = derived_object(
        first,
        Identity(
            sop_class=SegmentationStorage if kind == "BINARY" else LABELMAP_STORAGE,
            modality="SEG",
            instance_uid=derived_uid("instance", identity),
            series_uid=derived_uid("series", identity),
            series_number=maker.series_number,
            description=maker.description,
            software=maker.software,
        ),
    )
    image.ContentLabel, image.ContentDescription = maker.name, maker.description
    image.FrameOfReferenceUID = first.FrameOfReferenceUID
    image.PositionReferenceIndicator = first.get("PositionReferenceIndicator", "")
    references = [reference_to(one) for one in images]
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = first.SeriesInstanceUID, references
    image.SourceImageSequence, image.ReferencedSeriesSequence = references, [series]
    planes = _planes_shown(labels, positions, _orientation(first))
    frames = [_Frame(k, place, n) for n in range(1, len(segments) + 1) for place, k in enumerate(planes, 1)]
    if kind == "LABELMAP":
        frames = [_Frame(k, place) for place, k in enumerate(planes, 1)]
    image.SegmentSequence = [_description(segment, n, maker) for n, segment in enumerate(segments, 1)]
    if kind == "LABELMAP":
        image.SegmentSequence.insert(0, _background(maker))
    _fill_pixels(image, labels, frames, kind)
    _describe_frames(image, frames, images, positions)
    return image


def write_segmentation(
    path: Path,
    labels: NDArray[np.uint8],
    segments: Sequence[SegmentOf],
    images: Sequence[Dataset],
    maker: Maker,
    *,
    kind: Kind = "BINARY",
) -> Dataset:
    """Write what ``segmentation`` makes of the same arguments; the file appears whole or not at all."""
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


def _orientation(image: Dataset) -> NDArray[np.float64]:
    """(2, 3): the directions along a row and down a column."""
    groups = image.get("SharedFunctionalGroupsSequence")
    place = groups[0].PlaneOrientationSequence[0] if groups else image
    return np.array(place.ImageOrientationPatient, np.float64).reshape(2, 3)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a frame shows."""

    plane: int
    place: int
    """Of the plane among those shown, from 1."""
    segment: int | None = None
    """Its number; None: all of them, in a label map."""


def _planes_shown(labels: NDArray[np.uint8], positions: Positions, orientation: NDArray[np.float64]) -> list[int]:
    """The planes that hold a label, or the first; in the order of highdicom, against the normal."""
    height_mm = positions @ np.cross(*orientation)
    held = np.flatnonzero(labels.any(axis=(1, 2))).tolist() or [0]
    return sorted(held, key=lambda plane: -height_mm[plane])


def _fill_pixels(image: Dataset, labels: NDArray[np.uint8], frames: Sequence[_Frame], kind: Kind) -> None:
    """The Image Pixel and Segmentation Image modules (PS3.3 C.8.20.2)."""
    image.ImageType, image.SegmentationType, image.SegmentsOverlap = ["DERIVED", "PRIMARY"], kind, "NO"
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.LossyImageCompression, image.PresentationLUTShape = "00", "IDENTITY"
    image.NumberOfFrames, image.Rows, image.Columns = len(frames), *labels.shape[1:]
    image.BitsAllocated = image.BitsStored = 1 if kind == "BINARY" else 8
    image.HighBit = image.BitsStored - 1
    if kind == "BINARY":
        shown = np.empty((len(frames), *labels.shape[1:]), bool)
        for own, frame in zip(shown, frames, strict=True):
            own[:] = labels[frame.plane] == frame.segment
        content = np.packbits(shown, axis=None, bitorder="little").tobytes()
    else:
        image.PixelPaddingValue = 0
        content = np.stack([labels[frame.plane] for frame in frames]).tobytes()
    image.PixelData = content + b"\0" * (len(content) % 2)
    image["PixelData"].VR = "OB"


def _describe_frames(image: Dataset, frames: Sequence[_Frame], images: Sequence[Dataset], positions: Positions) -> None:
    """The functional groups, and the dimensions that frames are counted along (PS3.3 C.7.6.16 and C.7.6.17)."""
    shared, orientation, organization = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = list(decimals(_orientation(images[0]).ravel().tolist()))
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [_measures(images[0], positions)]
    image.SharedFunctionalGroupsSequence = [shared]
    organization.DimensionOrganizationUID = derived_uid("dimensions", image.SOPInstanceUID)
    image.DimensionOrganizationSequence = [organization]
    pointers = [("ReferencedSegmentNumber", "SegmentIdentificationSequence", "Referenced Segment Number")]
    pointers = pointers if image.SegmentationType == "BINARY" else []
    pointers += [("ImagePositionPatient", "PlanePositionSequence", "Image Position Patient")]
    image.DimensionIndexSequence = [_dimension(image, *pointer) for pointer in pointers]
    places = {frame.plane: _place(positions[frame.plane], images) for frame in frames}
    image.PerFrameFunctionalGroupsSequence = [_frame_groups(frame, places[frame.plane]) for frame in frames]


def _dimension(image: Dataset, keyword: str, group: str, label: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = image.DimensionOrganizationSequence[0].DimensionOrganizationUID
    item.DimensionIndexPointer, item.FunctionalGroupPointer = Tag(keyword), Tag(group)
    item.DimensionDescriptionLabel = label
    return item


def _frame_groups(frame: _Frame, place: Dataset) -> Dataset:
    """What is told of one frame: ``_place`` of its plane, its place along the dimensions, its segment."""
    groups, content = Dataset(dict(place.items())), Dataset()
    content.DimensionIndexValues = [frame.place] if frame.segment is None else [frame.segment, frame.place]
    groups.FrameContentSequence = [content]
    if frame.segment is not None:
        segment = Dataset()
        segment.ReferencedSegmentNumber = frame.segment
        groups.SegmentIdentificationSequence = [segment]
    return groups


def _place(position_mm: NDArray[np.float64], images: Sequence[Dataset]) -> Dataset:
    """Where a plane lies, and the image or frame that lies there; none does where a missing slice was interpolated.

    Of a scan whose tilt was resampled away the image of that height is told, which lies aside.
    """
    offset_mm = _positions(images) - position_mm
    height_mm = np.abs(offset_mm @ np.cross(*_orientation(images[0])))
    groups, place = Dataset(), Dataset()
    place.ImagePositionPatient = list(decimals(position_mm.tolist()))
    groups.PlanePositionSequence, groups.DerivationImageSequence = [place], []
    nearest = int(height_mm.argmin())
    if height_mm[nearest] < _SAME_PLACE_MM:
        same = bool(np.linalg.norm(offset_mm[nearest]) < _SAME_PLACE_MM)
        multi_frame = "PerFrameFunctionalGroupsSequence" in images[0]
        source = reference_to(images[0 if multi_frame else nearest])
        if multi_frame:
            source.ReferencedFrameNumber = nearest + 1
        source.SpatialLocationsPreserved = "YES" if same else "NO"
        source.PurposeOfReferenceCodeSequence = [_PROCESSED.coded()]
        derivation = Dataset()
        derivation.DerivationCodeSequence, derivation.SourceImageSequence = [_SEGMENTATION.coded()], [source]
        groups.DerivationImageSequence = [derivation]
    return groups


def _measures(first: Dataset, positions: Positions) -> Dataset:
    gap = np.linalg.norm(positions[1] - positions[0]) if len(positions) > 1 else None
    groups = first.get("SharedFunctionalGroupsSequence")
    measures, told = groups[0].PixelMeasuresSequence[0] if groups else first, Dataset()
    told.PixelSpacing = list(decimals([float(mm) for mm in measures.PixelSpacing]))
    told.SliceThickness = next(decimals([float(measures.SliceThickness)]))
    if gap is not None:
        told.SpacingBetweenSlices = next(decimals([round(float(gap), 6)]))
    return told


def _description(segment: SegmentOf, number: int, maker: Maker) -> Dataset:
    """An item of the Segment Sequence (PS3.3 C.8.20.4)."""
    item, algorithm = Dataset(), Dataset()
    item.SegmentNumber, item.SegmentLabel = number, segment.name
    item.SegmentedPropertyCategoryCodeSequence = [segment.category.coded()]
    item.SegmentedPropertyTypeCodeSequence = [segment.kind.coded()]
    if segment.region:
        item.AnatomicRegionSequence = [segment.region.coded()]
    item.SegmentAlgorithmType = "AUTOMATIC" if maker.automatic else "SEMIAUTOMATIC"
    item.SegmentAlgorithmName = algorithm.AlgorithmName = maker.algorithm
    algorithm.AlgorithmVersion, algorithm.AlgorithmFamilyCodeSequence = maker.version, [maker.family.coded()]
    item.SegmentationAlgorithmIdentificationSequence = [algorithm]
    if segment.tracking_uid:
        item.TrackingID, item.TrackingUID = segment.name, segment.tracking_uid
    if segment.colour:
        item.RecommendedDisplayCIELabValue = cielab(segment.colour)
    return item


def _background(maker: Maker) -> Dataset:
    """Segment 0 of a label map, which must be described too."""
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel, item.RecommendedDisplayCIELabValue = 0, "Background", cielab((0, 0, 0))
    item.SegmentedPropertyCategoryCodeSequence = [_BACKGROUND.coded()]
    item.SegmentedPropertyTypeCodeSequence = [_BACKGROUND.coded()]
    item.SegmentAlgorithmType = "AUTOMATIC" if maker.automatic else "SEMIAUTOMATIC"
    item.SegmentAlgorithmName = maker.algorithm
    return item


def cielab(rgb: tuple[int, int, int]) -> list[int]:
    """A colour as DICOM has it (PS3.3 C.10.7.1.1): L*, a*, b* of the white D65 in 16 bits each.

    >>> cielab((0, 0, 0)), cielab((230, 97, 0))
    ([0, 32896, 32896], [37641, 45294, 49995])
    """
    srgb = np.array(rgb) / 255
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    x, y, z = _TO_XYZ @ linear / _WHITE
    fx, fy, fz = (n ** (1 / 3) if n >= (6 / 29) ** 3 else 841 / 108 * n + 4 / 29 for n in (x, y, z))
    lightness, a, b = 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
    return [round(lightness * 65535 / 100), round((a + 128) * 65535 / 255), round((b + 128) * 65535 / 255)]


_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.95047, 1.0, 1.08883])
_PROCESSED = Concept("121322", "Source image for image processing operation", "DCM")
_SEGMENTATION = Concept("113076", "Segmentation", "DCM")
_BACKGROUND = Concept("125040", "Background", "DCM")

"""``write_segmentation``: labels as a DICOM SEG of the images that they were drawn on (PS3.3 A.51), by highdicom."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from ctacal.atomic import whole_file
from ctacal.dicom.origin import decimals, derived_uid, make_repeatable

Positions = NDArray[np.float64]
"""(planes, 3): Image Position (Patient) of each plane, mm."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A code with its meaning (PS3.3 8.8)."""

    code: str
    meaning: str
    scheme: str = "SCT"

    def coded(self) -> Any:
        """As highdicom takes it."""
        from pydicom.sr.coding import Code

        return Code(self.code, self.scheme, self.meaning)


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
    kind: Literal["BINARY", "LABELMAP"] = "BINARY",
) -> Dataset:
    """The SEG of ``labels``, (planes, rows, columns): value n is the nth segment, 0 is none.

    ``images`` are the headers of the planes' images in the same order, or the one multi-frame image; ``positions`` say
    where planes lie that are not those images'. Planes without a label get no frame; where no voxel has a label, one
    empty frame is written, since a SEG needs one. The same arguments give the same bytes. Raises ``ValueError`` where
    there is no segment, a label has none, or the labels do not have the images' shape.
    """
    import highdicom as hd

    first = images[0]
    positions = _positions(images) if positions is None else positions
    if not segments or labels.shape != (len(positions), first.Rows, first.Columns) or labels.max() > len(segments):
        shape = (len(positions), first.Rows, first.Columns)
        raise ValueError(f"expected labels 0..{len(segments)} of shape {shape}, got {labels.max()} {labels.shape}")
    held = np.flatnonzero(labels.any(axis=(1, 2))).tolist() or [0]
    digest = hashlib.sha256(labels.tobytes()).hexdigest()
    identity = derived_uid(first.SeriesInstanceUID, maker.identity, kind, maker.description, digest)
    image: Dataset = hd.seg.Segmentation(
        source_images=list(images),
        pixel_array=labels[held],
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
        series_description=maker.description,
        pixel_measures=_measures(first, positions),
        plane_positions=[hd.PlanePositionSequence("PATIENT", list(decimals(positions[k]))) for k in held],
        omit_empty_frames=False,
    )
    make_repeatable(image, first)
    return image


def write_segmentation(
    path: Path,
    labels: NDArray[np.uint8],
    segments: Sequence[SegmentOf],
    images: Sequence[Dataset],
    maker: Maker,
    *,
    kind: Literal["BINARY", "LABELMAP"] = "BINARY",
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


def _measures(first: Dataset, positions: Positions) -> Any:
    import highdicom as hd

    gap = np.linalg.norm(positions[1] - positions[0]) if len(positions) > 1 else None
    groups = first.get("SharedFunctionalGroupsSequence")
    measures = groups[0].PixelMeasuresSequence[0] if groups else first
    return hd.PixelMeasuresSequence(
        pixel_spacing=[float(mm) for mm in measures.PixelSpacing],
        slice_thickness=float(measures.SliceThickness),
        spacing_between_slices=None if gap is None else round(float(gap), 6),
    )


def _description(segment: SegmentOf, number: int, maker: Maker) -> Any:
    """An item of the Segment Sequence (PS3.3 C.8.20.4)."""
    import highdicom as hd

    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.name,
        segmented_property_category=segment.category.coded(),
        segmented_property_type=segment.kind.coded(),
        algorithm_type="AUTOMATIC" if maker.automatic else "SEMIAUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=maker.algorithm, family=maker.family.coded(), version=maker.version
        ),
        tracking_uid=segment.tracking_uid or None,
        tracking_id=segment.name if segment.tracking_uid else None,
        anatomic_regions=[segment.region.coded()] if segment.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*segment.colour) if segment.colour else None,
    )

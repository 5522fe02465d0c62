"""SEG and SR as highdicom makes them of the same arguments: what ctacal's own writers are compared with."""

import hashlib
from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from ctacal.dicom.codes import Concept
from ctacal.dicom.origin import decimals, derived_uid, make_repeatable
from ctacal.dicom.seg_writer import Kind, Maker, Positions, SegmentOf


def code(concept: Concept) -> Code:
    return Code(concept.code, concept.scheme, concept.meaning)


def segmentation(
    labels: NDArray[np.uint8],
    segments: Sequence[SegmentOf],
    images: Sequence[Dataset],
    maker: Maker,
    *,
    positions: Positions | None = None,
    kind: Kind = "BINARY",
) -> Dataset:
    first = images[0]
    positions = _positions(images) if positions is None else positions
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


def _positions(images: Sequence[Dataset]) -> Positions:
    if "PerFrameFunctionalGroupsSequence" in images[0]:
        places = [group.PlanePositionSequence[0] for group in images[0].PerFrameFunctionalGroupsSequence]
    else:
        places = list(images)
    return np.array([place.ImagePositionPatient for place in places], np.float64)


def _measures(first: Dataset, positions: Positions) -> Any:
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
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.name,
        segmented_property_category=code(segment.category),
        segmented_property_type=code(segment.kind),
        algorithm_type="AUTOMATIC" if maker.automatic else "SEMIAUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=maker.algorithm, family=code(maker.family), version=maker.version
        ),
        tracking_uid=segment.tracking_uid or None,
        tracking_id=segment.name if segment.tracking_uid else None,
        anatomic_regions=[code(segment.region)] if segment.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*segment.colour) if segment.colour else None,
    )


def differences(a: Dataset, b: Dataset, where: str = "") -> list[str]:
    """What tells two datasets apart, save who made them."""
    told = []
    for keyword in sorted({element.keyword for one in (a, b) for element in one} - {"ContributingEquipmentSequence"}):
        name = f"{where}{keyword}"
        if (keyword in a) != (keyword in b):
            told.append(f"{name}: only in {'the first' if keyword in a else 'the second'}")
        elif a[keyword].VR != "SQ":
            same_vr = a[keyword].VR in b[keyword].VR  # "OB or OW" until it is written
            if not same_vr or a[keyword].value != b[keyword].value:
                told.append(f"{name}: {a[keyword].repval} {b[keyword].repval}")
        elif len(a[keyword].value) != len(b[keyword].value):
            told.append(f"{name}: {len(a[keyword].value)} and {len(b[keyword].value)} items")
        else:
            for n, (own, other) in enumerate(zip(a[keyword].value, b[keyword].value, strict=True)):
                told += differences(own, other, f"{name}[{n}].")
    return told

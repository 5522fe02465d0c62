"""A scored study's label map as a DICOM SEG: one segment for each vessel with calcium, and one for other calcium."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from pydicom import Dataset

from ctacal.dicom.objects.codes import ABNORMAL, CALCIFICATION, REGIONS, Concept
from ctacal.dicom.objects.seg_writer import Kind, Maker, SegmentOf, segmentation
from ctacal.labels import Calcium
from ctacal.report.filing import SOFTWARE, Filing
from ctacal.report.readers import ReaderOf
from ctacal.report.vessels import SEGMENT_LABELS, VESSEL_COLOURS

SERIES_NUMBERS: Mapping[Kind, int] = MappingProxyType({"BINARY": 7001, "LABELMAP": 7005})
"""Series number by kind. Those of all outputs differ, and are high, so that viewers list them below the scanner's."""

_FAMILIES = {
    "threshold": Concept("123104", "Morphological Operations", "DCM"),
    "labels": Concept("123109", "Manual Processing", "DCM"),
}
_NETWORKS = Concept("123110", "Artificial Intelligence", "DCM")


def labels_held(filing: Filing) -> list[Calcium]:
    """Return the labels with a segment, in the order of the segments; at least one, because a SEG needs a segment."""
    labels = filing.result.scan.labels
    values = {int(value) for index in labels.held_slices for value in np.unique(labels.labels[index])}
    return [Calcium(value) for value in sorted(values - {0})] or [Calcium.CORONARY]


def result_segmentation(filing: Filing, kind: Kind = "BINARY", reader: ReaderOf | None = None) -> Dataset:
    """Return the SEG; without calcium it has one empty frame. ``reader`` is who drew it, if a person did."""
    result = filing.result
    held = labels_held(filing)
    number = np.zeros(max(Calcium) + 1, np.uint8)
    number[held] = np.arange(1, len(held) + 1)
    labels, positions = filing.on_the_images(result.scan.labels)
    numbers = np.zeros(labels.shape, np.uint8)
    for index in result.scan.labels.held_slices:  # the planes of the images are the slices, in the same order
        numbers[index] = number[labels[index]]
    maker = Maker(
        algorithm=result.model.name,
        version=result.model.version[:64],
        family=_FAMILIES.get(result.model.name, _NETWORKS),
        how=_how(result.model.name, reader),
        creator=reader.name if reader else "",
        description=f"Coronary calcium, non-gated low-dose CTAC{reader.suffix if reader else ''}"[:64],
        series_number=reader.series_number if reader else SERIES_NUMBERS[kind],
        software=SOFTWARE,
        identity=filing.identity,
    )
    segments = [_segment(filing, label) for label in held]
    return segmentation(numbers, segments, filing.images, maker, positions=positions, kind=kind)


def _how(model: str, reader: ReaderOf | None) -> Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]:
    if reader:
        return "SEMIAUTOMATIC" if reader.from_model else "MANUAL"
    return "SEMIAUTOMATIC" if model == "labels" else "AUTOMATIC"


def _segment(filing: Filing, label: Calcium) -> SegmentOf:
    return SegmentOf(
        name=SEGMENT_LABELS[label],
        category=ABNORMAL,
        kind=CALCIFICATION,
        region=REGIONS[label],
        tracking_uid=filing.tracking_uid(label.name),
        colour=VESSEL_COLOURS[label],
    )

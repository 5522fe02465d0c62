"""SEGs of coronary lesions on drawn series, and how their labels lie on the canonical volume."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite

from ctacal.dicom.objects.codes import Concept
from ctacal.dicom.objects.seg_writer import Maker, SegmentOf
from ctacal.geometry import CANONICAL_DIRECTIONS, Geometry
from ctacal.labels import Calcium
from ctacal.volume import reoriented
from tests.dicom.objects.segmentations import seg, segment
from tests.dicom_series import Grid

VESSELS = {
    Calcium.LM: ("Left main", "3227004"),
    Calcium.LAD: ("LAD", "59438005"),
    Calcium.LCX: ("LCx", "57396003"),
    Calcium.RCA: ("RCA", "13647002"),
    Calcium.CORONARY: ("Coronary", "41801008"),
}

LAD = Concept("59438005", "Anterior descending branch of left coronary artery")
ALTERED, CALCIFIED = (
    Concept("49755003", "Morphologically Abnormal Structure"),
    Concept("18115005", "Calcified structure"),
)
SEGMENTS = [
    SegmentOf(name="LAD", category=ALTERED, kind=CALCIFIED, region=LAD),
    SegmentOf(name="Odd", category=ALTERED, kind=CALCIFIED),
]
MAKER = Maker(
    algorithm="drawn", version="1", family=Concept("123109", "Manual Processing", "DCM"), description="Drawn",
    software="1",
)  # fmt: skip


def lesions(values: tuple[Calcium, ...] = tuple(VESSELS)) -> NDArray[np.uint8]:
    """(14, 48, 40): for each label a lesion of its own shape, on a few slices."""
    labels = np.zeros((14, 48, 40), np.uint8)
    for value in values:
        labels[2 * value : 2 * value + 2, 10 + value, 5 : 7 + value] = value
        labels[2 * value, 30, 3 * value] = value
    return labels


def stored(path: Path, image: Any) -> Path:
    dcmwrite(path, image, enforce_file_format=True)
    return path


VESSEL_SEGMENTS = [(name, code) for name, code in VESSELS.values()]


def vessel_seg(series: list[Dataset], labels: NDArray[np.uint8], **options: Any) -> Any:
    described = [segment(number, name, code) for number, (name, code) in enumerate(VESSEL_SEGMENTS, 1)]
    return seg(series, labels, described, **options)


def canonical(labels: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    """Labels drawn on the series' own rows and columns, as they lie on the canonical volume."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = grid.axes_mm.T, grid.position_mm(0)
    turned: NDArray[np.uint8] = reoriented(labels, Geometry(labels.shape, affine), CANONICAL_DIRECTIONS)[0]
    return turned

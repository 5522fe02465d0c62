"""A SEG that ctacal writes, on slices of any order and orientation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ctacal.dicom.seg import read_segmentation
from ctacal.dicom.seg_writer import Concept, Maker, SegmentOf, write_segmentation
from tests.dicom_series import ct_series, in_file_format

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


def images(step: int = 1) -> list[Any]:
    return [in_file_format(image) for image in ct_series()[::step]]


def drawn(series: list[Any], seed: int) -> NDArray[np.uint8]:
    shape = (len(series), series[0].Rows, series[0].Columns)
    return np.random.default_rng(seed).choice(np.arange(3, dtype=np.uint8), shape, p=[0.9, 0.05, 0.05])


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_each_frame_lies_where_its_image_does(tmp_path: Path, step: int, kind: str) -> None:
    series = images(step)
    labels = drawn(series, 1)
    labels[2][labels[2] == 1] = 0
    write_segmentation(tmp_path / "seg.dcm", labels, SEGMENTS, series, MAKER, kind=kind)
    read = read_segmentation(tmp_path / "seg.dcm")
    assert [(segment.name, segment.anatomic_code) for segment in read.segments] == [
        ("LAD", LAD.code),
        ("Odd", CALCIFIED.code),
    ]
    frames = {frame.geometry.affine[2, 3]: frame for frame in read.segments[0].frames}
    assert len(frames) == len(series) - 1
    for image, mask in zip(series, labels == 1, strict=True):
        if not mask.any():
            continue
        frame = frames[float(image.ImagePositionPatient[2])]
        np.testing.assert_allclose(frame.geometry.affine[:3, 3], np.array(image.ImagePositionPatient, float))
        assert np.array_equal(frame.mask[0], mask)


def test_the_same_labels_give_the_same_bytes_and_others_another_instance(tmp_path: Path) -> None:
    series = images()
    for name, seed in (("a", 1), ("b", 1), ("c", 3)):
        write_segmentation(tmp_path / name, drawn(series, seed), SEGMENTS, series, MAKER)
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again != other


def test_without_a_labelled_voxel_one_empty_frame_is_written(tmp_path: Path) -> None:
    series = images()
    image = write_segmentation(tmp_path / "seg.dcm", np.zeros_like(drawn(series, 1)), SEGMENTS, series, MAKER)
    assert image.NumberOfFrames == len(SEGMENTS)
    assert not any(segment.frames for segment in read_segmentation(tmp_path / "seg.dcm").segments)


@pytest.mark.parametrize("segments", [[], SEGMENTS[:1], SEGMENTS])
def test_refuses_no_segment_too_few_and_labels_of_another_shape(tmp_path: Path, segments: list[SegmentOf]) -> None:
    series = images()
    labels = drawn(series, 1)
    labels = labels[:, 1:] if len(segments) == 2 else labels
    with pytest.raises(ValueError, match="expected labels 0"):
        write_segmentation(tmp_path / "seg.dcm", labels, segments, series, MAKER)
    assert not list(tmp_path.iterdir())

"""A SEG that ctacal writes, on slices of any order and orientation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ctacal.dicom.codes import Concept
from ctacal.dicom.seg import read_segmentation
from ctacal.dicom.seg_writer import Maker, SegmentOf, segmentation, write_segmentation
from tests import by_highdicom
from tests.dicom_series import Grid, ct_series, enhanced_ct, in_file_format

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


GRIDS = {
    "supine": Grid(),
    "prone": Grid(orientation=(-1, 0, 0, 0, -1, 0)),
    "oblique": Grid(orientation=(0.98, 0.0, 0.198997487, 0.0, 1.0, 0.0)),
}


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_it_is_what_highdicom_makes(grid: Grid, kind: Any) -> None:
    series = [in_file_format(image) for image in ct_series(grid)][::-1]
    labels = drawn(series, 1)
    labels[2:4] = 0
    segments = [replace(SEGMENTS[0], colour=(230, 97, 0), tracking_uid="1.2.3"), SEGMENTS[1]]
    arguments = (labels, segments, series, MAKER)
    mine, other = (make(*arguments, kind=kind) for make in (segmentation, by_highdicom.segmentation))
    assert by_highdicom.differences(mine, other) == [
        "SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices: only in the first"
    ]  # highdicom tells it where no plane is left out


def test_of_a_multi_frame_image_it_is_what_highdicom_makes() -> None:
    image = in_file_format(enhanced_ct(ct_series()))
    labels = drawn(images(), 1)
    arguments = (labels, SEGMENTS, [image], MAKER)
    assert not by_highdicom.differences(segmentation(*arguments), by_highdicom.segmentation(*arguments))


@pytest.mark.parametrize("aside_mm", [0.0, 4.0])
def test_of_planes_that_are_shifted_it_is_what_highdicom_makes(aside_mm: float) -> None:
    series = images()
    positions = np.array([image.ImagePositionPatient for image in series], float) + (aside_mm, 0, 0)
    arguments = (drawn(series, 1), SEGMENTS, series, MAKER)
    mine, other = (make(*arguments, positions=positions) for make in (segmentation, by_highdicom.segmentation))
    assert not by_highdicom.differences(mine, other)


def test_a_plane_without_an_image_refers_to_none() -> None:
    series = images()
    positions = np.array([image.ImagePositionPatient for image in series], float)
    image = segmentation(drawn(series, 1)[:5], SEGMENTS, [*series[:2], *series[3:]], MAKER, positions=positions[:5])
    referred = [bool(groups.DerivationImageSequence) for groups in image.PerFrameFunctionalGroupsSequence]
    assert referred == [True, True, False, True, True] * 2


def test_a_code_fits_what_dicom_allows() -> None:
    with pytest.raises(ValueError, match="up to 64 characters"):
        Concept("1", "long" * 17)


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


def test_frames_follow_each_other_without_a_gap_of_bits(tmp_path: Path) -> None:
    """51 x 43 pixels are no whole number of bytes."""
    series = [in_file_format(image) for image in ct_series(Grid(rows=51, columns=43))]
    labels = drawn(series, 2)
    write_segmentation(tmp_path / "seg.dcm", labels, SEGMENTS, series, MAKER)
    odd = read_segmentation(tmp_path / "seg.dcm").segments[1]
    frames = {frame.geometry.affine[2, 3]: frame.mask[0] for frame in odd.frames}
    for image, mask in zip(series, labels == 2, strict=True):
        assert np.array_equal(frames[float(image.ImagePositionPatient[2])], mask)


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

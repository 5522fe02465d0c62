"""A SEG that ctacal writes, on slices of any order and orientation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ctacal.dicom.objects.codes import Concept
from ctacal.dicom.objects.seg import read_segmentation
from ctacal.dicom.objects.seg_writer import SegmentOf, segmentation, write_segmentation
from tests.dicom.objects.drawn_lesions import CALCIFIED, LAD, MAKER, SEGMENTS
from tests.dicom_series import Grid, ct_series, enhanced_ct, in_file_format
from tests.tools import dciodvfy_errors


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


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_it_is_valid_and_reads_back_in_every_orientation(tmp_path: Path, grid: Grid) -> None:
    series = [in_file_format(image) for image in ct_series(grid)][::-1]
    labels = drawn(series, 1)
    labels[2:4] = 0
    segments = [replace(SEGMENTS[0], colour=(230, 97, 0), tracking_uid="1.2.3"), SEGMENTS[1]]
    write_segmentation(tmp_path / "seg.dcm", labels, segments, series, MAKER)
    assert not dciodvfy_errors(tmp_path / "seg.dcm")
    for segment, value in zip(read_segmentation(tmp_path / "seg.dcm").segments, (1, 2), strict=True):
        assert sum(int(frame.mask.sum()) for frame in segment.frames) == int((labels == value).sum())
        for frame in segment.frames:
            offset_mm = [np.linalg.norm(image.ImagePositionPatient - frame.geometry.affine[:3, 3]) for image in series]
            assert min(offset_mm) < 1e-3
            assert np.array_equal(frame.mask[0], labels[int(np.argmin(offset_mm))] == value)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_the_spacing_of_slices_stays_if_planes_are_left_out(kind: Any) -> None:
    labels = drawn(images(), 1)
    for left_out in (0, 2):
        labels[3 : 3 + left_out] = 0
        image = segmentation(labels, SEGMENTS, images(), MAKER, kind=kind)
        assert image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices == 3.0
        assert "DimensionOrganizationType" not in image


def test_the_number_of_an_only_segment_is_in_each_frame() -> None:
    image = segmentation(np.minimum(drawn(images(), 1), 1), SEGMENTS[:1], images(), MAKER)
    assert "SegmentIdentificationSequence" not in image.SharedFunctionalGroupsSequence[0]
    numbers = [
        groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for groups in image.PerFrameFunctionalGroupsSequence
    ]
    assert numbers == [1] * len(images())


def sources(image: Any) -> list[Any]:
    """The image that each frame refers to."""
    return [
        groups.DerivationImageSequence[0].SourceImageSequence[0] for groups in image.PerFrameFunctionalGroupsSequence
    ]


def test_frames_of_a_multi_frame_image_refer_to_its_frames() -> None:
    multi_frame = in_file_format(enhanced_ct(ct_series()))
    image = segmentation(drawn(images(), 1), SEGMENTS, [multi_frame], MAKER)
    assert {source.ReferencedSOPInstanceUID for source in sources(image)} == {multi_frame.SOPInstanceUID}
    count = len(images())
    assert sorted(source.ReferencedFrameNumber for source in sources(image)) == sorted([*range(1, count + 1)] * 2)
    for groups, source in zip(image.PerFrameFunctionalGroupsSequence, sources(image), strict=True):
        place = multi_frame.PerFrameFunctionalGroupsSequence[source.ReferencedFrameNumber - 1]
        assert (
            groups.PlanePositionSequence[0].ImagePositionPatient == place.PlanePositionSequence[0].ImagePositionPatient
        )


@pytest.mark.parametrize(("aside_mm", "preserved"), [(0.0, "YES"), (4.0, "NO")])
def test_planes_shifted_aside_refer_to_the_image_of_their_height(aside_mm: float, preserved: str) -> None:
    series = images()
    positions = np.array([image.ImagePositionPatient for image in series], float) + (aside_mm, 0, 0)
    image = segmentation(drawn(series, 1), SEGMENTS, series, MAKER, positions=positions)
    heights_mm = {image.SOPInstanceUID: image.ImagePositionPatient[2] for image in series}
    for groups, source in zip(image.PerFrameFunctionalGroupsSequence, sources(image), strict=True):
        assert groups.PlanePositionSequence[0].ImagePositionPatient[2] == heights_mm[source.ReferencedSOPInstanceUID]
        assert source.SpatialLocationsPreserved == preserved


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
def test_each_frame_lies_where_its_image_does(tmp_path: Path, step: int, kind: Any) -> None:
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

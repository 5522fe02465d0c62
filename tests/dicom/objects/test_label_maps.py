"""Several label files of one scan onto one grid, without the scan."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.dicom.objects.labels import read_label_map, read_label_maps
from ctacal.dicom.objects.seg_writer import write_segmentation
from ctacal.errors import Code, Refusal
from ctacal.labels import Calcium
from tests.dicom.objects.drawn_lesions import MAKER, SEGMENTS, canonical, lesions, stored, vessel_seg
from tests.dicom_series import Grid, ct_series, in_file_format, volume_of, write

GRIDS = {"supine": Grid(), "prone": Grid(orientation=(-1, 0, 0, 0, -1, 0))}


def seg_file(path: Path, labels: Any, grid: Grid | None = None) -> Path:
    """A SEG as ctacal writes it, with the spacing of its slices; its labels are LAD."""
    series = [in_file_format(image) for image in (ct_series(grid) if grid else ct_series())]
    write_segmentation(path, (labels == Calcium.LAD).astype(np.uint8), SEGMENTS[:1], series, MAKER)
    return path


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_seg_and_nifti_of_one_scan(tmp_path: Path, grid: Grid) -> None:
    series, labels = ct_series(grid), lesions()
    volume, _ = volume_of(write(tmp_path / "ct", series))
    image = stored(tmp_path / "seg.dcm", vessel_seg(series, labels))
    alone = read_label_map(image, volume)
    alone.save_nifti(tmp_path / "labels.nii.gz")
    for first, second in read_orders(image, tmp_path / "labels.nii.gz"):
        np.testing.assert_array_equal(first.labels, canonical(labels, grid))
        np.testing.assert_array_equal(second.labels, first.labels)
        assert first.geometry.same_grid(volume.geometry)


def read_orders(*paths: Path) -> list[Any]:
    return [read_label_maps(paths), read_label_maps(paths[::-1])]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_segs_with_frames_on_different_slices(tmp_path: Path, grid: Grid) -> None:
    """The grid holds all slices between the first and the last frame, also those without a frame."""
    first, second = np.zeros((2, 14, 48, 40), np.uint8)
    first[3, 5:8, 6:9] = first[9, 20, 20] = Calcium.LAD
    second[5, 5:8, 6:9] = second[11, 1, 1] = Calcium.LAD
    paths = [seg_file(tmp_path / f"{n}.dcm", labels, grid) for n, labels in enumerate((first, second))]
    maps = read_label_maps(paths)
    volume, _ = volume_of(write(tmp_path / "ct", ct_series(grid)))
    for labels, found in zip((first, second), maps, strict=True):
        whole = canonical(labels, grid)
        held = np.flatnonzero(canonical(np.maximum(first, second), grid).any(axis=(1, 2)))
        np.testing.assert_array_equal(found.labels, whole[held[0] : held[-1] + 1])
        part = volume.geometry.crop((slice(held[0], held[-1] + 1), slice(None), slice(None)))
        assert found.geometry.same_grid(part)


def test_one_without_calcium(tmp_path: Path) -> None:
    labels = np.zeros((14, 48, 40), np.uint8)
    empty = seg_file(tmp_path / "empty.dcm", labels)
    labels[4, 5, 6] = Calcium.LAD
    held = seg_file(tmp_path / "held.dcm", labels)
    first, second = read_label_maps([empty, held])
    assert first.labels.shape == second.labels.shape == (1, 48, 40)
    assert (int(first.labels.sum()), int(second.labels[0, 5, 6])) == (0, Calcium.LAD)
    assert not any(found.labels.any() for found in read_label_maps([empty, empty]))


def test_a_nifti_of_a_part_of_the_slices(tmp_path: Path) -> None:
    volume, _ = volume_of(write(tmp_path / "ct", ct_series()))
    labels = lesions()
    whole = read_label_map(stored(tmp_path / "seg.dcm", vessel_seg(ct_series(), labels)), volume)
    whole.save_nifti(tmp_path / "whole.nii.gz")
    part = volume.crop((slice(1, 13), slice(None), slice(None)))
    read_label_map(tmp_path / "whole.nii.gz", part).save_nifti(tmp_path / "part.nii.gz")
    for maps in read_orders(tmp_path / "whole.nii.gz", tmp_path / "part.nii.gz"):
        assert [found.labels.tolist() for found in maps] == [labels[1:13].tolist()] * 2


def test_files_of_different_scans_are_refused(tmp_path: Path) -> None:
    first = seg_file(tmp_path / "a.dcm", lesions())
    volume, _ = volume_of(write(tmp_path / "ct", ct_series()))
    read_label_map(first, volume).save_nifti(tmp_path / "a.nii.gz")
    for name, grid in {"finer": Grid(row_mm=0.8), "prone": GRIDS["prone"]}.items():
        other = seg_file(tmp_path / f"{name}.dcm", lesions(), grid)
        for one in (first, tmp_path / "a.nii.gz"):
            with pytest.raises(Refusal) as caught:
                read_label_maps([one, other])
            assert caught.value.reason.code == Code.LABELS_MISMATCH


def test_a_seg_that_does_not_place_its_slices_is_refused(tmp_path: Path) -> None:
    image = vessel_seg(ct_series(), lesions())
    measures = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices
    path = stored(tmp_path / "seg.dcm", image)
    with pytest.raises(Refusal, match="SpacingBetweenSlices"):
        read_label_maps([path, path])

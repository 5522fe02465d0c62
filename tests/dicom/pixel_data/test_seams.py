"""Two scans are found by their pixels where the headers are silent; no scan of one patient is taken for two."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ctacal.dicom.pixel_data.seams import require_one_scan
from ctacal.errors import Code, Refusal
from tests.dicom_series import Grid, ct_series, store_hu, uid, volume_of, write
from tests.thorax import Thorax

Planes = NDArray[np.float32]


@lru_cache(maxsize=4)
def person(width: float = 1.0) -> Planes:
    """Every second pixel of a thorax, narrower than usual by ``width``."""
    hu = Thorax(spacing_mm=(5.0, 2.0 / width, 2.0 / width)).hu[:, ::2, ::2]
    return np.asarray(hu + np.random.default_rng(1).normal(0, 20, hu.shape), np.float32)


def verdict(planes: Planes) -> list[Code]:
    try:
        return [note.code for note in require_one_scan(planes, [None] * len(planes), 5.0)]
    except Refusal as refusal:
        return [refusal.reason.code]


@pytest.mark.parametrize("width", [1.0, 0.8])
def test_one_person_is_one_scan(width: float) -> None:
    assert verdict(person(width)) == []
    assert verdict(person(width)[::-1]) == []


@pytest.mark.parametrize("below", [12, 22, 44])
@pytest.mark.parametrize("above", [0, 14, 25])
def test_two_people_above_each_other_are_refused(below: int, above: int) -> None:
    assert verdict(np.concatenate([person()[:below], person(0.8)[above:]])) == [Code.TWO_SCANS]


def test_one_person_scanned_twice_is_refused() -> None:
    assert verdict(np.concatenate([person(), person()])) == [Code.TWO_SCANS]


def test_two_people_between_each_other_are_refused() -> None:
    assert verdict(np.stack([person(), person(0.8)], axis=1).reshape(-1, *person().shape[1:])) == [Code.TWO_SCANS]


def test_a_person_who_lay_8_mm_aside_in_the_second_scan_is_refused() -> None:
    again = np.roll(person(), 2, axis=2)
    assert verdict(np.stack([person(), again], axis=1).reshape(-1, *again.shape[1:])) == [Code.TWO_SCANS]


def test_a_breath_between_table_positions_is_accepted() -> None:
    moved = np.concatenate([person()[:20], person()[21:]])
    assert verdict(moved) == []


def test_a_phantom_that_ends_inside_the_scan_is_accepted() -> None:
    air = np.full((3, *person().shape[1:]), -1000, np.float32)
    assert verdict(np.concatenate([person()[:30], air])) == []


def test_a_body_drawn_of_copies_is_accepted() -> None:
    legs = np.repeat(person(0.5)[20:21], 10, axis=0)
    assert verdict(np.concatenate([legs, person()])) == []


@pytest.mark.parametrize("away", [4, 8, -10])
def test_a_slice_of_another_place_is_refused(away: int) -> None:
    """Its file has the right header, and the pixels of a slice 20 to 50 mm away."""
    wrong = person().copy()
    wrong[24] = person()[24 + away]
    assert verdict(wrong) == [Code.INCONSISTENT_SLICE]


@pytest.mark.parametrize("place", [3, 20, 40])
def test_a_slice_that_is_a_copy_of_its_neighbour_is_refused(place: int) -> None:
    wrong = person().copy()
    wrong[place] = wrong[place + 1]
    assert verdict(wrong) == [Code.INCONSISTENT_SLICE]


def test_few_slices_are_accepted() -> None:
    assert verdict(person()[:5]) == []


def test_the_refusal_names_the_images_beside_the_seam(tmp_path: Path) -> None:
    hu = np.maximum(np.concatenate([person()[:20], person(0.8)[8:28]]), -1024)
    images = ct_series(Grid(slices=40, rows=hu.shape[1] * 2, columns=hu.shape[2] * 2))
    for index, (image, plane) in enumerate(zip(images, hu, strict=True)):
        image.SOPInstanceUID = uid("seam", index)
        store_hu(image, np.rint(np.kron(plane, np.ones((2, 2)))).astype(int))
    with pytest.raises(Refusal, match=r"between \S+IM0019 and \S+IM0020"):
        volume_of(write(tmp_path, images))

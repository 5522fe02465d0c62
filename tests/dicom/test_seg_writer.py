"""A SEG that ctacal writes, on slices of any order and orientation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ctacal.dicom.seg import read_segmentation
from ctacal.dicom.seg_writer import Concept, DrawnSegment, write_segmentation
from tests.dicom_series import ct_series

LAD = Concept("59438005", "Anterior descending branch of left coronary artery")
ALTERED, CALCIFIED = (
    Concept("49755003", "Morphologically Abnormal Structure"),
    Concept("18115005", "Calcified structure"),
)


def drawn(mask: NDArray[np.bool_], name: str = "LAD", region: Concept | None = LAD) -> DrawnSegment:
    return DrawnSegment(name=name, category=ALTERED, kind=CALCIFIED, region=region, mask=mask)


def masks(images: list[Any], seed: int) -> NDArray[np.bool_]:
    shape = (len(images), images[0].Rows, images[0].Columns)
    return np.random.default_rng(seed).random(shape) < 0.05


@pytest.mark.parametrize("backwards", [False, True])
def test_each_frame_lies_where_its_image_does(tmp_path: Path, backwards: bool) -> None:
    images = ct_series()[:: -1 if backwards else 1]
    lad, other = masks(images, 1), masks(images, 2)
    lad[2] = False
    write_segmentation(
        tmp_path / "seg.dcm", [drawn(lad), drawn(other & ~lad, "Odd", None)], images,
        name="CALCIUM", description="Drawn", version="1",
    )  # fmt: skip
    read = read_segmentation(tmp_path / "seg.dcm")
    assert [(segment.name, segment.anatomic_code) for segment in read.segments] == [
        ("LAD", LAD.code),
        ("Odd", CALCIFIED.code),
    ]
    held = [k for k in range(len(images)) if lad[k].any()]
    assert 2 not in held
    assert len(read.segments[0].frames) == len(held)
    for k, frame in zip(held, read.segments[0].frames, strict=True):
        np.testing.assert_allclose(frame.geometry.affine[:3, 3], np.array(images[k].ImagePositionPatient, float))
        assert np.array_equal(frame.mask[0], lad[k])


def test_the_same_masks_give_the_same_bytes_and_others_another_instance(tmp_path: Path) -> None:
    images = ct_series()
    for name, seed in (("a", 1), ("b", 1), ("c", 3)):
        write_segmentation(
            tmp_path / name, [drawn(masks(images, seed))], images, name="CALCIUM", description="Drawn", version="1"
        )
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again != other


@pytest.mark.parametrize("count", [0, 1])
def test_refuses_no_segment_and_masks_of_another_shape(tmp_path: Path, count: int) -> None:
    images = ct_series()
    wrong = [drawn(masks(images, 1)[:, 1:])] * count
    with pytest.raises(ValueError, match="expected masks of shape"):
        write_segmentation(tmp_path / "seg.dcm", wrong, images, name="CALCIUM", description="Drawn", version="1")
    assert not list(tmp_path.iterdir())

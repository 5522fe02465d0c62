"""The heart is found in a drawn thorax, whose truth is known, and in real scans; scans without a heart are refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask, find_heart
from ctacal.noise import blood_pool_noise_hu
from ctacal.volume import Volume
from tests.thorax import AIR, BONE, SHAPE, SPACING_MM, Thorax, real_scan


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spacing_mm", "shape"),
    [
        (SPACING_MM, SHAPE),
        ((2.5, 3.9, 3.9), (88, 67, 97)),
        ((10.0, 1.3, 1.3), (22, 201, 291)),
        ((4.25, 2.0, 2.0), (52, 300, 340)),
    ],
)
def test_heart_is_found_whatever_the_grid(spacing_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> None:
    thorax = Thorax(spacing_mm=spacing_mm, shape=shape)
    heart = find_heart(thorax.volume(noise_hu=15))
    assert dice(heart.mask, thorax.heart) > 0.88
    assert (heart.mask & thorax.heart).sum() > 0.88 * thorax.heart.sum()
    assert not heart.touches_first_slice
    assert not heart.touches_last_slice


def test_neither_bone_nor_aorta_nor_liver_dome_is_heart() -> None:
    thorax = Thorax()
    heart = find_heart(thorax.volume()).mask
    assert not heart[thorax.hu == BONE].any()
    aorta = thorax.ellipsoid((0, 42, 22), (1e6, 13, 13)) & ~thorax.heart
    assert (heart & aorta).sum() < 0.15 * aorta.sum()
    dome = thorax.ellipsoid((-60, -10, -85), (35, 40, 40)) & ~thorax.heart
    assert (heart & dome).sum() < 0.1 * dome.sum()


def test_bounding_box_is_tight() -> None:
    heart = find_heart(Thorax().volume())
    box = heart.bounding_box
    assert heart.mask[box].sum() == heart.mask.sum()
    for axis in range(3):
        inside = np.asarray(heart.mask[box].any(axis=tuple(other for other in range(3) if other != axis)))
        assert inside[0]
        assert inside[-1]


@pytest.mark.parametrize("size", [0.75, 0.9, 1.15])
def test_small_and_large_patients(size: float) -> None:
    spacing_mm = (SPACING_MM[0] * size, SPACING_MM[1] * size, SPACING_MM[2] * size)
    thorax = Thorax()
    volume = Volume(thorax.hu, Geometry.from_spacing(SHAPE, spacing_mm))
    assert dice(find_heart(volume).mask, thorax.heart) > 0.85


def test_int16_and_float32_give_the_same() -> None:
    volume = Thorax().volume(noise_hu=20)
    as_float = Volume(volume.hu.astype(np.float32), volume.geometry)
    heart, heart_of_float = find_heart(volume), find_heart(as_float)
    assert np.array_equal(heart.mask, heart_of_float.mask)
    assert blood_pool_noise_hu(volume, heart) == blood_pool_noise_hu(as_float, heart_of_float)


@pytest.mark.parametrize(
    ("slices", "cut"), [((22, 44), (True, False)), ((8, 24), (False, True)), ((15, 29), (True, True))]
)
def test_a_heart_that_is_cut_off_is_reported(slices: tuple[int, int], cut: tuple[bool, bool]) -> None:
    thorax = Thorax()
    part = (slice(*slices), slice(None), slice(None))
    heart = find_heart(thorax.volume(noise_hu=10).crop(part))
    assert (heart.touches_first_slice, heart.touches_last_slice) == cut
    assert dice(heart.mask, thorax.heart[part]) > 0.85


def test_a_narrow_field_of_view_with_a_round_border() -> None:
    thorax = Thorax()
    hu = thorax.hu.copy()
    row_mm, column_mm = ((np.arange(n) - (n - 1) / 2) * 2.0 for n in SHAPE[1:])
    hu[:, np.hypot(row_mm[:, None] + 10, column_mm[None]) > 125] = -1024
    heart = find_heart(Volume(hu, Geometry.from_spacing(SHAPE, SPACING_MM)))
    assert dice(heart.mask, thorax.heart) > 0.85


def without_heart() -> dict[str, NDArray[np.int16]]:
    thorax = Thorax()
    ends = np.full_like(thorax.hu, AIR)
    ends[14:30] = thorax.hu[14:30]
    return {
        "air": np.full(SHAPE, AIR, np.int16),
        "water": np.zeros(SHAPE, np.int16),
        "no lungs": Thorax(lungs=()).hu,
        "one lung": Thorax(lungs=("left",)).hu,
        "abdomen": thorax.hu[:8],
        "no heart": Thorax(heart_mm=(1.0, 1.0, 1.0)).hu,
        "an object that ends at both ends": ends,
    }


@pytest.mark.parametrize("name", list(without_heart()))
def test_what_holds_no_heart_is_refused(name: str) -> None:
    hu = without_heart()[name]
    with pytest.raises(Refusal) as refused:
        find_heart(Volume(hu, Geometry.from_spacing(hu.shape, SPACING_MM)))
    assert refused.value.reason.code is Code.HEART_NOT_FOUND


def test_a_tiny_scan_is_refused_not_a_crash() -> None:
    for shape in ((1, 1, 1), (5, 8, 8), (3, 128, 1)):
        hu = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
        with pytest.raises(Refusal, match="HEART_NOT_FOUND"):
            find_heart(Volume(hu, Geometry.from_spacing(shape, SPACING_MM)))


def test_a_mask_is_bool_and_of_its_grid() -> None:
    with pytest.raises(ValueError, match="bool of shape"):
        HeartMask(np.zeros((2, 3, 4), bool), Geometry.from_spacing((2, 3, 5), SPACING_MM))


@pytest.mark.reference
@pytest.mark.parametrize(
    ("folder", "volume_ml", "noise_hu", "cut_below"),
    [
        ("acrin_flt_breast_001_ctac", 550, 9, True),
        ("lung_dx_A0001/kernel_B", 1100, 8, False),
        ("lung_dx_A0001/kernel_L", 1130, 37, False),
    ],
)
def test_real_scans(reference_data: Path, folder: str, volume_ml: int, noise_hu: int, cut_below: bool) -> None:
    """Volumes are those of masks that were checked slice by slice; the noise is stated in the data's README."""
    volume = real_scan(reference_data / folder)
    heart = find_heart(volume)
    assert heart.volume_ml == pytest.approx(volume_ml, rel=0.1)
    assert (heart.touches_first_slice, heart.touches_last_slice) == (cut_below, False)
    assert blood_pool_noise_hu(volume, heart) == pytest.approx(noise_hu, rel=0.2)


@pytest.mark.reference
def test_a_phantom_is_refused(reference_data: Path) -> None:
    with pytest.raises(Refusal, match="HEART_NOT_FOUND"):
        find_heart(real_scan(reference_data / "qrm_phantom_canon"))

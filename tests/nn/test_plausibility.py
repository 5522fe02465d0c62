"""A drawn heart between two lungs is plausible; shifted, mirrored, turned over or shrunk it is not."""

from dataclasses import replace

import numpy as np
import pytest

from ctacal.anatomy import Anatomy
from ctacal.arrays import Bytes
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.plausibility import implausible
from tests.nn.drawn_chest import CHAMBERS, SHAPE, chest, map_of


def moved_aside(drawn: Bytes) -> Bytes:
    """Put the heart where the left shoulder is."""
    heart = np.where(np.isin(drawn, [chamber for chamber, *_ in CHAMBERS]), drawn, 0)
    rest = np.where(heart > 0, np.uint8(Anatomy.OTHER), drawn)
    shifted = np.roll(heart, 38, axis=2)
    return np.where(shifted > 0, shifted, rest)


def test_a_drawn_heart_is_plausible() -> None:
    assert implausible(map_of(chest())) is None


@pytest.mark.parametrize("collapsed", [0, 1])
def test_one_collapsed_lung_is_allowed(collapsed: int) -> None:
    right, left = (Anatomy.OTHER if side == collapsed else Anatomy.LUNG for side in (0, 1))
    drawn = chest(lungs=(right, left))
    assert implausible(map_of(drawn)) is None


def with_spine(drawn: Bytes, column: int) -> Bytes:
    """Put a spine behind the heart, with its middle in a column."""
    drawn = drawn.copy()
    drawn[:, 50:62, column - 5 : column + 6] = Anatomy.BONE
    return drawn


@pytest.mark.parametrize(
    ("column", "lungs", "told"),
    [
        (42, (Anatomy.LUNG, Anatomy.LUNG), False),
        (54, (Anatomy.LUNG, Anatomy.LUNG), True),
        (54, (Anatomy.OTHER, Anatomy.LUNG), False),  # a collapsed right lung draws the heart to its side
        (54, (Anatomy.LUNG, Anatomy.OTHER), True),
    ],
)
def test_a_heart_right_of_the_spine_is_that_of_a_mirrored_picture(
    column: int, lungs: tuple[Anatomy, Anatomy], told: bool
) -> None:
    reason = implausible(map_of(with_spine(chest(lungs=lungs), column)))
    assert ("the picture is mirrored" in str(reason)) == told


@pytest.mark.parametrize(("width", "told"), [(3, True), (7, False)])
def test_the_aorta_left_of_the_spine_shows_that_a_heart_hangs_in_the_middle(width: int, told: bool) -> None:
    drawn = with_spine(chest(), 50)
    drawn[:, 52 : 52 + width, 58 : 58 + width] = Anatomy.AORTA
    assert ("the picture is mirrored" in str(implausible(map_of(drawn)))) == told


def test_a_heart_cut_off_above_the_ventricles_is_allowed() -> None:
    assert implausible(map_of(chest()[:18])) is None


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        (np.zeros(SHAPE, np.uint8), "0 mL of left ventricle found"),
        (np.where(chest() == Anatomy.RIGHT_VENTRICLE, np.uint8(0), chest()), "0 mL of right ventricle found"),
        (chest()[::-1].copy(), "the left atrium does not lie above the left ventricle"),
        (chest()[:, ::-1].copy(), "the left atrium does not lie behind the right ventricle"),
        (chest()[:, :, ::-1].copy(), "the left ventricle does not lie to the left of the right atrium"),
        (
            np.where(chest() == Anatomy.LEFT_ATRIUM, np.uint8(0), chest()),
            "no left atrium found, though the scan reaches 100 mm above the ventricles",
        ),
        (chest(lungs=(Anatomy.OTHER, Anatomy.OTHER)), "no lung beside the heart"),
        (moved_aside(chest()), "does not lie between the lungs"),
        (np.full(SHAPE, Anatomy.LEFT_VENTRICLE, np.uint8), "mL of right ventricle found"),
    ],
    ids=[
        "nothing",
        "one ventricle",
        "head for feet",
        "prone",
        "mirrored",
        "no atrium",
        "no lung",
        "in the shoulder",
        "all heart",
    ],
)
def test_what_is_no_heart_is_told(drawn: Bytes, reason: str) -> None:
    assert reason in str(implausible(map_of(drawn)))


def scan_of(drawn: Bytes, *, fat_rows: int) -> AnatomyMap:
    """The drawn chest as a scan with noise: lung, soft tissue, and fat behind it; each slice lies two rows
    further back than the one below, so that the picture changes along the patient."""
    hu = np.where(drawn == Anatomy.LUNG, -850.0, 40.0)
    hu[:, 64 - fat_rows :] = -100
    hu = np.stack([np.roll(plane, 2 * index, axis=0) for index, plane in enumerate(hu)])
    hu += np.random.default_rng(0).normal(scale=20, size=drawn.shape)
    return replace(map_of(drawn), hu=hu.astype(np.float32))


def test_a_phantom_that_is_alike_in_all_slices_is_told() -> None:
    """The network finds chambers one above the other in a cylinder; only noise changes in the picture."""
    scan = scan_of(chest(), fat_rows=8)
    assert implausible(scan) is None
    assert scan.hu is not None
    noise = np.random.default_rng(1).normal(scale=15, size=SHAPE).astype(np.float32)
    alike = np.broadcast_to(scan.hu[14], SHAPE) + noise
    assert "a phantom: 0% of the picture changes over 30 mm" in str(implausible(replace(scan, hu=alike)))


def test_a_torso_of_water_is_told_from_a_patient_with_fat_or_bone() -> None:
    water = scan_of(chest(), fat_rows=0)
    assert "a phantom: 0% fat, and 0 cm2 of bone" in str(implausible(water))
    assert water.hu is not None
    water.hu[:, 30:44, 40:50] = 600
    assert implausible(water) is None


def test_a_heart_is_not_larger_than_a_chest() -> None:
    drawn = chest()
    drawn[:, :32] = Anatomy.RIGHT_VENTRICLE
    drawn[:, 32:] = Anatomy.LEFT_VENTRICLE
    assert "expected at most 2500" in str(implausible(map_of(drawn)))

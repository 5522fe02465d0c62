"""A beating heart and breathing during the scan."""

from dataclasses import replace

import numpy as np
import pytest

from ctacal.geometry import Geometry
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.scanner.motion import (
    Motion,
    Timing,
    breathing_shift_mm,
    phase_weights,
    still_region,
)
from ctacal.simulate.scanner.scan import scan
from ctacal.simulate.vital_signs import ATRIAL_FIBRILLATION
from tests.simulate.bodies import QUIET, cylinder

PROTOCOL = replace(QUIET, fov_mm=180.0, matrix=128, scan_field_mm=220.0, scatter=0.0)
REST = cylinder(140, slices=8, hydroxyapatite=(((0.0, 0.0, 4.0), 500.0),))
HEART = (slice(0, 8), slice(46, 106), slice(46, 106))


def heart_at(row_mm: int) -> Body:
    """Return the heart region with its calcium moved to posterior."""
    added = np.roll(REST.hydroxyapatite_mg_cm3[HEART], row_mm, axis=1)
    return Body(REST.tissue[HEART], added, REST.geometry.crop(HEART))


def beating(phase: float) -> Body:
    return heart_at(round(6 * (1 - np.cos(2 * np.pi * phase))))


def test_a_heart_that_stands_still_changes_nothing() -> None:
    still = scan(REST, PROTOCOL, seed=1).hu.astype(int)
    moving = scan(REST, PROTOCOL, seed=1, motion=Motion.of_heart(lambda _: heart_at(0))).hu.astype(int)
    assert np.abs(still - moving).max() <= 1, "half a HU, and rounding"


@pytest.mark.slow
def test_a_heart_that_has_moved_for_good_is_seen_there() -> None:
    """Adding differences gives the same as a body drawn in that phase."""
    moved = Body(REST.tissue, np.roll(REST.hydroxyapatite_mg_cm3, 10, axis=1), REST.geometry)
    drawn = scan(moved, PROTOCOL, seed=1).hu.astype(int)
    added = scan(REST, PROTOCOL, seed=1, motion=Motion.of_heart(lambda _: heart_at(10))).hu.astype(int)
    assert np.abs(drawn - added).max() <= 2


@pytest.mark.slow
def test_a_beating_heart_smears_calcium() -> None:
    still = scan(REST, PROTOCOL, seed=1).hu
    slow = scan(REST, replace(PROTOCOL, rotation_s=10.0), seed=1, motion=Motion.of_heart(beating)).hu
    fast = scan(REST, replace(PROTOCOL, rotation_s=0.3), seed=1, motion=Motion.of_heart(beating)).hu
    assert slow.max() < 0.75 * still.max()
    assert fast.max() > slow.max()
    assert slow.astype(float).sum() == pytest.approx(still.astype(float).sum(), rel=0.005), "nothing is lost"


@pytest.mark.slow
def test_the_seed_makes_the_beats() -> None:
    motion = Motion.of_heart(beating, irregularity=ATRIAL_FIBRILLATION)
    first, again, other = (scan(REST, PROTOCOL, seed=seed, motion=motion).hu for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_each_view_sees_one_heart() -> None:
    motion = Motion(phases=(heart_at(0),) * 8, irregularity=ATRIAL_FIBRILLATION)
    timing = Timing.of(PROTOCOL, np.arange(5.0) * 4.0, 0.3)
    weights = phase_weights(motion, timing.view_s, np.random.default_rng(0))
    assert weights.shape == (8, PROTOCOL.views, 5)
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-6)


def test_views_are_taken_within_the_rotation() -> None:
    helical = Timing.of(replace(PROTOCOL, pitch=0.5, collimation_mm=10.0), np.arange(5.0) * 5.0, 0.0)
    np.testing.assert_allclose(np.diff(helical.middle_s), PROTOCOL.rotation_s)
    assert np.abs(helical.view_s - helical.middle_s).max() <= PROTOCOL.rotation_s / 2 + 1e-9
    steps = Timing.of(replace(PROTOCOL, helical=False, collimation_mm=10.0, step_s=2.0), np.arange(5.0) * 5.0, 0.0)
    np.testing.assert_allclose(np.diff(steps.middle_s), [0, PROTOCOL.rotation_s + 2, 0, PROTOCOL.rotation_s + 2])


def test_breathing_displaces_slices() -> None:
    body = cylinder(100, slices=34)  # the breath needs 10 mm above the highest slice
    body.tissue[12:][body.tissue[12:] == Tissue.WATER] = Tissue.FAT
    protocol = replace(PROTOCOL, thickness_mm=2.0, spacing_mm=2.0, collimation_mm=2.0, rotation_s=1.0, helical=False)
    rest = scan(body, protocol, seed=1).hu[:, 64, 64]
    breath = scan(body, protocol, seed=1, motion=Motion(breathing_mm=10.0, breathing_s=7.0)).hu[:, 64, 64]
    assert np.count_nonzero(np.diff(rest < -50)) == 1
    assert len(breath) == 12
    assert np.abs(rest[:12] - breath).max() > 80
    time_s = np.linspace(0, 14, 99)
    shift_mm = breathing_shift_mm(Motion(breathing_mm=10.0, breathing_s=7.0), time_s)
    assert (shift_mm.min(), shift_mm.max()) == pytest.approx((0, 10), abs=0.1)


def test_breathing_blurs_within_a_slow_rotation() -> None:
    """The edge between water and fat is sharp in a fast rotation, and blurred over the breath in a slow rotation."""
    body = cylinder(100, slices=36)
    body.tissue[18:][body.tissue[18:] == Tissue.WATER] = Tissue.FAT
    protocol = replace(PROTOCOL, thickness_mm=2.0, spacing_mm=2.0, collimation_mm=72.0, helical=False)
    motion = Motion(breathing_mm=10.0, breathing_s=4.0)
    fast, slow = (scan(body, replace(protocol, rotation_s=s), seed=1, motion=motion).hu[:, 64, 64] for s in (0.2, 24.0))
    partly = [np.count_nonzero((hu < -10) & (hu > -85)) for hu in (fast, slow)]
    assert partly[0] <= 2
    assert partly[1] >= 4


def test_a_region_off_the_grid_is_refused() -> None:
    geometry = Geometry.from_spacing((8, 60, 60), (1, 1, 1), (0.3, 0, 0))
    shifted = Body(REST.tissue[HEART], REST.hydroxyapatite_mg_cm3[HEART], geometry)
    with pytest.raises(ValueError, match="no whole-voxel part"):
        scan(REST, PROTOCOL, seed=1, motion=Motion(phases=(shifted,)))
    with pytest.raises(ValueError, match="no whole-voxel part"):
        still_region(heart_at(0), REST.geometry)


@pytest.mark.parametrize("wrong", [{"heart_rate_bpm": 0.0}, {"breathing_s": -1.0}, {"irregularity": 2.0}])
def test_impossible_motion_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Motion(**wrong)  # type: ignore[arg-type]

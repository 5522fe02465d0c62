"""Geometry: every operation on an array changes its position in the patient accordingly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctacal.geometry import CANONICAL_DIRECTIONS, Geometry
from ctacal.volume import Volume, reoriented

SHAPE = (5, 7, 9)


def oblique() -> Geometry:
    """Return a grid turned by 20 degrees in plane, sheared by a gantry tilt, off the origin."""
    turn = np.deg2rad(20)
    affine = np.eye(4)
    affine[:3, 2] = np.array([np.cos(turn), np.sin(turn), 0]) * 0.7
    affine[:3, 1] = np.array([-np.sin(turn), np.cos(turn), 0]) * 0.9
    affine[:3, 0] = (0.2, 0.4, 3.0)
    affine[:3, 3] = (-120.0, -90.0, 600.0)
    return Geometry(SHAPE, affine)


def test_spacing_is_measured_along_the_slice_normal() -> None:
    assert oblique().spacing_mm == pytest.approx((3.0, 0.9, 0.7))
    assert oblique().voxel_volume_mm3 == pytest.approx(3.0 * 0.9 * 0.7)
    assert oblique().pixel_area_mm2 == pytest.approx(0.63)


slices = st.tuples(st.integers(0, 2), st.integers(3, 5), st.sampled_from([1, 2]))


@settings(deadline=None, max_examples=50)
@given(st.tuples(slices, slices, slices), st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_voxels_keep_their_place(
    spans: tuple[tuple[int, int, int], ...], axes: list[int], flipped: tuple[bool, ...]
) -> None:
    """Crop, flip and transpose an array that holds its own patient positions: geometry must say the same."""
    geometry = oblique()
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    places = index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
    cut = tuple(slice(*span) for span in spans)
    flips = tuple(slice(None, None, -1 if flip else 1) for flip in flipped)
    turned = (
        geometry.crop((cut[0], cut[1], cut[2]))
        .transpose((axes[0], axes[1], axes[2]))
        .crop((flips[0], flips[1], flips[2]))
    )
    moved = places[cut].transpose(*axes, 3)[flips]
    for voxel in np.ndindex(turned.shape):
        np.testing.assert_allclose(turned.to_patient_mm(voxel), moved[voxel], atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_canonical_form_is_reached_from_every_orientation(axes: list[int], signs: tuple[int, ...]) -> None:
    geometry = oblique()
    hu = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    flips = tuple(slice(None, None, sign) for sign in signs)
    order = (axes[0], axes[1], axes[2])
    turned = geometry.transpose(order).crop((flips[0], flips[1], flips[2]))
    back = Volume(np.ascontiguousarray(hu.transpose(order)[flips]), turned).canonical()
    assert np.array_equal(back.hu, hu)
    assert back.geometry.same_grid(geometry)


def test_with_spacing_keeps_the_extent() -> None:
    coarse = Geometry.from_spacing((20, 40, 40), (3.0, 1.0, 1.0), (10, 20, 30)).with_spacing((6.0, 2.0, 2.0))
    assert coarse.shape == (10, 20, 20)
    np.testing.assert_allclose(coarse.to_patient_mm((-0.5, -0.5, -0.5)), (9.5, 19.5, 28.5))


def test_same_grid_notices_a_hundredth_of_a_millimetre_and_more() -> None:
    geometry = oblique()
    moved, stretched = geometry.affine.copy(), geometry.affine.copy()
    moved[0, 3] += 0.02
    stretched[2, 0] += 0.01
    assert geometry.same_grid(Geometry(SHAPE, geometry.affine + 1e-6))
    assert not geometry.same_grid(Geometry(SHAPE, moved))
    assert not geometry.same_grid(Geometry(SHAPE, stretched))
    assert not geometry.same_grid(geometry.crop(np.s_[:4, :, :]))


def test_impossible_grids_are_errors() -> None:
    affine = np.eye(4)
    with pytest.raises(ValueError, match="singular"):
        Geometry(SHAPE, np.diag([1.0, 1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="finite"):
        Geometry(SHAPE, affine * np.nan)
    with pytest.raises(ValueError, match="positive"):
        Geometry((0, 1, 1), affine)
    turned = np.eye(4)
    turned[:2, :2] = [[1, -1], [1, 1]]
    with pytest.raises(ValueError, match="45 degrees"):
        reoriented(np.zeros(SHAPE), Geometry(SHAPE, turned @ np.eye(4)), CANONICAL_DIRECTIONS)

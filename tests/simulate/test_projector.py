"""The projector, compared with exact paths through discs, and with scikit-image."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ctacal.simulate.scanner.kernel import FAMILIES, blur_sd_rays, detector_blur, filtered, filtered_part, ramp_response
from ctacal.simulate.scanner.projector import back_project, project_into, view_angles

VIEWS, RAYS, RAY_MM = 360, 321, 1.0
ROW_MM, COLUMN_MM, RADIUS_MM = 30.0, -50.0, 60.0


def disc(size: int, pixel_mm: float, row_mm: float, column_mm: float, radius_mm: float) -> NDArray[np.float32]:
    """Return (size, size, 1): a disc, averaged over each pixel."""
    fine = (np.arange(size * 4) - (size * 4 - 1) / 2) * pixel_mm / 4
    covered = ((fine[:, None] - row_mm) ** 2 + (fine - column_mm) ** 2 < radius_mm**2).astype(np.float32)
    return np.asarray(covered.reshape(size, 4, size, 4).mean(axis=(1, 3))[:, :, None], np.float32)


def exact() -> NDArray[np.float32]:
    """Return (views, rays, 1): paths through the disc."""
    angles = view_angles(VIEWS)
    middle = COLUMN_MM * np.cos(angles) + ROW_MM * np.sin(angles)
    offset = (np.arange(RAYS) - (RAYS - 1) / 2) * RAY_MM - middle[:, None]
    return (2 * np.sqrt(np.maximum(RADIUS_MM**2 - offset**2, 0))).astype(np.float32)[:, :, None]


def projected(image: NDArray[np.float32], middle_mm: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float32]:
    sinogram = np.zeros((VIEWS, RAYS, image.shape[2]), np.float32)
    project_into(sinogram, image, pixel_mm=1.0, middle_mm=middle_mm, detector_mm=RAY_MM)
    return sinogram


def test_paths_through_a_disc_are_the_exact_ones() -> None:
    difference = projected(disc(256, 1.0, ROW_MM, COLUMN_MM, RADIUS_MM)) - exact()
    assert np.sqrt(np.mean(difference**2)) < 0.003 * 2 * RADIUS_MM


def test_each_view_holds_the_whole_mass() -> None:
    image = disc(256, 1.0, ROW_MM, COLUMN_MM, RADIUS_MM)
    np.testing.assert_allclose(projected(image).sum(axis=1) * RAY_MM, image.sum(), rtol=1e-3)


def test_a_part_is_projected_to_its_place() -> None:
    """A crop of the image, at its own position, has the same projections as the whole image."""
    whole = disc(256, 1.0, ROW_MM, COLUMN_MM, RADIUS_MM)
    part = whole[90:230, 10:150]
    middle_mm = ((90 + 229) / 2 - 127.5, (10 + 149) / 2 - 127.5)
    np.testing.assert_allclose(projected(part, middle_mm), projected(whole), atol=1e-2)


@pytest.mark.slow
def test_planes_do_not_mix_and_weights_multiply() -> None:
    first, second = disc(128, 1.0, 0, 0, 30), disc(128, 1.0, 10, 20, 15)
    both = np.concatenate([first, second], axis=2)
    sinogram = np.zeros((VIEWS, RAYS, 2), np.float32)
    weights = np.zeros((VIEWS, 2), np.float32)
    weights[:10, 1] = 0.5
    project_into(sinogram, both, pixel_mm=1.0, middle_mm=(0, 0), detector_mm=RAY_MM, weights=weights)
    assert not sinogram[:, :, 0].any()
    assert not sinogram[10:].any()
    np.testing.assert_allclose(sinogram[:10, :, 1], 0.5 * projected(second)[:10, :, 0], rtol=1e-4, atol=1e-3)


def test_another_number_of_planes_is_refused() -> None:
    with pytest.raises(ValueError, match="1 planes, the sinogram 2"):
        project_into(
            np.zeros((4, 8, 2), np.float32),
            np.zeros((4, 4, 1), np.float32),
            pixel_mm=1,
            middle_mm=(0, 0),
            detector_mm=1,
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_disc_comes_back_within_one_hu(family: str) -> None:
    response = ramp_response(RAYS, RAY_MM, family, 0.25, 0.0)
    image = back_project(filtered(exact(), response), (256, 256), pixel_mm=1.0, detector_mm=RAY_MM)[:, :, 0]
    within = disc(256, 1.0, ROW_MM, COLUMN_MM, RADIUS_MM - 20)[:, :, 0] == 1  # a lung kernel rings as far as that
    assert abs(image[within].mean() - 1) < 0.001
    assert np.abs(image[within] - 1).max() < 0.005
    mirrored = image[::-1][within].mean()
    assert mirrored < 0.6, "the disc lies where it was, not flipped"


def test_the_middle_of_the_picture_can_lie_elsewhere() -> None:
    response = ramp_response(RAYS, RAY_MM, "hann", 0.25, 0.0)
    image = back_project(
        filtered(exact(), response), (64, 64), pixel_mm=1.0, detector_mm=RAY_MM, middle_mm=(ROW_MM, COLUMN_MM)
    )
    assert abs(image.mean() - 1) < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("planes", [1, 20, 30, 35])
def test_a_view_that_misses_a_pixel_adds_nothing_to_it_and_the_rest_stays(planes: int) -> None:
    """The kernel without tests for pixels outside of a view gives the same image; only corners fade."""
    response = ramp_response(RAYS, RAY_MM, "hann", 0.25, 0.0)
    paths = np.repeat(exact()[:-1], planes, axis=2) * np.linspace(0.5, 1.5, planes, dtype=np.float32)
    seen = filtered(paths, response)
    large, small = (back_project(seen, (n, n), pixel_mm=4.0, detector_mm=RAY_MM) for n in (100, 50))
    np.testing.assert_allclose(large[25:75, 25:75], small, atol=1e-5)
    corner = back_project(np.ones_like(seen), (100, 100), pixel_mm=4.0, detector_mm=RAY_MM)[0, 0]
    angles = view_angles(VIEWS - 1)
    crossing = np.abs(-198 * np.cos(angles) - 198 * np.sin(angles)) < (RAYS - 1) / 2
    np.testing.assert_allclose(corner, np.pi * crossing.mean(), rtol=1e-4)


@pytest.mark.slow
def test_only_the_rays_that_cross_the_picture_are_needed() -> None:
    """Rays filtered by matrices, in odd numbers of planes and views, give the same image as all rays."""
    response = ramp_response(RAYS, RAY_MM, "hann", 0.25, 0.0)
    paths = np.repeat(exact()[:-1], 27, axis=2) * np.linspace(0.5, 1.5, 27, dtype=np.float32)
    where = {"pixel_mm": 1.0, "detector_mm": RAY_MM, "middle_mm": (ROW_MM, COLUMN_MM)}
    whole = back_project(filtered(paths, response), (41, 30), **where)  # type: ignore[arg-type]
    angles = view_angles(VIEWS - 1)
    seen_mm = COLUMN_MM * np.cos(angles) + ROW_MM * np.sin(angles)
    first = np.floor(seen_mm / RAY_MM + (RAYS - 1) / 2).astype(int) - 30
    part = filtered_part(paths, response, first, 62)
    first_mm = (first - (RAYS - 1) / 2) * RAY_MM
    image = back_project(part, (41, 30), first_mm=first_mm, **where)  # type: ignore[arg-type]
    np.testing.assert_allclose(image, whole, atol=1e-4)
    blurred = filtered(detector_blur(paths, 2.0, RAY_MM), response)
    by_matrix = filtered_part(paths, response, np.zeros(VIEWS - 1, np.int64), RAYS, blur_sd_rays(2.0, RAY_MM))
    np.testing.assert_allclose(by_matrix, blurred, atol=1e-4)


def test_scikit_image_agrees() -> None:
    transform = pytest.importorskip("skimage.transform")
    image = disc(161, 1.0, 10, -20, 40)[:, :, 0]
    angles = np.rad2deg(view_angles(90))
    theirs = transform.radon(image, theta=angles, circle=True).T
    ours = np.zeros((90, 161, 1), np.float32)
    project_into(ours, image[:, :, None], pixel_mm=1.0, middle_mm=(0, 0), detector_mm=1.0)
    other_way = theirs[-np.arange(90) % 90]  # their angles grow against ours
    other_way[1:] = other_way[1:, ::-1]
    assert np.sqrt(np.mean((ours[:, :, 0] - other_way) ** 2)) < 0.1


def test_detector_blur_keeps_the_signal() -> None:
    signal = exact()
    blurred = detector_blur(signal, 3.0, RAY_MM)
    np.testing.assert_allclose(blurred.sum(axis=1), signal.sum(axis=1), rtol=1e-4)
    assert blurred.max() < signal.max()
    assert detector_blur(signal, 0.0, RAY_MM) is not signal

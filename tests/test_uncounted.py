"""The list of what was weighed and not counted: the largest one by one, all the others as a number and a sum."""

from dataclasses import replace

import numpy as np
import pytest

from ctacal.geometry import Geometry
from ctacal.islands import find_islands
from ctacal.scores import SCCT_2016
from ctacal.uncounted import MOST_FADED_LISTED, MOST_LISTED, Faded, Rest, TakenFor, Uncounted, listed
from ctacal.volume import Volume


def uncounted(hu: np.ndarray, pixel_mm: float = 1.0) -> Uncounted:
    volume = Volume(hu.astype(np.float32), Geometry.from_spacing(hu.shape, (3.0, pixel_mm, pixel_mm)))
    islands = find_islands(volume, np.nonzero(volume.hu >= 130))
    names = tuple(TakenFor.BONE if n % 2 else TakenFor.NO_CALCIUM for n in range(islands.count))
    return Uncounted(islands, names, np.linspace(0.1, 0.2, islands.count))


def test_islands_are_listed_with_what_they_would_score() -> None:
    hu = np.full((3, 20, 20), 40.0)
    hu[0, 2, 2] = 150.0
    hu[1, 10:14, 10:15] = 450.0
    found = listed(uncounted(hu), SCCT_2016, first_slice=7)
    assert [row.taken_for for row in found.islands] == [TakenFor.BONE, TakenFor.NO_CALCIUM]
    large = found.islands[0]
    assert (large.island.peak_hu, large.island.slices) == (450.0, (8, 8))
    assert large.island.agatston == pytest.approx(80.0)
    assert large.probability == pytest.approx(0.2)
    assert found.rest == found.faded == Rest() and (found.weighed_count, found.faded_count) == (2, 0)


def test_specks_below_the_smallest_size_are_summed() -> None:
    hu = np.full((1, 20, 20), 40.0)
    hu[0, 2, 2] = hu[0, 8, 8] = 150.0
    hu[0, 12:16, 12:16] = 150.0
    found = listed(uncounted(hu, pixel_mm=0.8), SCCT_2016)
    assert len(found.islands) == 1
    assert (found.rest.islands, found.rest.agatston) == (2, 0.0)
    assert found.rest.volume_mm3 == pytest.approx(2 * 0.64 * 3)


def test_a_noisy_scan_gives_a_list_of_limited_length() -> None:
    hu = np.full((1, 40, 40), 40.0)
    hu[0, ::2, ::2] = 150.0
    hu[0, 20, 20] = 250.0
    found = listed(uncounted(hu), SCCT_2016)
    assert len(found.islands) == MOST_LISTED and found.rest.islands == 400 - MOST_LISTED
    assert found.islands[0].island.agatston == pytest.approx(2.0)
    assert found.rest.agatston == pytest.approx(400 - MOST_LISTED)


def test_nothing_was_left_out() -> None:
    found = listed(uncounted(np.full((1, 20, 20), 40.0)), SCCT_2016)
    assert (found.islands, found.rest) == ((), Rest())


def test_of_what_fades_the_brightest_are_listed_and_all_others_summed() -> None:
    """36 specks that fade, brighter along the rows; the brightest three lie at the rim of something weighed."""
    hu = np.full((1, 20, 20), 40.0)
    hu[0, ::3, ::3][:6, :6] = 150.0
    specks = uncounted(hu)
    assert specks.islands.count == 36
    smoothed_hu = np.linspace(60, 125, 36)
    found = listed(
        replace(uncounted(np.full((1, 20, 20), 40.0)), faded=Faded(specks.islands, smoothed_hu, smoothed_hu > 120)),
        SCCT_2016,
    )
    assert len(found.islands) == MOST_FADED_LISTED and found.rest == Rest()
    assert all(row.taken_for is TakenFor.FADED and row.probability is None for row in found.islands)
    last = specks.islands.voxel[32] // 20, specks.islands.voxel[32] % 20
    assert found.islands[0].island.centroid_mm == pytest.approx((last[1], last[0], 0.0))
    rest = found.faded
    assert (rest.islands, rest.volume_mm3, rest.agatston) == pytest.approx((26, 78.0, 26.0))
    assert (found.weighed_count, found.faded_count) == (0, 36)

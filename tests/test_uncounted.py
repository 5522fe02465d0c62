"""The list of what was weighed and not counted: the largest one by one, all the others as a number and a sum."""

import numpy as np
import pytest

from ctacal.geometry import Geometry
from ctacal.islands import find_islands
from ctacal.scores import SCCT_2016
from ctacal.uncounted import MOST_LISTED, TakenFor, Uncounted, listed
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
    assert (found.rest, found.rest_agatston, found.rest_volume_mm3) == (0, 0.0, 0.0)


def test_specks_below_the_smallest_size_are_summed() -> None:
    hu = np.full((1, 20, 20), 40.0)
    hu[0, 2, 2] = hu[0, 8, 8] = 150.0
    hu[0, 12:16, 12:16] = 150.0
    found = listed(uncounted(hu, pixel_mm=0.8), SCCT_2016)
    assert len(found.islands) == 1
    assert (found.rest, found.rest_agatston) == (2, 0.0)
    assert found.rest_volume_mm3 == pytest.approx(2 * 0.64 * 3)


def test_a_noisy_scan_gives_a_list_of_limited_length() -> None:
    hu = np.full((1, 40, 40), 40.0)
    hu[0, ::2, ::2] = 150.0
    hu[0, 20, 20] = 250.0
    found = listed(uncounted(hu), SCCT_2016)
    assert len(found.islands) == MOST_LISTED and found.rest == 400 - MOST_LISTED
    assert found.islands[0].island.agatston == pytest.approx(2.0)
    assert found.rest_agatston == pytest.approx(400 - MOST_LISTED)


def test_nothing_was_left_out() -> None:
    found = listed(uncounted(np.full((1, 20, 20), 40.0)), SCCT_2016)
    assert (found.islands, found.rest) == ((), 0)

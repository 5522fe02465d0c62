"""Lesions of two label maps, with counts by hand."""

import numpy as np
import pytest

from ctacal.labels import Calcium
from ctacal.statistics.agreement import lesion_agreement, match_lesions, ratio_of_sums

LM, LAD, LCX, RCA, CORONARY, OTHER = Calcium


def empty() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.zeros((4, 8, 8), np.uint8)


def test_found_missed_false_and_other_vessels() -> None:
    a, b = empty(), empty()
    a[0, 0, 0:4] = LAD  # found in part, in the same vessel
    b[0, 0, 3:6] = LAD
    a[1, 4, 4], a[2, 5, 5], a[3, 6, 6] = LCX, LCX, LCX  # one lesion over three slices, joined by corners
    b[2, 5, 5] = RCA  # found, in another vessel
    a[0, 7, 7] = RCA  # missed: what the other marks there is other calcium
    b[0, 7, 7] = OTHER
    b[3, 0, 0], b[3, 0, 1] = LM, LM  # false
    a[3, 0, 0] = OTHER
    match = match_lesions(a, b, voxel_mm3=2.0)
    expected = np.zeros((6, 6), int)
    expected[LAD, LAD] = expected[LCX, RCA] = expected[RCA, 0] = expected[0, LM] = 1
    assert match.lesions.tolist() == expected.tolist()
    assert match.volume_mm3[LAD].tolist() == [6.0, 0, 2.0, 0, 0, 0]
    assert match.volume_mm3[0, [LM, LAD]].tolist() == [4.0, 4.0]
    found = lesion_agreement([match])
    assert found.all.lesions == 3
    assert found.all.found.estimate == pytest.approx(2 / 3)
    assert found.all.same_vessel.estimate == pytest.approx(1 / 2)
    assert found.all.false_per_scan.estimate == 1
    assert found.all.dice.estimate == pytest.approx(2 * 2 / (8 + 6))  # voxels: one in the LAD, one named LCX and RCA
    assert found.vessels["LAD"].dice.estimate == pytest.approx(2 / 7)
    assert found.vessels["LCX"].found.estimate == 1
    assert found.vessels["LCX"].same_vessel.estimate == 0
    assert list(found.vessels) == ["LM", "LAD", "LCX", "RCA"]
    assert found.vessels["LM"].found.reason == "no lesion is marked"
    assert found.all.found.low is None  # one study


def test_vessel_of_a_lesion_is_that_of_most_voxels() -> None:
    a, b = empty(), empty()
    a[0, 0, 0:5] = [LM, LAD, LAD, OTHER, LAD]  # other calcium parts them
    b[0, 0, 0:2] = [LCX, LM]
    lesions = match_lesions(a, b).lesions
    assert lesions[LAD, LM] == 1
    assert lesions[LAD, 0] == 1
    assert lesions.sum() == 2
    assert match_lesions(b, a).lesions[LM, LM] == 1  # ties go to the lower label: LM before LCX, LM before LAD


def test_sums_over_studies_and_their_intervals() -> None:
    same, missed, none = (match_lesions(a, b) for a, b in pairs())
    found = lesion_agreement([same] * 30 + [missed] * 10 + [none] * 10, seed=4)
    assert (found.studies, found.all.lesions) == (50, 40)
    assert found.all.found.estimate == pytest.approx(0.75)
    assert found.mean_dice.estimate == pytest.approx(0.75)  # of 40 studies with calcium
    assert found.all.dice.estimate == pytest.approx(2 * 60 / (60 + 70))
    low, high = found.all.found.low, found.all.found.high
    assert low is not None
    assert high is not None
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 40), rel=0.15)
    one_patient = lesion_agreement([same] * 30 + [missed] * 10, patients=["p"] * 40)
    assert one_patient.all.found.low is None


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    same, missed = empty(), empty()
    same[0, 0, 0:2], missed[1, 1, 1] = LAD, RCA
    return [(same, same), (missed, empty()), (empty(), empty())]


def test_nothing_to_compare_ends_in_words() -> None:
    assert lesion_agreement([]).all.found.reason == "no studies"
    assert lesion_agreement([match_lesions(empty(), empty())]).mean_dice.reason == "no lesion is marked"
    assert not lesion_agreement([match_lesions(empty(), empty())]).vessels
    with pytest.raises(ValueError, match="one shape"):
        match_lesions(empty(), empty()[:2])
    with pytest.raises(ValueError, match="a patient for each of 1"):
        lesion_agreement([match_lesions(empty(), empty())], patients=["a", "b"])


def test_ratio_of_sums() -> None:
    found = ratio_of_sums([1, 0, 2], [2, 0, 2], "share", "none")
    assert found.estimate == pytest.approx(3 / 4)
    assert found.reason.endswith("resamples hold none and are left out")


def test_no_interval_where_resamples_do_not_differ() -> None:
    """Three of three lesions found do not prove that all are."""
    found = ratio_of_sums([1, 1, 1], [1, 1, 1], "share", "none")
    assert (found.estimate, found.low, found.high) == (1, None, None)
    assert found.reason == "all resamples are equal"


def test_calcium_without_a_name_is_not_a_vessels_0() -> None:
    """A model that names no vessel finds lesions of each, but its vessels are unknown."""
    a, b = empty(), empty()
    a[0, 0, 0:2], b[0, 0, 0:2] = LAD, CORONARY
    a[3, 5, 5], b[3, 5, 5] = RCA, RCA
    unnamed = match_lesions(a, b)
    found = lesion_agreement([unnamed] * 4)
    assert found.all.found.estimate == found.all.dice.estimate == found.all.same_vessel.estimate == 1
    lad, rca = found.vessels["LAD"], found.vessels["RCA"]
    assert (lad.found.estimate, lad.same_vessel.estimate, lad.dice.estimate) == (1, None, None)
    assert lad.same_vessel.reason == "no lesion of which both name the vessel"
    assert (rca.dice.estimate, rca.false_per_scan.estimate) == (None, None)
    assert rca.dice.reason == "no study in which both name every vessel"
    same = match_lesions(a, a)
    more = lesion_agreement([unnamed, same, same]).vessels["LAD"]
    assert (more.dice.estimate, more.false_per_scan.estimate, more.found.n) == (1, 0, 3)

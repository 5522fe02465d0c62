"""Each lesion is in one match: kept, new, gone, split or merged."""

import numpy as np
import pytest

from ctacal.compare.matching import Kind, LesionMatch, match_lesions, place_lesions
from ctacal.compare.registration import RigidTransform
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.scores import SCCT_2016, score_label_map, scored_lesions
from ctacal.volume import Volume

GRID = Geometry.from_spacing((20, 60, 60), (3.0, 1.0, 1.0))
STILL = RigidTransform(np.eye(3), np.zeros(3), np.zeros(3), 1.0)
Lesion = tuple[Calcium, tuple[slice, slice, slice]]


def at(vessel: Calcium, slices: tuple[int, int], row: int, column: int, size: int = 3) -> Lesion:
    return vessel, (slice(*slices), slice(row, row + size), slice(column, column + size))


def matched(a: list[Lesion], b: list[Lesion], transform: RigidTransform = STILL) -> tuple[LesionMatch, ...]:
    placed = []
    for lesions in (a, b):
        hu, labels = np.full(GRID.shape, 40, np.int16), np.zeros(GRID.shape, np.uint8)
        for vessel, box in lesions:
            hu[box], labels[box] = 400, vessel
        found, _ = score_label_map(Volume(hu, GRID), LabelMap(labels, GRID))
        placed.append(place_lesions(found, SCCT_2016))
        assert [one.scored for one in placed[-1]] == [
            one for one in scored_lesions(found, SCCT_2016) if one.vessel is not Calcium.OTHER
        ]
    return match_lesions(placed[0], placed[1], transform)


def kinds(matches: tuple[LesionMatch, ...]) -> list[str]:
    return [match.kind.value for match in matches]


def test_kept_new_and_gone() -> None:
    matches = matched(
        [at(Calcium.LAD, (4, 7), 10, 10, 5), at(Calcium.RCA, (8, 9), 10, 40)],
        [at(Calcium.LAD, (5, 8), 12, 11, 5), at(Calcium.LCX, (15, 17), 50, 50)],
    )
    assert kinds(matches) == ["kept", "new", "gone"]
    kept, new, gone = matches
    assert kept.distance_mm == pytest.approx(np.linalg.norm((3, 2, 1)))
    assert not kept.vessels_differ
    assert (new.a, new.b[0].vessel, gone.b, gone.a[0].vessel) == ((), Calcium.LCX, (), Calcium.RCA)
    assert new.distance_mm is gone.distance_mm is None


def test_a_lesion_that_falls_apart_is_split_and_the_other_way_merged() -> None:
    whole = [at(Calcium.LAD, (4, 10), 10, 10)]
    parts = [at(Calcium.LAD, (4, 6), 10, 10), at(Calcium.LAD, (8, 10), 10, 10)]
    (split,), (merged,) = matched(whole, parts), matched(parts, whole)
    assert (split.kind, len(split.a), len(split.b)) == (Kind.SPLIT, 1, 2)
    assert (merged.kind, len(merged.a), len(merged.b)) == (Kind.MERGED, 2, 1)
    assert split.distance_mm == pytest.approx(0)


def test_a_new_lesion_beside_a_kept_one_is_no_part_of_it() -> None:
    assert kinds(
        matched(
            [at(Calcium.LAD, (4, 7), 10, 10, 5)],
            [at(Calcium.LAD, (4, 7), 10, 10, 5), at(Calcium.LAD, (4, 6), 10, 22)],
        )
    ) == ["kept", "new"]


def test_of_two_near_lesions_the_vessel_decides_and_a_renamed_one_is_told() -> None:
    first = [at(Calcium.LAD, (4, 6), 10, 10), at(Calcium.LCX, (4, 6), 10, 18)]
    second = [at(Calcium.LAD, (4, 6), 10, 15), at(Calcium.LCX, (4, 6), 10, 23)]
    assert [match.vessels_differ for match in matched(first, second)] == [False, False]
    (renamed,) = matched([at(Calcium.LM, (4, 6), 10, 10)], [at(Calcium.LAD, (4, 6), 11, 10)])
    assert renamed.vessels_differ
    assert renamed.kind is Kind.KEPT


def test_lesions_are_compared_where_the_transform_leads() -> None:
    shift = RigidTransform(np.eye(3), np.array([20.0, 0.0, 0.0]), np.zeros(3), 1.0)
    first, second = [at(Calcium.RCA, (4, 6), 10, 10)], [at(Calcium.RCA, (4, 6), 10, 30)]
    assert kinds(matched(first, second, shift)) == ["kept"]
    assert sorted(kinds(matched(first, second))) == ["gone", "new"]


def test_calcium_that_is_not_coronary_is_not_matched_and_no_lesions_give_no_match() -> None:
    assert matched([at(Calcium.OTHER, (4, 6), 10, 10)], [at(Calcium.OTHER, (4, 6), 10, 10)]) == ()
    assert kinds(matched([], [at(Calcium.LM, (4, 6), 10, 10)])) == ["new"]

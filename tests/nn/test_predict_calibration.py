"""The distribution of a score, counted by hand; a calibration that undoes a known overconfidence."""

import numpy as np
import pytest

from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.labels import LabelMap
from ctacal.nn.calibration import (
    MIN_STUDIES,
    Calibration,
    KnownScore,
    LesionDoubts,
    category_probabilities,
    fit_calibration,
    interval,
    lesion_doubts,
    score_distribution,
)
from ctacal.nn.classes import BY_VESSEL, CORONARY_OR_OTHER
from ctacal.nn.islands import Weighed, weigh
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.volume import Volume

PLAIN = Calibration()


def doubts(*lesions: tuple[float, float]) -> LesionDoubts:
    """Return lesions from their (probability, score); those above one half are counted. No noise."""
    chance, score = np.asarray(lesions, float).reshape(-1, 2).T
    return LesionDoubts(chance, np.repeat(score[:, None], 3, axis=1), float(score[chance > 0.5].sum()))


@pytest.mark.parametrize(
    ("lesions", "expected"),
    [
        ([], (1, 0, 0, 0)),
        ([(0.3, 10.0)], (0.7, 0.3, 0, 0)),
        ([(0.5, 60.0), (0.5, 50.0)], (0.25, 0.5, 0.25, 0)),
        ([(0.5, 50.0), (0.5, 50.0)], (0.25, 0.75, 0, 0)),  # 100 is in 1-100
        ([(0.2, 1000.0), (0.5, 0.1)], (0.4, 0.4, 0, 0.2)),
        ([(0.9, 300.0), (0.5, 99.0), (0.5, 2.0)], (0.025, 0.05, 0.7, 0.225)),
        ([(0.5, 900.0), (0.5, 900.0)], (0.25, 0, 0, 0.75)),
    ],
)
def test_categories_by_hand(lesions: list[tuple[float, float]], expected: tuple[float, ...]) -> None:
    np.testing.assert_allclose(category_probabilities(doubts(*lesions), PLAIN), expected, atol=5e-3)


def test_noise_can_take_a_lesion_away_or_raise_it() -> None:
    lesion = LesionDoubts(np.array([1.0]), np.array([[0.0, 90.0, 180.0]]), 90.0)
    np.testing.assert_allclose(category_probabilities(lesion, PLAIN), (0, 1, 0, 0), atol=5e-3)
    np.testing.assert_allclose(
        category_probabilities(lesion, Calibration(noise_share=1.0)), (1 / 6, 2 / 3, 1 / 6, 0), atol=2e-3
    )


def test_many_lesions_as_drawn_by_chance() -> None:
    random = np.random.default_rng(3)
    chance, score = random.uniform(0.02, 0.98, 30), random.exponential(12.0, 30)
    drawn = (random.uniform(size=(100_000, 30)) < chance) @ score
    expected = np.histogram(drawn, [-1, 0, 100, 400, 1e9])[0] / len(drawn)
    found = category_probabilities(doubts(*zip(chance, score, strict=True)), PLAIN)
    np.testing.assert_allclose(found, expected, atol=0.012)


def lesion_islands() -> tuple[Weighed, np.ndarray]:
    """Three islands, and whether they count: 2 x 3 pixels in two slices at 250 HU do, a pixel of 131 HU and four of 450
    HU do not."""
    hu = np.full((4, 20, 20), 40, np.int16)
    hu[1:3, 4:6, 4:7] = 250
    hu[1, 15, 15] = 131
    hu[3, 10:12, 10:12] = 450
    chance = np.zeros(hu.shape, np.float32)
    chance[1, 4:6, 4:7], chance[2, 4:6, 4:7], chance[1, 15, 15] = 0.9, 0.7, 0.3
    chance[3, 10:12, 10:12] = 0.001
    at = np.nonzero(hu >= 130)
    probability = np.stack([1 - chance[at], chance[at], 0 * chance[at]], axis=1)
    volume = Volume(hu, Geometry.from_spacing((4, 20, 20), (3.0, 1.0, 1.0)))
    weighed = weigh(volume, at, probability, CORONARY_OR_OTHER, SCCT_2016)
    return weighed, weighed.counted(0.5, 0.5)


def test_lesions_of_a_scan() -> None:
    found = lesion_doubts(*lesion_islands(), SCCT_2016, noise_sd_hu=20.0)
    assert found.score == pytest.approx(2 * 6 * 2)
    np.testing.assert_allclose(found.probability, [0.8, 0.3], atol=1e-6)
    np.testing.assert_allclose(found.agatston[:, 1], [24.0, 1.0])
    assert found.agatston[1, 0] == 0.0, "noise of 20 HU takes 131 HU below the threshold"
    assert found.agatston[0, 0] < 24.0 < found.agatston[0, 2]


def test_without_noise_a_lesion_scores_the_same() -> None:
    found = lesion_doubts(*lesion_islands(), SCCT_2016, noise_sd_hu=0.0)
    np.testing.assert_allclose(found.agatston, [[24.0] * 3, [1.0] * 3])


def test_nothing_bright() -> None:
    volume = Volume(np.full((4, 20, 20), 40, np.int16), Geometry.from_spacing((4, 20, 20), (3.0, 1.0, 1.0)))
    nothing = np.nonzero(volume.hu >= 130)
    weighed = weigh(volume, nothing, np.zeros((0, 3), np.float32), CORONARY_OR_OTHER, SCCT_2016)
    found = lesion_doubts(weighed, weighed.counted(0.5, 0.5), SCCT_2016, noise_sd_hu=20.0)
    assert (found.score, found.highest, len(found.probability)) == (0.0, 0.0, 0)
    np.testing.assert_allclose(category_probabilities(found, PLAIN), (1, 0, 0, 0), atol=4e-3)


def test_two_vessels_of_one_island_score_as_the_label_map_does() -> None:
    """LM and LAD meet: two decisions, but one component in each slice, whose peak gives all of it the weight."""
    hu = np.full((1, 20, 40), 40, np.int16)
    hu[0, 8:12, 4:20], hu[0, 8:12, 20:36] = 250, 450
    at = np.nonzero(hu >= 130)
    probability = np.zeros((len(at[0]), len(BY_VESSEL)), np.float32)
    probability[at[2] < 20, 1] = probability[at[2] >= 20, 2] = 1.0
    volume = Volume(hu, Geometry.from_spacing((1, 20, 40), (3.0, 1.0, 1.0)))
    weighed = weigh(volume, at, probability, BY_VESSEL, SCCT_2016)
    found = lesion_doubts(weighed, weighed.counted(0.5, 0.5), SCCT_2016, noise_sd_hu=0.0)
    assert weighed.agatston == pytest.approx([64 * 2.0, 64 * 4.0])
    labels = LabelMap(np.where(hu >= 130, np.uint8(1), np.uint8(0)), volume.geometry)
    assert found.score == score_label_map(volume, labels)[1].agatston.total == pytest.approx(128 * 4.0)


def studies(n: int, seed: int, slope: float) -> list[KnownScore]:
    """Return studies of a network whose log odds are 1 / slope times the true log odds."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        count = random.integers(0, 6)
        logit, score = random.normal(0, 1.5, count), random.exponential(80.0, count)
        is_coronary = random.uniform(size=count) < 1 / (1 + np.exp(-logit))
        given = 1 / (1 + np.exp(-logit / slope))
        rows.append(KnownScore(doubts(*zip(given, score, strict=True)), float(score[is_coronary].sum())))
    return rows


def log_loss(rows: list[KnownScore], calibration: Calibration) -> float:
    true = np.searchsorted([0, 100, 400], [row.true_agatston for row in rows])
    given = [category_probabilities(row.doubts, calibration)[k] for row, k in zip(rows, true, strict=True)]
    return float(-np.log(given).mean())


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return fit_calibration(studies(200, 1, 0.4), against="made by hand")


@pytest.mark.slow
def test_fit_undoes_overconfidence(fitted: Calibration) -> None:
    fresh = studies(400, 2, 0.4)
    true = Calibration(slope=0.4)
    assert fitted.slope == pytest.approx(0.4, abs=0.12)
    assert log_loss(fresh, fitted) < log_loss(fresh, PLAIN) - 0.05
    assert log_loss(fresh, fitted) < log_loss(fresh, true) + 0.02
    inside = [low <= row.true_agatston <= high for row in fresh for low, high in [interval(row.doubts, fitted)]]
    assert 0.86 <= np.mean(inside) <= 0.95
    assert (fitted.studies, fitted.against) == (200, "made by hand")
    assert 0.88 <= fitted.coverage <= 0.95, "as reached"


@pytest.mark.slow
def test_probabilities_happen_as_often_as_they_say(fitted: Calibration) -> None:
    fresh = studies(1000, 5, 0.4)
    given = np.stack([category_probabilities(row.doubts, fitted) for row in fresh])
    true = np.searchsorted([0, 100, 400], [row.true_agatston for row in fresh])
    np.testing.assert_allclose(given.sum(axis=1), 1.0)
    for category in range(4):
        for low, high in ((0.1, 0.5), (0.5, 0.9)):
            chosen = (given[:, category] >= low) & (given[:, category] < high)
            if chosen.sum() >= 60:
                assert (true[chosen] == category).mean() == pytest.approx(given[chosen, category].mean(), abs=0.13)


@pytest.mark.slow
def test_fit_is_the_same_each_time_and_survives_the_card() -> None:
    rows = studies(MIN_STUDIES, 4, 0.7)
    fitted = fit_calibration(rows, against="x")
    assert fitted == fit_calibration(rows, against="x") == Calibration.from_json(fitted.to_json())
    with pytest.raises(UsageError, match="slant"):
        Calibration.from_json({"slant": 1.0})


def test_too_few_studies() -> None:
    with pytest.raises(ValueError, match=f"at least {MIN_STUDIES}"):
        fit_calibration(studies(MIN_STUDIES - 1, 1, 1.0), against="x")


def test_interval_holds_the_score_and_grows_with_doubt() -> None:
    sure, unsure = doubts((0.999, 80.0)), doubts((0.999, 80.0), (0.4, 60.0))
    (low, high), (lower, higher) = (interval(lesions, Calibration(interval_width=1.5)) for lesions in (sure, unsure))
    assert lower <= low < 80.0 < high < higher
    assert interval(doubts(), PLAIN)[0] == 0.0


def test_probabilities_and_interval_of_two_lesions_in_doubt() -> None:
    both, calibration = doubts((0.5, 60.0), (0.5, 50.0)), Calibration(coverage=0.8)
    np.testing.assert_allclose(category_probabilities(both, calibration), [0.25, 0.5, 0.25, 0.0], atol=5e-3)
    low, high = interval(both, calibration)
    assert low <= 0.0 <= high


SHIPPED = Calibration(
    slope=1.527, offset=-0.9754, noise_share=0.2843, temperature=1.5093, bias=(-0.308, -0.4916, 0.3967, 0.4029),
    interval_width=1.402,
)  # fmt: skip
"""Close to the calibration of the shipped model."""

SCORES = (1.0, 20.0, 90.0, 300.0, 900.0, 8_000.0, 60_000.0)


@pytest.mark.parametrize("calibration", [PLAIN, SHIPPED], ids=["plain", "shipped"])
@pytest.mark.parametrize("chance", [0.011, 0.05, 0.2, 0.49])
def test_one_doubtful_lesion_beside_a_score_of_0_is_the_highest_end(chance: float, calibration: Calibration) -> None:
    """The log spread alone gives 12 million for a lesion of 940 that is coronary with 5 %."""
    ends = [interval(doubts((chance, score)), calibration) for score in SCORES]
    assert all(low == 0.0 for low, _ in ends)
    assert all(high <= max(score, 0.2) + 1e-6 for (_, high), score in zip(ends, SCORES, strict=True))


def test_two_huge_doubtful_lesions_of_a_real_scan() -> None:
    """The doubts of a PET/CT in ../shared/ct, whose interval was 0 to 12,347,154."""
    agatston = np.array([[919.6, 939.6, 1014.4], [750.2, 760.1, 795.0]])
    low, high = interval(LesionDoubts(np.array([0.05, 0.019]), agatston, 0.0), SHIPPED)
    assert (low, high) == (0.0, pytest.approx(940, abs=2))


def test_many_small_doubts_do_not_add_up_to_what_is_impossible() -> None:
    many = doubts(*[(0.03, 30.0)] * 200, (0.04, 2000.0))
    assert interval(many, SHIPPED)[1] <= 2200


def test_a_probable_lesion_is_inside_the_interval() -> None:
    """The log spread alone ends at 4 although every second such scan has a score of 1000."""
    assert interval(doubts((0.49, 1000.0)), PLAIN) == (0.0, pytest.approx(1000.0))
    low, _ = interval(doubts((0.51, 1000.0)), PLAIN)
    assert low == 0.0


def test_certain_lesions_are_inside_the_interval_whatever_else_is_in_doubt() -> None:
    low, high = interval(doubts((0.9999, 3000.0), (0.3, 20_000.0)), PLAIN)
    assert 2400 < low <= 3000.0 <= high <= 23_000.0


def test_an_interval_ends_at_the_score_of_all_bright_voxels() -> None:
    sure = LesionDoubts(np.array([0.9999]), np.array([[500.0] * 3]), 500.0, highest=520.0)
    assert interval(sure, Calibration(interval_width=5.0))[1] == 520.0
    found = lesion_doubts(*lesion_islands(), SCCT_2016, noise_sd_hu=20.0)
    assert found.highest == pytest.approx(2 * 6 * 2 + 1 + 4 * 4), "the improbable lesion of 450 HU too"
    assert interval(found, Calibration(interval_width=50.0))[1] <= found.highest


def test_the_distribution_is_that_of_the_lesions_in_the_proportions_of_the_categories() -> None:
    lesions = doubts((0.2, 50.0), (0.3, 500.0))
    found = score_distribution(lesions, SHIPPED)
    assert found.share.sum() == pytest.approx(1.0)
    assert found.score[-1] == pytest.approx(550.0)
    given = category_probabilities(lesions, SHIPPED)[[0, 1, 3]]
    in_categories = [
        found.share[(found.score > low) & (found.score <= high)].sum() for low, high in ((-1, 0), (0, 100), (400, 1e9))
    ]
    np.testing.assert_allclose(in_categories, given / given.sum(), atol=1e-6)
    assert score_distribution(doubts(), PLAIN).middle(0.9) == (0.0, 0.0)


def test_an_interval_ends_where_the_score_is_hardly_believed() -> None:
    """A bright lesion that is almost certainly not coronary: 0 has 98 %, so the interval does not go beyond it."""
    wide = Calibration(interval_width=3.0)
    hardly, perhaps = doubts((0.02, 20_000.0)), doubts((0.3, 20_000.0))
    assert category_probabilities(hardly, wide)[0] > 0.95
    assert interval(hardly, wide) == (0.0, 0.0)
    assert interval(perhaps, wide)[1] > 100

"""Several readers, repeat readings and random readers, compared with R and with printed examples."""

import csv
import json
from typing import Any

import numpy as np
import pytest

from ctacal.statistics.agreement import (
    UNREAD,
    all_agree,
    bootstrap_fleiss,
    bootstrap_kappa,
    exact_agreement_of,
    fleiss_kappa,
    icc_agreement,
    icc_consistency,
    icc_one_way,
    kappa_beyond_readers,
    krippendorff_alpha,
    light_kappa,
    linear_kappa_of,
    over_readers,
    repeatability,
    reproducibility,
    risk_categories,
    sensitivity_of,
    specificity_of,
)
from ctacal.statistics.estimate import Estimate
from tests import places

DATA = places.DATA / "agreement"
R: dict[str, Any] = json.loads((DATA / "several_readers.json").read_text(encoding="utf-8"))
PRINTED: dict[str, Any] = json.loads((DATA / "several_published.json").read_text(encoding="utf-8"))
with (DATA / "several_readers.csv").open(encoding="utf-8") as _file:
    ROWS = list(csv.DictReader(_file))
READERS = np.array([[float(row[f"reader_{name}"]) for name in "abcd"] for row in ROWS])
REPEATS = np.array([[float(row["reader_a"]), float(row["reader_a_second"])] for row in ROWS if row["reader_a_second"]])
FOUR = np.column_stack([risk_categories(scores) for scores in READERS.T])
MODEL = risk_categories([float(row["model"]) for row in ROWS])
PATIENTS = [row["patient"] for row in ROWS]


def same(found: Estimate, expected: Any, rel: float = 1e-12) -> bool:
    return [found.estimate, found.low, found.high] == pytest.approx(list(expected), rel=rel)


@pytest.mark.parametrize(
    ("ratings", "name"), [(READERS, "icc"), (np.log1p(READERS), "icc_log"), (REPEATS, "icc_repeats")]
)
def test_icc_of_several_are_those_of_r(ratings: Any, name: str) -> None:
    for icc, kind in ((icc_one_way, "one_way"), (icc_agreement, "agreement"), (icc_consistency, "consistency")):
        assert same(icc(ratings), R[name][kind].values(), rel=1e-9), kind


def test_icc_printed_by_shrout_and_fleiss() -> None:
    table = json.loads((DATA / "icc.json").read_text(encoding="utf-8"))["shrout_fleiss"]
    printed = PRINTED["shrout_fleiss_1979"]
    for icc, name in ((icc_one_way, "icc_1_1"), (icc_agreement, "icc_2_1"), (icc_consistency, "icc_3_1")):
        assert icc(table["data"]).estimate == pytest.approx(printed[name], abs=0.005)
    of_r = table["psych"]["ICC1"]
    assert same(icc_one_way(table["data"]), (of_r["icc"], of_r["lo"], of_r["hi"]), rel=1e-9)


def test_spread_is_that_of_r() -> None:
    for found, name in ((repeatability(REPEATS), "repeatability"), (reproducibility(READERS), "reproducibility")):
        assert same(found.sd, R[name]["sd"], rel=1e-10)
        assert same(found.coefficient, R[name]["coefficient"], rel=1e-10)
        assert same(found.factor, np.exp(R[f"{name}_log"]["coefficient"]), rel=1e-10)
    by_reml = R["reproducibility_log_sd_by_lme4"]  # iterative, hence fewer digits
    assert reproducibility(np.expm1(np.log1p(READERS))).factor.estimate == pytest.approx(
        np.exp(1.96 * np.sqrt(2) * by_reml), rel=1e-5
    )


def test_coefficient_holds_95_percent_of_differences() -> None:
    rng = np.random.default_rng(5)
    scores = 500 + rng.normal(0, 200, 4000).clip(-400)[:, None] + rng.normal(0, 10, (4000, 2))
    found = repeatability(scores)
    assert np.mean(np.abs(scores[:, 0] - scores[:, 1]) < (found.coefficient.estimate or 0)) == pytest.approx(
        0.95, abs=0.01
    )
    assert found.sd.estimate == pytest.approx(10, rel=0.05)


def test_readers_with_other_levels_count_as_spread_between_readers() -> None:
    """A reader who always gives 30 more is not repeatable error, but a difference between readers."""
    true = np.linspace(10, 900, 40)
    found = reproducibility(np.column_stack([true, true + 30, true - 5]))
    assert found.sd.estimate == pytest.approx(np.std([0, 30, -5], ddof=1))
    assert found.sd.high is not None
    assert found.sd.high > 5 * (found.sd.estimate or 0)  # three readers say little about others


def test_kappas_are_those_of_r() -> None:
    found = fleiss_kappa(FOUR)
    assert same(found, (R["fleiss"]["kappa"], *R["fleiss"]["ci"]))
    drawn = bootstrap_fleiss(FOUR, seed=1)
    assert drawn.estimate == pytest.approx(R["fleiss"]["kappa"], rel=1e-14)
    assert [drawn.low, drawn.high] == pytest.approx(R["fleiss"]["ci"], abs=0.02)
    for weights, expected in R["light"].items():
        assert light_kappa(FOUR, weights).estimate == pytest.approx(expected, rel=1e-13)
    assert light_kappa(FOUR, "linear").estimate == pytest.approx(R["light_linear_by_psych"], rel=1e-13)
    assert krippendorff_alpha(FOUR).estimate == pytest.approx(R["alpha"], rel=1e-13)
    holes = [[UNREAD if value is None else value for value in row] for row in R["holes"]]
    alpha = krippendorff_alpha(holes)
    assert (alpha.estimate, alpha.n) == (pytest.approx(R["alpha_holes"], rel=1e-13), len(ROWS) - 1)
    assert all_agree(FOUR).estimate == pytest.approx(R["all_agree"])


def test_printed_examples() -> None:
    fleiss, c = PRINTED["fleiss_1971"], PRINTED["krippendorff_c"]
    rated = [[place for place, times in enumerate(row) for _ in range(times)] for row in fleiss["counts"]]
    assert fleiss_kappa(rated, classes=5).estimate == pytest.approx(fleiss["kappa"], abs=5e-4)
    units = [[UNREAD if value is None else value - 1 for value in unit] for unit in zip(*c["observers"], strict=True)]
    assert krippendorff_alpha(units, classes=5).estimate == pytest.approx(c["ordinal"], abs=5e-4)


def test_kappa_of_two_readers_is_that_of_two() -> None:
    for weights in ("linear", "quadratic", "unweighted"):
        light = light_kappa(FOUR[:, :2], weights, patients=PATIENTS, seed=3)
        cohen = bootstrap_kappa(FOUR[:, 0], FOUR[:, 1], weights, patients=PATIENTS, seed=3)
        assert same(light, (cohen.estimate, cohen.low, cohen.high))
        assert "patients" in light.method


def test_a_patient_is_drawn_as_a_whole() -> None:
    """Ten times the same studies say no more than the studies once, if the patients are the same."""
    for statistic in (bootstrap_fleiss, light_kappa, krippendorff_alpha):
        once = statistic(FOUR, seed=2)
        tenfold = statistic(np.tile(FOUR, (10, 1)), patients=np.tile(np.arange(len(FOUR)), 10), seed=2)
        assert tenfold.n == 10 * once.n
        if statistic is not krippendorff_alpha:  # it depends, a little, on the number of readings
            assert same(tenfold, (once.estimate, once.low, once.high))
        alone = statistic(np.tile(FOUR, (10, 1)), seed=2)
        assert (alone.high or 0) - (alone.low or 0) < 0.5 * ((once.high or 0) - (once.low or 0))


STATISTICS = {
    "linear_kappa": linear_kappa_of,
    "exact": exact_agreement_of,
    "sensitivity": sensitivity_of,
    "specificity": specificity_of,
}


@pytest.mark.parametrize("name", STATISTICS)
def test_random_readers_are_those_of_r(name: str) -> None:
    expected = R["over_readers"][name]
    assert same(over_readers(STATISTICS[name], FOUR, MODEL), (expected["mean"], *expected["ci"]), rel=1e-10)


def test_random_readers_with_whole_patients() -> None:
    expected = R["over_readers"]["linear_kappa_by_patient"]
    found = over_readers(linear_kappa_of, FOUR, MODEL, patients=PATIENTS)
    assert same(found, (expected["mean"], *expected["ci"]), rel=1e-10)
    beyond = kappa_beyond_readers(FOUR, MODEL, patients=PATIENTS)
    assert beyond.estimate == pytest.approx(R["beyond"], rel=1e-11)
    assert (
        kappa_beyond_readers(FOUR[:, :3], FOUR[:, 0]).estimate or 0
    ) > 0  # a copy of a reader agrees better than readers


def test_interval_holds_for_other_readers() -> None:
    """Of samples of readers and studies, about 95 % of the intervals hold the mean over all readers."""
    rng = np.random.default_rng(11)
    skill = rng.normal(0.25, 0.12, 400).clip(0.02, 0.6)  # each reader's share of studies one category off

    def read(truth: Any, errors: Any) -> Any:
        off = rng.random((len(truth), len(errors))) < errors
        return np.clip(truth[:, None] + off * rng.choice([-1, 1], off.shape), 0, 3)

    truth = rng.integers(0, 4, 40_000)
    expected = exact_agreement_of(np.array([tables(read(truth, skill), truth)]))[0]
    held = 0
    for _ in range(300):
        studies = rng.integers(0, 4, 60)
        found = over_readers(exact_agreement_of, read(studies, rng.choice(skill, 5)), studies)
        held += (found.low or 0) <= expected <= (found.high or 0)
    assert 0.91 <= held / 300 <= 0.99


def tables(readings: Any, truth: Any) -> Any:
    counts = np.zeros((4, 4))
    np.add.at(counts, (readings.ravel(), np.repeat(truth, readings.shape[1])), 1)
    return counts


def told_nothing(found: Estimate) -> bool:
    return (found.estimate, found.low, found.high) == (None, None, None) and bool(found.reason)


def test_degenerate_input_ends_in_words() -> None:
    same_category, none, one = np.ones((12, 3), int), np.zeros((0, 3), int), np.array([[0, 1, 1]])
    for statistic in (fleiss_kappa, bootstrap_fleiss, light_kappa, krippendorff_alpha):
        assert told_nothing(statistic(same_category))
        assert told_nothing(statistic(none))
        assert statistic(one).low is None
    assert fleiss_kappa(np.repeat([[0], [1], [3]], 4, axis=1)).reason.startswith("all readers agree")
    assert told_nothing(all_agree(none))
    assert told_nothing(over_readers(linear_kappa_of, same_category, np.ones(12, int)))
    assert told_nothing(over_readers(specificity_of, same_category, np.ones(12, int)))
    assert over_readers(exact_agreement_of, one, [1]).low is None
    assert over_readers(exact_agreement_of, same_category, np.ones(12, int)).reason.startswith("nothing varies")
    assert told_nothing(kappa_beyond_readers(same_category, np.ones(12, int)))
    assert told_nothing(kappa_beyond_readers(none, []))
    for spread in (repeatability, reproducibility):
        assert told_nothing(spread(np.ones((1, 2))).sd)
        assert told_nothing(spread(np.ones((1, 2))).factor)
        assert spread(np.ones((5, 2))).sd.reason.startswith("all readings of a study are equal")


@pytest.mark.parametrize("ratings", [[[0], [1]], [[0, 4]], [[0, -1]], [0, 1]])
def test_wrong_categories_are_refused(ratings: Any) -> None:
    for statistic in (fleiss_kappa, bootstrap_fleiss, light_kappa, all_agree):
        with pytest.raises(ValueError, match="categories from 0 to 3"):
            statistic(ratings)


def test_wrong_scores_are_refused() -> None:
    for spread in (repeatability, reproducibility):
        for scores in ([[1.0], [2.0]], [[1.0, np.nan]], [[-1.0, 2.0]]):
            with pytest.raises(ValueError, match="two readings or more"):
                spread(scores)
    with pytest.raises(ValueError, match="two readers or more"):
        over_readers(linear_kappa_of, [[0], [1]], [0, 1])
    with pytest.raises(ValueError, match="two raters or more"):
        icc_one_way([[1.0], [2.0]])

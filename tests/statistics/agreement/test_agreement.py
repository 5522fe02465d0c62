"""Agreement, compared with R (vcd, psych, irr, epiR, mcr), with published tables, and on degenerate input."""

import csv
import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ctacal.statistics.agreement import (
    bland_altman,
    bland_altman_ratio,
    bootstrap_kappa,
    bowker,
    compare_models,
    cross_table,
    deming,
    exact_agreement,
    five_class_categories,
    icc_agreement,
    icc_consistency,
    kappa_difference,
    lin_concordance,
    negative_predictive_value,
    passing_bablok,
    pearson,
    positive_predictive_value,
    regression_limits,
    risk_categories,
    sensitivity,
    spearman,
    specificity,
    stuart_maxwell,
    weighted_kappa,
    within_one_agreement,
)
from ctacal.statistics.estimate import Estimate, proportion
from tests import places

DATA = places.DATA / "agreement"
WEIGHTS = ("linear", "quadratic", "unweighted")
IRR = {"linear": "irr_equal", "quadratic": "irr_squared", "unweighted": "irr_unweighted"}
Z = 1.959963984540054


def oracle(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


TABLES: dict[str, dict[str, Any]] = oracle("kappa")["tables"]
CAC4 = np.array(TABLES["cac4"]["table"])


def ratings() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    with (DATA / "agree_cont.csv").open(encoding="utf-8") as file:
        return np.array([[float(row["expert"]), float(row["dl"])] for row in csv.DictReader(file)])


def pairs(table: np.ndarray[Any, Any]) -> tuple[list[int], list[int]]:
    """A list of readings with that table."""
    cells = [(i, j) for (i, j), count in np.ndenumerate(table) for _ in range(count)]
    return [i for i, _ in cells], [j for _, j in cells]


def told_nothing(result: Estimate) -> bool:
    return (result.estimate, result.low, result.high) == (None, None, None) and bool(result.reason)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_kappa_and_its_error_are_those_of_r(name: str, weights: Any) -> None:
    found = weighted_kappa(TABLES[name]["table"], weights)
    vcd = TABLES[name][f"vcd_{weights}"]
    assert found.estimate == pytest.approx(vcd["kappa"], rel=1e-14)
    assert found.estimate == pytest.approx(TABLES[name][IRR[weights]]["kappa"], rel=1e-14)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / (2 * Z) == pytest.approx(vcd["ase"], rel=1e-12, abs=1e-15)
    assert found.n == np.sum(TABLES[name]["table"])


def test_unweighted_interval_is_that_of_psych() -> None:
    low, kappa, high = TABLES["cac4"]["psych_linear"]["confid"][0]
    found = weighted_kappa(CAC4, "unweighted")
    assert (found.low, found.estimate, found.high) == pytest.approx((low, kappa, high), rel=1e-12)


@pytest.mark.parametrize("row", oracle("published_tables"), ids=lambda row: str(row["source"])[:20])
def test_published_tables(row: dict[str, Any]) -> None:
    kappa = weighted_kappa(row["table"]).estimate
    assert kappa is not None
    printed = {0.9457: 4, 0.76: 3}[row["linear_weighted_kappa"]]  # digits
    assert round(kappa, printed) == row["linear_weighted_kappa"]
    if "exact_agreement" in row:
        assert exact_agreement(row["table"]).estimate == pytest.approx(row["exact_agreement"], abs=5e-4)


def test_deepcac_on_nlst_to_four_digits() -> None:
    """Cohen 1968 by hand on the printed table: observed disagreement divided by that expected by chance."""
    counts = np.array(oracle("published_tables")[1]["table"], float)
    n, rows, columns = counts.sum(), counts.sum(axis=1), counts.sum(axis=0)
    seen = sum(counts[i, j] * abs(i - j) for i in range(4) for j in range(4))
    chance = sum(rows[i] * columns[j] / n * abs(i - j) for i in range(4) for j in range(4))
    assert weighted_kappa(counts.astype(int)).estimate == pytest.approx(1 - seen / chance, abs=5e-5)


@pytest.mark.parametrize("name", TABLES)
def test_agreement_is_that_of_r(name: str) -> None:
    assert exact_agreement(TABLES[name]["table"]).estimate == pytest.approx(TABLES[name]["agree"], rel=1e-14)
    assert within_one_agreement(TABLES[name]["table"]).estimate == pytest.approx(TABLES[name]["within1"], rel=1e-14)


def test_table_of_readings() -> None:
    assert cross_table(*pairs(CAC4)).tolist() == CAC4.tolist()
    assert risk_categories([0, 0.1, 100, 100.5, 400, 4000]).tolist() == [0, 1, 1, 2, 2, 3]


@pytest.mark.slow
def test_bootstrap_agrees_with_the_asymptotic_interval() -> None:
    """On 2,269 independent studies both must be nearly the same."""
    reference, model = pairs(CAC4)
    by_drawing, asymptotic = bootstrap_kappa(reference, model), weighted_kappa(CAC4)
    assert by_drawing.estimate == asymptotic.estimate
    assert by_drawing.low == pytest.approx(asymptotic.low, abs=0.002)
    assert by_drawing.high == pytest.approx(asymptotic.high, abs=0.002)
    assert bootstrap_kappa(reference, model) == by_drawing


def test_studies_of_one_patient_are_drawn_together() -> None:
    """Four copies of each study add no information: the interval by patient equals that of the single studies."""
    rng = np.random.default_rng(3)
    keep = rng.permutation(CAC4.sum())[:200]
    reference, model = (np.array(reading)[keep] for reading in pairs(CAC4))
    four = [np.repeat(values, 4) for values in (reference, model, np.arange(200))]
    once, clustered, naive = (
        bootstrap_kappa(reference, model),
        bootstrap_kappa(four[0], four[1], patients=four[2]),
        bootstrap_kappa(four[0], four[1]),
    )
    assert (clustered.low, clustered.high) == pytest.approx((once.low, once.high), abs=1e-12)
    assert width(naive) == pytest.approx(width(once) / 2, rel=0.1)
    assert clustered.n == 800
    assert "200 patients" in clustered.method


def width(result: Estimate) -> float:
    assert result.low is not None
    assert result.high is not None
    return result.high - result.low


@pytest.mark.slow
def test_difference_is_paired() -> None:
    reference, model = pairs(CAC4)
    same = kappa_difference(reference, model, model)
    assert (same.estimate, same.low, same.high) == (0, 0, 0)
    worse = np.where(np.arange(len(model)) % 5 == 0, 0, model)
    found = kappa_difference(reference, model, worse)
    apart = weighted_kappa(CAC4).estimate, weighted_kappa(cross_table(reference, worse)).estimate
    assert apart[0] is not None
    assert apart[1] is not None
    assert found.estimate == pytest.approx(apart[0] - apart[1])
    assert found.low is not None
    assert found.low > 0


@pytest.mark.parametrize("name", ["shrout_fleiss", "agree_cont", "agree_cont_log1p"])
def test_icc_is_that_of_r(name: str) -> None:
    expected = oracle("icc")[name]
    table = {
        "shrout_fleiss": np.array(expected.get("data", ()), float),
        "agree_cont": ratings(),
        "agree_cont_log1p": np.log1p(ratings()),
    }[name]
    for found, psych in ((icc_agreement(table), "ICC2"), (icc_consistency(table), "ICC3")):
        values = [expected["psych"][psych][key] for key in ("icc", "lo", "hi")]
        assert [found.estimate, found.low, found.high] == pytest.approx(values, rel=1e-9)
        assert found.n == len(table)
    for found, irr in ((icc_agreement(table), "agreement"), (icc_consistency(table), "consistency")):
        if "irr" in expected:
            values = [expected["irr"][f"irr_twoway_{irr}_single"][key] for key in ("value", "lbound", "ubound")]
            assert [found.estimate, found.low, found.high] == pytest.approx(values, rel=1e-12)


def test_spearman_is_that_of_r() -> None:
    found = spearman(*ratings().T)
    assert found.estimate == pytest.approx(oracle("correlation")["spearman"]["rho"], rel=1e-14)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.estimate < found.high  # type: ignore[operator]


def test_spearman_interval_covers() -> None:
    """For a normal pair with Pearson 0.8, rho is 6/pi asin(0.4); 95 % of the intervals contain it."""
    rng, truth = np.random.default_rng(1), 6 / np.pi * np.arcsin(0.4)
    hits = 0
    for _ in range(400):
        a, b = rng.normal(size=(2, 60))
        found = spearman(a, 0.8 * a + 0.6 * b)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_wilson_by_hand() -> None:
    """Newcombe RG, Stat Med 1998;17:857-872, table I: 81/263 and 0/20."""
    assert str(proportion(81, 263)) == "0.308 (0.255 to 0.366)"
    nothing = proportion(0, 20)
    assert (nothing.low, nothing.high) == (0.0, pytest.approx(0.1611, abs=5e-5))


def test_sensitivity_and_specificity() -> None:
    present, found = [1, 1, 1, 0, 0], [1, 1, 0, 0, 1]
    assert (sensitivity(present, found).estimate, sensitivity(present, found).n) == (2 / 3, 3)
    assert (specificity(present, found).estimate, specificity(present, found).n) == (1 / 2, 2)


def test_degenerate_input_is_told_in_words() -> None:
    empty, one_class = np.zeros((4, 4), int), np.diag([7, 0, 0, 0])
    assert weighted_kappa(empty).reason == exact_agreement(empty).reason == "no studies"
    assert "one and the same category" in weighted_kappa(one_class).reason
    assert told_nothing(weighted_kappa(one_class))
    assert told_nothing(bootstrap_kappa([0, 0], [0, 0]))
    assert told_nothing(bootstrap_kappa([], []))
    assert told_nothing(kappa_difference([], [], []))
    assert told_nothing(proportion(0, 0))
    assert sensitivity([0, 0], [0, 1]).reason == "no study has it"
    assert specificity([1, 1], [0, 1]).reason == "every study has it"
    for icc in (icc_agreement, icc_consistency):
        assert told_nothing(icc(np.ones((5, 2))))
        assert told_nothing(icc(np.ones((1, 2))))
        assert told_nothing(icc(np.ones((0, 2))))
    assert told_nothing(icc_agreement([[1, 2], [2, 1]]))
    assert told_nothing(spearman([1, 1, 1, 1], [1, 2, 3, 4]))
    assert told_nothing(spearman([], []))


def test_extreme_input_has_finite_figures() -> None:
    perfect = weighted_kappa(np.diag([5, 6, 7, 8]))
    assert (perfect.estimate, perfect.low, perfect.high) == (1, 1, 1)
    assert "no width" in perfect.reason
    one_patient = bootstrap_kappa([0, 1], [0, 1], patients=["a", "a"])
    assert (one_patient.estimate, one_patient.low) == (1, None)
    for icc in (icc_agreement, icc_consistency):
        same = icc([[1, 1], [2, 2], [9, 9]])
        assert (same.estimate, same.low, same.high) == pytest.approx((1, 1, 1))
    shifted = icc_agreement([[1, 2], [2, 3], [9, 10]])
    assert shifted.low is not None
    assert shifted.high is not None
    assert -1 < shifted.low < shifted.estimate < shifted.high <= 1  # type: ignore[operator]
    few = spearman([1, 2, 3], [1, 3, 2])
    assert (few.estimate, few.low) == (pytest.approx(0.5), None)
    assert spearman([1, 2, 3, 4], [1, 2, 3, 4]).low == 1


def test_resamples_without_kappa_are_counted() -> None:
    found = bootstrap_kappa([0, 0, 0, 1], [0, 0, 0, 1])
    assert found.estimate == 1
    assert "resamples have no kappa" in found.reason
    share = int(found.reason.split()[0]) / 2000
    assert share == pytest.approx((3 / 4) ** 4 + (1 / 4) ** 4, abs=0.04)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="number 1 is -3"):
        risk_categories([0, -3])
    with pytest.raises(ValueError, match="number 0 is nan"):
        risk_categories([np.nan])
    with pytest.raises(ValueError, match="differ in length"):
        cross_table([0], [0, 1])
    with pytest.raises(ValueError, match=r"0\.\.3"):
        cross_table([4], [0])
    with pytest.raises(ValueError, match="square"):
        weighted_kappa([[1, 2, 3]])
    with pytest.raises(ValueError, match="a patient for each"):
        bootstrap_kappa([0, 1], [0, 1], patients=[1])
    with pytest.raises(ValueError, match="finite"):
        icc_agreement(np.array([[1.0, np.nan], [1, 2]]))
    with pytest.raises(ValueError, match="one length"):
        spearman([1], [1, 2])
    with pytest.raises(ValueError, match="successes"):
        proportion(3, 2)


def measured() -> tuple[Any, Any]:
    return ratings()[:, 0], ratings()[:, 1]


def positive() -> tuple[Any, Any]:
    """The subset of ``method_comparison.json``."""
    both = ratings()
    first, second = both[(both > 0).all(axis=1)].T
    return first, second


def ends(found: Estimate) -> list[float | None]:
    return [found.estimate, found.low, found.high]


def test_pearson_is_that_of_r() -> None:
    expected = oracle("correlation")
    assert ends(pearson(*measured())) == pytest.approx(
        [expected["pearson"][key] for key in ("r", "lo", "hi")], rel=1e-12
    )
    assert pearson(*np.log1p(measured())).estimate == pytest.approx(expected["log1p_pearson"], rel=1e-12)


def test_lin_is_that_of_epir() -> None:
    expected = oracle("bland_altman")["epi_ccc"]
    assert ends(lin_concordance(*measured())) == pytest.approx(
        [expected[key] for key in ("rho", "lo", "hi")], rel=1e-10
    )


def test_bland_altman_is_that_of_r() -> None:
    expected, found = oracle("bland_altman"), bland_altman(*measured())
    assert found.bias.estimate == pytest.approx(expected["bias"], rel=1e-12)
    assert [found.bias.low, found.bias.high] == pytest.approx(expected["bias_ci"], rel=1e-10)
    assert found.sd == pytest.approx(expected["sd"], rel=1e-12)
    assert [found.lower.estimate, found.upper.estimate] == pytest.approx(expected["loa"], rel=1e-12)
    t = stats.t.ppf(0.975, expected["n"] - 1)
    for limit in (found.lower, found.upper):
        assert width(limit) / (2 * t) == pytest.approx(expected["loa_se_ba1999"], rel=1e-10)


def test_ratio_limits_are_those_of_the_logarithms() -> None:
    a, b = measured()
    ratio, logarithm = bland_altman_ratio(a, b), bland_altman(np.log1p(a), np.log1p(b))
    for found, expected in (
        (ratio.bias, logarithm.bias),
        (ratio.lower, logarithm.lower),
        (ratio.upper, logarithm.upper),
    ):
        assert np.log(ends(found)) == pytest.approx(ends(expected), rel=1e-12)  # type: ignore[arg-type]


def test_regression_limits_are_those_of_r() -> None:
    expected, found = oracle("bland_altman")["ba1999_regression"], regression_limits(*measured())
    assert [found.bias_at_0, found.bias_slope] == pytest.approx([expected["b0"], expected["b1"]], rel=1e-10)
    root = np.sqrt(np.pi / 2)
    deviations = [found.sd_at_0, found.sd_slope]
    assert deviations == pytest.approx(
        [root * expected["c0"], root * expected["c1"]], rel=1e-5
    )  # c1 is printed less exactly
    bias, low, high = (float(limit) for limit in found.at(100.0))
    half = 1.96 * root * (expected["c0"] + 100 * expected["c1"])
    assert (bias - low, high - bias) == pytest.approx((half, half), rel=1e-5)
    assert bias == pytest.approx(expected["b0"] + 100 * expected["b1"], rel=1e-10)


def test_passing_bablok_is_that_of_mcr() -> None:
    """The ends of the interval are slopes next to those whose mean mcr takes, 5e-6 apart."""
    expected, found = oracle("method_comparison")["passing_bablok_analytical"], passing_bablok(*positive())
    for part, printed in ((found.slope, expected["slope"]), (found.intercept, expected["intercept"])):
        assert part.estimate == pytest.approx(printed["EST"], rel=1e-12)
        assert [part.low, part.high] == pytest.approx([printed["LCI"], printed["UCI"]], rel=5e-5)
        assert part.n == oracle("method_comparison")["n"]


def test_passing_bablok_by_hand() -> None:
    """Slopes 1, 1, 2 and their means: of four points on two lines; and the line turns over with the axes."""
    found = passing_bablok([0, 1, 2, 4], [1, 2, 3, 7])
    slopes = sorted([1, 1, 6 / 4, 1, 5 / 3, 2])
    assert found.slope.estimate == pytest.approx((slopes[2] + slopes[3]) / 2)
    assert found.slope.low is None
    assert "too few" in found.slope.reason
    there, back = passing_bablok(*positive()), passing_bablok(*reversed(positive()))
    assert there.slope.estimate is not None
    assert there.slope.estimate * back.slope.estimate == pytest.approx(1, rel=1e-3)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "options", "precision"),
    [
        ("deming_analytical", {"interval": "analytical"}, 1e-10),
        ("deming_jackknife", {}, 1e-10),
        ("wdeming_jackknife", {"weighted": True}, 2e-6),  # mcr stops its rounds earlier
    ],
)
def test_deming_is_that_of_mcr(name: str, options: Any, precision: float) -> None:
    expected, found = oracle("method_comparison")[name], deming(*positive(), **options)
    for part, printed in ((found.slope, expected["slope"]), (found.intercept, expected["intercept"])):
        assert ends(part) == pytest.approx([printed["EST"], printed["LCI"], printed["UCI"]], rel=precision)


@pytest.mark.parametrize("name", ["cac4", "sparse"])
def test_margins_are_those_of_r(name: str) -> None:
    printed, table = TABLES[name], TABLES[name]["table"]
    shift, symmetry = stuart_maxwell(table), bowker(table)
    assert shift.statistic == pytest.approx(printed["stuart_maxwell"]["chisq"][0][0], rel=1e-11)
    assert shift.p == pytest.approx(printed["stuart_maxwell"]["p"][0][0], rel=1e-11)
    if printed["bowker"]["p"] is not None:  # R divides by 0 where a pair of cells is empty
        assert (symmetry.statistic, symmetry.df) == (pytest.approx(printed["bowker"]["chisq"], rel=1e-12), 6)
        assert symmetry.p == pytest.approx(printed["bowker"]["p"], rel=1e-11)
    else:
        assert symmetry.df == 3  # three pairs of categories hold a study
        assert symmetry.statistic == pytest.approx(2 + 0 + 1 / 3)


def test_margins_with_an_unused_category() -> None:
    """An unused category changes nothing."""
    two, three = np.array([[10, 4], [1, 5]]), np.array([[10, 4, 0], [1, 5, 0], [0, 0, 0]])
    assert stuart_maxwell(three) == stuart_maxwell(two)
    assert bowker(three).p == pytest.approx(stats.chi2.sf(9 / 5, 1))
    assert bowker(two).df == stuart_maxwell(two).df == 1


def test_five_classes() -> None:
    assert five_class_categories([0, 0.1, 10, 10.1, 100.5, 400.1]).tolist() == [0, 1, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="number 0 is -1"):
        five_class_categories([-1])


def test_predictive_values() -> None:
    present, found = [1, 1, 1, 0, 0], [1, 1, 0, 0, 1]
    positive_value, negative_value = (
        positive_predictive_value(present, found),
        negative_predictive_value(present, found),
    )
    assert (positive_value.estimate, positive_value.n) == (2 / 3, 3)
    assert (negative_value.estimate, negative_value.n) == (1 / 2, 2)
    assert positive_predictive_value([1], [0]).reason == "it was found in no study"
    assert negative_predictive_value([1], [1]).reason == "it was found in every study"


def cohort(n: int) -> tuple[Any, Any, Any]:
    """Return scores of a reader and two models, the second worse, with many zeros and ties."""
    rng = np.random.default_rng(8)
    truth = np.where(rng.random(n) < 0.4, 0, np.exp(rng.normal(4.5, 1.6, n))).round()
    models = [np.where(rng.random(n) < lost, 0, truth * np.exp(rng.normal(0, sd, n))).round() for lost, sd in
              ((0.05, 0.3), (0.2, 0.6))]  # fmt: skip
    return truth, models[0], models[1]


def test_models_are_compared_by_the_same_statistics() -> None:
    """Each figure is computed from weighted sums, and equals that of its own function."""
    truth, model, other = cohort(150)
    found = {compared.name: compared for compared in compare_models(truth, model, other)}
    for scores, side in ((model, "model"), (other, "other")):
        table = cross_table(risk_categories(truth), risk_categories(scores))
        pair = np.column_stack([truth, scores])
        expected = {
            **{f"kappa, {w}{' weights' * (w != 'unweighted')}": weighted_kappa(table, w) for w in WEIGHTS},  # type: ignore[arg-type]
            "exact agreement": exact_agreement(table),
            "within one category": within_one_agreement(table),
            "CAC > 0: sensitivity": sensitivity(truth > 0, scores > 0),
            "CAC >= 100: specificity": specificity(truth >= 100, scores >= 100),
            "CAC > 400: sensitivity": sensitivity(truth > 400, scores > 400),
            "Spearman's rho": spearman(truth, scores),
            "Pearson's r": pearson(truth, scores),
            "Lin's concordance": lin_concordance(truth, scores),
            "ICC(2,1)": icc_agreement(pair),
            "ICC(3,1)": icc_consistency(pair),
            "mean difference": bland_altman(truth, scores).bias,
        }
        for name, figure in expected.items():
            assert getattr(found[name], side) == pytest.approx(figure.estimate, rel=1e-10), name
        assert getattr(found["mean absolute difference"], side) == pytest.approx(np.abs(truth - scores).mean())


def test_models_are_compared_on_the_same_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctacal.statistics.bootstrap.RESAMPLES", 300)
    truth, model, other = cohort(60)
    patients = np.arange(60) // 2
    done: list[int] = []
    found = {
        compared.name: compared.difference
        for compared in compare_models(truth, model, other, patients=patients, seed=4, advance=done.append)
    }
    ours, one_model, another = (risk_categories(scores) for scores in (truth, model, other))
    kappa = kappa_difference(ours, one_model, another, patients=patients, seed=4)
    assert ends(found["kappa, linear weights"]) == pytest.approx(ends(kappa), abs=1e-12)
    assert sum(done) == 300
    rng, drawn = np.random.default_rng(4), []
    for times in rng.multinomial(30, np.full(30, 1 / 30), size=300):  # the studies themselves, drawn one by one
        rows = np.repeat(np.arange(60), times[patients])
        drawn.append(spearman(truth[rows], model[rows]).estimate - spearman(truth[rows], other[rows]).estimate)  # type: ignore[operator]
    expected = np.percentile(drawn, [2.5, 97.5])
    assert [found["Spearman's rho"].low, found["Spearman's rho"].high] == pytest.approx(expected, abs=1e-9)
    same = compare_models(truth, model, model)
    assert all(compared.difference.low == compared.difference.high == 0 for compared in same)


def test_blocks_of_resamples_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks bound the memory and do not change the draws."""
    reference, model = pairs(TABLES["sparse"]["table"])
    whole = bootstrap_kappa(reference, model)
    monkeypatch.setattr("ctacal.statistics.bootstrap.BLOCK", 700)
    assert bootstrap_kappa(reference, model) == whole


def test_degenerate_scores_are_told_in_words() -> None:
    for statistic in (pearson, lin_concordance):
        assert told_nothing(statistic([], []))
        assert told_nothing(statistic([5, 5, 5, 5], [1, 2, 3, 4]))
        assert statistic([1, 2, 3], [1, 2, 4]).low is None
    assert lin_concordance([1, 2, 3, 4], [1, 2, 3, 4]).estimate == 1
    for limits in (bland_altman([], []), bland_altman_ratio([3], [4])):
        assert told_nothing(limits.bias)
        assert limits.sd is None
    alike = bland_altman([5, 5, 9], [5, 5, 9])
    assert ends(alike.lower) == [0, 0, 0]
    flat = regression_limits([5, 5, 5], [5, 5, 5])
    assert (flat.bias_at_0, flat.reason) == (None, "all mean scores are equal")
    with pytest.raises(ValueError, match="no limits"):
        flat.at(3.0)
    for line in (
        passing_bablok([], []),
        deming([1, 2], [1, 2]),
        deming([1, 1, 1], [1, 2, 3]),
        passing_bablok([1, 2, 3], [4, 4, 4]),
    ):
        assert told_nothing(line.slope)
        assert told_nothing(line.intercept)
    assert told_nothing(passing_bablok([1, 2, 3, 4], [4, 3, 2, 1]).slope)  # every slope is -1
    for test in (stuart_maxwell, bowker):
        assert (test(np.diag([3, 4])).p, test(np.diag([3, 4])).reason) == (None, "no study is in different categories")
        assert test(np.zeros((4, 4))).reason == "no studies"
    for compared in compare_models([], [], []):
        assert told_nothing(compared.difference)
    for compared in compare_models([0, 5, 500], [0, 9, 300], [3, 5, 500]):
        assert compared.difference.low is None
        assert compared.difference.reason


def test_wrong_scores_are_refused() -> None:
    for statistic in (pearson, lin_concordance, bland_altman, regression_limits, passing_bablok, deming):
        with pytest.raises(ValueError, match="one length"):
            statistic([1, 2, 3], [1, 2])
        with pytest.raises(ValueError, match="finite"):
            statistic([1, 2, np.nan], [1, 2, 3])
    with pytest.raises(ValueError, match="0 or more"):
        bland_altman_ratio([1, -2], [1, 2])
    with pytest.raises(ValueError, match="above 0"):
        deming([0, 1, 2], [1, 2, 3], weighted=True)
    with pytest.raises(ValueError, match="jackknife"):
        deming([1, 2, 3], [1, 2, 4], weighted=True, interval="analytical")
    with pytest.raises(ValueError, match="a patient for each"):
        compare_models([0, 1], [0, 1], [0, 1], patients=[1])

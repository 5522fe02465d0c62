"""Against R (``tests/data/agreement``: vcd, psych, irr), the published tables, and what degenerate input must say."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.agreement import (
    Estimate,
    bootstrap_kappa,
    cross_table,
    exact_agreement,
    icc_agreement,
    icc_consistency,
    kappa_difference,
    proportion,
    risk_categories,
    sensitivity,
    spearman,
    specificity,
    weighted_kappa,
    within_one_agreement,
)

DATA = Path(__file__).parent / "data" / "agreement"
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
    """Cohen 1968 by hand on the printed table: disagreement seen over that expected by chance."""
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


def test_bootstrap_agrees_with_the_asymptotic_interval() -> None:
    """On 2,269 independent studies both must be nearly the same."""
    reference, model = pairs(CAC4)
    by_drawing, asymptotic = bootstrap_kappa(reference, model), weighted_kappa(CAC4)
    assert by_drawing.estimate == asymptotic.estimate
    assert by_drawing.low == pytest.approx(asymptotic.low, abs=0.002)
    assert by_drawing.high == pytest.approx(asymptotic.high, abs=0.002)
    assert bootstrap_kappa(reference, model) == by_drawing


def test_studies_of_one_patient_are_drawn_together() -> None:
    """Four copies of each study say nothing new: the interval by patient is that of the studies once."""
    rng = np.random.default_rng(3)
    keep = rng.permutation(CAC4.sum())[:200]
    reference, model = (np.array(one)[keep] for one in pairs(CAC4))
    four = [np.repeat(one, 4) for one in (reference, model, np.arange(200))]
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
        "shrout_fleiss": lambda: np.array(expected["data"], float),
        "agree_cont": ratings,
        "agree_cont_log1p": lambda: np.log1p(ratings()),
    }[name]()
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
    """Of a normal pair with Pearson 0.8 rho is 6/pi asin(0.4); 95 % of the intervals hold it."""
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
        icc_agreement([[1.0, np.nan], [1, 2]])
    with pytest.raises(ValueError, match="one length"):
        spearman([1], [1, 2])
    with pytest.raises(ValueError, match="successes"):
        proportion(3, 2)

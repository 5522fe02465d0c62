"""Given risks: formulas by hand, figures of the report against the statistics, and columns that hold no risks."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.formulas import RiskConfig, given_risk
from ctacal.evaluate.outcomes.given_risks import given_risks_part
from ctacal.evaluate.outcomes.part import Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.publication import Chart, Table
from ctacal.evaluate.publication.numbers import plain
from ctacal.fields import from_fields
from ctacal.statistics.survival.calibration import Recalibration, brier_score, observed_expected, recalibrate
from ctacal.statistics.survival.discrimination import auc_difference, harrell_c
from tests.evaluate.outcomes.tables import FULL, config, patients, table

FORMULA = {
    "name": "Formula",
    "baseline_survival": 0.9,
    "term": [
        {"column": "age", "coefficient": 0.05, "minus": 65},
        {"column": "sex", "coefficient": 0.3, "equals": "M"},
        {"column": "model", "coefficient": 0.2, "transform": "log1p", "minus": 3},
        {"column": "defect", "coefficient": 0.5, "at_least": 5, "below": 20},
    ],
}
COLUMN = {"name": "Score", "column": "predicted"}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    made = table(500, seed=4)
    log_hazard = 0.03 * (made["age"] - 65) + 0.2 * np.log1p(made["model"]) - 2 + rng.normal(0, 0.2, 500)
    made["predicted"] = 1 - np.exp(-np.exp(log_hazard))
    made.loc[::50, "predicted"] = np.nan
    return made


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Patients:
    fields = {**FULL, "risk": [COLUMN, FORMULA]}
    return patients(tmp_path_factory.mktemp("risks"), frame(), config(fields)).by_time()


@pytest.fixture(scope="module")
def part(cohort: Patients) -> Part:
    return given_risks_part(cohort)


def risk_config(**fields: Any) -> RiskConfig:
    return from_fields(RiskConfig, {"name": "R", **fields})


def test_a_formula_is_its_terms(cohort: Patients) -> None:
    made = frame().sort_values("days", kind="stable")
    total = 0.05 * (made["age"] - 65) + 0.3 * (made["sex"] == "M") + 0.2 * (np.log1p(made["model"]) - 3)
    total += 0.5 * ((made["defect"] >= 5) & (made["defect"] < 20))
    expected = 1 - 0.9 ** np.exp(total)
    np.testing.assert_allclose(np.sort(cohort.risks[1].values), np.sort(expected), rtol=1e-12)


def test_codes_squares_and_empty_cells() -> None:
    cells = pd.DataFrame({"sex": [1.0, 2.0, np.nan], "age": [40.0, 50.0, 60.0]})
    terms = [
        {"column": "sex", "coefficient": 1.0, "equals": "1"},
        {"column": "age", "coefficient": 0.001, "transform": "square"},
    ]
    risk = given_risk(cells, risk_config(baseline_survival=0.5, term=terms), Path("t.csv"))
    np.testing.assert_allclose(risk[:2], 1 - 0.5 ** np.exp([1 + 1.6, 2.5]))
    assert np.isnan(risk[2])


def test_figures_are_those_of_the_patients_with_the_risk(cohort: Patients, part: Part) -> None:
    there = ~np.isnan(cohort.risks[0].values)
    data, risk = cohort.data.take(there), cohort.risks[0].values[there]
    assert data.n == 490
    reported = part.numbers["Score"]
    assert reported["measures"]["harrell_c"] == harrell_c(data, risk)
    assert reported["measures"]["observed_expected"] == observed_expected(data, risk, 2.0)
    again = recalibrate(data, risk, 2.0)
    assert isinstance(again, Recalibration)
    assert reported["recalibration"]["measures"]["brier"] == brier_score(data, again.risk, 2.0)
    both = cohort.risks[1].values[there]
    assert part.numbers["Formula"]["less Score"]["auc"] == auc_difference(data, both, risk, 2.0)
    words = " ".join(item for item in part.section.content if isinstance(item, str))
    assert "10 patients without it are left out" in words
    assert "log(-log(1 - new risk)) = " in words


def test_table_and_figures(part: Part) -> None:
    shown = next(item for item in part.section.content if isinstance(item, Table))
    assert [str(row[0]).strip() for row in shown.rows] == [
        "Score, 2 years",
        "recalibrated",
        "Formula, 2 years",
        "recalibrated",
    ]
    titles = [item.title for item in part.section.content if isinstance(item, Chart)]
    assert titles == [
        "Calibration of Score",
        "Decision curve of Score",
        "Calibration of Formula",
        "Decision curve of Formula",
    ]
    for item in part.section.content:
        if isinstance(item, Chart):
            item.draw(Figure())
    plain(part.numbers)


def test_a_horizon_of_its_own_and_one_that_follow_up_does_not_reach(tmp_path: Path) -> None:
    fields = {**FULL, "risk": [{**COLUMN, "horizon_years": 1.0}, {**FORMULA, "horizon_years": 40.0}]}
    part = given_risks_part(patients(tmp_path, frame(), config(fields)))
    words = " ".join(item for item in part.section.content if isinstance(item, str))
    assert part.numbers["Score"]["horizon_years"] == 1.0
    assert "Formula: no recalibration, because" in words
    assert "different horizons" in words
    plain(part.numbers)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"column": "wide"}, "column wide holds 2 to 60, expected risks of 0 to 1, or percent = true"),
        ({"column": "share", "percent": True}, "holds 0.1 to 0.5, which are no percentages; remove percent = true"),
        ({"column": "low", "percent": True}, "column low holds -3 to 60, expected risks of 0 to 100"),
        (
            {"baseline_survival": 0.9, "term": [{"column": "low", "coefficient": 1.0, "transform": "log"}]},
            "log of -3 in column low",
        ),
    ],
)
def test_columns_that_hold_no_risks(fields: dict[str, Any], problem: str) -> None:
    cells = pd.DataFrame({"wide": [2.0, 60.0], "share": [0.1, 0.5], "low": [-3.0, 60.0]})
    with pytest.raises(UsageError, match=problem):
        given_risk(cells, risk_config(**fields), Path("t.csv"))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "give either a column, or terms"),
        ({"column": "a", "term": [{"column": "b", "coefficient": 1.0}]}, "give either a column, or terms"),
        ({"term": [{"column": "b", "coefficient": 1.0}]}, "terms and baseline_survival go together"),
        ({"baseline_survival": 5.0, "term": [{"column": "b", "coefficient": 1.0}]}, "baseline_survival is 5"),
        ({"column": "a", "horizon_years": 0.0}, "horizon_years is 0"),
        (
            {"baseline_survival": 0.9, "term": [{"column": "b", "coefficient": 1.0, "equals": "x", "below": 3.0}]},
            "give one of equals",
        ),
    ],
)
def test_faults_of_the_configuration(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        risk_config(**fields)


def test_two_risks_of_one_name() -> None:
    with pytest.raises(UsageError, match="two risks have the same name"):
        config({**FULL, "risk": [COLUMN, COLUMN]})

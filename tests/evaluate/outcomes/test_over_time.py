"""Effects over time: every figure of the section against the statistic called directly, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.over_time import over_time_part
from ctacal.evaluate.outcomes.part import Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.publication import Chart, Table
from ctacal.evaluate.publication.numbers import plain
from ctacal.statistics.survival import (
    ChangingEffect,
    StratifiedModel,
    changing_effect,
    restricted_mean_difference,
    stratified_cox,
)
from tests.evaluate.outcomes.tables import FULL, config, patients, table

FIELDS: dict[str, Any] = {
    **FULL,
    "strata": ["sex"],
    "analysis": {**FULL["analysis"], "split_days": 365.25},
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Patients:
    made = table(500, seed=11)
    made.loc[::20, "age"] = np.nan
    return patients(tmp_path_factory.mktemp("over_time"), made, config(FIELDS)).by_time()


@pytest.fixture(scope="module")
def part(cohort: Patients) -> Part:
    return over_time_part(cohort)


def tables(part: Part) -> dict[str, Table]:
    return {item.stem: item for item in part.section.content if isinstance(item, Table)}


def test_hazard_ratios_by_time_and_around_the_day(cohort: Patients, part: Part) -> None:
    known = cohort.take(cohort.complete)
    covariates = known.adjusted(known.config.adjusted)[1]
    by_log = changing_effect(known.data, known.model.category, covariates)
    around = changing_effect(known.data, known.model.category, covariates, split=1.0)
    assert isinstance(by_log, ChangingEffect) and isinstance(around, ChangingEffect)
    assert part.numbers["by_time"]["Model"]["CAC >400"]["2"] == by_log.hazard_ratio(3, 2.0)
    assert part.numbers["by_time"]["Model"]["test"] == by_log.test
    assert part.numbers["split"]["Model"]["CAC >400"]["until"] == around.hazard_ratio(3, 1.0)
    assert part.numbers["split"]["Model"]["CAC >400"]["after"] == around.hazard_ratio(3, 1.1)
    assert "After day 365.25: HR (95 % CI)" in tables(part)["hazard_ratios_split"].columns
    plain(part.numbers)


def test_stratified_ratios(cohort: Patients, part: Part) -> None:
    known = cohort.take(cohort.complete)
    names, flags = known.model.by_category()
    covariates = np.column_stack([flags, known.adjusted(("age", "defect"))[1]])
    model = stratified_cox(known.data, covariates, known.covariate("sex").values, (*names, "age", "defect"))
    assert isinstance(model, StratifiedModel)
    found = part.numbers["stratified"]["Model"]["CAC >400"]
    assert found.estimate == pytest.approx(model.hazard_ratio("Model >400").estimate, rel=1e-9)
    assert "each level of Sex (2 strata)" in tables(part)["stratified"].footnotes[0]


def test_event_free_days(cohort: Patients, part: Part) -> None:
    groups = [cohort.data.take(cohort.model.category == place) for place in (3, 0)]
    difference, _ = restricted_mean_difference(groups[0], groups[1], 2.0)
    assert part.numbers["event_free"]["Model"]["CAC >400"]["difference_years"] == difference
    row = next(row for row in tables(part)["event_free_days"].rows if str(row[0]).strip() == "CAC >400")
    assert str(row[3]).startswith(f"−{abs(365.25 * (difference.estimate or 0)):.0f} (")


def test_the_advice_follows_the_tests(cohort: Patients, part: Part, tmp_path: Path) -> None:
    assert "no change of the hazard ratios with log(time) is shown" in str(part.section.content[0])
    changing = table(900, seed=12)
    early = (changing["model"] > 400) & (np.arange(900) % 4 > 0)
    changing.loc[early, "days"] = np.ceil(changing.loc[early, "days"] / 40)
    changing.loc[early, "mace"] = 1
    other = over_time_part(patients(tmp_path, changing).by_time())
    assert "Model: the hazard ratios change with log(time) (p <0.001): read them by time" in str(
        other.section.content[0]
    )
    assert "hazard_ratios_split" not in tables(other) and "stratified" not in tables(other)
    for item in (*part.section.content, *other.section.content):
        if isinstance(item, Chart):
            item.draw(Figure())


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"strata: column age has \d+ different values, expected at most 20"):
        patients(tmp_path, table(200), config({**FULL, "strata": ["age"]}))
    with pytest.raises(UsageError, match="strata: centre: not among the covariates"):
        config({**FULL, "strata": ["centre"]})
    with pytest.raises(UsageError, match="split_days: expected a positive number of days"):
        config({**FULL, "analysis": {"split_days": 0}})


def test_what_cannot_be_computed_is_said(tmp_path: Path) -> None:
    analysis = {**FULL["analysis"], "split_days": 20000.0, "horizon_years": 8.0}
    late = over_time_part(patients(tmp_path, table(200), config({**FULL, "analysis": analysis})))
    assert any("no event after" in note for note in tables(late)["hazard_ratios_split"].footnotes)
    assert any("follow-up ends at" in note for note in tables(late)["event_free_days"].footnotes)
    nobody = over_time_part(patients(tmp_path, table(60, mace=0)))
    assert "no events among patients with all covariates" in str(nobody.section.content[0])
    plain(nobody.numbers)

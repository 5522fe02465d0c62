"""Centres: figures of the report against the statistics called directly, and what a table may not say."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.centres import centres_part
from ctacal.evaluate.outcomes.config import read_config
from ctacal.evaluate.outcomes.elsewhere import elsewhere_part
from ctacal.evaluate.outcomes.part import Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import families
from ctacal.evaluate.outcomes.published_cohort import cohort_csv, simulate_cohort
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.evaluate.publication import Chart, Table
from ctacal.evaluate.publication.numbers import plain
from ctacal.statistics.survival.cox_model import CoxModel, clustered_ratio, cox
from ctacal.statistics.survival.held_out import measure_held_out
from ctacal.statistics.survival.stratified import StratifiedModel, stratified_cox
from tests import places
from tests.evaluate.outcomes.tables import FULL, config, patients, table

SITES = ["North", "South", "West"]


def frame(n: int = 600) -> pd.DataFrame:
    return table(n, seed=12, site=[SITES[k % 3] for k in range(n)])


def chosen(**centre: Any) -> dict[str, Any]:
    return {**FULL, "centre": {"column": "site", **centre}}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Patients:
    return patients(tmp_path_factory.mktemp("centres"), frame(), config(chosen())).by_time()


def tables(part: Part) -> dict[str, Table]:
    return {item.stem: item for item in part.section.content if isinstance(item, Table)}


def drawn(part: Part) -> None:
    for item in part.section.content:
        if isinstance(item, Chart):
            item.draw(Figure())
    plain(part.numbers)


def test_centres_and_hazard_ratios_that_allow_for_them(cohort: Patients) -> None:
    part = centres_part(cohort)
    centre = cohort.centre
    assert centre is not None
    assert [row[:2] for row in tables(part)["centres"].rows] == [(site, 200) for site in SITES]
    names, flags = cohort.model.by_category()
    x = np.column_stack([flags, cohort.adjusted(cohort.config.adjusted)[1]])
    plain_model, within = cox(cohort.data, x), stratified_cox(cohort.data, x, centre.group)
    assert isinstance(plain_model, CoxModel) and isinstance(within, StratifiedModel)
    found = part.numbers["hazard_ratios"]["Model"][names[2]]
    assert found["together"].estimate == pytest.approx(np.exp(plain_model.coefficient[2]), rel=1e-9)
    assert found["clustered"].low == pytest.approx(clustered_ratio(plain_model, 2, centre.group).low, rel=1e-9)
    assert found["stratified"].estimate == pytest.approx(np.exp(within.coefficient[2]), rel=1e-9)
    drawn(part)


def test_effect_at_each_centre_is_that_of_its_patients(cohort: Patients) -> None:
    part = centres_part(cohort)
    own = cohort.take(cohort.centre.group == 1) if cohort.centre else cohort
    step = own.model.category.astype(float)
    model = cox(own.data, np.column_stack([step, own.adjusted(own.config.adjusted)[1]]))
    assert isinstance(model, CoxModel)
    ratios = part.numbers["by_centre"]["hazard_ratio_per_step"]["Model"]
    assert list(ratios) == SITES
    assert ratios["South"].estimate == pytest.approx(np.exp(model.coefficient[0]), rel=1e-9)
    average = part.numbers["by_centre"]["average"]["Model"]
    assert average.centres == 3
    assert min(one.estimate for one in ratios.values()) <= average.average.estimate
    assert average.average.estimate <= max(one.estimate for one in ratios.values())
    assert 0 <= part.numbers["by_centre"]["interaction"]["Model"].p <= 1


def test_each_centre_in_turn(cohort: Patients) -> None:
    found = families(cohort)
    part = elsewhere_part(cohort, found)
    models = {model.name: model.columns[1] for model in found[-1].all} if not isinstance(found[-1], str) else {}
    assert cohort.centre is not None
    expected = measure_held_out(cohort.data, models, cohort.centre.group == 2, horizon=2.0)
    west = part.numbers["centres"]["West"]
    assert west["measures"]["with Model"]["auc"] == expected.measures["with Model"]["auc"]
    rows = tables(part)["centres_in_turn"].rows
    assert [str(row[0]).strip() for row in rows[:6]] == ["all covariates", *SITES, "Average", "I²"]
    assert part.numbers["average"]["with Model"]["slope"].centres == 3
    drawn(part)


def test_centres_named_for_the_test_have_no_part_in_the_models(tmp_path: Path) -> None:
    own = patients(tmp_path, frame(), config(chosen(test=["West"]))).by_time()
    part = elsewhere_part(own, families(own))
    assert part.numbers["found"]["fitted_to"] == 400
    assert part.numbers["found"]["n"] == 200
    assert "fitted to the 400 patients of the other centres and tested in the 200 of West" in str(
        part.section.content[0]
    )


def test_small_centres_are_sentences_not_crashes(tmp_path: Path) -> None:
    """One centre has two patients, one has no events."""
    made = frame(200)
    made["site"] = ["tiny"] * 2 + ["calm"] * 40 + ["large"] * 158
    made.loc[2:41, "mace"] = 0
    own = patients(tmp_path, made, config(chosen())).by_time()
    for part in (centres_part(own), elsewhere_part(own, families(own))):
        assert any("[a]" in str(cell) for shown in tables(part).values() for row in shown.rows for cell in row)
        drawn(part)
    lone = patients(tmp_path, frame(80).assign(site="North"), config(chosen()))
    assert "one centre (North)" in str(centres_part(lone).section.content[0])
    assert "two centres or more" in str(elsewhere_part(lone, families(lone)).section.content[0])


@pytest.mark.parametrize(
    ("sites", "centre", "problem"),
    [
        (["North", None] * 40, {}, "column site is empty in 40 rows, the first is row 3"),
        ([f"P{k}" for k in range(240)], {}, "column site has 240 different values"),
        (["North", "South"] * 40, {"test": ["East"]}, r"has no centre East \(centre.test\), only North, South"),
        (["North", "South"] * 40, {"test": ["North", "South"]}, "names all centres"),
    ],
)
def test_faults_are_named(tmp_path: Path, sites: list[Any], centre: dict[str, Any], problem: str) -> None:
    made = table(len(sites), seed=3, site=sites)
    with pytest.raises(UsageError, match=problem):
        patients(tmp_path, made, config(chosen(**centre)))


def test_the_recipe_runs_on_the_simulated_table(tmp_path: Path) -> None:
    file = tmp_path / "example.csv"
    file.write_text(cohort_csv(simulate_cohort(0, 400)), encoding="utf-8")
    own = read_patients(file, read_config(places.ROOT / "recipes" / "other_centre.toml")).by_time()
    part = elsewhere_part(own, families(own))
    assert part.numbers["test"] == "C"
    assert part.numbers["found"]["fitted_to"] + part.numbers["found"]["n"] == 400

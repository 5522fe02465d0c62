"""What a reviewer asks: flow of patients, events per coefficient, patients needed, E-values."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ctacal.evaluate.outcomes.flow import flow_part
from ctacal.evaluate.outcomes.part import Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import families
from ctacal.evaluate.outcomes.study_size import study_size_part
from ctacal.evaluate.outcomes.subgroups import subgroups_part
from ctacal.evaluate.outcomes.unmeasured import unmeasured_part
from ctacal.evaluate.publication import Chart, Table
from ctacal.evaluate.publication.numbers import plain
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.confounding import e_value
from ctacal.statistics.survival.cox_model import CoxModel, cox
from ctacal.statistics.survival.sample_size import required_sample_size
from tests.evaluate.outcomes.tables import FULL, PLAIN, config, patients, table

OUTCOME: dict[str, Any] = {
    "time": "days", "revascularisation": "stent", "early_days": 90,
    "component": [{"name": "death", "event": "death"}, {"name": "stent", "event": "stent"}],
}  # fmt: skip


def flawed() -> pd.DataFrame:
    """300 patients: 6 scores missing, one patient twice, 9 early revascularisations, 12 ages missing."""
    made = table(300, seed=4).assign(death=0, stent=0)
    made.loc[made["mace"] == 1, "death"] = 1
    early = made.index[100:109]
    made.loc[early, ["days", "death", "stent"]] = [30, 0, 1]
    made.loc[:5, "model"] = np.nan
    made.loc[11, :] = made.loc[10, :]
    made.loc[200:211, "age"] = np.nan
    return made


def read(folder: Path, early: str) -> Patients:
    fields = {**FULL, "outcome": {**OUTCOME, "early": early}, "identifier": "id"}
    return patients(folder, flawed(), config(fields), drop=("missing", "duplicated"))


def only_table(part: Part) -> Table:
    return next(item for item in part.section.content if isinstance(item, Table))


def counted(part: Part) -> dict[str, Any]:
    return {str(row[0]).strip(): row[1:] for row in only_table(part).rows}


@pytest.mark.parametrize(
    ("early", "reason"), [("exclude", "stent within 90 days"), ("landmark", "event within 90 days")]
)
def test_the_flow_names_each_reason_and_adds_up(tmp_path: Path, early: str, reason: str) -> None:
    found = read(tmp_path, early)
    part, rows = flow_part(found), counted(flow_part(found))
    assert rows["Rows read"][0] == 300
    assert rows["excluded: a value is missing"][0] == 6
    assert rows["excluded: patient occurs twice"][0] == 1
    gone = [row[0] for name, row in rows.items() if name.startswith("excluded")]
    assert rows[f"excluded: {reason}"][0] >= 9
    assert 300 - sum(gone) == rows["Analysed"][0] == found.data.n
    assert rows["Analysed"][1] == found.data.events
    assert sum(rows[f"CAC {label}"][0] for label in ("0", "1-100", "101-400", ">400")) == found.data.n
    assert rows["without: Age"][0] == found.data.n - rows["With all covariates"][0] > 0
    assert part.numbers["excluded"][reason] == rows[f"excluded: {reason}"][0]
    plain(part.numbers)


def test_the_figure_of_the_flow_shows_the_numbers_of_its_table(tmp_path: Path) -> None:
    part = flow_part(read(tmp_path, "exclude"))
    chart = next(item for item in part.section.content if isinstance(item, Chart))
    figure = Figure()
    chart.draw(figure)
    shown = [text.get_text() for text in figure.axes[0].texts]
    rows = counted(part)
    assert "300 rows read" in shown
    assert "9: stent within 90 days" in shown
    assert f"{rows['Analysed'][0]} patients analysed ({rows['Analysed'][1]} with MACE)" in shown


def test_events_per_coefficient_and_patients_needed(tmp_path: Path) -> None:
    found = patients(tmp_path, table(400, seed=5))
    part = study_size_part(found, families(found))
    name = next(name for name in part.numbers if name.startswith("all covariates with Model"))
    own = part.numbers[name]
    assert own["coefficients"] == 6  # three categories, age, sex, defect
    assert own["events_per_coefficient"] == found.data.events / 6
    rate, followed = found.data.events / found.data.time.sum(), found.data.time.mean()
    assert own["needed"] == required_sample_size(6, own["strength"].adjusted_r2, rate, followed, 2.0)
    plain(part.numbers)


def test_a_cohort_that_is_too_small_is_told(tmp_path: Path) -> None:
    few = patients(tmp_path, table(60, seed=1))
    part = study_size_part(few, families(few))
    assert "smaller than its largest model" in str(part.section.content[-1])
    alone = patients(tmp_path, table(400), config(PLAIN))
    assert list(study_size_part(alone, families(alone)).numbers) == ["Model categories"]


def test_without_events_there_is_no_size(tmp_path: Path) -> None:
    none = patients(tmp_path, table(80, mace=0))
    part = study_size_part(none, families(none))
    assert "reason" in part.numbers
    assert "reason" not in plain(unmeasured_part(none).numbers)


def test_e_values_are_of_the_multivariable_hazard_ratios(tmp_path: Path) -> None:
    found = patients(tmp_path, table(500, seed=6))
    part = unmeasured_part(found)
    model = cox(
        found.data,
        np.column_stack([found.model.by_category()[1], found.adjusted(found.config.adjusted)[1]]),
        [f"column {k}" for k in range(6)],
    )
    assert isinstance(model, CoxModel)
    own = part.numbers["Model"]["CAC >400"]
    ratio = model.hazard_ratio("column 2")
    assert own["hazard_ratio"].estimate == pytest.approx(ratio.estimate, rel=1e-9)
    assert own["common"].estimate == pytest.approx(e_value(ratio, common=True).estimate, rel=1e-9)
    assert part.numbers["applies"] == ("common" if found.data.events / 500 >= 0.15 else "rare")
    assert isinstance(own["hazard_ratio"], Estimate)


def test_the_forest_of_subgroups_shows_patients_and_events(tmp_path: Path) -> None:
    found = patients(tmp_path, table(400, seed=7))
    chart = next(item for item in subgroups_part(found).section.content if isinstance(item, Chart))
    figure = Figure()
    chart.draw(figure)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown[:4] == ["n", "Events", "400", f"{found.data.events:,}"]

"""What cardiology asks: CAC 0, perfusion and calcium, other scales; figures against the statistics called directly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from ctacal.evaluate.outcomes.part import Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.perfusion import perfusion_part
from ctacal.evaluate.outcomes.scales import scales_part
from ctacal.evaluate.outcomes.zero_calcium import zero_part
from ctacal.evaluate.publication import Chart, Table
from ctacal.evaluate.publication.numbers import plain
from ctacal.statistics.survival.cox_model import CoxModel, cox
from ctacal.statistics.survival.survival_curve import event_rate, kaplan_meier
from tests.evaluate.outcomes.tables import FULL, PLAIN, config, patients, table


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Patients:
    made = table(600, seed=21)
    made.loc[::40, "defect"] = np.nan
    for k, name in enumerate(("lm", "lad", "lcx", "rca")):
        made[name] = np.where((made["model"] > 0) & (np.arange(600) % (k + 1) == 0), 30.0, 0.0)
    model = {"name": "Model", "score": "model", "vessels": ["lm", "lad", "lcx", "rca"]}
    fields: dict[str, Any] = {**FULL, "model": model}
    return patients(tmp_path_factory.mktemp("questions"), made, config(fields)).by_time()


def tables(part: Part) -> dict[str, Table]:
    return {item.stem: item for item in part.section.content if isinstance(item, Table)}


def test_negative_predictive_value_and_warranty_of_cac_0(cohort: Patients) -> None:
    part = zero_part(cohort)
    curve = kaplan_meier(cohort.data.take(cohort.model.category == 0))
    assert part.numbers["Model"]["negative_predictive_value"]["2"] == curve.at(2.0)
    assert part.numbers["Model"]["years_to_risk"]["0.05"] == curve.time_to_risk(0.05)
    assert part.numbers["Reader"]["n"] == (cohort.readings[1].category == 0).sum()
    plain(part.numbers)
    assert set(tables(part)) == {"cac_0", "cac_0_warranty"}


def test_a_warranty_that_follow_up_does_not_end_is_told(tmp_path: Path) -> None:
    made = table(200, seed=2)
    made.loc[made["model"] == 0, "mace"] = 0
    part = zero_part(patients(tmp_path, made))
    row = next(row for row in tables(part)["cac_0_warranty"].rows if row[0] == "Model")
    assert str(row[1]).startswith("–")
    assert "the risk stays lower during the 4.9 years" in " ".join(tables(part)["cac_0_warranty"].footnotes)
    nobody = zero_part(patients(tmp_path, table(60, model=50.0, reader=20.0)))
    assert nobody.section.content == ("No patient has CAC 0.",)


def test_cells_of_perfusion_and_calcium(cohort: Patients) -> None:
    part = perfusion_part(cohort)
    defect = cohort.covariate("defect").values
    mine = (defect >= 5) & (cohort.model.category == 3)
    cell = part.numbers["Model"]["Abnormal perfusion"]["CAC >400"]
    assert (cell["n"], cell["events"]) == (int(mine.sum()), cohort.data.take(mine).events)
    assert cell["rate_per_year"] == event_rate(cohort.data.take(mine))
    assert cell["risk"].estimate == pytest.approx(1 - (kaplan_meier(cohort.data.take(mine)).at(2.0).estimate or 0))
    assert "15 patients without it are left out" in str(part.section.content[0])
    charts = [item for item in part.section.content if isinstance(item, Chart)]
    assert [item.title for item in charts] == ["Calcium within normal perfusion", "Calcium within abnormal perfusion"]
    for item in charts:
        item.draw(Figure())
    plain(part.numbers)


def test_calcium_within_normal_perfusion_is_the_model_of_these_patients(cohort: Patients) -> None:
    part = perfusion_part(cohort)
    known = cohort.take(cohort.complete & (cohort.covariate("defect").values < 5))
    step = known.model.category.astype(float)
    model = cox(known.data, np.column_stack([step, known.adjusted(known.config.adjusted)[1]]))
    assert isinstance(model, CoxModel)
    found = part.numbers["within_normal"]["Model"]["per category"]
    assert found.estimate == pytest.approx(np.exp(model.coefficient[0]), rel=1e-9)


def test_nobody_with_normal_perfusion(tmp_path: Path) -> None:
    part = perfusion_part(patients(tmp_path, table(80, defect=9.0)))
    assert "no events among patients with all covariates" in str(part.section.content[-1])
    plain(part.numbers)


def test_other_scales(cohort: Patients) -> None:
    part = scales_part(cohort)
    log_score = cohort.model.log_score
    assert log_score is not None
    found = part.numbers["Model"]
    doubling = cox(cohort.data, log_score / np.log(2))
    assert isinstance(doubling, CoxModel)
    assert found["per doubling"]["univariable"]["coefficient"][0] == pytest.approx(doubling.coefficient[0], rel=1e-9)
    spread = next(key for key in found if key.startswith("per SD"))
    ratio = found[spread]["univariable"]["coefficient"][0] / found["per doubling"]["univariable"]["coefficient"][0]
    assert ratio == pytest.approx(log_score.std(ddof=1) / np.log(2))
    rows = [str(row[0]).strip() for row in tables(part)["scales"].rows]
    assert rows[3:8] == ["CAC 0", "CAC 1-10", "CAC 11-100", "CAC 101-400", "CAC >400"]
    assert "3 vessels or more" in rows
    vessels = cohort.model.vessels
    assert vessels is not None
    own = next(row for row in tables(part)["scales"].rows if str(row[0]).strip() == "1 vessel")
    assert own[1] == int((vessels == 1).sum())
    plain(part.numbers)


def test_categories_alone_have_no_other_scales(tmp_path: Path) -> None:
    made = table(120, kind=["0", "1-100", "101-400", ">400"] * 30)
    own = patients(tmp_path, made, config({**PLAIN, "model": {"name": "Model", "category": "kind"}}))
    assert "there are no other scales" in str(scales_part(own).section.content[0])

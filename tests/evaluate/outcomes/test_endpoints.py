"""Several endpoints and sets of covariates in one run."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.endpoints import endpoints_part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.publication import Chart, Table
from ctacal.evaluate.publication.numbers import plain
from ctacal.statistics.survival.cox_model import CoxModel, cox
from tests.evaluate.outcomes.tables import FULL, config, patients, table

PARTS = [
    {"name": "death", "event": "died", "time": "died_days"},
    {"name": "infarction", "event": "infarction", "time": "infarction_days"},
    {"name": "revascularisation", "event": "revascularised", "time": "revascularised_days"},
]


def frame(n: int = 500) -> pd.DataFrame:
    """Half of those with an infarction die later: the outcome is the infarction, the endpoint the death."""
    rng = np.random.default_rng(8)
    made = table(n, seed=8)
    event, first = made.pop("mace") == 1, made["days"].copy()
    kind = rng.integers(0, 3, n)
    made["days"] = first + np.where(event, 200, 0)
    for place, name in enumerate(("died", "infarction", "revascularised")):
        mine = event & (kind == place)
        made[name], made[f"{name}_days"] = mine.astype(int), np.where(mine, first, np.nan)
    later = event & (kind == 1) & (rng.random(n) < 0.5)
    made.loc[later, "died"], made.loc[later, "died_days"] = 1, first[later] + 100
    return made


def chosen(**outcome: Any) -> dict[str, Any]:
    return {
        **FULL,
        "outcome": {"time": "days", "component": PARTS, "competing": "death", **outcome},
        "endpoint": [
            {"name": "Death", "components": ["death"]},
            {"name": "Hard", "components": ["death", "infarction"]},
        ],
        "adjustment": [{"name": "Age and sex", "covariates": ["age", "sex"]}],
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Patients:
    return patients(tmp_path_factory.mktemp("endpoints"), frame(), config(chosen())).by_time()


def test_an_endpoint_sees_later_events(cohort: Patients) -> None:
    made = frame()
    death = next(one for one in cohort.endpoints if one.name == "Death")
    assert death.data.events == made["died"].sum() > (cohort.kinds["death"])
    expected = np.where(made["died"] == 1, made["died_days"], made["days"]).sum() / 365.25
    assert death.data.time.sum() == pytest.approx(expected)
    assert cohort.endpoints[1].data.events == ((made["died"] == 1) | (made["infarction"] == 1)).sum()


def test_hazard_ratios_are_those_of_the_endpoint_and_its_set(cohort: Patients) -> None:
    part = endpoints_part(cohort)
    step = cohort.model.category.astype(float)
    data = cohort.endpoints[0].data
    model = cox(data, np.column_stack([step, cohort.adjusted(("age", "sex"))[1]]))
    assert isinstance(model, CoxModel)
    found = part.numbers["Death"]["Model"]["Age and sex"]["per category"]
    assert found.estimate == pytest.approx(np.exp(model.coefficient[0]), rel=1e-9)
    assert list(part.numbers["MACE"]["Reader"]) == ["Unadjusted", "Age and sex", "All covariates"]
    shown = [item for item in part.section.content if isinstance(item, Table)]
    assert [item.stem for item in shown] == ["endpoints_1", "endpoints_2"]
    assert str(shown[0].rows[4][0]).startswith("Death (")
    for item in part.section.content:
        if isinstance(item, Chart):
            item.draw(Figure())
    plain(part.numbers)
    assert "Hard: first of death and infarction" in str(part.section.content[0])


def test_the_early_window_applies_only_to_endpoints_with_revascularisation(tmp_path: Path) -> None:
    made = frame()
    made.loc[made["revascularised"] == 1, "revascularised_days"] = 10
    fields = chosen(revascularisation="revascularisation", early="exclude")
    fields["endpoint"] = [
        {"name": "Death", "components": ["death"]}, {"name": "Any", "components": ["death", "revascularisation"]},
    ]  # fmt: skip
    own = patients(tmp_path, made, config(fields))
    early = int((made["revascularised"] == 1).sum())
    assert own.data.n == 500 - early
    assert [one.data.n for one in own.endpoints] == [500 - early] * 2
    assert all(one.included.all() for one in own.endpoints)


def test_components_without_a_time_are_told(tmp_path: Path) -> None:
    made = frame()
    for name in ("died", "infarction", "revascularised"):
        made.loc[made[name] == 1, "days"] = made[f"{name}_days"]
    made["died"] = made["died"] * (1 - made["infarction"])
    fields = chosen(component=[{"name": one["name"], "event": one["event"]} for one in PARTS])
    part = endpoints_part(patients(tmp_path, made, config(fields)))
    assert "have no time of their own in the table" in str(part.section.content[0])


def test_faults_of_the_configuration() -> None:
    with pytest.raises(UsageError, match="endpoint Stroke: stroke: not among the components"):
        config({**chosen(), "endpoint": [{"name": "Stroke", "components": ["stroke"]}]})
    with pytest.raises(UsageError, match="adjustment Few: weight: not among the covariates"):
        config({**chosen(), "adjustment": [{"name": "Few", "covariates": ["weight"]}]})

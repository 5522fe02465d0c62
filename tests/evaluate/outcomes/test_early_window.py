"""The rules for early revascularisation beside one another, each as if the report followed it alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.evaluate.outcomes.early_window import early_window_part
from ctacal.evaluate.outcomes.hazards import hazards_part
from ctacal.evaluate.publication import Table
from ctacal.evaluate.publication.numbers import plain
from tests.evaluate.outcomes.tables import FULL, config, patients, table

PARTS = [
    {"name": "death", "event": "died", "time": "died_days"},
    {"name": "revascularisation", "event": "revascularised", "time": "revascularised_days"},
]
OUTCOME = {"time": "days", "component": PARTS, "revascularisation": "revascularisation"}


def frame() -> pd.DataFrame:
    made = table(600, seed=31)
    early = np.arange(600) % 9 == 0
    made["died"], made["died_days"] = made["mace"], made["days"]
    made["revascularised"] = early.astype(int)
    made["revascularised_days"] = np.minimum(np.where(early, 20.0 + np.arange(600) % 60, np.nan), made["days"])
    return made


@pytest.mark.parametrize("rule", ["count", "ignore", "exclude", "landmark"])
def test_each_rule_is_what_a_report_with_it_gives(
    tmp_path: Path, rule: Literal["count", "ignore", "exclude", "landmark"]
) -> None:
    chosen: OutcomesConfig = config({**FULL, "outcome": OUTCOME})
    part = early_window_part(patients(tmp_path, frame(), chosen).by_time())
    alone = patients(tmp_path, frame(), replace(chosen, outcome=replace(chosen.outcome, early=rule))).by_time()
    expected: Any = hazards_part(alone).numbers["Model"]["multivariable"]
    found = part.numbers[rule]["Model"]
    assert (found["n"], found["events"]) == (expected["n"], expected["events"])
    place = expected["names"].index("Model >400")
    assert found["hazard_ratios"]["CAC >400"].estimate == pytest.approx(
        np.exp(expected["coefficient"][place]), rel=1e-9
    )
    plain(part.numbers)


def test_the_rule_of_the_report_is_marked_and_excludes_nobody_from_the_others(tmp_path: Path) -> None:
    own = patients(tmp_path, frame(), config({**FULL, "outcome": {**OUTCOME, "early": "exclude"}})).by_time()
    part = early_window_part(own)
    shown = next(item for item in part.section.content if isinstance(item, Table))
    labels = [str(row[0]) for row in shown.rows]
    assert labels == [
        "Counts as an event", "Does not count", "Patients excluded (this report)", "Landmark: start at day 90",
    ]  # fmt: skip
    assert part.numbers["count"]["Model"]["n"] == 600 > part.numbers["exclude"]["Model"]["n"] == own.data.n
    assert 'early = "exclude"' in str(part.section.content[0])

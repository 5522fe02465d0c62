"""Times and events of four hand-made patients, by every rule."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.errors import UsageError
from tests.evaluate.outcomes.tables import PLAIN, config, patients

FRAME = pd.DataFrame(
    {
        "id": ["A", "B", "C", "D"],
        "model": [0.0, 50.0, 200.0, 500.0],
        "end": [1000, 1000, 1000, 1000],
        "death": [0, 1, 0, 1],
        "death_day": [np.nan, 800, np.nan, 300],
        "mi": [0, 1, 0, 1],
        "mi_day": [np.nan, 500, np.nan, 300],
        "revasc": [0, 0, 1, 1],
        "revasc_day": [np.nan, np.nan, 60, 30],
    }
)
COMPONENTS = [
    {"name": "death", "event": "death", "time": "death_day"},
    {"name": "infarction", "event": "mi", "time": "mi_day"},
    {"name": "revascularisation", "event": "revasc", "time": "revasc_day"},
]


def followed(folder: Path, frame: pd.DataFrame = FRAME, table: dict[str, Any] | None = None, **changes: Any) -> Any:
    outcome = {"time": "end", "component": COMPONENTS, "revascularisation": "revascularisation", **changes}
    return patients(folder, frame, config(PLAIN, identifier="id", outcome=outcome, table=table or {}))


def days(found: Any) -> list[float]:
    return [float(round(year * 365.25, 6)) for year in found.data.time]


def test_first_component_counts(tmp_path: Path) -> None:
    found = followed(tmp_path)
    assert days(found) == [1000, 500, 60, 30]
    assert found.data.event.tolist() == [False, True, True, True]
    assert found.kinds == {"death": 0, "infarction": 1, "revascularisation": 2}


def test_early_revascularisation_ignored_follow_up_goes_on(tmp_path: Path) -> None:
    found = followed(tmp_path, early="ignore")
    assert days(found) == [1000, 500, 1000, 300]
    assert found.data.event.tolist() == [False, True, False, True]
    assert found.kinds == {
        "death": 1,
        "infarction": 1,
        "revascularisation": 0,
    }  # of two on one day, the component named first
    assert "2 patients had revascularisation within 90 days, which does not count" in found.notes[1]


def test_early_revascularisation_excluded(tmp_path: Path) -> None:
    found = followed(tmp_path, early="exclude", early_days=45.0)
    assert days(found) == [1000, 500, 60]
    assert found.model.score is not None
    assert found.model.score.tolist() == [0, 50, 200]
    assert found.notes[1] == "1 patient was excluded because of revascularisation within 45 days."


def test_competing_event_within_the_outcome(tmp_path: Path) -> None:
    found = followed(tmp_path, early="ignore", competing="death")
    assert found.cause.tolist() == [0, 1, 0, 1]  # of infarction and death on one day, the infarction
    assert found.data.event.tolist() == [False, True, False, True]
    assert found.kinds == {"death": 0, "infarction": 2, "revascularisation": 0}


def test_competing_event_outside_the_outcome_ends_follow_up(tmp_path: Path) -> None:
    parts = [{**COMPONENTS[0], "in_outcome": False}, *COMPONENTS[1:]]
    found = followed(tmp_path, component=parts, competing="death", early="ignore")
    assert found.cause.tolist() == [0, 1, 0, 1]
    assert days(found) == [1000, 500, 1000, 300]
    assert found.data.event.tolist() == [False, True, False, True]
    frame = FRAME.assign(mi=[0, 1, 0, 0])
    alone = followed(tmp_path, frame, component=parts, competing="death", early="ignore")
    assert alone.cause.tolist() == [0, 1, 0, 2]
    assert alone.data.event.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("unit", "years"), [("days", 1000 / 365.25), ("weeks", 7000 / 365.25), ("months", 1000 / 12), ("years", 1000)]
)
def test_units(tmp_path: Path, unit: str, years: float) -> None:
    found = followed(tmp_path, unit=unit, table={"range": {"end": [0, 1000]}})
    assert found.data.time[0] == pytest.approx(years)


def test_equal_days_stay_tied(tmp_path: Path) -> None:
    free = {"range": {"end": [0, 1000]}}
    found = followed(tmp_path, unit="months", early="ignore", early_days=3000.0, table=free)
    assert len(np.unique(found.data.time)) == 3


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("mi_day", np.nan, "patient B: infarction has no time (column mi_day)"),
        ("death_day", 1200, "patient B: death is later than the end of follow-up (column death_day)"),
    ],
)
def test_impossible_times_name_the_patient(tmp_path: Path, column: str, value: float, message: str) -> None:
    frame = FRAME.copy()
    frame.loc[1, column] = value
    with pytest.raises(UsageError) as caught:
        followed(tmp_path, frame)
    assert message in str(caught.value)


def test_all_excluded_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leaves no patient"):
        followed(tmp_path, FRAME[FRAME["revasc"] == 1], early="exclude")

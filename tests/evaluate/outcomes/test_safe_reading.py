"""What ``ctacal outcomes`` makes of tables as registries export them: read as declared, told, or refused."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.columns import columns_part
from ctacal.evaluate.outcomes.figures import RiskRow, Step, draw_steps, year_ticks
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.evaluate.outcomes.report import outcomes_report
from tests.evaluate.outcomes.tables import PLAIN, config, patients, table

DATED: dict[str, Any] = {
    **PLAIN, "outcome": {"start": "scan", "end": "last", "event": "mace"}, "covariates": ["age"], "age": "age",
    "age_from": {"birth": "born", "at": "scan"},
}  # fmt: skip


def dated(frame: pd.DataFrame, style: str = "%Y-%m-%d") -> pd.DataFrame:
    """The table with dates in place of follow-up and age."""
    first, rows = datetime.date(2015, 3, 1), range(len(frame))
    scans = [first + datetime.timedelta(days=row) for row in rows]
    ends = [scan + datetime.timedelta(days=float(days)) for scan, days in zip(scans, frame["days"], strict=True)]
    births = [
        scan - datetime.timedelta(days=round(age * 365.25)) for scan, age in zip(scans, frame["age"], strict=True)
    ]
    made = frame.drop(columns=["days", "age"])
    for name, dates in (("scan", scans), ("last", ends), ("born", births)):
        made[name] = [date.strftime(style) for date in dates]
    return made


@pytest.mark.parametrize("style", ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%d%b%Y"])
def test_follow_up_and_age_from_dates(style: str, tmp_path: Path) -> None:
    frame = table(60, seed=1)
    found = patients(tmp_path, dated(frame, style), config(DATED))
    np.testing.assert_allclose(found.data.time * 365.25, frame["days"])
    np.testing.assert_allclose(found.covariate("age").values, frame["age"], atol=0.1001)
    assert {row.name: row.role for row in found.columns}["follow-up from two dates (days)"] == "computed from dates"


def test_dates_of_a_workbook_and_of_events(tmp_path: Path) -> None:
    frame = table(30, seed=1)
    typed = dated(frame)
    for name in ("scan", "last", "born"):
        typed[name] = pd.to_datetime(typed[name])
    typed["infarction"] = [1, *[0] * 29]
    typed["infarcted"] = [typed["scan"][0] + pd.Timedelta(days=12), *[pd.NaT] * 29]
    typed.to_excel(tmp_path / "t.xlsx", index=False)
    parts = [{"name": "infarction", "event": "infarction", "date": "infarcted"}]
    found = read_patients(
        tmp_path / "t.xlsx", config({**DATED, "outcome": {"start": "scan", "end": "last", "component": parts}})
    )
    assert found.data.time[0] * 365.25 == pytest.approx(12)
    assert found.data.events == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"last": "2014-01-01"}, "row 2: follow-up from two dates .days. is -4.., expected 0 or more"),
        ({"last": ""}, "row 2: follow-up from two dates .days. is missing"),
        ({"born": "2020-01-01"}, "row 2: age is -4.*expected more than 0"),
        ({"born": "1900-01-01"}, "where no date is known: then say --missing born=1900-01-01"),
        ({"last": "9999-12-31"}, "where no date is known: then say --missing last=9999-12-31"),
        ({"last": "2345-06-01"}, "row 2: last is '2345-06-01', which has not come yet"),
        ({"scan": "soon"}, "row 2: scan is 'soon', not a date"),
        ({"scan": "01/02/20"}, "row 2: scan is '01/02/20', a date whose year has two digits"),
    ],
)
def test_impossible_dates_are_refused_with_their_row(changed: dict[str, str], why: str, tmp_path: Path) -> None:
    frame = dated(table(30, seed=1))
    for name, cell in changed.items():
        frame.loc[0, name] = cell
    with pytest.raises(UsageError, match=why) as refused:
        patients(tmp_path, frame, config(DATED))
    assert "--drop" not in str(refused.value)


def test_dates_are_offered_where_numbers_were_expected(tmp_path: Path) -> None:
    frame = dated(table(30)).assign(days="2020-01-31", age=60)
    with pytest.raises(UsageError, match=r"column days holds dates .*outcome.start and outcome.end"):
        patients(tmp_path, frame, config(PLAIN))
    with pytest.raises(UsageError, match=r"column age holds dates .*age_from = \{ birth"):
        patients(tmp_path, table(30).assign(age="1955-01-31"), config(PLAIN, covariates=["age"]))
    with pytest.raises(UsageError, match="has a column age; remove age_from"):
        patients(tmp_path, frame, config(DATED))


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        ({"start": "scan"}, "outcome.time: give either time, or start and end"),
        ({"time": "t", "start": "a", "end": "b"}, "outcome.time: give either time, or start and end"),
        ({"start": "a", "end": "b", "unit": "months"}, "outcome.unit: is days if follow-up is computed from dates"),
        ({"time": "t", "yes": ["x"]}, "outcome.yes: give yes and no together"),
    ],
)
def test_what_a_toml_cannot_mean(outcome: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        config(PLAIN, outcome={"event": "mace", **outcome})


@pytest.mark.parametrize(
    ("name", "unit"),
    [("fu_days", "years"), ("follow_up_months", "days"), ("Nachbeobachtung Tage", "months"), ("t_years", "weeks")],
)
def test_a_unit_that_the_columns_name_contradicts(name: str, unit: str, tmp_path: Path) -> None:
    frame = table(30).rename(columns={"days": name})
    outcome = {"time": name, "event": "mace", "unit": unit}
    with pytest.raises(UsageError, match=f"column {name} holds .* its name says .*, but the unit is said to be {unit}"):
        patients(tmp_path, frame, config(PLAIN, outcome=outcome))
    free = {"range": {name: [0, 100_000]}}
    assert patients(tmp_path, frame, config(PLAIN, outcome=outcome, table=free)).data.n == 30


def test_a_horizon_beyond_follow_up_asks_for_the_unit(tmp_path: Path) -> None:
    """Months that were said to be weeks are plausible; the horizon is not."""
    frame = table(40, seed=2).rename(columns={"days": "t"}).assign(t=lambda cells: cells["t"] / 30.4)
    chosen = config(PLAIN, outcome={"time": "t", "event": "mace", "unit": "weeks"})
    found = outcomes_report(patients(tmp_path, frame, chosen))
    assert "shorter than the horizon of 2 years: check that t is in weeks." in " ".join(found.lead)


# --- levels -----------------------------------------------------------------------------------------------------------

SMOKING = {**PLAIN, "covariates": ["smoking"], "categorical": ["smoking"]}


def levels(folder: Path, cells: list[str], **changes: Any) -> tuple[str, ...]:
    frame = table(len(cells), smoking=cells)
    return patients(folder, frame, config({**SMOKING, **changes})).covariate("smoking").levels


def test_no_word_is_lost_from_a_category(tmp_path: Path) -> None:
    words = ["None", "NA", "null", "nan", "N/A", "unknown"]
    assert set(levels(tmp_path, words * 5)) == set(words)


def test_levels_have_their_order_and_reference(tmp_path: Path) -> None:
    cells = ["Current", "None", "Former"] * 9
    assert levels(tmp_path, cells) == ("Current", "Former", "None")
    assert levels(tmp_path, cells, levels={"smoking": ["None", "Former", "Current"]}) == ("None", "Former", "Current")
    assert levels(tmp_path, ["10", "9", "2.0", "1"] * 9) == ("1", "2", "9", "10")
    with pytest.raises(UsageError, match=r"holds 'Former', which is not in levels.smoking"):
        levels(tmp_path, cells, levels={"smoking": ["None", "Current"]})


@pytest.mark.parametrize("sign", [".", "-", "?", "--", "...", "*", "#N/A", "#NULL!", "–"])
def test_signs_are_no_levels(sign: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"means that the value is not known, say --missing smoking=") as refused:
        levels(tmp_path, ["yes", "no", sign] * 9)
    assert f"{sign!r} (9)" in str(refused.value)
    assert levels(tmp_path, ["yes", "no", sign] * 9, table={"missing": [sign]}) == ("no", "yes")


@pytest.mark.parametrize(
    ("one", "other"), [("M", "m"), ("yes", "Yes "), ("ex smoker", "Ex  Smoker"), ("never", "NEVER")]
)
def test_one_level_in_two_spellings_is_refused_or_recoded(one: str, other: str, tmp_path: Path) -> None:
    cells = [one, other, "x"] * 9
    if one == "yes":
        assert len(levels(tmp_path, ["yes", "yes ", "x"] * 9)) == 2  # blanks around it are no part of a word
    with pytest.raises(UsageError, match=r"are one level"):
        levels(tmp_path, cells)
    assert levels(tmp_path, cells, recode={"smoking": {other.strip(): one}}) == tuple(sorted([one, "x"]))
    with pytest.raises(UsageError, match="has no 'absent' to recode"):
        levels(tmp_path, cells, recode={"smoking": {"absent": one}})


def test_rare_levels_are_told_and_identifiers_are_no_levels(tmp_path: Path) -> None:
    found = patients(tmp_path, table(30, smoking=["a"] * 15 + ["b"] * 12 + ["c"] * 3), config(SMOKING))
    assert "Smoking: levels of fewer than 10 patients: c (3)." in found.notes
    with pytest.raises(UsageError, match="has 40 different values, expected at most 30 levels"):
        levels(tmp_path, [f"P{row}" for row in range(40)])


# --- what is told -----------------------------------------------------------------------------------------------------


def test_patients_without_an_identifier_are_told(tmp_path: Path) -> None:
    frame = table(30).drop(columns="id")
    twice = pd.concat([frame, frame[:2]])
    assert patients(tmp_path, twice, config(PLAIN)).doubts == (
        "No identifier is named, so patients who occur twice are not noticed; 2 rows equal another in every column.",
    )
    named = twice.assign(patient=[f"P{row % 30}" if row < 30 else f"p{row % 30}" for row in range(32)])
    assert (
        "Column patient may be one: 2 of its cells repeat another" in patients(tmp_path, named, config(PLAIN)).doubts[0]
    )
    with pytest.raises(UsageError, match=r"row 32 .p0.: patient p0 occurs more than once .row 2 has P0"):
        patients(tmp_path, named, config(PLAIN, identifier="patient"))


def test_children_are_told(tmp_path: Path) -> None:
    found = patients(tmp_path, table(30, age=[60] * 28 + [1, 9]), config(PLAIN, covariates=["age"]))
    assert "2 patients are younger than 18 years by column age: is that right?" in found.doubts


def test_every_column_is_shown_with_its_range(tmp_path: Path) -> None:
    found = patients(tmp_path, table(40, seed=3, sex=["F"] * 25 + ["M"] * 15), config())
    shown = {row.name: row for row in found.columns}
    assert shown["sex"].values == "reference F (25), M (15)"
    assert shown["mace"].values.startswith("yes ")
    assert shown["days"].values.endswith(f"median {np.median(table(40, seed=3)['days']):g}")
    assert (shown["days"].role, shown["days"].unit, shown["age"].role) == ("time", "days", "age")
    assert len(columns_part(found).section.content) == 1


@pytest.mark.parametrize(
    ("events", "why"),
    [([1] * 40, "Every patient has MACE"), ([1, 1, 1, 0] * 10, "check that the coding"), ([0, 1] * 20, "")],
)
def test_a_coding_that_may_be_the_other_way_round_is_asked_about(events: list[int], why: str, tmp_path: Path) -> None:
    found = outcomes_report(patients(tmp_path, table(40, seed=2, mace=events), config(PLAIN)))
    doubts = [line for line in found.lead if "coding" in line]
    assert len(doubts) == bool(why)
    assert why in " ".join(doubts)


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("days", [9999999] + [900] * 29, "row 2: days is 9,999,999, expected 0 or more and at most 10,958 days"),
        ("age", [60] * 29 + [0], "row 31: age is 0, expected more than 0 and at most 120 years"),
        ("days", list(range(1, 31)), "column days holds 1 to 30 .*at most 0.082 years: in another unit"),
        ("model", [0, 1, 2] * 10, 'write category = "model" in place of score'),
        (
            "model",
            [0, 5, ">1000"] * 10,
            "a bound, not a number. To analyse the categories alone, write category =",
        ),
        ("age", [640] * 30, "expected an age in years: months, days"),
        ("defect", [0.05, 0.1, 0.0] * 10, "expected percent: are these fractions"),
        ("mace", [1, 2] * 15, "expected '1', 'TRUE' where the event happened"),
    ],
)
def test_impossible_columns_are_refused_with_what_to_do(
    column: str, values: list[object], why: str, tmp_path: Path
) -> None:
    for drop in ((), ("not-a-number", "missing", "duplicated")):
        with pytest.raises(UsageError, match=why) as refused:
            changed: dict[str, Any] = {column: values}
            patients(tmp_path, table(30, **changed), config(), drop=drop)
        assert "--drop" not in str(refused.value)


def test_categories_and_bounds_are_analysed_where_they_are_declared(tmp_path: Path) -> None:
    bounded = table(4, kind=[0, 52.3, ">1000", "101"])
    found = patients(tmp_path, bounded, config(PLAIN, model={"name": "Model", "category": "kind"}))
    assert found.model.category.tolist() == [0, 1, 3, 2]
    words = {"name": "Model", "category": "kind", "words": ["none", "mild", "moderate", "severe"]}
    found = patients(tmp_path, table(3, kind=["severe", "None", "mild"]), config(PLAIN, model=words))
    assert found.model.category.tolist() == [3, 0, 1]


# --- the early window -------------------------------------------------------------------------------------------------

EARLY = pd.DataFrame(
    {
        "id": ["A", "B", "C", "D"], "model": [0.0, 50.0, 200.0, 500.0], "end": [1000, 40, 1000, 800],
        "mi": [0, 0, 1, 1], "mi_day": [np.nan, np.nan, 60, 800], "revasc": [0, 1, 0, 1],
        "revasc_day": [np.nan, 40, np.nan, 30],
    }
)  # fmt: skip
PARTS = [
    {"name": "infarction", "event": "mi", "time": "mi_day"},
    {"name": "revasc", "event": "revasc", "time": "revasc_day"},
]


def early(folder: Path, rule: str, **changes: Any) -> Any:
    outcome = {"time": "end", "component": PARTS, "revascularisation": "revasc", "early": rule, **changes}
    return patients(folder, EARLY, config(PLAIN, identifier="id", outcome=outcome))


def test_where_follow_up_ends_with_an_early_event_is_said(tmp_path: Path) -> None:
    note = early(tmp_path, "ignore").notes[1]
    assert note.startswith(
        "2 patients had revasc within 90 days, which does not count. The follow-up of 1 of them ends on"
    )
    assert 'early = "landmark"' in note


def test_a_landmark_starts_everybody_at_the_end_of_the_window(tmp_path: Path) -> None:
    found = early(tmp_path, "landmark")
    assert (found.data.time * 365.25).round().tolist() == [910]
    assert found.data.events == 0
    assert "follow-up starts 90 days after the scan. 3 patients were left out" in found.notes[-1]
    late = early(tmp_path, "landmark", early_days=20.0)
    assert (late.data.time * 365.25).round().tolist() == [980, 20, 40, 10]
    assert late.kinds == {"infarction": 1, "revasc": 2}


def test_a_landmark_of_one_event_column(tmp_path: Path) -> None:
    outcome = {"time": "end", "event": "mi", "early": "landmark"}
    found = patients(tmp_path, EARLY, config(PLAIN, outcome=outcome))
    assert (found.data.time * 365.25).round().tolist() == [910, 910, 710]
    assert found.kinds == {"MACE": 2}


def test_ties_of_events_are_told(tmp_path: Path) -> None:
    parts = [{"name": "death", "event": "died"}, {"name": "MI", "event": "mi"}]
    frame = EARLY.assign(died=[0, 0, 1, 1])
    outcome = {"time": "end", "component": parts, "competing": "death"}
    found = patients(tmp_path, frame, config(PLAIN, identifier="id", outcome=outcome))
    assert found.kinds == {"death": 0, "MI": 2}
    assert found.notes[-1] == (
        "2 patients have several first events at one time (without a time of their own: death, MI): MI and death in 2. "
        "The first of these counts: MI, death."
    )


# --- absurd horizons --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [1e-3, 0.2, 1.0, 4.9, 15.0, 99.0, 27_000.0, 4e15])
def test_ticks_and_patients_at_risk_are_few_however_long_follow_up_is(longest: float) -> None:
    ticks = year_ticks(np.array([0.0, longest]))
    assert 3 <= len(ticks) <= 8
    assert ticks[-1] <= longest * (1 + 1e-9)
    figure = Figure()
    nothing = np.zeros(1)
    step = Step("CAC 0", "#000000", nothing, nothing, nothing, nothing)
    draw_steps(figure, [step], [RiskRow("CAC 0", "#000000", (3,) * len(ticks))], ticks, "Patients (%)")
    assert len(figure.axes[1].texts) == 1 + len(ticks)

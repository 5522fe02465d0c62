"""Tables that were once misread without a word: now refused with the true reason, told, or read rightly."""

import datetime
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, Raters, read_raters
from ctacal.evaluate.agree.report import agreement_report
from ctacal.evaluate.linkage import Rules
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.evaluate.readings import TableForm
from ctacal.jobs.cohort import join_cohort
from tests.evaluate.outcomes.tables import PLAIN, config, table

N = 120
DATED: dict[str, Any] = {**PLAIN, "outcome": {"start": "scan", "end": "last", "event": "mace"}}


def made(**columns: Any) -> pd.DataFrame:
    return table(N, seed=3, **columns).astype({"age": int})


def scored() -> pd.DataFrame:
    return made()[["id", "model", "reader"]]


def outcomes(path: Path, frame: pd.DataFrame, fields: dict[str, Any] | None = None, below: str = "") -> Patients:
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    else:
        path.write_text(frame.to_csv(index=False) + below, encoding="utf-8")
    return read_patients(path, config({"identifier": "id", **(fields or PLAIN)}))


def raters(path: Path, frame: pd.DataFrame, below: str = "", **fields: Any) -> Raters:
    path.write_text(frame.to_csv(index=False) + below, encoding="utf-8")
    return read_raters(AgreeConfig(table=path, **fields))


# --- dates ------------------------------------------------------------------------------------------------------------

SCANS = [datetime.date(2015, 3, 1) + datetime.timedelta(days=5 * row) for row in range(N)]
ENDS = [scan + datetime.timedelta(days=int(days)) for scan, days in zip(SCANS, made()["days"], strict=True)]


def half_converted(day: datetime.date) -> datetime.date | str:
    """What Excel of the United States makes of a typed DD/MM/YYYY."""
    return datetime.date(day.year, day.day, day.month) if day.day <= 12 else f"{day:%d/%m/%Y}"


@pytest.mark.parametrize("ending", [".xlsx", ".csv"])
def test_dates_that_a_spreadsheet_half_converted_are_refused(ending: str, tmp_path: Path) -> None:
    frame = made().drop(columns="days").assign(scan=SCANS, last=[half_converted(day) for day in ENDS])
    with pytest.raises(UsageError, match=r"column last holds both .* a spreadsheet exchanged day and month of those"):
        outcomes(tmp_path / f"t{ending}", frame, DATED)


def test_a_later_correction_of_single_dates_is_read(tmp_path: Path) -> None:
    """Text beside dates whose days go beyond 12 is no work of a spreadsheet."""
    texts = [f"{day:%d/%m/%Y}" if row % 9 == 0 else day for row, day in enumerate(ENDS)]
    frame = made().drop(columns="days").assign(scan=SCANS, last=texts)
    np.testing.assert_allclose(outcomes(tmp_path / "t.xlsx", frame, DATED).data.time * 365.25, made()["days"])


def test_two_orders_of_day_and_month_in_one_table_are_refused(tmp_path: Path) -> None:
    mixed = [f"{day:%m/%d/%Y}" if day.day <= 12 else f"{day:%d/%m/%Y}" for day in ENDS]
    frame = made().drop(columns="days").assign(scan=[f"{day:%m/%d/%Y}" for day in SCANS], last=mixed)
    with pytest.raises(UsageError, match=r"column last holds .* where the day comes first, and column scan"):
        outcomes(tmp_path / "t.csv", frame, DATED)


# --- lines of totals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "place"),
    [("Total (n=120)", N), ("Subtotal site A", 60), ("Grand total", N), ("Mean score", N), ("SD", 40), ("N = 120", 0)],
)
def test_a_line_of_totals_is_found_in_any_row(word: str, place: int, tmp_path: Path) -> None:
    frame = scored()
    line = pd.DataFrame([[word, 12_000.5, 13_000.5]], columns=frame.columns)
    with pytest.raises(UsageError, match=rf"row {place + 2} begins with .* a line of totals"):
        raters(tmp_path / "t.csv", pd.concat([frame[:place], line, frame[place:]]))


def test_totals_without_a_word_are_found_by_their_sums(tmp_path: Path) -> None:
    frame = scored()[["model", "reader"]]
    for kind, line in (("sum", frame.sum()), ("mean", frame.mean().round(1))):
        with pytest.raises(UsageError, match=rf"row {N + 2} is the {kind} of the rows above it in reader, model"):
            raters(tmp_path / "t.csv", frame, f"{line['model']},{line['reader']}\n")


def test_words_of_totals_that_are_values_are_read(tmp_path: Path) -> None:
    """A first column of Y and N, and identifiers that begin with SD."""
    smoker = scored().drop(columns="id").assign(smoker=["Y", "N"] * 60)[["smoker", "model", "reader"]]
    assert raters(tmp_path / "t.csv", smoker).n == N
    assert raters(tmp_path / "t.csv", scored().assign(id=[f"SD-{row}" for row in range(N)])).n == N


def test_a_comment_below_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has 1 cells.* a comment or a footnote"):
        raters(tmp_path / "t.csv", scored(), "# end of export\n")


# --- published formulas -----------------------------------------------------------------------------------------------

FORMULA: dict[str, Any] = {
    "name": "Published", "baseline_survival": 0.92,
    "term": [
        {"column": "age", "coefficient": 0.05, "minus": 64}, {"column": "sex", "coefficient": 1.5, "equals": "M"},
    ],
}  # fmt: skip


def test_a_word_of_a_formula_that_no_row_has_is_refused(tmp_path: Path) -> None:
    words = made()["sex"].map({"F": "female", "M": "male"})
    with pytest.raises(UsageError, match=r"column sex holds 'male' \(\d+\), 'female' \(\d+\); no row equals 'M'"):
        outcomes(tmp_path / "t.csv", made(sex=words), {**PLAIN, "risk": [FORMULA]})


def test_words_of_a_formula_are_recoded_first(tmp_path: Path) -> None:
    sex, age = made()["sex"], made()["age"]
    mixed = [word.lower() if row % 2 else word for row, word in enumerate(sex)]
    with pytest.raises(UsageError, match=r"does 'm' mean 'M'\? Then say recode = \{ sex = \{ \"m\" = \"M\" \} \}"):
        outcomes(tmp_path / "t.csv", made(sex=mixed), {**PLAIN, "risk": [FORMULA]})
    fields = {**PLAIN, "risk": [FORMULA], "recode": {"sex": {"m": "M", "f": "F"}}}
    found = outcomes(tmp_path / "t.csv", made(sex=mixed), fields)
    np.testing.assert_allclose(found.risks[0].values, 1 - 0.92 ** np.exp(0.05 * (age - 64) + 1.5 * (sex == "M")))


# --- decimal marks ----------------------------------------------------------------------------------------------------


def test_number_cells_of_a_workbook_get_the_mark_of_its_text(tmp_path: Path) -> None:
    """Ages as text with commas beside number cells: 7.537 in the workbook is 7,537 in the table that is written."""
    lines = [f"1.2.3.{row},1.2.3.{row}.1,scored,,{1.5 * row:g},0.4.0,20200101" for row in range(N)]
    head = "study_uid,series_uid,status,reason_codes,agatston,model_version,study_date"
    (tmp_path / "results.csv").write_text("\n".join([head, *lines]) + "\n")
    rates = [1.001 + row * 0.01 for row in range(N)]
    clinical = made(crp=np.round(rates, 3)).drop(columns=["model", "reader"])
    clinical = clinical.assign(
        study_uid=[f"1.2.3.{row}" for row in range(N)], age=[f"{row % 50 + 40},5" for row in range(N)]
    )
    clinical.to_excel(tmp_path / "clinical.xlsx", index=False)
    join_cohort([tmp_path / "results.csv"], tmp_path / "clinical.xlsx", tmp_path / "cohort.csv", Rules())
    fields = {**PLAIN, "covariates": ["age", "crp"], "model": {"name": "DL", "score": "agatston"}}
    found = read_patients(tmp_path / "cohort.csv", config({**fields, "identifier": "id"}))
    np.testing.assert_allclose(found.covariate("crp").values, np.round(rates, 3))
    assert found.model.score is not None
    np.testing.assert_allclose(found.model.score, np.arange(N) * 1.5)


def test_a_version_does_not_prove_the_decimal_mark(tmp_path: Path) -> None:
    thousands = [f"{1100 + 7 * row:,}".replace(",", ".") for row in range(N)]
    frame = made(
        chol=thousands, model=made()["model"].round().astype(int), days=np.arange(400, 400 + N), software="5.1"
    )
    with pytest.raises(UsageError, match=r"column chol holds .* thousands and decimals cannot be told apart"):
        outcomes(tmp_path / "t.csv", frame, {**PLAIN, "covariates": ["chol"]})


# --- readers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("{score} AU", "a number with a unit, not scores: '[0-9.]+ AU'"),
        ("{score:.0f}/{score:.0f}", "no number that can be read, not scores: '[0-9]+/[0-9]+' in row"),
        ("{roman}", "words, not scores: '"),
    ],
)
def test_no_reader_disappears_without_a_word(cell: str, why: str, tmp_path: Path) -> None:
    roman = ["none", "I", "II", "III"]
    second = [
        cell.format(score=score, roman=roman[int(np.searchsorted([0, 100, 400], score))])
        for score in scored()["reader"]
    ]
    found = raters(tmp_path / "t.csv", scored().assign(reader_2=second))
    assert [rater.name for rater in found.all] == ["reader", "model"]
    assert re.search(rf"Not taken for raters: reader_2 \(.*{why}", " ".join(found.readings.told))
    with pytest.raises(UsageError, match=rf"found: model model.*{why}"):
        raters(tmp_path / "t.csv", scored().assign(reader=second))


# --- values -----------------------------------------------------------------------------------------------------------


def doubts(path: Path, frame: pd.DataFrame, **fields: Any) -> str:
    return " ".join(outcomes(path, frame, {**PLAIN, **fields}).doubts)


def test_a_given_risk_that_is_a_survival_is_asked_about(tmp_path: Path) -> None:
    risks = np.random.default_rng(1).beta(2, 18, N)
    rare = (np.arange(N) % 8 == 0).astype(int)
    risk = [{"name": "R", "column": "risk"}]
    asked = "The mean of the given risk R is"
    assert asked in doubts(tmp_path / "t.csv", made(risk=1 - risks, mace=rare), risk=risk)
    assert asked not in doubts(tmp_path / "t.csv", made(risk=risks, mace=rare), risk=risk)


def test_perfusion_of_one_side_is_asked_about(tmp_path: Path) -> None:
    coded = made(defect=[1, 2] * 60)
    perfusion = {"column": "defect", "abnormal_from": 1.0}
    assert "Perfusion is abnormal in all patients" in doubts(tmp_path / "t.csv", coded, perfusion=perfusion)
    perfusion = {"column": "defect", "abnormal_from": 2.0}
    assert "Perfusion is" not in doubts(tmp_path / "t.csv", coded, perfusion=perfusion)


def test_single_values_far_from_all_others_are_asked_about(tmp_path: Path) -> None:
    flag = [11 if row in (3, 9) else row % 2 for row in range(N)]
    far = made()["model"].where(made().index != 7, 45_000)
    found = doubts(tmp_path / "t.csv", made(dm=flag, model=far), covariates=["dm"])
    assert "Column dm holds 0 and 1, and 11 in 2 rows" in found
    assert "Model has a score of 45,000, and no other above" in found


def test_another_scale_of_the_model_is_asked_about(tmp_path: Path) -> None:
    tenth = scored().assign(model=lambda cells: (cells["model"] / 10).round(2))
    asked = "model against reader: model has a median of 0.1 times the other score"
    read = raters(tmp_path / "t.csv", tenth)
    assert asked in " ".join(agreement_report(read, AgreeConfig(table=tmp_path / "t.csv")).lead)
    reader = {"name": "Reader", "score": "reader"}
    tenth = made(model=(made()["model"] / 10).round(2))
    assert "Model has a median of 0.1 times" in doubts(tmp_path / "t.csv", tenth, reader=reader)
    assert "times the other" not in doubts(tmp_path / "t.csv", made(), reader=reader)


def test_two_numbers_in_a_cell_are_refused(tmp_path: Path) -> None:
    whole = scored().assign(reader=lambda cells: cells["reader"].round().astype(int).astype(str))
    whole.loc[7, "reader"] = "12 135"
    with pytest.raises(UsageError, match=r"column reader holds '12 135' in row 9 beside .* two numbers in one cell"):
        raters(tmp_path / "t.csv", whole)


@pytest.mark.parametrize("code", [9.99, 99.99, 999.9, -32768, 2147483647, 1e30, 9.96921e36])
def test_codes_of_programs_for_no_value_are_asked_about(code: float, tmp_path: Path) -> None:
    creatinine = np.random.default_rng(2).normal(1.1, 0.2, N).clip(0.5).round(2)
    creatinine[5:8] = code
    with pytest.raises(UsageError, match=r"column creatinine holds .* does that mean that the value is not known"):
        outcomes(tmp_path / "t.csv", made(creatinine=creatinine), {**PLAIN, "covariates": ["creatinine"]})


def test_fractions_among_ejection_fractions_and_a_number_of_nine_vessels_are_refused(tmp_path: Path) -> None:
    lvef = [0.35 if row % 3 == 0 else 55 for row in range(N)]
    with pytest.raises(UsageError, match=r"lvef is 0.35, expected more than 1 and at most 100 %"):
        outcomes(tmp_path / "t.csv", made(lvef=lvef), {**PLAIN, "ejection_fraction": "lvef"})
    fields = {**PLAIN, "model": {"name": "DL", "score": "model", "vessels": ["vessels"]}}
    with pytest.raises(UsageError, match=r"vessels is 9, expected 0 or more and at most 4"):
        outcomes(tmp_path / "t.csv", made(vessels=[0, 1, 2, 9] * 30), fields)


def test_levels_that_may_mean_unknown_are_asked_about_and_no_reference(tmp_path: Path) -> None:
    smoking = {"covariates": ["smoking"], "categorical": ["smoking"]}
    words = ["NA", "current", "former", "never"] * 30
    found = outcomes(tmp_path / "t.csv", made(smoking=words), {**PLAIN, **smoking})
    assert found.covariate("smoking").levels == ("current", "former", "never", "NA")
    assert "Column smoking has the level 'NA' (30 patients): if it means" in " ".join(found.doubts)
    assert "the level '9'" in doubts(tmp_path / "t.csv", made(smoking=[1, 2, 9] * 40), **smoking)
    assert "the level '9'" not in doubts(tmp_path / "t.csv", made(smoking=[*range(10)] * 12), **smoking)


@pytest.mark.parametrize(
    ("name", "values"), [("patient_age", np.arange(N) * 5.0 + 300), ("AgeAtScan", 1930.0 + np.arange(N) // 3)]
)
def test_ages_in_another_unit_are_refused_by_any_name(name: str, values: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected an age in years: months, days, or years of birth"):
        outcomes(tmp_path / "t.csv", made(**{name: values}), {**PLAIN, "covariates": [name]})


def test_the_words_of_readers_anywhere_in_a_name_make_a_reader(tmp_path: Path) -> None:
    frame = scored().rename(columns={"model": "ai_score", "reader": "agatston_manual"}).assign(ai_noise=20.5)
    frame["agatston_reader_2"] = scored()["reader"]
    found = raters(tmp_path / "t.csv", frame)
    assert {rater.name: rater.kind for rater in found.all} == {
        "agatston_manual": "reader", "agatston_reader_2": "reader", "ai_score": "model",
    }  # fmt: skip


def test_vessels_without_a_total_are_no_raters(tmp_path: Path) -> None:
    score = scored()["reader"]
    parts = {f"{who}_{vessel}": (score * 0.25).round(1) for who in ("reader", "model") for vessel in ("lad", "rca")}
    with pytest.raises(UsageError, match=r"reader_lad \(one vessel: give a column of the total score"):
        raters(tmp_path / "t.csv", pd.DataFrame({"id": scored()["id"], **parts}))


def test_true_among_ones_and_zeros_is_one(tmp_path: Path) -> None:
    flags = ["1", "TRUE", "0"] * 40
    found = outcomes(tmp_path / "t.csv", made(dm=flags), {**PLAIN, "covariates": ["dm"]})
    assert list(found.covariate("dm").values) == [1, 1, 0] * 40
    assert "dm: TRUE was read as 1, FALSE as 0." in found.notes


@pytest.mark.parametrize("mark", ["'{}", '="{}"'])
def test_numbers_that_a_spreadsheet_was_told_to_take_for_text_are_read(mark: str, tmp_path: Path) -> None:
    frame = scored().assign(model=[mark.format(score) for score in scored()["model"]])
    np.testing.assert_allclose(raters(tmp_path / "t.csv", frame).of("model")[0].scores, scored()["model"])


def test_a_time_is_never_advised_to_be_taken_for_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"days is 9,999,999") as refused:
        outcomes(tmp_path / "t.csv", made(days=[9_999_999, *[900] * (N - 1)]))
    assert "--missing" not in str(refused.value)


def test_a_table_on_a_hidden_sheet_is_named(tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "t.xlsx"
    scored().to_excel(path, index=False, sheet_name="Scores")
    book = openpyxl.load_workbook(path)
    book.create_sheet("Notes")["A1"] = "see the other sheet"
    book["Scores"].sheet_state, book.active = "hidden", 1
    book.save(path)
    with pytest.raises(UsageError, match=r"no rows below its header; hidden sheets .* --sheet names one: Scores"):
        read_raters(AgreeConfig(table=path, identifier=["id"]))
    assert read_raters(AgreeConfig(table=path, identifier=["id"], form=TableForm(sheet="Scores"))).n == N

"""Tables of other programs, languages and shapes: read, refused with the true reason, or asked about."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, Raters, read_raters
from ctacal.evaluate.agree.report import agreement_report
from ctacal.evaluate.linkage import Rules, link, read_results
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.read import read_patients
from tests.evaluate.outcomes.tables import PLAIN, config, table

N = 120
DATED: dict[str, Any] = {"outcome": {"start": "scan", "end": "last", "event": "mace"}}
SCANS = [datetime.date(2015, 3, 1) + datetime.timedelta(days=5 * row) for row in range(N)]


def made(**columns: Any) -> pd.DataFrame:
    return table(N, seed=3, **columns).astype({"age": int})


def scored() -> pd.DataFrame:
    return made()[["id", "model", "reader"]]


def outcomes(path: Path, frame: pd.DataFrame, **fields: Any) -> Patients:
    frame.to_csv(path, index=False)
    return read_patients(path, config({"identifier": "id", **PLAIN, **fields}))


def raters(path: Path, frame: pd.DataFrame | str) -> Raters:
    path.write_text(frame if isinstance(frame, str) else frame.to_csv(index=False), encoding="utf-8")
    return read_raters(AgreeConfig(table=path))


# --- dates of programs ------------------------------------------------------------------------------------------------


def dated() -> tuple[pd.DataFrame, list[datetime.date]]:
    frame = made()
    ends = [scan + datetime.timedelta(days=int(days)) for scan, days in zip(SCANS, frame["days"], strict=True)]
    return frame, ends


def test_datetimes_of_sas_are_read(tmp_path: Path) -> None:
    frame, ends = dated()
    written = {"scan": SCANS, "last": ends}
    sas = {name: [f"{day:%d%b%Y}:08:30:00".upper() for day in days] for name, days in written.items()}
    found = outcomes(tmp_path / "t.csv", frame.drop(columns="days").assign(**sas), **DATED)
    np.testing.assert_allclose(found.data.time * 365.25, frame["days"])


@pytest.mark.parametrize(("program", "start"), [("Excel", (1899, 12, 30)), ("SAS or Stata", (1960, 1, 1))])
def test_numbers_of_days_are_named_with_the_day_that_they_may_be(
    program: str, start: tuple[int, int, int], tmp_path: Path
) -> None:
    frame, ends = dated()
    numbers = [(day - datetime.date(*start)).days for day in ends]
    text = frame.drop(columns="days").assign(scan=SCANS, last=numbers)
    with pytest.raises(UsageError, match=rf"row 2: last is .* not a date \(.*{ends[0].isoformat()} in {program}"):
        outcomes(tmp_path / "t.csv", text, **DATED)
    if program == "Excel":
        with pytest.raises(
            UsageError, match=rf"are these dates, of which the lowest is {min(ends).isoformat()} in Excel"
        ):
            outcomes(tmp_path / "t.csv", frame.assign(days=numbers))


def test_a_start_after_the_end_asks_whether_they_are_exchanged(tmp_path: Path) -> None:
    frame, ends = dated()
    with pytest.raises(UsageError, match="are the two dates exchanged") as refused:
        outcomes(tmp_path / "t.csv", frame.drop(columns="days").assign(scan=ends, last=SCANS), **DATED)
    assert "--range" not in str(refused.value)


# --- events and flags in other languages ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yes", "no"),
    [("Ja", "Nein"), ("oui", "non"), ("Sí", "No"), ("WAHR", "FALSCH"), ("Checked", "Unchecked"), ("dead", "alive")],
)  # fmt: skip
def test_the_words_of_events_are_offered_as_they_are_written(yes: str, no: str, tmp_path: Path) -> None:
    frame = made()
    coded = frame.assign(mace=np.where(frame["mace"] == 1, yes, no))
    with pytest.raises(UsageError) as refused:
        outcomes(tmp_path / "t.csv", coded)
    assert f'Is it so? Then say yes = ["{yes}"], no = ["{no}"]' in str(refused.value)
    said = {"outcome": {"time": "days", "event": "mace", "yes": [yes], "no": [no]}}
    assert outcomes(tmp_path / "t.csv", coded, **said).data.events == frame["mace"].sum()


def test_codes_and_dates_of_events_are_explained(tmp_path: Path) -> None:
    frame, ends = dated()
    with pytest.raises(UsageError, match=r'yes = \["2"\], no = \["1"\], or yes = \["1"\], no = \["2"\]'):
        outcomes(tmp_path / "t.csv", frame.assign(mace=frame["mace"] + 1))
    with pytest.raises(UsageError, match=r"kinds of event are a component each"):
        outcomes(tmp_path / "t.csv", frame.assign(mace=np.arange(N) % 3))
    when = [day if event else "" for day, event in zip(ends, frame["mace"], strict=True)]
    with pytest.raises(UsageError, match=r"column mace holds dates .*: make a column of 1 and 0"):
        outcomes(tmp_path / "t.csv", frame.assign(mace=when))


def test_yes_among_ones_and_zeros_is_never_advised_away(tmp_path: Path) -> None:
    mixed = made(dm=["ja", "1", "0", "0", "0", "0"] * 20)
    with pytest.raises(UsageError, match="write 1 and 0, not 'ja' in dm") as refused:
        outcomes(tmp_path / "t.csv", mixed, covariates=["dm"])
    assert "--missing" not in str(refused.value)


@pytest.mark.parametrize(("filled", "shown"), [("1", "1"), ("x", "'x'")])
def test_empty_cells_that_may_mean_no_are_asked_about(filled: str, shown: str, tmp_path: Path) -> None:
    categorical = {"categorical": ["dm"]} if filled == "x" else {}
    found = outcomes(tmp_path / "t.csv", made(dm=[filled, "", filled] * 40), covariates=["dm"], **categorical)
    asked = f"Column dm holds nothing but {shown}, and is empty for 40 of 120 patients: do empty cells mean no?"
    assert asked in " ".join(found.doubts)
    both = outcomes(tmp_path / "t.csv", made(dm=["1", "", "0"] * 40), covariates=["dm"])
    assert not both.doubts


def test_letters_beside_words_are_asked_about(tmp_path: Path) -> None:
    sex = {"covariates": ["sex"], "categorical": ["sex"]}
    mixed = [word if row % 3 else {"F": "female", "M": "male"}[word] for row, word in enumerate(made()["sex"])]
    doubts = outcomes(tmp_path / "t.csv", made(sex=mixed), **sex).doubts
    said = 'Then say recode.sex = { "F" = "female", "M" = "male" }'
    assert said in " ".join(doubts)
    recode = {"recode": {"sex": {"F": "female", "M": "male"}}}
    found = outcomes(tmp_path / "t.csv", made(sex=mixed), **sex, **recode)
    assert found.covariate("sex").levels == ("female", "male")
    assert not found.doubts


def test_codes_that_are_used_as_amounts_are_asked_about(tmp_path: Path) -> None:
    codes = made(race=[1, 2, 3, 5] * 30, vessels=[0, 1, 2, 3] * 30)
    doubts = " ".join(outcomes(tmp_path / "t.csv", codes, covariates=["race", "vessels"]).doubts)
    assert "Column race holds the whole numbers 1 to 5 as an amount" in doubts
    assert "vessels" not in doubts
    assert not outcomes(tmp_path / "t.csv", codes, covariates=["race"], categorical=["race"]).doubts


# --- columns that a spreadsheet spoiled -------------------------------------------------------------------------------


def lead(path: Path, frame: pd.DataFrame) -> str:
    frame.to_csv(path, index=False)
    chosen = AgreeConfig(table=path)
    return " ".join(agreement_report(read_raters(chosen), chosen).lead)


@pytest.mark.parametrize(
    ("spoil", "asked"),
    [
        (lambda frame: frame["model"], "equals the other score in all 120 rows: is it a copy?"),
        (lambda frame: np.sort(frame["reader"]), "rises from row to row, and the other score does not: was its column"),
        (lambda frame: frame["reader"].clip(upper=400), "has its highest score, 400, in 17 rows: were higher ones cut"),
    ],
    ids=["copy", "sorted alone", "cut off"],
)
def test_spoiled_scores_are_asked_about(spoil: Any, asked: str, tmp_path: Path) -> None:
    frame, reader = made(), {"name": "Reader", "score": "reader"}
    spoiled = frame.assign(reader=spoil(frame))
    assert asked in lead(tmp_path / "t.csv", spoiled[["id", "model", "reader"]])
    assert asked in " ".join(outcomes(tmp_path / "t.csv", spoiled, reader=reader).doubts)
    whole = frame.sort_values("reader")
    assert asked not in lead(tmp_path / "t.csv", whole[["id", "model", "reader"]])
    assert not outcomes(tmp_path / "t.csv", whole, reader=reader).doubts


def test_events_at_the_end_of_follow_up_are_asked_about(tmp_path: Path) -> None:
    frame = made()
    asked = "patients have MACE at 1,826, the end of the longest follow-up: does column days hold the end of follow-up"
    for days in (1826, frame["days"].where(frame["mace"] == 0, 1826)):
        assert asked in " ".join(outcomes(tmp_path / "t.csv", frame.assign(days=days)).doubts)
    capped = frame.assign(days=frame["days"].clip(upper=900))
    assert "the end of the longest" not in " ".join(outcomes(tmp_path / "t.csv", capped).doubts)


@pytest.mark.slow
def test_a_table_as_long_as_a_sheet_is_asked_about(tmp_path: Path) -> None:
    long = table(65_535, seed=1)
    asked = "The table has 65,535 rows, as many as an old spreadsheet (.xls) can hold: was it cut off?"
    assert asked in outcomes(tmp_path / "t.csv", long).doubts
    assert not outcomes(tmp_path / "t.csv", long[1:]).doubts


# --- digits and shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", ["０１２３４５６７８９．", "٠١٢٣٤٥٦٧٨٩٫", "۰۱۲۳۴۵۶۷۸۹٫"])
def test_digits_of_other_scripts_are_read(digits: str, tmp_path: Path) -> None:
    other = str.maketrans("0123456789.", digits)
    frame = scored().assign(model=[str(score).translate(other) for score in scored()["model"]])
    np.testing.assert_allclose(raters(tmp_path / "t.csv", frame).of("model")[0].scores, scored()["model"])
    frame.loc[5, "model"] = "12²"
    with pytest.raises(UsageError, match="column model holds '12²' in row 7"):
        raters(tmp_path / "t.csv", frame)


def test_rows_in_quotes_and_decimal_commas_between_commas_are_named(tmp_path: Path) -> None:
    lines = scored().to_csv(index=False).splitlines()
    with pytest.raises(UsageError, match="row 1 is one cell, 'id,model,reader': whole rows are in quotes"):
        raters(tmp_path / "t.csv", "\n".join(f'"{line}"' for line in lines))
    with pytest.raises(UsageError, match=r"Or are these decimal commas\? Then separate the cells by semicolons"):
        raters(tmp_path / "t.csv", "\n".join(line.replace(".", ",") for line in lines))


def test_several_rows_of_each_patient_or_study_are_named(tmp_path: Path) -> None:
    frame = made()
    first = frame.assign(mace="", days="", redcap_event_name="baseline")
    visits = pd.concat([first, frame.assign(model="", redcap_event_name="follow_up")]).sort_values("id")
    with pytest.raises(UsageError, match="240 of 240 rows share their identifier with another: one row for each"):
        outcomes(tmp_path / "t.csv", visits)
    below = pd.concat([scored().assign(reader=""), scored().assign(model="")])
    with pytest.raises(UsageError, match="no row has two of reader, model: one row for each study is expected"):
        raters(tmp_path / "t.csv", below)
    long = pd.concat([frame[["id"]].assign(rater=name, agatston=frame[name]) for name in ("model", "reader")])
    with pytest.raises(UsageError, match=r"id occurs once for each of model, reader \(column rater\)"):
        raters(tmp_path / "t.csv", long)


def test_a_table_on_its_side_is_no_list_of_all_patients(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the table has: index, P0, .* and 81 more") as refused:
        raters(tmp_path / "t.csv", scored().set_index("id").T.reset_index())
    assert len(str(refused.value)) < 600


def test_studies_that_do_not_match_are_shown_beside_those_of_the_results(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("study_uid,status,agatston\n1.2.30,scored,5\n1.2.31,scored,7\n")
    (tmp_path / "clinical.csv").write_text("patient_id,study_uid\nP1,1.2.30.\nP2,1.2.31.\n")
    with pytest.raises(
        UsageError, match=r"in the results: 1\.2\.30, 1\.2\.31; identifiers in column study_uid: 1\.2\.30\."
    ):
        link(read_results([tmp_path]), tmp_path / "clinical.csv", Rules())

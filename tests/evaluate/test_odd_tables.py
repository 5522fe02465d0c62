"""Tables as hospitals and statistics programs write them: read rightly, or refused with what is true; never misread."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.categories import category_indices
from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, Raters, read_raters
from ctacal.evaluate.agree.report import agreement_report
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.evaluate.readings import TableForm
from tests.evaluate.outcomes.tables import FULL, config, table

N = 120
CODES = {"words": ("1", "2", "3", "4")}


def plain() -> pd.DataFrame:
    return table(N, seed=3).astype({"age": int})


def written(path: Path, frame: pd.DataFrame, separator: str = ",", above: str = "", below: str = "") -> Path:
    path.write_text(above + frame.to_csv(index=False, sep=separator) + below, encoding="utf-8")
    return path


def outcomes(path: Path, **fields: Any) -> Patients:
    chosen = {name: own for name, own in {**FULL, "identifier": "id", **fields}.items() if own is not None}
    return read_patients(path, config(chosen))


def raters(path: Path, **fields: Any) -> Raters:
    return read_raters(AgreeConfig(table=path, **fields))


# --- the same numbers in other writings -------------------------------------------------------------------------------


def grouped(mark: str, decimal: str) -> Callable[[float], str]:
    return lambda value: f"{value:,.1f}".replace(",", "_").replace(".", decimal).replace("_", mark)


WRITINGS = {
    "Swiss": (grouped("’", "."), ";"),
    "straight apostrophe": (grouped("'", "."), ","),
    "French": (grouped("\u202f", ","), ";"),
    "German": (grouped(".", ","), ";"),
    "English": (grouped(",", "."), ","),
    "scientific": (lambda value: f"{value:.6E}", ","),
    "scientific with a comma": (lambda value: f"{value:.6E}".replace(".", ","), ";"),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_number_is_the_same_in_every_writing(writing: str, tmp_path: Path) -> None:
    form, separator = WRITINGS[writing]
    frame = plain()
    path = written(tmp_path / "t.csv", frame.assign(model=frame["model"].map(form), reader=frame["reader"].map(form),
                                                    defect=frame["defect"].map(form)), separator)  # fmt: skip
    found = outcomes(path)
    assert found.model.score == pytest.approx(frame["model"])
    assert found.covariate("defect").values == pytest.approx(frame["defect"])
    assert raters(path).of("model")[0].scores == pytest.approx(frame["model"])


def test_whole_numbers_with_points_of_thousands_are_refused(tmp_path: Path) -> None:
    frame = plain()
    text = frame.assign(days=frame["days"].map(lambda days: f"{days:,.0f}".replace(",", ".")), defect=1)
    text = text.assign(model=frame["model"].round().astype(int), reader=frame["reader"].round().astype(int))
    with pytest.raises(UsageError, match=r"column days holds .* thousands and decimals cannot be told apart"):
        outcomes(written(tmp_path / "t.csv", text, ";"))


def test_a_header_that_holds_the_other_separator(tmp_path: Path) -> None:
    frame = plain().rename(columns={"defect": "defect; % (0;5;10;15;20;25;30;35)"})
    found = outcomes(written(tmp_path / "t.csv", frame), perfusion=None)
    assert found.data.n == N


# --- rows that are no patients ----------------------------------------------------------------------------------------


def test_what_is_no_row_of_data_is_refused(tmp_path: Path) -> None:
    frame = plain()
    units = "," + ",".join("AU" if name in ("model", "reader") else "" for name in frame.columns[1:]) + "\n"
    head, body = frame.to_csv(index=False).split("\n", 1)
    path = tmp_path / "t.csv"
    path.write_text(f"{head}\n{units}{body}")
    with pytest.raises(UsageError, match=r"second row of names, or of units\? Delete it"):
        raters(path)
    twice = frame[:60].to_csv(index=False) + frame[60:].to_csv(index=False)
    path.write_text(twice)
    for read in (outcomes, raters):
        with pytest.raises(UsageError, match="row 62 repeats the names of the columns"):
            read(path)
    with pytest.raises(UsageError, match="row 122 begins with 'Mean': a line of totals"):
        outcomes(written(path, frame, below="Mean,900,0,200,210,65,F,3\n"))


def test_names_below_a_title_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"delete what stands above|has no name"):
        outcomes(written(tmp_path / "t.csv", plain(), above="Cohort 2021\n"))


# --- words among scores -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["negative", "-", "none"])
def test_no_hint_loses_the_scores_of_zero(word: str, tmp_path: Path) -> None:
    frame = plain()
    path = written(tmp_path / "t.csv", frame.assign(model=[word if own == 0 else own for own in frame["model"]]))
    for read in (outcomes, raters):
        with pytest.raises(UsageError, match=f"'{word}' in model means that there is no calcium, write 0") as refused:
            read(path)
        assert "--missing" not in str(refused.value)
        assert "--drop" not in str(refused.value)


@pytest.mark.parametrize("named", [False, True], ids=["scores", "categories"])
def test_empty_cells_in_place_of_zeros_are_never_advised_away(tmp_path: Path, *, named: bool) -> None:
    frame = plain()
    names = np.array(["", "1-100", "101-400", ">400"])
    read = names[category_indices(frame["model"])] if named else ["" if own == 0 else own for own in frame["model"]]
    path = written(tmp_path / "t.csv", frame.assign(model=read))
    own = {"model": {"name": "Model", "category": "model"}} if named else {}
    for refuse in (
        lambda: outcomes(path, **own),
        lambda: raters(path, readers=("reader",), models=("model",), categories=("model",) if named else ()),
    ):
        with pytest.raises(UsageError, match=r"model has no 0; if its empty cells mean .* write 0") as refused:
            refuse()
        assert "--incomplete" not in str(refused.value)
        assert "--drop" not in str(refused.value)
    frame.loc[3:12, "model"] = np.nan  # zeros are there, so that these are gaps
    with pytest.raises(UsageError, match="--incomplete"):
        raters(written(path, frame))


# --- scores that are none ---------------------------------------------------------------------------------------------


def test_logarithms_are_refused_and_percentiles_doubted(tmp_path: Path) -> None:
    frame = plain()
    path = written(tmp_path / "t.csv", frame.assign(model=np.log1p(frame["model"]).round(4)))
    for read in (outcomes, raters):
        with pytest.raises(UsageError, match="are these logarithms of them"):
            read(path)
    ranks = (100 * frame["model"].rank(pct=True)).round()
    doubts = outcomes(written(path, frame.assign(model=ranks))).doubts
    assert "Model has no score above 100: are these percentiles?" in doubts
    assert "Model has no score of 0: were zeros left out, or 1 added?" in doubts


def test_codes_1_to_4_are_not_read_as_scores(tmp_path: Path) -> None:
    frame = plain()
    codes = frame.assign(**{name: category_indices(frame[name]) + 1 for name in ("model", "reader")})
    path = written(tmp_path / "t.csv", codes)
    with pytest.raises(UsageError, match=r"no codes 0 to 3: codes 1 to 4\?.*--words 1,2,3,4"):
        raters(path, categories=("model", "reader"))
    found = raters(path, categories=("model", "reader"), **CODES)
    assert category_indices(found.of("model")[0].scores).tolist() == (codes["model"] - 1).tolist()
    own = {"model": {"name": "Model", "category": "model"}, "reader": {"name": "Reader", "category": "reader"}}
    with pytest.raises(UsageError, match=r'words = \["1", "2", "3", "4"\]'):
        outcomes(path, **own)


def test_a_bound_with_a_mark_of_thousands(tmp_path: Path) -> None:
    frame = plain()
    bounds = frame.assign(
        model=["> 1.000" if own > 1000 else f"{own:.0f}" for own in frame["model"]],
        reader=frame["reader"].round().astype(int),
    )
    path = written(tmp_path / "t.csv", bounds, ";")
    with pytest.raises(UsageError, match=r"holds '> 1\.000' .*Say which is the decimal mark"):
        raters(path, categories=("model",))
    found = raters(path, categories=("model",), form=TableForm(decimal=","))
    assert (category_indices(found.of("model")[0].scores) == category_indices(frame["model"].round())).all()


# --- values that stand for none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("age", 99, r"column age holds 99 \(8 rows\).*--missing age=99"),
        ("bmi", 999, "row 5 .*: bmi is 999, expected 8 or more and at most 120 kg/m²"),
        ("bmi", 0, "bmi is 0, expected 8 or more"),
        ("bmi", 275, "bmi is 275, expected 8 or more"),
        ("cholesterol", 0, r"column cholesterol holds 0 \(8 rows\).*--missing cholesterol=0"),
        ("cholesterol", -99, "column cholesterol holds -99"),
        ("cholesterol", 888, "column cholesterol holds 888"),
    ],
)
def test_a_value_that_stands_for_none_is_asked_for(column: str, value: float, why: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = plain().assign(bmi=rng.normal(27, 3, N).round(1), cholesterol=rng.normal(190, 20, N).round())
    frame["age"] = frame["age"].clip(40, 90)
    fields = {"covariates": ["age", "bmi", "cholesterol"], "categorical": []}
    assert outcomes(written(tmp_path / "t.csv", frame), **fields).data.n == N
    frame.loc[3:10, column] = value
    with pytest.raises(UsageError, match=why) as refused:
        outcomes(written(tmp_path / "t.csv", frame), **fields)
    assert "--drop" not in str(refused.value)


def test_a_vessel_with_more_than_the_whole_is_told(tmp_path: Path) -> None:
    frame = plain()
    chosen = AgreeConfig(table=written(tmp_path / "t.csv", frame.assign(model_lad=3 * frame["model"])))
    lead = " ".join(agreement_report(read_raters(chosen), chosen).lead)
    assert "model: the score of the LAD is larger than that of all vessels in " in lead


def test_a_number_among_names_of_categories_is_no_question_of_marks(tmp_path: Path) -> None:
    names = np.array(["CAC=0", "1 - 100", "101 to 400", "> 400"])
    frame = plain()
    read = frame.assign(model=names[category_indices(frame["model"])])
    found = raters(written(tmp_path / "t.csv", read), categories=("model",))
    assert (category_indices(found.of("model")[0].scores) == category_indices(frame["model"])).all()
    read.loc[5, "model"] = "250"
    with pytest.raises(UsageError, match="holds '250'") as refused:
        raters(written(tmp_path / "t.csv", read), categories=("model",))
    assert "--decimal" not in str(refused.value)


# --- times ------------------------------------------------------------------------------------------------------------


def test_doubtful_times_are_told(tmp_path: Path) -> None:
    frame = plain()
    half = frame.assign(days=[days / 30.4 if row % 2 else days for row, days in enumerate(frame["days"])])
    assert "fraction of a day" in " ".join(outcomes(written(tmp_path / "a.csv", half)).doubts)
    early = frame.copy()
    early.loc[3, ["days", "mace"]] = [0, 1]
    assert (
        "1 patient has MACE at time 0 (column days): is that right?"
        in outcomes(written(tmp_path / "b.csv", early)).doubts
    )
    assert not outcomes(written(tmp_path / "c.csv", frame)).doubts


def test_times_of_events_in_another_unit_are_told_and_all_at_0_refused(tmp_path: Path) -> None:
    frame = plain()
    outcome = {"time": "days", "component": [{"name": "death", "event": "mace", "time": "died"}]}
    months = frame.assign(died=(frame["days"] / 30.4).round())
    doubts = outcomes(written(tmp_path / "a.csv", months), outcome=outcome).doubts
    assert "All times of death (column died) are at most" in " ".join(doubts)
    with pytest.raises(UsageError, match=r"column died is 0 for .* with death; expected the time of the event"):
        outcomes(written(tmp_path / "b.csv", frame.assign(died=0)), outcome=outcome)


def test_a_birth_date_that_stands_for_none_is_no_age_of_118(tmp_path: Path) -> None:
    frame = plain()
    scan = datetime.date(2018, 5, 1)
    born = [scan - datetime.timedelta(days=365.25 * age) for age in frame["age"]]
    born[4] = datetime.date(1900, 1, 1)
    made = frame.drop(columns="age").assign(scan=scan, born=born)
    fields = {"age_from": {"birth": "born", "at": "scan"}}
    made.to_excel(tmp_path / "t.xlsx", index=False)
    for path in (written(tmp_path / "t.csv", made), tmp_path / "t.xlsx"):
        with pytest.raises(UsageError, match=r"row 6: born is .*--missing born=1900-01-01"):
            outcomes(path, **fields)
        form = TableForm(missing_in={"born": ("1900-01-01",)})
        found = read_patients(path, config({**FULL, "identifier": "id"}, **fields), form=form)
        assert found.covariate("age").missing == 1


# --- duplicates -------------------------------------------------------------------------------------------------------


def test_duplicates_without_an_identifier_are_counted(tmp_path: Path) -> None:
    frame = plain()
    twice = pd.concat([frame, frame[frame["model"] > 0][:15]])
    chosen = AgreeConfig(table=written(tmp_path / "t.csv", twice.drop(columns="id")))
    lead = " ".join(agreement_report(read_raters(chosen), chosen).lead)
    assert "15 rows with calcium equal another in all columns that were read" in lead
    named = written(tmp_path / "n.csv", twice.rename(columns={"id": "Pat-Nr."}))
    doubts = read_patients(named, config(FULL)).doubts
    assert 'Column Pat-Nr. may be one: 15 of its cells repeat another; name it with identifier = "Pat-Nr."' in doubts[0]

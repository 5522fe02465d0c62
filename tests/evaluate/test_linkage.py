"""Linkage of scored studies with rows; whatever has no partner, or several, is reported with the reason."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from ctacal.cli.app import app
from ctacal.errors import UsageError
from ctacal.evaluate.linkage import LeftOut, Rules, link, read_results
from ctacal.evaluate.readings import read_table

RESULTS = """study_uid,series_uid,status,reason_codes,agatston,agatston_lad,study_date,folder
1.1,1.1.1,scored,,0,0,20200101,a
1.2,1.2.1,scored_with_warnings,HIGH_NOISE,120.5,60,20200301,b
1.3,1.3.1,refused,NO_CT_SERIES,,,20200301,c
1.4,1.4.1,scored,,3,0,20200301,d
1.5,1.5.1,scored,,30,0,20210301,e
1.6,1.6.1,scored,,31,0,20210301,f
1.7,1.7.1,scored,,32,0,20210301,g
"""
CLINICAL = """PatientID,age,index_date
007,60,2020-01-05
008,61,2020-01-01
009,62,2020-01-01
010,63,2021-01-01
010,63,2021-01-01
,55,2020-01-01
012,1.50,2020-01-01
"""
KEY = "StudyInstanceUID,patientid\n1.1,007\n1.2,007\n1.3,008\n1.4,009\n1.4,007\n1.5,010\n1.6,099\n1.7,012\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, text in (("results.csv", RESULTS), ("clinical.csv", CLINICAL), ("key.csv", KEY)):
        (tmp_path / name).write_text(text)
    return tmp_path


def reasons(left_out: tuple[LeftOut, ...]) -> dict[tuple[str, int], str]:
    return {(left.side, left.row): left.why for left in left_out}


def test_by_a_key_one_row_a_patient(files: Path) -> None:
    rules = Rules(key=files / "key.csv", choose="earliest")
    found = link(read_results([files]), files / "clinical.csv", rules)
    assert found.table[["PatientID", "age", "study_uid"]].to_numpy().tolist() == [
        ["007", "60", "1.1"],
        ["012", "1.50", "1.7"],
    ]
    assert found.table["agatston"].tolist() == ["0", "32"]
    assert found.rows == (0, 6)
    assert reasons(found.left_out) == {
        ("results", 3): "another study of 007 was chosen (earliest)",
        ("results", 4): "refused: NO_CT_SERIES",
        ("results", 5): "the key names more than one patient for this study",
        ("results", 6): "patient 010 has more than one row in the table",
        ("results", 7): "patient 099 has no row in the table",
        ("table", 3): "its study was not scored",
        ("table", 4): "no scored study",
        ("table", 5): "PatientID occurs more than once",
        ("table", 6): "PatientID occurs more than once",
        ("table", 7): "PatientID is missing",
    }


def test_everyone_is_in_the_table_or_left_out(files: Path) -> None:
    """Nobody is lost, whatever the choice."""
    results = read_results([files])
    for choose in ("refuse", "earliest", "latest", "nearest"):
        rules = Rules(key=files / "key.csv", choose=choose, date="index_date", within_days=1000)
        found = link(results, files / "clinical.csv", rules)
        sides = [left.side for left in found.left_out]
        assert sides.count("results") + len(found.table) == 7
        assert sides.count("table") + len(found.table) == 7
        assert len(set(reasons(found.left_out))) == len(found.left_out)


@pytest.mark.parametrize(
    ("choose", "within", "studies"),
    [
        ("refuse", None, ["1.7"]),
        ("latest", None, ["1.2", "1.7"]),
        ("nearest", None, ["1.1", "1.7"]),
        ("nearest", 30.0, ["1.1"]),
    ],
)
def test_which_of_several(choose: str, within: float | None, studies: list[str], files: Path) -> None:
    rules = Rules(key=files / "key.csv", choose=choose, date="index_date", within_days=within)  # type: ignore[arg-type]
    found = link(read_results([files]), files / "clinical.csv", rules)
    assert found.table["study_uid"].tolist() == studies
    if choose == "refuse":
        assert "2 scored studies or series of 007: choose one with --choose" in reasons(found.left_out)["results", 2]
    if within:
        assert reasons(found.left_out)["results", 8] == "425 days from the date in the table, more than 30"


def test_studies_tied_by_date_are_not_chosen_from(files: Path) -> None:
    (files / "results.csv").write_text(RESULTS.replace("20200301,b", "20200101,b"))
    found = link(read_results([files]), files / "clinical.csv", Rules(key=files / "key.csv", choose="earliest"))
    assert found.table["study_uid"].tolist() == ["1.7"]
    assert "2 of them tied by date" in reasons(found.left_out)["results", 2]


def test_by_the_study_itself(files: Path) -> None:
    (files / "direct.csv").write_text(
        "study_uid,agatston,status\n1.1,0,alive\n1.2,100,alive\n1.2,110,dead\n1.5,20,dead\n9.9,3,x\n"
    )
    found = link(read_results([files]), files / "direct.csv", Rules())
    assert found.table[["study_uid", "status", "agatston", "status_ctacal", "agatston_ctacal"]].to_numpy().tolist() == [
        ["1.1", "alive", "0", "scored", "0"],
        ["1.5", "dead", "20", "scored", "30"],
    ]
    why = reasons(found.left_out)
    assert why["results", 3] == "the table has more than one row for this study"
    assert why["results", 5] == "the table has no row for this study"
    assert why["table", 3] == why["table", 4] == "study_uid occurs more than once"
    assert why["table", 6] == "no scored study"


def test_several_rows_of_a_patient_in_the_table(files: Path) -> None:
    (files / "direct.csv").write_text("study_uid,patient_id,age\n1.1,A,60\n1.2,A,61\n1.5,B,50\n")
    results = read_results([files])
    assert link(results, files / "direct.csv", Rules()).table["patient_id"].tolist() == ["B"]
    latest = link(results, files / "direct.csv", Rules(choose="latest"))
    assert latest.table[["study_uid", "age"]].to_numpy().tolist() == [["1.2", "61"], ["1.5", "50"]]
    assert reasons(latest.left_out)["table", 2] == "another row of this patient was used"
    apart = link(results, files / "direct.csv", Rules(by_patient=False))
    assert apart.table["study_uid"].tolist() == ["1.1", "1.2", "1.5"]


def test_equal_rows_count_once(files: Path, tmp_path: Path) -> None:
    other = tmp_path / "second"
    other.mkdir()
    (other / "results.csv").write_text(RESULTS.replace(",a\n", ",elsewhere\n"))
    assert len(read_results([files, other / "results.csv"])) == 7


def test_refusals(files: Path) -> None:
    results = read_results([files])
    with pytest.raises(UsageError, match="has no column status"):
        read_results([files / "clinical.csv"]) if (files / "clinical.csv").write_text("study_uid\n1\n") else None
    (files / "clinical.csv").write_text(CLINICAL)
    with pytest.raises(UsageError, match="no column found for the StudyInstanceUID"):
        link(results, files / "clinical.csv", Rules())
    (files / "key.csv").write_text("study_uid,PatientID\n1.1,7\n")
    with pytest.raises(
        UsageError,
        match=r"no scored study matches a row .*in the results: 1\.1, 1\.2, 1\.3; identifiers in the table: 010",
    ):
        link(results, files / "clinical.csv", Rules(key=files / "key.csv"))
    (files / "key.csv").write_text(KEY)
    with pytest.raises(UsageError, match="name the date column of the table with --date"):
        link(results, files / "clinical.csv", Rules(key=files / "key.csv", choose="nearest"))
    (files / "clinical.csv").write_text(CLINICAL.replace("2020-01-05", "05/01/2020"))
    with pytest.raises(UsageError, match=r"row 2: index_date is '05/01/2020', and no date .* shows which is the day"):
        link(results, files / "clinical.csv", Rules(key=files / "key.csv", choose="nearest", date="index_date"))


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "parquet"])
def test_the_command(ending: str, files: Path) -> None:
    out = files / f"cohort.{ending}"
    typed = ["cohort", str(files), str(files / "clinical.csv"), "-o", str(out), "--key", str(files / "key.csv")]
    done = CliRunner().invoke(app, [*typed, "--choose", "latest"])
    assert (done.exit_code, done.exception is None or isinstance(done.exception, SystemExit)) == (1, True)
    assert "5 scored studies or series, 5 rows of the clinical table" in done.output
    read = read_table(out, text=["PatientID"])
    as_numbers = ending in ("xlsx", "parquet")
    assert read["age"].tolist() == ([60.0, 1.5] if as_numbers else ["60", "1.50"])
    assert read["agatston"].tolist() == ([120.5, 32.0] if as_numbers else ["120.5", "32"])
    assert len(pd.read_csv(files / "cohort.left_out.csv")) == 10
    assert read["PatientID"].tolist() == ["007", "012"]
    if ending == "csv":
        assert "007,60,2020-01-05,1.2" in out.read_text()


def test_the_command_refuses(files: Path) -> None:
    typed = ["cohort", str(files), str(files / "clinical.csv"), "-o"]
    for more, why in (
        ([str(files / "t.doc")], "name a table of"),
        ([str(files / "t.csv"), "--choose", "any"], "known are refuse"),
    ):
        done = CliRunner().invoke(app, [*typed, *more])
        assert isinstance(done.exception, UsageError)
        assert why in str(done.exception)
        assert not (files / "t.csv").exists()

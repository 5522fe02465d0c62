"""Tables of users: every row is checked, refused by number, or dropped and counted, in every kind of file."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.readings import KINDS, Coding, Column, read_readings, read_table

SCORES = [Column("reader"), Column("model")]


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


FAULTY = "id,reader,model\n007,1,2\n\n008,-3,x\n009,,4\n007,1,2\n010,5,6\n"


def test_every_fault_is_named_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_readings(table(tmp_path / "t.csv", FAULTY), SCORES, identifier="id")
    message = str(refused.value)
    for line in (
        "row 4 (008): reader is -3, expected 0 or more",
        "row 4 (008): model is 'x', not a number",
        "row 5 (009): reader is missing",
        "row 6 (007): id 007 occurs more than once (the rows are equal)",
        "Column reader holds -3 to 5",
        "--missing 'model=x'",
    ):
        assert line in message


def test_what_is_dropped_is_counted(tmp_path: Path) -> None:
    found = read_readings(table(tmp_path / "t.csv", FAULTY), SCORES, identifier="id", drop=KINDS)
    assert found.table["id"].tolist() == ["007", "010"]
    assert found.table["model"].tolist() == [2.0, 6.0]
    assert found.dropped_by_kind == {"out-of-range": 1, "missing": 1, "duplicated": 1}
    assert found.summary == "2 of 5 rows were used; 3 dropped on request: 1 out of range, 1 missing, 1 duplicated."
    with pytest.raises(
        UsageError, match=r"row 5 \(009\): reader is missing\. Correct the table, or leave out .*missing"
    ):
        read_readings(tmp_path / "t.csv", SCORES, identifier="id", drop=[kind for kind in KINDS if kind != "missing"])


def test_rows_that_contradict_each_other_all_go(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "id,reader,model\na,1,2\nb,1,2\na,1,3\n")
    with pytest.raises(UsageError, match=r"row 2 \(a\).*the rows differ.*row 4"):
        read_readings(path, SCORES, identifier="id")
    assert read_readings(path, SCORES, identifier="id", drop={"duplicated"}).table["id"].tolist() == ["b"]


def test_a_missing_identifier_is_a_fault(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "id,reader,model\n,1,2\nb,1,2\n")
    with pytest.raises(UsageError, match="row 2: id is missing"):
        read_readings(path, SCORES, identifier="id")


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "parquet", "semicolon"])
def test_all_kinds_of_file_say_the_same(ending: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["007", "008"], "reader": [1.5, 0.0], "model": [2, 3], "sex": ["F", None]})
    path = tmp_path / f"t.{ending.replace('semicolon', 'csv')}"
    writers: dict[str, Any] = {
        "csv": lambda: frame.to_csv(path, index=False, encoding="utf-8-sig"),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "xlsx": lambda: frame.to_excel(path, index=False),
        "parquet": lambda: frame.to_parquet(path, index=False),
        "semicolon": lambda: frame.to_csv(path, index=False, sep=";", decimal=","),
    }
    writers[ending]()
    found = read_readings(path, SCORES, identifier="id", text=("sex",)).table
    assert found.to_dict("list") == {
        "id": ["007", "008"],
        "sex": ["F", None],
        "reader": [1.5, 0.0],
        "model": [2.0, 3.0],
    }
    assert found["reader"].dtype == found["model"].dtype == np.float64


def test_numbers_of_a_spreadsheet_as_identifiers(tmp_path: Path) -> None:
    pd.DataFrame({"id": [7, 8, None], "reader": [1, 2, 3], "model": [1, 2, 3]}).to_excel(
        tmp_path / "t.xlsx", index=False
    )
    found = read_readings(tmp_path / "t.xlsx", SCORES, identifier="id", drop={"missing"})
    assert found.table["id"].tolist() == ["7", "8"]


def test_limits_of_columns(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "id,time,event,age\na,0,1,50\nb,2,0,\nc,3,0,130\n")
    columns = [
        Column("time", above_least=True), Column("event", coding=Coding()), Column("age", most=120, may_be_missing=True)
    ]  # fmt: skip
    with pytest.raises(UsageError) as refused:
        read_readings(path, columns, identifier="id")
    message = str(refused.value)
    assert "time is 0, expected more than 0" in message
    assert "age is 130, expected 0 or more and at most 120" in message
    assert "missing" not in message
    kept = read_readings(table(path, "id,time,event,age\na,1,1,\n"), columns, identifier="id").table
    assert np.isnan(kept["age"][0])
    negative = read_readings(table(path, "x\n-5\n"), [Column("x", least=None)]).table
    assert negative["x"].tolist() == [-5.0]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("t.csv", "", "cannot be read"),
        ("t.csv", "id,reader,model\n", "no rows below its header"),
        ("t.csv", "id,reader\na,1\n", "has no column model; it has: id, reader"),
        ("t.csv", "id,reader,reader\na,1,2\n", "column reader occurs 2 times"),
        ("t.csv", "id,,model\na,1,2\n", "column 2 has no name"),
        ("t.csv", "id,reader,model\na,1,5,2\n", "row 2 has more cells than the header in row 1"),
        ("t.csv", "id,reader,model\na,inf,2\n", "column reader holds 'inf' in row 2: a bound, not a number"),
        ("t.csv", 'id,reader,model\na,"1,234",2\n', "reader holds '1,234' in row 2, which may be 1,234 or 1.234"),
        ("t.xlsx", "no workbook", "cannot be read"),
        ("t.parquet", "no parquet", "cannot be read"),
        ("t.doc", "x", "expected a file of one of these kinds: .csv"),
    ],
)
def test_what_is_no_table_is_refused(name: str, text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_readings(table(tmp_path / name, text), SCORES, identifier="id")
    assert reason in str(refused.value)
    assert name in str(refused.value)


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="is not a file"):
        read_table(tmp_path / "folder.csv")
    with pytest.raises(UsageError, match="cannot drop bad"):
        read_readings(table(tmp_path / "t.csv", FAULTY), SCORES, drop={"bad"})
    with pytest.raises(UsageError, match="none of 1 rows is left"):
        read_readings(table(tmp_path / "t.csv", "reader,model\n,1\n"), SCORES, drop={"missing"})

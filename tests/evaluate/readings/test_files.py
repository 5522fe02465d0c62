"""Files as programs and people write them: encodings, separators, broken rows, workbooks, Parquet."""

import datetime
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.readings import TableForm, open_table, read_table


def table(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("id,größe\na,1\n", "utf-8"),
        ("id,größe\na,1\n", "utf-8-sig"),
        ("id\tgröße\na\t1\n", "utf-16"),
        ("id,größe\na,1\n", "utf-32"),
        ("id;größe\na;1\n", "cp1252"),
        ("sep=;\nid;größe\na;1\n", "utf-8"),
        ("sep=;\r\nid;größe\r\na;1\r\n", "utf-8-sig"),
        ('"sep=;"\nid;größe\na;1\n', "utf-8"),
        ("SEP=|\nid|größe\na|1\n", "utf-8"),
        ("id|größe\na|1\n", "utf-8"),
        ("id;größe;;\na;1;;\n", "utf-8"),
        ("id;größe\na;1;;\n", "utf-8"),
        ("id;größe;;\na;1\n", "utf-8"),
        ("\n\nid,größe\n\na,1\n\n,\n", "utf-8"),
        ("id,größe\ra,1\r", "utf-8"),
        ('"id","größe"\n"a", "1"\n', "utf-8"),
        ('id,größe\n"a",1\n', "utf-8"),
        ("id,größe\n a ,\u00a01 \n", "utf-8"),
        ('"","id","größe"\n"1","a","1"\n', "utf-8"),
    ],
)
def test_text_is_read_whoever_wrote_it(text: str, encoding: str, tmp_path: Path) -> None:
    found = read_table(table(tmp_path / "t.csv", text, encoding))
    assert found.to_dict("list") == {"id": ["a"], "größe": ["1"]}


def test_what_had_to_be_assumed_is_told(tmp_path: Path) -> None:
    assert "read as Windows-1252" in open_table(table(tmp_path / "t.csv", "id;größe\na;1\n", "cp1252")).told[0]
    assert "first column has no name" in open_table(table(tmp_path / "r.csv", '"","id"\n"1","a"\n')).told[0]
    assert open_table(table(tmp_path / "u.csv", "id\na\n")).told == ()


def test_an_encoding_may_be_said(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "id,größe\na,1\n", "mac-roman")
    assert list(read_table(path, TableForm(encoding="mac-roman"))) == ["id", "größe"]
    with pytest.raises(UsageError, match="is not in nonsense"):
        read_table(path, TableForm(encoding="nonsense"))
    with pytest.raises(UsageError, match="without a mark; name its --encoding"):
        read_table(table(tmp_path / "w.csv", "id,x\na,1\n", "utf-16-le"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,x,y\na,1\n", "row 2 has 2 cells, and the header in row 1 has 3"),
        ("id,x,y\na,1,2\nb,1\n", "row 3 has 2 cells"),
        ("id,x\na,1,2\n", "row 2 has more cells than the header in row 1 (3 and 2)"),
        ("Table 1\nid,x\na,1\n", "delete what stands above the names of the columns"),
        ("id,x,,\na,1,,5\n", "column 4 has no name, but has cells"),
        ("id,,y\na,1,2\n", "column 2 has no name"),
        ('id,x\na,"1\nb,2\n', "a quote that is not closed"),
        ("id,x,x\na,1,2\n", "column x occurs 2 times"),
        ("a,b\n", "no rows below its header"),
        ("\n\n", "it is empty"),
        (",,\n1,2,3\n", "no rows below"),
    ],
)
def test_broken_text_is_refused_with_its_row(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_table(table(tmp_path / "t.csv", text))
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"PK\x03\x04rest", "give it the ending .xlsx"),
        (b"\xd0\xcf\x11\xe0rest", "save it as .xlsx"),
        (b"PAR1rest", "give it the ending .parquet"),
        (b"$FL2@(#) SPSS DATA FILE", "an SPSS file: export it as CSV"),
        (b"<stata_dta>", "a Stata file: export it as CSV"),
        (gzip.compress(b"id,x\n", mtime=0), "compressed: unpack it first"),
        (b"<html><table><tr><td>id</td></tr></table></html>", "a web page"),
        (b"<?xml version='1.0'?><Workbook/>", "a web page"),
        (b"\xff\xfe\x00", "is not in utf-16"),
        (b"id,x\na,\x81\n", "is not in cp1252"),
    ],
)
def test_other_files_are_named(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UsageError) as refused:
        read_table(tmp_path / "t.csv")
    assert why in str(refused.value)


def test_rows_are_numbered_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", 'sep=,\n\nid,x\n"a\nb",1\n\nc,2\n')
    assert [int(row) + 2 for row in read_table(path).index] == [3, 5]


def test_no_word_is_missing_unless_the_cell_is_empty(tmp_path: Path) -> None:
    words = ["None", "NA", "nan", "NULL", "null", "n/a", "N/A", "#N/A", "-", ".", "?", "<NA>", "NaN"]
    path = table(tmp_path / "t.csv", "x,y\n" + "\n".join(f"{word},1" for word in [*words, "", '""']) + "\n")
    assert read_table(path)["x"].tolist() == [*words, None, None]


# --- workbooks --------------------------------------------------------------------------------------------------------


def workbook(path: Path, fill: Callable[[Any], None]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    fill(book)
    book.save(path)
    return path


def rows(book: Any, *lines: list[object], sheet: str = "Sheet") -> None:
    place = book[sheet] if sheet in book.sheetnames else book.create_sheet(sheet)
    for line in lines:
        place.append(line)


def test_the_sheet_with_the_columns_is_read_and_told(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        rows(book, ["Readme"], ["see data"])
        rows(book, ["id", "x"], ["a", 1], sheet="Data")

    path = workbook(tmp_path / "t.xlsx", fill)
    found = open_table(path, wanted=["id", "x"])
    assert (found.sheet, found.told) == ("Data", ("Sheet Data was read.",))
    with pytest.raises(UsageError, match=r"several sheets that could be meant: Sheet, Data; name one with --sheet"):
        open_table(path)
    with pytest.raises(UsageError, match=r"no sheet has all columns id, y\. Sheet: Readme; Data: id, x"):
        open_table(path, wanted=["id", "y"])
    assert open_table(path, TableForm(sheet="Sheet")).cells["Readme"].tolist() == ["see data"]
    with pytest.raises(UsageError, match="has no sheet Old; it has: Sheet, Data"):
        open_table(path, TableForm(sheet="Old"))
    with pytest.raises(UsageError, match="only workbooks have sheets"):
        open_table(table(tmp_path / "t.csv", "a\n1\n"), TableForm(sheet="Data"))


def test_two_sheets_alike_are_not_chosen_from(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        for sheet in ("2024", "2025"):
            rows(book, ["id", "x"], ["a", 1], sheet=sheet)

    with pytest.raises(UsageError, match="could be meant: 2024, 2025"):
        open_table(workbook(tmp_path / "t.xlsx", fill), wanted=["id", "x"])


def test_empty_and_hidden_sheets_are_passed_over(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        rows(book, ["id", "x"], ["a", 1], sheet="Data")
        rows(book, ["id", "x"], ["old", 1], sheet="Old")
        book["Old"].sheet_state = "hidden"

    assert open_table(workbook(tmp_path / "t.xlsx", fill)).cells["id"].tolist() == ["a"]


def test_merged_cells_are_refused(tmp_path: Path) -> None:
    def merge(place: str) -> Callable[[Any], None]:
        def fill(book: Any) -> None:
            rows(book, ["id", "centre"], ["a", "Bern"], ["b", None], ["c", "Basel"])
            book.active.merge_cells(place)

        return fill

    with pytest.raises(UsageError, match="cells B2:B3 are merged, so only the first of them holds a value; unmerge"):
        open_table(workbook(tmp_path / "t.xlsx", merge("B2:B3")))
    with pytest.raises(UsageError, match=r"cells A1:B1 are merged.*names of the columns"):
        open_table(workbook(tmp_path / "u.xlsx", merge("A1:B1")))
    assert len(open_table(workbook(tmp_path / "v.xlsx", merge("E9:F10"))).cells) == 3


def test_formulas_without_a_result_are_no_empty_cells(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        rows(book, ["id", "x"], ["a", 1], ["b", "=B2*2"])

    with pytest.raises(UsageError, match="row 3, x is a formula without a result; open and save"):
        open_table(workbook(tmp_path / "t.xlsx", fill))

    def only(book: Any) -> None:
        rows(book, ["id", "x"], ["=1+1", "=B2*2"])

    with pytest.raises(UsageError, match="formulas without a result"):
        open_table(workbook(tmp_path / "u.xlsx", only))


def test_hidden_rows_are_read_and_told(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        rows(book, ["id", "x"], ["a", 1], ["b", 2])
        book.active.row_dimensions[3].hidden = True

    found = open_table(workbook(tmp_path / "t.xlsx", fill))
    assert found.cells["id"].tolist() == ["a", "b"]
    assert found.told == ("1 rows that the sheet hides (a filter?) were read like the others.",)


def test_cells_keep_their_kind(tmp_path: Path) -> None:
    day = datetime.datetime(2020, 1, 31)

    def fill(book: Any) -> None:
        rows(book, ["id", "x", "day", "flag", "share"], [7.0, "007", day, True, 0.05], [8, " b ", None, False, 0.125])
        book.active["E2"].number_format, book.active["E3"].number_format = "0 %", "0.0%"

    found = open_table(workbook(tmp_path / "t.xlsx", fill)).cells
    assert found["x"].tolist() == ["007", "b"]
    assert found["day"].tolist() == [datetime.date(2020, 1, 31), None]
    assert found["flag"].tolist() == ["TRUE", "FALSE"]
    assert found["share"].tolist() == ["5 %", "12.5 %"]
    assert read_table(tmp_path / "t.xlsx", text=["id"])["id"].tolist() == ["7", "8"]


def test_a_table_below_empty_rows_and_with_styled_cells_around_it(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        openpyxl = pytest.importorskip("openpyxl")
        book.active["A3"], book.active["B3"], book.active["A4"], book.active["B4"] = "id", "x", "a", 1
        book.active["Z900"].font = openpyxl.styles.Font(bold=True)

    found = open_table(workbook(tmp_path / "t.xlsx", fill)).cells
    assert found.to_dict("list") == {"id": ["a"], "x": [1]}
    assert [int(row) + 2 for row in found.index] == [4]


# --- Parquet ----------------------------------------------------------------------------------------------------------


def test_parquet_keeps_an_index_with_a_name_and_large_numbers(tmp_path: Path) -> None:
    cells = {"id": pd.array([2**53 + 1, None], dtype="Int64"), "x": [1.5, np.nan]}
    frame = pd.DataFrame(cells, index=pd.Index(["a", "b"], name="patient"))
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet", text=["id"])
    assert found["patient"].tolist() == ["a", "b"]
    assert found["id"].tolist() == [str(2**53 + 1), None]
    assert found.index.tolist() == [0, 1]


def test_parquet_without_a_named_index_and_with_categories(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sex": pd.Categorical(["M", None, "F"]), "flag": [True, False, None]}, index=[7, 9, 11])
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert found["sex"].tolist() == ["M", None, "F"]
    assert found["flag"].tolist() == ["TRUE", "FALSE", None]

"""Words: events, categories, levels, missing values and identifiers, as registries and programs write them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.readings import Coding, Column, TableForm, read_readings
from ctacal.evaluate.readings.identifiers import alike


def events(folder: Path, cells: Sequence[str], coding: Coding, drop: Sequence[str] = ()) -> list[float]:
    lines = [f"p{row},{cell}" for row, cell in enumerate(cells)]
    (folder / "t.csv").write_text("\n".join(["id,mace", *lines]) + "\n", encoding="utf-8")
    column = Column("mace", coding=coding, is_outcome=True)
    return list(read_readings(folder / "t.csv", [column], identifier="id", drop=drop).table["mace"])


@pytest.mark.parametrize(
    ("cells", "coding", "expected"),
    [
        (["0", "1", "1.0"], Coding(), [0, 1, 1]),
        (["TRUE", "false", "True"], Coding(), [1, 0, 1]),
        (["1", "2", "2.0"], Coding(("2",), ("1",)), [0, 1, 1]),
        (["2", "1", "2"], Coding(("1",), ("2",)), [0, 1, 0]),
        (["yes", "No", "YES"], Coding(("yes",), ("no",)), [1, 0, 1]),
        (["alive", "dead", "alive"], Coding(("dead",), ("alive",)), [0, 1, 0]),
        (["Checked", "Unchecked", "Checked"], Coding(("Checked",), ("Unchecked",)), [1, 0, 1]),
        (["ja", "nein", "ja"], Coding(("ja",), ("nein",)), [1, 0, 1]),
        (["WAHR", "FALSCH", "WAHR"], Coding(("WAHR",), ("FALSCH",)), [1, 0, 1]),
        (["X", "", ""], Coding(("x",), ("",)), [1, 0, 0]),
        (["1", "", ""], Coding(("1",), ("",)), [1, 0, 0]),
        (["0", "1", "2"], Coding(("1",), ("0", "2")), [0, 1, 0]),
        (["MI", "stroke", "none"], Coding(("MI", "stroke"), ("none",)), [1, 1, 0]),
    ],
)
def test_events_are_read_as_they_are_coded(
    cells: list[str], coding: Coding, expected: list[float], tmp_path: Path
) -> None:
    assert events(tmp_path, cells, coding) == expected


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "2", "1"], ["yes", "no", "no"], ["alive", "dead", "alive"], ["0", "1", "2"], ["0", "1", "9"],
        ["-1", "0", "0"], ["0", "0.5", "1"], ["2020-01-01", "0", "0"], ["0", "1", "NA"], ["Y", "N", "N"],
        ["0", "1", "unknown"],
    ],
)  # fmt: skip
def test_other_codings_are_refused_and_none_is_guessed(cells: list[str], tmp_path: Path) -> None:
    for drop in ((), ("missing", "not-a-number", "out-of-range")):
        with pytest.raises(UsageError) as refused:
            events(tmp_path, cells, Coding(), drop)
        message = str(refused.value)
        assert ("yes = [" in message and "no = [" in message) or "holds dates" in message
        assert cells[0] in message
        assert "--drop" not in message


def test_empty_cells_are_never_dropped_into_an_outcome_of_everybody(tmp_path: Path) -> None:
    """Registries leave the cell empty where nothing happened."""
    cells = ["1", *[""] * 4] * 10
    for drop in ((), ("missing",)):
        with pytest.raises(
            UsageError, match=r"is empty in 40 of 50 rows and holds '1' \(10\): .* no = \[\"\"\]"
        ) as refused:
            events(tmp_path, cells, Coding(), drop)
        assert "--drop" not in str(refused.value)
    with pytest.raises(UsageError, match=r"row 4 .*mace is missing") as few:
        events(tmp_path, ["0", "1", "", *["0"] * 30], Coding())
    assert "--drop" not in str(few.value)
    assert len(events(tmp_path, ["0", "1", "", *["0"] * 30], Coding(), ("missing",))) == 32


def categories(
    folder: Path, cells: Sequence[object], words: tuple[str, ...] = (), drop: Sequence[str] = ()
) -> list[float]:
    (folder / "t.csv").write_text("\n".join(["cat;x", *(f"{cell};1" for cell in cells)]) + "\n", encoding="utf-8")
    column = Column("cat", is_category=True, words=words)
    return list(read_readings(folder / "t.csv", [column, Column("x")], drop=drop).table["cat"])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0", "1-100", "101-400", ">400"], [0, 1, 2, 3]),
        (["0", "1–100", "101—400", "> 400"], [0, 1, 2, 3]),
        (["0", "1 to 100", "101 - 400", ">400"], [0, 1, 2, 3]),
        (["CAC 0", "CAC 1-100", "CAC 101-400", "CAC >400"], [0, 1, 2, 3]),
        (["0", "1-10", "11-100", "101-400", ">400"], [0, 1, 1, 2, 3]),
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        (["0.0", "1.0", "2.0", "3.0"], [0, 1, 2, 3]),
        (["0,0", "1,0", "2,0", "3,0"], [0, 1, 2, 3]),
        ([0, 52.3, 754.4, 100, 101, ">1000"], [0, 1, 3, 1, 2, 3]),
        (["0", "3", "1", "412"], [0, 1, 1, 3]),
        (["≥401", "0", "12"], [3, 0, 1]),
    ],
)
def test_categories_by_name_code_and_score(cells: list[object], expected: list[float], tmp_path: Path) -> None:
    assert categories(tmp_path, cells) == expected


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["0", "1-99", "100-399", "≥400"], "'1-99' (1)"),
        (["0", "52.3", ">50"], "'>50' (1)"),
        (["0", "52.3", "<1"], "'<1' (1)"),
        (["0", "1-100", "2"], "'2'"),
        ([0, 1, 2, 3, 4], "no codes 0 to 3"),
        (["Jan-10", "0", "0"], "holds dates ('Jan-10' in row 2): a spreadsheet took 1-10 for a date?"),
        (["10. Jan", "0", "11-100"], "holds dates"),
        ([">400", "1", "2", "0"], "beside codes"),
        ([1, 2, 3] * 10, "which are no codes 0 to 3: codes 1 to 4?"),
    ],
)
def test_other_categories_are_refused(cells: list[object], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        categories(tmp_path, cells, drop=["out-of-range"])
    assert why in str(refused.value)


def test_own_words_for_categories(tmp_path: Path) -> None:
    words = ("none", "mild", "moderate", "severe")
    assert categories(tmp_path, ["mild", "None", "severe"], words) == [1, 0, 3]
    assert categories(tmp_path, [1, 2, 3, 4], ("1", "2", "3", "4")) == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="row 3: cat is 'extreme', expected none, mild, moderate, severe"):
        categories(tmp_path, ["mild", "extreme"], words)


def test_a_missing_category_is_named_by_its_row_and_may_be_dropped(tmp_path: Path) -> None:
    cells = ["", *["1.0", "0.0"] * 10]
    with pytest.raises(UsageError, match=r"row 2: cat is missing\. Correct the table, or leave out .* --drop missing"):
        categories(tmp_path, cells)
    assert len(categories(tmp_path, cells, drop=["missing"])) == 20


@pytest.mark.parametrize("kind", ["missing", "duplicated"])
def test_nobody_is_told_to_drop_most_rows(kind: str, tmp_path: Path) -> None:
    lines = [f"p{row // 4 if kind == 'duplicated' else row},{'' if kind == 'missing' else row}" for row in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["id,x", *lines[:39], "z,1"]) + "\n")
    with pytest.raises(UsageError) as refused:
        read_readings(tmp_path / "t.csv", [Column("x")], identifier="id")
    assert "--drop" not in str(refused.value)


# --- identifiers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P001", "p001"),
        ("007", "7"),
        ("7.0", "7"),
        ("P 1", "P1"),
        ("P1", "Ｐ1"),
        ("p-01", "P-01"),
        ("Straße", "STRASSE"),
    ],
)
def test_spellings_of_one_identifier(one: str, other: str, tmp_path: Path) -> None:
    assert alike(one) == alike(other)
    (tmp_path / "t.csv").write_text(f"id,x\n{one},1\nother,2\n{other},1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"row 4 .*occurs more than once .row 2 has .*; the rows are equal"):
        read_readings(tmp_path / "t.csv", [Column("x")], identifier="id")
    found = read_readings(tmp_path / "t.csv", [Column("x")], identifier="id", drop=["duplicated"])
    assert found.table["id"].tolist() == [one, "other"]


@pytest.mark.parametrize(("one", "other"), [("P1", "P10"), ("1.2.3", "1.2.30"), ("A-1", "A1"), ("10", "1")])
def test_other_identifiers_are_not_one(one: str, other: str) -> None:
    assert alike(one) != alike(other)


@pytest.mark.parametrize(
    "cells", [["1.23457E+11", "5"], ["1,2E+12", "5"], ["123456789012345000", "223456789012345000"]]
)
def test_identifiers_that_a_spreadsheet_damaged_are_refused(cells: list[str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id;x\n" + "".join(f"{cell};1\n" for cell in cells))
    with pytest.raises(UsageError, match="store identifiers as text"):
        read_readings(tmp_path / "t.csv", [Column("x")], identifier="id", drop=["duplicated"])


def test_large_numbers_in_a_workbook_are_no_identifiers(tmp_path: Path) -> None:
    pd.DataFrame({"id": [123456789012345678, 223456789012345678], "x": [1, 2]}).to_excel(
        tmp_path / "t.xlsx", index=False
    )
    with pytest.raises(UsageError, match="store identifiers as text"):
        read_readings(tmp_path / "t.xlsx", [Column("x")], identifier="id")


@pytest.mark.parametrize("word", ["Total", "Mean", "Summe:", "n", "MEDIAN"])
def test_a_line_of_totals_is_no_row(word: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"id,x\na,1\nb,2\n{word},3\n")
    with pytest.raises(UsageError, match=r"(begins|ends) with .* a line of totals\?"):
        read_readings(tmp_path / "t.csv", [Column("x")], identifier="id")


# --- missing words ----------------------------------------------------------------------------------------------------

WORDS = [
    "NA",
    "N/A",
    "nan",
    "NULL",
    "None",
    ".",
    ".a",
    "-",
    "?",
    "#NULL!",
    "#N/A",
    "missing",
    "unknown",
    "nicht bekannt",
]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_missing_only_if_it_is_declared(word: str, tmp_path: Path) -> None:
    """R, SPSS, SAS, Stata and people each have their own."""
    (tmp_path / "t.csv").write_text("x,kind\n1," + word + "\n" + word + ",a\n,b\n", encoding="utf-8")
    column = Column("x", may_be_missing=True)
    with pytest.raises(UsageError) as refused:
        read_readings(tmp_path / "t.csv", [column], text=["kind"])
    assert f"row 3: x is {word!r}" in str(refused.value)
    assert f"--missing 'x={word}'" in str(refused.value)
    found = read_readings(tmp_path / "t.csv", [column], text=["kind"], form=TableForm(missing_in={"x": (word,)})).table
    np.testing.assert_array_equal(found["x"], [1, np.nan, np.nan])
    assert found["kind"].tolist() == [word, "a", "b"]
    everywhere = read_readings(tmp_path / "t.csv", [column], text=["kind"], form=TableForm(missing=(word,))).table
    assert everywhere["kind"].tolist() == [None, "a", "b"]

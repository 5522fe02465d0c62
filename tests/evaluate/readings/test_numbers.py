"""Columns of numbers as spreadsheets of many countries write them: read rightly, or refused."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.readings import Column, TableForm, read_readings

X = Column("x", least=None)


def read(folder: Path, cells: Sequence[str], more: Sequence[str] = (), **form: object) -> list[float]:
    """The column x of a table with semicolons; ``more`` are the cells of a second column of numbers."""
    others = list(more) or ["a"] * len(cells)
    lines = [f"{cell};{other}" for cell, other in zip(cells, others, strict=True)]
    (folder / "t.csv").write_text("\n".join(["x;other", *lines]) + "\n", encoding="utf-8")
    columns = [X, Column("other")] if more else [X]
    return list(read_readings(folder / "t.csv", columns, form=TableForm(**form)).table["x"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["65,4", "1.694,8", "3"], [65.4, 1694.8, 3]),
        (["65.4", "1,694.8", "3"], [65.4, 1694.8, 3]),
        (["754,4", "0,0", "1.280,0", "12.345.678,9"], [754.4, 0, 1280, 12345678.9]),
        (["1.234.567", "12"], [1234567, 12]),
        (["1,234,567", "1,695"], [1234567, 1695]),
        (["12,34,567", "5"], [1234567, 5]),
        (["1 695", "0"], [1695, 0]),
        (["1\u00a0695,5", "1\u202f695"], [1695.5, 1695]),
        (["1'695", "1’695.5"], [1695, 1695.5]),
        (["0.123", "0.5", "2.345"], [0.123, 0.5, 2.345]),
        (["0,123", "1,695"], [0.123, 1.695]),
        (["1.234", "2.345", "6.789", "12.5"], [1.234, 2.345, 6.789, 12.5]),
        ([".5", "1.25"], [0.5, 1.25]),
        ([",5", "-1,25"], [0.5, -1.25]),
        (["−5", "+7", "5."], [-5, 7, 5]),
        (["1e3", "1.5E+03", "2E-1"], [1000, 1500, 0.2]),
        (["1,5E+03", "7"], [1500, 7]),
        (["\u00a065.4", "\ufeff1 ", "\u200b2"], [65.4, 1, 2]),
        (["1234.567", "1.5"], [1234.567, 1.5]),
        (["01", "007"], [1, 7]),
    ],
)
def test_what_shows_its_own_marks_is_read(cells: list[str], values: list[float], tmp_path: Path) -> None:
    assert read(tmp_path, cells) == values


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["0", "21", "1.695"], "'1.695' in row 4, which may be 1.695 or 1,695"),
        (["0", "21", "1,695"], "'1,695' in row 4, which may be 1,695 or 1.695"),
        (["12.5", "754.4", "1.695"], "'1.695' in row 4, which may be"),
        (["12,5", "754,4", "1,695"], "'1,695' in row 4, which may be"),
        (["1.695", "2.345"], "thousands and decimals cannot be told apart"),
        (["65,4", "12.5"], "mixes decimal points and commas: '12.5' in row 3, '65,4' in row 2"),
        (["1.234,5", "1,234.5"], "mixes decimal points and commas"),
        (["1.234.567", "1,234,567"], "mixes decimal points and commas"),
        (["5 %", "7 %"], "'5 %' in row 2 and in 1 other rows: a percentage"),
        (["€ 1.200", "5"], "an amount of money"),
        (["12 kr", "5"], "an amount of money"),
        (["65 y", "61"], "a number with a unit"),
        (["120HU", "61"], "a number with a unit"),
        (["1-100", "0"], "a range"),
        (["1 to 10", "0"], "a range"),
        (["12abc3", "0"], "a number with a unit"),
        (["1.2.3", "0"], "no number that can be read"),
        (["1_000", "0"], "no number that can be read"),
        (["(1234)", "0"], "no number that can be read"),
        (["³", "0"], "not a number"),
        (["0x1F", "0"], "a number with a unit"),
        (["1e999", "0"], "a number with a unit"),
    ],
)
def test_what_may_mean_two_things_or_nothing_is_refused(cells: list[str], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, cells)
    assert why in str(refused.value)
    assert "--drop" not in str(refused.value)


@pytest.mark.parametrize(
    ("cells", "more", "values"),
    [
        (["0", "1.695", "21"], ["65,4", "2", "3"], [0, 1695, 21]),
        (["0", "1,695", "21"], ["65.4", "2", "3"], [0, 1695, 21]),
        (["1.695", "2.345", "0"], ["65.4", "2", "3"], [1.695, 2.345, 0]),
        (["1.695", "2.345", "0"], ["1.234,5", "2", "3"], [1695, 2345, 0]),
    ],
)
def test_other_columns_decide(cells: list[str], more: list[str], values: list[float], tmp_path: Path) -> None:
    assert read(tmp_path, cells, more) == values


def test_other_columns_do_not_decide_where_numbers_are_mixed(tmp_path: Path) -> None:
    """Whole numbers beside 1.695 in a table with decimal points: pasted from a table with marks of thousands?"""
    with pytest.raises(UsageError, match="which may be"):
        read(tmp_path, ["0", "1.695", "21"], ["65.4", "2", "3"])
    with pytest.raises(UsageError, match="which may be"):
        read(tmp_path, ["0", "1.695", "21"], ["65.4", "2,5", "3"])
    with pytest.raises(UsageError, match="which may be"):
        read(tmp_path, ["0", "1.695", "21"], ["65,4", "2", "word"])


def test_a_decimal_mark_may_be_said(tmp_path: Path) -> None:
    assert read(tmp_path, ["0", "1.695"], decimal=",") == [0, 1695]
    assert read(tmp_path, ["0", "1.695"], decimal=".") == [0, 1.695]
    assert read(tmp_path, ["12.5", "1,695"], decimal=".") == [12.5, 1695]
    with pytest.raises(UsageError, match=r"'12.5' in row 2, where ',' cannot be the decimal mark"):
        read(tmp_path, ["12.5", "1"], decimal=",")


def test_how_a_column_was_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x;y\n1.234,5;65,4\n7;5\n")
    told = read_readings(tmp_path / "t.csv", [X, Column("y")]).told
    assert told == (
        "x: marks of thousands were taken out.", "x: a comma was read as the decimal mark.",
        "y: a comma was read as the decimal mark.",
    )  # fmt: skip


@pytest.mark.parametrize(
    "bound", [">1000", "> 1000", ">=1000", "≥400", "<1", "1000+", "~50", "über 1000", "inf", "-Inf"]
)
def test_bounds_are_no_scores_and_nobody_is_told_to_drop_them(bound: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("score\n" + "\n".join(["0", "52.3", bound] * 10) + "\n", encoding="utf-8")
    column = Column("score", meaning="score", if_bounds="Compare categories")
    for drop in ((), ("not-a-number", "out-of-range", "missing")):
        with pytest.raises(UsageError, match=r"in 9 other rows: a bound, not a number\. Compare categories") as refused:
            read_readings(tmp_path / "t.csv", [column], drop=drop)
        assert "--drop" not in str(refused.value)


def test_numbers_and_text_of_a_workbook_are_read_alike(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["x", "y"], [65.4, 0.05], ["1.694,8", 0.5], ["7,5", None]):
        book.active.append(row)
    book.active["B2"].number_format = "0%"
    book.save(tmp_path / "t.xlsx")
    found = read_readings(tmp_path / "t.xlsx", [X]).table["x"]
    np.testing.assert_array_equal(found, [65.4, 1694.8, 7.5])
    with pytest.raises(UsageError, match="column y holds '5 %' in row 2: a percentage"):
        read_readings(tmp_path / "t.xlsx", [Column("y", may_be_missing=True)])

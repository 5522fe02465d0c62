"""No text that ctacal writes to a table becomes a formula in a spreadsheet, and ctacal reads back what was meant."""

import csv
from pathlib import Path
from typing import Any

import pytest

from ctacal.dicom.files.source import SkippedFile
from ctacal.errors import Code, Reason
from ctacal.results_table import COLUMNS, write_results_csv, write_skipped_csv
from ctacal.spreadsheets import as_text, as_written

FORMULAS = (
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "\t=1", "\r=1", "\n=1", "\tx",
    "  =1", "\u00a0=1", "\u200b=1", "\ufeff=1", '"=1"', ' " =1', "＝1+1", "＋1", "－1+1", "＠SUM(A1)", "+49 89 123",
    "-head first-", "- 5 mm", "-5 mm",
)  # fmt: skip
HARMLESS = (
    "",
    "CTAC 5.0",
    "-5",
    "-0.25",
    "-1e3",
    "-",
    "+",
    "=",
    "5 - 3",
    "a=b",
    "'tis",
    "−2",
    "-0.3 (−1 to 2)",
    "1-100",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text_and_is_read_back(text: str) -> None:
    assert as_text(text) == f"'{text}"
    assert as_written(as_text(text)) == text
    assert as_text(as_text(text)) == as_text(text), "once is enough"


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_and_other_text_stay(text: str) -> None:
    assert as_text(text) == text == as_written(text)


@pytest.mark.parametrize("text", ["CTAC;=1+1", "CTAC; @SUM(A1)", "CTAC\n=1", "CTAC\t+1", "CTAC;-1+cmd|'x'!A0"])
def test_a_formula_behind_another_separator(text: str) -> None:
    """A spreadsheet whose separator is the semicolon cuts the text there."""
    cut = as_text(text).replace("\n", ";").replace("\t", ";").split(";")
    assert len(cut) == 2
    assert cut[1].startswith("'")


def test_every_text_of_the_tables_is_safe(tmp_path: Path) -> None:
    row: dict[str, Any] = {name: f"=HYPERLINK({name})" for name in COLUMNS}
    write_results_csv(tmp_path / "results.csv", [row | {"agatston": 432.33, "kernel": "-5", "volume_mm3": -5.0}])
    write_skipped_csv(tmp_path / "skipped.csv", [SkippedFile("=x.dcm", Reason(Code.FILE_UNREADABLE, "@broken"))])
    cells = [cell for file in ("results.csv", "skipped.csv") for row in read(tmp_path / file) for cell in row.values()]
    assert {"432.33", "-5"} < set(cells)
    assert not [cell for cell in cells if cell[0] in "=+-@" and cell != "-5"]


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))

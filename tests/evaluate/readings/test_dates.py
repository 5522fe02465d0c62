"""Dates: read where they are declared, refused where numbers belong, never guessed."""

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.readings import Column, read_readings
from ctacal.evaluate.readings.dates import Order, days

DAY = (datetime.date(2020, 1, 31) - datetime.date(1970, 1, 1)).days


def day(cell: Any, *others: Any, order: Order = "") -> float:
    cells = pd.Series([cell, *others], dtype=object)
    return float(days(cells, "scan", "t.csv", order)[0])


@pytest.mark.parametrize(
    "cell",
    [
        "2020-01-31", "2020/01/31", "20200131", "20200131.0", "2020-01-31 10:30", "2020-01-31T10:30:00Z", "31.01.2020",
        "31.1.2020", "31/01/2020", "31-01-2020", "01/31/2020", "31JAN2020", "31jan2020", "31-Jan-2020",
        "31 January 2020", datetime.date(2020, 1, 31), datetime.datetime(2020, 1, 31, 23, 59), 20200131, 20200131.0,
    ],
)  # fmt: skip
def test_the_same_day_in_many_forms(cell: object) -> None:
    assert day(cell) == DAY


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("03/04/2020", "no date of the column shows which is the day: say --dates DMY or --dates MDY"),
        ("03-04-2020", "which is the day"),
        ("31.01.20", "a date whose year has two digits"),
        ("1/31/20", "a date whose year has two digits"),
        ("31.13.2020", "not a day of the calendar"),
        ("2020-02-30", "not a day of the calendar"),
        ("31 März 2020", "not a date"),
        ("soon", "not a date; expected YYYY-MM-DD"),
        (43861, "not a date (the number of a day: 2020-01-31 in Excel?)"),
        (43861.5, "not a date (the number of a day: 2020-01-31 in Excel?)"),
        ("43861", "not a date"),
        (datetime.time(10, 30), "not a date"),
    ],
)
def test_other_cells_are_refused_with_their_row(cell: object, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        day(cell)
    assert why in str(refused.value)
    assert "t.csv: row 2: scan is" in str(refused.value)


def test_a_column_shows_the_order_or_it_is_said() -> None:
    assert day("03/04/2020", "13/04/2020") == day("2020-04-03")
    assert day("03/04/2020", "04/13/2020") == day("2020-03-04")
    assert day("03/04/2020", order="MDY") == day("2020-03-04")
    with pytest.raises(UsageError, match=r"row 3: .*not a day of the calendar"):
        day("03/04/2020", "13/04/2020", order="MDY")
    with pytest.raises(UsageError, match="which is the day"):
        day("03/04/2020", "13/04/2020", "04/13/2020")


@pytest.mark.parametrize(
    "cell",
    [
        "2020-01-31", "31.01.2020", "31.1.20", "1/31/2020", "31JAN2020", "2020-01-31 10:30", "01. Mai", "Mai 65",
        "Jan-10", "1-May", "10. Okt", datetime.date(2020, 1, 31), datetime.datetime(2020, 1, 31, 8),
        datetime.time(8, 30), datetime.timedelta(days=3),
    ],
)  # fmt: skip
def test_no_date_passes_for_a_number(cell: object, tmp_path: Path) -> None:
    """Neither as text nor as a cell of a workbook, alone or among numbers, also where faulty rows may be dropped."""
    column = Column("age", unit="years", may_be_missing=True, if_dates="Compute it")
    openpyxl = pytest.importorskip("openpyxl")
    for cells in ([cell, cell], [cell, 65.4]):
        book = openpyxl.Workbook()
        for own in ("age", *cells):
            book.active.append([own])
        book.save(tmp_path / "t.xlsx")
        with pytest.raises(UsageError, match=r"column age holds dates \(.* in row 2\), expected years\. Compute it"):
            read_readings(tmp_path / "t.xlsx", [column], drop=("not-a-number", "out-of-range"))


def test_dates_of_parquet_and_dates_without_marks_are_no_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"typed": pd.Series([datetime.datetime(2020, 1, 31), pd.NaT]), "bare": [20200131, 20201231]})
    frame.to_parquet(tmp_path / "t.parquet")
    for name in ("typed", "bare"):
        with pytest.raises(UsageError, match=f"column {name} holds dates"):
            read_readings(tmp_path / "t.parquet", [Column(name, least=None, may_be_missing=True)])

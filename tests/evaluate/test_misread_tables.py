"""Tables that were once misread without a word: now refused with the true reason, told, or read rightly."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, Raters, read_raters
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.read import read_patients
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

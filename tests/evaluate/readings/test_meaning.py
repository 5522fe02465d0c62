"""What a column can be: units, codes for values not known, categories that pass for scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ctacal.arrays import Floats
from ctacal.errors import UsageError
from ctacal.evaluate.readings import Column, TableForm, read_readings
from ctacal.evaluate.readings.plausible import Meaning, codes_for_unknown, problem_of, unit_in

RNG = np.random.default_rng(0)
AGES = RNG.normal(65, 10, 300).round(1)
SCORES = np.where(RNG.random(300) < 0.4, 0.0, np.exp(RNG.normal(4.6, 1.7, 300))).round(1)
FLAGS = RNG.integers(0, 2, 300).astype(float)
YEARS = RNG.uniform(0.1, 5, 300)


def with_codes(values: Floats, **codes: int) -> Floats:
    """The values with so many cells replaced by each code (``c999=3``)."""
    found, place = values.copy(), 0
    for name, times in codes.items():
        found[place : place + times] = float(name[1:].replace("m", "-"))
        place += times
    return found


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        (with_codes(AGES, c999=5), [999]),
        (with_codes(AGES, c999=1), [999]),
        (with_codes(AGES, cm9=1), [-9]),
        (with_codes(AGES, cm1=1, c999=2), [999, -1]),
        (with_codes(AGES, cm99=2, cm999=2), [-999, -99]),
        (with_codes(AGES, c9999=1), [9999]),
        (with_codes(AGES, c888=2, c777=2), [888, 777]),
        (with_codes(SCORES, c99999=1), [99999]),
        (with_codes(SCORES, cm9=3), [-9]),
        (with_codes(FLAGS, c9=4), [9]),
        (with_codes(FLAGS, c8=4, c9=4), [9, 8]),
        (with_codes(FLAGS, c99=4), [99]),
        (with_codes(FLAGS, cm9=1), [-9]),
        (with_codes(FLAGS + 1, c9=3), [9]),
        (with_codes(RNG.normal(26, 4, 300).round(1), c99=9), [99]),
        (with_codes(np.where(SCORES > 990, SCORES, SCORES), c999=12), [999]),
        (AGES, []),
        (SCORES, []),
        (FLAGS, []),
        (AGES - 65, []),
        (RNG.integers(0, 100, 300).astype(float), []),
        (RNG.integers(0, 8, 300).astype(float), []),
        (np.where(RNG.random(300) < 0.3, -1.0, RNG.normal(0, 3, 300)), []),
        (np.arange(60, 100.0), []),
        (np.full(20, 999.0), []),
    ],
)
def test_codes_that_stand_for_not_known(values: Floats, codes: list[float]) -> None:
    assert codes_for_unknown(values) == codes


@pytest.mark.parametrize(
    ("values", "meaning", "unit", "why"),
    [
        (AGES * 12, "age", "", "months, days, or years of birth?"),
        (AGES * 365, "age", "", "expected an age in years"),
        (2020 - AGES, "age", "", "years of birth?"),
        (AGES / 10, "age", "", "expected an age of adults in years"),
        (YEARS * 365, "follow-up", "years", "median of"),
        (YEARS * 12, "follow-up", "years", "in another unit?"),
        (YEARS * 365, "follow-up", "months", "in another unit?"),
        (YEARS * 365 * 24, "follow-up", "days", "median of"),
        (YEARS * 12, "follow-up", "days", "at most 0.16 years"),
        (YEARS, "follow-up", "days", "at most 0.01"),
        (YEARS, "follow-up", "weeks", "in another unit?"),
        (RNG.uniform(43000, 45000, 99), "follow-up", "days", "are these dates, of which the lowest is 2017-"),
        (RNG.uniform(0.2, 0.8, 99), "ejection fraction", "", "fractions of 1"),
        (FLAGS, "percent", "", "or 0 and 1?"),
        (RNG.integers(0, 4, 99).astype(float), "score", "", "categories, not Agatston scores"),
        (RNG.integers(1, 5, 99).astype(float), "score", "", "categories, not Agatston scores"),
        (FLAGS, "score", "", "categories"),
        (RNG.random(99), "score", "", "probabilities"),
    ],
)
def test_impossible_columns_are_refused_with_their_range(values: Floats, meaning: Meaning, unit: str, why: str) -> None:
    problem = problem_of(values, meaning, unit)
    assert why in problem
    assert problem.startswith("holds ")
    assert " to " in problem


@pytest.mark.parametrize(
    ("values", "meaning", "unit"),
    [
        (AGES, "age", ""), (YEARS, "follow-up", "years"), (YEARS * 12, "follow-up", "months"),
        (YEARS * 365, "follow-up", "days"), (YEARS * 52, "follow-up", "weeks"), (SCORES, "score", ""),
        (np.zeros(50), "score", ""), (np.array([0.0, 5.0]), "score", ""),
        (RNG.uniform(20, 80, 99), "ejection fraction", ""),
        (RNG.uniform(0, 30, 99), "percent", ""), (np.array([np.nan]), "age", ""), (np.zeros(9), "percent", ""),
    ],
)  # fmt: skip
def test_possible_columns_are_not(values: Floats, meaning: Meaning, unit: str) -> None:
    assert problem_of(values, meaning, unit) == ""


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("follow_up_days", "days"), ("FU_Tage", "days"), ("fu (months)", "months"), ("suivi_mois", "months"),
        ("years.fu", "years"), ("zeit_jahre", "years"), ("weeks", "weeks"), ("time", ""), ("holidays", ""),
        ("days_or_months", ""),
    ],
)  # fmt: skip
def test_units_in_names(name: str, unit: str) -> None:
    assert unit_in(name) == unit


def read(
    folder: Path, cells: Sequence[object], column: Column, form: TableForm, drop: Sequence[str] = ()
) -> list[float]:
    (folder / "t.csv").write_text("\n".join([column.name, *map(str, cells)]) + "\n")
    return list(read_readings(folder / "t.csv", [column], form=form, drop=drop).table[column.name])


AGE = Column("age", most=120.0, unit="years", may_be_missing=True, meaning="age")
CELLS = [*AGES[:30], 999, -9, 999]


def test_codes_are_refused_unless_they_are_declared(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, CELLS, AGE, TableForm())
    message = str(refused.value)
    assert "row 32: age is 999, expected 0 or more and at most 120 years" in message
    assert "Column age holds -9 to 999" in message
    assert "--missing 'age=-9' --missing 'age=999'" in message
    assert "--drop" not in message
    found = read(tmp_path, CELLS, AGE, TableForm(missing_in={"age": ("999", "-9")}))
    assert np.isnan(found[-3:]).all() and not np.isnan(found[:-3]).any()


@pytest.mark.parametrize(
    ("written", "said"), [("999.0", "999"), ("999", "999.0"), ("-9,0", "-9"), ("NA", "NA"), (".", ".")]
)
def test_a_code_is_known_however_it_is_written(written: str, said: str, tmp_path: Path) -> None:
    text = f"age;x\n65;1\n{written};2\n"
    (tmp_path / "t.csv").write_text(text)
    found = read_readings(tmp_path / "t.csv", [AGE], form=TableForm(missing_in={"age": (said,)})).table["age"]
    np.testing.assert_array_equal(found, [65, np.nan])


def test_a_code_is_declared_for_its_column_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("age,score\n60,999\n999,100\n70,5\n")
    form = TableForm(missing_in={"age": ("999",)})
    found = read_readings(tmp_path / "t.csv", [AGE, Column("score", meaning="score")], form=form).table
    assert found["score"].tolist() == [999, 100, 5]
    with pytest.raises(ValueError, match="missing 999: it may be a value elsewhere; name its column, such as age=999"):
        TableForm(missing=("999",))
    with pytest.raises(UsageError, match="has no column agee"):
        read(tmp_path, [60], AGE, TableForm(missing_in={"agee": ("999",)}))


def test_a_range_that_is_said_takes_the_place_of_what_is_plausible(tmp_path: Path) -> None:
    score = Column("score", most=50_000.0, meaning="score")
    with pytest.raises(UsageError, match="If it is right, say so with --range score=LOW:HIGH"):
        read(tmp_path, [0, 1, 3, 2], score, TableForm())
    assert read(tmp_path, [0, 1, 3, 2], score, TableForm(range={"score": (0, 4)})) == [0, 1, 3, 2]
    with pytest.raises(UsageError, match="row 4: score is 9, expected 0 or more and at most 4"):
        read(tmp_path, [0, 1, 9, 2], score, TableForm(range={"score": (0, 4)}))

"""Columns become categories, covariates and subgroups; what is wrong is named."""

from pathlib import Path

import numpy as np
import pytest

from ctacal.errors import UsageError
from tests.evaluate.outcomes.tables import FULL, config, patients, table


def test_scores_become_categories_and_text_becomes_levels(tmp_path: Path) -> None:
    frame = table(4, model=[0, 0.5, 400, 400.1], sex=["M", "F", None, "F"])
    found = patients(tmp_path, frame)
    assert found.model.category.tolist() == [0, 1, 2, 3]
    sex = found.covariate("sex")
    assert (sex.levels, sex.missing, sex.values.tolist()[:2]) == (("F", "M"), 1, [1.0, 0.0])
    assert found.complete.tolist() == [True, True, False, True]
    names, x = found.adjusted(("sex", "defect"))
    assert names == ("Sex: M", "Defect")
    np.testing.assert_array_equal(x[:, 1], frame["defect"])


@pytest.mark.parametrize(
    "cells", [["0", "1-100", "101-400", ">400"], [0, 1, 2, 3], ["0", "1 - 100", "101-400", "> 400"]]
)
def test_categories_may_be_given(tmp_path: Path, cells: list[object]) -> None:
    chosen = config(model={"name": "Model", "category": "kind"})
    found = patients(tmp_path, table(4, kind=cells), chosen)
    assert found.model.category.tolist() == [0, 1, 2, 3]
    assert found.model.score is None


def test_an_unknown_category_is_named(tmp_path: Path) -> None:
    chosen = config(model={"name": "Model", "category": "kind"})
    with pytest.raises(UsageError, match="row 3: kind is 'severe', expected 0, 1-100, 101-400, >400, or 0 to 3"):
        patients(tmp_path, table(4, kind=["0", "severe", "0", "0"]), chosen)


def test_subgroups_by_cut_and_by_value(tmp_path: Path) -> None:
    found = patients(tmp_path, table(3, age=[64.9, 65, np.nan], sex=["M", "F", "F"], defect=[4, 5, 6]))
    assert [(subgroup.name, subgroup.labels) for subgroup in found.subgroups] == [
        ("Perfusion", ("Normal", "Abnormal")), ("Sex", ("F", "M")), ("Age", ("< 65", "≥ 65")),
    ]  # fmt: skip
    assert [subgroup.group.tolist() for subgroup in found.subgroups] == [[0, 1, 1], [1, 0, 0], [0, 1, -1]]


def test_too_many_groups_are_refused(tmp_path: Path) -> None:
    chosen = config(subgroup=[{"name": "Defect", "column": "defect"}])
    with pytest.raises(UsageError, match="subgroup Defect: column defect has 7 values, expected at most 6; give a"):
        patients(tmp_path, table(7, defect=range(7)), chosen)


def test_a_missing_column_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no column weight; it has: id, days, mace") as caught:
        patients(tmp_path, table(4), config(covariates=["weight"], categorical=[]))
    assert "\n" not in str(caught.value)


def test_text_in_a_covariate_tells_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'sex holds words: .*say categorical = \["sex"\] in the TOML'):
        patients(tmp_path, table(4), config(categorical=[], sex=""))


def test_faulty_rows_are_refused_or_dropped_and_counted(tmp_path: Path) -> None:
    frame = table(4, model=[0, -3, 20, 500])
    with pytest.raises(UsageError, match="row 3: model is -3, expected 0 or more"):
        patients(tmp_path, frame)
    found = patients(tmp_path, frame, drop=("out-of-range",))
    assert found.data.n == 3
    assert found.notes[0] == "3 of 4 rows were used; 1 dropped on request: 1 out of range."


def test_hazard_ratios_are_told_per_so_much(tmp_path: Path) -> None:
    found = patients(tmp_path, table(4, age=[50, 60, 70, 80]), config({**FULL, "per": {"age": 10.0}}))
    assert found.adjusted(("age",))[1][:, 0].tolist() == [5, 6, 7, 8]

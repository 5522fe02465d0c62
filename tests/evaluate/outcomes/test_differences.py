"""Baseline tests and standardised differences against the tableone library, and by hand."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.evaluate.outcomes.differences import (
    between_pairs,
    counts_test,
    difference_of_counts,
    difference_of_numbers,
    numbers_test,
)

NAMES = {
    "One-way ANOVA": "one-way ANOVA", "Kruskal-Wallis": "Kruskal-Wallis", "Welch’s T-test": "Welch's t test",
    "Chi-squared": "chi-squared", "Fisher's exact": "Fisher's exact test",
    "Chi-squared (warning: expected count < 5)": "chi-squared",
}  # fmt: skip


def frame(n: int, groups: int, rare: float) -> pd.DataFrame:
    rng = np.random.default_rng(n)
    group = rng.integers(0, groups, n)
    number = rng.normal(60 + 3 * group, 10)
    number[::9] = np.nan
    return pd.DataFrame({
        "group": group, "number": number, "skewed": rng.exponential(1 + group),
        "flag": (rng.random(n) < rare * (1 + group)).astype(int), "kind": rng.integers(0, 3, n),
    })  # fmt: skip


@pytest.mark.parametrize(("n", "groups", "rare"), [(400, 4, 0.1), (150, 2, 0.3), (60, 2, 0.03), (40, 4, 0.05)])
def test_as_tableone(n: int, groups: int, rare: float) -> None:
    tableone = pytest.importorskip("tableone")  # make oldest has none

    data = frame(n, groups, rare)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected: Any = tableone.TableOne(
            data, ["number", "skewed", "flag", "kind"], ["flag", "kind"], ["number", "skewed"], "group",
            nonnormal=["skewed"], pval=True, smd=True, htest_name=True,
        )  # fmt: skip
    split = {str(place): data[data["group"] == place] for place in range(groups)}
    for column in ("number", "skewed", "flag", "kind"):
        levels = sorted(data[column].unique()) if column in ("flag", "kind") else []
        values = {name: part[column].to_numpy(float) for name, part in split.items()}
        counts = {name: np.array([(cells == level).sum() for level in levels]) for name, cells in values.items()}
        test = (
            counts_test(np.array(list(counts.values())))
            if levels
            else numbers_test(list(values.values()), skewed=column == "skewed")
        )
        row = expected.htest_table.loc[column]
        assert test.p == pytest.approx(row["P-Value"], rel=1e-9)
        assert test.method == NAMES[row["Test"]]
        assert bool(test.reason) == ("warning" in row["Test"])
        differences = between_pairs(counts if levels else values, counts=bool(levels))
        for pair, value in differences.items():
            first, second = pair.split(", ")
            names = [
                name for name in (f"SMD ({first},{second})", f"SMD ({second},{first})") if name in expected.smd_table
            ]
            assert abs(value) == pytest.approx(abs(float(expected.smd_table.loc[column, names[0]])), rel=1e-9)


def test_by_hand() -> None:
    assert difference_of_numbers(np.array([1.0, 3.0]), np.array([3.0, 5.0])) == pytest.approx(2 / np.sqrt(2))
    assert difference_of_counts(np.array([50, 50]), np.array([80, 20])) == pytest.approx(
        0.3 / np.sqrt((0.25 + 0.16) / 2)
    )


def test_what_is_not_defined_is_told() -> None:
    same, empty = np.full(5, 2.0), np.full(5, np.nan)
    assert numbers_test([same, same]).reason == "the same in all patients"
    assert numbers_test([same, empty]).reason == "a group has no patient with a value"
    assert numbers_test([same, same + 1]).reason == "no value differs within the groups"
    assert counts_test(np.array([[5, 0], [9, 0]])).reason == "the same in all patients"
    assert counts_test(np.array([[5, 1], [0, 0]])).reason == "a group has no patient with a value"
    assert difference_of_numbers(same, same + 1) is None
    assert difference_of_counts(np.array([5, 0]), np.array([9, 0])) is None
    assert difference_of_counts(np.array([5, 0]), np.array([0, 0])) is None

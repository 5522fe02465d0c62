"""Columns that a spreadsheet spoiled: copied, sorted without the others, cut off at a highest value or row."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from ctacal.arrays import Floats
from ctacal.evaluate.readings.plausible import shown

ROWS = 20
"""Rows that two columns must share to be compared (own choice)."""

UNRELATED = 0.3
"""Rank correlation of two scores of the same scans below which one is in another order (own choice)."""

LEAST_CEILING, MANY_AT_CEILING, TIMES_ANOTHER = 100.0, 5, 5
"""Lowest highest score that may be a ceiling, rows that must have it, and how many times those of any other score above
0 (own choice)."""

MOST_ROWS = {65_535: "an old spreadsheet (.xls)", 1_048_575: "a spreadsheet"}
"""Rows below the header that a sheet can hold."""


def pair_doubts(name: str, scores: Floats, other: str, others: Floats) -> Iterator[str]:
    """Yield what to check of two raters' scores of the same scans: a copy, or one that was sorted alone."""
    found = (
        (name, copy_doubt(scores, others)), (name, sorted_doubt(scores, others)), (other, sorted_doubt(others, scores)),
    )  # fmt: skip
    yield from (f"{whose} {doubt}" for whose, doubt in found if doubt)


def copy_doubt(scores: Floats, others: Floats) -> str:
    """Return what to check of scores that equal another's in every row; follows the name of the first.

    >>> copy_doubt(np.arange(30.0), np.arange(30.0))
    'equals the other score in all 30 rows: is it a copy?'
    """
    both = np.isfinite(scores) & np.isfinite(others)
    differ = scores[both] != others[both]
    if int((scores[both] > 0).sum()) < ROWS or differ.any():
        return ""
    return f"equals the other score in all {int(both.sum()):,} rows: is it a copy?"


def sorted_doubt(scores: Floats, others: Floats) -> str:
    """Return what to check of scores that were sorted while another's of the same scans were not; follows its name.

    >>> other = np.random.default_rng(0).permutation(40.0 * np.arange(40))
    >>> sorted_doubt(np.arange(40.0), other), sorted_doubt(other, other)
    ('rises from row to row, and the other score does not: was its column sorted alone?', '')
    """
    both = np.isfinite(scores) & np.isfinite(others)
    steps = np.diff(scores[both])
    if int((scores[both] > 0).sum()) < ROWS or not steps.any() or not ((steps >= 0).all() or (steps <= 0).all()):
        return ""
    if not np.diff(others[both]).any() or float(stats.spearmanr(scores[both], others[both]).statistic) > UNRELATED:
        return ""
    way = "rises" if steps.max() > 0 else "falls"
    return f"{way} from row to row, and the other score does not: was its column sorted alone?"


def ceiling_doubt(scores: Floats) -> str:
    """Return what to check of scores of which the highest is frequent; follows the name of the column.

    >>> ceiling_doubt(np.r_[np.arange(40.0) * 9, np.full(8, 400.0)])
    'has its highest score, 400, in 8 rows: were higher ones cut off there?'
    """
    values, counts = np.unique(scores[np.isfinite(scores) & (scores > 0)], return_counts=True)
    if len(values) < ROWS or values[-1] < LEAST_CEILING:
        return ""
    top, usual = int(counts[-1]), int(counts[:-1].max())
    if top < MANY_AT_CEILING or top < TIMES_ANOTHER * usual:
        return ""
    return f"has its highest score, {shown(float(values[-1]))}, in {top:,} rows: were higher ones cut off there?"


def rows_doubt(rows: int) -> str:
    """Return what to check of a table with as many rows as a sheet can hold, "" of another.

    >>> rows_doubt(65_535), rows_doubt(2_271)
    ('The table has 65,535 rows, as many as an old spreadsheet (.xls) can hold: was it cut off?', '')
    """
    if rows not in MOST_ROWS:
        return ""
    return f"The table has {rows:,} rows, as many as {MOST_ROWS[rows]} can hold: was it cut off?"

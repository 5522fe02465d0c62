"""What values of a column can be, by its meaning: impossible ranges, other units, and codes for values not known."""

import re
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.readings.dates import serial_days

Meaning = Literal["", "score", "age", "follow-up", "ejection fraction", "percent"]
"""What a column of numbers holds, as far as it decides which values are plausible."""

MOST_AGATSTON = 50_000.0
"""Above every score that was published (own choice)."""

ADULT_YEARS, MOST_AGE_YEARS = 18.0, 120.0
MOST_FOLLOW_UP_YEARS = 30.0
"""Scanners that join CT with SPECT or PET exist since about 2000."""

LEAST_FOLLOW_UP_YEARS = 0.25
"""A longest follow-up below this is rather one in another unit (own choice)."""

FEW_OUTSIDE = 0.05
"""Share of follow-up above the most from which on its unit is wrong rather than single cells (own choice)."""

MOST_LOGARITHM = 11.0
"""Above the natural logarithm of every Agatston score."""

ROWS_OF_SCORES = 20
"""Rows from which on scores of a cohort are expected to reach beyond 11, and to be 0 in some (own choice)."""

YOUNG_YEARS = 15.0
"""A median age below this is rather one in another unit (own choice)."""

DAYS_PER = {"days": 1.0, "weeks": 7.0, "months": 365.25 / 12, "years": 365.25}
"""Days in each unit of time; a year has 365.25 days."""

_UNIT_WORDS = {
    "days": ("day", "days", "tage", "jours", "dias", "giorni", "dagen"),
    "weeks": ("week", "weeks", "wochen", "semaines", "semanas", "settimane", "weken"),
    "months": ("month", "months", "mo", "monate", "mois", "meses", "mesi", "maanden"),
    "years": ("year", "years", "yr", "yrs", "jahre", "ans", "annees", "anos", "anni", "jaren"),
}

_AGE = re.compile(
    r"((patient|subject|participant)s?[-_ .]*)?"
    r"(age|alter|edad|leeftijd|eta|età|âge)(?![a-z])(?!.*(group|cat|class|decade|gruppe|band))",
    re.IGNORECASE,
)
_FRACTION_EJECTED = re.compile(r"(lv)?_?ef(?![a-z])|.*ejection.?fraction", re.IGNORECASE)


def meaning_of(name: str) -> Meaning:
    """Return what the name of a covariate says of its values.

    >>> [meaning_of(name) for name in ("AgeAtScan", "patient_age", "age_group", "age_months", "LVEF")]
    ['age', 'age', '', '', 'ejection fraction']
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    if _AGE.match(name) and unit_in(name) in ("", "years"):
        return "age"
    return "ejection fraction" if _FRACTION_EJECTED.match(name) else ""


_USUAL: tuple[tuple[re.Pattern[str], float, float, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), least, most, unit)
    for pattern, least, most, unit in (
        (r"bmi|body.?mass.?index", 8, 120, "kg/m²"),
        (r"body.?weight|weight.?kg", 20, 400, "kg"),
        (r"(body.?)?height_?cm", 100, 250, "cm"),
        (r"sbp|systolic[-_ .]*(bp|(blood[-_ .]*)?pressure)?", 40, 320, "mmHg"),
        (r"dbp|diastolic[-_ .]*(bp|(blood[-_ .]*)?pressure)?", 15, 220, "mmHg"),
        (r"heart.?rate", 15, 320, "per minute"),
    )
)
"""Names of measurements, and the range that no adult leaves (own choice)."""


def usual_range(name: str) -> tuple[float, float, str] | None:
    """Return lowest and highest possible value, and unit, of a measurement with this name.

    >>> usual_range("BMI"), usual_range("Systolic BP"), usual_range("troponin")
    ((8, 120, 'kg/m²'), (40, 320, 'mmHg'), None)
    """
    for pattern, least, most, unit in _USUAL:
        if pattern.fullmatch(name):
            return least, most, unit
    return None


def unit_in(name: str) -> str:
    """Return the unit of time that the name of a column says, "" if none or several.

    >>> unit_in("follow_up_days"), unit_in("FU (years)"), unit_in("time"), unit_in("monday")
    ('days', 'years', '', '')
    """
    words = set(re.split(r"[^a-z]+", name.lower()))
    found = [unit for unit, known in _UNIT_WORDS.items() if words & set(known)]
    return found[0] if len(found) == 1 else ""


def shown(value: float) -> str:
    """Return a value as a message shows it.

    >>> shown(9999999), shown(0.5), shown(65.25)
    ('9,999,999', '0.5', '65.25')
    """
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:,.6g}"


def range_found(values: Floats) -> str:
    """Return the range of values in words."""
    known = values[np.isfinite(values)]
    return f"{shown(float(known.min()))} to {shown(float(known.max()))} (median {shown(float(np.median(known)))})"


# --- whole columns ----------------------------------------------------------------------------------------------------


def problem_of(values: Floats, meaning: Meaning, unit: str = "", name: str = "") -> str:
    """Return what speaks against a whole column having this meaning, "" if nothing does.

    ``unit`` and ``name`` are those of a follow-up. The text follows the name of the column.
    """
    known = values[np.isfinite(values)]
    judge = _JUDGES.get(meaning)
    if not len(known) or judge is None:
        return ""
    problem = judge(known, unit)
    if meaning == "follow-up" and (said := unit_in(name)) not in ("", unit):
        problem = f"and its name says {said}, but the unit is said to be {unit}"
    return f"holds {range_found(values)}, {problem}" if problem else ""


def _score(known: Floats, _: str) -> str:
    most = float(known.max())
    if 0 < most <= 4 and (known == np.round(known)).all():
        return "whole numbers of at most 4: categories, not Agatston scores"
    if 0 < most <= 1:
        return "expected Agatston scores: are these probabilities?"
    fractions = len(known) >= ROWS_OF_SCORES and (known != np.round(known)).any()
    return "expected Agatston scores: are these logarithms of them?" if 0 < most <= MOST_LOGARITHM and fractions else ""


def _age(known: Floats, _: str) -> str:
    middle = float(np.median(known))
    if middle > MOST_AGE_YEARS:
        return "expected an age in years: months, days, or years of birth?"
    return "expected an age of adults in years" if middle < YOUNG_YEARS else ""


def _follow_up(known: Floats, unit: str) -> str:
    years = known * DAYS_PER[unit] / DAYS_PER["years"]
    if float(np.median(known)) < 0:
        return "expected an end of follow-up after its start: are the two dates exchanged?"
    are_long = unit == "days" and float(years.min()) > MOST_FOLLOW_UP_YEARS
    if are_long and (found := serial_days(float(known.min()))):
        listed = " or ".join(f"{day.isoformat()} in {program}" for program, day in found.items())
        return f"expected a time: are these dates, of which the lowest is {listed}?"
    if float((years > MOST_FOLLOW_UP_YEARS).mean()) > FEW_OUTSIDE:
        return f"which in {unit} is a median of {shown(round(float(np.median(years)), 1))} years: in another unit?"
    if float(years.max()) < LEAST_FOLLOW_UP_YEARS:
        return f"which in {unit} is at most {float(years.max()):.2g} years: in another unit?"
    return ""


def _percent(known: Floats, _: str) -> str:
    return "expected percent: are these fractions of 1, or 0 and 1?" if 0 < float(known.max()) <= 1 else ""


_JUDGES: Mapping[str, Callable[[Floats, str], str]] = {
    "score": _score,
    "age": _age,
    "follow-up": _follow_up,
    "ejection fraction": _percent,
    "percent": _percent,
}


def score_doubts(values: Floats) -> list[str]:
    """Return what a reader must check of plausible scores; each sentence follows the name of the column.

    >>> score_doubts(np.arange(1.0, 101.0))
    ['has no score of 0: were zeros left out, or 1 added?', 'has no score above 100: are these percentiles?']
    """
    known = values[np.isfinite(values)]
    if len(known) < ROWS_OF_SCORES:
        return []
    found = [] if (known == 0).any() else ["has no score of 0: were zeros left out, or 1 added?"]
    if 50 < float(known.max()) <= 100:
        found.append("has no score above 100: are these percentiles?")
    second, most = np.sort(known)[-2:].tolist()
    if most > FAR_ABOVE * second and most > HIGH_SCORE:
        found.append(f"has a score of {shown(most)}, and no other above {shown(second)}: is that right?")
    return found


FAR_ABOVE, HIGH_SCORE = 5.0, 5_000.0
"""A highest score this many times the second, and above this, is rather a slip (own choice)."""

OTHER_SCALE = 5.0
"""Median ratio of the scores of one scan beyond which one of two raters is in another scale (own choice)."""


def scale_doubt(scores: Floats, others: Floats) -> str:
    """Return what a reader must check of two raters' scores of the same scans; follows the first one's name.

    >>> scale_doubt(np.arange(1.0, 41), np.arange(1.0, 41) * 10)
    'has a median of 0.1 times the other score where both are above 0: in another unit or scale?'
    """
    both = np.isfinite(scores) & np.isfinite(others) & (scores > 0) & (others > 0)
    if int(both.sum()) < ROWS:
        return ""
    ratio = float(np.median(scores[both] / others[both]))
    if 1 / OTHER_SCALE <= ratio <= OTHER_SCALE:
        return ""
    return f"has a median of {ratio:.2g} times the other score where both are above 0: in another unit or scale?"


def flag_doubt(values: Floats) -> str:
    """Return what to check of a column of 0 and 1 with single other values; follows the name of the column.

    >>> flag_doubt(np.r_[np.zeros(20), np.ones(19), 11.0])
    'holds 0 and 1, and 11 in 1 row: is that right?'
    """
    known = values[np.isfinite(values)]
    others = known[~np.isin(known, (0.0, 1.0))]
    if not len(others) or len(others) > FEW_OUTSIDE * len(known) or not np.isin((0.0, 1.0), known).all():
        return ""
    listed = ", ".join(shown(float(value)) for value in np.unique(others)[:3])
    return f"holds 0 and 1, and {listed} in {len(others)} {'row' if len(others) == 1 else 'rows'}: is that right?"


_NAMES_OF_CODES = re.compile(
    r".*(race|ethni|smok|tobacco|cent(re|er)|site|hospital|country|region|scanner|vendor|tracer|stressor|marital|"
    r"indication|diagnosis|symptom|insurance)(?!.*(year|score|index|count|number|dose|day))",
    re.IGNORECASE,
)
MOST_CODES = 20
"""Highest code that a column of codes is expected to hold (own choice)."""


def codes_doubt(name: str, values: Floats) -> str:
    """Return what to check of a column of numbers that may be codes of categories; follows the name of the column.

    >>> codes_doubt("race", np.array([1.0, 2, 3, 5] * 9))[:44], codes_doubt("vessels", np.array([1.0, 2, 3, 0]))
    ('holds the whole numbers 1 to 5 as an amount,', '')
    """
    known = np.unique(values[np.isfinite(values)])
    whole = len(known) > 2 and bool((known == np.round(known)).all())
    if not whole or known[0] < 0 or known[-1] > MOST_CODES or not _NAMES_OF_CODES.match(name):
        return ""
    return (
        f"holds the whole numbers {shown(float(known[0]))} to {shown(float(known[-1]))} as an amount, with one hazard "
        f'ratio for each step: are these codes? Then say categorical = ["{name}"]'
    )


ABOVE = 5
"""Scores above 0 from which on their sum is no score by chance (own choice)."""


def sum_of_those_above(scores: Floats) -> tuple[int, str] | None:
    """Return place and kind of a row of (n, columns) scores that is the sum, or the mean, of all rows above it.

    The mean only of a last row with two columns or more: single scores near the mean are frequent.

    >>> sum_of_those_above(np.array([[3.0], [4], [5], [6], [7], [25]])), sum_of_those_above(np.array([[3.0], [4]]))
    ((5, 'sum'), None)
    """
    known = np.nan_to_num(scores)
    before = np.cumsum(known, axis=0) - known
    positive = (known > 0).astype(np.float64)
    enough = np.all((np.cumsum(positive, axis=0) - positive >= ABOVE) & np.isfinite(scores), axis=1)
    sums = enough & np.all(np.abs(known - before) <= 1e-9 * before + 1e-6, axis=1)
    if sums.any():
        return int(sums.argmax()), "sum"
    if scores.shape[1] > 1 and enough[-1] and float(np.ptp(known, axis=0).min()) > 0:
        from_mean = np.abs(known[-1] - before[-1] / (len(known) - 1))
        return (len(known) - 1, "mean") if float(from_mean.max()) <= 0.05 else None
    return None


# --- codes for values that are not known ------------------------------------------------------------------------------

ROWS = 10
"""Rows below which no number above 0 is taken for a code (own choice)."""

FAR_FROM_ZERO = 0.4
"""Share of their median above which all values are far from 0 (own choice)."""

FEW = 5
"""Times that a code must occur among values like it, to be taken for one (own choice)."""


def codes_for_unknown(values: Floats) -> list[float]:
    """Return the numbers that rather stand for "not known", such as 999, -9 or 99.

    A negative code among values of 0 and more; a code farther from all others than these are from each other; a code
    that is far more frequent than the values around it.
    """
    numbers, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    coded = np.array([is_code(float(number)) for number in numbers], bool)
    others = numbers[~coded]
    if not len(others):
        return []
    found: list[float] = []
    for code, times in zip(numbers[coded].tolist(), counts[coded].tolist(), strict=True):
        if code > 0 and counts.sum() < ROWS:
            continue
        if _stands_apart(code, times, others) or _is_frequent(code, times, numbers, counts):
            found.append(code)
    return sorted(found, key=abs, reverse=True)


def zero_for_unknown(values: Floats) -> bool:
    """Return whether a measurement of 0 rather stands for "not known": all others are far from 0.

    >>> zero_for_unknown(np.r_[0, np.arange(60.0, 90)]), zero_for_unknown(np.arange(30.0))
    (True, False)
    """
    others = np.unique(values[np.isfinite(values) & (values != 0)])
    if len(others) < ROWS or not (values == 0).any():
        return False
    return bool(others[0] > FAR_FROM_ZERO * np.median(others))


_NINES = re.compile(r"9+\.99|99+\.9+")
_CODES_OF_PROGRAMS = frozenset((-32768.0, 32767.0, -2147483648.0, 2147483647.0))
HUGE = 1e30
"""Numbers from here on are those that programs write where nothing is known."""


def is_code(number: float) -> bool:
    """Return whether a number is of those that stand for "not known": 99, 999, 88, -9, -1, 9.99, -32768, 1e30 ..."""
    if number in _CODES_OF_PROGRAMS or abs(number) >= HUGE:
        return True
    digits = f"{abs(number):.0f}"
    if number != round(number):
        return _NINES.fullmatch(repr(abs(number))) is not None
    return number == round(number) and len(set(digits)) == 1 and (digits[0] in "789" or number == -1)


def _stands_apart(code: float, times: int, others: Floats) -> bool:
    low, high = float(others[0]), float(others[-1])
    if code < 0:
        return low >= 0 or (low - code > high - low)
    if abs(code) >= HUGE or code in _CODES_OF_PROGRAMS:
        return code > high
    if code < 10 and code == round(code):
        return bool(np.isin(others, (0, 1, 2)).all())
    return code - high > high - low > 0 and (times > 1 or code >= 100)


def _is_frequent(
    code: float, times: int, numbers: Floats, counts: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> bool:
    around = (numbers > 0.9 * code) & (numbers < 1.1 * code) & (numbers != code)
    return code >= 99 and times >= FEW and times > 3 * int(counts[around].max(initial=0))

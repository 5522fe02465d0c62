"""Published limits and criteria of change: all of them from gated scans, and so shown for orientation only.

Ungated low-dose scans differ by more: 61 to 71 % between repeats (Jacobs PC et al., AJR 2010;194:1244-1249). No verdict
comes from this module.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt

from ctacal.compare.measures import Change

SEVRUKOV = "Sevrukov AB et al., AJR 2005;185:1546-1553 (electron beam, 2,217 repeats)"
MESA = "Chung H et al., AJR 2008;190:W87-W92 (MESA, 3,380 repeats; PMID 18212206)"
HOKANSON = "Hokanson JE et al., AJR 2004;182:1327-1332"
KOICA = "Lee W et al., PLoS ONE 2021;16:e0248884 (KOICA)"
BERRY = "Berry JD et al., Circulation 2009;119:382-389 (criteria as they are cited; the paper was not seen)"
PER_CENT = "electron-beam studies of progression (PMC8673314)"

SQUARE_ROOT_CHANGE = 2.5
"""Difference of square roots that counts as a change (Hokanson 2004, volume; Lee 2021, Agatston)."""


@dataclass(frozen=True, slots=True)
class PublishedLimit:
    """What a published rule, made on gated scans, says of a change."""

    source: str
    rule: str
    """In words, with its formula."""
    quantity: str
    """Named as in results.csv."""
    limit: float | None
    """In the unit of the rule; None if it cannot be applied, and ``note`` says why."""
    exceeded: bool | None
    note: str = ""


def sevrukov_agatston(before: float) -> float:
    """Return the smallest real change of an Agatston score: 4.930 sqrt(A); 11.6 from 0 (Sevrukov 2005).

    >>> round(sevrukov_agatston(100.0), 1), sevrukov_agatston(0.0)
    (49.3, 11.6)
    """
    return 4.930 * sqrt(before) if before > 0 else 11.6


def sevrukov_volume(before_mm3: float) -> float:
    """Return the smallest real change of a volume in mm3: 3.445 sqrt(V); 9.5 from 0 (Sevrukov 2005)."""
    return 3.445 * sqrt(before_mm3) if before_mm3 > 0 else 9.5


def mesa_agatston(before: float, bmi: float) -> float:
    """Return the upper 95 % limit of repeatability: 0.17 A + 4.89 sqrt(A) + 0.44 BMI - 10.84, A > 0 (Chung 2008).

    >>> round(mesa_agatston(100.0, 28.0), 2), round(mesa_agatston(400.0, 28.0), 2)
    (67.38, 167.28)
    """
    return 0.17 * before + 4.89 * sqrt(before) + 0.44 * bmi - 10.84


def mesa_volume(before_mm3: float, bmi: float) -> float:
    """Return the upper 95 % limit in mm3: 0.16 V + 4.30 sqrt(V) + 0.23 BMI - 5.00, V > 0 (Chung 2008)."""
    return 0.16 * before_mm3 + 4.30 * sqrt(before_mm3) + 0.23 * bmi - 5.00


def berry_progression(change: Change) -> bool | None:
    """Whether a score progressed by the criteria of Berry 2009: from 0, any calcium; from 0 to 100, 10 or more a year;
    from 100 on, 10 % or more a year. None if the interval is too short or not known."""
    if change.before <= 0:
        return change.after > 0
    if change.per_year is None:
        return None
    return change.per_year >= (10 if change.before < 100 else 0.1 * change.before)


def published_limits(changes: Mapping[str, Change], bmi: float | None) -> tuple[PublishedLimit, ...]:
    """Return what the published rules say of the changes of the totals, by quantity; ``bmi`` in kg/m2."""
    found: list[PublishedLimit] = []
    if agatston := changes.get("agatston"):
        found += _of_agatston(agatston, bmi)
    if volume := changes.get("volume_mm3"):
        found += _of_volume(volume, bmi)
    return tuple(found)


def _of_agatston(change: Change, bmi: float | None) -> Iterator[PublishedLimit]:
    before = change.before
    limit = sevrukov_agatston(before)
    rule = "smallest real change: 4.930 sqrt(A) in either direction; from 0, 11.6"
    yield PublishedLimit(SEVRUKOV, rule, "agatston", limit, abs(change.absolute) > limit)
    rule = "upper limit of repeatability: 0.17 A + 4.89 sqrt(A) + 0.44 BMI - 10.84"
    yield _mesa(rule, "agatston", change, mesa_agatston(before, bmi) if bmi else None)
    rule = "difference of square roots above 2.5"
    above = change.square_root > SQUARE_ROOT_CHANGE
    yield PublishedLimit(KOICA, rule, "agatston", SQUARE_ROOT_CHANGE, above)
    rule = "from 0, any calcium; from 0 to 100, 10 a year; from 100, 10 % a year"
    progressed = berry_progression(change)
    yield PublishedLimit(BERRY, rule, "agatston", _berry_limit(before), progressed, _no_year(progressed))
    percent = change.percent_per_year
    note = "" if percent is not None else "needs 180 days and a score of 10 before"
    above_15 = None if percent is None else percent >= 15
    yield PublishedLimit(PER_CENT, "15 % a year or more", "agatston", 15.0, above_15, note)


def _of_volume(change: Change, bmi: float | None) -> Iterator[PublishedLimit]:
    before = change.before
    limit = sevrukov_volume(before)
    rule = "smallest real change: 3.445 sqrt(V) mm3 in either direction; from 0, 9.5 mm3"
    yield PublishedLimit(SEVRUKOV, rule, "volume_mm3", limit, abs(change.absolute) > limit)
    rule = "upper limit of repeatability: 0.16 V + 4.30 sqrt(V) + 0.23 BMI - 5.00 mm3"
    yield _mesa(rule, "volume_mm3", change, mesa_volume(before, bmi) if bmi else None)
    rule = "difference of square roots of 2.5 or more"
    reached = change.square_root >= SQUARE_ROOT_CHANGE
    yield PublishedLimit(HOKANSON, rule, "volume_mm3", SQUARE_ROOT_CHANGE, reached)


def _mesa(rule: str, quantity: str, change: Change, limit: float | None) -> PublishedLimit:
    if change.before <= 0:
        return PublishedLimit(MESA, rule, quantity, None, None, "holds for calcium that was there before")
    if limit is None:
        return PublishedLimit(MESA, rule, quantity, None, None, "needs the body mass index (--bmi)")
    return PublishedLimit(MESA, rule, quantity, limit, change.absolute > limit)


def _berry_limit(before: float) -> float | None:
    return 0.0 if before <= 0 else 10.0 if before < 100 else 0.1 * before


def _no_year(progressed: bool | None) -> str:
    return "" if progressed is not None else "needs two dates at least 180 days apart"

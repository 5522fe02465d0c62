"""``compare_scans``: two scans of one patient -> their ``Comparison``, with a verdict in three words."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import sqrt

from ctacal.categories import CATEGORIES
from ctacal.compare.comparable import ACCEPTABLE, doubts_about
from ctacal.compare.limits import Limits, fitting, misfits
from ctacal.compare.matching import LesionMatch
from ctacal.compare.measures import LEAST_AGATSTON, Change, years_between
from ctacal.compare.published import PublishedLimit, published_limits
from ctacal.compare.reasons import ComparisonReason, Doubt
from ctacal.compare.registration import RigidTransform
from ctacal.compare.scan import QUANTITIES, Amount, ComparedScan
from ctacal.errors import UsageError


class Verdict(StrEnum):
    """What can be said of the change.

    Example:
        >>> Verdict.WITHIN, str(Verdict("not comparable"))
        (<Verdict.WITHIN: 'within'>, 'not comparable')
    """

    WITHIN = "within"
    """Two scans of an unchanged patient often differ this much."""
    BEYOND = "beyond"
    """Only about 5 of 100 unchanged patients differ this much."""
    NOT_COMPARABLE = "not comparable"
    """Nothing can be said; the reasons tell why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantityChange:
    """The change of one quantity, in total and by vessel."""

    total: Change
    per_vessel: Mapping[str, Change]
    limits: tuple[float, float] | None = None
    """Lowest and highest difference of square roots of an unchanged patient; None if not known."""

    @property
    def is_beyond(self) -> bool | None:
        """Whether the total lies outside the limits; None if there are none."""
        if self.limits is None:
            return None
        return not self.limits[0] <= self.total.square_root <= self.limits[1]

    @property
    def after_if_unchanged(self) -> tuple[float, float] | None:
        """The values that the later scan of an unchanged patient would give, about."""
        if self.limits is None:
            return None
        low, high = (max(0.0, sqrt(self.total.before) + limit) ** 2 for limit in self.limits)
        return low, high


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Comparison:
    """Two scans of one patient, the earlier first."""

    a: ComparedScan
    b: ComparedScan
    days: int | None
    """Between the scans; None if a date is not known."""
    verdict: Verdict
    reasons: tuple[ComparisonReason, ...]
    changes: Mapping[str, QuantityChange]
    """By quantity, as far as both scans have it; empty if one was refused."""
    limits: Limits | None
    """By which the verdict was given; None if there are none that hold."""
    published: tuple[PublishedLimit, ...]
    """Rules made on gated scans: for orientation."""
    matches: tuple[LesionMatch, ...] | None = None
    """None if the lesions were not matched."""
    transform: RigidTransform | None = None
    """From the patient frame of the earlier scan to that of the later one."""

    @property
    def categories_up(self) -> int | None:
        """Categories that the score rose by; negative if it fell, None if a scan has no score."""
        if self.a.category not in CATEGORIES or self.b.category not in CATEGORIES:
            return None
        return CATEGORIES.index(self.b.category) - CATEGORIES.index(self.a.category)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How scans are compared.

    Example:
        >>> Terms(bmi=24.0).limits is None
        True
        >>> Terms(accept=["other patient"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ctacal.errors.UsageError: --accept other patient: no verdict is possible with it; known are ...
    """

    limits: Limits | None = None
    """The site's own; None: the simulated ones that fit."""
    simulated: tuple[Limits, ...] = ()
    accept: Collection[Doubt] = ()
    """Doubts in spite of which a verdict is given."""
    bmi: float | None = None
    """kg/m2; MESA's limits need it."""

    def __post_init__(self) -> None:
        """Raise ``UsageError`` if a doubt cannot be accepted."""
        if wrong := [doubt for doubt in self.accept if doubt not in ACCEPTABLE]:
            raise UsageError(f"--accept {wrong[0]}: no verdict is possible with it; known are {', '.join(ACCEPTABLE)}")


def compare_scans(
    first: ComparedScan,
    second: ComparedScan,
    terms: Terms,
    *,
    matches: tuple[LesionMatch, ...] | None = None,
    transform: RigidTransform | None = None,
    notes: Sequence[ComparisonReason] = (),
) -> Comparison:
    """Compare two scans; the earlier one becomes ``a``. ``matches`` and ``transform`` lead from the earlier one.

    ``notes`` are further doubts: what the images show, or where the scores come from.

    Progression is never claimed by the published, gated limits: without limits that hold there is no verdict.

    Args:
        first: One of the two scans.
        second: The other.
        terms: The limits of repeatability, and the doubts to accept.
        matches: What became of each lesion (``match_lesions``); None if lesions were not matched.
        transform: Leads from the patient frame of the earlier scan to that of the later one.
        notes: Further doubts.

    Returns:
        The ``Comparison``: its verdict, its reasons, and the change of each quantity in its own unit and a year.

    Example:
        >>> from datetime import date
        >>> from ctacal.compare.scan import Amount
        >>> earlier = ComparedScan(day=date(2023, 3, 1), amounts={"agatston": Amount(90.0)}, category="1-100")
        >>> later = ComparedScan(day=date(2025, 3, 1), amounts={"agatston": Amount(130.0)}, category="101-400")
        >>> comparison = compare_scans(later, earlier, Terms())
        >>> isinstance(comparison, Comparison), comparison.days, comparison.categories_up
        (True, 731, 1)
        >>> round(comparison.changes["agatston"].total.per_year, 1), comparison.verdict is Verdict.NOT_COMPARABLE
        (20.0, True)
    """
    a, b, swapped = in_order(first, second)
    changes = _changes(a, b)
    limits, about_limits = _limits_of(a, b, terms)
    if limits:
        changes = {name: replace(change, limits=_ends(limits, name, change)) for name, change in changes.items()}
        about_limits = (*about_limits, *_of_deciding(limits, changes))
    doubts = [*doubts_about(a, b), *notes, *(() if a.refused or b.refused else about_limits)]
    reasons = (*(_accepted(doubt, terms.accept) for doubt in doubts), *([_SWAPPED] if swapped else []))
    return Comparison(
        a=a,
        b=b,
        days=(b.day - a.day).days if a.day and b.day else None,
        verdict=_verdict(limits, changes, reasons),
        reasons=reasons,
        changes=changes,
        limits=limits,
        published=published_limits({name: change.total for name, change in changes.items()}, terms.bmi),
        matches=matches,
        transform=transform,
    )


_SWAPPED = ComparisonReason(
    Doubt.DATES_SWAPPED,
    "the scan that was named first is the later one; changes go from the earlier to the later",
    False,
)


def in_order(first: ComparedScan, second: ComparedScan) -> tuple[ComparedScan, ComparedScan, bool]:
    """Return the scans by date and time, and whether that swaps them; as they are if a date is not known."""
    if first.day is None or second.day is None:
        return first, second, False
    times = (first.time, second.time) if first.time and second.time else ("", "")
    if (first.day, times[0]) <= (second.day, times[1]):
        return first, second, False
    return second, first, True


def _changes(a: ComparedScan, b: ComparedScan) -> dict[str, QuantityChange]:
    years = years_between(a.day, b.day)
    agatston = a.amounts.get("agatston")
    return {
        name: _change(a.amounts[name], b.amounts[name], agatston, years)
        for name in QUANTITIES
        if name in a.amounts and name in b.amounts
    }


def _change(a: Amount, b: Amount, agatston: Amount | None, years: float | None) -> QuantityChange:
    """Return a quantity's change; where the Agatston score before was near 0, no quantity has a relative change."""
    enough = agatston is not None and agatston.total >= LEAST_AGATSTON
    total = Change(before=a.total, after=b.total, years=years, has_percent=enough)
    per_vessel = {}
    for vessel, before in a.per_vessel.items():
        enough = agatston is not None and agatston.per_vessel.get(vessel, 0.0) >= LEAST_AGATSTON
        after = b.per_vessel.get(vessel, 0.0)
        per_vessel[vessel] = Change(before=before, after=after, years=years, has_percent=enough)
    return QuantityChange(total=total, per_vessel=per_vessel)


def _limits_of(a: ComparedScan, b: ComparedScan, terms: Terms) -> tuple[Limits | None, tuple[ComparisonReason, ...]]:
    """Return the limits that hold for both scans, and what is to be said of them."""
    if terms.limits is None:
        return _simulated(a, b, terms)
    wrong = dict.fromkeys(
        words for scan in (a, b) for doubt, words in misfits(terms.limits, scan) if doubt not in terms.accept
    )
    if wrong:
        message = f"{terms.limits.in_words} do not hold for these scans: {'; '.join(wrong)}"
        return None, (ComparisonReason(Doubt.LIMITS_DO_NOT_FIT, message),)
    return terms.limits, _notes_on(terms.limits)


def _simulated(a: ComparedScan, b: ComparedScan, terms: Terms) -> tuple[Limits | None, tuple[ComparisonReason, ...]]:
    limits = fitting(terms.simulated, (a, b), terms.accept)
    if limits is None:
        message = (
            f"no limits of repeatability are known for these scans ({a.protocol.in_words}); make your own from "
            "pairs of one day: ctacal compare --repeatability PAIRS.csv -o LIMITS.json, and give them with --limits"
        )
        return None, (ComparisonReason(Doubt.NO_LIMITS, message),)
    return limits, _notes_on(limits)


def _notes_on(limits: Limits) -> tuple[ComparisonReason, ...]:
    if limits.origin == "site":
        known = limits.protocol.kvp is not None and limits.protocol.slice_spacing_mm is not None
        message = f"{limits.in_words} do not say of which tube voltage and slice spacing they are; check that they hold"
        return () if known else (ComparisonReason(Doubt.LIMITS_UNCHECKED, message, False),)
    message = f"the limits are {limits.in_words}, {limits.protocol.in_words}; a site's own limits are better"
    return (ComparisonReason(Doubt.LIMITS_SIMULATED, message, False),)


def _ends(limits: Limits, name: str, change: QuantityChange) -> tuple[float, float] | None:
    band = limits.bands.get(name)
    return band.at(change.total.before, change.total.after) if band else None


def _of_deciding(limits: Limits, changes: Mapping[str, QuantityChange]) -> Iterator[ComparisonReason]:
    """Yield why the deciding quantity cannot be judged."""
    change = changes.get(limits.decides)
    words = QUANTITIES.get(limits.decides, limits.decides)
    if change is None:
        yield ComparisonReason(Doubt.QUANTITY_UNKNOWN, f"the limits judge by the {words}, which one scan lacks")
    elif change.limits is None:
        highest = limits.bands[limits.decides].mean_sqrt[-1] ** 2
        message = f"the {words} is above {highest:,.0f}, the highest in the pairs of the limits"
        yield ComparisonReason(Doubt.BEYOND_THE_PAIRS, message)


def _accepted(doubt: ComparisonReason, accept: Collection[Doubt]) -> ComparisonReason:
    if not doubt.blocks or doubt.code not in accept:
        return doubt
    return ComparisonReason(doubt.code, f"{doubt.message}; judged all the same, on request", False)


def _verdict(
    limits: Limits | None, changes: Mapping[str, QuantityChange], reasons: Iterable[ComparisonReason]
) -> Verdict:
    if limits is None or limits.decides not in changes or any(reason.blocks for reason in reasons):
        return Verdict.NOT_COMPARABLE
    return Verdict.BEYOND if changes[limits.decides].is_beyond else Verdict.WITHIN

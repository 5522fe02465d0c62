"""The words of a comparison. The HTML page and the PDF only arrange them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ctacal import __version__
from ctacal.compare.comparison import Comparison, QuantityChange, Verdict
from ctacal.compare.matching import Kind, LesionMatch
from ctacal.compare.measures import Change
from ctacal.compare.reasons import ComparisonReason, Doubt
from ctacal.compare.scan import QUANTITIES, ComparedScan
from ctacal.labels import Calcium
from ctacal.report import wording
from ctacal.report.vessels import FULL_NAMES
from ctacal.scores import ScoredLesion
from ctacal.subject import Subject

TITLE = "Coronary calcium, two scans compared"
SUBTITLE = "measured on CTs for attenuation correction (CTAC)"
CHANGES_TITLE = "Change"
VESSELS_TITLE = "Change by vessel (Agatston score)"
REASONS_TITLE = "Before you rely on this comparison"
LESIONS_TITLE = "Lesions"
PICTURES_TITLE = "The same places in both scans"
HEIGHTS_TITLE = "Through the heart, both scans together"
PUBLISHED_TITLE = "Published rules, made on gated scans: for orientation only"
SCANS_TITLE = "The scans"
NO_REASONS = "No doubts."
ARROW = " → "
LESION_ROWS = 12
"""Largest number of lesions that the pages list."""

CHANGE_COLUMNS = ("", "Before", "After", "Change", "A year", "%", "% a year", "√ after − √ before", "ln(x + 1)")
PUBLISHED_COLUMNS = ("Rule", "Of", "Limit", "Exceeded", "Source")
LESION_COLUMNS = ("Lesion", "Agatston before", "Agatston after", "Peak before, HU", "Peak after, HU", "Apart, mm")

PUBLISHED_NOTE = (
    "These rules were made on gated scans, which repeat better than CTACs: 61 to 71 % lie between repeated ungated "
    "low-dose scans (Jacobs 2010). No verdict comes from them."
)

VERDICT_WORDS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.WITHIN: "Two scans of an unchanged patient differ as much. This does not exclude a change.",
        Verdict.BEYOND: "Only about 5 of 100 unchanged patients differ as much.",
        Verdict.NOT_COMPARABLE: "Nothing can be said of a change.",
    }
)

KIND_WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.KEPT: "in both scans",
        Kind.NEW: "only in the later scan",
        Kind.GONE: "only in the earlier scan",
        Kind.SPLIT: "one before, several after",
        Kind.MERGED: "several before, one after",
    }
)

REASON_TITLES: Mapping[Doubt, str] = MappingProxyType(
    {
        Doubt.OTHER_PATIENT: "Two patients, by the headers",
        Doubt.ANATOMY_DIFFERS: "The chests differ",
        Doubt.PATIENT_UNSURE: "Identity not proven",
        Doubt.SAME_SCAN: "One scan",
        Doubt.NOT_SCORED: "Not scored",
        Doubt.MODEL_DIFFERS: "Two models",
        Doubt.RULE_DIFFERS: "Two scoring rules",
        Doubt.KVP_DIFFERS: "Tube voltage differs",
        Doubt.THICKNESS_DIFFERS: "Slice thickness differs",
        Doubt.SPACING_DIFFERS: "Slice spacing differs",
        Doubt.KERNEL_DIFFERS: "Kernel differs",
        Doubt.SCANNER_DIFFERS: "Scanner differs",
        Doubt.GATING_DIFFERS: "Gated and not gated",
        Doubt.COVERAGE_CUT_OFF: "Part of the heart may be missing",
        Doubt.CONTRAST: "Contrast medium",
        Doubt.METAL: "Metal in or near the heart",
        Doubt.NO_LIMITS: "No limits of repeatability",
        Doubt.LIMITS_DO_NOT_FIT: "The limits are of other scans",
        Doubt.BEYOND_THE_PAIRS: "Higher than the pairs of the limits",
        Doubt.QUANTITY_UNKNOWN: "The deciding quantity is missing",
        Doubt.DATES_SWAPPED: "Order of the scans",
        Doubt.NO_DATE: "Date not known",
        Doubt.SHORT_INTERVAL: "Short interval",
        Doubt.IMAGE_QUALITY: "Image quality",
        Doubt.LIMITS_UNCHECKED: "Limits of an unknown scanner",
        Doubt.LIMITS_SIMULATED: "Simulated limits",
        Doubt.SCORED_EARLIER: "Scored earlier",
        Doubt.LESIONS_NOT_MATCHED: "Lesions not matched",
    }
)

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """What an unchanged patient would show, for a picture: values on the scale of square roots, from 0 to ``end``."""

    before: float
    after: float
    low: float
    high: float
    end: float
    words: str


def verdict_line(comparison: Comparison) -> str:
    """Return the verdict's meaning, and by which limits it was given."""
    by = f" Judged by {comparison.limits.in_words}." if comparison.limits else ""
    return VERDICT_WORDS[comparison.verdict] + (by if comparison.verdict is not Verdict.NOT_COMPARABLE else "")


def limit_notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the limits should know."""
    return [f"{_capital(note)}." for note in comparison.limits.notes] if comparison.limits else []


def headline(comparison: Comparison) -> tuple[str, str]:
    """Return the deciding quantity's name, and its value before and after; empty if it is not known."""
    name = comparison.limits.decides if comparison.limits else "agatston"
    change = comparison.changes.get(name)
    if change is None:
        return "", ""
    return QUANTITIES[name], ARROW.join(map(wording.number, (change.total.before, change.total.after)))


def category_line(comparison: Comparison) -> str:
    """Return the change of category in words."""
    before, after, up = comparison.a.category, comparison.b.category, comparison.categories_up
    if up is None:
        return ""
    if up == 0:
        return f"Category {before} in both scans"
    return f"Category {before} before, {after} after"


def bar(comparison: Comparison) -> Bar | None:
    """Return where the later value lies among those of an unchanged patient; None without limits."""
    name = comparison.limits.decides if comparison.limits else ""
    change = comparison.changes.get(name)
    if change is None or (ends := change.after_if_unchanged) is None:
        return None
    roots = [value**0.5 for value in (change.total.before, change.total.after, *ends)]
    low, high = (wording.number(end) for end in ends)
    words = f"A later scan without any change would show {low} to {high}; this one shows "
    words += f"{wording.number(change.total.after)}."
    return Bar(roots[0], roots[1], roots[2], roots[3], max(roots) * 1.1 or 1.0, words)


def facts(comparison: Comparison, subject: Subject) -> wording.Pairs:
    """Return the facts at the top; empty ones are left out."""
    rows = (
        ("Patient", subject.name),
        ("Patient ID", subject.patient_id),
        ("Born", subject.birth_date),
        ("Earlier scan", _when(comparison.a)),
        ("Later scan", _when(comparison.b)),
        ("Between them", interval(comparison.days)),
    )
    return tuple((name, value) for name, value in rows if value)


def _when(scan: ComparedScan) -> str:
    if scan.day is None:
        return scan.label or wording.NOT_GIVEN
    time = f" {scan.time[:2]}:{scan.time[2:4]}" if len(scan.time) >= 4 else ""
    return f"{scan.day.isoformat()}{time}"


def interval(days: int | None) -> str:
    """Return the time between the scans in words.

    >>> interval(0), interval(1), interval(45), interval(1000), interval(None)
    ('same day', '1 day', '45 days', '2.7 years', 'not recorded')
    """
    if days is None:
        return wording.NOT_GIVEN
    if days == 0:
        return "same day"
    if days == 1:
        return "1 day"
    return f"{days} days" if days < 365 else f"{days / 365.25:.1f} years"


def change_rows(comparison: Comparison) -> list[Row]:
    """Return a row for each quantity."""
    return [_row(_capital(QUANTITIES[name]), change.total) for name, change in comparison.changes.items()]


def vessel_rows(comparison: Comparison) -> list[Row]:
    """Return a row for each vessel with calcium in either scan."""
    change = comparison.changes.get("agatston")
    if change is None:
        return []
    parts = {name: part for name, part in change.per_vessel.items() if part.before or part.after}
    return [_row(FULL_NAMES[Calcium[name]], part) for name, part in parts.items()]


def _row(name: str, change: Change) -> Row:
    return (
        name,
        wording.number(change.before),
        wording.number(change.after),
        signed(change.absolute),
        signed(change.per_year),
        signed(change.percent),
        signed(change.percent_per_year),
        _decimals(change.square_root),
        _decimals(change.logarithm),
    )


def signed(value: float | None) -> str:
    """Return a change with its sign, as ``wording.number`` writes scores.

    >>> signed(12.34), signed(-0.5), signed(0.0), signed(None)
    ('+12', '−0.5', '0', '–')
    """
    if value is None:
        return "–"
    if value == 0:
        return "0"
    text = wording.number(abs(value))
    return ("−" if value < 0 else "+") + text.replace("<", "< ")


def _decimals(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def change_note(comparison: Comparison) -> str:
    """Return what the table leaves out, and why."""
    parts = []
    change = comparison.changes.get("agatston")
    if change and change.total.years is None:
        parts.append("No annual change: the interval is shorter than 180 days, or a date is not known.")
    if change and change.total.percent is None:
        parts.append("No change in per cent: below a score of 10 before, a voxel more is many per cent.")
    if "gated_equivalent_agatston" in comparison.changes:
        parts.append("The gated equivalent is a rough estimate from the mass of calcium.")
    return " ".join(parts)


def limit_rows(comparison: Comparison) -> list[str]:
    """Return for each quantity with limits what an unchanged patient would show."""
    return [
        f"{_capital(QUANTITIES[name])}: {_limits(change)}"
        for name, change in comparison.changes.items()
        if change.limits is not None
    ]


def _limits(change: QuantityChange) -> str:
    ends = change.after_if_unchanged or (0.0, 0.0)
    low, high = (wording.number(end) for end in ends)
    return f"unchanged patients show {low} to {high} after {wording.number(change.total.before)}"


def flag(reason: ComparisonReason) -> tuple[str, str]:
    """Return the title and the sentence of a reason."""
    return REASON_TITLES[reason.code], _capital(reason.message) + "."


def published_rows(comparison: Comparison) -> list[Row]:
    """Return what each published rule says."""
    answers = {True: "yes", False: "no", None: "–"}
    return [
        (
            limit.rule,
            QUANTITIES[limit.quantity],
            f"{limit.limit:.4g}" if limit.limit is not None else "–",
            answers[limit.exceeded] + (f" ({limit.note})" if limit.note else ""),
            limit.source,
        )
        for limit in comparison.published
    ]


def lesion_line(comparison: Comparison) -> str:
    """Return how many lesions were kept, and so on; why, if they were not matched."""
    if comparison.matches is None:
        return "The lesions of the two scans were not matched."
    if not comparison.matches:
        return "No coronary lesions in either scan."
    counts = {kind: sum(match.kind is kind for match in comparison.matches) for kind in Kind}
    found = ", ".join(f"{count} {KIND_WORDS[kind]}" for kind, count in counts.items() if count)
    return (
        f"{found[0].upper()}{found[1:]}. Noise and motion make small lesions come and go: a lesion that is new or gone "
        "is no proof of a change."
    )


def lesion_rows(matches: Sequence[LesionMatch] | None) -> list[Row]:
    """Return a row for each of the lesions with the highest scores."""
    return [_lesion_row(match) for match in (matches or ())[:LESION_ROWS]]


def _lesion_row(match: LesionMatch) -> Row:
    vessels = dict.fromkeys(FULL_NAMES[lesion.vessel] for lesion in (*match.a, *match.b))
    return (
        f"{' / '.join(vessels)}, {KIND_WORDS[match.kind]}",
        _agatston(match.a),
        _agatston(match.b),
        _peak(match.a),
        _peak(match.b),
        "–" if match.distance_mm is None else f"{match.distance_mm:.0f}",
    )


def _agatston(lesions: Sequence[ScoredLesion]) -> str:
    return " + ".join(wording.number(lesion.agatston) for lesion in lesions) or "–"


def _peak(lesions: Sequence[ScoredLesion]) -> str:
    return f"{max(lesion.peak_hu for lesion in lesions):.0f}" if lesions else "–"


def scan_rows(comparison: Comparison) -> list[Row]:
    """Return what both scans are, side by side."""
    a, b = comparison.a, comparison.b
    rows = (
        ("Scanner", *(f"{scan.protocol.manufacturer} {scan.protocol.model}".strip() for scan in (a, b))),
        ("Tube voltage", *(_unit(scan.protocol.kvp, "kVp") for scan in (a, b))),
        ("Slice thickness", *(_unit(scan.protocol.slice_thickness_mm, "mm") for scan in (a, b))),
        ("Slice spacing", *(_unit(scan.protocol.slice_spacing_mm, "mm") for scan in (a, b))),
        ("Kernel", *(scan.protocol.kernel for scan in (a, b))),
        ("Scoring rule", *(scan.rule for scan in (a, b))),
        ("Calcium found by", *(scan.model for scan in (a, b))),
        ("Study", *(scan.study_uid or scan.label for scan in (a, b))),
    )
    return [tuple(cell or wording.NOT_GIVEN for cell in row) for row in rows]


def _unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}"


def document_title(comparison: Comparison) -> str:
    """Return the title of the document."""
    days = " – ".join(scan.day.isoformat() for scan in (comparison.a, comparison.b) if scan.day)
    return f"{TITLE} {days}".strip()


def footer(comparison: Comparison) -> str:
    """Return the line at the foot of each page."""
    return f"ctacal {__version__} · study {comparison.b.study_uid} · {wording.RESEARCH_ONLY}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

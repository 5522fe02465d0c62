"""``doubts_about``: why two scans are not comparable, or only with care."""

from collections.abc import Iterable, Iterator

from ctacal.compare.measures import LEAST_DAYS
from ctacal.compare.protocol import protocol_differences
from ctacal.compare.reasons import ComparisonReason, Doubt
from ctacal.compare.scan import ComparedScan
from ctacal.dicom.scans.patient import is_one_patient, known_differences
from ctacal.errors import Code

_CUT_OFF = frozenset(
    (Code.HEART_CUT_OFF, Code.SCAN_GOES_ON, Code.INCOMPLETE_SERIES, Code.FILES_MISSING, Code.SERIES_UNREADABLE)
)
_CONTRAST = frozenset((Code.CONTRAST_GIVEN, Code.CONTRAST_SEEN))
_QUALITY = frozenset((
    Code.HIGH_NOISE, Code.MOTION_SEEN, Code.NOISE_UNLIKE_TRAINING, Code.KERNEL_UNLIKE_TRAINING,
    Code.SLICES_UNLIKE_TRAINING, Code.PIXELS_UNLIKE_TRAINING, Code.FIELD_UNLIKE_TRAINING, Code.BLOOD_UNLIKE_TRAINING,
    Code.CONTENT_JUMP, Code.SLICES_APART, Code.SLICES_INTERPOLATED, Code.TILT_RESAMPLED, Code.LOSSY_COMPRESSION,
    Code.HU_GAP, Code.RESCALE_ASSUMED, Code.RESCALE_VARIES, Code.COMPUTED_IMAGE, Code.CONTRAST_MENTIONED,
))  # fmt: skip

ACCEPTABLE = (
    Doubt.OTHER_PATIENT, Doubt.ANATOMY_DIFFERS, Doubt.KVP_DIFFERS, Doubt.THICKNESS_DIFFERS, Doubt.SPACING_DIFFERS,
    Doubt.KERNEL_DIFFERS, Doubt.SCANNER_DIFFERS, Doubt.GATING_DIFFERS, Doubt.COVERAGE_CUT_OFF, Doubt.CONTRAST,
    Doubt.METAL,
)  # fmt: skip
"""Doubts in spite of which a user may ask for a verdict; it is then given with them."""

_BLOOD_RELATION = frozenset(("patient ID", "birth date", "sex"))
"""What does not change in one patient; a name does."""


def doubts_about(a: ComparedScan, b: ComparedScan) -> Iterator[ComparisonReason]:
    """Yield every doubt about the comparison of an earlier scan with a later one, but for those about the limits."""
    yield from _about_patient(a, b)
    yield from _about_identity(a, b)
    for which, scan in _named(a, b):
        if scan.refused:
            yield ComparisonReason(Doubt.NOT_SCORED, f"the {which} scan was not scored: {scan.refused}")
    yield from _about_scoring(a, b)
    for doubt, words in protocol_differences(a.protocol, b.protocol):
        yield ComparisonReason(doubt, words)
    yield from _about_warnings(a, b)
    yield from _about_dates(a, b)


def _named(a: ComparedScan, b: ComparedScan) -> Iterable[tuple[str, ComparedScan]]:
    return ("earlier", a), ("later", b)


def _about_patient(a: ComparedScan, b: ComparedScan) -> Iterator[ComparisonReason]:
    if a.patient is None or b.patient is None:
        return
    differing = known_differences(a.patient, b.patient)
    words = " and ".join(differing)
    if _BLOOD_RELATION & set(differing):
        message = f"the scans differ in {words}: they seem to show two patients"
        yield ComparisonReason(Doubt.OTHER_PATIENT, message)
    elif differing:
        yield ComparisonReason(Doubt.PATIENT_UNSURE, f"the scans differ in {words}; all else shows one patient", False)
    elif not is_one_patient(a.patient, b.patient):
        message = "the headers do not say whose scans these are; that they show one patient is taken from you"
        yield ComparisonReason(Doubt.PATIENT_UNSURE, message, False)


def _about_identity(a: ComparedScan, b: ComparedScan) -> Iterator[ComparisonReason]:
    if a.pixels and a.pixels == b.pixels:
        yield ComparisonReason(Doubt.SAME_SCAN, "both scans have the same CT values: they are one scan, given twice")
    elif a.series_uid and a.series_uid == b.series_uid:
        yield ComparisonReason(Doubt.SAME_SCAN, "both scans are the same series")
    elif a.acquired & b.acquired:
        message = "both scans were acquired in the same second: they are reconstructions of one acquisition"
        yield ComparisonReason(Doubt.SAME_SCAN, message)


def _about_scoring(a: ComparedScan, b: ComparedScan) -> Iterator[ComparisonReason]:
    if a.model_digest and b.model_digest and a.model_digest != b.model_digest:
        message = f"scored by {a.model} and {b.model}; score both anew: ctacal compare A B"
        yield ComparisonReason(Doubt.MODEL_DIFFERS, message)
    if a.rule and b.rule and a.rule != b.rule:
        message = f"scored by the rules {a.rule} and {b.rule}; score both anew: ctacal compare A B"
        yield ComparisonReason(Doubt.RULE_DIFFERS, message)


def _about_warnings(a: ComparedScan, b: ComparedScan) -> Iterator[ComparisonReason]:
    gated = [any(reason.code is Code.GATED_CALCIUM_SCAN for reason in scan.warnings) for scan in (a, b)]
    if gated[0] != gated[1]:
        yield ComparisonReason(Doubt.GATING_DIFFERS, "one is a gated calcium scan, the other is not: motion blurs it")
    for which, scan in _named(a, b):
        for reason in scan.warnings:
            doubt = doubt_of(reason.code)
            if doubt is not None:
                blocks = doubt is not Doubt.IMAGE_QUALITY
                yield ComparisonReason(doubt, f"the {which} scan: {reason.message} ({reason.code})", blocks)


def doubt_of(code: Code) -> Doubt | None:
    """Return what a warning about one scan means for a comparison; None: nothing."""
    if code in _CUT_OFF:
        return Doubt.COVERAGE_CUT_OFF
    if code in _CONTRAST:
        return Doubt.CONTRAST
    if code is Code.METAL_SEEN:
        return Doubt.METAL
    return Doubt.IMAGE_QUALITY if code in _QUALITY else None


def _about_dates(a: ComparedScan, b: ComparedScan) -> Iterator[ComparisonReason]:
    if a.day is None or b.day is None:
        message = "a date is not known: no annual change, and the order of the scans is as given"
        yield ComparisonReason(Doubt.NO_DATE, message, False)
        return
    days = (b.day - a.day).days
    if days < LEAST_DAYS:
        apart = {0: "on the same day", 1: "a day apart"}.get(days, f"{days} days apart")
        order = "" if days or (a.time and b.time) else "; which came first is not recorded, so the order is as given"
        message = f"scanned {apart}: no annual change below {LEAST_DAYS} days{order}"
        yield ComparisonReason(Doubt.SHORT_INTERVAL, message, False)

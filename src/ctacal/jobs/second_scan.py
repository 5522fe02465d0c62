"""The second CTAC of a study: rest and stress are scanned one after the other, and both scans are scored.

The series that counts is the one that ``dicom.choose`` puts first, as in a study with one CTAC: by the clues for a
CTAC, then more slices, no lossy compression, the lower series number. The other's score is shown
beside it, with the difference that two scans of an unchanged patient may have, where limits are known.
"""

from dataclasses import replace
from math import sqrt

from ctacal.compare.limits import fitting, simulated_limits
from ctacal.compare.scan import scan_of_result
from ctacal.dicom.choose import Choice
from ctacal.dicom.clues import is_calcium_scan, is_marked_ctac
from ctacal.dicom.scans.times import seconds_of
from ctacal.dicom.series import Series, Study
from ctacal.errors import Code, Reason
from ctacal.result import ScoredStudy, SecondScan, StudyResult
from ctacal.result_json import result_json


def second_ctac(choice: Choice, study: Study) -> Series | None:
    """Return the likeliest other CTAC of the study that is a scan of its own; None if there is none."""
    if not _is_ctac(choice.series, study):
        return None
    fit = (candidate.series for candidate in choice.candidates if candidate.unfit is None)
    others = (series for series in fit if series is not choice.series and _is_ctac(series, study))
    return next((other for other in others if _is_another_scan(choice.series, other)), None)


def _is_ctac(series: Series, study: Study) -> bool:
    return is_marked_ctac(series, study) and not is_calcium_scan(series.header)


def _is_another_scan(a: Series, b: Series) -> bool:
    """Whether two series were acquired one after the other; another reconstruction of one scan is none of its own.

    Where a moment of acquisition is missing, another frame of reference tells.
    """
    spans = [_moments_s(series) for series in (a, b)]
    if all(spans):
        (_, end), (start, _) = sorted((min(span), max(span)) for span in spans)
        return start > end + LEAST_PAUSE_S
    frames = {series.header.frame_of_reference_uid for series in (a, b)}
    return len(frames) == 2 and "" not in frames


def _moments_s(series: Series) -> list[float]:
    return [second for image in series.slices if (second := seconds_of(image.acquired_at)) is not None]


LEAST_PAUSE_S = 20.0
"""Least time from the end of a scan to the start of another: a reconstruction has the moments of its scan, and a second
scan needs a tracer, or a patient who was moved (own choice)."""


def with_second(result: ScoredStudy, second: StudyResult) -> ScoredStudy:
    """Return the result with what the other CTAC gives, and a remark that says how both agree.

    The remark takes the place of the one that names an equally likely series, if that is the only other.
    """
    assert second.chosen, "it was a candidate"
    header = second.chosen.series.header
    told = SecondScan(series_uid=second.chosen.series.uid, series_description=header.series_description)
    if isinstance(second, ScoredStudy):
        told = replace(
            told, agatston=second.scores.agatston, volume_mm3=second.scores.volume_mm3,
            category=second.scores.category, limits=_limits(result, second),
        )  # fmt: skip
    else:
        told = replace(told, refused=second.reasons[-1])
    remark = Reason(Code.SECOND_CTAC, in_words(result, told, second.chosen.series.name))
    others = sum(candidate.unfit is None for candidate in result.candidates) > 2
    kept = (reason for reason in result.reasons if others or reason.code is not Code.SEVERAL_CANDIDATES)
    return replace(result, second_scan=told, reasons=(*kept, remark))


def _limits(first: ScoredStudy, second: ScoredStudy) -> tuple[float, float] | None:
    """Return the limits of repeatability that hold for both scans, at their scores; None if there are none."""
    scans = [scan_of_result(result_json(result)) for result in (first, second)]
    limits = fitting(simulated_limits(), scans)
    if limits is None:
        return None
    return limits.bands["agatston"].at(first.scores.agatston.total, second.scores.agatston.total)


def in_words(result: ScoredStudy, told: SecondScan, name: str) -> str:
    """Return both scores on one line, and how far they agree."""
    counts = f"{result.chosen.series.name} counts"
    if told.refused:
        return f"{counts}; the study's other CTAC, {name}, was refused ({told.refused})"
    assert told.agatston is not None, "it was scored"
    first, other = result.scores.agatston.total, told.agatston.total
    category = "the same category" if told.category == result.scores.category else f"category {told.category}"
    beside = f"the study's other CTAC, {name}, gives {other:.0f}, {category}"
    return f"{counts}, with {first:.0f}; {beside}{_agreement(first, other, told.limits)}"


def _agreement(first: float, other: float, limits: tuple[float, float] | None) -> str:
    if limits is None:
        return ""
    where = "within" if limits[0] <= sqrt(other) - sqrt(first) <= limits[1] else "beyond"
    return f", {where} what two scans of an unchanged patient differ by"

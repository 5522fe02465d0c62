"""Whether the images of one series UID come from one scan, by date, time, equipment and numbers in their headers.

De-identifiers and archives put several scans under one UID: of two people, or of one person at two times. The pixels
are compared in ``ctacal.dicom.pixel_data.seams``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from ctacal.dicom.header import SeriesHeader, Slice
from ctacal.dicom.scans.times import DAY_S, LONGEST_PAUSE_S, seconds_of
from ctacal.dicom.stack import SAME_POSITION_MM
from ctacal.errors import Code, Reason, Refusal

LONGEST_STUDY_DAYS = 7.0
"""Longest time between the scans of a study: rest and stress may lie some days apart (own choice)."""

FIRST_CT_YEAR = "1971"
"""Year of the first CT of a patient; an earlier date, such as 19000101, stands for one that was removed."""

MAX_GROUPED_SHARE = 0.2
"""Largest share of distinct values among the images that tells scans apart; more were made up for each image."""

MIN_PAIRED_SHARE = 0.8
"""Share of the images that lie beside another of their own Instance Number where two scans are interleaved."""


def mixed_scans(slices: Sequence[Slice], under_one_uid: Sequence[Slice]) -> Reason | None:
    """Return the reason why these images, one grid of a series UID, are of several scans; None if nothing says so.

    ``under_one_uid`` are all CT images of the series UID: parts of one scan were acquired on one day.
    """
    headers = list({id(slice_.header): slice_.header for slice_ in slices}.values())
    most = max(2, MAX_GROUPED_SHARE * len(slices))
    differing = [words for words, value in _TEXTS.items() if 2 <= len(set(map(value, headers)) - {""}) <= most]
    differing += [
        words for words, (value, apart) in _NUMBERS.items() if 2 <= _groups(map(value, headers), apart) <= most
    ]
    moments = {
        "acquisition time": {slice_.acquired_at for slice_ in slices},
        "study time": _study_moments(headers),
    }
    differing += [words for words, written in moments.items() if _is_interrupted(written, len(slices))]
    if not differing and _days_apart(under_one_uid):
        differing = ["acquisition date"]
    if not differing and _numbered_twice(slices):
        differing = ["nothing but the pixels, and each Instance Number stands on two neighbouring images"]
    if not differing:
        return None
    return Reason(
        Code.TWO_SCANS,
        f"the images under this series UID differ in {' and '.join(differing)}: they seem to come from "
        "several scans; separate them, and send one scan, or correct the headers if it is one",
    )


def require_one_examination(series: Iterable[Sequence[Slice]]) -> None:
    """Raise ``Refusal`` (``TWO_SCANS``) if the scans of a study, each of which could be scored, lie weeks apart."""
    moments = (_acquired_or_studied(slices[0]) for slices in series)
    seconds = (seconds_of(moment) for moment in moments if moment[:4] >= FIRST_CT_YEAR)
    days = [second / DAY_S for second in seconds if second is not None]
    if days and max(days) - min(days) > LONGEST_STUDY_DAYS:
        raise Refusal(
            Code.TWO_SCANS,
            f"the CT series under this study UID were acquired {max(days) - min(days):.0f} days apart: they belong to "
            "several examinations; --series selects one",
        )


def _acquired_or_studied(slice_: Slice) -> str:
    return slice_.acquired_at or _of_day(slice_.header.study_date, slice_.header.study_time)


def _plain(text: str) -> str:
    return re.sub(r"\W", "", text.casefold())


_TEXTS: dict[str, Callable[[SeriesHeader], str]] = {
    "manufacturer": lambda header: _plain(re.split(r"[\s_-]", header.manufacturer)[0]),  # GE, GE MEDICAL SYSTEMS
    "scanner model": lambda header: _plain(header.model),
    "device serial number": lambda header: _plain(header.device_serial_number).lstrip("0"),
}
_NUMBERS: dict[str, tuple[Callable[[SeriesHeader], float | None], float]] = {
    "tube voltage": (lambda header: header.kvp, 5.0),  # measured values differ by 1 kV
    "patient weight": (lambda header: header.patient_weight_kg, 1.0),  # pounds and kilograms are rounded
}
"""What one scan has only one value of (PS3.3 C.7.5.1, C.8.2.1, C.7.2.2); of numbers, with the largest difference of
values that are one (own choice)."""


def _study_moments(headers: Sequence[SeriesHeader]) -> set[str]:
    """Return the moments at which the study began; a time that some images of the day lack is no other one."""
    timed = {header.study_date for header in headers if header.study_time}
    return {_of_day(h.study_date, h.study_time) for h in headers if h.study_time or h.study_date not in timed}


def _of_day(day: str, time: str) -> str:
    return day.replace(".", "") + (time.replace(":", "") or "000000")


def _groups(values: Iterable[float | None], apart: float) -> int:
    """Return in how many groups the values fall; those within ``apart``, or linked so, are one."""
    ordered = sorted({value for value in values if value})
    return bool(ordered) + sum(above - below > apart for below, above in pairwise(ordered))


def _is_interrupted(moments: set[str], images: int) -> bool:
    """Whether the moments fall into few groups with long pauses between them."""
    pauses = sum(pause > LONGEST_PAUSE_S for pause in _pauses_s(moments))
    return 1 <= pauses < max(2, MAX_GROUPED_SHARE * images)


def _pauses_s(moments: set[str]) -> Iterator[float]:
    """Yield the seconds between successive moments; midnight is no pause, though some scanners keep the date."""
    seconds = sorted({second for moment in moments if (second := seconds_of(moment)) is not None})
    for before, after in pairwise(seconds):
        pause = after - before
        yield min(pause, DAY_S - pause) if DAY_S - LONGEST_PAUSE_S < pause < DAY_S else pause


def _days_apart(slices: Sequence[Slice]) -> bool:
    moments = {slice_.acquired_at for slice_ in slices}
    pauses = sum(pause > DAY_S for pause in _pauses_s(moments))
    return 1 <= pauses < max(2, MAX_GROUPED_SHARE * len(slices))


def _numbered_twice(slices: Sequence[Slice]) -> bool:
    """Whether neighbours share their Instance Number, pair by pair, though they are different images."""
    placed = sorted((s for s in slices if s.position_mm and s.instance_number is not None), key=_height_mm)
    numbers = {s.instance_number for s in placed}
    if len({s.sop_instance_uid for s in placed}) < len(slices) or len(numbers) < 0.4 * len(slices):
        return False
    paired = sum(
        2 * (a.instance_number == b.instance_number and _height_mm(b) - _height_mm(a) > SAME_POSITION_MM)
        for a, b in pairwise(placed)
    )
    return paired >= MIN_PAIRED_SHARE * len(slices) and len(slices) >= 4


def _height_mm(slice_: Slice) -> float:
    return slice_.position_mm[2] if slice_.position_mm else 0.0

"""What the headers promise of a scan, held against the images that are here.

A transfer that breaks off, or an archive that keeps every second slice, leaves a regular grid. Only the headers tell:
by slice thickness, Instance Number, Spacing Between Slices, and the counts that consoles and archives write.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ctacal.dicom.header import Slice
from ctacal.dicom.stack import Stack
from ctacal.errors import Code, Reason, Refusal

MAX_SPACING_PER_THICKNESS = 1.3
"""Largest slice spacing, in slice thicknesses, that is not called a gap; nominal thickness is rounded (own choice)."""

STEP_TOLERANCE = 0.15
"""Largest deviation of a spacing from a whole number of thicknesses or of Spacing Between Slices (own choice)."""

MIN_REGULAR_SHARE = 0.9
"""Share of neighbouring slices whose Instance Numbers must lie equally far apart."""

MIN_STUDY_SHORTFALL = 0.15
"""Smallest missing share of a study's promised images that gives a warning: archives count reports and screens too."""

MAX_STUDY_SHORTFALL = 0.5
"""Largest missing share of a study's promised images that gives a warning; beyond it, a part was sent on purpose."""

MIN_LOST_NUMBERS = 4
"""Fewest missing first images that give a warning: localizers may be counted with the scan (own choice)."""

MAX_LOST_SHARE = 0.5
"""Largest number of missing first images that gives a warning, as a share of those that are here: a scan that begins at
62 or 101 is numbered with others, or was cut out on purpose (own choice)."""


@dataclass(frozen=True, slots=True)
class _Here:
    """The images that are here: of the stack, of its series UID, of its study."""

    slices: Sequence[Slice]
    series: Sequence[Slice]
    study: Sequence[Slice]
    spacing_mm: float

    @classmethod
    def of(cls, stack: Stack, study: Sequence[Slice]) -> "_Here":
        slices = [slice_ for slice_ in stack.slices if slice_ is not None]
        uids = {slice_.header.series_uid for slice_ in slices}
        series = [slice_ for slice_ in study if slice_.header.series_uid in uids]
        return cls(slices, series, study, stack.geometry.slice_spacing_mm)

    @property
    def thickness_mm(self) -> float:
        """The least Slice Thickness; 0 if none is written."""
        return _least(slice_.thickness_mm for slice_ in self.slices)

    @property
    def is_apart(self) -> bool:
        """Whether the slices leave gaps between them."""
        return bool(self.thickness_mm) and self.spacing_mm > MAX_SPACING_PER_THICKNESS * self.thickness_mm


def require_every_slice(stack: Stack, study: Sequence[Slice]) -> tuple[Reason, ...]:
    """Return notes on slices that the headers promise and that are not here. ``study`` are all images of the study.

    Raises ``Refusal`` (``MISSING_SLICE``) if two promises agree that only every second (third ...) slice is left.
    """
    here = _Here.of(stack, study)
    steps = _steps(here)
    _require_no_step(steps, here.spacing_mm)
    between = [
        name for name in steps if not here.is_apart and name != "Images in Acquisition"
    ]  # it gives a warning of its own
    told = [f"{name} tells of slices between those that are here" for name in between]
    return (*_apart(here), *_incomplete([*_counts_short(here), *_first_numbers_lost(here), *told]))


def _require_no_step(steps: dict[str, int], spacing_mm: float) -> None:
    for step, votes in Counter(steps.values()).most_common(1):
        if votes >= 2:
            found = " and ".join(name for name, value in steps.items() if value == step)
            raise Refusal(
                Code.MISSING_SLICE,
                f"only one slice of {step} is here: by {found}, slices should lie {spacing_mm / step:.3g} mm apart, "
                f"but they lie {spacing_mm:.3g} mm apart; send the series again",
            )


def _steps(here: _Here) -> dict[str, int]:
    """Return the headers which say that only one slice of several is here, and of how many."""
    told = {
        "Instance Number": _numbers_step(here),
        "Slice Thickness": _multiple(here.spacing_mm, here.thickness_mm),
        "Spacing Between Slices": _multiple(
            here.spacing_mm, _least(slice_.spacing_between_slices_mm for slice_ in here.slices)
        ),
        "Images in Acquisition": _count_step(here),
    }
    return {name: step for name, step in told.items() if step >= 2}


def _least(lengths_mm: Iterable[float | None]) -> float:
    return min((abs(mm) for mm in lengths_mm if mm), default=0.0)


def _multiple(spacing_mm: float, mm: float) -> int:
    """Return how often ``mm`` fits into the spacing; 1 if that is no whole number."""
    step = round(spacing_mm / mm) if mm else 1
    return step if step >= 2 and abs(spacing_mm / step - mm) <= STEP_TOLERANCE * mm else 1


def _numbers_step(here: _Here) -> int:
    """Return the common distance of Instance Numbers from slice to slice, unless the numbers between are elsewhere."""
    numbers = [slice_.instance_number for slice_ in here.slices if slice_.instance_number is not None]
    if len(numbers) < len(here.slices):
        return 1
    (step, count), *_ = Counter(abs(after - before) for before, after in pairwise(numbers)).most_common(1)
    if step < 2 or count < MIN_REGULAR_SHARE * (len(numbers) - 1):
        return 1
    elsewhere = {slice_.instance_number for slice_ in here.series if slice_.instance_number is not None} - set(numbers)
    between = sum(min(numbers) < number < max(numbers) for number in elsewhere)
    return 1 if between > (1 - MIN_REGULAR_SHARE) * (step - 1) * len(numbers) else step


def _count_step(here: _Here) -> int:
    """Return how many times more images the acquisition promises, if that fits the loss of all slices between."""
    promised = max((acquisition.promised for acquisition in _acquisitions(here) if acquisition.is_short), default=0)
    number = len(here.slices)
    step = round(promised / number)
    return step if step >= 2 and (number - 1) * step < promised <= number * step else 1


def _apart(here: _Here) -> Iterator[Reason]:
    if here.is_apart:
        yield Reason(
            Code.SLICES_APART,
            f"slices of {here.thickness_mm:g} mm lie {here.spacing_mm:.3g} mm apart: calcium between them is not seen; "
            "if more slices were scanned, send them all",
        )


def _incomplete(shortfalls: Sequence[str]) -> Iterator[Reason]:
    if shortfalls:
        yield Reason(
            Code.INCOMPLETE_SERIES, f"{'; '.join(shortfalls)}: part of the scan may be missing; send the series again"
        )


def _counts_short(here: _Here) -> Iterator[str]:
    """Yield each count in the headers that exceeds the images that are here."""
    short = [found for found in _acquisitions(here) if found.is_short]
    acquired = sum(found.promised for found in short), sum(found.in_series for found in short)
    counts = [("Images in Acquisition", *acquired)]
    for uid in {slice_.header.series_uid for slice_ in here.series}:
        series = [slice_ for slice_ in here.series if slice_.header.series_uid == uid]
        promised = _most(slice_.series_instances for slice_ in series)
        counts.append(("Number of Series Related Instances", promised, _instances(series)))
    promised, present = _most(slice_.study_instances for slice_ in here.study), _instances(here.study)
    if MIN_STUDY_SHORTFALL <= 1 - present / max(promised, 1) <= MAX_STUDY_SHORTFALL:
        counts.append(("Number of Study Related Instances", promised, present))
    for name, promised, present in counts:
        if promised > present:
            yield f"{name} promises {promised} images, but {present} are here"


def _first_numbers_lost(here: _Here) -> Iterator[str]:
    """Yield a line if Instance Numbers run without a gap, but begin a little after 1, and nobody has the first."""
    numbers = {slice_.instance_number for slice_ in here.slices if slice_.instance_number is not None}
    lost = min(numbers, default=1) - 1
    without_gap = len(numbers) == len(here.slices) == max(numbers, default=0) - lost
    if without_gap and MIN_LOST_NUMBERS <= lost <= MAX_LOST_SHARE * len(numbers):
        elsewhere = {s.instance_number for s in here.study if s.header.modality == "CT"} - numbers
        if not elsewhere & set(range(1, lost + 1)):
            yield f"Instance Numbers begin at {lost + 1}"


def _most(counts: Iterable[int | None]) -> int:
    return max((count for count in counts if count), default=0)


def _instances(slices: Iterable[Slice]) -> int:
    """Return the number of images but for copies; some writers give all of them one SOPInstanceUID."""
    return len({(s.sop_instance_uid, s.position_mm) for s in slices if not s.frame})


@dataclass(frozen=True, slots=True)
class _Acquisition:
    promised: int
    """Images in Acquisition; 0 if it is not written, or differs from image to image."""
    in_series: int
    in_study: int
    """Its images in all series of the study: one acquisition can be reconstructed several times."""

    @property
    def is_short(self) -> bool:
        return self.in_series < self.promised != self.in_study


def _acquisitions(here: _Here) -> list[_Acquisition]:
    """Return the acquisitions of the series.

    If there are several (step-and-shoot scanners number every table step), and none has as many images as it promises,
    then the promise is taken to be for the whole series.
    """
    numbers = {slice_.acquisition_number for slice_ in here.slices}
    found = [_acquisition(number, here) for number in numbers]
    if len(found) > 1 and all(acquisition.in_series != acquisition.promised for acquisition in found):
        promised = max(acquisition.promised for acquisition in found)
        return [_Acquisition(promised, _images(here.series), _images(here.study))]
    return found


def _acquisition(number: int | None, here: _Here) -> _Acquisition:
    in_series, in_study = (
        [s for s in group if s.acquisition_number == number and s.header.modality == "CT"]
        for group in (here.series, here.study)
    )
    promises = {slice_.images_in_acquisition for slice_ in in_series}
    promised = promises.pop() if len(promises) == 1 else None
    return _Acquisition(promised or 0, _images(in_series), _images(in_study))


def _images(slices: Iterable[Slice]) -> int:
    return len({(slice_.sop_instance_uid, slice_.frame, slice_.position_mm) for slice_ in slices})

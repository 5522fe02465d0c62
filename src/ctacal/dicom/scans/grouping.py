"""The images of one series UID as ``Part``s: each is one reconstruction of one scan.

Geometry decides, not words. Images are separated where two lie at one place, or where scans interleave. Images that
continue each other on one regular grid are one scan, whatever their Image Type, acquisition number or frame of
reference says.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from pydicom.uid import HTJ2K, JPEG2000

from ctacal.arrays import Floats
from ctacal.dicom.header import Slice
from ctacal.dicom.headers.words import plain_texts
from ctacal.dicom.pixel_data.transfer_syntaxes import LOSSY
from ctacal.dicom.scans.planes import SAME_PLACE_MM, by_plane, depths_mm, normal_of
from ctacal.dicom.scans.times import LONGEST_PAUSE_S, seconds_of
from ctacal.dicom.stack import MIN_SLICES, grid_spacing_mm
from ctacal.errors import Code, Reason

LOCALIZER_WORDS = re.compile(
    r"\blocali[sz]e|\blocali[sz]ador|\blokali[sz]|\btopogra|\bscout|\bsurview|\bscano(gra|view)|\bpilot\b|定位"
)

CONTIGUOUS = 0.9
"""Slices are contiguous, not overlapping, from this spacing on, as a share of their thickness (own choice)."""

MAX_GROUPS = 20
"""Largest number of interleaved phases that are separated; respiratory gating gives 10, cardiac gating 20."""

PASS_OVERLAP = 0.5
"""Largest share of a pass that lies beside the next pass; two that share more are repeated scans."""

GOES_ON_SPACINGS = 2.5
"""Largest distance, in slice spacings, at which another part of the images goes on where one ends."""

DIRECTION_LOSS = 1e-4
"""Parallel planes have normals whose cosine is 1 within this: an angle of 0.8 degrees."""

_PERHAPS_LOSSY_SYNTAXES = frozenset((JPEG2000, HTJ2K))
"""With or without loss; of two copies of an image, the one in such a syntax is the lossy one, or equal to the other."""


@dataclass(frozen=True, eq=False, slots=True)
class Attribute:
    """A property that distinguishes images at one place, or of interleaved scans."""

    name: str
    value: Callable[[Slice], Hashable]
    is_incidental: bool = False
    """Whether it may change along one scan without meaning anything."""
    tells_phases: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Images that are one reconstruction of one scan, or that cannot be scored for the reason ``fault``."""

    slices: tuple[Slice, ...]
    told_by: tuple[Attribute, ...] = ()
    """What tells it from the other parts of its UID, apart from matrix, pixel size and orientation."""
    notes: tuple[Reason, ...] = ()
    fault: Reason | None = None
    left_out: tuple[Slice, ...] = ()
    """Images of the same places that were left out: lossy copies, and those at the border of passes."""


def kernel_word(slice_: Slice) -> str:
    """Return the kernel in lower case, without blanks around it."""
    return " ".join(slice_.header.kernel.lower().split())


def is_lossy(slice_: Slice) -> bool:
    """Whether the pixels were compressed with loss, by header or transfer syntax."""
    return slice_.header.is_lossy or slice_.transfer_syntax in LOSSY


def _may_be_lossy(slice_: Slice) -> bool:
    return is_lossy(slice_) or slice_.transfer_syntax in _PERHAPS_LOSSY_SYNTAXES


ATTRIBUTES = (
    Attribute("kernel", kernel_word),
    Attribute("slice thickness", lambda slice_: round(slice_.thickness_mm or 0, 1)),
    Attribute("kind of pixels", lambda slice_: (slice_.header.samples_per_pixel, slice_.header.bits_allocated)),
    Attribute("compression", is_lossy),
    Attribute("image type", lambda slice_: slice_.header.image_type, is_incidental=True),
    Attribute("stack", lambda slice_: slice_.stack_id, tells_phases=True),
    Attribute("temporal position", lambda slice_: slice_.temporal_position, tells_phases=True),
    Attribute("acquisition number", lambda slice_: slice_.acquisition_number, True, True),
    Attribute("acquisition time", lambda slice_: slice_.acquired_at, True, True),
    Attribute("content time", lambda slice_: slice_.content_time, True, True),
    Attribute("frame of reference", lambda slice_: slice_.header.frame_of_reference_uid, is_incidental=True),
    Attribute("description", lambda slice_: slice_.header.series_description, is_incidental=True),
    Attribute("series number", lambda slice_: slice_.header.series_number, is_incidental=True),
)
"""In the order in which they are tried."""


def grouped(slices: Iterable[Slice], key: Callable[[Slice], Hashable]) -> dict[Hashable, list[Slice]]:
    """Group the images by a key, in the order in which the keys are met."""
    groups: dict[Hashable, list[Slice]] = {}
    for slice_ in slices:
        groups.setdefault(key(slice_), []).append(slice_)
    return groups


def parts_of(slices: Sequence[Slice]) -> list[Part]:
    """Return the reconstructions under one series UID, the largest first."""
    if all(slice_.header.modality != "CT" for slice_ in slices):
        frames = grouped(slices, lambda slice_: (slice_.header.modality, slice_.header.frame_of_reference_uid))
        return [Part(tuple(group)) for group in frames.values()]
    planes = [group for plane in by_plane(slices) for group in _localizers_apart(plane)]
    parts = [part for plane in planes for part in _separated(_without_lossy_copies(plane), ATTRIBUTES)]
    parts = [_with_faults(part) for part in sorted(parts, key=lambda part: -len(part.slices))]
    return [_with_rest(part, [other for other in parts if other is not part]) for part in parts]


def split_note(parts: Sequence[Part]) -> Reason:
    """Return the note that a series UID held several parts."""
    sizes = " + ".join(str(len(part.slices)) for part in parts)
    told_by = dict.fromkeys(attribute for part in parts for attribute in part.told_by)
    kinds = {attribute.tells_phases or attribute.is_incidental for attribute in told_by}
    held = "phases or repeated scans" if kinds == {True} else "reconstructions"
    told = f", distinguished by {' and '.join(attribute.name for attribute in told_by)}" if told_by else ""
    message = f"the series UID holds several {held} ({sizes} images{told}), which were separated"
    return Reason(Code.SERIES_SPLIT, message)


def _localizers_apart(slices: Sequence[Slice]) -> list[list[Slice]]:
    named = grouped(slices, lambda slice_: bool(LOCALIZER_WORDS.search(plain_texts(*slice_.header.image_type))))
    return list(named.values())


def _without_lossy_copies(slices: Sequence[Slice]) -> Part:
    """Leave out images that were compressed with loss if each lies where a lossless one lies."""
    lossless = [slice_ for slice_ in slices if not _may_be_lossy(slice_)]
    lossy = [slice_ for slice_ in slices if _may_be_lossy(slice_)]
    if not lossless or not lossy:
        return Part(tuple(slices))
    normal = normal_of(slices[0])
    apart_mm = np.abs(depths_mm(lossy, normal)[:, None] - depths_mm(lossless, normal))
    if not (apart_mm.min(axis=1) < SAME_PLACE_MM).all():
        return Part(tuple(slices))
    message = f"copies that were compressed with loss were left out: {len(lossy)}; the lossless images are scored"
    return Part(tuple(lossless), notes=(Reason(Code.LOSSY_COPIES_DROPPED, message),), left_out=tuple(lossy))


def _separated(part: Part, attributes: Sequence[Attribute]) -> list[Part]:
    """Separate images at one place, or of interleaved scans, by the first attribute that distinguishes them."""
    for number, attribute in enumerate(attributes, 1):
        groups = list(grouped(part.slices, attribute.value).values())
        if len(groups) == 1:
            continue
        if attribute.is_incidental and (joined := joined_passes(groups)):
            return [_of_passes(part, joined, attribute)]
        if _tells_apart(groups, attribute):
            if attribute.is_incidental and _are_of_two_scans(groups):
                return [part]  # to be refused as they are
            if attribute.tells_phases and any(slice_.frame for slice_ in part.slices):
                message = f"a multi-frame image of several phases (distinguished by {attribute.name}); send one phase"
                return [replace(part, fault=Reason(Code.SEVERAL_PHASES, message))]
            told_by = (*part.told_by, attribute)
            parts = [replace(part, slices=tuple(group), told_by=told_by) for group in groups]
            return [one for part in parts for one in _separated(part, attributes[number:])]
    return [_refused_if_numbers_alternate(part)]


def _refused_if_numbers_alternate(part: Part) -> Part:
    """Refuse overlapping slices whose numbers count several interleaved scans."""
    normal = normal_of(part.slices[0])
    depth_mm = depths_mm(part.slices, normal)
    if np.isnan(depth_mm).any() or not normal.any():
        return part
    ordered = [part.slices[index] for index in np.argsort(depth_mm)]
    many_frames = any(slice_.frame for slice_ in ordered)
    numbers = [slice_.frame if many_frames else slice_.instance_number for slice_ in ordered]
    scans = _interleaved([number for number in numbers if number is not None])
    overlap = 0 < regular_spacing_mm(part.slices, normal) < CONTIGUOUS * median_thickness_mm(part.slices)
    if scans == 1 or not overlap:
        return part
    message = f"{scans} phases or repeated scans are interleaved, as their Instance Numbers show; send one"
    return replace(part, fault=Reason(Code.SEVERAL_PHASES, message))


def _interleaved(numbers: Sequence[int]) -> int:
    """Return how many runs of consecutive numbers alternate; 1 if there is one run, or no such order."""
    ranked = np.array(numbers, np.int64)
    for runs in range(1, min(MAX_GROUPS, len(numbers) // MIN_SLICES) + 1):
        steps = np.unique(ranked[runs:] - ranked[:-runs])
        if len(steps) == 1 and abs(steps[0]) == 1:
            return runs
    return 1


def _tells_apart(groups: Sequence[Sequence[Slice]], attribute: Attribute) -> bool:
    """Whether the groups lie at the same places, or interleave, so that they cannot be one scan."""
    normal = normal_of(groups[0][0])
    depths = [depths_mm(group, normal) for group in groups]
    depth_mm = np.concatenate(depths)
    if np.isnan(depth_mm).any() or not normal.any():
        return False
    order = np.argsort(depth_mm)
    place = np.cumsum(np.diff(depth_mm[order], prepend=depth_mm[order[0]]) > SAME_PLACE_MM)
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])[order]
    images = np.bincount(place)
    if images.max() == 1:
        return _lie_between(groups, depths, normal, attribute)
    owners = np.bincount(np.unique(np.stack([place, owner]), axis=1)[0])
    return len(groups) <= images.max() and bool((owners[images > 1] > 1).all())


def _lie_between(
    groups: Sequence[Sequence[Slice]], depths: Sequence[Floats], normal: Floats, attribute: Attribute
) -> bool:
    """Whether the groups are interleaved scans: each is regular, and together their slices overlap."""
    spans = sorted((depth.min(), depth.max()) for depth in depths)
    if all(below[1] < above[0] for below, above in pairwise(spans)) or len(groups) > MAX_GROUPS:
        return False
    slices = [slice_ for group in groups for slice_ in group]
    together_mm = regular_spacing_mm(slices, normal)
    thickness_mm = median_thickness_mm(slices)
    contiguous = together_mm >= CONTIGUOUS * thickness_mm if thickness_mm else attribute.name == "image type"
    if together_mm and contiguous:
        return False
    return all(len(group) >= MIN_SLICES and regular_spacing_mm(group, normal) for group in groups)


def regular_spacing_mm(slices: Sequence[Slice], normal: Floats) -> float:
    """Return the spacing of the images' regular grid; 0 if they make none."""
    if any(slice_.position_mm is None for slice_ in slices):
        return 0.0
    return grid_spacing_mm(np.array([slice_.position_mm for slice_ in slices], np.float64), normal) or 0.0


def median_thickness_mm(slices: Iterable[Slice]) -> float:
    """Return the median Slice Thickness; 0 stands for a missing one."""
    return float(np.median([slice_.thickness_mm or 0.0 for slice_ in slices]))


def joined_passes(groups: Sequence[Sequence[Slice]], *, most_shared: int | None = None) -> list[Slice] | None:
    """Return one scan of passes that share their border slices; None if the groups are no such passes.

    Each pass is used up to the middle of what it shares with the next: ``most_shared`` images at most.
    """
    normal = normal_of(groups[0][0])
    passes = sorted(((depths_mm(group, normal), group) for group in groups), key=lambda found: float(found[0].min()))
    depths = [depth for depth, _ in passes]
    beside_another = any(above.min() <= below.max() for below, above in zip(depths, depths[2:], strict=False))
    if beside_another or any(np.isnan(depth).any() for depth in depths):
        return None  # passes lie beside the next alone
    borders = list(pairwise(depths))
    shared = [_shared(below, above) for below, above in borders]
    most = [min(PASS_OVERLAP * min(len(below), len(above)), most_shared or np.inf) for below, above in borders]
    if not any(shared) or any(number > limit for number, limit in zip(shared, most, strict=True)):
        return None
    cuts_mm = [-np.inf, *((above.min() + below.max()) / 2 + SAME_PLACE_MM for below, above in borders), np.inf]
    joined = [
        slice_
        for (depth, group), low_mm, high_mm in zip(passes, cuts_mm, cuts_mm[1:], strict=False)
        for slice_, mm in zip(group, depth, strict=True)
        if low_mm < mm <= high_mm
    ]
    return joined if regular_spacing_mm(joined, normal) else None


def _shared(below: Floats, above: Floats) -> int:
    """Return how many images of a pass lie beside the next, of the two the larger number."""
    return int(max((below > above.min() - SAME_PLACE_MM).sum(), (above < below.max() + SAME_PLACE_MM).sum()))


def _of_passes(part: Part, joined: Sequence[Slice], attribute: Attribute) -> Part:
    kept = {id(slice_) for slice_ in joined}
    left_out = [slice_ for slice_ in part.slices if id(slice_) not in kept]
    message = f"passes that share slices at their borders (distinguished by {attribute.name}) make one regular grid"
    note = Reason(Code.SCAN_JOINED, f"{message}; {len(left_out)} of the images at the borders were left out")
    return replace(part, slices=tuple(joined), notes=(*part.notes, note), left_out=(*part.left_out, *left_out))


_OWN_TO_A_PATIENT: tuple[Callable[[Slice], str], ...] = (
    lambda slice_: slice_.header.patient_birth_date,
    lambda slice_: slice_.header.patient_sex,
    lambda slice_: slice_.header.patient_age,
    lambda slice_: slice_.header.study_date,
)


def _are_of_two_scans(groups: Sequence[Sequence[Slice]]) -> bool:
    """Whether patient, date or a long pause show that the groups are no phases of one scan."""
    firsts = [group[0] for group in groups]
    if any(len({value(first) for first in firsts} - {""}) > 1 for value in _OWN_TO_A_PATIENT):
        return True
    spans = sorted(span for group in groups if (span := _time_span(group)))
    return any(after[0] - before[1] > LONGEST_PAUSE_S for before, after in pairwise(spans))


def _time_span(slices: Iterable[Slice]) -> tuple[float, float] | None:
    seconds = [second for slice_ in slices if (second := seconds_of(slice_.acquired_at)) is not None]
    return (min(seconds), max(seconds)) if seconds else None


def _with_faults(part: Part) -> Part:
    """Refuse a part whose reconstruction changes along the scan; note what else differs."""
    kernels = {kernel_word(slice_).partition("/")[0] for slice_ in part.slices} - {""}
    if len(kernels) > 1:
        message = (
            f"the kernel changes along the scan ({', '.join(sorted(kernels))}); send one reconstruction of all of it"
        )
        return replace(part, fault=Reason(Code.SCAN_IN_PARTS, message))
    frames = {slice_.header.frame_of_reference_uid for slice_ in part.slices} - {""}
    derived = sum(slice_.header.image_type[:1] == ("DERIVED",) for slice_ in part.slices)
    studies = {slice_.header.study_uid for slice_ in part.slices}
    words = [f"{len(studies)} study UIDs"] if len(studies) > 1 else []
    words += [f"{len(frames)} frames of reference"] if len(frames) > 1 else []
    words += [f"{derived} of {len(part.slices)} images marked as derived"] if 0 < derived < len(part.slices) else []
    if not words:
        return part
    message = f"the images make one regular grid and are scored as one scan, though there are {' and '.join(words)}"
    return replace(part, notes=(*part.notes, Reason(Code.SCAN_JOINED, message)))


def _with_rest(part: Part, others: Sequence[Part]) -> Part:
    """Refuse a part that is only a piece of a scan, because the other images of its UID continue it."""
    rest = [other for other in others if _has_no_place(other) or continues(part.slices, other.slices)]
    if not rest or part.fault:
        return part
    count = sum(len(other.slices) for other in rest)
    where, advice = "have no position or orientation and may lie anywhere", "send the images as the scanner made them"
    if not all(map(_has_no_place, rest)):
        where = f"go on where these end, or lie between them, but differ in {_differences(part, rest)}"
        advice = "send one reconstruction of all of it"
    message = f"{len(part.slices)} images may be only a part of the scan: the others under this series UID ({count})"
    message = f"{message} {where}"
    if count < MIN_SLICES and not any(_lies_within(other, part) for other in rest):
        return replace(part, notes=(*part.notes, Reason(Code.SCAN_GOES_ON, message)))
    return replace(part, fault=Reason(Code.SCAN_IN_PARTS, f"{message}; {advice}"))


def _lies_within(other: Part, part: Part) -> bool:
    normal = normal_of(part.slices[0])
    here, there = depths_mm(part.slices, normal), depths_mm(other.slices, normal)
    return bool(here.min() < there.min() and there.max() < here.max())


def _has_no_place(part: Part) -> bool:
    """Whether grey images of more than 8 bits lack orientation or position: they may lie anywhere in the scan."""
    first = part.slices[0]
    placed = first.orientation and first.position_mm
    is_ct = first.header.modality == "CT" and first.header.samples_per_pixel == 1 and first.header.bits_allocated != 8
    return is_ct and not placed


def continues(slices: Sequence[Slice], others: Sequence[Slice]) -> bool:
    """Whether the other images go on where the first end, or fill the places between them, in parallel planes."""
    normal = normal_of(slices[0])
    if abs(normal @ normal_of(others[0])) < 1 - DIRECTION_LOSS:
        return False
    here, there = depths_mm(slices, normal), depths_mm(others, normal)
    if np.isnan(here).any() or np.isnan(there).any() or len(here) < 2:
        return False
    overlap_mm = min(here.max(), there.max()) - max(here.min(), there.min())
    if overlap_mm < 0:
        return bool(-overlap_mm <= GOES_ON_SPACINGS * np.median(np.diff(np.sort(here))))
    beyond = there.max() > here.max() or there.min() < here.min()
    if beyond and overlap_mm <= PASS_OVERLAP * min(np.ptp(here), np.ptp(there)):
        return True
    return _fill_gaps(np.sort(np.concatenate([here, there])), median_thickness_mm(slices))


def _fill_gaps(depth_mm: Floats, thickness_mm: float) -> bool:
    """Whether interleaved images make one even grid of contiguous slices."""
    steps_mm = np.diff(depth_mm)
    even = np.ptp(steps_mm) <= 2 * SAME_PLACE_MM + 0.1 * np.median(steps_mm)
    return bool(even and np.median(steps_mm) >= max(CONTIGUOUS * thickness_mm, 2 * SAME_PLACE_MM))


def _differences(part: Part, rest: Sequence[Part]) -> str:
    """Return in words what tells the parts from each other."""
    a, b = part.slices[0], rest[0].slices[0]
    differing = {
        "modality": a.header.modality != b.header.modality,
        "matrix": (a.rows, a.columns) != (b.rows, b.columns),
        "pixel size": a.pixel_spacing_mm != b.pixel_spacing_mm,
        "Image Orientation (Patient)": a.orientation != b.orientation,
        "kernel": kernel_word(a) != kernel_word(b),
    }
    told = [name for name, differs in differing.items() if differs]
    return " and ".join(told) or " and ".join(attribute.name for attribute in part.told_by) or "image type"

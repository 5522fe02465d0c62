"""Series, or studies, that are pieces of one scan: a scan sent in two parts, or with a UID drawn for each file.

Pieces are one scan if they are alike in all that a reconstruction sets, if together they make one regular grid, and if
frame of reference, time or numbers of neighbouring images agree. A scan and its repetition never do: they overlap.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np

from ctacal.dicom.header import Slice
from ctacal.dicom.scans.grouping import (
    CONTIGUOUS,
    continues,
    is_lossy,
    joined_passes,
    kernel_word,
    median_thickness_mm,
    regular_spacing_mm,
)
from ctacal.dicom.scans.planes import by_plane, centre_mm, depths_mm, normal_of
from ctacal.dicom.scans.times import LONGEST_PAUSE_S, seconds_of
from ctacal.dicom.stack import MIN_SLICES
from ctacal.errors import Code, Reason

SAME_CENTRE_MM = 50.0
"""Largest distance in plane of the middles of two series of which one goes on where the other ends (own choice)."""

SHORT_SCAN_MM = 300.0
"""Longest scan of the heart alone; a longer one is of the trunk, and may end where a scan of head or legs begins."""

MOST_SHARED = 2
"""Largest number of images at a border that two series of one scan share; two that share more stand for themselves."""

SAME_SPACING = 0.1
"""Largest difference of their spacings, as a share."""

Piece = Sequence[Slice]


@dataclass(frozen=True, eq=False, slots=True)
class JoinedScan:
    """Pieces, by their indices, that are one scan, or that make no scan for the reason ``fault``."""

    pieces: tuple[int, ...]
    slices: tuple[Slice, ...]
    """From feet to head; without images of a border that two pieces share."""
    note: Reason
    fault: Reason | None = None


def joined_scans(pieces: Sequence[Piece]) -> list[JoinedScan]:
    """Return the scans that several of the pieces make together."""
    alike: dict[Hashable, list[int]] = {}
    for plane, group in enumerate(by_plane([piece[0] for piece in pieces])):
        members = {id(slice_) for slice_ in group}
        for index, piece in enumerate(pieces):
            if id(piece[0]) in members:
                alike.setdefault((plane, *_reconstruction(piece[0])), []).append(index)
    return [scan for indices in alike.values() if len(indices) > 1 for scan in _joined(pieces, indices, _KEYS)]


def _reconstruction(slice_: Slice) -> tuple[Hashable, ...]:
    """Return what the pieces of a scan have in common, apart from their planes."""
    header = slice_.header
    equipment = header.manufacturer, header.model, header.samples_per_pixel, header.bits_allocated
    return kernel_word(slice_), round(slice_.thickness_mm or 0, 1), round(header.kvp or 0), is_lossy(slice_), equipment


_KEYS: tuple[Callable[[Slice], Hashable], ...] = (
    lambda slice_: slice_.header.frame_of_reference_uid,
    lambda slice_: slice_.header.series_description,
    lambda slice_: slice_.header.series_number,
    lambda slice_: slice_.acquired_at,
    lambda slice_: slice_.acquisition_number,
)
"""By what several scans, each in pieces, are separated."""


def _joined(
    pieces: Sequence[Piece], indices: Sequence[int], keys: Sequence[Callable[[Slice], Hashable]]
) -> list[JoinedScan]:
    found = [pieces[index] for index in indices]
    if len(found) < 2:
        return []
    if slices := _one_scan(found):
        return [JoinedScan(tuple(indices), tuple(slices), _note(slices))]
    scans, left = list[JoinedScan](), list(indices)
    for number, key in enumerate(keys, 1):
        groups: dict[Hashable, list[int]] = {}
        for index in left:
            groups.setdefault(key(pieces[index][0]), []).append(index)
        if len(groups) > 1:
            scans = [scan for group in groups.values() for scan in _joined(pieces, group, keys[number:])]
            break
    return scans or _scattered(found, indices)


def _one_scan(pieces: Sequence[Piece]) -> list[Slice] | None:
    """Return the images, from feet to head, if the pieces are one scan; else None."""
    normal = normal_of(pieces[0][0])
    depths = [depths_mm(piece, normal) for piece in pieces]
    if any(np.isnan(depth).any() for depth in depths):
        return None
    slices: list[Slice] = [slice_ for piece in pieces for slice_ in piece]
    together_mm, thick_mm = regular_spacing_mm(slices, normal), median_thickness_mm(slices)
    spans = sorted((depth.min(), depth.max()) for depth in depths)
    in_turn = all(below[1] < above[0] for below, above in pairwise(spans))
    if not together_mm or not (in_turn or together_mm >= CONTIGUOUS * thick_mm > 0):
        slices = joined_passes(pieces, most_shared=MOST_SHARED) or []
    ordered = [slices[index] for index in np.argsort(depths_mm(slices, normal))] if slices else []
    owner = {id(slice_): number for number, piece in enumerate(pieces) for slice_ in piece}
    scattered = max(map(len, pieces)) < MIN_SLICES
    seams = ((a, b) for a, b in pairwise(ordered) if owner[id(a)] != owner[id(b)])
    return ordered if ordered and all(_belong_together(a, b, scattered=scattered) for a, b in seams) else None


def _belong_together(a: Slice, b: Slice, *, scattered: bool) -> bool:
    """Whether headers say that neighbouring images of two pieces are of one scan.

    Of a scan that is scattered over a series for each image, the regular grid says enough.
    """
    times = seconds_of(a.acquired_at), seconds_of(b.acquired_at)
    if times[0] is not None and times[1] is not None:
        return abs(times[0] - times[1]) <= LONGEST_PAUSE_S
    if a.header.frame_of_reference_uid and a.header.frame_of_reference_uid == b.header.frame_of_reference_uid:
        return True
    numbers = a.instance_number, b.instance_number
    return scattered or (numbers[0] is not None and numbers[1] is not None and abs(numbers[0] - numbers[1]) == 1)


def _note(slices: Iterable[Slice]) -> Reason:
    first = next(iter(slices))
    counts = {
        "study": len({slice_.header.study_uid for slice_ in slices}),
        "series": len({slice_.header.series_uid for slice_ in slices}),
    }
    spread = " and ".join(f"{count} {what} UIDs" for what, count in counts.items() if count > 1)
    return Reason(
        Code.SCAN_JOINED,
        f"the images have {spread}, but make one regular grid and are scored as one scan, which is named by its lowest "
        f"image (series {first.header.series_uid})",
    )


def _scattered(found: Sequence[Piece], indices: Sequence[int]) -> list[JoinedScan]:
    """Return images that are spread over very small series, and make no scan, as one scan with that fault."""
    slices = [slice_ for piece in found for slice_ in piece]
    if max(map(len, found)) >= MIN_SLICES or len(slices) < MIN_SLICES:
        return []
    message = (
        f"{len(slices)} images are spread over {len(found)} series UIDs, and make no single scan on a regular grid"
    )
    fault = Reason(Code.SCAN_IN_PARTS, f"{message}; send each scan as one series")
    return [JoinedScan(tuple(indices), tuple(slices), _note(slices), fault)]


def joined_studies(studies: Sequence[Sequence[Slice]]) -> list[list[int]]:
    """Group studies, by their indices: those of one patient and day that hold pieces of one scan, the others alone."""
    patients: dict[Hashable, list[int]] = {}
    for index, study in enumerate(studies):
        patients.setdefault(_patient_and_day(study[0]), []).append(index)
    return [group for indices in patients.values() for group in _linked(studies, indices)]


def _patient_and_day(slice_: Slice) -> tuple[str, ...]:
    header = slice_.header
    return header.patient_id, header.patient_name, header.patient_birth_date, header.study_date


def same_patient_and_day(slice_: Slice) -> Hashable:
    """Return a key of the studies in which a scan may go on; without identifiers, those of one frame of reference."""
    key = _patient_and_day(slice_)
    return key if any(key[:3]) else (*key, slice_.header.frame_of_reference_uid)


def _linked(studies: Sequence[Sequence[Slice]], indices: Sequence[int]) -> list[list[int]]:
    if len(indices) == 1:
        return [list(indices)]
    pieces: dict[tuple[int, str], list[Slice]] = {}
    for index in indices:
        for slice_ in studies[index]:
            if slice_.header.modality == "CT":
                pieces.setdefault((index, slice_.header.series_uid), []).append(slice_)
    groups = [{index} for index in indices]
    owners = [index for index, _ in pieces]
    for scan in joined_scans(list(pieces.values())):
        linked = {owners[piece] for piece in scan.pieces} if scan.fault is None else set()
        apart = [group for group in groups if not group & linked]
        groups = [*apart, set().union(*(group for group in groups if group & linked))] if linked else groups
    return [sorted(group) for group in groups]


def continued(pieces: Sequence[Piece]) -> Iterator[tuple[int, int]]:
    """Yield (index, other index) of each series whose scan goes on in another, on a like grid."""
    large = [index for index, piece in enumerate(pieces) if len(piece) >= MIN_SLICES]
    if len(large) < 2:
        return
    spacings = {index: regular_spacing_mm(pieces[index], normal_of(pieces[index][0])) for index in large}
    for here, there in permutations(large, 2):
        spacing, other = spacings[here], spacings[there]
        alike = min(spacing, other) > 0 and max(spacing, other) <= (1 + SAME_SPACING) * min(spacing, other)
        if alike and _goes_on(pieces[here], pieces[there], spacing * len(pieces[here])):
            yield here, there


def _goes_on(piece: Piece, other: Piece, length_mm: float) -> bool:
    """Whether a scan goes on in another series; one of another matrix or pixel size matters to a short scan only."""
    normal = normal_of(piece[0])
    aside = centre_mm(piece[0]) - centre_mm(other[0])
    if not np.linalg.norm(aside - (aside @ normal) * normal) <= SAME_CENTRE_MM or not continues(piece, other):
        return False
    return length_mm <= SHORT_SCAN_MM or len(by_plane([piece[0], other[0]])) == 1

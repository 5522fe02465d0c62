"""Whether the pixels of a stack show one scan: no seam, no second scan in between, no slice of another place.

De-identifiers that give several scans one UID can leave no other trace. ``benchmarks/seams.py`` prints the measures. In
21 scans (7 real, 14 simulated) neighbours differ at most 1.3 times as much as the next pairs, and 0.7 times as much as
slices 30 mm apart. Where two of them were set above each other (420 pairs, two kernels of one chest among them), 95 %
gave at least 6.1 and 1.6 times.
"""

from collections.abc import Sequence

import numpy as np

from ctacal.arrays import Floats32, Mask
from ctacal.dicom.header import Slice
from ctacal.errors import Code, Reason, Refusal

CLIP_HU = (-1000.0, 200.0)
"""Range in which slices are compared: of air, soft tissue and their edges, not of metal and bone."""

FAR_MM = 30.0
"""Distance over which the anatomy changes as much as a deep breath moves it."""

SEAM = (4.0, 1.2, 120.0)
"""Two scans: change at the seam against the next pairs, against slices ``FAR_MM`` apart, and its mean in HU."""

JUMP = (2.5, 0.8, 40.0)
"""A jump: the same three measures; a patient who moved by 10 to 20 mm, or slices missing, gives as much."""

INTERLEAVED = (1.3, 20.0)
"""Two scans in turn: how much more neighbours differ than slices two, three or four apart, and by how many HU at least.
In scans tried by hand neighbours differ at most 0.75 times as much; a patient who lies 4 mm aside in the second scan
gives 2 to 9 times, and 50 HU."""

MISPLACED = (1.7, 20.0)
"""A slice of another place: how much more it differs from both neighbours than these differ from each other, and by how
many HU at least. In the 21 scans 0.93 times is the most."""

MAX_COPIES = 0.1
"""Largest share of neighbours that are equal in a scan; more are a drawn body, whose slices may be copies (own
choice)."""

BODY_HU = -300.0
"""Above this value lie body and table."""

MIN_BODY_SHARE = 0.25
"""Smallest cross-section of a body, as a share of the median's; beyond head or phantom lies the table alone."""

MIN_CHANGE_HU = 1.0
"""Least change from slice to slice that noise gives; slices that change less are copies, as of a drawn body."""

_ENDS = 2
"""Number of pairs that a seam must have on each side."""


def require_one_scan(sample: Floats32, slices: Sequence[Slice | None], spacing_mm: float) -> tuple[Reason, ...]:
    """Return a note where the image jumps; ``sample`` holds the HU of some pixels, (slices, rows, columns).

    Raises ``Refusal``: ``TWO_SCANS`` if the jump is as large as between two people, or if two scans alternate;
    ``INCONSISTENT_SLICE`` if a slice shows another place than the one that its position tells.
    """
    if len(sample) < 2 * _ENDS + 2 or min(sample.shape[1:]) < 2:
        return ()
    planes = _smooth(sample)
    change = _change(planes, 1)
    if _alternates(planes, change):
        raise Refusal(
            Code.TWO_SCANS,
            "neighbouring slices differ more than slices farther apart: two scans or phases are interleaved; "
            "separate them, and send one",
        )
    _require_places(planes, change, slices)
    measures = _seams(planes, change, max(1, round(FAR_MM / spacing_mm)))
    measures[~_has_body(planes)] = 0
    worst = int(np.argmax(measures[:, 0] * (measures >= JUMP).all(axis=1)))
    return _judged(measures[worst], slices, worst + _ENDS)


def _require_places(planes: Floats32, change: Floats32, slices: Sequence[Slice | None]) -> None:
    """Refuse a slice that does not resemble its neighbours, or that is a copy of one: a wrong file was stored."""
    times, least_hu = MISPLACED
    lonely = np.minimum(change[:-1], change[1:]) / (_change(planes, 2) + 1)
    worst = int(np.argmax(lonely))
    if lonely[worst] >= times and min(change[worst : worst + 2]) >= least_hu:
        message = f"{_names(slices, worst + 1, 1)}: the image does not resemble its neighbours"
        raise Refusal(Code.INCONSISTENT_SLICE, f"{message}; it shows another place or scan; send the series again")
    copies = np.flatnonzero((change == 0) & _body(planes)[1:])
    if 0 < copies.size <= MAX_COPIES * len(change) and float(np.median(change)) > MIN_CHANGE_HU:
        message = f"{_names(slices, int(copies[0]), 2)} hold the same image at two places"
        raise Refusal(Code.INCONSISTENT_SLICE, f"{message}; one of them is wrong; send the series again")


def _names(slices: Sequence[Slice | None], first: int, count: int) -> str:
    """Return the names of neighbouring slices, by file where there is one."""
    part = enumerate(slices[first : first + count], first)
    return " and ".join(f"slice {index}" if slice_ is None else str(slice_.source) for index, slice_ in part)


def _judged(measures: Floats32, slices: Sequence[Slice | None], below: int) -> tuple[Reason, ...]:
    pair = _names(slices, below, 2)
    found = f"the image changes {measures[0]:.1f} times as much between {pair} as between the slices around them"
    if (measures >= SEAM).all():
        raise Refusal(Code.TWO_SCANS, f"{found}: two scans, one above the other; separate them, and send one")
    if (measures >= JUMP).all():
        return (Reason(Code.CONTENT_JUMP, f"{found}: the patient moved, or slices are missing; look at the images"),)
    return ()


def _smooth(sample: Floats32) -> Floats32:
    """Average 2 x 2 pixels of the clipped values, which halves the noise."""
    rows, columns = (size // 2 * 2 for size in sample.shape[1:])
    clipped = np.clip(sample[:, :rows, :columns], *CLIP_HU)
    pairs = clipped[:, ::2] + clipped[:, 1::2]
    return np.asarray((pairs[:, :, ::2] + pairs[:, :, 1::2]) / 4, np.float32)


def _change(planes: Floats32, step: int) -> Floats32:
    """Return the mean absolute difference in HU of slices ``step`` apart."""
    change: Floats32 = np.abs(planes[step:] - planes[:-step]).mean(axis=(1, 2))
    return change


def _alternates(planes: Floats32, change: Floats32) -> bool:
    times, least_hu = INTERLEAVED
    if float(np.median(change)) < least_hu:
        return False
    others = [_change(planes, step) for step in (2, 3, 4)]
    return any(float(np.median(change[: len(other)] / (other + 1))) >= times for other in others)


def _has_body(planes: Floats32) -> Mask:
    """Whether both slices show a body, for each pair of neighbours between the ends."""
    body = _body(planes)
    return (body[:-1] & body[1:])[_ENDS:-_ENDS]


def _body(planes: Floats32) -> Mask:
    """Whether each slice shows a body."""
    size = (planes > BODY_HU).mean(axis=(1, 2))
    return np.asarray(size > MIN_BODY_SHARE * np.median(size))


def _seams(planes: Floats32, change: Floats32, far: int) -> Floats32:
    """Return the three measures of ``SEAM`` for each pair of neighbours between the ends; 0 where there is no jump."""
    last = len(planes) - 1
    found = np.zeros((len(change) - 2 * _ENDS, 3), np.float32)
    for row, below in enumerate(range(_ENDS, len(change) - _ENDS)):
        around = change[below - 2 : below].max(), change[below + 1 : below + 3].max()
        if min(around) < MIN_CHANGE_HU or change[below] < JUMP[0] * max(around):
            continue
        ends = (below, max(0, below - far)), (below + 1, min(last, below + 1 + far))
        distant = max(float(np.abs(planes[a] - planes[b]).mean()) for a, b in ends)
        found[row] = change[below] / max(around), change[below] / (distant + 1), change[below]
    return found

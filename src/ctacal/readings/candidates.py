"""``Candidates``: the connected voxels at or above the threshold in and around the heart, which a reader labels.

They are connected by the code that finds lesions, so that a click marks exactly what scores as one. A reader's cuts
divide them: voxels on either side of a line are not connected.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Box, Bytes, Floats, Ints, Mask
from ctacal.components import Runs, cut_runs, join, merged
from ctacal.heart import HeartMask
from ctacal.labels import Calcium
from ctacal.lesion import Lesions, across_slices, alike, in_plane, measured
from ctacal.morphology import grown
from ctacal.readings.marks import Marks, Shape
from ctacal.scores import ScoringRule, component_agatston
from ctacal.volume import Volume

REACH_MM = 10.0
"""Distance beyond the heart up to which a candidate that begins in it is followed in plane: further than a plaque
reaches, not yet the whole of a bone that touches the heart (own choice)."""

GROWTH_MM = 60.0
"""Distance up to which calcium is grown from a clicked voxel (own choice: half of a heart)."""

MAX_GROWN_MM3 = 10_000.0
"""Largest volume that is grown from a clicked voxel; more is bone, or blood with contrast medium (own choice)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A straight line through a slice that divides a candidate, in slices ``first`` to ``last``."""

    candidate: int
    """First voxel of the candidate that was cut."""
    start: tuple[float, float]
    """(row, column) of a point of the line; the centres of pixels are whole numbers."""
    end: tuple[float, float]
    first: int
    last: int

    def side(self, voxel: Ints, shape: Shape) -> Bytes:
        """Return the side of the line on which each voxel lies, 1 or 2; 0 for a slice that is not cut."""
        plane, row, column = np.unravel_index(voxel, shape)
        (row0, column0), (row1, column1) = self.start, self.end
        across = (column1 - column0) * (row - row0) - (row1 - row0) * (column - column0)
        cut = (plane >= self.first) & (plane <= self.last)
        return np.where(cut, np.where(across >= 0, 1, 2), 0).astype(np.uint8)


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """Connected voxels at or above the threshold, and what they would score if they were coronary."""

    voxel: Ints
    """Flat indices, rising; the first names the candidate."""
    lesions: Lesions
    """Its components, one for each connected part in a slice."""
    agatston: float
    peak: int
    """Flat index of its brightest voxel."""

    @property
    def number(self) -> int:
        """Its name: the flat index of its first voxel."""
        return int(self.voxel[0])

    @property
    def hidden(self) -> bool:
        """Whether no part of it reaches the rule's floor, as noise does not."""
        return self.agatston == 0


@dataclass(frozen=True, eq=False, slots=True)
class Candidates:
    """The candidates of a scan, by name."""

    by_number: dict[int, Candidate]
    connectivity: int
    shape: Shape

    def holding(self, voxel: int) -> Candidate | None:
        """Return the candidate that a voxel belongs to; None if it belongs to none."""
        for candidate in self.by_number.values():
            place = int(np.searchsorted(candidate.voxel, voxel))
            if place < len(candidate.voxel) and candidate.voxel[place] == voxel:
                return candidate
        return None


def find_candidates(volume: Volume, rule: ScoringRule, heart: HeartMask | None, start: Marks) -> Candidates:
    """Find the candidates that touch the heart, or a voxel that is marked at the ``start``.

    Without a heart only what is marked gives candidates: all bones would be candidates too.
    """
    shape = volume.geometry.shape
    seed, reach = _region(volume, heart)
    bright = _bright_in(volume, rule.threshold_hu, reach)
    marked = start.voxel[_hu(volume, start.voxel) >= rule.threshold_hu]
    voxel = np.union1d(bright, marked)
    runs, part = _connected(voxel, np.zeros(len(voxel), np.uint8), shape, rule.connectivity)
    touched = np.isin(voxel, marked) | (seed.reshape(-1)[voxel] if seed is not None else False)
    of_voxel = np.repeat(part, runs.pixels)
    kept = np.isin(of_voxel, of_voxel[touched])
    return candidates_of(volume, rule, voxel[kept])


def candidates_of(volume: Volume, rule: ScoringRule, voxel: Ints, group: Bytes | None = None) -> Candidates:
    """Return the connected parts of voxels as candidates; voxels of different ``group`` are not connected."""
    shape = volume.geometry.shape
    if not len(voxel):
        return Candidates({}, rule.connectivity, shape)
    group = np.zeros(len(voxel), np.uint8) if group is None else group
    runs, part = _connected(voxel, group, shape, rule.connectivity)
    of_voxel = np.repeat(part, runs.pixels)
    order = np.argsort(of_voxel, kind="stable")
    pieces = np.split(voxel[order], np.flatnonzero(np.diff(of_voxel[order])) + 1)
    found = (_candidate(volume, rule, piece) for piece in pieces)
    return Candidates({candidate.number: candidate for candidate in found}, rule.connectivity, shape)


def divided(volume: Volume, rule: ScoringRule, candidates: Candidates, cut: Cut) -> list[Candidate]:
    """Return the pieces of the candidate that a cut divides.

    Raises ``ValueError`` if there is no such candidate, or the line does not divide it.
    """
    whole = candidates.by_number.get(cut.candidate)
    if whole is None:
        raise ValueError(f"candidate: {cut.candidate} is not a candidate")
    side = cut.side(whole.voxel, candidates.shape)
    pieces = list(candidates_of(volume, rule, whole.voxel, side).by_number.values())
    if len(pieces) < 2:
        raise ValueError("the line does not divide the candidate; draw it through its voxels")
    return pieces


def after_cuts(volume: Volume, rule: ScoringRule, candidates: Candidates, cuts: Iterable[Cut]) -> Candidates:
    """Return the candidates after cuts, in turn."""
    by_number = dict(candidates.by_number)
    for cut in cuts:
        pieces = divided(volume, rule, Candidates(by_number, candidates.connectivity, candidates.shape), cut)
        del by_number[cut.candidate]
        by_number |= {piece.number: piece for piece in pieces}
    return Candidates(by_number, candidates.connectivity, candidates.shape)


def within_depth(voxel: Ints, seed: int, depth: int | None, shape: Shape, connectivity: int) -> Ints:
    """Return the voxels that hang together with ``seed`` within ``depth`` slices above and below it; None: all."""
    if depth is None:
        return voxel
    plane = shape[1] * shape[2]
    near = voxel[np.abs(voxel // plane - seed // plane) <= depth]
    runs, part = _connected(near, np.zeros(len(near), np.uint8), shape, connectivity)
    of_voxel = np.repeat(part, runs.pixels)
    return np.asarray(near[of_voxel == of_voxel[np.searchsorted(near, seed)]], np.int64)


def grown_from(volume: Volume, rule: ScoringRule, seed: int, depth: int | None) -> Ints:
    """Return the voxels at or above the threshold that hang together with ``seed``, within ``GROWTH_MM`` of it.

    Raises ``ValueError`` if the voxel is below the threshold, or if they are more than ``MAX_GROWN_MM3``.
    """
    shape = volume.geometry.shape
    if _hu(volume, np.array([seed]))[0] < rule.threshold_hu:
        raise ValueError(f"voxel: it is below the threshold of {rule.threshold_hu:g} HU")
    bright = _bright_in(volume, rule.threshold_hu, _around(volume, seed, depth))
    runs, part = _connected(bright, np.zeros(len(bright), np.uint8), shape, rule.connectivity)
    of_voxel = np.repeat(part, runs.pixels)
    found: Ints = bright[of_voxel == of_voxel[np.searchsorted(bright, seed)]]
    if len(found) * volume.geometry.voxel_volume_mm3 > MAX_GROWN_MM3:
        raise ValueError("what hangs together there is as large as bone; set a depth limit, or draw a lasso")
    return found


def reading_box(volume: Volume, heart: HeartMask | None) -> Box:
    """Return the box that holds the heart and what is followed beyond it; the whole volume without a heart."""
    if heart is None:
        slices, rows, columns = (slice(0, n) for n in volume.geometry.shape)
        return slices, rows, columns
    slices, *planar = heart.bounding_box
    rows, columns = (
        _widened(span, round(REACH_MM / mm), n)
        for span, mm, n in zip(planar, volume.geometry.spacing_mm[1:], volume.geometry.shape[1:], strict=True)
    )
    return slices, rows, columns


def _region(volume: Volume, heart: HeartMask | None) -> tuple[Mask | None, Mask | Box | None]:
    """Return the heart, and the part of the volume in which what touches it is followed."""
    if heart is None:
        return None, None
    box = reading_box(volume, heart)
    reach = np.zeros(volume.geometry.shape, bool)
    reach[box] = grown(heart.mask[box], REACH_MM, volume.geometry.spacing_mm[1])
    return heart.mask, reach


def _around(volume: Volume, seed: int, depth: int | None) -> Box:
    place = np.unravel_index(seed, volume.geometry.shape)
    steps = [round(GROWTH_MM / mm) for mm in volume.geometry.spacing_mm]
    if depth is not None:
        steps[0] = depth
    slices, rows, columns = (
        _widened(slice(int(index), int(index) + 1), step, n)
        for index, step, n in zip(place, steps, volume.geometry.shape, strict=True)
    )
    return slices, rows, columns


def _widened(span: slice, by: int, n: int) -> slice:
    return slice(max(0, span.start - by), min(n, span.stop + by))


def _bright_in(volume: Volume, threshold_hu: float, part: Mask | Box | None) -> Ints:
    """Return the flat indices, rising, of the voxels at or above the threshold in a mask or a box."""
    if part is None:
        return np.zeros(0, np.int64)
    if isinstance(part, tuple):
        places = np.nonzero(volume.hu[part] >= threshold_hu)
        shifted = tuple(index + span.start for index, span in zip(places, part, strict=True))
        return np.asarray(np.ravel_multi_index(shifted, volume.geometry.shape), np.int64)
    size = volume.hu[0].size
    planes = np.flatnonzero(part.any(axis=(1, 2)))
    found = [index * size + np.flatnonzero((volume.hu[index] >= threshold_hu) & part[index]) for index in planes]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _hu(volume: Volume, voxel: Ints) -> Floats:
    return volume.hu.reshape(-1)[voxel].astype(np.float64)


def _connected(voxel: Ints, group: Bytes, shape: Shape, connectivity: int) -> tuple[Runs, Ints]:
    """Return the runs of voxels, and the connected part of each: in plane as the rule says, across slices by 9."""
    runs = cut_runs(voxel, shape, group)
    edges = alike(merged(in_plane(runs, connectivity), across_slices(runs)), group[runs.begin].astype(np.int64))
    return runs, join(len(runs.first), edges)


def _candidate(volume: Volume, rule: ScoringRule, voxel: Ints) -> Candidate:
    runs = cut_runs(voxel, volume.geometry.shape)
    component = join(len(runs.first), in_plane(runs, rule.connectivity))
    n = int(component.max()) + 1
    label, lesion = np.full(n, int(Calcium.CORONARY)), np.zeros(n, np.int64)
    lesions = measured(volume.hu.reshape(-1)[voxel], volume.geometry, runs, component, label, lesion)
    agatston = float(component_agatston(lesions, rule).sum())
    return Candidate(voxel, lesions, agatston, int(voxel[_hu(volume, voxel).argmax()]))


def in_order(candidates: Candidates, start: Marks) -> Sequence[Candidate]:
    """Return the candidates in the order in which they matter: marked at the start, then by score; hidden ones last."""

    def weight(candidate: Candidate) -> tuple[bool, bool, float, int]:
        marked = bool(start.at(candidate.voxel).any())
        return candidate.hidden, not marked, -candidate.agatston, candidate.number

    return sorted(candidates.by_number.values(), key=weight)

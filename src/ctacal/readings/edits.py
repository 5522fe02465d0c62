"""A reader's gestures on a scan -> ``Edit``s: what a click, a stroke or a line changes in the marks."""

from collections.abc import Sequence

import numpy as np

from ctacal.arrays import Bytes, Ints
from ctacal.labels import Calcium
from ctacal.readings.candidates import Candidates, Cut, divided, grown_from, within_depth
from ctacal.readings.marks import Change, Marks, from_runs
from ctacal.readings.reading import Edit, Reading
from ctacal.scores import ScoringRule
from ctacal.volume import Volume

_NO_CHANGE = Change(np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.uint8))


def click(
    volume: Volume,
    rule: ScoringRule,
    candidates: Candidates,
    marks: Marks,
    voxel: Sequence[int],
    label: int,
    depth: int | None,
) -> Edit:
    """Label the candidate that holds a voxel, or what grows from the voxel if none does; label 0 clears it.

    ``depth`` limits it to so many slices above and below. Raises ``ValueError`` naming the field.
    """
    seed = _flat(volume, voxel)
    _check_label(label)
    if depth is not None and depth < 0:
        raise ValueError(f"depth: expected 0 or more slices, got {depth}")
    candidate = candidates.holding(seed)
    found = candidate.voxel if candidate else grown_from(volume, rule, seed, depth)
    found = within_depth(found, seed, depth, candidates.shape, rule.connectivity)
    if not candidate:  # what belongs to a candidate is left to it: a cut must not be passed by
        taken = [other.voxel for other in candidates.by_number.values()]
        found = found[~np.isin(found, np.concatenate([np.zeros(0, np.int64), *taken]))]
    return Edit(marks.change_to(found, label))


def paint(volume: Volume, rule: ScoringRule, marks: Marks, runs: Sequence[int], label: int) -> Edit:
    """Label the voxels of a stroke; 0 erases. Raises ``ValueError`` if a labelled voxel is below the threshold."""
    _check_label(label)
    voxel = from_runs(runs, volume.geometry.shape)
    if label and (volume.hu.reshape(-1)[voxel] < rule.threshold_hu).any():
        raise ValueError(f"runs: a voxel lies below the threshold of {rule.threshold_hu:g} HU")
    return Edit(marks.change_to(voxel, label))


def divide(volume: Volume, rule: ScoringRule, candidates: Candidates, cut: Cut) -> Edit:
    """Cut a candidate in pieces. Raises ``ValueError`` if the line does not divide it."""
    divided(volume, rule, candidates, cut)
    return Edit(_NO_CHANGE, cut)


def take(marks: Marks, other: Marks) -> Edit:
    """Replace all marks by those of another reading."""
    voxel = np.union1d(marks.voxel, other.voxel)
    return Edit(marks.change_to(voxel, other.at(voxel)))


def changed(before: Reading, after: Reading) -> tuple[Ints, Bytes]:
    """Return the voxels whose label differs between two states, with the new label."""
    voxel = np.union1d(before.marks.voxel, after.marks.voxel)
    old, new = before.marks.at(voxel), after.marks.at(voxel)
    return voxel[old != new], new[old != new]


def _flat(volume: Volume, voxel: Sequence[int]) -> int:
    shape = volume.geometry.shape
    if len(voxel) != 3 or not all(type(index) is int and 0 <= index < n for index, n in zip(voxel, shape, strict=True)):
        raise ValueError(f"voxel: expected slice, row and column within {shape}, got {list(voxel)}")
    return int(np.ravel_multi_index(tuple(voxel), shape))


def _check_label(label: int) -> None:
    if not 0 <= label <= max(Calcium):
        raise ValueError(f"label: expected 0..{int(max(Calcium))}, got {label}")

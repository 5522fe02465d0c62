"""Agreement of two label maps, lesion by lesion: lesions found and missed, false lesions, Dice, by vessel and in all.

``match_lesions`` compares the label maps of one study; ``lesion_agreement`` sums up many studies. A lesion is coronary
calcium that is connected (26 neighbours), whatever vessels its voxels are named for; its vessel is that of most voxels.
It is found if the other marks one of its voxels as coronary calcium (own choice: two readers who click the same lesion
differ in its edge, not in its place).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Bytes, Floats, Ints
from ctacal.components import cut_runs, join, merged, touching
from ctacal.labels import CORONARY_LABELS, Calcium
from ctacal.statistics.bootstrap import drawn_sums, numbered, percentile_interval, resampling
from ctacal.statistics.estimate import Estimate

VALUES = int(max(CORONARY_LABELS)) + 1
"""Rows of a table of lesions: 0 for no coronary calcium, then the coronary values of ``Calcium``."""


@dataclass(frozen=True, eq=False, slots=True)
class LesionMatch:
    """Two label maps of one study. Rows and columns are ``Calcium`` values, 0 stands for no coronary calcium."""

    lesions: Ints
    """(6, 6): lesions of the reference by their vessel (row) and the other's vessel (column; 0: missed). Row 0 holds
    the lesions of the other that the reference does not mark."""
    volume_mm3: Floats
    """(6, 6): volume by the reference's (row) and the other's label (column)."""


@dataclass(frozen=True, slots=True)
class VesselLesions:
    """Lesions of one vessel, or of all."""

    lesions: int
    """Of the reference."""
    found: Estimate
    """Share that the other marks: sensitivity per lesion."""
    same_vessel: Estimate
    """Share that the other marks in the same vessel."""
    false_per_scan: Estimate
    """Lesions of the other that the reference does not mark, per scan."""
    dice: Estimate
    """2 (volume both mark) / (sum of their volumes), of all studies together."""


@dataclass(frozen=True, eq=False, slots=True)
class LesionAgreement:
    """Lesions of many studies."""

    studies: int
    lesions: Ints
    """(6, 6): sum of ``LesionMatch.lesions``."""
    all: VesselLesions
    vessels: Mapping[str, VesselLesions]
    """By the names of ``Calcium``, of the vessels that either marks."""
    mean_dice: Estimate
    """Mean of the studies' Dice, of those in which either marks calcium."""


def match_lesions(reference: Bytes, other: Bytes, voxel_mm3: float = 1.0) -> LesionMatch:
    """Compare two label maps (slices, rows, columns) of ``Calcium`` values on the same voxels.

    Raises ``ValueError`` if their shapes differ.

    >>> first, second = np.zeros((2, 1, 5, 5), np.uint8)
    >>> first[0, 0, :2], second[0, 0, 1:3], second[0, 4, 4] = Calcium.LAD, Calcium.LAD, Calcium.RCA
    >>> match = match_lesions(first, second)
    >>> match.lesions[Calcium.LAD, Calcium.LAD], match.lesions[0, Calcium.RCA]
    (np.int64(1), np.int64(1))
    """
    if reference.shape != other.shape or reference.ndim != 3:
        raise ValueError(f"expected two label maps of one shape, got {reference.shape} and {other.shape}")
    marked = np.flatnonzero((reference != 0) | (other != 0))
    a, b = (_coronary(labels.ravel()[marked]) for labels in (reference, other))
    voxels = np.bincount(a * VALUES + b, minlength=VALUES**2).reshape(VALUES, VALUES)
    lesions = _by_vessels(marked, a, b, reference.shape)
    lesions[0] = _by_vessels(marked, b, a, reference.shape)[:, 0]
    return LesionMatch(lesions, voxels.astype(np.float64) * voxel_mm3)


def _coronary(values: Bytes) -> Ints:
    """Return the labels, 0 for other calcium."""
    return np.where(values == Calcium.OTHER, 0, values).astype(np.int64)


def _by_vessels(voxel: Ints, own: Ints, others: Ints, shape: tuple[int, ...]) -> Ints:
    """Return (6, 6): the lesions of ``own`` by their vessel (row) and the vessel that the others give them (column)."""
    held = own > 0
    number = _lesion_numbers(voxel[held], (shape[0], shape[1], shape[2]))
    count = int(number.max(initial=-1)) + 1
    vessels = [_most(number, values[held], count) for values in (own, others)]
    return np.bincount(vessels[0] * VALUES + vessels[1], minlength=VALUES**2).reshape(VALUES, VALUES)


def _lesion_numbers(voxel: Ints, shape: tuple[int, int, int]) -> Ints:
    """Return the lesion, from 0, of each voxel (flat indices in scan order); 26 neighbours."""
    runs = cut_runs(voxel, shape)
    steps = ((0, 1), (1, -1), (1, 0), (1, 1))
    edges = merged(*(touching(runs, step, reach=1) for step in steps))
    return np.repeat(join(len(runs.first), edges), runs.pixels)


def _most(number: Ints, values: Ints, count: int) -> Ints:
    """Return the coronary value of most voxels of each lesion, the lower in a tie; 0 if it has none."""
    votes = np.bincount(number * VALUES + values, minlength=count * VALUES).reshape(count, VALUES)
    return np.where(votes[:, 1:].any(axis=1), votes[:, 1:].argmax(axis=1) + 1, 0)


def lesion_agreement(
    matches: Sequence[LesionMatch], *, patients: ArrayLike | None = None, seed: int = 0
) -> LesionAgreement:
    """Sum up the studies. Intervals are percentiles of resampled studies, or whole ``patients`` (one for each study).

    Lesions of one study are not independent, so none is drawn alone. Raises ``ValueError`` if the number of patients
    is not that of studies.
    """
    n = len(matches)
    lesions = np.array([match.lesions for match in matches]).reshape(n, VALUES, VALUES)
    volumes = np.array([match.volume_mm3 for match in matches]).reshape(n, VALUES, VALUES)
    coronary = slice(1, None)
    named = {label.name: slice(int(label), int(label) + 1) for label in CORONARY_LABELS}
    held = {
        name: place
        for name, place in named.items()
        if lesions[:, place].any() or lesions[:, :, place].any() or volumes[:, place].any()
    }
    overlaps, sizes = _overlap_and_size(volumes, coronary)
    marked = sizes > 0
    each = np.divide(2 * overlaps, sizes, out=np.zeros(n), where=marked)
    return LesionAgreement(
        n,
        lesions.sum(axis=0),
        _of_vessel(lesions, volumes, coronary, patients, seed),
        {name: _of_vessel(lesions, volumes, place, patients, seed) for name, place in held.items()},
        ratio_of_sums(each, marked, "mean Dice of the studies with calcium", patients=patients, seed=seed),
    )


def _of_vessel(lesions: Ints, volumes: Floats, place: slice, patients: ArrayLike | None, seed: int) -> VesselLesions:
    own = lesions[:, place].sum(axis=(1, 2))
    same = (
        np.trace(lesions[:, 1:, 1:], axis1=1, axis2=2) if place.stop is None else lesions[:, place, place].sum((1, 2))
    )
    overlaps, sizes = _overlap_and_size(volumes, place)

    def ratio(part: ArrayLike, whole: ArrayLike, what: str) -> Estimate:
        return ratio_of_sums(part, whole, what, patients=patients, seed=seed)

    return VesselLesions(
        int(own.sum()),
        ratio(lesions[:, place, 1:].sum(axis=(1, 2)), own, "lesions found"),
        ratio(same, own, "lesions found in the same vessel"),
        ratio(lesions[:, 0, place].sum(axis=1), np.ones(len(lesions)), "false lesions per scan"),
        ratio(2 * overlaps, sizes, "Dice of all studies together"),
    )


def _overlap_and_size(volumes: Floats, place: slice) -> tuple[Floats, Floats]:
    """Return (n,): the volume that both mark, and the sum of both volumes."""
    both = volumes[:, place, place].sum(axis=(1, 2))
    return both, volumes[:, place].sum(axis=(1, 2)) + volumes[:, :, place].sum(axis=(1, 2))


def ratio_of_sums(
    part: ArrayLike, whole: ArrayLike, what: str, *, patients: ArrayLike | None = None, seed: int = 0
) -> Estimate:
    """Return sum(part) / sum(whole) of values (n,) of each study, with a percentile interval of resampled studies.

    There is no interval if all resamples are equal, as if every lesion is found: its width of 0 would say too much.
    Raises ``ValueError`` if the number of ``patients`` is not n.
    """
    pairs = np.column_stack([np.asarray(part, np.float64), np.asarray(whole, np.float64)])
    drawn = drawn_sums(pairs, patients, seed)
    method = f"{what}, {resampling(numbered(patients, len(pairs))[1], patients)}"
    top, bottom = pairs.sum(axis=0)
    if not bottom:
        return Estimate(None, None, None, method, len(pairs), "no lesion is marked" if len(pairs) else "no studies")
    ratios = np.divide(drawn[:, 0], drawn[:, 1], out=np.full(len(drawn), np.nan), where=drawn[:, 1] > 0)
    if len(drawn) and not np.nanstd(ratios):
        return Estimate(float(top / bottom), None, None, method, len(pairs), "all resamples are equal")
    return percentile_interval(float(top / bottom), ratios, method, len(pairs), lack="hold no lesion")

"""Agreement of two label maps, lesion by lesion: lesions found and missed, false lesions, Dice, by vessel and in all.

``match_lesions`` compares the label maps of one study; ``lesion_agreement`` sums up many studies. A lesion is coronary
calcium that is connected (26 neighbours), whatever vessels its voxels are named for; its vessel is that of most voxels.
It is found if the other marks one of its voxels as coronary calcium (own choice: two readers who click the same lesion
differ in its edge, not in its place).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Bytes, Floats, Ints, Mask
from ctacal.components import cut_runs, join, merged, touching
from ctacal.labels import CORONARY_LABELS, NAMED_VESSELS, Calcium
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
    """Number of lesions that the reference marks."""
    found: Estimate
    """Share that the other marks: sensitivity per lesion."""
    same_vessel: Estimate
    """Share in the same vessel, of the lesions that both mark and name a vessel of."""
    false_per_scan: Estimate
    """Lesions of the other that the reference does not mark, per scan."""
    dice: Estimate
    """2 (volume both mark) / (sum of their volumes), of all studies together.

    This and the false lesions of a vessel are of the studies in which neither leaves calcium without a name: such
    calcium must not count as a vessel's 0."""


@dataclass(frozen=True, eq=False, slots=True)
class LesionAgreement:
    """Lesions of many studies."""

    studies: int
    lesions: Ints
    """(6, 6): sum of ``LesionMatch.lesions``."""
    all: VesselLesions
    vessels: Mapping[str, VesselLesions]
    """By the names of ``NAMED_VESSELS``, of those that either marks."""
    mean_dice: Estimate
    """Mean of the studies' Dice, of those in which either marks calcium."""


def match_lesions(reference: Bytes, other: Bytes, voxel_mm3: float = 1.0) -> LesionMatch:
    """Compare two label maps (slices, rows, columns) of ``Calcium`` values on the same voxels.

    Args:
        reference: ``Calcium`` values.
        other: ``Calcium`` values, same shape.
        voxel_mm3: Volume of a voxel in mm3.

    Returns:
        Lesions, and volumes in mm3, by the vessel of both.

    Raises:
        ValueError: Their shapes differ.

    Example:
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

    Lesions of one study are not independent, so none is drawn alone.

    Args:
        matches: One for each study (``match_lesions``).
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        Lesions found, missed and false, of all and by vessel.

    Raises:
        ValueError: The number of patients is not that of studies.

    Example:
        >>> labels = np.zeros((1, 5, 5), np.uint8)
        >>> labels[0, :2, 0] = Calcium.LAD
        >>> matches: list[LesionMatch] = [match_lesions(labels, labels), match_lesions(labels, 0 * labels)]
        >>> found = lesion_agreement(matches)
        >>> isinstance(found, LesionAgreement), isinstance(found.all, VesselLesions)
        (True, True)
        >>> found.all.lesions, found.all.found.estimate
        (2, 0.5)
    """
    n = len(matches)
    lesions = np.array([match.lesions for match in matches]).reshape(n, VALUES, VALUES)
    volumes = np.array([match.volume_mm3 for match in matches]).reshape(n, VALUES, VALUES)
    everything, held = slice(1, None), lesions.sum(axis=0) + volumes.sum(axis=0)
    vessels = [vessel for vessel in NAMED_VESSELS if held[vessel].any() or held[:, vessel].any()]
    unnamed = volumes[:, Calcium.CORONARY].sum(axis=1) + volumes[:, :, Calcium.CORONARY].sum(axis=1)
    overlaps, sizes = _overlap_and_size(volumes, everything)
    marked = sizes > 0
    each = np.divide(2 * overlaps, sizes, out=np.zeros(n), where=marked)

    def of(place: slice, counted: Mask) -> VesselLesions:
        return _of_vessel(lesions, volumes, place, counted, partial(ratio_of_sums, patients=patients, seed=seed))

    return LesionAgreement(
        n,
        lesions.sum(axis=0),
        of(everything, np.ones(n, bool)),
        {vessel.name: of(slice(vessel, vessel + 1), unnamed == 0) for vessel in vessels},
        ratio_of_sums(each, marked, "mean Dice of the studies with calcium", "no lesion is marked", patients, seed),
    )


_Ratio = Callable[[ArrayLike, ArrayLike, str, str], Estimate]
"""``ratio_of_sums`` with the patients and the seed given."""


def _of_vessel(lesions: Ints, volumes: Floats, place: slice, counted: Mask, ratio: _Ratio) -> VesselLesions:
    """Return the lesions of the labels ``place``; false lesions and Dice of the studies ``counted`` (n,)."""
    own = lesions[:, place].sum(axis=(1, 2))
    names = slice(1, int(max(NAMED_VESSELS)) + 1)
    named = slice(max(place.start, names.start), min(place.stop or VALUES, names.stop))
    same = np.trace(lesions[:, named, named], axis1=1, axis2=2)
    overlaps, sizes = _overlap_and_size(volumes * counted[:, None, None], place)
    unnamed = "no study in which both name every vessel"
    return VesselLesions(
        int(own.sum()),
        ratio(lesions[:, place, 1:].sum(axis=(1, 2)), own, "lesions found", "no lesion is marked"),
        ratio(
            same, lesions[:, named, names].sum(axis=(1, 2)), "same vessel", "no lesion of which both name the vessel"
        ),
        ratio(lesions[:, 0, place].sum(axis=1) * counted, counted, "false lesions per scan", unnamed),
        ratio(2 * overlaps, sizes, "Dice of all studies together", "no calcium" if counted.any() else unnamed),
    )


def _overlap_and_size(volumes: Floats, place: slice) -> tuple[Floats, Floats]:
    """Return (n,): the volume that both mark, and the sum of both volumes."""
    both = volumes[:, place, place].sum(axis=(1, 2))
    return both, volumes[:, place].sum(axis=(1, 2)) + volumes[:, :, place].sum(axis=(1, 2))


def ratio_of_sums(
    part: ArrayLike,
    whole: ArrayLike,
    what: str,
    why_none: str,
    patients: ArrayLike | None = None,
    seed: int = 0,
) -> Estimate:
    """Return sum(part) / sum(whole) of values (n,) of each study, with a percentile interval of resampled studies.

    ``why_none`` is the reason if the sum of ``whole`` is 0. There is no interval if all resamples are equal, as if
    every lesion is found: its width of 0 would say too much.

    Args:
        part: (n,) values of the studies.
        whole: (n,) values of the studies.
        what: Name of the figure.
        why_none: The reason if the sum of ``whole`` is 0.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.

    Returns:
        The ratio with its 95 % interval.

    Raises:
        ValueError: The number of patients is not n.

    Example:
        >>> found, marked = [2, 1, 0, 3, 1, 0, 2, 4, 1, 1], [2, 2, 1, 3, 1, 1, 2, 4, 2, 1]
        >>> print(ratio_of_sums(found, marked, "share of lesions found", "no lesions"))
        0.789 (0.545 to 0.950)
    """
    pairs = np.column_stack([np.asarray(part, np.float64), np.asarray(whole, np.float64)])
    method, n = f"{what}, {resampling(numbered(patients, len(pairs))[1], patients)}", len(pairs)
    top, bottom = pairs.sum(axis=0)
    if not bottom:
        return Estimate(None, None, None, method, n, why_none if n else "no studies")
    drawn = drawn_sums(pairs, patients, seed)
    ratios = np.divide(drawn[:, 0], drawn[:, 1], out=np.full(len(drawn), np.nan), where=drawn[:, 1] > 0)
    if len(drawn) and np.nanmin(ratios) == np.nanmax(ratios):
        return Estimate(float(top / bottom), None, None, method, n, "all resamples are equal")
    return percentile_interval(float(top / bottom), ratios, method, n, lack="hold none")

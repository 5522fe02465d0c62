"""Label maps of the raters of a table -> lesion by lesion agreement of each pair."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctacal.dicom.objects.labels import read_label_maps
from ctacal.errors import Refusal, UsageError
from ctacal.evaluate.agree.raters import Rater, Raters
from ctacal.labels import LabelMap
from ctacal.statistics.agreement import LesionAgreement, LesionMatch, lesion_agreement, match_lesions


@dataclass(frozen=True, eq=False, slots=True)
class PairLesions:
    """The lesions of two raters, in the studies with a label map of both."""

    reference: str
    other: str
    found: LesionAgreement


def compare_lesions(
    raters: Raters, *, seed: int = 0, advance: Callable[[], None] = lambda: None
) -> tuple[PairLesions, ...]:
    """Return the lesions of each pair that has label maps of the same studies, in the order of the pairs.

    ``advance`` is called for each study of ``studies_with_labels``. Raises ``UsageError`` naming the file that cannot
    be read or does not fit.
    """
    pairs = list(label_pairs(raters))
    matches: list[dict[int, LesionMatch]] = [{} for _ in pairs]
    for row in studies_with_labels(raters):
        files = {rater.name: file for rater in raters.all if rater.labels and (file := rater.labels[row])}
        maps = dict(zip(files, _read(list(files.values())), strict=True))
        for own, (reference, other) in zip(matches, pairs, strict=True):
            if reference.name in maps and other.name in maps:
                own[row] = _match(maps[reference.name], maps[other.name])
        advance()
    return tuple(
        PairLesions(reference.name, other.name, _agreement(raters, own, seed))
        for own, (reference, other) in zip(matches, pairs, strict=True)
    )


def label_pairs(raters: Raters) -> Iterator[tuple[Rater, Rater]]:
    """Yield the pairs that have label maps of the same studies."""
    for reference, other in raters.pairs():
        if any(a and b for a, b in zip(reference.labels, other.labels, strict=False)):
            yield reference, other


def studies_with_labels(raters: Raters) -> list[int]:
    """Return the rows of the studies with label maps of two raters or more."""
    labelled = np.zeros(raters.n, np.int64)
    for rater in raters.all:
        if rater.labels:
            labelled += [file is not None for file in rater.labels]
    return [int(row) for row in np.flatnonzero(labelled > 1)]


def _read(files: Sequence[Path]) -> list[LabelMap]:
    try:
        return read_label_maps(files)
    except (Refusal, OSError) as problem:
        raise UsageError(f"label maps of one study: {problem}") from problem


def _match(reference: LabelMap, other: LabelMap) -> LesionMatch:
    return match_lesions(reference.labels, other.labels, reference.geometry.voxel_volume_mm3)


def _agreement(raters: Raters, matches: dict[int, LesionMatch], seed: int) -> LesionAgreement:
    rows = np.isin(np.arange(raters.n), list(matches))
    return lesion_agreement(list(matches.values()), patients=raters.patients_of(rows), seed=seed)

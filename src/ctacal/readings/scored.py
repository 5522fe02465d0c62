"""The score of marks: by the code that scores every study, on the few slices that hold a mark."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ctacal.labels import LabelMap
from ctacal.readings.marks import Marks
from ctacal.scores import Scores, ScoringRule, Tally, score_label_map
from ctacal.volume import Volume


@dataclass(frozen=True, eq=False, slots=True)
class MarksScore:
    """The score of marks, and how many lesions count."""

    scores: Scores
    lesions: int


def score_marks(volume: Volume, marks: Marks, rule: ScoringRule, mass_calibration: float | None = None) -> MarksScore:
    """Score marks as ``score_label_map`` scores their label map on the whole scan, to the last digit.

    Only the slices with marks are looked at: areas, peaks and the order of the components are the same there.
    """
    size = volume.hu[0].size
    first, stop = (int(marks.voxel[0]) // size, int(marks.voxel[-1]) // size + 1) if len(marks.voxel) else (0, 1)
    part = volume.crop((slice(first, stop), slice(None), slice(None)))
    labels = np.zeros(part.geometry.shape, np.uint8)
    labels.reshape(-1)[marks.voxel - first * size] = marks.label
    lesions, scores = score_label_map(part, LabelMap(labels, part.geometry), rule, mass_calibration=mass_calibration)
    coronary = lesions.lesion[lesions.label < 6]
    return MarksScore(scores, len(np.unique(coronary)))


def score_json(scored: MarksScore) -> dict[str, Any]:
    """Return a score as the page and the events hold it."""
    scores = scored.scores
    return {
        "agatston": tally_json(scores.agatston),
        "volume_mm3": tally_json(scores.volume_mm3),
        "mass_mg": tally_json(scores.mass_mg) if scores.mass_mg else None,
        "category": scores.category,
        "category_five": scores.category_five,
        "cac_drs": scores.cac_drs,
        "lesions": scored.lesions,
    }


def tally_json(tally: Tally) -> Mapping[str, Any]:
    """Return a quantity with its parts."""
    return {"total": tally.total, "per_vessel": dict(tally.per_vessel), "other": tally.other}

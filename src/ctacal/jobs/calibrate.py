"""Calibration of a model on validation studies: how sure its scores are, and which scans it was trained for.

The results go to the model's card; the networks stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctacal.arrays import Floats
from ctacal.categories import category_indices
from ctacal.errors import Refusal, UsageError
from ctacal.nn.calibration import KnownScore, fit_calibration, lesion_doubts
from ctacal.nn.card import Measured, add_to_card, read_card
from ctacal.nn.fitness import training_range
from ctacal.nn.gated import GatedScale, fit_gated_scale
from ctacal.nn.islands import Weighed, weigh
from ctacal.nn.known_study import read_test_study
from ctacal.nn.predict import Model, load_model
from ctacal.prediction import ScanFigures
from ctacal.progress import Progress, no_progress
from ctacal.scores import SCCT_2016, ScoringRule, score_label_map
from ctacal.statistics.agreement import cross_table, weighted_kappa

AGAINST = "the Agatston score of the true label map on the same scan ({rule})"
"""What the card calls the true score."""

LEAST_CORONARY = tuple(round(0.3 + 0.05 * k, 2) for k in range(14))
"""Thresholds that are tried for the probability at which a large island counts, and the smallest (own choice)."""

LEAST_SENSITIVITY, LEAST_SPECIFICITY = 0.93, 0.95
"""Wanted for any coronary calcium. Each hundredth that is missing weighs as much as one of kappa (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationJob:
    """A model to calibrate, and the studies to do it with."""

    model: Path
    """Folder of the model, whose card is written."""
    cohort: Path
    """Folder of validation studies (.npz) that the networks were not trained on."""
    rule: ScoringRule = SCCT_2016
    """The scoring rule: what is fitted holds for no other."""


@dataclass(frozen=True, eq=False, slots=True)
class ValidationStudy:
    """One validation study: what the model weighed, and the truth."""

    patient: int
    """Studies of one patient share it."""
    weighed: Weighed
    figures: ScanFigures
    """Image quality of the scan."""
    seen: ScanFigures
    """Image quality of what the calcium network saw."""
    excess_mg: float
    true_agatston: float
    gated_agatston: float | None


@dataclass(frozen=True, eq=False, slots=True)
class ValidationRun:
    """The output of a model on all validation studies."""

    studies: Sequence[ValidationStudy]
    problems: Sequence[str]
    """For each study that could not be scored, its file and the reason."""


def run_on_cohort(job: CalibrationJob, *, progress: Progress = no_progress) -> ValidationRun:
    """Run the model on the validation studies. Raises ``UsageError`` if the folder holds none, or no model."""
    paths = sorted(job.cohort.glob("[!.]*.npz"))  # without files that are being written
    if not paths:
        raise UsageError(f"{job.cohort} holds no validation studies (.npz)")
    model = load_model(job.model)
    studies, problems = [], []
    progress(0, len(paths))
    for number, path in enumerate(paths, start=1):
        try:
            studies.append(_validation_study(model, path, job.rule))
        except (Refusal, UsageError) as problem:
            problems.append(f"{path.name}: {problem}")
        progress(number, len(paths))
    return ValidationRun(studies, problems)


def _validation_study(model: Model, path: Path, rule: ScoringRule) -> ValidationStudy:
    study = read_test_study(path)
    raw = model.raw_output(study.volume, rule)
    return ValidationStudy(
        study.facts.seed,
        weigh(study.volume, raw.at, raw.probability, model.calcium.classes, rule),
        raw.figures,
        raw.seen,
        sum((raw.mass_mg or {}).values()),
        score_label_map(study.volume, study.labels, rule)[1].agatston.total,
        study.facts.reference_agatston,
    )


def calibrate(job: CalibrationJob, studies: Sequence[ValidationStudy]) -> Measured:
    """Fit the model's calibration and write it to its card. Raises ``UsageError`` if there are too few studies."""
    recipe = read_card(job.model)["stages"]["calcium"]["recipe"]
    offset_hu = float(recipe["augmentation"]["offset_hu"])
    try:
        least, small = best_thresholds(studies)
        known = [_known_score(study, job.rule, least, small) for study in studies]
        measured = Measured(
            least_coronary=least,
            least_small=small,
            calibration=fit_calibration(known, against=AGAINST.format(rule=job.rule.name)),
            training_range=_with_augmentation(training_range(study.seen for study in studies), offset_hu),
            gated_scale=_gated_scale(studies),
            rule=job.rule,
        )
    except ValueError as problem:
        raise UsageError(f"{job.cohort}: {problem}") from problem
    add_to_card(job.model, measured)
    return measured


def _with_augmentation(known: dict[str, tuple[float, float]], offset_hu: float) -> dict[str, tuple[float, float]]:
    """Widen the range of blood by the augmentation of HU: blood differs less between simulated scans than patients."""
    if "blood_hu" not in known:
        return known
    low, high = known["blood_hu"]
    return known | {"blood_hu": (round(low - offset_hu, 4), round(high + offset_hu, 4))}


def _known_score(study: ValidationStudy, rule: ScoringRule, large: float, small: float) -> KnownScore:
    weighed = study.weighed
    counted = weighed.counted(large, small)
    return KnownScore(lesion_doubts(weighed, counted, rule, study.figures.noise_sd_hu or 0.0), study.true_agatston)


def best_thresholds(studies: Sequence[ValidationStudy]) -> tuple[float, float]:
    """Return the least probability of large islands and of the smallest that agree best with the truth.

    The figure of merit is kappa (linear weights, 4 categories) less what sensitivity and specificity lack of those
    wanted. It is averaged over neighbouring thresholds, so that one lucky study does not decide; among equals, those
    nearest to one half win.
    """
    tried = [(large, small) for large in LEAST_CORONARY for small in LEAST_CORONARY if small >= large]
    true = np.array([study.true_agatston for study in studies])
    merits = np.array([_merit(true, scores_at(studies, *pair)) for pair in tried])
    distance = np.array([[abs(a - c) + abs(b - d) for c, d in tried] for a, b in tried])
    near = distance < 1.5 * (LEAST_CORONARY[1] - LEAST_CORONARY[0])
    smooth = near @ merits / near.sum(axis=1)
    from_half = [abs(large - 0.5) + abs(small - 0.5) for large, small in tried]
    return tried[int(np.lexsort((from_half, -smooth.round(4)))[0])]


def scores_at(studies: Sequence[ValidationStudy], large: float, small: float) -> Floats:
    """Return (studies,): the score of the islands that count at these thresholds."""
    return np.array([study.weighed.agatston[study.weighed.counted(large, small)].sum() for study in studies])


def _merit(true: Floats, found: Floats) -> float:
    kappa = weighted_kappa(cross_table(category_indices(true), category_indices(found)), "linear").estimate or 0.0
    with_calcium, hit = true > 0, found > 0
    sensitivity = hit[with_calcium].mean() if with_calcium.any() else 1.0
    specificity = (~hit[~with_calcium]).mean() if not with_calcium.all() else 1.0
    return float(kappa - max(0.0, LEAST_SENSITIVITY - sensitivity) - max(0.0, LEAST_SPECIFICITY - specificity))


def _gated_scale(studies: Sequence[ValidationStudy]) -> GatedScale | None:
    """Return None if the network finds no mass in any study, or no gated score is known."""
    known = [(study.excess_mg, study.gated_agatston) for study in studies if study.gated_agatston is not None]
    if not any(mass for mass, _ in known):
        return None
    return fit_gated_scale([mass for mass, _ in known], [score for _, score in known])

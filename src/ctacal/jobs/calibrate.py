"""Calibration of a model on validation studies: how sure its scores are, and which scans it was trained for.

The results go to the model's card; the networks stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctacal.categories import category_indices
from ctacal.errors import Refusal, UsageError
from ctacal.nn.calibration import KnownScore, LesionDoubts, fit_calibration
from ctacal.nn.card import Measured, add_to_card, read_card
from ctacal.nn.fitness import training_range
from ctacal.nn.gated import GatedScale, fit_gated_scale
from ctacal.nn.known_study import read_test_study
from ctacal.nn.predict import Model, load_model
from ctacal.prediction import ScanFigures
from ctacal.progress import Progress, no_progress
from ctacal.scores import SCCT_2016, ScoringRule, score_label_map
from ctacal.statistics.agreement import cross_table, weighted_kappa

AGAINST = "the Agatston score of the true label map on the same scan ({rule})"
"""What the card calls the true score."""

LEAST_CORONARY = tuple(round(0.3 + 0.05 * k, 2) for k in range(14))
"""Thresholds that are tried for the probability at which a voxel counts as coronary (own choice)."""


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
    """One validation study: the model's output at each of ``LEAST_CORONARY``, and the truth."""

    doubts: tuple[LesionDoubts, ...]
    figures: ScanFigures
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
        tuple(replace(model, least_coronary=least).decide(raw).doubts for least in LEAST_CORONARY),
        raw.figures,
        sum((raw.mass_mg or {}).values()),
        score_label_map(study.volume, study.labels, rule)[1].agatston.total,
        study.facts.reference_agatston,
    )


def calibrate(job: CalibrationJob, studies: Sequence[ValidationStudy]) -> Measured:
    """Fit the model's calibration and write it to its card. Raises ``UsageError`` if there are too few studies."""
    recipe = read_card(job.model)["stages"]["calcium"]["recipe"]
    offset_hu = float(recipe["augmentation"]["offset_hu"])
    try:
        chosen = best_threshold(studies)
        known = [KnownScore(study.doubts[chosen], study.true_agatston) for study in studies]
        measured = Measured(
            least_coronary=LEAST_CORONARY[chosen],
            calibration=fit_calibration(known, against=AGAINST.format(rule=job.rule.name)),
            training_range=_with_augmentation(training_range(study.figures for study in studies), offset_hu),
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


def best_threshold(studies: Sequence[ValidationStudy]) -> int:
    """Return the index in ``LEAST_CORONARY`` of the best agreement with the truth: kappa, linear weights, 4 categories.

    Kappa is averaged over each threshold and its neighbours, so that one lucky study does not decide; among equals,
    the threshold nearest to one half wins.
    """
    true = category_indices([study.true_agatston for study in studies])
    predicted = [category_indices([study.doubts[k].score for study in studies]) for k in range(len(LEAST_CORONARY))]
    kappas = np.array([weighted_kappa(cross_table(true, found), "linear").estimate or 0.0 for found in predicted])
    smooth = np.array([kappas[max(0, k - 1) : k + 2].mean() for k in range(len(kappas))])
    order = np.lexsort((np.abs(np.array(LEAST_CORONARY) - 0.5), -smooth.round(4)))
    return int(order[0])


def _gated_scale(studies: Sequence[ValidationStudy]) -> GatedScale | None:
    """Return None if the network finds no mass in any study, or no gated score is known."""
    known = [(study.excess_mg, study.gated_agatston) for study in studies if study.gated_agatston is not None]
    if not any(mass for mass, _ in known):
        return None
    return fit_gated_scale([mass for mass, _ in known], [score for _, score in known])

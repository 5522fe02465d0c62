"""Calibration of a model on validation studies: how sure its scores are, and which scans it was trained for.

The results go to the model's card; the networks stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctacal.arrays import Floats
from ctacal.categories import category_indices
from ctacal.errors import Code, Refusal, UsageError
from ctacal.nn.calibration import KnownScore, fit_calibration, lesion_doubts
from ctacal.nn.card import Measured, add_to_card, read_card
from ctacal.nn.fitness import CODES, MIN_SCANS, training_range
from ctacal.nn.gated import GatedScale, fit_gated_scale
from ctacal.nn.islands import Weighed
from ctacal.nn.known_study import read_test_study
from ctacal.nn.mass import KnownMass, MassScale, fit_mass_scale, island_excess_mg
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


FOLDS = 5
"""Number of groups of patients that are left out in turn (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationJob:
    """A model to calibrate, and the studies to do it with."""

    model: Path
    """Folder of the model, whose card is written."""
    cohort: Path
    """Folder of validation studies (.npz) that the networks were not trained on."""
    unusual: Path | None = None
    """Folder of studies at unusual protocols, for networks that were trained on such too: they widen the range of
    scans that the networks know, and have no part in the rest."""
    rule: ScoringRule = SCCT_2016
    """The scoring rule: what is fitted holds for no other."""
    thresholds: tuple[float, float] | None = None
    """Probability from which a large island counts, and the smallest; None: fitted."""

    def __post_init__(self) -> None:
        if self.thresholds and not all(0 < share < 1 for share in self.thresholds):
            raise UsageError(f"the thresholds must lie between 0 and 1, got {' and '.join(map(str, self.thresholds))}")


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
    """Mass of all voxels that the network calls coronary (``mass.excess_mass_mg``)."""
    true_agatston: float
    gated_agatston: float | None
    true_mg: float | None = None
    """True mass of the coronary calcium."""


@dataclass(frozen=True, eq=False, slots=True)
class ValidationRun:
    """The output of a model on all validation studies."""

    studies: Sequence[ValidationStudy]
    problems: Sequence[str]
    """For each study that could not be scored, its file and the reason."""
    unusual: Sequence[ValidationStudy] = ()
    """The studies of ``CalibrationJob.unusual``."""


def run_on_cohort(job: CalibrationJob, *, progress: Progress = no_progress) -> ValidationRun:
    """Run the model on the validation studies. Raises ``UsageError`` if a folder holds none, or there is no model."""
    cohort = _studies_in(job.cohort)
    paths = cohort + (_studies_in(job.unusual) if job.unusual else [])
    model = load_model(job.model)
    studies: list[ValidationStudy] = []
    unusual: list[ValidationStudy] = []
    problems = []
    progress(0, len(paths))
    for number, path in enumerate(paths):
        try:
            (studies if number < len(cohort) else unusual).append(_validation_study(model, path, job.rule))
        except (Refusal, UsageError) as problem:
            problems.append(f"{path.name}: {problem}")
        progress(number + 1, len(paths))
    return ValidationRun(studies, problems, unusual)


def _studies_in(folder: Path) -> list[Path]:
    """Return the studies of a folder. Raises ``UsageError`` if it holds none."""
    paths = sorted(folder.glob("[!.]*.npz"))  # without files that are being written
    if not paths:
        raise UsageError(f"{folder} holds no validation studies (.npz)")
    return paths


def _validation_study(model: Model, path: Path, rule: ScoringRule) -> ValidationStudy:
    study = read_test_study(path)
    raw = model.raw_output(study.volume, rule)
    return ValidationStudy(
        study.facts.seed,
        model.weighed(raw),
        raw.figures,
        raw.seen,
        sum((raw.mass_mg or {}).values()),
        score_label_map(study.volume, study.labels, rule)[1].agatston.total,
        study.facts.reference_agatston,
        None if study.facts.mass_mg is None else sum(study.facts.mass_mg.values()),
    )


def calibrate(
    job: CalibrationJob, studies: Sequence[ValidationStudy], unusual: Sequence[ValidationStudy] = ()
) -> Measured:
    """Fit the model's calibration and write it to its card; ``unusual`` studies widen the training range alone.

    Raises ``UsageError`` if there are too few studies.
    """
    if job.unusual and len(unusual) < MIN_SCANS:
        raise UsageError(f"{job.unusual}: expected at least {MIN_SCANS} unusual studies, got {len(unusual)}")
    recipe = read_card(job.model)["stages"]["calcium"]["recipe"]
    offset_hu = float(recipe["augmentation"]["offset_hu"])
    try:
        large, small = job.thresholds or best_thresholds(studies)
        known = [_known_score(study, job.rule, large, small) for study in studies]
        calibration = fit_calibration(known, against=AGAINST.format(rule=job.rule.name))
        fitted = with_scales(large, small, studies)
        measured = Measured(
            least_coronary=large,
            least_small=small,
            calibration=calibration,
            training_range=_with_augmentation(_known_range(studies, unusual), offset_hu),
            gated_scale=fitted.gated_scale,
            mass_scale=fitted.mass_scale,
            rule=job.rule,
        )
    except ValueError as problem:
        raise UsageError(f"{job.cohort}: {problem}") from problem
    add_to_card(job.model, measured)
    return measured


def _known_range(
    studies: Sequence[ValidationStudy], unusual: Sequence[ValidationStudy]
) -> dict[str, tuple[float, float]]:
    """Return the range of each figure over the usual studies, widened to that over the ``unusual`` ones.

    The blur by motion is not widened: it always is a doubt.
    """
    usual, wider = (training_range(study.seen for study in group) for group in (studies, unusual))
    for name, (low, high) in wider.items():
        if CODES[name][0] is not Code.MOTION_SEEN:
            usual_low, usual_high = usual.get(name, (low, high))
            usual[name] = min(usual_low, low), max(usual_high, high)
    return usual


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


def _kappa(true: Floats, found: Floats) -> float:
    return weighted_kappa(cross_table(category_indices(true), category_indices(found)), "linear").estimate or 0.0


def _merit(true: Floats, found: Floats) -> float:
    kappa = _kappa(true, found)
    with_calcium, hit = true > 0, found > 0
    sensitivity = hit[with_calcium].mean() if with_calcium.any() else 1.0
    specificity = (~hit[~with_calcium]).mean() if not with_calcium.all() else 1.0
    return float(kappa - max(0.0, LEAST_SENSITIVITY - sensitivity) - max(0.0, LEAST_SPECIFICITY - specificity))


@dataclass(frozen=True, eq=False, slots=True)
class FittedDecision:
    """What decides which islands count, and what they weigh."""

    large: float
    small: float
    mass_scale: MassScale | None
    """None: too few studies with known mass and found calcium."""
    gated_scale: GatedScale | None

    def mass_mg(self, study: ValidationStudy) -> float:
        """Return the coronary mass of a study."""
        if self.mass_scale is None:
            return study.excess_mg
        return float(self.mass_scale.mass_mg(self.excess_mg(study), study.figures).sum())

    def excess_mg(self, study: ValidationStudy) -> Floats:
        """Return the excess of each island that counts."""
        counted = study.weighed.counted(self.large, self.small)
        return island_excess_mg(study.weighed.islands.of(counted))

    def gated(self, study: ValidationStudy) -> float | None:
        """Return the equivalent of the gated score."""
        score = float(scores_at([study], self.large, self.small)[0])
        return self.gated_scale.agatston(self.mass_mg(study), score) if self.gated_scale else None


def with_scales(large: float, small: float, studies: Sequence[ValidationStudy]) -> FittedDecision:
    """Fit the mass of the islands that count at these thresholds, and then the gated score to the mass.

    Raises ``ValueError`` if there are too few studies for a gated scale.
    """
    thresholds = FittedDecision(large, small, None, None)
    with_mass = replace(thresholds, mass_scale=_mass_scale(thresholds, studies))
    return replace(with_mass, gated_scale=_gated_scale(with_mass, studies))


def _mass_scale(decision: FittedDecision, studies: Sequence[ValidationStudy]) -> MassScale | None:
    """Return None if too few studies with calcium know its mass."""
    known = [
        KnownMass(decision.excess_mg(study), study.figures, study.true_mg)
        for study in studies
        if study.true_mg is not None
    ]
    try:
        return fit_mass_scale(known)
    except ValueError:
        return None


def _gated_scale(decision: FittedDecision, studies: Sequence[ValidationStudy]) -> GatedScale | None:
    """Return None if no mass is found in any study, or no gated score is known."""
    known = [(decision.mass_mg(study), study.gated_agatston) for study in studies if study.gated_agatston is not None]
    if not any(mass for mass, _ in known):
        return None
    least_mg = None if decision.mass_scale is None else 0.0
    return fit_gated_scale([mass for mass, _ in known], [score for _, score in known], least_mg=least_mg)


@dataclass(frozen=True, eq=False, slots=True)
class LeftOut:
    """Agreement with the truth on studies of patients who had no part in the fit."""

    true: Floats
    """(studies,): score of the true labels."""
    found: Floats
    gated: Floats
    """Score on the gated scan; NaN if it is not known."""
    equivalent: Floats
    """The gated equivalent; NaN if there is none."""
    true_mg: Floats
    """NaN if it is not known."""
    found_mg: Floats

    def lines(self) -> list[str]:
        """Return the figures in words."""
        positive = self.true > 0
        words = [
            f"left out by patient, {len(self.true)} studies: kappa {_kappa(self.true, self.found):.3f}, "
            f"sensitivity {np.mean(self.found[positive] > 0):.3f} of {positive.sum()}, "
            f"specificity {np.mean(self.found[~positive] == 0):.3f} of {(~positive).sum()}"
        ]
        known = ~np.isnan(self.equivalent) & ~np.isnan(self.gated)
        if known.any():
            own, equal = (_kappa(self.gated[known], score[known]) for score in (self.found, self.equivalent))
            words.append(f"category of the gated scan: kappa {own:.3f} by the score, {equal:.3f} by the equivalent")
        weighed = (self.true_mg > 0) & (self.found_mg > 0)
        if weighed.any():
            error = np.abs(np.log1p(self.found_mg[weighed]) - np.log1p(self.true_mg[weighed])).mean()
            words.append(f"mass, where calcium is found: mean error of log(1 + mg) {error:.3f}")
        return words


def left_out(studies: Sequence[ValidationStudy], thresholds: tuple[float, float] | None = None) -> LeftOut | None:
    """Fit without one group of patients after another, and apply it to them; None if too few studies are left.

    Thresholds that are given are not fitted.
    """
    fold = np.unique([study.patient for study in studies], return_inverse=True)[1] % FOLDS
    rows: dict[int, tuple[float, float, float]] = {}
    for held in np.unique(fold):
        try:
            others = [study for study, own in zip(studies, fold, strict=True) if own != held]
            fitted = with_scales(*(thresholds or best_thresholds(others)), others)
        except ValueError:
            return None
        for number in np.flatnonzero(fold == held).tolist():
            study = studies[number]
            score = float(scores_at([study], fitted.large, fitted.small)[0])
            gated = fitted.gated(study)
            rows[number] = score, np.nan if gated is None else gated, fitted.mass_mg(study)
    found, equivalent, found_mg = np.array([rows[number] for number in range(len(studies))]).T
    gated_score, true_mg = (
        np.array([np.nan if value is None else value for value in values], np.float64)
        for values in ([s.gated_agatston for s in studies], [s.true_mg for s in studies])
    )
    true = np.array([study.true_agatston for study in studies])
    return LeftOut(true, found, gated_score, equivalent, true_mg, found_mg)

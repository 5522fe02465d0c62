"""``ctacal calibrate``: what a model should know of itself, measured on validation studies, into its model.json."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import typer

from ctacal.cli.progress import progress
from ctacal.errors import Refusal, UsageError
from ctacal.nn.calibration import KnownScore, LesionDoubts, fit_calibration
from ctacal.nn.card import Measured, add_to_card
from ctacal.nn.fitness import Figures, training_range
from ctacal.nn.gated import GatedScale, fit_gated_scale
from ctacal.nn.known_study import read_test_study
from ctacal.nn.predict import Model, load_model
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.statistics.agreement import cross_table, risk_categories, weighted_kappa

AGAINST = "the Agatston score of the true label map on the same scan (scct2016)"

LEAST_CORONARY = tuple(round(0.3 + 0.05 * k, 2) for k in range(14))
"""Probabilities tried: from which on a voxel counts (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Known:
    """One validation study: what the model says at each of ``LEAST_CORONARY``, and the truth."""

    doubts: tuple[LesionDoubts, ...]
    figures: Figures
    excess_mg: float
    true_agatston: float
    gated_agatston: float | None


def run(model_folder: Path, cohort: Path) -> int:
    """Measure, and write to model.json; the exit status is 1 where studies failed."""
    paths = sorted(cohort.glob("[!.]*.npz"))  # not what is being written
    if not paths:
        raise UsageError(f"{cohort} holds no validation studies (.npz)")
    model = load_model(model_folder)
    found, problems = _gathered(model, paths)
    for problem in problems:
        typer.echo(problem, err=True)
    try:
        _measure(model_folder, model, found)
    except ValueError as problem:
        raise UsageError(f"{cohort}: {problem}") from problem
    typer.echo(f"{model_folder / 'model.json'}: calibrated on {len(found)} studies, {len(problems)} not scored")
    return int(bool(problems))


def _gathered(model: Model, paths: list[Path]) -> tuple[list[Known], list[str]]:
    """Each study's answer and truth, and why others have none."""
    found, problems = [], []
    with progress("calibrating", len(paths)) as advance:
        for path in paths:
            try:
                found.append(_known(model, path))
            except (Refusal, UsageError) as problem:
                problems.append(f"{path.name}: {problem}")
            advance()
    return found, problems


def _known(model: Model, path: Path) -> Known:
    study = read_test_study(path)
    seen = model.raw_output(study.volume, SCCT_2016)
    return Known(
        tuple(replace(model, least_coronary=least).decide(seen).doubts for least in LEAST_CORONARY),
        seen.figures,
        sum((seen.mass_mg or {}).values()),
        score_label_map(study.volume, study.labels, SCCT_2016)[1].agatston.total,
        study.facts.reference_agatston,
    )


def _measure(model_folder: Path, model: Model, found: list[Known]) -> None:
    """Raises ``ValueError`` where the studies are too few."""
    chosen = best_threshold(found)
    rows = [KnownScore(one.doubts[chosen], one.true_agatston) for one in found]
    measured = Measured(
        least_coronary=LEAST_CORONARY[chosen],
        calibration=fit_calibration(rows, against=AGAINST),
        training_range=_with_augmentation(training_range(one.figures for one in found), model),
        gated_scale=_gated_scale(found),
        rule=SCCT_2016,
    )
    add_to_card(model_folder, measured)


def _with_augmentation(known: dict[str, tuple[float, float]], model: Model) -> dict[str, tuple[float, float]]:
    """Training shifts the HU of whole scans: simulated blood is more alike than patients' is."""
    offset_hu = float(model.card["stages"]["calcium"]["recipe"]["augmentation"]["offset_hu"])
    if "blood_hu" not in known:
        return known
    low, high = known["blood_hu"]
    return known | {"blood_hu": (round(low - offset_hu, 4), round(high + offset_hu, 4))}


def best_threshold(found: list[Known]) -> int:
    """Which of ``LEAST_CORONARY`` agrees best with the truth: linear weighted kappa over the four categories.

    Kappa is averaged over each threshold and its neighbours, so that one lucky study does not decide; of equals, the
    one nearest to one half.
    """
    true = risk_categories([one.true_agatston for one in found])
    told = [risk_categories([one.doubts[k].score for one in found]) for k in range(len(LEAST_CORONARY))]
    kappas = np.array([weighted_kappa(cross_table(true, one), "linear").estimate or 0.0 for one in told])
    smooth = np.array([kappas[max(0, k - 1) : k + 2].mean() for k in range(len(kappas))])
    order = np.lexsort((np.abs(np.array(LEAST_CORONARY) - 0.5), -smooth.round(4)))
    return int(order[0])


def _gated_scale(found: list[Known]) -> GatedScale | None:
    """None where the network finds no mass in any study, or no gated score is known."""
    pairs = [(one.excess_mg, one.gated_agatston) for one in found if one.gated_agatston is not None]
    if not any(mass for mass, _ in pairs):
        return None
    return fit_gated_scale([mass for mass, _ in pairs], [score for _, score in pairs])

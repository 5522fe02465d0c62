"""``ctacal calibrate``: what a model should know of itself, measured on validation studies, into its model.json."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from ctacal.cli.progress import progress
from ctacal.errors import Refusal, UsageError
from ctacal.nn.calibration import KnownScore, fit_calibration
from ctacal.nn.fitness import Figures, training_range
from ctacal.nn.gated import GatedScale, fit_gated_scale
from ctacal.nn.known_study import read_test_study
from ctacal.nn.predict import Model, add_to_card, load_model
from ctacal.scores import SCCT_2016, score_label_map

AGAINST = "the Agatston score of the true label map on the same scan (scct2016)"


@dataclass(frozen=True, eq=False, slots=True)
class Known:
    """One validation study: what the model said, and the truth."""

    score: KnownScore
    figures: Figures
    regressed_mg: float
    gated_agatston: float | None


def run(model_folder: Path, cohort: Path) -> int:
    """Fit calibration, gated scale and training range, and write them; the exit status is 1 where studies failed."""
    paths = sorted(cohort.glob("*.npz"))
    if not paths:
        raise UsageError(f"{cohort} holds no validation studies (.npz)")
    model, found, refused = load_model(model_folder), [], 0
    with progress("calibrating", len(paths)) as advance:
        for one in _known(model, paths):
            if isinstance(one, Known):
                found.append(one)
            else:
                refused += 1
                typer.echo(one, err=True)
            advance()
    try:
        calibration = fit_calibration([one.score for one in found], against=AGAINST)
        scale = _gated_scale(found)
    except ValueError as problem:
        raise UsageError(f"{cohort}: {problem}") from problem
    add_to_card(model_folder, calibration, training_range(one.figures for one in found), scale)
    typer.echo(f"{model_folder / 'model.json'}: calibrated on {len(found)} studies, {refused} not scored")
    return int(refused > 0)


def _gated_scale(found: list[Known]) -> GatedScale | None:
    """None where the network regresses no mass, or no gated score is known."""
    pairs = [(one.regressed_mg, one.gated_agatston) for one in found if one.gated_agatston is not None]
    if not any(mass for mass, _ in pairs):
        return None
    return fit_gated_scale([mass for mass, _ in pairs], [score for _, score in pairs])


def _known(model: Model, paths: list[Path]) -> Iterator[Known | str]:
    """Each study's answer and truth, or why there is none."""
    for path in paths:
        try:
            study = read_test_study(path)
            answer = model.answer(study.volume, SCCT_2016)
        except (Refusal, UsageError) as problem:
            yield f"{path.name}: {problem}"
            continue
        true = score_label_map(study.volume, study.labels, SCCT_2016)[1].agatston.total
        mass_mg = sum((answer.mass_mg or {}).values())
        yield Known(KnownScore(answer.doubts, true), answer.figures, mass_mg, study.facts.reference_agatston)

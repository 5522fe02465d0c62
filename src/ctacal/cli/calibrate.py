"""``ctacal calibrate``: calibrate a model on validation studies."""

from pathlib import Path

import typer

from ctacal.cli.progress import progress_bar
from ctacal.jobs.calibrate import CalibrationJob, calibrate, left_out, run_on_cohort


def run(
    model_folder: Path,
    cohort: Path,
    thresholds: tuple[float, float] | None = None,
    unusual: Path | None = None,
) -> int:
    """Calibrate and write model.json; the exit status is 1 if some studies failed."""
    job = CalibrationJob(model=model_folder, cohort=cohort, thresholds=thresholds, unusual=unusual)
    with progress_bar("calibrating") as progress:
        validation = run_on_cohort(job, progress=progress)
    studies, problems = validation.studies, validation.problems
    for problem in problems:
        typer.echo(problem, err=True)
    measured = calibrate(job, studies, validation.unusual)
    typer.echo(f"an island counts from {measured.least_coronary:g} on, the smallest from {measured.least_small:g}")
    for line in agreement.lines() if (agreement := left_out(studies, thresholds)) else ():
        typer.echo(line)
    typer.echo(f"{model_folder / 'model.json'}: calibrated on {len(studies)} studies, {len(problems)} not scored")
    return int(bool(problems))

"""``ctacal demo``: scores the samples that ship with the package."""

import json
import shutil
from importlib.resources import as_file
from pathlib import Path

import typer

from ctacal.cli import score
from ctacal.jobs.finders import ships_weights
from ctacal.jobs.installation import SAMPLE_FOLDER, SAMPLES

WAYS = {
    "true-labels": "the true labels, scored (ctacal score --labels)",
    "networks": "found by the networks (ctacal score)",
    "threshold": "found by the baseline without training (ctacal score --predictor threshold)",
}


def run(out: Path) -> int:
    """Score each sample by its true labels, by the networks if they ship, by the baseline; returns the exit status."""
    statuses = [_score_sample(name, out / name) for name in SAMPLES]
    typer.echo("")
    for made in sorted(out.rglob("*")):
        if made.is_file():
            typer.echo(f"  {made}")
    return max(statuses)


def copy_samples(folder: Path) -> int:
    """Copy each sample, as DICOM, and its true labels to ``folder``; returns the exit status 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SAMPLES:
        truth = json.loads(SAMPLE_FOLDER.joinpath(f"{name}.json").read_text(encoding="utf-8"))
        for kind in ("scan", "labels"):
            with as_file(SAMPLE_FOLDER.joinpath(truth[kind])) as file:
                typer.echo(shutil.copy(file, folder))
    return 0


def _score_sample(name: str, out: Path) -> int:
    truth = json.loads(SAMPLE_FOLDER.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    typer.echo(f"\n{name}: {truth['statement']}")
    typer.echo(f"True label map: Agatston {truth['agatston']['total']:.1f} ({truth['category']})")
    ships = ships_weights()
    with (
        as_file(SAMPLE_FOLDER.joinpath(truth["scan"])) as study,
        as_file(SAMPLE_FOLDER.joinpath(truth["labels"])) as labels,
    ):
        return max(_score(study, labels, way, out / way) for way in WAYS if ships or way != "networks")


def _score(study: Path, labels: Path, way: str, out: Path) -> int:
    typer.echo(f"\n{WAYS[way]}:")
    options = score.Options(labels=labels) if way == "true-labels" else score.Options(predictor=way)
    return score.run([study], out, options)

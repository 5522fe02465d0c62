"""``ctacal demo``: the main job on the sample that ships with the package."""

import json
from importlib.resources import as_file, files
from pathlib import Path

import typer

from ctacal.cli import score

SAMPLE_STUDY = files("ctacal").joinpath("sample", "thorax_phantom.zip")
SAMPLE_LABELS = files("ctacal").joinpath("sample", "thorax_phantom_labels.nii.gz")
SAMPLE_TRUTH = files("ctacal").joinpath("sample", "thorax_phantom.json")


def run(out: Path) -> int:
    """Score the sample by its true labels, the networks where they ship, the baseline; returns the exit status."""
    typer.echo("The sample is a drawn phantom with known calcium, not a patient.")
    truth = json.loads(SAMPLE_TRUTH.read_text(encoding="utf-8"))
    typer.echo(f"True label map: Agatston {truth['agatston']['total']:.1f} ({truth['category']})")
    with as_file(SAMPLE_STUDY) as study, as_file(SAMPLE_LABELS) as labels:
        ways = {
            "true-labels": ("the true labels, scored (ctacal score --labels)", score.Options(labels=labels)),
            "networks": ("found by the networks (ctacal score)", score.Options(predictor="networks")),
            "threshold": (
                "found by the baseline without training (ctacal score --predictor threshold)",
                score.Options(predictor="threshold"),
            ),
        }
        if not score.ships_weights():
            del ways["networks"]
        statuses = [_score(study, out / name, told, options) for name, (told, options) in ways.items()]
    typer.echo("")
    for made in sorted(out.rglob("*")):
        if made.is_file():
            typer.echo(f"  {made}")
    return max(statuses)


def _score(study: Path, out: Path, told: str, options: score.Options) -> int:
    typer.echo(f"\n{told}:")
    return score.run([study], out, options)

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
    """Score the sample twice: by its true labels, and automatically; returns the exit status."""
    typer.echo("The sample is a drawn phantom with known calcium, not a patient.")
    truth = json.loads(SAMPLE_TRUTH.read_text(encoding="utf-8"))
    typer.echo(f"True label map: Agatston {truth['agatston']['total']:.1f} ({truth['category']})\n")
    with as_file(SAMPLE_STUDY) as study, as_file(SAMPLE_LABELS) as labels:
        typer.echo("1. the true labels, scored (ctacal score --labels):")
        by_labels = score.run([study], out / "true-labels", score.Options(labels=labels))
        typer.echo("\n2. found automatically (ctacal score --predictor threshold, the baseline without training):")
        automatic = score.run([study], out / "automatic", score.Options())
    typer.echo("")
    for made in sorted(out.rglob("*")):
        if made.is_file():
            typer.echo(f"  {made}")
    return max(by_labels, automatic)

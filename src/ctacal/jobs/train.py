"""Training of a network by its recipe. Torch is imported only when the job runs."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ctacal.errors import UsageError
from ctacal.nn.config import Recipe, read_recipe

if TYPE_CHECKING:  # torch takes seconds
    from ctacal.nn.train import Report

NEEDED = ("torch", "onnx", "onnxscript")
"""Packages that training and export need."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A recipe and the folder of its run."""

    recipe_path: Path
    recipe: Recipe
    out: Path


def require_training() -> None:
    """Raise ``UsageError`` if torch, or what exports its networks, is not installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"training needs {', '.join(missing)}: pip install 'ctacal[train]'")


def training_job(recipe_path: Path, out: Path | None = None) -> TrainingJob:
    """Read a recipe; the run goes to ``runs/NAME`` by default. Raises ``UsageError`` if the recipe is wrong."""
    recipe = read_recipe(recipe_path)
    return TrainingJob(recipe_path, recipe, out or Path("runs") / recipe.name)


def run_training(job: TrainingJob, *, report: "Report") -> Path:
    """Train, or continue a run that was stopped; returns the best checkpoint.

    ``report`` is called after each step; if it returns true, training stops. Raises ``UsageError`` if the data are
    wrong, ``nn.train.Stopped`` if ``report`` stopped it.
    """
    from ctacal.nn.train import train

    return train(job.recipe_path, job.out, report=report)

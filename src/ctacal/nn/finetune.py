"""Fine-tuning: train a model's calcium network further on a site's own studies, and check what it forgets."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.nn.annotated import cache_annotated
from ctacal.nn.card import onnx_bytes, write_card
from ctacal.nn.checkpoint import Checkpoint, read_checkpoint
from ctacal.nn.config import DataConfig, Recipe
from ctacal.nn.export import checkpoint_of_model, export_stage
from ctacal.nn.locate import locate
from ctacal.nn.predict import Model, load_model
from ctacal.nn.samples import SampleFolder
from ctacal.nn.train import Report, fit, write_guard
from ctacal.nn.validate import Validation, validate

STEPS = 300
"""Default number of steps: enough for a handful of studies, minutes on two cores (own choice)."""

LEARNING_RATE = 2e-4
"""Default learning rate: a tenth of that of training from random weights (own choice)."""

ALLOWED_FALL = 0.02
"""Largest fall of kappa on the guard set that is accepted: about its standard error over 400 studies (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which model to fine-tune, on which studies, and how."""

    model: Path
    """Folder of the model that is fine-tuned."""
    sources: Sequence[Path]
    """Tables of annotated studies (``annotated.read_table``), or folders of samples with training/ and validation/."""
    guard: Sequence[Path]
    """Folders of the guard set: simulated samples that were never trained on; none: nothing is checked."""
    steps: int = STEPS
    learning_rate: float = LEARNING_RATE
    allowed_fall: float = ALLOWED_FALL


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results before and after, on the site's validation samples and on the guard set."""

    best: Path
    """The checkpoint that was best on the site's validation samples."""
    gained: bool
    """Whether that is not the starting checkpoint."""
    site: tuple[Validation, Validation]
    guard: tuple[Validation, Validation] | None
    allowed_fall: float

    @property
    def fall(self) -> float:
        """Fall of kappa on the guard set; 0 without a guard set."""
        return self.guard[0].kappa - self.guard[1].kappa if self.guard else 0.0

    @property
    def forgot(self) -> bool:
        """Whether kappa fell by more than is accepted."""
        return self.fall > self.allowed_fall


def finetune(plan: Plan, out: Path, *, report: Report, complain: Callable[[str], object]) -> Outcome:
    """Fine-tune into the folder ``out``; the same call continues a run that was stopped.

    ``complain`` is called with each study that cannot be read. Raises ``UsageError`` if model, samples or guard set are
    not fit for use, ``Stopped`` if ``report`` returns true.
    """
    model = load_model(plan.model)
    start = checkpoint_of_model(plan.model)
    guard = SampleFolder(plan.guard)
    if plan.guard and len({held.category for held in guard.contents}) < 2:
        raise UsageError("the samples of the guard set are all of one risk category, which gives no kappa")
    folders = [_samples(source, out, model, start, complain) for source in plan.sources]
    training, validation = (
        SampleFolder([folder / split for folder in folders]) for split in ("training", "validation")
    )
    initial = out / "start.pt"
    start.write(initial)
    best = fit(_recipe(plan, start, model), training, validation, out, initial=initial, report=report)
    tuned = read_checkpoint(best)
    before, after = (
        validate(checkpoint.network(), validation, checkpoint.recipe.network) for checkpoint in (start, tuned)
    )
    guarded = write_guard(initial, best, guard, out) if plan.guard else None
    return Outcome(best, tuned.step > 0, (before, after), guarded, plan.allowed_fall)


def _samples(source: Path, out: Path, model: Model, start: Checkpoint, complain: Callable[[str], object]) -> Path:
    """Return the folder of samples; those of a table are made first."""
    if source.is_dir():
        return source
    folder = out / "samples" / source.stem
    problems = cache_annotated(source, folder, start.recipe.network, locate=lambda scan: locate(scan, model.heart))
    for problem in problems:
        complain(problem)
    return folder


def _recipe(plan: Plan, start: Checkpoint, model: Model) -> Recipe:
    """Return the model's recipe with fewer steps and a lower learning rate; its data are recorded only by digest."""
    train = replace(
        start.recipe.train,
        steps=plan.steps,
        learning_rate=plan.learning_rate,
        warm_up_steps=plan.steps // 10,
        validate_every=max(1, plan.steps // 6),
        checkpoint_every=50,
        bf16=False,  # works on every machine, and this run is short
        loaders=0,
        initial=f"{model.info.name} {model.info.version} {model.info.digest[:16]}",
    )
    return replace(start.recipe, name=f"{start.recipe.name}, fine-tuned", data=DataConfig(), train=train)


def write_tuned_model(outcome: Outcome, model: Path, folder: Path, *, name: str) -> Path:
    """Write the model with the fine-tuned calcium network; returns its card.

    Figures and calibration are left out: they were measured on the old weights.
    """
    base = load_model(model, threads=1)
    folder.mkdir(parents=True, exist_ok=True)
    stages = dict(base.card["stages"])
    for stage in stages.keys() - {"calcium"}:
        (folder / stages[stage]["file"]).write_bytes(onnx_bytes(model, stage))
    stages["calcium"] = export_stage(read_checkpoint(outcome.best), folder / "calcium.onnx")
    facts = {name: fact for name, fact in base.card["facts"].items() if name == "licence"}
    facts["fine_tuned_from"] = asdict(base.info)
    for what, pair in (("site", outcome.site), ("guard", outcome.guard)):
        if pair:
            facts[what] = {"before": pair[0].to_row(), "after": pair[1].to_row()}
    kept = {field: value for field, value in base.card.items() if field not in ("calibration", "facts")}
    return write_card(folder, {**kept, "name": name, "stages": stages, "facts": facts})

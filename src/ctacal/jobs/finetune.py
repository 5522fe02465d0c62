"""Fine-tuning of a model on a site's own studies, and the verdict whether the result may be used.

Importing this module imports torch.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ctacal.jobs.export import ExportedModel, exported_model
from ctacal.nn.finetune import Outcome, Plan, finetune, write_tuned_model
from ctacal.nn.train import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneJob:
    """What to fine-tune, and where to."""

    plan: Plan
    out: Path
    """Folder of the run; the model goes to ``out/model``."""
    force: bool = False
    """Whether the model is written although kappa on the guard set fell too far."""


class Verdict(StrEnum):
    """What became of the fine-tuned network."""

    KEPT = "KEPT"
    FORCED = "FORCED"
    """Kappa on the guard set fell too far, but the job forces the model."""
    FORGOT = "FORGOT"
    """Kappa on the guard set fell too far: no model."""
    NOTHING_GAINED = "NOTHING_GAINED"
    """The starting weights remain the best on the site's validation studies: no model."""


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """The outcome of fine-tuning and the verdict on it."""

    outcome: Outcome
    verdict: Verdict
    model: ExportedModel | None
    """None if no model was written."""


def run_finetuning(job: FinetuneJob, *, report: Report, complain: Callable[[str], object]) -> FinetuneResult:
    """Fine-tune, judge, and write the model unless it is refused; the same call continues a run that was stopped.

    ``complain`` is called with each study that cannot be read. Raises ``UsageError`` if model, samples or guard are
    not fit for use, ``Stopped`` if ``report`` returns true.
    """
    outcome = finetune(job.plan, job.out, report=report, complain=complain)
    folder = job.out / "model"
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run
    verdict = judge(outcome, force=job.force)
    if verdict not in (Verdict.KEPT, Verdict.FORCED):
        return FinetuneResult(outcome, verdict, None)
    write_tuned_model(outcome, job.plan.model, folder, name="fine-tuned")
    return FinetuneResult(outcome, verdict, exported_model(folder))


def judge(outcome: Outcome, *, force: bool = False) -> Verdict:
    """Return the verdict on a fine-tuned network."""
    if not outcome.gained:
        return Verdict.NOTHING_GAINED
    if outcome.forgot:
        return Verdict.FORCED if force else Verdict.FORGOT
    return Verdict.KEPT

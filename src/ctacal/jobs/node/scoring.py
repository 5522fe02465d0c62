"""``score_received``: one claimed study, from the files in the store to its result and what is to be sent of it."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctacal.dicom.series import Intake, Study, read_studies
from ctacal.errors import Code
from ctacal.jobs.finders import Finder, baseline, networks
from ctacal.jobs.node.config import NodeConfig, Score
from ctacal.jobs.node.deliveries import new_deliveries
from ctacal.jobs.node.ledger import NewDelivery, ScoredOutcome, StudyClaim, StudyState
from ctacal.jobs.node.store import Store
from ctacal.jobs.score import Limits, Outcome, Privacy, ScoreJob, Task, score_into
from ctacal.report.outputs import is_about_output
from ctacal.report.predecessor import Predecessor
from ctacal.scores import named_rule
from ctacal.study import folder_name

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, slots=True)
class Scored:
    """A result whose files are on the disk, and what is to be sent of it."""

    outcome: ScoredOutcome
    deliveries: tuple[NewDelivery, ...] = ()


def score_job(config: NodeConfig) -> ScoreJob:
    """Return how the node scores, with its model loaded. Raises ``UsageError`` if model, runtime or rule is missing."""
    score = config.score
    return ScoreJob(
        finder=_finder(score),
        rule=named_rule(score.rule),
        outputs=config.outputs,
        privacy=Privacy(phi=score.phi),
        limits=Limits(fill_gaps=score.fill_gaps, untilt=score.untilt, allow_contrast=score.allow_contrast),
        mass_calibration=score.mass_calibration,
        resume=True,
    )


def _finder(score: Score) -> Finder:
    return baseline() if score.predictor == "threshold" else networks(score.model, score.runtime)


def score_received(claim: StudyClaim, store: Store, config: NodeConfig, job: ScoreJob) -> Scored:
    """Score what the store has received of a study. What is wrong with the study is a result with its reason.

    Results that a killed process left whole are kept; their UIDs follow from the content in any case. Raises
    ``OSError`` if the disk fails, or is not there: what cannot be read then is no fault of the study.
    """
    store.require()
    scored = _scored(claim, store, config, job)
    try:
        store.require()
    except OSError:
        store.unmake_results(claim.study_uid, claim.revision)
        raise
    return scored


def _scored(claim: StudyClaim, store: Store, config: NodeConfig, job: ScoreJob) -> Scored:
    intake = read_studies(store.received(claim.study_uid))
    folder = store.results(claim.study_uid, claim.revision)
    if not intake.studies:
        return Scored(_nothing_to_score(intake))
    predecessor = _predecessor(claim, store)
    outcomes = [
        (
            part,
            Outcome(score_into(part, Task(study, predecessor=predecessor), job), str(part.relative_to(store.folder))),
        )
        for study, part in _folders(intake.studies, claim.study_uid, folder)
    ]
    deliveries = [one for part, outcome in outcomes for one in new_deliveries(config, outcome, part)]
    return Scored(_outcome(outcomes[0][1], intake), tuple(deliveries))


def _folders(studies: Sequence[Study], study_uid: str, folder: Path) -> Iterator[tuple[Study, Path]]:
    """Yield each study with the folder of its result: ``folder`` itself for the first, which names the row.

    The files of one folder can show two studies only where headers write one UID in two ways.
    """
    first, *others = sorted(studies, key=lambda study: study.uid != study_uid)
    yield first, folder
    for study in others:
        yield study, folder / folder_name(study.uid)


def _predecessor(claim: StudyClaim, store: Store) -> Predecessor | None:
    if not claim.predecessor:
        return None
    try:
        return Predecessor.read(store.folder / claim.predecessor)
    except ValueError as problem:
        _log.warning("study %s: the SR that was sent before cannot be named: %s", claim.study_uid, problem)
        return None


def _nothing_to_score(intake: Intake) -> ScoredOutcome:
    """The outcome of files among which is no image."""
    unreadable = next((str(skipped.reason) for skipped in intake.skipped), "")
    code = Code.FILE_UNREADABLE if unreadable else Code.NO_CT_SERIES
    reason = unreadable or "none of the objects that came is an image"
    return ScoredOutcome(state=StudyState.REFUSED, reason_code=code.value, reason=reason, result="")


def _outcome(outcome: Outcome, intake: Intake) -> ScoredOutcome:
    content = outcome.content
    reasons: list[dict[str, Any]] = content["reasons"]
    facts = {
        "warnings": [reason["code"] for reason in reasons],
        "timing_s": content.get("timing_s", {}),
        "unreadable_files": len(intake.skipped),
    }
    if content["status"] == "refused":
        why = [reason for reason in reasons if not is_about_output(reason["message"])][-1]  # it comes after the notes
        return ScoredOutcome(
            state=StudyState.REFUSED, reason_code=why["code"], reason=why["message"], result=outcome.folder, facts=facts
        )
    return ScoredOutcome(
        state=StudyState.SCORED,
        category=content["category"],
        agatston=content["agatston"]["total"],
        result=outcome.folder,
        facts=facts,
    )

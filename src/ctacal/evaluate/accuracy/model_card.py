"""``write_card``: the model card, made from the results of ``ctacal accuracy`` and the facts of the model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ctacal.atomic import write_text
from ctacal.compare.rescanned import RescanPairs
from ctacal.errors import UsageError
from ctacal.evaluate.accuracy.card_text import COMMANDS, INTENDED_USE, LICENCE, LIMITS
from ctacal.evaluate.accuracy.cohort_section import cohort_section
from ctacal.evaluate.accuracy.contenders import SIMULATED, Cohort, Contender, cohorts_of
from ctacal.evaluate.accuracy.goals import verdicts
from ctacal.evaluate.accuracy.markdown import table
from ctacal.evaluate.accuracy.real_scans import REFUSED, RealScan
from ctacal.evaluate.accuracy.reliability_diagram import FEWEST, draw_reliability, reliability
from ctacal.evaluate.accuracy.results import Row
from ctacal.evaluate.accuracy.retest import retest_section

DIAGRAM = "images/reliability.svg"
"""Path of the reliability diagram, relative to the card."""


def write_card(
    path: Path,
    contenders: Sequence[Contender],
    rows: Sequence[Row],
    scans: Sequence[RealScan],
    rescans: RescanPairs | None = None,
) -> None:
    """Write the card and, if the model gives probabilities, its reliability diagram beside it.

    ``rescans`` are pairs of scans of one patient that the first contender scored.

    Rows of other weights than the contenders' are left out. Raises ``UsageError`` if the first contender has no rows.
    """
    cohorts = list(cohorts_of(contenders, rows))
    if not cohorts:
        ours = contenders[0].info
        raise UsageError(f"the results hold no line of {ours.name} ({ours.digest[:12]}); score a COHORT with it first")
    parts = [
        _head(contenders[0], cohorts),
        _summary(cohorts),
        INTENDED_USE,
        _training(contenders),
        *(cohort_section(cohort) for cohort in cohorts),
        _probabilities(cohorts, path),
        retest_section(rescans),
        _real_scans(scans, contenders),
        LIMITS,
        LICENCE,
        COMMANDS,
    ]
    write_text(path, "\n".join(parts))


def _head(ours: Contender, cohorts: Sequence[Cohort]) -> str:
    versions = sorted({row["ctacal"] for cohort in cohorts for row in cohort.studies})
    return (
        f"# Model card: {ours.info.name} {ours.info.version}\n\n"
        f"Written by `ctacal accuracy --card` (ctacal {', '.join(versions)}) from measured results, not edited by "
        f"hand. Weights: SHA-256 `{ours.info.digest[:16]}`.\n"
    )


def _summary(cohorts: Sequence[Cohort]) -> str:
    """Return how many goals are met, and each goal that is missed."""
    judged = [(cohort, verdict) for cohort in cohorts for verdict in verdicts(cohort)]
    missed = [(cohort, verdict) for cohort, verdict in judged if not verdict.met]
    lines = [
        f"- **missed** in {cohort.title}: {verdict.figure}: {verdict.reached}, goal {verdict.goal}"
        for cohort, verdict in missed
    ]
    met = f"{len(judged) - len(missed)} of {len(judged)} goals met" if judged else "No goal could be measured"
    studies = [row for cohort in cohorts for row in cohort.studies]
    unscored = sum(row["status"] != "scored" for row in studies)
    text = (
        f"{met} on simulated scans. A goal is compared with the figure itself, not with its interval. "
        f"{unscored} of {len(studies)} studies were refused or failed and are not part of any figure."
    )
    return "\n".join(["## In short\n", text, "", *lines, ""])


def _training(contenders: Sequence[Contender]) -> str:
    """Return the facts about training, from each model.json."""
    parts = ["## How the networks were made\n"]
    for contender in contenders:
        if contender.model is None:
            continue
        rows = [_stage_line(name, stage) for name, stage in contender.model["stages"].items()]
        head = ("stage", "recipe", "kind", "parameters", "steps", "training data, SHA-256", "trained with ctacal")
        facts = contender.model.get("facts", {}).items()
        items = [f"- {name.replace('_', ' ')}: {_plain(value)}" for name, value in facts]
        title = f"### {contender.title}: {contender.info.name} {contender.info.version}\n"
        parts += [title, *table(head, rows), "", *items, ""]
    return "\n".join(parts)


def _stage_line(name: str, stage: Mapping[str, Any]) -> tuple[str, ...]:
    recipe = stage["recipe"]
    return (
        name, recipe["name"], recipe["network"]["kind"], f"{stage['parameters']:,}", f"{stage['step']:,}",
        f"`{stage['data_sha256'][:16]}`", stage["trained_with"],
    )  # fmt: skip


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _probabilities(cohorts: Sequence[Cohort], path: Path) -> str:
    """Return the section on the probabilities of the categories, and draw the reliability diagram."""
    head = "## Probability of each category\n"
    found = reliability([row for cohort in cohorts if cohort.kind == SIMULATED for row in cohort.studies])
    if found is None:
        return f"{head}\nThis model gives no probabilities.\n"
    draw_reliability(found, path.parent / DIAGRAM)
    return (
        f"{head}\nSimulated cohorts, {found.n} studies, compared with the category of the true label map: Brier score "
        f"{found.brier:.3f} (0 best, 2 worst), mean calibration error {found.calibration_error:.3f}. "
        f"Points of fewer than {FEWEST} studies are not drawn.\n\n"
        f"![Reliability diagram: observed share over predicted probability, by category]({DIAGRAM})\n"
    )


def _real_scans(scans: Sequence[RealScan], contenders: Sequence[Contender]) -> str:
    if not scans:
        return "## Real scans\n\nNo real scan was scored.\n"
    head = ("scan", "source, licence", "expected", *(contender.title for contender in contenders))
    lines = [
        (
            scan.name,
            f"{scan.source}; {scan.licence}; used for {scan.used_for}",
            f"{scan.expected or '?'} ({scan.known_by or 'not known'})",
            *(_real_cell(scan, contender) for contender in contenders),
        )
        for scan in scans
    ]
    return "\n".join(["## Real scans\n", *table(head, lines), "", *_series_agreement(scans, contenders), ""])


def _real_cell(scan: RealScan, contender: Contender) -> str:
    result = scan.results.get(contender.info.digest)
    if result is None:
        return "not run"
    refused = result["status"] == "refused"
    found = REFUSED if refused else result["category"]
    wrong = " **differs**" if scan.expected and found != scan.expected else ""
    if refused:
        return f"refused: {result['reason_codes']}{wrong}"
    reasons = f"; {result['reason_codes']}" if result["reason_codes"] else ""
    return f"{result['category']} (Agatston {float(result['agatston']):.1f}{reasons}){wrong}"


def _series_agreement(scans: Sequence[RealScan], contenders: Sequence[Contender]) -> Iterator[str]:
    """Yield whether all series of a patient have the same category, for each patient and contender."""
    for patient, group in groupby(sorted(scans, key=lambda scan: scan.patient), key=lambda scan: scan.patient):
        series = list(group)
        for contender in contenders:
            digest = contender.info.digest
            found = [scan.results[digest]["category"] for scan in series if digest in scan.results]
            if len(found) > 1:
                agreement = "agree" if len(set(found)) == 1 else "**do not agree**"
                yield f"- {patient}, {contender.title}: the {len(found)} series {agreement} ({', '.join(found)})."

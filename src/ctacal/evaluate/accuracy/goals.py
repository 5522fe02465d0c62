"""The goals of the model card: which results they apply to, and whether they are met."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ctacal.evaluate.accuracy.contenders import Cohort
from ctacal.evaluate.accuracy.figures import FIGURES, Reference, Scored, kind_found, scored
from ctacal.evaluate.accuracy.markdown import estimate_cell, kind_name
from ctacal.evaluate.accuracy.results import Row

KIND_GOAL = 0.03
"""Largest share of studies in which one of ``GOAL_KINDS`` may be counted as coronary, of those that show it."""

GOAL_KINDS = ("aortic_wall", "aortic_valve", "mitral_annulus", "lymph_node", "sternal_wire", "lead")
"""Kinds of other calcium and metal that have a goal."""

REFERENCE_WORDS: Mapping[Reference, str] = {
    "true": "against the true label map on the same scan",
    "gated": "against the gated reference score",
}

EQUIVALENT = ": gated equivalent"
"""Addition to a title: the score of a gated scan as estimated by the model, instead of the score of the CTAC."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, the result, and whether the goal is met."""

    figure: str
    goal: str
    reached: str
    met: bool


def verdicts(cohort: Cohort, title: str) -> Iterator[Verdict]:
    """Yield the verdict on each goal that can be measured on the cohort, for the contender with this title."""
    if not cohort.has_goals:
        return
    rows = cohort.lines[title]
    for reference in REFERENCE_WORDS:
        yield from _figure_verdicts(rows, reference)
    for kind in GOAL_KINDS:
        share = kind_found(rows, kind).share
        if share.estimate is not None:
            met = share.estimate < KIND_GOAL
            yield Verdict(f"{kind_name(kind)} counted as coronary", f"< {KIND_GOAL:.0%}", f"{share.estimate:.1%}", met)


def _figure_verdicts(rows: Sequence[Row], reference: Reference) -> Iterator[Verdict]:
    found = own_answer(rows, reference)[1]
    for figure in FIGURES:
        goal = figure.goals.get(reference)
        if goal is not None and found.reference.size + found.missed:
            estimate = figure.of(found)
            met = estimate.estimate is not None and estimate.estimate >= goal
            yield Verdict(
                f"{figure.name}, {REFERENCE_WORDS[reference]}", f">= {goal:.2f}", estimate_cell(estimate), met
            )


def own_answer(rows: Sequence[Row], reference: Reference) -> tuple[str, Scored]:
    """Return the answer of the model that is compared with a reference, and the addition to its title.

    Compared with the gated score, the answer is the model's gated equivalent, if it gives one.
    """
    equivalent = scored(rows, "gated", "gated_equivalent")
    if reference == "gated" and equivalent.model.size:
        return EQUIVALENT, equivalent
    return "", scored(rows, reference)

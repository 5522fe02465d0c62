"""The goals of the model card: which results they apply to, and whether they are met."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ctacal.evaluate.accuracy.columns import columns_of
from ctacal.evaluate.accuracy.contenders import SIMULATED, Cohort
from ctacal.evaluate.accuracy.figures import FIGURES, Reference, difference, kind_found
from ctacal.evaluate.accuracy.markdown import estimate_cell, kind_name

KIND_GOAL = 0.03
"""Largest share of studies in which one of ``GOAL_KINDS`` may be counted as coronary, of those that show it."""

GOAL_KINDS = ("aortic_wall", "aortic_valve", "mitral_annulus", "lymph_node", "sternal_wire", "lead")
"""Kinds of other calcium and metal that have a goal, in simulated scans of patients as they come."""

REFERENCE_WORDS: Mapping[Reference, str] = {
    "true": "against the true label map on the same scan",
    "gated": "against the gated reference score",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, the result, and whether the goal is met."""

    figure: str
    goal: str
    reached: str
    met: bool


def has_goals(cohort: Cohort) -> bool:
    """Whether any figure has a goal in such a cohort."""
    return any(kind == cohort.kind for figure in FIGURES for kind, _ in figure.goals)


def verdicts(cohort: Cohort) -> Iterator[Verdict]:
    """Yield the verdict on each goal that can be measured on the cohort, for the card's own model."""
    for reference in REFERENCE_WORDS:
        yield from _figure_verdicts(cohort, reference)
    if cohort.kind == SIMULATED:
        yield from _ahead(cohort)
        yield from _kind_verdicts(cohort)


def _figure_verdicts(cohort: Cohort, reference: Reference) -> Iterator[Verdict]:
    own = columns_of(cohort, reference)[0]
    for figure in FIGURES:
        goal = figure.goals.get((cohort.kind, reference))
        if goal is None:
            continue
        found = own.scored(cohort, reference, figure.among)
        if found.reference.size + found.missed:
            estimate = figure.of(found)
            met = estimate.estimate is not None and estimate.estimate >= goal
            yield Verdict(
                f"{figure.name}, {REFERENCE_WORDS[reference]}", f">= {goal:.2f}", estimate_cell(estimate), met
            )


def _ahead(cohort: Cohort) -> Iterator[Verdict]:
    """Yield whether the model is ahead of each other contender."""
    for title, rows in list(cohort.lines.items())[1:]:
        found = difference(cohort.studies, rows, "true")
        if found.n:
            met = found.estimate is not None and found.estimate > 0
            yield Verdict(f"kappa, linear weights, minus that of {title}", "> 0", estimate_cell(found), met)


def _kind_verdicts(cohort: Cohort) -> Iterator[Verdict]:
    for kind in GOAL_KINDS:
        share = kind_found(cohort.studies, kind).share
        if share.estimate is not None:
            met = share.estimate < KIND_GOAL
            yield Verdict(f"{kind_name(kind)} counted as coronary", f"< {KIND_GOAL:.0%}", f"{share.estimate:.1%}", met)

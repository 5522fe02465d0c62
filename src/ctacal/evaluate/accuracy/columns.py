"""The columns of the card's tables: whose score is compared with a reference."""

from collections.abc import Callable
from dataclasses import dataclass

from ctacal.evaluate.accuracy.contenders import Cohort
from ctacal.evaluate.accuracy.figures import Answered, Reference, Scored, scored
from ctacal.evaluate.accuracy.results import Row

TRUE_LABELS = "true label map"
"""Title of the column that shows what perfect labelling of the CTAC would reach."""

EQUIVALENT = ": gated equivalent"
"""Addition to a title: the score of a gated scan as estimated by the model, instead of the score of the CTAC."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; the first of a table is the answer of the card's own model, which the goals judge."""

    title: str
    contender: str
    """Title of the contender whose rows it shows."""
    answered: Answered

    def scored(self, cohort: Cohort, reference: Reference, among: Callable[[Row], bool]) -> Scored:
        """Return the scores of the studies that belong, beside the reference."""
        rows = [row for row in cohort.lines[self.contender] if among(row)]
        return scored(rows, reference, self.answered)


def columns_of(cohort: Cohort, reference: Reference) -> tuple[Column, ...]:
    """Return the columns: against the gated score, the model's gated equivalent first and perfect labelling last."""
    contenders = [Column(title, title, "agatston") for title in cohort.lines]
    if reference == "true":
        return tuple(contenders)
    ours = contenders[0].title
    ceiling = Column(TRUE_LABELS, ours, "true")
    if all(row["gated_equivalent_agatston"] is None for row in cohort.studies):
        return (*contenders, ceiling)
    return (Column(ours + EQUIVALENT, ours, "gated_equivalent"), *contenders, ceiling)

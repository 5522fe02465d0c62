"""Contenders, the models that a card compares, and cohorts: their results on the same studies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctacal.evaluate.accuracy.results import Row
from ctacal.prediction import ModelInfo

SIMULATED, HARD, INSERTED = "simulated", "hard", "inserted"

COHORT_KINDS = (SIMULATED, HARD, INSERTED)
"""Kinds of cohorts, in the order of the card: simulated scans of patients as they come, simulated scans rich in what is
confused with coronary calcium, artificial plaques in real scans."""


@dataclass(frozen=True, eq=False, slots=True)
class Contender:
    """A column of the tables; the first contender is the model that the card describes."""

    title: str
    info: ModelInfo
    model: Mapping[str, Any] | None
    """The content of its model.json; None for a predictor without weights."""


@dataclass(frozen=True, eq=False, slots=True)
class Cohort:
    """The results of all contenders on the studies of a cohort."""

    name: str
    kind: str
    """One of ``COHORT_KINDS``."""
    lines: Mapping[str, Sequence[Row]]
    """Rows of results by the title of the contender; that of the card's own model comes first. Contenders without rows
    are left out."""

    @property
    def studies(self) -> Sequence[Row]:
        """The rows of the card's own model, one for each study."""
        return next(iter(self.lines.values()))

    @property
    def title(self) -> str:
        """Return the cohort's name as the card shows it."""
        return f"`{self.name}`" if self.kind == SIMULATED else f"`{self.name}` ({self.kind})"


def cohorts_of(contenders: Sequence[Contender], rows: Sequence[Row]) -> Iterator[Cohort]:
    """Yield the cohorts for which the first contender has results, in the order of ``COHORT_KINDS``, then by name."""
    names = {(COHORT_KINDS.index(row["cohort_kind"]), row["cohort"]) for row in rows}
    for kind, name in sorted(names):
        here = [row for row in rows if (row["cohort"], row["cohort_kind"]) == (name, COHORT_KINDS[kind])]
        by_title = {
            contender.title: [row for row in here if row["model_digest"] == contender.info.digest]
            for contender in contenders
        }
        lines = {title: found for title, found in by_title.items() if found}
        if contenders[0].title in lines:
            yield Cohort(name, COHORT_KINDS[kind], lines)

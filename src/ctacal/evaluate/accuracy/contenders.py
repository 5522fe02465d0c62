"""Contenders, the models that a card compares, and cohorts: their results on the same studies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctacal.evaluate.accuracy.results import Row
from ctacal.prediction import ModelInfo


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
    """``simulated``, or ``inserted`` for artificial plaques in real scans."""
    lines: Mapping[str, Sequence[Row]]
    """Rows of results by the title of the contender; that of the card's own model comes first."""

    @property
    def studies(self) -> Sequence[Row]:
        """The rows of the card's own model, one for each study."""
        return next(iter(self.lines.values()))

    @property
    def has_goals(self) -> bool:
        """Whether goals apply: inserted plaques are reported without goals."""
        return self.kind == "simulated"


def cohorts_of(contenders: Sequence[Contender], rows: Sequence[Row]) -> Iterator[Cohort]:
    """Yield the cohorts for which the first contender has results, simulated ones first."""
    names = sorted({(row["cohort_kind"] != "simulated", row["cohort"], row["cohort_kind"]) for row in rows})
    for _, name, kind in names:
        here = [row for row in rows if (row["cohort"], row["cohort_kind"]) == (name, kind)]
        lines = {
            contender.title: [row for row in here if row["model_digest"] == contender.info.digest]
            for contender in contenders
        }
        if lines[contenders[0].title]:
            yield Cohort(name, kind, lines)

"""The report of the reading itself: how long readers took, how much they changed, and how they agree with the model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ctacal.jobs.reader_study import ADJUDICATION
from ctacal.jobs.reading_index import ReadingIndex, Summary
from ctacal.statistics.agreement.categories import cross_table, exact_agreement, risk_categories, weighted_kappa
from ctacal.statistics.agreement.correlation import icc_agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class WithModel:
    """Agreement of a reader with the model."""

    studies: int
    same_category: float | None
    """Share of studies in the same risk category."""
    kappa: float | None
    """Cohen's kappa of the categories, linear weights."""
    icc: float | None
    """ICC(2,1) of the scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderReport:
    """One reader's work in one session."""

    reader: str
    session: str
    started: int
    """Readings that are not signed yet."""
    signed: int
    amended: int
    median_s: float | None
    """Active seconds until the first signature; None before one is signed."""
    quartile_1_s: float | None
    quartile_3_s: float | None
    median_edits: float | None
    """Edits until the first signature; undo and redo count."""
    model: WithModel | None


def reports(index: ReadingIndex, reader: str | None = None, *, with_model: bool) -> list[ReaderReport]:
    """Return the report of one reader, or of all, by session."""
    wanted = {} if reader is None else {"reader": reader}
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in index.readings(**wanted):
        groups.setdefault((summary.reader, summary.session), []).append(summary)
    scores = index.model_scores() if with_model else {}
    return [_report(name, session, readings, scores) for (name, session), readings in sorted(groups.items())]


def report_json(index: ReadingIndex, reader: str | None, *, with_model: bool) -> dict[str, Any]:
    """Return the reports as the page shows them."""
    return {"readers": [asdict(report) for report in reports(index, reader, with_model=with_model)]}


def _report(reader: str, session: str, readings: Sequence[Summary], scores: Mapping[str, float]) -> ReaderReport:
    signed = [one for one in readings if one.state == "signed" or one.version > 1]
    seconds = np.percentile([one.signed_s for one in signed], [25, 50, 75]).tolist() if signed else [None] * 3
    return ReaderReport(
        reader=reader,
        session=session,
        started=len(readings) - len(signed),
        signed=len(signed),
        amended=sum(one.version > 1 for one in signed),
        quartile_1_s=seconds[0],
        median_s=seconds[1],
        quartile_3_s=seconds[2],
        median_edits=float(np.median([one.signed_edits for one in signed])) if signed else None,
        model=_with_model(signed, scores) if scores and not session.startswith(ADJUDICATION) else None,
    )


def _with_model(signed: Sequence[Summary], scores: Mapping[str, float]) -> WithModel:
    pairs = [
        (one.agatston, scores[one.case_id])
        for one in signed
        if one.verdict == "read" and one.case_id in scores and one.agatston is not None
    ]
    if not pairs:
        return WithModel(studies=0, same_category=None, kappa=None, icc=None)
    read, model = np.array(pairs, np.float64).T
    table = cross_table(risk_categories(read), risk_categories(model))
    return WithModel(
        studies=len(pairs),
        same_category=exact_agreement(table).estimate,
        kappa=weighted_kappa(table).estimate,
        icc=icc_agreement(np.column_stack([read, model])).estimate,
    )

"""Time and event of each patient, from one event column or from the first of several components."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Ints, Mask
from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.config import DAYS_PER, Component, OutcomeConfig, OutcomesConfig

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """Time and event of each patient; every array is (n,)."""

    years: Floats
    event: Mask
    cause: Ints
    """The first event: 0 none, 1 of interest, 2 competing."""
    kinds: dict[str, int]
    """Number of first events by component; of two on one day the component named first counts."""
    kept: Mask
    """False if the early window excludes the patient."""
    notes: tuple[str, ...]
    """Sentences on what was excluded or not counted."""


def follow_up(table: "pd.DataFrame", config: OutcomesConfig, source: Path) -> FollowUp:
    """Return the follow-up of all patients.

    Raises ``UsageError`` if an event has no time, or a time after the end of follow-up.
    """
    outcome = config.outcome
    end = table[outcome.time].to_numpy(np.float64)
    if not outcome.component:
        event = table[outcome.event].to_numpy() == 1
        years = end / (DAYS_PER["years"] / DAYS_PER[outcome.unit])
        kinds = {outcome.name: int(event.sum())}
        return FollowUp(years, event, event.astype(np.int64), kinds, np.ones(len(end), np.bool_), ())
    patient = np.asarray(table[config.identifier] if config.identifier else table.index + 1)
    when = {part.name: _when(table, part, end, patient, source) for part in outcome.component}
    kept, notes = _early(when, end, outcome)
    return _first(when, end, outcome, kept, notes)


def _when(table: "pd.DataFrame", component: Component, end: Floats, patient: NDArray[Any], source: Path) -> Floats:
    """Return (n,): the time of the event, infinite if it did not happen."""
    happened = table[component.event].to_numpy() == 1
    time = table[component.time].to_numpy(np.float64) if component.time else end
    for wrong, problem in ((np.isnan(time), "has no time"), (time > end, "is later than the end of follow-up")):
        if (rows := np.flatnonzero(happened & wrong)).size:
            who = patient[rows[0]]
            raise UsageError(
                f"{source}, patient {who}: {component.name} {problem} (column {component.time or component.event})"
            )
    return np.where(happened, time, np.inf)


def _early(when: dict[str, Floats], end: Floats, outcome: OutcomeConfig) -> tuple[Mask, tuple[str, ...]]:
    """Return the patients to keep, and notes; removes early revascularisations that do not count from ``when``."""
    everybody = np.ones(len(end), np.bool_)
    if outcome.early == "count":
        return everybody, ()
    name = outcome.revascularisation
    early = when[name] <= outcome.early_days / DAYS_PER[outcome.unit]
    number, window = int(early.sum()), f"{name} within {outcome.early_days:g} days"
    patients, was = ("patient", "was") if number == 1 else ("patients", "were")
    if outcome.early == "exclude":
        return ~early, (f"{number:,} {patients} with {window} {was} excluded.",)
    when[name] = np.where(early, np.inf, when[name])
    own_time = next(part.time for part in outcome.component if part.name == name)
    continues = "continues" if own_time else f"ends there: {name} has no time column of its own"
    return everybody, (f"{number:,} {patients} had {window}, which does not count; their follow-up {continues}.",)


def _first(
    when: dict[str, Floats], end: Floats, outcome: OutcomeConfig, kept: Mask, notes: tuple[str, ...]
) -> FollowUp:
    times, counts = np.column_stack(list(when.values())), np.array([part.in_outcome for part in outcome.component])
    competes = np.array([part.name == outcome.competing for part in outcome.component])
    which = times.argmin(axis=1)
    earliest = times[np.arange(len(end)), which]
    happened = np.isfinite(earliest)
    event = happened & counts[which]
    cause = np.where(happened, np.where(competes[which], 2, 1), 0)
    kinds = {
        part.name: int((event & kept & (which == place)).sum())
        for place, part in enumerate(outcome.component)
        if part.in_outcome
    }
    years = np.minimum(earliest, end) / (DAYS_PER["years"] / DAYS_PER[outcome.unit])
    return FollowUp(years, event, cause.astype(np.int64), kinds, kept, notes)

"""Time and event of each patient, from one event column or from components of which the first counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctacal.arrays import Floats, Ints, Mask
from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.config import DAYS_PER, Component, OutcomeConfig, OutcomesConfig

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """Every array (n,)."""

    years: Floats
    event: Mask
    cause: Ints
    """0 none, 1 of interest, 2 competing: what came first."""
    kinds: dict[str, int]
    """First events, by component; where two fall on one day, the one named first."""
    kept: Mask
    """False where the early window excludes a patient."""
    told: tuple[str, ...]


def follow_up(table: "pd.DataFrame", config: OutcomesConfig, source: Path) -> FollowUp:
    """Raises ``UsageError`` where a component has no time, or one after the end of follow-up."""
    outcome = config.outcome
    end = table[outcome.time].to_numpy(np.float64)
    if not outcome.component:
        event = table[outcome.event].to_numpy() == 1
        years = end / (DAYS_PER["years"] / DAYS_PER[outcome.unit])
        kinds = {outcome.name: int(event.sum())}
        return FollowUp(years, event, event.astype(np.int64), kinds, np.ones(len(end), np.bool_), ())
    patient = table[config.identifier] if config.identifier else table.index + 1
    when = {one.name: _when(table, one, end, patient, source) for one in outcome.component}
    kept, told = _early(when, end, outcome)
    return _first(when, end, outcome, kept, told)


def _when(
    table: "pd.DataFrame", component: Component, end: Floats, patient: "Sequence[object]", source: Path
) -> Floats:
    """(n,): when it happened, infinite where it did not."""
    happened = table[component.event].to_numpy() == 1
    time = table[component.time].to_numpy(np.float64) if component.time else end
    for wrong, told in ((np.isnan(time), "has no time"), (time > end, "is later than the end of follow-up")):
        if (rows := np.flatnonzero(happened & wrong)).size:
            who = np.asarray(patient)[rows[0]]
            raise UsageError(
                f"{source}, patient {who}: {component.name} {told} (column {component.time or component.event})"
            )
    return np.where(happened, time, np.inf)


def _early(when: dict[str, Floats], end: Floats, outcome: OutcomeConfig) -> tuple[Mask, tuple[str, ...]]:
    """Who is kept; takes early revascularisations out of ``when`` where they do not count."""
    everybody = np.ones(len(end), np.bool_)
    if outcome.early == "count":
        return everybody, ()
    name = outcome.revascularisation
    early = when[name] <= outcome.early_days / DAYS_PER[outcome.unit]
    number, window = int(early.sum()), f"{name} within {outcome.early_days:g} days"
    if outcome.early == "exclude":
        return ~early, (f"{number:,} patients with {window} were left out.",)
    when[name] = np.where(early, np.inf, when[name])
    own_time = next(one.time for one in outcome.component if one.name == name)
    goes_on = "goes on" if own_time else f"ends there: {name} has no time column of its own"
    return everybody, (f"{number:,} patients had {window}, which does not count; their follow-up {goes_on}.",)


def _first(when: dict[str, Floats], end: Floats, outcome: OutcomeConfig, kept: Mask, told: tuple[str, ...]) -> FollowUp:
    times, counts = np.column_stack(list(when.values())), np.array([one.in_outcome for one in outcome.component])
    competes = np.array([one.name == outcome.competing for one in outcome.component])
    which = times.argmin(axis=1)
    earliest = times[np.arange(len(end)), which]
    happened = np.isfinite(earliest)
    event = happened & counts[which]
    cause = np.where(happened, np.where(competes[which], 2, 1), 0)
    kinds = {
        one.name: int((event & kept & (which == place)).sum())
        for place, one in enumerate(outcome.component)
        if one.in_outcome
    }
    years = np.minimum(earliest, end) / (DAYS_PER["years"] / DAYS_PER[outcome.unit])
    return FollowUp(years, event, cause.astype(np.int64), kinds, kept, told)

"""Time and event of each patient, from one event column or from the first of several components."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Ints, Mask
from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.config import Component, OutcomeConfig, OutcomesConfig
from ctacal.evaluate.readings.mixed_units import mixed_doubt
from ctacal.evaluate.readings.plausible import DAYS_PER

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """Time and event of each patient; every array is (n,)."""

    years: Floats
    event: Mask
    cause: Ints
    """The first event: 0 none, 1 of interest, 2 competing."""
    which: Ints
    """The component that came first: index into ``names``; meaningless without an event."""
    names: tuple[str, ...]
    """The components that count, in the order of the TOML; or the outcome."""
    kept: Mask
    """False if the early window excludes the patient."""
    notes: tuple[str, ...]
    """Sentences on what was excluded or not counted."""
    excluded: tuple[tuple[str, int], ...] = ()
    """Reason and number of the patients not kept."""

    @property
    def kinds(self) -> dict[str, int]:
        """Number of first events by component, of the patients kept."""
        own = self.which[self.event & self.kept]
        return {name: int((own == place).sum()) for place, name in enumerate(self.names)}


def follow_up(table: "pd.DataFrame", config: OutcomesConfig, source: Path) -> FollowUp:
    """Return the follow-up of all patients.

    Raises ``UsageError`` if an event has no time, or a time after the end of follow-up.
    """
    outcome = config.outcome
    end = table[outcome.follow_up].to_numpy(np.float64)
    if not outcome.component:
        event = table[outcome.event].to_numpy() == 1
        years = end / (DAYS_PER["years"] / DAYS_PER[outcome.unit])
        which, kept = np.zeros(len(end), np.int64), np.ones(len(end), np.bool_)
        return _landmark(FollowUp(years, event, event.astype(np.int64), which, (outcome.name,), kept, ()), outcome)
    patient = np.asarray(table[config.identifier] if config.identifier else table.index + 1)
    when = {part.name: _when(table, part, end, patient, outcome, source) for part in outcome.component}
    kept, notes = _early(when, end, outcome)
    found = _first(when, end, outcome, kept, notes)
    if left := int((~kept).sum()):
        found = replace(found, excluded=((_early_event(outcome), left),))
    return _landmark(found, outcome)


def _early_event(outcome: OutcomeConfig) -> str:
    return f"{outcome.revascularisation} within {outcome.early_days:g} days"


def _when(
    table: "pd.DataFrame",
    component: Component,
    end: Floats,
    patient: NDArray[Any],
    outcome: OutcomeConfig,
    source: Path,
) -> Floats:
    """Return (n,): the time of the event, infinite if it did not happen."""
    happened, own = table[component.event].to_numpy() == 1, outcome.event_time(component)
    time = table[own].to_numpy(np.float64) if own else end
    for wrong, problem in ((np.isnan(time), "has no time"), (time > end, "is later than the end of follow-up")):
        if (rows := np.flatnonzero(happened & wrong)).size:
            who, column = patient[rows[0]], component.date or component.time or component.event
            raise UsageError(f"{source}, patient {who}: {component.name} {problem} (column {column})")
    return np.where(happened, time, np.inf)


def _early(when: dict[str, Floats], end: Floats, outcome: OutcomeConfig) -> tuple[Mask, tuple[str, ...]]:
    """Return the patients to keep, and notes; removes early revascularisations that do not count from ``when``."""
    everybody = np.ones(len(end), np.bool_)
    if outcome.early in ("count", "landmark"):
        return everybody, ()
    name = outcome.revascularisation
    early = when[name] <= outcome.early_days / DAYS_PER[outcome.unit]
    number, window = int(early.sum()), _early_event(outcome)
    if outcome.early == "exclude":
        return ~early, (f"{_patients(number, 'was', 'were')} excluded because of {window}.",)
    ends = int((early & (end <= when[name])).sum())
    when[name] = np.where(early, np.inf, when[name])
    note = f"{_patients(number, 'had', 'had')} {window}, which does not count."
    if ends:
        note += (
            f" The follow-up of {ends:,} of them ends on that day in the table, so that later events are not known: "
            'they are censored there. early = "landmark" starts everybody at the end of the window instead.'
        )
    elif number:
        note += " Their follow-up continues."
    return everybody, (note,)


def _patients(number: int, one: str, many: str) -> str:
    return f"{number:,} patient {one}" if number == 1 else f"{number:,} patients {many}"


def _first(
    when: dict[str, Floats], end: Floats, outcome: OutcomeConfig, kept: Mask, notes: tuple[str, ...]
) -> FollowUp:
    """Take the first event of each patient; of two at one time the one of interest goes before the competing one."""
    parts = sorted(outcome.component, key=lambda part: part.name == outcome.competing)
    times = np.column_stack([when[part.name] for part in parts])
    counts = np.array([part.in_outcome for part in parts])
    competes = np.array([part.name == outcome.competing for part in parts])
    which = times.argmin(axis=1)
    earliest = times[np.arange(len(end)), which]
    happened = np.isfinite(earliest)
    event = happened & counts[which]
    cause = np.where(happened, np.where(competes[which], 2, 1), 0)
    names = tuple(part.name for part in outcome.component if part.in_outcome)
    place = np.array([names.index(part.name) if part.in_outcome else -1 for part in parts], np.int64)
    years = np.minimum(earliest, end) / (DAYS_PER["years"] / DAYS_PER[outcome.unit])
    tied = happened[:, None] & (times == earliest[:, None])
    told = (*notes, *_ties([part.name for part in parts], tied & kept[:, None], outcome))
    return FollowUp(years, event, cause.astype(np.int64), place[which], names, kept, told)


def _ties(names: list[str], tied: NDArray[np.bool_], outcome: OutcomeConfig) -> tuple[str, ...]:
    """Return a sentence on patients with two first events at one time; ``names`` in the order in which they count."""
    rows = tied[tied.sum(axis=1) > 1]
    if not len(rows):
        return ()
    pairs = Counter(" and ".join(name for name, own in zip(names, row, strict=True) if own) for row in rows)
    listed = "; ".join(f"{pair} in {number:,}" for pair, number in pairs.most_common(5))
    order = ", ".join(names)
    untimed = [part.name for part in outcome.component if not outcome.event_time(part)]
    why = f" (without a time of their own: {', '.join(untimed)})" if len(untimed) > 1 else ""
    return (
        f"{_patients(len(rows), 'has', 'have')} several first events at one time{why}: {listed}. The first of these "
        f"counts: {order}.",
    )


def _landmark(found: FollowUp, outcome: OutcomeConfig) -> FollowUp:
    """Start everybody at the end of the early window, if that is asked for."""
    if outcome.early != "landmark":
        return found
    start = outcome.early_days / DAYS_PER["years"]
    kept = found.kept & (found.years > start)
    left = int((found.kept & ~kept).sum())
    first = int((found.kept & ~kept & found.event).sum())
    window = f"within {outcome.early_days:g} days"
    reasons = ((f"event {window}", first), (f"followed no longer than {outcome.early_days:g} days", left - first))
    note = (
        f"Landmark analysis: follow-up starts {outcome.early_days:g} days after the scan. "
        f"{_patients(left, 'was', 'were')} left out whose event or end of follow-up came before."
    )
    years = np.where(kept, found.years - start, 0.0)
    excluded = (*found.excluded, *((reason, number) for reason, number in reasons if number))
    return replace(found, years=years, kept=kept, notes=(*found.notes, note), excluded=excluded)


EARLY_SHARE, FEW_EVENTS = 0.1, 10
"""Share of the longest follow-up below which the times of all events, if not few, seem to have another unit."""


def time_doubts(table: "pd.DataFrame", config: OutcomesConfig, source: Path) -> Iterator[str]:
    """Yield what the reader must check of the times: days with fractions, events on day 0, times in another unit.

    Raises ``UsageError`` if most events of a component are on day 0: its times are then those of something else.
    """
    outcome = config.outcome
    end = table[outcome.follow_up].to_numpy(np.float64)
    broken = int((end != np.round(end)).sum())
    if outcome.unit == "days" and broken:
        yield (
            f"{_patients(broken, 'has', 'have')} a follow-up with a fraction of a day (column {outcome.follow_up}): "
            "are some of these in another unit?"
        )
    parts = outcome.component or (Component(name=outcome.name, event=outcome.event),)
    without = ~np.any([table[part.event].to_numpy() == 1 for part in parts], axis=0)
    if doubt := mixed_doubt(end[without]):  # events may come early, follow-up without one ends at similar times
        yield f"Column {outcome.follow_up}, of patients without an event, {doubt}"
    for part in parts:
        own = outcome.event_time(part)
        time = table[own].to_numpy(np.float64) if own else end
        times = time[(table[part.event].to_numpy() == 1) & np.isfinite(time)]
        yield from _event_doubts(part.name, own or outcome.follow_up, times, end, source)


def _event_doubts(name: str, column: str, times: Floats, end: Floats, source: Path) -> Iterator[str]:
    if not len(times):
        return
    at_start = int((times == 0).sum())
    if at_start > len(times) / 2 and at_start >= FEW_EVENTS:
        raise UsageError(
            f"{source}: column {column} is 0 for {at_start:,} of {len(times):,} patients with {name}; expected the "
            "time of the event"
        )
    if at_start:
        yield f"{_patients(at_start, 'has', 'have')} {name} at time 0 (column {column}): is that right?"
    on_last = int((times == end.max()).sum())
    if on_last >= FEW_EVENTS and on_last > len(times) / 2:
        yield (
            f"{_patients(on_last, 'has', 'have')} {name} at {end.max():,.4g}, the end of the longest follow-up: does "
            f"column {column} hold the end of follow-up, not the time of the event?"
        )
    if len(times) >= FEW_EVENTS and float(times.max()) < EARLY_SHARE * float(end.max()):
        yield (
            f"All times of {name} (column {column}) are at most {times.max():,.4g}, and follow-up reaches "
            f"{end.max():,.4g}: are they in another unit?"
        )

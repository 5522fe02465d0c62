"""The ledger of a shard: lines that each runner appends to a file of its own, checked against the outcomes.

A line that is torn, lost or never written costs nothing: what the outcomes hold and the lines do not is added again.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ctacal.jobs.batch.outcomes import FAILED, LOST, RowOutcome, outcome_from, outcome_name, read_outcome
from ctacal.jobs.batch.places import Place

FACTS = ("at", "runner", "attempts", "bytes", "files", "requests")
"""What lines tell beside outcomes: Unix time, who did it, attempts, bytes read, files seen, requests to a store."""

WRITTEN_S = 60.0
"""An outcome that cannot be read and is younger may still be being written, on a disk without links (own choice)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger."""

    outcome: RowOutcome
    facts: Mapping[str, Any]
    """About the attempt, by the names in ``FACTS``; none if the line was made again from its outcome."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a shard's outcomes say, by their names alone."""

    scored: frozenset[str]
    """Identities of rows with studies."""
    failed: frozenset[str]
    """Identities of rows that gave nothing, and no result later."""


def ledger_name(shard: int, runner: str) -> str:
    """Return the name of a runner's lines about a shard."""
    return f"ledger/{shard:04d}/{runner}.jsonl"


def done_of(shard: int, place: Place) -> Done:
    """Return which rows of a shard are done."""
    names = {name.removesuffix(".json") for name in place.names(outcome_name(shard, "").rstrip("/"))}
    scored = frozenset(name for name in names if not name.endswith(FAILED))
    return Done(scored, frozenset(name.removesuffix(FAILED) for name in names - scored) - scored)


def entries_of(shard: int, place: Place, done: Done) -> dict[str, Entry]:
    """Return the last line about each row of a shard whose outcome is there."""
    return {entry.outcome.row: entry for entry in lines_of(shard, place) if _is_backed(entry.outcome, done)}


def _is_backed(outcome: RowOutcome, done: Done) -> bool:
    return outcome.row in (done.failed if outcome.fault else done.scored)


def lines_of(shard: int, place: Place) -> Iterator[Entry]:
    """Yield all lines about a shard, those of one runner in their order."""
    folder = f"ledger/{shard:04d}"
    for name in sorted(place.names(folder)):
        for line in place.read(f"{folder}/{name}").splitlines():
            with suppress(ValueError, LookupError, TypeError):  # torn by a kill: its outcome is there, or it runs again
                content = json.loads(line)
                facts = {key: content[key] for key in FACTS if key in content}
                yield Entry(outcome_from(content), facts)


def times_lost(row: str, shard: int, place: Place) -> int:
    """Return how often a row was given up as lost; each time that it is tried again it may be lost as often anew."""
    outcomes = (entry.outcome for entry in lines_of(shard, place))
    return sum(outcome.row == row and outcome.fault is not None and outcome.fault.why == LOST for outcome in outcomes)


def complete(shard: int, place: Place, runner: str) -> dict[str, Entry]:
    """Return the entries of a shard, with those that its outcomes hold and no line does; these are appended."""
    done = done_of(shard, place)
    entries = entries_of(shard, place, done)
    for row in (done.scored | done.failed) - entries.keys():
        name = f"{row}.json" if row in done.scored else f"{row}{FAILED}.json"
        if outcome := read_outcome(shard, name, place):
            place.append(ledger_name(shard, runner), outcome.line())
            entries[row] = Entry(outcome, {})
        elif place.age_s(outcome_name(shard, name)) > WRITTEN_S:
            place.remove(outcome_name(shard, name))  # torn, on a disk without links: the row runs again
    return entries

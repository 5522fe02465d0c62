"""The ledger of a shard: lines that each runner appends to a file of its own, checked against the outcomes.

A line that is torn, lost or never written costs nothing: what the outcomes hold and the lines do not is added again.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ctacal.jobs.batch.outcomes import FAILED, RowOutcome, outcome_from, outcome_name, read_outcome
from ctacal.jobs.batch.places import Place

FACTS = ("at", "runner", "attempts", "bytes", "files", "requests")
"""What lines tell beside outcomes: Unix time, who did it, attempts, bytes read, files seen, requests to a store."""


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


def entries_of(shard: int, place: Place) -> dict[str, Entry]:
    """Return the lines about each row of a shard; of several, one with studies counts, then the last."""
    found: dict[str, Entry] = {}
    for entry in _lines(shard, place):
        there = found.get(entry.outcome.row)
        if there is None or there.outcome.fault or not entry.outcome.fault:
            found[entry.outcome.row] = entry
    return found


def _lines(shard: int, place: Place) -> Iterator[Entry]:
    folder = f"ledger/{shard:04d}"
    for name in sorted(place.names(folder)):
        for line in place.read(f"{folder}/{name}").splitlines():
            with suppress(ValueError, LookupError, TypeError):  # torn by a kill: its outcome is there, or it runs again
                content = json.loads(line)
                facts = {key: content[key] for key in FACTS if key in content}
                yield Entry(outcome_from(content), facts)


def complete(shard: int, place: Place, runner: str) -> dict[str, Entry]:
    """Return the entries of a shard, with those that its outcomes hold and no line does; these are appended."""
    entries, done = entries_of(shard, place), done_of(shard, place)
    for row in (done.scored | done.failed) - {row for row, entry in entries.items() if _is_current(entry, done)}:
        name = f"{row}.json" if row in done.scored else f"{row}{FAILED}.json"
        if outcome := read_outcome(shard, name, place):
            place.append(ledger_name(shard, runner), outcome.line())
            entries[row] = Entry(outcome, {})
        else:
            place.remove(outcome_name(shard, name))  # torn, on a disk without links: the row runs again
    return {row: entry for row, entry in entries.items() if row in done.scored or row in done.failed}


def _is_current(entry: Entry, done: Done) -> bool:
    return entry.outcome.fault is None or entry.outcome.row in done.failed

"""``status_of``: how a run stands, read from its place by any machine; nothing is written."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ctacal.jobs.batch.ledger import Done, Entry, done_of, entries_of
from ctacal.jobs.batch.places import Place
from ctacal.jobs.batch.plan import Plan, load_plan, rows_of_shard
from ctacal.jobs.batch.runners import Runner, runners

RATE_S = 600.0
"""The rate is that of the last so many seconds (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a run stands."""

    run: str
    """Beginning of the plan's digest."""
    total: int
    """Rows."""
    done: int
    failed: int
    """Rows among them that gave nothing."""
    scored: int
    """Studies."""
    refused: int
    reasons: tuple[tuple[str, int], ...]
    """Why studies were refused and rows gave nothing, and how often."""
    runners_alive: int
    cores_alive: int
    runners_lost: int
    """Runners that were killed, or whose machine failed."""
    rows_per_minute: float
    """Rate over the last ten minutes of work; 0 if nothing is known."""
    left_s: float | None
    """Time left at that rate; None if nothing runs."""
    core_seconds_per_1000: float | None
    """Core seconds that runners held for 1,000 studies, idle ones among them."""
    cost_per_1000: float | None
    """In the currency of the declared price."""
    read_bytes: int
    files: int
    requests: int
    """To object stores."""
    read_share: float | None
    """What was read of what the finished rows hold: 1 means each byte once. None if the plan has no sizes."""


def status_of(place: Place, price_per_core_hour: float | None = None) -> Status:
    """Return how a run stands. Raises ``UsageError`` if there is no plan, ``OSError`` if the place fails."""
    plan = load_plan(place)
    counts = _Counts()
    for shard, rows in enumerate(plan.rows):
        if rows:
            done = done_of(shard, place)
            counts.add(done, entries_of(shard, place, done).values(), _sizes(plan, place, shard))
    working = list(runners(place))
    per_minute = counts.rows_per_minute()
    alive = [runner for runner in working if runner.is_alive(time.time())]
    studies = counts.scored + counts.refused
    core_seconds = sum(runner.seconds * runner.cores for runner in working) / studies * 1000 if studies else None
    return Status(
        run=plan.name,
        total=plan.total,
        done=counts.done,
        failed=counts.failed,
        scored=counts.scored,
        refused=counts.refused,
        reasons=tuple(counts.reasons.most_common()),
        runners_alive=len(alive),
        cores_alive=sum(runner.cores for runner in alive),
        runners_lost=sum(_is_lost(runner) for runner in working),
        rows_per_minute=per_minute,
        left_s=(plan.total - counts.done) / per_minute * 60 if per_minute and alive else None,
        core_seconds_per_1000=core_seconds,
        cost_per_1000=_cost(core_seconds, price_per_core_hour),
        read_bytes=counts.read_bytes,
        files=counts.files,
        requests=counts.requests,
        read_share=counts.read_bytes / counts.planned_bytes if counts.planned_bytes else None,
    )


def _sizes(plan: Plan, place: Place, shard: int) -> dict[str, int]:
    if plan.size_bytes is None:
        return {}
    return {row.id: row.size_bytes for row in rows_of_shard(plan, place, shard) if row.size_bytes is not None}


def _is_lost(runner: Runner) -> bool:
    return not runner.ended and not runner.is_alive(time.time())


def _cost(core_seconds: float | None, price: float | None) -> float | None:
    return None if core_seconds is None or price is None else core_seconds / 3600 * price


class _Counts:
    """Sums over the entries of all shards."""

    def __init__(self) -> None:
        self.done = self.failed = self.scored = self.refused = 0
        self.read_bytes = self.files = self.requests = self.planned_bytes = 0
        self.reasons: Counter[str] = Counter()
        self.times: list[float] = []

    def add(self, done: Done, entries: Iterable[Entry], sizes: dict[str, int]) -> None:
        """Count the rows of a shard that are done, and what its entries tell of them: in a bucket they come later."""
        self.done += len(done.scored) + len(done.failed)
        self.failed += len(done.failed)
        for entry in entries:
            outcome, facts = entry.outcome, entry.facts
            if outcome.fault:
                self.reasons[f"row: {outcome.fault.why}"] += 1
            for study in outcome.studies:
                self.refused += study.status == "refused"
                self.scored += study.status != "refused"
                self.reasons.update(filter(None, [study.reason]))
            self.times += [facts["at"]] if "at" in facts else []
            self.read_bytes += facts.get("bytes") or 0
            self.files += facts.get("files") or 0
            self.requests += facts.get("requests") or 0
            if facts.get("bytes"):
                self.planned_bytes += sizes.get(outcome.row, 0)

    def rows_per_minute(self) -> float:
        """Return the rate of the last ten minutes in which rows were done."""
        last = max(self.times, default=0.0)
        recent = [at for at in self.times if at > last - RATE_S]
        return (len(recent) - 1) / (last - min(recent)) * 60 if len(recent) > 1 and last > min(recent) else 0.0

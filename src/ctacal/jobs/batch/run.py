"""``run_batch``: the rows of some shards, scored by watched processes; each outcome is written down as it comes.

It may be killed at any instant and started again, here or elsewhere: what has an outcome is not scored again, and what
two runners score at once gives the same bytes, of which the first are kept.
"""

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from ctacal.jobs.batch.ledger import Done, done_of, ledger_name, times_lost
from ctacal.jobs.batch.outcomes import (
    FAILED,
    LOST,
    Fault,
    RowOutcome,
    keep_study,
    outcome_name,
    study_key,
    write_down,
)
from ctacal.jobs.batch.places import FolderPlace, Place
from ctacal.jobs.batch.plan import Plan, load_plan, require_identity, rows_of_shard
from ctacal.jobs.batch.rows import Row
from ctacal.jobs.batch.runners import (
    BEAT_S,
    Runner,
    is_gone,
    lost_in_hand,
    new_runner,
    runners,
    seen_now,
    show,
)
from ctacal.jobs.batch.scoring import RowScored, RowTask, begin
from ctacal.jobs.batch.settings import identity
from ctacal.jobs.batch.share import Share
from ctacal.jobs.score import ScoreJob
from ctacal.watched import Failed, Limits
from ctacal.watched_pool import Finished, WatchedPool

MOST_LOST = 10
"""A row that was in hand when runners were killed is recorded as failed after so many (own choice: a machine that fails
has many rows in hand, and only one of them may be why)."""

MOST_FAILURES = 20
"""The run stops after so many rows in a row that a disk or network kept from being read, and four for each process (own
choice): if a mount is gone, the rest of a million rows would fail too."""

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How this runner works; nothing here changes a result."""

    share: Share
    processes: int | None = None
    """None: one for each core."""
    memory_mb: int = 4096
    time_s: float = 600.0
    retry_failed: bool = False
    """Try rows again that gave nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the caller learns while the run goes on."""

    on_row: Callable[[RowOutcome, int, int], object] = lambda _outcome, _done, _total: None
    """Called for each row, with the numbers of rows done and in all, of this runner's share."""
    on_pool: Callable[[Callable[[], None]], object] = lambda _stop: None
    """Called once with a function that makes the run hand back what it has in hand; a signal handler may call it."""


NOBODY = Watch()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRun:
    """What came of this runner."""

    done: int
    """Rows of its share that have an outcome, also from before."""
    total: int
    failed: int
    """Rows among them that gave nothing."""
    postponed: int
    """Rows that a disk or network failure kept from being scored; they run the next time."""
    handed_back: bool
    """Whether it was asked to stop before all was done."""


class Engine(Protocol):
    """What performs tasks somewhere: ``WatchedPool`` on this machine, or actors of a cluster."""

    processes: int
    """How many tasks are performed at once."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End all that was begun."""

    def results(self, tasks: Iterable[RowTask]) -> Iterator[Finished[RowTask, RowScored]]:
        """Yield what comes of each task, as they finish; tasks are taken as they are needed."""

    def stop(self) -> None:
        """Give no more tasks, and let ``results`` end within seconds."""


def local_engine(job: ScoreJob, options: RunOptions) -> Engine:
    """Return watched processes of this machine."""
    limits = Limits(options.memory_mb, options.time_s)
    return WatchedPool(partial(begin, job), processes=options.processes, limits=limits)


def run_batch(
    place: Place,
    options: RunOptions,
    watch: Watch = NOBODY,
    engine: Callable[[ScoreJob, RunOptions], Engine] = local_engine,
) -> BatchRun:
    """Score what is not done yet of this runner's share. Raises ``UsageError`` if this machine cannot score as planned.

    Raises ``OSError`` if the place of the run fails.
    """
    plan = load_plan(place)
    job = plan.settings.score_job()
    require_identity(plan, identity(job))
    with tempfile.TemporaryDirectory(prefix="ctacal-batch-") as local:
        pool = engine(job, options)
        work = _Work(plan=plan, pool=pool, place=place, options=options, watch=watch, local=Path(local))
        try:
            done = work.run()
        except BaseException as problem:
            work.end(type(problem).__name__)
            raise
        work.end("handed back" if done.handed_back else "done")
        return done


@dataclass(eq=False, kw_only=True)
class _Work:
    plan: Plan
    pool: Engine
    place: Place
    options: RunOptions
    watch: Watch
    local: Path
    failed: int = 0
    done: int = 0
    postponed: int = 0
    failures_in_turn: int = 0
    stopped: bool = False
    in_hand: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shards = self.options.share.of(len(self.plan.rows))
        self.runner: Runner = new_runner(self.pool.processes, self.options.share.text)
        self.out = self._out()
        self.ending = threading.Event()
        self.beating = threading.Thread(target=self._beat, name="beat", daemon=True)

    def _out(self) -> Path:
        """The folder for files that are being made: on the disk of the run, so that they only need a new name."""
        if not isinstance(self.place, FolderPlace):
            return self.local / "out"
        folder = self.place.folder / "scratch"
        _sweep(folder, self.place)
        return folder / self.runner.name

    def run(self) -> BatchRun:
        self.watch.on_pool(self._stop)
        show(self.runner, self.place)
        self.beating.start()
        total = sum(self.plan.rows[shard] for shard in self.shards)
        done = {shard: done_of(shard, self.place) for shard in self.shards if self.plan.rows[shard]}
        self.failed = 0 if self.options.retry_failed else sum(len(one.failed) for one in done.values())
        self.done = self.failed + sum(len(one.scored) for one in done.values())
        with self.pool:
            for finished in self.pool.results(self._tasks(done)):
                self._note(finished, total)
        return BatchRun(
            done=self.done, total=total, failed=self.failed, postponed=self.postponed, handed_back=self.stopped
        )

    def end(self, why: str) -> None:
        """Say that this runner has ended, and tidy up."""
        self.ending.set()
        if self.beating.is_alive():
            self.beating.join()
        with suppress(OSError):
            self.place.settle()
            show(seen_now(self.runner, done=self.runner.done, in_hand=(), ended=why), self.place)
        shutil.rmtree(self.out, ignore_errors=True)

    def _stop(self) -> None:
        self.stopped = True
        self.pool.stop()

    def _tasks(self, before: dict[int, Done]) -> Iterator[RowTask]:
        """Yield the rows that are not done; those that were in hand when a runner was killed come last."""
        lost = lost_in_hand(self.place)
        suspects: list[tuple[Row, int]] = []
        for shard in self._in_own_order():
            for row in self._left(shard, before):
                if row.id in lost:
                    suspects.append((row, shard))
                else:
                    yield self._task(row, shard)
        for row, shard in sorted(suspects, key=lambda one: lost[one[0].id]):
            if self._has_outcome(row, shard):
                continue
            if lost[row.id] >= MOST_LOST * (1 + times_lost(row.id, shard, self.place)):
                self._give_up(row, shard, lost[row.id])
            else:
                yield self._task(row, shard)

    def _in_own_order(self) -> list[int]:
        """The shards with rows, from a place of this runner's own: two that share them meet only at the end."""
        shards = [shard for shard in self.shards if self.plan.rows[shard]]
        start = hash(self.runner.name) % max(1, len(shards))
        return shards[start:] + shards[:start]

    def _left(self, shard: int, before: dict[int, Done]) -> Iterator[Row]:
        done = before[shard]
        if len(done.scored) + (0 if self.options.retry_failed else len(done.failed)) >= self.plan.rows[shard]:
            return
        done = done_of(shard, self.place)
        skip = done.scored if self.options.retry_failed else done.scored | done.failed
        for row in rows_of_shard(self.plan, self.place, shard):
            if row.id not in skip and not self._has_outcome(row, shard):
                yield row

    def _has_outcome(self, row: Row, shard: int) -> bool:
        """Whether another runner has done it meanwhile."""
        return not self.options.retry_failed and self.place.exists(outcome_name(shard, f"{row.id}.json"))

    def _task(self, row: Row, shard: int) -> RowTask:
        self.in_hand[row.id] = None
        self._show()
        return RowTask(row, shard, self.out / row.id, self.local / "fetched" / row.id)

    def _note(self, finished: Finished[RowTask, RowScored], total: int) -> None:
        """Write down what came of a row; the runner's file is shown afterwards, so that it never claims too little."""
        task, answer = finished.task, finished.answer
        began = time.time()
        if isinstance(answer, Failed) and not answer.is_of_task:
            self._postpone(task, answer)
        else:
            self.failures_in_turn = 0
            outcome, facts = self._outcome(task, answer)
            facts |= {"at": round(began, 1), "runner": self.runner.name, "attempts": len(finished.strikes) + 1}
            write_down(outcome, task.shard, self.place, ledger_name(task.shard, self.runner.name), facts)
            if self.options.retry_failed and not outcome.fault:
                self.place.remove(outcome_name(task.shard, f"{outcome.row}{FAILED}.json"))
            self._count(outcome, total)
        for folder in (task.out, task.scratch):
            shutil.rmtree(folder, ignore_errors=True)
        self.in_hand.pop(task.row.id, None)
        self._show()

    def _postpone(self, task: RowTask, failed: Failed) -> None:
        """Leave a row for the next time. Raises ``OSError`` if nothing can be read any more."""
        _log.warning("row %s is left for the next time: %s", task.row.id, failed.reason)
        self.postponed += 1
        self.failures_in_turn += 1
        if self.failures_in_turn >= max(MOST_FAILURES, 4 * self.pool.processes):
            times = f"{self.failures_in_turn} rows in turn could not be read"
            raise OSError(f"{times}: a mount or the network may be gone ({failed.reason})")

    def _count(self, outcome: RowOutcome, total: int) -> None:
        self.done += 1
        self.runner = seen_now(self.runner, done=self.runner.done + 1)
        self.failed += outcome.fault is not None
        self.watch.on_row(outcome, self.done, total)

    def _outcome(self, task: RowTask, answer: RowScored | Failed) -> tuple[RowOutcome, dict[str, Any]]:
        if isinstance(answer, Failed):
            fault = Fault(why=str(answer.why), message=answer.reason)
            return RowOutcome(row=task.row.id, fault=fault), {}
        facts = {"bytes": answer.read_bytes, "files": answer.files, "requests": answer.requests}
        if not answer.results:
            fault = Fault(why="empty", message=answer.why_empty)
            return RowOutcome(row=task.row.id, fault=fault, unreadable_files=answer.unreadable_files), facts
        outputs = self.plan.settings.outputs
        studies = [
            keep_study(result, task.out / folder, study_key(result, outputs, task.row), self.place)
            for result, folder in answer.results
        ]
        return RowOutcome(row=task.row.id, studies=tuple(studies), unreadable_files=answer.unreadable_files), facts

    def _give_up(self, row: Row, shard: int, times: int) -> None:
        message = f"it was in hand each of the {times} times that its runner was killed or its machine failed"
        outcome = RowOutcome(row=row.id, fault=Fault(why=LOST, message=message))
        facts = {"at": round(time.time(), 1), "runner": self.runner.name}
        write_down(outcome, shard, self.place, ledger_name(shard, self.runner.name), facts)
        self._count(outcome, sum(self.plan.rows[one] for one in self.shards))

    def _show(self) -> None:
        """Show what is in hand: at once in a folder, where a file costs a fraction of a millisecond."""
        self.runner = seen_now(self.runner, in_hand=tuple(self.in_hand))
        if isinstance(self.place, FolderPlace):
            show(self.runner, self.place)

    def _beat(self) -> None:
        while not self.ending.wait(BEAT_S):
            with suppress(OSError):
                self.place.settle()
                show(seen_now(self.runner), self.place)


def _sweep(folder: Path, place: Place) -> None:
    """Remove what runners that are gone have left half done."""
    for runner in runners(place):
        if is_gone(runner):
            shutil.rmtree(folder / runner.name, ignore_errors=True)

"""``side_by_side``: the studies of ``ctacal score`` in several watched processes, each with a warm model.

The results are those of one process. A study that kills its process, swells or hangs is refused with the reason.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ctacal.errors import Code, Reason, UsageError
from ctacal.jobs.score import Outcome, ScoreAll, ScoreJob, Task, one_after_another, refuse, score_and_write
from ctacal.jobs.scoring_pool import will_need
from ctacal.report.outputs import prepare
from ctacal.watched import Duty, Failed, Limits, Why, can_be_sent
from ctacal.watched_pool import DEFAULT_LIMITS, WatchedPool

_CODES = {
    Why.ENDED: Code.PROCESS_ENDED,
    Why.MEMORY: Code.TOO_LARGE,
    Why.TIME: Code.TOO_SLOW,
    Why.DEFECT: Code.INTERNAL_ERROR,
}


def side_by_side(processes: int | None = None, limits: Limits = DEFAULT_LIMITS) -> ScoreAll:
    """Return how to score tasks in so many processes, by default one for each core; one task needs no process.

    Raises ``OSError`` if the disk fails, ``UsageError`` if no process can load the model.
    """
    return partial(_score_all, processes=processes, limits=limits)


def _score_all(
    tasks: Sequence[Task], out: Path, job: ScoreJob, *, processes: int | None, limits: Limits
) -> Iterator[tuple[int, Outcome]]:
    if len(tasks) == 1 or not can_be_sent(job):  # a finder of the caller's own may live in this process alone
        yield from one_after_another(tasks, out, job)
        return
    with WatchedPool(partial(begin_tasks, job, out), processes=processes, limits=limits) as pool:
        for finished in pool.results(tasks):
            yield finished.number, _outcome(finished.answer, finished.task, out, job)


def begin_tasks(job: ScoreJob, out: Path) -> Duty[Task, Outcome]:
    """Run in a process of the pool, in which unpickling the job has loaded its model."""
    prepare(job.outputs)
    return Duty(lambda task: score_and_write(task, out, job), _read_ahead)


def _read_ahead(task: Task) -> Task:
    will_need(dict.fromkeys(slice_.source.path for slice_ in task.study.slices))
    return task


def _outcome(answer: Outcome | Failed, task: Task, out: Path, job: ScoreJob) -> Outcome:
    """Return what came of a task. Raises what is no fault of the study."""
    if isinstance(answer, Outcome):
        return answer
    if answer.problem:
        raise answer.problem
    if answer.why not in _CODES:
        raise UsageError(answer.reason)
    return refuse(task, out, job, Reason(_CODES[answer.why], answer.reason))

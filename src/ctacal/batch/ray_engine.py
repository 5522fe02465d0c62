"""``run_on_ray``: the runners of a batch as actors of a Ray cluster.

Each actor receives only the address of the run and its own share of the shards: no image and no result travels
through Ray. It runs as ``ctacal batch run --shard`` does, with watched processes and a warm model in each. The outcomes
are the ledger: an actor that dies is started again, elsewhere if its machine is lost, and goes on where it was; so
does a driver that is started again.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ctacal.errors import UsageError
from ctacal.jobs.batch.ledger import done_of
from ctacal.jobs.batch.places import FolderPlace, Place, open_place
from ctacal.jobs.batch.plan import Plan, load_plan
from ctacal.jobs.batch.run import BatchRun, RunOptions, Watch, run_batch
from ctacal.jobs.batch.runners import runners
from ctacal.jobs.batch.share import Share
from ctacal.progress import Progress, no_progress

RESTARTS = 30
"""How often a share is begun again after its actor died. More than ``run.MOST_LOST``, after which the row that kills it
is given up."""
_LOOK_S = 1.0
"""How often the driver asks how far the actors are."""


class Runner:
    """An actor: a runner of one share."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self._stopped = False

    def run(self, run: str, options: RunOptions) -> BatchRun:
        """Score the share. Raises as ``run_batch``."""
        return run_batch(open_place(run), options, Watch(on_pool=self._begun))

    def _begun(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        if self._stopped:
            stop()

    def stop(self) -> None:
        """Hand back what is in hand."""
        self._stopped = True
        if self._stop:
            self._stop()


def run_on_ray(
    place: Place,
    options: RunOptions,
    *,
    address: str | None = None,
    on_pool: Callable[[Callable[[], None]], object] = lambda _stop: None,
    progress: Progress = no_progress,
) -> BatchRun:
    """Score what is not done yet of this share, by ``options.processes`` actors, by default one for each core.

    ``address`` is that of the cluster; None: the one that RAY_ADDRESS names, or a new one on this machine. ``on_pool``
    is called as that of ``run.Watch``. Raises ``UsageError`` if Ray is not installed, there are too few cores or
    shards, or a machine cannot score as planned.
    """
    ray, plan = _ray(), load_plan(place)
    mine = not ray.is_initialized()
    if mine:
        ray.init(address=address, logging_level="warning", include_dashboard=False)
    try:
        shares = _shares(options, int(ray.cluster_resources().get("CPU", 0)), len(plan.rows))
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=RESTARTS, max_concurrency=2)(Runner)
        actors = [(actor.remote(), share) for share in shares]

        def stop() -> None:
            for one, _ in actors:
                one.stop.remote()

        on_pool(stop)
        began, before = time.time(), _done(plan, options.share, place)
        tasks = [one.run.remote(_address(place), share) for one, share in actors]
        for _ in _waited(ray, tasks):
            since = sum(runner.done for runner in runners(place) if runner.began >= began)
            progress(before + since, sum(plan.rows[shard] for shard in options.share.of(len(plan.rows))))
        return _together([_result(ray, task) for task in tasks])
    finally:
        if mine:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as problem:
        raise UsageError("--engine ray needs Ray: pip install 'ctacal[ray]'") from problem
    return ray


def _shares(options: RunOptions, cores: int, shards: int) -> list[RunOptions]:
    """Return the options of each actor: its part of the shards in this runner's share.

    Raises ``UsageError`` if the cluster has fewer cores than the actors asked for: they would wait for ever.
    """
    whole = options.share
    count = min(options.processes or cores, shards // whole.parts)
    if not 1 <= count <= cores:
        raise UsageError(f"--processes {count}: the Ray cluster has {cores} cores, and each actor needs one")
    shares = (Share(whole.index + whole.parts * number, whole.parts * count) for number in range(count))
    return [replace(options, share=share, processes=1) for share in shares]


def _address(place: Place) -> str:
    """Return where actors find the run: they work in other folders."""
    return str(place.folder.absolute()) if isinstance(place, FolderPlace) else place.text


def _done(plan: Plan, share: Share, place: Place) -> int:
    done = (done_of(shard, place) for shard in share.of(len(plan.rows)) if plan.rows[shard])
    return sum(len(one.scored) + len(one.failed) for one in done)


def _waited(ray: Any, tasks: list[Any]) -> Iterator[int]:
    """Yield the number of tasks that are left, again and again; the first error ends all."""
    left = tasks
    while left:
        ended, left = ray.wait(left, timeout=_LOOK_S)
        for task in ended:
            _result(ray, task)
        yield len(left)


def _result(ray: Any, task: Any) -> BatchRun:
    try:
        result: BatchRun = ray.get(task)
    except ray.exceptions.RayTaskError as problem:
        if isinstance(problem.cause, UsageError):
            raise UsageError(str(problem.cause)) from problem
        if isinstance(problem.cause, OSError):
            raise OSError(str(problem.cause)) from problem
        raise
    except ray.exceptions.RayActorError as problem:
        raise UsageError(f"--engine ray: an actor has died {RESTARTS} times; see the logs of Ray") from problem
    return result


def _together(done: list[BatchRun]) -> BatchRun:
    return BatchRun(
        done=sum(one.done for one in done),
        total=sum(one.total for one in done),
        failed=sum(one.failed for one in done),
        postponed=sum(one.postponed for one in done),
        handed_back=any(one.handed_back for one in done),
    )

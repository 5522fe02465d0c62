"""Tasks in several watched processes: what one of them does to its process costs no other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.watched import Failed, Limits, Why
from ctacal.watched_pool import Finished, WatchedPool, in_order
from tests import odd_tasks

pytestmark = pytest.mark.slow

LIMITS = Limits(memory_mb=odd_tasks.SWOLLEN_MB // 2, time_s=60)


def pool(folder: Path, *, processes: int = 2, limits: Limits = LIMITS, **more: object) -> WatchedPool[str, str]:
    return WatchedPool(partial(odd_tasks.begin, folder), processes=processes, limits=limits, **more)  # type: ignore[arg-type]


def performed(folder: Path, tasks: list[str], limits: Limits = LIMITS) -> list[Finished[str, str]]:
    with pool(folder, limits=limits) as running:
        return list(in_order(running.results(tasks)))


def failed(finished: Finished[str, str]) -> Failed:
    assert isinstance(finished.answer, Failed)
    return finished.answer


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def beside(action: Callable[[], None]) -> Iterator[None]:
    """Run an action in a thread beside the block."""
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(action)
        yield
        future.result()


def release_when_begun(folder: Path, *tasks: str) -> None:
    for task in tasks:
        wait_until((folder / f"begun {task}").exists, f"begin of {task}")
    (folder / "go").touch()


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_all_tasks_are_performed_by_two_processes(tmp_path: Path) -> None:
    tasks = ["waits 1", "waits 2", *(f"task {number}" for number in range(20))]
    with pool(tmp_path) as running, beside(lambda: release_when_begun(tmp_path, "waits 1", "waits 2")):
        done = list(in_order(running.results(tasks)))
    assert [one.task for one in done] == tasks
    answers = [str(one.answer).rpartition(" by ") for one in done]
    assert [name for name, _, _ in answers] == tasks
    assert len({pid for _, _, pid in answers}) == 2


def test_no_task_no_process(tmp_path: Path) -> None:
    assert performed(tmp_path / "not there", []) == []


@pytest.mark.parametrize(
    ("task", "why", "reason"),
    [
        ("dies", Why.ENDED, "the scoring process ended with exit code -9 (killed from outside"),
        ("swells", Why.MEMORY, "the scoring process was killed: it took "),
    ],
)
def test_a_task_that_ends_its_process_is_given_up_the_third_time(
    tmp_path: Path, task: str, why: Why, reason: str
) -> None:
    noted: list[str] = []
    tasks = ["a", task, "b", "c", "d"]
    with pool(tmp_path, on_strike=lambda task, _: noted.append(task)) as running:
        done = list(in_order(running.results(tasks)))
    assert failed(done[1]).why == why
    assert failed(done[1]).reason.startswith(reason)
    assert [strike.why for strike in done[1].strikes] == [why, why]
    assert noted == [task] * 3
    assert len((tmp_path / f"begun {task}").read_text().split()) == 3
    assert [isinstance(one.answer, str) and not one.strikes for one in done] == [True, False, True, True, True]


def test_a_task_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    done = performed(tmp_path, ["hangs", "a"], limits=Limits(time_s=0.5))
    assert failed(done[0]).reason == "the scoring process was killed: it took longer than 0.5 s"
    assert failed(done[0]).why == Why.TIME
    assert isinstance(done[1].answer, str)


def test_a_process_that_does_not_read_its_pipe_does_not_stop_the_others(tmp_path: Path) -> None:
    """The task behind the one that hangs is larger than the pipe."""
    done = performed(tmp_path, ["holds", "b " + "x" * 2**22, "c " + "x" * 2**22, "d"], limits=Limits(time_s=2))
    assert failed(done[0]).why == Why.TIME
    assert [str(one.answer)[:2] for one in done[1:]] == ["b ", "c ", "d "]


def test_what_a_task_raises_is_told_at_once(tmp_path: Path) -> None:
    raises, no_disk, good = performed(tmp_path, ["raises Doe^Jane", "no-disk", "a"])
    assert (failed(raises).why, failed(raises).is_of_task) == (Why.DEFECT, True)
    assert "Doe" not in failed(raises).reason + failed(raises).traceback  # a message may quote a header
    assert "perform" in failed(raises).traceback
    assert (failed(no_disk).why, failed(no_disk).is_of_task) == (Why.SYSTEM, False)
    problem = failed(no_disk).problem
    assert isinstance(problem, OSError) and (problem.errno, problem.filename) == (28, "result.json")
    assert isinstance(good.answer, str)


def test_tasks_are_taken_when_they_are_needed(tmp_path: Path) -> None:
    taken = 0

    def tasks() -> Iterator[str]:
        nonlocal taken
        for taken in count(1):
            yield str(taken)

    with pool(tmp_path) as running:
        assert len(list(islice(running.results(tasks()), 10))) == 10
    assert taken <= 10 + 2 * 4  # each process has two, and two wait for it


def test_the_next_task_is_fetched_while_one_is_performed(tmp_path: Path) -> None:
    def release_when_fetched() -> None:
        wait_until((tmp_path / "fetched next").exists, "fetch of the next task")
        assert not (tmp_path / "begun next").exists()
        (tmp_path / "go").touch()

    with pool(tmp_path, processes=1) as running, beside(release_when_fetched):
        assert [one.task for one in running.results(["waits", "next"])] == ["waits", "next"]


def test_what_is_in_hand_when_the_pool_stops_is_handed_back(tmp_path: Path) -> None:
    tasks = iter(["a", "hangs", "b"])
    with pool(tmp_path, processes=1) as running:
        results = running.results(tasks)
        done = [next(results).task]
        running.stop(within_s=0.5)
        done += [one.task for one in results]
    assert done == ["a"]
    assert [*running.unfinished, *tasks] == ["hangs", "b"]


def test_a_pool_that_stops_finishes_what_it_has_in_hand(tmp_path: Path) -> None:
    tasks = ["waits 1", "waits 2", *"cdefghij"]
    with pool(tmp_path) as running:

        def stop_when_begun() -> None:
            for task in tasks[:2]:
                wait_until((tmp_path / f"begun {task}").exists, f"begin of {task}")
            running.stop(within_s=30)
            (tmp_path / "go").touch()

        with beside(stop_when_begun):
            done = [one.task for one in running.results(tasks)]
    assert {"waits 1", "waits 2"} <= set(done) <= {"waits 1", "waits 2", "c", "d"}, "those are with a process"
    assert sorted([*done, *running.unfinished]) == sorted(tasks[: len(done) + len(running.unfinished)])


def test_without_a_model_there_is_no_pool(tmp_path: Path) -> None:
    (tmp_path / "no-model").touch()
    with pytest.raises(UsageError, match=r"the scoring process cannot start: model.json is missing"):
        performed(tmp_path, ["a"])


def test_processes_leave_signals_to_their_parent_and_end_with_it(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from ctacal.watched_pool import WatchedPool\n"
        "from tests import odd_tasks\n"
        "if __name__ == '__main__':\n"
        "    with WatchedPool(partial(odd_tasks.begin, Path(sys.argv[1])), processes=2) as pool:\n"
        "        list(pool.results(['hangs 1', 'hangs 2']))\n"
    )
    begun = [tmp_path / "begun hangs 1", tmp_path / "begun hangs 2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    with subprocess.Popen([sys.executable, script, tmp_path], env=environment) as parent:
        wait_until(lambda: all(file.exists() and file.read_text() for file in begun), "begin of both")
        pids = [int(file.read_text()) for file in begun]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        time.sleep(0)
        assert all(map(alive, pids))
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(map(alive, pids)), "end of both", 20)

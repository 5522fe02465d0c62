"""The scorers of the node: processes with a warm model, watched from outside.

This process claims studies and gives each to a scoring process of its own (spawn). It watches memory and time of that
process and kills it when it takes too much, tells the ledger that the work goes on, and writes down what came of it. A
study that ends its process again and again is put in quarantine. What ends *this* process is no fault of a study.
"""

import logging
import os
import platform
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any

from ctacal.errors import CtacalError, UsageError, system_message
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.events import start_logging, tell, trace
from ctacal.jobs.node.ledger import Ledger, StudyClaim, open_ledger
from ctacal.jobs.node.life import Pulse, alive_folder
from ctacal.jobs.node.scoring import Scored, score_job, score_received
from ctacal.jobs.node.store import Store
from ctacal.report.outputs import prepare
from ctacal.workers import end_with_parent

LOOK_S = 0.2
"""How often a scoring process is looked at, and how long an idle scorer waits before it looks for work."""
BEAT_S = 2.0
"""How often the ledger is told that a study is being scored."""
PAUSE_S = 10.0
"""Pause after a scorer could not work for a reason that is no fault of a study."""
_START_S = 300.0
"""Time for a scoring process to load its model."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """What the scoring process says when it could not work."""

    reason: str
    is_of_study: bool
    """False: the disk failed or the like, and the study may be tried again later."""
    traceback: str = ""


_READY = "ready"


def run(config: NodeConfig, stopping: Event) -> None:
    """Score settled studies until ``stopping`` is set; what is being scored then is left to the next start."""
    store = Store(config.store)
    count = config.score.processes or max(1, len(_cores()) // 2)
    pulse = Pulse(alive_folder(config.store, config.receive.port), "scorer")
    slots = [_Slot(config, store, number, count, stopping) for number in range(count)]
    threads = [Thread(target=slot.work, name=f"scorer {slot.number}", daemon=True) for slot in slots]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if all(slot.moves() for slot in slots):
            pulse.beat()
        stopping.wait(1.0) if not stopping.is_set() else threads[0].join(0.1)
    for thread in threads:
        thread.join()


@dataclass(eq=False)
class _Slot:
    """One scorer: a thread that watches over one scoring process at a time."""

    config: NodeConfig
    store: Store
    number: int
    count: int
    stopping: Event
    worker: "_Worker | None" = field(default=None, init=False)
    seen_at: float = field(default_factory=time.monotonic, init=False)

    def moves(self) -> bool:
        """Whether this thread has lately been through its loop."""
        return time.monotonic() - self.seen_at < 10.0

    def work(self) -> None:
        """Claim and score until the node stops. Whatever goes wrong is told, and tried again."""
        ledger: Ledger | None = None
        while not self.stopping.is_set():
            try:
                ledger = ledger or open_ledger(self.config.ledger, self.store.id)
                self._score_next(ledger)
            except CtacalError as problem:
                tell("scorer waits", level=logging.ERROR, scorer=self.number, reason=problem)
                self._pause()
            except Exception:
                logging.getLogger("ctacal").exception("scorer failed")
                self._pause()
        if self.worker:
            self.worker.end()
        if ledger:
            ledger.close()

    def _score_next(self, ledger: Ledger) -> None:
        worker = self._ready_worker()
        if worker is None:
            return
        claim = ledger.claim_study(f"scorer-{self.number + 1} {os.getpid()} on {platform.node()}")
        if claim is None:
            self._seen()
            self.stopping.wait(LOOK_S)
            return
        tell("scoring begins", study_uid=claim.study_uid, revision=claim.revision, attempt=claim.attempts)
        began = time.monotonic()
        answer = self._answer(worker, claim, ledger)
        self._note(ledger, claim, answer, time.monotonic() - began)

    def _ready_worker(self) -> "_Worker | None":
        """Return a process whose model is loaded; None if the node stops. Raises ``UsageError`` if none can be had."""
        if self.worker and self.worker.is_fit():
            return self.worker
        if self.worker:
            self.worker.end()
        self.worker = worker = _Worker.started(self.config, _cores_of(self.number, self.count))
        until = time.monotonic() + _START_S
        while not self.stopping.is_set():
            self._seen()
            answer = worker.answer(LOOK_S)
            if answer == _READY:
                return worker
            if answer is not None or time.monotonic() > until:
                worker.end()
                self.worker = None
                reason = answer.reason if isinstance(answer, _Failed) else f"no model within {_START_S:g} s"
                raise UsageError(f"the scoring process cannot start: {reason}")
        return None

    def _answer(self, worker: "_Worker", claim: StudyClaim, ledger: Ledger) -> "Scored | _Failed | None":
        """Return what came of a study; None if it is not wanted any more, or the node stops."""
        worker.give(claim)
        limits = self.config.score
        until = time.monotonic() + limits.time_s
        beat_at = time.monotonic() + BEAT_S
        while not self.stopping.is_set():
            self._seen()
            answer = worker.answer(LOOK_S)
            if isinstance(answer, Scored | _Failed):
                return answer
            memory_mb = worker.memory_bytes() / 2**20
            if memory_mb > limits.memory_mb:
                return self._killed(worker, f"it took {memory_mb:.0f} MB of memory, more than {limits.memory_mb} MB")
            if time.monotonic() > until:
                return self._killed(worker, f"it took longer than {limits.time_s:g} s")
            if time.monotonic() > beat_at:
                beat_at = time.monotonic() + BEAT_S
                if not _beat(ledger, claim):
                    break
        worker.end()
        return None

    def _killed(self, worker: "_Worker", reason: str) -> _Failed:
        worker.end()
        return _Failed(f"the scoring process was killed: {reason}", is_of_study=True)

    def _note(self, ledger: Ledger, claim: StudyClaim, answer: "Scored | _Failed | None", seconds: float) -> None:
        facts: dict[str, Any] = {"study_uid": claim.study_uid, "revision": claim.revision}
        if answer is None:
            if self.stopping.is_set():
                _give_back(ledger, claim)
            tell("scoring was given up", **facts, reason="the node stops" if self.stopping.is_set() else "claim lost")
        elif isinstance(answer, Scored):
            kept = ledger.scored(claim, answer.outcome, answer.deliveries)
            what = answer.outcome.state.value.lower() if kept else "result is not wanted, because objects came"
            tell(what, **facts, seconds=round(seconds, 2), reason_code=answer.outcome.reason_code,
                 deliveries=len(answer.deliveries))  # fmt: skip
        else:
            tell("scoring failed", level=logging.ERROR, **facts, attempt=claim.attempts, reason=answer.reason)
            if answer.traceback:
                logging.getLogger("ctacal").error("%s", answer.traceback)
            if answer.is_of_study:
                ledger.scoring_failed(claim, answer.reason, most_attempts=self.config.score.most_attempts)
            else:
                _give_back(ledger, claim)
                self._pause()

    def _seen(self) -> None:
        self.seen_at = time.monotonic()

    def _pause(self) -> None:
        until = time.monotonic() + PAUSE_S
        while not self.stopping.is_set() and time.monotonic() < until:
            self._seen()
            self.stopping.wait(1.0)


def _beat(ledger: Ledger, claim: StudyClaim) -> bool:
    """Tell that the study is being scored; False if the claim was taken away. A ledger that is away is no reason."""
    try:
        return ledger.beat(claim)
    except CtacalError:
        return True


def _give_back(ledger: Ledger, claim: StudyClaim) -> None:
    """Let another scorer claim the study at once; the attempt does not count."""
    for claimed in ledger.claims():
        if claimed.token == claim.token:
            ledger.free(claimed, counts=False)


@dataclass(eq=False, slots=True)
class _Worker:
    """A scoring process and the pipe to it."""

    process: SpawnProcess
    pipe: Connection
    most_bytes: int
    """Memory above which it is not given another study."""

    @classmethod
    def started(cls, config: NodeConfig, cores: set[int]) -> "_Worker":
        context = get_context("spawn")
        pipe, remote = context.Pipe()
        process = context.Process(target=score_claims, args=(remote, config, cores), name="scoring")
        process.start()
        remote.close()
        return cls(process, pipe, config.score.memory_mb * 2**20 // 2)

    def give(self, claim: StudyClaim) -> None:
        with suppress(OSError):  # it has just died: ``answer`` says so
            self.pipe.send(claim)

    def answer(self, wait_s: float) -> "Scored | _Failed | str | None":
        """Return what the process says within so many seconds; None if nothing."""
        try:
            if not self.pipe.poll(wait_s):
                return None
            answer: Scored | _Failed | str = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            said = f"the scoring process ended with exit code {self.process.exitcode}"
            hint = " (killed from outside, usually because memory ran out)" if self.process.exitcode == -9 else ""
            return _Failed(said + hint, is_of_study=True)
        return answer

    def is_fit(self) -> bool:
        """Whether it may be given another study."""
        return self.process.is_alive() and self.memory_bytes() <= self.most_bytes

    def memory_bytes(self) -> int:
        """Return the resident memory of the process and of those that it has started; 0 where Linux does not tell."""
        return _resident_bytes(self.process.pid or 0)

    def end(self) -> None:
        """Kill the process: it holds nothing that is not on the disk, or made again."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _resident_bytes(number: int) -> int:
    """Return the resident memory of a process and its descendants (proc(5)); one that has just ended has none."""
    try:
        pages = int(Path(f"/proc/{number}/statm").read_text(encoding="ascii").split()[1])
        children = [
            int(child)
            for task in Path(f"/proc/{number}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(_resident_bytes, children))


def _cores() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _cores_of(number: int, count: int) -> set[int]:
    """Return the cores of a scorer, so that the threads of several do not wait for each other.

    >>> _shared([0, 1, 2, 3], 1, 2), _shared([0, 1], 2, 3)
    ({2, 3}, {0})
    """
    return _shared(_cores(), number, count)


def _shared(cores: list[int], number: int, count: int) -> set[int]:
    each = max(1, len(cores) // count)
    begin = number * each % len(cores)
    return set(cores[begin : begin + each])


def score_claims(pipe: Connection, config: NodeConfig, cores: set[int]) -> None:
    """Run in a scoring process: load the model, then score what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=end_with_parent, daemon=True, name="parent").start()
    start_logging(config.log, "scorer")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)  # libraries start as many threads as there are cores
    try:
        store, job = Store(config.store), score_job(config)
        prepare(job.outputs)
    except Exception as problem:
        pipe.send(_Failed(str(problem), is_of_study=False))
        return
    pipe.send(_READY)
    while True:
        try:
            claim = pipe.recv()
        except EOFError:
            return
        try:
            answer: Scored | _Failed = score_received(claim, store, config, job)
        except OSError as problem:
            answer = _Failed(f"{problem.filename or store.folder}: {system_message(problem)}", is_of_study=False)
        except MemoryError:
            answer = _Failed("the study does not fit into memory", is_of_study=True)
        except Exception as problem:
            answer = _Failed(
                f"a defect ({type(problem).__name__}); please report it", is_of_study=True, traceback=trace(problem)
            )
        pipe.send(answer)

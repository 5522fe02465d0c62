"""The scorers of the node: processes with a warm model, watched from outside.

This process claims studies and gives each to a scoring process of its own (``watched``), which is killed when it takes
too much memory or time. It tells the ledger that the work goes on, and writes down what came of it. A study that ends
its process again and again is put in quarantine. So is one during which *this* process ends again and again, or the
whole node: the keeper counts that. A clean stop does not count.
"""

import logging
import os
import platform
import time
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from typing import Any

from ctacal.cores import cores
from ctacal.errors import CtacalError
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.events import start_logging, tell
from ctacal.jobs.node.ledger import Ledger, StudyClaim, ledger_of
from ctacal.jobs.node.life import Pulse, alive_folder
from ctacal.jobs.node.scoring import Scored, score_job, score_received
from ctacal.jobs.node.store import Store
from ctacal.report.outputs import prepare
from ctacal.watched import Duty, Failed, Limits, Watched

LOOK_S = 0.2
"""How often a scoring process is looked at, and how long an idle scorer waits before it looks for work."""
BEAT_S = 2.0
"""How often the ledger is told that a study is being scored."""
PAUSE_S = 10.0
"""Pause after a scorer could not work for a reason that is no fault of a study."""


def run(config: NodeConfig, stopping: Event) -> None:
    """Score settled studies until ``stopping`` is set; what is being scored then is left to the next start."""
    store = Store(config.store)
    count = config.score.processes or max(1, cores() // 2)
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
    worker: "Watched[StudyClaim, Scored] | None" = field(default=None, init=False)
    seen_at: float = field(default_factory=time.monotonic, init=False)

    def moves(self) -> bool:
        """Whether this thread has lately been through its loop."""
        return time.monotonic() - self.seen_at < 10.0

    def work(self) -> None:
        """Claim and score until the node stops. Whatever goes wrong is told, and tried again."""
        ledger: Ledger | None = None
        while not self.stopping.is_set():
            try:
                ledger = ledger or ledger_of(self.config, self.store)
                self._score_next(ledger)
            except (CtacalError, OSError) as problem:
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

    def _ready_worker(self) -> "Watched[StudyClaim, Scored] | None":
        """Return a process whose model is loaded; None if the node stops. Raises ``UsageError`` if none can be had."""
        if self.worker and not self.worker.is_fit():
            self.worker.end()
            self.worker = None
        if not self.worker:
            limits = Limits(self.config.score.memory_mb, self.config.score.time_s)
            begin = partial(begin_scoring, self.config)
            self.worker = Watched.started(begin, limits, threads=max(1, cores() // self.count))
        while not self.worker.is_ready and not self.stopping.is_set():
            self._seen()
            self.worker.answer(LOOK_S)
        return self.worker if self.worker.is_ready else None

    def _answer(
        self, worker: "Watched[StudyClaim, Scored]", claim: StudyClaim, ledger: Ledger
    ) -> "Scored | Failed | None":
        """Return what came of a study; None if it is not wanted any more, or the node stops."""
        worker.give(claim)
        beat_at = time.monotonic() + BEAT_S
        while not self.stopping.is_set():
            self._seen()
            if (answer := worker.answer(LOOK_S)) is not None:
                return answer
            if time.monotonic() > beat_at:
                beat_at = time.monotonic() + BEAT_S
                if not _beat(ledger, claim):
                    break
        worker.end()
        return None

    def _note(self, ledger: Ledger, claim: StudyClaim, answer: "Scored | Failed | None", seconds: float) -> None:
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
            if answer.is_of_task:
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


def begin_scoring(config: NodeConfig) -> Duty[StudyClaim, Scored]:
    """Run in a scoring process: load the model, and return how a claimed study is scored."""
    start_logging(config.log, "scorer")
    store, job = Store(config.store), score_job(config)
    prepare(job.outputs)
    return Duty(lambda claim: score_received(claim, store, config, job))
